/* SPDX-License-Identifier: Apache-2.0 */
/* address: what an address is, byte by byte, and slots that must never change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/address.h"
#include "runtime/base.h"

static int check(const char *text)
{
    size_t kind_size = 99;
    int code = stead_address_check(stead_str(text), &kind_size);
    if (code == 0)
        assert_int_equal(kind_size, strchr(text, '/') - text);
    else
        assert_int_equal(kind_size, 99); /* untouched */
    return code;
}

/* kind of `kind_size` a's, key of `key_size` k's. */
static int check_sizes(size_t kind_size, size_t key_size)
{
    char *text = stead_alloc(kind_size + key_size + 2);
    memset(text, 'a', kind_size);
    text[kind_size] = '/';
    memset(text + kind_size + 1, 'k', key_size);
    text[kind_size + 1 + key_size] = 0;
    int code = check(text);
    free(text);
    return code;
}

static void test_address_of_a_kind_and_a_key_is_taken(void **state)
{
    (void)state;
    assert_int_equal(check("counter/alice"), 0);
    assert_int_equal(check("a/b"), 0);
    assert_int_equal(check("a0_.-/b"), 0);
    assert_int_equal(check("path/a/b//c/"), 0); /* slashes belong to the key */
    assert_int_equal(check("k/ with spaces "), 0);
    assert_int_equal(check("k/Ünïcödé 東京 🚀"), 0);
    assert_int_equal(check("k/{tag}:1"), 0);
}

static void test_address_without_a_kind_or_a_key_is_refused(void **state)
{
    static const char *const wrong[] = {"",    "/",    "counter", "counter/",      "/alice", "Counter/a",
                                        "1/a", "_a/b", "kind /a", "kin\xc3\xa4/a", "-a/b"};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(check(wrong[i]), STEAD_EADDRESS);
    size_t kind_size;
    assert_int_equal(stead_address_check((struct stead_slice){0}, &kind_size), STEAD_EADDRESS);
}

static void test_address_sizes_are_taken_up_to_the_limits(void **state)
{
    (void)state;
    assert_int_equal(check_sizes(63, 512), 0);
    assert_int_equal(check_sizes(64, 1), STEAD_EADDRESS);
    assert_int_equal(check_sizes(1, 513), STEAD_EADDRESS);
}

static void test_key_with_a_control_character_is_refused(void **state)
{
    (void)state;
    for (int c = 0; c < 0x100; c++) {
        uint8_t bytes[] = {'k', '/', 'x', (uint8_t)c};
        size_t kind_size;
        bool fine = c >= 0x20 && c < 0x7f;
        assert_int_equal(stead_address_check(stead_bytes(bytes, 4), &kind_size), fine ? 0 : STEAD_EADDRESS);
    }
    for (int c = 0x80; c < 0xc0; c++) { /* U+0080 to U+00BF */
        uint8_t bytes[] = {'k', '/', 0xc2, (uint8_t)c};
        size_t kind_size;
        assert_int_equal(stead_address_check(stead_bytes(bytes, 4), &kind_size), c >= 0xa0 ? 0 : STEAD_EADDRESS);
    }
}

static void test_key_that_is_not_utf8_is_refused(void **state)
{
    static const char *const wrong[] = {
        "k/\xc0\xaf",
        "k/\xc1\x81", /* overlong, two bytes */
        "k/\xe0\x9f\xbf",
        "k/\xf0\x8f\xbf\xbf", /* overlong, three and four */
        "k/\xed\xa0\x80",
        "k/\xed\xbf\xbf", /* surrogates */
        "k/\xf4\x90\x80\x80",
        "k/\xf5\x80\x80\x80", /* past U+10FFFF */
        "k/\xe6\x9d",
        "k/\xf0\x9f\x9a", /* cut short */
        "k/\xc3x",
        "k/\xe6\x9dx", /* no continuation */
        "k/\x80",
        "k/\xff",
    };
    static const char *const right[] = {"k/\xe0\xa0\x80",     "k/\xed\x9f\xbf",     "k/\xee\x80\x80",
                                        "k/\xf0\x90\x80\x80", "k/\xf4\x8f\xbf\xbf", "k/\xdf\xbf"};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (check(wrong[i]) != STEAD_EADDRESS)
            fail_msg("number %zu was taken", i);
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++)
        if (check(right[i]) != 0)
            fail_msg("number %zu was refused", i);
}

