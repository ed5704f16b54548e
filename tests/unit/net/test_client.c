/* SPDX-License-Identifier: Apache-2.0 */
/* The client library against reactors that are nothing but a ROUTER on a thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "stead/client.h"
#include "tests/unit/net/fake_reactor.h"

#define ANY_PORT "tcp://127.0.0.1:0"

/* One node, its table and a client of it. */
struct scene {
    struct fake_reactor *fake;
    struct stead_table *table;
    struct stead_client *client;
};

static struct stead_client *open_client(const char *endpoints)
{
    const struct stead_client_options options = {.endpoints = endpoints, .retry_ms = 200, .timeout_ms = 20000};
    struct stead_client *client = NULL;

    assert_int_equal(stead_client_open(&options, &client), 0);
    return client;
}

static struct scene scene_open(void)
{
    struct scene scene = {.fake = fake_create(ANY_PORT, 1, 0)};
    const char *endpoint = scene.fake->endpoint;

    scene.table = fake_table(&endpoint, 1, 1);
    fake_start(scene.fake, scene.table);
    scene.client = open_client(endpoint);
    return scene;
}

static void scene_close(struct scene *scene)
{
    stead_client_close(&scene->client);
    if (scene->fake != NULL)
        fake_stop(&scene->fake);
    stead_table_release(&scene->table);
}

static const uint8_t seven_bytes[] = {0x07};
static const struct stead_slice seven = {seven_bytes, 1};

static void test_call_answered_returns_the_value(void **state)
{
    struct scene scene = scene_open();
    struct stead_answer answer;
    int64_t value = 0;

    (void)state;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(stead_client_call(scene.client, "counter/a", "echo", seven, NULL, &answer), 0);
        assert_int_equal(stead_get_i64(answer.value, NULL, &value), 0);
        assert_int_equal(value, 7);
        assert_string_equal(answer.error_name, "");
    }
    assert_int_equal(atomic_load(&scene.fake->hellos), 1);
    assert_true(atomic_load(&scene.fake->requests) >= 100); /* more when a slow machine made it ask again */
    scene_close(&scene);
}

static void test_call_failed_names_the_failure(void **state)
{
    struct scene scene = scene_open();
    struct stead_answer answer;

    (void)state;
    assert_int_equal(stead_client_call(scene.client, "counter/a", "fail", seven, NULL, &answer), STEAD_EFAILED);
    assert_string_equal(answer.error_name, "made_to");
    assert_string_equal(answer.error_sentence, "it is made to");
    assert_string_equal(answer.error_agent, "counter/a");
    assert_string_equal(answer.error_op, "fail");
    scene_close(&scene);
}

static void count_answer(void *context, const struct stead_answer *answer)
{
    unsigned *count = context;

    *count += answer->code == 0;
}

static void test_options_that_no_request_can_have_are_refused(void **state)
{
    const struct stead_request_options bad[] = {{.idempotency_key = ""}, {.delay_ms = -1}, {.delay_ms = INT64_MIN}};
    struct scene scene = scene_open();
    struct stead_answer answer;
    unsigned answered = 0;

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(stead_client_signal(scene.client, "counter/a", "echo", seven, &bad[i], &answer),
                         STEAD_EARGUMENT);
        assert_string_equal(answer.error_name, stead_error_name(STEAD_EARGUMENT));
        assert_string_equal(answer.error_agent, "counter/a");
        assert_int_equal(stead_client_call(scene.client, "counter/a", "echo", seven, &bad[i], NULL), STEAD_EARGUMENT);
        assert_int_equal(
            stead_client_signal_async(scene.client, "counter/a", "echo", seven, &bad[i], count_answer, &answered),
            STEAD_EARGUMENT);
        assert_int_equal(
            stead_client_call_async(scene.client, "counter/a", "echo", seven, &bad[i], count_answer, &answered),
            STEAD_EARGUMENT);
    }
    assert_int_equal(stead_client_in_flight(scene.client), 0);
    assert_int_equal(answered, 0);
    assert_int_equal(atomic_load(&scene.fake->requests), 0);
    scene_close(&scene);
}

static void test_call_lost_on_the_way_is_sent_again_with_its_id(void **state)
{
    struct scene scene = scene_open();

    (void)state;
    assert_int_equal(stead_client_call(scene.client, "counter/a", "lose", seven, NULL, NULL), 0);
    assert_int_equal(atomic_load(&scene.fake->requests), 2);
    scene_close(&scene);
}

