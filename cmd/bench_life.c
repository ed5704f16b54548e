/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_life: what agents cost while nothing is asked of them, and what it costs to fetch them back.
 *
 *   resident_agent   growth of the process over a million idle agents; beside it what the node itself counts
 *   unload_reload    ten million agents touched once under 512 MiB: the last million against the second
 *   restart_1m       start to ready with a million agents, after a clean stop and after SIGKILL; floor: a node with none
 *   idle             a node with agents and a connected client that has nothing to do, for ten seconds
 */
#include "cmd/bench.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MILLION 1000000u
#define PAYLOAD 64u
#define SETTLE_SECONDS 3u
#define STARTS 3u /* timed */
#define SMALL_MEMORY (512ull << 20)

static struct stead_bench_load touch(const char *prefix, uint64_t first, uint64_t count)
{
    return (struct stead_bench_load){.prefix = prefix,
                                     .agents = first + count,
                                     .first = first,
                                     .count = count,
                                     .clients = 2,
                                     .in_flight = 8192,
                                     .size = PAYLOAD};
}

static void report(struct stead_bench *bench, const char *metric, double value, const char *unit, double floor,
                   const char *target, json_t *settings)
{
    struct stead_bench_figure figure = {
        .metric = metric, .value = value, .unit = unit, .floor = floor, .target = target, .settings = settings};

    stead_bench_report(bench, &figure);
}

/* ---- resident_agent ------------------------------------------------------------------------- */

/* Bytes an agent of `kind`, by the kernel and by the node, over `count` of them. */
static int weigh_agents(struct stead_bench *bench, const char *kind, const char *op, uint64_t count, double *ret_rss,
                        double *ret_counted)
{
    struct stead_bench_node_options options = {.name = NULL};
    struct stead_bench_load load = touch("r", 0, count / 10), more = touch("q", 0, count);
    struct stead_bench_stats before, after;
    struct stead_bench_usage rss_before, rss_after;
    struct stead_client *client = NULL;
    struct stead_bench_node node;
    double rate;

    load.kind = more.kind = kind;
    load.op = more.op = op;
    load.calls = more.calls = true;
    int code = stead_bench_node_start(bench, &options, &node);
    if (code == 0)
        code = stead_bench_connect(bench, &node, 0, &client);
    if (code == 0)
        code = stead_bench_load(bench, &node, &load, &rate); /* what every node has anyway */
    sleep(SETTLE_SECONDS);
    stead_bench_usage(node.pid, &rss_before);
    if (code == 0)
        code = stead_bench_stats(bench, client, &before);
    if (code == 0)
        code = stead_bench_load(bench, &node, &more, &rate);
    sleep(SETTLE_SECONDS);
    stead_bench_usage(node.pid, &rss_after);
    if (code == 0)
        code = stead_bench_stats(bench, client, &after);
    if (code == 0) {
        double agents = (double)(after.agents_resident - before.agents_resident);
        *ret_rss = ((double)rss_after.rss_bytes - (double)rss_before.rss_bytes) / agents;
        *ret_counted = (double)(after.memory_bytes - before.memory_bytes) / agents;
    }
    if (client)
        stead_client_close(&client);
    stead_bench_node_stop(&node, true);
    return code;
}

int stead_bench_resident_agent(struct stead_bench *bench)
{
    const uint64_t count = bench->quick ? MILLION / 4 : MILLION;
    double rss = 0, counted = 0;
    int code = weigh_agents(bench, "bench.echo", "echo", count, &rss, &counted);

    if (code == 0)
        report(bench, "volatile_rss", rss, "B", 0, "value <= 512",
               json_pack("{s:I,s:f}", "agents", (json_int_t)count, "counted", counted));
    if (code == 0)
        code = weigh_agents(bench, "bench.counter", "add", count, &rss, &counted);
    if (code == 0)
        report(bench, "durable_rss", rss, "B", 0, NULL,
               json_pack("{s:I,s:f,s:s}", "agents", (json_int_t)count, "counted", counted, "with",
                         "rows not in the image yet, memtables, block cache"));
    return code;
}

/* ---- unload_reload -------------------------------------------------------------------------- */

