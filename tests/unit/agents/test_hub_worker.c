/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hub with one worker: messages that no worker can make anything of are put aside, whole; an activity that was
 * cancelled is ended soon; code that has ended the process again and again is not run, and what was taken with it is.
 */
#include "unit/agents/hub_worker_fixture.h"

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

static int64_t depth_of_poison(void)
{
    struct stead_writer none;
    int64_t depth = -1;

    stead_writer_init(&none);
    assert_int_equal(ask(stead_hub_part_queue(&settings, "poison").text, "status", &none), 0);
    assert_int_equal(stead_get_i64(stead_message_payload(answer), "depth", &depth), 0);
    return depth;
}

/* What its code answers is told, whatever it is; what was not run is tried again and nobody is told. */
static void test_task_that_answers_busy_itself_has_ended(void **state)
{
    struct stead_hub_part queue = stead_hub_part_queue(&settings, "work"),
                          told = stead_hub_part_queue(&settings, "poison");
    /* an activity, one that ends its process again and again, an agent, a kind that nobody has loaded */
    const char *const names[] = {"dull", "dull", "d", "gone"}, *const ids[] = {"1", "2", "3", "4"};

    (void)state;
    fx_set_table(fx, NULL, 1, false);
    fx_do[0] = answer_busy;
    for (int at = 0; at < 4; at++) {
        char agent[32];
        struct stead_writer args;
        snprintf(agent, sizeof(agent), "%s/x", names[at]);
        stead_writer_init(&args);
        if (at < 2)
            stead_pack(&args, "{s:s,s:{s:s,s:s,s:s,s:s,s:s}}", "id", ids[at], "body", "t", "work", "i", "x", "n",
                       names[at], "m", ids[at], "q", told.text);
        else
            stead_pack(&args, "{s:s,s:{s:s,s:s,s:s,s:s,s:s,s:s}}", "id", ids[at], "body", "t", "work", "i", "x", "a",
                       agent, "n", "do", "m", ids[at], "q", told.text);
        assert_int_equal(ask(queue.text, "enqueue", &args), 0);
    }
    fx_step_ms(fx, 10);
    struct stead_message *job = stead_queue_pop(&fx->jobs);
    stead_host_job_done(fx->host, &job, STEAD_EBUSY, "", "", (struct stead_slice){0});
    job = stead_queue_pop(&fx->jobs);
    stead_host_job_refused(fx->host, &job, STEAD_EPOISON);
    for (int rounds = 0; rounds < 100; rounds++)
        fx_step_ms(fx, 50);
    assert_int_equal(depth_of_poison(), 3);
    assert_int_equal(fx->jobs.count, 0);
}

/* ---- What ends the process ------------------------------------------------------------------------------- */

/* Takes what is in the queue as workers do that die of it, so often. */
static void take_in_vain(const char *queue, uint32_t times)
{
    struct stead_writer args;

    for (; times > 0; times--) {
        stead_writer_init(&args);
        stead_pack(&args, "{s:u,s:u,s:u}", "max", (uint64_t)10, "hide", (uint64_t)1, "wait", (uint64_t)0);
        assert_int_equal(ask(queue, "dequeue", &args), 0);
        fx_step_ms(fx, 2);
    }
}

/* Puts the start of an instance, behind its row, or what steers it, into its queue. */
static void tell(const char *instance, const char *id, bool starts)
{
    struct stead_hub_part queue = stead_hub_control(&settings, 0);
    struct stead_writer args;

    stead_writer_init(&args);
    if (starts) {
        stead_pack(&args, "{s:s,s:s,s:u,s:u,s:s}", "id", instance, "name", "marked", "version", (uint64_t)0, "input",
                   (uint64_t)7, "start", id);
        assert_int_equal(ask(stead_hub_table(&settings, 0).text, "create", &args), 0);
        stead_writer_init(&args);
    }
    if (starts)
        stead_pack(&args, "{s:s,s:{s:s,s:s,s:s,s:u,s:u}}", "id", id, "body", "t", "start", "i", instance, "n", "marked",
                   "v", (uint64_t)7, "ver", (uint64_t)0);
    else
        stead_pack(&args, "{s:s,s:{s:s,s:s,s:u,s:s}}", "id", id, "body", "t", "steer", "i", instance, "k",
                   (uint64_t)STEAD_HISTORY_EXECUTION_REWOUND, "es", "");
    assert_int_equal(ask(queue.text, "enqueue", &args), 0);
}

