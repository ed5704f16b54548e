/* SPDX-License-Identifier: Apache-2.0 */
/* jobs: every job comes back, with its answer or with why it has none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <time.h>

#include "node/jobs.h"

static _Atomic bool released; /* what op `wait` waits for */
static _Atomic int started;   /* jobs of op `wait` that run */

static void nap(void)
{
    struct timespec pause = {.tv_nsec = 200000};

    nanosleep(&pause, NULL);
}

static int job_double(struct stead_job *job, struct stead_slice args)
{
    int64_t number;

    if (stead_get_i64(args, NULL, &number) != 0)
        return stead_job_fail(job, "no_number", "%s wants a number", stead_job_self(job));
    return stead_job_reply(job,
                           stead_job_packed(job, "{s:l,s:s}", "number", number * 2, "node", stead_job_node_name(job)));
}

static int job_wait(struct stead_job *job, struct stead_slice args)
{
    (void)args;
    atomic_fetch_add(&started, 1);
    while (!atomic_load(&released)) {
        if (stead_job_cancelled(job))
            return STEAD_ECANCELLED;
        nap();
    }
    return 0;
}

/* Replies what it should not, and ends with the code it got. */
static int job_flood(struct stead_job *job, struct stead_slice args)
{
    size_t size = (32u << 20) + 1;
    uint8_t *bytes = calloc(1, size);
    int code = stead_job_reply(job, stead_bytes(bytes, size));

    (void)args;
    free(bytes);
    return code;
}

static int job_babble(struct stead_job *job, struct stead_slice args)
{
    (void)args;
    return stead_job_reply(job, stead_str("hello"));
}

static _Atomic bool deaf_may_go; /* what op `deaf` waits for: it does not look whether it is cancelled */
static _Atomic int deaf_gone;

static int job_deaf(struct stead_job *job, struct stead_slice args)
{
    (void)args;
    atomic_fetch_add(&started, 1);
    while (!atomic_load(&deaf_may_go))
        nap();
    int code = stead_job_cancelled(job) ? STEAD_ECANCELLED : 0;
    atomic_fetch_add(&deaf_gone, 1);
    return code;
}

#define BEAT_MS 250                /* a machine that lets nobody run for so long fails the test */
static _Atomic bool beat_for_long; /* op `beat` has given signs of life for longer than BEAT_MS */

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Gives signs of life until it is released, and then none more. */
static int job_beat(struct stead_job *job, struct stead_slice args)
{
    int64_t begun_ms = now_ms();

    while (!atomic_load(&released)) {
        if (stead_job_heartbeat(job, args) != 0)
            return STEAD_ECANCELLED;
        if (now_ms() > begun_ms + BEAT_MS * 2)
            atomic_store(&beat_for_long, true);
        nap();
    }
    while (!stead_job_cancelled(job))
        nap();
    return stead_job_heartbeat(job, args);
}

/* Ends with the code of its heartbeat. */
static int job_beat_badly(struct stead_job *job, struct stead_slice args)
{
    size_t size = STEAD_JOBS_HEARTBEAT_DETAILS_MAX + 1;
    uint8_t *bytes = calloc(1, size);
    int code = stead_job_heartbeat(job, args.size > 0 ? stead_str("hello") : stead_bytes(bytes, size));

    free(bytes);
    return code;
}

/* Returns no code but a number. */
static int job_count(struct stead_job *job, struct stead_slice args)
{
    (void)job, (void)args;
    return 77;
}

static const struct stead_op ops[] = {{.name = "double", .job = job_double},
                                      {.name = "wait", .job = job_wait},
                                      {.name = "flood", .job = job_flood},
                                      {.name = "babble", .job = job_babble},
                                      {.name = "deaf", .job = job_deaf},
                                      {.name = "beat", .job = job_beat},
                                      {.name = "beat_badly", .job = job_beat_badly},
                                      {.name = "count", .job = job_count},
                                      {.name = NULL}};
static const struct stead_kind kind = {.abi = STEAD_ABI,
                                       .struct_size = sizeof(struct stead_kind),
                                       .name = "word",
                                       .durability = STEAD_STATELESS,
                                       .ops = ops};

