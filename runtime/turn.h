/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turn: one run of one op of one agent, from the message to the open batch.
 *
 *   begin -> (init) -> op runs, effects are collected -> commit: state, events, keyed state, timers, messages, answer and the taking
 *                                             |          of the message join the open batch together
 *                                             `--------> fail: all of it is dropped; the answer alone stays
 *
 * The public functions of agent.h (turn_*.c) only collect; nothing of a turn touches the shard before it has succeeded.
 * Every limit is checked while collecting, so a commit cannot be refused.
 *
 * One turn at a time per host; its memory is the host's arena, reused.
 */
#ifndef STEAD_RUNTIME_TURN_H
#define STEAD_RUNTIME_TURN_H

#include "runtime/activation.h"
#include "runtime/overlay.h"
#include "runtime/timers.h"

struct stead_host;

/* Memory that is given back all at once. */
struct stead_arena_block {
    struct stead_arena_block *next;
    size_t size;
    _Alignas(16) uint8_t data[];
};
struct stead_arena {
    struct stead_arena_block *first; /* kept between turns */
    struct stead_arena_block *more;  /* made in this turn, freed at its end */
    size_t used;                     /* bytes of the block in use */
};
void *stead_arena_alloc(struct stead_arena *arena, size_t size);
void stead_arena_reset(struct stead_arena *arena);
void stead_arena_deinit(struct stead_arena *arena);

/* A call made in the turn: what must be kept until its answer. */
struct stead_turn_call {
    struct stead_turn_call *next;
    struct stead_message *message; /* in turn->out */
    const char *reply_op;          /* "": nobody wants the answer */
    struct stead_slice context;
    bool cancelled; /* in the turn that made it: it is not sent at all */
};

/* A pending call of an earlier turn that nobody wants the answer of any more. */
struct stead_turn_cancel {
    struct stead_turn_cancel *next;
    struct stead_id id;
};

struct stead_turn_event {
    struct stead_turn_event *next;
    const char *name;
    struct stead_slice value;
};

/* An answer to a token. */
struct stead_turn_answer {
    struct stead_turn_answer *next;
    struct stead_id token;
    int status;
    const char *name, *sentence;
    struct stead_slice value;
};

enum stead_turn_cause { STEAD_CAUSE_MESSAGE, STEAD_CAUSE_TIMER, STEAD_CAUSE_REPLY };

struct stead_turn {
    struct stead_shard *shard;
    struct stead_agent *agent;
    struct stead_message *message; /* what caused it; owned by whoever runs the turn */
    const struct stead_op *op;
    struct stead_arena *arena;
    bool read_only; /* the op may not write */
    bool quiet;     /* its promises and timers are volatile */
    bool unwritten; /* a quiet op's turn that has changed nothing stored: as a read-only one */
    bool wrote;     /* something was collected that a read-only op may not */
    bool goes_on;   /* in another turn of its agent (stead_pause()) */
    bool replied;
    bool later; /* a token was taken */
    bool deferred;
    bool destroyed;
    uint32_t poison_kills; /* stead_poison_kills() */
    struct stead_id mark;  /* under which it is marked, unless it works for a subject */
    bool mark_lasts;       /* that is no message's */
    bool hold, release;    /* lock changes to commit */
    bool broken;           /* an API function failed in a way that must fail the turn */
    int fail_code;         /* of `broken` */
    uint64_t fence;        /* to send with */
    uint64_t new_fence;    /* of `hold` */
    const char *holder;    /* of `hold` */
    struct stead_slice reply;
    const char *fail_name, *fail_sentence; /* given by stead_fail(); NULL: the code's own */
    struct stead_id token;                 /* of `later` */
    uint32_t effects;                      /* counted against turn_effects_max */
    uint64_t effect_bytes;                 /* against turn_bytes_max */
    struct stead_queue out;                /* messages to send, in order */
    struct stead_turn_call *calls, *calls_tail;
    struct stead_turn_cancel *cancels;
    struct stead_turn_event *events, *events_tail;
    uint32_t event_count;
    struct stead_turn_answer *answers, *answers_tail;
    struct stead_timer_request *timers, *timers_tail;
    struct stead_overlay *kv; /* this turn's keyed writes, or NULL; keys are full row keys */
    int reply_code;           /* reply ops: how the call ended, and its words */
    const char *reply_name, *reply_sentence;
    bool reply_not_run;
    struct stead_slice context;
};

/* Runs one turn of a READY agent for `message` (borrowed). The op, which must exist, is the message's, but `op` where
 * that is not NULL (reply ops). What the message was taken from (a channel position, a due row, a parked row) is the
 * caller's to move, in the same open batch. */
struct stead_turn_input {
    const struct stead_op *op; /* found already, or another than the message's; NULL: message->op by name */
    enum stead_turn_cause cause;
    int reply_code; /* cause REPLY */
    const char *reply_name, *reply_sentence;
    bool reply_not_run;
    struct stead_slice args;         /* used when cause is not MESSAGE */
    const struct stead_id *known_as; /* it counts against this when it ends the process; NULL: against its message */
    struct stead_slice context;
    bool taken; /* channel and session were dealt with when it was parked */
};
#define STEAD_TURN_DEFERRED 1 /* the op put its message back: nothing was taken */
/* 0; the negative status of a failed turn; or STEAD_TURN_DEFERRED. */
int stead_turn_run(struct stead_agent *agent, struct stead_message *message, const struct stead_turn_input *input);
/* A round of turns took so long. Not every turn is timed; after a round that was slow each is, for a while, so that the
 * slow one is named. */
void stead_turn_note_round(struct stead_host *host, uint64_t took_ns);

/* Under which id the turn of a reply op is marked: the call's own names the callee's turn, which may run on the same
 * host. */
struct stead_id stead_turn_reply_id(struct stead_id id);

/* Pieces of the commit, one file each. */
void stead_turn_commit_messages(struct stead_turn *turn);
void stead_turn_answer(struct stead_turn *turn, int status);
/* Counts one effect of `bytes`; STEAD_ELIMIT, and the turn will fail. */
int stead_turn_count(struct stead_turn *turn, size_t bytes) STEAD_MUST_USE;
/* The same for what is volatile whatever the agent: it does not make a quiet turn a writing one. */
int stead_turn_count_volatile(struct stead_turn *turn, size_t bytes) STEAD_MUST_USE;
/* A write in a read-only op, or another call that must fail the turn; returns `code`. */
int stead_turn_break(struct stead_turn *turn, int code);

#endif
