/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_client: clients and one node.
 *
 *   volatile_call         one call at a time         floor: a raw ZeroMQ round trip of the payload
 *   durable_call          one call at a time         floor: that trip + one synced put of the entry's bytes
 *   durable_signals_*     many on their way at once  floor: records of the signal's bytes in synced batches of stead's own size
 *
 * Calls and their floors take turns in slices, so that a slow moment of the machine meets all of them. The size of an
 * entry, the signals in a sync and the flushes of an operation are the node's own counters over the run that is
 * measured.
 */
#include "cmd/bench.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base.h"

#define PAYLOAD 64u
#define SLICES 20u
#define DELAY_US 1000u
#define REDIS_XADD 162000.0 /* synced, pipelined, on such a machine: docs/BENCH.md */
#define IN_FLIGHT 16384u
#define CLIENTS_DEFAULT 2u
#define RUNS 3u

/* ---- One at a time -------------------------------------------------------------------------- */

/* A payload of `size` bytes: a bin 8 of zeros. */
static struct stead_slice make_payload(uint8_t *bytes, uint32_t size)
{
    memset(bytes, 0, size);
    bytes[0] = 0xc4;
    bytes[1] = (uint8_t)(size - 2);
    return stead_bytes(bytes, size);
}

static int time_calls(const struct stead_bench *bench, struct stead_client *client, const char *address, const char *op,
                      uint64_t *ret_ns, size_t count)
{
    uint8_t bytes[PAYLOAD];
    struct stead_slice args = make_payload(bytes, PAYLOAD);

    for (size_t i = 0; i < count; i++) {
        uint64_t start_ns = stead_bench_now_ns();
        int code = stead_client_call(client, address, op, args, NULL, NULL);
        ret_ns[i] = stead_bench_now_ns() - start_ns;
        if (code != 0)
            return stead_bench_fail(bench, "%s %s: %s", address, op, stead_error_sentence(code));
    }
    return 0;
}

/* Samples of a call and of what it is compared with. */
struct samples {
    size_t count; /* of each */
    uint64_t *call_ns, *trip_ns, *put_ns;
};

static struct samples make_samples(const struct stead_bench *bench)
{
    size_t count = bench->quick ? 2000 : 20000;

    return (struct samples){.count = count,
                            .call_ns = stead_alloc(count * sizeof(uint64_t)),
                            .trip_ns = stead_alloc(count * sizeof(uint64_t)),
                            .put_ns = stead_alloc_zero(count * sizeof(uint64_t))};
}

static void free_samples(struct samples *samples)
{
    free(samples->call_ns);
    free(samples->trip_ns);
    free(samples->put_ns);
}

/* Calls, trips and (with a disk) puts, in turns. */
static int take_samples(const struct stead_bench *bench, struct stead_client *client, struct stead_bench_raw *raw,
                        struct stead_bench_disk *disk, size_t entry_size, struct samples *samples)
{
    const char *address = disk ? "bench.counter/one" : "bench.echo/one", *op = disk ? "add" : "echo";
    size_t slice = samples->count / SLICES;
    int code = time_calls(bench, client, address, op, samples->call_ns, slice); /* warms up */

    for (size_t at = 0; code == 0 && at < samples->count; at += slice) {
        code = stead_bench_raw_trips(raw, PAYLOAD, samples->trip_ns + at, slice);
        if (code == 0)
            code = time_calls(bench, client, address, op, samples->call_ns + at, slice);
        if (code == 0 && disk)
            code = stead_bench_disk_puts(disk, entry_size, samples->put_ns + at, slice);
    }
    return code;
}

static void report_call(struct stead_bench *bench, struct samples *samples, const char *metric, unsigned permille,
                        const char *target, json_t *settings)
{
    double trip = (double)stead_bench_quantile(samples->trip_ns, samples->count, permille) / 1000;
    double put = (double)stead_bench_quantile(samples->put_ns, samples->count, permille) / 1000;
    struct stead_bench_figure figure = {
        .metric = metric,
        .value = (double)stead_bench_quantile(samples->call_ns, samples->count, permille) / 1000,
        .unit = "us",
        .floor = trip + put,
        .target = target,
        .settings = settings};

    json_object_set_new(settings, "payload", json_integer(PAYLOAD));
    json_object_set_new(settings, "trip_us", json_real((double)(int64_t)(trip * 10) / 10));
    if (put > 0)
        json_object_set_new(settings, "put_us", json_real((double)(int64_t)(put * 10) / 10));
    stead_bench_report(bench, &figure);
}

