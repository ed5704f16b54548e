/* SPDX-License-Identifier: Apache-2.0 */
/*
 * message: one decoded record, as it travels through the runtime.
 *
 * A message is one block of memory: this struct, then its texts and its payload. The wire form is net/codec.h's and
 * FORMATS' business; a message between agents of one process is never encoded. Groups whose bit in `groups` is not set
 * have undefined contents: look at the bit first.
 *
 * Ownership: exactly one owner; passed as `struct stead_message **` when consumed.
 * Threads: a message may be created on one thread and destroyed on another, never used by two.
 */
#ifndef STEAD_RUNTIME_MESSAGE_H
#define STEAD_RUNTIME_MESSAGE_H

#include "runtime/ids.h"
#include "stead/agent.h"
#include "stead/client.h"

#define STEAD_DELAY_MS_MAX (100ull * 366u * 24u * 3600u * 1000u) /* a century: beyond it is a mistake */

enum stead_message_type {
    STEAD_TELL = 1,   /* at most once */
    STEAD_SIGNAL = 2, /* exactly-once effect; acknowledged (ACK for channels, ANSWER for sessions) */
    STEAD_CALL = 3,   /* wants an ANSWER */
    STEAD_ANSWER =
        4, /* `id` is the request's; `status` 0 or a negative code; payload: the value, or {name,sentence,agent,op} */
    STEAD_ACK = 5,   /* channel group: `number` is the receiver's position; flag GAP asks to send again from there */
    STEAD_QUERY = 6, /* op: name of the query; answered by ANSWER; address: the agent asked about, or empty: the node */
    STEAD_HELLO = 7, /* first record of every connection, both ways between nodes; payload: map, see FORMATS */
    STEAD_WELCOME = 8,    /* the answer to HELLO; payload: the table */
    STEAD_TABLE = 9,      /* pushed when the receiver's table is older; payload: the table */
    STEAD_CANCEL = 10,    /* `id` is that of the call whose answer nobody waits for any more */
    STEAD_HEARTBEAT = 11, /* node to node, about once a second; payload: map {load, table} */
    STEAD_MESSAGE_TYPES   /* one past the last */
};

enum stead_message_groups { /* wire bits: never renumbered */
                            STEAD_GROUP_CHANNEL = 1 << 0,
                            STEAD_GROUP_SESSION = 1 << 1,
                            STEAD_GROUP_CLOCK = 1 << 2,
                            STEAD_GROUP_CAUSE = 1 << 3,
                            STEAD_GROUP_PRINCIPAL = 1 << 4,
                            STEAD_GROUP_FENCE = 1 << 5,
                            STEAD_GROUP_INCARNATION = 1 << 6,
                            STEAD_GROUP_TRACE = 1 << 7,
                            STEAD_GROUP_CODEC = 1 << 8,
                            STEAD_GROUP_ROUTE =
                                1
                                << 9, /* where the client's connection is; set by the reactor the request came in at */
                            STEAD_GROUP_DELAY = 1 << 10, /* a delayed signal */
                            STEAD_GROUP_KEY = 1 << 11,   /* idempotency key */
                            STEAD_GROUP_LIMITS = 1 << 12 /* of a job: when it must have begun, and ended */
};

enum stead_message_flags {                          /* wire bits */
                           STEAD_FLAG_GAP = 1 << 0, /* ACK: a gap was seen: send again from the position */
                           STEAD_FLAG_UNSEQUENCED =
                               1 << 1, /* SIGNAL, CALL, ANSWER without channel or session: may come twice */
                           STEAD_FLAG_RETRY = 1 << 2, /* sent before; for counting only */
                           STEAD_FLAG_JOB =
                               1 << 3, /* already placed: run this stateless request on the node it arrives at */
                           /* ANSWER: the request was not run, for the reason that the status tells: it may be asked
                            * again */
                           STEAD_FLAG_NOT_RUN = 1 << 4,
                           /* ANSWER, busy: what the request names as before it has not been taken */
                           STEAD_FLAG_EARLY = 1 << 5
};

struct stead_message {
    struct stead_message *next; /* the owner's own list */
    void *target;               /* the owner's own pointer (the agent already found), or NULL */
    uint64_t depends_on;        /* log index of the destination's shard that must commit before anything leaves */
    uint64_t address_hash;      /* stead_hash() of the destination address; 0: not known yet */
    uint64_t received_ns;       /* monotonic time of arrival; 0: made here */

