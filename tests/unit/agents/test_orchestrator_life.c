/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How instances begin, are steered and end: conflicts, Pending, events, continue-as-new, suspend, terminate with its
 * tree, rewind, restart, purge, retention, locks, and code that does not match its history any more.
 */
#include "unit/agents/orchestrator_fixture.h"

/* ---- Orchestrators -------------------------------------------------------------------------- */

/* Adds up the events "add" until one is 0. */
static int add_up(struct stead_orchestration *o, struct stead_slice input)
{
    int64_t sum = 0, one = 1;
    struct stead_slice value;

    (void)input;
    while (one != 0) {
        int code = stead_await_event(o, "add", -1, &value);
        if (code != 0)
            return code;
        if (stead_get_i64(value, NULL, &one) != 0)
            return STEAD_EARGUMENT;
        sum += one;
        (void)stead_set_status(o, stead_packed_for(o, "l", sum));
    }
    return stead_complete(o, stead_packed_for(o, "l", sum));
}
OR_ORCHESTRATOR(adder, add_up);

/* One event an execution; the sum is the input of the next. */
static int add_anew(struct stead_orchestration *o, struct stead_slice input)
{
    int64_t sum = 0, one = 0;
    struct stead_slice value;

    int code = stead_await_event(o, "add", -1, &value);
    if (code != 0)
        return code;
    if (stead_get_i64(input, NULL, &sum) == STEAD_EARGUMENT || stead_get_i64(value, NULL, &one) != 0)
        return STEAD_EARGUMENT;
    if (one == 0)
        return stead_complete(o, input);
    return stead_continue_as_new(o, stead_packed_for(o, "l", sum + one));
}
OR_ORCHESTRATOR(anew, add_anew);

/* An activity and a child that never end by themselves, and a timer. */
static int wait_for_all(struct stead_orchestration *o, struct stead_slice input)
{
    const struct stead_task_options child = {.instance_id = "kid"};
    struct stead_task tasks[3];

    (void)input;
    tasks[0] = stead_begin_activity(o, "inc", stead_packed_for(o, "l", 1ll), NULL);
    tasks[1] = stead_begin_child(o, "adder", (struct stead_slice){0}, &child);
    tasks[2] = stead_begin_timer(o, 3600000);
    return stead_await_all(o, tasks, 3);
}
OR_ORCHESTRATOR(family, wait_for_all);

/* inc, then bad, then inc. */
static int fails_between(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice value;
    int code = stead_await_activity(o, "inc", input, &value);

    if (code == 0)
        code = stead_await_activity(o, "bad", value, &value);
    if (code == 0)
        code = stead_await_activity(o, "inc", value, &value);
    return code != 0 ? code : stead_complete(o, value);
}
OR_ORCHESTRATOR(brittle, fails_between);

/* The child's result plus one. */
static int ask_child(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice value;
    int code = stead_await_child(o, "brittle", input, &value);

    if (code == 0)
        code = stead_await_activity(o, "inc", value, &value);
    return code != 0 ? code : stead_complete(o, value);
}
OR_ORCHESTRATOR(parent, ask_child);

/* Another code under the same name. */
static const char *changing_name = "inc";
static int changes(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice value;
    int code = stead_await_timer(o, 10);

    if (code == 0)
        code = stead_await_activity(o, changing_name, input, &value);
    return code != 0 ? code : stead_complete(o, value);
}
OR_ORCHESTRATOR(changing, changes);

static int lock_and_wait(struct stead_orchestration *o, struct stead_slice input)
{
    const char *const one[] = {"vault/a"};
    int code = stead_lock(o, one, 1);

    (void)input;
    if (code == 0)
        code = stead_await_event(o, "go", -1, NULL);
    return code;
}
OR_ORCHESTRATOR(locker, lock_and_wait);

static int late_one(struct stead_orchestration *o, struct stead_slice input)
{
    return stead_complete(o, input);
}
OR_ORCHESTRATOR(late, late_one);

static struct stead_orchestrator leaving = {.abi = STEAD_ORCHESTRATION_ABI,
                                            .struct_size = sizeof(struct stead_orchestrator),
                                            .name = "leaving",
                                            .version = 1,
                                            .run = add_up};

