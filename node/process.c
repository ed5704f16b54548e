/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process: pids made safe.
 *
 * /proc/PID/stat gives state and start time; the boot's id comes from the kernel. A pidfd, once open, can only mean one
 * process, so the order is: open the pidfd, then compare the start time; from then on the descriptor is the process.
 * Waiting is a poll on it: no timer, no wake-up until the end. Children are started with posix_spawn, which is safe in
 * a program with threads; the child gets a session of its own, so that a Ctrl-C at the terminal does not reach it.
 */
#define _GNU_SOURCE
#include "node/process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base.h"

#define STOPPING_NAME "stead-stopping" /* at most 15 bytes */
#define PATH_SIZE 4096
#define LINE_SIZE 160
#define KILL_WAIT_MS 10000 /* after KILL; only a process stuck in the kernel takes longer */

static int64_t mono_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Reads a small file whole; its bytes, terminated; -1 when it cannot be read. */
static ssize_t read_small(const char *path, char *buffer, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t got = read(fd, buffer, size - 1);
    close(fd);
    if (got >= 0)
        buffer[got] = 0;
    return got;
}

/* ---- Who is it ------------------------------------------------------------------------------ */

static bool read_boot(char *ret_boot, size_t size)
{
    if (read_small("/proc/sys/kernel/random/boot_id", ret_boot, size) <= 0)
        return false;
    ret_boot[strcspn(ret_boot, "\n")] = 0;
    return ret_boot[0] != 0;
}

/* State letter and start time (fields 3 and 22) of /proc/PID/stat; the name in field 2 may hold anything, up to the
 * last ')'. */
static bool read_stat(int32_t pid, char *ret_state, uint64_t *ret_started)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%" PRId32 "/stat", pid);
    if (read_small(path, text, sizeof text) <= 0)
        return false;
    const char *at = strrchr(text, ')');
    return at != NULL &&
           sscanf(at + 1, " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64,
                  ret_state, ret_started) == 2;
}

int stead_process_identify(int32_t pid, struct stead_process *ret_process)
{
    struct stead_process it = {.pid = pid};
    char state;
    if (pid <= 0 || !read_stat(pid, &state, &it.started) || state == 'Z' || state == 'X')
        return STEAD_ENOTFOUND;
    if (!read_boot(it.boot, sizeof it.boot))
        return STEAD_ENOTFOUND;
    *ret_process = it;
    return 0;
}

bool stead_process_runs(const struct stead_process *process)
{
    struct stead_process now;
    return stead_process_identify(process->pid, &now) == 0 && now.started == process->started &&
           strcmp(now.boot, process->boot) == 0;
}

/* The number behind `name` in /proc/PID/status, in hex; 0 when there is none. */
static uint64_t status_bits(const char *status, const char *name)
{
    const char *at = strstr(status, name);
    return at == NULL ? 0 : strtoull(at + strlen(name), NULL, 16);
}

bool stead_process_stops(const struct stead_process *process)
{
    const uint64_t ends = 1ull << (SIGTERM - 1) | 1ull << (SIGINT - 1) | 1ull << (SIGKILL - 1);
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/%" PRId32 "/status", process->pid);
    if (read_small(path, text, sizeof text) <= 0 || !stead_process_runs(process))
        return false;
    return strncmp(text, "Name:\t" STOPPING_NAME "\n", strlen("Name:\t" STOPPING_NAME "\n")) == 0 ||
           ((status_bits(text, "\nSigPnd:") | status_bits(text, "\nShdPnd:")) & ends) != 0;
}

/* The kernel's flags of a process, field 9 of its stat: is its end under way? */
static bool exits(int32_t pid)
{
    const unsigned exiting = 0x4; /* PF_EXITING */
    char path[64], text[1024];
    unsigned flags = 0;
    snprintf(path, sizeof path, "/proc/%" PRId32 "/stat", pid);
    const char *at = read_small(path, text, sizeof text) > 0 ? strrchr(text, ')') : NULL;
    return at == NULL || sscanf(at + 1, " %*c %*s %*s %*s %*s %*s %u", &flags) != 1 || (flags & exiting) != 0;
}

bool stead_process_is_leaving(int32_t pid)
{
    struct stead_process process;
    return stead_process_identify(pid, &process) != 0 || stead_process_stops(&process) || exits(pid);
}

