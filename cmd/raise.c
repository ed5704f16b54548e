/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead raise: an external event for an instance. One that comes before the code asks for it is kept.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/fabric.h"
#include "cmd/json.h"
#include "cmd/request.h"
#include "runtime/base.h"

struct raise_options {
    struct stead_fabric fabric;
    const char *id, *event, *json; /* ID EVENT [JSON] */
    struct stead_writer value;     /* of the event; owned */
};

static const char doc[] = "Raises an external event at an instance.\n"
                          "\n"
                          "The code gets it when it awaits an event of this name, and one that comes early is kept. "
                          "JSON is its value: the text itself, @FILE, or - for stdin. "
                          "Without --fabric the instance is looked for on the direct fabric, then in hub main.\v"
                          "Examples:\n"
                          "  stead raise order-17 approved\n"
                          "  stead raise order-17 approved '{\"by\": \"Ada\"}'\n"
                          "  stead raise order-17 photo @photo.json --fabric hub";

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct raise_options *o = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->fabric;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 2)
            argp_error(state, "too many words: JSON with spaces needs single quotes around it");
        *(state->arg_num == 0 ? &o->id : state->arg_num == 1 ? &o->event : &o->json) = arg;
        return 0;
    case ARGP_KEY_END:
        if (!o->event)
            argp_error(state, o->id ? "which event? Write ID EVENT [JSON]" : "write ID EVENT [JSON]");
        else if (!*o->event || strlen(o->event) > 255)
            argp_error(state, "an event's name has 1 to 255 bytes");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int ask(void *context, struct stead_client *client, const struct stead_instance_options *options,
               struct stead_answer *ret_answer)
{
    const struct raise_options *o = context;
    return stead_instance_raise(client, o->id, o->event, stead_written(&o->value), options, ret_answer);
}

int stead_cmd_raise(int argc, char **argv)
{
    static const struct argp_child children[] = {{&stead_fabric_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {NULL, parse, "ID EVENT [JSON]", doc, children, NULL, NULL};
    struct raise_options o = {.id = NULL};
    struct stead_client *client = NULL;
    struct stead_json_error error;
    char **guarded = stead_alloc(((size_t)argc + 2) * sizeof(*guarded));

    argc = stead_request_guard_numbers(&argp, argc, argv, guarded);
    error_t parsed = argp_parse(&argp, argc, guarded, 0, NULL, &o);
    free(guarded);
    if (parsed != 0 || !stead_fabric_check_id(o.id))
        return STEAD_EXIT_USAGE;
    stead_writer_init(&o.value);
    if (stead_json_argument(o.json, &o.value, &error) != 0) {
        stead_json_complain(&error);
        return STEAD_EXIT_USAGE;
    }
    int status = stead_connect_open(&o.fabric.connect, &client);
    if (status == STEAD_EXIT_DONE)
        status = stead_fabric_ask(&o.fabric, client, o.id, ask, &o);
    if (status == STEAD_EXIT_DONE && o.fabric.connect.json)
        puts("{\"raised\": true}");
    stead_client_close(&client);
    stead_writer_deinit(&o.value);
    return status;
}
