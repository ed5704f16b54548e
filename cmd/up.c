/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead up: a cluster on this machine, with one command, safe to repeat: on a running cluster it starts the nodes that
 * are down.
 */
#include <argp.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/connect.h"
#include "cmd/parse.h"
#include "node/local_cluster.h"

#define KEY_ANY_PORT 1000 /* argp keys of options without a letter */
#define KEY_RESTART 1001
#define KEY_ON 1002

struct up_options {
    struct stead_local_cluster_options cluster;
    struct stead_local_cluster_arg args[STEAD_LOCAL_CLUSTER_ARGS_MAX]; /* what cluster.args points at */
    bool json;                                                         /* for programs */
};

static const char doc[] =
    "Starts N nodes on this machine, each with its own folder and ports, and waits until they serve.\n"
    "\n"
    "They go on when this command has ended; `stead down` stops them. On a running cluster the nodes that are down are "
    "started "
    "again. Without N: as many as the last time, or one. What stands behind -- is given to every node, and --on gives "
    "one of them an option of its own (stead node --help tells which there are). Without any of these, the nodes have "
    "those of the last time.\v"
    "Examples:\n"
    "  stead up 3 --module ./counter.so\n"
    "  stead call --node tcp://127.0.0.1:7400 counter/alice add 5\n"
    "  stead cluster status\n"
    "  stead down\n"
    "  stead up 3 --label n2:gpu --on n3:--memory=256M --module ./counter.so\n"
    "  stead up 2 --folder ./bank --port 7600 -- --memory 256M --reactors 1";

static const struct argp_option options[] = {
    {"folder", 'd', "DIR", 0, "Folder of the cluster; made when missing. Default: ./stead-cluster", 10},
    {"module", 'm', "FILE", 0, "Shared object with kinds, for every node; may be repeated", 10},
    {"label", 'L', "[NODE:]NAME", 0,
     "What node NODE has, as n2:gpu; without NODE: what every node has; may be repeated", 10},
    {"on", KEY_ON, "NODE:OPTION", 0, "Option of one node, as n2:--memory=256M; may be repeated", 10},
    {"port", 'p', "PORT", 0, "First port of the first node; each node has 64. Default: 7400", 10},
    {"any-port", KEY_ANY_PORT, NULL, 0, "Listen on free ports", 10},
    {"restart", KEY_RESTART, NULL, 0, "Start nodes again when they die", 10},
    {"timeout", 't', "TIME", 0, "Give up after this time, as 10s. Default: 30s", 10},
    {"json", 'j', NULL, 0, "Print JSON, for programs", 90},
    {0}};

static void add_arg(struct up_options *o, uint32_t node, const char *arg, struct argp_state *state)
{
    if (o->cluster.arg_count == STEAD_LOCAL_CLUSTER_ARGS_MAX)
        argp_error(state, "at most %u words for the nodes", STEAD_LOCAL_CLUSTER_ARGS_MAX);
    o->args[o->cluster.arg_count++] = (struct stead_local_cluster_arg){.node = node, .word = arg};
}

/* The 2 of "n2:REST", and REST; 0 when there is no such prefix. */
static uint32_t take_node(const char *arg, const char **ret_rest)
{
    const char *colon = strchr(arg, ':');
    char digits[8];
    uint64_t number = 0;

    if (arg[0] != 'n' || !colon || (size_t)(colon - arg) > sizeof digits)
        return 0;
    snprintf(digits, sizeof digits, "%.*s", (int)(colon - arg - 1), arg + 1);
    if (!stead_parse_number(digits, 1, STEAD_LOCAL_CLUSTER_NODES_MAX, &number))
        return 0;
    *ret_rest = colon + 1;
    return (uint32_t)number;
}

static void add_label(struct up_options *o, const char *arg, struct argp_state *state)
{
    const char *name = arg;
    uint32_t node = take_node(arg, &name);

    if (*name == 0 || strchr(name, ':'))
        argp_error(state, "--label %s: write gpu, or n2:gpu with a node from n1 to n%u", arg,
                   STEAD_LOCAL_CLUSTER_NODES_MAX);
    add_arg(o, node, "--label", state);
    add_arg(o, node, name, state);
}

