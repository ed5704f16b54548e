/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls: reply ops, deadlines, answers given later, chains, and callers and callees that die meanwhile.
 */
#include "unit/runtime/host_client.h"

static const char *callee;    /* whom `do` calls */
static const char *callee_op; /* with which op */
static int64_t timeout_ms;
static int last_code; /* what the reply op saw */
static int64_t last_value;
static char last_name[64], last_context[16];
static uint32_t replies;
static struct stead_token kept;

static int call_it(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_call_options options = {
        .reply_op = "reply", .timeout_ms = timeout_ms, .context = stead_packed(turn, "s", "ctx")};

    (void)state;
    return stead_call(turn, callee, callee_op, args, &options);
}

static int note_reply(struct stead_turn *turn, void *state, struct stead_slice args)
{
    replies++;
    last_code = stead_reply_code(turn);
    last_value = -1;
    (void)!stead_get_i64(args, NULL, &last_value);
    snprintf(last_name, sizeof(last_name), "%s", stead_reply_error_name(turn));
    assert_int_equal(stead_get_text(stead_call_context(turn), NULL, last_context, sizeof(last_context)), 0);
    ((struct puppet *)state)->value += 1000;
    return 0;
}

static int keep_token(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    assert_int_equal(stead_reply_later(turn, &kept), 0);
    memcpy(((struct puppet *)state)->token, kept.text, sizeof(kept.text));
    return 0;
}

/* Answers the token that the state keeps; the number of the code tells how that went. */
static int use_token(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_token token;

    (void)args;
    memcpy(token.text, ((struct puppet *)state)->token, sizeof(token.text));
    int code = stead_answer(turn, &token, stead_packed(turn, "l", (int64_t)42));
    return stead_reply(turn, stead_packed(turn, "l", (int64_t)code));
}

struct two {
    struct fx *fx;
    struct fx_client client;
    char a[64], b[64];
};

/* `a` calls `op` of `b`, an agent of `kind` in `shard`; a host of two shards. */
static void set_up(struct two *it, const char *kind, uint32_t shard, const char *op)
{
    it->fx = fx_create(2);
    it->client = fx_client(it->fx, 1);
    fx_set_table(it->fx, NULL, 1, true);
    fx_address(it->a, "d", 1, 0);
    callee = fx_address(it->b, kind, shard, 1);
    callee_op = op;
    timeout_ms = 5000;
    replies = 0, last_code = 1, last_value = -1, last_context[0] = '\0';
    fx_do[0] = call_it, fx_do[1] = keep_token, fx_do[2] = use_token, fx_reply = note_reply;
}

static void test_answer_comes_to_the_reply_op_with_its_context(void **state)
{
    static const char *const kinds[] = {"d", "v"};

    (void)state;
    for (int i = 0; i < 4; i++) { /* durable and volatile callees, in this shard and in another */
        struct two it;
        set_up(&it, kinds[i % 2], i < 2 ? 1 : 2, "add");
        assert_int_equal(fx_call(it.fx, &it.client, it.a, "do"), 0);
        assert_int_equal(replies, 1);
        assert_int_equal(last_code, 0);
        assert_int_equal(last_value, 1);
        assert_string_equal(last_context, "ctx");
        assert_int_equal(fx_call_i64(it.fx, &it.client, it.b, "get"), 1);
        fx_step_ms(it.fx, 60000); /* nothing is left that would be repeated or time out */
        assert_int_equal(replies, 1);
        fx_crash(it.fx, true);
        fx_step_ms(it.fx, 60000);
        assert_int_equal(replies, 1);
        assert_int_equal(fx_call_i64(it.fx, &it.client, it.a, "get"), 1000);
        fx_destroy(it.fx);
    }
}

static void test_failure_comes_to_the_reply_op_as_its_code_and_name(void **state)
{
    struct two it;

    (void)state;
    set_up(&it, "d", 1, "nothing");
    assert_int_equal(fx_call(it.fx, &it.client, it.a, "do"), 0);
    assert_int_equal(last_code, STEAD_EOP);
    assert_string_equal(last_name, "unknown_op");
    fx_destroy(it.fx);
}

