/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run: the simulator's program.
 *
 *     run --seed N [--trace]                     one seed, twice; its events printed
 *     run --seeds A..B [--jobs J]                many, each twice, in J processes; stops at the first that fails
 *                                                (--all: goes on)
 *     run --seeds A..B --fault NAME --expect     a planted fault must be found among them: 0 when it was
 *     ... --start S                              S to B first, then A to S: where one was found the last time
 *     --workload W[,W...]                        only these, instead of what each seed draws
 *     --restore                                  the whole cluster is backed up in the middle, and put back to that a while later
 *     --restore-alone                            the same, but only one node is put back, and the others have gone on
 *     --every N                                  nothing goes wrong but the death of one node, at each event of the seed in turn (at N of them when there are more)
 *
 * Each seed runs twice and must leave the same trace hash: a run that is not a function of its seed proves nothing.
 * A seed runs in a process of its own, so that a failed assertion, a crash or a broken promise of one ends that one,
 * and names it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agents/fault.h"
#include "runtime/fault.h"
#include "tests/sim/sim.h"

#define JOBS_MAX 64u
#define TOO_LONG 5             /* exit code of a worker whose seed did not come to an end */
#define SEED_SECONDS_MAX 60u   /* real time of one seed: beyond it something loops */
#define FAULTY_SECONDS_MAX 10u /* the same with a planted fault, which may make many messages of few */

struct arguments {
    uint64_t first, last;
    uint64_t start; /* the one that is taken first: up to the last, then from the first; 0: the first */
    uint32_t jobs;
    uint32_t faults, agent_faults;
    uint32_t workloads;
    uint64_t every;         /* a death at so many events of each seed, one a run; 0: as the plan says */
    uint64_t death;         /* with --every: only the death at this event; 0: all */
    const char *fault_name; /* NULL: none, as the next */
    const char *workload_names;
    bool traced;
    bool restore, alone;
    bool expect; /* a failure is what is wanted */
    bool all;    /* go on after a failure */
    const char *program;
};

/* What the processes share. */
struct board {
    uint64_t next;   /* place of the seed to be taken, from 0 */
    uint64_t done;   /* seeds that passed */
    uint64_t failed; /* seeds that failed */
};

static struct board *board;
static uint64_t running_seed; /* of this process */
static char rerun[512];

_Noreturn static void usage(void)
{
    fprintf(stderr, "usage: run [--seed N | --seeds A..B] [--trace] [--all] [--jobs J] [--restore | --restore-alone] "
                    "[--workload W,...] [--fault "
                    "NAME [--expect]]\n"
                    "workloads:");
    for (uint32_t w = 0; stead_workloads[w] != NULL; w++)
        fprintf(stderr, " %s", stead_workloads[w]->name);
    fprintf(stderr, "\nfaults:");
#define PRINT_FAULT(name, what) fprintf(stderr, " " #name);
    STEAD_FAULT_LIST(PRINT_FAULT)
#define PRINT_AGENT_FAULT(name, workload, what) fprintf(stderr, " " #name);
    STEAD_AGENT_FAULT_LIST(PRINT_AGENT_FAULT)
    fprintf(stderr, "\n");
    exit(2);
}

