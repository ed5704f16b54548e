/* SPDX-License-Identifier: Apache-2.0 */
/* inbox: many producers, one consumer that sleeps, nothing lost, each producer's order kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>

#include "node/inbox.h"

#define PRODUCERS 4u
#define EVENTS 20000u

static void test_inbox_empty_gives_nothing(void **state)
{
    (void)state;
    struct stead_inbox inbox;

    assert_int_equal(stead_inbox_init(&inbox), 0);
    assert_true(stead_inbox_empty(&inbox));
    assert_null(stead_inbox_take(&inbox));
    stead_inbox_deinit(&inbox);
}

static void test_inbox_gives_events_in_the_order_of_their_posting(void **state)
{
    (void)state;
    struct stead_inbox inbox;
    uint64_t expected = 0;

    assert_int_equal(stead_inbox_init(&inbox), 0);
    for (uint64_t i = 0; i < 3; i++) {
        struct stead_event event = {.type = STEAD_EVENT_SYNCED, .number = i};
        stead_inbox_post(&inbox, &event);
    }
    struct stead_event *event = stead_inbox_take(&inbox);
    while (event) {
        struct stead_event *next = event->next;
        assert_int_equal(event->number, expected++);
        free(event);
        event = next;
    }
    assert_int_equal(expected, 3);
    stead_inbox_deinit(&inbox);
}

static void test_bell_of_a_busy_consumer_is_not_rung(void **state)
{
    (void)state;
    struct stead_bell bell;
    struct pollfd poll_fd;

    assert_int_equal(stead_bell_init(&bell), 0);
    poll_fd = (struct pollfd){.fd = bell.fd, .events = POLLIN};
    stead_bell_ring(&bell);
    assert_int_equal(poll(&poll_fd, 1, 0), 0);
    stead_bell_arm(&bell);
    stead_bell_ring(&bell);
    stead_bell_ring(&bell);
    assert_int_equal(poll(&poll_fd, 1, 0), 1);
    stead_bell_wake(&bell, true);
    assert_int_equal(poll(&poll_fd, 1, 0), 0);
    stead_bell_deinit(&bell);
}

struct producer {
    struct stead_inbox *inbox;
    uint32_t number;
};

static void *post_all(void *context)
{
    const struct producer *producer = context;

    for (uint64_t i = 0; i < EVENTS; i++) {
        struct stead_event event = {.type = STEAD_EVENT_SYNCED, .shard = producer->number, .number = i};
        stead_inbox_post(producer->inbox, &event);
    }
    return NULL;
}

static void test_inbox_of_a_sleeper_with_many_producers_loses_nothing(void **state)
{
    (void)state;
    struct stead_inbox inbox;
    struct producer producers[PRODUCERS];
    pthread_t threads[PRODUCERS];
    uint64_t expected[PRODUCERS] = {0};
    uint32_t taken = 0;

    assert_int_equal(stead_inbox_init(&inbox), 0);
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){&inbox, i};
        assert_int_equal(pthread_create(&threads[i], NULL, post_all, &producers[i]), 0);
    }
    while (taken < PRODUCERS * EVENTS) {
        stead_bell_arm(&inbox.bell);
        if (stead_inbox_empty(&inbox)) {
            struct pollfd poll_fd = {.fd = inbox.bell.fd, .events = POLLIN};
            assert_int_equal(poll(&poll_fd, 1, 20000), 1);
            stead_bell_wake(&inbox.bell, true);
        } else {
            stead_bell_wake(&inbox.bell, false);
        }
        struct stead_event *event = stead_inbox_take(&inbox);
        while (event) {
            struct stead_event *next = event->next;
            assert_int_equal(event->number, expected[event->shard]++);
            taken++;
            free(event);
            event = next;
        }
    }
    for (uint32_t i = 0; i < PRODUCERS; i++)
        pthread_join(threads[i], NULL);
    stead_inbox_deinit(&inbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inbox_empty_gives_nothing),
        cmocka_unit_test(test_inbox_gives_events_in_the_order_of_their_posting),
        cmocka_unit_test(test_bell_of_a_busy_consumer_is_not_rung),
        cmocka_unit_test(test_inbox_of_a_sleeper_with_many_producers_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
