/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions: a client's request takes effect once, whatever is lost, late or repeated.
 */
#include "runtime/session.h"
#include "unit/runtime/host_client.h"

static void test_retry_of_an_answered_request_gets_the_first_answer(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];
    struct stead_message *request =
        fx_request(fx, &client, STEAD_CALL, fx_address(a, "d", 1, 0), "add", fx_i64(5), NULL);

    (void)state;
    fx_deliver(fx, request);
    assert_int_equal(fx_answer_i64(fx), 5);
    fx_deliver(fx, request);
    assert_int_equal(fx_answer_i64(fx), 5);
    assert_int_equal(fx_stats(fx)->turns, 1);
    assert_int_equal(fx_stats(fx)->duplicates, 1);

    fx_crash(fx, true); /* the answer is as durable as the effect */
    fx_deliver(fx, request);
    assert_int_equal(fx_answer_i64(fx), 5);
    assert_int_equal(fx_stats(fx)->turns, 0);
    assert_int_equal(fx_call_i64(fx, &client, a, "get"), 5);
    stead_message_destroy(&request);
    fx_destroy(fx);
}

static void test_retry_of_a_failed_request_gets_the_first_failure(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];
    struct stead_message *request =
        fx_request(fx, &client, STEAD_CALL, fx_address(a, "d", 1, 0), "add", stead_bytes("\xa1x", 2), NULL);

    (void)state;
    fx_deliver(fx, request);
    assert_int_equal(fx_answer_status(fx), STEAD_EFAILED);
    fx_crash(fx, true);
    fx_deliver(fx, request);
    struct stead_message *answer = fx_answer(fx);
    char name[16];
    assert_int_equal(stead_get_text(stead_message_payload(answer), "name", name, sizeof(name)), 0);
    assert_string_equal(name, "bad_by");
    assert_int_equal(fx_stats(fx)->turns, 0);
    stead_message_destroy(&answer);
    stead_message_destroy(&request);
    fx_destroy(fx);
}

static struct stead_slice long_reply(struct stead_turn *turn)
{
    static char text[1000];

    memset(text, 'x', sizeof(text));
    return stead_packed(turn, "S", stead_bytes(text, sizeof(text)));
}

static int reply_long(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_reply(turn, long_reply(turn));
}

static void test_retry_of_a_long_answer_gets_it_whole_after_a_restart(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    fx_do[0] = reply_long;
    struct stead_message *request =
        fx_request(fx, &client, STEAD_CALL, fx_address(a, "d", 1, 0), "do", (struct stead_slice){0}, NULL);
    fx_deliver(fx, request);
    fx_cold_restart(fx);
    fx_forget_outputs(fx);
    fx_deliver(fx, request);
    struct stead_message *answer = fx_answer(fx);
    assert_int_equal(answer->payload_size, 1003);
    stead_message_destroy(&answer);
    client.mark = 1; /* it knows the answer: the row may go, and a late repeat is not run again */
    assert_int_equal(fx_call(fx, &client, a, "get"), 0);
    fx_deliver(fx, request);
    assert_null(fx->answers.head);
    assert_int_equal(fx_stats(fx)->turns, 1);
    stead_message_destroy(&request);
    fx_destroy(fx);
}

static void test_request_at_or_below_the_mark_is_dropped(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];
    struct stead_message *first = fx_request(fx, &client, STEAD_CALL, fx_address(a, "d", 1, 0), "add", fx_i64(1), NULL);

    (void)state;
    client.mark = 1;
    assert_int_equal(fx_call_i64(fx, &client, a, "add"), 1); /* number 2 overtakes number 1 */
    fx_deliver(fx, first);
    assert_null(fx->answers.head);
    assert_int_equal(fx_call_i64(fx, &client, a, "get"), 1);
    stead_message_destroy(&first);
    fx_destroy(fx);
}

