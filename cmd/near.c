/* SPDX-License-Identifier: Apache-2.0 */
/*
 * near: optimal string alignment distance (Damerau-Levenshtein without overlapping edits), three rows at a time.
 *
 * A swap of neighbours counts as one edit because it is the commonest slip of a typist. The bound grows
 * with the word: "cal" is near "call", but no three letters are near three quite different ones.
 */
#include "cmd/near.h"

#include <string.h>

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t stead_near_distance(const char *a, const char *b)
{
    size_t a_size = strlen(a), b_size = strlen(b);
    size_t rows[3][STEAD_NEAR_WORD_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];

    if (a_size > STEAD_NEAR_WORD_MAX || b_size > STEAD_NEAR_WORD_MAX)
        return STEAD_NEAR_WORD_MAX;
    for (size_t j = 0; j <= b_size; j++)
        last[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            row[j] = smaller(last[j - 1] + (a[i - 1] != b[j - 1]), smaller(last[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = smaller(row[j], before[j - 2] + 1);
        }
        size_t *oldest = before;
        before = last;
        last = row;
        row = oldest;
    }
    return last[b_size];
}

const char *stead_near_find(const char *word, const char *const *words)
{
    size_t word_size = strlen(word);
    size_t best = (word_size + 2) / 3; /* edits allowed */
    const char *found = NULL, *begun = NULL;

    for (; *words; words++) {
        size_t distance = stead_near_distance(word, *words);
        if (distance < best || (distance == best && !found)) {
            best = distance;
            found = *words;
        }
        if (!begun && word_size >= 2 && strncmp(word, *words, word_size) == 0)
            begun = *words;
    }
    return begun ? begun : found;
}
