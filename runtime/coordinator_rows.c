/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator_rows: the state as rows, and back.
 *
 * A row holds the whole of one thing under its id or name, so rows can be read back in any order. Bytes that come back
 * are checked here one by one (types, ranges, limits) and then together by stead_coordinator_verify(): a row that
 * contradicts another must not become two owners of a slot later. The key layout and the values are in
 * coordinator_state.h and docs/FORMATS.md.
 */
#include "runtime/coordinator_state.h"

#include <stdlib.h>

#include "runtime/address.h"
#include "runtime/base.h"
#include "runtime/entry.h"

/* ---- Writing -------------------------------------------------------------------------- */

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

static void free_texts(char ***texts, uint32_t *count)
{
    for (uint32_t i = 0; i < *count; i++)
        free((*texts)[i]);
    free(*texts);
    *texts = NULL;
    *count = 0;
}

/* ---- Reading back --------------------------------------------------------------------- */

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

/* An array of texts of at most `size_max` bytes; nil becomes NULL where `nil_allowed`. Returned even after a failure:
 * free_texts(). */
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
