/* SPDX-License-Identifier: Apache-2.0 */
/*
 * faulty_disk: a library to put between a program and its disk (LD_PRELOAD), for tests with real processes.
 *
 *   STEAD_DISK_FOLDER=DIR       only files below DIR are looked at (an absolute path; required)
 *   STEAD_DISK_STATE=FILE       a mapped file with counters and lengths (below); required for everything that outlives the process
 *   STEAD_DISK_DELAY_US=N       every fsync and fdatasync takes N microseconds longer
 *   STEAD_DISK_FAIL_SYNC=N      the N-th sync of this process, from 1, fails with EIO; its data is dropped from the account
 *   STEAD_DISK_FULL_AFTER=N     writes fail with ENOSPC once the process has written N bytes
 *   STEAD_DISK_FULL_FILE=FILE   writes fail with ENOSPC while FILE exists
 *   STEAD_DISK_FULL_BUT=END     but for files whose name ends so: they had their room before
 *   STEAD_DISK_BAD_FILE=FILE    while FILE exists, what a reactor of a node (a thread stead-react-*) reads of a table of
 *                               the store (*.sst) fails with EIO; what other threads read does not
 *   STEAD_DISK_READ_US=N        each such read takes N microseconds longer
 *
 * Lost writes. SIGKILL alone loses nothing: the kernel has the pages. So the state file remembers, for every file, its
 * length at its last successful sync; it is shared memory and outlives the process. After the kill a test cuts each
 * file there (faulty_disk.py: drop_unsynced), which is what a power loss leaves of a file that only grows. All files of
 * a data folder do, but for mapped ones and those that are replaced by rename. A new file has length 0 until it is
 * synced, a file that was there before counts as synced; a length is taken before the sync is asked for, so a write
 * beside it does not count. Not modelled: lost renames and unlinks, holes, overwritten bytes.
 *
 *   state file:  0  8  magic "STEADFD1"      24  8  bytes written        40     zero
 *                8  8  records               32  8  syncs that failed    1024   records of 1024 bytes:
 *               16  8  syncs                                                    0 path, 1008 synced length u64, 1016 present u64
 *
 * Several processes may share one state file (a node and its coordinator): counters and records are changed by atomic
 * operations only.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define RECORDS_MAX 16384u
#define FILES_MAX 65536 /* file descriptors looked at */
#define PATH_BYTES 1008u
#define MAGIC 0x3144464441455453u /* "STEADFD1" */

struct record {
    char path[PATH_BYTES];
    uint64_t synced;  /* length at the last sync */
    uint64_t present; /* 1, or 0 when it was removed */
};

struct state {
    uint64_t magic;
    uint64_t record_count;
    uint64_t syncs;
    uint64_t bytes;
    uint64_t failed_syncs;
    uint8_t zero[1024 - 40];
    struct record records[RECORDS_MAX];
};

/* One for the process: an interposed library has no other place. */
static struct {
    bool ready;
    bool active; /* a folder was given */
    char folder[PATH_MAX];
    size_t folder_size;
    const char *full_file, *full_but, *bad_file;
    uint64_t delay_us, read_us, fail_sync, full_after;
    uint64_t syncs, bytes; /* of this process */
    struct state *state;
    struct state own;               /* without a state file */
    struct record *file[FILES_MAX]; /* by descriptor; NULL: not ours */
} disk;

#define REAL(name) ((__typeof__(&name))real_function(#name))

static void *real_function(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (function == NULL)
        abort();
    return function;
}

static uint64_t number_of(const char *name)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : 0;
}

static struct state *map_state(const char *path)
{
    int file = (int)REAL(open)(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0 || REAL(ftruncate)(file, (off_t)sizeof(struct state)) != 0)
        abort();
    void *memory = mmap(NULL, sizeof(struct state), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED)
        abort();
    REAL(close)(file);
    struct state *state = memory;
    state->magic = MAGIC;
    return state;
}

__attribute__((constructor)) static void prepare(void)
{
    const char *folder = getenv("STEAD_DISK_FOLDER");
    const char *state = getenv("STEAD_DISK_STATE");
    if (disk.ready)
        return;
    disk.ready = true;
    if (folder == NULL || realpath(folder, disk.folder) == NULL)
        return;
    disk.folder_size = strlen(disk.folder);
    disk.full_file = getenv("STEAD_DISK_FULL_FILE");
    disk.full_but = getenv("STEAD_DISK_FULL_BUT");
    disk.bad_file = getenv("STEAD_DISK_BAD_FILE");
    disk.delay_us = number_of("STEAD_DISK_DELAY_US");
    disk.read_us = number_of("STEAD_DISK_READ_US");
    disk.fail_sync = number_of("STEAD_DISK_FAIL_SYNC");
    disk.full_after = number_of("STEAD_DISK_FULL_AFTER");
    disk.state = state != NULL ? map_state(state) : &disk.own;
    disk.active = true;
}

static void wait_us(uint64_t us)
{
    const struct timespec delay = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
    if (us > 0)
        nanosleep(&delay, NULL);
}