static void test_call_without_an_answer_times_out_once_even_after_a_restart(void **state)
{
    struct two it;

    (void)state;
    set_up(&it, "d", 2, "do2"); /* keeps a token */
    assert_int_equal(fx_call(it.fx, &it.client, it.a, "do"), 0);
    fx_crash(it.fx, true);
    fx_step_ms(it.fx, 4999);
    assert_int_equal(replies, 0);
    fx_step_ms(it.fx, 1);
    assert_int_equal(replies, 1);
    assert_int_equal(last_code, STEAD_ETIMEOUT);
    assert_string_equal(last_context, "ctx");
    assert_int_equal(fx_call_i64(it.fx, &it.client, it.b, "do3"), 0); /* the late answer is dropped and counted */
    assert_int_equal(replies, 1);
    assert_int_equal(fx_stats(it.fx)->answers_dropped, 1);
    fx_destroy(it.fx);
}

static void test_call_of_an_agent_that_waits_past_its_deadline_is_not_started(void **state)
{
    struct two it;

    (void)state;
    set_up(&it, "d", 2, "add");
    it.fx->hold_loads = true;
    fx_send(it.fx, &it.client, STEAD_CALL, it.a, "do");
    it.fx->hold_loads = false; /* a loads; the load of b begins in the same run */
    it.fx->hold_sync = true;   /* and the call leaves only when it is on disk */
    fx_run(it.fx);
    it.fx->hold_sync = false;
    fx_step_ms(it.fx, 5000);
    assert_int_equal(last_code, STEAD_ETIMEOUT);
    stead_queue_clear(&it.fx->answers);
    assert_int_equal(fx_call_i64(it.fx, &it.client, it.b, "get"), 0);
    assert_int_equal(fx_stats(it.fx)->expired, 1);
    fx_destroy(it.fx);
}

static void test_answer_given_later_survives_unload_and_restart_and_works_once(void **state)
{
    (void)state;
    for (int client_asks = 0; client_asks < 2; client_asks++) {
        struct two it;
        set_up(&it, "d", 2, "do2");
        timeout_ms = 1000000;
        struct stead_message *request =
            fx_request(it.fx, &it.client, STEAD_CALL, it.b, "do2", (struct stead_slice){0}, NULL);
        if (client_asks)
            fx_deliver(it.fx, request);
        else
            assert_int_equal(fx_call(it.fx, &it.client, it.a, "do"), 0);
        fx_step_ms(it.fx, 61000);
        fx_step_ms(it.fx, 61000); /* idle: unloaded */
        assert_int_equal(fx_stats(it.fx)->agents_resident, 0);
        fx_cold_restart(it.fx);
        fx_crash(it.fx, true);
        if (client_asks) { /* it has connected anew, and asks again */
            request->route.connection = 4711;
            fx_deliver(it.fx, request);
            assert_null(it.fx->answers.head);
        }
        fx_send(it.fx, &it.client, STEAD_SIGNAL, it.b, "do3");
        if (client_asks) {
            struct stead_message *answer = fx_answer(it.fx);
            assert_true(stead_id_equal(answer->id, request->id));
            assert_int_equal(answer->route.connection, 4711);
            stead_message_destroy(&answer);
        } else {
            assert_int_equal(replies, 1);
            assert_int_equal(last_value, 42);
        }
        assert_int_equal(fx_answer_status(it.fx), 0); /* of the signal */
        assert_int_equal(fx_call_i64(it.fx, &it.client, it.b, "do3"), STEAD_ENOTFOUND);
        if (client_asks) { /* the answer is kept like any other */
            fx_deliver(it.fx, request);
            assert_int_equal(fx_answer_i64(it.fx), 42);
        }
        stead_message_destroy(&request);
        fx_destroy(it.fx);
    }
}

static char middle[64];

/* The first one calls the middle one, that one the callee. */
static int call_on(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_call_options options = {
        .reply_op = "reply", .timeout_ms = timeout_ms, .context = stead_packed(turn, "s", "ctx")};

    if (strcmp(stead_self(turn), middle) == 0)
        return call_it(turn, state, args);
    return stead_call(turn, middle, "do", args, &options);
}

