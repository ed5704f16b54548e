/* SPDX-License-Identifier: Apache-2.0 */
/* fields: a struct to bytes and back, through versions of its table, and bytes that do not fit it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/base.h"
#include "runtime/fields.h"

struct item {
    char name[16];
    int64_t amount;
    struct stead_buffer note;
};
static const struct stead_field item_fields[] = {STEAD_FIELD(TEXT, struct item, name),
                                                 STEAD_FIELD(I64, struct item, amount),
                                                 STEAD_FIELD(BUFFER, struct item, note), STEAD_FIELDS_END};

struct owner {
    uint32_t age;
    bool active;
};
static const struct stead_field owner_fields[] = {STEAD_FIELD(U32, struct owner, age),
                                                  STEAD_FIELD(BOOL, struct owner, active), STEAD_FIELDS_END};

struct cart {
    int8_t i8;
    int16_t i16;
    int32_t i32;
    int64_t i64;
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    double ratio;
    bool open;
    char title[8];
    struct stead_buffer blob;
    struct owner owner;
    struct item items[4];
    uint32_t item_count;
};
static const struct stead_field cart_fields[] = {STEAD_FIELD(I8, struct cart, i8),
                                                 STEAD_FIELD(I16, struct cart, i16),
                                                 STEAD_FIELD(I32, struct cart, i32),
                                                 STEAD_FIELD(I64, struct cart, i64),
                                                 STEAD_FIELD(U8, struct cart, u8),
                                                 STEAD_FIELD(U16, struct cart, u16),
                                                 STEAD_FIELD(U32, struct cart, u32),
                                                 STEAD_FIELD(U64, struct cart, u64),
                                                 STEAD_FIELD(F64, struct cart, ratio),
                                                 STEAD_FIELD(BOOL, struct cart, open),
                                                 STEAD_FIELD(TEXT, struct cart, title),
                                                 STEAD_FIELD(BUFFER, struct cart, blob),
                                                 STEAD_FIELD_NESTED(struct cart, owner, owner_fields),
                                                 STEAD_FIELD_ARRAY(struct cart, items, item_count, item_fields),
                                                 STEAD_FIELDS_END};

static struct cart full_cart(void)
{
    struct cart cart = {
        .i8 = INT8_MIN,
        .i16 = INT16_MIN,
        .i32 = INT32_MIN,
        .i64 = INT64_MIN,
        .u8 = UINT8_MAX,
        .u16 = UINT16_MAX,
        .u32 = UINT32_MAX,
        .u64 = UINT64_MAX,
        .ratio = -0.125,
        .open = true,
        .title = "seven77",
        .owner = {.age = 41, .active = true},
        .item_count = 2,
    };
    stead_buffer_set(&cart.blob, stead_bytes("\0\1\2", 3));
    memcpy(cart.items[0].name, "tea", 4);
    cart.items[0].amount = 3;
    memcpy(cart.items[1].name, "coffee", 7);
    stead_buffer_set(&cart.items[1].note, stead_str("black"));
    return cart;
}

static void assert_bytes_equal(struct stead_slice a, struct stead_slice b)
{
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);
}

static void test_fields_of_every_type_round_trip(void **state)
{
    struct cart cart = full_cart(), back = {0};
    struct stead_writer first, second;
    char why[256];
    (void)state;

    assert_int_equal(stead_fields_check(cart_fields, sizeof cart, why), 0);
    stead_writer_init(&first);
    stead_writer_init(&second);
    stead_fields_encode(cart_fields, &cart, &first);
    assert_int_equal(stead_value_check(stead_written(&first)), 0);
    assert_int_equal(stead_fields_decode(cart_fields, &back, stead_written(&first)), 0);
    assert_true(back.i8 == INT8_MIN && back.i16 == INT16_MIN && back.i32 == INT32_MIN && back.i64 == INT64_MIN);
    assert_true(back.u8 == UINT8_MAX && back.u16 == UINT16_MAX && back.u32 == UINT32_MAX && back.u64 == UINT64_MAX);
    assert_true(back.ratio == -0.125 && back.open && back.owner.age == 41 && back.owner.active);
    assert_string_equal(back.title, "seven77");
    assert_int_equal(back.item_count, 2);
    assert_string_equal(back.items[1].name, "coffee");
    assert_true(stead_slice_equal(stead_buffer_get(&back.items[1].note), stead_str("black")));
    assert_true(stead_slice_equal(stead_buffer_get(&back.blob), stead_bytes("\0\1\2", 3)));

    stead_fields_encode(cart_fields, &back, &second); /* the same state, the same bytes */
    assert_bytes_equal(stead_written(&first), stead_written(&second));
    stead_writer_deinit(&first);
    stead_writer_deinit(&second);
    stead_fields_deinit(cart_fields, &cart);
    stead_fields_deinit(cart_fields, &back);
}