static struct stead_id subject(const char *instance, unsigned seq, const char *id)
{
    char text[300];

    snprintf(text, sizeof(text), "%s: message %u of %s, %s", instance, seq, stead_hub_control(&settings, 0).text, id);
    return stead_subject_id(stead_str(text), (struct stead_slice){0});
}

static void test_code_that_ended_the_process_three_times_is_not_run_and_can_be_rewound(void **state)
{
    struct stead_instance it;

    (void)state;
    stop_worker();
    tell("bomb", "s1", true);
    tell("good", "s2", true);
    take_in_vain(stead_hub_control(&settings, 0).text, 3);
    stead_host_suspect(fx->host, subject("bomb", 1, "s1"), 3);
    stead_host_suspect(fx->host, subject("good", 2, "s2"), 2);
    it = look_at("good");
    assert_int_equal(it.status, STEAD_INSTANCE_COMPLETED);
    assert_memory_equal(accused.v, subject("good", 2, "s2").v, sizeof(accused.v));
    assert_int_equal(ran, 1);
    it = look_at("bomb");
    assert_int_equal(it.status, STEAD_INSTANCE_FAILED);
    assert_int_equal(it.version, 1);
    assert_string_equal(it.error_name, "poison");
    assert_string_equal(it.error_sentence,
                        "its code ended the process 3 times after event 0, with the same input: mend "
                        "the code (marked, version 1) and rewind");
    tell("bomb", "r1", false);
    it = look_at("bomb");
    assert_int_equal(it.status, STEAD_INSTANCE_COMPLETED);
    assert_int_equal(ran, 2);
    assert_int_equal(depth_of_poison(), 0);
}

static void test_parent_is_told_also_by_who_finds_that_a_worker_died_before_it_told(void **state)
{
    struct stead_hub_part queue = stead_hub_control(&settings, 0);
    struct stead_writer args;
    int64_t enqueued, duplicates;

    (void)state;
    stop_worker();
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:{s:s,s:s,s:s,s:u,s:u,s:s,s:u,s:u}}", "id", "s1", "body", "t", "start", "i", "bomb", "n",
               "marked", "v", (uint64_t)7, "ver", (uint64_t)0, "p", "parent", "px", (uint64_t)1, "pr", (uint64_t)3);
    assert_int_equal(ask(queue.text, "enqueue", &args), 0);
    take_in_vain(queue.text, 3);
    stead_host_suspect(fx->host, subject("bomb", 1, "s1"), 3);
    enqueued = count_of("enqueued");
    assert_int_equal(look_at("bomb").status, STEAD_INSTANCE_FAILED);
    assert_int_equal(count_of("enqueued"), enqueued + 1); /* the parent's */
    duplicates = count_of("duplicates");
    stop_worker(); /* its successor does not know what was sent */
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:{s:s,s:s,s:s,s:u}}", "id", "e1", "body", "t", "raise", "i", "bomb", "n", "event", "v",
               (uint64_t)1);
    assert_int_equal(ask(queue.text, "enqueue", &args), 0);
    assert_int_equal(look_at("bomb").status, STEAD_INSTANCE_FAILED);
    assert_int_equal(count_of("duplicates"), duplicates + 1);
    assert_int_equal(ran, 0);
}

static void test_message_taken_too_often_with_what_ended_the_process_is_tried_by_each_worker(void **state)
{
    (void)state;
    stop_worker();
    tell("good", "s1", true);
    take_in_vain(stead_hub_control(&settings, 0).text, STEAD_HUB_TRIES_MAX + 2);
    assert_int_equal(look_at("good").status, STEAD_INSTANCE_COMPLETED);
    assert_int_equal(depth_of_poison(), 0);
}

static void test_activity_that_is_taken_again_is_the_same_job(void **state)
{
    struct stead_hub_part queue = stead_hub_part_queue(&settings, "work");
    struct stead_writer args;
    struct stead_id first;

    (void)state;
    fx_set_table(fx, NULL, 1, false);
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:{s:s,s:s,s:s,s:u,s:u}}", "id", "a", "body", "t", "work", "i", "x", "n", "dull", "x",
               (uint64_t)1, "r", (uint64_t)3);
    assert_int_equal(ask(queue.text, "enqueue", &args), 0);
    fx_step_ms(fx, 10);
    assert_int_equal(fx->jobs.count, 1);
    first = stead_message_blame_id(fx->jobs.head);
    stop_worker();
    for (int rounds = 0; rounds < 100 && fx->jobs.count < 2; rounds++)
        fx_step_ms(fx, 5000);
    assert_int_equal(fx->jobs.count, 2);
    assert_memory_equal(stead_message_blame_id(fx->jobs.tail).v, first.v, sizeof(first.v));
    assert_memory_not_equal(fx->jobs.tail->id.v, fx->jobs.head->id.v, sizeof(first.v));
}

