/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_peer: the reactors a client talks to, and which of its requests each of them has.
 *
 * Every request in flight is in the list of exactly one peer, in the order in which it came there: that is the order in
 * which it is sent again when the connection is back. Peer 0 is nowhere: requests without a route, and refused ones
 * that wait.
 *
 * Used by client_core. Pure; one thread.
 */
#ifndef STEAD_RUNTIME_CLIENT_PEER_H
#define STEAD_RUNTIME_CLIENT_PEER_H

#include "runtime/message.h"

#define STEAD_CLIENT_NOWHERE 0u /* the peer that is none */

struct stead_client_peer {
    uint32_t node;               /* id; 0: nowhere */
    uint16_t reactor;            /* index within the node */
    bool up;                     /* its connection is open and greeted; set by the core */
    bool failing;                /* its last connection failed or broke; set by the core */
    uint32_t first, last;        /* its requests, oldest first: item + 1; 0: none */
    uint32_t count;              /* of them */
    uint32_t tell_count;         /* of the next */
    struct stead_message *tells; /* owned: waiting for the connection, oldest first */
    struct stead_message **tells_end;
};

/* The place of an item in its peer's list. */
struct stead_client_link {
    uint32_t previous, next; /* item + 1; 0: none */
    uint32_t peer;           /* index + 1; 0: in no list */
};

/* Zero it, then stead_client_peers_init(). */
struct stead_client_peers {
    struct stead_client_peer **peers; /* by index; never removed, so pointers stay */
    uint32_t count;                   /* at least 1 */
    uint32_t tell_count;              /* tells waiting at all peers */
    uint32_t *buckets;                /* hash table by (node, reactor), open addressing: index; 0: empty */
    uint32_t bucket_count;            /* a power of two, at least twice `count` */
    struct stead_client_link *links;  /* by item */
    uint32_t items;                   /* of them allocated */
};

/* No peers, in the caller's memory. */
void stead_client_peers_init(struct stead_client_peers *peers);
/* Destroys tells that wait. */
void stead_client_peers_deinit(struct stead_client_peers *peers);
/* The index of a peer, made on first sight; or STEAD_CLIENT_NOWHERE when it was never seen. */
uint32_t stead_client_peers_get(struct stead_client_peers *peers, uint32_t node, uint16_t reactor);
uint32_t stead_client_peers_find(const struct stead_client_peers *peers, uint32_t node, uint16_t reactor);

/* A peer of `node` (0: of any) whose connection is up: before the first table (a cluster that has not formed) a node
 * can still be asked about itself. STEAD_CLIENT_NOWHERE. */
uint32_t stead_client_peers_find_up(const struct stead_client_peers *peers, uint32_t node);

/* Puts an item at the end of a peer's list; it is in none yet. */
void stead_client_peers_put(struct stead_client_peers *peers, uint32_t peer, uint32_t item);
/* Takes it out of its list, if it is in one. */
void stead_client_peers_remove(struct stead_client_peers *peers, uint32_t item);
/* The peer in whose list the item is. */
uint32_t stead_client_peers_of(const struct stead_client_peers *peers, uint32_t item);
/* The item behind `item` in its list + 1; 0: none. */
uint32_t stead_client_peers_next(const struct stead_client_peers *peers, uint32_t item);

/* Tells that wait. Put: consumed. Take: the oldest, returned, NULL when there is none. */
void stead_client_peers_put_tell(struct stead_client_peers *peers, uint32_t peer, struct stead_message **tell);
struct stead_message *stead_client_peers_take_tell(struct stead_client_peers *peers, uint32_t peer);
/* Destroys those that wait at a peer; how many. */
uint32_t stead_client_peers_drop_tells(struct stead_client_peers *peers, uint32_t peer);
/* Asserts that lists, links and counts agree; for tests. */
void stead_client_peers_check(const struct stead_client_peers *peers);

#endif
