/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_entry: a log entry from a damaged disk. The checksum would stop nearly every input at the door, so each is tried
 * twice: as it is, and with its last four bytes replaced by the right checksum, as a bug in the writer would have
 * stored it.
 */
#include "fuzz/fuzz.h"
#include "runtime/entry.h"
#include "runtime/rows.h"

/* Behind a decode nothing can fail and nothing is left over. */
static void walk(const struct stead_entry *entry)
{
    struct stead_slice mutations = entry->mutations, turns = entry->turns;
    struct stead_mutation mutation;
    struct stead_turn_record turn;
    struct stead_row_parsed parsed;
    uint32_t mutation_count = 0, turn_count = 0;
    int code;

    while ((code = stead_entry_next_mutation(&mutations, &mutation)) == 1) {
        mutation_count++;
        STEAD_ASSERT(stead_row_parse(mutation.key, &parsed) <= 0);
    }
    STEAD_ASSERT(code == 0 && mutation_count == entry->header.mutation_count);
    while ((code = stead_entry_next_turn(&turns, &turn)) == 1) {
        turn_count++;
        STEAD_ASSERT(stead_value_check(turn.events) <= 0);
    }
    STEAD_ASSERT(code == 0 && turn_count == entry->header.turn_count);
}

static void decode(struct stead_slice bytes)
{
    struct stead_entry entry;

    if (stead_entry_decode(bytes, &entry) == 0)
        walk(&entry);
}

/* Mutations also come alone, in a checkpoint's chunks: whatever they are, taking them ends. */
static void walk_alone(struct stead_slice bytes)
{
    struct stead_mutation mutation;

    while (stead_entry_next_mutation(&bytes, &mutation) == 1)
        ;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stead_slice bytes = fuzz_copy(data, size);
    uint8_t *owned = (uint8_t *)(uintptr_t)bytes.data;

    decode(bytes);
    walk_alone(bytes);
    if (size >= 4) {
        stead_store32(owned + size - 4, stead_crc32c(0, owned, size - 4));
        decode(bytes);
    }
    fuzz_free(bytes);
    return 0;
}
