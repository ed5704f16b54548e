/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ids: the small values that name things, each a struct of its own where two could be swapped by mistake.
 * Pure values; any thread.
 */
#ifndef STEAD_RUNTIME_IDS_H
#define STEAD_RUNTIME_IDS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* A slot: placement group in the high 4 bits, hash of the address mod 4096 in the low 12. */
typedef struct {
    uint16_t v;
} stead_slot;

#define STEAD_SLOTS_PER_GROUP 4096u
#define STEAD_GROUPS 16u
#define STEAD_SLOTS (STEAD_SLOTS_PER_GROUP * STEAD_GROUPS)
#define STEAD_GROUP_DEFAULT 0u
#define STEAD_GROUP_ENDPOINTS 15u  /* reserved: sessions and nodes */
#define STEAD_SLOT_SESSION 0xF000u /* a client's session: found by its route, not by a table */
#define STEAD_SLOT_NODE 0xF001u    /* a node itself: control records and queries */

static inline unsigned stead_slot_group(stead_slot slot)
{
    return (unsigned)slot.v >> 12;
}

/* 128 bits, compared as bytes. */
struct stead_id {
    uint8_t v[16];
};

static inline bool stead_id_equal(struct stead_id a, struct stead_id b)
{
    return memcmp(a.v, b.v, sizeof(a.v)) == 0;
}
static inline bool stead_id_is_zero(struct stead_id a)
{
    static const struct stead_id zero = {{0}};
    return stead_id_equal(a, zero);
}

/* The number of a message in a channel: (epoch of its assignment, counter), ordered in that order. */
struct stead_seq {
    uint64_t epoch;
    uint64_t counter;
};

static inline int stead_seq_compare(struct stead_seq a, struct stead_seq b)
{
    if (a.epoch != b.epoch)
        return a.epoch < b.epoch ? -1 : 1;
    return a.counter < b.counter ? -1 : a.counter > b.counter;
}

/* How an answer finds a client's connection: where the request came in. Node 0: no route. */
struct stead_route {
    uint32_t node;       /* node id, from 1; 0: none */
    uint16_t reactor;    /* index of the reactor whose ROUTER holds the connection */
    uint64_t connection; /* the reactor's own number of the connection, never reused in a node's life */
};

#endif
