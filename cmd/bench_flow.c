/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_flow: workflows on the direct fabric: hello3, hello5, hello5_sustained, fanout1000, replay; and hub_hello5.
 *
 * One at a time, a client's synchronous run, in turns with its floor: a raw round trip and the synced puts that must
 * follow each other. An activity starts only after the commit that schedules it, so a sequence of n has n + 1 of them:
 * the start with the first activity, each result with the next, the last result with the end. Activities declared
 * idempotent may start before it: then one.
 *
 * Sustained: the node has two cores and no more, the client the others.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/bench.h"
#include "runtime/base.h"
#include "stead/orchestration_client.h"

#define PAYLOAD 64u
#define SLICES 20u
#define SAMPLES 4000u
#define SAMPLES_QUICK 400u
#define DBOS_US 5600.0 /* the same five steps on the machine of reference: docs/BENCH.md */
#define RESTATE_US 7900.0
#define RESTATE_RATE 804.0 /* with one partition, which is its best */
#define IN_FLIGHT 256u
#define FAN 1000u
#define FAN_RUNS 40u
#define FAN_RUNS_QUICK 5u
#define CORES 2u

/* ---- One run -------------------------------------------------------------------------------- */

static int run_one(const struct stead_bench *bench, struct stead_client *client, const char *name,
                   struct stead_slice input, int64_t expected, const char *hub)
{
    struct stead_instance_options options = {.hub = hub};
    struct stead_answer answer = {.error_sentence = ""};
    struct stead_instance instance;
    int64_t output = -1;

    int code = stead_instance_run(client, name, input, &options, &instance, &answer);
    if (code != 0)
        return stead_bench_fail(bench, "%s: %s", name, answer.error_sentence);
    if (instance.status != STEAD_INSTANCE_COMPLETED)
        return stead_bench_fail(bench, "%s: %s: %s", name, stead_instance_status_name(instance.status),
                                instance.error_sentence);
    if (stead_get_i64(instance.output, NULL, &output) != 0 || output != expected)
        return stead_bench_fail(bench, "%s answered something else than it must", name);
    return 0;
}

static struct stead_slice pack_hello(struct stead_writer *writer, uint32_t count, bool quick)
{
    stead_writer_reset(writer);
    stead_pack(writer, "{s:u,s:b}", "count", (uint64_t)count, "quick", (int)quick);
    return stead_written(writer);
}

/* ---- Sequences one at a time ---------------------------------------------------------------- */

/* Samples of runs and of what they are compared with. */
struct samples {
    size_t count;
    uint64_t *run_ns, *trip_ns, *put_ns;
    double flushes;    /* of a run */
    size_t entry_size; /* bytes of a log entry */
};

static struct samples make_samples(size_t count)
{
    return (struct samples){.count = count,
                            .run_ns = stead_alloc(count * sizeof(uint64_t)),
                            .trip_ns = stead_alloc(count * sizeof(uint64_t)),
                            .put_ns = stead_alloc(count * sizeof(uint64_t)),
                            .entry_size = 256};
}

static void free_samples(struct samples *samples)
{
    free(samples->run_ns);
    free(samples->trip_ns);
    free(samples->put_ns);
}

static int time_hellos(const struct stead_bench *bench, struct stead_client *client, const char *hub, uint32_t steps,
                       bool quick, uint64_t *ret_ns, size_t count)
{
    uint8_t memory[64];
    struct stead_writer input;
    int code = 0;

    stead_writer_init_fixed(&input, memory, sizeof memory);
    for (size_t i = 0; code == 0 && i < count; i++) {
        struct stead_slice args = pack_hello(&input, steps, quick);
        uint64_t start_ns = stead_bench_now_ns();
        code = run_one(bench, client, "compare.hello", args, steps, hub);
        ret_ns[i] = stead_bench_now_ns() - start_ns;
    }
    stead_writer_deinit(&input);
    return code;
}

