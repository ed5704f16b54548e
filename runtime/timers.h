/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timers: everything of a shard that falls due: named timers, delayed signals, deadlines of calls, parked messages of
 * kinds that were not loaded.
 *
 * Durable ones are two rows: what to do (TIMER, DELAYED, CALL or MAIL part of the agent) and when (TIMER_DUE, ordered
 * by time). Memory holds a number and a key a slot: when its first row is due, and where to look. So ten million timers
 * cost no memory, and a restart reads one row a slot. Timers of volatile kinds are in memory only, in a heap by time.
 *
 * Invariants: T1 a due row goes in the same entry as its effect; T2 a due row exists exactly while its part row does;
 * T3 the slot's number is never later than its first due row; T4 nor is its key; T5 due rows of an agent that cannot be
 * read keep nobody else's; T6 of a timer that rings again one run may wait; T7 in its own life. (Without the key each
 * round would begin at the slot's first row, and pass all the deleted ones again: 100,000 timers of one moment took
 * half a minute.)
 */
#ifndef STEAD_RUNTIME_TIMERS_H
#define STEAD_RUNTIME_TIMERS_H

#include "runtime/cron.h"
#include "runtime/rows.h"
#include "stead/agent.h"

struct stead_shard;
struct stead_agent;
struct stead_message;

/* What is known of a slot's TIMER_DUE rows. */
struct stead_slot_due {
    uint64_t first_ms;        /* its first due row, or earlier; UINT64_MAX: none */
    struct stead_writer from; /* the key where rounds begin to look; empty: the slot's first; owned */
    uint64_t again_ms; /* not all rows could be seen: from then on all of them are; UINT64_MAX: none was missed */
    bool waits;        /* something due waits for its agent to be loaded */
    bool mail;         /* there may be mail that its agents' heads do not tell of: who gets ready looks for its own */
};

/* An agent that could not be read: its rows are passed over for a while, so that others' behind them are not kept and
 * the disk and the log have their peace. */
struct stead_unreadable {
    uint64_t hash;     /* of its address */
    uint64_t until_ms; /* it is tried again from then on */
};

/* A timer of a volatile agent, or the deadline of its call. */
struct stead_vtimer {
    struct stead_vtimer *agent_next; /* other timers of the agent */
    struct stead_agent *agent;
    uint64_t due_ms;                 /* wall clock */
    uint64_t order;                  /* ties run in the order they were set */
    int64_t period_ms;               /* 0: once */
    struct stead_id call;            /* deadline of this call; zero: a timer */
    struct stead_cron_schedule cron; /* when has_cron */
    bool has_cron;
    uint32_t heap_at;                /* position in the heap */
    const struct stead_message *run; /* the newest that was to wait: only compared, it may be gone; NULL: none was */
    char *name;                      /* owned, as the next three */
    char *op;
    char *zone; /* cron: NULL is UTC */
    uint8_t *args;
    uint32_t args_size;
};

/* What a turn asks for, collected until its commit. */
struct stead_timer_request {
    struct stead_timer_request *next;
    const char *name;
    const char *op; /* NULL: cancel */
    struct stead_slice args;
    uint64_t due_ms;
    int64_t period_ms; /* 0: none */
    const char *cron;  /* NULL: none */
    const char *zone;
    enum stead_catch_up catch_up;
};

/* When a schedule is next due after `after_ms`; STEAD_EARGUMENT: malformed schedule or unknown zone; STEAD_ENOTFOUND:
 * never. */
int stead_timers_cron_next(struct stead_shard *shard, const char *cron, const char *zone, uint64_t after_ms,
                           uint64_t *ret_ms) STEAD_MUST_USE;

/* Commits one request of an agent's turn. */
void stead_timers_commit(struct stead_agent *agent, const struct stead_timer_request *request);
/* Does a durable timer, or one in memory, of that name stand? 0; STEAD_ENOTFOUND; it cannot be read (the host has
 * failed). */
int stead_timers_exists(struct stead_agent *agent, const char *name, bool is_volatile);

