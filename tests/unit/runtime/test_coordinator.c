/* SPDX-License-Identifier: Apache-2.0 */
/* The coordinator as a specification: who gets which id, slots and epoch; what is refused; and that a restart changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

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

static uint8_t *copy_of(struct stead_slice bytes)
{
    uint8_t *copy = stead_alloc(bytes.size + 1);
    memcpy(copy, bytes.data, bytes.size);
    return copy;
}

static struct row *find_row(struct world *w, struct stead_slice key)
{
    for (uint32_t i = 0; i < w->row_count; i++)
        if (stead_slice_equal(stead_bytes(w->rows[i].key, w->rows[i].key_size), key))
            return &w->rows[i];
    return NULL;
}

static void drop_row(struct world *w, struct row *row)
{
    free(row->key);
    free(row->value);
    *row = w->rows[--w->row_count];
}

static void store(struct world *w)
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

static void start(struct world *w, uint32_t nodes_expected)
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

static struct world *make_world(uint32_t nodes_expected)
{
    struct world *w = stead_alloc_zero(sizeof *w);
    w->now_ms = 1000;
    stead_writer_init(&w->effects.rows);
    start(w, nodes_expected);
    return w;
}

static void end_world(struct world *w)
{
    while (w->row_count > 0)
        drop_row(w, &w->rows[0]);
    stead_coordinator_destroy(&w->coordinator);
    stead_writer_deinit(&w->effects.rows);
    free(w);
}

static int step(struct world *w, const struct stead_coordinator_command *command)
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

static struct stead_node_registration node_named(const char *name, uint8_t identity, uint8_t start_token)
{
    return (struct stead_node_registration){.name = name,
                                            .identity = {{identity}},
                                            .start = {{start_token, identity, 1}},
                                            .endpoint_count = 2,
                                            .endpoints = two_endpoints,
                                            .shards_per_reactor = 4};
}

static int enrol(struct world *w, const struct stead_node_registration *registration)
{
    struct stead_coordinator_command command = {.op = STEAD_COORDINATOR_REGISTER, .registration = registration};
    return step(w, &command);
}

static int claim_all(struct world *w, uint32_t node, uint64_t incarnation)
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

static int claim_one(struct world *w, uint32_t node, uint64_t incarnation, uint32_t shard, uint64_t epoch,
                     uint16_t reactor)
{
    struct stead_shard_claim claim = {shard, epoch, reactor};
    struct stead_coordinator_command command = {
        .op = STEAD_COORDINATOR_CLAIM, .node = node, .incarnation = incarnation, .claims = &claim, .claim_count = 1};
    return step(w, &command);
}

static int say(struct world *w, enum stead_coordinator_op op, uint32_t node, uint64_t incarnation)
{
    struct stead_coordinator_command command = {.op = op, .node = node, .incarnation = incarnation};
    return step(w, &command);
}

static uint32_t slots_of(const struct stead_table *table, uint32_t node, unsigned group)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < STEAD_SLOTS_PER_GROUP; i++) {
        stead_slot slot = {(uint16_t)(group * STEAD_SLOTS_PER_GROUP + i)};
        const struct stead_table_shard *shard = stead_table_shard_of(table, slot);
        count += shard != NULL && shard->node == node;
    }
    return count;
}

/* ---- Registration ---------------------------------------------------------------------------- */

static void test_register_new_node_gets_first_id_and_incarnation(void **state)
{
    (void)state;
    struct world *w = make_world(1);
    struct stead_node_registration n1 = node_named("n1", 1, 1);
    assert_int_equal(enrol(w, &n1), 0);
    assert_int_equal(w->effects.node, 1);
    assert_int_equal(w->effects.incarnation, 1);
    end_world(w);
}

static void test_register_same_identity_again_is_same_node_with_next_incarnation(void **state)
{
    (void)state;
    struct world *w = make_world(1);
    struct stead_node_registration first = node_named("n1", 1, 1), second = node_named("n1", 1, 2);
    assert_int_equal(enrol(w, &first), 0);
    assert_int_equal(enrol(w, &second), 0);
    assert_int_equal(w->effects.node, 1);
    assert_int_equal(w->effects.incarnation, 2);
    end_world(w);
}

