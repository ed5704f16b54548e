/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport: the life, the loop and the answers of a reactor's network. (router.c reads what comes in, greeting.c
 * answers HELLOs, peer.c goes out.)
 *
 * Latency is spent in system calls, so there are few: the ROUTER is read until it says EAGAIN (one poll of its
 * mailbox), whole frames are sent once a turn, and ZMQ_EVENTS is read once after the sends of a turn. That last read is
 * what the edge-triggered ZMQ_FD asks for: a send may take the wake-up of a message that arrives at the same moment out
 * of the descriptor, and a loop that then sleeps sleeps on a message.
 *
 * A ROUTER does not say when a connection ends. So a client that was silent for a while is sent a frame of no records;
 * where the connection is gone ROUTER_MANDATORY reports it. Nothing else is kept for a connection than its entry and
 * its queue.
 *
 * Invariants: T1 what reaches events.message was accepted by the decoder, and of a client by stead_codec_client_check()
 * too. T2 `route` of a client's record is this reactor's, whatever it claimed. T3 no call blocks. T4 the queue of one
 * peer is at most queue_bytes_max, or one record; nobody waits for another's. T5 flush() never says "sleep" with an
 * unread event on a socket it has sent on.
 */
#include "net/transport.h"

#include <errno.h>
#include <stdlib.h>
#include <zmq.h>

#include "net/transport_internal.h"
#include "runtime/base.h"
#include "runtime/doors.h"

#define PAYLOAD_BYTES_MAX (1024u * 1024u)
#define QUEUE_BYTES_MAX (64u * 1024u * 1024u)
#define CONNECTIONS_MAX 65536u
#define POLL_FRAMES_MAX 256u
#define SILENT_MS_MAX 60000u
#define SWEEP_PLACES_MAX 4096u /* connections looked at in one tick */
#define POLL_ALL_PEERS_EVERY 64u
#define BLOCKED_SLEEP_MS 2
#define MOAN_NS 1000000000ull
#define NS_PER_MS 1000000ull

/* ZeroMQ's own limits, in its units. */
#define PIPE_FRAMES_MAX 256 /* frames in a pipe: what more there is waits in a lane, counted in bytes */
#define HANDSHAKE_MS 5000   /* a connection that does not speak ZMTP by then is closed */
#define KEEPALIVE_S 10      /* TCP asks a silent peer after so long whether its machine is there */
#define KEEPALIVE_EVERY_S 5
#define KEEPALIVE_COUNT 3
#define BACKLOG 1024

static bool set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

bool stead_transport_socket_setup(void *socket)
{
    int64_t size_max = STEAD_FRAME_SIZE_MAX;
    return set_int(socket, ZMQ_LINGER, 0) && set_int(socket, ZMQ_SNDHWM, PIPE_FRAMES_MAX) &&
           set_int(socket, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS) && set_int(socket, ZMQ_TCP_KEEPALIVE, 1) &&
           set_int(socket, ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_S) &&
           set_int(socket, ZMQ_TCP_KEEPALIVE_INTVL, KEEPALIVE_EVERY_S) &&
           set_int(socket, ZMQ_TCP_KEEPALIVE_CNT, KEEPALIVE_COUNT) &&
           zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &size_max, sizeof size_max) == 0;
}

void stead_transport_trace(struct stead_transport *t, int level, bool limited, const char *format, ...)
{
    if (limited && t->now_ns < t->next_moan_ns)
        return;
    if (limited)
        t->next_moan_ns = t->now_ns + MOAN_NS;
    char line[512];
    va_list args;
    va_start(args, format);
    stead_format_v(line, sizeof line, format, args);
    va_end(args);
    t->options.events.trace(t->options.events.self, level, line);
}

/* ---- Life ----------------------------------------------------------------------------------- */

static void explain(char *ret_why, const char *what, const char *endpoint)
{
    if (ret_why != NULL)
        stead_format(ret_why, 256, "%s: %s: %s", endpoint, what, zmq_strerror(errno));
}