/* The TIMER_DUE row of something of an agent; part and name say what. */
void stead_timers_add_due(struct stead_shard *shard, stead_slot slot, struct stead_slice address, uint64_t due_ms,
                          enum stead_row_part part, struct stead_slice name);
void stead_timers_delete_due(struct stead_shard *shard, stead_slot slot, struct stead_slice address, uint64_t due_ms,
                             enum stead_row_part part, struct stead_slice name);

/* ---- A run that waits: the agent is held, or others wait before it, or its op has put it back. One of a timer waits:
 * further ones become one with it (T6). It ends with its incarnation (T7). ---- */

/* The id by which a timer is known again, whenever it rings. */
struct stead_id stead_timer_id(const struct stead_agent *agent, struct stead_slice name);
/* A run that is to wait belongs to this life of its agent. */
void stead_timer_run_stamp(const struct stead_agent *agent, struct stead_message *run);
/* Is this message, which has waited, a run of an earlier life? Then it does not run any more. */
bool stead_timer_run_is_past(const struct stead_agent *agent, const struct stead_message *message);
/* Does a run of that timer wait? Of durable ones. */
bool stead_timer_run_waits(struct stead_agent *agent, struct stead_id id);
/* It waits as the parked message of this sequence. */
void stead_timer_run_parked(struct stead_agent *agent, struct stead_id id, uint64_t sequence);
/* A run is parked anew, put back by its op: if it is the one that waits, as this. */
void stead_timer_run_moved(struct stead_agent *agent, struct stead_id id, uint64_t sequence);
/* The parked message of this sequence (0: whatever waits) has run, or will not any more. */
void stead_timer_run_over(struct stead_agent *agent, struct stead_id id, uint64_t sequence);

/* Something of this slot may be due at `due_ms`: look then. */
void stead_timers_look(struct stead_shard *shard, stead_slot slot, uint64_t due_ms);
/* All of this slot's rows are looked at, as at a start: in a moment. */
void stead_timers_look_again(struct stead_shard *shard, stead_slot slot);
/* An agent cannot be read, for `code`: its due rows are passed over for a while, so that they do not keep others'. */
void stead_timers_unreadable(struct stead_shard *shard, stead_slot slot, uint64_t hash, int code);
/* An agent has been loaded: its due rows are passed over no longer, and those that wait for it are looked at. */
void stead_timers_readable(struct stead_shard *shard, stead_slot slot, uint64_t hash);
/* Mail of an agent (durable, not ready yet) that its head does not tell of, parked while its kind was not loaded or it
 * could not be read: its due rows go, and stead_shard_found_mail() is to follow. STEAD_EIO: that cannot be told now. */
int stead_timers_find_mail(struct stead_agent *agent, bool *ret_found) STEAD_MUST_USE;
/* Runs what is due now. True: more is due than one round may run. `ret_next_ms`: when the next is due (UINT64_MAX:
 * never). */
bool stead_timers_run(struct stead_shard *shard, uint64_t *ret_next_ms);
/* At start: one look at each slot. */
void stead_timers_recover(struct stead_shard *shard);
/* Clears the due rows of an agent whose incarnation ends. */
void stead_timers_destroy_agent(struct stead_agent *agent);

/* Volatile: deadline of a call of a volatile agent. */
void stead_vtimer_set(struct stead_agent *agent, const struct stead_timer_request *request);
void stead_vtimer_deadline(struct stead_agent *agent, struct stead_id call, uint64_t due_ms);
void stead_vtimer_cancel_call(struct stead_agent *agent, struct stead_id call);
void stead_vtimers_run(struct stead_shard *shard, uint64_t now_ms);
void stead_vtimers_drop(struct stead_agent *agent);

/* The stored form of a TIMER row. */
struct stead_timer_row {
    uint64_t due_ms;
    int64_t period_ms; /* 0: once; of a cron timer: 0, or when it was due, while its zone cannot be read */
    enum stead_catch_up catch_up;
    struct stead_slice op, args, cron, zone; /* borrowed */
};
int stead_timer_row_decode(struct stead_slice value, struct stead_timer_row *ret_row) STEAD_MUST_USE;

#endif
