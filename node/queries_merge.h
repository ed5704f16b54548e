/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queries_merge: the payloads of answers to queries: numbers written out, parts of several reactors made one. Rules and
 * fields: docs/OPERATIONS.md, "Queries". Pure; any thread.
 */
#ifndef STEAD_NODE_QUERIES_MERGE_H
#define STEAD_NODE_QUERIES_MERGE_H

#include "persist/log_writer.h"
#include "runtime/message.h"
#include "runtime/stats.h"

/* Three pairs of a map: counters, gauges, histograms of a host. */
void stead_queries_write_host(const struct stead_stats *stats, struct stead_writer *value);
/* The map of the log writer. */
void stead_queries_write_log_writer(const struct stead_log_writer_stats *stats, struct stead_writer *value);
/* One array of the elements of all parts, whose payloads are arrays. */
void stead_queries_join_arrays(struct stead_message *const *parts, uint32_t part_count, struct stead_writer *value);
/* {agents, next}: in order of addresses, cut at `limit` of the arguments, at the bytes of a page and at the smallest
 * `next` of the parts. */
void stead_queries_merge_agents(struct stead_message *const *parts, uint32_t part_count, struct stead_slice args,
                                struct stead_writer *value);
/* {letters, next}: the same of letters, in the order of their places (letter_pages.h). */
void stead_queries_merge_letters(struct stead_message *const *parts, uint32_t part_count, struct stead_slice args,
                                 struct stead_writer *value);

#endif
