/* SPDX-License-Identifier: Apache-2.0 */
/* A cut: one at a time, by its token, until its time is over; none begins while a copy is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/cut.h"
#include "stead/error.h"

static const struct stead_id mine = {{1}}, other = {{2}};

static void test_cut_stands_for_its_token_until_its_time(void **state)
{
    struct stead_cut cut;

    (void)state;
    stead_cut_init(&cut);
    assert_false(stead_cut_stands(&cut, 0));
    assert_int_equal(stead_cut_until_ns(&cut, (struct stead_id){0}, 0), 0);
    assert_int_equal(stead_cut_begin(&cut, mine, 100, 10), 0);
    assert_int_equal(stead_cut_until_ns(&cut, mine, 99), 100);
    assert_int_equal(stead_cut_until_ns(&cut, other, 99), 0);
    assert_int_equal(stead_cut_begin(&cut, mine, 500, 20), 0); /* asked again: no longer for that */
    assert_int_equal(stead_cut_until_ns(&cut, mine, 100), 0);
    assert_false(stead_cut_stands(&cut, 100));
    stead_cut_deinit(&cut);
}

static void test_another_cut_waits_for_the_end_of_the_first(void **state)
{
    struct stead_cut cut;

    (void)state;
    stead_cut_init(&cut);
    assert_int_equal(stead_cut_begin(&cut, mine, 100, 10), 0);
    assert_int_equal(stead_cut_begin(&cut, other, 200, 20), STEAD_EBUSY);
    assert_false(stead_cut_end(&cut, other));
    assert_true(stead_cut_stands(&cut, 30));
    assert_true(stead_cut_end(&cut, mine));
    assert_false(stead_cut_end(&cut, mine));
    assert_int_equal(stead_cut_begin(&cut, other, 200, 40), 0);
    assert_int_equal(stead_cut_begin(&cut, mine, 400, 200), 0); /* that one is over by itself */
    assert_int_equal(stead_cut_until_ns(&cut, other, 210), 0);
    stead_cut_deinit(&cut);
}

static void test_nothing_begins_while_a_copy_is_written(void **state)
{
    struct stead_cut cut;

    (void)state;
    stead_cut_init(&cut);
    assert_true(stead_cut_begin_copy(&cut));
    assert_false(stead_cut_begin_copy(&cut));
    assert_int_equal(stead_cut_begin(&cut, mine, 100, 10), STEAD_EBUSY);
    stead_cut_end_copy(&cut);
    assert_int_equal(stead_cut_begin(&cut, mine, 100, 10), 0);
    assert_true(stead_cut_begin_copy(&cut));
    stead_cut_end_copy(&cut);
    stead_cut_deinit(&cut);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_stands_for_its_token_until_its_time),
        cmocka_unit_test(test_another_cut_waits_for_the_end_of_the_first),
        cmocka_unit_test(test_nothing_begins_while_a_copy_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
