/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead.hold and stead.release: one holder at a time, in order of asking; a release always comes through; what the kind
 * names itself is its own. And what waits in the mailbox of an agent that is held while it is loaded.
 */
#include "unit/runtime/host_client.h"

#include "runtime/address.h"

static struct fx_client client;
static char room[64], anna[64], bert[64];
static struct {
    int code;
    uint64_t fence;
    char name[64];
    uint32_t count;
} told[2]; /* what hold's callers were answered: anna, bert */

static int call_hold(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_call_options options = {.reply_op = "reply", .timeout_ms = STEAD_TIMEOUT_NEVER};

    (void)state, (void)args;
    return stead_call(turn, room, STEAD_OP_HOLD, (struct stead_slice){0}, &options);
}

static int hear(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint32_t who = strcmp(stead_self(turn), anna) == 0 ? 0 : 1;

    (void)state;
    told[who].count++;
    told[who].code = stead_reply_code(turn);
    snprintf(told[who].name, sizeof told[who].name, "%s", stead_reply_error_name(turn));
    if (told[who].code == 0 && stead_get_u64(args, NULL, &told[who].fence) != 0)
        fail_msg("no fence");
    return 0;
}

/* Releases with the fence that it is given. */
static int signal_release(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t fence = 0;

    (void)state;
    assert_int_equal(stead_get_u64(args, NULL, &fence), 0);
    return stead_signal(turn, room, STEAD_OP_RELEASE, stead_packed(turn, "{s:u}", "fence", fence));
}

/* As a worker does that asks for somebody else, and asks again under the same key when it has died meanwhile. */
static int call_hold_for_another(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_call_options options = {
        .reply_op = "reply", .timeout_ms = STEAD_TIMEOUT_NEVER, .idempotency_key = "0123456789abcdef"};

    (void)state, (void)args;
    return stead_call(turn, room, STEAD_OP_HOLD, stead_packed(turn, "{s:s}", "holder", "hub/h/instance"), &options);
}

static int add_to_room(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_signal(turn, room, "add", (struct stead_slice){0});
}

static struct fx *begin(const char *kind)
{
    struct fx *fx = fx_create(1);

    client = fx_client(fx, 1);
    memset(told, 0, sizeof told);
    fx_do[0] = call_hold, fx_do[1] = signal_release, fx_do[2] = add_to_room, fx_reply = hear;
    fx_address(room, kind, 1, 1);
    fx_address(anna, "d", 1, 2);
    fx_address(bert, "d", 1, 3);
    return fx;
}

static void release(struct fx *fx, const char *who, uint64_t fence)
{
    struct stead_message *message = fx_request(fx, &client, STEAD_CALL, who, "do2", fx_i64((int64_t)fence), NULL);

    stead_host_deliver(fx->host, &message);
    fx_run(fx);
    assert_int_equal(fx_answer_status(fx), 0);
}

static void test_second_holder_waits_for_the_release(void **state)
{
    static const char *const kinds[] = {"d", "v"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fx *fx = begin(kinds[i]);
        assert_int_equal(fx_call(fx, &client, anna, "do"), 0);
        assert_int_equal(told[0].count, 1);
        assert_int_equal(told[0].code, 0);
        assert_int_equal(told[0].fence, 1);
        assert_int_equal(fx_call(fx, &client, bert, "do"), 0);
        assert_int_equal(told[1].count, 0);
        release(fx, bert, 1); /* as good as carrying the fence: it ends anna's hold */
        assert_int_equal(told[1].count, 1);
        assert_int_equal(told[1].fence, 2);
        fx_destroy(fx);
    }
}

static void test_release_with_an_old_fence_changes_nothing(void **state)
{
    struct fx *fx = begin("d");

    (void)state;
    assert_int_equal(fx_call(fx, &client, anna, "do"), 0);
    struct stead_message *answer = fx_query(fx, &client, room, "unlock", (struct stead_slice){0});
    assert_int_equal(answer->status, 0);
    stead_message_destroy(&answer);
    assert_int_equal(fx_call(fx, &client, bert, "do"), 0);
    assert_int_equal(told[1].fence, 3); /* the broken hold's number went with it */
    release(fx, anna, told[0].fence);   /* comes through although bert holds, and is fine */
    assert_int_equal(fx_query_i64(fx, &client, room, "show", "dead_letters"), 0);
    assert_int_equal(fx_call(fx, &client, anna, "do"), 0);
    assert_int_equal(told[0].count, 1); /* still waits: bert holds */
    release(fx, bert, told[1].fence);
    assert_int_equal(told[0].count, 2);
    assert_int_equal(told[0].fence, 4);
    fx_destroy(fx);
}

