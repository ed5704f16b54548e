/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan of a seed: how big the cluster is, how small its limits are, how slow and how broken everything is.
 *
 * Each property is drawn on its own, so that some seeds are calm on a fast disk and some are all at once; what is never
 * drawn together would never be tested together. Limits are far below the defaults: an edge that a user meets once a
 * year is met here a few times a second.
 */
#include "tests/sim/work.h"

static uint32_t pick(struct stead_world *world, const uint32_t *from, uint32_t count)
{
    return from[stead_world_below(world, count)];
}
#define PICK(world, ...)                                                                                               \
    pick(world, (const uint32_t[]){__VA_ARGS__}, (uint32_t)(sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t)))

static void draw_settings(struct stead_settings *settings, struct stead_world *world)
{
    stead_settings_default(settings);
    settings->mailbox_messages_max = PICK(world, 2, 4, 16, 1000);
    settings->session_answers_max = PICK(world, 8, 64, 65536);
    settings->call_timeout_ms = PICK(world, 400, 2000, 5000);
    settings->resend_ms = PICK(world, 30, 100, 500);
    settings->channel_window = PICK(world, 1, 3, 16, 1024);
    settings->batch_turns_max = PICK(world, 1, 2, 8, 4096);
    settings->batch_bytes_max = PICK(world, 512, 4096, 1u << 20);
    settings->checkpoint_bytes = PICK(world, 1024, 4096, 65536, 1u << 24);
    settings->memory_bytes_max = PICK(world, 4096, 65536, 1u << 20, 512u << 20);
    settings->fiber_stacks_max = PICK(world, 1, 2, 8, 0);
    settings->idle_ms_max = PICK(world, 5, 50, 1000, 60000);
}

/* Mean times between faults, in ms; 0: never. */
static void draw_faults(struct stead_sim_plan *plan, struct stead_world *world)
{
    plan->crash_gap_ns = PICK(world, 0, 50, 150, 500) * STEAD_MS;
    plan->stop_gap_ns = PICK(world, 0, 0, 300, 1000) * STEAD_MS;
    plan->break_gap_ns = PICK(world, 0, 10, 50, 200) * STEAD_MS;
    plan->partition_gap_ns = PICK(world, 0, 0, 100, 500) * STEAD_MS;
    plan->jump_gap_ns = PICK(world, 0, 0, 50, 300) * STEAD_MS;
    plan->disk_gap_ns = PICK(world, 0, 0, 100, 500) * STEAD_MS;
    plan->vanish_gap_ns = PICK(world, 0, 0, 0, 300) * STEAD_MS;
    plan->full_gap_ns = PICK(world, 0, 0, 0, 200) * STEAD_MS;
    plan->bad_load_permille = PICK(world, 0, 0, 0, 20);
    plan->restart_gap_ns = PICK(world, 0, 0, 50, 300) * STEAD_MS;
    plan->drop_permille = PICK(world, 0, 0, 5, 30);
}

static uint32_t draw_workloads(struct stead_world *world)
{
    uint32_t count = 0, set = 0;

    while (stead_workloads[count] != &stead_work_cron)
        count++;
    if (stead_world_chance(world, 100))
        return (1u << count) - 1u;
    for (uint32_t n = 1 + (uint32_t)stead_world_below(world, 4); n > 0; n--)
        set |= 1u << stead_world_below(world, count);
    return set;
}

void stead_sim_plan_draw(struct stead_sim_plan *plan, struct stead_world *world)
{
    plan->nodes = PICK(world, 1, 1, 2, 3);
    plan->reactors = PICK(world, 1, 2);
    plan->shards_per_reactor = PICK(world, 1, 2, 4);
    plan->clients = PICK(world, 1, 2, 3, 4);
    plan->workloads = draw_workloads(world);
    plan->ops = PICK(world, 40, 80, 160, 400);
    plan->op_gap_ns = PICK(world, 100, 1000, 5000) * STEAD_US;
    plan->window = PICK(world, 1, 4, 16);
    plan->timeout_ms = PICK(world, 100, 1000, 4000);
    plan->retry_ms = PICK(world, 10, 50, 300);
    plan->lag_ns = PICK(world, 1, 20, 200) * STEAD_US;
    plan->link_ns = PICK(world, 20, 100, 1000) * STEAD_US;
    plan->disk_ns = PICK(world, 20, 100, 2000) * STEAD_US;
    plan->cold_permille = PICK(world, 0, 300, 1000);
    plan->again = stead_world_chance(world, 250);
    draw_settings(&plan->settings, world);
    draw_faults(plan, world);
    /* A session must outlast what clocks disagree by: a node that jumped ahead ends it early. */
    uint64_t skewed = PICK(world, 20000, 86400000), agreed = PICK(world, 2000, 20000, 86400000);
    plan->settings.session_age_ms_max = plan->jump_gap_ns != 0 ? skewed : agreed;
}

void stead_sim_plan_restore(struct stead_sim_plan *plan, uint64_t seed, bool alone)
{
    plan->restore = true;
    plan->alone = alone;
    plan->nodes = 2 + (uint32_t)(seed % 2);
    /* A node that is put back alone forgets: money is lost and made. Agents of the bank do not mind. */
    plan->workloads = alone ? stead_sim_workload_bit(&stead_work_bank) : stead_sim_restorable_workloads();
    plan->ops = plan->ops < 160 ? 160 : plan->ops;
}

void stead_sim_plan_calm(struct stead_sim_plan *plan)
{
    plan->crash_gap_ns = plan->stop_gap_ns = plan->break_gap_ns = plan->partition_gap_ns = plan->jump_gap_ns = 0;
    plan->disk_gap_ns = plan->vanish_gap_ns = plan->full_gap_ns = plan->restart_gap_ns = 0;
    plan->bad_load_permille = plan->drop_permille = 0;
    plan->ops = plan->ops < 40 ? plan->ops : 40;
    plan->again = false;
}

void stead_sim_plan_cron(struct stead_sim_plan *plan, struct stead_world *world)
{
    plan->leap_gap_ns = PICK(world, 3, 10, 30) * STEAD_MS;
    plan->settings.session_age_ms_max = 40ull * 86400000;
}

void stead_sim_plan_hub(struct stead_sim_plan *plan)
{
    struct stead_settings *settings = &plan->settings;

    settings->mailbox_messages_max = settings->mailbox_messages_max < 1000 ? 1000 : settings->mailbox_messages_max;
    settings->memory_bytes_max = settings->memory_bytes_max < 1u << 20 ? 1u << 20 : settings->memory_bytes_max;
    settings->session_age_ms_max = 86400000;
    settings->session_answers_max = 65536; /* a long poll that waits keeps the mark where it is */
}
