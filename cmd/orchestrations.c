/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead orchestrations: who is there, and `stead orchestrations verify` (verify.c): who would break with new code. A
 * list is printed page by page with --json, so that millions never have to fit into memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agents/instance.h"
#include "cmd/fabric.h"
#include "cmd/instance_text.h"
#include "cmd/near.h"
#include "cmd/parse.h"
#include "cmd/print.h"
#include "cmd/verify.h"

#define PAGE_INSTANCES 1000u /* asked for at once */

struct list_options {
    struct stead_fabric fabric;
    struct stead_instance_filter filter;           /* --status, --name, --prefix, --from, --to, --after */
    uint64_t limit;                                /* instances to print; UINT64_MAX: all */
    const char *word;                              /* "verify" or NULL */
    const char *modules[STEAD_VERIFY_MODULES_MAX]; /* verify: --module */
    uint32_t module_count;
    uint64_t sample; /* verify: --sample; 0: all */
};

static const char doc[] =
    "Lists the instances of orchestrations in the order of their ids, or tells which would break with new code.\n"
    "\n"
    "`verify` loads the orchestrators of --module FILE.so here, not on any node, replays the history of every live "
    "instance of their names against them "
    "without effects, and names those that would break and at which event; exit code 1 when there is one. "
    "An instance keeps its version for life: without its version in the module it would wait.\v"
    "Examples:\n"
    "  stead orchestrations\n"
    "  stead orchestrations --status Failed --name trip --from 2h\n"
    "  stead orchestrations --prefix order- --all --json\n"
    "  stead orchestrations verify --module ./new.so\n"
    "  stead orchestrations verify --module ./new.so --name trip --sample 500\n"
    "\n"
    "Times are 2026-11-23, '2026-11-23 04:33' (local), or so long ago: 30m, 2h, 7d.\n"
    "With --json, one line an instance: {\"id\", \"name\", \"version\", \"execution\", \"status\", "
    "\"created_ms\", \"updated_ms\", \"events\", \"parent\"}; for verify one line an instance that would break: "
    "{\"id\", \"name\", \"version\", "
    "\"event\", \"sentence\"}, and a last one {\"replayed\", \"broken\", \"left_out\", \"events\"}.";

static const struct argp_option options[] = {
    {"status", 's', "STATUS", 0,
     "Only those in this status: Running, Pending, Suspended, Completed, Failed, Canceled, Terminated", 10},
    {"name", 'N', "NAME", 0, "Only of this orchestrator", 10},
    {"prefix", 'p', "TEXT", 0, "Only ids that begin so", 10},
    {"from", 'f', "TIME", 0, "Only those created then or later", 10},
    {"to", 'T', "TIME", 0, "Only those created before then", 10},
    {"after", 'a', "ID", 0, "Only ids behind this one: the next page", 10},
    {"limit", 'l', "COUNT", 0, "At most so many. Default: 1000", 10},
    {"all", 'A', NULL, 0, "No limit", 10},
    {"module", 'm', "FILE.so", 0, "verify: the new code; repeat for more files", 20},
    {"sample", 'S', "COUNT", 0, "verify: at most so many instances of each name, spread over the ids", 20},
    {0}};

/* ---- The command line ----------------------------------------------------------------------- */

static const char *take_status(const char *word, struct argp_state *state)
{
    const char *names[16];
    size_t count = 0;

    for (const char *name; *(name = stead_instance_status_name((enum stead_instance_status)count)); count++) {
        names[count] = name;
        if (strcasecmp(word, name) == 0)
            return name;
    }
    names[count] = NULL;
    const char *near = stead_near_find(word, names);
    argp_error(state, "--status %s: there is none of this name%s%s%s", word, near ? "; did you mean " : "",
               near ? near : "", near ? "?" : "");
    return NULL;
}

static int64_t take_time(const char *option, const char *text, struct argp_state *state)
{
    int64_t ms = 0;

    if (!stead_parse_moment(text, stead_parse_now_ms(), &ms))
        argp_error(state, "--%s %s: not a time; write 2026-11-23, '2026-11-23 04:33', or 2h for so long ago", option,
                   text);
    return ms;
}

static void take_word(struct list_options *o, const char *word, struct argp_state *state)
{
    static const char *const words[] = {"verify", "list", NULL};

    if (state->arg_num > 0 || (strcmp(word, "verify") != 0 && strcmp(word, "list") != 0))
        argp_error(state, "\"%s\": %s", word,
                   stead_near_find(word, words) && state->arg_num == 0 ? "did you mean \"verify\"?"
                                                                       : "write verify, or options only");
    o->word = strcmp(word, "verify") == 0 ? word : NULL;
}

static bool is_live(const char *status)
{
    return strcmp(status, "Running") == 0 || strcmp(status, "Pending") == 0 || strcmp(status, "Suspended") == 0;
}

