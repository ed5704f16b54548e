/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request: everything about a request that can be wrong on the command line is found before anything is sent: a usage
 * error has no effect.
 */
#include "cmd/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/json.h"
#include "cmd/near.h"
#include "cmd/parse.h"
#include "runtime/address.h"
#include "runtime/base.h"

#define HINT_WORDS_MAX 512u /* kinds or ops looked at for a near miss */

static const struct argp_option request_options[] = {
    {"key", 'k', "KEY", 0,
     "Idempotency key, up to 128 bytes: the same key has its effect once within 24 h, and gets the first answer", 10},
    {"class", 'c', "CLASS", 0, "When the answer may leave: volatile (at once: a crash may take it back) or durable",
     10},
    {"fence", 'f', "NUMBER", 0, "Fencing number of a lock held on the agent", 10},
    {0}};

static int parse_class(const char *text, enum stead_class *ret_class)
{
    static const char *const names[] = {"default", "volatile", "replicated", "durable", NULL};

    for (int i = 0; names[i]; i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret_class = (enum stead_class)i;
            return 0;
        }
    }
    return STEAD_EARGUMENT;
}

static error_t parse_request(int key, char *arg, struct argp_state *state)
{
    struct stead_request *request = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &request->connect;
        return 0;
    case 'k':
        if (strlen(arg) == 0 || strlen(arg) > 128)
            argp_error(state, "--key: 1 to 128 bytes");
        request->options.idempotency_key = arg;
        return 0;
    case 'c':
        if (parse_class(arg, &request->options.durability))
            argp_error(state, "--class %s: it is volatile, replicated or durable", arg);
        return 0;
    case 'f':
        if (!stead_parse_number(arg, 1, UINT64_MAX, &request->options.fence))
            argp_error(state, "--fence %s: not a number", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child request_children[] = {{&stead_connect_argp, 0, NULL, 0}, {0}};
const struct argp stead_request_argp = {request_options, parse_request, NULL, NULL, request_children, NULL, NULL};

error_t stead_request_parse_words(struct stead_request *request, int key, char *arg, struct argp_state *state)
{
    if (key == ARGP_KEY_ARG) {
        if (state->arg_num == 0)
            request->address = arg;
        else if (state->arg_num == 1)
            request->op = arg;
        else if (state->arg_num == 2)
            request->json = arg;
        else
            argp_error(state, "too many words: JSON with spaces needs single quotes around it");
        return 0;
    }
    if (key == ARGP_KEY_END && !request->op)
        argp_error(state, request->address ? "which op? Write ADDRESS OP [JSON]" : "write ADDRESS OP [JSON]");
    return ARGP_ERR_UNKNOWN;
}

/* The option of this key; of this name, or the last one that begins so, when there is a name. NULL: there is none. */
static const struct argp_option *find_option(const struct argp *argp, int key, const char *name)
{
    const struct argp_option *found = NULL;

    for (const struct argp_option *it = argp->options; it && (it->name || it->key); it++) {
        if (name ? it->name && strcmp(it->name, name) == 0 : it->key == key)
            return it;
        if (name && it->name && strncmp(it->name, name, strlen(name)) == 0)
            found = it;
    }
    for (const struct argp_child *child = argp->children; child && child->argp; child++) {
        const struct argp_option *inside = find_option(child->argp, key, name);
        if (inside && name && strcmp(inside->name, name) == 0)
            return inside;
        found = inside ? inside : found;
    }
    return found;
}

/* Is the word an option whose value is the next word? */
static bool takes_next(const struct argp *argp, const char *word)
{
    if (word[0] != '-' || word[1] == '\0')
        return false;
    if (word[1] == '-') {
        const struct argp_option *option = strchr(word, '=') ? NULL : find_option(argp, 0, word + 2);
        return option && option->arg;
    }
    for (word++; *word; word++) { /* letters in one word: the first that takes a value takes the rest of the word */
        const struct argp_option *option = find_option(argp, *word, NULL);
        if (!option || option->arg)
            return option && word[1] == '\0';
    }
    return false;
}

int stead_request_guard_numbers(const struct argp *argp, int argc, char **argv, char **ret_argv)
{
    char **words = stead_alloc(((size_t)argc + 1) * sizeof *words); /* those that are moved */
    int plain = 0, numbers = 0;

    for (int i = 0; i < argc; i++) {
        if (i > 0 && strcmp(argv[i], "--") == 0) { /* the user took care */
            memcpy(ret_argv, argv, ((size_t)argc + 1) * sizeof *argv);
            free(words);
            return argc;
        }
        if (i > 0 && argv[i][0] == '-' && argv[i][1] >= '0' && argv[i][1] <= '9') {
            words[numbers++] = argv[i];
            continue;
        }
        ret_argv[plain++] = argv[i];
        if (i > 0 && i + 1 < argc && takes_next(argp, argv[i]))
            ret_argv[plain++] = argv[++i];
    }
    if (numbers > 0)
        ret_argv[plain++] = (char *)(uintptr_t) "--";
    memcpy(ret_argv + plain, words, (size_t)numbers * sizeof *words);
    free(words);
    ret_argv[plain + numbers] = NULL;
    return plain + numbers;
}

int stead_request_parse(const struct argp *argp, int argc, char **argv, struct stead_request *request)
{
    struct stead_json_error error;
    char **guarded = stead_alloc(((size_t)argc + 2) * sizeof *guarded);

    memset(request, 0, sizeof *request);
    stead_writer_init(&request->args);
    argc = stead_request_guard_numbers(argp, argc, argv, guarded);
    error_t parsed = argp_parse(argp, argc, guarded, 0, NULL, request);
    free(guarded);
    if (parsed != 0 || !stead_connect_check_address(request->address))
        return STEAD_EXIT_USAGE;
    if (!stead_op_name_check(stead_str(request->op))) {
        stead_complain("\"%s\" is not the name of an op: small letters, digits, _ . and -, at most %d", request->op,
                       STEAD_OP_NAME_MAX);
        return STEAD_EXIT_USAGE;
    }
    if (stead_json_argument(request->json, &request->args, &error) != 0) {
        stead_json_complain(&error);
        return STEAD_EXIT_USAGE;
    }
    request->options.timeout_ms = request->connect.timeout_ms;
    return STEAD_EXIT_DONE;
}

/* ---- Hints ---------------------------------------------------------------------------------- */

/* Collects the names of all nodes' kinds, or of the ops of one of them; how many. Borrowed from `status`. */
static size_t collect_names(const json_t *status, const char *ops_of, const char **ret_names)
{
    size_t n, k, o, count = 0;
    json_t *node, *kind, *op;

    json_array_foreach(json_object_get(status, "nodes"), n, node)
    {
        json_array_foreach(json_object_get(node, "kinds"), k, kind)
        {
            const char *name = stead_json_member_text(kind, "name");
            if (!ops_of && count < HINT_WORDS_MAX)
                ret_names[count++] = name;
            if (!ops_of || strcmp(ops_of, name) != 0)
                continue;
            json_array_foreach(json_object_get(kind, "ops"), o, op)
            {
                if (count < HINT_WORDS_MAX)
                    ret_names[count++] = stead_json_member_text(op, "name");
            }
            ret_names[count] = NULL;
            return count; /* the nodes' kinds of one name are the same */
        }
    }
    ret_names[count] = NULL;
    return count;
}

void stead_request_hint(const struct stead_request *request, struct stead_client *client, int code)
{
    const char *names[HINT_WORDS_MAX + 1];
    char kind[STEAD_KIND_NAME_MAX + 1];
    size_t kind_size = strcspn(request->address, "/");
    struct stead_answer answer = stead_connect_no_answer();

    if ((code != STEAD_EKIND && code != STEAD_EOP) || kind_size > STEAD_KIND_NAME_MAX ||
        stead_client_query(client, "status", stead_bytes(NULL, 0), &answer) != 0)
        return;
    snprintf(kind, sizeof kind, "%.*s", (int)kind_size, request->address);
    json_t *status = stead_json_from_value(answer.value);
    size_t count = collect_names(status, code == STEAD_EOP ? kind : NULL, names);
    const char *near = stead_near_find(code == STEAD_EOP ? request->op : kind, names);
    if (near && code == STEAD_EOP)
        fprintf(stderr, "    did you mean the op \"%s\"?\n", near);
    else if (near)
        fprintf(stderr, "    did you mean the kind \"%s\"?\n", near);
    else if (count == 0 && code == STEAD_EKIND)
        fprintf(stderr, "    no kinds are loaded: start the nodes with --module FILE.so\n");
    json_decref(status);
}
