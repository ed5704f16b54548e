/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kind `orchestration` on one host: what a client sees, what crashes and unloads leave, how much a turn costs.
 */
#include "unit/agents/orchestrator_fixture.h"

/* ---- Orchestrators -------------------------------------------------------------------------- */

/* inc(inc(inc(input))) */
static int three_steps(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice value = input;

    for (uint32_t i = 0; i < 3; i++) {
        int code = stead_await_activity(o, "inc", value, &value);
        if (code != 0)
            return code;
        value = stead_keep(o, value);
    }
    return stead_complete(o, value);
}

/* Input: how many. Output: the sum of inc(i). */
static int fan_out(struct stead_orchestration *o, struct stead_slice input)
{
    int64_t count = 0, sum = 0, one = 0;

    if (stead_get_i64(input, NULL, &count) != 0)
        return STEAD_EARGUMENT;
    struct stead_task *tasks = stead_keep_bytes(o, (size_t)count * sizeof(*tasks));
    for (int64_t i = 0; i < count; i++)
        tasks[i] = stead_begin_activity(o, "inc", stead_packed_for(o, "l", i), NULL);
    int code = stead_await_all(o, tasks, (uint32_t)count);
    for (int64_t i = 0; code == 0 && i < count; i++) {
        struct stead_slice value;
        code = stead_await(o, tasks[i], &value);
        if (code == 0 && stead_get_i64(value, NULL, &one) == 0)
            sum += one;
    }
    return code != 0 ? code : stead_complete(o, stead_packed_for(o, "l", sum));
}

static int nothing_at_all(struct stead_orchestration *o, struct stead_slice input)
{
    return stead_complete(o, input);
}

OR_ORCHESTRATOR(steps, three_steps);
OR_ORCHESTRATOR(fan, fan_out);
OR_ORCHESTRATOR(none, nothing_at_all);

/* ---- Tests ---------------------------------------------------------------------------------- */

static void test_orchestrator_runs_three_activities_and_answers(void **state)
{
    (void)state;
    or_ask("i", "run", "{s:s,s:l}", "name", "steps", "input", (int64_t)5);
    assert_null(answer);
    or_do_jobs();
    assert_int_equal(or_output(), 8);
    assert_int_equal(or_told().status, STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_jobs_done, 3);
}

static void test_orchestrator_that_awaits_nothing_answers_at_once(void **state)
{
    (void)state;
    or_ask("i", "run", "{s:s,s:l}", "name", "none", "input", (int64_t)5);
    assert_int_equal(or_output(), 5);
}

static void test_orchestrator_crash_after_every_step_changes_nothing(void **state)
{
    (void)state;
    or_ask("i", "start", "{s:s,s:l}", "name", "steps", "input", (int64_t)5);
    for (uint32_t i = 0; i < 6; i++) {
        or_crash();
        (void)or_do_job();
        fx_run(fx);
    }
    or_do_jobs();
    or_expect_status("i", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_output(), 8);
}

static void test_orchestrator_fan_out_of_ten_thousand(void **state)
{
    (void)state;
    or_ask("i", "run", "{s:s,s:l}", "name", "fan", "input", (int64_t)10000);
    or_do_jobs();
    assert_int_equal(or_output(), 10000ll * 10001 / 2);
    assert_int_equal(or_jobs_done, 10000);
}

/* A history of more events than one turn replays: what comes meanwhile is kept. */
static void test_orchestrator_long_history_is_replayed_in_pages(void **state)
{
    (void)state;
    or_ask("i", "run", "{s:s,s:l}", "name", "fan", "input", (int64_t)20000);
    for (uint32_t i = 0; i < 19000; i++)
        assert_true(or_do_job());
    fx_run(fx);
    or_ask("i", "status", "{}");
    assert_true(or_told().events > 70000);
    or_crash();
    fx_step_ms(fx, 5000);
    or_do_jobs();
    or_expect_status("i", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_output(), 20000ll * 20001 / 2);
}

static void test_orchestrator_values_at_the_limit_pass_through(void **state)
{
    (void)state;
    const uint32_t size = (1u << 20) - 8192;
    uint8_t *bytes = calloc(1, size);
    or_ask("i", "run", "{s:s,s:B}", "name", "none", "input", stead_bytes(bytes, size));
    struct stead_slice out;
    assert_int_equal(stead_get_bin(or_told().output, NULL, &out), 0);
    assert_int_equal(out.size, size);
    or_crash();
    or_ask("i", "status", "{}");
    assert_int_equal(stead_get_bin(or_told().output, NULL, &out), 0);
    assert_int_equal(out.size, size);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_orchestrator_runs_three_activities_and_answers, or_setup, or_teardown),
        cmocka_unit_test_setup_teardown(test_orchestrator_that_awaits_nothing_answers_at_once, or_setup, or_teardown),
        cmocka_unit_test_setup_teardown(test_orchestrator_crash_after_every_step_changes_nothing, or_setup,
                                        or_teardown),
        cmocka_unit_test_setup_teardown(test_orchestrator_fan_out_of_ten_thousand, or_setup, or_teardown),
        cmocka_unit_test_setup_teardown(test_orchestrator_long_history_is_replayed_in_pages, or_setup, or_teardown),
        cmocka_unit_test_setup_teardown(test_orchestrator_values_at_the_limit_pass_through, or_setup, or_teardown),
    };
    or_orchestrators[0] = &steps;
    or_orchestrators[1] = &fan;
    or_orchestrators[2] = &none;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
