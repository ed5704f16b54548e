/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checker is checked: histories whose verdict is known, and thousands of small random ones beside a checker so
 * simple that it is plainly right (every order of every subset, by recursion over at most six operations).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "runtime/base.h"
#include "tests/sim/linearizability.h"

#define CONFIGURATIONS_MAX 1000000u
#define COUNT(array) ((uint32_t)(sizeof(array) / sizeof((array)[0])))
#define NEVER STEAD_LIN_NEVER

static enum stead_lin_verdict check(const struct stead_lin_model *model, const struct stead_lin_op *ops, uint32_t count)
{
    return stead_lin_check(model, ops, count, CONFIGURATIONS_MAX, NULL);
}

static struct stead_lin_op add(uint64_t from, uint64_t to, int64_t by, int64_t out)
{
    return (struct stead_lin_op){from, to, STEAD_LIN_COUNTER_ADD, {by, 0}, out, true};
}

static struct stead_lin_op lost_add(uint64_t from, int64_t by)
{
    return (struct stead_lin_op){from, NEVER, STEAD_LIN_COUNTER_ADD, {by, 0}, 0, false};
}

static struct stead_lin_op get(uint64_t from, uint64_t to, int64_t out)
{
    return (struct stead_lin_op){from, to, STEAD_LIN_COUNTER_GET, {0, 0}, out, true};
}

static void test_check_empty_history_is_linearizable(void **state)
{
    (void)state;
    assert_int_equal(check(&stead_lin_counter, NULL, 0), STEAD_LIN_YES);
}

static void test_check_concurrent_adds_any_order_is_linearizable(void **state)
{
    (void)state;
    const struct stead_lin_op ops[] = {add(0, 10, 1, 3), add(1, 9, 2, 2), get(11, 12, 3)};
    assert_int_equal(check(&stead_lin_counter, ops, COUNT(ops)), STEAD_LIN_YES);
}

static void test_check_acknowledged_add_lost_is_not(void **state)
{
    (void)state;
    const struct stead_lin_op ops[] = {add(0, 1, 5, 5), get(2, 3, 0)};
    uint32_t stuck = 99;
    assert_int_equal(stead_lin_check(&stead_lin_counter, ops, COUNT(ops), CONFIGURATIONS_MAX, &stuck), STEAD_LIN_NO);
    assert_int_equal(stuck, 1);
}

static void test_check_add_run_twice_is_not(void **state)
{
    (void)state;
    const struct stead_lin_op ops[] = {add(0, 1, 5, 5), get(2, 3, 10)};
    assert_int_equal(check(&stead_lin_counter, ops, COUNT(ops)), STEAD_LIN_NO);
}

static void test_check_stale_read_after_newer_read_is_not(void **state)
{
    (void)state;
    /* The add is still running, so either read alone is fine; old after new is not. */
    const struct stead_lin_op ops[] = {add(0, 100, 1, 1), get(10, 20, 1), get(30, 40, 0)};
    assert_int_equal(check(&stead_lin_counter, ops, COUNT(ops)), STEAD_LIN_NO);
    const struct stead_lin_op good[] = {add(0, 100, 1, 1), get(10, 20, 0), get(30, 40, 1)};
    assert_int_equal(check(&stead_lin_counter, good, COUNT(good)), STEAD_LIN_YES);
}

static void test_check_unknown_outcome_late_or_never_is_linearizable(void **state)
{
    (void)state;
    const struct stead_lin_op late[] = {lost_add(0, 7), get(1, 2, 0), get(3, 4, 7)};
    assert_int_equal(check(&stead_lin_counter, late, COUNT(late)), STEAD_LIN_YES);
    const struct stead_lin_op never[] = {lost_add(0, 7), get(1, 2, 0), get(3, 4, 0)};
    assert_int_equal(check(&stead_lin_counter, never, COUNT(never)), STEAD_LIN_YES);
}

static void test_check_unknown_outcome_twice_or_before_its_invocation_is_not(void **state)
{
    (void)state;
    const struct stead_lin_op twice[] = {lost_add(0, 7), get(1, 2, 14)};
    assert_int_equal(check(&stead_lin_counter, twice, COUNT(twice)), STEAD_LIN_NO);
    const struct stead_lin_op early[] = {get(1, 2, 7), lost_add(3, 7)};
    assert_int_equal(check(&stead_lin_counter, early, COUNT(early)), STEAD_LIN_NO);
}

static void test_check_effect_known_output_unseen_must_be_placed(void **state)
{
    (void)state;
    struct stead_lin_op ops[] = {add(0, 5, 3, 0), get(6, 7, 3)};
    ops[0].answered = false;
    assert_int_equal(check(&stead_lin_counter, ops, 2), STEAD_LIN_YES);
    ops[1].out = 0;
    assert_int_equal(check(&stead_lin_counter, ops, 2), STEAD_LIN_NO);
}

