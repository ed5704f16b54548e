/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that nobody waits for any more: cancelled, timed out, or of an agent that is gone. And calls that wait for
 * ever.
 */
#include "unit/runtime/host_client.h"

static const char *callee;    /* whom `do` calls */
static const char *callee_op; /* with which op */
static int64_t timeout_ms;
static struct stead_call_id made;
static uint32_t replies;
static int last_code;
static struct stead_token kept;

static int call_it(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_call_options options = {.reply_op = "reply", .timeout_ms = timeout_ms, .ret_call = &made};

    (void)state;
    return stead_call(turn, callee, callee_op, args, &options);
}

/* Answers the code of the cancel. */
static int cancel_it(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_reply(turn, stead_packed(turn, "l", (int64_t)stead_call_cancel(turn, &made)));
}

static int cancel_and_fail(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)cancel_it(turn, state, args);
    return stead_fail(turn, "changed_my_mind", "after all");
}

static int call_and_cancel(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int code = call_it(turn, state, args);

    if (code != 0 || stead_call_cancel(turn, &made) != 0)
        return STEAD_EFAILED;
    return stead_call_cancel(turn, &made) == STEAD_ENOTFOUND ? 0 : STEAD_EFAILED;
}

static int note_reply(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    replies++;
    last_code = stead_reply_code(turn);
    return 0;
}

static int keep_token(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    int code = stead_reply_later(turn, &kept);
    memcpy(((struct puppet *)state)->token, kept.text, sizeof(kept.text));
    return code;
}

static int answer_token(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_token token;

    (void)args;
    memcpy(token.text, ((struct puppet *)state)->token, sizeof(token.text));
    return stead_answer(turn, &token, stead_packed(turn, "l", (int64_t)42));
}

struct two {
    struct fx *fx;
    struct fx_client client;
    char a[64], b[64];
};

/* `a` of kind `caller` calls `op` of `address` (NULL: an agent `b` of shard `shard`). */
static void set_up(struct two *it, const char *caller, const char *address, uint32_t shard, const char *op)
{
    it->fx = fx_create(2);
    it->client = fx_client(it->fx, 1);
    fx_set_table(it->fx, NULL, 1, false);
    fx_address(it->a, caller, 1, 0);
    fx_address(it->b, "d", shard, 1);
    callee = address != NULL ? address : it->b;
    callee_op = op;
    timeout_ms = 5000;
    replies = 0, last_code = 1;
    fx_do[0] = call_it, fx_do[1] = cancel_it, fx_do[2] = keep_token, fx_look = NULL, fx_reply = note_reply;
}

static const char *const callers[] = {"d", "v"};

static void test_cancelled_call_takes_no_answer_and_no_deadline(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) { /* durable and volatile callers, in one shard and across two */
        struct two it;
        set_up(&it, callers[i % 2], NULL, i < 2 ? 1 : 2, "do3");
        assert_int_equal(fx_call(it.fx, &it.client, it.a, "do"), 0);
        assert_int_equal(fx_call_i64(it.fx, &it.client, it.a, "do2"), 0);
        assert_int_equal(fx_call_i64(it.fx, &it.client, it.a, "do2"), STEAD_ENOTFOUND);
        fx_do[2] = answer_token;
        assert_int_equal(fx_call(it.fx, &it.client, it.b, "do3"), 0);
        assert_int_equal(replies, 0);
        assert_int_equal(fx_stats(it.fx)->answers_dropped, 1);
        fx_step_ms(it.fx, 60000);
        if (i % 2 == 0)
            fx_crash(it.fx, true);
        fx_step_ms(it.fx, 60000);
        assert_int_equal(replies, 0);
        fx_destroy(it.fx);
    }
}

static void test_cancel_of_a_turn_that_fails_changes_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct two it;
        set_up(&it, callers[i], NULL, 2, "do3");
        assert_int_equal(fx_call(it.fx, &it.client, it.a, "do"), 0);
        fx_do[1] = cancel_and_fail;
        assert_int_equal(fx_call(it.fx, &it.client, it.a, "do2"), STEAD_EFAILED);
        fx_do[2] = answer_token;
        assert_int_equal(fx_call(it.fx, &it.client, it.b, "do3"), 0);
        assert_int_equal(replies, 1);
        fx_destroy(it.fx);
    }
}

