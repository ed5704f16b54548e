/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead journal: what an agent did, turn by turn, oldest first like any log.
 *
 * The cluster answers newest first, in pages; an entry of the log is never added to, so what has been shown is known by
 * one number, the newest index printed. --follow asks again a few times a second and pages back until it meets that
 * number: no turn is shown twice, and none is left out while the log keeps it. A node that does not answer is waited
 * for.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/connect.h"
#include "cmd/json.h"
#include "cmd/parse.h"
#include "cmd/print.h"

#define PAGE_TURNS 200u    /* asked for at once when following */
#define FOLLOW_PAGES 1000u /* a burst larger than that many pages is cut, and said so */
#define FOLLOW_MS 250u     /* between two looks */

struct journal_options {
    struct stead_connect connect;
    const char *address; /* of the agent */
    uint64_t limit;      /* turns shown at first */
    bool follow;         /* go on */
};

static const char doc[] =
    "Shows the turns of an agent, oldest first: when, which op, what caused it, how it ended, its events.\n"
    "\v"
    "Examples:\n"
    "  stead journal account/bob\n"
    "  stead journal --limit 200 account/bob\n"
    "  stead journal --follow --json account/bob\n"
    "\n"
    "With --json, one line a turn: {\"index\", \"time_ms\", \"op\", \"cause\", \"from\", \"id\", \"status\", "
    "\"incarnation\", \"events\"}. Of more than 16 MiB of events only the size is told, as \"omitted\".";

static const struct argp_option options[] = {
    {"limit", 'l', "COUNT", 0, "The last so many turns. Default: 20", 10},
    {"follow", 'f', NULL, 0, "Then show turns as they are committed, until interrupted", 10},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct journal_options *o = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->connect;
        return 0;
    case 'l':
        if (!stead_parse_number(arg, 1, 1000000, &o->limit))
            argp_error(state, "--limit %s: a number from 1 to 1,000,000", arg);
        return 0;
    case 'f':
        o->follow = true;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0)
            argp_error(state, "one ADDRESS only");
        o->address = arg;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which agent? Write its ADDRESS");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Collects turns with an index above `above`, newest first, until there are `limit` or no older page. */
static int collect(const struct journal_options *o, struct stead_client *client, int64_t above, uint64_t limit,
                   json_t **ret_turns)
{
    json_t *turns = json_array();
    int64_t before = 0, skip = 0;
    bool met = false;

    for (unsigned page_count = 0; !met && page_count < FOLLOW_PAGES && json_array_size(turns) < limit; page_count++) {
        json_t *page = NULL, *turn;
        size_t index;
        uint64_t left = limit - json_array_size(turns);
        int status = stead_connect_query(&o->connect, client, "journal", &page, "{s:s,s:u,s:l,s:l}", "address",
                                         o->address, "limit", left < PAGE_TURNS ? left : (uint64_t)PAGE_TURNS, "before",
                                         before, "skip", skip);
        if (status != STEAD_EXIT_DONE) {
            json_decref(turns);
            return status;
        }
        json_array_foreach(json_object_get(page, "turns"), index, turn)
        {
            met = met || stead_json_member_int(turn, "index") <= above;
            if (!met)
                json_array_append(turns, turn);
        }
        before = stead_json_member_int(page, "before");
        skip = stead_json_member_int(page, "skip");
        met = met || before == 0;
        json_decref(page);
    }
    if (!met && json_array_size(turns) < limit)
        stead_complain("too many turns at once: older ones than the following are left out");
    *ret_turns = turns;
    return STEAD_EXIT_DONE;
}

static void print_events(const json_t *events)
{
    size_t index;
    json_t *event;

    json_array_foreach(events, index, event)
    {
        const char *text = json_string_value(json_array_get(event, 0));
        char *name = stead_print_safe(stead_str(text ? text : "?"));
        char *value = stead_json_text(json_array_get(event, 1) ? json_array_get(event, 1) : json_null(), 0);
        printf("    %s %s\n", name, value);
        free(name);
        free(value);
    }
}

