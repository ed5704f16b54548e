/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a simulated node, as node/node.c leads it:
 *
 *     DOWN --start--> STARTING: register at the coordinator, wait for the table, claim the shards (epoch + 1), recover each of them
 *          --all recovered--> UP --stop--> STOPPING: hosts write their last checkpoints --idle--> DOWN
 *          any --crash--> DOWN
 *
 * Each step is an event of its own with a delay, so a node may die between any two of them. `life` is raised whenever
 * the node turns to or from DOWN; what was planned in an earlier life finds that out and does nothing.
 *
 * Checked here: a start finds every entry that was ever reported synced; the epochs it serves under rise; after a clean
 * stop the image is exactly what the log says (shadow.c).
 */
#include <stdlib.h>

#include "agents/agents.h"
#include "tests/sim/work.h"

#define STOP_NS_MAX (120 * STEAD_S)
#define STOP_LOOK_NS STEAD_MS

static void after(struct stead_sim_node *node, uint64_t usual_ns, stead_world_fn *run)
{
    struct stead_world *world = &node->sim->world;

    stead_world_after(world, stead_world_delay(world, usual_ns), run, node, node->life, NULL);
}

void stead_sim_node_init(struct stead_sim *sim, uint32_t index)
{
    struct stead_sim_node *node = &sim->nodes[index];

    node->sim = sim;
    node->index = index;
    stead_format(node->name, sizeof node->name, "n%u", index + 1);
    node->disk.stall = 1;
    node->store = stead_store_memory_create(stead_rng_next(&sim->world.rng));
    for (uint16_t r = 0; r < STEAD_SIM_REACTORS_MAX; r++) {
        node->hosts[r].node = node;
        node->hosts[r].index = r;
    }
}

void stead_sim_node_deinit(struct stead_sim_node *node)
{
    stead_store_close(&node->store);
}

/* ---- What it has loaded --------------------------------------------------------------------------- */

static void load_kinds(struct stead_sim_node *node)
{
    struct stead_sim *sim = node->sim;
    char why[256];

    node->registry = stead_registry_create();
    for (uint32_t w = 0; stead_workloads[w] != NULL; w++) {
        const struct stead_workload *workload = stead_workloads[w];
        bool draws = workload->load != NULL && (sim->plan.workloads >> w & 1u) != 0;
        const struct stead_kind *const *kinds = draws ? workload->load(node) : workload->kinds;
        for (uint32_t k = 0; kinds[k] != NULL; k++)
            if (stead_registry_add(node->registry, kinds[k], why) != 0)
                stead_world_fail(&sim->world, "a kind is refused: %s", why);
    }
    for (uint32_t k = 0; stead_builtin_kinds[k] != NULL; k++)
        if (stead_registry_find(node->registry, stead_builtin_kinds[k]->name, strlen(stead_builtin_kinds[k]->name)) ==
                NULL &&
            stead_registry_add(node->registry, stead_builtin_kinds[k], why) != 0)
            stead_world_fail(&sim->world, "a kind of agents/ is refused: %s", why);
    for (uint32_t i = 0; stead_workload_orchestrators[i] != NULL; i++)
        if (stead_registry_add_orchestrator(node->registry, stead_workload_orchestrators[i], why) != 0)
            stead_world_fail(&sim->world, "an orchestrator is refused: %s", why);
}

/* ---- Starting ------------------------------------------------------------------------------------- */

/* The log of one shard, read back. */
struct recovery {
    struct stead_sim_host *host;
    uint64_t last; /* index of the newest entry seen, or applied */
};

static int replay_entry(void *context, uint32_t shard, uint64_t index, struct stead_slice entry)
{
    struct recovery *recovery = context;
    struct stead_sim *sim = recovery->host->node->sim;

    if (index <= recovery->last)
        return 0;
    if (index != recovery->last + 1)
        stead_world_fail(&sim->world, "the log of shard %u has a gap: %llu follows %llu", shard,
                         (unsigned long long)index, (unsigned long long)recovery->last);
    stead_shadow_commit(sim, shard, index, entry);
    if (stead_host_replay(recovery->host->host, shard, index, entry) != 0)
        stead_world_fail(&sim->world, "entry %llu of shard %u is refused at recovery", (unsigned long long)index,
                         shard);
    recovery->last = index;
    return 0;
}

