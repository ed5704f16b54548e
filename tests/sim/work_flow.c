/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random orchestrations on the direct fabric: clients start programs, raise the events that they wait for, look at them, and suspend, resume, terminate, rewind,
 * restart and purge them, in any order and whatever became of the last request.
 *
 * When faults are over, what still waits is helped: events that nobody acknowledged are raised again, suspended instances go on; then every instance must come to its end by
 * itself. work_flow_check.c compares what they left with the reference.
 */
#include <stdio.h>

#include "agents/instance.h"
#include "tests/sim/work_flow.h"

#define EXPLAIN_NS (170 * STEAD_S) /* something hangs: a trace shows what */

static const char *const verb_ops[STEAD_FLOW_VERBS] = {
    [STEAD_FLOW_START] = "start",         [STEAD_FLOW_STATUS] = "status",   [STEAD_FLOW_RAISE] = "raise",
    [STEAD_FLOW_TERMINATE] = "terminate", [STEAD_FLOW_SUSPEND] = "suspend", [STEAD_FLOW_RESUME] = "resume",
    [STEAD_FLOW_REWIND] = "rewind",       [STEAD_FLOW_RESTART] = "restart", [STEAD_FLOW_PURGE] = "purge"};

void stead_flow_address(char *ret_address, size_t size, const char *id)
{
    stead_format(ret_address, size, "%s/%s", STEAD_ORCHESTRATION_KIND, id);
}

/* ---- The hooks of the programs -------------------------------------------------------------------- */

static void on_broken(const char *instance, const char *what)
{
    stead_sim_broken("instance %s: %s", instance, what);
}

static void on_entered(const char *instance)
{
    struct stead_flow *flow = stead_flow_oracle();
    uint32_t at = 0;

    while (at < flow->seen_count && strcmp(flow->seen[at], instance) != 0)
        at++;
    if (at < flow->seen_count)
        return;
    STEAD_ASSERT(at < STEAD_FLOW_SEEN_MAX);
    stead_format(flow->seen[at], sizeof flow->seen[at], "%s", instance);
    flow->seen_count++;
}

static uint64_t draw_chance(void)
{
    return stead_rng_next(&stead_sim_current()->world.rng);
}

/* ---- Requests ----------------------------------------------------------------------------------------- */

static void add_event(void *context, const char *name, uint64_t event_value)
{
    struct stead_flow_instance *instance = context;

    STEAD_ASSERT(instance->event_count < STEAD_FLOW_EVENTS_MAX);
    stead_format(instance->events[instance->event_count].name, STEAD_PROGRAM_TEXT_SIZE, "%s", name);
    instance->events[instance->event_count++].value = event_value;
}

static void print_line(void *context, const char *text)
{
    stead_world_note_text(context, "program", 0, text);
}

static struct stead_flow_instance *make_instance(struct stead_sim *sim, struct stead_flow *flow)
{
    struct stead_flow_instance *instance = &flow->instances[flow->instance_count];
    struct stead_program program;

    stead_program_hooks = (struct stead_program_hooks){on_broken, on_entered, draw_chance};
    instance->seed = stead_world_below(&sim->world, 1u << 30);
    instance->number = flow->instance_count++;
    stead_format(instance->id, sizeof instance->id, "flow-%llu", (unsigned long long)instance->number);
    stead_program_generate(&program, instance->seed);
    const struct stead_program_input input = stead_program_start(&program, instance->seed, instance->number);
    stead_program_events(&program, &input, add_event, instance);
    stead_world_note_text(&sim->world, "makes", instance->number, instance->id);
    stead_program_print(&program, print_line, &sim->world);
    return instance;
}

static void pack_args(struct stead_writer *args, const struct stead_flow_instance *instance,
                      const struct stead_sim_op *op)
{
    struct stead_program program;

    if (op->verb == STEAD_FLOW_START) {
        struct stead_writer input;
        stead_program_generate(&program, instance->seed);
        const struct stead_program_input start = stead_program_start(&program, instance->seed, instance->number);
        stead_writer_init(&input);
        stead_program_input_write(&input, &start);
        stead_pack(args, "{s:s,s:u,s:v,s:b,s:l}", "name", STEAD_PROGRAM_NAME, "version", (uint64_t)0, "input",
                   stead_written(&input), "replace", 0, "delay", op->in[0]);
        stead_writer_deinit(&input);
    } else if (op->verb == STEAD_FLOW_RAISE) {
        stead_pack(args, "{s:s,s:u}", "name", instance->events[op->in[0]].name, "value",
                   instance->events[op->in[0]].value);
    } else if (op->verb == STEAD_FLOW_STATUS) {
        stead_pack(args, "{}");
    } else {
        stead_pack(args, "{s:s}", "reason", "because");
    }
}

static void submit(struct stead_sim *sim, struct stead_sim_client *client, enum stead_flow_verb verb,
                   struct stead_flow_instance *instance, int64_t in)
{
    struct stead_sim_op *op = stead_sim_op_new(sim, client, &stead_work_flow, (int)verb, (uint32_t)instance->number);
    char address[STEAD_FLOW_ID_SIZE + 32];
    struct stead_writer args;

    if (op == NULL)
        return;
    op->in[0] = in;
    instance->tried[verb]++;
    stead_flow_address(address, sizeof address, instance->id);
    stead_writer_init(&args);
    pack_args(&args, instance, op);
    const struct stead_sim_request request = {
        .type = STEAD_CALL, .address = address, .op = verb_ops[verb], .args = stead_written(&args)};
    stead_sim_op_submit(sim, op, &request);
    stead_writer_deinit(&args);
}

