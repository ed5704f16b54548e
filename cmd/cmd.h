/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd: what the subcommands of the `stead` program share: the table of them, exit codes, and complaining.
 *
 * A subcommand is one function, called once, on the main thread, with its own argv (argv[0] is "stead NAME", so that
 * argp's messages and ours name the command). It prints its result on stdout, complaints on stderr, and returns
 * an exit code. It may leak what the end of the process frees.
 */
#ifndef STEAD_CMD_CMD_H
#define STEAD_CMD_CMD_H

#include <stddef.h>

#include "stead/error.h"

/* Documented in `stead --help`; scripts depend on the numbers. */
enum stead_exit {
    STEAD_EXIT_DONE = 0,        /* did what was asked */
    STEAD_EXIT_FAILED = 1,      /* the op, or the work, failed */
    STEAD_EXIT_USAGE = 2,       /* the command line is wrong; nothing was done */
    STEAD_EXIT_UNREACHABLE = 3, /* no node answers */
    STEAD_EXIT_TIMED_OUT = 4    /* no answer in time: the outcome is unknown */
};

/* One word behind `stead`. */
struct stead_command {
    const char *name;                  /* the word; the table ends with NULL */
    const char *section;               /* heading in `stead --help`; static */
    const char *summary;               /* one line, no full stop */
    int (*run)(int argc, char **argv); /* returns enum stead_exit */
};

/* Checks words that `stead up` gives a node, as `stead node` would read them, and that they are none of those that it
 * says itself; argv[0] names the command in complaints. A wrong word ends the process (STEAD_EXIT_USAGE) with
 * what is wrong. */
void stead_cmd_check_node_words(int argc, char **argv);

/* One file each: cmd/NAME.c. */
int stead_cmd_call(int argc, char **argv);
int stead_cmd_signal(int argc, char **argv);
int stead_cmd_tell(int argc, char **argv);
int stead_cmd_agents(int argc, char **argv);
int stead_cmd_show(int argc, char **argv);
int stead_cmd_journal(int argc, char **argv);
int stead_cmd_deadletters(int argc, char **argv);
int stead_cmd_unlock(int argc, char **argv);
int stead_cmd_stats(int argc, char **argv);
int stead_cmd_backup(int argc, char **argv);
int stead_cmd_restore(int argc, char **argv);
int stead_cmd_check(int argc, char **argv);
int stead_cmd_bench(int argc, char **argv);
int stead_cmd_elect(int argc, char **argv);
int stead_cmd_consensus(int argc, char **argv);
int stead_cmd_compare(int argc, char **argv);
int stead_cmd_run(int argc, char **argv);
int stead_cmd_orchestrations(int argc, char **argv);
int stead_cmd_status(int argc, char **argv);
int stead_cmd_history(int argc, char **argv);
int stead_cmd_raise(int argc, char **argv);
int stead_cmd_terminate(int argc, char **argv); /* steer.c, with the next four */
int stead_cmd_suspend(int argc, char **argv);
int stead_cmd_resume(int argc, char **argv);
int stead_cmd_rewind(int argc, char **argv);
int stead_cmd_restart(int argc, char **argv);
int stead_cmd_purge(int argc, char **argv);
int stead_cmd_locks(int argc, char **argv);
int stead_cmd_hub(int argc, char **argv);
int stead_cmd_node(int argc, char **argv);
int stead_cmd_coordinator(int argc, char **argv);
int stead_cmd_up(int argc, char **argv);
int stead_cmd_down(int argc, char **argv);
int stead_cmd_cluster(int argc, char **argv);

/* Prints "stead NAME: " and the line on stderr. Texts from elsewhere must have gone through stead_print_safe(). */
void stead_complain(const char *format, ...) STEAD_PRINTF(1, 2);

/* The exit code that stands for a negative STEAD_E* code (0: done). */
int stead_exit_of(int code);

#endif
