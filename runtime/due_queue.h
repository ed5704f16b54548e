/* SPDX-License-Identifier: Apache-2.0 */
/*
 * due_queue: small numbers, each with a time at which it is due; the earliest first, any of them moved or removed.
 *
 * Used by client_core for retries and deadlines. Pure; one thread.
 */
#ifndef STEAD_RUNTIME_DUE_QUEUE_H
#define STEAD_RUNTIME_DUE_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

struct stead_due_cell {
    uint64_t due;  /* any unit of time */
    uint32_t item; /* the owner's number */
};

/* Zeroed memory is an empty queue. */
struct stead_due_queue {
    struct stead_due_cell *cells; /* a heap with four children to a cell, the earliest at 0 */
    uint32_t count;               /* cells in use */
    uint32_t capacity;            /* cells allocated */
    uint32_t *positions;          /* by item: its cell + 1; 0: not in the queue */
    uint32_t items;               /* positions allocated */
};

/* Frees its memory; the queue is empty and usable. */
void stead_due_queue_deinit(struct stead_due_queue *queue);
/* Puts `item` in, or moves it, to `due`. Items are small: memory grows with the largest. */
void stead_due_queue_set(struct stead_due_queue *queue, uint32_t item, uint64_t due);
/* Takes `item` out; nothing happens when it is not in. */
void stead_due_queue_remove(struct stead_due_queue *queue, uint32_t item);
/* The earliest; false when the queue is empty. */
bool stead_due_queue_first(const struct stead_due_queue *queue, struct stead_due_cell *ret_cell);
/* Asserts the order and that cells and positions agree; for tests. */
void stead_due_queue_check(const struct stead_due_queue *queue);

#endif
