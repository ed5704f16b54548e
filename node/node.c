/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node: the life of a node, in order, and the same order backwards.
 *
 *     folder locked and opened -> whose it is -> kinds -> turn marks -> coordinator -> threads that serve the reactors -> ports bound
 *     -> registered -> reactors run -> (control.c) ... stop asked -> reactors finish and end -> jobs, reads, log end -> store closed
 *
 * A start that fails says one sentence and undoes what was done; nothing is registered before everything local is known
 * to be good, so a wrong module or a taken port never costs the cluster a table. The ports are bound before
 * registering, because the table names them; nobody reads them before the reactors run.
 *
 * A stop: reactors stop taking work, let what is under way commit, unload with hooks and write a last checkpoint; so
 * the next start replays nothing. What takes longer than stop_ms_max is left to the log, as in a crash. A job that does
 * not heed its cancellation cannot be ended from outside: then everything that it might touch is left alone and the
 * process ends around it.
 *
 * A failed write or sync ends the process inside the log writer's callback: the kernel may have dropped what it could
 * not write, and the next sync would say that all is well. Nobody was told of what is lost, and the log on the disk is
 * what the next start believes. A failed read of what the runtime itself has stored ends it in the same words, before
 * anything of that round has left (L6 of docs/INVARIANTS.md).
 */
#include "node/node.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "agents/agents.h"
#include "node/backup.h"
#include "node/control.h"
#include "node/log.h"
#include "node/modules.h"
#include "node/process.h"
#include "node/supervisor.h"
#include "persist/backup.h"
#include "persist/format.h"
#include "persist/store_rocksdb.h"
#include "runtime/base.h"

#define RING_CAPACITY 8192u   /* messages between two reactors; what is beyond waits with the sender */
#define ZMQ_SOCKETS_MAX 16384 /* one ROUTER a reactor and a DEALER for each remote one */
#define MMAP_BYTES_MIN (128ull << 10)
#define MMAP_BYTES_MAX (4ull << 20)
#define ARENA_BYTES (16ull << 20) /* of the budget, for each heap of malloc */
#define ARENAS_MAX 32u            /* more than that is left to malloc */
#define TASK_THREADS 2u           /* backups at once */
#define STUCK_S 2                 /* a reactor ends by itself when its stop takes too long: so much later it cannot */
#define TASK_WAIT_MS 60000u       /* a stop waits so long for a backup */
#define COORDINATOR_WAIT_MS 2000  /* a stop waits so long to say goodbye */
#define LEAVING_MS_MAX 10000u     /* a start waits so long for a process that is on its way out */
#define LEAVING_PAUSE_MS 10u

/* A node while it lives. */
struct node {
    struct stead_shell shell;
    struct stead_identity identity;
    struct stead_control control;
    struct stead_coordinator_door door;
    bool door_open;
    bool control_open;
    bool stuck;                          /* a job or a backup did not end: leave alone what it might touch */
    struct stead_supervisor *supervisor; /* of an embedded coordinator, or NULL */
};

uint64_t stead_shell_mono_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t stead_shell_wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void stead_shell_fail(struct stead_shell *shell, int code, const char *sentence)
{
    if (atomic_exchange(&shell->failing, true))
        return;
    snprintf(shell->why, sizeof shell->why, "%s", sentence);
    atomic_store(&shell->failed, code);
    stead_bell_ring(&shell->bell);
}

/* ---- Start: the folder and the kinds -------------------------------------------------------- */

static int make_folder(const char *folder, char *ret_why)
{
    struct stat status;

    if (mkdir(folder, 0700) == 0 || (errno == EEXIST && stat(folder, &status) == 0 && S_ISDIR(status.st_mode)))
        return 0;
    snprintf(ret_why, STEAD_SHELL_WHY_SIZE, "data folder %.300s: %s", folder,
             errno == EEXIST ? "this is not a folder" : strerror(errno));
    return STEAD_EIO;
}

/* `kill -9` and a new start at once: a process that had much in memory holds its lock, and its port, for some time
 * yet. */
static int open_patiently(const char *folder, const struct stead_store_rocksdb_options *options,
                          struct stead_store **ret_store, char *ret_why)
{
    int code = stead_store_rocksdb_open(folder, options, ret_store, ret_why);

