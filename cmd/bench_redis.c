/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_redis: Redis streams as the peer of a hub's queue: XADD, XREADGROUP, XACK, every write synced (appendfsync
 * always).
 *
 * Its protocol in the few words that are needed: commands are arrays of bulk strings; of a reply only the bulk strings
 * matter, in their order, whatever the nesting.
 */
#include "cmd/bench_queue.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base.h"

#define STREAM "tasks"
#define GROUP "workers"
#define BUFFER 65536u
#define TEXT_SIZE 128u
#define PIPELINE 2048u /* twice the XADDs that are on their way at once */
#define START_TRIES 200
#define START_PAUSE_US 20000

struct end {
    int fd;
    char name[32]; /* of the consumer */
    char in[BUFFER];
    size_t at, size;                        /* unread bytes in `in` */
    char ids[STEAD_QUEUE_BATCH][TEXT_SIZE]; /* of the last take */
    uint64_t numbers[STEAD_QUEUE_BATCH];    /* its tasks */
    uint32_t taken;                         /* how many */
};

/* A bulk string of a reply, by its number among them. */
typedef void visit_fn(struct end *end, uint32_t number, const char *text);

/* ---- Words on a socket ---------------------------------------------------------------------- */

static int send_all(struct end *end, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(end->fd, bytes, size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return STEAD_EIO;
        bytes += sent > 0 ? sent : 0;
        size -= sent > 0 ? (size_t)sent : 0;
    }
    return 0;
}

static int fill(struct end *end)
{
    ssize_t got = recv(end->fd, end->in, sizeof end->in, 0);

    end->at = 0;
    end->size = got > 0 ? (size_t)got : 0;
    return got > 0 ? 0 : STEAD_EIO;
}

static int read_byte(struct end *end, char *ret_byte)
{
    int code = end->at < end->size ? 0 : fill(end);

    if (code == 0)
        *ret_byte = end->in[end->at++];
    return code;
}

/* One line without its end; what does not fit is lost. */
static int read_line(struct end *end, char *text, size_t size)
{
    size_t used = 0;
    char byte = 0;
    int code = 0;

    while ((code = read_byte(end, &byte)) == 0 && byte != '\n') {
        if (byte != '\r' && used + 1 < size)
            text[used++] = byte;
    }
    text[used] = '\0';
    return code;
}

static int read_bulk(struct end *end, long size, char *text)
{
    int code = 0;

    for (long i = 0; code == 0 && i < size + 2; i++) { /* and its line end */
        char byte = 0;
        code = read_byte(end, &byte);
        if (i < size && i < (long)TEXT_SIZE - 1)
            text[i] = byte;
    }
    text[size < (long)TEXT_SIZE - 1 ? size : (long)TEXT_SIZE - 1] = '\0';
    return code;
}

/* One whole reply: its bulk strings go to `visit` by their number. STEAD_EFAILED for an error. */
static int read_reply(struct end *end, visit_fn *visit)
{
    char text[TEXT_SIZE];
    uint32_t strings = 0;
    int code = 0;

    for (long left = 1; code == 0 && left > 0;) {
        code = read_line(end, text, sizeof text);
        long number = strtol(text + 1, NULL, 10);
        left--;
        if (code != 0 || text[0] == '-')
            return code != 0 ? code : STEAD_EFAILED;
        if (text[0] == '*')
            left += number > 0 ? number : 0;
        if (text[0] == '$' && number >= 0) {
            code = read_bulk(end, number, text);
            if (code == 0 && visit)
                visit(end, strings, text);
            strings++;
        }
    }
    return code;
}

/* Appends a command of `count` words. */
static size_t pack(char *buffer, size_t size, const char *const *words, uint32_t count)
{
    int used = snprintf(buffer, size, "*%u\r\n", count);

    for (uint32_t i = 0; i < count; i++)
        used += snprintf(buffer + used, size - (size_t)used, "$%zu\r\n%s\r\n", strlen(words[i]), words[i]);
    STEAD_ASSERT((size_t)used < size);
    return (size_t)used;
}

static int ask(struct end *end, const char *const *words, uint32_t count, visit_fn *visit)
{
    char buffer[8192];
    int code = send_all(end, buffer, pack(buffer, sizeof buffer, words, count));

    return code == 0 ? read_reply(end, visit) : code;
}

/* ---- The queue ------------------------------------------------------------------------------ */

static void close_end(void *it)
{
    struct end *end = it;

    if (end->fd >= 0)
        close(end->fd);
    free(end);
}

static int connect_to(const char *place)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(place, NULL, 10))};
    struct timeval patience = {.tv_sec = 60};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

static int open_end(const char *place, void **ret_end)
{
    static const char *const group[] = {"XGROUP", "CREATE", STREAM, GROUP, "0", "MKSTREAM"};
    struct end *end = stead_alloc_zero(sizeof *end);

    end->fd = connect_to(place);
    snprintf(end->name, sizeof end->name, "c%d", end->fd);
    if (end->fd < 0) {
        close_end(end);
        return STEAD_EIO;
    }
    int code = ask(end, group, 6, NULL);
    if (code != 0 && code != STEAD_EFAILED) { /* an error: it is there */
        close_end(end);
        return code;
    }
    *ret_end = end;
    return 0;
}

