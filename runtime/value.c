/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value: slices and the reading of msgpack, without a tree and without allocation.
 *
 * Everything is built on one function, read_head(): it takes the first byte and the length bytes of an object apart and
 * says how many bytes or how many objects follow. It refuses a length beyond the end, and a count that the bytes left
 * cannot hold (an object has at least one byte), so
 *   V1  nothing is read past the end, whatever the bytes say;
 *   V2  work is linear in the bytes: a count never makes a loop longer than the input.
 *
 * Skipping an object keeps one number, how many objects are still to be passed; only stead_value_check() needs to
 * know about depth and keeps the count that is left on each of its 32 levels. Neither recurses.
 *
 * Values that came through stead_value_check() are trusted by their users, but every reader here is safe on any
 * bytes: a state image may be read by a tool that has not checked it.
 *
 * Reading by name is a linear walk: maps that travel are small, and comparing a short key is two instructions.
 * Duplicate names: the first counts.
 */
#include "runtime/base.h"
#include "stead/value.h"

/* ---- Slices --------------------------------------------------------------------------------- */

struct stead_slice stead_str(const char *text)
{
    return (struct stead_slice){(const uint8_t *)text, text == NULL ? 0 : strlen(text)};
}

struct stead_slice stead_bytes(const void *data, size_t size)
{
    return (struct stead_slice){data, size};
}

bool stead_slice_equal(struct stead_slice a, struct stead_slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

int stead_slice_compare(struct stead_slice a, struct stead_slice b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);

    if (order != 0)
        return order;
    return a.size < b.size ? -1 : a.size > b.size;
}

/* ---- The head of an object ------------------------------------------------------------------ */

struct head {
    enum stead_type type;
    uint32_t size;  /* bytes of the head itself: its first byte and its lengths; for ext also the ext type */
    uint64_t body;  /* bytes that follow it: number, text, binary, ext */
    uint64_t inner; /* objects that follow it: array elements; map keys and values */
};

/* Big-endian number of 1, 2, 4 or 8 bytes. */
static uint64_t load_be(const uint8_t *at, size_t size)
{
    uint64_t v = 0;
    switch (size) {
    case 1:
        return at[0];
    case 2:
        return __builtin_bswap16(stead_load16(at));
    case 4:
        return __builtin_bswap32(stead_load32(at));
    case 8:
        return __builtin_bswap64(stead_load64(at));
    default:
        return v;
    }
}

/* How the bytes 0xc0 to 0xdf begin an object. */
struct shape {
    uint8_t type;   /* enum stead_type */
    uint8_t length; /* bytes of the length that follows the first byte */
    uint8_t extra;  /* one more byte before the body (the type of an ext) */
    uint8_t body;   /* fixed bytes of the body */
};
#define UNUSED_BYTE 0xff /* 0xc1, which no object begins with */

static const struct shape shapes[32] = {
    [0x00] = {STEAD_NIL, 0, 0, 0},  [0x01] = {UNUSED_BYTE, 0, 0, 0}, [0x02] = {STEAD_BOOL, 0, 0, 0},
    [0x03] = {STEAD_BOOL, 0, 0, 0}, [0x04] = {STEAD_BIN, 1, 0, 0},   [0x05] = {STEAD_BIN, 2, 0, 0},
    [0x06] = {STEAD_BIN, 4, 0, 0},  [0x07] = {STEAD_EXT, 1, 1, 0},   [0x08] = {STEAD_EXT, 2, 1, 0},
    [0x09] = {STEAD_EXT, 4, 1, 0},  [0x0a] = {STEAD_FLOAT, 0, 0, 4}, [0x0b] = {STEAD_FLOAT, 0, 0, 8},
    [0x0c] = {STEAD_INT, 0, 0, 1},  [0x0d] = {STEAD_INT, 0, 0, 2},   [0x0e] = {STEAD_INT, 0, 0, 4},
    [0x0f] = {STEAD_INT, 0, 0, 8},  [0x10] = {STEAD_INT, 0, 0, 1},   [0x11] = {STEAD_INT, 0, 0, 2},
    [0x12] = {STEAD_INT, 0, 0, 4},  [0x13] = {STEAD_INT, 0, 0, 8},   [0x14] = {STEAD_EXT, 0, 1, 1},
    [0x15] = {STEAD_EXT, 0, 1, 2},  [0x16] = {STEAD_EXT, 0, 1, 4},   [0x17] = {STEAD_EXT, 0, 1, 8},
    [0x18] = {STEAD_EXT, 0, 1, 16}, [0x19] = {STEAD_STR, 1, 0, 0},   [0x1a] = {STEAD_STR, 2, 0, 0},
    [0x1b] = {STEAD_STR, 4, 0, 0},  [0x1c] = {STEAD_ARRAY, 2, 0, 0}, [0x1d] = {STEAD_ARRAY, 4, 0, 0},
    [0x1e] = {STEAD_MAP, 2, 0, 0},  [0x1f] = {STEAD_MAP, 4, 0, 0},
};

