/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signals: the control thread's are all, but those of faults: a fault's signal that is blocked ends the process without
 * its handler (node/culprit.c), and one that a job raises by itself would wait for ever, and the job go on.
 *
 * Threads: any.
 */
#ifndef STEAD_NODE_SIGNALS_H
#define STEAD_NODE_SIGNALS_H

#include <signal.h>
#include <stddef.h>

static const int stead_fault_signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS, SIGTRAP};
#define STEAD_FAULT_SIGNALS (sizeof stead_fault_signals / sizeof stead_fault_signals[0])

/* What a thread blocks that has nothing to do with signals. */
static inline sigset_t stead_signals_of_others(void)
{
    sigset_t set;

    sigfillset(&set);
    for (size_t i = 0; i < STEAD_FAULT_SIGNALS; i++)
        sigdelset(&set, stead_fault_signals[i]);
    return set;
}

#endif
