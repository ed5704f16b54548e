/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers: one-shot, cancelled and periodic. Each rings exactly once for each time it was to ring: late when its node
 * was down, never lost, never twice, never early by the agent's own clock.
 *
 *   set    a one-shot timer under the number of its request
 *   every  a periodic one that cancels itself in its third run
 *   cancel an earlier set that was acknowledged: it rings if and only if the cancel did not find it
 */
#include "tests/sim/work.h"

#define AGENTS 3u
#define PERIODS 3

enum { TIMER_SET, TIMER_EVERY, TIMER_CANCEL };

static int set(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t id = 0;
    int64_t delay = 0;

    (void)state;
    if (stead_get_u64(args, "id", &id) != 0 || stead_get_i64(args, "delay", &delay) != 0)
        return stead_fail(turn, "bad_args", "id and delay are needed");
    int code = stead_timer_after(turn, stead_printed(turn, "t%llu", (unsigned long long)id), delay, "ring",
                                 stead_packed(turn, "{s:u,s:l}", "id", id, "due", stead_now_ms(turn) + delay));
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "l", (int64_t)0));
}

static int every(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t id = 0;
    int64_t delay = 0;

    (void)state;
    if (stead_get_u64(args, "id", &id) != 0 || stead_get_i64(args, "delay", &delay) != 0)
        return stead_fail(turn, "bad_args", "id and delay are needed");
    int code = stead_timer_every(turn, stead_printed(turn, "t%llu", (unsigned long long)id), 1 + delay / 4,
                                 "ring_again", stead_packed(turn, "u", id));
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "l", (int64_t)0));
}

int stead_alarm_ring(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t id = 0;
    int64_t due = 0;

    (void)state;
    if (stead_get_u64(args, "id", &id) != 0 || stead_get_i64(args, "due", &due) != 0)
        stead_sim_broken("a timer of %s rings without its arguments", stead_self(turn));
    if (stead_now_ms(turn) < due)
        stead_sim_broken("timer %llu of %s rings %lld ms early", (unsigned long long)id, stead_self(turn),
                         (long long)(due - stead_now_ms(turn)));
    stead_kv_set_number(turn, 'r', id, stead_kv_number(turn, 'r', id) + 1);
    return 0;
}

static int ring_again(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t id = 0;

    (void)state;
    if (stead_get_u64(args, NULL, &id) != 0)
        stead_sim_broken("a timer of %s rings without its arguments", stead_self(turn));
    int64_t times = stead_kv_number(turn, 'r', id) + 1;
    stead_kv_set_number(turn, 'r', id, times);
    int code = times != PERIODS ? 0 : stead_timer_cancel(turn, stead_printed(turn, "t%llu", (unsigned long long)id));
    if (code == STEAD_EIO)
        return code;
    if (code != 0)
        stead_sim_broken("%s cannot cancel the periodic timer that it runs for", stead_self(turn));
    return 0;
}

/* 1: it was cancelled, 0: there was none. */
static int cancel(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t id = 0;

    (void)state;
    if (stead_get_u64(args, NULL, &id) != 0)
        return stead_fail(turn, "bad_args", "the id is needed");
    int code = stead_timer_cancel(turn, stead_printed(turn, "t%llu", (unsigned long long)id));
    if (code != 0 && code != STEAD_ENOTFOUND)
        return code;
    return stead_reply(turn, stead_packed(turn, "l", (int64_t)(code == 0)));
}

static int dump(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_reply(turn, stead_kv_dump(turn, 'r'));
}

static const struct stead_op alarm_ops[] = {{.name = "set", .run = set},
                                            {.name = "every", .run = every},
                                            {.name = "ring", .run = stead_alarm_ring},
                                            {.name = "ring_again", .run = ring_again},
                                            {.name = "cancel", .run = cancel},
                                            {.name = "dump", .run = dump, .flags = STEAD_OP_READ_ONLY},
                                            {0}};
static const struct stead_kind alarm_kind = {
    .abi = STEAD_ABI, .struct_size = sizeof(struct stead_kind), .name = "alarm", .ops = alarm_ops};

