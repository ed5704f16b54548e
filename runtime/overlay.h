/* SPDX-License-Identifier: Apache-2.0 */
/*
 * overlay: the rows of one shard that are newer than the store image, ordered by key.
 *
 * Every durable change is a row put or deleted here, with the index of the log entry that will carry it. Reads merge
 * the overlay over the image; a checkpoint writes what is synced and then forgets it. A row that was made and deleted
 * between two checkpoints never reaches the store (`fresh`). Range deletes are only ever of rows that nobody will read
 * again (an ended incarnation, an ended session): they drop the overlay's rows and are remembered for the next
 * checkpoint.
 *
 * The rows changed since the last stead_overlay_batch_end() form the open batch, each once, with its last value: that
 * is the log entry.
 *
 * A checkpoint is of one moment: the rows as they were after one entry. While its chunks are being made, a row that
 * changes before it was written first has its version of that moment set aside; without that, a row changed in every
 * batch would either never be written, or be written ahead of the synced index, and a crash would take back what
 * `applied` promises.
 *
 * Pure memory, one thread. Slices of a row stay valid until that row is next put, deleted or forgotten.
 */
#ifndef STEAD_RUNTIME_OVERLAY_H
#define STEAD_RUNTIME_OVERLAY_H

#include "runtime/doors.h"
#include "stead/value.h"

struct stead_overlay;

/* Returned, empty; destroy nulls and frees every row. */
struct stead_overlay *stead_overlay_create(void);
void stead_overlay_destroy(struct stead_overlay **overlay);

/* ---- Change --------------------------------------------------------------------------------- */

/* `value` may not lie in the overlay itself. Puts a row at `index` (that of the open entry, never falling). `fresh`:
 * the caller knows that the store image holds no row of this key (and says so at each put until a checkpoint wrote it;
 * wrongly said, a deleted row would come back: so only for keys that are never used twice). */
void stead_overlay_put(struct stead_overlay *overlay, uint64_t index, struct stead_slice key, struct stead_slice value,
                       bool fresh);
/* Is there such a row, put as fresh? */
bool stead_overlay_is_fresh(const struct stead_overlay *overlay, struct stead_slice key);
/* Leaves a tombstone, or nothing at all when the row was fresh and never offered to a checkpoint. A fresh row put in an
 * earlier entry that is still to be logged as deleted stays in the open batch as a delete. */
void stead_overlay_delete(struct stead_overlay *overlay, uint64_t index, struct stead_slice key);
void stead_overlay_delete_range(struct stead_overlay *overlay, uint64_t index, struct stead_slice from,
                                struct stead_slice to);

/* ---- Read ----------------------------------------------------------------------------------- */

enum stead_overlay_found { STEAD_OVERLAY_ABSENT, STEAD_OVERLAY_ROW, STEAD_OVERLAY_DELETED };
/* ABSENT: ask the image. `ret_value` only with ROW; `ret_index` (may be NULL) with ROW and DELETED. */
enum stead_overlay_found stead_overlay_get(const struct stead_overlay *overlay, struct stead_slice key,
                                           struct stead_slice *ret_value, uint64_t *ret_index);
/* Rows and tombstones of from <= key < to in order (reverse: falling; else an empty `to` has no end); `deleted` rows
 * have an empty value. Stops when `visit` returns non-zero, and returns that. `visit` may not change the overlay. */
typedef int stead_overlay_visit_fn(void *context, struct stead_slice key, struct stead_slice value, bool deleted);
int stead_overlay_scan(const struct stead_overlay *overlay, struct stead_slice from, struct stead_slice to,
                       bool reverse, stead_overlay_visit_fn *visit, void *context);
/* The merge of the overlay over `doors`' image: what is really there. `doors` NULL, here and in get: the image has
 * nothing of it. */
int stead_overlay_scan_merged(const struct stead_overlay *overlay, const struct stead_doors *doors,
                              struct stead_slice from, struct stead_slice to, bool reverse, stead_row_visit_fn *visit,
                              void *context);
/* The same over many ranges, rising, as `next` names them (doors.h): `visit` non-zero ends a range, not the scan. 0,
 * STEAD_EIO. */
int stead_overlay_scan_ranges(const struct stead_overlay *overlay, const struct stead_doors *doors,
                              stead_row_range_fn *next, stead_row_visit_fn *visit, void *context);
/* 0, STEAD_ENOTFOUND, STEAD_EIO. */
int stead_overlay_get_merged(const struct stead_overlay *overlay, const struct stead_doors *doors,
                             struct stead_slice key, struct stead_writer *ret_value);

/* ---- The open batch ------------------------------------------------------------------------- */

uint32_t
stead_overlay_batch_rows(const struct stead_overlay *overlay); /* changed and not yet in an entry, ranges counted too */
size_t stead_overlay_batch_bytes(const struct stead_overlay *overlay); /* about what batch_end would write */
/* Writes the batch's changes as entry mutations (entry.h: ranges first, then puts and deletes) and starts the next.
 * `entry` NULL: only starts the next (at replay: what was put is in the log already). */
void stead_overlay_batch_end(struct stead_overlay *overlay, struct stead_writer *entry);

/* ---- Checkpoint ----------------------------------------------------------------------------- */

/* Begins a checkpoint of the rows as they are now, which must be right after batch_end of the entry `index` (the open
 * batch is empty) and after forget() of the checkpoint before. Its chunks may go to the image (write_rows) as soon as
 * `index` is synced, the last one with applied = `index`. */
void stead_overlay_checkpoint_begin(struct stead_overlay *overlay, uint64_t index);
/* Writes the next chunk: ranges, versions set aside, rows in key order, as entry mutations, about `bytes_max` bytes;
 * rows stay readable and are marked as offered. True: there is more. */
bool stead_overlay_checkpoint(struct stead_overlay *overlay, size_t bytes_max, struct stead_writer *mutations);
/* After all chunks were written to the image: forgets the rows that have not changed since they were offered. Constant
 * time: the memory comes back step by step, with the next changes and by sweep(). */
void stead_overlay_forget(struct stead_overlay *overlay);
/* Frees memory of what was forgotten, looking at so many rows. True: there is more of it. */
bool stead_overlay_sweep(struct stead_overlay *overlay, uint32_t row_count);

uint64_t stead_overlay_rows(const struct stead_overlay *overlay);      /* rows and tombstones */
uint64_t stead_overlay_bytes(const struct stead_overlay *overlay);     /* heap bytes, about */
uint64_t stead_overlay_row_bytes(const struct stead_overlay *overlay); /* those that checkpoints give back */
void stead_overlay_check(const struct stead_overlay *overlay);         /* asserts order, links and sums */

#endif