static void test_check_register_lost_update_is_not(void **state)
{
    (void)state;
    const struct stead_lin_op ops[] = {
        {0, 10, STEAD_LIN_REGISTER_SWAP, {0, 1}, 1, true},
        {0, 10, STEAD_LIN_REGISTER_SWAP, {0, 2}, 1, true},
    };
    assert_int_equal(check(&stead_lin_register, ops, COUNT(ops)), STEAD_LIN_NO);
    const struct stead_lin_op good[] = {
        {0, 10, STEAD_LIN_REGISTER_SWAP, {0, 1}, 1, true},
        {0, 10, STEAD_LIN_REGISTER_SWAP, {0, 2}, 0, true},
        {11, 12, STEAD_LIN_REGISTER_READ, {0, 0}, 1, true},
        {13, 14, STEAD_LIN_REGISTER_WRITE, {9, 0}, 1, true},
    };
    assert_int_equal(check(&stead_lin_register, good, COUNT(good)), STEAD_LIN_YES);
}

static void test_check_account_overdrawn_is_not(void **state)
{
    (void)state;
    const struct stead_lin_op ops[] = {
        {0, 1, STEAD_LIN_ACCOUNT_DEPOSIT, {10, 0}, 10, true},
        {2, 9, STEAD_LIN_ACCOUNT_WITHDRAW, {8, 0}, 2, true},
        {2, 9, STEAD_LIN_ACCOUNT_WITHDRAW, {8, 0}, 2, true},
    };
    assert_int_equal(check(&stead_lin_account, ops, COUNT(ops)), STEAD_LIN_NO);
    struct stead_lin_op good[3];
    memcpy(good, ops, sizeof good);
    good[2].out = -1;
    assert_int_equal(check(&stead_lin_account, good, COUNT(good)), STEAD_LIN_YES);
}

static void test_check_queue_element_popped_twice_or_out_of_order_is_not(void **state)
{
    (void)state;
    const struct stead_lin_op twice[] = {
        {0, 1, STEAD_LIN_QUEUE_PUSH, {5, 0}, 1, true},
        {2, 3, STEAD_LIN_QUEUE_POP, {0, 0}, 5, true},
        {4, 5, STEAD_LIN_QUEUE_POP, {0, 0}, 5, true},
    };
    assert_int_equal(check(&stead_lin_queue, twice, COUNT(twice)), STEAD_LIN_NO);
    const struct stead_lin_op order[] = {
        {0, 1, STEAD_LIN_QUEUE_PUSH, {5, 0}, 1, true},
        {2, 3, STEAD_LIN_QUEUE_PUSH, {6, 0}, 2, true},
        {4, 5, STEAD_LIN_QUEUE_POP, {0, 0}, 6, true},
    };
    assert_int_equal(check(&stead_lin_queue, order, COUNT(order)), STEAD_LIN_NO);
}

static void test_check_queue_take_waits_for_an_element(void **state)
{
    (void)state;
    const struct stead_lin_op ops[] = {
        {0, 9, STEAD_LIN_QUEUE_TAKE, {0, 0}, 5, true},
        {3, 4, STEAD_LIN_QUEUE_PUSH, {5, 0}, 1, true},
        {10, 11, STEAD_LIN_QUEUE_POP, {0, 0}, -1, true},
    };
    assert_int_equal(check(&stead_lin_queue, ops, COUNT(ops)), STEAD_LIN_YES);
}

/* Plainly right: tries every operation that may come next. `left`: a bit for each operation not yet placed. */
static bool some_order_fits(const struct stead_lin_model *model, const struct stead_lin_op *ops, uint32_t count,
                            uint32_t left, const void *state)
{
    uint64_t first_return = NEVER;
    bool all_returned_placed = true;

    for (uint32_t i = 0; i < count; i++) {
        if ((left >> i & 1u) == 0 || ops[i].returned == NEVER)
            continue;
        all_returned_placed = false;
        if (ops[i].returned < first_return)
            first_return = ops[i].returned;
    }
    if (all_returned_placed)
        return true;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t next[STEAD_LIN_STATE_BYTES_MAX];
        if ((left >> i & 1u) == 0 || ops[i].invoked > first_return)
            continue;
        memcpy(next, state, model->state_size);
        if (model->step(next, &ops[i]) && some_order_fits(model, ops, count, left & ~(1u << i), next))
            return true;
    }
    return false;
}