static void test_call_cancelled_in_its_own_turn_is_never_sent(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct two it;
        set_up(&it, callers[i], NULL, 2, "add");
        fx_do[0] = call_and_cancel;
        assert_int_equal(fx_call(it.fx, &it.client, it.a, "do"), 0);
        fx_step_ms(it.fx, 60000);
        assert_int_equal(replies, 0);
        assert_int_equal(fx_call_i64(it.fx, &it.client, it.b, "get"), 0);
        fx_destroy(it.fx);
    }
}

static void test_only_the_caller_can_cancel_and_only_what_waits(void **state)
{
    struct two it;
    char other[64];

    (void)state;
    for (int i = 0; i < 2; i++) {
        set_up(&it, callers[i], NULL, 2, "do3");
        assert_int_equal(fx_call(it.fx, &it.client, it.a, "do"), 0);
        assert_int_equal(fx_call_i64(it.fx, &it.client, fx_address(other, callers[i], 1, 7), "do2"), STEAD_ENOTFOUND);
        fx_do[2] = answer_token;
        assert_int_equal(fx_call(it.fx, &it.client, it.b, "do3"), 0);
        assert_int_equal(replies, 1);
        assert_int_equal(fx_call_i64(it.fx, &it.client, it.a, "do2"), STEAD_ENOTFOUND); /* it is over */
        fx_destroy(it.fx);
    }
}

static void test_job_is_told_with_the_commit_of_the_cancel(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct two it;
        set_up(&it, callers[i], "s/1", 1, "work");
        assert_int_equal(fx_call(it.fx, &it.client, it.a, "do"), 0);
        assert_int_equal(it.fx->jobs.count, 1);
        it.fx->hold_sync = true;
        fx_send(it.fx, &it.client, STEAD_CALL, it.a, "do2");
        if (i == 0)
            assert_int_equal(it.fx->cancels, 0); /* a crash could take it back */
        it.fx->hold_sync = false;
        fx_run(it.fx);
        assert_int_equal(it.fx->cancels, 1);
        struct stead_message *request = stead_queue_pop(&it.fx->jobs);
        stead_host_job_done(it.fx->host, &request, STEAD_ECANCELLED, "", "", (struct stead_slice){0});
        fx_step_ms(it.fx, 60000);
        assert_int_equal(replies, 0);
        assert_int_equal(it.fx->jobs.count, 0); /* and is not asked for again */
        fx_destroy(it.fx);
    }
}

static void test_job_on_another_node_is_told_there(void **state)
{
    struct two it;

    (void)state;
    set_up(&it, "d", "g/1", 1, "work"); /* only the other node has a gpu */
    fx_set_table(it.fx, NULL, 2, true);
    assert_int_equal(fx_call(it.fx, &it.client, it.a, "do"), 0);
    assert_int_equal(it.fx->sends.count, 1);
    assert_int_equal(fx_call_i64(it.fx, &it.client, it.a, "do2"), 0);
    assert_int_equal(it.fx->sends.count, 2);
    assert_int_equal(it.fx->sends.tail->type, STEAD_CANCEL);
    assert_memory_equal(it.fx->sends.tail->id.v, made.bytes, sizeof(made.bytes));
    fx_destroy(it.fx);
}

static uint64_t fence;

static int hold_it(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_hold(turn, "d/holder", &fence);
}

