/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pack: the writing of msgpack: a growing buffer, one function a type, and whole values by format.
 *
 * Every number and every length takes the shortest form, so equal values have equal bytes: state images are compared
 * by their bytes, and the simulator hashes them.
 *
 * A writer begins in memory of its caller or with none, and doubles when it is full. Growing cannot fail
 * (runtime/base.h), so writes return nothing; whether a size is allowed is asked once, at the end, by whoever has a
 * limit.
 *
 * stead_pack() reads its format from left to right and keeps, for each open bracket, whether a key is due. A header
 * needs the count of what follows, so each bracket is counted ahead; formats are short literals of the program.
 */
#include <stdlib.h>

#include "runtime/base.h"
#include "stead/value.h"

#define FIRST_CAPACITY 256
#define CACHED_MAX                                                                                                     \
    1024u /* bytes of a block that the C library keeps for its thread: moving one there is cheaper than realloc() */

/* ---- The buffer ----------------------------------------------------------------------------- */

void stead_writer_init(struct stead_writer *writer)
{
    *writer = (struct stead_writer){0};
}

void stead_writer_init_fixed(struct stead_writer *writer, void *memory, size_t size)
{
    *writer = (struct stead_writer){.data = memory, .capacity = size, .fixed = true};
}

void stead_writer_deinit(struct stead_writer *writer)
{
    if (!writer->fixed)
        free(writer->data);
    *writer = (struct stead_writer){0};
}

void stead_writer_reset(struct stead_writer *writer)
{
    writer->size = 0;
}

struct stead_slice stead_written(const struct stead_writer *writer)
{
    return (struct stead_slice){writer->data, writer->size};
}

/* Makes room for `more` bytes; kept out of line because it is rare. */
static __attribute__((noinline)) void grow(struct stead_writer *writer, size_t more)
{
    size_t capacity = writer->capacity < FIRST_CAPACITY ? FIRST_CAPACITY : writer->capacity * 2;

    STEAD_ASSERT(more <= SIZE_MAX / 4 && writer->size <= SIZE_MAX / 4);
    if (capacity < writer->size + more)
        capacity = writer->size + more;
    if (writer->fixed || capacity <= CACHED_MAX) {
        uint8_t *data = stead_alloc(capacity);
        if (writer->size > 0)
            memcpy(data, writer->data, writer->size);
        if (!writer->fixed)
            free(writer->data);
        writer->data = data;
        writer->fixed = false;
    } else {
        writer->data = stead_realloc(writer->data, capacity);
    }
    writer->capacity = capacity;
}

/* `size` bytes at the end, to be filled in by the caller at once. */
static inline uint8_t *extend(struct stead_writer *writer, size_t size)
{
    if (writer->capacity - writer->size < size)
        grow(writer, size);
    uint8_t *at = writer->data + writer->size;
    writer->size += size;
    return at;
}

void stead_write_raw(struct stead_writer *writer, const void *data, size_t size)
{
    if (size > 0)
        memcpy(extend(writer, size), data, size);
}

/* ---- One object ----------------------------------------------------------------------------- */

static inline void write_byte(struct stead_writer *writer, uint8_t first)
{
    *extend(writer, 1) = first;
}

static inline void write_be8(struct stead_writer *writer, uint8_t first, uint8_t it)
{
    uint8_t *at = extend(writer, 2);
    at[0] = first;
    at[1] = it;
}

static inline void write_be16(struct stead_writer *writer, uint8_t first, uint16_t it)
{
    uint8_t *at = extend(writer, 3);
    at[0] = first;
    stead_store16(at + 1, __builtin_bswap16(it));
}

static inline void write_be32(struct stead_writer *writer, uint8_t first, uint32_t it)
{
    uint8_t *at = extend(writer, 5);
    at[0] = first;
    stead_store32(at + 1, __builtin_bswap32(it));
}

static inline void write_be64(struct stead_writer *writer, uint8_t first, uint64_t it)
{
    uint8_t *at = extend(writer, 9);
    at[0] = first;
    stead_store64(at + 1, __builtin_bswap64(it));
}

void stead_write_nil(struct stead_writer *writer)
{
    write_byte(writer, 0xc0);
}

void stead_write_bool(struct stead_writer *writer, bool it)
{
    write_byte(writer, it ? 0xc3 : 0xc2);
}