static uint32_t collect_slots(const struct stead_table *table, const struct stead_table_shard *shard,
                              stead_slot *ret_slots)
{
    uint16_t name = (uint16_t)(shard - table->shards + 1);
    uint32_t count = 0;

    for (uint32_t slot = 0; slot < STEAD_SLOTS; slot++)
        if (table->slots[slot] == name)
            ret_slots[count++] = (stead_slot){(uint16_t)slot};
    return count;
}

static void recover_shard(struct stead_sim_node *node, const struct stead_table_shard *shard)
{
    static stead_slot slots[STEAD_SLOTS]; /* one thread, rewritten at each use */
    struct stead_sim *sim = node->sim;
    struct recovery recovery = {.host = &node->hosts[shard->reactor]};
    uint64_t applied = 0;

    if (stead_store_applied(node->store, shard->id, &applied) != 0)
        stead_world_fail(&sim->world, "the applied mark of shard %u cannot be read", shard->id);
    recovery.last = applied;
    stead_sim_host_enter(recovery.host);
    stead_host_add_shard(recovery.host->host, shard->id, applied);
    if (stead_store_log_read(node->store, shard->id, 1, replay_entry, &recovery) != 0)
        stead_world_fail(&sim->world, "the log of shard %u cannot be read", shard->id);
    if (recovery.last < stead_shadow_committed(sim, shard->id))
        stead_world_fail(&sim->world, "shard %u lost synced entries: %llu of %llu are left", shard->id,
                         (unsigned long long)recovery.last, (unsigned long long)stead_shadow_committed(sim, shard->id));
    if (shard->epoch <= node->epochs[shard->id])
        stead_world_fail(&sim->world, "shard %u is served again under epoch %llu", shard->id,
                         (unsigned long long)shard->epoch);
    node->epochs[shard->id] = shard->epoch;
    node->disk.mark_done[shard->id] = applied;
    stead_shadow_recovered(sim, shard->id, recovery.last);
    uint32_t count = collect_slots(node->table, shard, slots);
    stead_host_start_shard(recovery.host->host, shard->id, shard->epoch, slots, count);
    stead_world_note(&sim->world, "serves", shard->id, shard->epoch, recovery.last);
}

static void create_hosts(struct stead_sim_node *node)
{
    struct stead_sim *sim = node->sim;

    for (uint32_t r = 0; r < sim->plan.reactors; r++) {
        struct stead_sim_host *host = &node->hosts[r];
        struct stead_doors doors;
        host->run_planned = false;
        host->armed_ns = UINT64_MAX;
        host->connections = 0;
        host->doomed = false;
        host->marked[0] = '\0';
        host->loads = host->jobs = 0;
        host->live_jobs = NULL; /* their events free them */
        memset(host->ring_ns, 0, sizeof host->ring_ns);
        stead_sim_host_doors(host, &doors);
        const struct stead_host_options options = {
            .node = node->id,
            .node_incarnation = node->incarnation,
            .node_name = node->name,
            .reactor = host->index,
            .seed = stead_rng_next(&sim->world.rng),
            .registry = node->registry,
            .settings = &sim->plan.settings,
            .doors = &doors,
        };
        host->host = stead_host_create(&options);
        for (uint32_t k = 0; k < sim->kill_count; k++)
            stead_host_suspect(host->host, sim->kills[k].message, sim->kills[k].count);
    }
}

static void recover_node(void *self, uint64_t life, void *data)
{
    struct stead_sim_node *node = self;
    struct stead_sim *sim = node->sim;

    (void)data;
    if (life != node->life)
        return;
    /* What recovery finds must survive from then on, synced in its first life or not: opening the real store flushes
     * the log it replays. */
    if (stead_store_write(node->store, NULL, 0, true) != 0)
        stead_world_fail(&sim->world, "the store cannot be synced at a start");
    create_hosts(node);
    stead_table_release(&node->table);
    node->table = stead_table_hold(stead_coordinator_table(sim->coordinator));
    for (uint32_t i = 0; i < node->table->shard_count; i++)
        if (node->table->shards[i].node == node->id)
            recover_shard(node, &node->table->shards[i]);
    node->phase = STEAD_SIM_UP;
    stead_world_note(&sim->world, "node up", node->index, node->incarnation, node->table->version);
    for (uint32_t r = 0; r < sim->plan.reactors; r++) {
        stead_sim_host_enter(&node->hosts[r]);
        stead_host_set_table(node->hosts[r].host, node->table);
        stead_sim_host_poke(&node->hosts[r]);
    }
}

