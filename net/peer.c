/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer: the outgoing side: one DEALER for each remote reactor that is sent to.
 *
 * A DEALER hides its reconnections, and somebody has to hear of them: what was under way is lost, HELLO must be said
 * again, and what is owed must be sent again. So each has a monitor. States and transitions are drawn in
 * transport_internal.h.
 *
 * A peer that is down costs nothing: its records are dropped at once, since what is durable waits in an outbox anyway
 * and is sent again when the peer is up, and a queue here would only hold a second copy. Only a new peer's first
 * records wait, for a moment, so that a first message to a node is not lost to the making of its connection.
 *
 * Invariants: P1 nothing but HELLO is sent before WELCOME has come. P2 peer_up and peer_down alternate, beginning with
 * up. P3 the peer that is up is the node and reactor it was asked for: another one that listens there now is not spoken
 * to.
 */
#include <stdlib.h>
#include <zmq.h>

#include "net/transport_internal.h"
#include "runtime/base.h"
#include "runtime/doors.h"

#define FIRST_CAPACITY 16u /* peers, before the table grows */
#define FRAMES_MAX 64u     /* taken from one peer in one poll */
#define RECONNECT_MS 20    /* first and longest wait between two attempts */
#define RECONNECT_MS_MAX 500
#define CONNECT_TIMEOUT_MS 2000
#define HEARTBEAT_MS 2000 /* ZMTP's own pings find half-open connections */
#define HEARTBEAT_TIMEOUT_MS 6000

/* ---- The table of peers --------------------------------------------------------------------- */

static uint32_t hash_of(uint32_t node, uint16_t reactor)
{
    return (node * 64u + reactor) * 2654435761u >> 8;
}

/* The entry of this peer, or the empty one where it belongs. */
static struct stead_peer **entry_of(struct stead_peer **peers, uint32_t capacity, uint32_t node, uint16_t reactor)
{
    uint32_t at = hash_of(node, reactor) & (capacity - 1);
    while (peers[at] != NULL && (peers[at]->node != node || peers[at]->reactor != reactor))
        at = (at + 1) & (capacity - 1);
    return &peers[at];
}

static void grow(struct stead_transport *t)
{
    uint32_t capacity = t->peer_capacity > 0 ? t->peer_capacity * 2 : FIRST_CAPACITY;
    struct stead_peer **peers = stead_alloc_zero(capacity * sizeof(struct stead_peer *));
    for (uint32_t i = 0; i < t->peer_capacity; i++)
        if (t->peers[i] != NULL)
            *entry_of(peers, capacity, t->peers[i]->node, t->peers[i]->reactor) = t->peers[i];
    free(t->peers);
    t->peers = peers;
    t->peer_capacity = capacity;
}

struct stead_peer *stead_peer_get(struct stead_transport *t, uint32_t node, uint16_t reactor)
{
    if (t->peer_count * 2 >= t->peer_capacity)
        grow(t);
    struct stead_peer **entry = entry_of(t->peers, t->peer_capacity, node, reactor);
    if (*entry == NULL) {
        struct stead_peer *peer = stead_alloc_zero(sizeof *peer);
        peer->node = node;
        peer->reactor = reactor;
        peer->state = STEAD_PEER_CLOSED;
        peer->dealer_fd = peer->monitor_fd = -1;
        *entry = peer;
        t->peer_count++;
    }
    return *entry;
}

/* ---- Sockets -------------------------------------------------------------------------------- */

static void watch(struct stead_transport *t, struct stead_peer *peer, int fd)
{
    if ((uint32_t)fd >= t->fd_capacity) {
        uint32_t capacity = (uint32_t)fd + 64u;
        t->by_fd = stead_realloc(t->by_fd, capacity * sizeof(struct stead_peer *));
        memset(t->by_fd + t->fd_capacity, 0, (capacity - t->fd_capacity) * sizeof(struct stead_peer *));
        t->fd_capacity = capacity;
    }
    t->by_fd[fd] = peer;
    t->options.events.watch(t->options.events.self, fd, true);
}

