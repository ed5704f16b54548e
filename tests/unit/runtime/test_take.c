/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking: locks and fences, deferring, full mailboxes, kinds that are not loaded, delayed signals, deadlines.
 */
#include "unit/runtime/host_client.h"

static const char *others; /* an address that ops of this file send to */
static uint64_t fence;
static char order[64]; /* what ran, in order */

static int hold_for_others(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_hold(turn, others, &fence);
}

static int release(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_release(turn, fence);
}

/* Appends its argument's digit to `order`. */
static int record(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int64_t digit = 0;

    (void)state, (void)turn;
    assert_true(stead_get_i64(args, NULL, &digit) != STEAD_EARGUMENT);
    size_t size = strlen(order);
    assert_true(size + 1 < sizeof(order));
    order[size] = (char)('0' + digit);
    order[size + 1] = '\0';
    return 0;
}

static void send_digit(struct fx *fx, struct fx_client *client, enum stead_message_type type, const char *address,
                       const char *op, int64_t digit)
{
    struct stead_message *message = fx_request(fx, client, type, address, op, fx_i64(digit), NULL);

    stead_host_deliver(fx->host, &message);
    fx_run(fx);
}

static const char *target; /* of the relays below */

static int relay_signal(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state;
    return stead_signal(turn, target, "do3", args);
}

static int relay_fenced(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state;
    stead_send_with_fence(turn, fence);
    return stead_signal(turn, target, "do3", args);
}

static int relay_release(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_signal(turn, target, "do2", (struct stead_slice){0});
}

static int by_self(struct stead_turn *turn, void *state, struct stead_slice args)
{
    if (strcmp(stead_self(turn), target) == 0)
        return hold_for_others(turn, state, args);
    return relay_signal(turn, state, args);
}

static int by_self2(struct stead_turn *turn, void *state, struct stead_slice args)
{
    if (strcmp(stead_self(turn), target) == 0)
        return release(turn, state, args);
    return strcmp(stead_self(turn), others) == 0 ? relay_release(turn, state, args) : relay_fenced(turn, state, args);
}

/* The agent `a` is held for `b`; `c` is somebody else. `do` holds, or relays a digit to a's `do3`; `do2` of b releases
 * a; of c: a fenced relay. */
struct locked {
    struct fx *fx;
    struct fx_client client;
    char a[64], b[64], c[64];
};

static struct locked lock_one(void)
{
    struct locked it = {.fx = fx_create(1)};

    it.client = fx_client(it.fx, 1);
    fx_do[0] = by_self, fx_do[1] = by_self2, fx_do[2] = record;
    order[0] = '\0';
    fx_address(it.a, "d", 1, 0);
    fx_address(it.b, "d", 1, 1);
    fx_address(it.c, "d", 1, 2);
    return it;
}

static void test_held_agent_lets_only_its_holder_in_until_the_release(void **state)
{
    struct locked it = lock_one();
    struct fx *fx = it.fx;

    (void)state;
    target = it.a, others = it.b;
    assert_int_equal(fx_call(fx, &it.client, it.a, "do"), 0);
    send_digit(fx, &it.client, STEAD_SIGNAL, it.c, "do", 1); /* parks at a */
    assert_int_equal(fx_answer_status(fx), 0);
    send_digit(fx, &it.client, STEAD_CALL, it.a, "do3", 2); /* a client waits in memory */
    assert_null(fx->answers.head);
    send_digit(fx, &it.client, STEAD_SIGNAL, it.b, "do", 3); /* the holder */
    assert_int_equal(fx_answer_status(fx), 0);
    send_digit(fx, &it.client, STEAD_SIGNAL, it.c, "do2", 4); /* with the fence */
    assert_int_equal(fx_answer_status(fx), 0);
    assert_string_equal(order, "34");
    assert_int_equal(fx_call(fx, &it.client, it.b, "do2"), 0); /* releases */
    assert_string_equal(order, "3412");
    assert_int_equal(fx_answer_status(fx), 0);
    fx_destroy(fx);
}

