/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine_internal: what the files of the engine share. engine.c drives and replays, engine_tasks.c keeps what was
 * begun, engine_wait.c what is awaited, engine_events.c external events, engine_locks.c critical sections, engine_api.c
 * the rest of stead/orchestration.h, engine_bare.c replays without the code, engine_memory.c maps and arenas.
 *
 * A task is begun by the code, has at most one open request (the id of its TASK_SCHEDULED, CHILD_CREATED or
 * TIMER_CREATED), finishes, is read, and is gone:
 *
 *     begin --> REQUESTED --- result -----------------------------> FINISHED -- await, cancel --> gone
 *                 ^  \---- failure, more attempts --> DELAYED         ^
 *                 |                                      | its timer  |
 *                 \---- the next run requests it --- DUE <+           |
 *     begin_event --> WAITING --------- the event came ---------------/
 *
 * Nothing is requested while inputs come in: what they make due is requested when the code runs, so that all decisions
 * of an episode lie behind all of its inputs.
 */
#ifndef STEAD_AGENTS_ENGINE_INTERNAL_H
#define STEAD_AGENTS_ENGINE_INTERNAL_H

#include <stdlib.h>
#include <string.h>

#include "agents/engine.h"

#define STEAD_ENGINE_OPEN_MAX 100000u     /* open tasks */
#define STEAD_ENGINE_LOCKS_MAX 64u        /* agents of one critical section */
#define STEAD_ENGINE_VALUE_MAX (1u << 20) /* bytes of a value */
#define STEAD_ENGINE_OUTPUT_MAX                                                                                        \
    0xff000u /* bytes of an output: 4 KiB of the limit are for the map that tells of the instance */
#define STEAD_ENGINE_STATUS_MAX (16u << 10) /* bytes of a custom status */
#define STEAD_ENGINE_AGAIN 1                /* what stead_continue_as_new() returns */
#define STEAD_ENGINE_WAITS_LOCK 1           /* what stead_engine_relock() returns */
#define STEAD_ENGINE_CODES 64u              /* failures are remembered by code */
#define STEAD_ENGINE_TEXT_MAX 512u          /* bytes of a sentence, with its zero */

/* A programming error stops the process, in release too. */
#define STEAD_ENGINE_ASSERT(condition) ((condition) ? (void)0 : abort())

/* ---- Memory --------------------------------------------------------------------------------- */

/* Never NULL: out of memory, the process stops. */
void *stead_engine_alloc(size_t size);
/* A zero-terminated copy; free() it. */
char *stead_engine_text(struct stead_slice text);
/* A copy; free() its data. Empty: no memory. */
struct stead_slice stead_engine_copy(struct stead_slice bytes);

/* Memory that is given back all at once. */
struct stead_engine_chunk;
struct stead_engine_arena {
    struct stead_engine_chunk *chunks; /* the newest first; owned */
    size_t used;                       /* bytes of the newest */
    size_t bytes;                      /* of all chunks */
};
/* Aligned for any type, not zeroed; lasts until reset. */
void *stead_engine_arena_take(struct stead_engine_arena *arena, size_t size);
struct stead_slice stead_engine_arena_copy(struct stead_engine_arena *arena, struct stead_slice bytes);
/* Keeps one small chunk. */
void stead_engine_arena_reset(struct stead_engine_arena *arena);
void stead_engine_arena_deinit(struct stead_engine_arena *arena);

/* Numbers above 0 to pointers: open addressing, gives memory back. */
struct stead_engine_map {
    uint64_t *keys; /* 0: free; owned */
    void **values;  /* owned */
    uint32_t capacity, count;
};
void *stead_engine_map_get(const struct stead_engine_map *map, uint64_t key);
void stead_engine_map_put(struct stead_engine_map *map, uint64_t key, void *value);
/* What is not there is fine. */
void stead_engine_map_remove(struct stead_engine_map *map, uint64_t key);
void stead_engine_map_deinit(struct stead_engine_map *map);

