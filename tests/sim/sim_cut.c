/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backup of the whole cluster while everything goes on, and its restore: what `stead backup` does (node/backup.c), in
 * virtual time.
 *
 *     every node holds, one after the other --all hold--> every node's store is copied, at a moment of its own --> that node lets go
 *       --a while later--> disaster: all nodes die, their stores and the coordinator's are what was copied, they start again
 *
 * A node that dies, or whose hold is over before its copy is made, ends the attempt; the next follows. At the restore
 * the clients are new ones, and of a request that had not returned when all nodes held nothing is known. Everything
 * else that a run checks holds over the restore: what was acknowledged before is there once, channels have no gap and
 * no repeat, money is conserved, no channel disputes its past.
 *
 * With plan.alone one node is put back, and the others and the coordinator go on: then only this is left: whatever is
 * sent arrives, in records that the receiver's decoder takes, no outbox is stuck, and images are what the logs say.
 */
#include <stdlib.h>

#include "tests/sim/sim.h"

#define AGAIN_NS (3 * STEAD_MS)
#define HOLD_MS_USUAL 20u
#define DISASTER_NS (150 * STEAD_MS) /* usual time from the backup to the restore */
#define DEAD_NS (20 * STEAD_MS)      /* nothing that was on its way when the nodes died arrives after so long */

struct node_copy {
    uint64_t life; /* of the node when it began to hold */
    bool holds;
    struct stead_store *store; /* owned; NULL: not copied yet */
    uint64_t epochs[STEAD_SIM_SHARDS_MAX];
};

struct stead_sim_cut {
    uint64_t attempt;  /* marks events of attempts that are over */
    uint64_t until_ns; /* monotonic: the holds of this one end */
    uint64_t held_ns;  /* world time: all hold; 0: not yet */
    bool whole;        /* all copies are there */
    struct node_copy nodes[STEAD_SIM_NODES_MAX];
    struct stead_shadow *shadows[STEAD_SIM_SHARDS_MAX]; /* owned; the coordinator's too */
};

static void begin_cut(void *self, uint64_t number, void *data);

static void let_go(struct stead_sim_node *node)
{
    for (uint32_t r = 0; r < node->sim->plan.reactors && node->phase == STEAD_SIM_UP; r++) {
        stead_sim_host_enter(&node->hosts[r]);
        stead_host_let_go(node->hosts[r].host);
        stead_sim_host_poke(&node->hosts[r]);
    }
}

static void forget_copies(struct stead_sim_cut *cut)
{
    for (uint32_t n = 0; n < STEAD_SIM_NODES_MAX; n++)
        if (cut->nodes[n].store != NULL)
            stead_store_close(&cut->nodes[n].store);
    for (uint32_t i = 0; i < STEAD_SIM_SHARDS_MAX; i++)
        stead_shadow_destroy(&cut->shadows[i]);
    memset(cut->nodes, 0, sizeof cut->nodes);
    cut->held_ns = 0;
    cut->whole = false;
}

static void give_up(struct stead_sim *sim)
{
    struct stead_sim_cut *cut = sim->cut;

    cut->attempt++;
    for (uint32_t n = 0; n < sim->plan.nodes; n++)
        if (cut->nodes[n].holds)
            let_go(&sim->nodes[n]);
    forget_copies(cut);
    stead_world_note(&sim->world, "no cut", cut->attempt, 0, 0);
    stead_world_after(&sim->world, AGAIN_NS, begin_cut, sim, 0, NULL);
}

static void disaster(void *self, uint64_t attempt, void *data)
{
    struct stead_sim *sim = self;

    (void)data;
    if (!sim->ending && !sim->calm && attempt == sim->cut->attempt)
        stead_sim_cut_restore(sim);
}

static bool still_holds(const struct stead_sim_node *node, uint64_t attempt)
{
    const struct stead_sim_cut *cut = node->sim->cut;

    return attempt == cut->attempt && node->phase == STEAD_SIM_UP && node->life == cut->nodes[node->index].life &&
           node->sim->world.now_ns + STEAD_SIM_MONO_NS < cut->until_ns;
}

static void copy_node(void *self, uint64_t attempt, void *data)
{
    struct stead_sim_node *node = self;
    struct stead_sim *sim = node->sim;
    struct stead_sim_cut *cut = sim->cut;
    struct node_copy *copy = &cut->nodes[node->index];

    (void)data;
    if (sim->ending || attempt != cut->attempt)
        return;
    if (!still_holds(node, attempt)) {
        give_up(sim);
        return;
    }
    copy->store = stead_store_memory_copy(node->store, stead_rng_next(&sim->world.rng));
    memcpy(copy->epochs, node->epochs, sizeof copy->epochs);
    for (uint32_t i = 0; i < node->table->shard_count; i++)
        if (node->table->shards[i].node == node->id)
            cut->shadows[node->table->shards[i].id] = stead_shadow_copy(sim, node->table->shards[i].id);
    if (cut->shadows[STEAD_SHADOW_COORDINATOR] == NULL)
        cut->shadows[STEAD_SHADOW_COORDINATOR] = stead_shadow_copy(sim, STEAD_SHADOW_COORDINATOR);
    copy->holds = false;
    let_go(node);
    stead_world_note(&sim->world, "copied", node->index, attempt, 0);
    for (uint32_t n = 0; n < sim->plan.nodes; n++)
        if (cut->nodes[n].store == NULL)
            return;
    cut->whole = true;
    stead_world_after(&sim->world, stead_world_delay(&sim->world, DISASTER_NS), disaster, sim, attempt, NULL);
}

