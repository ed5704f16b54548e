/* SPDX-License-Identifier: Apache-2.0 */
/*
 * letter_pages: pages of dead letters of many agents, in the order of slot, address and number. A store keeps them in
 * that order, so a page goes on where the last one ended without looking at anything before it.
 *
 * Pure; any thread.
 */
#ifndef STEAD_RUNTIME_LETTER_PAGES_H
#define STEAD_RUNTIME_LETTER_PAGES_H

#include "stead/value.h"

/* Where a letter is; what a page's `next` and `after` say. */
struct stead_letter_place {
    uint64_t slot;
    struct stead_slice address; /* borrowed */
    uint64_t id;                /* UINT64_MAX: behind all letters of the agent */
};

/* {slot, address, id} of a letter or of a `next`, other members passed over; what is missing is 0 or empty.
 * STEAD_EARGUMENT: no map, or one of them of another type. */
int stead_letter_place_read(struct stead_slice map, struct stead_letter_place *ret_place) STEAD_MUST_USE;
void stead_letter_place_write(const struct stead_letter_place *place, struct stead_writer *writer);
int stead_letter_place_compare(const struct stead_letter_place *a, const struct stead_letter_place *b);

/* Writes two pairs of a map, `letters` and `next`, of the pages of several parts: in order, cut at the smallest `next`
 * of the parts, behind `limit` letters and before the letter that would make it more than `bytes_max`; one is always
 * kept. A part of another form counts as empty. */
void stead_letter_pages_merge(const struct stead_slice *parts, uint32_t part_count, uint64_t limit, size_t bytes_max,
                              struct stead_writer *writer);

#endif
