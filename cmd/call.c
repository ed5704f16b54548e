/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead call: one call from the shell. The answer's value goes to stdout as JSON, and nothing else does.
 */
#include <stdio.h>
#include <unistd.h>

#include "cmd/json.h"
#include "cmd/request.h"

static const char doc[] = "Calls an op of an agent and prints its answer.\n"
                          "\n"
                          "ADDRESS is kind/key. JSON is the argument of the op: the text itself, @FILE, or - for "
                          "stdin. It travels as msgpack; "
                          "what JSON lacks is written as an object of one key: {\"$bin\": \"base64\"} binary, "
                          "{\"$u64\": \"digits\"} an integer above "
                          "2^63-1, {\"$f64\": \"nan\"}.\v"
                          "Examples:\n"
                          "  stead call counter/alice add 5\n"
                          "  stead call account/bob transfer '{\"to\": \"account/alice\", \"amount\": 20}'\n"
                          "  stead call --key order-17 account/bob withdraw @order.json\n"
                          "  stead call --json counter/alice get\n"
                          "\n"
                          "With --json the answer is {\"value\": ..., \"class\": \"durable\"} or {\"error\": "
                          "{\"code\", \"name\", \"sentence\", \"agent\", \"op\"}}.";

static error_t parse(int key, char *arg, struct argp_state *state)
{
    if (key == ARGP_KEY_INIT) {
        state->child_inputs[0] = state->input;
        return 0;
    }
    return stead_request_parse_words(state->input, key, arg, state);
}

static void print_answer(const struct stead_request *request, const struct stead_answer *answer)
{
    json_t *value = stead_json_from_value(answer->value);

    if (request->connect.json) {
        static const char *const classes[] = {"default", "volatile", "replicated", "durable"};
        json_t *document = json_pack("{s:O,s:s}", "value", value, "class", classes[answer->durability & 3]);
        stead_json_print(document, 0);
        json_decref(document);
    } else {
        stead_json_print(value, isatty(STDOUT_FILENO) ? 2 : 0);
    }
    json_decref(value);
}

int stead_cmd_call(int argc, char **argv)
{
    static const struct argp_child children[] = {{&stead_request_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {NULL, parse, "ADDRESS OP [JSON]", doc, children, NULL, NULL};
    struct stead_request request;
    struct stead_client *client = NULL;
    struct stead_answer answer = stead_connect_no_answer();

    int status = stead_request_parse(&argp, argc, argv, &request);
    if (status == STEAD_EXIT_DONE)
        status = stead_connect_open(&request.connect, &client);
    if (status == STEAD_EXIT_DONE) {
        int code = stead_client_call(client, request.address, request.op, stead_written(&request.args),
                                     &request.options, &answer);
        if (code == 0) {
            print_answer(&request, &answer);
        } else {
            status = stead_connect_failed(&request.connect, code, &answer);
            stead_request_hint(&request, client, code);
        }
    }
    stead_client_close(&client);
    stead_writer_deinit(&request.args);
    return status;
}
