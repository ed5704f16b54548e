/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance_text: how instances and their histories are shown, to programs and to people. Texts come from agents: they
 * are safe for a terminal when they leave here. Pure but for the local time zone; any thread.
 */
#ifndef STEAD_CMD_INSTANCE_TEXT_H
#define STEAD_CMD_INSTANCE_TEXT_H

#include <jansson.h>
#include <stdio.h>

#include "stead/orchestration_client.h"

#define STEAD_HISTORY_VALUE_MAX 100u /* bytes of a value in a line of a history; longer ones are cut */

/* What there is to say about an instance: {"id", "name", "version", "execution", "status", "created_ms", "updated_ms",
 * "events", "parent", "input", "output", "custom", "error": {"name", "sentence"}}; what it has not is null. Returned:
 * json_decref() it. */
json_t *stead_instance_json(const struct stead_instance *instance);
/* The same without input, output and error, which a list does not have. Returned. */
json_t *stead_instance_json_short(const struct stead_instance *instance);

/* Prints an instance for a person, one line a member. */
void stead_instance_print(const struct stead_instance *instance, FILE *file);

/* One event of a history as a line without its end: the id, then the time where an episode begins, inputs indented
 * below it and decisions below them; an answer points at what it answers. `event` is the map of it as a tree. Returned:
 * free() it. */
char *stead_history_line(const json_t *event);

#endif
