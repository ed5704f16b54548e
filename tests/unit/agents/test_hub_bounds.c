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

/* ---- Who waits for an end ------------------------------------------------------------------------------------ */

#define WAITERS 12000u /* more than a turn may answer */
#define SESSION_MAX 500u

static void begin_in(const char *instance, const char *name, int64_t delay_ms)
{
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:s,s:l,s:l,s:s}", "id", instance, "name", name, "version", (int64_t)0, "input", (int64_t)0,
               "start", instance);
    assert_int_equal(ask(stead_hub_table(&settings, 0).text, "create", &args), 0);
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:l,s:{s:s,s:s,s:s,s:l,s:u}}", "id", instance, "delay", delay_ms, "body", "t", "start", "i",
               instance, "n", name, "v", (int64_t)0, "ver", (uint64_t)0);
    assert_int_equal(ask(stead_hub_control(&settings, 0).text, "enqueue", &args), 0);
}

static void pack_event(struct stead_writer *args, const char *instance, uint64_t number)
{
    char id[32];

    snprintf(id, sizeof(id), "event-%llu", (unsigned long long)number);
    stead_writer_init(args);
    stead_pack(args, "{s:s,s:{s:s,s:s,s:s,s:u}}", "id", id, "body", "t", "raise", "i", instance, "n", "go", "v",
               number);
}

static void wait_for_end(struct fx_client *one, const char *instance)
{
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:u}", "id", instance, "wait", (uint64_t)3000000);
    struct stead_message *message =
        fx_request(fx, one, STEAD_CALL, stead_hub_table(&settings, 0).text, "wait", stead_written(&args), NULL);
    stead_writer_deinit(&args);
    stead_host_deliver(fx->host, &message);
    fx_run(fx);
}

/* Takes the answers, of which all are so. */
static unsigned answers_with(int status)
{
    struct stead_message *it;
    unsigned count = 0;

    for (; (it = stead_queue_pop(&fx->answers)) != NULL; count++) {
        assert_int_equal(it->status, status);
        stead_message_destroy(&it);
    }
    return count;
}

static void test_more_waiters_than_a_turn_answers_are_told(void **state)
{
    struct fx_client one = client;
    struct stead_writer args;
    unsigned busy;

    (void)state;
    begin_in("w", "waiter", 0);
    assert_int_equal(look_at("w").status, STEAD_INSTANCE_RUNNING);
    for (unsigned at = 0; at < WAITERS; at++) {
        if (at % SESSION_MAX == 0)
            one = fx_client(fx, (uint8_t)(20 + at / SESSION_MAX));
        wait_for_end(&one, "w");
    }
    busy = answers_with(STEAD_EFAILED);      /* "busy" */
    assert_int_equal(busy, WAITERS - 4096u); /* docs/ORCHESTRATIONS.md */
    pack_event(&args, "w", 1);
    struct stead_message *message = fx_request(fx, &client, STEAD_CALL, stead_hub_control(&settings, 0).text, "enqueue",
                                               stead_written(&args), NULL);
    stead_writer_deinit(&args);
    stead_host_deliver(fx->host, &message);
    for (int rounds = 0; rounds < 200; rounds++)
        fx_step_ms(fx, 10);
    assert_int_equal(answers_with(0), WAITERS - busy + 1); /* and that of the event */
}

/* ---- Messages for an instance that is busy ------------------------------------------------------------------- */

#define EVENTS 6000u
#define LONG_EVENTS 45u
#define LONG_BYTES ((size_t)900 << 10)

static struct stead_token reader;
static bool reader_waits, table_answers;

/* Every instance is over. */
static struct stead_slice one_that_is_over(struct stead_turn *turn)
{
    return stead_packed(turn, "{s:u,s:{s:u,s:u},s:[],s:u}", "etag", (uint64_t)1, "row", "status",
                        (uint64_t)STEAD_INSTANCE_COMPLETED, "execution", (uint64_t)1, "rows", "next", (uint64_t)0);
}

static int read_slowly(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    if (table_answers)
        return stead_reply(turn, one_that_is_over(turn));
    assert_false(reader_waits);
    reader_waits = true;
    return stead_reply_later(turn, &reader);
}

static int free_reader(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    table_answers = true;
    return stead_answer(turn, &reader, one_that_is_over(turn));
}

static const struct stead_op slow_ops[] = {
    {"read", read_slowly, NULL, 0, ""}, {"free", free_reader, NULL, 0, ""}, {NULL, NULL, NULL, 0, NULL}};
static const struct stead_kind slow_table = {.abi = STEAD_ABI,
                                             .struct_size = sizeof(struct stead_kind),
                                             .name = STEAD_HUB_TABLE_KIND,
                                             .durability = STEAD_VOLATILE,
                                             .ops = slow_ops};

