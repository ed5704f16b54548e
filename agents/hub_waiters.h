/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_waiters: who waits for an instance, in memory alone: found by the instance's id, and by the time at which
 * somebody has waited long enough.
 */
#ifndef STEAD_AGENTS_HUB_WAITERS_H
#define STEAD_AGENTS_HUB_WAITERS_H

#include "stead/orchestration.h"

#define STEAD_HUB_WAITER_BUCKETS 4096u
#define STEAD_HUB_WAITERS_MAX 4096u /* of one instance, as on the direct fabric: a turn can answer them all */

struct stead_hub_waited;

struct stead_hub_waiter {
    struct stead_hub_waited *of;
    struct stead_hub_waiter *next, *previous; /* of the same instance, in the order they came */
    struct stead_token token;
    int64_t until_ms;
    uint32_t heap_at;
    bool poll;     /* answered at its time only */
    uint64_t etag; /* answered as soon as the instance's is another one; 0: when it is over */
};

/* Those who wait for one instance: at least one. */
struct stead_hub_waited {
    struct stead_hub_waited *next; /* of the bucket */
    struct stead_hub_waiter *first, *last;
    uint32_t count;
    char id[STEAD_INSTANCE_ID_MAX + 1];
};

struct stead_hub_waiting {
    struct stead_hub_waited *buckets[STEAD_HUB_WAITER_BUCKETS];
    struct stead_hub_waiter **heap; /* by time */
    uint32_t count, capacity;
    uint32_t watchers; /* those with an etag */
    int64_t timer_ms;  /* when the timer is due; 0: none */
};

/* Nobody waits. Returned; never NULL. */
struct stead_hub_waiting *stead_hub_waiting_create(void);
/* Forgets everybody without a word. Nulls; NULL is fine. */
void stead_hub_waiting_destroy(struct stead_hub_waiting **waiting);
/* Adds a copy of `asked`, which waits for this id. */
void stead_hub_waiter_add(struct stead_hub_waiting *waiting, struct stead_slice id,
                          const struct stead_hub_waiter *asked);
/* Takes one out and frees it; with the last one of its instance what `of` was. */
void stead_hub_waiter_drop(struct stead_hub_waiting *waiting, struct stead_hub_waiter *waiter);
/* Those who wait for this id; NULL: nobody. */
struct stead_hub_waited *stead_hub_waiters_of(const struct stead_hub_waiting *waiting, struct stead_slice id);

#endif
