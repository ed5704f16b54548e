/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_task: hub_task: a task through a queue of the hub, from the moment it is put to the moment somebody has it, and
 * tasks a second; beside Redis streams in the same run where there is a redis-server, by the same code.
 *
 * One at a time: one thread puts the next task when the last has been taken; another waits for it (long poll,
 * XREADGROUP BLOCK). Both clocks are the machine's. Tasks a second: one thread puts as fast as it goes, TAKERS, then
 * TAKERS_MAX others take and acknowledge; the time ends with the last acknowledgement. Few takers show how long an
 * operation takes, for they wait most of the time; many show how much the queue can do.
 *
 * A taker acknowledges its last tasks and asks for the next at once, since neither waits for the other: two requests
 * pipelined, of the hub as of Redis. Each is an operation of its own, answered after its sync.
 */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "agents/hub.h"
#include "cmd/bench_queue.h"
#include "runtime/base.h"

#define TAKERS 8u
#define TAKERS_MAX 32u
#define PEER_US 110.0 /* Redis streams on such a machine, where it cannot be measured: docs/BENCH.md */
#define PEER_RATE 63000.0
#define IN_FLIGHT 1024u
#define HIDE_MS 60000
#define ADDRESS STEAD_HUB_QUEUE_KIND "/bench"

/* ---- The hub's queue ------------------------------------------------------------------------ */

struct end {
    struct stead_client *client;
    struct stead_writer taken;           /* [[seq, receipt]...] of the last take */
    uint64_t numbers[STEAD_QUEUE_BATCH]; /* its tasks */
    uint32_t count;                      /* how many */
    uint32_t deletes, dequeues;          /* on their way */
    int code;                            /* of what went on at once: the first failure */
};

static int open_end(const char *place, void **ret_end)
{
    struct stead_client_options options = {
        .endpoints = place, .timeout_ms = 60000, .in_flight_max = IN_FLIGHT, .retry_ms = 10000};
    struct end *end = stead_alloc_zero(sizeof *end);

    stead_writer_init(&end->taken);
    int code = stead_client_open(&options, &end->client);
    if (code != 0)
        free(end);
    else
        *ret_end = end;
    return code;
}

static void close_end(void *it)
{
    struct end *end = it;

    stead_client_close(&end->client);
    stead_writer_deinit(&end->taken);
    free(end);
}

static void pack_task(struct stead_writer *writer, uint64_t number)
{
    char body[STEAD_QUEUE_BODY + 1];

    snprintf(body, sizeof body, "%0*" PRIu64, (int)STEAD_QUEUE_BODY, number);
    stead_pack(writer, "{s:s,s:s,s:d}", "id", "", "body", body, "delay", 0);
}

static int put(void *it, uint64_t number)
{
    struct end *end = it;
    struct stead_writer args;
    uint8_t memory[256];

    stead_writer_init_fixed(&args, memory, sizeof memory);
    pack_task(&args, number);
    int code = stead_client_call(end->client, ADDRESS, "enqueue", stead_written(&args), NULL, NULL);
    stead_writer_deinit(&args);
    return code;
}

static void on_put(void *context, const struct stead_answer *answer)
{
    struct end *end = context;

    if (end->code == 0)
        end->code = answer->code;
}

static int put_many(void *it, uint64_t first, uint64_t count)
{
    struct end *end = it;

    end->code = 0;
    for (uint64_t i = 0; end->code == 0 && i < count; i++) {
        struct stead_writer args;
        uint8_t memory[256];
        stead_writer_init_fixed(&args, memory, sizeof memory);
        pack_task(&args, first + i);
        int code = STEAD_EBUSY;
        while (code == STEAD_EBUSY) {
            code = stead_client_call_async(end->client, ADDRESS, "enqueue", stead_written(&args), NULL, on_put, end);
            if (code == STEAD_EBUSY && stead_client_poll(end->client, -1) < 0)
                code = STEAD_EIO;
        }
        stead_writer_deinit(&args);
        if (code != 0)
            return code;
    }
    int code = stead_client_drain(end->client, 60000);
    return code != 0 ? code : end->code;
}

