/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_rocksdb: the store on RocksDB 7.8.3, through its C interface. The options that crash safety hangs on, and why
 * (the others: rocksdb_options.c; docs/FORMATS.md has the layout):
 *
 * Recovery mode: kPointInTimeRecovery. At a crash of the machine the unsynced tail of the write-ahead log may be short,
 * torn, or have holes of zeros; this mode replays up to the first record that does not check out and drops the rest: a
 * prefix of the writes, which is the contract of store.h. kAbsoluteConsistency would refuse to start after every power
 * loss; kTolerateCorruptedTailRecords refuses when a torn record is followed by others, though nothing acknowledged was
 * lost; kSkipAnyCorruptedRecords would leave gaps. Point-in-time is right only as long as
 *   - all families share one log and it is never recycled (an old record would look like a new one): recycle_log_file_num 0;
 *   - nothing is written past it: no disableWAL, no ingestion, no WAL compression, no atomic flush (each has a bug fixed only after 7.8.3);
 *   - a prefix is a legal state: the image never runs ahead of the synced index, and the applied mark and trims follow syncs (log_writer.c).
 * What recovery finds is served as committed, synced before the crash or not. So it must be durable before it is
 * served: opening flushes what it replayed (avoid_flush_during_recovery is off, and stays off). Its price: decay in the
 * *synced* part of the last log also looks like a torn tail. That window is small (a clean stop flushes everything, and
 * wal_bytes_max bounds it); the entries' own checksums and indexes find the rest, and the channels' "history lost" what
 * reached others.
 *
 * A failed write or sync is remembered and nothing is written after it: a second fsync may succeed although the first
 * one dropped the data.
 *
 * Closing: iterators, then families, then the database (Debian's build asserts on the order), on every path.
 */
#include "persist/store_rocksdb.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "persist/format.h"
#include "persist/rocksdb_options.h"
#include "runtime/entry.h"

#define BLOCK_CACHE_TIER 1 /* kBlockCacheTier: the C interface has no name for it */
#define PATH_BYTES 4096

static const char *const family_names[STEAD_ROCKSDB_FAMILIES] = {"default", STEAD_FORMAT_FAMILY_ROWS,
                                                                 STEAD_FORMAT_FAMILY_LOG, STEAD_FORMAT_FAMILY_META};

struct rocksdb_store {
    struct stead_store base;
    rocksdb_t *db;
    rocksdb_column_family_handle_t *family[STEAD_ROCKSDB_FAMILIES];
    rocksdb_options_t *options; /* of the database */
    rocksdb_options_t *family_options[STEAD_ROCKSDB_FAMILIES];
    rocksdb_cache_t *cache;           /* shared by all families */
    rocksdb_readoptions_t *read[2];   /* by enum stead_store_tier; only read, so any thread */
    rocksdb_writeoptions_t *write[2]; /* by sync */
    bool read_only;
    atomic_bool failed;     /* a write failed: none may follow */
    atomic_bool deleted[2]; /* something was, since the last reclaim or in an earlier life: rows, entries of the log */
    pthread_mutex_t lock;   /* of the sentence */
    char sentence[STEAD_STORE_SENTENCE_MAX]; /* why the last failure happened */
};

static struct rocksdb_store *rocksdb_of(struct stead_store *store)
{
    return (struct rocksdb_store *)store;
}

/* ---- Errors --------------------------------------------------------------------------------- */

/* RocksDB's C interface tells errors apart only by the first words of a sentence. */
static int code_of(const char *error)
{
    static const struct {
        const char *words;
        int code;
    } known[] = {
        {"lock hold by current process", STEAD_EINUSE},
        {"While lock file", STEAD_EINUSE},
        {"Column families not opened", STEAD_EVERSION},
        {"unknown WriteBatch tag", STEAD_EVERSION},
        {"Corruption", STEAD_ECORRUPT},
        {"No such file or directory", STEAD_ECORRUPT}, /* a file that the manifest names is gone */
        {"Result incomplete", STEAD_EBUSY},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strstr(error, known[i].words) != NULL)
            return known[i].code;
    return STEAD_EIO;
}

/* Keeps `error` (freed) as the sentence and gives its code; 0 when there is none. */
static int settle_error(struct rocksdb_store *store, const char *doing, char *error)
{
    if (error == NULL)
        return 0;
    int code = code_of(error);
    if (code != STEAD_EBUSY) {
        pthread_mutex_lock(&store->lock);
        snprintf(store->sentence, sizeof store->sentence, "%s failed: %s", doing, error);
        pthread_mutex_unlock(&store->lock);
    }
    rocksdb_free(error);
    return code;
}

static void explain(struct stead_store *base, char *ret_sentence, size_t size)
{
    struct rocksdb_store *store = rocksdb_of(base);
    pthread_mutex_lock(&store->lock);
    snprintf(ret_sentence, size, "%s", store->sentence);
    pthread_mutex_unlock(&store->lock);
}

/* ---- Writing -------------------------------------------------------------------------------- */

static void batch_put(struct rocksdb_store *store, rocksdb_writebatch_t *batch, enum stead_rocksdb_family family,
                      struct stead_slice key, struct stead_slice value)
{
    rocksdb_writebatch_put_cf(batch, store->family[family], (const char *)key.data, key.size,
                              value.size > 0 ? (const char *)value.data : "", value.size);
}

static void batch_delete_range(struct rocksdb_store *store, rocksdb_writebatch_t *batch,
                               enum stead_rocksdb_family family, struct stead_slice from, struct stead_slice to)
{
    rocksdb_writebatch_delete_range_cf(batch, store->family[family], (const char *)from.data, from.size,
                                       (const char *)to.data, to.size);
}

static int batch_rows(struct rocksdb_store *store, rocksdb_writebatch_t *batch, struct stead_slice mutations)
{
    struct stead_mutation it;
    int code;
    while ((code = stead_entry_next_mutation(&mutations, &it)) == 1) {
        switch (it.type) {
        case STEAD_MUTATION_PUT:
            batch_put(store, batch, STEAD_ROCKSDB_ROWS, it.key, it.value);
            break;
        case STEAD_MUTATION_DELETE:
            rocksdb_writebatch_delete_cf(batch, store->family[STEAD_ROCKSDB_ROWS], (const char *)it.key.data,
                                         it.key.size);
            break;
        case STEAD_MUTATION_DELETE_RANGE:
            batch_delete_range(store, batch, STEAD_ROCKSDB_ROWS, it.key, it.value);
            break;
        }
    }
    return code;
}

static int batch_op(struct rocksdb_store *store, rocksdb_writebatch_t *batch, const struct stead_store_op *op)
{
    struct stead_log_key key = stead_log_key(op->shard, op->index);
    struct stead_log_key first = stead_log_key(op->shard, 0);
    struct stead_log_key behind = stead_log_key(op->shard, op->index + 1);
    struct stead_applied_key applied = stead_applied_key(op->shard);
    uint8_t index[sizeof(uint64_t)];
    stead_store64(index, op->index);
    switch (op->type) {
    case STEAD_STORE_APPEND:
        batch_put(store, batch, STEAD_ROCKSDB_LOG, stead_bytes(key.data, sizeof key.data), op->bytes);
        return 0;
    case STEAD_STORE_ROWS:
        return batch_rows(store, batch, op->bytes);
    case STEAD_STORE_APPLIED:
        batch_put(store, batch, STEAD_ROCKSDB_META, stead_bytes(applied.data, sizeof applied.data),
                  stead_bytes(index, sizeof index));
        return 0;
    case STEAD_STORE_TRIM:
        batch_delete_range(store, batch, STEAD_ROCKSDB_LOG, stead_bytes(first.data, sizeof first.data),
                           stead_bytes(behind.data, sizeof behind.data));
        return 0;
    case STEAD_STORE_META:
        if (op->bytes.size > 0)
            batch_put(store, batch, STEAD_ROCKSDB_META, op->key, op->bytes);
        else
            rocksdb_writebatch_delete_cf(batch, store->family[STEAD_ROCKSDB_META], (const char *)op->key.data,
                                         op->key.size);
        return 0;
    }
    return 0;
}

static int write_ops(struct stead_store *base, const struct stead_store_op *ops, uint32_t op_count, bool sync)
{
    struct rocksdb_store *store = rocksdb_of(base);
    STEAD_ASSERT(!store->read_only);
    if (atomic_load_explicit(&store->failed, memory_order_relaxed))
        return STEAD_EIO;
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    int code = 0;
    for (uint32_t i = 0; i < op_count && code == 0; i++)
        code = batch_op(store, batch, &ops[i]);
    if (code == 0) {
        char *error = NULL;
        if (op_count > 0)
            rocksdb_write(store->db, store->write[sync], batch, &error);
        else if (sync) /* an empty batch need not sync */
            rocksdb_flush_wal(store->db, 1, &error);
        code = settle_error(store, sync ? "a synced write" : "a write", error);
        if (code != 0) {
            atomic_store_explicit(&store->failed, true, memory_order_relaxed);
            code = STEAD_EIO;
        }
    }
    for (uint32_t i = 0; i < op_count && code == 0; i++)
        if (ops[i].type == STEAD_STORE_ROWS || ops[i].type == STEAD_STORE_TRIM)
            atomic_store(&store->deleted[ops[i].type == STEAD_STORE_TRIM], true);
    rocksdb_writebatch_destroy(batch);
    return code;
}

/* ---- Reading -------------------------------------------------------------------------------- */

static int read_value(struct rocksdb_store *store, enum stead_rocksdb_family family, struct stead_slice key,
                      enum stead_store_tier tier, struct stead_writer *ret_value)
{
    char *error = NULL;
    rocksdb_pinnableslice_t *pinned = rocksdb_get_pinned_cf(store->db, store->read[tier], store->family[family],
                                                            (const char *)key.data, key.size, &error);
    int code = settle_error(store, "a read", error);
    if (code != 0)
        return code;
    if (pinned == NULL)
        return STEAD_ENOTFOUND;
    size_t size;
    const char *value = rocksdb_pinnableslice_value(pinned, &size);
    stead_write_raw(ret_value, value, size);
    rocksdb_pinnableslice_destroy(pinned);
    return 0;
}

static int get_row(struct stead_store *base, struct stead_slice key, enum stead_store_tier tier,
                   struct stead_writer *ret_value)
{
    return read_value(rocksdb_of(base), STEAD_ROCKSDB_ROWS, key, tier, ret_value);
}

/* One walk over a family. */
struct walk {
    enum stead_rocksdb_family family;
    struct stead_slice from; /* first key */
    struct stead_slice to;   /* first key behind; empty: no end */
    bool reverse;
    enum stead_store_tier tier;
    stead_row_visit_fn *visit;
    void *context;
};

static rocksdb_readoptions_t *create_walk_options(const struct walk *walk)
{
    rocksdb_readoptions_t *options = rocksdb_readoptions_create();
    if (walk->tier == STEAD_STORE_CACHED)
        rocksdb_readoptions_set_read_tier(options, BLOCK_CACHE_TIER);
    if (walk->from.size > 0)
        rocksdb_readoptions_set_iterate_lower_bound(options, (const char *)walk->from.data, walk->from.size);
    if (walk->to.size > 0)
        rocksdb_readoptions_set_iterate_upper_bound(options, (const char *)walk->to.data, walk->to.size);
    return options;
}

static int visit_all(rocksdb_iterator_t *iterator, const struct walk *walk)
{
    if (walk->reverse)
        rocksdb_iter_seek_to_last(iterator);
    else
        rocksdb_iter_seek_to_first(iterator);
    while (rocksdb_iter_valid(iterator)) {
        struct stead_slice key;
        struct stead_slice value;
        key.data = (const uint8_t *)rocksdb_iter_key(iterator, &key.size);
        value.data = (const uint8_t *)rocksdb_iter_value(iterator, &value.size);
        int stop = walk->visit(walk->context, key, value);
        if (stop != 0)
            return stop;
        if (walk->reverse)
            rocksdb_iter_prev(iterator);
        else
            rocksdb_iter_next(iterator);
    }
    return 0;
}

static int run_walk(struct rocksdb_store *store, const struct walk *walk)
{
    if (walk->to.size > 0 && stead_slice_compare(walk->from, walk->to) >= 0)
        return 0; /* crossed bounds are an error to RocksDB, an empty range here */
    rocksdb_readoptions_t *options = create_walk_options(walk);
    rocksdb_iterator_t *iterator = rocksdb_create_iterator_cf(store->db, options, store->family[walk->family]);
    int code = visit_all(iterator, walk);
    if (code == 0) {
        char *error = NULL;
        rocksdb_iter_get_error(iterator, &error);
        code = settle_error(store, "a scan", error);
    }
    rocksdb_iter_destroy(iterator);
    rocksdb_readoptions_destroy(options);
    return code;
}

static int scan_rows(struct stead_store *base, struct stead_slice from, struct stead_slice to, bool reverse,
                     enum stead_store_tier tier, stead_row_visit_fn *visit, void *context)
{
    const struct walk walk = {.family = STEAD_ROCKSDB_ROWS,
                              .from = from,
                              .to = to,
                              .reverse = reverse,
                              .tier = tier,
                              .visit = visit,
                              .context = context};
    return run_walk(rocksdb_of(base), &walk);
}

/* Rows from `from` on, as long as they lie before `to`. The iterator has no bound of its own: it goes from range to
 * range, and where it stands behind `from` already nothing lies between. */
static void visit_range(rocksdb_iterator_t *iterator, struct stead_slice from, struct stead_slice to,
                        stead_row_visit_fn *visit, void *context)
{
    struct stead_slice key = {NULL, 0}, value;
    bool stands = rocksdb_iter_valid(iterator);

    if (stands)
        key.data = (const uint8_t *)rocksdb_iter_key(iterator, &key.size);
    if (!stands || stead_slice_compare(key, from) < 0)
        rocksdb_iter_seek(iterator, (const char *)from.data, from.size);
    for (; rocksdb_iter_valid(iterator); rocksdb_iter_next(iterator)) {
        key.data = (const uint8_t *)rocksdb_iter_key(iterator, &key.size);
        if (to.size > 0 && stead_slice_compare(key, to) >= 0)
            return;
        value.data = (const uint8_t *)rocksdb_iter_value(iterator, &value.size);
        if (visit(context, key, value) != 0)
            return;
    }
}

static int scan_ranges(struct stead_store *base, stead_row_range_fn *next, stead_row_visit_fn *visit, void *context)
{
    struct rocksdb_store *store = rocksdb_of(base);
    rocksdb_iterator_t *iterator =
        rocksdb_create_iterator_cf(store->db, store->read[STEAD_STORE_ANY], store->family[STEAD_ROCKSDB_ROWS]);
    struct stead_slice from, to;
    char *error = NULL;

    for (bool ended = false; next(context, &from, &to);) {
        if (ended) /* ranges rise */
            continue;
        visit_range(iterator, from, to, visit, context);
        rocksdb_iter_get_error(iterator, &error);
        if (error != NULL)
            break;
        ended = !rocksdb_iter_valid(iterator);
    }
    int code = settle_error(store, "a scan", error);
    rocksdb_iter_destroy(iterator);
    return code;
}

static int log_get(struct stead_store *base, uint32_t shard, uint64_t index, struct stead_writer *ret_entry)
{
    struct stead_log_key key = stead_log_key(shard, index);
    return read_value(rocksdb_of(base), STEAD_ROCKSDB_LOG, stead_bytes(key.data, sizeof key.data), STEAD_STORE_ANY,
                      ret_entry);
}

struct log_visit {
    stead_log_visit_fn *visit;
    void *context;
};

static int visit_entry(void *context, struct stead_slice key, struct stead_slice value)
{
    struct log_visit *it = context;
    if (key.size != STEAD_LOG_KEY_SIZE)
        return STEAD_ECORRUPT;
    return it->visit(it->context, stead_log_key_shard(key.data), stead_log_key_index(key.data), value);
}

static int log_read(struct stead_store *base, uint32_t shard, uint64_t from_index, stead_log_visit_fn *visit,
                    void *context)
{
    struct log_visit it = {visit, context};
    struct stead_log_key from = stead_log_key(shard, shard == 0 ? 0 : from_index);
    struct stead_log_key to = stead_log_key(shard + 1, 0);
    struct walk walk = {
        .family = STEAD_ROCKSDB_LOG, .from = {from.data, sizeof from.data}, .visit = visit_entry, .context = &it};
    if (shard != 0)
        walk.to = stead_bytes(to.data, sizeof to.data);
    return run_walk(rocksdb_of(base), &walk);
}

static int note_key(void *context, struct stead_slice key, struct stead_slice value)
{
    (void)value;
    *(uint64_t *)context = stead_log_key_index(key.data);
    return 1;
}

static int log_last(struct stead_store *base, uint32_t shard, uint64_t *ret_index)
{
    struct stead_log_key from = stead_log_key(shard, 0);
    struct stead_log_key to = stead_log_key(shard + 1, 0);
    uint64_t index = 0;
    const struct walk walk = {.family = STEAD_ROCKSDB_LOG,
                              .from = {from.data, sizeof from.data},
                              .to = {to.data, sizeof to.data},
                              .reverse = true,
                              .visit = note_key,
                              .context = &index};
    int code = run_walk(rocksdb_of(base), &walk);
    if (code < 0)
        return code;
    *ret_index = index;
    return 0;
}

static int meta_get(struct stead_store *base, struct stead_slice key, struct stead_writer *ret_value)
{
    return read_value(rocksdb_of(base), STEAD_ROCKSDB_META, key, STEAD_STORE_ANY, ret_value);
}

static int meta_scan(struct stead_store *base, stead_row_visit_fn *visit, void *context)
{
    const struct walk walk = {.family = STEAD_ROCKSDB_META, .visit = visit, .context = context};
    return run_walk(rocksdb_of(base), &walk);
}

static uint64_t bytes_used(struct stead_store *base)
{
    static const char *const properties[] = {"rocksdb.total-sst-files-size", "rocksdb.cur-size-all-mem-tables"};
    struct rocksdb_store *store = rocksdb_of(base);
    uint64_t bytes = 0;
    for (int family = STEAD_ROCKSDB_ROWS; family < STEAD_ROCKSDB_FAMILIES; family++) {
        for (size_t i = 0; i < sizeof properties / sizeof properties[0]; i++) {
            uint64_t some = 0;
            if (rocksdb_property_int_cf(store->db, store->family[family], properties[i], &some) == 0)
                bytes += some;
        }
    }
    return bytes;
}

/* What was deleted is gone when its tombstone has met it: the memtables are flushed, and the files written anew. */
static int reclaim(struct stead_store *base, bool log_alone)
{
    static const enum stead_rocksdb_family families[] = {STEAD_ROCKSDB_ROWS, STEAD_ROCKSDB_LOG};
    struct rocksdb_store *store = rocksdb_of(base);
    int code = 0;

    if (atomic_load(&store->failed))
        return 0;
    rocksdb_flushoptions_t *flush = rocksdb_flushoptions_create();
    rocksdb_compactoptions_t *options = rocksdb_compactoptions_create();
    rocksdb_flushoptions_set_wait(flush, 1);
    rocksdb_compactoptions_set_exclusive_manual_compaction(options, 0); /* the others go on, or writes would stall */
    for (size_t i = log_alone ? 1 : 0; code == 0 && i < sizeof families / sizeof families[0]; i++) {
        char *error = NULL;
        if (!atomic_exchange(&store->deleted[i], false))
            continue;
        rocksdb_flush_cf(store->db, flush, store->family[families[i]], &error);
        code = settle_error(store, "a flush", error);
        if (code == 0)
            rocksdb_compact_range_cf_opt(store->db, store->family[families[i]], options, NULL, 0, NULL, 0);
    }
    rocksdb_compactoptions_destroy(options);
    rocksdb_flushoptions_destroy(flush);
    return code;
}

/* ---- Backup --------------------------------------------------------------------------------- */

static int backup(struct stead_store *base, const char *folder)
{
    struct rocksdb_store *store = rocksdb_of(base);
    struct stat status;
    if (stat(folder, &status) == 0)
        return STEAD_EINUSE;
    char *error = NULL;
    rocksdb_checkpoint_t *checkpoint = rocksdb_checkpoint_object_create(store->db, &error);
    int code = settle_error(store, "a backup", error);
    if (code != 0)
        return code;
    /* Without a flush: the write-ahead log is copied as far as it is, a running node is not held up. */
    rocksdb_checkpoint_create(checkpoint, folder, UINT64_MAX, &error);
    code = settle_error(store, "a backup", error);
    rocksdb_checkpoint_object_destroy(checkpoint);
    return code;
}

/* ---- Options: the rest is in rocksdb_options.c ----------------------------------------------- */

static void create_options(struct rocksdb_store *store, const struct stead_store_rocksdb_options *given)
{
    store->cache = stead_rocksdb_cache(given);
    store->options = stead_rocksdb_database_options(given);
    for (int family = 0; family < STEAD_ROCKSDB_FAMILIES; family++)
        store->family_options[family] =
            stead_rocksdb_family_options(given, (enum stead_rocksdb_family)family, store->cache);
    for (int tier = 0; tier < 2; tier++)
        store->read[tier] = rocksdb_readoptions_create();
    rocksdb_readoptions_set_read_tier(store->read[STEAD_STORE_CACHED], BLOCK_CACHE_TIER);
    for (int sync = 0; sync < 2; sync++) {
        store->write[sync] = rocksdb_writeoptions_create();
        rocksdb_writeoptions_set_sync(store->write[sync], (unsigned char)sync);
    }
}

/* ---- Closing -------------------------------------------------------------------------------- */

/* A clean stop leaves nothing in the write-ahead log: the next start replays nothing, and decay there can take
 * nothing. */
static void flush_families(struct rocksdb_store *store)
{
    rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(options, 1);
    for (int family = STEAD_ROCKSDB_ROWS; family < STEAD_ROCKSDB_FAMILIES; family++) {
        char *error = NULL;
        rocksdb_flush_cf(store->db, options, store->family[family], &error);
        rocksdb_free(error); /* the write-ahead log still has it all */
    }
    rocksdb_flushoptions_destroy(options);
}

static void destroy_store(struct rocksdb_store *store)
{
    for (int family = 0; family < STEAD_ROCKSDB_FAMILIES; family++)
        if (store->family[family] != NULL)
            rocksdb_column_family_handle_destroy(store->family[family]);
    if (store->db != NULL)
        rocksdb_close(store->db);
    for (int family = 0; family < STEAD_ROCKSDB_FAMILIES; family++)
        rocksdb_options_destroy(store->family_options[family]);
    rocksdb_options_destroy(store->options);
    rocksdb_cache_destroy(store->cache);
    for (int i = 0; i < 2; i++) {
        rocksdb_readoptions_destroy(store->read[i]);
        rocksdb_writeoptions_destroy(store->write[i]);
    }
    pthread_mutex_destroy(&store->lock);
    free(store);
}

static void close_store(struct stead_store **base)
{
    struct rocksdb_store *store = rocksdb_of(*base);
    if (!store->read_only && !atomic_load(&store->failed)) {
        char *error = NULL;
        rocksdb_flush_wal(store->db, 1, &error);
        rocksdb_free(error);
        flush_families(store);
    }
    destroy_store(store);
    *base = NULL;
}

/* ---- Opening -------------------------------------------------------------------------------- */

static const struct stead_store_functions rocksdb_functions = {.write = write_ops,
                                                               .get = get_row,
                                                               .scan = scan_rows,
                                                               .scan_ranges = scan_ranges,
                                                               .log_get = log_get,
                                                               .log_read = log_read,
                                                               .log_last = log_last,
                                                               .meta_get = meta_get,
                                                               .meta_scan = meta_scan,
                                                               .bytes = bytes_used,
                                                               .reclaim = reclaim,
                                                               .backup = backup,
                                                               .explain = explain,
                                                               .close = close_store};

/* Makes the folder and those above it. */
static int make_folders(const char *folder, char *ret_sentence)
{
    char path[PATH_BYTES];
    size_t size = strlen(folder);
    if (size == 0 || size >= sizeof path) {
        snprintf(ret_sentence, STEAD_STORE_SENTENCE_MAX, "the folder's name is empty or too long");
        return STEAD_EARGUMENT;
    }
    memcpy(path, folder, size + 1);
    for (size_t i = 1; i <= size; i++) {
        if (path[i] != '/' && path[i] != 0)
            continue;
        char end = path[i];
        path[i] = 0;
        if (mkdir(path, 0777) != 0 && errno != EEXIST) {
            snprintf(ret_sentence, STEAD_STORE_SENTENCE_MAX, "%.300s cannot be made: %s", path, strerror(errno));
            return STEAD_EIO;
        }
        path[i] = end;
    }
    return 0;
}

static bool has_file(const char *folder, const char *name)
{
    char path[PATH_BYTES];
    struct stat status;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return stat(path, &status) == 0;
}

int32_t stead_store_rocksdb_holder(const char *folder)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/LOCK", folder);
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0)
        return 0;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int32_t holder = fcntl(file, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? lock.l_pid : 0;
    close(file);
    return holder;
}

