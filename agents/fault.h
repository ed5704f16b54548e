/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault: planted faults of orchestrations and of the task hub, as runtime/fault.h has those of the runtime. Only the simulator compiles agents/ with STEAD_AGENT_FAULTS, and says
 * which are on by the one function below; everywhere else every test of a fault is the constant 0. Nothing is kept in agents/ for it.
 */
#ifndef STEAD_AGENTS_FAULT_H
#define STEAD_AGENTS_FAULT_H

#include <stdint.h>

/* X(name, what it breaks) */
#define STEAD_AGENT_FAULT_LIST(X)                                                                                      \
    X(history_without_last, "a history's row is written without its last event")                                       \
    X(result_taken_twice, "a result is taken for a request that has one already")                                      \
    X(timer_lost_at_replay, "a timer that is open when an instance is loaded is forgotten")                            \
    X(events_not_carried, "events that nobody has taken are lost at continue-as-new")                                  \
    X(terminate_skips_child, "a terminated instance leaves its last child running")                                    \
    X(lock_without_fence, "locked agents are called without the fence, and a lock is not held")                        \
    X(retry_counted_wrong, "attempts count from one again after a replay")                                             \
    X(event_taken_twice, "an event that was taken stays in the buffer")                                                \
    X(cancel_forgets_child, "a cancelled child is not terminated")                                                     \
    X(side_effect_again, "a side effect is drawn anew at a replay")

enum stead_agent_fault {
#define STEAD_AGENT_FAULT_ENUM(name, what) STEAD_AGENT_FAULT_##name,
    STEAD_AGENT_FAULT_LIST(STEAD_AGENT_FAULT_ENUM)
#undef STEAD_AGENT_FAULT_ENUM
        STEAD_AGENT_FAULTS_COUNT
};

#ifdef STEAD_AGENT_FAULTS
/* Bits by enum stead_agent_fault. Defined by the program that is built with them. */
uint32_t stead_agent_faults(void);
#define STEAD_AGENT_FAULT(name) ((stead_agent_faults() >> STEAD_AGENT_FAULT_##name) & 1u)
#else
#define STEAD_AGENT_FAULT(name) 0
#endif

#endif
