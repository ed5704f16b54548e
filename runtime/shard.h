/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shard: a set of slots with one log: the unit of ownership, of order and of durability.
 *
 *   message -> take: judged by its channel or session -> agent -> turn -> open batch
 *   batch_close: rows of the batch + turn records = one log entry -> append (effect)
 *   synced(index): what depends on it leaves: answers, messages, acknowledgements
 *
 * The open batch is the entry `next_index`. Turns run on uncommitted state without waiting, because they are behind it
 * in the same log; only what leaves the shard waits (`held`). Nobody is told of anything that a crash can take back
 * (invariant L1).
 *
 * This header is for the files of runtime/ alone. One thread: the host's.
 */
#ifndef STEAD_RUNTIME_SHARD_H
#define STEAD_RUNTIME_SHARD_H

#include "runtime/activation.h"
#include "runtime/channel.h"
#include "runtime/effects.h"
#include "runtime/entry.h"
#include "runtime/fault.h"
#include "runtime/fields.h"
#include "runtime/forgotten.h"
#include "runtime/host.h"
#include "runtime/map.h"
#include "runtime/overlay.h"
#include "runtime/query_slow.h"
#include "runtime/rows.h"
#include "runtime/session.h"
#include "runtime/timers.h"
#include "runtime/turn.h"

#define STEAD_SHARDS_PER_HOST_MAX 1024u
#define STEAD_INBOX_MESSAGES_MAX 262144u
#define STEAD_VREQUESTS_MAX 65536u           /* unanswered requests of the volatile agents of a shard */
#define STEAD_UNSYNCED_BYTES_MAX (32u << 20) /* a shard takes nothing new while so much waits for the disk */

enum stead_shard_phase { STEAD_SHARD_RECOVERING, STEAD_SHARD_SERVING, STEAD_SHARD_STOPPING };

/* An entry on its way to the disk. */
struct stead_unsynced {
    uint64_t index;
    uint64_t appended_ns;
    uint32_t bytes;
};

/* A call of a volatile agent that waits for its answer: one block of memory. */
struct stead_vcall {
    struct stead_id id;
    uint64_t hash;
    struct stead_agent *agent; /* pinned */
    uint64_t vrequest;         /* number of the request that is kept to be sent again; 0: none */
    const char *reply_op;      /* into this block, as the next two */
    const char *callee;        /* its address */
    const uint8_t *context;
    uint32_t context_size;
    uint8_t texts[];
};

/* An answer that a volatile agent has promised. */
struct stead_vowed {
    struct stead_id token;
    uint64_t hash;
    struct stead_agent *agent;     /* pinned */
    struct stead_message *request; /* owned copy */
};

/* A request of a volatile agent to another shard, kept to be sent again until it is answered. */
struct stead_vrequest {
    struct stead_vrequest *next, *prev;           /* by time of the next sending */
    struct stead_vrequest *slot_next, *slot_prev; /* ring of those to the same slot in the same session, by number */
    struct stead_vrequest *before, *after;        /* to the same agent in the same session, by number */
    uint64_t who;                                 /* stead_order_who(), and the session: of that agent */
    bool early;                                   /* refused, because what is before it has not been taken */
    bool refused;                                 /* when it was to be sent last: there was no room, or it was early */
    uint32_t lane;                                /* which of the shard's sessions it goes in */
    stead_slot slot;                              /* it went to */
    uint64_t number;                              /* in the shard's session */
    uint64_t resend_ns;
    struct stead_message *message; /* owned copy */
};

/* A request that was answered, or is being run, by a volatile agent, and came without channel or session: so that its
 * repeat runs no second time. */
struct stead_seen {
    struct stead_seen *next; /* by time */
    struct stead_id id;
    uint64_t hash;
    uint64_t until_ms;
    struct stead_message *answer; /* owned; NULL: still running */
};

struct stead_shard {
    struct stead_host *host;
    uint32_t id;
    uint8_t phase;     /* enum stead_shard_phase */
    uint64_t epoch;    /* of this primary */
    stead_slot *slots; /* owned */
    uint32_t slot_count;
    struct stead_overlay *overlay;