static void test_register_repeated_start_is_not_a_second_start(void **state)
{
    (void)state;
    struct world *w = make_world(1);
    struct stead_node_registration n1 = node_named("n1", 1, 1);
    assert_int_equal(enrol(w, &n1), 0);
    assert_int_equal(enrol(w, &n1), 0);
    assert_int_equal(w->effects.node, 1);
    assert_int_equal(w->effects.incarnation, 1);
    assert_false(w->effects.table_changed);
    end_world(w);
}

static void test_register_name_of_live_node_is_refused(void **state)
{
    (void)state;
    struct world *w = make_world(2);
    struct stead_node_registration n1 = node_named("n1", 1, 1), thief = node_named("n1", 2, 1);
    assert_int_equal(enrol(w, &n1), 0);
    assert_int_equal(enrol(w, &thief), STEAD_EINUSE);
    assert_int_equal(table_of(w)->node_count, 1);
    end_world(w);
}

static void test_register_name_of_dead_node_with_shards_is_refused(void **state)
{
    (void)state;
    struct world *w = make_world(1);
    struct stead_node_registration n1 = node_named("n1", 1, 1), other = node_named("n1", 2, 1);
    assert_int_equal(enrol(w, &n1), 0);
    assert_int_equal(say(w, STEAD_COORDINATOR_LEAVE, 1, 1), 0);
    assert_int_equal(enrol(w, &other), STEAD_EINUSE);
    end_world(w);
}

static void test_register_name_of_dead_node_without_shards_takes_it_under_new_id(void **state)
{
    (void)state;
    struct world *w = make_world(2);
    struct stead_node_registration n1 = node_named("n1", 1, 1), other = node_named("n1", 2, 1);
    assert_int_equal(enrol(w, &n1), 0);
    assert_int_equal(say(w, STEAD_COORDINATOR_LEAVE, 1, 1), 0);
    assert_int_equal(enrol(w, &other), 0);
    assert_int_equal(w->effects.node, 2);
    assert_int_equal(table_of(w)->node_count, 1);
    end_world(w);
}

static void test_register_malformed_is_refused(void **state)
{
    (void)state;
    struct world *w = make_world(1);
    const char *const twins[] = {"tcp://127.0.0.1:1", "tcp://127.0.0.1:1"};
    const char *const odd[] = {"tcp://127.0.0.1:1 "};
    struct stead_node_registration bad[6];
    for (int i = 0; i < 6; i++)
        bad[i] = node_named("n1", 1, 1);
    bad[0].name = "n 1";
    bad[1].name = "";
    bad[2].endpoint_count = 0;
    bad[3].endpoints = twins;
    bad[4].endpoints = odd;
    bad[4].endpoint_count = 1;
    bad[5].shards_per_reactor = 0;
    for (int i = 0; i < 6; i++)
        assert_int_equal(enrol(w, &bad[i]), STEAD_EARGUMENT);
    assert_int_equal(table_of(w)->node_count, 0);
    end_world(w);
}

/* ---- Kinds ----------------------------------------------------------------------------------- */

static void test_kind_group_is_fixed_at_first_registration(void **state)
{
    (void)state;
    struct world *w = make_world(1);
    struct stead_kind_registration kinds[] = {{"counter", NULL, STEAD_DURABLE},
                                              {"model", "gpu", STEAD_DURABLE},
                                              {"render", "gpu", STEAD_VOLATILE},
                                              {"resize", "gpu", STEAD_STATELESS},
                                              {"vault", "hsm", STEAD_DURABLE}};
    struct stead_node_registration n1 = node_named("n1", 1, 1);
    n1.kinds = kinds;
    n1.kind_count = 5;
    assert_int_equal(enrol(w, &n1), 0);
    const struct stead_table *t = table_of(w);
    assert_int_equal(stead_table_kind_find(t, "counter", 7)->group, 0);
    assert_int_equal(stead_table_kind_find(t, "model", 5)->group, 1);
    assert_int_equal(stead_table_kind_find(t, "render", 6)->group, 1);
    assert_int_equal(stead_table_kind_find(t, "resize", 6)->group, 0);
    assert_string_equal(stead_table_kind_find(t, "resize", 6)->needs, "gpu");
    assert_int_equal(stead_table_kind_find(t, "vault", 5)->group, 2);
    assert_string_equal(t->group_needs[2], "hsm");
    end_world(w);
}

