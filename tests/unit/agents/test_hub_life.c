/* SPDX-License-Identifier: Apache-2.0 */
/* One life of an instance's id on a hub after the other: what was asked of an earlier one does nothing to a later. */
#include "unit/agents/hub_worker_fixture.h"

/* ---- The steps of a test ------------------------------------------------------------------------------------ */

static void create_as(const char *start, const char *instance, const char *name, int64_t input)
{
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:s,s:l,s:l,s:s}", "id", instance, "name", name, "version", (int64_t)0, "input", input,
               "start", start);
    assert_int_equal(ask(stead_hub_table(&settings, 0).text, "create", &args), 0);
}

static void begin_as(const char *start, const char *instance, const char *name, int64_t input, int64_t delay_ms)
{
    struct stead_writer args;

    create_as(start, instance, name, input);
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:l,s:{s:s,s:s,s:s,s:l,s:u}}", "id", start, "delay", delay_ms, "body", "t", "start", "i",
               instance, "n", name, "v", input, "ver", (uint64_t)0);
    assert_int_equal(ask(stead_hub_control(&settings, 0).text, "enqueue", &args), 0);
}

static void terminate(const char *instance)
{
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:{s:s,s:s,s:u,s:s}}", "id", "end", "body", "t", "steer", "i", instance, "k",
               (uint64_t)STEAD_HISTORY_EXECUTION_TERMINATED, "es", "");
    assert_int_equal(ask(stead_hub_control(&settings, 0).text, "enqueue", &args), 0);
}

/* The request `pr` of the parent `p`, which repeats the request `rw`; 0: none. */
static void ask_for_child(const char *instance, const char *name, uint64_t pr, uint64_t rw)
{
    struct stead_writer args;
    char id[32];

    snprintf(id, sizeof(id), "p:1:%u:s", (unsigned)pr);
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:{s:s,s:s,s:s,s:u,s:u,s:s,s:u,s:u,s:u}}", "id", id, "body", "t", "start", "i", instance,
               "n", name, "v", (uint64_t)0, "ver", (uint64_t)0, "p", "p", "px", (uint64_t)1, "pr", pr, "rw", rw);
    assert_int_equal(ask(stead_hub_control(&settings, 0).text, "enqueue", &args), 0);
}

static int of_table(const char *op, const char *instance)
{
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:s}", "id", instance);
    return ask(stead_hub_table(&settings, 0).text, op, &args);
}

static void purge(const char *instance)
{
    assert_int_equal(of_table("purge", instance), 0);
}

/* What a worker that died had taken comes back, and is done with; who had waited for an answer asks again. */
static void let_come_back(int64_t ms)
{
    static uint8_t name = 10;

    for (int64_t at = 0; at < ms; at += 1000)
        fx_step_ms(fx, 1000);
    client = fx_client(fx, ++name);
}

static void assert_status(const char *instance, enum stead_instance_status status)
{
    assert_int_equal(look_at(instance).status, status);
}

static void assert_output(const char *instance, int64_t output)
{
    struct stead_instance it = look_at(instance);
    int64_t number = 0;

    assert_int_equal(it.status, STEAD_INSTANCE_COMPLETED);
    assert_int_equal(stead_get_i64(it.output, NULL, &number), 0);
    assert_int_equal(number, output);
}

/* ---- A start that comes too late ---------------------------------------------------------------------------- */

#define DELAY_MS 30000

static void begin_and_cancel(void)
{
    begin_as("s1", "w", "marked", 1, DELAY_MS);
    terminate("w");
    assert_status("w", STEAD_INSTANCE_CANCELED);
}

static void test_start_that_was_canceled_leaves_nothing_in_the_queue(void **state)
{
    (void)state;
    begin_and_cancel();
    assert_int_equal(count_of("depth"), 0);
}

