/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random orchestrations on a task hub: what a client of the hub asks its tables and queues for, as agents/hub_client.c
 * does with a real client.
 *
 * A start is two operations, the second only after the answer of the first: the instance's row, then the message.
 * Everything else is one message, or one question. The hub is small: leases, intervals and visibility timeouts are met
 * within a run, so that messages come back and are dealt with twice.
 */
#include <stdio.h>

#include "agents/history.h"
#include "tests/sim/work_flow.h"

#define HUB "sim"
#define DRAIN_NS_MAX (120 * STEAD_S)

void stead_flow_hub_draw(struct stead_sim *sim, struct stead_hub_settings *ret_settings)
{
    static const int64_t hides[] = {2000, 3000, 6000}, intervals[] = {5, 20, 100};

    stead_hub_settings_default(ret_settings, HUB);
    ret_settings->partitions = 1 + (uint32_t)stead_world_below(&sim->world, 4);
    ret_settings->workers = 1 + (uint32_t)stead_world_below(&sim->world, 3);
    ret_settings->hide_ms = hides[stead_world_below(&sim->world, 3)];
    ret_settings->extended = stead_world_chance(&sim->world, 500);
    ret_settings->tasks = stead_world_chance(&sim->world, 300) ? 1 : 16;
    ret_settings->mode = (enum stead_hub_mode)stead_world_below(&sim->world, 3);
    ret_settings->interval_ms = intervals[stead_world_below(&sim->world, 3)];
    ret_settings->first_ms = 5;
    ret_settings->max_ms = 200;
}

static void pack_message(struct stead_writer *args, const char *id, const struct stead_writer *body)
{
    stead_pack(args, "{s:s,s:v}", "id", id, "body", stead_written(body));
}

static void pack_input(struct stead_writer *input, const struct stead_flow_instance *instance)
{
    struct stead_program program;

    stead_program_generate(&program, instance->seed);
    const struct stead_program_input start = stead_program_start(&program, instance->seed, instance->number);
    stead_program_input_write(input, &start);
}

static uint64_t event_of(enum stead_flow_verb verb)
{
    return verb == STEAD_FLOW_TERMINATE ? STEAD_HISTORY_EXECUTION_TERMINATED
           : verb == STEAD_FLOW_SUSPEND ? STEAD_HISTORY_EXECUTION_SUSPENDED
           : verb == STEAD_FLOW_RESUME  ? STEAD_HISTORY_EXECUTION_RESUMED
                                        : STEAD_HISTORY_EXECUTION_REWOUND;
}

const char *stead_flow_hub_pack(struct stead_flow *flow, const struct stead_flow_instance *instance,
                                const struct stead_sim_op *op, char *ret_address, size_t size,
                                struct stead_writer *args)
{
    const struct stead_hub_settings *hub = &flow->hub;
    uint32_t partition = stead_hub_partition(hub, stead_str(instance->id));
    char start[STEAD_FLOW_ID_SIZE + 16], message[STEAD_FLOW_ID_SIZE + 16];
    struct stead_writer body, input;
    const char *name = "enqueue";

    stead_format(start, sizeof start, "%s:s%lld", instance->id, (long long)op->in[0]);
    stead_format(message, sizeof message, "%s:m%u", instance->id, op->number);
    stead_format(ret_address, size, "%s", stead_hub_control(hub, partition).text);
    stead_writer_init(&body);
    stead_writer_init(&input);
    pack_input(&input, instance);
    if (op->verb == STEAD_FLOW_START || op->verb == STEAD_FLOW_RESTART || op->verb == STEAD_FLOW_STATUS ||
        op->verb == STEAD_FLOW_PURGE) {
        stead_format(ret_address, size, "%s", stead_hub_table(hub, partition).text);
        name = op->verb == STEAD_FLOW_STATUS ? "status" : op->verb == STEAD_FLOW_PURGE ? "purge" : "create";
        stead_pack(args, "{s:s,s:s,s:u,s:v,s:s}", "id", instance->id, "name", STEAD_PROGRAM_NAME, "version",
                   (uint64_t)0, "input", stead_written(&input), "start", start);
    } else if (op->verb == STEAD_FLOW_PUT) {
        stead_pack(&body, "{s:s,s:s,s:s,s:v,s:u}", "t", "start", "i", instance->id, "n", STEAD_PROGRAM_NAME, "v",
                   stead_written(&input), "ver", (uint64_t)0);
        pack_message(args, start, &body);
    } else if (op->verb == STEAD_FLOW_RAISE) {
        stead_pack(&body, "{s:s,s:s,s:s,s:u}", "t", "raise", "i", instance->id, "n", instance->events[op->in[0]].name,
                   "v", instance->events[op->in[0]].value);
        pack_message(args, message, &body);
    } else {
        stead_pack(&body, "{s:s,s:s,s:u,s:s}", "t", "steer", "i", instance->id, "k",
                   event_of((enum stead_flow_verb)op->verb), "es", "because");
        pack_message(args, message, &body);
    }
    stead_writer_deinit(&input);
    stead_writer_deinit(&body);
    return name;
}