static void test_kind_with_other_needs_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    struct world *w = make_world(2);
    struct stead_kind_registration first = {"model", "gpu", STEAD_DURABLE};
    struct stead_kind_registration second[] = {{"fresh", NULL, STEAD_DURABLE}, {"model", NULL, STEAD_DURABLE}};
    struct stead_node_registration n1 = node_named("n1", 1, 1), n2 = node_named("n2", 2, 1);
    n1.kinds = &first;
    n1.kind_count = 1;
    n2.kinds = second;
    n2.kind_count = 2;
    assert_int_equal(enrol(w, &n1), 0);
    assert_int_equal(enrol(w, &n2), STEAD_ECONFLICT);
    assert_null(stead_table_kind_find(table_of(w), "fresh", 5));
    assert_int_equal(table_of(w)->node_count, 1);
    end_world(w);
}

static void test_kind_labels_beyond_the_groups_are_refused(void **state)
{
    (void)state;
    struct world *w = make_world(1);
    struct stead_kind_registration kinds[15];
    char names[15][16];
    for (int i = 0; i < 15; i++) {
        snprintf(names[i], sizeof names[i], "k%d", i);
        kinds[i] = (struct stead_kind_registration){names[i], names[i], STEAD_DURABLE};
    }
    struct stead_node_registration n1 = node_named("n1", 1, 1);
    n1.kinds = kinds;
    n1.kind_count = 15;
    assert_int_equal(enrol(w, &n1), STEAD_ELIMIT);
    n1.kind_count = 14;
    assert_int_equal(enrol(w, &n1), 0);
    end_world(w);
}

/* ---- Forming --------------------------------------------------------------------------------- */

static void test_cluster_of_three_forms_with_the_third_node_in_even_shares(void **state)
{
    (void)state;
    struct world *w = make_world(3);
    struct stead_node_registration n1 = node_named("n1", 1, 1), n2 = node_named("n2", 2, 1),
                                   n3 = node_named("n3", 3, 1);
    assert_int_equal(enrol(w, &n1), 0);
    assert_int_equal(enrol(w, &n2), 0);
    assert_false(table_of(w)->formed);
    assert_int_equal(table_of(w)->shard_count, 0);
    assert_int_equal(enrol(w, &n3), 0);
    assert_true(table_of(w)->formed);
    assert_int_equal(table_of(w)->shard_count, 3 * 2 * 4);
    uint32_t sum = 0;
    for (uint32_t node = 1; node <= 3; node++) {
        uint32_t slots = slots_of(table_of(w), node, 0);
        assert_in_range(slots, 4096 / 3 - 1, 4096 / 3 + 1);
        sum += slots;
    }
    assert_int_equal(sum, 4096);
    end_world(w);
}

static void test_cluster_does_not_form_while_a_registered_node_is_dead(void **state)
{
    (void)state;
    struct world *w = make_world(2);
    struct stead_node_registration n1 = node_named("n1", 1, 1), n2 = node_named("n2", 2, 1);
    assert_int_equal(enrol(w, &n1), 0);
    assert_int_equal(say(w, STEAD_COORDINATOR_LEAVE, 1, 1), 0);
    assert_int_equal(enrol(w, &n2), 0);
    assert_false(table_of(w)->formed);
    assert_int_equal(say(w, STEAD_COORDINATOR_BEAT, 1, 1), 0);
    assert_true(table_of(w)->formed);
    end_world(w);
}

static void test_named_group_waits_for_a_node_with_its_label(void **state)
{
    (void)state;
    struct world *w = make_world(1);
    struct stead_kind_registration model = {"model", "gpu", STEAD_DURABLE};
    struct stead_node_registration n1 = node_named("n1", 1, 1), n2 = node_named("n2", 2, 1);
    n1.kinds = &model;
    n1.kind_count = 1;
    n2.labels = gpu_label;
    n2.label_count = 1;
    assert_int_equal(enrol(w, &n1), 0);
    assert_int_equal(slots_of(table_of(w), 1, 0), 4096);
    assert_int_equal(slots_of(table_of(w), 1, 1), 0);
    assert_int_equal(enrol(w, &n2), 0);
    assert_int_equal(slots_of(table_of(w), 2, 1), 4096);
    assert_int_equal(slots_of(table_of(w), 2, 0), 0);
    end_world(w);
}

