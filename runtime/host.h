/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host: the pure part of one reactor: its shards, the routing of messages between them and to other hosts, and the
 * draining of their effects through the doors in one order. The node's reactor thread drives one with real doors, the
 * simulator many with simulated ones.
 *
 *     stead_host_set_now -> any of deliver / synced / loaded / ... -> stead_host_run -> (doors were called)
 *
 * Threads: one host, one thread. No function blocks.
 */
#ifndef STEAD_RUNTIME_HOST_H
#define STEAD_RUNTIME_HOST_H

#include "runtime/doors.h"
#include "runtime/registry.h"
#include "runtime/stats.h"
#include "runtime/table.h"

struct stead_host;

/* Limits and settings; stead_settings_default() fills in what SEMANTICS promises. All are settings of the node. */
struct stead_settings {
    uint32_t payload_bytes_max;    /* 1 MiB */
    uint32_t image_bytes_max;      /* 16 MiB */
    uint32_t kv_key_bytes_max;     /* 512 */
    uint32_t kv_value_bytes_max;   /* 1 MiB */
    uint32_t turn_effects_max;     /* messages, timers, events and keyed writes of one turn: 10,000 */
    uint32_t turn_bytes_max;       /* of all those together: 32 MiB */
    uint32_t mailbox_messages_max; /* waiting for one agent in memory: 10,000 */
    uint32_t call_depth_max;       /* 64 */
    uint32_t session_answers_max;  /* answered numbers kept above the mark, per session and slot, and agents: 65,536 */
    uint64_t session_age_ms_max;   /* 24 h */
    uint64_t idempotency_ms;       /* 24 h */
    uint32_t call_timeout_ms;      /* default deadline of an agent's call: 30 s */
    uint32_t resend_ms;            /* an outbox record without acknowledgement is sent again: 1 s */
    uint32_t channel_window;       /* records in flight in one channel: 1,024 */
    uint32_t batch_turns_max;      /* turns in one log entry: 4,096 */
    uint32_t batch_bytes_max;      /* 1 MiB */
    uint64_t checkpoint_bytes;     /* log bytes of a shard between checkpoints: 16 MiB */
    uint64_t memory_bytes_max;     /* budget of this host: activations, mailboxes, overlay: 512 MiB */
    uint32_t idle_ms_max;          /* an agent without a turn is unloaded after: 60 s */
    uint32_t poison_kills_max;     /* a message that killed the process so often is a dead letter: 3 */
    uint32_t fiber_stacks_max;     /* stacks of this host's fibers; 0: 4,096 */
    uint32_t turn_ms_warn;         /* 100: a turn longer than this is reported */
    uint32_t hooks;                /* planted faults of test builds (runtime/fault.h); 0 */
};
void stead_settings_default(struct stead_settings *ret_settings);

struct stead_host_options {
    uint32_t node; /* this node's id */
    uint64_t node_incarnation;
    const char *node_name;                 /* copied */
    uint16_t reactor;                      /* index of this host in its node */
    uint64_t seed;                         /* of the random generator inside */
    const struct stead_registry *registry; /* kinds; borrowed for the host's life */
    const struct stead_settings *settings; /* copied */
    const struct stead_doors *doors;       /* copied */
};

/* Returned, without shards and at time 0: set the time first. */
struct stead_host *stead_host_create(const struct stead_host_options *options);
/* Frees everything, performs no effect: to stop cleanly, call stead_host_stop() and wait until stead_host_idle(). */
void stead_host_destroy(struct stead_host **host);

/* Time, before each round: monotonic for deadlines, wall for timers. Never goes back within a host (a step back of the
 * wall clock is slewed, and told when it is more than a second). What others have set a deadline for is judged by the
 * wall clock as it is. */
void stead_host_set_now(struct stead_host *host, uint64_t mono_ns, uint64_t wall_ms);

/* ---- Shards --------------------------------------------------------------------------------- */

/* Adds a shard in recovery. `applied`: the index up to which the store image is complete. Then stead_host_replay() for
 * each later entry in order, then stead_host_start_shard(). */
void stead_host_add_shard(struct stead_host *host, uint32_t shard, uint64_t applied);
/* STEAD_ECORRUPT: this shard must not be served. `entry` is borrowed. */
int stead_host_replay(struct stead_host *host, uint32_t shard, uint64_t index, struct stead_slice entry) STEAD_MUST_USE;
/* Serves it under `epoch`, which is above every epoch it was served under before. `slots`: those of this shard,
 * rising. */
