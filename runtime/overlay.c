/* SPDX-License-Identifier: Apache-2.0 */
/*
 * overlay: rows newer than the store image, in a B+tree (rowtree.c says why a B+tree).
 *
 * A row's life. Nothing is ever searched for: the open batch is a list of row pointers, a row knows its place in it.
 *
 *                 put                      batch_end               checkpoint              forget
 *   (absent) ------------> ROW in batch -------------> ROW logged -------------> ROW offered --------> (absent)
 *                            |    ^                      |   ^                     |
 *                     delete |    | put           delete |   | put                 | put, delete: not offered any more,
 *                            v    |                      v   |                     v  stays in the next checkpoint
 *                          TOMBSTONE ------------------------------------------ (as above)
 *
 *   A fresh row (the image has none of its key) that is deleted: in the batch that made it: gone at once, the log never hears of it; later:
 *   a tombstone only until batch_end has logged the delete.
 *
 * Forgetting is constant time: a row offered in a finished round is absent from that moment (is_gone), and its memory
 * is swept by the changes and rounds that follow, a few rows each: a reactor never stalls on the 100,000 rows of a
 * checkpoint.
 *
 * Invariants:
 *   O1  a row is in the open batch exactly when its flag says so, and batch[row->batch_at] is that row
 *   O2  during a checkpoint every row version of its moment is either still in the tree with index <= checkpoint index, or was offered, or was set aside
 *   O3  an offered or set-aside row is never fresh: its delete leaves a tombstone
 *   O4  batch_bytes, offered_rows, garbage_rows and row_bytes are sums over the tree
 */
#include "runtime/overlay.h"

#include <stdlib.h>

#include "runtime/entry.h"
#include "runtime/rowtree.h"

enum row_flags {
    ROW_IN_BATCH = 1, /* in the open batch */
    ROW_DELETED = 2,  /* a tombstone */
    ROW_FRESH = 4,    /* the image holds no row of this key */
    ROW_LOGGED = 8,   /* an entry has carried a version of this row since it came into the overlay */
    ROW_VANISHES = 16 /* a tombstone that batch_end takes away */
};

#define MUTATION_OVERHEAD 7u  /* bytes of a mutation beside key and value; entry.c */
#define ROW_OVERHEAD 16u      /* what malloc adds to a row, about */
#define SWEEP_AT_CHANGE 8u    /* rows looked at by each change while a sweep is on */
#define SWEEP_AT_FORGET 1024u /* and by forget itself */
#define SHRINK_FROM 1024u     /* values of less capacity keep it */
#define BATCH_CAPACITY_MIN 64u
#define BATCH_CAPACITY_KEPT 8192u /* a larger batch array is given back at batch_end */

struct range {
    uint64_t index; /* entry that carries the delete */
    bool in_batch;  /* not yet in an entry */
    bool offered;   /* written by the present checkpoint */
    uint8_t *bytes; /* owned: from, then to */
    uint32_t from_size;
    uint32_t to_size;
};

struct stead_overlay {
    struct stead_rowtree tree;
    uint64_t row_bytes; /* heap bytes of the rows */
    uint64_t index;     /* of the last change; never falls */

    struct stead_row **batch; /* rows of the open batch; NULL where one vanished */
    uint32_t batch_size;      /* places used */
    uint32_t batch_capacity;
    uint32_t batch_rows; /* rows in it, ranges included */
    size_t batch_bytes;  /* of their mutations */

    struct range *ranges; /* range deletes that the image does not have yet, oldest first */
    uint32_t range_count;
    uint32_t range_capacity;
    uint64_t range_bytes; /* heap bytes */

    bool checkpointing;         /* from begin to the last chunk */
    uint64_t checkpoint_index;  /* its moment */
    uint32_t round;             /* number of the present checkpoint, from 1 */
    uint32_t round_forgotten;   /* rows offered up to this round are gone */
    struct stead_writer walked; /* key from which the walk goes on; empty at its start */
    struct stead_writer aside;  /* versions set aside, as mutations, for the next chunk */
    uint64_t offered_rows;      /* offered, unchanged, not forgotten */