    uint8_t type;       /* enum stead_message_type */
    uint8_t durability; /* enum stead_class asked for, or reached (ANSWER) */
    uint16_t flags;     /* enum stead_message_flags */
    uint32_t groups;    /* enum stead_message_groups */
    stead_slot source_slot;
    stead_slot slot;        /* destination */
    int32_t status;         /* ANSWER: 0 or a negative code */
    struct stead_id id;     /* unique per request; an ANSWER and a CANCEL carry the request's */
    uint64_t deadline_ms;   /* wall clock, ms since 1970; 0: none */
    uint64_t table_version; /* the sender's */

    /* lengths in bytes of what follows the struct, in this order; the three texts are followed by a zero each */
    uint16_t address_size; /* destination address; 0 for records to a session or a node */
    uint16_t source_size;  /* source address; 0: a client or a node */
    uint16_t op_size;
    uint16_t key_size; /* idempotency key (group KEY) */
    uint32_t payload_size;
    uint32_t block_size; /* bytes of the whole allocation: what mailboxes and queues account */
    uint16_t chain_size; /* behind the payload: stead_message_chain() */
    uint16_t ended_size; /* behind that: stead_message_ended() */
    uint64_t after;      /* SIGNAL, CALL of a session: its number that the agent takes before this; 0: none */
    const char *address; /* into this block, as the next four */
    const char *source;
    const char *op;
    const char *key;
    const uint8_t *payload;

    struct { /* CHANNEL; ACK uses `number` alone */
        struct stead_seq number, previous, trimmed;
    } channel;
    struct { /* SESSION */
        struct stead_id id;
        uint64_t start_ms; /* when the session was opened, wall clock */
        uint64_t number;   /* from 1 */
        uint64_t mark;     /* every number up to this one is answered and may be forgotten */
    } session;
    uint64_t clock; /* CLOCK: hybrid logical clock: ms << 16 | counter */
    struct {        /* CAUSE */
        struct stead_id root, parent;
        uint32_t depth; /* calls in a chain */
    } cause;
    struct stead_id principal; /* PRINCIPAL: of the original caller */
    uint64_t fence;            /* FENCE */
    uint64_t incarnation;      /* INCARNATION: of the agent that asked (ANSWER, a timer's run: that must get it) */
    struct {                   /* TRACE: W3C trace context */
        struct stead_id trace;
        uint64_t span;
        uint8_t flags;
    } trace;
    struct { /* CODEC of the payload; 0: msgpack, plain */
        uint8_t codec;
        uint32_t checksum;
    } codec;
    struct stead_route route;  /* ROUTE */
    uint64_t delay_ms;         /* DELAY: from the commit of the send */
    struct {                   /* LIMITS, ms; 0: none */
        uint32_t start_ms;     /* from when the node that runs it has the request */
        uint32_t run_ms;       /* from its beginning */
        uint32_t heartbeat_ms; /* from its beginning, or its newest heartbeat */
    } limits;
    bool placed; /* at its receiver, not sent: it took the place of its number in its session's order (order.h) */
};

/* Texts and payload of a message to be made; the bytes are copied. */
struct stead_message_parts {
    struct stead_slice address, source, op, key, payload;
    struct stead_slice chain; /* chain.h; calls alone */
    struct stead_slice ended; /* stead_message_ended() */
};

/* A message with its parts in place. The rest is zero, but for the fields of groups: undefined while it has not the
 * group. Returned: destroy it or pass it on. Never NULL. */
struct stead_message *stead_message_create(enum stead_message_type type, const struct stead_message_parts *parts);
/* A copy with everything, lists and target apart. */
struct stead_message *stead_message_copy(const struct stead_message *message);
/* The same with these bytes as its stead_message_ended(). */
struct stead_message *stead_message_copy_ended(const struct stead_message *message, struct stead_slice ended);
void stead_message_destroy(struct stead_message **message);

/* Small blocks kept for the next message: the allocator's own cache holds seven of a size, a mailbox holds thousands.
 * One a host, plain memory, one thread; the messages themselves may come from and go to any thread, pool or none.
 * Zeroed: empty. */
