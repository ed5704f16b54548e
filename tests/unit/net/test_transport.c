/* SPDX-License-Identifier: Apache-2.0 */
/* Transports that talk to each other: the handshake, order, bounds, breaks and moves; and what may be listened on. */
#include "unit/net/station.h"

/* ---- Between nodes -------------------------------------------------------------------------- */

static void two_nodes(struct station *a, struct station *b)
{
    open_station(a, 1);
    open_station(b, 2);
    a->endpoints[2] = stead_transport_endpoint(b->transport);
    b->endpoints[1] = stead_transport_endpoint(a->transport);
}

static void test_send_to_new_peer_arrives_after_the_handshake(void **state)
{
    (void)state;
    static struct station a, b;
    two_nodes(&a, &b);
    send_tell(&a, 2, "x/1");
    assert_true(pump_until(&b.received, 1));
    assert_string_equal(b.first->address, "x/1");
    assert_true(b.first->received_ns > 0);
    assert_int_equal(a.ups, 1);
    assert_int_equal(a.up_node, 2);
    assert_int_equal(a.up_incarnation, 102);
    assert_int_equal(a.tables, 1);
    assert_int_equal(b.ups, 0); /* its own way to a is not opened by this */
}

static void test_send_many_arrives_in_order_in_few_frames(void **state)
{
    (void)state;
    static struct station a, b;
    char address[32];
    two_nodes(&a, &b);
    send_tell(&a, 2, "x/first");
    assert_true(pump_until(&b.received, 1));
    uint64_t frames = stead_transport_stats(a.transport)->frames_out;
    for (unsigned i = 0; i < 1000; i++) {
        stead_format(address, sizeof address, "x/%u", i);
        send_tell(&a, 2, address);
    }
    assert_true(pump_until(&b.received, 1001));
    struct stead_message *m = b.first->next;
    for (unsigned i = 0; i < 1000; i++, m = m->next) {
        stead_format(address, sizeof address, "x/%u", i);
        assert_string_equal(m->address, address);
    }
    assert_int_equal(stead_transport_stats(a.transport)->frames_out - frames, 16);
}

/* More frames than ZeroMQ's pipe and the socket buffers hold: the rest waits in the lane and is woken when there is
 * room. */
static void test_send_more_than_the_pipe_holds_arrives_whole_and_in_order(void **state)
{
    (void)state;
    static struct station a, b;
    static uint8_t payload[1024] = {0xc5, (1024 - 3) >> 8, (1024 - 3) & 0xff};
    char address[32];
    two_nodes(&a, &b);
    for (unsigned i = 0; i < 50000; i++) {
        stead_format(address, sizeof address, "x/%u", i);
        struct stead_message *m = tell(address, (struct stead_slice){payload, sizeof payload});
        stead_transport_send(a.transport, 2, 0, &m);
    }
    assert_true(pump_until(&b.received, 50000));
    struct stead_message *m = b.first;
    for (unsigned i = 0; i < 50000; i++, m = m->next) {
        stead_format(address, sizeof address, "x/%u", i);
        assert_string_equal(m->address, address);
    }
    assert_int_equal(stead_transport_stats(a.transport)->queued_bytes, 0);
}

static void test_send_large_record_goes_alone_and_arrives(void **state)
{
    (void)state;
    static struct station a, b;
    two_nodes(&a, &b);
    uint32_t size = 700000;
    uint8_t *big = calloc(1, size);
    big[0] = 0xc6;
    big[2] = (uint8_t)((size - 5) >> 16), big[3] = (uint8_t)((size - 5) >> 8 & 0xff),
    big[4] = (uint8_t)((size - 5) & 0xff);
    send_tell(&a, 2, "x/before");
    struct stead_message *m = tell("x/big", (struct stead_slice){big, size});
    stead_transport_send(a.transport, 2, 0, &m);
    send_tell(&a, 2, "x/after");
    assert_true(pump_until(&b.received, 3));
    assert_int_equal(b.first->next->payload_size, size);
    assert_memory_equal(b.first->next->payload, big, size);
    assert_string_equal(b.first->next->next->address, "x/after");
    free(big);
}

static void test_send_to_unknown_node_is_dropped_and_counted(void **state)
{
    (void)state;
    static struct station a;
    open_station(&a, 1);
    send_tell(&a, 5, "x/1");
    assert_int_equal(stead_transport_stats(a.transport)->dropped_gone, 1);
}

