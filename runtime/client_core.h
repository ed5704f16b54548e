/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_core: a client of the cluster as a pure state machine: sessions and request numbers, routing by the table,
 * retries, deadlines, back-off, and which answer belongs to which request.
 *
 *     stead_client_core_set_now -> any of submit / tell / deliver / peer_up / peer_down / set_table -> stead_client_core_step
 *
 * A request is sent, and sent again under the same number and id, until an answer ends it or its deadline has passed:
 *
 *     waiting --(route known, peer up)--> sent --(answer)--> completed
 *        ^                                 | |
 *        +--(busy, not_owner, unavailable)-+ +--(deadline)--> completed: ETIMEOUT, or what it was refused with
 *        |                                 |
 *        +------(peer down, new table)-----+
 *
 * A call to a stateless kind that is given up, at its deadline or when the client is closed, is followed by a CANCEL to
 * where it was sent last, so that its job need not go on; best effort.
 *
 * It performs nothing: what is to be done goes through the table of effects, called on the caller's stack. A completion
 * may submit and tell; it may call nothing else of this core.
 *
 * Called by: net/client.c and the simulator. Threads: one core, one thread. Time and randomness are arguments.
 */
#ifndef STEAD_RUNTIME_CLIENT_CORE_H
#define STEAD_RUNTIME_CLIENT_CORE_H

#include "runtime/message.h"
#include "runtime/table.h"

#define STEAD_CLIENT_SESSION_MS_MAX (24ull * 3600 * 1000) /* default age at which receivers end a session */
/* Numbers between the oldest request in flight, stragglers apart (client_session.h), and the newest. */
#define STEAD_CLIENT_SPAN_MAX (1u << 20)
#define STEAD_CLIENT_ARGS_MAX                                                                                          \
    (16u * 1024u * 1024u) /* bytes; far below what a connection carries, above any limit of a node */
#define STEAD_CLIENT_NEVER UINT64_MAX

struct stead_client_core;

/* All are called inside functions of the core, in the order in which things are to happen. */
struct stead_client_effects {
    void *self; /* first argument of each */
    /* A connection to this reactor is wanted: answer with stead_client_core_peer_up() when it is open, never before
     * this returns. Asked again while it is still wanted. */
    void (*connect)(void *self, uint32_t node, uint16_t reactor);
    /* To a reactor that is up. Borrowed: encode it now. May be lost. */
    void (*send)(void *self, uint32_t node, uint16_t reactor, const struct stead_message *message);
    /* The end of a request, once for each. `code`: 0 or the failure. `answer`: the ANSWER, which may be taken (set it
     * to NULL), or `*answer` is NULL when the failure was found here (STEAD_ETIMEOUT, STEAD_EUNAVAILABLE,
     * STEAD_ECANCELLED, STEAD_ESESSION). */
    void (*complete)(void *self, void *context, int code, struct stead_message **answer);
    /* The table is missing or out of date: ask any node for it. At most once in 50 ms. */
    void (*refresh)(void *self);
};

/* Zeroes mean the defaults. */
struct stead_client_core_options {
    uint64_t seed;            /* of session ids, message ids and random choices: from the system's generator */
    uint32_t timeout_ms;      /* deadline of a request that names none: 30,000 */
    uint32_t retry_ms;        /* sent again after so long without an answer, doubling up to 8 times that: 1,000 */
    uint32_t in_flight_max;   /* requests at once: 8,192 */
    uint64_t session_ms_max;  /* receivers end a session at this age; renewed here at half of it: 24 h */
    uint32_t ended_above_max; /* requests that may end after one in flight before it counts as a straggler: 256 */
    struct stead_client_effects effects;
};

