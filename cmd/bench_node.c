/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_node: nodes and coordinators as processes of this program, and what they and the kernel say about them.
 *
 * A child asks the kernel for a SIGTERM when the bench dies, so it ends cleanly whatever happens here. Its ready line
 * comes through a pipe; its log goes to a file beside its folder, whose end is told when it does not come up.
 */
#define _GNU_SOURCE /* sched_setaffinity */
#include "cmd/bench.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agents/compare.h"
#include "cmd/json.h"
#include "node/process.h"

#define READY_MS 120000
#define STOP_MS 60000
#define PROGRAM "/proc/self/exe"

/* ---- Processes ------------------------------------------------------------------------------ */

/* Keeps this process to the first `count` cores that it may use. */
static void keep_to_cores(uint32_t count)
{
    cpu_set_t may, keep;
    uint32_t kept = 0;

    CPU_ZERO(&keep);
    if (sched_getaffinity(0, sizeof may, &may) != 0)
        return;
    for (size_t cpu = 0; cpu < CPU_SETSIZE && kept < count; cpu++) {
        if (CPU_ISSET(cpu, &may)) {
            CPU_SET(cpu, &keep);
            kept++;
        }
    }
    sched_setaffinity(0, sizeof keep, &keep);
}

static _Noreturn void become(const char *const *argv, const char *log_path, int out, const char *preload,
                             uint32_t cores)
{
    int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    signal(SIGINT, SIG_IGN); /* Ctrl-C is for the bench, which stops its nodes itself */
    dup2(out, STDOUT_FILENO);
    if (log >= 0)
        dup2(log, STDERR_FILENO);
    if (preload)
        setenv("LD_PRELOAD", preload, 1);
    if (cores > 0)
        keep_to_cores(cores);
    execv(PROGRAM, (char *const *)(uintptr_t)argv);
    _exit(127);
}

/* One line from the child, without its end; false when it ended or took too long. */
static bool read_line(int fd, char *line, size_t size)
{
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    size_t used = 0;

    while (used + 1 < size && poll(&waiting, 1, READY_MS) > 0 && read(fd, line + used, 1) == 1) {
        if (line[used] == '\n') {
            line[used] = '\0';
            return true;
        }
        used++;
    }
    return false;
}

/* Starts `argv`; its first line of output is waited for by await_line(). */
static int launch(const struct stead_bench *bench, const char *const *argv, const char *preload, uint32_t cores,
                  struct stead_bench_node *node)
{
    char log_path[STEAD_BENCH_PATH_SIZE + 8];
    int ends[2];

    snprintf(log_path, sizeof log_path, "%s.log", node->folder);
    if (pipe(ends) != 0)
        return stead_bench_fail(bench, "no pipe: %s", strerror(errno));
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    node->start_ns = stead_bench_now_ns();
    node->out = ends[0];
    node->pid = fork();
    if (node->pid == 0)
        become(argv, log_path, ends[1], preload, cores);
    close(ends[1]);
    return node->pid > 0 ? 0 : stead_bench_fail(bench, "no process: %s", strerror(errno));
}

/* The first line of what was launched. */
static int await_line(const struct stead_bench *bench, struct stead_bench_node *node, char *line, size_t size)
{
    char log_path[STEAD_BENCH_PATH_SIZE + 8], words[256];
    bool ready = read_line(node->out, line, size);

    node->ready_ns = stead_bench_now_ns() - node->start_ns;
    close(node->out);
    if (ready)
        return 0;
    snprintf(log_path, sizeof log_path, "%s.log", node->folder);
    stead_process_last_words(log_path, words, sizeof words);
    stead_bench_node_stop(node, true);
    return stead_bench_fail(bench, "it did not come up: %s", words);
}