struct bench {
    struct stead_inbox inbox;
    struct stead_jobs *jobs;
};

static int set_up(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);

    assert_non_null(bench);
    assert_int_equal(stead_inbox_init(&bench->inbox), 0);
    bench->jobs = stead_jobs_create(2, "n1", NULL);
    atomic_store(&released, false);
    atomic_store(&deaf_may_go, false);
    atomic_store(&deaf_gone, 0);
    atomic_store(&beat_for_long, false);
    atomic_store(&started, 0);
    *state = bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;

    assert_true(stead_jobs_destroy(&bench->jobs, 5000));
    stead_inbox_deinit(&bench->inbox);
    free(bench);
    return 0;
}

static struct stead_message *request(uint8_t id, struct stead_slice payload)
{
    struct stead_message_parts parts = {.address = stead_str("word/a"), .op = stead_str("double"), .payload = payload};
    struct stead_message *message = stead_message_create(STEAD_CALL, &parts);

    message->id = (struct stead_id){{id}};
    return message;
}

static void submit(struct bench *bench, const struct stead_op *op, struct stead_message *message)
{
    struct stead_work_list batch = {0};

    stead_jobs_run(bench->jobs, &bench->inbox, &kind, op, &message, &batch);
    assert_null(message);
    stead_jobs_flush(bench->jobs, &batch);
    assert_null(batch.oldest);
}

/* The next job that came back; destroy it. */
static struct stead_job *wait_for_job(struct bench *bench)
{
    struct stead_event *event;

    while ((event = stead_inbox_take(&bench->inbox)) == NULL)
        nap();
    assert_int_equal(event->type, STEAD_EVENT_JOB_DONE);
    struct stead_job *job = event->pointer;
    struct stead_event *rest = event->next;
    free(event);
    while (rest) { /* put back what came with it */
        struct stead_event *next = rest->next;
        stead_inbox_post(&bench->inbox, rest);
        free(rest);
        rest = next;
    }
    return job;
}

static void wait_for_start(int count)
{
    while (atomic_load(&started) < count)
        nap();
}

static int status_of_next(struct bench *bench)
{
    struct stead_job *job = wait_for_job(bench);
    int status = stead_job_result(job).status;

    stead_job_destroy(&job);
    return status;
}

static void test_job_that_replies_comes_back_with_request_and_value(void **state)
{
    struct bench *bench = *state;
    struct stead_writer args;
    int64_t number = 0;

    stead_writer_init(&args);
    stead_write_i64(&args, 21);
    submit(bench, &ops[0], request(1, stead_written(&args)));
    stead_writer_deinit(&args);
    struct stead_job *job = wait_for_job(bench);
    struct stead_job_result result = stead_job_result(job);
    assert_int_equal(result.status, 0);
    assert_int_equal(stead_get_i64(result.value, "number", &number), 0);
    assert_int_equal(number, 42);
    struct stead_message *back = stead_job_take_request(job);
    assert_int_equal(back->id.v[0], 1);
    stead_message_destroy(&back);
    stead_job_destroy(&job);
    assert_int_equal(stead_jobs_count(bench->jobs), 0);
}

static void test_job_that_fails_comes_back_with_name_and_sentence(void **state)
{
    struct bench *bench = *state;

    submit(bench, &ops[0], request(1, (struct stead_slice){0}));
    struct stead_job *job = wait_for_job(bench);
    struct stead_job_result result = stead_job_result(job);
    assert_int_equal(result.status, STEAD_EFAILED);
    assert_string_equal(result.name, "no_number");
    assert_string_equal(result.sentence, "word/a wants a number");
    stead_job_destroy(&job);
}

static void test_job_that_returns_a_number_has_failed(void **state)
{
    struct bench *bench = *state;

    submit(bench, &ops[7], request(1, (struct stead_slice){0}));
    struct stead_job *job = wait_for_job(bench);
    struct stead_job_result result = stead_job_result(job);
    assert_int_equal(result.status, STEAD_EFAILED);
    assert_string_equal(result.name, "bad_code");
    assert_string_equal(result.sentence, "the function returned 77, which is no code");
    stead_job_destroy(&job);
}

