/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Orchestrations from outside: start, look at, steer. Built on client.h; its thread rules hold.
 *
 * `hub` in the options names the task hub whose instances are meant ("main" is the usual one); NULL means the direct
 * fabric. Ids are unique in their fabric.
 *
 * Every function returns 0 or a negative code, and fills the client's answer (`ret_answer`, may be NULL) with name and
 * sentence of a failure. STEAD_ENOTFOUND: no such instance. STEAD_ESTATE: not in the status that it is in. Retries are
 * idempotent: a start that is repeated starts once.
 */
#ifndef STEAD_ORCHESTRATION_CLIENT_H
#define STEAD_ORCHESTRATION_CLIENT_H

#include "stead/client.h"
#include "stead/orchestration.h"

#ifdef __cplusplus
extern "C" {
#endif

enum stead_instance_status { /* stored and on the wire: never renumbered */
                             STEAD_INSTANCE_RUNNING,
                             STEAD_INSTANCE_COMPLETED,
                             STEAD_INSTANCE_CONTINUED_AS_NEW,
                             STEAD_INSTANCE_FAILED,
                             STEAD_INSTANCE_CANCELED,
                             STEAD_INSTANCE_TERMINATED,
                             STEAD_INSTANCE_PENDING,
                             STEAD_INSTANCE_SUSPENDED
};
/* "Running" and so on; "" for none of them. Static; any thread. */
STEAD_PUBLIC const char *stead_instance_status_name(enum stead_instance_status status);
/* Completed, Failed, Canceled, Terminated. */
STEAD_PUBLIC bool stead_instance_is_over(enum stead_instance_status status);

struct stead_instance_options {
    const char *hub;     /* NULL: the direct fabric */
    uint32_t timeout_ms; /* of the request; 0: the client's */
    const char *id;      /* start: NULL: 32 random hexadecimal digits */
    uint32_t version;    /* start: 0: the highest */
    bool replace;        /* start: an active instance of this id is terminated first, not STEAD_ECONFLICT */
    int64_t delay_ms;    /* start: not before; on a hub for a century (3,162,240,000,000 ms) at most */
};

#define STEAD_INSTANCE_ERROR_NAME_MAX 63 /* bytes */
#define STEAD_INSTANCE_ERROR_SENTENCE_MAX 511
/* Slices are borrowed until the next function of the same client. */
struct stead_instance {
    char id[STEAD_INSTANCE_ID_MAX + 1];
    char name[STEAD_KIND_NAME_MAX + 1];
    uint32_t version;
    uint32_t execution; /* from 1, +1 at each continue-as-new and restart */
    enum stead_instance_status status;
    int64_t created_ms, updated_ms;
    uint64_t events;                        /* in the history of this execution */
    char parent[STEAD_INSTANCE_ID_MAX + 1]; /* its id; "" for none */
    struct stead_slice input, output;       /* empty: none (yet), or not asked for */
    struct stead_slice custom_status;
    /* "" unless Failed or Terminated (then the reason is the sentence); cut. */
    char error_name[STEAD_INSTANCE_ERROR_NAME_MAX + 1];
    char error_sentence[STEAD_INSTANCE_ERROR_SENTENCE_MAX + 1];
};

/* Starts an instance and returns when that is committed. `options` may be NULL. STEAD_ECONFLICT: the id is active. A
 * finished id is used again. On a hub the `error_agent` of a conflict is the `id` of the options, borrowed. */
STEAD_PUBLIC int stead_instance_start(struct stead_client *client, const char *name, struct stead_slice input,
                                      const struct stead_instance_options *options,
                                      char ret_id[STEAD_INSTANCE_ID_MAX + 1],
                                      struct stead_answer *ret_answer) STEAD_MUST_USE;
/* Starts one and waits for its end in the same request: one round trip. STEAD_ETIMEOUT: started, perhaps; it goes
 * on. */
STEAD_PUBLIC int stead_instance_run(struct stead_client *client, const char *name, struct stead_slice input,
                                    const struct stead_instance_options *options, struct stead_instance *ret_instance,
                                    struct stead_answer *ret_answer) STEAD_MUST_USE;
/* The same pipelined (direct fabric and hub): the answer's value is the map that `status` answers; read it with
 * stead_instance_read(). */
STEAD_PUBLIC int stead_instance_run_async(struct stead_client *client, const char *name, struct stead_slice input,
                                          const struct stead_instance_options *options, stead_completion_fn *completion,
                                          void *context) STEAD_MUST_USE;
/* Waits until it is over. */
STEAD_PUBLIC int stead_instance_wait(struct stead_client *client, const char *id,
                                     const struct stead_instance_options *options, struct stead_instance *ret_instance,
                                     struct stead_answer *ret_answer) STEAD_MUST_USE;
STEAD_PUBLIC int stead_instance_status_of(struct stead_client *client, const char *id,
                                          const struct stead_instance_options *options,
                                          struct stead_instance *ret_instance,
                                          struct stead_answer *ret_answer) STEAD_MUST_USE;
/* Reads the map that `status`, `wait` and `run` answer; slices are borrowed from `value`. STEAD_ECORRUPT when it is
 * none. Pure; any thread. */
STEAD_PUBLIC int stead_instance_read(struct stead_slice value, struct stead_instance *ret_instance) STEAD_MUST_USE;

/* An external event. */
STEAD_PUBLIC int stead_instance_raise(struct stead_client *client, const char *id, const char *event,
                                      struct stead_slice value, const struct stead_instance_options *options,
                                      struct stead_answer *ret_answer) STEAD_MUST_USE;
enum stead_instance_action {
    STEAD_INSTANCE_TERMINATE, /* with its children and activities; `reason` is kept */
    STEAD_INSTANCE_SUSPEND,   /* events and results are kept, the code does not run */
    STEAD_INSTANCE_RESUME,
    /* Failed: failed steps are tried again, failed children rewound; what was locked there is locked anew first */
    STEAD_INSTANCE_REWIND,
    STEAD_INSTANCE_RESTART, /* over: the same input, a new execution */
    STEAD_INSTANCE_PURGE,   /* over: forgets it */
};
/* `reason` may be NULL. On a hub what is asked of an instance that has not begun (its start is delayed, or waits for
 * code) is stored, and only its termination is waited for: 0 with {"asked": true} as the answer's value then. A start
 * that is due may overtake it. */
STEAD_PUBLIC int stead_instance_steer(struct stead_client *client, const char *id, enum stead_instance_action action,
                                      const char *reason, const struct stead_instance_options *options,
                                      struct stead_answer *ret_answer) STEAD_MUST_USE;
/* The same pipelined, for many. With a hub only STEAD_INSTANCE_PURGE, which is one operation there; else
 * STEAD_ESTATE. */
STEAD_PUBLIC int stead_instance_steer_async(struct stead_client *client, const char *id,
                                            enum stead_instance_action action, const char *reason,
                                            const struct stead_instance_options *options,
                                            stead_completion_fn *completion, void *context) STEAD_MUST_USE;

/* One event of a history, as told to people and programs; borrowed until the visit returns. */
struct stead_instance_event {
    uint64_t id;            /* from 1, without gaps */
    int64_t time_ms;        /* of its episode */
    const char *type;       /* "TaskScheduled" ... */
    struct stead_slice map; /* all there is about it: {type, id, time, name, ref, value, ...} */
};
typedef int stead_instance_event_fn(void *context, const struct stead_instance_event *event);
/* Visits the present execution's history from event `after` + 1 on, page by page, until `visit` returns non-zero (then
 * 0 is returned). `ret_last` (may be NULL): the last id seen. It ends too when the instance begins anew meanwhile. */
STEAD_PUBLIC int stead_instance_history(struct stead_client *client, const char *id, uint64_t after,
                                        const struct stead_instance_options *options, stead_instance_event_fn *visit,
                                        void *context, uint64_t *ret_last,
                                        struct stead_answer *ret_answer) STEAD_MUST_USE;

struct stead_instance_filter {
    const char *status;     /* a status' name, NULL: all */
    const char *name;       /* of the orchestrator, NULL: all */
    const char *id_prefix;  /* NULL: all */
    int64_t from_ms, to_ms; /* created in from <= t < to; 0: no bound */
    uint32_t limit;         /* of a page; 0: 100 */
    const char *after;      /* the id that the last page ended with; NULL: from the first */
};
/* `instance->input`, `output` and `error_*` are not filled in. Pages are in the order of the ids. `ret_more`: there may
 * be more after the last one visited. */
typedef int stead_instance_fn(void *context, const struct stead_instance *instance);
STEAD_PUBLIC int stead_instance_list(struct stead_client *client, const struct stead_instance_filter *filter,
                                     const struct stead_instance_options *options, stead_instance_fn *visit,
                                     void *context, bool *ret_more, struct stead_answer *ret_answer) STEAD_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