    for (uint32_t ms = 0; code == STEAD_EINUSE && ms < LEAVING_MS_MAX; ms += LEAVING_PAUSE_MS) {
        int32_t holder = stead_store_rocksdb_holder(folder);
        if (holder != 0 && !stead_process_is_leaving(holder))
            break;
        poll(NULL, 0, LEAVING_PAUSE_MS);
        code = stead_store_rocksdb_open(folder, options, ret_store, ret_why);
    }
    return code;
}

static int open_store(struct node *node, char *ret_why)
{
    const struct stead_node_config *config = node->shell.config;
    struct stead_store_rocksdb_options options = {
        .cache_bytes = config->cache_bytes, .memtable_bytes = config->memtable_bytes, .create = true};
    char why[STEAD_STORE_SENTENCE_MAX] = "";
    char folder[4096], staging[4096];

    int code = make_folder(config->folder, ret_why);
    if (code != 0)
        return code;
    snprintf(folder, sizeof folder, "%s/" STEAD_CONFIG_STORE_FOLDER, config->folder);
    snprintf(staging, sizeof staging, "%s/" STEAD_BACKUP_STAGING_FOLDER, config->folder);
    code = open_patiently(folder, &options, &node->shell.store, why);
    if (code == 0) /* the folder is ours now */
        stead_backup_sweep(staging);
    if (code == 0)
        code = stead_identity_load(node->shell.store, config->name, &node->identity, why);
    if (code == 0) {
        code = stead_store_meta_put(node->shell.store, STEAD_META_STOPPED, (struct stead_slice){0});
        if (code != 0)
            stead_store_explain(node->shell.store, why, sizeof why);
    }
    if (code != 0)
        snprintf(ret_why, STEAD_SHELL_WHY_SIZE, "data folder %.200s: %s", config->folder,
                 why[0] ? why : stead_error_sentence(code));
    return code;
}

static int load_kinds(struct node *node, char *ret_why)
{
    const struct stead_node_config *config = node->shell.config;
    char why[STEAD_MODULES_WHY_SIZE];

    node->shell.registry = stead_registry_create();
    int code = stead_modules_add(node->shell.registry, "built in", stead_builtin_kinds, why);
    if (code == 0)
        code = stead_modules_add_orchestrators(node->shell.registry, "built in", stead_builtin_orchestrators, why);
    if (code == 0 && config->bench_kinds)
        code = stead_modules_add(node->shell.registry, "bench", stead_bench_kinds, why);
    if (code == 0 && config->bench_kinds)
        code = stead_modules_add_orchestrators(node->shell.registry, "bench", stead_bench_orchestrators, why);
    for (uint32_t i = 0; code == 0 && i < config->module_count; i++)
        code = stead_modules_load(node->shell.registry, config->modules[i], why);
    if (code == STEAD_EARGUMENT)
        code = STEAD_EFAILED; /* what the file has in it: nothing is wrong with the config that names it */
    if (code != 0)
        snprintf(ret_why, STEAD_SHELL_WHY_SIZE, "%s", why);
    return code;
}

static int open_marks(struct node *node, char *ret_why)
{
    char why[STEAD_TURNMARK_WHY_SIZE] = "";
    struct stead_turnmark_suspect suspect;
    struct stead_turnmark_death death;

    int code = stead_turnmarks_open(node->shell.config->folder, &node->shell.marks, why);
    if (code != 0) {
        snprintf(ret_why, STEAD_SHELL_WHY_SIZE, "%s", why);
        return code;
    }
    for (uint32_t i = 0; stead_turnmarks_death(node->shell.marks, i, &death); i++)
        stead_log_event(STEAD_TRACE_WARN, "died_in", death.text, "kills=%u", death.kills);
    for (uint32_t i = 0; stead_turnmarks_suspect(node->shell.marks, i, &suspect); i++) {
        char id[33];
        stead_hex(id, suspect.id.v, sizeof suspect.id.v);
        stead_log_event(STEAD_TRACE_DEBUG, "suspect", "this message was being run when the process died",
                        "id=%s kills=%u", id, suspect.kills);
    }
    return 0;
}

/* ---- Start: threads, ports, the coordinator ------------------------------------------------- */

