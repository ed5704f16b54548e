/* SPDX-License-Identifier: Apache-2.0 */
/* Instances of a hub: timers beyond what a queue hides, code that is not loaded, what outlives an execution. */
#include "unit/agents/hub_worker_fixture.h"

/* ---- Far timers ------------------------------------------------------------------------------------------- */

#define YEAR_MS (INT64_C(366) * 24 * 3600 * 1000)

static void begin(const char *instance, const char *name, int64_t input)
{
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:s,s:l,s:l,s:s}", "id", instance, "name", name, "version", (int64_t)0, "input", input,
               "start", instance);
    assert_int_equal(ask(stead_hub_table(&settings, 0).text, "create", &args), 0);
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:{s:s,s:s,s:s,s:l,s:u}}", "id", instance, "body", "t", "start", "i", instance, "n", name,
               "v", input, "ver", (uint64_t)0);
    assert_int_equal(ask(stead_hub_control(&settings, 0).text, "enqueue", &args), 0);
}

/* The number makes the message's id. */
static void steer(const char *instance, enum stead_history_type kind)
{
    static unsigned number;
    struct stead_writer args;
    char id[32];

    snprintf(id, sizeof(id), "steer-%u", ++number);
    stead_writer_init(&args);
    if (kind == STEAD_HISTORY_EVENT_RAISED)
        stead_pack(&args, "{s:s,s:{s:s,s:s,s:s,s:u}}", "id", id, "body", "t", "raise", "i", instance, "n", "go", "v",
                   (uint64_t)number);
    else
        stead_pack(&args, "{s:s,s:{s:s,s:s,s:u,s:s}}", "id", id, "body", "t", "steer", "i", instance, "k",
                   (uint64_t)kind, "es", "");
    assert_int_equal(ask(stead_hub_control(&settings, 0).text, "enqueue", &args), 0);
}

/* Time goes by at once; who had waited for an answer meanwhile asks again, and what it would have got comes back. */
static void leap(int64_t ms)
{
    static uint8_t name = 10;

    fx_step_ms(fx, (uint64_t)ms);
    for (int64_t seconds = 0; seconds < 2 * STEAD_HUB_HIDE_MS / 1000; seconds++)
        fx_step_ms(fx, 1000);
    client = fx_client(fx, ++name); /* its session is over, too */
}

static void test_timer_that_is_due_in_centuries_fires_then_and_not_before(void **state)
{
    (void)state;
    begin("late", "sleeper", 250 * YEAR_MS);
    begin("never", "sleeper", INT64_MAX);
    assert_int_equal(look_at("late").status, STEAD_INSTANCE_RUNNING);
    assert_int_equal(look_at("never").status, STEAD_INSTANCE_RUNNING);
    for (int century = 1; century <= 2; century++) {
        leap(101 * YEAR_MS);
        assert_int_equal(look_at("late").status, STEAD_INSTANCE_RUNNING);
    }
    leap(49 * YEAR_MS);
    assert_int_equal(look_at("late").status, STEAD_INSTANCE_COMPLETED);
    steer("never", STEAD_HISTORY_EXECUTION_SUSPENDED);
    assert_int_equal(look_at("never").status, STEAD_INSTANCE_SUSPENDED);
    steer("never", STEAD_HISTORY_EXECUTION_TERMINATED);
    assert_int_equal(look_at("never").status, STEAD_INSTANCE_TERMINATED);
    assert_int_equal(count_of("depth"), 0); /* its timer went with it */
}

/* ---- Code that is not loaded -------------------------------------------------------------------------------- */

static void restart(bool with_code)
{
    stead_host_stop(fx->host);
    fx_run(fx);
    struct stead_registry *old = fx->registry;
    fx->registry = stead_registry_create();
    load(fx->registry, with_code);
    fx_crash(fx, false);
    stead_registry_destroy(&old);
}

