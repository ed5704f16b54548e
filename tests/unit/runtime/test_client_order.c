/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of a client to one agent: what each names, and how those that were refused go again. */
#include "runtime/client_order.h"
#include "unit/runtime/client_scene.h"

static struct stead_message *request_of(const char *address)
{
    const struct stead_message_parts parts = {.address = stead_str(address), .op = stead_str("op")};

    return stead_message_create(STEAD_SIGNAL, &parts);
}

/* Against lists by hand: whatever leaves, those that stay keep their order. */
static void test_order_of_each_agent_is_kept_whatever_leaves(void **state)
{
    static const char *const addresses[] = {"a/1", "a/2", "b/1"};
    struct stead_client_order order = {0};
    struct stead_message *requests[300];
    struct stead_rng rng;
    bool in[300] = {false};

    (void)state;
    stead_rng_seed(&rng, 7);
    for (uint32_t i = 0; i < 300; i++) {
        requests[i] = request_of(addresses[i % 3]);
        stead_client_order_put(&order, i, requests[i]);
        in[i] = true;
        while (stead_rng_below(&rng, 2) == 0) {
            uint32_t out = (uint32_t)stead_rng_below(&rng, i + 1);
            stead_client_order_remove(&order, out);
            in[out] = false;
        }
        (void)stead_client_order_check(&order);
        uint32_t before = STEAD_CLIENT_ORDER_NONE;
        for (uint32_t at = i % 3; at <= i; at += 3) {
            if (!in[at])
                continue;
            assert_int_equal(stead_client_order_before(&order, at), before);
            if (before != STEAD_CLIENT_ORDER_NONE)
                assert_int_equal(stead_client_order_after(&order, before), at);
            before = at;
        }
    }
    stead_client_order_deinit(&order);
    for (uint32_t i = 0; i < 300; i++)
        stead_message_destroy(&requests[i]);
}

static void test_requests_to_one_agent_name_the_one_before_them(void **state)
{
    struct scene *scene = scene_connected();

    (void)state;
    give_table(scene, 2, 1, 1);
    submit(scene, "a/1");
    submit(scene, "a/2");
    submit(scene, "a/1");
    submit(scene, "job/1");
    submit(scene, "job/1"); /* any node may run it */
    submit(scene, "a/1");
    assert_string_equal(strstr(scene->log, "send 1.0 call a/1"), scene->log);
    assert_non_null(strstr(scene->log, "call a/1 #3<0 after 1\n"));
    assert_non_null(strstr(scene->log, "call a/1 #6<0 after 3\n"));
    assert_non_null(strstr(scene->log, "call a/2 #2<0\n"));
    assert_non_null(strstr(scene->log, "call job/1 #5<0\n"));
    scene->log_size = 0;
    struct stead_message *third = stead_message_answer(scene->sent[2], STEAD_EOP, NULL, stead_bytes(NULL, 0));
    stead_client_core_deliver(scene->core, &third);
    expect(scene, "end a/1 unknown_op\n");
    stead_client_core_peer_down(scene->core, 1, 0);
    scene->log_size = 0;
    stead_client_core_peer_up(scene->core, 1, 0); /* the third is no more: the sixth follows the first */
    assert_non_null(strstr(scene->log, "call a/1 #6<0 after 1 retry\n"));
    scene->log_size = 0;
    scene_close(scene);
}

static void test_requests_with_a_fence_do_not_wait_for_others(void **state)
{
    struct scene *scene = scene_connected();
    struct stead_client_request fenced = request_to("a/1");

    (void)state;
    fenced.fence = 7;
    submit(scene, "a/1");
    assert_int_equal(stead_client_core_submit(scene->core, &fenced), 0);
    assert_int_equal(stead_client_core_submit(scene->core, &fenced), 0);
    submit(scene, "a/1");
    expect(scene, "send 1.0 call a/1 #1<0\n"
                  "send 1.0 call a/1 #2<0\n"
                  "send 1.0 call a/1 #3<0 after 2\n"
                  "send 1.0 call a/1 #4<0 after 1\n");
    scene_close(scene);
}

static void test_refused_requests_to_one_agent_go_again_in_their_order(void **state)
{
    struct scene *scene = scene_connected();

    (void)state;
    for (int i = 0; i < 4; i++)
        submit(scene, "a/1");
    scene->log_size = 0;
    answer(scene, 0, STEAD_EBUSY); /* the fourth, then the third and the second; the first is taken */
    advance(scene, 10);
    answer(scene, 1, STEAD_EBUSY);
    advance(scene, 10);
    answer(scene, 2, STEAD_EBUSY);
    submit(scene, "a/1"); /* waits behind them */
    submit(scene, "a/2");
    expect(scene, "send 1.0 call a/2 #6<0\n");
    advance(scene, 43); /* the fourth's time has come, at the latest */
    expect(scene, "send 1.0 call a/1 #2<0 after 1 retry\n"
                  "send 1.0 call a/1 #3<0 after 2 retry\n"
                  "send 1.0 call a/1 #4<0 after 3 retry\n"
                  "send 1.0 call a/1 #5<0 after 4\n");
    answer(scene, 0, STEAD_EBUSY);
    answer(scene, 3, 0);
    expect(scene, "end a/1 ok\n");
    advance(scene, 63);
    expect(scene, "send 1.0 call a/1 #5<0 after 4 retry\n");
    scene_close(scene);
}

static void test_what_waits_behind_a_refused_request_goes_when_that_has_ended(void **state)
{
    struct scene *scene = scene_connected();
    struct stead_client_request hasty = request_to("a/1");

    (void)state;
    hasty.timeout_ms = 40;
    assert_int_equal(stead_client_core_submit(scene->core, &hasty), 0);
    struct stead_message *refusal =
        stead_message_answer(scene->sent[0], STEAD_EUNAVAILABLE, NULL, stead_bytes(NULL, 0));
    stead_client_core_deliver(scene->core, &refusal);
    scene->log_size = 0;
    submit(scene, "a/1");
    expect(scene, "");
    give_table(scene, 2, 1, 3); /* the table may have been the reason: both go */
    expect(scene, "send 1.0 call a/1 #1<0 retry\nsend 1.0 call a/1 #2<0 after 1\n");
    answer(scene, 0, STEAD_EBUSY);
    advance(scene, 41);
    expect(scene, "end a/1 timeout\n");
    advance(scene, 22);
    expect(scene, "send 1.0 call a/1 #2<1 retry\n");
    scene_close(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_of_each_agent_is_kept_whatever_leaves),
        cmocka_unit_test(test_requests_to_one_agent_name_the_one_before_them),
        cmocka_unit_test(test_requests_with_a_fence_do_not_wait_for_others),
        cmocka_unit_test(test_refused_requests_to_one_agent_go_again_in_their_order),
        cmocka_unit_test(test_what_waits_behind_a_refused_request_goes_when_that_has_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