/* ---- Tasks ---------------------------------------------------------------------------------- */

enum stead_engine_kind { /* of a task */
                         STEAD_ENGINE_ACTIVITY,
                         STEAD_ENGINE_CALL,
                         STEAD_ENGINE_HOLD, /* of a critical section: has no number */
                         STEAD_ENGINE_CHILD,
                         STEAD_ENGINE_TIMER,
                         STEAD_ENGINE_EVENT
};

enum stead_engine_phase {
    STEAD_ENGINE_REQUESTED,
    STEAD_ENGINE_DELAYED, /* its next attempt waits for a timer */
    STEAD_ENGINE_DUE,     /* to be requested by the next run */
    STEAD_ENGINE_WAITING, /* an event that has not come */
    STEAD_ENGINE_FINISHED
};

/* What is needed to request a task again: kept for tasks with a retry policy, and while a rewind is replayed. */
struct stead_engine_again {
    struct stead_slice value; /* input; owned */
    struct stead_slice extra; /* of the event; owned */
    struct stead_retry retry;
    int64_t began_ms;  /* the first attempt */
    uint32_t attempts; /* made */
    uint64_t asked;    /* id of the newest request, open or not */
    uint64_t resumes;  /* a child that the next request rewinds: the request it was begun by; 0: it begins one anew */
    uint64_t resumed;  /* the same of the request that is open: it may not have come to the child yet */
};

struct stead_engine_name;
struct stead_engine_task {
    uint32_t number;                   /* from 1; 0: a hold */
    uint8_t kind;                      /* enum stead_engine_kind */
    uint8_t phase;                     /* enum stead_engine_phase */
    bool fenced;                       /* call: sent with a lock's fence */
    int32_t code;                      /* finished: 0 or how it failed */
    uint64_t request;                  /* id of the open request's event; 0: none */
    uint64_t timer;                    /* id of the timer beside it: the next attempt, a child's time; 0: none */
    uint64_t event;                    /* finished event: as in stead_engine_raised */
    uint64_t observed;                 /* failed: the episode in which the code first saw it; 0: not yet */
    int64_t due_ms;                    /* timer; when a child's time is up or a next attempt due */
    int64_t timeout_ms;                /* of a child's attempt; 0: none */
    char *name, *target;               /* one piece of memory at `name`; owned */
    struct stead_slice value;          /* finished: owned */
    char *error_name, *error_sentence; /* one piece of memory at `error_name`; NULL: the code's own; owned */
    struct stead_engine_again *again;  /* NULL: it is not requested again; owned */
    struct stead_engine_task *next,
        *previous;                   /* finished: in the order of finishing; waiting: of the name; due: in order */
    struct stead_engine_name *waits; /* waiting: whose list it is in */
    uint64_t wait_round;             /* the await of that round counts on it */
    uint64_t any_round;              /* it is in the list of await_any of that round ... */
    uint32_t any_index;              /* ... here */
};

struct stead_engine_tasks { /* a list */
    struct stead_engine_task *first, *last;
};

/* ---- External events ------------------------------------------------------------------------ */

/* Events that this execution came by itself lie behind all that were carried into it. */
#define STEAD_ENGINE_OWN_EVENTS ((uint64_t)1 << 62)

/* One that came and nobody has taken. */
struct stead_engine_raised {
    uint64_t id;              /* the number of a carried one, or STEAD_ENGINE_OWN_EVENTS + the id of EVENT_RAISED */
    struct stead_slice value; /* owned */
    struct stead_engine_name *name;              /* borrowed */
    struct stead_engine_raised *next;            /* of that name, by id */
    struct stead_engine_raised *later, *earlier; /* of all, by id */
};

/* A name for which something waits, on either side. */
struct stead_engine_name {
    uint64_t hash;
    char *text;                        /* owned */
    struct stead_engine_name *same;    /* another one of that hash */
    struct stead_engine_tasks waiting; /* tasks, in the order of their begins */
    struct stead_engine_raised *raised, *raised_last;
};

