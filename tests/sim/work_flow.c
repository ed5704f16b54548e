/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random orchestrations on the direct fabric: clients start programs, raise the events that they wait for, look at
 * them, and suspend, resume, terminate, rewind, restart and purge them, in any order and whatever became of the last
 * request.
 *
 * In one seed of four another version of the code is loaded for a while, which fails every instance whose history it
 * meets. Afterwards they are rewound, once, and must go on as if nothing had been: what came meanwhile is not lost, and
 * nothing is asked for twice.
 *
 * When faults are over, what still waits is helped: events that nobody acknowledged are raised again, suspended
 * instances go on; then every instance must come to its end by itself. work_flow_check.c compares what they left with
 * the reference.
 */
#include <stdio.h>

#include "agents/instance.h"
#include "tests/sim/work_flow.h"

#define LATE_NS (6 * STEAD_S) /* behind the end of faults: no request of theirs is under way */
#define OTHER_CODE_FROM_NS (50 * STEAD_MS)
#define OTHER_CODE_TO_NS (4 * STEAD_S)
#define EXPLAIN_NS (170 * STEAD_S)

static const char *const verb_ops[STEAD_FLOW_VERBS] = {
    [STEAD_FLOW_START] = "start",         [STEAD_FLOW_STATUS] = "status",   [STEAD_FLOW_RAISE] = "raise",
    [STEAD_FLOW_TERMINATE] = "terminate", [STEAD_FLOW_SUSPEND] = "suspend", [STEAD_FLOW_RESUME] = "resume",
    [STEAD_FLOW_REWIND] = "rewind",       [STEAD_FLOW_RESTART] = "restart", [STEAD_FLOW_PURGE] = "purge",
    [STEAD_FLOW_MEND] = "rewind"};

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

