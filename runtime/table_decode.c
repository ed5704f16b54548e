/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table_decode: a table from bytes that a stranger may have made.
 *
 * Each part is read with a cursor that cannot leave the bytes, and handed to a builder, which refuses bad values.
 * Elements may carry more fields than are known here: those are skipped, so a newer coordinator can add some. Every
 * loop is bounded by the bytes that are there or by a limit of table.h, whichever is lower: an array that claims more
 * elements is refused first.
 */
#include "runtime/base.h"
#include "runtime/table_builder.h"

#define TABLE_FORMAT 1u
#define LABEL_SIZE_MAX 64u /* with its zero, as the next; the builder checks the contents */
#define ENDPOINT_SIZE_MAX 256u
#define RUNS_MAX STEAD_SLOTS

/* Reads one part's element; false: malformed. */
typedef bool read_element_fn(struct stead_reader *reader, uint32_t fields, struct stead_table_builder *builder,
                             uint64_t *previous);

static bool read_number(struct stead_reader *reader, uint64_t max, uint64_t *ret_number)
{
    return stead_read_u64(reader, ret_number) == 0 && *ret_number <= max;
}

static bool read_text(struct stead_reader *reader, char *ret_text, size_t size_max)
{
    struct stead_slice text;

    if (stead_read_str(reader, &text) != 0 || text.size >= size_max || memchr(text.data, 0, text.size) != NULL)
        return false;
    memcpy(ret_text, text.data, text.size);
    ret_text[text.size] = '\0';
    return true;
}

static bool skip_fields(struct stead_reader *reader, uint32_t count)
{
    for (; count > 0; count--)
        if (stead_read_skip(reader) != 0)
            return false;
    return true;
}

/* An optional label: `*ret_label` is NULL or `memory`. */
static bool read_label(struct stead_reader *reader, char *memory, const char **ret_label)
{
    if (stead_peek(reader) == STEAD_NIL) {
        *ret_label = NULL;
        return stead_read_nil(reader) == 0;
    }
    *ret_label = memory;
    return read_text(reader, memory, LABEL_SIZE_MAX);
}

/* A list of texts into `count_max` cells of `size_max` bytes each. */
static bool read_texts(struct stead_reader *reader, char *cells, size_t size_max, uint32_t count_max,
                       const char **ret_texts, uint32_t *ret_count)
{
    uint32_t count;

    if (stead_read_array(reader, &count) != 0 || count > count_max)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        char *cell = cells + (size_t)i * size_max;

        if (!read_text(reader, cell, size_max))
            return false;
        ret_texts[i] = cell;
    }
    *ret_count = count;
    return true;
}

static bool read_node(struct stead_reader *reader, uint32_t fields, struct stead_table_builder *builder,
                      uint64_t *previous)
{
    char labels[STEAD_LABELS_MAX][LABEL_SIZE_MAX], endpoints[STEAD_REACTORS_MAX][ENDPOINT_SIZE_MAX];
    const char *label_texts[STEAD_LABELS_MAX], *endpoint_texts[STEAD_REACTORS_MAX];
    struct stead_table_node node = {.labels = label_texts, .endpoints = endpoint_texts};
    uint64_t id;

    if (fields < 6 || !read_number(reader, UINT32_MAX, &id) || id <= *previous ||
        !read_number(reader, UINT64_MAX, &node.incarnation) || !read_text(reader, node.name, sizeof(node.name)) ||
        stead_read_bool(reader, &node.alive) != 0 ||
        !read_texts(reader, labels[0], LABEL_SIZE_MAX, STEAD_LABELS_MAX, label_texts, &node.label_count) ||
        !read_texts(reader, endpoints[0], ENDPOINT_SIZE_MAX, STEAD_REACTORS_MAX, endpoint_texts, &node.reactor_count))
        return false;
    *previous = id;
    node.id = (uint32_t)id;
    return skip_fields(reader, fields - 6) && stead_table_builder_put_node(builder, &node) == 0;
}

static bool read_shard(struct stead_reader *reader, uint32_t fields, struct stead_table_builder *builder,
                       uint64_t *previous)
{
    struct stead_table_shard shard;
    uint64_t id, node, reactor, group;

    if (fields < 6 || !read_number(reader, UINT32_MAX, &id) || id <= *previous ||
        !read_number(reader, UINT64_MAX, &shard.epoch) || !read_number(reader, UINT32_MAX, &node) ||
        !read_number(reader, UINT64_MAX, &shard.incarnation) || !read_number(reader, UINT16_MAX, &reactor) ||
        !read_number(reader, UINT8_MAX, &group))
        return false;
    *previous = id;
    shard.id = (uint32_t)id;
    shard.node = (uint32_t)node;
    shard.reactor = (uint16_t)reactor;
    shard.group = (uint8_t)group;
    return skip_fields(reader, fields - 6) && stead_table_builder_put_shard(builder, &shard) == 0;
}