void stead_bench_node_stop(struct stead_bench_node *node, bool kill_it)
{
    if (node->pid <= 0)
        return;
    kill(node->pid, kill_it ? SIGKILL : SIGTERM);
    for (int waited_ms = 0; waitpid(node->pid, NULL, WNOHANG) == 0; waited_ms++) {
        if (waited_ms == STOP_MS)
            kill(node->pid, SIGKILL);
        usleep(1000);
    }
    node->pid = 0;
}

bool stead_bench_find_faulty_disk(char *ret_path, size_t size)
{
    static const char *const places[] = {"", "/tests/system", "/tests"};
    char program[PATH_MAX];
    ssize_t length = readlink(PROGRAM, program, sizeof program - 1);

    if (length <= 0)
        return false;
    program[length] = '\0';
    const char *folder = dirname(program);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        snprintf(ret_path, size, "%s%s/faulty_disk.so", folder, places[i]);
        if (access(ret_path, R_OK) == 0)
            return true;
    }
    return false;
}

static void new_folder(struct stead_bench *bench, const char *name, char *ret_folder)
{
    snprintf(ret_folder, STEAD_BENCH_PATH_SIZE, "%s/%s.%u", bench->folder, name, ++bench->nodes_started);
}

/* The environment of the faulty disk, inherited by the child that preloads it. */
static const char *delay_syncs(const struct stead_bench_node *node, uint32_t delay_us, char *path, size_t size)
{
    char number[32], state[STEAD_BENCH_PATH_SIZE + 8];

    if (delay_us == 0 || !stead_bench_find_faulty_disk(path, size))
        return NULL;
    snprintf(number, sizeof number, "%u", delay_us);
    snprintf(state, sizeof state, "%s.disk", node->folder);
    setenv("STEAD_DISK_DELAY_US", number, 1);
    setenv("STEAD_DISK_FOLDER", node->folder, 1);
    setenv("STEAD_DISK_STATE", state, 1);
    return path;
}

int stead_bench_node_launch(struct stead_bench *bench, const struct stead_bench_node_options *options,
                            struct stead_bench_node *ret_node)
{
    char reactors[16], memory[32], disk[PATH_MAX];
    uint32_t reactor_count = options->reactors ? options->reactors : bench->reactors;
    uint64_t memory_bytes = options->memory_bytes ? options->memory_bytes : 4ull << 30;
    const char *argv[STEAD_BENCH_ARGS_MAX] = {"stead", "node", "--json", "--bench-kinds", "--log-level", "warn"};
    size_t count = 6;

    *ret_node = (struct stead_bench_node){.pid = 0};
    if (options->folder)
        snprintf(ret_node->folder, sizeof ret_node->folder, "%s", options->folder);
    else
        new_folder(bench, "node", ret_node->folder);
    snprintf(reactors, sizeof reactors, "%u", reactor_count);
    snprintf(memory, sizeof memory, "%" PRIu64, memory_bytes);
    const char *more[] = {"--folder",      ret_node->folder,
                          "--listen",      "tcp://127.0.0.1:0",
                          "--memory",      memory,
                          "--idle",        "60m",
                          "--name",        options->name ? options->name : "n1",
                          "--coordinator", options->coordinator,
                          "--label",       options->label ? options->label : STEAD_COMPARE_LABEL,
                          "--label",       options->label ? NULL : STEAD_COMPARE_STORE_LABEL,
                          "--reactors",    reactors};
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i += 2) {
        bool wanted = more[i + 1] != NULL && !(more[i + 1] == reactors && reactor_count == 0);
        if (wanted) {
            argv[count++] = more[i];
            argv[count++] = more[i + 1];
        }
    }
    const char *preload = delay_syncs(ret_node, options->sync_delay_us, disk, sizeof disk);
    return launch(bench, argv, preload, options->cores, ret_node);
}

int stead_bench_node_await(const struct stead_bench *bench, struct stead_bench_node *node)
{
    char line[512];
    int code = await_line(bench, node, line, sizeof line);

    if (code != 0)
        return code;
    json_t *ready = json_loads(line, 0, NULL);
    const char *endpoint = json_string_value(json_object_get(ready, "endpoint"));
    snprintf(node->endpoint, sizeof node->endpoint, "%s", endpoint ? endpoint : "");
    json_decref(ready);
    return 0;
}

