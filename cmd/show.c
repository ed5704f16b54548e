/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead show: everything that is known about one agent. Lines that would only say "none" are left out: what is
 * printed is what there is.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/connect.h"
#include "cmd/json.h"
#include "cmd/print.h"

static const char doc[] = "Shows one agent: its state, mailbox, lock, timers, calls and dead letters.\n"
                          "\v"
                          "Examples:\n"
                          "  stead show counter/alice\n"
                          "  stead show --json counter/alice | jq .state";

/* A label and what follows it, in two columns. */
static void print_line(const char *label, const char *format, ...) STEAD_PRINTF(2, 3);
static void print_line(const char *label, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char *safe = stead_print_safe(stead_str(text));
    printf("  %-12s %s\n", label, safe);
    free(safe);
}

static void print_state(const json_t *state)
{
    if (!state || json_is_null(state))
        return;
    char *text = stead_json_text(state, 2);
    printf("  %-12s ", "state");
    for (const char *c = text; *c; c++) { /* the lines after the first are indented to the same column */
        putchar(*c);
        if (*c == '\n')
            printf("  %-12s ", "");
    }
    putchar('\n');
    free(text);
}

/* "in 5 s", "2 m 3 s late". */
static void describe_due(int64_t due_ms, char *ret_text, size_t size)
{
    char text[STEAD_PRINT_SIZE];
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    int64_t left_ms = due_ms - (int64_t)now.tv_sec * 1000 - now.tv_nsec / 1000000;
    uint64_t distance_ms = left_ms < 0 ? 0 - (uint64_t)left_ms : (uint64_t)left_ms;
    stead_print_duration(distance_ms * 1000000u, text);
    snprintf(ret_text, size, left_ms < 0 ? "%s late" : "in %s", text);
}

static void print_timers(const json_t *timers)
{
    size_t index;
    json_t *timer;

    json_array_foreach(timers, index, timer)
    {
        char due[64], period[STEAD_PRINT_SIZE] = "";
        const char *cron = stead_json_member_text(timer, "cron");
        int64_t period_ms = stead_json_member_int(timer, "period_ms");

        describe_due(stead_json_member_int(timer, "due_ms"), due, sizeof due);
        if (period_ms > 0)
            stead_print_duration((uint64_t)period_ms * 1000000u, period);
        print_line(index == 0 ? "timers" : "", "%s: %s %s%s%s%s%s", stead_json_member_text(timer, "name"),
                   stead_json_member_text(timer, "op"), due, period_ms > 0 ? ", every " : "", period,
                   *cron ? ", cron " : "", cron);
    }
}

static void print_calls(const json_t *calls)
{
    size_t index;
    json_t *call;

    json_array_foreach(calls, index, call)
    {
        char due[64] = "never";
        int64_t deadline_ms = stead_json_member_int(call, "deadline_ms");

        if (deadline_ms != 0)
            describe_due(deadline_ms, due, sizeof due);
        print_line(index == 0 ? "waits for" : "", "an answer, then %s; times out %s",
                   stead_json_member_text(call, "reply_op"), due);
    }
}

/* What an agent has that was never made, or is gone: messages to it stay. False: nothing. */
static bool has_messages(const json_t *agent)
{
    const json_t *mailbox = json_object_get(agent, "mailbox");

    return stead_json_member_int(mailbox, "waiting") || stead_json_member_int(mailbox, "parked") ||
           stead_json_member_int(agent, "delayed") || stead_json_member_int(agent, "dead_letters") ||
           json_array_size(json_object_get(agent, "timers")) > 0;
}

static void print_agent(const json_t *agent)
{
    const json_t *mailbox = json_object_get(agent, "mailbox"), *lock = json_object_get(agent, "lock");
    long long waiting = stead_json_member_int(mailbox, "waiting"), parked = stead_json_member_int(mailbox, "parked");

    if (!stead_json_member_bool(agent, "exists"))
        print_line("exists", "no: it has taken no message yet, or was destroyed; what follows is kept for it");
    print_line("kind", "%s, %s", stead_json_member_text(agent, "kind"), stead_json_member_text(agent, "durability"));
    print_line("incarnation", "%lld", (long long)stead_json_member_int(agent, "incarnation"));
    print_line("lives on", "%s, reactor %lld, shard %lld, slot %lld; %s", stead_json_member_text(agent, "node"),
               (long long)stead_json_member_int(agent, "reactor"), (long long)stead_json_member_int(agent, "shard"),
               (long long)stead_json_member_int(agent, "slot"),
               stead_json_member_bool(agent, "resident") ? "in memory" : "on disk");
    print_state(json_object_get(agent, "state"));
    if (stead_json_member_int(agent, "events_since_snapshot"))
        print_line("events", "%lld since the last snapshot",
                   (long long)stead_json_member_int(agent, "events_since_snapshot"));
    if (waiting || parked)
        print_line("mailbox", "%lld waiting, %lld parked on disk", waiting, parked);
    if (json_is_object(lock))
        print_line("held by", "%s, fence %lld", stead_json_member_text(lock, "holder"),
                   (long long)stead_json_member_int(lock, "fence"));
    print_timers(json_object_get(agent, "timers"));
    if (stead_json_member_int(agent, "delayed"))
        print_line("delayed", "%lld signals", (long long)stead_json_member_int(agent, "delayed"));
    print_calls(json_object_get(agent, "calls"));
    if (stead_json_member_int(agent, "owed"))
        print_line("owes", "%lld answers", (long long)stead_json_member_int(agent, "owed"));
    if (stead_json_member_int(agent, "dead_letters"))
        print_line("dead letters", "%lld: stead deadletters %s",
                   (long long)stead_json_member_int(agent, "dead_letters"), stead_json_member_text(agent, "address"));
    if (stead_json_member_int(agent, "last_index"))
        print_line("last turn", "log index %lld: stead journal %s",
                   (long long)stead_json_member_int(agent, "last_index"), stead_json_member_text(agent, "address"));
}

int stead_cmd_show(int argc, char **argv)
{
    struct stead_connect connect = {0};
    const char *address = NULL;
    struct stead_client *client = NULL;
    json_t *agent = NULL;

    if (!stead_connect_parse_one(argc, argv, "ADDRESS", "which agent? Write its ADDRESS", doc, &connect, &address) ||
        !stead_connect_check_address(address))
        return STEAD_EXIT_USAGE;
    int status = stead_connect_open(&connect, &client);
    if (status == STEAD_EXIT_DONE)
        status = stead_connect_query(&connect, client, "show", &agent, "{s:s}", "address", address);
    if (status == STEAD_EXIT_DONE && connect.json) {
        stead_json_print(agent, 0);
    } else if (status == STEAD_EXIT_DONE) {
        printf("%s\n", address);
        if (stead_json_member_bool(agent, "exists") || has_messages(agent))
            print_agent(agent);
        else
            print_line("exists", "no: nothing was ever stored under this name, or it was destroyed");
    }
    json_decref(agent);
    stead_client_close(&client);
    return status;
}