static void unwatch(struct stead_transport *t, int *fd)
{
    if (*fd < 0)
        return;
    t->options.events.watch(t->options.events.self, *fd, false);
    t->by_fd[*fd] = NULL;
    *fd = -1;
}

static void mark_ready(struct stead_transport *t, struct stead_peer *peer)
{
    if (!peer->ready)
        t->ready_count++;
    peer->ready = true;
}

static void clear_ready(struct stead_transport *t, struct stead_peer *peer)
{
    if (peer->ready)
        t->ready_count--;
    peer->ready = false;
}

static void close_peer(struct stead_transport *t, struct stead_peer *peer)
{
    unwatch(t, &peer->dealer_fd);
    unwatch(t, &peer->monitor_fd);
    if (peer->dealer != NULL) {
        zmq_socket_monitor(peer->dealer, NULL, 0);
        zmq_close(peer->dealer);
    }
    if (peer->monitor != NULL)
        zmq_close(peer->monitor);
    peer->dealer = peer->monitor = NULL;
    clear_ready(t, peer);
    stead_lane_clear(&peer->lane);
    peer->state = STEAD_PEER_CLOSED;
}

static bool set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

/* The monitor is heard of through an inproc endpoint, whose name is never used again: ZeroMQ gives up the old one in
 * its own time. */
static bool open_monitor(struct stead_transport *t, struct stead_peer *peer)
{
    char endpoint[64];
    size_t size = sizeof peer->monitor_fd;
    stead_format(endpoint, sizeof endpoint, "inproc://stead-peer-%p-%llu", (void *)t,
                 (unsigned long long)++t->monitors);
    if (zmq_socket_monitor(peer->dealer, endpoint, ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED) != 0)
        return false;
    peer->monitor = zmq_socket(t->options.context, ZMQ_PAIR);
    return peer->monitor != NULL && set_int(peer->monitor, ZMQ_LINGER, 0) &&
           zmq_connect(peer->monitor, endpoint) == 0 &&
           zmq_getsockopt(peer->monitor, ZMQ_FD, &peer->monitor_fd, &size) == 0;
}

static bool open_dealer(struct stead_transport *t, struct stead_peer *peer)
{
    size_t size = sizeof peer->dealer_fd;
    struct stead_endpoint e;
    peer->dealer = zmq_socket(t->options.context, ZMQ_DEALER);
    return stead_endpoint_parse(peer->endpoint, &e) == 0 && peer->dealer != NULL &&
           stead_transport_socket_setup(peer->dealer) && set_int(peer->dealer, ZMQ_IMMEDIATE, 1) &&
           /* Only the handshake comes back, so the pipe needs no limit; and one that cannot fill may have a heartbeat
            * (transport.c says why). */
           set_int(peer->dealer, ZMQ_RCVHWM, 0) && set_int(peer->dealer, ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS) &&
           set_int(peer->dealer, ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS) &&
           set_int(peer->dealer, ZMQ_HEARTBEAT_TTL, HEARTBEAT_TIMEOUT_MS) &&
           set_int(peer->dealer, ZMQ_RECONNECT_IVL, RECONNECT_MS) &&
           set_int(peer->dealer, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MS_MAX) &&
           set_int(peer->dealer, ZMQ_CONNECT_TIMEOUT, CONNECT_TIMEOUT_MS) && set_int(peer->dealer, ZMQ_IPV6, e.ipv6) &&
           open_monitor(t, peer) && zmq_connect(peer->dealer, peer->endpoint) == 0 &&
           zmq_getsockopt(peer->dealer, ZMQ_FD, &peer->dealer_fd, &size) == 0;
}

