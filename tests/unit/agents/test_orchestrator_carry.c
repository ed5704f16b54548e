/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events that nobody has taken when an execution begins anew: many, large ones, of several names; what they cost, and
 * what is left of them.
 */
#include "unit/agents/orchestrator_fixture.h"

/* ---- Orchestrators -------------------------------------------------------------------------- */

/* The input is how many events "e" are to be taken, the first time after an activity and anew. They say 0, 1... */
static int takes_many(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice value;
    int64_t count = 0, number = 0;

    if (stead_get_i64(input, NULL, &count) != 0)
        return STEAD_EARGUMENT;
    if (count > 0) {
        int code = stead_await_activity(o, "inc", input, NULL);
        return code != 0 ? code : stead_continue_as_new(o, stead_packed_for(o, "l", -count));
    }
    for (int64_t i = 0; i < -count; i++) {
        int code = stead_await_event(o, "e", -1, &value);
        if (code != 0)
            return code;
        if (stead_get_i64(value, "n", &number) != 0 || number != i)
            return stead_fail_with(o, "order", "another event comes first");
    }
    return stead_complete(o, stead_packed_for(o, "l", -count));
}
OR_ORCHESTRATOR(taker, takes_many);

/* One event "e" an execution, whose number is its input; "stop" keeps it, with what is left. */
static int takes_one(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice value;
    int64_t expected = 0, number = -1;

    if (stead_get_i64(input, NULL, &expected) != 0)
        return STEAD_EARGUMENT;
    int code = stead_await_event(o, "e", -1, &value);
    if (code != 0)
        return code;
    if (stead_get_i64(value, "n", &number) != 0 || number != expected)
        return stead_fail_with(o, "order", "another event comes first");
    return stead_continue_as_new(o, stead_packed_for(o, "l", expected + 1));
}
OR_ORCHESTRATOR(single, takes_one);

/* After "go", 0: anew. 1: `half` events of "b", then anew. 2: as many of "a", then the end: those of each in order. */
static const int64_t half = 1500;
static int takes_names(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice value;
    int64_t phase = 0, number = 0;

    (void)!stead_get_i64(input, NULL, &phase);
    int code = phase == 0 ? stead_await_event(o, "go", -1, NULL) : 0;
    for (int64_t i = 0; code == 0 && phase > 0 && i < half; i++) {
        code = stead_await_event(o, phase == 1 ? "b" : "a", -1, &value);
        if (code == 0 && (stead_get_i64(value, "n", &number) != 0 || number != 2 * i + (phase == 1)))
            return stead_fail_with(o, "order", "another event comes first");
    }
    if (code == 0 && phase == 1)
        code = stead_await_event(o, "go", -1, NULL);
    if (code != 0)
        return code;
    return phase < 2 ? stead_continue_as_new(o, stead_packed_for(o, "l", phase + 1)) : stead_complete(o, input);
}
OR_ORCHESTRATOR(names, takes_names);

/* ---- Helpers -------------------------------------------------------------------------------- */

static int asked(const char *id, const char *op)
{
    or_ask(id, op, "{}");
    assert_non_null(answer);
    return answer->status;
}

static void raise_one(const char *name, int64_t number, size_t size)
{
    uint8_t *bytes = calloc(1, size + 1);

    or_ask("i", "raise", "{s:s,s:{s:l,s:B}}", "name", name, "value", "n", number, "x", stead_bytes(bytes, size));
    free(bytes);
    assert_non_null(answer);
    assert_int_equal(answer->status, 0);
}

/* Runs until nothing comes any more, through turns that follow each other by messages and timers. */
static void settle(void)
{
    for (uint32_t i = 0; i < 20; i++)
        fx_step_ms(fx, 500);
}

/* Rows of a class in the image. */
static uint32_t rows_of(char class, uint32_t execution)
{
    const uint8_t start[] = {(uint8_t) class, 0, 0, 0, (uint8_t)execution};
    uint32_t count = 0;

    fx_cold_restart(fx);
    fx_set_table(fx, NULL, 1, false);
    fx_run(fx);
    for (uint32_t i = 0; i < fx->row_count; i++)
        for (size_t at = 0; at + 13 <= fx->rows[i].key_size; at++)
            count += memcmp(fx->rows[i].key + at, start, sizeof(start)) == 0;
    return count;
}

static uint64_t log_bytes(void)
{
    uint64_t bytes = 0;

    for (uint32_t shard = 0; shard < FX_SHARDS; shard++)
        for (uint32_t i = 0; i < fx->logs[shard].count; i++)
            bytes += fx->logs[shard].entries[i].size;
    return bytes;
}

static void begin_taker(int64_t count, size_t size)
{
    or_ask("i", "start", "{s:s,s:l}", "name", "taker", "input", count);
    for (int64_t i = 0; i < count; i++)
        raise_one("e", i, size);
}

/* ---- Tests ---------------------------------------------------------------------------------- */

static void test_carry_more_events_than_a_turn_has_effects_lose_no_result(void **state)
{
    (void)state;
    begin_taker(12000, 0);
    or_do_jobs();
    settle();
    or_expect_status("i", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_told().execution, 2);
    assert_int_equal(or_output(), 12000);
    assert_int_equal(rows_of('h', 1), 0);
    assert_int_equal(rows_of('u', 1), 0);
}

static void test_carry_more_bytes_than_a_turn_may_store_lose_no_result(void **state)
{
    (void)state;
    begin_taker(40, 900000);
    or_do_jobs();
    settle();
    or_expect_status("i", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_told().execution, 2);
    assert_int_equal(or_output(), 40);
}