static void test_holder_that_asks_again_is_given_a_new_fence_and_the_old_one_releases_nothing(void **state)
{
    struct fx *fx = begin("d");

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(fx_call(fx, &client, anna, "do"), 0);
    assert_int_equal(told[0].count, 2);
    assert_int_equal(told[0].fence, 2);
    release(fx, anna, 1); /* what it was given first, and may have forgotten */
    assert_int_equal(fx_call(fx, &client, bert, "do"), 0);
    assert_int_equal(told[1].count, 0); /* anna holds on */
    release(fx, anna, 2);
    assert_int_equal(told[1].fence, 3); /* one release was enough */
    fx_destroy(fx);
}

static void test_hold_asked_again_under_its_key_for_another_is_answered_though_held(void **state)
{
    struct fx *fx = begin("d");

    (void)state;
    fx_do[0] = call_hold_for_another;
    assert_int_equal(fx_call(fx, &client, anna, "do"), 0);
    assert_int_equal(told[0].count, 1);
    fx_cold_restart(fx);
    assert_int_equal(fx_call(fx, &client, bert, "do"),
                     0); /* not the holder: it would wait for a release that needs its own answer */
    assert_int_equal(told[1].count, 1);
    assert_int_equal(told[1].code, 0);
    assert_int_equal(told[1].fence, told[0].fence);
    fx_do[0] = call_hold; /* another hold waits all the same */
    assert_int_equal(fx_call(fx, &client, anna, "do"), 0);
    assert_int_equal(told[0].count, 1);
    release(fx, bert, told[1].fence);
    assert_int_equal(told[0].count, 2);
    fx_destroy(fx);
}

static void test_hold_asked_again_while_its_agent_is_being_loaded_is_answered(void **state)
{
    struct fx *fx = begin("d");

    (void)state;
    fx_address(anna, "v", 1, 2); /* as workers are */
    fx_address(bert, "v", 1, 3);
    fx_do[0] = call_hold_for_another;
    assert_int_equal(fx_call(fx, &client, anna, "do"), 0);
    fx_cold_restart(fx);
    fx->hold_loads = true;
    fx_send(fx, &client, STEAD_CALL, bert, "do");
    for (int loads = 0; loads < 4; loads++) {
        (void)fx_loads_done(fx);
        fx_run(fx);
    }
    fx->hold_loads = false;
    assert_int_equal(told[1].count, 1);
    assert_int_equal(told[1].fence, told[0].fence);
    assert_int_equal(fx_answer_status(fx), 0);
    fx_destroy(fx);
}

static void test_two_requests_under_one_key_that_wait_are_both_answered_by_one_hold(void **state)
{
    struct fx *fx = begin("d");
    char carl[64];

    (void)state;
    fx_address(carl, "d", 1, 4);
    assert_int_equal(fx_call(fx, &client, carl, "do"), 0); /* counts as bert's */
    assert_int_equal(told[1].count, 1);
    uint64_t fence = told[1].fence;
    fx_do[0] = call_hold_for_another;
    assert_int_equal(fx_call(fx, &client, anna, "do"), 0);
    assert_int_equal(fx_call(fx, &client, bert, "do"), 0);
    assert_int_equal(told[0].count, 0);
    release(fx, carl, fence);
    assert_int_equal(told[0].count, 1);
    assert_int_equal(told[1].count, 2);
    assert_int_equal(told[0].fence, fence + 1);
    assert_int_equal(told[1].fence, fence + 1);
    fx_destroy(fx);
}

static void test_messages_of_others_wait_for_the_release(void **state)
{
    struct fx *fx = begin("d");

    (void)state;
    assert_int_equal(fx_call(fx, &client, anna, "do"), 0);
    assert_int_equal(fx_call(fx, &client, bert, "do3"), 0);
    assert_int_equal(fx_call(fx, &client, anna, "do3"), 0);
    fx_cold_restart(fx);
    assert_int_equal(fx_query_i64(fx, &client, room, "show", "dead_letters"), 0);
    release(fx, anna, 1);
    assert_int_equal(fx_call_i64(fx, &client, room, "get"), 2);
    fx_destroy(fx);
}

static void test_client_cannot_hold(void **state)
{
    struct fx *fx = begin("d");

    (void)state;
    fx_send(fx, &client, STEAD_CALL, room, STEAD_OP_HOLD);
    struct stead_message *answer = fx_answer(fx);
    struct stead_slice name;
    assert_int_equal(answer->status, STEAD_EFAILED);
    assert_int_equal(stead_get_str(stead_message_payload(answer), "name", &name), 0);
    assert_true(stead_slice_equal(name, stead_str("no_holder")));
    stead_message_destroy(&answer);
    assert_int_equal(fx_call(fx, &client, room, STEAD_OP_RELEASE), STEAD_EFAILED); /* without a fence */
    fx_destroy(fx);
}