int stead_bench_node_start(struct stead_bench *bench, const struct stead_bench_node_options *options,
                           struct stead_bench_node *ret_node)
{
    int code = stead_bench_node_launch(bench, options, ret_node);

    return code == 0 ? stead_bench_node_await(bench, ret_node) : code;
}

int stead_bench_coordinator_start(struct stead_bench *bench, uint32_t nodes, struct stead_bench_node *ret_node)
{
    char number[16], line[512];
    const char *argv[] = {"stead",   "coordinator", "--folder", ret_node->folder, "--listen", "tcp://127.0.0.1:0",
                          "--nodes", number,        NULL};

    *ret_node = (struct stead_bench_node){.pid = 0};
    new_folder(bench, "coordinator", ret_node->folder);
    snprintf(number, sizeof number, "%u", nodes);
    int code = launch(bench, argv, NULL, 0, ret_node);
    if (code == 0)
        code = await_line(bench, ret_node, line, sizeof line);
    if (code != 0)
        return code;
    const char *endpoint = strrchr(line, ' ');
    snprintf(ret_node->endpoint, sizeof ret_node->endpoint, "%.255s", endpoint ? endpoint + 1 : line);
    return 0;
}

/* ---- What a node says ----------------------------------------------------------------------- */

int stead_bench_connect(const struct stead_bench *bench, const struct stead_bench_node *node, uint32_t in_flight_max,
                        struct stead_client **ret_client)
{
    struct stead_client_options options = {
        .endpoints = node->endpoint, .timeout_ms = 120000, .in_flight_max = in_flight_max, .retry_ms = 10000};
    int code = stead_client_open(&options, ret_client);

    return code == 0 ? 0 : stead_bench_fail(bench, "no client: %s", stead_error_sentence(code));
}

/* Returned: json_decref(); NULL after complaining. */
static json_t *query(const struct stead_bench *bench, struct stead_client *client, const char *name, const char *format,
                     const char *address)
{
    struct stead_answer answer;
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, format, "address", address);
    int code = stead_client_query(client, name, stead_written(&args), &answer);
    json_t *value = code == 0 ? stead_json_from_value(answer.value) : NULL;
    stead_writer_deinit(&args);
    if (!value)
        stead_bench_fail(bench, "the node does not answer \"%s\": %s", name, stead_error_sentence(code));
    return value;
}

static uint64_t member(const json_t *part, const char *group, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(json_object_get(part, group), name));
}

static void add_reactor(struct stead_bench_stats *stats, const json_t *reactor)
{
    stats->turns += member(reactor, "counters", "turns");
    stats->entries += member(reactor, "counters", "entries");
    stats->entry_bytes += member(reactor, "counters", "entry_bytes");
    stats->unloads += member(reactor, "counters", "unloads");
    stats->messages += member(reactor, "counters", "messages_in") + member(reactor, "counters", "messages_local") +
                       member(reactor, "counters", "jobs");
    stats->agents_resident += member(reactor, "gauges", "agents_resident");
    stats->memory_bytes += member(reactor, "gauges", "memory_bytes");
    stats->fibers += member(reactor, "gauges", "fibers");
}