/* Runs, trips and puts in turns. */
static int take_samples(struct stead_bench *bench, const struct stead_bench_node *node, const char *hub, uint32_t steps,
                        bool quick, struct samples *samples)
{
    struct stead_bench_raw raw = {NULL, NULL};
    struct stead_bench_disk *disk = NULL;
    struct stead_client *client = NULL;
    struct stead_bench_stats before, after;
    size_t slice = samples->count / SLICES;

    int code = stead_bench_connect(bench, node, 0, &client);
    if (code == 0)
        code = stead_bench_raw_open(bench, &raw);
    if (code == 0)
        code = stead_bench_disk_open(bench, &disk);
    if (code == 0)
        code = time_hellos(bench, client, hub, steps, quick, samples->run_ns, slice); /* warms up */
    if (code == 0)
        code = stead_bench_stats(bench, client, &before);
    for (size_t at = 0; code == 0 && at < samples->count; at += slice) {
        stead_bench_progress(bench, "%u steps, %zu of %zu", steps, at, samples->count);
        code = stead_bench_raw_trips(&raw, PAYLOAD, samples->trip_ns + at, slice);
        if (code == 0)
            code = time_hellos(bench, client, hub, steps, quick, samples->run_ns + at, slice);
        if (code == 0)
            code = stead_bench_disk_puts(disk, samples->entry_size, samples->put_ns + at, slice);
    }
    if (code == 0)
        code = stead_bench_stats(bench, client, &after);
    if (code == 0) {
        struct stead_bench_stats since = stead_bench_stats_since(&after, &before);
        samples->flushes = (double)since.syncs / (double)samples->count;
        samples->entry_size = since.entries ? since.entry_bytes / since.entries : samples->entry_size;
    }
    stead_client_close(&client);
    stead_bench_raw_close(&raw);
    stead_bench_disk_close(&disk);
    return code;
}

/* `puts` of the floor; `peers`: the workflows of five that others took. */
static void report_hello(struct stead_bench *bench, struct samples *samples, const char *metric, unsigned permille,
                         uint32_t puts, const char *target, bool peers)
{
    double trip = (double)stead_bench_quantile(samples->trip_ns, samples->count, permille) / 1000;
    double put = (double)stead_bench_quantile(samples->put_ns, samples->count, permille) / 1000;
    json_t *settings =
        json_pack("{s:i,s:f,s:f,s:f,s:i}", "samples", (int)samples->count, "trip_us", (double)(int64_t)(trip * 10) / 10,
                  "put_us", (double)(int64_t)(put * 10) / 10, "flushes_per_op",
                  (double)(int64_t)(samples->flushes * 100) / 100, "entry_bytes", (int)samples->entry_size);
    struct stead_bench_figure figure = {
        .metric = metric,
        .value = (double)stead_bench_quantile(samples->run_ns, samples->count, permille) / 1000,
        .unit = "us",
        .floor = trip + puts * put,
        .target = target,
        .settings = settings};

    if (peers) {
        json_object_set_new(settings, "dbos_us", json_real(DBOS_US));
        json_object_set_new(settings, "restate_us", json_real(RESTATE_US));
    }
    stead_bench_report(bench, &figure);
}

static int measure_hello(struct stead_bench *bench, const struct stead_bench_node *node, const char *hub,
                         uint32_t steps, bool quick, struct samples *samples)
{
    struct samples few = make_samples(SLICES * 5);
    int code = take_samples(bench, node, hub, steps, quick, &few); /* finds the size of an entry */

    samples->entry_size = few.entry_size;
    free_samples(&few);
    return code == 0 ? take_samples(bench, node, hub, steps, quick, samples) : code;
}

