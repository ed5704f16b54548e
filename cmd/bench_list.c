/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_list: what a list of a million agents costs, and what it costs the others.
 *
 *   list_1m   a list with a condition that nobody meets, page by page over 1,000,000 durable agents of one reactor: agents a second; and how long calls of a volatile
 *             agent of that reactor take meanwhile: p99 and max; floor: the same calls, as many, without the list
 */
#include "cmd/bench.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base.h"
#include "stead/agent.h"

#define MILLION 1000000u
#define PAYLOAD 64u
#define WARM_CALLS 1000u
#define CALLS_MAX 400000u /* samples kept */
#define RUNS 3u
#define LIMIT 10000u /* agents of a page */

/* The thread that lists. */
struct lister {
    const struct stead_bench *bench;
    struct stead_client *client;
    uint64_t pages, agents;
    uint64_t took_ns;
    int code;
    bool done; /* atomic */
};

/* Turns the pages of one list of all agents whose count is `wanted`. */
static int list_all(struct stead_client *client, int64_t wanted, uint64_t *ret_pages, uint64_t *ret_agents)
{
    char after[STEAD_ADDRESS_MAX + 1] = "";
    int code = 0;

    for (bool more = true; more && code == 0; ++*ret_pages) {
        struct stead_answer answer;
        struct stead_writer args;
        struct stead_slice agents;
        uint32_t count = 0;
        stead_writer_init(&args);
        stead_pack(&args, "{s:s,s:u,s:s,s:{s:l}}", "kind", "bench.counter", "limit", (uint64_t)LIMIT, "after", after,
                   "where", "count", wanted);
        code = stead_client_query(client, "agents", stead_written(&args), &answer);
        stead_writer_deinit(&args);
        more = code == 0 && stead_get_text(answer.value, "next", after, sizeof after) == 0;
        if (code != 0 || stead_get_value(answer.value, "agents", &agents) != 0)
            continue;
        struct stead_reader reader = stead_reader(agents);
        if (stead_read_array(&reader, &count) == 0)
            *ret_agents += count;
    }
    return code;
}

/* Every agent was told to count once: are all of them there? */
static int check_all(const struct stead_bench *bench, struct stead_client *client, uint64_t agents)
{
    uint64_t pages = 0, found = 0;
    int code = list_all(client, 1, &pages, &found);

    if (code != 0)
        return stead_bench_fail(bench, "agents: %s", stead_error_sentence(code));
    return found == agents ? 0 : stead_bench_fail(bench, "%" PRIu64 " agents are listed", found);
}

static void *run_lister(void *context)
{
    struct lister *lister = context;
    uint64_t start_ns = stead_bench_now_ns();

    lister->code = list_all(lister->client, -1, &lister->pages, &lister->agents);
    lister->took_ns = stead_bench_now_ns() - start_ns;
    __atomic_store_n(&lister->done, true, __ATOMIC_RELEASE);
    return NULL;
}

/* Calls one at a time, `count` of them, or while a list goes on. */
static int time_calls(const struct stead_bench *bench, struct stead_client *client, const struct lister *lister,
                      uint64_t *ret_ns, size_t *count)
{
    size_t done = 0;

    while (done < CALLS_MAX && (lister ? !__atomic_load_n(&lister->done, __ATOMIC_ACQUIRE) : done < *count)) {
        uint64_t start_ns = stead_bench_now_ns();
        int code = stead_client_call(client, "bench.echo/one", "echo", (struct stead_slice){0}, NULL, NULL);
        ret_ns[done++] = stead_bench_now_ns() - start_ns;
        if (code != 0)
            return stead_bench_fail(bench, "bench.echo/one echo: %s", stead_error_sentence(code));
    }
    *count = done;
    return 0;
}

/* What the runs gave, each with its floor behind it. */
struct list_runs {
    double rates[RUNS];
    uint64_t *call_ns, *alone_ns; /* CALLS_MAX of each run */
    size_t counts[RUNS];
    uint64_t pages; /* of the last */
};

static int run_list(struct stead_bench *bench, struct stead_client *caller, struct stead_client *asker, uint64_t agents,
                    struct list_runs *runs, uint32_t run)
{
    struct lister lister = {.bench = bench, .client = asker};
    size_t warm = WARM_CALLS;
    pthread_t thread;

