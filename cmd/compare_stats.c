/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare_stats: samples to figures.
 *
 * A quantile is a sample, never something between two: the one at floor((n - 1) x q). Below STEAD_COMPARE_P99_MIN
 * samples there is no p99: it would be the largest one under another name.
 */
#include "cmd/compare.h"

void stead_distribution_of(uint64_t *samples, size_t count, double unit_ns, struct stead_distribution *ret_it)
{
    struct stead_distribution it = {.count = count, .p99 = -1};
    double sum = 0;

    *ret_it = it;
    if (count == 0)
        return;
    it.p50 = (double)stead_bench_quantile(samples, count, 500) / unit_ns;
    if (count >= STEAD_COMPARE_P99_MIN)
        it.p99 = (double)stead_bench_quantile(samples, count, 990) / unit_ns;
    for (size_t i = 0; i < count; i++)
        sum += (double)samples[i];
    it.mean = sum / (double)count / unit_ns;
    it.min = (double)samples[0] / unit_ns;
    it.max = (double)samples[count - 1] / unit_ns;
    it.quantile_count = count < STEAD_COMPARE_QUANTILES ? (uint32_t)count : STEAD_COMPARE_QUANTILES;
    for (uint32_t i = 0; i < it.quantile_count; i++) {
        size_t at = it.quantile_count > 1 ? (count - 1) * i / (it.quantile_count - 1) : 0;
        it.quantiles[i] = (double)samples[at] / unit_ns;
    }
    *ret_it = it;
}