/* Connects a closed peer, if it is known where it listens. */
static void open_peer(struct stead_transport *t, struct stead_peer *peer)
{
    const char *endpoint = t->options.events.endpoint(t->options.events.self, peer->node, peer->reactor);
    if (endpoint == NULL)
        return;
    stead_format(peer->endpoint, sizeof peer->endpoint, "%s", endpoint);
    if (!open_dealer(t, peer)) {
        stead_transport_trace(t, STEAD_TRACE_ERROR, true, "event=peer_open_failed node=%u endpoint=%s error=\"%s\"",
                              peer->node, peer->endpoint, zmq_strerror(zmq_errno()));
        /* Not watched yet. */
        peer->dealer_fd = peer->monitor_fd = -1;
        close_peer(t, peer);
        return;
    }
    watch(t, peer, peer->dealer_fd);
    watch(t, peer, peer->monitor_fd);
    peer->state = STEAD_PEER_OPENING;
    peer->since_ns = t->now_ns;
}

/* ---- States --------------------------------------------------------------------------------- */

static void go_down(struct stead_transport *t, struct stead_peer *peer)
{
    bool was_up = peer->state == STEAD_PEER_UP;
    stead_lane_clear(&peer->lane);
    peer->state = STEAD_PEER_DOWN;
    peer->since_ns = t->now_ns;
    if (!was_up)
        return;
    stead_transport_trace(t, STEAD_TRACE_INFO, false, "event=peer_down node=%u reactor=%u", peer->node,
                          (unsigned)peer->reactor);
    t->options.events.peer_down(t->options.events.self, peer->node, peer->reactor);
}

/* True when the DEALER has a connection: with ZMQ_IMMEDIATE nothing else makes it writable. Reading its events also
 * attaches a connection of which only the monitor has told yet. */
static bool is_connected(const struct stead_peer *peer)
{
    int events = 0;
    size_t size = sizeof events;
    return zmq_getsockopt(peer->dealer, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLOUT);
}

/* Says HELLO past the lane, where others may be waiting for its answer. */
static void say_hello(struct stead_transport *t, struct stead_peer *peer)
{
    if (!stead_transport_named(t) || !is_connected(peer))
        return;
    struct stead_hello hello = {.is_node = true,
                                .node = t->options.node,
                                .incarnation = t->options.incarnation,
                                .reactor = t->options.reactor,
                                .table_version = t->table_version,
                                .cluster = t->cluster};
    memcpy(hello.name, t->node_name, sizeof hello.name);
    struct stead_message *m = stead_hello_make(&hello);
    struct stead_lane lane = {.first = NULL};
    bool said = stead_lane_add(&lane, m, UINT64_MAX) &&
                stead_lane_flush(&lane, peer->dealer, (struct stead_slice){NULL, 0}, &t->sent) == 0;
    /* The send may have taken a wake-up out of the descriptor. */
    mark_ready(t, peer);
    if (said) {
        peer->since_ns = t->now_ns;
        t->stats.records_out++;
    }
    stead_lane_clear(&lane);
    stead_message_destroy(&m);
}

static void mark_dirty(struct stead_transport *t, struct stead_peer *peer)
{
    if (peer->dirty)
        return;
    peer->dirty = true;
    peer->next_dirty = t->dirty_peers;
    t->dirty_peers = peer;
}

/* To GREETING, from any state: what was sent on an earlier connection is lost. */
static void go_greeting(struct stead_transport *t, struct stead_peer *peer)
{
    if (peer->state == STEAD_PEER_UP)
        go_down(t, peer);
    peer->state = STEAD_PEER_GREETING;
    peer->since_ns = 0;
    say_hello(t, peer);
}

static void take_welcome(struct stead_transport *t, struct stead_peer *peer, const struct stead_message *m)
{
    struct stead_welcome w;
    if (peer->state != STEAD_PEER_GREETING || stead_welcome_read(m, &w) != 0)
        return;
    if (w.node != peer->node || w.reactor != peer->reactor) {
        stead_transport_trace(t, STEAD_TRACE_WARN, true, "event=peer_is_another node=%u found=%u endpoint=%s",
                              peer->node, w.node, peer->endpoint);
        go_down(t, peer);
        return;
    }
    peer->state = STEAD_PEER_UP;
    mark_dirty(t, peer);
    stead_transport_trace(t, STEAD_TRACE_INFO, false, "event=peer_up node=%u reactor=%u incarnation=%llu", peer->node,
                          (unsigned)peer->reactor, (unsigned long long)w.incarnation);
    if (w.table.size > 0)
        t->options.events.table(t->options.events.self, w.table);
    t->options.events.peer_up(t->options.events.self, peer->node, w.incarnation, peer->reactor);
}

