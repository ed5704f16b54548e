/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instances that have much open, and many who wait for them, when they end: more than one turn carries out, stores or
 * answers. Built with a smaller limit of an episode than a node's (CMakeLists.txt).
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
#define LONG_EACH 1500u   /* two waves have more addresses than the EPISODE_BYTES_MAX of this test */

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

/* ---- Who waits ---------------------------------------------------------------------------------- */

#define WAITERS 6u

static int wait_for_go(struct stead_orchestration *o, struct stead_slice input)
{
    int code = stead_await_event(o, "go", -1, NULL);

    return code != 0 ? code : stead_complete(o, input);
}
OR_ORCHESTRATOR(slow, wait_for_go);

/* Answers that tell of this execution's end with this status; others are errors. */
static uint32_t count_told(uint32_t execution, enum stead_instance_status status)
{
    struct stead_message *message;
    struct stead_instance it;
    uint32_t told = 0;

    while ((message = stead_queue_pop(&fx->answers)) != NULL) {
        if (message->status == 0 && stead_instance_read(stead_message_payload(message), &it) == 0) {
            assert_int_equal(it.execution, execution);
            assert_int_equal(it.status, status);
            told++;
        }
        stead_message_destroy(&message);
    }
    return told;
}

/* Their answers are more than one turn gives, and what they wait for is replaced in that turn. */
static void test_many_who_wait_for_a_replaced_one_hear_of_its_end(void **state)
{
    const uint32_t size = 1000000;
    uint8_t *bytes = calloc(1, size);

    (void)state;
    or_ask("w", "start", "{s:s,s:B}", "name", "slow", "input", stead_bytes(bytes, size));
    assert_int_equal(answer->status, 0);
    free(bytes);
    for (uint32_t i = 0; i < WAITERS; i++)
        or_post("w", "wait");
    fx_run(fx);
    or_post("w", "status"); /* the waiters are there */
    fx_run(fx);
    assert_int_equal(count_told(1, STEAD_INSTANCE_RUNNING), 1);

    struct stead_writer args;
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:b}", "name", "slow", "replace", 1);
    struct stead_message *start =
        fx_request(fx, &client, STEAD_CALL, "orchestration/w", "start", stead_written(&args), NULL);
    stead_writer_deinit(&args);
    stead_host_deliver(fx->host, &start);
    settle();
    assert_int_equal(count_told(1, STEAD_INSTANCE_TERMINATED), WAITERS);
}

/* The rest of those who wait is still to be answered when it begins again. */
static void test_many_who_wait_for_what_is_restarted_hear_of_its_end(void **state)
{
    const uint32_t size = 1000000;
    uint8_t *bytes = calloc(1, size);

    (void)state;
    or_ask("w", "start", "{s:s,s:B}", "name", "slow", "input", stead_bytes(bytes, size));
    free(bytes);
    for (uint32_t i = 0; i < WAITERS; i++)
        or_post("w", "wait");
    fx_run(fx);
    or_post("w", "terminate");
    or_post("w", "restart");
    settle();
    assert_int_equal(count_told(1, STEAD_INSTANCE_TERMINATED), WAITERS);
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
        TEST(test_many_who_wait_for_a_replaced_one_hear_of_its_end),
        TEST(test_many_who_wait_for_what_is_restarted_hear_of_its_end),
    };

    or_orchestrators[0] = &waves;
    or_orchestrators[1] = &slow;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