static void on_done(void *context, uint16_t reactor, const struct stead_log_done *done, uint32_t done_count)
{
    struct stead_shell *shell = context;

    for (uint32_t i = 0; i < done_count; i++) {
        struct stead_event event = {.type = done[i].type == STEAD_LOG_SYNCED ? STEAD_EVENT_SYNCED
                                                                             : STEAD_EVENT_ROWS_WRITTEN,
                                    .shard = done[i].shard,
                                    .number = done[i].index};
        stead_reactor_post(shell->reactors[reactor], &event);
    }
}

_Noreturn void stead_shell_disk_failed(const struct stead_shell *shell, int code, const char *sentence)
{
    stead_log_event(STEAD_TRACE_ERROR, "disk_failed", sentence, "node=%s code=%s", shell->config->name,
                    stead_error_name(code));
    stead_log_event(
        STEAD_TRACE_ERROR, "stopped",
        "the disk failed: nothing may be promised any more, so this process ends. Nothing acknowledged is lost: "
        "mend the disk and start the node again",
        "node=%s clean=0", shell->config->name);
    _exit(EXIT_FAILURE);
}

static void on_failed(void *context, int code, const char *sentence)
{
    stead_shell_disk_failed(context, code, sentence);
}

static int start_threads(struct node *node, char *ret_why)
{
    struct stead_shell *shell = &node->shell;
    struct stead_log_writer_options options = {.store = shell->store,
                                               .reactor_count = (uint16_t)shell->reactor_count,
                                               .context = shell,
                                               .done = on_done,
                                               .failed = on_failed};

    int code = stead_log_writer_create(&options, &shell->writer);
    if (code != 0) {
        snprintf(ret_why, STEAD_SHELL_WHY_SIZE, "no thread for the log: %s", stead_error_sentence(code));
        return code;
    }
    shell->jobs = stead_jobs_create(shell->config->job_threads, shell->config->name, shell->marks);
    shell->loader = stead_loader_create(shell->store, shell->config->load_threads);
    stead_cut_init(&shell->cut);
    stead_backup_desk_init(&shell->backup);
    shell->tasks = stead_pool_create("stead-task", TASK_THREADS);
    return 0;
}

/* Connections are descriptors: as many as the system lets us have. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            stead_log_event(STEAD_TRACE_WARN, "descriptors_limited", strerror(errno), NULL);
    }
}

static int open_network(struct node *node)
{
    struct stead_shell *shell = &node->shell;
    int io_threads = shell->reactor_count < 4 ? 1 : (int)shell->reactor_count / 2;

    raise_descriptor_limit();
    shell->zmq = zmq_ctx_new();
    if (!shell->zmq)
        return STEAD_ENOMEM;
    zmq_ctx_set(shell->zmq, ZMQ_IO_THREADS, io_threads);
    zmq_ctx_set(shell->zmq, ZMQ_MAX_SOCKETS, ZMQ_SOCKETS_MAX);
    return 0;
}

static int open_reactors(struct node *node, char *ret_why)
{
    struct stead_shell *shell = &node->shell;
    uint32_t count = shell->reactor_count;
    int code = open_network(node);

    shell->rings = stead_alloc_zero((size_t)count * count * sizeof shell->rings[0]);
    shell->reactors = stead_alloc_zero(count * sizeof(struct stead_reactor *));
    for (uint32_t i = 0; i < count * count; i++)
        shell->rings[i] = stead_ring_create(RING_CAPACITY);
    for (uint32_t i = 0; code == 0 && i < count; i++)
        code = stead_reactor_create(shell, (uint16_t)i, &shell->reactors[i], ret_why);
    return code;
}

static int open_coordinator(struct node *node, char *ret_why)
{
    const struct stead_node_config *config = node->shell.config;
    struct stead_coordinator_client_options options = {.endpoint = config->coordinator};
    char why[STEAD_SUPERVISOR_WHY_SIZE] = "";
    int code = 0;

    if (!config->coordinator) {
        struct stead_supervisor_options embedded = {.folder = config->folder, .nodes_expected = config->nodes_expected};
        code = stead_supervisor_create(&embedded, &node->supervisor, why);
        if (code == 0)
            options.folder = stead_supervisor_folder(node->supervisor);
    }
    node->shell.coordinator = config->coordinator ? config->coordinator : options.folder;
    if (code == 0)
        code = stead_coordinator_client_open(&options, &node->door);
    node->door_open = code == 0;
    node->control.door = &node->door;
    if (code != 0)
        snprintf(ret_why, STEAD_SHELL_WHY_SIZE, "no coordinator: %s", why[0] ? why : stead_error_sentence(code));
    return code;
}

static int start_reactors(struct node *node, char *ret_why)
{
    struct stead_shell *shell = &node->shell;
    int code = 0;

    for (uint32_t i = 0; code == 0 && i < shell->reactor_count; i++)
        code = stead_reactor_start(shell->reactors[i]);
    if (code != 0)
        snprintf(ret_why, STEAD_SHELL_WHY_SIZE, "no thread for a reactor: %s", stead_error_sentence(code));
    return code;
}

/* Everything up to the point where the node waits for its shards. What it opened is closed by close_node(), also after
 * a failure. */
