/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead down: stops what `stead up` started. Nothing acknowledged is lost, and the folders stay.
 */
#include <argp.h>
#include <stdio.h>

#include "cmd/cmd.h"
#include "cmd/parse.h"
#include "node/local_cluster.h"

struct down_options {
    const char *folder;  /* of the cluster */
    uint64_t timeout_ms; /* then KILL; 0: the default */
    bool json;           /* for programs */
};

static const char doc[] = "Stops the nodes and the coordinator that `stead up` started. Their data stays.\n"
                          "\v"
                          "Examples:\n"
                          "  stead down\n"
                          "  stead down --folder ./bank";

static const struct argp_option options[] = {
    {"folder", 'd', "DIR", 0, "Folder of the cluster. Default: ./stead-cluster", 10},
    {"timeout", 't', "TIME", 0, "Kill what has not ended after this time, as 10s. Default: 15s", 10},
    {"json", 'j', NULL, 0, "Print JSON, for programs", 90},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct down_options *o = state->input;

    switch (key) {
    case 'd':
        o->folder = arg;
        return 0;
    case 't':
        if (!stead_parse_duration(arg, UINT32_MAX, &o->timeout_ms))
            argp_error(state, "--timeout %s: not a time; write 10s", arg);
        return 0;
    case 'j':
        o->json = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected word \"%s\"", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int stead_cmd_down(int argc, char **argv)
{
    static const struct argp argp = {options, parse, NULL, doc, NULL, NULL, NULL};
    struct down_options o = {.folder = "./stead-cluster"};
    uint32_t stopped = 0;
    char why[STEAD_LOCAL_CLUSTER_WHY_SIZE] = "";

    if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
        return STEAD_EXIT_USAGE;
    int code = stead_local_cluster_down(o.folder, (uint32_t)o.timeout_ms, &stopped, why);
    if (code != 0) {
        stead_complain("%s", why[0] ? why : stead_error_sentence(code));
        return STEAD_EXIT_FAILED;
    }
    printf(o.json ? "{\"stopped\": %u}\n" : "%u processes stopped\n", stopped);
    return STEAD_EXIT_DONE;
}