static uint64_t add(uint64_t *counter, uint64_t by)
{
    return __atomic_add_fetch(counter, by, __ATOMIC_SEQ_CST);
}

/* ---- Which files, how long ------------------------------------------------------------------ */

/* The absolute path, when it is below the folder; the file itself need not exist. */
static bool resolve(int folder_file, const char *path, char *ret_path)
{
    char folder[PATH_MAX];
    char joined[PATH_MAX];
    const char *name = strrchr(path, '/');
    if (!disk.active)
        return false;
    if (path[0] != '/' && folder_file != AT_FDCWD) {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder_file);
        ssize_t size = readlink(link, folder, sizeof folder - 1);
        if (size < 0)
            return false;
        folder[size] = 0;
        if (snprintf(joined, sizeof joined, "%.2000s/%.2000s", folder, path) >= (int)sizeof joined)
            return false;
        return resolve(AT_FDCWD, joined, ret_path);
    }
    snprintf(joined, sizeof joined, "%.*s", name != NULL ? (int)(name - path) : 1, name != NULL ? path : ".");
    if (realpath(joined[0] != 0 ? joined : "/", folder) == NULL)
        return false;
    int size = snprintf(ret_path, PATH_BYTES, "%.700s/%.300s", folder, name != NULL ? name + 1 : path);
    return size > 0 && size < (int)PATH_BYTES && strncmp(ret_path, disk.folder, disk.folder_size) == 0 &&
           ret_path[disk.folder_size] == '/';
}

static struct record *find_record(const char *path)
{
    uint64_t count = __atomic_load_n(&disk.state->record_count, __ATOMIC_SEQ_CST);
    for (uint64_t i = count < RECORDS_MAX ? count : RECORDS_MAX; i-- > 0;)
        if (disk.state->records[i].present && strcmp(disk.state->records[i].path, path) == 0)
            return &disk.state->records[i];
    return NULL;
}

static struct record *make_record(const char *path, uint64_t synced)
{
    uint64_t at = add(&disk.state->record_count, 1) - 1;
    if (at >= RECORDS_MAX)
        abort(); /* a test that makes so many files needs a larger table */
    struct record *record = &disk.state->records[at];
    snprintf(record->path, sizeof record->path, "%s", path);
    record->synced = synced;
    __atomic_store_n(&record->present, 1, __ATOMIC_SEQ_CST);
    return record;
}

/* A descriptor was opened. `size`: of the file before; negative: there was none. */
static void note_open(int file, const char *path, int flags, off_t size)
{
    struct stat status;
    if (file < 0 || file >= FILES_MAX || fstat(file, &status) != 0 || !S_ISREG(status.st_mode))
        return;
    if ((flags & O_ACCMODE) == O_RDONLY)
        return;
    struct record *record = find_record(path);
    uint64_t synced = size > 0 && (flags & O_TRUNC) == 0 ? (uint64_t)size : 0;
    if (record == NULL)
        record = make_record(path, synced);
    else if (size < 0 || (flags & O_TRUNC) != 0)
        record->synced = 0;
    disk.file[file] = record;
}

static struct record *record_of(int file)
{
    return disk.active && file >= 0 && file < FILES_MAX ? disk.file[file] : NULL;
}

/* ---- Opening and closing -------------------------------------------------------------------- */

static int open_file(int folder_file, const char *path, int flags, mode_t mode)
{
    char full[PATH_BYTES];
    struct stat status;
    prepare();
    bool ours = resolve(folder_file, path, full);
    off_t size = ours && stat(full, &status) == 0 ? status.st_size : -1;
    int file = REAL(openat)(folder_file, path, flags, mode);
    if (ours)
        note_open(file, full, flags, size);
    return file;
}

static mode_t mode_of(int flags, va_list args)
{
    bool creates = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE; /* O_TMPFILE holds O_DIRECTORY's bit */
    return creates ? va_arg(args, mode_t) : 0;
}

#define OPEN(name, ...)                                                                                                \
    int name(__VA_ARGS__, int flags, ...)                                                                              \
    {                                                                                                                  \
        va_list args;                                                                                                  \
        va_start(args, flags);                                                                                         \
        mode_t mode = mode_of(flags, args);                                                                            \
        va_end(args);                                                                                                  \
        return open_file(FOLDER, path, flags, mode);                                                                   \
    }
#define FOLDER AT_FDCWD
OPEN(open, const char *path)
OPEN(open64, const char *path)
#undef FOLDER
#define FOLDER folder
OPEN(openat, int folder, const char *path)
OPEN(openat64, int folder, const char *path)
#undef FOLDER