void stead_process_say_stopping(void)
{
    prctl(PR_SET_NAME, STOPPING_NAME, 0, 0, 0);
}

uint64_t stead_process_age_ms(const struct stead_process *process)
{
    struct timespec now;
    uint64_t ticks = (uint64_t)sysconf(_SC_CLK_TCK);
    if (!stead_process_runs(process))
        return 0;
    clock_gettime(CLOCK_BOOTTIME, &now);
    uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    uint64_t started_ms = process->started * 1000 / ticks;
    return now_ms > started_ms ? now_ms - started_ms : 0;
}

/* ---- Starting ------------------------------------------------------------------------------- */

/* The path of this program, so that the child has its name; the link itself when the file was replaced. */
static void find_program(char *ret_path, size_t size)
{
    ssize_t got = readlink("/proc/self/exe", ret_path, size - 1);
    if (got > 0)
        ret_path[got] = 0;
    if (got <= 0 || access(ret_path, X_OK) != 0)
        snprintf(ret_path, size, "/proc/self/exe");
}

static int spawn(const char *program, const char *const *argv, const char *log_path, pid_t *ret_pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none, all;
    extern char **environ;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&how);
    int failed = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    failed |= posix_spawn_file_actions_addopen(&files, 1, log_path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    failed |= posix_spawn_file_actions_adddup2(&files, 1, 2);
    failed |= posix_spawn_file_actions_addclosefrom_np(&files, 3);
    failed |= posix_spawnattr_setsigmask(&how, &none);
    failed |= posix_spawnattr_setsigdefault(&how, &all);
    failed |= posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (failed == 0)
        failed = posix_spawn(ret_pid, program, &files, &how, (char *const *)(uintptr_t)argv, environ);
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&files);
    return failed == 0 ? 0 : STEAD_EIO;
}

int stead_process_start(const char *program, const char *const *argv, const char *log_path,
                        struct stead_process *ret_process)
{
    char path[PATH_SIZE];
    struct stead_process it = {0};
    pid_t pid;
    char state;

    if (program == NULL) {
        find_program(path, sizeof path);
        program = path;
    }
    if (spawn(program, argv, log_path, &pid) != 0)
        return STEAD_EIO;
    it.pid = pid;
    /* It is our child, so its entry stays, even if it has ended, until it is waited for. */
    if (!read_stat(pid, &state, &it.started) || !read_boot(it.boot, sizeof it.boot))
        return STEAD_EIO;
    *ret_process = it;
    return 0;
}

/* ---- Signals and waiting -------------------------------------------------------------------- */

/* A descriptor that means exactly this process, or -1 when it does not run. */
static int open_process(const struct stead_process *process)
{
    if (process->pid <= 0)
        return -1;
    int fd = pidfd_open(process->pid, 0);
    if (fd >= 0 && !stead_process_runs(process)) {
        close(fd);
        return -1;
    }
    return fd;
}

int stead_process_signal(const struct stead_process *process, int signal)
{
    int fd = open_process(process);
    if (fd < 0)
        return STEAD_ENOTFOUND;
    int failed = pidfd_send_signal(fd, signal, NULL, 0);
    close(fd);
    return failed ? STEAD_ENOTFOUND : 0;
}

static void reap(const struct stead_process *process)
{
    while (waitpid(process->pid, NULL, WNOHANG) < 0 && errno == EINTR)
        ;
}

int stead_process_await(const struct stead_process *process, int wake_fd, int timeout_ms)
{
    int64_t deadline = mono_ms() + timeout_ms;
    int code = STEAD_ETIMEOUT;
    int fd = open_process(process);
    if (fd < 0) {
        reap(process);
        return 0;
    }
    for (;;) {
        struct pollfd fds[2] = {{.fd = fd, .events = POLLIN}, {.fd = wake_fd, .events = POLLIN}};
        int64_t left = timeout_ms < 0 ? -1 : deadline - mono_ms();
        int ready = poll(fds, 2, timeout_ms < 0 ? -1 : left > 0 ? (int)left : 0);
        if (ready > 0 && fds[0].revents) {
            reap(process);
            code = 0;
            break;
        }
        if (ready > 0 && fds[1].revents) {
            code = STEAD_ECANCELLED;
            break;
        }
        if (timeout_ms >= 0 && left <= 0)
            break;
    }
    close(fd);
    return code;
}

