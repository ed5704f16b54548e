/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of one seed:
 *
 *     draw the plan -> start the nodes -> requests and faults, mixed -> calm: everything is healed, nothing new goes wrong
 *       -> drained: every request has ended, every outbox is empty, every host is idle -> the workloads look at their agents
 *       -> clean stop: each image is what its log says, nothing is left over -> (some seeds) start again and look once more
 *
 * Nothing that goes wrong ends the run before calm comes, and nothing may be wrong after it.
 */
#include "tests/sim/sim.h"

#include <stdlib.h>

#include "tests/sim/work.h"

#define OPS_SPARE 1024u           /* beyond the plan's: the auditor's, and those of relieve() */
#define RUN_NS_MAX (10 * STEAD_S) /* then it turns calm, whatever is left to ask */
#define DRAIN_NS_MAX (180 * STEAD_S)
#define DRAIN_LOOK_NS (50 * STEAD_MS)
#define QUIET_NS (500 * STEAD_MS)  /* drained when so long nothing was left to do */
#define RELIEF_NS (2 * STEAD_S)    /* between two asks of the workloads for what holds work back */
#define CONSENSUS_BYTES_MIN 65536u /* with less the same tells of a round to all members are dropped each time */
#define AUDITOR (STEAD_SIM_CLIENTS_MAX - 1u)

uint32_t stead_sim_nodes_up(const struct stead_sim *sim)
{
    uint32_t up = 0;

    for (uint32_t n = 0; n < sim->plan.nodes; n++)
        up += sim->nodes[n].phase == STEAD_SIM_UP;
    return up;
}

struct stead_sim_node *stead_sim_node_of(struct stead_sim *sim, uint32_t node_id)
{
    for (uint32_t n = 0; n < sim->plan.nodes; n++)
        if (sim->nodes[n].id == node_id)
            return &sim->nodes[n];
    return NULL;
}

/* ---- The coordinator ------------------------------------------------------------------------------- */

/* Makes a coordinator of the rows that are on its disk; none: a new cluster. */
static void load_coordinator(struct stead_sim *sim)
{
    struct stead_coordinator_options options = {.nodes_expected = sim->plan.nodes};
    struct stead_coordinator_effects effects = {0};
    struct stead_slice key, value;

    stead_store64(options.cluster.v, sim->world.seed + 1);
    sim->coordinator = stead_coordinator_create(&options);
    for (uint32_t i = 0; i < stead_shadow_row_count(sim, STEAD_SHADOW_COORDINATOR); i++) {
        stead_shadow_row(sim, STEAD_SHADOW_COORDINATOR, i, &key, &value);
        if (stead_coordinator_restore(sim->coordinator, key, value) != 0)
            stead_world_fail(&sim->world, "the coordinator does not know its own row again");
    }
    stead_writer_init(&effects.rows);
    if (stead_coordinator_restored(sim->coordinator, sim->world.now_ns / STEAD_MS, &effects) != 0)
        stead_world_fail(&sim->world, "the coordinator cannot start: %s", effects.why);
    stead_shadow_apply(sim, STEAD_SHADOW_COORDINATOR, stead_written(&effects.rows));
    stead_writer_deinit(&effects.rows);
    stead_coordinator_check(sim->coordinator);
}

void stead_sim_coordinator_create(struct stead_sim *sim)
{
    load_coordinator(sim);
}

void stead_sim_coordinator_restart(struct stead_sim *sim)
{
    uint64_t version = stead_coordinator_table(sim->coordinator)->version;

    stead_coordinator_destroy(&sim->coordinator);
    load_coordinator(sim);
    if (stead_coordinator_table(sim->coordinator)->version < version)
        stead_world_fail(&sim->world, "the coordinator came back with an older table");
    stead_world_note(&sim->world, "coordinator", 0, stead_coordinator_table(sim->coordinator)->version, 0);
}

void stead_sim_coordinator_put_back(struct stead_sim *sim)
{
    stead_coordinator_destroy(&sim->coordinator);
    load_coordinator(sim);
}

static void push_table(void *self, uint64_t restores, void *data)
{
    struct stead_sim_node *node = self;
    struct stead_table *table = data;

    if (!node->sim->ending && restores == node->sim->restores)
        stead_sim_node_hear(node, table);
    stead_table_release(&table);
}

