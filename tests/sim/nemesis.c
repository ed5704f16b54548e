/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nemesis: what goes wrong, each sort of fault on its own clock, until the run turns calm.
 *
 * A fault that lasts (a node that is down, a partition, a stalled disk) plans its own end, which also comes when the
 * run turns calm in between: the run itself heals everything then (sim.c), so an end that comes late finds nothing to
 * do.
 */
#include "tests/sim/sim.h"

#define FAR_JUMP_MS 120000u

static struct stead_sim_node *random_node(struct stead_sim *sim)
{
    return &sim->nodes[stead_world_below(&sim->world, sim->plan.nodes)];
}

/* Plans the next fault of a sort: times between are uniform in 0 .. 2 x mean. */
static void again(struct stead_sim *sim, uint64_t mean_ns, stead_world_fn *fault)
{
    if (mean_ns != 0)
        stead_world_after(&sim->world, stead_world_below(&sim->world, 2 * mean_ns + 1), fault, sim, 0, NULL);
}

static void start_again(void *self, uint64_t starts, void *data)
{
    struct stead_sim_node *node = self;

    (void)data;
    if (!node->sim->ending && node->phase == STEAD_SIM_DOWN && node->starts == starts)
        stead_sim_node_start(node);
}

void stead_sim_plan_start(struct stead_sim_node *node)
{
    struct stead_world *world = &node->sim->world;

    stead_world_after(world, stead_world_delay(world, 10 * STEAD_MS), start_again, node, node->starts, NULL);
}

static void crash_node(void *self, uint64_t number, void *data)
{
    struct stead_sim *sim = self;
    struct stead_sim_node *node = random_node(sim);
    bool power = stead_world_chance(&sim->world, 600);

    (void)number, (void)data;
    if (sim->calm)
        return;
    again(sim, sim->plan.crash_gap_ns, crash_node);
    if (node->phase == STEAD_SIM_DOWN)
        return;
    stead_sim_node_crash(node, power);
    stead_sim_plan_start(node);
}

static void look_after_stop(void *self, uint64_t starts, void *data)
{
    struct stead_sim_node *node = self;

    (void)data;
    if (node->sim->ending || node->starts != starts || node->sim->calm)
        return;
    if (node->phase == STEAD_SIM_DOWN)
        stead_sim_plan_start(node);
    else
        stead_world_after(&node->sim->world, 5 * STEAD_MS, look_after_stop, node, starts, NULL);
}

void stead_sim_plan_restart(struct stead_sim_node *node)
{
    if (node->phase != STEAD_SIM_UP)
        return;
    stead_sim_node_stop(node);
    stead_world_after(&node->sim->world, 5 * STEAD_MS, look_after_stop, node, node->starts, NULL);
}

static void stop_node(void *self, uint64_t number, void *data)
{
    struct stead_sim *sim = self;
    struct stead_sim_node *node = random_node(sim);

    (void)number, (void)data;
    if (sim->calm)
        return;
    again(sim, sim->plan.stop_gap_ns, stop_node);
    stead_sim_plan_restart(node);
}

static void break_something(void *self, uint64_t number, void *data)
{
    struct stead_sim *sim = self;
    struct stead_sim_host *host = &random_node(sim)->hosts[stead_world_below(&sim->world, sim->plan.reactors)];
    struct stead_sim_host *other = &random_node(sim)->hosts[stead_world_below(&sim->world, sim->plan.reactors)];
    struct stead_sim_client *client = &sim->clients[stead_world_below(&sim->world, sim->plan.clients)];

    (void)number, (void)data;
    if (sim->calm)
        return;
    again(sim, sim->plan.break_gap_ns, break_something);
    if (host->node != other->node && stead_world_chance(&sim->world, 500))
        stead_sim_net_break_link(&host->links[other->node->index][other->index]);
    else
        stead_sim_net_break_connection(&client->connections[host->node->index][host->index]);
}

static void heal(void *self, uint64_t pair, void *data)
{
    struct stead_sim *sim = self;

    (void)data;
    sim->apart[pair / STEAD_SIM_NODES_MAX][pair % STEAD_SIM_NODES_MAX] = false;
}

/* One direction or both; what is under way between them is cut. */
static void partition_nodes(void *self, uint64_t number, void *data)
{
    struct stead_sim *sim = self;
    struct stead_sim_node *a = random_node(sim), *b = random_node(sim);

    (void)number, (void)data;
    if (sim->calm)
        return;
    again(sim, sim->plan.partition_gap_ns, partition_nodes);
    if (a == b)
        return;
    sim->apart[a->index][b->index] = true;
    stead_world_note(&sim->world, "apart", a->index, b->index, 0);
    stead_world_after(&sim->world, stead_world_delay(&sim->world, 50 * STEAD_MS), heal, sim,
                      a->index * STEAD_SIM_NODES_MAX + b->index, NULL);
    for (uint32_t r = 0; r < sim->plan.reactors * sim->plan.reactors; r++) {
        stead_sim_net_break_link(&a->hosts[r / sim->plan.reactors].links[b->index][r % sim->plan.reactors]);
        stead_sim_net_break_link(&b->hosts[r / sim->plan.reactors].links[a->index][r % sim->plan.reactors]);
    }
}

