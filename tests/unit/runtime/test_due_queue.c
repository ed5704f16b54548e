/* SPDX-License-Identifier: Apache-2.0 */
/* The due queue, against a plain array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtime/base.h"
#include "runtime/due_queue.h"

#define ITEMS 500u
#define NOT_IN UINT64_MAX

static void test_queue_empty_has_no_first(void **state)
{
    struct stead_due_queue queue = {.cells = NULL};
    struct stead_due_cell cell;

    (void)state;
    assert_false(stead_due_queue_first(&queue, &cell));
    stead_due_queue_remove(&queue, 7);
    stead_due_queue_deinit(&queue);
}

static void test_queue_moved_item_is_found_at_its_new_time(void **state)
{
    struct stead_due_queue queue = {.cells = NULL};
    struct stead_due_cell cell;

    (void)state;
    stead_due_queue_set(&queue, 1, 100);
    stead_due_queue_set(&queue, 2, 200);
    stead_due_queue_set(&queue, 1, 300);
    assert_true(stead_due_queue_first(&queue, &cell));
    assert_int_equal(cell.item, 2);
    stead_due_queue_set(&queue, 1, 50);
    assert_true(stead_due_queue_first(&queue, &cell));
    assert_int_equal(cell.item, 1);
    assert_int_equal(cell.due, 50);
    assert_int_equal(queue.count, 2);
    stead_due_queue_deinit(&queue);
}

static uint64_t earliest(const uint64_t *model)
{
    uint64_t least = NOT_IN;

    for (uint32_t i = 0; i < ITEMS; i++)
        least = model[i] < least ? model[i] : least;
    return least;
}

static void test_queue_under_random_changes_agrees_with_a_list(void **state)
{
    struct stead_due_queue queue = {.cells = NULL};
    struct stead_rng rng;
    uint64_t model[ITEMS];

    (void)state;
    stead_rng_seed(&rng, 11);
    for (uint32_t i = 0; i < ITEMS; i++)
        model[i] = NOT_IN;
    for (int round = 0; round < 20000; round++) {
        uint32_t item = (uint32_t)stead_rng_below(&rng, ITEMS);
        struct stead_due_cell cell;

        if (stead_rng_below(&rng, 5) < 2) {
            stead_due_queue_remove(&queue, item);
            model[item] = NOT_IN;
        } else {
            model[item] = stead_rng_below(&rng, 1000);
            stead_due_queue_set(&queue, item, model[item]);
        }
        if (round % 50 == 0)
            stead_due_queue_check(&queue);
        if (stead_due_queue_first(&queue, &cell)) {
            assert_int_equal(cell.due, earliest(model));
            assert_int_equal(model[cell.item], cell.due);
        } else {
            assert_int_equal(earliest(model), NOT_IN);
        }
    }
    stead_due_queue_deinit(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queue_empty_has_no_first),
        cmocka_unit_test(test_queue_moved_item_is_found_at_its_new_time),
        cmocka_unit_test(test_queue_under_random_changes_agrees_with_a_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
