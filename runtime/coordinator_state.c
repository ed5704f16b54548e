/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator_state: a few sorted arrays, their rows, and the table.
 *
 * Everything here is small (at most 256 nodes, 4,096 shards, 1,024 kinds) and changes a few times a day, so plain arrays
 * searched by bisection and a table made anew at each change are enough; what matters is that a row holds the whole
 * of a thing, that rows of different things never depend on the order in which they are read back, and that whatever was read
 * back is verified as a whole before it is believed: slots owned twice or a shard of an unknown node would be two owners later.
 */
#include "runtime/coordinator_state.h"

#include <stdlib.h>

#include "runtime/address.h"
#include "runtime/base.h"
#include "runtime/entry.h"
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

/* ---- Rows: writing -------------------------------------------------------------------------- */

static struct stead_slice id_key(uint8_t memory[5], char row_class, uint32_t id)
{
    memory[0] = (uint8_t)row_class;
    for (unsigned i = 0; i < 4; i++)
        memory[1 + i] = (uint8_t)(id >> (24 - 8 * i));
    return stead_bytes(memory, 5);
}

static struct stead_slice id_bytes(const struct stead_id *id)
{
    return stead_bytes(id->v, sizeof id->v);
}

static void write_texts(struct stead_writer *value, const char *field, char *const *texts, uint32_t count)
{
    stead_write_str(value, field);
    stead_write_array(value, count);
    for (uint32_t i = 0; i < count; i++) {
        if (texts[i] == NULL)
            stead_write_nil(value);
        else
            stead_write_str(value, texts[i]);
    }
}

void stead_coordinator_put_meta(const struct stead_coordinator *c, struct stead_writer *rows)
{
    struct stead_writer value;
    stead_writer_init(&value);
    stead_write_map(&value, 8);
    stead_write_str(&value, "v");
    stead_write_u64(&value, STEAD_COORDINATOR_FORMAT);
    stead_write_str(&value, "cluster");
    stead_write_bin(&value, id_bytes(&c->cluster));
    stead_write_str(&value, "expected");
    stead_write_u64(&value, c->nodes_expected);
    stead_write_str(&value, "formed");
    stead_write_bool(&value, c->formed);
    stead_write_str(&value, "version");
    stead_write_u64(&value, c->version);
    stead_write_str(&value, "node");
    stead_write_u64(&value, c->next_node);
    stead_write_str(&value, "shard");
    stead_write_u64(&value, c->next_shard);
    write_texts(&value, "needs", c->group_needs, STEAD_GROUPS);
    stead_entry_put(rows, stead_str("m"), stead_written(&value));
    stead_writer_deinit(&value);
}

void stead_coordinator_put_node(const struct stead_coordinator_node *node, struct stead_writer *rows)
{
    uint8_t key[5];
    struct stead_writer value;
    stead_writer_init(&value);
    stead_write_map(&value, 8);
    stead_write_str(&value, "name");
    stead_write_str(&value, node->name);
    stead_write_str(&value, "identity");
    stead_write_bin(&value, id_bytes(&node->identity));
    stead_write_str(&value, "start");
    stead_write_bin(&value, id_bytes(&node->start));
    stead_write_str(&value, "incarnation");
    stead_write_u64(&value, node->incarnation);
    stead_write_str(&value, "alive");
    stead_write_bool(&value, node->alive);
    stead_write_str(&value, "spr");
    stead_write_u64(&value, node->shards_per_reactor);
    write_texts(&value, "labels", node->labels, node->label_count);
    write_texts(&value, "endpoints", node->endpoints, node->endpoint_count);
    stead_entry_put(rows, id_key(key, 'n', node->id), stead_written(&value));
    stead_writer_deinit(&value);
}

void stead_coordinator_delete_node(const struct stead_coordinator_node *node, struct stead_writer *rows)
{
    uint8_t key[5];
    stead_entry_delete(rows, id_key(key, 'n', node->id));
}

void stead_coordinator_put_shard(const struct stead_coordinator_shard *shard, struct stead_writer *rows)
{
    uint8_t key[5], memory[256];
    struct stead_writer value;
    stead_writer_init_fixed(&value, memory, sizeof memory);
    stead_pack(&value, "{s:u,s:u,s:u,s:u,s:u,s:u,s:u}", "epoch", shard->epoch, "node", (uint64_t)shard->node,
               "incarnation", shard->incarnation, "reactor", (uint64_t)shard->reactor, "group", (uint64_t)shard->group,
               "first", (uint64_t)shard->first, "count", (uint64_t)shard->count);
    stead_entry_put(rows, id_key(key, 's', shard->id), stead_written(&value));
    stead_writer_deinit(&value);
}

