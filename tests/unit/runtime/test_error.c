/* SPDX-License-Identifier: Apache-2.0 */
/* error: every code has a name and a sentence of its own, and a name leads back to its code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "stead/error.h"

static const int codes[] = {
#define CODE(id, number, name, sentence) STEAD_##id,
    STEAD_ERRORS(CODE)
#undef CODE
};
#define CODES (sizeof codes / sizeof codes[0])

static void test_error_name_of_each_code_leads_back_to_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < CODES; i++) {
        assert_true(codes[i] < 0);
        assert_int_equal(stead_error_of_name(stead_error_name(codes[i])), codes[i]);
        assert_true(strlen(stead_error_sentence(codes[i])) > 10);
    }
}

static void test_error_numbers_and_names_are_all_different(void **state)
{
    (void)state;
    for (size_t i = 0; i < CODES; i++)
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(codes[i], codes[j]);
            assert_string_not_equal(stead_error_name(codes[i]), stead_error_name(codes[j]));
            assert_string_not_equal(stead_error_sentence(codes[i]), stead_error_sentence(codes[j]));
        }
}

/* A journal written by this version is read by every later one. */
static void test_error_numbers_on_the_wire_are_those_of_the_first_version(void **state)
{
    (void)state;
    assert_int_equal(STEAD_EFAILED, -1);
    assert_int_equal(STEAD_EBUSY, -8);
    assert_int_equal(STEAD_EHISTORY, -14);
    assert_int_equal(STEAD_EREADONLY, -32);
}

static void test_error_name_of_an_unknown_code_is_unknown(void **state)
{
    (void)state;
    assert_string_equal(stead_error_name(0), "ok");
    assert_string_equal(stead_error_name(-9999), "unknown");
    assert_string_equal(stead_error_name(5), "unknown");
    assert_non_null(stead_error_sentence(-9999));
    assert_int_equal(stead_error_of_name("no such name"), 0);
    assert_int_equal(stead_error_of_name(""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_name_of_each_code_leads_back_to_it),
        cmocka_unit_test(test_error_numbers_and_names_are_all_different),
        cmocka_unit_test(test_error_numbers_on_the_wire_are_those_of_the_first_version),
        cmocka_unit_test(test_error_name_of_an_unknown_code_is_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
