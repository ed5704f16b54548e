/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connections: who has said HELLO at a reactor's ROUTER, found by ZeroMQ's routing id (a record came in) and by our own
 * number (an answer goes out).
 *
 * A number is never given twice: its low bits are a place in an array, the others count up. An answer that comes late,
 * after its connection went, so finds nobody instead of somebody else.
 *
 * Called by: the transport, on the reactor's thread.
 */
#ifndef STEAD_NET_CONNECTIONS_H
#define STEAD_NET_CONNECTIONS_H

#include "net/lane.h"

#define STEAD_CONNECTIONS_MAX (1u << 20) /* places; the transport's own limit is a setting below it */

struct stead_connection {
    struct stead_connection *next_hash;  /* of the same bucket */
    struct stead_connection *next_dirty; /* with something to send; meaningful while `dirty` */
    uint64_t number;                     /* of the route; fixed */
    uint64_t heard_ns;      /* monotonic time of its last frame, or of our last question whether it is there */
    uint64_t table_sent;    /* newest table it has been given or has shown to hold */
    struct stead_lane lane; /* what waits for it */
    uint32_t node;          /* the peer's node; 0: a client */
    uint16_t reactor;       /* of that node */
    bool dirty;             /* in the transport's list */
    bool unwelcomed;        /* its HELLO waits for this node to know its own name */
    uint8_t id_size;        /* bytes, 1 to 255 */
    uint8_t id[];           /* ZeroMQ's routing id */
};

/* All of one ROUTER. Zeroed memory is an empty set. */
struct stead_connections {
    struct stead_connection **buckets; /* by hash of the routing id; a power of two of them */
    struct stead_connection **places;  /* by number; owned connections, NULL: free */
    uint32_t bucket_count;
    uint32_t place_count; /* entries at places */
    uint32_t count;       /* connections */
    uint32_t next_place;  /* where to look for a free one */
    uint64_t generation;  /* counts connections ever made: the high bits of a number */
};

/* Makes one for a routing id that has none. Borrowed from the set; NULL when there are `connections_max` already. */
struct stead_connection *stead_connections_add(struct stead_connections *set, struct stead_slice id,
                                               uint32_t connections_max);
/* Borrowed; NULL when there is none. */
struct stead_connection *stead_connections_find(const struct stead_connections *set, struct stead_slice id);
struct stead_connection *stead_connections_at(const struct stead_connections *set, uint64_t number);
/* The connection at `place`, 0 <= place < place_count; NULL: free. For sweeping over all. */
struct stead_connection *stead_connections_place(const struct stead_connections *set, uint32_t place);
/* Frees the connection and what waits in its lane. */
void stead_connections_remove(struct stead_connections *set, struct stead_connection *connection);
/* Frees all. */
void stead_connections_deinit(struct stead_connections *set);

static inline struct stead_slice stead_connection_id(const struct stead_connection *connection)
{
    return (struct stead_slice){connection->id, connection->id_size};
}

#endif
