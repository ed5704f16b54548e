/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instances where two things meet: a purge and an old child, a value at the payload limit, code that is not loaded (any
 * more), clients that gave up.
 */
#include "unit/agents/orchestrator_fixture.h"

/* ---- Orchestrators -------------------------------------------------------------------------- */

static int waits(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice value;
    int code = stead_await_event(o, "go", -1, &value);

    (void)input;
    return code != 0 ? code : stead_complete(o, value);
}
OR_ORCHESTRATOR(waiter, waits);

/* "go" ends it, its child goes on; else the child's result is its own. */
static int leaves_child(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice value;
    struct stead_task tasks[2] = {stead_begin_child(o, "waiter", input, NULL), stead_begin_event(o, "leave")};
    uint32_t first = 0;
    int code = stead_await_any(o, tasks, 2, &first);

    if (code == 0)
        code = stead_await(o, tasks[first], &value);
    return code != 0 ? code : stead_complete(o, value);
}
OR_ORCHESTRATOR(leaver, leaves_child);

static int first_version(struct stead_orchestration *o, struct stead_slice input)
{
    int code = stead_await_event(o, "go", -1, NULL);
    (void)input;
    return code != 0 ? code : stead_complete(o, stead_packed_for(o, "s", "first"));
}
static int second_version(struct stead_orchestration *o, struct stead_slice input)
{
    int code = stead_await_timer(o, 1000);
    (void)input;
    return code != 0 ? code : stead_complete(o, stead_packed_for(o, "s", "second"));
}
static const struct stead_orchestrator versions[2] = {{.abi = STEAD_ORCHESTRATION_ABI,
                                                       .struct_size = sizeof(struct stead_orchestrator),
                                                       .name = "later",
                                                       .version = 1,
                                                       .run = first_version},
                                                      {.abi = STEAD_ORCHESTRATION_ABI,
                                                       .struct_size = sizeof(struct stead_orchestrator),
                                                       .name = "later",
                                                       .version = 2,
                                                       .run = second_version}};

/* A status and an output of the sizes in the input: [status, output]. */
static int tells_much(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_reader reader = stead_reader(input);
    uint32_t members = 0;
    uint64_t sizes[2] = {0, 0};
    struct stead_slice padding;

    if (stead_read_array(&reader, &members) != 0 || stead_read_u64(&reader, &sizes[0]) != 0 ||
        stead_read_u64(&reader, &sizes[1]) != 0 || stead_read_bin(&reader, &padding) != 0)
        return STEAD_EARGUMENT;
    int code =
        stead_set_status(o, stead_packed_for(o, "B", stead_bytes(stead_keep_bytes(o, sizes[0]), (size_t)sizes[0])));
    if (code == 0)
        code = stead_await_timer(o, 1000);
    return code != 0
               ? code
               : stead_complete(o, stead_packed_for(o, "B", stead_bytes(stead_keep_bytes(o, sizes[1]), sizes[1])));
}
OR_ORCHESTRATOR(teller, tells_much);

/* Asks for an activity and a child, holds a lock, and waits. */
static int64_t wait_ms = 3600000;
static int holds_all(struct stead_orchestration *o, struct stead_slice input)
{
    const char *const one[] = {"vault/a"};
    int code = stead_lock(o, one, 1);

    (void)input;
    (void)stead_begin_activity(o, "inc", stead_packed_for(o, "l", 1ll), NULL);
    stead_unlock(o);
    (void)stead_begin_child(o, "waiter", input, NULL);
    if (code == 0)
        code = stead_lock(o, one, 1);
    if (code == 0)
        code = stead_await_event(o, "go", wait_ms, NULL);
    return code;
}
static struct stead_orchestrator holder = {.abi = STEAD_ORCHESTRATION_ABI,
                                           .struct_size = sizeof(struct stead_orchestrator),
                                           .name = "holder",
                                           .version = 1,
                                           .run = holds_all};