static void test_queue_over_its_bound_drops_and_counts(void **state)
{
    (void)state;
    static struct station a, b;
    init_station(&a);
    struct stead_transport_options options = options_of(&a, 1, "tcp://127.0.0.1:0");
    options.queue_bytes_max = 1000;
    start_with(&a, &options);
    open_station(&b, 2);
    a.endpoints[2] = stead_transport_endpoint(b.transport);
    for (unsigned i = 0; i < 100; i++)
        send_tell(&a, 2, "x/1");
    const struct stead_transport_stats *stats = stead_transport_stats(a.transport);
    assert_true(stats->queued_bytes <= 1000);
    assert_int_equal(stats->dropped_full + stats->records_out, 100);
    assert_true(pump_until(&b.received, (uint32_t)stats->records_out));
}

/* What one turn of the loop sends may be more than the queue holds, and one record too, when there is room in the
 * socket. */
static void test_queue_that_is_full_is_sent_before_anything_is_dropped(void **state)
{
    (void)state;
    static struct station a, b;
    init_station(&a);
    struct stead_transport_options options = options_of(&a, 1, "tcp://127.0.0.1:0");
    options.queue_bytes_max = 1000;
    start_with(&a, &options);
    open_station(&b, 2);
    a.endpoints[2] = stead_transport_endpoint(b.transport);
    send_tell(&a, 2, "x/1");
    assert_true(pump_until(&b.received, 1));
    uint8_t big[3000] = {0xc5, (sizeof big - 3) >> 8, (sizeof big - 3) & 0xff};
    struct stead_message *m = tell("x/big", stead_bytes(big, sizeof big));
    stead_transport_send(a.transport, 2, 0, &m);
    for (unsigned i = 0; i < 100; i++)
        send_tell(&a, 2, "x/1");
    assert_int_equal(stead_transport_stats(a.transport)->dropped_full, 0);
    assert_true(stead_transport_stats(a.transport)->queued_bytes <= 1000);
    assert_true(pump_until(&b.received, 102));
}

/* Stops `b` and starts it again where it listened before, as `node`. */
static void restart(struct station *b, uint32_t node, uint64_t incarnation)
{
    char endpoint[STEAD_ENDPOINT_MAX + 1];
    stead_format(endpoint, sizeof endpoint, "%s", stead_transport_endpoint(b->transport));
    stead_transport_destroy(&b->transport);
    pump_for_ms(50);
    struct stead_transport_options options = options_of(b, node, endpoint);
    options.incarnation = incarnation;
    start_with(b, &options);
}

static void test_peer_that_restarts_is_down_then_up_with_its_new_incarnation(void **state)
{
    (void)state;
    static struct station a, b;
    char endpoint[STEAD_ENDPOINT_MAX + 1];
    two_nodes(&a, &b);
    stead_format(endpoint, sizeof endpoint, "%s", stead_transport_endpoint(b.transport));
    a.endpoints[2] = endpoint;
    send_tell(&a, 2, "x/1");
    assert_true(pump_until(&b.received, 1));
    restart(&b, 2, 103);
    assert_true(pump_until(&a.downs, 1));
    assert_true(pump_until(&a.ups, 2));
    assert_int_equal(a.up_incarnation, 103);
    send_tell(&a, 2, "x/2");
    assert_true(pump_until(&b.received, 2));
}

static void test_send_to_peer_that_is_down_is_dropped_at_once(void **state)
{
    (void)state;
    static struct station a, b;
    two_nodes(&a, &b);
    send_tell(&a, 2, "x/1");
    assert_true(pump_until(&b.received, 1));
    a.endpoints[2] = "tcp://127.0.0.1:1"; /* b's text goes with it; the transport holds a copy */
    stead_transport_destroy(&b.transport);
    assert_true(pump_until(&a.downs, 1));
    uint64_t dropped = stead_transport_stats(a.transport)->dropped_gone;
    send_tell(&a, 2, "x/2");
    assert_int_equal(stead_transport_stats(a.transport)->dropped_gone, dropped + 1);
    assert_int_equal(stead_transport_stats(a.transport)->queued_bytes, 0);
}

static void test_peer_that_is_another_node_is_not_spoken_to(void **state)
{
    (void)state;
    static struct station a, b;
    open_station(&a, 1);
    open_station(&b, 3);
    a.endpoints[2] = stead_transport_endpoint(b.transport);
    send_tell(&a, 2, "x/1");
    pump_for_ms(300);
    assert_int_equal(a.ups, 0);
    assert_int_equal(b.received, 0);
}