static void test_token_of_a_call_in_a_chain_is_answered(void **state)
{
    struct two it;

    (void)state;
    for (uint32_t destroyed = 0; destroyed < 2; destroyed++) {
        set_up(&it, "d", 2, "do2"); /* keeps a token */
        fx_address(middle, "d", 1, 2);
        fx_do[0] = call_on;
        struct stead_message *call = fx_request(it.fx, &it.client, STEAD_CALL, it.a, "do", fx_i64(7), NULL);
        fx_deliver(it.fx, call);
        stead_message_destroy(&call);
        assert_int_equal(fx_answer_status(it.fx), 0);
        assert_int_equal(replies, 1); /* the middle one's answer to the first */
        fx_cold_restart(it.fx);
        fx_send(it.fx, &it.client, STEAD_CALL, it.b, destroyed ? "destroy" : "do3");
        assert_int_equal(replies, 2);
        assert_int_equal(last_code, destroyed ? STEAD_EDESTROYED : 0);
        assert_int_equal(last_value, destroyed ? -1 : 42);
        fx_destroy(it.fx);
    }
}

static void test_destroy_answers_what_is_owed_with_an_error(void **state)
{
    static const char *const kinds[] = {"d", "v"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct two it;
        set_up(&it, kinds[i], 1, "do2");
        assert_int_equal(fx_call(it.fx, &it.client, it.a, "do"), 0);
        fx_send(it.fx, &it.client, STEAD_CALL, it.b, "do2"); /* two tokens */
        assert_null(it.fx->answers.head);
        fx_send(it.fx, &it.client, STEAD_SIGNAL, it.b, "destroy");
        assert_int_equal(it.fx->answers.count, 2);
        int sum = fx_answer_status(it.fx);
        sum += fx_answer_status(it.fx);
        assert_int_equal(sum, STEAD_EDESTROYED);
        assert_int_equal(replies, 1);
        assert_int_equal(last_code, STEAD_EDESTROYED);
        fx_destroy(it.fx);
    }
}

static int later_twice(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_token again;

    int code = keep_token(turn, state, args);
    return code != 0 ? code : stead_reply_later(turn, &again) == STEAD_ESTATE ? 0 : STEAD_EFAILED;
}

static int later_of_nothing(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_token token;

    (void)state, (void)args;
    return stead_reply_later(turn, &token) == STEAD_ESTATE ? 0 : STEAD_EFAILED;
}

static void test_token_is_given_once_and_only_for_calls(void **state)
{
    struct two it;

    (void)state;
    set_up(&it, "d", 1, "do2");
    fx_do[0] = later_of_nothing, fx_do[1] = later_twice;
    fx_send(it.fx, &it.client, STEAD_SIGNAL, it.a, "do");
    assert_int_equal(fx_answer_status(it.fx), 0);
    fx_send(it.fx, &it.client, STEAD_CALL, it.a, "do2");
    assert_null(it.fx->answers.head);
    assert_int_equal(fx_call_i64(it.fx, &it.client, it.a, "do3"), 42); /* the answer that was owed goes first */
    assert_int_equal(fx_answer_i64(it.fx), 0);
    fx_destroy(it.fx);
}

static int later_and_at_once(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int code = keep_token(turn, state, args);

    if (code == 0)
        code = stead_answer(turn, &kept, stead_packed(turn, "l", (int64_t)7));
    assert_int_equal(stead_answer(turn, &kept, (struct stead_slice){0}), STEAD_ENOTFOUND);
    return code;
}

static void test_token_may_be_answered_in_the_turn_that_took_it(void **state)
{
    static const char *const kinds[] = {"d", "v"};
    struct two it;

    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        set_up(&it, kinds[i], 2, "do2");
        fx_do[1] = later_and_at_once;
        assert_int_equal(fx_call_i64(it.fx, &it.client, it.b, "do2"), 7);
        assert_int_equal(fx_call_i64(it.fx, &it.client, it.b, "do3"), STEAD_ENOTFOUND);
        assert_int_equal(fx_call(it.fx, &it.client, it.a, "do"), 0);
        assert_int_equal(replies, 1);
        assert_int_equal(last_value, 7);
        fx_destroy(it.fx);
    }
}

static void test_volatile_agent_answers_later(void **state)
{
    struct two it;

    (void)state;
    set_up(&it, "v", 2, "do2");
    assert_int_equal(fx_call(it.fx, &it.client, it.a, "do"), 0);
    fx_step_ms(it.fx, 3500); /* the caller asks again meanwhile: it is known */
    assert_int_equal(fx_call_i64(it.fx, &it.client, it.b, "do3"), 0);
    assert_int_equal(replies, 1);
    assert_int_equal(last_value, 42);
    assert_int_equal(fx_call_i64(it.fx, &it.client, it.b, "do3"), STEAD_ENOTFOUND);
    fx_destroy(it.fx);
}

static uint64_t fence;

