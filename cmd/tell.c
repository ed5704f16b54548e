/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead tell: one message at most once. Nothing comes back, so the command ends when the message has left; a node
 * that cannot be reached is still found out.
 */
#include <stdio.h>

#include "cmd/request.h"

static const char doc[] =
    "Sends a message to an agent, at most once: no answer, no journal, no retry.\n"
    "\n"
    "ADDRESS is kind/key; JSON is the argument of the op: the text itself, @FILE, or - for stdin.\v"
    "Examples:\n"
    "  stead tell sensor/7 sample '{\"celsius\": 21.5}'";

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct stead_request *request = state->input;

    if (key == ARGP_KEY_INIT) {
        state->child_inputs[0] = &request->connect;
        return 0;
    }
    return stead_request_parse_words(request, key, arg, state);
}

int stead_cmd_tell(int argc, char **argv)
{
    static const struct argp_child children[] = {{&stead_connect_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {NULL, parse, "ADDRESS OP [JSON]", doc, children, NULL, NULL};
    struct stead_request request;
    struct stead_client *client = NULL;

    int status = stead_request_parse(&argp, argc, argv, &request);
    if (status == STEAD_EXIT_DONE)
        status = stead_connect_open(&request.connect, &client);
    if (status == STEAD_EXIT_DONE) {
        int code = stead_client_tell(client, request.address, request.op, stead_written(&request.args));
        if (code != 0)
            status = stead_connect_failed(&request.connect, code, NULL);
    }
    stead_client_close(&client);
    stead_writer_deinit(&request.args);
    return status;
}
