/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agents that end and begin again, and tells that show what is committed.
 *
 * A phoenix answers each touch with (incarnation, touches in it). Destroy ends the incarnation: the next touch is the
 * first of the next one, its keyed state is empty, and no timer of an earlier incarnation ever rings, though runs wait:
 * some are put back, and some phoenixes are seized, that is held, and destroyed by who holds them, or let go. Answers
 * are ordered: a touch that was answered before another was asked has the smaller pair.
 *
 * A marker counts, and tells a volatile witness "my count n was made by request r". A tell of a durable agent leaves
 * after its commit, so no witness ever hears of two requests for one count, nor of a count that is not there at the
 * end. What a witness hears is kept outside of the simulated cluster: it has happened, whatever crashes.
 */
#include "runtime/address.h"
#include "tests/sim/work.h"

#include <stdlib.h>

#define AGENTS 3u

static void read_number(struct stead_sim *sim, struct stead_sim_op *op, struct stead_slice value)
{
    if (stead_get_i64(value, NULL, &op->out) != 0)
        stead_world_fail(&sim->world, "the answer to request %u is no number", op->number);
}

/* ---- Phoenix ---------------------------------------------------------------------------------------------- */

enum { LIFE_TOUCH, LIFE_DESTROY, LIFE_SEIZE, LIFE_UNLOCK };

/* Incarnation and touches as one number. */
#define PAIR(incarnation, touches) ((int64_t)(incarnation) << 20 | (touches))

struct phoenix {
    int64_t touches;
};

static int touch(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct phoenix *phoenix = state;
    uint64_t incarnation = stead_incarnation(turn);

    (void)args;
    if (stead_kv_number(turn, 'c', 0) != phoenix->touches)
        stead_sim_broken("%s keeps keyed state of an earlier incarnation", stead_self(turn));
    phoenix->touches++;
    stead_kv_set_number(turn, 'c', 0, phoenix->touches);
    int code = stead_timer_after(turn, "ring", 15, "ring", stead_packed(turn, "u", incarnation));
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "l", PAIR(incarnation, phoenix->touches)));
}

static void check_life(const struct stead_turn *turn, struct stead_slice args)
{
    uint64_t incarnation = 0;

    if (stead_get_u64(args, NULL, &incarnation) != 0 || incarnation != stead_incarnation(turn))
        stead_sim_broken("a timer of incarnation %llu rings in incarnation %llu of %s", (unsigned long long)incarnation,
                         (unsigned long long)stead_incarnation(turn), stead_self(turn));
}

static int ring(struct stead_turn *turn, void *state, struct stead_slice args)
{
    check_life(turn, args);
    return ((struct phoenix *)state)->touches % 3 == 0 && !stead_sim_current()->calm ? stead_defer(turn) : 0;
}

static int beat(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state;
    check_life(turn, args);
    int code = stead_timer_cancel(turn, "beat");
    return code == STEAD_ENOTFOUND ? 0 : code; /* of an earlier setting */
}

/* Answers with the fence; 0: it is not held, since nobody would release it again. */
static int seize(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t fence = 0;

    (void)state, (void)args;
    int code = stead_sim_current()->calm ? 0 : stead_hold(turn, "client/holder", &fence);
    if (code == 0)
        code = stead_timer_every(turn, "beat", 5, "beat", stead_packed(turn, "u", stead_incarnation(turn)));
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "u", fence));
}

static int destroy(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    int code =
        stead_reply(turn, stead_packed(turn, "l", PAIR(stead_incarnation(turn), ((struct phoenix *)state)->touches)));
    return code != 0 ? code : stead_destroy(turn);
}

static const struct stead_field phoenix_fields[] = {STEAD_FIELD(I64, struct phoenix, touches), STEAD_FIELDS_END};
static const struct stead_op phoenix_ops[] = {{.name = "touch", .run = touch},
                                              {.name = "ring", .run = ring},
                                              {.name = "beat", .run = beat},
                                              {.name = "seize", .run = seize},
                                              {.name = "destroy", .run = destroy, .flags = STEAD_OP_FREES},
                                              {0}};
