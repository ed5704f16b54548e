/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_numbers: the clock and the quantiles of everything that is measured. Pure but for the clock.
 */
#include <stdlib.h>
#include <time.h>

#include "cmd/bench.h"

uint64_t stead_bench_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

uint64_t stead_bench_quantile(uint64_t *samples, size_t count, unsigned permille)
{
    if (count == 0)
        return 0;
    qsort(samples, count, sizeof samples[0], compare_u64);
    return samples[(count - 1) * permille / 1000];
}

double stead_bench_median(double *values, size_t count)
{
    if (count == 0)
        return 0;
    qsort(values, count, sizeof values[0], compare_double);
    return values[count / 2];
}
