/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_cluster: the user's side of `stead up`, `stead down` and `stead cluster status`.
 *
 * BASE/lock is locked (flock) by the supervisor for its life: `up` takes the lock, forks, and the child keeps it, so
 * two `up` at once cannot both win and a killed supervisor leaves nothing locked. What a killed supervisor does leave
 * is running processes; their pid files name them, `up` refuses to start beside them and `down` ends them.
 *
 *     lock free, nothing runs   -> up starts everything
 *     lock free, something runs -> up refuses and names it; down ends it
 *     locked, a node is down    -> up has the supervisor start it (HUP); one that is stopping counts as down
 *     locked, all run           -> up refuses: it is running
 */
#define _GNU_SOURCE
#include "node/local_cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "node/coordinator_lock.h"
#include "node/local_plan.h"
#include "runtime/base.h"

#define UP_MS_MAX 30000
#define TERM_MS_MAX 15000
#define SUPERVISOR_SLACK_MS 2000 /* more than the supervisor itself gives its nodes, to let it finish */
#define FETCH_MS_MAX 3000        /* until the coordinator of a running cluster answers */
#define LOCK_TRIES 100           /* with a pause of LOCK_PAUSE_MS: two seconds */
#define LOCK_PAUSE_MS 20

static int64_t mono_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int explain(char *ret_why, int code, const char *format, ...) STEAD_PRINTF(3, 4);
static int explain(char *ret_why, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(ret_why, STEAD_LOCAL_CLUSTER_WHY_SIZE, format, args);
    va_end(args);
    return code;
}

/* The name of child `at`: 0 the coordinator, then the nodes. */
static void child_name(uint32_t at, char *ret_name)
{
    if (at == 0)
        strcpy(ret_name, "coordinator");
    else
        stead_local_plan_name(at - 1, ret_name);
}

/* Those of coordinator (unless `nodes_only`) and nodes that run, in this order; returns how many. */
static uint32_t find_running(const struct stead_local_plan *plan, bool nodes_only, struct stead_process *ret_processes)
{
    uint32_t count = 0;
    for (uint32_t at = nodes_only; at <= plan->nodes; at++) {
        char name[STEAD_NODE_NAME_MAX + 1];
        child_name(at, name);
        if (stead_local_plan_find(plan->folder, name, &ret_processes[count]) == 0)
            count++;
    }
    return count;
}

static int fetch_table(const char *folder, int timeout_ms, struct stead_table **ret_table)
{
    char path[STEAD_LOCAL_PATH_SIZE];
    stead_local_plan_path(folder, "coordinator", "", path);
    struct stead_coordinator_client_options options = {.folder = path};
    return stead_coordinator_client_fetch(&options, timeout_ms, ret_table);
}

/* ---- What is asked for ---------------------------------------------------------------------- */

static int check_options(const struct stead_local_cluster_options *options, char *ret_why)
{
    uint32_t nodes = options->nodes ? options->nodes : 1;
    uint32_t port = options->port ? options->port : STEAD_LOCAL_CLUSTER_PORT;
    if (options->folder == NULL || options->folder[0] == 0 || strlen(options->folder) > STEAD_LOCAL_FOLDER_MAX)
        return explain(ret_why, STEAD_EARGUMENT, "the cluster's folder has no proper name");
    if (nodes > STEAD_LOCAL_CLUSTER_NODES_MAX)
        return explain(ret_why, STEAD_EARGUMENT, "a local cluster has 1 to %u nodes", STEAD_LOCAL_CLUSTER_NODES_MAX);
    if (!options->any_port && (port < 2 || port + nodes * STEAD_LOCAL_CLUSTER_PORT_STEP > UINT16_MAX + 1u))
        return explain(ret_why, STEAD_EARGUMENT, "port %u leaves no room for %u nodes, %u ports each, below 65536",
                       port, nodes, STEAD_LOCAL_CLUSTER_PORT_STEP);
    if (options->arg_count > STEAD_LOCAL_CLUSTER_ARGS_MAX)
        return explain(ret_why, STEAD_EARGUMENT, "at most %u arguments for the nodes", STEAD_LOCAL_CLUSTER_ARGS_MAX);
    for (uint32_t i = 0; i < options->arg_count; i++)
        if (strchr(options->args[i].word, '\n') || strlen(options->args[i].word) > 4000)
            return explain(ret_why, STEAD_EARGUMENT, "an argument of the nodes has a newline or is too long");
    if (mkdir(options->folder, 0755) != 0 && errno != EEXIST)
        return explain(ret_why, STEAD_EIO, "%.300s: %s", options->folder, strerror(errno));
    return 0;
}

