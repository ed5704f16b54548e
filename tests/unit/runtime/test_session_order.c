/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of a session's requests to one agent: what is taken, what waits for another, and what is too late (S4).
 */
#include "runtime/client_core.h"
#include "unit/runtime/host_client.h"

/* A call of `op` that names the number before it to the same agent. */
static struct stead_message *call_after(struct fx *fx, struct fx_client *client, const char *a, const char *op,
                                        uint64_t after)
{
    struct stead_message *call = fx_request(fx, client, STEAD_CALL, a, op, fx_i64(1), NULL);

    call->after = after;
    return call;
}

/* What a call of number `number` of `calls` is answered with; 1: nothing. */
static int send_again(struct fx *fx, struct stead_message *const *calls, uint32_t number)
{
    fx_deliver(fx, calls[number]);
    return fx->answers.head == NULL ? 1 : fx_answer_status(fx);
}

static void test_request_waits_for_the_one_that_it_names(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    struct stead_message *calls[7] = {NULL};
    char a[64], b[64];

    (void)state;
    fx_address(a, "d", 1, 0);
    fx_address(b, "d", 1, 1);
    for (uint32_t i = 1; i < 5; i++)
        calls[i] = call_after(fx, &client, a, i == 2 ? "get" : "add", i - 1);
    calls[5] = call_after(fx, &client, b, "add", 0);
    assert_int_equal(send_again(fx, calls, 3), STEAD_EBUSY);
    assert_int_equal(send_again(fx, calls, 5), 0); /* of another agent */
    assert_int_equal(send_again(fx, calls, 1), 0);
    assert_int_equal(send_again(fx, calls, 3), STEAD_EBUSY); /* the first has come, not the second */
    assert_int_equal(send_again(fx, calls, 2), 0);           /* which leaves no trace but its place */
    assert_int_equal(send_again(fx, calls, 3), 0);
    fx_crash(fx, false); /* the places are gone, and what has been answered is known */
    assert_int_equal(send_again(fx, calls, 4), 0);
    client.mark = 5;
    calls[6] = call_after(fx, &client, a, "add", 5); /* that one went elsewhere, but has ended */
    assert_int_equal(send_again(fx, calls, 6), 0);
    assert_int_equal(fx_call_i64(fx, &client, a, "get"), 4);
    for (uint32_t i = 1; i < 7; i++)
        stead_message_destroy(&calls[i]);
    fx_destroy(fx);
}

/* One that was refused for good, for a reason that is none any more, or that its client has given up. */
static void test_request_that_comes_behind_later_ones_changes_nothing(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    struct stead_message *calls[5] = {NULL};
    char a[64];

    (void)state;
    fx_address(a, "d", 1, 0);
    for (uint32_t i = 1; i < 5; i++)
        calls[i] = call_after(fx, &client, a, i == 2 ? "get" : "add", i - 1);
    calls[1]->deadline_ms = 1;
    assert_int_equal(send_again(fx, calls, 1), STEAD_EEXPIRED);
    assert_int_equal(send_again(fx, calls, 2), 0);
    calls[1]->deadline_ms = 0;
    assert_int_equal(send_again(fx, calls, 1), STEAD_EEXPIRED);
    assert_int_equal(send_again(fx, calls, 3), 0);
    assert_int_equal(send_again(fx, calls, 2), 0); /* changes nothing */
    assert_int_equal(send_again(fx, calls, 4), 0);
    calls[3]->after = 0;
    assert_int_equal(send_again(fx, calls, 3), 0); /* is known */
    fx_crash(fx, false);
    assert_int_equal(send_again(fx, calls, 1), STEAD_EEXPIRED); /* as the stored effects say */
    assert_int_equal(send_again(fx, calls, 3), 0);
    assert_int_equal(fx_call_i64(fx, &client, a, "get"), 2);
    for (uint32_t i = 1; i < 5; i++)
        stead_message_destroy(&calls[i]);
    fx_destroy(fx);
}

static bool empty;

static int defer_while_empty(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    if (!empty)
        ((struct puppet *)state)->value += 100;
    return empty ? stead_defer(turn) : 0;
}