    /* ---- the log */
    uint64_t next_index;       /* of the open batch */
    uint64_t synced;           /* highest entry on disk */
    uint64_t clock;            /* hybrid logical clock of the newest entry or message */
    struct stead_writer turns; /* encoded turn records of the open batch */
    uint32_t turn_count;       /* records in it */
    uint32_t batch_turns;      /* turns run in the open batch, journaled or not */
    bool urgent;               /* something in the batch must not wait for the next turn */
    bool awaited;              /* an output waits for the open batch: it becomes an entry, even if nothing is in it */
    bool patient;              /* what the turn under way stores can wait for a while (STEAD_OP_PATIENT) */
    uint64_t lazy_until_ns;    /* so long the batch may hold what can wait; 0: it holds nothing such */
    bool paused;               /* a turn of this round has asked for its end (stead_pause()) */
    bool stalled;              /* its last round had no turns, and looked at nothing that was due */
    uint32_t early_jobs;       /* that were started before their commit, and are not over */
    uint64_t early_index;      /* newest batch that one of them was started in */
    uint64_t early_until_ns;   /* that batch may wait for their answers until then */
    struct stead_unsynced *unsynced; /* ring of unsynced_capacity */
    uint32_t unsynced_first, unsynced_count, unsynced_capacity;
    uint64_t unsynced_bytes;
    struct stead_queue held;      /* outputs, each waiting for its depends_on, an entry that was appended; by entry */
    struct stead_queue held_open; /* the same of the open batch: behind all of those */

    /* ---- checkpoint */
    uint64_t applied;           /* the image holds everything up to here */
    uint64_t log_bytes;         /* appended since the checkpoint under way began, or the last one */
    uint64_t checkpoint_index;  /* target of the one under way; 0: none */
    uint32_t checkpoint_chunks; /* with the store */
    bool checkpoint_last;       /* the last one is among them */
    bool forget_due;            /* finished, but a load is in flight */
    uint32_t loads;             /* in flight */

    /* ---- messages */
    struct stead_queue inbox;                       /* from outside, not looked at yet */
    struct stead_queue local;                       /* between agents of this shard */
    struct stead_agent *scheduled, *scheduled_tail; /* agents with waiting work */
    uint64_t scheduled_index;                       /* the newest batch that some of it joined */
    struct stead_agent *waiting_agent;              /* whose waiting messages are being run right now; NULL: nobody's */
    bool waiting_ran;                               /* one of those was not deferred */

    /* ---- tables */
    struct stead_map agents;       /* struct stead_agent, by hash of the address */
    uint32_t volatile_agents;      /* of those, not durable */
    struct stead_map channels_in;  /* struct stead_channel_in */
    struct stead_map channels_out; /* struct stead_channel_out */
    struct stead_channel_in *dirty_in;
    struct stead_channel_out *dirty_out;
    struct stead_channel_out *waiting_out; /* with unacknowledged records */
    uint64_t resend_ns;                    /* when the first of those may have to be sent again; UINT64_MAX: none */
    struct stead_channel_out *pump_first;  /* whose records are to be read from their outboxes */
    struct stead_channel_out *pump_last;   /* undefined when pump_first is NULL */
    uint32_t pump_count;                   /* of those */
    bool pumps_on;                         /* the round ended before they had what they may send */
    struct stead_map sessions;             /* struct stead_session */
    struct stead_session *dirty_sessions;
    struct stead_forgotten_list forgotten; /* sessions that left memory */
    uint32_t expire_at;                    /* place among the agents where the next look for expired messages begins */
    uint32_t sweep_at;                     /* slot whose rows the next sweep looks through */

    /* ---- timers */
    struct stead_slot_due *slot_due;     /* by position in `slots`; owned */
    struct stead_unreadable *unreadable; /* the newest, by hash; owned; NULL: none was met (timers.c) */
    uint64_t due_ms;                     /* the least of their first_ms, or earlier */
    uint16_t *slot_at;                   /* slot -> position + 1; STEAD_SLOTS entries; owned */
    struct stead_vtimer **vtimers;       /* heap by due_ms, order */
    uint32_t vtimer_count, vtimer_capacity;
    uint64_t vtimer_order;

