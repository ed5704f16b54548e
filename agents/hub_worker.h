/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_worker: what the files of a hub's worker share. hub_worker.c wakes, leases and polls; hub_session.c runs the
 * episodes of instances; hub_send.c turns what an episode decided into operations of the store; hub_task.c carries out
 * activities and calls of agents.
 *
 * Messages are maps, in any queue: {t: what, i: instance, x: its execution, r: the request's event, n: name, v: value,
 * ...}.
 *
 *   to an instance (control queue of its partition)
 *     start      {n, v, ver, p: parent, px, pr, rw: its request that a rewound parent repeats, or 0}       the row is
 *                                                     there and waits for it (a client's start), or it may not (a child's)
 *     result     {x, r, k: type of the history's event, v | c, en, es, h: agent that may have been held}
 *                due, far: of a timer: when, and whether its message comes before and is put back until then
 *     late       {x, r, w: id of the work}            what has not been taken by now does not begin any more
 *     wake       {x, r}                          its code may be loaded by now, of which episode r has none
 *     raise      {n, v}      steer {k: EXECUTION_TERMINATED ... REWOUND, es: reason, p, px, pr: only this request's child}
 *                born: of a client: only the instance that was created then
 *   of an agent (control queue of its partition)
 *     call       {a: address, n: op, v, f: fence, timeout, at, i, x, r | q: reply queue, m: its id}
 *   work queue
 *     work       {n: activity, v, i, x, r, at: when it was sent, start, run, heartbeat, timeout}
 *
 * One thread: everything runs in turns of the worker.
 */
#ifndef STEAD_AGENTS_HUB_WORKER_H
#define STEAD_AGENTS_HUB_WORKER_H

#include "agents/engine.h"
#include "agents/hub_settings.h"

#define STEAD_HUB_MESSAGE_ID_MAX 400u

/* Last letters of the ids of what tells an instance that the time of a work is over, and that it must have begun. */
#define STEAD_HUB_WHOLE "l"
#define STEAD_HUB_LATE "b"

/* A message that was taken. */
struct stead_hub_message {
    struct stead_hub_message *next;
    char queue[STEAD_HUB_PART_SIZE]; /* its address */
    uint64_t seq, receipt, count;
    struct stead_slice id, body; /* owned: in the same block */
    bool dropped;                /* it says nothing to the episode */
    bool resumes;                /* the start of a child that is there, by a rewound parent */
    bool refused;                /* a start behind which another one has the instance */
    size_t missing;              /* bytes of a long body that is still to be fetched */
};

/* An operation of the store that is still to be asked for. */
struct stead_hub_send {
    struct stead_hub_send *next;
    char address[STEAD_HUB_PART_SIZE];
    const char *op;          /* static */
    struct stead_slice args; /* owned: in the same block */
};

struct stead_hub_sends {
    struct stead_hub_send *first, *last;
    uint32_t count;
};

struct stead_hub_rows { /* history rows as they came: (size u32, bytes)* */
    struct stead_writer bytes;
    size_t last; /* where the last one begins */
    uint32_t count;
};

enum stead_hub_phase {
    STEAD_HUB_IDLE,    /* extended: in memory, nothing to do */
    STEAD_HUB_READING, /* history */
    STEAD_HUB_WRITING, /* it */
    STEAD_HUB_SENDING  /* what it decided */
};

struct stead_hub_worker_state;

#define STEAD_HUB_RECENT 64u
/* With so many bytes of messages an episode takes no further one: beside what came, what it decides has to fit into a
 * write. */
#define STEAD_HUB_CAME_BYTES_MAX ((size_t)8 << 20)

/* An instance at work. */
struct stead_hub_session {
    struct stead_hub_session *next; /* of the bucket */
    struct stead_hub_worker_state *worker;
    char id[STEAD_INSTANCE_ID_MAX + 1];
    uint32_t partition;
    enum stead_hub_phase phase;
    struct stead_hub_message *messages; /* of this episode */
    size_t came_bytes;                  /* in them */
    struct stead_hub_message *waiting;  /* of the next */
    uint64_t etag;
    bool exists;                 /* it has a row */
    struct stead_writer row;     /* the small map of it */
    struct stead_hub_rows rows;  /* read */
    struct stead_engine *engine; /* NULL: to be made from the rows */
    bool kept;                   /* the engine is that of an earlier episode: no rows were read for this one */
    uint32_t execution, version;
    struct stead_turn *turn;           /* that of the episode under way; NULL between them */
    int64_t now_ms;                    /* of the episode */
    int64_t last_ms;                   /* the time of the newest row that was replayed */
    bool alone;                        /* the next execution, if it begins anew, has an episode of its own */
    struct stead_hub_sends sends;      /* to be made after the write */
    uint32_t sending;                  /* under way */
    bool failed;                       /* one of them was not stored */
    bool crowded;                      /* one of them for want of room */
    bool settling;                     /* they are those of the episode before */
    uint32_t conflicts;                /* one after the other */
    uint64_t recent[STEAD_HUB_RECENT]; /* numbers of the messages of its newest episodes, which the rows may not show */
    uint64_t recent_count;
};

/* An activity, a call of an agent, or a message that goes on to another queue. */
struct stead_hub_task {
    struct stead_hub_task *next, *previous; /* of the worker's */
    struct stead_hub_worker_state *worker;
    struct stead_hub_message *message; /* owned */
    struct stead_call_id call;
    bool calling;     /* the job or the agent has not answered */
    bool holds;       /* the call is one of stead.hold: its answer is looked at in any case */
    bool agent;       /* a call of an agent: it may wait for as long as somebody else holds that */
    bool unwanted;    /* its message is gone: nobody wants the result */
    bool told;        /* who asked is told, or was: no message that goes on */
    bool stored;      /* so is the result: the message can be deleted */
    bool failed;      /* the result was too large: it is a failure instead */
    bool ended;       /* to be freed */
    bool renewing;    /* a renewal is under way */
    uint32_t pending; /* answers that are still to come */
};

struct stead_hub_counts {
    uint64_t dequeues, empty, enqueues, deletes, renewals, reads, writes; /* operations asked for */
    uint64_t episodes, tasks, conflicts, poisoned;
};

#define STEAD_HUB_QUEUES (STEAD_HUB_PARTITIONS_MAX + 1u)
#define STEAD_HUB_WORK STEAD_HUB_PARTITIONS_MAX /* index of the work queue */
#define STEAD_HUB_BUCKETS 1024u

#define STEAD_HUB_SENT 16384u

/* What the newest episode of an instance decided was sent by this worker. */
struct stead_hub_sent {
    uint64_t id_hash, etag;
};

#define STEAD_HUB_TRIED 1024u

struct stead_hub_poll {
    bool asked;                     /* a dequeue is under way, or what it brought is looked at */
    bool rests;                     /* a timer stands */
    int64_t interval_ms;            /* back-off: the next */
    struct stead_hub_message *came; /* what the last one brought and was not looked at yet */
    struct stead_writer body;       /* of the first of them, as far as it was fetched */
};

struct stead_hub_ask;

struct stead_hub_worker_state {
    uint32_t number;
    char name[STEAD_HUB_NAME_MAX + 1]; /* of the hub */
    bool settled;                      /* the settings are known */
    bool asking;                       /* for them */
    bool stopped;
    struct stead_hub_settings settings;
    bool mine[STEAD_HUB_PARTITIONS_MAX];
    int64_t lease_until_ms;
    struct stead_hub_poll polls[STEAD_HUB_QUEUES];
    struct stead_hub_session *sessions[STEAD_HUB_BUCKETS];
    struct stead_hub_sent sent[STEAD_HUB_SENT]; /* by hash of the id; the newer one stays */
    uint32_t session_count;                     /* idle ones too */
    uint32_t busy_count;
    uint32_t message_count; /* that they have, of episodes and waiting */
    size_t message_bytes;   /* of the bodies of these */
    struct stead_hub_task *tasks;
    struct stead_hub_task *renew_next; /* in the round of renewals under way; NULL: none is */
    uint32_t renewals;                 /* under way */
    /* Of the tasks: calls of agents, which take no room: else those that wait for a lock could keep its holder from
     * going on. */
    uint32_t call_count;
    uint32_t task_count;
    bool renew_timer;                   /* stands */
    bool look_timer;                    /* stands, or its answer is under way */
    uint64_t tried[STEAD_HUB_TRIED];    /* hashes of messages that were taken too often, and once more by this worker */
    struct stead_hub_message *finished; /* to be deleted */
    uint32_t finished_count;
    struct stead_hub_ask *asks, *asks_last; /* operations that wait for those before them */
    uint32_t asked;                         /* that were not answered yet */
    size_t asked_bytes;                     /* in them */
    struct stead_hub_counts counts;
};

/* Members of a message: empty, or 0, when they are missing or of another type. Borrowed. */
static inline struct stead_slice stead_hub_text(struct stead_slice body, const char *field)
{
    struct stead_slice it = {NULL, 0}, none = {NULL, 0};

    return stead_get_str(body, field, &it) == 0 ? it : none;
}

/* The same of a value. */
static inline struct stead_slice stead_hub_value(struct stead_slice body, const char *field)
{
    struct stead_slice it = {NULL, 0}, none = {NULL, 0};

    return stead_get_value(body, field, &it) == 0 ? it : none;
}

/* The same of a number. */
static inline int64_t stead_hub_number(struct stead_slice body, const char *field)
{
    int64_t it = 0;

    return stead_get_i64(body, field, &it) == 0 ? it : 0;
}

/* ---- hub_worker.c ------------------------------------------------------------------------------ */

/* Never NULL: out of memory, the process stops. Zeroed. */
void *stead_hub_alloc(size_t size);
/* Asks the queues for more, as far as there is room. */
void stead_hub_poll_all(struct stead_turn *turn, struct stead_hub_worker_state *worker);
void stead_hub_message_destroy(struct stead_hub_message **message);
/* Deletes messages soon (consumed): whether that succeeds concerns nobody, they come back if not. */
void stead_hub_delete(struct stead_turn *turn, struct stead_hub_worker_state *worker,
                      struct stead_hub_message **messages);

/* ---- hub_ask.c --------------------------------------------------------------------------------- */

/* Calls a part of the hub; its answer is a turn of `reply_op` with `object` as its context. What is long, or
 * behind too much that was not answered yet, may wait, and what is asked for behind it then waits too: so a turn may
 * ask for any number of operations. */
void stead_hub_call(struct stead_turn *turn, struct stead_hub_worker_state *worker, const char *address, const char *op,
                    struct stead_slice args, const char *reply_op, const void *object);
/* The object of a reply op's call. */
void *stead_hub_object(const struct stead_turn *turn);
/* In every reply op of such a call, first of all: there is room for what waits. */
void stead_hub_asked(struct stead_turn *turn, struct stead_hub_worker_state *worker);
/* Reply op: of a piece. */
int stead_hub_pieced(struct stead_turn *turn, void *state, struct stead_slice args);
void stead_hub_asks_destroy(struct stead_hub_worker_state *worker);

/* ---- hub_session.c ----------------------------------------------------------------------------- */

/* A message of a control queue that is for an instance (consumed). */
void stead_hub_session_take(struct stead_turn *turn, struct stead_hub_worker_state *worker, struct stead_slice id,
                            struct stead_hub_message **message);
void stead_hub_sessions_destroy(struct stead_hub_worker_state *worker);
/* An instance of this id is at work. */
bool stead_hub_session_works(struct stead_hub_worker_state *worker, struct stead_slice id);
/* Reply ops. */
int stead_hub_session_read(struct stead_turn *turn, void *state, struct stead_slice args);
int stead_hub_session_written(struct stead_turn *turn, void *state, struct stead_slice args);
int stead_hub_session_sent(struct stead_turn *turn, void *state, struct stead_slice args);
int stead_hub_session_due(struct stead_turn *turn, void *state, struct stead_slice args);

/* ---- hub_rows.c -------------------------------------------------------------------------------- */

/* A visit of the rows that were read; begins zeroed. */
struct stead_hub_walk {
    size_t at;
    struct stead_slice taken;  /* list */
    struct stead_slice events; /* row of events; empty in one of `out` */
    struct stead_slice
        out; /* what an episode sent whose history was thrown away: [address, 0 enqueue or 1 cancel, args]... */
    struct stead_slice
        past; /* of the instance that had the id before: [etag, updated, row, rows of its last episode] */
};
/* A row that was read, or what goes on with the one before. */
void stead_hub_add_row(struct stead_hub_session *session, struct stead_slice bytes);
/* When what is perhaps still to be sent was decided, and the etag of that write: of the newest episode, or, before the
 * first one, that of the instance which had the id before. False: nothing is. */
bool stead_hub_decided(const struct stead_hub_session *session, int64_t *ret_ms, uint64_t *ret_etag);
/* The next row; false behind the last, or where it is damaged. */
bool stead_hub_next_row(const struct stead_hub_session *session, struct stead_hub_walk *walk);
/* Is the number in the list? */
bool stead_hub_is_listed(struct stead_slice list, uint64_t number);
/* Gives the engine the history; 0 or what stead_engine_replay() says. `rewind_from`: of a rewind that comes next; 0:
 * none. */
int stead_hub_replay(struct stead_hub_session *session, struct stead_engine *engine,
                     uint64_t rewind_from) STEAD_MUST_USE;

/* ---- hub_episode.c ----------------------------------------------------------------------------- */

enum stead_hub_verdict {
    STEAD_HUB_WRITE,      /* what it decided */
    STEAD_HUB_SEND,       /* nothing new: at most what was decided before */
    STEAD_HUB_READ_AGAIN, /* the engine was lost */
    STEAD_HUB_PENDING,    /* the start has not come yet */
    STEAD_HUB_UNKNOWN,    /* no such orchestrator is loaded */
    STEAD_HUB_ABANDON     /* it cannot be done: the messages come back */
};
/* Runs one with the session's messages; `ret_args`: of the write. What follows it is in the session's list. */
enum stead_hub_verdict stead_hub_episode(struct stead_turn *turn, struct stead_hub_session *session,
                                         struct stead_writer *ret_args);

/* ---- hub_send.c --------------------------------------------------------------------------------- */

/* What an event of an episode asks of the store joins the list. */
void stead_hub_send_event(struct stead_hub_session *session, const struct stead_history_event *event);
/* The instance is over: its parent (of its row) is told how. */
void stead_hub_send_end(struct stead_hub_session *session, const struct stead_history_event *end);
/* The instance, which has not begun, never will: its start need not come. */
void stead_hub_send_start_cancel(struct stead_hub_session *session);
/* This start of a child came to an instance that is active: its parent is told so; but an earlier attempt of the same
 * parent ends, and the start comes again. */
void stead_hub_send_refusal(struct stead_hub_session *session, const struct stead_hub_message *start);
/* The parent of this start is told that the child's id is in use; one that does not want this request any more (it has
 * asked again) passes it over. */
void stead_hub_send_conflict(struct stead_hub_session *session, const struct stead_hub_message *start);
/* Says which execution of which instance of this id it is: `x` and `px` of messages. */
uint64_t stead_hub_life(const struct stead_hub_session *session);
/* Was this message, which came again, taken by an episode that is stored? Then what that decided is sent again: once
 * for all of its messages, and for each episode whose messages are among the session's. */
bool stead_hub_was_taken(struct stead_hub_session *session, const struct stead_hub_message *message);
/* What the newest episode of the rows that were read decided joins the list, to be sent again. */
void stead_hub_send_newest(struct stead_hub_session *session);
/* A message that comes to the instance a little later, to look for its code; again: this one, that came. */
void stead_hub_send_wake(struct stead_hub_session *session, const struct stead_hub_message *again);
/* A hold that nobody waited for any more was given: it is released. */
void stead_hub_send_release(struct stead_hub_session *session, struct stead_slice address, uint64_t fence,
                            uint64_t ref);
/* An operation that was listed before; `op` is static. */
void stead_hub_send_again(struct stead_hub_session *session, struct stead_slice address, const char *op,
                          struct stead_slice args);
void stead_hub_sends_clear(struct stead_hub_sends *sends);

/* ---- hub_task.c --------------------------------------------------------------------------------- */

/* A message of the work queue, or of a control queue that is for an agent (consumed). */
void stead_hub_task_take(struct stead_turn *turn, struct stead_hub_worker_state *worker,
                         struct stead_hub_message **message);
/* A message that was taken too often goes to the poison queue (consumed). */
void stead_hub_poison(struct stead_turn *turn, struct stead_hub_worker_state *worker,
                      struct stead_hub_message **message);
/* A message that nobody can take now comes again after so long, as if it had never been taken (consumed). */
void stead_hub_postpone(struct stead_turn *turn, struct stead_hub_worker_state *worker,
                        struct stead_hub_message **message, int64_t delay_ms);
void stead_hub_tasks_destroy(struct stead_hub_worker_state *worker);
/* Reply ops, and the timer of renewals. */
int stead_hub_task_ran(struct stead_turn *turn, void *state, struct stead_slice args);
int stead_hub_task_told(struct stead_turn *turn, void *state, struct stead_slice args);
int stead_hub_task_renewed(struct stead_turn *turn, void *state, struct stead_slice args);
int stead_hub_task_renew(struct stead_turn *turn, void *state, struct stead_slice args);
/* A message says that a work must have begun by now; and the answer, whether nobody has taken it. */
void stead_hub_task_take_late(struct stead_turn *turn, struct stead_hub_worker_state *worker,
                              struct stead_hub_message **message);
int stead_hub_task_late(struct stead_turn *turn, void *state, struct stead_slice args);
/* The timer that looks for what was cancelled, and its answer. */
int stead_hub_task_look(struct stead_turn *turn, void *state, struct stead_slice args);
int stead_hub_task_looked(struct stead_turn *turn, void *state, struct stead_slice args);

#endif
