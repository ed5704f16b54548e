/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead locks: which agents are held, by whom, and who waits; and breaking a hold. Waits among holders that close a
 * circle are named: nobody in it goes on by himself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/connect.h"
#include "cmd/lock_cycles.h"
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
    "With --json, one line an agent: {\"address\", \"lock\": {\"holder\", \"fence\", \"waiting\", "
    "\"waits\"}}, and one {\"cycle\": [{\"waits\", \"for\", \"held_by\"}]} for each circle of waits.";

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

/* ---- The list ------------------------------------------------------------------------------- */

/* A list on its way. */
struct listing {
    const struct locks_options *options;
    struct stead_columns *columns;    /* owned; not used with --json */
    struct stead_lock_cycles *cycles; /* who waits for whom; owned */
    char *next;                       /* address behind which there are more; owned, NULL: nowhere */
};

static void print_lock(struct listing *listing, const json_t *agent)
{
    const json_t *lock = json_object_get(agent, "lock");
    const char *address = stead_json_member_text(agent, "address"), *holder = stead_json_member_text(lock, "holder");
    size_t i;
    json_t *waiter;

    json_array_foreach(json_object_get(lock, "waits"), i, waiter)
    {
        if (json_is_string(waiter))
            stead_lock_cycles_add(listing->cycles, json_string_value(waiter), address, holder);
    }
    if (listing->options->connect.json) {
        stead_json_print(agent, 0);
        return;
    }
    stead_columns_add(listing->columns, "%s", address);
    stead_columns_add(listing->columns, "%s", holder);
    stead_columns_add(listing->columns, "%lld", (long long)stead_json_member_int(lock, "fence"));
    stead_columns_add(listing->columns, "%lld", (long long)stead_json_member_int(lock, "waiting"));
}

/* The pages up to the limit; one may be short or empty with more behind it. */
static int list_pages(struct listing *listing, struct stead_client *client)
{
    const struct locks_options *o = listing->options;
    uint64_t left = o->limit;
    int status = STEAD_EXIT_DONE;

    listing->next = o->after ? strdup(o->after) : NULL;
    do {
        json_t *page = NULL, *agent;
        size_t index;
        status = stead_connect_query(&o->connect, client, "agents", &page, "{s:b,s:s,s:u,s:s}", "held", 1, "prefix",
                                     o->prefix, "limit", left < PAGE_AGENTS ? left : (uint64_t)PAGE_AGENTS, "after",
                                     listing->next);
        json_array_foreach(json_object_get(page, "agents"), index, agent)
        {
            print_lock(listing, agent);
            left -= left > 0;
        }
        const char *next = json_string_value(json_object_get(page, "next"));
        free(listing->next);
        listing->next = next ? strdup(next) : NULL;
        json_decref(page);
    } while (status == STEAD_EXIT_DONE && left > 0 && listing->next);
    return status;
}

/* A circle as a document, or as a sentence. */
static void print_cycle(void *context, const struct stead_lock_wait *waits, uint32_t count)
{
    const struct listing *listing = context;
    json_t *list = json_array();

    for (uint32_t i = 0; i < count; i++) {
        json_array_append_new(list, json_pack("{s:s,s:s,s:s}", "waits", waits[i].waiter, "for", waits[i].address,
                                              "held_by", waits[i].holder));
        if (listing->options->connect.json)
            continue;
        char *waiter = stead_print_safe(stead_str(waits[i].waiter)),
             *held = stead_print_safe(stead_str(waits[i].address));
        printf("%s%s waits for %s", i == 0 ? "a circle of waits: " : ", held by ", waiter, held);
        if (i + 1 == count) {
            char *first = stead_print_safe(stead_str(waits[0].waiter));
            printf(", held by %s\n", first);
            free(first);
        }
        free(waiter);
        free(held);
    }
    json_t *document = json_pack("{s:o}", "cycle", list);
    if (listing->options->connect.json)
        stead_json_print(document, 0);
    json_decref(document);
}

static int list(const struct locks_options *o, struct stead_client *client)
{
    static const char *const titles[] = {"AGENT", "HELD BY", ">FENCE", ">WAITING", NULL};
    struct listing listing = {
        .options = o, .columns = stead_columns_create(titles), .cycles = stead_lock_cycles_create()};

    int status = list_pages(&listing, client);
    if (stead_columns_rows(listing.columns) > 0)
        stead_columns_print(listing.columns, stdout, stead_print_is_fancy(stdout));
    else if (status == STEAD_EXIT_DONE && !o->connect.json)
        fprintf(stderr, "nothing is held\n");
    (void)stead_lock_cycles_find(listing.cycles, print_cycle, &listing);
    if (status == STEAD_EXIT_DONE && listing.next && !o->connect.json) {
        char *safe = stead_print_safe(stead_str(listing.next));
        fprintf(stderr, "there are more: --after '%s', or --all\n", safe);
        free(safe);
    }
    free(listing.next);
    stead_lock_cycles_destroy(&listing.cycles);
    stead_columns_destroy(&listing.columns);
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
        status = o.is_break ? stead_cmd_break_hold(&o.connect, client, o.address, "broken: ") : list(&o, client);
    stead_client_close(&client);
    return status;
}
