/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proposer: what the two files of the volatile half of a rank share (proposer.c: who leads; proposals.c: what is
 * proposed).
 */
#ifndef STEAD_AGENTS_PROPOSER_H
#define STEAD_AGENTS_PROPOSER_H

#include "agents/consensus.h"

#define STEAD_PROPOSER_NS_PER_MS 1000000u
#define STEAD_PROPOSER_TABLE STEAD_CONSENSUS_OPEN_MAX
#define STEAD_PROPOSER_ASKS 64u       /* proposals of clients of one proposer at once */
#define STEAD_PROPOSER_BACKOFF_MAX 6u /* patience doubles up to so often */
#define STEAD_PROPOSER_TRIES_MAX 3u   /* the wait for a vote doubles up to so often */
#define STEAD_PROPOSER_RESEND_MAX 8u  /* slots sent again in one tick */

enum stead_proposer_phase {
    STEAD_PROPOSER_ASLEEP,
    STEAD_PROPOSER_WAKING,
    STEAD_PROPOSER_FOLLOWING,
    STEAD_PROPOSER_CAMPAIGNING,
    STEAD_PROPOSER_LEADING,
    STEAD_PROPOSER_SILENT
};

/* A command: copied, so that it outlives its turn. */
struct stead_proposer_command {
    char id[STEAD_CONSENSUS_ID_SIZE]; /* "": a no-op */
    uint32_t size;                    /* of the value, bytes */
    uint8_t value[STEAD_CONSENSUS_VALUE_MAX];
};

/* One open slot of a leader; while it campaigns, the value with the highest ballot that a promise told. */
struct stead_proposer_slot {
    uint64_t slot;   /* 0: free */
    uint64_t ballot; /* at which it was accepted, of a promise */
    uint64_t votes;  /* bit of each rank that accepted it at the present ballot */
    uint64_t vias;   /* bit of each rank whose proposer waits for the outcome */
    uint64_t due_ns; /* then its accepts are sent again */
    uint32_t
        tries; /* how often they were, TRIES_MAX at most: each doubles the wait, so that slow members are not buried */
    bool decided;
    struct stead_proposer_command command;
};

/* A proposal of a client of this proposer. */
struct stead_proposer_ask {
    bool used;
    bool again; /* it may be in the log already */
    uint64_t asked_ns;
    uint64_t sent_ns; /* forwarded last, 0: not yet */
    char token[STEAD_TOKEN_SIZE];
    struct stead_proposer_command command;
};

struct stead_proposer {
    uint32_t phase; /* enum stead_proposer_phase */
    uint32_t members, rank;
    uint32_t leader; /* rank that led when last heard; 0: unknown */
    uint32_t ping_ms, silence_ms, answer_ms;
    struct stead_carrier fabric;
    uint64_t ballot;                                     /* of the own campaign or lead */
    uint64_t seen;                                       /* highest ballot heard of */
    uint64_t heard_ns, looked_ns, asked_ns, patience_ns; /* as in election.c */
    uint64_t promises;                                   /* bit of each rank that promised `ballot` */
    uint64_t longest;                                    /* chosen prefix among them */
    uint32_t longest_rank;                               /* who has it */
    uint64_t base;                                       /* decided when the lead began */
    uint64_t decided;                                    /* contiguous prefix that is */
    uint64_t next;                                       /* first slot not proposed */
    uint32_t backoff;                                    /* campaigns of late: each doubles patience and answer time */
    uint64_t rests;   /* told to rest, this often: what was asked of its member before is out of date */
    uint32_t calm;    /* signs of life since the last of them, or since one was forgotten */
    bool starved;     /* an own client's proposal found the window full */
    uint64_t learned; /* chosen prefix of its own member, as last told */
    uint64_t campaigns, decisions, messages, late,
        resent;                    /* counted since the reset; messages: taken from other ranks */
    uint64_t leader_ns, silent_ns; /* moments: it began to lead; was told to fall silent */
    struct stead_proposer_slot slots[STEAD_PROPOSER_TABLE]; /* slot n at n % STEAD_PROPOSER_TABLE */
    struct stead_proposer_ask asks[STEAD_PROPOSER_ASKS];
};

/* ---- proposer.c: results as stead_tell()'s --------------------------------------------------- */

/* A rank's bit in a set of ranks; whether such a set is more than half of the group. */
uint64_t stead_proposer_bit(uint32_t rank);
bool stead_proposer_majority(const struct stead_proposer *proposer, uint64_t ranks);
/* Copies a command; false: it is too long. */
bool stead_proposer_set(struct stead_proposer_command *command, struct stead_slice id, struct stead_slice value);
/* Sends over the group's fabric. */
int stead_proposer_send(struct stead_turn *turn, struct stead_proposer *proposer, const char *kind, uint32_t rank,
                        const char *op, struct stead_slice args);
/* The rank that speaks in a message; 0: to be ignored. Counts what comes from others. */
uint32_t stead_proposer_speaker(struct stead_proposer *proposer, struct stead_slice args);
/* Calls its own member. */
int stead_proposer_call(struct stead_turn *turn, const char *op, struct stead_slice args, const char *reply_op,
                        struct stead_slice context);
/* Asks its member what it is, if it sleeps; anything may be the first that a new life hears. */
int stead_proposer_wake(struct stead_turn *turn, struct stead_proposer *proposer);

/* ---- proposals.c ---------------------------------------------------------------------------- */

/* As leader: asks every member to accept one slot. */
int stead_proposer_send_slot(struct stead_turn *turn, struct stead_proposer *proposer,
                             struct stead_proposer_slot *slot);
/* As leader: sends again what is due. */
int stead_proposer_resend(struct stead_turn *turn, struct stead_proposer *proposer);
/* Forwards own clients' proposals that were not yet, or long ago; gives up what nobody waits for. */
int stead_proposer_drive(struct stead_turn *turn, struct stead_proposer *proposer);
/* Ops of the kind. */
int stead_proposer_propose(struct stead_turn *turn, void *state, struct stead_slice args);
int stead_proposer_forward(struct stead_turn *turn, void *state, struct stead_slice args);
int stead_proposer_outcome(struct stead_turn *turn, void *state, struct stead_slice args);
int stead_proposer_found(struct stead_turn *turn, void *state, struct stead_slice args);
int stead_proposer_accepted(struct stead_turn *turn, void *state, struct stead_slice args);

#endif
