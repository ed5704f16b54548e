/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_disk: what the same bytes cost in a bare RocksDB: the floors of everything durable.
 *
 * The options are those of persist/store_rocksdb.c that matter to writes: no compression, one log for all, its
 * memtables, one flush and one compaction at once. Records go under rising keys into a family of their own, as a log
 * does; images under scattered keys into the other, as agents' states do. Stead's own store is not used: then its costs
 * would be part of the floor.
 */
#include "cmd/bench.h"

#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base.h"

#define LOG_MEMTABLE_BYTES (64u << 20)
#define ROWS_MEMTABLE_BYTES (256u << 20)
#define WAL_BYTES_MAX (1024ull << 20)
#define KEY_BYTES 16
#define VALUE_MAX 65536u
#define IMAGES_PER_BATCH 1024u

struct stead_bench_disk {
    rocksdb_t *db;
    rocksdb_options_t *options, *rows_options;
    rocksdb_writeoptions_t *synced, *unsynced;
    rocksdb_column_family_handle_t *log, *rows;
    uint64_t next;        /* key of the next record */
    uint8_t *value;       /* VALUE_MAX bytes */
    struct stead_rng rng; /* keys of images */
};

static rocksdb_options_t *make_options(size_t memtable_bytes)
{
    rocksdb_options_t *options = rocksdb_options_create();

    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_create_missing_column_families(options, 1);
    rocksdb_options_set_compression(options, rocksdb_no_compression);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
    rocksdb_options_set_write_buffer_size(options, memtable_bytes);
    rocksdb_options_set_max_write_buffer_number(options, 3);
    rocksdb_options_set_max_total_wal_size(options, WAL_BYTES_MAX);
    rocksdb_options_set_max_background_flushes(options, 1);
    rocksdb_options_set_max_background_compactions(options, 1);
    rocksdb_options_set_bytes_per_sync(options, 1 << 20);
    return options;
}

int stead_bench_disk_open(struct stead_bench *bench, struct stead_bench_disk **ret_disk)
{
    struct stead_bench_disk *disk = stead_alloc_zero(sizeof *disk);
    const char *const names[] = {"default", "rows"};
    rocksdb_column_family_handle_t *families[2] = {NULL, NULL};
    char folder[STEAD_BENCH_PATH_SIZE], *error = NULL;

    snprintf(folder, sizeof folder, "%s/floor.%u", bench->folder, ++bench->nodes_started);
    disk->options = make_options(LOG_MEMTABLE_BYTES);
    disk->rows_options = make_options(ROWS_MEMTABLE_BYTES);
    disk->synced = rocksdb_writeoptions_create();
    disk->unsynced = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(disk->synced, 1);
    disk->value = stead_alloc_zero(VALUE_MAX);
    stead_rng_seed(&disk->rng, 1);
    const rocksdb_options_t *family_options[] = {disk->options, disk->rows_options};
    disk->db = rocksdb_open_column_families(disk->options, folder, 2, (const char *const *)names, family_options,
                                            families, &error);
    disk->log = families[0];
    disk->rows = families[1];
    if (error) {
        stead_bench_fail(bench, "no bare RocksDB: %s", error);
        rocksdb_free(error);
        stead_bench_disk_close(&disk);
        return STEAD_EIO;
    }
    *ret_disk = disk;
    return 0;
}

void stead_bench_disk_close(struct stead_bench_disk **disk)
{
    struct stead_bench_disk *it = *disk;

    *disk = NULL;
    if (!it)
        return;
    if (it->log)
        rocksdb_column_family_handle_destroy(it->log);
    if (it->rows)
        rocksdb_column_family_handle_destroy(it->rows);
    if (it->db)
        rocksdb_close(it->db);
    rocksdb_options_destroy(it->options);
    rocksdb_options_destroy(it->rows_options);
    rocksdb_writeoptions_destroy(it->synced);
    rocksdb_writeoptions_destroy(it->unsynced);
    free(it->value);
    free(it);
}

static void make_key(uint64_t number, char *key)
{
    memset(key, 0, KEY_BYTES);
    for (int i = 0; i < 8; i++)
        key[i] = (char)(number >> (56 - 8 * i));
}

static int settle(char *error)
{
    if (!error)
        return 0;
    rocksdb_free(error);
    return STEAD_EIO;
}

int stead_bench_disk_puts(struct stead_bench_disk *disk, size_t size, uint64_t *ret_ns, size_t count)
{
    char key[KEY_BYTES], *error = NULL;

    size = size < VALUE_MAX ? size : VALUE_MAX;
    for (size_t i = 0; i < count && !error; i++) {
        uint64_t start_ns = stead_bench_now_ns();
        make_key(disk->next++, key);
        rocksdb_put_cf(disk->db, disk->synced, disk->log, key, sizeof key, (const char *)disk->value, size, &error);
        ret_ns[i] = stead_bench_now_ns() - start_ns;
    }
    return settle(error);
}

static int write_batch(struct stead_bench_disk *disk, size_t size, uint32_t count)
{
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    char key[KEY_BYTES], *error = NULL;

    for (uint32_t i = 0; i < count; i++) {
        make_key(disk->next++, key);
        rocksdb_writebatch_put_cf(batch, disk->log, key, sizeof key, (const char *)disk->value, size);
    }
    rocksdb_write(disk->db, disk->synced, batch, &error);
    rocksdb_writebatch_destroy(batch);
    return settle(error);
}

/* Images of `count` agents out of `agents`, in batches without a sync. */
static int write_images(struct stead_bench_disk *disk, size_t size, uint32_t count, uint32_t agents)
{
    char key[KEY_BYTES], *error = NULL;

    for (uint32_t done = 0; done < count && !error;) {
        rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
        for (uint32_t i = 0; i < IMAGES_PER_BATCH && done < count; i++, done++) {
            make_key(stead_rng_below(&disk->rng, agents) * 0x9E3779B97F4A7C15u, key);
            rocksdb_writebatch_put_cf(batch, disk->rows, key, sizeof key, (const char *)disk->value, size);
        }
        rocksdb_write(disk->db, disk->unsynced, batch, &error);
        rocksdb_writebatch_destroy(batch);
    }
    return settle(error);
}

int stead_bench_disk_rate(struct stead_bench_disk *disk, size_t size, uint32_t batch, uint32_t images, double seconds,
                          double *ret_rate)
{
    uint64_t start_ns = stead_bench_now_ns(), records = 0, elapsed_ns = 0;
    int code = 0;

    size = size < VALUE_MAX ? size : VALUE_MAX;
    while (code == 0 && (double)elapsed_ns < seconds * 1e9) {
        code = write_batch(disk, size, batch);
        if (code == 0 && images > 0)
            code = write_images(disk, size, batch, images);
        records += batch;
        elapsed_ns = stead_bench_now_ns() - start_ns;
    }
    if (code == 0)
        *ret_rate = (double)records * 1e9 / (double)elapsed_ns;
    return code;
}
