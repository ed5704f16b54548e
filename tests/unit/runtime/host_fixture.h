/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_fixture: one host of the pure core between doors that a test holds in its hands.
 *
 * The disk is a sorted table (the image) and one list of entries a shard (the log). It answers at once, unless a test
 * sets `hold_sync`, `hold_rows` or `hold_loads` and lets things through itself. What leaves the host is caught in three
 * queues: answers to clients, sends to other nodes, jobs. Time stands still until fx_step_ms() moves it.
 *
 * Records are stored as the plain bytes of a message, so that nothing here depends on the wire: its codec has tests of
 * its own.
 *
 * Its agents are puppets (host_puppets.h); requests of clients are made with host_client.h, which a test includes.
 */
#ifndef STEAD_TESTS_HOST_FIXTURE_H
#define STEAD_TESTS_HOST_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/address.h"
#include "runtime/base.h"
#include "runtime/chain.h"
#include "runtime/entry.h"
#include "runtime/host.h"
#include "runtime/queue.h"
#include "runtime/rows.h"
#include "runtime/table_builder.h"
#include "unit/runtime/host_puppets.h"

#define FX_NODE 1u
#define FX_PEER 2u        /* the other node of the tables below; nobody is there but the test */
#define FX_WALL 1000000u  /* ms: where the wall clock starts */
#define FX_SHARDS 3u      /* shard ids are 1 and 2 */
#define FX_ROUTE 77u      /* connection of the first client */
#define FX_ENTRIES 100000 /* a log that outgrows this is a loop */

struct fx_row {
    uint8_t *key, *value; /* owned */
    size_t key_size, value_size;
};

struct fx_entry {
    uint64_t index;
    uint8_t *bytes; /* owned */
    size_t size;
};

struct fx_log {
    struct fx_entry *entries; /* ascending, without a gap; owned */
    uint32_t count, capacity;
    uint64_t appended, synced; /* highest index handed over; on disk */
    uint64_t applied;          /* the image holds everything up to it */
    uint32_t rows_pending;     /* write_rows not answered yet */
};

struct fx {
    struct stead_host *host;
    struct stead_registry *registry;
    struct stead_settings settings;
    struct stead_doors doors;
    struct stead_table *table;
    uint64_t now_ns, now_ms;
    uint64_t epoch;
    uint64_t entry_reads; /* by the host */
    struct fx_row *rows;  /* the image, by key; owned */
    uint32_t row_count, row_capacity;
    struct fx_log logs[FX_SHARDS];
    bool hold_sync, hold_rows, hold_loads; /* a test lets things through by hand */
    struct stead_slice zone;               /* the file of every zone; empty: there is none */
    uint64_t rows_scanned;                 /* shown to scans */
    uint64_t scans;                        /* of one range each */
    uint64_t trimmed;                      /* the last index up to which a log was no longer needed */
    bool io_error;                         /* reads fail */
    uint64_t reads;                        /* made at once, not by a load, with something to be found */
    uint64_t fail_read;                    /* which of those fails, from 1; 0: none */
    struct stead_load *loads, *loads_tail;
    struct stead_queue answers, sends, jobs; /* what came out, oldest first */
    uint32_t cancels;                        /* jobs cancelled */
    uint32_t shard_count;                    /* that this host serves: 1 or 2 */
    bool marked;                             /* a turn is in progress */
    struct stead_turn_mark mark;             /* of the newest turn */
    char mark_op[80];
    uint32_t errors; /* lines traced as errors */
    uint32_t warnings;
    char warning[1024]; /* the newest */
    uint32_t flushes;   /* synced() calls made */
    uint64_t request_ids;
    uint64_t armed_ns; /* newest deadline the host asked for */
};

/* ---- Doors ------------------------------------------------------------------------------------- */