void stead_coordinator_put_kind(const struct stead_coordinator_kind *kind, struct stead_writer *rows)
{
    uint8_t key[1 + STEAD_KIND_NAME_MAX], memory[256];
    size_t size = strlen(kind->name);
    struct stead_writer value;
    key[0] = 'k';
    memcpy(key + 1, kind->name, size);
    stead_writer_init_fixed(&value, memory, sizeof memory);
    stead_pack(&value, "{s:u,s:u,s:s}", "group", (uint64_t)kind->group, "durability", (uint64_t)kind->durability,
               "needs", kind->needs);
    stead_entry_put(rows, stead_bytes(key, 1 + size), stead_written(&value));
    stead_writer_deinit(&value);
}

/* ---- Rows: reading back --------------------------------------------------------------------- */

static int get_number(struct stead_slice value, const char *field, uint64_t max, uint64_t *ret_it)
{
    uint64_t it;
    if (stead_get_u64(value, field, &it) != 0 || it > max)
        return STEAD_ECORRUPT;
    *ret_it = it;
    return 0;
}

static int get_id(struct stead_slice value, const char *field, struct stead_id *ret_id)
{
    struct stead_slice bytes;
    if (stead_get_bin(value, field, &bytes) != 0 || bytes.size != sizeof ret_id->v)
        return STEAD_ECORRUPT;
    memcpy(ret_id->v, bytes.data, sizeof ret_id->v);
    return 0;
}

/* An array of texts of at most `size_max` bytes; nil becomes NULL where `nil_allowed`. Returned even after a failure: free_texts(). */
static int get_texts(struct stead_slice value, const char *field, uint32_t count_max, size_t size_max, bool nil_allowed,
                     char ***ret_texts, uint32_t *ret_count)
{
    struct stead_slice array, text;
    uint32_t count;
    if (stead_get_value(value, field, &array) != 0)
        return STEAD_ECORRUPT;
    struct stead_reader reader = stead_reader(array);
    if (stead_read_array(&reader, &count) != 0 || count > count_max)
        return STEAD_ECORRUPT;
    *ret_texts = count ? stead_alloc_zero(count * sizeof **ret_texts) : NULL;
    *ret_count = count;
    for (uint32_t i = 0; i < count; i++) {
        if (nil_allowed && stead_peek(&reader) == STEAD_NIL) {
            if (stead_read_nil(&reader) != 0)
                return STEAD_ECORRUPT;
            continue;
        }
        if (stead_read_str(&reader, &text) != 0 || text.size > size_max || memchr(text.data, 0, text.size) != NULL)
            return STEAD_ECORRUPT;
        (*ret_texts)[i] = stead_alloc_zero(text.size + 1);
        memcpy((*ret_texts)[i], text.data, text.size);
    }
    return 0;
}

static int restore_meta(struct stead_coordinator *c, struct stead_slice value)
{
    uint64_t format, expected, node, shard;
    char **needs = NULL;
    uint32_t count = 0;
    if (get_number(value, "v", UINT64_MAX, &format) != 0)
        return STEAD_ECORRUPT;
    if (format != STEAD_COORDINATOR_FORMAT)
        return STEAD_EVERSION;
    if (get_id(value, "cluster", &c->cluster) != 0 || get_number(value, "expected", STEAD_NODES_MAX, &expected) != 0 ||
        expected == 0 || stead_get_bool(value, "formed", &c->formed) != 0 ||
        get_number(value, "version", UINT64_MAX - 1, &c->version) != 0 || c->version == 0 ||
        get_number(value, "node", UINT32_MAX, &node) != 0 || get_number(value, "shard", UINT32_MAX, &shard) != 0)
        return STEAD_ECORRUPT;
    int code = get_texts(value, "needs", STEAD_GROUPS, STEAD_COORDINATOR_LABEL_MAX, true, &needs, &count);
    if (code == 0 && count != STEAD_GROUPS)
        code = STEAD_ECORRUPT;
    if (code != 0) {
        free_texts(&needs, &count);
        return code;
    }
    for (uint32_t i = 0; i < STEAD_GROUPS; i++) {
        free(c->group_needs[i]);
        c->group_needs[i] = needs[i];
    }
    free(needs);
    c->nodes_expected = (uint32_t)expected;
    c->next_node = (uint32_t)node;
    c->next_shard = (uint32_t)shard;
    return 0;
}

