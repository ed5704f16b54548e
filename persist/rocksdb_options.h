/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rocksdb_options: the options of RocksDB for store_rocksdb.c, its only caller. One thread; all objects are returned.
 */
#ifndef STEAD_PERSIST_ROCKSDB_OPTIONS_H
#define STEAD_PERSIST_ROCKSDB_OPTIONS_H

#include <rocksdb/c.h>

#include "persist/store_rocksdb.h"

/* The column families, in the order in which they are opened. */
enum stead_rocksdb_family {
    STEAD_ROCKSDB_DEFAULT, /* empty: RocksDB wants it */
    STEAD_ROCKSDB_ROWS,
    STEAD_ROCKSDB_LOG,
    STEAD_ROCKSDB_META,
    STEAD_ROCKSDB_FAMILIES
};

/* The block cache that all families share. */
rocksdb_cache_t *stead_rocksdb_cache(const struct stead_store_rocksdb_options *given);
rocksdb_options_t *stead_rocksdb_database_options(const struct stead_store_rocksdb_options *given);
/* `cache` is borrowed: the options hold a share of their own. */
rocksdb_options_t *stead_rocksdb_family_options(const struct stead_store_rocksdb_options *given,
                                                enum stead_rocksdb_family family, rocksdb_cache_t *cache);

#endif
