/* SPDX-License-Identifier: Apache-2.0 */
/*
 * due_queue: a heap that knows where each item lies.
 *
 * Retries are armed in the order of time and mostly taken out long before they are due. In a heap an item that is later
 * than all others is put in without moving anything, and one is taken out in log4(n) steps of four neighbours that
 * share a cache line: for 16,384 requests in flight that is 7 steps. A wheel would be quicker to cancel and could not
 * say when the next is due without a search.
 *
 * Invariants: no cell is earlier than its parent; positions[cells[i].item] == i + 1; every other position is 0.
 */
#include "runtime/due_queue.h"

#include <stdlib.h>

#include "runtime/base.h"

#define CHILDREN 4u

void stead_due_queue_deinit(struct stead_due_queue *queue)
{
    free(queue->cells);
    free(queue->positions);
    *queue = (struct stead_due_queue){.cells = NULL};
}

static void place(struct stead_due_queue *queue, uint32_t at, struct stead_due_cell cell)
{
    queue->cells[at] = cell;
    queue->positions[cell.item] = at + 1;
}

/* Moves `cell`, whose place is the hole at `at`, towards the root as far as it must go. */
static void sift_up(struct stead_due_queue *queue, uint32_t at, struct stead_due_cell cell)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / CHILDREN;

        if (queue->cells[parent].due <= cell.due)
            break;
        place(queue, at, queue->cells[parent]);
        at = parent;
    }
    place(queue, at, cell);
}

static void sift_down(struct stead_due_queue *queue, uint32_t at, struct stead_due_cell cell)
{
    for (;;) {
        uint32_t child = at * CHILDREN + 1, end = child + CHILDREN, least = child;

        if (child >= queue->count)
            break;
        if (end > queue->count)
            end = queue->count;
        while (++child < end)
            if (queue->cells[child].due < queue->cells[least].due)
                least = child;
        if (queue->cells[least].due >= cell.due)
            break;
        place(queue, at, queue->cells[least]);
        at = least;
    }
    place(queue, at, cell);
}

/* Puts `cell` into the hole at `at`, whichever way it belongs. */
static void settle(struct stead_due_queue *queue, uint32_t at, struct stead_due_cell cell)
{
    if (at > 0 && queue->cells[(at - 1) / CHILDREN].due > cell.due)
        sift_up(queue, at, cell);
    else
        sift_down(queue, at, cell);
}

static void grow_positions(struct stead_due_queue *queue, uint32_t item)
{
    uint32_t items = queue->items == 0 ? 64 : queue->items;

    while (items <= item)
        items *= 2;
    queue->positions = stead_realloc(queue->positions, items * sizeof(*queue->positions));
    memset(queue->positions + queue->items, 0, (items - queue->items) * sizeof(*queue->positions));
    queue->items = items;
}

void stead_due_queue_set(struct stead_due_queue *queue, uint32_t item, uint64_t due)
{
    struct stead_due_cell cell = {.due = due, .item = item};

    if (item >= queue->items)
        grow_positions(queue, item);
    if (queue->positions[item] != 0) {
        settle(queue, queue->positions[item] - 1, cell);
        return;
    }
    if (queue->count == queue->capacity) {
        queue->capacity = queue->capacity == 0 ? 64 : queue->capacity * 2;
        queue->cells = stead_realloc(queue->cells, queue->capacity * sizeof(*queue->cells));
    }
    sift_up(queue, queue->count++, cell);
}

void stead_due_queue_remove(struct stead_due_queue *queue, uint32_t item)
{
    uint32_t at;
    struct stead_due_cell last;

    if (item >= queue->items || queue->positions[item] == 0)
        return;
    at = queue->positions[item] - 1;
    queue->positions[item] = 0;
    last = queue->cells[--queue->count];
    if (at < queue->count)
        settle(queue, at, last);
}

bool stead_due_queue_first(const struct stead_due_queue *queue, struct stead_due_cell *ret_cell)
{
    if (queue->count == 0)
        return false;
    *ret_cell = queue->cells[0];
    return true;
}

void stead_due_queue_check(const struct stead_due_queue *queue)
{
    uint32_t placed = 0;

    for (uint32_t i = 0; i < queue->count; i++) {
        STEAD_ASSERT(queue->cells[i].item < queue->items);
        STEAD_ASSERT(queue->positions[queue->cells[i].item] == i + 1);
        STEAD_ASSERT(i == 0 || queue->cells[(i - 1) / CHILDREN].due <= queue->cells[i].due);
    }
    for (uint32_t i = 0; i < queue->items; i++)
        placed += queue->positions[i] != 0;
    STEAD_ASSERT(placed == queue->count);
}