static void claim_shards(void *self, uint64_t life, void *data)
{
    struct stead_sim_node *node = self;
    struct stead_sim *sim = node->sim;
    struct stead_shard_claim claims[STEAD_SIM_SHARDS_MAX];
    struct stead_coordinator_effects effects;
    const struct stead_table *table;
    uint32_t count = 0;

    (void)data;
    if (life != node->life)
        return;
    table = stead_coordinator_table(sim->coordinator);
    if (!table->formed) {
        after(node, 2 * STEAD_MS, claim_shards);
        return;
    }
    for (uint32_t i = 0; i < table->shard_count; i++) {
        const struct stead_table_shard *shard = &table->shards[i];
        STEAD_ASSERT(shard->id < STEAD_SIM_SHARDS_MAX);
        if (shard->node == node->id)
            claims[count++] = (struct stead_shard_claim){shard->id, shard->epoch, shard->reactor};
    }
    const struct stead_coordinator_command command = {.op = STEAD_COORDINATOR_CLAIM,
                                                      .node = node->id,
                                                      .incarnation = node->incarnation,
                                                      .claims = claims,
                                                      .claim_count = count};
    stead_sim_coordinator_step(sim, &command, &effects);
    if (effects.status != 0)
        stead_world_fail(&sim->world, "a claim is refused: %s", effects.why);
    stead_writer_deinit(&effects.rows);
    after(node, STEAD_MS, recover_node);
}

static void register_node(void *self, uint64_t life, void *data)
{
    struct stead_sim_node *node = self;
    struct stead_sim *sim = node->sim;
    const char *endpoints[STEAD_SIM_REACTORS_MAX];
    char texts[STEAD_SIM_REACTORS_MAX][48];
    struct stead_kind_registration kinds[128];
    struct stead_node_registration registration = {.name = node->name, .endpoint_count = sim->plan.reactors};
    struct stead_coordinator_effects effects;

    (void)data;
    if (life != node->life)
        return;
    for (uint32_t r = 0; r < sim->plan.reactors; r++) {
        stead_format(texts[r], sizeof texts[r], "tcp://127.0.0.1:%u", 7400u + node->index * 10u + r);
        endpoints[r] = texts[r];
    }
    registration.kind_count = stead_registry_count(node->registry);
    STEAD_ASSERT(registration.kind_count <= sizeof kinds / sizeof kinds[0]);
    for (uint32_t k = 0; k < registration.kind_count; k++) {
        const struct stead_kind *kind = stead_registry_at(node->registry, k);
        kinds[k] = (struct stead_kind_registration){kind->name, kind->needs, (uint8_t)kind->durability};
    }
    registration.identity.v[0] = (uint8_t)(node->index + 1);
    stead_store64(registration.start.v, node->life);
    registration.start.v[8] = (uint8_t)(node->index + 1);
    registration.shards_per_reactor = sim->plan.shards_per_reactor;
    registration.endpoints = endpoints;
    registration.kinds = kinds;
    const struct stead_coordinator_command command = {.op = STEAD_COORDINATOR_REGISTER, .registration = &registration};
    stead_sim_coordinator_step(sim, &command, &effects);
    if (effects.status != 0)
        stead_world_fail(&sim->world, "a registration is refused: %s", effects.why);
    node->id = effects.node;
    node->incarnation = effects.incarnation;
    stead_writer_deinit(&effects.rows);
    after(node, STEAD_MS, claim_shards);
}