static int open_node(struct node *node, char *ret_why)
{
    int code = stead_bell_init(&node->shell.bell);

    if (code == 0) {
        code = stead_control_init(&node->control, &node->shell);
        node->control.identity = &node->identity;
        node->control_open = true;
    }
    if (code != 0) {
        snprintf(ret_why, STEAD_SHELL_WHY_SIZE, "no file descriptors: %s", strerror(errno));
        return code;
    }
    code = load_kinds(node, ret_why);
    if (code == 0)
        code = open_store(node, ret_why);
    if (code == 0)
        code = open_marks(node, ret_why);
    if (code == 0)
        code = start_threads(node, ret_why);
    if (code == 0)
        code = open_reactors(node, ret_why);
    if (code == 0)
        code = open_coordinator(node, ret_why);
    if (code == 0)
        code = stead_control_enrol(&node->control, ret_why);
    if (code == 0)
        code = start_reactors(node, ret_why);
    return code;
}

/* ---- Stop ----------------------------------------------------------------------------------- */

/* A thread that runs an agent's op cannot be taken out of it, and it may touch anything meanwhile: the process ends as
 * it is. What was acknowledged is on disk, and the turn counts as one that the process died in. */
static _Noreturn void end_stuck(struct node *node, uint32_t reactor)
{
    struct stead_shell *shell = &node->shell;
    char text[STEAD_TURNMARK_TEXT_SIZE];
    uint64_t number = stead_turnmarks_look(shell->marks, reactor, text);
    bool in_turn = number && number == stead_turnmarks_look(shell->marks, reactor, text);

    stead_log_event(STEAD_TRACE_ERROR, "stuck", in_turn ? text : "no turn", "reactor=%u stop_timeout_ms=%u", reactor,
                    shell->config->stop_ms_max);
    stead_supervisor_stop(&node->supervisor);
    stead_log_event(STEAD_TRACE_ERROR, "stopped",
                    "an op does not return: this process ends with it. Nothing acknowledged is lost", "node=%s clean=0",
                    shell->config->name);
    _exit(EXIT_FAILURE);
}

/* `at_once`: nothing is saved, as after a failure. */
static void end_reactors(struct node *node, bool at_once)
{
    struct stead_shell *shell = &node->shell;
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(shell->config->stop_ms_max / 1000 + STUCK_S);
    atomic_store(&shell->stopping, true);
    for (uint32_t i = 0; shell->reactors && i < shell->reactor_count; i++) {
        struct stead_event event = {.type = STEAD_EVENT_STOP, .number = at_once};
        if (shell->reactors[i])
            stead_reactor_post(shell->reactors[i], &event);
    }
    for (uint32_t i = 0; shell->reactors && i < shell->reactor_count; i++) {
        if (shell->reactors[i] && !stead_reactor_join(shell->reactors[i], &until))
            end_stuck(node, i);
    }
}

/* The threads that work for the reactors; afterwards nobody posts to an inbox. */
static void end_threads(struct node *node, bool clean)
{
    struct stead_shell *shell = &node->shell;

    node->stuck = !stead_pool_destroy(&shell->tasks, TASK_WAIT_MS);
    node->stuck = !stead_jobs_destroy(&shell->jobs, shell->config->stop_ms_max) || node->stuck;
    stead_loader_destroy(&shell->loader);
    stead_log_writer_destroy(&shell->writer);
    if (!node->stuck) {
        stead_cut_deinit(&shell->cut);
        stead_backup_desk_deinit(&shell->backup);
    } else {
        stead_log_event(STEAD_TRACE_WARN, "job_left", "a job or a backup did not end in time and ends with the process",
                        NULL);
    }
    if (clean && shell->store) {
        struct stead_writer value;
        stead_writer_init(&value);
        stead_pack(&value, "u", stead_shell_wall_ms());
        if (stead_store_meta_put(shell->store, STEAD_META_STOPPED, stead_written(&value)) != 0)
            stead_log_event(STEAD_TRACE_WARN, "mark_failed", "the mark of the clean stop was not written", NULL);
        stead_writer_deinit(&value);
    }
}