void stead_sim_coordinator_step(struct stead_sim *sim, const struct stead_coordinator_command *command,
                                struct stead_coordinator_effects *effects)
{
    *effects = (struct stead_coordinator_effects){0};
    stead_writer_init(&effects->rows);
    stead_coordinator_step(sim->coordinator, command, sim->world.now_ns / STEAD_MS, effects);
    stead_coordinator_check(sim->coordinator);
    stead_shadow_apply(sim, STEAD_SHADOW_COORDINATOR, stead_written(&effects->rows));
    stead_world_note(&sim->world, "coordinator", command->op, command->node, (uint64_t)-effects->status);
    for (uint32_t n = 0; n < sim->plan.nodes && effects->table_changed; n++)
        stead_world_after(&sim->world, stead_world_delay(&sim->world, 2 * STEAD_MS), push_table, &sim->nodes[n],
                          sim->restores, stead_table_hold(stead_coordinator_table(sim->coordinator)));
}

/* ---- Requests ---------------------------------------------------------------------------------------- */

static void issue_next(void *self, uint64_t number, void *data)
{
    struct stead_sim_client *client = self;
    struct stead_sim *sim = client->sim;
    uint32_t nth, set = sim->plan.workloads;

    (void)number, (void)data;
    if (sim->calm || sim->op_count >= sim->plan.ops)
        return;
    stead_world_after(&sim->world, stead_world_below(&sim->world, 2 * sim->plan.op_gap_ns) + 1, issue_next, client, 0,
                      NULL);
    if (stead_client_core_in_flight(client->core) >= sim->plan.window)
        return;
    nth = (uint32_t)stead_world_below(&sim->world, (uint64_t)__builtin_popcount(set));
    while (nth-- > 0)
        set &= set - 1;
    stead_workloads[__builtin_ctz(set)]->issue(sim, client);
}

/* ---- The phases ------------------------------------------------------------------------------------------ */

static void begin(struct stead_sim *sim, const struct stead_sim_options *options)
{
    stead_world_init(&sim->world, options->seed);
    sim->world.traced = options->traced;
    sim->world.rerun = options->rerun;
    stead_sim_set_current(sim);
    stead_sim_plan_draw(&sim->plan, &sim->world);
    sim->plan.settings.hooks = options->faults;
    sim->agent_faults = options->agent_faults;
    sim->death_at = options->death_at;
    if (options->peaceful)
        stead_sim_plan_calm(&sim->plan);
    if (options->restore || options->alone)
        stead_sim_plan_restore(&sim->plan, options->seed, options->alone);
    if (options->workloads != 0)
        sim->plan.workloads = options->workloads;
    if ((sim->plan.workloads & stead_sim_workload_bit(&stead_work_consensus)) != 0 &&
        sim->plan.settings.memory_bytes_max < CONSENSUS_BYTES_MIN)
        sim->plan.settings.memory_bytes_max = CONSENSUS_BYTES_MIN;
    if ((sim->plan.workloads & stead_sim_workload_bit(&stead_work_hub)) != 0)
        stead_sim_plan_hub(&sim->plan);
    if (sim->plan.workloads == stead_sim_workload_bit(&stead_work_cron))
        stead_sim_plan_cron(&sim->plan, &sim->world);
    sim->op_capacity = sim->plan.ops + OPS_SPARE;
    sim->ops = stead_alloc_zero(sim->op_capacity * sizeof *sim->ops);
    stead_writer_init(&sim->asked);
    stead_shadow_init(sim);
    stead_sim_coordinator_create(sim);
    for (uint32_t n = 0; n < sim->plan.nodes; n++)
        stead_sim_node_init(sim, n);
    stead_sim_net_init(sim);
    for (uint32_t n = 0; n < sim->plan.nodes; n++)
        stead_sim_node_start(&sim->nodes[n]);
    for (uint32_t c = 0; c < sim->plan.clients; c++) {
        stead_sim_client_init(sim, c);
        stead_world_after(&sim->world, 10 * STEAD_MS, issue_next, &sim->clients[c], 0, NULL);
    }
    stead_sim_client_init(sim, AUDITOR);
}

/* The one death of a run that is peaceful otherwise: of every node in turn, by power or not. */
static void die(struct stead_sim *sim)
{
    struct stead_sim_node *node = &sim->nodes[sim->death_at % sim->plan.nodes];

    if (node->phase == STEAD_SIM_DOWN)
        return;
    stead_sim_node_crash(node, sim->death_at / sim->plan.nodes % 2 == 0);
    stead_sim_plan_start(node);
}

