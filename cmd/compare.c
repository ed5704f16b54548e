/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead compare: every workload on every fabric, one report.
 *
 *     floors -> for each fabric (the hub beside the workers, then on a node of its own):
 *                   start nodes -> idle cost -> each workload hot -> stop
 *                   for the polled ones: start nodes -> all workloads cold, side by side -> stop
 *            -> table or JSON on stdout, the page in a file
 *
 * A workload that fails is told, marked in the report, and the others go on; the exit code is then 1.
 */
#include "cmd/compare.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/connect.h"
#include "cmd/near.h"
#include "cmd/print.h"
#include "runtime/base.h"

#define FLOOR_SAMPLES 4000u
#define FLOOR_SAMPLES_QUICK 300u
#define FLOOR_BYTES 1024u
#define LONG_MS 10000 /* for pollers to fall asleep */
#define PAGE "compare.html"

enum { KEY_QUICK = 1000, KEY_WORKLOADS, KEY_FABRICS, KEY_PRICES, KEY_HTML, KEY_NO_HTML, KEY_HUB_APART, KEY_LIST };

struct options {
    struct stead_compare compare;
    const char *parent; /* --folder */
    const char *prices; /* --prices */
    const char *page;   /* --html */
    bool no_page, json, list;
};

static const char doc[] =
    "Compares the ways messages can travel: agents that talk directly, and a storage-mediated task hub, with notify "
    "and "
    "polled. Each workload on each, with latencies, throughput, storage operations, syncs, bytes, CPU, money, and the "
    "floors of this machine from the same run.\v"
    "Examples:\n"
    "  stead compare --quick\n"
    "  stead compare --html report.html\n"
    "  stead compare --workloads hello3,bank --fabrics direct,hub-notify --json\n"
    "\n"
    "It starts its own nodes on free ports of loopback and keeps their data in a scratch folder that it removes. The "
    "whole takes half an hour to 40 minutes, because pollers that have backed off take that long; --quick takes less "
    "than a "
    "minute and "
    "leaves those cold starts out. What is measured, how it is kept fair, and the price sheet are in docs/COMPARE.md.";

static const struct argp_option argp_options[] = {
    {NULL, 0, NULL, 0, "What is measured:", 1},
    {"quick", KEY_QUICK, NULL, 0,
     "Less than a minute: fewer samples, smaller data, no cold starts, the hub beside the workers only", 1},
    {"workloads", KEY_WORKLOADS, "NAME,...", 0, "Only these; --list names them", 1},
    {"fabrics", KEY_FABRICS, "NAME,...", 0, "Only these; --list names them", 1},
    {"hub-apart", KEY_HUB_APART, NULL, 0, "Only with the hub on a node of its own. Default: both ways", 1},
    {"folder", 'd', "DIR", 0, "Where the scratch folder is made. Default: $TMPDIR, else /tmp", 1},
    {NULL, 0, NULL, 0, "What comes out:", 2},
    {"html", KEY_HTML, "FILE", 0, "The page. Default: " PAGE " in the current folder", 2},
    {"no-html", KEY_NO_HTML, NULL, 0, "No page", 2},
    {"prices", KEY_PRICES, "FILE", 0, "Price sheet as JSON. Default: list prices of 2019", 2},
    {"list", KEY_LIST, NULL, 0, "Name the workloads and the fabrics, and end", 2},
    {"json", 'j', NULL, 0, "Print the report as JSON", 90},
    {0}};

/* ---- Words ---------------------------------------------------------------------------------- */

static void unknown(struct argp_state *state, const char *what, const char *name, const char *const *names)
{
    const char *near = stead_near_find(name, names);

    argp_error(state, "\"%s\" is no %s%s%s%s; --list names them", name, what, near ? "; did you mean \"" : "",
               near ? near : "", near ? "\"?" : "");
}

static void choose_work(struct options *o, const char *name, struct argp_state *state)
{
    const char *names[64] = {NULL};

    for (uint32_t i = 0; stead_compare_works[i].name; i++) {
        names[i] = stead_compare_works[i].name;
        if (strcmp(name, names[i]) == 0 && o->compare.work_count < 64) {
            o->compare.works[o->compare.work_count++] = &stead_compare_works[i];
            return;
        }
    }
    unknown(state, "workload", name, names);
}

