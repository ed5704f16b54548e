/* SPDX-License-Identifier: Apache-2.0 */
/*
 * station: what the tests of the transport share: reactors' loops in one thread over real sockets on loopback, and
 * clients on raw DEALERs.
 */
#ifndef STEAD_TESTS_UNIT_NET_STATION_H
#define STEAD_TESTS_UNIT_NET_STATION_H

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

static inline uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- Events --------------------------------------------------------------------------------- */

static inline void on_message(void *self, struct stead_message **message)
{
    struct station *s = self;
    (*message)->next = NULL;
    *s->last = *message;
    s->last = &(*message)->next;
    s->received++;
    *message = NULL;
}

static inline void on_peer_up(void *self, uint32_t node, uint64_t incarnation, uint16_t reactor)
{
    struct station *s = self;
    (void)reactor;
    s->ups++;
    s->up_node = node;
    s->up_incarnation = incarnation;
}

static inline void on_peer_down(void *self, uint32_t node, uint16_t reactor)
{
    struct station *s = self;
    (void)node, (void)reactor;
    s->downs++;
}

static inline void on_table(void *self, struct stead_slice bytes)
{
    struct station *s = self;
    assert_true(bytes.size > 0);
    s->tables++;
}

static inline const char *on_endpoint(void *self, uint32_t node, uint16_t reactor)
{
    struct station *s = self;
    return reactor == 0 && node < 8 ? s->endpoints[node] : NULL;
}

static inline void on_watch(void *self, int fd, bool add)
{
    struct station *s = self;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    assert_int_equal(epoll_ctl(s->epoll, add ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, fd, &event), 0);
}

static inline void on_trace(void *self, int level, const char *line)
{
    (void)self, (void)level, (void)line;
}

/* ---- Stations ------------------------------------------------------------------------------- */

static const struct stead_id cluster = {"cluster"};

static inline struct stead_transport_options options_of(struct station *s, uint32_t node, const char *endpoint)
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

static inline void start_with(struct station *s, const struct stead_transport_options *options)
{
    char why[256] = "";
    int code = stead_transport_create(options, &s->transport, why);
    if (code != 0)
        print_error("%s\n", why);
    assert_int_equal(code, 0);
    stead_transport_set_table(s->transport, 1, cluster, stead_bytes("\xc0", 1));
}

static inline void init_station(struct station *s)
{
    *s = (struct station){.epoll = epoll_create1(0)};
    s->last = &s->first;
    stations[station_count++] = s;
}

static inline void open_station(struct station *s, uint32_t node)
{
    init_station(s);
    struct stead_transport_options options = options_of(s, node, "tcp://127.0.0.1:0");
    start_with(s, &options);
}

static inline void drop_received(struct station *s)
{
    while (s->first != NULL) {
        struct stead_message *m = s->first;
        s->first = m->next;
        stead_message_destroy(&m);
    }
    s->last = &s->first;
}

static inline int set_up(void **state)
{
    (void)state;
    context = zmq_ctx_new();
    station_count = 0;
    return 0;
}

static inline void close_client(void *dealer)
{
    for (uint32_t i = 0; i < STATIONS_MAX; i++)
        if (clients[i] == dealer)
            clients[i] = NULL;
    zmq_close(dealer);
}

static inline int tear_down(void **state)
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
static inline void turn(struct station *s, int wait_ms)
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
static inline bool pump_until(const uint32_t *counter, uint32_t wanted)
{
    uint64_t end = now_ns() + WAIT_MS * 1000000ull;
    while (*counter < wanted && now_ns() < end)
        for (uint32_t i = 0; i < station_count; i++)
            turn(stations[i], 1);
    return *counter >= wanted;
}

static inline void pump_for_ms(unsigned ms)
{
    uint64_t end = now_ns() + ms * 1000000ull;
    while (now_ns() < end)
        for (uint32_t i = 0; i < station_count; i++)
            turn(stations[i], 1);
}

static inline struct stead_message *tell(const char *address, struct stead_slice payload)
{
    struct stead_message_parts parts = {
        .address = stead_str(address), .source = stead_str("from/here"), .op = stead_str("op"), .payload = payload};
    struct stead_message *m = stead_message_create(STEAD_TELL, &parts);
    m->slot = stead_address_slot(parts.address, 0);
    m->source_slot = stead_address_slot(parts.source, 0);
    return m;
}

static inline void send_tell(struct station *from, uint32_t node, const char *address)
{
    struct stead_message *m = tell(address, (struct stead_slice){NULL, 0});
    stead_transport_send(from->transport, node, 0, &m);
    assert_null(m);
}

/* ---- A client on a raw DEALER --------------------------------------------------------------- */

static inline void *open_client(const struct station *s)
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

static inline void client_send(void *dealer, struct stead_message *m)
{
    struct stead_frame_builder frame = {.data = NULL};
    assert_true(stead_frame_add(&frame, m));
    assert_true(zmq_send(dealer, frame.data, frame.size, ZMQ_DONTWAIT) >= 0);
    stead_frame_deinit(&frame);
    stead_message_destroy(&m);
}

/* The first record of the next frame; turns the loops while it waits. NULL: none came. */
static inline struct stead_message *client_receive(void *dealer)
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

static inline void assert_receives(void *dealer, uint8_t type, int32_t status)
{
    struct stead_message *m = client_receive(dealer);
    assert_non_null(m);
    assert_int_equal(m->type, type);
    assert_int_equal(m->status, status);
    stead_message_destroy(&m);
}

static inline void greet(void *dealer, uint64_t table_version)
{
    struct stead_hello hello = {.name = "test", .table_version = table_version};
    client_send(dealer, stead_hello_make(&hello));
}

static inline void *open_greeted_client(const struct station *s)
{
    void *dealer = open_client(s);
    greet(dealer, 0);
    assert_receives(dealer, STEAD_WELCOME, 0);
    return dealer;
}

static inline struct stead_message *call(uint8_t number, uint64_t table_version)
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

#endif
