/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool: threads for what may block: jobs of stateless kinds, reads that need the disk, backups.
 *
 * First in, first out. Threads are started when there is work that nobody waits for, up to a limit, and sleep when
 * there is none: an idle pool costs nothing. Who submits wakes one thread; a thread that takes work and leaves some
 * wakes the next. Any thread may submit; create and destroy: one.
 */
#ifndef STEAD_NODE_POOL_H
#define STEAD_NODE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stead/error.h"

struct stead_pool;

/* Embedded in whatever is to be done; belongs to the pool from submit until `run` is called, which owns it again. */
struct stead_work {
    struct stead_work *next;              /* the pool's own */
    void (*run)(struct stead_work *work); /* on a thread of the pool */
};

/* Works to be submitted together. Zeroed: empty. */
struct stead_work_list {
    struct stead_work *oldest, *newest;
    uint32_t count;
};
static inline void stead_work_list_add(struct stead_work_list *list, struct stead_work *work)
{
    work->next = NULL;
    if (list->oldest)
        list->newest->next = work;
    else
        list->oldest = work;
    list->newest = work;
    list->count++;
}

/* `name`: up to 15 bytes, what the threads are called. No thread is started yet. */
struct stead_pool *stead_pool_create(const char *name, uint32_t threads_max);
void stead_pool_submit(struct stead_pool *pool, struct stead_work *work);
/* All of the list, which is empty afterwards, for the price of one. */
void stead_pool_submit_all(struct stead_pool *pool, struct stead_work_list *list);
/* Runs what is queued, joins the threads, frees the pool, nulls `*pool`. After `wait_ms` it gives up on work that still
 * runs: false, and the pool is left as it is (the process is about to end). NULL is fine. */
bool stead_pool_destroy(struct stead_pool **pool, uint32_t wait_ms) STEAD_MUST_USE;

#endif