static void test_call_that_waits_for_a_held_agent_is_not_run(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) { /* parked (durable caller) and in memory */
        struct two it;
        set_up(&it, callers[i % 2], NULL, i < 2 ? 1 : 2, "add");
        fx_do[2] = hold_it;
        assert_int_equal(fx_call(it.fx, &it.client, it.b, "do3"), 0);
        assert_int_equal(fx_call(it.fx, &it.client, it.a, "do"), 0);
        assert_int_equal(fx_call_i64(it.fx, &it.client, it.a, "do2"), 0);
        struct stead_message *answer = fx_query(it.fx, &it.client, it.b, "unlock", (struct stead_slice){0});
        stead_message_destroy(&answer);
        assert_int_equal(fx_call_i64(it.fx, &it.client, it.b, "get"), 0);
        assert_int_equal(replies, 0);
        fx_destroy(it.fx);
    }
}

/* Nobody wants it any more when a start brings the kind at last. */
static void test_call_that_waits_for_its_kind_is_not_run(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct two it;
        set_up(&it, "d", NULL, 1, "add");
        callee = fx_address(it.b, "late", 1, 1);
        timeout_ms = STEAD_TIMEOUT_NEVER;
        assert_int_equal(fx_call(it.fx, &it.client, it.a, "do"), 0);
        assert_int_equal(fx_stats(it.fx)->parked, 1);
        if (i == 1)
            assert_int_equal(fx_call_i64(it.fx, &it.client, it.a, "do2"), 0); /* cancelled */
        assert_int_equal(stead_registry_add(it.fx->registry, &fx_kind_late, NULL), 0);
        fx_cold_restart(it.fx);
        fx_run(it.fx);
        assert_int_equal(fx_call_i64(it.fx, &it.client, it.b, "get"), i == 0 ? 1 : 0);
        assert_int_equal(replies, i == 0 ? 1 : 0);
        fx_destroy(it.fx);
    }
}

static void test_call_that_waits_in_an_outbox_arrives_expired(void **state)
{
    struct two it;

    (void)state;
    set_up(&it, "d", NULL, 2, "add");
    fx_destroy(it.fx);
    it.fx = fx_create(1); /* shard 2 is the other node's, which is away */
    fx_do[0] = call_it, fx_do[1] = cancel_it;
    fx_set_table(it.fx, NULL, 1, true);
    assert_int_equal(fx_call(it.fx, &it.client, it.a, "do"), 0);
    assert_int_equal(fx_call_i64(it.fx, &it.client, it.a, "do2"), 0);
    stead_queue_clear(&it.fx->sends);
    fx_step_ms(it.fx, 2000);
    const struct stead_message *again = it.fx->sends.head;
    while (again != NULL && again->type != STEAD_CALL)
        again = again->next;
    assert_non_null(again); /* its number must arrive */
    assert_int_equal(again->deadline_ms, 1);
    fx_destroy(it.fx);
}

static void test_callee_is_told_of_a_timeout_and_of_a_destroyed_caller(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct two it;
        set_up(&it, callers[i % 2], "s/1", 1, "work");
        timeout_ms = i < 2 ? 5000 : STEAD_TIMEOUT_NEVER;
        assert_int_equal(fx_call(it.fx, &it.client, it.a, "do"), 0);
        if (i < 2)
            fx_step_ms(it.fx, 5000);
        else
            assert_int_equal(fx_call(it.fx, &it.client, it.a, "destroy"), 0);
        assert_int_equal(it.fx->cancels, 1);
        assert_int_equal(replies, i < 2 ? 1 : 0);
        struct stead_message *request = stead_queue_pop(&it.fx->jobs);
        stead_host_job_done(it.fx->host, &request, 0, "", "", fx_i64(1));
        fx_step_ms(it.fx, 60000);
        assert_int_equal(replies, i < 2 ? 1 : 0);
        fx_destroy(it.fx);
    }
}

