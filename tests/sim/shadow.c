/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shadow of a shard: what its rows must be, kept by applying every committed log entry, in order, to a sorted
 * array: the simplest thing that can be right. The runtime gets there another way (an overlay, checkpoints in chunks,
 * write-back, recovery from image and log), so after a clean stop the image and the shadow must be equal, row by row.
 *
 *   appended   the newest entry handed to the disk in this life; falls back at a crash to what recovery finds
 *   committed  the newest entry reported synced, or found at a recovery: never falls, must be found at every start
 *
 * Checked at each commit: the turn records of each agent are a chain. Checked at each append: it decodes, names its
 * shard, follows the entry before, carries the epoch that is served, its clock does not fall, and its rows lie in the
 * shard's slots. At each chunk of a checkpoint: its mark is not ahead of what is committed.
 */
#include <stdlib.h>

#include "runtime/address.h"
#include "runtime/entry.h"
#include "runtime/map.h"
#include "runtime/rows.h"
#include "tests/sim/sim.h"

struct row {
    uint8_t *key, *value; /* owned */
    uint32_t key_size, value_size;
};

/* The newest journaled turn of an agent. */
struct chain {
    uint64_t hash; /* of its address */
    uint64_t index, incarnation;
};

struct stead_shadow {
    uint64_t appended, committed;
    uint64_t clock;   /* of the newest entry appended */
    struct row *rows; /* by key, ascending */
    uint32_t count, capacity;
    struct stead_map chains; /* struct chain, owned */
};

void stead_shadow_init(struct stead_sim *sim)
{
    for (uint32_t i = 0; i < STEAD_SIM_SHARDS_MAX; i++)
        sim->shadows[i] = stead_alloc_zero(sizeof **sim->shadows);
}

static void free_row(struct row *row)
{
    free(row->key);
    free(row->value);
}

void stead_shadow_destroy(struct stead_shadow **shadow)
{
    struct stead_shadow *it = *shadow;

    *shadow = NULL;
    if (it == NULL)
        return;
    for (uint32_t r = 0; r < it->count; r++)
        free_row(&it->rows[r]);
    for (uint32_t c = 0; it->chains.entries != NULL && c <= it->chains.mask; c++)
        free(stead_map_at(&it->chains, c));
    stead_map_deinit(&it->chains);
    free(it->rows);
    free(it);
}

void stead_shadow_deinit(struct stead_sim *sim)
{
    for (uint32_t i = 0; i < STEAD_SIM_SHARDS_MAX; i++)
        stead_shadow_destroy(&sim->shadows[i]);
}

/* ---- Rows ---------------------------------------------------------------------------------------- */

static struct stead_slice key_of(const struct row *row)
{
    return (struct stead_slice){row->key, row->key_size};
}

static struct stead_slice value_of(const struct row *row)
{
    return (struct stead_slice){row->value, row->value_size};
}

