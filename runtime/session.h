/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session: what makes the requests of clients (and of volatile agents) exactly-once in effect.
 *
 * A session is (id, start). Its requests are numbered; each carries the low-water mark: every number up to it is
 * answered and known to be. While a few numbers take longer than thousands behind them, requests tell these open
 * numbers too, and up to where every other one has ended. The receiver's slot keeps every answered number that has not
 * ended, with the answer, in one row written in the commit of the effect; an answer over SESSION_INLINE_MAX bytes has a
 * row of its own. At its bound new requests get `busy`: nothing is evicted; so they do at as many places in the
 * order (order.h). A session ends whole, at a fixed age from
 * its start.
 *
 *            new number                 turn commits                  has ended
 *   (absent) ----------> RUNNING ------------------------> ANSWERED -------------> (absent)
 *                           `--- op keeps a token --> OWED ---^
 *
 * Invariants: S1 a number's effect is in the same entry as its answer (or its debt); S2 no
 * number is forgotten before it or the session has ended; S3 an ended session executes nothing; S4 a request that
 * names another as before it is taken after that, or after that has ended; that one then is not taken any more; S5
 * requests and places are bounded.
 *
 * Called by the shard that owns the slot, on its thread.
 */
#ifndef STEAD_RUNTIME_SESSION_H
#define STEAD_RUNTIME_SESSION_H

#include "runtime/message.h"
#include "runtime/order.h"

struct stead_shard;

#define STEAD_SESSION_INLINE_MAX 256u /* bytes of an answer kept in the session's row */

enum stead_request_state {
    STEAD_REQUEST_RUNNING, /* waits in a mailbox: known in memory only */
    STEAD_REQUEST_OWED,    /* taken; a later turn answers through a token */
    STEAD_REQUEST_ANSWERED
};

struct stead_request {
    uint64_t number;
    uint64_t index;           /* entry that holds the answer or the debt; 0: volatile or long stored */
    struct stead_id token;    /* OWED */
    struct stead_route route; /* RUNNING: newest connection that asked */
    uint8_t *value;           /* ANSWERED: payload; owned; NULL: empty, or in a row of its own */
    uint32_t size;            /* bytes of the payload */
    int32_t status;           /* ANSWERED */
    uint8_t state;            /* enum stead_request_state */
    uint8_t durability;       /* class reached */
    bool stored;              /* belongs into the row; false for volatile receivers and RUNNING */
    bool own_row;             /* the payload is an ANSWER row */
    bool gone;                /* ANSWERED: of a volatile agent, when there was no room for it */
};

struct stead_session {
    struct stead_session *dirty_next; /* list of the shard */
    struct stead_id id;
    uint64_t hash; /* of id and slot */
    uint64_t start_ms;
    uint64_t mark;                   /* every number up to this one has ended */
    uint64_t ended_to;               /* and every one up to this, but the open ones; at least the mark */
    uint64_t *open;                  /* above the mark and up to ended_to, ascending; owned */
    uint32_t open_count;             /* of them, at most STEAD_MESSAGE_OPEN_MAX */
    uint64_t forgotten_to;           /* answers of volatile agents up to this number may have been forgotten here */
    uint64_t value_bytes;            /* of the values of its requests */
    uint64_t bytes;                  /* of all that, as counted in host->session_bytes */
    uint64_t used_ms;                /* monotonic ms of the newest request */
    struct stead_order order;        /* of its requests to each agent */
    uint64_t trimmed_ms;             /* monotonic ms when it was looked for places that are over */
    uint64_t running_from;           /* none below it is RUNNING */
    struct stead_request *requests;  /* by number, ascending; owned */
    uint32_t first, count, capacity; /* live: requests[first .. first + count) */
    stead_slot slot;
    bool dirty; /* changed in the open batch: the row must be written */
    bool has_row;
};

enum stead_session_verdict {
    STEAD_SESSION_NEW,      /* run it; `ret_session` is where its answer goes */
    STEAD_SESSION_ANSWERED, /* the first answer was sent again */
    STEAD_SESSION_ATTACHED, /* it is being run: the answer will go to the newest connection */
    STEAD_SESSION_LATE,     /* the same, but it may change nothing any more: later ones to its agent were taken */
    STEAD_SESSION_STALE,    /* it has ended: nobody waits for it; dropped */
    STEAD_SESSION_REFUSED   /* busy, session expired, or the store failed: an answer was sent */
};

/* Decides about a request with a session group; sends what answers are due. Forgets what the client says has ended. */
enum stead_session_verdict stead_session_judge(struct stead_shard *shard, struct stead_message *request,
                                               struct stead_session **ret_session);
/* The session of a request that was judged NEW; NULL for a message without session. */
struct stead_session *stead_session_of(struct stead_shard *shard, const struct stead_message *request);
/* The same, read from its row when it is not in memory: for an answer that comes after a restart, or long after its
 * request. */
struct stead_session *stead_session_load(struct stead_shard *shard, const struct stead_message *request);

/* The request waits in a mailbox. */
void stead_session_running(struct stead_shard *shard, struct stead_session *session,
                           const struct stead_message *request);
/* The request's turn kept a token. */
void stead_session_owed(struct stead_shard *shard, struct stead_session *session, const struct stead_message *request,
                        struct stead_id token);
/* Its answer (both borrowed), in the open batch if `stored`. */
void stead_session_answered(struct stead_shard *shard, struct stead_session *session,
                            const struct stead_message *request, const struct stead_message *answer, bool stored);
/* Where the newest retry of a waiting request came in; false: none is known. */
bool stead_session_route(const struct stead_session *session, uint64_t number, struct stead_route *ret_route);
/* A request that was let in is refused for the time being: those that follow it are, until it comes again. One that was
 * let in late is in nobody's way. */
void stead_session_turned_away(struct stead_session *session, const struct stead_message *request);
/* A waiting request is dropped without an answer being kept (refused, expired). */
void stead_session_forget(struct stead_session *session, uint64_t number);

/* At the end of a batch: the rows of changed sessions. */
void stead_session_batch_end(struct stead_shard *shard);
/* Forgets idle sessions from memory, ends over-aged ones whole. */
void stead_session_sweep(struct stead_shard *shard);
/* Asserts that what is counted is there; the bytes of all of it. */
uint64_t stead_sessions_check(const struct stead_shard *shard);
/* Frees every session in memory; their rows stay. */
void stead_sessions_deinit(struct stead_shard *shard);

#endif
