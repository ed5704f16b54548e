/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport: the network of one reactor, over ZeroMQ.
 *
 * One ROUTER is bound: clients and other nodes' reactors send to it. One DEALER is opened, on demand, for each remote
 * reactor this one sends to; nothing but the handshake comes back on a DEALER. So between two reactors there is one
 * connection a direction, and an answer to a client goes out where its request came in. HELLO and WELCOME are handled
 * here; every other record is handed on, checked.
 *
 * Delivery is at most once, in order within one connection; what is durable is in somebody's outbox and is sent again
 * when stead_transport_events.peer_up says that a connection is there (again).
 *
 * One turn of the reactor's loop:
 *
 *     epoll_wait -> stead_transport_ready(fd)... -> stead_transport_poll() -> host runs, sends, answers -> stead_transport_flush()
 *        ^                                              |   true: do not sleep                                   |
 *        +----------------------------------------------+--------------------------------------------------------+
 *
 * ZMQ_FD is edge-triggered: flush() looks at the sockets again after its sends and says whether the loop may sleep.
 *
 * The contract is what the core sees of it: the doors `send` and `answer` (runtime/doors.h) outwards and
 * stead_transport_events inwards. Its twin in the simulator, tests/sim/sim_net.c, promises the same between the same
 * functions and puts every record through the same codec.
 *
 * Threads: create, use and destroy on the reactor's thread; no threads but the I/O threads of the ZeroMQ context. No
 * function blocks.
 */
#ifndef STEAD_NET_TRANSPORT_H
#define STEAD_NET_TRANSPORT_H

#include "net/codec.h"
#include "net/endpoint.h"
#include "net/hello.h"

struct stead_transport;

/* What the transport tells and asks its reactor. message, peer_up, peer_down and table come only from within
 * stead_transport_poll(), stead_transport_tick() and stead_transport_set_table(); none may destroy the transport. */
struct stead_transport_events {
    void *self; /* first argument of each */

    /* A checked record, to be delivered. From a client: `route` names its connection, for the answer. Consumed. */
    void (*message)(void *self, struct stead_message **message);
    /* The connection to a reactor of a node is up (again): everything owed to it is to be sent again. */
    void (*peer_up)(void *self, uint32_t node, uint64_t incarnation, uint16_t reactor);
    /* It is down; what was queued for it is gone. */
    void (*peer_down)(void *self, uint32_t node, uint16_t reactor);
    /* A peer's table, as it came: decode it, hold it when it is newer. Borrowed. */
    void (*table)(void *self, struct stead_slice bytes);
    /* Where a reactor of a node listens, borrowed until the next call of this; NULL: not known (yet). */
    const char *(*endpoint)(void *self, uint32_t node, uint16_t reactor);
    /* Add `fd` to the loop's epoll set, for reading, level-triggered, or remove it. */
    void (*watch)(void *self, int fd, bool add);
    /* A line for the log of the node; level: enum stead_trace_level. */
    void (*trace)(void *self, int level, const char *line);
};

struct stead_transport_options {
    void *context;                 /* a ZeroMQ context with I/O threads; borrowed for the transport's life */
    const char *endpoint;          /* to bind, as tcp://127.0.0.1:7400; port 0: any free one */
    bool insecure_listen_anywhere; /* else STEAD_EUNAUTHORISED for anything but loopback: there are no keys yet */
    uint32_t node;                 /* this reactor's node, 0 until it is known: stead_transport_identify() */
    uint64_t incarnation;
    const char *node_name; /* copied */
    uint16_t reactor;
    uint32_t payload_bytes_max; /* of a request; 0: 1 MiB */
    uint64_t queue_bytes_max;   /* waiting for one peer or client, or one record; more is dropped, counted; 0: 64 MiB */
    uint32_t connections_max;   /* clients at once; more are refused with busy; 0: 65,536 */
    uint32_t poll_frames_max;   /* frames taken in one poll; 0: 256 */
    uint32_t silent_ms_max;     /* a client silent for so long is asked whether it is there; 0: 60 s */
    struct stead_transport_events events; /* copied */
};

/* Counters since creation; plain numbers of the reactor's thread. */
struct stead_transport_stats {
    uint64_t frames_in, frames_out;
    uint64_t bytes_in, bytes_out; /* of frames */
    uint64_t records_in, records_out;
    uint64_t records_refused;    /* broke the format or a rule */
    uint64_t records_strange;    /* came on a connection that had not said HELLO */
    uint64_t dropped_full;       /* the queue of a peer or client was full */
    uint64_t dropped_gone;       /* its peer, its connection or its endpoint was not there */
    uint64_t connections;        /* clients and nodes that said HELLO and are not known to be gone */
    uint64_t connections_opened; /* ever */
    uint64_t peers_up;           /* DEALERs whose WELCOME has come */
    uint64_t queued_bytes;       /* waiting in all queues */
};

/* Binds. 0; STEAD_EINUSE: the port is taken; STEAD_EUNAUTHORISED: not loopback; STEAD_EARGUMENT: no endpoint of this
 * form, or an address this machine has not; STEAD_EIO: ZeroMQ refused, `ret_why` (256 bytes or NULL) says what, as in
 * all cases. */
int stead_transport_create(const struct stead_transport_options *options, struct stead_transport **ret_transport,
                           char *ret_why) STEAD_MUST_USE;
/* Closes every socket without lingering; what is queued is lost. Nulls `*transport`. */
void stead_transport_destroy(struct stead_transport **transport);

/* Where it listens, with the real port. Borrowed. */
const char *stead_transport_endpoint(const struct stead_transport *transport);

/* Names this node, once the coordinator has: before the first peer is sent to. HELLOs that come earlier wait. */
void stead_transport_identify(struct stead_transport *transport, uint32_t node, uint64_t incarnation);

/* The newest table: given to whoever says HELLO, and pushed once to each client whose requests show an older one.
 * `bytes` (stead_table_encode) are copied. Endpoints of peers are asked for again: who moved is connected to anew, who
 * is gone is closed. */
void stead_transport_set_table(struct stead_transport *transport, uint64_t version, struct stead_id cluster,
                               struct stead_slice bytes);

/* Queues a record to a reactor of another node. Consumed. Leaves at the latest with the next flush. */
void stead_transport_send(struct stead_transport *transport, uint32_t node, uint16_t reactor,
                          struct stead_message **message);
/* Queues a record to the client connection `message->route.connection` of this reactor. Consumed. */
void stead_transport_answer(struct stead_transport *transport, struct stead_message **message);

/* `fd` (given to events.watch) is readable. */
void stead_transport_ready(struct stead_transport *transport, int fd);
/* Takes what has arrived, at most poll_frames_max frames; `mono_ns` becomes received_ns. True: there may be more. */
bool stead_transport_poll(struct stead_transport *transport, uint64_t mono_ns);
/* Sends everything queued, as far as ZeroMQ takes it. True: something has arrived meanwhile or there is room again: do
 * not sleep, poll. */
bool stead_transport_flush(struct stead_transport *transport);
/* How long the loop may sleep, in ms; -1: as it likes. Bounded while a client reads too slowly to take what waits for
 * it: a ROUTER does not tell whose pipe has room again. */
int stead_transport_sleep_ms(const struct stead_transport *transport);
/* About once a second: looks for silent clients that are gone, and for peers whose endpoint was not known before. */
void stead_transport_tick(struct stead_transport *transport, uint64_t mono_ns);

/* Counters; borrowed. */
const struct stead_transport_stats *stead_transport_stats(struct stead_transport *transport);

#endif
