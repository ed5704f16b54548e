/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring: a single-producer single-consumer queue of message pointers.
 *
 * Two counters that only rise: `tail` (messages pushed) and `head` (messages taken); tail - head is what is inside.
 * Each side owns one counter, publishes it with a release store, and keeps a private copy of the other's, which it
 * reads again only when the copy says full (or empty). So a burst costs one shared cache line a batch, not one a
 * message. The counters are 32 bits and wrap; differences stay right because the capacity is a power of two far below
 * 2^31.
 *
 * A slot outside of head..tail holds nothing or a spare block on its way back; whoever owns the slot owns that.
 *
 *   producer writes: tail, head_seen, slots[tail]        consumer writes: head, tail_seen
 *
 * A full ring: the producer sets `wants_room` and then looks once more; the consumer clears it after it has taken. Both
 * sides use read-modify-writes of that one word, so one of the two always sees the other (the argument of
 * node/inbox.h's bell).
 *
 * Invariants: R1  0 <= tail - head <= capacity.  R2  a message is in exactly one place: the producer's list, the ring,
 * the consumer's hands.  R3  while the producer's list is not empty, nothing is pushed past it: the order of a pair is
 * kept.
 */
#include "node/ring.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "runtime/base.h"

#define CACHE_LINE 64

struct stead_ring {
    /* the producer's line */
    _Alignas(CACHE_LINE) _Atomic uint32_t tail; /* messages pushed, wrapping */
    uint32_t head_seen;                         /* the producer's copy of head */
    /* the consumer's line */
    _Alignas(CACHE_LINE) _Atomic uint32_t head; /* messages taken, wrapping */
    uint32_t tail_seen;                         /* the consumer's copy of tail */
    /* shared, rarely touched */
    _Alignas(CACHE_LINE) _Atomic uint32_t wants_room; /* 1: the producer found the ring full */
    uint32_t mask;                                    /* capacity - 1 */
    struct stead_message *slots[]; /* capacity entries; see the top for those outside of head..tail */
};

struct stead_ring *stead_ring_create(uint32_t capacity)
{
    STEAD_ASSERT(capacity >= 2 && capacity <= 1u << 24 && (capacity & (capacity - 1)) == 0);
    size_t size = sizeof(struct stead_ring) + capacity * sizeof(struct stead_message *);
    size = (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    struct stead_ring *ring = aligned_alloc(CACHE_LINE, size);
    STEAD_ASSERT(ring);
    memset(ring, 0, size);
    ring->mask = capacity - 1;
    return ring;
}

void stead_ring_destroy(struct stead_ring **ring)
{
    struct stead_message *message;

    if (!*ring)
        return;
    struct stead_message_pool none = {0};
    while (stead_ring_take(*ring, &none, &message, 1))
        stead_message_destroy(&message);
    for (uint32_t i = 0; i <= (*ring)->mask; i++)
        free((*ring)->slots[i]);
    free(*ring);
    *ring = NULL;
}

/* True when there is room for one more; reads the consumer's counter only when its copy says full. */
static bool has_room(struct stead_ring *ring, uint32_t tail)
{
    if (tail - ring->head_seen <= ring->mask)
        return true;
    ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
    return tail - ring->head_seen <= ring->mask;
}

bool stead_ring_push(struct stead_ring *ring, struct stead_message_pool *pool, struct stead_message **message)
{
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

    if (!has_room(ring, tail))
        return false;
    if (ring->slots[tail & ring->mask])
        stead_message_pool_give(pool, ring->slots[tail & ring->mask]);
    ring->slots[tail & ring->mask] = *message;
    *message = NULL;
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    return true;
}

uint32_t stead_ring_take(struct stead_ring *ring, struct stead_message_pool *pool, struct stead_message **ret_messages,
                         uint32_t max)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

    if (ring->tail_seen - head < max)
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
    uint32_t count = ring->tail_seen - head;
    if (count > max)
        count = max;
    for (uint32_t i = 0; i < count; i++) {
        struct stead_message **slot = &ring->slots[(head + i) & ring->mask];
        ret_messages[i] = *slot;
        *slot = stead_message_pool_spare(pool);
    }
    if (count)
        atomic_store_explicit(&ring->head, head + count, memory_order_release);
    return count;
}

bool stead_ring_empty(struct stead_ring *ring)
{
    return atomic_load_explicit(&ring->tail, memory_order_acquire) ==
           atomic_load_explicit(&ring->head, memory_order_relaxed);
}

bool stead_ring_take_request(struct stead_ring *ring)
{
    /* The exchange is needed even when a plain look says 0: it is what makes the producer's last look see the room. */
    return atomic_exchange_explicit(&ring->wants_room, 0, memory_order_acq_rel) != 0;
}

void stead_crossing_send(struct stead_crossing *crossing, struct stead_message **message)
{
    crossing->touched = true;
    if (!crossing->oldest && stead_ring_push(crossing->ring, crossing->pool, message))
        return;
    if (crossing->bytes + (*message)->block_size > crossing->bytes_max) {
        crossing->dropped++;
        stead_message_destroy(message);
        return;
    }
    crossing->bytes += (*message)->block_size;
    (*message)->next = NULL;
    if (crossing->oldest)
        crossing->newest->next = *message;
    else
        crossing->oldest = *message;
    crossing->newest = *message;
    *message = NULL;
}

/* Pushes from the front of the list until it is empty or the ring is full. */
static bool push_waiting(struct stead_crossing *crossing)
{
    while (crossing->oldest) {
        struct stead_message *message = crossing->oldest;
        struct stead_message *next = message->next;
        uint32_t size = message->block_size; /* the consumer may free it as soon as it is pushed */
        message->next = NULL;
        if (!stead_ring_push(crossing->ring, crossing->pool, &message)) {
            message->next = next;
            return false;
        }
        crossing->bytes -= size;
        crossing->oldest = next;
        crossing->touched = true;
    }
    crossing->newest = NULL;
    return true;
}

bool stead_crossing_flush(struct stead_crossing *crossing)
{
    if (push_waiting(crossing))
        return true;
    atomic_exchange_explicit(&crossing->ring->wants_room, 1, memory_order_acq_rel);
    return push_waiting(crossing);
}

void stead_crossing_deinit(struct stead_crossing *crossing)
{
    while (crossing->oldest) {
        struct stead_message *message = crossing->oldest;
        crossing->oldest = message->next;
        stead_message_destroy(&message);
    }
    crossing->newest = NULL;
    crossing->bytes = 0;
}
