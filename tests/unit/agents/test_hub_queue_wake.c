/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waking those who wait at a queue of the hub: one turn of the queue's own for all that came before it, and none is
 * overlooked.
 */
#include "unit/runtime/host_client.h"

#include "agents/agents.h"
#include "agents/hub.h"

#define QUEUE "hub.queue/t/work"
#define BURST 5u

static struct fx *fx;
static struct fx_client client;

static void deliver(const char *op, struct stead_slice args)
{
    struct stead_message *message = fx_request(fx, &client, STEAD_CALL, QUEUE, op, args, NULL);

    stead_host_deliver(fx->host, &message);
}

static void wait_at_queue(void)
{
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:d,s:d,s:d}", "max", 32, "hide", 60000, "wait", 10000);
    deliver("dequeue", stead_written(&args));
    stead_writer_deinit(&args);
    fx_run(fx);
}

static void put(uint32_t count)
{
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:s}", "body", "x");
    for (uint32_t at = 0; at < count; at++)
        deliver("enqueue", stead_written(&args));
    stead_writer_deinit(&args);
    fx_run(fx);
}

/* All answers; the tasks in those to dequeues, which are arrays. */
static uint32_t take_answers(void)
{
    struct stead_message *answer;
    uint32_t tasks = 0, count = 0;

    while ((answer = stead_queue_pop(&fx->answers)) != NULL) {
        struct stead_reader reader = stead_reader(stead_message_payload(answer));
        assert_int_equal(answer->status, 0);
        if (stead_read_array(&reader, &count) == 0)
            tasks += count;
        stead_message_destroy(&answer);
    }
    return tasks;
}

static int setup(void **state)
{
    (void)state;
    fx = fx_create(2);
    assert_int_equal(stead_registry_add(fx->registry, &stead_hub_queue_kind, NULL), 0);
    client = fx_client(fx, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)take_answers();
    fx_destroy(fx);
    return 0;
}

static void test_what_comes_together_wakes_the_queue_once(void **state)
{
    (void)state;
    wait_at_queue();
    uint64_t turns = stead_host_stats(fx->host)->turns;
    put(BURST);
    assert_int_equal(stead_host_stats(fx->host)->turns - turns, BURST + 1);
    assert_int_equal(take_answers(), BURST);
}

static void test_what_comes_after_that_turn_in_the_same_millisecond_wakes_it_again(void **state)
{
    (void)state;
    for (uint32_t at = 0; at < 3; at++) {
        wait_at_queue();
        assert_int_equal(take_answers(), 0);
        put(1);
        assert_int_equal(take_answers(), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_comes_together_wakes_the_queue_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_comes_after_that_turn_in_the_same_millisecond_wakes_it_again, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