void stead_sim_node_start(struct stead_sim_node *node)
{
    STEAD_ASSERT(node->phase == STEAD_SIM_DOWN);
    node->life++;
    node->starts++;
    node->phase = STEAD_SIM_STARTING;
    stead_world_note(&node->sim->world, "start", node->index, node->starts, 0);
    load_kinds(node);
    after(node, STEAD_MS, register_node);
}

/* ---- Ending ------------------------------------------------------------------------------------------ */

static void leave(struct stead_sim_node *node)
{
    node->life++;
    node->phase = STEAD_SIM_DOWN;
    for (uint32_t r = 0; r < node->sim->plan.reactors; r++)
        if (node->hosts[r].host != NULL)
            stead_host_destroy(&node->hosts[r].host);
    stead_sim_disk_drop(node);
    stead_sim_net_break_node(node);
    stead_table_release(&node->table);
    stead_registry_destroy(&node->registry);
}

void stead_sim_node_crash(struct stead_sim_node *node, bool power)
{
    if (node->phase == STEAD_SIM_DOWN)
        return;
    stead_world_note(&node->sim->world, "crash", node->index, power, node->phase);
    node->sim->deaths++;
    leave(node);
    if (power)
        stead_store_memory_crash(node->store);
    else
        stead_store_memory_kill(node->store);
}

static bool is_idle(const struct stead_sim_node *node)
{
    for (uint32_t r = 0; r < node->sim->plan.reactors; r++)
        if (!stead_host_idle(node->hosts[r].host))
            return false;
    return stead_sim_disk_idle(node);
}

/* Looks whether the hosts have written everything. `data`: when to give up. */
static void look_whether_stopped(void *self, uint64_t life, void *data)
{
    struct stead_sim_node *node = self;
    struct stead_sim *sim = node->sim;

    if (life != node->life)
        return;
    if (!is_idle(node)) {
        if (sim->world.now_ns > (uint64_t)(uintptr_t)data)
            stead_world_fail(&sim->world, "node %s does not come to an end of its clean stop", node->name);
        stead_world_after(&sim->world, STOP_LOOK_NS, look_whether_stopped, node, life, data);
        return;
    }
    struct stead_table *table = stead_table_hold(node->table);
    struct stead_coordinator_effects effects;
    const struct stead_coordinator_command command = {
        .op = STEAD_COORDINATOR_LEAVE, .node = node->id, .incarnation = node->incarnation};
    stead_sim_coordinator_step(sim, &command, &effects);
    stead_writer_deinit(&effects.rows);
    stead_world_note(&sim->world, "stopped", node->index, 0, 0);
    leave(node);
    stead_store_memory_kill(node->store); /* whatever its disk was about to do */
    for (uint32_t i = 0; i < table->shard_count; i++)
        if (table->shards[i].node == node->id)
            stead_shadow_compare(sim, table->shards[i].id, node->store, sim->drained);
    stead_table_release(&table);
}

void stead_sim_node_stop(struct stead_sim_node *node)
{
    struct stead_sim *sim = node->sim;

    if (node->phase != STEAD_SIM_UP)
        return;
    node->phase = STEAD_SIM_STOPPING;
    sim->stops++;
    stead_world_note(&sim->world, "stop", node->index, 0, 0);
    for (uint32_t r = 0; r < sim->plan.reactors; r++) {
        stead_sim_host_enter(&node->hosts[r]);
        stead_host_stop(node->hosts[r].host);
        stead_sim_host_poke(&node->hosts[r]);
    }
    stead_world_after(&sim->world, STOP_LOOK_NS, look_whether_stopped, node, node->life,
                      (void *)(uintptr_t)(sim->world.now_ns + STOP_NS_MAX));
}

void stead_sim_node_hear(struct stead_sim_node *node, struct stead_table *table)
{
    if (node->phase == STEAD_SIM_DOWN || node->table == NULL || node->table->version >= table->version)
        return;
    stead_table_release(&node->table);
    node->table = stead_table_hold(table);
    for (uint32_t r = 0; r < node->sim->plan.reactors; r++) {
        stead_sim_host_enter(&node->hosts[r]);
        stead_host_set_table(node->hosts[r].host, table);
        stead_sim_host_poke(&node->hosts[r]);
    }
}
