/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Idempotency keys: whoever asks with the same key gets the first answer.
 */
#include "unit/runtime/host_client.h"

/* A request with a key, from a session of its own: sent and run. */
static void send_keyed(struct fx *fx, uint8_t client_name, const char *address, const char *op, int64_t value,
                       const char *key)
{
    struct fx_client client = fx_client(fx, client_name);
    struct stead_message *message = fx_request(fx, &client, STEAD_CALL, address, op, fx_i64(value), key);

    stead_host_deliver(fx->host, &message);
    fx_run(fx);
}

static void test_same_key_gets_the_first_answer(void **state)
{
    struct fx *fx = fx_create(1);
    char a[64], b[64];

    (void)state;
    send_keyed(fx, 1, fx_address(a, "d", 1, 0), "add", 5, "k");
    assert_int_equal(fx_answer_i64(fx), 5);
    send_keyed(fx, 2, a, "add", 5, "k");
    assert_int_equal(fx_answer_i64(fx), 5);
    fx_crash(fx, true);
    send_keyed(fx, 3, a, "add", 5, "k");
    assert_int_equal(fx_answer_i64(fx), 5);
    send_keyed(fx, 4, a, "add", 5, "other");
    assert_int_equal(fx_answer_i64(fx), 10);
    send_keyed(fx, 5, fx_address(b, "d", 1, 1), "add", 7, "k"); /* the scope of a key is the address */
    assert_int_equal(fx_answer_i64(fx), 7);
    fx_destroy(fx);
}

static void test_same_key_with_another_payload_or_op_is_a_conflict(void **state)
{
    struct fx *fx = fx_create(1);
    char a[64];

    (void)state;
    send_keyed(fx, 1, fx_address(a, "d", 1, 0), "add", 5, "k");
    assert_int_equal(fx_answer_i64(fx), 5);
    send_keyed(fx, 2, a, "add", 6, "k");
    assert_int_equal(fx_answer_status(fx), STEAD_ECONFLICT);
    send_keyed(fx, 3, a, "do", 5, "k");
    assert_int_equal(fx_answer_status(fx), STEAD_ECONFLICT);
    fx_destroy(fx);
}

static void test_key_of_a_failed_request_gets_the_failure(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    fx_address(a, "d", 1, 0);
    for (int i = 0; i < 2; i++) {
        struct stead_message *message = fx_request(fx, &client, STEAD_CALL, a, "add", stead_bytes("\xa1x", 2), "k");
        stead_host_deliver(fx->host, &message);
        fx_run(fx);
        assert_int_equal(fx_answer_status(fx), STEAD_EFAILED);
    }
    assert_int_equal(fx_stats(fx)->turns, 1);
    fx_destroy(fx);
}

static void test_same_key_in_flight_attaches(void **state)
{
    struct fx *fx = fx_create(1);
    char a[64];

    (void)state;
    fx->hold_loads = true;
    send_keyed(fx, 1, fx_address(a, "d", 1, 0), "add", 5, "k");
    send_keyed(fx, 2, a, "add", 5, "k");
    send_keyed(fx, 3, a, "add", 6, "k");
    assert_int_equal(fx_answer_status(fx), STEAD_ECONFLICT);
    assert_null(fx->answers.head);
    fx->hold_loads = false;
    fx_run(fx);
    assert_int_equal(fx_answer_i64(fx), 5);
    assert_int_equal(fx_answer_i64(fx), 5);
    assert_int_equal(fx_stats(fx)->turns, 1);
    fx_destroy(fx);
}

