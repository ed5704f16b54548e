/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connect: one client for the life of one command.
 *
 * A failure is told once, in one sentence that starts with what was asked of whom, and where there is something that
 * the user can do about it, in a second line. The codes that say "nobody was there" and "nobody knows" have exit codes
 * of their own, because scripts react to them differently: the first may be repeated, the second only with an
 * idempotency key.
 */
#include "cmd/connect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/json.h"
#include "cmd/parse.h"
#include "cmd/print.h"
#include "runtime/address.h"

#define DEFAULT_ENDPOINT "tcp://127.0.0.1:7400"
#define DEFAULT_TIMEOUT_MS 30000u
#define LOCATE_MS 1000u /* to ask who owns an agent that nobody serves */

static const struct argp_option connect_options[] = {
    {"node", 'n', "ENDPOINT", 0,
     "A node of the cluster, or several with commas between them. Default: $STEAD_NODE, else " DEFAULT_ENDPOINT, 90},
    {"timeout", 't', "TIME", 0,
     "Give up after this time, as 500ms, 5s or 2m; a bare number is milliseconds. Default: 30s", 90},
    {"json", 'j', NULL, 0, "Print JSON, for programs", 90},
    {0}};

static error_t parse_connect(int key, char *arg, struct argp_state *state)
{
    struct stead_connect *connect = state->input;
    uint64_t ms = 0;

    switch (key) {
    case 'n':
        connect->endpoints = arg;
        return 0;
    case 't':
        if (!stead_parse_duration(arg, UINT32_MAX, &ms) || ms == 0)
            argp_error(state, "--timeout %s: not a time; write 500ms, 5s or 2m", arg);
        connect->timeout_ms = (uint32_t)ms;
        return 0;
    case 'j':
        connect->json = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp stead_connect_argp = {connect_options, parse_connect, NULL, NULL, NULL, NULL, NULL};

/* What stead_connect_parse_one() fills. */
struct one_word {
    struct stead_connect *connect;
    const char *name, *question, *word;
};

static error_t parse_one(int key, char *arg, struct argp_state *state)
{
    struct one_word *it = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = it->connect;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0)
            argp_error(state, "one %s only", it->name);
        it->word = arg;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "%s", it->question);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

bool stead_connect_parse_one(int argc, char **argv, const char *name, const char *question, const char *doc,
                             struct stead_connect *ret_connect, const char **ret_word)
{
    static const struct argp_child children[] = {{&stead_connect_argp, 0, NULL, 0}, {0}};
    const struct argp argp = {NULL, parse_one, name, doc, children, NULL, NULL};
    struct one_word it = {.connect = ret_connect, .name = name, .question = question};

    if (argp_parse(&argp, argc, argv, 0, NULL, &it) != 0)
        return false;
    *ret_word = it.word;
    return true;
}

const char *stead_connect_endpoints(const struct stead_connect *connect)
{
    const char *environment = getenv("STEAD_NODE");

    if (connect->endpoints)
        return connect->endpoints;
    return environment && *environment ? environment : DEFAULT_ENDPOINT;
}

int stead_connect_open(const struct stead_connect *connect, struct stead_client **ret_client)
{
    const struct stead_client_options options = {.endpoints = stead_connect_endpoints(connect),
                                                 .timeout_ms = connect->timeout_ms};
    int code = stead_client_open(&options, ret_client);

    if (code == 0)
        return STEAD_EXIT_DONE;
    if (code == STEAD_EARGUMENT) {
        stead_complain("\"%s\" is not an endpoint: write tcp://HOST:PORT, several with commas between them",
                       options.endpoints);
        return STEAD_EXIT_USAGE;
    }
    stead_complain("%s", stead_error_sentence(code));
    return stead_exit_of(code);
}

struct stead_answer stead_connect_no_answer(void)
{
    return (struct stead_answer){.error_name = "", .error_sentence = "", .error_agent = "", .error_op = ""};
}

/* ---- Failures ------------------------------------------------------------------------------- */

static void print_error_json(int code, const struct stead_answer *answer)
{
    json_t *error = json_pack("{s:s,s:s,s:s,s:s,s:s}", "code", stead_error_name(code), "name",
                              answer && answer->error_name[0] ? answer->error_name : stead_error_name(code), "sentence",
                              answer && answer->error_sentence[0] ? answer->error_sentence : stead_error_sentence(code),
                              "agent", answer ? answer->error_agent : "", "op", answer ? answer->error_op : "");
    if (answer && answer->retry_after_ms)
        json_object_set_new(error, "retry_after_ms", json_integer(answer->retry_after_ms));
    json_t *document = json_pack("{s:o}", "error", error);
    stead_json_print(document, 0);
    json_decref(document);
}

/* The failure of an op or of the runtime, as "AGENT.OP: NAME: SENTENCE". */
static void complain_of_answer(int code, const struct stead_answer *answer)
{
    char *agent = stead_print_safe(stead_str(answer->error_agent));
    char *op = stead_print_safe(stead_str(answer->error_op));
    char *name = stead_print_safe(stead_str(answer->error_name[0] ? answer->error_name : stead_error_name(code)));
    char *sentence =
        stead_print_safe(stead_str(answer->error_sentence[0] ? answer->error_sentence : stead_error_sentence(code)));

    if (*agent && *op)
        stead_complain("%s %s: %s: %s", agent, op, name, sentence);
    else if (*agent)
        stead_complain("%s: %s: %s", agent, name, sentence);
    else
        stead_complain("%s: %s", name, sentence);
    if (answer->retry_after_ms)
        fprintf(stderr, "    try again in %u ms\n", answer->retry_after_ms);
    free(agent);
    free(op);
    free(name);
    free(sentence);
}

/* What another look finds. */
enum presence { REFUSED, SILENT, TOLD };

/* TOLD: some node answers, but not the one that owns the agent, which is named; or nobody may run its jobs. SILENT:
 * nobody answers, and nobody refuses. An empty address: no agent was asked. */
static enum presence look_around(const struct stead_connect *connect, const char *address, const char *safe)
{
    const struct stead_client_options options = {.endpoints = stead_connect_endpoints(connect),
                                                 .timeout_ms = LOCATE_MS};
    uint64_t begun_ns = stead_client_monotonic_ns();
    enum presence presence = REFUSED;
    struct stead_location where;
    struct stead_client *client;

    if (stead_client_open(&options, &client) != 0)
        return REFUSED;
    if (stead_client_locate(client, *address ? address : "agent/any", &where) == 0) {
        if (*address)
            stead_complain("node %s at %s owns %s and does not answer: is it down?", where.node, where.endpoint, safe);
        presence = *address ? TOLD : REFUSED;
    } else if (stead_client_monotonic_ns() - begun_ns >= LOCATE_MS * UINT64_C(1000000)) {
        presence = SILENT;
    } else if (*address && stead_client_locate(client, "agent/any", &where) == 0) {
        stead_complain("nobody serves %s: no node that is up owns it, or has the label that its kind needs", safe);
        presence = TOLD;
    }
    stead_client_close(&client);
    return presence;
}

/* Nobody was there: no node at all, or not the one that owns the agent. */
static void complain_of_absence(const struct stead_connect *connect, const struct stead_answer *answer)
{
    char *agent = stead_print_safe(stead_str(answer ? answer->error_agent : ""));
    enum presence presence = look_around(connect, answer ? answer->error_agent : "", agent);
    const char *silence = presence == SILENT ? ", and nothing refuses" : "";

    if (presence != TOLD && *agent)
        stead_complain("nobody serves %s: no node answers at %s%s", agent, stead_connect_endpoints(connect), silence);
    else if (presence != TOLD)
        stead_complain("no node answers at %s%s", stead_connect_endpoints(connect), silence);
    free(agent);
    if (presence == SILENT)
        fprintf(stderr, "    is it stopped or too busy, or its machine down? --timeout says how long to wait for it\n");
    else if (presence == REFUSED)
        fprintf(stderr, "    start one with `stead node`, or name one that runs with --node ENDPOINT or $STEAD_NODE\n");
}

int stead_connect_failed(const struct stead_connect *connect, int code, const struct stead_answer *answer)
{
    char text[STEAD_PRINT_SIZE];
    uint32_t timeout_ms = connect->timeout_ms ? connect->timeout_ms : DEFAULT_TIMEOUT_MS;

    if (connect->json)
        print_error_json(code, answer);
    if (code == STEAD_EUNAVAILABLE) {
        complain_of_absence(connect, answer);
    } else if (code == STEAD_ETIMEOUT) {
        stead_complain("no answer within %s: the outcome is unknown",
                       stead_print_duration((uint64_t)timeout_ms * 1000000u, text));
    } else if (answer) {
        complain_of_answer(code, answer);
    } else {
        stead_complain("%s: %s", stead_error_name(code), stead_error_sentence(code));
    }
    return stead_exit_of(code);
}

/* ---- Queries -------------------------------------------------------------------------------- */

/* Names the nodes whose part of a merged answer is not there. */
static void warn_of_missing(const json_t *answer)
{
    size_t index;
    json_t *name;

    json_array_foreach(json_object_get(answer, "missing"), index, name)
    {
        char *safe = stead_print_safe(stead_str(json_is_string(name) ? json_string_value(name) : "?"));
        stead_complain("node %s did not answer: its part is missing", safe);
        free(safe);
    }
}

int stead_connect_query(const struct stead_connect *connect, struct stead_client *client, const char *query,
                        json_t **ret_answer, const char *format, ...)
{
    struct stead_writer arguments;
    struct stead_answer answer = stead_connect_no_answer();
    va_list list;

    stead_writer_init(&arguments);
    va_start(list, format);
    stead_pack_v(&arguments, format, list);
    va_end(list);
    int code = stead_client_query(client, query, stead_written(&arguments), &answer);
    stead_writer_deinit(&arguments);
    int status = stead_exit_of(code);
    if (connect->goes_on && (status == STEAD_EXIT_UNREACHABLE || status == STEAD_EXIT_TIMED_OUT))
        return status;
    if (code != 0)
        return stead_connect_failed(connect, code, &answer);
    *ret_answer = stead_json_from_value(answer.value);
    warn_of_missing(*ret_answer);
    return STEAD_EXIT_DONE;
}

_Static_assert(STEAD_KEY_MAX == 512 && STEAD_KIND_NAME_MAX == 63, "the sentences below name them");

/* What is wrong with it, in the order in which it is read. */
static const char *fault_of_address(const char *address)
{
    const char *slash = strchr(address, '/');

    if (slash == NULL)
        return "there is no / between kind and key";
    if (!stead_name_check(stead_bytes(address, (size_t)(slash - address)), STEAD_KIND_NAME_MAX))
        return "a kind begins with a small letter, and has small letters, digits, _ . and -, at most 63";
    if (slash[1] == '\0')
        return "the key is empty";
    if (strlen(slash + 1) > STEAD_KEY_MAX)
        return "the key has more than 512 bytes";
    return "the key has control characters, or is not UTF-8";
}

bool stead_connect_check_address(const char *address)
{
    size_t kind_size = 0;

    if (stead_address_check(stead_str(address), &kind_size) == 0)
        return true;
    char *safe = stead_print_safe(stead_str(address));
    stead_complain("\"%s\" is not an address: %s: write KIND/KEY, as counter/alice", safe, fault_of_address(address));
    free(safe);
    return false;
}

/* ---- Reading answers ------------------------------------------------------------------------ */

const char *stead_json_member_text(const json_t *map, const char *name)
{
    const char *text = json_string_value(json_object_get(map, name));
    return text ? text : "";
}

int64_t stead_json_member_int(const json_t *map, const char *name)
{
    return json_integer_value(json_object_get(map, name));
}

bool stead_json_member_bool(const json_t *map, const char *name)
{
    return json_is_true(json_object_get(map, name));
}

void stead_json_print(const json_t *json, unsigned indent)
{
    char *text = stead_json_text(json, indent);
    puts(text);
    free(text);
}
