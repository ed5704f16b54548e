/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_memory: the store in memory, with crashes.
 *
 * The problem: a crash must be able to take back any suffix of the unsynced writes, at any moment, and the simulator
 * crashes thousands of times a second. Copies of the whole image would be too slow, a replayed write-ahead log too.
 *
 * The design: three ordered trees (rows, log, meta: keys as in format.h) hold the newest state. Beside them an undo
 * log: before a write changes a key, what was there is remembered. A sync empties the undo log. A crash draws how many
 * of the unsynced writes survive and undoes the others, newest first. A torn write (its record half in the file) fails
 * its checksum at recovery, which ends there: it and all behind it are undone like lost ones, it is only counted apart.
 * That is what kPointInTimeRecovery makes of RocksDB's log (store_rocksdb.c).
 *
 * Invariants: undone from the end, the undo log gives exactly the state of the last sync; an operation that fails
 * changes nothing.
 */
#include "persist/store_memory.h"

#include <stdio.h>
#include <stdlib.h>

#include "persist/format.h"
#include "runtime/entry.h"
#include "runtime/rowtree.h"

enum family { ROWS, LOG, META, FAMILIES };

/* What was there before one key was changed by an unsynced write. */
struct undo {
    struct undo *older;
    uint64_t write; /* number of the write */
    enum family family;
    struct stead_row *row; /* the old row, owned; of its key alone when there was none */
    bool existed;
};

struct memory_store {
    struct stead_store base;
    struct stead_rowtree tree[FAMILIES];
    uint64_t bytes;         /* of keys and values */
    struct stead_rng rng;   /* of crashes and failures */
    struct undo *newest;    /* changes since the last sync */
    uint64_t write;         /* number of the last write that succeeded */
    uint64_t synced;        /* writes up to this number survive a crash */
    bool failing;           /* writes fail from `fail_at` on */
    uint64_t fail_at;       /* number of the first write that fails */
    uint32_t fail_permille; /* of reads */
    uint32_t cold_permille; /* of cached reads */
    uint64_t syncs;
    uint64_t writes_lost;
    uint64_t writes_torn;
    bool failed; /* something failed since the start */
};

static struct memory_store *memory_of(struct stead_store *store)
{
    return (struct memory_store *)store;
}

/* ---- Changing ------------------------------------------------------------------------------- */

static void remember(struct memory_store *store, enum family family, struct stead_row *row, bool existed)
{
    struct undo *undo = stead_alloc(sizeof *undo);
    *undo =
        (struct undo){.older = store->newest, .write = store->write, .family = family, .row = row, .existed = existed};
    store->newest = undo;
}

static void put(struct memory_store *store, enum family family, struct stead_slice key, struct stead_slice value)
{
    struct stead_row *row = stead_row_create(key, (uint32_t)value.size);
    row->value_size = (uint32_t)value.size;
    if (value.size > 0)
        memcpy(row->bytes + row->key_size, value.data, value.size);
    struct stead_rowtree_path path;
    store->bytes += key.size + value.size;
    if (stead_rowtree_find(&store->tree[family], key, &path)) {
        struct stead_row *old = stead_rowtree_row(&store->tree[family], &path);
        store->bytes -= old->key_size + old->value_size;
        stead_rowtree_replace(&store->tree[family], &path, row);
        remember(store, family, old, true);
        return;
    }
    stead_rowtree_insert(&store->tree[family], &path, row);
    remember(store, family, stead_row_create(key, 0), false);
}

/* False when there was none. */
static bool take(struct memory_store *store, enum family family, struct stead_slice key)
{
    struct stead_rowtree_path path;
    if (!stead_rowtree_find(&store->tree[family], key, &path))
        return false;
    struct stead_row *old = stead_rowtree_take(&store->tree[family], &path);
    store->bytes -= old->key_size + old->value_size;
    remember(store, family, old, true);
    return true;
}

static void take_range(struct memory_store *store, enum family family, struct stead_slice from, struct stead_slice to)
{
    for (;;) {
        struct stead_rowtree_path path;
        stead_rowtree_find(&store->tree[family], from, &path);
        struct stead_row *row = stead_rowtree_row(&store->tree[family], &path);
        if (row == NULL || stead_slice_compare(stead_row_key_of(row), to) >= 0)
            return;
        take(store, family, stead_row_key_of(row));
    }
}

static void apply_mutations(struct memory_store *store, struct stead_slice mutations)
{
    struct stead_mutation it;
    while (stead_entry_next_mutation(&mutations, &it) == 1) {
        switch (it.type) {
        case STEAD_MUTATION_PUT:
            put(store, ROWS, it.key, it.value);
            break;
        case STEAD_MUTATION_DELETE:
            take(store, ROWS, it.key);
            break;
        case STEAD_MUTATION_DELETE_RANGE:
            take_range(store, ROWS, it.key, it.value);
            break;
        }
    }
}

