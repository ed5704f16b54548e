/* SPDX-License-Identifier: Apache-2.0 */
/*
 * group: what `stead elect` and `stead consensus` have in common: a group of agents KIND/GROUP/RANK on nodes of their
 * own, or of a running cluster, on one of the fabrics.
 *
 * Everything runs in the worker of bench.h, so that nothing is left behind. Times that detectors need fit the fabric
 * (stead_group_times()).
 */
#ifndef STEAD_CMD_GROUP_H
#define STEAD_CMD_GROUP_H

#include "cmd/bench.h"
#include "cmd/connect.h"

#define STEAD_GROUP_NODES_MAX 5u
#define STEAD_GROUP_MEMBERS_MAX 1000u

struct stead_group {
    struct stead_bench bench;
    struct stead_connect connect; /* --node: a running cluster; --json */
    uint32_t nodes;               /* own nodes, when no cluster is given */
    bool hub;
    uint32_t poll_ms; /* hub: between two polls; 0: notify; back-off: at most */
    bool backoff;     /* hub: the interval doubles while nothing comes */
    bool poll_given;
    struct stead_client *client; /* while the work runs, as all below */
    char name[32];               /* GROUP */
    const char *kind;            /* asked by stead_group_ask_all() */
    uint32_t members;            /* ranks 1 to this */
    uint32_t failed;             /* requests of the last stead_group_ask_all() that did */
};

/* Times of detectors on a fabric: direct and notify as for tells; polled, multiples of the interval; with a back-off,
 * of patience. */
struct stead_group_times {
    uint32_t ping_ms, silence_ms, answer_ms;
};

/* --fabric, --poll, --nodes, and those of connect. Its input is a struct stead_group. */
extern const struct argp stead_group_argp;

/* Runs `work` with nodes and a client; the exit code, after complaining. Before the first thread of this process. */
typedef int stead_group_work_fn(struct stead_group *group, void *context);
int stead_group_work(struct stead_group *group, stead_group_work_fn *work, void *context);

/* Of this group's fabric. */
struct stead_group_times stead_group_times(const struct stead_group *group);
/* "direct", "hub notify", "hub 250ms", "hub backoff"; borrowed until the next call. */
const char *stead_group_fabric(const struct stead_group *group);
/* A name that no group had, for so many members. */
void stead_group_rename(struct stead_group *group, uint32_t members);

/* Calls `op` of one member; 0 or a code, after complaining. `ret_answer` (may be NULL) is borrowed until the next
 * request. */
int stead_group_call(struct stead_group *group, const char *kind, uint32_t rank, const char *op,
                     struct stead_slice args, struct stead_answer *ret_answer);
/* Calls `op` of all members of group->kind at once; `take` (may be NULL) gets each good answer. 0 or a code, after
 * complaining. */
typedef void stead_group_take_fn(void *context, uint32_t rank, struct stead_slice value);
int stead_group_ask_all(struct stead_group *group, const char *op, struct stead_slice args, stead_group_take_fn *take,
                        void *context);

/* The counters of a member's carrier (agents/carrier.h), added up. */
struct stead_group_counters {
    uint64_t messages, enqueues, dequeues, deletes, empty;
};
void stead_group_add_counters(struct stead_group_counters *counters, struct stead_slice status);
uint64_t stead_group_operations(const struct stead_group_counters *counters);

/* Median time of one storage operation, one at a time from this program, less its own raw round trip, and of those that
 * two messages one after the other need: 2 x (enqueue + dequeue), with long polls 2 x enqueue: the waiting dequeue
 * shares its sync. 0 or a code. */
int stead_group_measure_hub(struct stead_group *group, uint64_t *ret_operation_ns, uint64_t *ret_floor_ns);
/* What polls cost in dollars an hour by the paper's price: n x polls/s x 125 read units x $0.25 a million. */
double stead_group_cost(uint32_t members, uint32_t poll_ms);

#endif