/* The head of an object that begins with 0xc0 to 0xdf. */
static int read_long_head(const uint8_t *at, size_t left, struct head *ret_head)
{
    const struct shape *shape = &shapes[*at - 0xc0];
    struct head head = {.size = 1u + shape->length + shape->extra, .body = shape->body};

    if (shape->type == UNUSED_BYTE || left < head.size)
        return STEAD_ECORRUPT;
    head.type = (enum stead_type)shape->type;
    if (shape->length != 0) {
        uint64_t length = load_be(at + 1, shape->length);
        if (head.type == STEAD_ARRAY)
            head.inner = length;
        else if (head.type == STEAD_MAP)
            head.inner = 2 * length;
        else
            head.body = length;
    }
    if (head.body + head.inner > left - head.size)
        return STEAD_ECORRUPT;
    *ret_head = head;
    return 0;
}

/* Takes the head of the object at `at` apart; STEAD_ECORRUPT when it, its body or one byte for each object inside it
 * goes beyond the end. */
static inline int read_head(const uint8_t *at, const uint8_t *end, struct head *ret_head)
{
    struct head head = {.size = 1};

    if (at >= end)
        return STEAD_ECORRUPT;
    if (*at < 0x80 || *at >= 0xe0) {
        head.type = STEAD_INT;
        *ret_head = head;
        return 0;
    }
    if (*at >= 0xc0)
        return read_long_head(at, (size_t)(end - at), ret_head);
    if (*at >= 0xa0) {
        head.type = STEAD_STR;
        head.body = *at & 0x1f;
    } else {
        head.type = *at >= 0x90 ? STEAD_ARRAY : STEAD_MAP;
        head.inner = *at >= 0x90 ? *at & 0x0fu : 2 * (*at & 0x0fu);
    }
    if (head.body + head.inner >= (size_t)(end - at))
        return STEAD_ECORRUPT;
    *ret_head = head;
    return 0;
}

/* One past the object at `at`; NULL when it does not end before `end`. */
static const uint8_t *skip_object(const uint8_t *at, const uint8_t *end)
{
    struct head head;

    for (uint64_t objects = 1; objects > 0; objects--) {
        if (read_head(at, end, &head) != 0)
            return NULL;
        at += head.size + head.body;
        objects += head.inner;
    }
    return at;
}

/* ---- Checking ------------------------------------------------------------------------------- */

/* `at` is behind the head of a first object of `inner` objects. */
static int check_inner(const uint8_t *at, const uint8_t *end, uint64_t inner)
{
    uint64_t left[STEAD_NESTING_MAX + 1]; /* objects still to come on each level up to `depth`; level 0 has the first */
    unsigned depth = 1;
    struct head head;

    left[0] = 0;
    left[1] = inner;
    for (;;) {
        while (left[depth] == 0) {
            if (depth == 0)
                return at == end ? 0 : STEAD_ECORRUPT;
            depth--;
        }
        left[depth]--;
        if (read_head(at, end, &head) != 0)
            return STEAD_ECORRUPT;
        at += head.size + head.body;
        if (head.type != STEAD_ARRAY && head.type != STEAD_MAP)
            continue;
        if (depth == STEAD_NESTING_MAX)
            return STEAD_ETOOLARGE;
        left[++depth] = head.inner;
    }
}

int stead_value_check(struct stead_slice value)
{
    const uint8_t *end = value.size == 0 ? value.data : value.data + value.size;
    struct head head;

    if (value.size == 0)
        return 0;
    if (read_head(value.data, end, &head) != 0)
        return STEAD_ECORRUPT;
    if (head.type == STEAD_ARRAY || head.type == STEAD_MAP)
        return check_inner(value.data + head.size, end, head.inner);
    return head.size + head.body == value.size ? 0 : STEAD_ECORRUPT; /* most are one number or text */
}

/* ---- Reading with a cursor ------------------------------------------------------------------ */

struct stead_reader stead_reader(struct stead_slice value)
{
    return (struct stead_reader){value.data, value.size == 0 ? value.data : value.data + value.size};
}

