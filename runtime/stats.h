/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stats: counters and latency histograms of one host. Plain numbers, changed by their host's thread alone.
 */
#ifndef STEAD_RUNTIME_STATS_H
#define STEAD_RUNTIME_STATS_H

#include "runtime/histogram.h"

/* X(name, meaning) */
#define STEAD_COUNTERS(X)                                                                                              \
    X(turns, "turns run")                                                                                              \
    X(turns_failed, "turns that returned an error")                                                                    \
    X(turns_slow, "turns that took over 100 ms, of those timed")                                                       \
    X(messages_in, "messages delivered to this host")                                                                  \
    X(messages_local, "messages between agents of one shard")                                                          \
    X(messages_out, "messages sent to other hosts")                                                                    \
    X(tells_dropped, "tells dropped at a full mailbox")                                                                \
    X(duplicates, "messages recognised as duplicates")                                                                 \
    X(gaps, "gaps seen in channels")                                                                                   \
    X(history_lost, "channels whose ends disagreed about the past, each time one was found")                           \
    X(history_lost_records, "messages that one end of those has forgotten")                                            \
    X(resends, "outbox records sent again")                                                                            \
    X(answers_dropped, "answers without a pending call")                                                               \
    X(refused_busy, "requests refused with busy")                                                                      \
    X(expired, "messages whose deadline had passed")                                                                   \
    X(entries, "log entries appended")                                                                                 \
    X(entry_bytes, "bytes of those")                                                                                   \
    X(entries_synced, "log entries committed")                                                                         \
    X(parked, "messages parked on disk")                                                                               \
    X(dead_letters, "dead letters made")                                                                               \
    X(timers_fired, "timers fired")                                                                                    \
    X(loads, "agents loaded from the store")                                                                           \
    X(activations, "agents activated, loaded or new")                                                                  \
    X(unloads, "agents unloaded")                                                                                      \
    X(checkpoints, "checkpoints finished")                                                                             \
    X(jobs, "jobs run on this node")                                                                                   \
    X(jobs_early, "of those, started before the commit of their call")

/* X(name, unit, meaning): gauges, set before they are read */
#define STEAD_GAUGES(X)                                                                                                \
    X(agents_resident, "agents", "agents in memory")                                                                   \
    X(memory_bytes, "B", "activations, mailboxes, sessions and overlay")                                               \
    X(overlay_rows, "rows", "rows not yet in the store image")                                                         \
    X(mailbox_messages, "messages", "messages waiting in memory")                                                      \
    X(outputs_held, "messages", "outputs waiting for a commit")                                                        \
    X(outbox_records, "records", "outbox records not acknowledged")                                                    \
    X(sessions, "sessions", "client sessions in memory")                                                               \
    X(fibers, "fibers", "orchestrations in memory that wait on a stack")

struct stead_stats {
#define STEAD_COUNTER_FIELD(name, meaning) uint64_t name;
    STEAD_COUNTERS(STEAD_COUNTER_FIELD)
#undef STEAD_COUNTER_FIELD
#define STEAD_GAUGE_FIELD(name, unit, meaning) uint64_t name;
    STEAD_GAUGES(STEAD_GAUGE_FIELD)
#undef STEAD_GAUGE_FIELD
    struct stead_histogram turn_ns;     /* one turn */
    struct stead_histogram commit_ns;   /* append to synced */
    struct stead_histogram batch_turns; /* turns in an entry */
    struct stead_histogram queue_depth; /* messages waiting when a round starts */
};

#endif