/* Requests that wait for the first one are as many as a mailbox has room for, and no heavier than mailboxes may be. */
static void test_same_key_in_flight_lets_so_many_wait_as_a_mailbox(void **state)
{
    struct fx *fx = fx_create(1);
    char a[64];

    (void)state;
    fx->settings.mailbox_messages_max = 3;
    fx_crash(fx, false);
    fx->hold_loads = true;
    send_keyed(fx, 1, fx_address(a, "d", 1, 0), "add", 5, "k");
    uint64_t memory_bytes = fx_stats(fx)->memory_bytes;
    for (uint8_t i = 2; i < 5; i++)
        send_keyed(fx, i, a, "add", 5, "k");
    assert_true(fx_stats(fx)->memory_bytes >= memory_bytes + 3 * STEAD_MESSAGE_SMALL);
    assert_null(fx->answers.head);
    send_keyed(fx, 5, a, "add", 5, "k");
    assert_int_equal(fx_answer_status(fx), STEAD_EBUSY);
    fx->hold_loads = false;
    fx_run(fx);
    for (int i = 0; i < 4; i++)
        assert_int_equal(fx_answer_i64(fx), 5);
    send_keyed(fx, 5, a, "add", 5, "k"); /* who was refused asks again */
    assert_int_equal(fx_answer_i64(fx), 5);
    assert_int_equal(fx_stats(fx)->turns, 1);
    fx_destroy(fx);
}

static void test_same_key_in_flight_is_refused_while_mailboxes_are_full(void **state)
{
    struct fx *fx = fx_create(1);
    char a[64];

    (void)state;
    fx->settings.memory_bytes_max = 4 * 4 * STEAD_MESSAGE_SMALL;
    fx_crash(fx, false);
    fx->hold_loads = true;
    send_keyed(fx, 1, fx_address(a, "d", 1, 0), "add", 5, "k");
    for (uint8_t i = 2; i < 6; i++)
        send_keyed(fx, i, a, "add", 5, "k");
    assert_null(fx->answers.head);
    send_keyed(fx, 6, a, "add", 5, "k");
    assert_int_equal(fx_answer_status(fx), STEAD_EBUSY);
    fx->hold_loads = false;
    fx_run(fx);
    fx_destroy(fx);
}

static void test_same_key_in_flight_waits_until_its_deadline_or_its_cancel(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client first = fx_client(fx, 1), second = fx_client(fx, 2), third = fx_client(fx, 3);
    char a[64];

    (void)state;
    fx->hold_loads = true;
    fx_address(a, "d", 1, 0);
    struct stead_message *patient = fx_request(fx, &first, STEAD_CALL, a, "add", fx_i64(5), "k");
    struct stead_message *hasty = fx_request(fx, &second, STEAD_CALL, a, "add", fx_i64(5), "k");
    struct stead_message *moody = fx_request(fx, &third, STEAD_CALL, a, "add", fx_i64(5), "k");
    hasty->deadline_ms = fx->now_ms + 3000;
    fx_deliver(fx, patient);
    fx_deliver(fx, hasty);
    fx_deliver(fx, moody);
    uint64_t memory_bytes = fx_stats(fx)->memory_bytes;
    assert_null(fx->answers.head);
    fx_step_ms(fx, 2000);
    assert_null(fx->answers.head);
    fx_step_ms(fx, 2000);
    fx_step_ms(fx, 2000);
    assert_int_equal(fx_answer_status(fx), STEAD_EEXPIRED);
    struct stead_message *cancel = fx_cancel(moody, &second); /* not its own */
    stead_host_deliver(fx->host, &cancel);
    fx_run(fx);
    assert_null(fx->answers.head);
    cancel = fx_cancel(moody, &third);
    stead_host_deliver(fx->host, &cancel);
    fx_run(fx);
    assert_int_equal(fx_answer_status(fx), STEAD_ECANCELLED);
    assert_true(fx_stats(fx)->memory_bytes <= memory_bytes - 2 * STEAD_MESSAGE_SMALL);
    fx->hold_loads = false;
    fx_run(fx);
    assert_int_equal(fx_answer_i64(fx), 5);
    assert_null(fx->answers.head);
    fx_deliver(fx, moody); /* it changed its mind again */
    assert_int_equal(fx_answer_i64(fx), 5);
    stead_message_destroy(&patient);
    stead_message_destroy(&hasty);
    stead_message_destroy(&moody);
    fx_destroy(fx);
}

static char ran[64];

static int note_number(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int64_t number = 0;
    char text[24];

    (void)turn, (void)state;
    assert_int_equal(stead_get_i64(args, NULL, &number), 0);
    stead_format(text, sizeof(text), " %lld", (long long)number);
    strcat(ran, text);
    return 0;
}

