/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse: digits, perhaps a fraction, a unit out of a table. strtod would take "0x1p3", "inf" and the locale's comma, so
 * the digits are read here. Three digits of a fraction count: the smallest unit is a thousandth of the default one.
 */
#define _GNU_SOURCE /* strptime */
#include "cmd/parse.h"

#include <stddef.h>
#include <string.h>
#include <time.h>

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit duration_units[] = {{"", 1},        {"ms", 1},      {"s", 1000},     {"m", 60000},
                                             {"min", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
static const struct unit size_units[] = {{"", 1},           {"B", 1},
                                         {"K", 1ull << 10}, {"KiB", 1ull << 10},
                                         {"M", 1ull << 20}, {"MiB", 1ull << 20},
                                         {"G", 1ull << 30}, {"GiB", 1ull << 30},
                                         {"T", 1ull << 40}, {"TiB", 1ull << 40},
                                         {NULL, 0}};

/* Reads digits; the first character that is none. NULL: there are none, or too many. */
static const char *read_digits(const char *text, uint64_t *ret_number)
{
    uint64_t number = 0;
    const char *at = text;

    for (; *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(number, 10u, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*at - '0'), &number))
            return NULL;
    }
    if (at == text)
        return NULL;
    *ret_number = number;
    return at;
}

static bool parse_unit(const char *text, const struct unit *units, uint64_t *ret_number)
{
    uint64_t number = 0, thousandths = 0, product;
    const char *at = read_digits(text, &number);

    if (at && *at == '.') {
        uint64_t digits = 0, scale = 100;
        if (!read_digits(at + 1, &digits))
            return false;
        for (at++; *at >= '0' && *at <= '9'; at++, scale /= 10)
            thousandths += (uint64_t)(*at - '0') * scale;
    }
    if (!at)
        return false;
    for (; units->name; units++) {
        if (strcmp(at, units->name) != 0)
            continue;
        if (__builtin_mul_overflow(number, units->factor, &product) ||
            __builtin_add_overflow(product, units->factor * thousandths / 1000, &product))
            return false;
        *ret_number = product;
        return true;
    }
    return false;
}

bool stead_parse_duration(const char *text, uint64_t max_ms, uint64_t *ret_ms)
{
    uint64_t ms = 0;

    if (!parse_unit(text, duration_units, &ms) || ms > max_ms)
        return false;
    *ret_ms = ms;
    return true;
}

bool stead_parse_size(const char *text, uint64_t *ret_bytes)
{
    return parse_unit(text, size_units, ret_bytes);
}

bool stead_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret_number)
{
    uint64_t number = 0;
    const char *end = read_digits(text, &number);

    if (!end || *end || number < min || number > max)
        return false;
    *ret_number = number;
    return true;
}

int64_t stead_parse_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool stead_parse_moment(const char *text, int64_t now_ms, int64_t *ret_ms)
{
    static const char *const formats[] = {"%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S",
                                          "%Y-%m-%dT%H:%M:%S"};
    uint64_t ago_ms = 0;

    for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
        struct tm tm = {.tm_isdst = -1};
        const char *end = strptime(text, formats[i], &tm);
        if (!end || *end)
            continue;
        time_t seconds = mktime(&tm);
        if (seconds <= 0)
            return false;
        *ret_ms = (int64_t)seconds * 1000;
        return true;
    }
    if (now_ms < 1 || !stead_parse_duration(text, (uint64_t)now_ms - 1, &ago_ms))
        return false;
    *ret_ms = now_ms - (int64_t)ago_ms;
    return true;
}