static int restore_node(struct stead_coordinator *c, uint32_t id, struct stead_slice value)
{
    uint64_t shards_per_reactor;
    if (id == 0 || c->node_count == STEAD_NODES_MAX || stead_coordinator_node_find(c, id) != NULL)
        return STEAD_ECORRUPT;
    struct stead_coordinator_node *node = stead_coordinator_node_add(c, id);
    if (stead_get_text(value, "name", node->name, sizeof node->name) != 0 ||
        get_id(value, "identity", &node->identity) != 0 || get_id(value, "start", &node->start) != 0 ||
        get_number(value, "incarnation", UINT64_MAX - 1, &node->incarnation) != 0 ||
        stead_get_bool(value, "alive", &node->alive) != 0 ||
        get_number(value, "spr", STEAD_COORDINATOR_SHARDS_PER_REACTOR_MAX, &shards_per_reactor) != 0 ||
        get_texts(value, "labels", STEAD_LABELS_MAX, STEAD_COORDINATOR_LABEL_MAX, false, &node->labels,
                  &node->label_count) != 0 ||
        get_texts(value, "endpoints", STEAD_REACTORS_MAX, STEAD_COORDINATOR_ENDPOINT_MAX, false, &node->endpoints,
                  &node->endpoint_count) != 0)
        return STEAD_ECORRUPT;
    node->shards_per_reactor = (uint32_t)shards_per_reactor;
    return 0;
}

static int restore_shard(struct stead_coordinator *c, uint32_t id, struct stead_slice value)
{
    uint64_t node, reactor, group, first, count;
    if (id == 0 || c->shard_count == STEAD_SHARDS_MAX || stead_coordinator_shard_find(c, id) != NULL)
        return STEAD_ECORRUPT;
    struct stead_coordinator_shard *shard = stead_coordinator_shard_add(c, id);
    if (get_number(value, "epoch", UINT64_MAX - 1, &shard->epoch) != 0 ||
        get_number(value, "node", UINT32_MAX, &node) != 0 ||
        get_number(value, "incarnation", UINT64_MAX - 1, &shard->incarnation) != 0 ||
        get_number(value, "reactor", STEAD_REACTORS_MAX - 1, &reactor) != 0 ||
        get_number(value, "group", STEAD_GROUP_ENDPOINTS - 1, &group) != 0 ||
        get_number(value, "first", STEAD_SLOTS_PER_GROUP - 1, &first) != 0 ||
        get_number(value, "count", STEAD_SLOTS_PER_GROUP, &count) != 0)
        return STEAD_ECORRUPT;
    shard->node = (uint32_t)node;
    shard->reactor = (uint16_t)reactor;
    shard->group = (uint8_t)group;
    shard->first = (uint16_t)first;
    shard->count = (uint16_t)count;
    return 0;
}

static int restore_kind(struct stead_coordinator *c, struct stead_slice name, struct stead_slice value)
{
    char text[STEAD_KIND_NAME_MAX + 1], needs[STEAD_COORDINATOR_LABEL_MAX + 1];
    uint64_t group, durability;
    if (!stead_name_check(name, STEAD_KIND_NAME_MAX) || c->kind_count == STEAD_KINDS_MAX)
        return STEAD_ECORRUPT;
    memcpy(text, name.data, name.size);
    text[name.size] = 0;
    int has_needs = stead_get_text(value, "needs", needs, sizeof needs);
    if (stead_coordinator_kind_find(c, text) != NULL || (has_needs != 0 && has_needs != STEAD_ENOTFOUND) ||
        get_number(value, "group", STEAD_GROUP_ENDPOINTS - 1, &group) != 0 ||
        get_number(value, "durability", STEAD_STATELESS, &durability) != 0)
        return STEAD_ECORRUPT;
    struct stead_coordinator_kind *kind = stead_coordinator_kind_add(c, text);
    kind->group = (uint8_t)group;
    kind->durability = (uint8_t)durability;
    kind->needs = has_needs == 0 ? stead_text_copy(needs) : NULL;
    return 0;
}

int stead_coordinator_restore(struct stead_coordinator *c, struct stead_slice key, struct stead_slice value)
{
    STEAD_ASSERT(!c->restored);
    if (key.size == 0 || stead_value_check(value) != 0)
        return STEAD_ECORRUPT;
    if (key.data[0] == 'k')
        return restore_kind(c, stead_bytes(key.data + 1, key.size - 1), value);
    if (key.data[0] == 'm' && key.size == 1)
        return restore_meta(c, value);
    if (key.size != 5)
        return STEAD_ECORRUPT;
    uint32_t id = (uint32_t)key.data[1] << 24 | (uint32_t)key.data[2] << 16 | (uint32_t)key.data[3] << 8 | key.data[4];
    if (key.data[0] == 'n')
        return restore_node(c, id, value);
    if (key.data[0] == 's')
        return restore_shard(c, id, value);
    return STEAD_ECORRUPT;
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