static void add_own(struct up_options *o, const char *arg, struct argp_state *state)
{
    const char *word = NULL;
    uint32_t node = take_node(arg, &word);

    if (node == 0 || *word == 0)
        argp_error(state, "--on %s: write n2:--memory=256M with a node from n1 to n%u", arg,
                   STEAD_LOCAL_CLUSTER_NODES_MAX);
    add_arg(o, node, word, state);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct up_options *o = state->input;
    uint64_t number = 0;

    switch (key) {
    case 'd':
        o->cluster.folder = arg;
        return 0;
    case 'm':
        add_arg(o, 0, "--module", state);
        add_arg(o, 0, arg, state);
        return 0;
    case 'L':
        add_label(o, arg, state);
        return 0;
    case KEY_ON:
        add_own(o, arg, state);
        return 0;
    case 'p':
        if (!stead_parse_number(arg, 1, UINT16_MAX, &number))
            argp_error(state, "--port %s: a number from 1 to 65535", arg);
        o->cluster.port = (uint16_t)number;
        return 0;
    case KEY_ANY_PORT:
        o->cluster.any_port = true;
        return 0;
    case KEY_RESTART:
        o->cluster.restart = true;
        return 0;
    case 't':
        if (!stead_parse_duration(arg, UINT32_MAX, &number) || number == 0)
            argp_error(state, "--timeout %s: not a time; write 10s", arg);
        o->cluster.timeout_ms = (uint32_t)number;
        return 0;
    case 'j':
        o->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (state->quoted) { /* behind "--", as the words come in order: not for us */
            add_arg(o, 0, arg, state);
        } else if (o->cluster.nodes || !stead_parse_number(arg, 1, STEAD_LOCAL_CLUSTER_NODES_MAX, &number)) {
            argp_error(state, "\"%s\": the number of nodes, 1 to %u", arg, STEAD_LOCAL_CLUSTER_NODES_MAX);
        } else {
            o->cluster.nodes = (uint32_t)number;
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Each node's words are looked at before any node is started: those for all, then its own. */
static void check_words(struct up_options *o, char *self)
{
    for (uint32_t node = 0; node <= STEAD_LOCAL_CLUSTER_NODES_MAX; node++) {
        char *words[1 + STEAD_LOCAL_CLUSTER_ARGS_MAX + 1] = {self};
        int count = 1;
        bool own = node == 0;
        for (uint32_t i = 0; i < o->cluster.arg_count; i++) {
            if (o->args[i].node == 0)
                words[count++] = (char *)(uintptr_t)o->args[i].word;
        }
        for (uint32_t i = 0; node > 0 && i < o->cluster.arg_count; i++) {
            if (o->args[i].node == node)
                words[count++] = (char *)(uintptr_t)o->args[i].word;
            own |= o->args[i].node == node;
        }
        if (own && count > 1)
            stead_cmd_check_node_words(count, words);
    }
}

static void print_result(const struct up_options *o, const struct stead_local_cluster_result *result)
{
    if (o->json) {
        json_t *document = json_pack("{s:i,s:i,s:b,s:s}", "nodes", (int)result->nodes, "started", (int)result->started,
                                     "was_running", result->was_running, "endpoint", result->endpoint);
        stead_json_print(document, 0);
        json_decref(document);
        return;
    }
    printf("%u of %u nodes started; the first is at %s\n", result->started, result->nodes, result->endpoint);
}

int stead_cmd_up(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "[N] [-- NODE-OPTION...]", doc, NULL, NULL, NULL};
    struct up_options o = {.cluster.folder = "./stead-cluster"};
    struct stead_local_cluster_result result = {0};
    char why[STEAD_LOCAL_CLUSTER_WHY_SIZE] = "";

    o.cluster.args = o.args;
    if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &o) != 0)
        return STEAD_EXIT_USAGE;
    check_words(&o, argv[0]);
    int code = stead_local_cluster_up(&o.cluster, &result, why);
    if (code == 0) {
        print_result(&o, &result);
        return STEAD_EXIT_DONE;
    }
    stead_complain("%s", why[0] ? why : stead_error_sentence(code));
    return code == STEAD_EARGUMENT ? STEAD_EXIT_USAGE : stead_exit_of(code);
}
