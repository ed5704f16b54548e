/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simulated clients: the client's pure core (runtime/client_core.h) over the simulated net, and the requests of the
 * workloads.
 *
 * A client may die with everything it had in flight: the outcome of those requests is never known, and its next life
 * has another session. The last client is the auditor: it asks only when faults are over, and must be answered.
 *
 * What an end of a request means (stead_sim_op_outcome): 0: it took effect, once; a failure that an op itself reported:
 * it took none, and that is final; everything else: unknown, since an earlier copy of the request may have been, or may
 * yet be, taken.
 */
#include <stdlib.h>

#include "tests/sim/linearizability.h"
#include "tests/sim/sim.h"

#define CONFIGURATIONS_MAX 300000u
#define AUDIT_TIMEOUT_MS 60000u
#define AUDITOR (STEAD_SIM_CLIENTS_MAX - 1u)

/* ---- The core's effects ---------------------------------------------------------------------------- */

static void effect_connect(void *self, uint32_t node, uint16_t reactor)
{
    struct stead_sim_client *client = self;
    struct stead_sim_node *to = stead_sim_node_of(client->sim, node);

    if (to != NULL && reactor < client->sim->plan.reactors)
        stead_sim_net_connect(&client->connections[to->index][reactor]);
}

static void effect_send(void *self, uint32_t node, uint16_t reactor, const struct stead_message *message)
{
    struct stead_sim_client *client = self;
    struct stead_sim_node *to = stead_sim_node_of(client->sim, node);

    STEAD_ASSERT(to != NULL && reactor < client->sim->plan.reactors);
    stead_sim_net_request(&client->connections[to->index][reactor], message);
}

static void complete_ask(struct stead_sim *sim, int code, const struct stead_message *answer)
{
    sim->asked_done = true;
    sim->asked_code = code;
    stead_writer_reset(&sim->asked);
    if (answer != NULL)
        stead_write_raw(&sim->asked, answer->payload, answer->payload_size);
}

static void effect_complete(void *self, void *context, int code, struct stead_message **answer)
{
    struct stead_sim_client *client = self;
    struct stead_sim *sim = client->sim;

    if (context == NULL) {
        complete_ask(sim, code, *answer);
        return;
    }
    struct stead_sim_op *op = &sim->ops[(uintptr_t)context - 1];
    if (op->returned_ns != UINT64_MAX || op->client != client->index)
        stead_world_fail(&sim->world, "request %u is completed twice", op->number);
    op->returned_ns = sim->world.now_ns;
    op->code = code;
    sim->ops_open--;
    if (code == 0 && op->workload->read != NULL)
        op->workload->read(sim, op, stead_message_payload(*answer));
    stead_world_note(&sim->world, "returned", op->number, (uint64_t)-code, (uint64_t)op->out);
}

static void refresh_table(void *self, uint64_t life, void *data)
{
    struct stead_sim_client *client = self;
    struct stead_sim *sim = client->sim;
    uint64_t first = stead_world_below(&sim->world, sim->plan.nodes);

    (void)data;
    if (sim->ending || life != client->life)
        return;
    for (uint32_t i = 0; i < sim->plan.nodes; i++) {
        struct stead_sim_node *node = &sim->nodes[(first + i) % sim->plan.nodes];
        if (node->phase != STEAD_SIM_UP)
            continue;
        stead_sim_client_enter(client);
        stead_client_core_set_table(client->core, node->table);
        stead_sim_client_settle(client);
        return;
    }
}

static void effect_refresh(void *self)
{
    struct stead_sim_client *client = self;
    struct stead_world *world = &client->sim->world;

    stead_world_after(world, stead_world_delay(world, 2 * client->sim->plan.link_ns), refresh_table, client,
                      client->life, NULL);
}

/* ---- A client's life ---------------------------------------------------------------------------------- */

static void create_core(struct stead_sim_client *client)
{
    struct stead_sim *sim = client->sim;
    const struct stead_client_core_options options = {
        .seed = stead_rng_next(&sim->world.rng),
        .timeout_ms = client->index == AUDITOR ? AUDIT_TIMEOUT_MS : sim->plan.timeout_ms,
        .retry_ms = sim->plan.retry_ms,
        .session_ms_max = sim->plan.settings.session_age_ms_max,
        .ended_above_max = sim->plan.settings.session_answers_max / 8,
        .effects = {client, effect_connect, effect_send, effect_complete, effect_refresh},
    };

    client->core = stead_client_core_create(&options);
    client->woken_ns = UINT64_MAX;
    stead_sim_client_enter(client);
}

void stead_sim_client_init(struct stead_sim *sim, uint32_t index)
{
    struct stead_sim_client *client = &sim->clients[index];

    client->sim = sim;
    client->index = index;
    create_core(client);
}

void stead_sim_client_deinit(struct stead_sim_client *client)
{
    client->life++;
    if (client->core != NULL)
        stead_client_core_destroy(&client->core);
}

