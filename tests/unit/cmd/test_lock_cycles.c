/* SPDX-License-Identifier: Apache-2.0 */
/* Circles among those who wait for held agents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/lock_cycles.h"

/* The circles, one behind the other: "a>x b>y;" */
struct told {
    char text[400];
    size_t size;
};

static void tell(void *context, const struct stead_lock_wait *waits, uint32_t count)
{
    struct told *told = context;

    for (uint32_t i = 0; i < count; i++) {
        assert_string_equal(waits[i].holder, waits[(i + 1) % count].waiter);
        told->size += (size_t)snprintf(told->text + told->size, sizeof(told->text) - told->size, "%s>%s%s",
                                       waits[i].waiter, waits[i].address, i + 1 < count ? " " : ";");
    }
}

/* `waits` are letters: who, for what, held by whom. */
static void assert_circles(const char *const *waits, uint32_t count, const char *expected)
{
    struct stead_lock_cycles *cycles = stead_lock_cycles_create();
    struct told told = {.text = ""};

    for (; *waits; waits++) {
        char who[] = {(*waits)[0], 0}, what[] = {(*waits)[1], 0}, whom[] = {(*waits)[2], 0};
        stead_lock_cycles_add(cycles, who, what, whom);
    }
    assert_int_equal(stead_lock_cycles_find(cycles, tell, &told), count);
    assert_string_equal(told.text, expected);
    stead_lock_cycles_destroy(&cycles);
    assert_null(cycles);
}

static void test_chain_is_no_circle(void **state)
{
    (void)state;
    assert_circles((const char *const[]){NULL}, 0, "");
    assert_circles((const char *const[]){"axb", "byc", "czd", "axc", NULL}, 0, "");
}

static void test_two_who_wait_for_each_other_are_named_once(void **state)
{
    (void)state;
    assert_circles((const char *const[]){"bya", "axb", "cxb", NULL}, 1, "a>x b>y;");
}

static void test_who_waits_for_himself_is_a_circle(void **state)
{
    (void)state;
    assert_circles((const char *const[]){"axa", NULL}, 1, "a>x;");
}

static void test_longer_circle_behind_a_chain_is_found(void **state)
{
    (void)state;
    assert_circles((const char *const[]){"aub", "bvc", "cwd", "dxb", NULL}, 1, "b>v c>w d>x;");
}

static void test_two_circles_are_both_found(void **state)
{
    (void)state;
    assert_circles((const char *const[]){"apb", "bqa", "crd", "dsc", "btc", NULL}, 2, "a>p b>q;c>r d>s;");
}

static void test_long_chain_is_searched_without_recursion(void **state)
{
    struct stead_lock_cycles *cycles = stead_lock_cycles_create();
    char waiter[16], holder[16];
    struct told told = {.text = ""};

    (void)state;
    for (int i = 0; i < 100000; i++) {
        snprintf(waiter, sizeof(waiter), "w%06d", i);
        snprintf(holder, sizeof(holder), "w%06d", i + 1);
        stead_lock_cycles_add(cycles, waiter, "x", holder);
    }
    stead_lock_cycles_add(cycles, "w100000", "y", "w099999");
    assert_int_equal(stead_lock_cycles_find(cycles, tell, &told), 1);
    assert_string_equal(told.text, "w099999>x w100000>y;");
    stead_lock_cycles_destroy(&cycles);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain_is_no_circle),
        cmocka_unit_test(test_two_who_wait_for_each_other_are_named_once),
        cmocka_unit_test(test_who_waits_for_himself_is_a_circle),
        cmocka_unit_test(test_longer_circle_behind_a_chain_is_found),
        cmocka_unit_test(test_two_circles_are_both_found),
        cmocka_unit_test(test_long_chain_is_searched_without_recursion),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