/* The first ends without an effect, and what names the one that waited for it has just come: they run in their order.
 * What was let in before waits for nobody's key. */
static void test_request_that_waited_for_a_key_is_judged_before_what_has_come_since(void **state)
{
    (void)state;
    for (int before = 0; before < 2; before++) {
        struct fx *fx = fx_create(1);
        struct fx_client client = fx_client(fx, 1), other = fx_client(fx, 2);
        struct stead_message *asked[4];
        char a[64];

        ran[0] = '\0';
        fx_address(a, "d", 1, 0);
        fx_do[0] = fx_hold_for_d9, fx_do[1] = note_number;
        assert_int_equal(fx_call(fx, &other, a, "do"), 0);
        struct stead_message *first = fx_request(fx, &other, STEAD_CALL, a, "do2", fx_i64(2), "k");
        fx_deliver(fx, first);
        for (uint32_t i = 1; i < 4; i++) {
            asked[i] = fx_request(fx, &client, STEAD_CALL, a, "do2", fx_i64(i), i == 2 ? "k" : NULL);
            asked[i]->after = i - 1;
        }
        fx_deliver(fx, asked[1]);
        fx_deliver(fx, asked[2]);
        if (before)
            fx_deliver(fx, asked[3]);
        struct stead_message *cancel = fx_cancel(first, &other);
        stead_host_deliver(fx->host, &cancel);
        fx_deliver(fx, asked[3]); /* or once more */
        fx_send(fx, &other, STEAD_QUERY, a, "unlock");
        assert_string_equal(ran, before ? " 1 3 2" : " 1 2 3");
        for (uint32_t i = 1; i < 4; i++)
            stead_message_destroy(&asked[i]);
        stead_message_destroy(&first);
        fx_destroy(fx);
    }
}

static void test_same_key_while_the_answer_is_owed_gets_it_too(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 9);
    char a[64];

    (void)state;
    fx_do[0] = fx_keep_token, fx_do[1] = fx_use_token;
    send_keyed(fx, 1, fx_address(a, "d", 1, 0), "do", 5, "k");
    send_keyed(fx, 2, a, "do", 5, "k");
    fx_crash(fx, true);
    send_keyed(fx, 3, a, "do", 5, "k");
    assert_null(fx->answers.head);
    fx_send(fx, &client, STEAD_SIGNAL, a, "do2");
    int64_t sum = 0;
    for (int i = 0; i < 4; i++) { /* three get the answer, one the acknowledgement of the signal */
        struct stead_message *answer = fx_answer(fx);
        int64_t value = 0;
        assert_int_equal(answer->status, 0);
        (void)!stead_get_i64(stead_message_payload(answer), NULL, &value);
        sum += value;
        stead_message_destroy(&answer);
    }
    assert_int_equal(sum, 3 * 42);
    send_keyed(fx, 4, a, "do", 5, "k"); /* and so does whoever asks later */
    assert_int_equal(fx_answer_i64(fx), 42);
    send_keyed(fx, 5, a, "do", 6, "k");
    assert_int_equal(fx_answer_status(fx), STEAD_ECONFLICT);
    fx_destroy(fx);
}

/* An approval may take days: the request is not asked for twice meanwhile, and its key lasts from then on. */
static void test_key_that_is_owed_an_answer_does_not_age(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 9);
    char a[64];

    (void)state;
    fx_do[0] = fx_keep_token, fx_do[1] = fx_use_token;
    send_keyed(fx, 1, fx_address(a, "d", 1, 0), "do", 5, "k");
    fx_step_ms(fx, 2 * fx->settings.idempotency_ms);
    fx_cold_restart(fx);
    client.start_ms = fx->now_ms;
    send_keyed(fx, 2, a, "do", 6, "k");
    assert_int_equal(fx_answer_status(fx), STEAD_ECONFLICT);
    send_keyed(fx, 3, a, "do", 5, "k");
    assert_null(fx->answers.head);
    assert_int_equal(fx_call(fx, &client, a, "do2"), 0);
    stead_queue_clear(&fx->answers);
    fx_step_ms(fx, fx->settings.idempotency_ms - 1);
    send_keyed(fx, 4, a, "do", 5, "k");
    assert_int_equal(fx_answer_i64(fx), 42);
    fx_destroy(fx);
}

