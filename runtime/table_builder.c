/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table_builder: a table in pieces.
 *
 * The builder keeps a struct stead_table whose parts lie in memory of their own, so that they can grow; building it is
 * one deep copy. Sizes are small (256 nodes, 4,096 shards) and changes rare, so everything is a sorted array with
 * insertion by moving. An insertion among the shards moves the indexes in `slots` along.
 *
 * Invariants: those of a table (T1 to T3 in table.c), after every function, also after one that refused.
 */
#include "runtime/table_builder.h"

#include <stdlib.h>

#include "runtime/address.h"
#include "runtime/base.h"

#define LABEL_MAX 63u     /* bytes */
#define ENDPOINT_MAX 255u /* bytes */

struct stead_table_builder {
    struct stead_table table;         /* the view; its parts are the arrays below */
    struct stead_table_node *nodes;   /* owned, with their labels and endpoints */
    struct stead_table_shard *shards; /* owned */
    struct stead_table_kind *kinds;   /* owned, with their needs */
    uint16_t slots[STEAD_SLOTS];      /* as in a table */
};

/* ---- Texts ---------------------------------------------------------------------------------- */

/* Names, labels and endpoints: visible ASCII, nothing else, so that they can stand in a line of a log. */
static bool text_check(const char *text, size_t size_max)
{
    size_t size = 0;

    if (text == NULL)
        return false;
    for (; text[size] != '\0'; size++)
        if (size == size_max || text[size] <= 0x20 || text[size] >= 0x7f)
            return false;
    return size > 0;
}

static bool texts_check(const char *const *texts, uint32_t count, size_t size_max)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!text_check(texts[i], size_max))
            return false;
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(texts[i], texts[j]) == 0)
                return false;
    }
    return true;
}

static const char *const *texts_copy(const char *const *texts, uint32_t count)
{
    const char **copy = stead_alloc((count + 1) * sizeof(*copy)); /* never of size 0 */

    for (uint32_t i = 0; i < count; i++)
        copy[i] = stead_text_copy(texts[i]);
    return copy;
}

static void texts_free(const char *const *texts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        free((void *)(uintptr_t)texts[i]);
    free((void *)(uintptr_t)texts);
}

static void node_free(struct stead_table_node *node)
{
    texts_free(node->labels, node->label_count);
    texts_free(node->endpoints, node->reactor_count);
}

/* ---- Life ----------------------------------------------------------------------------------- */

static void copy_parts(struct stead_table_builder *builder, const struct stead_table *from)
{
    int code = 0;

    builder->table.version = from->version;
    stead_table_builder_set_cluster(builder, from->cluster);
    stead_table_builder_set_formed(builder, from->formed, from->nodes_expected);
    for (unsigned i = 0; i < STEAD_GROUPS; i++)
        if (from->group_needs[i] != NULL)
            code |= stead_table_builder_set_needs(builder, i, from->group_needs[i]);
    for (uint32_t i = 0; i < from->node_count; i++)
        code |= stead_table_builder_put_node(builder, &from->nodes[i]);
    for (uint32_t i = 0; i < from->shard_count; i++)
        code |= stead_table_builder_put_shard(builder, &from->shards[i]);
    for (uint32_t i = 0; i < from->kind_count; i++)
        code |= stead_table_builder_put_kind(builder, &from->kinds[i]);
    memcpy(builder->slots, from->slots, sizeof(builder->slots));
    STEAD_ASSERT(code == 0); /* a table that exists is whole */
}

struct stead_table_builder *stead_table_builder_create(const struct stead_table *from)
{
    struct stead_table_builder *builder = stead_alloc_zero(sizeof(*builder));

    builder->table.slots = builder->slots;
    if (from != NULL)
        copy_parts(builder, from);
    return builder;
}

