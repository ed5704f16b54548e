/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_rocksdb: the store on RocksDB 7.8. See store_rocksdb.c for how its options were chosen.
 * Threads: open and close: one; else as store.h says.
 */
#ifndef STEAD_PERSIST_STORE_ROCKSDB_H
#define STEAD_PERSIST_STORE_ROCKSDB_H

#include "persist/store.h"

struct stead_store_rocksdb_options {
    uint64_t cache_bytes;    /* block cache of rows and log together; 0: 64 MiB */
    uint64_t memtable_bytes; /* of the rows; the log's is a quarter, all together may have twice as much; 0: 64 MiB */
    uint64_t wal_bytes_max;  /* total of write-ahead logs before families are flushed; 0: 128 MiB */
    bool create;             /* make the folder's database when there is none; else STEAD_ENOTFOUND */
    bool read_only;          /* for `check`: nothing is written, nor locked */
};

/* Opens `folder`. STEAD_EINUSE: open by another process; STEAD_EVERSION: of another format; STEAD_ECORRUPT: damaged;
 * STEAD_ENOTFOUND, STEAD_EIO. `ret_sentence` (STEAD_STORE_SENTENCE_MAX bytes) then says which folder and why; it is ""
 * on success. `options` may be NULL. */
int stead_store_rocksdb_open(const char *folder, const struct stead_store_rocksdb_options *options,
                             struct stead_store **ret_store, char *ret_sentence) STEAD_MUST_USE;

/* The process that has `folder` open; 0: none. Not for a process that may have it open itself: that would lose its
 * lock. */
int32_t stead_store_rocksdb_holder(const char *folder);

#endif