/* The plan of this `up`: what the options say, and where they are silent what an earlier `up` said. Returned: deinit
 * it. */
static int make_plan(const struct stead_local_cluster_options *options, struct stead_local_plan *ret_plan,
                     char *ret_why)
{
    struct stead_local_plan plan = {0};
    int code = stead_local_plan_read(options->folder, &plan);
    if (code == STEAD_ECORRUPT)
        return explain(ret_why, code, "%.300s/cluster is not a plan of `stead up`", options->folder);
    bool known = code == 0;
    if (known && options->nodes != 0 && options->nodes != plan.nodes) {
        explain(ret_why, STEAD_EINUSE,
                "the cluster in %.300s has %" PRIu32 " nodes: choose another folder for %" PRIu32, options->folder,
                plan.nodes, options->nodes);
        stead_local_plan_deinit(&plan);
        return STEAD_EINUSE;
    }
    strcpy(plan.folder, options->folder);
    if (!known)
        plan.nodes = options->nodes ? options->nodes : 1;
    for (uint32_t i = 0; i < options->arg_count; i++)
        if (options->args[i].node > plan.nodes) {
            explain(ret_why, STEAD_EARGUMENT, "there is no n%" PRIu32 ": the nodes are n1 to n%" PRIu32,
                    options->args[i].node, plan.nodes);
            stead_local_plan_deinit(&plan);
            return STEAD_EARGUMENT;
        }
    if (options->any_port)
        plan.port = 0;
    else if (options->port != 0 || !known)
        plan.port = options->port ? options->port : STEAD_LOCAL_CLUSTER_PORT;
    plan.restart = options->restart;
    if (options->arg_count > 0) {
        stead_local_plan_deinit(&plan);
        for (uint32_t i = 0; i < options->arg_count; i++)
            stead_local_plan_add(&plan, options->args[i].node, options->args[i].word);
    }
    *ret_plan = plan;
    return 0;
}

/* ---- Up ------------------------------------------------------------------------------------- */

/* Locks BASE; the descriptor is above the standard ones. STEAD_EINUSE: a supervisor lives. */
static int lock_folder(const char *folder, int *ret_fd)
{
    char path[STEAD_LOCAL_PATH_SIZE];
    stead_local_plan_path(folder, "lock", "", path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (fd >= 0)
        close(fd);
    if (high < 0)
        return STEAD_EIO;
    if (flock(high, LOCK_EX | LOCK_NB) != 0) {
        int code = errno == EWOULDBLOCK ? STEAD_EINUSE : STEAD_EIO;
        close(high);
        return code;
    }
    *ret_fd = high;
    return 0;
}

/* The same, but waits a little for whoever holds the lock without being a supervisor: one that is being started, or was
 * killed just now (the system lets go of a dead process's files a moment after it is gone). */
static int lock_patiently(const char *folder, int *ret_fd)
{
    struct stead_process supervisor;
    int code = lock_folder(folder, ret_fd);

    for (uint32_t i = 0; i < LOCK_TRIES && code == STEAD_EINUSE; i++) {
        if (stead_local_plan_find(folder, "supervisor", &supervisor) == 0)
            break;
        poll(NULL, 0, LOCK_PAUSE_MS);
        code = lock_folder(folder, ret_fd);
    }
    return code;
}

static int check_nothing_runs(const struct stead_local_plan *plan, char *ret_why)
{
    struct stead_process processes[STEAD_LOCAL_CLUSTER_NODES_MAX + 1];
    uint32_t count = find_running(plan, false, processes);
    if (count == 0)
        return 0;
    return explain(ret_why, STEAD_EINUSE,
                   "%" PRIu32 " processes of the cluster in %.300s still run (one is %" PRId32
                   ") without their supervisor: stop them with `stead down`",
                   count, plan->folder, processes[0].pid);
}

/* Waits for the supervisor's report; it has a limit of its own, which is a little below ours. */
static int await_report(pid_t pid, int fd, uint32_t timeout_ms, struct stead_local_report *ret_report)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    int ready;
    do
        ready = poll(&item, 1, (int)timeout_ms + TERM_MS_MAX + SUPERVISOR_SLACK_MS);
    while (ready < 0 && errno == EINTR);
    if (ready > 0 && read(fd, ret_report, sizeof *ret_report) == (ssize_t)sizeof *ret_report) {
        if (ret_report->code != 0)
            waitpid(pid, NULL, 0);
        return 0;
    }
    kill(pid, SIGTERM); /* our own child, not yet waited for: the pid is its */
    waitpid(pid, NULL, 0);
    return STEAD_EUNAVAILABLE;
}