void stead_sim_client_vanish(struct stead_sim_client *client)
{
    struct stead_sim *sim = client->sim;

    stead_world_note(&sim->world, "vanish", client->index, 0, 0);
    client->life++;
    for (uint32_t i = 0; i < sim->plan.nodes * sim->plan.reactors; i++) {
        struct stead_sim_connection *connection = &client->connections[i / sim->plan.reactors][i % sim->plan.reactors];
        stead_sim_net_break_connection(connection);
        connection->opening = false;
    }
    for (uint32_t i = 0; i < sim->op_count; i++) {
        struct stead_sim_op *op = &sim->ops[i];
        if (op->client != client->index || op->returned_ns != UINT64_MAX || op->code != 0)
            continue;
        op->code = STEAD_ECANCELLED;
        sim->ops_open--;
    }
    stead_client_core_destroy(&client->core);
    create_core(client);
}

void stead_sim_client_enter(struct stead_sim_client *client)
{
    uint64_t now_ns = client->sim->world.now_ns;

    stead_client_core_set_now(client->core, now_ns + STEAD_SIM_MONO_NS,
                              STEAD_SIM_WALL_MS + now_ns / STEAD_MS + client->sim->leapt_ms);
}

static void wake(void *self, uint64_t life, void *data)
{
    struct stead_sim_client *client = self;

    (void)data;
    if (client->sim->ending || life != client->life || client->woken_ns > client->sim->world.now_ns)
        return;
    client->woken_ns = UINT64_MAX;
    stead_sim_client_settle(client);
}

void stead_sim_client_settle(struct stead_sim_client *client)
{
    struct stead_world *world = &client->sim->world;

    stead_sim_client_enter(client);
    stead_client_core_step(client->core);
    uint64_t due = stead_client_core_due(client->core);
    if (due == STEAD_CLIENT_NEVER)
        return;
    uint64_t at = due <= world->now_ns + STEAD_SIM_MONO_NS ? world->now_ns + STEAD_US : due - STEAD_SIM_MONO_NS;
    if (at >= client->woken_ns)
        return;
    client->woken_ns = at;
    stead_world_after(world, at - world->now_ns, wake, client, client->life, NULL);
}

/* ---- Requests -------------------------------------------------------------------------------------------- */

enum stead_sim_outcome stead_sim_op_outcome(const struct stead_sim_op *op)
{
    if (op->returned_ns != UINT64_MAX && op->code == 0)
        return STEAD_SIM_DONE;
    return op->code == STEAD_EFAILED || op->code == STEAD_EARGUMENT ? STEAD_SIM_REFUSED : STEAD_SIM_UNKNOWN;
}

struct stead_sim_op *stead_sim_op_new(struct stead_sim *sim, struct stead_sim_client *client,
                                      const struct stead_workload *workload, int verb, uint32_t agent)
{
    if (sim->op_count == sim->op_capacity)
        return NULL;
    struct stead_sim_op *op = &sim->ops[sim->op_count];
    *op = (struct stead_sim_op){.workload = workload,
                                .number = sim->op_count,
                                .agent = agent,
                                .verb = verb,
                                .client = client->index,
                                .invoked_ns = sim->world.now_ns,
                                .returned_ns = UINT64_MAX};
    return op;
}

static int submit(struct stead_sim_client *client, const struct stead_sim_request *request, void *context)
{
    const struct stead_client_request submitted = {
        .type = request->type,
        .address = stead_str(request->address),
        .op = stead_str(request->op),
        .args = request->args,
        .key = request->key == NULL ? (struct stead_slice){0} : stead_str(request->key),
        .delay_ms = request->delay_ms,
        .fence = request->fence,
        .context = context,
    };
    stead_sim_client_enter(client);
    int code = stead_client_core_submit(client->core, &submitted);
    stead_sim_client_settle(client);
    return code;
}

void stead_sim_op_submit(struct stead_sim *sim, struct stead_sim_op *op, const struct stead_sim_request *request)
{
    STEAD_ASSERT(op->number == sim->op_count);
    sim->op_count++;
    sim->ops_open++;
    stead_world_note_text(&sim->world, "invoke", op->number, request->address);
    stead_world_note_text(&sim->world, "  op", (uint64_t)op->in[0], request->op);
    int code = submit(&sim->clients[op->client], request, (void *)(uintptr_t)(op->number + 1u));
    if (code != 0)
        stead_world_fail(&sim->world, "the client refuses a request: %s", stead_error_name(code));
}

void stead_sim_tell(struct stead_sim *sim, struct stead_sim_client *client, const char *address, const char *op,
                    struct stead_slice args)
{
    stead_sim_client_enter(client);
    int code = stead_client_core_tell(client->core, stead_str(address), stead_str(op), args);
    if (code != 0 && code != STEAD_EBUSY)
        stead_world_fail(&sim->world, "the client refuses a tell: %s", stead_error_name(code));
    stead_sim_client_settle(client);
}

