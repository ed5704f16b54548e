/* SPDX-License-Identifier: Apache-2.0 */
/* jobs: every job comes back, with its answer or with why it has none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>
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

static const struct stead_op ops[] = {{.name = "double", .job = job_double},
                                      {.name = "wait", .job = job_wait},
                                      {.name = "flood", .job = job_flood},
                                      {.name = "babble", .job = job_babble},
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
    bench->jobs = stead_jobs_create(2, "n1");
    atomic_store(&released, false);
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
    stead_jobs_run(bench->jobs, &bench->inbox, &kind, op, &message);
    assert_null(message);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_job_that_replies_comes_back_with_request_and_value, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_job_that_fails_comes_back_with_name_and_sentence, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_job_reply_that_cannot_be_sent_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_job_cancelled_while_it_runs_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_job_cancelled_before_it_ran_is_not_started, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_job_whose_deadline_has_passed_is_not_started, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_jobs_stopped_with_work_cancel_all_of_it, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
