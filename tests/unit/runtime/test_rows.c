/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of the store image: made, ordered and taken apart as rows.h says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/base.h"
#include "runtime/rows.h"

static const stead_slot slot = {0x1234};

static struct stead_row_parsed parse(const struct stead_row_key *key)
{
    struct stead_row_parsed parsed;
    memset(&parsed, 0, sizeof parsed);
    assert_int_equal(stead_row_parse(stead_row_slice(key), &parsed), 0);
    assert_int_equal(parsed.slot.v, slot.v);
    return parsed;
}

static int order(const struct stead_row_key *a, const struct stead_row_key *b)
{
    return stead_slice_compare(stead_row_slice(a), stead_row_slice(b));
}

static void test_key_of_an_agent_has_the_documented_bytes(void **state)
{
    (void)state;
    struct stead_row_key key;
    static const uint8_t expected[] = {0x12, 0x34, 0x40, 'a', '/', 'b', 0};
    stead_row_agent(&key, slot, stead_str("a/b"));
    assert_int_equal(key.size, sizeof expected);
    assert_memory_equal(key.data, expected, sizeof expected);
    assert_true(stead_slice_equal(parse(&key).address, stead_str("a/b")));
}

static void test_key_of_a_part_is_taken_apart_as_it_was_made(void **state)
{
    (void)state;
    struct stead_row_key key;
    stead_row_part(&key, slot, stead_str("a/b"), 0x0102030405060708ull, STEAD_PART_KV, stead_str("any\0bytes"));
    struct stead_row_parsed parsed = parse(&key);
    assert_int_equal(parsed.row_class, STEAD_ROW_PART);
    assert_true(parsed.incarnation == 0x0102030405060708ull);
    assert_int_equal(parsed.part, STEAD_PART_KV);
    assert_true(stead_slice_equal(parsed.sub, stead_str("any\0bytes")));
}

static void test_key_of_each_other_class_is_taken_apart_as_it_was_made(void **state)
{
    (void)state;
    struct stead_row_key key;
    struct stead_row_parsed parsed;
    const struct stead_slice id = stead_str("0123456789abcdef");
    stead_row_begin(&key, slot, STEAD_ROW_CHANNEL_IN);
    stead_row_add_u16(&key, 0xabcd);
    assert_int_equal(parse(&key).other.v, 0xabcd);
    stead_row_begin(&key, slot, STEAD_ROW_OUTBOX);
    stead_row_add_u16(&key, 0xabcd);
    stead_row_add_u64(&key, 3);
    stead_row_add_u64(&key, 9);
    parsed = parse(&key);
    assert_true(parsed.other.v == 0xabcd && parsed.number.epoch == 3 && parsed.number.counter == 9);
    stead_row_begin(&key, slot, STEAD_ROW_ANSWER);
    stead_row_add(&key, id);
    stead_row_add_u64(&key, 5);
    parsed = parse(&key);
    assert_memory_equal(parsed.session.v, id.data, 16);
    assert_int_equal(parsed.session_number, 5);
    stead_row_begin(&key, slot, STEAD_ROW_IDEMPOTENCY);
    stead_row_add_address(&key, stead_str("a/b"));
    stead_row_add(&key, stead_str("order-1"));
    assert_true(stead_slice_equal(parse(&key).sub, stead_str("order-1")));
    stead_row_begin(&key, slot, STEAD_ROW_TIMER_DUE);
    stead_row_add_u64(&key, 77);
    stead_row_add_address(&key, stead_str("a/b"));
    stead_row_add_u8(&key, STEAD_PART_TIMER);
    stead_row_add(&key, stead_str("tick"));
    parsed = parse(&key);
    assert_true(parsed.due_ms == 77 && parsed.part == STEAD_PART_TIMER);
    assert_true(stead_slice_equal(parsed.sub, stead_str("tick")));
}

