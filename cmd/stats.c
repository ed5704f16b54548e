/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead stats: one line a reactor and one a log writer; with --watch the counters as rates between two looks.
 *
 * Counters only rise while a node lives. A counter that fell means a restart, and the rate of that line starts anew.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/connect.h"
#include "cmd/json.h"
#include "cmd/parse.h"
#include "cmd/print.h"

struct stats_options {
    struct stead_connect connect;
    bool watch;         /* look again and again */
    bool every_counter; /* all of them by name, instead of the overview */
    uint64_t pause_ms;  /* between two looks */
};

static const char doc[] =
    "Shows counters and latencies of every node: turns, commits, syncs, queues, memory.\n"
    "\v"
    "Examples:\n"
    "  stead stats\n"
    "  stead stats --watch\n"
    "  stead stats --every-counter\n"
    "  stead stats --watch=5s --json >> stats.jsonl\n"
    "\n"
    "Without --watch counters are totals since the node's start, with it they are rates per second. With --json, "
    "one document a look, totals always.";

static const struct argp_option options[] = {
    {"watch", 'w', "TIME", OPTION_ARG_OPTIONAL, "Look again every TIME (default: 1s) until interrupted", 10},
    {"every-counter", 'e', NULL, 0, "Every counter by name, with those that are 0", 10},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct stats_options *o = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->connect;
        return 0;
    case 'w':
        o->watch = true;
        if (arg && (!stead_parse_duration(arg, 3600000, &o->pause_ms) || o->pause_ms == 0))
            argp_error(state, "--watch=%s: not a time up to 1h; write --watch=5s", arg);
        return 0;
    case 'e':
        o->every_counter = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- Numbers -------------------------------------------------------------------------------- */

/* The same node, or the same reactor of it, in the look before; NULL when it was not there. */
static const json_t *find_node(const json_t *stats, const char *name)
{
    size_t index;
    json_t *node;

    json_array_foreach(json_object_get(stats, "nodes"), index, node)
    {
        if (strcmp(stead_json_member_text(node, "name"), name) == 0)
            return node;
    }
    return NULL;
}

static const json_t *find_reactor(const json_t *node, int64_t index)
{
    size_t at;
    json_t *reactor;

    json_array_foreach(json_object_get(node, "reactors"), at, reactor)
    {
        if (stead_json_member_int(reactor, "reactor") == index)
            return reactor;
    }
    return NULL;
}

/* A counter: the total, or per second of the `elapsed_ms` since the part was as `before`. */
static const char *counter(const json_t *part, const json_t *before, int64_t elapsed_ms, const char *name,
                           char *ret_text)
{
    int64_t now = stead_json_member_int(json_object_get(part, "counters"), name);
    int64_t then = stead_json_member_int(json_object_get(before, "counters"), name);

    if (!before || then > now || elapsed_ms <= 0)
        return stead_print_count((uint64_t)now, ret_text);
    stead_print_count((uint64_t)(((now - then) * 1000 + elapsed_ms / 2) / elapsed_ms), ret_text);
    strcat(ret_text, "/s");
    return ret_text;
}

static const char *quantile(const json_t *part, const char *histogram, const char *name, char *ret_text)
{
    const json_t *it = json_object_get(json_object_get(part, "histograms"), histogram);

    if (stead_json_member_int(it, "count") == 0)
        return "-";
    return stead_print_duration((uint64_t)stead_json_member_int(it, name), ret_text);
}

static uint64_t gauge(const json_t *part, const char *name)
{
    return (uint64_t)stead_json_member_int(json_object_get(part, "gauges"), name);
}

/* ---- Overview ------------------------------------------------------------------------------- */

/* `node_before`: the node in the look before, or NULL. */
static void add_reactor(struct stead_columns *columns, const json_t *node, const json_t *reactor,
                        const json_t *node_before, int64_t elapsed_ms)
{
    int64_t index = stead_json_member_int(reactor, "reactor");
    const json_t *before = find_reactor(node_before, index);
    char text[STEAD_PRINT_SIZE];

    stead_columns_add(columns, "%s", stead_json_member_text(node, "name"));
    stead_columns_add(columns, "%lld", (long long)index);
    stead_columns_add(columns, "%s", stead_print_count(gauge(reactor, "agents_resident"), text));
    stead_columns_add(columns, "%s", stead_print_size(gauge(reactor, "memory_bytes"), text));
    stead_columns_add(columns, "%s", counter(reactor, before, elapsed_ms, "turns", text));
    stead_columns_add(columns, "%s", counter(reactor, before, elapsed_ms, "turns_failed", text));
    stead_columns_add(columns, "%s", quantile(reactor, "turn_ns", "p50", text));
    stead_columns_add(columns, "%s", quantile(reactor, "turn_ns", "p99", text));
    stead_columns_add(columns, "%s", counter(reactor, before, elapsed_ms, "entries_synced", text));
    stead_columns_add(columns, "%s", quantile(reactor, "commit_ns", "p50", text));
    stead_columns_add(columns, "%s", quantile(reactor, "commit_ns", "p99", text));
    stead_columns_add(columns, "%s", stead_print_count(gauge(reactor, "mailbox_messages"), text));
    stead_columns_add(columns, "%s", stead_print_count(gauge(reactor, "outbox_records"), text));
}

static void print_reactors(const json_t *stats, const json_t *last, int64_t elapsed_ms, bool bold)
{
    static const char *const titles[] = {"NODE", ">REACTOR", ">AGENTS", ">MEMORY", ">TURNS",   ">FAILED", ">P50",
                                         ">P99", ">COMMITS", ">P50",    ">P99",    ">WAITING", ">OUTBOX", NULL};
    struct stead_columns *columns = stead_columns_create(titles);
    size_t n, r;
    json_t *node, *reactor;

    json_array_foreach(json_object_get(stats, "nodes"), n, node)
    {
        const json_t *before = find_node(last, stead_json_member_text(node, "name"));
        json_array_foreach(json_object_get(node, "reactors"), r, reactor)
        {
            add_reactor(columns, node, reactor, before, elapsed_ms);
        }
    }
    stead_columns_print(columns, stdout, bold);
    stead_columns_destroy(&columns);
}

static void print_writers(const json_t *stats, const json_t *last, int64_t elapsed_ms, bool bold)
{
    static const char *const titles[] = {"NODE",      ">UP",       ">SYNCS",   ">ENTRIES/SYNC",
                                         ">SYNC P50", ">SYNC P99", ">ON DISK", NULL};
    struct stead_columns *columns = stead_columns_create(titles);
    size_t n;
    json_t *node;

    json_array_foreach(json_object_get(stats, "nodes"), n, node)
    {
        const json_t *before = find_node(last, stead_json_member_text(node, "name"));
        const json_t *writer = json_object_get(node, "log_writer"), *counters = json_object_get(writer, "counters");
        int64_t syncs = stead_json_member_int(counters, "syncs"), entries = stead_json_member_int(counters, "entries");
        char text[STEAD_PRINT_SIZE];

        stead_columns_add(columns, "%s", stead_json_member_text(node, "name"));
        stead_columns_add(columns, "%s",
                          stead_print_duration((uint64_t)stead_json_member_int(node, "uptime_ms") * 1000000u, text));
        stead_columns_add(columns, "%s",
                          counter(writer, json_object_get(before, "log_writer"), elapsed_ms, "syncs", text));
        stead_columns_add(columns, "%.1f", syncs > 0 ? (double)entries / (double)syncs : 0.0);
        stead_columns_add(columns, "%s", quantile(writer, "sync_ns", "p50", text));
        stead_columns_add(columns, "%s", quantile(writer, "sync_ns", "p99", text));
        stead_columns_add(
            columns, "%s",
            stead_print_size((uint64_t)stead_json_member_int(json_object_get(node, "store"), "bytes_used"), text));
    }
    stead_columns_print(columns, stdout, bold);
    stead_columns_destroy(&columns);
}

/* ---- Every counter -------------------------------------------------------------------------- */

/* One line for each number of `part`'s group ("counters", "gauges"). */
static void add_group(struct stead_columns *columns, const char *where, const json_t *part, const json_t *before,
                      int64_t elapsed_ms, const char *group)
{
    const char *name;
    json_t *number;
    char text[STEAD_PRINT_SIZE];

    json_object_foreach(json_object_get(part, group), name, number)
    {
        stead_columns_add(columns, "%s", where);
        stead_columns_add(columns, "%s", name);
        stead_columns_add(columns, "%s",
                          strcmp(group, "counters") == 0
                              ? counter(part, before, elapsed_ms, name, text)
                              : stead_print_count((uint64_t)json_integer_value(number), text));
    }
}

static void print_every_counter(const json_t *stats, const json_t *last, int64_t elapsed_ms, bool bold)
{
    static const char *const titles[] = {"WHERE", "NAME", ">VALUE", NULL};
    struct stead_columns *columns = stead_columns_create(titles);
    size_t n, r;
    json_t *node, *reactor;

    json_array_foreach(json_object_get(stats, "nodes"), n, node)
    {
        const char *name = stead_json_member_text(node, "name");
        const json_t *before = find_node(last, name);
        char where[128];
        json_array_foreach(json_object_get(node, "reactors"), r, reactor)
        {
            int64_t index = stead_json_member_int(reactor, "reactor");
            const json_t *reactor_before = find_reactor(before, index);
            snprintf(where, sizeof where, "%s reactor %lld", name, (long long)index);
            add_group(columns, where, reactor, reactor_before, elapsed_ms, "counters");
            add_group(columns, where, reactor, NULL, 0, "gauges");
        }
        snprintf(where, sizeof where, "%s log writer", name);
        add_group(columns, where, json_object_get(node, "log_writer"), json_object_get(before, "log_writer"),
                  elapsed_ms, "counters");
    }
    stead_columns_print(columns, stdout, bold);
    stead_columns_destroy(&columns);
}

/* ---- Looking -------------------------------------------------------------------------------- */

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void print_look(const struct stats_options *o, const json_t *stats, const json_t *last, int64_t elapsed_ms)
{
    bool fancy = stead_print_is_fancy(stdout);

    if (o->connect.json) {
        stead_json_print(stats, 0);
    } else {
        if (o->watch && fancy)
            fputs("\033[H\033[J", stdout); /* to the top, clear */
        if (o->every_counter) {
            print_every_counter(stats, last, elapsed_ms, fancy);
        } else {
            print_reactors(stats, last, elapsed_ms, fancy);
            putchar('\n');
            print_writers(stats, last, elapsed_ms, fancy);
        }
        if (o->watch && !fancy)
            putchar('\n');
    }
    fflush(stdout);
}

int stead_cmd_stats(int argc, char **argv)
{
    static const struct argp_child children[] = {{&stead_connect_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {options, parse, NULL, doc, children, NULL, NULL};
    struct stats_options o = {.pause_ms = 1000};
    struct stead_client *client = NULL;
    json_t *last = NULL;
    int64_t last_ms = 0;

    if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
        return STEAD_EXIT_USAGE;
    const struct timespec pause = {(time_t)(o.pause_ms / 1000), (long)(o.pause_ms % 1000) * 1000000};
    int status = stead_connect_open(&o.connect, &client);
    while (status == STEAD_EXIT_DONE) {
        json_t *stats = NULL;
        status = stead_connect_query(&o.connect, client, "stats", &stats, "{}");
        if (status != STEAD_EXIT_DONE)
            break;
        int64_t at_ms = now_ms();
        print_look(&o, stats, last, at_ms - last_ms);
        json_decref(last);
        last = stats;
        last_ms = at_ms;
        if (!o.watch || ferror(stdout))
            break;
        nanosleep(&pause, NULL);
    }
    json_decref(last);
    stead_client_close(&client);
    return status;
}
