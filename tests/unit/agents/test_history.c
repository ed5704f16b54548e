/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agents/history.h"

static struct stead_history_event full(void)
{
    return (struct stead_history_event){.type = STEAD_HISTORY_TASK_FAILED,
                                        .ref = 70000,
                                        .code = STEAD_ETIMEOUT,
                                        .name = stead_str("name"),
                                        .target = stead_str("kind/key"),
                                        .value = stead_str("\x07"),
                                        .error_name = stead_str("late"),
                                        .error_sentence = stead_str("too late"),
                                        .extra = stead_bytes("\x81\xa3"
                                                             "due\x05",
                                                             6)};
}

static void assert_same(const struct stead_history_event *a, const struct stead_history_event *b)
{
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->ref, b->ref);
    assert_int_equal(a->code, b->code);
    assert_true(stead_slice_equal(a->name, b->name));
    assert_true(stead_slice_equal(a->target, b->target));
    assert_true(stead_slice_equal(a->value, b->value));
    assert_true(stead_slice_equal(a->error_name, b->error_name));
    assert_true(stead_slice_equal(a->error_sentence, b->error_sentence));
    assert_true(stead_slice_equal(a->extra, b->extra));
}

static void test_history_golden_bytes(void **state)
{
    (void)state;
    struct stead_writer writer;
    struct stead_history_event event = {.type = STEAD_HISTORY_ORCHESTRATOR_STARTED};

    stead_writer_init(&writer);
    stead_history_write(&writer, &event);
    assert_true(stead_slice_equal(stead_written(&writer), stead_bytes("\x91\x10", 2)));
    stead_writer_reset(&writer);
    event = (struct stead_history_event){.type = STEAD_HISTORY_TASK_COMPLETED, .ref = 3, .value = stead_str("\x05")};
    stead_history_write(&writer, &event);
    assert_true(stead_slice_equal(stead_written(&writer), stead_bytes("\x95\x09\x03\xc0\xc0\x05", 6)));
    stead_writer_deinit(&writer);
}

static void test_history_event_with_every_set_of_fields_comes_back(void **state)
{
    (void)state;
    for (uint32_t mask = 0; mask < 256; mask++) {
        struct stead_history_event event = full(), back;
        struct stead_writer writer;
        event.ref *= (mask & 1) != 0;
        event.name.size *= (mask & 2) != 0;
        event.target.size *= (mask & 4) != 0;
        event.value.size *= (mask & 8) != 0;
        event.code *= (mask & 16) != 0;
        event.error_name.size *= (mask & 32) != 0;
        event.error_sentence.size *= (mask & 64) != 0;
        event.extra.size *= (mask & 128) != 0;
        stead_writer_init(&writer);
        stead_history_write(&writer, &event);
        struct stead_reader reader = stead_reader(stead_written(&writer));
        assert_int_equal(stead_history_read(&reader, &back), 0);
        assert_ptr_equal(reader.at, reader.end);
        assert_same(&event, &back);
        stead_writer_deinit(&writer);
    }
}

static void test_history_every_truncation_is_corrupt(void **state)
{
    (void)state;
    struct stead_history_event event = full(), back;
    struct stead_writer writer;

    stead_writer_init(&writer);
    stead_history_write(&writer, &event);
    for (size_t size = 0; size < writer.size; size++) {
        uint8_t *bytes = malloc(size + 1);
        memcpy(bytes, writer.data, size);
        struct stead_reader reader = stead_reader(stead_bytes(bytes, size));
        assert_int_equal(stead_history_read(&reader, &back), STEAD_ECORRUPT);
        assert_ptr_equal(reader.at, bytes);
        free(bytes);
    }
    stead_writer_deinit(&writer);
}

static int read_bytes(const char *bytes, size_t size)
{
    struct stead_history_event event;
    struct stead_reader reader = stead_reader(stead_bytes(bytes, size));
    return stead_history_read(&reader, &event);
}

static void test_history_what_is_newer_is_named_so(void **state)
{
    (void)state;
    assert_int_equal(read_bytes("\x91\x19", 2), STEAD_EVERSION);         /* type 25 */
    assert_int_equal(read_bytes("\x91\xcd\x01\x01", 4), STEAD_EVERSION); /* type 257 */
    assert_int_equal(read_bytes("\x9a\x01\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0", 11),
                     STEAD_EVERSION); /* a tenth field */
    assert_int_equal(read_bytes("\x91\x00", 2), STEAD_ECORRUPT);
    assert_int_equal(read_bytes("\x90", 1), STEAD_ECORRUPT);
    assert_int_equal(read_bytes("\x96\x0a\x03\xc0\xc0\xc0\x05", 7), STEAD_ECORRUPT); /* a code above 0 */
    assert_int_equal(read_bytes("\x92\x01\xa1x", 4), STEAD_ECORRUPT);                /* a ref that is a text */
}

static void test_history_rows_give_ids_and_times(void **state)
{
    (void)state;
    struct stead_writer events, row;
    struct stead_history_row reader;
    struct stead_history_event event = {.type = STEAD_HISTORY_ORCHESTRATOR_STARTED};

    stead_writer_init(&events);
    stead_writer_init(&row);
    stead_history_write(&events, &event);
    event.type = STEAD_HISTORY_ORCHESTRATOR_COMPLETED;
    stead_history_write(&events, &event);
    stead_history_row_write(&row, 41, 1700000000000, 2, stead_written(&events));
    assert_int_equal(stead_history_row_begin(stead_written(&row), &reader), 0);
    assert_int_equal(stead_history_row_next(&reader, &event), 0);
    assert_int_equal(event.id, 41);
    assert_int_equal(event.time_ms, 1700000000000);
    assert_int_equal(stead_history_row_next(&reader, &event), 0);
    assert_int_equal(event.id, 42);
    assert_int_equal(stead_history_row_next(&reader, &event), STEAD_ENOTFOUND);
    for (size_t size = 0; size < row.size; size++) { /* cut anywhere: an error, never an event too many */
        int code = stead_history_row_begin(stead_bytes(row.data, size), &reader);
        for (uint32_t i = 0; code == 0 && i < 3; i++)
            code = stead_history_row_next(&reader, &event);
        assert_int_equal(code, STEAD_ECORRUPT);
    }
    stead_writer_deinit(&events);
    stead_writer_deinit(&row);
}

static void test_history_types_have_names_and_sides(void **state)
{
    (void)state;
    assert_string_equal(stead_history_type_name(STEAD_HISTORY_CHILD_FAILED), "SubOrchestrationInstanceFailed");
    assert_string_equal(stead_history_type_name(0), "");
    assert_string_equal(stead_history_type_name(255), "");
    assert_true(stead_history_is_input(STEAD_HISTORY_TIMER_FIRED));
    assert_false(stead_history_is_input(STEAD_HISTORY_TIMER_CREATED));
    assert_false(stead_history_is_input(STEAD_HISTORY_ORCHESTRATOR_STARTED));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_history_golden_bytes),
        cmocka_unit_test(test_history_event_with_every_set_of_fields_comes_back),
        cmocka_unit_test(test_history_every_truncation_is_corrupt),
        cmocka_unit_test(test_history_what_is_newer_is_named_so),
        cmocka_unit_test(test_history_rows_give_ids_and_times),
        cmocka_unit_test(test_history_types_have_names_and_sides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
