/* SPDX-License-Identifier: Apache-2.0 */
/* request: negative numbers are arguments, not options. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/request.h"

static const struct argp_option inner_options[] = {
    {"timeout", 't', "TIME", 0, NULL, 0}, {"json", 'j', NULL, 0, NULL, 0}, {0}};
static const struct argp inner = {inner_options, NULL, NULL, NULL, NULL, NULL, NULL};
static const struct argp_option outer_options[] = {
    {"delay", 'd', "TIME", 0, NULL, 0}, {"wait", 'w', NULL, 0, NULL, 0}, {0}};
static const struct argp_child children[] = {{&inner, 0, NULL, 0}, {0}};
static const struct argp outer = {outer_options, NULL, NULL, NULL, children, NULL, NULL};

/* Guards the words of `line` (separated by single spaces) and compares what comes out, joined again. */
static void assert_guarded(const char *line, const char *expected)
{
    char copy[128], joined[128] = "";
    char *argv[16], *guarded[18];
    int argc = 0;

    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    int count = stead_request_guard_numbers(&outer, argc, argv, guarded);
    assert_null(guarded[count]);
    for (int i = 0; i < count; i++) {
        strcat(joined, i ? " " : "");
        strcat(joined, guarded[i]);
    }
    assert_string_equal(joined, expected);
}

static void test_guard_negative_number_goes_behind_two_dashes(void **state)
{
    (void)state;
    assert_guarded("call a/b add -5", "call a/b add -- -5");
    assert_guarded("call a/b add -5 --json", "call a/b add --json -- -5");
}

static void test_guard_negative_number_that_an_option_takes_stays_there(void **state)
{
    (void)state;
    assert_guarded("call a/b add --delay -5", "call a/b add --delay -5");
    assert_guarded("call a/b add -d -5 -6", "call a/b add -d -5 -- -6");
    assert_guarded("call a/b --timeout -1 add --json -5", "call a/b --timeout -1 add --json -- -5");
    assert_guarded("call a/b add --del -5", "call a/b add --del -5");
    assert_guarded("call a/b add -wd -5", "call a/b add -wd -5");
    assert_guarded("call a/b add -d5 -5", "call a/b add -d5 -- -5");
    assert_guarded("call a/b add --delay=5 -5", "call a/b add --delay=5 -- -5");
    assert_guarded("call a/b add -wj -5", "call a/b add -wj -- -5");
}

static void test_guard_line_without_negative_number_is_unchanged(void **state)
{
    (void)state;
    assert_guarded("call a/b add 5", "call a/b add 5");
    assert_guarded("call -n x a/b add", "call -n x a/b add");
    assert_guarded("call a/b add -", "call a/b add -");
}

static void test_guard_line_with_two_dashes_is_left_to_the_user(void **state)
{
    (void)state;
    assert_guarded("call a/b add -- -5", "call a/b add -- -5");
}

static void test_exit_codes_follow_the_error(void **state)
{
    (void)state;
    assert_int_equal(stead_exit_of(0), STEAD_EXIT_DONE);
    assert_int_equal(stead_exit_of(STEAD_EFAILED), STEAD_EXIT_FAILED);
    assert_int_equal(stead_exit_of(STEAD_EBUSY), STEAD_EXIT_FAILED);
    assert_int_equal(stead_exit_of(STEAD_EUNAVAILABLE), STEAD_EXIT_UNREACHABLE);
    assert_int_equal(stead_exit_of(STEAD_ETIMEOUT), STEAD_EXIT_TIMED_OUT);
    assert_int_equal(stead_exit_of(STEAD_ESESSION), STEAD_EXIT_TIMED_OUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guard_negative_number_goes_behind_two_dashes),
        cmocka_unit_test(test_guard_negative_number_that_an_option_takes_stays_there),
        cmocka_unit_test(test_guard_line_without_negative_number_is_unchanged),
        cmocka_unit_test(test_guard_line_with_two_dashes_is_left_to_the_user),
        cmocka_unit_test(test_exit_codes_follow_the_error),
    };
    return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
