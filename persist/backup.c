/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup: a checkpoint of the store with a manifest that makes it one.
 *
 *   stead-backup 1
 *   cluster 32 hexadecimal digits
 *   node ID
 *   nodes COUNT
 *   name NAME
 *   taken_ms MILLISECONDS
 *   cut 32 hexadecimal digits     0: of no moment but this node's own
 *   file NAME SIZE CRC-32C        one a file of data/, the checksum in 8 hexadecimal digits
 *   end CRC-32C                   of all the lines before
 *
 * Taking: the checkpoint, of links and so done in a moment, beside the store; then it moves to where it belongs, by
 * name or by copying; then the manifest, synced and renamed into place: a backup that was interrupted has no manifest.
 * Restoring: everything is checked first; then the files are copied and synced, CURRENT last: without that file a
 * folder holds no database, so a restore that was interrupted is not taken for one. Files are copied, never linked:
 * backup and node share no bytes afterwards.
 */
#include "persist/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base.h"
#include "runtime/entry.h"

#define MANIFEST_VERSION 2u /* 1 had no cut */
#define MANIFEST_BYTES_MAX (16u * 1024 * 1024)
#define FILES_MAX 100000u
#define PATH_BYTES 4096
#define NAME_BYTES 256
#define COPY_BYTES 65536
#define LAST_FILE "CURRENT"

struct backup_file {
    char name[NAME_BYTES];
    uint64_t size;
    uint32_t crc;
};

struct manifest {
    struct stead_backup_info info;
    struct backup_file *files; /* owned */
    uint32_t capacity;
};

/* Writes the sentence, gives the code. */
STEAD_PRINTF(3, 4) static int explain(char *ret_sentence, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(ret_sentence, STEAD_STORE_SENTENCE_MAX, format, args);
    va_end(args);
    return code;
}

static int explain_system(char *ret_sentence, const char *path, const char *what)
{
    return explain(ret_sentence, STEAD_EIO, "%.300s cannot be %s: %s", path, what, strerror(errno));
}

static int join_path(const char *folder, const char *name, char *ret_path, char *ret_sentence)
{
    if (snprintf(ret_path, PATH_BYTES, "%s/%s", folder, name) >= PATH_BYTES)
        return explain(ret_sentence, STEAD_EARGUMENT, "the path of the folder is too long");
    return 0;
}

/* ---- Folders and files ---------------------------------------------------------------------- */

/* Makes `folder` unless it is there and empty. */
static int claim_folder(const char *folder, char *ret_sentence)
{
    if (mkdir(folder, 0777) == 0)
        return 0;
    if (errno != EEXIST)
        return explain_system(ret_sentence, folder, "made");
    DIR *directory = opendir(folder);
    if (directory == NULL)
        return explain_system(ret_sentence, folder, "read");
    bool empty = true;
    for (struct dirent *it = readdir(directory); it != NULL && empty; it = readdir(directory))
        empty = strcmp(it->d_name, ".") == 0 || strcmp(it->d_name, "..") == 0;
    closedir(directory);
    return empty ? 0 : explain(ret_sentence, STEAD_EINUSE, "%.300s is not empty: nothing is overwritten", folder);
}

static int sync_folder(const char *folder, char *ret_sentence)
{
    int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failed = file < 0 || fsync(file) != 0;
    int code = failed ? explain_system(ret_sentence, folder, "synced") : 0;
    if (file >= 0)
        close(file);
    return code;
}

static bool write_all(int file, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t some = write(file, data, size);
        if (some < 0 && errno == EINTR)
            continue;
        if (some <= 0)
            return false;
        data += some;
        size -= (size_t)some;
    }
    return true;
}

