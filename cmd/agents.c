/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead agents: who is there. The cluster answers in pages; this command turns the pages until the limit, so a list of
 * millions never has to fit into one answer or into memory (with --json each page is printed as it comes).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/connect.h"
#include "cmd/parse.h"
#include "cmd/print.h"

#define PAGE_AGENTS 10000u /* asked for at once */
#define WHERE_MAX 16u      /* as docs/OPERATIONS.md has it */

struct agents_options {
    struct stead_connect connect;
    const char *kind, *prefix, *after; /* filters; "" none */
    uint64_t limit;                    /* agents to print; UINT64_MAX: all */
    const char *where[WHERE_MAX];      /* FIELD=VALUE, FIELD=FROM..BELOW */
    uint32_t where_count;
    const char *fields; /* comma-separated; NULL: none */
    bool held;
};

static const char doc[] =
    "Lists the agents of the cluster, in the order of their addresses.\n"
    "\v"
    "Examples:\n"
    "  stead agents\n"
    "  stead agents --kind counter --limit 20\n"
    "  stead agents --prefix account/north. --all --json\n"
    "  stead agents --kind account --where balance=..0 --fields balance,owner\n"
    "  stead agents --held\n"
    "\n"
    "--where compares fields of the state, and may be given several times. VALUE is JSON, or else a text; FROM..BELOW "
    "(either may be left out) is a range: from <= field < below. There is no index: "
    "every agent of the kind or prefix is read.\n"
    "\n"
    "With --json, one line an agent: {\"address\", \"incarnation\", \"resident\", \"durability\"}, with --fields "
    "{\"fields\"}, with --held {\"lock\"}.";

static const struct argp_option options[] = {
    {"kind", 'k', "KIND", 0, "Only agents of this kind", 10},
    {"prefix", 'p', "TEXT", 0, "Only addresses that begin so", 10},
    {"after", 'a', "ADDRESS", 0, "Only addresses behind this one: the next page", 10},
    {"limit", 'l', "COUNT", 0, "At most so many. Default: 1000", 10},
    {"all", 'A', NULL, 0, "No limit", 10},
    {"where", 'w', "FIELD=VALUE", 0, "Only agents whose field has this value, or is in FROM..BELOW", 10},
    {"fields", 'f', "NAME,...", 0, "Show these fields too", 10},
    {"held", 'H', NULL, 0, "Only agents that are held, with their holders", 10},
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
    case 'w':
        if (!strchr(arg, '=') || arg[0] == '=')
            argp_error(state, "--where %s: write FIELD=VALUE", arg);
        if (o->where_count == WHERE_MAX)
            argp_error(state, "--where: more than %u conditions", WHERE_MAX);
        else
            o->where[o->where_count++] = arg;
        return 0;
    case 'f':
        o->fields = arg;
        return 0;
    case 'H':
        o->held = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- Conditions ----------------------------------------------------------------------------- */

/* A value as JSON has it; what is not JSON is a text. */
static void write_scalar(struct stead_writer *writer, const char *text, size_t size)
{
    json_t *json = json_loadb(text, size, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);

    if (json_is_integer(json))
        stead_write_i64(writer, json_integer_value(json));
    else if (json_is_real(json))
        stead_write_f64(writer, json_real_value(json));
    else if (json_is_boolean(json))
        stead_write_bool(writer, json_is_true(json));
    else if (json_is_null(json))
        stead_write_nil(writer);
    else if (json_is_string(json))
        stead_write_str(writer, json_string_value(json));
    else
        stead_write_str_slice(writer, stead_bytes(text, size));
    json_decref(json);
}

/* One FIELD=VALUE as a member of the query's `where`. */
static void write_condition(struct stead_writer *writer, const char *text)
{
    const char *value = strchr(text, '=') + 1, *dots = value[0] == '"' ? NULL : strstr(value, "..");

    stead_write_str_slice(writer, stead_bytes(text, (size_t)(value - 1 - text)));
    if (!dots || strcmp(value, "..") == 0) {
        write_scalar(writer, value, strlen(value));
        return;
    }
    stead_write_map(writer, (uint32_t)(dots > value) + (uint32_t)(dots[2] != 0));
    if (dots > value) {
        stead_write_str(writer, "from");
        write_scalar(writer, value, (size_t)(dots - value));
    }
    if (dots[2]) {
        stead_write_str(writer, "below");
        write_scalar(writer, dots + 2, strlen(dots + 2));
    }
}

static void write_where(const struct agents_options *o, struct stead_writer *writer)
{
    stead_write_map(writer, o->where_count);
    for (uint32_t i = 0; i < o->where_count; i++)
        write_condition(writer, o->where[i]);
}

static void write_fields(const struct agents_options *o, struct stead_writer *writer)
{
    uint32_t count = o->fields ? 1 : 0;

    for (const char *at = o->fields; at && *at; at++)
        count += *at == ',';
    stead_write_array(writer, count);
    for (const char *at = o->fields; count > 0; count--) {
        size_t size = strcspn(at, ",");
        stead_write_str_slice(writer, stead_bytes(at, size));
        at += size + 1;
    }
}

/* ---- Pages ---------------------------------------------------------------------------------- */

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
        if (o->held) {
            const json_t *lock = json_object_get(agent, "lock");
            stead_columns_add(columns, "%s", stead_json_member_text(lock, "holder"));
            stead_columns_add(columns, "%lld", (long long)stead_json_member_int(lock, "fence"));
            stead_columns_add(columns, "%lld", (long long)stead_json_member_int(lock, "waiting"));
        }
        if (o->fields) {
            char *text = json_dumps(json_object_get(agent, "fields"), JSON_COMPACT | JSON_ENSURE_ASCII);
            stead_columns_add(columns, "%s", text ? text : "");
            free(text);
        }
    }
    return json_array_size(agents);
}