    /* ---- volatile senders */
    struct stead_id session_id; /* of this shard's own sessions, random at each start: see vrequest.c */
    uint64_t session_start_ms;
    uint64_t session_number;    /* last given out */
    struct stead_map vcalls;    /* struct stead_vcall by id */
    struct stead_map vrequests; /* struct stead_vrequest by number */
    struct stead_map vslots;    /* by slot and session: the oldest such struct stead_vrequest to it */
    struct stead_map vorder;    /* by agent and session: the newest */
    struct stead_vrequest *vrequest_head, *vrequest_tail;
    struct stead_map seen;  /* struct stead_seen by id */
    struct stead_map vowed; /* struct stead_vowed by token */
    struct stead_seen *seen_head, *seen_tail;

    struct stead_map keys_running;       /* of clients' idempotency keys: struct stead_key_running */
    uint32_t key_expire_at;              /* place among those where the next look for expired messages begins */
    uint32_t key_sweep_at;               /* slot whose keys the next sweep looks through */
    struct stead_row_key key_sweep_from; /* from here on; empty: from its beginning */
    uint64_t mail_seq;                   /* last sequence of a parked message or dead letter: index << 20 | n */
};

struct stead_suspect {
    struct stead_id id;
    uint32_t kills;
    bool told; /* stead_host_tells() */
};

struct stead_peer {
    uint32_t node;
    uint64_t incarnation; /* of its newest connection */
    uint32_t load;        /* jobs it said it runs */
};

/* A node that has not loaded a stateless kind which this one has: placement.c. */
#define STEAD_LACKS_MAX 64u
struct stead_lack {
    uint64_t kind; /* hash of its name */
    uint32_t node;
    uint64_t incarnation;
};

/* What follows from an address alone, and from the table. */
struct stead_resolved {
    const struct stead_kind *kind; /* NULL: not loaded here */
    uint64_t hash;                 /* of the address */
    stead_slot slot;
    uint8_t durability; /* enum stead_durability, as far as registry or table know; else durable */
};

#define STEAD_RESOLVED_CACHE 512u /* entries, a power of two */
#define STEAD_RESOLVED_ADDRESS_MAX 47u

struct stead_resolved_entry {
    struct stead_resolved it;
    uint8_t size; /* bytes of the address; 0: empty */
    char address[STEAD_RESOLVED_ADDRESS_MAX];
};

