/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_link: one connection of a client to one reactor.
 *
 *     CLOSED --open()--> OPENING --WELCOME--> UP
 *        ^                  |                  |
 *        +---refused, broken, silent-----------+
 *
 * A link is one ZeroMQ DEALER that connects once: when the connection fails or breaks the socket is thrown away and the
 * next attempt makes a new one. So the first record of every connection is HELLO, nothing queued for an old connection
 * can slip into a new one, and the user learns at once that nobody listens.
 *
 * Used by net/client.c, on the client's thread. No function blocks.
 */
#ifndef STEAD_NET_CLIENT_LINK_H
#define STEAD_NET_CLIENT_LINK_H

#include "net/frame.h"
#include "net/hello.h"

#define STEAD_LINK_ENDPOINT_MAX 255u /* bytes */

enum stead_link_state { STEAD_LINK_CLOSED, STEAD_LINK_OPENING, STEAD_LINK_UP };

struct stead_link {
    struct stead_link *next;                    /* the client's list */
    char endpoint[STEAD_LINK_ENDPOINT_MAX + 1]; /* where it connects */
    uint32_t node;                              /* whom it is meant for, or who answered; 0: not known yet */
    uint16_t reactor;                           /* of that node */
    enum stead_link_state state;                /* moved by open, close and the client (UP) */
    void *socket;                               /* DEALER; NULL when closed */
    void *monitor;                              /* PAIR with the socket's events; NULL when closed */
    int socket_fd, monitor_fd;                  /* readable, edge-triggered, when either may have something */
    uint64_t opened_ns;                         /* monotonic: when this attempt began */
    uint64_t retry_ns;                          /* not tried again before */
    uint32_t failures;                          /* in a row */
    bool dropped;                               /* out of use: the client frees it in its next turn */
    struct stead_frame_builder frame;           /* records that leave with the next flush */
    uint64_t frames_dropped;                    /* ZeroMQ's queue was full */
};

/* Copies `endpoint`, which is at most STEAD_LINK_ENDPOINT_MAX bytes. Closed. Returned. */
struct stead_link *stead_link_create(const char *endpoint, uint32_t node, uint16_t reactor);
/* Nulls `*link`; NULL is fine. */
void stead_link_destroy(struct stead_link **link);

/* Starts one attempt and queues HELLO. `context`: ZeroMQ's; `queue_max`: frames that may wait. 0 or STEAD_EUNAVAILABLE
 * (an endpoint that ZeroMQ does not take, or no sockets left): then the attempt counts as failed. */
int stead_link_open(struct stead_link *link, void *context, uint64_t now_ns, int queue_max,
                    uint64_t table_version) STEAD_MUST_USE;
/* Throws the connection away with what is queued. */
void stead_link_close(struct stead_link *link);
/* The same after a failure: the next attempt waits, longer each time (10 ms to 500 ms). */
void stead_link_fail(struct stead_link *link, uint64_t now_ns);
/* Lets what was sent leave after the socket is closed, for at most `linger_ms`: for a client that ends. */
void stead_link_linger(struct stead_link *link, int linger_ms);

/* Queues HELLO again: the answer is a WELCOME with the newest table. */
void stead_link_greet(struct stead_link *link, uint64_t table_version);
/* Queues a record; full frames leave at once. Borrowed. */
void stead_link_send(struct stead_link *link, const struct stead_message *message);
/* Sends what is queued; true when there was something. */
bool stead_link_flush(struct stead_link *link);
/* Takes the next frame into `ret_frame`, a message of ZeroMQ's that the caller has initialised. False: there is none
 * now. */
bool stead_link_receive(struct stead_link *link, void *ret_frame);
/* Reads the monitor. True: the connection has failed or is gone. */
bool stead_link_is_broken(struct stead_link *link);

#endif