static error_t parse_filter(struct list_options *o, int key, char *arg, struct argp_state *state)
{
    switch (key) {
    case 's':
        o->filter.status = take_status(arg, state);
        return 0;
    case 'N':
        o->filter.name = arg;
        return 0;
    case 'p':
        o->filter.id_prefix = arg;
        return 0;
    case 'f':
        o->filter.from_ms = take_time("from", arg, state);
        return 0;
    case 'T':
        o->filter.to_ms = take_time("to", arg, state);
        return 0;
    case 'a':
        o->filter.after = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct list_options *o = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->fabric;
        return 0;
    case 'l':
        if (!stead_parse_number(arg, 1, UINT64_MAX, &o->limit))
            argp_error(state, "--limit %s: not a number above 0", arg);
        return 0;
    case 'A':
        o->limit = UINT64_MAX;
        return 0;
    case 'm':
        if (o->module_count == STEAD_VERIFY_MODULES_MAX)
            argp_error(state, "at most %u modules", STEAD_VERIFY_MODULES_MAX);
        o->modules[o->module_count++] = arg;
        return 0;
    case 'S':
        if (!stead_parse_number(arg, 1, UINT32_MAX, &o->sample))
            argp_error(state, "--sample %s: not a number above 0", arg);
        return 0;
    case ARGP_KEY_ARG:
        take_word(o, arg, state);
        return 0;
    case ARGP_KEY_END:
        if (o->word && o->module_count == 0)
            argp_error(state, "verify which code? Write --module FILE.so");
        if (o->word && o->filter.status && !is_live(o->filter.status))
            argp_error(state, "--status %s: only what is Running, Pending or Suspended can break", o->filter.status);
        if (!o->word && (o->module_count > 0 || o->sample > 0))
            argp_error(state, "--module and --sample belong to `stead orchestrations verify`");
        return 0;
    default:
        return parse_filter(o, key, arg, state);
    }
}

/* ---- The list ------------------------------------------------------------------------------- */

/* A list on its way. */
struct printing {
    const struct list_options *options;
    struct stead_columns *columns;        /* owned; not used with --json */
    char last[STEAD_INSTANCE_ID_MAX + 1]; /* id of the last one */
    uint64_t count;                       /* how many so far */
};

static int print_instance(void *context, const struct stead_instance *instance)
{
    struct printing *printing = context;
    char time[STEAD_PRINT_SIZE];

    printing->count++;
    memcpy(printing->last, instance->id, sizeof(printing->last));
    if (printing->options->fabric.connect.json) {
        json_t *json = stead_instance_json_short(instance);
        stead_json_print(json, 0);
        json_decref(json);
        return ferror(stdout);
    }
    stead_columns_add(printing->columns, "%s", instance->id);
    stead_columns_add(printing->columns, "%s", instance->name);
    stead_columns_add(printing->columns, "%u", instance->version);
    stead_columns_add(printing->columns, "%s", stead_instance_status_name(instance->status));
    stead_columns_add(printing->columns, "%s", stead_print_time((uint64_t)instance->created_ms, time));
    stead_columns_add(printing->columns, "%s", stead_print_time((uint64_t)instance->updated_ms, time));
    stead_columns_add(printing->columns, "%llu", (unsigned long long)instance->events);
    return 0;
}

static int list_all(const struct list_options *o, struct stead_client *client, struct printing *printing,
                    bool *ret_more)
{
    const struct stead_instance_options where = {.hub = o->fabric.hub};
    struct stead_instance_filter filter = o->filter;
    struct stead_answer answer = stead_connect_no_answer();

    *ret_more = true;
    while (*ret_more && printing->count < o->limit && !ferror(stdout)) {
        uint64_t left = o->limit - printing->count, before = printing->count;
        filter.limit = left < PAGE_INSTANCES ? (uint32_t)left : PAGE_INSTANCES;
        int code = stead_instance_list(client, &filter, &where, print_instance, printing, ret_more, &answer);
        if (code != 0)
            return stead_connect_failed(&o->fabric.connect, code, &answer);
        if (printing->count == before)
            break;
        filter.after = printing->last;
    }
    return STEAD_EXIT_DONE;
}

static int list(const struct list_options *o, struct stead_client *client)
{
    static const char *const titles[] = {"ID", "NAME", ">VERSION", "STATUS", "CREATED", "UPDATED", ">EVENTS", NULL};
    struct printing printing = {.options = o, .columns = stead_columns_create(titles)};
    bool more = false;

    int status = list_all(o, client, &printing, &more);
    if (stead_columns_rows(printing.columns) > 0)
        stead_columns_print(printing.columns, stdout, stead_print_is_fancy(stdout));
    else if (status == STEAD_EXIT_DONE && !o->fabric.connect.json)
        fprintf(stderr, "no instances\n");
    if (status == STEAD_EXIT_DONE && more && printing.count > 0 && !o->fabric.connect.json) {
        char *safe = stead_print_safe(stead_str(printing.last));
        fprintf(stderr, "there are more: --after '%s', or --all\n", safe);
        free(safe);
    }
    stead_columns_destroy(&printing.columns);
    return status;
}

int stead_cmd_orchestrations(int argc, char **argv)
{
    static const struct argp_child children[] = {{&stead_fabric_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {options, parse, "[verify --module FILE.so]", doc, children, NULL, NULL};
    struct list_options o = {.limit = 1000};
    struct stead_client *client = NULL;

    if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
        return STEAD_EXIT_USAGE;
    int status = stead_connect_open(&o.fabric.connect, &client);
    if (status == STEAD_EXIT_DONE && !o.word)
        status = list(&o, client);
    if (status == STEAD_EXIT_DONE && o.word) {
        const struct stead_verify verify = {.fabric = &o.fabric,
                                            .filter = &o.filter,
                                            .modules = o.modules,
                                            .module_count = o.module_count,
                                            .sample = o.sample};
        status = stead_verify(&verify, client);
    }
    stead_client_close(&client);
    return status;
}
