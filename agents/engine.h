/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine: one execution of an orchestrator's function against its history. It knows nothing of agents, channels or
 * queues: inputs go in, decisions come out, as history events. Whoever drives it (orchestrator.c on the direct fabric,
 * hub_worker.c on the hub, `stead orchestrations verify` with neither) stores the events and carries the decisions out.
 *
 *     create -> replay every stored event in order -> { begin -> input... -> run -> (store, carry out) } ...
 *
 * An episode is begin, inputs, run. The code runs only in run(), after all inputs of its episode: so a replay, which
 * sees the same inputs in the same episodes, decides the same. In a replay the code runs lazily, when the first
 * recorded decision or the end of the episode is seen, and each decision is held against the recorded one.
 *
 * The engine carries retry policies out by itself (as TIMER_CREATED and TASK_SCHEDULED decisions), takes locks (calls
 * of the op `stead.hold`), buffers events that came early, and keeps nothing of a task that was read. Memory follows
 * the open tasks.
 *
 * Threads: one at a time.
 */
#ifndef STEAD_AGENTS_ENGINE_H
#define STEAD_AGENTS_ENGINE_H

#include "agents/history.h"
#include "stead/fiber.h"
#include "stead/orchestration_client.h"

struct stead_engine;

struct stead_engine_options {
    /* Borrowed for the engine's life. NULL: a replay without the code, which matches anything; only a termination or
     * condemn() may come behind it. */
    const struct stead_orchestrator *orchestrator;
    const char *instance; /* id; copied */
    uint32_t execution;
    struct stead_fibers *fibers; /* borrowed for the engine's life */
    /* A line for the log; never while replaying. May be NULL. */
    void (*say)(void *context, const char *line);
    void *context;
};

/* Returned; nothing has run yet. Destroy runs nothing, nulls, NULL is fine. */
struct stead_engine *stead_engine_create(const struct stead_engine_options *options);
void stead_engine_destroy(struct stead_engine **engine);

/* The next stored event (its id and time are set; borrowed). STEAD_ECONFLICT: the code decides something else than what
 * is recorded: stead_engine_difference() says what. STEAD_ECORRUPT: no history. STEAD_EBUSY: the fiber was evicted
 * meanwhile. Then only destroy is allowed. An episode may end in the middle of its inputs: then it is open, input()
 * adds to it and run() closes it. Results nobody waits for are passed over. Before the first event of the history go
 * those that were carried into the execution: EVENT_RAISED with their numbers for ids, ascending. */
int stead_engine_replay(struct stead_engine *engine, const struct stead_history_event *event) STEAD_MUST_USE;
/* Before the replay, oldest first: a rewind whose EXECUTION_REWOUND has the id `at` made void what the code decided
 * from event `from` on. Steps that had not succeeded there are requested again by the episode of the rewind; results of
 * older requests that came meanwhile still count. Where something was locked there, it is locked anew first, by holds
 * that the engine requests, and nothing else is requested and no code runs until it has all. A child is requested with
 * `resumes` in its extra: the request that it was begun by. */
void stead_engine_expect_rewind(struct stead_engine *engine, uint64_t from, uint64_t at);
/* After the status became Failed: where a rewind begins, the ORCHESTRATOR_STARTED of the episode in which the code
 * first saw the failure that ended it; the last episode when it failed by itself; that of the last rewind when this one
 * could not lock what it had to. To be put into EXECUTION_REWOUND's `ref`. 0: it has not failed. */
uint64_t stead_engine_rewind_point(const struct stead_engine *engine);
/* Opens an episode at this time: ORCHESTRATOR_STARTED. Chance is drawn from a hash of instance, execution and event id:
 * nothing of it is stored. */
void stead_engine_begin(struct stead_engine *engine, int64_t now_ms);
/* An input of the open episode; texts and values are copied. Its id is given here and returned. A result whose `ref` is
 * not an open request is not taken: 0 (count and drop it). */
uint64_t stead_engine_input(struct stead_engine *engine, const struct stead_history_event *event);
/* Would input() take it now, or is it a result that nobody waits for? */
bool stead_engine_takes(const struct stead_engine *engine, const struct stead_history_event *event);
/* A hold of this address was given to it with this fence and is not released: the code has it, or has not read it yet.
 * Who hears of it again must not give it back. */
bool stead_engine_holds(const struct stead_engine *engine, struct stead_slice address, uint64_t fence);
/* An episode is open: after begin(), or after a replay that ended in its inputs. */
bool stead_engine_is_open(const struct stead_engine *engine);
/* Runs the code until it waits or ends (not at all while suspended), closes the episode, and hands every event of it
 * that was not replayed, from ORCHESTRATOR_STARTED to ORCHESTRATOR_COMPLETED with ids, to `sink` in order; borrowed
 * until it returns. When the execution ends, open timers are cancelled and locks released; when it was terminated or
 * begins anew, so is all that is open (TASK_CANCELED); activities, calls and children of one that completed or failed
 * go on, and nobody takes their results. A fiber that was evicted is STEAD_EBUSY when the code had to run: nothing was
 * handed out: destroy the engine, replay into a new one, repeat the episode. STEAD_ECORRUPT: the replay ended in the
 * middle of an episode's decisions. */
typedef void stead_engine_sink_fn(void *context, const struct stead_history_event *event);
int stead_engine_run(struct stead_engine *engine, stead_engine_sink_fn *sink, void *context) STEAD_MUST_USE;

/* Inside run()'s sink: about how many bytes all the events are that it hands out. */
size_t stead_engine_episode_bytes(const struct stead_engine *engine);
/* A replay without the code: the next run(), which may have no input, ends the execution as Failed with this code and
 * sentence, and all that is open with it, as a termination does. Such a failure has no rewind point. */
void stead_engine_condemn(struct stead_engine *engine, int code, const char *sentence);

/* Running, Suspended, or how it ended (ContinuedAsNew included). */
enum stead_instance_status stead_engine_status(const struct stead_engine *engine);
/* The last event's id. */
uint64_t stead_engine_last(const struct stead_engine *engine);
/* The fiber is gone (evicted): this engine can only be destroyed. */
bool stead_engine_is_lost(const struct stead_engine *engine);
/* After STEAD_ECONFLICT: the sentence for the error `nondeterminism`, and the id of the first event that differs. */
const char *stead_engine_difference(const struct stead_engine *engine, uint64_t *ret_event);

/* The memory that it takes, about: its own, its fiber's pages, its tasks, and what nobody has read yet. */
size_t stead_engine_bytes(const struct stead_engine *engine);
/* What is still open: visits each request (TASK_SCHEDULED, CHILD_CREATED, TIMER_CREATED) without a result, in order of
 * ids; name and target are set. For rewind, terminate and for who must send again. */
void stead_engine_open(const struct stead_engine *engine, stead_engine_sink_fn *visit, void *context);
/* Events that came and nobody has taken, for continue-as-new: EVENT_RAISED, in about the order of their coming; of one
 * that was carried into this execution the id is 0, and `ref` its number. */
void stead_engine_untaken(const struct stead_engine *engine, stead_engine_sink_fn *visit, void *context);

#endif
