/* SPDX-License-Identifier: Apache-2.0 */
/* value: reading of msgpack: by name, by cursor, and of bytes that somebody made up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <msgpack.h>

#include "runtime/base.h"
#include "stead/value.h"

#define BYTES(...) stead_bytes((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* A heap copy of exactly these bytes, so that a sanitizer sees a read past the end. */
static struct stead_slice exact_copy(struct stead_slice bytes)
{
    uint8_t *copy = stead_alloc(bytes.size);
    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    return stead_bytes(copy, bytes.size);
}

/* Calls every reader on these bytes; what they return does not matter, only that they come back. */
static void read_everything(struct stead_slice value)
{
    struct stead_reader reader = stead_reader(value);
    struct stead_slice slice;
    int64_t i64;
    uint64_t u64;
    uint32_t count;
    double f64;
    bool truth;
    char text[8];
    int codes = 0;

    stead_peek(&reader);
    for (int i = 0; i < 100 && reader.at < reader.end; i++) {
        const uint8_t *before = reader.at;
        codes |= stead_read_nil(&reader) & stead_read_bool(&reader, &truth) & stead_read_i64(&reader, &i64);
        codes |= stead_read_u64(&reader, &u64) & stead_read_f64(&reader, &f64) & stead_read_str(&reader, &slice);
        codes |= stead_read_bin(&reader, &slice) & stead_read_array(&reader, &count) & stead_read_map(&reader, &count);
        codes |= stead_read_skip(&reader);
        assert_true(reader.at >= before && reader.at <= reader.end);
        if (reader.at == before)
            break;
    }
    codes |= stead_get_bool(value, "a", &truth) & stead_get_i64(value, "by", &i64) & stead_get_u64(value, NULL, &u64);
    codes |= stead_get_f64(value, "f", &f64) & stead_get_str(value, "s", &slice) & stead_get_bin(value, "b", &slice);
    codes |= stead_get_text(value, "s", text, sizeof text) & stead_get_value(value, "v", &slice);
    assert_true(codes <= 0);
}

/* One value with everything in it, written by msgpack-c. */
static msgpack_sbuffer packed_by_msgpack_c(void)
{
    msgpack_sbuffer buffer;
    msgpack_packer packer;

    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 6);
    msgpack_pack_str_with_body(&packer, "small", 5);
    msgpack_pack_int64(&packer, -7);
    msgpack_pack_str_with_body(&packer, "big", 3);
    msgpack_pack_uint64(&packer, UINT64_MAX);
    msgpack_pack_str_with_body(&packer, "half", 4);
    msgpack_pack_float(&packer, 0.5f);
    msgpack_pack_str_with_body(&packer, "list", 4);
    msgpack_pack_array(&packer, 3);
    msgpack_pack_nil(&packer);
    msgpack_pack_true(&packer);
    msgpack_pack_bin_with_body(&packer, "\x00\x01", 2);
    msgpack_pack_str_with_body(&packer, "time", 4);
    msgpack_pack_ext_with_body(&packer, "abcd", 4, -1);
    msgpack_pack_str_with_body(&packer, "name", 4);
    msgpack_pack_str_with_body(&packer, "alice", 5);
    return buffer;
}

static void test_get_by_name_from_msgpack_c_finds_each_type(void **state)
{
    msgpack_sbuffer buffer = packed_by_msgpack_c();
    struct stead_slice value = stead_bytes(buffer.data, buffer.size), it;
    int64_t i64 = 0;
    uint64_t u64 = 0;
    double f64 = 0;
    char text[6];
    (void)state;

    assert_int_equal(stead_value_check(value), 0);
    assert_int_equal(stead_get_i64(value, "small", &i64), 0);
    assert_true(i64 == -7);
    assert_int_equal(stead_get_u64(value, "big", &u64), 0);
    assert_true(u64 == UINT64_MAX);
    assert_int_equal(stead_get_f64(value, "half", &f64), 0);
    assert_true(f64 == 0.5);
    assert_int_equal(stead_get_f64(value, "big", &f64), 0);
    assert_true(f64 == 18446744073709551615.0);
    assert_int_equal(stead_get_text(value, "name", text, sizeof text), 0);
    assert_string_equal(text, "alice");
    assert_int_equal(stead_get_text(value, "name", text, 5), STEAD_ETOOLARGE);
    assert_int_equal(stead_get_value(value, "time", &it), 0);
    assert_int_equal(it.size, 6);
    assert_int_equal(stead_get_value(value, NULL, &it), 0);
    assert_true(stead_slice_equal(it, value));
    msgpack_sbuffer_destroy(&buffer);
}