void stead_write_u64(struct stead_writer *writer, uint64_t it)
{
    if (it < 0x80)
        write_byte(writer, (uint8_t)it);
    else if (it <= UINT8_MAX)
        write_be8(writer, 0xcc, (uint8_t)it);
    else if (it <= UINT16_MAX)
        write_be16(writer, 0xcd, (uint16_t)it);
    else if (it <= UINT32_MAX)
        write_be32(writer, 0xce, (uint32_t)it);
    else
        write_be64(writer, 0xcf, it);
}

void stead_write_i64(struct stead_writer *writer, int64_t it)
{
    if (it >= 0)
        stead_write_u64(writer, (uint64_t)it);
    else if (it >= -32)
        write_byte(writer, (uint8_t)it);
    else if (it >= INT8_MIN)
        write_be8(writer, 0xd0, (uint8_t)it);
    else if (it >= INT16_MIN)
        write_be16(writer, 0xd1, (uint16_t)it);
    else if (it >= INT32_MIN)
        write_be32(writer, 0xd2, (uint32_t)it);
    else
        write_be64(writer, 0xd3, (uint64_t)it);
}

void stead_write_f64(struct stead_writer *writer, double it)
{
    uint64_t bits;
    memcpy(&bits, &it, sizeof bits);
    write_be64(writer, 0xcb, bits);
}

void stead_write_str(struct stead_writer *writer, const char *it)
{
    if (it == NULL)
        stead_write_nil(writer);
    else
        stead_write_str_slice(writer, stead_str(it));
}

void stead_write_str_slice(struct stead_writer *writer, struct stead_slice it)
{
    STEAD_ASSERT(it.size <= UINT32_MAX);
    if (it.size < 32)
        write_byte(writer, (uint8_t)(0xa0 | it.size));
    else if (it.size <= UINT8_MAX)
        write_be8(writer, 0xd9, (uint8_t)it.size);
    else if (it.size <= UINT16_MAX)
        write_be16(writer, 0xda, (uint16_t)it.size);
    else
        write_be32(writer, 0xdb, (uint32_t)it.size);
    stead_write_raw(writer, it.data, it.size);
}

void stead_write_bin(struct stead_writer *writer, struct stead_slice it)
{
    STEAD_ASSERT(it.size <= UINT32_MAX);
    if (it.size <= UINT8_MAX)
        write_be8(writer, 0xc4, (uint8_t)it.size);
    else if (it.size <= UINT16_MAX)
        write_be16(writer, 0xc5, (uint16_t)it.size);
    else
        write_be32(writer, 0xc6, (uint32_t)it.size);
    stead_write_raw(writer, it.data, it.size);
}

void stead_write_array(struct stead_writer *writer, uint32_t count)
{
    if (count < 16)
        write_byte(writer, (uint8_t)(0x90 | count));
    else if (count <= UINT16_MAX)
        write_be16(writer, 0xdc, (uint16_t)count);
    else
        write_be32(writer, 0xdd, count);
}

void stead_write_map(struct stead_writer *writer, uint32_t count)
{
    if (count < 16)
        write_byte(writer, (uint8_t)(0x80 | count));
    else if (count <= UINT16_MAX)
        write_be16(writer, 0xde, (uint16_t)count);
    else
        write_be32(writer, 0xdf, count);
}

void stead_write_value(struct stead_writer *writer, struct stead_slice it)
{
    if (it.size == 0)
        stead_write_nil(writer);
    else
        stead_write_raw(writer, it.data, it.size);
}

/* ---- By format ------------------------------------------------------------------------------ */

/* What is expected next inside an open bracket. Level 0 is the value itself. */
enum expect { EXPECT_ELEMENT, EXPECT_KEY, EXPECT_COLON, EXPECT_VALUE };

struct packer {
    struct stead_writer *writer;
    va_list args;
    enum expect expect[STEAD_NESTING_MAX + 1]; /* of each open bracket */
    unsigned depth;                            /* open brackets */
};

/* Objects between the bracket that was just opened and its end; a closing bracket that is missing stops the process. */
static uint32_t count_objects(const char *at)
{
    uint32_t objects = 0;
    unsigned depth = 1;

    for (; depth > 0; at++) {
        STEAD_ASSERT(*at != 0);
        if (*at == ']' || *at == '}')
            depth--;
        else if (*at != ' ' && *at != ',' && *at != ':')
            objects += depth == 1;
        if (*at == '[' || *at == '{')
            depth++;
    }
    return objects;
}