/* An acknowledged set of the agent, drawn from the recent ones; NULL: none. */
static const struct stead_sim_op *find_set(struct stead_sim *sim, uint32_t agent)
{
    for (uint32_t at = sim->op_count; at > 0; at--) {
        const struct stead_sim_op *op = &sim->ops[at - 1];
        if (op->workload == &stead_work_timer && op->agent == agent && op->verb == TIMER_SET &&
            stead_sim_op_outcome(op) == STEAD_SIM_DONE && stead_world_chance(&sim->world, 500))
            return op;
    }
    return NULL;
}

static void issue_timer(struct stead_sim *sim, struct stead_sim_client *client)
{
    static const char *const names[] = {"set", "every"};
    uint64_t luck = stead_world_below(&sim->world, 10);
    int verb = luck < 6 ? TIMER_SET : luck < 8 ? TIMER_EVERY : TIMER_CANCEL;
    uint32_t agent = (uint32_t)stead_world_below(&sim->world, AGENTS);
    const struct stead_sim_op *target = verb == TIMER_CANCEL ? find_set(sim, agent) : NULL;
    struct stead_sim_op *op = NULL;
    char address[48];

    if (verb != TIMER_CANCEL || target != NULL)
        op = stead_sim_op_new(sim, client, &stead_work_timer, verb, agent);
    if (op == NULL)
        return;
    stead_format(address, sizeof address, "alarm/a%u", agent);
    if (verb == TIMER_CANCEL) {
        op->in[0] = target->number;
        stead_sim_op_pack(sim, op, STEAD_CALL, address, "cancel", "l", op->in[0]);
    } else {
        op->in[0] = (int64_t)stead_world_below(&sim->world, stead_world_chance(&sim->world, 500) ? 20 : 400);
        stead_sim_op_pack(sim, op, STEAD_CALL, address, names[verb], "{s:l,s:l}", "id", (int64_t)op->number, "delay",
                          op->in[0]);
    }
}

static void read_timer(struct stead_sim *sim, struct stead_sim_op *op, struct stead_slice value)
{
    if (stead_get_i64(value, NULL, &op->out) != 0)
        stead_world_fail(&sim->world, "the answer to request %u is no number", op->number);
}

/* What became of the cancels of a set: 1: one found it, 0: none did, -1: nobody knows. */
static int find_cancel(const struct stead_sim *sim, uint32_t number)
{
    const struct stead_sim_op *op;
    bool unknown = false;
    uint32_t at = 0;

    while ((op = stead_sim_op_next(sim, &stead_work_timer, &at)) != NULL) {
        if (op->verb != TIMER_CANCEL || op->in[0] != (int64_t)number)
            continue;
        if (stead_sim_op_outcome(op) == STEAD_SIM_UNKNOWN)
            unknown = true;
        else if (op->out == 1)
            return 1;
    }
    return unknown ? -1 : 0;
}

static void check_timer(struct stead_sim *sim, const struct stead_sim_op *op, int64_t rings)
{
    int64_t expected = op->verb == TIMER_EVERY ? PERIODS : 1;
    int cancelled = op->verb == TIMER_SET ? find_cancel(sim, op->number) : 0;
    enum stead_sim_outcome outcome = stead_sim_op_outcome(op);

    if (cancelled == 1)
        expected = 0;
    bool may_be_none = outcome != STEAD_SIM_DONE || cancelled == -1;
    if (rings != expected && !(may_be_none && rings == 0))
        stead_world_fail(&sim->world, "timer %u of alarm/a%u has rung %lld times, %lld were due", op->number, op->agent,
                         (long long)rings, (long long)expected);
}

static void verify_timer(struct stead_sim *sim)
{
    static struct stead_tally tally; /* one run at a time */
    const struct stead_sim_op *op;
    char address[48];

    for (uint32_t agent = 0; agent < AGENTS; agent++) {
        stead_format(address, sizeof address, "alarm/a%u", agent);
        stead_tally_read(sim, stead_sim_ask(sim, address, "dump", (struct stead_slice){0}), &tally);
        for (uint32_t at = 0; (op = stead_sim_op_next(sim, &stead_work_timer, &at)) != NULL;)
            if (op->agent == agent && op->verb != TIMER_CANCEL)
                check_timer(sim, op, stead_tally_of(&tally, op->number));
    }
}

static const struct stead_kind *const timer_kinds[] = {&alarm_kind, NULL};
const struct stead_workload stead_work_timer = {
    .name = "timer", .kinds = timer_kinds, .issue = issue_timer, .read = read_timer, .verify = verify_timer};
