/* SPDX-License-Identifier: Apache-2.0 */
/* What people and programs are shown of instances and histories; moments on a command line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "cmd/instance_text.h"
#include "cmd/parse.h"

static int in_utc(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    return 0;
}

/* ---- Histories ------------------------------------------------------------------------------ */

static void assert_line(const char *event, const char *expected)
{
    json_t *json = json_loads(event, 0, NULL);
    assert_non_null(json);
    char *line = stead_history_line(json);

    assert_string_equal(line, expected);
    free(line);
    json_decref(json);
}

static void test_episode_reads_from_top_to_bottom(void **state)
{
    (void)state;
    assert_line("{\"id\": 1, \"time\": 1795404822123, \"type\": \"OrchestratorStarted\"}",
                "     1  2026-11-23 03:33:42.123  OrchestratorStarted");
    assert_line("{\"id\": 2, \"time\": 1, \"type\": \"ExecutionStarted\", \"name\": \"trip\", \"value\": {\"a\": 1}}",
                "     2      ExecutionStarted         trip {\"a\": 1}");
    assert_line("{\"id\": 3, \"time\": 1, \"type\": \"TaskScheduled\", \"name\": \"book\", \"value\": [1]}",
                "     3        TaskScheduled          book [1]");
    assert_line("{\"id\": 4, \"time\": 1, \"type\": \"OrchestratorCompleted\"}", "     4      OrchestratorCompleted");
    assert_line("{\"id\": 6, \"time\": 1, \"type\": \"TaskCompleted\", \"ref\": 3, \"value\": \"H-17\"}",
                "     6      TaskCompleted            <- 3 \"H-17\"");
}

static void test_failure_shows_name_and_sentence(void **state)
{
    (void)state;
    assert_line("{\"id\": 7, \"type\": \"TaskFailed\", \"ref\": 3, \"code\": \"failed\", \"error_name\": \"no_seat\", "
                "\"error_sentence\": \"all is full\"}",
                "     7      TaskFailed               <- 3 no_seat: all is full");
    assert_line("{\"id\": 8, \"type\": \"ExecutionTerminated\", \"error_sentence\": \"enough\"}",
                "     8      ExecutionTerminated      enough");
}

static void test_timer_shows_when_and_call_shows_whom(void **state)
{
    (void)state;
    assert_line("{\"id\": 9, \"type\": \"TimerCreated\", \"extra\": {\"due\": 1795404822123}}",
                "     9        TimerCreated           due 2026-11-23 03:33:42.123");
    assert_line("{\"id\": 10, \"type\": \"TaskScheduled\", \"target\": \"account/bob\", \"name\": \"add\"}",
                "    10        TaskScheduled          account/bob add");
}

static void test_hostile_texts_are_safe_and_long_values_are_cut(void **state)
{
    char event[4000], expected[400];

    (void)state;
    assert_line("{\"id\": 1, \"type\": \"EventRaised\", \"name\": \"a\\u001b[31m\\nb\"}",
                "     1      EventRaised              a\\x1b[31m\\nb");
    snprintf(event, sizeof(event), "{\"id\": 1, \"type\": \"EventRaised\", \"value\": \"%02000d\"}", 0);
    snprintf(expected, sizeof(expected), "     1      EventRaised              \"%096d...", 0);
    assert_line(event, expected);
    /* Two bytes a letter, and the cut would be in the middle of one. */
    char *at = event + sprintf(event, "{\"id\": 1, \"type\": \"EventRaised\", \"value\": \"a");
    for (int i = 0; i < 100; i++)
        at += sprintf(at, "\xc3\xa9");
    strcpy(at, "\"}");
    json_t *json = json_loads(event, 0, NULL);
    char *line = stead_history_line(json);
    json_t *text = json_string(line); /* NULL unless it is UTF-8 */
    assert_non_null(text);
    assert_string_equal(line + strlen(line) - 3, "...");
    json_decref(text);
    free(line);
    json_decref(json);
}

static void test_value_that_was_left_out_shows_its_size(void **state)
{
    (void)state;
    assert_line("{\"id\": 6, \"type\": \"TaskCompleted\", \"ref\": 3, \"extra\": {\"omitted\": 409600}}",
                "     6      TaskCompleted            <- 3 a value of 400 KiB");
}

static void test_event_that_says_nothing_is_a_line_all_the_same(void **state)
{
    (void)state;
    assert_line("{}", "     0");
    assert_line("{\"type\": 7, \"name\": [], \"extra\": 1, \"id\": \"x\"}", "     0");
}

/* ---- Instances ------------------------------------------------------------------------------ */

