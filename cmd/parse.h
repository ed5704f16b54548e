/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse: the numbers of command lines, with units, strictly: what is not understood to its last character is refused.
 * Pure but for the clock and the local time zone; any thread.
 */
#ifndef STEAD_CMD_PARSE_H
#define STEAD_CMD_PARSE_H

#include <stdbool.h>
#include <stdint.h>

/* "250ms", "5s", "1.5s", "2m", "12h", "1d"; a bare number is milliseconds. False: not one, or over `max_ms`. */
bool stead_parse_duration(const char *text, uint64_t max_ms, uint64_t *ret_ms);

/* "65536", "64K", "512M", "2G", also "MiB" and the like; powers of 1024. */
bool stead_parse_size(const char *text, uint64_t *ret_bytes);

/* Decimal digits, min <= number <= max. */
bool stead_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret_number);

/* "2026-11-23", "2026-11-23 04:33" or "2026-11-23 04:33:42" (also with a T) in local time, or a duration: so long
 * before `now_ms`. Milliseconds since 1970, from 1. False: neither. */
bool stead_parse_moment(const char *text, int64_t now_ms, int64_t *ret_ms);
/* Milliseconds since 1970, by the system's clock. */
int64_t stead_parse_now_ms(void);

#endif
