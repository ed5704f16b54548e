/* SPDX-License-Identifier: Apache-2.0 */
/* Connections: found by routing id and by number, and no number is ever given twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/connections.h"
#include "runtime/base.h"

#define LIMIT 1000u

/* An id of 1 to 255 bytes made from a number. */
static struct stead_slice id_of(uint32_t number, uint8_t *memory)
{
    memset(memory, (int)(number & 0xff), 255);
    stead_store32(memory, number);
    return (struct stead_slice){memory, 4u + number % 252u};
}

static void test_add_find_and_at_agree_after_growth(void **state)
{
    (void)state;
    struct stead_connections set = {.count = 0};
    static uint64_t numbers[LIMIT];
    uint8_t memory[255];
    for (uint32_t i = 0; i < LIMIT; i++)
        numbers[i] = stead_connections_add(&set, id_of(i, memory), LIMIT)->number;
    for (uint32_t i = 0; i < LIMIT; i++) {
        struct stead_connection *c = stead_connections_find(&set, id_of(i, memory));
        assert_non_null(c);
        assert_int_equal(c->number, numbers[i]);
        assert_ptr_equal(stead_connections_at(&set, numbers[i]), c);
    }
    assert_null(stead_connections_find(&set, id_of(LIMIT, memory)));
    stead_connections_deinit(&set);
}

static void test_add_over_the_limit_gives_none(void **state)
{
    (void)state;
    struct stead_connections set = {.count = 0};
    uint8_t memory[255];
    assert_non_null(stead_connections_add(&set, id_of(1, memory), 2));
    assert_non_null(stead_connections_add(&set, id_of(2, memory), 2));
    assert_null(stead_connections_add(&set, id_of(3, memory), 2));
    stead_connections_deinit(&set);
}

static void test_number_of_a_removed_connection_finds_nobody_for_ever(void **state)
{
    (void)state;
    struct stead_connections set = {.count = 0};
    uint8_t memory[255];
    uint64_t first = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        struct stead_connection *c = stead_connections_add(&set, id_of(7, memory), 1);
        assert_non_null(c);
        if (i == 0)
            first = c->number;
        else
            assert_null(stead_connections_at(&set, first));
        stead_connections_remove(&set, c);
        assert_null(stead_connections_find(&set, id_of(7, memory)));
    }
    assert_null(stead_connections_at(&set, 0));
    assert_null(stead_connections_at(&set, UINT64_MAX));
    stead_connections_deinit(&set);
}

/* Against a plain array as the model. */
static void test_random_changes_match_a_plain_list(void **state)
{
    (void)state;
    struct stead_connections set = {.count = 0};
    struct stead_connection *model[200] = {NULL};
    struct stead_rng rng;
    uint8_t memory[255];
    stead_rng_seed(&rng, 3);
    for (int step = 0; step < 20000; step++) {
        uint32_t i = (uint32_t)stead_rng_below(&rng, 200);
        struct stead_slice id = id_of(i, memory);
        assert_ptr_equal(stead_connections_find(&set, id), model[i]);
        if (model[i] == NULL) {
            model[i] = stead_connections_add(&set, id, LIMIT);
        } else {
            assert_ptr_equal(stead_connections_at(&set, model[i]->number), model[i]);
            stead_connections_remove(&set, model[i]);
            model[i] = NULL;
        }
    }
    stead_connections_deinit(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add_find_and_at_agree_after_growth),
        cmocka_unit_test(test_add_over_the_limit_gives_none),
        cmocka_unit_test(test_number_of_a_removed_connection_finds_nobody_for_ever),
        cmocka_unit_test(test_random_changes_match_a_plain_list),
    };
    return cmocka_run_group_tests_name("connections", tests, NULL, NULL);
}