static void test_form_with_more_reactors_than_shards_still_covers_every_slot_once(void **state)
{
    (void)state;
    struct world *w = make_world(40);
    char endpoints[STEAD_REACTORS_MAX][32];
    const char *list[STEAD_REACTORS_MAX];
    for (unsigned i = 0; i < STEAD_REACTORS_MAX; i++) {
        snprintf(endpoints[i], sizeof endpoints[i], "tcp://127.0.0.1:%u", 1000 + i);
        list[i] = endpoints[i];
    }
    for (unsigned i = 1; i <= 40; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%u", i);
        struct stead_node_registration node = node_named(name, (uint8_t)i, 1);
        node.endpoints = list;
        node.endpoint_count = STEAD_REACTORS_MAX;
        assert_int_equal(enrol(w, &node), 0);
    }
    uint32_t sum = 0;
    for (uint32_t node = 1; node <= 40; node++) {
        uint32_t slots = slots_of(table_of(w), node, 0);
        assert_in_range(slots, 4096 / 40 - 3, 4096 / 40 + 3);
        sum += slots;
    }
    assert_int_equal(sum, 4096);
    assert_true(table_of(w)->shard_count <= STEAD_SHARDS_MAX);
    end_world(w);
}

/* ---- Claims ---------------------------------------------------------------------------------- */

static struct world *world_of_one(void)
{
    struct world *w = make_world(1);
    struct stead_node_registration n1 = node_named("n1", 1, 1);
    assert_int_equal(enrol(w, &n1), 0);
    return w;
}

static void test_claim_raises_the_epoch_by_one_and_names_the_incarnation(void **state)
{
    (void)state;
    struct world *w = world_of_one();
    struct stead_node_registration again = node_named("n1", 1, 2);
    assert_int_equal(enrol(w, &again), 0);
    assert_int_equal(claim_one(w, 1, 2, 1, 1, 1), 0);
    const struct stead_table_shard *shard = stead_table_shard_find(table_of(w), 1);
    assert_int_equal(shard->epoch, 2);
    assert_int_equal(shard->incarnation, 2);
    assert_int_equal(shard->reactor, 1);
    end_world(w);
}

static void test_claim_repeated_after_lost_answer_is_done_once(void **state)
{
    (void)state;
    struct world *w = world_of_one();
    assert_int_equal(claim_one(w, 1, 1, 1, 1, 0), 0);
    assert_int_equal(claim_one(w, 1, 1, 1, 1, 0), 0);
    assert_false(w->effects.table_changed);
    assert_int_equal(stead_table_shard_find(table_of(w), 1)->epoch, 2);
    end_world(w);
}

static void test_claim_with_wrong_epoch_conflicts(void **state)
{
    (void)state;
    struct world *w = world_of_one();
    assert_int_equal(claim_one(w, 1, 1, 1, 5, 0), STEAD_ECONFLICT);
    assert_int_equal(claim_one(w, 1, 1, 1, 0, 1), STEAD_ECONFLICT);
    end_world(w);
}

static void test_claim_of_old_incarnation_is_fenced(void **state)
{
    (void)state;
    struct world *w = world_of_one();
    struct stead_node_registration again = node_named("n1", 1, 2);
    assert_int_equal(enrol(w, &again), 0);
    assert_int_equal(claim_one(w, 1, 1, 1, 1, 0), STEAD_ESTATE);
    assert_int_equal(say(w, STEAD_COORDINATOR_BEAT, 1, 1), STEAD_ESTATE);
    assert_int_equal(say(w, STEAD_COORDINATOR_LEAVE, 1, 1), STEAD_ESTATE);
    end_world(w);
}

