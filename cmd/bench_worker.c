/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_worker: the processes of a measurement, for `stead bench` and `stead compare`.
 *
 *     this process      waits, cleans up
 *       `-- worker      measures; prints
 *             |-- echo        the other end of raw ZeroMQ
 *             `-- nodes, coordinators
 *
 * However the worker ends, nothing is left behind: its children ask the kernel for a SIGTERM at their parent's death,
 * this process is the reaper of orphans and waits until the last of them has gone, then it removes the scratch folder.
 */
#define _GNU_SOURCE /* nftw */
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/bench.h"
#include "cmd/cmd.h"

static int run_worker(struct stead_bench *bench, stead_bench_work_fn *work, void *context)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (stead_bench_echo_start(bench->echo) != 0) {
        stead_complain("no process for the floors: %s", strerror(errno));
        return STEAD_EXIT_FAILED;
    }
    int status = work(bench, context);
    fflush(stdout);
    return status;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status, (void)type, (void)place;
    return remove(path);
}

static volatile sig_atomic_t worker_pid;

static void pass_on(int signal)
{
    (void)signal;
    if (worker_pid > 0)
        kill((pid_t)worker_pid, SIGKILL); /* its children hear of it from the kernel */
}

/* Asks every child of this process to end: the nodes that the worker left, and the coordinators of nodes that were
 * killed. */
static void end_orphans(void)
{
    DIR *processes = opendir("/proc");

    for (struct dirent *entry = processes ? readdir(processes) : NULL; entry; entry = readdir(processes)) {
        char path[300], state;
        int pid, parent;
        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        FILE *file = entry->d_name[0] >= '1' && entry->d_name[0] <= '9' ? fopen(path, "re") : NULL;
        if (!file)
            continue;
        if (fscanf(file, "%d (%*[^)]) %c %d", &pid, &state, &parent) == 3 && parent == getpid())
            kill(pid, SIGTERM);
        fclose(file);
    }
    if (processes)
        closedir(processes);
}

/* Waits for the worker, then for everything that it left. */
static int await_worker(pid_t worker)
{
    int status = 0, result = STEAD_EXIT_FAILED;

    for (;;) {
        pid_t ended = waitpid(-1, &status, 0);
        if (ended < 0 && errno != EINTR)
            return result;
        if (ended == worker) {
            result = WIFEXITED(status) ? WEXITSTATUS(status) : STEAD_EXIT_FAILED;
            worker_pid = 0;
        }
        if (worker_pid == 0)
            end_orphans();
    }
}

int stead_bench_work(struct stead_bench *bench, const char *parent, stead_bench_work_fn *work, void *context)
{
    char folder[STEAD_BENCH_PATH_SIZE];
    struct sigaction action = {.sa_handler = pass_on};

    if (!parent)
        parent = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/stead-bench-XXXXXX", parent && *parent ? parent : "/tmp");
    if (!mkdtemp(folder)) {
        stead_complain("no scratch folder %s: %s", folder, strerror(errno));
        return STEAD_EXIT_FAILED;
    }
    bench->folder = folder;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    fflush(stdout);
    pid_t worker = fork();
    if (worker == 0)
        exit(run_worker(bench, work, context));
    worker_pid = worker > 0 ? worker : 0;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    int status = worker > 0 ? await_worker(worker) : STEAD_EXIT_FAILED;
    nftw(folder, remove_entry, 32, FTW_DEPTH | FTW_PHYS);
    bench->folder = NULL;
    return status;
}
