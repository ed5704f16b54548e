/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_episode: what the two files of an episode share: hub_input.c gives it what came, hub_episode.c runs and writes
 * it. Functions of a turn of the worker.
 */
#ifndef STEAD_AGENTS_HUB_EPISODE_H
#define STEAD_AGENTS_HUB_EPISODE_H

#include "agents/hub_worker.h"

/* One episode, from its messages to its write. */
struct stead_hub_episode {
    struct stead_turn *turn;
    struct stead_hub_session *session;
    struct stead_writer list; /* history rows, as the args of the write */
    uint32_t row_count;
    struct stead_writer events; /* of the row under way */
    uint32_t event_count;
    uint64_t first;            /* its first event's id */
    uint64_t last;             /* the last event's id */
    struct stead_writer taken; /* numbers of messages, as a list without its header */
    uint32_t taken_count;
    struct stead_writer output, custom; /* empty: not set in this episode */
    struct stead_writer again;          /* continue-as-new: its input */
    struct stead_writer raised;         /* ... and what nobody has taken: [name, value]* */
    uint32_t raised_count;
    char error_name[STEAD_INSTANCE_ERROR_NAME_MAX + 1];
    char error_sentence[STEAD_INSTANCE_ERROR_SENTENCE_MAX + 1];
    uint32_t inputs;      /* taken by the engine */
    bool clear;           /* the history before is thrown away */
    bool left;            /* ... that of an execution which began in it, too */
    bool fresh;           /* an execution begins here */
    bool other;           /* ... which does not continue the one before */
    bool resumed;         /* a rewound parent asks for it, by a new request */
    bool mended;          /* code that did not match its history does now */
    bool woken;           /* code that was not loaded is: an episode that is open can run */
    bool keeping;         /* the engine is one without the code: inputs are stored, and nothing runs */
    bool differs;         /* it ends as Failed by code that does not match; what comes is kept */
    bool final;           /* ... or in a way that no rewind helps */
    bool accused;         /* the turn's death is that of this instance's code */
    int64_t time_ms;      /* of its rows */
    size_t bytes;         /* of its events, about */
    bool sized;           /* those of the run under way are among them */
    bool too_large;       /* more than a write may be: they are passed over */
    uint64_t rewind_from; /* 0: no rewind */
    struct stead_hub_message *start;
    const struct stead_orchestrator *orchestrator;
};

/* The status in the instance's row; Running for one that pends. */
enum stead_instance_status stead_hub_status_of(const struct stead_hub_session *session);
/* It has begun, its code is not loaded, and something has come: an episode is open whose last event has this number,
 * and a message `wake` stands for it. 0: it does not. */
uint64_t stead_hub_pends(const struct stead_hub_session *session);
/* The newest such message, if it is among those of this episode; else NULL. */
const struct stead_hub_message *stead_hub_find_wake(const struct stead_hub_session *session);
/* It failed by code that does not match its history: what comes for it is kept. */
bool stead_hub_differs(const struct stead_hub_session *session);
/* The episode's time. */
int64_t stead_hub_time_of(const struct stead_turn *turn, const struct stead_hub_session *session);
/* Sorts out what was taken before, and finds the start. True: there is something left. */
bool stead_hub_sort(struct stead_hub_episode *episode);
/* What becomes of the starts that another one goes before (stead_hub_send_refusal()). */
void stead_hub_refuse_starts(const struct stead_hub_episode *episode);
/* The instance's row becomes a copy of this map, which may be its own. */
void stead_hub_set_row(struct stead_hub_session *session, struct stead_slice map);
/* The message that asks for this; NULL: none does. */
const struct stead_hub_message *stead_hub_find_steer(const struct stead_hub_session *session, int64_t type);
/* An input: the engine takes it, or, where nothing runs, it is stored. False: it says nothing to this execution. */
bool stead_hub_put_input(struct stead_hub_episode *episode, const struct stead_history_event *event);
/* The engine gets the start of an execution (the body of such a message); `event` is what it was made of. */
void stead_hub_give_start(struct stead_hub_episode *episode, struct stead_slice body,
                          struct stead_history_event *event);
/* Gives the engine one message; without an engine what it holds is released. */
void stead_hub_give(struct stead_hub_episode *episode, const struct stead_hub_message *message);
/* Gives it all that was not dropped. */
void stead_hub_give_all(struct stead_hub_episode *episode);

/* The messages of this episode go into its rows. */
void stead_hub_note_taken(struct stead_hub_episode *episode);
/* The event joins the rows, and that is all. */
void stead_hub_store_event(struct stead_hub_episode *episode, const struct stead_history_event *event);
/* The engine's sink: the event is stored, and what it asks for is sent after the write. */
void stead_hub_take_event(void *context, const struct stead_history_event *event);
/* It has failed by its code, of which no event tells (so `end` has no id): how, for its row and its parent. */
void stead_hub_note_failure(struct stead_hub_episode *episode, const struct stead_history_event *end);
/* The args of the write, with this status of the instance. */
void stead_hub_write_episode(struct stead_hub_episode *episode, enum stead_instance_status status,
                             struct stead_writer *args);

/* ---- hub_keep.c -------------------------------------------------------------------------------- */

/* The code does not match: Failed, if it is not yet, and what came is stored at the end of the history. */
enum stead_hub_verdict stead_hub_keep(struct stead_hub_episode *episode, struct stead_writer *args);
/* The code is not loaded: Suspended or Pending, and what came is stored at the end of the history. */
enum stead_hub_verdict stead_hub_keep_unknown(struct stead_hub_episode *episode, struct stead_writer *args);
/* Nobody wants what came; what it holds is released. */
enum stead_hub_verdict stead_hub_give_back(struct stead_hub_episode *episode);
/* A rewind that met code which does not match, or ends the process: what failed is as it was, and says why. */
enum stead_hub_verdict stead_hub_stay_failed(struct stead_hub_episode *episode, struct stead_writer *args);
/* It has completed, and a rewound parent asks: its output is told once more, under the new request. */
enum stead_hub_verdict stead_hub_tell_again(struct stead_hub_episode *episode, struct stead_writer *args);
/* From here on a death of the process is this episode's doing. How often it has been, when that is too often; 0: the
 * code may run. */
uint32_t stead_hub_accuse(struct stead_hub_episode *episode);
/* The code has ended the process so often: Failed with `poison`, and what came is stored at the end of the history. */
enum stead_hub_verdict stead_hub_condemn(struct stead_hub_episode *episode, uint32_t kills, struct stead_writer *args);
/* Ends the execution without its code, with all that is open: as Terminated (a message asks for it), or as Failed since
 * its episode is too large. */
enum stead_hub_verdict stead_hub_end_bare(struct stead_hub_episode *episode, enum stead_instance_status status,
                                          struct stead_writer *args);

#endif
