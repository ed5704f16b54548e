/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor: keeps the embedded coordinator of a single node running.
 *
 * `stead node` without a coordinator finds the one that runs on its data folder through the lock file, or starts one: a
 * process of its own, so that killing the node does not kill it. A thread sleeps until that process ends and then
 * starts it again; an idle supervisor makes no wake-up. The folder of the coordinator is `FOLDER/coordinator`.
 *
 * Threads: created, stopped and destroyed by one thread; its own thread touches nothing else of the node.
 */
#ifndef STEAD_NODE_SUPERVISOR_H
#define STEAD_NODE_SUPERVISOR_H

#include <stdint.h>

#include "stead/error.h"

#define STEAD_SUPERVISOR_WHY_SIZE 512u

struct stead_supervisor;

struct stead_supervisor_options {
    const char *folder;      /* data folder of the node; copied */
    const char *program;     /* what is run; NULL: this program (/proc/self/exe) */
    uint32_t nodes_expected; /* of a new cluster */
    uint32_t idle_exit_s;    /* the coordinator ends itself when no node was heard from for so long; 0: 300 */
};

/* Finds or starts the coordinator and waits until it serves, at most 10 s. Returned: stop or destroy it. STEAD_EIO,
 * STEAD_EINUSE, STEAD_EUNAVAILABLE with a sentence in `ret_why` (STEAD_SUPERVISOR_WHY_SIZE bytes). */
int stead_supervisor_create(const struct stead_supervisor_options *options, struct stead_supervisor **ret_supervisor,
                            char *ret_why) STEAD_MUST_USE;
/* The coordinator's folder, for stead_coordinator_client_options.folder. Borrowed. */
const char *stead_supervisor_folder(const struct stead_supervisor *supervisor);
/* A clean stop of the node: ends the coordinator too (TERM; KILL after 5 s), frees the supervisor. Nulls it; NULL is
 * fine. */
void stead_supervisor_stop(struct stead_supervisor **supervisor);
/* Leaves the coordinator running. Nulls it; NULL is fine. */
void stead_supervisor_destroy(struct stead_supervisor **supervisor);

#endif
