/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table: the snapshot of who owns what.
 *
 * A table is read on every message of every reactor and changed a few times a day, so it is one block of memory without
 * locks: the structs, the 65,536 slots as 16-bit indexes, then pointers and texts. Whoever changes it makes another one
 * (table_builder.h). Only the reference count is shared and written, and only when a snapshot changes hands.
 *
 * On the wire (docs/FORMATS.md) the slots are runs, so a cluster with contiguous shards takes a few hundred bytes. The
 * decoder fills a builder, which refuses what a table may not hold; on top of that it insists on strictly ascending
 * ids, known versions and runs that cover every slot once. So what is decoded is as whole as what was built here, or is
 * refused.
 *
 * Invariants: T1 nodes and shards ascend by id, kinds by name. T2 an entry of `slots` is 0 or names a shard of the
 * slot's group. T3 a shard's node is 0 or in the table.
 */
#include "runtime/table.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "runtime/base.h"
#include "runtime/table_builder.h"

#define TABLE_FORMAT 1u

/* The block: what others see, then what only this file knows. */
struct table_block {
    struct stead_table table; /* first: a table's address is its block's */
    atomic_uint references;   /* freed when the last one goes */
};

/* A cursor over the memory behind the block while it is filled. */
struct arena {
    uint8_t *at;        /* next free byte */
    const uint8_t *end; /* one past the last */
};

/* ---- Copying -------------------------------------------------------------------------------- */

static void *arena_take(struct arena *arena, size_t size, size_t alignment)
{
    size_t skew = (size_t)((uintptr_t)arena->at % alignment);
    uint8_t *taken = arena->at + (skew == 0 ? 0 : alignment - skew);

    STEAD_ASSERT(size <= (size_t)(arena->end - taken));
    arena->at = taken + size;
    return taken;
}

static const char *arena_text(struct arena *arena, const char *text)
{
    size_t size;

    if (text == NULL)
        return NULL;
    size = strlen(text) + 1;
    return memcpy(arena_take(arena, size, 1), text, size);
}

static size_t texts_size(const char *const *texts, uint32_t count)
{
    size_t size = count * sizeof(*texts);

    for (uint32_t i = 0; i < count; i++)
        size += strlen(texts[i]) + 1;
    return size;
}

/* Bytes behind the block; every part may need up to 16 bytes of alignment. */
static size_t copy_size(const struct stead_table *from)
{
    size_t size = from->node_count * sizeof(*from->nodes) + from->shard_count * sizeof(*from->shards) +
                  from->kind_count * sizeof(*from->kinds) + STEAD_SLOTS * sizeof(*from->slots) + 4 * 16;

    for (uint32_t i = 0; i < from->node_count; i++)
        size += texts_size(from->nodes[i].labels, from->nodes[i].label_count) +
                texts_size(from->nodes[i].endpoints, from->nodes[i].reactor_count) + 2 * 16;
    for (uint32_t i = 0; i < from->kind_count; i++)
        size += from->kinds[i].needs == NULL ? 0 : strlen(from->kinds[i].needs) + 1;
    for (uint32_t i = 0; i < STEAD_GROUPS; i++)
        size += from->group_needs[i] == NULL ? 0 : strlen(from->group_needs[i]) + 1;
    return size;
}

static const char *const *copy_texts(struct arena *arena, const char *const *texts, uint32_t count)
{
    const char **copy = arena_take(arena, count * sizeof(*copy), _Alignof(const char *));

    for (uint32_t i = 0; i < count; i++)
        copy[i] = arena_text(arena, texts[i]);
    return copy;
}

static const struct stead_table_node *copy_nodes(struct arena *arena, const struct stead_table *from)
{
    struct stead_table_node *nodes =
        arena_take(arena, from->node_count * sizeof(*nodes), _Alignof(struct stead_table_node));

    for (uint32_t i = 0; i < from->node_count; i++) {
        nodes[i] = from->nodes[i];
        nodes[i].labels = copy_texts(arena, nodes[i].labels, nodes[i].label_count);
        nodes[i].endpoints = copy_texts(arena, nodes[i].endpoints, nodes[i].reactor_count);
    }
    return nodes;
}