static const struct stead_orchestrator kept = {.abi = STEAD_ORCHESTRATION_ABI,
                                               .struct_size = sizeof(struct stead_orchestrator),
                                               .name = "kept",
                                               .version = 1,
                                               .run = late_one,
                                               .keep_completed_ms = 60000};

/* ---- An agent to lock ----------------------------------------------------------------------- */

static int vault_ping(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_reply(turn, stead_packed(turn, "l", 1ll));
}
static const struct stead_op vault_ops[] = {{"ping", vault_ping, NULL, 0, NULL}, {NULL, NULL, NULL, 0, NULL}};
static const struct stead_kind vault = {.abi = STEAD_ABI,
                                        .struct_size = sizeof(struct stead_kind),
                                        .name = "vault",
                                        .durability = STEAD_DURABLE,
                                        .ops = vault_ops};

/* ---- Helpers -------------------------------------------------------------------------------- */

static int asked(const char *id, const char *op)
{
    or_ask(id, op, "{}");
    assert_non_null(answer);
    return answer->status;
}

static void add(const char *id, int64_t number)
{
    or_ask(id, "raise", "{s:s,s:l}", "name", "add", "value", number);
    assert_non_null(answer);
    assert_int_equal(answer->status, 0);
}

/* ---- Tests ---------------------------------------------------------------------------------- */

static void test_life_active_id_is_a_conflict_and_finished_one_is_used_again(void **state)
{
    (void)state;
    or_ask("i", "start", "{s:s}", "name", "adder");
    assert_int_equal(answer->status, 0);
    or_ask("i", "start", "{s:s}", "name", "adder");
    assert_int_equal(answer->status, STEAD_ECONFLICT);
    add("i", 3);
    add("i", 0);
    or_expect_status("i", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_output(), 3);
    or_ask("i", "start", "{s:s}", "name", "adder");
    assert_int_equal(answer->status, 0);
    or_expect_status("i", STEAD_INSTANCE_RUNNING);
    assert_int_equal(or_told().execution, 2);
    or_ask("i", "start", "{s:s,s:b}", "name", "adder", "replace", 1);
    assert_int_equal(answer->status, 0);
    or_expect_status("i", STEAD_INSTANCE_RUNNING);
    assert_int_equal(or_told().execution, 3);
}

static void test_life_unknown_ids_are_not_found(void **state)
{
    (void)state;
    const char *const ops[] = {"status", "history", "wait",    "terminate", "suspend",
                               "resume", "rewind",  "restart", "purge"};
    for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++)
        assert_int_equal(asked("nobody", ops[i]), STEAD_ENOTFOUND);
    or_ask("nobody", "raise", "{s:s}", "name", "x");
    assert_int_equal(answer->status, STEAD_ENOTFOUND);
}

static void test_life_unknown_orchestrator_waits_until_it_is_loaded(void **state)
{
    (void)state;
    or_ask("i", "run", "{s:s,s:l}", "name", "late", "input", 7ll);
    assert_null(answer);
    or_expect_status("i", STEAD_INSTANCE_PENDING);
    assert_string_equal(or_told().error_sentence, "its orchestrator is not loaded on this node");
    fx_step_ms(fx, 100000);
    or_crash();
    assert_int_equal(stead_registry_add_orchestrator(fx->registry, &late, NULL), 0);
    fx_step_ms(fx, 31000);
    or_expect_status("i", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_output(), 7);
}