/* What waits in a mailbox has been taken, but with its process it is gone, though later ones are stored. */
static void test_request_that_waited_when_the_process_ended_runs_behind_those_that_passed_it(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    struct stead_message *calls[5] = {NULL};
    char a[64];

    (void)state;
    fx_address(a, "d", 1, 0);
    fx_do[0] = defer_while_empty;
    empty = true;
    for (uint32_t i = 1; i < 5; i++)
        calls[i] = call_after(fx, &client, a, i == 2 ? "do" : "add", i - 1);
    assert_int_equal(send_again(fx, calls, 1), 0);
    assert_int_equal(send_again(fx, calls, 2), 1); /* deferred */
    assert_int_equal(send_again(fx, calls, 3), 0);
    assert_int_equal(send_again(fx, calls, 4), 0);
    fx_crash(fx, false);
    empty = false;
    assert_int_equal(send_again(fx, calls, 2), 0);
    assert_int_equal(fx_call_i64(fx, &client, a, "get"), 103);
    for (uint32_t i = 1; i < 5; i++)
        stead_message_destroy(&calls[i]);
    fx_destroy(fx);
}

static void test_release_does_not_wait_for_what_waits_for_it(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    fx_address(a, "d", 1, 0);
    struct stead_message *lost = call_after(fx, &client, a, "add", 0);
    struct stead_message *release = call_after(fx, &client, a, STEAD_OP_RELEASE, 1);
    fx_deliver(fx, release);
    assert_int_not_equal(fx_answer_status(fx), STEAD_EBUSY);
    stead_message_destroy(&lost);
    stead_message_destroy(&release);
    fx_destroy(fx);
}

static void test_request_waits_for_one_that_was_refused_after_it_was_let_in(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1), other = fx_client(fx, 2);
    struct stead_message *calls[6] = {NULL};
    char a[64];

    (void)state;
    fx->settings.mailbox_messages_max = 2;
    fx_crash(fx, false);
    fx_address(a, "d", 1, 0);
    fx_do[0] = fx_hold_for_d9;
    assert_int_equal(fx_call(fx, &other, a, "do"), 0);
    for (uint32_t i = 1; i < 5; i++)
        calls[i] = call_after(fx, &client, a, "add", i - 1);
    assert_int_equal(send_again(fx, calls, 1), 1); /* in the mailbox */
    assert_int_equal(send_again(fx, calls, 2), 1);
    assert_int_equal(send_again(fx, calls, 3), STEAD_EBUSY); /* which has no more room */
    calls[5] = call_after(fx, &client, a, "add", 0);
    calls[5]->groups |= STEAD_GROUP_FENCE; /* does not wait for those that wait for the hold's end */
    calls[5]->fence = 77;
    assert_int_equal(send_again(fx, calls, 5), STEAD_ELOCKED); /* a hold that is over */
    fx_send(fx, &other, STEAD_QUERY, a, "unlock");             /* there is room again, but the fourth is not the next */
    assert_int_equal(fx->answers.count, 3);
    stead_queue_clear(&fx->answers);
    assert_int_equal(send_again(fx, calls, 4), STEAD_EBUSY);
    assert_int_equal(send_again(fx, calls, 3), 0);
    assert_int_equal(send_again(fx, calls, 4), 0);
    for (uint32_t i = 1; i < 6; i++)
        stead_message_destroy(&calls[i]);
    fx_destroy(fx);
}

/* They wait for their agent, which cannot be read: nothing was taken, and both come again. */
static void test_requests_that_were_refused_after_they_were_let_in_run_in_their_order(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    struct stead_message *calls[4] = {NULL};
    char a[64];

    (void)state;
    fx_address(a, "d", 1, 0);
    for (uint32_t i = 1; i < 4; i++)
        calls[i] = call_after(fx, &client, a, "add", i - 1);
    assert_int_equal(send_again(fx, calls, 1), 0);
    fx_cold_restart(fx);
    fx->hold_loads = true;
    assert_int_equal(send_again(fx, calls, 2), 1);
    assert_int_equal(send_again(fx, calls, 3), 1);
    fx->io_error = true;
    fx->hold_loads = false;
    fx_run(fx);
    assert_int_equal(fx_answer_status(fx), STEAD_EIO);
    assert_int_equal(fx_answer_status(fx), STEAD_EIO);
    fx->io_error = false;
    assert_int_equal(send_again(fx, calls, 3), STEAD_EBUSY);
    assert_int_equal(send_again(fx, calls, 2), 0);
    assert_int_equal(send_again(fx, calls, 3), 0);
    assert_int_equal(fx_call_i64(fx, &client, a, "get"), 3);
    for (uint32_t i = 1; i < 4; i++)
        stead_message_destroy(&calls[i]);
    fx_destroy(fx);
}

