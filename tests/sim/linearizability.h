/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linearizability: is there one order of a history's operations that a sequential object could have shown?
 *
 * A history is a set of operations, each with the moment it was invoked, the moment it returned, its input and its
 * output. It is linearizable (Herlihy and Wing 1990) when every operation can be given one instant between its two
 * moments such that a sequential object, run in the order of those instants, gives exactly the outputs seen. An
 * operation whose outcome is unknown (a timeout) may take its instant at any time after its invocation, or never.
 *
 * Pure; any thread. Used by the simulator for the history of each agent and by its own unit test.
 */
#ifndef STEAD_SIM_LINEARIZABILITY_H
#define STEAD_SIM_LINEARIZABILITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STEAD_LIN_NEVER UINT64_MAX /* `returned` of an operation that never returned */
#define STEAD_LIN_STATE_BYTES_MAX 320u

struct stead_lin_op {
    uint64_t invoked;  /* any clock, the same for the whole history */
    uint64_t returned; /* STEAD_LIN_NEVER: the outcome is unknown, and it may never take effect */
    int kind;          /* the model's own */
    int64_t in[2];     /* the model's own */
    int64_t out;       /* what it returned, when `answered` */
    bool answered; /* false: it has taken effect (or may have, when it never returned), but its output was not seen */
};

/* A sequential object. States are compared as bytes: padding must stay zero. */
struct stead_lin_model {
    const char *name;
    size_t state_size; /* bytes, at most STEAD_LIN_STATE_BYTES_MAX */
    /* Starts from zeroed memory; NULL: zero is the first state. */
    void (*init)(void *state);
    /* Runs `op` on the state and changes it; false when the object could not have given op->out (only asked when
     * op->answered), or could not run the op at all in this state. */
    bool (*step)(void *state, const struct stead_lin_op *op);
};

enum stead_lin_verdict {
    STEAD_LIN_YES,
    STEAD_LIN_NO,
    STEAD_LIN_UNDECIDED /* more configurations than allowed */
};

/* Searches (Wing and Gong 1993) with memory of the configurations seen (Lowe 2017). `ops` in any order; borrowed.
 * `ret_stuck` (may be NULL): with NO, the index of the operation that no order could get past, in the longest order
 * found. */
enum stead_lin_verdict stead_lin_check(const struct stead_lin_model *model, const struct stead_lin_op *ops,
                                       uint32_t count, uint64_t configurations_max, uint32_t *ret_stuck);

/* ---- Models --------------------------------------------------------------------------------- */

enum stead_lin_counter_op {
    STEAD_LIN_COUNTER_ADD, /* in[0]: by; out: the value after */
    STEAD_LIN_COUNTER_GET  /* out: the value */
};
extern const struct stead_lin_model stead_lin_counter;

enum stead_lin_register_op {
    STEAD_LIN_REGISTER_WRITE, /* in[0]: the value; out: the value before */
    STEAD_LIN_REGISTER_READ,  /* out: the value */
    STEAD_LIN_REGISTER_SWAP   /* in[0]: expected, in[1]: the value; out: 1 when it was swapped, else 0 */
};
extern const struct stead_lin_model stead_lin_register;

enum stead_lin_account_op {
    STEAD_LIN_ACCOUNT_DEPOSIT,  /* in[0]: amount; out: the balance after */
    STEAD_LIN_ACCOUNT_WITHDRAW, /* in[0]: amount; out: the balance after, -1 when refused */
    STEAD_LIN_ACCOUNT_BALANCE   /* out: the balance */
};
extern const struct stead_lin_model stead_lin_account;

#define STEAD_LIN_QUEUE_MAX 32u /* elements in the queue model */
enum stead_lin_queue_op {
    STEAD_LIN_QUEUE_PUSH, /* in[0]: the element; out: elements after */
    STEAD_LIN_QUEUE_POP,  /* out: the element, -1: empty */
    STEAD_LIN_QUEUE_TAKE  /* out: the element; waits while the queue is empty */
};
extern const struct stead_lin_model stead_lin_queue;

#endif