/* ---- The engine ----------------------------------------------------------------------------- */

struct stead_engine_lock {
    char *address; /* owned */
    uint64_t fence;
};

struct stead_engine_said {                                          /* why it failed: few instances do */
    char failure_name[64], failure_sentence[STEAD_ENGINE_TEXT_MAX]; /* stead_fail_with() */
    char difference[STEAD_ENGINE_TEXT_MAX];
};

struct stead_engine_void { /* what a rewind made void: events from <= id < at */
    uint64_t from, at;
};

enum stead_engine_stop { /* why the fiber has stopped */
                         STEAD_ENGINE_NOT_BEGUN,
                         STEAD_ENGINE_WAITS,       /* for tasks */
                         STEAD_ENGINE_WAITS_VALUE, /* for the recorded value of a side effect */
                         STEAD_ENGINE_ENDED
};

struct stead_engine {
    const struct stead_orchestrator *orchestrator;
    char *instance, *parent; /* owned */
    uint32_t execution;
    struct stead_fibers *fibers;
    void (*say)(void *context, const char *line);
    void *context;

    /* The execution. */
    enum stead_instance_status status;
    bool begun;               /* EXECUTION_STARTED came */
    bool lost;                /* the fiber was evicted */
    bool broken;              /* a replay failed: only destroy */
    bool replaying;           /* the code runs from the history */
    bool open;                /* an episode is open */
    bool ran;                 /* replay: its code has run */
    struct stead_slice input; /* owned */
    int64_t now_ms;           /* the episode's */
    uint64_t episode;         /* id of its ORCHESTRATOR_STARTED */
    uint64_t last;            /* the last event that was replayed, or given an id */
    uint64_t next;            /* id of the code's next decision */
    uint64_t draws;           /* of chance in this episode */

    /* The episode's events: live, all that run() hands out; in a replay, what the code decided and no recorded event
     * has met yet. */
    struct stead_history_event *events; /* owned */
    uint32_t event_count, event_capacity;
    uint32_t met;                    /* replay: events that recorded ones have met */
    struct stead_engine_arena bytes; /* of these events */

    /* Rewinds. */
    struct stead_engine_void *voids; /* owned */
    uint32_t void_count, void_at;    /* the next that a replay comes to */
    bool in_void;                    /* replay: between `from` and `at` */
    bool rewinding;                  /* the next run requests again what had not succeeded */
    uint64_t rewind_point;           /* Failed: see stead_engine_rewind_point() */
    uint64_t
        seen[STEAD_ENGINE_CODES]; /* by code: the episode in which the failure that was looked at last was first seen */
    uint64_t seen_last;           /* the same for the newest of all */

    /* The code. */
    struct stead_fiber *fiber; /* NULL: not begun, ended or lost */
    enum stead_engine_stop stop;
    uint64_t wait_round; /* +1 when an await begins to wait, and when it ends */
    uint32_t missing;    /* WAITS: results until it goes on */
    bool waits_any;      /* WAITS: any of the present round will do */
    int end_code;        /* ENDED: what the function returned */
    int doom;            /* 0, or why the code may not go on, or (without it) may not be run again */
    bool again_set, failure_set;
    struct stead_slice output, again;    /* of stead_complete(), stead_continue_as_new(); in `kept` */
    struct stead_engine_said *said;      /* NULL: nothing yet; owned */
    int effect_code;                     /* a side effect's recorded failure */
    struct stead_slice effect;           /* a side effect's recorded value; in `transient` */
    struct stead_engine_arena kept;      /* as long as the execution */
    struct stead_engine_arena transient; /* until the next await */
    struct stead_slice read_value;       /* of the outcome read last; owned */
    char *read_name, *read_sentence;     /* NULL: the code's own; owned at read_name */
    int read_code;
    int why_code;    /* of the newest refusal, until the next await; 0: none */
    const char *why; /* its sentence; static */

