/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volatile agents: their requests to other shards are sent again until answered, theirs and others' take effect once
 * while both live, and what was said to an agent that is gone with its node harms nobody.
 */
#include "runtime/shard.h"
#include "unit/runtime/host_client.h"

static const char *to; /* whom `do` and `do2` speak to */
static uint32_t replies;
static int last_code;

static int call_to(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_call_options options = {.reply_op = "reply", .timeout_ms = 5000};

    (void)state;
    return stead_call(turn, to, "add", args, &options);
}

static int signal_to(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state;
    return stead_signal(turn, to, "add", args);
}

static int note_reply(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args, (void)state;
    replies++;
    last_code = stead_reply_code(turn);
    return 0;
}

/* A host of `shards` shards with the other node at hand. */
static struct fx *begin(uint32_t shards)
{
    struct fx *fx = fx_create(shards);

    fx_set_table(fx, NULL, 1, true);
    replies = 0, last_code = 1;
    fx_do[0] = call_to, fx_do[1] = signal_to, fx_reply = note_reply;
    return fx;
}

/* The other node answers the oldest request it was sent. Its session number. */
static uint64_t answer_with(struct fx *fx, int status, uint16_t flags)
{
    struct stead_message *request = stead_queue_pop(&fx->sends);

    assert_non_null(request);
    assert_true(request->groups & STEAD_GROUP_SESSION);
    struct stead_message *answer = stead_message_answer(request, status, NULL, (struct stead_slice){0});
    uint64_t number = request->session.number;
    answer->flags |= flags;
    stead_message_destroy(&request);
    stead_host_deliver(fx->host, &answer);
    fx_run(fx);
    return number;
}

static uint64_t answer_from_there(struct fx *fx, int status)
{
    return answer_with(fx, status, 0);
}

static void test_call_between_volatile_agents_is_answered(void **state)
{
    (void)state;
    for (uint32_t shard = 1; shard <= 2; shard++) {
        struct fx *fx = begin(2);
        struct fx_client client = fx_client(fx, 1);
        char v[64], w[64];
        to = fx_address(w, "v", shard, 1);
        assert_int_equal(fx_call(fx, &client, fx_address(v, "v", 1, 0), "do"), 0);
        assert_int_equal(replies, 1);
        assert_int_equal(last_code, 0);
        fx_step_ms(fx, 10000);
        assert_int_equal(replies, 1);
        assert_int_equal(fx_call_i64(fx, &client, w, "get"), 1);
        fx_destroy(fx);
    }
}

static void test_volatile_agents_effects_on_a_durable_one_are_exactly_once(void **state)
{
    (void)state;
    for (uint32_t shard = 1; shard <= 2; shard++) {
        struct fx *fx = begin(2);
        struct fx_client client = fx_client(fx, 1);
        char v[64], d[64];
        to = fx_address(d, "d", shard, 1);
        assert_int_equal(fx_call(fx, &client, fx_address(v, "v", 1, 0), "do"), 0);
        assert_int_equal(fx_call(fx, &client, v, "do2"), 0);
        fx_step_ms(fx, 10000);
        assert_int_equal(replies, 1);
        assert_int_equal(fx_call_i64(fx, &client, d, "get"), 2);
        fx_destroy(fx);
    }
}

static void test_request_is_sent_again_until_it_is_answered(void **state)
{
    struct fx *fx = begin(1);
    struct fx_client client = fx_client(fx, 1);
    char v[64], w[64];

    (void)state;
    to = fx_address(w, "v", 2, 0);
    assert_int_equal(fx_call(fx, &client, fx_address(v, "v", 1, 0), "do2"), 0);
    assert_int_equal(fx->sends.count, 1);
    fx_step_ms(fx, 999);
    assert_int_equal(fx->sends.count, 1);
    fx_step_ms(fx, 1);
    assert_int_equal(fx->sends.count, 2);
    struct stead_message *again = fx->sends.tail;
    assert_true(stead_id_equal(again->id, fx->sends.head->id));
    assert_int_equal(again->session.number, fx->sends.head->session.number);
    assert_true(again->flags & STEAD_FLAG_RETRY);
    answer_from_there(fx, 0);
    stead_queue_clear(&fx->sends);
    fx_step_ms(fx, 10000);
    assert_int_equal(fx->sends.count, 0);
    assert_int_equal(fx_call(fx, &client, v, "do2"), 0);
    assert_int_equal(fx->sends.head->session.mark, 1); /* what is answered may be forgotten there */
    fx_destroy(fx);
}