/* A family that is not ours: written by a later stead, or not by stead at all. */
static int check_families(const char *folder, const struct rocksdb_store *store, char *ret_sentence)
{
    size_t count = 0;
    char *error = NULL;
    char **names = rocksdb_list_column_families(store->options, folder, &count, &error);
    if (error != NULL) {
        int code = code_of(error);
        snprintf(ret_sentence, STEAD_STORE_SENTENCE_MAX, "%.200s is not a readable data folder: %.200s", folder, error);
        rocksdb_free(error);
        return code;
    }
    int code = 0;
    for (size_t i = 0; i < count && code == 0; i++) {
        bool known = false;
        for (int family = 0; family < STEAD_ROCKSDB_FAMILIES; family++)
            known = known || strcmp(names[i], family_names[family]) == 0;
        if (!known) {
            snprintf(ret_sentence, STEAD_STORE_SENTENCE_MAX,
                     "%.200s holds a column family \"%.60s\" that this version (format %u) does not know", folder,
                     names[i], STEAD_FORMAT_VERSION);
            code = STEAD_EVERSION;
        }
    }
    rocksdb_list_column_families_destroy(names, count);
    return code;
}

static int stop_at_first(void *context, struct stead_slice key, struct stead_slice value)
{
    (void)context;
    (void)key;
    (void)value;
    return 1;
}