static void test_lock_and_parked_mail_survive_a_restart(void **state)
{
    struct locked it = lock_one();
    struct fx *fx = it.fx;

    (void)state;
    target = it.a, others = it.b;
    assert_int_equal(fx_call(fx, &it.client, it.a, "do"), 0);
    for (int64_t digit = 1; digit <= 3; digit++)
        send_digit(fx, &it.client, STEAD_SIGNAL, it.c, "do", digit);
    stead_queue_clear(&fx->answers);
    for (int round = 0; round < 4; round++) {
        if (round % 2 == 0)
            fx_crash(fx, true);
        else
            fx_cold_restart(fx);
        fx_forget_outputs(fx);
        send_digit(fx, &it.client, STEAD_SIGNAL, it.c, "do", 4 + round);
        assert_int_equal(fx_answer_status(fx), 0);
        assert_string_equal(order, "");
    }
    assert_int_equal(fx_call(fx, &it.client, it.b, "do2"), 0);
    assert_string_equal(order, "1234567");
    fx_destroy(fx);
}

static void test_unlock_breaks_a_lock_and_its_number_is_worth_nothing(void **state)
{
    struct locked it = lock_one();
    struct fx *fx = it.fx;

    (void)state;
    target = it.a, others = it.b;
    assert_int_equal(fx_call(fx, &it.client, it.a, "do"), 0);
    uint64_t broken = fence;
    send_digit(fx, &it.client, STEAD_SIGNAL, it.c, "do", 1);
    assert_int_equal(fx_answer_status(fx), 0);
    struct stead_message *answer = fx_query(fx, &it.client, it.a, "unlock", (struct stead_slice){0});
    char holder[64];
    assert_int_equal(stead_get_text(stead_message_payload(answer), "holder", holder, sizeof(holder)), 0);
    assert_string_equal(holder, it.b);
    stead_message_destroy(&answer);
    assert_string_equal(order, "1");
    assert_int_equal(fx_call(fx, &it.client, it.a, "do2"), STEAD_ESTATE); /* release with the broken number */
    assert_int_equal(fx_call(fx, &it.client, it.a, "do"), 0);
    assert_true(fence > broken);
    uint8_t memory[32]; /* asked again, of the first hold: the second one stands */
    struct stead_writer args;
    stead_writer_init_fixed(&args, memory, sizeof(memory));
    stead_pack(&args, "{s:u}", "fence", broken);
    answer = fx_query(fx, &it.client, it.a, "unlock", stead_written(&args));
    assert_int_equal(answer->status, 0);
    assert_int_equal(stead_get_text(stead_message_payload(answer), "holder", holder, sizeof(holder)), 0);
    assert_string_equal(holder, "");
    stead_message_destroy(&answer);
    stead_writer_reset(&args);
    stead_pack(&args, "{s:u}", "fence", fence);
    answer = fx_query(fx, &it.client, it.a, "unlock", stead_written(&args));
    assert_int_equal(stead_get_text(stead_message_payload(answer), "holder", holder, sizeof(holder)), 0);
    assert_string_equal(holder, it.b);
    stead_message_destroy(&answer);
    answer = fx_query(fx, &it.client, it.c, "unlock", (struct stead_slice){0});
    assert_int_equal(answer->status, STEAD_ENOTFOUND);
    stead_message_destroy(&answer);
    fx_destroy(fx);
}

static void test_message_with_the_fence_of_a_hold_that_is_over_is_refused(void **state)
{
    struct locked it = lock_one();
    struct fx *fx = it.fx;

    (void)state;
    target = it.a, others = it.b;
    assert_int_equal(fx_call(fx, &it.client, it.a, "do"), 0);
    uint64_t over = fence;
    struct stead_message *answer = fx_query(fx, &it.client, it.a, "unlock", (struct stead_slice){0});
    stead_message_destroy(&answer);
    for (int held_again = 0; held_again < 2; held_again++) {
        struct stead_message *late = fx_request(fx, &it.client, STEAD_CALL, it.a, "do3", fx_i64(1), NULL);
        late->groups |= STEAD_GROUP_FENCE;
        late->fence = over;
        stead_host_deliver(fx->host, &late);
        fx_run(fx);
        assert_int_equal(fx_answer_status(fx), STEAD_ELOCKED);
        if (!held_again)
            assert_int_equal(fx_call(fx, &it.client, it.a, "do"), 0);
    }
    assert_string_equal(order, "");
    fx_destroy(fx);
}

