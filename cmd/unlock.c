/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead unlock: breaks the hold on an agent, for when its holder is gone for good. The fencing number protects what the old
 * holder may still do.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cmd/connect.h"
#include "cmd/print.h"

struct unlock_options {
    struct stead_connect connect;
    const char *address; /* of the agent */
};

static const char doc[] =
    "Breaks the hold of whoever holds an agent; the messages that waited run.\n"
    "\n"
    "The old holder's fencing number is refused from then on. `stead show ADDRESS` names the holder.\v"
    "Examples:\n"
    "  stead unlock stock/paint";

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct unlock_options *o = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->connect;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0)
            argp_error(state, "one ADDRESS only");
        o->address = arg;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which agent? Write its ADDRESS");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int stead_cmd_unlock(int argc, char **argv)
{
    static const struct argp_child children[] = {{&stead_connect_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {NULL, parse, "ADDRESS", doc, children, NULL, NULL};
    struct unlock_options o = {0};
    struct stead_client *client = NULL;
    json_t *answer = NULL;

    if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0 || !stead_connect_check_address(o.address))
        return STEAD_EXIT_USAGE;
    int status = stead_connect_open(&o.connect, &client);
    if (status == STEAD_EXIT_DONE)
        status = stead_connect_query(&o.connect, client, "unlock", &answer, "{s:s}", "address", o.address);
    if (status == STEAD_EXIT_DONE && o.connect.json) {
        stead_json_print(answer, 0);
    } else if (status == STEAD_EXIT_DONE) {
        char *holder = stead_print_safe(stead_str(stead_json_member_text(answer, "holder")));
        printf("%s was held by %s, fence %lld\n", o.address, holder, (long long)stead_json_member_int(answer, "fence"));
        free(holder);
    }
    json_decref(answer);
    stead_client_close(&client);
    return status;
}
