/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table_builder: a table (table.h) while it is being made.
 *
 * The coordinator starts one from its newest table, changes it, and builds the next version; the decoder fills one from
 * bytes. Everything handed in is copied. The builder refuses what no table may hold, so a table that was built is
 * always whole: ids ascend and are unique, every slot names a shard of its own group, every shard's node is known.
 *
 *     builder = stead_table_builder_create(table);
 *     stead_table_builder_put_shard(builder, &shard);
 *     table = stead_table_builder_build(builder, version + 1);
 *
 * Pure; one thread at a time.
 */
#ifndef STEAD_RUNTIME_TABLE_BUILDER_H
#define STEAD_RUNTIME_TABLE_BUILDER_H

#include "runtime/table.h"

struct stead_table_builder;

/* `from` is borrowed and copied whole; NULL: an empty table, not formed, no slot owned. */
struct stead_table_builder *stead_table_builder_create(const struct stead_table *from);
/* Nulls `*builder`; NULL is fine. */
void stead_table_builder_destroy(struct stead_table_builder **builder);

/* The fields of the table itself, as struct stead_table says. */
void stead_table_builder_set_cluster(struct stead_table_builder *builder, struct stead_id cluster);
void stead_table_builder_set_formed(struct stead_table_builder *builder, bool formed, uint32_t nodes_expected);

/* Each adds, or replaces what has the same id or name; the struct and all it points to are borrowed and copied.
 * STEAD_EARGUMENT: an id of 0, a name, label or endpoint that is empty, too long or twice there, a count or group out
 * of range; STEAD_ENOTFOUND: a shard's node is not there; STEAD_ELIMIT: the table is full. */
int stead_table_builder_put_node(struct stead_table_builder *builder,
                                 const struct stead_table_node *node) STEAD_MUST_USE;
int stead_table_builder_put_shard(struct stead_table_builder *builder,
                                  const struct stead_table_shard *shard) STEAD_MUST_USE;
int stead_table_builder_put_kind(struct stead_table_builder *builder,
                                 const struct stead_table_kind *kind) STEAD_MUST_USE;
/* The label that nodes need to own shards of a named group (1 to 14); NULL: none. STEAD_EARGUMENT. */
int stead_table_builder_set_needs(struct stead_table_builder *builder, unsigned group,
                                  const char *label) STEAD_MUST_USE;
/* Gives `count` slots from `first` on to a shard; 0: to nobody. STEAD_EARGUMENT: beyond the last slot, or not of the
 * shard's group; STEAD_ENOTFOUND: no such shard. */
int stead_table_builder_put_slots(struct stead_table_builder *builder, stead_slot first, uint32_t count,
                                  uint32_t shard) STEAD_MUST_USE;

/* Borrowed, valid until the next change; NULL when there is none. Changes go through the functions above. */
const struct stead_table_node *stead_table_builder_node(const struct stead_table_builder *builder, uint32_t node);
const struct stead_table_node *stead_table_builder_node_named(const struct stead_table_builder *builder,
                                                              const char *name);
const struct stead_table_shard *stead_table_builder_shard(const struct stead_table_builder *builder, uint32_t shard);
const struct stead_table_kind *stead_table_builder_kind(const struct stead_table_builder *builder, const char *name);

/* The table as it is now, under `version`. The builder can go on. Returned: release it. */
struct stead_table *stead_table_builder_build(const struct stead_table_builder *builder, uint64_t version);

#endif