/* ---- Evolution ------------------------------------------------------------------------------ */

struct second_version {
    int64_t total; /* was amount */
    int64_t extra; /* new */
    double ratio;  /* was an integer */
};
static const struct stead_field second_fields[] = {STEAD_FIELD_WAS(I64, struct second_version, total, "amount"),
                                                   STEAD_FIELD(I64, struct second_version, extra),
                                                   STEAD_FIELD(F64, struct second_version, ratio), STEAD_FIELDS_END};

static int decode_packed(const struct stead_field *fields, void *ret_state, const char *format, ...)
{
    struct stead_writer writer;
    va_list args;

    stead_writer_init(&writer);
    va_start(args, format);
    stead_pack_v(&writer, format, args);
    va_end(args);
    assert_int_equal(stead_value_check(stead_written(&writer)), 0);
    int code = stead_fields_decode(fields, ret_state, stead_written(&writer));
    stead_writer_deinit(&writer);
    return code;
}

static void test_decode_of_an_older_image_reads_old_names_and_keeps_what_is_missing(void **state)
{
    struct second_version it = {.extra = 77};
    (void)state;
    assert_int_equal(decode_packed(second_fields, &it, "{s:d,s:s,s:d}", "amount", 5, "gone", "x", "ratio", 2), 0);
    assert_true(it.total == 5 && it.extra == 77 && it.ratio == 2.0);
}

static void test_decode_with_both_names_takes_the_new_one_in_any_order(void **state)
{
    struct second_version it = {0};
    (void)state;
    assert_int_equal(decode_packed(second_fields, &it, "{s:d,s:d}", "amount", 5, "total", 6), 0);
    assert_true(it.total == 6);
    it.total = 0;
    assert_int_equal(decode_packed(second_fields, &it, "{s:d,s:d}", "total", 6, "amount", 5), 0);
    assert_true(it.total == 6);
    it.total = 0; /* a new name that holds nothing is not there */
    assert_int_equal(decode_packed(second_fields, &it, "{s:d,s:n}", "amount", 5, "total"), 0);
    assert_true(it.total == 5);
}

static void test_decode_of_nil_keeps_everything(void **state)
{
    struct second_version it = {.total = 1, .extra = 2};
    (void)state;
    assert_int_equal(stead_fields_decode(second_fields, &it, (struct stead_slice){0}), 0);
    assert_int_equal(decode_packed(second_fields, &it, "n"), 0);
    assert_int_equal(decode_packed(second_fields, &it, "{s:n}", "extra"), 0);
    assert_true(it.total == 1 && it.extra == 2);
}

static void test_decode_ignores_names_that_are_no_text(void **state)
{
    /* {5: 1, "extra": 3} */
    static const uint8_t bytes[] = {0x82, 0x05, 0x01, 0xa5, 'e', 'x', 't', 'r', 'a', 0x03};
    struct second_version it = {0};
    (void)state;
    assert_int_equal(stead_fields_decode(second_fields, &it, stead_bytes(bytes, sizeof bytes)), 0);
    assert_true(it.extra == 3);
}

/* ---- What does not fit ---------------------------------------------------------------------- */

/* What is said of an image that was packed, of which it consumes the writer. */
static const char *explain(struct stead_writer *writer)
{
    static char why[STEAD_FIELDS_WHY_SIZE];
    struct cart cart = {0};

    stead_fields_explain(cart_fields, &cart, stead_written(writer), why);
    stead_fields_deinit(cart_fields, &cart);
    stead_writer_reset(writer);
    return why;
}

