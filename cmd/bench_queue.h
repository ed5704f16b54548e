/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_queue: what a durable queue is to the bench of tasks, so that a peer is measured by the same code in the same
 * run. For cmd/bench_*.c alone.
 */
#ifndef STEAD_CMD_BENCH_QUEUE_H
#define STEAD_CMD_BENCH_QUEUE_H

#include "cmd/bench.h"

#define STEAD_QUEUE_BATCH 32u    /* tasks taken at once, at most */
#define STEAD_QUEUE_BODY 64u     /* bytes of a task */
#define STEAD_QUEUE_WAIT_MS 2000 /* a take that finds nothing waits so long */

/* A queue, as one who puts and takes sees it. */
struct stead_queue_kind {
    const char *name;
    /* Connects; `place` is an endpoint, or a port. Returned: close it. */
    int (*open)(const char *place, void **ret_end);
    void (*close)(void *end);
    /* Puts one task and waits until it is synced. */
    int (*put)(void *end, uint64_t number);
    /* Puts `count` tasks, many on their way at once, and waits until all are synced. */
    int (*put_many)(void *end, uint64_t first, uint64_t count);
    /* Acknowledges what the last take brought and asks for tasks, at most STEAD_QUEUE_BATCH: both leave at once. Then
     * done(), if there was something to acknowledge, and take(). */
    int (*ask)(void *end);
    /* Waits until the acknowledgement is synced. */
    int (*done)(void *end);
    /* Waits for the tasks; 0 of them when none came. */
    int (*take)(void *end, uint64_t *ret_numbers, uint32_t *ret_count);
};

/* A task hub's queue (bench_task.c). */
extern const struct stead_queue_kind stead_hub_queue;
/* Redis streams with a consumer group (bench_redis.c). */
extern const struct stead_queue_kind stead_redis_queue;

/* Starts a Redis that syncs each write, in a scratch folder; `ret_place` is its port (16 bytes). STEAD_ENOTFOUND: there
 * is none on this machine. */
int stead_redis_start(struct stead_bench *bench, pid_t *ret_pid, char *ret_place) STEAD_MUST_USE;

#endif
