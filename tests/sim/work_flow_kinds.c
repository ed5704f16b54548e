/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agents and activities of random programs.
 *
 *     sim.tally     counts effects by id (add, note), refuses, and remembers a number that must be the same when it comes again
 *     sim.vault     `get` and `put` of one critical section, in that order, under a fence that never goes back: what is between them is a read-modify-write,
 *                   so that two sections at once would lose a share
 *     activities    functions of their input; the flaky one fails as long as it has run fewer times than it was told, over all lives of all nodes
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/work_flow.h"

struct stead_flow *stead_flow_oracle(void)
{
    struct stead_sim *sim = stead_sim_current();

    if (sim->flow == NULL)
        sim->flow = stead_alloc_zero(sizeof(struct stead_flow));
    return sim->flow;
}

uint32_t stead_flow_runs(uint64_t id, bool again)
{
    struct stead_flow *flow = stead_flow_oracle();
    uint32_t at = (uint32_t)id % STEAD_FLOW_RUNS_MAX;

    for (uint32_t tries = 0; flow->runs[at].id != id && flow->runs[at].id != 0; tries++) {
        STEAD_ASSERT(tries < STEAD_FLOW_RUNS_MAX);
        at = (at + 1) % STEAD_FLOW_RUNS_MAX;
    }
    flow->runs[at].id = id;
    flow->runs[at].count += again ? 1 : 0;
    return flow->runs[at].count;
}

static uint64_t number_of(struct stead_slice args, const char *field)
{
    uint64_t number = 0;

    if (stead_get_u64(args, field, &number) != 0)
        stead_sim_broken("an argument '%s' is lost on the way", field);
    return number;
}

/* ---- Tallies ------------------------------------------------------------------------------------ */

static int add(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t id = number_of(args, "id");

    (void)state;
    stead_kv_set_number(turn, 'd', id, stead_kv_number(turn, 'd', id) + 1);
    return stead_reply(turn, stead_packed(turn, "u", stead_program_result(id, number_of(args, "x"))));
}

static int refuse(struct stead_turn *turn, void *state, struct stead_slice args)
{
    char name[64];

    (void)state;
    if (stead_get_text(args, "error", name, sizeof name) != 0)
        stead_sim_broken("an argument is lost on the way");
    stead_kv_set_number(turn, 'd', number_of(args, "id"), 1000); /* which goes with the failed turn */
    return stead_fail(turn, name, "%s", "refused");
}

/* What a rewind makes void is decided anew, and draws anew. */
static bool is_rewound(void)
{
    const struct stead_flow *flow = stead_flow_oracle();
    uint32_t rewinds = 0;

    for (uint32_t i = 0; i < flow->instance_count; i++)
        rewinds += flow->instances[i].tried[STEAD_FLOW_REWIND];
    return rewinds != 0;
}

static int remember(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t id = number_of(args, "id");
    int64_t value = (int64_t)(number_of(args, "value") >> 1), known = stead_kv_number(turn, 'r', id);

    (void)state;
    if (known != 0 && known != value + 1 && !is_rewound())
        stead_sim_broken("a number that was drawn once has two values: %lld and %lld (id %llx)", (long long)known - 1,
                         (long long)value, (unsigned long long)id);
    stead_kv_set_number(turn, 'r', id, value + 1);
    return stead_reply(turn, stead_packed(turn, "u", id));
}

static int dump(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_reply(turn, stead_kv_dump(turn, 'd'));
}

static const struct stead_op tally_ops[] = {{.name = "add", .run = add},
                                            {.name = "note", .run = add},
                                            {.name = "refuse", .run = refuse},
                                            {.name = "remember", .run = remember},
                                            {.name = "dump", .run = dump, .flags = STEAD_OP_READ_ONLY},
                                            {0}};
static const struct stead_kind tally_kind = {
    .abi = STEAD_ABI, .struct_size = sizeof(struct stead_kind), .name = STEAD_PROGRAM_TALLY, .ops = tally_ops};

/* ---- Vaults --------------------------------------------------------------------------------------- */

struct vault {
    uint64_t value;
    uint64_t fence; /* the newest */
    uint64_t who;   /* the section that has it */
    uint64_t done;  /* the fence of the last put */
};

