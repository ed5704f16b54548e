/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator_lock: the lock and the line.
 *
 * The line is written into the locked file itself, with one pwrite of its whole length, and cut to it: the file is
 * never replaced, or two processes could each lock a file of that name. A reader that meets a half-written line sees no
 * newline at its end and takes it for "not yet". The line of a process that was killed stays; it is not believed,
 * because that process does not run.
 */
#define _GNU_SOURCE
#include "node/coordinator_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_SIZE 4096
#define LINE_SIZE 320

static int make_path(const char *folder, char *ret_path)
{
    return snprintf(ret_path, PATH_SIZE, "%s/lock", folder) < PATH_SIZE ? 0 : STEAD_EIO;
}

int stead_coordinator_lock_take(const char *folder, struct stead_coordinator_lock *ret_lock)
{
    char path[PATH_SIZE];
    if (make_path(folder, path) != 0)
        return STEAD_EIO;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return STEAD_EIO;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int code = errno == EWOULDBLOCK ? STEAD_EINUSE : STEAD_EIO;
        close(fd);
        return code;
    }
    if (ftruncate(fd, 0) != 0) {
        close(fd);
        return STEAD_EIO;
    }
    ret_lock->fd = fd;
    return 0;
}

int stead_coordinator_lock_publish(struct stead_coordinator_lock *lock, const char *endpoint)
{
    char line[LINE_SIZE];
    struct stead_process self;
    if (stead_process_identify(getpid(), &self) != 0)
        return STEAD_EIO;
    size_t size = stead_process_format(&self, line, sizeof line);
    int more = snprintf(line + size, sizeof line - size, " %s\n", endpoint);
    if (more < 0 || (size_t)more >= sizeof line - size)
        return STEAD_EIO;
    size += (size_t)more;
    if (pwrite(lock->fd, line, size, 0) != (ssize_t)size || ftruncate(lock->fd, (off_t)size) != 0)
        return STEAD_EIO;
    return 0;
}

int stead_coordinator_lock_watch(const char *folder)
{
    char path[PATH_SIZE];
    int fd = make_path(folder, path) == 0 ? inotify_init1(IN_CLOEXEC | IN_NONBLOCK) : -1;
    if (fd >= 0 && inotify_add_watch(fd, path, IN_ATTRIB) < 0) { /* the number of its names is one of them */
        close(fd);
        fd = -1;
    }
    return fd;
}

bool stead_coordinator_lock_is_gone(const struct stead_coordinator_lock *lock)
{
    struct stat status;
    return fstat(lock->fd, &status) == 0 && status.st_nlink == 0;
}

void stead_coordinator_lock_release(struct stead_coordinator_lock *lock)
{
    if (lock->fd < 0)
        return;
    /* Emptied first, so that nobody believes the line while this process goes on without serving. */
    if (ftruncate(lock->fd, 0) != 0)
        (void)!pwrite(lock->fd, "\n", 1, 0);
    close(lock->fd);
    lock->fd = -1;
}

int stead_coordinator_lock_find(const char *folder, struct stead_coordinator_place *ret_place)
{
    char path[PATH_SIZE], line[LINE_SIZE];
    struct stead_coordinator_place it;
    memset(&it, 0, sizeof it);
    if (make_path(folder, path) != 0)
        return STEAD_ENOTFOUND;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return STEAD_ENOTFOUND;
    ssize_t got = pread(fd, line, sizeof line - 1, 0);
    close(fd);
    if (got <= 0 || line[got - 1] != '\n')
        return STEAD_ENOTFOUND;
    line[got] = 0;
    size_t at = stead_process_parse(line, &it.process);
    if (at == 0 || sscanf(line + at, " %127s", it.endpoint) != 1 || !stead_process_runs(&it.process))
        return STEAD_ENOTFOUND;
    *ret_place = it;
    return 0;
}