void stead_table_builder_destroy(struct stead_table_builder **builder)
{
    struct stead_table_builder *it = *builder;

    *builder = NULL;
    if (it == NULL)
        return;
    for (uint32_t i = 0; i < it->table.node_count; i++)
        node_free(&it->nodes[i]);
    for (uint32_t i = 0; i < it->table.kind_count; i++)
        free((void *)(uintptr_t)it->kinds[i].needs);
    for (uint32_t i = 0; i < STEAD_GROUPS; i++)
        free((void *)(uintptr_t)it->table.group_needs[i]);
    free(it->nodes);
    free(it->shards);
    free(it->kinds);
    free(it);
}

struct stead_table *stead_table_builder_build(const struct stead_table_builder *builder, uint64_t version)
{
    struct stead_table *table = stead_table_copy(&builder->table);

    table->version = version;
    return table;
}

/* ---- Changing ------------------------------------------------------------------------------- */

void stead_table_builder_set_cluster(struct stead_table_builder *builder, struct stead_id cluster)
{
    builder->table.cluster = cluster;
}

void stead_table_builder_set_formed(struct stead_table_builder *builder, bool formed, uint32_t nodes_expected)
{
    builder->table.formed = formed;
    builder->table.nodes_expected = nodes_expected;
}

int stead_table_builder_put_node(struct stead_table_builder *builder, const struct stead_table_node *node)
{
    uint32_t count = builder->table.node_count, at = 0;
    const struct stead_table_node *named;
    struct stead_table_node copy;

    if (node->id == 0 || !text_check(node->name, STEAD_NODE_NAME_MAX) || node->label_count > STEAD_LABELS_MAX ||
        node->reactor_count > STEAD_REACTORS_MAX || !texts_check(node->labels, node->label_count, LABEL_MAX) ||
        !texts_check(node->endpoints, node->reactor_count, ENDPOINT_MAX))
        return STEAD_EARGUMENT;
    named = stead_table_builder_node_named(builder, node->name);
    if (named != NULL && named->id != node->id)
        return STEAD_EARGUMENT;
    while (at < count && builder->nodes[at].id < node->id)
        at++;
    copy = *node; /* before the old one is freed: `node` may be the old one, changed in place */
    copy.labels = texts_copy(node->labels, node->label_count);
    copy.endpoints = texts_copy(node->endpoints, node->reactor_count);
    if (at < count && builder->nodes[at].id == node->id) {
        node_free(&builder->nodes[at]);
    } else if (count == STEAD_NODES_MAX) {
        node_free(&copy);
        return STEAD_ELIMIT;
    } else {
        builder->nodes = stead_realloc(builder->nodes, (count + 1) * sizeof(*builder->nodes));
        memmove(&builder->nodes[at + 1], &builder->nodes[at], (count - at) * sizeof(*builder->nodes));
        builder->table.node_count++;
    }
    builder->nodes[at] = copy;
    builder->table.nodes = builder->nodes;
    return 0;
}

/* Makes room for a shard at `at`. */
static void shards_insert(struct stead_table_builder *builder, uint32_t at)
{
    uint32_t count = builder->table.shard_count++;

    builder->shards = stead_realloc(builder->shards, (count + 1) * sizeof(*builder->shards));
    builder->table.shards = builder->shards;
    if (at == count)
        return;
    memmove(&builder->shards[at + 1], &builder->shards[at], (count - at) * sizeof(*builder->shards));
    for (uint32_t i = 0; i < STEAD_SLOTS; i++)
        if (builder->slots[i] > at)
            builder->slots[i]++;
}

int stead_table_builder_put_shard(struct stead_table_builder *builder, const struct stead_table_shard *shard)
{
    struct stead_table_shard copy = *shard; /* `shard` may lie in the array that grows */
    const struct stead_table_shard *old = stead_table_builder_shard(builder, copy.id);
    uint32_t at = builder->table.shard_count;

    if (copy.id == 0 || copy.group >= STEAD_GROUP_ENDPOINTS || copy.reactor >= STEAD_REACTORS_MAX ||
        (old != NULL && old->group != copy.group))
        return STEAD_EARGUMENT;
    if (copy.node != 0 && stead_table_builder_node(builder, copy.node) == NULL)
        return STEAD_ENOTFOUND;
    if (old != NULL) {
        at = (uint32_t)(old - builder->shards);
    } else if (at == STEAD_SHARDS_MAX) {
        return STEAD_ELIMIT;
    } else {
        while (at > 0 && builder->shards[at - 1].id > copy.id)
            at--;
        shards_insert(builder, at);
    }
    builder->shards[at] = copy;
    return 0;
}

