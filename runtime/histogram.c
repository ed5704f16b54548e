/* SPDX-License-Identifier: Apache-2.0 */
/*
 * histogram: log-linear buckets. A number below 32 has a bucket of its own; above, each power of two is cut into SUB =
 * 16 equal parts, so a bucket is at most 1/16 of the numbers in it wide.
 *
 *   number          0 .. 31     32 .. 63 (2 wide)   64 .. 127 (4 wide)  ...
 *   bucket          0 .. 31     32 .. 47            48 .. 63            ...
 *
 * 45 rows of 16 reach just below 2^48 (three days in nanoseconds); what is above is counted in the last bucket, and the
 * exact maximum, kept beside, still tells it.
 */
#include "runtime/histogram.h"

#include <string.h>

#define SUB_BITS 4

_Static_assert(STEAD_HISTOGRAM_SUB == 1u << SUB_BITS, "the bits of a sub-bucket");

static uint32_t bucket_of(uint64_t number)
{
    if (number < STEAD_HISTOGRAM_SUB)
        return (uint32_t)number;
    uint32_t power = 63 - (uint32_t)__builtin_clzll(number); /* the highest bit, SUB_BITS at least */
    uint32_t row = power - SUB_BITS + 1;
    uint32_t bucket =
        row * STEAD_HISTOGRAM_SUB + ((uint32_t)(number >> (power - SUB_BITS)) & (STEAD_HISTOGRAM_SUB - 1));

    return bucket < STEAD_HISTOGRAM_BUCKETS ? bucket : STEAD_HISTOGRAM_BUCKETS - 1;
}

/* The largest number of a bucket. */
static uint64_t bucket_end(uint32_t bucket)
{
    uint32_t row = bucket / STEAD_HISTOGRAM_SUB;
    uint64_t part = bucket % STEAD_HISTOGRAM_SUB;

    if (row == 0)
        return part;
    return ((STEAD_HISTOGRAM_SUB + part + 1) << (row - 1)) - 1;
}

void stead_histogram_reset(struct stead_histogram *histogram)
{
    memset(histogram, 0, sizeof *histogram);
}

static uint32_t add_saturating(uint32_t a, uint32_t b)
{
    return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

void stead_histogram_add(struct stead_histogram *histogram, uint64_t number)
{
    uint32_t *bucket = &histogram->buckets[bucket_of(number)];

    *bucket = add_saturating(*bucket, 1);
    if (histogram->count == 0 || number < histogram->min)
        histogram->min = number;
    if (number > histogram->max)
        histogram->max = number;
    histogram->count++;
    histogram->sum += number;
}

void stead_histogram_merge(struct stead_histogram *into, const struct stead_histogram *from)
{
    if (from->count == 0)
        return;
    if (into->count == 0 || from->min < into->min)
        into->min = from->min;
    if (from->max > into->max)
        into->max = from->max;
    into->count += from->count;
    into->sum += from->sum;
    for (uint32_t i = 0; i < STEAD_HISTOGRAM_BUCKETS; i++)
        into->buckets[i] = add_saturating(into->buckets[i], from->buckets[i]);
}

uint64_t stead_histogram_quantile(const struct stead_histogram *histogram, uint32_t permille)
{
    uint64_t total = 0, seen = 0, wanted;

    for (uint32_t i = 0; i < STEAD_HISTOGRAM_BUCKETS; i++)
        total += histogram->buckets[i]; /* not `count`: buckets may have saturated */
    if (total == 0)
        return 0;
    if (permille > 1000)
        permille = 1000;
    wanted = total / 1000 * permille + (total % 1000 * permille + 999) / 1000; /* rounded up, without overflow */
    if (wanted == 0)
        return histogram->min;
    for (uint32_t i = 0; i < STEAD_HISTOGRAM_BUCKETS - 1; i++) {
        seen += histogram->buckets[i];
        if (seen >= wanted)
            return bucket_end(i) < histogram->max ? bucket_end(i) : histogram->max;
    }
    return histogram->max;
}

uint64_t stead_histogram_mean(const struct stead_histogram *histogram)
{
    return histogram->count == 0 ? 0 : histogram->sum / histogram->count;
}
