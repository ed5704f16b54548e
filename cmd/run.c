/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead run: starts an orchestration. Its id is said as soon as the start is committed; with --wait the command stays
 * until the instance is over, whatever happens to nodes meanwhile.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agents/instance.h"
#include "cmd/fabric.h"
#include "cmd/instance_text.h"
#include "cmd/json.h"
#include "cmd/near.h"
#include "cmd/parse.h"
#include "cmd/print.h"
#include "cmd/request.h"
#include "runtime/base.h"

#define WAIT_MS_MAX (12u * 3600 * 1000) /* without --timeout: half of what a session lasts; then it asks anew */
#define HINT_WORDS_MAX 512u
#define HINT_MS 1000u /* for a look that only helps */

struct run_options {
    struct stead_fabric fabric;
    struct stead_instance_options start; /* --id, --version, --replace, --delay */
    const char *name, *json;             /* NAME [JSON] */
    bool wait;                           /* until it is over */
};

static const char doc[] =
    "Starts an orchestration and prints the id of the instance.\n"
    "\n"
    "NAME is an orchestrator of a module that is loaded; JSON is its input: the text itself, @FILE, or - for stdin. "
    "With --wait the command stays "
    "until the instance is over and prints its output; exit code 1 means that it failed or was terminated. "
    "Without --timeout it waits as long as it takes.\v"
    "Examples:\n"
    "  stead run trip '{\"from\": \"HAM\", \"to\": \"LIS\"}' --wait\n"
    "  stead run trip @order.json --id order-17\n"
    "  stead run report --delay 10m --version 2\n"
    "  stead run trip --fabric hub --wait --json\n"
    "\n"
    "With --json: {\"id\"}; with --wait what `stead status --json` prints.";

static const struct argp_option options[] = {
    {"id", 'i', "ID", 0, "Of the instance; active ids are refused. Default: 32 random hexadecimal digits", 10},
    {"version", 'v', "NUMBER", 0, "Of the orchestrator. Default: the highest that is loaded", 10},
    {"wait", 'w', NULL, 0, "Until it is over; print its output", 10},
    {"replace", 'r', NULL, 0, "An active instance of this id is terminated first", 10},
    {"delay", 'd', "TIME", 0, "Begin so much later, as 500ms, 10m or 2h", 10},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct run_options *o = state->input;
    uint64_t number = 0;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->fabric;
        return 0;
    case 'i':
        o->start.id = arg;
        return 0;
    case 'v':
        if (!stead_parse_number(arg, 1, UINT32_MAX, &number))
            argp_error(state, "--version %s: not a number above 0", arg);
        o->start.version = (uint32_t)number;
        return 0;
    case 'w':
        o->wait = true;
        return 0;
    case 'r':
        o->start.replace = true;
        return 0;
    case 'd':
        if (!stead_parse_duration(arg, INT64_MAX, &number))
            argp_error(state, "--delay %s: not a time; write 500ms, 10m or 2h", arg);
        o->start.delay_ms = (int64_t)number;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 1)
            argp_error(state, "too many words: JSON with spaces needs single quotes around it");
        *(state->arg_num == 0 ? &o->name : &o->json) = arg;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which orchestrator? Write NAME [JSON]");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&stead_fabric_argp, 0, NULL, 0}, {0}};
static const struct argp argp = {options, parse, "NAME [JSON]", doc, children, NULL, NULL};

