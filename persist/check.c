/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check: does a store hold what a node would recover from, and does it fit together?
 *
 * Two passes. The first reads every log entry, shard by shard, and puts those after the applied mark into an overlay:
 * that is recovery, without running anything. The second walks the image with that overlay merged over it, in key
 * order, and asks of each row what its key promises: a place that its address hashes to, and the row that it is an
 * index of or belongs to:
 *
 *   OUTBOX -> CHANNEL_OUT of the same slots        ANSWER -> SESSION of the same id
 *   TIMER_DUE -> the part it names, of some incarnation        PART of an incarnation -> AGENT
 *
 * Range deletes of the log hide rows of the image from the second pass (the overlay itself need not hide them: nobody
 * reads there). They are sorted and joined, so the walk carries one position along. Memory: the overlay, which
 * checkpoints keep small.
 *
 * It looks at keys, not at values: those are the core's, and it checks them when it reads them.
 */
#include "persist/check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "persist/format.h"
#include "runtime/address.h"
#include "runtime/entry.h"
#include "runtime/overlay.h"
#include "runtime/rows.h"

#define WHERE_BYTES 256
#define WHAT_BYTES 256
#define HEX_BYTES_MAX 40u /* of a key in a report */

struct range {
    struct stead_writer from, to; /* owned */
};

struct checker {
    struct stead_store *store;
    uint32_t findings_max;
    stead_check_finding_fn *finding;
    void *context;
    struct stead_check_counts counts;
    struct stead_overlay *overlay; /* the log after the applied marks */
    uint64_t replay_index;         /* the overlay's indexes: entries of all shards, counted */
    struct range *ranges;          /* deleted by that log */
    uint32_t range_count;
    uint32_t range_at; /* second pass: the first range that may still matter */
    struct stead_doors doors;

    /* first pass: the shard being read */
    uint32_t shard; /* 0: none yet */
    uint64_t applied;
    uint64_t last;
    uint64_t epoch;
    uint64_t clock;

    struct stead_row_key known; /* second pass: the last row that was looked for and found */
};

/* ---- Findings ------------------------------------------------------------------------------- */

STEAD_PRINTF(3, 4) static void report(struct checker *checker, const char *where, const char *format, ...)
{
    char what[WHAT_BYTES];
    va_list args;
    if (checker->counts.findings++ >= checker->findings_max)
        return;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    checker->finding(checker->context, where, what);
}

static void describe_key(struct stead_slice key, char *ret_where)
{
    struct stead_row_parsed parsed;
    char hex[2 * HEX_BYTES_MAX + 1];
    size_t size = key.size < HEX_BYTES_MAX ? key.size : HEX_BYTES_MAX;
    stead_hex(hex, key.data, size);
    if (stead_row_parse(key, &parsed) == 0 && parsed.address.size > 0)
        snprintf(ret_where, WHERE_BYTES, "row of %.*s (%s%s)",
                 (int)(parsed.address.size < 100 ? parsed.address.size : 100), (const char *)parsed.address.data, hex,
                 size < key.size ? "..." : "");
    else
        snprintf(ret_where, WHERE_BYTES, "row %s%s", hex, size < key.size ? "..." : "");
}