static void test_keys_are_ordered_as_their_numbers_and_addresses(void **state)
{
    (void)state;
    struct stead_row_key a;
    struct stead_row_key b;
    stead_row_agent(&a, slot, stead_str("a/b"));
    stead_row_agent(&b, slot, stead_str("a/b1")); /* 0x00 ends an address: it sorts before what it begins */
    assert_true(order(&a, &b) < 0);
    stead_row_part(&a, slot, stead_str("a/b"), 255, STEAD_PART_EVENT, stead_str("12345678"));
    stead_row_part(&b, slot, stead_str("a/b"), 256, STEAD_PART_EVENT, stead_str("12345678"));
    assert_true(order(&a, &b) < 0);
    stead_row_agent(&b, (stead_slot){0x1235}, stead_str("a/a"));
    assert_true(order(&a, &b) < 0);
}

static void test_after_prefix_is_the_first_key_behind(void **state)
{
    (void)state;
    struct stead_row_key key = {.size = 3, .data = {1, 0xff, 0xff}};
    assert_true(stead_row_after_prefix(&key));
    assert_int_equal(key.size, 1);
    assert_int_equal(key.data[0], 2);
    key = (struct stead_row_key){.size = 2, .data = {0xff, 0xff}};
    assert_false(stead_row_after_prefix(&key));
}

static void test_key_cut_or_prolonged_is_corrupt(void **state)
{
    (void)state;
    struct stead_row_key key;
    struct stead_row_parsed parsed;
    stead_row_begin(&key, slot, STEAD_ROW_OUTBOX);
    stead_row_add_u16(&key, 1);
    stead_row_add_u64(&key, 1);
    stead_row_add_u64(&key, 1);
    for (uint16_t size = 0; size < key.size; size++)
        assert_int_equal(stead_row_parse(stead_bytes(key.data, size), &parsed), STEAD_ECORRUPT);
    stead_row_add_u8(&key, 0);
    assert_int_equal(stead_row_parse(stead_row_slice(&key), &parsed), STEAD_ECORRUPT);
    stead_row_agent(&key, slot, stead_str("a/b"));
    for (uint16_t size = 0; size < key.size; size++)
        assert_int_equal(stead_row_parse(stead_bytes(key.data, size), &parsed), STEAD_ECORRUPT);
}

static void test_key_of_an_unknown_class_or_part_is_corrupt(void **state)
{
    (void)state;
    struct stead_row_key key;
    struct stead_row_parsed parsed;
    stead_row_begin(&key, slot, (enum stead_row_class)0x13);
    assert_int_equal(stead_row_parse(stead_row_slice(&key), &parsed), STEAD_ECORRUPT);
    stead_row_part(&key, slot, stead_str("a/b"), 1, (enum stead_row_part)0, stead_str(""));
    assert_int_equal(stead_row_parse(stead_row_slice(&key), &parsed), STEAD_ECORRUPT);
    stead_row_part(&key, slot, stead_str("a/b"), 1, (enum stead_row_part)(STEAD_PART_IMAGE + 1), stead_str(""));
    assert_int_equal(stead_row_parse(stead_row_slice(&key), &parsed), STEAD_ECORRUPT);
    stead_row_part(&key, slot, stead_str("a/b"), 1, STEAD_PART_CALL, stead_str("short"));
    assert_int_equal(stead_row_parse(stead_row_slice(&key), &parsed), STEAD_ECORRUPT);
    stead_row_agent(&key, slot, stead_str(""));
    assert_int_equal(stead_row_parse(stead_row_slice(&key), &parsed), STEAD_ECORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_of_an_agent_has_the_documented_bytes),
        cmocka_unit_test(test_key_of_a_part_is_taken_apart_as_it_was_made),
        cmocka_unit_test(test_key_of_each_other_class_is_taken_apart_as_it_was_made),
        cmocka_unit_test(test_keys_are_ordered_as_their_numbers_and_addresses),
        cmocka_unit_test(test_after_prefix_is_the_first_key_behind),
        cmocka_unit_test(test_key_cut_or_prolonged_is_corrupt),
        cmocka_unit_test(test_key_of_an_unknown_class_or_part_is_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
