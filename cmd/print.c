/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print: columns are collected first, because a column is as wide as its widest cell; then each line is printed once.
 * The width of a text is counted in characters, not bytes (a key may be any UTF-8).
 *
 * Invariant: cell i belongs to row i / width and column i % width.
 */
#include "cmd/print.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "runtime/address.h"
#include "runtime/base.h"

#define CELL_BYTES_MAX 4096u /* of one cell before it is made safe; longer ones are cut */

struct stead_columns {
    const char *const *titles; /* borrowed */
    size_t width;              /* columns */
    char **cells;              /* owned, each too; row after row */
    size_t count, capacity;    /* cells in use; cells allocated */
};

char *stead_print_safe(struct stead_slice text)
{
    char *safe = stead_alloc(text.size * 4 + 1);
    size_t size = 0;

    for (size_t i = 0; i < text.size;) {
        uint8_t c = text.data[i];
        size_t bytes = stead_address_character(text.data + i, text.size - i);
        if (bytes > 0) {
            memcpy(safe + size, text.data + i, bytes);
            size += bytes;
            i += bytes;
            continue;
        }
        if (c == '\n' || c == '\t')
            size += (size_t)sprintf(safe + size, "\\%c", c == '\n' ? 'n' : 't');
        else
            size += (size_t)sprintf(safe + size, "\\x%02x", c);
        i++;
    }
    safe[size] = 0;
    return safe;
}

const char *stead_print_time(uint64_t time_ms, char *ret_text)
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm tm;

    if (time_ms == 0 || !localtime_r(&seconds, &tm)) {
        snprintf(ret_text, STEAD_PRINT_SIZE, "-");
        return ret_text;
    }
    size_t size = strftime(ret_text, STEAD_PRINT_SIZE - 8, "%Y-%m-%d %H:%M:%S", &tm);
    snprintf(ret_text + size, STEAD_PRINT_SIZE - size, ".%03u", (unsigned)(time_ms % 1000));
    return ret_text;
}

/* `value` with at most three digits that count, no trailing zeros. */
static void print_short(double value, const char *unit, char *ret_text)
{
    int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    int size = snprintf(ret_text, STEAD_PRINT_SIZE, "%.*f", decimals, value);

    if (decimals > 0) {
        while (ret_text[size - 1] == '0')
            size--;
        if (ret_text[size - 1] == '.')
            size--;
    }
    snprintf(ret_text + size, (size_t)(STEAD_PRINT_SIZE - size), " %s", unit);
}

const char *stead_print_duration(uint64_t duration_ns, char *ret_text)
{
    uint64_t seconds = duration_ns / 1000000000u;

    if (duration_ns < 1000)
        snprintf(ret_text, STEAD_PRINT_SIZE, "%" PRIu64 " ns", duration_ns);
    else if (duration_ns < 1000000)
        print_short((double)duration_ns / 1e3, "us", ret_text);
    else if (duration_ns < 1000000000)
        print_short((double)duration_ns / 1e6, "ms", ret_text);
    else if (seconds < 120)
        print_short((double)duration_ns / 1e9, "s", ret_text);
    else if (seconds < 7200)
        snprintf(ret_text, STEAD_PRINT_SIZE, "%" PRIu64 " m %" PRIu64 " s", seconds / 60, seconds % 60);
    else if (seconds < 2 * 86400)
        snprintf(ret_text, STEAD_PRINT_SIZE, "%" PRIu64 " h %" PRIu64 " m", seconds / 3600, seconds / 60 % 60);
    else
        snprintf(ret_text, STEAD_PRINT_SIZE, "%" PRIu64 " d %" PRIu64 " h", seconds / 86400, seconds / 3600 % 24);
    return ret_text;
}

const char *stead_print_size(uint64_t bytes, char *ret_text)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1023.5 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1024;
        unit++;
    }
    print_short(value, units[unit], ret_text);
    return ret_text;
}

const char *stead_print_count(uint64_t count, char *ret_text)
{
    char digits[24];
    size_t size = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, count), out = 0;

    for (size_t i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0)
            ret_text[out++] = ',';
        ret_text[out++] = digits[i];
    }
    ret_text[out] = 0;
    return ret_text;
}

/* ---- Columns -------------------------------------------------------------------------------- */

