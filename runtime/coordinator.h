/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator: the small consistent store of who owns what, as a pure state machine.
 *
 * One command in; out come the rows that must be on disk first, then the reply, then whether a new table has to be
 * pushed: persist, then speak. The process around it (node/coordinator_server.c) and the simulator drive the same code.
 * What is on disk is only rows; a coordinator that starts is given them back with stead_coordinator_restore() and is
 * then where it was.
 *
 * Rules it keeps (docs/INVARIANTS.md):
 *   R1  a shard's configuration changes only by compare-and-swap, and its epoch is then one higher; it never falls
 *   R9  a configuration names (node, incarnation); only the present incarnation of the shard's own node may swap it
 *   K1 to K5  ids are never given twice; a slot has one owner; a kind's group never changes; ...
 * A command whose outcome the sender did not hear may be sent again: register is recognised by its `start`, claim by
 * its result.
 *
 * Time: `now_ms` is any monotonic clock; it only decides who looks alive, which is a hint. Nothing here blocks or
 * prints. Threads: one coordinator, one thread. Tables it returns may be held by any thread.
 */
#ifndef STEAD_RUNTIME_COORDINATOR_H
#define STEAD_RUNTIME_COORDINATOR_H

#include "runtime/table.h"

#define STEAD_COORDINATOR_WHY_SIZE 256u /* bytes of a sentence, its zero included */

struct stead_coordinator;

struct stead_coordinator_options {
    struct stead_id cluster; /* random name of a new cluster; a restored one keeps its own */
    uint32_t nodes_expected; /* of a new cluster: slots are handed out when so many nodes have registered; at least 1 */
    uint32_t alive_ms_max;   /* a node not heard from for so long is shown as dead; 0: 3,000 */
};

/* ---- Commands ------------------------------------------------------------------------------- */

/* What a node says of a kind it has loaded. Borrowed texts. */
struct stead_kind_registration {
    const char *name;   /* [a-z][a-z0-9_.-]{0,62} */
    const char *needs;  /* label, or NULL */
    uint8_t durability; /* enum stead_durability */
};

/* A node that starts. Borrowed texts and lists. */
struct stead_node_registration {
    const char *name;         /* [A-Za-z0-9_.-]{1,63}, unique among the nodes */
    struct stead_id identity; /* random, made once, kept in the node's data folder: the same node after a restart */
    struct stead_id start;    /* random, made at each start of the process: a repeated command is not a second start */
    uint32_t endpoint_count;  /* one per reactor, 1 to STEAD_REACTORS_MAX */
    uint32_t label_count;     /* at most STEAD_LABELS_MAX */
    uint32_t kind_count;      /* at most STEAD_KINDS_MAX */
    uint32_t shards_per_reactor; /* wanted when slots are handed out; at least 1 */
    const char *const *endpoints;
    const char *const *labels;
    const struct stead_kind_registration *kinds;
};

/* Compare-and-swap of one shard's configuration to (the claiming node, its incarnation, reactor) under expected_epoch +
 * 1. */
struct stead_shard_claim {
    uint32_t shard;
    uint64_t expected_epoch;
    uint16_t reactor; /* of the claiming node */
};

enum stead_coordinator_op {
    STEAD_COORDINATOR_REGISTER = 1, /* -> id and incarnation */
    STEAD_COORDINATOR_CLAIM = 2,    /* all claims or none */
    STEAD_COORDINATOR_BEAT = 3,     /* "I am here" */
    STEAD_COORDINATOR_LEAVE = 4,    /* a clean stop: shown as dead at once, keeps its shards */
    STEAD_COORDINATOR_TICK = 5 /* time has passed: who has not been heard from? Sent by the shell about once a second */
};

struct stead_coordinator_command {
    enum stead_coordinator_op op;
    uint32_t node;                                      /* CLAIM, BEAT, LEAVE: who speaks, as given by REGISTER */
    uint64_t incarnation;                               /* the same */
    const struct stead_node_registration *registration; /* REGISTER; borrowed */
    const struct stead_shard_claim *claims;             /* CLAIM; borrowed */
    uint32_t claim_count;                               /* at most STEAD_SHARDS_MAX */
};

/* ---- Effects -------------------------------------------------------------------------------- */

struct stead_coordinator_effects {
    /* Rows to be on disk, all or none and synced, before anything below is told to anybody: mutations as in entry.h.
     * Empty: nothing changed. Owned by the caller, who inits and deinits it; each step resets it. */
    struct stead_writer rows;
    bool table_changed;                   /* there is a new table: push it to the watchers */
    int status;                           /* the reply: 0 or
                           *   STEAD_EARGUMENT  malformed
                           *   STEAD_EINUSE     REGISTER: the name is another node's
                           *   STEAD_ECONFLICT  CLAIM: an epoch was not as expected; REGISTER: a kind is known differently
                           *   STEAD_ENOTOWNER  CLAIM: the shard is another node's
                           *   STEAD_ESTATE     a newer incarnation of the node has registered: this one must stop
                           *   STEAD_ENOTFOUND  no such node or shard
                           *   STEAD_ELIMIT     too many nodes, kinds, groups or shards */
    uint32_t node;                        /* REGISTER: the id */
    uint64_t incarnation;                 /* REGISTER: of this start */
    char why[STEAD_COORDINATOR_WHY_SIZE]; /* sentence, "" when status is 0 */
};

/* ---- Use ------------------------------------------------------------------------------------ */

/* Returned: destroy it. */
struct stead_coordinator *stead_coordinator_create(const struct stead_coordinator_options *options);
void stead_coordinator_destroy(struct stead_coordinator **coordinator);

/* Gives back one stored row; all of them in any order, before the first step; then stead_coordinator_restored(). */
int stead_coordinator_restore(struct stead_coordinator *coordinator, struct stead_slice key,
                              struct stead_slice value) STEAD_MUST_USE;
/* Checks that the rows fit together: 0 or STEAD_ECORRUPT with a sentence. Without rows: a new cluster, whose first
 * rows are in `effects`. Who was alive is given a full alive_ms_max from `now_ms` on. */
int stead_coordinator_restored(struct stead_coordinator *coordinator, uint64_t now_ms,
                               struct stead_coordinator_effects *effects) STEAD_MUST_USE;

/* Takes one command; the only mutator. `command` is borrowed. */
void stead_coordinator_step(struct stead_coordinator *coordinator, const struct stead_coordinator_command *command,
                            uint64_t now_ms, struct stead_coordinator_effects *effects);

/* The newest table; borrowed until the next step, hold it to keep it. */
struct stead_table *stead_coordinator_table(struct stead_coordinator *coordinator);
/* Asserts what must hold between steps; for tests and the simulator. */
void stead_coordinator_check(const struct stead_coordinator *coordinator);

#endif