static void test_job_reply_that_cannot_be_sent_is_refused(void **state)
{
    struct bench *bench = *state;
    const int codes[] = {STEAD_ETOOLARGE, STEAD_EARGUMENT};

    for (unsigned i = 0; i < 2; i++) {
        submit(bench, &ops[2 + i], request(1, (struct stead_slice){0}));
        struct stead_job *job = wait_for_job(bench);
        assert_int_equal(stead_job_result(job).status, codes[i]);
        stead_job_destroy(&job);
    }
}

static void test_job_cancelled_while_it_runs_is_told(void **state)
{
    struct bench *bench = *state;

    submit(bench, &ops[1], request(5, (struct stead_slice){0}));
    wait_for_start(1);
    stead_jobs_cancel_one(bench->jobs, (struct stead_id){{4}}); /* nobody's */
    stead_jobs_cancel_one(bench->jobs, (struct stead_id){{5}});
    assert_int_equal(status_of_next(bench), STEAD_ECANCELLED);
}

static void test_job_cancelled_before_it_ran_is_not_started(void **state)
{
    struct bench *bench = *state;

    submit(bench, &ops[1], request(1, (struct stead_slice){0}));
    submit(bench, &ops[1], request(2, (struct stead_slice){0}));
    wait_for_start(2); /* both threads are taken */
    submit(bench, &ops[1], request(3, (struct stead_slice){0}));
    stead_jobs_cancel_one(bench->jobs, (struct stead_id){{3}});
    atomic_store(&released, true);
    int cancelled = 0;
    for (int i = 0; i < 3; i++)
        cancelled += status_of_next(bench) == STEAD_ECANCELLED;
    assert_int_equal(cancelled, 1);
    assert_int_equal(atomic_load(&started), 2);
}

static void test_job_whose_deadline_has_passed_is_not_started(void **state)
{
    struct bench *bench = *state;
    struct stead_message *message = request(1, (struct stead_slice){0});

    message->deadline_ms = 1;
    submit(bench, &ops[1], message);
    assert_int_equal(status_of_next(bench), STEAD_EEXPIRED);
    assert_int_equal(atomic_load(&started), 0);
}

static void test_jobs_stopped_with_work_cancel_all_of_it(void **state)
{
    struct bench *bench = *state;

    for (uint8_t i = 1; i <= 6; i++)
        submit(bench, &ops[1], request(i, (struct stead_slice){0}));
    wait_for_start(2);
    assert_int_equal(stead_jobs_count(bench->jobs), 6);
    assert_true(stead_jobs_destroy(&bench->jobs, 5000));
    for (int i = 0; i < 6; i++)
        assert_int_equal(status_of_next(bench), STEAD_ECANCELLED);
}

static void test_jobs_of_one_batch_run_side_by_side(void **state)
{
    struct bench *bench = *state;
    struct stead_work_list batch = {0};

    for (int round = 0; round < 2; round++) { /* threads that are started, and threads that sleep */
        atomic_store(&started, 0);
        atomic_store(&released, false);
        for (uint8_t i = 1; i <= 5; i++) {
            struct stead_message *message = request(i, (struct stead_slice){0});
            stead_jobs_run(bench->jobs, &bench->inbox, &kind, &ops[1], &message, &batch);
        }
        assert_int_equal(batch.count, 5);
        assert_true(stead_inbox_empty(&bench->inbox));
        stead_jobs_flush(bench->jobs, &batch);
        wait_for_start(2); /* both threads, while neither job ends */
        atomic_store(&released, true);
        for (int i = 0; i < 5; i++)
            assert_int_equal(status_of_next(bench), 0);
    }
}

/* ---- Limits ------------------------------------------------------------------------------ */

static struct stead_message *limited(uint8_t id, uint32_t start_ms, uint32_t run_ms, uint32_t heartbeat_ms)
{
    struct stead_message *message = request(id, (struct stead_slice){0});

    message->groups |= STEAD_GROUP_LIMITS;
    message->limits.start_ms = start_ms;
    message->limits.run_ms = run_ms;
    message->limits.heartbeat_ms = heartbeat_ms;
    return message;
}

