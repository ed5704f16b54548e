/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json: the JSON side is jansson, the msgpack side is the runtime's reader and writer; this file walks from one to the
 * other.
 *
 * The tree is never deeper than STEAD_NESTING_MAX: a value has been checked, and a text is refused beyond it, so the
 * walks may recurse. jansson's integers are signed 64 bit and its floats finite, hence the `$` objects (see json.h); an
 * object is one of them exactly when it has a single key out of the list, and a map that would look like one is written
 * as `$map`.
 *
 * An error in a text is for a person at a shell, whose commonest mistake is quoting: the shell takes the quotes away
 * and leaves a bare word. So the sentence shows the place, and the hint shows the quoting that works.
 */
#include "cmd/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/base64.h"
#include "cmd/cmd.h"
#include "runtime/base.h"

static const char too_deep[] = "more than 32 arrays and objects inside each other";

/* ---- Errors --------------------------------------------------------------------------------- */

static int refuse(struct stead_json_error *error, const char *sentence, const char *hint)
{
    snprintf(error->sentence, sizeof error->sentence, "%s", sentence);
    snprintf(error->hint, sizeof error->hint, "%s", hint);
    return STEAD_EARGUMENT;
}

static bool is_letter(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}

/* Copies the line of `text` around `offset` for display, at most 36 bytes to either side. */
static void set_excerpt(struct stead_json_error *error, struct stead_slice text, size_t offset)
{
    size_t from = offset, to = offset, out = 0;

    while (from > 0 && offset - from < 36 && text.data[from - 1] != '\n')
        from--;
    while (from < offset && (text.data[from] & 0xc0) == 0x80)
        from++; /* not into the middle of a character */
    while (to < text.size && to - offset < 36 && text.data[to] != '\n')
        to++;
    while (to < text.size && to > offset && (text.data[to] & 0xc0) == 0x80)
        to--;
    error->caret = 0;
    for (size_t i = from; i < to; i++) {
        uint8_t c = text.data[i];
        if (i < offset && (c & 0xc0) != 0x80)
            error->caret++;
        error->excerpt[out++] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
    }
    error->excerpt[out] = 0;
}

/* Where the token starts that jansson names in "... near 'TOKEN'"; it reports the token's end. */
static size_t token_start(const json_error_t *json_error, struct stead_slice text)
{
    size_t end = json_error->position < 0 ? 0 : (size_t)json_error->position;
    const char *token = strstr(json_error->text, " near '");

    if (end > text.size)
        end = text.size;
    if (!token)
        return end;
    token += strlen(" near '");
    size_t size = strlen(token);
    if (size > 0 && token[size - 1] == '\'')
        size--;
    if (size == 0 || size > end || memcmp(text.data + end - size, token, size) != 0)
        return end;
    return end - size;
}

/* The number at `offset` has a point or an exponent. */
static bool is_real(struct stead_slice text, size_t offset)
{
    for (; offset < text.size; offset++) {
        uint8_t c = text.data[offset];
        if (c == '.' || c == 'e' || c == 'E')
            return true;
        if (c != '+' && c != '-' && (c < '0' || c > '9'))
            return false;
    }
    return false;
}

/* What somebody who wrote `text` most likely has to do. */
static const char *hint_of(const json_error_t *json_error, struct stead_slice text, size_t offset)
{
    if (json_error_code(json_error) == json_error_numeric_overflow)
        return is_real(text, offset)
                   ? "a number is at most 1.7976931348623157e308"
                   : "an integer above 9223372036854775807 is written as '{\"$u64\": \"18446744073709551615\"}'";
    size_t start = 0;
    while (start < text.size && (text.data[start] == ' ' || text.data[start] == '\n' || text.data[start] == '\t'))
        start++;
    if (start == text.size)
        return "leave the argument out to send none";
    if (is_letter(text.data[start]) || text.data[start] == '\'')
        return "a text needs double quotes, and the shell keeps them only inside single quotes: '\"hello\"'";
    if (offset < text.size && is_letter(text.data[offset]))
        return "keys and texts need double quotes, and the shell keeps them only inside single quotes: '{\"by\": 5}'";
    return "";
}

