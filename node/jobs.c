/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobs: requests to stateless kinds on their way through the pool of job threads.
 *
 *     submit -> queued -> running -> done (in its reactor's inbox)
 *                  |\        \--- past a limit: answered at once by a stand-in, left to itself, and freed when its op returns
 *                  | \--- past its start limit: the same
 *                  \--- cancelled or expired before it started: done at once, with that code
 *
 * A job owns its request, its answer and the memory that its op asked for (stead_job_packed), so the thread that runs
 * it shares nothing with anybody but a few words: the flag `cancelled`, the time of its heartbeat, the count of jobs.
 * The table of live jobs, by message id, is there for cancellation and limits; it is locked for a few instructions a
 * job.
 *
 * Limits are looked after by one thread, the watch, that sleeps until the first is due; it is started with the first
 * job that has any. Jobs with limits are in a heap by the time of the next look: a heartbeat only stores the time, and
 * is found out about when the limit it put off would have been due.
 *
 * Invariants: J1 a job is in the table from submit until its op has returned or it is past a limit; whoever takes it
 * out answers for it, once. J2 a job that is past a limit belongs to the pool and then to its thread alone.
 */
#define _GNU_SOURCE /* pthread_setname_np */
#include "node/jobs.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "net/codec.h"
#include "node/culprit.h"
#include "runtime/address.h"
#include "runtime/base.h"
#include "runtime/map.h"

#define NAME_MAX_SIZE 64
#define SENTENCE_MAX_SIZE 512
#define TELL_NS 100000000u /* between two heartbeats of a job that its caller is told of */

/* Why a job has no value. */
struct job_words {
    char name[NAME_MAX_SIZE];
    char sentence[SENTENCE_MAX_SIZE];
};

/* Memory that an op asked for, freed with its job. */
struct job_block {
    struct job_block *next;     /* older */
    struct stead_writer writer; /* one packed value */
};

struct stead_job {
    struct stead_work work; /* the pool's */
    struct stead_jobs *jobs;
    struct stead_inbox *inbox; /* of the reactor that asked; borrowed */
    const struct stead_kind *kind;
    const struct stead_op *op;
    struct stead_message *request; /* owned */
    struct job_block *blocks;      /* owned, newest first */
    struct stead_writer value;     /* the reply */
    struct job_words *words;       /* of the failure; owned; NULL: the code's own */
    int status;                    /* 0 or a negative code */
    _Atomic bool cancelled;        /* nobody waits any more; set by any thread */
    bool limited;                  /* its request has limits */
    bool refused;                  /* there was no room for it */
    bool running;        /* its op was called; under the mutex, as the next three, and of jobs with limits only */
    bool abandoned;      /* past a limit: answered already */
    uint32_t watched_at; /* place in the heap + 1; 0: not in it */
    uint64_t look_ns;    /* when to look at it next */
    uint64_t begun_ns;   /* monotonic */
    _Atomic uint64_t beaten_ns; /* newest heartbeat, or begun_ns */
    uint64_t told_ns;           /* newest heartbeat that its caller was told of; its own thread's */
};

struct stead_jobs {
    struct stead_pool *pool;
    const char *node_name;         /* borrowed */
    struct stead_turnmarks *marks; /* borrowed; may be NULL */
    _Atomic uint32_t slots;        /* marks given to threads */
    _Atomic uint32_t count;        /* live jobs */
    _Atomic bool stopping;         /* every job is cancelled, also those to come */
    pthread_mutex_t mutex;         /* guards the table and the heap */
    struct stead_map table;        /* live jobs by id: a fan-out may queue as many as there may be */
    struct stead_job **watched;    /* heap by look_ns: jobs with limits; owned */
    uint32_t watched_count, watched_capacity;
    pthread_cond_t watch_more; /* the first look has changed, or the watch ends */
    pthread_t watch;
    bool watching;  /* the thread was started */
    bool watch_end; /* it must end */
};

static uint64_t mono_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct stead_jobs *stead_jobs_create(uint32_t threads_max, const char *node_name, struct stead_turnmarks *marks)
{
    struct stead_jobs *jobs = stead_alloc_zero(sizeof *jobs);
    pthread_condattr_t attributes;

    jobs->pool = stead_pool_create("stead-job", threads_max);
    jobs->node_name = node_name;
    jobs->marks = marks;
    pthread_mutex_init(&jobs->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&jobs->watch_more, &attributes);
    pthread_condattr_destroy(&attributes);
    return jobs;
}

static uint64_t hash_of(struct stead_id id)
{
    return stead_hash(id.v, sizeof id.v);
}

/* With the mutex held, as the next. */
static void table_add(struct stead_job *job)
{
    stead_map_add(&job->jobs->table, hash_of(job->request->id), job);
}

static void table_remove(struct stead_job *job)
{
    stead_map_remove(&job->jobs->table, hash_of(job->request->id), job);
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

/* ---- Limits ----------------------------------------------------------------------------------------- */

static void heap_put(struct stead_jobs *jobs, uint32_t at, struct stead_job *job)
{
    jobs->watched[at] = job;
    job->watched_at = at + 1;
}

/* Moves the job to where it belongs from place `at` on, up or down. */
static void heap_settle(struct stead_jobs *jobs, uint32_t at, struct stead_job *job)
{
    while (at > 0 && jobs->watched[(at - 1) / 2]->look_ns > job->look_ns) {
        heap_put(jobs, at, jobs->watched[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (uint32_t child = 2 * at + 1; child < jobs->watched_count; child = 2 * at + 1) {
        if (child + 1 < jobs->watched_count && jobs->watched[child + 1]->look_ns < jobs->watched[child]->look_ns)
            child++;
        if (jobs->watched[child]->look_ns >= job->look_ns)
            break;
        heap_put(jobs, at, jobs->watched[child]);
        at = child;
    }
    heap_put(jobs, at, job);
}

static void unwatch(struct stead_job *job)
{
    struct stead_jobs *jobs = job->jobs;
    uint32_t at = job->watched_at;

    if (at == 0)
        return;
    job->watched_at = 0;
    struct stead_job *last = jobs->watched[--jobs->watched_count];
    if (last != job)
        heap_settle(jobs, at - 1, last);
}

static void *run_watch(void *context);

static void start_watch(struct stead_jobs *jobs)
{
    sigset_t all, before;

    sigfillset(&all); /* signals are the control thread's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    jobs->watching = pthread_create(&jobs->watch, NULL, run_watch, jobs) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Looks at the job at that time; UINT64_MAX: it has no limit now. With the mutex held. */
static void watch(struct stead_job *job, uint64_t look_ns)
{
    struct stead_jobs *jobs = job->jobs;

    unwatch(job);
    if (look_ns == UINT64_MAX || jobs->watch_end)
        return;
    job->look_ns = look_ns;
    if (jobs->watched_count == jobs->watched_capacity) {
        jobs->watched_capacity = jobs->watched_capacity == 0 ? 64 : jobs->watched_capacity * 2;
        jobs->watched = stead_realloc(jobs->watched, jobs->watched_capacity * sizeof *jobs->watched);
    }
    heap_settle(jobs, jobs->watched_count++, job);
    if (!jobs->watching)
        start_watch(jobs);
    else if (job->watched_at == 1)
        pthread_cond_signal(&jobs->watch_more);
}

/* When a running job will be past a limit, as things stand, and which; UINT64_MAX: never. */
static uint64_t run_limit_ns(const struct stead_job *job, const char **ret_name)
{
    uint64_t end_ns = UINT64_MAX, run_ms = job->request->limits.run_ms, beat_ms = job->request->limits.heartbeat_ms;
    uint64_t silent_ns = beat_ms == 0 ? UINT64_MAX : atomic_load(&job->beaten_ns) + beat_ms * 1000000u;

    if (run_ms != 0)
        end_ns = job->begun_ns + run_ms * 1000000u;
    *ret_name = end_ns <= silent_ns ? "run_timeout" : "heartbeat_timeout";
    return end_ns <= silent_ns ? end_ns : silent_ns;
}

static void set_words(struct stead_job *job, const char *name, const char *format, va_list args)
{
    if (!job->words)
        job->words = stead_alloc(sizeof *job->words);
    snprintf(job->words->name, sizeof job->words->name, "%s", name);
    vsnprintf(job->words->sentence, sizeof job->words->sentence, format, args);
}

/* The job comes back at once, by a stand-in: its thread may be inside for long. With the mutex held. */
static void abandon(struct stead_job *job, const char *name, const char *format, ...) STEAD_PRINTF(3, 4);
static void abandon(struct stead_job *job, const char *name, const char *format, ...)
{
    struct stead_job *stand_in = stead_alloc_zero(sizeof *stand_in);
    va_list args;

    unwatch(job);
    table_remove(job);
    job->abandoned = true;
    atomic_store_explicit(&job->cancelled, true, memory_order_relaxed);
    stand_in->jobs = job->jobs;
    stand_in->inbox = job->inbox;
    stand_in->request = stead_message_copy(job->request);
    stand_in->status = STEAD_ETIMEOUT;
    stead_writer_init(&stand_in->value);
    va_start(args, format);
    set_words(stand_in, name, format, args);
    va_end(args);
    finish(stand_in);
}

static void look_at(struct stead_job *job, uint64_t now_ns)
{
    const char *name = "start_timeout";
    const struct stead_message *request = job->request;

    if (!job->running) {
        abandon(job, name, "%s of %s had not begun after %u ms", request->op, request->address,
                request->limits.start_ms);
        return;
    }
    uint64_t limit_ns = run_limit_ns(job, &name);
    if (limit_ns > now_ns) { /* a heartbeat came */
        watch(job, limit_ns);
        return;
    }
    abandon(job, name, "%s of %s ran for %llu ms, and gave its last sign of life %llu ms ago", request->op,
            request->address, (unsigned long long)((now_ns - job->begun_ns) / 1000000u),
            (unsigned long long)((now_ns - atomic_load(&job->beaten_ns)) / 1000000u));
}

static void *run_watch(void *context)
{
    struct stead_jobs *jobs = context;

    pthread_setname_np(pthread_self(), "stead-job-watch");
    pthread_mutex_lock(&jobs->mutex);
    while (!jobs->watch_end) {
        if (jobs->watched_count == 0) {
            pthread_cond_wait(&jobs->watch_more, &jobs->mutex);
            continue;
        }
        uint64_t look_ns = jobs->watched[0]->look_ns, now_ns = mono_ns();
        if (look_ns <= now_ns) {
            look_at(jobs->watched[0], now_ns);
            continue;
        }
        struct timespec until = {.tv_sec = (time_t)(look_ns / 1000000000u), .tv_nsec = (long)(look_ns % 1000000000u)};
        pthread_cond_timedwait(&jobs->watch_more, &jobs->mutex, &until);
    }
    pthread_mutex_unlock(&jobs->mutex);
    return NULL;
}

/* From now on nobody is timed out: everything is cancelled. */
static void end_watch(struct stead_jobs *jobs)
{
    pthread_mutex_lock(&jobs->mutex);
    jobs->watch_end = true;
    while (jobs->watched_count > 0)
        unwatch(jobs->watched[jobs->watched_count - 1]);
    bool watching = jobs->watching;
    jobs->watching = false;
    pthread_cond_signal(&jobs->watch_more);
    pthread_mutex_unlock(&jobs->mutex);
    if (watching)
        pthread_join(jobs->watch, NULL);
}

/* ---- Running ---------------------------------------------------------------------------------------- */

/* The mark of the calling thread among those of its jobs. */
static uint32_t slot_of_thread(struct stead_jobs *jobs)
{
    static _Thread_local struct {
        const struct stead_jobs *jobs;
        uint32_t slot;
    } mine;

    if (mine.jobs != jobs) {
        mine.jobs = jobs;
        mine.slot = atomic_fetch_add(&jobs->slots, 1);
    }
    return mine.slot;
}

/* False: it is past its start limit, and answered. */
static bool begin(struct stead_job *job)
{
    const char *name;

    if (!job->limited)
        return true;
    pthread_mutex_lock(&job->jobs->mutex);
    bool abandoned = job->abandoned;
    if (!abandoned) {
        job->running = true;
        job->begun_ns = mono_ns();
        atomic_store(&job->beaten_ns, job->begun_ns);
        watch(job, run_limit_ns(job, &name));
    }
    pthread_mutex_unlock(&job->jobs->mutex);
    return !abandoned;
}

/* On a job thread. */
static void run_job(struct stead_work *work)
{
    struct stead_job *job = (struct stead_job *)work;
    struct stead_jobs *jobs = job->jobs;

    if (!begin(job)) {
        stead_job_destroy(&job);
        return;
    }
    if (is_cancelled(job)) {
        job->status = STEAD_ECANCELLED;
    } else if (is_expired(job)) {
        job->status = STEAD_EEXPIRED;
    } else {
        if (jobs->marks)
            stead_culprit_begin(jobs->marks, slot_of_thread(jobs), stead_message_blame_id(job->request));
        job->status = job->op->job(job, stead_message_payload(job->request));
        if (jobs->marks)
            stead_culprit_end();
        if (job->status > 0)
            job->status = stead_job_fail(job, "bad_code", "the function returned %d, which is no code", job->status);
    }
    pthread_mutex_lock(&jobs->mutex);
    bool abandoned = job->abandoned;
    if (!abandoned) {
        unwatch(job);
        table_remove(job);
    }
    pthread_mutex_unlock(&jobs->mutex);
    if (abandoned)
        stead_job_destroy(&job);
    else
        finish(job);
}

void stead_jobs_run(struct stead_jobs *jobs, struct stead_inbox *inbox, const struct stead_kind *kind,
                    const struct stead_op *op, struct stead_message **request, struct stead_work_list *batch)
{
    struct stead_job *job = stead_alloc_zero(sizeof *job);

    job->work.run = run_job;
    job->jobs = jobs;
    job->inbox = inbox;
    job->kind = kind;
    job->op = op;
    job->request = *request;
    job->limited = (job->request->groups & STEAD_GROUP_LIMITS) != 0;
    *request = NULL;
    stead_writer_init(&job->value);
    if (atomic_fetch_add(&jobs->count, 1) >= STEAD_JOBS_QUEUED_MAX || !op->job ||
        atomic_load_explicit(&jobs->stopping, memory_order_relaxed)) {
        job->status = op->job ? STEAD_EBUSY : STEAD_EOP;
        job->refused = op->job != NULL;
        finish(job);
        return;
    }
    pthread_mutex_lock(&jobs->mutex);
    table_add(job);
    if (job->limited && job->request->limits.start_ms != 0)
        watch(job, mono_ns() + job->request->limits.start_ms * 1000000ull);
    pthread_mutex_unlock(&jobs->mutex);
    stead_work_list_add(batch, &job->work);
}

void stead_jobs_flush(struct stead_jobs *jobs, struct stead_work_list *batch)
{
    stead_pool_submit_all(jobs->pool, batch);
}

void stead_jobs_cancel_one(struct stead_jobs *jobs, struct stead_id id)
{
    uint64_t hash = hash_of(id);
    uint32_t at;

    pthread_mutex_lock(&jobs->mutex);
    for (struct stead_job *job = stead_map_first(&jobs->table, hash, &at); job;
         job = stead_map_next(&jobs->table, hash, &at)) {
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
    end_watch(*jobs);
    if (!stead_pool_destroy(&(*jobs)->pool, wait_ms))
        return false;
    pthread_cond_destroy(&(*jobs)->watch_more);
    pthread_mutex_destroy(&(*jobs)->mutex);
    stead_map_deinit(&(*jobs)->table);
    free((*jobs)->watched);
    free(*jobs);
    *jobs = NULL;
    return true;
}

struct stead_job_result stead_job_result(const struct stead_job *job)
{
    struct stead_job_result result = {.status = job->status, .name = "", .sentence = "", .refused = job->refused};

    if (job->status == 0) {
        result.value = stead_written(&job->value);
        return result;
    }
    result.name = job->words ? job->words->name : stead_error_name(job->status);
    result.sentence = job->words ? job->words->sentence : stead_error_sentence(job->status);
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
    free((*job)->words);
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

    va_start(args, format);
    set_words(job, name, format, args);
    va_end(args);
    return STEAD_EFAILED;
}

/* Tells the agent that asked, as far as it has the op for it. */
static void tell_heartbeat(struct stead_job *job, struct stead_slice details)
{
    const struct stead_message *request = job->request;
    struct stead_writer payload;

    stead_writer_init(&payload);
    stead_pack(&payload, "{s:B,s:v}", "call", stead_bytes(request->id.v, sizeof request->id.v), "details", details);
    struct stead_message_parts parts = {.address = stead_bytes(request->source, request->source_size),
                                        .source = stead_bytes(request->address, request->address_size),
                                        .op = stead_str("heartbeat"),
                                        .payload = stead_written(&payload)};
    struct stead_message *tell = stead_message_create(STEAD_TELL, &parts);
    tell->slot = request->source_slot;
    tell->source_slot = request->slot;
    stead_writer_deinit(&payload);
    struct stead_event event = {.type = STEAD_EVENT_HEARTBEAT, .pointer = tell};
    stead_inbox_post(job->inbox, &event);
}

int stead_job_heartbeat(struct stead_job *job, struct stead_slice details)
{
    static const uint8_t nil[] = {0xc0};

    if (details.size > STEAD_JOBS_HEARTBEAT_DETAILS_MAX)
        return STEAD_ETOOLARGE;
    if (details.size == 0)
        details = stead_bytes(nil, sizeof nil);
    else if (stead_value_check(details) != 0)
        return STEAD_EARGUMENT;
    uint64_t now_ns = mono_ns();
    atomic_store(&job->beaten_ns, now_ns);
    if (stead_job_cancelled(job))
        return STEAD_ECANCELLED;
    if (job->request->source_size > 0 && now_ns >= job->told_ns + TELL_NS) {
        job->told_ns = now_ns;
        tell_heartbeat(job, details);
    }
    return 0;
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