static bool is_empty(struct rocksdb_store *store)
{
    for (int family = STEAD_ROCKSDB_ROWS; family < STEAD_ROCKSDB_FAMILIES; family++) {
        const struct walk walk = {.family = (enum stead_rocksdb_family)family, .visit = stop_at_first};
        if (run_walk(store, &walk) != 0)
            return false;
    }
    return true;
}

static int check_format(struct rocksdb_store *store, const char *folder, char *ret_sentence)
{
    struct stead_writer value;
    stead_writer_init(&value);
    int code = stead_store_meta_get(&store->base, STEAD_META_FORMAT, &value);
    if (code == STEAD_ENOTFOUND && !store->read_only && is_empty(store)) {
        uint8_t version[4];
        stead_store32(version, STEAD_FORMAT_VERSION);
        code = stead_store_meta_put(&store->base, STEAD_META_FORMAT, stead_bytes(version, sizeof version));
    } else if (code == STEAD_ENOTFOUND || (code == 0 && value.size != 4)) {
        snprintf(ret_sentence, STEAD_STORE_SENTENCE_MAX, "%.300s holds data but no format mark: it is damaged", folder);
        code = STEAD_ECORRUPT;
    } else if (code == 0 && stead_load32(value.data) != STEAD_FORMAT_VERSION) {
        snprintf(ret_sentence, STEAD_STORE_SENTENCE_MAX,
                 "%.300s was written in format %u; this version reads format %u only", folder, stead_load32(value.data),
                 STEAD_FORMAT_VERSION);
        code = STEAD_EVERSION;
    }
    if (code != 0 && ret_sentence[0] == 0)
        explain(&store->base, ret_sentence, STEAD_STORE_SENTENCE_MAX);
    stead_writer_deinit(&value);
    return code;
}

