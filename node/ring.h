/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring: how messages cross from one reactor to another: a bounded lock-free queue with one producer and one consumer.
 *
 * There is one for each ordered pair of reactors. What does not fit waits with the producer, in a list bounded in
 * bytes (stead_crossing), so that a burst is not lost and a stuck reactor cannot eat the memory of the node.
 *
 * Blocks of messages go the other way: whoever only sends would ask the allocator for each, whoever only receives would
 * free it on the wrong thread. So the consumer leaves a spare block of its pool in the slot it has emptied, and the
 * producer takes it with the next push there.
 *
 * Threads: push and flush on the producer's, take on the consumer's; create and destroy while neither runs.
 */
#ifndef STEAD_NODE_RING_H
#define STEAD_NODE_RING_H

#include "runtime/message.h"

struct stead_ring;

/* `capacity` messages, a power of two of at least 2. */
struct stead_ring *stead_ring_create(uint32_t capacity);
/* Destroys the messages inside too; nulls `*ring`. */
void stead_ring_destroy(struct stead_ring **ring);
/* Producer: takes `*message` and nulls it; false when the ring is full, then nothing happened. `pool`: gets the spare
 * block that lay in the slot. */
bool stead_ring_push(struct stead_ring *ring, struct stead_message_pool *pool, struct stead_message **message);
/* Consumer: takes up to `max` messages in order into `ret_messages`, now owned by the caller; how many. `pool`: gives a
 * spare block for each. */
uint32_t stead_ring_take(struct stead_ring *ring, struct stead_message_pool *pool, struct stead_message **ret_messages,
                         uint32_t max);
/* Consumer: true when nothing was pushed that was not taken. */
bool stead_ring_empty(struct stead_ring *ring);
/* Consumer: true once after the producer found the ring full and asked to be told of room. */
bool stead_ring_take_request(struct stead_ring *ring);

/* The producer's end: a ring and the list of what did not fit. */
struct stead_crossing {
    struct stead_ring *ring;         /* borrowed */
    struct stead_message_pool *pool; /* the producer's; borrowed */
    struct stead_message *oldest;    /* waiting for room, in order */
    struct stead_message *newest;
    uint64_t bytes;     /* of those that wait, heap bytes */
    uint64_t bytes_max; /* more is dropped and counted */
    uint64_t dropped;   /* messages */
    bool touched;       /* something was pushed since the consumer's bell was last rung */
};

/* Consumed, also when it is dropped. */
void stead_crossing_send(struct stead_crossing *crossing, struct stead_message **message);
/* Moves waiting messages into the ring; true when all have gone. False: the consumer will ring when there is room. */
bool stead_crossing_flush(struct stead_crossing *crossing);
void stead_crossing_deinit(struct stead_crossing *crossing);

#endif