/* One object begins where the innermost bracket expects one. */
static void pack_expects_object(struct packer *packer, char letter)
{
    enum expect *expect = &packer->expect[packer->depth];

    STEAD_ASSERT(*expect != EXPECT_COLON);
    if (*expect == EXPECT_KEY) {
        STEAD_ASSERT(letter == 's' || letter == 'S');
        *expect = EXPECT_COLON;
    } else if (*expect == EXPECT_VALUE) {
        *expect = EXPECT_KEY;
    }
}

static void pack_open(struct packer *packer, char bracket, const char *inside)
{
    uint32_t objects = count_objects(inside);

    STEAD_ASSERT(packer->depth < STEAD_NESTING_MAX);
    packer->expect[++packer->depth] = bracket == '[' ? EXPECT_ELEMENT : EXPECT_KEY;
    if (bracket == '[') {
        stead_write_array(packer->writer, objects);
    } else {
        STEAD_ASSERT(objects % 2 == 0);
        stead_write_map(packer->writer, objects / 2);
    }
}

static void pack_close(struct packer *packer, char bracket)
{
    STEAD_ASSERT(packer->depth > 0);
    STEAD_ASSERT(packer->expect[packer->depth] == (bracket == ']' ? EXPECT_ELEMENT : EXPECT_KEY));
    packer->depth--;
}

static void pack_scalar(struct packer *packer, char letter)
{
    struct stead_writer *writer = packer->writer;

    switch (letter) {
    case 'n':
        stead_write_nil(writer);
        return;
    case 'b':
        stead_write_bool(writer, va_arg(packer->args, int) != 0);
        return;
    case 'd':
        stead_write_i64(writer, va_arg(packer->args, int));
        return;
    case 'l':
        stead_write_i64(writer, va_arg(packer->args, int64_t));
        return;
    case 'u':
        stead_write_u64(writer, va_arg(packer->args, uint64_t));
        return;
    case 'f':
        stead_write_f64(writer, va_arg(packer->args, double));
        return;
    case 's':
        stead_write_str(writer, va_arg(packer->args, const char *));
        return;
    case 'S':
        stead_write_str_slice(writer, va_arg(packer->args, struct stead_slice));
        return;
    case 'B':
        stead_write_bin(writer, va_arg(packer->args, struct stead_slice));
        return;
    case 'v':
        stead_write_value(writer, va_arg(packer->args, struct stead_slice));
        return;
    default:
        stead_assert_failed("a letter of the pack format", __FILE__, __LINE__);
    }
}

/* One character of the format; how many objects it began. */
static unsigned pack_step(struct packer *packer, const char *at)
{
    switch (*at) {
    case ' ':
    case ',':
        return 0;
    case ':':
        STEAD_ASSERT(packer->expect[packer->depth] == EXPECT_COLON);
        packer->expect[packer->depth] = EXPECT_VALUE;
        return 0;
    case ']':
    case '}':
        pack_close(packer, *at);
        return 0;
    case '[':
    case '{':
        pack_expects_object(packer, *at);
        pack_open(packer, *at, at + 1);
        return 1;
    default:
        pack_expects_object(packer, *at);
        pack_scalar(packer, *at);
        return 1;
    }
}

void stead_pack_v(struct stead_writer *writer, const char *format, va_list args)
{
    struct packer packer = {.writer = writer, .expect = {EXPECT_ELEMENT}};
    unsigned roots = 0; /* objects outside of every bracket: exactly one */

    va_copy(packer.args, args);
    for (const char *at = format; *at != 0; at++) {
        unsigned outside = packer.depth == 0;
        roots += pack_step(&packer, at) * outside;
    }
    va_end(packer.args);
    STEAD_ASSERT(packer.depth == 0);
    STEAD_ASSERT(roots == 1);
}

void stead_pack(struct stead_writer *writer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    stead_pack_v(writer, format, args);
    va_end(args);
}

size_t stead_print_v(char *buffer, size_t size, const char *format, va_list args)
{
    return stead_format_v(buffer, size, format, args);
}
