/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk of a simulated node: the log writer's rounds, in virtual time, over the store's twin in memory.
 *
 *     submitted --begin--> written --(the sync takes its time)--> synced --> completions, then the round's rows, unsynced
 *
 * A crash may come at any point between: what was written and not synced is lost from some write on, what was submitted
 * and not written is lost whole. The order of what belongs to a checkpoint is the log writer's (persist/format.h):
 * rows, a sync, the applied mark, a sync, the deletion of log entries.
 *
 * Checked here: the applied mark never runs ahead of what is synced (by the shadow), nothing above the mark is trimmed.
 */
#include <stdlib.h>

#include "tests/sim/sim.h"

#define ROUND_OPS_MAX 512u
#define IDLE_ROUND_NS (5 * STEAD_MS)

struct stead_sim_disk_item {
    struct stead_sim_disk_item *next;
    struct stead_sim_host *host;
    bool is_rows;
    uint32_t shard;
    uint64_t index; /* append; rows: applied, or 0 */
    struct stead_writer bytes;
};

static void begin_round(void *self, uint64_t life, void *data);

static bool has_marks(const struct stead_sim_disk *disk)
{
    for (uint32_t i = 0; i < STEAD_SIM_SHARDS_MAX; i++)
        if (disk->mark[i] != 0 || disk->mark_ready[i] != 0 ||
            (disk->trim[i] != 0 && disk->trim[i] <= disk->mark_done[i]))
            return true;
    return false;
}

static void plan_round(struct stead_sim_node *node)
{
    struct stead_sim_disk *disk = &node->disk;
    struct stead_world *world = &node->sim->world;

    if (disk->planned || (disk->head == NULL && !has_marks(disk)))
        return;
    disk->planned = true;
    uint64_t wait = disk->head == NULL ? IDLE_ROUND_NS : stead_world_delay(world, node->sim->plan.disk_ns / 4);
    stead_world_after(world, wait, begin_round, node, node->life, NULL);
}

static void submit(struct stead_sim_host *host, bool is_rows, uint32_t shard, uint64_t index,
                   struct stead_writer *bytes)
{
    struct stead_sim_disk *disk = &host->node->disk;
    struct stead_sim_disk_item *item = stead_alloc_zero(sizeof *item);

    STEAD_ASSERT(shard < STEAD_SIM_SHARDS_MAX);
    item->host = host;
    item->is_rows = is_rows;
    item->shard = shard;
    item->index = index;
    stead_writer_init(&item->bytes);
    stead_write_raw(&item->bytes, bytes->data, bytes->size);
    stead_writer_deinit(bytes);
    stead_writer_init(bytes);
    if (disk->tail != NULL)
        disk->tail->next = item;
    else
        disk->head = item;
    disk->tail = item;
    plan_round(host->node);
}

void stead_sim_disk_append(struct stead_sim_host *host, uint32_t shard, uint64_t index, struct stead_writer *bytes)
{
    stead_shadow_append(host, shard, index, stead_written(bytes));
    submit(host, false, shard, index, bytes);
}

void stead_sim_disk_rows(struct stead_sim_host *host, uint32_t shard, uint64_t applied, struct stead_writer *bytes)
{
    stead_shadow_rows(host, shard, applied, stead_written(bytes));
    submit(host, true, shard, applied, bytes);
}

void stead_sim_disk_trim(struct stead_sim_node *node, uint32_t shard, uint64_t index)
{
    if (index > node->disk.trim[shard])
        node->disk.trim[shard] = index;
    plan_round(node);
}

static void free_items(struct stead_sim_disk_item **list)
{
    while (*list != NULL) {
        struct stead_sim_disk_item *item = *list;
        *list = item->next;
        stead_writer_deinit(&item->bytes);
        free(item);
    }
}

void stead_sim_disk_drop(struct stead_sim_node *node)
{
    free_items(&node->disk.head);
    free_items(&node->disk.round);
    node->disk = (struct stead_sim_disk){.stall = node->disk.stall};
}

bool stead_sim_disk_idle(const struct stead_sim_node *node)
{
    return node->disk.head == NULL && !node->disk.planned && !has_marks(&node->disk);
}

static uint64_t disk_delay(struct stead_sim_node *node)
{
    return stead_world_delay(&node->sim->world, node->sim->plan.disk_ns) * node->disk.stall;
}

/* The process reports a failed disk and stops; what the disk then holds is as after a crash. */
static void fail_disk(struct stead_sim_node *node)
{
    stead_world_note(&node->sim->world, "disk failed", node->index, 0, 0);
    stead_sim_node_crash(node, true);
}