static void test_requests_out_of_order_each_take_effect_once(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    struct stead_message *requests[8];
    char a[64];

    (void)state;
    fx_address(a, "d", 1, 0);
    for (int i = 0; i < 8; i++)
        requests[i] = fx_request(fx, &client, STEAD_CALL, a, "add", fx_i64(1 << i), NULL);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 8; i++)
            fx_deliver(fx, requests[(i * 5 + 3) % 8]);
    assert_int_equal(fx->answers.count, 16);
    stead_queue_clear(&fx->answers);
    assert_int_equal(fx_call_i64(fx, &client, a, "get"), 255);
    for (int i = 0; i < 8; i++)
        stead_message_destroy(&requests[i]);
    fx_destroy(fx);
}

static void test_retry_while_the_agent_loads_attaches_and_its_connection_gets_the_answer(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];
    struct stead_message *request =
        fx_request(fx, &client, STEAD_CALL, fx_address(a, "d", 1, 0), "add", fx_i64(1), NULL);

    (void)state;
    fx->hold_loads = true;
    fx_deliver(fx, request);
    request->route.connection = 999; /* it has connected anew */
    fx_deliver(fx, request);
    assert_null(fx->answers.head);
    fx->hold_loads = false;
    fx_run(fx);
    struct stead_message *answer = fx_answer(fx);
    assert_int_equal(answer->route.connection, 999);
    assert_null(fx->answers.head);
    stead_message_destroy(&answer);
    assert_int_equal(fx_call_i64(fx, &client, a, "get"), 1);
    stead_message_destroy(&request);
    fx_destroy(fx);
}

static void test_session_at_its_bound_refuses_new_requests_and_evicts_nothing(void **state)
{
    struct fx *fx = fx_create(1);
    char a[64];

    (void)state;
    fx->settings.session_answers_max = 3;
    fx_crash(fx, false);
    struct fx_client client = fx_client(fx, 1);
    struct stead_message *first = fx_request(fx, &client, STEAD_CALL, fx_address(a, "d", 1, 0), "add", fx_i64(1), NULL);
    fx_deliver(fx, first);
    assert_int_equal(fx_answer_i64(fx), 1);
    assert_int_equal(fx_call_i64(fx, &client, a, "add"), 2);
    assert_int_equal(fx_call_i64(fx, &client, a, "add"), 3);
    fx_send(fx, &client, STEAD_CALL, a, "add");
    struct stead_message *busy = fx_answer(fx);
    uint64_t retry_ms = 0;
    assert_int_equal(busy->status, STEAD_EBUSY);
    assert_int_equal(stead_get_u64(stead_message_payload(busy), "retry_after_ms", &retry_ms), 0);
    assert_true(retry_ms > 0);
    stead_message_destroy(&busy);
    fx_deliver(fx, first);
    assert_int_equal(fx_answer_i64(fx), 1);
    client.mark = 1;
    assert_int_equal(fx_call_i64(fx, &client, a, "add"), 4);
    stead_message_destroy(&first);
    fx_destroy(fx);
}

/* A request that tells, beyond its mark, that all up to `ended_to` has ended but one number (0: nothing). */
static struct stead_message *telling(struct fx *fx, struct fx_client *client, const char *address, uint64_t ended_to,
                                     uint64_t open)
{
    struct stead_message *plain = fx_request(fx, client, STEAD_CALL, address, "add", fx_i64(1), NULL);
    uint8_t ended[16];

    stead_store64(ended, ended_to);
    stead_store64(ended + 8, open);
    struct stead_message *message = stead_message_copy_ended(plain, stead_bytes(ended, open == 0 ? 8 : 16));
    stead_message_destroy(&plain);
    return message;
}

static int64_t tell_and_add(struct fx *fx, struct fx_client *client, const char *address, uint64_t ended_to,
                            uint64_t open)
{
    struct stead_message *message = telling(fx, client, address, ended_to, open);

    stead_host_deliver(fx->host, &message);
    fx_run(fx);
    return fx_answer_i64(fx);
}

