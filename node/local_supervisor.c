/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_supervisor: the process that `stead up` leaves behind.
 *
 *     start the coordinator -> note every node's incarnation -> start the nodes -> wait until all serve -> report
 *     then sleep until a signal:
 *       CHLD   the coordinator ended: start it again; a node ended: forget its pid, or start it again if the plan says so
 *       HUP    start every node that does not run (a second `stead up`)
 *       TERM   stop the nodes, then the coordinator, and end
 *
 * All signals are blocked and taken with sigtimedwait, so there are no handlers and no races; without a restart that is
 * due it sleeps without a timeout. A process that ends at once is started again after growing pauses.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "node/coordinator_lock.h"
#include "node/local_plan.h"
#include "node/log.h"
#include "runtime/base.h"

#define CHILDREN_MAX (STEAD_LOCAL_CLUSTER_NODES_MAX + 1)
#define PAUSE_MS_MIN 100
#define PAUSE_MS_MAX 5000
#define STEADY_MS 2000 /* one that ran so long starts the pauses anew */
#define TERM_MS_MAX 15000
#define COORDINATOR 0 /* place of the coordinator among the children; node i is at 1 + i */

struct child {
    char name[STEAD_NODE_NAME_MAX + 1];
    struct stead_process process; /* pid 0: not running */
    int64_t started_ms;           /* monotonic */
    int64_t restart_ms;           /* when it is started again; -1: not */
    int pause_ms;                 /* before its next restart */
    bool wanted;                  /* was asked for while it was dying: starts at once when its end is there */
};

struct supervisor {
    struct stead_local_plan *plan;
    const char *program;                      /* NULL: this program */
    char endpoint[STEAD_LOCAL_ENDPOINT_SIZE]; /* the coordinator's; "" before it has served once */
    sigset_t signals;                         /* those that are waited for */
    bool stopping;                            /* TERM or INT came */
    uint32_t child_count;
    struct child children[CHILDREN_MAX];
    struct stead_local_report report;
};

static int64_t mono_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int fail(struct supervisor *s, int code, const char *format, ...) STEAD_PRINTF(3, 4);
static int fail(struct supervisor *s, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(s->report.text, sizeof s->report.text, format, args);
    va_end(args);
    s->report.code = code;
    return code;
}

/* ---- Children ------------------------------------------------------------------------------- */

static int start_child(struct supervisor *s, struct child *child, const char *const *argv)
{
    char log[STEAD_LOCAL_PATH_SIZE], pid[STEAD_LOCAL_PATH_SIZE];
    stead_local_plan_path(s->plan->folder, child->name, ".log", log);
    stead_local_plan_path(s->plan->folder, child->name, ".pid", pid);
    child->restart_ms = -1;
    child->started_ms = mono_ms();
    if (stead_process_start(s->program, argv, log, &child->process) != 0)
        return fail(s, STEAD_EIO, "%s cannot be started: %s", child->name, strerror(errno));
    if (stead_process_write(pid, &child->process) != 0)
        return fail(s, STEAD_EIO, "the pid file of %s cannot be written: %s", child->name, strerror(errno));
    stead_log_event(STEAD_TRACE_INFO, "started", child->name, "pid=%d", (int)child->process.pid);
    return 0;
}

static int start_coordinator(struct supervisor *s)
{
    char folder[STEAD_LOCAL_PATH_SIZE], endpoint[STEAD_LOCAL_ENDPOINT_SIZE], nodes[16];
    const char *argv[] = {"stead",   "coordinator", "--folder",      folder, "--listen", endpoint,
                          "--nodes", nodes,         "--idle-exit-s", "0",    NULL};
    stead_local_plan_path(s->plan->folder, "coordinator", "", folder);
    snprintf(nodes, sizeof nodes, "%" PRIu32, s->plan->nodes);
    if (s->endpoint[0] != 0) /* the nodes know it there */
        snprintf(endpoint, sizeof endpoint, "%s", s->endpoint);
    else
        snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", s->plan->port ? s->plan->port - 1 : 0);
    return start_child(s, &s->children[COORDINATOR], argv);
}