static void test_claim_of_another_nodes_shard_is_refused(void **state)
{
    (void)state;
    struct world *w = world_of_one();
    struct stead_node_registration n2 = node_named("n2", 2, 1);
    assert_int_equal(enrol(w, &n2), 0);
    assert_int_equal(claim_one(w, 2, 1, 1, 1, 0), STEAD_ENOTOWNER);
    assert_int_equal(claim_one(w, 1, 1, 99, 1, 0), STEAD_ENOTFOUND);
    assert_int_equal(claim_one(w, 1, 1, 1, 1, 9), STEAD_EARGUMENT);
    end_world(w);
}

static void test_claims_are_carried_out_all_or_none(void **state)
{
    (void)state;
    struct world *w = world_of_one();
    struct stead_shard_claim claims[] = {{1, 1, 0}, {2, 7, 0}, {3, 1, 0}};
    struct stead_coordinator_command command = {
        .op = STEAD_COORDINATOR_CLAIM, .node = 1, .incarnation = 1, .claims = claims, .claim_count = 3};
    assert_int_equal(step(w, &command), STEAD_ECONFLICT);
    assert_int_equal(stead_table_shard_find(table_of(w), 1)->epoch, 1);
    end_world(w);
}

static void test_claim_of_one_shard_twice_in_a_list_raises_it_once(void **state)
{
    (void)state;
    struct world *w = world_of_one();
    struct stead_shard_claim claims[] = {{1, 1, 0}, {1, 1, 1}};
    struct stead_coordinator_command command = {
        .op = STEAD_COORDINATOR_CLAIM, .node = 1, .incarnation = 1, .claims = claims, .claim_count = 2};
    assert_int_equal(step(w, &command), 0);
    assert_int_equal(stead_table_shard_find(table_of(w), 1)->epoch, 2);
    end_world(w);
}

static void test_register_with_fewer_reactors_pulls_shards_in_under_a_new_epoch(void **state)
{
    (void)state;
    struct world *w = world_of_one();
    struct stead_node_registration again = node_named("n1", 1, 2);
    again.endpoint_count = 1;
    assert_int_equal(enrol(w, &again), 0);
    for (uint32_t i = 0; i < table_of(w)->shard_count; i++) {
        const struct stead_table_shard *shard = &table_of(w)->shards[i];
        assert_int_equal(shard->reactor, 0);
        assert_int_equal(shard->epoch, 1 + (shard->id % 2 == 0));
    }
    assert_int_equal(claim_all(w, 1, 2), 0);
    end_world(w);
}

/* ---- Alive ----------------------------------------------------------------------------------- */

static bool is_alive(struct world *w, uint32_t node)
{
    return stead_table_node_find(table_of(w), node)->alive;
}

static void tick_for(struct world *w, uint64_t ms, bool beating)
{
    for (uint64_t end = w->now_ms + ms; w->now_ms < end;) {
        w->now_ms += 1000;
        if (beating)
            assert_int_equal(say(w, STEAD_COORDINATOR_BEAT, 1, 1), 0);
        assert_int_equal(say(w, STEAD_COORDINATOR_TICK, 0, 0), 0);
    }
}

static void test_silent_node_is_shown_as_dead_and_comes_back_with_a_beat(void **state)
{
    (void)state;
    struct world *w = world_of_one();
    tick_for(w, 10000, true);
    assert_true(is_alive(w, 1));
    tick_for(w, 2000, false);
    assert_true(is_alive(w, 1));
    tick_for(w, 2000, false);
    assert_false(is_alive(w, 1));
    assert_int_equal(say(w, STEAD_COORDINATOR_BEAT, 1, 1), 0);
    assert_true(is_alive(w, 1));
    end_world(w);
}

static void test_late_coordinator_accuses_nobody(void **state)
{
    (void)state;
    struct world *w = world_of_one();
    w->now_ms += 60000; /* it was stopped for a minute; the heartbeats lie unread */
    assert_int_equal(say(w, STEAD_COORDINATOR_TICK, 0, 0), 0);
    assert_true(is_alive(w, 1));
    end_world(w);
}

static void test_steady_heartbeats_write_nothing(void **state)
{
    (void)state;
    struct world *w = world_of_one();
    for (int i = 0; i < 100; i++) {
        w->now_ms += 1000;
        assert_int_equal(say(w, STEAD_COORDINATOR_BEAT, 1, 1), 0);
        assert_int_equal(w->effects.rows.size, 0);
        assert_int_equal(say(w, STEAD_COORDINATOR_TICK, 0, 0), 0);
        assert_int_equal(w->effects.rows.size, 0);
    }
    end_world(w);
}

