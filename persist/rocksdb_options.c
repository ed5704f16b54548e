/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rocksdb_options: how RocksDB is set up, but for what its crash safety hangs on (store_rocksdb.c says that).
 *
 * One log: max_total_wal_size, else a quiet family would pin log files for ever. One background flush (two can install
 * out of order in 7.8). Bloom filters for rows, since most gets of a virtual actor system ask for agents that never
 * were; in the memtable too. Index and filter blocks live in the block cache, which is the memory bound. A large value
 * has a block of its own: who looks for the small row before it, or where nothing is, does not read megabytes. No
 * compression of the log: it is young and short-lived. No statistics threads: an idle node does not wake.
 *
 * RocksDB writes nothing into its own log (the file LOG, which stays empty). What it has to say comes as the error of
 * a write or a read; and on a full disk the second flush of that file ends the process, by an assertion in RocksDB,
 * before the node could say why it stops. The C interface has no other logger to put in its place.
 */
#include "persist/rocksdb_options.h"

#include "runtime/base.h"

#define MEBIBYTE (1024ull * 1024)
#define CACHE_BYTES_DEFAULT (64 * MEBIBYTE)
#define MEMTABLE_BYTES_DEFAULT (64 * MEBIBYTE)
#define WAL_BYTES_DEFAULT (128 * MEBIBYTE) /* read again at a start after a crash: some 4 ms a mebibyte */
#define META_MEMTABLE_BYTES (1 * MEBIBYTE)
#define LOG_FILES_MERGED                                                                                               \
    16 /* fresh files of the log that are merged at once: it is written once, hardly read and deleted from its start */
#define BLOOM_BITS 10.0
#define BLOCK_BYTES 4096
#define NO_MESSAGES 5      /* above the level of fatal errors: the C interface has no name for it */
#define BLOCK_DEVIATION 99 /* per cent: a block that has anything ends before a value that would make it too large */

rocksdb_cache_t *stead_rocksdb_cache(const struct stead_store_rocksdb_options *given)
{
    return rocksdb_cache_create_lru(given->cache_bytes > 0 ? given->cache_bytes : CACHE_BYTES_DEFAULT);
}

static uint64_t memtable_bytes_of(const struct stead_store_rocksdb_options *given)
{
    return given->memtable_bytes > 0 ? given->memtable_bytes : MEMTABLE_BYTES_DEFAULT;
}

static rocksdb_block_based_table_options_t *create_table_options(rocksdb_cache_t *cache, bool bloom)
{
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(table, cache);
    rocksdb_block_based_options_set_block_size(table, BLOCK_BYTES);
    rocksdb_block_based_options_set_block_size_deviation(table, BLOCK_DEVIATION);
    rocksdb_block_based_options_set_format_version(table, 5);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(table, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1);
    /* Index and filter in parts of a block each: whole, those of one file are half a megabyte, which is the size of one
     * shard of the cache: every look at a key would read its file's again. */
    rocksdb_block_based_options_set_index_type(table, rocksdb_block_based_table_index_type_two_level_index_search);
    rocksdb_block_based_options_set_partition_filters(table, 1);
    rocksdb_block_based_options_set_metadata_block_size(table, BLOCK_BYTES);
    rocksdb_block_based_options_set_pin_top_level_index_and_filter(table, 1);
    if (bloom) /* consumed */
        rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS));
    return table;
}

/* Where a block ends, the index has its last key as it is: a shortened one may lie behind the keys of a hundred slots
 * that have nothing, and each look for those would read the block. The C interface has only this way to say so.
 * `options` is consumed. */
static rocksdb_options_t *with_whole_index_keys(rocksdb_options_t *options)
{
    rocksdb_options_t *whole = rocksdb_options_create();
    char *error = NULL;
    rocksdb_get_options_from_string(options, "block_based_table_factory={index_shortening=kNoShortening}", whole,
                                    &error);
    STEAD_ASSERT(error == NULL);
    rocksdb_options_destroy(options);
    return whole;
}

rocksdb_options_t *stead_rocksdb_family_options(const struct stead_store_rocksdb_options *given,
                                                enum stead_rocksdb_family family, rocksdb_cache_t *cache)
{
    uint64_t memtable_bytes = memtable_bytes_of(given);
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_block_based_table_options_t *table = create_table_options(cache, family == STEAD_ROCKSDB_ROWS);
    rocksdb_options_set_block_based_table_factory(options, table);
    rocksdb_block_based_options_destroy(table);
    rocksdb_options_set_compression(options, rocksdb_no_compression);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
    rocksdb_options_set_max_write_buffer_number(options, 3);
    switch (family) {
    case STEAD_ROCKSDB_ROWS:
        rocksdb_options_set_write_buffer_size(options, memtable_bytes);
        rocksdb_options_set_memtable_whole_key_filtering(options, 1);
        rocksdb_options_set_memtable_prefix_bloom_size_ratio(options, 0.02);
        break;
    case STEAD_ROCKSDB_LOG:
        rocksdb_options_set_write_buffer_size(options, memtable_bytes / 4);
        rocksdb_options_set_level0_file_num_compaction_trigger(options, LOG_FILES_MERGED);
        rocksdb_options_set_level0_slowdown_writes_trigger(options, 3 * LOG_FILES_MERGED);
        rocksdb_options_set_level0_stop_writes_trigger(options, 4 * LOG_FILES_MERGED);
        break;
    case STEAD_ROCKSDB_META:
    case STEAD_ROCKSDB_DEFAULT:
    default:
        rocksdb_options_set_write_buffer_size(options, META_MEMTABLE_BYTES);
        break;
    }
    return with_whole_index_keys(options);
}

rocksdb_options_t *stead_rocksdb_database_options(const struct stead_store_rocksdb_options *given)
{
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(options, given->create);
    rocksdb_options_set_create_missing_column_families(options, given->create);
    rocksdb_options_set_paranoid_checks(options, 1);
    rocksdb_options_set_wal_recovery_mode(options, rocksdb_point_in_time_recovery);
    rocksdb_options_set_recycle_log_file_num(options, 0);
    rocksdb_options_set_max_total_wal_size(options,
                                           given->wal_bytes_max > 0 ? given->wal_bytes_max : WAL_BYTES_DEFAULT);
    rocksdb_options_set_db_write_buffer_size(options, 2 * memtable_bytes_of(given));
    rocksdb_options_set_max_background_flushes(options, 1);
    rocksdb_options_set_max_background_compactions(options, 1);
    rocksdb_options_set_bytes_per_sync(options, MEBIBYTE);
    rocksdb_options_set_keep_log_file_num(options, 2);
    rocksdb_options_set_info_log_level(options, NO_MESSAGES);
    rocksdb_options_set_stats_dump_period_sec(options, 0);
    rocksdb_options_set_stats_persist_period_sec(options, 0);
    return options;
}