/* ---- Times ----------------------------------------------------------------------------------------------- */

/* Puts a work into its queue; its result goes into `poison`, where nobody takes it. */
static void put_work(const char *id, const char *name, int64_t at_ms, int64_t timeout_ms, int64_t start_ms)
{
    struct stead_hub_part queue = stead_hub_part_queue(&settings, "work"),
                          told = stead_hub_part_queue(&settings, "poison");
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:b,s:{s:s,s:s,s:s,s:s,s:s,s:l,s:l,s:l}}", "id", id, "watch", 1, "body", "t", "work", "i",
               "x", "n", name, "m", id, "q", told.text, "at", at_ms, "timeout", timeout_ms, "start", start_ms);
    assert_int_equal(ask(queue.text, "enqueue", &args), 0);
}

static void wait_ms(int64_t ms)
{
    for (; ms > 0; ms -= 50)
        fx_step_ms(fx, 50);
}

/* Of the newest result. */
static void assert_told(const char *error_name)
{
    struct stead_slice name = {0}, body = {0};
    struct stead_writer args;
    uint32_t count = 0, members;

    stead_writer_init(&args);
    stead_pack(&args, "{s:u}", "max", (uint64_t)10);
    assert_int_equal(ask(stead_hub_part_queue(&settings, "poison").text, "peek", &args), 0);
    struct stead_reader reader = stead_reader(stead_message_payload(answer));
    assert_int_equal(stead_read_array(&reader, &count), 0);
    for (; count > 0; count--) {
        assert_int_equal(stead_read_array(&reader, &members), 0);
        for (uint32_t skipped = 0; skipped < 5; skipped++)
            assert_int_equal(stead_read_skip(&reader), 0);
        assert_int_equal(stead_read_value(&reader, &body), 0);
    }
    assert_int_equal(stead_get_str(body, "en", &name), 0);
    assert_true(stead_slice_equal(name, stead_str(error_name)));
}

/* Every postponement is a message of its own; its times are those of the first. */
static void test_work_that_is_loaded_nowhere_is_told_when_its_time_is_over(void **state)
{
    (void)state;
    fx_set_table(fx, NULL, 1, false);
    put_work("a", "missing", (int64_t)fx->now_ms, 5000, 0);
    wait_ms(4900);
    assert_int_equal(depth_of_poison(), 0);
    wait_ms(200);
    assert_int_equal(depth_of_poison(), 1);
    assert_told("timeout");
    put_work("b", "missing", (int64_t)fx->now_ms, 0, 500);
    wait_ms(400);
    assert_int_equal(depth_of_poison(), 1);
    wait_ms(200);
    assert_int_equal(depth_of_poison(), 2);
    assert_told("start_timeout");
    assert_int_equal(fx->jobs.count, 0);
}

static void test_work_that_was_late_in_its_queue_is_told_and_not_run(void **state)
{
    (void)state;
    fx_set_table(fx, NULL, 1, false);
    put_work("a", "dull", (int64_t)fx->now_ms - 600, 0, 500);
    put_work("b", "dull", (int64_t)fx->now_ms - 600, 500, 0);
    wait_ms(50);
    assert_int_equal(depth_of_poison(), 2);
    assert_int_equal(fx->jobs.count, 0);
    put_work("c", "dull", (int64_t)fx->now_ms - 100, 500, 300); /* gets what is left */
    wait_ms(50);
    assert_int_equal(fx->jobs.count, 1);
    assert_in_range(fx->jobs.head->limits.start_ms, 150, 200);
    assert_in_range(fx->jobs.head->deadline_ms, fx->now_ms + 300, fx->now_ms + 400);
}

