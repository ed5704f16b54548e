/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_writer: the one thread of a node that writes to the store. It takes the log entries of all shards of all
 * reactors, makes one batch and one sync of them, and reports back; while it syncs, the next batch builds up behind it.
 *
 *     reactors --append, write_rows, trim--> [queue] --round--> store: one batch, one sync --> done(reactor, ...)
 *
 * Rows of a checkpoint ride unsynced, after the entries of the round. The applied mark of a checkpoint is written only
 * after a sync that covers its chunks, a trim only after a sync that covers the mark (format.h).
 *
 * A failed write or sync is fatal: `failed` is called once, nothing is written and no completion is reported after it.
 *
 * Threads: submitting: any; callbacks: on the writer's thread, they must not block; create and destroy: one.
 */
#ifndef STEAD_PERSIST_LOG_WRITER_H
#define STEAD_PERSIST_LOG_WRITER_H

#include "persist/store.h"
#include "runtime/histogram.h"

struct stead_log_writer;

enum stead_log_done_type {
    STEAD_LOG_SYNCED,      /* entries of `shard` up to `index` are on disk: stead_host_synced() */
    STEAD_LOG_ROWS_WRITTEN /* the oldest write_rows of `shard` is done: stead_host_rows_written() */
};

struct stead_log_done {
    enum stead_log_done_type type;
    uint32_t shard;
    uint64_t index; /* SYNCED */
};

struct stead_log_writer_options {
    struct stead_store *store; /* borrowed for the writer's life */
    uint16_t reactor_count;    /* completions go to 0 .. reactor_count - 1 */
    void *context;             /* first argument of the callbacks */
    /* What of this round belongs to `reactor`, in order; called at most twice a round and reactor. */
    void (*done)(void *context, uint16_t reactor, const struct stead_log_done *done, uint32_t done_count);
    /* The disk failed: the node must stop, and say why. */
    void (*failed)(void *context, int code, const char *sentence);
};

/* Starts the thread. STEAD_ENOMEM when the system gives none. */
int stead_log_writer_create(const struct stead_log_writer_options *options,
                            struct stead_log_writer **ret_writer) STEAD_MUST_USE;
/* Writes what is queued, syncs, ends the thread. Nulls `*writer`; NULL is fine. */
void stead_log_writer_destroy(struct stead_log_writer **writer);

/* Queues a log entry; entries of a shard come in index order, from one thread at a time. `entry` is consumed and left
 * empty, as below. */
void stead_log_writer_append(struct stead_log_writer *writer, uint16_t reactor, uint32_t shard, uint64_t index,
                             struct stead_writer *entry);
/* Queues mutations of the image. `applied` not 0: with them it is complete up to that index. */
void stead_log_writer_write_rows(struct stead_log_writer *writer, uint16_t reactor, uint32_t shard, uint64_t applied,
                                 struct stead_writer *mutations);
/* Entries up to `index` may go. Never takes entries above the applied mark that is on disk. */
void stead_log_writer_trim(struct stead_log_writer *writer, uint32_t shard, uint64_t index);

/* Has marks and trims written that otherwise ride with later entries: for whoever wants the room now. Costs up to three
 * syncs; returns at once. */
void stead_log_writer_settle(struct stead_log_writer *writer);

/* Bytes queued and not yet written: a node stops its intake from clients above a limit. Any thread. */
uint64_t stead_log_writer_queued_bytes(const struct stead_log_writer *writer);

struct stead_log_writer_stats {
    uint64_t syncs;
    uint64_t entries; /* log entries written */
    uint64_t entry_bytes;
    uint64_t row_chunks;
    uint64_t row_bytes;
    uint64_t trims;
    struct stead_histogram sync_ns;       /* one batch with its sync */
    struct stead_histogram rows_ns;       /* one batch of rows, unsynced */
    struct stead_histogram batch_entries; /* entries in one sync */
    struct stead_histogram batch_bytes;
};
/* A copy; any thread. */
void stead_log_writer_stats(struct stead_log_writer *writer, struct stead_log_writer_stats *ret_stats);

#endif
