/* SPDX-License-Identifier: Apache-2.0 */
/* letter_pages: pages of dead letters of several parts become one page that leaves nothing out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/letter_pages.h"

#define PARTS_MAX 3

static struct stead_writer parts[PARTS_MAX];

static void write_place(struct stead_writer *writer, const char *text)
{
    unsigned slot, id;
    char address[16];

    assert_int_equal(sscanf(text, "%u:%15[^:]:%u", &slot, address, &id), 3);
    stead_letter_place_write(&(struct stead_letter_place){slot, stead_str(address), id}, writer);
}

/* A part with these letters, each as SLOT:ADDRESS:ID, apart by spaces; and its `next`, or NULL. */
static void part(int at, const char *letters, const char *next)
{
    struct stead_writer items;
    uint32_t count = 0;
    char word[32];
    int size;

    stead_writer_init(&items);
    for (; sscanf(letters, "%31s%n", word, &size) == 1; letters += size, count++)
        write_place(&items, word);
    stead_writer_init(&parts[at]);
    stead_write_map(&parts[at], 2);
    stead_write_str(&parts[at], "letters");
    stead_write_array(&parts[at], count);
    stead_write_raw(&parts[at], items.data, items.size);
    stead_write_str(&parts[at], "next");
    if (next != NULL)
        write_place(&parts[at], next);
    else
        stead_write_nil(&parts[at]);
    stead_writer_deinit(&items);
}

static void add_place(char *text, size_t size, struct stead_slice map)
{
    struct stead_letter_place place;
    size_t at = strlen(text);

    assert_int_equal(stead_letter_place_read(map, &place), 0);
    snprintf(text + at, size - at, "%u:%.*s:%u ", (unsigned)place.slot, (int)place.address.size,
             (const char *)place.address.data, (unsigned)place.id);
}

/* The merged page as text: letters, then "| next". Frees the parts. */
static const char *merged(uint32_t count, uint64_t limit, size_t bytes_max)
{
    static char text[256];
    struct stead_slice slices[PARTS_MAX], value;
    struct stead_writer out;
    uint32_t length;

    for (uint32_t i = 0; i < count; i++)
        slices[i] = stead_written(&parts[i]);
    stead_writer_init(&out);
    stead_write_map(&out, 2);
    stead_letter_pages_merge(slices, count, limit, bytes_max, &out);
    assert_int_equal(stead_value_check(stead_written(&out)), 0);
    assert_int_equal(stead_get_value(stead_written(&out), "letters", &value), 0);
    struct stead_reader reader = stead_reader(value);
    assert_int_equal(stead_read_array(&reader, &length), 0);
    text[0] = 0;
    for (; length > 0; length--) {
        assert_int_equal(stead_read_value(&reader, &value), 0);
        add_place(text, sizeof(text), value);
    }
    strcat(text, "| ");
    if (stead_get_value(stead_written(&out), "next", &value) == 0)
        add_place(text, sizeof(text), value);
    stead_writer_deinit(&out);
    for (uint32_t i = 0; i < count; i++)
        stead_writer_deinit(&parts[i]);
    return text;
}

static void test_whole_parts_are_sorted_by_slot_address_and_number(void **state)
{
    (void)state;
    part(0, "1:b/1:7 9:a/1:2", NULL);
    part(1, "1:b/1:3 1:a/1:9 10:a/1:1", NULL);
    part(2, "", NULL);
    assert_string_equal(merged(3, 10, SIZE_MAX), "1:a/1:9 1:b/1:3 1:b/1:7 9:a/1:2 10:a/1:1 | ");
}

static void test_what_lies_behind_the_smallest_next_is_left_to_the_next_page(void **state)
{
    (void)state;
    part(0, "1:a/1:1 5:a/1:1 9:a/1:1", "9:a/1:1");
    part(1, "2:a/1:1", "5:a/1:4");
    assert_string_equal(merged(2, 10, SIZE_MAX), "1:a/1:1 2:a/1:1 5:a/1:1 | 5:a/1:4 ");
    part(0, "", "3:a/1:1");
    part(1, "4:a/1:1", NULL);
    assert_string_equal(merged(2, 10, SIZE_MAX), "| 3:a/1:1 ");
}

static void test_a_page_ends_at_its_limit_and_at_its_bytes_and_has_one_letter(void **state)
{
    (void)state;
    part(0, "1:a/1:1 1:a/1:2", NULL);
    part(1, "1:a/2:1", NULL);
    assert_string_equal(merged(2, 2, SIZE_MAX), "1:a/1:1 1:a/1:2 | 1:a/1:2 ");
    part(0, "1:a/1:1 1:a/1:2", NULL);
    assert_string_equal(merged(1, 2, SIZE_MAX), "1:a/1:1 1:a/1:2 | ");
    part(0, "1:a/1:1 1:a/1:2", NULL);
    size_t one = (parts[0].size - 20) / 2; /* about */
    part(1, "1:a/2:1", NULL);
    assert_string_equal(merged(2, 9, 2 * one + 10), "1:a/1:1 1:a/1:2 | 1:a/1:2 ");
    part(0, "1:a/1:1 1:a/1:2", NULL);
    assert_string_equal(merged(1, 9, 1), "1:a/1:1 | 1:a/1:1 ");
}

static void test_parts_of_another_form_count_as_empty(void **state)
{
    (void)state;
    part(0, "1:a/1:1", NULL);
    stead_writer_init(&parts[1]);
    stead_pack(&parts[1], "{s:d,s:s}", "letters", 5, "next", "x");
    stead_writer_init(&parts[2]);
    stead_pack(&parts[2], "{s:[d,s]}", "letters", 5, "x");
    assert_string_equal(merged(3, 10, SIZE_MAX), "1:a/1:1 | ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_parts_are_sorted_by_slot_address_and_number),
        cmocka_unit_test(test_what_lies_behind_the_smallest_next_is_left_to_the_next_page),
        cmocka_unit_test(test_a_page_ends_at_its_limit_and_at_its_bytes_and_has_one_letter),
        cmocka_unit_test(test_parts_of_another_form_count_as_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