uint32_t stead_process_stop(const struct stead_process *processes, uint32_t count, uint32_t term_ms_max)
{
    uint32_t stopped = 0;
    int64_t deadline = mono_ms() + term_ms_max;
    for (uint32_t i = 0; i < count; i++)
        if (stead_process_signal(&processes[i], SIGTERM) == 0)
            stopped++;
    for (uint32_t i = 0; i < count; i++) {
        int64_t left = deadline - mono_ms();
        if (stead_process_await(&processes[i], -1, left > 0 ? (int)left : 0) != 0 &&
            stead_process_signal(&processes[i], SIGKILL) == 0)
            (void)!stead_process_await(&processes[i], -1, KILL_WAIT_MS);
    }
    return stopped;
}

/* ---- Pid files ------------------------------------------------------------------------------ */

size_t stead_process_format(const struct stead_process *process, char *buffer, size_t size)
{
    int written = snprintf(buffer, size, "%" PRId32 " %" PRIu64 " %s", process->pid, process->started, process->boot);
    STEAD_ASSERT(written > 0 && (size_t)written < size);
    return (size_t)written;
}

size_t stead_process_parse(const char *line, struct stead_process *ret_process)
{
    struct stead_process it = {0};
    int read = 0;
    if (sscanf(line, "%" SCNd32 " %" SCNu64 " %39s%n", &it.pid, &it.started, it.boot, &read) != 3 || it.pid <= 0)
        return 0;
    *ret_process = it;
    return (size_t)read;
}

int stead_process_write(const char *path, const struct stead_process *process)
{
    char temporary[PATH_SIZE], line[LINE_SIZE];
    size_t size = stead_process_format(process, line, sizeof line - 1);
    line[size++] = '\n';
    if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary)
        return STEAD_EIO;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return STEAD_EIO;
    bool written = write(fd, line, size) == (ssize_t)size;
    close(fd);
    if (!written || rename(temporary, path) != 0) {
        unlink(temporary);
        return STEAD_EIO;
    }
    return 0;
}

int stead_process_read(const char *path, struct stead_process *ret_process)
{
    char line[LINE_SIZE];
    struct stead_process it;
    if (read_small(path, line, sizeof line) <= 0 || stead_process_parse(line, &it) == 0 || !stead_process_runs(&it))
        return STEAD_ENOTFOUND;
    *ret_process = it;
    return 0;
}

/* ---- Last words ----------------------------------------------------------------------------- */

/* Copies the value of text="..." in a line of node/log.h, its escapes taken away. */
static void copy_text(const char *line, char *ret_words, size_t size)
{
    const char *at = strstr(line, " text=\"");
    size_t used = 0;
    for (at = at ? at + 7 : ""; *at && *at != '"' && used + 1 < size; at++) {
        if (*at == '\\' && at[1] != 0)
            at++;
        ret_words[used++] = *at;
    }
    ret_words[used] = 0;
}

/* The end of the file, terminated, trailing newlines cut; its bytes, 0 when there is nothing. */
static size_t read_tail(const char *path, char *buffer, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    off_t end = lseek(fd, 0, SEEK_END);
    ssize_t got = pread(fd, buffer, size - 1, end > (off_t)size - 1 ? end - (off_t)size + 1 : 0);
    close(fd);
    while (got > 0 && (buffer[got - 1] == '\n' || buffer[got - 1] == ' '))
        got--;
    buffer[got > 0 ? got : 0] = 0;
    return got > 0 ? (size_t)got : 0;
}

void stead_process_last_words(const char *log_path, char *ret_words, size_t size)
{
    char tail[4096];
    ret_words[0] = 0;
    bool plain = true; /* only the very last line may be one */
    for (size_t end = read_tail(log_path, tail, sizeof tail); end > 0; plain = false) {
        tail[end] = 0;
        char *newline = memrchr(tail, '\n', end);
        const char *line = newline ? newline + 1 : tail;
        if (plain && strstr(line, " level=") == NULL) {
            snprintf(ret_words, size, "%s", line);
            return;
        }
        if (strstr(line, " level=error ") && strstr(line, " text=\"")) {
            copy_text(line, ret_words, size);
            return;
        }
        end = newline ? (size_t)(newline - tail) : 0;
    }
}