struct stead_host {
    struct stead_host_options options; /* node_name owned, registry borrowed */
    struct stead_settings settings;
    struct stead_doors doors;
    const struct stead_registry *registry;
    uint64_t now_ns;  /* monotonic */
    uint64_t now_ms;  /* wall, never back: after a step back it goes on, a quarter slower, until the wall is there */
    uint64_t wall_ms; /* the wall clock as it was read: what others' deadlines are judged by */
    int load_code;    /* why the newest agent that cannot be read cannot */
    char load_why[STEAD_FIELDS_WHY_SIZE]; /* the field that keeps it from being read; "": it is no field */
    int failed;                           /* stead_host_fail(): the first code; 0: it goes on */
    char why[256];                        /* its sentence */
    uint64_t ahead_ns;                    /* of the ms that `now_ms` will go on by itself next */
    struct stead_rng rng;
    uint64_t id_prefix, id_counter; /* message ids */
    struct stead_effects effects;
    struct stead_stats stats;
    struct stead_arena arena;
    struct stead_writer scratch;           /* short-lived encodings */
    struct stead_message_pool pool;        /* blocks of small messages */
    struct stead_fibers *fibers;           /* stead_turn_fibers(): made when first asked for */
    struct stead_table *table;             /* newest known; may be NULL */
    struct stead_resolved_entry *resolved; /* cache of stead_host_resolve(); STEAD_RESOLVED_CACHE entries */
    bool registry_has_stateless;           /* some kind loaded here is stateless */
    bool tick_armed;                       /* tick_ns is set */
    struct stead_shard *shards[STEAD_SHARDS_PER_HOST_MAX];
    uint32_t shard_count;
    struct stead_shard **shard_of; /* by slot: the shard of this host that serves it, or NULL; STEAD_SLOTS entries */
    struct stead_agent *lru_first, *lru_last; /* READY activations, most recently used first */
    struct stead_agent *at_work; /* its work goes on in further turns (stead_pause()): it stays meanwhile; or NULL */
    uint64_t at_work_until_ns;   /* if the next of them has begun by then */
    uint64_t agent_bytes;        /* blocks and what hangs off them */
    uint64_t agent_count;
    uint64_t message_bytes;                          /* waiting in mailboxes and for keys */
    uint64_t session_bytes;                          /* of sessions, and what is remembered in place of them */
    uint64_t vrequest_bytes;                         /* of volatile agents' unanswered requests to other shards */
    uint64_t overlay_bytes;                          /* as of the last round */
    uint32_t checkpoint_chunks;                      /* of all shards */
    bool overflows;                                  /* the same: more than stead_host_row_bytes_max() */
    uint64_t tick_ns;                                /* next look at idle agents, sessions, gauges */
    struct stead_lock_waits *lock_waits;             /* who waits to hold what; owned; NULL: nobody did yet */
    struct stead_query_slow *queries, *queries_tail; /* under way, owned; the first one has the next slice */
    struct stead_map jobs;                           /* struct stead_placed, by message id */
    uint32_t job_count;                              /* running on this node through this host */
    struct stead_peer peers[STEAD_NODES_MAX];
    uint32_t peer_count;
    struct stead_lack lacks[STEAD_LACKS_MAX]; /* a ring */
    uint32_t lack_next;                       /* noted so far */
    const struct stead_agent *marked_agent;   /* of the newest turn mark; NULL once it is freed */
    const struct stead_op *marked_op;         /* of the same */
    uint64_t round_turns;                     /* stats.turns when the round began */
    uint64_t time_all_until_ns;               /* every turn is timed until then: one was slow */
    struct stead_suspect *suspects;           /* owned */
    uint32_t suspect_count;
    uint64_t wary_until_ns; /* until then no turn builds on one that is not synced (stead_shard_run()) */
    bool disk_full;
    bool checkpoint_soon; /* every shard that has none under way begins a checkpoint */
    bool stopping;
    uint64_t hold_ns;             /* holds back what comes from outside until then; 0: does not */
    struct stead_queue held_back; /* what came since */
    uint32_t rotate_at;           /* shard whose turn is first in the next round */
};

/* ---- host.c --------------------------------------------------------------------------------- */

/* Passes a message on to wherever it belongs: a shard of this host, another reactor or node, a client's connection, a
 * job. Nothing it depends on is uncommitted any more. Consumed. */
void stead_host_route(struct stead_host *host, struct stead_message *message);
/* Checks an address and resolves it through the placement group of its kind. Agents write to few addresses again and
 * again, so the newest are remembered. 0 or STEAD_EADDRESS. */
int stead_host_resolve(struct stead_host *host, struct stead_slice address,
                       struct stead_resolved *ret_resolved) STEAD_MUST_USE;
struct stead_id stead_host_new_id(struct stead_host *host);
/* How often the process died while it ran the turn of this message (of a reply: stead_turn_reply_id()). */
uint32_t stead_host_kills(const struct stead_host *host, struct stead_id id);
/* It has died so often that an agent of this kind is not given the message any more. */
bool stead_host_sets_aside(const struct stead_host *host, const struct stead_kind *kind, struct stead_id id);
/* A timer is set aside, or again: true the first time in this life. */
bool stead_host_tells(struct stead_host *host, struct stead_id id);
void stead_host_trace(struct stead_host *host, int level, const char *format, ...) STEAD_PRINTF(3, 4);
void stead_host_wake_at(struct stead_host *host, uint64_t deadline_ns);
/* Of the memory budget sessions have an eighth; what they take beyond it does not drive agents out of memory. */
static inline uint64_t stead_host_session_bytes_max(const struct stead_host *host)
{
    return host->settings.memory_bytes_max / 8;
}
/* Rows of the runtime itself cannot be read, and what they say is needed: nothing of this round leaves any more, and
 * the process is to end (L6). The first reason is kept. */