/* Suspend and resume often, the rest now and then. */
static enum stead_flow_verb draw_steer(struct stead_sim *sim)
{
    static const enum stead_flow_verb verbs[] = {STEAD_FLOW_SUSPEND, STEAD_FLOW_SUSPEND,   STEAD_FLOW_RESUME,
                                                 STEAD_FLOW_RESUME,  STEAD_FLOW_TERMINATE, STEAD_FLOW_RESTART,
                                                 STEAD_FLOW_PURGE,   STEAD_FLOW_REWIND};

    return verbs[stead_world_below(&sim->world, sizeof verbs / sizeof verbs[0])];
}

static void issue_flow(struct stead_sim *sim, struct stead_sim_client *client)
{
    struct stead_flow *flow = stead_flow_oracle();
    uint64_t luck = stead_world_below(&sim->world, 10);

    if (flow->instance_count == 0 || (luck < 3 && flow->instance_count < STEAD_FLOW_INSTANCES_MAX)) {
        int64_t delay = stead_world_chance(&sim->world, 200) ? (int64_t)stead_world_below(&sim->world, 30) : 0;
        submit(sim, client, STEAD_FLOW_START, make_instance(sim, flow), delay);
        return;
    }
    struct stead_flow_instance *instance = &flow->instances[stead_world_below(&sim->world, flow->instance_count)];
    /* Half of the instances are left in peace, so that their outcome is exact. */
    if (luck < 5 && instance->number % 2 == 1)
        submit(sim, client, draw_steer(sim), instance, 0);
    else if (luck < 6)
        submit(sim, client, STEAD_FLOW_STATUS, instance, 0);
    else if (instance->event_count != 0)
        submit(sim, client, STEAD_FLOW_RAISE, instance, (int64_t)stead_world_below(&sim->world, instance->event_count));
}

static void read_flow(struct stead_sim *sim, struct stead_sim_op *op, struct stead_slice answer)
{
    struct stead_flow_instance *instance = &stead_flow_oracle()->instances[op->agent];
    struct stead_instance told;

    instance->done[op->verb]++;
    if (op->verb == STEAD_FLOW_RAISE)
        instance->events[op->in[0]].taken = true;
    if (op->verb != STEAD_FLOW_STATUS)
        return;
    if (stead_instance_read(answer, &told) != 0)
        stead_world_fail(&sim->world, "the status of %s cannot be read", instance->id);
    op->out = (int64_t)told.status;
    if (sim->calm && stead_instance_is_over(told.status))
        instance->settled = true;
}

/* ---- When faults are over ------------------------------------------------------------------------------ */

/* The newest status that was asked for since faults ended; NULL: none is known. */
static const struct stead_sim_op *find_status(struct stead_sim *sim, const struct stead_flow_instance *instance)
{
    for (uint32_t at = sim->op_count; at-- > 0;) {
        const struct stead_sim_op *op = &sim->ops[at];
        if (op->workload == &stead_work_flow && op->agent == instance->number && op->verb == STEAD_FLOW_STATUS &&
            op->client == STEAD_SIM_CLIENTS_MAX - 1u)
            return op;
    }
    return NULL;
}

static void relieve_flow(struct stead_sim *sim)
{
    struct stead_sim_client *auditor = &sim->clients[STEAD_SIM_CLIENTS_MAX - 1];

    for (uint32_t i = 0; sim->flow != NULL && i < stead_flow_oracle()->instance_count; i++) {
        struct stead_flow_instance *instance = &stead_flow_oracle()->instances[i];
        const struct stead_sim_op *status = find_status(sim, instance);
        if (status != NULL && status->returned_ns != UINT64_MAX && status->code == STEAD_ENOTFOUND)
            instance->settled = true;
        if (instance->settled)
            continue;
        if (sim->world.traced && sim->world.now_ns > EXPLAIN_NS)
            stead_flow_explain(sim, instance->id);
        if (instance->tried[STEAD_FLOW_SUSPEND] != 0)
            submit(sim, auditor, STEAD_FLOW_RESUME, instance, 0);
        for (uint32_t e = 0; e < instance->event_count; e++)
            if (!instance->events[e].taken || instance->tried[STEAD_FLOW_RESTART] != 0)
                submit(sim, auditor, STEAD_FLOW_RAISE, instance, (int64_t)e);
        submit(sim, auditor, STEAD_FLOW_STATUS, instance, 0);
    }
}

/* An instance that has not ended yet; NULL: there is none. */
static const char *find_running(struct stead_sim *sim)
{
    for (uint32_t i = 0; sim->flow != NULL && i < stead_flow_oracle()->instance_count; i++)
        if (!stead_flow_oracle()->instances[i].settled)
            return stead_flow_oracle()->instances[i].id;
    return NULL;
}

static void verify_flow(struct stead_sim *sim)
{
    if (sim->flow != NULL)
        stead_flow_verify(sim);
}

const struct stead_workload stead_work_flow = {.name = "flow",
                                               .kinds = stead_flow_kinds,
                                               .issue = issue_flow,
                                               .read = read_flow,
                                               .relieve = relieve_flow,
                                               .pending = find_running,
                                               .verify = verify_flow};