static struct stead_lin_op random_op(struct stead_rng *rng, bool queue)
{
    uint64_t from = stead_rng_below(rng, 20);
    struct stead_lin_op op = {.invoked = from, .returned = from + stead_rng_below(rng, 8), .answered = true};

    if (queue) {
        op.kind = (int)stead_rng_below(rng, 3);
        op.in[0] = 1 + (int64_t)stead_rng_below(rng, 2);
        op.out = op.kind == STEAD_LIN_QUEUE_PUSH
                     ? 1 + (int64_t)stead_rng_below(rng, 2)
                     : 1 + (int64_t)stead_rng_below(rng, 3) - 2 * (int64_t)stead_rng_below(rng, 2);
    } else {
        op.kind = (int)stead_rng_below(rng, 2);
        op.in[0] = 1 + (int64_t)stead_rng_below(rng, 2);
        op.out = (int64_t)stead_rng_below(rng, 5);
    }
    if (stead_rng_below(rng, 4) == 0) {
        op.returned = NEVER;
        op.answered = false;
    }
    return op;
}

static void test_check_random_histories_agree_with_exhaustive_search(void **state)
{
    (void)state;
    struct stead_rng rng;
    uint32_t verdicts[2] = {0, 0};

    stead_rng_seed(&rng, 1);
    for (uint32_t round = 0; round < 20000; round++) {
        struct stead_lin_op ops[6];
        bool queue = stead_rng_below(&rng, 2) == 0;
        const struct stead_lin_model *model = queue ? &stead_lin_queue : &stead_lin_counter;
        uint32_t count = 1 + (uint32_t)stead_rng_below(&rng, 6);
        uint8_t zero[STEAD_LIN_STATE_BYTES_MAX] = {0};
        for (uint32_t i = 0; i < count; i++)
            ops[i] = random_op(&rng, queue);
        bool fits = some_order_fits(model, ops, count, (1u << count) - 1u, zero);
        assert_int_equal(check(model, ops, count), fits ? STEAD_LIN_YES : STEAD_LIN_NO);
        verdicts[fits]++;
    }
    assert_true(verdicts[0] > 1000 && verdicts[1] > 1000); /* both sides were really tried */
}

static void test_check_long_concurrent_history_is_decided(void **state)
{
    (void)state;
    enum { OPS = 400 };
    static struct stead_lin_op ops[OPS];
    struct stead_rng rng;
    int64_t value = 0;

    stead_rng_seed(&rng, 7);
    for (uint32_t i = 0; i < OPS; i++) {
        uint64_t moment = (uint64_t)i * 10 + 100;
        value += (int64_t)i * 7919 + 1;
        ops[i] =
            add(moment - stead_rng_below(&rng, 60), moment + stead_rng_below(&rng, 60), (int64_t)i * 7919 + 1, value);
    }
    assert_int_equal(check(&stead_lin_counter, ops, OPS), STEAD_LIN_YES);
    ops[OPS - 1].out++;
    assert_int_equal(check(&stead_lin_counter, ops, OPS), STEAD_LIN_NO);
}

static void test_check_too_many_configurations_is_undecided(void **state)
{
    (void)state;
    static struct stead_lin_op ops[32];

    for (uint32_t i = 0; i < 31; i++)
        ops[i] = lost_add(0, 1 << (i % 16));
    ops[31] = get(1, 2, -1);
    assert_int_equal(stead_lin_check(&stead_lin_counter, ops, 32, 1000, NULL), STEAD_LIN_UNDECIDED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_empty_history_is_linearizable),
        cmocka_unit_test(test_check_concurrent_adds_any_order_is_linearizable),
        cmocka_unit_test(test_check_acknowledged_add_lost_is_not),
        cmocka_unit_test(test_check_add_run_twice_is_not),
        cmocka_unit_test(test_check_stale_read_after_newer_read_is_not),
        cmocka_unit_test(test_check_unknown_outcome_late_or_never_is_linearizable),
        cmocka_unit_test(test_check_unknown_outcome_twice_or_before_its_invocation_is_not),
        cmocka_unit_test(test_check_effect_known_output_unseen_must_be_placed),
        cmocka_unit_test(test_check_register_lost_update_is_not),
        cmocka_unit_test(test_check_account_overdrawn_is_not),
        cmocka_unit_test(test_check_queue_element_popped_twice_or_out_of_order_is_not),
        cmocka_unit_test(test_check_queue_take_waits_for_an_element),
        cmocka_unit_test(test_check_random_histories_agree_with_exhaustive_search),
        cmocka_unit_test(test_check_long_concurrent_history_is_decided),
        cmocka_unit_test(test_check_too_many_configurations_is_undecided),
    };
    return cmocka_run_group_tests_name("linearizability", tests, NULL, NULL);
}