static void test_names_of_ops_may_begin_with_an_underscore(void **state)
{
    char name[65];
    (void)state;
    memset(name, 'a', 64);
    name[64] = 0;
    assert_false(stead_op_name_check(stead_str(name)));
    name[63] = 0;
    assert_true(stead_op_name_check(stead_str(name)));
    name[0] = '_';
    assert_true(stead_op_name_check(stead_str(name)));
    assert_true(stead_op_name_check(stead_str("_")));
    assert_true(stead_op_name_check(stead_str("__.1-x")));
    assert_false(stead_op_name_check(stead_str("")));
    assert_false(stead_op_name_check(stead_str("_A")));
    assert_false(stead_op_name_check(stead_str("add!")));
    assert_false(stead_name_check(stead_str("_a"), 63));
    assert_true(stead_name_check(stead_str("a"), 1));
    assert_false(stead_name_check(stead_str("ab"), 1));
    assert_false(stead_name_check(stead_bytes("a\0b", 3), 63));
}

/* Worked out by a second implementation of docs/FORMATS' definition; stored data depends on them. */
static void test_hash_of_known_texts_never_changes(void **state)
{
    (void)state;
    assert_true(stead_hash("", 0) == 0xefd01f60ba992926u);
    assert_true(stead_hash("a", 1) == 0x82a2a958a9bece5bu);
    assert_true(stead_hash("counter/alice", 13) == 0xb35ae4399a12e963u);
}

static unsigned slot(const char *address, unsigned group)
{
    return stead_address_slot(stead_str(address), group).v;
}

static void test_slot_of_a_tag_is_that_of_the_tag_alone(void **state)
{
    (void)state;
    assert_int_equal(slot("counter/alice", 0), 2403);
    assert_int_equal(slot("cart/{alice}:1", 0), 2292);
    assert_int_equal(slot("wallet/{alice}", 0), 2292);
    assert_int_equal(slot("wallet/x{alice}{bob}", 0), 2292); /* the first */
    assert_int_equal(slot("x/{}{alice}", 0), 2292);          /* the first that is not empty */
    assert_int_not_equal(slot("x/{alice", 0), 2292);         /* never closed: no tag */
    assert_int_not_equal(slot("x/}alice{", 0), 2292);
    assert_int_equal(slot("x/}{alice}", 0), 2292);
    assert_int_not_equal(slot("x/{}", 0), slot("y/{}", 0)); /* an empty part is no tag: the kinds differ */
}

static void test_slot_carries_its_group_in_the_high_bits(void **state)
{
    (void)state;
    assert_int_equal(slot("counter/alice", 3), 3 << 12 | 2403);
    assert_int_equal(stead_slot_group((stead_slot){(uint16_t)slot("counter/alice", 14)}), 14);
}

static void test_slots_of_many_keys_are_spread_evenly(void **state)
{
    unsigned counts[STEAD_SLOTS_PER_GROUP] = {0}, fullest = 0;
    (void)state;
    for (int i = 0; i < 409600; i++) { /* 100 a slot */
        char address[32];
        stead_format(address, sizeof address, "counter/%d", i);
        unsigned count = ++counts[slot(address, 0)];
        fullest = count > fullest ? count : fullest;
    }
    assert_in_range(fullest, 101, 160); /* six standard deviations */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_address_of_a_kind_and_a_key_is_taken),
        cmocka_unit_test(test_address_without_a_kind_or_a_key_is_refused),
        cmocka_unit_test(test_address_sizes_are_taken_up_to_the_limits),
        cmocka_unit_test(test_key_with_a_control_character_is_refused),
        cmocka_unit_test(test_key_that_is_not_utf8_is_refused),
        cmocka_unit_test(test_names_of_ops_may_begin_with_an_underscore),
        cmocka_unit_test(test_hash_of_known_texts_never_changes),
        cmocka_unit_test(test_slot_of_a_tag_is_that_of_the_tag_alone),
        cmocka_unit_test(test_slot_carries_its_group_in_the_high_bits),
        cmocka_unit_test(test_slots_of_many_keys_are_spread_evenly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