/* Whether it waits for its code from the start, or lost it: a suspension and its end need no code. */
static void test_life_pending_one_is_suspended_and_resumed(void **state)
{
    (void)state;
    or_ask("i", "run", "{s:s,s:l}", "name", "late", "input", 7ll);
    or_expect_status("i", STEAD_INSTANCE_PENDING);
    assert_int_equal(asked("i", "suspend"), 0);
    or_expect_status("i", STEAD_INSTANCE_SUSPENDED);
    assert_int_equal(asked("i", "suspend"), STEAD_ESTATE);
    fx_step_ms(fx, 100000);
    or_crash();
    add("i", 1);
    or_expect_status("i", STEAD_INSTANCE_SUSPENDED);
    assert_int_equal(asked("i", "resume"), 0);
    or_expect_status("i", STEAD_INSTANCE_PENDING);
    assert_string_equal(or_told().error_sentence, "its orchestrator is not loaded on this node");
    assert_int_equal(asked("i", "suspend"), 0);
    assert_int_equal(stead_registry_add_orchestrator(fx->registry, &late, NULL), 0);
    fx_step_ms(fx, 100000);
    or_expect_status("i", STEAD_INSTANCE_SUSPENDED); /* the code is there, and does not run */
    assert_int_equal(asked("i", "resume"), 0);
    or_expect_status("i", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_output(), 7);
}

static void test_life_suspended_one_whose_code_is_gone_is_resumed_when_it_is_back(void **state)
{
    (void)state;
    or_ask("i", "start", "{s:s}", "name", "leaving");
    assert_int_equal(asked("i", "suspend"), 0);
    or_crash();
    leaving.version = 2; /* version 1 is not loaded any more */
    add("i", 4);
    add("i", 0);
    or_expect_status("i", STEAD_INSTANCE_SUSPENDED);
    assert_int_equal(asked("i", "resume"), 0);
    or_expect_status("i", STEAD_INSTANCE_PENDING);
    leaving.version = 1;
    fx_step_ms(fx, 31000);
    or_expect_status("i", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_output(), 4);
}

static void test_life_delayed_one_is_suspended_and_its_delay_goes_on(void **state)
{
    (void)state;
    or_ask("i", "start", "{s:s,s:l}", "name", "kept", "delay", 5000ll);
    or_ask("j", "start", "{s:s,s:l}", "name", "kept", "delay", 5000ll);
    assert_int_equal(asked("i", "suspend"), 0);
    assert_int_equal(asked("j", "suspend"), 0);
    or_expect_status("i", STEAD_INSTANCE_SUSPENDED);
    assert_int_equal(asked("i", "resume"), 0);
    or_expect_status("i", STEAD_INSTANCE_PENDING);
    fx_step_ms(fx, 5001);
    or_expect_status("i", STEAD_INSTANCE_COMPLETED);
    or_expect_status("j", STEAD_INSTANCE_SUSPENDED);
    assert_int_equal(asked("j", "terminate"), 0);
    or_expect_status("j", STEAD_INSTANCE_CANCELED); /* it never ran */
}

static void test_life_pending_one_is_canceled(void **state)
{
    (void)state;
    or_ask("i", "start", "{s:s,s:l}", "name", "adder", "delay", 5000ll);
    or_expect_status("i", STEAD_INSTANCE_PENDING);
    assert_int_equal(asked("i", "terminate"), 0);
    or_expect_status("i", STEAD_INSTANCE_CANCELED);
    fx_step_ms(fx, 10000);
    or_expect_status("i", STEAD_INSTANCE_CANCELED);
    or_ask("j", "start", "{s:s,s:l,s:l}", "name", "late2", "delay", 5000ll, "input", 1ll);
    or_ask("k", "start", "{s:s,s:l}", "name", "adder", "delay", 5000ll);
    fx_step_ms(fx, 5001);
    or_expect_status("k", STEAD_INSTANCE_RUNNING);
}

/* The history as names of events, one behind the other. */
static void expect_history(const char *expected)
{
    char names[512] = "";
    struct stead_slice events, map, type;
    uint32_t count = 0;

    or_ask("i", "history", "{}");
    assert_int_equal(answer->status, 0);
    assert_int_equal(stead_get_value(stead_message_payload(answer), "events", &events), 0);
    struct stead_reader reader = stead_reader(events);
    assert_int_equal(stead_read_array(&reader, &count), 0);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(stead_read_value(&reader, &map), 0);
        assert_int_equal(stead_get_str(map, "type", &type), 0);
        size_t size = strlen(names);
        (void)snprintf(names + size, sizeof(names) - size, "%.*s ", (int)type.size, (const char *)type.data);
    }
    assert_string_equal(names, expected);
}