    /* Tasks. */
    size_t held_bytes;                  /* of results and events that nobody has read */
    uint32_t numbers;                   /* given out */
    uint32_t task_count;                /* open, holds apart */
    struct stead_engine_map tasks;      /* by number */
    struct stead_engine_map requests;   /* by request, and by timer */
    struct stead_engine_tasks finished; /* unread */
    struct stead_engine_tasks due;
    uint64_t *stale; /* timers beside tasks that need none any more: cancelled by the next run; owned */
    uint32_t stale_count, stale_capacity;
    struct stead_engine_task *spare; /* to be used again, by `next` */
    uint32_t spare_count;

    /* The list of the newest await_any. */
    uint64_t any_round;
    uint32_t *any_numbers;
    struct stead_engine_task **any_tasks; /* NULL: read */
    uint32_t any_count, any_capacity, any_live;

    /* External events. */
    struct stead_engine_map names; /* by hash */
    struct stead_engine_raised *raised_first, *raised_last;
    uint64_t carried; /* number of the newest event that was carried into this execution; 0: none */

    /* The critical section. */
    struct stead_engine_lock *locks; /* STEAD_ENGINE_LOCKS_MAX places; NULL: nothing was ever locked; owned */
    uint32_t lock_count;
    /* A rewind: what was locked where it goes on from, to be locked anew, with the fences of then; owned. While it is
     * not NULL no code runs and nothing is requested. */
    struct stead_engine_lock *relocks;
    uint32_t relock_count, relock_at; /* the one that is asked for next, or waited for */
    struct stead_engine_task *relock; /* the hold that is waited for; NULL: none; borrowed from the tasks */
    uint64_t relock_episode;          /* that of the rewind: where a further one begins when a lock cannot be had */

    uint64_t difference_event;
};

/* The code's handle is the engine itself: an application sees only the name of a struct that is never defined. */
static inline struct stead_engine *stead_engine_of(const struct stead_orchestration *o)
{
    return (struct stead_engine *)(uintptr_t)o;
}

/* engine.c */
/* Appends a decision (texts and values are copied into the episode's bytes) and gives it its id, which is returned. */
uint64_t stead_engine_decide(struct stead_engine *engine, const struct stead_history_event *event);
/* The texts of a failure, made when they are first asked for. */
struct stead_engine_said *stead_engine_say_why(struct stead_engine *engine);
/* Ends the instance with this code, from inside the code; does not return. */
void stead_engine_doom(struct stead_engine *engine, int code);
/* Stops the fiber until what it waits for is there. */
void stead_engine_stop(struct stead_engine *engine, enum stead_engine_stop why);

/* engine_tasks.c */
/* A task that is in no list; counts against the limit unless it is a hold. */
struct stead_engine_task *stead_engine_task_new(struct stead_engine *engine, enum stead_engine_kind kind);
/* Out of every list and map, and freed. */
void stead_engine_task_free(struct stead_engine *engine, struct stead_engine_task *task);
/* Its outcome: what waits for it is told. `value` and texts are copied. */
void stead_engine_finish(struct stead_engine *engine, struct stead_engine_task *task, int code,
                         struct stead_slice value, struct stead_slice error_name, struct stead_slice error_sentence);
/* Decides the task's request; name, target and the rest are kept as needed. */
void stead_engine_request(struct stead_engine *engine, struct stead_engine_task *task, struct stead_slice name,
                          struct stead_slice target, struct stead_slice value, struct stead_slice extra);
