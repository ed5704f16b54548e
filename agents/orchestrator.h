/* SPDX-License-Identifier: Apache-2.0 */
/*
 * orchestrator: what the files of the kind `orchestration` share. orchestrator.c is the kind and its ops,
 * orchestrator_run.c keeps the engine and runs episodes, orchestrator_rows.c stores histories, orchestrator_send.c
 * carries decisions out, orchestrator_life.c begins and ends executions, orchestrator_carry.c takes what nobody has
 * taken from one to the next, orchestrator_look.c answers who looks.
 *
 * Threads: turns of one agent.
 */
#ifndef STEAD_AGENTS_ORCHESTRATOR_H
#define STEAD_AGENTS_ORCHESTRATOR_H

#include <string.h>

#include "agents/agents.h"
#include "agents/engine_internal.h"
#include "agents/instance.h"

#define STEAD_ORCHESTRATION_SENTENCE_MAX 512u

/* Beside the state, while the agent is in memory. */
struct stead_resident {
    struct stead_engine *engine;
    struct stead_engine_map calls; /* request -> its struct stead_call_id, owned: to cancel with */
    struct stead_engine_map beats; /* newest signs of life, by call (orchestrator_open.c); owned */
    size_t beat_bytes;             /* of them */
    uint64_t *carried;             /* numbers of events that were carried into the execution, ascending; owned */
    uint32_t carried_count, carried_capacity;
    struct stead_turn *turn; /* the present one, for what the code says */
    bool ready;              /* it has been replayed to the end of the stored history */
};

/* The state of `orchestration/ID`. Names without units are what lists show and filter by. */
struct stead_orchestration_state {
    char name[STEAD_KIND_NAME_MAX + 1]; /* of the orchestrator; "": nobody ever started it */
    char status[16];                    /* stead_instance_status_name() */
    char parent[STEAD_INSTANCE_ID_MAX + 1];
    uint32_t version;
    uint32_t execution;        /* from 1 */
    int64_t created, updated;  /* ms since 1970 */
    int64_t clock_ms;          /* of the newest episode: the next one is not earlier, whatever the node's clock says */
    uint64_t events;           /* the last one's id, of this execution */
    uint64_t parent_life;      /* its incarnation: the next one of its id waits for other children */
    uint32_t parent_execution; /* who waits for the end */
    uint64_t parent_ref;       /* 0: nobody */
    uint64_t begun_by;         /* the parent's request, still when it has been told; 0: no parent's */
    int64_t open_ms; /* the stored history ends in an episode of this time that the code has not run in; 0: no */
    uint32_t send_execution; /* decisions are carried out up to event `sent` of this execution */
    uint64_t sent;
    uint64_t send_row;      /* first id of the row where that goes on */
    bool begun;             /* the code has run, or tried to */
    bool going;             /* a `go_on` is on its way */
    bool sweep;             /* rows of executions from `swept` on, before `send_execution`, are there */
    uint32_t swept;         /* none is below: a store passes over what was deleted one by one */
    uint64_t carried_first; /* number of the first carried event that may be there: those below are not wanted */
    uint64_t carried_last;  /* of the newest; never given twice. 0: none yet */
    uint64_t carried_swept; /* rows below are deleted */
    uint32_t moving;        /* events of this execution have still to be carried, or taken ones deleted; 0: no */
    uint64_t moved;         /* of its listed events those up to this one are carried */
    uint64_t cleared;       /* of the listed numbers those up to this one are deleted */
    /* Failed because the code cannot go on from this history (it does not match it, or ends the process): inputs are
     * kept */
    bool differs;
    uint32_t looks;       /* for the module, in vain */
    int64_t not_before;   /* a delayed start; ms since 1970 */
    uint64_t rewind_from; /* Failed: stead_engine_rewind_point() */
    uint64_t end_row;     /* first id of the row with the output; 0: none */
    int32_t error_code;
    char error_name[STEAD_KIND_NAME_MAX + 1];
    char error_sentence[STEAD_ORCHESTRATION_SENTENCE_MAX];
    uint32_t holds;   /* asked for and not answered yet */
    uint64_t dropped; /* results that nobody waited for */
    struct stead_buffer custom;
    struct stead_buffer waiters;     /* tokens of 32 digits, one behind the other */
    struct stead_buffer rewinds;     /* pairs of uint64: from, at */
    struct stead_resident *resident; /* not stored; NULL: none */
};

