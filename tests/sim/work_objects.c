/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agents that are plain objects, called by clients alone: a counter, a register, an account and a queue. Their
 * histories must be linearizable: what a crash, a retry, an unload, a stale image or a turn that failed and left
 * something behind could change shows up as an answer that no order of the requests explains. The auditor's last read
 * belongs to the history.
 *
 * Amounts are large random numbers, so that a value says which requests made it.
 */
#include "tests/sim/work.h"

#define AGENTS 3u

static const char *address_of(const struct stead_workload *workload, uint32_t agent, char *text)
{
    stead_format(text, 48, "%s/%s%u", workload->kinds[0]->name, workload->name, agent);
    return text;
}

static void read_out(struct stead_sim *sim, struct stead_sim_op *op, struct stead_slice value)
{
    /* A signal's acknowledgement has no value. */
    if (value.size > 0 && stead_peek(&(struct stead_reader){value.data, value.data + value.size}) != STEAD_NIL &&
        stead_get_i64(value, NULL, &op->out) != 0)
        stead_world_fail(&sim->world, "the answer to request %u is no number", op->number);
}

/* ---- Counter ---------------------------------------------------------------------------------------- */

struct counter {
    int64_t value;
};

static int add(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct counter *counter = state;
    int64_t by = 0;

    if (stead_get_i64(args, "by", &by) != 0)
        return stead_fail(turn, "bad_by", "by must be an integer");
    counter->value += by;
    return stead_reply(turn, stead_packed(turn, "l", counter->value));
}

static int get(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    return stead_reply(turn, stead_packed(turn, "l", ((struct counter *)state)->value));
}

/* Changes the state and then fails: nothing of it may stay. */
static int spoil(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    ((struct counter *)state)->value += 1000000007;
    return stead_fail(turn, "spoilt", "this op always fails");
}

enum { COUNTER_SPOIL = 10, COUNTER_ADD_SIGNAL = 11 };

static const struct stead_field counter_fields[] = {STEAD_FIELD(I64, struct counter, value), STEAD_FIELDS_END};
static const struct stead_op counter_ops[] = {{.name = "add", .run = add},
                                              {.name = "get", .run = get, .flags = STEAD_OP_READ_ONLY},
                                              {.name = "spoil", .run = spoil},
                                              {0}};
static const struct stead_kind counter_kind = {.abi = STEAD_ABI,
                                               .struct_size = sizeof(struct stead_kind),
                                               .name = "counter",
                                               .state_size = sizeof(struct counter),
                                               .fields = counter_fields,
                                               .ops = counter_ops};

static void issue_counter(struct stead_sim *sim, struct stead_sim_client *client)
{
    uint64_t luck = stead_world_below(&sim->world, 10);
    int verb = luck < 4   ? STEAD_LIN_COUNTER_ADD
               : luck < 5 ? COUNTER_ADD_SIGNAL
               : luck < 9 ? STEAD_LIN_COUNTER_GET
                          : COUNTER_SPOIL;
    struct stead_sim_op *op =
        stead_sim_op_new(sim, client, &stead_work_counter, verb, (uint32_t)stead_world_below(&sim->world, AGENTS));
    char address[48];

    if (op == NULL)
        return;
    address_of(op->workload, op->agent, address);
    op->in[0] = 1 + (int64_t)stead_world_below(&sim->world, 1u << 30);
    if (verb == STEAD_LIN_COUNTER_GET)
        stead_sim_op_pack(sim, op, STEAD_CALL, address, "get", "n");
    else if (verb == COUNTER_SPOIL)
        stead_sim_op_pack(sim, op, STEAD_CALL, address, "spoil", "n");
    else
        stead_sim_op_pack(sim, op, verb == COUNTER_ADD_SIGNAL ? STEAD_SIGNAL : STEAD_CALL, address, "add", "{s:l}",
                          "by", op->in[0]);
}

static bool make_counter_op(const struct stead_sim_op *op, uint32_t agent, struct stead_lin_op *ret_op)
{
    if (op->agent != agent || op->verb == COUNTER_SPOIL)
        return false;
    if (op->verb == COUNTER_ADD_SIGNAL) {
        ret_op->kind = STEAD_LIN_COUNTER_ADD;
        ret_op->answered = false;
    }
    return true;
}