/* One call waits for its answer for long; what is answered meanwhile is neither kept nor written again. */
static void test_session_with_an_open_request_keeps_nothing_of_what_has_ended(void **state)
{
    struct fx *fx = fx_create(1);
    char a[64];

    (void)state;
    fx_do[0] = fx_keep_token, fx_do[1] = fx_use_token;
    fx->settings.session_answers_max = 4;
    fx_crash(fx, false);
    struct fx_client client = fx_client(fx, 1), other = fx_client(fx, 2);
    struct stead_message *slow = fx_request(fx, &client, STEAD_CALL, fx_address(a, "d", 1, 0), "do", fx_i64(1), NULL);
    fx_deliver(fx, slow);
    assert_null(fx->answers.head);
    assert_int_equal(tell_and_add(fx, &client, a, 1, 1), 1);
    struct stead_message *second = telling(fx, &client, a, 2, 1);
    fx_deliver(fx, second);
    assert_int_equal(fx_answer_i64(fx), 2);
    uint64_t bytes = fx_stats(fx)->entry_bytes;
    assert_int_equal(tell_and_add(fx, &client, a, 3, 1), 3);
    uint64_t entry_bytes = fx_stats(fx)->entry_bytes - bytes;
    for (int i = 4; i <= 100; i++)
        assert_int_equal(tell_and_add(fx, &client, a, client.number, 1), i);
    bytes = fx_stats(fx)->entry_bytes;
    assert_int_equal(tell_and_add(fx, &client, a, client.number, 1), 101);
    assert_int_equal(fx_stats(fx)->entry_bytes - bytes, entry_bytes);
    for (int i = 0; i < 2; i++) { /* the same after a restart */
        fx_deliver(fx, second);
        assert_null(fx->answers.head); /* it has ended: a late duplicate */
        fx_deliver(fx, slow);
        assert_null(fx->answers.head); /* it is open: attached */
        fx_cold_restart(fx);
    }
    assert_int_equal(tell_and_add(fx, &client, a, client.number, 1), 102);
    fx_send(fx, &other, STEAD_SIGNAL, a, "do2");
    stead_queue_clear(&fx->answers);
    fx_deliver(fx, slow);
    assert_int_equal(fx_answer_i64(fx), 42);
    fx_cold_restart(fx);
    fx_deliver(fx, slow);
    assert_int_equal(fx_answer_i64(fx), 42);
    client.mark = client.number;
    assert_int_equal(fx_call_i64(fx, &client, a, "add"), 103);
    fx_deliver(fx, slow);
    assert_null(fx->answers.head);
    stead_message_destroy(&second);
    stead_message_destroy(&slow);
    fx_destroy(fx);
}

/* What a request tells may arrive after what a later one told, and that after its number was passed over. */
static void test_older_list_of_open_numbers_brings_nothing_back(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    fx_address(a, "d", 1, 0);
    struct stead_message *open = fx_request(fx, &client, STEAD_CALL, a, "add", fx_i64(1), NULL);
    struct stead_message *lost = fx_request(fx, &client, STEAD_CALL, a, "add", fx_i64(1), NULL);
    struct stead_message *late[] = {telling(fx, &client, a, 2, 1), telling(fx, &client, a, 2, 2),
                                    telling(fx, &client, a, 4, 2)};
    assert_int_equal(tell_and_add(fx, &client, a, 4, 1), 1);
    for (int i = 0; i < 3; i++) /* 3 and 4 have ended; 5, which is new, must not make 2 open again */
        fx_deliver(fx, late[i]);
    assert_int_equal(fx_answer_i64(fx), 2);
    assert_null(fx->answers.head);
    fx_deliver(fx, lost);
    assert_null(fx->answers.head);
    fx_deliver(fx, open);
    assert_null(fx->answers.head); /* the last list says that it has ended too */
    assert_int_equal(fx_call_i64(fx, &client, a, "get"), 2);
    for (int i = 0; i < 3; i++)
        stead_message_destroy(&late[i]);
    stead_message_destroy(&open);
    stead_message_destroy(&lost);
    fx_destroy(fx);
}

