/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search: take any operation that was invoked before the first outstanding return, run it on the state, go on with
 * what is left; when the next thing in time is the return of an operation that is not yet placed, this order is a dead
 * end: take the last operation back and try the one after it (Wing and Gong). Two orders that placed the same set of
 * operations and led to the same state have the same future, so such a configuration is explored once (Lowe): that
 * turns the factorial into something that ends.
 *
 *   events   a doubly linked list in time order of invocations and returns; at the same moment invocations come first, which
 *            only allows more orders; placing an operation takes its two events out, taking it back puts them in again
 *   placed   a bit set over the operations
 *   seen     an open-addressing table of (placed, state), stored one after the other in one arena
 *
 * An operation without a return has one event only, so nothing ever forces it to be placed: it may take effect late or
 * never. Such operations are tried last, when no other can go on: most never explain anything. The search has won when
 * every operation that did return is placed.
 */
#include "tests/sim/linearizability.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base.h"

#define NONE UINT32_MAX
#define SEEN_SLOTS_FIRST 1024u

/* One moment of the history. */
struct event {
    uint64_t at;             /* the moment */
    uint32_t op;             /* index of its operation */
    uint32_t match;          /* invocation: its return, or NONE; return: its invocation */
    uint32_t previous, next; /* the list of what is not placed; NONE at the end, the head is event `count` */
    bool is_return;
};

/* One operation placed: what must be restored when it is taken back. */
struct placement {
    uint32_t event;                           /* its invocation */
    uint8_t state[STEAD_LIN_STATE_BYTES_MAX]; /* before it */
};

struct search {
    const struct stead_lin_model *model; /* borrowed, as the next */
    const struct stead_lin_op *ops;
    uint32_t event_count;                     /* without the head */
    uint32_t outstanding;                     /* operations that returned and are not placed */
    struct event *events;                     /* event_count and the head behind them */
    struct placement *stack;                  /* the order so far */
    uint32_t depth;                           /* operations in it */
    uint64_t *placed;                         /* bit set over operations */
    size_t placed_bytes;                      /* of that */
    uint8_t *arena;                           /* configurations: placed, state */
    uint64_t seen_count;                      /* configurations in the arena */
    uint64_t seen_capacity;                   /* that fit */
    uint32_t *slots;                          /* index into the arena + 1; 0: free */
    uint32_t slot_count;                      /* a power of two */
    uint8_t state[STEAD_LIN_STATE_BYTES_MAX]; /* after the order so far */
};

static int compare_events(const void *a, const void *b)
{
    const struct event *x = a, *y = b;

    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    if (x->is_return != y->is_return)
        return x->is_return ? 1 : -1;
    return x->op < y->op ? -1 : x->op > y->op;
}

/* Makes the time-ordered list of moments. */
static void build_events(struct search *search, uint32_t count)
{
    uint32_t *first = stead_alloc(sizeof *first * (count + 1u));
    uint32_t made = 0;

    search->events = stead_alloc_zero(sizeof *search->events * (2u * (size_t)count + 1u));
    for (uint32_t i = 0; i < count; i++) {
        const struct stead_lin_op *op = &search->ops[i];
        search->events[made++] = (struct event){.at = op->invoked, .op = i};
        if (op->returned == STEAD_LIN_NEVER)
            continue;
        search->events[made++] = (struct event){.at = op->returned, .op = i, .is_return = true};
        search->outstanding++;
    }
    qsort(search->events, made, sizeof *search->events, compare_events);
    for (uint32_t i = 0; i < made; i++) {
        struct event *event = &search->events[i];
        event->previous = i == 0 ? made : i - 1;
        event->next = i + 1 == made ? NONE : i + 1;
        event->match = NONE;
        if (!event->is_return) {
            first[event->op] = i;
            continue;
        }
        event->match = first[event->op];
        search->events[event->match].match = i;
    }
    search->events[made] = (struct event){.op = NONE, .previous = NONE, .next = made == 0 ? NONE : 0};
    search->event_count = made;
    free(first);
}

static void unlink_event(struct search *search, uint32_t at)
{
    struct event *event = &search->events[at];

    search->events[event->previous].next = event->next;
    if (event->next != NONE)
        search->events[event->next].previous = event->previous;
}

static void relink_event(struct search *search, uint32_t at)
{
    struct event *event = &search->events[at];

    search->events[event->previous].next = at;
    if (event->next != NONE)
        search->events[event->next].previous = at;
}

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t size)
{
    const uint8_t *at = data;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ at[i]) * 0x100000001b3u;
    return hash;
}

static uint64_t hash_configuration(const struct search *search, const void *placed, const void *state)
{
    uint64_t hash = hash_bytes(0xcbf29ce484222325u, placed, search->placed_bytes);

    hash = hash_bytes(hash, state, search->model->state_size);
    return hash ^ (hash >> 29);
}

static void grow_slots(struct search *search)
{
    size_t size = search->placed_bytes + search->model->state_size;
    uint32_t count = search->slot_count == 0 ? SEEN_SLOTS_FIRST : search->slot_count * 2;

    free(search->slots);
    search->slots = stead_alloc_zero(sizeof *search->slots * count);
    search->slot_count = count;
    for (uint64_t i = 0; i < search->seen_count; i++) {
        const uint8_t *configuration = search->arena + i * size;
        uint64_t at = hash_configuration(search, configuration, configuration + search->placed_bytes);
        while (search->slots[at & (count - 1)] != 0)
            at++;
        search->slots[at & (count - 1)] = (uint32_t)i + 1;
    }
}