/* The next job that comes back timed out, by this limit; who it was. */
static uint8_t wait_for_timeout(struct bench *bench, const char *name)
{
    struct stead_job *job = wait_for_job(bench);
    struct stead_job_result result = stead_job_result(job);
    struct stead_message *back = stead_job_take_request(job);
    uint8_t id = back->id.v[0];

    assert_int_equal(result.status, STEAD_ETIMEOUT);
    assert_string_equal(result.name, name);
    assert_non_null(strstr(result.sentence, "double of word/a"));
    stead_message_destroy(&back);
    stead_job_destroy(&job);
    return id;
}

static void test_job_that_does_not_begin_in_time_comes_back_and_never_runs(void **state)
{
    struct bench *bench = *state;

    submit(bench, &ops[1], request(1, (struct stead_slice){0}));
    submit(bench, &ops[1], request(2, (struct stead_slice){0}));
    wait_for_start(2); /* both threads are taken */
    submit(bench, &ops[1], limited(3, 600000, 0, 0));
    submit(bench, &ops[1], limited(4, 20, 0, 0));
    submit(bench, &ops[1], limited(5, 10, 0, 0));
    assert_int_equal(wait_for_timeout(bench, "start_timeout"), 5);
    assert_int_equal(wait_for_timeout(bench, "start_timeout"), 4);
    atomic_store(&released, true);
    for (int i = 0; i < 3; i++)
        assert_int_equal(status_of_next(bench), 0);
    assert_int_equal(atomic_load(&started), 3);
    assert_int_equal(stead_jobs_count(bench->jobs), 0);
}

static void test_job_that_runs_too_long_comes_back_at_once_and_once(void **state)
{
    struct bench *bench = *state;

    submit(bench, &ops[4], limited(1, 0, 10, 0));
    assert_int_equal(wait_for_timeout(bench, "run_timeout"), 1);
    assert_int_equal(atomic_load(&started), 1);
    assert_int_equal(atomic_load(&deaf_gone), 0); /* its thread is inside */
    assert_int_equal(stead_jobs_count(bench->jobs), 0);
    atomic_store(&deaf_may_go, true);
    while (atomic_load(&deaf_gone) < 1)
        nap();
    submit(bench, &ops[4], limited(2, 600000, 600000, 600000)); /* within its limits */
    assert_int_equal(status_of_next(bench), 0);                 /* and nothing else came back */
    assert_true(stead_inbox_empty(&bench->inbox));
    atomic_store(&deaf_may_go, false);
    submit(bench, &ops[4], limited(3, 600000, 10, 0)); /* the watch sleeps: nobody else is due */
    assert_int_equal(wait_for_timeout(bench, "run_timeout"), 3);
    atomic_store(&deaf_may_go, true);
}

static void test_job_past_its_limit_is_told(void **state)
{
    struct bench *bench = *state;

    submit(bench, &ops[1], limited(1, 0, 10, 0)); /* returns when it is cancelled, or the test never ends */
    assert_int_equal(wait_for_timeout(bench, "run_timeout"), 1);
}

static void test_heartbeats_put_the_timeout_off_and_silence_does_not(void **state)
{
    struct bench *bench = *state;

    submit(bench, &ops[5], limited(1, 0, 0, BEAT_MS));
    while (!atomic_load(&beat_for_long)) {
        assert_true(stead_inbox_empty(&bench->inbox));
        nap();
    }
    atomic_store(&released, true);
    assert_int_equal(wait_for_timeout(bench, "heartbeat_timeout"), 1);
}

