/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of several nodes, merged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/client_merge.h"

#define PAGES_MAX 4

static struct stead_writer pages[PAGES_MAX];

static struct stead_slice page(int at, const char *format, ...)
{
    va_list args;

    stead_writer_init(&pages[at]);
    va_start(args, format);
    stead_pack_v(&pages[at], format, args);
    va_end(args);
    return stead_written(&pages[at]);
}

static int free_pages(void **state)
{
    (void)state;
    for (int i = 0; i < PAGES_MAX; i++)
        stead_writer_deinit(&pages[i]);
    return 0;
}

static void test_lists_of_one_name_are_joined_and_the_rest_is_the_firsts(void **state)
{
    const struct stead_slice answers[] = {page(0, "{s:[s],s:d,s:[]}", "nodes", "a", "v", 1, "rest"),
                                          page(1, "{s:[s,s],s:d}", "nodes", "b", "c", "v", 2)};
    struct stead_slice expected = page(2, "{s:[s,s,s],s:d,s:[]}", "nodes", "a", "b", "c", "v", 1, "rest");

    (void)state;
    stead_writer_init(&pages[3]);
    stead_client_merge(answers, 2, NULL, 0, &pages[3]);
    assert_true(stead_slice_equal(stead_written(&pages[3]), expected));
}

static void test_nodes_that_did_not_answer_are_named(void **state)
{
    static const char *const missing[] = {"n2", "n3"};
    const struct stead_slice answers[] = {page(0, "{s:[d]}", "nodes", 1)};
    struct stead_slice expected = page(2, "{s:[d],s:[s,s]}", "nodes", 1, "missing", "n2", "n3");

    (void)state;
    stead_writer_init(&pages[3]);
    stead_client_merge(answers, 1, missing, 2, &pages[3]);
    assert_true(stead_slice_equal(stead_written(&pages[3]), expected));
}

static void test_answer_that_is_no_map_is_left_out(void **state)
{
    const struct stead_slice answers[] = {page(0, "{s:[d]}", "nodes", 1), page(1, "d", 7)};
    struct stead_slice expected = page(2, "{s:[d]}", "nodes", 1);

    (void)state;
    stead_writer_init(&pages[3]);
    stead_client_merge(answers, 2, NULL, 0, &pages[3]);
    assert_true(stead_slice_equal(stead_written(&pages[3]), expected));
}

static void test_complete_pages_are_put_in_order(void **state)
{
    const struct stead_slice answers[] = {
        page(0, "{s:[{s:s},{s:s}],s:n}", "agents", "address", "a/1", "address", "a/4", "next"),
        page(1, "{s:[{s:s}],s:n}", "agents", "address", "a/2", "next")};
    struct stead_slice expected =
        page(2, "{s:[{s:s},{s:s},{s:s}],s:n}", "agents", "address", "a/1", "address", "a/2", "address", "a/4", "next");

    (void)state;
    stead_writer_init(&pages[3]);
    stead_client_merge_pages(answers, 2, NULL, 0, 10, &pages[3]);
    assert_true(stead_slice_equal(stead_written(&pages[3]), expected));
}

/* The first node was cut behind a/2 and may have an a/3: the second's a/4 must wait for the next page. */
static void test_page_ends_where_a_node_was_cut(void **state)
{
    const struct stead_slice answers[] = {
        page(0, "{s:[{s:s},{s:s}],s:s}", "agents", "address", "a/1", "address", "a/2", "next", "a/2"),
        page(1, "{s:[{s:s}],s:n}", "agents", "address", "a/4", "next")};
    struct stead_slice expected =
        page(2, "{s:[{s:s},{s:s}],s:s}", "agents", "address", "a/1", "address", "a/2", "next", "a/2");

    (void)state;
    stead_writer_init(&pages[3]);
    stead_client_merge_pages(answers, 2, NULL, 0, 10, &pages[3]);
    assert_true(stead_slice_equal(stead_written(&pages[3]), expected));
}

static void test_page_over_its_limit_goes_on_behind_the_last_kept(void **state)
{
    const struct stead_slice answers[] = {
        page(0, "{s:[{s:s},{s:s}],s:n}", "agents", "address", "a/1", "address", "a/3", "next"),
        page(1, "{s:[{s:s}],s:n}", "agents", "address", "a/2", "next")};
    struct stead_slice expected =
        page(2, "{s:[{s:s},{s:s}],s:s}", "agents", "address", "a/1", "address", "a/2", "next", "a/2");

    (void)state;
    stead_writer_init(&pages[3]);
    stead_client_merge_pages(answers, 2, NULL, 0, 2, &pages[3]);
    assert_true(stead_slice_equal(stead_written(&pages[3]), expected));
}

static void test_letters_of_several_nodes_come_in_order_with_those_missing(void **state)
{
    static const char *const missing[] = {"n2"};
    const char *letter = "{s:[{s:d,s:s,s:d}],s:n}";
    const struct stead_slice answers[] = {page(0, letter, "letters", "slot", 2, "address", "a/1", "id", 1, "next"),
                                          page(1, letter, "letters", "slot", 1, "address", "b/1", "id", 5, "next")};
    struct stead_slice expected = page(2, "{s:[{s:d,s:s,s:d}],s:{s:d,s:s,s:d},s:[s]}", "letters", "slot", 1, "address",
                                       "b/1", "id", 5, "next", "slot", 1, "address", "b/1", "id", 5, "missing", "n2");

    (void)state;
    stead_writer_init(&pages[3]);
    stead_client_merge_letters(answers, 2, missing, 1, 1, &pages[3]);
    assert_true(stead_slice_equal(stead_written(&pages[3]), expected));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_lists_of_one_name_are_joined_and_the_rest_is_the_firsts, free_pages),
        cmocka_unit_test_teardown(test_nodes_that_did_not_answer_are_named, free_pages),
        cmocka_unit_test_teardown(test_answer_that_is_no_map_is_left_out, free_pages),
        cmocka_unit_test_teardown(test_complete_pages_are_put_in_order, free_pages),
        cmocka_unit_test_teardown(test_page_ends_where_a_node_was_cut, free_pages),
        cmocka_unit_test_teardown(test_page_over_its_limit_goes_on_behind_the_last_kept, free_pages),
        cmocka_unit_test_teardown(test_letters_of_several_nodes_come_in_order_with_those_missing, free_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
