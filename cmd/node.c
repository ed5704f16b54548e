/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead node: one node, in the foreground. This file turns options into a struct stead_node_config and nothing more:
 * what the node does can be told from that struct.
 *
 * stdout gets one line, when the node serves, for whoever waits for it (a person, or a script that reads the endpoint);
 * the log is on stderr.
 */
#include <argp.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd/cmd.h"
#include "cmd/connect.h"
#include "cmd/parse.h"
#include "node/log.h"
#include "node/node.h"
#include "runtime/base.h"

#define LIST_MAX 64u /* modules; labels have a limit of their own */

enum { /* argp keys of options without a letter */
       KEY_REACTORS = 1000,
       KEY_SHARDS,
       KEY_JOB_THREADS,
       KEY_LOAD_THREADS,
       KEY_DISK,
       KEY_RESERVE,
       KEY_JOURNAL,
       KEY_NODES,
       KEY_IDLE,
       KEY_STOP,
       KEY_CALL_TIMEOUT,
       KEY_MAILBOX,
       KEY_INSECURE,
       KEY_BENCH_KINDS
};

struct node_options {
    struct stead_node_config config;
    const char *modules[LIST_MAX];        /* what config.modules points at */
    const char *labels[STEAD_LABELS_MAX]; /* what config.labels points at */
    bool json;                            /* the ready line for programs */
    bool of_up;                           /* only looked at: what `stead up` says itself is wrong */
};

static const char doc[] =
    "Runs a node in the foreground until SIGTERM or Ctrl-C.\n"
    "\n"
    "The node serves agents of the built-in kinds and of the modules that it is given, and keeps them in its data "
    "folder. Without "
    "--coordinator it starts one of its own on that folder. It may be killed at any time: everything acknowledged is "
    "there when it "
    "comes back.\v"
    "Examples:\n"
    "  cc -shared -fPIC -I include -o counter.so examples/counter.c\n"
    "  stead node --module ./counter.so\n"
    "  stead node --folder /var/lib/stead --memory 4G --label gpu\n"
    "  stead node --name n2 --folder ./n2 --coordinator tcp://127.0.0.1:7399 \\\n"
    "      --listen tcp://127.0.0.1:7500\n"
    "\n"
    "When it serves, one line goes to stdout: the name and the endpoint of its first reactor. The log goes to stderr.";