int stead_bench_volatile_call(struct stead_bench *bench)
{
    struct stead_bench_node_options options = {.name = NULL};
    struct stead_bench_raw raw = {NULL, NULL};
    struct stead_client *client = NULL;
    struct stead_bench_node node;
    struct samples samples = make_samples(bench);

    int code = stead_bench_node_start(bench, &options, &node);
    if (code == 0)
        code = stead_bench_connect(bench, &node, 0, &client);
    if (code == 0)
        code = stead_bench_raw_open(bench, &raw);
    if (code == 0)
        code = take_samples(bench, client, &raw, NULL, 0, &samples);
    if (code == 0) {
        report_call(bench, &samples, "p50", 500, "ratio <= 1.5", json_object());
        report_call(bench, &samples, "p99", 990, NULL, json_object());
    }
    stead_client_close(&client);
    stead_bench_raw_close(&raw);
    stead_bench_node_stop(&node, false);
    free_samples(&samples);
    return code;
}

/* The bytes of one call's entry and its flushes, from a few hundred calls. */
static int weigh_calls(const struct stead_bench *bench, struct stead_client *client, size_t *ret_size,
                       double *ret_flushes)
{
    struct stead_bench_stats before, after;
    uint64_t ns[400];
    int code = time_calls(bench, client, "bench.counter/one", "add", ns, 400);

    if (code == 0)
        code = stead_bench_stats(bench, client, &before);
    if (code == 0)
        code = time_calls(bench, client, "bench.counter/one", "add", ns, 400);
    if (code == 0)
        code = stead_bench_stats(bench, client, &after);
    if (code != 0)
        return code;
    struct stead_bench_stats since = stead_bench_stats_since(&after, &before);
    *ret_size = since.entries ? since.entry_bytes / since.entries : 0;
    *ret_flushes = (double)since.syncs / 400;
    return 0;
}

int stead_bench_durable_call(struct stead_bench *bench)
{
    struct stead_bench_node_options options = {.name = NULL};
    struct stead_bench_raw raw = {NULL, NULL};
    struct stead_bench_disk *disk = NULL;
    struct stead_client *client = NULL;
    struct stead_bench_node node;
    struct samples samples = make_samples(bench);
    size_t entry_size = 0;
    double flushes = 0;

    int code = stead_bench_node_start(bench, &options, &node);
    if (code == 0)
        code = stead_bench_connect(bench, &node, 0, &client);
    if (code == 0)
        code = stead_bench_raw_open(bench, &raw);
    if (code == 0)
        code = stead_bench_disk_open(bench, &disk);
    if (code == 0)
        code = weigh_calls(bench, client, &entry_size, &flushes);
    if (code == 0)
        code = take_samples(bench, client, &raw, disk, entry_size, &samples);
    if (code == 0) {
        json_t *settings = json_pack("{s:i,s:f}", "entry_bytes", (int)entry_size, "flushes_per_op", flushes);
        report_call(bench, &samples, "p50", 500, "ratio <= 1.5", json_deep_copy(settings));
        report_call(bench, &samples, "p99", 990, NULL, settings);
    }
    stead_client_close(&client);
    stead_bench_raw_close(&raw);
    stead_bench_disk_close(&disk);
    stead_bench_node_stop(&node, false);
    free_samples(&samples);
    return code;
}

/* ---- Many at once --------------------------------------------------------------------------- */

/* One client thread of a load. */
struct sender {
    const struct stead_bench *bench;
    const struct stead_bench_node *node;
    const struct stead_bench_load *load;
    pthread_t thread;
    bool started;
    uint64_t next, end, step; /* signals of this thread: next, next + step .. below end */
    uint64_t *refused;        /* numbers of signals that met a full mailbox */
    uint32_t refused_count;
    int code; /* first failure */
};

/* What a completion is told: whose signal it was. */
struct sent {
    struct sender *sender;
    uint64_t number;
    struct sent *free_next;
};

struct pipeline {
    struct sent *sents; /* in_flight of them */
    struct sent *free;
};

static _Thread_local struct pipeline pipeline; /* of this client thread */

static void on_answer(void *context, const struct stead_answer *answer)
{
    struct sent *sent = context;
    struct sender *sender = sent->sender;

    if (answer->code == STEAD_EBUSY)
        sender->refused[sender->refused_count++] = sent->number;
    else if (answer->code != 0 && sender->code == 0)
        sender->code = answer->code;
    sent->free_next = pipeline.free;
    pipeline.free = sent;
}