/* The first row at or after `key`. */
static uint32_t find_row(const struct stead_shadow *shadow, struct stead_slice key)
{
    uint32_t from = 0, to = shadow->count;

    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (stead_slice_compare(key_of(&shadow->rows[middle]), key) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static uint8_t *copy_bytes(struct stead_slice bytes)
{
    uint8_t *copy = stead_alloc(bytes.size + 1);

    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    return copy;
}

static void put_row(struct stead_shadow *shadow, struct stead_slice key, struct stead_slice value)
{
    uint32_t at = find_row(shadow, key);

    if (at < shadow->count && stead_slice_equal(key_of(&shadow->rows[at]), key)) {
        free(shadow->rows[at].value);
        shadow->rows[at].value = copy_bytes(value);
        shadow->rows[at].value_size = (uint32_t)value.size;
        return;
    }
    if (shadow->count == shadow->capacity) {
        shadow->capacity = shadow->capacity == 0 ? 64 : shadow->capacity * 2;
        shadow->rows = stead_realloc(shadow->rows, shadow->capacity * sizeof *shadow->rows);
    }
    memmove(shadow->rows + at + 1, shadow->rows + at, (shadow->count - at) * sizeof *shadow->rows);
    shadow->rows[at] = (struct row){copy_bytes(key), copy_bytes(value), (uint32_t)key.size, (uint32_t)value.size};
    shadow->count++;
}

/* Deletes rows from..to, `to` excluded. */
static void cut_rows(struct stead_shadow *shadow, uint32_t from, uint32_t to)
{
    if (from >= to)
        return;
    for (uint32_t i = from; i < to; i++)
        free_row(&shadow->rows[i]);
    memmove(shadow->rows + from, shadow->rows + to, (shadow->count - to) * sizeof *shadow->rows);
    shadow->count -= to - from;
}

struct stead_shadow *stead_shadow_copy(const struct stead_sim *sim, uint32_t shadow)
{
    const struct stead_shadow *from = sim->shadows[shadow];
    struct stead_shadow *copy = stead_alloc_zero(sizeof *copy);

    copy->appended = from->appended;
    copy->committed = from->committed;
    copy->clock = from->clock;
    for (uint32_t r = 0; r < from->count; r++)
        put_row(copy, key_of(&from->rows[r]), value_of(&from->rows[r]));
    for (uint32_t c = 0; from->chains.entries != NULL && c <= from->chains.mask; c++) {
        const struct chain *chain = stead_map_at(&from->chains, c);
        if (chain == NULL)
            continue;
        struct chain *twin = stead_alloc(sizeof *twin);
        *twin = *chain;
        stead_map_add(&copy->chains, twin->hash, twin);
    }
    return copy;
}

void stead_shadow_put_back(struct stead_sim *sim, uint32_t shadow, struct stead_shadow **copy)
{
    stead_shadow_destroy(&sim->shadows[shadow]);
    sim->shadows[shadow] = *copy;
    *copy = NULL;
}

static void apply(struct stead_shadow *shadow, const struct stead_mutation *mutation)
{
    uint32_t at = find_row(shadow, mutation->key);

    if (mutation->type == STEAD_MUTATION_PUT)
        put_row(shadow, mutation->key, mutation->value);
    else if (mutation->type == STEAD_MUTATION_DELETE_RANGE)
        cut_rows(shadow, at, find_row(shadow, mutation->value));
    else if (at < shadow->count && stead_slice_equal(key_of(&shadow->rows[at]), mutation->key))
        cut_rows(shadow, at, at + 1);
}

void stead_shadow_apply(struct stead_sim *sim, uint32_t shadow, struct stead_slice mutations)
{
    struct stead_mutation mutation;

    while (stead_entry_next_mutation(&mutations, &mutation) == 1)
        apply(sim->shadows[shadow], &mutation);
}

uint32_t stead_shadow_row_count(const struct stead_sim *sim, uint32_t shadow)
{
    return sim->shadows[shadow]->count;
}

void stead_shadow_row(const struct stead_sim *sim, uint32_t shadow, uint32_t at, struct stead_slice *ret_key,
                      struct stead_slice *ret_value)
{
    *ret_key = key_of(&sim->shadows[shadow]->rows[at]);
    *ret_value = value_of(&sim->shadows[shadow]->rows[at]);
}

/* ---- The log -------------------------------------------------------------------------------------- */

static void check_rows(struct stead_sim_host *host, uint32_t shard, struct stead_slice mutations)
{
    struct stead_sim *sim = host->node->sim;
    struct stead_mutation mutation;
    struct stead_row_parsed parsed;
    int code;

    while ((code = stead_entry_next_mutation(&mutations, &mutation)) == 1) {
        if (mutation.type == STEAD_MUTATION_DELETE_RANGE)
            continue;
        if (stead_row_parse(mutation.key, &parsed) != 0)
            stead_world_fail(&sim->world, "a row of shard %u has no key of a known form", shard);
        const struct stead_table_shard *owner = stead_table_shard_of(host->node->table, parsed.slot);
        if (owner == NULL || owner->id != shard)
            stead_world_fail(&sim->world, "a row of slot %u is written by shard %u", parsed.slot.v, shard);
    }
    if (code != 0)
        stead_world_fail(&sim->world, "mutations of shard %u do not decode", shard);
}

void stead_shadow_append(struct stead_sim_host *host, uint32_t shard, uint64_t index, struct stead_slice bytes)
{
    struct stead_sim *sim = host->node->sim;
    struct stead_shadow *shadow = sim->shadows[shard];
    struct stead_entry entry;

    if (stead_entry_decode(bytes, &entry) != 0)
        stead_world_fail(&sim->world, "an entry of shard %u does not decode", shard);
    if (entry.header.shard != shard || entry.header.index != index || index != shadow->appended + 1)
        stead_world_fail(&sim->world, "entry %llu of shard %u follows entry %llu", (unsigned long long)index, shard,
                         (unsigned long long)shadow->appended);
    if (entry.header.epoch != host->node->epochs[shard])
        stead_world_fail(&sim->world, "shard %u appends under epoch %llu and is served under %llu", shard,
                         (unsigned long long)entry.header.epoch, (unsigned long long)host->node->epochs[shard]);
    if (entry.header.clock < shadow->clock)
        stead_world_fail(&sim->world, "the clock of shard %u falls", shard);
    check_rows(host, shard, entry.mutations);
    shadow->appended = index;
    shadow->clock = entry.header.clock;
    stead_world_note(&sim->world, "append", shard, index, stead_crc32c(0, bytes.data, bytes.size));
}

/* The journal of an agent is a chain without a missing link: each turn names the entry of the one before. A new
 * incarnation may begin a new chain. */
static void follow_chain(struct stead_sim *sim, uint32_t shard, uint64_t index, const struct stead_turn_record *turn)
{
    struct stead_shadow *shadow = sim->shadows[shard];
    uint64_t hash = stead_hash(turn->address.data, turn->address.size);
    uint32_t at;
    struct chain *chain = stead_map_first(&shadow->chains, hash, &at);

    while (chain != NULL && chain->hash != hash)
        chain = stead_map_next(&shadow->chains, hash, &at);
    if (chain == NULL) {
        chain = stead_alloc_zero(sizeof *chain);
        chain->hash = hash;
        stead_map_add(&shadow->chains, hash, chain);
    }
    bool begins = turn->previous == 0 && (chain->index == 0 || turn->incarnation > chain->incarnation);
    if ((!begins && turn->previous != chain->index) || turn->incarnation < chain->incarnation)
        stead_world_fail(&sim->world, "the journal of %.*s: entry %llu says the turn before is in %llu, it is in %llu",
                         (int)turn->address.size, (const char *)turn->address.data, (unsigned long long)index,
                         (unsigned long long)turn->previous, (unsigned long long)chain->index);
    chain->index = index;
    chain->incarnation = turn->incarnation;
}

void stead_shadow_commit(struct stead_sim *sim, uint32_t shard, uint64_t index, struct stead_slice bytes)
{
    struct stead_shadow *shadow = sim->shadows[shard];
    struct stead_turn_record turn;
    struct stead_mutation mutation;
    struct stead_entry entry;

    if (stead_entry_decode(bytes, &entry) != 0)
        stead_world_fail(&sim->world, "entry %llu of shard %u is damaged in the log", (unsigned long long)index, shard);
    if (index <= shadow->committed)
        return;
    STEAD_ASSERT(index == shadow->committed + 1);
    while (stead_entry_next_mutation(&entry.mutations, &mutation) == 1)
        apply(shadow, &mutation);
    while (stead_entry_next_turn(&entry.turns, &turn) == 1)
        follow_chain(sim, shard, index, &turn);
    shadow->committed = index;
}

uint64_t stead_shadow_committed(const struct stead_sim *sim, uint32_t shard)
{
    return sim->shadows[shard]->committed;
}

void stead_shadow_recovered(struct stead_sim *sim, uint32_t shard, uint64_t last)
{
    sim->shadows[shard]->appended = last;
    sim->shadows[shard]->clock = 0; /* of what was lost; clocks are compared again from the next entry on */
}

void stead_shadow_rows(struct stead_sim_host *host, uint32_t shard, uint64_t applied, struct stead_slice mutations)
{
    struct stead_sim *sim = host->node->sim;

    if (applied > sim->shadows[shard]->committed)
        stead_world_fail(&sim->world, "the image of shard %u claims entry %llu, synced are %llu", shard,
                         (unsigned long long)applied, (unsigned long long)sim->shadows[shard]->committed);
    check_rows(host, shard, mutations);
}

/* ---- Comparing --------------------------------------------------------------------------------------- */

struct comparison {
    struct stead_sim *sim;
    const struct stead_table *table;
    uint32_t shard;
    uint32_t at; /* next row of the shadow */
    bool drained;
};

static const char *describe(struct stead_slice key, char *text, size_t size)
{
    struct stead_row_parsed parsed;

    if (stead_row_parse(key, &parsed) != 0)
        return "a key of no known form";
    stead_format(text, size, "class %02x part %u of %.*s, slot %u, other slot %u", (unsigned)parsed.row_class,
                 (unsigned)parsed.part, (int)parsed.address.size,
                 parsed.address.size == 0 ? "" : (const char *)parsed.address.data, parsed.slot.v, parsed.other.v);
    return text;
}

/* What must not be left when every message, call and timer has come to its end. */
static bool is_leftover(const struct stead_row_parsed *parsed)
{
    if (parsed->row_class == STEAD_ROW_OUTBOX || parsed->row_class == STEAD_ROW_TIMER_DUE)
        return true;
    return parsed->row_class == STEAD_ROW_PART &&
           (parsed->part == STEAD_PART_CALL || parsed->part == STEAD_PART_OWED || parsed->part == STEAD_PART_MAIL ||
            parsed->part == STEAD_PART_DELAYED || parsed->part == STEAD_PART_TIMER || parsed->part == STEAD_PART_RUN);
}

const char *stead_shadow_find_leftover(const struct stead_sim *sim, char *text, size_t size)
{
    struct stead_row_parsed parsed;

    for (uint32_t i = 1; i < STEAD_SIM_SHARDS_MAX; i++)
        for (uint32_t r = 0; r < sim->shadows[i]->count; r++)
            if (stead_row_parse(key_of(&sim->shadows[i]->rows[r]), &parsed) == 0 && is_leftover(&parsed)) {
                describe(key_of(&sim->shadows[i]->rows[r]), text, size);
                if (!sim->hub_lives || strstr(text, " of " STEAD_HUB_PREFIX) == NULL)
                    return text;
            }
    return NULL;
}

static int compare_row(void *context, struct stead_slice key, struct stead_slice value)
{
    struct comparison *comparison = context;
    struct stead_shadow *shadow = comparison->sim->shadows[comparison->shard];
    const struct stead_world *world = &comparison->sim->world;
    const struct stead_table_shard *owner;
    struct stead_row_parsed parsed;
    char text[700];

    if (stead_row_parse(key, &parsed) != 0)
        stead_world_fail(world, "the image holds a key of no known form");
    owner = stead_table_shard_of(comparison->table, parsed.slot);
    if (owner == NULL || owner->id != comparison->shard)
        return 0;
    int order = comparison->at == shadow->count ? -1 : stead_slice_compare(key, key_of(&shadow->rows[comparison->at]));
    if (order < 0)
        stead_world_fail(world, "the image of shard %u holds a row that the log does not make: %s", comparison->shard,
                         describe(key, text, sizeof text));
    if (order > 0)
        stead_world_fail(world, "the image of shard %u lacks a row of the log: %s", comparison->shard,
                         describe(key_of(&shadow->rows[comparison->at]), text, sizeof text));
    if (!stead_slice_equal(value, value_of(&shadow->rows[comparison->at])))
        stead_world_fail(world, "the image of shard %u holds an old row: %s", comparison->shard,
                         describe(key, text, sizeof text));
    if (comparison->drained && is_leftover(&parsed))
        stead_world_fail(world, "left over in shard %u: %s", comparison->shard, describe(key, text, sizeof text));
    comparison->at++;
    return 0;
}

void stead_shadow_compare(struct stead_sim *sim, uint32_t shard, struct stead_store *store, bool drained)
{
    struct comparison comparison = {
        .sim = sim, .table = stead_coordinator_table(sim->coordinator), .shard = shard, .drained = drained};
    const struct stead_shadow *shadow = sim->shadows[shard];
    uint64_t applied = 0;
    char text[700];

    if (shadow->appended != shadow->committed)
        stead_world_fail(&sim->world, "shard %u stopped with entries that were never synced", shard);
    if (stead_store_applied(store, shard, &applied) != 0 || applied != shadow->committed)
        stead_world_fail(&sim->world, "shard %u stopped with its image at %llu and its log at %llu", shard,
                         (unsigned long long)applied, (unsigned long long)shadow->committed);
    if (stead_store_scan(store, (struct stead_slice){0}, (struct stead_slice){0}, false, STEAD_STORE_ANY, compare_row,
                         &comparison) != 0)
        stead_world_fail(&sim->world, "the image of shard %u cannot be read", shard);
    if (comparison.at < shadow->count)
        stead_world_fail(&sim->world, "the image of shard %u lacks a row of the log: %s", shard,
                         describe(key_of(&shadow->rows[comparison.at]), text, sizeof text));
}