static void verify_counter(struct stead_sim *sim)
{
    const struct stead_sim_op *op;
    uint32_t at = 0;
    char address[48];

    while ((op = stead_sim_op_next(sim, &stead_work_counter, &at)) != NULL) {
        enum stead_sim_outcome outcome = stead_sim_op_outcome(op);
        if (op->verb == COUNTER_SPOIL ? outcome == STEAD_SIM_DONE : outcome == STEAD_SIM_REFUSED)
            stead_world_fail(&sim->world, "request %u has the answer %s", op->number, stead_error_name(op->code));
    }
    for (uint32_t agent = 0; agent < AGENTS; agent++)
        stead_sim_ask_history(sim, &stead_work_counter, STEAD_LIN_COUNTER_GET, agent,
                              address_of(&stead_work_counter, agent, address), "get");
    stead_sim_check_histories(sim, &stead_work_counter, &stead_lin_counter, AGENTS, make_counter_op);
}

static const struct stead_kind *const counter_kinds[] = {&counter_kind, NULL};
const struct stead_workload stead_work_counter = {
    .name = "counter", .kinds = counter_kinds, .issue = issue_counter, .read = read_out, .verify = verify_counter};

/* ---- Register ------------------------------------------------------------------------------------------ */

static int write_register(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct counter *it = state;
    int64_t before = it->value;

    if (stead_get_i64(args, "value", &it->value) != 0)
        return stead_fail(turn, "bad_value", "value must be an integer");
    return stead_reply(turn, stead_packed(turn, "l", before));
}

static int swap_register(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct counter *it = state;
    int64_t expected = 0, value = 0;

    if (stead_get_i64(args, "expected", &expected) != 0 || stead_get_i64(args, "value", &value) != 0)
        return stead_fail(turn, "bad_value", "expected and value must be integers");
    bool same = it->value == expected;
    if (same)
        it->value = value;
    return stead_reply(turn, stead_packed(turn, "l", (int64_t)same));
}

static const struct stead_op register_ops[] = {{.name = "write", .run = write_register},
                                               {.name = "read", .run = get, .flags = STEAD_OP_READ_ONLY},
                                               {.name = "swap", .run = swap_register},
                                               {0}};
static const struct stead_kind register_kind = {.abi = STEAD_ABI,
                                                .struct_size = sizeof(struct stead_kind),
                                                .name = "register",
                                                .state_size = sizeof(struct counter),
                                                .fields = counter_fields,
                                                .ops = register_ops};

static void issue_register(struct stead_sim *sim, struct stead_sim_client *client)
{
    int verb = (int)stead_world_below(&sim->world, 3);
    struct stead_sim_op *op =
        stead_sim_op_new(sim, client, &stead_work_register, verb, (uint32_t)stead_world_below(&sim->world, AGENTS));
    char address[48];

    if (op == NULL)
        return;
    address_of(op->workload, op->agent, address);
    if (verb == STEAD_LIN_REGISTER_WRITE) {
        op->in[0] = (int64_t)stead_world_below(&sim->world, 4);
        stead_sim_op_pack(sim, op, STEAD_CALL, address, "write", "{s:l}", "value", op->in[0]);
    } else if (verb == STEAD_LIN_REGISTER_READ) {
        stead_sim_op_pack(sim, op, STEAD_CALL, address, "read", "n");
    } else {
        op->in[0] = (int64_t)stead_world_below(&sim->world, 4);
        op->in[1] = (int64_t)stead_world_below(&sim->world, 4);
        stead_sim_op_pack(sim, op, STEAD_CALL, address, "swap", "{s:l,s:l}", "expected", op->in[0], "value", op->in[1]);
    }
}

static bool is_of_agent(const struct stead_sim_op *op, uint32_t agent, struct stead_lin_op *ret_op)
{
    (void)ret_op;
    return op->agent == agent && stead_sim_op_outcome(op) != STEAD_SIM_REFUSED;
}