static void test_key_is_forgotten_at_its_age(void **state)
{
    struct fx *fx = fx_create(1);
    char a[64];

    (void)state;
    send_keyed(fx, 1, fx_address(a, "d", 1, 0), "add", 5, "k");
    assert_int_equal(fx_answer_i64(fx), 5);
    fx_step_ms(fx, fx->settings.idempotency_ms - 1);
    send_keyed(fx, 2, a, "add", 5, "k");
    assert_int_equal(fx_answer_i64(fx), 5);
    fx_step_ms(fx, 1);
    send_keyed(fx, 3, a, "add", 5, "k");
    assert_int_equal(fx_answer_i64(fx), 10);
    fx_destroy(fx);
}

static uint32_t key_rows(const struct fx *fx)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < fx->row_count; i++)
        count += fx->rows[i].key[2] == STEAD_ROW_IDEMPOTENCY;
    return count;
}

/* One slot is swept a second while there is work: all of them. */
static void sweep_all(struct fx *fx)
{
    struct fx_client client = fx_client(fx, 1);
    char b[64];

    for (uint32_t i = 0; i <= STEAD_SLOTS_PER_GROUP / 2 + 8; i++) {
        fx_send(fx, &client, STEAD_TELL, fx_address(b, "f", 1, 0), "add");
        fx_step_ms(fx, 1000);
    }
}

static void test_aged_keys_leave_the_disk(void **state)
{
    struct fx *fx = fx_create(1);
    char a[64];

    (void)state;
    send_keyed(fx, 1, fx_address(a, "d", 1, 0), "add", 5, "k");
    fx_cold_restart(fx);
    fx_forget_outputs(fx);
    assert_int_equal(key_rows(fx), 1);
    fx_step_ms(fx, fx->settings.idempotency_ms);
    sweep_all(fx);
    fx_cold_restart(fx);
    assert_int_equal(key_rows(fx), 0);
    fx_destroy(fx);
}

/* Keys in no order, of one agent. */
static void send_keys(struct fx *fx, const char *address, uint32_t count, uint32_t seed)
{
    struct fx_client client = fx_client(fx, (uint8_t)seed);
    char key[32];

    for (uint32_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        snprintf(key, sizeof(key), "%08x%u", seed, i);
        struct stead_message *message = fx_request(fx, &client, STEAD_CALL, address, "add", fx_i64(1), key);
        stead_host_deliver(fx->host, &message);
        fx_run(fx);
        fx_forget_outputs(fx);
        client.mark = client.number;
    }
}

static void test_aged_keys_leave_the_disk_among_many_that_live(void **state)
{
    struct fx *fx = fx_create(1);
    char a[64];

    (void)state;
    send_keys(fx, fx_address(a, "d", 1, 0), 1500, 1);
    fx_step_ms(fx, fx->settings.idempotency_ms);
    send_keys(fx, a, 5500, 2); /* more than are looked at in one sweep */
    fx_cold_restart(fx);
    fx_forget_outputs(fx);
    assert_int_equal(key_rows(fx), 7000);
    sweep_all(fx);
    fx_cold_restart(fx);
    assert_int_equal(key_rows(fx), 5500);
    fx_destroy(fx);
}

static void test_read_only_and_refused_requests_leave_no_key(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    fx_address(a, "d", 1, 0);
    for (int round = 0; round < 2; round++) { /* a refusal wakes whoever waited, and the next may run */
        struct stead_message *message = fx_request(fx, &client, STEAD_CALL, a, "add", fx_i64(1), "k");
        message->deadline_ms = round == 0 ? fx->now_ms : 0;
        stead_host_deliver(fx->host, &message);
        fx_run(fx);
        assert_int_equal(fx_answer_status(fx), round == 0 ? STEAD_EEXPIRED : 0);
    }
    send_keyed(fx, 2, a, "get", 0, "r");
    assert_int_equal(fx_answer_i64(fx), 1);
    send_keyed(fx, 3, a, "add", 0, "r");
    assert_int_equal(fx_answer_i64(fx), 1);
    fx_destroy(fx);
}

