/* SPDX-License-Identifier: Apache-2.0 */
/* histogram: quantiles within 1/16 of the true ones, merging, and the edges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/base.h"
#include "runtime/histogram.h"

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void test_quantile_of_random_numbers_is_within_a_sixteenth(void **state)
{
    static const uint32_t permilles[] = {1, 10, 100, 500, 900, 990, 999, 1000};
    static struct stead_histogram histogram;
    static uint64_t numbers[20000];
    struct stead_rng rng;
    uint64_t sum = 0;
    (void)state;

    stead_rng_seed(&rng, 3);
    for (size_t i = 0; i < 20000; i++) {
        numbers[i] = stead_rng_next(&rng) >> (17 + stead_rng_below(&rng, 40)); /* below 2^47, all magnitudes */
        sum += numbers[i];
        stead_histogram_add(&histogram, numbers[i]);
    }
    qsort(numbers, 20000, sizeof numbers[0], compare_numbers);
    for (size_t i = 0; i < sizeof permilles / sizeof permilles[0]; i++) {
        uint64_t right = numbers[(20000ull * permilles[i] + 999) / 1000 - 1];
        uint64_t it = stead_histogram_quantile(&histogram, permilles[i]);
        assert_true(it >= right);
        assert_true(it - right <= right / 16);
    }
    assert_true(histogram.min == numbers[0] && histogram.max == numbers[19999]);
    assert_true(stead_histogram_mean(&histogram) == sum / 20000);
}

static void test_quantile_of_small_numbers_is_exact(void **state)
{
    static struct stead_histogram histogram;
    (void)state;
    for (uint64_t i = 0; i < 32; i++)
        stead_histogram_add(&histogram, i);
    assert_int_equal(stead_histogram_quantile(&histogram, 500), 15);
    assert_int_equal(stead_histogram_quantile(&histogram, 0), 0);
    assert_int_equal(stead_histogram_quantile(&histogram, 1000), 31);
}

static void test_quantile_of_nothing_is_zero(void **state)
{
    static struct stead_histogram histogram;
    (void)state;
    assert_int_equal(stead_histogram_quantile(&histogram, 500), 0);
    assert_int_equal(stead_histogram_mean(&histogram), 0);
}

static void test_number_beyond_the_last_bucket_is_still_the_maximum(void **state)
{
    static struct stead_histogram histogram;
    (void)state;
    stead_histogram_add(&histogram, 5);
    stead_histogram_add(&histogram, UINT64_MAX);
    assert_true(stead_histogram_quantile(&histogram, 1000) == UINT64_MAX);
    assert_true(stead_histogram_quantile(&histogram, 500) == 5);
    stead_histogram_reset(&histogram);
    assert_int_equal(histogram.count, 0);
    stead_histogram_add(&histogram, (1ull << 48) - 1); /* the last that has its place */
    stead_histogram_add(&histogram, 1ull << 48);
    assert_int_equal(histogram.buckets[STEAD_HISTOGRAM_BUCKETS - 1], 2);
    stead_histogram_add(&histogram, (1ull << 48) - (1ull << 43) - 1);
    assert_int_equal(histogram.buckets[STEAD_HISTOGRAM_BUCKETS - 2], 1);
}

static void test_merge_equals_adding_everything_to_one(void **state)
{
    static struct stead_histogram first, second, both, empty;
    struct stead_rng rng;
    (void)state;
    stead_rng_seed(&rng, 9);
    for (int i = 0; i < 1000; i++) {
        uint64_t number = stead_rng_below(&rng, 1000000) + 10;
        stead_histogram_add(i % 3 == 0 ? &first : &second, number);
        stead_histogram_add(&both, number);
    }
    stead_histogram_merge(&first, &second);
    stead_histogram_merge(&first, &empty); /* changes nothing, not the minimum either */
    assert_memory_equal(&first, &both, sizeof both);
}

static void test_bucket_that_is_full_stays_full(void **state)
{
    static struct stead_histogram first, second;
    (void)state;
    stead_histogram_add(&first, 7);
    stead_histogram_add(&second, 7);
    first.buckets[7] = UINT32_MAX;
    stead_histogram_merge(&first, &second);
    stead_histogram_add(&first, 7);
    assert_true(first.buckets[7] == UINT32_MAX);
    assert_true(first.count == 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantile_of_random_numbers_is_within_a_sixteenth),
        cmocka_unit_test(test_quantile_of_small_numbers_is_exact),
        cmocka_unit_test(test_quantile_of_nothing_is_zero),
        cmocka_unit_test(test_number_beyond_the_last_bucket_is_still_the_maximum),
        cmocka_unit_test(test_merge_equals_adding_everything_to_one),
        cmocka_unit_test(test_bucket_that_is_full_stays_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
