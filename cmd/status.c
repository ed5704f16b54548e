/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead status: one instance, with its input and what came of it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cmd/fabric.h"
#include "cmd/instance_text.h"
#include "cmd/json.h"
#include "cmd/print.h"

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
    "\"events\", \"parent\", \"input\", \"output\", \"custom\", \"error\", \"tasks\"}; what it has not is null.\n"
    "\"tasks\" (direct fabric, while the instance is in memory): [{\"id\", \"type\", \"name\", \"target\", "
    "\"attempt\", "
    "\"beat\", \"details\"}...], the first 100: what it waits for, and when and what its activity last said by a "
    "heartbeat.";

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

/* One line for each open task. */
static void print_task(const json_t *task)
{
    const char *name = stead_json_member_text(task, "name"), *target = stead_json_member_text(task, "target");
    int64_t beat_ms = stead_json_member_int(task, "beat");
    char time[STEAD_PRINT_SIZE];

    printf("%-10s %lld %s%s%s%s%s, attempt %lld", "waits for", (long long)stead_json_member_int(task, "id"),
           stead_json_member_text(task, "type"), *target ? " " : "", target, *name ? " " : "", name,
           (long long)stead_json_member_int(task, "attempt"));
    if (beat_ms > 0) {
        char *details = stead_json_text(json_object_get(task, "details"), 0);
        printf(", heartbeat %s %s", stead_print_time((uint64_t)beat_ms, time), details);
        free(details);
    }
    printf("\n");
}

/* What it waits for; NULL when that is not known: on a hub, and of an instance that is not in memory. */
static json_t *ask_tasks(struct stead_client *client, const struct status_options *o)
{
    char address[sizeof("orchestration/") + STEAD_INSTANCE_ID_MAX];
    struct stead_answer answer;
    bool known = false;

    snprintf(address, sizeof(address), "orchestration/%s", o->id);
    if (o->fabric.hub || stead_client_call(client, address, "tasks", stead_bytes("\x80", 1), NULL, &answer) != 0 ||
        stead_get_bool(answer.value, "known", &known) != 0 || !known)
        return NULL;
    json_t *all = stead_json_from_value(answer.value);
    json_t *tasks = json_incref(json_object_get(all, "tasks"));
    json_decref(all);
    return tasks;
}

/* With what it waits for, as far as that is known. */
static void show(struct stead_client *client, const struct status_options *o, const struct stead_instance *instance)
{
    json_t *json = stead_instance_json(instance), *tasks, *task;
    size_t i;

    if (!o->fabric.connect.json)
        stead_instance_print(instance, stdout);
    tasks = ask_tasks(client, o); /* what `instance` has borrowed is gone */
    if (!o->fabric.connect.json) {
        json_array_foreach(tasks, i, task) print_task(task);
    } else {
        json_object_set(json, "tasks", tasks ? tasks : json_null());
        stead_json_print(json, 0);
    }
    json_decref(tasks);
    json_decref(json);
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
    if (status == STEAD_EXIT_DONE)
        show(client, &o, &asking.instance);
    stead_client_close(&client);
    return status;
}