static const struct argp_option options[] = {
    {NULL, 0, NULL, 0, "What it serves:", 1},
    {"folder", 'd', "DIR", 0, "Data folder; made when missing. Default: ./stead-data", 1},
    {"module", 'm', "FILE", 0, "Shared object with kinds; may be repeated", 1},
    {"label", 'L', "NAME", 0, "What this machine has, as gpu; may be repeated", 1},
    {NULL, 0, NULL, 0, "Where it stands:", 2},
    {"name", 'n', "NAME", 0, "Unique in the cluster. Default: n1", 2},
    {"listen", 'l', "ENDPOINT", 0,
     "Of the first reactor; the others take the ports behind it; port 0: any free ones. Default: " STEAD_CONFIG_LISTEN,
     2},
    {"coordinator", 'c', "ENDPOINT", 0, "Coordinator of the cluster. Default: one of its own on the data folder", 2},
    {"nodes", KEY_NODES, "COUNT", 0, "Its own coordinator forms the cluster with so many nodes. Default: 1", 2},
    {"insecure-listen-anywhere", KEY_INSECURE, NULL, 0,
     "Allow an endpoint beyond loopback: there are no keys and no encryption, anybody who reaches it can do anything",
     2},
    {NULL, 0, NULL, 0, "What it may use:", 3},
    {"memory", 'M', "SIZE", 0, "Budget, as 512M or 4G, at least 64M: agents used least are unloaded. Default: 768M", 3},
    {"disk", KEY_DISK, "SIZE", 0, "Quota of the data folder: above it clients' durable work is refused. Default: none",
     3},
    {"disk-reserve", KEY_RESERVE, "SIZE", 0, "The same when the disk has less than this left. Default: 64M", 3},
    {"reactors", KEY_REACTORS, "COUNT", 0, "Threads that run turns. Default: from the cores", 3},
    {"shards-per-reactor", KEY_SHARDS, "COUNT", 0, "When the cluster is formed. Default: 4", 3},
    {"job-threads", KEY_JOB_THREADS, "COUNT", 0, "Threads for stateless kinds, which may block. Default: 16", 3},
    {"load-threads", KEY_LOAD_THREADS, "COUNT", 0, "Threads that load agents from disk. Default: 4", 3},
    {NULL, 0, NULL, 0, "How it behaves:", 4},
    {"idle", KEY_IDLE, "TIME", 0, "An agent without a turn for so long is unloaded. Default: 60s", 4},
    {"call-timeout", KEY_CALL_TIMEOUT, "TIME", 0, "Deadline of agents' calls that name none. Default: 30s", 4},
    {"mailbox", KEY_MAILBOX, "COUNT", 0, "Messages that wait for one agent; more get `busy`. Default: 10000", 4},
    {"journal-entries", KEY_JOURNAL, "COUNT", 0, "Log entries of each shard kept for the journal. Default: 65536", 4},
    {"stop-timeout", KEY_STOP, "TIME", 0, "A clean stop takes no longer. Default: 10s", 4},
    {"log-level", 'v', "LEVEL", 0, "error, warn, info or debug. Default: info", 4},
    {"json", 'j', NULL, 0, "Print the ready line as JSON", 4},
    {"bench-kinds", KEY_BENCH_KINDS, NULL, OPTION_HIDDEN, NULL, 4},
    {0}};

static uint32_t take_count(struct argp_state *state, const char *option, const char *arg)
{
    uint64_t number = 0;

    if (!stead_parse_number(arg, 1, UINT32_MAX, &number))
        argp_error(state, "--%s %s: not a number above 0", option, arg);
    return (uint32_t)number;
}

static uint64_t take_size(struct argp_state *state, const char *option, const char *arg)
{
    uint64_t bytes = 0;

    if (!stead_parse_size(arg, &bytes))
        argp_error(state, "--%s %s: not a size; write 512M or 4G", option, arg);
    return bytes;
}

static uint32_t take_ms(struct argp_state *state, const char *option, const char *arg)
{
    uint64_t ms = 0;

    if (!stead_parse_duration(arg, UINT32_MAX, &ms) || ms == 0)
        argp_error(state, "--%s %s: not a time; write 500ms, 30s or 2m", option, arg);
    return (uint32_t)ms;
}