static bool read_kind(struct stead_reader *reader, uint32_t fields, struct stead_table_builder *builder,
                      uint64_t *previous)
{
    char needs[LABEL_SIZE_MAX];
    struct stead_table_kind kind = {.needs = NULL};
    uint64_t group, durability;

    (void)previous; /* a name that comes twice is found right here */
    if (fields < 4 || !read_text(reader, kind.name, sizeof(kind.name)) ||
        stead_table_builder_kind(builder, kind.name) != NULL || !read_number(reader, UINT8_MAX, &group) ||
        !read_number(reader, UINT8_MAX, &durability) || !read_label(reader, needs, &kind.needs))
        return false;
    kind.group = (uint8_t)group;
    kind.durability = (uint8_t)durability;
    return skip_fields(reader, fields - 4) && stead_table_builder_put_kind(builder, &kind) == 0;
}

/* A run; `*previous` counts the slots covered so far. */
static bool read_run(struct stead_reader *reader, uint32_t fields, struct stead_table_builder *builder,
                     uint64_t *previous)
{
    uint64_t count, shard;

    if (fields < 2 || !read_number(reader, STEAD_SLOTS - *previous, &count) || count == 0 ||
        !read_number(reader, UINT32_MAX, &shard))
        return false;
    if (shard != 0 && stead_table_builder_put_slots(builder, (stead_slot){(uint16_t)*previous}, (uint32_t)count,
                                                    (uint32_t)shard) != 0)
        return false;
    *previous += count;
    return skip_fields(reader, fields - 2);
}

/* The list `name` of `table`: at most `count_max` elements, each an array. */
static bool read_list(struct stead_slice table, const char *name, uint32_t count_max, read_element_fn *read_element,
                      struct stead_table_builder *builder, uint64_t *previous)
{
    struct stead_slice list;
    struct stead_reader reader;
    uint32_t count, fields;

    if (stead_get_value(table, name, &list) != 0)
        return false;
    reader = stead_reader(list);
    if (stead_read_array(&reader, &count) != 0 || count > count_max)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (stead_read_array(&reader, &fields) != 0 || !read_element(&reader, fields, builder, previous))
            return false;
    return true;
}

static bool read_groups(struct stead_slice table, struct stead_table_builder *builder)
{
    struct stead_slice list;
    struct stead_reader reader;
    uint32_t count;

    if (stead_get_value(table, "groups", &list) != 0)
        return false;
    reader = stead_reader(list);
    if (stead_read_array(&reader, &count) != 0 || count != STEAD_GROUPS)
        return false;
    for (unsigned group = 0; group < STEAD_GROUPS; group++) {
        char memory[LABEL_SIZE_MAX];
        const char *label;

        if (!read_label(&reader, memory, &label))
            return false;
        if (label != NULL && stead_table_builder_set_needs(builder, group, label) != 0)
            return false;
    }
    return true;
}

static bool read_head(struct stead_slice table, struct stead_table_builder *builder, uint64_t *ret_version)
{
    uint64_t format, expected;
    struct stead_slice cluster;
    struct stead_id id;
    bool formed;

    if (stead_get_u64(table, "v", &format) != 0 || format != TABLE_FORMAT ||
        stead_get_u64(table, "version", ret_version) != 0 || stead_get_bin(table, "cluster", &cluster) != 0 ||
        cluster.size != sizeof(id.v) || stead_get_bool(table, "formed", &formed) != 0 ||
        stead_get_u64(table, "expected", &expected) != 0 || expected > STEAD_NODES_MAX)
        return false;
    memcpy(id.v, cluster.data, sizeof(id.v));
    stead_table_builder_set_cluster(builder, id);
    stead_table_builder_set_formed(builder, formed, (uint32_t)expected);
    return true;
}

int stead_table_decode(struct stead_slice bytes, struct stead_table **ret_table)
{
    struct stead_table_builder *builder;
    uint64_t version, node = 0, shard = 0, kind = 0, covered = 0;
    bool whole;

    if (bytes.size == 0 || stead_value_check(bytes) != 0)
        return STEAD_ECORRUPT;
    builder = stead_table_builder_create(NULL);
    whole = read_head(bytes, builder, &version) && read_groups(bytes, builder) &&
            read_list(bytes, "nodes", STEAD_NODES_MAX, read_node, builder, &node) &&
            read_list(bytes, "shards", STEAD_SHARDS_MAX, read_shard, builder, &shard) &&
            read_list(bytes, "kinds", STEAD_KINDS_MAX, read_kind, builder, &kind) &&
            read_list(bytes, "slots", RUNS_MAX, read_run, builder, &covered) && covered == STEAD_SLOTS;
    if (whole)
        *ret_table = stead_table_builder_build(builder, version);
    stead_table_builder_destroy(&builder);
    return whole ? 0 : STEAD_ECORRUPT;
}