int creat(const char *path, mode_t mode)
{
    return open_file(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

int close(int file)
{
    if (record_of(file) != NULL)
        disk.file[file] = NULL;
    return REAL(close)(file);
}

int unlink(const char *path)
{
    char full[PATH_BYTES];
    prepare();
    struct record *record = resolve(AT_FDCWD, path, full) ? find_record(full) : NULL;
    int result = REAL(unlink)(path);
    if (record != NULL && result == 0)
        __atomic_store_n(&record->present, 0, __ATOMIC_SEQ_CST);
    return result;
}

int rename(const char *from, const char *to)
{
    char full_from[PATH_BYTES];
    char full_to[PATH_BYTES];
    prepare();
    bool ours = resolve(AT_FDCWD, from, full_from) && resolve(AT_FDCWD, to, full_to);
    struct record *moved = ours ? find_record(full_from) : NULL;
    struct record *replaced = ours ? find_record(full_to) : NULL;
    int result = REAL(rename)(from, to);
    if (result == 0 && replaced != NULL)
        __atomic_store_n(&replaced->present, 0, __ATOMIC_SEQ_CST);
    if (result == 0 && moved != NULL)
        memcpy(moved->path, full_to, sizeof moved->path);
    return result;
}

/* ---- Reading -------------------------------------------------------------------------------- */

static bool reads_a_table(int file)
{
    char thread[16] = "", link[64], path[PATH_BYTES];
    prctl(PR_GET_NAME, thread);
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t size = strncmp(thread, "stead-react", 11) == 0 ? readlink(link, path, sizeof path - 1) : -1;
    return size >= 4 && memcmp(path + size - 4, ".sst", 4) == 0 && strncmp(path, disk.folder, disk.folder_size) == 0;
}

/* Whether the disk gives what is read, in its time; else errno says why not. */
static bool gives(int file)
{
    bool bad = disk.bad_file != NULL && access(disk.bad_file, F_OK) == 0;
    if (!disk.active || (!bad && disk.read_us == 0) || !reads_a_table(file))
        return true;
    wait_us(disk.read_us);
    if (bad)
        errno = EIO;
    return !bad;
}

ssize_t pread(int file, void *data, size_t size, off_t at)
{
    return gives(file) ? REAL(pread)(file, data, size, at) : -1;
}

ssize_t pread64(int file, void *data, size_t size, off64_t at)
{
    return gives(file) ? REAL(pread64)(file, data, size, at) : -1;
}

/* ---- Writing -------------------------------------------------------------------------------- */

static bool ends_with(const char *path, const char *end)
{
    size_t size = strlen(path), end_size = strlen(end);
    return size >= end_size && memcmp(path + size - end_size, end, end_size) == 0;
}

/* Whether the disk takes `size` more bytes; else errno says why not. */
static bool takes(int file, size_t size)
{
    const struct record *record = record_of(file);
    if (record == NULL)
        return true;
    bool full = disk.full_file != NULL && access(disk.full_file, F_OK) == 0 &&
                (disk.full_but == NULL || !ends_with(record->path, disk.full_but));
    uint64_t bytes = add(&disk.bytes, size);
    if (full || (disk.full_after > 0 && bytes > disk.full_after)) {
        errno = ENOSPC;
        return false;
    }
    add(&disk.state->bytes, size);
    return true;
}

static size_t size_of(const struct iovec *parts, int count)
{
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += parts[i].iov_len;
    return size;
}

ssize_t write(int file, const void *data, size_t size)
{
    return takes(file, size) ? REAL(write)(file, data, size) : -1;
}

ssize_t pwrite(int file, const void *data, size_t size, off_t at)
{
    return takes(file, size) ? REAL(pwrite)(file, data, size, at) : -1;
}

ssize_t pwrite64(int file, const void *data, size_t size, off64_t at)
{
    return takes(file, size) ? REAL(pwrite64)(file, data, size, at) : -1;
}

ssize_t writev(int file, const struct iovec *parts, int count)
{
    return takes(file, size_of(parts, count)) ? REAL(writev)(file, parts, count) : -1;
}

static void note_length(int file, off_t size)
{
    struct record *record = record_of(file);
    if (record != NULL && (uint64_t)size < record->synced)
        record->synced = (uint64_t)size; /* what was cut off cannot come back */
}

int ftruncate(int file, off_t size)
{
    int result = REAL(ftruncate)(file, size);
    if (result == 0)
        note_length(file, size);
    return result;
}

int ftruncate64(int file, off64_t size)
{
    int result = REAL(ftruncate64)(file, size);
    if (result == 0)
        note_length(file, size);
    return result;
}

/* ---- Syncing -------------------------------------------------------------------------------- */

static int sync_file(int file, int (*real)(int))
{
    struct record *record = record_of(file);
    struct stat status;
    if (record == NULL)
        return real(file);
    wait_us(disk.delay_us);
    add(&disk.state->syncs, 1);
    if (add(&disk.syncs, 1) == disk.fail_sync) {
        add(&disk.state->failed_syncs, 1);
        errno = EIO;
        return -1;
    }
    bool known = fstat(file, &status) == 0;
    int result = real(file);
    if (result == 0 && known)
        __atomic_store_n(&record->synced, (uint64_t)status.st_size, __ATOMIC_SEQ_CST);
    return result;
}

int fsync(int file)
{
    return sync_file(file, REAL(fsync));
}

int fdatasync(int file)
{
    return sync_file(file, REAL(fdatasync));
}