/* ---- orchestrator_rows.c -------------------------------------------------------------------- */

/* Events of one turn on their way into rows, which are put together: by an episode that is too large none is. */
struct stead_row_writer {
    struct stead_turn *turn;
    uint32_t execution;
    uint64_t first; /* id of the first event in `events` */
    int64_t time_ms;
    uint32_t count;
    bool carried;               /* carried events: each has a row of its own, under its number */
    uint64_t last_row;          /* first id of the newest row */
    struct stead_writer events; /* of the row that is being filled, written by stead_history_write() */
    struct stead_writer rows;   /* full ones: first id, size, bytes */
};
/* Adds an event. */
void stead_row_writer_add(struct stead_row_writer *writer, const struct stead_history_event *event);
/* Puts the rows. 0 or a failure, which has failed the turn. */
int stead_row_writer_end(struct stead_row_writer *writer) STEAD_MUST_USE;
/* Frees the writer's memory. */
void stead_row_writer_deinit(struct stead_row_writer *writer);
/* Visits whole rows from the one that begins with event `from` (or the next behind it) on, until `visit` returns
 * non-zero. `first`: the row's. */
typedef int stead_rows_visit_fn(void *context, uint64_t first, struct stead_slice row);
int stead_rows_visit(struct stead_turn *turn, uint32_t execution, uint64_t from, stead_rows_visit_fn *visit,
                     void *context) STEAD_MUST_USE;
/* The same of another class. */
int stead_rows_visit_class(struct stead_turn *turn, char class, uint32_t execution, uint64_t from,
                           stead_rows_visit_fn *visit, void *context) STEAD_MUST_USE;
/* Puts a row, whole or in parts. */
int stead_row_put(struct stead_turn *turn, char class, uint32_t execution, uint64_t first,
                  struct stead_slice row) STEAD_MUST_USE;
/* The first id of the row that event `id` lies in: of the last one that begins there or before. 0: there is none. */
int stead_rows_find(struct stead_turn *turn, uint32_t execution, uint64_t id, uint64_t *ret_first) STEAD_MUST_USE;
/* Deletes rows of executions from `from` on, below `execution`, a page a turn. `ret_more`: there are more. */
int stead_rows_sweep(struct stead_turn *turn, uint32_t from, uint32_t execution, bool *ret_more) STEAD_MUST_USE;
/* The key of a stored row's part, for who reads them raw. */
#define STEAD_ROW_KEY_MAX 16u
struct stead_slice stead_row_key_of(uint8_t memory[STEAD_ROW_KEY_MAX], char class, uint32_t execution, uint64_t first);
/* The other way; false: it is no row's. */
bool stead_row_key_read(struct stead_slice key, uint32_t *ret_execution, uint64_t *ret_first, uint32_t *ret_part);

/* ---- orchestrator_run.c --------------------------------------------------------------------- */

/* An input of the present execution: runs its episode, or keeps it for when the code can run. 0 also when nobody wanted
 * it. */
int stead_orchestration_give(struct stead_turn *turn, struct stead_orchestration_state *it,
                             const struct stead_history_event *event) STEAD_MUST_USE;
/* Ends the present execution with EXECUTION_TERMINATED for this reason, in this turn: also when its code is not loaded
 * or does not match its history. */
int stead_orchestration_close(struct stead_turn *turn, struct stead_orchestration_state *it,
                              struct stead_slice reason) STEAD_MUST_USE;
/* Stores an input at the end of the history, in an episode that the code has still to run in. */
int stead_orchestration_keep(struct stead_turn *turn, struct stead_orchestration_state *it,
                             const struct stead_history_event *event) STEAD_MUST_USE;