static const struct stead_table_kind *copy_kinds(struct arena *arena, const struct stead_table *from)
{
    struct stead_table_kind *kinds =
        arena_take(arena, from->kind_count * sizeof(*kinds), _Alignof(struct stead_table_kind));

    for (uint32_t i = 0; i < from->kind_count; i++) {
        kinds[i] = from->kinds[i];
        kinds[i].needs = arena_text(arena, kinds[i].needs);
    }
    return kinds;
}

struct stead_table *stead_table_copy(const struct stead_table *from)
{
    size_t size = copy_size(from);
    struct table_block *block = stead_alloc(sizeof(*block) + size);
    struct arena arena = {(uint8_t *)(block + 1), (uint8_t *)(block + 1) + size};
    struct stead_table_shard *shards;
    uint16_t *slots;

    block->table = *from;
    atomic_init(&block->references, 1);
    block->table.nodes = copy_nodes(&arena, from);
    shards = arena_take(&arena, from->shard_count * sizeof(*shards), _Alignof(struct stead_table_shard));
    if (from->shard_count > 0)
        memcpy(shards, from->shards, from->shard_count * sizeof(*shards));
    block->table.shards = shards;
    block->table.kinds = copy_kinds(&arena, from);
    slots = arena_take(&arena, STEAD_SLOTS * sizeof(*slots), _Alignof(uint16_t));
    memcpy(slots, from->slots, STEAD_SLOTS * sizeof(*slots));
    block->table.slots = slots;
    for (uint32_t i = 0; i < STEAD_GROUPS; i++)
        block->table.group_needs[i] = arena_text(&arena, from->group_needs[i]);
    return &block->table;
}

/* ---- References ----------------------------------------------------------------------------- */

struct stead_table *stead_table_hold(struct stead_table *table)
{
    struct table_block *block = (struct table_block *)(void *)table;

    atomic_fetch_add_explicit(&block->references, 1, memory_order_relaxed);
    return table;
}

void stead_table_release(struct stead_table **table)
{
    struct table_block *block = (struct table_block *)(void *)*table;

    *table = NULL;
    if (block == NULL)
        return;
    /* Whoever frees must see all that the other holders read and wrote before they let go. */
    if (atomic_fetch_sub_explicit(&block->references, 1, memory_order_acq_rel) == 1)
        free(block);
}

/* ---- Finding -------------------------------------------------------------------------------- */

const struct stead_table_shard *stead_table_shard_of(const struct stead_table *table, stead_slot slot)
{
    uint16_t at = table->slots[slot.v];

    return at == 0 ? NULL : &table->shards[at - 1];
}

