/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hub under more than a turn may do at once, or than a worker may hold: open calls of agents, clients that wait for
 * one instance, messages for one that is busy, and messages for one that has not begun.
 */
#include "unit/agents/hub_worker_fixture.h"

static int64_t of_worker(const char *what)
{
    struct stead_writer none;
    int64_t it = -1;

    stead_writer_init(&none);
    assert_int_equal(ask(stead_hub_worker(&settings, 0).text, "status", &none), 0);
    assert_int_equal(stead_get_i64(stead_message_payload(answer), what, &it), 0);
    return it;
}

/* ---- Calls of agents ----------------------------------------------------------------------------------------- */

#define AGENTS 97u
#define CALLS 10500u /* more than a turn may have effects */

static struct stead_token tokens[AGENTS][CALLS / AGENTS + 1];
static uint32_t token_count[AGENTS];

static int keep_caller(struct stead_turn *turn, void *state, struct stead_slice args)
{
    unsigned key = (unsigned)atoi(stead_self_key(turn));

    (void)state, (void)args;
    return stead_reply_later(turn, &tokens[key][token_count[key]++]);
}

static int free_callers(struct stead_turn *turn, void *state, struct stead_slice args)
{
    unsigned key = (unsigned)atoi(stead_self_key(turn));

    (void)state, (void)args;
    for (; token_count[key] > 0; token_count[key]--)
        assert_int_equal(stead_answer(turn, &tokens[key][token_count[key] - 1], stead_packed(turn, "u", UINT64_C(1))),
                         0);
    return 0;
}

static const struct stead_op mute_ops[] = {
    {"do", keep_caller, NULL, 0, ""}, {"free", free_callers, NULL, 0, ""}, {NULL, NULL, NULL, 0, NULL}};
static const struct stead_kind mute = {.abi = STEAD_ABI,
                                       .struct_size = sizeof(struct stead_kind),
                                       .name = "mute",
                                       .durability = STEAD_VOLATILE,
                                       .ops = mute_ops};

static void call_mute(unsigned number)
{
    struct stead_writer args;
    char id[32], address[32];

    snprintf(id, sizeof(id), "call-%u", number);
    snprintf(address, sizeof(address), "mute/%u", number % AGENTS);
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:{s:s,s:s,s:s,s:s,s:s}}", "id", id, "body", "t", "call", "a", address, "n", "do", "q",
               stead_hub_part_queue(&settings, "answers").text, "m", id);
    assert_int_equal(ask(stead_hub_control(&settings, 0).text, "enqueue", &args), 0);
}

static void answer_all(void)
{
    for (unsigned at = 0; at < AGENTS; at++) {
        struct stead_writer none;
        char address[32];
        snprintf(address, sizeof(address), "mute/%u", at);
        stead_writer_init(&none);
        assert_int_equal(ask(address, "free", &none), 0);
    }
}

static void test_more_calls_than_a_turn_has_effects_are_renewed_and_done(void **state)
{
    (void)state;
    assert_int_equal(stead_registry_add(fx->registry, &mute, NULL), 0);
    memset(token_count, 0, sizeof(token_count));
    for (unsigned at = 0; at < CALLS; at++)
        call_mute(at);
    assert_int_equal(of_worker("running"), CALLS);
    for (unsigned rounds = 1; rounds <= 2; rounds++) { /* every ten seconds, all of them */
        for (int seconds = 0; seconds < 11; seconds++)
            fx_step_ms(fx, 1000);
        assert_in_range(count_of("renewed"), rounds * CALLS, rounds * CALLS + CALLS);
    }
    answer_all();
    for (int rounds = 0; rounds < 100; rounds++)
        fx_step_ms(fx, 10);
    assert_int_equal(of_worker("running"), 0);
    assert_int_equal(count_of("depth"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_more_calls_than_a_turn_has_effects_are_renewed_and_done, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
