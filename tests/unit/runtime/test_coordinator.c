/* SPDX-License-Identifier: Apache-2.0 */
/* The coordinator as a specification: who gets which id, slots and epoch; what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "unit/runtime/coordinator_world.h"

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
    };
    return cmocka_run_group_tests_name("coordinator", tests, NULL, NULL);
}