static void print_turn(const json_t *turn)
{
    char time[STEAD_PRINT_SIZE], line[1024];
    const char *from = stead_json_member_text(turn, "from"), *status = stead_json_member_text(turn, "status");
    const char *cause = stead_json_member_text(turn, "cause");
    /* An answer that nobody sent is the end of a call that had none: nobody is to be named, as for a timer. */
    bool from_nobody = strcmp(cause, "timer") == 0 || (strcmp(cause, "answer") == 0 && *from == 0);

    stead_print_time((uint64_t)stead_json_member_int(turn, "time_ms"), time);
    snprintf(line, sizeof line, "%s  %10lld  %-20s %s%s%s%s%s", time, (long long)stead_json_member_int(turn, "index"),
             stead_json_member_text(turn, "op"), cause, from_nobody ? "" : " from ",
             from_nobody ? ""
             : *from     ? from
                         : "a client",
             strcmp(status, "ok") ? "  FAILED: " : "", strcmp(status, "ok") ? status : "");
    char *safe = stead_print_safe(stead_str(line));
    puts(safe);
    free(safe);
    print_events(json_object_get(turn, "events"));
    if (json_object_get(turn, "omitted"))
        printf("    (events of %s)\n", stead_print_size((uint64_t)stead_json_member_int(turn, "omitted"), time));
}

/* Prints the collected turns, oldest first; the newest index, `newest` when there are none. */
static int64_t print_turns(const struct journal_options *o, const json_t *turns, int64_t newest)
{
    size_t count = json_array_size(turns);

    if (count > 0)
        newest = stead_json_member_int(json_array_get(turns, 0), "index");
    while (count > 0) {
        const json_t *turn = json_array_get(turns, --count);
        if (o->connect.json)
            stead_json_print(turn, 0);
        else
            print_turn(turn);
    }
    fflush(stdout);
    return newest;
}

/* Until it is interrupted, or the output is gone; a node that is away comes back. */
static int follow(struct journal_options *o, struct stead_client *client, int64_t newest)
{
    const struct timespec pause = {0, FOLLOW_MS * 1000000L};
    int status = STEAD_EXIT_DONE;
    bool away = false;
    json_t *turns;

    o->connect.goes_on = true;
    while (status == STEAD_EXIT_DONE && !ferror(stdout)) {
        nanosleep(&pause, NULL);
        status = collect(o, client, newest, UINT64_MAX, &turns);
        if (status == STEAD_EXIT_DONE) {
            newest = print_turns(o, turns, newest);
            json_decref(turns);
            away = false;
        } else if (status == STEAD_EXIT_UNREACHABLE || status == STEAD_EXIT_TIMED_OUT) {
            if (!away)
                stead_complain("no node answers: the turns go on when one does");
            away = true;
            status = STEAD_EXIT_DONE;
        }
    }
    return status;
}

int stead_cmd_journal(int argc, char **argv)
{
    static const struct argp_child children[] = {{&stead_connect_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {options, parse, "ADDRESS", doc, children, NULL, NULL};
    struct journal_options o = {.limit = 20};
    struct stead_client *client = NULL;
    json_t *turns = NULL;
    int64_t newest = 0;

    if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0 || !stead_connect_check_address(o.address))
        return STEAD_EXIT_USAGE;
    int status = stead_connect_open(&o.connect, &client);
    if (status == STEAD_EXIT_DONE)
        status = collect(&o, client, 0, o.limit, &turns);
    if (status == STEAD_EXIT_DONE) {
        newest = print_turns(&o, turns, newest);
        if (json_array_size(turns) == 0 && !o.connect.json && !o.follow)
            fprintf(stderr, "no turns are kept\n");
        json_decref(turns);
    }
    if (status == STEAD_EXIT_DONE && o.follow)
        status = follow(&o, client, newest);
    stead_client_close(&client);
    return status;
}