/* ---- Held, and not in memory ----------------------------------------------------------------- */

static void test_fenced_call_to_an_agent_that_is_being_loaded_runs(void **state)
{
    struct fx *fx = begin("d");

    (void)state;
    assert_int_equal(fx_call(fx, &client, anna, "do"), 0);
    fx_cold_restart(fx);
    struct fx_client other = fx_client(fx, 2);
    fx_send(fx, &other, STEAD_CALL, room, "add"); /* has no business there: it waits */
    struct stead_message *message = fx_request(fx, &client, STEAD_CALL, room, "add", (struct stead_slice){0}, NULL);
    message->groups |= STEAD_GROUP_FENCE;
    message->fence = 1;
    stead_host_deliver(fx->host, &message);
    fx_run(fx);
    assert_int_equal(fx_answer_i64(fx), 1);
    assert_int_equal(fx->answers.count, 0);
    release(fx, anna, 1);
    assert_int_equal(fx_answer_i64(fx), 2);
    fx_destroy(fx);
}

static void test_messages_that_wait_for_load_and_release_keep_their_order(void **state)
{
    struct fx *fx = begin("d");
    struct fx_client others[4];

    (void)state;
    assert_int_equal(fx_call(fx, &client, anna, "do"), 0);
    fx_cold_restart(fx);
    fx->hold_loads = true;
    for (uint8_t i = 0; i < 4; i++) {
        others[i] = fx_client(fx, (uint8_t)(10 + i));
        struct stead_message *message =
            i == 2 ? fx_request(fx, &others[i], STEAD_QUERY, room, "unlock", (struct stead_slice){0}, NULL)
                   : fx_request(fx, &others[i], STEAD_CALL, room, "add", (struct stead_slice){0}, NULL);
        stead_host_deliver(fx->host, &message);
        fx_run(fx);
    }
    assert_int_equal(fx->answers.count, 0);
    fx->hold_loads = false;
    while (fx_loads_done(fx))
        fx_run(fx);
    struct stead_message *answer = fx_answer(fx);
    struct stead_slice holder;
    assert_int_equal(answer->status, 0); /* of the unlock */
    assert_int_equal(stead_get_str(stead_message_payload(answer), "holder", &holder), 0);
    assert_true(stead_slice_equal(holder, stead_str(anna)));
    stead_message_destroy(&answer);
    for (int64_t i = 1; i <= 3; i++) {
        answer = fx_answer(fx);
        int64_t value = 0;
        assert_int_equal(stead_get_i64(stead_message_payload(answer), NULL, &value), 0);
        assert_int_equal(value, i);
        assert_int_equal(answer->session.id.v[0], 9 + i + (i == 3));
        stead_message_destroy(&answer);
    }
    fx_destroy(fx);
}

static void test_unlock_of_an_agent_whose_kind_is_not_loaded_says_so(void **state)
{
    struct fx *fx = begin("d");

    (void)state;
    assert_int_equal(fx_call(fx, &client, anna, "do"), 0);
    fx_cold_restart(fx);
    struct stead_registry *without = stead_registry_create(), *with = fx->registry;
    stead_host_destroy(&fx->host);
    fx->registry = without;
    fx_start(fx);
    client = fx_client(fx, 3);
    struct stead_message *answer = fx_query(fx, &client, room, "unlock", (struct stead_slice){0});
    assert_int_equal(answer->status, STEAD_EKIND);
    stead_message_destroy(&answer);
    stead_host_destroy(&fx->host);
    fx->registry = with;
    stead_registry_destroy(&without);
    fx_start(fx);
    fx_destroy(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_second_holder_waits_for_the_release),
        cmocka_unit_test(test_release_with_an_old_fence_changes_nothing),
        cmocka_unit_test(test_holder_that_asks_again_is_given_a_new_fence_and_the_old_one_releases_nothing),
        cmocka_unit_test(test_hold_asked_again_under_its_key_for_another_is_answered_though_held),
        cmocka_unit_test(test_hold_asked_again_while_its_agent_is_being_loaded_is_answered),
        cmocka_unit_test(test_two_requests_under_one_key_that_wait_are_both_answered_by_one_hold),
        cmocka_unit_test(test_messages_of_others_wait_for_the_release),
        cmocka_unit_test(test_client_cannot_hold),
        cmocka_unit_test(test_fenced_call_to_an_agent_that_is_being_loaded_runs),
        cmocka_unit_test(test_messages_that_wait_for_load_and_release_keep_their_order),
        cmocka_unit_test(test_unlock_of_an_agent_whose_kind_is_not_loaded_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