static int fork_supervisor(struct stead_local_plan *plan, const char *program, uint32_t timeout_ms, int lock_fd,
                           struct stead_local_report *ret_report)
{
    int low[2], report[2];
    if (pipe2(low, O_CLOEXEC) != 0)
        return STEAD_EIO;
    report[0] = fcntl(low[0], F_DUPFD_CLOEXEC, 3);
    report[1] = fcntl(low[1], F_DUPFD_CLOEXEC, 3);
    close(low[0]);
    close(low[1]);
    fflush(NULL);
    pid_t pid = report[0] < 0 || report[1] < 0 ? -1 : fork();
    if (pid == 0) {
        close(report[0]);
        stead_local_supervisor_run(plan, program, timeout_ms, report[1], lock_fd);
    }
    close(report[1]);
    int code = pid < 0 ? STEAD_EIO : await_report(pid, report[0], timeout_ms, ret_report);
    close(report[0]);
    return code;
}

static int start_all(struct stead_local_plan *plan, const struct stead_local_cluster_options *options, int lock_fd,
                     struct stead_local_cluster_result *ret_result, char *ret_why)
{
    struct stead_local_report report = {0};
    struct stead_local_plan before;
    int code = check_nothing_runs(plan, ret_why);
    if (code != 0)
        return code;
    bool known = stead_local_plan_read(plan->folder, &before) == 0;
    if (stead_local_plan_write(plan) != 0)
        code = explain(ret_why, STEAD_EIO, "%.300s/cluster: %s", plan->folder, strerror(errno));
    else if (fork_supervisor(plan, options->program, options->timeout_ms ? options->timeout_ms : UP_MS_MAX, lock_fd,
                             &report) != 0)
        code = explain(ret_why, STEAD_EUNAVAILABLE, "the supervisor ended without a word: see %.300s/supervisor.log",
                       plan->folder);
    else if (report.code != 0)
        code = explain(ret_why, report.code, "%s", report.text);
    if (known && code != 0)
        (void)!stead_local_plan_write(&before); /* what cannot be started is not what the next `up` goes by */
    if (known)
        stead_local_plan_deinit(&before);
    if (code != 0)
        return code;
    ret_result->was_running = false;
    ret_result->nodes = ret_result->started = plan->nodes;
    snprintf(ret_result->endpoint, sizeof ret_result->endpoint, "%.127s", report.text);
    return 0;
}

/* Waits until the nodes that the supervisor starts now serve too. */
static int await_serving(const struct stead_local_plan *plan, const struct stead_local_baseline *baseline,
                         uint32_t timeout_ms, struct stead_local_cluster_result *ret_result, char *ret_why)
{
    char path[STEAD_LOCAL_PATH_SIZE];
    struct stead_coordinator_door door;
    struct stead_table *table = NULL;
    int64_t deadline = mono_ms() + timeout_ms;
    stead_local_plan_path(plan->folder, "coordinator", "", path);
    struct stead_coordinator_client_options options = {.folder = path};
    if (stead_coordinator_client_open(&options, &door) != 0)
        return explain(ret_why, STEAD_EIO, "no way to the coordinator in %.300s", path);
    int code = STEAD_ETIMEOUT;
    while (code != 0 && mono_ms() < deadline) {
        if (door.wait(door.self, -1, 50, &table) != 0)
            continue;
        if (stead_local_baseline_passed(plan, baseline, table)) {
            snprintf(ret_result->endpoint, sizeof ret_result->endpoint, "%.127s", stead_local_plan_endpoint(table));
            code = 0;
        }
        stead_table_release(&table);
    }
    door.close(door.self);
    return code == 0 ? 0
                     : explain(ret_why, code, "the nodes that were down do not serve yet: see their logs in %.300s",
                               plan->folder);
}

