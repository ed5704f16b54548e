/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead locks: which agents are held, by whom, and who waits; and breaking a hold. Waits among holders that close a circle are named: nobody in it goes on by himself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/connect.h"
#include "cmd/near.h"
#include "cmd/parse.h"
#include "cmd/print.h"

#define PAGE_AGENTS 1000u /* asked for at once */

struct locks_options {
    struct stead_connect connect;
    const char *prefix, *after; /* filters; NULL: none */
    uint64_t limit;             /* locks listed; UINT64_MAX: all */
    const char *address;        /* of the lock to break; NULL: list */
    bool is_break;
};

static const char doc[] =
    "Lists the agents that are held, by whom, and who waits for them; or breaks a hold.\n"
    "\n"
    "An orchestration holds the agents of its critical section; `break` ends one hold, for when its holder is gone for "
    "good. The old holder's calls fail from then on: its fencing number is refused.\v"
    "Examples:\n"
    "  stead locks\n"
    "  stead locks list --prefix account/\n"
    "  stead locks break account/bob\n"
    "\n"
    "With --json, one line an agent: {\"address\", \"lock\": {\"holder\", \"fence\", \"waiting\"}}, and one "
    "{\"cycle\": [...]} for each circle of waits.";

static const struct argp_option options[] = {
    {"prefix", 'p', "TEXT", 0, "Only addresses that begin so", 10},
    {"after", 'a', "ADDRESS", 0, "Only addresses behind this one: the next page", 10},
    {"limit", 'l', "COUNT", 0, "At most so many. Default: 1000", 10},
    {"all", 'A', NULL, 0, "No limit", 10},
    {0}};

static void take_word(struct locks_options *o, const char *word, struct argp_state *state)
{
    static const char *const words[] = {"list", "break", NULL};
    const char *near = stead_near_find(word, words);

    if (strcmp(word, "break") == 0)
        o->is_break = true;
    else if (strcmp(word, "list") != 0)
        argp_error(state, "\"%s\": %s%s%s", word, near ? "did you mean \"" : "write list, or break ADDRESS",
                   near ? near : "", near ? "\"?" : "");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct locks_options *o = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->connect;
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
    case ARGP_KEY_ARG:
        if (state->arg_num == 0)
            take_word(o, arg, state);
        else if (state->arg_num == 1 && o->is_break)
            o->address = arg;
        else
            argp_error(state, "too many words: write list, or break ADDRESS");
        return 0;
    case ARGP_KEY_END:
        if (o->is_break && !o->address)
            argp_error(state, "break which? Write the ADDRESS of the agent that is held");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int break_lock(const struct locks_options *o, struct stead_client *client)
{
    json_t *answer = NULL;
    int status = stead_connect_query(&o->connect, client, "unlock", &answer, "{s:s}", "address", o->address);

    if (status == STEAD_EXIT_DONE && o->connect.json) {
        stead_json_print(answer, 0);
    } else if (status == STEAD_EXIT_DONE) {
        char *holder = stead_print_safe(stead_str(stead_json_member_text(answer, "holder")));
        printf("broken: %s was held by %s, fence %lld\n", o->address, holder,
               (long long)stead_json_member_int(answer, "fence"));
        free(holder);
    }
    json_decref(answer);
    return status;
}

/* ---- The list ------------------------------------------------------------------------------- */

/* Adds or prints one page; how many locks it had. */
static size_t take_page(const struct locks_options *o, const json_t *page, struct stead_columns *columns)
{
    size_t index;
    json_t *agent;
    const json_t *agents = json_object_get(page, "agents");

    json_array_foreach(agents, index, agent)
    {
        const json_t *lock = json_object_get(agent, "lock");
        if (o->connect.json) {
            stead_json_print(agent, 0);
            continue;
        }
        stead_columns_add(columns, "%s", stead_json_member_text(agent, "address"));
        stead_columns_add(columns, "%s", stead_json_member_text(lock, "holder"));
        stead_columns_add(columns, "%lld", (long long)stead_json_member_int(lock, "fence"));
        stead_columns_add(columns, "%lld", (long long)stead_json_member_int(lock, "waiting"));
    }
    return json_array_size(agents);
}

/* Names the circles of a page: the first waits for the second, and so on, and the last for the first. */
static void print_cycles(const struct locks_options *o, const json_t *page)
{
    size_t c, i;
    json_t *cycle, *name;

    json_array_foreach(json_object_get(page, "cycles"), c, cycle)
    {
        if (o->connect.json) {
            json_t *document = json_pack("{s:O}", "cycle", cycle);
            stead_json_print(document, 0);
            json_decref(document);
            continue;
        }
        fputs("a circle of waits: ", stdout);
        json_array_foreach(cycle, i, name)
        {
            char *safe = stead_print_safe(stead_str(json_is_string(name) ? json_string_value(name) : "?"));
            printf("%s waits for ", safe);
            free(safe);
        }
        const char *first = json_string_value(json_array_get(cycle, 0));
        char *safe = stead_print_safe(stead_str(first ? first : "?"));
        puts(safe);
        free(safe);
    }
}

static int list_locks(const struct locks_options *o, struct stead_client *client, struct stead_columns *columns,
                      json_t **ret_last)
{
    uint64_t left = o->limit;
    const char *after = o->after;
    json_t *page = NULL;

    for (;;) {
        json_t *newer = NULL;
        uint64_t count = left < PAGE_AGENTS ? left : PAGE_AGENTS;
        int status = stead_connect_query(&o->connect, client, "agents", &newer, "{s:b,s:s,s:u,s:s}", "held", 1,
                                         "prefix", o->prefix, "limit", count, "after", after);
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

static int list(const struct locks_options *o, struct stead_client *client)
{
    static const char *const titles[] = {"AGENT", "HELD BY", ">FENCE", ">WAITING", NULL};
    struct stead_columns *columns = stead_columns_create(titles);
    json_t *last = NULL;

    int status = list_locks(o, client, columns, &last);
    if (stead_columns_rows(columns) > 0)
        stead_columns_print(columns, stdout, stead_print_is_fancy(stdout));
    else if (status == STEAD_EXIT_DONE && !o->connect.json)
        fprintf(stderr, "nothing is held\n");
    if (last)
        print_cycles(o, last);
    if (last && *stead_json_member_text(last, "next") && !o->connect.json) {
        char *safe = stead_print_safe(stead_str(stead_json_member_text(last, "next")));
        fprintf(stderr, "there are more: --after '%s', or --all\n", safe);
        free(safe);
    }
    json_decref(last);
    stead_columns_destroy(&columns);
    return status;
}

int stead_cmd_locks(int argc, char **argv)
{
    static const struct argp_child children[] = {{&stead_connect_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {options, parse, "[list|break ADDRESS]", doc, children, NULL, NULL};
    struct locks_options o = {.limit = 1000};
    struct stead_client *client = NULL;

    if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0 || (o.address && !stead_connect_check_address(o.address)))
        return STEAD_EXIT_USAGE;
    int status = stead_connect_open(&o.connect, &client);
    if (status == STEAD_EXIT_DONE)
        status = o.is_break ? break_lock(&o, client) : list(&o, client);
    stead_client_close(&client);
    return status;
}
