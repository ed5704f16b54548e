/* SPDX-License-Identifier: Apache-2.0 */
/* A transport and its clients: routes, tables, who is slow, silent or gone, and bad input. */
#include "unit/net/golden.h"
#include "unit/net/station.h"

/* ---- Clients -------------------------------------------------------------------------------- */

static void test_client_call_is_routed_and_answered(void **state)
{
    (void)state;
    static struct station a;
    open_station(&a, 1);
    void *client = open_greeted_client(&a);
    client_send(client, call(1, 1));
    assert_true(pump_until(&a.received, 1));
    struct stead_message *m = a.first;
    assert_true(m->groups & STEAD_GROUP_ROUTE);
    assert_int_equal(m->route.node, 1);
    assert_int_equal(m->source_slot.v, STEAD_SLOT_SESSION);
    struct stead_message *answer = stead_message_answer(m, 0, NULL, stead_bytes("\x05", 1)), *got;
    stead_transport_answer(a.transport, &answer);
    got = client_receive(client);
    assert_int_equal(got->type, STEAD_ANSWER);
    assert_int_equal(got->session.number, 1);
    assert_false(got->groups & STEAD_GROUP_ROUTE);
    stead_message_destroy(&got);
    close_client(client);
}

static void test_client_route_is_ours_whatever_it_claims(void **state)
{
    (void)state;
    static struct station a;
    open_station(&a, 1);
    void *client = open_greeted_client(&a);
    struct stead_message *m = call(1, 1);
    m->groups |= STEAD_GROUP_ROUTE;
    m->route = (struct stead_route){.node = 9, .reactor = 9, .connection = 9};
    client_send(client, m);
    assert_true(pump_until(&a.received, 1));
    assert_int_equal(a.first->route.node, 1);
    assert_int_not_equal(a.first->route.connection, 9);
    close_client(client);
}

static void test_client_without_hello_is_asked_for_it(void **state)
{
    (void)state;
    static struct station a;
    open_station(&a, 1);
    void *client = open_client(&a);
    client_send(client, call(1, 1));
    assert_receives(client, STEAD_HELLO, 0);
    assert_int_equal(a.received, 0);
    assert_int_equal(stead_transport_stats(a.transport)->records_strange, 1);
    close_client(client);
}

static void test_client_that_says_what_only_nodes_say_is_refused(void **state)
{
    (void)state;
    static struct station a;
    open_station(&a, 1);
    void *client = open_greeted_client(&a);
    struct stead_message *m = call(1, 1);
    m->flags |= STEAD_FLAG_JOB;
    client_send(client, m);
    assert_receives(client, STEAD_ANSWER, STEAD_EUNAUTHORISED);
    assert_int_equal(a.received, 0);
    close_client(client);
}

static void test_client_with_an_old_table_is_given_the_new_one_once(void **state)
{
    (void)state;
    static struct station a;
    open_station(&a, 1);
    void *client = open_greeted_client(&a);
    stead_transport_set_table(a.transport, 2, cluster, stead_bytes("\xc2", 1));
    client_send(client, call(1, 1));
    struct stead_message *m = client_receive(client);
    assert_int_equal(m->type, STEAD_TABLE);
    assert_int_equal(m->table_version, 2);
    assert_memory_equal(m->payload, "\xc2", 1);
    stead_message_destroy(&m);
    client_send(client, call(2, 1));
    assert_true(pump_until(&a.received, 2));
    pump_for_ms(20);
    char byte;
    assert_int_equal(zmq_recv(client, &byte, 1, ZMQ_DONTWAIT), -1);
    close_client(client);
}