/* One [seq, receipt, count, id, body]. */
static int take_message(struct end *end, struct stead_reader *reader, uint64_t *ret_number)
{
    struct stead_slice seq, receipt, body;
    uint32_t parts = 0;
    char text[STEAD_QUEUE_BODY + 1];

    if (stead_read_array(reader, &parts) != 0 || parts != 5 || stead_read_value(reader, &seq) != 0 ||
        stead_read_value(reader, &receipt) != 0 || stead_read_skip(reader) != 0 || stead_read_skip(reader) != 0 ||
        stead_read_value(reader, &body) != 0 || stead_get_text(body, NULL, text, sizeof text) != 0)
        return STEAD_ECORRUPT;
    stead_pack(&end->taken, "[v,v]", seq, receipt);
    *ret_number = strtoull(text, NULL, 10);
    return 0;
}

static void on_deleted(void *context, const struct stead_answer *answer)
{
    struct end *end = context;

    end->deletes--;
    on_put(end, answer);
}

static int take_messages(struct end *end, struct stead_slice value)
{
    struct stead_reader reader = stead_reader(value);
    uint32_t count = 0;
    int code = 0;

    if (stead_read_array(&reader, &count) != 0 || count > STEAD_QUEUE_BATCH)
        return STEAD_ECORRUPT;
    stead_writer_reset(&end->taken);
    stead_write_array(&end->taken, count);
    for (uint32_t i = 0; code == 0 && i < count; i++)
        code = take_message(end, &reader, &end->numbers[i]);
    end->count = code == 0 ? count : 0;
    return code;
}

static void on_taken(void *context, const struct stead_answer *answer)
{
    struct end *end = context;

    end->dequeues--;
    on_put(end, answer);
    if (end->code == 0)
        end->code = take_messages(end, answer->value);
}

static int ask(void *it)
{
    struct end *end = it;
    struct stead_writer args;
    uint8_t memory[64];
    int code = 0;

    end->code = 0;
    if (end->count > 0) {
        code =
            stead_client_call_async(end->client, ADDRESS, "delete", stead_written(&end->taken), NULL, on_deleted, end);
        end->deletes += code == 0;
    }
    end->count = 0;
    stead_writer_init_fixed(&args, memory, sizeof memory);
    stead_pack(&args, "{s:d,s:d,s:d}", "max", (int)STEAD_QUEUE_BATCH, "hide", HIDE_MS, "wait", STEAD_QUEUE_WAIT_MS);
    if (code == 0) {
        code = stead_client_call_async(end->client, ADDRESS, "dequeue", stead_written(&args), NULL, on_taken, end);
        end->dequeues += code == 0;
    }
    stead_writer_deinit(&args);
    return code;
}

/* Polls until none of `on_their_way` is any more. */
static int wait_for(struct end *end, const uint32_t *on_their_way)
{
    while (*on_their_way > 0) {
        if (stead_client_poll(end->client, -1) < 0)
            return STEAD_EIO;
    }
    return end->code;
}

static int done(void *it)
{
    struct end *end = it;

    return wait_for(end, &end->deletes);
}

static int take(void *it, uint64_t *ret_numbers, uint32_t *ret_count)
{
    struct end *end = it;
    int code = wait_for(end, &end->dequeues);

    if (code != 0)
        return code;
    memcpy(ret_numbers, end->numbers, end->count * sizeof end->numbers[0]);
    *ret_count = end->count;
    return 0;
}

const struct stead_queue_kind stead_hub_queue = {.name = "hub",
                                                 .open = open_end,
                                                 .close = close_end,
                                                 .put = put,
                                                 .put_many = put_many,
                                                 .ask = ask,
                                                 .done = done,
                                                 .take = take};

/* ---- Measuring ------------------------------------------------------------------------------ */

