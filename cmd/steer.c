/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead terminate, suspend, resume, rewind, restart: each is one word to one instance, so they share one parser and
 * differ by a row of a table.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cmd/fabric.h"
#include "cmd/print.h"

/* One of the commands. */
struct steering {
    enum stead_instance_action action;
    const char *done; /* what is said when it is done */
    const char *doc;  /* argp's */
};

struct steer_options {
    struct stead_fabric fabric;
    const struct steering *steering;
    const char *id, *reason; /* ID [REASON] */
    bool only_asked;         /* a hub has it, and it has not happened */
};

#define ELSEWHERE " Without --fabric the instance is looked for on the direct fabric, then in hub main.\v"

static const struct steering terminate_it = {
    STEAD_INSTANCE_TERMINATE, "terminated",
    "Ends an instance now, with its children and running activities.\n"
    "\n"
    "Its code gets no chance to clean up. REASON is kept and shown by `stead status`." ELSEWHERE "Examples:\n"
    "  stead terminate order-17\n"
    "  stead terminate order-17 'the customer has cancelled'"};
static const struct steering suspend_it = {
    STEAD_INSTANCE_SUSPEND, "suspended",
    "Suspends an instance: results and events are kept, and its code does not run until it is resumed.\n"
    "\n"
    "What already runs goes on; timers that become due are kept too." ELSEWHERE "Examples:\n"
    "  stead suspend order-17\n"
    "  stead suspend order-17 'waiting for the new price list'"};
static const struct steering resume_it = {STEAD_INSTANCE_RESUME, "resumed",
                                          "Lets a suspended instance go on, with all that came meanwhile.\n"
                                          "\n"
                                          "REASON is kept in its history." ELSEWHERE "Examples:\n"
                                          "  stead resume order-17\n"
                                          "  stead resume order-17 'the price list is there'"};
static const struct steering rewind_it = {
    STEAD_INSTANCE_REWIND, "rewound",
    "Tries the failed steps of a failed instance again, and goes on from there.\n"
    "\n"
    "What succeeded is kept. Children that failed are rewound with it. What was\n"
    "locked where it failed is locked again first: it waits for who holds it, and\n"
    "what the code had read of it before may have changed." ELSEWHERE "Examples:\n"
    "  stead rewind order-17\n"
    "  stead rewind order-17 'the payment service is back'"};
static const struct steering restart_it = {STEAD_INSTANCE_RESTART, "restarted",
                                           "Begins an instance that is over anew, with the same id and input.\n"
                                           "\n"
                                           "Its history is forgotten." ELSEWHERE "Examples:\n"
                                           "  stead restart order-17\n"
                                           "  stead restart order-17 'with the mended module'"};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct steer_options *o = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->fabric;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 1)
            argp_error(state, "too many words: a REASON with spaces needs quotes around it");
        *(state->arg_num == 0 ? &o->id : &o->reason) = arg;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which instance? Write its ID");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int ask(void *context, struct stead_client *client, const struct stead_instance_options *options,
               struct stead_answer *ret_answer)
{
    struct steer_options *o = context;
    int code = stead_instance_steer(client, o->id, o->steering->action, o->reason, options, ret_answer);

    if (code != 0 || options->hub == NULL || stead_get_bool(ret_answer->value, "asked", &o->only_asked) != 0)
        o->only_asked = false;
    return code;
}

static void tell(const struct steer_options *o)
{
    char *safe = stead_print_safe(stead_str(o->id));

    if (o->fabric.connect.json && o->only_asked)
        printf("{\"%s\": false, \"asked\": true}\n", o->steering->done);
    else if (o->fabric.connect.json)
        printf("{\"%s\": true}\n", o->steering->done);
    else if (o->only_asked)
        printf("asked for: %s: it has not begun, and may begin before it is %s\n", safe, o->steering->done);
    else
        printf("%s: %s\n", o->steering->done, safe);
    free(safe);
}

static int steer(const struct steering *steering, int argc, char **argv)
{
    static const struct argp_child children[] = {{&stead_fabric_argp, 0, NULL, 0}, {0}};
    const struct argp argp = {NULL, parse, "ID [REASON]", steering->doc, children, NULL, NULL};
    struct steer_options o = {.steering = steering};
    struct stead_client *client = NULL;

    if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0 || !stead_fabric_check_id(o.id))
        return STEAD_EXIT_USAGE;
    int status = stead_connect_open(&o.fabric.connect, &client);
    if (status == STEAD_EXIT_DONE)
        status = stead_fabric_ask(&o.fabric, client, o.id, ask, &o);
    if (status == STEAD_EXIT_DONE)
        tell(&o);
    stead_client_close(&client);
    return status;
}

int stead_cmd_terminate(int argc, char **argv)
{
    return steer(&terminate_it, argc, argv);
}

int stead_cmd_suspend(int argc, char **argv)
{
    return steer(&suspend_it, argc, argv);
}

int stead_cmd_resume(int argc, char **argv)
{
    return steer(&resume_it, argc, argv);
}

int stead_cmd_rewind(int argc, char **argv)
{
    return steer(&rewind_it, argc, argv);
}

int stead_cmd_restart(int argc, char **argv)
{
    return steer(&restart_it, argc, argv);
}