static int send_one(struct sender *sender, struct stead_client *client, uint64_t number, struct stead_slice args)
{
    const struct stead_bench_load *load = sender->load;
    const char *op = load->op ? load->op : "note";
    struct sent *sent = pipeline.free;
    char address[128];

    snprintf(address, sizeof address, "%s/%s%" PRIu64, load->kind ? load->kind : "bench.counter", load->prefix,
             number % load->agents);
    pipeline.free = sent->free_next;
    *sent = (struct sent){.sender = sender, .number = number};
    return load->calls ? stead_client_call_async(client, address, op, args, NULL, on_answer, sent)
                       : stead_client_signal_async(client, address, op, args, NULL, on_answer, sent);
}

/* Fills the pipeline. */
static void send_some(struct sender *sender, struct stead_client *client, struct stead_slice args)
{
    while (pipeline.free && sender->code == 0) {
        uint64_t number;
        if (sender->refused_count > 0) {
            number = sender->refused[--sender->refused_count];
        } else if (sender->next < sender->end) {
            number = sender->next;
            sender->next += sender->step;
        } else {
            return;
        }
        sender->code = send_one(sender, client, number, args);
    }
}

static void *run_sender(void *context)
{
    struct sender *sender = context;
    uint32_t in_flight = sender->load->in_flight;
    struct stead_client *client = NULL;
    uint8_t bytes[PAYLOAD * 2];
    struct stead_slice args = make_payload(bytes, sender->load->size);

    pipeline = (struct pipeline){.sents = stead_alloc_zero(in_flight * sizeof(struct sent))};
    for (uint32_t i = 0; i < in_flight; i++) {
        pipeline.sents[i].free_next = pipeline.free;
        pipeline.free = &pipeline.sents[i];
    }
    sender->refused = stead_alloc(in_flight * sizeof(uint64_t));
    sender->code = stead_bench_connect(sender->bench, sender->node, in_flight, &client);
    while (sender->code == 0) {
        send_some(sender, client, args);
        if (stead_client_in_flight(client) == 0 && sender->next >= sender->end && sender->refused_count == 0)
            break;
        int ran = stead_client_poll(client, 1000);
        if (ran < 0 && sender->code == 0)
            sender->code = ran;
    }
    if (client)
        stead_client_close(&client);
    free(sender->refused);
    free(pipeline.sents);
    return NULL;
}

int stead_bench_load(const struct stead_bench *bench, const struct stead_bench_node *node,
                     const struct stead_bench_load *load, double *ret_rate)
{
    struct sender senders[64];
    uint64_t start_ns = stead_bench_now_ns();
    int code = 0;

    STEAD_ASSERT(load->clients >= 1 && load->clients <= 64 && load->size >= 2 && load->size <= PAYLOAD * 2);
    for (uint32_t i = 0; i < load->clients; i++) {
        senders[i] = (struct sender){.bench = bench,
                                     .node = node,
                                     .load = load,
                                     .next = load->first + i,
                                     .end = load->first + load->count,
                                     .step = load->clients};
        senders[i].started = pthread_create(&senders[i].thread, NULL, run_sender, &senders[i]) == 0;
    }
    for (uint32_t i = 0; i < load->clients; i++) {
        if (senders[i].started)
            pthread_join(senders[i].thread, NULL);
        if (code == 0)
            code = senders[i].started ? senders[i].code : STEAD_ENOMEM;
    }
    if (code != 0)
        return stead_bench_fail(bench, "a client: %s", stead_error_sentence(code));
    *ret_rate = (double)load->count * 1e9 / (double)(stead_bench_now_ns() - start_ns);
    return 0;
}

/* ---- Durable signals ------------------------------------------------------------------------ */

/* What the runs of one node gave. */
struct signal_runs {
    double rates[RUNS], floors[RUNS];
    double signal_bytes, signals_per_sync, flushes; /* of the last run */
};

static struct stead_bench_load make_load(const struct stead_bench *bench, uint64_t agents)
{
    return (struct stead_bench_load){.prefix = "s",
                                     .agents = agents,
                                     .clients = bench->clients ? bench->clients : CLIENTS_DEFAULT,
                                     .in_flight = IN_FLIGHT,
                                     .size = PAYLOAD};
}

/* One run, and its floor behind it when there is a disk. */
static int run_signals(struct stead_bench *bench, const struct stead_bench_node *node, struct stead_client *client,
                       struct stead_bench_load *load, struct stead_bench_disk *disk, struct signal_runs *runs,
                       uint32_t run)
{
    struct stead_bench_stats before, after;
    int code = stead_bench_stats(bench, client, &before);

    if (code == 0)
        code = stead_bench_load(bench, node, load, &runs->rates[run]);
    if (code == 0)
        code = stead_bench_stats(bench, client, &after);
    if (code != 0)
        return code;
    struct stead_bench_stats since = stead_bench_stats_since(&after, &before);
    double signals = (double)load->count;
    runs->signal_bytes = (double)since.entry_bytes / signals;
    runs->signals_per_sync = since.syncs ? signals / (double)since.syncs : signals;
    runs->flushes = (double)since.syncs / signals;
    load->first += load->count;
    if (!disk)
        return 0;
    uint32_t images = load->agents >= 1000000 ? (uint32_t)load->agents : 0;
    double seconds = bench->quick ? 1 : 4;
    return stead_bench_disk_rate(disk, (size_t)runs->signal_bytes, (uint32_t)runs->signals_per_sync + 1, images,
                                 seconds, &runs->floors[run]);
}