static void describe_failure(int code, const char *folder, const char *error, char *ret_sentence)
{
    const char *what = "cannot be opened";
    if (code == STEAD_EINUSE)
        what = "is open already, by another process or this one";
    else if (code == STEAD_ECORRUPT)
        what = "is damaged";
    else if (code == STEAD_EVERSION)
        what = "was written by an incompatible version";
    snprintf(ret_sentence, STEAD_STORE_SENTENCE_MAX, "%.200s %s: %.250s", folder, what, error);
}

static int open_database(struct rocksdb_store *store, const char *folder, char *ret_sentence)
{
    char *error = NULL;
    const rocksdb_options_t *const *family_options = (const rocksdb_options_t *const *)store->family_options;
    if (store->read_only)
        store->db = rocksdb_open_for_read_only_column_families(store->options, folder, STEAD_ROCKSDB_FAMILIES,
                                                               family_names, family_options, store->family, 0, &error);
    else
        store->db = rocksdb_open_column_families(store->options, folder, STEAD_ROCKSDB_FAMILIES, family_names,
                                                 family_options, store->family, &error);
    if (error == NULL)
        return 0;
    int code = code_of(error);
    describe_failure(code, folder, error, ret_sentence);
    rocksdb_free(error);
    store->db = NULL;
    memset(store->family, 0, sizeof store->family);
    return code;
}