static void test_field_that_does_not_fit_is_named_with_what_was_found(void **state)
{
    struct stead_writer writer;

    (void)state;
    stead_writer_init(&writer);
    stead_pack(&writer, "{s:d,s:s}", "gone", 1, "i8", "seven");
    assert_string_equal(explain(&writer), "field i8 (i8) does not take what is stored: text of 5 bytes");
    stead_pack(&writer, "{s:d,s:d}", "i16", 1, "i8", 300);
    assert_string_equal(explain(&writer), "field i8 (i8) does not take what is stored: 300");
    stead_pack(&writer, "{s:{s:b,s:[d]}}", "owner", "active", 1, "age", 7);
    assert_string_equal(explain(&writer), "field owner.age (u32) does not take what is stored: an array");
    stead_pack(&writer, "{s:d}", "owner", 1);
    assert_string_equal(explain(&writer), "field owner (struct) does not take what is stored: 1");
    stead_pack(&writer, "{s:d}", "i8", 1);
    assert_string_equal(explain(&writer), "");
    stead_writer_deinit(&writer);
}

static void test_decode_of_values_that_do_not_fit_is_corrupt(void **state)
{
    struct cart cart = {0};
    (void)state;
    assert_int_equal(decode_packed(cart_fields, &cart, "{s:d}", "i8", 127), 0);
    assert_int_equal(decode_packed(cart_fields, &cart, "{s:d}", "i8", 128), STEAD_ECORRUPT);
    assert_int_equal(decode_packed(cart_fields, &cart, "{s:d}", "i8", -129), STEAD_ECORRUPT);
    assert_int_equal(decode_packed(cart_fields, &cart, "{s:d}", "i16", 32768), STEAD_ECORRUPT);
    assert_int_equal(decode_packed(cart_fields, &cart, "{s:l}", "i32", (int64_t)INT32_MAX + 1), STEAD_ECORRUPT);
    assert_int_equal(decode_packed(cart_fields, &cart, "{s:u}", "i64", (uint64_t)INT64_MAX + 1), STEAD_ECORRUPT);
    assert_int_equal(decode_packed(cart_fields, &cart, "{s:d}", "u8", -1), STEAD_ECORRUPT);
    assert_int_equal(decode_packed(cart_fields, &cart, "{s:d}", "u16", 65536), STEAD_ECORRUPT);
    assert_int_equal(decode_packed(cart_fields, &cart, "{s:s}", "u64", "7"), STEAD_ECORRUPT);
    assert_int_equal(decode_packed(cart_fields, &cart, "{s:d}", "open", 1), STEAD_ECORRUPT);
    assert_int_equal(decode_packed(cart_fields, &cart, "{s:s}", "ratio", "x"), STEAD_ECORRUPT);
    assert_int_equal(decode_packed(cart_fields, &cart, "{s:s}", "title", "seven77"), 0);
    assert_int_equal(decode_packed(cart_fields, &cart, "{s:s}", "title", "eight888"), STEAD_ECORRUPT);
    assert_int_equal(decode_packed(cart_fields, &cart, "{s:S}", "title", stead_bytes("a\0b", 3)), STEAD_ECORRUPT);
    assert_int_equal(decode_packed(cart_fields, &cart, "{s:s}", "blob", "text"), STEAD_ECORRUPT);
    assert_int_equal(decode_packed(cart_fields, &cart, "{s:d}", "owner", 1), STEAD_ECORRUPT);
    assert_int_equal(decode_packed(cart_fields, &cart, "{s:[{},{},{},{},{}]}", "items"), STEAD_ECORRUPT);
    assert_int_equal(decode_packed(cart_fields, &cart, "{s:[d]}", "items", 1), STEAD_ECORRUPT);
    assert_int_equal(decode_packed(cart_fields, &cart, "[d]", 1), STEAD_ECORRUPT);
    stead_fields_deinit(cart_fields, &cart);
}

static void test_decode_of_every_truncation_is_corrupt_and_frees(void **state)
{
    struct cart cart = full_cart();
    struct stead_writer writer;
    (void)state;
    stead_writer_init(&writer);
    stead_fields_encode(cart_fields, &cart, &writer);
    for (size_t size = 1; size < writer.size; size++) {
        uint8_t *cut = stead_alloc(size); /* exact, so that a sanitizer sees a read past it */
        struct cart back = {0};
        memcpy(cut, writer.data, size);
        assert_int_equal(stead_fields_decode(cart_fields, &back, stead_bytes(cut, size)), STEAD_ECORRUPT);
        stead_fields_deinit(cart_fields, &back);
        free(cut);
    }
    stead_writer_deinit(&writer);
    stead_fields_deinit(cart_fields, &cart);
}

