/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Samples to figures.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cmd/compare.h"

#define US 1000.0

/* 1 to `count` microseconds, the largest first. */
static void fill(uint64_t *samples, size_t count)
{
    for (size_t i = 0; i < count; i++)
        samples[i] = (count - i) * 1000;
}

static void test_no_samples_are_no_figures(void **state)
{
    struct stead_distribution it;

    (void)state;
    stead_distribution_of(NULL, 0, US, &it);
    assert_int_equal(it.count, 0);
    assert_true(it.p99 < 0);
    assert_int_equal(it.quantile_count, 0);
}

static void test_one_sample_is_every_figure_but_p99(void **state)
{
    uint64_t sample = 7000;
    struct stead_distribution it;

    (void)state;
    stead_distribution_of(&sample, 1, US, &it);
    assert_true(it.mean == 7 && it.min == 7 && it.max == 7 && it.p50 == 7);
    assert_true(it.p99 < 0);
    assert_int_equal(it.quantile_count, 1);
    assert_true(it.quantiles[0] == 7);
}

static void test_p99_needs_a_hundred_samples(void **state)
{
    uint64_t samples[100];
    struct stead_distribution it;

    (void)state;
    fill(samples, 99);
    stead_distribution_of(samples, 99, US, &it);
    assert_true(it.p99 < 0);
    fill(samples, 100);
    stead_distribution_of(samples, 100, US, &it);
    assert_true(it.p99 == 99);
}

static void test_figures_of_a_thousand_are_samples_of_it(void **state)
{
    uint64_t samples[1000];
    struct stead_distribution it;

    (void)state;
    fill(samples, 1000);
    stead_distribution_of(samples, 1000, US, &it);
    assert_int_equal(it.count, 1000);
    assert_true(it.p50 == 500 && it.p99 == 990 && it.min == 1 && it.max == 1000);
    assert_true(it.mean > 500.49 && it.mean < 500.51);
    assert_int_equal(it.quantile_count, STEAD_COMPARE_QUANTILES);
    assert_true(it.quantiles[0] == 1 && it.quantiles[50] == 500 && it.quantiles[100] == 1000);
}

static void test_unit_divides(void **state)
{
    uint64_t samples[2] = {4000, 8000};
    struct stead_distribution it;

    (void)state;
    stead_distribution_of(samples, 2, 2 * US, &it); /* two steps a sample */
    assert_true(it.min == 2 && it.max == 4 && it.mean == 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_samples_are_no_figures),
        cmocka_unit_test(test_one_sample_is_every_figure_but_p99),
        cmocka_unit_test(test_p99_needs_a_hundred_samples),
        cmocka_unit_test(test_figures_of_a_thousand_are_samples_of_it),
        cmocka_unit_test(test_unit_divides),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
