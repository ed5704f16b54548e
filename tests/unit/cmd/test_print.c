/* SPDX-License-Identifier: Apache-2.0 */
/* print, parse, near: what people read and type. Golden outputs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "cmd/near.h"
#include "cmd/parse.h"
#include "cmd/print.h"

static void test_columns_of_mixed_width_are_aligned(void **state)
{
    (void)state;
    static const char *const titles[] = {"NAME", ">COUNT", "NOTE", NULL};
    struct stead_columns *columns = stead_columns_create(titles);
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);

    stead_columns_add(columns, "a/%s", "l\xc3\xa4nger");
    stead_columns_add(columns, "%d", 5);
    stead_columns_add(columns, "x");
    stead_columns_add(columns, "b");
    stead_columns_add(columns, "1,234,567");
    stead_columns_add(columns, "evil\033[2J\n");
    assert_int_equal(stead_columns_rows(columns), 2);
    stead_columns_print(columns, file, false);
    fclose(file);
    assert_string_equal(text, "NAME          COUNT  NOTE\n"
                              "a/l\xc3\xa4nger          5  x\n"
                              "b         1,234,567  evil\\x1b[2J\\n\n");
    free(text);
    stead_columns_destroy(&columns);
    assert_null(columns);
}

static void test_columns_without_room_go_below_with_their_keys(void **state)
{
    (void)state;
    static const char *const titles[] = {"KEY", ">FIRST", ">SECOND", ">THIRD", NULL};
    struct stead_columns *columns = stead_columns_create(titles);
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);

    for (int i = 0; i < 4; i++)
        stead_columns_add(columns, "%d", i);
    stead_columns_print_within(columns, file, false, 18, 1);
    stead_columns_print_within(columns, file, false, 17, 1);
    stead_columns_print_within(columns, file, false, 1, 0);
    fclose(file);
    assert_string_equal(text, "KEY  FIRST  SECOND\n0        1       2\nKEY  THIRD\n0        3\n"
                              "KEY  FIRST\n0        1\nKEY  SECOND\n0         2\nKEY  THIRD\n0        3\n"
                              "KEY\n0\nFIRST\n    1\nSECOND\n     2\nTHIRD\n    3\n");
    free(text);
    stead_columns_destroy(&columns);
}

static void test_columns_in_bold_change_only_the_titles(void **state)
{
    (void)state;
    static const char *const titles[] = {"A", ">B", NULL};
    struct stead_columns *columns = stead_columns_create(titles);
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);

    stead_columns_add(columns, "x");
    stead_columns_add(columns, "10");
    stead_columns_print(columns, file, true);
    fclose(file);
    assert_string_equal(text, "\033[1mA   B  \033[0m\nx  10\n");
    free(text);
    stead_columns_destroy(&columns);
}

static void test_print_durations_have_three_digits_and_a_unit(void **state)
{
    (void)state;
    static const struct {
        uint64_t ns;
        const char *text;
    } cases[] = {{0, "0 ns"},
                 {999, "999 ns"},
                 {1000, "1 us"},
                 {1250, "1.25 us"},
                 {43000000, "43 ms"},
                 {999960000, "1000 ms"},
                 {12500000000u, "12.5 s"},
                 {200000000000u, "3 m 20 s"},
                 {18180000000000u, "5 h 3 m"},
                 {1051200000000000u, "12 d 4 h"}};
    char text[STEAD_PRINT_SIZE];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(stead_print_duration(cases[i].ns, text), cases[i].text);
}

static void test_print_sizes_counts_and_times_are_readable(void **state)
{
    (void)state;
    char text[STEAD_PRINT_SIZE];

    assert_string_equal(stead_print_size(0, text), "0 B");
    assert_string_equal(stead_print_size(1536, text), "1.5 KiB");
    assert_string_equal(stead_print_size(16u << 20, text), "16 MiB");
    assert_string_equal(stead_print_size(UINT64_MAX, text), "16 EiB");
    assert_string_equal(stead_print_count(0, text), "0");
    assert_string_equal(stead_print_count(1234567, text), "1,234,567");
    assert_string_equal(stead_print_count(UINT64_MAX, text), "18,446,744,073,709,551,615");
    setenv("TZ", "UTC0", 1);
    tzset();
    assert_string_equal(stead_print_time(1795408422123u, text), "2026-11-23 04:33:42.123");
    assert_string_equal(stead_print_time(0, text), "-");
}

static void test_parse_durations_need_a_whole_text_in_range(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",   "s", "-1", "5 s", "5x", "1e3", "0x10", "1.", ".5", "99999999999999999999",
                                        "6d", NULL};
    uint64_t ms = 7;

    for (size_t i = 0; wrong[i]; i++) {
        assert_false(stead_parse_duration(wrong[i], 5u * 86400000u, &ms));
        assert_int_equal(ms, 7);
    }
    assert_true(stead_parse_duration("250", 1000, &ms) && ms == 250);
    assert_true(stead_parse_duration("250ms", 1000, &ms) && ms == 250);
    assert_true(stead_parse_duration("1.5s", 10000, &ms) && ms == 1500);
    assert_true(stead_parse_duration("2m", 1000000, &ms) && ms == 120000);
    assert_true(stead_parse_duration("5d", 5u * 86400000u, &ms) && ms == 5u * 86400000u);
}

static void test_parse_sizes_and_numbers_are_strict(void **state)
{
    (void)state;
    uint64_t it = 7;

    assert_true(stead_parse_size("64K", &it) && it == 65536);
    assert_true(stead_parse_size("1.5GiB", &it) && it == 1610612736u);
    assert_false(stead_parse_size("1Q", &it));
    assert_false(stead_parse_size("99999999999T", &it));
    assert_true(stead_parse_number("10", 1, 10, &it) && it == 10);
    assert_true(stead_parse_number("18446744073709551615", 1, UINT64_MAX, &it) && it == UINT64_MAX);
    assert_false(stead_parse_number("18446744073709551616", 1, UINT64_MAX, &it));
    assert_false(stead_parse_number("11", 1, 10, &it));
    assert_false(stead_parse_number("0", 1, 10, &it));
    assert_false(stead_parse_number("+5", 1, 10, &it));
    assert_false(stead_parse_number("5 ", 1, 10, &it));
}

static void test_near_miss_finds_the_word_that_was_meant(void **state)
{
    (void)state;
    static const char *const words[] = {"call",    "signal",      "tell", "agents", "show",
                                        "journal", "deadletters", "node", NULL};

    assert_string_equal(stead_near_find("cal", words), "call");
    assert_string_equal(stead_near_find("singal", words), "signal");
    assert_string_equal(stead_near_find("agent", words), "agents");
    assert_string_equal(stead_near_find("jurnal", words), "journal");
    assert_string_equal(stead_near_find("dead", words), "deadletters");
    assert_string_equal(stead_near_find("noed", words), "node");
    assert_null(stead_near_find("xyz", words));
    assert_null(stead_near_find("frobnicate", words));
}

static void test_near_distance_counts_edits(void **state)
{
    (void)state;
    char word[STEAD_NEAR_WORD_MAX + 2];

    assert_int_equal(stead_near_distance("", ""), 0);
    assert_int_equal(stead_near_distance("abc", ""), 3);
    assert_int_equal(stead_near_distance("", "abc"), 3);
    assert_int_equal(stead_near_distance("kitten", "sitting"), 3);
    assert_int_equal(stead_near_distance("ab", "ba"), 1);
    memset(word, 'x', sizeof word - 1);
    word[sizeof word - 1] = 0;
    assert_int_equal(stead_near_distance(word, "x"), STEAD_NEAR_WORD_MAX);
}

static void test_safe_text_has_nothing_that_a_terminal_obeys(void **state)
{
    static const char *const cases[][2] = {{"caf\xc3\xa9 \xe2\x82\xac", "caf\xc3\xa9 \xe2\x82\xac"},
                                           {"a\nb\tc", "a\\nb\\tc"},
                                           {"\x1b[2J\x7f", "\\x1b[2J\\x7f"},
                                           {"\xc2\x9b"
                                            "2J",
                                            "\\xc2\\x9b"
                                            "2J"}, /* the same in one character */
                                           {"\xff\xc3", "\\xff\\xc3"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *safe = stead_print_safe(stead_str(cases[i][0]));
        assert_string_equal(safe, cases[i][1]);
        free(safe);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_safe_text_has_nothing_that_a_terminal_obeys),
        cmocka_unit_test(test_columns_of_mixed_width_are_aligned),
        cmocka_unit_test(test_columns_without_room_go_below_with_their_keys),
        cmocka_unit_test(test_columns_in_bold_change_only_the_titles),
        cmocka_unit_test(test_print_durations_have_three_digits_and_a_unit),
        cmocka_unit_test(test_print_sizes_counts_and_times_are_readable),
        cmocka_unit_test(test_parse_durations_need_a_whole_text_in_range),
        cmocka_unit_test(test_parse_sizes_and_numbers_are_strict),
        cmocka_unit_test(test_near_miss_finds_the_word_that_was_meant),
        cmocka_unit_test(test_near_distance_counts_edits),
    };
    return cmocka_run_group_tests_name("print", tests, NULL, NULL);
}
