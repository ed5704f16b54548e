/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead: the program. It finds the subcommand's word, hands it the rest of the line, and sees to it that a result that
 * could not be written (a full disk, a closed pipe) is not reported as done.
 */
#define _GNU_SOURCE /* program_invocation_name */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/near.h"
#include "stead/stead.h"

static int help(int argc, char **argv);

static const struct stead_command commands[] = {
    {"call", "Talk to agents", "Call an op of an agent and print its answer", stead_cmd_call},
    {"signal", "Talk to agents", "Send a signal to an agent: exactly once in effect", stead_cmd_signal},
    {"tell", "Talk to agents", "Send a message to an agent, at most once", stead_cmd_tell},
    {"agents", "Look inside", "List agents by kind and prefix", stead_cmd_agents},
    {"show", "Look inside", "Show one agent: state, mailbox, timers, lock", stead_cmd_show},
    {"journal", "Look inside", "Show the turns of an agent, or follow them", stead_cmd_journal},
    {"deadletters", "Look inside", "List, retry or drop signals that an op refused", stead_cmd_deadletters},
    {"unlock", "Look inside", "Break the hold on an agent", stead_cmd_unlock},
    {"stats", "Look inside", "Counters and latencies of every node", stead_cmd_stats},
    {"run", "Orchestrate", "Start an orchestration, and wait for its end", stead_cmd_run},
    {"orchestrations", "Orchestrate", "List instances, or verify new code against them", stead_cmd_orchestrations},
    {"status", "Orchestrate", "Show one instance: status, input, output or error", stead_cmd_status},
    {"history", "Orchestrate", "Show what an instance went through, or follow it", stead_cmd_history},
    {"raise", "Orchestrate", "Raise an external event at an instance", stead_cmd_raise},
    {"terminate", "Orchestrate", "End an instance, its children and activities", stead_cmd_terminate},
    {"suspend", "Orchestrate", "Let an instance's code wait until it is resumed", stead_cmd_suspend},
    {"resume", "Orchestrate", "Let a suspended instance go on", stead_cmd_resume},
    {"rewind", "Orchestrate", "Try the failed steps of an instance again", stead_cmd_rewind},
    {"restart", "Orchestrate", "Begin an instance that is over anew", stead_cmd_restart},
    {"purge", "Orchestrate", "Forget instances that are over", stead_cmd_purge},
    {"locks", "Orchestrate", "List agents that are held, or break a hold", stead_cmd_locks},
    {"hub", "Orchestrate", "Make, show or delete a task hub; messages set aside", stead_cmd_hub},
    {"node", "Run", "Run a node in the foreground", stead_cmd_node},
    {"up", "Run", "Start several nodes on this machine", stead_cmd_up},
    {"down", "Run", "Stop what `up` started", stead_cmd_down},
    {"cluster", "Run", "Show nodes, shards and processes", stead_cmd_cluster},
    {"coordinator", "Run", "Run the coordinator in the foreground", stead_cmd_coordinator},
    {"backup", "Keep data", "Back up every node while it runs", stead_cmd_backup},
    {"restore", "Keep data", "Make a data folder out of a backup", stead_cmd_restore},
    {"check", "Keep data", "Verify the data folder of a stopped node", stead_cmd_check},
    {"bench", "Measure", "Measure this machine and stead on it, each figure beside its floor", stead_cmd_bench},
    {"elect", "Measure", "Leader election between agents, on both fabrics", stead_cmd_elect},
    {"consensus", "Measure", "Consensus between agents, on both fabrics", stead_cmd_consensus},
    {"compare", "Measure", "Compare talking directly with going through storage", stead_cmd_compare},
    {"help", "This program", "Explain a command", help},
    {NULL, NULL, NULL, NULL}};

static const char usage_text[] = "Usage: stead COMMAND [OPTION...] [WORD...]\n"
                                 "  or:  stead help COMMAND\n"
                                 "Durable, addressable agents that talk to each other directly.\n";

static const char exit_text[] =
    "\n"
    "Options:\n"
    "  -?, --help                 Give this list; behind a command: its options and examples\n"
    "  -V, --version              Print the version\n"
    "\n"
    "Exit status:\n"
    "  0   done\n"
    "  1   the op, or the work, failed\n"
    "  2   the command line is wrong; nothing was done\n"
    "  3   no node answers\n"
    "  4   no answer in time: the outcome is unknown\n"
    "\n"
    "Environment:\n"
    "  STEAD_NODE   the node to ask, as tcp://127.0.0.1:7400; --node is stronger\n"
    "  NO_COLOR     no bold text on terminals\n"
    "\n"
    "Examples:\n"
    "  stead node --module ./counter.so\n"
    "  stead call counter/alice add 5\n"
    "  stead journal --follow counter/alice\n"
    "  stead up 3\n";

static const struct stead_command *find_command(const char *word)
{
    for (const struct stead_command *command = commands; command->name; command++) {
        if (strcmp(word, command->name) == 0)
            return command;
    }
    return NULL;
}

static int print_help(void)
{
    const char *section = "";

    fputs(usage_text, stdout);
    for (const struct stead_command *command = commands; command->name; command++) {
        if (strcmp(section, command->section) != 0)
            printf("\n%s:\n", command->section);
        section = command->section;
        printf("  %-14s  %s\n", command->name, command->summary);
    }
    fputs(exit_text, stdout);
    return STEAD_EXIT_DONE;
}

static int refuse_word(const char *word)
{
    const char *names[sizeof commands / sizeof *commands];

    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        names[i] = commands[i].name;
    const char *near = stead_near_find(word, names);
    stead_complain("\"%s\" is no command%s%s%s", word, near ? "; did you mean \"" : "", near ? near : "",
                   near ? "\"?" : "");
    fprintf(stderr, "    `stead --help` lists them\n");
    return STEAD_EXIT_USAGE;
}

/* Runs a command with argv[0] = "stead NAME". */
static int run_command(const struct stead_command *command, int argc, char **argv)
{
    static char name[64];

    snprintf(name, sizeof name, "stead %s", command->name);
    program_invocation_name = name;
    argv[0] = name;
    return command->run(argc, argv);
}

static int help(int argc, char **argv)
{
    static char help_option[] = "--help";
    char *help_argv[] = {NULL, help_option, NULL};

    if (argc < 2 || strcmp(argv[1], "--help") == 0)
        return print_help();
    const struct stead_command *command = find_command(argv[1]);
    if (!command)
        return refuse_word(argv[1]);
    return command->run == help ? print_help() : run_command(command, 2, help_argv);
}

static int dispatch(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "--help";

    if (argc < 2) {
        print_help();
        return STEAD_EXIT_USAGE;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-?") == 0 || strcmp(word, "-h") == 0)
        return print_help();
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        puts(argp_program_version);
        return STEAD_EXIT_DONE;
    }
    const struct stead_command *command = find_command(word);
    return command ? run_command(command, argc - 1, argv + 1) : refuse_word(word);
}

int main(int argc, char **argv)
{
    static char name[] = "stead";

    program_invocation_name = name;
    setenv("ARGP_HELP_FMT", "no-dup-args-note", 0); /* without the note on short options in every help text */
    argp_program_version = "stead " STEAD_VERSION;
    argp_err_exit_status = STEAD_EXIT_USAGE;
    int status = dispatch(argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        stead_complain("the result could not be written: %m");
        return status == STEAD_EXIT_DONE ? STEAD_EXIT_FAILED : status;
    }
    return status;
}
