/* SPDX-License-Identifier: Apache-2.0 */
/*
 * culprit: which job or turn ends the process. When a job's own thread, or a reactor's, aborts, faults or calls exit(),
 * its mark says so before the process is gone, and the next start counts it alone (node/turnmark.h). A death from
 * outside (kill -9, out of memory, _exit()) accuses no job: it cannot be told from an operator's, and a job that runs
 * for hours would be set aside for three restarts that were none of its doing.
 *
 * Threads: each names its own job; a reactor's is one until it says that it is not.
 */
#ifndef STEAD_NODE_CULPRIT_H
#define STEAD_NODE_CULPRIT_H

#include "node/turnmark.h"

/* The calling thread runs a job, marked in this slot. The first call of a process installs handlers for the signals of
 * faults, which hand on to whoever was there before; the first of a thread gives it a stack for them. */
void stead_culprit_begin(struct stead_turnmarks *marks, uint32_t slot, struct stead_id id);
/* It has returned. */
void stead_culprit_end(void);
/* The calling thread is this reactor's, until the end below or its own: its turns are marked there. */
void stead_culprit_reactor(struct stead_turnmarks *marks, uint32_t reactor);
void stead_culprit_reactor_end(void);

#endif