    bool sweeping;             /* gone rows may be in the tree */
    uint64_t garbage_rows;     /* gone rows in the tree */
    struct stead_writer swept; /* key from which the sweep goes on */
};

static struct stead_slice slice_of(const struct stead_writer *writer)
{
    return (struct stead_slice){writer->data, writer->size};
}

static void set_key(struct stead_writer *writer, struct stead_slice key)
{
    stead_writer_reset(writer);
    stead_write_raw(writer, key.data, key.size);
}

static uint64_t heap_bytes_of(const struct stead_row *row)
{
    return offsetof(struct stead_row, bytes) + row->key_size + row->value_capacity + ROW_OVERHEAD;
}

static size_t mutation_bytes_of(const struct stead_row *row)
{
    return MUTATION_OVERHEAD + row->key_size + row->value_size;
}

/* Written to the image and forgotten: not there any more, whatever the tree holds. */
static bool is_gone(const struct stead_overlay *overlay, const struct stead_row *row)
{
    return row->offered != 0 && row->offered <= overlay->round_forgotten;
}

/* ---- Life ----------------------------------------------------------------------------------- */

struct stead_overlay *stead_overlay_create(void)
{
    struct stead_overlay *overlay = stead_alloc_zero(sizeof *overlay);
    stead_rowtree_init(&overlay->tree);
    stead_writer_init(&overlay->walked);
    stead_writer_init(&overlay->aside);
    stead_writer_init(&overlay->swept);
    return overlay;
}

void stead_overlay_destroy(struct stead_overlay **overlay)
{
    struct stead_overlay *it = *overlay;
    if (it == NULL)
        return;
    stead_rowtree_deinit(&it->tree);
    for (uint32_t i = 0; i < it->range_count; i++)
        free(it->ranges[i].bytes);
    free(it->ranges);
    free(it->batch);
    stead_writer_deinit(&it->walked);
    stead_writer_deinit(&it->aside);
    stead_writer_deinit(&it->swept);
    free(it);
    *overlay = NULL;
}

/* ---- The open batch's list ------------------------------------------------------------------ */

static void join_batch(struct stead_overlay *overlay, struct stead_row *row)
{
    if (overlay->batch_size == overlay->batch_capacity) {
        overlay->batch_capacity = overlay->batch_capacity > 0 ? overlay->batch_capacity * 2 : BATCH_CAPACITY_MIN;
        overlay->batch = stead_realloc(overlay->batch, overlay->batch_capacity * sizeof(overlay->batch[0]));
    }
    row->flags |= ROW_IN_BATCH;
    row->batch_at = overlay->batch_size;
    overlay->batch[overlay->batch_size++] = row;
    overlay->batch_rows++;
}

static void leave_batch(struct stead_overlay *overlay, struct stead_row *row)
{
    if ((row->flags & ROW_IN_BATCH) == 0)
        return;
    row->flags &= (uint8_t)~ROW_IN_BATCH;
    overlay->batch[row->batch_at] = NULL;
    overlay->batch_rows--;
    overlay->batch_bytes -= mutation_bytes_of(row);
}

/* ---- Changing one row ----------------------------------------------------------------------- */

/* Before a row of the checkpoint's moment changes or goes: keeps that version for the next chunk (O2). */
static void set_aside(struct stead_overlay *overlay, struct stead_row *row)
{
    if (!overlay->checkpointing || row->offered != 0 || row->index > overlay->checkpoint_index)
        return;
    if (row->flags & ROW_DELETED)
        stead_entry_delete(&overlay->aside, stead_row_key_of(row));
    else
        stead_entry_put(&overlay->aside, stead_row_key_of(row), stead_row_value_of(row));
    row->flags &= (uint8_t)~ROW_FRESH; /* O3 */
}

/* The row changes: it is not what a checkpoint was offered. */
static void revoke_offer(struct stead_overlay *overlay, struct stead_row *row)
{
    if (row->offered == 0)
        return;
    if (is_gone(overlay, row))
        overlay->garbage_rows--;
    else
        overlay->offered_rows--;
    row->offered = 0;
}

