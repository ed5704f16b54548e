/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Broken locks: orchestrations add 1 to a vault inside a critical section, by reading, waiting and writing, while
 * clients break their locks.
 *
 * What must hold: a section whose lock was broken is told so (STEAD_ESTATE), and what it sends under its old fence is
 * refused; so the vault is written by the section that has it and by nobody else (work_flow_kinds.c looks at every get
 * and put), and at the end it holds as many as there are instances that say they have added.
 */
#include <stdio.h>

#include "agents/instance.h"
#include "tests/sim/work_flow.h"

#define LOCKERS 16u
#define VAULTS 2u

enum { BREAK_START, BREAK_UNLOCK, BREAK_STATUS };

/* 1: it has added; 0: its lock was broken before it could. */
static int run_locker(struct stead_orchestration *o, struct stead_slice input)
{
    uint64_t vault = 0, value = 0, who = 0, sleep = 0;
    struct stead_slice answer = {0};

    if (stead_get_u64(input, "vault", &vault) != 0 || stead_get_u64(input, "who", &who) != 0 ||
        stead_get_u64(input, "sleep", &sleep) != 0)
        stead_sim_broken("a locker has another input than it was given");
    const char *address = stead_printed_for(o, "%s/b%llu", STEAD_PROGRAM_VAULT, (unsigned long long)vault);
    address = (const char *)stead_keep(o, stead_bytes(address, strlen(address) + 1)).data;
    int code = stead_lock(o, &address, 1);
    if (code != 0)
        stead_sim_broken("%s cannot lock: %s", stead_instance_id(o), stead_error_name(code));
    uint64_t fence = stead_lock_fence(o, address);
    code = stead_await_call(o, address, "get", stead_packed_for(o, "{s:u,s:u}", "fence", fence, "who", who), &answer);
    if (code == 0 && stead_get_u64(answer, NULL, &value) != 0)
        stead_sim_broken("a vault does not answer");
    if (code == 0 && sleep > 0)
        code = stead_await_timer(o, (int64_t)sleep);
    if (code == 0)
        code = stead_await_call(
            o, address, "put",
            stead_packed_for(o, "{s:u,s:u,s:u,s:u}", "fence", fence, "who", who, "id", who, "value", value + 1), NULL);
    if (code != 0 && code != STEAD_ESTATE)
        stead_sim_broken("%s fails inside its section: %s", stead_instance_id(o), stead_error_name(code));
    stead_unlock(o);
    return stead_complete(o, stead_packed_for(o, "u", (uint64_t)(code == 0)));
}

const struct stead_orchestrator stead_locker_orchestrator = {.abi = STEAD_ORCHESTRATION_ABI,
                                                             .struct_size = sizeof(struct stead_orchestrator),
                                                             .name = "sim.locker",
                                                             .help = "adds 1 under a lock that may be broken",
                                                             .version = 1,
                                                             .run = run_locker};

/* ---- Requests ------------------------------------------------------------------------------------ */

/* Lockers that were started, and those known to be over, as requests tell. */
static uint32_t count_started(const struct stead_sim *sim)
{
    const struct stead_sim_op *op;
    uint32_t count = 0;

    for (uint32_t at = 0; (op = stead_sim_op_next(sim, &stead_work_break, &at)) != NULL;)
        count += op->verb == BREAK_START;
    return count;
}

static void submit(struct stead_sim *sim, struct stead_sim_client *client, int verb, uint32_t agent)
{
    struct stead_sim_op *op = stead_sim_op_new(sim, client, &stead_work_break, verb, agent);
    char address[64], vault[48];

    if (op == NULL)
        return;
    stead_format(address, sizeof address, "%s/locker-%u", STEAD_ORCHESTRATION_KIND, agent);
    stead_format(vault, sizeof vault, "%s/b%u", STEAD_PROGRAM_VAULT, agent);
    if (verb == BREAK_START)
        stead_sim_op_pack(sim, op, STEAD_CALL, address, "start", "{s:s,s:u,s:{s:u,s:u,s:u},s:b,s:l}", "name",
                          stead_locker_orchestrator.name, "version", (uint64_t)0, "input", "vault",
                          (uint64_t)(agent % VAULTS), "who", (uint64_t)agent + 1, "sleep",
                          stead_world_below(&sim->world, 20), "replace", 0, "delay", (int64_t)0);
    else if (verb == BREAK_UNLOCK)
        stead_sim_op_pack(sim, op, STEAD_QUERY, vault, "unlock", "{s:s}", "address", vault);
    else
        stead_sim_op_pack(sim, op, STEAD_CALL, address, "status", "{}");
}

