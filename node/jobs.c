/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobs: requests to stateless kinds on their way through the pool of job threads.
 *
 *     submit -> queued -> running -> done (in its reactor's inbox)
 *                  \--- cancelled or expired before it started: done at once, with that code
 *
 * A job owns its request, its answer and the memory that its op asked for (stead_job_packed), so the thread that runs
 * it shares nothing with anybody but two words: the flag `cancelled` and the count of jobs. The table of live jobs,
 * by message id, is there for cancellation alone; it is locked for a few instructions a job.
 *
 * Invariant J1: a job is in the table from submit until its op has returned; whoever takes it out is its only owner afterwards.
 */
#include "node/jobs.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "net/codec.h"
#include "node/pool.h"
#include "runtime/base.h"

#define BUCKETS 1024u /* a power of two */
#define NAME_MAX_SIZE 64
#define SENTENCE_MAX_SIZE 512

/* Memory that an op asked for, freed with its job. */
struct job_block {
    struct job_block *next;     /* older */
    struct stead_writer writer; /* one packed value */
};

struct stead_job {
    struct stead_work work; /* the pool's */
    struct stead_job *next; /* bucket of the table */
    struct stead_jobs *jobs;
    struct stead_inbox *inbox; /* of the reactor that asked; borrowed */
    const struct stead_kind *kind;
    const struct stead_op *op;
    struct stead_message *request; /* owned */
    struct job_block *blocks;      /* owned, newest first */
    struct stead_writer value;     /* the reply */
    int status;                    /* 0 or a negative code */
    _Atomic bool cancelled;        /* nobody waits any more; set by any thread */
    char name[NAME_MAX_SIZE];      /* of the failure */
    char sentence[SENTENCE_MAX_SIZE];
};

struct stead_jobs {
    struct stead_pool *pool;
    const char *node_name;            /* borrowed */
    _Atomic uint32_t count;           /* live jobs */
    _Atomic bool stopping;            /* every job is cancelled, also those to come */
    pthread_mutex_t mutex;            /* guards the table */
    struct stead_job *table[BUCKETS]; /* live jobs by id */
};

struct stead_jobs *stead_jobs_create(uint32_t threads_max, const char *node_name)
{
    struct stead_jobs *jobs = stead_alloc_zero(sizeof *jobs);

    jobs->pool = stead_pool_create("stead-job", threads_max);
    jobs->node_name = node_name;
    pthread_mutex_init(&jobs->mutex, NULL);
    return jobs;
}

static struct stead_job **bucket_of(struct stead_jobs *jobs, struct stead_id id)
{
    return &jobs->table[stead_load32(id.v) & (BUCKETS - 1)];
}

static void table_add(struct stead_job *job)
{
    struct stead_job **bucket = bucket_of(job->jobs, job->request->id);

    pthread_mutex_lock(&job->jobs->mutex);
    job->next = *bucket;
    *bucket = job;
    pthread_mutex_unlock(&job->jobs->mutex);
}

static void table_remove(struct stead_job *job)
{
    struct stead_job **at = bucket_of(job->jobs, job->request->id);

    pthread_mutex_lock(&job->jobs->mutex);
    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    pthread_mutex_unlock(&job->jobs->mutex);
}

/* The job is over: back to its reactor, which owns it from here on. */
static void finish(struct stead_job *job)
{
    struct stead_event event = {.type = STEAD_EVENT_JOB_DONE, .pointer = job};

    atomic_fetch_sub(&job->jobs->count, 1);
    stead_inbox_post(job->inbox, &event);
}

static uint64_t wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool is_expired(const struct stead_job *job)
{
    return job->request->deadline_ms != 0 && wall_ms() >= job->request->deadline_ms;
}

static bool is_cancelled(const struct stead_job *job)
{
    return atomic_load_explicit(&job->cancelled, memory_order_relaxed) ||
           atomic_load_explicit(&job->jobs->stopping, memory_order_relaxed);
}

/* On a job thread. */
static void run_job(struct stead_work *work)
{
    struct stead_job *job = (struct stead_job *)work;

    if (is_cancelled(job))
        job->status = STEAD_ECANCELLED;
    else if (is_expired(job))
        job->status = STEAD_EEXPIRED;
    else
        job->status = job->op->job(job, stead_message_payload(job->request));
    table_remove(job);
    finish(job);
}

void stead_jobs_run(struct stead_jobs *jobs, struct stead_inbox *inbox, const struct stead_kind *kind,
                    const struct stead_op *op, struct stead_message **request)
{
    struct stead_job *job = stead_alloc_zero(sizeof *job);

    job->work.run = run_job;
    job->jobs = jobs;
    job->inbox = inbox;
    job->kind = kind;
    job->op = op;
    job->request = *request;
    *request = NULL;
    stead_writer_init(&job->value);
    if (atomic_fetch_add(&jobs->count, 1) >= STEAD_JOBS_QUEUED_MAX || !op->job ||
        atomic_load_explicit(&jobs->stopping, memory_order_relaxed)) {
        job->status = op->job ? STEAD_EBUSY : STEAD_EOP;
        finish(job);
        return;
    }
    table_add(job);
    stead_pool_submit(jobs->pool, &job->work);
}

void stead_jobs_cancel_one(struct stead_jobs *jobs, struct stead_id id)
{
    pthread_mutex_lock(&jobs->mutex);
    for (struct stead_job *job = *bucket_of(jobs, id); job; job = job->next) {
        if (stead_id_equal(job->request->id, id))
            atomic_store_explicit(&job->cancelled, true, memory_order_relaxed);
    }
    pthread_mutex_unlock(&jobs->mutex);
}

uint32_t stead_jobs_count(const struct stead_jobs *jobs)
{
    return atomic_load_explicit(&jobs->count, memory_order_relaxed);
}

bool stead_jobs_destroy(struct stead_jobs **jobs, uint32_t wait_ms)
{
    if (!*jobs)
        return true;
    atomic_store(&(*jobs)->stopping, true);
    if (!stead_pool_destroy(&(*jobs)->pool, wait_ms))
        return false;
    pthread_mutex_destroy(&(*jobs)->mutex);
    free(*jobs);
    *jobs = NULL;
    return true;
}

struct stead_job_result stead_job_result(const struct stead_job *job)
{
    struct stead_job_result result = {.status = job->status, .name = "", .sentence = ""};

    if (job->status == 0) {
        result.value = stead_written(&job->value);
        return result;
    }
    result.name = job->name[0] ? job->name : stead_error_name(job->status);
    result.sentence = job->name[0] ? job->sentence : stead_error_sentence(job->status);
    return result;
}

struct stead_message *stead_job_take_request(struct stead_job *job)
{
    struct stead_message *request = job->request;

    job->request = NULL;
    return request;
}

void stead_job_destroy(struct stead_job **job)
{
    if (!*job)
        return;
    while ((*job)->blocks) {
        struct job_block *block = (*job)->blocks;
        (*job)->blocks = block->next;
        stead_writer_deinit(&block->writer);
        free(block);
    }
    stead_writer_deinit(&(*job)->value);
    stead_message_destroy(&(*job)->request);
    free(*job);
    *job = NULL;
}

/* ---- What an op may do (stead/agent.h) ------------------------------------------------------ */

int stead_job_reply(struct stead_job *job, struct stead_slice value)
{
    if (value.size > STEAD_WIRE_PAYLOAD_MAX)
        return STEAD_ETOOLARGE; /* no answer of that size reaches anybody */
    if (stead_value_check(value) != 0)
        return STEAD_EARGUMENT;
    stead_writer_reset(&job->value);
    stead_write_value(&job->value, value);
    return 0;
}

int stead_job_fail(struct stead_job *job, const char *name, const char *format, ...)
{
    va_list args;

    snprintf(job->name, sizeof job->name, "%s", name);
    va_start(args, format);
    vsnprintf(job->sentence, sizeof job->sentence, format, args);
    va_end(args);
    return STEAD_EFAILED;
}

bool stead_job_cancelled(const struct stead_job *job)
{
    return is_cancelled(job) || is_expired(job);
}

const char *stead_job_self(const struct stead_job *job)
{
    return job->request->address;
}

const char *stead_job_node_name(const struct stead_job *job)
{
    return job->jobs->node_name;
}

struct stead_slice stead_job_packed(struct stead_job *job, const char *format, ...)
{
    struct job_block *block = stead_alloc(sizeof *block);
    va_list args;

    stead_writer_init(&block->writer);
    block->next = job->blocks;
    job->blocks = block;
    va_start(args, format);
    stead_pack_v(&block->writer, format, args);
    va_end(args);
    return stead_written(&block->writer);
}