/* One request. Everything is borrowed and copied. */
struct stead_client_request {
    enum stead_message_type type; /* STEAD_SIGNAL, STEAD_CALL or STEAD_QUERY */
    struct stead_slice address;   /* `kind/key`; empty for a query to a node */
    struct stead_slice op;        /* or the name of a query */
    struct stead_slice args;      /* one msgpack object, or empty */
    uint32_t node;                /* queries without an address: the node asked, 0: any that is up or alive */
    bool fail_fast;               /* STEAD_EUNAVAILABLE as soon as the connection fails that it waits for unsent */
    uint32_t timeout_ms;          /* 0: the default */
    enum stead_class durability;
    struct stead_slice key; /* idempotency key; empty: none */
    uint64_t delay_ms;      /* signals; 0: none */
    uint64_t fence;         /* 0: none */
    void *context;          /* handed to `complete` */
};

/* Returned; `options` is borrowed for the call. */
struct stead_client_core *stead_client_core_create(const struct stead_client_core_options *options);
/* Frees everything without completing anything: see stead_client_core_cancel_all(). Nulls `*core`. */
void stead_client_core_destroy(struct stead_client_core **core);

/* Before each round: monotonic for deadlines and retries, wall for the deadlines that travel. */
void stead_client_core_set_now(struct stead_client_core *core, uint64_t mono_ns, uint64_t wall_ms);

/* Takes a request: 0, and `complete` will be called once, never inside this function. Refused here, with no completion:
 * STEAD_EADDRESS, STEAD_EARGUMENT (op name, key length, type), STEAD_EBUSY (pipeline full). */
int stead_client_core_submit(struct stead_client_core *core, const struct stead_client_request *request) STEAD_MUST_USE;
/* A tell: sent at once or when its peer is up, never again. STEAD_EADDRESS, STEAD_EARGUMENT, STEAD_EBUSY (too many wait
 * for their connection). */
int stead_client_core_tell(struct stead_client_core *core, struct stead_slice address, struct stead_slice op,
                           struct stead_slice args) STEAD_MUST_USE;

/* A record from a node; all but ANSWERs are ignored. Consumed. Answers to nothing that is in flight are dropped and
 * counted. */
void stead_client_core_deliver(struct stead_client_core *core, struct stead_message **message);
/* A newer table; held, not consumed. One that is not newer is ignored. */
void stead_client_core_set_table(struct stead_client_core *core, struct stead_table *table);
/* The newest, borrowed; NULL before the first. */
struct stead_table *stead_client_core_table(const struct stead_client_core *core);
/* A connection is open (again): everything unanswered there is sent (again), in the order of its numbers. */
void stead_client_core_peer_up(struct stead_client_core *core, uint32_t node, uint16_t reactor);
void stead_client_core_peer_down(struct stead_client_core *core, uint32_t node, uint16_t reactor);
/* No node can be reached: requests that were never sent complete with STEAD_EUNAVAILABLE (nothing was done); tells that
 * wait are dropped. */
void stead_client_core_unreachable(struct stead_client_core *core);
/* Completes every request with STEAD_ECANCELLED; their outcome is unknown. */
void stead_client_core_cancel_all(struct stead_client_core *core);

/* Sends again what is due, ends what is past its deadline. */
void stead_client_core_step(struct stead_client_core *core);
/* The monotonic time at which stead_client_core_step() has something to do; STEAD_CLIENT_NEVER. */
uint64_t stead_client_core_due(const struct stead_client_core *core);
/* Requests without an answer yet; tells that wait for a connection; of both, how many this reactor has. */
uint32_t stead_client_core_in_flight(const struct stead_client_core *core);
uint32_t stead_client_core_tells_waiting(const struct stead_client_core *core);
uint32_t stead_client_core_peer_pending(const struct stead_client_core *core, uint32_t node, uint16_t reactor);

/* Counts since the start. */
struct stead_client_counters {
    uint64_t submitted, completed, sent, resent, tells, tells_dropped;
    uint64_t answers_dropped; /* duplicates, and answers of requests that have ended */
    uint64_t refusals;        /* busy, not_owner, unavailable: went again */
    uint64_t sessions;        /* opened */
    uint64_t cancels;         /* jobs given up that were told so */
};
const struct stead_client_counters *stead_client_core_counters(const struct stead_client_core *core);
/* Asserts the invariants; for tests. Linear. */
void stead_client_core_check(const struct stead_client_core *core);

#endif
