/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the coordinator share: one with its disk, and the commands that nodes send. Included after
 * cmocka.h, by one file a program. */
#ifndef STEAD_TESTS_COORDINATOR_WORLD_H
#define STEAD_TESTS_COORDINATOR_WORLD_H

#include <stdlib.h>

#include "runtime/base.h"
#include "runtime/coordinator.h"
#include "runtime/entry.h"

#define ROWS_MAX 8192

/* ---- A disk and a coordinator on it ---------------------------------------------------------- */

struct row {
    uint8_t *key, *value;
    size_t key_size, value_size;
};

struct world {
    struct row rows[ROWS_MAX]; /* the disk */
    uint32_t row_count;
    struct stead_coordinator *coordinator;
    struct stead_coordinator_effects effects; /* of the last step */
    uint64_t now_ms;
};

static inline uint8_t *copy_of(struct stead_slice bytes)
{
    uint8_t *copy = stead_alloc(bytes.size + 1);
    memcpy(copy, bytes.data, bytes.size);
    return copy;
}

static inline struct row *find_row(struct world *w, struct stead_slice key)
{
    for (uint32_t i = 0; i < w->row_count; i++)
        if (stead_slice_equal(stead_bytes(w->rows[i].key, w->rows[i].key_size), key))
            return &w->rows[i];
    return NULL;
}

static inline void drop_row(struct world *w, struct row *row)
{
    free(row->key);
    free(row->value);
    *row = w->rows[--w->row_count];
}

static inline void store(struct world *w)
{
    struct stead_slice mutations = stead_written(&w->effects.rows);
    struct stead_mutation m;
    int more;
    while ((more = stead_entry_next_mutation(&mutations, &m)) == 1) {
        struct row *old = find_row(w, m.key);
        if (old)
            drop_row(w, old);
        if (m.type != STEAD_MUTATION_PUT)
            continue;
        assert_true(w->row_count < ROWS_MAX);
        w->rows[w->row_count++] = (struct row){copy_of(m.key), copy_of(m.value), m.key.size, m.value.size};
    }
    assert_int_equal(more, 0);
}

static inline void start(struct world *w, uint32_t nodes_expected)
{
    struct stead_coordinator_options options = {.cluster = {{7}}, .nodes_expected = nodes_expected};
    w->coordinator = stead_coordinator_create(&options);
    for (uint32_t i = w->row_count; i-- > 0;)
        assert_int_equal(stead_coordinator_restore(w->coordinator, stead_bytes(w->rows[i].key, w->rows[i].key_size),
                                                   stead_bytes(w->rows[i].value, w->rows[i].value_size)),
                         0);
    assert_int_equal(stead_coordinator_restored(w->coordinator, w->now_ms, &w->effects), 0);
    store(w);
    stead_coordinator_check(w->coordinator);
}

static inline struct world *make_world(uint32_t nodes_expected)
{
    struct world *w = stead_alloc_zero(sizeof *w);
    w->now_ms = 1000;
    stead_writer_init(&w->effects.rows);
    start(w, nodes_expected);
    return w;
}

static inline void end_world(struct world *w)
{
    while (w->row_count > 0)
        drop_row(w, &w->rows[0]);
    stead_coordinator_destroy(&w->coordinator);
    stead_writer_deinit(&w->effects.rows);
    free(w);
}

static inline int step(struct world *w, const struct stead_coordinator_command *command)
{
    uint64_t version = stead_coordinator_table(w->coordinator)->version;
    stead_coordinator_step(w->coordinator, command, w->now_ms, &w->effects);
    stead_coordinator_check(w->coordinator);
    store(w);
    bool changed = w->effects.rows.size > 0;
    assert_true(changed == w->effects.table_changed);
    assert_int_equal(stead_coordinator_table(w->coordinator)->version, version + changed);
    assert_true(!changed || w->effects.status == 0);
    assert_true((w->effects.status != 0) == (w->effects.why[0] != 0));
    return w->effects.status;
}

static const struct stead_table *table_of(struct world *w)
{
    return stead_coordinator_table(w->coordinator);
}

/* ---- Commands -------------------------------------------------------------------------------- */

static const char *const two_endpoints[] = {"tcp://127.0.0.1:7400", "tcp://127.0.0.1:7401", "tcp://127.0.0.1:7402",
                                            "tcp://127.0.0.1:7403"};
static const char *const gpu_label[] = {"gpu"};

static inline struct stead_node_registration node_named(const char *name, uint8_t identity, uint8_t start_token)
{
    return (struct stead_node_registration){.name = name,
                                            .identity = {{identity}},
                                            .start = {{start_token, identity, 1}},
                                            .endpoint_count = 2,
                                            .endpoints = two_endpoints,
                                            .shards_per_reactor = 4};
}

static inline int enrol(struct world *w, const struct stead_node_registration *registration)
{
    struct stead_coordinator_command command = {.op = STEAD_COORDINATOR_REGISTER, .registration = registration};
    return step(w, &command);
}

static inline int claim_all(struct world *w, uint32_t node, uint64_t incarnation)
{
    const struct stead_table *table = table_of(w);
    struct stead_shard_claim claims[STEAD_SHARDS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < table->shard_count; i++)
        if (table->shards[i].node == node)
            claims[count++] =
                (struct stead_shard_claim){table->shards[i].id, table->shards[i].epoch, table->shards[i].reactor};
    struct stead_coordinator_command command = {.op = STEAD_COORDINATOR_CLAIM,
                                                .node = node,
                                                .incarnation = incarnation,
                                                .claims = claims,
                                                .claim_count = count};
    return step(w, &command);
}

static inline int claim_one(struct world *w, uint32_t node, uint64_t incarnation, uint32_t shard, uint64_t epoch,
                            uint16_t reactor)
{
    struct stead_shard_claim claim = {shard, epoch, reactor};
    struct stead_coordinator_command command = {
        .op = STEAD_COORDINATOR_CLAIM, .node = node, .incarnation = incarnation, .claims = &claim, .claim_count = 1};
    return step(w, &command);
}

static inline int say(struct world *w, enum stead_coordinator_op op, uint32_t node, uint64_t incarnation)
{
    struct stead_coordinator_command command = {.op = op, .node = node, .incarnation = incarnation};
    return step(w, &command);
}

static inline uint32_t slots_of(const struct stead_table *table, uint32_t node, unsigned group)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < STEAD_SLOTS_PER_GROUP; i++) {
        stead_slot slot = {(uint16_t)(group * STEAD_SLOTS_PER_GROUP + i)};
        const struct stead_table_shard *shard = stead_table_shard_of(table, slot);
        count += shard != NULL && shard->node == node;
    }
    return count;
}

/* One node, registered: the cluster is formed and everything is its own. */
static inline struct world *world_of_one(void)
{
    struct world *w = make_world(1);
    struct stead_node_registration n1 = node_named("n1", 1, 1);
    assert_int_equal(enrol(w, &n1), 0);
    return w;
}

#endif