/* Reads `from` to its end, sums it up, and writes it to `to` unless that is negative. */
static bool pump_file(int from, int to, uint64_t *ret_size, uint32_t *ret_crc)
{
    uint8_t *buffer = stead_alloc(COPY_BYTES);
    uint64_t size = 0;
    uint32_t crc = 0;
    ssize_t some;
    bool good = true;
    while (good && (some = read(from, buffer, COPY_BYTES)) != 0) {
        if (some < 0) {
            good = errno == EINTR;
            continue;
        }
        size += (uint64_t)some;
        crc = stead_crc32c(crc, buffer, (size_t)some);
        good = to < 0 || write_all(to, buffer, (size_t)some);
    }
    free(buffer);
    *ret_size = size;
    *ret_crc = crc;
    return good;
}

static int sum_file(const char *path, uint64_t *ret_size, uint32_t *ret_crc, char *ret_sentence)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return explain_system(ret_sentence, path, "opened");
    bool good = pump_file(file, -1, ret_size, ret_crc);
    int code = good ? 0 : explain_system(ret_sentence, path, "read");
    close(file);
    return code;
}

static int copy_file(const char *from_path, const char *to_path, char *ret_sentence)
{
    uint64_t size;
    uint32_t crc;
    int from = open(from_path, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return explain_system(ret_sentence, from_path, "opened");
    int to = open(to_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    bool good = to >= 0 && pump_file(from, to, &size, &crc) && fsync(to) == 0;
    int code = good ? 0 : explain_system(ret_sentence, to_path, "written");
    if (to >= 0 && close(to) != 0 && code == 0)
        code = explain_system(ret_sentence, to_path, "closed");
    close(from);
    return code;
}

/* ---- The manifest --------------------------------------------------------------------------- */

static struct backup_file *add_file(struct manifest *manifest)
{
    if (manifest->info.file_count == manifest->capacity) {
        manifest->capacity = manifest->capacity > 0 ? manifest->capacity * 2 : 64;
        manifest->files = stead_realloc(manifest->files, manifest->capacity * sizeof(manifest->files[0]));
    }
    struct backup_file *file = &manifest->files[manifest->info.file_count++];
    *file = (struct backup_file){.size = 0};
    return file;
}

/* A file name as RocksDB gives them: no path, no blanks. */
static bool is_plain_name(const char *name)
{
    size_t size = strlen(name);
    return size > 0 && size < NAME_BYTES && name[0] != '.' && strpbrk(name, "/ \n") == NULL;
}

static int sum_data(const char *data, struct manifest *manifest, char *ret_sentence)
{
    DIR *directory = opendir(data);
    if (directory == NULL)
        return explain_system(ret_sentence, data, "read");
    int code = 0;
    for (struct dirent *it = readdir(directory); it != NULL && code == 0; it = readdir(directory)) {
        char path[PATH_BYTES];
        if (!is_plain_name(it->d_name))
            continue;
        struct backup_file *file = add_file(manifest);
        memcpy(file->name, it->d_name, strlen(it->d_name));
        code = join_path(data, file->name, path, ret_sentence);
        if (code == 0)
            code = sum_file(path, &file->size, &file->crc, ret_sentence);
        manifest->info.bytes += file->size;
    }
    closedir(directory);
    return code;
}

STEAD_PRINTF(2, 3) static void write_line(struct stead_writer *text, const char *format, ...)
{
    char line[NAME_BYTES + 128];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    STEAD_ASSERT(size > 0 && (size_t)size < sizeof line);
    stead_write_raw(text, line, (size_t)size);
}

static void encode_manifest(const struct manifest *manifest, struct stead_writer *text)
{
    char cluster[33], cut[33];
    stead_hex(cluster, manifest->info.cluster.v, sizeof manifest->info.cluster.v);
    stead_hex(cut, manifest->info.cut.v, sizeof manifest->info.cut.v);
    write_line(text, "stead-backup %u\ncluster %s\n", MANIFEST_VERSION, cluster);
    write_line(text, "node %" PRIu32 "\nnodes %" PRIu32 "\n", manifest->info.node, manifest->info.nodes);
    write_line(text, "name %s\ntaken_ms %" PRIu64 "\n", manifest->info.node_name, manifest->info.taken_ms);
    write_line(text, "cut %s\n", cut);
    for (uint32_t i = 0; i < manifest->info.file_count; i++)
        write_line(text, "file %s %" PRIu64 " %08" PRIx32 "\n", manifest->files[i].name, manifest->files[i].size,
                   manifest->files[i].crc);
    write_line(text, "end %08" PRIx32 "\n", stead_crc32c(0, text->data, text->size));
}

static bool decode_line(struct manifest *manifest, const char *line)
{
    struct stead_backup_info *info = &manifest->info;
    char id[33];
    if (sscanf(line, "cluster %32s", id) == 1)
        return stead_unhex(id, strlen(id), info->cluster.v, sizeof info->cluster.v) == 0;
    if (sscanf(line, "cut %32s", id) == 1)
        return stead_unhex(id, strlen(id), info->cut.v, sizeof info->cut.v) == 0;
    if (sscanf(line, "node %" SCNu32, &info->node) == 1 || sscanf(line, "nodes %" SCNu32, &info->nodes) == 1 ||
        sscanf(line, "taken_ms %" SCNu64, &info->taken_ms) == 1 || sscanf(line, "name %63s", info->node_name) == 1)
        return true;
    if (strcmp(line, "name ") == 0)
        return true;
    if (strncmp(line, "file ", 5) != 0 || info->file_count >= FILES_MAX)
        return false;
    struct backup_file *file = add_file(manifest);
    bool good = sscanf(line, "file %255s %" SCNu64 " %" SCNx32, file->name, &file->size, &file->crc) == 3 &&
                is_plain_name(file->name);
    info->bytes += file->size;
    return good;
}

/* `text` ends with a zero and is changed. */
static int decode_manifest(char *text, size_t size, struct manifest *manifest, char *ret_sentence)
{
    unsigned version;
    uint32_t crc;
    if (sscanf(text, "stead-backup %u\n", &version) != 1)
        return explain(ret_sentence, STEAD_ECORRUPT, "the manifest is not one of a stead backup");
    if (version == 0 || version > MANIFEST_VERSION)
        return explain(ret_sentence, STEAD_EVERSION, "the backup has manifest version %u, this version reads %u",
                       version, MANIFEST_VERSION);
    char *end = size >= 13 ? text + size - 13 : text; /* "end 01234567\n" */
    if (sscanf(end, "end %" SCNx32, &crc) != 1 || crc != stead_crc32c(0, text, (size_t)(end - text)))
        return explain(ret_sentence, STEAD_ECORRUPT, "the manifest is damaged or cut short");
    *end = 0;
    char *rest = strchr(text, '\n') + 1;
    for (char *line = strtok_r(rest, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        if (!decode_line(manifest, line))
            return explain(ret_sentence, STEAD_ECORRUPT, "the manifest has a line that makes no sense: %.100s", line);
    return 0;
}

static int store_manifest(const char *folder, const struct manifest *manifest, char *ret_sentence)
{
    char path[PATH_BYTES];
    char draft[PATH_BYTES];
    int code = join_path(folder, STEAD_BACKUP_MANIFEST, path, ret_sentence);
    if (code == 0)
        code = join_path(folder, STEAD_BACKUP_MANIFEST ".new", draft, ret_sentence);
    if (code != 0)
        return code;
    struct stead_writer text;
    stead_writer_init(&text);
    encode_manifest(manifest, &text);
    int file = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool good = file >= 0 && write_all(file, text.data, text.size) && fsync(file) == 0;
    if (file >= 0)
        good = close(file) == 0 && good;
    good = good && rename(draft, path) == 0;
    code = good ? sync_folder(folder, ret_sentence) : explain_system(ret_sentence, path, "written");
    stead_writer_deinit(&text);
    return code;
}

static int load_manifest(const char *folder, struct manifest *manifest, char *ret_sentence)
{
    char path[PATH_BYTES];
    int code = join_path(folder, STEAD_BACKUP_MANIFEST, path, ret_sentence);
    if (code != 0)
        return code;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return explain(ret_sentence, STEAD_ENOTFOUND, "%.300s holds no finished backup: there is no manifest", folder);
    char *text = stead_alloc(MANIFEST_BYTES_MAX + 1);
    size_t size = fread(text, 1, MANIFEST_BYTES_MAX, file);
    fclose(file);
    text[size] = 0;
    code = decode_manifest(text, size, manifest, ret_sentence);
    free(text);
    return code;
}

/* ---- Taking, verifying, restoring ----------------------------------------------------------- */

/* A folder and its files. */
static void sweep_folder(const char *folder)
{
    char path[PATH_BYTES];
    char sentence[STEAD_STORE_SENTENCE_MAX];
    DIR *directory = opendir(folder);

    if (directory == NULL)
        return;
    for (struct dirent *it = readdir(directory); it != NULL; it = readdir(directory))
        if (is_plain_name(it->d_name) && join_path(folder, it->d_name, path, sentence) == 0)
            unlink(path);
    closedir(directory);
    rmdir(folder);
}

void stead_backup_sweep(const char *staging)
{
    char path[PATH_BYTES];

    sweep_folder(staging);
    /* RocksDB makes the copy under this name. */
    if (snprintf(path, sizeof path, "%s.tmp", staging) < (int)sizeof path)
        sweep_folder(path);
}

/* Moves the copy to `data`: by its name alone, or file by file onto another file system. */
static int move_data(const char *staging, const char *data, char *ret_sentence)
{
    int code = 0;
    if (rename(staging, data) == 0)
        return 0;
    if (errno != EXDEV || mkdir(data, 0777) != 0)
        return explain_system(ret_sentence, data, "made");
    DIR *directory = opendir(staging);
    if (directory == NULL)
        return explain_system(ret_sentence, staging, "read");
    for (struct dirent *it = readdir(directory); it != NULL && code == 0; it = readdir(directory)) {
        char from[PATH_BYTES];
        char to[PATH_BYTES];
        if (!is_plain_name(it->d_name))
            continue;
        code = join_path(staging, it->d_name, from, ret_sentence);
        if (code == 0)
            code = join_path(data, it->d_name, to, ret_sentence);
        if (code == 0)
            code = copy_file(from, to, ret_sentence);
    }
    closedir(directory);
    return code != 0 ? code : sync_folder(data, ret_sentence);
}

/* The copy of the store, in the staging folder; what is left of it goes when it is of no use. */
static int make_copy(struct stead_store *store, const struct stead_backup_way *way, char *ret_sentence)
{
    stead_backup_sweep(way->staging);
    int code = stead_store_backup(store, way->staging);
    if (code != 0)
        stead_store_explain(store, ret_sentence, STEAD_STORE_SENTENCE_MAX);
    if (code == 0 && way->made != NULL)
        code = way->made(way->context, ret_sentence);
    return code;
}

int stead_backup_take(struct stead_store *store, const struct stead_backup_way *way, const char *folder,
                      struct stead_backup_info *info, char *ret_sentence)
{
    char data[PATH_BYTES];
    struct manifest manifest = {.info = *info};
    manifest.info.bytes = 0;
    manifest.info.file_count = 0;
    ret_sentence[0] = 0;
    int code = join_path(folder, STEAD_BACKUP_DATA, data, ret_sentence);
    if (code == 0)
        code = claim_folder(folder, ret_sentence);
    if (code == 0)
        code = make_copy(store, way, ret_sentence);
    if (code == 0)
        code = move_data(way->staging, data, ret_sentence);
    stead_backup_sweep(way->staging);
    if (code == 0)
        code = sum_data(data, &manifest, ret_sentence);
    if (code == 0)
        code = store_manifest(folder, &manifest, ret_sentence);
    if (code == 0)
        *info = manifest.info;
    free(manifest.files);
    return code;
}

/* Every file is there, with its size and checksum. */
static int verify_files(const char *folder, const struct manifest *manifest, char *ret_sentence)
{
    int code = 0;
    for (uint32_t i = 0; i < manifest->info.file_count && code == 0; i++) {
        const struct backup_file *file = &manifest->files[i];
        char name[NAME_BYTES + sizeof STEAD_BACKUP_DATA + 1];
        char path[PATH_BYTES];
        uint64_t size = 0;
        uint32_t crc = 0;
        snprintf(name, sizeof name, "%s/%s", STEAD_BACKUP_DATA, file->name);
        code = join_path(folder, name, path, ret_sentence);
        if (code == 0 && access(path, F_OK) != 0)
            code = explain(ret_sentence, STEAD_ECORRUPT, "the backup's file %.200s is missing", file->name);
        if (code == 0)
            code = sum_file(path, &size, &crc, ret_sentence);
        if (code == 0 && (size != file->size || crc != file->crc))
            code = explain(ret_sentence, STEAD_ECORRUPT, "the backup's file %.200s is not what its manifest says",
                           file->name);
    }
    return code;
}

static int load_and_verify(const char *folder, struct manifest *manifest, char *ret_sentence)
{
    ret_sentence[0] = 0;
    int code = load_manifest(folder, manifest, ret_sentence);
    return code != 0 ? code : verify_files(folder, manifest, ret_sentence);
}

int stead_backup_look(const char *folder, struct stead_backup_info *ret_info, char *ret_sentence)
{
    struct manifest manifest = {.files = NULL};
    ret_sentence[0] = 0;
    int code = load_manifest(folder, &manifest, ret_sentence);
    if (code == 0)
        *ret_info = manifest.info;
    free(manifest.files);
    return code;
}

int stead_backup_verify(const char *folder, struct stead_backup_info *ret_info, char *ret_sentence)
{
    struct manifest manifest = {.files = NULL};
    int code = load_and_verify(folder, &manifest, ret_sentence);
    if (code == 0)
        *ret_info = manifest.info;
    free(manifest.files);
    return code;
}

/* Copies all files but the last one, or that one alone. */
static int copy_files(const char *backup, const char *folder, const struct manifest *manifest, bool last,
                      char *ret_sentence)
{
    int code = 0;
    for (uint32_t i = 0; i < manifest->info.file_count && code == 0; i++) {
        const char *name = manifest->files[i].name;
        char data_name[NAME_BYTES + sizeof STEAD_BACKUP_DATA + 1];
        char from[PATH_BYTES];
        char to[PATH_BYTES];
        if ((strcmp(name, LAST_FILE) == 0) != last)
            continue;
        snprintf(data_name, sizeof data_name, "%s/%s", STEAD_BACKUP_DATA, name);
        code = join_path(backup, data_name, from, ret_sentence);
        if (code == 0)
            code = join_path(folder, name, to, ret_sentence);
        if (code == 0)
            code = copy_file(from, to, ret_sentence);
    }
    return code != 0 ? code : sync_folder(folder, ret_sentence);
}

int stead_backup_restore(const char *backup, const char *folder, bool one_of_several,
                         struct stead_backup_info *ret_info, char *ret_sentence)
{
    struct manifest manifest = {.files = NULL};
    int code = load_and_verify(backup, &manifest, ret_sentence);
    if (code == 0 && manifest.info.nodes > 1 && !one_of_several)
        code = explain(ret_sentence, STEAD_ECONFLICT,
                       "this is node %" PRIu32 " of %" PRIu32 ": restored alone it forgets what it acknowledged to the "
                       "others; restore all nodes, or say that this loss is wanted",
                       manifest.info.node, manifest.info.nodes);
    if (code == 0)
        code = claim_folder(folder, ret_sentence);
    if (code == 0)
        code = copy_files(backup, folder, &manifest, false, ret_sentence);
    if (code == 0)
        code = copy_files(backup, folder, &manifest, true, ret_sentence);
    if (code == 0)
        *ret_info = manifest.info;
    free(manifest.files);
    return code;
}
