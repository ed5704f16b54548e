/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator_state: what the coordinator remembers: nodes, shards, kinds, groups; their rows on disk; the table made
 * of them.
 *
 * Called by: coordinator.c only, which decides what changes; this module keeps, stores and shows it. A row is the whole
 * of one thing (docs/FORMATS.md, "Coordinator rows"):
 *
 *     "m"            {v, cluster, expected, formed, version, node, shard, needs}   one, changes with every change
 *     "n" id BE32    {name, identity, start, incarnation, alive, spr, labels, endpoints}
 *     "s" id BE32    {epoch, node, incarnation, reactor, group, first, count}
 *     "k" name       {group, durability, needs}
 *
 * Pure; one thread.
 */
#ifndef STEAD_RUNTIME_COORDINATOR_STATE_H
#define STEAD_RUNTIME_COORDINATOR_STATE_H

#include "runtime/coordinator.h"

#define STEAD_COORDINATOR_FORMAT 1u         /* of the rows; another one is refused */
#define STEAD_COORDINATOR_ENDPOINT_MAX 127u /* bytes of an endpoint */
#define STEAD_COORDINATOR_LABEL_MAX 63u     /* bytes of a label */
#define STEAD_COORDINATOR_SHARDS_PER_REACTOR_MAX 256u

struct stead_coordinator_node {
    uint32_t id;                        /* from 1; never changes */
    char name[STEAD_NODE_NAME_MAX + 1]; /* unique among the nodes */
    struct stead_id identity;           /* of the data folder; unique among the nodes */
    struct stead_id start;              /* of the process that registered last */
    uint64_t incarnation;               /* +1 at each start */
    bool alive;                         /* heard from lately, or restored and not yet given up */
    uint64_t heard_ms;                  /* when; not stored */
    uint32_t shards_per_reactor;        /* wanted */
    uint32_t label_count;
    uint32_t endpoint_count; /* reactors */
    char **labels;           /* owned, as the next */
    char **endpoints;
};

struct stead_coordinator_shard {
    uint32_t id; /* from 1; never changes */
    uint64_t epoch;
    uint32_t node;        /* id; always known */
    uint64_t incarnation; /* of that node when it swapped last */
    uint16_t reactor;     /* below that node's endpoint_count */
    uint8_t group;
    uint16_t first; /* its slots: [first, first + count) of the group, by their low 12 bits */
    uint16_t count; /* at least 1 */
};

struct stead_coordinator_kind {
    char name[STEAD_KIND_NAME_MAX + 1];
    uint8_t group;
    uint8_t durability;
    char *needs; /* owned; NULL: nothing */
};

struct stead_coordinator {
    struct stead_id cluster;
    uint32_t nodes_expected;
    uint32_t alive_ms_max;
    bool restored; /* steps are allowed */
    bool formed;   /* slots of the default group are handed out */
    uint64_t version;
    uint32_t next_node, next_shard;  /* ids not given yet */
    char *group_needs[STEAD_GROUPS]; /* owned label of a named group, NULL: the group is not in use */
    uint64_t ticked_ms;              /* last TICK */
    uint32_t node_count, shard_count, kind_count;
    uint32_t node_capacity, shard_capacity, kind_capacity;
    struct stead_coordinator_node *nodes;   /* by id */
    struct stead_coordinator_shard *shards; /* by id */
    struct stead_coordinator_kind *kinds;   /* by name */
    struct stead_table *table;              /* of `version`, or NULL: to be made */
};

/* Borrowed, until the next add or remove; NULL when there is none. */
struct stead_coordinator_node *stead_coordinator_node_find(const struct stead_coordinator *c, uint32_t id);
struct stead_coordinator_node *stead_coordinator_node_named(const struct stead_coordinator *c, const char *name);
struct stead_coordinator_node *stead_coordinator_node_of(const struct stead_coordinator *c, struct stead_id identity);
struct stead_coordinator_shard *stead_coordinator_shard_find(const struct stead_coordinator *c, uint32_t id);
struct stead_coordinator_kind *stead_coordinator_kind_find(const struct stead_coordinator *c, const char *name);

/* Adds a zeroed one in its place; the caller checked that the id or name is not there. Borrowed. */
struct stead_coordinator_node *stead_coordinator_node_add(struct stead_coordinator *c, uint32_t id);
struct stead_coordinator_shard *stead_coordinator_shard_add(struct stead_coordinator *c, uint32_t id);
struct stead_coordinator_kind *stead_coordinator_kind_add(struct stead_coordinator *c, const char *name);
/* Frees its texts. */
void stead_coordinator_node_remove(struct stead_coordinator *c, struct stead_coordinator_node *node);
/* Replaces labels and endpoints by copies. */
void stead_coordinator_node_describe(struct stead_coordinator_node *node, const char *const *labels,
                                     uint32_t label_count, const char *const *endpoints, uint32_t endpoint_count);
bool stead_coordinator_node_has(const struct stead_coordinator_node *node, const char *label);
/* True when a shard is the node's. */
bool stead_coordinator_node_owns(const struct stead_coordinator *c, uint32_t node);

/* Append the row of one thing to `rows`, as a mutation. */
void stead_coordinator_put_meta(const struct stead_coordinator *c, struct stead_writer *rows);
void stead_coordinator_put_node(const struct stead_coordinator_node *node, struct stead_writer *rows);
void stead_coordinator_delete_node(const struct stead_coordinator_node *node, struct stead_writer *rows);
void stead_coordinator_put_shard(const struct stead_coordinator_shard *shard, struct stead_writer *rows);
void stead_coordinator_put_kind(const struct stead_coordinator_kind *kind, struct stead_writer *rows);

/* 0, or STEAD_ECORRUPT with what is wrong in `ret_why` (STEAD_COORDINATOR_WHY_SIZE bytes; "" before). */
int stead_coordinator_verify(const struct stead_coordinator *c, char *ret_why) STEAD_MUST_USE;
/* Checks of the texts that a registration brings. */
bool stead_coordinator_label_check(const char *label);
bool stead_coordinator_node_name_check(const char *name);
bool stead_coordinator_endpoint_check(const char *endpoint);

#endif