int stead_bench_stats(const struct stead_bench *bench, struct stead_client *client, struct stead_bench_stats *ret_stats)
{
    json_t *stats = query(bench, client, "stats", "{}", NULL), *node, *reactor;
    size_t i, k;

    *ret_stats = (struct stead_bench_stats){0};
    if (!stats)
        return STEAD_EFAILED;
    json_array_foreach(json_object_get(stats, "nodes"), i, node)
    {
        const json_t *writer = json_object_get(node, "log_writer");
        ret_stats->syncs += member(writer, "counters", "syncs");
        ret_stats->synced_entries += member(writer, "counters", "entries");
        ret_stats->row_bytes += member(writer, "counters", "row_bytes");
        const json_t *syncs = json_object_get(json_object_get(writer, "histograms"), "sync_ns");
        ret_stats->sync_ns += (uint64_t)(json_number_value(json_object_get(syncs, "count")) *
                                         json_number_value(json_object_get(syncs, "mean")));
        json_array_foreach(json_object_get(node, "reactors"), k, reactor) add_reactor(ret_stats, reactor);
    }
    json_decref(stats);
    return 0;
}

struct stead_bench_stats stead_bench_stats_since(const struct stead_bench_stats *now,
                                                 const struct stead_bench_stats *before)
{
    struct stead_bench_stats since = *now;

    since.turns -= before->turns;
    since.entries -= before->entries;
    since.entry_bytes -= before->entry_bytes;
    since.unloads -= before->unloads;
    since.syncs -= before->syncs;
    since.synced_entries -= before->synced_entries;
    since.row_bytes -= before->row_bytes;
    since.sync_ns -= before->sync_ns;
    since.messages -= before->messages;
    return since;
}

int stead_bench_place(const struct stead_bench *bench, struct stead_client *client, const char *address,
                      struct stead_bench_place *ret_place)
{
    json_t *shown = query(bench, client, "show", "{s:s}", address);

    if (!shown)
        return STEAD_EFAILED;
    const char *node = json_string_value(json_object_get(shown, "node"));
    snprintf(ret_place->node, sizeof ret_place->node, "%s", node ? node : "");
    ret_place->reactor = json_integer_value(json_object_get(shown, "reactor"));
    ret_place->shard = json_integer_value(json_object_get(shown, "shard"));
    json_decref(shown);
    return 0;
}

/* ---- What the kernel says ------------------------------------------------------------------- */

/* The file's beginning, as text; "" when it cannot be read. */
static void read_file(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, size - 1) : 0;

    text[got > 0 ? got : 0] = '\0';
    if (fd >= 0)
        close(fd);
}

static uint64_t number_behind(const char *text, const char *name)
{
    const char *at = strstr(text, name);

    return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static void add_thread(const char *folder, const char *thread, const char *process, struct stead_bench_usage *usage)
{
    char path[STEAD_BENCH_PATH_SIZE], text[4096], name[64];

    snprintf(path, sizeof path, "%s/%s/schedstat", folder, thread);
    read_file(path, text, sizeof text);
    usage->cpu_ns += strtoull(text, NULL, 10);
    snprintf(path, sizeof path, "%s/%s/comm", folder, thread);
    read_file(path, name, sizeof name);
    if (strncmp(name, "stead-", 6) != 0 && strcmp(thread, process) != 0)
        return;
    snprintf(path, sizeof path, "%s/%s/status", folder, thread);
    read_file(path, text, sizeof text);
    usage->own_switches += number_behind(text, "\nvoluntary_ctxt_switches:");
}

void stead_bench_usage(pid_t pid, struct stead_bench_usage *ret_usage)
{
    char folder[64], path[96], process[16], text[4096];

    *ret_usage = (struct stead_bench_usage){0};
    snprintf(process, sizeof process, "%d", (int)pid);
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    read_file(path, text, sizeof text);
    ret_usage->rss_bytes = number_behind(text, "VmRSS:") * 1024;
    snprintf(path, sizeof path, "/proc/%d/io", (int)pid);
    read_file(path, text, sizeof text);
    ret_usage->write_bytes = number_behind(text, "\nwrite_bytes:");
    snprintf(folder, sizeof folder, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(folder);
    for (struct dirent *task = tasks ? readdir(tasks) : NULL; task; task = readdir(tasks)) {
        if (task->d_name[0] != '.')
            add_thread(folder, task->d_name, process, ret_usage);
    }
    if (tasks)
        closedir(tasks);
}