static void test_decode_of_a_shorter_list_leaves_nothing_of_the_longer_one(void **state)
{
    struct cart cart = full_cart();
    struct item zero;
    (void)state;
    memset(&zero, 0, sizeof zero);
    assert_int_equal(decode_packed(cart_fields, &cart, "{s:[{s:s}]}", "items", "name", "milk"), 0);
    assert_int_equal(cart.item_count, 1);
    assert_string_equal(cart.items[0].name, "milk");
    assert_int_equal(cart.items[0].amount, 0); /* not the old element's */
    assert_memory_equal(&cart.items[1], &zero, sizeof zero);
    stead_fields_deinit(cart_fields, &cart);
}

static void test_deinit_frees_elements_that_an_op_counted_out(void **state)
{
    struct cart cart = full_cart();
    (void)state;
    cart.item_count = 0; /* an op dropped the list and left its buffers: leak checkers watch */
    stead_fields_deinit(cart_fields, &cart);
    assert_null(cart.items[1].note.data);
}

/* ---- Buffers -------------------------------------------------------------------------------- */

static void test_buffer_set_to_a_part_of_itself_keeps_the_bytes(void **state)
{
    struct stead_buffer buffer = {0};
    (void)state;
    stead_buffer_set(&buffer, stead_str("hello world"));
    stead_buffer_set(&buffer, stead_bytes(buffer.data + 6, 5));
    assert_true(stead_slice_equal(stead_buffer_get(&buffer), stead_str("world")));
    stead_buffer_set(&buffer, (struct stead_slice){0});
    assert_int_equal(stead_buffer_get(&buffer).size, 0);
    free(buffer.data);
}

/* ---- Tables that are wrong ------------------------------------------------------------------ */

