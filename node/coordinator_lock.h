/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator_lock: `FOLDER/lock`: one coordinator a folder, and where it is found.
 *
 * The file is locked (flock) for the life of the process, so the kernel frees it whatever way the process ends. Once it
 * serves, one line in it names the process and its endpoint; a reader believes the line only while that very process
 * runs.
 *
 *     PID START BOOT tcp://127.0.0.1:7399
 *
 * Threads: any; one lock, one thread.
 */
#ifndef STEAD_NODE_COORDINATOR_LOCK_H
#define STEAD_NODE_COORDINATOR_LOCK_H

#include "node/process.h"

#define STEAD_COORDINATOR_LOCK_ENDPOINT_SIZE 128u

struct stead_coordinator_lock {
    int fd; /* open and locked; -1: not held */
};

struct stead_coordinator_place {
    struct stead_process process;
    char endpoint[STEAD_COORDINATOR_LOCK_ENDPOINT_SIZE];
};

/* Locks the folder, which exists, and forgets the endpoint that an earlier process left. STEAD_EINUSE: another process
 * holds it; STEAD_EIO. */
int stead_coordinator_lock_take(const char *folder, struct stead_coordinator_lock *ret_lock) STEAD_MUST_USE;
/* Says where this process serves. STEAD_EIO. */
int stead_coordinator_lock_publish(struct stead_coordinator_lock *lock, const char *endpoint) STEAD_MUST_USE;
/* A descriptor that may be read when the held file was changed or deleted: of inotify, close it. -1: there is none. */
int stead_coordinator_lock_watch(const char *folder);
/* Was the held file deleted, and with it, as a rule, the folder? */
bool stead_coordinator_lock_is_gone(const struct stead_coordinator_lock *lock);
/* Safe when it is not held. */
void stead_coordinator_lock_release(struct stead_coordinator_lock *lock);

/* Where the coordinator of `folder` serves. STEAD_ENOTFOUND: none runs, or it does not serve yet. */
int stead_coordinator_lock_find(const char *folder, struct stead_coordinator_place *ret_place) STEAD_MUST_USE;

#endif