static void test_get_of_another_type_is_a_bad_argument_and_changes_nothing(void **state)
{
    msgpack_sbuffer buffer = packed_by_msgpack_c();
    struct stead_slice value = stead_bytes(buffer.data, buffer.size), it = {0};
    int64_t i64 = 77;
    uint64_t u64 = 77;
    bool truth = true;
    (void)state;

    assert_int_equal(stead_get_i64(value, "name", &i64), STEAD_EARGUMENT);
    assert_int_equal(stead_get_i64(value, "big", &i64), STEAD_EARGUMENT); /* over INT64_MAX */
    assert_int_equal(stead_get_i64(value, "half", &i64), STEAD_EARGUMENT);
    assert_int_equal(stead_get_u64(value, "small", &u64), STEAD_EARGUMENT); /* negative */
    assert_int_equal(stead_get_bool(value, "small", &truth), STEAD_EARGUMENT);
    assert_int_equal(stead_get_bin(value, "name", &it), STEAD_EARGUMENT);
    assert_int_equal(stead_get_str(value, "list", &it), STEAD_EARGUMENT);
    assert_int_equal(stead_get_i64(value, NULL, &i64), STEAD_EARGUMENT);
    assert_int_equal(stead_get_i64(BYTES(0x01), "by", &i64), STEAD_EARGUMENT); /* no map */
    assert_true(i64 == 77 && u64 == 77 && truth && it.data == NULL);
    msgpack_sbuffer_destroy(&buffer);
}

static void test_get_of_what_is_not_there_is_not_found(void **state)
{
    struct stead_slice value = BYTES(0x82, 0xa1, 'a', 0xc0, 0x05, 0x06), empty = {0};
    int64_t i64 = 77;
    (void)state;

    assert_int_equal(stead_get_i64(value, "b", &i64), STEAD_ENOTFOUND);
    assert_int_equal(stead_get_i64(value, "a", &i64), STEAD_ENOTFOUND); /* nil */
    assert_int_equal(stead_get_i64(value, "", &i64), STEAD_ENOTFOUND);
    assert_int_equal(stead_get_i64(empty, "a", &i64), STEAD_ENOTFOUND);
    assert_int_equal(stead_get_i64(empty, NULL, &i64), STEAD_ENOTFOUND);
    assert_int_equal(stead_get_i64(BYTES(0xc0), "a", &i64), STEAD_ENOTFOUND);
    assert_true(i64 == 77);
}

static void test_get_of_a_name_that_is_there_twice_takes_the_first(void **state)
{
    int64_t i64 = 0;
    (void)state;
    assert_int_equal(stead_get_i64(BYTES(0x82, 0xa1, 'a', 0x01, 0xa1, 'a', 0x02), "a", &i64), 0);
    assert_true(i64 == 1);
}

static void test_read_of_integers_at_every_edge_gives_the_number(void **state)
{
    static const int64_t edges[] = {
        0,         1,  127, 128, 255,      256,          65535,     65536,         UINT32_MAX, 4294967296,
        INT64_MAX, -1, -32, -33, INT8_MIN, INT8_MIN - 1, INT16_MIN, INT16_MIN - 1, INT32_MIN,  (int64_t)INT32_MIN - 1,
        INT64_MIN};
    (void)state;
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        msgpack_sbuffer buffer;
        msgpack_packer packer;
        int64_t it = 99;
        msgpack_sbuffer_init(&buffer);
        msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
        msgpack_pack_int64(&packer, edges[i]);
        struct stead_reader reader = stead_reader(stead_bytes(buffer.data, buffer.size));
        assert_int_equal(stead_read_i64(&reader, &it), 0);
        assert_true(it == edges[i]);
        assert_ptr_equal(reader.at, reader.end);
        msgpack_sbuffer_destroy(&buffer);
    }
    int64_t it = 0;
    /* Longer than needed is still a number. */
    assert_int_equal(stead_get_i64(BYTES(0xd3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), NULL, &it), 0);
    assert_true(it == -1);
    assert_int_equal(stead_get_i64(BYTES(0xd1, 0x00, 0x05), NULL, &it), 0);
    assert_true(it == 5);
}

static void test_read_of_a_number_that_does_not_fit_leaves_the_cursor(void **state)
{
    struct stead_slice large = BYTES(0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), negative = BYTES(0xff);
    struct stead_reader reader = stead_reader(large);
    int64_t i64;
    uint64_t u64;
    (void)state;
    assert_int_equal(stead_read_i64(&reader, &i64), STEAD_EARGUMENT);
    assert_int_equal(stead_read_u64(&reader, &u64), 0);
    assert_true(u64 == UINT64_MAX);
    reader = stead_reader(negative);
    assert_int_equal(stead_read_u64(&reader, &u64), STEAD_EARGUMENT);
    assert_int_equal(stead_read_i64(&reader, &i64), 0);
    assert_true(i64 == -1);
}