/* ---- In ------------------------------------------------------------------------------------- */

static void take_record(struct stead_transport *t, struct stead_peer *peer, struct stead_slice record)
{
    struct stead_message *m;
    t->stats.records_in++;
    if (stead_codec_decode(record, &t->limits, &m, NULL) != 0) {
        t->stats.records_refused++;
        return;
    }
    if (m->type == STEAD_WELCOME)
        take_welcome(t, peer, m);
    else if (m->type == STEAD_HELLO)
        go_greeting(t, peer); /* it does not know this connection */
    else if (m->type == STEAD_TABLE)
        t->options.events.table(t->options.events.self, stead_message_payload(m));
    else if (m->type == STEAD_ANSWER && peer->state == STEAD_PEER_GREETING) {
        stead_transport_trace(t, STEAD_TRACE_WARN, true, "event=hello_refused_by_peer node=%u code=%s", peer->node,
                              stead_error_name(m->status));
        go_down(t, peer);
    }
    stead_message_destroy(&m);
}

static void take_frames(struct stead_transport *t, struct stead_peer *peer)
{
    zmq_msg_t message;
    uint32_t taken = 0;
    zmq_msg_init(&message);
    for (; taken < FRAMES_MAX && zmq_msg_recv(&message, peer->dealer, ZMQ_DONTWAIT) >= 0; taken++) {
        struct stead_frame frame;
        struct stead_slice record, bytes = {zmq_msg_data(&message), zmq_msg_size(&message)};
        t->stats.frames_in++;
        t->stats.bytes_in += bytes.size;
        if (zmq_msg_more(&message) || stead_frame_open(bytes, &frame) != 0) {
            t->stats.records_refused++;
            continue;
        }
        while (stead_frame_next(&frame, &record))
            take_record(t, peer, record);
    }
    zmq_msg_close(&message);
    if (taken == FRAMES_MAX)
        mark_ready(t, peer);
}

/* An event is two parts: u16 event, u32 value; then the address. */
static void take_monitor_events(struct stead_transport *t, struct stead_peer *peer)
{
    zmq_msg_t part;
    uint32_t taken = 0;
    zmq_msg_init(&part);
    for (; taken < FRAMES_MAX && zmq_msg_recv(&part, peer->monitor, ZMQ_DONTWAIT) >= 0; taken++) {
        uint16_t event = zmq_msg_size(&part) >= sizeof event ? stead_load16(zmq_msg_data(&part)) : 0;
        while (zmq_msg_more(&part) && zmq_msg_recv(&part, peer->monitor, ZMQ_DONTWAIT) >= 0)
            ;
        if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
            go_greeting(t, peer);
        else if (event == ZMQ_EVENT_DISCONNECTED && peer->state != STEAD_PEER_OPENING)
            go_down(t, peer);
    }
    zmq_msg_close(&part);
    if (taken == FRAMES_MAX)
        mark_ready(t, peer);
}

static void poll_peer(struct stead_transport *t, struct stead_peer *peer)
{
    clear_ready(t, peer);
    if (peer->state == STEAD_PEER_CLOSED)
        return;
    take_monitor_events(t, peer);
    take_frames(t, peer);
    if (peer->state == STEAD_PEER_GREETING && peer->since_ns == 0)
        say_hello(t, peer);
}

void stead_peers_poll(struct stead_transport *t, bool all)
{
    for (uint32_t i = 0; i < t->peer_capacity && (all || t->ready_count > 0); i++)
        if (t->peers[i] != NULL && (all || t->peers[i]->ready))
            poll_peer(t, t->peers[i]);
}

/* ---- Out ------------------------------------------------------------------------------------ */

