/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json: JSON at the shell, msgpack on the wire, and nothing lost between them.
 *
 * JSON has fewer types than msgpack. What it lacks is written as an object of one key that begins with `$`, both ways:
 *
 *     {"$bin": "base64"}            binary
 *     {"$u64": "decimal digits"}    an integer above 9223372036854775807
 *     {"$f64": "nan" "inf" "-inf"}  a float that JSON cannot write
 *     {"$text": "base64"}           a text that is not UTF-8
 *     {"$ext": [type, "base64"]}    a msgpack extension
 *     {"$map": [[key, value], ...]} a map with keys that are not texts, or the same key twice, or a single key with a `$`
 *
 * So text -> value -> text and value -> text -> value give back what they were given. Integers are exact; a float keeps
 * its bits.
 *
 * Called by the subcommands. Pure but for stead_json_argument(), which reads a file. Any thread.
 */
#ifndef STEAD_CMD_JSON_H
#define STEAD_CMD_JSON_H

#include <jansson.h>

#include "stead/value.h"

#define STEAD_JSON_TEXT_MAX ((size_t)64 << 20) /* bytes of a JSON argument that is read from a file */

/* What is wrong with a JSON text, for a person. */
struct stead_json_error {
    int line, column;   /* from 1; 0: nowhere in particular */
    char sentence[200]; /* what is wrong; no control characters */
    char hint[200];     /* what to write instead, or "" */
    char excerpt[100];  /* the part of the line around the column, or "" */
    int caret;          /* bytes of `excerpt` in front of the column */
};

/* Parses `text` and appends it to `writer` as one msgpack value. STEAD_EARGUMENT with `*ret_error` filled in; the
 * writer is then as before. */
int stead_json_to_value(struct stead_slice text, struct stead_writer *writer,
                        struct stead_json_error *ret_error) STEAD_MUST_USE;

/* The tree of a value that stead_value_check() has passed; nil for an empty one. Returned: json_decref() it. */
json_t *stead_json_from_value(struct stead_slice value);

/* The tree as text, its floats with the fewest digits (15 to 17, the same for all) that keep each exact. `indent` 0: on
 * one line. Returned: free() it. */
char *stead_json_text(const json_t *json, unsigned indent);

/* The JSON argument of a command line: the text itself, `@FILE`, or `-` for stdin. NULL is nil. As
 * stead_json_to_value(); STEAD_EIO when the file cannot be read. Blocks. */
int stead_json_argument(const char *argument, struct stead_writer *writer,
                        struct stead_json_error *ret_error) STEAD_MUST_USE;

/* Explains `error` on stderr, with the place marked. */
void stead_json_complain(const struct stead_json_error *error);

#endif
