/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agents: write one by describing a *kind*, that is a struct of state, a field table that says how
 * to store it, and named ops that run as turns.
 *
 *     struct counter { int64_t value; };
 *
 *     static int add(struct stead_turn *turn, void *state, struct stead_slice args)
 *     {
 *         struct counter *counter = state;
 *         int64_t by = 1;
 *         if (stead_get_i64(args, "by", &by) == STEAD_EARGUMENT)
 *             return stead_fail(turn, "bad_by", "by must be an integer");
 *         counter->value += by;
 *         return stead_reply(turn, stead_packed(turn, "l", counter->value));
 *     }
 *
 * A turn is atomic: state, events, keyed state, messages, timers, the reply and the consumption of the
 * message that caused it commit together or not at all. An op that returns a negative code leaves
 * nothing but that answer. A turn may not block, wait, read a clock, start a thread or keep global state: the
 * time is stead_now_ms(), randomness is stead_random(). Waiting is a reply op, a timer or an orchestration.
 *
 * Thread rules: an op runs on the reactor that owns its agent, one turn of an agent at a time; a job runs on a job
 * thread and may block. A turn handle is valid until the op returns. Slices handed to an op live as long.
 */
#ifndef STEAD_AGENT_H
#define STEAD_AGENT_H

#include "stead/value.h"