/* Its worker has died: it may begin again, in what is left as a whole. */
static void test_work_that_was_taken_before_has_its_time_to_begin_from_anew(void **state)
{
    struct stead_hub_part queue = stead_hub_part_queue(&settings, "work");

    (void)state;
    fx_set_table(fx, NULL, 1, false);
    stop_worker();
    put_work("a", "dull", (int64_t)fx->now_ms, 60000, 500);
    take_in_vain(queue.text, 1);
    wait_ms(20000);
    assert_int_equal(fx->jobs.count, 1);
    assert_int_equal(fx->jobs.head->limits.start_ms, 500);
    assert_in_range(fx->jobs.head->deadline_ms, fx->now_ms + 39000, fx->now_ms + 60000);
    assert_true(fx->jobs.head->deadline_ms <= fx->now_ms + 60000);
}

/* Says that the work of this id must have begun by now. */
static void put_late(const char *id, const char *work)
{
    struct stead_hub_part queue = stead_hub_control(&settings, 0);
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:{s:s,s:s,s:u,s:u,s:s,s:s,s:s}}", "id", id, "body", "t", "late", "i", "x", "x",
               (uint64_t)1, "r", (uint64_t)3, "w", work, "m", work, "q",
               stead_hub_part_queue(&settings, "poison").text);
    assert_int_equal(ask(queue.text, "enqueue", &args), 0);
}

/* Would tell of the end of a work's time as a whole, in an hour. */
static void put_whole(const char *id)
{
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:l,s:{s:s,s:s,s:u,s:u,s:u}}", "id", id, "delay", (int64_t)3600000, "body", "t", "result",
               "i", "x", "x", (uint64_t)1, "r", (uint64_t)3, "k", (uint64_t)STEAD_HISTORY_TASK_FAILED);
    assert_int_equal(ask(stead_hub_control(&settings, 0).text, "enqueue", &args), 0);
}

static void test_work_that_nobody_has_taken_in_time_is_told_and_goes(void **state)
{
    struct stead_hub_part queue = stead_hub_part_queue(&settings, "work");

    (void)state;
    fx_set_table(fx, NULL, 1, false);
    for (uint32_t at = 0; at < settings.tasks; at++) {
        char id[16];
        snprintf(id, sizeof id, "n%u", at);
        put_work(id, "dull", (int64_t)fx->now_ms, 0, 0);
    }
    wait_ms(500);
    assert_int_equal(fx->jobs.count, settings.tasks); /* there is no room for more */
    put_work("a", "dull", (int64_t)fx->now_ms, 0, 500);
    put_late("n0b", "n0"); /* was taken */
    put_whole("al");
    put_late("ab", "a");
    wait_ms(1000);
    assert_int_equal(depth_of_poison(), 1);
    assert_int_equal(count_of("depth"), 0); /* nor is it told of the work's time as a whole */
    assert_told("start_timeout");
    struct stead_message *job = stead_queue_pop(&fx->jobs);
    stead_host_job_done(fx->host, &job, 0, "", "", (struct stead_slice){0});
    wait_ms(1000);
    assert_int_equal(fx->jobs.count, settings.tasks - 1);
    struct stead_writer none;
    int64_t depth = -1;
    stead_writer_init(&none);
    assert_int_equal(ask(queue.text, "status", &none), 0);
    assert_int_equal(stead_get_i64(stead_message_payload(answer), "depth", &depth), 0);
    assert_int_equal(depth, settings.tasks - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_odd_message_is_put_aside, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd_message_as_long_as_can_be_is_put_aside, setup, teardown),
        cmocka_unit_test_setup_teardown(test_activity_that_was_cancelled_is_ended_within_half_a_second, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_task_that_answers_busy_itself_has_ended, setup, teardown),
        cmocka_unit_test_setup_teardown(test_code_that_ended_the_process_three_times_is_not_run_and_can_be_rewound,
                                        setup_polled, teardown),
        cmocka_unit_test_setup_teardown(test_parent_is_told_also_by_who_finds_that_a_worker_died_before_it_told,
                                        setup_polled, teardown),
        cmocka_unit_test_setup_teardown(
            test_message_taken_too_often_with_what_ended_the_process_is_tried_by_each_worker, setup_polled, teardown),
        cmocka_unit_test_setup_teardown(test_activity_that_is_taken_again_is_the_same_job, setup, teardown),
        cmocka_unit_test_setup_teardown(test_work_that_is_loaded_nowhere_is_told_when_its_time_is_over, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_work_that_was_late_in_its_queue_is_told_and_not_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_work_that_was_taken_before_has_its_time_to_begin_from_anew, setup_polled,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_work_that_nobody_has_taken_in_time_is_told_and_goes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
