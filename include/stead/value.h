/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values: payloads, states and events are msgpack (https://msgpack.org, specification version 5).
 *
 * A value is a slice of bytes that somebody else owns. Whatever comes from outside is checked once,
 * with stead_value_check(), before anything reads it: counts are bounded by the bytes that are left
 * and nesting by STEAD_NESTING_MAX, so six hostile bytes cannot make anybody reserve gigabytes. The
 * runtime has checked every payload that an op, an apply function or a completion is given.
 *
 * Reading: stead_get_*() look a field up by name in a map; stead_read_*() walk with a cursor.
 * Writing: stead_write_*() append to a growing buffer; stead_pack() writes a whole value by format.
 *
 * All functions: any thread, no shared state, no locale.
 */
#ifndef STEAD_VALUE_H
#define STEAD_VALUE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stead/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define STEAD_NESTING_MAX 32 /* arrays and maps inside each other */

/* Borrowed bytes. For a value: exactly one msgpack object; size 0 reads as nil. */
struct stead_slice {
    const uint8_t *data; /* borrowed; may be NULL when size is 0 */
    size_t size;         /* bytes */
};

enum stead_type {
    STEAD_NIL,
    STEAD_BOOL,
    STEAD_INT, /* any integer; read as i64, or as u64 when above INT64_MAX */
    STEAD_FLOAT,
    STEAD_STR,
    STEAD_BIN,
    STEAD_ARRAY,
    STEAD_MAP,
    STEAD_EXT
};

/* The bytes of a C string, without its zero. Borrowed. */
STEAD_PUBLIC struct stead_slice stead_str(const char *text);
/* `size` bytes at `data`. Borrowed. */
STEAD_PUBLIC struct stead_slice stead_bytes(const void *data, size_t size);
/* The same bytes? Two empty slices are equal wherever they point. */
STEAD_PUBLIC bool stead_slice_equal(struct stead_slice a, struct stead_slice b);
/* Order of the bytes, shorter first when one is a prefix of the other: <0, 0, >0. */
STEAD_PUBLIC int stead_slice_compare(struct stead_slice a, struct stead_slice b);

/* ---- Checking ------------------------------------------------------------------------------- */

/* 0 when `value` is exactly one well-formed msgpack object (or empty), nested at most STEAD_NESTING_MAX deep;
 * STEAD_ETOOLARGE when it nests deeper, else STEAD_ECORRUPT. Linear in the bytes, constant memory. */
STEAD_PUBLIC int stead_value_check(struct stead_slice value) STEAD_MUST_USE;

/* ---- Reading by name ------------------------------------------------------------------------ */

/* Each looks `field` up in the map `value`. A field of NULL means the value itself, so an op that takes one
 * number reads it with stead_get_i64(args, NULL, &n). 0; STEAD_ENOTFOUND when there is no such field (or it is nil);
 * STEAD_EARGUMENT when it has another type or does not fit. `ret_*` is untouched on failure. A
 * returned slice is borrowed from `value`. */
STEAD_PUBLIC int stead_get_bool(struct stead_slice value, const char *field, bool *ret_it) STEAD_MUST_USE;
STEAD_PUBLIC int stead_get_i64(struct stead_slice value, const char *field, int64_t *ret_it) STEAD_MUST_USE;
STEAD_PUBLIC int stead_get_u64(struct stead_slice value, const char *field, uint64_t *ret_it) STEAD_MUST_USE;
STEAD_PUBLIC int stead_get_f64(struct stead_slice value, const char *field, double *ret_it) STEAD_MUST_USE;
/* The text's bytes, not terminated by a zero. */
STEAD_PUBLIC int stead_get_str(struct stead_slice value, const char *field, struct stead_slice *ret_it) STEAD_MUST_USE;
/* Copies the text and a terminating zero into `buffer`; STEAD_ETOOLARGE when it does not fit. */
STEAD_PUBLIC int stead_get_text(struct stead_slice value, const char *field, char *buffer,
                                size_t buffer_size) STEAD_MUST_USE;
STEAD_PUBLIC int stead_get_bin(struct stead_slice value, const char *field, struct stead_slice *ret_it) STEAD_MUST_USE;
/* The field's value whatever its type, as a slice holding one object. */
STEAD_PUBLIC int stead_get_value(struct stead_slice value, const char *field,
                                 struct stead_slice *ret_it) STEAD_MUST_USE;

/* ---- Reading with a cursor ------------------------------------------------------------------ */

struct stead_reader {
    const uint8_t *at;  /* next byte to read; borrowed */
    const uint8_t *end; /* one past the last byte */
};

/* A cursor at the first object; `value` is borrowed as long as the cursor is used. */
STEAD_PUBLIC struct stead_reader stead_reader(struct stead_slice value);
/* The type of the next object; STEAD_NIL at the end. */
STEAD_PUBLIC enum stead_type stead_peek(const struct stead_reader *reader);
/* Each reads one object and moves on. 0; STEAD_EARGUMENT: another type, or out of range; STEAD_ECORRUPT: at the end,
 * or truncated. On failure the cursor stays and `ret_*` is untouched. Slices that come back are borrowed from the
 * cursor's value. */
STEAD_PUBLIC int stead_read_nil(struct stead_reader *reader) STEAD_MUST_USE;
STEAD_PUBLIC int stead_read_bool(struct stead_reader *reader, bool *ret_it) STEAD_MUST_USE;
STEAD_PUBLIC int stead_read_i64(struct stead_reader *reader, int64_t *ret_it) STEAD_MUST_USE;
STEAD_PUBLIC int stead_read_u64(struct stead_reader *reader, uint64_t *ret_it) STEAD_MUST_USE;
/* An integer is accepted too. */
STEAD_PUBLIC int stead_read_f64(struct stead_reader *reader, double *ret_it) STEAD_MUST_USE;
STEAD_PUBLIC int stead_read_str(struct stead_reader *reader, struct stead_slice *ret_it) STEAD_MUST_USE;
STEAD_PUBLIC int stead_read_bin(struct stead_reader *reader, struct stead_slice *ret_it) STEAD_MUST_USE;
/* Reads only the header; `ret_count` elements (for a map: pairs) follow. */
STEAD_PUBLIC int stead_read_array(struct stead_reader *reader, uint32_t *ret_count) STEAD_MUST_USE;
STEAD_PUBLIC int stead_read_map(struct stead_reader *reader, uint32_t *ret_count) STEAD_MUST_USE;
/* Reads one whole object of any type, as a slice borrowed from the cursor's value. */
STEAD_PUBLIC int stead_read_value(struct stead_reader *reader, struct stead_slice *ret_it) STEAD_MUST_USE;
/* Passes over one object with all that is in it. */
STEAD_PUBLIC int stead_read_skip(struct stead_reader *reader) STEAD_MUST_USE;

/* ---- Writing -------------------------------------------------------------------------------- */

/* A growing buffer. Writes cannot fail: memory is checked by the allocator, which stops the process. */
struct stead_writer {
    uint8_t *data;   /* owned, or inside `fixed` memory given at init */
    size_t size;     /* bytes written */
    size_t capacity; /* bytes available at data */
    bool fixed;      /* true while data is caller's memory; a copy is made when it overflows */
};

/* An empty buffer that takes memory when it is first written to. */
STEAD_PUBLIC void stead_writer_init(struct stead_writer *writer);
/* Starts in caller's memory (often the stack) and moves to the heap when that is full. */
STEAD_PUBLIC void stead_writer_init_fixed(struct stead_writer *writer, void *memory, size_t size);
/* Frees what it has taken from the heap; caller's memory stays. The writer is as after init. */
STEAD_PUBLIC void stead_writer_deinit(struct stead_writer *writer);
/* Forgets what was written, keeps the memory. */
STEAD_PUBLIC void stead_writer_reset(struct stead_writer *writer);
/* What was written so far. Borrowed until the next write. */
STEAD_PUBLIC struct stead_slice stead_written(const struct stead_writer *writer);

/* Each appends one object in its shortest form; bytes are copied. A NULL text is written as nil. */
STEAD_PUBLIC void stead_write_nil(struct stead_writer *writer);
STEAD_PUBLIC void stead_write_bool(struct stead_writer *writer, bool it);
STEAD_PUBLIC void stead_write_i64(struct stead_writer *writer, int64_t it);
STEAD_PUBLIC void stead_write_u64(struct stead_writer *writer, uint64_t it);
STEAD_PUBLIC void stead_write_f64(struct stead_writer *writer, double it);
STEAD_PUBLIC void stead_write_str(struct stead_writer *writer, const char *it);
STEAD_PUBLIC void stead_write_str_slice(struct stead_writer *writer, struct stead_slice it);
STEAD_PUBLIC void stead_write_bin(struct stead_writer *writer, struct stead_slice it);
/* Only the header: `count` elements (for a map: pairs) must follow. */
STEAD_PUBLIC void stead_write_array(struct stead_writer *writer, uint32_t count);
STEAD_PUBLIC void stead_write_map(struct stead_writer *writer, uint32_t count);
/* Bytes that already are msgpack; an empty slice is written as nil. */
STEAD_PUBLIC void stead_write_value(struct stead_writer *writer, struct stead_slice it);
/* Bytes as they are, no msgpack. */
STEAD_PUBLIC void stead_write_raw(struct stead_writer *writer, const void *data, size_t size);

/* Writes one value by format, spaces and commas ignored:
 *   n nil | b int as bool | d int | l int64_t | u uint64_t | f double | s const char * (NULL: nil)
 *   S struct stead_slice as text | B struct stead_slice as binary | v struct stead_slice, already msgpack
 *   [ ... ] array | { key: value, ... } map, keys are s or S; a literal colon separates key from value
 * stead_pack(&w, "{s:l,s:[d,d]}", "balance", (int64_t)5, "limits", 1, 2);
 * A malformed format is a programming error and stops the process. */
STEAD_PUBLIC void stead_pack(struct stead_writer *writer, const char *format, ...);
/* The same with the arguments as a list, which is used up. */
STEAD_PUBLIC void stead_pack_v(struct stead_writer *writer, const char *format, va_list args);
/* Like vsnprintf, always terminated, without locale and the same everywhere: %s %.*s %c %d %u %ld %lu %lld %llu %zu %x
 * %.2f %% and widths with zero fill. Returns the bytes that the whole text needs without its zero. */
STEAD_PUBLIC size_t stead_print_v(char *buffer, size_t size, const char *format, va_list args);

#ifdef __cplusplus
}
#endif
#endif