struct stead_columns *stead_columns_create(const char *const *titles)
{
    struct stead_columns *columns = stead_alloc_zero(sizeof *columns);

    columns->titles = titles;
    while (titles[columns->width])
        columns->width++;
    STEAD_ASSERT(columns->width > 0 && columns->width <= STEAD_PRINT_COLUMNS_MAX);
    return columns;
}

void stead_columns_destroy(struct stead_columns **columns)
{
    for (size_t i = 0; *columns && i < (*columns)->count; i++)
        free((*columns)->cells[i]);
    if (*columns)
        free((*columns)->cells);
    free(*columns);
    *columns = NULL;
}

void stead_columns_add(struct stead_columns *columns, const char *format, ...)
{
    char text[CELL_BYTES_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (columns->count == columns->capacity) {
        columns->capacity = columns->capacity ? columns->capacity * 2 : 64;
        columns->cells = stead_realloc(columns->cells, columns->capacity * sizeof *columns->cells);
    }
    columns->cells[columns->count++] = stead_print_safe(stead_str(text));
}

size_t stead_columns_rows(const struct stead_columns *columns)
{
    return columns->count / columns->width;
}

/* Characters, not bytes. */
static size_t characters(const char *text)
{
    size_t count = 0;

    for (; *text; text++)
        count += ((uint8_t)*text & 0xc0) != 0x80;
    return count;
}

static bool is_right(const struct stead_columns *columns, size_t column)
{
    return columns->titles[column][0] == '>';
}

/* Prints one cell padded to `width`; the last of a line gets no spaces behind it. */
static void print_cell(FILE *file, const char *text, size_t width, bool right, bool last)
{
    int gap = (int)(width - characters(text));

    if (right)
        fprintf(file, "%*s%s", gap, "", text);
    else
        fprintf(file, "%s%*s", text, last ? 0 : gap, "");
    fputs(last ? "\n" : "  ", file);
}

/* The keys and the columns from `from` up to `to`, titles and rows. */
static void print_block(const struct stead_columns *columns, FILE *file, bool bold, const size_t *widths, size_t keys,
                        size_t from, size_t to)
{
    fputs(bold ? "\033[1m" : "", file);
    for (size_t column = keys ? 0 : from; column < to; column = column + 1 == keys ? from : column + 1) {
        bool right = is_right(columns, column), last = column + 1 == to;
        print_cell(file, columns->titles[column] + right, widths[column], right, last && !bold);
    }
    fputs(bold ? "\033[0m\n" : "", file);
    for (size_t row = 0; row < columns->count; row += columns->width) {
        for (size_t column = keys ? 0 : from; column < to; column = column + 1 == keys ? from : column + 1)
            print_cell(file, columns->cells[row + column], widths[column], is_right(columns, column), column + 1 == to);
    }
}

void stead_columns_print_within(const struct stead_columns *columns, FILE *file, bool bold, size_t width, size_t keys)
{
    size_t widths[STEAD_PRINT_COLUMNS_MAX], base = 0;

    STEAD_ASSERT(columns->count % columns->width == 0 && keys < columns->width);
    for (size_t column = 0; column < columns->width; column++)
        widths[column] = characters(columns->titles[column] + is_right(columns, column));
    for (size_t i = 0; i < columns->count; i++) {
        size_t width = characters(columns->cells[i]);
        if (width > widths[i % columns->width])
            widths[i % columns->width] = width;
    }
    for (size_t column = 0; column < keys; column++)
        base += widths[column] + 2;
    for (size_t from = keys, to = keys; from < columns->width; from = to) {
        size_t used = base + widths[to++];
        while (to < columns->width && (width == 0 || used + 2 + widths[to] <= width))
            used += 2 + widths[to++];
        print_block(columns, file, bold, widths, keys, from, to);
    }
}

void stead_columns_print(const struct stead_columns *columns, FILE *file, bool bold)
{
    stead_columns_print_within(columns, file, bold, 0, 0);
}

size_t stead_print_width(FILE *file)
{
    struct winsize size;

    return isatty(fileno(file)) && ioctl(fileno(file), TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

bool stead_print_is_fancy(FILE *file)
{
    const char *term = getenv("TERM");

    return isatty(fileno(file)) && !getenv("NO_COLOR") && term && strcmp(term, "dumb") != 0;
}
