/* SPDX-License-Identifier: Apache-2.0 */
/* log: one line an event, whatever is in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/log.h"

#define WALL_MS 1795408200123 /* 2026-11-23T04:30:00.123Z */

static const char *rendered(size_t size, const char *text, const char *pairs)
{
    static char buffer[STEAD_LOG_LINE_MAX + 1];

    size_t used = stead_log_render(buffer, size, WALL_MS, STEAD_TRACE_WARN, "thing", text, pairs);
    assert_true(used <= size);
    buffer[used] = 0;
    return buffer;
}

static void test_log_line_has_time_level_event_pairs_and_text(void **state)
{
    (void)state;
    assert_string_equal(rendered(STEAD_LOG_LINE_MAX, "it broke", "shard=3 ms=7"),
                        "time=2026-11-23T04:30:00.123Z level=warn event=thing shard=3 ms=7 text=\"it broke\"\n");
    assert_string_equal(rendered(STEAD_LOG_LINE_MAX, NULL, NULL),
                        "time=2026-11-23T04:30:00.123Z level=warn event=thing\n");
}

static void test_log_text_from_outside_cannot_forge_a_line(void **state)
{
    (void)state;
    assert_string_equal(rendered(STEAD_LOG_LINE_MAX, "a\" level=info\n\\\x7f", NULL),
                        "time=2026-11-23T04:30:00.123Z level=warn event=thing "
                        "text=\"a\\\" level=info\\x0a\\\\\\x7f\"\n");
}

static void test_log_line_too_long_is_cut_and_still_ends(void **state)
{
    (void)state;
    size_t whole = strlen(rendered(STEAD_LOG_LINE_MAX, "it broke", "shard=3 ms=7"));

    for (size_t size = 1; size < whole + 8; size++) {
        const char *line = rendered(size, "it broke", "shard=3 ms=7");
        assert_int_equal(line[strlen(line) - 1], '\n');
        assert_int_equal(strlen(line), size < whole ? size : whole);
    }
}

static void test_log_level_is_found_by_its_name(void **state)
{
    (void)state;
    enum stead_trace_level level = STEAD_TRACE_ERROR;

    assert_int_equal(stead_log_level_of_name("debug", &level), 0);
    assert_int_equal(level, STEAD_TRACE_DEBUG);
    assert_int_equal(stead_log_level_of_name("loud", &level), STEAD_ENOTFOUND);
    assert_int_equal(level, STEAD_TRACE_DEBUG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_line_has_time_level_event_pairs_and_text),
        cmocka_unit_test(test_log_text_from_outside_cannot_forge_a_line),
        cmocka_unit_test(test_log_line_too_long_is_cut_and_still_ends),
        cmocka_unit_test(test_log_level_is_found_by_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