void stead_host_fail(struct stead_host *host, int code, const char *format, ...) STEAD_PRINTF(3, 4);
/* What one shard's inbox, and its queue between its own agents, may hold: together a quarter of the memory budget. */
static inline uint64_t stead_host_queue_bytes_max(const struct stead_host *host)
{
    return host->settings.memory_bytes_max / (8u * (host->shard_count == 0 ? 1u : host->shard_count));
}
/* So many bytes of one channel are on their way at once, and at most a record more. It goes by what the inbox of a
 * shard holds here, for nodes are mostly alike, and is a part of that: others send to it too. No channel needs more
 * than 1 MiB a round trip. */
static inline uint64_t stead_host_window_bytes(const struct stead_host *host)
{
    uint64_t share = stead_host_queue_bytes_max(host) / 4;
    return share < 1u << 20 ? share : 1u << 20;
}
/* What the rows of all overlays may have of it: above that no turn runs until checkpoints have made room. */
static inline uint64_t stead_host_row_bytes_max(const struct stead_host *host)
{
    return host->settings.memory_bytes_max / 2;
}
/* Bytes of a page of a query: a sixteenth of the memory budget, as some copies of it are made on its way, and several
 * may be asked for at once; at most STEAD_QUERY_PAGE_BYTES. */
static inline size_t stead_host_page_bytes(const struct stead_host *host)
{
    uint64_t share = host->settings.memory_bytes_max / 16;
    return share < STEAD_QUERY_PAGE_BYTES ? (size_t)share : STEAD_QUERY_PAGE_BYTES;
}
/* No more is asked of other shards by volatile agents: what is unanswered takes an eighth of the memory budget. */
static inline bool stead_host_vrequests_full(const struct stead_host *host)
{
    return host->vrequest_bytes > host->settings.memory_bytes_max / 8;
}
/* No more is let wait in mailboxes: they take a quarter of the memory budget. */
static inline bool stead_host_mailboxes_full(const struct stead_host *host)
{
    return host->message_bytes > host->settings.memory_bytes_max / 4;
}
/* placement.c: a request to a stateless kind: runs it here or passes it to the chosen node. Consumed. `kind` NULL: it
 * is not loaded here, but somewhere; `needs`: the label that its nodes have, or NULL. */
void stead_placement_place(struct stead_host *host, const struct stead_kind *kind, const char *needs,
                           struct stead_message *message);
/* Tells a job that nobody waits for it any more, wherever this host has placed it; not when a client says so of what
 * another one asked. False: it has not placed it. */
bool stead_placement_cancel(struct stead_host *host, const struct stead_message *cancel);
/* May a durable agent's call to this kind (NULL: unknown) start on this node before the commit of the turn that makes
 * it? */
bool stead_placement_may_start_early(const struct stead_host *host, const struct stead_kind *kind);
/* Starts it. Consumed. */
void stead_placement_start_early(struct stead_shard *shard, const struct stead_kind *kind,
                                 struct stead_message *request);
void stead_placement_answered(struct stead_host *host, const struct stead_message *answer);
/* Forgets choices whose node is gone. */
void stead_placement_sweep(struct stead_host *host);
void stead_placement_deinit(struct stead_host *host);

/* ---- shard.c -------------------------------------------------------------------------------- */

/* A shard in recovery: its rows in the image are complete up to entry `applied`. Returned. */
struct stead_shard *stead_shard_create(struct stead_host *host, uint32_t id, uint64_t applied);
/* Frees it with its agents, whose hooks give back what they hold; no effects. */
void stead_shard_destroy(struct stead_shard *shard);
/* Puts one logged entry back (borrowed; the next index). STEAD_ECORRUPT: not that entry, or damaged. */
int stead_shard_replay(struct stead_shard *shard, uint64_t index, struct stead_slice entry) STEAD_MUST_USE;
/* Recovery is over: serves `slots` (copied) under `epoch`, above every earlier one. */
void stead_shard_start(struct stead_shard *shard, uint64_t epoch, const stead_slot *slots, uint32_t slot_count);
/* Runs messages, waiting agents and timers, at most about `budget` turns; closes the batch. True: there is more. */
bool stead_shard_run(struct stead_shard *shard, uint32_t budget);
/* Puts a message into the inbox. When that is full, because the disk is behind, clients are told `busy` and the rest is
 * dropped: its senders keep it, but for tells. Consumed. */
