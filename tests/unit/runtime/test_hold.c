/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holding: while a host holds, what comes from outside waits, in order and within a bound; it goes on when the host
 * lets go, or when its time is over.
 */
#include "unit/runtime/host_client.h"

static char agent[64];

static struct fx *begin(struct fx_client *ret_client)
{
    struct fx *fx = fx_create(1);

    fx_address(agent, "d", 1, 0);
    *ret_client = fx_client(fx, 1);
    fx_send(fx, ret_client, STEAD_CALL, agent, "get");
    assert_int_equal(fx_answer_status(fx), 0);
    return fx;
}

/* From outside: a client's `add` 1. */
static void add(struct fx *fx, struct fx_client *client, enum stead_message_type type)
{
    struct stead_message *message = fx_request(fx, client, type, agent, "add", fx_i64(1), NULL);

    stead_host_admit(fx->host, &message);
    assert_null(message);
    fx_run(fx);
}

static uint64_t turns(struct fx *fx)
{
    return fx_stats(fx)->turns;
}

static void test_what_comes_from_outside_waits_until_the_host_lets_go(void **state)
{
    struct fx_client client;
    struct fx *fx = begin(&client);

    (void)state;
    stead_host_hold(fx->host, fx->now_ns + 1000000000u);
    uint64_t before = turns(fx);
    for (int i = 0; i < 3; i++)
        add(fx, &client, STEAD_CALL);
    assert_int_equal(turns(fx), before);
    assert_int_equal(fx->answers.count, 0);
    assert_false(stead_host_idle(fx->host));
    stead_host_let_go(fx->host);
    fx_run(fx);
    for (int64_t i = 1; i <= 3; i++) {
        struct stead_message *answer = stead_queue_pop(&fx->answers);
        int64_t value = 0;
        assert_int_equal(stead_get_i64(stead_message_payload(answer), NULL, &value), 0);
        assert_int_equal(value, i); /* in the order in which they came */
        stead_message_destroy(&answer);
    }
    assert_true(stead_host_idle(fx->host));
    fx_destroy(fx);
}

static void test_host_lets_go_by_itself_when_the_time_is_over(void **state)
{
    struct fx_client client;
    struct fx *fx = begin(&client);

    (void)state;
    stead_host_hold(fx->host, fx->now_ns + 10000000u);
    uint64_t before = turns(fx);
    add(fx, &client, STEAD_SIGNAL);
    fx_step_ms(fx, 9);
    assert_int_equal(turns(fx), before);
    assert_true(fx->armed_ns <= fx->now_ns + 1000000u); /* it is woken for that */
    fx_step_ms(fx, 1);
    assert_int_equal(turns(fx), before + 1);
    fx_destroy(fx);
}

static void test_queries_and_what_the_host_does_itself_go_on(void **state)
{
    struct fx_client client;
    struct fx *fx = begin(&client);

    (void)state;
    stead_host_hold(fx->host, fx->now_ns + 1000000000u);
    struct stead_message *query = fx_request(fx, &client, STEAD_QUERY, agent, "show", (struct stead_slice){0}, NULL);
    stead_host_admit(fx->host, &query);
    fx_run(fx);
    assert_int_equal(fx_answer_status(fx), 0);
    uint64_t before = turns(fx);
    fx_send(fx, &client, STEAD_CALL, agent, "add"); /* of another reactor of this node, for instance */
    assert_int_equal(turns(fx), before + 1);
    fx_destroy(fx);
}

static void test_beyond_the_bound_clients_are_told_busy_and_the_rest_is_dropped(void **state)
{
    struct fx_client client;
    struct fx *fx = begin(&client);

    (void)state;
    fx->settings.memory_bytes_max = 64u << 10;
    fx_crash(fx, false);
    fx_forget_outputs(fx);
    stead_host_hold(fx->host, fx->now_ns + 1000000000u);
    uint32_t count = 0;
    for (; fx->answers.count == 0; count++) {
        assert_true(count < 1000);
        add(fx, &client, STEAD_CALL);
    }
    assert_int_equal(fx_answer_status(fx), STEAD_EBUSY);
    add(fx, &client, STEAD_TELL);
    assert_int_equal(fx_stats(fx)->tells_dropped, 1);
    uint64_t before = turns(fx);
    stead_host_let_go(fx->host);
    fx_run(fx);
    assert_int_equal(turns(fx), before + count - 1);
    fx_destroy(fx);
}

static void test_stop_forgets_what_is_held(void **state)
{
    struct fx_client client;
    struct fx *fx = begin(&client);

    (void)state;
    stead_host_hold(fx->host, fx->now_ns + 1000000000u);
    add(fx, &client, STEAD_CALL);
    stead_host_stop(fx->host);
    fx_run(fx);
    assert_true(stead_host_idle(fx->host));
    fx_destroy(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_comes_from_outside_waits_until_the_host_lets_go),
        cmocka_unit_test(test_host_lets_go_by_itself_when_the_time_is_over),
        cmocka_unit_test(test_queries_and_what_the_host_does_itself_go_on),
        cmocka_unit_test(test_beyond_the_bound_clients_are_told_busy_and_the_rest_is_dropped),
        cmocka_unit_test(test_stop_forgets_what_is_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
