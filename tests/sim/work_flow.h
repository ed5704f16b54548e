/* SPDX-License-Identifier: Apache-2.0 */
/*
 * work_flow: random orchestrations (program.h) in the simulator, on either fabric. What its files share.
 *
 *     work_flow_kinds.c    the agents and activities that programs use, and what they see that can never be
 *     work_flow.c          clients that start, raise and steer; what still has to be done when faults are over
 *     work_flow_check.c    the end: each instance against the reference, effects, histories, orphans
 *
 * The oracle is what a person with a notebook beside the cluster would know: what was started, what was steered, which
 * activities ran. No code of stead sees it.
 */
#ifndef STEAD_SIM_WORK_FLOW_H
#define STEAD_SIM_WORK_FLOW_H

#include "agents/hub_settings.h"
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
    STEAD_FLOW_MEND, /* a rewind of one that failed by other code, which is gone */
    STEAD_FLOW_PUT,  /* hub: a start's second operation */
    STEAD_FLOW_MAKE, /* the hub */
    STEAD_FLOW_VERBS
};

struct stead_flow_instance {
    char id[STEAD_FLOW_ID_SIZE];
    uint64_t seed;                                            /* of its program */
    uint64_t number;                                          /* in its path */
    uint32_t tried[STEAD_FLOW_VERBS], done[STEAD_FLOW_VERBS]; /* requests; those answered with 0 */
    bool settled;                                             /* told as over, or as not there, since faults ended */
    bool differs;                                             /* told as failed by other code, since faults ended */
    bool hub;                                                 /* on the hub, not on the direct fabric */
    uint32_t starts;                                          /* hub: the number of its newest start */
    uint32_t made;    /* hub: 1 + the newest start whose row is there; 0: none */
    uint32_t reliefs; /* hub: restarts whose message was put in for a client that died */
    uint32_t event_count;
    struct {
        char name[STEAD_PROGRAM_TEXT_SIZE];
        uint64_t value;
        bool taken; /* somebody has acknowledged it */
    } events[STEAD_FLOW_EVENTS_MAX];
};

struct stead_flow {
    struct stead_hub_settings hub; /* partitions 0: not drawn yet */
    bool hub_made;                 /* somebody has been told so */
    bool hub_gone;                 /* looked at, and dropped */
    uint64_t calm_ns;              /* when faults ended; 0: they have not */
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
/* Asks for `status`, or for a page of the history behind `after`, wherever the instance is. The code; STEAD_ENOTFOUND:
 * nowhere. */
int stead_flow_look(struct stead_sim *sim, const char *id, const char *op, uint64_t after,
                    struct stead_slice *ret_value);

/* Helps instances of the hub that are not over; false: there are none. */
bool stead_flow_hub_relieve(struct stead_sim *sim);

/* ---- work_flow_hub.c ---- */

void stead_flow_hub_draw(struct stead_sim *sim, struct stead_hub_settings *ret_settings);
/* The request of an op of an instance on the hub; the op's name. */
const char *stead_flow_hub_pack(struct stead_flow *flow, const struct stead_flow_instance *instance,
                                const struct stead_sim_op *op, char *ret_address, size_t size,
                                struct stead_writer *args);
/* Asks for the hub to be made. */
void stead_flow_hub_make(struct stead_sim *sim, struct stead_sim_client *client);
/* Everything has been looked at: nothing of it may be left. */
void stead_flow_hub_drop(struct stead_sim *sim);
/* Waits until nothing is under way in its queues. */
void stead_flow_hub_drain(struct stead_sim *sim);
/* Puts what is in its queues into the trace. */
void stead_flow_hub_explain(struct stead_sim *sim);
/* Messages that were set aside, as a text; NULL: none. */
const char *stead_flow_hub_poison(struct stead_sim *sim, char *ret_text, size_t size);

#endif
