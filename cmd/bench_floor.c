/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_floor: what the same bytes cost without stead: raw ZeroMQ between two processes over tcp loopback, a list in
 * memory, a ring between two threads.
 *
 * The process at the other end echoes every message whose first byte is ECHO and swallows the others, so one socket
 * serves both round trips and one-way rates: a rate ends with one ECHO, which comes back when all before it has
 * arrived.
 */
#include "cmd/bench.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <zmq.h>

#include "runtime/base.h"

#define ECHO 'e'
#define SWALLOW 's'
#define MESSAGE_MAX 65536u
#define TRIP_TIMEOUT_MS 10000
#define RING_SIZE 8192u /* pointers */
#define LIST_DEPTH 1024u

/* ---- ZeroMQ --------------------------------------------------------------------------------- */

/* The other end, until it is killed. */
static _Noreturn void echo(int out)
{
    char endpoint[STEAD_BENCH_ENDPOINT_SIZE] = "";
    size_t size = sizeof endpoint;
    void *context = zmq_ctx_new(), *router = zmq_socket(context, ZMQ_ROUTER);
    zmq_msg_t identity, body;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (zmq_bind(router, "tcp://127.0.0.1:*") != 0 || zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, endpoint, &size) != 0 ||
        write(out, endpoint, sizeof endpoint) != sizeof endpoint)
        _exit(EXIT_FAILURE);
    zmq_msg_init(&identity);
    zmq_msg_init(&body);
    while (zmq_msg_recv(&identity, router, 0) >= 0 && zmq_msg_recv(&body, router, 0) >= 0) {
        if (zmq_msg_size(&body) == 0 || *(const char *)zmq_msg_data(&body) != ECHO)
            continue;
        if (zmq_msg_send(&identity, router, ZMQ_SNDMORE) < 0 || zmq_msg_send(&body, router, 0) < 0)
            break;
    }
    _exit(EXIT_SUCCESS);
}

int stead_bench_echo_start(char *ret_endpoint)
{
    int ends[2];

    if (pipe(ends) != 0)
        return STEAD_EIO;
    pid_t child = fork();
    if (child == 0)
        echo(ends[1]);
    close(ends[1]);
    ssize_t got = child > 0 ? read(ends[0], ret_endpoint, STEAD_BENCH_ENDPOINT_SIZE) : 0;
    close(ends[0]);
    return got == (ssize_t)STEAD_BENCH_ENDPOINT_SIZE ? 0 : STEAD_EIO;
}

