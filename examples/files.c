/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files: fan-out and fan-in: counts the words of all files of a folder, each file by an activity of its own, at once,
 * on whatever nodes there are.
 *
 *     stead run files '{"folder": "/usr/share/common-licenses"}' --wait        {"files": 17, "words": ..., "lines": ..., "largest": "GPL-3"}
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "stead/orchestration.h"

#define FILES_MAX 10000u

/* ---- Activities ----------------------------------------------------------------------------- */

/* FOLDER: the names of its files, as a list. */
static int list_files(struct stead_job *job, struct stead_slice args)
{
    char folder[512], path[1024];
    struct stead_writer names, list;
    struct dirent *entry;
    struct stat about;
    uint32_t count = 0;

    if (stead_get_text(args, NULL, folder, sizeof folder) != 0)
        return stead_job_fail(job, "bad_folder", "files takes the path of a folder");
    DIR *directory = opendir(folder);
    if (directory == NULL)
        return stead_job_fail(job, "no_folder", "%s cannot be read", folder);
    stead_writer_init(&names);
    while (count < FILES_MAX && (entry = readdir(directory)) != NULL) {
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (stat(path, &about) != 0 || !S_ISREG(about.st_mode))
            continue;
        stead_write_str(&names, entry->d_name);
        count++;
    }
    closedir(directory);
    stead_writer_init(&list);
    stead_write_array(&list, count);
    stead_write_raw(&list, names.data, names.size);
    int code = stead_job_reply(job, stead_written(&list));
    stead_writer_deinit(&list);
    stead_writer_deinit(&names);
    return code;
}

/* {folder, file}: its words and lines. A large file says now and then that it is still being read. */
static int count_words(struct stead_job *job, struct stead_slice args)
{
    char folder[512], file[256], path[1024], bytes[65536];
    uint64_t words = 0, lines = 0;
    bool inside = false;
    size_t size;

    if (stead_get_text(args, "folder", folder, sizeof folder) != 0 ||
        stead_get_text(args, "file", file, sizeof file) != 0)
        return stead_job_fail(job, "bad_file", "files.count takes a folder and a file");
    snprintf(path, sizeof path, "%s/%s", folder, file);
    FILE *stream = fopen(path, "rb");
    if (stream == NULL)
        return stead_job_fail(job, "no_file", "%s cannot be read", path);
    while ((size = fread(bytes, 1, sizeof bytes, stream)) > 0 &&
           stead_job_heartbeat(job, (struct stead_slice){NULL, 0}) == 0) {
        for (size_t i = 0; i < size; i++) {
            bool blank = strchr(" \t\r\n\f\v", bytes[i]) != NULL;
            words += !blank && !inside;
            inside = !blank;
            lines += bytes[i] == '\n';
        }
    }
    bool failed = ferror(stream) != 0;
    fclose(stream);
    if (failed || stead_job_cancelled(job))
        return failed ? STEAD_EIO : STEAD_ECANCELLED;
    return stead_job_reply(job, stead_job_packed(job, "{s:u,s:u}", "words", words, "lines", lines));
}

/* ---- The orchestration ---------------------------------------------------------------------- */

/* Begins one task a file; `names` is a list of texts. */
static int fan_out(struct stead_orchestration *o, const char *folder, struct stead_slice *names,
                   struct stead_task *tasks, uint32_t count)
{
    static const struct stead_task_options options = {.retry = {.first_ms = 500, .attempts_max = 3, .coefficient = 2},
                                                      .heartbeat_timeout_ms = 30000};

    for (uint32_t i = 0; i < count; i++)
        tasks[i] = stead_begin_activity(o, "files.count",
                                        stead_packed_for(o, "{s:s,s:v}", "folder", folder, "file", names[i]), &options);
    return stead_await_all(o, tasks, count);
}

/* Adds the results up. */
static int fan_in(struct stead_orchestration *o, const struct stead_slice *names, const struct stead_task *tasks,
                  uint32_t count)
{
    uint64_t words = 0, lines = 0, most = 0;
    struct stead_slice largest = {NULL, 0}, result;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t file_words = 0, file_lines = 0;
        int code = stead_await(o, tasks[i], &result);
        if (code == 0)
            code = stead_get_u64(result, "words", &file_words);
        if (code == 0)
            code = stead_get_u64(result, "lines", &file_lines);
        if (code != 0)
            return code;
        words += file_words;
        lines += file_lines;
        if (file_words > most) {
            most = file_words;
            largest = names[i];
        }
    }
    return stead_complete(o, stead_packed_for(o, "{s:u,s:u,s:u,s:v}", "files", (uint64_t)count, "words", words, "lines",
                                              lines, "largest", largest));
}

static int files(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice list;
    char folder[512];
    uint32_t count;

    if (stead_get_text(input, "folder", folder, sizeof folder) != 0)
        return stead_fail_with(o, "bad_folder", "files takes {folder: PATH}");
    int code = stead_await_activity(o, "files.list", stead_packed_for(o, "s", folder), &list);
    if (code != 0)
        return code;
    struct stead_reader reader = stead_reader(stead_keep(o, list));
    if (stead_read_array(&reader, &count) != 0)
        return STEAD_ECORRUPT;
    struct stead_slice *names = stead_keep_bytes(o, (count + 1) * sizeof *names);
    struct stead_task *tasks = stead_keep_bytes(o, (count + 1) * sizeof *tasks);
    for (uint32_t i = 0; code == 0 && i < count; i++)
        code = stead_read_value(&reader, &names[i]);
    if (code == 0)
        code = fan_out(o, folder, names, tasks, count);
    return code == 0 ? fan_in(o, names, tasks, count) : code;
}

STEAD_ACTIVITY(list_activity, "files.list", list_files, STEAD_KIND_IDEMPOTENT);
STEAD_ACTIVITY(count_activity, "files.count", count_words, STEAD_KIND_IDEMPOTENT);
STEAD_MODULE(&list_activity, &count_activity);

static const struct stead_orchestrator files_orchestrator = {.abi = STEAD_ORCHESTRATION_ABI,
                                                             .struct_size = sizeof(struct stead_orchestrator),
                                                             .name = "files",
                                                             .help = "{folder}: counts the words of its files",
                                                             .version = 1,
                                                             .run = files};
STEAD_ORCHESTRATORS(&files_orchestrator);
