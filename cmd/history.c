/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead history: what an instance went through, event by event.
 *
 * --follow asks for the status a few times a second, and for events when there are more. A new execution
 * (continue-as-new, restart) begins its history at 1 again: a line says so, and what is shown goes on from there. It
 * ends when the instance is over.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cmd/fabric.h"
#include "cmd/instance_text.h"
#include "cmd/json.h"
#include "cmd/parse.h"

#define FOLLOW_MS 250 /* between two looks */

struct history_options {
    struct stead_fabric fabric;
    const char *id;
    uint64_t after; /* only events behind this one */
    bool follow;    /* until it is over */
};

static const char doc[] =
    "Shows the history of an instance: what came in, what its code decided, when.\n"
    "\n"
    "An episode begins with its time; what came in stands below it, what the code decided on that one step further "
    "in. `<- 3` answers event 3. Values are cut; --json shows them whole. Without --fabric the instance is looked for "
    "on the direct fabric, then in hub main.\v"
    "Examples:\n"
    "  stead history order-17\n"
    "  stead history order-17 --follow\n"
    "  stead history order-17 --after 200 --json\n"
    "\n"
    "With --json, one line an event: {\"id\", \"time\", \"type\", ...}.";

static const struct argp_option options[] = {
    {"follow", 'f', NULL, 0, "Then show events as they come, until the instance is over", 10},
    {"after", 'a', "EVENT", 0, "Only events behind the one of this number", 10},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct history_options *o = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->fabric;
        return 0;
    case 'f':
        o->follow = true;
        return 0;
    case 'a':
        if (!stead_parse_number(arg, 0, UINT64_MAX, &o->after))
            argp_error(state, "--after %s: not a number", arg);
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0)
            argp_error(state, "one ID only");
        o->id = arg;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which instance? Write its ID");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* How far the history was shown. */
struct showing {
    struct history_options *options;
    uint64_t last;                  /* event shown last */
    struct stead_instance instance; /* as it was at the last look */
};

static int show_event(void *context, const struct stead_instance_event *event)
{
    struct showing *showing = context;
    json_t *json = stead_json_from_value(event->map);

    if (showing->options->fabric.connect.json) {
        stead_json_print(json, 0);
    } else {
        char *line = stead_history_line(json);
        puts(line);
        free(line);
    }
    json_decref(json);
    showing->last = event->id;
    return ferror(stdout);
}

static int ask_status(void *context, struct stead_client *client, const struct stead_instance_options *options,
                      struct stead_answer *ret_answer)
{
    struct showing *showing = context;
    return stead_instance_status_of(client, showing->options->id, options, &showing->instance, ret_answer);
}

static int ask_events(void *context, struct stead_client *client, const struct stead_instance_options *options,
                      struct stead_answer *ret_answer)
{
    struct showing *showing = context;
    return stead_instance_history(client, showing->options->id, showing->last, options, show_event, showing, NULL,
                                  ret_answer);
}

/* Looks once, and shows what is new. */
static int look(struct showing *showing, struct stead_client *client)
{
    struct history_options *o = showing->options;
    uint32_t execution = showing->instance.execution;

    int status = stead_fabric_ask(&o->fabric, client, o->id, ask_status, showing);
    if (status != STEAD_EXIT_DONE)
        return status;
    if (execution != 0 && showing->instance.execution != execution) {
        showing->last = 0;
        if (!o->fabric.connect.json)
            printf("\nexecution %u\n", showing->instance.execution);
    }
    if (showing->instance.events > showing->last)
        status = stead_fabric_ask(&o->fabric, client, o->id, ask_events, showing);
    fflush(stdout);
    return status;
}

int stead_cmd_history(int argc, char **argv)
{
    static const struct argp_child children[] = {{&stead_fabric_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {options, parse, "ID", doc, children, NULL, NULL};
    const struct timespec pause = {0, FOLLOW_MS * 1000000L};
    struct history_options o = {.id = NULL};
    struct showing showing = {.options = &o};
    struct stead_client *client = NULL;

    if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0 || !stead_fabric_check_id(o.id))
        return STEAD_EXIT_USAGE;
    showing.last = o.after;
    int status = stead_connect_open(&o.fabric.connect, &client);
    if (status == STEAD_EXIT_DONE)
        status = look(&showing, client);
    while (status == STEAD_EXIT_DONE && o.follow && !ferror(stdout) &&
           !stead_instance_is_over(showing.instance.status)) {
        nanosleep(&pause, NULL);
        status = look(&showing, client);
    }
    stead_client_close(&client);
    return status;
}
