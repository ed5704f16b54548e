/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_memory: the store's twin in memory, with a model of crashes, for the simulator and for tests. Everything that
 * happens follows from the seed.
 *
 * What a crash does: of the writes since the last sync a prefix survives, drawn from the seed; the first that does not
 * may have been torn half-way, which its checksum shows at recovery, so it is gone whole like those after it. Synced
 * writes always survive.
 *
 * Threads: one at a time.
 */
#ifndef STEAD_PERSIST_STORE_MEMORY_H
#define STEAD_PERSIST_STORE_MEMORY_H

#include "persist/store.h"

/* Returned, empty; `seed` decides what a crash takes back. */
struct stead_store *stead_store_memory_create(uint64_t seed);

/* A store of its own with everything that was written to this one, all of it synced: what a copy of a running store
 * holds. Returned. */
struct stead_store *stead_store_memory_copy(const struct stead_store *store, uint64_t seed);

/* The machine loses power and starts again: the store is as it would be after recovery. Read errors and failures that
 * were set are over. */
void stead_store_memory_crash(struct stead_store *store);
/* The process is killed, the machine stays: nothing is lost. Ends failures, as above. */
void stead_store_memory_kill(struct stead_store *store);

/* The next writes: `after` succeed, the one after that and all later fail with STEAD_EIO. Whether the failed write
 * itself is there after a crash is drawn from the seed: that is what a failed sync means. */
void stead_store_memory_fail_writes(struct stead_store *store, uint64_t after);
/* Of 1000 reads so many fail with STEAD_EIO. */
void stead_store_memory_fail_reads(struct stead_store *store, uint32_t permille);
/* Of 1000 reads at the CACHED tier so many answer STEAD_EBUSY (default 0). */
void stead_store_memory_set_cold(struct stead_store *store, uint32_t permille);

struct stead_store_memory_stats {
    uint64_t writes;      /* calls of write that succeeded */
    uint64_t syncs;       /* of them with sync */
    uint64_t unsynced;    /* writes that a crash could take back now */
    uint64_t writes_lost; /* by crashes so far */
    uint64_t writes_torn; /* of them torn half-way */
    uint64_t row_count;   /* rows in the image */
    uint64_t entry_count; /* entries in all logs */
};
/* What was written so far; for tests. */
void stead_store_memory_stats(const struct stead_store *store, struct stead_store_memory_stats *ret_stats);

#endif