/* Holds the lock and has an activity, a child and a timer open when it decides more than a turn may store: after the
 * event "go", or at once when the lock is there. */
static int takes_too_much(struct stead_orchestration *o, struct stead_slice input)
{
    const char *const one[] = {"vault/a"};
    const size_t size = 1u << 20;
    bool at_once = false;
    int code = stead_get_bool(input, NULL, &at_once);

    (void)stead_begin_activity(o, "inc", stead_packed_for(o, "l", 1ll), NULL);
    (void)stead_begin_child(o, "waiter", input, NULL);
    (void)stead_begin_timer(o, 3600000);
    if (code == 0)
        code = stead_lock(o, one, 1);
    if (code == 0 && !at_once)
        code = stead_await_event(o, "go", -1, NULL);
    struct stead_slice value = stead_packed_for(o, "B", stead_bytes(stead_keep_bytes(o, size), size - 8));
    (void)stead_set_status(o, stead_packed_for(o, "s", "much"));
    for (int i = 0; code == 0 && i < 25; i++)
        code = stead_signal_agent(o, "vault/b", "note", value);
    return code != 0 ? code : stead_await_event(o, "never", -1, NULL);
}
OR_ORCHESTRATOR(glutton, takes_too_much);

/* ---- An agent to lock ----------------------------------------------------------------------- */

static int vault_ping(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_reply(turn, stead_packed(turn, "l", 1ll));
}
static uint32_t vault_notes;
static int vault_note(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)turn, (void)state, (void)args;
    vault_notes++;
    return 0;
}
static const struct stead_op vault_ops[] = {
    {"ping", vault_ping, NULL, 0, NULL}, {"note", vault_note, NULL, 0, NULL}, {NULL, NULL, NULL, 0, NULL}};
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

static int raised(const char *id, const char *name)
{
    or_ask(id, "raise", "{s:s}", "name", name);
    assert_non_null(answer);
    return answer->status;
}

static void start_holder(const char *id)
{
    holder.version = 1;
    wait_ms = 3600000;
    assert_int_equal(stead_registry_add_orchestrator(fx->registry, &holder, NULL), 0);
    or_ask(id, "start", "{s:s}", "name", "holder");
    or_expect_status(id, STEAD_INSTANCE_RUNNING);
    or_expect_status("i:1:2", STEAD_INSTANCE_RUNNING);
}

/* Nobody holds the lock, the child was terminated. */
static void expect_all_ended(void)
{
    fx_run(fx);
    or_expect_status("i:1:2", STEAD_INSTANCE_TERMINATED);
    struct stead_message *message =
        fx_request(fx, &client, STEAD_CALL, "vault/a", "ping", (struct stead_slice){0}, NULL);
    stead_host_deliver(fx->host, &message);
    fx_run(fx);
    or_take_newest();
    assert_non_null(answer);
    assert_int_equal(answer->status, 0);
    assert_true(fx->cancels > 0);
}

/* ---- Tests ---------------------------------------------------------------------------------- */

static void test_edges_child_of_a_purged_parent_says_nothing_to_the_next_one_of_that_id(void **state)
{
    (void)state;
    or_ask("i", "start", "{s:s}", "name", "leaver");
    assert_int_equal(raised("i", "leave"), 0);
    or_expect_status("i", STEAD_INSTANCE_COMPLETED);
    or_expect_status("i:1:1", STEAD_INSTANCE_RUNNING);
    assert_int_equal(asked("i", "purge"), 0);
    or_ask("i", "start", "{s:s}", "name", "leaver"); /* its child has the same id, and replaces the old one */
    or_expect_status("i", STEAD_INSTANCE_RUNNING);
    or_expect_status("i:1:1", STEAD_INSTANCE_RUNNING);
    assert_int_equal(raised("i:1:1", "go"), 0);
    or_expect_status("i", STEAD_INSTANCE_COMPLETED);
}