/* Not drawn: other seeds stay as they were. */
static bool has_other_code(const char *instance)
{
    const struct stead_sim *sim = stead_sim_current();

    (void)instance;
    return sim->world.seed % 4 == 3 && !sim->calm && sim->world.now_ns >= OTHER_CODE_FROM_NS &&
           sim->world.now_ns < OTHER_CODE_TO_NS;
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

static struct stead_flow_instance *make_instance(struct stead_sim *sim, struct stead_flow *flow, bool hub)
{
    struct stead_flow_instance *instance = &flow->instances[flow->instance_count];
    struct stead_program program;

    stead_program_hooks = (struct stead_program_hooks){on_broken, on_entered, draw_chance, has_other_code};
    instance->seed = stead_world_below(&sim->world, 1u << 30);
    instance->number = flow->instance_count++;
    instance->hub = hub;
    stead_format(instance->id, sizeof instance->id, "%s-%llu", hub ? "hub" : "flow",
                 (unsigned long long)instance->number);
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
    struct stead_sim_op *op = stead_sim_op_new(sim, client, instance->hub ? &stead_work_hub : &stead_work_flow,
                                               (int)verb, (uint32_t)instance->number);
    char address[STEAD_HUB_PART_SIZE];
    struct stead_writer args;
    const char *name = verb_ops[verb];

    if (op == NULL)
        return;
    op->in[0] = in;
    if (instance->hub && verb == STEAD_FLOW_RESTART)
        op->in[0] = ++instance->starts;
    instance->tried[verb]++;
    stead_writer_init(&args);
    if (instance->hub) {
        name = stead_flow_hub_pack(stead_flow_oracle(), instance, op, address, sizeof address, &args);
    } else {
        stead_format(address, sizeof address, "%s/%s", STEAD_ORCHESTRATION_KIND, instance->id);
        pack_args(&args, instance, op);
    }
    const struct stead_sim_request request = {
        .type = STEAD_CALL, .address = address, .op = name, .args = stead_written(&args)};
    stead_world_note_text(&sim->world, verb == STEAD_FLOW_MEND ? "mend" : name, op->number, instance->id);
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

static struct stead_flow_instance *draw_instance(struct stead_sim *sim, struct stead_flow *flow, bool hub)
{
    struct stead_flow_instance *found = NULL;
    uint32_t count = 0;

    for (uint32_t i = 0; i < flow->instance_count; i++)
        if (flow->instances[i].hub == hub && stead_world_below(&sim->world, ++count) == 0)
            found = &flow->instances[i];
    return found;
}

static void issue(struct stead_sim *sim, struct stead_sim_client *client, bool hub)
{
    struct stead_flow *flow = stead_flow_oracle();
    struct stead_flow_instance *instance = draw_instance(sim, flow, hub);
    uint64_t luck = stead_world_below(&sim->world, 10);

    if (instance == NULL || luck < 3) {
        int64_t delay = !hub && stead_world_chance(&sim->world, 200) ? (int64_t)stead_world_below(&sim->world, 30) : 0;
        if (flow->instance_count < STEAD_FLOW_INSTANCES_MAX)
            submit(sim, client, STEAD_FLOW_START, make_instance(sim, flow, hub), delay);
        return;
    }
    /* Half of the instances are left in peace, so that their outcome is exact. */
    if (luck < 5 && instance->number % 2 == 1)
        submit(sim, client, draw_steer(sim), instance, 0);
    else if (luck < 6)
        submit(sim, client, STEAD_FLOW_STATUS, instance, 0);
    else if (instance->event_count != 0)
        submit(sim, client, STEAD_FLOW_RAISE, instance, (int64_t)stead_world_below(&sim->world, instance->event_count));
}

static void issue_flow(struct stead_sim *sim, struct stead_sim_client *client)
{
    issue(sim, client, false);
}

static void issue_hub(struct stead_sim *sim, struct stead_sim_client *client)
{
    if (stead_flow_oracle()->hub_made)
        issue(sim, client, true);
    else
        stead_flow_hub_make(sim, client);
}

/* A row is there: its message, which alone makes anybody look at it. `number`: the request that made the row. */
static void put_start(void *self, uint64_t number, void *data)
{
    struct stead_sim *sim = self;
    const struct stead_sim_op *op = &sim->ops[number];

    (void)data;
    if (!sim->ending && !stead_flow_oracle()->hub_gone)
        submit(sim, &sim->clients[op->client], STEAD_FLOW_PUT, &stead_flow_oracle()->instances[op->agent], op->in[0]);
}

static void read_flow(struct stead_sim *sim, struct stead_sim_op *op, struct stead_slice answer)
{
    struct stead_flow_instance *instance = &stead_flow_oracle()->instances[op->agent];
    struct stead_instance told;

    if (op->verb == STEAD_FLOW_MAKE) {
        stead_flow_oracle()->hub_made = true;
        return;
    }
    instance->done[op->verb]++;
    if (instance->hub && (op->verb == STEAD_FLOW_START || op->verb == STEAD_FLOW_RESTART)) {
        instance->made = (uint32_t)op->in[0] + 1 > instance->made ? (uint32_t)op->in[0] + 1 : instance->made;
        stead_world_after(&sim->world, stead_world_delay(&sim->world, STEAD_MS), put_start, sim, op->number, NULL);
    }
    if (op->verb == STEAD_FLOW_RAISE)
        instance->events[op->in[0]].taken = true;
    if (op->verb != STEAD_FLOW_STATUS)
        return;
    if (stead_instance_read(answer, &told) != 0)
        stead_world_fail(&sim->world, "the status of %s cannot be read", instance->id);
    op->out = (int64_t)told.status;
    instance->differs = sim->calm && strcmp(told.error_name, "nondeterminism") == 0;
    if (sim->calm && stead_instance_is_over(told.status) && !instance->differs)
        instance->settled = true;
}

/* ---- When faults are over ------------------------------------------------------------------------------ */

/* The newest status that was asked for since faults ended; NULL: none is known. */
static const struct stead_sim_op *find_status(struct stead_sim *sim, const struct stead_flow_instance *instance)
{
    for (uint32_t at = sim->op_count; at-- > 0;) {
        const struct stead_sim_op *op = &sim->ops[at];
        if (op->workload == (instance->hub ? &stead_work_hub : &stead_work_flow) && op->agent == instance->number &&
            op->verb == STEAD_FLOW_STATUS && op->client == STEAD_SIM_CLIENTS_MAX - 1u)
            return op;
    }
    return NULL;
}

/* On the hub: a start that stopped half-way goes on; its message is known again if it was there. A client may have died
 * before it heard that its restart was taken: one of those is tried after the other while the instance waits for its
 * start, which takes no notice of any but its own. */
static void relieve_start(struct stead_sim *sim, struct stead_flow_instance *instance,
                          const struct stead_sim_op *status)
{
    struct stead_sim_client *auditor = &sim->clients[STEAD_SIM_CLIENTS_MAX - 1];
    bool waits = status != NULL && status->code == 0 && status->returned_ns != UINT64_MAX &&
                 status->out == (int64_t)STEAD_INSTANCE_PENDING;
    uint32_t most = instance->starts + 1 > instance->made ? instance->starts + 1 - instance->made : 0;

    if (instance->made > 0)
        submit(sim, auditor, STEAD_FLOW_PUT, instance, instance->made - 1);
    else
        submit(sim, auditor, STEAD_FLOW_START, instance, 0);
    if (waits && most > 0)
        submit(sim, auditor, STEAD_FLOW_PUT, instance, instance->made + instance->reliefs++ % most);
}

static void relieve_instance(struct stead_sim *sim, struct stead_flow_instance *instance)
{
    struct stead_sim_client *auditor = &sim->clients[STEAD_SIM_CLIENTS_MAX - 1];
    const struct stead_sim_op *status = find_status(sim, instance);
    uint64_t settled_ns = stead_flow_oracle()->calm_ns + LATE_NS;

    if (status != NULL && status->invoked_ns > settled_ns && status->returned_ns != UINT64_MAX &&
        status->code == STEAD_ENOTFOUND)
        instance->settled = true;
    if (instance->settled)
        return;
    if (sim->world.traced && sim->world.now_ns > EXPLAIN_NS)
        stead_flow_explain(sim, instance->id);
    if (sim->world.traced && sim->world.now_ns > EXPLAIN_NS && instance->hub)
        stead_flow_hub_explain(sim);
    if (instance->hub && (status == NULL || status->code != STEAD_ENOTFOUND || instance->tried[STEAD_FLOW_PURGE] == 0))
        relieve_start(sim, instance, status);
    if (instance->tried[STEAD_FLOW_SUSPEND] != 0)
        submit(sim, auditor, STEAD_FLOW_RESUME, instance, 0);
    if (instance->differs && instance->tried[STEAD_FLOW_MEND] == 0) /* twice, it could be a failure of its own */
        submit(sim, auditor, STEAD_FLOW_MEND, instance, 0);
    for (uint32_t e = 0; e < instance->event_count; e++)
        if (!instance->events[e].taken || instance->hub || instance->tried[STEAD_FLOW_RESTART] != 0)
            submit(sim, auditor, STEAD_FLOW_RAISE, instance, (int64_t)e);
    submit(sim, auditor, STEAD_FLOW_STATUS, instance, 0);
}

static void relieve_flow(struct stead_sim *sim)
{
    struct stead_flow *flow = sim->flow;

    if (flow == NULL || flow->hub_gone)
        return;
    if (flow->calm_ns == 0)
        flow->calm_ns = sim->world.now_ns;
    if (sim->hub_lives && !flow->hub_made)
        stead_flow_hub_make(sim, &sim->clients[STEAD_SIM_CLIENTS_MAX - 1]);
    for (uint32_t i = 0; i < flow->instance_count; i++)
        relieve_instance(sim, &flow->instances[i]);
}

/* Messages that came late may have begun one anew that had been seen as over (a restart, a rewind), or have suspended
 * it then: it is helped on like the others. */
bool stead_flow_hub_relieve(struct stead_sim *sim)
{
    struct stead_flow *flow = stead_flow_oracle();
    bool found = false;

    for (uint32_t i = 0; i < flow->instance_count; i++) {
        struct stead_flow_instance *instance = &flow->instances[i];
        struct stead_instance told;
        struct stead_slice value;
        if (!instance->hub || stead_flow_look(sim, instance->id, "status", 0, &value) != 0 ||
            stead_instance_read(value, &told) != 0)
            continue;
        instance->differs = strcmp(told.error_name, "nondeterminism") == 0;
        instance->settled = stead_instance_is_over(told.status) && !instance->differs;
        if (instance->settled)
            continue;
        relieve_instance(sim, instance);
        found = true;
    }
    return found;
}

/* An instance that has not ended yet; NULL: there is none. */
static const char *find_running(struct stead_sim *sim)
{
    if (sim->hub_lives && !stead_flow_oracle()->hub_made)
        return "the making of the hub";
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

static const struct stead_kind *const hub_kinds[] = {NULL}; /* those of flow */
const struct stead_workload stead_work_hub = {
    .name = "hub", .kinds = hub_kinds, .issue = issue_hub, .read = read_flow, .verify = verify_flow};