static void issue_break(struct stead_sim *sim, struct stead_sim_client *client)
{
    uint32_t started = count_started(sim);

    if (started < LOCKERS && stead_world_chance(&sim->world, 500))
        submit(sim, client, BREAK_START, started);
    else
        submit(sim, client, BREAK_UNLOCK, (uint32_t)stead_world_below(&sim->world, VAULTS));
}

static void read_break(struct stead_sim *sim, struct stead_sim_op *op, struct stead_slice value)
{
    struct stead_instance told;

    if (op->verb != BREAK_STATUS)
        return;
    if (stead_instance_read(value, &told) != 0)
        stead_world_fail(&sim->world, "the status of locker-%u cannot be read", op->agent);
    op->out = stead_instance_is_over(told.status);
}

/* ---- The end ------------------------------------------------------------------------------------------ */

/* Told as over, or as never started, since faults ended. */
static bool is_settled(const struct stead_sim *sim, uint32_t agent)
{
    const struct stead_sim_op *op;

    for (uint32_t at = 0; (op = stead_sim_op_next(sim, &stead_work_break, &at)) != NULL;)
        if (op->verb == BREAK_STATUS && op->agent == agent && op->returned_ns != UINT64_MAX &&
            (op->code == STEAD_ENOTFOUND || (op->code == 0 && op->out != 0)))
            return true;
    return false;
}

static void relieve_break(struct stead_sim *sim)
{
    uint32_t started = count_started(sim);

    for (uint32_t agent = 0; agent < started; agent++)
        if (!is_settled(sim, agent))
            submit(sim, &sim->clients[STEAD_SIM_CLIENTS_MAX - 1], BREAK_STATUS, agent);
}

static const char *find_running(struct stead_sim *sim)
{
    static char name[32]; /* valid until the next look */
    uint32_t started = count_started(sim);

    for (uint32_t agent = 0; agent < started; agent++)
        if (!is_settled(sim, agent)) {
            stead_format(name, sizeof name, "locker-%u", agent);
            return name;
        }
    return NULL;
}

static void verify_break(struct stead_sim *sim)
{
    uint64_t added[VAULTS] = {0}, held = 0;
    uint32_t started = count_started(sim);
    char address[64];

    for (uint32_t agent = 0; agent < started; agent++) {
        struct stead_instance told;
        struct stead_slice value;
        uint64_t output = 0;
        stead_format(address, sizeof address, "%s/locker-%u", STEAD_ORCHESTRATION_KIND, agent);
        int code = stead_sim_try(sim, address, "status", (struct stead_slice){0}, &value);
        if (code == STEAD_ENOTFOUND)
            continue;
        if (code != 0 || stead_instance_read(value, &told) != 0 || told.status != STEAD_INSTANCE_COMPLETED ||
            stead_get_u64(told.output, NULL, &output) != 0)
            stead_world_fail(&sim->world, "locker-%u has not completed", agent);
        added[agent % VAULTS] += output;
    }
    for (uint32_t vault = 0; vault < VAULTS; vault++) {
        stead_format(address, sizeof address, "%s/b%u", STEAD_PROGRAM_VAULT, vault);
        if (stead_get_u64(stead_sim_ask(sim, address, "value", (struct stead_slice){0}), NULL, &held) != 0 ||
            held != added[vault])
            stead_world_fail(&sim->world, "%s holds %llu, and %llu instances have added", address,
                             (unsigned long long)held, (unsigned long long)added[vault]);
    }
}

static const struct stead_kind *const no_kinds[] = {NULL}; /* those of flow */
const struct stead_workload stead_work_break = {.name = "break",
                                                .kinds = no_kinds,
                                                .issue = issue_break,
                                                .read = read_break,
                                                .relieve = relieve_break,
                                                .pending = find_running,
                                                .verify = verify_break};
