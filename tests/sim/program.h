/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program: random orchestrations, and what must come of them.
 *
 *     seed --generate--> a small tree of awaits --+--> program_run.c: the orchestrator `sim.program` does it with stead
 *                                                 +--> program_reference.c: the outcome, computed without stead
 *
 * The tree is never stored: the input of an instance names its seed, so that every execution grows the same tree again.
 * A number, the accumulator, runs through the tree; each step mixes its result into it, so that the output tells
 * whether every result was taken once and in its place. Effects on agents have ids that follow from the place in the
 * tree, the rounds of continue-as-new and the children on the way (the path).
 *
 * Where the outcome of a step depends on a race, what it mixes in does not depend on the winner, and its effects may be
 * there once or not at all.
 *
 * Threads: none of this shares anything but `stead_program_hooks`.
 */
#ifndef STEAD_SIM_PROGRAM_H
#define STEAD_SIM_PROGRAM_H

#include "stead/orchestration.h"

#define STEAD_PROGRAM_NODES_MAX 96u
#define STEAD_PROGRAM_FAN_MAX 6u          /* tasks of one all-of or any-of */
#define STEAD_PROGRAM_VAULTS 3u           /* agents that are locked */
#define STEAD_PROGRAM_TALLIES 4u          /* agents that count effects */
#define STEAD_PROGRAM_NEVER_MS 7200000    /* timers that must be cancelled: longer than any run */
#define STEAD_PROGRAM_NAME "sim.program"  /* the orchestrator */
#define STEAD_PROGRAM_WORK "sim.work"     /* activity: a function of its input */
#define STEAD_PROGRAM_SWIFT "sim.swift"   /* the same, declared idempotent */
#define STEAD_PROGRAM_FLAKY "sim.flaky"   /* activity: the first runs fail */
#define STEAD_PROGRAM_BROKEN "sim.broken" /* activity: fails always */
#define STEAD_PROGRAM_DICE "sim.dice"     /* activity: answers something else each time it runs */
#define STEAD_PROGRAM_TALLY "sim.tally"   /* agent: `add`, `refuse`, `remember`, and the signal `note` */
#define STEAD_PROGRAM_VAULT "sim.vault"   /* agent: `get` and `put` inside a critical section */
#define STEAD_PROGRAM_EFFECTS_MAX 4096u

enum stead_program_type {
    /* Tasks: may stand in all-of and any-of. */
    STEAD_PROGRAM_DO,      /* activity */
    STEAD_PROGRAM_RETRY,   /* activity that succeeds at its attempt `a` at the latest */
    STEAD_PROGRAM_BREAK,   /* activity that fails `a` times, then for good */
    STEAD_PROGRAM_SLEEP,   /* timer of `a` ms */
    STEAD_PROGRAM_EVENT,   /* external event, sent by a client */
    STEAD_PROGRAM_CHILD,   /* sub-orchestration of the subtree, `a` rounds; `b`: with an id of its own */
    STEAD_PROGRAM_CALL,    /* call of tally `a` */
    STEAD_PROGRAM_REFUSE,  /* call of tally `a` that fails */
    STEAD_PROGRAM_FOREVER, /* any-of and forgotten tasks only: never ends by itself; `a`: event, timer or child */
    STEAD_PROGRAM_TASKS,
    /* Statements. */
    STEAD_PROGRAM_SEQUENCE = STEAD_PROGRAM_TASKS,
    STEAD_PROGRAM_ALL,    /* all-of */
    STEAD_PROGRAM_SURE,   /* any-of: the first finishes, the others never would */
    STEAD_PROGRAM_RACE,   /* any-of: whoever */
    STEAD_PROGRAM_CATCH,  /* a failure below becomes a number */
    STEAD_PROGRAM_LOCK,   /* a critical section over the vaults of the bits in `a`; below: what happens inside */
    STEAD_PROGRAM_FORGET, /* begins a task and never looks at it again */
    STEAD_PROGRAM_SIGNAL, /* signal to tally `a` */
    STEAD_PROGRAM_LATE,   /* event that never comes, `a` ms */
    STEAD_PROGRAM_MAYBE,  /* event that a client sends, `a` ms */
    STEAD_PROGRAM_THROW,  /* the dice, remembered twice by tally `a` */
    STEAD_PROGRAM_EFFECT, /* a side effect, remembered twice by tally `a` */
    STEAD_PROGRAM_CHANCE, /* a random number and a UUID, remembered twice by tally `a` */
    STEAD_PROGRAM_CLOCK,  /* a timer of `a` ms between two looks at the clock */
    STEAD_PROGRAM_STATUS, /* custom status */
    STEAD_PROGRAM_SELF,   /* two events of one name, sent to itself, then awaited; `b`: `a` ms later */
    STEAD_PROGRAM_TALK,   /* child that sends its parent an event first */
    STEAD_PROGRAM_FAIL,   /* fails by itself */
    STEAD_PROGRAM_TYPES
};