/* ---- Restart --------------------------------------------------------------------------------- */

static void assert_same_table(const struct stead_table *a, const struct stead_table *b)
{
    struct stead_writer x, y;
    stead_writer_init(&x);
    stead_writer_init(&y);
    stead_table_encode(a, &x);
    stead_table_encode(b, &y);
    assert_true(stead_slice_equal(stead_written(&x), stead_written(&y)));
    stead_writer_deinit(&x);
    stead_writer_deinit(&y);
}

static void restart(struct world *w)
{
    struct stead_table *before = stead_table_hold(stead_coordinator_table(w->coordinator));
    stead_coordinator_destroy(&w->coordinator);
    start(w, 1);
    assert_same_table(before, stead_coordinator_table(w->coordinator));
    stead_table_release(&before);
}

static void test_restart_brings_back_the_same_table(void **state)
{
    (void)state;
    struct world *w = make_world(2);
    struct stead_kind_registration kinds[] = {{"counter", NULL, STEAD_DURABLE}, {"model", "gpu", STEAD_DURABLE}};
    struct stead_node_registration n1 = node_named("n1", 1, 1), n2 = node_named("n2", 2, 1);
    n2.labels = gpu_label;
    n2.label_count = 1;
    n2.kinds = kinds;
    n2.kind_count = 2;
    restart(w);
    assert_int_equal(enrol(w, &n1), 0);
    restart(w);
    assert_int_equal(enrol(w, &n2), 0);
    assert_int_equal(claim_all(w, 1, 1), 0);
    restart(w);
    assert_int_equal(claim_all(w, 2, 1), 0);
    assert_int_equal(table_of(w)->nodes_expected, 2);
    end_world(w);
}

static void test_restart_with_a_row_missing_is_refused(void **state)
{
    (void)state;
    struct world *w = world_of_one();
    struct stead_coordinator_options options = {.nodes_expected = 1};
    for (uint32_t missing = 0; missing < w->row_count; missing++) {
        if (w->rows[missing].key[0] == 's' || w->rows[missing].key[0] == 'k')
            continue; /* a shard less is no contradiction in itself */
        struct stead_coordinator *c = stead_coordinator_create(&options);
        struct stead_coordinator_effects effects;
        stead_writer_init(&effects.rows);
        for (uint32_t i = 0; i < w->row_count; i++)
            if (i != missing)
                assert_int_equal(stead_coordinator_restore(c, stead_bytes(w->rows[i].key, w->rows[i].key_size),
                                                           stead_bytes(w->rows[i].value, w->rows[i].value_size)),
                                 0);
        assert_int_equal(stead_coordinator_restored(c, 0, &effects), STEAD_ECORRUPT);
        assert_true(effects.why[0] != 0);
        stead_writer_deinit(&effects.rows);
        stead_coordinator_destroy(&c);
    }
    end_world(w);
}

static void test_restore_of_damaged_rows_is_refused_without_harm(void **state)
{
    (void)state;
    struct world *w = world_of_one();
    struct stead_coordinator_options options = {.nodes_expected = 1};
    struct stead_rng rng;
    stead_rng_seed(&rng, 11);
    for (int round = 0; round < 2000; round++) {
        struct stead_coordinator *c = stead_coordinator_create(&options);
        struct stead_coordinator_effects effects;
        stead_writer_init(&effects.rows);
        struct row *row = &w->rows[stead_rng_below(&rng, w->row_count)];
        uint8_t *byte = &row->value[stead_rng_below(&rng, row->value_size)], was = *byte;
        *byte = (uint8_t)stead_rng_next(&rng);
        int code = 0;
        for (uint32_t i = 0; code == 0 && i < w->row_count; i++)
            code = stead_coordinator_restore(c, stead_bytes(w->rows[i].key, w->rows[i].key_size),
                                             stead_bytes(w->rows[i].value, w->rows[i].value_size));
        if (code == 0)
            code = stead_coordinator_restored(c, 0, &effects);
        if (code == 0)
            stead_coordinator_check(c);
        *byte = was;
        stead_writer_deinit(&effects.rows);
        stead_coordinator_destroy(&c);
    }
    end_world(w);
}

