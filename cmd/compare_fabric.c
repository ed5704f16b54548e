/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare_fabric: the fabrics, each on nodes of its own, so that no fabric's pollers disturb another; what they count,
 * and what they cost when nobody asks for anything.
 *
 * Counts are the nodes' own (stats), the kernel's (CPU, wake-ups) and the hubs' (their queues and tables), read before
 * and after the runs that they belong to.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agents/compare.h"
#include "cmd/compare.h"
#include "cmd/compare_hub.h"

#define SECOND_NS 1000000000u
#define LANES_ASLEEP 16u /* hubs side by side where pollers sleep most of the time */
#define IDLE_S 10u
#define IDLE_S_LONG 35u /* at least one poll of each poller at the longest interval */
#define LONG_MS 10000
#define IDLE_S_QUICK 1u

const struct stead_compare_fabric stead_compare_fabrics[] = {
    {.name = "direct", .title = "direct", .lanes = 1, .hot_s = 100, .fixed_s = 12},
    {.name = "hub-notify", .title = "hub, notify", .hub = true, .lanes = 1, .hot_s = 165, .fixed_s = 12},
    {.name = "hub-250ms",
     .title = "hub, polled every 250 ms",
     .hub = true,
     .interval_ms = 250,
     .settle_ms = 500,
     .longest_ms = 250,
     .hot_s = 240,
     .fixed_s = 45,
     .lanes = LANES_ASLEEP},
    {.name = "hub-backoff",
     .title = "hub, back-off 50 ms to 30 s",
     .hub = true,
     .interval_ms = -1,
     .settle_ms = 65000, /* 50 ms doubled to 30 s, each up to 20 % longer: 61.4 s */
     .longest_ms = 36000,
     .hot_s = 220,
     .fixed_s = 360,
     .lanes = LANES_ASLEEP,
     .shared = true},
    {.name = NULL}};

/* ---- Nodes ---------------------------------------------------------------------------------- */

/* One node; or a worker and a node for the hub, which no agent of the workloads may live on. */
static int start_nodes(struct stead_compare_session *session)
{
    struct stead_bench *bench = &session->compare->bench;
    struct stead_bench_node_options worker = {.name = "worker"},
                                    hub = {.name = "hub", .label = STEAD_COMPARE_STORE_LABEL};

    if (!session->apart)
        return stead_bench_node_start(bench, &worker, &session->worker);
    int code = stead_bench_coordinator_start(bench, 2, &session->coordinator);
    worker.label = STEAD_COMPARE_LABEL;
    worker.coordinator = hub.coordinator = session->coordinator.endpoint;
    if (code == 0)
        code = stead_bench_node_launch(bench, &worker, &session->worker);
    if (code == 0)
        code = stead_bench_node_launch(bench, &hub, &session->hub);
    if (code == 0)
        code = stead_bench_node_await(bench, &session->worker);
    return code == 0 ? stead_bench_node_await(bench, &session->hub) : code;
}

int stead_compare_session_open(struct stead_compare *compare, const struct stead_compare_fabric *fabric, bool apart,
                               struct stead_compare_session *ret_session)
{
    struct stead_compare_session *session = ret_session;

    *session = (struct stead_compare_session){.compare = compare, .fabric = fabric, .apart = apart};
    compare->bench.name = fabric->name;
    int code = start_nodes(session);
    if (code == 0)
        code = stead_bench_connect(&compare->bench, &session->worker, 0, &session->client);
    return code;
}

int stead_compare_session_hubs(struct stead_compare_session *session, uint32_t hubs)
{
    int code = 0;

    for (; code == 0 && session->fabric->hub && session->hubs < hubs; session->hubs++)
        code = stead_compare_hub_make(session, session->hubs);
    session->made_ns = stead_bench_now_ns();
    return code;
}

void stead_compare_session_close(struct stead_compare_session *session)
{
    stead_client_close(&session->client);
    stead_bench_node_stop(&session->worker, false);
    stead_bench_node_stop(&session->hub, false);
    stead_bench_node_stop(&session->coordinator, false);
}