static const struct stead_kind phoenix_kind = {.abi = STEAD_ABI,
                                               .struct_size = sizeof(struct stead_kind),
                                               .name = "phoenix",
                                               .state_size = sizeof(struct phoenix),
                                               .fields = phoenix_fields,
                                               .ops = phoenix_ops};

static void submit_life(struct stead_sim *sim, struct stead_sim_client *client, int verb, uint32_t agent,
                        uint64_t fence)
{
    static const char *const names[] = {"touch", "destroy", "seize", "unlock"};
    struct stead_sim_op *op = stead_sim_op_new(sim, client, &stead_work_life, verb, agent);
    struct stead_writer args;
    char address[48];

    if (op == NULL)
        return;
    stead_format(address, sizeof address, "phoenix/p%u", agent);
    stead_writer_init(&args);
    stead_pack(&args, "{s:s}", "address", address);
    stead_sim_op_submit(sim, op,
                        &(struct stead_sim_request){.type = verb == LIFE_UNLOCK ? STEAD_QUERY : STEAD_CALL,
                                                    .address = address,
                                                    .op = names[verb],
                                                    .args = stead_written(&args),
                                                    .fence = fence});
    stead_writer_deinit(&args);
}

static void issue_life(struct stead_sim *sim, struct stead_sim_client *client)
{
    uint64_t luck = stead_world_below(&sim->world, 10);

    submit_life(sim, client,
                luck < 7   ? LIFE_TOUCH
                : luck < 9 ? LIFE_DESTROY
                           : LIFE_SEIZE,
                (uint32_t)stead_world_below(&sim->world, AGENTS), 0);
}

/* Who has seized one destroys it, or breaks its own hold. */
static void end_hold(void *self, uint64_t number, void *data)
{
    struct stead_sim *sim = self;
    const struct stead_sim_op *op = &sim->ops[number];

    (void)data;
    if (!sim->ending && !sim->calm)
        submit_life(sim, &sim->clients[op->client], stead_world_chance(&sim->world, 700) ? LIFE_DESTROY : LIFE_UNLOCK,
                    op->agent, (uint64_t)op->out);
}

static void read_life(struct stead_sim *sim, struct stead_sim_op *op, struct stead_slice value)
{
    if (op->verb == LIFE_UNLOCK)
        return;
    read_number(sim, op, value);
    if (op->verb == LIFE_SEIZE && op->out != 0)
        stead_world_after(&sim->world, stead_world_delay(&sim->world, 20 * STEAD_MS), end_hold, sim, op->number, NULL);
}

/* Some client never heard of its fence. And what was put back is tried again behind a turn. */
static void relieve_life(struct stead_sim *sim)
{
    if ((sim->plan.workloads & stead_sim_workload_bit(&stead_work_life)) == 0)
        return;
    for (uint32_t agent = 0; agent < AGENTS; agent++) {
        submit_life(sim, &sim->clients[STEAD_SIM_CLIENTS_MAX - 1], LIFE_UNLOCK, agent, 0);
        submit_life(sim, &sim->clients[STEAD_SIM_CLIENTS_MAX - 1], LIFE_TOUCH, agent, 0);
    }
}

static bool has_pair(const struct stead_sim_op *op)
{
    return op->verb <= LIFE_DESTROY && stead_sim_op_outcome(op) == STEAD_SIM_DONE;
}

static void check_order(struct stead_sim *sim, const struct stead_sim_op *a, const struct stead_sim_op *b)
{
    bool both_touch = a->verb == LIFE_TOUCH && b->verb == LIFE_TOUCH;

    if (both_touch && a->out == b->out)
        stead_world_fail(&sim->world, "requests %u and %u are both touch %lld of incarnation %lld", a->number,
                         b->number, (long long)(a->out & 0xfffff), (long long)(a->out >> 20));
    if (a->returned_ns >= b->invoked_ns)
        return;
    bool ordered = a->verb == LIFE_DESTROY ? a->out >> 20 < b->out >> 20 : a->out <= b->out;
    if (!ordered)
        stead_world_fail(&sim->world, "request %u was answered (%lld, %lld), the later request %u (%lld, %lld)",
                         a->number, (long long)(a->out >> 20), (long long)(a->out & 0xfffff), b->number,
                         (long long)(b->out >> 20), (long long)(b->out & 0xfffff));
}

