/* SPDX-License-Identifier: Apache-2.0 */
/*
 * near: finds what somebody who mistyped a word most likely meant. Pure; any thread.
 */
#ifndef STEAD_CMD_NEAR_H
#define STEAD_CMD_NEAR_H

#include <stddef.h>

#define STEAD_NEAR_WORD_MAX 64u /* bytes; longer words are near to nothing */

/* Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`; STEAD_NEAR_WORD_MAX when either is longer
 * than that. */
size_t stead_near_distance(const char *a, const char *b);

/* The nearest of `words` (ended by NULL) that is near enough to be meant: one edit for each three letters begun, or
 * `word` begins it. NULL when none is; the first of equals. Borrowed from `words`. */
const char *stead_near_find(const char *word, const char *const *words);

#endif
