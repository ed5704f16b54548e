/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_suspended: suspended_1m: instances that wait for an event.
 *
 * Started one after the other, pipelined, under a memory budget that holds a part of them: the others are unloaded,
 * with their stacks. Then the node is killed and started again; a random part of them is given its event, and each of
 * those must end with the value that it was given. Between the two the node has nothing to do, and its wake-ups and
 * bytes are counted.
 *
 * The floor of the starts: signals to as many durable agents of the same node, each of which does nothing but count.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/bench.h"
#include "stead/orchestration_client.h"

#define INSTANCES 1000000u
#define INSTANCES_QUICK 50000u
#define WOKEN 10000u
#define WOKEN_QUICK 2000u
#define IN_FLIGHT 8192u
#define MEMORY (1ull << 30)
#define MEMORY_QUICK (128ull << 20)
#define IDLE_SECONDS 5u
#define SETTLE_SECONDS 3u
#define STEP 7368787u /* a prime: every instance is met once before any is met again */

struct suspended {
    struct stead_bench *bench;
    struct stead_client *client;
    struct stead_bench_node node;
    uint32_t count, woken;
    uint64_t memory_bytes;
    uint64_t done;
    int code; /* the first failure */
};

static void on_answer(void *context, const struct stead_answer *answer)
{
    struct suspended *it = context;

    it->done++;
    if (it->code == 0)
        it->code = answer->code;
}

/* One that was woken: it has ended, with a number. */
static void on_end(void *context, const struct stead_answer *answer)
{
    struct suspended *it = context;
    struct stead_instance instance;
    uint64_t number = 0;
    int code = answer->code != 0 ? answer->code : stead_instance_read(answer->value, &instance);

    if (code == 0 && (instance.status != STEAD_INSTANCE_COMPLETED ||
                      stead_get_u64(instance.output, NULL, &number) != 0 || number >= it->count))
        code = STEAD_EFAILED;
    it->done += code == 0;
    if (it->code == 0)
        it->code = code;
}

static const char *address_of(char *buffer, size_t size, uint32_t number)
{
    snprintf(buffer, size, "orchestration/sleeper-%u", number);
    return buffer;
}

/* Room for `more` requests. */
static void make_room(struct suspended *it, uint32_t more)
{
    while (it->code == 0 && stead_client_in_flight(it->client) + more > IN_FLIGHT) {
        if (stead_client_poll(it->client, 1000) < 0)
            it->code = STEAD_EIO;
    }
}

static int finish(struct suspended *it, const char *what)
{
    if (it->code == 0)
        it->code = stead_client_drain(it->client, 120000);
    return it->code == 0 ? 0 : stead_bench_fail(it->bench, "%s: %s", what, stead_error_sentence(it->code));
}

static int start_all(struct suspended *it, double *ret_rate)
{
    uint64_t start_ns = stead_bench_now_ns();
    uint8_t memory[64];
    struct stead_writer args;
    char address[64];

    stead_writer_init_fixed(&args, memory, sizeof memory);
    stead_pack(&args, "{s:s}", "name", "bench.sleeper");
    for (uint32_t i = 0; it->code == 0 && i < it->count; i++) {
        make_room(it, 1);
        if (i % 10000 == 0)
            stead_bench_progress(it->bench, "started %u of %u", i, it->count);
        if (it->code == 0)
            it->code = stead_client_call_async(it->client, address_of(address, sizeof address, i), "start",
                                               stead_written(&args), NULL, on_answer, it);
    }
    int code = finish(it, "start");
    *ret_rate = it->count * 1e9 / (double)(stead_bench_now_ns() - start_ns);
    stead_writer_deinit(&args);
    return code;
}

/* Each of a random part is raised and waited for. */
static int wake_some(struct suspended *it, double *ret_rate)
{
    uint64_t start_ns = stead_bench_now_ns();
    struct stead_writer args;
    char address[64];

    it->done = 0;
    stead_writer_init(&args);
    for (uint32_t i = 0; it->code == 0 && i < it->woken; i++) {
        uint32_t number = (uint32_t)((uint64_t)i * STEP % it->count);
        make_room(it, 2);
        stead_writer_reset(&args);
        stead_pack(&args, "{s:s,s:u}", "name", "wake", "value", (uint64_t)number);
        address_of(address, sizeof address, number);
        if (it->code == 0)
            it->code = stead_client_signal_async(it->client, address, "raise", stead_written(&args), NULL, NULL, NULL);
        if (it->code == 0)
            it->code =
                stead_client_call_async(it->client, address, "wait", (struct stead_slice){NULL, 0}, NULL, on_end, it);
    }
    int code = finish(it, "wake");
    *ret_rate = it->woken * 1e9 / (double)(stead_bench_now_ns() - start_ns);
    stead_writer_deinit(&args);
    if (code == 0 && it->done != it->woken)
        code = stead_bench_fail(it->bench, "%u of %u have ended", (unsigned)it->done, it->woken);
    return code;
}