/* Takes the row at the path out of tree and batch and frees it. */
static void drop_row(struct stead_overlay *overlay, struct stead_rowtree_path *path)
{
    struct stead_row *row = stead_rowtree_take(&overlay->tree, path);
    leave_batch(overlay, row);
    revoke_offer(overlay, row);
    overlay->row_bytes -= heap_bytes_of(row);
    free(row);
}

static uint32_t capacity_for(size_t value_size)
{
    STEAD_ASSERT(value_size <= UINT32_MAX / 2);
    return (uint32_t)((value_size + value_size / 16 + 7) & ~(size_t)7);
}

/* Gives the row at the path room for a value of that size, in another block where needed. */
static struct stead_row *make_room(struct stead_overlay *overlay, struct stead_rowtree_path *path,
                                   struct stead_row *row, size_t value_size)
{
    bool fits = value_size <= row->value_capacity;
    bool wastes = row->value_capacity > SHRINK_FROM && value_size < row->value_capacity / 4;
    if (fits && !wastes)
        return row;
    uint32_t capacity = capacity_for(value_size);
    overlay->row_bytes += capacity;
    overlay->row_bytes -= row->value_capacity;
    row = stead_realloc(row, offsetof(struct stead_row, bytes) + row->key_size + capacity);
    row->value_capacity = capacity;
    stead_rowtree_replace(&overlay->tree, path, row);
    if (row->flags & ROW_IN_BATCH)
        overlay->batch[row->batch_at] = row;
    return row;
}

static struct stead_row *insert_row(struct stead_overlay *overlay, struct stead_rowtree_path *path,
                                    struct stead_slice key, size_t value_size)
{
    struct stead_row *row = stead_row_create(key, value_size > 0 ? capacity_for(value_size) : 0);
    stead_rowtree_insert(&overlay->tree, path, row);
    overlay->row_bytes += heap_bytes_of(row);
    return row;
}

/* Enters the row, with its new value and flags, into the open batch. */
static void enter_change(struct stead_overlay *overlay, struct stead_row *row, uint64_t index)
{
    row->index = index;
    if ((row->flags & ROW_IN_BATCH) == 0)
        join_batch(overlay, row);
    overlay->batch_bytes += mutation_bytes_of(row);
}

/* The row is about to change: whatever it was for batch and checkpoint is settled. True: the image may hold a row of
 * this key. */
static bool begin_change(struct stead_overlay *overlay, struct stead_row *row)
{
    bool was_gone = is_gone(overlay, row);
    set_aside(overlay, row);
    revoke_offer(overlay, row);
    if (row->flags & ROW_IN_BATCH)
        overlay->batch_bytes -= mutation_bytes_of(row);
    bool in_image = (row->flags & (ROW_FRESH | ROW_VANISHES)) == 0;
    if (was_gone)
        row->flags = 0;
    return in_image;
}

static void note_index(struct stead_overlay *overlay, uint64_t index)
{
    STEAD_ASSERT(index >= overlay->index);
    STEAD_ASSERT(!overlay->checkpointing || index > overlay->checkpoint_index);
    overlay->index = index;
}

static void sweep(struct stead_overlay *overlay, uint64_t row_count);

void stead_overlay_put(struct stead_overlay *overlay, uint64_t index, struct stead_slice key, struct stead_slice value,
                       bool fresh)
{
    note_index(overlay, index);
    if (overlay->sweeping)
        sweep(overlay, SWEEP_AT_CHANGE);
    struct stead_rowtree_path path;
    struct stead_row *row;
    if (stead_rowtree_find(&overlay->tree, key, &path)) {
        row = stead_rowtree_row(&overlay->tree, &path);
        if (begin_change(overlay, row))
            fresh = false;
        row = make_room(overlay, &path, row, value.size);
    } else {
        row = insert_row(overlay, &path, key, value.size);
    }
    row->flags &= (uint8_t) ~(ROW_DELETED | ROW_VANISHES | ROW_FRESH);
    if (fresh)
        row->flags |= ROW_FRESH;
    row->value_size = (uint32_t)value.size;
    if (value.size > 0)
        memcpy(row->bytes + row->key_size, value.data, value.size);
    enter_change(overlay, row, index);
}