void stead_flow_hub_make(struct stead_sim *sim, struct stead_sim_client *client)
{
    struct stead_flow *flow = stead_flow_oracle();
    struct stead_sim_op *op = stead_sim_op_new(sim, client, &stead_work_hub, STEAD_FLOW_MAKE, 0);
    struct stead_writer args;

    if (op == NULL)
        return;
    if (flow->hub.partitions == 0)
        stead_flow_hub_draw(sim, &flow->hub);
    stead_writer_init(&args);
    stead_hub_settings_write(&flow->hub, &args);
    const struct stead_sim_request request = {
        .type = STEAD_CALL, .address = STEAD_HUB_KIND "/" HUB, .op = "create", .args = stead_written(&args)};
    sim->hub_lives = true;
    stead_sim_op_submit(sim, op, &request);
    stead_writer_deinit(&args);
}

void stead_flow_hub_drop(struct stead_sim *sim)
{
    struct stead_flow *flow = stead_flow_oracle();
    const char *const queues[] = {"work", "poison"};

    if (!sim->hub_lives)
        return;
    stead_sim_ask(sim, STEAD_HUB_KIND "/" HUB, "drop", (struct stead_slice){0});
    for (uint32_t p = 0; p < flow->hub.partitions; p++) {
        stead_sim_ask(sim, stead_hub_control(&flow->hub, p).text, "drop", (struct stead_slice){0});
        stead_sim_ask(sim, stead_hub_table(&flow->hub, p).text, "drop", (struct stead_slice){0});
    }
    for (uint32_t q = 0; q < 2; q++)
        stead_sim_ask(sim, stead_hub_part_queue(&flow->hub, queues[q]).text, "drop", (struct stead_slice){0});
    sim->hub_lives = false;
    flow->hub_gone = true;
}

static uint64_t true_ms(const struct stead_sim *sim)
{
    return STEAD_SIM_WALL_MS + sim->world.now_ns / STEAD_MS;
}

/* Messages of a queue that can be seen before `until_ms`; `explained`: and each of them in the trace. */
static uint32_t look_into(struct stead_sim *sim, const char *queue, uint64_t until_ms, bool explained)
{
    uint32_t count = 0, six = 0, soon = 0;
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:u}", "max", (uint64_t)1000);
    struct stead_reader reader = stead_reader(stead_sim_ask(sim, queue, "peek", stead_written(&args)));
    stead_writer_deinit(&args);
    if (stead_read_array(&reader, &count) != 0)
        stead_world_fail(&sim->world, "%s cannot be looked into", queue);
    while (count-- > 0) {
        uint64_t seq = 0, seen_ms = 0, taken = 0;
        struct stead_slice id = {0};
        bool read = stead_read_array(&reader, &six) == 0 && six == 6 && stead_read_u64(&reader, &seq) == 0 &&
                    stead_read_u64(&reader, &seen_ms) == 0 && stead_read_u64(&reader, &taken) == 0 &&
                    stead_read_skip(&reader) == 0 && stead_read_str(&reader, &id) == 0 && stead_read_skip(&reader) == 0;
        if (!read)
            stead_world_fail(&sim->world, "%s cannot be looked into", queue);
        soon += seen_ms < until_ms;
        char text[160];
        stead_format(text, sizeof text, "%.*s, taken %llu times, seen in %lld ms", (int)id.size, (const char *)id.data,
                     (unsigned long long)taken, (long long)(seen_ms - true_ms(sim)));
        if (explained)
            stead_world_note_text(&sim->world, "message", seq, text);
    }
    return soon;
}

void stead_flow_hub_explain(struct stead_sim *sim)
{
    struct stead_flow *flow = stead_flow_oracle();

    (void)look_into(sim, stead_hub_part_queue(&flow->hub, "work").text, 0, true);
    for (uint32_t p = 0; p < flow->hub.partitions; p++)
        (void)look_into(sim, stead_hub_control(&flow->hub, p).text, 0, true);
}

/* Messages that can be seen within the minute; timers that were cancelled stay until their time. */
static uint32_t count_soon(struct stead_sim *sim, const char *queue)
{
    return look_into(sim, queue, true_ms(sim) + 60000, false);
}

/* Steps the world until every queue is empty but that of poison (signals, too, are messages) and every instance
 * over. */
void stead_flow_hub_drain(struct stead_sim *sim)
{
    struct stead_flow *flow = stead_flow_oracle();
    uint64_t give_up_ns = sim->world.now_ns + DRAIN_NS_MAX;

    for (uint32_t depth = 1; depth != 0;) {
        uint64_t until_ns = sim->world.now_ns + STEAD_S;
        while (stead_world_step(&sim->world, until_ns))
            continue;
        depth = count_soon(sim, stead_hub_part_queue(&flow->hub, "work").text);
        for (uint32_t p = 0; p < flow->hub.partitions; p++)
            depth += count_soon(sim, stead_hub_control(&flow->hub, p).text);
        if (depth == 0 && stead_flow_hub_relieve(sim))
            depth = 1;
        if (sim->world.now_ns > give_up_ns)
            stead_world_fail(&sim->world, "%u messages stay in the hub's queues", depth);
    }
}

const char *stead_flow_hub_poison(struct stead_sim *sim, char *ret_text, size_t size)
{
    struct stead_flow *flow = stead_flow_oracle();
    int64_t depth = 0;

    if (stead_get_i64(
            stead_sim_ask(sim, stead_hub_part_queue(&flow->hub, "poison").text, "status", (struct stead_slice){0}),
            "depth", &depth) != 0 ||
        depth == 0)
        return NULL;
    stead_format(ret_text, size, "%lld messages are poison", (long long)depth);
    return ret_text;
}
