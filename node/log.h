/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log: what the node says about itself: one line an event on stderr, in logfmt.
 *
 *     time=2026-11-23T04:30:00.123Z level=warn event=disk_full text="clients' durable work is refused until there is room"
 *
 * The event names the thing that happened (snake_case, never with numbers in it, so that it can be searched for and
 * counted), key=value pairs give the numbers, `text` holds whatever came from outside or is meant for people, escaped.
 * A line is written with one write(2), so lines of several threads do not mix. Any thread.
 */
#ifndef STEAD_NODE_LOG_H
#define STEAD_NODE_LOG_H

#include "runtime/base.h"
#include "runtime/doors.h"

#define STEAD_LOG_LINE_MAX 1024u /* bytes; longer lines are cut */

/* Lines above `level` are left out, from now on, in the whole process. */
void stead_log_set_level(enum stead_trace_level level);
/* STEAD_ENOTFOUND when there is no level of that name: error, warn, info, debug. */
int stead_log_level_of_name(const char *name, enum stead_trace_level *ret_level) STEAD_MUST_USE;

/* Writes a line. `text` (borrowed, NULL: none) is escaped; `pairs` is a printf format that makes the key=value pairs:
 * its texts must be free of spaces and quotes (names and addresses of ours are not: those belong into `text`). NULL:
 * none. */
void stead_log_event(enum stead_trace_level level, const char *event, const char *text, const char *pairs, ...)
    STEAD_PRINTF(4, 5);

/* The line that stead_log_event() would write at `wall_ms`, newline included, into `buffer`; its bytes. For tests. */
size_t stead_log_render(char *buffer, size_t size, int64_t wall_ms, enum stead_trace_level level, const char *event,
                        const char *text, const char *pairs);

#endif
