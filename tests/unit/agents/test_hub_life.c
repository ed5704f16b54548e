/* SPDX-License-Identifier: Apache-2.0 */
/* One life of an instance's id on a hub after the other: what was asked of an earlier one does nothing to a later. */
#include "unit/agents/hub_worker_fixture.h"

/* ---- The steps of a test ------------------------------------------------------------------------------------ */

static void create_as(const char *start, const char *instance, const char *name, int64_t input)
{
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:s,s:l,s:l,s:s}", "id", instance, "name", name, "version", (int64_t)0, "input", input,
               "start", start);
    assert_int_equal(ask(stead_hub_table(&settings, 0).text, "create", &args), 0);
}

static void begin_as(const char *start, const char *instance, const char *name, int64_t input, int64_t delay_ms)
{
    struct stead_writer args;

    create_as(start, instance, name, input);
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:l,s:{s:s,s:s,s:s,s:l,s:u}}", "id", start, "delay", delay_ms, "body", "t", "start", "i",
               instance, "n", name, "v", input, "ver", (uint64_t)0);
    assert_int_equal(ask(stead_hub_control(&settings, 0).text, "enqueue", &args), 0);
}

static void raise_go(const char *instance)
{
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:{s:s,s:s,s:s,s:u}}", "id", "go", "body", "t", "raise", "i", instance, "n", "go", "v",
               (uint64_t)1);
    assert_int_equal(ask(stead_hub_control(&settings, 0).text, "enqueue", &args), 0);
}

static void terminate(const char *instance)
{
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:{s:s,s:s,s:u,s:s}}", "id", "end", "body", "t", "steer", "i", instance, "k",
               (uint64_t)STEAD_HISTORY_EXECUTION_TERMINATED, "es", "");
    assert_int_equal(ask(stead_hub_control(&settings, 0).text, "enqueue", &args), 0);
}

/* The request `pr` of the parent `p`, which repeats the request `rw`; 0: none. */
static void ask_for_child(const char *instance, const char *name, uint64_t pr, uint64_t rw)
{
    struct stead_writer args;
    char id[32];

    snprintf(id, sizeof(id), "p:1:%u:s", (unsigned)pr);
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:{s:s,s:s,s:s,s:u,s:u,s:s,s:u,s:u,s:u}}", "id", id, "body", "t", "start", "i", instance,
               "n", name, "v", (uint64_t)0, "ver", (uint64_t)0, "p", "p", "px", (uint64_t)1, "pr", pr, "rw", rw);
    assert_int_equal(ask(stead_hub_control(&settings, 0).text, "enqueue", &args), 0);
}

static int of_table(const char *op, const char *instance)
{
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:s}", "id", instance);
    return ask(stead_hub_table(&settings, 0).text, op, &args);
}

static void purge(const char *instance)
{
    assert_int_equal(of_table("purge", instance), 0);
}

/* What a worker that died had taken comes back, and is done with; who had waited for an answer asks again. */
static void let_come_back(int64_t ms)
{
    static uint8_t name = 10;

    for (int64_t at = 0; at < ms; at += 1000)
        fx_step_ms(fx, 1000);
    client = fx_client(fx, ++name);
}

static void assert_status(const char *instance, enum stead_instance_status status)
{
    assert_int_equal(look_at(instance).status, status);
}

static void assert_output(const char *instance, int64_t output)
{
    struct stead_instance it = look_at(instance);
    int64_t number = 0;

    assert_int_equal(it.status, STEAD_INSTANCE_COMPLETED);
    assert_int_equal(stead_get_i64(it.output, NULL, &number), 0);
    assert_int_equal(number, output);
}

/* ---- A start that comes too late ---------------------------------------------------------------------------- */

#define DELAY_MS 30000

static void begin_and_cancel(void)
{
    begin_as("s1", "w", "marked", 1, DELAY_MS);
    terminate("w");
    assert_status("w", STEAD_INSTANCE_CANCELED);
}

