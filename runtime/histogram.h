/* SPDX-License-Identifier: Apache-2.0 */
/*
 * histogram: counts of non-negative numbers in buckets of at most 1/16 relative error (log-linear, as in HdrHistogram).
 * Fixed size, no allocation; merging two is adding their counts. Plain memory, one thread at a time.
 */
#ifndef STEAD_RUNTIME_HISTOGRAM_H
#define STEAD_RUNTIME_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define STEAD_HISTOGRAM_SUB 16u /* linear buckets in each power of two */
#define STEAD_HISTOGRAM_BUCKETS (STEAD_HISTOGRAM_SUB * 45u)

struct stead_histogram {
    uint64_t count; /* numbers recorded */
    uint64_t sum;   /* of them, wrapping */
    uint64_t min, max;
    uint32_t buckets[STEAD_HISTOGRAM_BUCKETS]; /* saturating */
};

/* Empties it; adds one number; adds all of `from` to `into`. */
void stead_histogram_reset(struct stead_histogram *histogram);
void stead_histogram_add(struct stead_histogram *histogram, uint64_t number);
void stead_histogram_merge(struct stead_histogram *into, const struct stead_histogram *from);
/* The number that `permille` of 1000 are at or below (the bucket's upper end, never above max); 0 when empty. */
uint64_t stead_histogram_quantile(const struct stead_histogram *histogram, uint32_t permille);
uint64_t stead_histogram_mean(const struct stead_histogram *histogram);

#endif