/* ---- Keys of agents' calls ------------------------------------------------------------------------------ */

static const char *callee, *callee_op, *call_key;
static int64_t call_value, last_value;
static uint32_t replies;
static int last_code;

static int call_keyed(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_call_options options = {.reply_op = "reply", .idempotency_key = call_key};

    (void)state, (void)args;
    return stead_call(turn, callee, callee_op, stead_packed(turn, "l", call_value), &options);
}

static int note_reply(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state;
    replies++;
    last_code = stead_reply_code(turn);
    last_value = -1;
    (void)!stead_get_i64(args, NULL, &last_value);
    return 0;
}

static int owe_it(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_token token;
    int code = stead_reply_later(turn, &token);

    (void)args;
    ((struct puppet *)state)->value++;
    memcpy(((struct puppet *)state)->token, token.text, sizeof(token.text));
    return code;
}

static int pay_it(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_token token;

    (void)args;
    memcpy(token.text, ((struct puppet *)state)->token, sizeof(token.text));
    return stead_answer(turn, &token, stead_packed(turn, "l", (int64_t)42));
}

/* `caller` calls with the key; what the reply op saw: its code, or the value. */
static int64_t ask(struct fx *fx, struct fx_client *client, const char *caller, const char *key, int64_t value)
{
    uint32_t before = replies;

    call_key = key, call_value = value;
    assert_int_equal(fx_call(fx, client, caller, "do"), 0);
    assert_int_equal(replies, before + 1);
    return last_code != 0 ? last_code : last_value;
}

static struct fx *with_callers(struct fx_client *client, char *caller, const char *kind, char *b, uint32_t shard)
{
    struct fx *fx = fx_create(2);

    *client = fx_client(fx, 1);
    fx_address(caller, kind, 1, 0);
    callee = fx_address(b, "d", shard, 1);
    callee_op = "add";
    replies = 0;
    fx_do[0] = call_keyed, fx_do[1] = owe_it, fx_do[2] = pay_it, fx_reply = note_reply;
    return fx;
}

static void test_key_of_an_agents_call_gets_the_first_answer(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) { /* durable and volatile callers, in one shard and across two */
        struct fx_client client;
        char a[64], b[64];
        const char *kind = i % 2 == 0 ? "d" : "v";
        struct fx *fx = with_callers(&client, a, kind, b, i < 2 ? 1 : 2);
        assert_int_equal(ask(fx, &client, a, "k", 5), 5);
        assert_int_equal(ask(fx, &client, a, "k", 5), 5);
        assert_int_equal(ask(fx, &client, fx_address(a, kind, 2, 3), "k", 5), 5); /* whoever asks */
        assert_int_equal(ask(fx, &client, a, "k", 6), STEAD_ECONFLICT);
        assert_int_equal(ask(fx, &client, a, "other", 6), 11);
        send_keyed(fx, 7, b, "add", 5, "k"); /* also a client */
        assert_int_equal(fx_answer_i64(fx), 5);
        fx_crash(fx, true);
        assert_int_equal(ask(fx, &client, a, "k", 5), 5);
        assert_int_equal(ask(fx, &client, a, NULL, 5), 16);
        fx_step_ms(fx, fx->settings.idempotency_ms);
        client = fx_client(fx, 2);
        assert_int_equal(ask(fx, &client, a, "k", 5), 21);
        fx_destroy(fx);
    }
}

static void test_second_call_with_a_key_attaches_to_the_one_in_flight(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct fx_client client;
        char a[64], b[64];
        struct fx *fx = with_callers(&client, a, i % 2 == 0 ? "d" : "v", b, i < 2 ? 1 : 2);
        callee_op = "do2", call_key = "k", call_value = 5;
        assert_int_equal(fx_call(fx, &client, a, "do"), 0);
        assert_int_equal(fx_call(fx, &client, a, "do"), 0);
        assert_int_equal(replies, 0);
        assert_int_equal(fx_call_i64(fx, &client, b, "get"), 1); /* it ran once */
        assert_int_equal(fx_call(fx, &client, b, "do3"), 0);
        assert_int_equal(replies, 2);
        assert_int_equal(last_value, 42);
        assert_int_equal(ask(fx, &client, a, "k", 5), 42);
        fx_destroy(fx);
    }
}