int stead_bench_unload_reload(struct stead_bench *bench)
{
    const uint64_t parts = 10, part = bench->quick ? MILLION / 10 : MILLION;
    struct stead_bench_node_options options = {.memory_bytes = bench->quick ? SMALL_MEMORY / 4 : SMALL_MEMORY};
    struct stead_bench_usage usage = {.rss_bytes = 0};
    struct stead_client *client = NULL;
    struct stead_bench_stats stats = {.unloads = 0};
    struct stead_bench_node node;
    double rates[10];

    int code = stead_bench_node_start(bench, &options, &node);
    if (code == 0)
        code = stead_bench_connect(bench, &node, 0, &client);
    for (uint64_t i = 0; code == 0 && i < parts; i++) {
        struct stead_bench_load load = touch("u", i * part, part);
        stead_bench_progress(bench, "part %u of %u", (unsigned)i + 1, (unsigned)parts);
        code = stead_bench_load(bench, &node, &load, &rates[i]);
    }
    if (code == 0)
        code = stead_bench_stats(bench, client, &stats);
    stead_bench_usage(node.pid, &usage);
    json_t *all = json_array();
    for (uint64_t i = 0; code == 0 && i < parts; i++)
        json_array_append_new(all, json_integer((json_int_t)rates[i]));
    if (code == 0)
        report(bench, "last_part", rates[parts - 1], "1/s", rates[1], "ratio >= 0.7",
               json_pack("{s:O,s:I,s:I,s:I,s:I,s:I}", "rates", all, "agents", (json_int_t)parts * (json_int_t)part,
                         "memory", (json_int_t)options.memory_bytes, "resident", (json_int_t)stats.agents_resident,
                         "unloads", (json_int_t)stats.unloads, "rss", (json_int_t)usage.rss_bytes));
    json_decref(all);
    struct stead_bench_load again = touch("u", 0, part);
    again.agents = parts * part;
    double rate = 0;
    if (code == 0)
        code = stead_bench_load(bench, &node, &again, &rate); /* all of these were unloaded long ago */
    if (code == 0)
        report(bench, "reload", rate, "1/s", rates[1], NULL, json_pack("{s:I}", "agents", (json_int_t)part));
    if (client)
        stead_client_close(&client);
    stead_bench_node_stop(&node, true);
    return code;
}

/* ---- restart_1m ----------------------------------------------------------------------------- */

/* Milliseconds from start to ready on `folder` (NULL: new ones), the median of `count`, at most STARTS; each ends with
 * SIGKILL or cleanly. */
static int time_starts(struct stead_bench *bench, const char *folder, unsigned count, bool kill_it, double *ret_ms)
{
    struct stead_bench_node_options options = {.folder = folder};
    double ms[STARTS];
    int code = 0;

    for (unsigned i = 0; code == 0 && i < count; i++) {
        struct stead_bench_node node;
        code = stead_bench_node_start(bench, &options, &node);
        ms[i] = (double)node.ready_ns / 1e6;
        stead_bench_node_stop(&node, kill_it);
    }
    *ret_ms = code == 0 ? stead_bench_median(ms, count) : 0;
    return code;
}

int stead_bench_restart_1m(struct stead_bench *bench)
{
    struct stead_bench_node_options options = {.name = NULL};
    struct stead_bench_load load = touch("x", 0, MILLION);
    struct stead_bench_node node;
    double rate = 0, empty_ms = 0, killed_ms = 0, clean_ms = 0;

    int code = time_starts(bench, NULL, STARTS, false, &empty_ms);
    if (code == 0)
        code = stead_bench_node_start(bench, &options, &node);
    if (code != 0)
        return code;
    code = stead_bench_load(bench, &node, &load, &rate);
    stead_bench_node_stop(&node, true);
    if (code == 0)
        code = time_starts(bench, node.folder, STARTS, true, &killed_ms);
    if (code == 0) {
        double once_ms = 0; /* the first of these still comes after a SIGKILL */
        code = time_starts(bench, node.folder, 1, false, &once_ms);
    }
    if (code == 0)
        code = time_starts(bench, node.folder, STARTS, false, &clean_ms);
    if (code != 0)
        return code;
    report(bench, "ready_after_kill", killed_ms, "ms", empty_ms, "value <= 2000",
           json_pack("{s:i}", "agents", (int)MILLION));
    report(bench, "ready_after_stop", clean_ms, "ms", empty_ms, "value <= 2000",
           json_pack("{s:i}", "agents", (int)MILLION));
    return 0;
}

/* ---- idle ----------------------------------------------------------------------------------- */

int stead_bench_idle(struct stead_bench *bench)
{
    const unsigned seconds = bench->quick ? 5 : 10;
    struct stead_bench_node_options options = {.name = NULL};
    struct stead_bench_load load = touch("i", 0, 10000);
    struct stead_bench_usage before, after;
    struct stead_client *client = NULL;
    struct stead_bench_stats stats;
    struct stead_bench_node node;
    double rate = 0;

    int code = stead_bench_node_start(bench, &options, &node);
    if (code == 0)
        code = stead_bench_connect(bench, &node, 0, &client);
    if (code == 0)
        code = stead_bench_load(bench, &node, &load, &rate);
    if (code == 0)
        code = stead_bench_stats(bench, client, &stats); /* and the client stays connected */
    if (code == 0) {
        sleep(SETTLE_SECONDS);
        stead_bench_usage(node.pid, &before);
        sleep(seconds);
        stead_bench_usage(node.pid, &after);
        report(bench, "cpu", (double)(after.cpu_ns - before.cpu_ns) / seconds / 1e7, "%", 0, "value <= 0.1",
               json_pack("{s:i,s:i}", "seconds", (int)seconds, "agents", 10000));
        report(bench, "own_wakeups", (double)(after.own_switches - before.own_switches) / seconds, "1/s", 0, NULL,
               NULL);
        report(bench, "written", (double)(after.write_bytes - before.write_bytes), "B", 0, "value <= 0", NULL);
    }
    if (client)
        stead_client_close(&client);
    stead_bench_node_stop(&node, false);
    return code;
}
