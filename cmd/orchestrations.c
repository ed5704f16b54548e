/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead orchestrations: who is there, page by page. A list is printed page by page with --json, so that
 * millions never have to fit into memory.
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

#define PAGE_INSTANCES 1000u /* asked for at once */

struct list_options {
    struct stead_fabric fabric;
    struct stead_instance_filter filter; /* --status, --name, --prefix, --from, --to, --after */
    uint64_t limit;                      /* instances to print; UINT64_MAX: all */
};

static const char doc[] =
    "Lists the instances of orchestrations in the order of their ids.\n"
    "\v"
    "Examples:\n"
    "  stead orchestrations\n"
    "  stead orchestrations --status Failed --name trip --from 2h\n"
    "  stead orchestrations --prefix order- --all --json\n"
    "\n"
    "Times are 2026-11-23, '2026-11-23 04:33' (local), or so long ago: 30m, 2h, 7d.\n"
    "With --json, one line an instance: {\"id\", \"name\", \"version\", \"execution\", \"status\", "
    "\"created_ms\", \"updated_ms\", \"events\", \"parent\"}.";

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
    case ARGP_KEY_ARG:
        argp_error(state, "\"%s\": options only", arg);
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
    static const struct argp argp = {options, parse, NULL, doc, children, NULL, NULL};
    struct list_options o = {.limit = 1000};
    struct stead_client *client = NULL;

    if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
        return STEAD_EXIT_USAGE;
    int status = stead_connect_open(&o.fabric.connect, &client);
    if (status == STEAD_EXIT_DONE)
        status = list(&o, client);
    stead_client_close(&client);
    return status;
}
