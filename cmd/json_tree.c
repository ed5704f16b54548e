/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_tree: the way from a value to JSON text (the second half of json.h).
 *
 * A value may come from anybody's agent, so every msgpack object has some JSON form, and the work is linear: whether a
 * map can be an object is decided from its keys before its values are walked, never by trying and going back (a hostile
 * value could make that exponential in its depth).
 */
#include "cmd/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/base64.h"
#include "runtime/base.h"

static json_t *take_tree(struct stead_reader *reader);

/* An object of one key. */
static json_t *special(const char *key, json_t *value)
{
    json_t *object = json_object();
    STEAD_ASSERT(object && json_object_set_new(object, key, value) == 0);
    return object;
}

static json_t *base64_of(struct stead_slice bytes)
{
    char *text = stead_base64_encode(bytes);
    json_t *json = json_string_nocheck(text);
    free(text);
    return json;
}

static json_t *text_to_tree(struct stead_slice text)
{
    json_t *json = json_stringn(text.data ? (const char *)text.data : "", text.size);
    return json ? json : special("$text", base64_of(text));
}

static json_t *float_to_tree(double it)
{
    if (isfinite(it))
        return json_real(it);
    return special("$f64", json_string(isnan(it) ? "nan" : it < 0 ? "-inf" : "inf"));
}

static json_t *integer_to_tree(struct stead_reader *reader)
{
    int64_t small = 0;
    uint64_t large = 0;
    char digits[24];

    if (stead_read_i64(reader, &small) == 0)
        return json_integer(small);
    STEAD_ASSERT(stead_read_u64(reader, &large) == 0); /* the value was checked */
    snprintf(digits, sizeof digits, "%llu", (unsigned long long)large);
    return special("$u64", json_string(digits));
}

/* fixext 1 to 16: d4 to d8, type, bytes; ext 8, 16, 32: c7 to c9, size, type, bytes. */
static json_t *ext_to_tree(struct stead_slice object)
{
    unsigned first = object.data[0];
    size_t header = first >= 0xd4 ? 1 : 1 + ((size_t)1 << (first - 0xc7));
    int8_t type = (int8_t)object.data[header];

    return special(
        "$ext", json_pack("[i,o]", type, base64_of(stead_bytes(object.data + header + 1, object.size - header - 1))));
}

/* Whether the map's `count` pairs can be a JSON object that reads back as the same map. `reader` stands behind the
 * header. */
static bool is_object(struct stead_reader reader, uint32_t count)
{
    json_t *seen = json_object();
    bool plain = true;

    for (uint32_t i = 0; plain && i < count; i++) {
        struct stead_slice key;
        plain = stead_read_str(&reader, &key) == 0 && stead_read_skip(&reader) == 0;
        if (!plain)
            break;
        plain = !(count == 1 && key.size > 0 && key.data[0] == '$') && !(key.size && memchr(key.data, 0, key.size)) &&
                !json_object_getn(seen, (const char *)key.data, key.size) &&
                json_object_setn_new(seen, (const char *)key.data, key.size, json_null()) == 0;
    }
    json_decref(seen);
    return plain;
}

static json_t *map_to_tree(struct stead_reader *reader)
{
    uint32_t count = 0;
    struct stead_slice key;

    STEAD_ASSERT(stead_read_map(reader, &count) == 0);
    if (is_object(*reader, count)) {
        json_t *object = json_object();
        for (uint32_t i = 0; i < count; i++) {
            STEAD_ASSERT(stead_read_str(reader, &key) == 0);
            json_object_setn_new(object, (const char *)key.data, key.size, take_tree(reader));
        }
        return object;
    }
    json_t *pairs = json_array();
    for (uint32_t i = 0; i < count; i++) {
        json_t *name = take_tree(reader);
        json_array_append_new(pairs, json_pack("[o,o]", name, take_tree(reader)));
    }
    return special("$map", pairs);
}

static json_t *array_to_tree(struct stead_reader *reader)
{
    uint32_t count = 0;
    json_t *array = json_array();

    STEAD_ASSERT(stead_read_array(reader, &count) == 0);
    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(array, take_tree(reader));
    return array;
}

/* Reads one object. Recursion is bounded by STEAD_NESTING_MAX, which the value was checked for. */
static json_t *take_tree(struct stead_reader *reader)
{
    bool boolean = false;
    double real = 0;
    struct stead_slice bytes = {NULL, 0};
    int code = 0;

    switch (stead_peek(reader)) {
    case STEAD_NIL:
        code = stead_read_nil(reader);
        (void)code; /* an empty value is nil, too */
        return json_null();
    case STEAD_BOOL:
        code = stead_read_bool(reader, &boolean);
        STEAD_ASSERT(code == 0);
        return json_boolean(boolean);
    case STEAD_INT:
        return integer_to_tree(reader);
    case STEAD_FLOAT:
        code = stead_read_f64(reader, &real);
        STEAD_ASSERT(code == 0);
        return float_to_tree(real);
    case STEAD_STR:
        code = stead_read_str(reader, &bytes);
        STEAD_ASSERT(code == 0);
        return text_to_tree(bytes);
    case STEAD_BIN:
        code = stead_read_bin(reader, &bytes);
        STEAD_ASSERT(code == 0);
        return special("$bin", base64_of(bytes));
    case STEAD_ARRAY:
        return array_to_tree(reader);
    case STEAD_MAP:
        return map_to_tree(reader);
    case STEAD_EXT:
        code = stead_read_value(reader, &bytes);
        STEAD_ASSERT(code == 0 && bytes.size >= 3);
        return ext_to_tree(bytes);
    }
    return json_null();
}

json_t *stead_json_from_value(struct stead_slice value)
{
    struct stead_reader reader = stead_reader(value);
    return take_tree(&reader);
}

/* The digits that give `it` back exactly: 15, 16 or 17. */
static unsigned digits_of(double it)
{
    char text[40];

    for (unsigned digits = 15; digits < 17; digits++) {
        snprintf(text, sizeof text, "%.*g", (int)digits, it);
        if (strtod(text, NULL) == it)
            return digits;
    }
    return 17;
}

/* The most digits that a float in the tree needs. */
static unsigned digits_in(const json_t *json)
{
    unsigned most = 15;
    const char *key;
    json_t *member;
    size_t index;

    if (json_is_real(json))
        return digits_of(json_real_value(json));
    if (json_is_array(json)) {
        json_array_foreach(json, index, member)
        {
            unsigned digits = digits_in(member);
            most = digits > most ? digits : most;
        }
    } else if (json_is_object(json)) {
        json_object_foreach((json_t *)(uintptr_t)json, key, member)
        {
            unsigned digits = digits_in(member);
            most = digits > most ? digits : most;
        }
    }
    return most;
}

char *stead_json_text(const json_t *json, unsigned indent)
{
    char *text = json_dumps(json, JSON_ENCODE_ANY | JSON_INDENT(indent) | JSON_REAL_PRECISION(digits_in(json)));
    STEAD_ASSERT(text);
    return text;
}
