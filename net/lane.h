/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane: what waits to be sent to one peer or client: one frame being filled and, behind a socket that takes no more,
 * whole frames in order.
 *
 *     stead_lane_add() ... -> stead_lane_flush() once a turn of the loop
 *
 * A lane is bounded in bytes: ZeroMQ's own queues count messages, which says nothing of memory, and drop silently.
 *
 * Called by: the transport and the client, on their thread.
 */
#ifndef STEAD_NET_LANE_H
#define STEAD_NET_LANE_H

#include "net/frame.h"

struct stead_lane_frame;

/* Zeroed memory is an empty lane. */
struct stead_lane {
    struct stead_frame_builder open; /* the frame being filled */
    struct stead_lane_frame *first;  /* frames that ZeroMQ did not take, oldest first; owned */
    struct stead_lane_frame *last;   /* newest of them; undefined when first is NULL */
    uint64_t sealed_bytes;           /* in those frames */
};

/* What a flush has handed to ZeroMQ; added to, never reset. */
struct stead_lane_count {
    uint64_t frames;
    uint64_t bytes;
};

/* Queues a record. False, and nothing changed: it would hold more than `bytes_max`; an empty lane takes any record.
 * `message` is borrowed. */
bool stead_lane_add(struct stead_lane *lane, const struct stead_message *message, uint64_t bytes_max) STEAD_MUST_USE;

/* Sends all it can on `socket`; `routing_id` names the connection of a ROUTER, size 0 for a DEALER. 0: the lane is
 * empty; STEAD_EBUSY: ZeroMQ takes no more now; STEAD_ENOTFOUND: the ROUTER has no such connection (any more). */
int stead_lane_flush(struct stead_lane *lane, void *socket, struct stead_slice routing_id,
                     struct stead_lane_count *count) STEAD_MUST_USE;

/* Bytes that wait. */
uint64_t stead_lane_bytes(const struct stead_lane *lane);

/* True when whole frames wait: worth a flush before the turn of the loop ends. */
static inline bool stead_lane_sealed(const struct stead_lane *lane)
{
    return lane->first != NULL;
}

/* Drops everything and frees the memory. */
void stead_lane_clear(struct stead_lane *lane);

#endif