void stead_shard_offer(struct stead_shard *shard, struct stead_message *message);
/* There is work that can be done now; a shard that waits for its disk has none. */
bool stead_shard_ready(const struct stead_shard *shard);
/* Entries up to `index` are on disk: what waited for them leaves. */
void stead_shard_synced(struct stead_shard *shard, uint64_t index);
/* The chunk of the checkpoint under way is written: the next, or the end of it. */
void stead_shard_rows_written(struct stead_shard *shard);
/* Nothing uncommitted, unwritten or waiting; when stopping: the image holds everything. */
bool stead_shard_idle(const struct stead_shard *shard);
/* Asserts L1 to L3 and what channels and overlay keep, between events. */
void stead_shard_check(const struct stead_shard *shard);

/* Reads of the runtime's own rows, for whoever can go on with "there is none" and not without an answer (L6). 0 or
 * STEAD_ENOTFOUND; any other code: the host has failed. `image`: the doors, or NULL: the image has nothing of it. */
int stead_shard_read(struct stead_shard *shard, const struct stead_doors *image, const struct stead_row_key *key,
                     struct stead_writer *ret_value) STEAD_MUST_USE;
/* The same of the rows from <= key < to. What `visit` returned, or 0; negative: the host has failed. */
int stead_shard_scan(struct stead_shard *shard, const struct stead_row_key *from, const struct stead_row_key *to,
                     stead_row_visit_fn *visit, void *context);

/* An output of the shard: leaves when `message->depends_on` is committed. Consumed. */
void stead_shard_emit(struct stead_shard *shard, struct stead_message *message);
/* The batch holds something that must be logged now (`urgent`), or that may ride on the next entry. */
void stead_shard_dirty(struct stead_shard *shard, bool urgent);
/* Row helpers at the open entry. */
void stead_shard_put(struct stead_shard *shard, const struct stead_row_key *key, struct stead_slice value, bool fresh);
void stead_shard_delete(struct stead_shard *shard, const struct stead_row_key *key);
/* Closes the open batch if it has anything (or anything urgent, unless `all`). */
void stead_shard_batch_close(struct stead_shard *shard, bool all);
/* The checkpoint, in checkpoint.c: starts one when it is time, or goes on. */
void stead_shard_checkpoint(struct stead_shard *shard, bool now);

/* ---- take.c, waiting.c: what a message goes through before and instead of a turn ------------------------- */

/* A message of the inbox or of this shard. Consumed. */
void stead_shard_take(struct stead_shard *shard, struct stead_message *message);
/* Runs a message that was judged (or never needed to be) on its agent, or lets it wait. Consumed. `taken`: it was
 * parked or delayed here before. */
void stead_shard_deliver(struct stead_shard *shard, struct stead_message *message, bool taken);
/* A message for an agent that cannot take it now waits where its like waits. Consumed. */
void stead_shard_let_wait(struct stead_agent *agent, struct stead_message *message, bool taken);
/* Looks at so many places of the table of agents, in turn, and ends what has waited there beyond its deadline: nobody
 * waits for its answer any more, and it takes the room of others. No place twice; and no further when it has looked at
 * so many messages: the next look goes on there. */
void stead_shard_expire_waiting(struct stead_shard *shard, uint32_t places, uint32_t messages);
/* May a volatile agent of this shard say this to an agent of it (address, its hash, source, op and fence alone)? Not
 * when its mailbox is full, or all are and the signal would wait: nobody would hear that it was refused there. */
bool stead_shard_may_signal(const struct stead_shard *shard, const struct stead_message *signal);
/* Runs what waits for the agent: parked messages, then its mailbox. True: there is more. */
bool stead_shard_run_waiting(struct stead_shard *shard, struct stead_agent *agent);
/* A turn of the agent is over, whatever caused it: what waits behind a deferral or a lock may run now. */
void stead_shard_turn_done(struct stead_agent *agent);
/* Takes a message by parking it in the agent's durable mailbox, in the open batch. Borrowed. `no_kind`: nobody loads
 * this agent now: look again at the next start. */