static int refuse_syntax(struct stead_json_error *error, const json_error_t *json_error, struct stead_slice text)
{
    size_t offset = token_start(json_error, text);
    int line = 1, column = 1;

    for (size_t i = 0; i < offset; i++) {
        if (text.data[i] == '\n') {
            line++;
            column = 1;
        } else if ((text.data[i] & 0xc0) != 0x80) {
            column++;
        }
    }
    refuse(error, json_error->text, hint_of(json_error, text, offset));
    for (char *c = error->sentence; *c; c++) {
        if ((uint8_t)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    }
    error->line = line;
    error->column = column;
    set_excerpt(error, text, offset);
    return STEAD_EARGUMENT;
}

/* ---- Tree -> value -------------------------------------------------------------------------- */

static int put_tree(struct stead_writer *writer, json_t *json, unsigned depth, struct stead_json_error *error);

static struct stead_slice text_of(const json_t *json)
{
    return stead_bytes(json_string_value(json), json_string_length(json));
}

static int put_base64(struct stead_writer *writer, const json_t *json, bool as_text, struct stead_json_error *error)
{
    uint8_t *bytes = NULL;
    size_t size = 0;

    if (!json_is_string(json) || stead_base64_decode(json_string_value(json), json_string_length(json), &bytes, &size))
        return refuse(error, "the value of $bin or $text is not base64",
                      "base64 with padding, as `base64 -w0 FILE` prints it: {\"$bin\": \"aGVsbG8=\"}");
    if (as_text)
        stead_write_str_slice(writer, stead_bytes(bytes, size));
    else
        stead_write_bin(writer, stead_bytes(bytes, size));
    free(bytes);
    return 0;
}

static int put_u64(struct stead_writer *writer, const json_t *json, struct stead_json_error *error)
{
    const char *digits = json_is_string(json) ? json_string_value(json) : "";
    uint64_t it = 0;

    if (*digits == 0)
        return refuse(error, "the value of $u64 is not a text of digits", "{\"$u64\": \"18446744073709551615\"}");
    for (; *digits; digits++) {
        if (*digits < '0' || *digits > '9' || __builtin_mul_overflow(it, 10u, &it) ||
            __builtin_add_overflow(it, (uint64_t)(*digits - '0'), &it))
            return refuse(error, "the value of $u64 is not an integer from 0 to 18446744073709551615", "");
    }
    stead_write_u64(writer, it);
    return 0;
}

static int put_f64(struct stead_writer *writer, const json_t *json, struct stead_json_error *error)
{
    const char *name = json_is_string(json) ? json_string_value(json) : "";

    if (strcmp(name, "nan") == 0)
        stead_write_f64(writer, (double)NAN);
    else if (strcmp(name, "inf") == 0)
        stead_write_f64(writer, (double)INFINITY);
    else if (strcmp(name, "-inf") == 0)
        stead_write_f64(writer, -(double)INFINITY);
    else
        return refuse(error, "the value of $f64 is not \"nan\", \"inf\" or \"-inf\"", "");
    return 0;
}

static int put_ext(struct stead_writer *writer, json_t *json, struct stead_json_error *error)
{
    json_t *type = json_array_get(json, 0), *data = json_array_get(json, 1);
    uint8_t *bytes = NULL;
    size_t size = 0;

    if (json_array_size(json) != 2 || !json_is_integer(type) || json_integer_value(type) < -128 ||
        json_integer_value(type) > 127 || !json_is_string(data) ||
        stead_base64_decode(json_string_value(data), json_string_length(data), &bytes, &size) || size > UINT32_MAX)
        return refuse(error, "the value of $ext is not [type from -128 to 127, base64]", "");
    const uint8_t header[6] = {0xc9,
                               (uint8_t)(size >> 24),
                               (uint8_t)(size >> 16),
                               (uint8_t)(size >> 8),
                               (uint8_t)size,
                               (uint8_t)json_integer_value(type)};
    stead_write_raw(writer, header, sizeof header);
    stead_write_raw(writer, bytes, size);
    free(bytes);
    return 0;
}

static int put_pairs(struct stead_writer *writer, json_t *json, unsigned depth, struct stead_json_error *error)
{
    size_t index;
    json_t *pair;
    int code = 0;

    if (!json_is_array(json))
        return refuse(error, "the value of $map is not a list of [key, value]", "");
    if (depth > STEAD_NESTING_MAX)
        return refuse(error, too_deep, "");
    stead_write_map(writer, (uint32_t)json_array_size(json));
    json_array_foreach(json, index, pair)
    {
        if (json_array_size(pair) != 2)
            return refuse(error, "the value of $map is not a list of [key, value]", "");
        if ((code = put_tree(writer, json_array_get(pair, 0), depth, error)) != 0 ||
            (code = put_tree(writer, json_array_get(pair, 1), depth, error)) != 0)
            return code;
    }
    return 0;
}

/* An object of one `$` key: writes what it stands for and says so; false when it is an ordinary object. */
static bool put_special(struct stead_writer *writer, json_t *json, unsigned depth, struct stead_json_error *error,
                        int *ret_code)
{
    if (json_object_size(json) != 1)
        return false;
    void *iterator = json_object_iter(json);
    const char *key = json_object_iter_key(iterator);
    json_t *value = json_object_iter_value(iterator);

    if (strcmp(key, "$bin") == 0 || strcmp(key, "$text") == 0)
        *ret_code = put_base64(writer, value, key[1] == 't', error);
    else if (strcmp(key, "$u64") == 0)
        *ret_code = put_u64(writer, value, error);
    else if (strcmp(key, "$f64") == 0)
        *ret_code = put_f64(writer, value, error);
    else if (strcmp(key, "$ext") == 0)
        *ret_code = put_ext(writer, value, error);
    else if (strcmp(key, "$map") == 0)
        *ret_code = put_pairs(writer, value, depth, error);
    else
        return false;
    return true;
}

/* Writes an array or an object; `depth` counts it. */
static int put_container(struct stead_writer *writer, json_t *json, unsigned depth, struct stead_json_error *error)
{
    size_t index;
    const char *key;
    json_t *member;
    int code = 0;

    if (json_is_array(json)) {
        stead_write_array(writer, (uint32_t)json_array_size(json));
        json_array_foreach(json, index, member)
        {
            if ((code = put_tree(writer, member, depth, error)) != 0)
                return code;
        }
        return 0;
    }
    stead_write_map(writer, (uint32_t)json_object_size(json));
    json_object_foreach(json, key, member)
    {
        stead_write_str(writer, key);
        if ((code = put_tree(writer, member, depth, error)) != 0)
            return code;
    }
    return 0;
}

static int put_tree(struct stead_writer *writer, json_t *json, unsigned depth, struct stead_json_error *error)
{
    int code = 0;

    switch (json_typeof(json)) {
    case JSON_NULL:
        stead_write_nil(writer);
        return 0;
    case JSON_TRUE:
    case JSON_FALSE:
        stead_write_bool(writer, json_is_true(json));
        return 0;
    case JSON_INTEGER:
        stead_write_i64(writer, json_integer_value(json));
        return 0;
    case JSON_REAL:
        stead_write_f64(writer, json_real_value(json));
        return 0;
    case JSON_STRING:
        stead_write_str_slice(writer, text_of(json));
        return 0;
    case JSON_OBJECT:
    case JSON_ARRAY:
        if (json_is_object(json) && put_special(writer, json, depth + 1, error, &code))
            return code;
        if (depth == STEAD_NESTING_MAX)
            return refuse(error, too_deep, "");
        return put_container(writer, json, depth + 1, error);
    }
    return refuse(error, "this is no JSON", "");
}

int stead_json_to_value(struct stead_slice text, struct stead_writer *writer, struct stead_json_error *ret_error)
{
    json_error_t json_error;
    size_t size_before = writer->size;

    memset(ret_error, 0, sizeof *ret_error);
    json_t *json = json_loadb((const char *)text.data, text.size,
                              JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &json_error);
    if (!json)
        return refuse_syntax(ret_error, &json_error, text);
    int code = put_tree(writer, json, 0, ret_error);
    if (code != 0)
        writer->size = size_before;
    json_decref(json);
    return code;
}

/* ---- The command line ----------------------------------------------------------------------- */

/* Reads all of `file` into `text`; STEAD_EIO, STEAD_ETOOLARGE. */
static int read_all(FILE *file, struct stead_writer *text)
{
    char chunk[16384];
    size_t size;

    while ((size = fread(chunk, 1, sizeof chunk, file)) > 0) {
        if (text->size + size > STEAD_JSON_TEXT_MAX)
            return STEAD_ETOOLARGE;
        stead_write_raw(text, chunk, size);
    }
    return ferror(file) ? STEAD_EIO : 0; /* errno says why */
}

static int file_to_value(const char *path, struct stead_writer *writer, struct stead_json_error *ret_error)
{
    FILE *file = path ? fopen(path, "rb") : stdin;
    struct stead_writer text;

    memset(ret_error, 0, sizeof *ret_error);
    if (!file) {
        snprintf(ret_error->sentence, sizeof ret_error->sentence, "cannot open %.150s: %m", path);
        return STEAD_EIO;
    }
    stead_writer_init(&text);
    int code = read_all(file, &text), why = errno;
    if (path)
        fclose(file);
    errno = why;
    if (code == 0)
        code = stead_json_to_value(stead_written(&text), writer, ret_error);
    else
        snprintf(ret_error->sentence, sizeof ret_error->sentence, "cannot read %.100s: %s", path ? path : "stdin",
                 code == STEAD_EIO ? strerror(errno) : stead_error_sentence(code));
    stead_writer_deinit(&text);
    return code;
}

int stead_json_argument(const char *argument, struct stead_writer *writer, struct stead_json_error *ret_error)
{
    if (!argument) {
        stead_write_nil(writer);
        return 0;
    }
    if (strcmp(argument, "-") == 0)
        return file_to_value(NULL, writer, ret_error);
    if (argument[0] == '@')
        return file_to_value(argument + 1, writer, ret_error);
    return stead_json_to_value(stead_str(argument), writer, ret_error);
}

void stead_json_complain(const struct stead_json_error *error)
{
    if (error->line > 1)
        stead_complain("the JSON argument, line %d, column %d: %s", error->line, error->column, error->sentence);
    else if (error->line > 0)
        stead_complain("the JSON argument, column %d: %s", error->column, error->sentence);
    else
        stead_complain("the JSON argument: %s", error->sentence);
    if (error->excerpt[0])
        fprintf(stderr, "    %s\n    %*s^\n", error->excerpt, error->caret, "");
    if (error->hint[0])
        fprintf(stderr, "    %s\n", error->hint);
}
