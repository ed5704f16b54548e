/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base: what every file of the core may use: assertions that stay on in release, memory that never fails, little-endian
 * loads and stores, a random generator, and printing into a buffer. Pure; any thread.
 */
#ifndef STEAD_RUNTIME_BASE_H
#define STEAD_RUNTIME_BASE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "stead/error.h"

/* A programming error stops the process, in release too. */
#define STEAD_ASSERT(condition) ((condition) ? (void)0 : stead_assert_failed(#condition, __FILE__, __LINE__))
_Noreturn void stead_assert_failed(const char *condition, const char *file, int line);

/* Never NULL; memory exhausted stops the process. Free with free(). */
void *stead_alloc(size_t size);
void *stead_alloc_zero(size_t size);
void *stead_realloc(void *memory, size_t size);
char *stead_text_copy(const char *text);

static inline uint16_t stead_load16(const uint8_t *at)
{
    uint16_t v;
    memcpy(&v, at, sizeof v);
    return v;
}
static inline uint32_t stead_load32(const uint8_t *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof v);
    return v;
}
static inline uint64_t stead_load64(const uint8_t *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof v);
    return v;
}
static inline void stead_store16(uint8_t *at, uint16_t v)
{
    memcpy(at, &v, sizeof v);
}
static inline void stead_store32(uint8_t *at, uint32_t v)
{
    memcpy(at, &v, sizeof v);
}
static inline void stead_store64(uint8_t *at, uint64_t v)
{
    memcpy(at, &v, sizeof v);
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "stead runs on little-endian machines");

/* xoshiro256** (Blackman and Vigna 2018), seeded through splitmix64. */
struct stead_rng {
    uint64_t s[4];
};
void stead_rng_seed(struct stead_rng *rng, uint64_t seed);
uint64_t stead_rng_next(struct stead_rng *rng);
/* 0 <= result < bound; bound > 0. */
uint64_t stead_rng_below(struct stead_rng *rng, uint64_t bound);

/* Like snprintf, always terminated, for: %s %.*s %c %d %i %u %ld %lu %lld %llu %zu %x %lx %llx %f %.2f %p %%, widths
 * with zero or space fill, and '-'. Anything else ends the formatting: the rest of the format is copied as it stands.
 * Returns the bytes that the whole text needs without its zero. */
size_t stead_format(char *buffer, size_t size, const char *format, ...) STEAD_PRINTF(3, 4);
size_t stead_format_v(char *buffer, size_t size, const char *format, va_list args);

/* 32 hexadecimal digits and a zero. */
void stead_hex(char *ret_text, const uint8_t *bytes, size_t size);
/* STEAD_EARGUMENT unless the text is exactly 2 x size digits, of either case. */
int stead_unhex(const char *text, size_t text_size, uint8_t *ret_bytes, size_t size) STEAD_MUST_USE;

#endif
