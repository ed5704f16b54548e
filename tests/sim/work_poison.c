/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Poison: messages whose turn kills the process.
 *
 * A bomb's turn marks its process as doomed: it dies when the round is over, with everything that was not on disk. The
 * mapped file names the message to the next start; once it has killed as often as the setting allows, it must not run
 * again: a client is told so, a signal ends in the dead letters, and whatever came behind it in its channel goes on.
 */
#include "tests/sim/work.h"

#define BOMBS 2u
#define FUSES 2u

enum { POISON_EXPLODE, POISON_LIGHT, POISON_COUNT };

static int explode(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_sim *sim = stead_sim_current();

    (void)state, (void)args;
    if (stead_sim_doom(sim, stead_self(turn)) >= sim->plan.settings.poison_kills_max)
        stead_sim_broken("%s runs a message that has killed the process too often", stead_self(turn));
    return stead_reply(turn, stead_packed(turn, "l", (int64_t)0));
}

static int count(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t id = 0;

    (void)state;
    if (stead_get_u64(args, NULL, &id) != 0)
        return stead_fail(turn, "bad_args", "the id is needed");
    stead_kv_set_number(turn, 'c', id, stead_kv_number(turn, 'c', id) + 1);
    return 0;
}

static int dump(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_reply(turn, stead_kv_dump(turn, 'c'));
}

static const struct stead_op bomb_ops[] = {{.name = "explode", .run = explode},
                                           {.name = "count", .run = count},
                                           {.name = "dump", .run = dump, .flags = STEAD_OP_READ_ONLY},
                                           {0}};
static const struct stead_kind bomb_kind = {
    .abi = STEAD_ABI, .struct_size = sizeof(struct stead_kind), .name = "bomb", .ops = bomb_ops};

/* Lights a bomb by signal, or only counts on it; both go through one channel. */
static int light(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t to = 0, id = 0;
    bool explodes = false;

    (void)state;
    if (stead_get_u64(args, "to", &to) != 0 || stead_get_u64(args, "id", &id) != 0 ||
        stead_get_bool(args, "explode", &explodes) != 0)
        return stead_fail(turn, "bad_args", "to, id and explode are needed");
    int code = stead_signal(turn, stead_printed(turn, "bomb/b%llu", (unsigned long long)to),
                            explodes ? "explode" : "count", stead_packed(turn, "u", id));
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "l", (int64_t)0));
}

static const struct stead_op fuse_ops[] = {{.name = "light", .run = light}, {0}};
static const struct stead_kind fuse_kind = {
    .abi = STEAD_ABI, .struct_size = sizeof(struct stead_kind), .name = "fuse", .ops = fuse_ops};

static void issue_poison(struct stead_sim *sim, struct stead_sim_client *client)
{
    uint64_t luck = stead_world_below(&sim->world, 40);
    int verb = luck == 0 ? POISON_EXPLODE : luck == 1 ? POISON_LIGHT : POISON_COUNT;
    struct stead_sim_op *op =
        stead_sim_op_new(sim, client, &stead_work_poison, verb, (uint32_t)stead_world_below(&sim->world, FUSES));
    char address[48];

    if (op == NULL)
        return;
    op->in[0] = (int64_t)stead_world_below(&sim->world, BOMBS);
    if (verb == POISON_EXPLODE) {
        stead_format(address, sizeof address, "bomb/b%u", (unsigned)op->in[0]);
        stead_sim_op_pack(sim, op, STEAD_CALL, address, "explode", "l", (int64_t)op->number);
        return;
    }
    stead_format(address, sizeof address, "fuse/f%u", op->agent);
    stead_sim_op_pack(sim, op, STEAD_CALL, address, "light", "{s:l,s:l,s:b}", "to", op->in[0], "id",
                      (int64_t)op->number, "explode", verb == POISON_LIGHT);
}

static void verify_poison(struct stead_sim *sim)
{
    static struct stead_tally tally; /* one run at a time */
    const struct stead_sim_op *op;
    char address[48];

    for (uint32_t bomb = 0; bomb < BOMBS; bomb++) {
        stead_format(address, sizeof address, "bomb/b%u", bomb);
        stead_tally_read(sim, stead_sim_ask(sim, address, "dump", (struct stead_slice){0}), &tally);
        for (uint32_t at = 0; (op = stead_sim_op_next(sim, &stead_work_poison, &at)) != NULL;)
            if (op->verb == POISON_COUNT && op->in[0] == (int64_t)bomb)
                stead_sim_check_once(sim, op, stead_tally_of(&tally, op->number), "signal beside poison");
    }
}

static const struct stead_kind *const poison_kinds[] = {&bomb_kind, &fuse_kind, NULL};
const struct stead_workload stead_work_poison = {
    .name = "poison", .kinds = poison_kinds, .issue = issue_poison, .verify = verify_poison};
