/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_merge: the answers of several nodes to one query, as one (docs/OPERATIONS.md, Queries).
 * Pure; any thread.
 */
#ifndef STEAD_NET_CLIENT_MERGE_H
#define STEAD_NET_CLIENT_MERGE_H

#include "stead/value.h"

/* Writes one map to `ret_value`: lists of the same name are joined, anything else is the first answer's. `answers`:
 * well-formed values, one of each node that answered; what is no map is left out. `missing`: the names of the nodes
 * that did not. */
void stead_client_merge(const struct stead_slice *answers, uint32_t answer_count, const char *const *missing,
                        uint32_t missing_count, struct stead_writer *ret_value);
/* The same for pages of `agents`: in the order of the addresses, cut behind `limit` and behind what every node has told
 * of, so that nothing is skipped between this page and the next. */
void stead_client_merge_pages(const struct stead_slice *answers, uint32_t answer_count, const char *const *missing,
                              uint32_t missing_count, uint64_t limit, struct stead_writer *ret_value);
/* The same for pages of `deadletters`, in the order of their places (runtime/letter_pages.h). */
void stead_client_merge_letters(const struct stead_slice *answers, uint32_t answer_count, const char *const *missing,
                                uint32_t missing_count, uint64_t limit, struct stead_writer *ret_value);

#endif