static int start_node(struct supervisor *s, uint32_t node)
{
    const char *argv[10 + STEAD_LOCAL_CLUSTER_ARGS_MAX + 1];
    char folder[STEAD_LOCAL_PATH_SIZE], endpoint[STEAD_LOCAL_ENDPOINT_SIZE];
    struct child *child = &s->children[1 + node];
    uint32_t port = s->plan->port ? s->plan->port + node * STEAD_LOCAL_CLUSTER_PORT_STEP : 0;
    uint32_t count = 0;
    stead_local_plan_path(s->plan->folder, child->name, "", folder);
    snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%" PRIu32, port);
    argv[count++] = "stead";
    argv[count++] = "node";
    argv[count++] = "--folder";
    argv[count++] = folder;
    argv[count++] = "--name";
    argv[count++] = child->name;
    argv[count++] = "--listen";
    argv[count++] = endpoint;
    argv[count++] = "--coordinator";
    argv[count++] = s->endpoint;
    count += stead_local_plan_args(s->plan, node, argv + count);
    argv[count] = NULL;
    return start_child(s, child, argv);
}

static int start_any(struct supervisor *s, uint32_t at)
{
    return at == COORDINATOR ? start_coordinator(s) : start_node(s, at - 1);
}

/* Notes that a child has ended, and when it is to be started again. */
static void note_end(struct supervisor *s, uint32_t at, int status)
{
    struct child *child = &s->children[at];
    char path[STEAD_LOCAL_PATH_SIZE];
    int64_t now = mono_ms();
    stead_log_event(STEAD_TRACE_WARN, "ended", child->name, "pid=%d exit=%d signal=%d", (int)child->process.pid,
                    WIFEXITED(status) ? WEXITSTATUS(status) : -1, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    stead_local_plan_path(s->plan->folder, child->name, ".pid", path);
    unlink(path);
    child->process.pid = 0;
    if (child->wanted && !s->stopping) {
        child->wanted = false;
        child->restart_ms = now;
        return;
    }
    if (s->stopping || (at != COORDINATOR && !s->plan->restart))
        return;
    int next = child->pause_ms < PAUSE_MS_MAX / 2 ? child->pause_ms * 2 : PAUSE_MS_MAX;
    child->pause_ms = now - child->started_ms >= STEADY_MS || child->pause_ms == 0 ? PAUSE_MS_MIN : next;
    child->restart_ms = now + child->pause_ms;
}

static void reap_children(struct supervisor *s)
{
    for (uint32_t i = 0; i < s->child_count; i++) {
        int status;
        if (s->children[i].process.pid > 0 &&
            waitpid(s->children[i].process.pid, &status, WNOHANG) == s->children[i].process.pid)
            note_end(s, i, status);
    }
}

/* Whoever asks may have seen a death that is told behind its request, or is not complete: a clean stop takes its time,
 * and the first thread of a process is gone before the last one. */
static void start_missing(struct supervisor *s)
{
    reap_children(s);
    for (uint32_t i = 0; i < s->child_count; i++)
        if (s->children[i].process.pid == 0)
            (void)start_any(s, i);
        else
            s->children[i].wanted =
                !stead_process_runs(&s->children[i].process) || stead_process_stops(&s->children[i].process);
}

static void start_due(struct supervisor *s)
{
    int64_t now = mono_ms();
    for (uint32_t i = 0; i < s->child_count; i++)
        if (s->children[i].process.pid == 0 && s->children[i].restart_ms >= 0 && s->children[i].restart_ms <= now)
            if (start_any(s, i) != 0) {
                stead_log_event(STEAD_TRACE_ERROR, "not_started", s->report.text, NULL);
                s->children[i].restart_ms = now + PAUSE_MS_MAX;
            }
}

/* ---- Signals -------------------------------------------------------------------------------- */

/* Waits for one signal at most `timeout_ms` (-1: for ever) and does what it asks for. */
static void take_signal(struct supervisor *s, int64_t timeout_ms, bool serving)
{
    struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000};
    int signal = timeout_ms < 0 ? sigwaitinfo(&s->signals, NULL) : sigtimedwait(&s->signals, NULL, &timeout);
    if (signal == SIGTERM || signal == SIGINT)
        s->stopping = true;
    else if (signal == SIGHUP && serving)
        start_missing(s);
    reap_children(s);
}

