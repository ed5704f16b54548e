/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One read of the store fails, whichever it is, while an instance goes on after a restart: it comes to the same end all
 * the same, somewhat later, and no value is lost.
 */
#include "unit/agents/orchestrator_fixture.h"

#define READS_MAX 40u /* more than any case makes */

/* ---- Orchestrators -------------------------------------------------------------------------- */

static int sleep_once(struct stead_orchestration *o, struct stead_slice input)
{
    int code = stead_await_timer(o, 100000);
    return code != 0 ? code : stead_complete(o, input);
}
OR_ORCHESTRATOR(sleeper, sleep_once);

static int ask_once(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice value;
    int code = stead_await_call(o, "tardy/s", "ask", input, &value);
    return code != 0 ? code : stead_complete(o, value);
}
OR_ORCHESTRATOR(asker, ask_once);

static int wait_for_go(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice value;
    int code = stead_await_event(o, "go", -1, &value);
    (void)input;
    return code != 0 ? code : stead_complete(o, value);
}
OR_ORCHESTRATOR(waiter, wait_for_go);

static int wait_for_child(struct stead_orchestration *o, struct stead_slice input)
{
    const struct stead_task_options kid = {.instance_id = "kid"};
    struct stead_slice value;
    int code = stead_await(o, stead_begin_child(o, "waiter", input, &kid), &value);
    return code != 0 ? code : stead_complete(o, value);
}
OR_ORCHESTRATOR(parent, wait_for_child);

/* Begins anew with each event, of which it leaves some for the next. */
static int count_down(struct stead_orchestration *o, struct stead_slice input)
{
    int64_t left = 0, one = 0;
    struct stead_slice value;

    if (stead_get_i64(input, NULL, &left) != 0)
        return STEAD_EARGUMENT;
    if (left == 0)
        return stead_complete(o, stead_packed_for(o, "l", (int64_t)7));
    int code = stead_await_event(o, "go", -1, &value);
    if (code == 0 && stead_get_i64(value, NULL, &one) == 0)
        code = stead_continue_as_new(o, stead_packed_for(o, "l", left - 1));
    return code;
}
OR_ORCHESTRATOR(counter, count_down);

/* ---- Who answers later ---------------------------------------------------------------------- */

struct tardy {
    char token[STEAD_TOKEN_SIZE];
};
static const struct stead_field tardy_fields[] = {STEAD_FIELD(TEXT, struct tardy, token), STEAD_FIELDS_END};

static int ask_tardy(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct tardy *tardy = state;
    struct stead_token token;

    (void)args;
    int code = stead_reply_later(turn, &token);
    memcpy(tardy->token, token.text, sizeof(tardy->token));
    return code;
}

static int tell_tardy(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct tardy *tardy = state;
    struct stead_token token;

    memcpy(token.text, tardy->token, sizeof(token.text));
    return stead_answer(turn, &token, args);
}

static const struct stead_op tardy_ops[] = {
    {"ask", ask_tardy, NULL, 0, NULL}, {"tell", tell_tardy, NULL, 0, NULL}, {NULL, NULL, NULL, 0, NULL}};
static const struct stead_kind tardy_kind = {.abi = STEAD_ABI,
                                             .struct_size = sizeof(struct stead_kind),
                                             .name = "tardy",
                                             .durability = STEAD_DURABLE,
                                             .state_size = sizeof(struct tardy),
                                             .fields = tardy_fields,
                                             .ops = tardy_ops};

/* ---- One failed read ------------------------------------------------------------------------ */

/* A host that cannot read its own rows stops, and is started again. */
static void settle(void)
{
    const char *why = "";

    if (stead_host_failed(fx->host, &why) != 0) {
        fx->fail_read = 0;
        or_crash();
        client = fx_client(fx, 10);
    }
    for (int i = 0; i < 20; i++)
        fx_step_ms(fx, 500);
}

static void send_number(const char *address, const char *op, int64_t number, bool event)
{
    struct stead_writer args;

    stead_writer_init(&args);
    if (event)
        stead_pack(&args, "{s:s,s:l}", "name", "go", "value", number);
    else
        stead_write_i64(&args, number);
    struct stead_message *message = fx_request(fx, &client, STEAD_CALL, address, op, stead_written(&args), NULL);
    stead_writer_deinit(&args);
    stead_host_deliver(fx->host, &message);
    fx_run(fx);
}

static void restart_host(void)
{
    fx_cold_restart(fx);
    fx_set_table(fx, NULL, 1, false);
    fx_run(fx);
    client = fx_client(fx, 9);
}

/* The next read but `n` - 1 fails. */
static void fail_read(uint32_t n)
{
    fx->reads = 0;
    fx->fail_read = n;
}

/* False: there was no such read. */
static bool has_failed(uint32_t n)
{
    bool failed = fx->reads >= n;

    fx->fail_read = 0;
    settle();
    return failed;
}

static void expect_output(const char *id, int64_t output)
{
    or_ask(id, "wait", "{}");
    assert_non_null(answer);
    assert_int_equal(or_told().status, STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_output(), output);
}

/* Does the case with the first read failing, the second, and so on, until it makes no such read. */
static void for_every_read(void **state, bool (*try_it)(uint32_t n))
{
    bool failed = true;
    uint32_t n;

    for (n = 1; failed && n < READS_MAX; n++) {
        assert_int_equal(or_setup(state), 0);
        failed = try_it(n);
        assert_int_equal(or_teardown(state), 0);
    }
    assert_true(n > 2 && n < READS_MAX);
}