#ifdef __cplusplus
extern "C" {
#endif

#define STEAD_ABI 2u /* raised when struct stead_kind or a callback changes incompatibly */

#define STEAD_KIND_NAME_MAX 63 /* bytes: [a-z][a-z0-9_.-]{0,62} */
#define STEAD_KEY_MAX 512      /* bytes of UTF-8, no control characters */
#define STEAD_ADDRESS_MAX (STEAD_KIND_NAME_MAX + 1 + STEAD_KEY_MAX)
#define STEAD_OP_NAME_MAX 63    /* bytes: [a-z_][a-z0-9_.-]* */
#define STEAD_TIMER_NAME_MAX 63 /* bytes */

struct stead_turn; /* one run of one op of one agent */
struct stead_job;  /* one run of an op of a stateless kind, on a job thread */

/* ---- State: the field table ----------------------------------------------------------------- */

enum stead_field_type {
    STEAD_FIELD_BOOL, /* bool */
    STEAD_FIELD_I8,
    STEAD_FIELD_I16,
    STEAD_FIELD_I32,
    STEAD_FIELD_I64,
    STEAD_FIELD_U8,
    STEAD_FIELD_U16,
    STEAD_FIELD_U32,
    STEAD_FIELD_U64,
    STEAD_FIELD_F64,    /* double */
    STEAD_FIELD_TEXT,   /* char[size], terminated by a zero */
    STEAD_FIELD_BUFFER, /* struct stead_buffer: bytes of any size, owned by the state */
    STEAD_FIELD_STRUCT, /* a nested struct with a field table of its own */
    STEAD_FIELD_LIST    /* an inline array of structs with a uint32_t count beside it */
};

/* Bytes of any length inside a state; freed with the activation, and counted against the node's memory until then. Set
 * only with stead_buffer_set(). */
struct stead_buffer {
    uint8_t *data; /* owned by the state */
    uint32_t size; /* bytes */
    uint32_t capacity;
};

struct stead_field {
    const char *name; /* stored under this name; unknown stored names are ignored */
    const char *was;  /* an older name that is read too, or NULL */
    enum stead_field_type type;
    uint32_t offset;                  /* bytes from the start of the struct */
    uint32_t size;                    /* bytes of the member; of one element for a list */
    uint32_t count_offset;            /* list: where its uint32_t count lies */
    uint32_t capacity;                /* list: elements that fit */
    const struct stead_field *fields; /* struct, list: the nested table, ended by a NULL name */
};

#define STEAD_FIELD(kind_of, type, member)                                                                             \
    {                                                                                                                  \
#member, NULL, STEAD_FIELD_##kind_of, (uint32_t)offsetof(type, member), (uint32_t)sizeof(((type *)0)->member), \
            0, 0, NULL                                                                                                 \
    }
#define STEAD_FIELD_WAS(kind_of, type, member, old_name)                                                               \
    {                                                                                                                  \
#member, old_name, STEAD_FIELD_##kind_of, (uint32_t)offsetof(type, member),                                    \
            (uint32_t)sizeof(((type *)0)->member), 0, 0, NULL                                                          \
    }
#define STEAD_FIELD_NESTED(type, member, table)                                                                        \
    {                                                                                                                  \
#member, NULL, STEAD_FIELD_STRUCT, (uint32_t)offsetof(type, member), (uint32_t)sizeof(((type *)0)->member), 0, \
            0, table                                                                                                   \
    }
#define STEAD_FIELD_ARRAY(type, member, count_member, table)                                                           \
    {                                                                                                                  \
#member, NULL, STEAD_FIELD_LIST, (uint32_t)offsetof(type, member), (uint32_t)sizeof(((type *)0)->member[0]),   \
            (uint32_t)offsetof(type, count_member),                                                                    \
            (uint32_t)(sizeof(((type *)0)->member) / sizeof(((type *)0)->member[0])), table                            \
    }
#define STEAD_FIELDS_END                                                                                               \
    {                                                                                                                  \
        NULL, NULL, STEAD_FIELD_BOOL, 0, 0, 0, 0, NULL                                                                 \
    }

/* Copies `bytes` (borrowed; they may be a part of the buffer) into a buffer of a state, which owns the copy. Only in
 * a turn or an apply function of the state's agent. More than 4 GiB is a programming error; the image's limit is
 * checked when the turn ends. */
STEAD_PUBLIC void stead_buffer_set(struct stead_buffer *buffer, struct stead_slice bytes);
/* The bytes; borrowed until the buffer is set again or the turn ends. */
STEAD_PUBLIC struct stead_slice stead_buffer_get(const struct stead_buffer *buffer);

/* ---- Kinds ---------------------------------------------------------------------------------- */

/* Runs one turn. `state` is the agent's struct (NULL for a kind without state). 0, or a negative
 * code (best: the result of stead_fail()), which undoes the turn and is the answer. */
typedef int stead_op_fn(struct stead_turn *turn, void *state, struct stead_slice args);

/* Runs one job of a stateless kind on a job thread; may block. 0 or a negative code, as above. */
typedef int stead_job_fn(struct stead_job *job, struct stead_slice args);

/* Applies an event to the state: pure, no turn, called when emitted, again on a copy of the bytes that the state had
 * before that turn, and again at every recovery, so it may depend on nothing but its arguments, keeps to the fields,
 * and must read the events of every version that was ever stored. 0, or a negative code, which fails the turn. */
typedef int stead_apply_fn(void *state, const char *event, struct stead_slice value);

/* Runs beside the turns, on the agent's reactor: builds or frees what the field table does not store. It may change
 * nothing that is stored. */
typedef void stead_hook_fn(void *state);

enum stead_op_flags {
    /* Writes nothing: may be asked again, is not journaled. */
    STEAD_OP_READ_ONLY = 1,
    /* Durable kinds: may write, but a turn of it that changes nothing stored is as a read-only one: not journaled, no
     * sync. So its promises (stead_reply_later) and timers are volatile: gone when the node is, and the caller, who
     * asks again, runs it anew. They keep the agent in memory. What the field table does not name may change: it lasts
     * as long. */
    STEAD_OP_QUIET = 2,
    /* Gives back more than it writes, as it destroys its agent or deletes keys: a client's request for it is taken at
     * the disk quota too, where others are refused. */
    STEAD_OP_FREES = 4,
    /* Durable kinds: nobody is in a hurry for its effects. They are stored, and it is answered, with what the shard
     * stores next, 20 ms later at most: so it costs no sync of its own, and no other waits behind that. Turns of the
     * agent that come meanwhile see them, and hurry as ever. */
    STEAD_OP_PATIENT = 8
};

/* Ops that every durable and volatile kind has, unless its own table names them:
 *   stead.hold     {holder}: holds the agent for that address (without one: the sender) as stead_hold() does, and
 *                  answers the fencing number (u64). A call that finds it held waits its turn.
 *   stead.release  {fence}: stead_release(); a fence that is not the current one is fine: nothing happens.
 * A kind's own op may not begin with `stead.` otherwise. */
#define STEAD_OP_HOLD "stead.hold"
#define STEAD_OP_RELEASE "stead.release"

struct stead_op {
    const char *name;  /* the table ends with a NULL name */
    stead_op_fn *run;  /* agents: the turn */
    stead_job_fn *job; /* stateless kinds: the job */
    uint32_t flags;    /* enum stead_op_flags */
    const char *help;  /* one line, or NULL */
};

enum stead_durability {
    STEAD_DURABLE,  /* journaled; survives any crash */
    STEAD_VOLATILE, /* long-lived and addressable, gone with its node */
    STEAD_STATELESS /* no agent at all: each call is a job on some node that has what it needs */
};

enum stead_kind_flags {
    /* Volatile kinds: may be unloaded, with loss, for memory or idleness. */
    STEAD_KIND_FORGETTABLE = 1,
    /* Stateless kinds: a call from an agent may start before the commit of the turn that makes it, on that agent's
     * node (if it has the label); so it may run for a turn that, after a crash, never was. */
    STEAD_KIND_IDEMPOTENT = 2,
    /* Durable kinds: a message whose turn has ended the process too often is given to its op once more, which asks
     * stead_poison_kills(), and not set aside at once. */
    STEAD_KIND_TAKES_POISON = 4,
    /* Durable kinds: a read of keyed state that fails does not fail the turn by itself. The op is told, and may go on
     * without it: keep what came, and read again in another turn. What a scan has shown before is not all. */
    STEAD_KIND_TAKES_UNREAD = 8
};

struct stead_kind {
    uint32_t abi;         /* STEAD_ABI */
    uint32_t struct_size; /* sizeof(struct stead_kind) */
    const char *name;     /* [a-z][a-z0-9_.-]{0,62} */
    const char *help;     /* one line, or NULL */
    enum stead_durability durability;
    uint32_t flags;          /* enum stead_kind_flags */
    uint32_t state_size;     /* bytes; 0: no struct state */
    uint32_t snapshot_every; /* events between snapshots; 0: the default, 100 */
    uint32_t idle_ms_max;    /* unloaded after so long without a turn; 0: the node's setting */
    uint32_t reserved;
    const struct stead_field *fields; /* how the state is stored, ended by STEAD_FIELDS_END; NULL: not at all */
    const struct stead_op *ops;       /* ended by a NULL name */
    stead_op_fn *init;                /* gives a new agent its first state (zeroed before), or NULL */
    stead_apply_fn *apply;            /* needed by kinds that emit events */
    /* After the state was decoded, or NULL. When it has ended the process three times, or `apply` has while the agent
     * was loaded, the agent cannot be read until the node has been stopped cleanly; an `on_unload` that does so is left
     * out as long. */
    stead_hook_fn *on_load;
    stead_hook_fn *on_unload; /* before the activation is freed, or NULL */
    const char *needs;        /* a label that the serving node must have, or NULL: a placement group */
};

/* A module is a shared object with this symbol: a NULL-terminated list of its kinds. */
#define STEAD_MODULE_SYMBOL "stead_module"
struct stead_module {
    uint32_t abi; /* STEAD_ABI */
    const struct stead_kind *const *kinds;
};
/* STEAD_MODULE(&counter_kind, &account_kind) at the end of a module's file. */
#define STEAD_MODULE(...)                                                                                              \
    static const struct stead_kind *const stead_module_kinds[] = {__VA_ARGS__, NULL};                                  \
    STEAD_PUBLIC extern const struct stead_module stead_module;                                                        \
    const struct stead_module stead_module = {STEAD_ABI, stead_module_kinds}

/*
 * What all functions of a turn have in common:
 *
 *   Threads: called inside the op (or init) that was given `turn`, on its thread, before it returns. Nothing blocks;
 *   only keyed state reads the disk.
 *   Ownership: texts and slices that are passed in are borrowed and copied; those that come back are borrowed until the
 *   op returns.
 *   Errors: a function that returns a code has then done nothing, and the op may go on. Exceptions fail the turn
 *   whatever the op returns: STEAD_ELIMIT (over the effects or bytes of one turn), STEAD_EREADONLY (a write, or a
 *   message, from a read-only op), and what is marked "fails the turn". Every function that collects something can
 *   return these two; it is not repeated.
 *   Memory: out of it, the process stops.
 */

/* ---- A turn: who, when ---------------------------------------------------------------------- */

/* The agent's own address, `kind/key`, and its key alone. */
STEAD_PUBLIC const char *stead_self(const struct stead_turn *turn);
STEAD_PUBLIC const char *stead_self_key(const struct stead_turn *turn);
/* The address of the agent that sent the message, in a reply op of the one that answered; "" for a client, a timer, a
 * call that timed out. */
STEAD_PUBLIC const char *stead_sender(const struct stead_turn *turn);
/* Milliseconds since 1970, the same for the whole turn; never goes back on one reactor. It is the time in the
 * journal. */
STEAD_PUBLIC int64_t stead_now_ms(const struct stead_turn *turn);
/* Nanoseconds of the node's monotonic clock (on Linux: since the machine started), the same for the whole turn: for
 * volatile kinds, to measure with and to notice that the node itself is late. A durable kind never keeps it. */
STEAD_PUBLIC uint64_t stead_monotonic_ns(const struct stead_turn *turn);
/* 64 random bits: good for choosing and spreading, not for secrets. */
STEAD_PUBLIC uint64_t stead_random(struct stead_turn *turn);
/* Which life of this address this is: from 1, +1 at each destroy. */
STEAD_PUBLIC uint64_t stead_incarnation(const struct stead_turn *turn);
/* 0; or, for kinds with STEAD_KIND_TAKES_POISON, how often the process has died in a turn of this same message when
 * that is too often: the op takes it without what may have killed the process. When that turn kills as often again, the
 * message is set aside as any other: a dead letter with the error `poison`. */
STEAD_PUBLIC uint32_t stead_poison_kills(const struct stead_turn *turn);
/* From here on the turn does the work of `subject`, a text that is the same whenever that work is tried (empty: its own
 * again). A death of the process in it counts against the subject, not against the turn's message: for agents, volatile
 * ones too, whose turns run code of many others, taken from somewhere that gives it out again. The node's log names it
 * (the first 100 bytes). */
STEAD_PUBLIC void stead_blame(struct stead_turn *turn, struct stead_slice subject);
/* 0; or how often this node's process has died in turns that did the subject's work, when that is too often (three
 * times, as for stead_poison_kills()): it is done without what may have killed the process. */
STEAD_PUBLIC uint32_t stead_blamed(const struct stead_turn *turn, struct stead_slice subject);
/* The name of the node that runs the turn: for display, never for decisions. */
STEAD_PUBLIC const char *stead_node_name(const struct stead_turn *turn);

/* ---- A turn: memory ------------------------------------------------------------------------- */

/* This turn was one part of long work, which goes on in another turn of the same agent (a signal to itself): its
 * reactor looks at its sockets and at its other shards before that, and at what else has come for this one. One agent
 * of a reactor whose work goes on so is not unloaded for want of memory. */
STEAD_PUBLIC void stead_pause(struct stead_turn *turn);
/* The agent keeps so many bytes beside its state, which its on_unload frees: they count against the node's memory until
 * it says otherwise, or is unloaded. */
STEAD_PUBLIC void stead_carry(struct stead_turn *turn, size_t bytes);

/* `size` bytes of zeroed memory until the turn ends, aligned for any type. Never NULL. */
STEAD_PUBLIC void *stead_turn_alloc(struct stead_turn *turn, size_t size);
/* One value by the format of stead_pack() (value.h), in the turn's memory. A malformed format stops the process. */
STEAD_PUBLIC struct stead_slice stead_packed(struct stead_turn *turn, const char *format, ...);
/* printf into the turn's memory: %s %.*s %c %d %u %ld %lu %lld %llu %zu %x %.2f %% and widths with zero fill. */
STEAD_PUBLIC const char *stead_printed(struct stead_turn *turn, const char *format, ...) STEAD_PRINTF(2, 3);

/* ---- A turn: its answer --------------------------------------------------------------------- */

/* Answers the call; leaves with the turn's commit. Without one the caller gets nil; the last one counts; a message
 * that asks for no answer (tell, signal, timer, the answer in a reply op) makes it mean nothing. Returns 0, so
 * `return stead_reply(...)` ends an op. STEAD_ETOOLARGE over the payload limit (1 MiB; a setting)
 * and STEAD_EARGUMENT for what is not one value fail the turn. */
STEAD_PUBLIC int stead_reply(struct stead_turn *turn, struct stead_slice value);

/* Gives the turn's failure a name ([a-z_]+ by custom) and a sentence of the op's own; returns STEAD_EFAILED, which
 * the op must return: this alone fails nothing. A caller gets both. A signal (also a client's, which is answered with
 * them), a delayed one, a timer's turn or a reply op of a durable agent becomes a dead letter besides; a tell is
 * gone. */
STEAD_PUBLIC int stead_fail(struct stead_turn *turn, const char *name, const char *format, ...)
    STEAD_PRINTF(3, 4) STEAD_MUST_USE;

/* A promise to answer in a later turn. Plain data: keep it in the state (a TEXT field of STEAD_TOKEN_SIZE). It survives
 * unload, crash and move, works once, and is answered with STEAD_EDESTROYED when the agent is destroyed. */
#define STEAD_TOKEN_SIZE 33
struct stead_token {
    char text[STEAD_TOKEN_SIZE]; /* 32 hexadecimal digits and a zero */
};
/* Takes the duty to answer from this turn: what it replies besides means nothing. STEAD_ESTATE when the message is
 * not a call, or was replied to already in this turn. A volatile kind can do it too; its promise lives as long as the
 * agent, and keeps it in memory. */
STEAD_PUBLIC int stead_reply_later(struct stead_turn *turn, struct stead_token *ret_token) STEAD_MUST_USE;
/* Answers it (one that this very turn took, too) with the commit of this turn: a value, or a failure (STEAD_EFAILED
 * with a name and a sentence; NULL: the code's own). STEAD_ENOTFOUND when it is no token that this incarnation of the
 * agent owes, or is answered already; STEAD_ETOOLARGE; STEAD_EARGUMENT: not one value. A caller that gave up meanwhile
 * is no error. */
STEAD_PUBLIC int stead_answer(struct stead_turn *turn, const struct stead_token *token, struct stead_slice value);
STEAD_PUBLIC int stead_answer_error(struct stead_turn *turn, const struct stead_token *token, const char *name,
                                    const char *sentence);

/* ---- A turn: messages ----------------------------------------------------------------------- */

/* Messages are collected and leave with the commit, in the order of the calls; a failed turn sends nothing. `args` is
 * one value, or empty. All of them return 0, STEAD_EADDRESS, STEAD_EARGUMENT (an op's name that can be none, or
 * `args` that are not one value), or STEAD_ETOOLARGE (`args` over the payload limit). Whether the receiver's kind and
 * op exist is found there: a call is answered with the error, a signal to an op that is not there becomes a dead
 * letter of its receiver, and a signal from a durable agent to a kind that is loaded nowhere waits on disk until it
 * is. */

/* At most once, lowest latency; delivery is not reported. */
STEAD_PUBLIC int stead_tell(struct stead_turn *turn, const char *address, const char *op, struct stead_slice args);

/* Exactly-once effect, in order per channel (from this agent's slot to the receiver's). To a stateless kind: at least
 * once. From a volatile agent: while it lives; STEAD_EBUSY, and nothing is said, when its receiver's mailbox is full or
 * too much of what such agents said is not taken yet; not in the turn of another agent's message. The turn may go on
 * without it. A durable agent's is always taken. */
STEAD_PUBLIC int stead_signal(struct stead_turn *turn, const char *address, const char *op, struct stead_slice args);
/* Travels at once, waits `delay_ms` with the receiver, from its commit there; late after a downtime, never lost; gone
 * when the receiver is destroyed. STEAD_EARGUMENT below 0 and above a century; STEAD_EBUSY as above. */
STEAD_PUBLIC int stead_signal_after(struct stead_turn *turn, const char *address, const char *op,
                                    struct stead_slice args, int64_t delay_ms);

/* A call that was made: plain data, to cancel it with. It may be stored. */
struct stead_call_id {
    uint8_t bytes[16];
};
#define STEAD_TIMEOUT_NEVER INT64_MAX /* waits for the answer as long as it takes */
struct stead_call_options {
    const char *reply_op;           /* the caller's op that gets the answer; required */
    struct stead_slice context;     /* handed to the reply op; at most 64 KiB */
    int64_t timeout_ms;             /* 0: the node's default, 30 s; the reply op then gets STEAD_ETIMEOUT */
    struct stead_call_id *ret_call; /* its id; NULL: not wanted */
    /* As a client's: up to 128 bytes, scope: the address, kept 24 h; NULL: none. Stateless kinds run the job all the
     * same, but know one that ended its process by it: after three times it is answered with STEAD_EPOISON. */
    const char *idempotency_key;
    /* stateless kinds: STEAD_ETIMEOUT when the job has not begun so long after the call (a volatile agent's: after its
     * node has the request); 0: none */
    uint32_t start_timeout_ms;
    /* stateless kinds: STEAD_ETIMEOUT when it runs so long; the job is told (stead_job_cancelled); 0: none */
    uint32_t run_timeout_ms;
    /* stateless kinds: the same when it runs so long without stead_job_heartbeat(); 0: none */
    uint32_t heartbeat_timeout_ms;
};
/* Answer or error by a deadline, as a turn of `reply_op`: its args are the answer's value (nothing when the call
 * failed). Blocks nobody: the agent goes on with other messages. STEAD_EARGUMENT also for a context over 64 KiB or no
 * reply op, STEAD_EOP when this kind has no such op, STEAD_EDEPTH when the chain of calls that led here is too long
 * (64, a setting): fails the turn. STEAD_ETIMEOUT in the reply op means that the outcome is unknown. */
STEAD_PUBLIC int stead_call(struct stead_turn *turn, const char *address, const char *op, struct stead_slice args,
                            const struct stead_call_options *options);
/* Nobody wants the answer any more: no reply op will run, and the callee is told as far as it can still matter (a job
 * sees stead_job_cancelled(), a call that still waits in a mailbox is dropped). Leaves with the commit.
 * STEAD_ENOTFOUND: not a pending call of this agent. */
STEAD_PUBLIC int stead_call_cancel(struct stead_turn *turn, const struct stead_call_id *call);
/* Sends what follows in this turn (tell, signal, call) with a lock's fencing number, so that the held agent lets it
 * pass; 0 ends it. */
STEAD_PUBLIC void stead_send_with_fence(struct stead_turn *turn, uint64_t fence);

/* In a reply op: 0, or the code with which the call failed; its name and sentence ("" when it did not). */
STEAD_PUBLIC int stead_reply_code(const struct stead_turn *turn);
STEAD_PUBLIC const char *stead_reply_error_name(const struct stead_turn *turn);
STEAD_PUBLIC const char *stead_reply_error_sentence(const struct stead_turn *turn);
/* In a reply op: the call failed and its op was certainly not run, for want of room, of its kind, of a node, or of a
 * disk that can be read: it may be made again. False says nothing. (What the op itself answers may have the same
 * codes.) */
STEAD_PUBLIC bool stead_reply_not_run(const struct stead_turn *turn);
/* In a reply op: the context that the call was made with, else empty. */
STEAD_PUBLIC struct stead_slice stead_call_context(const struct stead_turn *turn);

/* ---- A turn: events ------------------------------------------------------------------------- */

/* Applies the event to the state now and stores it instead of a state image (a state that is also changed beside the
 * events is stored whole). Every failure fails the turn: STEAD_ESTATE (the kind has no apply, or no state),
 * STEAD_EARGUMENT (a name of 1 to 63 bytes, one value), what apply returned. */
STEAD_PUBLIC int stead_emit(struct stead_turn *turn, const char *event, struct stead_slice value) STEAD_MUST_USE;

/* ---- A turn: keyed state -------------------------------------------------------------------- */

/* An ordered map of the agent's own, of any size: keys of 1 to 512 bytes, any bytes, in their order; values of any
 * bytes up to 1 MiB (both settings). A turn reads its own writes; a failed turn leaves none. For durable kinds:
 * STEAD_ESTATE for others. STEAD_EARGUMENT: an empty key; STEAD_ETOOLARGE; reads besides: STEAD_EIO, STEAD_ECORRUPT,
 * which fail the turn unless the kind has STEAD_KIND_TAKES_UNREAD. A put replaces; deleting what is not there is
 * fine. */
STEAD_PUBLIC int stead_kv_put(struct stead_turn *turn, struct stead_slice key, struct stead_slice value);

/* The same, for a key that this agent has never put before and, once it is deleted, never puts again (one with a number
 * of its own): if it is deleted soon, the store's image never hears of it. A key of which that is not true may come
 * back after its delete. */
STEAD_PUBLIC int stead_kv_put_once(struct stead_turn *turn, struct stead_slice key, struct stead_slice value);
/* STEAD_ENOTFOUND when there is no such key; `ret_value` is borrowed until the turn ends. */
STEAD_PUBLIC int stead_kv_get(struct stead_turn *turn, struct stead_slice key,
                              struct stead_slice *ret_value) STEAD_MUST_USE;
/* Deletes one key. */
STEAD_PUBLIC int stead_kv_delete(struct stead_turn *turn, struct stead_slice key);
/* Deletes from <= key < to (an empty `from`: from the first; an empty `to`: to the end), at most `limit` keys, each
 * an effect of the turn. `ret_count`, how many, may be NULL. */
STEAD_PUBLIC int stead_kv_delete_range(struct stead_turn *turn, struct stead_slice from, struct stead_slice to,
                                       uint32_t limit, uint32_t *ret_count);
/* Visits from <= key < to (an empty `from`: from the first; an empty `to`: to the end) in order until `visit` returns
 * non-zero or `limit` keys were seen; `visit` may not write. Slices are valid during the visit only. 0 also when the
 * visit ended it. */
typedef int stead_kv_visit_fn(void *context, struct stead_slice key, struct stead_slice value);
STEAD_PUBLIC int stead_kv_scan(struct stead_turn *turn, struct stead_slice from, struct stead_slice to, uint32_t limit,
                               stead_kv_visit_fn *visit, void *context);

/* ---- A turn: timers ------------------------------------------------------------------------- */

/* Named and durable (of a volatile kind: volatile, and as long as one stands the agent stays in memory); setting a
 * name again replaces it, in whatever way it was set. The op runs with `args`, never early, and late after a
 * downtime; if it fails, the run is a dead letter and a periodic timer goes on. Names: 1 to 63 bytes.
 * STEAD_EARGUMENT: the name, a delay below 0, a period below 1 ms, no op, args that are not one value; STEAD_EOP:
 * this kind has no such op; STEAD_ETOOLARGE. */
STEAD_PUBLIC int stead_timer_after(struct stead_turn *turn, const char *name, int64_t delay_ms, const char *op,
                                   struct stead_slice args);
/* Every `period_ms` from now on, first after one period. Periods that pass while nobody can run them become one run:
 * while the node is down, and while a run waits because the agent is held or the op has put it back. */
STEAD_PUBLIC int stead_timer_every(struct stead_turn *turn, const char *name, int64_t period_ms, const char *op,
                                   struct stead_slice args);

enum stead_catch_up {
    STEAD_CATCH_UP_ONE,  /* after a downtime: one run for all that were missed */
    STEAD_CATCH_UP_ALL,  /* every missed run, in order; behind one that waits, within a minute of its end */
    STEAD_CATCH_UP_NONE, /* only runs that are still to come, and one that waits */
};
struct stead_cron {
    /* five fields: minute hour day-of-month month day-of-week; names, ranges, lists, steps; at most 1,000 bytes */
    const char *schedule;
    const char *zone; /* IANA name such as "Europe/Berlin", at most 100 bytes; NULL: UTC */
    enum stead_catch_up catch_up;
};
/* As the two above, at the moments of a schedule. STEAD_EARGUMENT also: no such schedule or zone,
 * or it names no moment at all (30 February). */
STEAD_PUBLIC int stead_timer_cron(struct stead_turn *turn, const char *name, const struct stead_cron *cron,
                                  const char *op, struct stead_slice args);
/* Takes a timer away; a run of it that waits stays. STEAD_ENOTFOUND when none of that name is set. */
STEAD_PUBLIC int stead_timer_cancel(struct stead_turn *turn, const char *name);

/* ---- A turn: lifecycle and locks ------------------------------------------------------------ */

/* Ends this incarnation with this turn: state, keyed state, timers, delayed signals and pending calls are gone,
 * promised answers are STEAD_EDESTROYED. What this turn and earlier ones sent still goes, its answer too. Messages
 * that wait stay, a delayed signal whose time has come among them, and so do dead letters; runs of timers that wait do
 * not. The next message begins a new life, with init. */
STEAD_PUBLIC int stead_destroy(struct stead_turn *turn);

/* Holds this agent for `holder`: until the release every message waits, in order, in the mailbox, but the holder's
 * and those that carry the fence. The fencing number is above every earlier one of this agent; the holder that holds
 * again, in another turn, gets a new one. STEAD_ELOCKED when held by another or by this turn already, STEAD_EADDRESS
 * when `holder` is no address. Survives unload and crash; `stead unlock` breaks it. */
STEAD_PUBLIC int stead_hold(struct stead_turn *turn, const char *holder, uint64_t *ret_fence) STEAD_MUST_USE;
/* Ends the hold; what waited runs. STEAD_ESTATE when `fence` is not the current one: it was broken or released, or this
 * very turn has made it. */
STEAD_PUBLIC int stead_release(struct stead_turn *turn, uint64_t fence);
/* Puts the message of this turn back at the end of the agent's mailbox: it runs again, once the agent's next other
 * turn has committed. Returns 0; the op must then return 0 and have collected nothing else (STEAD_ESTATE as the
 * turn's failure); its change of the state is dropped. Fails the turn in a reply op: an answer is taken when it
 * comes. */
STEAD_PUBLIC int stead_defer(struct stead_turn *turn);

/* Writes a line to the node's log, at once, whether the turn succeeds or not. */
STEAD_PUBLIC void stead_log(struct stead_turn *turn, const char *format, ...) STEAD_PRINTF(2, 3);

/* ---- A job (stateless kinds) ---------------------------------------------------------------- */

/* Threads: as long as the op runs, from its thread or those it has started and joined. Slices and texts as in a turn.
 *
 * The job's answer; the last one counts. STEAD_EARGUMENT: not one value; STEAD_ETOOLARGE: over 32 MiB. */
STEAD_PUBLIC int stead_job_reply(struct stead_job *job, struct stead_slice value);
/* As stead_fail(): the op must return what it returns. Names are cut to 63 bytes, sentences to 511. */
STEAD_PUBLIC int stead_job_fail(struct stead_job *job, const char *name, const char *format, ...)
    STEAD_PRINTF(3, 4) STEAD_MUST_USE;
/* True once the caller has cancelled, its deadline has passed, or the node stops: return soon. Cheap enough for a
 * loop. */
STEAD_PUBLIC bool stead_job_cancelled(const struct stead_job *job);
/* Says that the job is alive: puts its heartbeat timeout off. Where the caller is an agent whose kind has an op
 * `heartbeat`, that op is told {call: id, details}, at most ten times a second: best effort. `details` is one value or
 * empty. Cheap. STEAD_ECANCELLED: return soon (as stead_job_cancelled()); STEAD_EARGUMENT, STEAD_ETOOLARGE (over 64
 * KiB). */
STEAD_PUBLIC int stead_job_heartbeat(struct stead_job *job, struct stead_slice details);
/* The address that was called, `kind/key`: the key means what the kind wants it to mean. */
STEAD_PUBLIC const char *stead_job_self(const struct stead_job *job);
/* The name of the node it runs on. */
STEAD_PUBLIC const char *stead_job_node_name(const struct stead_job *job);
/* As stead_packed(); borrowed until the op returns. */
STEAD_PUBLIC struct stead_slice stead_job_packed(struct stead_job *job, const char *format, ...);

#ifdef __cplusplus
}
#endif
#endif
