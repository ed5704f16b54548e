/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_tell: volatile agents that talk to each other: on one reactor, between two reactors, between two nodes.
 *
 * The kind is bench.pair (agents/bench.c). A turn reads no clock, so the time is taken by the client around a call that
 * is answered when all has been said: the client's own trip, some 100 us, is spread over thousands of messages. A
 * call's p50 is the median over many such chains of their mean.
 *
 * Which keys meet where is found by asking: `show` tells node and reactor of an address, whether there is an agent or
 * not.
 */
#include "cmd/bench.h"

#include <stdio.h>
#include <string.h>

#include "runtime/base.h"

#define KEYS_MAX 256u /* looked at to find two that lie as wanted */
#define CHAINS_MAX 201u
#define BURST 256u
#define FRAME_RECORDS 64u

enum meeting { SAME_REACTOR, CROSS_REACTOR, CROSS_NODE };

/* Two agents and how to reach them. */
struct pair {
    struct stead_bench_node coordinator, nodes[2];
    struct stead_client *client;
    char source[64], sink[64];
};

/* ---- Two agents that lie as wanted ---------------------------------------------------------- */

static bool meets(enum meeting meeting, const struct stead_bench_place *a, const struct stead_bench_place *b)
{
    bool same_node = strcmp(a->node, b->node) == 0;

    if (meeting == SAME_REACTOR)
        return same_node && a->shard == b->shard;
    return meeting == CROSS_NODE ? !same_node : same_node && a->reactor != b->reactor;
}

static int find_pair(const struct stead_bench *bench, enum meeting meeting, struct pair *pair)
{
    struct stead_bench_place source, sink;

    snprintf(pair->source, sizeof pair->source, "bench.pair/{a}source");
    int code = stead_bench_place(bench, pair->client, pair->source, &source);
    for (unsigned i = 0; code == 0 && i < KEYS_MAX; i++) {
        snprintf(pair->sink, sizeof pair->sink, "bench.pair/{%c%u}sink", 'a', i);
        if (i == 0) /* the same tag: the same slot */
            snprintf(pair->sink, sizeof pair->sink, "bench.pair/{a}sink");
        code = stead_bench_place(bench, pair->client, pair->sink, &sink);
        if (code == 0 && meets(meeting, &source, &sink))
            return 0;
    }
    return code ? code : stead_bench_fail(bench, "no two agents lie as wanted: are there two reactors?");
}

static void close_pair(struct pair *pair)
{
    if (pair->client)
        stead_client_close(&pair->client);
    stead_bench_node_stop(&pair->nodes[1], false);
    stead_bench_node_stop(&pair->nodes[0], false);
    stead_bench_node_stop(&pair->coordinator, false);
}

/* Two nodes of one cluster, which is formed when both are there. */
static int start_two(struct stead_bench *bench, struct pair *pair)
{
    struct stead_bench_node_options options = {.reactors = 1, .coordinator = pair->coordinator.endpoint};
    int code = stead_bench_coordinator_start(bench, 2, &pair->coordinator);

    options.name = "n1";
    if (code == 0)
        code = stead_bench_node_launch(bench, &options, &pair->nodes[0]);
    options.name = "n2";
    if (code == 0)
        code = stead_bench_node_launch(bench, &options, &pair->nodes[1]);
    if (code == 0)
        code = stead_bench_node_await(bench, &pair->nodes[0]);
    return code == 0 ? stead_bench_node_await(bench, &pair->nodes[1]) : code;
}

/* Nodes, client, agents. One reactor a node, but for CROSS_REACTOR: two. */
static int open_pair(struct stead_bench *bench, enum meeting meeting, struct pair *pair)
{
    struct stead_bench_node_options options = {.reactors = meeting == CROSS_REACTOR ? 2 : 1};

    memset(pair, 0, sizeof *pair);
    int code =
        meeting == CROSS_NODE ? start_two(bench, pair) : stead_bench_node_start(bench, &options, &pair->nodes[0]);
    if (code == 0)
        code = stead_bench_connect(bench, &pair->nodes[0], 0, &pair->client);
    if (code == 0)
        code = find_pair(bench, meeting, pair);
    if (code != 0)
        close_pair(pair);
    return code;
}