static int call_and_hold(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int code = call_it(turn, state, args);
    return code != 0 ? code : stead_hold(turn, "d/holder", &fence);
}

static void test_timeout_of_a_held_agent_is_heard_after_the_release(void **state)
{
    static const char *const kinds[] = {"d", "v"};

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct two it;
        char caller[64];
        set_up(&it, "d", 2, "do2"); /* keeps a token */
        fx_do[0] = call_and_hold;
        fx_address(caller, kinds[i % 2], 1, 3);
        assert_int_equal(fx_call(it.fx, &it.client, caller, "do"), 0);
        fx_step_ms(it.fx, 5000);
        if (i == 2)
            fx_crash(it.fx, true);
        fx_step_ms(it.fx, 5000);
        assert_int_equal(replies, 0);
        struct stead_message *answer = fx_query(it.fx, &it.client, caller, "unlock", (struct stead_slice){0});
        if (answer->status == STEAD_EBUSY) { /* it was still being read */
            stead_message_destroy(&answer);
            answer = fx_query(it.fx, &it.client, caller, "unlock", (struct stead_slice){0});
        }
        assert_int_equal(answer->status, 0);
        stead_message_destroy(&answer);
        assert_int_equal(replies, 1);
        assert_int_equal(last_code, STEAD_ETIMEOUT);
        fx_step_ms(it.fx, 60000);
        assert_int_equal(replies, 1);
        fx_destroy(it.fx);
    }
}

/* ---- Chains --------------------------------------------------------------------------------------- */

static int reached; /* the depth of the chain */
static char refusal[256];

static int call_next(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_call_options options = {.reply_op = "reply"};
    struct stead_token token;
    int64_t depth = 0;

    (void)state;
    (void)!stead_get_i64(args, NULL, &depth);
    reached = (int)depth;
    int code = stead_call(turn, stead_printed(turn, "d/next%d", (int)depth + 1), "do",
                          stead_packed(turn, "l", depth + 1), &options);
    return code != 0 ? code : stead_reply_later(turn, &token);
}

static int note_refusal(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    if (stead_reply_code(turn) == STEAD_EDEPTH)
        snprintf(refusal, sizeof(refusal), "%s", stead_reply_error_sentence(turn));
    return 0;
}

static void test_chain_of_calls_too_deep_fails_with_its_names(void **state)
{
    struct two it;

    (void)state;
    set_up(&it, "d", 1, "do");
    it.fx->settings.call_depth_max = 4;
    fx_crash(it.fx, false);
    fx_do[0] = call_next, fx_reply = note_refusal;
    refusal[0] = '\0';
    fx_send(it.fx, &it.client, STEAD_CALL, it.a, "do");
    assert_int_equal(reached, 4); /* four calls, and not a fifth */
    char expected[256];
    snprintf(expected, sizeof expected, "4 calls deep: %s -> d/next1 -> d/next2 -> d/next3 -> d/next4 -> d/next5",
             it.a);
    assert_string_equal(refusal, expected);
    fx_destroy(it.fx);
}

/* d/ring0 to d/ring2 call one another for ever. */
static int call_round(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_call_options options = {.reply_op = "reply"};
    struct stead_token token;
    int64_t depth = 0;

    (void)state;
    (void)!stead_get_i64(args, NULL, &depth);
    reached = (int)depth;
    int code = stead_call(turn, stead_printed(turn, "d/ring%d", (int)depth % 3), "do",
                          stead_packed(turn, "l", depth + 1), &options);
    return code != 0 ? code : stead_reply_later(turn, &token);
}

static void test_circle_of_calls_fails_with_the_names_of_the_circle(void **state)
{
    struct two it;

    (void)state;
    set_up(&it, "d", 1, "do");
    it.fx->settings.call_depth_max = 7;
    fx_crash(it.fx, false);
    fx_do[0] = call_round, fx_reply = note_refusal;
    refusal[0] = '\0';
    fx_send(it.fx, &it.client, STEAD_CALL, it.a, "do");
    assert_int_equal(reached, 7);
    assert_string_equal(refusal, "7 calls deep, in a circle of 3: d/ring1 -> d/ring2 -> d/ring0 -> d/ring1");
    fx_destroy(it.fx);
}

