/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instances that have much open, and many who wait for them, when they end: more than one turn carries out, stores or
 * answers.
 */
#include "unit/agents/orchestrator_fixture.h"

static uint32_t waves_each; /* tasks of a wave */
static size_t waves_long;   /* bytes of an address; 0: activities */

/* ---- Orchestrators -------------------------------------------------------------------------- */

static struct stead_task begin_one(struct stead_orchestration *o, uint32_t number)
{
    char address[STEAD_ADDRESS_MAX + 1] = "inc/";
    struct stead_slice input = stead_packed_for(o, "l", (int64_t)number);

    if (waves_long == 0)
        return stead_begin_activity(o, "inc", input, NULL);
    memset(address + 4, 'k', waves_long - 4);
    return stead_begin_call(o, address, "run", input, NULL);
}

/* Two waves of tasks, "go" between them; what ends it is the next event: a number other than 0 begins it anew. */
static int open_much(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice value;
    int64_t again = 0;
    int code = 0;

    if (stead_get_i64(input, NULL, &again) == 0 && again != 0)
        return stead_await_event(o, "never", -1, NULL);
    for (uint32_t wave = 0; code == 0 && wave < 2; wave++) {
        for (uint32_t i = 0; i < waves_each; i++)
            (void)begin_one(o, i);
        code = stead_await_event(o, "go", -1, &value);
    }
    return code != 0 ? code : stead_continue_as_new(o, value);
}
OR_ORCHESTRATOR(waves, open_much);

/* ---- What ends with it ---------------------------------------------------------------------- */

static void settle(void)
{
    fx_run(fx);
    for (int i = 0; i < 20; i++)
        fx_step_ms(fx, 10);
}

static void raise_go(int64_t number)
{
    or_ask("w", "raise", "{s:s,s:l}", "name", "go", "value", number);
    assert_int_equal(answer->status, 0);
    settle();
}

/* With both waves open. */
static void start_waves(uint32_t each, size_t address_size)
{
    waves_each = each;
    waves_long = address_size;
    or_ask("w", "start", "{s:s,s:l}", "name", "waves", "input", (int64_t)0);
    assert_int_equal(answer->status, 0);
    settle();
    raise_go(0);
    or_expect_status("w", STEAD_INSTANCE_RUNNING);
}

/* Every job there is was told that nobody wants it any more. */
static void expect_cancelled(uint32_t jobs)
{
    struct stead_message *job;
    uint32_t there = 0;

    for (int i = 0; i < 200 && fx->cancels < jobs; i++)
        fx_step_ms(fx, 10);
    while ((job = stead_queue_pop(&fx->jobs)) != NULL) {
        stead_message_destroy(&job);
        there++;
    }
    assert_int_equal(there, jobs);
    assert_int_equal(fx->cancels, jobs);
}

static void test_many_open_tasks_are_cancelled_by_a_termination(void **state)
{
    (void)state;
    start_waves(1000, 0);
    or_ask("w", "terminate", "{s:s}", "reason", "enough");
    assert_int_equal(answer->status, 0);
    or_expect_status("w", STEAD_INSTANCE_TERMINATED);
    expect_cancelled(2000);
}

static void test_many_open_tasks_are_cancelled_by_a_termination_after_a_crash(void **state)
{
    (void)state;
    start_waves(1000, 0);
    or_crash();
    client = fx_client(fx, 2);
    or_ask("w", "terminate", "{s:s}", "reason", "enough");
    or_expect_status("w", STEAD_INSTANCE_TERMINATED);
    for (int i = 0; i < 200; i++)
        fx_step_ms(fx, 10);
    assert_true(fx->cancels >= 2000);
}

static void test_many_open_tasks_are_cancelled_by_a_continuation(void **state)
{
    (void)state;
    start_waves(1000, 0);
    raise_go(1);
    or_expect_status("w", STEAD_INSTANCE_RUNNING);
    assert_int_equal(or_told().execution, 2);
    expect_cancelled(2000);
}

/* ---- What is too long to be told ---------------------------------------------------------------- */

#define LONG_ADDRESS 516u /* bytes: of the kind `inc`, the longest */
#define LONG_EACH 19500u  /* 21 MB of addresses in both waves */

static void test_many_long_addresses_are_terminated(void **state)
{
    (void)state;
    start_waves(LONG_EACH, LONG_ADDRESS);
    or_ask("w", "terminate", "{s:s}", "reason", "enough");
    assert_int_equal(answer->status, 0);
    or_expect_status("w", STEAD_INSTANCE_TERMINATED);
    expect_cancelled(2 * LONG_EACH);
}

static void test_many_long_addresses_are_terminated_without_the_engine(void **state)
{
    (void)state;
    start_waves(LONG_EACH, LONG_ADDRESS);
    or_crash();
    client = fx_client(fx, 2);
    or_ask("w", "terminate", "{s:s}", "reason", "enough");
    assert_int_equal(answer->status, 0);
    or_expect_status("w", STEAD_INSTANCE_TERMINATED);
}

static void test_many_long_addresses_begin_anew(void **state)
{
    (void)state;
    start_waves(LONG_EACH, LONG_ADDRESS);
    raise_go(1);
    or_expect_status("w", STEAD_INSTANCE_RUNNING);
    assert_int_equal(or_told().execution, 2);
    expect_cancelled(2 * LONG_EACH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, or_setup, or_teardown)
        TEST(test_many_open_tasks_are_cancelled_by_a_termination),
        TEST(test_many_open_tasks_are_cancelled_by_a_termination_after_a_crash),
        TEST(test_many_open_tasks_are_cancelled_by_a_continuation),
        TEST(test_many_long_addresses_are_terminated),
        TEST(test_many_long_addresses_are_terminated_without_the_engine),
        TEST(test_many_long_addresses_begin_anew),
    };

    or_orchestrators[0] = &waves;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