/* ---- Anything in any order ------------------------------------------------------------------- */

#define RANDOM_NODES 6

/* What must never go back: kept beside the coordinator by the test. */
struct memory {
    uint64_t epochs[STEAD_SHARDS_MAX + 1];
    uint8_t groups[STEAD_SHARDS_MAX + 1];
    uint32_t shard_max, node_max; /* highest ids seen */
    uint8_t identity_of[4096];    /* node id -> identity; 0: never seen */
    uint64_t incarnations[4096];  /* node id -> highest seen */
};

static void compare_with_memory(const struct stead_table *t, struct memory *m)
{
    for (uint32_t i = 0; i < t->shard_count; i++) {
        const struct stead_table_shard *s = &t->shards[i];
        assert_true(s->epoch >= m->epochs[s->id]);
        assert_true(m->epochs[s->id] != 0 || s->id > m->shard_max);
        assert_true(m->epochs[s->id] == 0 || s->group == m->groups[s->id]);
        m->epochs[s->id] = s->epoch;
        m->groups[s->id] = s->group;
    }
    if (t->shard_count > 0)
        m->shard_max = t->shards[t->shard_count - 1].id;
    for (uint32_t i = 0; i < t->node_count; i++) {
        const struct stead_table_node *n = &t->nodes[i];
        assert_true(n->id < 4096);
        assert_true(m->incarnations[n->id] != 0 || n->id > m->node_max);
        assert_true(n->incarnation >= m->incarnations[n->id]);
        m->incarnations[n->id] = n->incarnation;
    }
    if (t->node_count > 0 && t->nodes[t->node_count - 1].id > m->node_max)
        m->node_max = t->nodes[t->node_count - 1].id;
}

static void random_step(struct world *w, struct stead_rng *rng, struct memory *m)
{
    static const char *const names[] = {"n1", "n2", "n3", "n4", "n5", "n6"};
    static const struct stead_kind_registration kinds[] = {
        {"a", NULL, STEAD_DURABLE}, {"b", "gpu", STEAD_DURABLE}, {"c", "hsm", STEAD_VOLATILE}, {"d", "gpu", 2}};
    const struct stead_table *t = table_of(w);
    uint32_t node = 1 + (uint32_t)stead_rng_below(rng, RANDOM_NODES + 2);
    const struct stead_table_node *known = stead_table_node_find(t, node);
    uint64_t incarnation = known ? known->incarnation - (stead_rng_below(rng, 8) == 0) : 1;
    switch (stead_rng_below(rng, 7)) {
    case 0: {
        uint8_t identity = (uint8_t)(1 + stead_rng_below(rng, RANDOM_NODES + 2));
        struct stead_node_registration r = node_named(
            names[stead_rng_below(rng, 4) ? (identity - 1u) % RANDOM_NODES : stead_rng_below(rng, RANDOM_NODES)],
            identity, (uint8_t)stead_rng_next(rng));
        r.endpoint_count = 1 + (uint32_t)stead_rng_below(rng, 4);
        r.label_count = (uint32_t)stead_rng_below(rng, 2);
        r.labels = gpu_label;
        r.kinds = kinds;
        r.kind_count = (uint32_t)stead_rng_below(rng, 5);
        if (enrol(w, &r) == 0) {
            assert_true(m->identity_of[w->effects.node] == 0 || m->identity_of[w->effects.node] == identity);
            m->identity_of[w->effects.node] = identity;
        }
        break;
    }
    case 1:
    case 2:
        if (t->shard_count > 0) {
            const struct stead_table_shard *s = &t->shards[stead_rng_below(rng, t->shard_count)];
            struct stead_table_shard before = *s;
            int code = claim_one(w, node, incarnation, s->id, s->epoch - stead_rng_below(rng, 2),
                                 (uint16_t)stead_rng_below(rng, 4));
            const struct stead_table_shard *after = stead_table_shard_find(table_of(w), before.id);
            assert_true(after->epoch == before.epoch || (code == 0 && after->epoch == before.epoch + 1));
            assert_true(code != 0 || (after->node == node && after->incarnation == incarnation));
        }
        break;
    case 3:
        (void)claim_all(w, node, incarnation);
        break;
    case 4:
        (void)say(w, STEAD_COORDINATOR_BEAT, node, incarnation);
        break;
    case 5:
        (void)say(w, stead_rng_below(rng, 4) ? STEAD_COORDINATOR_TICK : STEAD_COORDINATOR_LEAVE, node, incarnation);
        w->now_ms += stead_rng_below(rng, 1500);
        break;
    default:
        if (stead_rng_below(rng, 4) == 0)
            restart(w);
    }
}

