/* SPDX-License-Identifier: Apache-2.0 */
/* Transports that talk over real sockets on loopback, in one thread: the handshake, both directions, breaks, bounds and bad input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <zmq.h>

#include "net/frame.h"
#include "net/transport.h"
#include "runtime/address.h"
#include "runtime/base.h"
#include "unit/net/golden.h"

#define WAIT_MS 5000
#define STATIONS_MAX 4

/* One reactor's loop: a transport, its epoll set, and what it was told. */
struct station {
    struct stead_transport *transport;
    struct stead_message *first, **last; /* received, in order */
    const char *endpoints[8];            /* of nodes, by id; reactor 0 */
    uint32_t received, ups, downs, tables;
    uint32_t up_node;
    uint64_t up_incarnation;
    int epoll;
};

static void *context;
static struct station *stations[STATIONS_MAX];
static uint32_t station_count;
static void *clients[STATIONS_MAX]; /* raw DEALERs; NULL: free. A failed test leaves its own to tear_down(). */

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- Events --------------------------------------------------------------------------------- */

static void on_message(void *self, struct stead_message **message)
{
    struct station *s = self;
    (*message)->next = NULL;
    *s->last = *message;
    s->last = &(*message)->next;
    s->received++;
    *message = NULL;
}

static void on_peer_up(void *self, uint32_t node, uint64_t incarnation, uint16_t reactor)
{
    struct station *s = self;
    (void)reactor;
    s->ups++;
    s->up_node = node;
    s->up_incarnation = incarnation;
}

static void on_peer_down(void *self, uint32_t node, uint16_t reactor)
{
    struct station *s = self;
    (void)node, (void)reactor;
    s->downs++;
}

static void on_table(void *self, struct stead_slice bytes)
{
    struct station *s = self;
    assert_true(bytes.size > 0);
    s->tables++;
}

static const char *on_endpoint(void *self, uint32_t node, uint16_t reactor)
{
    struct station *s = self;
    return reactor == 0 && node < 8 ? s->endpoints[node] : NULL;
}

static void on_watch(void *self, int fd, bool add)
{
    struct station *s = self;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    assert_int_equal(epoll_ctl(s->epoll, add ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, fd, &event), 0);
}

static void on_trace(void *self, int level, const char *line)
{
    (void)self, (void)level, (void)line;
}

/* ---- Stations ------------------------------------------------------------------------------- */

static const struct stead_id cluster = {"cluster"};

static struct stead_transport_options options_of(struct station *s, uint32_t node, const char *endpoint)
{
    return (struct stead_transport_options){.context = context,
                                            .endpoint = endpoint,
                                            .node = node,
                                            .incarnation = 100 + node,
                                            .node_name = "n",
                                            .events = {.self = s,
                                                       .message = on_message,
                                                       .peer_up = on_peer_up,
                                                       .peer_down = on_peer_down,
                                                       .table = on_table,
                                                       .endpoint = on_endpoint,
                                                       .watch = on_watch,
                                                       .trace = on_trace}};
}

static void start_with(struct station *s, const struct stead_transport_options *options)
{
    char why[256] = "";
    int code = stead_transport_create(options, &s->transport, why);
    if (code != 0)
        print_error("%s\n", why);
    assert_int_equal(code, 0);
    stead_transport_set_table(s->transport, 1, cluster, stead_bytes("\xc0", 1));
}

static void init_station(struct station *s)
{
    *s = (struct station){.epoll = epoll_create1(0)};
    s->last = &s->first;
    stations[station_count++] = s;
}

static void open_station(struct station *s, uint32_t node)
{
    init_station(s);
    struct stead_transport_options options = options_of(s, node, "tcp://127.0.0.1:0");
    start_with(s, &options);
}

static void drop_received(struct station *s)
{
    while (s->first != NULL) {
        struct stead_message *m = s->first;
        s->first = m->next;
        stead_message_destroy(&m);
    }
    s->last = &s->first;
}

static int set_up(void **state)
{
    (void)state;
    context = zmq_ctx_new();
    station_count = 0;
    return 0;
}

static void close_client(void *dealer)
{
    for (uint32_t i = 0; i < STATIONS_MAX; i++)
        if (clients[i] == dealer)
            clients[i] = NULL;
    zmq_close(dealer);
}

static int tear_down(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < STATIONS_MAX; i++)
        if (clients[i] != NULL)
            close_client(clients[i]);
    for (uint32_t i = 0; i < station_count; i++) {
        stead_transport_destroy(&stations[i]->transport);
        drop_received(stations[i]);
        close(stations[i]->epoll);
    }
    return zmq_ctx_term(context);
}

/* One turn of a reactor's loop, as transport.h draws it. Sleeps at most `wait_ms`. */
static void turn(struct station *s, int wait_ms)
{
    struct epoll_event events[16];
    if (s->transport == NULL)
        return;
    bool more = stead_transport_flush(s->transport);
    int count = epoll_wait(s->epoll, events, 16, more ? 0 : wait_ms);
    for (int i = 0; i < count; i++)
        stead_transport_ready(s->transport, events[i].data.fd);
    while (stead_transport_poll(s->transport, now_ns()))
        ;
}

