/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process: other processes: started, recognised, waited for and ended.
 *
 * A process is named by its pid together with its start time and the boot it lives in: a pid alone is soon somebody
 * else's. Every signal goes through a pidfd whose start time was looked at, so a stranger is never signalled. A process
 * that has ended and was not yet waited for by its parent (a zombie) does not run.
 *
 * Threads: any; no shared state.
 */
#ifndef STEAD_NODE_PROCESS_H
#define STEAD_NODE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stead/error.h"

struct stead_process {
    int32_t pid;      /* 0: none */
    uint64_t started; /* clock ticks between the boot and its start */
    char boot[40];    /* id of the boot, as the kernel writes it */
};

/* Starts `program` (NULL: this program) in a session of its own, stdin empty, stdout and stderr appended to `log_path`,
 * no other file inherited, no signal blocked. `argv` ends with NULL; borrowed. STEAD_EIO. */
int stead_process_start(const char *program, const char *const *argv, const char *log_path,
                        struct stead_process *ret_process) STEAD_MUST_USE;
/* Full name of the running process `pid`. STEAD_ENOTFOUND: there is none, or only its remains. */
int stead_process_identify(int32_t pid, struct stead_process *ret_process) STEAD_MUST_USE;
bool stead_process_runs(const struct stead_process *process);
/* It runs, but not for long: it was killed, SIGTERM or SIGINT waits to be taken, or it has said so by
 * stead_process_say_stopping(). */
bool stead_process_stops(const struct stead_process *process);
/* Is process `pid` on its way out: as above, or does it not run any more though something of it is left? */
bool stead_process_is_leaving(int32_t pid);
/* Of this process: it begins to end (and is named so in lists of processes). On its first thread. */
void stead_process_say_stopping(void);
/* How long it has been running, in ms; 0 when it does not. */
uint64_t stead_process_age_ms(const struct stead_process *process);

/* STEAD_ENOTFOUND when it does not run any more. */
int stead_process_signal(const struct stead_process *process, int signal) STEAD_MUST_USE;
/* Waits until it has ended, at most `timeout_ms` (-1: for ever); a child of ours is reaped. 0, STEAD_ETIMEOUT, or
 * STEAD_ECANCELLED when `wake_fd` (-1: none) is readable. */
int stead_process_await(const struct stead_process *process, int wake_fd, int timeout_ms) STEAD_MUST_USE;
/* TERM to all of them, then waits; KILL to those that still run after `term_ms_max`. Returns how many of them ran. */
uint32_t stead_process_stop(const struct stead_process *processes, uint32_t count, uint32_t term_ms_max);

/* The pid file: one line, replaced as a whole. write: STEAD_EIO. read: STEAD_ENOTFOUND when there is no such file or
 * its process does not run. */
int stead_process_write(const char *path, const struct stead_process *process) STEAD_MUST_USE;
int stead_process_read(const char *path, struct stead_process *ret_process) STEAD_MUST_USE;
/* The line inside such a file: parse returns the bytes read, 0 when it is none; format returns the bytes written. */
size_t stead_process_format(const struct stead_process *process, char *buffer, size_t size);
size_t stead_process_parse(const char *line, struct stead_process *ret_process);

/* Why a process ended, as far as its log tells: the text of the last error among the lines of its end, or the last line
 * when that is not one of node/log.h's; "" when there is none. */
void stead_process_last_words(const char *log_path, char *ret_words, size_t size);

#endif
