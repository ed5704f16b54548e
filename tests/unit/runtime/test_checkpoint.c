/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints that turns outrun. */
#include "unit/runtime/host_client.h"

static int put_large(struct stead_turn *turn, void *state, struct stead_slice args)
{
    static const uint8_t bytes[50000] = {0};
    struct puppet *puppet = state;

    (void)args;
    return stead_kv_put(turn, stead_str(stead_printed(turn, "%lld", (long long)++puppet->value)),
                        stead_packed(turn, "B", stead_bytes(bytes, sizeof(bytes))));
}

/* What is written faster than the image takes it stays within the budget; and when nobody writes any more, nothing of
 * it is in memory. */
static void test_turns_wait_for_checkpoints_that_do_not_keep_up(void **state)
{
    struct fx *fx = fx_create(1);
    char a[64];

    (void)state;
    fx->settings.memory_bytes_max = 1u << 20;
    fx->settings.batch_bytes_max = 64u << 10;
    fx_crash(fx, false);
    struct fx_client client = fx_client(fx, 1);
    fx_do[0] = put_large;
    fx_address(a, "d", 1, 0);
    fx->hold_rows = true;
    for (uint32_t i = 0; i < 100; i++)
        fx_send(fx, &client, STEAD_CALL, a, "do");
    assert_in_range(fx->answers.count, 7, 14);
    assert_in_range(fx_stats(fx)->memory_bytes, 256u << 10, 2u << 20); /* with the requests that wait */
    fx->hold_rows = false;
    fx_run(fx);
    assert_int_equal(fx->answers.count, 100);
    assert_true(fx_stats(fx)->checkpoints > 5);
    for (uint32_t i = 0; i < 100; i++)
        fx_step_ms(fx, 100);
    assert_true(fx_stats(fx)->memory_bytes < 600u << 10);
    fx_destroy(fx);
}

static uint32_t rung;

static int ring(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)turn, (void)state, (void)args;
    rung++;
    return 0;
}

static int set_timer(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_timer_after(turn, "t", 1000, "do3", (struct stead_slice){0});
}

/* A shard whose turns wait for the image has no request in its queues, but a timer that fell due meanwhile: it is
 * looked at when the rows are written, not with the next message. */
static void test_timers_do_not_wait_longer_than_the_checkpoint(void **state)
{
    struct fx *fx = fx_create(1);
    char a[64];

    (void)state;
    rung = 0;
    fx->settings.memory_bytes_max = 64u << 10;
    fx_crash(fx, false);
    struct fx_client client = fx_client(fx, 1);
    fx_do[0] = put_large;
    fx_do[1] = set_timer;
    fx_do[2] = ring;
    fx_address(a, "d", 1, 0);
    fx_send(fx, &client, STEAD_CALL, a, "do2");
    fx->hold_rows = true;
    fx_send(fx, &client, STEAD_CALL, a, "do");
    assert_int_equal(fx->answers.count, 2);
    fx_step_ms(fx, 2000);
    assert_int_equal(rung, 0);
    fx->hold_rows = false;
    fx_run(fx);
    assert_int_equal(rung, 1);
    fx_destroy(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turns_wait_for_checkpoints_that_do_not_keep_up),
        cmocka_unit_test(test_timers_do_not_wait_longer_than_the_checkpoint),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
