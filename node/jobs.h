/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobs: runs ops of stateless kinds, which may block, on threads of their own.
 *
 * A reactor hands a request in; when the op has returned, the job comes back to that reactor's inbox as
 * STEAD_EVENT_JOB_DONE, with the request and its result. A job is never lost in silence: cancelled, expired and refused
 * ones come back too, with their code. The functions stead_job_* of stead/agent.h are defined here.
 *
 * Threads: any thread submits and cancels; create and destroy: one.
 */
#ifndef STEAD_NODE_JOBS_H
#define STEAD_NODE_JOBS_H

#include "node/inbox.h"
#include "node/pool.h"
#include "node/turnmark.h"
#include "runtime/message.h"

#define STEAD_JOBS_HEARTBEAT_DETAILS_MAX (64u << 10) /* bytes of what a job says of itself */
#define STEAD_JOBS_QUEUED_MAX 65536u                 /* not yet finished; more come back with STEAD_EBUSY */

struct stead_jobs;

/* The outcome of a job; everything is borrowed from it. */
struct stead_job_result {
    int status;           /* 0 or a negative code */
    const char *name;     /* "" when status is 0 */
    const char *sentence; /* "" when status is 0 */
    struct stead_slice value;
    bool refused; /* there was no room: it was not run */
};

/* `node_name` and `marks` (NULL: jobs that kill the process are not remembered) are borrowed for its life. */
struct stead_jobs *stead_jobs_create(uint32_t threads_max, const char *node_name, struct stead_turnmarks *marks);
/* Cancels everything, waits up to `wait_ms` for jobs that run. False: some still run, then nothing was freed. Inboxes
 * are posted to until it returns. Nulls `*jobs`. */
bool stead_jobs_destroy(struct stead_jobs **jobs, uint32_t wait_ms) STEAD_MUST_USE;

/* Consumes `*request`; answered through `inbox`, also when it is refused. Kind and op are borrowed for the process'
 * life. The job is added to `batch`, which is to be flushed soon. Its limits (group LIMITS of the request) count from
 * now on: past one it is told, and comes back at once with STEAD_ETIMEOUT, named `start_timeout`, `run_timeout` or
 * `heartbeat_timeout`; what it returns later is dropped. */
void stead_jobs_run(struct stead_jobs *jobs, struct stead_inbox *inbox, const struct stead_kind *kind,
                    const struct stead_op *op, struct stead_message **request, struct stead_work_list *batch);
/* The jobs of `batch` may start; it is empty afterwards. */
void stead_jobs_flush(struct stead_jobs *jobs, struct stead_work_list *batch);
/* Tells the job of this request that nobody waits for it any more; not found is fine. */
void stead_jobs_cancel_one(struct stead_jobs *jobs, struct stead_id id);
/* Jobs not finished yet: the load that is told to peers. Any thread, no lock. */
uint32_t stead_jobs_count(const struct stead_jobs *jobs);

/* Of a job that came back. */
struct stead_job_result stead_job_result(const struct stead_job *job);
/* Hands over the request; the job has none any more. */
struct stead_message *stead_job_take_request(struct stead_job *job);
void stead_job_destroy(struct stead_job **job);

#endif
