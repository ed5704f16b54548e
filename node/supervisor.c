/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor: find it or start it, sleep until it ends, start it again.
 *
 * The lock file decides who the coordinator is, not the supervisor: several nodes may share one folder, and a node that
 * was killed left its coordinator running. So "start" means: look into the lock file; if nobody serves, start a
 * process; if that one finds the folder taken it ends by itself, and the lock file names the winner. The process
 * watched is the one in the lock file, whoever started it; a pidfd wakes the thread at its end.
 *
 * A coordinator that ends again and again (a full disk, say) is started with growing pauses, PAUSE_MS_MIN to
 * PAUSE_MS_MAX.
 */
#define _GNU_SOURCE
#include "node/supervisor.h"

#include "node/config.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "node/coordinator_lock.h"
#include "node/log.h"
#include "node/signals.h"
#include "runtime/base.h"

#define PATH_SIZE 4096
#define START_MS_MAX 10000 /* until a started coordinator serves */
#define LOOK_MS 10         /* between looks at the lock file while it starts */
#define STOP_MS_MAX 5000   /* between TERM and KILL */
#define PAUSE_MS_MIN 50
#define PAUSE_MS_MAX 5000
#define STEADY_MS 2000 /* one that ran so long starts the pauses anew */

struct stead_supervisor {
    char folder[PATH_SIZE];   /* the coordinator's */
    char log[PATH_SIZE + 32]; /* its stderr */
    char *program;            /* owned; NULL: this program */
    char nodes[16];           /* arguments, as texts */
    char idle_exit_s[16];
    struct stead_coordinator_place place; /* who is watched; the thread's own after it has started */
    struct stead_process started;         /* the process started last; pid 0: none */
    int stop_fd;                          /* eventfd: the thread has to end */
    pthread_t thread;
    bool has_thread;
};

static int64_t mono_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Sleeps; true when the supervisor has to stop. */
static bool pause_ms(const struct stead_supervisor *supervisor, int ms)
{
    struct pollfd fd = {.fd = supervisor->stop_fd, .events = POLLIN};
    return poll(&fd, 1, ms) > 0;
}

static int start_process(struct stead_supervisor *supervisor, struct stead_process *ret_process)
{
    const char *const argv[] = {"stead",   "coordinator",     "--folder",      supervisor->folder,
                                "--nodes", supervisor->nodes, "--idle-exit-s", supervisor->idle_exit_s,
                                NULL};
    return stead_process_start(supervisor->program, argv, supervisor->log, ret_process);
}

static void explain_end(const struct stead_supervisor *supervisor, char *ret_why)
{
    char line[420];
    stead_process_last_words(supervisor->log, line, sizeof line);
    snprintf(ret_why, STEAD_SUPERVISOR_WHY_SIZE, "the coordinator ended at once: %.420s", line);
}

/* Finds or starts the coordinator; 0 when it serves: `place` says where. */
static int ensure_running(struct stead_supervisor *supervisor, char *ret_why)
{
    struct stead_process *started = &supervisor->started;
    int64_t deadline = mono_ms() + START_MS_MAX;
    int starts = 0;
    for (;;) {
        if (stead_coordinator_lock_find(supervisor->folder, &supervisor->place) == 0)
            return 0;
        if (started->pid == 0 || !stead_process_runs(started)) {
            if (started->pid != 0)
                (void)!stead_process_await(started, -1, 0); /* reaps it */
            /* It may have lost a race for the folder: look again before the next one is started. */
            if (started->pid != 0 && stead_coordinator_lock_find(supervisor->folder, &supervisor->place) == 0)
                return 0;
            if (starts++ == 3) {
                explain_end(supervisor, ret_why);
                return STEAD_EUNAVAILABLE;
            }
            if (start_process(supervisor, started) != 0) {
                snprintf(ret_why, STEAD_SUPERVISOR_WHY_SIZE, "the coordinator cannot be started: %s", strerror(errno));
                return STEAD_EIO;
            }
        }
        if (mono_ms() >= deadline) {
            snprintf(ret_why, STEAD_SUPERVISOR_WHY_SIZE, "the coordinator does not serve after %d s: see %.150s",
                     START_MS_MAX / 1000, supervisor->log);
            return STEAD_EUNAVAILABLE;
        }
        if (pause_ms(supervisor, LOOK_MS))
            return STEAD_ECANCELLED;
    }
}

