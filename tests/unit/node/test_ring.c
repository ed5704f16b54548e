/* SPDX-License-Identifier: Apache-2.0 */
/* ring: order, bounds, the list of what did not fit, and two threads at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>

#include "node/inbox.h"
#include "node/ring.h"

static struct stead_message_pool blocks; /* of tests with one thread; empty after each */

static struct stead_message *numbered_in(struct stead_message_pool *pool, uint64_t number)
{
    struct stead_message_parts parts = {0};
    struct stead_message *message = stead_message_create_in(pool, STEAD_TELL, &parts);

    message->deadline_ms = number;
    return message;
}

static struct stead_message *numbered(uint64_t number)
{
    return numbered_in(&blocks, number);
}

static uint64_t take_number(struct stead_ring *ring)
{
    struct stead_message *message;

    assert_int_equal(stead_ring_take(ring, &blocks, &message, 1), 1);
    uint64_t number = message->deadline_ms;
    stead_message_destroy(&message);
    return number;
}

static void test_ring_full_refuses_and_leaves_the_message(void **state)
{
    (void)state;
    struct stead_ring *ring = stead_ring_create(2);
    struct stead_message *message;

    for (uint64_t i = 0; i < 2; i++) {
        message = numbered(i);
        assert_true(stead_ring_push(ring, &blocks, &message));
        assert_null(message);
    }
    message = numbered(2);
    assert_false(stead_ring_push(ring, &blocks, &message));
    assert_non_null(message);
    assert_int_equal(take_number(ring), 0);
    assert_true(stead_ring_push(ring, &blocks, &message));
    assert_int_equal(take_number(ring), 1);
    assert_int_equal(take_number(ring), 2);
    assert_true(stead_ring_empty(ring));
    stead_ring_destroy(&ring);
    assert_null(ring);
}

static void test_ring_destroyed_with_messages_frees_them(void **state)
{
    (void)state;
    struct stead_ring *ring = stead_ring_create(8);

    for (uint64_t i = 0; i < 5; i++) {
        struct stead_message *message = numbered(i);
        assert_true(stead_ring_push(ring, &blocks, &message));
    }
    stead_ring_destroy(&ring); /* the leak checker is the assertion */
}

static void test_crossing_beyond_ring_waits_in_order_and_asks_for_room(void **state)
{
    (void)state;
    struct stead_ring *ring = stead_ring_create(2);
    struct stead_crossing crossing = {.ring = ring, .pool = &blocks, .bytes_max = 1 << 20};

    for (uint64_t i = 0; i < 5; i++) {
        struct stead_message *message = numbered(i);
        stead_crossing_send(&crossing, &message);
        assert_null(message);
    }
    assert_true(crossing.bytes > 0);
    assert_false(stead_crossing_flush(&crossing));
    assert_int_equal(take_number(ring), 0);
    assert_true(stead_ring_take_request(ring));
    assert_false(stead_ring_take_request(ring));
    assert_int_equal(take_number(ring), 1);
    assert_false(stead_crossing_flush(&crossing)); /* two of three */
    assert_int_equal(take_number(ring), 2);
    assert_true(stead_crossing_flush(&crossing));
    assert_int_equal(take_number(ring), 3);
    assert_int_equal(take_number(ring), 4);
    assert_int_equal(crossing.bytes, 0);
    assert_int_equal(crossing.dropped, 0);
    stead_crossing_deinit(&crossing);
    stead_ring_destroy(&ring);
}

static void test_crossing_over_its_bytes_drops_and_counts(void **state)
{
    (void)state;
    struct stead_ring *ring = stead_ring_create(2);
    struct stead_message *message = numbered(0);
    struct stead_crossing crossing = {.ring = ring, .pool = &blocks, .bytes_max = message->block_size};

    stead_crossing_send(&crossing, &message);
    for (uint64_t i = 1; i < 5; i++) {
        message = numbered(i);
        stead_crossing_send(&crossing, &message);
    }
    assert_int_equal(crossing.dropped, 2); /* two in the ring, one waits */
    stead_crossing_deinit(&crossing);
    stead_ring_destroy(&ring);
}

