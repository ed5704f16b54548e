/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_waiters: a hash of ids, and a binary heap by time. Each waiter knows its place in the heap, so that it can be
 * taken out.
 */
#include "agents/hub_waiters.h"

#include <stdlib.h>
#include <string.h>

#include "agents/hash.h"

static uint32_t bucket_of(struct stead_slice id)
{
    uint32_t hash = stead_hash32(id);
    return (hash ^ hash >> 16) % STEAD_HUB_WAITER_BUCKETS;
}

static void heap_set(struct stead_hub_waiting *waiting, uint32_t at, struct stead_hub_waiter *waiter)
{
    waiting->heap[at] = waiter;
    waiter->heap_at = at;
}

static void heap_up(struct stead_hub_waiting *waiting, uint32_t at)
{
    struct stead_hub_waiter *waiter = waiting->heap[at];

    for (; at > 0 && waiting->heap[(at - 1) / 2]->until_ms > waiter->until_ms; at = (at - 1) / 2)
        heap_set(waiting, at, waiting->heap[(at - 1) / 2]);
    heap_set(waiting, at, waiter);
}

static void heap_down(struct stead_hub_waiting *waiting, uint32_t at)
{
    struct stead_hub_waiter *waiter = waiting->heap[at];

    for (uint32_t child; (child = at * 2 + 1) < waiting->count; at = child) {
        if (child + 1 < waiting->count && waiting->heap[child + 1]->until_ms < waiting->heap[child]->until_ms)
            child++;
        if (waiting->heap[child]->until_ms >= waiter->until_ms)
            break;
        heap_set(waiting, at, waiting->heap[child]);
    }
    heap_set(waiting, at, waiter);
}

static void *take_memory(void *old, size_t size)
{
    void *memory = realloc(old, size);

    if (memory == NULL)
        abort();
    return memory;
}

struct stead_hub_waited *stead_hub_waiters_of(const struct stead_hub_waiting *waiting, struct stead_slice id)
{
    struct stead_hub_waited *of = waiting->buckets[bucket_of(id)];

    while (of != NULL && !stead_slice_equal(stead_str(of->id), id))
        of = of->next;
    return of;
}

static struct stead_hub_waited *make_waited(struct stead_hub_waiting *waiting, struct stead_slice id)
{
    struct stead_hub_waited *of = take_memory(NULL, sizeof(*of)), **bucket = &waiting->buckets[bucket_of(id)];

    memset(of, 0, sizeof(*of));
    memcpy(of->id, id.data, id.size);
    of->next = *bucket;
    *bucket = of;
    return of;
}

void stead_hub_waiter_add(struct stead_hub_waiting *waiting, struct stead_slice id,
                          const struct stead_hub_waiter *asked)
{
    struct stead_hub_waiter *waiter = take_memory(NULL, sizeof(*waiter));
    struct stead_hub_waited *of = stead_hub_waiters_of(waiting, id);

    *waiter = *asked;
    waiting->watchers += asked->etag != 0;
    waiter->of = of != NULL ? of : make_waited(waiting, id);
    waiter->next = NULL;
    waiter->previous = waiter->of->last;
    if (waiter->previous != NULL)
        waiter->previous->next = waiter;
    else
        waiter->of->first = waiter;
    waiter->of->last = waiter;
    waiter->of->count++;
    if (waiting->count == waiting->capacity) {
        waiting->capacity = waiting->capacity == 0 ? 16 : waiting->capacity * 2;
        waiting->heap = take_memory(waiting->heap, waiting->capacity * sizeof(struct stead_hub_waiter *));
    }
    heap_set(waiting, waiting->count++, waiter);
    heap_up(waiting, waiter->heap_at);
}

/* Nobody waits for it any more. */
static void free_waited(struct stead_hub_waiting *waiting, struct stead_hub_waited *of)
{
    struct stead_hub_waited **link = &waiting->buckets[bucket_of(stead_str(of->id))];

    while (*link != of)
        link = &(*link)->next;
    *link = of->next;
    free(of);
}

void stead_hub_waiter_drop(struct stead_hub_waiting *waiting, struct stead_hub_waiter *waiter)
{
    struct stead_hub_waited *of = waiter->of;
    uint32_t at = waiter->heap_at;
    struct stead_hub_waiter *last = waiting->heap[--waiting->count];

    if (waiter->previous != NULL)
        waiter->previous->next = waiter->next;
    else
        of->first = waiter->next;
    if (waiter->next != NULL)
        waiter->next->previous = waiter->previous;
    else
        of->last = waiter->previous;
    if (--of->count == 0)
        free_waited(waiting, of);
    waiting->watchers -= waiter->etag != 0;
    if (last != waiter) {
        heap_set(waiting, at, last);
        heap_up(waiting, at);
        heap_down(waiting, last->heap_at);
    }
    free(waiter);
}

struct stead_hub_waiting *stead_hub_waiting_create(void)
{
    struct stead_hub_waiting *waiting = take_memory(NULL, sizeof(*waiting));

    memset(waiting, 0, sizeof(*waiting));
    return waiting;
}

void stead_hub_waiting_destroy(struct stead_hub_waiting **waiting)
{
    struct stead_hub_waiting *it = *waiting;

    *waiting = NULL;
    if (it == NULL)
        return;
    while (it->count > 0)
        stead_hub_waiter_drop(it, it->heap[it->count - 1]);
    free(it->heap);
    free(it);
}