static void apply_op(struct memory_store *store, const struct stead_store_op *op)
{
    struct stead_log_key key = stead_log_key(op->shard, op->index);
    struct stead_log_key first = stead_log_key(op->shard, 0);
    struct stead_log_key behind = stead_log_key(op->shard, op->index + 1);
    struct stead_applied_key applied = stead_applied_key(op->shard);
    uint8_t index[sizeof(uint64_t)];
    stead_store64(index, op->index);
    switch (op->type) {
    case STEAD_STORE_APPEND:
        put(store, LOG, stead_bytes(key.data, sizeof key.data), op->bytes);
        break;
    case STEAD_STORE_ROWS:
        apply_mutations(store, op->bytes);
        break;
    case STEAD_STORE_APPLIED:
        put(store, META, stead_bytes(applied.data, sizeof applied.data), stead_bytes(index, sizeof index));
        break;
    case STEAD_STORE_TRIM:
        take_range(store, LOG, stead_bytes(first.data, sizeof first.data),
                   stead_bytes(behind.data, sizeof behind.data));
        break;
    case STEAD_STORE_META:
        if (op->bytes.size > 0)
            put(store, META, op->key, op->bytes);
        else
            take(store, META, op->key);
        break;
    }
}

static bool ops_are_sound(const struct stead_store_op *ops, uint32_t op_count)
{
    for (uint32_t i = 0; i < op_count; i++) {
        struct stead_slice mutations = ops[i].type == STEAD_STORE_ROWS ? ops[i].bytes : (struct stead_slice){NULL, 0};
        struct stead_mutation it;
        int code;
        while ((code = stead_entry_next_mutation(&mutations, &it)) == 1)
            ;
        if (code != 0)
            return false;
    }
    return true;
}

static void settle(struct memory_store *store)
{
    while (store->newest != NULL) {
        struct undo *undo = store->newest;
        store->newest = undo->older;
        free(undo->row);
        free(undo);
    }
    store->synced = store->write;
}

static int write_ops(struct stead_store *base, const struct stead_store_op *ops, uint32_t op_count, bool sync)
{
    struct memory_store *store = memory_of(base);
    if (!ops_are_sound(ops, op_count))
        return STEAD_ECORRUPT;
    bool fails = store->failing && store->write + 1 >= store->fail_at;
    if (fails && (store->failed || stead_rng_below(&store->rng, 2) == 0)) {
        store->failed = true;
        return STEAD_EIO;
    }
    store->write++;
    for (uint32_t i = 0; i < op_count; i++)
        apply_op(store, &ops[i]);
    if (fails) { /* written, but the sync failed: a crash will tell */
        store->failed = true;
        return STEAD_EIO;
    }
    if (sync) {
        settle(store);
        store->syncs++;
    }
    return 0;
}

/* ---- Reading -------------------------------------------------------------------------------- */

static int fail_read(struct memory_store *store, enum stead_store_tier tier)
{
    if (store->fail_permille > 0 && stead_rng_below(&store->rng, 1000) < store->fail_permille) {
        store->failed = true;
        return STEAD_EIO;
    }
    bool cold = tier == STEAD_STORE_CACHED && store->cold_permille > 0 &&
                stead_rng_below(&store->rng, 1000) < store->cold_permille;
    return cold ? STEAD_EBUSY : 0;
}

static int read_value(struct memory_store *store, enum family family, struct stead_slice key,
                      struct stead_writer *ret_value)
{
    struct stead_rowtree_path path;
    if (!stead_rowtree_find(&store->tree[family], key, &path))
        return STEAD_ENOTFOUND;
    struct stead_slice value = stead_row_value_of(stead_rowtree_row(&store->tree[family], &path));
    stead_write_raw(ret_value, value.data, value.size);
    return 0;
}

static int get_row(struct stead_store *base, struct stead_slice key, enum stead_store_tier tier,
                   struct stead_writer *ret_value)
{
    int code = fail_read(memory_of(base), tier);
    return code != 0 ? code : read_value(memory_of(base), ROWS, key, ret_value);
}

static int scan_up(struct stead_rowtree *tree, struct stead_slice from, struct stead_slice to,
                   stead_row_visit_fn *visit, void *context)
{
    struct stead_rowtree_path path;
    stead_rowtree_find(tree, from, &path);
    for (;;) {
        struct stead_row *row = stead_rowtree_row(tree, &path);
        if (row == NULL || (to.size > 0 && stead_slice_compare(stead_row_key_of(row), to) >= 0))
            return 0;
        int stop = visit(context, stead_row_key_of(row), stead_row_value_of(row));
        if (stop != 0)
            return stop;
        stead_rowtree_next(tree, &path);
    }
}