const char *stead_compare_hub_name(const struct stead_compare_session *session, uint32_t index, char *ret_name)
{
    if (!session->fabric->hub)
        return NULL;
    snprintf(ret_name, STEAD_COMPARE_HUB_SIZE, "h%u", index);
    return ret_name;
}

/* ---- Counting ------------------------------------------------------------------------------- */

static void add_usage(const struct stead_bench_node *node, struct stead_compare_counts *counts)
{
    struct stead_bench_usage usage;

    if (node->pid <= 0)
        return;
    stead_bench_usage(node->pid, &usage);
    counts->cpu_ns += (double)usage.cpu_ns;
    counts->wakes += (double)usage.own_switches;
}

static int count_hubs(struct stead_compare_session *session, struct stead_storage *storage)
{
    int code = 0;

    for (uint32_t i = 0; code == 0 && i < session->hubs; i++)
        code = stead_compare_hub_count(session, i, storage);
    return code;
}

int stead_compare_count(struct stead_compare_session *session, enum stead_compare_look look,
                        struct stead_compare_counts *ret_counts)
{
    struct stead_bench_stats stats;
    struct stead_storage storage = {0};

    int code = look == STEAD_COMPARE_BEFORE ? count_hubs(session, &storage) : 0;
    if (code == 0)
        code = stead_bench_stats(&session->compare->bench, session->client, &stats);
    if (code != 0)
        return code;
    *ret_counts = (struct stead_compare_counts){.messages = (double)stats.messages,
                                                .entries = (double)stats.entries,
                                                .entry_bytes = (double)stats.entry_bytes,
                                                .row_bytes = (double)stats.row_bytes,
                                                .syncs = (double)stats.syncs,
                                                .sync_ns = (double)stats.sync_ns};
    add_usage(&session->worker, ret_counts);
    add_usage(&session->hub, ret_counts);
    if (look == STEAD_COMPARE_AFTER)
        code = count_hubs(session, &storage);
    ret_counts->storage = storage;
    return code;
}

struct stead_compare_counts stead_compare_counts_since(const struct stead_compare_counts *now,
                                                       const struct stead_compare_counts *before, double by)
{
    struct stead_compare_counts since = *now;
    double *at = (double *)&since;
    const double *was = (const double *)before;

    _Static_assert(sizeof since % sizeof(double) == 0, "all members are doubles");
    for (size_t i = 0; i < sizeof since / sizeof(double); i++)
        at[i] = by > 0 ? (at[i] - was[i]) / by : 0;
    return since;
}

/* ---- Doing nothing -------------------------------------------------------------------------- */

static void sleep_ms(int64_t ms)
{
    struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&span, NULL);
}

int stead_compare_idle(struct stead_compare_session *session)
{
    struct stead_compare *compare = session->compare;
    const struct stead_compare_fabric *fabric = session->fabric;
    struct stead_compare_counts before, after;
    uint32_t seconds = compare->quick ? IDLE_S_QUICK : fabric->longest_ms > LONG_MS ? IDLE_S_LONG : IDLE_S;

    if (compare->quick && fabric->longest_ms > LONG_MS)
        return 0; /* it is not idle within a minute */
    sleep_ms(fabric->settle_ms + 1000);
    uint64_t start_ns = stead_bench_now_ns();
    int code = stead_compare_count(session, STEAD_COMPARE_BEFORE, &before);
    sleep_ms(seconds * 1000);
    if (code == 0)
        code = stead_compare_count(session, STEAD_COMPARE_AFTER, &after);
    if (code != 0)
        return code;
    struct stead_compare_idle *idle = &compare->idles[compare->idle_count++];
    idle->fabric = fabric;
    idle->apart = session->apart;
    idle->seconds = (double)(stead_bench_now_ns() - start_ns) / SECOND_NS;
    idle->hubs = session->hubs;
    idle->counts = stead_compare_counts_since(&after, &before, idle->seconds);
    idle->money =
        stead_price_of(&compare->prices, &idle->counts.storage, idle->counts.entry_bytes, idle->counts.cpu_ns / 1e9) *
        3600 / (session->hubs ? session->hubs : 1);
    return 0;
}