static void test_instance_whose_code_is_gone_is_pending_and_goes_on_when_it_is_back(void **state)
{
    (void)state;
    begin("w", "waiter", 0);
    begin("x", "waiter", 0);
    assert_int_equal(look_at("w").status, STEAD_INSTANCE_RUNNING);
    restart(false);
    steer("w", STEAD_HISTORY_EXECUTION_SUSPENDED);
    assert_int_equal(look_at("w").status, STEAD_INSTANCE_SUSPENDED);
    steer("w", STEAD_HISTORY_EXECUTION_RESUMED);
    assert_int_equal(look_at("w").status, STEAD_INSTANCE_PENDING);
    steer("w", STEAD_HISTORY_EVENT_RAISED);
    steer("w", STEAD_HISTORY_EVENT_RAISED);
    steer("x", STEAD_HISTORY_EVENT_RAISED);
    assert_int_equal(look_at("w").status, STEAD_INSTANCE_PENDING);
    assert_int_equal(look_at("x").status, STEAD_INSTANCE_PENDING);
    fx_step_ms(fx, 100);
    assert_int_equal(count_of("depth"), 2); /* one for each looks for the code */
    steer("x", STEAD_HISTORY_EXECUTION_SUSPENDED);
    assert_int_equal(look_at("x").status, STEAD_INSTANCE_SUSPENDED);
    assert_int_equal(count_of("depth"), 1);
    restart(true);
    assert_int_equal(look_at("w").status, STEAD_INSTANCE_COMPLETED);
    assert_int_equal(look_at("x").status, STEAD_INSTANCE_SUSPENDED);
    steer("x", STEAD_HISTORY_EXECUTION_RESUMED);
    assert_int_equal(look_at("x").status, STEAD_INSTANCE_COMPLETED);
    assert_int_equal(count_of("depth"), 0);
}

/* What looks for the code goes: the first message of the queue that is of this kind. */
static void lose_wake(void)
{
    struct stead_hub_part queue = stead_hub_control(&settings, 0);
    struct stead_slice id, what;
    struct stead_writer args;
    uint32_t count = 0, members, lost = 0;

    stead_writer_init(&args);
    stead_pack(&args, "{s:u}", "max", (uint64_t)10);
    assert_int_equal(ask(queue.text, "peek", &args), 0);
    struct stead_writer ids, list;
    stead_writer_init(&ids);
    stead_writer_init(&list);
    struct stead_reader reader = stead_reader(stead_message_payload(answer));
    assert_int_equal(stead_read_array(&reader, &count), 0);
    for (; count > 0; count--) {
        struct stead_slice body;
        assert_int_equal(stead_read_array(&reader, &members), 0);
        for (int skipped = 0; skipped < 4; skipped++)
            assert_int_equal(stead_read_skip(&reader), 0);
        assert_int_equal(stead_read_str(&reader, &id), 0);
        assert_int_equal(stead_read_value(&reader, &body), 0);
        if (stead_get_str(body, "t", &what) != 0 || !stead_slice_equal(what, stead_str("wake")))
            continue;
        stead_write_str_slice(&ids, id);
        lost++;
    }
    assert_int_equal(lost, 1);
    stead_write_array(&list, lost);
    stead_write_raw(&list, ids.data, ids.size);
    stead_writer_deinit(&ids);
    assert_int_equal(ask(queue.text, "cancel", &list), 0);
}

/* Who wrote that it is Pending has died before anything was put into the queue, and what it took comes back. */
static void test_instance_whose_code_is_gone_is_woken_also_when_its_worker_died(void **state)
{
    (void)state;
    begin("w", "waiter", 0);
    assert_int_equal(look_at("w").status, STEAD_INSTANCE_RUNNING);
    restart(false);
    (void)look_at("w"); /* the worker is awake */
    steer("w", STEAD_HISTORY_EVENT_RAISED);
    stop_worker();
    lose_wake();
    fx_step_ms(fx, 700000); /* its id is forgotten */
    leap(0);
    assert_int_equal(look_at("w").status, STEAD_INSTANCE_PENDING);
    fx_step_ms(fx, 100);
    assert_int_equal(count_of("depth"), 1);
    restart(true);
    assert_int_equal(look_at("w").status, STEAD_INSTANCE_COMPLETED);
}