static bool may_keep;

static int keep_token_later(struct stead_turn *turn, void *state, struct stead_slice args)
{
    return may_keep ? fx_keep_token(turn, state, args) : stead_defer(turn);
}

/* The client has given up on a request that waits; when its turn keeps a token, that is no debt of the session. */
static void test_session_is_read_again_after_a_debt_that_nobody_waits_for(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    fx_do[0] = keep_token_later;
    may_keep = false;
    fx_send(fx, &client, STEAD_CALL, fx_address(a, "d", 1, 0), "do");
    assert_null(fx->answers.head);
    may_keep = true;
    client.mark = 1;
    assert_int_equal(fx_call_i64(fx, &client, a, "add"), 1); /* and then the first one is run */
    fx_cold_restart(fx);
    assert_int_equal(fx_call_i64(fx, &client, a, "add"), 2);
    fx_destroy(fx);
}

static void test_session_that_starts_in_the_far_future_is_refused(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];
    struct stead_message *request =
        fx_request(fx, &client, STEAD_CALL, fx_address(a, "d", 1, 0), "add", fx_i64(1), NULL);

    (void)state;
    request->session.start_ms = fx->now_ms + fx->settings.session_age_ms_max + 1;
    fx_deliver(fx, request);
    assert_int_equal(fx_answer_status(fx), STEAD_EARGUMENT);
    request->session.start_ms = UINT64_MAX;
    fx_deliver(fx, request);
    assert_int_equal(fx_answer_status(fx), STEAD_EARGUMENT);
    stead_message_destroy(&request);
    fx_destroy(fx);
}

static void test_session_past_its_age_executes_nothing(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];
    struct stead_message *first = fx_request(fx, &client, STEAD_CALL, fx_address(a, "d", 1, 0), "add", fx_i64(1), NULL);

    (void)state;
    fx_deliver(fx, first);
    assert_int_equal(fx_answer_i64(fx), 1);
    fx_step_ms(fx, fx->settings.session_age_ms_max - 1);
    fx_deliver(fx, first);
    assert_int_equal(fx_answer_i64(fx), 1);
    fx_step_ms(fx, 1);
    fx_deliver(fx, first);
    assert_int_equal(fx_answer_status(fx), STEAD_ESESSION);
    assert_int_equal(fx_call(fx, &client, a, "add"), STEAD_ESESSION);
    struct fx_client next = fx_client(fx, 2);
    assert_int_equal(fx_call_i64(fx, &next, a, "get"), 1);
    stead_message_destroy(&first);
    fx_destroy(fx);
}

/* A volatile agent's answer is remembered for two minutes after its session was used last; then, that it was given. */
static void test_answer_of_a_volatile_receiver_is_forgotten_but_not_that_it_was_given(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    struct stead_message *first = fx_request(fx, &client, STEAD_CALL, fx_address(a, "v", 1, 0), "add", fx_i64(1), NULL);
    uint64_t memory_bytes = fx_stats(fx)->memory_bytes;
    fx_deliver(fx, first);
    assert_int_equal(fx_answer_i64(fx), 1);
    assert_true(fx_stats(fx)->memory_bytes > memory_bytes + sizeof(struct stead_session));
    for (int i = 0; i < 3; i++) { /* as long as it is used */
        fx_step_ms(fx, 119000);
        fx_deliver(fx, first);
        assert_int_equal(fx_answer_i64(fx), 1);
    }
    assert_int_equal(fx_stats(fx)->sessions, 1);
    fx_step_ms(fx, 120000);
    assert_int_equal(fx_stats(fx)->sessions, 0);
    fx_deliver(fx, first);
    assert_int_equal(fx_answer_status(fx), STEAD_ESESSION);
    assert_int_equal(fx_call_i64(fx, &client, a, "add"), 2); /* the session goes on */
    fx_deliver(fx, first);
    assert_int_equal(fx_answer_status(fx), STEAD_ESESSION);
    fx_step_ms(fx, 120000);
    assert_int_equal(fx_stats(fx)->sessions, 0);
    fx_deliver(fx, first);
    assert_int_equal(fx_answer_status(fx), STEAD_ESESSION);
    fx_step_ms(fx, fx->settings.session_age_ms_max);
    fx_step_ms(fx, 120000);
    assert_int_equal(fx_stats(fx)->sessions, 0);
    assert_true(fx_stats(fx)->memory_bytes <= memory_bytes + 4096); /* its agent is there */
    stead_message_destroy(&first);
    fx_destroy(fx);
}

