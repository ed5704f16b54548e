/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control: the control thread of a node: the coordinator, the table, the claims, the watch over the reactors, the wish
 * to stop.
 *
 *     enrol -> tables -> claim what is ours -> hand it to the reactors -> ready -> once a second: heartbeat, disk, slow turns -> stop
 *
 * It lives in the coordinator door's wait, which sends the heartbeats; everything else that can happen makes one
 * descriptor readable. Threads: one, the caller's of stead_node_run().
 */
#ifndef STEAD_NODE_CONTROL_H
#define STEAD_NODE_CONTROL_H

#include "node/coordinator_client.h"
#include "node/disk.h"
#include "node/identity.h"
#include "node/reactor.h"

struct stead_enrolment;

struct stead_control {
    struct stead_shell *shell;                 /* borrowed, as the next two */
    struct stead_coordinator_door *door;       /* open */
    struct stead_identity *identity;           /* of the folder; what the coordinator says is written into it */
    int signals;                               /* signalfd of SIGTERM and SIGINT */
    int wake;                                  /* epoll: signals, config.stop_fd, the shell's bell */
    bool stop_wanted;                          /* somebody asked for a clean stop */
    bool ready;                                /* config.ready was called */
    struct stead_disk disk;                    /* how much room there is */
    bool clock_off;                            /* the log says that the clocks differ */
    bool owed_claim;                           /* a claim's outcome is unknown: claim again */
    uint64_t tick_ns;                          /* of the next look at disk and turns */
    struct stead_enrolment *enrolment;         /* what the coordinator was told; owned */
    struct stead_table *table;                 /* newest; one reference */
    uint32_t adopted_count;                    /* entries of adopted */
    uint32_t adopted[STEAD_SHARDS_MAX];        /* shards handed to reactors */
    uint64_t turns[STEAD_REACTORS_MAX];        /* number of the turn seen at the last look; 0: none */
    uint64_t turns_warned[STEAD_REACTORS_MAX]; /* number of the turn that was reported as slow */
};

/* Blocks SIGTERM and SIGINT in this thread and those it starts, and prepares the descriptors. 0 or STEAD_EIO. */
int stead_control_init(struct stead_control *control, struct stead_shell *shell) STEAD_MUST_USE;
void stead_control_deinit(struct stead_control *control);

/* Registers with the coordinator, as long as it takes, and remembers ids and incarnation in shell and folder.
 * STEAD_ECANCELLED: asked to stop meanwhile; else the coordinator's refusal with `ret_why` (STEAD_SHELL_WHY_SIZE
 * bytes). The reactors have their endpoints. */
int stead_control_enrol(struct stead_control *control, char *ret_why) STEAD_MUST_USE;

/* Serves until asked to stop (0) or something fails (its code and `ret_why`). The reactors' threads run. */
int stead_control_run(struct stead_control *control, char *ret_why) STEAD_MUST_USE;

#endif
