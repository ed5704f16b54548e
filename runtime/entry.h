/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entry: one log entry of a shard: the atomic unit of everything durable.
 *
 * An entry holds physical, absolute mutations of rows (applying it twice changes nothing and runs no user code) and one
 * record for each turn in it, for the journal. Layout in docs/FORMATS.md: a fixed header, mutations, turn records, a
 * CRC-32C of all before it. Little-endian throughout. Decoding is strict: whatever does not add up is STEAD_ECORRUPT,
 * and nothing is read past the end.
 *
 * Pure; any thread.
 */
#ifndef STEAD_RUNTIME_ENTRY_H
#define STEAD_RUNTIME_ENTRY_H

#include "runtime/ids.h"
#include "stead/value.h"

struct stead_entry_header {
    uint32_t shard;
    uint64_t epoch;          /* of the primary that wrote it */
    uint64_t index;          /* from 1, without gaps */
    uint64_t clock;          /* hybrid logical clock: ms << 16 | counter; monotone within a shard */
    uint32_t mutation_count; /* filled in at the end, as the next two */
    uint32_t turn_count;
    uint32_t mutation_bytes;
};

/* One turn, for the journal. Slices are borrowed. */
struct stead_turn_record {
    struct stead_slice address;
    uint64_t incarnation;
    uint64_t previous; /* index of the entry with this agent's turn before; 0: none kept */
    struct stead_slice op;
    uint8_t cause_type;        /* enum stead_message_type; 0: a timer */
    struct stead_slice cause;  /* address of the sender; empty: a client */
    struct stead_id id;        /* of the message */
    uint64_t now_ms;           /* the turn's clock */
    int32_t status;            /* 0, or the code it failed with */
    struct stead_slice events; /* msgpack array of [name, value]; empty: none */
};

/* ---- Writing -------------------------------------------------------------------------------- */

/* begin (into an empty writer), then mutations, then turns_begin, turns, then end. */
void stead_entry_begin(struct stead_writer *entry, const struct stead_entry_header *header);
/* Mutations also stand alone, without begin and end, in a checkpoint's chunks. */
void stead_entry_put(struct stead_writer *entry, struct stead_slice key, struct stead_slice value);
void stead_entry_delete(struct stead_writer *entry, struct stead_slice key);
void stead_entry_delete_range(struct stead_writer *entry, struct stead_slice from, struct stead_slice to);
void stead_entry_turn(struct stead_writer *entry, const struct stead_turn_record *turn);
/* Between the last mutation and the first turn. */
void stead_entry_turns_begin(struct stead_writer *entry, uint32_t mutation_count);
void stead_entry_end(struct stead_writer *entry, uint32_t turn_count);

/* ---- Reading -------------------------------------------------------------------------------- */

struct stead_entry {
    struct stead_entry_header header;
    struct stead_slice mutations; /* borrowed, as the next */
    struct stead_slice turns;
};
/* Checks the checksum, the counts and every length; afterwards the iterators cannot fail. */
int stead_entry_decode(struct stead_slice bytes, struct stead_entry *ret_entry) STEAD_MUST_USE;

enum stead_mutation_type { STEAD_MUTATION_PUT = 1, STEAD_MUTATION_DELETE = 2, STEAD_MUTATION_DELETE_RANGE = 3 };
struct stead_mutation {
    enum stead_mutation_type type;
    struct stead_slice key;   /* range: from */
    struct stead_slice value; /* range: to */
};
/* Takes the next from the front of `*mutations`: 1, 0 at the end, STEAD_ECORRUPT (never after a decode). */
int stead_entry_next_mutation(struct stead_slice *mutations, struct stead_mutation *ret_mutation) STEAD_MUST_USE;
int stead_entry_next_turn(struct stead_slice *turns, struct stead_turn_record *ret_turn) STEAD_MUST_USE;

uint32_t stead_crc32c(uint32_t crc, const void *data, size_t size);          /* Castagnoli, starts at 0 */
uint32_t stead_crc32c_portable(uint32_t crc, const void *data, size_t size); /* the same without special instructions */

#endif
