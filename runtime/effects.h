/* SPDX-License-Identifier: Apache-2.0 */
/*
 * effects: what the core wants done, as plain data. Shards only ever add to these lists; drain.c performs them through
 * the doors, in one order. Owned by a host; one thread.
 */
#ifndef STEAD_RUNTIME_EFFECTS_H
#define STEAD_RUNTIME_EFFECTS_H

#include "runtime/doors.h"
#include "runtime/queue.h"

struct stead_effect_append {
    uint32_t shard;
    uint64_t index;
    struct stead_writer entry; /* owned */
};

struct stead_effect_rows {
    uint32_t shard;
    uint64_t applied;              /* 0: not the last chunk */
    struct stead_writer mutations; /* owned */
};

struct stead_effect_trim {
    uint32_t shard;
    uint64_t index;
};

struct stead_effect_send {
    uint32_t node;
    uint16_t reactor;
    struct stead_message *message; /* owned */
};

struct stead_effect_job {
    const struct stead_kind *kind;
    const struct stead_op *op;
    struct stead_message *request; /* owned */
};

/* A growing array of one sort of effect. */
#define STEAD_EFFECT_ARRAY(type)                                                                                       \
    struct {                                                                                                           \
        type *items;                                                                                                   \
        uint32_t count, capacity;                                                                                      \
    }

struct stead_effects {
    STEAD_EFFECT_ARRAY(struct stead_effect_append) appends;
    STEAD_EFFECT_ARRAY(struct stead_effect_rows) rows;
    STEAD_EFFECT_ARRAY(struct stead_effect_trim) trims;
    STEAD_EFFECT_ARRAY(struct stead_effect_send) sends;
    STEAD_EFFECT_ARRAY(struct stead_effect_job) jobs;
    STEAD_EFFECT_ARRAY(struct stead_id) cancels;
    struct stead_load *loads, *loads_tail; /* owned list */
    struct stead_queue answers;            /* to client connections of this host */
    uint64_t deadline_ns;                  /* wake the host no later; UINT64_MAX: no need */
};

#define STEAD_EFFECT_ADD(array, ...)                                                                                   \
    do {                                                                                                               \
        if ((array)->count == (array)->capacity) {                                                                     \
            (array)->capacity = (array)->capacity == 0 ? 16 : (array)->capacity * 2;                                   \
            (array)->items = stead_realloc((array)->items, (array)->capacity * sizeof(*(array)->items));               \
        }                                                                                                              \
        (array)->items[(array)->count++] = __VA_ARGS__;                                                                \
    } while (0)

/* Performs everything in one order: persist, replicate, speak, arm; leaves the lists empty. In-sync sets have
 * one member yet, so replicating is nothing. */
void stead_drain(struct stead_effects *effects, const struct stead_doors *doors);
bool stead_effects_empty(const struct stead_effects *effects);
void stead_effects_deinit(struct stead_effects *effects);

#endif