static void *watch(void *context)
{
    struct stead_supervisor *supervisor = context;
    char why[STEAD_SUPERVISOR_WHY_SIZE];
    int pause = PAUSE_MS_MIN;
    for (;;) {
        int64_t since = mono_ms();
        if (stead_process_await(&supervisor->place.process, supervisor->stop_fd, -1) == STEAD_ECANCELLED)
            return NULL;
        pause = mono_ms() - since >= STEADY_MS ? PAUSE_MS_MIN : pause < PAUSE_MS_MAX / 2 ? pause * 2 : PAUSE_MS_MAX;
        stead_log_event(STEAD_TRACE_WARN, "coordinator_ended", "it is started again", "pid=%d pause_ms=%d",
                        (int)supervisor->place.process.pid, pause);
        do {
            if (pause_ms(supervisor, pause))
                return NULL;
            int code = ensure_running(supervisor, why);
            if (code == STEAD_ECANCELLED)
                return NULL;
            if (code == 0)
                break;
            stead_log_event(STEAD_TRACE_ERROR, "coordinator_missing", why, NULL);
            pause = PAUSE_MS_MAX;
        } while (true);
        stead_log_event(STEAD_TRACE_INFO, "coordinator_serves", supervisor->place.endpoint, "pid=%d",
                        (int)supervisor->place.process.pid);
    }
}

static int start_thread(struct stead_supervisor *supervisor)
{
    sigset_t before, all = stead_signals_of_others();
    /* Signals are the node's business, not this thread's. */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    supervisor->has_thread = pthread_create(&supervisor->thread, NULL, watch, supervisor) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return supervisor->has_thread ? 0 : STEAD_EIO;
}

/* FOLDER and FOLDER/coordinator; the names are checked to fit. */
static int make_folders(struct stead_supervisor *supervisor, const char *folder, char *ret_why)
{
    int size = snprintf(supervisor->folder, sizeof supervisor->folder, "%s/" STEAD_CONFIG_COORDINATOR_FOLDER, folder);
    if (size < 0 || (size_t)size >= sizeof supervisor->folder) {
        snprintf(ret_why, STEAD_SUPERVISOR_WHY_SIZE, "the data folder's name is too long");
        return STEAD_EARGUMENT;
    }
    snprintf(supervisor->log, sizeof supervisor->log, "%s/log", supervisor->folder);
    if ((mkdir(folder, 0755) != 0 && errno != EEXIST) || (mkdir(supervisor->folder, 0755) != 0 && errno != EEXIST)) {
        snprintf(ret_why, STEAD_SUPERVISOR_WHY_SIZE, "%.180s: %s", supervisor->folder, strerror(errno));
        return STEAD_EIO;
    }
    return 0;
}

int stead_supervisor_create(const struct stead_supervisor_options *options, struct stead_supervisor **ret_supervisor,
                            char *ret_why)
{
    struct stead_supervisor *supervisor = stead_alloc_zero(sizeof *supervisor);
    uint32_t idle_exit_s = options->idle_exit_s ? options->idle_exit_s : 300;
    supervisor->stop_fd = eventfd(0, EFD_CLOEXEC);
    supervisor->program = options->program ? stead_text_copy(options->program) : NULL;
    snprintf(supervisor->nodes, sizeof supervisor->nodes, "%u", options->nodes_expected ? options->nodes_expected : 1);
    snprintf(supervisor->idle_exit_s, sizeof supervisor->idle_exit_s, "%u", idle_exit_s);
    int code = make_folders(supervisor, options->folder, ret_why);
    if (code == 0)
        code = ensure_running(supervisor, ret_why);
    if (code == 0 && start_thread(supervisor) != 0) {
        snprintf(ret_why, STEAD_SUPERVISOR_WHY_SIZE, "no thread for the supervisor");
        code = STEAD_EIO;
    }
    if (code != 0) {
        stead_supervisor_destroy(&supervisor);
        return code;
    }
    *ret_supervisor = supervisor;
    return 0;
}

const char *stead_supervisor_folder(const struct stead_supervisor *supervisor)
{
    return supervisor->folder;
}

static void join_thread(struct stead_supervisor *supervisor)
{
    uint64_t one = 1;
    if (!supervisor->has_thread)
        return;
    STEAD_ASSERT(write(supervisor->stop_fd, &one, sizeof one) == (ssize_t)sizeof one);
    pthread_join(supervisor->thread, NULL);
    supervisor->has_thread = false;
}

void stead_supervisor_stop(struct stead_supervisor **supervisor)
{
    struct stead_coordinator_place place;
    struct stead_process processes[2];
    uint32_t count = 0;
    if (*supervisor == NULL)
        return;
    join_thread(*supervisor);
    /* Whoever is in the lock file now, and whom the thread was starting when it was stopped; often the same. */
    if (stead_coordinator_lock_find((*supervisor)->folder, &place) == 0)
        processes[count++] = place.process;
    if ((*supervisor)->started.pid != 0)
        processes[count++] = (*supervisor)->started;
    (void)stead_process_stop(processes, count, STOP_MS_MAX);
    stead_supervisor_destroy(supervisor);
}

void stead_supervisor_destroy(struct stead_supervisor **supervisor)
{
    struct stead_supervisor *it = *supervisor;
    *supervisor = NULL;
    if (it == NULL)
        return;
    join_thread(it);
    if (it->stop_fd >= 0)
        close(it->stop_fd);
    free(it->program);
    free(it);
}