static void test_start_that_was_canceled_leaves_nothing_in_the_queue(void **state)
{
    (void)state;
    begin_and_cancel();
    assert_int_equal(count_of("depth"), 0);
}

/* Of one that was created before; it was not in the queue when that was canceled. */
static void put_start(const char *start, const char *instance)
{
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:{s:s,s:s,s:s,s:l,s:u}}", "id", start, "body", "t", "start", "i", instance, "n", "marked",
               "v", (int64_t)1, "ver", (uint64_t)0);
    assert_int_equal(ask(stead_hub_control(&settings, 0).text, "enqueue", &args), 0);
}

static void test_start_that_was_canceled_does_not_run_when_its_instance_was_purged(void **state)
{
    (void)state;
    create_as("s1", "w", "marked", 1);
    terminate("w");
    assert_status("w", STEAD_INSTANCE_CANCELED);
    purge("w");
    put_start("s1", "w");
    let_come_back(1000);
    assert_int_equal(of_table("status", "w"), STEAD_ENOTFOUND);
    assert_int_equal(ran, 0);
}

static void test_start_that_was_canceled_does_not_run_behind_its_successor(void **state)
{
    (void)state;
    create_as("s1", "w", "marked", 1);
    terminate("w");
    assert_status("w", STEAD_INSTANCE_CANCELED);
    begin_as("s2", "w", "marked", 2, 0);
    assert_output("w", 2);
    put_start("s1", "w");
    let_come_back(1000);
    assert_output("w", 2);
    assert_int_equal(ran, 1);
}

/* Its worker died before it had deleted the start. */
static void test_start_that_was_taken_does_not_run_again_when_its_instance_was_purged(void **state)
{
    (void)state;
    begin_as("s1", "w", "marked", 1, 0);
    stop_worker();
    assert_output("w", 1);
    purge("w");
    let_come_back(2 * STEAD_HUB_HIDE_MS);
    assert_int_equal(of_table("status", "w"), STEAD_ENOTFOUND);
    assert_int_equal(ran, 1);
}

static void test_start_that_was_taken_does_not_run_again_behind_its_successor(void **state)
{
    (void)state;
    begin_as("s1", "w", "marked", 1, 0);
    stop_worker();
    assert_output("w", 1);
    begin_as("s2", "w", "marked", 2, 0);
    assert_output("w", 2);
    let_come_back(2 * STEAD_HUB_HIDE_MS);
    assert_output("w", 2);
    assert_int_equal(ran, 2);
}

/* ---- Messages that an earlier life took ---------------------------------------------------------------------- */

static void test_termination_that_was_taken_does_nothing_to_the_next_life(void **state)
{
    (void)state;
    begin_as("s1", "w", "waiter", 0, 0);
    assert_status("w", STEAD_INSTANCE_RUNNING);
    terminate("w");
    stop_worker();
    assert_status("w", STEAD_INSTANCE_TERMINATED);
    begin_as("s2", "w", "waiter", 0, 0);
    assert_status("w", STEAD_INSTANCE_RUNNING);
    let_come_back(2 * STEAD_HUB_HIDE_MS);
    assert_status("w", STEAD_INSTANCE_RUNNING);
}

static void test_event_that_was_taken_does_nothing_to_the_next_life(void **state)
{
    (void)state;
    begin_as("s1", "w", "waiter", 0, 0);
    assert_status("w", STEAD_INSTANCE_RUNNING);
    raise_go("w");
    stop_worker();
    assert_status("w", STEAD_INSTANCE_COMPLETED);
    begin_as("s2", "w", "waiter", 0, 0);
    assert_status("w", STEAD_INSTANCE_RUNNING);
    let_come_back(2 * STEAD_HUB_HIDE_MS);
    assert_status("w", STEAD_INSTANCE_RUNNING);
}