static int64_t next_restart(const struct supervisor *s)
{
    int64_t due = -1, now = mono_ms();
    for (uint32_t i = 0; i < s->child_count; i++) {
        int64_t at = s->children[i].restart_ms;
        if (s->children[i].process.pid == 0 && at >= 0 && (due < 0 || at < due))
            due = at;
    }
    return due < 0 ? -1 : due > now ? due - now : 0;
}

static void serve(struct supervisor *s)
{
    while (!s->stopping) {
        take_signal(s, next_restart(s), true);
        if (!s->stopping)
            start_due(s);
    }
}

/* ---- Starting the cluster ------------------------------------------------------------------- */

/* A child that ends while the cluster starts makes the whole start fail. */
static int check_children(struct supervisor *s, int64_t deadline)
{
    for (uint32_t i = 0; i < s->child_count; i++)
        if (s->children[i].started_ms > 0 && s->children[i].process.pid == 0) {
            char log[STEAD_LOCAL_PATH_SIZE], line[300];
            stead_local_plan_path(s->plan->folder, s->children[i].name, ".log", log);
            stead_process_last_words(log, line, sizeof line);
            return fail(s, STEAD_EFAILED, "%s ended at once: %s", s->children[i].name, line);
        }
    if (s->stopping)
        return fail(s, STEAD_ECANCELLED, "stopped while it was starting");
    if (mono_ms() >= deadline)
        return fail(s, STEAD_ETIMEOUT, "not everything serves in time: see the logs in %.300s", s->plan->folder);
    return 0;
}

static int await_coordinator(struct supervisor *s, int64_t deadline)
{
    char folder[STEAD_LOCAL_PATH_SIZE];
    struct stead_coordinator_place place;
    stead_local_plan_path(s->plan->folder, "coordinator", "", folder);
    while (stead_coordinator_lock_find(folder, &place) != 0) {
        take_signal(s, 10, false);
        int code = check_children(s, deadline);
        if (code != 0)
            return code;
    }
    memcpy(s->endpoint, place.endpoint, sizeof s->endpoint);
    return 0;
}

/* The next table of the coordinator, or the reason why the start has failed. */
static int await_table(struct supervisor *s, const struct stead_coordinator_door *door, int64_t deadline,
                       struct stead_table **ret_table)
{
    for (;;) {
        int code = door->wait(door->self, -1, 20, ret_table);
        if (code == 0)
            return 0;
        take_signal(s, 0, false);
        code = check_children(s, deadline);
        if (code != 0)
            return code;
    }
}

static int start_nodes(struct supervisor *s, const struct stead_coordinator_door *door, int64_t deadline)
{
    struct stead_table *table = NULL;
    struct stead_local_baseline baseline;
    int code = await_table(s, door, deadline, &table);
    if (code == 0)
        stead_local_baseline_take(s->plan, table, &baseline);
    for (uint32_t i = 0; code == 0 && i < s->plan->nodes; i++)
        code = start_node(s, i);
    while (code == 0 && !stead_local_baseline_passed(s->plan, &baseline, table)) {
        stead_table_release(&table);
        code = await_table(s, door, deadline, &table);
    }
    if (code == 0)
        snprintf(s->report.text, sizeof s->report.text, "%s", stead_local_plan_endpoint(table));
    stead_table_release(&table);
    return code;
}

static int start_cluster(struct supervisor *s, uint32_t timeout_ms)
{
    int64_t deadline = mono_ms() + timeout_ms;
    struct stead_coordinator_door door;
    int code = start_coordinator(s);
    if (code == 0)
        code = await_coordinator(s, deadline);
    if (code != 0)
        return code;
    struct stead_coordinator_client_options options = {.endpoint = s->endpoint};
    if (stead_coordinator_client_open(&options, &door) != 0)
        return fail(s, STEAD_EIO, "no way to the coordinator at %s", s->endpoint);
    code = start_nodes(s, &door, deadline);
    door.close(door.self);
    return code;
}