bool stead_overlay_is_fresh(const struct stead_overlay *overlay, struct stead_slice key)
{
    struct stead_rowtree_path path;

    return stead_rowtree_find(&overlay->tree, key, &path) &&
           (stead_rowtree_row(&overlay->tree, &path)->flags & ROW_FRESH) != 0;
}

void stead_overlay_delete(struct stead_overlay *overlay, uint64_t index, struct stead_slice key)
{
    note_index(overlay, index);
    if (overlay->sweeping)
        sweep(overlay, SWEEP_AT_CHANGE);
    struct stead_rowtree_path path;
    struct stead_row *row;
    bool in_image = true;
    if (stead_rowtree_find(&overlay->tree, key, &path)) {
        row = stead_rowtree_row(&overlay->tree, &path);
        bool logged = row->flags & ROW_LOGGED;
        in_image = begin_change(overlay, row);
        if (!in_image && !logged) {                         /* made in this batch: nobody has heard of it */
            overlay->batch_bytes += mutation_bytes_of(row); /* drop_row subtracts it */
            drop_row(overlay, &path);
            return;
        }
        row = make_room(overlay, &path, row, 0);
    } else {
        row = insert_row(overlay, &path, key, 0);
    }
    row->flags &= (uint8_t)~ROW_FRESH;
    row->flags |= ROW_DELETED;
    if (!in_image)
        row->flags |= ROW_VANISHES;
    row->value_size = 0;
    enter_change(overlay, row, index);
}

/* ---- Range deletes -------------------------------------------------------------------------- */

static void drop_rows_between(struct stead_overlay *overlay, struct stead_slice from, struct stead_slice to)
{
    struct stead_rowtree_path path;
    for (;;) {
        stead_rowtree_find(&overlay->tree, from, &path);
        struct stead_row *row = stead_rowtree_row(&overlay->tree, &path);
        if (row == NULL || stead_slice_compare(stead_row_key_of(row), to) >= 0)
            return;
        set_aside(overlay, row);
        if (!stead_rowtree_find(&overlay->tree, stead_row_key_of(row), &path)) /* the row may lie in the next leaf */
            STEAD_ASSERT(false);
        drop_row(overlay, &path);
    }
}

static void remember_range(struct stead_overlay *overlay, uint64_t index, struct stead_slice from,
                           struct stead_slice to)
{
    if (overlay->range_count == overlay->range_capacity) {
        overlay->range_capacity = overlay->range_capacity > 0 ? overlay->range_capacity * 2 : 16;
        overlay->ranges = stead_realloc(overlay->ranges, overlay->range_capacity * sizeof(overlay->ranges[0]));
    }
    struct range *range = &overlay->ranges[overlay->range_count++];
    *range = (struct range){.index = index,
                            .in_batch = true,
                            .from_size = (uint32_t)from.size,
                            .to_size = (uint32_t)to.size,
                            .bytes = stead_alloc(from.size + to.size)};
    memcpy(range->bytes, from.data, from.size);
    memcpy(range->bytes + from.size, to.data, to.size);
    overlay->range_bytes += sizeof *range + ROW_OVERHEAD + from.size + to.size;
    overlay->batch_rows++;
    overlay->batch_bytes += MUTATION_OVERHEAD + from.size + to.size;
}

void stead_overlay_delete_range(struct stead_overlay *overlay, uint64_t index, struct stead_slice from,
                                struct stead_slice to)
{
    note_index(overlay, index);
    if (stead_slice_compare(from, to) >= 0)
        return;
    drop_rows_between(overlay, from, to);
    remember_range(overlay, index, from, to);
}

static void write_range(const struct range *range, struct stead_writer *mutations)
{
    stead_entry_delete_range(mutations, (struct stead_slice){range->bytes, range->from_size},
                             (struct stead_slice){range->bytes + range->from_size, range->to_size});
}