static void test_receiver_forgets_what_it_answered_while_another_has_not_answered(void **state)
{
    struct fx *fx = begin(1);
    struct fx_client client = fx_client(fx, 1);
    char v[64], slow[64], quick[64];

    (void)state;
    fx_address(v, "v", 1, 0);
    to = fx_address(slow, "v", 2, 0);
    assert_int_equal(fx_call(fx, &client, v, "do2"), 0);
    uint16_t slow_slot = fx->sends.tail->slot.v;
    stead_queue_clear(&fx->sends);
    to = fx_address(quick, "v", 2, 1);
    assert_int_equal(fx_call(fx, &client, v, "do2"), 0);
    assert_int_not_equal(fx->sends.tail->slot.v, slow_slot);
    assert_int_equal(fx->sends.tail->session.mark, 1);
    answer_from_there(fx, 0);
    assert_int_equal(fx_call(fx, &client, v, "do2"), 0);
    assert_int_equal(fx->sends.tail->session.number, 3);
    assert_int_equal(fx->sends.tail->session.mark, 2);
    to = slow;
    assert_int_equal(fx_call(fx, &client, v, "do2"), 0);
    assert_int_equal(fx->sends.tail->session.number, 4);
    assert_int_equal(fx->sends.tail->session.mark, 0); /* the first is not answered */
    fx_destroy(fx);
}

static int64_t patience_ms;

static int wait_for_long(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_call_options options = {.reply_op = "reply", .timeout_ms = patience_ms};

    (void)state;
    (void)args;
    assert_int_equal(stead_call(turn, to, "get", (struct stead_slice){0}, &options), 0);
    return stead_reply(turn, (struct stead_slice){0});
}

static void test_receiver_forgets_what_it_answered_while_a_long_poll_of_it_waits(void **state)
{
    struct fx *fx = begin(1);
    struct fx_client client = fx_client(fx, 1);
    char v[64], w[64];

    (void)state;
    fx_do[0] = wait_for_long;
    fx_address(v, "v", 1, 0);
    to = fx_address(w, "v", 2, 0);
    for (int round = 0; round < 2; round++) {
        patience_ms = round == 0 ? 30001 : STEAD_TIMEOUT_NEVER;
        assert_int_equal(fx_call(fx, &client, v, "do"), 0);
        struct stead_id polls = fx->sends.tail->session.id;
        stead_queue_clear(&fx->sends);
        patience_ms = 30000;
        assert_int_equal(fx_call(fx, &client, v, "do"), 0);
        assert_false(stead_id_equal(fx->sends.tail->session.id, polls));
        assert_int_equal(fx->sends.tail->session.mark, fx->sends.tail->session.number - 1);
        answer_from_there(fx, 0);
    }
    patience_ms = 60000;
    assert_int_equal(fx_call(fx, &client, v, "do"), 0);
    assert_int_equal(fx->sends.tail->session.mark, 0); /* the first one waits still */
    fx_destroy(fx);
}

static void test_signal_refused_with_busy_is_sent_again_and_a_call_is_told(void **state)
{
    struct fx *fx = begin(1);
    struct fx_client client = fx_client(fx, 1);
    char v[64], w[64];

    (void)state;
    to = fx_address(w, "v", 2, 0);
    assert_int_equal(fx_call(fx, &client, fx_address(v, "v", 1, 0), "do2"), 0);
    uint64_t number = answer_from_there(fx, STEAD_EBUSY);
    fx_step_ms(fx, 1000);
    assert_int_equal(answer_from_there(fx, 0), number);
    fx_step_ms(fx, 10000);
    assert_int_equal(fx->sends.count, 0);
    assert_int_equal(fx_call(fx, &client, v, "do"), 0);
    answer_from_there(fx, STEAD_EBUSY);
    assert_int_equal(last_code, STEAD_EBUSY);
    fx_step_ms(fx, 10000);
    assert_int_equal(fx->sends.count, 0);
    assert_int_equal(replies, 1);
    fx_destroy(fx);
}

static int signal_many(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int code = 0;

    (void)state;
    for (uint32_t i = 0; code == 0 && i < turn->shard->host->settings.turn_effects_max; i++)
        code = stead_signal(turn, to, "add", args);
    return code;
}

