/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Order: clients put their numbers in lines, many at a time, where there is seldom room for all of them.
 *
 * What one life of a client puts in one line stands there in the order in which it was submitted (M2), whatever was
 * refused for want of room meanwhile, lost on its way or run before a crash; only a request that its client has given
 * up may come late. Now and then they look at many lines of one slot at once, in which nobody stands: so that a session
 * has as many places as it may (S5). What drones send to one hangar is seen in order too (work_volatile.c).
 */
#include "tests/sim/work.h"

#define LINES 2u
#define EMPTY 64u         /* lines of one slot */
#define AGE_MS_MIN 20000u /* a session that ends no earlier is not left while something is on its way in it */

bool stead_sim_keeps_order(const struct stead_sim *sim)
{
    return sim->plan.settings.session_age_ms_max >= AGE_MS_MIN;
}

static int put(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct stead_sim *sim = stead_sim_current();
    uint64_t id = 0, who = 0;

    (void)state;
    if (stead_get_u64(args, "id", &id) != 0 || stead_get_u64(args, "who", &who) != 0 || id >= sim->op_count)
        stead_sim_broken("%s is given no number", stead_self(turn));
    int64_t last = stead_kv_number(turn, 'l', who);
    bool given_up = sim->ops[id].code != 0;
    if (last > (int64_t)id && !given_up && stead_sim_keeps_order(sim))
        stead_sim_broken("%s is given %llu behind %lld of the same client", stead_self(turn), (unsigned long long)id,
                         (long long)last);
    if (last < (int64_t)id)
        stead_kv_set_number(turn, 'l', who, (int64_t)id);
    stead_kv_set_number(turn, 'i', id, stead_kv_number(turn, 'i', id) + 1);
    return stead_reply(turn, stead_packed(turn, "l", last));
}

static int last_of(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t who = 0;

    (void)state;
    if (stead_get_u64(args, "who", &who) != 0)
        return stead_fail(turn, "bad_args", "who is needed");
    return stead_reply(turn, stead_packed(turn, "l", stead_kv_number(turn, 'l', who)));
}

static int dump_line(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_reply(turn, stead_kv_dump(turn, 'i'));
}

static const struct stead_op line_ops[] = {{.name = "put", .run = put},
                                           {.name = "last", .run = last_of, .flags = STEAD_OP_READ_ONLY},
                                           {.name = "dump", .run = dump_line, .flags = STEAD_OP_READ_ONLY},
                                           {0}};
static const struct stead_kind line_kind = {
    .abi = STEAD_ABI, .struct_size = sizeof(struct stead_kind), .name = "line", .ops = line_ops};

enum { LINE_PUT, LINE_LAST, LINE_LOOK };

static void issue_order(struct stead_sim *sim, struct stead_sim_client *client)
{
    bool looks = sim->op_count / 32 % 4 == 3 && stead_world_chance(&sim->world, 850);
    int verb = looks ? LINE_LOOK : stead_world_chance(&sim->world, 150) ? LINE_LAST : LINE_PUT;
    struct stead_sim_op *op = stead_sim_op_new(sim, client, &stead_work_order, verb,
                                               (uint32_t)stead_world_below(&sim->world, looks ? EMPTY : LINES));
    bool signal = verb == LINE_PUT && stead_world_chance(&sim->world, 700);
    char address[48];

    if (op == NULL)
        return;
    stead_format(address, sizeof address, looks ? "line/{empty}%u" : "line/l%u", op->agent);
    stead_sim_op_pack(sim, op, signal ? STEAD_SIGNAL : STEAD_CALL, address, verb == LINE_PUT ? "put" : "last",
                      "{s:l,s:l}", "id", (int64_t)op->number, "who",
                      (int64_t)(client->life * STEAD_SIM_CLIENTS_MAX + client->index));
}

static void verify_order(struct stead_sim *sim)
{
    static struct stead_tally tally; /* one run at a time */
    const struct stead_sim_op *op;
    char address[48];

    for (uint32_t line = 0; line < LINES; line++) {
        stead_format(address, sizeof address, "line/l%u", line);
        stead_tally_read(sim, stead_sim_ask(sim, address, "dump", (struct stead_slice){0}), &tally);
        for (uint32_t at = 0; (op = stead_sim_op_next(sim, &stead_work_order, &at)) != NULL;)
            if (op->agent == line && op->verb == LINE_PUT)
                stead_sim_check_once(sim, op, stead_tally_of(&tally, op->number), "order");
    }
}

static const struct stead_kind *const order_kinds[] = {&line_kind, NULL};
const struct stead_workload stead_work_order = {
    .name = "order", .kinds = order_kinds, .issue = issue_order, .verify = verify_order};