static void verify_life(struct stead_sim *sim)
{
    const struct stead_sim_op *a, *b;
    char address[48];

    for (uint32_t agent = 0; agent < AGENTS; agent++) {
        stead_format(address, sizeof address, "phoenix/p%u", agent);
        stead_sim_ask_history(sim, &stead_work_life, LIFE_TOUCH, agent, address, "touch");
    }
    for (uint32_t at = 0; (a = stead_sim_op_next(sim, &stead_work_life, &at)) != NULL;) {
        uint32_t other = 0;
        if (!has_pair(a))
            continue;
        while ((b = stead_sim_op_next(sim, &stead_work_life, &other)) != NULL)
            if (a != b && a->agent == b->agent && has_pair(b))
                check_order(sim, a, b);
    }
}

static const struct stead_kind *const life_kinds[] = {&phoenix_kind, NULL};
const struct stead_workload stead_work_life = {.name = "life",
                                               .kinds = life_kinds,
                                               .issue = issue_life,
                                               .read = read_life,
                                               .relieve = relieve_life,
                                               .verify = verify_life};

/* ---- Markers and witnesses ------------------------------------------------------------------------------------- */

enum { TELL_MARK, TELL_POKE };
#define COUNTS_MAX 4096u

/* What witnesses heard in this run; outside of everything that can crash. */
struct oracle {
    uint32_t made_by[AGENTS][COUNTS_MAX]; /* request + 1; 0: not heard */
};

static struct oracle *find_oracle(void)
{
    struct stead_sim *sim = stead_sim_current();

    if (sim->oracle == NULL)
        sim->oracle = stead_alloc_zero(sizeof(struct oracle));
    return sim->oracle;
}

/* Within one shard a turn may run on what is not committed yet: it cannot outlive it. Only a witness elsewhere is
 * evidence. */
static bool is_elsewhere(const char *witness, const char *marker)
{
    const struct stead_table *table = stead_coordinator_table(stead_sim_current()->coordinator);

    return stead_table_shard_of(table, stead_address_slot(stead_str(witness), STEAD_GROUP_DEFAULT)) !=
           stead_table_shard_of(table, stead_address_slot(stead_str(marker), STEAD_GROUP_DEFAULT));
}

static int mark(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct phoenix *marker = state;
    uint64_t id = 0;

    if (stead_get_u64(args, NULL, &id) != 0)
        return stead_fail(turn, "bad_args", "the id is needed");
    marker->touches++;
    int code = stead_tell(
        turn, stead_printed(turn, "witness/w%s", stead_self_key(turn) + 1), "heard",
        stead_packed(turn, "{s:s,s:l,s:u}", "from", stead_self_key(turn), "count", marker->touches, "id", id));
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "l", marker->touches));
}

/* By tell of a client: at most once each. */
static int poke(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t id = 0;

    (void)state;
    if (stead_get_u64(args, NULL, &id) != 0)
        return stead_fail(turn, "bad_args", "the id is needed");
    int64_t times = stead_kv_number(turn, 'p', id) + 1;
    if (times > 1)
        stead_sim_broken("%s is told %llu twice", stead_self(turn), (unsigned long long)id);
    stead_kv_set_number(turn, 'p', id, times);
    return 0;
}

static int count(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    return stead_reply(turn, stead_packed(turn, "l", ((struct phoenix *)state)->touches));
}

static const struct stead_op marker_ops[] = {{.name = "mark", .run = mark},
                                             {.name = "poke", .run = poke},
                                             {.name = "count", .run = count, .flags = STEAD_OP_READ_ONLY},
                                             {0}};