/* What comes again behind later ones has no place to lose when there is no room for it. */
static void test_late_request_that_finds_no_room_opens_nothing(void **state)
{
    (void)state;
    for (int keyed = 0; keyed < 2; keyed++) {
        struct fx *fx = fx_create(1);
        struct fx_client client = fx_client(fx, 1), other = fx_client(fx, 2);
        struct stead_message *calls[5] = {NULL};
        char a[64];

        fx->settings.mailbox_messages_max = 1;
        fx_crash(fx, false);
        fx_do[0] = fx_hold_for_d9;
        fx_address(a, "d", 1, 0);
        for (uint32_t i = 1; i < 5; i++) {
            calls[i] =
                fx_request(fx, &client, STEAD_CALL, a, i == 2 ? "get" : "add", fx_i64(1), i == 2 && keyed ? "k" : NULL);
            calls[i]->after = i - 1;
        }
        calls[3]->deadline_ms = 1;
        for (uint32_t i = 1; i < 5; i++)
            assert_int_equal(send_again(fx, calls, i), i == 3 ? STEAD_EEXPIRED : 0);
        calls[3]->deadline_ms = 0;
        assert_int_equal(send_again(fx, calls, 3), STEAD_EEXPIRED); /* behind the fourth */
        assert_int_equal(fx_call(fx, &other, a, "do"), 0);
        fx_send(fx, &other, STEAD_CALL, a, "get");
        assert_int_equal(send_again(fx, calls, 2), STEAD_EBUSY);
        fx_send(fx, &other, STEAD_QUERY, a, "unlock");
        stead_queue_clear(&fx->answers);
        assert_int_equal(send_again(fx, calls, 2), 0);
        assert_int_equal(send_again(fx, calls, 3), STEAD_EEXPIRED);
        assert_int_equal(fx_call_i64(fx, &other, a, "get"), 2);
        for (uint32_t i = 1; i < 5; i++)
            stead_message_destroy(&calls[i]);
        fx_destroy(fx);
    }
}

/* Agents of one slot, each asked once by one client, which does not say what has ended. */
static void test_places_of_a_session_are_bounded_as_its_answers_are(void **state)
{
    static const char *const ops[] = {"get", "nonsense"}; /* answered and not kept; refused for good */

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fx *fx = fx_create(1);
        char tag[64], address[128];
        uint32_t places = 0, n = 0;

        fx->settings.session_answers_max = 100;
        fx_crash(fx, false);
        struct fx_client client = fx_client(fx, 1);
        do
            stead_format(tag, sizeof(tag), "d/{t%u}", n++);
        while (fx_shard_of(stead_address_slot(stead_str(tag), 0)) != 1);
        struct stead_message *oldest = fx_request(fx, &client, STEAD_CALL, tag, ops[i], fx_i64(0), NULL);
        for (n = 0; n < 1000; n++) {
            stead_format(address, sizeof(address), "%s%u", tag, n);
            places += fx_call(fx, &client, address, ops[i]) != STEAD_EBUSY;
        }
        assert_int_equal(places, 100);
        stead_format(address, sizeof(address), "%s0", tag);
        assert_int_equal(fx_call(fx, &client, address, ops[i]), STEAD_EBUSY); /* nor for one that has a place */
        fx_deliver(fx, oldest);
        assert_int_not_equal(fx_answer_status(fx), STEAD_EBUSY); /* nobody else makes room */
        client.mark = 50;
        fx_step_ms(fx, 1000);
        for (places = 0, n = 200; n < 300; n++) {
            stead_format(address, sizeof(address), "%s%u", tag, n);
            places += fx_call(fx, &client, address, ops[i]) != STEAD_EBUSY;
        }
        assert_int_equal(places, 49); /* the other 51 may be asked for still */
        stead_message_destroy(&oldest);
        fx_destroy(fx);
    }
}