/* Those that the finished checkpoint wrote. */
static void forget_ranges(struct stead_overlay *overlay)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < overlay->range_count; i++) {
        struct range *range = &overlay->ranges[i];
        if (range->offered) {
            overlay->range_bytes -= sizeof *range + ROW_OVERHEAD + range->from_size + range->to_size;
            free(range->bytes);
        } else {
            overlay->ranges[kept++] = *range;
        }
    }
    overlay->range_count = kept;
}

/* ---- Reading -------------------------------------------------------------------------------- */

enum stead_overlay_found stead_overlay_get(const struct stead_overlay *overlay, struct stead_slice key,
                                           struct stead_slice *ret_value, uint64_t *ret_index)
{
    struct stead_rowtree_path path;
    if (!stead_rowtree_find(&overlay->tree, key, &path))
        return STEAD_OVERLAY_ABSENT;
    const struct stead_row *row = stead_rowtree_row(&overlay->tree, &path);
    if (is_gone(overlay, row))
        return STEAD_OVERLAY_ABSENT;
    if (ret_index != NULL)
        *ret_index = row->index;
    if (row->flags & ROW_DELETED)
        return STEAD_OVERLAY_DELETED;
    *ret_value = stead_row_value_of(row);
    return STEAD_OVERLAY_ROW;
}

/* A walk over the rows that are there, up or down. */
struct walk {
    const struct stead_overlay *overlay;
    struct stead_rowtree_path path;
    struct stead_slice bound; /* up: the first key not visited; down: the last key visited */
    bool reverse;
};

static void begin_walk(struct walk *walk, const struct stead_overlay *overlay, struct stead_slice from,
                       struct stead_slice to, bool reverse)
{
    *walk = (struct walk){.overlay = overlay, .bound = reverse ? from : to, .reverse = reverse};
    stead_rowtree_find(&overlay->tree, reverse ? to : from, &walk->path);
}

/* The next row; NULL at the end. */
static const struct stead_row *walk_on(struct walk *walk)
{
    const struct stead_rowtree *tree = &walk->overlay->tree;
    for (;;) {
        if (walk->reverse && !stead_rowtree_previous(tree, &walk->path))
            return NULL;
        const struct stead_row *row = stead_rowtree_row(tree, &walk->path);
        if (row == NULL)
            return NULL;
        int order = stead_slice_compare(stead_row_key_of(row), walk->bound);
        bool endless = !walk->reverse && walk->bound.size == 0;
        if (!endless && (walk->reverse ? order < 0 : order >= 0))
            return NULL;
        if (!walk->reverse)
            stead_rowtree_next(tree, &walk->path);
        if (!is_gone(walk->overlay, row))
            return row;
    }
}

int stead_overlay_scan(const struct stead_overlay *overlay, struct stead_slice from, struct stead_slice to,
                       bool reverse, stead_overlay_visit_fn *visit, void *context)
{
    struct walk walk;
    begin_walk(&walk, overlay, from, to, reverse);
    for (const struct stead_row *row = walk_on(&walk); row != NULL; row = walk_on(&walk)) {
        bool deleted = row->flags & ROW_DELETED;
        struct stead_slice value = deleted ? (struct stead_slice){NULL, 0} : stead_row_value_of(row);
        int stop = visit(context, stead_row_key_of(row), value, deleted);
        if (stop != 0)
            return stop;
    }
    return 0;
}

/* The image's rows arrive in order; the overlay's are put between them. */
struct merge {
    struct walk walk;
    const struct stead_row *row; /* the overlay's next; NULL at its end */
    stead_row_visit_fn *visit;
    void *context;
    bool stopped; /* by the visitor, not by the image */
};

static int visit_overlay_row(struct merge *merge)
{
    const struct stead_row *row = merge->row;
    merge->row = walk_on(&merge->walk);
    if (row->flags & ROW_DELETED)
        return 0;
    int stop = merge->visit(merge->context, stead_row_key_of(row), stead_row_value_of(row));
    merge->stopped = stop != 0;
    return stop;
}