/* What the threads of one measurement share. */
struct run {
    const struct stead_queue_kind *kind;
    const char *place;
    uint64_t count;          /* tasks in all */
    bool one_at_a_time;      /* the body is the moment it was put; else a number */
    _Atomic uint64_t taken;  /* tasks acknowledged */
    _Atomic uint64_t sum;    /* of their numbers */
    _Atomic uint64_t takes;  /* that brought some */
    _Atomic uint64_t end_ns; /* when the last of them was: who still waits for more then ends a while later */
    _Atomic int failed;      /* the first failure */
    uint64_t *samples;       /* one at a time: ns from put to taken */
    pthread_mutex_t mutex;   /* one at a time: hands the turn back */
    pthread_cond_t next;
    uint64_t had; /* one at a time: tasks that somebody has */
};

static void fail(struct run *run, int code)
{
    int none = 0;

    atomic_compare_exchange_strong(&run->failed, &none, code);
    pthread_mutex_lock(&run->mutex);
    pthread_cond_broadcast(&run->next);
    pthread_mutex_unlock(&run->mutex);
}

static void have(struct run *run, const uint64_t *numbers, uint32_t count)
{
    uint64_t now_ns = stead_bench_now_ns();

    pthread_mutex_lock(&run->mutex);
    for (uint32_t i = 0; i < count && run->had < run->count; i++)
        run->samples[run->had++] = now_ns - numbers[i];
    pthread_cond_signal(&run->next);
    pthread_mutex_unlock(&run->mutex);
}

/* Each round acknowledges what the last one brought and asks for more, both on their way at once. */
static void *take_all(void *context)
{
    struct run *run = context;
    uint64_t numbers[STEAD_QUEUE_BATCH];
    uint32_t count = 0;
    void *end = NULL;
    int code = run->kind->open(run->place, &end);

    while (code == 0 && atomic_load(&run->failed) == 0 && atomic_load(&run->taken) < run->count) {
        code = run->kind->ask(end);
        if (code == 0 && count > 0)
            code = run->kind->done(end);
        for (uint32_t i = 0; code == 0 && i < count; i++)
            atomic_fetch_add(&run->sum, numbers[i]);
        if (code == 0 && count > 0 && atomic_fetch_add(&run->taken, count) + count >= run->count)
            atomic_store(&run->end_ns, stead_bench_now_ns());
        if (code == 0)
            code = run->kind->take(end, numbers, &count);
        atomic_fetch_add(&run->takes, code == 0 && count > 0);
        if (code == 0 && run->one_at_a_time)
            have(run, numbers, count);
    }
    if (code != 0)
        fail(run, code);
    if (end)
        run->kind->close(end);
    return NULL;
}

/* Puts the next task when the last one has been taken. */
static int put_one_by_one(struct run *run, void *end)
{
    int code = 0;

    for (uint64_t i = 0; code == 0 && i < run->count; i++) {
        code = run->kind->put(end, stead_bench_now_ns());
        pthread_mutex_lock(&run->mutex);
        while (code == 0 && run->had <= i && atomic_load(&run->failed) == 0)
            pthread_cond_wait(&run->next, &run->mutex);
        pthread_mutex_unlock(&run->mutex);
        if (code == 0)
            code = atomic_load(&run->failed);
    }
    return code;
}