enum stead_type stead_peek(const struct stead_reader *reader)
{
    struct head head;
    return read_head(reader->at, reader->end, &head) == 0 ? head.type : STEAD_NIL;
}

/* The head of the next object, which must be of `type`. */
static inline int read_typed(const struct stead_reader *reader, enum stead_type type, struct head *ret_head)
{
    int code = read_head(reader->at, reader->end, ret_head);
    if (code != 0)
        return code;
    return ret_head->type == type ? 0 : STEAD_EARGUMENT;
}

int stead_read_nil(struct stead_reader *reader)
{
    struct head head;
    int code = read_typed(reader, STEAD_NIL, &head);
    if (code == 0)
        reader->at++;
    return code;
}

int stead_read_bool(struct stead_reader *reader, bool *ret_it)
{
    struct head head;
    int code = read_typed(reader, STEAD_BOOL, &head);
    if (code == 0)
        *ret_it = *reader->at++ == 0xc3;
    return code;
}

/* An integer as 64 bits and whether these are a negative number. */
struct integer {
    uint64_t bits;
    bool negative;
};

static inline int read_integer(struct stead_reader *reader, struct integer *ret_it)
{
    const uint8_t *at = reader->at;
    struct head head;
    int code = read_typed(reader, STEAD_INT, &head);

    if (code != 0)
        return code;
    reader->at += 1 + head.body;
    if (head.body == 0) {
        *ret_it = (struct integer){(uint64_t)(int64_t)(int8_t)*at, *at >= 0xe0};
        return 0;
    }
    uint64_t bits = load_be(at + 1, head.body);
    if (*at >= 0xd0 && head.body < 8) { /* signed: extend the sign */
        unsigned shift = 64 - 8 * (unsigned)head.body;
        bits = (uint64_t)((int64_t)(bits << shift) >> shift);
    }
    *ret_it = (struct integer){bits, *at >= 0xd0 && (int64_t)bits < 0};
    return 0;
}

int stead_read_i64(struct stead_reader *reader, int64_t *ret_it)
{
    const uint8_t *start = reader->at;
    struct integer it;
    int code = read_integer(reader, &it);

    if (code == 0 && !it.negative && it.bits > INT64_MAX) {
        reader->at = start;
        return STEAD_EARGUMENT;
    }
    if (code == 0)
        *ret_it = (int64_t)it.bits;
    return code;
}

int stead_read_u64(struct stead_reader *reader, uint64_t *ret_it)
{
    const uint8_t *start = reader->at;
    struct integer it;
    int code = read_integer(reader, &it);

    if (code == 0 && it.negative) {
        reader->at = start;
        return STEAD_EARGUMENT;
    }
    if (code == 0)
        *ret_it = it.bits;
    return code;
}

int stead_read_f64(struct stead_reader *reader, double *ret_it)
{
    struct head head;
    struct integer integer;
    int code = read_typed(reader, STEAD_FLOAT, &head);

    if (code != 0) {
        code = read_integer(reader, &integer);
        if (code == 0)
            *ret_it = integer.negative ? (double)(int64_t)integer.bits : (double)integer.bits;
        return code;
    }
    uint64_t bits = load_be(reader->at + 1, head.body);
    if (head.body == 4) {
        uint32_t narrow = (uint32_t)bits;
        float f;
        memcpy(&f, &narrow, sizeof f);
        *ret_it = f;
    } else {
        memcpy(ret_it, &bits, sizeof bits);
    }
    reader->at += 1 + head.body;
    return 0;
}

/* Text or binary: the bytes after the head. */
static inline int read_body(struct stead_reader *reader, enum stead_type type, struct stead_slice *ret_it)
{
    struct head head;
    int code = read_typed(reader, type, &head);
    if (code != 0)
        return code;
    *ret_it = (struct stead_slice){reader->at + head.size, head.body};
    reader->at += head.size + head.body;
    return 0;
}

int stead_read_str(struct stead_reader *reader, struct stead_slice *ret_it)
{
    return read_body(reader, STEAD_STR, ret_it);
}

int stead_read_bin(struct stead_reader *reader, struct stead_slice *ret_it)
{
    return read_body(reader, STEAD_BIN, ret_it);
}

int stead_read_array(struct stead_reader *reader, uint32_t *ret_count)
{
    struct head head;
    int code = read_typed(reader, STEAD_ARRAY, &head);
    if (code != 0)
        return code;
    *ret_count = (uint32_t)head.inner;
    reader->at += head.size;
    return 0;
}