void stead_shard_park(struct stead_shard *shard, const struct stead_message *message, bool no_kind, bool taken);
/* At a start: the agent has parked messages, says its due row; they are run unless it is held. */
void stead_shard_has_mail(struct stead_agent *agent);
/* The same, of mail that its head did not tell of: parked while its kind was not loaded or it could not be read. */
void stead_shard_found_mail(struct stead_agent *agent);
/* Its channel position or session number moves with the open batch. */
void stead_shard_mark_taken(struct stead_shard *shard, const struct stead_message *message);
/* Answers a request (borrowed) with a failure: through its channel, its session, or at once; `stored`: the answer joins
 * the batch. */
void stead_shard_refuse(struct stead_shard *shard, const struct stead_message *request, int status, const char *name,
                        const char *sentence, bool stored, uint64_t depends_on);
/* Answers a request (borrowed) that nobody has judged yet: whatever its session or its key know of an earlier copy
 * stays as it is. */
void stead_shard_turn_away(struct stead_shard *shard, const struct stead_message *request, int status);
/* Sends the answer (consumed) of `request` on the way that suits the request. `stored`: it is part of the open
 * batch. */
void stead_shard_reply(struct stead_shard *shard, const struct stead_message *request, struct stead_message *answer,
                       bool stored, uint64_t depends_on);
/* Adds a dead letter to the agent's list in the open batch. Borrowed. */
void stead_shard_dead_letter(struct stead_shard *shard, const struct stead_message *message, int status,
                             const char *name, const char *sentence);
/* The same of an answer, under the name of the reply op that was to take it. */
void stead_shard_dead_answer(struct stead_shard *shard, const struct stead_message *answer, const struct stead_op *op,
                             int status, const char *name, const char *sentence);

/* ---- calls.c: pending calls, owed answers, requests of volatile agents ------------------------- */

/* A durable agent has called: its CALL row and deadline, in the open batch. `unsequenced`: the request is kept in it,
 * to be sent again. */
void stead_calls_made(struct stead_turn *turn, const struct stead_turn_call *call, bool unsequenced);
/* Does the agent wait for the answer of this call? 0; STEAD_ENOTFOUND; it cannot be read (the host has failed). */
int stead_calls_pending(struct stead_agent *agent, struct stead_id id);
/* It does not any more: its row or entry goes in the open batch, its callee is told with the commit. A call that is not
 * pending: nothing. */
void stead_calls_cancel(struct stead_agent *agent, struct stead_id id);
/* The same for all its calls. */
void stead_calls_destroy_agent(struct stead_agent *agent);
/* A volatile agent has called. Borrowed: the shard's. */
struct stead_vcall *stead_calls_made_volatile(struct stead_turn *turn, const struct stead_turn_call *call);
/* An answer for an agent of this shard. Consumed; `taken` as above. */
void stead_calls_answer(struct stead_shard *shard, struct stead_message *answer, bool taken);
/* The deadline (or the time to ask again) of a durable call has come. */
void stead_calls_due(struct stead_shard *shard, struct stead_agent *agent, struct stead_id call, uint64_t due_ms);
void stead_calls_due_volatile(struct stead_shard *shard, struct stead_agent *agent, struct stead_id call);
void stead_calls_forget_volatile(struct stead_shard *shard, struct stead_id call);
/* Owed answers: the row of a token, in the open batch. */
void stead_owed_add(struct stead_turn *turn);
/* Does the token stand for an answer still owed? 0; STEAD_ENOTFOUND; it cannot be read (the host has failed). */
int stead_owed_exists(struct stead_agent *agent, struct stead_id token);
/* Is it one of a volatile agent, or a promise of a quiet op? */
bool stead_owed_is_volatile(struct stead_agent *agent, struct stead_id token);
/* `stored`: the turn writes, so that the answer of a volatile promise is kept with it for those who ask again. */
void stead_owed_answer(struct stead_agent *agent, const struct stead_turn_answer *answer, bool stored);
void stead_owed_destroy_agent(struct stead_agent *agent);
/* Another request waits for the same answer (a retry with a new route, the same idempotency key). */
void stead_owed_attach(struct stead_shard *shard, const struct stead_message *request, struct stead_id token);
/* A request without channel or session for a volatile agent: true: it was seen before (and answered again where an
 * answer is known). */