static void step_until(struct stead_sim *sim, uint64_t until_ns)
{
    while (stead_world_step(&sim->world, until_ns))
        if (sim->world.ran == sim->death_at && !sim->calm)
            die(sim);
    if (sim->world.now_ns < until_ns)
        sim->world.now_ns = until_ns;
}

/* Requests and faults, until every request was issued and has ended. */
static void run_wild(struct stead_sim *sim)
{
    stead_sim_nemesis_start(sim);
    if (sim->plan.restore)
        stead_sim_cut_start(sim);
    while ((sim->op_count < sim->plan.ops || sim->ops_open > 0) && sim->world.now_ns < RUN_NS_MAX)
        step_until(sim, sim->world.now_ns + DRAIN_LOOK_NS);
    if (stead_sim_cut_is_whole(sim))
        stead_sim_cut_restore(sim);
    stead_world_note(&sim->world, "wild", sim->op_count, sim->ops_open, sim->deaths);
}

static void turn_calm(struct stead_sim *sim)
{
    sim->calm = true;
    memset(sim->apart, 0, sizeof sim->apart);
    for (uint32_t n = 0; n < sim->plan.nodes; n++) {
        struct stead_sim_node *node = &sim->nodes[n];
        stead_store_memory_kill(node->store); /* a disk that was to fail is replaced */
        node->disk.stall = 1;
        node->jump_ms = 0;
    }
    stead_sim_nemesis_end(sim);
}

/* What holds the node's work back, as a text; NULL: nothing. */
static const char *find_work(const struct stead_sim_node *node)
{
    if (node->phase != STEAD_SIM_UP)
        return "not up";
    if (!stead_sim_disk_idle(node))
        return "disk busy";
    for (uint32_t r = 0; r < node->sim->plan.reactors; r++) {
        const struct stead_sim_host *host = &node->hosts[r];
        const struct stead_stats *stats = stead_host_stats(host->host);
        if (host->loads != 0)
            return "loads";
        if (host->jobs != 0 || stead_host_jobs(host->host) != 0)
            return "jobs";
        if (stats->outbox_records != 0)
            return "outbox records";
        if (stats->outputs_held != 0)
            return "outputs held";
        if (!stead_host_idle(host->host))
            return "host not idle";
    }
    return NULL;
}

/* Timers that are still to ring, calls and delayed signals that are still to end: rows of the shadow. */
static const char *find_pending(struct stead_sim *sim)
{
    static char text[STEAD_SHADOW_TEXT_SIZE]; /* valid until the next look */

    for (uint32_t n = 0; n < sim->plan.nodes; n++) {
        const char *work = find_work(&sim->nodes[n]);
        if (work != NULL)
            return work;
    }
    if (sim->ops_open > 0)
        return "requests in flight";
    for (uint32_t w = 0; stead_workloads[w] != NULL; w++) {
        const char *who = stead_workloads[w]->pending == NULL ? NULL : stead_workloads[w]->pending(sim);
        if (who != NULL) {
            stead_format(text, sizeof text, "%s: %s has not ended", stead_workloads[w]->name, who);
            return text;
        }
    }
    return stead_shadow_find_leftover(sim, text, sizeof text);
}

static void drain(struct stead_sim *sim)
{
    uint64_t give_up_ns = sim->world.now_ns + DRAIN_NS_MAX + 2 * sim->far_ms * STEAD_MS;
    uint64_t quiet_ns = sim->world.now_ns, relief_ns = 0;
    const char *pending = "not looked yet";

    while (sim->world.now_ns < quiet_ns + QUIET_NS) {
        for (uint32_t n = 0; n < sim->plan.nodes; n++)
            if (sim->nodes[n].phase == STEAD_SIM_DOWN)
                stead_sim_node_start(&sim->nodes[n]);
        if (pending != NULL && sim->world.now_ns > relief_ns) {
            relief_ns = sim->world.now_ns + RELIEF_NS + sim->far_ms * STEAD_MS / 10;
            for (uint32_t w = 0; stead_workloads[w] != NULL; w++)
                if (stead_workloads[w]->relieve != NULL)
                    stead_workloads[w]->relieve(sim);
        }
        step_until(sim, sim->world.now_ns + DRAIN_LOOK_NS);
        pending = find_pending(sim);
        if (pending != NULL)
            quiet_ns = sim->world.now_ns;
        if (sim->world.now_ns > give_up_ns)
            stead_world_fail(&sim->world, "faults are over and it does not drain: %s", pending);
    }
    stead_world_note(&sim->world, "drained", sim->op_count, sim->deaths, 0);
}

