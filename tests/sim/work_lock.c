/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks: a vault is held for a client, which works in it under its fencing number and releases it; everybody else's
 * work waits in the mailbox meanwhile.
 *
 *     acquire --(fence)--> work, work ... --> release
 *
 * What must hold while faults last: fencing numbers rise; work without the fence never runs inside a hold; nobody
 * acquires what is held. All work together is a counter with a linearizable history. A client that never heard of its
 * fence leaves the vault held: when faults are over, every vault is unlocked, and whatever waits goes on.
 */
#include "tests/sim/work.h"

#define VAULTS 3u

enum {
    LOCK_WORK = STEAD_LIN_COUNTER_ADD,
    LOCK_COUNT = STEAD_LIN_COUNTER_GET,
    LOCK_ACQUIRE,
    LOCK_RELEASE,
    LOCK_UNLOCK,
    LOCK_SEND
};

struct vault {
    int64_t work;
    uint64_t held; /* fencing number; 0: not held */
    uint64_t last; /* fencing number given out last */
};

static int acquire(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct vault *vault = state;
    uint64_t fence = 0;

    (void)args;
    if (stead_sim_current()->calm)
        return stead_reply(turn, stead_packed(turn, "l", (int64_t)0)); /* nobody would release it again */
    if (vault->held != 0)
        stead_sim_broken("%s is acquired while it is held", stead_self(turn));
    int code = stead_hold(turn, "client/holder", &fence);
    if (code != 0)
        stead_sim_broken("%s cannot be held: %s", stead_self(turn), stead_error_name(code));
    if (fence <= vault->last)
        stead_sim_broken("%s gives out fence %llu after %llu", stead_self(turn), (unsigned long long)fence,
                         (unsigned long long)vault->last);
    vault->held = vault->last = fence;
    return stead_reply(turn, stead_packed(turn, "l", (int64_t)fence));
}

static int work(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct vault *vault = state;
    uint64_t fence = 0;
    int64_t by = 0;

    if (stead_get_u64(args, "fence", &fence) != 0 || stead_get_i64(args, "by", &by) != 0)
        return stead_fail(turn, "bad_args", "fence and by are needed");
    if (vault->held != 0 && fence != vault->held && !stead_sim_current()->calm)
        stead_sim_broken("%s works for fence %llu while fence %llu holds it", stead_self(turn),
                         (unsigned long long)fence, (unsigned long long)vault->held);
    vault->work += by;
    return stead_reply(turn, stead_packed(turn, "l", vault->work));
}

static int release(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct vault *vault = state;
    uint64_t fence = 0;

    if (stead_get_u64(args, NULL, &fence) != 0)
        return stead_fail(turn, "bad_args", "the fence is needed");
    int code = stead_release(turn, fence);
    if (code != 0 && code != STEAD_ESTATE)
        return code;
    if (code == 0)
        vault->held = 0;
    return stead_reply(turn, stead_packed(turn, "l", (int64_t)(code == 0)));
}

static int count(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    return stead_reply(turn, stead_packed(turn, "l", ((struct vault *)state)->work));
}

/* A parcel of a porter: by signal, so it parks on disk while the vault is held. */
static int deliver(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct vault *vault = state;
    uint64_t id = 0;

    if (stead_get_u64(args, NULL, &id) != 0)
        return stead_fail(turn, "bad_args", "the parcel has no number");
    if (vault->held != 0 && !stead_sim_current()->calm)
        stead_sim_broken("%s takes a parcel while fence %llu holds it", stead_self(turn),
                         (unsigned long long)vault->held);
    stead_kv_set_number(turn, 'd', id, stead_kv_number(turn, 'd', id) + 1);
    return 0;
}

static int dump(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_reply(turn, stead_kv_dump(turn, 'd'));
}

/* Sends two parcels: one that waits in front and one behind it. */
static int send(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t to = 0, id = 0;

    (void)state;
    if (stead_get_u64(args, "to", &to) != 0 || stead_get_u64(args, "id", &id) != 0)
        return stead_fail(turn, "bad_args", "to and id are needed");
    const char *address = stead_printed(turn, "vault/v%llu", (unsigned long long)to);
    for (uint64_t i = 0; i < 2; i++) {
        int code = stead_signal(turn, address, "deliver", stead_packed(turn, "u", 2 * id + i));
        if (code != 0)
            return code;
    }
    return stead_reply(turn, stead_packed(turn, "l", (int64_t)0));
}

static const struct stead_op porter_ops[] = {{.name = "send", .run = send}, {0}};
static const struct stead_kind porter_kind = {
    .abi = STEAD_ABI, .struct_size = sizeof(struct stead_kind), .name = "porter", .ops = porter_ops};

static const struct stead_field vault_fields[] = {STEAD_FIELD(I64, struct vault, work),
                                                  STEAD_FIELD(U64, struct vault, held),
                                                  STEAD_FIELD(U64, struct vault, last), STEAD_FIELDS_END};
static const struct stead_op vault_ops[] = {{.name = "acquire", .run = acquire},
                                            {.name = "work", .run = work},
                                            {.name = "release", .run = release},
                                            {.name = "deliver", .run = deliver},
                                            {.name = "dump", .run = dump, .flags = STEAD_OP_READ_ONLY},
                                            {.name = "count", .run = count, .flags = STEAD_OP_READ_ONLY},
                                            {0}};