struct stead_program_node {
    uint8_t type;   /* enum stead_program_type */
    uint16_t first; /* first node below; 0: none */
    uint16_t next;  /* next one beside it; 0: the last */
    uint32_t a, b;
};

struct stead_program {
    struct stead_program_node nodes[STEAD_PROGRAM_NODES_MAX]; /* 0 is the root */
    uint32_t count;
    uint32_t rounds; /* of the root: 1 and more */
};

/* The tree of a seed. */
void stead_program_generate(struct stead_program *program, uint64_t seed);
/* One line a node, for a trace: calls `line` in the tree's order. */
void stead_program_print(const struct stead_program *program, void (*line)(void *context, const char *text),
                         void *context);

/* ---- What an instance is given ---------------------------------------------------------------- */

struct stead_program_input {
    uint64_t seed;   /* of the tree */
    uint64_t path;   /* of the instance: its effects have ids of their own */
    uint64_t total;  /* the accumulator so far */
    uint64_t talks;  /* id of the event that it sends to its parent at its start; 0: none */
    uint32_t root;   /* node that it runs */
    uint32_t round;  /* from 0 */
    uint32_t rounds; /* in all */
};
void stead_program_input_write(struct stead_writer *writer, const struct stead_program_input *input);
int stead_program_input_read(struct stead_slice value, struct stead_program_input *ret_input) STEAD_MUST_USE;
/* The input of the root instance. */
struct stead_program_input stead_program_start(const struct stead_program *program, uint64_t seed, uint64_t instance);

/* ---- Functions that both sides know ----------------------------------------------------------- */

/* A number of 53 bits that depends on both. */
uint64_t stead_program_mix(uint64_t a, uint64_t b);
/* The id of what a node does in this round of this instance. */
uint64_t stead_program_id(const struct stead_program_input *input, uint32_t node);
/* The path of a child. */
uint64_t stead_program_child_path(const struct stead_program_input *input, uint32_t node);
/* What activities and agents answer. */
uint64_t stead_program_result(uint64_t id, uint64_t x);
/* What an event carries. */
uint64_t stead_program_event_value(uint64_t id);
/* The error name of a node that fails. */
const char *stead_program_error(uint32_t node);
/* What a caught failure of this name mixes in. */
uint64_t stead_program_error_value(const char *name);
/* What a critical section adds to a vault. */
uint64_t stead_program_share(uint64_t id);
/* The name of an event: `letter` and a number. */
#define STEAD_PROGRAM_TEXT_SIZE 64
void stead_program_event_name(char ret_name[STEAD_PROGRAM_TEXT_SIZE], char letter, uint64_t id);

/* ---- The reference ------------------------------------------------------------------------------ */

enum stead_program_sort { STEAD_PROGRAM_AT_TALLY, STEAD_PROGRAM_AT_VAULT };
struct stead_program_effect {
    uint64_t id;
    uint32_t sort; /* enum stead_program_sort */
    uint32_t agent;
    uint32_t least, most; /* how often it is there */
};

struct stead_program_outcome {
    bool failed;
    const char *error; /* name of the failure; "" */
    uint64_t output;
    bool has_status;
    uint64_t status; /* custom status, when one was set in the last round */
    /* The last execution's history: activities scheduled, completed, failed; least and most. */
    uint32_t scheduled[2], completed[2], failures[2];
    uint32_t effect_count;
    struct stead_program_effect
        effects[STEAD_PROGRAM_EFFECTS_MAX]; /* of all rounds and children; ids may come twice: their counts add up */
};
void stead_program_reference(const struct stead_program *program, const struct stead_program_input *input,
                             struct stead_program_outcome *ret_outcome);
/* The events that clients must send to the root instance, in any order. A round's names are its own. */
typedef void stead_program_event_fn(void *context, const char *name, uint64_t value);
void stead_program_events(const struct stead_program *program, const struct stead_program_input *input,
                          stead_program_event_fn *visit, void *context);

/* ---- The orchestrator ---------------------------------------------------------------------------- */

/* What the code of the program asks its surroundings; all must be set. */
struct stead_program_hooks {
    void (*broken)(const char *instance, const char *what); /* something that can never be */
    void (*entered)(const char *instance);                  /* an execution begins or is replayed */
    uint64_t (*chance)(void);                               /* something else each time: for the side effect */
    bool (*differs)(const char *instance); /* is its code another one now than what its history was made with? */
};
extern struct stead_program_hooks stead_program_hooks; /* set before the first run; one at a time */
extern const struct stead_orchestrator stead_program_orchestrator;

#endif
