/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print: what people read: aligned columns, and times, durations, sizes and counts in the units of daily life.
 *
 * Texts that come from agents pass stead_print_safe() on their way to a terminal, which obeys control characters.
 * Called by the subcommands; any thread.
 */
#ifndef STEAD_CMD_PRINT_H
#define STEAD_CMD_PRINT_H

#include <stdio.h>

#include "stead/value.h"

#define STEAD_PRINT_SIZE 40 /* bytes that any of the functions with ret_text needs at most */
#define STEAD_PRINT_COLUMNS_MAX 20u

/* The text with control characters as \n, \t or \xNN. Returned: free() it. */
char *stead_print_safe(struct stead_slice text);

/* Local time, "2026-11-23 04:33:42.123"; "-" for 0. */
const char *stead_print_time(uint64_t time_ms, char *ret_text);
/* Three digits at most: "950 ns", "1.25 us", "43 ms", "12.5 s", then "3 m 20 s", "5 h 3 m", "12 d 4 h". */
const char *stead_print_duration(uint64_t duration_ns, char *ret_text);
/* "512 B", "1.5 KiB", "16 MiB". */
const char *stead_print_size(uint64_t bytes, char *ret_text);
/* "1,234,567". */
const char *stead_print_count(uint64_t count, char *ret_text);

/* ---- Columns -------------------------------------------------------------------------------- */

struct stead_columns;

/* `titles` ends with NULL, at most STEAD_PRINT_COLUMNS_MAX; one that begins with `>` (not shown) aligns its column to
 * the right. Borrowed for the columns' life. Returned: destroy it. */
struct stead_columns *stead_columns_create(const char *const *titles);
void stead_columns_destroy(struct stead_columns **columns);
/* Appends the next cell; rows fill up from the left. Control characters are made safe. */
void stead_columns_add(struct stead_columns *columns, const char *format, ...) STEAD_PRINTF(2, 3);
/* Whole rows so far. */
size_t stead_columns_rows(const struct stead_columns *columns);
/* Prints titles (in bold when `bold`) and rows, two spaces apart, without spaces at line ends. Every row is whole. */
void stead_columns_print(const struct stead_columns *columns, FILE *file, bool bold);
/* The same on lines of `width` characters (0: any): columns that have no room go into further blocks below, each with
 * the first `keys` columns before it. A line is longer only where the keys and one column are. */
void stead_columns_print_within(const struct stead_columns *columns, FILE *file, bool bold, size_t width, size_t keys);
/* Characters of a line of the terminal that `file` is; 0: it is none, or does not say. */
size_t stead_print_width(FILE *file);

/* True when `file` is a terminal that may be given bold text: not with NO_COLOR or TERM=dumb. */
bool stead_print_is_fancy(FILE *file);

#endif