static void test_call_that_waits_can_be_cancelled(void **state)
{
    struct locked it = lock_one();
    struct fx *fx = it.fx;

    (void)state;
    target = it.a, others = it.b;
    assert_int_equal(fx_call(fx, &it.client, it.a, "do"), 0);
    send_digit(fx, &it.client, STEAD_CALL, it.a, "do3", 1);
    struct stead_message *call = fx_request(fx, &it.client, STEAD_CALL, it.a, "do3", fx_i64(2), NULL);
    fx_deliver(fx, call);
    send_digit(fx, &it.client, STEAD_CALL, it.a, "do3", 3);
    struct stead_message_parts parts = {.address = stead_str(it.a)};
    struct stead_message *cancel = stead_message_create(STEAD_CANCEL, &parts);
    cancel->id = call->id;
    cancel->slot = call->slot;
    stead_host_deliver(fx->host, &cancel);
    fx_run(fx);
    assert_int_equal(fx->answers.count, 1);
    assert_int_equal(fx_answer_status(fx), STEAD_ECANCELLED);
    assert_int_equal(fx_call(fx, &it.client, it.b, "do2"), 0);
    assert_string_equal(order, "13");
    stead_message_destroy(&call);
    fx_destroy(fx);
}

static void test_second_holder_is_refused(void **state)
{
    struct locked it = lock_one();
    struct fx *fx = it.fx;

    (void)state;
    target = it.a, others = it.b;
    assert_int_equal(fx_call(fx, &it.client, it.a, "do"), 0);
    struct stead_message *message = fx_request(fx, &it.client, STEAD_CALL, it.a, "do", (struct stead_slice){0}, NULL);
    message->groups |= STEAD_GROUP_FENCE;
    message->fence = fence;
    others = it.c;
    stead_host_deliver(fx->host, &message);
    fx_run(fx);
    assert_int_equal(fx_answer_status(fx), STEAD_ELOCKED);
    fx_destroy(fx);
}

static int hold_or_relay(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state;
    return strcmp(stead_self(turn), target) == 0 ? stead_hold(turn, others, &fence) : relay_signal(turn, state, args);
}

static void test_mail_of_a_held_volatile_agent_is_not_lost_by_a_restart(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char v[64], b[64], c[64];

    (void)state;
    order[0] = '\0';
    target = fx_address(v, "v", 1, 0), others = fx_address(b, "d", 1, 1);
    fx_do[0] = hold_or_relay, fx_do[2] = record;
    assert_int_equal(fx_call(fx, &client, v, "do"), 0);
    send_digit(fx, &client, STEAD_SIGNAL, fx_address(c, "d", 1, 2), "do", 5);
    assert_int_equal(fx_answer_status(fx), 0);
    assert_string_equal(order, "");
    fx_crash(fx, true); /* the lock is gone with the agent, the message is not */
    fx_run(fx);
    assert_string_equal(order, "5");
    fx_crash(fx, true);
    fx_run(fx);
    assert_string_equal(order, "5");
    fx_destroy(fx);
}

/* ---- Deferring ------------------------------------------------------------------------------------------ */

/* Digit 9 is put back until something else has run. */
static int defer_nine(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int64_t digit = 0;

    if (stead_get_i64(args, NULL, &digit) == 0 && digit == 9 && order[0] == '\0')
        return stead_defer(turn);
    return record(turn, state, args);
}

static int call_back(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_call_options call = {.reply_op = "do3"};

    (void)state, (void)args;
    return stead_call(turn, others, "get", (struct stead_slice){0}, &call);
}

static void test_deferred_message_runs_after_the_next_turn_of_any_cause(void **state)
{
    enum { MESSAGE, TIMER, ANSWER };

    (void)state;
    for (int cause = MESSAGE; cause <= ANSWER; cause++) {
        struct fx *fx = fx_create(1);
        struct fx_client client = fx_client(fx, 1);
        char a[64], b[64];
        order[0] = '\0';
        target = fx_address(a, "d", 1, 0), others = fx_address(b, "d", 1, 1);
        fx_do[2] = defer_nine, fx_do[0] = call_back;
        if (cause == ANSWER) { /* its answer comes after the deferral */
            fx->hold_loads = true;
            send_digit(fx, &client, STEAD_CALL, a, "do", 0);
            fx->hold_loads = false;
            send_digit(fx, &client, STEAD_CALL, a, "do3", 9);
        } else {
            send_digit(fx, &client, STEAD_CALL, a, "do3", 9);
            assert_null(fx->answers.head);
            assert_string_equal(order, "");
            send_digit(fx, &client, STEAD_CALL, a, "do3", 1);
        }
        assert_true(strchr(order, '9') != NULL);
        fx_destroy(fx);
    }
}