static void test_heartbeat_is_told_to_the_agent_that_asked_now_and_then(void **state)
{
    struct bench *bench = *state;
    struct stead_message_parts parts = {.address = stead_str("word/a"),
                                        .source = stead_str("book/1"),
                                        .op = stead_str("double"),
                                        .payload = stead_bytes("\x07", 1)};
    struct stead_message *message = stead_message_create(STEAD_CALL, &parts);
    struct stead_event *event;
    struct stead_slice call;
    int64_t details;

    message->id = (struct stead_id){{9, 8, 7}};
    message->source_slot.v = 123;
    submit(bench, &ops[5], message);
    while ((event = stead_inbox_take(&bench->inbox)) == NULL)
        nap();
    assert_int_equal(event->type, STEAD_EVENT_HEARTBEAT);
    assert_null(event->next); /* ten a second at most, however often it beats */
    struct stead_message *tell = event->pointer;
    assert_int_equal(tell->type, STEAD_TELL);
    assert_string_equal(tell->address, "book/1");
    assert_string_equal(tell->source, "word/a");
    assert_string_equal(tell->op, "heartbeat");
    assert_int_equal(tell->slot.v, 123);
    assert_int_equal(stead_get_bin(stead_message_payload(tell), "call", &call), 0);
    assert_int_equal(call.size, 16);
    assert_int_equal(call.data[2], 7);
    assert_int_equal(stead_get_i64(stead_message_payload(tell), "details", &details), 0);
    assert_int_equal(details, 7);
    stead_message_destroy(&tell);
    free(event);
    stead_jobs_cancel_one(bench->jobs, (struct stead_id){{9, 8, 7}});
    for (bool done = false; !done;) { /* a second heartbeat may have been told before it heard of it */
        while ((event = stead_inbox_take(&bench->inbox)) == NULL)
            nap();
        while (event) {
            struct stead_event *next = event->next;
            if (event->type == STEAD_EVENT_JOB_DONE) {
                struct stead_job *job = event->pointer;
                assert_int_equal(stead_job_result(job).status, STEAD_ECANCELLED);
                stead_job_destroy(&job);
                done = true;
            } else {
                tell = event->pointer;
                stead_message_destroy(&tell);
            }
            free(event);
            event = next;
        }
    }
}

static void test_heartbeat_with_bad_details_is_refused(void **state)
{
    struct bench *bench = *state;

    submit(bench, &ops[6], request(1, (struct stead_slice){0}));
    assert_int_equal(status_of_next(bench), STEAD_ETOOLARGE);
    submit(bench, &ops[6], request(1, stead_bytes("\x07", 1)));
    assert_int_equal(status_of_next(bench), STEAD_EARGUMENT);
}

static bool a_watch_runs(void)
{
    DIR *tasks = opendir("/proc/self/task");
    bool found = false;

    assert_non_null(tasks);
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        char path[300], name[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", task->d_name);
        FILE *file = fopen(path, "r");
        if (file && fgets(name, sizeof name, file))
            found = found || strcmp(name, "stead-job-watch\n") == 0;
        if (file)
            fclose(file);
    }
    closedir(tasks);
    return found;
}

static void test_jobs_without_limits_are_not_watched(void **state)
{
    struct bench *bench = *state;

    submit(bench, &ops[0], request(1, (struct stead_slice){0}));
    assert_int_equal(status_of_next(bench), STEAD_EFAILED);
    assert_false(a_watch_runs());
    submit(bench, &ops[1], limited(1, 0, 10, 0));
    assert_int_equal(wait_for_timeout(bench, "run_timeout"), 1);
    assert_true(a_watch_runs());
}

static void test_jobs_stopped_with_limits_in_force_cancel_them(void **state)
{
    struct bench *bench = *state;

    for (uint8_t i = 1; i <= 6; i++)
        submit(bench, &ops[1], limited(i, 600000, 600000, 600000));
    wait_for_start(2);
    assert_true(stead_jobs_destroy(&bench->jobs, 5000));
    for (int i = 0; i < 6; i++)
        assert_int_equal(status_of_next(bench), STEAD_ECANCELLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_job_that_replies_comes_back_with_request_and_value, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_job_that_fails_comes_back_with_name_and_sentence, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_job_that_returns_a_number_has_failed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_job_reply_that_cannot_be_sent_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_job_cancelled_while_it_runs_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_job_cancelled_before_it_ran_is_not_started, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_job_whose_deadline_has_passed_is_not_started, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_jobs_stopped_with_work_cancel_all_of_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_jobs_of_one_batch_run_side_by_side, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_job_that_does_not_begin_in_time_comes_back_and_never_runs, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_job_that_runs_too_long_comes_back_at_once_and_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_job_past_its_limit_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_heartbeats_put_the_timeout_off_and_silence_does_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_heartbeat_is_told_to_the_agent_that_asked_now_and_then, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_heartbeat_with_bad_details_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_jobs_without_limits_are_not_watched, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_jobs_stopped_with_limits_in_force_cancel_them, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