static void test_call_refused_goes_again_until_it_is_taken(void **state)
{
    struct scene scene = scene_open();

    (void)state;
    assert_int_equal(stead_client_call(scene.client, "counter/a", "busy", seven, NULL, NULL), 0);
    assert_int_equal(atomic_load(&scene.fake->requests), 3);
    assert_int_equal(stead_client_call(scene.client, "counter/a", "lost", seven, NULL, NULL), 0);
    assert_true(atomic_load(&scene.fake->hellos) >= 2); /* it asked for the table */
    assert_int_equal(stead_client_call(scene.client, "counter/a", "ended", seven, NULL, NULL), 0);
    scene_close(&scene);
}

static void test_call_without_answer_times_out(void **state)
{
    const struct stead_request_options options = {.timeout_ms = 120};
    struct scene scene = scene_open();
    struct stead_answer answer;

    (void)state;
    assert_int_equal(stead_client_call(scene.client, "counter/a", "mute", seven, &options, &answer), STEAD_ETIMEOUT);
    assert_string_equal(answer.error_name, "timeout");
    assert_string_equal(answer.error_agent, "counter/a");
    assert_int_equal(stead_client_in_flight(scene.client), 0);
    scene_close(&scene);
}

static void test_call_with_nobody_listening_is_unavailable_quickly(void **state)
{
    struct fake_reactor *fake = fake_create(ANY_PORT, 1, 0);
    char endpoints[160];
    struct stead_client *client;
    struct stead_answer answer;
    void *watch;

    (void)state;
    /* Two ports that are free because somebody had one of them and let it go. */
    (void)stead_format(endpoints, sizeof(endpoints), "%s,tcp://127.0.0.1:1", fake->endpoint);
    fake_start(fake, NULL);
    fake_stop(&fake);
    client = open_client(endpoints);
    watch = zmq_stopwatch_start();
    assert_int_equal(stead_client_call(client, "counter/a", "echo", seven, NULL, &answer), STEAD_EUNAVAILABLE);
    assert_true(zmq_stopwatch_stop(watch) < 2000000);
    assert_string_equal(answer.error_name, "unavailable");
    assert_int_equal(stead_client_tell(client, "counter/a", "echo", seven), STEAD_EUNAVAILABLE);
    assert_int_equal(stead_client_query(client, "stats", (struct stead_slice){NULL, 0}, &answer), STEAD_EUNAVAILABLE);
    stead_client_close(&client);
}

static void test_client_of_a_node_that_comes_back_reconnects(void **state)
{
    const struct stead_request_options options = {.timeout_ms = 1000};
    struct scene scene = scene_open();
    char endpoint[64];

    (void)state;
    assert_int_equal(stead_client_call(scene.client, "counter/a", "echo", seven, NULL, NULL), 0);
    strcpy(endpoint, scene.fake->endpoint);
    fake_stop(&scene.fake);
    /* A request that left before the loss was noticed may have been executed: its outcome is unknown. */
    int code = stead_client_call(scene.client, "counter/a", "echo", seven, &options, NULL);
    assert_true(code == STEAD_EUNAVAILABLE || code == STEAD_ETIMEOUT);
    scene.fake = fake_create(endpoint, 1, 0);
    fake_start(scene.fake, scene.table);
    for (int i = 0; i < 200; i++) /* the back-off of the search */
        if (stead_client_call(scene.client, "counter/a", "echo", seven, NULL, NULL) == 0)
            break;
    assert_int_equal(stead_client_call(scene.client, "counter/a", "echo", seven, NULL, NULL), 0);
    scene_close(&scene);
}

static void test_request_in_flight_when_its_node_dies_is_answered_after_its_return(void **state)
{
    struct scene scene = scene_open();
    char endpoint[64];
    unsigned answered = 0;

    (void)state;
    assert_int_equal(stead_client_call(scene.client, "counter/a", "echo", seven, NULL, NULL), 0);
    assert_int_equal(stead_client_call_async(scene.client, "counter/a", "lose", seven, NULL, count_answer, &answered),
                     0);
    assert_int_equal(stead_client_poll(scene.client, 20), 0);
    strcpy(endpoint, scene.fake->endpoint);
    fake_stop(&scene.fake);
    assert_int_equal(stead_client_poll(scene.client, 100), 0);
    scene.fake = fake_create(endpoint, 1, 0);
    fake_start(scene.fake, scene.table);
    assert_int_equal(stead_client_drain(scene.client, 5000), 0);
    assert_int_equal(answered, 1);
    scene_close(&scene);
}

static void test_pipeline_of_many_requests_answers_each_once(void **state)
{
    struct scene scene = scene_open();
    unsigned answered = 0;
    char address[32];

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        (void)stead_format(address, sizeof(address), "counter/%u", i % 100);
        while (stead_client_signal_async(scene.client, address, "echo", seven, NULL, count_answer, &answered) ==
               STEAD_EBUSY)
            assert_true(stead_client_poll(scene.client, 1000) >= 0);
    }
    assert_int_equal(stead_client_drain(scene.client, 20000), 0);
    assert_int_equal(answered, 20000);
    scene_close(&scene);
}

