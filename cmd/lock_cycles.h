/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock_cycles: finds circles among those who wait for held agents: a waits for what b holds, b waits for what a holds;
 * nobody in it goes on by himself. Pure; any thread.
 */
#ifndef STEAD_CMD_LOCK_CYCLES_H
#define STEAD_CMD_LOCK_CYCLES_H

#include <stdint.h>

/* One wait of a circle; borrowed from the graph. */
struct stead_lock_wait {
    const char *waiter;  /* address of who waits */
    const char *address; /* of the held agent it waits for */
    const char *holder;  /* address of who holds that: the waiter of the next one, and of the first for the last */
};

struct stead_lock_cycles;

/* Returned, empty; destroy nulls, NULL is fine. */
struct stead_lock_cycles *stead_lock_cycles_create(void);
void stead_lock_cycles_destroy(struct stead_lock_cycles **cycles);
/* `waiter` waits for `address`, which `holder` holds; texts are copied. */
void stead_lock_cycles_add(struct stead_lock_cycles *cycles, const char *waiter, const char *address,
                           const char *holder);
/* Visits circles, in an order that depends on the names alone: every one who waits in a circle is in one that is
 * visited. How many. */
typedef void stead_lock_cycles_fn(void *context, const struct stead_lock_wait *waits, uint32_t count);
uint32_t stead_lock_cycles_find(struct stead_lock_cycles *cycles, stead_lock_cycles_fn *visit, void *context);

#endif