static void test_life_history_of_a_canceled_one_has_an_end(void **state)
{
    (void)state;
    or_ask("i", "start", "{s:s,s:l}", "name", "adder", "delay", 5000ll);
    assert_int_equal(asked("i", "terminate"), 0);
    expect_history("OrchestratorStarted ExecutionStarted ExecutionTerminated OrchestratorCompleted ");
    or_expect_status("i", STEAD_INSTANCE_CANCELED);
    assert_int_equal(or_told().events, 4);
    or_crash();
    or_ask("i", "start", "{s:s,s:l}", "name", "kept", "delay", 5000ll);
    assert_int_equal(asked("i", "suspend"), 0);
    or_crash();
    assert_int_equal(asked("i", "terminate"), 0);
    expect_history(
        "OrchestratorStarted ExecutionStarted ExecutionSuspended ExecutionTerminated OrchestratorCompleted ");
    or_expect_status("i", STEAD_INSTANCE_CANCELED);
}

static void test_life_events_and_custom_status_survive_crashes(void **state)
{
    (void)state;
    or_ask("i", "start", "{s:s}", "name", "adder");
    for (int64_t i = 1; i <= 4; i++) {
        add("i", i);
        or_crash();
        int64_t sum = 0;
        or_expect_status("i", STEAD_INSTANCE_RUNNING);
        assert_int_equal(stead_get_i64(or_told().custom_status, NULL, &sum), 0);
        assert_int_equal(sum, i * (i + 1) / 2);
    }
    add("i", 0);
    or_expect_status("i", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_output(), 10);
    or_ask("i", "raise", "{s:s}", "name", "add");
    assert_int_equal(answer->status, STEAD_ESTATE);
}

static void test_life_suspended_code_does_not_run_and_loses_nothing(void **state)
{
    (void)state;
    or_ask("i", "start", "{s:s}", "name", "adder");
    assert_int_equal(asked("i", "suspend"), 0);
    assert_int_equal(asked("i", "suspend"), STEAD_ESTATE);
    add("i", 5);
    add("i", 0);
    or_crash();
    or_expect_status("i", STEAD_INSTANCE_SUSPENDED);
    assert_int_equal(asked("i", "resume"), 0);
    or_expect_status("i", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_output(), 5);
    assert_int_equal(asked("i", "resume"), STEAD_ESTATE);
}

/* Rows of histories in the image. */
static uint32_t history_rows(void)
{
    uint32_t count = 0;

    fx_cold_restart(fx);
    fx_set_table(fx, NULL, 1, false);
    fx_run(fx);
    for (uint32_t i = 0; i < fx->row_count; i++)
        for (size_t at = 0; at + 14 <= fx->rows[i].key_size; at++)
            count += memcmp(fx->rows[i].key + at, "h\0\0\0", 4) == 0;
    return count;
}

static void test_life_continue_as_new_carries_events_and_sweeps_old_rows(void **state)
{
    (void)state;
    or_ask("i", "run", "{s:s}", "name", "anew");
    assert_int_equal(asked("i", "suspend"), 0);
    for (int64_t i = 1; i <= 20; i++)
        add("i", i);
    or_crash();
    assert_int_equal(asked("i", "resume"), 0);
    or_expect_status("i", STEAD_INSTANCE_RUNNING);
    assert_int_equal(or_told().execution, 21);
    int64_t sum = 0;
    assert_int_equal(stead_get_i64(or_told().input, NULL, &sum), 0);
    assert_int_equal(sum, 210);
    assert_true(history_rows() <= 3);
    add("i", 0);
    or_expect_status("i", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_output(), 210);
}

static void test_life_terminate_reaches_children_and_activities(void **state)
{
    (void)state;
    or_ask("i", "start", "{s:s}", "name", "family");
    or_expect_status("kid", STEAD_INSTANCE_RUNNING);
    assert_string_equal(or_told().parent, "i");
    or_crash();
    or_ask("i", "terminate", "{s:s}", "reason", "enough");
    assert_int_equal(answer->status, 0);
    or_expect_status("i", STEAD_INSTANCE_TERMINATED);
    assert_string_equal(or_told().error_sentence, "enough");
    or_expect_status("kid", STEAD_INSTANCE_TERMINATED);
    assert_true(fx->cancels > 0);
    uint64_t events = or_told().events;
    or_do_jobs(); /* nobody takes what it did */
    fx_step_ms(fx, 4000000);
    or_expect_status("i", STEAD_INSTANCE_TERMINATED);
    or_expect_status("kid", STEAD_INSTANCE_TERMINATED);
    assert_int_equal(or_told().events, events);
    assert_int_equal(asked("i", "terminate"), STEAD_ESTATE);
}

