/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_cluster: several nodes on one machine with one command: `stead up N`, `stead down`, `stead cluster status`.
 *
 *     BASE/coordinator/      the coordinator's folder, with its lock file and its log
 *     BASE/n1 .. nN/         the nodes' data folders
 *     BASE/NAME.pid, .log    process id with its start time, and stderr, of each process, the supervisor's included
 *     BASE/cluster           the plan: what `up` was asked for
 *
 * `up` leaves a detached supervisor, which restarts the coordinator when it dies, and nodes only when asked to.
 * Processes are found by pid and start time, so no stranger is ever signalled. The processes started are (cmd/ must
 * understand exactly these):
 *     stead coordinator --folder DIR --listen ENDPOINT --nodes N --idle-exit-s SECONDS
 *     stead node --folder DIR --name NAME --listen ENDPOINT --coordinator ENDPOINT [what is for every node] [what is for this one]
 *
 * Threads: called from a program with one thread (up forks).
 */
#ifndef STEAD_NODE_LOCAL_CLUSTER_H
#define STEAD_NODE_LOCAL_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/table.h"

#define STEAD_LOCAL_CLUSTER_NODES_MAX 32u
#define STEAD_LOCAL_CLUSTER_PORT 7400u    /* of n1; the next node listens STEAD_LOCAL_CLUSTER_PORT_STEP higher */
#define STEAD_LOCAL_CLUSTER_PORT_STEP 64u /* ports of one node: one per reactor */
#define STEAD_LOCAL_CLUSTER_ARGS_MAX 64u
#define STEAD_LOCAL_CLUSTER_WHY_SIZE 512u

/* A word for the command line of nodes. */
struct stead_local_cluster_arg {
    uint32_t node;    /* 0: of every node; else of n<node> alone, behind the words for every node */
    const char *word; /* borrowed */
};

struct stead_local_cluster_options {
    const char *folder;                         /* BASE; made when missing */
    const char *program;                        /* what is run; NULL: this program */
    uint32_t nodes;                             /* 1 to STEAD_LOCAL_CLUSTER_NODES_MAX; 0: as in the plan, or 1 */
    bool any_port;                              /* nodes listen on free ports instead of STEAD_LOCAL_CLUSTER_PORT... */
    uint16_t port;                              /* of n1; 0: STEAD_LOCAL_CLUSTER_PORT */
    bool restart;                               /* nodes that die are started again */
    uint32_t timeout_ms;                        /* until all serve; 0: 30,000 */
    uint32_t arg_count;                         /* given to the nodes, after their own; 0: those of the plan */
    const struct stead_local_cluster_arg *args; /* borrowed */
};

/* What `up` did. */
struct stead_local_cluster_result {
    bool was_running;   /* the supervisor ran already */
    uint32_t nodes;     /* nodes of the cluster */
    uint32_t started;   /* nodes started now; on a running cluster those that were down */
    char endpoint[128]; /* of the first node's first reactor */
};

/* Starts the cluster and waits until every node serves its shards. On a running cluster whose nodes all run:
 * STEAD_EINUSE with a sentence; when some are down: starts those. Another number of nodes than the plan's, other args
 * than those of a running cluster, or a port in use: STEAD_EINUSE; args of a node that is not there: STEAD_EARGUMENT; a
 * process that ends at once: STEAD_EUNAVAILABLE, with the last line of its log; STEAD_ETIMEOUT. `ret_why`:
 * STEAD_LOCAL_CLUSTER_WHY_SIZE bytes. After a failure nothing that this call started is left running. */
int stead_local_cluster_up(const struct stead_local_cluster_options *options,
                           struct stead_local_cluster_result *ret_result, char *ret_why) STEAD_MUST_USE;

/* Stops supervisor, nodes and coordinator: TERM, and KILL after `term_ms_max` (0: 15,000). `ret_stopped`: processes
 * that ended. STEAD_ENOTFOUND: no cluster in the folder, or none of it runs. */
int stead_local_cluster_down(const char *folder, uint32_t term_ms_max, uint32_t *ret_stopped,
                             char *ret_why) STEAD_MUST_USE;

struct stead_local_cluster_process {
    char name[STEAD_NODE_NAME_MAX + 1]; /* n1 ..., coordinator, supervisor */
    int32_t pid;                        /* 0: not running */
    uint64_t running_ms;                /* since its start */
};
struct stead_local_cluster_status {
    uint32_t process_count;
    struct stead_local_cluster_process processes[STEAD_LOCAL_CLUSTER_NODES_MAX + 2];
    struct stead_table *table; /* NULL when the coordinator does not answer */
};
/* The processes by their pid files, the table from the coordinator (waited for at most `timeout_ms`). STEAD_ENOTFOUND:
 * no cluster there. */
int stead_local_cluster_status(const char *folder, int timeout_ms, struct stead_local_cluster_status *ret_status,
                               char *ret_why) STEAD_MUST_USE;
void stead_local_cluster_status_deinit(struct stead_local_cluster_status *status);

#endif