/* Durable agents of the same slot are in the row: what they were asked before is not unknown. */
static void test_forgotten_answer_of_a_volatile_receiver_keeps_no_durable_one_out(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);

    (void)state;
    struct stead_message *late = fx_request(fx, &client, STEAD_CALL, "d/{x}", "add", fx_i64(1), NULL);
    assert_int_equal(fx_call_i64(fx, &client, "v/{x}", "add"), 1);
    fx_step_ms(fx, 120000);
    fx_step_ms(fx, 120000);
    assert_int_equal(fx_stats(fx)->sessions, 0);
    fx_deliver(fx, late);
    assert_int_equal(fx_answer_i64(fx), 1);
    stead_message_destroy(&late);
    fx_destroy(fx);
}

static int echo(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state;
    return stead_reply(turn, args);
}

static void test_answers_of_volatile_receivers_take_no_more_than_an_eighth_of_the_memory(void **state)
{
    static uint8_t payload[3003] = {0xc5, 3000 >> 8, 3000 & 0xff};
    struct fx *fx = fx_create(1);
    struct stead_message *requests[8];
    char a[64];

    (void)state;
    fx_do[0] = echo;
    fx->settings.memory_bytes_max = 8 * 10000;
    fx_crash(fx, false);
    struct fx_client client = fx_client(fx, 1);
    fx_address(a, "v", 1, 0);
    for (int i = 0; i < 8; i++) {
        requests[i] = fx_request(fx, &client, STEAD_CALL, a, "do", stead_bytes(payload, sizeof(payload)), NULL);
        fx_deliver(fx, requests[i]);
        assert_int_equal(fx_answer_status(fx), 0);
    }
    assert_true(fx_stats(fx)->memory_bytes < 20000);
    for (int i = 0; i < 8; i++) {
        fx_deliver(fx, requests[i]);
        assert_int_equal(fx_answer_status(fx), i < 3 ? 0 : STEAD_ESESSION);
    }
    assert_int_equal(fx_stats(fx)->turns, 8);
    client.mark = client.number; /* the client has them all: there is room again */
    assert_int_equal(fx_call(fx, &client, a, "do"), 0);
    assert_true(fx_stats(fx)->memory_bytes < 10000);
    for (int i = 0; i < 8; i++)
        stead_message_destroy(&requests[i]);
    fx_destroy(fx);
}

static void test_idle_session_leaves_early_while_memory_is_short(void **state)
{
    struct fx *fx = fx_create(1);
    char a[64];

    (void)state;
    fx->settings.memory_bytes_max = 64;
    fx_crash(fx, false);
    struct fx_client client = fx_client(fx, 1);
    assert_int_equal(fx_call_i64(fx, &client, fx_address(a, "d", 1, 0), "add"), 1);
    fx_step_ms(fx, 9000);
    assert_int_equal(fx_stats(fx)->sessions, 1);
    fx_step_ms(fx, 2000);
    fx_step_ms(fx, 2000);
    assert_int_equal(fx_stats(fx)->sessions, 0);
    fx_destroy(fx);
}