static int visit_image_row(void *context, struct stead_slice key, struct stead_slice value)
{
    struct merge *merge = context;
    while (merge->row != NULL) {
        int order = stead_slice_compare(stead_row_key_of(merge->row), key);
        if (merge->walk.reverse ? order < 0 : order > 0)
            break;
        int stop = visit_overlay_row(merge);
        if (stop != 0 || order == 0)
            return stop;
    }
    int stop = merge->visit(merge->context, key, value);
    merge->stopped = stop != 0;
    return stop;
}

int stead_overlay_scan_merged(const struct stead_overlay *overlay, const struct stead_doors *doors,
                              struct stead_slice from, struct stead_slice to, bool reverse, stead_row_visit_fn *visit,
                              void *context)
{
    struct merge merge = {.visit = visit, .context = context};
    begin_walk(&merge.walk, overlay, from, to, reverse);
    merge.row = walk_on(&merge.walk);
    int code = doors == NULL ? 0 : doors->scan(doors->self, from, to, reverse, visit_image_row, &merge);
    if (code != 0 || merge.stopped)
        return code;
    while (merge.row != NULL && code == 0)
        code = visit_overlay_row(&merge);
    return code;
}

/* A merge that goes from range to range. */
struct merge_ranges {
    struct merge merge; /* of the present one */
    const struct stead_overlay *overlay;
    stead_row_range_fn *next;
};

/* What the overlay has behind the image's last row of a range. */
static void end_range(struct merge *merge)
{
    while (merge->row != NULL && !merge->stopped)
        (void)visit_overlay_row(merge);
}

static bool next_merged(void *context, struct stead_slice *ret_from, struct stead_slice *ret_to)
{
    struct merge_ranges *ranges = context;
    struct merge *merge = &ranges->merge;

    end_range(merge);
    if (!ranges->next(merge->context, ret_from, ret_to))
        return false;
    merge->stopped = false;
    begin_walk(&merge->walk, ranges->overlay, *ret_from, *ret_to, false);
    merge->row = walk_on(&merge->walk);
    return true;
}

static int visit_merged(void *context, struct stead_slice key, struct stead_slice value)
{
    return visit_image_row(&((struct merge_ranges *)context)->merge, key, value);
}

int stead_overlay_scan_ranges(const struct stead_overlay *overlay, const struct stead_doors *doors,
                              stead_row_range_fn *next, stead_row_visit_fn *visit, void *context)
{
    struct merge_ranges ranges = {.merge = {.visit = visit, .context = context}, .overlay = overlay, .next = next};

    return doors->scan_ranges(doors->self, next_merged, visit_merged, &ranges);
}

int stead_overlay_get_merged(const struct stead_overlay *overlay, const struct stead_doors *doors,
                             struct stead_slice key, struct stead_writer *ret_value)
{
    struct stead_slice value;
    switch (stead_overlay_get(overlay, key, &value, NULL)) {
    case STEAD_OVERLAY_ROW:
        stead_write_raw(ret_value, value.data, value.size);
        return 0;
    case STEAD_OVERLAY_DELETED:
        return STEAD_ENOTFOUND;
    case STEAD_OVERLAY_ABSENT:
    default:
        return doors == NULL ? STEAD_ENOTFOUND : doors->get(doors->self, key, ret_value);
    }
}

/* ---- The open batch ------------------------------------------------------------------------- */

uint32_t stead_overlay_batch_rows(const struct stead_overlay *overlay)
{
    return overlay->batch_rows;
}

size_t stead_overlay_batch_bytes(const struct stead_overlay *overlay)
{
    return overlay->batch_bytes;
}

static void write_row(const struct stead_row *row, struct stead_writer *mutations)
{
    if (row->flags & ROW_DELETED)
        stead_entry_delete(mutations, stead_row_key_of(row));
    else
        stead_entry_put(mutations, stead_row_key_of(row), stead_row_value_of(row));
}