static void test_read_of_another_type_leaves_the_cursor(void **state)
{
    struct stead_reader reader = stead_reader(BYTES(0xa1, 'x', 0xff));
    int64_t it;
    uint32_t count;
    (void)state;
    assert_int_equal(stead_read_i64(&reader, &it), STEAD_EARGUMENT);
    assert_int_equal(stead_read_array(&reader, &count), STEAD_EARGUMENT);
    assert_int_equal(stead_peek(&reader), STEAD_STR);
    assert_int_equal(stead_read_skip(&reader), 0);
    assert_int_equal(stead_read_i64(&reader, &it), 0);
    assert_true(it == -1);
    assert_int_equal(stead_read_i64(&reader, &it), STEAD_ECORRUPT); /* the end */
    assert_int_equal(stead_peek(&reader), STEAD_NIL);
}

/* ---- Hostile bytes -------------------------------------------------------------------------- */

static void test_check_of_the_six_byte_bomb_is_corrupt(void **state)
{
    (void)state;
    assert_int_equal(stead_value_check(BYTES(0xdd, 0x10, 0x00, 0x00, 0x00, 0x01)), STEAD_ECORRUPT);
    assert_int_equal(stead_value_check(BYTES(0xdf, 0x10, 0x00, 0x00, 0x00, 0x01)), STEAD_ECORRUPT);
    assert_int_equal(stead_value_check(BYTES(0xdf, 0xff, 0xff, 0xff, 0xff, 0x01)), STEAD_ECORRUPT);
    assert_int_equal(stead_value_check(BYTES(0xc6, 0xff, 0xff, 0xff, 0xff, 0x01)), STEAD_ECORRUPT);
    assert_int_equal(stead_value_check(BYTES(0xdb, 0x00, 0x00, 0x00, 0x02, 0x01)), STEAD_ECORRUPT);
    uint32_t count = 77; /* nobody is told a count that the bytes cannot hold */
    struct stead_reader reader = stead_reader(BYTES(0xdd, 0x10, 0x00, 0x00, 0x00, 0x01));
    assert_int_equal(stead_read_array(&reader, &count), STEAD_ECORRUPT);
    reader = stead_reader(BYTES(0xdf, 0x10, 0x00, 0x00, 0x00, 0x01));
    assert_int_equal(stead_read_map(&reader, &count), STEAD_ECORRUPT);
    assert_int_equal(count, 77);
    read_everything(BYTES(0xdd, 0x10, 0x00, 0x00, 0x00, 0x01));
    read_everything(BYTES(0xdf, 0xff, 0xff, 0xff, 0xff, 0x01));
}

static void test_check_of_nesting_32_is_fine_and_of_33_is_corrupt(void **state)
{
    uint8_t bytes[34];
    (void)state;
    memset(bytes, 0x91, sizeof bytes); /* [[[... */
    bytes[32] = 0xc0;
    assert_int_equal(stead_value_check(stead_bytes(bytes, 33)), 0);
    bytes[32] = 0x91;
    bytes[33] = 0xc0;
    assert_int_equal(stead_value_check(stead_bytes(bytes, 34)), STEAD_ETOOLARGE);
    bytes[32] = 0x90; /* an empty one inside is as deep */
    assert_int_equal(stead_value_check(stead_bytes(bytes, 33)), STEAD_ETOOLARGE);
}

static void test_check_of_deep_and_wide_bytes_is_linear(void **state)
{
    size_t size = 4u << 20;
    uint8_t *bytes = stead_alloc(size);
    (void)state;
    memset(bytes, 0x91, size); /* four million open arrays: refused at the 33rd, skipped in one walk */
    assert_int_equal(stead_value_check(stead_bytes(bytes, size)), STEAD_ETOOLARGE);
    struct stead_reader reader = stead_reader(stead_bytes(bytes, size));
    assert_int_equal(stead_read_skip(&reader), STEAD_ECORRUPT);
    bytes[size - 1] = 0xc0;
    assert_int_equal(stead_read_skip(&reader), 0);
    free(bytes);
}

