/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hub with one worker: messages that no worker can make anything of are put aside, whole; an activity that was
 * cancelled is ended soon.
 */
#include "unit/runtime/host_client.h"

#include "agents/agents.h"
#include "agents/hub_settings.h"

static struct fx *fx;
static struct fx_client client;
static struct stead_hub_settings settings;
static struct stead_message *answer; /* of the last request */

static int ask(const char *address, const char *op, struct stead_writer *args)
{
    struct stead_message *message = fx_request(fx, &client, STEAD_CALL, address, op, stead_written(args), NULL);

    stead_writer_deinit(args);
    stead_host_deliver(fx->host, &message);
    fx_run(fx);
    if (answer != NULL)
        stead_message_destroy(&answer);
    answer = fx_answer(fx);
    return answer->status;
}

static int never(struct stead_job *job, struct stead_slice args)
{
    (void)job, (void)args;
    return STEAD_EINTERNAL;
}
STEAD_ACTIVITY(dull, "dull", never, 0);

static int setup(void **state)
{
    static const struct stead_kind *const kinds[] = {&stead_hub_kind, &stead_hub_queue_kind, &stead_hub_table_kind,
                                                     &stead_hub_worker_kind, &dull};
    struct stead_writer args;

    (void)state;
    fx = fx_create(2);
    for (size_t at = 0; at < sizeof(kinds) / sizeof(kinds[0]); at++)
        assert_int_equal(stead_registry_add(fx->registry, kinds[at], NULL), 0);
    client = fx_client(fx, 1);
    stead_hub_settings_default(&settings, "t");
    settings.workers = 1;
    settings.partitions = 1;
    stead_writer_init(&args);
    stead_hub_settings_write(&settings, &args);
    assert_int_equal(ask("hub/t", "create", &args), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stead_message_destroy(&answer);
    fx_destroy(fx);
    return 0;
}

static int put(size_t size)
{
    struct stead_hub_part queue = stead_hub_control(&settings, 0);
    struct stead_writer args;
    uint8_t *body = calloc(1, size);

    stead_writer_init(&args);
    stead_write_map(&args, 2);
    stead_write_str(&args, "id");
    stead_write_str(&args, "odd");
    stead_write_str(&args, "body");
    stead_write_bin(&args, stead_bytes(body, size));
    free(body);
    return ask(queue.text, "enqueue", &args);
}

/* A body that is too long for an answer. */
static struct stead_slice fetch(const char *queue, uint64_t seq, uint64_t size, struct stead_writer *ret_body)
{
    struct stead_slice bytes;
    struct stead_writer args;

    while (ret_body->size < size) {
        stead_writer_init(&args);
        stead_pack(&args, "{s:u,s:u}", "seq", seq, "at", (uint64_t)ret_body->size);
        assert_int_equal(ask(queue, "body", &args), 0);
        assert_int_equal(stead_get_bin(stead_message_payload(answer), NULL, &bytes), 0);
        stead_write_raw(ret_body, bytes.data, bytes.size);
    }
    return stead_written(ret_body);
}

/* The size of the body of the one message in the queue `poison`. */
static size_t poisoned(void)
{
    struct stead_hub_part queue = stead_hub_part_queue(&settings, "poison");
    struct stead_slice body, inner;
    struct stead_writer args, whole;
    uint32_t count, members;
    uint64_t seq = 0, size = 0;

    for (int rounds = 0; rounds < 20; rounds++)
        fx_step_ms(fx, 50);
    stead_writer_init(&args);
    stead_pack(&args, "{s:u}", "max", (uint64_t)10);
    assert_int_equal(ask(queue.text, "peek", &args), 0);
    struct stead_reader reader = stead_reader(stead_message_payload(answer));
    assert_int_equal(stead_read_array(&reader, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(stead_read_array(&reader, &members), 0);
    assert_int_equal(stead_read_u64(&reader, &seq), 0);
    for (uint32_t skipped = 0; skipped < 4; skipped++)
        assert_int_equal(stead_read_skip(&reader), 0);
    assert_int_equal(stead_read_value(&reader, &body), 0);
    stead_writer_init(&whole);
    if (members == 7 && stead_read_u64(&reader, &size) == 0)
        body = fetch(queue.text, seq, size, &whole);
    if (stead_get_value(body, "body", &inner) == 0)
        body = inner;
    reader = stead_reader(body);
    assert_int_equal(stead_read_bin(&reader, &inner), 0);
    size = inner.size;
    stead_writer_deinit(&whole);
    return (size_t)size;
}

static void test_odd_message_is_put_aside(void **state)
{
    (void)state;
    assert_int_equal(put(100), 0);
    assert_int_equal(poisoned(), 100);
}

static void test_odd_message_as_long_as_can_be_is_put_aside(void **state)
{
    (void)state;
    assert_int_equal(put(STEAD_HUB_BODY_MAX - 5), 0); /* with the head of the bytes: no room for anything around it */
    assert_int_equal(poisoned(), STEAD_HUB_BODY_MAX - 5);
}

static uint64_t running(void)
{
    struct stead_hub_part worker = stead_hub_worker(&settings, 0);
    struct stead_writer args;
    uint64_t count = 0;

    stead_writer_init(&args);
    assert_int_equal(ask(worker.text, "status", &args), 0);
    assert_int_equal(stead_get_u64(stead_message_payload(answer), "running", &count), 0);
    return count;
}

static void test_activity_that_was_cancelled_is_ended_within_half_a_second(void **state)
{
    struct stead_hub_part queue = stead_hub_part_queue(&settings, "work");
    struct stead_writer args;

    (void)state;
    fx_set_table(fx, NULL, 1, false);
    for (int at = 0; at < 2; at++) {
        stead_writer_init(&args);
        stead_pack(&args, "{s:s,s:{s:s,s:s,s:s,s:u,s:u}}", "id", at == 0 ? "a" : "b", "body", "t", "work", "i", "x",
                   "n", "dull", "x", (uint64_t)1, "r", (uint64_t)3);
        assert_int_equal(ask(queue.text, "enqueue", &args), 0);
    }
    fx_step_ms(fx, 10);
    assert_int_equal(running(), 2);
    stead_writer_init(&args);
    stead_pack(&args, "[s]", "a");
    assert_int_equal(ask(queue.text, "cancel", &args), 0);
    for (int at = 0; at < 50; at++)
        fx_step_ms(fx, 10);
    assert_int_equal(running(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_odd_message_is_put_aside, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd_message_as_long_as_can_be_is_put_aside, setup, teardown),
        cmocka_unit_test_setup_teardown(test_activity_that_was_cancelled_is_ended_within_half_a_second, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