/* The supervisor of a running cluster knows the words that it was started with, and no others. */
static int check_args(const struct stead_local_cluster_options *options, char *ret_why)
{
    struct stead_local_plan plan;
    if (options->arg_count == 0 || stead_local_plan_read(options->folder, &plan) != 0)
        return 0;
    bool same = stead_local_plan_has(&plan, options->args, options->arg_count);
    stead_local_plan_deinit(&plan);
    return same ? 0
                : explain(ret_why, STEAD_EINUSE,
                          "the cluster in %.300s runs with other options of its nodes: `stead down` first",
                          options->folder);
}

/* It runs, and not only until its stop is complete. */
static bool is_up(const struct stead_local_plan *plan, uint32_t node)
{
    char name[STEAD_NODE_NAME_MAX + 1];
    struct stead_process process;
    stead_local_plan_name(node, name);
    return stead_local_plan_find(plan->folder, name, &process) == 0 && !stead_process_stops(&process);
}

/* `up` on a running cluster: has the supervisor start what is down. */
static int start_missing(const struct stead_local_plan *plan, const struct stead_local_cluster_options *options,
                         struct stead_local_cluster_result *ret_result, char *ret_why)
{
    struct stead_process supervisor;
    struct stead_local_baseline baseline;
    struct stead_table *table;
    bool up[STEAD_LOCAL_CLUSTER_NODES_MAX];
    uint32_t running = 0;
    for (uint32_t i = 0; i < plan->nodes; i++)
        running += up[i] = is_up(plan, i);
    if (stead_local_plan_find(plan->folder, "supervisor", &supervisor) != 0)
        return explain(ret_why, STEAD_EINUSE, "the cluster in %.300s is being started or stopped: try again",
                       plan->folder);
    if (running == plan->nodes)
        return explain(ret_why, STEAD_EINUSE,
                       "the cluster in %.300s is running already (%" PRIu32 " nodes, supervisor %" PRId32
                       "): `stead down` stops it",
                       plan->folder, plan->nodes, supervisor.pid);
    int code = check_args(options, ret_why);
    if (code != 0)
        return code;
    if (fetch_table(plan->folder, FETCH_MS_MAX, &table) != 0)
        return explain(ret_why, STEAD_EUNAVAILABLE, "the coordinator in %.300s does not answer", plan->folder);
    stead_local_baseline_take(plan, table, &baseline);
    stead_table_release(&table);
    for (uint32_t i = 0; i < plan->nodes; i++)
        if (up[i])
            baseline.incarnations[i] = 0; /* any incarnation will do */
    if (stead_process_signal(&supervisor, SIGHUP) != 0)
        return explain(ret_why, STEAD_EUNAVAILABLE, "the supervisor in %.300s has ended", plan->folder);
    ret_result->was_running = true;
    ret_result->nodes = plan->nodes;
    ret_result->started = plan->nodes - running;
    return await_serving(plan, &baseline, options->timeout_ms ? options->timeout_ms : UP_MS_MAX, ret_result, ret_why);
}

int stead_local_cluster_up(const struct stead_local_cluster_options *options,
                           struct stead_local_cluster_result *ret_result, char *ret_why)
{
    struct stead_local_plan plan = {0};
    struct stead_local_cluster_result result = {0};
    int lock_fd = -1;
    ret_why[0] = 0;
    int code = check_options(options, ret_why);
    if (code == 0)
        code = make_plan(options, &plan, ret_why);
    if (code != 0)
        return code;
    code = lock_patiently(options->folder, &lock_fd);
    if (code == 0) {
        code = start_all(&plan, options, lock_fd, &result, ret_why);
        close(lock_fd); /* the supervisor has its own */
    } else if (code == STEAD_EINUSE) {
        code = start_missing(&plan, options, &result, ret_why);
    } else {
        explain(ret_why, code, "%.300s/lock: %s", options->folder, strerror(errno));
    }
    stead_local_plan_deinit(&plan);
    if (code == 0)
        *ret_result = result;
    return code;
}

