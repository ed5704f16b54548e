/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator_server: the process around the embedded coordinator (`stead coordinator`).
 *
 * A ZeroMQ ROUTER on loopback; requests and answers are msgpack maps (docs/FORMATS.md, "Coordinator protocol"). What
 * the state machine wants stored is synced before it is answered, so the process may be killed at any moment and comes
 * back with the same state and, unless somebody took the port, at the same endpoint. A lock file names its pid and
 * endpoint (node/coordinator_lock.h).
 *
 * Threads: runs in the caller's until asked to stop.
 */
#ifndef STEAD_NODE_COORDINATOR_SERVER_H
#define STEAD_NODE_COORDINATOR_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "stead/error.h"

#define STEAD_COORDINATOR_SERVER_WHY_SIZE 512u

struct stead_coordinator_server_options {
    const char *folder;            /* data folder of the coordinator, made when missing; required */
    const char *endpoint;          /* tcp://127.0.0.1:PORT; NULL: the one it had, or any free port */
    uint32_t nodes_expected;       /* of a new cluster; 0: 1 */
    uint32_t idle_exit_s;          /* ends itself when no node was heard from for so long; 0: never */
    bool insecure_listen_anywhere; /* allows an endpoint beyond loopback */
    int stop_fd;                   /* an eventfd that asks for a stop when readable; -1: SIGTERM and SIGINT do */
    /* Called once when it serves. NULL: not told. */
    void (*ready)(void *context, const char *endpoint);
    void *ready_context; /* first argument of `ready` */
};

/* 0 after a clean stop, or, with a sentence in `ret_why` (STEAD_COORDINATOR_SERVER_WHY_SIZE bytes): STEAD_EARGUMENT,
 * STEAD_EINUSE (folder or port), STEAD_EIO, STEAD_ECORRUPT, STEAD_EVERSION. A failed sync ends it with STEAD_EIO. */
int stead_coordinator_server_run(const struct stead_coordinator_server_options *options, char *ret_why) STEAD_MUST_USE;

#endif