static bool is_loaded(const char *const *names, const char *name)
{
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

/* Nobody runs it yet: says so when no node has an orchestrator of this name, with the nearest that one has. */
static void hint_at_near(struct stead_client *client, const char *name)
{
    const char *names[HINT_WORDS_MAX + 1];
    struct stead_answer answer = stead_connect_no_answer();
    size_t count = 0, n, k;
    json_t *node, *orchestrator;

    if (stead_client_query(client, "status", stead_bytes(NULL, 0), &answer) != 0)
        return;
    json_t *status = stead_json_from_value(answer.value);
    json_array_foreach(json_object_get(status, "nodes"), n, node)
    {
        json_array_foreach(json_object_get(node, "orchestrators"), k, orchestrator)
        {
            if (count < HINT_WORDS_MAX)
                names[count++] = stead_json_member_text(orchestrator, "name");
        }
    }
    names[count] = NULL;
    if (!is_loaded(names, name)) {
        const char *near = stead_near_find(name, names);
        stead_complain("no node has an orchestrator \"%s\": it waits for one", name);
        if (near)
            fprintf(stderr, "    did you mean \"%s\"?\n", near);
        else if (count == 0)
            fprintf(stderr, "    no orchestrators are loaded: start the nodes with --module FILE.so\n");
    }
    json_decref(status);
}

/* An instance that nobody can run waits for code: whoever mistyped a name should hear of it. */
static void look_for_code(const struct run_options *o, struct stead_client *client, const char *id)
{
    const struct stead_instance_options where = {.hub = o->fabric.hub, .timeout_ms = HINT_MS};
    struct stead_instance instance;

    if (o->start.delay_ms == 0 && stead_instance_status_of(client, id, &where, &instance, NULL) == 0 &&
        instance.status == STEAD_INSTANCE_PENDING)
        hint_at_near(client, o->name);
}

/* The end of an instance: its output, or why there is none. */
static int print_end(const struct run_options *o, const struct stead_instance *instance)
{
    bool completed = instance->status == STEAD_INSTANCE_COMPLETED;

    if (o->fabric.connect.json) {
        json_t *json = stead_instance_json(instance);
        stead_json_print(json, 0);
        json_decref(json);
    } else if (completed) {
        json_t *output = stead_json_from_value(instance->output);
        stead_json_print(output, isatty(STDOUT_FILENO) ? 2 : 0);
        json_decref(output);
    }
    if (completed)
        return STEAD_EXIT_DONE;
    char *name = stead_print_safe(stead_str(instance->error_name));
    char *sentence = stead_print_safe(stead_str(instance->error_sentence));
    stead_complain("%s: %s%s%s%s%s", instance->id, stead_instance_status_name(instance->status), *name ? ": " : "",
                   name, *sentence ? ": " : "", sentence);
    free(name);
    free(sentence);
    return STEAD_EXIT_FAILED;
}

/* Until it is over: for ever without --timeout, across restarts of nodes. */
static int wait_for_end(const struct run_options *o, struct stead_client *client, const char *id)
{
    const struct stead_connect *connect = &o->fabric.connect;
    const struct stead_instance_options wait = {.hub = o->fabric.hub,
                                                .timeout_ms = connect->timeout_ms ? connect->timeout_ms : WAIT_MS_MAX};
    struct stead_instance instance;
    struct stead_answer answer = stead_connect_no_answer();
    int code;

    do
        code = stead_instance_wait(client, id, &wait, &instance, &answer);
    while (code == STEAD_ETIMEOUT && !connect->timeout_ms);
    if (code == STEAD_ETIMEOUT) {
        stead_complain("%s is not over yet: it goes on", id);
        return STEAD_EXIT_TIMED_OUT;
    }
    return code == 0 ? print_end(o, &instance) : stead_connect_failed(connect, code, &answer);
}

static int start(struct run_options *o, struct stead_client *client, struct stead_slice input)
{
    char id[STEAD_INSTANCE_ID_MAX + 1];
    struct stead_answer answer = stead_connect_no_answer();

    o->start.hub = o->fabric.hub;
    int code = stead_instance_start(client, o->name, input, &o->start, id, &answer);
    if (code != 0) {
        int status = stead_connect_failed(&o->fabric.connect, code, &answer);
        if (code == STEAD_ECONFLICT)
            fprintf(stderr, "    --replace terminates it first; `stead status %s` shows it\n", o->start.id);
        return status;
    }
    char *safe = stead_print_safe(stead_str(id));
    if (o->wait)
        fprintf(stderr, "started %s\n", safe);
    else if (!o->fabric.connect.json)
        puts(safe);
    free(safe);
    if (!o->wait && o->fabric.connect.json) {
        json_t *json = json_pack("{s:s}", "id", id);
        stead_json_print(json, 0);
        json_decref(json);
    }
    look_for_code(o, client, id);
    return o->wait ? wait_for_end(o, client, id) : STEAD_EXIT_DONE;
}

int stead_cmd_run(int argc, char **argv)
{
    struct run_options o = {.name = NULL};
    struct stead_client *client = NULL;
    struct stead_writer input;
    struct stead_json_error error;
    char **guarded = stead_alloc(((size_t)argc + 2) * sizeof(*guarded));

    argp_program_version = NULL; /* --version is the orchestrator's here */
    argc = stead_request_guard_numbers(&argp, argc, argv, guarded);
    error_t parsed = argp_parse(&argp, argc, guarded, 0, NULL, &o);
    free(guarded);
    if (parsed == 0 && !stead_orchestrator_name_check(o.name)) {
        stead_complain("\"%s\" is not the name of an orchestrator: small letters, digits, _ . and -, at most %d",
                       o.name, STEAD_KIND_NAME_MAX);
        return STEAD_EXIT_USAGE;
    }
    if (parsed != 0 || (o.start.id && !stead_fabric_check_id(o.start.id)))
        return STEAD_EXIT_USAGE;
    stead_writer_init(&input);
    if (stead_json_argument(o.json, &input, &error) != 0) {
        stead_json_complain(&error);
        return STEAD_EXIT_USAGE;
    }
    int status = stead_connect_open(&o.fabric.connect, &client);
    if (status == STEAD_EXIT_DONE)
        status = start(&o, client, stead_written(&input));
    stead_client_close(&client);
    stead_writer_deinit(&input);
    return status;
}