    int code = time_calls(bench, caller, NULL, runs->call_ns + (size_t)run * CALLS_MAX, &warm);
    if (code != 0)
        return code;
    if (pthread_create(&thread, NULL, run_lister, &lister) != 0)
        return stead_bench_fail(bench, "no thread");
    code = time_calls(bench, caller, &lister, runs->call_ns + (size_t)run * CALLS_MAX, &runs->counts[run]);
    pthread_join(thread, NULL);
    if (code == 0 && lister.code != 0)
        code = stead_bench_fail(bench, "agents: %s", stead_error_sentence(lister.code));
    if (code == 0)
        code = time_calls(bench, caller, NULL, runs->alone_ns + (size_t)run * CALLS_MAX, &runs->counts[run]);
    runs->rates[run] = (double)agents * 1e9 / (double)lister.took_ns;
    runs->pages = lister.pages;
    return code;
}

/* The samples of all runs side by side. */
static size_t join_runs(uint64_t *ns, const size_t *counts)
{
    size_t total = 0;

    for (uint32_t run = 0; run < RUNS; run++) {
        memmove(ns + total, ns + (size_t)run * CALLS_MAX, counts[run] * sizeof *ns);
        total += counts[run];
    }
    return total;
}

static void report(struct stead_bench *bench, uint64_t agents, struct list_runs *runs)
{
    struct stead_bench_figure rate = {
        .metric = "rate",
        .value = stead_bench_median(runs->rates, RUNS),
        .unit = "1/s",
        .target = "value >= 500000",
        .settings = json_pack("{s:I,s:I}", "agents", (json_int_t)agents, "pages", (json_int_t)runs->pages)};
    static const struct {
        const char *metric, *target;
        unsigned permille;
    } waits[] = {{"call_p50", NULL, 500}, {"call_p99", NULL, 990}, {"call_max", NULL, 1000}};
    size_t count = join_runs(runs->call_ns, runs->counts);

    stead_bench_report(bench, &rate);
    (void)join_runs(runs->alone_ns, runs->counts);
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        struct stead_bench_figure wait = {
            .metric = waits[i].metric,
            .value = (double)stead_bench_quantile(runs->call_ns, count, waits[i].permille) / 1000,
            .unit = "us",
            .floor = (double)stead_bench_quantile(runs->alone_ns, count, waits[i].permille) / 1000,
            .target = waits[i].target,
            .settings = json_pack("{s:I}", "calls", (json_int_t)count)};
        stead_bench_report(bench, &wait);
    }
}

int stead_bench_list_1m(struct stead_bench *bench)
{
    const uint64_t agents = bench->quick ? MILLION / 10 : MILLION;
    struct stead_bench_node_options options = {.reactors = 1};
    struct stead_bench_load load = {
        .prefix = "l", .agents = agents, .count = agents, .clients = 2, .in_flight = 8192, .size = PAYLOAD};
    struct list_runs runs = {.call_ns = stead_alloc((size_t)RUNS * CALLS_MAX * sizeof(uint64_t)),
                             .alone_ns = stead_alloc((size_t)RUNS * CALLS_MAX * sizeof(uint64_t))};
    struct stead_client *caller = NULL, *asker = NULL;
    struct stead_bench_node first, node = {.pid = 0};
    double rate = 0;

    int code = stead_bench_node_start(bench, &options, &first);
    if (code == 0)
        code = stead_bench_load(bench, &first, &load, &rate);
    stead_bench_node_stop(&first, false);
    options.folder = first.folder; /* again: all of them are stored and none is in memory */
    if (code == 0)
        code = stead_bench_node_start(bench, &options, &node);
    if (code == 0)
        code = stead_bench_connect(bench, &node, 0, &caller);
    if (code == 0)
        code = stead_bench_connect(bench, &node, 0, &asker);
    if (code == 0)
        code = check_all(bench, asker, agents);
    for (uint32_t run = 0; code == 0 && run < RUNS; run++) {
        stead_bench_progress(bench, "run %u of %u", run + 1, RUNS);
        code = run_list(bench, caller, asker, agents, &runs, run);
    }
    if (code == 0)
        report(bench, agents, &runs);
    stead_client_close(&caller);
    stead_client_close(&asker);
    stead_bench_node_stop(&node, true);
    free(runs.call_ns);
    free(runs.alone_ns);
    return code;
}
