/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sequential objects of the linearizability checker: what an agent would be if it were a struct behind one lock.
 * Each is the specification of a workload kind (kinds.c), written a second time, as simply as can be.
 */
#include <string.h>

#include "tests/sim/linearizability.h"

static bool shows(const struct stead_lin_op *op, int64_t out)
{
    return !op->answered || op->out == out;
}

static bool step_counter(void *state, const struct stead_lin_op *op)
{
    int64_t *value = state;

    if (op->kind == STEAD_LIN_COUNTER_ADD)
        *value += op->in[0];
    return shows(op, *value);
}

static bool step_register(void *state, const struct stead_lin_op *op)
{
    int64_t *value = state;
    int64_t before = *value;

    switch (op->kind) {
    case STEAD_LIN_REGISTER_WRITE:
        *value = op->in[0];
        return shows(op, before);
    case STEAD_LIN_REGISTER_SWAP:
        if (before == op->in[0])
            *value = op->in[1];
        return shows(op, before == op->in[0]);
    default:
        return shows(op, before);
    }
}

static bool step_account(void *state, const struct stead_lin_op *op)
{
    int64_t *balance = state;

    if (op->kind == STEAD_LIN_ACCOUNT_DEPOSIT)
        *balance += op->in[0];
    if (op->kind == STEAD_LIN_ACCOUNT_WITHDRAW) {
        if (*balance < op->in[0])
            return shows(op, -1);
        *balance -= op->in[0];
    }
    return shows(op, *balance);
}

/* Elements in order from the front; free places are zero, so equal queues are equal bytes. */
struct queue {
    int64_t count;
    int64_t elements[STEAD_LIN_QUEUE_MAX];
};

static int64_t pop_front(struct queue *queue)
{
    int64_t front = queue->elements[0];

    queue->count--;
    memmove(queue->elements, queue->elements + 1, (size_t)queue->count * sizeof(int64_t));
    queue->elements[queue->count] = 0;
    return front;
}

static bool step_queue(void *state, const struct stead_lin_op *op)
{
    struct queue *queue = state;

    if (op->kind == STEAD_LIN_QUEUE_PUSH) {
        if (queue->count == STEAD_LIN_QUEUE_MAX)
            return false;
        queue->elements[queue->count++] = op->in[0];
        return shows(op, queue->count);
    }
    if (queue->count == 0)
        return op->kind == STEAD_LIN_QUEUE_POP && shows(op, -1);
    return shows(op, pop_front(queue));
}

const struct stead_lin_model stead_lin_counter = {"counter", sizeof(int64_t), NULL, step_counter};
const struct stead_lin_model stead_lin_register = {"register", sizeof(int64_t), NULL, step_register};
const struct stead_lin_model stead_lin_account = {"account", sizeof(int64_t), NULL, step_account};
const struct stead_lin_model stead_lin_queue = {"queue", sizeof(struct queue), NULL, step_queue};
