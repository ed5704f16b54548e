/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse: the numbers of command lines, with units, strictly: what is not understood to its last character is refused.
 * Pure; any thread.
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

#endif