/* Checks the endpoint and writes it as zmq_bind() wants it. */
static int check_endpoint(const struct stead_transport_options *options, char *ret_bind, size_t size, bool *ret_ipv6,
                          char *ret_why)
{
    struct stead_endpoint e;
    const char *why = "";
    int code = stead_endpoint_parse(options->endpoint, &e);
    if (code != 0)
        why = "an endpoint has the form tcp://127.0.0.1:7400";
    else if (!e.loopback && !options->insecure_listen_anywhere) {
        code = STEAD_EUNAUTHORISED;
        why = "refuses to listen beyond loopback: links are neither authenticated nor encrypted yet";
    }
    if (code != 0) {
        if (ret_why != NULL)
            stead_format(ret_why, 256, "%s: %s", options->endpoint, why);
        return code;
    }
    if (e.port == 0)
        stead_format(ret_bind, size, "tcp://%s:*", e.host);
    else
        stead_format(ret_bind, size, "tcp://%s:%u", e.host, (unsigned)e.port);
    *ret_ipv6 = e.ipv6;
    return 0;
}

static int bind_error(int error)
{
    switch (error) {
    case EADDRINUSE:
        return STEAD_EINUSE;
    case EACCES:
        return STEAD_EUNAUTHORISED;
    case EADDRNOTAVAIL:
    case ENODEV:
    case EINVAL:
        return STEAD_EARGUMENT;
    default:
        return STEAD_EIO;
    }
}

/* Makes and binds the ROUTER; on failure the caller destroys what is there. */
static int open_router(struct stead_transport *t, const char *bind_to, bool ipv6, char *ret_why)
{
    size_t fd_size = sizeof t->router_fd, endpoint_size = sizeof t->endpoint;
    t->router = zmq_socket(t->options.context, ZMQ_ROUTER);
    if (t->router == NULL) {
        explain(ret_why, "no socket", t->options.endpoint);
        return STEAD_EIO;
    }
    /* No ZMTP heartbeat: a pipe that can fill must not have one. When a connection breaks whose input waits for room
     * and its heartbeat is then due, libzmq 4.3.4 aborts the process (its issue 4364). Half-open connections are found
     * by TCP's keep-alive, by the time to live in the other side's pings, and by the sweep of silent clients. */
    if (!stead_transport_socket_setup(t->router) || !set_int(t->router, ZMQ_RCVHWM, PIPE_FRAMES_MAX) ||
        !set_int(t->router, ZMQ_ROUTER_MANDATORY, 1) || !set_int(t->router, ZMQ_BACKLOG, BACKLOG) ||
        !set_int(t->router, ZMQ_IPV6, ipv6)) {
        explain(ret_why, "socket options", t->options.endpoint);
        return STEAD_EIO;
    }
    if (zmq_bind(t->router, bind_to) != 0) {
        explain(ret_why, "cannot listen", t->options.endpoint);
        return bind_error(errno);
    }
    if (zmq_getsockopt(t->router, ZMQ_LAST_ENDPOINT, t->endpoint, &endpoint_size) != 0 ||
        zmq_getsockopt(t->router, ZMQ_FD, &t->router_fd, &fd_size) != 0) {
        explain(ret_why, "socket", t->options.endpoint);
        return STEAD_EIO;
    }
    t->options.events.watch(t->options.events.self, t->router_fd, true);
    return 0;
}

static void copy_options(struct stead_transport *t, const struct stead_transport_options *options)
{
    t->options = *options;
    struct stead_transport_options *o = &t->options;
    stead_format(t->node_name, sizeof t->node_name, "%s", options->node_name != NULL ? options->node_name : "");
    o->node_name = t->node_name;
    if (o->payload_bytes_max == 0)
        o->payload_bytes_max = PAYLOAD_BYTES_MAX;
    if (o->queue_bytes_max == 0)
        o->queue_bytes_max = QUEUE_BYTES_MAX;
    if (o->connections_max == 0 || o->connections_max > STEAD_CONNECTIONS_MAX)
        o->connections_max = CONNECTIONS_MAX;
    if (o->poll_frames_max == 0)
        o->poll_frames_max = POLL_FRAMES_MAX;
    if (o->silent_ms_max == 0)
        o->silent_ms_max = SILENT_MS_MAX;
    t->limits.payload_bytes_max = o->payload_bytes_max;
}

int stead_transport_create(const struct stead_transport_options *options, struct stead_transport **ret_transport,
                           char *ret_why)
{
    char bind_to[STEAD_ENDPOINT_MAX + 8];
    bool ipv6;
    int code = check_endpoint(options, bind_to, sizeof bind_to, &ipv6, ret_why);
    if (code != 0)
        return code;
    struct stead_transport *t = stead_alloc_zero(sizeof *t);
    t->router_fd = -1;
    copy_options(t, options);
    code = open_router(t, bind_to, ipv6, ret_why);
    t->options.endpoint = t->endpoint;
    if (code != 0) {
        stead_transport_destroy(&t);
        return code;
    }
    *ret_transport = t;
    return 0;
}

