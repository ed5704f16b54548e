/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store: the durable bytes of one node: the image's rows, the shards' logs, a few marks (format.h). One table of
 * functions with two twins: store_rocksdb.h, the real one, and store_memory.h, the simulator's, which forgets unsynced
 * writes at a crash. One contract test (tests/unit/persist/test_store.c) runs against both.
 *
 * A write is a list of operations: all of them or none. With `sync` it returns when this write and every one before it
 * survive a crash of the machine; without, they survive the death of the process, and after a crash of the machine a
 * prefix of them is there.
 *
 * Threads: RocksDB: reads from any thread, writes from any but by design the log writer's alone. Memory: one thread at
 * a time. A visitor runs inside the store: it may read, but not write or close it. Its slices are borrowed until it
 * returns.
 */
#ifndef STEAD_PERSIST_STORE_H
#define STEAD_PERSIST_STORE_H

#include "runtime/doors.h"
#include "stead/value.h"

#define STEAD_STORE_SENTENCE_MAX 512 /* bytes, its zero included */

enum stead_store_op_type {
    STEAD_STORE_APPEND,  /* shard, index, bytes: one log entry */
    STEAD_STORE_ROWS,    /* shard, bytes: mutations as in entry.h, applied to the image in their order */
    STEAD_STORE_APPLIED, /* shard, index: the image is complete up to it */
    STEAD_STORE_TRIM,    /* shard, index: deletes log entries from the first kept to this one, inclusive */
    STEAD_STORE_META     /* key, bytes: puts a mark; empty bytes delete it */
};

struct stead_store_op {
    enum stead_store_op_type type;
    uint32_t shard;
    uint64_t index;
    struct stead_slice key;   /* META */
    struct stead_slice bytes; /* APPEND, ROWS, META; borrowed */
};

enum stead_store_tier {
    STEAD_STORE_ANY,   /* may wait for the disk */
    STEAD_STORE_CACHED /* memory only: STEAD_EBUSY when the answer needs the disk */
};

/* Returns non-zero to stop the walk, which then returns that. */
typedef int stead_log_visit_fn(void *context, uint32_t shard, uint64_t index, struct stead_slice entry);

struct stead_store {
    const struct stead_store_functions *functions; /* of the twin that embeds this struct */
};

struct stead_store_functions {
    int (*write)(struct stead_store *store, const struct stead_store_op *ops, uint32_t op_count, bool sync);
    int (*get)(struct stead_store *store, struct stead_slice key, enum stead_store_tier tier,
               struct stead_writer *ret_value);
    int (*scan)(struct stead_store *store, struct stead_slice from, struct stead_slice to, bool reverse,
                enum stead_store_tier tier, stead_row_visit_fn *visit, void *context);
    int (*scan_ranges)(struct stead_store *store, stead_row_range_fn *next, stead_row_visit_fn *visit, void *context);
    int (*log_get)(struct stead_store *store, uint32_t shard, uint64_t index, struct stead_writer *ret_entry);
    int (*log_read)(struct stead_store *store, uint32_t shard, uint64_t from_index, stead_log_visit_fn *visit,
                    void *context);
    int (*log_last)(struct stead_store *store, uint32_t shard, uint64_t *ret_index);
    int (*meta_get)(struct stead_store *store, struct stead_slice key, struct stead_writer *ret_value);
    int (*meta_scan)(struct stead_store *store, stead_row_visit_fn *visit, void *context);
    uint64_t (*bytes)(struct stead_store *store);
    int (*reclaim)(struct stead_store *store, bool log_alone);
    int (*backup)(struct stead_store *store, const char *folder);
    void (*explain)(struct stead_store *store, char *ret_sentence, size_t size);
    void (*close)(struct stead_store **store);
};

/* All or nothing. 0; STEAD_EIO (after which the store is not to be written again: a failed sync may have dropped data),
 * STEAD_ECORRUPT when the bytes of a ROWS operation are no mutations (nothing was written). */
int stead_store_write(struct stead_store *store, const struct stead_store_op *ops, uint32_t op_count,
                      bool sync) STEAD_MUST_USE;

/* One row. 0, STEAD_ENOTFOUND, STEAD_EBUSY (CACHED only), STEAD_EIO, STEAD_ECORRUPT. The value is appended to
 * `ret_value` (raw bytes). */