/* What its own first episode takes and sends is known as without an earlier life. */
static void test_event_that_was_taken_does_nothing_to_the_life_after_the_next(void **state)
{
    (void)state;
    begin_as("s1", "w", "waiter", 0, 0);
    assert_status("w", STEAD_INSTANCE_RUNNING);
    raise_go("w");
    stop_worker();
    assert_status("w", STEAD_INSTANCE_COMPLETED);
    begin_as("s2", "w", "marked", 2, 0);
    assert_output("w", 2);
    begin_as("s3", "w", "waiter", 0, 0);
    assert_status("w", STEAD_INSTANCE_RUNNING);
    let_come_back(2 * STEAD_HUB_HIDE_MS);
    assert_status("w", STEAD_INSTANCE_RUNNING);
}

static void end_by_event_and_purge(void)
{
    begin_as("s1", "w", "waiter", 0, 0);
    assert_status("w", STEAD_INSTANCE_RUNNING);
    raise_go("w");
    stop_worker();
    assert_status("w", STEAD_INSTANCE_COMPLETED);
    purge("w");
    assert_int_equal(of_table("status", "w"), STEAD_ENOTFOUND);
}

static void test_event_that_was_taken_does_nothing_to_who_has_the_id_of_what_was_purged(void **state)
{
    (void)state;
    end_by_event_and_purge();
    begin_as("s2", "w", "waiter", 0, 0);
    assert_status("w", STEAD_INSTANCE_RUNNING);
    let_come_back(2 * STEAD_HUB_HIDE_MS);
    assert_status("w", STEAD_INSTANCE_RUNNING);
}

/* It writes its row itself. */
static void test_event_that_was_taken_does_nothing_to_a_child_of_that_id(void **state)
{
    (void)state;
    end_by_event_and_purge();
    ask_for_child("w", "waiter", 3, 0);
    assert_status("w", STEAD_INSTANCE_RUNNING);
    let_come_back(2 * STEAD_HUB_HIDE_MS);
    assert_status("w", STEAD_INSTANCE_RUNNING);
}

static int64_t instances(void)
{
    struct stead_writer none;
    int64_t count = -1;

    stead_writer_init(&none);
    assert_int_equal(ask(stead_hub_table(&settings, 0).text, "counts", &none), 0);
    assert_int_equal(stead_get_i64(stead_message_payload(answer), "instances", &count), 0);
    return count;
}

/* Nobody sees what is kept, and it goes in the end. */
static void test_what_was_purged_leaves_nothing_for_long(void **state)
{
    struct stead_slice list;
    struct stead_writer none;
    uint32_t count = 1;

    (void)state;
    end_by_event_and_purge();
    assert_int_equal(instances(), 0);
    assert_int_equal(of_table("purge", "w"), STEAD_ENOTFOUND);
    assert_int_equal(of_table("wait", "w"), STEAD_ENOTFOUND);
    assert_int_equal(of_table("history", "w"), STEAD_ENOTFOUND);
    stead_writer_init(&none);
    assert_int_equal(ask(stead_hub_table(&settings, 0).text, "list", &none), 0);
    assert_int_equal(stead_get_value(stead_message_payload(answer), "instances", &list), 0);
    struct stead_reader reader = stead_reader(list);
    assert_int_equal(stead_read_array(&reader, &count), 0);
    assert_int_equal(count, 0);
    assert_int_equal(of_table("read", "w"), 0);
    let_come_back(stead_hub_settle_ms(STEAD_HUB_HIDE_MS) + 1000);
    assert_int_equal(of_table("read", "w"), STEAD_ENOTFOUND);
    assert_int_equal(instances(), 0);
}

/* As a client does that saw the instance which was created then. */
static void terminate_born(const char *id, const char *instance, int64_t born_ms)
{
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:{s:s,s:s,s:u,s:s,s:l}}", "id", id, "body", "t", "steer", "i", instance, "k",
               (uint64_t)STEAD_HISTORY_EXECUTION_TERMINATED, "es", "", "born", born_ms);
    assert_int_equal(ask(stead_hub_control(&settings, 0).text, "enqueue", &args), 0);
}