void stead_transport_destroy(struct stead_transport **transport)
{
    struct stead_transport *t = *transport;
    if (t == NULL)
        return;
    stead_peers_deinit(t);
    stead_connections_deinit(&t->connections);
    if (t->router_fd >= 0)
        t->options.events.watch(t->options.events.self, t->router_fd, false);
    if (t->router != NULL)
        zmq_close(t->router);
    free(t->table);
    free(t);
    *transport = NULL;
}

const char *stead_transport_endpoint(const struct stead_transport *transport)
{
    return transport->endpoint;
}

void stead_transport_identify(struct stead_transport *transport, uint32_t node, uint64_t incarnation)
{
    STEAD_ASSERT(node != 0);
    transport->options.node = node;
    transport->options.incarnation = incarnation;
    stead_transport_welcome_waiting(transport);
}

void stead_transport_set_table(struct stead_transport *transport, uint64_t version, struct stead_id cluster,
                               struct stead_slice bytes)
{
    if (version <= transport->table_version)
        return;
    transport->table = stead_realloc(transport->table, bytes.size + 1);
    if (bytes.size > 0)
        memcpy(transport->table, bytes.data, bytes.size);
    transport->table_size = bytes.size;
    transport->table_version = version;
    transport->cluster = cluster;
    stead_transport_welcome_waiting(transport);
    stead_peers_table_changed(transport);
}

/* ---- Out: answers --------------------------------------------------------------------------- */

void stead_transport_drop_connection(struct stead_transport *t, struct stead_connection *c)
{
    if (c->dirty) {
        struct stead_connection **link = &t->dirty_connections;
        while (*link != c)
            link = &(*link)->next_dirty;
        *link = c->next_dirty;
    }
    stead_connections_remove(&t->connections, c);
}

/* Sends what waits for a connection; one that is gone is forgotten. True: it is there, and something still waits. */
static bool flush_connection(struct stead_transport *t, struct stead_connection *c)
{
    int code = stead_lane_flush(&c->lane, t->router, stead_connection_id(c), &t->sent);
    t->router_sent = true;
    if (code == STEAD_ENOTFOUND) {
        t->stats.dropped_gone++;
        stead_connections_remove(&t->connections, c);
    }
    return code == STEAD_EBUSY;
}

static void mark_dirty(struct stead_transport *t, struct stead_connection *c)
{
    if (c->dirty)
        return;
    c->dirty = true;
    c->next_dirty = t->dirty_connections;
    t->dirty_connections = c;
}

void stead_transport_reply(struct stead_transport *t, struct stead_connection *c, const struct stead_message *message)
{
    if (!stead_lane_add(&c->lane, message, t->options.queue_bytes_max)) {
        /* What came of one turn of the loop may be more than it holds. That it is gone is seen when the turn ends. */
        (void)!stead_lane_flush(&c->lane, t->router, stead_connection_id(c), &t->sent);
        t->router_sent = true;
        if (!stead_lane_add(&c->lane, message, t->options.queue_bytes_max)) {
            t->stats.dropped_full++;
            return;
        }
    }
    t->stats.records_out++;
    mark_dirty(t, c);
}

void stead_transport_reply_once(struct stead_transport *t, struct stead_slice id, struct stead_message **message)
{
    struct stead_lane lane = {.first = NULL};
    if (stead_lane_add(&lane, *message, UINT64_MAX) && stead_lane_flush(&lane, t->router, id, &t->sent) == 0)
        t->stats.records_out++;
    else
        t->stats.dropped_gone++;
    t->router_sent = true;
    stead_lane_clear(&lane);
    stead_message_destroy(message);
}

void stead_transport_answer(struct stead_transport *transport, struct stead_message **message)
{
    struct stead_connection *c = stead_connections_at(&transport->connections, (*message)->route.connection);
    if (c == NULL) {
        transport->stats.dropped_gone++;
    } else {
        /* How it found its way is of no use to the client. */
        (*message)->groups &= ~(uint32_t)STEAD_GROUP_ROUTE;
        stead_transport_reply(transport, c, *message);
    }
    stead_message_destroy(message);
}

