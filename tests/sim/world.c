/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue is a binary heap by (time, order of planning), so two events of one moment run in the order in which they
 * were planned and nothing depends on addresses or on the C library. The hash is FNV-1a over the words and numbers of
 * all notes.
 *
 * Invariants: time never goes back; an event planned for the present runs after the one that planned it.
 */
#include "tests/sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef STEAD_COMMIT
#define STEAD_COMMIT "unknown"
#endif

void stead_world_init(struct stead_world *world, uint64_t seed)
{
    *world = (struct stead_world){.seed = seed, .hash = 0xcbf29ce484222325u};
    stead_rng_seed(&world->rng, seed);
}

void stead_world_deinit(struct stead_world *world)
{
    STEAD_ASSERT(world->count == 0);
    free(world->heap);
    world->heap = NULL;
}

static bool runs_before(const struct stead_world_event *a, const struct stead_world_event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

void stead_world_after(struct stead_world *world, uint64_t delay_ns, stead_world_fn *run, void *self, uint64_t number,
                       void *data)
{
    if (world->count == world->capacity) {
        world->capacity = world->capacity == 0 ? 256 : world->capacity * 2;
        world->heap = stead_realloc(world->heap, world->capacity * sizeof *world->heap);
    }
    struct stead_world_event event = {world->now_ns + delay_ns, world->planned++, run, self, number, data};
    uint32_t at = world->count++;
    for (; at > 0 && runs_before(&event, &world->heap[(at - 1) / 2]); at = (at - 1) / 2)
        world->heap[at] = world->heap[(at - 1) / 2];
    world->heap[at] = event;
}

static struct stead_world_event pop_event(struct stead_world *world)
{
    struct stead_world_event first = world->heap[0];
    struct stead_world_event last = world->heap[--world->count];
    uint32_t at = 0;

    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child + 1 < world->count && runs_before(&world->heap[child + 1], &world->heap[child]))
            child++;
        if (child >= world->count || !runs_before(&world->heap[child], &last))
            break;
        world->heap[at] = world->heap[child];
        at = child;
    }
    if (world->count > 0)
        world->heap[at] = last;
    return first;
}

bool stead_world_step(struct stead_world *world, uint64_t until_ns)
{
    if (world->count == 0 || world->heap[0].at_ns >= until_ns)
        return false;
    struct stead_world_event event = pop_event(world);
    STEAD_ASSERT(event.at_ns >= world->now_ns);
    world->now_ns = event.at_ns;
    if (++world->ran > STEAD_WORLD_EVENTS_MAX)
        stead_world_fail(world, "it does not come to rest");
    event.run(event.self, event.number, event.data);
    return true;
}

uint64_t stead_world_below(struct stead_world *world, uint64_t bound)
{
    return stead_rng_below(&world->rng, bound);
}

uint64_t stead_world_between(struct stead_world *world, uint64_t from, uint64_t to)
{
    return from + stead_rng_below(&world->rng, to - from + 1);
}

bool stead_world_chance(struct stead_world *world, uint32_t permille)
{
    return stead_rng_below(&world->rng, 1000) < permille;
}

uint64_t stead_world_delay(struct stead_world *world, uint64_t usual_ns)
{
    uint64_t luck = stead_rng_below(&world->rng, 200);
    uint64_t scale = luck == 0 ? 100 : luck < 10 ? 10 : 1;

    return usual_ns / 2 + stead_rng_below(&world->rng, usual_ns * scale + 1);
}

static void mix(struct stead_world *world, const void *data, size_t size)
{
    const uint8_t *at = data;

    for (size_t i = 0; i < size; i++)
        world->hash = (world->hash ^ at[i]) * 0x100000001b3u;
}

void stead_world_note(struct stead_world *world, const char *what, uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t numbers[4] = {world->now_ns, a, b, c};

    mix(world, what, strlen(what));
    mix(world, numbers, sizeof numbers);
    if (world->traced)
        printf("%12.6f %-12s %llu %llu %llu\n", (double)world->now_ns / 1e9, what, (unsigned long long)a,
               (unsigned long long)b, (unsigned long long)c);
}

void stead_world_note_text(struct stead_world *world, const char *what, uint64_t a, const char *text)
{
    uint64_t numbers[2] = {world->now_ns, a};

    mix(world, what, strlen(what));
    mix(world, numbers, sizeof numbers);
    mix(world, text, strlen(text));
    if (world->traced)
        printf("%12.6f %-12s %llu %s\n", (double)world->now_ns / 1e9, what, (unsigned long long)a, text);
}

void stead_world_fail(const struct stead_world *world, const char *format, ...)
{
    char why[2048];
    va_list args;

    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    fflush(stdout);
    fprintf(stderr, "FAILED seed %llu at %.6f s: %s\n  commit %s\n  run again: %s\n", (unsigned long long)world->seed,
            (double)world->now_ns / 1e9, why, STEAD_COMMIT, world->rerun == NULL ? "" : world->rerun);
    fflush(stderr);
    _Exit(1);
}