/* Goes to the end of the tree: no key is longer or higher than this one. */
static void find_end(const struct stead_rowtree *tree, struct stead_rowtree_path *ret_path)
{
    uint8_t highest[2049];
    memset(highest, 0xff, sizeof highest);
    stead_rowtree_find(tree, stead_bytes(highest, sizeof highest), ret_path);
}

static int scan_down(struct stead_rowtree *tree, struct stead_slice from, struct stead_slice to,
                     stead_row_visit_fn *visit, void *context)
{
    struct stead_rowtree_path path;
    if (to.size > 0)
        stead_rowtree_find(tree, to, &path);
    else
        find_end(tree, &path);
    while (stead_rowtree_previous(tree, &path)) {
        struct stead_row *row = stead_rowtree_row(tree, &path);
        if (stead_slice_compare(stead_row_key_of(row), from) < 0)
            return 0;
        int stop = visit(context, stead_row_key_of(row), stead_row_value_of(row));
        if (stop != 0)
            return stop;
    }
    return 0;
}

static int scan_rows(struct stead_store *base, struct stead_slice from, struct stead_slice to, bool reverse,
                     enum stead_store_tier tier, stead_row_visit_fn *visit, void *context)
{
    struct memory_store *store = memory_of(base);
    int code = fail_read(store, tier);
    if (code != 0)
        return code;
    return (reverse ? scan_down : scan_up)(&store->tree[ROWS], from, to, visit, context);
}

static int scan_ranges(struct stead_store *base, stead_row_range_fn *next, stead_row_visit_fn *visit, void *context)
{
    struct memory_store *store = memory_of(base);
    struct stead_slice from, to;

    int code = fail_read(store, STEAD_STORE_ANY);
    while (code == 0 && next(context, &from, &to))
        (void)scan_up(&store->tree[ROWS], from, to, visit, context);
    return code;
}

static int log_get(struct stead_store *base, uint32_t shard, uint64_t index, struct stead_writer *ret_entry)
{
    struct stead_log_key key = stead_log_key(shard, index);
    int code = fail_read(memory_of(base), STEAD_STORE_ANY);
    return code != 0 ? code : read_value(memory_of(base), LOG, stead_bytes(key.data, sizeof key.data), ret_entry);
}

struct log_visit {
    stead_log_visit_fn *visit;
    void *context;
};

static int visit_entry(void *context, struct stead_slice key, struct stead_slice value)
{
    struct log_visit *it = context;
    return it->visit(it->context, stead_log_key_shard(key.data), stead_log_key_index(key.data), value);
}

static int log_read(struct stead_store *base, uint32_t shard, uint64_t from_index, stead_log_visit_fn *visit,
                    void *context)
{
    struct memory_store *store = memory_of(base);
    struct log_visit it = {visit, context};
    struct stead_log_key from = stead_log_key(shard, shard == 0 ? 0 : from_index);
    struct stead_log_key to = stead_log_key(shard + 1, 0);
    int code = fail_read(store, STEAD_STORE_ANY);
    if (code != 0)
        return code;
    return scan_up(&store->tree[LOG], stead_bytes(from.data, sizeof from.data),
                   shard == 0 ? (struct stead_slice){NULL, 0} : stead_bytes(to.data, sizeof to.data), visit_entry, &it);
}

static int note_key(void *context, struct stead_slice key, struct stead_slice value)
{
    (void)value;
    *(uint64_t *)context = stead_log_key_index(key.data);
    return 1;
}

static int log_last(struct stead_store *base, uint32_t shard, uint64_t *ret_index)
{
    struct memory_store *store = memory_of(base);
    struct stead_log_key from = stead_log_key(shard, 0);
    struct stead_log_key to = stead_log_key(shard + 1, 0);
    int code = fail_read(store, STEAD_STORE_ANY);
    if (code != 0)
        return code;
    *ret_index = 0;
    scan_down(&store->tree[LOG], stead_bytes(from.data, sizeof from.data), stead_bytes(to.data, sizeof to.data),
              note_key, ret_index);
    return 0;
}

static int meta_get(struct stead_store *base, struct stead_slice key, struct stead_writer *ret_value)
{
    int code = fail_read(memory_of(base), STEAD_STORE_ANY);
    return code != 0 ? code : read_value(memory_of(base), META, key, ret_value);
}

static int meta_scan(struct stead_store *base, stead_row_visit_fn *visit, void *context)
{
    const struct stead_slice none = {NULL, 0};
    int code = fail_read(memory_of(base), STEAD_STORE_ANY);
    return code != 0 ? code : scan_up(&memory_of(base)->tree[META], none, none, visit, context);
}

/* ---- The rest of the table ------------------------------------------------------------------ */

static uint64_t bytes_used(struct stead_store *base)
{
    return memory_of(base)->bytes;
}

static int reclaim(struct stead_store *base, bool log_alone)
{
    (void)base, (void)log_alone; /* what is deleted is gone at once */
    return 0;
}