static int list_agents(const struct agents_options *o, struct stead_client *client, struct stead_columns *columns,
                       json_t **ret_last)
{
    const char *after = o->after;
    uint64_t left = o->limit;
    json_t *page = NULL;
    struct stead_writer where, fields;
    int code = STEAD_EXIT_DONE;

    stead_writer_init(&where);
    stead_writer_init(&fields);
    write_where(o, &where);
    write_fields(o, &fields);
    for (;;) {
        json_t *newer = NULL;
        uint32_t count = left < PAGE_AGENTS ? (uint32_t)left : PAGE_AGENTS;
        int status =
            stead_connect_query(&o->connect, client, "agents", &newer, "{s:s,s:s,s:u,s:s,s:v,s:v,s:b}", "kind", o->kind,
                                "prefix", o->prefix, "limit", (uint64_t)count, "after", after, "where",
                                stead_written(&where), "fields", stead_written(&fields), "held", (int)o->held);
        json_decref(page); /* `after` pointed into it */
        page = newer;
        if (status != STEAD_EXIT_DONE) {
            code = status;
            break;
        }
        size_t taken = take_page(o, page, columns);
        left -= taken < left ? taken : left;
        after = json_string_value(json_object_get(page, "next"));
        if (left == 0 || !after)
            break;
    }
    stead_writer_deinit(&where);
    stead_writer_deinit(&fields);
    *ret_last = page;
    return code;
}

int stead_cmd_agents(int argc, char **argv)
{
    static const struct argp_child children[] = {{&stead_connect_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {options, parse, NULL, doc, children, NULL, NULL};
    const char *titles[9] = {"ADDRESS", ">INCARNATION", "WHERE", "KIND IS"};
    size_t title_count = 4;
    struct agents_options o = {.limit = 1000};
    struct stead_client *client = NULL;
    json_t *last = NULL;

    if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
        return STEAD_EXIT_USAGE;
    int status = stead_connect_open(&o.connect, &client);
    if (status != STEAD_EXIT_DONE)
        return status;
    if (o.held) {
        titles[title_count++] = "HELD BY";
        titles[title_count++] = ">FENCE";
        titles[title_count++] = ">WAITING";
    }
    if (o.fields)
        titles[title_count++] = "FIELDS";
    titles[title_count] = NULL;
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