/* A completion that goes on: each answer starts the next request. */
struct chain {
    struct stead_client *client;
    unsigned left;
    int nested; /* what a synchronous function says inside a completion */
};

static void chain_next(void *context, const struct stead_answer *answer)
{
    struct chain *chain = context;

    assert_int_equal(answer->code, 0);
    chain->nested = stead_client_call(chain->client, "counter/a", "echo", seven, NULL, NULL);
    if (--chain->left > 0)
        assert_int_equal(stead_client_call_async(chain->client, "counter/a", "echo", seven, NULL, chain_next, chain),
                         0);
}

static void test_completion_may_start_requests_but_not_wait_for_them(void **state)
{
    struct scene scene = scene_open();
    struct chain chain = {.client = scene.client, .left = 50};

    (void)state;
    assert_int_equal(stead_client_call_async(scene.client, "counter/a", "echo", seven, NULL, chain_next, &chain), 0);
    assert_int_equal(stead_client_drain(scene.client, 5000), 0);
    assert_int_equal(chain.left, 0);
    assert_int_equal(chain.nested, STEAD_ESTATE);
    scene_close(&scene);
}

static void test_tell_before_close_arrives(void **state)
{
    struct scene scene = scene_open();
    struct timespec pause = {.tv_nsec = 5000000};

    (void)state;
    assert_int_equal(stead_client_tell(scene.client, "counter/a", "echo", seven), 0);
    stead_client_close(&scene.client);
    for (int i = 0; i < 400 && atomic_load(&scene.fake->tells) == 0; i++)
        (void)nanosleep(&pause, NULL);
    assert_int_equal(atomic_load(&scene.fake->tells), 1);
    scene_close(&scene);
}

static void note_code(void *context, const struct stead_answer *answer)
{
    *(int *)context = answer->code;
}

static void test_close_with_requests_in_flight_cancels_them(void **state)
{
    struct scene scene = scene_open();
    int code = 0;

    (void)state;
    assert_int_equal(stead_client_call_async(scene.client, "counter/a", "mute", seven, NULL, note_code, &code), 0);
    assert_int_equal(stead_client_poll(scene.client, 20), 0);
    stead_client_close(&scene.client);
    assert_int_equal(code, STEAD_ECANCELLED);
    scene_close(&scene);
}

static void test_requests_go_straight_to_the_owner(void **state)
{
    struct fake_reactor *fakes[3];
    const char *endpoints[3];
    struct stead_table *table;
    struct stead_client *client;
    char address[32];

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        fakes[i] = fake_create(ANY_PORT, i + 1, 0);
        endpoints[i] = fakes[i]->endpoint;
    }
    table = fake_table(endpoints, 3, 1);
    for (int i = 0; i < 3; i++)
        fake_start(fakes[i], table);
    client = open_client(endpoints[1]);
    for (unsigned i = 0; i < 300; i++) {
        (void)stead_format(address, sizeof(address), "counter/%u", i);
        assert_int_equal(stead_client_call(client, address, "echo", seven, NULL, NULL), 0);
    }
    stead_client_close(&client);
    for (int i = 0; i < 3; i++) {
        assert_true(atomic_load(&fakes[i]->requests) > 50);
        assert_int_equal(atomic_load(&fakes[i]->hellos), 1);
        fake_stop(&fakes[i]);
    }
    stead_table_release(&table);
}

static void test_locate_names_the_reactor_that_gets_the_call(void **state)
{
    struct fake_reactor *fakes[3];
    const char *endpoints[3];
    struct stead_client *client;
    struct stead_location location;
    char address[32];
    unsigned seen[3] = {0};

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        fakes[i] = fake_create(ANY_PORT, i + 1, 0);
        endpoints[i] = fakes[i]->endpoint;
    }
    struct stead_table *table = fake_table(endpoints, 3, 1);
    for (int i = 0; i < 3; i++)
        fake_start(fakes[i], table);
    client = open_client(endpoints[1]);
    for (unsigned i = 0; i < 60; i++) { /* the first asks for the table */
        (void)stead_format(address, sizeof(address), "counter/%u", i);
        assert_int_equal(stead_client_locate(client, address, &location), 0);
        uint32_t at = 0;
        while (strcmp(location.endpoint, endpoints[at]) != 0)
            assert_true(++at < 3);
        assert_int_equal(location.node[1] - '1', at);
        assert_int_equal(location.reactor, 0);
        unsigned before = atomic_load(&fakes[at]->requests);
        assert_int_equal(stead_client_call(client, address, "echo", seven, NULL, NULL), 0);
        assert_true(atomic_load(&fakes[at]->requests) > before);
        seen[at]++;
    }
    assert_true(seen[0] > 0 && seen[1] > 0 && seen[2] > 0);
    assert_int_equal(stead_client_locate(client, "no address", &location), STEAD_EADDRESS);
    stead_client_close(&client);
    for (int i = 0; i < 3; i++)
        fake_stop(&fakes[i]);
    stead_table_release(&table);
    client = open_client("tcp://127.0.0.1:1");
    assert_int_equal(stead_client_locate(client, "counter/1", &location), STEAD_EUNAVAILABLE);
    stead_client_close(&client);
}