static int backup(struct stead_store *base, const char *folder)
{
    (void)base;
    (void)folder;
    return STEAD_ESTATE; /* memory has no folder to copy */
}

static void explain(struct stead_store *base, char *ret_sentence, size_t size)
{
    snprintf(ret_sentence, size, "%s", memory_of(base)->failed ? "the simulated disk failed" : "");
}

static void close_store(struct stead_store **base)
{
    struct memory_store *store = memory_of(*base);
    settle(store);
    for (int family = 0; family < FAMILIES; family++)
        stead_rowtree_deinit(&store->tree[family]);
    free(store);
    *base = NULL;
}

static const struct stead_store_functions memory_functions = {.write = write_ops,
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

struct stead_store *stead_store_memory_create(uint64_t seed)
{
    struct memory_store *store = stead_alloc_zero(sizeof *store);
    store->base.functions = &memory_functions;
    for (int family = 0; family < FAMILIES; family++)
        stead_rowtree_init(&store->tree[family]);
    stead_rng_seed(&store->rng, seed);
    return &store->base;
}

struct stead_store *stead_store_memory_copy(const struct stead_store *base, uint64_t seed)
{
    const struct memory_store *store = (const struct memory_store *)base;
    struct stead_store *copy_base = stead_store_memory_create(seed);
    struct memory_store *copy = memory_of(copy_base);

    copy->cold_permille = store->cold_permille;
    for (int family = 0; family < FAMILIES; family++) {
        struct stead_rowtree_path path;
        stead_rowtree_find(&store->tree[family], stead_bytes("", 0), &path);
        for (struct stead_row *row; (row = stead_rowtree_row(&store->tree[family], &path)) != NULL;
             stead_rowtree_next(&store->tree[family], &path))
            put(copy, (enum family)family, stead_row_key_of(row),
                stead_bytes(row->bytes + row->key_size, row->value_size));
    }
    settle(copy);
    return copy_base;
}

/* ---- Crashes and failures ------------------------------------------------------------------- */

static void undo_newest(struct memory_store *store)
{
    struct undo *undo = store->newest;
    struct stead_rowtree *tree = &store->tree[undo->family];
    struct stead_rowtree_path path;
    bool found = stead_rowtree_find(tree, stead_row_key_of(undo->row), &path);
    store->newest = undo->older;
    if (found) {
        struct stead_row *row = stead_rowtree_row(tree, &path);
        store->bytes -= row->key_size + row->value_size;
        if (undo->existed)
            stead_rowtree_replace(tree, &path, undo->row);
        else
            stead_rowtree_take(tree, &path);
        free(row);
    } else if (undo->existed) {
        stead_rowtree_insert(tree, &path, undo->row);
    }
    if (undo->existed)
        store->bytes += undo->row->key_size + undo->row->value_size;
    else
        free(undo->row);
    free(undo);
}

void stead_store_memory_crash(struct stead_store *base)
{
    struct memory_store *store = memory_of(base);
    uint64_t unsynced = store->write - store->synced;
    uint64_t survive = unsynced > 0 ? stead_rng_below(&store->rng, unsynced + 1) : 0;
    uint64_t last = store->synced + survive;
    while (store->newest != NULL && store->newest->write > last)
        undo_newest(store);
    if (survive < unsynced) {
        store->writes_lost += unsynced - survive;
        store->writes_torn += stead_rng_below(&store->rng, 2);
    }
    store->write = last;
    settle(store); /* what recovery found is on the disk */
    stead_store_memory_kill(base);
}

void stead_store_memory_kill(struct stead_store *base)
{
    struct memory_store *store = memory_of(base);
    store->failing = false;
    store->failed = false;
    store->fail_permille = 0;
}

void stead_store_memory_fail_writes(struct stead_store *base, uint64_t after)
{
    struct memory_store *store = memory_of(base);
    store->failing = true;
    store->fail_at = store->write + after + 1;
}

void stead_store_memory_fail_reads(struct stead_store *base, uint32_t permille)
{
    memory_of(base)->fail_permille = permille;
}

void stead_store_memory_set_cold(struct stead_store *base, uint32_t permille)
{
    memory_of(base)->cold_permille = permille;
}

void stead_store_memory_stats(const struct stead_store *base, struct stead_store_memory_stats *ret_stats)
{
    const struct memory_store *store = (const struct memory_store *)base;
    *ret_stats = (struct stead_store_memory_stats){.writes = store->write,
                                                   .syncs = store->syncs,
                                                   .unsynced = store->write - store->synced,
                                                   .writes_lost = store->writes_lost,
                                                   .writes_torn = store->writes_torn,
                                                   .row_count = store->tree[ROWS].row_count,
                                                   .entry_count = store->tree[LOG].row_count};
}
