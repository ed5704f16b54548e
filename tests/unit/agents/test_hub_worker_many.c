/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An instance of a hub with more open than the cancels of one episode may tell of, and its code at hand: it is
 * terminated all the same. Built with a smaller limit than a node's (CMakeLists.txt).
 */
#include "unit/agents/hub_worker_fixture.h"

#define EACH 1500u   /* calls of a wave: two waves have more addresses than the EPISODE_BYTES_MAX of this test */
#define ADDRESS 517u /* bytes: the longest of the kind `dull` */

static uint32_t waves_ran;

static int open_much(struct stead_orchestration *o, struct stead_slice input)
{
    char address[ADDRESS + 1] = "dull/";
    struct stead_slice none = {NULL, 0};
    int code = 0;

    (void)input;
    memset(address + 5, 'k', ADDRESS - 5);
    for (uint32_t wave = 0; code == 0 && wave < 2; wave++) {
        for (uint32_t i = 0; i < EACH; i++)
            (void)stead_begin_call(o, address, "run", none, NULL);
        waves_ran = wave + 1;
        code = stead_await_event(o, "go", -1, NULL);
    }
    return code;
}
static const struct stead_orchestrator waves = {.abi = STEAD_ORCHESTRATION_ABI,
                                                .struct_size = sizeof(struct stead_orchestrator),
                                                .name = "waves",
                                                .version = 1,
                                                .run = open_much};

static void enqueue(const char *id, struct stead_writer *body)
{
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:v}", "id", id, "body", stead_written(body));
    stead_writer_deinit(body);
    assert_int_equal(ask(stead_hub_control(&settings, 0).text, "enqueue", &args), 0);
}

static void test_hub_worker_terminates_what_has_much_open(void **state)
{
    struct stead_writer args, body;

    (void)state;
    assert_int_equal(stead_registry_add_orchestrator(fx->registry, &waves, NULL), 0);
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:s,s:l,s:l,s:s}", "id", "w", "name", "waves", "version", 0ll, "input", 0ll, "start", "w");
    assert_int_equal(ask(stead_hub_table(&settings, 0).text, "create", &args), 0);
    stead_writer_init(&body);
    stead_pack(&body, "{s:s,s:s,s:s,s:l,s:u}", "t", "start", "i", "w", "n", "waves", "v", 0ll, "ver", 0ull);
    enqueue("w", &body);
    assert_int_equal(look_at("w").status, STEAD_INSTANCE_RUNNING);
    assert_int_equal(waves_ran, 1);
    stead_writer_init(&body);
    stead_pack(&body, "{s:s,s:s,s:s,s:l}", "t", "raise", "i", "w", "n", "go", "v", 0ll);
    enqueue("go", &body);
    assert_int_equal(look_at("w").status, STEAD_INSTANCE_RUNNING);
    assert_int_equal(waves_ran, 2);
    stead_writer_init(&body);
    stead_pack(&body, "{s:s,s:s,s:u,s:s}", "t", "steer", "i", "w", "k", (uint64_t)STEAD_HISTORY_EXECUTION_TERMINATED,
               "es", "enough");
    enqueue("end", &body);
    assert_int_equal(look_at("w").status, STEAD_INSTANCE_TERMINATED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_hub_worker_terminates_what_has_much_open, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
