/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault: planted faults of orchestrations, the task hub and consensus, as runtime/fault.h has those of the runtime.
 * Only the simulator compiles agents/ with STEAD_AGENT_FAULTS, and says which are on by the one function below;
 * everywhere else every test of a fault is the constant 0. Nothing is kept in agents/ for it.
 */
#ifndef STEAD_AGENTS_FAULT_H
#define STEAD_AGENTS_FAULT_H

#include <stdint.h>

/* X(name, workload that finds it, what it breaks) */
#define STEAD_AGENT_FAULT_LIST(X)                                                                                      \
    X(timer_lost_at_replay, "flow", "a timer that is open when an instance is loaded is forgotten")                    \
    X(retry_counted_wrong, "flow", "attempts before a replay are not counted")                                         \
    X(event_taken_twice, "flow", "an event that was taken stays in the buffer")                                        \
    X(events_not_carried, "flow", "events that nobody has taken are lost at continue-as-new")                          \
    X(side_effect_again, "flow", "a side effect is drawn anew at a replay")                                            \
    X(lock_not_taken, "flow", "of the agents of a critical section only the first is locked")                          \
    X(history_without_last, "flow", "a row of a history is written without its last event")                            \
    X(child_not_terminated, "flow", "a child that nobody wants any more goes on")                                      \
    X(child_started_twice, "flow", "the start of a child is sent twice")                                               \
    X(lock_not_given_back, "flow", "a lock that comes when nobody waits for it any more is kept")                      \
    X(receipt_given_twice, "queues", "a renewal may lead back to a receipt that was given before")                     \
    X(message_id_ignored, "queues", "a message is put in again although its id was in the queue")                      \
    X(inputs_not_kept, "hub", "what meets code that does not match is taken and forgotten")                            \
    X(message_not_hidden, "queues", "a message that was taken can be taken by the next one")                           \
    X(message_taken_for_good, "hub", "a message that was taken does not come again when its time is over")             \
    X(deleted_before_write, "hub", "an episode's messages are deleted before it is stored")                            \
    X(sent_before_write, "hub", "what an episode decided is sent before it is stored")                                 \
    X(kept_engine_trusted, "hub", "what an engine that was kept has no use for is thrown away unread")                 \
    X(call_without_key, "hub", "an agent's call that is made again has no key")                                        \
    X(forget_promise, "consensus", "a member forgets its promise when it is loaded")                                   \
    X(accept_below_promise, "consensus", "a member accepts what is below its promise")                                 \
    X(resend_forgotten, "consensus", "a slot that finds no room among those sent again waits as if it had been sent")  \
    X(promise_not_heeded, "consensus", "a leader proposes what it likes where a promise tells of a value")             \
    X(half_is_enough, "consensus", "one rank less than a majority decides")                                            \
    X(learned_at_any_ballot, "consensus", "what was accepted at another ballot is taken for what was decided")         \
    X(ballot_given_twice, "consensus", "a member forgets that it has given out a ballot")

enum stead_agent_fault {
#define STEAD_AGENT_FAULT_ENUM(name, workload, what) STEAD_AGENT_FAULT_##name,
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