/* True when (placed, state) was not seen before; remembers it. */
static bool remember(struct search *search, const uint8_t *state)
{
    size_t state_size = search->model->state_size;
    size_t size = search->placed_bytes + state_size;

    if (search->slot_count < 2 * (search->seen_count + 1))
        grow_slots(search);
    uint64_t at = hash_configuration(search, search->placed, state);
    for (;; at++) {
        uint32_t slot = search->slots[at & (search->slot_count - 1)];
        if (slot == 0)
            break;
        const uint8_t *configuration = search->arena + (slot - 1u) * size;
        if (memcmp(configuration, search->placed, search->placed_bytes) == 0 &&
            memcmp(configuration + search->placed_bytes, state, state_size) == 0)
            return false;
    }
    if (search->seen_count == search->seen_capacity) {
        search->seen_capacity = search->seen_capacity == 0 ? SEEN_SLOTS_FIRST : search->seen_capacity * 2;
        search->arena = stead_realloc(search->arena, search->seen_capacity * size);
    }
    memcpy(search->arena + search->seen_count * size, search->placed, search->placed_bytes);
    memcpy(search->arena + search->seen_count * size + search->placed_bytes, state, state_size);
    search->slots[at & (search->slot_count - 1)] = (uint32_t)++search->seen_count;
    return true;
}

static void flip_placed(struct search *search, uint32_t op)
{
    search->placed[op / 64] ^= (uint64_t)1 << (op % 64);
}

/* Places the operation invoked at `at` when the object allows it and the configuration is new. */
static bool try_place(struct search *search, uint32_t at)
{
    struct event *event = &search->events[at];
    uint8_t next[STEAD_LIN_STATE_BYTES_MAX];

    memcpy(next, search->state, search->model->state_size);
    if (!search->model->step(next, &search->ops[event->op]))
        return false;
    flip_placed(search, event->op);
    if (!remember(search, next)) {
        flip_placed(search, event->op);
        return false;
    }
    search->stack[search->depth].event = at;
    memcpy(search->stack[search->depth].state, search->state, search->model->state_size);
    search->depth++;
    memcpy(search->state, next, search->model->state_size);
    unlink_event(search, at);
    if (event->match != NONE) {
        unlink_event(search, event->match);
        search->outstanding--;
    }
    return true;
}

/* Takes the last operation back; the event to go on with. */
static uint32_t take_back(struct search *search)
{
    struct placement *last = &search->stack[--search->depth];
    struct event *event = &search->events[last->event];

    if (event->match != NONE) {
        relink_event(search, event->match);
        search->outstanding++;
    }
    relink_event(search, last->event);
    flip_placed(search, event->op);
    memcpy(search->state, last->state, search->model->state_size);
    return event->next;
}

static bool is_unknown(const struct search *search, uint32_t at)
{
    return search->events[at].match == NONE;
}

static enum stead_lin_verdict run_search(struct search *search, uint64_t configurations_max, uint32_t *ret_stuck)
{
    uint32_t head = search->event_count, at = search->events[head].next, deepest = 0;
    bool unknown = false; /* the second pass: only operations that never returned */

    while (search->outstanding > 0) {
        /* An outstanding return is in the list, so the walk meets it before the list ends. */
        STEAD_ASSERT(at != NONE);
        if (!search->events[at].is_return) {
            if (is_unknown(search, at) == unknown && try_place(search, at)) {
                unknown = false;
                at = search->events[head].next;
            } else {
                at = search->events[at].next;
            }
            if (search->seen_count > configurations_max)
                return STEAD_LIN_UNDECIDED;
            continue;
        }
        if (!unknown) {
            unknown = true;
            at = search->events[head].next;
            continue;
        }
        if (ret_stuck != NULL && search->depth >= deepest) {
            deepest = search->depth;
            *ret_stuck = search->events[at].op;
        }
        if (search->depth == 0)
            return STEAD_LIN_NO;
        unknown = is_unknown(search, search->stack[search->depth - 1].event);
        at = take_back(search);
    }
    return STEAD_LIN_YES;
}

enum stead_lin_verdict stead_lin_check(const struct stead_lin_model *model, const struct stead_lin_op *ops,
                                       uint32_t count, uint64_t configurations_max, uint32_t *ret_stuck)
{
    struct search search = {.model = model, .ops = ops};

    STEAD_ASSERT(model->state_size <= STEAD_LIN_STATE_BYTES_MAX);
    STEAD_ASSERT(configurations_max < UINT32_MAX);
    search.placed_bytes = (count + 63u) / 64u * sizeof(uint64_t);
    search.placed = stead_alloc_zero(search.placed_bytes + 1);
    search.stack = stead_alloc(sizeof *search.stack * (count + 1u));
    build_events(&search, count);
    if (model->init != NULL)
        model->init(search.state);
    enum stead_lin_verdict verdict = run_search(&search, configurations_max, ret_stuck);
    free(search.placed);
    free(search.stack);
    free(search.events);
    free(search.arena);
    free(search.slots);
    return verdict;
}