void stead_host_start_shard(struct stead_host *host, uint32_t shard, uint64_t epoch, const stead_slot *slots,
                            uint32_t slot_count);
/* The first log index the shard will append. */
uint64_t stead_host_next_index(const struct stead_host *host, uint32_t shard);

/* ---- Events --------------------------------------------------------------------------------- */

/* A message from a client, a peer, another reactor or a job. Consumed. */
void stead_host_deliver(struct stead_host *host, struct stead_message **message);
/* The same of a message from outside this process: from a client, or from a peer. It waits while the host holds.
 * Consumed. */
void stead_host_admit(struct stead_host *host, struct stead_message **message);
/* Holds what comes from outside, until stead_host_let_go() or the monotonic time `until_ns`: for copies of several
 * nodes that are of one moment (hold.c). What a host has taken before may still be on its way to the disk; nothing that
 * a peer sends from now on is taken. */
void stead_host_hold(struct stead_host *host, uint64_t until_ns);
void stead_host_let_go(struct stead_host *host);
/* Entries of the shard up to `index` are on disk. */
void stead_host_synced(struct stead_host *host, uint32_t shard, uint64_t index);
/* The oldest write_rows of the shard is done. */
void stead_host_rows_written(struct stead_host *host, uint32_t shard);
/* Consumed. */
void stead_host_loaded(struct stead_host *host, struct stead_load **load);
/* `request` as given to run_job (consumed); status, name and sentence ("" when status is 0), value: its result. */
void stead_host_job_done(struct stead_host *host, struct stead_message **request, int status, const char *name,
                         const char *sentence, struct stead_slice value);
/* The same of one that was not run: with this status, STEAD_EBUSY for want of room. */
void stead_host_job_refused(struct stead_host *host, struct stead_message **request, int status);
/* A newer table; held, not consumed. Older ones are ignored. */
void stead_host_set_table(struct stead_host *host, struct stead_table *table);
/* A connection to this node is up (again): what it is owed is sent again. `incarnation` is the peer's. */
void stead_host_peer_up(struct stead_host *host, uint32_t node, uint64_t incarnation);
void stead_host_peer_load(struct stead_host *host, uint32_t node, uint32_t jobs_in_progress);
/* Messages that were being run when the process died, and how often: dead-lettered from poison_kills_max on. */
void stead_host_suspect(struct stead_host *host, struct stead_id message, uint32_t kills);
/* A disk quota is reached: clients' durable work is refused with STEAD_EDISKFULL; what only reads goes on, and so do
 * ops that give room back (STEAD_OP_FREES). */
void stead_host_set_disk_full(struct stead_host *host, bool full);
/* Room is short, and the door trim_log may let go of more than it did: every shard says again what it may, and brings
 * what it has written and deleted since to the image, so that its log and the store can let go of that. */
void stead_host_trim(struct stead_host *host);

/* ---- Running -------------------------------------------------------------------------------- */

/* Runs turns and timers that are due, closes batches and drains effects: persist, then speak, then arm. True: there is
 * more to do at once; call again after looking at the sockets. Look at stead_host_failed() after each. */
bool stead_host_run(struct stead_host *host);
/* Unloads every agent with its hooks, writes a last checkpoint. */
void stead_host_stop(struct stead_host *host);
/* 0, or why this host can do nothing any more: rows of its own could not be read (L6). It has let nothing out since,
 * and its process is to end: a start reads them again. `ret_why` (may be NULL): a sentence, borrowed. */
int stead_host_failed(const struct stead_host *host, const char **ret_why);
/* Nothing uncommitted, unwritten or waiting. */
bool stead_host_idle(const struct stead_host *host);
/* Jobs placed on this node by this host and not answered yet. */
uint32_t stead_host_jobs(const struct stead_host *host);
/* The blocks that its messages are made in and end in, for who carries messages between hosts; borrowed. */
struct stead_message_pool *stead_host_message_pool(struct stead_host *host);
/* Counters and histograms; borrowed. */
const struct stead_stats *stead_host_stats(const struct stead_host *host);
/* Asserts the invariants that hold between events (docs/INVARIANTS.md); for tests and the simulator. */
void stead_host_check(const struct stead_host *host);

#endif