static int set_timer(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_timer_after(turn, "t", 1000, "do3", stead_packed(turn, "l", (int64_t)7));
}

static void test_deferred_message_runs_after_a_timer(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    order[0] = '\0';
    fx_do[0] = set_timer, fx_do[2] = defer_nine;
    assert_int_equal(fx_call(fx, &client, fx_address(a, "d", 1, 0), "do"), 0);
    send_digit(fx, &client, STEAD_CALL, a, "do3", 9);
    assert_null(fx->answers.head);
    fx_step_ms(fx, 1000);
    assert_string_equal(order, "79");
    assert_int_equal(fx_answer_status(fx), 0);
    fx_destroy(fx);
}

static void test_deferred_message_of_an_agent_survives_a_restart(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], b[64];

    (void)state;
    order[0] = '\0';
    target = fx_address(a, "d", 1, 0);
    fx_do[0] = relay_signal, fx_do[2] = defer_nine;
    send_digit(fx, &client, STEAD_SIGNAL, fx_address(b, "d", 1, 1), "do", 9);
    assert_int_equal(fx_answer_status(fx), 0);
    for (int round = 0; round < 2; round++) {
        fx_crash(fx, true);
        fx_run(fx);
        assert_string_equal(order, "");
    }
    send_digit(fx, &client, STEAD_SIGNAL, b, "do", 1);
    assert_string_equal(order, "19");
    fx_destroy(fx);
}

static bool deferring;

static int defer_at_first(struct stead_turn *turn, void *state, struct stead_slice args)
{
    return deferring ? stead_defer(turn) : record(turn, state, args);
}

static void test_timer_and_delayed_signal_that_defer_are_not_lost(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    for (int delayed = 0; delayed < 2; delayed++) {
        order[0] = '\0';
        deferring = true;
        fx_do[0] = set_timer, fx_do[2] = defer_at_first;
        fx_address(a, "d", 1, (uint32_t)delayed);
        if (delayed) {
            struct stead_message *message = fx_request(fx, &client, STEAD_SIGNAL, a, "do3", fx_i64(7), NULL);
            message->groups |= STEAD_GROUP_DELAY;
            message->delay_ms = 1000;
            stead_host_deliver(fx->host, &message);
            fx_run(fx);
            assert_int_equal(fx_answer_status(fx), 0);
        } else {
            assert_int_equal(fx_call(fx, &client, a, "do"), 0);
        }
        fx_step_ms(fx, 1000);
        assert_string_equal(order, "");
        assert_null(fx->answers.head); /* the sender of a delayed signal was answered when it was taken */
        deferring = false;
        fx_crash(fx, true);
        assert_int_equal(fx_call(fx, &client, a, "add"), 0);
        assert_string_equal(order, "7");
        fx_crash(fx, true);
        fx_run(fx);
        assert_string_equal(order, "7");
    }
    fx_destroy(fx);
}

/* ---- Mailboxes ------------------------------------------------------------------------------------------ */

static void test_full_mailbox_answers_clients_busy_and_counts_dropped_tells(void **state)
{
    struct fx *fx = fx_create(1);
    char a[64];

    (void)state;
    fx->settings.mailbox_messages_max = 2;
    fx_crash(fx, false);
    struct fx_client client = fx_client(fx, 1);
    fx->hold_loads = true;
    fx_address(a, "d", 1, 0);
    fx_send(fx, &client, STEAD_CALL, a, "add");
    fx_send(fx, &client, STEAD_CALL, a, "add");
    assert_null(fx->answers.head);
    struct stead_message *third = fx_request(fx, &client, STEAD_CALL, a, "add", (struct stead_slice){0}, NULL);
    fx_deliver(fx, third);
    struct stead_message *busy = fx_answer(fx);
    uint64_t retry_ms = 0;
    assert_int_equal(busy->status, STEAD_EBUSY);
    assert_int_equal(stead_get_u64(stead_message_payload(busy), "retry_after_ms", &retry_ms), 0);
    assert_true(retry_ms > 0);
    stead_message_destroy(&busy);
    fx_send(fx, &client, STEAD_TELL, a, "add");
    assert_int_equal(fx_stats(fx)->tells_dropped, 1);
    assert_int_equal(fx_stats(fx)->refused_busy, 1);
    fx->hold_loads = false;
    fx_run(fx);
    assert_int_equal(fx_answer_i64(fx), 1);
    assert_int_equal(fx_answer_i64(fx), 2);
    fx_deliver(fx, third); /* the retry is judged anew */
    assert_int_equal(fx_answer_i64(fx), 3);
    stead_message_destroy(&third);
    fx_destroy(fx);
}