static size_t pack_put(char *buffer, size_t size, uint64_t number)
{
    char body[STEAD_QUEUE_BODY + 1];
    const char *const words[] = {"XADD", STREAM, "*", "t", body};

    snprintf(body, sizeof body, "%0*" PRIu64, (int)STEAD_QUEUE_BODY, number);
    return pack(buffer, size, words, 5);
}

static int put(void *it, uint64_t number)
{
    struct end *end = it;
    char buffer[512];
    int code = send_all(end, buffer, pack_put(buffer, sizeof buffer, number));

    return code == 0 ? read_reply(end, NULL) : code;
}

static int put_many(void *it, uint64_t first, uint64_t count)
{
    struct end *end = it;
    char *buffer = stead_alloc(PIPELINE * 256u);
    int code = 0;

    for (uint64_t done = 0; code == 0 && done < count;) {
        uint64_t some = count - done < PIPELINE / 2 ? count - done : PIPELINE / 2;
        size_t used = 0;
        for (uint64_t i = 0; i < some; i++)
            used += pack_put(buffer + used, PIPELINE * 256u - used, first + done + i);
        code = send_all(end, buffer, used);
        for (uint64_t i = 0; code == 0 && i < some; i++)
            code = read_reply(end, NULL);
        done += some;
    }
    free(buffer);
    return code;
}

/* The stream's name, then of each task: id, field, body. */
static void take_string(struct end *end, uint32_t number, const char *text)
{
    uint32_t task = number > 0 ? (number - 1) / 3 : 0;

    if (number == 0 || task >= STEAD_QUEUE_BATCH)
        return;
    if ((number - 1) % 3 == 0)
        snprintf(end->ids[task], sizeof end->ids[task], "%s", text);
    if ((number - 1) % 3 == 2) {
        end->numbers[task] = strtoull(text, NULL, 10);
        end->taken = task + 1;
    }
}

static int ask_for_more(void *it)
{
    struct end *end = it;
    char buffer[8192], count[16], wait[16];
    const char *acknowledge[3 + STEAD_QUEUE_BATCH] = {"XACK", STREAM, GROUP};
    const char *const more[] = {"XREADGROUP", "GROUP", GROUP,     end->name, "COUNT", count,
                                "BLOCK",      wait,    "STREAMS", STREAM,    ">"};
    size_t used = 0;

    snprintf(count, sizeof count, "%u", STEAD_QUEUE_BATCH);
    snprintf(wait, sizeof wait, "%d", STEAD_QUEUE_WAIT_MS);
    for (uint32_t i = 0; i < end->taken; i++)
        acknowledge[3 + i] = end->ids[i];
    if (end->taken > 0)
        used = pack(buffer, sizeof buffer, acknowledge, 3 + end->taken);
    used += pack(buffer + used, sizeof buffer - used, more, 11);
    return send_all(end, buffer, used);
}

static int done(void *it)
{
    return read_reply(it, NULL);
}

static int take(void *it, uint64_t *ret_numbers, uint32_t *ret_count)
{
    struct end *end = it;

    end->taken = 0;
    int code = read_reply(end, take_string);
    if (code != 0)
        return code;
    memcpy(ret_numbers, end->numbers, end->taken * sizeof end->numbers[0]);
    *ret_count = end->taken;
    return 0;
}

const struct stead_queue_kind stead_redis_queue = {.name = "redis",
                                                   .open = open_end,
                                                   .close = close_end,
                                                   .put = put,
                                                   .put_many = put_many,
                                                   .ask = ask_for_more,
                                                   .done = done,
                                                   .take = take};

/* ---- The server ----------------------------------------------------------------------------- */

/* A port that nobody listens on now. */
static uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        address.sin_port = 0;
    close(fd);
    return ntohs(address.sin_port);
}

int stead_redis_start(struct stead_bench *bench, pid_t *ret_pid, char *ret_place)
{
    char place[16];
    int fd = -1;

    snprintf(place, sizeof place, "%u", free_port());
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execlp("redis-server", "redis-server", "--port", place, "--bind", "127.0.0.1", "--dir", bench->folder,
               "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--loglevel", "warning", "--logfile",
               "redis.log", "--daemonize", "no", (char *)NULL);
        _exit(127);
    }
    for (int i = 0; pid > 0 && fd < 0 && i < START_TRIES; i++) {
        usleep(START_PAUSE_US);
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return STEAD_ENOTFOUND;
        fd = connect_to(place);
    }
    if (fd < 0)
        return STEAD_ENOTFOUND;
    close(fd);
    memcpy(ret_place, place, sizeof place);
    *ret_pid = pid;
    return 0;
}
