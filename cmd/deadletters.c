/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead deadletters: signals whose op failed, kept with their agent until somebody decides. A letter is named by its
 * agent and its number there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/connect.h"
#include "cmd/json.h"
#include "cmd/near.h"
#include "cmd/parse.h"
#include "cmd/print.h"

struct letters_options {
    struct stead_connect connect;
    const char *address; /* NULL: of all agents */
    const char *action;  /* list, retry or drop */
    uint64_t id;         /* of the letter to retry or drop */
    uint64_t limit;      /* letters listed */
};

static const char doc[] =
    "Lists signals that an op refused, and retries or drops them.\n"
    "\n"
    "A signal whose op fails is kept with its agent. `retry` puts it back into the agent's mailbox, "
    "`drop` forgets it; ID is the number in the list.\v"
    "Examples:\n"
    "  stead deadletters\n"
    "  stead deadletters account/bob\n"
    "  stead deadletters account/bob retry 3\n"
    "  stead deadletters account/bob drop 4\n"
    "\n"
    "With --json, one line a letter: {\"id\", \"address\", \"op\", \"from\", \"args\", \"error\", \"time_ms\"}.";

static const struct argp_option options[] = {{"limit", 'l', "COUNT", 0, "At most so many. Default: 100", 10}, {0}};

static void take_action(struct letters_options *o, const char *word, struct argp_state *state)
{
    static const char *const actions[] = {"retry", "drop", "list", NULL};
    const char *near = stead_near_find(word, actions);

    for (size_t i = 0; actions[i]; i++) {
        if (strcmp(word, actions[i]) == 0) {
            o->action = actions[i];
            return;
        }
    }
    if (near)
        argp_error(state, "\"%s\": did you mean \"%s\"?", word, near);
    argp_error(state, "\"%s\": write retry ID or drop ID", word);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct letters_options *o = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->connect;
        return 0;
    case 'l':
        if (!stead_parse_number(arg, 1, 10000, &o->limit))
            argp_error(state, "--limit %s: a number from 1 to 10,000", arg);
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num == 0)
            o->address = arg;
        else if (state->arg_num == 1)
            take_action(o, arg, state);
        else if (state->arg_num > 2 || !stead_parse_number(arg, 0, UINT64_MAX, &o->id))
            argp_error(state, "\"%s\": the number of one letter comes here", arg);
        return 0;
    case ARGP_KEY_END:
        if (strcmp(o->action, "list") != 0 && state->arg_num != 3)
            argp_error(state, "%s which letter? Write its ID", o->action);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void print_letters(const json_t *letters)
{
    static const char *const titles[] = {">ID", "TIME", "AGENT", "OP", "FROM", "ERROR", "ARGUMENT", NULL};
    struct stead_columns *columns = stead_columns_create(titles);
    size_t index;
    json_t *letter;

    json_array_foreach(letters, index, letter)
    {
        char time[STEAD_PRINT_SIZE];
        const json_t *error = json_object_get(letter, "error"), *args = json_object_get(letter, "args");
        const char *from = stead_json_member_text(letter, "from");
        char *text = args && !json_is_null(args) ? stead_json_text(args, 0) : NULL;

        stead_columns_add(columns, "%lld", (long long)stead_json_member_int(letter, "id"));
        stead_columns_add(columns, "%s", stead_print_time((uint64_t)stead_json_member_int(letter, "time_ms"), time));
        stead_columns_add(columns, "%s", stead_json_member_text(letter, "address"));
        stead_columns_add(columns, "%s", stead_json_member_text(letter, "op"));
        stead_columns_add(columns, "%s", strcmp(from, "timer") == 0 ? "a timer" : *from ? from : "a client");
        stead_columns_add(columns, "%s: %s", stead_json_member_text(error, "name"),
                          stead_json_member_text(error, "sentence"));
        stead_columns_add(columns, "%.200s", text ? text : "");
        free(text);
    }
    stead_columns_print(columns, stdout, stead_print_is_fancy(stdout));
    stead_columns_destroy(&columns);
}

static void print_answer(const struct letters_options *o, const json_t *answer)
{
    const json_t *letters = json_object_get(answer, "letters");
    size_t index;
    json_t *letter;

    if (o->connect.json) {
        json_array_foreach(letters, index, letter)
        {
            stead_json_print(letter, 0);
        }
    } else if (json_array_size(letters) == 0) {
        fprintf(stderr, "no dead letters\n");
    } else if (strcmp(o->action, "list") != 0) {
        printf("%s: letter %llu of %s\n", strcmp(o->action, "retry") == 0 ? "back in the mailbox" : "dropped",
               (unsigned long long)o->id, o->address);
    } else {
        print_letters(letters);
    }
}

int stead_cmd_deadletters(int argc, char **argv)
{
    static const struct argp_child children[] = {{&stead_connect_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {options, parse, "[ADDRESS [retry ID|drop ID]]", doc, children, NULL, NULL};
    struct letters_options o = {.action = "list", .limit = 100};
    struct stead_client *client = NULL;
    json_t *answer = NULL;

    if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0 || (o.address && !stead_connect_check_address(o.address)))
        return STEAD_EXIT_USAGE;
    int status = stead_connect_open(&o.connect, &client);
    if (status == STEAD_EXIT_DONE && o.address)
        status = stead_connect_query(&o.connect, client, "deadletters", &answer, "{s:s,s:s,s:u,s:u}", "address",
                                     o.address, "action", o.action, "id", o.id, "limit", o.limit);
    else if (status == STEAD_EXIT_DONE)
        status = stead_connect_query(&o.connect, client, "deadletters", &answer, "{s:s,s:u}", "action", o.action,
                                     "limit", o.limit);
    if (status == STEAD_EXIT_DONE)
        print_answer(&o, answer);
    json_decref(answer);
    stead_client_close(&client);
    return status;
}
