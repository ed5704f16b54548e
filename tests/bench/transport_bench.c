/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_bench: what the transport adds to ZeroMQ, measured beside a raw DEALER/ROUTER of the same bytes in the same
 * run.
 *
 *     transport_bench [TRIPS] [RECORDS]
 *
 * Two processes on loopback, an I/O thread each. It prints one line of JSON a figure, as `stead bench` does:
 *   codec_encode, codec_decode    ns a record
 *   client_trip                   a raw DEALER that speaks the protocol <-> a transport; floor: raw_trip
 *   node_trip                     a transport <-> a transport, a DEALER each way; floor: raw_trip
 *   one_way                       records a second from one transport to another, 64 B payload
 * The trips of the kinds take turns in slices, so that a slow moment of the machine meets all of them.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <zmq.h>

#include "net/frame.h"
#include "net/transport.h"
#include "runtime/address.h"
#include "runtime/base.h"

#define SLICES 10
#define WINDOW 20000 /* records on their way in one_way */

/* One reactor's loop around a transport. */
struct station {
    struct stead_transport *transport;
    int epoll;
    const char *peer_endpoint; /* where the other one listens */
    bool echo;                 /* answer calls, send back marked tells */
    uint64_t received;
};

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    exit(1);
}

/* ---- A station ------------------------------------------------------------------------------ */

static void on_message(void *self, struct stead_message **message)
{
    struct station *s = self;
    struct stead_message *m = *message;
    *message = NULL;
    s->received++;
    if (s->echo && m->type == STEAD_CALL) {
        struct stead_message *answer = stead_message_answer(m, 0, NULL, stead_message_payload(m));
        stead_transport_answer(s->transport, &answer);
    } else if (s->echo && (m->flags & STEAD_FLAG_RETRY)) {
        stead_transport_send(s->transport, 1, 0, &m);
        return;
    }
    stead_message_destroy(&m);
}

static void on_peer_up(void *self, uint32_t node, uint64_t incarnation, uint16_t reactor)
{
    (void)self, (void)node, (void)incarnation, (void)reactor;
}

static void on_peer_down(void *self, uint32_t node, uint16_t reactor)
{
    (void)self, (void)node, (void)reactor;
}

static void on_table(void *self, struct stead_slice bytes)
{
    (void)self, (void)bytes;
}

static const char *on_endpoint(void *self, uint32_t node, uint16_t reactor)
{
    (void)node, (void)reactor;
    return ((struct station *)self)->peer_endpoint;
}

static void on_watch(void *self, int fd, bool add)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    must(epoll_ctl(((struct station *)self)->epoll, add ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, fd, &event) == 0, "epoll_ctl");
}

static void on_trace(void *self, int level, const char *line)
{
    (void)self, (void)level;
    fprintf(stderr, "%s\n", line);
}

static void open_station(struct station *s, void *context, uint32_t node, bool echo)
{
    char why[256];
    *s = (struct station){.epoll = epoll_create1(0), .echo = echo};
    struct stead_transport_options options = {
        .context = context,
        .endpoint = "tcp://127.0.0.1:0",
        .node = node,
        .incarnation = 1,
        .node_name = "bench",
        .events = {s, on_message, on_peer_up, on_peer_down, on_table, on_endpoint, on_watch, on_trace}};
    must(stead_transport_create(&options, &s->transport, why) == 0, "transport");
    stead_transport_set_table(s->transport, 1, (struct stead_id){"bench"}, stead_bytes("\xc0", 1));
}

/* One turn of the loop; sleeps when there is nothing to do and `may_sleep`. */
static void turn(struct station *s, bool may_sleep)
{
    struct epoll_event events[16];
    bool more = stead_transport_flush(s->transport);
    int count = more ? 0 : epoll_wait(s->epoll, events, 16, may_sleep ? 1000 : 0);
    for (int i = 0; i < count; i++)
        stead_transport_ready(s->transport, events[i].data.fd);
    while (stead_transport_poll(s->transport, now_ns()))
        ;
}

/* ---- The other process ---------------------------------------------------------------------- */

/* Echoes raw messages and, on a transport, calls and tells, until it is killed. */
static void raw_echo(void *context, int pipe_out)
{
    char endpoint[256];
    size_t size = sizeof endpoint;
    void *router = zmq_socket(context, ZMQ_ROUTER);
    must(zmq_bind(router, "tcp://127.0.0.1:*") == 0, "bind");
    zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, endpoint, &size);
    must(write(pipe_out, endpoint, sizeof endpoint) == sizeof endpoint, "pipe");
    zmq_msg_t part;
    zmq_msg_init(&part);
    while (zmq_msg_recv(&part, router, 0) >= 0)
        zmq_msg_send(&part, router, zmq_msg_more(&part) ? ZMQ_SNDMORE : 0);
}

