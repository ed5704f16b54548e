/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance_text: a history is read from top to bottom as what happened: an episode begins with its time, what came in
 * stands below it, what the code decided on that one step further in.
 *
 *        1  2026-11-23 04:33:42.123  OrchestratorStarted
 *        2      ExecutionStarted        trip {"seats": 2}
 *        3        TaskScheduled         book_hotel {"seats": 2}
 *        4      OrchestratorCompleted
 *        5  2026-11-23 04:33:42.512  OrchestratorStarted
 *        6      TaskCompleted           <- 3 "H-17"
 *
 * A value is cut to what fits beside its line; --json shows it whole.
 */
#include "cmd/instance_text.h"

#include <stdlib.h>
#include <string.h>

#include "cmd/connect.h"
#include "cmd/json.h"
#include "cmd/print.h"
#include "runtime/base.h"

#define TYPE_COLUMNS 22 /* of a decision; an input is two columns further left. The few longer ones push what follows */

/* ---- Instances ------------------------------------------------------------------------------ */

json_t *stead_instance_json_short(const struct stead_instance *instance)
{
    return json_pack("{s:s,s:s,s:I,s:I,s:s,s:I,s:I,s:I,s:s?}", "id", instance->id, "name", instance->name, "version",
                     (json_int_t)instance->version, "execution", (json_int_t)instance->execution, "status",
                     stead_instance_status_name(instance->status), "created_ms", (json_int_t)instance->created_ms,
                     "updated_ms", (json_int_t)instance->updated_ms, "events", (json_int_t)instance->events, "parent",
                     *instance->parent ? instance->parent : NULL);
}

/* A text of an activity's own, which may be no UTF-8, or cut in the middle of a character. */
static json_t *text_to_json(const char *text)
{
    json_t *json = json_string(text);

    if (!json) { /* its ASCII */
        char *plain = stead_text_copy(text);
        for (char *at = plain; *at; at++)
            *at = (*at & 0x80) ? '?' : *at;
        json = json_string(plain);
        free(plain);
    }
    return json;
}

json_t *stead_instance_json(const struct stead_instance *instance)
{
    json_t *json = stead_instance_json_short(instance);
    json_t *error = NULL;

    if (*instance->error_name || *instance->error_sentence)
        error = json_pack("{s:o,s:o}", "name", text_to_json(instance->error_name), "sentence",
                          text_to_json(instance->error_sentence));
    json_object_set_new(json, "input", stead_json_from_value(instance->input));
    json_object_set_new(json, "output", stead_json_from_value(instance->output));
    json_object_set_new(json, "custom", stead_json_from_value(instance->custom_status));
    json_object_set_new(json, "error", error ? error : json_null());
    return json;
}

static void print_line(FILE *file, const char *title, const char *text)
{
    char *safe = stead_print_safe(stead_str(text));

    fprintf(file, "%-10s %s\n", title, safe);
    free(safe);
}

/* A value on a line of its own; nothing for none. */
static void print_value(FILE *file, const char *title, struct stead_slice value)
{
    json_t *json = stead_json_from_value(value);

    if (value.size > 0 && !json_is_null(json)) {
        char *text = stead_json_text(json, 0);
        print_line(file, title, text);
        free(text);
    }
    json_decref(json);
}

void stead_instance_print(const struct stead_instance *instance, FILE *file)
{
    char time[STEAD_PRINT_SIZE], text[STEAD_INSTANCE_ERROR_NAME_MAX + STEAD_INSTANCE_ERROR_SENTENCE_MAX + 100];

    print_line(file, "id", instance->id);
    snprintf(text, sizeof(text), "%s, version %u", instance->name, instance->version);
    print_line(file, "name", text);
    print_line(file, "status", stead_instance_status_name(instance->status));
    if (*instance->error_name || *instance->error_sentence) {
        snprintf(text, sizeof(text), "%s%s%s", instance->error_name,
                 *instance->error_name && *instance->error_sentence ? ": " : "", instance->error_sentence);
        print_line(file, stead_instance_is_over(instance->status) ? "because" : "error", text);
    }
    if (*instance->parent)
        print_line(file, "parent", instance->parent);
    print_line(file, "created", stead_print_time((uint64_t)instance->created_ms, time));
    print_line(file, "updated", stead_print_time((uint64_t)instance->updated_ms, time));
    snprintf(text, sizeof(text), "%llu in execution %u", (unsigned long long)instance->events, instance->execution);
    print_line(file, "events", text);
    print_value(file, "input", instance->input);
    print_value(file, "custom", instance->custom_status);
    print_value(file, "output", instance->output);
}