static void jump_clock(void *self, uint64_t number, void *data)
{
    struct stead_sim *sim = self;
    struct stead_sim_node *node = random_node(sim);

    (void)number, (void)data;
    if (sim->calm)
        return;
    again(sim, sim->plan.jump_gap_ns, jump_clock);
    bool far =
        sim->plan.settings.session_age_ms_max > FAR_JUMP_MS * 100u; /* a session outlasts what clocks differ by */
    uint64_t reach = !stead_world_chance(&sim->world, 100)         ? 400
                     : far && stead_world_chance(&sim->world, 250) ? FAR_JUMP_MS
                                                                   : 3000;
    node->jump_ms = (int64_t)stead_world_below(&sim->world, 2 * reach + 1) - (int64_t)reach;
    uint64_t off_ms = (uint64_t)(node->jump_ms < 0 ? -node->jump_ms : node->jump_ms);
    sim->far_ms = off_ms > sim->far_ms ? off_ms : sim->far_ms;
    stead_world_note(&sim->world, "jump", node->index, (uint64_t)node->jump_ms, 0);
}

static void leap_on(void *self, uint64_t number, void *data)
{
    struct stead_sim *sim = self;
    uint64_t minutes = stead_world_below(&sim->world, stead_world_chance(&sim->world, 200) ? 240 : 20) + 1;

    (void)number, (void)data;
    if (sim->calm)
        return;
    again(sim, sim->plan.leap_gap_ns, leap_on);
    sim->leapt_ms += minutes * 60000 - stead_world_below(&sim->world, 60000); /* some end just before a minute begins */
    stead_world_note(&sim->world, "leap", sim->leapt_ms, 0, 0);
}

static void quicken_disk(void *self, uint64_t number, void *data)
{
    (void)number, (void)data;
    ((struct stead_sim_node *)self)->disk.stall = 1;
}

static void mend_reads(void *self, uint64_t number, void *data)
{
    (void)number, (void)data;
    ((struct stead_sim_node *)self)->bad_read_permille = 0;
}

static void trouble_disk(void *self, uint64_t number, void *data)
{
    struct stead_sim *sim = self;
    struct stead_sim_node *node = random_node(sim);

    (void)number, (void)data;
    if (sim->calm)
        return;
    again(sim, sim->plan.disk_gap_ns, trouble_disk);
    if (stead_world_chance(&sim->world, 700)) {
        node->disk.stall = 20;
        stead_world_note(&sim->world, "slow disk", node->index, 0, 0);
        stead_world_after(&sim->world, stead_world_delay(&sim->world, 20 * STEAD_MS), quicken_disk, node, 0, NULL);
        return;
    }
    if (node->phase != STEAD_SIM_UP)
        return;
    if (stead_world_chance(&sim->world, 500)) {
        node->bad_read_permille = 1 + (uint32_t)stead_world_below(&sim->world, 300);
        stead_world_note(&sim->world, "bad reads", node->index, node->bad_read_permille, 0);
        stead_world_after(&sim->world, stead_world_delay(&sim->world, 20 * STEAD_MS), mend_reads, node, 0, NULL);
        return;
    }
    stead_store_memory_fail_writes(node->store, stead_world_below(&sim->world, 4));
    stead_world_note(&sim->world, "bad disk", node->index, 0, 0);
    stead_world_after(&sim->world, 5 * STEAD_MS, look_after_stop, node, node->starts, NULL);
}

static void set_full(struct stead_sim_node *node, bool full)
{
    for (uint32_t r = 0; r < node->sim->plan.reactors && node->phase == STEAD_SIM_UP; r++) {
        stead_sim_host_enter(&node->hosts[r]);
        stead_host_set_disk_full(node->hosts[r].host, full);
        stead_sim_host_poke(&node->hosts[r]);
    }
}

static void free_disk(void *self, uint64_t number, void *data)
{
    (void)number, (void)data;
    set_full(self, false);
}

/* The quota is reached: clients' durable work is refused for a while, agents' own goes on. */
static void fill_disk(void *self, uint64_t number, void *data)
{
    struct stead_sim *sim = self;
    struct stead_sim_node *node = random_node(sim);

    (void)number, (void)data;
    if (sim->calm)
        return;
    again(sim, sim->plan.full_gap_ns, fill_disk);
    set_full(node, true);
    stead_world_note(&sim->world, "full disk", node->index, 0, 0);
    stead_world_after(&sim->world, stead_world_delay(&sim->world, 20 * STEAD_MS), free_disk, node, 0, NULL);
}

static void vanish_client(void *self, uint64_t number, void *data)
{
    struct stead_sim *sim = self;

    (void)number, (void)data;
    if (sim->calm)
        return;
    again(sim, sim->plan.vanish_gap_ns, vanish_client);
    stead_sim_client_vanish(&sim->clients[stead_world_below(&sim->world, sim->plan.clients)]);
}

static void restart_coordinator(void *self, uint64_t number, void *data)
{
    struct stead_sim *sim = self;

    (void)number, (void)data;
    if (sim->calm)
        return;
    again(sim, sim->plan.restart_gap_ns, restart_coordinator);
    stead_sim_coordinator_restart(sim);
}

void stead_sim_nemesis_start(struct stead_sim *sim)
{
    again(sim, sim->plan.crash_gap_ns, crash_node);
    again(sim, sim->plan.stop_gap_ns, stop_node);
    again(sim, sim->plan.break_gap_ns, break_something);
    again(sim, sim->plan.partition_gap_ns, partition_nodes);
    again(sim, sim->plan.jump_gap_ns, jump_clock);
    again(sim, sim->plan.leap_gap_ns, leap_on);
    again(sim, sim->plan.disk_gap_ns, trouble_disk);
    again(sim, sim->plan.vanish_gap_ns, vanish_client);
    again(sim, sim->plan.restart_gap_ns, restart_coordinator);
    again(sim, sim->plan.full_gap_ns, fill_disk);
}

void stead_sim_nemesis_end(struct stead_sim *sim)
{
    for (uint32_t n = 0; n < sim->plan.nodes; n++)
        set_full(&sim->nodes[n], false);
}
