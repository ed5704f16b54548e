/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_value: stead_value_check() and every reader. A value that passes the check is rewritten object by object
 * (headers and bodies are one flat stream, so this needs no recursion); the copy must pass too, and rewriting it must
 * change nothing.
 */
#include "fuzz/fuzz.h"

static void rewrite_integer(struct stead_reader *reader, struct stead_writer *writer)
{
    int64_t i64;
    uint64_t u64;

    if (stead_read_i64(reader, &i64) == 0) {
        stead_write_i64(writer, i64);
        return;
    }
    STEAD_ASSERT(stead_read_u64(reader, &u64) == 0);
    stead_write_u64(writer, u64);
}

/* Copies one object, or the head of a container; false when it cannot be read. */
static bool rewrite_object(struct stead_reader *reader, struct stead_writer *writer)
{
    struct stead_slice slice;
    uint32_t count;
    double f64;
    bool truth;

    switch (stead_peek(reader)) {
    case STEAD_NIL: /* also what cannot be read at all */
        if (stead_read_nil(reader) != 0)
            return false;
        stead_write_nil(writer);
        return true;
    case STEAD_BOOL:
        STEAD_ASSERT(stead_read_bool(reader, &truth) == 0);
        stead_write_bool(writer, truth);
        return true;
    case STEAD_INT:
        rewrite_integer(reader, writer);
        return true;
    case STEAD_FLOAT:
        STEAD_ASSERT(stead_read_f64(reader, &f64) == 0);
        stead_write_f64(writer, f64);
        return true;
    case STEAD_STR:
        STEAD_ASSERT(stead_read_str(reader, &slice) == 0);
        stead_write_str_slice(writer, slice);
        return true;
    case STEAD_BIN:
        STEAD_ASSERT(stead_read_bin(reader, &slice) == 0);
        stead_write_bin(writer, slice);
        return true;
    case STEAD_ARRAY:
        STEAD_ASSERT(stead_read_array(reader, &count) == 0);
        stead_write_array(writer, count);
        return true;
    case STEAD_MAP:
        STEAD_ASSERT(stead_read_map(reader, &count) == 0);
        stead_write_map(writer, count);
        return true;
    case STEAD_EXT:
        STEAD_ASSERT(stead_read_value(reader, &slice) == 0);
        stead_write_value(writer, slice);
        return true;
    }
    return false;
}

static void rewrite(struct stead_slice value, struct stead_writer *ret_writer)
{
    struct stead_reader reader = stead_reader(value);

    stead_writer_init(ret_writer);
    while (reader.at < reader.end && rewrite_object(&reader, ret_writer))
        ;
}

static void read_by_name(struct stead_slice value)
{
    static const char *const names[] = {NULL, "", "a", "by", "name", "sentence"};
    struct stead_slice slice;
    int64_t i64;
    uint64_t u64;
    double f64;
    bool truth;
    char text[8];
    int codes = 0;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        codes |= stead_get_bool(value, names[i], &truth) | stead_get_i64(value, names[i], &i64);
        codes |= stead_get_u64(value, names[i], &u64) | stead_get_f64(value, names[i], &f64);
        codes |= stead_get_str(value, names[i], &slice) | stead_get_bin(value, names[i], &slice);
        codes |= stead_get_text(value, names[i], text, sizeof text) | stead_get_value(value, names[i], &slice);
    }
    STEAD_ASSERT(codes <= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stead_slice value = fuzz_copy(data, size);
    struct stead_writer first, second;

    read_by_name(value);
    rewrite(value, &first); /* unchecked bytes: only has to come back */
    if (stead_value_check(value) == 0) {
        STEAD_ASSERT(stead_value_check(stead_written(&first)) == 0);
        rewrite(stead_written(&first), &second);
        STEAD_ASSERT(stead_slice_equal(stead_written(&first), stead_written(&second)));
        stead_writer_deinit(&second);
    }
    stead_writer_deinit(&first);
    fuzz_free(value);
    return 0;
}