void stead_overlay_batch_end(struct stead_overlay *overlay, struct stead_writer *entry)
{
    for (uint32_t i = overlay->range_count; i-- > 0 && overlay->ranges[i].in_batch;) {
        if (entry != NULL)
            write_range(&overlay->ranges[i], entry);
        overlay->ranges[i].in_batch = false;
    }
    for (uint32_t i = 0; i < overlay->batch_size; i++) {
        struct stead_row *row = overlay->batch[i];
        if (row == NULL)
            continue;
        if (entry != NULL)
            write_row(row, entry);
        row->flags = (uint8_t)((row->flags & ~ROW_IN_BATCH) | ROW_LOGGED);
        if (row->flags & ROW_VANISHES) {
            struct stead_rowtree_path path;
            bool found = stead_rowtree_find(&overlay->tree, stead_row_key_of(row), &path);
            STEAD_ASSERT(found);
            drop_row(overlay, &path);
        }
    }
    overlay->batch_size = 0;
    overlay->batch_rows = 0;
    overlay->batch_bytes = 0;
    if (overlay->batch_capacity > BATCH_CAPACITY_KEPT) {
        free(overlay->batch);
        overlay->batch = NULL;
        overlay->batch_capacity = 0;
    }
}

/* ---- Checkpoint ----------------------------------------------------------------------------- */

void stead_overlay_checkpoint_begin(struct stead_overlay *overlay, uint64_t index)
{
    STEAD_ASSERT(!overlay->checkpointing && overlay->offered_rows == 0);
    STEAD_ASSERT(overlay->batch_rows == 0 && index >= overlay->index);
    if (overlay->sweeping)
        sweep(overlay, UINT64_MAX);
    overlay->index = index;
    overlay->checkpointing = true;
    overlay->checkpoint_index = index;
    overlay->round++;
    stead_writer_reset(&overlay->walked);
    stead_writer_reset(&overlay->aside);
}

static void offer_ranges(struct stead_overlay *overlay, size_t bytes_max, struct stead_writer *mutations)
{
    for (uint32_t i = 0; i < overlay->range_count && mutations->size < bytes_max; i++) {
        struct range *range = &overlay->ranges[i];
        if (range->offered || range->index > overlay->checkpoint_index)
            continue;
        write_range(range, mutations);
        range->offered = true;
    }
}

/* Rows of the moment in key order; false at the end. */
static bool offer_rows(struct stead_overlay *overlay, size_t bytes_max, struct stead_writer *mutations)
{
    struct stead_rowtree_path path;
    stead_rowtree_find(&overlay->tree, slice_of(&overlay->walked), &path);
    for (;;) {
        struct stead_row *row = stead_rowtree_row(&overlay->tree, &path);
        if (row == NULL)
            return false;
        if (mutations->size >= bytes_max) {
            set_key(&overlay->walked, stead_row_key_of(row));
            return true;
        }
        if (row->offered == 0 && row->index <= overlay->checkpoint_index) {
            write_row(row, mutations);
            row->offered = overlay->round;
            row->flags &= (uint8_t)~ROW_FRESH; /* O3 */
            overlay->offered_rows++;
        }
        stead_rowtree_next(&overlay->tree, &path);
    }
}

bool stead_overlay_checkpoint(struct stead_overlay *overlay, size_t bytes_max, struct stead_writer *mutations)
{
    STEAD_ASSERT(overlay->checkpointing);
    size_t end = mutations->size + bytes_max;
    offer_ranges(overlay, end, mutations);
    stead_write_raw(mutations, overlay->aside.data, overlay->aside.size);
    stead_writer_reset(&overlay->aside);
    overlay->checkpointing = offer_rows(overlay, end, mutations);
    if (!overlay->checkpointing) { /* O2: all of the moment is offered, nothing will be set aside */
        stead_writer_deinit(&overlay->aside);
        stead_writer_init(&overlay->aside);
    }
    return overlay->checkpointing;
}

void stead_overlay_forget(struct stead_overlay *overlay)
{
    STEAD_ASSERT(!overlay->checkpointing);
    overlay->round_forgotten = overlay->round;
    overlay->garbage_rows += overlay->offered_rows;
    overlay->offered_rows = 0;
    forget_ranges(overlay);
    overlay->sweeping = true;
    stead_writer_reset(&overlay->swept);
    sweep(overlay, SWEEP_AT_FORGET);
}