STEAD_PRINTF(3, 4)
static void report_row(struct checker *checker, struct stead_slice key, const char *format, ...)
{
    char where[WHERE_BYTES];
    char what[WHAT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    describe_key(key, where);
    report(checker, where, "%s", what);
}

/* ---- First pass: the logs ------------------------------------------------------------------- */

static void add_range(struct checker *checker, struct stead_slice from, struct stead_slice to)
{
    uint32_t count = checker->range_count;
    if ((count & (count - 1)) == 0) /* grows at powers of two */
        checker->ranges = stead_realloc(checker->ranges, (count > 0 ? 2 * count : 1) * sizeof(checker->ranges[0]));
    struct range *range = &checker->ranges[checker->range_count++];
    stead_writer_init(&range->from);
    stead_writer_init(&range->to);
    stead_write_raw(&range->from, from.data, from.size);
    stead_write_raw(&range->to, to.data, to.size);
}

static void replay(struct checker *checker, struct stead_slice mutations)
{
    struct stead_mutation it;
    checker->counts.replayed++;
    checker->replay_index++;
    while (stead_entry_next_mutation(&mutations, &it) == 1) {
        if (it.type == STEAD_MUTATION_PUT) {
            stead_overlay_put(checker->overlay, checker->replay_index, it.key, it.value, false);
        } else if (it.type == STEAD_MUTATION_DELETE) {
            stead_overlay_delete(checker->overlay, checker->replay_index, it.key);
        } else {
            stead_overlay_delete_range(checker->overlay, checker->replay_index, it.key, it.value);
            add_range(checker, it.key, it.value);
        }
    }
    stead_overlay_batch_end(checker->overlay, NULL);
}

static void describe_place(uint32_t shard, uint64_t index, char *ret_where)
{
    snprintf(ret_where, WHERE_BYTES, "shard %" PRIu32 " index %" PRIu64, shard, index);
}

static void end_shard(struct checker *checker)
{
    char where[WHERE_BYTES];
    if (checker->shard == 0 || checker->last >= checker->applied)
        return;
    describe_place(checker->shard, checker->last, where);
    report(checker, where, "the log ends here, but the image holds everything up to index %" PRIu64, checker->applied);
}

static int begin_shard(struct checker *checker, uint32_t shard, uint64_t index)
{
    char where[WHERE_BYTES];
    end_shard(checker);
    checker->counts.shards++;
    checker->shard = shard;
    checker->last = index - 1;
    checker->epoch = 0;
    checker->clock = 0;
    int code = stead_store_applied(checker->store, shard, &checker->applied);
    if (code == 0 && index > checker->applied + 1) {
        describe_place(shard, index, where);
        report(checker, where, "the log begins here, but the image holds only what is up to index %" PRIu64,
               checker->applied);
    }
    return code;
}

static void check_entry(struct checker *checker, const char *where, const struct stead_entry *entry, uint64_t index)
{
    if (entry->header.shard != checker->shard || entry->header.index != index)
        report(checker, where, "the entry says that it is shard %" PRIu32 " index %" PRIu64, entry->header.shard,
               entry->header.index);
    if (entry->header.epoch < checker->epoch)
        report(checker, where, "the epoch falls from %" PRIu64 " to %" PRIu64, checker->epoch, entry->header.epoch);
    if (entry->header.clock < checker->clock)
        report(checker, where, "the clock falls from %" PRIu64 " to %" PRIu64, checker->clock, entry->header.clock);
    checker->epoch = entry->header.epoch;
    checker->clock = entry->header.clock;
    checker->counts.turns += entry->header.turn_count;
}

static int visit_entry(void *context, uint32_t shard, uint64_t index, struct stead_slice bytes)
{
    struct checker *checker = context;
    struct stead_entry entry;
    char where[WHERE_BYTES];
    describe_place(shard, index, where);
    if (shard != checker->shard) {
        int code = begin_shard(checker, shard, index);
        if (code != 0)
            return code;
    }
    if (index != checker->last + 1)
        report(checker, where, "the entries from index %" PRIu64 " on are missing", checker->last + 1);
    checker->last = index;
    checker->counts.entries++;
    checker->counts.entry_bytes += bytes.size;
    if (stead_entry_decode(bytes, &entry) != 0) {
        report(checker, where, "the entry is damaged");
        return 0;
    }
    check_entry(checker, where, &entry, index);
    if (index > checker->applied)
        replay(checker, entry.mutations);
    return 0;
}

/* ---- Second pass: the rows ------------------------------------------------------------------ */

static int compare_ranges(const void *a, const void *b)
{
    return stead_slice_compare(stead_written(&((const struct range *)a)->from),
                               stead_written(&((const struct range *)b)->from));
}

static void destroy_range(struct range *range)
{
    stead_writer_deinit(&range->from);
    stead_writer_deinit(&range->to);
}

/* Sorts the ranges and joins those that overlap, so that their ends ascend too. */
static void join_ranges(struct checker *checker)
{
    if (checker->range_count == 0)
        return;
    qsort(checker->ranges, checker->range_count, sizeof(checker->ranges[0]), compare_ranges);
    uint32_t kept = 0;
    for (uint32_t i = 1; i < checker->range_count; i++) {
        struct range *last = &checker->ranges[kept];
        struct range *range = &checker->ranges[i];
        if (stead_slice_compare(stead_written(&range->from), stead_written(&last->to)) > 0) {
            checker->ranges[++kept] = *range;
            continue;
        }
        if (stead_slice_compare(stead_written(&range->to), stead_written(&last->to)) > 0) {
            struct stead_writer end = last->to;
            last->to = range->to;
            range->to = end;
        }
        destroy_range(range);
    }
    checker->range_count = kept + 1;
}

/* Whether the log deleted this row of the image. Keys come in order. */
static bool is_deleted(struct checker *checker, struct stead_slice key)
{
    struct stead_slice value;
    while (checker->range_at < checker->range_count &&
           stead_slice_compare(stead_written(&checker->ranges[checker->range_at].to), key) <= 0)
        checker->range_at++;
    if (checker->range_at == checker->range_count ||
        stead_slice_compare(key, stead_written(&checker->ranges[checker->range_at].from)) < 0)
        return false;
    return stead_overlay_get(checker->overlay, key, &value, NULL) == STEAD_OVERLAY_ABSENT;
}

/* 0, STEAD_ENOTFOUND, or why the store cannot be read. */
static int look_for(struct checker *checker, const struct stead_row_key *key)
{
    struct stead_writer value;
    if (stead_slice_equal(stead_row_slice(key), stead_row_slice(&checker->known)))
        return 0;
    stead_writer_init(&value);
    int code = stead_overlay_get_merged(checker->overlay, &checker->doors, stead_row_slice(key), &value);
    stead_writer_deinit(&value);
    if (code == 0)
        checker->known = *key;
    return code;
}

static int expect_row(struct checker *checker, struct stead_slice key, const struct stead_row_key *other,
                      const char *what)
{
    int code = look_for(checker, other);
    if (code != STEAD_ENOTFOUND)
        return code;
    report_row(checker, key, "%s", what);
    return 0;
}

static int note_incarnation(void *context, struct stead_slice key, struct stead_slice value)
{
    struct stead_row_parsed *parsed = context;
    (void)value;
    return stead_row_parse(key, parsed) == 0 ? 1 : STEAD_ECORRUPT;
}

/* A due row without a name: the agent has parked messages, at least one. */
static int expect_mail(struct checker *checker, struct stead_slice key, const struct stead_row_parsed *due)
{
    struct stead_row_key from;
    struct stead_row_key to;
    struct stead_row_parsed first;
    stead_row_part(&from, due->slot, due->address, 0, STEAD_PART_MAIL, (struct stead_slice){0});
    to = from;
    bool bounded = stead_row_after_prefix(&to);
    STEAD_ASSERT(bounded);
    int code = stead_overlay_scan_merged(checker->overlay, &checker->doors, stead_row_slice(&from),
                                         stead_row_slice(&to), false, note_incarnation, &first);
    if (code == 0)
        report_row(checker, key, "it says that there is mail, and there is none");
    return code == 1 ? 0 : code;
}

/* The part that a due row names, of whatever incarnation has it. */
static int expect_part(struct checker *checker, struct stead_slice key, const struct stead_row_parsed *due)
{
    uint64_t incarnation = 0;
    if (due->part == STEAD_PART_MAIL && due->sub.size == 0)
        return expect_mail(checker, key, due);
    for (;;) {
        struct stead_row_key part;
        struct stead_row_key end;
        struct stead_row_parsed next;
        stead_row_part(&part, due->slot, due->address, incarnation, due->part, due->sub);
        int code = look_for(checker, &part);
        if (code != STEAD_ENOTFOUND)
            return code;
        stead_row_begin(&part, due->slot, STEAD_ROW_PART);
        stead_row_add_address(&part, due->address);
        end = part;
        stead_row_add_u64(&part, incarnation + 1);
        bool bounded = stead_row_after_prefix(&end);
        STEAD_ASSERT(bounded);
        code = stead_overlay_scan_merged(checker->overlay, &checker->doors, stead_row_slice(&part),
                                         stead_row_slice(&end), false, note_incarnation, &next);
        if (code == 0 || (code == 1 && next.incarnation <= incarnation)) /* the second: damage, or none could follow */
            report_row(checker, key, "it is due at %" PRIu64 " ms, but what is due is not there", due->due_ms);
        if (code != 1 || next.incarnation <= incarnation)
            return code == 1 ? 0 : code;
        incarnation = next.incarnation;
    }
}

static void check_address(struct checker *checker, struct stead_slice key, const struct stead_row_parsed *parsed)
{
    size_t kind_size;
    if (parsed->address.size == 0)
        return;
    if (stead_address_check(parsed->address, &kind_size) != 0)
        report_row(checker, key, "its address is not one");
    else if (stead_address_slot(parsed->address, stead_slot_group(parsed->slot)).v != parsed->slot.v)
        report_row(checker, key, "its address does not hash to its slot, %u", parsed->slot.v);
}

/* What the row belongs to must be there. */
static int check_owner(struct checker *checker, struct stead_slice key, const struct stead_row_parsed *parsed)
{
    struct stead_row_key other;
    switch (parsed->row_class) {
    case STEAD_ROW_OUTBOX:
        checker->counts.outbox++;
        stead_row_begin(&other, parsed->slot, STEAD_ROW_CHANNEL_OUT);
        stead_row_add_u16(&other, parsed->other.v);
        return expect_row(checker, key, &other, "an outbox record without its channel");
    case STEAD_ROW_ANSWER:
        stead_row_begin(&other, parsed->slot, STEAD_ROW_SESSION);
        stead_row_add(&other, stead_bytes(parsed->session.v, sizeof parsed->session.v));
        return expect_row(checker, key, &other, "a stored answer without its session");
    case STEAD_ROW_TIMER_DUE:
        checker->counts.timers++;
        return expect_part(checker, key, parsed);
    case STEAD_ROW_AGENT:
        checker->counts.agents++;
        return 0;
    case STEAD_ROW_PART:
        if (parsed->incarnation == 0 ||         /* mail and dead letters wait for whatever incarnation comes */
            parsed->part == STEAD_PART_DELAYED) /* and a delayed signal for the first turn of an agent that had none */
            return 0;
        stead_row_agent(&other, parsed->slot, parsed->address);
        return expect_row(checker, key, &other, "a part of an agent that is not there");
    case STEAD_ROW_CHANNEL_IN:
    case STEAD_ROW_CHANNEL_OUT:
    case STEAD_ROW_SESSION:
    case STEAD_ROW_IDEMPOTENCY:
    default:
        return 0;
    }
}

static int visit_row(void *context, struct stead_slice key, struct stead_slice value)
{
    struct checker *checker = context;
    struct stead_row_parsed parsed;
    if (is_deleted(checker, key))
        return 0;
    checker->counts.rows++;
    checker->counts.row_bytes += key.size + value.size;
    if (stead_row_parse(key, &parsed) != 0) {
        report_row(checker, key, "it is no row that this version knows");
        return 0;
    }
    check_address(checker, key, &parsed);
    return check_owner(checker, key, &parsed);
}

/* ---- Both ----------------------------------------------------------------------------------- */

static int get_image(void *self, struct stead_slice key, struct stead_writer *ret_value)
{
    struct checker *checker = self;
    return stead_store_get(checker->store, key, STEAD_STORE_ANY, ret_value);
}

static int scan_image(void *self, struct stead_slice from, struct stead_slice to, bool reverse,
                      stead_row_visit_fn *visit, void *context)
{
    struct checker *checker = self;
    return stead_store_scan(checker->store, from, to, reverse, STEAD_STORE_ANY, visit, context);
}

/* Shards whose log is trimmed away whole. */
static int count_silent_shard(void *context, struct stead_slice key, struct stead_slice value)
{
    struct checker *checker = context;
    uint64_t last;
    (void)value;
    size_t prefix = sizeof STEAD_META_APPLIED - 1;
    if (key.size != STEAD_APPLIED_KEY_SIZE || memcmp(key.data, STEAD_META_APPLIED, prefix) != 0)
        return 0;
    int code = stead_store_log_last(checker->store, be32toh(stead_load32(key.data + prefix)), &last);
    checker->counts.shards += code == 0 && last == 0;
    return code;
}

static int check_rows(struct checker *checker)
{
    uint8_t highest[STEAD_ROW_KEY_MAX];
    memset(highest, 0xff, sizeof highest);
    join_ranges(checker);
    return stead_overlay_scan_merged(checker->overlay, &checker->doors, (struct stead_slice){NULL, 0},
                                     stead_bytes(highest, sizeof highest), false, visit_row, checker);
}

int stead_check_run(struct stead_store *store, uint32_t findings_max, stead_check_finding_fn *finding, void *context,
                    struct stead_check_counts *ret_counts)
{
    struct checker *checker = stead_alloc_zero(sizeof *checker);
    *checker = (struct checker){.store = store,
                                .findings_max = findings_max,
                                .finding = finding,
                                .context = context,
                                .overlay = stead_overlay_create(),
                                .doors = {.self = checker, .get = get_image, .scan = scan_image}};
    int code = stead_store_log_read(store, 0, 0, visit_entry, checker);
    end_shard(checker);
    if (code == 0)
        code = stead_store_meta_scan(store, count_silent_shard, checker);
    if (code == 0)
        code = check_rows(checker);
    if (code == 0)
        *ret_counts = checker->counts;
    for (uint32_t i = 0; i < checker->range_count; i++)
        destroy_range(&checker->ranges[i]);
    free(checker->ranges);
    stead_overlay_destroy(&checker->overlay);
    free(checker);
    return code;
}
