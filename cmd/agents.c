/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead agents: who is there. The cluster answers in pages; this command turns the pages until the limit, so a list of millions
 * never has to fit into one answer or into memory (with --json each page is printed as it comes).
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/connect.h"
#include "cmd/parse.h"
#include "cmd/print.h"

#define PAGE_AGENTS 10000u /* asked for at once */

struct agents_options {
    struct stead_connect connect;
    const char *kind, *prefix, *after; /* filters; "" none */
    uint64_t limit;                    /* agents to print; UINT64_MAX: all */
};

static const char doc[] =
    "Lists the agents of the cluster, in the order of their addresses.\n"
    "\v"
    "Examples:\n"
    "  stead agents\n"
    "  stead agents --kind counter --limit 20\n"
    "  stead agents --prefix account/north. --all --json\n"
    "\n"
    "With --json, one line an agent: {\"address\", \"incarnation\", \"resident\", \"durability\"}.";

static const struct argp_option options[] = {
    {"kind", 'k', "KIND", 0, "Only agents of this kind", 10},
    {"prefix", 'p', "TEXT", 0, "Only addresses that begin so", 10},
    {"after", 'a', "ADDRESS", 0, "Only addresses behind this one: the next page", 10},
    {"limit", 'l', "COUNT", 0, "At most so many. Default: 1000", 10},
    {"all", 'A', NULL, 0, "No limit", 10},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct agents_options *o = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->connect;
        return 0;
    case 'k':
        o->kind = arg;
        return 0;
    case 'p':
        o->prefix = arg;
        return 0;
    case 'a':
        o->after = arg;
        return 0;
    case 'l':
        if (!stead_parse_number(arg, 1, UINT64_MAX, &o->limit))
            argp_error(state, "--limit %s: not a number above 0", arg);
        return 0;
    case 'A':
        o->limit = UINT64_MAX;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Adds or prints one page; how many agents it had. */
static size_t take_page(const struct agents_options *o, const json_t *page, struct stead_columns *columns)
{
    size_t index;
    json_t *agent;
    const json_t *agents = json_object_get(page, "agents");

    json_array_foreach(agents, index, agent)
    {
        if (o->connect.json) {
            stead_json_print(agent, 0);
            continue;
        }
        stead_columns_add(columns, "%s", stead_json_member_text(agent, "address"));
        stead_columns_add(columns, "%lld", (long long)stead_json_member_int(agent, "incarnation"));
        stead_columns_add(columns, "%s", stead_json_member_bool(agent, "resident") ? "in memory" : "on disk");
        stead_columns_add(columns, "%s", stead_json_member_text(agent, "durability"));
    }
    return json_array_size(agents);
}

static int list_agents(const struct agents_options *o, struct stead_client *client, struct stead_columns *columns,
                       json_t **ret_last)
{
    const char *after = o->after;
    uint64_t left = o->limit;
    json_t *page = NULL;

    for (;;) {
        json_t *newer = NULL;
        uint32_t count = left < PAGE_AGENTS ? (uint32_t)left : PAGE_AGENTS;
        int status = stead_connect_query(&o->connect, client, "agents", &newer, "{s:s,s:s,s:u,s:s}", "kind", o->kind,
                                         "prefix", o->prefix, "limit", (uint64_t)count, "after", after);
        json_decref(page); /* `after` pointed into it */
        page = newer;
        if (status != STEAD_EXIT_DONE)
            return status;
        size_t taken = take_page(o, page, columns);
        left -= taken < left ? taken : left;
        after = json_string_value(json_object_get(page, "next"));
        if (left == 0 || !after)
            break;
    }
    *ret_last = page;
    return STEAD_EXIT_DONE;
}

int stead_cmd_agents(int argc, char **argv)
{
    static const struct argp_child children[] = {{&stead_connect_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {options, parse, NULL, doc, children, NULL, NULL};
    static const char *const titles[] = {"ADDRESS", ">INCARNATION", "WHERE", "KIND IS", NULL};
    struct agents_options o = {.limit = 1000};
    struct stead_client *client = NULL;
    json_t *last = NULL;

    if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
        return STEAD_EXIT_USAGE;
    int status = stead_connect_open(&o.connect, &client);
    if (status != STEAD_EXIT_DONE)
        return status;
    struct stead_columns *columns = stead_columns_create(titles);
    status = list_agents(&o, client, columns, &last);
    if (stead_columns_rows(columns) > 0)
        stead_columns_print(columns, stdout, stead_print_is_fancy(stdout));
    else if (status == STEAD_EXIT_DONE && !o.connect.json)
        fprintf(stderr, "no agents\n");
    if (status == STEAD_EXIT_DONE && *stead_json_member_text(last, "next") && !o.connect.json)
        fprintf(stderr, "there are more: --after '%s', or --all\n", stead_json_member_text(last, "next"));
    json_decref(last);
    stead_columns_destroy(&columns);
    stead_client_close(&client);
    return status;
}
