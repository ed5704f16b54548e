/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead purge: forgets instances that are over: one by its id, or all that a filter names. An instance that was started
 * again between the look and the purge is left alone: the purge of what is not over is refused by the instance itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "cmd/fabric.h"
#include "cmd/instance_pages.h"
#include "cmd/near.h"
#include "cmd/parse.h"
#include "cmd/print.h"

#define IN_FLIGHT_MAX 512u /* purges on their way */

struct purge_options {
    struct stead_fabric fabric;
    const char *id;            /* of the one; NULL: by filter */
    const char *status;        /* --status */
    const char *name, *prefix; /* --name, --prefix */
    uint64_t older_ms;         /* --older-than */
    bool by_filter;            /* one of those four was given */
};

static const char doc[] =
    "Forgets instances that are over, with their histories.\n"
    "\n"
    "One ID, or by filter: --status, --older-than, --name and --prefix together say which. Nothing is asked; how many "
    "were purged is printed. What is not over is never purged. Without --fabric one ID is looked for on the direct "
    "fabric, then in hub main, and a filter means the direct fabric.\v"
    "Examples:\n"
    "  stead purge order-17\n"
    "  stead purge --status Completed --older-than 7d\n"
    "  stead purge --prefix test- --older-than 0\n"
    "  stead purge --name trip --status Failed --fabric hub";

static const struct argp_option options[] = {
    {"status", 's', "STATUS", 0, "Only Completed, Failed, Canceled or Terminated ones. Default: all four", 10},
    {"older-than", 'o', "TIME", 0, "Only those that were over so long ago, as 30m, 12h or 7d", 10},
    {"name", 'N', "NAME", 0, "Only of this orchestrator", 10},
    {"prefix", 'p', "TEXT", 0, "Only ids that begin so", 10},
    {0}};

static const char *take_status(const char *word, struct argp_state *state)
{
    static const char *const names[] = {"Completed", "Failed", "Canceled", "Terminated", NULL};
    const char *near = stead_near_find(word, names);

    for (size_t i = 0; names[i]; i++) {
        if (strcasecmp(word, names[i]) == 0)
            return names[i];
    }
    if (near)
        argp_error(state, "--status %s: did you mean %s?", word, near);
    argp_error(state, "--status %s: it is Completed, Failed, Canceled or Terminated", word);
    return NULL;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct purge_options *o = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->fabric;
        return 0;
    case 's':
        o->status = take_status(arg, state);
        o->by_filter = true;
        return 0;
    case 'o':
        if (!stead_parse_duration(arg, INT64_MAX, &o->older_ms))
            argp_error(state, "--older-than %s: not a time; write 30m, 12h or 7d", arg);
        o->by_filter = true;
        return 0;
    case 'N':
        o->name = arg;
        o->by_filter = true;
        return 0;
    case 'p':
        o->prefix = arg;
        o->by_filter = true;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0)
            argp_error(state, "one ID only");
        o->id = arg;
        return 0;
    case ARGP_KEY_END:
        if (!o->id && !o->by_filter)
            argp_error(state, "which instances? Write an ID, or --status, --older-than, --name or --prefix");
        if (o->id && o->by_filter)
            argp_error(state, "an ID says which one; a filter besides means nothing");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int ask(void *context, struct stead_client *client, const struct stead_instance_options *options,
               struct stead_answer *ret_answer)
{
    const struct purge_options *o = context;
    return stead_instance_steer(client, o->id, STEAD_INSTANCE_PURGE, NULL, options, ret_answer);
}

static bool is_wanted(const struct purge_options *o, const struct stead_paged_instance *instance, int64_t before_ms)
{
    return stead_instance_is_over(instance->status) && (o->older_ms == 0 || instance->updated_ms < before_ms);
}

/* Many purges on their way. */
struct purging {
    const struct purge_options *options;
    struct stead_client *client;
    uint64_t count; /* purged */
    int status;     /* the first failure's exit code, after complaining */
};

/* One has ended. That somebody was faster, with a purge or a start, is no failure. */
static void take_end(void *context, const struct stead_answer *answer)
{
    struct purging *purging = context;

    if (answer->code == 0)
        purging->count++;
    else if (answer->code != STEAD_ESTATE && answer->code != STEAD_ENOTFOUND && purging->status == STEAD_EXIT_DONE)
        purging->status = stead_connect_failed(&purging->options->fabric.connect, answer->code, answer);
}

/* Sends one purge. */
static void purge_one(struct purging *purging, const char *id)
{
    const struct stead_instance_options where = {.hub = purging->options->fabric.hub};
    int code = 0;

    while (code >= 0 && stead_client_in_flight(purging->client) >= IN_FLIGHT_MAX)
        code = stead_client_poll(purging->client, -1);
    code = stead_instance_steer_async(purging->client, id, STEAD_INSTANCE_PURGE, NULL, &where, take_end, purging);
    if (code != 0 && purging->status == STEAD_EXIT_DONE)
        purging->status = stead_connect_failed(&purging->options->fabric.connect, code, NULL);
}

/* Purges what the filter names. */
static void purge_all(struct purging *purging)
{
    const struct purge_options *o = purging->options;
    const struct stead_instance_filter filter = {.status = o->status, .name = o->name, .id_prefix = o->prefix};
    const struct stead_paged_instance *instance;
    struct stead_instance_pages pages;

    int64_t now_ms = stead_parse_now_ms();
    int64_t before_ms = o->older_ms < (uint64_t)now_ms ? now_ms - (int64_t)o->older_ms : 0;
    stead_instance_pages_init(&pages, &o->fabric, &filter);
    while (purging->status == STEAD_EXIT_DONE &&
           (instance = stead_instance_pages_next(&pages, purging->client, &purging->status)) != NULL) {
        if (is_wanted(o, instance, before_ms))
            purge_one(purging, instance->id);
    }
    while (stead_client_in_flight(purging->client) > 0 && stead_client_poll(purging->client, -1) >= 0)
        continue;
    stead_instance_pages_deinit(&pages);
}

static void print_count(const struct purge_options *o, uint64_t count)
{
    char text[STEAD_PRINT_SIZE];

    if (o->fabric.connect.json)
        printf("{\"purged\": %llu}\n", (unsigned long long)count);
    else
        printf("purged: %s\n", stead_print_count(count, text));
}

int stead_cmd_purge(int argc, char **argv)
{
    static const struct argp_child children[] = {{&stead_fabric_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {options, parse, "[ID]", doc, children, NULL, NULL};
    struct purge_options o = {.id = NULL};
    struct purging purging = {.options = &o};

    if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0 || (o.id && !stead_fabric_check_id(o.id)))
        return STEAD_EXIT_USAGE;
    purging.status = stead_connect_open(&o.fabric.connect, &purging.client);
    if (purging.status == STEAD_EXIT_DONE && o.id) {
        purging.status = stead_fabric_ask(&o.fabric, purging.client, o.id, ask, &o);
        purging.count = purging.status == STEAD_EXIT_DONE;
    } else if (purging.status == STEAD_EXIT_DONE) {
        purge_all(&purging);
    }
    if (purging.status == STEAD_EXIT_DONE || purging.count > 0)
        print_count(&o, purging.count);
    stead_client_close(&purging.client);
    return purging.status;
}
