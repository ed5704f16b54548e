/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator_state: a few sorted arrays, their rows, and the table.
 *
 * Everything here is small (at most 256 nodes, 4,096 shards and kinds) and changes a few times a day, so plain arrays
 * searched by bisection and a table made anew at each change are enough; what matters is that a row holds the whole of
 * a thing, that rows of different things never depend on the order in which they are read back, and that whatever was
 * read back is verified as a whole before it is believed: slots owned twice or a shard of an unknown node would be two
 * owners later.
 */
#include "runtime/coordinator_state.h"

#include <stdlib.h>

#include "runtime/base.h"
#include "runtime/table_builder.h"

/* ---- Arrays --------------------------------------------------------------------------------- */

/* Where `id` is or belongs among `count` elements of `size` bytes that begin with their id. */
static uint32_t find_place(const void *elements, uint32_t count, size_t size, uint32_t id)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        uint32_t found;
        memcpy(&found, (const char *)elements + middle * size, sizeof found);
        if (found < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint32_t find_kind_place(const struct stead_coordinator *c, const char *name)
{
    uint32_t low = 0, high = c->kind_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (strcmp(c->kinds[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Makes room for one element at `place` and zeroes it. */
static void *open_gap(void *elements, uint32_t *count, uint32_t *capacity, size_t size, uint32_t place)
{
    char *bytes = elements;
    if (*count == *capacity) {
        *capacity = *capacity ? *capacity * 2 : 16;
        bytes = stead_realloc(bytes, *capacity * size);
    }
    memmove(bytes + (place + 1) * size, bytes + place * size, (*count - place) * size);
    memset(bytes + place * size, 0, size);
    *count += 1;
    return bytes;
}

struct stead_coordinator_node *stead_coordinator_node_find(const struct stead_coordinator *c, uint32_t id)
{
    uint32_t at = find_place(c->nodes, c->node_count, sizeof *c->nodes, id);
    return at < c->node_count && c->nodes[at].id == id ? &c->nodes[at] : NULL;
}

struct stead_coordinator_node *stead_coordinator_node_named(const struct stead_coordinator *c, const char *name)
{
    for (uint32_t i = 0; i < c->node_count; i++)
        if (strcmp(c->nodes[i].name, name) == 0)
            return &c->nodes[i];
    return NULL;
}

struct stead_coordinator_node *stead_coordinator_node_of(const struct stead_coordinator *c, struct stead_id identity)
{
    for (uint32_t i = 0; i < c->node_count; i++)
        if (stead_id_equal(c->nodes[i].identity, identity))
            return &c->nodes[i];
    return NULL;
}

struct stead_coordinator_shard *stead_coordinator_shard_find(const struct stead_coordinator *c, uint32_t id)
{
    uint32_t at = find_place(c->shards, c->shard_count, sizeof *c->shards, id);
    return at < c->shard_count && c->shards[at].id == id ? &c->shards[at] : NULL;
}

struct stead_coordinator_kind *stead_coordinator_kind_find(const struct stead_coordinator *c, const char *name)
{
    uint32_t at = find_kind_place(c, name);
    return at < c->kind_count && strcmp(c->kinds[at].name, name) == 0 ? &c->kinds[at] : NULL;
}

struct stead_coordinator_node *stead_coordinator_node_add(struct stead_coordinator *c, uint32_t id)
{
    uint32_t place = find_place(c->nodes, c->node_count, sizeof *c->nodes, id);
    STEAD_ASSERT(place == c->node_count || c->nodes[place].id != id);
    c->nodes = open_gap(c->nodes, &c->node_count, &c->node_capacity, sizeof *c->nodes, place);
    c->nodes[place].id = id;
    return &c->nodes[place];
}

struct stead_coordinator_shard *stead_coordinator_shard_add(struct stead_coordinator *c, uint32_t id)
{
    uint32_t place = find_place(c->shards, c->shard_count, sizeof *c->shards, id);
    STEAD_ASSERT(place == c->shard_count || c->shards[place].id != id);
    c->shards = open_gap(c->shards, &c->shard_count, &c->shard_capacity, sizeof *c->shards, place);
    c->shards[place].id = id;
    return &c->shards[place];
}

struct stead_coordinator_kind *stead_coordinator_kind_add(struct stead_coordinator *c, const char *name)
{
    uint32_t place = find_kind_place(c, name);
    STEAD_ASSERT(strlen(name) <= STEAD_KIND_NAME_MAX);
    STEAD_ASSERT(place == c->kind_count || strcmp(c->kinds[place].name, name) != 0);
    c->kinds = open_gap(c->kinds, &c->kind_count, &c->kind_capacity, sizeof *c->kinds, place);
    strcpy(c->kinds[place].name, name);
    return &c->kinds[place];
}

static void free_texts(char ***texts, uint32_t *count)
{
    for (uint32_t i = 0; i < *count; i++)
        free((*texts)[i]);
    free(*texts);
    *texts = NULL;
    *count = 0;
}

static void copy_texts(char ***texts, uint32_t *count, const char *const *from, uint32_t from_count)
{
    char **copy = from_count ? stead_alloc(from_count * sizeof *copy) : NULL;
    for (uint32_t i = 0; i < from_count; i++)
        copy[i] = stead_text_copy(from[i]);
    free_texts(texts, count);
    *texts = copy;
    *count = from_count;
}

void stead_coordinator_node_describe(struct stead_coordinator_node *node, const char *const *labels,
                                     uint32_t label_count, const char *const *endpoints, uint32_t endpoint_count)
{
    copy_texts(&node->labels, &node->label_count, labels, label_count);
    copy_texts(&node->endpoints, &node->endpoint_count, endpoints, endpoint_count);
}

void stead_coordinator_node_remove(struct stead_coordinator *c, struct stead_coordinator_node *node)
{
    size_t at = (size_t)(node - c->nodes);
    stead_coordinator_node_describe(node, NULL, 0, NULL, 0);
    memmove(node, node + 1, (c->node_count - at - 1) * sizeof *node);
    c->node_count--;
}

bool stead_coordinator_node_has(const struct stead_coordinator_node *node, const char *label)
{
    if (label == NULL)
        return true;
    for (uint32_t i = 0; i < node->label_count; i++)
        if (strcmp(node->labels[i], label) == 0)
            return true;
    return false;
}

bool stead_coordinator_node_owns(const struct stead_coordinator *c, uint32_t node)
{
    for (uint32_t i = 0; i < c->shard_count; i++)
        if (c->shards[i].node == node)
            return true;
    return false;
}

struct stead_coordinator *stead_coordinator_create(const struct stead_coordinator_options *options)
{
    struct stead_coordinator *c = stead_alloc_zero(sizeof *c);
    STEAD_ASSERT(options->nodes_expected >= 1 && options->nodes_expected <= STEAD_NODES_MAX);
    c->cluster = options->cluster;
    c->nodes_expected = options->nodes_expected;
    c->alive_ms_max = options->alive_ms_max ? options->alive_ms_max : 3000;
    c->next_node = 1;
    c->next_shard = 1;
    return c;
}

void stead_coordinator_destroy(struct stead_coordinator **coordinator)
{
    struct stead_coordinator *c = *coordinator;
    if (c == NULL)
        return;
    for (uint32_t i = 0; i < c->node_count; i++)
        stead_coordinator_node_describe(&c->nodes[i], NULL, 0, NULL, 0);
    for (uint32_t i = 0; i < c->kind_count; i++)
        free(c->kinds[i].needs);
    for (uint32_t i = 0; i < STEAD_GROUPS; i++)
        free(c->group_needs[i]);
    free(c->nodes);
    free(c->shards);
    free(c->kinds);
    stead_table_release(&c->table);
    free(c);
    *coordinator = NULL;
}

/* ---- Checking ------------------------------------------------------------------------------- */

/* Labels, node names: [A-Za-z0-9_.-]+ */
static bool plain_name(const char *text, size_t size_max)
{
    size_t size = strlen(text);
    if (size == 0 || size > size_max)
        return false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '_' && c != '.' && c != '-')
            return false;
    }
    return true;
}

bool stead_coordinator_label_check(const char *label)
{
    return plain_name(label, STEAD_COORDINATOR_LABEL_MAX);
}

bool stead_coordinator_node_name_check(const char *name)
{
    return plain_name(name, STEAD_NODE_NAME_MAX);
}

bool stead_coordinator_endpoint_check(const char *endpoint)
{
    size_t size = 0;
    for (; endpoint[size] != 0; size++)
        if (size == STEAD_COORDINATOR_ENDPOINT_MAX || endpoint[size] <= ' ' || endpoint[size] > '~')
            return false;
    return size > 0;
}

static bool has_twins(char *const *texts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(texts[i], texts[j]) == 0)
                return true;
    return false;
}

static bool node_fits(const struct stead_coordinator *c, const struct stead_coordinator_node *node)
{
    bool ok = node->id < c->next_node && node->incarnation > 0 && node->endpoint_count > 0 &&
              node->shards_per_reactor > 0 && stead_coordinator_node_name_check(node->name) &&
              stead_coordinator_node_named(c, node->name) == node &&
              stead_coordinator_node_of(c, node->identity) == node && !has_twins(node->labels, node->label_count) &&
              !has_twins(node->endpoints, node->endpoint_count);
    for (uint32_t i = 0; ok && i < node->label_count; i++)
        ok = stead_coordinator_label_check(node->labels[i]);
    for (uint32_t i = 0; ok && i < node->endpoint_count; i++)
        ok = stead_coordinator_endpoint_check(node->endpoints[i]);
    return ok;
}

static int verify_nodes(const struct stead_coordinator *c, char *ret_why)
{
    for (uint32_t i = 0; i < c->node_count; i++) {
        const struct stead_coordinator_node *node = &c->nodes[i];
        if (!node_fits(c, node)) {
            stead_format(ret_why, STEAD_COORDINATOR_WHY_SIZE, "the row of node %u does not fit the others", node->id);
            return STEAD_ECORRUPT;
        }
    }
    return 0;
}

static int verify_shards(const struct stead_coordinator *c, char *ret_why)
{
    uint8_t *owned = stead_alloc_zero(STEAD_SLOTS);
    int code = 0;
    for (uint32_t i = 0; code == 0 && i < c->shard_count; i++) {
        const struct stead_coordinator_shard *shard = &c->shards[i];
        const struct stead_coordinator_node *node = stead_coordinator_node_find(c, shard->node);
        bool ok = shard->id < c->next_shard && shard->epoch > 0 && node != NULL &&
                  shard->incarnation <= node->incarnation && shard->reactor < node->endpoint_count &&
                  shard->count > 0 && shard->first + shard->count <= (int)STEAD_SLOTS_PER_GROUP;
        for (uint32_t slot = shard->first; ok && slot < (uint32_t)shard->first + shard->count; slot++)
            ok = owned[shard->group * STEAD_SLOTS_PER_GROUP + slot]++ == 0;
        if (!ok) {
            stead_format(ret_why, STEAD_COORDINATOR_WHY_SIZE, "the row of shard %u does not fit the others", shard->id);
            code = STEAD_ECORRUPT;
        }
    }
    free(owned);
    return code;
}

static int verify_kinds(const struct stead_coordinator *c, char *ret_why)
{
    for (uint32_t i = 0; i < c->kind_count; i++) {
        const struct stead_coordinator_kind *kind = &c->kinds[i];
        const char *needs = c->group_needs[kind->group];
        bool ok = kind->group == STEAD_GROUP_DEFAULT ? needs == NULL
                                                     : needs && kind->needs && strcmp(needs, kind->needs) == 0;
        if (!ok) {
            stead_format(ret_why, STEAD_COORDINATOR_WHY_SIZE, "the row of kind %s does not fit the others", kind->name);
            return STEAD_ECORRUPT;
        }
    }
    return 0;
}

int stead_coordinator_verify(const struct stead_coordinator *c, char *ret_why)
{
    if (c->version == 0) {
        stead_format(ret_why, STEAD_COORDINATOR_WHY_SIZE, "there are rows, but not the one that names the cluster");
        return STEAD_ECORRUPT;
    }
    int code = verify_nodes(c, ret_why);
    if (code == 0)
        code = verify_shards(c, ret_why);
    if (code == 0)
        code = verify_kinds(c, ret_why);
    return code;
}

void stead_coordinator_check(const struct stead_coordinator *c)
{
    char why[STEAD_COORDINATOR_WHY_SIZE] = "";
    STEAD_ASSERT(c->restored);
    STEAD_ASSERT(stead_coordinator_verify(c, why) == 0);
}

/* ---- The table ------------------------------------------------------------------------------ */

static void show_node(struct stead_table_builder *builder, const struct stead_coordinator_node *node)
{
    struct stead_table_node it = {.id = node->id,
                                  .incarnation = node->incarnation,
                                  .alive = node->alive,
                                  .label_count = node->label_count,
                                  .labels = (const char *const *)node->labels,
                                  .reactor_count = node->endpoint_count,
                                  .endpoints = (const char *const *)node->endpoints};
    memcpy(it.name, node->name, sizeof it.name);
    STEAD_ASSERT(stead_table_builder_put_node(builder, &it) == 0);
}

static void show_shard(struct stead_table_builder *builder, const struct stead_coordinator_shard *shard)
{
    struct stead_table_shard it = {.id = shard->id,
                                   .epoch = shard->epoch,
                                   .node = shard->node,
                                   .incarnation = shard->incarnation,
                                   .reactor = shard->reactor,
                                   .group = shard->group};
    stead_slot first = {(uint16_t)(shard->group * STEAD_SLOTS_PER_GROUP + shard->first)};
    STEAD_ASSERT(stead_table_builder_put_shard(builder, &it) == 0);
    STEAD_ASSERT(stead_table_builder_put_slots(builder, first, shard->count, shard->id) == 0);
}

static void show_kind(struct stead_table_builder *builder, const struct stead_coordinator_kind *kind)
{
    struct stead_table_kind it = {.group = kind->group, .durability = kind->durability, .needs = kind->needs};
    memcpy(it.name, kind->name, sizeof it.name);
    STEAD_ASSERT(stead_table_builder_put_kind(builder, &it) == 0);
}

struct stead_table *stead_coordinator_table(struct stead_coordinator *c)
{
    STEAD_ASSERT(c->restored);
    if (c->table != NULL)
        return c->table;
    struct stead_table_builder *builder = stead_table_builder_create(NULL);
    stead_table_builder_set_cluster(builder, c->cluster);
    stead_table_builder_set_formed(builder, c->formed, c->nodes_expected);
    for (uint32_t i = 0; i < c->node_count; i++)
        show_node(builder, &c->nodes[i]);
    for (unsigned group = 1; group < STEAD_GROUP_ENDPOINTS; group++)
        STEAD_ASSERT(stead_table_builder_set_needs(builder, group, c->group_needs[group]) == 0);
    for (uint32_t i = 0; i < c->shard_count; i++)
        show_shard(builder, &c->shards[i]);
    for (uint32_t i = 0; i < c->kind_count; i++)
        show_kind(builder, &c->kinds[i]);
    c->table = stead_table_builder_build(builder, c->version);
    stead_table_builder_destroy(&builder);
    return c->table;
}