/* Goes on with what waits: the replay, an open episode, decisions that were not carried out, old rows. */
int stead_orchestration_work(struct stead_turn *turn, struct stead_orchestration_state *it) STEAD_MUST_USE;
/* Sees to it that work() is called again, once. */
int stead_orchestration_go_on(struct stead_turn *turn, struct stead_orchestration_state *it) STEAD_MUST_USE;
/* Is this the failure of a read, which may succeed later? Then a turn that nobody can repeat must not fail by it: its
 * input would be lost. */
bool stead_orchestration_is_unread(int code);
/* Sees to it that work() is called again in a while. */
int stead_orchestration_read_again(struct stead_turn *turn) STEAD_MUST_USE;
/* Forgets the engine. */
void stead_orchestration_unload(struct stead_orchestration_state *it);

/* ---- orchestrator_send.c -------------------------------------------------------------------- */

#define STEAD_SEND_MAX 1024u            /* decisions carried out by one turn */
#define STEAD_SEND_BYTES_MAX (6u << 20) /* about so many bytes of them */

/* Carries one decision out. `ret_call` (may be NULL) is filled, and true returned in `ret_called`, for a call. */
int stead_decision_send(struct stead_turn *turn, struct stead_orchestration_state *it, uint32_t execution,
                        const struct stead_history_event *event, struct stead_call_id *ret_call,
                        bool *ret_called) STEAD_MUST_USE;
/* Carries out what earlier turns have left over, up to the limits of one turn, or to what cannot be read now.
 * `ret_more`: there is more. */
int stead_decisions_send(struct stead_turn *turn, struct stead_orchestration_state *it, bool *ret_more) STEAD_MUST_USE;
/* True: everything that is stored has been carried out. */
bool stead_decisions_done(const struct stead_orchestration_state *it);
/* Leaves of a TASK_CANCELED only what is needed to carry it out: of a call not its address, of a child its id. */
void stead_cancel_shorten(struct stead_history_event *cancel);
/* Remembers a call's id, or forgets it. */
void stead_resident_keep_call(struct stead_resident *resident, uint64_t request, const struct stead_call_id *call);
void stead_resident_drop_call(struct stead_resident *resident, uint64_t request);
/* A lock that came when nobody waited for it any more. */
int stead_hold_give_back(struct stead_turn *turn, const char *address, struct stead_slice fence) STEAD_MUST_USE;

/* ---- orchestrator_life.c -------------------------------------------------------------------- */

/* By its name in the state; setting it also says when. */
enum stead_instance_status stead_orchestration_status(const struct stead_orchestration_state *it);
void stead_orchestration_set_status(struct stead_turn *turn, struct stead_orchestration_state *it,
                                    enum stead_instance_status status);
/* Running, Suspended or Pending. */
bool stead_orchestration_is_active(const struct stead_orchestration_state *it);
/* The orchestrator it runs, NULL when that is not loaded here. */
const struct stead_orchestrator *stead_orchestration_find(const struct stead_turn *turn,
                                                          const struct stead_orchestration_state *it);
/* It is over, as its status says: tells who waits and the parent, and sets the timer of its retention. */
int stead_orchestration_end(struct stead_turn *turn, struct stead_orchestration_state *it) STEAD_MUST_USE;
/* Tells its end to those who still have to hear of it, once it is over; 0 before. */
int stead_orchestration_answer(struct stead_turn *turn, struct stead_orchestration_state *it) STEAD_MUST_USE;
/* The next execution of this instance, stored as an open episode: with the events that nobody had taken in
 * the one that `ended` (NULL: a restart, without any). */
int stead_orchestration_again(struct stead_turn *turn, struct stead_orchestration_state *it, struct stead_slice input,
                              const struct stead_resident *ended) STEAD_MUST_USE;