/* ---- Talking -------------------------------------------------------------------------------- */

/* The time of one call of the source that is answered at the end of it all. */
static int time_talk(const struct stead_bench *bench, struct pair *pair, const char *op, uint64_t count, uint32_t size,
                     uint32_t window, uint64_t *ret_ns)
{
    struct stead_writer args;
    struct stead_answer answer;

    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:u,s:u,s:u,s:u}", "to", pair->sink, "count", count, "size", (uint64_t)size, "burst",
               (uint64_t)BURST, "window", (uint64_t)window);
    uint64_t start_ns = stead_bench_now_ns();
    int code = stead_client_call(pair->client, pair->source, op, stead_written(&args), NULL, &answer);
    *ret_ns = stead_bench_now_ns() - start_ns;
    stead_writer_deinit(&args);
    return code == 0 ? 0 : stead_bench_fail(bench, "%s of %s: %s", op, pair->source, answer.error_sentence);
}

/* Messages a second: the median of runs of a second or so, after one to find the rate. `ret_cpu_rate`: messages a
 * second of the processor time that the first node took, the best run: what a core of its own would give. */
static int pour(struct stead_bench *bench, struct pair *pair, uint32_t size, uint32_t window, double *ret_rate,
                double *ret_cpu_rate)
{
    struct stead_bench_usage before, after;
    double rates[STEAD_BENCH_RUNS_MAX];
    uint32_t runs = bench->quick ? 3 : 7;
    uint64_t count = 100u * BURST, ns = 0;
    int code = time_talk(bench, pair, "pour", count, size, window, &ns); /* warms up */

    for (uint32_t run = 0; code == 0 && run <= runs; run++) {
        stead_bench_usage(pair->nodes[0].pid, &before);
        code = time_talk(bench, pair, "pour", count, size, window, &ns);
        stead_bench_usage(pair->nodes[0].pid, &after);
        double rate = (double)count * 1e9 / (double)ns;
        double cpu_rate = (double)count * 1e9 / (double)(after.cpu_ns - before.cpu_ns);
        if (run > 0)
            rates[run - 1] = rate;
        if (run > 0 && cpu_rate > *ret_cpu_rate)
            *ret_cpu_rate = cpu_rate;
        count = ((uint64_t)(rate * (bench->quick ? 0.5 : 1)) / BURST + 1) * BURST;
        stead_bench_progress(bench, "run %u: %.0f messages/s", run, rate);
    }
    *ret_rate = code == 0 ? stead_bench_median(rates, runs) : 0;
    return code;
}

/* Microseconds a call: the median over chains of `count` calls, one after the other. */
static int chain(const struct stead_bench *bench, struct pair *pair, uint64_t count, uint32_t size,
                 struct stead_bench_raw *raw, double *ret_us, double *ret_floor_us)
{
    double chains[CHAINS_MAX], floors[CHAINS_MAX];
    uint32_t runs = bench->quick ? 21 : CHAINS_MAX;
    uint64_t ns = 0, trips_ns[1000];
    int code = time_talk(bench, pair, "chain", count, size, 1, &ns);

    STEAD_ASSERT(!raw || count <= sizeof trips_ns / sizeof trips_ns[0]);
    for (uint32_t run = 0; code == 0 && run < runs; run++) {
        uint64_t start_ns = stead_bench_now_ns();
        if (raw)
            code = stead_bench_raw_trips(raw, size, trips_ns, count);
        floors[run] = (double)(stead_bench_now_ns() - start_ns) / (double)count / 1000;
        if (code == 0)
            code = time_talk(bench, pair, "chain", count, size, 1, &ns);
        chains[run] = (double)ns / (double)count / 1000;
    }
    *ret_us = code == 0 ? stead_bench_median(chains, runs) : 0;
    *ret_floor_us = code == 0 && raw ? stead_bench_median(floors, runs) : 0;
    return code;
}

/* ---- The benches ---------------------------------------------------------------------------- */

static void report_rate(struct stead_bench *bench, double rate, double floor, const char *target, json_t *settings)
{
    struct stead_bench_figure figure = {
        .metric = "rate", .value = rate, .unit = "1/s", .floor = floor, .target = target, .settings = settings};

    stead_bench_report(bench, &figure);
}