bool stead_seen_judge(struct stead_shard *shard, const struct stead_message *request);
/* Its answer (borrowed). */
void stead_seen_answered(struct stead_shard *shard, const struct stead_message *answer);
/* Forgets those that were seen long enough ago. */
void stead_seen_sweep(struct stead_shard *shard);
/* Bytes of their answers. */
uint64_t stead_seen_check(const struct stead_shard *shard);
/* Opens the sessions of the shard's volatile senders, or new ones. */
void stead_vrequest_open_sessions(struct stead_shard *shard);
/* No: too many requests to other shards, or too many bytes of them, are unanswered. */
bool stead_vrequest_has_room(const struct stead_shard *shard);
/* Bytes of those that are kept to be sent again. */
uint64_t stead_vrequest_check(const struct stead_shard *shard);
/* A request of a volatile agent to another shard. Consumed; its number, never 0. */
uint64_t stead_vrequest_send(struct stead_shard *shard, struct stead_message *message);
/* The request of this number is not sent again. */
void stead_vrequest_drop(struct stead_shard *shard, uint64_t number);
/* An answer of a session (borrowed). True: the request was refused for the time being and goes again, and nobody is to
 * hear of it. */
bool stead_vrequest_answered(struct stead_shard *shard, const struct stead_message *answer);
uint64_t stead_vrequest_resend_due(struct stead_shard *shard);
void stead_calls_deinit(struct stead_shard *shard);

/* ---- keys.c: clients' idempotency keys -------------------------------------------------------- */

/* True: the request (consumed) was dealt with: answered, refused with conflict, or waits for the first. False: run
 * it. */
bool stead_key_judge(struct stead_shard *shard, struct stead_message **request);
/* The keyed request's answer joins the batch (borrowed); those that wait are answered too. */
void stead_key_answered(struct stead_shard *shard, const struct stead_message *request,
                        const struct stead_message *answer);
/* Answers a request (borrowed) from what is stored with its key, or attaches it to what is owed; false: nothing is. For
 * requests that nobody has judged when they came: of agents, and of clients that have waited since. */
bool stead_key_known(struct stead_shard *shard, struct stead_message *request);
/* Its op kept a token. */
void stead_key_owed(struct stead_shard *shard, const struct stead_message *request, struct stead_id token);
/* The keyed request ended without an effect that is kept (refused, expired, read-only): the next with its key may
 * run. */
void stead_key_dropped(struct stead_shard *shard, const struct stead_message *request);
/* Requests that wait for the first with their key end: the one that is cancelled (`cancel` is borrowed), and those past
 * their deadline, looked for at so many places of the table of keys, in turn. */
void stead_keys_cancel(struct stead_shard *shard, const struct stead_message *cancel);
void stead_keys_expire(struct stead_shard *shard, uint32_t places);
/* Deletes keys that are past their age: of the next slot, or, when the last sweep did not come to the end of one, of
 * the rest of that. The shard has slots. */
void stead_keys_sweep(struct stead_shard *shard);
/* Asserts M3; the bytes of all that waits. */
uint64_t stead_keys_check(const struct stead_shard *shard);
void stead_keys_deinit(struct stead_shard *shard);

/* ---- query.c ---------------------------------------------------------------------------------- */

/* A QUERY about an agent, or one that the whole shard answers. Consumed. */
void stead_query(struct stead_shard *shard, struct stead_message *message);
void stead_query_dead_letters(struct stead_shard *shard, struct stead_message *query);
/* "agents" over all shards of the host. Consumed. */
void stead_query_agents(struct stead_host *host, struct stead_message *message);
/* A query to the node that its hosts answer: `agents`, or `deadletters` of everybody. Consumed. */
void stead_query_host(struct stead_host *host, struct stead_message *message);

#endif