static void test_check_of_more_or_less_than_one_object_is_corrupt(void **state)
{
    (void)state;
    assert_int_equal(stead_value_check((struct stead_slice){0}), 0);
    assert_int_equal(stead_value_check(BYTES(0xc0)), 0);
    assert_int_equal(stead_value_check(BYTES(0xc0, 0xc0)), STEAD_ECORRUPT);
    assert_int_equal(stead_value_check(BYTES(0xc1)), STEAD_ECORRUPT); /* never used */
    assert_int_equal(stead_value_check(BYTES(0x92, 0xc0)), STEAD_ECORRUPT);
    assert_int_equal(stead_value_check(BYTES(0x90, 0xc0)), STEAD_ECORRUPT);
}

static void test_check_of_every_truncation_is_corrupt(void **state)
{
    msgpack_sbuffer buffer = packed_by_msgpack_c();
    (void)state;
    for (size_t size = 1; size < buffer.size; size++) {
        struct stead_slice cut = exact_copy(stead_bytes(buffer.data, size));
        assert_int_equal(stead_value_check(cut), STEAD_ECORRUPT);
        read_everything(cut);
        free((void *)(uintptr_t)cut.data);
    }
    msgpack_sbuffer_destroy(&buffer);
}

/* Damages one value in many ways: whatever the checker passes, msgpack-c must read to the end as well. */
static void test_check_of_damaged_bytes_agrees_with_msgpack_c(void **state)
{
    msgpack_sbuffer buffer = packed_by_msgpack_c();
    struct stead_rng rng;
    unsigned passed = 0;
    (void)state;
    stead_rng_seed(&rng, 1);
    for (int i = 0; i < 20000; i++) {
        struct stead_slice damaged = exact_copy(stead_bytes(buffer.data, buffer.size));
        uint8_t *bytes = (uint8_t *)(uintptr_t)damaged.data;
        for (uint64_t n = stead_rng_below(&rng, 4) + 1; n > 0; n--)
            bytes[stead_rng_below(&rng, damaged.size)] = (uint8_t)stead_rng_next(&rng);
        read_everything(damaged);
        if (stead_value_check(damaged) == 0) {
            msgpack_unpacked unpacked;
            size_t offset = 0;
            msgpack_unpacked_init(&unpacked);
            assert_int_equal(msgpack_unpack_next(&unpacked, (const char *)bytes, damaged.size, &offset),
                             MSGPACK_UNPACK_SUCCESS);
            assert_int_equal(offset, damaged.size);
            msgpack_unpacked_destroy(&unpacked);
            passed++;
        }
        free(bytes);
    }
    assert_true(passed > 100); /* the damage was not always fatal */
    msgpack_sbuffer_destroy(&buffer);
}

static void test_slices_are_ordered_by_bytes_then_by_length(void **state)
{
    struct stead_slice none = {0};
    (void)state;
    assert_true(stead_slice_compare(stead_str("a"), stead_str("b")) < 0);
    assert_true(stead_slice_compare(stead_str("ab"), stead_str("a")) > 0);
    assert_true(stead_slice_compare(BYTES(0xff), BYTES(0x01)) > 0);
    assert_int_equal(stead_slice_compare(none, stead_str("")), 0);
    assert_true(stead_slice_compare(none, stead_str("a")) < 0);
    assert_true(stead_slice_equal(none, stead_str("")));
    assert_false(stead_slice_equal(stead_str("a"), stead_str("b")));
    assert_int_equal(stead_str(NULL).size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get_by_name_from_msgpack_c_finds_each_type),
        cmocka_unit_test(test_get_of_another_type_is_a_bad_argument_and_changes_nothing),
        cmocka_unit_test(test_get_of_what_is_not_there_is_not_found),
        cmocka_unit_test(test_get_of_a_name_that_is_there_twice_takes_the_first),
        cmocka_unit_test(test_read_of_integers_at_every_edge_gives_the_number),
        cmocka_unit_test(test_read_of_a_number_that_does_not_fit_leaves_the_cursor),
        cmocka_unit_test(test_read_of_another_type_leaves_the_cursor),
        cmocka_unit_test(test_check_of_the_six_byte_bomb_is_corrupt),
        cmocka_unit_test(test_check_of_nesting_32_is_fine_and_of_33_is_corrupt),
        cmocka_unit_test(test_check_of_deep_and_wide_bytes_is_linear),
        cmocka_unit_test(test_check_of_more_or_less_than_one_object_is_corrupt),
        cmocka_unit_test(test_check_of_every_truncation_is_corrupt),
        cmocka_unit_test(test_check_of_damaged_bytes_agrees_with_msgpack_c),
        cmocka_unit_test(test_slices_are_ordered_by_bytes_then_by_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