/* `count` tasks through the queue, taken by `takers` threads; how long that took. */
static int run_tasks(struct run *run, uint32_t takers, uint64_t *ret_ns)
{
    pthread_t threads[TAKERS_MAX];
    uint32_t started = 0;
    void *end = NULL;
    uint64_t start_ns = stead_bench_now_ns();

    pthread_mutex_init(&run->mutex, NULL);
    pthread_cond_init(&run->next, NULL);
    int code = run->kind->open(run->place, &end);
    for (; code == 0 && started < takers; started++) {
        if (pthread_create(&threads[started], NULL, take_all, run) != 0)
            break;
    }
    if (code == 0)
        code = run->one_at_a_time ? put_one_by_one(run, end) : run->kind->put_many(end, 1, run->count);
    if (code != 0)
        fail(run, code);
    for (uint32_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    *ret_ns = atomic_load(&run->end_ns) - start_ns;
    if (end)
        run->kind->close(end);
    pthread_cond_destroy(&run->next);
    pthread_mutex_destroy(&run->mutex);
    return atomic_load(&run->failed);
}

struct throughput {
    double rate;    /* tasks a second */
    double batch;   /* mean tasks of a take that brought some; 0: not known */
    double flushes; /* of a task; 0: not known */
};

struct figures {
    double p50_us, p99_us;
    struct throughput one, few, many; /* one at a time; TAKERS, TAKERS_MAX take */
};

/* Runs; also tells the syncs of a task to who has a client to ask the node with. */
static int run_counted(struct stead_bench *bench, struct stead_client *client, struct run *run, uint32_t takers,
                       struct throughput *ret_it)
{
    struct stead_bench_stats before, after;
    uint64_t took_ns = 0;
    int code = client ? stead_bench_stats(bench, client, &before) : 0;

    if (code == 0)
        code = run_tasks(run, takers, &took_ns);
    if (code == 0 && client)
        code = stead_bench_stats(bench, client, &after);
    if (code != 0)
        return stead_bench_fail(bench, "%s: %s", run->kind->name, stead_error_sentence(code));
    ret_it->rate = (double)run->count * 1e9 / (double)took_ns;
    ret_it->batch = (double)run->taken / (double)run->takes;
    if (client)
        ret_it->flushes = (double)stead_bench_stats_since(&after, &before).syncs / (double)run->count;
    return 0;
}

static int measure_many(struct stead_bench *bench, struct stead_client *client, const struct stead_queue_kind *kind,
                        const char *place, uint32_t takers, struct throughput *ret_it)
{
    struct run run = {.kind = kind, .place = place, .count = bench->quick ? 20000 : 200000};

    stead_bench_progress(bench, "%s: %u takers", kind->name, takers);
    int code = run_counted(bench, client, &run, takers, ret_it);
    if (code == 0 && run.sum < run.count * (run.count + 1) / 2)
        return stead_bench_fail(bench, "%s: tasks are missing", kind->name);
    return code;
}

/* `client` asks the node; NULL for the peer. */
static int measure(struct stead_bench *bench, struct stead_client *client, const struct stead_queue_kind *kind,
                   const char *place, struct figures *ret_it)
{
    struct run one = {.kind = kind, .place = place, .count = bench->quick ? 500 : 5000, .one_at_a_time = true};

    stead_bench_progress(bench, "%s: one at a time", kind->name);
    one.samples = stead_alloc_zero(one.count * sizeof *one.samples);
    int code = run_counted(bench, client, &one, 1, &ret_it->one);
    ret_it->p50_us = (double)stead_bench_quantile(one.samples, one.count, 500) / 1000;
    ret_it->p99_us = (double)stead_bench_quantile(one.samples, one.count, 990) / 1000;
    free(one.samples);
    if (code == 0)
        code = measure_many(bench, client, kind, place, TAKERS, &ret_it->few);
    if (code == 0)
        code = measure_many(bench, client, kind, place, TAKERS_MAX, &ret_it->many);
    return code;
}

static double round_to(double value, double parts)
{
    return (double)(int64_t)(value * parts + 0.5) / parts;
}

static void set_known(json_t *settings, const char *name, double value)
{
    if (value > 0)
        json_object_set_new(settings, name, json_real(round_to(value, 1e4)));
}

/* Reports a figure beside the peer's. */
static void report(struct stead_bench *bench, struct stead_bench_figure figure, double peer, bool measured,
                   double flushes)
{
    figure.settings =
        json_pack("{s:f,s:s,s:i}", "peer", round_to(peer, 10), "peer_is",
                  measured ? "Redis streams, measured" : "Redis streams, quoted", "payload", (int)STEAD_QUEUE_BODY);
    set_known(figure.settings, "flushes_per_op", flushes);
    stead_bench_report(bench, &figure);
}

static void report_rate(struct stead_bench *bench, const char *metric, uint32_t takers, const struct throughput *it,
                        const struct throughput *peer, bool measured)
{
    struct stead_bench_figure figure = {.metric = metric, .value = it->rate, .unit = "1/s", .target = "value > peer"};

    figure.settings = json_pack("{s:f,s:s,s:i,s:i}", "peer", round_to(peer->rate, 10), "peer_is",
                                measured ? "Redis streams, measured" : "Redis streams, quoted", "payload",
                                (int)STEAD_QUEUE_BODY, "takers", (int)takers);
    set_known(figure.settings, "mean_batch", it->batch);
    set_known(figure.settings, "peer_mean_batch", peer->batch);
    set_known(figure.settings, "flushes_per_op", it->flushes);
    stead_bench_report(bench, &figure);
}

/* The floor of a task's way: to the queue, synced, and to the taker: two ZeroMQ one-way trips and one synced put, twice
 * half a round trip. */
static int measure_floor(struct stead_bench *bench, double *ret_us)
{
    struct stead_bench_raw raw = {NULL, NULL};
    struct stead_bench_disk *disk = NULL;
    uint64_t trips[1000], puts[1000];

    int code = stead_bench_raw_open(bench, &raw);
    if (code == 0)
        code = stead_bench_disk_open(bench, &disk);
    if (code == 0)
        code = stead_bench_raw_trips(&raw, STEAD_QUEUE_BODY, trips, 1000);
    if (code == 0)
        code = stead_bench_disk_puts(disk, 2 * STEAD_QUEUE_BODY, puts, 1000);
    stead_bench_raw_close(&raw);
    stead_bench_disk_close(&disk);
    if (code == 0)
        *ret_us = (double)(stead_bench_quantile(trips, 1000, 500) + 2 * stead_bench_quantile(puts, 1000, 500)) / 1000;
    return code;
}

static bool measure_peer(struct stead_bench *bench, struct figures *ret_it)
{
    char place[16];
    pid_t pid = 0;

    if (stead_redis_start(bench, &pid, place) != 0)
        return false;
    int code = measure(bench, NULL, &stead_redis_queue, place, ret_it);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return code == 0;
}

int stead_bench_hub_task(struct stead_bench *bench)
{
    struct stead_bench_node_options options = {.name = NULL};
    struct stead_client *client = NULL;
    struct stead_bench_node node;
    struct figures hub = {.p50_us = 0}, peer = {.p50_us = PEER_US, .few.rate = PEER_RATE, .many.rate = PEER_RATE};
    double floor_us = 0;

    bool measured = measure_peer(bench, &peer);
    int code = measure_floor(bench, &floor_us);
    if (code == 0)
        code = stead_bench_node_start(bench, &options, &node);
    if (code != 0)
        return code;
    code = stead_bench_connect(bench, &node, 0, &client);
    if (code == 0)
        code = measure(bench, client, &stead_hub_queue, node.endpoint, &hub);
    stead_client_close(&client);
    stead_bench_node_stop(&node, false);
    if (code != 0)
        return code;
    struct stead_bench_figure p50 = {
        .metric = "p50", .value = hub.p50_us, .unit = "us", .floor = floor_us, .target = "value <= 2 peer"};
    struct stead_bench_figure p99 = {.metric = "p99", .value = hub.p99_us, .unit = "us"};
    report(bench, p50, peer.p50_us, measured, hub.one.flushes);
    report(bench, p99, peer.p99_us, measured, 0);
    report_rate(bench, "rate", TAKERS, &hub.few, &peer.few, measured);
    report_rate(bench, "rate_32", TAKERS_MAX, &hub.many, &peer.many, measured);
    return 0;
}