static void test_life_rewind_tries_the_failed_step_again(void **state)
{
    (void)state;
    or_ask("i", "run", "{s:s,s:l}", "name", "brittle", "input", 1ll);
    or_do_jobs();
    assert_int_equal(or_told().status, STEAD_INSTANCE_FAILED);
    assert_string_equal(or_told().error_name, "bad_luck");
    assert_int_equal(asked("i", "rewind"), 0); /* it fails again */
    or_crash();
    or_do_jobs();
    or_expect_status("i", STEAD_INSTANCE_FAILED);
    or_bad_is_good = true;
    uint32_t before = or_jobs_done;
    assert_int_equal(asked("i", "rewind"), 0);
    or_crash();
    or_do_jobs();
    or_expect_status("i", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_output(), 4);
    assert_int_equal(or_jobs_done - before, 2); /* the first step was not done again */
    assert_int_equal(asked("i", "rewind"), STEAD_ESTATE);
}

static void test_life_child_fails_its_parent_and_both_can_be_rewound(void **state)
{
    (void)state;
    or_ask("i", "start", "{s:s,s:l}", "name", "parent", "input", 1ll);
    or_do_jobs();
    or_expect_status("i", STEAD_INSTANCE_FAILED);
    assert_string_equal(or_told().error_name, "bad_luck");
    or_expect_status("i:1:1", STEAD_INSTANCE_FAILED);
    or_bad_is_good = true;
    uint32_t before = or_jobs_done;
    assert_int_equal(asked("i", "rewind"), 0);
    or_crash();
    or_do_jobs();
    or_expect_status("i", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_output(), 5);
    or_expect_status("i:1:1", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_told().execution, 1);
    assert_int_equal(or_jobs_done - before, 3); /* its second and third, and the parent's: its first had succeeded */
}

/* The parent has failed, and its child as well. */
static void fail_with_child(void)
{
    or_ask("i", "start", "{s:s,s:l}", "name", "parent", "input", 1ll);
    or_do_jobs();
    or_expect_status("i", STEAD_INSTANCE_FAILED);
    or_bad_is_good = true;
}

/* Whatever became of it meanwhile: it is not done again, waited for, or begun anew. */
static void test_life_rewind_takes_the_child_as_it_is(void **state)
{
    (void)state;
    fail_with_child();
    assert_int_equal(asked("i:1:1", "rewind"), 0); /* by hand, and it completes */
    or_do_jobs();
    or_expect_status("i:1:1", STEAD_INSTANCE_COMPLETED);
    or_expect_status("i", STEAD_INSTANCE_FAILED);
    uint32_t before = or_jobs_done;
    assert_int_equal(asked("i", "rewind"), 0);
    or_do_jobs();
    or_expect_status("i", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_output(), 5);
    assert_int_equal(or_jobs_done - before, 1);
}

static void test_life_rewind_waits_for_a_child_that_goes_on(void **state)
{
    (void)state;
    fail_with_child();
    assert_int_equal(asked("i:1:1", "restart"), 0);
    or_expect_status("i:1:1", STEAD_INSTANCE_RUNNING);
    uint32_t before = or_jobs_done;
    assert_int_equal(asked("i", "rewind"), 0);
    or_expect_status("i:1:1", STEAD_INSTANCE_RUNNING);
    assert_int_equal(or_told().execution, 2);
    or_do_jobs();
    or_expect_status("i", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_output(), 5);
    assert_int_equal(or_jobs_done - before, 4);
}