static int signal_five(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    for (int i = 0; i < 5; i++)
        assert_int_equal(stead_signal(turn, target, "add", (struct stead_slice){0}), 0);
    return 0;
}

static void test_signals_of_agents_to_a_full_mailbox_are_not_lost(void **state)
{
    static const char *const kinds[] = {"d", "v"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fx *fx = fx_create(1);
        struct fx_client client = fx_client(fx, 1);
        char a[64], b[64];
        fx->settings.mailbox_messages_max = 2;
        fx_crash(fx, false);
        target = fx_address(a, "d", 1, 0);
        fx_do[0] = signal_five;
        fx->hold_loads = true;
        fx_send(fx, &client, STEAD_CALL, a, "get"); /* sets a load going that does not end */
        fx_send(fx, &client, STEAD_CALL, fx_address(b, kinds[i], 1, 1), "do");
        fx->hold_loads = false;
        fx_run(fx);
        stead_queue_clear(&fx->answers);
        assert_int_equal(fx_call_i64(fx, &client, a, "get"), 5);
        fx_destroy(fx);
    }
}

/* ---- What cannot run ------------------------------------------------------------------------------------- */

static int signal_late(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_signal(turn, target, "add", (struct stead_slice){0});
}

static void test_message_for_a_kind_not_loaded_waits_for_a_start_with_it(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], b[64];

    (void)state;
    target = fx_address(b, "late", 1, 0);
    fx_do[0] = signal_late;
    assert_int_equal(fx_call(fx, &client, b, "add"), STEAD_EKIND); /* a client is told */
    assert_int_equal(fx_call(fx, &client, fx_address(a, "d", 1, 0), "do"), 0);
    assert_int_equal(fx_call(fx, &client, a, "do"), 0);
    assert_int_equal(fx_stats(fx)->parked, 2); /* taken: their channel goes on */
    assert_int_equal(fx_stats(fx)->outbox_records, 0);
    fx_crash(fx, true);
    fx_step_ms(fx, 5000);
    assert_int_equal(stead_registry_add(fx->registry, &fx_kind_late, NULL), 0);
    fx_cold_restart(fx);
    fx_run(fx);
    assert_int_equal(fx_call_i64(fx, &client, b, "get"), 2);
    fx_crash(fx, true);
    assert_int_equal(fx_call_i64(fx, &client, b, "get"), 2);
    fx_destroy(fx);
}

static int signal_nothing(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_signal(turn, target, "nothing", (struct stead_slice){0});
}

static void test_unknown_op_is_answered_and_a_signal_of_an_agent_becomes_a_dead_letter(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], b[64];

    (void)state;
    assert_int_equal(fx_call(fx, &client, fx_address(a, "d", 1, 0), "nothing"), STEAD_EOP);
    target = a;
    fx_do[0] = signal_nothing;
    assert_int_equal(fx_call(fx, &client, fx_address(b, "d", 1, 1), "do"), 0);
    assert_int_equal(fx_query_i64(fx, &client, a, "show", "dead_letters"), 1);
    fx_destroy(fx);
}

static void test_expired_request_is_not_started(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];
    struct stead_message *message =
        fx_request(fx, &client, STEAD_CALL, fx_address(a, "d", 1, 0), "add", fx_i64(1), NULL);

    (void)state;
    message->deadline_ms = fx->now_ms;
    fx_deliver(fx, message);
    assert_int_equal(fx_answer_status(fx), STEAD_EEXPIRED);
    message->deadline_ms = fx->now_ms + 1;
    fx_deliver(fx, message);
    assert_int_equal(fx_answer_i64(fx), 1);
    assert_int_equal(fx_stats(fx)->expired, 1);
    stead_message_destroy(&message);
    fx_destroy(fx);
}