static void test_carry_suspended_instance_resumes_with_all_events(void **state)
{
    (void)state;
    begin_taker(11000, 0);
    assert_int_equal(asked("i", "suspend"), 0);
    or_do_jobs();
    or_crash();
    assert_int_equal(asked("i", "resume"), 0);
    settle();
    or_expect_status("i", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_output(), 11000);
}

static void test_carry_crash_between_pages_goes_on_and_events_that_come_meanwhile_are_last(void **state)
{
    (void)state;
    or_ask("i", "start", "{s:s,s:l}", "name", "taker", "input", (int64_t)5001);
    for (int64_t i = 0; i < 5000; i++)
        raise_one("e", i, 0);
    fx->hold_sync = true; /* one turn after the other is synced by hand */
    assert_true(or_do_job());
    fx_run(fx);
    for (uint32_t i = 0; i < 4; i++) {
        (void)fx_sync(fx);
        fx_run(fx);
    }
    fx->hold_sync = false;
    or_crash();
    raise_one("e", 5000, 0);
    settle();
    or_expect_status("i", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_output(), 5001);
}

static void test_carry_one_taken_an_execution_writes_no_other_again(void **state)
{
    (void)state;
    const int64_t count = 2000;

    or_ask("i", "start", "{s:s,s:l}", "name", "single", "input", (int64_t)0);
    assert_int_equal(asked("i", "suspend"), 0);
    for (int64_t i = 0; i < count; i++)
        raise_one("e", i, 100);
    uint64_t before = log_bytes();
    assert_int_equal(asked("i", "resume"), 0);
    settle();
    or_expect_status("i", STEAD_INSTANCE_RUNNING);
    assert_int_equal(or_told().execution, count + 1);
    assert_true((log_bytes() - before) / (uint64_t)count < 4096);
    assert_int_equal(rows_of('e', 0), 0);
    assert_int_equal(rows_of('h', 1), 0);
    raise_one("e", count, 0); /* numbers go on */
    or_ask("i", "status", "{}");
    assert_int_equal(or_told().execution, count + 2);
}

static void test_carry_events_between_taken_ones_stay_and_the_taken_ones_go(void **state)
{
    (void)state;
    or_ask("i", "start", "{s:s}", "name", "names");
    for (int64_t i = 0; i < half; i++) {
        raise_one("a", 2 * i, 0);
        raise_one("b", 2 * i + 1, 0);
    }
    raise_one("go", 0, 0);
    settle();
    assert_int_equal(rows_of('e', 0), 2 * half);
    or_ask("i", "status", "{}");
    assert_int_equal(or_told().execution, 2);
    or_crash();
    raise_one("go", 0, 0);
    or_crash();
    settle();
    or_expect_status("i", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_told().execution, 3);
    assert_int_equal(rows_of('e', 0), half);
    assert_int_equal(rows_of('u', 2), 0);
    assert_int_equal(asked("i", "restart"), 0); /* which has none of them */
    settle();
    or_expect_status("i", STEAD_INSTANCE_RUNNING);
    assert_int_equal(rows_of('e', 0), 0);
    assert_int_equal(asked("i", "terminate"), 0);
    assert_int_equal(asked("i", "purge"), 0);
    or_ask("i", "status", "{}");
    assert_int_equal(answer->status, STEAD_ENOTFOUND);
}

static void test_carry_raw_history_has_carried_events_before_the_history(void **state)
{
    (void)state;
    uint64_t next[2] = {0, 0}, pieces = 0, carried = 0;

    or_ask("i", "start", "{s:s}", "name", "names");
    for (int64_t i = 0; i < 20; i++)
        raise_one("a", 2 * i, 100000);
    raise_one("go", 0, 0);
    settle();
    do {
        struct stead_slice value;
        uint32_t count = 0, fields = 0;
        or_ask("i", "raw_history", "{s:u,s:u}", "first", next[0], "part", next[1]);
        assert_int_equal(answer->status, 0);
        assert_int_equal(stead_get_value(stead_message_payload(answer), "rows", &value), 0);
        struct stead_reader reader = stead_reader(value);
        assert_int_equal(stead_read_array(&reader, &count), 0);
        for (uint32_t i = 0; i < count; i++) {
            uint64_t first = 0;
            assert_int_equal(stead_read_array(&reader, &fields), 0);
            assert_int_equal(stead_read_u64(&reader, &first), 0);
            assert_int_equal(stead_read_skip(&reader), 0);
            assert_int_equal(stead_read_skip(&reader), 0);
            carried += first == ++pieces;
        }
        memset(next, 0, sizeof(next));
        if (stead_get_value(stead_message_payload(answer), "next", &value) == 0) { /* else nil */
            reader = stead_reader(value);
            assert_int_equal(stead_read_array(&reader, &fields), 0);
            assert_int_equal(stead_read_u64(&reader, &next[0]), 0);
            assert_int_equal(stead_read_u64(&reader, &next[1]), 0);
        }
    } while (next[0] != 0);
    assert_int_equal(carried, 20);
    assert_true(pieces > carried);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, or_setup, or_teardown)
        TEST(test_carry_more_events_than_a_turn_has_effects_lose_no_result),
        TEST(test_carry_more_bytes_than_a_turn_may_store_lose_no_result),
        TEST(test_carry_suspended_instance_resumes_with_all_events),
        TEST(test_carry_crash_between_pages_goes_on_and_events_that_come_meanwhile_are_last),
        TEST(test_carry_one_taken_an_execution_writes_no_other_again),
        TEST(test_carry_events_between_taken_ones_stay_and_the_taken_ones_go),
        TEST(test_carry_raw_history_has_carried_events_before_the_history),
    };
    const struct stead_orchestrator *const mine[] = {&taker, &single, &names};

    memcpy(or_orchestrators, mine, sizeof(mine));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
