/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kind `orchestration` on one host: what a client sees, what crashes and unloads leave, how much a turn costs.
 */
#include "unit/runtime/host_client.h"

#include "agents/agents.h"
#include "agents/history.h"
#include "stead/orchestration_client.h"

static struct fx *fx;
static struct fx_client client;
static struct stead_message *answer; /* of the last request; NULL: none yet */
static uint32_t jobs_done;

/* ---- Orchestrators -------------------------------------------------------------------------- */

/* inc(inc(inc(input))) */
static int three_steps(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice value = input;

    for (uint32_t i = 0; i < 3; i++) {
        int code = stead_await_activity(o, "inc", value, &value);
        if (code != 0)
            return code;
        value = stead_keep(o, value);
    }
    return stead_complete(o, value);
}

/* Input: how many. Output: the sum of inc(i). */
static int fan_out(struct stead_orchestration *o, struct stead_slice input)
{
    int64_t count = 0, sum = 0, one = 0;

    if (stead_get_i64(input, NULL, &count) != 0)
        return STEAD_EARGUMENT;
    struct stead_task *tasks = stead_keep_bytes(o, (size_t)count * sizeof(*tasks));
    for (int64_t i = 0; i < count; i++)
        tasks[i] = stead_begin_activity(o, "inc", stead_packed_for(o, "l", i), NULL);
    int code = stead_await_all(o, tasks, (uint32_t)count);
    for (int64_t i = 0; code == 0 && i < count; i++) {
        struct stead_slice value;
        code = stead_await(o, tasks[i], &value);
        if (code == 0 && stead_get_i64(value, NULL, &one) == 0)
            sum += one;
    }
    return code != 0 ? code : stead_complete(o, stead_packed_for(o, "l", sum));
}

static int nothing_at_all(struct stead_orchestration *o, struct stead_slice input)
{
    return stead_complete(o, input);
}

static const struct stead_orchestrator steps = {
    .abi = STEAD_ORCHESTRATION_ABI, .struct_size = sizeof(steps), .name = "steps", .version = 1, .run = three_steps};
static const struct stead_orchestrator fan = {
    .abi = STEAD_ORCHESTRATION_ABI, .struct_size = sizeof(fan), .name = "fan", .version = 1, .run = fan_out};
static const struct stead_orchestrator none = {
    .abi = STEAD_ORCHESTRATION_ABI, .struct_size = sizeof(none), .name = "none", .version = 1, .run = nothing_at_all};

/* ---- Activities: the test is the job threads ------------------------------------------------ */

static int never(struct stead_job *job, struct stead_slice args)
{
    (void)job, (void)args;
    return STEAD_EINTERNAL;
}
STEAD_ACTIVITY(inc, "inc", never, 0);
STEAD_ACTIVITY(bad, "bad", never, 0);

/* ---- The fixture ---------------------------------------------------------------------------- */

static int setup(void **state)
{
    (void)state;
    fx = fx_create(2);
    assert_int_equal(stead_registry_add(fx->registry, &stead_orchestration_kind, NULL), 0);
    assert_int_equal(stead_registry_add(fx->registry, &inc, NULL), 0);
    assert_int_equal(stead_registry_add(fx->registry, &bad, NULL), 0);
    assert_int_equal(stead_registry_add_orchestrator(fx->registry, &steps, NULL), 0);
    assert_int_equal(stead_registry_add_orchestrator(fx->registry, &fan, NULL), 0);
    assert_int_equal(stead_registry_add_orchestrator(fx->registry, &none, NULL), 0);
    fx_set_table(fx, NULL, 1, false);
    client = fx_client(fx, 1);
    answer = NULL;
    jobs_done = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (answer != NULL)
        stead_message_destroy(&answer);
    fx_destroy(fx);
    return 0;
}

/* The power goes, and comes back. */
static void crash(void)
{
    fx_crash(fx, true);
    fx_set_table(fx, NULL, 1, false);
    fx_run(fx);
    fx_step_ms(fx, 2000); /* what was not answered is sent again */
}

static void take_answer(void)
{
    if (answer != NULL)
        stead_message_destroy(&answer);
    answer = stead_queue_pop(&fx->answers);
}

