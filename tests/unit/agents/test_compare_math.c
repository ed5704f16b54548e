/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arithmetic of the workloads that carry data: it learns, it classifies, and it is the same to the bit however it
 * is cut up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agents/compare.h"

#define BLOCKS 3u

static double train(float *const *rows, uint32_t steps, float *weights, bool backwards)
{
    struct stead_train_part parts[BLOCKS];
    double loss = 0;

    memset(weights, 0, STEAD_TRAIN_FEATURES * sizeof *weights);
    for (uint32_t step = 0; step < steps; step++) {
        for (uint32_t i = 0; i < BLOCKS; i++) {
            uint32_t block = backwards ? BLOCKS - 1 - i : i;
            stead_train_block(rows[block], weights, &parts[block]);
        }
        loss = stead_train_move(parts, BLOCKS, weights);
    }
    return loss;
}

static int make_rows(void **state)
{
    float **rows = malloc(BLOCKS * sizeof *rows);

    assert_non_null(rows);
    for (uint32_t i = 0; i < BLOCKS; i++) {
        rows[i] = malloc(STEAD_TRAIN_BLOCK_BYTES);
        assert_non_null(rows[i]);
        stead_train_make(i, rows[i]);
    }
    *state = rows;
    return 0;
}

static int free_rows(void **state)
{
    float **rows = *state;

    for (uint32_t i = 0; i < BLOCKS; i++)
        free(rows[i]);
    free(rows);
    return 0;
}

static void test_block_fits_one_payload(void **state)
{
    (void)state;
    assert_true(STEAD_TRAIN_BLOCK_BYTES + 5 <= 1u << 20);
    assert_true(STEAD_SERVE_MODEL_BYTES + 5 <= 1u << 20);
}

static void test_rows_are_the_same_each_time_and_differ_between_blocks(void **state)
{
    float *const *rows = *state;
    float *again = malloc(STEAD_TRAIN_BLOCK_BYTES);

    assert_non_null(again);
    stead_train_make(1, again);
    assert_memory_equal(again, rows[1], STEAD_TRAIN_BLOCK_BYTES);
    assert_memory_not_equal(again, rows[2], STEAD_TRAIN_BLOCK_BYTES);
    free(again);
}

static void test_training_brings_the_loss_down(void **state)
{
    float weights[STEAD_TRAIN_FEATURES];
    double first = train(*state, 1, weights, false), last = train(*state, 40, weights, false);

    assert_true(first > 1);
    assert_true(last < first / 10);
}

static void test_loss_is_the_mean_squared_error(void **state)
{
    float *const *rows = *state;
    float weights[STEAD_TRAIN_FEATURES];
    double sum = 0;

    for (uint32_t block = 0; block < BLOCKS; block++) {
        for (uint32_t i = 0; i < STEAD_TRAIN_ROWS; i++) {
            double target = (double)rows[block][(size_t)i * STEAD_TRAIN_COLUMNS + STEAD_TRAIN_FEATURES];
            sum += target * target; /* with weights of 0 the error is the target */
        }
    }
    double mean = sum / (BLOCKS * STEAD_TRAIN_ROWS), loss = train(rows, 1, weights, false);
    assert_true(loss > mean * 0.9999 && loss < mean * 1.0001);
}

static void test_order_of_arrival_does_not_change_a_bit(void **state)
{
    float forth[STEAD_TRAIN_FEATURES], back[STEAD_TRAIN_FEATURES];
    double one = train(*state, 5, forth, false), other = train(*state, 5, back, true);

    assert_memory_equal(&one, &other, sizeof one);
    assert_memory_equal(forth, back, sizeof forth);
}

static void test_classify_finds_the_class_with_the_highest_score(void **state)
{
    float *model = calloc(1, STEAD_SERVE_MODEL_BYTES);
    const uint32_t words[] = {5, 9, 5 + STEAD_SERVE_WORDS};

    (void)state;
    assert_non_null(model);
    assert_int_equal(stead_serve_classify(model, words, 3), 0);
    model[17 * STEAD_SERVE_WORDS + 5] = 0.4f; /* twice in the document */
    model[31 * STEAD_SERVE_WORDS + 9] = 0.7f;
    assert_int_equal(stead_serve_classify(model, words, 3), 17);
    assert_int_equal(stead_serve_classify(model, words, 2), 31);
    free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_block_fits_one_payload),
        cmocka_unit_test_setup_teardown(test_rows_are_the_same_each_time_and_differ_between_blocks, make_rows,
                                        free_rows),
        cmocka_unit_test_setup_teardown(test_training_brings_the_loss_down, make_rows, free_rows),
        cmocka_unit_test_setup_teardown(test_loss_is_the_mean_squared_error, make_rows, free_rows),
        cmocka_unit_test_setup_teardown(test_order_of_arrival_does_not_change_a_bit, make_rows, free_rows),
        cmocka_unit_test(test_classify_finds_the_class_with_the_highest_score),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