static void stop_cluster(struct supervisor *s)
{
    struct stead_process nodes[CHILDREN_MAX];
    uint32_t count = 0;
    char path[STEAD_LOCAL_PATH_SIZE];
    s->stopping = true;
    for (uint32_t i = 1; i < s->child_count; i++)
        if (s->children[i].process.pid > 0)
            nodes[count++] = s->children[i].process;
    (void)stead_process_stop(nodes, count, TERM_MS_MAX);
    if (s->children[COORDINATOR].process.pid > 0)
        (void)stead_process_stop(&s->children[COORDINATOR].process, 1, TERM_MS_MAX);
    for (uint32_t i = 0; i < s->child_count; i++) {
        stead_local_plan_path(s->plan->folder, s->children[i].name, ".pid", path);
        unlink(path);
    }
    stead_local_plan_path(s->plan->folder, "supervisor", ".pid", path);
    unlink(path);
    stead_log_event(STEAD_TRACE_INFO, "stopped", s->plan->folder, NULL);
}

/* ---- Becoming the supervisor ---------------------------------------------------------------- */

/* A session of its own, no terminal, no file of the caller's but the two that are needed. */
static int detach(struct supervisor *s, int report_fd, int lock_fd)
{
    char log[STEAD_LOCAL_PATH_SIZE], pid[STEAD_LOCAL_PATH_SIZE];
    struct stead_process self;
    stead_local_plan_path(s->plan->folder, "supervisor", ".log", log);
    stead_local_plan_path(s->plan->folder, "supervisor", ".pid", pid);
    setsid();
    prctl(PR_SET_NAME, "stead-up", 0, 0, 0);
    int null_fd = open("/dev/null", O_RDONLY);
    int log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (null_fd < 0 || log_fd < 0 || dup2(null_fd, 0) < 0 || dup2(log_fd, 1) < 0 || dup2(log_fd, 2) < 0)
        return fail(s, STEAD_EIO, "%.300s: %s", log, strerror(errno));
    unsigned low = (unsigned)(report_fd < lock_fd ? report_fd : lock_fd);
    unsigned high = (unsigned)(report_fd < lock_fd ? lock_fd : report_fd);
    if (low > 3)
        close_range(3, low - 1, 0);
    if (high > low + 1)
        close_range(low + 1, high - 1, 0);
    close_range(high + 1, ~0U, 0);
    if (stead_process_identify(getpid(), &self) != 0 || stead_process_write(pid, &self) != 0)
        return fail(s, STEAD_EIO, "%.300s: %s", pid, strerror(errno));
    return 0;
}

static struct supervisor *make_supervisor(struct stead_local_plan *plan, const char *program)
{
    struct supervisor *s = stead_alloc_zero(sizeof *s);
    s->plan = plan;
    s->program = program;
    s->child_count = plan->nodes + 1;
    strcpy(s->children[COORDINATOR].name, "coordinator");
    for (uint32_t i = 0; i < plan->nodes; i++)
        stead_local_plan_name(i, s->children[1 + i].name);
    for (uint32_t i = 0; i < s->child_count; i++)
        s->children[i].restart_ms = -1;
    sigemptyset(&s->signals);
    sigaddset(&s->signals, SIGTERM);
    sigaddset(&s->signals, SIGINT);
    sigaddset(&s->signals, SIGHUP);
    sigaddset(&s->signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &s->signals, NULL);
    signal(SIGPIPE, SIG_IGN); /* the user may have gone before the report */
    signal(SIGCHLD, SIG_DFL); /* a caller that ignored it would take our children's ends away */
    return s;
}

_Noreturn void stead_local_supervisor_run(struct stead_local_plan *plan, const char *program, uint32_t timeout_ms,
                                          int report_fd, int lock_fd)
{
    struct supervisor *s = make_supervisor(plan, program);
    int code = detach(s, report_fd, lock_fd);
    if (code == 0)
        code = start_cluster(s, timeout_ms);
    if (code != 0)
        stop_cluster(s);
    s->report.code = code;
    struct stead_local_report report = s->report;
    if (write(report_fd, &report, sizeof report) < 0)
        stead_log_event(STEAD_TRACE_WARN, "nobody_listens", "the command that started this cluster has gone", NULL);
    close(report_fd);
    if (code == 0) {
        serve(s);
        stop_cluster(s);
    }
    stead_local_plan_deinit(plan);
    free(s);
    _exit(code == 0 ? 0 : 1);
}