#define TRAVELLERS 200000u

/* Sleeps until the bell is rung: a lost ring is a test that fails here, not one that hangs. */
static void sleep_on(struct stead_bell *bell)
{
    struct pollfd poll_fd = {.fd = bell->fd, .events = POLLIN};

    assert_int_equal(poll(&poll_fd, 1, 20000), 1);
    stead_bell_wake(bell, true);
}

/* Two reactors in small: one sends, the other sleeps when it has nothing. */
struct pair {
    struct stead_ring *ring;
    struct stead_bell sender, receiver;
};

static void *send_all(void *context)
{
    struct pair *pair = context;
    struct stead_message_pool pool = {0};
    struct stead_crossing crossing = {.ring = pair->ring, .pool = &pool, .bytes_max = 1u << 30};

    for (uint64_t i = 0; i < TRAVELLERS; i++) {
        struct stead_message *message = numbered_in(&pool, i);
        stead_crossing_send(&crossing, &message);
        if (i % 64 == 0)
            stead_bell_ring(&pair->receiver);
    }
    for (;;) {
        stead_bell_arm(&pair->sender);
        bool gone = stead_crossing_flush(&crossing);
        stead_bell_ring(&pair->receiver);
        if (gone)
            break;
        sleep_on(&pair->sender);
    }
    stead_message_pool_deinit(&pool);
    return NULL;
}

static void test_ring_between_threads_that_sleep_loses_nothing_and_keeps_order(void **state)
{
    (void)state;
    struct pair pair = {.ring = stead_ring_create(64)};
    struct stead_message_pool pool = {0};
    pthread_t thread;
    uint64_t expected = 0;

    assert_int_equal(stead_bell_init(&pair.sender), 0);
    assert_int_equal(stead_bell_init(&pair.receiver), 0);
    assert_int_equal(pthread_create(&thread, NULL, send_all, &pair), 0);
    while (expected < TRAVELLERS) {
        struct stead_message *messages[16];
        uint32_t count = stead_ring_take(pair.ring, &pool, messages, 16);
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(messages[i]->deadline_ms, expected++);
            stead_message_destroy_in(&pool, &messages[i]);
        }
        if (stead_ring_take_request(pair.ring))
            stead_bell_ring(&pair.sender);
        if (count > 0)
            continue;
        stead_bell_arm(&pair.receiver);
        if (stead_ring_empty(pair.ring))
            sleep_on(&pair.receiver);
        else
            stead_bell_wake(&pair.receiver, false);
    }
    pthread_join(thread, NULL);
    stead_bell_deinit(&pair.sender);
    stead_bell_deinit(&pair.receiver);
    stead_ring_destroy(&pair.ring);
    stead_message_pool_deinit(&pool);
}

static void test_ring_slots_bring_spare_blocks_back_to_who_sends(void **state)
{
    (void)state;
    struct stead_ring *ring = stead_ring_create(64);
    struct stead_message_pool sender = {0}, receiver = {0};
    struct stead_message *message;

    for (uint64_t i = 0; i < 4096; i++) {
        message = numbered_in(&sender, i);
        assert_true(stead_ring_push(ring, &sender, &message));
        assert_int_equal(stead_ring_take(ring, &receiver, &message, 1), 1);
        assert_int_equal(message->deadline_ms, i);
        stead_message_destroy_in(&receiver, &message);
    }
    assert_in_range(receiver.count + sender.count, 1, 300); /* not 4,096: they went around */
    stead_ring_destroy(&ring);
    stead_message_pool_deinit(&sender);
    stead_message_pool_deinit(&receiver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring_full_refuses_and_leaves_the_message),
        cmocka_unit_test(test_ring_destroyed_with_messages_frees_them),
        cmocka_unit_test(test_crossing_beyond_ring_waits_in_order_and_asks_for_room),
        cmocka_unit_test(test_crossing_over_its_bytes_drops_and_counts),
        cmocka_unit_test(test_ring_slots_bring_spare_blocks_back_to_who_sends),
        cmocka_unit_test(test_ring_between_threads_that_sleep_loses_nothing_and_keeps_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
