/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fibers: functions that can stop in the middle and go on later, each on a small stack of its own with a guard page
 * below it.
 *
 * A pool belongs to one reactor (stead_turn_fibers()) or to whoever made it. It keeps at most `stacks_max` stacks; when
 * one more is needed, the fiber that has stopped for the longest time is evicted: its owner is told, and what was on
 * its stack is lost. So only what can be rebuilt runs on a fiber. Stacks of ended fibers are reused. AddressSanitizer,
 * ThreadSanitizer and valgrind are told of every switch.
 *
 * Threads: a pool and its fibers belong to one thread at a time.
 */
#ifndef STEAD_FIBER_H
#define STEAD_FIBER_H

#include "stead/agent.h"

#ifdef __cplusplus
extern "C" {
#endif

struct stead_fibers; /* a pool */
struct stead_fiber;

typedef void stead_fiber_fn(void *context);

/* The pool of the reactor that runs the turn; borrowed for the process' life. */
STEAD_PUBLIC struct stead_fibers *stead_turn_fibers(struct stead_turn *turn);
/* `stacks_max` 0: 4,096. Returned; destroy it when no fiber of it is left. */
STEAD_PUBLIC struct stead_fibers *stead_fibers_create(uint32_t stacks_max);
/* Evicts what is left, without a word. Nulls; NULL is fine. */
STEAD_PUBLIC void stead_fibers_destroy(struct stead_fibers **fibers);
/* Stacks in use, and the most that were. */
STEAD_PUBLIC uint32_t stead_fibers_count(const struct stead_fibers *fibers);
STEAD_PUBLIC uint32_t stead_fibers_count_max(const struct stead_fibers *fibers);

/* A fiber that has not begun; it begins at the first resume. `evicted` (with `context`) is called when its stack is
 * taken away: the fiber is freed then, drop the pointer. `stack_bytes` 0: 64 KiB; rounded up to pages. NULL: no memory
 * to be had. */
STEAD_PUBLIC struct stead_fiber *stead_fiber_create(struct stead_fibers *fibers, size_t stack_bytes,
                                                    stead_fiber_fn *run, stead_fiber_fn *evicted, void *context);
/* Runs it until it stops or ends. True: it has stopped and can be resumed; false: it has ended (destroy it). Not from a
 * fiber of the same pool. */
STEAD_PUBLIC bool stead_fiber_resume(struct stead_fiber *fiber);
/* Inside the fiber: stops, back to whoever resumed it. */
STEAD_PUBLIC void stead_fiber_stop(struct stead_fiber *fiber);
/* Throws the stack away, wherever it is; not the one that runs. Nulls; NULL is fine. `evicted` is not called. */
STEAD_PUBLIC void stead_fiber_destroy(struct stead_fiber **fiber);

#ifdef __cplusplus
}
#endif
#endif