/* ---- Histories ------------------------------------------------------------------------------ */

/* What comes in from outside; everything else is a decision of the code. */
static bool is_input(const char *type)
{
    static const char *const inputs[] = {"ExecutionStarted",
                                         "ExecutionTerminated",
                                         "ExecutionSuspended",
                                         "ExecutionResumed",
                                         "ExecutionRewound",
                                         "TaskCompleted",
                                         "TaskFailed",
                                         "SubOrchestrationInstanceCompleted",
                                         "SubOrchestrationInstanceFailed",
                                         "TimerFired",
                                         "EventRaised",
                                         "OrchestratorCompleted"};

    for (size_t i = 0; i < sizeof(inputs) / sizeof(*inputs); i++) {
        if (strcmp(type, inputs[i]) == 0)
            return true;
    }
    return false;
}

static void line_add(struct stead_writer *line, const char *space, const char *text)
{
    stead_write_raw(line, space, strlen(space));
    stead_write_raw(line, text, strlen(text));
}

/* A value in at most STEAD_HISTORY_VALUE_MAX bytes, cut between characters. */
static void line_add_value(struct stead_writer *line, const json_t *value)
{
    if (!value || json_is_null(value))
        return;
    char *text = stead_json_text(value, 0);
    if (strlen(text) > STEAD_HISTORY_VALUE_MAX) {
        size_t size = STEAD_HISTORY_VALUE_MAX - 3;
        while (size > 0 && ((uint8_t)text[size] & 0xc0) == 0x80)
            size--;
        strcpy(text + size, "...");
    }
    line_add(line, " ", text);
    free(text);
}

/* Who or what it was about. */
static void line_add_names(struct stead_writer *line, const json_t *event)
{
    const char *target = stead_json_member_text(event, "target"), *name = stead_json_member_text(event, "name");
    char text[64];

    if (stead_json_member_int(event, "ref") > 0) {
        snprintf(text, sizeof(text), "<- %lld", (long long)stead_json_member_int(event, "ref"));
        line_add(line, " ", text);
    }
    if (*target)
        line_add(line, " ", target);
    if (*name)
        line_add(line, " ", name);
    int64_t omitted = stead_json_member_int(json_object_get(event, "extra"), "omitted");
    if (omitted > 0) {
        char size[STEAD_PRINT_SIZE];
        line_add(line, " a value of ", stead_print_size((uint64_t)omitted, size));
    }
    int64_t due_ms = stead_json_member_int(json_object_get(event, "extra"), "due");
    if (due_ms > 0) {
        char time[STEAD_PRINT_SIZE];
        line_add(line, " due ", stead_print_time((uint64_t)due_ms, time));
    }
}

char *stead_history_line(const json_t *event)
{
    const char *type = stead_json_member_text(event, "type");
    const char *error = stead_json_member_text(event, "error_name");
    const char *sentence = stead_json_member_text(event, "error_sentence");
    bool begins = strcmp(type, "OrchestratorStarted") == 0;
    char head[160], time[STEAD_PRINT_SIZE];
    struct stead_writer line;

    if (begins)
        snprintf(head, sizeof(head), "%6lld  %s  %.60s", (long long)stead_json_member_int(event, "id"),
                 stead_print_time((uint64_t)stead_json_member_int(event, "time"), time), type);
    else
        snprintf(head, sizeof(head), "%6lld  %s%-*.60s", (long long)stead_json_member_int(event, "id"),
                 is_input(type) ? "    " : "      ", TYPE_COLUMNS + (is_input(type) ? 2 : 0), type);
    stead_writer_init(&line);
    line_add(&line, head, "");
    if (!begins)
        line_add_names(&line, event);
    line_add_value(&line, json_object_get(event, "value"));
    if (*error || *sentence) {
        line_add(&line, " ", error);
        line_add(&line, *error && *sentence ? ": " : "", sentence);
    }
    while (line.size > 0 && line.data[line.size - 1] == ' ')
        line.size--;
    char *safe = stead_print_safe(stead_written(&line));
    stead_writer_deinit(&line);
    return safe;
}