/* It ended by itself before it heard of it, and its successor has not begun. */
static void test_termination_is_of_the_life_that_was_seen(void **state)
{
    (void)state;
    begin_as("s1", "w", "marked", 1, 0);
    int64_t first_ms = look_at("w").created_ms;
    begin_as("s2", "w", "waiter", 0, DELAY_MS);
    int64_t second_ms = look_at("w").created_ms;
    assert_true(second_ms > first_ms);
    terminate_born("e1", "w", first_ms);
    assert_status("w", STEAD_INSTANCE_PENDING);
    let_come_back(DELAY_MS);
    assert_status("w", STEAD_INSTANCE_RUNNING);
    terminate_born("e2", "w", first_ms);
    assert_status("w", STEAD_INSTANCE_RUNNING);
    terminate_born("e3", "w", second_ms);
    assert_status("w", STEAD_INSTANCE_TERMINATED);
}

/* It came together with the start of the next. */
static void test_termination_of_a_child_is_not_of_the_next_that_begins(void **state)
{
    (void)state;
    ask_for_child("c", "marked", 3, 0);
    int64_t first_ms = look_at("c").created_ms;
    stop_worker();
    terminate_born("e1", "c", first_ms);
    ask_for_child("c", "waiter", 5, 0);
    assert_status("c", STEAD_INSTANCE_RUNNING);
}

/* An execution that follows another is the same life. */
static void test_termination_is_of_all_executions_of_a_life(void **state)
{
    (void)state;
    begin_as("s1", "w", "waiter", 40, DELAY_MS);
    int64_t born_ms = look_at("w").created_ms;
    let_come_back(DELAY_MS);
    assert_int_equal(look_at("w").execution, 41);
    terminate_born("e1", "w", born_ms);
    assert_status("w", STEAD_INSTANCE_TERMINATED);
}

/* ---- A child that failed ------------------------------------------------------------------------------------ */

static int fail_it(struct stead_orchestration *o, struct stead_slice input)
{
    (void)input;
    return stead_fail_with(o, "bad_day", "no");
}
static const struct stead_orchestrator failing = {.abi = STEAD_ORCHESTRATION_ABI,
                                                  .struct_size = sizeof(struct stead_orchestrator),
                                                  .name = "failing",
                                                  .version = 1,
                                                  .run = fail_it};

static int setup_failing(void **state)
{
    (void)state;
    set_up(STEAD_HUB_NOTIFY);
    return stead_registry_add_orchestrator(fx->registry, &failing, NULL);
}

static void test_child_that_failed_is_rewound_by_who_repeats_a_request_that_did_not_come(void **state)
{
    (void)state;
    ask_for_child("c", "failing", 3, 0);
    assert_status("c", STEAD_INSTANCE_FAILED);
    ask_for_child("c", "failing", 7, 5);
    assert_int_equal(look_at("c").execution, 1);
}

/* ---- Messages that are hidden for long ------------------------------------------------------------------------ */

/* Tells another instance, and waits on. */
static int send_one(struct stead_orchestration *o, struct stead_slice input)
{
    int code = stead_send_event(o, "w", "go", input);

    return code != 0 ? code : stead_await_timer(o, INT64_C(10) * 24 * 3600 * 1000);
}
static const struct stead_orchestrator sender = {.abi = STEAD_ORCHESTRATION_ABI,
                                                 .struct_size = sizeof(struct stead_orchestrator),
                                                 .name = "sender",
                                                 .version = 1,
                                                 .run = send_one};

/* Its status says how many events have come. */
static int count_events(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice value;

    (void)input;
    for (int64_t count = 1;; count++) {
        int code = stead_await_event(o, "go", -1, &value);
        if (code == 0)
            code = stead_set_status(o, stead_packed_for(o, "l", count));
        if (code != 0)
            return code;
    }
}
static const struct stead_orchestrator counter = {.abi = STEAD_ORCHESTRATION_ABI,
                                                  .struct_size = sizeof(struct stead_orchestrator),
                                                  .name = "counter",
                                                  .version = 1,
                                                  .run = count_events};

