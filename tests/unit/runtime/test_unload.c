/* SPDX-License-Identifier: Apache-2.0 */
/* Which agents leave memory, when, and for whom: idle ones, the budget, what they carry, work that goes on. */
#include "unit/runtime/host_client.h"

/* ---- Coming and going ------------------------------------------------------------------------------- */

static void test_idle_agent_is_unloaded_with_its_hooks_and_comes_back(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], e[64];

    (void)state;
    assert_int_equal(fx_call_i64(fx, &client, fx_address(a, "d", 1, 0), "add"), 1);
    assert_int_equal(fx_call_i64(fx, &client, fx_address(e, "e", 1, 0), "add"), 1);
    fx_step_ms(fx, 59000);
    assert_int_equal(fx_unloaded, 0);
    fx_step_ms(fx, 62000);
    assert_int_equal(fx_unloaded, 2);
    assert_int_equal(fx_stats(fx)->agents_resident, 0);
    assert_int_equal(fx_call_i64(fx, &client, a, "add"), 2);
    assert_int_equal(fx_call_i64(fx, &client, e, "add"), 2);
    assert_int_equal(fx_loaded, 2);
    fx_destroy(fx);
}

static void test_kind_that_may_idle_longer_does_not_keep_others(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], b[64];

    (void)state;
    assert_int_equal(fx_call_i64(fx, &client, fx_address(b, "slow", 1, 0), "add"), 1); /* the least recently used */
    assert_int_equal(fx_call_i64(fx, &client, fx_address(a, "d", 1, 0), "add"), 1);
    fx_step_ms(fx, 61000);
    fx_step_ms(fx, 61000);
    assert_int_equal(fx_stats(fx)->agents_resident, 1);
    for (int minute = 0; minute < 62; minute++)
        fx_step_ms(fx, 60000);
    assert_int_equal(fx_stats(fx)->agents_resident, 0);
    fx_destroy(fx);
}

static void test_volatile_agent_stays_unless_its_kind_may_be_forgotten(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char v[64], f[64];

    (void)state;
    assert_int_equal(fx_call_i64(fx, &client, fx_address(v, "v", 1, 0), "add"), 1);
    assert_int_equal(fx_call_i64(fx, &client, fx_address(f, "f", 1, 0), "add"), 1);
    fx_step_ms(fx, 61000);
    fx_step_ms(fx, 61000);
    assert_int_equal(fx_unloaded, 1);
    assert_int_equal(fx_call_i64(fx, &client, v, "get"), 1);
    assert_int_equal(fx_call_i64(fx, &client, f, "get"), 0);
    fx_destroy(fx);
}

static size_t carried;
static int carry(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    stead_carry(turn, carried);
    return 0;
}

static int carry_and_fail(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    stead_carry(turn, 1u << 20);
    return STEAD_EINTERNAL;
}

static void test_what_agents_carry_counts_against_the_budget(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], b[64];

    (void)state;
    fx_do[0] = carry;
    fx_do[1] = carry_and_fail;
    fx_address(a, "d", 1, 0);
    fx_address(b, "d", 1, 1);
    (void)fx_call(fx, &client, a, "add");
    (void)fx_call(fx, &client, b, "add");
    uint64_t before = fx_stats(fx)->memory_bytes;
    carried = 100000;
    (void)fx_call(fx, &client, a, "do");
    assert_in_range(fx_stats(fx)->memory_bytes, before + 100000, before + 110000);
    carried = 1000;
    (void)fx_call(fx, &client, a, "do"); /* not in addition */
    assert_true(fx_stats(fx)->memory_bytes < before + 20000);
    assert_int_not_equal(fx_call(fx, &client, a, "do2"), 0); /* what it was before is put back */
    assert_true(fx_stats(fx)->memory_bytes < before + 20000);
    fx_unloaded = 0;
    carried = 1000000000;
    (void)fx_call(fx, &client, a, "do"); /* above the budget: what can go goes */
    fx_step_ms(fx, 1);
    fx_step_ms(fx, 1);
    assert_int_equal(fx_unloaded, 2);
    assert_true(fx_stats(fx)->memory_bytes < before + 20000);
    assert_int_equal(fx_call_i64(fx, &client, a, "get"), 1);
    fx_destroy(fx);
}

static uint32_t parts_done;
static int do_part(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    stead_pause(turn);
    return ++parts_done < 8 ? stead_signal(turn, stead_self(turn), "do", (struct stead_slice){NULL, 0}) : 0;
}