#define STEAD_MESSAGE_SMALL                                                                                            \
    512u /* bytes: every block has at least so many, and only those of exactly so many are kept */
#define STEAD_MESSAGE_POOL_MAX (4u * 1024u) /* blocks kept: 2 MiB */
struct stead_message_pool {
    struct stead_message *free; /* owned, linked by `next` */
    uint32_t count;             /* of those */
};
/* As stead_message_create() and _destroy(), through a pool. */
struct stead_message *stead_message_create_in(struct stead_message_pool *pool, enum stead_message_type type,
                                              const struct stead_message_parts *parts);
void stead_message_destroy_in(struct stead_message_pool *pool, struct stead_message **message);
/* A block to give to another pool, when this one has more than it needs soon; else NULL. Freed by
 * stead_message_pool_give(), or free(). */
void *stead_message_pool_spare(struct stead_message_pool *pool);
/* Consumes such a block. */
void stead_message_pool_give(struct stead_message_pool *pool, void *block);
/* Frees what the pool keeps. */
void stead_message_pool_deinit(struct stead_message_pool *pool);

/* The ANSWER to `request`, addressed to whoever asked: session and route are carried over, or the source becomes the
 * destination, and so are incarnation and trace. `error` is used when status is not 0, `value` when it is 0. Durability
 * is the one asked for: the sender sets what was reached. */
struct stead_answer_error {
    const char *name;     /* NULL: the code's own */
    const char *sentence; /* NULL: the code's own */
};
struct stead_message *stead_message_answer(const struct stead_message *request, int status,
                                           const struct stead_answer_error *error, struct stead_slice value);
/* The same, made in a block of the pool. */
struct stead_message *stead_message_answer_in(struct stead_message_pool *pool, const struct stead_message *request,
                                              int status, const struct stead_answer_error *error,
                                              struct stead_slice value);

/* A name for work by which what ended the process is known again when it is tried again: 128 bits of both texts. */
struct stead_id stead_subject_id(struct stead_slice subject, struct stead_slice detail);
/* Under which id a job is marked: its request's, or, for an agent's with an idempotency key, one that is the same for
 * each request of that key. */
struct stead_id stead_message_blame_id(const struct stead_message *request);

/* Is it the run of a timer? Whatever else has no source is a client's, or has a session. */
static inline bool stead_message_of_timer(const struct stead_message *m)
{
    return m->type == STEAD_SIGNAL && m->source_size == 0 && m->source_slot.v != STEAD_SLOT_SESSION;
}

/* The session of the client that says it; zero: an agent or a node does, or a client's TELL or CANCEL without one. */
static inline struct stead_id stead_message_client(const struct stead_message *m)
{
    bool has = m->source_slot.v == STEAD_SLOT_SESSION && (m->groups & STEAD_GROUP_SESSION);
    return has ? m->session.id : (struct stead_id){{0}};
}
/* May this CANCEL take back what was asked by `client` (as above)? Clients take back what they asked themselves, and
 * nobody guesses a session's id; nodes are trusted. */
static inline bool stead_message_may_cancel(const struct stead_message *cancel, struct stead_id client)
{
    struct stead_id says = stead_message_client(cancel);
    return cancel->source_slot.v != STEAD_SLOT_SESSION || (!stead_id_is_zero(says) && stead_id_equal(says, client));
}

static inline struct stead_slice stead_message_payload(const struct stead_message *m)
{
    return (struct stead_slice){m->payload, m->payload_size};
}

static inline struct stead_slice stead_message_chain(const struct stead_message *m)
{
    return (struct stead_slice){m->payload + m->payload_size, m->chain_size};
}

/* What a request tells of its session beyond the mark, for the receiver's slot: (u64 ended_to, u64 open *): every
 * number up to `ended_to` has ended but for the open ones, which are above the mark and ascend. Empty: nothing. */
#define STEAD_MESSAGE_OPEN_MAX 1024u /* open numbers */
static inline struct stead_slice stead_message_ended(const struct stead_message *m)
{
    return (struct stead_slice){m->payload + m->payload_size + m->chain_size, m->ended_size};
}
/* Are these such bytes, for this mark? */
bool stead_message_ended_check(struct stead_slice ended, uint64_t mark);

#endif
