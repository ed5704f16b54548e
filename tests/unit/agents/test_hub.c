/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hub's leases: each worker has its share from the beginning, somebody else has it while that worker is gone, and
 * gives it back as soon as it is there again. The workers here are dummies that only count how often they were told to
 * renew; the test asks in their stead.
 */
#include "unit/runtime/host_client.h"

#include "agents/agents.h"
#include "agents/hub.h"

#define HUB "hub/t"
#define WORKERS 2u
#define PARTITIONS 4u

static struct fx *fx;
static struct fx_client client;
static uint32_t told[WORKERS]; /* to renew */

static int count_renewal(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const char *key = stead_self_key(turn);

    (void)state, (void)args;
    told[key[strlen(key) - 1] - '0']++;
    return 0;
}

static int ignore(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)turn, (void)state, (void)args;
    return 0;
}

static const struct stead_op dummy_ops[] = {{"wake", ignore, NULL, 0, NULL},
                                            {"stop", ignore, NULL, 0, NULL},
                                            {"lease", count_renewal, NULL, 0, NULL},
                                            {NULL, NULL, NULL, 0, NULL}};
static const struct stead_kind dummy_worker = {.abi = STEAD_ABI,
                                               .struct_size = sizeof(struct stead_kind),
                                               .name = STEAD_HUB_WORKER_KIND,
                                               .durability = STEAD_VOLATILE,
                                               .ops = dummy_ops};

static void call(const char *op, struct stead_slice args)
{
    struct stead_message *message = fx_request(fx, &client, STEAD_CALL, HUB, op, args, NULL);

    stead_host_deliver(fx->host, &message);
    fx_run(fx);
}

/* The worker renews; a bit for each partition that it holds then. */
static uint32_t renew(uint32_t worker)
{
    struct stead_writer args;
    struct stead_slice list;
    uint32_t count, held = 0;
    uint64_t partition;

    stead_writer_init(&args);
    stead_pack(&args, "{s:u}", "worker", (uint64_t)worker);
    call("lease", stead_written(&args));
    stead_writer_deinit(&args);
    struct stead_message *answer = fx_answer(fx);
    assert_int_equal(answer->status, 0);
    assert_int_equal(stead_get_value(stead_message_payload(answer), "partitions", &list), 0);
    struct stead_reader reader = stead_reader(list);
    assert_int_equal(stead_read_array(&reader, &count), 0);
    for (; count > 0; count--) {
        assert_int_equal(stead_read_u64(&reader, &partition), 0);
        held |= 1u << partition;
    }
    stead_message_destroy(&answer);
    return held;
}

static int setup(void **state)
{
    struct stead_writer args;

    (void)state;
    fx = fx_create(2);
    assert_int_equal(stead_registry_add(fx->registry, &stead_hub_kind, NULL), 0);
    assert_int_equal(stead_registry_add(fx->registry, &dummy_worker, NULL), 0);
    client = fx_client(fx, 1);
    memset(told, 0, sizeof(told));
    stead_writer_init(&args);
    stead_pack(&args, "{s:u,s:u}", "workers", (uint64_t)WORKERS, "partitions", (uint64_t)PARTITIONS);
    call("create", stead_written(&args));
    stead_writer_deinit(&args);
    struct stead_message *answer = fx_answer(fx);
    assert_int_equal(answer->status, 0);
    stead_message_destroy(&answer);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fx_destroy(fx);
    return 0;
}

static void test_the_first_worker_of_a_new_hub_takes_its_share_alone(void **state)
{
    (void)state;
    assert_int_equal(renew(0), 0x5);
    assert_int_equal(renew(1), 0xa);
    assert_int_equal(renew(0), 0x5);
}

static void test_who_is_gone_is_replaced_after_thirty_seconds_and_not_sooner(void **state)
{
    (void)state;
    assert_int_equal(renew(1), 0xa);
    for (int seconds = 0; seconds < 30; seconds += 10) {
        assert_int_equal(renew(0), 0x5);
        fx_step_ms(fx, 10000);
    }
    assert_int_equal(renew(0), 0xf);
}

static void test_who_comes_back_gets_its_share_at_once(void **state)
{
    (void)state;
    for (int seconds = 0; seconds < 40; seconds += 10) {
        (void)renew(0);
        fx_step_ms(fx, 10000);
    }
    assert_int_equal(renew(0), 0xf);
    assert_int_equal(told[0] + told[1], 0);
    assert_int_equal(renew(1), 0);
    assert_int_equal(told[0], 1); /* it is to give them back now, not at its next renewal */
    assert_int_equal(renew(0), 0x5);
    assert_int_equal(told[1], 1); /* and who gets them is told */
    assert_int_equal(renew(1), 0xa);
    assert_int_equal(renew(0), 0x5);
    assert_int_equal(told[0] + told[1], 2);
}

static void test_more_tasks_than_a_turn_can_renew_are_refused(void **state)
{
    struct stead_message *answers[2];

    (void)state;
    for (uint64_t more = 0; more < 2; more++) {
        struct stead_writer args;
        stead_writer_init(&args);
        stead_pack(&args, "{s:u}", "tasks", STEAD_HUB_TASKS_MAX + more);
        struct stead_message *message =
            fx_request(fx, &client, STEAD_CALL, more ? "hub/more" : "hub/most", "create", stead_written(&args), NULL);
        stead_host_deliver(fx->host, &message);
        fx_run(fx);
        stead_writer_deinit(&args);
        answers[more] = fx_answer(fx);
    }
    assert_int_equal(answers[0]->status, 0);
    assert_int_equal(answers[1]->status, STEAD_EFAILED);
    stead_message_destroy(&answers[0]);
    stead_message_destroy(&answers[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_first_worker_of_a_new_hub_takes_its_share_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_is_gone_is_replaced_after_thirty_seconds_and_not_sooner, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_more_tasks_than_a_turn_can_renew_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_comes_back_gets_its_share_at_once, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
