/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_plan: what a local cluster consists of: its folder, its plan on disk, the names of its files and processes, and
 * whether it serves.
 *
 * Called by: local_cluster.c (the user's side) and local_supervisor.c (the detached process). One thread.
 */
#ifndef STEAD_NODE_LOCAL_PLAN_H
#define STEAD_NODE_LOCAL_PLAN_H

#include "node/coordinator_client.h"
#include "node/local_cluster.h"
#include "node/process.h"

#define STEAD_LOCAL_PATH_SIZE 4096u
#define STEAD_LOCAL_FOLDER_MAX 3800u /* bytes of BASE, so that every path below it fits */
#define STEAD_LOCAL_ENDPOINT_SIZE 128u

struct stead_local_plan {
    char folder[STEAD_LOCAL_FOLDER_MAX + 1]; /* BASE */
    uint32_t nodes;                          /* n1 to nN */
    uint16_t port;                           /* of n1; 0: any free ports */
    bool restart;                            /* nodes that die are started again */
    uint32_t arg_count;
    struct {
        uint32_t node; /* 0: of every node; else of n<node> alone */
        char *word;    /* owned */
    } args[STEAD_LOCAL_CLUSTER_ARGS_MAX];
};

/* STEAD_ENOTFOUND: no plan in the folder; STEAD_ECORRUPT. Returned: deinit it. */
int stead_local_plan_read(const char *folder, struct stead_local_plan *ret_plan) STEAD_MUST_USE;
/* Replaces the plan on disk. STEAD_EIO. */
int stead_local_plan_write(const struct stead_local_plan *plan) STEAD_MUST_USE;
void stead_local_plan_deinit(struct stead_local_plan *plan);
/* Adds one of at most STEAD_LOCAL_CLUSTER_ARGS_MAX; the word is copied. */
void stead_local_plan_add(struct stead_local_plan *plan, uint32_t node, const char *word);
/* True when these are the plan's words, in this order. */
bool stead_local_plan_has(const struct stead_local_plan *plan, const struct stead_local_cluster_arg *args,
                          uint32_t count);
/* The plan's words for the command line of `node` (from 0): those for every node, then its own. Borrowed from the plan,
 * into STEAD_LOCAL_CLUSTER_ARGS_MAX places; returns how many. */
uint32_t stead_local_plan_args(const struct stead_local_plan *plan, uint32_t node, const char **ret_args);

/* BASE/`name``suffix` into STEAD_LOCAL_PATH_SIZE bytes. */
void stead_local_plan_path(const char *folder, const char *name, const char *suffix, char *ret_path);
/* "n3" for node 2, into STEAD_NODE_NAME_MAX + 1 bytes. */
void stead_local_plan_name(uint32_t node, char *ret_name);
/* The running process of that name, by its pid file. STEAD_ENOTFOUND. */
int stead_local_plan_find(const char *folder, const char *name, struct stead_process *ret_process) STEAD_MUST_USE;

/* What each node's incarnation was before it was (re)started; a node serves when it is above. */
struct stead_local_baseline {
    uint64_t incarnations[STEAD_LOCAL_CLUSTER_NODES_MAX];
};
void stead_local_baseline_take(const struct stead_local_plan *plan, const struct stead_table *table,
                               struct stead_local_baseline *ret_baseline);
/* True when every node of the plan is alive with a later incarnation and every shard is configured for its node's
 * present one. */
bool stead_local_baseline_passed(const struct stead_local_plan *plan, const struct stead_local_baseline *baseline,
                                 const struct stead_table *table);

/* The endpoint of n1's first reactor; "" when the table does not have it. Borrowed from the table. */
const char *stead_local_plan_endpoint(const struct stead_table *table);

/* The detached process; does not return. `report_fd` gets one struct stead_local_report when all serve or it failed.
 * `lock_fd` is kept open for its life. `program` as in the options; `plan` is consumed. */
struct stead_local_report {
    int32_t code;                                /* 0 or STEAD_E* */
    char text[STEAD_LOCAL_CLUSTER_WHY_SIZE - 8]; /* the sentence; on success the first endpoint */
};
_Noreturn void stead_local_supervisor_run(struct stead_local_plan *plan, const char *program, uint32_t timeout_ms,
                                          int report_fd, int lock_fd);

#endif