/* A full lane is flushed first: what came of one turn of the loop may be more than it holds. */
static bool add_record(struct stead_transport *t, struct stead_peer *peer, const struct stead_message *message)
{
    if (stead_lane_add(&peer->lane, message, t->options.queue_bytes_max))
        return true;
    if (peer->state != STEAD_PEER_UP)
        return false;
    (void)!stead_lane_flush(&peer->lane, peer->dealer, (struct stead_slice){NULL, 0}, &t->sent);
    return stead_lane_add(&peer->lane, message, t->options.queue_bytes_max);
}

void stead_transport_send(struct stead_transport *transport, uint32_t node, uint16_t reactor,
                          struct stead_message **message)
{
    struct stead_transport *t = transport;
    struct stead_peer *peer = stead_peer_get(t, node, reactor);
    if (peer->state == STEAD_PEER_CLOSED)
        open_peer(t, peer);
    if (peer->state == STEAD_PEER_CLOSED || peer->state == STEAD_PEER_DOWN) {
        t->stats.dropped_gone++;
    } else if (!add_record(t, peer, *message)) {
        t->stats.dropped_full++;
    } else {
        t->stats.records_out++;
        mark_dirty(t, peer);
    }
    stead_message_destroy(message);
}

/* Sends what waits for a peer that is up. True when the loop must not sleep: the events that are read after the sends,
 * as the edge-triggered descriptor asks for, may hold an arrival, or the room that a full pipe was waiting for. */
static bool flush_peer(struct stead_transport *t, struct stead_peer *peer)
{
    int events = 0;
    size_t size = sizeof events;
    bool waits = stead_lane_flush(&peer->lane, peer->dealer, (struct stead_slice){NULL, 0}, &t->sent) != 0;
    if (waits)
        mark_dirty(t, peer);
    if (zmq_getsockopt(peer->dealer, ZMQ_EVENTS, &events, &size) != 0)
        return false;
    if (events & ZMQ_POLLIN)
        mark_ready(t, peer);
    return (events & ZMQ_POLLIN) || (waits && (events & ZMQ_POLLOUT));
}

bool stead_peers_flush(struct stead_transport *t)
{
    struct stead_peer *peer = t->dirty_peers, *next;
    bool again = false;
    t->dirty_peers = NULL;
    for (; peer != NULL; peer = next) {
        next = peer->next_dirty;
        peer->dirty = false;
        /* Others become dirty again when they are up. */
        if (peer->state == STEAD_PEER_UP)
            again |= flush_peer(t, peer);
    }
    return again;
}

void stead_peers_tick(struct stead_transport *t)
{
    for (uint32_t i = 0; i < t->peer_capacity; i++) {
        struct stead_peer *peer = t->peers[i];
        if (peer == NULL)
            continue;
        poll_peer(t, peer);
        uint64_t waited_ns = t->now_ns - peer->since_ns;
        if (peer->state == STEAD_PEER_OPENING && waited_ns >= STEAD_PEER_PATIENCE_NS)
            go_down(t, peer);
        else if (peer->state == STEAD_PEER_GREETING && waited_ns >= STEAD_PEER_HELLO_NS)
            say_hello(t, peer);
        else if (peer->state == STEAD_PEER_DOWN && waited_ns >= STEAD_PEER_HELLO_NS && is_connected(peer))
            go_greeting(t, peer); /* it was refused, or another listened there: that may have changed */
    }
}

void stead_peers_table_changed(struct stead_transport *t)
{
    for (uint32_t i = 0; i < t->peer_capacity; i++) {
        struct stead_peer *peer = t->peers[i];
        if (peer == NULL || peer->state == STEAD_PEER_CLOSED)
            continue;
        const char *endpoint = t->options.events.endpoint(t->options.events.self, peer->node, peer->reactor);
        if (endpoint != NULL && strcmp(endpoint, peer->endpoint) == 0)
            continue;
        go_down(t, peer);
        close_peer(t, peer);
        if (endpoint != NULL)
            open_peer(t, peer);
    }
}

void stead_peers_deinit(struct stead_transport *t)
{
    for (uint32_t i = 0; i < t->peer_capacity; i++) {
        if (t->peers[i] == NULL)
            continue;
        close_peer(t, t->peers[i]);
        free(t->peers[i]);
    }
    free(t->peers);
    free(t->by_fd);
}