static void test_life_rewind_begins_a_child_anew_that_is_gone_or_was_ended(void **state)
{
    (void)state;
    fail_with_child();
    assert_int_equal(asked("i:1:1", "purge"), 0);
    assert_int_equal(asked("i", "rewind"), 0);
    or_expect_status("i:1:1", STEAD_INSTANCE_RUNNING);
    assert_int_equal(asked("i:1:1", "terminate"), 0);
    or_expect_status("i", STEAD_INSTANCE_FAILED);
    assert_int_equal(asked("i", "rewind"), 0);
    or_expect_status("i:1:1", STEAD_INSTANCE_RUNNING);
    assert_int_equal(or_told().execution, 2);
    or_do_jobs();
    or_expect_status("i", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_output(), 5);
}

static void test_life_restart_begins_with_the_same_input(void **state)
{
    (void)state;
    or_bad_is_good = true;
    or_ask("i", "start", "{s:s,s:l}", "name", "brittle", "input", 10ll);
    assert_int_equal(asked("i", "restart"), STEAD_ESTATE);
    or_do_jobs();
    assert_int_equal(asked("i", "restart"), 0);
    or_expect_status("i", STEAD_INSTANCE_RUNNING);
    or_crash();
    or_do_jobs();
    or_expect_status("i", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_told().execution, 2);
    assert_int_equal(or_output(), 13);
}

static void test_life_purge_and_retention_forget_it(void **state)
{
    (void)state;
    or_ask("i", "start", "{s:s}", "name", "adder");
    assert_int_equal(asked("i", "purge"), STEAD_ESTATE);
    add("i", 0);
    assert_int_equal(asked("i", "purge"), 0);
    assert_int_equal(asked("i", "status"), STEAD_ENOTFOUND);
    or_ask("k", "run", "{s:s}", "name", "kept");
    assert_int_equal(or_told().status, STEAD_INSTANCE_COMPLETED);
    fx_step_ms(fx, 59000);
    assert_int_equal(asked("k", "status"), 0);
    fx_step_ms(fx, 2000);
    assert_int_equal(asked("k", "status"), STEAD_ENOTFOUND);
    assert_int_equal(history_rows(), 0);
}

static void test_life_other_code_fails_precisely_and_rewind_goes_on_with_the_old(void **state)
{
    (void)state;
    changing_name = "inc";
    or_ask("i", "start", "{s:s,s:l}", "name", "changing", "input", 1ll);
    fx_step_ms(fx, 20);
    or_crash();
    changing_name = "bad";
    or_do_jobs();
    or_expect_status("i", STEAD_INSTANCE_FAILED);
    assert_string_equal(or_told().error_name, "nondeterminism");
    assert_non_null(
        strstr(or_told().error_sentence, "of the history is TaskScheduled 'inc', the code wants TaskScheduled 'bad'"));
    changing_name = "inc";
    assert_int_equal(asked("i", "rewind"), 0);
    or_expect_status("i", STEAD_INSTANCE_COMPLETED); /* with the result that came meanwhile */
    assert_int_equal(or_output(), 2);
}

static void test_life_lock_is_given_back_when_the_instance_is_terminated(void **state)
{
    (void)state;
    struct stead_message *message;

    or_ask("i", "start", "{s:s}", "name", "locker");
    or_ask("j", "start", "{s:s}", "name", "locker"); /* waits its turn */
    or_crash();
    message = fx_request(fx, &client, STEAD_CALL, "vault/a", "ping", (struct stead_slice){0}, NULL);
    stead_host_deliver(fx->host, &message);
    fx_run(fx);
    assert_null(stead_queue_pop(&fx->answers)); /* held */
    assert_int_equal(asked("j", "terminate"), 0);
    assert_int_equal(asked("i", "terminate"), 0);
    or_take_answer();
    fx_run(fx);
    or_expect_status("i", STEAD_INSTANCE_TERMINATED);
    or_expect_status("j", STEAD_INSTANCE_TERMINATED);
    or_ask("k", "run", "{s:s}", "name", "locker");
    or_ask("k", "raise", "{s:s}", "name", "go");
    or_expect_status("k", STEAD_INSTANCE_COMPLETED);
}

