/* SPDX-License-Identifier: Apache-2.0 */
/*
 * orchestrator_fixture: the kind `orchestration` on the one host of host_fixture.h, with activities whose job threads
 * are the test: or_do_job() does the oldest job. `inc` adds one to a number, `bad` fails until `or_bad_is_good`. The
 * test names its orchestrators in `or_orchestrators`.
 */
#ifndef STEAD_TESTS_ORCHESTRATOR_FIXTURE_H
#define STEAD_TESTS_ORCHESTRATOR_FIXTURE_H

#include "unit/runtime/host_client.h"

#include "agents/agents.h"
#include "agents/history.h"
#include "stead/orchestration_client.h"

#define OR_ORCHESTRATOR(identifier, function)                                                                          \
    static const struct stead_orchestrator identifier = {.abi = STEAD_ORCHESTRATION_ABI,                               \
                                                         .struct_size = sizeof(struct stead_orchestrator),             \
                                                         .name = #identifier,                                          \
                                                         .version = 1,                                                 \
                                                         .run = function}

static const struct stead_orchestrator *or_orchestrators[16]; /* the test's, ended by a NULL */

static const struct stead_kind *or_kinds[4]; /* besides */

static struct fx *fx;
static struct fx_client client;
static struct stead_message *answer; /* of the last request; NULL: none yet */
static uint32_t or_jobs_done;
static bool or_bad_is_good;

/* ---- Activities: the test is the job threads ------------------------------------------------ */

static inline int or_never(struct stead_job *job, struct stead_slice args)
{
    (void)job, (void)args;
    return STEAD_EINTERNAL;
}
STEAD_ACTIVITY(inc, "inc", or_never, 0);
STEAD_ACTIVITY(bad, "bad", or_never, 0);

/* ---- The fixture ---------------------------------------------------------------------------- */

static inline int or_setup(void **state)
{
    (void)state;
    fx = fx_create(2);
    assert_int_equal(stead_registry_add(fx->registry, &stead_orchestration_kind, NULL), 0);
    assert_int_equal(stead_registry_add(fx->registry, &inc, NULL), 0);
    assert_int_equal(stead_registry_add(fx->registry, &bad, NULL), 0);
    for (uint32_t i = 0; or_kinds[i] != NULL; i++)
        assert_int_equal(stead_registry_add(fx->registry, or_kinds[i], NULL), 0);
    for (uint32_t i = 0; or_orchestrators[i] != NULL; i++)
        assert_int_equal(stead_registry_add_orchestrator(fx->registry, or_orchestrators[i], NULL), 0);
    fx_set_table(fx, NULL, 1, false);
    client = fx_client(fx, 1);
    answer = NULL;
    or_jobs_done = 0;
    or_bad_is_good = false;
    return 0;
}

static inline int or_teardown(void **state)
{
    (void)state;
    if (answer != NULL)
        stead_message_destroy(&answer);
    fx_destroy(fx);
    return 0;
}

/* The power goes, and comes back. */
static inline void or_crash(void)
{
    fx_crash(fx, true);
    fx_set_table(fx, NULL, 1, false);
    fx_run(fx);
    fx_step_ms(fx, 2000); /* what was not answered is sent again */
}

static inline void or_take_answer(void)
{
    if (answer != NULL)
        stead_message_destroy(&answer);
    answer = stead_queue_pop(&fx->answers);
}

/* The answer to the newest request; those to others are dropped. */
static inline void or_take_newest(void)
{
    do
        or_take_answer();
    while (answer != NULL && answer->session.number != client.number);
}

/* Calls an op of `orchestration/ID`; the answer, if there is one yet, is in `answer`. */
static inline void or_ask(const char *id, const char *op, const char *format, ...)
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
    or_take_newest();
    if (answer != NULL && getenv("FX_TRACE") != NULL)
        fprintf(stderr, "%s %s: %d %.*s\n", id, op, answer->status, (int)answer->payload_size,
                (const char *)answer->payload);
}

/* Sends without running. */
static inline void or_post(const char *id, const char *op)
{
    char address[300];

    snprintf(address, sizeof(address), "orchestration/%s", id);
    struct stead_message *message = fx_request(fx, &client, STEAD_CALL, address, op, (struct stead_slice){0}, NULL);
    stead_host_deliver(fx->host, &message);
}

/* Does the oldest job: inc adds one, bad fails. False: there is none. */
static inline bool or_do_job(void)
{
    struct stead_message *job = stead_queue_pop(&fx->jobs);
    struct stead_writer value;
    int64_t number = 0;

    if (job == NULL)
        return false;
    bool fails = strncmp(job->address, "bad/", 4) == 0 && !or_bad_is_good;
    assert_int_equal(stead_get_i64(stead_message_payload(job), NULL, &number), 0);
    stead_writer_init(&value);
    stead_write_i64(&value, number + 1);
    stead_host_job_done(fx->host, &job, fails ? STEAD_EFAILED : 0, fails ? "bad_luck" : "", fails ? "no" : "",
                        fails ? (struct stead_slice){0} : stead_written(&value));
    stead_writer_deinit(&value);
    or_jobs_done++;
    return true;
}

/* All that are there, and those that come of them. */
static inline void or_do_jobs(void)
{
    while (or_do_job()) {
        while (or_do_job()) {
        }
        fx_run(fx);
    }
}

static inline struct stead_instance or_told(void)
{
    struct stead_instance instance;

    if (answer == NULL)
        or_take_answer();
    assert_non_null(answer);
    assert_int_equal(answer->status, 0);
    assert_int_equal(stead_instance_read(stead_message_payload(answer), &instance), 0);
    return instance;
}

static inline int64_t or_output(void)
{
    int64_t number = 0;
    assert_int_equal(stead_get_i64(or_told().output, NULL, &number), 0);
    return number;
}

static inline void or_expect_status(const char *id, enum stead_instance_status status)
{
    or_ask(id, "status", "{}");
    assert_int_equal(or_told().status, status);
}

#endif