/* What it serves and where it stands; ARGP_ERR_UNKNOWN for other keys. */
static error_t parse_place(struct node_options *o, int key, char *arg, struct argp_state *state)
{
    switch (key) {
    case 'd':
        o->config.folder = arg;
        return 0;
    case 'm':
        if (o->config.module_count == LIST_MAX)
            argp_error(state, "--module: at most %u", LIST_MAX);
        o->modules[o->config.module_count++] = arg;
        return 0;
    case 'L':
        if (o->config.label_count == STEAD_LABELS_MAX)
            argp_error(state, "--label: at most %u", STEAD_LABELS_MAX);
        o->labels[o->config.label_count++] = arg;
        return 0;
    case 'n':
        o->config.name = arg;
        return 0;
    case 'l':
        o->config.listen = arg;
        return 0;
    case 'c':
        o->config.coordinator = arg;
        return 0;
    case KEY_NODES:
        o->config.nodes_expected = take_count(state, "nodes", arg);
        return 0;
    case KEY_INSECURE:
        o->config.insecure_listen_anywhere = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* What it may use; ARGP_ERR_UNKNOWN for other keys. */
static error_t parse_resources(struct node_options *o, int key, char *arg, struct argp_state *state)
{
    switch (key) {
    case 'M':
        o->config.memory_bytes = take_size(state, "memory", arg);
        return 0;
    case KEY_DISK:
        o->config.disk_bytes_max = take_size(state, "disk", arg);
        return 0;
    case KEY_RESERVE:
        o->config.disk_reserve_bytes = take_size(state, "disk-reserve", arg);
        return 0;
    case KEY_REACTORS:
        o->config.reactors = take_count(state, "reactors", arg);
        return 0;
    case KEY_SHARDS:
        o->config.shards_per_reactor = take_count(state, "shards-per-reactor", arg);
        return 0;
    case KEY_JOB_THREADS:
        o->config.job_threads = take_count(state, "job-threads", arg);
        return 0;
    case KEY_LOAD_THREADS:
        o->config.load_threads = take_count(state, "load-threads", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct node_options *o = state->input;

    if (o->of_up && (key == 'd' || key == 'n' || key == 'l' || key == 'c' || key == KEY_NODES))
        argp_error(state, "--folder, --name, --listen, --coordinator and --nodes of a node are given by `stead up`");
    switch (key) {
    case KEY_IDLE:
        o->config.settings.idle_ms_max = take_ms(state, "idle", arg);
        return 0;
    case KEY_CALL_TIMEOUT:
        o->config.settings.call_timeout_ms = take_ms(state, "call-timeout", arg);
        return 0;
    case KEY_MAILBOX:
        o->config.settings.mailbox_messages_max = take_count(state, "mailbox", arg);
        return 0;
    case KEY_JOURNAL:
        o->config.journal_entries = take_count(state, "journal-entries", arg);
        return 0;
    case KEY_STOP:
        o->config.stop_ms_max = take_ms(state, "stop-timeout", arg);
        return 0;
    case 'v':
        if (stead_log_level_of_name(arg, &o->config.log_level))
            argp_error(state, "--log-level %s: it is error, warn, info or debug", arg);
        return 0;
    case 'j':
        o->json = true;
        return 0;
    case KEY_BENCH_KINDS:
        o->config.bench_kinds = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected word \"%s\"", arg);
        return 0;
    default: {
        error_t code = parse_place(o, key, arg, state);
        return code == ARGP_ERR_UNKNOWN ? parse_resources(o, key, arg, state) : code;
    }
    }
}

static void print_ready(void *context, const char *name, const char *endpoint)
{
    const struct node_options *o = context;

    if (o->json) {
        json_t *document = json_pack("{s:s,s:s}", "name", name, "endpoint", endpoint);
        stead_json_print(document, 0);
        json_decref(document);
    } else {
        printf("%s serves at %s\n", name, endpoint);
    }
    fflush(stdout);
}

static const struct argp node_argp = {options, parse, NULL, doc, NULL, NULL, NULL};

static struct node_options *make_options(void)
{
    struct node_options *o = stead_alloc_zero(sizeof *o);

    stead_config_default(&o->config);
    o->config.folder = "./stead-data";
    o->config.modules = o->modules;
    o->config.labels = o->labels;
    return o;
}

void stead_cmd_check_node_words(int argc, char **argv)
{
    struct node_options *o = make_options();

    o->of_up = true;
    if (argp_parse(&node_argp, argc, argv, 0, NULL, o) != 0)
        exit(STEAD_EXIT_USAGE);
    free(o);
}

int stead_cmd_node(int argc, char **argv)
{
    struct node_options *o = make_options();

    o->config.ready = print_ready;
    o->config.ready_context = o;
    int status = STEAD_EXIT_USAGE;
    if (argp_parse(&node_argp, argc, argv, 0, NULL, o) == 0) {
        int code = stead_node_run(&o->config);
        status = code == STEAD_EARGUMENT ? STEAD_EXIT_USAGE : stead_exit_of(code);
    }
    free(o);
    return status;
}