static void assert_refused(const struct stead_field *fields, uint32_t state_size, const char *why_part)
{
    char why[256] = "";
    assert_int_equal(stead_fields_check(fields, state_size, why), STEAD_EARGUMENT);
    assert_int_equal(stead_fields_check(fields, state_size, NULL), STEAD_EARGUMENT);
    if (strstr(why, why_part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", why, why_part);
}

static void test_check_of_wrong_tables_says_why(void **state)
{
    char long_name[65];
    const struct stead_field outside[] = {{"a", NULL, STEAD_FIELD_I64, 4, 8, 0, 0, NULL}, STEAD_FIELDS_END};
    const struct stead_field wraps[] = {{"a", NULL, STEAD_FIELD_I64, UINT32_MAX - 3, 8, 0, 0, NULL}, STEAD_FIELDS_END};
    const struct stead_field size[] = {{"a", NULL, STEAD_FIELD_I32, 0, 8, 0, 0, NULL}, STEAD_FIELDS_END};
    const struct stead_field type[] = {{"a", NULL, (enum stead_field_type)99, 0, 8, 0, 0, NULL}, STEAD_FIELDS_END};
    const struct stead_field twice[] = {{"a", NULL, STEAD_FIELD_I32, 0, 4, 0, 0, NULL},
                                        {"a", NULL, STEAD_FIELD_I32, 4, 4, 0, 0, NULL},
                                        STEAD_FIELDS_END};
    const struct stead_field was[] = {{"a", "b", STEAD_FIELD_I32, 0, 4, 0, 0, NULL},
                                      {"b", NULL, STEAD_FIELD_I32, 4, 4, 0, 0, NULL},
                                      STEAD_FIELDS_END};
    const struct stead_field empty[] = {{"", NULL, STEAD_FIELD_I32, 0, 4, 0, 0, NULL}, STEAD_FIELDS_END};
    const struct stead_field bare[] = {{"a", NULL, STEAD_FIELD_LIST, 0, 4, 4, 1, NULL}, STEAD_FIELDS_END};
    const struct stead_field count[] = {{"a", NULL, STEAD_FIELD_LIST, 0, 4, 5, 1, owner_fields}, STEAD_FIELDS_END};
    const struct stead_field list[] = {{"a", NULL, STEAD_FIELD_LIST, 0, 8, 0, UINT32_MAX, owner_fields},
                                       STEAD_FIELDS_END};
    struct stead_field named[] = {{long_name, NULL, STEAD_FIELD_I32, 0, 4, 0, 0, NULL}, STEAD_FIELDS_END};
    (void)state;

    memset(long_name, 'a', 64);
    long_name[64] = 0;
    assert_refused(outside, 8, "outside");
    assert_refused(wraps, 8, "outside");
    assert_refused(size, 8, "size");
    assert_refused(type, 8, "unknown type");
    assert_refused(twice, 8, "twice");
    assert_refused(was, 8, "twice");
    assert_refused(empty, 8, "1 to 63");
    assert_refused(named, 8, "1 to 63");
    assert_refused(bare, 8, "table of its own");
    assert_refused(count, 8, "count");
    assert_refused(list, 8, "outside");
    long_name[63] = 0;
    assert_int_equal(stead_fields_check(named, 8, NULL), 0);
}

static void test_check_of_tables_nested_nine_deep_is_refused(void **state)
{
    struct stead_field tables[9][2];
    (void)state;
    for (int i = 0; i < 9; i++) {
        tables[i][0] = (struct stead_field){"in", NULL, STEAD_FIELD_STRUCT, 0, 4, 0, 0, tables[i + 1 < 9 ? i + 1 : 0]};
        tables[i][1] = (struct stead_field)STEAD_FIELDS_END;
    }
    tables[8][0] = (struct stead_field){"leaf", NULL, STEAD_FIELD_I32, 0, 4, 0, 0, NULL};
    assert_refused(tables[0], 4, "too deep");
    assert_int_equal(stead_fields_check(tables[1], 4, NULL), 0);
    tables[8][0] = (struct stead_field){"loop", NULL, STEAD_FIELD_STRUCT, 0, 4, 0, 0, tables[0]};
    assert_refused(tables[1], 4, "too deep"); /* a table that contains itself ends the same way */
}

static void test_bytes_are_those_of_every_buffer_inside(void **state)
{
    struct cart cart = {0}, full = full_cart();
    (void)state;

    assert_int_equal(stead_fields_bytes(cart_fields, &cart), 0);
    assert_in_range(stead_fields_bytes(cart_fields, &full), 3 + 5, 3 + 5 + 64);
    full.item_count = 0; /* what a list had stays until it is freed */
    assert_in_range(stead_fields_bytes(cart_fields, &full), 3 + 5, 3 + 5 + 64);
    stead_buffer_set(&full.blob, stead_bytes((uint8_t[1000]){0}, 1000));
    stead_buffer_set(&full.blob, stead_bytes("", 0));
    assert_in_range(stead_fields_bytes(cart_fields, &full), 1000 + 5, 1000 + 5 + 64);
    stead_fields_deinit(cart_fields, &full);
    assert_int_equal(stead_fields_bytes(cart_fields, &full), 0);
    assert_int_equal(stead_fields_bytes(owner_fields, &full.owner), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_of_every_type_round_trip),
        cmocka_unit_test(test_decode_of_an_older_image_reads_old_names_and_keeps_what_is_missing),
        cmocka_unit_test(test_decode_with_both_names_takes_the_new_one_in_any_order),
        cmocka_unit_test(test_decode_of_nil_keeps_everything),
        cmocka_unit_test(test_decode_ignores_names_that_are_no_text),
        cmocka_unit_test(test_field_that_does_not_fit_is_named_with_what_was_found),
        cmocka_unit_test(test_decode_of_values_that_do_not_fit_is_corrupt),
        cmocka_unit_test(test_decode_of_every_truncation_is_corrupt_and_frees),
        cmocka_unit_test(test_decode_of_a_shorter_list_leaves_nothing_of_the_longer_one),
        cmocka_unit_test(test_deinit_frees_elements_that_an_op_counted_out),
        cmocka_unit_test(test_buffer_set_to_a_part_of_itself_keeps_the_bytes),
        cmocka_unit_test(test_check_of_wrong_tables_says_why),
        cmocka_unit_test(test_check_of_tables_nested_nine_deep_is_refused),
        cmocka_unit_test(test_bytes_are_those_of_every_buffer_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