static void hold_node(void *self, uint64_t attempt, void *data)
{
    struct stead_sim_node *node = self;
    struct stead_sim *sim = node->sim;
    struct stead_sim_cut *cut = sim->cut;

    (void)data;
    if (sim->ending || attempt != cut->attempt)
        return;
    if (node->phase != STEAD_SIM_UP) {
        give_up(sim);
        return;
    }
    cut->nodes[node->index] = (struct node_copy){.life = node->life, .holds = true};
    for (uint32_t r = 0; r < sim->plan.reactors; r++) {
        stead_sim_host_enter(&node->hosts[r]);
        stead_host_hold(node->hosts[r].host, cut->until_ns);
        stead_sim_host_poke(&node->hosts[r]);
    }
    stead_world_note(&sim->world, "holds", node->index, attempt, 0);
    for (uint32_t n = 0; n < sim->plan.nodes; n++)
        if (!cut->nodes[n].holds)
            return;
    cut->held_ns = sim->world.now_ns;
    for (uint32_t n = 0; n < sim->plan.nodes; n++)
        stead_world_after(&sim->world, stead_world_delay(&sim->world, 2 * STEAD_MS), copy_node, &sim->nodes[n], attempt,
                          NULL);
}

static void begin_cut(void *self, uint64_t number, void *data)
{
    struct stead_sim *sim = self;
    struct stead_world *world = &sim->world;

    (void)number, (void)data;
    if (sim->calm || sim->ending)
        return;
    if (stead_sim_nodes_up(sim) < sim->plan.nodes || sim->op_count < sim->plan.ops / 5) {
        stead_world_after(world, AGAIN_NS, begin_cut, sim, 0, NULL);
        return;
    }
    sim->cut->until_ns = world->now_ns + STEAD_SIM_MONO_NS + stead_world_below(world, 2 * HOLD_MS_USUAL + 1) * STEAD_MS;
    for (uint32_t n = 0; n < sim->plan.nodes; n++)
        stead_world_after(world, stead_world_delay(world, STEAD_MS), hold_node, &sim->nodes[n], sim->cut->attempt,
                          NULL);
}

void stead_sim_cut_start(struct stead_sim *sim)
{
    sim->cut = stead_alloc_zero(sizeof *sim->cut);
    stead_world_after(&sim->world, AGAIN_NS, begin_cut, sim, 0, NULL);
}

void stead_sim_cut_deinit(struct stead_sim *sim)
{
    if (sim->cut != NULL)
        forget_copies(sim->cut);
    free(sim->cut);
    sim->cut = NULL;
}

bool stead_sim_cut_is_whole(const struct stead_sim *sim)
{
    return sim->cut != NULL && sim->cut->whole;
}

/* ---- The restore ---------------------------------------------------------------------------------- */

/* What came back after all nodes held may be in no copy. */
static void doubt_requests(struct stead_sim *sim)
{
    for (uint32_t c = 0; c < sim->plan.clients; c++)
        stead_sim_client_vanish(&sim->clients[c]);
    for (uint32_t i = 0; i < sim->op_count; i++) {
        struct stead_sim_op *op = &sim->ops[i];
        if (op->returned_ns == UINT64_MAX || op->returned_ns <= sim->cut->held_ns)
            continue;
        op->returned_ns = UINT64_MAX;
        op->code = STEAD_ECANCELLED;
    }
}

static void start_again(void *self, uint64_t starts, void *data)
{
    struct stead_sim_node *node = self;

    (void)data;
    if (!node->sim->ending && node->phase == STEAD_SIM_DOWN && node->starts == starts)
        stead_sim_node_start(node);
}

static void put_back(struct stead_sim_node *node)
{
    struct stead_sim *sim = node->sim;
    struct node_copy *copy = &sim->cut->nodes[node->index];

    stead_store_close(&node->store);
    node->store = copy->store;
    copy->store = NULL;
    if (!sim->plan.alone) /* else the coordinator goes on, and gives higher ones */
        memcpy(node->epochs, copy->epochs, sizeof node->epochs);
    node->starts++; /* whoever was to start it in its old life does not */
    stead_world_after(&sim->world, DEAD_NS + stead_world_delay(&sim->world, 5 * STEAD_MS), start_again, node,
                      node->starts, NULL);
}

static void restore_one(struct stead_sim *sim)
{
    struct stead_sim_node *node = &sim->nodes[stead_world_below(&sim->world, sim->plan.nodes)];
    const struct stead_table *table = stead_coordinator_table(sim->coordinator);

    stead_sim_node_crash(node, true);
    for (uint32_t i = 0; i < table->shard_count; i++)
        if (table->shards[i].node == node->id)
            stead_shadow_put_back(sim, table->shards[i].id, &sim->cut->shadows[table->shards[i].id]);
    put_back(node);
}

static void restore_all(struct stead_sim *sim)
{
    sim->restores++;
    for (uint32_t n = 0; n < sim->plan.nodes; n++)
        stead_sim_node_crash(&sim->nodes[n], true);
    for (uint32_t i = 0; i < STEAD_SIM_SHARDS_MAX; i++)
        if (sim->cut->shadows[i] != NULL)
            stead_shadow_put_back(sim, i, &sim->cut->shadows[i]);
    stead_sim_coordinator_put_back(sim);
    for (uint32_t n = 0; n < sim->plan.nodes; n++)
        put_back(&sim->nodes[n]);
}

void stead_sim_cut_restore(struct stead_sim *sim)
{
    struct stead_sim_cut *cut = sim->cut;

    STEAD_ASSERT(cut->whole);
    stead_world_note(&sim->world, "restore", cut->attempt, sim->op_count, sim->plan.alone);
    if (sim->plan.alone)
        restore_one(sim);
    else
        restore_all(sim);
    doubt_requests(sim);
    cut->attempt++;
    forget_copies(cut);
}