static int try_ask(struct stead_sim *sim, enum stead_message_type type, const char *address, const char *op,
                   struct stead_slice args)
{
    const struct stead_sim_request request = {.type = type, .address = address, .op = op, .args = args};
    struct stead_sim_client *auditor = &sim->clients[AUDITOR];

    sim->asked_done = false;
    stead_world_note_text(&sim->world, "ask", 0, address);
    if (submit(auditor, &request, NULL) != 0)
        stead_world_fail(&sim->world, "the client refuses the auditor's request");
    while (!sim->asked_done)
        if (!stead_world_step(&sim->world, UINT64_MAX))
            stead_world_fail(&sim->world, "the auditor's %s of %s is never answered", op, address);
    return sim->asked_code;
}

int stead_sim_try(struct stead_sim *sim, const char *address, const char *op, struct stead_slice args,
                  struct stead_slice *ret_value)
{
    int code = try_ask(sim, STEAD_CALL, address, op, args);

    if (code == STEAD_ESESSION) /* it slept for longer than a session lasts */
        code = try_ask(sim, STEAD_CALL, address, op, args);
    *ret_value = stead_written(&sim->asked);
    return code;
}

static struct stead_slice ask(struct stead_sim *sim, enum stead_message_type type, const char *address, const char *op,
                              struct stead_slice args)
{
    if (try_ask(sim, type, address, op, args) == STEAD_ESESSION) /* it slept for longer than a session lasts */
        (void)try_ask(sim, type, address, op, args);
    if (sim->asked_code != 0)
        stead_world_fail(&sim->world, "the auditor's %s of %s fails with %s", op, address,
                         stead_error_name(sim->asked_code));
    return stead_written(&sim->asked);
}

struct stead_slice stead_sim_ask(struct stead_sim *sim, const char *address, const char *op, struct stead_slice args)
{
    return ask(sim, STEAD_CALL, address, op, args);
}

int stead_sim_try_query(struct stead_sim *sim, const char *address, const char *query, struct stead_slice args)
{
    return try_ask(sim, STEAD_QUERY, address, query, args);
}

struct stead_slice stead_sim_query(struct stead_sim *sim, const char *address, const char *query,
                                   struct stead_slice args)
{
    return ask(sim, STEAD_QUERY, address, query, args);
}

const struct stead_sim_op *stead_sim_op_next(const struct stead_sim *sim, const struct stead_workload *workload,
                                             uint32_t *at)
{
    while (*at < sim->op_count) {
        const struct stead_sim_op *op = &sim->ops[(*at)++];
        if (op->workload == workload)
            return op;
    }
    return NULL;
}

static void check_history(struct stead_sim *sim, const struct stead_lin_model *model, const char *name, uint32_t agent,
                          const struct stead_lin_op *ops, uint32_t count)
{
    uint32_t stuck = 0;
    enum stead_lin_verdict verdict = stead_lin_check(model, ops, count, CONFIGURATIONS_MAX, &stuck);

    stead_world_note(&sim->world, "history", agent, count, (uint64_t)verdict);
    if (verdict != STEAD_LIN_NO)
        return;
    for (uint32_t i = 0; i < count && sim->world.traced; i++)
        stead_world_note(&sim->world, i == stuck ? "stuck" : "lin", ops[i].invoked, ops[i].returned,
                         (uint64_t)ops[i].out);
    stead_world_fail(&sim->world,
                     "the history of %s agent %u is not linearizable: nothing explains op kind %d, in %lld, out %lld, "
                     "returned at %.6f s",
                     name, agent, ops[stuck].kind, (long long)ops[stuck].in[0], (long long)ops[stuck].out,
                     (double)ops[stuck].returned / 1e9);
}

void stead_sim_check_histories(struct stead_sim *sim, const struct stead_workload *workload,
                               const struct stead_lin_model *model, uint32_t agents,
                               bool (*make)(const struct stead_sim_op *op, uint32_t agent, struct stead_lin_op *ret_op))
{
    struct stead_lin_op *ops = stead_alloc(sizeof *ops * (sim->op_count + 1u));

    for (uint32_t agent = 0; agent < agents; agent++) {
        const struct stead_sim_op *op;
        uint32_t count = 0, at = 0;
        while ((op = stead_sim_op_next(sim, workload, &at)) != NULL) {
            bool done = stead_sim_op_outcome(op) != STEAD_SIM_UNKNOWN;
            ops[count] = (struct stead_lin_op){.invoked = op->invoked_ns,
                                               .returned = done ? op->returned_ns : STEAD_LIN_NEVER,
                                               .kind = op->verb,
                                               .in = {op->in[0], op->in[1]},
                                               .out = op->out,
                                               .answered = done};
            if (make(op, agent, &ops[count]))
                count++;
        }
        check_history(sim, model, workload->name, agent, ops, count);
    }
    free(ops);
}