static void test_unanswered_requests_are_bounded_in_number(void **state)
{
    struct fx *fx = begin(1);
    struct fx_client client = fx_client(fx, 1);
    uint32_t turns = STEAD_VREQUESTS_MAX / fx->settings.turn_effects_max + 1; /* the last one begins with room */
    char v[64], w[64];

    (void)state;
    fx_do[1] = signal_many;
    to = fx_address(w, "v", 2, 0);
    fx_address(v, "v", 1, 0);
    for (uint32_t i = 0; i < turns; i++)
        assert_int_equal(fx_call(fx, &client, v, "do2"), 0);
    assert_int_equal(fx_call(fx, &client, v, "do2"), STEAD_EBUSY);
    assert_int_equal(fx->sends.count, turns * fx->settings.turn_effects_max);
    fx_destroy(fx);
}

static void test_unanswered_requests_are_bounded_in_bytes(void **state)
{
    struct fx *fx = fx_create(1);
    char v[64], w[64];
    int said = 0;

    (void)state;
    fx->settings.memory_bytes_max = 64u << 10;
    fx_crash(fx, false);
    fx_set_table(fx, NULL, 1, true);
    replies = 0, last_code = 1;
    fx_do[0] = call_to, fx_do[1] = signal_to, fx_reply = note_reply;
    struct fx_client client = fx_client(fx, 1);
    to = fx_address(w, "v", 2, 0);
    fx_address(v, "v", 1, 0);
    while (fx_call(fx, &client, v, "do2") == 0)
        assert_in_range(++said, 1, (64u << 10) / 8 / sizeof(struct stead_message) + 1);
    assert_true(said > 1);
    assert_int_equal(fx->sends.count, said);
    answer_from_there(fx, 0);
    assert_int_equal(fx_call(fx, &client, v, "do2"), 0);
    fx_destroy(fx);
}

static void test_request_refused_as_early_goes_again_behind_the_one_before_it(void **state)
{
    struct fx *fx = begin(1);
    struct fx_client client = fx_client(fx, 1);
    char v[64], w[64];

    (void)state;
    to = fx_address(w, "v", 2, 0);
    assert_int_equal(fx_call(fx, &client, fx_address(v, "v", 1, 0), "do2"), 0);
    stead_queue_clear(&fx->sends); /* the signal is lost */
    assert_int_equal(fx_call(fx, &client, v, "do"), 0);
    assert_int_equal(fx->sends.tail->after, fx->sends.tail->session.number - 1);
    answer_with(fx, STEAD_EBUSY, STEAD_FLAG_EARLY);
    assert_int_equal(replies, 0);
    fx_step_ms(fx, 1000);
    assert_int_equal(fx->sends.count, 2); /* both, in their order */
    assert_int_equal(fx->sends.head->type, STEAD_SIGNAL);
    assert_int_equal(fx->sends.head->after, 0);
    assert_int_equal(fx->sends.tail->after, fx->sends.head->session.number);
    struct stead_message *signal = stead_queue_pop(&fx->sends);
    answer_with(fx, STEAD_EBUSY, STEAD_FLAG_EARLY);
    stead_queue_push(&fx->sends, signal);
    answer_from_there(fx, 0);
    assert_int_equal(fx->sends.count, 1); /* at once: there is nothing to wait for any more */
    assert_int_equal(fx->sends.head->after, 0);
    answer_from_there(fx, STEAD_EBUSY);
    assert_int_equal(replies, 1);
    assert_int_equal(last_code, STEAD_EBUSY);
    fx_destroy(fx);
}