static void test_turn_that_pauses_ends_the_round(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], b[64];
    uint32_t rounds = 0;

    (void)state;
    fx_do[0] = do_part;
    parts_done = 0;
    fx_address(a, "d", 1, 0);
    fx_address(b, "v", 1, 1);
    (void)fx_call(fx, &client, a, "add");
    struct stead_message *begin = fx_request(fx, &client, STEAD_SIGNAL, a, "do", (struct stead_slice){NULL, 0}, NULL);
    struct stead_message *call = fx_request(fx, &client, STEAD_CALL, b, "add", (struct stead_slice){NULL, 0}, NULL);
    stead_host_deliver(fx->host, &begin);
    for (bool more = true; parts_done < 8 || more; rounds++) {
        uint32_t before = parts_done;
        assert_true(rounds < 100);
        if (parts_done == 3 && call != NULL)
            stead_host_deliver(fx->host, &call); /* from outside, in the middle of the work */
        stead_host_set_now(fx->host, fx->now_ns, fx->now_ms);
        more = stead_host_run(fx->host);
        assert_true(parts_done <= before + 1);
        (void)fx_sync(fx);
        if (parts_done == 5)
            assert_int_equal(fx->answers.count,
                             2); /* of the signal and of the call, which has not waited for the end */
    }
    fx_run(fx);
    fx_destroy(fx);
}

/* What the parts have gathered is more than the budget: two of them take turns at the disk's pace otherwise. */
static int do_heavy_part(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct puppet *puppet = state;

    (void)args;
    stead_carry(turn, 1000000000);
    if (++puppet->value == 8)
        return 0;
    stead_pause(turn);
    return stead_signal(turn, stead_self(turn), "do", (struct stead_slice){NULL, 0});
}

static void test_agent_stays_until_its_work_in_parts_is_done(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], b[64];

    (void)state;
    fx_do[0] = do_heavy_part;
    fx_unloaded = 0;
    fx_send(fx, &client, STEAD_SIGNAL, fx_address(a, "d", 1, 0), "do");
    assert_int_equal(fx_unloaded, 1); /* behind the last part */
    stead_queue_clear(&fx->answers);
    assert_int_equal(fx_call_i64(fx, &client, a, "get"), 8);
    fx_unloaded = 0;
    struct stead_message *one =
        fx_request(fx, &client, STEAD_SIGNAL, fx_address(a, "d", 1, 1), "do", (struct stead_slice){NULL, 0}, NULL);
    struct stead_message *two =
        fx_request(fx, &client, STEAD_SIGNAL, fx_address(b, "d", 1, 2), "do", (struct stead_slice){NULL, 0}, NULL);
    stead_host_deliver(fx->host, &one);
    stead_host_deliver(fx->host, &two);
    fx_run(fx);
    stead_queue_clear(&fx->answers);
    assert_int_equal(fx_call_i64(fx, &client, a, "get"), 8); /* one of them is let finish, the other gives way */
    assert_int_equal(fx_call_i64(fx, &client, b, "get"), 8);
    assert_in_range(fx_unloaded, 2, 16);
    fx_destroy(fx);
}

static void test_memory_budget_unloads_the_least_recently_used(void **state)
{
    struct fx *fx = fx_create(1);
    char a[64];

    (void)state;
    fx->settings.memory_bytes_max = 400000;
    fx_crash(fx, false);
    struct fx_client client = fx_client(fx, 1);
    for (uint32_t i = 0; i < 3000; i++) {
        snprintf(a, sizeof(a), "d/agent%u", i);
        if (fx_shard_of(stead_address_slot(stead_str(a), 0)) != 1)
            continue;
        client.mark = client.number;
        assert_int_equal(fx_call_i64(fx, &client, a, "add"), 1);
        fx_step_ms(fx, 1);
        assert_true(fx_stats(fx)->memory_bytes < 2 * fx->settings.memory_bytes_max);
    }
    assert_true(fx_unloaded > 100);
    assert_true(fx_stats(fx)->agents_resident > 100); /* and no more than it must */
    uint32_t loaded = fx_loaded;
    assert_int_equal(fx_call_i64(fx, &client, a, "get"), 1); /* the newest is still there */
    assert_int_equal(fx_loaded, loaded);
    for (uint32_t i = 0; i < 3000; i++) {
        snprintf(a, sizeof(a), "d/agent%u", i);
        if (fx_shard_of(stead_address_slot(stead_str(a), 0)) == 1)
            assert_int_equal(fx_call_i64(fx, &client, a, "get"), 1);
    }
    fx_destroy(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idle_agent_is_unloaded_with_its_hooks_and_comes_back),
        cmocka_unit_test(test_kind_that_may_idle_longer_does_not_keep_others),
        cmocka_unit_test(test_volatile_agent_stays_unless_its_kind_may_be_forgotten),
        cmocka_unit_test(test_what_agents_carry_counts_against_the_budget),
        cmocka_unit_test(test_turn_that_pauses_ends_the_round),
        cmocka_unit_test(test_agent_stays_until_its_work_in_parts_is_done),
        cmocka_unit_test(test_memory_budget_unloads_the_least_recently_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
