/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead coordinator: the coordinator's process, in the foreground. Rarely typed by hand: `stead node` and `stead up`
 * start it.
 */
#include <argp.h>
#include <stdio.h>

#include "cmd/cmd.h"
#include "cmd/parse.h"
#include "node/coordinator_server.h"

#define KEY_INSECURE 1000 /* argp key of an option without a letter */
#define KEY_IDLE_EXIT 1001

static const char doc[] = "Runs the coordinator: the small store of which node owns what. It ends with SIGTERM.\n"
                          "\n"
                          "`stead node` starts one on its data folder by itself and `stead up` does too; start it by "
                          "hand to run the nodes of one cluster "
                          "from several places. It may be killed at any time and comes back with the same state.\v"
                          "Examples:\n"
                          "  stead coordinator --folder ./coord --listen tcp://127.0.0.1:7399 --nodes 3";

static const struct argp_option options[] = {
    {"folder", 'd', "DIR", 0, "Data folder of the coordinator; made when missing. Required", 10},
    {"listen", 'l', "ENDPOINT", 0, "As tcp://127.0.0.1:7399. Default: where it listened before, or any free port", 10},
    {"nodes", 'n', "COUNT", 0, "A new cluster is formed when so many nodes have registered. Default: 1", 10},
    {"idle-exit-s", KEY_IDLE_EXIT, "SECONDS", 0, "End when no node was heard from for so long. Default: never", 10},
    {"insecure-listen-anywhere", KEY_INSECURE, NULL, 0,
     "Allow an endpoint beyond loopback: anybody who reaches it can change the cluster", 10},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct stead_coordinator_server_options *o = state->input;
    uint64_t number = 0;

    switch (key) {
    case 'd':
        o->folder = arg;
        return 0;
    case 'l':
        o->endpoint = arg;
        return 0;
    case 'n':
        if (!stead_parse_number(arg, 1, 256, &number))
            argp_error(state, "--nodes %s: a number from 1 to 256", arg);
        o->nodes_expected = (uint32_t)number;
        return 0;
    case KEY_IDLE_EXIT:
        if (!stead_parse_number(arg, 0, UINT32_MAX, &number))
            argp_error(state, "--idle-exit-s %s: not a number of seconds", arg);
        o->idle_exit_s = (uint32_t)number;
        return 0;
    case KEY_INSECURE:
        o->insecure_listen_anywhere = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected word \"%s\"", arg);
        return 0;
    case ARGP_KEY_END:
        if (!o->folder)
            argp_error(state, "--folder DIR is required");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void print_ready(void *context, const char *endpoint)
{
    (void)context;
    printf("coordinator at %s\n", endpoint);
    fflush(stdout);
}

int stead_cmd_coordinator(int argc, char **argv)
{
    static const struct argp argp = {options, parse, NULL, doc, NULL, NULL, NULL};
    struct stead_coordinator_server_options o = {.stop_fd = -1, .ready = print_ready};
    char why[STEAD_COORDINATOR_SERVER_WHY_SIZE] = "";

    if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
        return STEAD_EXIT_USAGE;
    int code = stead_coordinator_server_run(&o, why);
    if (code == 0)
        return STEAD_EXIT_DONE;
    stead_complain("%s", why[0] ? why : stead_error_sentence(code));
    return code == STEAD_EARGUMENT ? STEAD_EXIT_USAGE : STEAD_EXIT_FAILED;
}