static void test_life_turn_that_ends_the_process_fails_its_instance(void **state)
{
    (void)state;
    or_ask("p", "start", "{s:s,s:l}", "name", "changing", "input", 1ll);
    fx->hold_sync = true;
    fx_step_ms(fx, 20);
    assert_string_equal(fx->mark_op, "timer");
    struct stead_id id = fx->mark.id; /* what the process died of */
    fx->hold_sync = false;
    stead_queue_clear(&fx->jobs);
    fx_crash(fx, true);
    stead_host_suspect(fx->host, id, 3);
    fx_set_table(fx, NULL, 1, false);
    fx_run(fx);
    or_ask("p", "wait", "{}");
    struct stead_instance told = or_told();
    assert_int_equal(told.status, STEAD_INSTANCE_FAILED);
    assert_string_equal(told.error_name, "poison");
    assert_non_null(strstr(told.error_sentence, "3 times after event 4"));
    assert_int_equal(told.events, 6); /* the timer is kept, no decision is */
    or_ask("p", "rewind", "{}");
    assert_int_equal(answer->status, 0);
    or_do_jobs();
    or_expect_status("p", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_output(), 2);
}

/* What was suspended when it failed is so when it goes on. */
static void test_life_suspension_outlives_a_failure_of_the_code(void **state)
{
    (void)state;
    or_ask("p", "start", "{s:s}", "name", "adder");
    or_ask("p", "suspend", "{}");
    struct stead_writer args;
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:l}", "name", "add", "value", 0ll);
    struct stead_message *message =
        fx_request(fx, &client, STEAD_CALL, "orchestration/p", "raise", stead_written(&args), NULL);
    stead_writer_deinit(&args);
    stead_host_suspect(fx->host, message->id, 3);
    stead_host_deliver(fx->host, &message);
    fx_run(fx);
    or_expect_status("p", STEAD_INSTANCE_FAILED);
    or_ask("p", "rewind", "{}");
    or_expect_status("p", STEAD_INSTANCE_SUSPENDED);
    or_ask("p", "resume", "{}");
    or_expect_status("p", STEAD_INSTANCE_COMPLETED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, or_setup, or_teardown)
        TEST(test_life_active_id_is_a_conflict_and_finished_one_is_used_again),
        TEST(test_life_turn_that_ends_the_process_fails_its_instance),
        TEST(test_life_suspension_outlives_a_failure_of_the_code),
        TEST(test_life_unknown_ids_are_not_found),
        TEST(test_life_unknown_orchestrator_waits_until_it_is_loaded),
        TEST(test_life_pending_one_is_suspended_and_resumed),
        TEST(test_life_suspended_one_whose_code_is_gone_is_resumed_when_it_is_back),
        TEST(test_life_delayed_one_is_suspended_and_its_delay_goes_on),
        TEST(test_life_pending_one_is_canceled),
        TEST(test_life_history_of_a_canceled_one_has_an_end),
        TEST(test_life_events_and_custom_status_survive_crashes),
        TEST(test_life_suspended_code_does_not_run_and_loses_nothing),
        TEST(test_life_continue_as_new_carries_events_and_sweeps_old_rows),
        TEST(test_life_terminate_reaches_children_and_activities),
        TEST(test_life_rewind_tries_the_failed_step_again),
        TEST(test_life_child_fails_its_parent_and_both_can_be_rewound),
        TEST(test_life_rewind_takes_the_child_as_it_is),
        TEST(test_life_rewind_waits_for_a_child_that_goes_on),
        TEST(test_life_rewind_begins_a_child_anew_that_is_gone_or_was_ended),
        TEST(test_life_restart_begins_with_the_same_input),
        TEST(test_life_purge_and_retention_forget_it),
        TEST(test_life_other_code_fails_precisely_and_rewind_goes_on_with_the_old),
        TEST(test_life_lock_is_given_back_when_the_instance_is_terminated),
    };
    const struct stead_orchestrator *const mine[] = {&adder,    &anew,   &family,  &brittle, &parent,
                                                     &changing, &locker, &leaving, &kept};

    memcpy(or_orchestrators, mine, sizeof(mine));
    or_kinds[0] = &vault;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
