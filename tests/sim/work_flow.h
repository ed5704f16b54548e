/* SPDX-License-Identifier: Apache-2.0 */
/*
 * work_flow: random orchestrations (program.h) in the simulator, on either fabric. What its files share.
 *
 *     work_flow_kinds.c    the agents and activities that programs use, and what they see that can never be
 *     work_flow.c          clients that start, raise and steer; what still has to be done when faults are over
 *     work_flow_check.c    the end: each instance against the reference, effects, histories, orphans
 *
 * The oracle is what a person with a notebook beside the cluster would know: what was started, what was steered, which activities ran. No code of stead sees it.
 */
#ifndef STEAD_SIM_WORK_FLOW_H
#define STEAD_SIM_WORK_FLOW_H

#include "tests/sim/program.h"
#include "tests/sim/work.h"

#define STEAD_FLOW_INSTANCES_MAX 12u
#define STEAD_FLOW_EVENTS_MAX 128u /* of one instance */
#define STEAD_FLOW_RUNS_MAX 8192u  /* activities, by id; a power of two */
#define STEAD_FLOW_SEEN_MAX 1024u  /* instances, children included */
#define STEAD_FLOW_ID_SIZE 80u

enum stead_flow_verb {
    STEAD_FLOW_START,
    STEAD_FLOW_STATUS,
    STEAD_FLOW_RAISE,
    STEAD_FLOW_TERMINATE,
    STEAD_FLOW_SUSPEND,
    STEAD_FLOW_RESUME,
    STEAD_FLOW_REWIND,
    STEAD_FLOW_RESTART,
    STEAD_FLOW_PURGE,
    STEAD_FLOW_VERBS
};

struct stead_flow_instance {
    char id[STEAD_FLOW_ID_SIZE];
    uint64_t seed;                                            /* of its program */
    uint64_t number;                                          /* in its path */
    uint32_t tried[STEAD_FLOW_VERBS], done[STEAD_FLOW_VERBS]; /* requests; those answered with 0 */
    bool settled;                                             /* told as over, or as not there, since faults ended */
    uint32_t event_count;
    struct {
        char name[STEAD_PROGRAM_TEXT_SIZE];
        uint64_t value;
        bool taken; /* somebody has acknowledged it */
    } events[STEAD_FLOW_EVENTS_MAX];
};

struct stead_flow {
    uint32_t instance_count;
    struct stead_flow_instance instances[STEAD_FLOW_INSTANCES_MAX];
    struct {
        uint64_t id; /* 0: free */
        uint32_t count;
    } runs[STEAD_FLOW_RUNS_MAX]; /* of activities */
    uint32_t seen_count;
    char seen[STEAD_FLOW_SEEN_MAX][STEAD_FLOW_ID_SIZE]; /* instances whose code ever ran */
};

/* work_break.c */
extern const struct stead_orchestrator stead_locker_orchestrator;

/* Of the run in progress; made at the first use. */
struct stead_flow *stead_flow_oracle(void);
/* How often the activity of this id has run; counts one more when `again`. */
uint32_t stead_flow_runs(uint64_t id, bool again);
extern const struct stead_kind *const stead_flow_kinds[]; /* ended by NULL */
/* Compares everything with the reference. */
void stead_flow_verify(struct stead_sim *sim);
/* Puts the history of an instance into the trace: for who looks at a seed. */
void stead_flow_explain(struct stead_sim *sim, const char *id);
/* The address of an instance. */
void stead_flow_address(char *ret_address, size_t size, const char *id);

#endif