static void test_full_disk_refuses_clients_work_only(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], b[64], v[64];

    (void)state;
    target = fx_address(b, "d", 1, 1);
    fx_do[0] = set_timer, fx_do[2] = relay_signal;
    assert_int_equal(fx_call(fx, &client, fx_address(a, "d", 1, 0), "do"), 0);
    fx_do[2] = signal_late;
    stead_host_set_disk_full(fx->host, true);
    assert_int_equal(fx_call(fx, &client, a, "add"), STEAD_EDISKFULL);
    assert_int_equal(fx_call(fx, &client, fx_address(v, "v", 1, 0), "add"), 0);
    fx_step_ms(fx, 1000); /* the timer runs, and its signal */
    stead_host_set_disk_full(fx->host, false);
    assert_int_equal(fx_call_i64(fx, &client, b, "get"), 1);
    fx_destroy(fx);
}

static void test_full_disk_takes_what_gives_room_back_and_brings_it_to_the_image(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], b[64];

    (void)state;
    assert_int_equal(fx_call(fx, &client, fx_address(a, "d", 1, 0), "add"), 0);
    assert_int_equal(fx_call(fx, &client, fx_address(b, "d", 1, 1), "add"), 0);
    stead_host_set_disk_full(fx->host, true);
    assert_int_equal(fx_call(fx, &client, b, "add"), STEAD_EDISKFULL);
    fx_run(fx);
    assert_int_equal(fx_stats(fx)->checkpoints, 0);
    assert_int_equal(fx_call(fx, &client, a, "destroy"), 0);
    assert_int_equal(fx_stats(fx)->checkpoints, 0);
    stead_host_trim(fx->host); /* as the node says again and again */
    fx_run(fx);
    assert_int_equal(fx_stats(fx)->checkpoints, 1);
    uint64_t trimmed = fx->trimmed;
    assert_true(trimmed > 0);
    fx->trimmed = 0;
    stead_host_trim(fx->host);
    fx_run(fx);
    assert_int_equal(fx_stats(fx)->checkpoints, 1); /* nothing was written since */
    assert_int_equal(fx->trimmed, trimmed);         /* but whoever keeps less now may let go of it */
    assert_int_equal(fx_call(fx, &client, a, "add"), STEAD_EDISKFULL);
    stead_host_set_disk_full(fx->host, false);
    assert_int_equal(fx_call_i64(fx, &client, a, "add"), 1);
    fx_destroy(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_held_agent_lets_only_its_holder_in_until_the_release),
        cmocka_unit_test(test_lock_and_parked_mail_survive_a_restart),
        cmocka_unit_test(test_unlock_breaks_a_lock_and_its_number_is_worth_nothing),
        cmocka_unit_test(test_message_with_the_fence_of_a_hold_that_is_over_is_refused),
        cmocka_unit_test(test_call_that_waits_can_be_cancelled),
        cmocka_unit_test(test_second_holder_is_refused),
        cmocka_unit_test(test_mail_of_a_held_volatile_agent_is_not_lost_by_a_restart),
        cmocka_unit_test(test_deferred_message_runs_after_the_next_turn_of_any_cause),
        cmocka_unit_test(test_deferred_message_runs_after_a_timer),
        cmocka_unit_test(test_deferred_message_of_an_agent_survives_a_restart),
        cmocka_unit_test(test_timer_and_delayed_signal_that_defer_are_not_lost),
        cmocka_unit_test(test_full_mailbox_answers_clients_busy_and_counts_dropped_tells),
        cmocka_unit_test(test_signals_of_agents_to_a_full_mailbox_are_not_lost),
        cmocka_unit_test(test_message_for_a_kind_not_loaded_waits_for_a_start_with_it),
        cmocka_unit_test(test_unknown_op_is_answered_and_a_signal_of_an_agent_becomes_a_dead_letter),
        cmocka_unit_test(test_expired_request_is_not_started),
        cmocka_unit_test(test_full_disk_refuses_clients_work_only),
        cmocka_unit_test(test_full_disk_takes_what_gives_room_back_and_brings_it_to_the_image),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