static const struct stead_kind vault_kind = {.abi = STEAD_ABI,
                                             .struct_size = sizeof(struct stead_kind),
                                             .name = "vault",
                                             .state_size = sizeof(struct vault),
                                             .fields = vault_fields,
                                             .ops = vault_ops};

/* ---- Requests ------------------------------------------------------------------------------------------ */

static void submit(struct stead_sim *sim, struct stead_sim_client *client, int verb, uint32_t agent, uint64_t fence)
{
    struct stead_sim_op *op = stead_sim_op_new(sim, client, &stead_work_lock, verb, agent);
    struct stead_writer args;
    char address[48];

    if (op == NULL)
        return;
    op->in[0] = 1 + (int64_t)stead_world_below(&sim->world, 1u << 30);
    op->in[1] = (int64_t)fence;
    stead_format(address, sizeof address, verb == LOCK_SEND ? "porter/p%u" : "vault/v%u", agent);
    stead_writer_init(&args);
    struct stead_sim_request request = {.type = STEAD_CALL, .address = address, .fence = fence};
    if (verb == LOCK_WORK) {
        stead_pack(&args, "{s:u,s:l}", "fence", fence, "by", op->in[0]);
        request.op = "work";
    } else if (verb == LOCK_SEND) {
        op->in[0] %= VAULTS;
        stead_pack(&args, "{s:l,s:u}", "to", op->in[0], "id", (uint64_t)op->number);
        request.op = "send";
    } else if (verb == LOCK_RELEASE) {
        stead_pack(&args, "u", fence);
        request.op = "release";
    } else if (verb == LOCK_UNLOCK) {
        stead_pack(&args, "{s:s}", "address", address);
        request.op = "unlock";
        request.type = STEAD_QUERY;
    } else {
        request.op = verb == LOCK_ACQUIRE ? "acquire" : "count";
    }
    request.args = stead_written(&args);
    stead_sim_op_submit(sim, op, &request);
    stead_writer_deinit(&args);
}

/* A client that holds a vault goes on: `number` is its acquire, or what it did last under the fence. */
static void go_on(void *self, uint64_t number, void *data)
{
    struct stead_sim *sim = self;
    const struct stead_sim_op *op = &sim->ops[number];
    uint64_t fence = op->verb == LOCK_ACQUIRE ? (uint64_t)op->out : (uint64_t)op->in[1];

    (void)data;
    if (sim->ending || sim->calm)
        return;
    submit(sim, &sim->clients[op->client], stead_world_chance(&sim->world, 400) ? LOCK_WORK : LOCK_RELEASE, op->agent,
           fence);
}

static void issue_lock(struct stead_sim *sim, struct stead_sim_client *client)
{
    uint64_t luck = stead_world_below(&sim->world, 10);
    uint32_t agent = (uint32_t)stead_world_below(&sim->world, VAULTS);

    submit(sim, client, luck < 3 ? LOCK_WORK : luck < 4 ? LOCK_COUNT : luck < 7 ? LOCK_SEND : LOCK_ACQUIRE, agent, 0);
}

static void read_lock(struct stead_sim *sim, struct stead_sim_op *op, struct stead_slice value)
{
    if (op->verb == LOCK_UNLOCK)
        return;
    if (stead_get_i64(value, NULL, &op->out) != 0)
        stead_world_fail(&sim->world, "the answer to request %u is no number", op->number);
    if (op->verb == LOCK_ACQUIRE || (op->verb == LOCK_WORK && op->in[1] != 0))
        stead_world_after(&sim->world, stead_world_delay(&sim->world, 200 * STEAD_US), go_on, sim, op->number, NULL);
}

static void relieve_lock(struct stead_sim *sim)
{
    if ((sim->plan.workloads & stead_sim_workload_bit(&stead_work_lock)) == 0)
        return;
    for (uint32_t agent = 0; agent < VAULTS; agent++)
        submit(sim, &sim->clients[STEAD_SIM_CLIENTS_MAX - 1], LOCK_UNLOCK, agent, 0);
}

static bool make_lock_op(const struct stead_sim_op *op, uint32_t agent, struct stead_lin_op *ret_op)
{
    (void)ret_op;
    return op->agent == agent && (op->verb == LOCK_WORK || op->verb == LOCK_COUNT);
}

static void verify_lock(struct stead_sim *sim)
{
    static struct stead_tally tally; /* one run at a time */
    const struct stead_sim_op *op;
    char address[48];

    for (uint32_t agent = 0; agent < VAULTS; agent++) {
        stead_format(address, sizeof address, "vault/v%u", agent);
        stead_tally_read(sim, stead_sim_ask(sim, address, "dump", (struct stead_slice){0}), &tally);
        for (uint32_t at = 0; (op = stead_sim_op_next(sim, &stead_work_lock, &at)) != NULL;)
            for (uint64_t i = 0; i < 2 && op->verb == LOCK_SEND && op->in[0] == (int64_t)agent; i++)
                stead_sim_check_once(sim, op, stead_tally_of(&tally, 2ull * op->number + i), "parcel");
        stead_sim_ask_history(sim, &stead_work_lock, LOCK_COUNT, agent, address, "count");
    }
    stead_sim_check_histories(sim, &stead_work_lock, &stead_lin_counter, VAULTS, make_lock_op);
}

static const struct stead_kind *const lock_kinds[] = {&vault_kind, &porter_kind, NULL};
const struct stead_workload stead_work_lock = {.name = "lock",
                                               .kinds = lock_kinds,
                                               .issue = issue_lock,
                                               .read = read_lock,
                                               .relieve = relieve_lock,
                                               .verify = verify_lock};