static void test_peer_of_another_cluster_is_refused(void **state)
{
    (void)state;
    static struct station a, b;
    open_station(&a, 1);
    open_station(&b, 2);
    stead_transport_set_table(b.transport, 2, (struct stead_id){"another"}, stead_bytes("\xc0", 1));
    a.endpoints[2] = stead_transport_endpoint(b.transport);
    send_tell(&a, 2, "x/1");
    pump_for_ms(300);
    assert_int_equal(a.ups, 0);
    assert_int_equal(b.received, 0);
    assert_int_equal(stead_transport_stats(b.transport)->connections, 0);
}

static void test_peer_that_moves_is_connected_to_anew(void **state)
{
    (void)state;
    static struct station a, b, c;
    two_nodes(&a, &b);
    send_tell(&a, 2, "x/1");
    assert_true(pump_until(&b.received, 1));
    open_station(&c, 2);
    a.endpoints[2] = stead_transport_endpoint(c.transport);
    stead_transport_set_table(a.transport, 2, cluster, stead_bytes("\xc0", 1));
    assert_int_equal(a.downs, 1);
    send_tell(&a, 2, "x/2");
    assert_true(pump_until(&c.received, 1));
    assert_int_equal(a.ups, 2);
}

static void test_hello_before_the_node_has_a_name_waits_for_it(void **state)
{
    (void)state;
    static struct station a, b;
    open_station(&a, 1);
    open_station(&b, 0);
    a.endpoints[2] = stead_transport_endpoint(b.transport);
    send_tell(&a, 2, "x/1");
    pump_for_ms(100);
    assert_int_equal(a.ups, 0);
    stead_transport_identify(b.transport, 2, 7);
    assert_true(pump_until(&b.received, 1));
    assert_int_equal(a.up_incarnation, 7);
}

/* ---- Listening ------------------------------------------------------------------------------ */

static int try_listen(const char *endpoint, bool anywhere)
{
    struct station s = {.epoll = epoll_create1(0)};
    struct stead_transport_options options = options_of(&s, 1, endpoint);
    options.insecure_listen_anywhere = anywhere;
    char why[256] = "";
    int code = stead_transport_create(&options, &s.transport, why);
    assert_true(code == 0 || why[0] != 0);
    stead_transport_destroy(&s.transport);
    close(s.epoll);
    return code;
}

static void test_listen_beyond_loopback_is_refused_unless_asked_for(void **state)
{
    (void)state;
    assert_int_equal(try_listen("tcp://127.0.0.1:0", false), 0);
    assert_int_equal(try_listen("tcp://localhost:0", false), 0);
    assert_int_equal(try_listen("tcp://0.0.0.0:0", false), STEAD_EUNAUTHORISED);
    assert_int_equal(try_listen("tcp://*:0", false), STEAD_EUNAUTHORISED);
    assert_int_equal(try_listen("tcp://127.0.0.1.example.org:0", false), STEAD_EUNAUTHORISED);
    assert_int_equal(try_listen("ipc:///x", false), STEAD_EARGUMENT);
}

static void test_listen_on_a_port_in_use_says_so(void **state)
{
    (void)state;
    static struct station a;
    open_station(&a, 1);
    assert_int_equal(try_listen(stead_transport_endpoint(a.transport), false), STEAD_EINUSE);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_send_to_new_peer_arrives_after_the_handshake),
        CASE(test_send_many_arrives_in_order_in_few_frames),
        CASE(test_send_more_than_the_pipe_holds_arrives_whole_and_in_order),
        CASE(test_send_large_record_goes_alone_and_arrives),
        CASE(test_send_to_unknown_node_is_dropped_and_counted),
        CASE(test_queue_over_its_bound_drops_and_counts),
        CASE(test_queue_that_is_full_is_sent_before_anything_is_dropped),
        CASE(test_peer_that_restarts_is_down_then_up_with_its_new_incarnation),
        CASE(test_send_to_peer_that_is_down_is_dropped_at_once),
        CASE(test_peer_that_is_another_node_is_not_spoken_to),
        CASE(test_peer_of_another_cluster_is_refused),
        CASE(test_peer_that_moves_is_connected_to_anew),
        CASE(test_hello_before_the_node_has_a_name_waits_for_it),
        CASE(test_listen_beyond_loopback_is_refused_unless_asked_for),
        CASE(test_listen_on_a_port_in_use_says_so),
    };
    return cmocka_run_group_tests_name("transport", tests, NULL, NULL);
}