static void verify_register(struct stead_sim *sim)
{
    char address[48];

    for (uint32_t agent = 0; agent < AGENTS; agent++)
        stead_sim_ask_history(sim, &stead_work_register, STEAD_LIN_REGISTER_READ, agent,
                              address_of(&stead_work_register, agent, address), "read");
    stead_sim_check_histories(sim, &stead_work_register, &stead_lin_register, AGENTS, is_of_agent);
}

static const struct stead_kind *const register_kinds[] = {&register_kind, NULL};
const struct stead_workload stead_work_register = {
    .name = "register", .kinds = register_kinds, .issue = issue_register, .read = read_out, .verify = verify_register};

/* ---- Account ------------------------------------------------------------------------------------------- */

static int deposit(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct counter *account = state;
    int64_t amount = 0;

    if (stead_get_i64(args, NULL, &amount) != 0)
        return stead_fail(turn, "bad_amount", "the amount must be an integer");
    account->value += amount;
    return stead_reply(turn, stead_packed(turn, "l", account->value));
}

static int withdraw(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct counter *account = state;
    int64_t amount = 0;

    if (stead_get_i64(args, NULL, &amount) != 0)
        return stead_fail(turn, "bad_amount", "the amount must be an integer");
    if (account->value < amount)
        return stead_reply(turn, stead_packed(turn, "l", (int64_t)-1));
    account->value -= amount;
    return stead_reply(turn, stead_packed(turn, "l", account->value));
}

static const struct stead_op account_ops[] = {{.name = "deposit", .run = deposit},
                                              {.name = "withdraw", .run = withdraw},
                                              {.name = "balance", .run = get, .flags = STEAD_OP_READ_ONLY},
                                              {0}};
static const struct stead_kind account_kind = {.abi = STEAD_ABI,
                                               .struct_size = sizeof(struct stead_kind),
                                               .name = "account",
                                               .state_size = sizeof(struct counter),
                                               .fields = counter_fields,
                                               .ops = account_ops};

static void issue_account(struct stead_sim *sim, struct stead_sim_client *client)
{
    static const char *const names[] = {"deposit", "withdraw", "balance"};
    int verb = (int)stead_world_below(&sim->world, 3);
    struct stead_sim_op *op =
        stead_sim_op_new(sim, client, &stead_work_account, verb, (uint32_t)stead_world_below(&sim->world, AGENTS));
    char address[48];

    if (op == NULL)
        return;
    op->in[0] = 1 + (int64_t)stead_world_below(&sim->world, 100000);
    stead_sim_op_pack(sim, op, STEAD_CALL, address_of(op->workload, op->agent, address), names[verb], "l", op->in[0]);
}

static void verify_account(struct stead_sim *sim)
{
    char address[48];

    for (uint32_t agent = 0; agent < AGENTS; agent++)
        stead_sim_ask_history(sim, &stead_work_account, STEAD_LIN_ACCOUNT_BALANCE, agent,
                              address_of(&stead_work_account, agent, address), "balance");
    stead_sim_check_histories(sim, &stead_work_account, &stead_lin_account, AGENTS, is_of_agent);
}

static const struct stead_kind *const account_kinds[] = {&account_kind, NULL};
const struct stead_workload stead_work_account = {
    .name = "account", .kinds = account_kinds, .issue = issue_account, .read = read_out, .verify = verify_account};

/* ---- Queue ------------------------------------------------------------------------------------------------ */

struct element {
    int64_t value;
};
struct queue {
    uint32_t count;
    struct element elements[STEAD_LIN_QUEUE_MAX];
};

static int push(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct queue *queue = state;
    int64_t value = 0;

    if (stead_get_i64(args, NULL, &value) != 0)
        return stead_fail(turn, "bad_value", "the element must be an integer");
    if (queue->count == STEAD_LIN_QUEUE_MAX)
        return stead_fail(turn, "full", "the queue is full");
    queue->elements[queue->count++].value = value;
    return stead_reply(turn, stead_packed(turn, "l", (int64_t)queue->count));
}

