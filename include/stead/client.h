/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client: sends tells, signals and calls to agents by name, from outside the cluster.
 *
 * It learns the table of slots from any node and then talks straight to the owner of each agent; it reconnects by
 * itself, and retries with the same request number, so an effect happens once however often it had to ask. What is
 * acknowledged is committed. A session lasts at most 24 h; the client opens a new one by itself at half of that.
 *
 * Threads: a client belongs to one thread at a time and starts none of its own. The synchronous functions drive the
 * sockets until their answer is there; completions of asynchronous requests run inside any function of the same client.
 * Many threads: one client each.
 */
#ifndef STEAD_CLIENT_H
#define STEAD_CLIENT_H

#include "stead/value.h"

#ifdef __cplusplus
extern "C" {
#endif

struct stead_client;

struct stead_client_options {
    const char *endpoints;  /* comma-separated, as tcp://127.0.0.1:7400; NULL: $STEAD_NODE, else that one */
    uint32_t timeout_ms;    /* default deadline of a request; 0: 30,000 */
    uint32_t in_flight_max; /* asynchronous requests at once; more are refused with STEAD_EBUSY; 0: 8,192 */
    uint32_t retry_ms;      /* a request without an answer is sent again after this; 0: 1,000 */
};

enum stead_class {
    STEAD_CLASS_DEFAULT = 0,    /* what the kind promises */
    STEAD_CLASS_VOLATILE = 1,   /* answer at once: a crash may take it back */
    STEAD_CLASS_REPLICATED = 2, /* written, not yet synced, on at least two members */
    STEAD_CLASS_DURABLE = 3     /* synced on all members */
};

struct stead_request_options {
    uint32_t timeout_ms;         /* 0: the client's default */
    enum stead_class durability; /* the answer's class; see SEMANTICS in docs */
    const char *idempotency_key; /* 1 to 128 bytes, scope: the address, kept 24 h; NULL: none */
    int64_t delay_ms;            /* signals: waits with the receiver; not negative */
    uint64_t fence;              /* a lock's fencing number; 0: none */
};

/* The answer to a request. Slices and texts are borrowed until the next function of the same client
 * (completions: until it returns). */
struct stead_answer {
    int code;                    /* 0 or the negative code of the failure */
    const char *error_name;      /* "" when code is 0; the op's own name for STEAD_EFAILED */
    const char *error_sentence;  /* "" when code is 0 */
    const char *error_agent;     /* the address that failed, "" when code is 0 */
    const char *error_op;        /* the op that failed, "" when code is 0 */
    struct stead_slice value;    /* the reply; empty for tell and signal */
    enum stead_class durability; /* the class reached */
    uint32_t retry_after_ms;     /* with STEAD_EBUSY: a hint */
};

/* `options` (borrowed) may be NULL. Connects lazily, so nobody need be there yet. 0; STEAD_EARGUMENT (an endpoint
 * that is none, in_flight_max above 1,048,576); STEAD_EIO (no sockets or random numbers to be had). The client is
 * returned: close it. */
STEAD_PUBLIC int stead_client_open(const struct stead_client_options *options,
                                   struct stead_client **ret_client) STEAD_MUST_USE;
/* Frees the client; unfinished requests complete with STEAD_ECANCELLED (what was sent may still take effect; a job is
 * told: stead_job_cancelled()). Nulls `*client`; NULL in it is fine. Not from a completion: that stops the process. */
STEAD_PUBLIC void stead_client_close(struct stead_client **client);

/* All requests: texts and `args` (one value, or empty) are borrowed and copied. STEAD_EADDRESS, STEAD_EARGUMENT (op,
 * args, key) and STEAD_ETOOLARGE are found before anything is sent. `options` and `ret_answer` may be NULL. Inside a
 * completion the synchronous ones are STEAD_ESTATE: the loop is below it. */

/* Asks and waits for the op's answer. The answer's code: 0, committed if the kind is durable; the op's failure;
 * STEAD_ETIMEOUT (outcome unknown); STEAD_EUNAVAILABLE (no node could be reached, or nobody serves the agent: it has
 * not run; at once when every endpoint refuses, at the deadline when one says nothing); whatever else the node says
 * (error.h). */
STEAD_PUBLIC int stead_client_call(struct stead_client *client, const char *address, const char *op,
                                   struct stead_slice args, const struct stead_request_options *options,
                                   struct stead_answer *ret_answer) STEAD_MUST_USE;
/* Waits until the signal is committed and has run (with a delay: until it is committed). When its op fails, that is
 * the answer's code, and the signal is kept as a dead letter of its agent too. */
STEAD_PUBLIC int stead_client_signal(struct stead_client *client, const char *address, const char *op,
                                     struct stead_slice args, const struct stead_request_options *options,
                                     struct stead_answer *ret_answer) STEAD_MUST_USE;
/* Sends and does not wait for an answer: at most once. 0 when it was handed to a connection; STEAD_EUNAVAILABLE when
 * there is none within the client's timeout. In a completion it is queued. */
STEAD_PUBLIC int stead_client_tell(struct stead_client *client, const char *address, const char *op,
                                   struct stead_slice args) STEAD_MUST_USE;

/* Runs once for each request that was started with 0, in a later function of the client, on its thread. It may start
 * further requests and tell, no more; `answer` is borrowed until it returns. */
typedef void stead_completion_fn(void *context, const struct stead_answer *answer);

/* Pipelined: queue the request and return. 0, STEAD_EBUSY with in_flight_max of them under way (poll, then try
 * again), or what is found before it is sent; then no completion runs. `completion` may be NULL. */
STEAD_PUBLIC int stead_client_call_async(struct stead_client *client, const char *address, const char *op,
                                         struct stead_slice args, const struct stead_request_options *options,
                                         stead_completion_fn *completion, void *context) STEAD_MUST_USE;
STEAD_PUBLIC int stead_client_signal_async(struct stead_client *client, const char *address, const char *op,
                                           struct stead_slice args, const struct stead_request_options *options,
                                           stead_completion_fn *completion, void *context) STEAD_MUST_USE;
/* Sends what is queued, takes answers and runs completions; waits up to `timeout_ms` (0: not at all, -1: until one ran)
 * when there is nothing to do. The number of completions run, or a negative code. */
STEAD_PUBLIC int stead_client_poll(struct stead_client *client, int timeout_ms) STEAD_MUST_USE;
/* Polls until nothing is in flight or the time is over (STEAD_ETIMEOUT). */
STEAD_PUBLIC int stead_client_drain(struct stead_client *client, int timeout_ms) STEAD_MUST_USE;
/* Requests without an answer yet. */
STEAD_PUBLIC uint32_t stead_client_in_flight(const struct stead_client *client);

/* Where an address lives, by the newest table that the client knows (it asks for one when it has none). Texts are
 * borrowed until the next function of the client. */
struct stead_location {
    uint32_t slot, shard, reactor;
    const char *node;     /* its name */
    const char *endpoint; /* of that reactor */
};
/* 0; STEAD_EADDRESS; STEAD_EUNAVAILABLE: no node answered, or nobody owns the slot. For benches and for who places
 * agents apart on purpose. */
STEAD_PUBLIC int stead_client_locate(struct stead_client *client, const char *address,
                                     struct stead_location *ret_location) STEAD_MUST_USE;

/* Nanoseconds of the clock that deadlines are counted by; from no particular moment. Any thread. */
STEAD_PUBLIC uint64_t stead_client_monotonic_ns(void);
/* The default deadline of its requests, in milliseconds: what it was opened with. */
STEAD_PUBLIC uint32_t stead_client_timeout_ms(const struct stead_client *client);

/* A name that nobody else has: 32 hexadecimal digits, 128 bits of the system's generator. 0; STEAD_EIO: no random
 * numbers to be had. */
#define STEAD_RANDOM_ID_SIZE 33
STEAD_PUBLIC int stead_client_random_id(struct stead_client *client,
                                        char ret_text[STEAD_RANDOM_ID_SIZE]) STEAD_MUST_USE;

/* What a library over the client keeps with it: freed with `destroy` when the client is closed (not when another one
 * takes its place). NULL: nothing. */
STEAD_PUBLIC void *stead_client_extra(const struct stead_client *client);
STEAD_PUBLIC void stead_client_set_extra(struct stead_client *client, void *extra, void (*destroy)(void *extra));

/* ---- Looking inside ------------------------------------------------------------------------- */

/* Asks the cluster about itself: `query` is one of
 *   "agents"      {kind, prefix, limit, after,   "show"        {address}
 *                  where: {field: value | {from, below}}, fields: [name...], held: true}
 *   "journal"     {address, limit, before, skip} "deadletters" {address, action: list|retry|drop, id, limit, after}
 *   "unlock"      {address}                      "stats"       {}
 *   "status"      {}                             "backup"      {directory, token, nodes}
 *   "hold"        {token, ms}
 * The value is a map described in docs/OPERATIONS.md. Queries without an address go to all nodes and are merged. Lists
 * come in pages of some megabytes, which may be shorter than `limit`: go on until the answer names no next one. */
STEAD_PUBLIC int stead_client_query(struct stead_client *client, const char *query, struct stead_slice args,
                                    struct stead_answer *ret_answer) STEAD_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
