/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doors: everything the pure core needs from the world, as one table of functions.
 *
 * Each door has two implementations: the node's (RocksDB, ZeroMQ, threads) and the simulator's. The core calls them
 * only from drain.c (effects) and from reads inside a turn (get, scan), always on the host's own thread. A door that
 * takes time returns at once; its completion comes back as a call of host.h.
 */
#ifndef STEAD_RUNTIME_DOORS_H
#define STEAD_RUNTIME_DOORS_H

#include "runtime/ids.h"
#include "runtime/message.h"

/* One read of the store image that may wait for the disk: a point or a range. Made by the core, filled in by the door,
 * handed back with stead_host_loaded(). */
struct stead_load {
    struct stead_load *next;
    uint32_t shard;
    uint64_t token;               /* the core's own */
    uint32_t limit;               /* range: rows at most */
    struct stead_writer from, to; /* raw row keys; an empty `to`: the point `from`; else from <= key < to */
    int ret_code;                 /* 0 (also when nothing is there) or STEAD_EIO, STEAD_ECORRUPT */
    bool ret_found;               /* point: the row exists */
    uint32_t ret_count;           /* range: rows */
    struct stead_writer
        ret_rows; /* point: the value; range: (u32 key size, u32 value size, key, value) little-endian, in order */
};

/* Frees a load and its buffers; nulls `*load`. Any thread that owns it. */
void stead_load_destroy(struct stead_load **load);

/* The turn in progress, named in a small mapped file so that a restart knows what killed the process. */
struct stead_turn_mark {
    struct stead_id id; /* the message, or what else is known again */
    struct stead_slice address;
    struct stead_slice op; /* empty with `same_text` */
    bool same_text;        /* address and op are those of the mark before */
    /* The id is no message's, but the same in each life: of a timer, of a hook. Only what ended the process itself
     * counts against that: deaths from outside would add up. */
    bool lasting;
};

typedef int stead_row_visit_fn(void *context, struct stead_slice key, struct stead_slice value);
/* The next range of a scan of many, from <= key < to, valid until the next call; false: there is none any more. */
typedef bool stead_row_range_fn(void *context, struct stead_slice *ret_from, struct stead_slice *ret_to);

struct stead_doors {
    void *self; /* first argument of each */

    /* ---- persist ---- */
    /* Appends one log entry; `entry` is consumed (its memory is freed by the door). Entries of a shard come in
     * index order. Answered by stead_host_synced(). An append never fails: a disk that does stops the process. */
    void (*append)(void *self, uint32_t shard, uint64_t index, struct stead_writer *entry);
    /* Writes a chunk of rows (encoded as entry mutations, entry.h) to the store image, unsynced, after every append
     * that was synced before. `applied` not 0: the image now holds everything up to that index. Consumed. Answered by
     * stead_host_rows_written() in order. */
    void (*write_rows)(void *self, uint32_t shard, uint64_t applied, struct stead_writer *mutations);
    /* Log entries up to `index` may be deleted as far as the node's retention allows. */
    void (*trim_log)(void *self, uint32_t shard, uint64_t index);
    /* Reads in the background. Consumed; comes back through stead_host_loaded(), never before this returns. */
    void (*load)(void *self, struct stead_load *load);
    /* Reads of the store image, at once. get: 0, STEAD_ENOTFOUND, STEAD_EIO. scan: from <= key < to; stops when `visit`
     * returns non-zero. */
    int (*get)(void *self, struct stead_slice key, struct stead_writer *ret_value);
    int (*scan)(void *self, struct stead_slice from, struct stead_slice to, bool reverse, stead_row_visit_fn *visit,
                void *context);
    /* Many ranges, rising, of one moment: at the price of a seek each. What `visit` returns non-zero for ends the
     * range, not the scan. 0, STEAD_EIO. */
    int (*scan_ranges)(void *self, stead_row_range_fn *next, stead_row_visit_fn *visit, void *context);
    /* Reads one entry of the log, for the journal. STEAD_ENOTFOUND when it was trimmed. */
    int (*read_entry)(void *self, uint32_t shard, uint64_t index, struct stead_writer *ret_entry);

    /* ---- speak ---- */
    /* To a reactor of a node (this node's other reactors included). Consumed. May be lost. */
    void (*send)(void *self, uint32_t node, uint16_t reactor, struct stead_message **message);
    /* To the client connection `message->route.connection` of this reactor. Consumed. May be lost. */
    void (*answer)(void *self, struct stead_message **message);

    /* ---- jobs ---- */
    /* Runs a request to a stateless kind on a job thread. Consumed; answered by stead_host_job_done() with the same
     * message. */
    void (*run_job)(void *self, const struct stead_kind *kind, const struct stead_op *op,
                    struct stead_message **request);
    void (*cancel_job)(void *self, struct stead_id id);

    /* ---- records ---- */
    /* The wire form of a message, for outboxes and whatever else is stored of messages. Pure functions of net/codec.h,
     * given as doors because the core does not know the wire. decode: 0 or a negative code; `ret_message` is the
     * caller's. */
    void (*encode)(const struct stead_message *message, struct stead_writer *writer);
    int (*decode)(struct stead_slice record, struct stead_message **ret_message);

    /* ---- the rest ---- */
    /* A fresh monotonic reading, ns: to measure with, never to decide by. */
    uint64_t (*clock)(void *self);
    /* Wakes the host no later than this monotonic time. */
    void (*arm)(void *self, uint64_t deadline_ns);
    /* NULL mark: the turn is over. */
    void (*turn_mark)(void *self, const struct stead_turn_mark *mark);
    /* The bytes of a TZif file (RFC 8536) of an IANA zone; STEAD_ENOTFOUND. */
    int (*zone)(void *self, const char *name, struct stead_writer *ret_tzif);
    /* A line for the log of the node. */
    void (*trace)(void *self, int level, const char *line);
};

enum stead_trace_level { STEAD_TRACE_ERROR, STEAD_TRACE_WARN, STEAD_TRACE_INFO, STEAD_TRACE_DEBUG };

#endif