int stead_table_builder_put_kind(struct stead_table_builder *builder, const struct stead_table_kind *kind)
{
    uint32_t count = builder->table.kind_count, at = 0;
    struct stead_table_kind copy = *kind;

    if (memchr(copy.name, 0, sizeof(copy.name)) == NULL ||
        !stead_name_check(stead_str(copy.name), STEAD_KIND_NAME_MAX) || copy.group >= STEAD_GROUP_ENDPOINTS ||
        copy.durability > STEAD_STATELESS || (copy.needs != NULL && !text_check(copy.needs, LABEL_MAX)))
        return STEAD_EARGUMENT;
    copy.needs = copy.needs == NULL ? NULL : stead_text_copy(copy.needs);
    while (at < count && strcmp(builder->kinds[at].name, copy.name) < 0)
        at++;
    if (at < count && strcmp(builder->kinds[at].name, copy.name) == 0) {
        free((void *)(uintptr_t)builder->kinds[at].needs);
    } else if (count == STEAD_KINDS_MAX) {
        free((void *)(uintptr_t)copy.needs);
        return STEAD_ELIMIT;
    } else {
        builder->kinds = stead_realloc(builder->kinds, (count + 1) * sizeof(*builder->kinds));
        memmove(&builder->kinds[at + 1], &builder->kinds[at], (count - at) * sizeof(*builder->kinds));
        builder->table.kind_count++;
    }
    builder->kinds[at] = copy;
    builder->table.kinds = builder->kinds;
    return 0;
}

int stead_table_builder_set_needs(struct stead_table_builder *builder, unsigned group, const char *label)
{
    const char *old;

    if (group == STEAD_GROUP_DEFAULT || group >= STEAD_GROUP_ENDPOINTS ||
        (label != NULL && !text_check(label, LABEL_MAX)))
        return STEAD_EARGUMENT;
    old = builder->table.group_needs[group];
    builder->table.group_needs[group] = label == NULL ? NULL : stead_text_copy(label);
    free((void *)(uintptr_t)old);
    return 0;
}

int stead_table_builder_put_slots(struct stead_table_builder *builder, stead_slot first, uint32_t count, uint32_t shard)
{
    const struct stead_table_shard *owner = NULL;
    uint16_t index = 0;

    if (count > STEAD_SLOTS - first.v)
        return STEAD_EARGUMENT;
    if (shard != 0) {
        owner = stead_table_builder_shard(builder, shard);
        if (owner == NULL)
            return STEAD_ENOTFOUND;
        if (count > 0 &&
            (stead_slot_group(first) != owner->group || (first.v + count - 1) / STEAD_SLOTS_PER_GROUP != owner->group))
            return STEAD_EARGUMENT;
        index = (uint16_t)(owner - builder->shards + 1);
    }
    for (uint32_t i = 0; i < count; i++)
        builder->slots[first.v + i] = index;
    return 0;
}

/* ---- Finding -------------------------------------------------------------------------------- */

const struct stead_table_node *stead_table_builder_node(const struct stead_table_builder *builder, uint32_t node)
{
    return stead_table_node_find(&builder->table, node);
}

const struct stead_table_node *stead_table_builder_node_named(const struct stead_table_builder *builder,
                                                              const char *name)
{
    for (uint32_t i = 0; i < builder->table.node_count; i++)
        if (strcmp(builder->nodes[i].name, name) == 0)
            return &builder->nodes[i];
    return NULL;
}

const struct stead_table_shard *stead_table_builder_shard(const struct stead_table_builder *builder, uint32_t shard)
{
    return stead_table_shard_find(&builder->table, shard);
}

const struct stead_table_kind *stead_table_builder_kind(const struct stead_table_builder *builder, const char *name)
{
    return stead_table_kind_find(&builder->table, name, strlen(name));
}
