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

/* ---- Children of a rewound parent ---------------------------------------------------------------------------- */

/* The request `pr` of the parent `p`, which repeats the request `rw`; 0: none. Its input is its number. */
static void ask_for_child_in(const char *instance, const char *name, uint64_t pr, uint64_t rw, int64_t delay_ms)
{
    struct stead_writer args;
    char id[32];

    snprintf(id, sizeof(id), "p:1:%u:s", (unsigned)pr);
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:l,s:{s:s,s:s,s:s,s:u,s:u,s:s,s:u,s:u,s:u}}", "id", id, "delay", delay_ms, "body", "t",
               "start", "i", instance, "n", name, "v", (uint64_t)0, "ver", (uint64_t)0, "p", "p", "px", (uint64_t)1,
               "pr", pr, "rw", rw);
    assert_int_equal(ask(stead_hub_control(&settings, 0).text, "enqueue", &args), 0);
}

static void ask_for_child(const char *instance, const char *name, uint64_t pr, uint64_t rw)
{
    ask_for_child_in(instance, name, pr, rw, 0);
}

static int64_t due_of_wake(void)
{
    struct stead_slice body, what;
    struct stead_writer args;
    uint32_t count = 0, members;
    int64_t due_ms = 0, found_ms = 0;

    stead_writer_init(&args);
    stead_pack(&args, "{s:u}", "max", (uint64_t)10);
    assert_int_equal(ask(stead_hub_control(&settings, 0).text, "peek", &args), 0);
    struct stead_reader reader = stead_reader(stead_message_payload(answer));
    assert_int_equal(stead_read_array(&reader, &count), 0);
    for (; count > 0; count--) {
        assert_int_equal(stead_read_array(&reader, &members), 0);
        assert_int_equal(stead_read_skip(&reader), 0);
        assert_int_equal(stead_read_i64(&reader, &due_ms), 0);
        for (int skipped = 0; skipped < 3; skipped++)
            assert_int_equal(stead_read_skip(&reader), 0);
        assert_int_equal(stead_read_value(&reader, &body), 0);
        if (stead_get_str(body, "t", &what) == 0 && stead_slice_equal(what, stead_str("wake")))
            found_ms = due_ms;
    }
    assert_true(found_ms > 0);
    return found_ms;
}

/* The parent's request that a child is known by: what terminates the child of another one passes it by. */
static void assert_is_of(const char *instance, uint64_t pr)
{
    static unsigned number;

    for (uint64_t request = pr - 2; request <= pr; request++) {
        struct stead_writer args;
        char id[32];
        assert_int_equal(look_at(instance).status, STEAD_INSTANCE_RUNNING);
        snprintf(id, sizeof(id), "end-%u", ++number);
        stead_writer_init(&args);
        stead_pack(&args, "{s:s,s:{s:s,s:s,s:u,s:s,s:s,s:u,s:u}}", "id", id, "body", "t", "steer", "i", instance, "k",
                   (uint64_t)STEAD_HISTORY_EXECUTION_TERMINATED, "es", "", "p", "p", "px", (uint64_t)1, "pr", request);
        assert_int_equal(ask(stead_hub_control(&settings, 0).text, "enqueue", &args), 0);
    }
    assert_int_equal(look_at(instance).status, STEAD_INSTANCE_TERMINATED);
}

/* The wake and the new request come together. */
static void test_child_whose_code_is_gone_is_woken_also_when_its_wake_comes_with_a_new_request(void **state)
{
    (void)state;
    ask_for_child("c", "waiter", 3, 0);
    assert_int_equal(look_at("c").status, STEAD_INSTANCE_RUNNING);
    restart(false);
    steer("c", STEAD_HISTORY_EVENT_RAISED);
    for (int rounds = 0; rounds < 20; rounds++)
        fx_step_ms(fx, 50);
    ask_for_child_in("c", "waiter", 5, 3, due_of_wake() - (int64_t)fx->now_ms);
    assert_int_equal(look_at("c").status, STEAD_INSTANCE_PENDING);
    assert_int_equal(count_of("depth"), 1);
    restart(true);
    assert_int_equal(look_at("c").status, STEAD_INSTANCE_COMPLETED);
}

/* The earlier request was hidden when the later one, which repeats it, began the child. */
static void test_child_goes_on_when_an_earlier_request_comes_late(void **state)
{
    (void)state;
    ask_for_child("c", "waiter", 5, 3);
    assert_int_equal(look_at("c").status, STEAD_INSTANCE_RUNNING);
    int64_t enqueued = count_of("enqueued");
    ask_for_child("c", "waiter", 3, 0);
    assert_int_equal(look_at("c").status, STEAD_INSTANCE_RUNNING);
    assert_int_equal(count_of("enqueued"), enqueued + 2); /* it, and the refusal */
    assert_is_of("c", 5);
}