static void test_agent_that_calls_itself_does_not_wait_for_itself(void **state)
{
    struct two it;

    (void)state;
    set_up(&it, "d", 1, "add");
    callee = it.a;
    assert_int_equal(fx_call(it.fx, &it.client, it.a, "do"), 0);
    assert_int_equal(replies, 1);
    assert_int_equal(fx_call_i64(it.fx, &it.client, it.a, "get"), 1001);
    fx_destroy(it.fx);
}

static int fail_reply(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    replies++;
    return stead_fail(turn, "cannot", "take it");
}

static void test_failing_reply_op_is_a_dead_letter_that_cannot_be_retried(void **state)
{
    struct two it;
    struct stead_writer args;

    (void)state;
    set_up(&it, "d", 1, "add");
    fx_reply = fail_reply;
    assert_int_equal(fx_call(it.fx, &it.client, it.a, "do"), 0);
    assert_int_equal(replies, 1);
    struct stead_message *listed = fx_query(it.fx, &it.client, it.a, "deadletters", (struct stead_slice){0});
    struct stead_slice letters, letter, op;
    uint32_t count;
    uint64_t id;
    assert_int_equal(stead_get_value(stead_message_payload(listed), "letters", &letters), 0);
    struct stead_reader reader = stead_reader(letters);
    assert_int_equal(stead_read_array(&reader, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(stead_read_value(&reader, &letter), 0);
    assert_int_equal(stead_get_u64(letter, "id", &id), 0);
    assert_int_equal(stead_get_str(letter, "op", &op), 0);
    assert_true(stead_slice_equal(op, stead_str("reply"))); /* the one that could not take it */
    stead_message_destroy(&listed);
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:u}", "action", "retry", "id", id);
    struct stead_message *answer = fx_query(it.fx, &it.client, it.a, "deadletters", stead_written(&args));
    assert_int_equal(answer->status, STEAD_ESTATE);
    stead_message_destroy(&answer);
    stead_writer_deinit(&args);
    assert_int_equal(fx_query_i64(it.fx, &it.client, it.a, "show", "dead_letters"), 1);
    fx_destroy(it.fx);
}

static void test_reply_op_that_kills_the_process_is_set_aside(void **state)
{
    struct two it;

    (void)state;
    set_up(&it, "d", 1, "do2");
    assert_int_equal(fx_call(it.fx, &it.client, it.a, "do"), 0);
    it.fx->hold_sync = true;
    fx_send(it.fx, &it.client, STEAD_SIGNAL, it.b, "do3");
    assert_int_equal(replies, 1);
    assert_string_equal(it.fx->mark_op, "reply");
    struct stead_id id = it.fx->mark.id; /* what the process died of */
    it.fx->hold_sync = false;
    fx_crash(it.fx, true);
    stead_host_suspect(it.fx->host, id, it.fx->settings.poison_kills_max);
    fx_send(it.fx, &it.client, STEAD_SIGNAL, it.b, "do3");
    assert_int_equal(replies, 1);
    assert_int_equal(fx_answer_status(it.fx), 0);
    assert_int_equal(fx_query_i64(it.fx, &it.client, it.a, "show", "dead_letters"), 1);
    fx_destroy(it.fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answer_comes_to_the_reply_op_with_its_context),
        cmocka_unit_test(test_failure_comes_to_the_reply_op_as_its_code_and_name),
        cmocka_unit_test(test_call_without_an_answer_times_out_once_even_after_a_restart),
        cmocka_unit_test(test_call_of_an_agent_that_waits_past_its_deadline_is_not_started),
        cmocka_unit_test(test_answer_given_later_survives_unload_and_restart_and_works_once),
        cmocka_unit_test(test_token_of_a_call_in_a_chain_is_answered),
        cmocka_unit_test(test_destroy_answers_what_is_owed_with_an_error),
        cmocka_unit_test(test_token_is_given_once_and_only_for_calls),
        cmocka_unit_test(test_token_may_be_answered_in_the_turn_that_took_it),
        cmocka_unit_test(test_volatile_agent_answers_later),
        cmocka_unit_test(test_timeout_of_a_held_agent_is_heard_after_the_release),
        cmocka_unit_test(test_chain_of_calls_too_deep_fails_with_its_names),
        cmocka_unit_test(test_circle_of_calls_fails_with_the_names_of_the_circle),
        cmocka_unit_test(test_agent_that_calls_itself_does_not_wait_for_itself),
        cmocka_unit_test(test_failing_reply_op_is_a_dead_letter_that_cannot_be_retried),
        cmocka_unit_test(test_reply_op_that_kills_the_process_is_set_aside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