/* A node was put back alone: what it forgot is lost, and so is what others waited for. But whatever is sent arrives,
 * and nothing is stuck. */
static void drain_outboxes(struct stead_sim *sim)
{
    uint64_t give_up_ns = sim->world.now_ns + DRAIN_NS_MAX, quiet_ns = sim->world.now_ns;

    while (sim->world.now_ns < quiet_ns + QUIET_NS) {
        const char *work = NULL;
        for (uint32_t n = 0; n < sim->plan.nodes; n++)
            if (sim->nodes[n].phase == STEAD_SIM_DOWN)
                stead_sim_node_start(&sim->nodes[n]);
        step_until(sim, sim->world.now_ns + DRAIN_LOOK_NS);
        for (uint32_t n = 0; n < sim->plan.nodes && work == NULL; n++)
            work = find_work(&sim->nodes[n]);
        if (work != NULL)
            quiet_ns = sim->world.now_ns;
        if (sim->world.now_ns > give_up_ns)
            stead_world_fail(&sim->world, "a node was restored alone and it does not drain: %s", work);
    }
    stead_world_note(&sim->world, "drained", sim->op_count, sim->deaths, 0);
}

static void check_counters(struct stead_sim *sim)
{
    for (uint32_t n = 0; n < sim->plan.nodes; n++)
        for (uint32_t r = 0; r < sim->plan.reactors; r++)
            if (stead_host_stats(sim->nodes[n].hosts[r].host)->history_lost != 0)
                stead_world_fail(&sim->world, "a channel of node %u disputes its past", n + 1);
}

static void verify(struct stead_sim *sim)
{
    check_counters(sim);
    for (uint32_t w = 0; stead_workloads[w] != NULL; w++)
        if ((sim->plan.workloads >> w & 1u) != 0)
            stead_workloads[w]->verify(sim);
}

static void stop_all(struct stead_sim *sim)
{
    for (uint32_t n = 0; n < sim->plan.nodes; n++)
        stead_sim_node_stop(&sim->nodes[n]);
    for (uint32_t n = 0; n < sim->plan.nodes; n++)
        while (sim->nodes[n].phase != STEAD_SIM_DOWN)
            if (!stead_world_step(&sim->world, UINT64_MAX))
                stead_world_fail(&sim->world, "node %u does not stop", n + 1);
}

static void end(struct stead_sim *sim)
{
    sim->ending = true;
    for (uint32_t n = 0; n < sim->plan.nodes; n++)
        stead_sim_node_crash(&sim->nodes[n], false);
    for (uint32_t c = 0; c < STEAD_SIM_CLIENTS_MAX; c++)
        stead_sim_client_deinit(&sim->clients[c]);
    while (stead_world_step(&sim->world, UINT64_MAX))
        continue;
    stead_sim_net_deinit(sim);
    stead_sim_cut_deinit(sim);
    for (uint32_t n = 0; n < sim->plan.nodes; n++)
        stead_sim_node_deinit(&sim->nodes[n]);
    stead_shadow_deinit(sim);
    stead_coordinator_destroy(&sim->coordinator);
    stead_writer_deinit(&sim->asked);
    stead_world_deinit(&sim->world);
    stead_sim_set_current(NULL);
    free(sim->oracle);
    free(sim->mail);
    free(sim->flow);
    free(sim->consensus);
    free(sim->upgrade);
    free(sim->ops);
}

uint64_t stead_sim_run(const struct stead_sim_options *options)
{
    struct stead_sim *sim = stead_alloc_zero(sizeof *sim);

    begin(sim, options);
    run_wild(sim);
    if (options->ret_events != NULL)
        *options->ret_events = sim->world.ran;
    turn_calm(sim);
    if (sim->plan.alone) {
        drain_outboxes(sim);
    } else {
        drain(sim);
        verify(sim);
        drain(sim);
        sim->drained = true;
    }
    stop_all(sim);
    if (sim->plan.again && !sim->plan.alone) {
        drain(sim);
        verify(sim);
    }
    uint64_t hash = sim->world.hash;
    end(sim);
    free(sim);
    return hash;
}