static struct stead_instance failed_trip(void)
{
    static const uint8_t five[] = {0x05};
    struct stead_instance it = {.id = "i1",
                                .name = "trip",
                                .version = 2,
                                .execution = 3,
                                .status = STEAD_INSTANCE_FAILED,
                                .created_ms = 1795404822123,
                                .updated_ms = 1795404823000,
                                .events = 17,
                                .input = {five, 1},
                                .error_name = "no_seat",
                                .error_sentence = "all\nis full"};
    return it;
}

static void test_instance_is_shown_to_a_person(void **state)
{
    struct stead_instance it = failed_trip();
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);

    (void)state;
    stead_instance_print(&it, file);
    fclose(file);
    assert_string_equal(text, "id         i1\n"
                              "name       trip, version 2\n"
                              "status     Failed\n"
                              "because    no_seat: all\\nis full\n"
                              "created    2026-11-23 03:33:42.123\n"
                              "updated    2026-11-23 03:33:43.000\n"
                              "events     17 in execution 3\n"
                              "input      5\n");
    free(text);
}

static void test_error_without_a_sentence_has_no_colon(void **state)
{
    struct stead_instance it = failed_trip();
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);

    (void)state;
    it.error_sentence[0] = '\0';
    stead_instance_print(&it, file);
    fclose(file);
    assert_non_null(strstr(text, "\nbecause    no_seat\ncreated"));
    free(text);
}

static void test_instance_is_shown_to_a_program(void **state)
{
    struct stead_instance it = failed_trip();
    json_t *json = stead_instance_json(&it);
    json_t *expected =
        json_loads("{\"id\": \"i1\", \"name\": \"trip\", \"version\": 2, \"execution\": 3, \"status\": \"Failed\", "
                   "\"created_ms\": 1795404822123, \"updated_ms\": 1795404823000, \"events\": 17, "
                   "\"parent\": null, \"input\": 5, \"output\": null, \"custom\": null, "
                   "\"error\": {\"name\": \"no_seat\", \"sentence\": \"all\\nis full\"}}",
                   0, NULL);

    (void)state;
    assert_true(json_equal(json, expected));
    json_decref(json);
    json = stead_instance_json_short(&it);
    json_object_del(expected, "input");
    json_object_del(expected, "output");
    json_object_del(expected, "custom");
    json_object_del(expected, "error");
    assert_true(json_equal(json, expected));
    json_decref(json);
    json_decref(expected);
}

/* An activity's own words, cut in the middle of a character: the failure is not lost. */
static void test_error_that_is_no_text_is_shown_to_a_program(void **state)
{
    struct stead_instance it = failed_trip();
    json_t *json;

    (void)state;
    memcpy(it.error_sentence, "no seat \xe6\x97", 11);
    json = stead_instance_json(&it);
    assert_string_equal(json_string_value(json_object_get(json_object_get(json, "error"), "name")), "no_seat");
    assert_int_equal(
        strncmp(json_string_value(json_object_get(json_object_get(json, "error"), "sentence")), "no seat ", 8), 0);
    json_decref(json);
}

/* ---- Moments -------------------------------------------------------------------------------- */

static void test_moment_is_a_date_or_so_long_ago(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"2026-11-23", 1795392000000},
                {"2026-11-23 03:33", 1795404780000},
                {"2026-11-23T03:33", 1795404780000},
                {"2026-11-23 03:33:42", 1795404822000},
                {"2026-11-23T03:33:42", 1795404822000},
                {"2h", 1795404822123 - 7200000},
                {"0", 1795404822123}};
    static const char *const bad[] = {"", "x", "2026-11", "2026-11-23 3", "2026-11-23 03:33x", "99999999999d", "-1h"};
    int64_t ms = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        assert_true(stead_parse_moment(good[i].text, 1795404822123, &ms));
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_false(stead_parse_moment(bad[i], 1795404822123, &ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_episode_reads_from_top_to_bottom),
        cmocka_unit_test(test_failure_shows_name_and_sentence),
        cmocka_unit_test(test_timer_shows_when_and_call_shows_whom),
        cmocka_unit_test(test_hostile_texts_are_safe_and_long_values_are_cut),
        cmocka_unit_test(test_value_that_was_left_out_shows_its_size),
        cmocka_unit_test(test_event_that_says_nothing_is_a_line_all_the_same),
        cmocka_unit_test(test_instance_is_shown_to_a_person),
        cmocka_unit_test(test_error_without_a_sentence_has_no_colon),
        cmocka_unit_test(test_instance_is_shown_to_a_program),
        cmocka_unit_test(test_error_that_is_no_text_is_shown_to_a_program),
        cmocka_unit_test(test_moment_is_a_date_or_so_long_ago),
    };

    return cmocka_run_group_tests(tests, in_utc, NULL);
}