/* Position of the first row whose key is >= `key`. */
static inline uint32_t fx_row_at(const struct fx *fx, struct stead_slice key)
{
    uint32_t low = 0, high = fx->row_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (stead_slice_compare(stead_bytes(fx->rows[middle].key, fx->rows[middle].key_size), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static inline void fx_rows_delete(struct fx *fx, struct stead_slice from, struct stead_slice to)
{
    uint32_t first = fx_row_at(fx, from), end = fx_row_at(fx, to);

    for (uint32_t i = first; i < end; i++) {
        free(fx->rows[i].key);
        free(fx->rows[i].value);
    }
    if (end > first)
        memmove(fx->rows + first, fx->rows + end, (fx->row_count - end) * sizeof(*fx->rows));
    fx->row_count -= end - first;
}

static inline uint8_t *fx_copy(struct stead_slice bytes)
{
    uint8_t *copy = stead_alloc(bytes.size + 1);

    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    return copy;
}

static inline void fx_row_delete(struct fx *fx, struct stead_slice key)
{
    uint8_t *end = stead_alloc_zero(key.size + 1); /* the least key after it */

    memcpy(end, key.data, key.size);
    fx_rows_delete(fx, key, stead_bytes(end, key.size + 1));
    free(end);
}

static inline void fx_row_put(struct fx *fx, struct stead_slice key, struct stead_slice value)
{
    fx_row_delete(fx, key);
    if (fx->row_count == fx->row_capacity) {
        fx->row_capacity = fx->row_capacity == 0 ? 64 : fx->row_capacity * 2;
        fx->rows = stead_realloc(fx->rows, fx->row_capacity * sizeof(*fx->rows));
    }
    uint32_t at = fx_row_at(fx, key);
    memmove(fx->rows + at + 1, fx->rows + at, (fx->row_count - at) * sizeof(*fx->rows));
    fx->rows[at] = (struct fx_row){fx_copy(key), fx_copy(value), key.size, value.size};
    fx->row_count++;
}

static inline void fx_door_append(void *self, uint32_t shard, uint64_t index, struct stead_writer *entry)
{
    struct fx *fx = self;
    struct fx_log *log = &fx->logs[shard];

    assert_int_equal(index, log->appended + 1);
    assert_true(log->count < FX_ENTRIES);
    if (log->count == log->capacity) {
        log->capacity = log->capacity == 0 ? 64 : log->capacity * 2;
        log->entries = stead_realloc(log->entries, log->capacity * sizeof(*log->entries));
    }
    log->entries[log->count++] = (struct fx_entry){index, fx_copy(stead_written(entry)), entry->size};
    log->appended = index;
    stead_writer_deinit(entry);
}

static inline void fx_door_write_rows(void *self, uint32_t shard, uint64_t applied, struct stead_writer *mutations)
{
    struct fx *fx = self;
    struct stead_slice rest = stead_written(mutations);
    struct stead_mutation mutation;

    assert_true(applied <= fx->logs[shard].synced);
    while (stead_entry_next_mutation(&rest, &mutation) == 1) {
        if (mutation.type == STEAD_MUTATION_PUT)
            fx_row_put(fx, mutation.key, mutation.value);
        else if (mutation.type == STEAD_MUTATION_DELETE)
            fx_row_delete(fx, mutation.key);
        else
            fx_rows_delete(fx, mutation.key, mutation.value);
    }
    if (applied != 0)
        fx->logs[shard].applied = applied;
    fx->logs[shard].rows_pending++;
    stead_writer_deinit(mutations);
}

static inline void fx_door_trim_log(void *self, uint32_t shard, uint64_t index)
{
    struct fx *fx = self;

    (void)shard; /* kept for the journal */
    fx->trimmed = index;
}

static inline void fx_door_load(void *self, struct stead_load *load)
{
    struct fx *fx = self;

    if (fx->loads_tail != NULL)
        fx->loads_tail->next = load;
    else
        fx->loads = load;
    fx->loads_tail = load;
}

/* Counts a read of a row, or of the rows up to `to`: is it the one that fails? */
static inline bool fx_fails(struct fx *fx, struct stead_slice from, const struct stead_slice *to)
{
    uint32_t at = fx_row_at(fx, from);

    if (at == fx->row_count)
        return false;
    int order = stead_slice_compare(stead_bytes(fx->rows[at].key, fx->rows[at].key_size), to == NULL ? from : *to);
    bool found = to == NULL ? order == 0 : to->size == 0 || order < 0;
    return found && ++fx->reads == fx->fail_read;
}

static inline int fx_read_row(struct fx *fx, struct stead_slice key, struct stead_writer *ret_value)
{
    uint32_t at = fx_row_at(fx, key);

    if (fx->io_error)
        return STEAD_EIO;
    if (at == fx->row_count || !stead_slice_equal(stead_bytes(fx->rows[at].key, fx->rows[at].key_size), key))
        return STEAD_ENOTFOUND;
    stead_write_raw(ret_value, fx->rows[at].value, fx->rows[at].value_size);
    return 0;
}

static inline int fx_door_get(void *self, struct stead_slice key, struct stead_writer *ret_value)
{
    struct fx *fx = self;

    return fx_fails(fx, key, NULL) ? STEAD_EIO : fx_read_row(fx, key, ret_value);
}

static inline int fx_scan_rows(struct fx *fx, struct stead_slice from, struct stead_slice to, stead_row_visit_fn *visit,
                               void *context)
{
    if (fx->io_error)
        return STEAD_EIO;
    for (uint32_t i = fx_row_at(fx, from); i < fx->row_count; i++) {
        struct stead_slice key = stead_bytes(fx->rows[i].key, fx->rows[i].key_size);
        if (to.size > 0 && stead_slice_compare(key, to) >= 0)
            return 0;
        fx->rows_scanned++;
        int code = visit(context, key, stead_bytes(fx->rows[i].value, fx->rows[i].value_size));
        if (code != 0)
            return code;
    }
    return 0;
}

static inline int fx_door_scan(void *self, struct stead_slice from, struct stead_slice to, bool reverse,
                               stead_row_visit_fn *visit, void *context)
{
    struct fx *fx = self;

    assert_false(reverse);
    fx->scans++;
    return fx_fails(fx, from, &to) ? STEAD_EIO : fx_scan_rows(fx, from, to, visit, context);
}

static inline int fx_door_scan_ranges(void *self, stead_row_range_fn *next, stead_row_visit_fn *visit, void *context)
{
    struct fx *fx = self;
    struct stead_slice from, to;

    if (fx->io_error)
        return STEAD_EIO;
    while (next(context, &from, &to)) {
        if (fx_fails(fx, from, &to))
            return STEAD_EIO;
        (void)fx_scan_rows(fx, from, to, visit, context);
    }
    return 0;
}

static inline int fx_door_read_entry(void *self, uint32_t shard, uint64_t index, struct stead_writer *ret_entry)
{
    struct fx *fx = self;
    const struct fx_log *log = &fx->logs[shard];

    fx->entry_reads++;
    if (index == 0 || index > log->count)
        return STEAD_ENOTFOUND;
    stead_write_raw(ret_entry, log->entries[index - 1].bytes, log->entries[index - 1].size);
    return 0;
}

static inline void fx_door_send(void *self, uint32_t node, uint16_t reactor, struct stead_message **message)
{
    assert_int_equal(node, FX_PEER);
    (void)reactor;
    stead_queue_push(&((struct fx *)self)->sends, *message);
    *message = NULL;
}

static inline void fx_door_answer(void *self, struct stead_message **message)
{
    stead_queue_push(&((struct fx *)self)->answers, *message);
    *message = NULL;
}

static inline void fx_door_run_job(void *self, const struct stead_kind *kind, const struct stead_op *op,
                                   struct stead_message **request)
{
    (void)kind, (void)op;
    stead_queue_push(&((struct fx *)self)->jobs, *request);
    *request = NULL;
}

static inline void fx_door_cancel_job(void *self, struct stead_id id)
{
    (void)id;
    ((struct fx *)self)->cancels++;
}

/* What a record keeps of a message: fields of groups that it has not, and padding, are undefined in it and zero
 * here. */
static inline void fx_door_head(const struct stead_message *message, struct stead_message *ret_head)
{
    memset(ret_head, 0, sizeof(*ret_head));
    memcpy(ret_head, message, offsetof(struct stead_message, channel));
#define FX_COPY(group, field)                                                                                          \
    if (message->groups & STEAD_GROUP_##group)                                                                         \
    ret_head->field = message->field
    FX_COPY(CHANNEL, channel);
    FX_COPY(SESSION, session);
    FX_COPY(CLOCK, clock);
    FX_COPY(CAUSE, cause.root);
    FX_COPY(CAUSE, cause.parent);
    FX_COPY(CAUSE, cause.depth);
    FX_COPY(PRINCIPAL, principal);
    FX_COPY(FENCE, fence);
    FX_COPY(INCARNATION, incarnation);
    FX_COPY(TRACE, trace.trace);
    FX_COPY(TRACE, trace.span);
    FX_COPY(TRACE, trace.flags);
    FX_COPY(CODEC, codec.codec);
    FX_COPY(CODEC, codec.checksum);
    FX_COPY(ROUTE, route.node);
    FX_COPY(ROUTE, route.reactor);
    FX_COPY(ROUTE, route.connection);
    FX_COPY(DELAY, delay_ms);
    FX_COPY(LIMITS, limits);
#undef FX_COPY
}

static inline void fx_door_encode(const struct stead_message *message, struct stead_writer *writer)
{
    struct stead_message head;

    fx_door_head(message, &head);
    stead_write_raw(writer, &head, sizeof(head));
    stead_write_raw(writer, message->address, message->address_size);
    stead_write_raw(writer, message->source, message->source_size);
    stead_write_raw(writer, message->op, message->op_size);
    stead_write_raw(writer, message->key, message->key_size);
    stead_write_raw(writer, message->payload, message->payload_size);
    stead_write_raw(writer, stead_message_chain(message).data, message->chain_size);
    stead_write_raw(writer, stead_message_ended(message).data, message->ended_size);
}

static inline int fx_door_decode(struct stead_slice record, struct stead_message **ret_message)
{
    struct stead_message head;

    if (record.size < sizeof(head))
        return STEAD_ECORRUPT;
    memcpy(&head, record.data, sizeof(head));
    const uint8_t *at = record.data + sizeof(head);
    struct stead_message_parts parts = {.address = stead_bytes(at, head.address_size)};
    parts.source = stead_bytes(at += head.address_size, head.source_size);
    parts.op = stead_bytes(at += head.source_size, head.op_size);
    parts.key = stead_bytes(at += head.op_size, head.key_size);
    parts.payload = stead_bytes(at += head.key_size, head.payload_size);
    parts.chain = stead_bytes(at + head.payload_size, head.chain_size);
    parts.ended = stead_bytes(parts.chain.data + head.chain_size, head.ended_size);
    if (head.chain_size > 0 && !stead_chain_check(parts.chain)) /* as the wire does */
        return STEAD_EPROTOCOL;
    struct stead_message *message = stead_message_create((enum stead_message_type)head.type, &parts);
    head.next = NULL;
    head.target = NULL;
    head.depends_on = head.received_ns = 0;
    head.block_size = message->block_size;
    head.address = message->address;
    head.source = message->source;
    head.op = message->op;
    head.key = message->key;
    head.payload = message->payload;
    *message = head;
    *ret_message = message;
    return 0;
}

static inline uint64_t fx_door_clock(void *self)
{
    return ((struct fx *)self)->now_ns;
}

static inline void fx_door_arm(void *self, uint64_t deadline_ns)
{
    ((struct fx *)self)->armed_ns = deadline_ns;
}

static inline void fx_door_turn_mark(void *self, const struct stead_turn_mark *mark)
{
    struct fx *fx = self;

    fx->marked = mark != NULL;
    if (mark == NULL)
        return;
    fx->mark = *mark;
    snprintf(fx->mark_op, sizeof(fx->mark_op), "%.*s", (int)mark->op.size, (const char *)mark->op.data);
}

static inline int fx_door_zone(void *self, const char *name, struct stead_writer *ret_tzif)
{
    struct fx *fx = self;

    (void)name;
    stead_write_raw(ret_tzif, fx->zone.data, fx->zone.size);
    return fx->zone.size > 0 ? 0 : STEAD_ENOTFOUND;
}

static inline void fx_door_trace(void *self, int level, const char *line)
{
    struct fx *fx = self;

    if (level == STEAD_TRACE_ERROR)
        fx->errors++;
    if (level == STEAD_TRACE_WARN) {
        fx->warnings++;
        snprintf(fx->warning, sizeof(fx->warning), "%s", line);
    }
    if (getenv("FX_TRACE") != NULL)
        fprintf(stderr, "%d %s\n", level, line);
}

/* ---- The host ---------------------------------------------------------------------------------------- */

/* Which half of the default group a slot is in: 1 or 2, the id of the shard it belongs to. */
static inline uint32_t fx_shard_of(stead_slot slot)
{
    return slot.v < STEAD_SLOTS_PER_GROUP / 2 ? 1 : 2;
}

static inline void fx_start_shard(struct fx *fx, uint32_t shard)
{
    stead_slot slots[STEAD_SLOTS_PER_GROUP / 2];
    struct fx_log *log = &fx->logs[shard];

    for (uint32_t i = 0; i < STEAD_SLOTS_PER_GROUP / 2; i++)
        slots[i] = (stead_slot){(uint16_t)((shard - 1) * STEAD_SLOTS_PER_GROUP / 2 + i)};
    stead_host_add_shard(fx->host, shard, log->applied);
    for (uint64_t index = log->applied + 1; index <= log->appended; index++) {
        struct fx_entry *entry = &log->entries[index - 1];
        assert_int_equal(stead_host_replay(fx->host, shard, index, stead_bytes(entry->bytes, entry->size)), 0);
    }
    stead_host_start_shard(fx->host, shard, fx->epoch, slots, STEAD_SLOTS_PER_GROUP / 2);
}

/* A host over what is on the disk. */
static inline void fx_start(struct fx *fx)
{
    struct stead_host_options options = {.node = FX_NODE,
                                         .node_incarnation = ++fx->epoch,
                                         .node_name = "n1",
                                         .seed = fx->epoch,
                                         .registry = fx->registry,
                                         .settings = &fx->settings,
                                         .doors = &fx->doors};

    fx->host = stead_host_create(&options);
    stead_host_set_now(fx->host, fx->now_ns, fx->now_ms);
    if (fx->table != NULL)
        stead_host_set_table(fx->host, fx->table);
    for (uint32_t shard = 1; shard <= fx->shard_count; shard++)
        fx_start_shard(fx, shard);
}

/* Kinds are in order: all but `late`. */
static inline struct fx *fx_create(uint32_t shard_count)
{
    static const struct stead_kind *const kinds[] = {&fx_kind_d,    &fx_kind_v, &fx_kind_f, &fx_kind_b, &fx_kind_e,
                                                     &fx_kind_slow, &fx_kind_s, &fx_kind_g, &fx_kind_i, &fx_kind_vb};
    struct fx *fx = stead_alloc_zero(sizeof(*fx));

    fx->registry = stead_registry_create();
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        assert_int_equal(stead_registry_add(fx->registry, kinds[i], NULL), 0);
    stead_settings_default(&fx->settings);
    fx->doors = (struct stead_doors){fx,
                                     fx_door_append,
                                     fx_door_write_rows,
                                     fx_door_trim_log,
                                     fx_door_load,
                                     fx_door_get,
                                     fx_door_scan,
                                     fx_door_scan_ranges,
                                     fx_door_read_entry,
                                     fx_door_send,
                                     fx_door_answer,
                                     fx_door_run_job,
                                     fx_door_cancel_job,
                                     fx_door_encode,
                                     fx_door_decode,
                                     fx_door_clock,
                                     fx_door_arm,
                                     fx_door_turn_mark,
                                     fx_door_zone,
                                     fx_door_trace};
    fx->now_ns = 1000000000u;
    fx->now_ms = FX_WALL;
    fx->shard_count = shard_count;
    memset(fx_do, 0, sizeof(fx_do));
    fx_reply = fx_look = fx_init = NULL;
    fx_loaded = fx_unloaded = fx_applied = 0;
    fx_refuses_events = false;
    fx_start(fx);
    return fx;
}

static inline void fx_forget_outputs(struct fx *fx)
{
    stead_queue_clear(&fx->answers);
    stead_queue_clear(&fx->sends);
    stead_queue_clear(&fx->jobs);
    while (fx->loads != NULL) {
        struct stead_load *load = fx->loads;
        fx->loads = load->next;
        stead_load_destroy(&load);
    }
    fx->loads_tail = NULL;
}

/* The process is killed and starts again, on a machine that goes on (`power` false), or after a loss of power, which
 * takes what was not synced. */
static inline void fx_crash(struct fx *fx, bool power)
{
    stead_host_destroy(&fx->host);
    fx_forget_outputs(fx);
    for (uint32_t shard = 1; shard < FX_SHARDS; shard++) {
        struct fx_log *log = &fx->logs[shard];
        while (power && log->count > log->synced)
            free(log->entries[--log->count].bytes);
        log->appended = log->synced = log->count;
        log->rows_pending = 0;
    }
    fx_start(fx);
}

static inline void fx_destroy(struct fx *fx)
{
    stead_host_check(fx->host);
    stead_host_destroy(&fx->host);
    fx_forget_outputs(fx);
    stead_registry_destroy(&fx->registry);
    stead_table_release(&fx->table);
    for (uint32_t i = 0; i < fx->row_count; i++) {
        free(fx->rows[i].key);
        free(fx->rows[i].value);
    }
    for (uint32_t shard = 0; shard < FX_SHARDS; shard++) {
        for (uint32_t i = 0; i < fx->logs[shard].count; i++)
            free(fx->logs[shard].entries[i].bytes);
        free(fx->logs[shard].entries);
    }
    free(fx->rows);
    free(fx);
}

/* The disk has everything that was appended. True: there was something. */
static inline bool fx_sync(struct fx *fx)
{
    bool some = false;

    for (uint32_t shard = 1; shard <= fx->shard_count; shard++) {
        struct fx_log *log = &fx->logs[shard];
        if (log->appended == log->synced)
            continue;
        some = true;
        fx->flushes++;
        log->synced = log->appended;
        stead_host_synced(fx->host, shard, log->synced);
    }
    return some;
}

static inline bool fx_rows_done(struct fx *fx)
{
    bool some = false;

    for (uint32_t shard = 1; shard <= fx->shard_count; shard++)
        for (; fx->logs[shard].rows_pending > 0; some = true) {
            fx->logs[shard].rows_pending--;
            stead_host_rows_written(fx->host, shard);
        }
    return some;
}

static inline int fx_load_row(void *context, struct stead_slice key, struct stead_slice value)
{
    struct stead_load *load = context;
    uint8_t sizes[8];

    stead_store32(sizes, (uint32_t)key.size);
    stead_store32(sizes + 4, (uint32_t)value.size);
    stead_write_raw(&load->ret_rows, sizes, sizeof(sizes));
    stead_write_raw(&load->ret_rows, key.data, key.size);
    stead_write_raw(&load->ret_rows, value.data, value.size);
    return ++load->ret_count >= load->limit;
}

static inline bool fx_loads_done(struct fx *fx)
{
    bool some = fx->loads != NULL;

    while (fx->loads != NULL) {
        struct stead_load *load = fx->loads;
        fx->loads = load->next;
        if (fx->loads == NULL)
            fx->loads_tail = NULL;
        load->next = NULL;
        int code = load->to.size == 0
                       ? fx_read_row(fx, stead_written(&load->from), &load->ret_rows)
                       : fx_scan_rows(fx, stead_written(&load->from), stead_written(&load->to), fx_load_row, load);
        load->ret_found = code == 0;
        load->ret_code = code < 0 && code != STEAD_ENOTFOUND ? code : 0;
        stead_host_loaded(fx->host, &load);
    }
    return some;
}

/* Rounds until nothing moves any more, with the disk's answers as far as they are not held back. */
static inline void fx_run(struct fx *fx)
{
    bool more = true;

    for (int round = 0; more; round++) {
        assert_true(round < 100000);
        stead_host_set_now(fx->host, fx->now_ns, fx->now_ms);
        more = stead_host_run(fx->host);
        more = (!fx->hold_sync && fx_sync(fx)) || more;
        more = (!fx->hold_rows && fx_rows_done(fx)) || more;
        more = (!fx->hold_loads && fx_loads_done(fx)) || more;
        stead_host_check(fx->host);
    }
}

/* Time goes on; what falls due runs. */
static inline void fx_step_ms(struct fx *fx, uint64_t ms)
{
    fx->now_ns += ms * 1000000u;
    fx->now_ms += ms;
    fx_run(fx);
}

/* Everything goes into the image, and every agent out of memory: what is read next comes from the disk. */
static inline void fx_cold_restart(struct fx *fx)
{
    stead_host_stop(fx->host);
    fx_run(fx);
    assert_true(stead_host_idle(fx->host));
    fx_crash(fx, false);
}

/* Two nodes: this one has the labels of `labels` (NULL: none), the other `gpu`. Shard 1 is here, and shard 2 too if
 * this host serves two. */
static inline void fx_set_table(struct fx *fx, const char *label, uint64_t peer_incarnation, bool peer_alive)
{
    static const char *const endpoints[] = {"tcp://127.0.0.1:7400"};
    static const char *const other[] = {"tcp://127.0.0.1:7500"};
    static const char *const gpu[] = {"gpu"};
    struct stead_table_builder *builder = stead_table_builder_create(NULL);
    struct stead_table_node here = {.id = FX_NODE,
                                    .incarnation = fx->epoch,
                                    .name = "n1",
                                    .alive = true,
                                    .reactor_count = 1,
                                    .endpoints = endpoints,
                                    .labels = &label,
                                    .label_count = label != NULL};
    struct stead_table_node peer = {.id = FX_PEER,
                                    .incarnation = peer_incarnation,
                                    .name = "n2",
                                    .alive = peer_alive,
                                    .reactor_count = 1,
                                    .endpoints = other,
                                    .labels = gpu,
                                    .label_count = 1};
    struct stead_table_kind stateless = {.name = "s", .durability = STEAD_STATELESS};
    struct stead_table_kind needy = {.name = "g", .durability = STEAD_STATELESS};

    stead_table_builder_set_formed(builder, true, 2);
    assert_int_equal(stead_table_builder_put_node(builder, &here), 0);
    assert_int_equal(stead_table_builder_put_node(builder, &peer), 0);
    assert_int_equal(stead_table_builder_put_kind(builder, &stateless), 0);
    assert_int_equal(stead_table_builder_put_kind(builder, &needy), 0);
    for (uint32_t id = 1; id <= 2; id++) {
        bool mine = id <= fx->shard_count;
        struct stead_table_shard shard = {.id = id,
                                          .epoch = fx->epoch,
                                          .node = mine ? FX_NODE : FX_PEER,
                                          .incarnation = mine ? fx->epoch : peer_incarnation};
        assert_int_equal(stead_table_builder_put_shard(builder, &shard), 0);
        stead_slot first = {(uint16_t)((id - 1) * STEAD_SLOTS_PER_GROUP / 2)};
        assert_int_equal(stead_table_builder_put_slots(builder, first, STEAD_SLOTS_PER_GROUP / 2, id), 0);
    }
    uint64_t version = fx->table == NULL ? 1 : fx->table->version + 1;
    stead_table_release(&fx->table);
    fx->table = stead_table_builder_build(builder, version);
    stead_table_builder_destroy(&builder);
    stead_host_set_table(fx->host, fx->table);
}

/* The `n`-th address of the kind that lies in `shard`; into a buffer of 64 bytes. */
static inline const char *fx_address(char *buffer, const char *kind, uint32_t shard, uint32_t n)
{
    for (uint32_t i = 0, found = 0;; i++) {
        snprintf(buffer, 64, "%s/k%u", kind, i);
        if (fx_shard_of(stead_address_slot(stead_str(buffer), 0)) == shard && found++ == n)
            return buffer;
    }
}

#endif