/* ---- The loop ------------------------------------------------------------------------------- */

void stead_transport_ready(struct stead_transport *transport, int fd)
{
    if (fd < 0 || (uint32_t)fd >= transport->fd_capacity || transport->by_fd[fd] == NULL)
        return; /* the ROUTER's: it is read in every poll */
    struct stead_peer *peer = transport->by_fd[fd];
    if (!peer->ready) {
        peer->ready = true;
        transport->ready_count++;
    }
}

bool stead_transport_poll(struct stead_transport *transport, uint64_t mono_ns)
{
    transport->now_ns = mono_ns;
    bool all = transport->polls++ % POLL_ALL_PEERS_EVERY == 0;
    if (all || transport->ready_count > 0)
        stead_peers_poll(transport, all);
    bool more = stead_transport_take(transport);
    return more || transport->ready_count > 0;
}

static void flush_connections(struct stead_transport *t)
{
    struct stead_connection *c = t->dirty_connections, *next;
    t->dirty_connections = NULL;
    for (; c != NULL; c = next) {
        next = c->next_dirty;
        c->dirty = false;
        if (flush_connection(t, c))
            mark_dirty(t, c);
    }
}

bool stead_transport_flush(struct stead_transport *transport)
{
    struct stead_transport *t = transport;
    bool arrived = t->ready_count > 0;
    if (t->dirty_connections != NULL)
        flush_connections(t);
    if (t->dirty_peers != NULL)
        arrived |= stead_peers_flush(t);
    if (t->router_sent) {
        int events = 0;
        size_t size = sizeof events;
        t->router_sent = false;
        if (zmq_getsockopt(t->router, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLIN))
            arrived = true;
    }
    return arrived;
}

int stead_transport_sleep_ms(const struct stead_transport *transport)
{
    return transport->dirty_connections != NULL ? BLOCKED_SLEEP_MS : -1;
}

/* Asks clients that were silent whether they are there; gives back the memory of their frames. */
static void sweep_connections(struct stead_transport *t)
{
    uint64_t silent_ns = t->options.silent_ms_max * NS_PER_MS;
    static const uint8_t keep_alive[STEAD_FRAME_HEADER_SIZE] = {STEAD_FRAME_VERSION};
    for (uint32_t i = 0; i < SWEEP_PLACES_MAX && i < t->connections.place_count; i++) {
        t->sweep_place = (t->sweep_place + 1) % t->connections.place_count;
        struct stead_connection *c = stead_connections_place(&t->connections, t->sweep_place);
        if (c == NULL || c->dirty || t->now_ns - c->heard_ns < silent_ns)
            continue;
        c->heard_ns = t->now_ns;
        stead_lane_clear(&c->lane);
        t->router_sent = true;
        int sent = zmq_send(t->router, c->id, c->id_size, ZMQ_DONTWAIT | ZMQ_SNDMORE);
        if (sent < 0 && errno == EHOSTUNREACH)
            stead_transport_drop_connection(t, c);
        else if (sent >= 0)
            zmq_send(t->router, keep_alive, sizeof keep_alive, ZMQ_DONTWAIT);
    }
}

void stead_transport_tick(struct stead_transport *transport, uint64_t mono_ns)
{
    transport->now_ns = mono_ns;
    sweep_connections(transport);
    stead_peers_tick(transport);
}

const struct stead_transport_stats *stead_transport_stats(struct stead_transport *transport)
{
    struct stead_transport *t = transport;
    t->stats.frames_out = t->sent.frames;
    t->stats.bytes_out = t->sent.bytes;
    t->stats.connections = t->connections.count;
    t->stats.connections_opened = t->connections.generation;
    t->stats.peers_up = 0;
    t->stats.queued_bytes = 0;
    for (uint32_t i = 0; i < t->peer_capacity; i++) {
        if (t->peers[i] == NULL)
            continue;
        t->stats.peers_up += t->peers[i]->state == STEAD_PEER_UP;
        t->stats.queued_bytes += stead_lane_bytes(&t->peers[i]->lane);
    }
    for (struct stead_connection *c = t->dirty_connections; c != NULL; c = c->next_dirty)
        t->stats.queued_bytes += stead_lane_bytes(&c->lane);
    return &t->stats;
}