static void report_call(struct stead_bench *bench, double us, double floor, const char *target, json_t *settings)
{
    struct stead_bench_figure figure = {
        .metric = "call_p50", .value = us, .unit = "us", .floor = floor, .target = target, .settings = settings};

    stead_bench_report(bench, &figure);
}

int stead_bench_tell_same_reactor(struct stead_bench *bench)
{
    uint64_t list_count = bench->quick ? 5000000 : 20000000;
    const uint32_t window = 4, size = 8;
    struct pair pair;
    double rate = 0, cpu_rate = 0, us = 0, none = 0;

    int code = open_pair(bench, SAME_REACTOR, &pair);
    if (code != 0)
        return code;
    code = pour(bench, &pair, size, window, &rate, &cpu_rate);
    if (code == 0)
        code = chain(bench, &pair, bench->quick ? 20000 : 100000, size, NULL, &us, &none);
    close_pair(&pair);
    if (code != 0)
        return code;
    report_rate(bench, rate, stead_bench_list_rate(list_count), "value >= 10000000",
                json_pack("{s:i,s:i,s:i,s:I}", "payload", (int)size, "burst", (int)BURST, "window",
                          (int)(window * BURST), "rate_per_cpu_second", (json_int_t)cpu_rate));
    report_call(bench, us, 0, "value <= 0.5", json_pack("{s:i}", "payload", (int)size));
    return 0;
}

int stead_bench_tell_cross_reactor(struct stead_bench *bench)
{
    const uint32_t window = 16, size = 64;
    struct pair pair;
    double rate = 0, cpu_rate = 0;

    int code = open_pair(bench, CROSS_REACTOR, &pair);
    if (code != 0)
        return code;
    code = pour(bench, &pair, size, window, &rate, &cpu_rate);
    close_pair(&pair);
    if (code == 0)
        report_rate(
            bench, rate, stead_bench_ring_rate(bench->quick ? 20000000 : 100000000), "value >= 3000000",
            json_pack("{s:i,s:i,s:i}", "payload", (int)size, "burst", (int)BURST, "window", (int)(window * BURST)));
    return code;
}

int stead_bench_call_cross_node(struct stead_bench *bench)
{
    const uint32_t count = 200, size = 64;
    struct stead_bench_raw raw = {NULL, NULL};
    struct pair pair;
    double us = 0, floor = 0;

    int code = open_pair(bench, CROSS_NODE, &pair);
    if (code != 0)
        return code;
    code = stead_bench_raw_open(bench, &raw);
    if (code == 0)
        code = chain(bench, &pair, count, size, &raw, &us, &floor);
    stead_bench_raw_close(&raw);
    close_pair(&pair);
    if (code == 0)
        report_call(bench, us, floor, "ratio <= 1.3",
                    json_pack("{s:i,s:i}", "payload", (int)size, "chain", (int)count));
    return code;
}

int stead_bench_tell_cross_node(struct stead_bench *bench)
{
    const uint32_t window = 32, size = 64;
    struct stead_bench_raw raw = {NULL, NULL};
    struct pair pair;
    double rate = 0, cpu_rate = 0, floor = 0, frames = 0;

    int code = open_pair(bench, CROSS_NODE, &pair);
    if (code != 0)
        return code;
    code = stead_bench_raw_open(bench, &raw);
    if (code == 0)
        code = stead_bench_raw_rate(&raw, size, bench->quick ? 1000000 : 4000000, &floor);
    if (code == 0)
        code = pour(bench, &pair, size, window, &rate, &cpu_rate);
    if (code == 0)
        code = stead_bench_raw_rate(&raw, (size_t)size * FRAME_RECORDS, bench->quick ? 50000 : 200000, &frames);
    stead_bench_raw_close(&raw);
    close_pair(&pair);
    if (code == 0)
        report_rate(bench, rate, floor, "value >= 3000000",
                    json_pack("{s:i,s:i,s:i,s:I}", "payload", (int)size, "burst", (int)BURST, "window",
                              (int)(window * BURST), "floor_64_a_frame", (json_int_t)(frames * FRAME_RECORDS)));
    return code;
}