static void parse_fault(struct arguments *arguments, const char *name)
{
#define MATCH_FAULT(id, what)                                                                                          \
    if (strcmp(name, #id) == 0)                                                                                        \
        arguments->faults |= 1u << STEAD_FAULT_##id;
    STEAD_FAULT_LIST(MATCH_FAULT)
#define MATCH_AGENT_FAULT(id, workload, what)                                                                          \
    if (strcmp(name, #id) == 0)                                                                                        \
        arguments->agent_faults |= 1u << STEAD_AGENT_FAULT_##id;
    STEAD_AGENT_FAULT_LIST(MATCH_AGENT_FAULT)
    if (arguments->faults == 0 && arguments->agent_faults == 0)
        usage();
    arguments->fault_name = name;
}

static uint32_t parse_workloads(const char *names)
{
    uint32_t set = 0;

    while (*names != 0) {
        size_t size = strcspn(names, ",");
        uint32_t before = set;
        for (uint32_t w = 0; stead_workloads[w] != NULL; w++)
            if (strlen(stead_workloads[w]->name) == size && memcmp(stead_workloads[w]->name, names, size) == 0)
                set |= 1u << w;
        if (set == before)
            usage();
        names += size + (names[size] == ',');
    }
    return set;
}

static void parse_seeds(struct arguments *arguments, const char *text)
{
    char *end;

    arguments->first = strtoull(text, &end, 10);
    arguments->last = arguments->first;
    if (strncmp(end, "..", 2) == 0)
        arguments->last = strtoull(end + 2, &end, 10);
    if (*end != 0 || end == text || arguments->last < arguments->first)
        usage();
}

static struct arguments parse(int argc, char **argv)
{
    struct arguments arguments = {.first = 1, .last = 1000, .jobs = 1, .program = argv[0]};

    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--trace") == 0) {
            arguments.traced = true;
            continue;
        }
        if (strcmp(argv[i], "--expect") == 0) {
            arguments.expect = true;
            continue;
        }
        if (strcmp(argv[i], "--restore") == 0) {
            arguments.restore = true;
            continue;
        }
        if (strcmp(argv[i], "--restore-alone") == 0) {
            arguments.alone = true;
            continue;
        }
        if (strcmp(argv[i], "--all") == 0) {
            arguments.all = true;
            continue;
        }
        if (value == NULL)
            usage();
        if (strcmp(argv[i], "--seed") == 0 || strcmp(argv[i], "--seeds") == 0)
            parse_seeds(&arguments, value);
        else if (strcmp(argv[i], "--start") == 0)
            arguments.start = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--jobs") == 0)
            arguments.jobs = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--fault") == 0)
            parse_fault(&arguments, value);
        else if (strcmp(argv[i], "--every") == 0)
            arguments.every = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--death") == 0)
            arguments.death = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--workload") == 0)
            arguments.workloads = parse_workloads(arguments.workload_names = value);
        else
            usage();
        i++;
    }
    if ((arguments.faults >> STEAD_FAULT_copy_without_hold & 1u) != 0)
        arguments.restore = true; /* nothing else would tell */
    if (arguments.start == 0)
        arguments.start = arguments.first;
    if (arguments.start < arguments.first || arguments.start > arguments.last || arguments.jobs == 0 ||
        arguments.jobs > JOBS_MAX)
        usage();
    return arguments;
}

static void make_rerun(const struct arguments *arguments, uint64_t seed)
{
    snprintf(rerun, sizeof rerun, "%s --seed %llu%s%s%s%s%s --trace", arguments->program, (unsigned long long)seed,
             arguments->alone     ? " --restore-alone"
             : arguments->restore ? " --restore"
                                  : "",
             arguments->fault_name == NULL ? "" : " --fault ",
             arguments->fault_name == NULL ? "" : arguments->fault_name,
             arguments->workload_names == NULL ? "" : " --workload ",
             arguments->workload_names == NULL ? "" : arguments->workload_names);
}

/* An assertion, a crash or an endless loop: says which seed, as a broken promise does. */
static void report_signal(int number)
{
    static char text[1024];
    int size = snprintf(text, sizeof text, "FAILED seed %llu: %s\n  run again: %s\n", (unsigned long long)running_seed,
                        number == SIGALRM   ? "it does not come to an end"
                        : number == SIGABRT ? "an assertion failed"
                                            : "it crashed",
                        rerun);
    if (write(STDERR_FILENO, text, (size_t)size) < 0)
        _Exit(4);
    _Exit(number == SIGALRM ? TOO_LONG : 3);
}

static void watch_signals(void)
{
    static const int numbers[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM};

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction action = {.sa_handler = report_signal};
        sigaction(numbers[i], &action, NULL);
    }
}

static void run_twice(const struct arguments *arguments, uint64_t seed)
{
    struct stead_sim_options options = {.seed = seed,
                                        .faults = arguments->faults,
                                        .agent_faults = arguments->agent_faults,
                                        .workloads = arguments->workloads,
                                        .traced = arguments->traced,
                                        .restore = arguments->restore,
                                        .alone = arguments->alone,
                                        .rerun = rerun};
    make_rerun(arguments, seed);
    alarm(arguments->expect ? FAULTY_SECONDS_MAX : SEED_SECONDS_MAX);
    uint64_t first = stead_sim_run(&options);
    options.traced = false;
    uint64_t second = stead_sim_run(&options);
    alarm(0);
    if (first == second)
        return;
    fprintf(stderr, "FAILED seed %llu: its two runs differ: %016llx and %016llx\n  run again: %s\n",
            (unsigned long long)seed, (unsigned long long)first, (unsigned long long)second, rerun);
    _Exit(1);
}

/* Once without a death, which tells how many events there are; then once for each of them (or for `every` of them,
 * evenly), with the death of a node there and nothing else wrong. */
static void run_every(const struct arguments *arguments, uint64_t seed)
{
    uint64_t events = 0;
    struct stead_sim_options options = {.seed = seed,
                                        .faults = arguments->faults,
                                        .agent_faults = arguments->agent_faults,
                                        .workloads = arguments->workloads,
                                        .traced = arguments->traced,
                                        .rerun = rerun,
                                        .peaceful = true,
                                        .ret_events = &events};

    make_rerun(arguments, seed);
    alarm(arguments->expect ? FAULTY_SECONDS_MAX : SEED_SECONDS_MAX);
    if (arguments->death == 0)
        stead_sim_run(&options);
    alarm(0);
    options.ret_events = NULL;
    uint64_t step = events <= arguments->every ? 1 : events / arguments->every;
    for (uint64_t death = arguments->death != 0 ? arguments->death : 1 + seed % step;
         death <= events || death == arguments->death; death += step) {
        make_rerun(arguments, seed);
        snprintf(rerun + strlen(rerun), sizeof rerun - strlen(rerun), " --every 1 --death %llu",
                 (unsigned long long)death);
        options.death_at = death;
        alarm(arguments->expect ? FAULTY_SECONDS_MAX : SEED_SECONDS_MAX);
        stead_sim_run(&options);
        alarm(0);
    }
}

/* Takes seeds until none is left or one has failed. */
_Noreturn static void work(const struct arguments *arguments)
{
    watch_signals();
    while (arguments->all || __atomic_load_n(&board->failed, __ATOMIC_ACQUIRE) == 0) {
        uint64_t at = __atomic_fetch_add(&board->next, 1, __ATOMIC_ACQ_REL);
        uint64_t count = arguments->last - arguments->first + 1, skipped = arguments->start - arguments->first;
        if (at >= count)
            break;
        uint64_t seed = arguments->first + (at + skipped) % count;
        running_seed = seed;
        if (arguments->every != 0)
            run_every(arguments, seed);
        else
            run_twice(arguments, seed);
        __atomic_fetch_add(&board->done, 1, __ATOMIC_ACQ_REL);
    }
    exit(0); /* by the front door: a sanitizer looks for leaks there */
}

static pid_t start_worker(const struct arguments *arguments)
{
    fflush(NULL);
    pid_t pid = fork();

    if (pid == 0) {
        /* With a planted fault a find is no news. */
        if (arguments->expect && freopen("/dev/null", "w", stderr) == NULL)
            _Exit(4);
        work(arguments);
    }
    if (pid < 0) {
        fprintf(stderr, "run: no process can be started: %s\n", strerror(errno));
        exit(4);
    }
    return pid;
}

static int summarize(const struct arguments *arguments)
{
    if (arguments->expect) {
        printf(board->failed != 0 ? "fault %s: found after %llu seeds\n" : "fault %s: NOT FOUND in %llu seeds\n",
               arguments->fault_name == NULL ? "none" : arguments->fault_name,
               (unsigned long long)board->done + (board->failed != 0));
        return board->failed != 0 ? 0 : 1;
    }
    printf("%llu seeds passed, %llu failed\n", (unsigned long long)board->done, (unsigned long long)board->failed);
    return board->failed != 0;
}

int main(int argc, char **argv)
{
    struct arguments arguments = parse(argc, argv);

    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        return 4;
    for (uint32_t i = 0; i < arguments.jobs; i++)
        start_worker(&arguments);
    for (uint32_t running = arguments.jobs; running > 0; running--) {
        int status = 0;
        if (wait(&status) < 0 || status == 0)
            continue;
        if (arguments.expect && WIFEXITED(status) && WEXITSTATUS(status) == TOO_LONG) { /* that proves nothing */
            start_worker(&arguments);
            running++;
            continue;
        }
        __atomic_fetch_add(&board->failed, 1, __ATOMIC_ACQ_REL);
        if (arguments.all) {
            start_worker(&arguments);
            running++;
        }
    }
    return summarize(&arguments);
}
