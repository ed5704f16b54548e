/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Simulated jobs: what node/jobs.c does with threads, in virtual time.
 *
 *     run --delay--> it begins --delay--> its op runs, all at once, and it is answered
 *      |                |----- past its run or heartbeat limit: answered; its op runs all the same, and nobody hears of it
 *      |--- past its start limit: answered, and never begins
 *
 * A cancelled job that has not begun never does; one that has sees it when its op runs. No job of the workloads gives a
 * sign of life before its op runs, so a heartbeat limit is a second run limit.
 */
#include <stdlib.h>

#include "tests/sim/sim.h"

struct stead_job {
    struct stead_sim_host *host;
    uint64_t life; /* of the node when it was asked for */
    const struct stead_op *op;
    struct stead_message *request; /* owned */
    struct stead_job *next;        /* of the host's */
    uint32_t events;               /* that will come: the last one frees it */
    bool begun, answered, cancelled;
    struct stead_writer value;  /* the reply */
    struct stead_writer packed; /* the newest stead_job_packed() */
    char name[STEAD_OP_NAME_MAX + 1];
    char sentence[256];
};

int stead_job_reply(struct stead_job *job, struct stead_slice value)
{
    stead_writer_reset(&job->value);
    stead_write_raw(&job->value, value.data, value.size);
    return 0;
}

int stead_job_fail(struct stead_job *job, const char *name, const char *format, ...)
{
    va_list args;

    stead_format(job->name, sizeof job->name, "%s", name);
    va_start(args, format);
    stead_format_v(job->sentence, sizeof job->sentence, format, args);
    va_end(args);
    return STEAD_EFAILED;
}

bool stead_job_cancelled(const struct stead_job *job)
{
    return job->cancelled;
}

int stead_job_heartbeat(struct stead_job *job, struct stead_slice details)
{
    (void)details;
    return job->cancelled ? STEAD_ECANCELLED : 0;
}

const char *stead_job_self(const struct stead_job *job)
{
    return job->request->address;
}

const char *stead_job_node_name(const struct stead_job *job)
{
    return job->host->node->name;
}

struct stead_slice stead_job_packed(struct stead_job *job, const char *format, ...)
{
    va_list args;

    stead_writer_reset(&job->packed);
    va_start(args, format);
    stead_pack_v(&job->packed, format, args);
    va_end(args);
    return stead_written(&job->packed);
}

/* An event of the job has come. False: its node has died since, or it was the last and there is nothing left to do. */
static bool enter(struct stead_job *job)
{
    job->events--;
    return job->life == job->host->node->life && job->host->host != NULL;
}

static void leave(struct stead_job *job)
{
    if (job->events > 0)
        return;
    stead_message_destroy(&job->request);
    stead_writer_deinit(&job->value);
    stead_writer_deinit(&job->packed);
    free(job);
}

static void answer(struct stead_job *job, int status)
{
    struct stead_sim_host *host = job->host;
    struct stead_job **link = &host->live_jobs;
    struct stead_message *request = stead_message_copy(job->request);

    while (*link != job)
        link = &(*link)->next;
    *link = job->next;
    job->answered = true;
    host->jobs--;
    stead_world_note(&host->node->sim->world, "job", host->node->index, host->index, (uint64_t)-status);
    stead_sim_host_enter(host);
    stead_host_job_done(host->host, &request, status, job->name, job->sentence,
                        status == 0 ? stead_written(&job->value) : (struct stead_slice){0});
    stead_sim_host_poke(host);
}

static void plan(struct stead_job *job, uint64_t delay_ns, stead_world_fn *event)
{
    job->events++;
    stead_world_after(&job->host->node->sim->world, delay_ns, event, job->host, job->life, job);
}

static void end(void *self, uint64_t life, void *data)
{
    struct stead_job *job = data;

    (void)self, (void)life;
    if (enter(job)) {
        int status = job->op->job(job, stead_message_payload(job->request));
        if (!job->answered)
            answer(job, status);
    }
    leave(job);
}

static void time_out(void *self, uint64_t life, void *data)
{
    struct stead_job *job = data;

    (void)self, (void)life;
    if (enter(job) && !job->answered) {
        stead_format(job->name, sizeof job->name, "%s", job->begun ? "run_timeout" : "start_timeout");
        job->cancelled = true;
        answer(job, STEAD_ETIMEOUT);
        job->name[0] = '\0';
    }
    leave(job);
}

static void begin(void *self, uint64_t life, void *data)
{
    struct stead_job *job = data;
    struct stead_world *world = &job->host->node->sim->world;

    (void)self, (void)life;
    if (enter(job) && !job->answered && job->cancelled) {
        answer(job, STEAD_ECANCELLED);
    } else if (job->life == job->host->node->life && job->host->host != NULL && !job->answered) {
        uint64_t run_ms = job->request->groups & STEAD_GROUP_LIMITS ? job->request->limits.run_ms : 0;
        uint64_t beat_ms = job->request->groups & STEAD_GROUP_LIMITS ? job->request->limits.heartbeat_ms : 0;
        job->begun = true;
        if (run_ms == 0 || (beat_ms != 0 && beat_ms < run_ms))
            run_ms = beat_ms;
        plan(job, stead_world_delay(world, STEAD_MS / 2), end);
        if (run_ms != 0)
            plan(job, run_ms * STEAD_MS, time_out);
    }
    leave(job);
}

/* Times out a job that has not begun. */
static void look_at_start(void *self, uint64_t life, void *data)
{
    struct stead_job *job = data;

    if (!job->begun) {
        time_out(self, life, data);
        return;
    }
    (void)enter(job);
    leave(job);
}

void stead_sim_jobs_run(void *self, const struct stead_kind *kind, const struct stead_op *op,
                        struct stead_message **request)
{
    struct stead_sim_host *host = self;
    struct stead_job *job = stead_alloc_zero(sizeof *job);

    (void)kind;
    job->host = host;
    job->life = host->node->life;
    job->op = op;
    job->request = *request;
    *request = NULL;
    stead_writer_init(&job->value);
    stead_writer_init(&job->packed);
    host->jobs++;
    job->next = host->live_jobs;
    host->live_jobs = job;
    plan(job, stead_world_delay(&host->node->sim->world, STEAD_MS / 2), begin);
    if ((job->request->groups & STEAD_GROUP_LIMITS) && job->request->limits.start_ms != 0)
        plan(job, job->request->limits.start_ms * STEAD_MS, look_at_start);
}

void stead_sim_jobs_cancel(void *self, struct stead_id id)
{
    struct stead_sim_host *host = self;

    for (struct stead_job *job = host->live_jobs; job != NULL; job = job->next)
        if (stead_id_equal(job->request->id, id))
            job->cancelled = true;
}