/* Of one that was created before; it was not in the queue when that was canceled. */
static void put_start(const char *start, const char *instance)
{
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:{s:s,s:s,s:s,s:l,s:u}}", "id", start, "body", "t", "start", "i", instance, "n", "marked",
               "v", (int64_t)1, "ver", (uint64_t)0);
    assert_int_equal(ask(stead_hub_control(&settings, 0).text, "enqueue", &args), 0);
}

static void test_start_that_was_canceled_does_not_run_when_its_instance_was_purged(void **state)
{
    (void)state;
    create_as("s1", "w", "marked", 1);
    terminate("w");
    assert_status("w", STEAD_INSTANCE_CANCELED);
    purge("w");
    put_start("s1", "w");
    let_come_back(1000);
    assert_int_equal(of_table("status", "w"), STEAD_ENOTFOUND);
    assert_int_equal(ran, 0);
}

static void test_start_that_was_canceled_does_not_run_behind_its_successor(void **state)
{
    (void)state;
    create_as("s1", "w", "marked", 1);
    terminate("w");
    assert_status("w", STEAD_INSTANCE_CANCELED);
    begin_as("s2", "w", "marked", 2, 0);
    assert_output("w", 2);
    put_start("s1", "w");
    let_come_back(1000);
    assert_output("w", 2);
    assert_int_equal(ran, 1);
}

/* Its worker died before it had deleted the start. */
static void test_start_that_was_taken_does_not_run_again_when_its_instance_was_purged(void **state)
{
    (void)state;
    begin_as("s1", "w", "marked", 1, 0);
    stop_worker();
    assert_output("w", 1);
    purge("w");
    let_come_back(2 * STEAD_HUB_HIDE_MS);
    assert_int_equal(of_table("status", "w"), STEAD_ENOTFOUND);
    assert_int_equal(ran, 1);
}

static void test_start_that_was_taken_does_not_run_again_behind_its_successor(void **state)
{
    (void)state;
    begin_as("s1", "w", "marked", 1, 0);
    stop_worker();
    assert_output("w", 1);
    begin_as("s2", "w", "marked", 2, 0);
    assert_output("w", 2);
    let_come_back(2 * STEAD_HUB_HIDE_MS);
    assert_output("w", 2);
    assert_int_equal(ran, 2);
}

/* ---- A child that failed ------------------------------------------------------------------------------------ */

static int fail_it(struct stead_orchestration *o, struct stead_slice input)
{
    (void)input;
    return stead_fail_with(o, "bad_day", "no");
}
static const struct stead_orchestrator failing = {.abi = STEAD_ORCHESTRATION_ABI,
                                                  .struct_size = sizeof(struct stead_orchestrator),
                                                  .name = "failing",
                                                  .version = 1,
                                                  .run = fail_it};

static int setup_failing(void **state)
{
    (void)state;
    set_up(STEAD_HUB_NOTIFY);
    return stead_registry_add_orchestrator(fx->registry, &failing, NULL);
}

static void test_child_that_failed_is_rewound_by_who_repeats_a_request_that_did_not_come(void **state)
{
    (void)state;
    ask_for_child("c", "failing", 3, 0);
    assert_status("c", STEAD_INSTANCE_FAILED);
    ask_for_child("c", "failing", 7, 5);
    assert_int_equal(look_at("c").execution, 1);
}

int main(void)
{
#define IN_HUB(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        IN_HUB(test_start_that_was_canceled_leaves_nothing_in_the_queue),
        IN_HUB(test_start_that_was_canceled_does_not_run_when_its_instance_was_purged),
        IN_HUB(test_start_that_was_canceled_does_not_run_behind_its_successor),
        IN_HUB(test_start_that_was_taken_does_not_run_again_when_its_instance_was_purged),
        IN_HUB(test_start_that_was_taken_does_not_run_again_behind_its_successor),
        cmocka_unit_test_setup_teardown(test_child_that_failed_is_rewound_by_who_repeats_a_request_that_did_not_come,
                                        setup_failing, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