int stead_bench_hello3(struct stead_bench *bench)
{
    struct samples samples = make_samples(bench->quick ? SAMPLES_QUICK : SAMPLES);
    struct stead_bench_node_options options = {.name = NULL};
    struct stead_bench_node node;

    int code = stead_bench_node_start(bench, &options, &node);
    if (code == 0)
        code = measure_hello(bench, &node, NULL, 3, false, &samples);
    if (code == 0) {
        report_hello(bench, &samples, "p50", 500, 4, "ratio <= 1.5", false);
        report_hello(bench, &samples, "p99", 990, 4, NULL, false);
        code = measure_hello(bench, &node, NULL, 3, true, &samples);
    }
    if (code == 0) {
        report_hello(bench, &samples, "idempotent_p50", 500, 1, "ratio <= 2", false);
        report_hello(bench, &samples, "idempotent_p99", 990, 1, NULL, false);
    }
    stead_bench_node_stop(&node, false);
    free_samples(&samples);
    return code;
}

int stead_bench_hello5(struct stead_bench *bench)
{
    struct samples samples = make_samples(bench->quick ? SAMPLES_QUICK : SAMPLES);
    struct stead_bench_node_options options = {.name = NULL};
    struct stead_bench_node node;

    int code = stead_bench_node_start(bench, &options, &node);
    if (code == 0)
        code = measure_hello(bench, &node, NULL, 5, false, &samples);
    if (code == 0) {
        report_hello(bench, &samples, "p50", 500, 6, "value <= 560", true);
        report_hello(bench, &samples, "p99", 990, 6, NULL, true);
        code = measure_hello(bench, &node, NULL, 5, true, &samples);
    }
    if (code == 0) {
        report_hello(bench, &samples, "idempotent_p50", 500, 1, NULL, true);
        report_hello(bench, &samples, "idempotent_p99", 990, 1, NULL, true);
    }
    stead_bench_node_stop(&node, false);
    free_samples(&samples);
    return code;
}

/* Over the hub main, whose workers wait in its queues (notify). What must follow what: the row and the start; for each
 * step its write, its work item and its result; the last write. */
int stead_bench_hub_hello5(struct stead_bench *bench)
{
    struct samples samples = make_samples(bench->quick ? SAMPLES_QUICK : SAMPLES);
    struct stead_bench_node_options options = {.name = NULL};
    struct stead_bench_node node;

    int code = stead_bench_node_start(bench, &options, &node);
    if (code == 0)
        code = measure_hello(bench, &node, "main", 5, false, &samples);
    if (code == 0) {
        report_hello(bench, &samples, "p50", 500, 18, "value < 5600", true);
        report_hello(bench, &samples, "p99", 990, 18, NULL, true);
    }
    stead_bench_node_stop(&node, false);
    free_samples(&samples);
    return code;
}

/* ---- Many at once --------------------------------------------------------------------------- */

struct flood {
    uint64_t done;
    int code; /* the first failure */
};

static void on_run(void *context, const struct stead_answer *answer)
{
    struct flood *flood = context;
    struct stead_instance instance;
    int64_t output = 0;

    int code = answer->code != 0 ? answer->code : stead_instance_read(answer->value, &instance);
    if (code == 0 && (instance.status != STEAD_INSTANCE_COMPLETED ||
                      stead_get_i64(instance.output, NULL, &output) != 0 || output != 5))
        code = STEAD_EFAILED;
    flood->done += code == 0;
    if (flood->code == 0)
        flood->code = code;
}

/* Keeps IN_FLIGHT of them on their way for some seconds. */
static int flood_for(struct stead_client *client, double seconds, double *ret_rate)
{
    struct flood flood = {.done = 0};
    uint64_t start_ns = stead_bench_now_ns(), end_ns = start_ns + (uint64_t)(seconds * 1e9), now_ns = start_ns;
    struct stead_writer input;
    uint8_t memory[64];

    stead_writer_init_fixed(&input, memory, sizeof memory);
    struct stead_slice args = pack_hello(&input, 5, false);
    while (flood.code == 0 && now_ns < end_ns) {
        while (flood.code == 0 && stead_client_in_flight(client) < IN_FLIGHT)
            flood.code = stead_instance_run_async(client, "compare.hello", args, NULL, on_run, &flood);
        if (flood.code == 0 && stead_client_poll(client, 1000) < 0)
            flood.code = STEAD_EIO;
        now_ns = stead_bench_now_ns();
    }
    if (flood.code == 0)
        flood.code = stead_client_drain(client, 60000);
    *ret_rate = (double)flood.done * 1e9 / (double)(stead_bench_now_ns() - start_ns);
    stead_writer_deinit(&input);
    return flood.code;
}

