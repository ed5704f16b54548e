/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table: who owns what, as one immutable, reference-counted snapshot.
 *
 * The coordinator makes tables; nodes and clients hold the newest they have heard of and route by it. A table is
 * never changed: a change is a new table with a higher version. Encoded as msgpack (docs/FORMATS.md).
 *
 * Threads: a snapshot may be shared by threads; its reference count is atomic.
 */
#ifndef STEAD_RUNTIME_TABLE_H
#define STEAD_RUNTIME_TABLE_H

#include "runtime/ids.h"
#include "stead/agent.h"

#define STEAD_NODES_MAX 256u
#define STEAD_REACTORS_MAX 64u
#define STEAD_SHARDS_MAX 4096u
#define STEAD_LABELS_MAX 16u
#define STEAD_NODE_NAME_MAX 63u
#define STEAD_KINDS_MAX 4096u

struct stead_table_node {
    uint32_t id;          /* from 1, given by the coordinator, never reused */
    uint64_t incarnation; /* +1 at each start of the node */
    char name[STEAD_NODE_NAME_MAX + 1];
    bool alive; /* the coordinator has heard from it lately; a hint, never a decision */
    uint32_t label_count;
    const char *const *labels; /* owned by the table */
    uint32_t reactor_count;
    const char *const *endpoints; /* one per reactor, as tcp://127.0.0.1:7400; owned by the table */
};

struct stead_table_shard {
    uint32_t id;          /* from 1, never reused */
    uint64_t epoch;       /* +1 at each change of this shard's configuration */
    uint32_t node;        /* id of the primary; 0: none */
    uint64_t incarnation; /* of that node */
    uint16_t reactor;     /* of that node */
    uint8_t group;        /* placement group */
};

struct stead_table_kind {
    char name[STEAD_KIND_NAME_MAX + 1];
    uint8_t group;      /* placement group, fixed when the kind was first registered */
    uint8_t durability; /* enum stead_durability */
    const char *needs;  /* label, or NULL; owned by the table */
};

struct stead_table {
    uint64_t version;        /* +1 at each change */
    struct stead_id cluster; /* random, made once */
    bool formed;             /* slots have been handed out */
    uint32_t nodes_expected; /* the cluster forms when so many have registered */
    uint32_t node_count, shard_count, kind_count;
    const struct stead_table_node *nodes;   /* by id, ascending */
    const struct stead_table_shard *shards; /* by id, ascending */
    const struct stead_table_kind *kinds;   /* by name, ascending */
    const char *group_needs[STEAD_GROUPS];  /* label that a group's shards need, or NULL */
    const uint16_t *slots;                  /* STEAD_SLOTS entries: index into shards + 1; 0: nobody */
    /* the table's own memory follows; see table.c */
};

/* 0 or STEAD_ECORRUPT; a hostile table is refused whole. */
int stead_table_decode(struct stead_slice bytes, struct stead_table **ret_table) STEAD_MUST_USE;
void stead_table_encode(const struct stead_table *table, struct stead_writer *writer);
/* A deep copy of what may lie in other memory, with one reference. Trusts `from` to be whole. Returned. */
struct stead_table *stead_table_copy(const struct stead_table *from);
/* One reference more; returns `table`. */
struct stead_table *stead_table_hold(struct stead_table *table);
/* Nulls `*table`; NULL is fine. */
void stead_table_release(struct stead_table **table);

/* Borrowed from the table; NULL when there is none. */
const struct stead_table_shard *stead_table_shard_of(const struct stead_table *table, stead_slot slot);
const struct stead_table_shard *stead_table_shard_find(const struct stead_table *table, uint32_t shard);
const struct stead_table_node *stead_table_node_find(const struct stead_table *table, uint32_t node);
const struct stead_table_kind *stead_table_kind_find(const struct stead_table *table, const char *name, size_t size);
bool stead_table_node_has(const struct stead_table_node *node, const char *label);

#endif