static bool fire_timer(uint32_t n)
{
    or_ask("i", "start", "{s:s,s:l}", "name", "sleeper", "input", (int64_t)5);
    restart_host();
    fail_read(n);
    fx_step_ms(fx, 101000);
    settle();
    bool failed = has_failed(n);
    expect_output("i", 5);
    return failed;
}

static void test_reads_timer_is_not_lost(void **state)
{
    for_every_read(state, fire_timer);
}

static bool answer_call(uint32_t n)
{
    or_ask("i", "start", "{s:s,s:l}", "name", "asker", "input", (int64_t)5);
    settle();
    restart_host();
    fail_read(n);
    send_number("tardy/s", "tell", 6, false);
    settle();
    bool failed = has_failed(n);
    send_number("tardy/s", "tell", 6, false); /* it may have been the one that could not be read */
    settle();
    expect_output("i", 6);
    return failed;
}

static void test_reads_answer_is_not_lost(void **state)
{
    for_every_read(state, answer_call);
}

/* Until the instance takes it: a client whose call fails may make it again. */
static void raise_go(const char *id)
{
    for (int i = 0; i < 3; i++) {
        or_ask(id, "raise", "{s:s,s:l}", "name", "go", "value", (int64_t)3);
        assert_non_null(answer);
        if (answer->status == 0)
            return;
    }
    fail();
}

static bool end_child(uint32_t n)
{
    or_ask("p", "start", "{s:s}", "name", "parent");
    settle();
    restart_host();
    fail_read(n);
    raise_go("kid");
    settle();
    bool failed = has_failed(n);
    expect_output("kid", 3);
    expect_output("p", 3);
    return failed;
}

static void test_reads_childs_output_is_not_lost(void **state)
{
    for_every_read(state, end_child);
}

static uint32_t count_told(int64_t output)
{
    struct stead_message *message;
    struct stead_instance it;
    int64_t number = 0;
    uint32_t told = 0;

    while ((message = stead_queue_pop(&fx->answers)) != NULL) {
        if (message->status == 0 && stead_instance_read(stead_message_payload(message), &it) == 0) {
            assert_int_equal(stead_get_i64(it.output, NULL, &number), 0);
            assert_int_equal(number, output);
            told++;
        }
        stead_message_destroy(&message);
    }
    return told;
}

static bool tell_waiter(uint32_t n)
{
    or_ask("i", "start", "{s:s}", "name", "waiter");
    restart_host();
    or_ask("i", "wait", "{}");
    assert_null(answer);
    fail_read(n);
    send_number("orchestration/i", "raise", 3, true);
    settle();
    bool failed = has_failed(n);
    assert_int_equal(count_told(3), 1);
    return failed;
}

static void test_reads_who_waits_hears_the_output(void **state)
{
    for_every_read(state, tell_waiter);
}

static bool begin_anew(uint32_t n)
{
    or_ask("i", "start", "{s:s,s:l}", "name", "counter", "input", (int64_t)3);
    or_ask("i", "suspend", "{}");
    for (int i = 0; i < 3; i++)
        raise_go("i");
    restart_host();
    fail_read(n);
    or_ask("i", "resume", "{}");
    settle();
    bool failed = has_failed(n);
    if (answer->status != 0)
        or_ask("i", "resume", "{}");
    settle();
    expect_output("i", 7);
    return failed;
}

static void test_reads_events_that_are_carried_are_not_lost(void **state)
{
    for_every_read(state, begin_anew);
}

static bool restart_it(uint32_t n)
{
    or_ask("i", "start", "{s:s,s:l}", "name", "sleeper", "input", (int64_t)5);
    or_ask("i", "terminate", "{}");
    restart_host();
    fail_read(n);
    or_ask("i", "restart", "{}");
    bool refused = answer->status != 0;
    bool failed = has_failed(n);
    if (refused)
        or_ask("i", "restart", "{}");
    fx_step_ms(fx, 101000);
    settle();
    expect_output("i", 5);
    return failed;
}

static void test_reads_restart_has_the_same_input(void **state)
{
    for_every_read(state, restart_it);
}

static bool end_tree(uint32_t n)
{
    or_ask("p", "start", "{s:s}", "name", "parent");
    settle();
    restart_host();
    fail_read(n);
    or_ask("p", "terminate", "{}");
    bool refused = answer == NULL || answer->status != 0;
    bool failed = has_failed(n);
    if (refused)
        or_ask("p", "terminate", "{}");
    settle();
    or_expect_status("p", STEAD_INSTANCE_TERMINATED);
    or_expect_status("kid", STEAD_INSTANCE_TERMINATED);
    return failed;
}

static void test_reads_termination_reaches_the_child(void **state)
{
    for_every_read(state, end_tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_timer_is_not_lost),
        cmocka_unit_test(test_reads_answer_is_not_lost),
        cmocka_unit_test(test_reads_childs_output_is_not_lost),
        cmocka_unit_test(test_reads_who_waits_hears_the_output),
        cmocka_unit_test(test_reads_events_that_are_carried_are_not_lost),
        cmocka_unit_test(test_reads_restart_has_the_same_input),
        cmocka_unit_test(test_reads_termination_reaches_the_child),
    };
    const struct stead_orchestrator *const mine[] = {&sleeper, &asker, &waiter, &parent, &counter};

    memcpy(or_orchestrators, mine, sizeof(mine));
    or_kinds[0] = &tardy_kind;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