/* The next one to come says nothing to it. */
static void test_instance_whose_code_is_gone_is_woken_by_whatever_comes(void **state)
{
    struct stead_writer args;

    (void)state;
    begin("w", "waiter", 0);
    assert_int_equal(look_at("w").status, STEAD_INSTANCE_RUNNING);
    restart(false);
    steer("w", STEAD_HISTORY_EVENT_RAISED);
    assert_int_equal(look_at("w").status, STEAD_INSTANCE_PENDING);
    fx_step_ms(fx, 100);
    stop_worker();
    lose_wake();
    fx_step_ms(fx, 700000);
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:{s:s,s:s,s:u,s:u,s:u}}", "id", "odd", "body", "t", "result", "i", "w", "x", (uint64_t)1,
               "r", (uint64_t)1, "k", (uint64_t)STEAD_HISTORY_TASK_COMPLETED);
    assert_int_equal(ask(stead_hub_control(&settings, 0).text, "enqueue", &args), 0);
    assert_int_equal(look_at("w").status, STEAD_INSTANCE_PENDING);
    restart(true);
    assert_int_equal(look_at("w").status, STEAD_INSTANCE_COMPLETED);
}

/* ---- Small ones ---------------------------------------------------------------------------------------------- */

/* Also when it is one more than an episode has, and the last begins in one of its own. */
static void test_custom_status_outlives_the_execution_that_set_it(void **state)
{
    int64_t custom = 0;

    (void)state;
    for (int64_t executions = 1; executions <= 17; executions += 16) {
        const char *instance = executions == 1 ? "few" : "many";
        begin(instance, "waiter", executions);
        struct stead_instance it = look_at(instance);
        assert_int_equal(it.status, STEAD_INSTANCE_RUNNING);
        assert_int_equal(it.execution, executions + 1);
        assert_int_equal(stead_get_i64(it.custom_status, NULL, &custom), 0);
        assert_int_equal(custom, 1);
    }
}

static void test_instance_that_was_terminated_before_it_began_is_canceled(void **state)
{
    struct stead_writer args;

    (void)state;
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:s,s:l,s:l,s:s}", "id", "w", "name", "waiter", "version", (int64_t)0, "input", (int64_t)0,
               "start", "w");
    assert_int_equal(ask(stead_hub_table(&settings, 0).text, "create", &args), 0);
    steer("w", STEAD_HISTORY_EXECUTION_TERMINATED);
    struct stead_instance it = look_at("w");
    assert_int_equal(it.status, STEAD_INSTANCE_CANCELED);
    assert_string_equal(it.error_name, "canceled");
}

/* Its start waits for code, and both come at once, again and again. */
static void test_instance_without_code_is_canceled_also_beside_its_start(void **state)
{
    (void)state;
    stop_worker();
    begin("w", "nobody", 0);
    steer("w", STEAD_HISTORY_EXECUTION_TERMINATED);
    assert_int_equal(look_at("w").status, STEAD_INSTANCE_CANCELED);
    fx_step_ms(fx, 100);
    assert_int_equal(count_of("depth"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_timer_that_is_due_in_centuries_fires_then_and_not_before, setup, teardown),
        cmocka_unit_test_setup_teardown(test_instance_whose_code_is_gone_is_pending_and_goes_on_when_it_is_back, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_instance_whose_code_is_gone_is_woken_also_when_its_worker_died, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_instance_whose_code_is_gone_is_woken_by_whatever_comes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_custom_status_outlives_the_execution_that_set_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_instance_that_was_terminated_before_it_began_is_canceled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_instance_without_code_is_canceled_also_beside_its_start, setup_polled,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
