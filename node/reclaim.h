/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reclaim: gives room back to the disk while it is short (disk.c), on a thread of the node's pool for tasks.
 *
 * What agents delete stays in the store's files until they are written anew, which the store does in its own time. At
 * the quota that time is now: it would not come while nothing is written. One at a time, and it rests nine times as
 * long as it worked.
 *
 * Threads: begin: the control thread; the work itself: one of the pool's.
 */
#ifndef STEAD_NODE_RECLAIM_H
#define STEAD_NODE_RECLAIM_H

#include <stdatomic.h>

#include "node/pool.h"
#include "persist/log_writer.h"

struct stead_reclaim {
    struct stead_work work;
    struct stead_log_writer *writer; /* borrowed until the work has ended, as the next */
    struct stead_store *store;
    bool log_alone;
    atomic_bool running;        /* with the pool; the next fields are its own until it is false */
    uint64_t rest_until_ns;     /* monotonic: not begun again before */
    uint64_t log_rest_until_ns; /* the same, of the log alone: what gives the room of rows back does not wait for it */
};

/* Zeroed is ready. Begins, unless one runs or rests. `log_alone`: the room of rows is left as it is. */
void stead_reclaim_begin(struct stead_reclaim *reclaim, struct stead_pool *pool, struct stead_log_writer *writer,
                         struct stead_store *store, bool log_alone);

#endif