/* A request that has so many ms, to an agent that is held: it waits. */
static struct stead_message *wait_for_held(struct fx *fx, struct fx_client *client, char *a, uint64_t patience_ms)
{
    fx_do[0] = fx_hold_for_d9;
    assert_int_equal(fx_call(fx, client, fx_address(a, "d", 1, 0), "do"), 0);
    struct stead_message *request = fx_request(fx, client, STEAD_CALL, a, "add", fx_i64(1), NULL);
    request->deadline_ms = fx->now_ms + patience_ms;
    fx_deliver(fx, request);
    return request;
}

static void test_request_that_expires_in_the_mailbox_is_answered_again_when_retried(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];
    struct stead_message *request = wait_for_held(fx, &client, a, 1000);

    (void)state;
    fx_step_ms(fx, 1000);
    assert_int_equal(fx_answer_status(fx), STEAD_EEXPIRED); /* at its deadline, held or not */
    struct stead_message *answer = fx_query(fx, &client, a, "unlock", (struct stead_slice){0});
    assert_int_equal(answer->status, 0);
    stead_message_destroy(&answer);
    fx_deliver(fx, request);
    assert_int_equal(fx_answer_status(fx), STEAD_EEXPIRED);
    stead_message_destroy(&request);
    fx_destroy(fx);
}

static void test_request_that_expires_in_the_mailbox_is_answered_though_nothing_else_runs(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];
    struct stead_message *request = wait_for_held(fx, &client, a, 500);

    (void)state;
    fx_step_ms(fx, 1000);
    fx_step_ms(fx, 1000);
    assert_int_equal(fx_answer_status(fx), STEAD_EEXPIRED);
    stead_message_destroy(&request);
    fx_destroy(fx);
}

static void test_two_sessions_with_equal_numbers_are_two_requests(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client one = fx_client(fx, 1), two = fx_client(fx, 2);
    char a[64];

    (void)state;
    assert_int_equal(fx_call_i64(fx, &one, fx_address(a, "d", 1, 0), "add"), 1);
    assert_int_equal(fx_call_i64(fx, &two, a, "add"), 2);
    fx_destroy(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retry_of_an_answered_request_gets_the_first_answer),
        cmocka_unit_test(test_retry_of_a_failed_request_gets_the_first_failure),
        cmocka_unit_test(test_retry_of_a_long_answer_gets_it_whole_after_a_restart),
        cmocka_unit_test(test_request_at_or_below_the_mark_is_dropped),
        cmocka_unit_test(test_requests_out_of_order_each_take_effect_once),
        cmocka_unit_test(test_retry_while_the_agent_loads_attaches_and_its_connection_gets_the_answer),
        cmocka_unit_test(test_session_at_its_bound_refuses_new_requests_and_evicts_nothing),
        cmocka_unit_test(test_session_with_an_open_request_keeps_nothing_of_what_has_ended),
        cmocka_unit_test(test_older_list_of_open_numbers_brings_nothing_back),
        cmocka_unit_test(test_session_is_read_again_after_a_debt_that_nobody_waits_for),
        cmocka_unit_test(test_session_that_starts_in_the_far_future_is_refused),
        cmocka_unit_test(test_session_past_its_age_executes_nothing),
        cmocka_unit_test(test_answer_of_a_volatile_receiver_is_forgotten_but_not_that_it_was_given),
        cmocka_unit_test(test_forgotten_answer_of_a_volatile_receiver_keeps_no_durable_one_out),
        cmocka_unit_test(test_answers_of_volatile_receivers_take_no_more_than_an_eighth_of_the_memory),
        cmocka_unit_test(test_idle_session_leaves_early_while_memory_is_short),
        cmocka_unit_test(test_request_that_expires_in_the_mailbox_is_answered_again_when_retried),
        cmocka_unit_test(test_request_that_expires_in_the_mailbox_is_answered_though_nothing_else_runs),
        cmocka_unit_test(test_two_sessions_with_equal_numbers_are_two_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