static void station_echo(void *context, int pipe_out, const char *peer_endpoint)
{
    struct station s;
    char endpoint[256] = {0};
    open_station(&s, context, 2, true);
    s.peer_endpoint = peer_endpoint;
    stead_format(endpoint, sizeof endpoint, "%s", stead_transport_endpoint(s.transport));
    must(write(pipe_out, endpoint, sizeof endpoint) == sizeof endpoint, "pipe");
    for (;;)
        turn(&s, true);
}

/* Starts a process that echoes; `peer_endpoint` NULL: raw. `ret_endpoint`: 256 bytes. */
static pid_t start(const char *peer_endpoint, char *ret_endpoint)
{
    int ends[2];
    must(pipe(ends) == 0, "pipe");
    pid_t child = fork();
    must(child >= 0, "fork");
    if (child == 0) {
        void *context = zmq_ctx_new();
        if (peer_endpoint == NULL)
            raw_echo(context, ends[1]);
        else
            station_echo(context, ends[1], peer_endpoint);
        _exit(0);
    }
    must(read(ends[0], ret_endpoint, 256) == 256, "pipe");
    close(ends[0]);
    close(ends[1]);
    return child;
}

/* ---- Records -------------------------------------------------------------------------------- */

static struct stead_message *make(enum stead_message_type type, uint16_t flags)
{
    static const uint8_t payload[64] = {0xc4, 62};
    struct stead_message_parts parts = {.address = stead_str("counter/alice"),
                                        .op = stead_str("echo"),
                                        .payload = stead_bytes(payload, sizeof payload)};
    if (type == STEAD_TELL)
        parts.source = stead_str("counter/bob");
    struct stead_message *m = stead_message_create(type, &parts);
    m->slot = stead_address_slot(parts.address, 0);
    m->flags = flags;
    m->id.v[0] = 1;
    m->table_version = 1;
    if (type == STEAD_CALL) {
        m->groups = STEAD_GROUP_SESSION;
        m->session.id.v[0] = 1;
        m->session.start_ms = m->session.number = 1;
        m->session.mark = 0;
    }
    return m;
}

static size_t frame_of(struct stead_message *m, uint8_t *ret_bytes)
{
    struct stead_frame_builder frame = {.data = NULL};
    must(stead_frame_add(&frame, m), "frame");
    size_t size = frame.size;
    memcpy(ret_bytes, frame.data, size);
    stead_frame_deinit(&frame);
    stead_message_destroy(&m);
    return size;
}

/* ---- Figures -------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static double percentile(uint32_t *samples, size_t count, double p)
{
    qsort(samples, count, sizeof *samples, compare);
    return samples[(size_t)((double)(count - 1) * p)] / 1000.0;
}

static void print_figure(const char *bench, const char *metric, double value, const char *unit, double floor)
{
    printf("{\"bench\":\"%s\",\"metric\":\"%s\",\"value\":%.2f,\"unit\":\"%s\"", bench, metric, value, unit);
    if (floor > 0)
        printf(",\"floor\":%.2f,\"ratio\":%.2f", floor, value / floor);
    printf(",\"settings\":{}}\n");
}

static void *connect_raw(void *context, const char *endpoint)
{
    int linger = 0;
    void *dealer = zmq_socket(context, ZMQ_DEALER);
    zmq_setsockopt(dealer, ZMQ_LINGER, &linger, sizeof linger);
    must(zmq_connect(dealer, endpoint) == 0, "connect");
    return dealer;
}

/* A trip with the same bytes on a raw DEALER, blocking. */
static void raw_trips(void *dealer, const uint8_t *frame, size_t size, uint32_t *samples, size_t count)
{
    zmq_msg_t reply;
    zmq_msg_init(&reply);
    for (size_t i = 0; i < count; i++) {
        uint64_t start_ns = now_ns();
        must(zmq_send(dealer, frame, size, 0) >= 0, "send");
        must(zmq_msg_recv(&reply, dealer, 0) >= 0, "recv");
        samples[i] = (uint32_t)(now_ns() - start_ns);
    }
    zmq_msg_close(&reply);
}

static void node_trips(struct station *s, uint32_t *samples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t wanted = s->received + 1, start_ns = now_ns();
        struct stead_message *m = make(STEAD_TELL, STEAD_FLAG_RETRY);
        stead_transport_send(s->transport, 2, 0, &m);
        while (s->received < wanted)
            turn(s, true);
        samples[i] = (uint32_t)(now_ns() - start_ns);
    }
}

