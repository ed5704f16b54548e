/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history: the events of an execution, and how they are stored (docs/FORMATS.md, "Histories"). The same bytes on either
 * fabric.
 *
 * A history is a list of episodes. Each is OrchestratorStarted (the clock), the inputs that came in, what the code then
 * decided, OrchestratorCompleted. Event ids count from 1 without gaps; a result points back with `ref` at the event
 * that asked for it.
 *
 * An event is a msgpack array [type, ref, name, target, value, code, error name, error sentence, extra], cut after its
 * last field that is not nil or zero; its id and its episode's time are not stored with it but follow from its place. A
 * row holds a whole number of events of one episode: [first id, time, [event...]].
 */
#ifndef STEAD_AGENTS_HISTORY_H
#define STEAD_AGENTS_HISTORY_H

#include "stead/orchestration.h"

/* X(identifier, number, name). Stored: never renumbered. */
#define STEAD_HISTORY_EVENTS(X)                                                                                        \
    X(EXECUTION_STARTED, 1,                                                                                            \
      "ExecutionStarted") /* name: orchestrator; value: input; target: parent id; extra: {version, ...} */             \
    X(EXECUTION_COMPLETED, 2, "ExecutionCompleted")   /* value: output */                                              \
    X(EXECUTION_FAILED, 3, "ExecutionFailed")         /* code, error */                                                \
    X(EXECUTION_TERMINATED, 4, "ExecutionTerminated") /* error sentence: the reason */                                 \
    X(EXECUTION_SUSPENDED, 5, "ExecutionSuspended")                                                                    \
    X(EXECUTION_RESUMED, 6, "ExecutionResumed")                                                                        \
    X(EXECUTION_REWOUND, 7, "ExecutionRewound")                                                                        \
    X(TASK_SCHEDULED, 8,                                                                                               \
      "TaskScheduled") /* name: activity (target ""), or op (target: agent); value: input; extra: task options */      \
    X(TASK_COMPLETED, 9, "TaskCompleted")                   /* ref, value */                                           \
    X(TASK_FAILED, 10, "TaskFailed")                        /* ref, code, error */                                     \
    X(CHILD_CREATED, 11, "SubOrchestrationInstanceCreated") /* name, target: its id, value: input */                   \
    X(CHILD_COMPLETED, 12, "SubOrchestrationInstanceCompleted")                                                        \
    X(CHILD_FAILED, 13, "SubOrchestrationInstanceFailed")                                                              \
    X(TIMER_CREATED, 14, "TimerCreated")               /* extra: {due: ms since 1970} */                               \
    X(TIMER_FIRED, 15, "TimerFired")                   /* ref */                                                       \
    X(ORCHESTRATOR_STARTED, 16, "OrchestratorStarted") /* the episode's time */                                        \
    X(ORCHESTRATOR_COMPLETED, 17, "OrchestratorCompleted")                                                             \
    X(EVENT_SENT, 18, "EventSent")     /* to an instance: name, target, value; a signal to an agent: name is the op */ \
    X(EVENT_RAISED, 19, "EventRaised") /* name, value */                                                               \
    X(CONTINUE_AS_NEW, 20, "ContinueAsNew") /* value: the next input */                                                \
    X(TASK_CANCELED, 21, "TaskCanceled") /* ref: what nobody waits for any more; name, target: its, or one of them */  \
    X(SIDE_EFFECT, 22, "SideEffectRecorded") /* value */                                                               \
    X(STATUS_SET, 23, "CustomStatusSet")     /* value */                                                               \
    X(LOCKS_RELEASED, 24, "LocksReleased")

enum stead_history_type {
#define STEAD_HISTORY_ENUM(id, number, name) STEAD_HISTORY_##id = (number),
    STEAD_HISTORY_EVENTS(STEAD_HISTORY_ENUM)
#undef STEAD_HISTORY_ENUM
        STEAD_HISTORY_TYPES
};

struct stead_history_event {
    uint8_t type;    /* enum stead_history_type */
    uint64_t id;     /* from 1; 0: not given yet */
    int64_t time_ms; /* of its episode */
    uint64_t ref;    /* 0: none */
    int32_t code;    /* 0 or the negative code of a failure */
    struct stead_slice name, target;
    struct stead_slice value;                      /* one value or empty */
    struct stead_slice error_name, error_sentence; /* texts */
    struct stead_slice extra;                      /* a map or empty */
};

/* "TaskScheduled" and so on; "" for none. */
const char *stead_history_type_name(uint8_t type);
/* Appends the event's array. */
void stead_history_write(struct stead_writer *writer, const struct stead_history_event *event);
/* Reads one (id and time are the caller's to set); texts and values are borrowed from the reader's. STEAD_ECORRUPT. An
 * event of a newer type is STEAD_EVERSION. */
int stead_history_read(struct stead_reader *reader, struct stead_history_event *ret_event) STEAD_MUST_USE;
/* Appends it as the map that people and programs are shown (stead_instance_event). */
void stead_history_write_map(struct stead_writer *writer, const struct stead_history_event *event);

/* A row, read event by event: ids and times are filled in. */
struct stead_history_row {
    struct stead_reader reader; /* at the next event; borrowed bytes */
    uint64_t next;              /* its id */
    int64_t time_ms;            /* of the episode */
    uint32_t left;              /* events still to come */
};
/* STEAD_ECORRUPT: no row; STEAD_EVERSION: of a newer stead. */
int stead_history_row_begin(struct stead_slice row, struct stead_history_row *ret_row) STEAD_MUST_USE;
/* STEAD_ENOTFOUND behind the last; else as stead_history_read(). */
int stead_history_row_next(struct stead_history_row *row, struct stead_history_event *ret_event) STEAD_MUST_USE;
/* Appends a row of `count` events that stead_history_write() wrote one behind the other to `events`. */
void stead_history_row_write(struct stead_writer *writer, uint64_t first, int64_t time_ms, uint32_t count,
                             struct stead_slice events);

/* An input comes from outside; everything else but ORCHESTRATOR_STARTED and _COMPLETED is a decision of the code. */
bool stead_history_is_input(uint8_t type);

#endif
