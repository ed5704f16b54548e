/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup: see backup.h. Two queries make a backup of several nodes:
 *
 *     `hold` to all      each node takes nothing more from outside           runtime/hold.h
 *     `backup` to all    each copies its store, of links, in a moment; lets go; then moves and sums the copy
 *
 * The same token in both. A node that did not hold from the first to the end of its copy (it has restarted, the time
 * was over, somebody else's backup) refuses, so that no backup says it is of one moment and is not. `backup` names the
 * nodes that have said that they hold: one that hears of both late, after the asker has given it up and the others have
 * let go, is not among them. A cluster of one node does without: one store has one moment.
 *
 * Invariant H2: a copy is of a cut only if this node held without a break from before all were known to hold until it
 * was made.
 *
 * What is said of a node that refuses is part of a good answer ({name, why}), because a merged answer shows of a bad
 * one only whose it is.
 */
#include "node/backup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "node/coordinator_client.h"
#include "node/log.h"
#include "persist/backup.h"
#include "persist/format.h"
#include "runtime/base.h"

#define COORDINATOR_MS 5000 /* a backup waits so long for what the coordinator knows */
#define HOLD_MS_MAX 60000u

struct backup_task {
    struct stead_work work; /* the pool's */
    struct stead_shell *shell;
    struct stead_backup_info info;
    bool of_cut;          /* info.cut is a token that was given */
    bool several;         /* of nodes: a cut must stand ... */
    bool listed;          /* ... and the asker know that this one holds */
    char directory[2048]; /* as asked for */
    char folder[4096];    /* this node's, in it */
};

/* ---- Holding -------------------------------------------------------------------------------- */

/* 0; STEAD_ENOTFOUND: there is none; STEAD_EARGUMENT: it is not 32 hexadecimal digits. */
static int read_token(const struct stead_message *request, struct stead_id *ret_token)
{
    char text[33] = "";

    *ret_token = (struct stead_id){0};
    int code = stead_get_text(stead_message_payload(request), "token", text, sizeof text);
    if (code != 0)
        return code == STEAD_ENOTFOUND ? code : STEAD_EARGUMENT;
    bool good = strlen(text) == 32 && stead_unhex(text, 32, ret_token->v, sizeof ret_token->v) == 0;
    return good && !stead_id_equal(*ret_token, (struct stead_id){0}) ? 0 : STEAD_EARGUMENT;
}

static bool has_peers(const struct stead_reactor *reactor)
{
    return reactor->table && reactor->table->node_count > 1;
}

void stead_backup_write_held(const struct stead_shell *shell, const char *why, struct stead_writer *value)
{
    stead_pack(value, "{s:[{s:s,s:b,s:s}]}", "nodes", "name", shell->config->name, "held", (int)(why == NULL), "why",
               why == NULL ? "" : why);
}

static void answer_held(struct stead_reactor *reactor, const struct stead_message *request, const char *why)
{
    struct stead_writer value;

    stead_writer_init(&value);
    stead_backup_write_held(reactor->shell, why, &value);
    stead_reactor_answer_value(reactor, request, stead_written(&value));
    stead_writer_deinit(&value);
}

static void let_go(struct stead_shell *shell, struct stead_id token)
{
    const struct stead_event event = {.type = STEAD_EVENT_LET_GO};

    if (!stead_cut_end(&shell->cut, token))
        return;
    for (uint32_t i = 0; i < shell->reactor_count; i++)
        stead_reactor_post(shell->reactors[i], &event);
}

bool stead_backup_begin_hold(struct stead_reactor *reactor, const struct stead_message *request)
{
    struct stead_shell *shell = reactor->shell;
    uint64_t ms = 0, now_ns = stead_shell_mono_ns();
    struct stead_id token;

    if (read_token(request, &token) != 0 || stead_get_u64(stead_message_payload(request), "ms", &ms) != 0 ||
        ms > HOLD_MS_MAX) {
        stead_reactor_answer_error(reactor, request, STEAD_EARGUMENT,
                                   "hold takes a token of 32 hexadecimal digits, and ms, up to a minute");
        return false;
    }
    if (ms == 0) {
        let_go(shell, token);
        answer_held(reactor, request, "it was let go");
        return false;
    }
    if (!has_peers(reactor)) {
        answer_held(reactor, request, NULL);
        return false;
    }
    if (stead_cut_begin(&shell->cut, token, now_ns + ms * 1000000, now_ns) != 0) {
        answer_held(reactor, request, "another backup is being made");
        return false;
    }
    return true;
}

void stead_backup_hold_here(struct stead_reactor *reactor, const struct stead_message *copy)
{
    struct stead_id token;
    uint64_t until_ns =
        read_token(copy, &token) == 0 ? stead_cut_until_ns(&reactor->shell->cut, token, stead_shell_mono_ns()) : 0;

    if (until_ns != 0 && !reactor->stopping)
        stead_host_hold(reactor->host, until_ns);
}

/* ---- Copying -------------------------------------------------------------------------------- */

/* Puts what the coordinator knows into the store for as long as it is copied: a folder restored without it would be of
 * no cluster. The epochs in it are those of all copies: they rise only when a node starts, and one that has started
 * since does not hold any more. */
static int add_coordinator(struct stead_shell *shell, char *ret_why)
{
    const struct stead_coordinator_client_options options = {
        .endpoint = shell->config->coordinator, .folder = shell->config->coordinator ? NULL : shell->coordinator};
    struct stead_writer rows;

    stead_writer_init(&rows);
    int code = stead_coordinator_client_rows(&options, COORDINATOR_MS, &rows);
    if (code != 0) {
        snprintf(ret_why, STEAD_STORE_SENTENCE_MAX, "the coordinator at %.200s does not tell what it knows: %s",
                 shell->coordinator, stead_error_sentence(code));
    } else {
        code = stead_store_meta_put(shell->store, STEAD_META_COORDINATOR, stead_written(&rows));
        if (code != 0)
            stead_store_explain(shell->store, ret_why, STEAD_STORE_SENTENCE_MAX);
    }
    stead_writer_deinit(&rows);
    return code;
}

/* Is `name` among the names of `nodes`? */
static bool is_listed(const struct stead_message *request, const char *name)
{
    struct stead_slice list, it;
    uint32_t count = 0;
    bool found = false;

    if (stead_get_value(stead_message_payload(request), "nodes", &list) != 0)
        return false;
    struct stead_reader reader = stead_reader(list);
    if (stead_read_array(&reader, &count) != 0)
        return false;
    for (uint32_t i = 0; i < count && !found && stead_read_str(&reader, &it) == 0; i++)
        found = stead_slice_equal(it, stead_str(name));
    return found;
}

/* Does this node still hold for this backup? */
static int look_at_cut(struct backup_task *task, char *ret_why)
{
    struct stead_shell *shell = task->shell;

    bool stands = stead_cut_until_ns(&shell->cut, task->info.cut, stead_shell_mono_ns()) != 0;
    if (!task->several || (stands && task->listed))
        return 0;
    snprintf(ret_why, STEAD_STORE_SENTENCE_MAX, "%s",
             stands ? "it holds, but said so too late: the others have not waited for it"
             : task->of_cut
                 ? "it does not hold for this backup any more: it has restarted, or the copy took longer than "
                   "the hold lasts; its copy would not be of one moment with the others"
                 : "a backup of several nodes needs a hold first, whose token it names");
    return STEAD_ECONFLICT;
}

static int copy_made(void *context, char *ret_why)
{
    struct backup_task *task = context;
    int code = look_at_cut(task, ret_why);

    let_go(task->shell, task->info.cut);
    return code;
}

static int make_backup(struct backup_task *task, char *ret_why)
{
    struct stead_shell *shell = task->shell;
    char staging[4096];

    if (!stead_cut_begin_copy(&shell->cut)) {
        snprintf(ret_why, STEAD_STORE_SENTENCE_MAX, "another backup is being made");
        return STEAD_EBUSY;
    }
    snprintf(staging, sizeof staging, "%s/" STEAD_BACKUP_STAGING_FOLDER, shell->config->folder);
    const struct stead_backup_way way = {.staging = staging, .made = copy_made, .context = task};
    int code = look_at_cut(task, ret_why);
    /* Every node makes the folder of its own in it; whoever comes first makes the one around them. */
    if (code == 0 && mkdir(task->directory, 0700) != 0 && errno != EEXIST) {
        snprintf(ret_why, STEAD_STORE_SENTENCE_MAX, "%.200s: %s", task->directory, strerror(errno));
        code = STEAD_EIO;
    }
    if (code == 0)
        code = add_coordinator(shell, ret_why);
    if (code == 0)
        code = stead_backup_take(shell->store, &way, task->folder, &task->info, ret_why);
    let_go(shell, task->info.cut);
    stead_cut_end_copy(&shell->cut);
    return code;
}

/* What is said of a backup that failed, of a cut: the others' parts of the answer are of use all the same. */
static void write_failed(const struct stead_shell *shell, const char *why, struct stead_writer *value)
{
    stead_pack(value, "{s:[],s:[{s:s,s:s}]}", "nodes", "failed", "name", shell->config->name, "why", why);
}

static void run_backup(struct stead_work *work)
{
    struct backup_task *task = (struct backup_task *)work;
    char why[STEAD_STORE_SENTENCE_MAX] = "";
    uint64_t started_ns = stead_shell_mono_ns();
    struct stead_writer value;

    int code = make_backup(task, why);
    uint64_t duration_ms = (stead_shell_mono_ns() - started_ns) / 1000000;
    stead_writer_init(&value);
    if (code != 0)
        stead_log_event(STEAD_TRACE_WARN, "backup_failed", why, "code=%s", stead_error_name(code));
    if (code != 0 && task->of_cut)
        write_failed(task->shell, why[0] ? why : stead_error_sentence(code), &value);
    else if (code == 0)
        stead_pack(&value, "{s:[{s:s,s:s,s:u,s:u,s:u}],s:[]}", "nodes", "name", task->shell->config->name, "directory",
                   task->folder, "bytes", task->info.bytes, "files", (uint64_t)task->info.file_count, "duration_ms",
                   duration_ms, "failed");
    stead_backup_desk_end(&task->shell->backup, task->of_cut ? 0 : code, why, stead_written(&value));
    stead_writer_deinit(&value);
    free(task);
}

static void refuse_another(struct stead_reactor *reactor, const struct stead_message *request, bool of_cut)
{
    static const char why[] = "another backup is being made";
    struct stead_writer value;

    stead_writer_init(&value);
    write_failed(reactor->shell, why, &value);
    if (of_cut)
        stead_reactor_answer_value(reactor, request, stead_written(&value));
    else
        stead_reactor_answer_error(reactor, request, STEAD_EBUSY, why);
    stead_writer_deinit(&value);
}

void stead_backup_start(struct stead_reactor *reactor, const struct stead_message *request)
{
    struct stead_shell *shell = reactor->shell;
    struct backup_task *task = stead_alloc_zero(sizeof *task);
    char *directory = task->directory;
    int token = read_token(request, &task->info.cut);

    if (stead_get_text(stead_message_payload(request), "directory", directory, sizeof task->directory) != 0 ||
        directory[0] != '/' || token == STEAD_EARGUMENT) {
        stead_reactor_answer_error(reactor, request, STEAD_EARGUMENT,
                                   "directory must be an absolute path of at most 2047 bytes; a token is 32 "
                                   "hexadecimal digits");
        free(task);
        return;
    }
    int code = stead_backup_desk_take(&shell->backup, request, &reactor->inbox);
    if (code != 0) {
        if (code == STEAD_EBUSY)
            refuse_another(reactor, request, token == 0);
        free(task);
        return;
    }
    snprintf(task->folder, sizeof task->folder, "%s/%s", directory, shell->config->name);
    task->work.run = run_backup;
    task->shell = shell;
    task->of_cut = token == 0;
    task->several = has_peers(reactor);
    task->listed = is_listed(request, shell->config->name);
    task->info.node = shell->node;
    task->info.nodes = reactor->table ? reactor->table->node_count : 1;
    task->info.taken_ms = stead_shell_wall_ms();
    if (reactor->table)
        task->info.cluster = reactor->table->cluster;
    snprintf(task->info.node_name, sizeof task->info.node_name, "%s", shell->config->name);
    stead_pool_submit(shell->tasks, &task->work);
}