/* Waits for its child `c`, whose output is too long for one row. */
static int await_child(struct stead_orchestration *o, struct stead_slice input)
{
    static uint8_t long_input[600000];
    const struct stead_task_options options = {.instance_id = "c"};
    struct stead_slice value;

    (void)input;
    return stead_await(
        o,
        stead_begin_child(o, "marked", stead_packed_for(o, "B", stead_bytes(long_input, sizeof(long_input))), &options),
        &value);
}
static const struct stead_orchestrator parent = {.abi = STEAD_ORCHESTRATION_ABI,
                                                 .struct_size = sizeof(struct stead_orchestrator),
                                                 .name = "parent",
                                                 .version = 1,
                                                 .run = await_child};

#define HIDE_LONG_MS 3600000

static int set_up_hiding(int64_t hide_ms)
{
    struct stead_writer args;

    fx = fx_create(2);
    load(fx->registry, true);
    assert_int_equal(stead_registry_add_orchestrator(fx->registry, &sender, NULL), 0);
    assert_int_equal(stead_registry_add_orchestrator(fx->registry, &counter, NULL), 0);
    assert_int_equal(stead_registry_add_orchestrator(fx->registry, &parent, NULL), 0);
    ran = 0;
    client = fx_client(fx, 1);
    stead_hub_settings_default(&settings, "t");
    settings.workers = 1;
    settings.partitions = 1;
    settings.hide_ms = hide_ms;
    stead_writer_init(&args);
    stead_hub_settings_write(&settings, &args);
    return ask("hub/t", "create", &args);
}

static int setup_hiding_long(void **state)
{
    (void)state;
    return set_up_hiding(HIDE_LONG_MS);
}

static int64_t events_of(const char *instance)
{
    struct stead_instance it = look_at(instance);
    int64_t count = 0;

    return stead_get_i64(it.custom_status, NULL, &count) == 0 ? count : 0;
}

/* The events that are in the queue, as their receiver's worker does which has taken them and lives. */
static void delete_events(void)
{
    struct stead_hub_part queue = stead_hub_control(&settings, 0);
    struct stead_slice body, what;
    struct stead_writer args, list;
    uint32_t count = 0, members;
    uint64_t seq, seen, deleted = 0;

    stead_writer_init(&args);
    stead_pack(&args, "{s:u}", "max", (uint64_t)10);
    assert_int_equal(ask(queue.text, "peek", &args), 0);
    stead_writer_init(&list);
    struct stead_reader reader = stead_reader(stead_message_payload(answer));
    assert_int_equal(stead_read_array(&reader, &count), 0);
    for (; count > 0; count--) {
        assert_int_equal(stead_read_array(&reader, &members), 0);
        assert_int_equal(stead_read_u64(&reader, &seq), 0);
        assert_int_equal(stead_read_u64(&reader, &seen), 0);
        for (int skipped = 0; skipped < 3; skipped++)
            assert_int_equal(stead_read_skip(&reader), 0);
        assert_int_equal(stead_read_value(&reader, &body), 0);
        if (stead_get_str(body, "t", &what) == 0 && stead_slice_equal(what, stead_str("raise")))
            stead_pack(&list, "[[u,u]]", seq, seen);
    }
    assert_int_equal(ask(queue.text, "delete", &list), 0);
    assert_int_equal(stead_get_u64(stead_message_payload(answer), NULL, &deleted), 0);
    assert_int_equal(deleted, 1);
}