static void test_random_commands_keep_every_invariant(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct world *w = make_world(1 + (uint32_t)(seed % 4));
        struct memory *m = stead_alloc_zero(sizeof *m);
        struct stead_rng rng;
        stead_rng_seed(&rng, seed);
        for (int i = 0; i < 400; i++) {
            random_step(w, &rng, m);
            compare_with_memory(table_of(w), m);
        }
        free(m);
        end_world(w);
    }
}

static void test_refused_commands_change_nothing(void **state)
{
    (void)state;
    struct world *w = world_of_one();
    struct stead_table *before = stead_table_hold(stead_coordinator_table(w->coordinator));
    struct stead_node_registration thief = node_named("n1", 9, 1);
    (void)enrol(w, &thief);
    (void)claim_one(w, 1, 1, 1, 9, 0);
    (void)claim_one(w, 7, 1, 1, 1, 0);
    (void)say(w, STEAD_COORDINATOR_BEAT, 3, 1);
    (void)say(w, (enum stead_coordinator_op)77, 1, 1);
    assert_same_table(before, table_of(w));
    stead_table_release(&before);
    end_world(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_register_new_node_gets_first_id_and_incarnation),
        cmocka_unit_test(test_register_same_identity_again_is_same_node_with_next_incarnation),
        cmocka_unit_test(test_register_repeated_start_is_not_a_second_start),
        cmocka_unit_test(test_register_name_of_live_node_is_refused),
        cmocka_unit_test(test_register_name_of_dead_node_with_shards_is_refused),
        cmocka_unit_test(test_register_name_of_dead_node_without_shards_takes_it_under_new_id),
        cmocka_unit_test(test_register_malformed_is_refused),
        cmocka_unit_test(test_kind_group_is_fixed_at_first_registration),
        cmocka_unit_test(test_kind_with_other_needs_is_refused_and_changes_nothing),
        cmocka_unit_test(test_kind_labels_beyond_the_groups_are_refused),
        cmocka_unit_test(test_cluster_of_three_forms_with_the_third_node_in_even_shares),
        cmocka_unit_test(test_cluster_does_not_form_while_a_registered_node_is_dead),
        cmocka_unit_test(test_named_group_waits_for_a_node_with_its_label),
        cmocka_unit_test(test_form_with_more_reactors_than_shards_still_covers_every_slot_once),
        cmocka_unit_test(test_claim_raises_the_epoch_by_one_and_names_the_incarnation),
        cmocka_unit_test(test_claim_repeated_after_lost_answer_is_done_once),
        cmocka_unit_test(test_claim_with_wrong_epoch_conflicts),
        cmocka_unit_test(test_claim_of_old_incarnation_is_fenced),
        cmocka_unit_test(test_claim_of_another_nodes_shard_is_refused),
        cmocka_unit_test(test_claims_are_carried_out_all_or_none),
        cmocka_unit_test(test_claim_of_one_shard_twice_in_a_list_raises_it_once),
        cmocka_unit_test(test_register_with_fewer_reactors_pulls_shards_in_under_a_new_epoch),
        cmocka_unit_test(test_silent_node_is_shown_as_dead_and_comes_back_with_a_beat),
        cmocka_unit_test(test_late_coordinator_accuses_nobody),
        cmocka_unit_test(test_steady_heartbeats_write_nothing),
        cmocka_unit_test(test_restart_brings_back_the_same_table),
        cmocka_unit_test(test_restart_with_a_row_missing_is_refused),
        cmocka_unit_test(test_restore_of_damaged_rows_is_refused_without_harm),
        cmocka_unit_test(test_random_commands_keep_every_invariant),
        cmocka_unit_test(test_refused_commands_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