/* Its answers wait in its own lane, the others' do not; all come when it reads. */
static void test_client_that_does_not_read_holds_up_nobody_and_loses_nothing(void **state)
{
    (void)state;
    static struct station a;
    static uint8_t payload[1000] = {0xc5, (1000 - 3) >> 8, (1000 - 3) & 0xff};
    open_station(&a, 1);
    void *slow = open_greeted_client(&a), *quick = open_greeted_client(&a);
    client_send(slow, call(1, 1));
    client_send(quick, call(2, 1));
    assert_true(pump_until(&a.received, 2));
    struct stead_message *to_slow = a.first->id.v[0] == 1 ? a.first : a.first->next;
    struct stead_message *to_quick = a.first->id.v[0] == 1 ? a.first->next : a.first;
    for (uint32_t i = 0; i < 40000; i++) {
        struct stead_message *m = stead_message_answer(to_slow, 0, NULL, (struct stead_slice){payload, sizeof payload});
        m->deadline_ms = i;
        stead_transport_answer(a.transport, &m);
    }
    pump_for_ms(100);
    assert_true(stead_transport_stats(a.transport)->queued_bytes > 0);
    assert_true(stead_transport_sleep_ms(a.transport) > 0);
    struct stead_message *m = stead_message_answer(to_quick, 0, NULL, (struct stead_slice){NULL, 0});
    stead_transport_answer(a.transport, &m);
    assert_receives(quick, STEAD_ANSWER, 0);
    uint32_t records = 0;
    uint64_t end = now_ns() + WAIT_MS * 1000000ull;
    static uint8_t bytes[STEAD_FRAME_BYTES_MAX];
    while (records < 40000 && now_ns() < end) {
        int size = zmq_recv(slow, bytes, sizeof bytes, ZMQ_DONTWAIT);
        if (size < 0)
            turn(&a, 1);
        else
            records += stead_load16(bytes + 2);
    }
    assert_int_equal(records, 40000);
    turn(&a, 0);
    assert_int_equal(stead_transport_sleep_ms(a.transport), -1);
    close_client(slow);
    close_client(quick);
}

static void test_answer_to_a_connection_that_is_gone_is_dropped_and_counted(void **state)
{
    (void)state;
    static struct station a;
    open_station(&a, 1);
    void *client = open_greeted_client(&a);
    client_send(client, call(1, 1));
    assert_true(pump_until(&a.received, 1));
    close_client(client);
    pump_for_ms(50);
    struct stead_message *answer = stead_message_answer(a.first, 0, NULL, (struct stead_slice){NULL, 0});
    stead_transport_answer(a.transport, &answer);
    pump_for_ms(20);
    assert_int_equal(stead_transport_stats(a.transport)->dropped_gone, 1);
    assert_int_equal(stead_transport_stats(a.transport)->connections, 0);
    /* Its number is not another's. */
    void *next = open_greeted_client(&a);
    answer = stead_message_answer(a.first, 0, NULL, (struct stead_slice){NULL, 0});
    stead_transport_answer(a.transport, &answer);
    assert_int_equal(stead_transport_stats(a.transport)->dropped_gone, 2);
    close_client(next);
}

static void test_tick_forgets_silent_clients_that_are_gone_and_keeps_the_others(void **state)
{
    (void)state;
    static struct station a;
    open_station(&a, 1);
    void *stays = open_greeted_client(&a), *goes = open_greeted_client(&a);
    close_client(goes);
    pump_for_ms(50);
    assert_int_equal(stead_transport_stats(a.transport)->connections, 2);
    stead_transport_tick(a.transport, now_ns() + 61000000000ull);
    assert_int_equal(stead_transport_stats(a.transport)->connections, 1);
    client_send(stays, call(1, 1));
    assert_true(pump_until(&a.received, 1));
    close_client(stays);
}

static void test_connections_over_the_limit_are_refused_as_busy(void **state)
{
    (void)state;
    static struct station a;
    init_station(&a);
    struct stead_transport_options options = options_of(&a, 1, "tcp://127.0.0.1:0");
    options.connections_max = 1;
    start_with(&a, &options);
    void *one = open_greeted_client(&a), *two = open_client(&a);
    greet(two, 0);
    assert_receives(two, STEAD_ANSWER, STEAD_EBUSY);
    greet(one, 0); /* a new HELLO on an old connection takes its place */
    assert_receives(one, STEAD_WELCOME, 0);
    close_client(one);
    close_client(two);
}