int stead_store_get(struct stead_store *store, struct stead_slice key, enum stead_store_tier tier,
                    struct stead_writer *ret_value) STEAD_MUST_USE;

/* Rows of from <= key < to in order (reverse: falling); an empty `to` has no end. 0 at the end, what `visit` returned,
 * STEAD_EBUSY (CACHED only; some rows may have been visited), STEAD_EIO, STEAD_ECORRUPT. */
int stead_store_scan(struct stead_store *store, struct stead_slice from, struct stead_slice to, bool reverse,
                     enum stead_store_tier tier, stead_row_visit_fn *visit, void *context) STEAD_MUST_USE;

/* Rows of many ranges, as `next` names them: one view of the store, one iterator, a seek for each range. `visit`
 * non-zero ends the range, not the scan. 0, STEAD_EIO, STEAD_ECORRUPT. */
int stead_store_scan_ranges(struct stead_store *store, stead_row_range_fn *next, stead_row_visit_fn *visit,
                            void *context) STEAD_MUST_USE;

/* Answers a load of the core: fills in ret_code, ret_found, ret_count and ret_rows. STEAD_EBUSY (CACHED only): nothing
 * is filled in, give it to a thread that may wait. Else 0: the answer, errors included, is in the load. */
int stead_store_load(struct stead_store *store, enum stead_store_tier tier, struct stead_load *load) STEAD_MUST_USE;

/* One log entry, appended to `ret_entry`. 0, STEAD_ENOTFOUND, STEAD_EIO, STEAD_ECORRUPT. */
int stead_store_log_get(struct stead_store *store, uint32_t shard, uint64_t index,
                        struct stead_writer *ret_entry) STEAD_MUST_USE;

/* Entries of `shard` from `from_index` on, in order; shard 0: of all shards, shard by shard. The store does not look at
 * the entries: gaps and damage are the visitor's to find. */
int stead_store_log_read(struct stead_store *store, uint32_t shard, uint64_t from_index, stead_log_visit_fn *visit,
                         void *context) STEAD_MUST_USE;

/* The last index in the log of `shard`; 0 when it is empty. */
int stead_store_log_last(struct stead_store *store, uint32_t shard, uint64_t *ret_index) STEAD_MUST_USE;

/* A mark by name. 0, STEAD_ENOTFOUND, STEAD_EIO, STEAD_ECORRUPT. Appended to `ret_value`. */
int stead_store_meta_get(struct stead_store *store, const char *name, struct stead_writer *ret_value) STEAD_MUST_USE;
int stead_store_meta_scan(struct stead_store *store, stead_row_visit_fn *visit, void *context) STEAD_MUST_USE;
/* Writes a mark, synced; for starts and stops. */
int stead_store_meta_put(struct stead_store *store, const char *name, struct stead_slice value) STEAD_MUST_USE;
/* Up to which index the image of `shard` is complete; 0 when it was never written. */
int stead_store_applied(struct stead_store *store, uint32_t shard, uint64_t *ret_index) STEAD_MUST_USE;

/* Bytes on disk, about; for the quota. */
uint64_t stead_store_bytes(struct stead_store *store);

/* Gives the room of what was deleted, of all or of the log alone, back to the disk, by writing anew what is left: takes
 * time and, meanwhile, room. Does nothing when nothing was deleted since the last time (after an open: may have been).
 * Any thread, not two at once; reads and writes go on. 0 or STEAD_EIO. */
int stead_store_reclaim(struct stead_store *store, bool log_alone) STEAD_MUST_USE;

/* A consistent copy of everything written before, into a folder that does not exist yet; writes may go on.
 * STEAD_EINUSE when `folder` is there. (The copy alone; backup.h adds the manifest.) */
int stead_store_backup(struct stead_store *store, const char *folder) STEAD_MUST_USE;

/* Why the last failure happened, as a sentence with the engine's own words; "" when there was none. */
void stead_store_explain(struct stead_store *store, char *ret_sentence, size_t size);

/* Nulls `*store`; NULL is fine. Unsynced writes are flushed. */
void stead_store_close(struct stead_store **store);

#endif
