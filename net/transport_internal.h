/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_internal: what transport.c (life, loop, answers), router.c (what comes in), greeting.c (the handshake at
 * the ROUTER) and peer.c (the DEALERs: we go out) share. Nobody else includes it.
 */
#ifndef STEAD_NET_TRANSPORT_INTERNAL_H
#define STEAD_NET_TRANSPORT_INTERNAL_H

#include "net/connections.h"
#include "net/transport.h"

#define STEAD_PEER_PATIENCE_NS 2000000000ull /* a new peer's records wait so long for its connection */
#define STEAD_PEER_HELLO_NS 2000000000ull    /* a HELLO without a WELCOME is said again after this */

/*
 *            endpoint known           connected              WELCOME
 *   CLOSED ----------------> OPENING -----------> GREETING ----------> UP
 *      ^                        |  ^                 |                 |
 *      | endpoint gone          |  +---- connected --|-----+           |
 *      | (from any state)       v                    v     |           |
 *      +----------------------- + ----------------> DOWN <-+-----------+
 *                        patience over     disconnected, or another node answers
 *
 * Records are queued in OPENING, GREETING and UP, dropped in the others. ZeroMQ reconnects by itself in OPENING and
 * DOWN.
 */
enum stead_peer_state {
    STEAD_PEER_CLOSED,   /* no socket */
    STEAD_PEER_OPENING,  /* connecting for the first time, not for long yet */
    STEAD_PEER_GREETING, /* connected; HELLO is said or about to be */
    STEAD_PEER_UP,       /* WELCOME has come */
    STEAD_PEER_DOWN      /* was connected once, or never within its patience */
};

/* One remote reactor that this one sends to. Lives as long as the transport: node ids are few and never reused. */
struct stead_peer {
    uint32_t node;                         /* fixed */
    uint16_t reactor;                      /* fixed */
    enum stead_peer_state state;           /* moved by peer.c alone */
    void *dealer;                          /* ZeroMQ socket, owned; NULL when CLOSED, as the next */
    void *monitor;                         /* PAIR that hears of the dealer's connections, owned */
    int dealer_fd, monitor_fd;             /* watched; -1 when CLOSED */
    char endpoint[STEAD_ENDPOINT_MAX + 1]; /* connected to */
    uint64_t since_ns;                     /* OPENING, DOWN: when it began; GREETING: when HELLO was said, 0: not yet */
    struct stead_lane lane;                /* what waits for it */
    struct stead_peer *next_dirty;         /* with something to send; meaningful while `dirty` */
    bool dirty;                            /* in the transport's list */
    bool ready;                            /* one of its descriptors was readable, or must be looked at again */
};

struct stead_transport {
    struct stead_transport_options options; /* defaults filled in; its texts point into this struct */
    char node_name[STEAD_NODE_NAME_MAX + 1];
    char endpoint[STEAD_ENDPOINT_MAX + 1]; /* bound, with the real port */
    void *router;                          /* ZeroMQ socket, owned */
    int router_fd;                         /* watched */
    uint64_t now_ns;                       /* of the last poll or tick */
    uint64_t polls;                        /* calls of poll: every so often all peers are looked at */
    uint64_t next_moan_ns;                 /* no line about bad records before this */

    struct stead_connections connections;
    struct stead_connection *dirty_connections; /* with something to send, unordered */
    uint32_t sweep_place;                       /* where the next tick goes on looking for silent clients */
    bool router_sent;                           /* since its events were last read: they must be read again */

    struct stead_peer **peers; /* open addressing by (node, reactor), a power of two; owned */
    uint32_t peer_capacity;    /* entries at peers */
    uint32_t peer_count;
    struct stead_peer *dirty_peers; /* with something to send, unordered */
    struct stead_peer **by_fd;      /* descriptor -> its peer; NULL: none */
    uint32_t fd_capacity;           /* entries at by_fd */
    uint32_t ready_count;           /* peers with `ready` */
    uint64_t monitors;              /* made so far: each needs a name of its own */

    uint64_t table_version; /* 0: none yet */
    struct stead_id cluster;
    uint8_t *table; /* encoded; owned */
    size_t table_size;

    struct stead_codec_limits limits;
    struct stead_lane_count sent; /* frames and bytes of all lanes */
    struct stead_transport_stats stats;
};

/* ---- transport.c ---- */
/* Options common to every socket: no lingering, bounded sizes and handshakes, heartbeats. False: ZeroMQ refused one. */
bool stead_transport_socket_setup(void *socket);
/* A line for the node's log; with `limited`, at most one a second. */
void stead_transport_trace(struct stead_transport *t, int level, bool limited, const char *format, ...)
    STEAD_PRINTF(4, 5);
/* Queues a record for a connection. Borrowed. */
void stead_transport_reply(struct stead_transport *t, struct stead_connection *c, const struct stead_message *message);
/* Sends a record at once to a routing id that may have no connection; if ZeroMQ does not take it now, it is lost.
 * Consumed. */
void stead_transport_reply_once(struct stead_transport *t, struct stead_slice id, struct stead_message **message);
/* Forgets a connection. */
void stead_transport_drop_connection(struct stead_transport *t, struct stead_connection *c);

/* ---- router.c ---- */
/* Takes frames until there are no more or enough. True: enough, there may be more. */
bool stead_transport_take(struct stead_transport *t);

/* ---- greeting.c ---- */
/* A HELLO at the ROUTER; `c` is its connection or NULL. Returns the connection it has now, NULL when it was refused. */
struct stead_connection *stead_transport_greet(struct stead_transport *t, struct stead_slice id,
                                               struct stead_connection *c, const struct stead_message *hello);
/* Answers the HELLOs that waited, once this node knows itself and a table. */
void stead_transport_welcome_waiting(struct stead_transport *t);
/* Pushes the table to a client that shows an older one, once a version. */
void stead_transport_push_table(struct stead_transport *t, struct stead_connection *c);
/* True when a HELLO can be said and answered. */
bool stead_transport_named(const struct stead_transport *t);

/* ---- peer.c ---- */
/* Borrowed; made when there is none. */
struct stead_peer *stead_peer_get(struct stead_transport *t, uint32_t node, uint16_t reactor);
/* Reads the peers whose descriptors were readable; all of them with `all`. */
void stead_peers_poll(struct stead_transport *t, bool all);
/* Sends what waits; true when the loop must not sleep. */
bool stead_peers_flush(struct stead_transport *t);
/* Ends the patience with peers that do not answer; says HELLO again to those that are connected. */
void stead_peers_tick(struct stead_transport *t);
/* Connects anew to peers that moved, closes those that are gone. */
void stead_peers_table_changed(struct stead_transport *t);
/* Closes and frees all. */
void stead_peers_deinit(struct stead_transport *t);

#endif