int stead_bench_raw_open(const struct stead_bench *bench, struct stead_bench_raw *ret_raw)
{
    int linger = 0, timeout_ms = TRIP_TIMEOUT_MS;

    ret_raw->context = zmq_ctx_new();
    ret_raw->dealer = zmq_socket(ret_raw->context, ZMQ_DEALER);
    zmq_setsockopt(ret_raw->dealer, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(ret_raw->dealer, ZMQ_RCVTIMEO, &timeout_ms, sizeof timeout_ms);
    if (zmq_connect(ret_raw->dealer, bench->echo) == 0)
        return 0;
    stead_bench_raw_close(ret_raw);
    return stead_bench_fail(bench, "no raw socket: %s", zmq_strerror(errno));
}

void stead_bench_raw_close(struct stead_bench_raw *raw)
{
    if (raw->dealer)
        zmq_close(raw->dealer);
    if (raw->context)
        zmq_ctx_term(raw->context);
    *raw = (struct stead_bench_raw){NULL, NULL};
}

int stead_bench_raw_trips(struct stead_bench_raw *raw, size_t size, uint64_t *ret_ns, size_t count)
{
    char message[MESSAGE_MAX] = {ECHO};
    zmq_msg_t answer;
    int got = 0;

    STEAD_ASSERT(size >= 1 && size <= sizeof message);
    zmq_msg_init(&answer);
    for (size_t i = 0; i < count && got >= 0; i++) {
        uint64_t start_ns = stead_bench_now_ns();
        got = zmq_send(raw->dealer, message, size, 0);
        if (got >= 0)
            got = zmq_msg_recv(&answer, raw->dealer, 0);
        ret_ns[i] = stead_bench_now_ns() - start_ns;
    }
    zmq_msg_close(&answer);
    return got >= 0 ? 0 : STEAD_EIO;
}

int stead_bench_raw_rate(struct stead_bench_raw *raw, size_t size, uint64_t count, double *ret_rate)
{
    char message[MESSAGE_MAX] = {SWALLOW}, last[1] = {ECHO};
    uint64_t start_ns = stead_bench_now_ns();

    STEAD_ASSERT(size >= 1 && size <= sizeof message);
    for (uint64_t i = 0; i < count; i++) {
        if (zmq_send(raw->dealer, message, size, 0) < 0)
            return STEAD_EIO;
    }
    if (zmq_send(raw->dealer, last, sizeof last, 0) < 0 || zmq_recv(raw->dealer, last, sizeof last, 0) < 0)
        return STEAD_EIO;
    *ret_rate = (double)count * 1e9 / (double)(stead_bench_now_ns() - start_ns);
    return 0;
}

/* ---- Memory --------------------------------------------------------------------------------- */

struct item {
    struct item *next;
    uint64_t number;
    char payload[48];
};

static uint64_t receive(const struct item *item)
{
    return item->number;
}

double stead_bench_list_rate(uint64_t count)
{
    uint64_t (*volatile run)(const struct item *) = receive; /* an op is called through a pointer too */
    struct item *head = NULL, **tail = &head;
    uint64_t sum = 0, start_ns = stead_bench_now_ns();

    for (uint64_t i = 0; i < count + LIST_DEPTH; i++) {
        if (i < count) {
            struct item *item = stead_alloc(sizeof *item);
            item->next = NULL;
            item->number = i;
            memset(item->payload, 0, sizeof item->payload);
            *tail = item;
            tail = &item->next;
        }
        if (i >= LIST_DEPTH) {
            struct item *item = head;
            head = item->next;
            if (!head)
                tail = &head;
            sum += run(item);
            free(item);
        }
    }
    STEAD_ASSERT(sum == count * (count - 1) / 2);
    return (double)count * 1e9 / (double)(stead_bench_now_ns() - start_ns);
}

/* One writer, one reader; each keeps to its own cache line. */
struct ring {
    _Alignas(64) _Atomic uint64_t pushed;
    _Alignas(64) _Atomic uint64_t taken;
    _Alignas(64) uint64_t count;
    uint64_t slots[RING_SIZE];
};

static void *push_all(void *context)
{
    struct ring *ring = context;

    for (uint64_t i = 0; i < ring->count;) {
        uint64_t room = RING_SIZE - (i - atomic_load_explicit(&ring->taken, memory_order_acquire));
        for (uint64_t k = 0; k < room && i < ring->count; k++, i++)
            ring->slots[i % RING_SIZE] = i;
        atomic_store_explicit(&ring->pushed, i, memory_order_release);
    }
    return NULL;
}

double stead_bench_ring_rate(uint64_t count)
{
    struct ring *ring = aligned_alloc(64, (sizeof *ring + 63) / 64 * 64);
    uint64_t sum = 0, start_ns = stead_bench_now_ns();
    pthread_t thread;

    STEAD_ASSERT(ring != NULL);
    atomic_init(&ring->pushed, 0);
    atomic_init(&ring->taken, 0);
    ring->count = count;
    int code = pthread_create(&thread, NULL, push_all, ring);
    for (uint64_t i = 0; code == 0 && i < count;) {
        uint64_t until = atomic_load_explicit(&ring->pushed, memory_order_acquire);
        for (; i < until; i++)
            sum += ring->slots[i % RING_SIZE];
        atomic_store_explicit(&ring->taken, i, memory_order_release);
    }
    if (code == 0)
        pthread_join(thread, NULL);
    uint64_t elapsed_ns = stead_bench_now_ns() - start_ns;
    free(ring);
    return code == 0 && sum > 0 ? (double)count * 1e9 / (double)elapsed_ns : 0;
}
