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

static struct stead_token kept;

static int keep_token(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_reply_later(turn, &kept);
}

static int use_token(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_answer(turn, &kept, stead_packed(turn, "l", (int64_t)42));
}

static void test_same_key_while_the_answer_is_owed_gets_it_too(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 9);
    char a[64];

    (void)state;
    fx_do[0] = keep_token, fx_do[1] = use_token;
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

static void test_aged_keys_leave_the_disk(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], b[64];

    (void)state;
    send_keyed(fx, 1, fx_address(a, "d", 1, 0), "add", 5, "k");
    fx_cold_restart(fx);
    fx_forget_outputs(fx);
    assert_int_equal(key_rows(fx), 1);
    fx_step_ms(fx, fx->settings.idempotency_ms);
    client = fx_client(fx, 1);
    for (uint32_t i = 0; i <= STEAD_SLOTS_PER_GROUP / 2; i++) { /* one slot is swept a second while there is work */
        fx_send(fx, &client, STEAD_TELL, fx_address(b, "f", 1, 0), "add");
        fx_step_ms(fx, 1000);
    }
    fx_cold_restart(fx);
    assert_int_equal(key_rows(fx), 0);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_key_gets_the_first_answer),
        cmocka_unit_test(test_same_key_with_another_payload_or_op_is_a_conflict),
        cmocka_unit_test(test_key_of_a_failed_request_gets_the_failure),
        cmocka_unit_test(test_same_key_in_flight_attaches),
        cmocka_unit_test(test_same_key_while_the_answer_is_owed_gets_it_too),
        cmocka_unit_test(test_key_is_forgotten_at_its_age),
        cmocka_unit_test(test_aged_keys_leave_the_disk),
        cmocka_unit_test(test_read_only_and_refused_requests_leave_no_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