/* Turns all loops until `*counter` reaches `wanted`; false when that takes too long. */
static bool pump_until(const uint32_t *counter, uint32_t wanted)
{
    uint64_t end = now_ns() + WAIT_MS * 1000000ull;
    while (*counter < wanted && now_ns() < end)
        for (uint32_t i = 0; i < station_count; i++)
            turn(stations[i], 1);
    return *counter >= wanted;
}

static void pump_for_ms(unsigned ms)
{
    uint64_t end = now_ns() + ms * 1000000ull;
    while (now_ns() < end)
        for (uint32_t i = 0; i < station_count; i++)
            turn(stations[i], 1);
}

static struct stead_message *tell(const char *address, struct stead_slice payload)
{
    struct stead_message_parts parts = {
        .address = stead_str(address), .source = stead_str("from/here"), .op = stead_str("op"), .payload = payload};
    struct stead_message *m = stead_message_create(STEAD_TELL, &parts);
    m->slot = stead_address_slot(parts.address, 0);
    m->source_slot = stead_address_slot(parts.source, 0);
    return m;
}

static void send_tell(struct station *from, uint32_t node, const char *address)
{
    struct stead_message *m = tell(address, (struct stead_slice){NULL, 0});
    stead_transport_send(from->transport, node, 0, &m);
    assert_null(m);
}

/* ---- A client on a raw DEALER --------------------------------------------------------------- */

static void *open_client(const struct station *s)
{
    void *dealer = zmq_socket(context, ZMQ_DEALER);
    int linger = 0, receive_hwm = 4;
    uint32_t at = 0;
    while (clients[at] != NULL)
        at++;
    assert_true(at < STATIONS_MAX);
    clients[at] = dealer;
    zmq_setsockopt(dealer, ZMQ_LINGER, &linger, sizeof linger);
    /* So that a client that does not read has little room for what it does not read. */
    zmq_setsockopt(dealer, ZMQ_RCVHWM, &receive_hwm, sizeof receive_hwm);
    assert_int_equal(zmq_connect(dealer, stead_transport_endpoint(s->transport)), 0);
    return dealer;
}

static void client_send(void *dealer, struct stead_message *m)
{
    struct stead_frame_builder frame = {.data = NULL};
    assert_true(stead_frame_add(&frame, m));
    assert_true(zmq_send(dealer, frame.data, frame.size, ZMQ_DONTWAIT) >= 0);
    stead_frame_deinit(&frame);
    stead_message_destroy(&m);
}

/* The first record of the next frame; turns the loops while it waits. NULL: none came. */
static struct stead_message *client_receive(void *dealer)
{
    static const struct stead_codec_limits limits = {1024};
    uint64_t end = now_ns() + WAIT_MS * 1000000ull;
    static uint8_t bytes[4096];
    struct stead_frame frame;
    struct stead_slice record;
    struct stead_message *m;
    while (now_ns() < end) {
        for (uint32_t i = 0; i < station_count; i++)
            turn(stations[i], 1);
        int size = zmq_recv(dealer, bytes, sizeof bytes, ZMQ_DONTWAIT);
        if (size < 0)
            continue;
        assert_int_equal(stead_frame_open((struct stead_slice){bytes, (size_t)size}, &frame), 0);
        if (!stead_frame_next(&frame, &record))
            continue;
        assert_int_equal(stead_codec_decode(record, &limits, &m, NULL), 0);
        return m;
    }
    return NULL;
}

static void assert_receives(void *dealer, uint8_t type, int32_t status)
{
    struct stead_message *m = client_receive(dealer);
    assert_non_null(m);
    assert_int_equal(m->type, type);
    assert_int_equal(m->status, status);
    stead_message_destroy(&m);
}

static void greet(void *dealer, uint64_t table_version)
{
    struct stead_hello hello = {.name = "test", .table_version = table_version};
    client_send(dealer, stead_hello_make(&hello));
}

static void *open_greeted_client(const struct station *s)
{
    void *dealer = open_client(s);
    greet(dealer, 0);
    assert_receives(dealer, STEAD_WELCOME, 0);
    return dealer;
}

static struct stead_message *call(uint8_t number, uint64_t table_version)
{
    struct stead_message_parts parts = {.address = stead_str("counter/a"), .op = stead_str("add")};
    struct stead_message *m = stead_message_create(STEAD_CALL, &parts);
    m->slot = stead_address_slot(parts.address, 0);
    m->id.v[0] = number;
    m->table_version = table_version;
    m->groups = STEAD_GROUP_SESSION;
    m->session.id = (struct stead_id){"session"};
    m->session.start_ms = 1;
    m->session.number = number;
    m->session.mark = 0;
    return m;
}

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

/* More frames than ZeroMQ's pipe and the socket buffers hold: the rest waits in the lane and is woken when there is room. */
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
        CASE(test_peer_that_restarts_is_down_then_up_with_its_new_incarnation),
        CASE(test_send_to_peer_that_is_down_is_dropped_at_once),
        CASE(test_peer_that_is_another_node_is_not_spoken_to),
        CASE(test_peer_of_another_cluster_is_refused),
        CASE(test_peer_that_moves_is_connected_to_anew),
        CASE(test_hello_before_the_node_has_a_name_waits_for_it),
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
        CASE(test_listen_beyond_loopback_is_refused_unless_asked_for),
        CASE(test_listen_on_a_port_in_use_says_so),
    };
    return cmocka_run_group_tests_name("transport", tests, NULL, NULL);
}