static void leave_coordinator(struct node *node)
{
    if (node->door_open) {
        if (node->shell.incarnation && node->door.leave(node->door.self, COORDINATOR_WAIT_MS) != 0)
            stead_log_event(STEAD_TRACE_DEBUG, "leave_unheard", NULL, NULL);
        node->door.close(node->door.self);
        node->door_open = false;
    }
    stead_supervisor_stop(&node->supervisor);
}

static void free_reactors(struct stead_shell *shell)
{
    uint32_t count = shell->reactor_count;

    for (uint32_t i = 0; shell->reactors && i < count; i++)
        stead_reactor_destroy(&shell->reactors[i]);
    for (uint32_t i = 0; shell->rings && i < count * count; i++)
        stead_ring_destroy(&shell->rings[i]);
    free(shell->reactors);
    free(shell->rings);
    if (shell->zmq)
        zmq_ctx_term(shell->zmq);
}

static void close_node(struct node *node, bool clean)
{
    end_reactors(node, !clean);
    end_threads(node, clean);
    leave_coordinator(node);
    if (node->control_open)
        stead_control_deinit(&node->control);
    if (!node->stuck) {
        free_reactors(&node->shell);
        stead_store_close(&node->shell.store);
        stead_registry_destroy(&node->shell.registry);
        stead_bell_deinit(&node->shell.bell);
    }
    if (clean && node->shell.marks)
        stead_turnmarks_forget(node->shell.marks);
    stead_turnmarks_close(&node->shell.marks);
}

/* What malloc keeps to itself shall follow the budget. Blocks that matter go back to the system when they are freed,
 * where they would leave holes in a heap that cannot shrink; and heaps for threads that hardly allocate are shared when
 * memory is small. */
static void tune_malloc(const struct stead_node_config *config)
{
    uint64_t block = config->memory_bytes / 256, arenas = config->memory_bytes / ARENA_BYTES;

    block = block < MMAP_BYTES_MIN ? MMAP_BYTES_MIN : block > MMAP_BYTES_MAX ? MMAP_BYTES_MAX : block;
    arenas = arenas < config->reactors + 2 ? config->reactors + 2 : arenas;
    mallopt(M_MMAP_THRESHOLD, (int)block);
    mallopt(M_TRIM_THRESHOLD, (int)(2 * block));
    if (arenas < ARENAS_MAX)
        mallopt(M_ARENA_MAX, (int)arenas);
}

int stead_node_run(struct stead_node_config *config)
{
    char why[STEAD_SHELL_WHY_SIZE] = "";

    stead_log_set_level(config->log_level);
    int code = stead_config_check(config, why);
    if (code != 0) {
        stead_log_event(STEAD_TRACE_ERROR, "refused", why, NULL);
        return code;
    }
    tune_malloc(config);
    signal(SIGPIPE, SIG_IGN);
    struct node *node = stead_alloc_zero(sizeof *node);
    node->shell.config = config;
    node->shell.reactor_count = config->reactors;
    node->shell.started_ns = stead_shell_mono_ns();
    atomic_init(&node->shell.journal_kept, config->journal_entries);
    stead_log_event(STEAD_TRACE_INFO, "starting", config->folder, "node=%s pid=%d", config->name, getpid());
    code = open_node(node, why);
    if (code == 0)
        code = stead_control_run(&node->control, why);
    bool clean = code == 0 || code == STEAD_ECANCELLED;
    if (!clean)
        stead_log_event(STEAD_TRACE_ERROR, "failed", why, "node=%s code=%s", config->name, stead_error_name(code));
    close_node(node, clean);
    if (clean || node->control.ready) /* one that did not come so far has said why */
        stead_log_event(clean ? STEAD_TRACE_INFO : STEAD_TRACE_ERROR, "stopped", NULL, "node=%s clean=%d", config->name,
                        clean);
    if (!node->stuck)
        free(node);
    return clean ? 0 : code;
}
