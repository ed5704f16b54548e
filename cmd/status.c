/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead status: one instance, with its input and what came of it.
 */
#include <stdio.h>

#include "cmd/fabric.h"
#include "cmd/instance_text.h"

struct status_options {
    struct stead_fabric fabric;
    const char *id;
};

static const char doc[] =
    "Shows an instance of an orchestration: status, input, output or error, what it says of itself.\n"
    "\n"
    "Without --fabric it is looked for on the direct fabric, then in hub main.\v"
    "Examples:\n"
    "  stead status order-17\n"
    "  stead status order-17 --json\n"
    "  stead status order-17 --fabric hub\n"
    "\n"
    "With --json: {\"id\", \"name\", \"version\", \"execution\", \"status\", \"created_ms\", \"updated_ms\", "
    "\"events\", \"parent\", \"input\", \"output\", \"custom\", \"error\"}; what it has not is null.";

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct status_options *o = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->fabric;
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

/* What is asked for, and where the answer goes. */
struct asking {
    const struct status_options *options;
    struct stead_instance instance;
};

static int ask(void *context, struct stead_client *client, const struct stead_instance_options *options,
               struct stead_answer *ret_answer)
{
    struct asking *asking = context;
    return stead_instance_status_of(client, asking->options->id, options, &asking->instance, ret_answer);
}

int stead_cmd_status(int argc, char **argv)
{
    static const struct argp_child children[] = {{&stead_fabric_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {NULL, parse, "ID", doc, children, NULL, NULL};
    struct status_options o = {.id = NULL};
    struct asking asking = {.options = &o};
    struct stead_client *client = NULL;

    if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0 || !stead_fabric_check_id(o.id))
        return STEAD_EXIT_USAGE;
    int status = stead_connect_open(&o.fabric.connect, &client);
    if (status == STEAD_EXIT_DONE)
        status = stead_fabric_ask(&o.fabric, client, o.id, ask, &asking);
    if (status == STEAD_EXIT_DONE && o.fabric.connect.json) {
        json_t *json = stead_instance_json(&asking.instance);
        stead_json_print(json, 0);
        json_decref(json);
    } else if (status == STEAD_EXIT_DONE) {
        stead_instance_print(&asking.instance, stdout);
    }
    stead_client_close(&client);
    return status;
}