static const struct stead_kind marker_kind = {.abi = STEAD_ABI,
                                              .struct_size = sizeof(struct stead_kind),
                                              .name = "marker",
                                              .state_size = sizeof(struct phoenix),
                                              .fields = phoenix_fields,
                                              .ops = marker_ops};

static int heard(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct phoenix *witness = state;
    struct oracle *oracle = find_oracle();
    uint64_t id = 0;
    int64_t made = 0;
    char from[16];

    if (stead_get_text(args, "from", from, sizeof from) != 0 || stead_get_i64(args, "count", &made) != 0 ||
        stead_get_u64(args, "id", &id) != 0 || made >= (int64_t)COUNTS_MAX)
        stead_sim_broken("%s is told something else than it was sent", stead_self(turn));
    if (!is_elsewhere(stead_self(turn), stead_printed(turn, "marker/%s", from)))
        return 0;
    uint32_t *made_by = &oracle->made_by[from[1] - '0'][made];
    if (*made_by != 0 && *made_by != id + 1)
        stead_sim_broken("%s has heard that count %lld of marker/%s was made by request %u, and now by %llu",
                         stead_self(turn), (long long)made, from, *made_by - 1, (unsigned long long)id);
    *made_by = (uint32_t)id + 1;
    /* Volatile agents hand on to each other at once. */
    if (++witness->touches % 4 == 0)
        return stead_tell(turn, "witness/echo", "echo", stead_packed(turn, "l", witness->touches));
    return 0;
}

static int echo(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int64_t left = 0;

    (void)state;
    if (stead_get_i64(args, NULL, &left) != 0)
        stead_sim_broken("an echo without its number");
    if (left <= 0)
        return 0;
    return stead_tell(turn, stead_printed(turn, "witness/echo%lld", (long long)left), "echo",
                      stead_packed(turn, "l", left - 1));
}

static const struct stead_op witness_ops[] = {{.name = "heard", .run = heard}, {.name = "echo", .run = echo}, {0}};
static const struct stead_kind witness_kind = {.abi = STEAD_ABI,
                                               .struct_size = sizeof(struct stead_kind),
                                               .name = "witness",
                                               .durability = STEAD_VOLATILE,
                                               .flags = STEAD_KIND_FORGETTABLE,
                                               .state_size = sizeof(struct phoenix),
                                               .fields = phoenix_fields,
                                               .ops = witness_ops};

static void issue_tell(struct stead_sim *sim, struct stead_sim_client *client)
{
    int verb = stead_world_chance(&sim->world, 800) ? TELL_MARK : TELL_POKE;
    struct stead_sim_op *op =
        stead_sim_op_new(sim, client, &stead_work_tell, verb, (uint32_t)stead_world_below(&sim->world, AGENTS));
    char address[48];

    if (op == NULL)
        return;
    stead_format(address, sizeof address, "marker/m%u", op->agent);
    if (verb == TELL_MARK)
        stead_sim_op_pack(sim, op, STEAD_CALL, address, "mark", "l", (int64_t)op->number);
    else
        stead_sim_op_tell(sim, op, address, "poke", "l", (int64_t)op->number);
}

static void verify_tell(struct stead_sim *sim)
{
    const struct oracle *oracle = find_oracle();
    char address[48];

    for (uint32_t agent = 0; agent < AGENTS; agent++) {
        stead_format(address, sizeof address, "marker/m%u", agent);
        int64_t counted = stead_sim_ask_i64(sim, address, "count");
        for (int64_t n = counted + 1; n < (int64_t)COUNTS_MAX; n++)
            if (oracle->made_by[agent][n] != 0)
                stead_world_fail(&sim->world, "a witness has heard of count %lld of %s, which stands at %lld",
                                 (long long)n, address, (long long)counted);
    }
}

static const struct stead_kind *const tell_kinds[] = {&marker_kind, &witness_kind, NULL};
const struct stead_workload stead_work_tell = {
    .name = "tell", .kinds = tell_kinds, .issue = issue_tell, .read = read_number, .verify = verify_tell};