/* Its name and target: copies. */
void stead_engine_task_call_it(struct stead_engine_task *task, struct stead_slice name, struct stead_slice target);
/* The result of a request (TASK_COMPLETED to TIMER_FIRED). False: nobody waits for it. */
bool stead_engine_result(struct stead_engine *engine, const struct stead_history_event *event);
/* Requests what is due; at the begin of a run. */
void stead_engine_request_due(struct stead_engine *engine);
/* Makes every task that has not succeeded due, and every hold that has not been read: a rewind's run. */
void stead_engine_rewind_tasks(struct stead_engine *engine);
/* An agent has a new fence: what is still to be requested of it with the old one carries the new one. */
void stead_engine_refence(struct stead_engine *engine, const char *address, uint64_t old, uint64_t fence);
/* Decides TASK_CANCELED for everything that is open, or for timers only, in order of ids. */
void stead_engine_cancel_open(struct stead_engine *engine, bool timers_only);
/* A list's end. */
void stead_engine_list_append(struct stead_engine_tasks *list, struct stead_engine_task *task);
void stead_engine_list_remove(struct stead_engine_tasks *list, struct stead_engine_task *task);

/* engine_bare.c */
/* A recorded event, in a replay without the code. */
void stead_engine_follow(struct stead_engine *engine, const struct stead_history_event *event);
/* Decides how a condemned execution ends. */
void stead_engine_fail_bare(struct stead_engine *engine);

/* engine_wait.c */
/* Tells the await that counts on it. */
void stead_engine_wake(struct stead_engine *engine, struct stead_engine_task *task);
/* The task is gone: the await_any's list forgets it. */
void stead_engine_any_forget(struct stead_engine *engine, struct stead_engine_task *task);
/* One of the newest await_any's list has finished and is unread. */
bool stead_engine_any_is_done(const struct stead_engine *engine);
/* Waits for one task that has no number; then it is FINISHED. */
void stead_engine_wait_for(struct stead_engine *engine, struct stead_engine_task *task);
/* Refuses what is not allowed here: STEAD_ESTATE, with this sentence (static), which is told until the next await
 * begins. */
int stead_engine_refuse(struct stead_engine *engine, const char *why);
/* The same of an await, which begins and ends with it. */
int stead_engine_refuse_await(struct stead_engine *engine, const char *why);
/* Reads the task's outcome into the engine and frees the task; 0 or its code. */
int stead_engine_read(struct stead_engine *engine, struct stead_engine_task *task, struct stead_slice *ret_value);
/* The code has seen that this one failed. */
void stead_engine_observe(struct stead_engine *engine, struct stead_engine_task *task);

/* engine_api.c */
/* Of the form kind/key? */
bool stead_engine_is_address(struct stead_slice address);

/* engine_events.c */
/* EVENT_RAISED: to the first that waits for it, or kept. */
void stead_engine_raise(struct stead_engine *engine, uint64_t id, struct stead_slice name, struct stead_slice value);
/* A waiting task leaves its name's list. */
void stead_engine_event_leave(struct stead_engine *engine, struct stead_engine_task *task);
/* A finished event's value goes to the next who asks. */
void stead_engine_event_give_back(struct stead_engine *engine, struct stead_engine_task *task);
void stead_engine_events_deinit(struct stead_engine *engine);

/* engine_locks.c */
/* The fence of a locked address; 0: not locked. */
uint64_t stead_engine_fence(const struct stead_engine *engine, const char *address);
/* One more locked address; at most STEAD_ENGINE_LOCKS_MAX. */
void stead_engine_keep_lock(struct stead_engine *engine, const char *address, uint64_t fence);
/* Decides LOCKS_RELEASED when something is locked. */
void stead_engine_unlock(struct stead_engine *engine);
/* A rewind's run: what is locked was released for good by the failure, and is to be locked anew. */
void stead_engine_rewind_locks(struct stead_engine *engine);
/* Goes on with that, at the begin of a run. 0: all is locked; STEAD_ENGINE_WAITS_LOCK; or how a lock could not be had:
 * then engine->relock has failed. */
int stead_engine_relock(struct stead_engine *engine);
/* Forgets what is locked, and what is to be locked anew. */
void stead_engine_locks_deinit(struct stead_engine *engine);
void stead_engine_relocks_deinit(struct stead_engine *engine);

#endif