static void test_edges_version_is_pinned_also_when_the_code_was_loaded_later(void **state)
{
    (void)state;
    or_ask("i", "start", "{s:s}", "name", "later");
    or_expect_status("i", STEAD_INSTANCE_PENDING);
    assert_int_equal(stead_registry_add_orchestrator(fx->registry, &versions[0], NULL), 0);
    fx_step_ms(fx, 31000);
    or_expect_status("i", STEAD_INSTANCE_RUNNING);
    assert_int_equal(or_told().version, 1);
    or_crash();
    assert_int_equal(stead_registry_add_orchestrator(fx->registry, &versions[1], NULL), 0);
    assert_int_equal(raised("i", "go"), 0);
    or_expect_status("i", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_told().version, 1);
}

static void test_edges_much_to_tell_is_told_as_far_as_it_fits(void **state)
{
    (void)state;
    static uint8_t padding[1u << 20];
    static const struct {
        size_t input, status, output;
    } table[] = {{1048300, 0, 10}, {1040000, 16300, 10}, {10, 16300, 1044400}, {700000, 16300, 700000}};
    char id[8];

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        snprintf(id, sizeof(id), "i%zu", i);
        or_ask(id, "start", "{s:s,s:[u,u,B]}", "name", "teller", "input", (uint64_t)table[i].status,
               (uint64_t)table[i].output, stead_bytes(padding, table[i].input));
        assert_non_null(answer);
        assert_int_equal(answer->status, 0);
        or_expect_status(id, STEAD_INSTANCE_RUNNING);
        or_ask(id, "wait", "{}");
        assert_null(answer);
        fx_step_ms(fx, 1001);
        fx_run(fx);
        or_expect_status(id, STEAD_INSTANCE_COMPLETED);
        assert_true(or_told().output.size >= table[i].output);
    }
}

static void test_edges_instance_whose_code_is_gone_is_terminated(void **state)
{
    (void)state;
    start_holder("i");
    or_crash();
    holder.version = 2;                             /* version 1 is not loaded any more */
    or_ask("i", "raise", "{s:s}", "name", "other"); /* kept, in an open episode */
    or_expect_status("i", STEAD_INSTANCE_PENDING);
    or_ask("i", "terminate", "{s:s}", "reason", "no code");
    assert_int_equal(answer->status, 0);
    or_expect_status("i", STEAD_INSTANCE_TERMINATED);
    assert_string_equal(or_told().error_sentence, "no code");
    expect_all_ended();
    assert_int_equal(asked("i", "purge"), 0);
}

static void test_edges_instance_whose_code_is_gone_is_replaced(void **state)
{
    (void)state;
    start_holder("i");
    or_crash();
    holder.version = 2; /* version 1 is not loaded any more */
    or_ask("i", "start", "{s:s,s:u,s:b}", "name", "holder", "version", 1ull, "replace", 1);
    assert_int_equal(answer->status, 0);
    or_expect_status("i", STEAD_INSTANCE_PENDING);
    assert_int_equal(or_told().execution, 2);
    expect_all_ended();
}

/* Ends what it had begun when it is started again, restarted, purged or terminated. */
static void test_edges_instance_whose_code_differs_leaves_nothing(void **state)
{
    (void)state;
    static const char *const ops[] = {"terminate", "restart", "purge", "start"};
    for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
        if (i > 0)
            (void)or_teardown(state), (void)or_setup(state);
        start_holder("i");
        or_crash();
        wait_ms = 1800000;
        or_ask("i", "raise", "{s:s}", "name", "other");
        or_expect_status("i", STEAD_INSTANCE_FAILED);
        assert_string_equal(or_told().error_name, "nondeterminism");
        holder.version = 2; /* version 1 is not loaded any more */
        or_ask("i", ops[i], "{s:s,s:u}", "name", "holder", "version", 1ull);
        assert_non_null(answer);
        assert_int_equal(answer->status, 0);
        expect_all_ended();
    }
}

