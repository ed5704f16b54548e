/* SPDX-License-Identifier: Apache-2.0 */
/* Places of a session's requests: kept as long as somebody may ask for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtime/order.h"

static bool is_up_to(const void *mark, uint64_t number)
{
    return number <= *(const uint64_t *)mark;
}

static uint64_t taken(const struct stead_order *order, uint64_t who)
{
    return stead_order_get(order, who).number;
}

static void test_place_goes_on_and_back_only_as_it_is_told(void **state)
{
    struct stead_order order = {0};
    uint64_t mark = 0;

    (void)state;
    assert_int_equal(taken(&order, 5), 0);
    stead_order_turn_back(&order, 5, 9);
    assert_int_equal(order.capacity, 0); /* back from nowhere is nothing to remember */
    stead_order_take(&order, 5, 9, 6, is_up_to, &mark);
    stead_order_take(&order, 5, 7, 0, is_up_to, &mark);
    assert_int_equal(taken(&order, 5), 9);
    assert_int_equal(stead_order_get(&order, 5).closed, 6);
    stead_order_turn_back(&order, 5, 10);
    assert_int_equal(taken(&order, 5), 9);
    stead_order_turn_back(&order, 5, 7);
    assert_int_equal(taken(&order, 5), 6);
    assert_int_equal(stead_order_get(&order, 5).closed, 6);
    stead_order_turn_back(&order, 5, 1);
    assert_int_equal(taken(&order, 5), 0);
    assert_int_equal(stead_order_get(&order, 5).closed, 0);
    stead_order_take(&order, 5, 11, 9, is_up_to, &mark);
    assert_int_equal(taken(&order, 5), 11);
    assert_int_equal(order.count, 1);
    stead_order_deinit(&order);
}

/* The same in the upper half and the lower: they all want the same place. */
static uint64_t colliding(uint64_t n)
{
    return n << 32 | n;
}

static void test_places_are_kept_apart_and_given_up_when_they_are_over(void **state)
{
    struct stead_order order = {0};
    uint64_t mark = 0;

    (void)state;
    for (uint64_t n = 1; n <= 300; n++)
        stead_order_take(&order, colliding(n), n, 0, is_up_to, &mark);
    for (uint64_t n = 1; n <= 300; n++)
        assert_int_equal(taken(&order, colliding(n)), n);
    assert_int_equal(taken(&order, colliding(301)), 0);
    for (uint64_t n = 301; n <= 5000; n++) { /* three at a time that may still be asked for */
        mark = n - 3;
        stead_order_take(&order, n, n, 0, is_up_to, &mark);
        assert_int_equal(taken(&order, n - 2), n - 2 > 300 ? n - 2 : 0);
    }
    assert_in_range(order.capacity, 4, 16);
    stead_order_deinit(&order);
}

static void test_whom_a_request_is_for_depends_on_address_fence_and_sender(void **state)
{
    struct stead_message_parts parts = {.address = stead_str("life/a"), .op = stead_str("x")};
    struct stead_message *one = stead_message_create(STEAD_SIGNAL, &parts);
    uint64_t who = stead_order_who(one);

    (void)state;
    one->address_hash = who; /* known already */
    assert_int_equal(stead_order_who(one), who);
    one->groups |= STEAD_GROUP_FENCE;
    one->fence = 0;
    assert_int_equal(stead_order_who(one), who);
    one->fence = 3;
    assert_int_not_equal(stead_order_who(one), who);
    stead_message_destroy(&one);
    parts.source = stead_str("life/b");
    one = stead_message_create(STEAD_SIGNAL, &parts);
    assert_int_not_equal(stead_order_who(one), who); /* agents of one shard share its session, and no order */
    stead_message_destroy(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place_goes_on_and_back_only_as_it_is_told),
        cmocka_unit_test(test_places_are_kept_apart_and_given_up_when_they_are_over),
        cmocka_unit_test(test_whom_a_request_is_for_depends_on_address_fence_and_sender),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