int stead_read_map(struct stead_reader *reader, uint32_t *ret_count)
{
    struct head head;
    int code = read_typed(reader, STEAD_MAP, &head);
    if (code != 0)
        return code;
    *ret_count = (uint32_t)(head.inner / 2);
    reader->at += head.size;
    return 0;
}

int stead_read_value(struct stead_reader *reader, struct stead_slice *ret_it)
{
    const uint8_t *past = skip_object(reader->at, reader->end);
    if (past == NULL)
        return STEAD_ECORRUPT;
    *ret_it = (struct stead_slice){reader->at, (size_t)(past - reader->at)};
    reader->at = past;
    return 0;
}

int stead_read_skip(struct stead_reader *reader)
{
    struct stead_slice it;
    return stead_read_value(reader, &it);
}

/* ---- Reading by name ------------------------------------------------------------------------ */

/* Nil or the end stand for "not there". */
static inline int refuse_nil(const struct stead_reader *reader)
{
    return reader->at == reader->end || *reader->at == 0xc0 ? STEAD_ENOTFOUND : 0;
}

/* Places the cursor at the value of `field`. */
static int seek_field(struct stead_slice value, const char *field, struct stead_reader *ret_reader)
{
    struct stead_reader reader = stead_reader(value);
    struct head head;
    int code = refuse_nil(&reader);

    if (code != 0 || field == NULL) {
        *ret_reader = reader;
        return code;
    }
    code = read_typed(&reader, STEAD_MAP, &head);
    if (code != 0)
        return code;
    size_t field_size = strlen(field);
    reader.at += head.size;
    for (uint64_t pairs = head.inner / 2; pairs > 0; pairs--) {
        code = read_head(reader.at, reader.end, &head);
        if (code != 0)
            return code;
        if (head.type == STEAD_STR && head.body == field_size &&
            memcmp(reader.at + head.size, field, field_size) == 0) {
            reader.at += head.size + head.body;
            *ret_reader = reader;
            return reader.at == reader.end ? STEAD_ECORRUPT : refuse_nil(&reader);
        }
        reader.at = skip_object(reader.at, reader.end);
        if (reader.at != NULL)
            reader.at = skip_object(reader.at, reader.end);
        if (reader.at == NULL)
            return STEAD_ECORRUPT;
    }
    return STEAD_ENOTFOUND;
}

int stead_get_bool(struct stead_slice value, const char *field, bool *ret_it)
{
    struct stead_reader reader;
    int code = seek_field(value, field, &reader);
    return code != 0 ? code : stead_read_bool(&reader, ret_it);
}

int stead_get_i64(struct stead_slice value, const char *field, int64_t *ret_it)
{
    struct stead_reader reader;
    int code = seek_field(value, field, &reader);
    return code != 0 ? code : stead_read_i64(&reader, ret_it);
}

int stead_get_u64(struct stead_slice value, const char *field, uint64_t *ret_it)
{
    struct stead_reader reader;
    int code = seek_field(value, field, &reader);
    return code != 0 ? code : stead_read_u64(&reader, ret_it);
}

int stead_get_f64(struct stead_slice value, const char *field, double *ret_it)
{
    struct stead_reader reader;
    int code = seek_field(value, field, &reader);
    return code != 0 ? code : stead_read_f64(&reader, ret_it);
}

int stead_get_str(struct stead_slice value, const char *field, struct stead_slice *ret_it)
{
    struct stead_reader reader;
    int code = seek_field(value, field, &reader);
    return code != 0 ? code : stead_read_str(&reader, ret_it);
}

int stead_get_text(struct stead_slice value, const char *field, char *buffer, size_t buffer_size)
{
    struct stead_slice text;
    int code = stead_get_str(value, field, &text);

    if (code != 0)
        return code;
    if (text.size >= buffer_size)
        return STEAD_ETOOLARGE;
    memcpy(buffer, text.data, text.size);
    buffer[text.size] = 0;
    return 0;
}

int stead_get_bin(struct stead_slice value, const char *field, struct stead_slice *ret_it)
{
    struct stead_reader reader;
    int code = seek_field(value, field, &reader);
    return code != 0 ? code : stead_read_bin(&reader, ret_it);
}

int stead_get_value(struct stead_slice value, const char *field, struct stead_slice *ret_it)
{
    struct stead_reader reader;
    int code = seek_field(value, field, &reader);
    return code != 0 ? code : stead_read_value(&reader, ret_it);
}
