/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead signal: one signal from the shell. Exit code 0 means that it has run and is committed, exactly once whatever
 * crashes; with a delay, that it is committed and will run. An op that fails is exit code 1, and a dead letter of the
 * agent.
 */
#include <stdio.h>

#include "cmd/parse.h"
#include "cmd/request.h"

static const char doc[] =
    "Sends a signal to an agent: exactly once in effect, whatever crashes.\n"
    "\n"
    "Exit code 0 means that the signal is committed and has run, with --delay that it is committed. "
    "There is no value to print. An op that fails is exit code 1, and leaves a dead letter with "
    "the agent (stead deadletters). ADDRESS is kind/key; JSON is the argument of the op: the text itself, "
    "@FILE, or - for stdin.\v"
    "Examples:\n"
    "  stead signal counter/alice add 5\n"
    "  stead signal --delay 10m device/lamp off\n"
    "  stead signal --key order-17 stock/paint reserve '{\"count\": 3}'";

static const struct argp_option options[] = {
    {"delay", 'd', "TIME", 0, "The signal travels at once and waits so long with the agent, as 500ms, 10m or 2h", 10},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct stead_request *request = state->input;
    uint64_t ms = 0;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = state->input;
        return 0;
    case 'd':
        if (!stead_parse_duration(arg, INT64_MAX, &ms))
            argp_error(state, "--delay %s: not a time; write 500ms, 10m or 2h", arg);
        request->options.delay_ms = (int64_t)ms;
        return 0;
    default:
        return stead_request_parse_words(request, key, arg, state);
    }
}

int stead_cmd_signal(int argc, char **argv)
{
    static const struct argp_child children[] = {{&stead_request_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {options, parse, "ADDRESS OP [JSON]", doc, children, NULL, NULL};
    struct stead_request request;
    struct stead_client *client = NULL;
    struct stead_answer answer = stead_connect_no_answer();

    int status = stead_request_parse(&argp, argc, argv, &request);
    if (status == STEAD_EXIT_DONE)
        status = stead_connect_open(&request.connect, &client);
    if (status == STEAD_EXIT_DONE) {
        int code = stead_client_signal(client, request.address, request.op, stead_written(&request.args),
                                       &request.options, &answer);
        if (code != 0) {
            status = stead_connect_failed(&request.connect, code, &answer);
            stead_request_hint(&request, client, code);
        } else if (request.connect.json) {
            puts("{\"committed\": true}");
        }
    }
    stead_client_close(&client);
    stead_writer_deinit(&request.args);
    return status;
}
