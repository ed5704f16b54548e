/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead bench: measures what docs/BENCH.md lists, each figure beside its floor.
 *
 */
#include "cmd/bench.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/json.h"
#include "cmd/near.h"
#include "cmd/parse.h"
#include "cmd/print.h"
#include "runtime/base.h"

#define NAMES_MAX 32u

enum { KEY_LIST = 1000, KEY_QUICK, KEY_CLIENTS, KEY_REACTORS }; /* argp keys of options without a letter */

struct bench_word {
    const char *name;
    const char *summary;
    int (*run)(struct stead_bench *bench);
};

static const struct bench_word words[] = {
    {"volatile_call", "a client calls a volatile agent over tcp", stead_bench_volatile_call},
    {"durable_call", "a client calls a durable agent, one call at a time", stead_bench_durable_call},
    {"durable_signals_1k", "clients signal 1,000 durable agents, pipelined", stead_bench_durable_signals_1k},
    {"durable_signals_1m", "clients signal 1,000,000 durable agents, pipelined", stead_bench_durable_signals_1m},
    {"tell_same_reactor", "agent to agent on one reactor: messages, calls", stead_bench_tell_same_reactor},
    {"tell_cross_reactor", "agent to agent between two reactors of a node", stead_bench_tell_cross_reactor},
    {"call_cross_node", "agent calls agent between two nodes", stead_bench_call_cross_node},
    {"tell_cross_node", "agent to agent between two nodes, one way", stead_bench_tell_cross_node},
    {"hello3", "an orchestration of 3 activities, one at a time", stead_bench_hello3},
    {"hello5", "the same of 5 activities", stead_bench_hello5},
    {"hello5_sustained", "orchestrations of 5 activities a second on 2 cores", stead_bench_hello5_sustained},
    {"fanout1000", "an orchestration of 1,000 activities at once", stead_bench_fanout1000},
    {"replay", "an execution from its history: events a second", stead_bench_replay},
    {"suspended_1m", "1,000,000 orchestrations that wait for an event", stead_bench_suspended_1m},
    {"hub_hello5", "the same of 5 activities over a task hub with notify", stead_bench_hub_hello5},
    {"hub_task", "a task through a queue of the hub, beside Redis streams", stead_bench_hub_task},
    {"election", "leader election between agents of three nodes", stead_bench_election},
    {"consensus", "multi-Paxos between agents of three nodes", stead_bench_consensus},
    {"resident_agent", "memory of an idle agent", stead_bench_resident_agent},
    {"unload_reload", "10,000,000 agents under 512 MiB", stead_bench_unload_reload},
    {"restart_1m", "start of a node that has 1,000,000 agents", stead_bench_restart_1m},
    {"list_1m", "a list of 1,000,000 agents, and calls beside it", stead_bench_list_1m},
    {"idle", "what a node costs that has nothing to do", stead_bench_idle},
    {NULL, NULL, NULL}};

struct bench_options {
    struct stead_bench bench;
    const char *parent; /* --folder: where the scratch folder is made */
    bool list;
    const struct bench_word *chosen[NAMES_MAX];
    uint32_t chosen_count; /* 0: all */
};

static const char doc[] =
    "Measures stead on this machine. Each figure stands beside its floor, what the same bytes cost without stead, "
    "measured "
    "in the same run; only ratios mean anything on a noisy machine.\v"
    "Examples:\n"
    "  stead bench --list\n"
    "  stead bench volatile_call durable_call\n"
    "  stead bench --quick --json > figures.jsonl\n"
    "\n"
    "Without a name: all of them, which takes some minutes. The bench starts its own nodes on free ports of loopback "
    "and "
    "keeps their data in a scratch folder that it removes; put it on the disk that is to be measured. What each "
    "figure and its floor are is in docs/BENCH.md.";

static const struct argp_option options[] = {
    {"list", KEY_LIST, NULL, 0, "Name the benches and end", 10},
    {"quick", KEY_QUICK, NULL, 0, "Seconds instead of minutes; the figures are rougher", 10},
    {"folder", 'd', "DIR", 0, "Where the scratch folder is made. Default: $TMPDIR, else /tmp", 10},
    {"clients", KEY_CLIENTS, "COUNT", 0, "Client threads of durable_signals_*. Default: 2", 10},
    {"reactors", KEY_REACTORS, "COUNT", 0, "Reactors of a node where the bench does not fix them. Default: the node's",
     10},
    {"json", 'j', NULL, 0, "Print one line of JSON a figure", 90},
    {0}};

static const struct bench_word *find_word(const char *name)
{
    for (const struct bench_word *word = words; word->name; word++) {
        if (strcmp(word->name, name) == 0)
            return word;
    }
    return NULL;
}

static void choose(struct bench_options *o, const char *name, struct argp_state *state)
{
    const char *names[sizeof words / sizeof words[0]];
    const struct bench_word *word = find_word(name);

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        names[i] = words[i].name;
    if (!word) {
        const char *near = stead_near_find(name, names);
        argp_error(state, "\"%s\" is no bench%s%s%s; --list names them", name, near ? "; did you mean \"" : "",
                   near ? near : "", near ? "\"?" : "");
    } else if (o->chosen_count == NAMES_MAX) {
        argp_error(state, "at most %u names", NAMES_MAX);
    } else {
        o->chosen[o->chosen_count++] = word;
    }
}