/* What its worker, which died, had taken comes back after an hour; the event that it sends again is known by then. */
static void test_event_is_known_for_as_long_as_messages_are_hidden(void **state)
{
    (void)state;
    begin_as("w1", "w", "counter", 0, 0);
    assert_status("w", STEAD_INSTANCE_RUNNING);
    begin_as("s1", "s", "sender", 0, 0);
    stop_worker();
    delete_events();
    assert_int_equal(events_of("w"), 1);
    let_come_back(HIDE_LONG_MS + 60000);
    assert_int_equal(events_of("w"), 1);
}

/* ---- A worker that dies between the write of an end and its sending ------------------------------------------- */

static void run_without_sync(void)
{
    for (int round = 0; round < 50; round++) {
        stead_host_set_now(fx->host, fx->now_ns, fx->now_ms);
        (void)stead_host_run(fx->host);
        (void)fx_rows_done(fx);
        (void)fx_loads_done(fx);
    }
}

static void send_call(const char *address, const char *op, struct stead_writer *args)
{
    struct stead_message *message = fx_request(fx, &client, STEAD_CALL, address, op, stead_written(args), NULL);

    stead_writer_deinit(args);
    stead_host_deliver(fx->host, &message);
    run_without_sync();
}

static bool has_status(const char *instance, enum stead_instance_status status)
{
    struct stead_instance it;

    return of_table("status", instance) == 0 && stead_instance_read(stead_message_payload(answer), &it) == 0 &&
           it.status == status;
}

/* The parent `p` waits for its child `c`, and their worker ends after so many syncs. True: the child's end is stored,
 * and not sent. */
static bool die_behind_end(int syncs)
{
    struct stead_message *message;
    struct stead_writer args;

    create_as("p1", "p", "parent", 0);
    for (int rounds = 0; rounds < 100; rounds++)
        fx_step_ms(fx, 50);
    fx->hold_sync = true;
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:{s:s,s:s,s:s,s:u,s:u}}", "id", "p1", "body", "t", "start", "i", "p", "n", "parent", "v",
               (uint64_t)0, "ver", (uint64_t)0);
    send_call(stead_hub_control(&settings, 0).text, "enqueue", &args);
    for (int at = 0; at < syncs; at++) {
        (void)fx_sync(fx);
        run_without_sync();
    }
    stead_writer_init(&args);
    send_call(stead_hub_worker(&settings, 0).text, "stop", &args);
    fx->hold_sync = false;
    fx_run(fx);
    while ((message = stead_queue_pop(&fx->answers)) != NULL)
        stead_message_destroy(&message);
    return has_status("c", STEAD_INSTANCE_COMPLETED) && has_status("p", STEAD_INSTANCE_RUNNING) &&
           count_of("enqueued") == 2;
}

#define SYNCS_MAX 40

/* Finds the moment. The next worker asks for messages. */
static void begin_and_die_behind_end(int64_t hide_ms)
{
    for (int syncs = 0; syncs < SYNCS_MAX; syncs++) {
        assert_int_equal(set_up_hiding(hide_ms), 0);
        if (die_behind_end(syncs)) {
            let_come_back(5000);
            return;
        }
        stead_message_destroy(&answer);
        fx_destroy(fx);
    }
    fail_msg("no moment between the write and its sending");
}

/* Messages come back after an hour; one that comes before is behind what is still to be sent (Q6). */
static void test_end_is_sent_before_what_comes_while_messages_are_hidden(void **state)
{
    (void)state;
    begin_and_die_behind_end(HIDE_LONG_MS);
    let_come_back(20 * 60000);
    assert_status("p", STEAD_INSTANCE_RUNNING);
    terminate("c");
    assert_status("p", STEAD_INSTANCE_COMPLETED);
}

/* Who sees the end creates the next one: the history that tells what is to be sent is gone. */
static void test_end_is_sent_before_the_next_life_begins(void **state)
{
    (void)state;
    begin_and_die_behind_end(STEAD_HUB_HIDE_MS);
    create_as("s2", "c", "marked", 2);
    assert_status("p", STEAD_INSTANCE_RUNNING);
    let_come_back(STEAD_HUB_HIDE_MS);
    assert_status("p", STEAD_INSTANCE_COMPLETED);
    assert_status("c", STEAD_INSTANCE_PENDING);
}

