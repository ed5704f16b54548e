/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forgotten: what is left of sessions that left memory while answers of volatile agents, which are in no row, had not
 * ended: up to which number there were such. A request up to that number that is asked again is not run again.
 *
 * Bounded: the newest STEAD_FORGOTTEN_MAX of a shard, each until its session has ended. Called by session.c. One
 * thread: the shard's.
 */
#ifndef STEAD_RUNTIME_FORGOTTEN_H
#define STEAD_RUNTIME_FORGOTTEN_H

#include "runtime/ids.h"
#include "runtime/map.h"

#define STEAD_FORGOTTEN_MAX 16384u

struct stead_forgotten {
    struct stead_forgotten *next; /* by time */
    struct stead_id id;           /* of the session, as the next two */
    stead_slot slot;
    uint64_t hash;     /* of id and slot */
    uint64_t number;   /* the highest of those answers */
    uint64_t until_ms; /* the session has ended then */
};

/* Zeroed: empty. */
struct stead_forgotten_list {
    struct stead_map sessions;           /* struct stead_forgotten, owned */
    struct stead_forgotten *head, *tail; /* the oldest, the newest */
};

/* The number of a session; 0: it is none of these. */
uint64_t stead_forgotten_number(const struct stead_forgotten_list *list, stead_slot slot, struct stead_id id,
                                uint64_t hash);
/* Adds a session (copied), or gives it another number. */
void stead_forgotten_put(struct stead_forgotten_list *list, const struct stead_forgotten *session);
/* Drops those that have ended by now. */
void stead_forgotten_sweep(struct stead_forgotten_list *list, uint64_t now_ms);
/* Bytes of all. */
uint64_t stead_forgotten_bytes(const struct stead_forgotten_list *list);
void stead_forgotten_deinit(struct stead_forgotten_list *list);

#endif