/* ---- Bad input ------------------------------------------------------------------------------ */

static void test_garbage_frames_are_answered_with_what_is_wrong(void **state)
{
    (void)state;
    static struct station a;
    open_station(&a, 1);
    void *client = open_client(&a);
    zmq_send(client, "GET / HTTP/1.1", 14, 0);
    assert_receives(client, STEAD_ANSWER, STEAD_EVERSION);
    zmq_send(client, "\x01\x00\x01\x00\xff\xff\xff\xff", 8, 0);
    assert_receives(client, STEAD_ANSWER, STEAD_EPROTOCOL);
    zmq_send(client, "", 0, 0);
    assert_receives(client, STEAD_ANSWER, STEAD_EPROTOCOL);
    zmq_send(client, "a", 1, ZMQ_SNDMORE);
    zmq_send(client, "b", 1, 0);
    assert_receives(client, STEAD_ANSWER, STEAD_EPROTOCOL);
    greet(client, 0);
    assert_receives(client, STEAD_WELCOME, 0);
    close_client(client);
}

static void test_refused_request_is_answered_with_its_number(void **state)
{
    (void)state;
    static struct station a;
    open_station(&a, 1);
    void *client = open_greeted_client(&a);
    struct stead_message *m = call(3, 1);
    m->slot.v ^= 1;
    client_send(client, m);
    struct stead_message *answer = client_receive(client);
    assert_int_equal(answer->status, STEAD_EPROTOCOL);
    assert_int_equal(answer->id.v[0], 3);
    assert_int_equal(answer->session.number, 3);
    stead_message_destroy(&answer);
    close_client(client);
}

static void test_random_frames_from_a_peer_harm_nobody(void **state)
{
    (void)state;
    static struct station a;
    struct stead_rng rng;
    uint8_t frame[512];
    uint32_t golden = (uint32_t)strlen(GOLDEN_FRAME) / 2;
    assert_true(golden <= sizeof frame);
    open_station(&a, 1);
    void *client = open_greeted_client(&a);
    stead_rng_seed(&rng, 7);
    for (int i = 0; i < 2000; i++) {
        assert_int_equal(stead_unhex(GOLDEN_FRAME, golden * 2, frame, golden), 0);
        for (uint64_t changes = stead_rng_below(&rng, 6); changes > 0; changes--)
            frame[stead_rng_below(&rng, golden)] = (uint8_t)stead_rng_next(&rng);
        zmq_send(client, frame, golden - stead_rng_below(&rng, 2) * stead_rng_below(&rng, golden), ZMQ_DONTWAIT);
        if (i % 64 == 0)
            turn(&a, 0);
    }
    pump_for_ms(20);
    void *other = open_greeted_client(&a);
    close_client(other);
    close_client(client);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_client_call_is_routed_and_answered),
        CASE(test_client_route_is_ours_whatever_it_claims),
        CASE(test_client_without_hello_is_asked_for_it),
        CASE(test_client_that_says_what_only_nodes_say_is_refused),
        CASE(test_client_with_an_old_table_is_given_the_new_one_once),
        CASE(test_client_that_does_not_read_holds_up_nobody_and_loses_nothing),
        CASE(test_answer_to_a_connection_that_is_gone_is_dropped_and_counted),
        CASE(test_tick_forgets_silent_clients_that_are_gone_and_keeps_the_others),
        CASE(test_connections_over_the_limit_are_refused_as_busy),
        CASE(test_garbage_frames_are_answered_with_what_is_wrong),
        CASE(test_refused_request_is_answered_with_its_number),
        CASE(test_random_frames_from_a_peer_harm_nobody),
    };
    return cmocka_run_group_tests_name("transport_clients", tests, NULL, NULL);
}