static uint32_t take_count(struct argp_state *state, const char *option, const char *arg)
{
    uint64_t number = 0;

    if (!stead_parse_number(arg, 1, 64, &number))
        argp_error(state, "--%s %s: a number from 1 to 64", option, arg);
    return (uint32_t)number;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct bench_options *o = state->input;

    switch (key) {
    case KEY_LIST:
        o->list = true;
        return 0;
    case KEY_QUICK:
        o->bench.quick = true;
        return 0;
    case 'd':
        o->parent = arg;
        return 0;
    case KEY_CLIENTS:
        o->bench.clients = take_count(state, "clients", arg);
        return 0;
    case KEY_REACTORS:
        o->bench.reactors = take_count(state, "reactors", arg);
        return 0;
    case 'j':
        o->bench.json = true;
        return 0;
    case ARGP_KEY_ARG:
        choose(o, arg, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- Output --------------------------------------------------------------------------------- */

/* Four digits that mean something, and never an exponent. */
static const char *print_number(double value, char *ret_text)
{
    int decimals = value >= 1000 ? 0 : value >= 100 ? 1 : value >= 1 ? 2 : 4;

    snprintf(ret_text, STEAD_PRINT_SIZE, "%.*f", value == 0 ? 0 : decimals, value);
    return ret_text;
}

static void print_line(const struct stead_bench *bench, const struct stead_bench_figure *figure, double ratio)
{
    char value[STEAD_PRINT_SIZE], floor[STEAD_PRINT_SIZE], times[STEAD_PRINT_SIZE];
    char *settings = stead_json_text(figure->settings, 0);

    printf("{\"bench\":\"%s\",\"metric\":\"%s\",\"value\":%s,\"unit\":\"%s\"", bench->name, figure->metric,
           print_number(figure->value, value), figure->unit);
    if (figure->floor > 0)
        printf(",\"floor\":%s,\"ratio\":%s", print_number(figure->floor, floor), print_number(ratio, times));
    printf(",\"settings\":%s}\n", settings);
    fflush(stdout);
    free(settings);
}

/* "agents=1000 size=64". */
static void add_settings(struct stead_columns *columns, const json_t *settings)
{
    char text[1024] = "";
    size_t used = 0;
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)settings, name, value)
    {
        if (strcmp(name, "target") == 0)
            continue;
        char *printed = json_is_string(value) ? NULL : stead_json_text(value, 0);
        int size = snprintf(text + used, sizeof text - used, "%s%s=%s", used ? " " : "", name,
                            printed ? printed : json_string_value(value));
        free(printed);
        used += size > 0 && (size_t)size < sizeof text - used ? (size_t)size : 0;
    }
    stead_columns_add(columns, "%s", text);
}

static void add_row(const struct stead_bench *bench, const struct stead_bench_figure *figure, double ratio)
{
    char text[STEAD_PRINT_SIZE];

    stead_columns_add(bench->columns, "%s", bench->name);
    stead_columns_add(bench->columns, "%s", figure->metric);
    stead_columns_add(bench->columns, "%s", print_number(figure->value, text));
    stead_columns_add(bench->columns, "%s", figure->unit);
    stead_columns_add(bench->columns, "%s", figure->floor > 0 ? print_number(figure->floor, text) : "-");
    stead_columns_add(bench->columns, "%s", figure->floor > 0 ? print_number(ratio, text) : "-");
    stead_columns_add(bench->columns, "%s", figure->target ? figure->target : "-");
    add_settings(bench->columns, figure->settings);
}

void stead_bench_report(struct stead_bench *bench, const struct stead_bench_figure *given)
{
    struct stead_bench_figure figure = *given;
    double ratio = figure.floor > 0 ? figure.value / figure.floor : 0;

    if (!figure.settings)
        figure.settings = json_object();
    if (figure.target)
        json_object_set_new(figure.settings, "target", json_string(figure.target));
    if (bench->json)
        print_line(bench, &figure, ratio);
    else
        add_row(bench, &figure, ratio);
    json_decref(figure.settings);
}

int stead_bench_fail(const struct stead_bench *bench, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    stead_complain("%s: %s", bench->name, text);
    return STEAD_EFAILED;
}

void stead_bench_progress(const struct stead_bench *bench, const char *format, ...)
{
    va_list args;

    if (!isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\r\033[K%s: ", bench->name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\r', stderr);
    fflush(stderr);
}

/* ---- The benches one after the other -------------------------------------------------------- */

static int run_chosen(struct stead_bench *bench, void *context)
{
    static const char *const titles[] = {"BENCH",  "METRIC", ">VALUE",   "UNIT", ">FLOOR",
                                         ">RATIO", "TARGET", "SETTINGS", NULL};
    const struct bench_options *o = context;
    int failed = 0;

    if (!bench->json)
        bench->columns = stead_columns_create(titles);
    for (uint32_t i = 0; o->chosen_count ? i < o->chosen_count : words[i].name != NULL; i++) {
        const struct bench_word *word = o->chosen_count ? o->chosen[i] : &words[i];
        bench->name = word->name;
        stead_bench_progress(bench, "starts");
        failed += word->run(bench) != 0;
    }
    if (isatty(STDERR_FILENO))
        fputs("\033[K", stderr);
    if (bench->columns)
        stead_columns_print(bench->columns, stdout, stead_print_is_fancy(stdout));
    return failed ? STEAD_EXIT_FAILED : STEAD_EXIT_DONE;
}

int stead_cmd_bench(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "[NAME...]", doc, NULL, NULL, NULL};
    struct bench_options o = {0};

    if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
        return STEAD_EXIT_USAGE;
    if (o.list) {
        for (const struct bench_word *word = words; word->name; word++)
            printf("%-20s  %s\n", word->name, word->summary);
        return STEAD_EXIT_DONE;
    }
    return stead_bench_work(&o.bench, o.parent, run_chosen, &o);
}