/* ---- Down ----------------------------------------------------------------------------------- */

static void remove_pid_files(const struct stead_local_plan *plan)
{
    char name[STEAD_NODE_NAME_MAX + 1], path[STEAD_LOCAL_PATH_SIZE];
    for (uint32_t at = 0; at <= plan->nodes; at++) {
        child_name(at, name);
        stead_local_plan_path(plan->folder, name, ".pid", path);
        unlink(path);
    }
    stead_local_plan_path(plan->folder, "supervisor", ".pid", path);
    unlink(path);
}

static int stop_all(const struct stead_local_plan *plan, uint32_t term_ms_max, uint32_t *ret_stopped, char *ret_why)
{
    struct stead_process supervisor, processes[STEAD_LOCAL_CLUSTER_NODES_MAX + 1];
    bool supervised = stead_local_plan_find(plan->folder, "supervisor", &supervisor) == 0;
    uint32_t running = find_running(plan, false, processes);
    if (!supervised && running == 0)
        return explain(ret_why, STEAD_ENOTFOUND, "no cluster runs in %.300s", plan->folder);
    /* The supervisor stops its children in order, and reaps them. What it leaves (it was killed, or it is too slow) is
     * ended here. */
    if (supervised)
        (void)stead_process_stop(&supervisor, 1, term_ms_max + SUPERVISOR_SLACK_MS);
    struct stead_process left[STEAD_LOCAL_CLUSTER_NODES_MAX + 1];
    (void)stead_process_stop(left, find_running(plan, true, left), term_ms_max);
    (void)stead_process_stop(left, find_running(plan, false, left), term_ms_max);
    if (find_running(plan, false, left) > 0)
        return explain(ret_why, STEAD_ETIMEOUT, "process %" PRId32 " does not end, not even when it is killed",
                       left[0].pid);
    remove_pid_files(plan);
    *ret_stopped = running + supervised;
    return 0;
}

int stead_local_cluster_down(const char *folder, uint32_t term_ms_max, uint32_t *ret_stopped, char *ret_why)
{
    struct stead_local_plan plan;
    ret_why[0] = 0;
    int code = stead_local_plan_read(folder, &plan);
    if (code != 0)
        return explain(ret_why, code, "there is no cluster of `stead up` in %.300s", folder);
    code = stop_all(&plan, term_ms_max ? term_ms_max : TERM_MS_MAX, ret_stopped, ret_why);
    stead_local_plan_deinit(&plan);
    return code;
}

/* ---- Status --------------------------------------------------------------------------------- */

static void note_process(struct stead_local_cluster_status *status, const char *folder, const char *name)
{
    struct stead_process process;
    struct stead_local_cluster_process *it = &status->processes[status->process_count++];
    memset(it, 0, sizeof *it);
    snprintf(it->name, sizeof it->name, "%s", name);
    if (stead_local_plan_find(folder, name, &process) == 0) {
        it->pid = process.pid;
        it->running_ms = stead_process_age_ms(&process);
    }
}

int stead_local_cluster_status(const char *folder, int timeout_ms, struct stead_local_cluster_status *ret_status,
                               char *ret_why)
{
    struct stead_local_plan plan;
    ret_why[0] = 0;
    int code = stead_local_plan_read(folder, &plan);
    if (code != 0)
        return explain(ret_why, code, "there is no cluster of `stead up` in %.300s", folder);
    memset(ret_status, 0, sizeof *ret_status);
    note_process(ret_status, folder, "supervisor");
    for (uint32_t at = 0; at <= plan.nodes; at++) {
        char name[STEAD_NODE_NAME_MAX + 1];
        child_name(at, name);
        note_process(ret_status, folder, name);
    }
    /* A coordinator that does not run is not waited for. */
    if (ret_status->processes[1].pid != 0)
        (void)!fetch_table(folder, timeout_ms, &ret_status->table);
    stead_local_plan_deinit(&plan);
    return 0;
}

void stead_local_cluster_status_deinit(struct stead_local_cluster_status *status)
{
    stead_table_release(&status->table);
}
