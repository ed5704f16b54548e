/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Orchestrations: durable workflows in straight-line C that awaits.
 *
 *     static int trip(struct stead_orchestration *o, struct stead_slice input)
 *     {
 *         struct stead_slice hotel, flight;
 *         int code = stead_await_activity(o, "book_hotel", input, &hotel);
 *         if (code == 0)
 *             code = stead_await_activity(o, "book_flight", input, &flight);
 *         return code != 0 ? code : stead_complete(o, flight);
 *     }
 *     static const struct stead_orchestrator trip_orchestrator = {.abi = STEAD_ORCHESTRATION_ABI,
 *         .struct_size = sizeof(struct stead_orchestrator), .name = "trip", .version = 1, .run = trip};
 *     STEAD_ORCHESTRATORS(&trip_orchestrator);
 *
 * The function runs on a small stack of its own. While its instance is in memory it simply goes on; after a crash, a
 * move or an unload it runs again from its start, and every await that is in the history is answered from there. So it
 * must be deterministic: the same input and the same answers must lead to the same awaits. No clock, chance,
 * environment, I/O or global state: stead_now(), stead_uuid(), stead_random_of() and stead_side_effect() are the
 * deterministic ones; all work is done by activities and agents. Code that does not match its history any more stops
 * with status Failed and the error `nondeterminism`, which names the first event that differs; the history stays as it
 * is, and `rewind` goes on with mended code.
 *
 * Whatever the function keeps outside of its stack goes through stead_keep() or stead_keep_bytes(): the stack may be
 * thrown away at any await without a word, and memory from malloc() would leak.
 *
 * The same functions run on either fabric: direct (the agent `orchestration/ID` and its channels) or a storage-mediated
 * task hub.
 *
 * Threads: everything here is called by the orchestrator's function, on its stack, and nowhere else. Stack: 64 KiB
 * unless `stack_bytes` says more.
 */
#ifndef STEAD_ORCHESTRATION_H
#define STEAD_ORCHESTRATION_H

#include "stead/agent.h"

