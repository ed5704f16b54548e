/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log: lines in logfmt on stderr.
 *
 * A line has to survive the worst moment of a process (a full disk, a failed sync, a signal), so nothing here allocates
 * or takes a lock: the line is made on the stack and leaves with one write(2). What does not fit is cut, and the
 * newline is always there. Text from outside cannot forge a line or a key: it is quoted, and quotes, backslashes and
 * control characters are escaped.
 *
 * The level is the one mutable thing, an atomic of the process: two nodes in one process share stderr, so they share
 * its filter.
 */
#include "node/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static _Atomic int level_max = STEAD_TRACE_INFO;

static const char *const level_names[] = {[STEAD_TRACE_ERROR] = "error",
                                          [STEAD_TRACE_WARN] = "warn",
                                          [STEAD_TRACE_INFO] = "info",
                                          [STEAD_TRACE_DEBUG] = "debug"};
#define LEVELS (sizeof level_names / sizeof level_names[0])

void stead_log_set_level(enum stead_trace_level level)
{
    atomic_store_explicit(&level_max, (int)level, memory_order_relaxed);
}

int stead_log_level_of_name(const char *name, enum stead_trace_level *ret_level)
{
    for (size_t i = 0; i < LEVELS; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *ret_level = (enum stead_trace_level)i;
            return 0;
        }
    }
    return STEAD_ENOTFOUND;
}

/* A line under construction; one byte is always kept for the newline. */
struct line {
    char *at;
    char *end; /* one past the last byte that text may use */
};

static void add_byte(struct line *line, char byte)
{
    if (line->at < line->end)
        *line->at++ = byte;
}

static void add_text(struct line *line, const char *text)
{
    for (; *text; text++)
        add_byte(line, *text);
}

static void add_escaped(struct line *line, const char *text)
{
    static const char digits[] = "0123456789abcdef";

    add_byte(line, '"');
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\') {
            add_byte(line, '\\');
            add_byte(line, (char)byte);
        } else if (byte < 0x20 || byte == 0x7f) {
            add_text(line, "\\x");
            add_byte(line, digits[byte >> 4]);
            add_byte(line, digits[byte & 15]);
        } else {
            add_byte(line, (char)byte);
        }
    }
    add_byte(line, '"');
}

static void add_time(struct line *line, int64_t wall_ms)
{
    char text[40];
    struct tm tm;
    time_t seconds = (time_t)(wall_ms / 1000);

    gmtime_r(&seconds, &tm);
    size_t size = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + size, sizeof text - size, ".%03dZ", (int)(wall_ms % 1000));
    add_text(line, text);
}

size_t stead_log_render(char *buffer, size_t size, int64_t wall_ms, enum stead_trace_level level, const char *event,
                        const char *text, const char *pairs)
{
    struct line line = {buffer, buffer + size - 1};

    STEAD_ASSERT(size > 0 && (size_t)level < LEVELS);
    add_text(&line, "time=");
    add_time(&line, wall_ms);
    add_text(&line, " level=");
    add_text(&line, level_names[level]);
    add_text(&line, " event=");
    add_text(&line, event);
    if (pairs && *pairs) {
        add_byte(&line, ' ');
        add_text(&line, pairs);
    }
    if (text) {
        add_text(&line, " text=");
        add_escaped(&line, text);
    }
    *line.at++ = '\n';
    return (size_t)(line.at - buffer);
}

void stead_log_event(enum stead_trace_level level, const char *event, const char *text, const char *pairs, ...)
{
    char values[STEAD_LOG_LINE_MAX / 2] = "";
    char buffer[STEAD_LOG_LINE_MAX];
    struct timespec now;

    if ((int)level > atomic_load_explicit(&level_max, memory_order_relaxed))
        return;
    if (pairs) {
        va_list args;
        va_start(args, pairs);
        vsnprintf(values, sizeof values, pairs, args);
        va_end(args);
    }
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t wall_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    size_t size = stead_log_render(buffer, sizeof buffer, wall_ms, level, event, text, values);
    /* stderr that cannot be written to is nobody's to report to. */
    ssize_t written = write(STDERR_FILENO, buffer, size);
    (void)written;
}