/* Completions go to the hosts in one message a shard, as the writer's do. */
static void report_synced(struct stead_sim_node *node)
{
    for (struct stead_sim_disk_item *item = node->disk.round; item != NULL; item = item->next) {
        bool last = !item->is_rows;
        if (item->is_rows)
            continue;
        stead_shadow_commit(node->sim, item->shard, item->index, stead_written(&item->bytes));
        for (const struct stead_sim_disk_item *later = item->next; later != NULL && last; later = later->next)
            last = later->is_rows || later->shard != item->shard;
        if (!last)
            continue;
        stead_world_note(&node->sim->world, "synced", node->index, item->shard, item->index);
        stead_sim_host_enter(item->host);
        stead_host_synced(item->host->host, item->shard, item->index);
        stead_sim_host_poke(item->host);
    }
}

static int write_rows(struct stead_sim_node *node, struct stead_sim_disk_item *item)
{
    struct stead_store_op op = {.type = STEAD_STORE_ROWS, .shard = item->shard, .bytes = stead_written(&item->bytes)};
    int code = stead_store_write(node->store, &op, 1, false);

    if (code != 0)
        return code;
    stead_world_note(&node->sim->world, "rows", node->index, item->shard, item->index);
    if (item->index != 0)
        node->disk.mark[item->shard] = item->index;
    stead_sim_host_enter(item->host);
    stead_host_rows_written(item->host->host, item->shard);
    stead_sim_host_poke(item->host);
    return 0;
}

static void end_round(void *self, uint64_t life, void *data)
{
    struct stead_sim_node *node = self;
    struct stead_sim_disk *disk = &node->disk;
    bool synced = data != NULL;

    if (life != node->life)
        return;
    if (synced) {
        if (stead_store_write(node->store, NULL, 0, true) != 0) {
            fail_disk(node);
            return;
        }
        for (uint32_t i = 0; i < STEAD_SIM_SHARDS_MAX; i++) {
            if (disk->mark_ready[i] != 0)
                disk->mark_done[i] = disk->mark_ready[i];
            disk->mark_ready[i] = disk->mark[i];
            disk->mark[i] = 0;
        }
        report_synced(node);
    }
    for (struct stead_sim_disk_item *item = disk->round; item != NULL; item = item->next) {
        if (item->is_rows && write_rows(node, item) != 0) {
            fail_disk(node);
            return;
        }
    }
    free_items(&disk->round);
    disk->planned = false;
    plan_round(node);
}

static uint32_t collect_ops(struct stead_sim_node *node, struct stead_store_op *ops)
{
    struct stead_sim_disk *disk = &node->disk;
    uint32_t count = 0;

    for (struct stead_sim_disk_item *item = disk->round; item != NULL; item = item->next)
        if (!item->is_rows)
            ops[count++] = (struct stead_store_op){.type = STEAD_STORE_APPEND,
                                                   .shard = item->shard,
                                                   .index = item->index,
                                                   .bytes = stead_written(&item->bytes)};
    for (uint32_t i = 0; i < STEAD_SIM_SHARDS_MAX; i++) {
        if (disk->mark_ready[i] != 0)
            ops[count++] =
                (struct stead_store_op){.type = STEAD_STORE_APPLIED, .shard = i, .index = disk->mark_ready[i]};
        if (disk->trim[i] == 0 || disk->trim[i] > disk->mark_done[i])
            continue;
        ops[count++] = (struct stead_store_op){.type = STEAD_STORE_TRIM, .shard = i, .index = disk->trim[i]};
        disk->trim[i] = 0;
    }
    return count;
}

/* Takes what was submitted, up to a bound, into the round. */
static void take_round(struct stead_sim_disk *disk)
{
    struct stead_sim_disk_item **end = &disk->head;

    STEAD_ASSERT(disk->round == NULL);
    for (uint32_t count = 0; *end != NULL && count < ROUND_OPS_MAX; count++)
        end = &(*end)->next;
    disk->round = disk->head;
    disk->head = *end;
    *end = NULL;
    if (disk->head == NULL)
        disk->tail = NULL;
}

static void begin_round(void *self, uint64_t life, void *data)
{
    struct stead_sim_node *node = self;
    struct stead_store_op ops[ROUND_OPS_MAX + 2 * STEAD_SIM_SHARDS_MAX];

    (void)data;
    if (life != node->life)
        return;
    take_round(&node->disk);
    uint32_t count = collect_ops(node, ops);
    bool sync = count > 0 || node->disk.round == NULL; /* rows alone do not wait for the disk */
    if (count > 0 && stead_store_write(node->store, ops, count, false) != 0) {
        fail_disk(node);
        return;
    }
    stead_world_note(&node->sim->world, "written", node->index, count, sync);
    stead_world_after(&node->sim->world, sync ? disk_delay(node) : 0, end_round, node, node->life, sync ? node : NULL);
}