static int setup_slow_table(void **state)
{
    (void)state;
    reader_waits = table_answers = false;
    return set_up_with(STEAD_HUB_NOTIFY, &slow_table);
}

static void raise_long(uint64_t number)
{
    struct stead_writer args, value;
    uint8_t *bytes = calloc(1, LONG_BYTES);
    char id[32];

    snprintf(id, sizeof(id), "event-%llu", (unsigned long long)number);
    stead_writer_init(&value);
    stead_write_bin(&value, stead_bytes(bytes, LONG_BYTES));
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:{s:s,s:s,s:s,s:v}}", "id", id, "body", "t", "raise", "i", "w", "n", "go", "v",
               stead_written(&value));
    assert_int_equal(ask(stead_hub_control(&settings, 0).text, "enqueue", &args), 0);
    stead_writer_deinit(&value);
    free(bytes);
}

static void raise_short(uint64_t number)
{
    struct stead_writer args;

    pack_event(&args, "w", number);
    assert_int_equal(ask(stead_hub_control(&settings, 0).text, "enqueue", &args), 0);
}

/* The messages that the worker has while one instance is busy; in the end it takes all of them. */
static int64_t taken_of(unsigned events, void (*raise_one)(uint64_t number))
{
    struct stead_writer none;

    for (int rounds = 0; rounds < 20; rounds++)
        fx_step_ms(fx, 50); /* the worker wakes */
    for (unsigned at = 0; at < events; at++)
        raise_one(at);
    int64_t taken = count_of("dequeued");
    assert_true(reader_waits);
    assert_int_equal(count_of("depth"), events);
    stead_writer_init(&none);
    assert_int_equal(ask(stead_hub_table(&settings, 0).text, "free", &none), 0);
    for (int rounds = 0; rounds < 100; rounds++)
        fx_step_ms(fx, 10);
    assert_int_equal(count_of("depth"), 0);
    return taken;
}

static void test_flood_for_a_busy_instance_stays_in_the_queue(void **state)
{
    (void)state;
    assert_in_range(taken_of(EVENTS, raise_short), 1000, 4096 + STEAD_HUB_BATCH_MAX);
}

static void test_long_messages_for_a_busy_instance_stay_in_the_queue(void **state)
{
    (void)state;
    assert_in_range(taken_of(LONG_EVENTS, raise_long), 10, ((size_t)33 << 20) / LONG_BYTES);
}

/* ---- Messages for an instance that has not begun ------------------------------------------------------------- */

static void seconds(int64_t count)
{
    static uint8_t name = 100;

    for (; count > 0; count--)
        fx_step_ms(fx, 1000);
    client = fx_client(fx, ++name); /* the session of the one before may be over */
}

static void test_event_before_a_delayed_start_is_put_back_rarely_and_taken_at_the_start(void **state)
{
    (void)state;
    begin_in("w", "waiter", 600000);
    raise_short(1);
    seconds(590);
    assert_int_equal(look_at("w").status, STEAD_INSTANCE_PENDING);
    assert_in_range(count_of("enqueued"), 3, 30); /* that of the start and of the event are two */
    seconds(6);
    assert_int_equal(look_at("w").status, STEAD_INSTANCE_COMPLETED);
}

/* Its client died before it had asked for the start. */
static void test_start_that_never_comes_puts_back_rarely_and_can_be_ended(void **state)
{
    struct stead_writer args;

    (void)state;
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:s,s:l,s:l,s:s}", "id", "w", "name", "waiter", "version", (int64_t)0, "input", (int64_t)0,
               "start", "w");
    assert_int_equal(ask(stead_hub_table(&settings, 0).text, "create", &args), 0);
    raise_short(1);
    seconds(600);
    assert_in_range(count_of("enqueued"), 2, 40);
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:{s:s,s:s,s:u,s:s}}", "id", "end", "body", "t", "steer", "i", "w", "k",
               (uint64_t)STEAD_HISTORY_EXECUTION_TERMINATED, "es", "");
    assert_int_equal(ask(stead_hub_control(&settings, 0).text, "enqueue", &args), 0);
    assert_int_equal(look_at("w").status, STEAD_INSTANCE_CANCELED);
    seconds(31);
    assert_int_equal(count_of("depth"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_more_calls_than_a_turn_has_effects_are_renewed_and_done, setup, teardown),
        cmocka_unit_test_setup_teardown(test_more_waiters_than_a_turn_answers_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flood_for_a_busy_instance_stays_in_the_queue, setup_slow_table, teardown),
        cmocka_unit_test_setup_teardown(test_long_messages_for_a_busy_instance_stay_in_the_queue, setup_slow_table,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_event_before_a_delayed_start_is_put_back_rarely_and_taken_at_the_start,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_start_that_never_comes_puts_back_rarely_and_can_be_ended, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
