/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The carrier of a member by itself: when it polls. Its queue is played by an agent that notes each dequeue.
 */
#include "unit/runtime/host_client.h"

#include "agents/carrier.h"
#include "agents/hub.h"

#define MEMBER "test.member/g/1"
#define POLLS_MAX 1000u

static struct fx *fx;
static struct fx_client client;
static uint64_t polled_ms[POLLS_MAX]; /* when */
static uint32_t polls;
static bool fails;       /* each dequeue does */
static uint32_t waiting; /* messages in the queue */
static uint32_t heard;   /* by the member */

static int forward_poll(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    return stead_carrier_poll(turn, state);
}

static int forward_polled(struct stead_turn *turn, void *state, struct stead_slice args)
{
    return stead_carrier_polled(turn, state, args);
}

static int forward_stored(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    return stead_carrier_stored(turn, state);
}

static int start(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int code = stead_carrier_take(turn, args, state);

    return code == 0 ? stead_carrier_start(turn, state) : code;
}

static int stop(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    stead_carrier_stop(turn, state);
    return 0;
}

static int hear(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)turn, (void)state, (void)args;
    heard++;
    return 0;
}

static int dequeue(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    assert_true(polls < POLLS_MAX);
    polled_ms[polls++] = stead_monotonic_ns(turn) / 1000000;
    if (fails)
        return stead_fail(turn, "broken", "it fails");
    if (waiting == 0)
        return stead_reply(turn, stead_packed(turn, "[]"));
    waiting--;
    return stead_reply(turn,
                       stead_packed(turn, "[[u,u,n,n,[s,s,n]]]", (uint64_t)1, (uint64_t)1, "test.member", "hear"));
}

static int forget(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)turn, (void)state, (void)args;
    return 0;
}

static const struct stead_op member_ops[] = {{.name = "start", .run = start},
                                             {.name = "stop", .run = stop},
                                             {.name = "hear", .run = hear},
                                             STEAD_CARRIER_OPS,
                                             {0}};
static const struct stead_kind member_kind = {.abi = STEAD_ABI,
                                              .struct_size = sizeof(struct stead_kind),
                                              .name = "test.member",
                                              .durability = STEAD_VOLATILE,
                                              .state_size = sizeof(struct stead_carrier),
                                              .ops = member_ops};
static const struct stead_op queue_ops[] = {
    {.name = "dequeue", .run = dequeue}, {.name = "delete", .run = forget}, {0}};
static const struct stead_kind queue_kind = {.abi = STEAD_ABI,
                                             .struct_size = sizeof(struct stead_kind),
                                             .name = STEAD_HUB_QUEUE_KIND,
                                             .durability = STEAD_VOLATILE,
                                             .ops = queue_ops};

static int say(const char *op, const char *format, ...)
{
    struct stead_writer args;
    va_list list;

    stead_writer_init(&args);
    va_start(list, format);
    stead_pack_v(&args, format, list);
    va_end(list);
    struct stead_message *message = fx_request(fx, &client, STEAD_CALL, MEMBER, op, stead_written(&args), NULL);
    stead_writer_deinit(&args);
    stead_host_deliver(fx->host, &message);
    fx_run(fx);
    return fx_answer_status(fx);
}

static void pass_ms(uint32_t ms)
{
    for (; ms > 0; ms--)
        fx_step_ms(fx, 1);
}

static int setup(void **state)
{
    (void)state;
    polls = waiting = heard = 0;
    fails = false;
    fx = fx_create(2);
    assert_int_equal(stead_registry_add(fx->registry, &member_kind, NULL), 0);
    assert_int_equal(stead_registry_add(fx->registry, &queue_kind, NULL), 0);
    client = fx_client(fx, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fx_destroy(fx);
    return 0;
}

static void test_fixed_interval_stays(void **state)
{
    (void)state;
    assert_int_equal(say("start", "{s:s,s:d}", "fabric", "hub", "poll_ms", 100), 0);
    pass_ms(1000);
    assert_in_range(polls, 9, 10);
    for (uint32_t at = 1; at < polls; at++)
        assert_int_equal(polled_ms[at] - polled_ms[at - 1], 100);
}

static void test_back_off_doubles_up_to_the_longest(void **state)
{
    uint64_t wait_ms = STEAD_CARRIER_FIRST_MS;

    (void)state;
    assert_int_equal(say("start", "{s:s,s:d,s:b}", "fabric", "hub", "poll_ms", 1000, "backoff", 1), 0);
    pass_ms(10000);
    assert_in_range(polls, 10, 16);
    for (uint32_t at = 1; at < polls; at++) {
        uint64_t waited_ms = polled_ms[at] - polled_ms[at - 1];
        assert_in_range(waited_ms, wait_ms * 8 / 10 - 1, wait_ms * 12 / 10 + 1);
        wait_ms = wait_ms * 2 < 1000 ? wait_ms * 2 : 1000;
    }
    assert_int_equal(wait_ms, 1000);
}

static void test_back_off_begins_anew_with_a_message(void **state)
{
    (void)state;
    assert_int_equal(say("start", "{s:s,s:d,s:b}", "fabric", "hub", "poll_ms", 30000, "backoff", 1), 0);
    pass_ms(10000);
    uint32_t before = polls;
    waiting = 1;
    for (int ms = 0; waiting > 0 && ms < 20000; ms++)
        pass_ms(1);
    assert_int_equal(polls, before + 1);
    pass_ms(STEAD_CARRIER_FIRST_MS * 12 / 10 + 1);
    assert_int_equal(polls, before + 2);
    assert_int_equal(heard, 1);
}

static void test_back_off_goes_on_after_a_failure_and_ends_when_stopped(void **state)
{
    (void)state;
    fails = true;
    assert_int_equal(say("start", "{s:s,s:d,s:b}", "fabric", "hub", "poll_ms", 1000, "backoff", 1), 0);
    pass_ms(2000);
    assert_in_range(polls, 3, 12); /* not at once: what fails may fail quickly */
    fails = false;
    pass_ms(2000);
    assert_int_equal(say("stop", "n"), 0);
    uint32_t before = polls;
    pass_ms(5000);
    assert_int_equal(polls, before);
}

static void test_odd_settings_are_refused(void **state)
{
    (void)state;
    assert_int_equal(say("start", "{s:s,s:s}", "fabric", "hub", "backoff", "yes"), STEAD_EFAILED);
    assert_int_equal(say("start", "{s:s}", "fabric", "pigeon"), STEAD_EFAILED);
    assert_int_equal(say("start", "{s:s,s:d}", "fabric", "hub", "poll_ms", 60001), STEAD_EFAILED);
    assert_int_equal(polls, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fixed_interval_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_back_off_doubles_up_to_the_longest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_back_off_begins_anew_with_a_message, setup, teardown),
        cmocka_unit_test_setup_teardown(test_back_off_goes_on_after_a_failure_and_ends_when_stopped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd_settings_are_refused, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