const struct stead_table_shard *stead_table_shard_find(const struct stead_table *table, uint32_t shard)
{
    uint32_t low = 0, high = table->shard_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (table->shards[middle].id == shard)
            return &table->shards[middle];
        if (table->shards[middle].id < shard)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const struct stead_table_node *stead_table_node_find(const struct stead_table *table, uint32_t node)
{
    uint32_t low = 0, high = table->node_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (table->nodes[middle].id == node)
            return &table->nodes[middle];
        if (table->nodes[middle].id < node)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const struct stead_table_kind *stead_table_kind_find(const struct stead_table *table, const char *name, size_t size)
{
    uint32_t low = 0, high = table->kind_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const char *found = table->kinds[middle].name;
        int order = strncmp(found, name, size);

        if (order == 0 && size < sizeof(table->kinds[middle].name) && found[size] == '\0')
            return &table->kinds[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle; /* also when `name` is only the beginning of `found` */
    }
    return NULL;
}

bool stead_table_node_has(const struct stead_table_node *node, const char *label)
{
    for (uint32_t i = 0; i < node->label_count; i++)
        if (strcmp(node->labels[i], label) == 0)
            return true;
    return false;
}

/* ---- Encoding ------------------------------------------------------------------------------- */

static void write_texts(struct stead_writer *writer, const char *const *texts, uint32_t count)
{
    stead_write_array(writer, count);
    for (uint32_t i = 0; i < count; i++)
        stead_write_str(writer, texts[i]);
}

static void write_label(struct stead_writer *writer, const char *label)
{
    if (label == NULL)
        stead_write_nil(writer);
    else
        stead_write_str(writer, label);
}

static void write_nodes(struct stead_writer *writer, const struct stead_table *table)
{
    stead_write_array(writer, table->node_count);
    for (uint32_t i = 0; i < table->node_count; i++) {
        const struct stead_table_node *node = &table->nodes[i];

        stead_write_array(writer, 6);
        stead_write_u64(writer, node->id);
        stead_write_u64(writer, node->incarnation);
        stead_write_str(writer, node->name);
        stead_write_bool(writer, node->alive);
        write_texts(writer, node->labels, node->label_count);
        write_texts(writer, node->endpoints, node->reactor_count);
    }
}

static void write_shards(struct stead_writer *writer, const struct stead_table *table)
{
    stead_write_array(writer, table->shard_count);
    for (uint32_t i = 0; i < table->shard_count; i++) {
        const struct stead_table_shard *shard = &table->shards[i];

        stead_write_array(writer, 6);
        stead_write_u64(writer, shard->id);
        stead_write_u64(writer, shard->epoch);
        stead_write_u64(writer, shard->node);
        stead_write_u64(writer, shard->incarnation);
        stead_write_u64(writer, shard->reactor);
        stead_write_u64(writer, shard->group);
    }
}

static void write_kinds(struct stead_writer *writer, const struct stead_table *table)
{
    stead_write_array(writer, table->kind_count);
    for (uint32_t i = 0; i < table->kind_count; i++) {
        const struct stead_table_kind *kind = &table->kinds[i];

        stead_write_array(writer, 4);
        stead_write_str(writer, kind->name);
        stead_write_u64(writer, kind->group);
        stead_write_u64(writer, kind->durability);
        write_label(writer, kind->needs);
    }
}

/* The end of the run of equal slots that begins at `first`. */
static uint32_t run_end(const struct stead_table *table, uint32_t first)
{
    uint32_t end = first + 1;

    while (end < STEAD_SLOTS && table->slots[end] == table->slots[first])
        end++;
    return end;
}

static void write_slots(struct stead_writer *writer, const struct stead_table *table)
{
    uint32_t runs = 0;

    for (uint32_t at = 0; at < STEAD_SLOTS; at = run_end(table, at))
        runs++;
    stead_write_array(writer, runs);
    for (uint32_t at = 0, end; at < STEAD_SLOTS; at = end) {
        end = run_end(table, at);
        stead_write_array(writer, 2);
        stead_write_u64(writer, end - at);
        stead_write_u64(writer, table->slots[at] == 0 ? 0 : table->shards[table->slots[at] - 1].id);
    }
}

void stead_table_encode(const struct stead_table *table, struct stead_writer *writer)
{
    stead_write_map(writer, 10);
    stead_write_str(writer, "v");
    stead_write_u64(writer, TABLE_FORMAT);
    stead_write_str(writer, "version");
    stead_write_u64(writer, table->version);
    stead_write_str(writer, "cluster");
    stead_write_bin(writer, (struct stead_slice){table->cluster.v, sizeof(table->cluster.v)});
    stead_write_str(writer, "formed");
    stead_write_bool(writer, table->formed);
    stead_write_str(writer, "expected");
    stead_write_u64(writer, table->nodes_expected);
    stead_write_str(writer, "nodes");
    write_nodes(writer, table);
    stead_write_str(writer, "shards");
    write_shards(writer, table);
    stead_write_str(writer, "kinds");
    write_kinds(writer, table);
    stead_write_str(writer, "groups");
    stead_write_array(writer, STEAD_GROUPS);
    for (uint32_t i = 0; i < STEAD_GROUPS; i++)
        write_label(writer, table->group_needs[i]);
    stead_write_str(writer, "slots");
    write_slots(writer, table);
}