/* What must be so before RocksDB touches the folder. */
static int prepare_folder(struct rocksdb_store *store, const char *folder, bool create, char *ret_sentence)
{
    if (has_file(folder, "CURRENT")) {
        if (store->read_only && stead_store_rocksdb_holder(folder) != 0) { /* readers take no lock */
            describe_failure(STEAD_EINUSE, folder, "stop the node first", ret_sentence);
            return STEAD_EINUSE;
        }
        return check_families(folder, store, ret_sentence);
    }
    if (create && !store->read_only)
        return make_folders(folder, ret_sentence);
    snprintf(ret_sentence, STEAD_STORE_SENTENCE_MAX, "%.300s holds no data of a node", folder);
    return STEAD_ENOTFOUND;
}

int stead_store_rocksdb_open(const char *folder, const struct stead_store_rocksdb_options *options,
                             struct stead_store **ret_store, char *ret_sentence)
{
    const struct stead_store_rocksdb_options defaults = {0};
    const struct stead_store_rocksdb_options *given = options != NULL ? options : &defaults;
    struct rocksdb_store *store = stead_alloc_zero(sizeof *store);
    store->base.functions = &rocksdb_functions;
    store->read_only = given->read_only;
    for (int i = 0; i < 2; i++)
        atomic_init(&store->deleted[i], true);
    pthread_mutex_init(&store->lock, NULL);
    create_options(store, given);
    ret_sentence[0] = 0;
    int code = prepare_folder(store, folder, given->create, ret_sentence);
    if (code == 0)
        code = open_database(store, folder, ret_sentence);
    if (code == 0)
        code = check_format(store, folder, ret_sentence);
    if (code != 0) {
        destroy_store(store);
        return code;
    }
    ret_sentence[0] = 0;
    *ret_store = &store->base;
    return 0;
}