int stead_bench_hello5_sustained(struct stead_bench *bench)
{
    struct stead_bench_node_options options = {.reactors = CORES, .cores = CORES};
    struct stead_bench_stats before, after;
    struct stead_client *client = NULL;
    struct stead_bench_node node;
    double rates[3] = {0}, runs = 0;

    int code = stead_bench_node_start(bench, &options, &node);
    if (code == 0)
        code = stead_bench_connect(bench, &node, IN_FLIGHT, &client);
    if (code == 0)
        code = flood_for(client, 1, &rates[0]);
    if (code == 0)
        code = stead_bench_stats(bench, client, &before);
    double seconds = bench->quick ? 1 : 10;
    for (int i = 0; code == 0 && i < 3; i++) {
        stead_bench_progress(bench, "run %d of 3", i + 1);
        code = flood_for(client, seconds, &rates[i]);
        runs += rates[i] * seconds;
    }
    if (code == 0)
        code = stead_bench_stats(bench, client, &after);
    stead_client_close(&client);
    stead_bench_node_stop(&node, false);
    if (code != 0)
        return stead_bench_fail(bench, "%s", stead_error_sentence(code));
    struct stead_bench_stats since = stead_bench_stats_since(&after, &before);
    struct stead_bench_figure figure = {
        .metric = "rate",
        .value = stead_bench_median(rates, 3),
        .unit = "1/s",
        .target = "value >= 5000",
        .settings = json_pack("{s:i,s:i,s:f,s:f}", "cores", (int)CORES, "in_flight", (int)IN_FLIGHT, "flushes_per_op",
                              (double)(int64_t)((double)since.syncs / runs * 1e4) / 1e4, "peer", RESTATE_RATE)};
    stead_bench_report(bench, &figure);
    return 0;
}

int stead_bench_fanout1000(struct stead_bench *bench)
{
    struct stead_bench_node_options options = {.name = NULL};
    size_t count = bench->quick ? FAN_RUNS_QUICK : FAN_RUNS;
    struct stead_bench_stats before, after;
    struct stead_client *client = NULL;
    struct stead_bench_node node;
    struct stead_writer input;
    uint64_t ns[FAN_RUNS];

    stead_writer_init(&input);
    stead_pack(&input, "{s:u}", "count", (uint64_t)FAN);
    int code = stead_bench_node_start(bench, &options, &node);
    if (code == 0)
        code = stead_bench_connect(bench, &node, 0, &client);
    for (int i = 0; code == 0 && i < 3; i++)
        code = run_one(bench, client, "compare.fanout", stead_written(&input), FAN * (FAN - 1) / 2, NULL);
    if (code == 0)
        code = stead_bench_stats(bench, client, &before);
    for (size_t i = 0; code == 0 && i < count; i++) {
        uint64_t start_ns = stead_bench_now_ns();
        code = run_one(bench, client, "compare.fanout", stead_written(&input), FAN * (FAN - 1) / 2, NULL);
        ns[i] = stead_bench_now_ns() - start_ns;
    }
    if (code == 0)
        code = stead_bench_stats(bench, client, &after);
    if (code == 0) {
        double flushes = (double)stead_bench_stats_since(&after, &before).syncs / (double)count;
        struct stead_bench_figure figure = {.metric = "p50",
                                            .value = (double)stead_bench_quantile(ns, count, 500) / 1e6,
                                            .unit = "ms",
                                            .target = "value <= 30",
                                            .settings =
                                                json_pack("{s:i,s:i,s:f,s:f}", "samples", (int)count, "activities",
                                                          (int)FAN, "flushes_per_op", flushes, "peer_ms", 434.0)};
        stead_bench_report(bench, &figure);
    }
    stead_writer_deinit(&input);
    stead_client_close(&client);
    stead_bench_node_stop(&node, false);
    return code;
}
