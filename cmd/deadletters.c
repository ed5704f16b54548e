/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead deadletters: signals whose op failed, kept with their agent until somebody decides. A letter is named by its
 * agent and its number there. The cluster answers in pages of some megabytes; this command turns them until the limit
 * (with --json each page is printed as it comes).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/connect.h"
#include "cmd/json.h"
#include "cmd/near.h"
#include "cmd/parse.h"
#include "cmd/print.h"

#define PAGE_LETTERS 1000u /* asked for at once */

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
    "With --json, one line a letter: {\"id\", \"address\", \"op\", \"from\", \"args\", \"error\", \"time_ms\", "
    "\"slot\"}. Of an argument above 16 MiB only the size is told, as \"omitted\".";

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
        if (!stead_parse_number(arg, 1, UINT64_MAX, &o->limit))
            argp_error(state, "--limit %s: not a number above 0", arg);
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

/* One row; an argument that is too large for an answer is told by its size. */
static void add_letter(struct stead_columns *columns, const json_t *letter)
{
    char time[STEAD_PRINT_SIZE], size[STEAD_PRINT_SIZE];
    const json_t *error = json_object_get(letter, "error"), *args = json_object_get(letter, "args");
    const char *from = stead_json_member_text(letter, "from");
    uint64_t omitted = (uint64_t)stead_json_member_int(letter, "omitted");
    char *text = args && !json_is_null(args) ? stead_json_text(args, 0) : NULL;

    stead_columns_add(columns, "%lld", (long long)stead_json_member_int(letter, "id"));
    stead_columns_add(columns, "%s", stead_print_time((uint64_t)stead_json_member_int(letter, "time_ms"), time));
    stead_columns_add(columns, "%s", stead_json_member_text(letter, "address"));
    stead_columns_add(columns, "%s", stead_json_member_text(letter, "op"));
    stead_columns_add(columns, "%s", strcmp(from, "timer") == 0 ? "a timer" : *from ? from : "a client");
    stead_columns_add(columns, "%s: %s", stead_json_member_text(error, "name"),
                      stead_json_member_text(error, "sentence"));
    if (omitted > 0)
        stead_columns_add(columns, "(%s)", stead_print_size(omitted, size));
    else
        stead_columns_add(columns, "%.200s", text ? text : "");
    free(text);
}

/* ---- Pages ---------------------------------------------------------------------------------- */

/* One page of the list, behind `after` (nil: the first). */
static int ask_page(const struct letters_options *o, struct stead_client *client, uint64_t limit,
                    struct stead_slice after, json_t **ret_page)
{
    if (limit > PAGE_LETTERS)
        limit = PAGE_LETTERS;
    if (o->address)
        return stead_connect_query(&o->connect, client, "deadletters", ret_page, "{s:s,s:u,s:v}", "address", o->address,
                                   "limit", limit, "after", after);
    return stead_connect_query(&o->connect, client, "deadletters", ret_page, "{s:u,s:v}", "limit", limit, "after",
                               after);
}

/* The page's `next`, as it came, for the next one's `after`. False: there is none. */
static bool take_next(const json_t *page, struct stead_writer *after)
{
    const json_t *next = json_object_get(page, "next");
    struct stead_json_error error;

    if (!next || json_is_null(next))
        return false;
    char *text = stead_json_text(next, 0);
    stead_writer_reset(after);
    int code = stead_json_to_value(stead_str(text), after, &error);
    free(text);
    return code == 0;
}

static int list_letters(const struct letters_options *o, struct stead_client *client)
{
    static const char *const titles[] = {">ID", "TIME", "AGENT", "OP", "FROM", "ERROR", "ARGUMENT", NULL};
    struct stead_columns *columns = stead_columns_create(titles);
    struct stead_writer after;
    uint64_t left = o->limit;
    bool more = true;
    int status = STEAD_EXIT_DONE;

    stead_writer_init(&after);
    while (more && left > 0) {
        json_t *page = NULL, *letter;
        size_t index;

        status = ask_page(o, client, left, stead_written(&after), &page);
        if (status != STEAD_EXIT_DONE)
            break;
        json_array_foreach(json_object_get(page, "letters"), index, letter)
        {
            left -= left > 0;
            if (o->connect.json)
                stead_json_print(letter, 0);
            else
                add_letter(columns, letter);
        }
        more = take_next(page, &after);
        json_decref(page);
    }
    if (stead_columns_rows(columns) > 0)
        stead_columns_print(columns, stdout, stead_print_is_fancy(stdout));
    else if (status == STEAD_EXIT_DONE && !o->connect.json)
        fprintf(stderr, "no dead letters\n");
    if (status == STEAD_EXIT_DONE && more && !o->connect.json)
        fprintf(stderr, "there are more: --limit COUNT\n");
    stead_columns_destroy(&columns);
    stead_writer_deinit(&after);
    return status;
}

/* ---- One letter ----------------------------------------------------------------------------- */

static int act(const struct letters_options *o, struct stead_client *client)
{
    json_t *answer = NULL, *letter;
    size_t index;
    int status = stead_connect_query(&o->connect, client, "deadletters", &answer, "{s:s,s:s,s:u}", "address",
                                     o->address, "action", o->action, "id", o->id);

    json_array_foreach(json_object_get(answer, "letters"), index, letter)
    {
        if (o->connect.json)
            stead_json_print(letter, 0);
        else
            printf("%s: letter %llu of %s\n", strcmp(o->action, "retry") == 0 ? "back in the mailbox" : "dropped",
                   (unsigned long long)o->id, o->address);
    }
    json_decref(answer);
    return status;
}

int stead_cmd_deadletters(int argc, char **argv)
{
    static const struct argp_child children[] = {{&stead_connect_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {options, parse, "[ADDRESS [retry ID|drop ID]]", doc, children, NULL, NULL};
    struct letters_options o = {.action = "list", .limit = 100};
    struct stead_client *client = NULL;

    if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0 || (o.address && !stead_connect_check_address(o.address)))
        return STEAD_EXIT_USAGE;
    int status = stead_connect_open(&o.connect, &client);
    if (status == STEAD_EXIT_DONE)
        status = strcmp(o.action, "list") == 0 ? list_letters(&o, client) : act(&o, client);
    stead_client_close(&client);
    return status;
}