static void test_query_without_address_asks_all_nodes_and_names_the_missing(void **state)
{
    struct fake_reactor *fakes[2] = {fake_create(ANY_PORT, 1, 0), fake_create(ANY_PORT, 2, 0)};
    const char *endpoints[3] = {fakes[0]->endpoint, fakes[1]->endpoint, "tcp://127.0.0.1:1"};
    struct stead_table *table = fake_table(endpoints, 3, 1);
    struct stead_client *client;
    struct stead_answer answer;
    struct stead_writer args, expected;

    (void)state;
    fake_start(fakes[0], table);
    fake_start(fakes[1], table);
    client = open_client(endpoints[0]);
    stead_writer_init(&args);
    stead_writer_init(&expected);
    stead_pack(&args, "{s:[d,d],s:s}", "nodes", 1, 2, "x", "y"); /* the fake echoes it */
    stead_pack(&expected, "{s:[d,d,d,d],s:s,s:[s]}", "nodes", 1, 2, 1, 2, "x", "y", "missing", "n3");
    assert_int_equal(stead_client_query(client, "stats", stead_written(&args), &answer), 0);
    assert_true(stead_slice_equal(answer.value, stead_written(&expected)));
    stead_writer_deinit(&args);
    stead_writer_deinit(&expected);
    stead_client_close(&client);
    fake_stop(&fakes[0]);
    fake_stop(&fakes[1]);
    stead_table_release(&table);
}

static void test_client_given_bad_arguments_refuses_them(void **state)
{
    static const uint8_t bomb[] = {0xdd, 0x10, 0, 0, 0, 1};
    const struct stead_client_options spaced = {.endpoints = "tcp://127.0.0.1:1, nonsense"};
    struct scene scene = scene_open();
    struct stead_client *client = NULL;

    (void)state;
    assert_int_equal(stead_client_open(&spaced, &client), STEAD_EARGUMENT);
    assert_null(client);
    assert_int_equal(stead_client_call(scene.client, "counter", "echo", seven, NULL, NULL), STEAD_EADDRESS);
    assert_int_equal(stead_client_call(scene.client, "counter/a", "no op", seven, NULL, NULL), STEAD_EARGUMENT);
    assert_int_equal(stead_client_call(scene.client, "counter/a", "echo", stead_bytes(bomb, sizeof(bomb)), NULL, NULL),
                     STEAD_EARGUMENT);
    assert_int_equal(atomic_load(&scene.fake->requests), 0);
    scene_close(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_call_answered_returns_the_value),
        cmocka_unit_test(test_call_failed_names_the_failure),
        cmocka_unit_test(test_options_that_no_request_can_have_are_refused),
        cmocka_unit_test(test_call_lost_on_the_way_is_sent_again_with_its_id),
        cmocka_unit_test(test_call_refused_goes_again_until_it_is_taken),
        cmocka_unit_test(test_call_without_answer_times_out),
        cmocka_unit_test(test_call_with_nobody_listening_is_unavailable_quickly),
        cmocka_unit_test(test_client_of_a_node_that_comes_back_reconnects),
        cmocka_unit_test(test_request_in_flight_when_its_node_dies_is_answered_after_its_return),
        cmocka_unit_test(test_pipeline_of_many_requests_answers_each_once),
        cmocka_unit_test(test_completion_may_start_requests_but_not_wait_for_them),
        cmocka_unit_test(test_tell_before_close_arrives),
        cmocka_unit_test(test_close_with_requests_in_flight_cancels_them),
        cmocka_unit_test(test_requests_go_straight_to_the_owner),
        cmocka_unit_test(test_locate_names_the_reactor_that_gets_the_call),
        cmocka_unit_test(test_query_without_address_asks_all_nodes_and_names_the_missing),
        cmocka_unit_test(test_client_given_bad_arguments_refuses_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