static void choose_fabric(struct options *o, const char *name, struct argp_state *state)
{
    const char *names[16] = {NULL};

    for (uint32_t i = 0; stead_compare_fabrics[i].name; i++) {
        names[i] = stead_compare_fabrics[i].name;
        if (strcmp(name, names[i]) == 0 && o->compare.fabric_count < 8) {
            o->compare.fabrics[o->compare.fabric_count++] = &stead_compare_fabrics[i];
            return;
        }
    }
    unknown(state, "fabric", name, names);
}

static void choose_all(struct options *o, char *names, struct argp_state *state,
                       void (*choose)(struct options *, const char *, struct argp_state *))
{
    for (char *name = strtok(names, ","); name; name = strtok(NULL, ","))
        choose(o, name, state);
}

static void take_defaults(struct options *o)
{
    struct stead_compare *compare = &o->compare;

    if (compare->work_count == 0) {
        for (; stead_compare_works[compare->work_count].name; compare->work_count++)
            compare->works[compare->work_count] = &stead_compare_works[compare->work_count];
    }
    if (compare->fabric_count == 0) {
        for (; stead_compare_fabrics[compare->fabric_count].name; compare->fabric_count++)
            compare->fabrics[compare->fabric_count] = &stead_compare_fabrics[compare->fabric_count];
    }
    compare->apart = compare->apart || !compare->quick;
    if (!o->page)
        o->page = PAGE;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;

    switch (key) {
    case KEY_QUICK:
        o->compare.quick = o->compare.bench.quick = true;
        return 0;
    case KEY_WORKLOADS:
        choose_all(o, arg, state, choose_work);
        return 0;
    case KEY_FABRICS:
        choose_all(o, arg, state, choose_fabric);
        return 0;
    case KEY_HUB_APART:
        o->compare.apart = true;
        o->compare.near = false;
        return 0;
    case 'd':
        o->parent = arg;
        return 0;
    case KEY_HTML:
        o->page = arg;
        return 0;
    case KEY_NO_HTML:
        o->no_page = true;
        return 0;
    case KEY_PRICES:
        o->prices = arg;
        return 0;
    case KEY_LIST:
        o->list = true;
        return 0;
    case 'j':
        o->json = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "\"%s\" is not expected; workloads are named with --workloads", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- Progress ------------------------------------------------------------------------------- */

void stead_compare_say(struct stead_compare *compare, const char *format, ...)
{
    va_list args;

    fprintf(stderr, compare->fancy ? "\r\033[K" : "");
    fprintf(stderr, "%3u %%  %4u s  ", compare->steps_total ? compare->steps_done * 100 / compare->steps_total : 0,
            (unsigned)((stead_bench_now_ns() - compare->started_ns) / 1000000000u));
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc(compare->fancy ? '\r' : '\n', stderr);
    fflush(stderr);
}

/* ---- The plan ------------------------------------------------------------------------------- */

int stead_compare_floors(struct stead_compare *compare, uint32_t count, uint64_t *ret_trips, uint64_t *ret_puts)
{
    int code = stead_bench_raw_trips(&compare->raw, FLOOR_BYTES, ret_trips, count);

    return code == 0 ? stead_bench_disk_puts(compare->disk, FLOOR_BYTES, ret_puts, count) : code;
}

static int measure_floors(struct stead_compare *compare)
{
    uint32_t count = compare->quick ? FLOOR_SAMPLES_QUICK : FLOOR_SAMPLES;
    uint64_t *trips = stead_alloc(count * sizeof *trips), *puts = stead_alloc(count * sizeof *puts);

    compare->bench.name = "floors";
    stead_compare_say(compare, "floors: a round trip of ZeroMQ, a synced write");
    int code = stead_compare_floors(compare, count, trips, puts);
    stead_distribution_of(trips, code == 0 ? count : 0, 1000, &compare->trip);
    stead_distribution_of(puts, code == 0 ? count : 0, 1000, &compare->put);
    free(trips);
    free(puts);
    return code;
}

static int measure_works(struct stead_compare_session *session, bool orchestrations)
{
    struct stead_compare *compare = session->compare;
    int failed = 0;

    for (uint32_t i = 0; i < compare->work_count; i++) {
        const struct stead_compare_work *work = compare->works[i];
        if ((work->orchestrator != NULL) != orchestrations)
            continue;
        stead_compare_say(compare, "%s%s: %s", session->fabric->title, session->apart ? ", on a node of its own" : "",
                          work->title);
        failed += stead_compare_hot(session, work) != 0;
        compare->steps_done++;
    }
    return failed;
}

/* A fabric hot: what needs no hub's workers, before they are there; what it costs when idle; the rest. How many cells
 * failed. */
static int measure_hot(struct stead_compare *compare, const struct stead_compare_fabric *fabric, bool apart)
{
    struct stead_compare_session session;
    int failed = 0;

    stead_compare_say(compare, "%s%s: starts", fabric->title, apart ? ", on a node of its own" : "");
    int code = stead_compare_session_open(compare, fabric, apart, &session);
    if (code == 0)
        failed = measure_works(&session, false);
    if (code == 0)
        code = stead_compare_session_hubs(&session, fabric->shared ? 1 : fabric->lanes);
    bool idle_first = fabric->settle_ms < LONG_MS; /* else the first runs would be cold */
    if (code == 0 && idle_first)
        code = stead_compare_idle(&session);
    if (code == 0 && compare->quick && fabric->interval_ms != 0) {
        stead_compare_say(compare, "%s: all orchestrations side by side", fabric->title);
        code = stead_compare_together(&session, STEAD_COMPARE_HOT);
    } else if (code == 0) {
        failed += measure_works(&session, true);
    }
    if (code == 0 && !idle_first)
        code = stead_compare_idle(&session);
    if (code != 0)
        stead_compare_miss(&session, STEAD_COMPARE_HOT);
    stead_compare_session_close(&session);
    return code == 0 ? failed : failed + 1;
}

static int measure_cold(struct stead_compare *compare, const struct stead_compare_fabric *fabric, bool apart)
{
    struct stead_compare_session session;
    uint32_t hubs = stead_compare_together_hubs(compare, STEAD_COMPARE_COLD);

    if (fabric->longest_ms == 0 || compare->quick)
        return 0;
    stead_compare_say(compare, "%s%s: cold starts, %u hubs side by side", fabric->title,
                      apart ? ", on a node of its own" : "", hubs);
    int code = stead_compare_session_open(compare, fabric, apart, &session);
    if (code == 0) /* they fall asleep while others are measured */
        code = stead_compare_session_hubs(&session, hubs);
    for (uint32_t i = 0; code == 0 && i < compare->work_count; i++) {
        if (compare->works[i]->measure && compare->works[i]->cold)
            code = stead_compare_cold(&session, compare->works[i]);
    }
    if (code == 0)
        code = stead_compare_together(&session, STEAD_COMPARE_COLD);
    if (code != 0)
        stead_compare_miss(&session, STEAD_COMPARE_COLD);
    stead_compare_session_close(&session);
    compare->steps_done++;
    return code != 0;
}

static int measure_fabric(struct stead_compare *compare, const struct stead_compare_fabric *fabric)
{
    int failed = 0;

    if (!fabric->hub)
        return measure_hot(compare, fabric, false);
    for (int apart = 0; apart < 2; apart++) {
        if (!(apart ? compare->apart : compare->near))
            continue;
        failed += measure_hot(compare, fabric, apart);
        failed += measure_cold(compare, fabric, apart);
    }
    return failed;
}

/* How long the polled fabrics wait: their mean beyond that of the same cell with notify. */
static void compare_polls(struct stead_compare *compare)
{
    for (uint32_t i = 0; i < compare->cell_count; i++) {
        struct stead_compare_cell *cell = &compare->cells[i];
        for (uint32_t k = 0; cell->fabric->interval_ms != 0 && k < compare->cell_count; k++) {
            const struct stead_compare_cell *other = &compare->cells[k];
            if (other->fabric->hub && other->fabric->interval_ms == 0 && other->work == cell->work &&
                other->apart == cell->apart && other->size == cell->size && other->latency.count > 0) {
                double beyond = cell->latency.mean - other->latency.mean;
                cell->poll = beyond > 0 ? beyond : 0;
                cell->disk =
                    other->disk; /* lanes share syncs: one lane's share is that of the fabric that has one lane */
            }
        }
    }
}

static uint32_t count_steps(const struct stead_compare *compare)
{
    uint32_t steps = 0, places = (uint32_t)compare->near + (uint32_t)compare->apart;

    for (uint32_t i = 0; i < compare->fabric_count; i++) {
        const struct stead_compare_fabric *fabric = compare->fabrics[i];
        steps += (fabric->hub ? places : 1) * (compare->work_count + (fabric->longest_ms && !compare->quick));
    }
    return steps;
}

/* Minutes that a whole run takes, from what each part took on four cores; workloads that were left out take their share
 * with them. */
static uint32_t estimate_minutes(const struct stead_compare *compare)
{
    uint32_t places = (uint32_t)compare->near + (uint32_t)compare->apart, works = 0;
    double seconds = 0;

    while (stead_compare_works[works].name)
        works++;
    for (uint32_t i = 0; i < compare->fabric_count; i++) {
        const struct stead_compare_fabric *fabric = compare->fabrics[i];
        double share = (double)compare->work_count / works;
        seconds += (fabric->hub ? places : 1) * (share * fabric->hot_s + fabric->fixed_s);
    }
    return (uint32_t)(seconds / 60 + 0.9);
}

static int run(struct stead_bench *bench, void *context)
{
    struct options *o = context;
    struct stead_compare *compare = &o->compare;
    int failed = 0;

    compare->bench = *bench;
    compare->started_ns = stead_bench_now_ns();
    compare->fancy = isatty(STDERR_FILENO);
    compare->steps_total = count_steps(compare);
    srandom((unsigned)compare->started_ns);
    if (compare->quick)
        stead_compare_say(compare, "less than a minute");
    else
        stead_compare_say(compare, "about %u min", estimate_minutes(compare));
    int code = stead_bench_raw_open(&compare->bench, &compare->raw);
    if (code == 0)
        code = stead_bench_disk_open(&compare->bench, &compare->disk);
    if (code == 0)
        code = measure_floors(compare);
    for (uint32_t i = 0; code == 0 && i < compare->fabric_count; i++)
        failed += measure_fabric(compare, compare->fabrics[i]);
    stead_bench_raw_close(&compare->raw);
    stead_bench_disk_close(&compare->disk);
    compare_polls(compare);
    compare->seconds = (stead_bench_now_ns() - compare->started_ns) / 1000000000u;
    if (compare->fancy)
        fputs("\033[K", stderr);
    json_t *report = stead_compare_json(compare);
    if (o->json)
        stead_json_print(report, 2);
    else
        stead_compare_print(compare, stdout, stead_print_is_fancy(stdout));
    if (!o->no_page && code == 0) {
        code = stead_compare_page(report, o->page);
        if (code == 0)
            fprintf(stderr, "page: %s\n", o->page);
    }
    json_decref(report);
    free(compare->model);
    return code != 0 || failed ? STEAD_EXIT_FAILED : STEAD_EXIT_DONE;
}

static int print_list(void)
{
    puts("Workloads:");
    for (const struct stead_compare_work *work = stead_compare_works; work->name; work++)
        printf("  %-16s  %s\n", work->name, work->title);
    puts("Fabrics:");
    for (const struct stead_compare_fabric *fabric = stead_compare_fabrics; fabric->name; fabric++)
        printf("  %-16s  %s\n", fabric->name, fabric->title);
    return STEAD_EXIT_DONE;
}

int stead_cmd_compare(int argc, char **argv)
{
    static const struct argp argp = {argp_options, parse, NULL, doc, NULL, NULL, NULL};
    static struct options o = {.compare.near = true};

    stead_prices_default(&o.compare.prices);
    if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
        return STEAD_EXIT_USAGE;
    if (o.list)
        return print_list();
    if (o.prices && stead_prices_read(o.prices, &o.compare.prices) != 0)
        return STEAD_EXIT_USAGE;
    take_defaults(&o);
    return stead_bench_work(&o.compare.bench, o.parent, run, &o);
}