/* A node of its own: every agent once, a second to find the rate, then the runs. */
static int measure_signals(struct stead_bench *bench, uint64_t agents, uint32_t delay_us, struct stead_bench_disk *disk,
                           struct signal_runs *runs)
{
    struct stead_bench_node_options options = {.sync_delay_us = delay_us};
    struct stead_bench_load load = make_load(bench, agents);
    struct stead_client *client = NULL;
    struct stead_bench_node node;
    double rate = 0, seconds = bench->quick ? 1 : 4;

    int code = stead_bench_node_start(bench, &options, &node);
    if (code == 0)
        code = stead_bench_connect(bench, &node, 0, &client);
    load.count = agents < 200000 ? 200000 : agents;
    if (code == 0)
        code = stead_bench_load(bench, &node, &load, &rate);
    load.first += load.count;
    load.count = (uint64_t)(rate * seconds) + 1;
    for (uint32_t run = 0; code == 0 && run < RUNS; run++) {
        stead_bench_progress(bench, "run %u of %u%s", run + 1, RUNS, delay_us ? ", slower disk" : "");
        code = run_signals(bench, &node, client, &load, disk, runs, run);
    }
    if (client)
        stead_client_close(&client);
    stead_bench_node_stop(&node, false);
    return code;
}

static json_t *signal_settings(const struct stead_bench *bench, uint64_t agents, const struct signal_runs *runs)
{
    return json_pack("{s:I,s:i,s:i,s:i,s:i,s:i,s:f,s:f}", "agents", (json_int_t)agents, "payload", (int)PAYLOAD,
                     "clients", (int)(bench->clients ? bench->clients : CLIENTS_DEFAULT), "in_flight", (int)IN_FLIGHT,
                     "bytes_per_signal", (int)runs->signal_bytes, "signals_per_sync", (int)runs->signals_per_sync,
                     "flushes_per_op", (double)(int64_t)(runs->flushes * 1e6) / 1e6, "peer", REDIS_XADD);
}

/* The same with 1 ms more in every sync; its floor is the rate without. */
static int report_delayed(struct stead_bench *bench, uint64_t agents, double rate)
{
    struct signal_runs runs = {.flushes = 0};
    char path[STEAD_BENCH_PATH_SIZE];

    if (!stead_bench_find_faulty_disk(path, sizeof path)) {
        stead_bench_fail(bench, "faulty_disk.so is not beside the program: nothing was measured with slower syncs");
        return 0;
    }
    int code = measure_signals(bench, agents, DELAY_US, NULL, &runs);
    if (code != 0)
        return code;
    struct stead_bench_figure figure = {.metric = "rate_sync_1ms_slower",
                                        .value = stead_bench_median(runs.rates, RUNS),
                                        .unit = "1/s",
                                        .floor = rate,
                                        .target = "ratio >= 0.7",
                                        .settings = signal_settings(bench, agents, &runs)};
    stead_bench_report(bench, &figure);
    return 0;
}

static int bench_signals(struct stead_bench *bench, uint64_t agents)
{
    struct stead_bench_disk *disk = NULL;
    struct signal_runs runs = {.flushes = 0};

    int code = stead_bench_disk_open(bench, &disk);
    if (code == 0)
        code = measure_signals(bench, agents, 0, disk, &runs);
    stead_bench_disk_close(&disk);
    if (code != 0)
        return code;
    double rate = stead_bench_median(runs.rates, RUNS);
    struct stead_bench_figure figure = {.metric = "rate",
                                        .value = rate,
                                        .unit = "1/s",
                                        .floor = stead_bench_median(runs.floors, RUNS),
                                        .target = "ratio >= 0.5, value > peer",
                                        .settings = signal_settings(bench, agents, &runs)};
    stead_bench_report(bench, &figure);
    return report_delayed(bench, agents, rate);
}

int stead_bench_durable_signals_1k(struct stead_bench *bench)
{
    return bench_signals(bench, 1000);
}

int stead_bench_durable_signals_1m(struct stead_bench *bench)
{
    return bench_signals(bench, 1000000);
}