static void test_end_is_sent_also_when_its_instance_was_purged(void **state)
{
    (void)state;
    begin_and_die_behind_end(STEAD_HUB_HIDE_MS);
    purge("c");
    assert_status("p", STEAD_INSTANCE_RUNNING);
    let_come_back(STEAD_HUB_HIDE_MS);
    assert_status("p", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(of_table("status", "c"), STEAD_ENOTFOUND);
}

/* What its first episode decides does not overtake it. */
static void test_end_is_sent_when_the_next_life_begins(void **state)
{
    (void)state;
    begin_and_die_behind_end(STEAD_HUB_HIDE_MS);
    begin_as("s2", "c", "sleeper", 1000000, 0);
    assert_status("c", STEAD_INSTANCE_RUNNING);
    assert_status("p", STEAD_INSTANCE_COMPLETED);
    int64_t enqueued = count_of("enqueued");
    let_come_back(2 * STEAD_HUB_HIDE_MS);
    assert_status("c", STEAD_INSTANCE_RUNNING);
    assert_int_equal(count_of("enqueued"), enqueued);
}

/* Who has sent it does so once. */
static void test_end_that_was_sent_is_not_sent_again_by_the_next_life(void **state)
{
    (void)state;
    ask_for_child("c", "marked", 3, 0);
    assert_status("c", STEAD_INSTANCE_COMPLETED);
    int64_t duplicates = count_of("duplicates");
    begin_as("s2", "c", "marked", 2, 0);
    assert_output("c", 2);
    assert_int_equal(count_of("duplicates"), duplicates);
}

int main(void)
{
#define IN_HUB(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        IN_HUB(test_start_that_was_canceled_leaves_nothing_in_the_queue),
        IN_HUB(test_start_that_was_canceled_does_not_run_when_its_instance_was_purged),
        IN_HUB(test_start_that_was_canceled_does_not_run_behind_its_successor),
        IN_HUB(test_start_that_was_taken_does_not_run_again_when_its_instance_was_purged),
        IN_HUB(test_start_that_was_taken_does_not_run_again_behind_its_successor),
        IN_HUB(test_termination_that_was_taken_does_nothing_to_the_next_life),
        IN_HUB(test_event_that_was_taken_does_nothing_to_the_next_life),
        IN_HUB(test_event_that_was_taken_does_nothing_to_the_life_after_the_next),
        IN_HUB(test_event_that_was_taken_does_nothing_to_who_has_the_id_of_what_was_purged),
        IN_HUB(test_event_that_was_taken_does_nothing_to_a_child_of_that_id),
        IN_HUB(test_what_was_purged_leaves_nothing_for_long),
        IN_HUB(test_termination_is_of_the_life_that_was_seen),
        cmocka_unit_test_setup_teardown(test_termination_of_a_child_is_not_of_the_next_that_begins, setup_polled,
                                        teardown),
        IN_HUB(test_termination_is_of_all_executions_of_a_life),
        cmocka_unit_test_setup_teardown(test_child_that_failed_is_rewound_by_who_repeats_a_request_that_did_not_come,
                                        setup_failing, teardown),
        cmocka_unit_test_setup_teardown(test_event_is_known_for_as_long_as_messages_are_hidden, setup_hiding_long,
                                        teardown),
        cmocka_unit_test_teardown(test_end_is_sent_before_what_comes_while_messages_are_hidden, teardown),
        cmocka_unit_test_teardown(test_end_is_sent_before_the_next_life_begins, teardown),
        cmocka_unit_test_teardown(test_end_is_sent_when_the_next_life_begins, teardown),
        cmocka_unit_test_teardown(test_end_is_sent_also_when_its_instance_was_purged, teardown),
        IN_HUB(test_end_that_was_sent_is_not_sent_again_by_the_next_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