static void report(struct stead_bench *bench, const char *metric, double value, const char *unit, double floor,
                   const char *target, json_t *settings)
{
    const struct stead_bench_figure figure = {
        .metric = metric, .value = value, .unit = unit, .floor = floor, .target = target, .settings = settings};

    stead_bench_report(bench, &figure);
}

/* What they cost while nothing happens. */
static int weigh(struct suspended *it)
{
    struct stead_bench_usage before, after;
    struct stead_bench_stats stats;
    int code = stead_bench_stats(it->bench, it->client, &stats);

    if (code != 0)
        return code;
    stead_bench_progress(it->bench, "rests");
    sleep(SETTLE_SECONDS);
    stead_bench_usage(it->node.pid, &before);
    sleep(IDLE_SECONDS);
    stead_bench_usage(it->node.pid, &after);
    report(it->bench, "rss", (double)after.rss_bytes / 1048576, "MiB", 0, NULL,
           json_pack("{s:I,s:I,s:I,s:I}", "instances", (json_int_t)it->count, "memory", (json_int_t)it->memory_bytes,
                     "resident", (json_int_t)stats.agents_resident, "unloads", (json_int_t)stats.unloads));
    report(it->bench, "fibers", (double)stats.fibers, "stacks", 0, "value <= 8192", NULL);
    report(it->bench, "idle_wakeups", (double)(after.own_switches - before.own_switches) / IDLE_SECONDS, "1/s", 0, NULL,
           NULL);
    report(it->bench, "idle_written", (double)(after.write_bytes - before.write_bytes), "B", 0, "value <= 0",
           json_pack("{s:i}", "seconds", (int)IDLE_SECONDS));
    return 0;
}

/* SIGKILL, and the same folder again. */
static int restart(struct suspended *it, const struct stead_bench_node_options *options)
{
    struct stead_bench_node_options again = *options;
    char folder[STEAD_BENCH_PATH_SIZE];

    stead_client_close(&it->client);
    stead_bench_node_stop(&it->node, true);
    snprintf(folder, sizeof folder, "%s", it->node.folder);
    again.folder = folder;
    int code = stead_bench_node_start(it->bench, &again, &it->node);
    if (code == 0)
        report(it->bench, "ready_after_kill", (double)it->node.ready_ns / 1e6, "ms", 0, "value <= 2000", NULL);
    return code != 0 ? code : stead_bench_connect(it->bench, &it->node, IN_FLIGHT, &it->client);
}

int stead_bench_suspended_1m(struct stead_bench *bench)
{
    struct suspended it = {.bench = bench,
                           .count = bench->quick ? INSTANCES_QUICK : INSTANCES,
                           .woken = bench->quick ? WOKEN_QUICK : WOKEN,
                           .memory_bytes = bench->quick ? MEMORY_QUICK : MEMORY};
    const struct stead_bench_node_options options = {.memory_bytes = it.memory_bytes};
    struct stead_bench_load load = {
        .prefix = "floor", .agents = it.count, .count = it.count, .clients = 1, .in_flight = IN_FLIGHT, .size = 32};
    double floor = 0, started = 0, woken = 0;

    int code = stead_bench_node_start(bench, &options, &it.node);
    if (code == 0)
        code = stead_bench_load(bench, &it.node, &load, &floor);
    if (code == 0)
        code = stead_bench_connect(bench, &it.node, IN_FLIGHT, &it.client);
    if (code == 0)
        code = start_all(&it, &started);
    if (code == 0) {
        report(bench, "start", started, "1/s", floor, NULL, json_pack("{s:I}", "instances", (json_int_t)it.count));
        code = weigh(&it);
    }
    if (code == 0)
        code = restart(&it, &options);
    if (code == 0)
        code = wake_some(&it, &woken);
    if (code == 0)
        report(bench, "wake", woken, "1/s", 0, NULL, json_pack("{s:I}", "woken", (json_int_t)it.woken));
    stead_client_close(&it.client);
    stead_bench_node_stop(&it.node, true);
    return code;
}