static void bench_trips(void *context, struct station *s, const char *raw_at, const char *peer_at, size_t trips)
{
    uint32_t *raw = malloc(trips * sizeof *raw), *client = malloc(trips * sizeof *raw),
             *node = malloc(trips * sizeof *raw);
    uint8_t frame[512], hello[512], welcome[512];
    size_t size = frame_of(make(STEAD_CALL, 0), frame), slice = trips / SLICES;
    void *raw_dealer = connect_raw(context, raw_at), *dealer = connect_raw(context, peer_at);
    struct stead_hello h = {.name = "bench"};
    must(zmq_send(dealer, hello, frame_of(stead_hello_make(&h), hello), 0) >= 0, "send");
    must(zmq_recv(dealer, welcome, sizeof welcome, 0) >= 0, "recv");
    raw_trips(raw_dealer, frame, size, raw, slice);
    node_trips(s, node, slice);
    for (size_t i = 0; i < SLICES; i++) {
        raw_trips(raw_dealer, frame, size, raw + i * slice, slice);
        raw_trips(dealer, frame, size, client + i * slice, slice);
        node_trips(s, node + i * slice, slice);
    }
    size_t count = slice * SLICES;
    double floor50 = percentile(raw, count, 0.5), floor99 = percentile(raw, count, 0.99);
    print_figure("raw_trip", "p50", floor50, "us", 0);
    print_figure("raw_trip", "p99", floor99, "us", 0);
    print_figure("client_trip", "p50", percentile(client, count, 0.5), "us", floor50);
    print_figure("client_trip", "p99", percentile(client, count, 0.99), "us", floor99);
    print_figure("node_trip", "p50", percentile(node, count, 0.5), "us", floor50);
    print_figure("node_trip", "p99", percentile(node, count, 0.99), "us", floor99);
    zmq_close(raw_dealer);
    zmq_close(dealer);
    free(raw);
    free(client);
    free(node);
}

/* Sends with a window: the last of every quarter of it is marked and comes back. */
static void bench_one_way(struct station *s, uint64_t records)
{
    uint64_t start_ns = now_ns(), credits = s->received, sent = 0, quarter = WINDOW / 4;
    while ((s->received - credits) * quarter < records) {
        for (unsigned burst = 0; burst < 1024 && sent < records; burst++) {
            if (sent - (s->received - credits) * quarter >= WINDOW)
                break;
            sent++;
            struct stead_message *m = make(STEAD_TELL, sent % quarter == 0 ? STEAD_FLAG_RETRY : 0);
            stead_transport_send(s->transport, 2, 0, &m);
        }
        turn(s, sent - (s->received - credits) * quarter >= WINDOW || sent == records);
    }
    print_figure("one_way", "rate", (double)records * 1e3 / (double)(now_ns() - start_ns), "million/s", 0);
}

static void bench_codec(unsigned rounds)
{
    const struct stead_codec_limits limits = {1u << 20};
    struct stead_message *m = make(STEAD_CALL, 0), *decoded;
    uint8_t bytes[512];
    size_t size = 0;
    uint64_t start_ns = now_ns();
    for (unsigned i = 0; i < rounds; i++) {
        m->id.v[1] = (uint8_t)i;
        size = stead_codec_encode(m, bytes);
    }
    print_figure("codec_encode", "mean", (double)(now_ns() - start_ns) / rounds, "ns", 0);
    start_ns = now_ns();
    for (unsigned i = 0; i < rounds; i++) {
        must(stead_codec_decode((struct stead_slice){bytes, size}, &limits, &decoded, NULL) == 0, "decode");
        stead_message_destroy(&decoded);
    }
    print_figure("codec_decode", "mean", (double)(now_ns() - start_ns) / rounds, "ns", 0);
    stead_message_destroy(&m);
}

int main(int argc, char **argv)
{
    size_t trips = argc > 1 ? strtoull(argv[1], NULL, 10) : 20000;
    uint64_t records = argc > 2 ? strtoull(argv[2], NULL, 10) : 5000000;
    char raw_at[256], peer_at[256];
    /* Processes are started before this one has threads; the peer learns where we listen from a port chosen here
     * first. */
    pid_t raw_child = start(NULL, raw_at);
    void *context = zmq_ctx_new();
    struct station s;
    open_station(&s, context, 1, false);
    pid_t peer_child = start(stead_transport_endpoint(s.transport), peer_at);
    s.peer_endpoint = peer_at;

    bench_codec(2000000);
    bench_trips(context, &s, raw_at, peer_at, trips);
    bench_one_way(&s, records / WINDOW * WINDOW);

    kill(raw_child, SIGKILL);
    kill(peer_child, SIGKILL);
    waitpid(raw_child, NULL, 0);
    waitpid(peer_child, NULL, 0);
    stead_transport_destroy(&s.transport);
    zmq_ctx_term(context);
    return 0;
}