#ifdef __cplusplus
extern "C" {
#endif

#define STEAD_ORCHESTRATION_ABI 1u
#define STEAD_EVENT_NAME_MAX 255  /* bytes, not empty */
#define STEAD_INSTANCE_ID_MAX 256 /* bytes of UTF-8: not starting with '@', without / \ # ? and control characters */

struct stead_orchestration; /* one execution, from inside */

/* ---- Definitions ---------------------------------------------------------------------------- */

/* The orchestrator's function. 0: Completed, with the value of stead_complete() (none: nil). STEAD_EFAILED from
 * stead_fail_with(), or any other negative code (as a rule that of an await): Failed. What stead_continue_as_new()
 * returned: begins anew. At the end open timers are taken away and locks released; activities, calls and children that
 * were begun and not awaited go on, and nobody takes their results (stead_task_cancel() ends them; so do a termination
 * and continue-as-new). */
typedef int stead_orchestrator_fn(struct stead_orchestration *o, struct stead_slice input);

struct stead_orchestrator {
    uint32_t abi;         /* STEAD_ORCHESTRATION_ABI */
    uint32_t struct_size; /* sizeof(struct stead_orchestrator) */
    const char *name;     /* [a-z][a-z0-9_.-]{0,62} */
    const char *help;     /* one line, or NULL */
    uint32_t version;     /* from 1. New instances get the highest that is loaded; each keeps its own for life */
    uint32_t stack_bytes; /* 0: 64 KiB */
    stead_orchestrator_fn *run;
    int64_t keep_completed_ms; /* purged so long after it completed; 0: kept until somebody purges it */
    int64_t keep_failed_ms;    /* the same for Failed, Canceled and Terminated */
};

/* The second symbol of a module: a NULL-terminated list of its orchestrators. A module has this, STEAD_MODULE, or
 * both. */
#define STEAD_ORCHESTRATORS_SYMBOL "stead_orchestrators"
struct stead_orchestrators {
    uint32_t abi; /* STEAD_ORCHESTRATION_ABI */
    const struct stead_orchestrator *const *list;
};
#define STEAD_ORCHESTRATORS(...)                                                                                       \
    static const struct stead_orchestrator *const stead_orchestrators_list[] = {__VA_ARGS__, NULL};                    \
    STEAD_PUBLIC extern const struct stead_orchestrators stead_orchestrators;                                          \
    const struct stead_orchestrators stead_orchestrators = {STEAD_ORCHESTRATION_ABI, stead_orchestrators_list}

/*
 * An activity is a stateless kind with the one op `run`: a job that may block and gets the input as it was given. It
 * runs at least once; its result is taken once. STEAD_ACTIVITY(book_hotel, "book_hotel", fn, 0) defines the kind; list
 * it in STEAD_MODULE(&book_hotel). Flags: STEAD_KIND_IDEMPOTENT (agent.h), or 0. An activity that needs a label is
 * written out as a kind with `needs`.
 */
#define STEAD_ACTIVITY(identifier, activity_name, job_function, kind_flags)                                            \
    static const struct stead_op identifier##_ops[] = {{"run", NULL, (job_function), 0, "the activity"},               \
                                                       {NULL, NULL, NULL, 0, NULL}};                                   \
    static const struct stead_kind identifier = {.abi = STEAD_ABI,                                                     \
                                                 .struct_size = sizeof(struct stead_kind),                             \
                                                 .name = (activity_name),                                              \
                                                 .help = "the activity " activity_name,                                \
                                                 .durability = STEAD_STATELESS,                                        \
                                                 .flags = (kind_flags),                                                \
                                                 .ops = identifier##_ops}

/* The orchestrator of this name that is loaded in this process: `version`, or the highest for 0. Borrowed for the
 * process' life; NULL: none. For kinds that run orchestrations. */
STEAD_PUBLIC const struct stead_orchestrator *stead_orchestrator_find(const struct stead_turn *turn, const char *name,
                                                                      uint32_t version);

/* ---- Tasks ---------------------------------------------------------------------------------- */

/* Something that was begun and will finish: plain data. Each task's outcome is read once, by stead_await() or by what
 * awaits in one step. At most 100,000 open (unread) tasks at once; more fail the instance with STEAD_ELIMIT. */
struct stead_task {
    uint32_t number; /* from 1, in the order of the begins; 0: no task */
};

struct stead_retry {
    int64_t first_ms;        /* delay(n) = min(first x coefficient^n, maximum), n from 0 */
    uint32_t attempts_max;   /* in all; 0 or 1: no retry */
    double coefficient;      /* 0: 1 */
    int64_t interval_max_ms; /* 0: no maximum */
    int64_t timeout_ms;      /* no attempt begins later than so long after the first; 0: none */
    /* NULL: every failure but STEAD_ECANCELLED is tried again. Deterministic, as the function is. */
    bool (*retryable)(int code, const char *error_name);
};

struct stead_task_options {
    struct stead_retry retry; /* activities, children and calls */
    /* activity: fails with STEAD_ETIMEOUT when it has not begun to run so long after it was sent; from anew when the
     * node that had it dies; 0: none */
    int64_t start_timeout_ms;
    int64_t run_timeout_ms; /* activity: cancelled, STEAD_ETIMEOUT, when it runs longer; 0: none */
    /* activity: cancelled, STEAD_ETIMEOUT, when it runs so long without stead_job_heartbeat(); 0: none */
    int64_t heartbeat_timeout_ms;
    int64_t timeout_ms;      /* of an attempt as a whole; also calls and children; 0: none */
    const char *instance_id; /* child: its id; NULL: derived from the parent's and the task's number */
    uint32_t version;        /* child: 0: the highest */
};

/* Each begins a task and goes on at once. Texts, values and options are copied; `options` may be NULL. Names are not
 * checked here: an activity, orchestrator or agent that is nowhere loaded is waited for. A malformed name, id or value
 * fails the task with STEAD_EARGUMENT, a value over the payload limit with STEAD_ETOOLARGE. */
STEAD_PUBLIC struct stead_task stead_begin_activity(struct stead_orchestration *o, const char *name,
                                                    struct stead_slice input, const struct stead_task_options *options);
STEAD_PUBLIC struct stead_task stead_begin_child(struct stead_orchestration *o, const char *name,
                                                 struct stead_slice input, const struct stead_task_options *options);
STEAD_PUBLIC struct stead_task stead_begin_timer(struct stead_orchestration *o, int64_t delay_ms);
/* The next external event of that name that no earlier task has taken; one that came before it was asked for was
 * kept. */
STEAD_PUBLIC struct stead_task stead_begin_event(struct stead_orchestration *o, const char *name);
/* A call to an agent: exactly-once effect. Inside a critical section only to what is locked. An op that begins with
 * `stead.` is refused (STEAD_EARGUMENT): locks are taken by stead_lock(). */
STEAD_PUBLIC struct stead_task stead_begin_call(struct stead_orchestration *o, const char *address, const char *op,
                                                struct stead_slice args, const struct stead_task_options *options);

/* Waits for the task and reads its outcome. 0, or the code of its failure (STEAD_ECANCELLED: it was cancelled).
 * `ret_value` (may be NULL) is borrowed until the next stead_await*() or stead_outcome(). STEAD_ESTATE: no such task,
 * or read before. */
STEAD_PUBLIC int stead_await(struct stead_orchestration *o, struct stead_task task,
                             struct stead_slice *ret_value) STEAD_MUST_USE;
/* Waits until all have finished, reads none. 0, or the code of the first in the list that failed. Tasks that were read
 * before are passed over, here and in await_any. */
STEAD_PUBLIC int stead_await_all(struct stead_orchestration *o, const struct stead_task *tasks,
                                 uint32_t count) STEAD_MUST_USE;
/* Waits until one has finished, reads none: the index of the one that finished first. STEAD_ESTATE for an empty list,
 * or one of tasks that were all read before. In a loop, a task that is done is best replaced by the last of the list:
 * then a step costs next to nothing, however long the list is. */
STEAD_PUBLIC int stead_await_any(struct stead_orchestration *o, const struct stead_task *tasks, uint32_t count,
                                 uint32_t *ret_index) STEAD_MUST_USE;
/* Has it finished? Waits for nothing. */
STEAD_PUBLIC bool stead_is_done(const struct stead_orchestration *o, struct stead_task task);
/* Nobody wants it any more: a timer is taken away, a running activity is told (stead_job_cancelled), a child is
 * terminated, an event (also one that has come and was not read) goes to the next who asks. It counts as read: the
 * outcome of a finished task is dropped. Of a task that was read: nothing. */
STEAD_PUBLIC void stead_task_cancel(struct stead_orchestration *o, struct stead_task task);

/* Begin and await in one. */
STEAD_PUBLIC int stead_await_activity(struct stead_orchestration *o, const char *name, struct stead_slice input,
                                      struct stead_slice *ret_value) STEAD_MUST_USE;
STEAD_PUBLIC int stead_await_child(struct stead_orchestration *o, const char *name, struct stead_slice input,
                                   struct stead_slice *ret_value) STEAD_MUST_USE;
STEAD_PUBLIC int stead_await_call(struct stead_orchestration *o, const char *address, const char *op,
                                  struct stead_slice args, struct stead_slice *ret_value) STEAD_MUST_USE;
STEAD_PUBLIC int stead_await_timer(struct stead_orchestration *o, int64_t delay_ms) STEAD_MUST_USE;
/* STEAD_ETIMEOUT when none came in time; below 0: waits for ever. */
STEAD_PUBLIC int stead_await_event(struct stead_orchestration *o, const char *name, int64_t timeout_ms,
                                   struct stead_slice *ret_value) STEAD_MUST_USE;

/* The name and sentence of the failure that the last await returned; "" when it returned 0. */
STEAD_PUBLIC const char *stead_await_error_name(const struct stead_orchestration *o);
STEAD_PUBLIC const char *stead_await_error_sentence(const struct stead_orchestration *o);

/* ---- One way -------------------------------------------------------------------------------- */

/* A signal to an agent, exactly-once effect; inside a critical section only to what is not locked (STEAD_ESTATE).
 * STEAD_EADDRESS; STEAD_EARGUMENT: an op that is none or begins with `stead.`, or no value; STEAD_ETOOLARGE. */
STEAD_PUBLIC int stead_signal_agent(struct stead_orchestration *o, const char *address, const char *op,
                                    struct stead_slice args);
/* Raises an event at another instance. It is dropped there when the instance does not exist or has ended. */
STEAD_PUBLIC int stead_send_event(struct stead_orchestration *o, const char *instance_id, const char *name,
                                  struct stead_slice value);

/* ---- Critical sections ---------------------------------------------------------------------- */

/* Locks the agents for this instance, in the order of their addresses whatever the order given, and waits until it has
 * all: while they are held only this instance's calls reach them. Durable; visible and breakable (`stead locks`): a
 * broken lock's calls fail with STEAD_ESTATE. No nesting, no lock of the instance itself, and no child inside
 * (STEAD_ESTATE). Ends with stead_unlock(), and with the execution; a rewind into it locks all of them anew before the
 * code goes on. 0 or STEAD_EADDRESS, STEAD_EARGUMENT (none, or over 64). */
STEAD_PUBLIC int stead_lock(struct stead_orchestration *o, const char *const *addresses, uint32_t count) STEAD_MUST_USE;
STEAD_PUBLIC void stead_unlock(struct stead_orchestration *o);
/* The fencing number that a locked agent gave: above that of every earlier hold of it; after a rewind another one. 0:
 * not locked by this instance. */
STEAD_PUBLIC uint64_t stead_lock_fence(const struct stead_orchestration *o, const char *address);

/* ---- Determinism ---------------------------------------------------------------------------- */

/* Milliseconds since 1970 of the present episode: the same at every replay. */
STEAD_PUBLIC int64_t stead_now(const struct stead_orchestration *o);
/* A random UUID (RFC 9562, version 4), the same at every replay. */
#define STEAD_UUID_SIZE 37
STEAD_PUBLIC void stead_uuid(struct stead_orchestration *o, char ret_text[STEAD_UUID_SIZE]);
/* 64 random bits, the same at every replay; not for secrets. */
STEAD_PUBLIC uint64_t stead_random_of(struct stead_orchestration *o);
/* Calls `effect` once and records what it wrote (one value): a replay reads it. For what is cheap and cannot fail;
 * everything else is an activity. */
typedef void stead_side_effect_fn(void *context, struct stead_writer *writer);
STEAD_PUBLIC int stead_side_effect(struct stead_orchestration *o, stead_side_effect_fn *effect, void *context,
                                   struct stead_slice *ret_value) STEAD_MUST_USE;
/* The function runs from its history, and has done all this before. For logs only. */
STEAD_PUBLIC bool stead_is_replaying(const struct stead_orchestration *o);
/* A line in the node's log; nothing while replaying. */
STEAD_PUBLIC void stead_say(struct stead_orchestration *o, const char *format, ...) STEAD_PRINTF(2, 3);

/* ---- About itself --------------------------------------------------------------------------- */

/* The id of this instance. */
STEAD_PUBLIC const char *stead_instance_id(const struct stead_orchestration *o);
/* "" for one that has no parent. */
STEAD_PUBLIC const char *stead_parent_id(const struct stead_orchestration *o);
STEAD_PUBLIC uint32_t stead_version_of(const struct stead_orchestration *o);
/* What `stead status` shows while it runs; the last one counts. At most 16 KiB: STEAD_ETOOLARGE. */
STEAD_PUBLIC int stead_set_status(struct stead_orchestration *o, struct stead_slice value);

/* ---- Memory --------------------------------------------------------------------------------- */

/* A copy that lasts as long as the execution. */
STEAD_PUBLIC struct stead_slice stead_keep(struct stead_orchestration *o, struct stead_slice value);
/* Zeroed memory that lasts as long as the execution. Never NULL. */
STEAD_PUBLIC void *stead_keep_bytes(struct stead_orchestration *o, size_t size);
/* One value by the format of stead_pack(), which lasts until the next await. */
STEAD_PUBLIC struct stead_slice stead_packed_for(struct stead_orchestration *o, const char *format, ...);
/* printf, as stead_printed(); lasts until the next await. */
STEAD_PUBLIC const char *stead_printed_for(struct stead_orchestration *o, const char *format, ...) STEAD_PRINTF(2, 3);

/* ---- The end -------------------------------------------------------------------------------- */

/* The output; returns 0, so `return stead_complete(o, value)` ends the function. STEAD_ETOOLARGE over the payload limit
 * less 4 KiB, which are for what is told of the instance beside it. */
STEAD_PUBLIC int stead_complete(struct stead_orchestration *o, struct stead_slice value);
/* A failure of the function's own, by name and sentence; the function must return what it returns. */
STEAD_PUBLIC int stead_fail_with(struct stead_orchestration *o, const char *name, const char *format, ...)
    STEAD_PRINTF(3, 4) STEAD_MUST_USE;
/* The function must return what it returns: the instance begins anew under the same id with this input and an empty
 * history. Events that nobody has taken are carried over; open tasks are cancelled. */
STEAD_PUBLIC int stead_continue_as_new(struct stead_orchestration *o, struct stead_slice input) STEAD_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