/* It would take the room, each time, that the first one needs. */
static void test_request_does_not_go_again_before_one_that_found_no_room(void **state)
{
    struct fx *fx = begin(1);
    struct fx_client client = fx_client(fx, 1);
    char v[64], w[64];

    (void)state;
    to = fx_address(w, "v", 2, 0);
    fx_address(v, "v", 1, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(fx_call(fx, &client, v, "do2"), 0);
    uint64_t first = fx->sends.head->session.number;
    struct stead_message *earliest = stead_queue_pop(&fx->sends);
    stead_queue_clear(&fx->sends); /* the others are lost */
    stead_queue_push(&fx->sends, earliest);
    fx_step_ms(fx, 500);
    answer_with(fx, STEAD_EBUSY, STEAD_FLAG_EARLY); /* nothing is before it: it goes again at once, and is due last */
    fx_step_ms(fx, 200);
    assert_int_equal(fx->sends.count, 1);
    assert_int_equal(answer_with(fx, STEAD_EBUSY, 0), first);
    fx_step_ms(fx, 310); /* the others are due */
    assert_int_equal(fx->sends.count, 0);
    fx_step_ms(fx, 500);
    assert_int_equal(fx->sends.count, 1);
    assert_int_equal(fx->sends.head->session.number, first);
    answer_from_there(fx, 0);
    assert_int_equal(fx->sends.count, 1); /* the next one, at once */
    assert_int_equal(answer_from_there(fx, 0), first + 1);
    assert_int_equal(answer_from_there(fx, 0), first + 2);
    fx_step_ms(fx, 10000);
    assert_int_equal(fx->sends.count, 0);
    fx_destroy(fx);
}

static void test_call_of_a_volatile_agent_times_out_and_is_not_sent_again(void **state)
{
    struct fx *fx = begin(1);
    struct fx_client client = fx_client(fx, 1);
    char v[64], w[64];

    (void)state;
    to = fx_address(w, "v", 2, 0);
    assert_int_equal(fx_call(fx, &client, fx_address(v, "v", 1, 0), "do"), 0);
    for (int second = 0; second < 5; second++)
        fx_step_ms(fx, 1000);
    assert_int_equal(replies, 1);
    assert_int_equal(last_code, STEAD_ETIMEOUT);
    uint32_t sent = fx->sends.count;
    for (int second = 0; second < 5; second++)
        fx_step_ms(fx, 1000);
    assert_int_equal(fx->sends.count, sent);
    answer_from_there(fx, 0); /* late: dropped and counted */
    assert_int_equal(replies, 1);
    assert_int_equal(fx_stats(fx)->answers_dropped, 1);
    stead_queue_clear(&fx->sends);
    fx_destroy(fx);
}

static void test_session_is_renewed_at_half_its_age_and_the_old_one_is_finished(void **state)
{
    struct fx *fx = fx_create(1);
    char v[64], w[64];

    (void)state;
    fx->settings.session_age_ms_max = 20000;
    fx_crash(fx, false);
    fx_set_table(fx, NULL, 1, true);
    fx_do[1] = signal_to;
    struct fx_client client = fx_client(fx, 1);
    to = fx_address(w, "v", 2, 0);
    assert_int_equal(fx_call(fx, &client, fx_address(v, "v", 1, 0), "do2"), 0);
    struct stead_message *first = stead_queue_pop(&fx->sends);
    fx_step_ms(fx, 10001);
    stead_queue_clear(&fx->sends);
    assert_int_equal(fx_call(fx, &client, v, "do2"), 0);
    assert_int_equal(fx->sends.count, 1);
    assert_false(stead_id_equal(fx->sends.head->session.id, first->session.id));
    assert_true(fx->sends.head->session.start_ms > first->session.start_ms);
    answer_from_there(fx, 0);
    stead_queue_push(&fx->sends, first);
    answer_from_there(fx, 0); /* of the old session */
    fx_step_ms(fx, 5000);
    assert_int_equal(fx->sends.count, 0);
    fx_destroy(fx);
}

static void test_answer_for_an_earlier_incarnation_is_dropped(void **state)
{
    struct fx *fx = begin(1);
    struct fx_client client = fx_client(fx, 1);
    char v[64], w[64];

    (void)state;
    to = fx_address(w, "v", 2, 0);
    assert_int_equal(fx_call(fx, &client, fx_address(v, "v", 1, 0), "do"), 0);
    assert_int_equal(fx_call(fx, &client, v, "destroy"), 0);
    answer_from_there(fx, 0);
    fx_step_ms(fx, 10000);
    assert_int_equal(replies, 0);
    stead_queue_clear(&fx->sends);
    fx_destroy(fx);
}

/* ---- Volatile receivers of what comes without channel and session ----------------------------------- */

/* A call of a durable agent elsewhere, which asks until it has an answer. */
static struct stead_message *unsequenced(struct fx *fx, const char *v, const char *op, const char *from)
{
    struct fx_client client = fx_client(fx, 1);
    struct stead_message *it = fx_request(fx, &client, STEAD_CALL, v, op, (struct stead_slice){0}, NULL);
    struct stead_message_parts parts = {.address = stead_str(v), .source = stead_str(from), .op = stead_str(op)};
    struct stead_message *message = stead_message_create(STEAD_CALL, &parts);

    message->id = it->id;
    message->slot = it->slot;
    message->source_slot = stead_address_slot(parts.source, 0);
    message->flags = STEAD_FLAG_UNSEQUENCED;
    stead_message_destroy(&it);
    return message;
}

static void test_repeat_of_an_unsequenced_call_gets_the_first_answer(void **state)
{
    struct fx *fx = begin(1);
    struct fx_client client = fx_client(fx, 1);
    char v[64], from[64];
    struct stead_message *call = unsequenced(fx, fx_address(v, "v", 1, 0), "add", fx_address(from, "d", 2, 0));

    (void)state;
    for (int i = 0; i < 3; i++) {
        fx_deliver(fx, call);
        assert_int_equal(fx->sends.count, 1);
        struct stead_message *answer = stead_queue_pop(&fx->sends);
        assert_int_equal(answer->status, 0);
        stead_message_destroy(&answer);
    }
    assert_int_equal(fx_call_i64(fx, &client, v, "get"), 1);
    stead_message_destroy(&call);
    fx_destroy(fx);
}

static void test_repeat_of_a_refused_unsequenced_call_is_refused_again(void **state)
{
    struct fx *fx = begin(1);
    char v[64], from[64];
    struct stead_message *call = unsequenced(fx, fx_address(v, "v", 1, 0), "nothing", fx_address(from, "d", 2, 0));

    (void)state;
    for (int i = 0; i < 2; i++) {
        fx_deliver(fx, call);
        assert_int_equal(fx->sends.count, 1);
        struct stead_message *answer = stead_queue_pop(&fx->sends);
        assert_int_equal(answer->status, STEAD_EOP);
        stead_message_destroy(&answer);
    }
    stead_message_destroy(&call);
    fx_destroy(fx);
}

static void test_durable_callers_request_outlives_the_volatile_receiver(void **state)
{
    struct fx *fx = begin(2);
    struct fx_client client = fx_client(fx, 1);
    char d[64], v[64];

    (void)state;
    to = fx_address(v, "v", 2, 0);
    fx->hold_sync = true; /* the request is in the row, but has not left */
    fx_send(fx, &client, STEAD_CALL, fx_address(d, "d", 1, 0), "do");
    for (uint32_t shard = 1; shard <= 2; shard++)
        fx->logs[shard].synced = fx->logs[shard].appended; /* on disk, and nobody heard of it */
    fx->hold_sync = false;
    fx_crash(fx, true);
    fx_set_table(fx, NULL, 1, true);
    assert_int_equal(replies, 0);
    fx_step_ms(fx, 1000);
    assert_int_equal(replies, 1);
    assert_int_equal(fx_call_i64(fx, &client, v, "get"), 1);
    fx_destroy(fx);
}

static uint64_t fence;

static int hold_and_call(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int code = call_to(turn, state, args);
    return code != 0 ? code : stead_hold(turn, "d/holder", &fence);
}

static void test_answer_for_a_held_volatile_agent_waits_for_the_release(void **state)
{
    struct fx *fx = begin(1);
    struct fx_client client = fx_client(fx, 1);
    char v[64], w[64];

    (void)state;
    to = fx_address(w, "v", 2, 0);
    fx_do[0] = hold_and_call;
    assert_int_equal(fx_call(fx, &client, fx_address(v, "v", 1, 0), "do"), 0);
    answer_from_there(fx, 0);
    assert_int_equal(replies, 0);
    struct stead_message *unlocked = fx_query(fx, &client, v, "unlock", (struct stead_slice){0});
    assert_int_equal(unlocked->status, 0);
    stead_message_destroy(&unlocked);
    assert_int_equal(replies, 1);
    fx_destroy(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_call_between_volatile_agents_is_answered),
        cmocka_unit_test(test_volatile_agents_effects_on_a_durable_one_are_exactly_once),
        cmocka_unit_test(test_request_is_sent_again_until_it_is_answered),
        cmocka_unit_test(test_receiver_forgets_what_it_answered_while_another_has_not_answered),
        cmocka_unit_test(test_receiver_forgets_what_it_answered_while_a_long_poll_of_it_waits),
        cmocka_unit_test(test_signal_refused_with_busy_is_sent_again_and_a_call_is_told),
        cmocka_unit_test(test_unanswered_requests_are_bounded_in_number),
        cmocka_unit_test(test_unanswered_requests_are_bounded_in_bytes),
        cmocka_unit_test(test_request_refused_as_early_goes_again_behind_the_one_before_it),
        cmocka_unit_test(test_request_does_not_go_again_before_one_that_found_no_room),
        cmocka_unit_test(test_call_of_a_volatile_agent_times_out_and_is_not_sent_again),
        cmocka_unit_test(test_session_is_renewed_at_half_its_age_and_the_old_one_is_finished),
        cmocka_unit_test(test_answer_for_an_earlier_incarnation_is_dropped),
        cmocka_unit_test(test_repeat_of_an_unsequenced_call_gets_the_first_answer),
        cmocka_unit_test(test_repeat_of_a_refused_unsequenced_call_is_refused_again),
        cmocka_unit_test(test_durable_callers_request_outlives_the_volatile_receiver),
        cmocka_unit_test(test_answer_for_a_held_volatile_agent_waits_for_the_release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