/* Frees gone rows, looking at `row_count` rows from where the sweep stood. */
static void sweep(struct stead_overlay *overlay, uint64_t row_count)
{
    struct stead_rowtree_path path;
    const struct stead_rowtree *tree = &overlay->tree;
    stead_rowtree_find(tree, slice_of(&overlay->swept), &path);
    for (; overlay->garbage_rows > 0; row_count--) {
        struct stead_row *row = stead_rowtree_row(tree, &path);
        STEAD_ASSERT(row != NULL); /* every gone row lies behind the cursor */
        if (row_count == 0) {
            set_key(&overlay->swept, stead_row_key_of(row));
            return;
        }
        if (!is_gone(overlay, row)) {
            stead_rowtree_next(tree, &path);
            continue;
        }
        set_key(&overlay->swept, stead_row_key_of(row));
        if (stead_rowtree_find(tree, stead_row_key_of(row), &path))
            drop_row(overlay, &path);
        stead_rowtree_find(tree, slice_of(&overlay->swept), &path);
    }
    overlay->sweeping = false;
    stead_writer_reset(&overlay->swept);
}

bool stead_overlay_sweep(struct stead_overlay *overlay, uint32_t row_count)
{
    if (overlay->sweeping)
        sweep(overlay, row_count);
    return overlay->sweeping;
}

/* ---- Sizes and checking --------------------------------------------------------------------- */

uint64_t stead_overlay_rows(const struct stead_overlay *overlay)
{
    return overlay->tree.row_count - overlay->garbage_rows;
}

uint64_t stead_overlay_row_bytes(const struct stead_overlay *overlay)
{
    return overlay->row_bytes + overlay->range_bytes;
}

uint64_t stead_overlay_bytes(const struct stead_overlay *overlay)
{
    return overlay->row_bytes + overlay->range_bytes + overlay->tree.page_bytes + overlay->aside.capacity +
           overlay->batch_capacity * sizeof(overlay->batch[0]);
}

void stead_overlay_check(const struct stead_overlay *overlay)
{
    stead_rowtree_check(&overlay->tree);
    uint64_t row_bytes = 0;
    uint64_t offered_rows = 0;
    uint64_t garbage_rows = 0;
    uint32_t batch_rows = 0;
    size_t batch_bytes = 0;
    struct stead_rowtree_path path;
    stead_rowtree_find(&overlay->tree, (struct stead_slice){NULL, 0}, &path);
    for (struct stead_row *row = stead_rowtree_row(&overlay->tree, &path); row != NULL;
         stead_rowtree_next(&overlay->tree, &path), row = stead_rowtree_row(&overlay->tree, &path)) {
        row_bytes += heap_bytes_of(row);
        garbage_rows += is_gone(overlay, row);
        offered_rows += row->offered != 0 && !is_gone(overlay, row);
        STEAD_ASSERT(row->index <= overlay->index);
        STEAD_ASSERT(row->offered == 0 || (row->flags & (ROW_FRESH | ROW_IN_BATCH)) == 0);
        STEAD_ASSERT((row->flags & ROW_VANISHES) == 0 || (row->flags & (ROW_IN_BATCH | ROW_DELETED)) != 0);
        STEAD_ASSERT((row->flags & ROW_DELETED) == 0 || row->value_size == 0);
        if (row->flags & ROW_IN_BATCH) {
            STEAD_ASSERT(overlay->batch[row->batch_at] == row);
            batch_rows++;
            batch_bytes += mutation_bytes_of(row);
        }
    }
    for (uint32_t i = 0; i < overlay->range_count; i++) {
        const struct range *range = &overlay->ranges[i];
        batch_rows += range->in_batch;
        batch_bytes += range->in_batch ? MUTATION_OVERHEAD + range->from_size + range->to_size : 0;
    }
    STEAD_ASSERT(row_bytes == overlay->row_bytes && batch_rows == overlay->batch_rows);
    STEAD_ASSERT(batch_bytes == overlay->batch_bytes && offered_rows == overlay->offered_rows);
    STEAD_ASSERT(garbage_rows == overlay->garbage_rows);
}