static int pop(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct queue *queue = state;
    int64_t front = queue->elements[0].value;

    (void)args;
    if (queue->count == 0)
        return stead_reply(turn, stead_packed(turn, "l", (int64_t)-1));
    queue->count--;
    memmove(queue->elements, queue->elements + 1, queue->count * sizeof queue->elements[0]);
    return stead_reply(turn, stead_packed(turn, "l", front));
}

/* Waits in the mailbox for an element. */
static int take(struct stead_turn *turn, void *state, struct stead_slice args)
{
    return ((struct queue *)state)->count == 0 ? stead_defer(turn) : pop(turn, state, args);
}

static const struct stead_field element_fields[] = {STEAD_FIELD(I64, struct element, value), STEAD_FIELDS_END};
static const struct stead_field queue_fields[] = {STEAD_FIELD_ARRAY(struct queue, elements, count, element_fields),
                                                  STEAD_FIELDS_END};
static const struct stead_op queue_ops[] = {
    {.name = "push", .run = push}, {.name = "pop", .run = pop}, {.name = "take", .run = take}, {0}};
static const struct stead_kind queue_kind = {.abi = STEAD_ABI,
                                             .struct_size = sizeof(struct stead_kind),
                                             .name = "queue",
                                             .state_size = sizeof(struct queue),
                                             .fields = queue_fields,
                                             .ops = queue_ops};

static void submit_push(struct stead_sim *sim, struct stead_sim_client *client, uint32_t agent)
{
    struct stead_sim_op *op = stead_sim_op_new(sim, client, &stead_work_queue, STEAD_LIN_QUEUE_PUSH, agent);
    char address[48];

    if (op == NULL)
        return;
    op->in[0] = op->number + 1;
    stead_sim_op_pack(sim, op, STEAD_CALL, address_of(op->workload, agent, address), "push", "l", op->in[0]);
}

static void issue_queue(struct stead_sim *sim, struct stead_sim_client *client)
{
    uint64_t luck = stead_world_below(&sim->world, 8);
    uint32_t agent = (uint32_t)stead_world_below(&sim->world, AGENTS);
    char address[48];

    if (luck < 4) {
        submit_push(sim, client, agent);
        return;
    }
    int verb = luck < 7 ? STEAD_LIN_QUEUE_POP : STEAD_LIN_QUEUE_TAKE;
    struct stead_sim_op *op = stead_sim_op_new(sim, client, &stead_work_queue, verb, agent);
    if (op != NULL)
        stead_sim_op_pack(sim, op, STEAD_CALL, address_of(op->workload, agent, address), luck < 7 ? "pop" : "take",
                          "n");
}

/* Whoever waits for an element gets one. */
static void relieve_queue(struct stead_sim *sim)
{
    const struct stead_sim_op *op;
    uint32_t at = 0, count = sim->op_count;

    while (at < count && (op = stead_sim_op_next(sim, &stead_work_queue, &at)) != NULL)
        if (op->verb == STEAD_LIN_QUEUE_TAKE && op->returned_ns == UINT64_MAX && op->code == 0)
            submit_push(sim, &sim->clients[0], op->agent);
}

/* Empties the queues, so that the last answers account for every element. */
static void verify_queue(struct stead_sim *sim)
{
    char address[48];

    for (uint32_t agent = 0; agent < AGENTS; agent++) {
        const struct stead_sim_op *last;
        do {
            stead_sim_ask_history(sim, &stead_work_queue, STEAD_LIN_QUEUE_POP, agent,
                                  address_of(&stead_work_queue, agent, address), "pop");
            last = &sim->ops[sim->op_count - 1];
        } while (last->out != -1);
    }
    stead_sim_check_histories(sim, &stead_work_queue, &stead_lin_queue, AGENTS, is_of_agent);
}

static const struct stead_kind *const queue_kinds[] = {&queue_kind, NULL};
const struct stead_workload stead_work_queue = {.name = "queue",
                                                .kinds = queue_kinds,
                                                .issue = issue_queue,
                                                .read = read_out,
                                                .relieve = relieve_queue,
                                                .verify = verify_queue};