static bool told_of(const char *text)
{
    size_t size = strlen(text);

    for (size_t at = 0; at + size <= answer->payload_size; at++)
        if (memcmp(answer->payload + at, text, size) == 0)
            return true;
    return false;
}

/* The episode that is too large leaves nothing of itself but its inputs: the lock's answer is among them. */
static void test_edges_episode_that_is_too_large_leaves_nothing_open(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        bool at_once = round == 0, crash = round == 2;
        if (round > 0)
            (void)or_teardown(state), (void)or_setup(state);
        vault_notes = 0;
        or_ask("i", "start", "{s:s,s:b}", "name", "glutton", "input", (int)at_once);
        if (!at_once)
            or_expect_status("i:1:2", STEAD_INSTANCE_RUNNING);
        if (crash)
            or_crash();
        if (!at_once)
            assert_int_equal(raised("i", "go"), 0);
        fx_run(fx);
        or_expect_status("i", STEAD_INSTANCE_FAILED);
        assert_string_equal(or_told().error_name, "limit");
        assert_int_equal(or_told().custom_status.size, 0);
        uint64_t events = or_told().events;
        or_ask("i", "history", "{}");
        assert_true(told_of("ExecutionFailed"));
        assert_true(told_of("LocksReleased"));
        assert_false(told_of("EventSent"));
        assert_true(at_once || told_of("EventRaised"));
        expect_all_ended();
        assert_int_equal(vault_notes, 0);
        assert_int_equal(asked("i", "rewind"), STEAD_ESTATE);
        or_do_jobs();
        fx_step_ms(fx, 4000000);
        or_expect_status("i", STEAD_INSTANCE_FAILED);
        assert_int_equal(or_told().events, events);
        assert_int_equal(asked("i", "restart"), 0);
        or_expect_status("i:2:2", at_once ? STEAD_INSTANCE_TERMINATED : STEAD_INSTANCE_RUNNING);
    }
}

/* Clients that wait for a while, and again, for one that runs for long: the newest is never refused. */
static void test_edges_who_waits_again_and_again_is_answered(void **state)
{
    (void)state;
    or_ask("i", "start", "{s:s}", "name", "waiter");
    for (uint32_t i = 0; i < 4100; i++) {
        or_ask("i", "wait", "{}");
        assert_null(answer);
    }
    or_ask("i", "raise", "{s:s}", "name", "go");
    or_expect_status("i", STEAD_INSTANCE_COMPLETED);
}

static void test_edges_child_of_the_longest_id_has_an_id_of_whole_characters(void **state)
{
    (void)state;
    char id[STEAD_INSTANCE_ID_MAX + 1];

    for (size_t i = 0; i < 255; i += 3)
        memcpy(id + i, "\xe6\x97\xa5", 3);
    memcpy(id + 255, "x", 2);
    or_ask(id, "start", "{s:s}", "name", "leaver");
    assert_int_equal(answer->status, 0);
    or_expect_status(id, STEAD_INSTANCE_RUNNING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, or_setup, or_teardown)
        TEST(test_edges_child_of_a_purged_parent_says_nothing_to_the_next_one_of_that_id),
        TEST(test_edges_version_is_pinned_also_when_the_code_was_loaded_later),
        TEST(test_edges_much_to_tell_is_told_as_far_as_it_fits),
        TEST(test_edges_instance_whose_code_is_gone_is_terminated),
        TEST(test_edges_instance_whose_code_is_gone_is_replaced),
        TEST(test_edges_instance_whose_code_differs_leaves_nothing),
        TEST(test_edges_episode_that_is_too_large_leaves_nothing_open),
        TEST(test_edges_who_waits_again_and_again_is_answered),
        TEST(test_edges_child_of_the_longest_id_has_an_id_of_whole_characters),
    };
    const struct stead_orchestrator *const mine[] = {&waiter, &leaver, &teller, &glutton};

    memcpy(or_orchestrators, mine, sizeof(mine));
    or_kinds[0] = &vault;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