/* Its orchestrator is not loaded here, or it is too early: Pending, and looks again later. */
int stead_orchestration_pend(struct stead_turn *turn, struct stead_orchestration_state *it) STEAD_MUST_USE;
/* Ops. */
int stead_orchestration_start(struct stead_turn *turn, void *state, struct stead_slice args);
int stead_orchestration_run(struct stead_turn *turn, void *state, struct stead_slice args);
int stead_orchestration_wait(struct stead_turn *turn, void *state, struct stead_slice args);
int stead_orchestration_rewind(struct stead_turn *turn, void *state, struct stead_slice args);
int stead_orchestration_restart(struct stead_turn *turn, void *state, struct stead_slice args);
int stead_orchestration_purge(struct stead_turn *turn, void *state, struct stead_slice args);
int stead_orchestration_terminate(struct stead_turn *turn, void *state, struct stead_slice args);
int stead_orchestration_start_child(struct stead_turn *turn, void *state, struct stead_slice args);
int stead_orchestration_terminate_child(struct stead_turn *turn, void *state, struct stead_slice args);

/* ---- orchestrator_carry.c ------------------------------------------------------------------- */

/* The execution before the present one has ended by continue-as-new, `ended` is of it: what nobody has taken stays. */
int stead_carry_begin(struct stead_turn *turn, struct stead_orchestration_state *it,
                      const struct stead_resident *ended) STEAD_MUST_USE;
/* A page of what begin() has left to do, while `moving` is not 0. */
int stead_carry_move(struct stead_turn *turn, struct stead_orchestration_state *it) STEAD_MUST_USE;
/* Visits the carried events that the engine has not had; notes no number. */
int stead_carry_visit(struct stead_turn *turn, const struct stead_orchestration_state *it, stead_rows_visit_fn *visit,
                      void *context) STEAD_MUST_USE;
/* This number went into the engine. */
void stead_carry_note(struct stead_resident *resident, uint64_t number);
/* Deletes carried events that are not wanted any more, a page a turn. */
int stead_carry_sweep(struct stead_turn *turn, struct stead_orchestration_state *it, bool *ret_more) STEAD_MUST_USE;

/* ---- orchestrator_open.c -------------------------------------------------------------------- */

/* Forgets the newest sign of life of a call; of all. */
void stead_resident_drop_beat(struct stead_resident *resident, const struct stead_call_id *call);
void stead_resident_drop_beats(struct stead_resident *resident);
/* Ops. */
int stead_orchestration_op_heartbeat(struct stead_turn *turn, void *state, struct stead_slice args);
int stead_orchestration_op_tasks(struct stead_turn *turn, void *state, struct stead_slice args);

/* ---- orchestrator_look.c -------------------------------------------------------------------- */

/* The map that tells of the instance; in the turn's memory. 0, or a failed read. */
int stead_orchestration_tell(struct stead_turn *turn, const struct stead_orchestration_state *it,
                             struct stead_slice *ret_map) STEAD_MUST_USE;
/* The same without input, output and custom status: reads nothing, and is small. */
struct stead_slice stead_orchestration_tell_briefly(struct stead_turn *turn,
                                                    const struct stead_orchestration_state *it);
/* Replies with the map. */
int stead_orchestration_reply(struct stead_turn *turn, const struct stead_orchestration_state *it) STEAD_MUST_USE;
/* The input of the present execution, and the output; in the turn's memory, empty for none. 0, or a failed read. */
int stead_orchestration_input(struct stead_turn *turn, const struct stead_orchestration_state *it,
                              struct stead_slice *ret_value) STEAD_MUST_USE;
int stead_orchestration_output(struct stead_turn *turn, const struct stead_orchestration_state *it,
                               struct stead_slice *ret_value) STEAD_MUST_USE;
/* Ops. */
int stead_orchestration_op_status(struct stead_turn *turn, void *state, struct stead_slice args);
int stead_orchestration_op_history(struct stead_turn *turn, void *state, struct stead_slice args);
int stead_orchestration_op_raw_history(struct stead_turn *turn, void *state, struct stead_slice args);

#endif
