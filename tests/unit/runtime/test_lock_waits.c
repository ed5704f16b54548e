/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Circles of waits to hold, as a host names them when they close.
 */
#include "unit/runtime/host_client.h"

#define RANKS 4

static char lock[RANKS][64], who[RANKS][64];
static char wanted[64]; /* what the next `do` asks to hold */
static int64_t fence;   /* given to the last one */
static int64_t timeout_ms;

static int ask(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_call_options options = {.reply_op = "reply", .timeout_ms = timeout_ms};

    (void)state, (void)args;
    return stead_call(turn, wanted, STEAD_OP_HOLD, (struct stead_slice){0}, &options);
}

static int note_fence(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)turn, (void)state;
    if (stead_get_i64(args, NULL, &fence) != 0)
        fence = 0;
    return 0;
}

/* Gives back what it asked for last. */
static int give_back(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_call_options options = {.reply_op = "reply", .timeout_ms = timeout_ms};

    (void)state, (void)args;
    return stead_call(turn, wanted, STEAD_OP_RELEASE, stead_packed(turn, "{s:u}", "fence", (uint64_t)fence), &options);
}

struct scene {
    struct fx *fx;
    struct fx_client client;
};

static struct scene open_scene(void)
{
    struct scene it = {.fx = fx_create(2)};

    it.client = fx_client(it.fx, 1);
    fx_do[0] = ask, fx_do[1] = give_back, fx_reply = note_fence;
    timeout_ms = STEAD_TIMEOUT_NEVER;
    for (uint32_t i = 0; i < RANKS; i++) {
        fx_address(lock[i], "d", 1 + i % 2, 1 + i); /* on both shards */
        fx_address(who[i], "d", 1 + i % 2, 50 + i);
    }
    return it;
}

static void ask_for(struct scene *it, int rank, int what)
{
    memcpy(wanted, lock[what], sizeof wanted);
    assert_int_equal(fx_call(it->fx, &it->client, who[rank], "do"), 0);
}

static void test_circle_is_named_when_it_closes_and_only_then(void **state)
{
    struct scene it = open_scene();
    char expected[1024];

    (void)state;
    for (int i = 0; i < 3; i++)
        ask_for(&it, i, i);
    ask_for(&it, 3, 0); /* waits, and holds nothing */
    ask_for(&it, 0, 1);
    ask_for(&it, 1, 2);
    assert_int_equal(it.fx->warnings, 0); /* a chain is no circle */
    ask_for(&it, 2, 0);
    assert_int_equal(it.fx->warnings, 1);
    snprintf(expected, sizeof expected,
             "a circle of waits, which nobody in it leaves by himself: %s waits for %s, held by %s, which waits for "
             "%s, held by %s, which waits for %s, held by %s",
             who[2], lock[0], who[0], lock[1], who[1], lock[2], who[2]);
    assert_string_equal(it.fx->warning, expected);
    fx_destroy(it.fx);
}

static void test_wait_that_is_over_is_in_no_circle(void **state)
{
    (void)state;
    for (int how = 0; how < 2; how++) {
        struct scene it = open_scene();
        ask_for(&it, 0, 0);
        ask_for(&it, 1, 1);
        timeout_ms = how == 0 ? 1000 : STEAD_TIMEOUT_NEVER;
        ask_for(&it, 0, 1); /* 0 waits for 1 */
        timeout_ms = STEAD_TIMEOUT_NEVER;
        if (how == 0) {
            fx_step_ms(it.fx, 5000); /* until it gives up */
        } else {
            memcpy(wanted, lock[1], sizeof wanted);
            fence = 1;
            assert_int_equal(fx_call(it.fx, &it.client, who[1], "do2"), 0); /* 0 holds both now */
        }
        ask_for(&it, 1, 0);
        assert_int_equal(it.fx->warnings, 0);
        fx_destroy(it.fx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_circle_is_named_when_it_closes_and_only_then),
        cmocka_unit_test(test_wait_that_is_over_is_in_no_circle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
