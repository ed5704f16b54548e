/* SPDX-License-Identifier: Apache-2.0 */
/* The coordinator over restarts and over any order of commands: what it has decided stays decided. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "unit/runtime/coordinator_world.h"

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
        cmocka_unit_test(test_restart_brings_back_the_same_table),
        cmocka_unit_test(test_restart_with_a_row_missing_is_refused),
        cmocka_unit_test(test_restore_of_damaged_rows_is_refused_without_harm),
        cmocka_unit_test(test_random_commands_keep_every_invariant),
        cmocka_unit_test(test_refused_commands_change_nothing),
    };
    return cmocka_run_group_tests_name("coordinator_restart", tests, NULL, NULL);
}