static uint32_t completed;

static void on_connect(void *self, uint32_t node, uint16_t reactor)
{
    (void)self, (void)node, (void)reactor;
}

static void on_send(void *self, uint32_t node, uint16_t reactor, const struct stead_message *message)
{
    struct fx *fx = self;
    struct stead_message *copy = stead_message_copy(message);

    (void)node, (void)reactor;
    copy->groups |= STEAD_GROUP_ROUTE;
    copy->route = (struct stead_route){FX_NODE, 0, FX_ROUTE};
    stead_host_deliver(fx->host, &copy);
}

static void on_complete(void *self, void *context, int code, struct stead_message **answer)
{
    (void)self, (void)context, (void)answer;
    assert_int_equal(code, 0);
    completed++;
}

static void on_refresh(void *self)
{
    (void)self;
}

static void step_client(struct fx *fx, struct stead_client_core *core, uint64_t ms)
{
    struct stead_message *answer;

    fx_step_ms(fx, ms);
    stead_client_core_set_now(core, fx->now_ns, fx->now_ms);
    while ((answer = stead_queue_pop(&fx->answers)) != NULL)
        stead_client_core_deliver(core, &answer);
    stead_client_core_step(core);
    fx_run(fx);
}

#define ASKED 1000u /* agents */

/* The first waits for the end of a hold; of the others there are ten times as many as there are places. */
static void test_client_gets_through_at_the_bound_of_places(void **state)
{
    struct fx *fx = fx_create(2);
    struct fx_client holder = fx_client(fx, 1);
    const struct stead_client_core_options options = {
        .seed = 1,
        .timeout_ms = 3600000,
        .ended_above_max = 100 / 8,
        .effects = {
            .self = fx, .connect = on_connect, .send = on_send, .complete = on_complete, .refresh = on_refresh}};
    char address[64] = "d/{tag}0";

    (void)state;
    fx->settings.session_answers_max = 100;
    fx_crash(fx, false);
    fx_set_table(fx, NULL, 1, true);
    fx_do[0] = fx_hold_for_d9;
    completed = 0;
    assert_int_equal(fx_call(fx, &holder, address, "do"), 0);
    struct stead_client_core *core = stead_client_core_create(&options);
    stead_client_core_set_now(core, fx->now_ns, fx->now_ms);
    stead_client_core_set_table(core, fx->table);
    stead_client_core_peer_up(core, FX_NODE, 0);
    for (uint32_t n = 0; n < ASKED; n++) {
        stead_format(address, sizeof(address), "d/{tag}%u", n);
        const struct stead_client_request request = {
            .type = STEAD_CALL, .address = stead_str(address), .op = stead_str("get")};
        assert_int_equal(stead_client_core_submit(core, &request), 0);
    }
    for (uint32_t i = 0; i < 6000 && completed < ASKED - 1; i++)
        step_client(fx, core, 10);
    assert_int_equal(completed, ASKED - 1);
    assert_true(fx_stats(fx)->refused_busy > 0);
    fx_send(fx, &holder, STEAD_QUERY, "d/{tag}0", "unlock");
    step_client(fx, core, 10);
    assert_int_equal(completed, ASKED);
    stead_client_core_destroy(&core);
    fx_destroy(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_waits_for_the_one_that_it_names),
        cmocka_unit_test(test_request_that_comes_behind_later_ones_changes_nothing),
        cmocka_unit_test(test_request_that_waited_when_the_process_ended_runs_behind_those_that_passed_it),
        cmocka_unit_test(test_release_does_not_wait_for_what_waits_for_it),
        cmocka_unit_test(test_request_waits_for_one_that_was_refused_after_it_was_let_in),
        cmocka_unit_test(test_requests_that_were_refused_after_they_were_let_in_run_in_their_order),
        cmocka_unit_test(test_late_request_that_finds_no_room_opens_nothing),
        cmocka_unit_test(test_places_of_a_session_are_bounded_as_its_answers_are),
        cmocka_unit_test(test_client_gets_through_at_the_bound_of_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