static int get(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct vault *vault = state;
    uint64_t fence = number_of(args, "fence"), who = number_of(args, "who");

    if (fence <= vault->fence)
        stead_sim_broken("%s is entered under fence %llu after %llu", stead_self(turn), (unsigned long long)fence,
                         (unsigned long long)vault->fence);
    vault->fence = fence;
    vault->who = who;
    return stead_reply(turn, stead_packed(turn, "u", vault->value));
}

static int put(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct vault *vault = state;
    uint64_t fence = number_of(args, "fence"), who = number_of(args, "who"), id = number_of(args, "id");

    if (fence != vault->fence || who != vault->who || vault->done == fence)
        stead_sim_broken("%s is changed under fence %llu by %llx; fence %llu and %llx have it", stead_self(turn),
                         (unsigned long long)fence, (unsigned long long)who, (unsigned long long)vault->fence,
                         (unsigned long long)vault->who);
    vault->done = fence;
    vault->value = number_of(args, "value");
    stead_kv_set_number(turn, 'd', id, stead_kv_number(turn, 'd', id) + 1);
    return stead_reply(turn, stead_packed(turn, "u", vault->value));
}

static int value(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    return stead_reply(turn, stead_packed(turn, "u", ((struct vault *)state)->value));
}

static const struct stead_field vault_fields[] = {
    STEAD_FIELD(U64, struct vault, value), STEAD_FIELD(U64, struct vault, fence), STEAD_FIELD(U64, struct vault, who),
    STEAD_FIELD(U64, struct vault, done), STEAD_FIELDS_END};
static const struct stead_op vault_ops[] = {{.name = "get", .run = get},
                                            {.name = "put", .run = put},
                                            {.name = "dump", .run = dump, .flags = STEAD_OP_READ_ONLY},
                                            {.name = "value", .run = value, .flags = STEAD_OP_READ_ONLY},
                                            {0}};
static const struct stead_kind vault_kind = {.abi = STEAD_ABI,
                                             .struct_size = sizeof(struct stead_kind),
                                             .name = STEAD_PROGRAM_VAULT,
                                             .state_size = sizeof(struct vault),
                                             .fields = vault_fields,
                                             .ops = vault_ops};

/* ---- Activities --------------------------------------------------------------------------------------- */

static int answer(struct stead_job *job, struct stead_slice args)
{
    uint64_t id = number_of(args, "id");

    return stead_job_reply(job, stead_job_packed(job, "u", stead_program_result(id, number_of(args, "x"))));
}

static int fail(struct stead_job *job, struct stead_slice args)
{
    char name[64];

    if (stead_get_text(args, "error", name, sizeof name) != 0)
        stead_sim_broken("an argument is lost on the way");
    return stead_job_fail(job, name, "%s", "it is broken");
}

static int run_work(struct stead_job *job, struct stead_slice args)
{
    stead_flow_runs(number_of(args, "id"), true);
    return answer(job, args);
}

static int run_flaky(struct stead_job *job, struct stead_slice args)
{
    return stead_flow_runs(number_of(args, "id"), true) < number_of(args, "fails") ? fail(job, args)
                                                                                   : answer(job, args);
}

static int run_broken(struct stead_job *job, struct stead_slice args)
{
    stead_flow_runs(number_of(args, "id"), true);
    return fail(job, args);
}

static int run_dice(struct stead_job *job, struct stead_slice args)
{
    uint64_t id = number_of(args, "id"), runs = stead_flow_runs(id, true);

    return stead_job_reply(job, stead_job_packed(job, "u", stead_program_mix(id, runs)));
}

STEAD_ACTIVITY(work_kind, STEAD_PROGRAM_WORK, run_work, 0);
STEAD_ACTIVITY(swift_kind, STEAD_PROGRAM_SWIFT, run_work, STEAD_KIND_IDEMPOTENT);
STEAD_ACTIVITY(flaky_kind, STEAD_PROGRAM_FLAKY, run_flaky, 0);
STEAD_ACTIVITY(broken_kind, STEAD_PROGRAM_BROKEN, run_broken, 0);
STEAD_ACTIVITY(dice_kind, STEAD_PROGRAM_DICE, run_dice, 0);

const struct stead_kind *const stead_flow_kinds[] = {&tally_kind, &vault_kind,  &work_kind, &swift_kind,
                                                     &flaky_kind, &broken_kind, &dice_kind, NULL};
