/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock_cycles: depth-first search over waits sorted by who waits, so that the waits of one are neighbours. A stack of
 * waits is the path; a wait for somebody who is on the path closes a circle. Waits of who is done are not entered
 * again, so it takes time in the number of waits (times a search by name), whatever the graph.
 *
 *     NEW --entered--> ON_PATH --all its waits seen--> DONE
 */
#include "cmd/lock_cycles.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base.h"

enum color { NEW, ON_PATH, DONE };

struct wait {
    struct stead_lock_wait names; /* owned */
    uint8_t color;                /* of the waiter: kept at the first of its waits */
};

struct stead_lock_cycles {
    struct wait *waits; /* owned */
    uint32_t count, capacity;
};

struct stead_lock_cycles *stead_lock_cycles_create(void)
{
    return stead_alloc_zero(sizeof(struct stead_lock_cycles));
}

void stead_lock_cycles_destroy(struct stead_lock_cycles **cycles)
{
    for (uint32_t i = 0; *cycles && i < (*cycles)->count; i++) {
        free((void *)(uintptr_t)(*cycles)->waits[i].names.waiter);
        free((void *)(uintptr_t)(*cycles)->waits[i].names.address);
        free((void *)(uintptr_t)(*cycles)->waits[i].names.holder);
    }
    if (*cycles)
        free((*cycles)->waits);
    free(*cycles);
    *cycles = NULL;
}

static char *copy_text(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(stead_alloc(size), text, size);
}

void stead_lock_cycles_add(struct stead_lock_cycles *cycles, const char *waiter, const char *address,
                           const char *holder)
{
    if (cycles->count == cycles->capacity) {
        cycles->capacity = cycles->capacity ? cycles->capacity * 2 : 64;
        cycles->waits = stead_realloc(cycles->waits, cycles->capacity * sizeof(*cycles->waits));
    }
    cycles->waits[cycles->count++] = (struct wait){.names = {copy_text(waiter), copy_text(address), copy_text(holder)}};
}

static int compare_waits(const void *a, const void *b)
{
    const struct stead_lock_wait *one = &((const struct wait *)a)->names, *two = &((const struct wait *)b)->names;
    int order = strcmp(one->waiter, two->waiter);
    return order ? order : strcmp(one->address, two->address);
}

/* The first wait of this one; `count` when it waits for nothing. */
static uint32_t first_of(const struct stead_lock_cycles *cycles, const char *waiter)
{
    uint32_t low = 0, high = cycles->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (strcmp(cycles->waits[middle].names.waiter, waiter) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < cycles->count && strcmp(cycles->waits[low].names.waiter, waiter) == 0 ? low : cycles->count;
}

/* One step of the path: whose waits they are, and which is being looked at. */
struct step {
    uint32_t first, at;
};

/* The search on its way. */
struct search {
    struct stead_lock_cycles *cycles;
    struct step *path;             /* owned */
    struct stead_lock_wait *waits; /* of a circle; owned */
    uint32_t depth, found;
    stead_lock_cycles_fn *visit;
    void *context;
};

/* The wait at the end of the path is for somebody on it. */
static void close_circle(struct search *search, uint32_t holder)
{
    uint32_t from = search->depth, count = 0;

    do
        from--;
    while (search->path[from].first != holder);
    for (uint32_t i = from; i < search->depth; i++)
        search->waits[count++] = search->cycles->waits[search->path[i].at].names;
    search->found++;
    search->visit(search->context, search->waits, count);
}

/* Everything that can be reached from one who waits. */
static void search_from(struct search *search, uint32_t first)
{
    struct wait *waits = search->cycles->waits;

    search->depth = 1;
    search->path[0] = (struct step){first, first};
    waits[first].color = ON_PATH;
    while (search->depth > 0) {
        struct step *step = &search->path[search->depth - 1];
        if (step->at == search->cycles->count ||
            strcmp(waits[step->at].names.waiter, waits[step->first].names.waiter) != 0) {
            waits[step->first].color = DONE;
            search->depth--;
            if (search->depth > 0)
                search->path[search->depth - 1].at++;
            continue;
        }
        uint32_t next = first_of(search->cycles, waits[step->at].names.holder);
        if (next < search->cycles->count && waits[next].color == NEW) {
            waits[next].color = ON_PATH;
            search->path[search->depth++] = (struct step){next, next};
            continue;
        }
        if (next < search->cycles->count && waits[next].color == ON_PATH)
            close_circle(search, next);
        step->at++;
    }
}

uint32_t stead_lock_cycles_find(struct stead_lock_cycles *cycles, stead_lock_cycles_fn *visit, void *context)
{
    struct search search = {.cycles = cycles, .visit = visit, .context = context};

    if (cycles->count == 0)
        return 0;
    qsort(cycles->waits, cycles->count, sizeof(*cycles->waits), compare_waits);
    search.path = stead_alloc((size_t)cycles->count * sizeof(*search.path));
    search.waits = stead_alloc((size_t)cycles->count * sizeof(*search.waits));
    for (uint32_t i = 0; i < cycles->count; i++)
        cycles->waits[i].color = NEW;
    for (uint32_t i = 0; i < cycles->count; i++) {
        if (first_of(cycles, cycles->waits[i].names.waiter) == i && cycles->waits[i].color == NEW)
            search_from(&search, i);
    }
    free(search.path);
    free(search.waits);
    return search.found;
}