static void test_call_without_a_deadline_waits_as_long_as_it_takes(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct two it;
        set_up(&it, callers[i], NULL, 2, "do3");
        timeout_ms = STEAD_TIMEOUT_NEVER;
        assert_int_equal(fx_call(it.fx, &it.client, it.a, "do"), 0);
        for (int hours = 0; hours < (i == 0 ? 72 : 10); hours++) /* the session of a volatile caller lasts a day */
            fx_step_ms(it.fx, 3600000);
        if (i == 0)
            fx_crash(it.fx, true);
        fx_step_ms(it.fx, 3600000);
        assert_int_equal(replies, 0);
        fx_do[2] = answer_token;
        it.client = fx_client(it.fx, 2); /* the first one's session is over */
        assert_int_equal(fx_call(it.fx, &it.client, it.b, "do3"), 0);
        assert_int_equal(replies, 1);
        assert_int_equal(last_code, 0);
        fx_destroy(it.fx);
    }
}

static void test_job_of_a_patient_caller_is_not_started_twice(void **state)
{
    struct two it;

    (void)state;
    set_up(&it, "d", "g/1", 1, "work");
    fx_set_table(it.fx, NULL, 2, true);
    timeout_ms = STEAD_TIMEOUT_NEVER;
    assert_int_equal(fx_call(it.fx, &it.client, it.a, "do"), 0);
    uint32_t sent = 0;
    fx_set_table(it.fx, "gpu", 2, true); /* this node could do it now, too */
    for (int minutes = 0; minutes < 1200; minutes++)
        fx_step_ms(it.fx, 60000);
    for (const struct stead_message *m = it.fx->sends.head; m != NULL; m = m->next)
        sent += m->type == STEAD_CALL;
    assert_true(sent > 1000); /* it asks where the first is, hour after hour */
    assert_int_equal(it.fx->jobs.count, 0);
    fx_destroy(it.fx);
}

static char room[64];

static int hold_room(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_call_options options = {.reply_op = "reply", .timeout_ms = STEAD_TIMEOUT_NEVER};

    (void)state, (void)args;
    return stead_call(turn, room, STEAD_OP_HOLD, (struct stead_slice){0}, &options);
}

static void test_client_takes_back_its_own_waiting_call_and_nobody_elses(void **state)
{
    struct fx *fx = fx_create(2);
    struct fx_client client = fx_client(fx, 1), stranger = fx_client(fx, 2);
    char holder[64];

    (void)state;
    fx_do[0] = hold_room, fx_reply = NULL;
    fx_address(room, "d", 1, 1), fx_address(holder, "d", 1, 2);
    assert_int_equal(fx_call(fx, &client, holder, "do"), 0);
    struct stead_message *request = fx_request(fx, &client, STEAD_CALL, room, "add", fx_i64(1), NULL);
    fx_deliver(fx, request);
    for (int who = 0; who < 3; who++) {
        const struct fx_client *const says[] = {NULL, &stranger, &client};
        assert_int_equal(fx->answers.count, 0); /* it waits for the room */
        struct stead_message *cancel = fx_cancel(request, says[who]);
        stead_host_deliver(fx->host, &cancel);
        fx_run(fx);
    }
    assert_int_equal(fx_answer_status(fx), STEAD_ECANCELLED);
    stead_message_destroy(&request);
    fx_destroy(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cancelled_call_takes_no_answer_and_no_deadline),
        cmocka_unit_test(test_cancel_of_a_turn_that_fails_changes_nothing),
        cmocka_unit_test(test_call_cancelled_in_its_own_turn_is_never_sent),
        cmocka_unit_test(test_client_takes_back_its_own_waiting_call_and_nobody_elses),
        cmocka_unit_test(test_only_the_caller_can_cancel_and_only_what_waits),
        cmocka_unit_test(test_job_is_told_with_the_commit_of_the_cancel),
        cmocka_unit_test(test_job_on_another_node_is_told_there),
        cmocka_unit_test(test_call_that_waits_for_a_held_agent_is_not_run),
        cmocka_unit_test(test_call_that_waits_for_its_kind_is_not_run),
        cmocka_unit_test(test_call_that_waits_in_an_outbox_arrives_expired),
        cmocka_unit_test(test_callee_is_told_of_a_timeout_and_of_a_destroyed_caller),
        cmocka_unit_test(test_call_without_a_deadline_waits_as_long_as_it_takes),
        cmocka_unit_test(test_job_of_a_patient_caller_is_not_started_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