/* It was begun and has ended meanwhile: nobody wants it once more. */
static void test_child_that_is_over_is_not_begun_by_an_earlier_request(void **state)
{
    (void)state;
    ask_for_child("c", "waiter", 5, 3);
    assert_int_equal(look_at("c").status, STEAD_INSTANCE_RUNNING);
    steer("c", STEAD_HISTORY_EVENT_RAISED);
    assert_int_equal(look_at("c").status, STEAD_INSTANCE_COMPLETED);
    int64_t enqueued = count_of("enqueued");
    ask_for_child("c", "waiter", 3, 0);
    assert_int_equal(look_at("c").status, STEAD_INSTANCE_COMPLETED);
    assert_int_equal(count_of("enqueued"), enqueued + 2); /* it, and the refusal */
    ask_for_child("c", "waiter", 7, 0);
    assert_is_of("c", 7);
}

/* Of three requests the second one is hidden: the third repeats that. */
static void test_child_that_runs_is_resumed_by_who_repeats_a_request_that_did_not_come(void **state)
{
    (void)state;
    ask_for_child("c", "waiter", 3, 0);
    steer("c", STEAD_HISTORY_EXECUTION_SUSPENDED);
    assert_int_equal(look_at("c").status, STEAD_INSTANCE_SUSPENDED);
    ask_for_child("c", "waiter", 7, 5);
    assert_int_equal(look_at("c").status, STEAD_INSTANCE_SUSPENDED); /* it was not begun anew */
    steer("c", STEAD_HISTORY_EXECUTION_RESUMED);
    assert_is_of("c", 7);
}

static void test_child_whose_requests_come_together_is_of_the_later_one(void **state)
{
    (void)state;
    stop_worker();
    ask_for_child("c", "waiter", 3, 0);
    ask_for_child("c", "waiter", 5, 3);
    assert_int_equal(look_at("c").status, STEAD_INSTANCE_RUNNING);
    assert_int_equal(count_of("enqueued"), 3); /* they, and the refusal of the earlier one */
    assert_is_of("c", 5);
}

static void ask_for_child_of(const char *parent, const char *instance)
{
    struct stead_writer args;
    char id[32];

    snprintf(id, sizeof(id), "%s:1:3:s", parent);
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:{s:s,s:s,s:s,s:u,s:u,s:s,s:u,s:u}}", "id", id, "body", "t", "start", "i", instance, "n",
               "waiter", "v", (uint64_t)0, "ver", (uint64_t)0, "p", parent, "px", (uint64_t)1, "pr", (uint64_t)3);
    assert_int_equal(ask(stead_hub_control(&settings, 0).text, "enqueue", &args), 0);
}

/* How many messages the history of an instance says were taken. */
static uint32_t count_taken(const char *instance)
{
    struct stead_slice rows, row;
    struct stead_writer args;
    uint32_t count = 0, members, taken = 0, all = 0;

    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:u}", "id", instance, "from", (uint64_t)0);
    assert_int_equal(ask(stead_hub_table(&settings, 0).text, "read", &args), 0);
    assert_int_equal(stead_get_value(stead_message_payload(answer), "rows", &rows), 0);
    struct stead_reader reader = stead_reader(rows);
    assert_int_equal(stead_read_array(&reader, &count), 0);
    for (; count > 0; count--) {
        assert_int_equal(stead_read_bin(&reader, &row), 0);
        struct stead_reader of_row = stead_reader(row);
        assert_int_equal(stead_read_array(&of_row, &members), 0);
        assert_int_equal(stead_read_array(&of_row, &taken), 0);
        all += taken;
    }
    return all;
}

/* Its start is not noted as taken: should the worker die before it has told of the refusal, it comes again. */
static void test_second_of_two_parents_that_ask_for_one_child_at_once_is_refused(void **state)
{
    (void)state;
    stop_worker();
    ask_for_child_of("p", "c");
    ask_for_child_of("q", "c");
    assert_int_equal(look_at("c").status, STEAD_INSTANCE_RUNNING);
    assert_int_equal(count_of("enqueued"), 3); /* they, and the refusal */
    assert_int_equal(count_taken("c"), 1);
    assert_is_of("c", 3);
}

/* ---- What tells of times ------------------------------------------------------------------------------------- */

static void test_activity_that_is_cancelled_leaves_nothing_that_tells_of_its_times(void **state)
{
    (void)state;
    fx_set_table(fx, NULL, 1, false);
    begin("w", "limited", 0);
    assert_int_equal(look_at("w").status, STEAD_INSTANCE_RUNNING);
    assert_int_equal(count_of("depth"), 2);
    steer("w", STEAD_HISTORY_EXECUTION_TERMINATED);
    assert_int_equal(look_at("w").status, STEAD_INSTANCE_TERMINATED);
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
        cmocka_unit_test_setup_teardown(
            test_child_whose_code_is_gone_is_woken_also_when_its_wake_comes_with_a_new_request, setup, teardown),
        cmocka_unit_test_setup_teardown(test_child_goes_on_when_an_earlier_request_comes_late, setup, teardown),
        cmocka_unit_test_setup_teardown(test_child_that_is_over_is_not_begun_by_an_earlier_request, setup, teardown),
        cmocka_unit_test_setup_teardown(test_child_that_runs_is_resumed_by_who_repeats_a_request_that_did_not_come,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_child_whose_requests_come_together_is_of_the_later_one, setup_polled,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_second_of_two_parents_that_ask_for_one_child_at_once_is_refused,
                                        setup_polled, teardown),
        cmocka_unit_test_setup_teardown(test_activity_that_is_cancelled_leaves_nothing_that_tells_of_its_times, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
