/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client's session: the mark, and what is told beyond it while a few requests take long.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "runtime/client_session.h"

struct world {
    struct stead_rng rng;
    struct stead_client_session *session;
    uint16_t slots[1u << 16]; /* by item, which is the number here: where it went; 0: nowhere yet */
};

static struct world *world_create(uint32_t ended_above_max)
{
    struct world *world = stead_alloc_zero(sizeof(*world));

    stead_rng_seed(&world->rng, 1);
    world->session = stead_client_session_create(&world->rng, 1, 1, ended_above_max);
    return world;
}

static void world_destroy(struct world *world)
{
    stead_client_session_check(world->session);
    stead_client_session_destroy(&world->session);
    free(world);
}

static uint64_t take(struct world *world, uint16_t slot)
{
    uint64_t number = stead_client_session_take(world->session, (uint32_t)world->session->next_number);

    world->slots[number] = slot;
    return number;
}

static void end(struct world *world, uint64_t number)
{
    stead_client_session_end(world->session, number);
    stead_client_session_check(world->session);
    assert_int_equal(stead_client_session_find(world->session, number), STEAD_CLIENT_ITEM_NONE);
}

static void take_and_end(struct world *world, uint32_t count)
{
    for (; count > 0; count--)
        end(world, take(world, 1));
}

static bool is_elsewhere(const void *self, uint32_t item, stead_slot slot)
{
    uint16_t at = ((const struct world *)self)->slots[item];

    return at != 0 && at != slot.v;
}

/* What a request to the slot tells: `ended_to` and the open numbers, as text. */
static const char *told_to(struct world *world, uint16_t slot)
{
    static char text[256];
    struct stead_message *request = stead_message_create(STEAD_CALL, &(struct stead_message_parts){.key = {NULL, 0}});
    size_t size = 0;

    request->slot.v = slot;
    struct stead_message *telling =
        stead_client_session_tell(world->session, request, &world->rng, is_elsewhere, world);
    text[0] = '\0';
    if (telling != NULL) {
        struct stead_slice ended = stead_message_ended(telling);
        assert_true(stead_message_ended_check(ended, world->session->mark));
        for (size_t at = 0; at < ended.size; at += 8)
            size += (size_t)snprintf(text + size, sizeof(text) - size, at == 0 ? "%llu:" : " %llu",
                                     (unsigned long long)stead_load64(ended.data + at));
    }
    stead_message_destroy(&telling);
    stead_message_destroy(&request);
    return text;
}

static void test_few_that_end_first_make_no_straggler(void **state)
{
    struct world *world = world_create(10);

    (void)state;
    uint64_t first = take(world, 1);
    take_and_end(world, 10);
    assert_int_equal(world->session->straggler_count, 0);
    assert_int_equal(world->session->mark, 0);
    assert_string_equal(told_to(world, 1), "");
    end(world, first);
    assert_int_equal(world->session->mark, 11);
    world_destroy(world);
}

static void test_requests_that_take_long_are_told_to_the_slots_they_went_to(void **state)
{
    struct world *world = world_create(10);

    (void)state;
    take(world, 7);
    take(world, 8);
    take(world, 7);
    take(world, 0);
    take_and_end(world, 100);
    assert_int_equal(world->session->mark, 0);
    assert_string_equal(told_to(world, 7), "104: 1 3 4");
    assert_string_equal(told_to(world, 8), "104: 2 4");
    assert_string_equal(told_to(world, 9), "104: 4");
    assert_int_equal(stead_client_session_find(world->session, 3), 3);
    end(world, 1);
    assert_int_equal(world->session->mark, 1);
    end(world, 3);
    assert_string_equal(told_to(world, 7), "104: 4");
    end(world, 2);
    end(world, 4);
    assert_int_equal(world->session->mark, 104);
    assert_string_equal(told_to(world, 7), "");
    world_destroy(world);
}

/* The span, which the client bounds, grows no more with what one request takes. */
static void test_span_does_not_grow_behind_stragglers(void **state)
{
    struct world *world = world_create(10);

    (void)state;
    take(world, 1);
    take_and_end(world, 60000);
    assert_int_equal(stead_client_session_span(world->session), 0);
    assert_int_equal(world->session->capacity, 64);
    world_destroy(world);
}

static void test_stragglers_beyond_their_number_hold_up_the_rest(void **state)
{
    struct world *world = world_create(1);

    (void)state;
    for (uint32_t i = 0; i < STEAD_CLIENT_STRAGGLERS_MAX + 1; i++) {
        take(world, 1);
        take_and_end(world, 2);
    }
    take_and_end(world, 100);
    assert_int_equal(world->session->straggler_count, STEAD_CLIENT_STRAGGLERS_MAX);
    assert_int_equal(stead_client_session_span(world->session), 103);
    end(world, 4);
    assert_int_equal(stead_client_session_span(world->session), 0);
    end(world, 1);
    assert_int_equal(world->session->mark, 6);
    world_destroy(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_few_that_end_first_make_no_straggler),
        cmocka_unit_test(test_requests_that_take_long_are_told_to_the_slots_they_went_to),
        cmocka_unit_test(test_span_does_not_grow_behind_stragglers),
        cmocka_unit_test(test_stragglers_beyond_their_number_hold_up_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
