/* SPDX-License-Identifier: Apache-2.0 */
/*
 * world: time, chance and the order of things, for one simulated run.
 *
 * Everything that happens is an event in one ordered queue, and everything random is drawn from one generator, so a run
 * is a function of its seed. Each event and each decision worth seeing is noted: mixed into a hash that must be the
 * same when the seed runs again, and printed when the run is traced.
 *
 * One world, one thread.
 */
#ifndef STEAD_SIM_WORLD_H
#define STEAD_SIM_WORLD_H

#include <stdbool.h>

#include "runtime/base.h"

#define STEAD_US 1000ull
#define STEAD_MS 1000000ull
#define STEAD_S 1000000000ull
#define STEAD_WORLD_EVENTS_MAX 1000000u /* of one run; most have some ten thousand */

/* Runs at its time. An event cannot be taken back: `number` names the life of what it is about, and who finds it over
 * frees `data` and returns. */
typedef void stead_world_fn(void *self, uint64_t number, void *data);

struct stead_world_event {
    uint64_t at_ns; /* virtual time */
    uint64_t order; /* of events at the same time: first planned, first run */
    stead_world_fn *run;
    void *self;
    uint64_t number;
    void *data;
};

struct stead_world {
    uint64_t now_ns;                /* virtual, from 0 */
    uint64_t planned;               /* events ever */
    uint64_t ran;                   /* events run */
    uint64_t hash;                  /* of all notes */
    uint64_t seed;                  /* of the run */
    bool traced;                    /* print notes */
    const char *rerun;              /* the command line that runs this seed again; borrowed */
    struct stead_rng rng;           /* the only source of chance */
    struct stead_world_event *heap; /* binary heap by (at_ns, order) */
    uint32_t count, capacity;
};

void stead_world_init(struct stead_world *world, uint64_t seed);
/* Every event must have run. */
void stead_world_deinit(struct stead_world *world);

void stead_world_after(struct stead_world *world, uint64_t delay_ns, stead_world_fn *run, void *self, uint64_t number,
                       void *data);
/* Runs the next event; false when there is none, or none before `until_ns`. */
bool stead_world_step(struct stead_world *world, uint64_t until_ns);

/* 0 <= result < bound; bound > 0. */
uint64_t stead_world_below(struct stead_world *world, uint64_t bound);
/* from <= result <= to. */
uint64_t stead_world_between(struct stead_world *world, uint64_t from, uint64_t to);
/* True `permille` of 1000 times. */
bool stead_world_chance(struct stead_world *world, uint32_t permille);
/* A delay: most are near `usual_ns`, one in twenty up to ten times, one in two hundred up to a hundred times as
 * long. */
uint64_t stead_world_delay(struct stead_world *world, uint64_t usual_ns);

/* `what` is a word; the numbers mean what it says. */
void stead_world_note(struct stead_world *world, const char *what, uint64_t a, uint64_t b, uint64_t c);
/* As above, with a text that is hashed too. */
void stead_world_note_text(struct stead_world *world, const char *what, uint64_t a, const char *text);

/* A promise was broken: prints why, the seed, the version and the line that runs it again, and ends the process with
 * code 1. */
_Noreturn void stead_world_fail(const struct stead_world *world, const char *format, ...) STEAD_PRINTF(2, 3);

#endif