/* Calls an op of `orchestration/ID`; the answer, if there is one yet, is in `answer`. */
static void ask(const char *id, const char *op, const char *format, ...)
{
    struct stead_writer args;
    va_list list;
    char address[300];

    snprintf(address, sizeof(address), "orchestration/%s", id);
    stead_writer_init(&args);
    va_start(list, format);
    stead_pack_v(&args, format, list);
    va_end(list);
    struct stead_message *message = fx_request(fx, &client, STEAD_CALL, address, op, stead_written(&args), NULL);
    stead_writer_deinit(&args);
    stead_host_deliver(fx->host, &message);
    fx_run(fx);
    take_answer();
    if (answer != NULL && getenv("FX_TRACE") != NULL)
        fprintf(stderr, "%s %s: %d %.*s\n", id, op, answer->status, (int)answer->payload_size,
                (const char *)answer->payload);
}

/* Does the oldest job: inc adds one, bad fails. False: there is none. */
static bool do_job(void)
{
    struct stead_message *job = stead_queue_pop(&fx->jobs);
    struct stead_writer value;
    int64_t number = 0;

    if (job == NULL)
        return false;
    bool fails = strncmp(job->address, "bad/", 4) == 0;
    assert_int_equal(stead_get_i64(stead_message_payload(job), NULL, &number), 0);
    stead_writer_init(&value);
    stead_write_i64(&value, number + 1);
    stead_host_job_done(fx->host, &job, fails ? STEAD_EFAILED : 0, fails ? "bad_luck" : "", fails ? "no" : "",
                        fails ? (struct stead_slice){0} : stead_written(&value));
    stead_writer_deinit(&value);
    jobs_done++;
    return true;
}

/* All that are there, and those that come of them. */
static void do_jobs(void)
{
    while (do_job()) {
        while (do_job()) {
        }
        fx_run(fx);
    }
}

static struct stead_instance told(void)
{
    struct stead_instance instance;

    if (answer == NULL)
        take_answer();
    assert_non_null(answer);
    assert_int_equal(answer->status, 0);
    assert_int_equal(stead_instance_read(stead_message_payload(answer), &instance), 0);
    return instance;
}

static int64_t output(void)
{
    int64_t number = 0;
    assert_int_equal(stead_get_i64(told().output, NULL, &number), 0);
    return number;
}

static void expect_status(const char *id, enum stead_instance_status status)
{
    ask(id, "status", "{}");
    assert_int_equal(told().status, status);
}

/* ---- Tests ---------------------------------------------------------------------------------- */

static void test_orchestrator_runs_three_activities_and_answers(void **state)
{
    (void)state;
    ask("i", "run", "{s:s,s:l}", "name", "steps", "input", (int64_t)5);
    assert_null(answer);
    do_jobs();
    assert_int_equal(output(), 8);
    assert_int_equal(told().status, STEAD_INSTANCE_COMPLETED);
    assert_int_equal(jobs_done, 3);
}

static void test_orchestrator_that_awaits_nothing_answers_at_once(void **state)
{
    (void)state;
    ask("i", "run", "{s:s,s:l}", "name", "none", "input", (int64_t)5);
    assert_int_equal(output(), 5);
}

static void test_orchestrator_crash_after_every_step_changes_nothing(void **state)
{
    (void)state;
    ask("i", "start", "{s:s,s:l}", "name", "steps", "input", (int64_t)5);
    for (uint32_t i = 0; i < 6; i++) {
        crash();
        (void)do_job();
        fx_run(fx);
    }
    do_jobs();
    expect_status("i", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(output(), 8);
}

static void test_orchestrator_fan_out_of_ten_thousand(void **state)
{
    (void)state;
    ask("i", "run", "{s:s,s:l}", "name", "fan", "input", (int64_t)10000);
    do_jobs();
    assert_int_equal(output(), 10000ll * 10001 / 2);
    assert_int_equal(jobs_done, 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_orchestrator_runs_three_activities_and_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_orchestrator_that_awaits_nothing_answers_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_orchestrator_crash_after_every_step_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_orchestrator_fan_out_of_ten_thousand, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