static uint64_t fence;

static int hold_it(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_hold(turn, "d/holder", &fence);
}

static void test_calls_with_one_key_that_wait_together_run_once(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct fx_client client;
        char a[64], b[64];
        struct fx *fx = with_callers(&client, a, i % 2 == 0 ? "d" : "v", b, i < 2 ? 1 : 2);
        fx_do[1] = hold_it;
        assert_int_equal(fx_call(fx, &client, b, "do2"), 0);
        call_key = "k", call_value = 5;
        assert_int_equal(fx_call(fx, &client, a, "do"), 0);
        send_keyed(fx, 7, b, "add", 5, "k"); /* and a client */
        assert_int_equal(fx_call(fx, &client, a, "do"), 0);
        assert_int_equal(replies, 0);
        struct stead_message *answer = fx_query(fx, &client, b, "unlock", (struct stead_slice){0});
        stead_message_destroy(&answer);
        assert_int_equal(replies, 2);
        assert_int_equal(last_value, 5);
        assert_int_equal(fx_answer_i64(fx), 5);
        assert_int_equal(fx_call_i64(fx, &client, b, "get"), 5);
        fx_destroy(fx);
    }
}

static void test_refused_call_leaves_its_key_free(void **state)
{
    struct fx_client client;
    char a[64], b[64];
    struct fx *fx = with_callers(&client, a, "d", b, 2);

    (void)state;
    callee_op = "nothing";
    assert_int_equal(ask(fx, &client, a, "k", 5), STEAD_EOP);
    callee_op = "add";
    assert_int_equal(ask(fx, &client, a, "k", 5), 5);
    fx_destroy(fx);
}

static void test_key_of_a_call_is_at_most_128_bytes(void **state)
{
    struct fx_client client;
    char a[64], b[64], key[130];
    struct fx *fx = with_callers(&client, a, "d", b, 1);

    (void)state;
    memset(key, 'k', sizeof(key));
    key[129] = '\0';
    call_key = key;
    assert_int_equal(fx_call(fx, &client, a, "do"), STEAD_EARGUMENT);
    key[128] = '\0';
    assert_int_equal(ask(fx, &client, a, key, 5), 5);
    fx_destroy(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_key_gets_the_first_answer),
        cmocka_unit_test(test_same_key_with_another_payload_or_op_is_a_conflict),
        cmocka_unit_test(test_key_of_a_failed_request_gets_the_failure),
        cmocka_unit_test(test_same_key_in_flight_attaches),
        cmocka_unit_test(test_same_key_in_flight_lets_so_many_wait_as_a_mailbox),
        cmocka_unit_test(test_same_key_in_flight_is_refused_while_mailboxes_are_full),
        cmocka_unit_test(test_same_key_in_flight_waits_until_its_deadline_or_its_cancel),
        cmocka_unit_test(test_request_that_waited_for_a_key_is_judged_before_what_has_come_since),
        cmocka_unit_test(test_same_key_while_the_answer_is_owed_gets_it_too),
        cmocka_unit_test(test_key_that_is_owed_an_answer_does_not_age),
        cmocka_unit_test(test_key_is_forgotten_at_its_age),
        cmocka_unit_test(test_aged_keys_leave_the_disk),
        cmocka_unit_test(test_aged_keys_leave_the_disk_among_many_that_live),
        cmocka_unit_test(test_read_only_and_refused_requests_leave_no_key),
        cmocka_unit_test(test_key_of_an_agents_call_gets_the_first_answer),
        cmocka_unit_test(test_second_call_with_a_key_attaches_to_the_one_in_flight),
        cmocka_unit_test(test_calls_with_one_key_that_wait_together_run_once),
        cmocka_unit_test(test_refused_call_leaves_its_key_free),
        cmocka_unit_test(test_key_of_a_call_is_at_most_128_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
