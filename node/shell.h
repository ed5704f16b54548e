/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shell: what the reactors of one node share, made by node.c and read-only while they run, but for the atomics.
 *
 * Every part of it has its own rules for threads; the struct itself is filled before the first reactor's thread starts
 * and torn down after the last has ended. Used by: node.c, control.c, reactor.c, doors.c, recovery.c and queries.c.
 */
#ifndef STEAD_NODE_SHELL_H
#define STEAD_NODE_SHELL_H

#include <stdatomic.h>

#include "node/backup_desk.h"
#include "node/config.h"
#include "node/cut.h"
#include "node/inbox.h"
#include "node/jobs.h"
#include "node/loader.h"
#include "node/pool.h"
#include "node/ring.h"
#include "node/turnmark.h"
#include "persist/log_writer.h"

#define STEAD_SHELL_WHY_SIZE 768u

struct stead_reactor;

struct stead_shell {
    const struct stead_node_config *config; /* checked; borrowed */
    uint32_t node;                          /* id, given by the coordinator */
    uint64_t incarnation;                   /* of this start */
    uint64_t started_ns;                    /* monotonic */
    struct stead_registry *registry;        /* kinds; owned, as the next ones */
    struct stead_store *store;
    struct stead_log_writer *writer;
    struct stead_jobs *jobs;
    struct stead_loader *loader;
    struct stead_pool *tasks;        /* backups */
    struct stead_cut cut;            /* the backup over several nodes that this one holds for */
    struct stead_backup_desk backup; /* who waits for the one that is made */
    struct stead_turnmarks *marks;
    void *zmq;                       /* ZeroMQ context */
    uint32_t reactor_count;          /* entries of the next two, squared for the second */
    struct stead_reactor **reactors; /* owned */
    struct stead_ring **rings;       /* [from * reactor_count + to]; owned */
    const char *coordinator;         /* its endpoint, or the folder it is found through; for `status` */

    struct stead_bell bell; /* wakes the control thread */
    _Atomic uint64_t
        journal_kept;          /* entries kept behind each checkpoint: as configured, less while the disk is short */
    _Atomic uint32_t adopting; /* shards handed to reactors and not served yet */
    _Atomic uint32_t running;  /* reactors whose thread has not ended */
    _Atomic bool stopping;     /* the node ends: a shard in recovery is left where it is */
    _Atomic int failed;        /* first code with which a part gave up; 0: none */
    char why[STEAD_SHELL_WHY_SIZE]; /* its sentence; written once, before `failed` */
    _Atomic bool failing;           /* somebody is writing `why` */
};

/* A part of the node gives up: the first to say so is remembered and the control thread stops the node with it. Any
 * thread. */
void stead_shell_fail(struct stead_shell *shell, int code, const char *sentence);

/* A write, a sync, or a read of rows that the runtime itself needs has failed: says so and ends the process at once.
 * Any thread. */
_Noreturn void stead_shell_disk_failed(const struct stead_shell *shell, int code, const char *sentence);

/* Nanoseconds of the clock that counts through a suspend; wall-clock ms since 1970. Any thread. */
uint64_t stead_shell_mono_ns(void);
uint64_t stead_shell_wall_ms(void);

#endif
