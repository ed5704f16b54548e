/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool: one mutex, one queue, threads on demand.
 *
 * Work of a pool blocks for microseconds to hours; a mutex around a list is not what it waits for. Threads come one by
 * one: a submit wakes or starts one, and whoever takes work and leaves some behind does the same before it runs its
 * own. So a reactor that submits a thousand works pays for one wake-up, and a thread is started only when none sleeps
 * and the limit allows it; one that was started stays.
 *
 * Invariants, under the mutex: P1 sleeping <= threads <= threads_max. P2 when work is queued, a thread is awake and
 * looks for more before it runs anything, or is signalled or being started, or the limit is reached.
 */
#define _GNU_SOURCE /* pthread_setname_np */
#include "node/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "node/log.h"
#include "node/signals.h"

#define NAME_SIZE 16 /* bytes of a thread's name with its zero, as the kernel has it */

struct stead_pool {
    pthread_mutex_t mutex;
    pthread_cond_t more;       /* work was queued, or the pool stops */
    pthread_cond_t ended;      /* a thread has ended */
    struct stead_work *oldest; /* queue */
    struct stead_work *newest;
    uint32_t sleeping;    /* threads that wait for work */
    uint32_t called;      /* of those, signalled and not awake yet */
    uint32_t threads;     /* threads that were started and have not ended */
    uint32_t threads_max; /* limit */
    uint32_t started;     /* entries of ids */
    bool stopping;        /* end when the queue is empty */
    char name[NAME_SIZE]; /* of the threads */
    pthread_t ids[];      /* threads_max entries */
};

struct stead_pool *stead_pool_create(const char *name, uint32_t threads_max)
{
    pthread_condattr_t attributes;
    struct stead_pool *pool = stead_alloc_zero(sizeof *pool + threads_max * sizeof pool->ids[0]);

    STEAD_ASSERT(threads_max > 0);
    pool->threads_max = threads_max;
    snprintf(pool->name, sizeof pool->name, "%s", name);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->more, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->ended, &attributes);
    pthread_condattr_destroy(&attributes);
    return pool;
}

static void *run_thread(void *context);

/* Starts one more thread; signals are the control thread's. With the mutex held. */
static void start_thread(struct stead_pool *pool)
{
    sigset_t before, all = stead_signals_of_others();

    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&pool->ids[pool->started], NULL, run_thread, pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code == 0) {
        pool->started++;
        pool->threads++;
        return;
    }
    stead_log_event(STEAD_TRACE_WARN, "thread_refused", pool->name, "threads=%u errno=%d", pool->threads, code);
    STEAD_ASSERT(pool->threads > 0); /* without a single thread nothing queued would ever run */
}

/* One more thread for what is queued, if there is one to be had. With the mutex held. */
static void call_one(struct stead_pool *pool)
{
    if (!pool->oldest)
        return;
    if (pool->sleeping > pool->called) {
        pool->called++;
        pthread_cond_signal(&pool->more);
    } else if (pool->called == 0 && pool->threads < pool->threads_max) {
        start_thread(pool);
    }
}

/* The next work, or NULL when the pool stops and nothing is left. Called and returns with the mutex held. */
static struct stead_work *take_work(struct stead_pool *pool)
{
    while (!pool->oldest && !pool->stopping) {
        pool->sleeping++;
        pthread_cond_wait(&pool->more, &pool->mutex);
        pool->sleeping--;
        if (pool->called > 0)
            pool->called--;
    }
    struct stead_work *work = pool->oldest;
    if (work) {
        pool->oldest = work->next;
        call_one(pool);
    }
    return work;
}

static void *run_thread(void *context)
{
    struct stead_pool *pool = context;
    struct stead_work *work;

    pthread_setname_np(pthread_self(), pool->name);
    pthread_mutex_lock(&pool->mutex);
    while ((work = take_work(pool)) != NULL) {
        pthread_mutex_unlock(&pool->mutex);
        work->next = NULL;
        work->run(work);
        pthread_mutex_lock(&pool->mutex);
    }
    pool->threads--;
    pthread_cond_signal(&pool->ended);
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

void stead_pool_submit_all(struct stead_pool *pool, struct stead_work_list *list)
{
    if (!list->oldest)
        return;
    pthread_mutex_lock(&pool->mutex);
    STEAD_ASSERT(!pool->stopping);
    if (pool->oldest)
        pool->newest->next = list->oldest;
    else
        pool->oldest = list->oldest;
    pool->newest = list->newest;
    call_one(pool);
    pthread_mutex_unlock(&pool->mutex);
    *list = (struct stead_work_list){0};
}

void stead_pool_submit(struct stead_pool *pool, struct stead_work *work)
{
    struct stead_work_list list = {0};

    stead_work_list_add(&list, work);
    stead_pool_submit_all(pool, &list);
}

static bool wait_for_end(struct stead_pool *pool, uint32_t wait_ms)
{
    struct timespec until;
    int code = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (pool->threads > 0 && code != ETIMEDOUT)
        code = pthread_cond_timedwait(&pool->ended, &pool->mutex, &until);
    return pool->threads == 0;
}

bool stead_pool_destroy(struct stead_pool **pool, uint32_t wait_ms)
{
    struct stead_pool *it = *pool;

    if (!it)
        return true;
    pthread_mutex_lock(&it->mutex);
    it->stopping = true;
    pthread_cond_broadcast(&it->more);
    bool ended = wait_for_end(it, wait_ms);
    pthread_mutex_unlock(&it->mutex);
    if (!ended)
        return false;
    for (uint32_t i = 0; i < it->started; i++)
        pthread_join(it->ids[i], NULL);
    pthread_cond_destroy(&it->more);
    pthread_cond_destroy(&it->ended);
    pthread_mutex_destroy(&it->mutex);
    free(it);
    *pool = NULL;
    return true;
}
