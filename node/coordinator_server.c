/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator_server: one thread, one socket, one store.
 *
 *     request -> decode -> step (runtime/coordinator.c) -> rows synced -> answer -> tables pushed to the watchers
 *
 * That order is the whole safety of the process (K4 in docs/INVARIANTS.md): what anybody was told is on disk. A failed
 * write or sync therefore ends it at once; the supervisor starts it again and it reads what is really there.
 *
 * Its rows lie in a store of their own (persist/store_rocksdb.h) in FOLDER/store, the endpoint it listened on as a mark
 * beside them, so that a restarted coordinator is found where the nodes look for it. A watcher is a connection; it
 * asked for newer tables with its last heartbeat and asks again with the next, so a push that is lost costs a
 * heartbeat, no more.
 *
 * The loop sleeps until a message or a signal comes; it ticks once a second while somebody is alive and not at all
 * otherwise. When its folder is deleted and nobody is alive, it ends at once and writes nothing: whoever killed a node
 * and removes what is left should not have to look for its coordinator.
 */
#define _GNU_SOURCE
#include "node/coordinator_server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "node/config.h"
#include "node/coordinator_lock.h"
#include "node/coordinator_protocol.h"
#include "node/log.h"
#include "persist/store_rocksdb.h"
#include "runtime/base.h"
#include "runtime/entry.h"

#define PATH_SIZE 4096
#define TICK_MS 1000
#define WATCHERS_MAX 1024u
#define ROUTING_ID_MAX 255u
#define REQUESTS_PER_ROUND 256   /* then signals and the clock are looked at again */
#define BIND_PATIENCE_MS 1000    /* a killed predecessor's port is free again within this */
#define META_ENDPOINT "endpoint" /* mark: where it listened */
#define ANY_ENDPOINT "tcp://127.0.0.1:*"

struct watcher {
    uint8_t id_size;
    uint8_t id[ROUTING_ID_MAX]; /* ZeroMQ's name of the connection */
    uint64_t version;           /* of the table it was sent last */
};

struct server {
    const struct stead_coordinator_server_options *options;
    char *why;     /* the caller's buffer */
    int stop_fd;   /* readable: stop */
    int signal_fd; /* ours, or -1 */
    int watch_fd;  /* readable: something has happened to the folder's lock; ours, or -1 */
    sigset_t mask; /* the caller's, to be put back */
    void *zmq;     /* context */
    void *router;
    struct stead_coordinator_lock lock;
    struct stead_store *store;
    struct stead_coordinator *coordinator;
    struct stead_coordinator_effects effects;
    struct stead_writer table; /* the encoding of `table_version` */
    uint64_t table_version;    /* 0: none yet */
    struct stead_writer out;   /* the answer being made */
    uint64_t ticked_ms;
    uint64_t heard_ms; /* last request of a node */
    uint32_t watcher_count;
    struct watcher watchers[WATCHERS_MAX];
};

static uint64_t mono_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int fail(struct server *server, int code, const char *format, ...) STEAD_PRINTF(3, 4);
static int fail(struct server *server, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(server->why, STEAD_COORDINATOR_SERVER_WHY_SIZE, format, args);
    va_end(args);
    return code;
}

/* ---- Persist -------------------------------------------------------------------------------- */

/* Complains that `what` could not be stored, with the store's reason. */
static int fail_store(struct server *server, const char *what)
{
    char sentence[STEAD_STORE_SENTENCE_MAX];
    stead_store_explain(server->store, sentence, sizeof sentence);
    return fail(server, STEAD_EIO, "the coordinator's %s cannot be written: %.400s", what, sentence);
}

/* Syncs what the last step wants stored. */
static int persist(struct server *server)
{
    struct stead_store_op op = {.type = STEAD_STORE_ROWS, .bytes = stead_written(&server->effects.rows)};
    if (op.bytes.size == 0)
        return 0;
    return stead_store_write(server->store, &op, 1, true) == 0 ? 0 : fail_store(server, "state");
}

struct restoring {
    struct server *server;
    int code;
};

static int restore_row(void *context, struct stead_slice key, struct stead_slice value)
{
    struct restoring *restoring = context;
    restoring->code = stead_coordinator_restore(restoring->server->coordinator, key, value);
    return restoring->code;
}

static int make_coordinator(struct server *server)
{
    struct restoring restoring = {server, 0};
    struct stead_coordinator_options options = {.nodes_expected = server->options->nodes_expected};
    if (options.nodes_expected == 0)
        options.nodes_expected = 1;
    if (getrandom(options.cluster.v, sizeof options.cluster.v, 0) != (ssize_t)sizeof options.cluster.v)
        return fail(server, STEAD_EIO, "the system has no random bytes");
    server->coordinator = stead_coordinator_create(&options);
    int code = stead_store_scan(server->store, stead_bytes("", 0), stead_bytes("", 0), false, STEAD_STORE_ANY,
                                restore_row, &restoring);
    if (code == STEAD_EVERSION)
        return fail(server, code, "the coordinator's rows in %.120s are of another version of stead",
                    server->options->folder);
    if (code != 0)
        return fail(server, code, "the coordinator's rows in %.120s cannot be read", server->options->folder);
    code = stead_coordinator_restored(server->coordinator, mono_ms(), &server->effects);
    if (code != 0)
        return fail(server, code, "the coordinator's rows in %.60s are damaged: %.150s", server->options->folder,
                    server->effects.why);
    return persist(server);
}

/* ---- Speak ---------------------------------------------------------------------------------- */

static void refresh_table(struct server *server)
{
    struct stead_table *table = stead_coordinator_table(server->coordinator);
    if (table->version == server->table_version)
        return;
    stead_writer_reset(&server->table);
    stead_table_encode(table, &server->table);
    server->table_version = table->version;
}

/* Sends `out` to a connection; false when it is gone or does not take it. */
static bool send_out(struct server *server, const uint8_t *id, size_t id_size)
{
    struct stead_slice bytes = stead_written(&server->out);
    if (zmq_send(server->router, id, id_size, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
        return false;
    return zmq_send(server->router, bytes.data, bytes.size, ZMQ_DONTWAIT) >= 0;
}

static int collect_row(void *context, struct stead_slice key, struct stead_slice value)
{
    stead_entry_put(context, key, value);
    return 0;
}

/* Everything that is stored, as mutations, for a backup. */
static int collect_rows(struct server *server, struct stead_writer *ret_rows)
{
    int code = stead_store_scan(server->store, stead_bytes("", 0), stead_bytes("", 0), false, STEAD_STORE_ANY,
                                collect_row, ret_rows);
    return code == 0 ? 0 : fail(server, code, "the coordinator's rows cannot be read");
}

static void make_answer(struct server *server, uint64_t id, bool with_table, struct stead_slice rows)
{
    struct stead_coordinator_answer answer = {.id = id,
                                              .status = server->effects.status,
                                              .why = stead_str(server->effects.why),
                                              .now_ms = wall_ms(),
                                              .version = server->table_version,
                                              .node = server->effects.node,
                                              .incarnation = server->effects.incarnation,
                                              .rows = rows};
    if (with_table)
        answer.table = stead_written(&server->table);
    stead_writer_reset(&server->out);
    stead_coordinator_answer_encode(&answer, &server->out);
}

static void drop_watcher(struct server *server, uint32_t at)
{
    server->watchers[at] = server->watchers[--server->watcher_count];
}

static void remember_watcher(struct server *server, const uint8_t *id, size_t id_size)
{
    uint32_t at = 0;
    while (at < server->watcher_count &&
           (server->watchers[at].id_size != id_size || memcmp(server->watchers[at].id, id, id_size) != 0))
        at++;
    if (at == WATCHERS_MAX)
        return; /* it still hears of new tables with its heartbeats */
    server->watchers[at].id_size = (uint8_t)id_size;
    memcpy(server->watchers[at].id, id, id_size);
    server->watchers[at].version = server->table_version;
    if (at == server->watcher_count)
        server->watcher_count++;
}

static void push_table(struct server *server)
{
    bool made = false;
    for (uint32_t i = server->watcher_count; i-- > 0;) {
        struct watcher *watcher = &server->watchers[i];
        if (watcher->version == server->table_version)
            continue;
        if (!made) {
            memset(&server->effects.why, 0, sizeof server->effects.why);
            server->effects.status = 0;
            server->effects.node = 0;
            server->effects.incarnation = 0;
            make_answer(server, 0, true, (struct stead_slice){0});
            made = true;
        }
        watcher->version = server->table_version;
        if (!send_out(server, watcher->id, watcher->id_size))
            drop_watcher(server, i);
    }
}

/* ---- Requests ------------------------------------------------------------------------------- */

static void set_reply(struct server *server, int status, const char *why)
{
    stead_writer_reset(&server->effects.rows);
    server->effects.status = status;
    server->effects.node = 0;
    server->effects.incarnation = 0;
    snprintf(server->effects.why, sizeof server->effects.why, "%s", why);
}

/* Runs the request's command; what it changed is synced when this returns 0. */
static int carry_out(struct server *server, const struct stead_coordinator_request *request)
{
    struct stead_coordinator_command command = {.op = (enum stead_coordinator_op)request->op,
                                                .node = request->node,
                                                .incarnation = request->incarnation,
                                                .registration = &request->registration,
                                                .claims = request->claims,
                                                .claim_count = request->claim_count};
    if (request->op == STEAD_COORDINATOR_OP_TABLE || request->op == STEAD_COORDINATOR_OP_ROWS) {
        set_reply(server, 0, "");
        return 0;
    }
    stead_coordinator_step(server->coordinator, &command, mono_ms(), &server->effects);
    if (server->effects.status == 0)
        server->heard_ms = mono_ms();
    if (server->effects.status == 0 && request->op == STEAD_COORDINATOR_REGISTER)
        stead_log_event(STEAD_TRACE_INFO, "node_registered", request->registration.name, "node=%u incarnation=%llu",
                        server->effects.node, (unsigned long long)server->effects.incarnation);
    return persist(server);
}

static int answer_request(struct server *server, const uint8_t *id, size_t id_size, struct stead_slice bytes)
{
    struct stead_coordinator_request request;
    int code = stead_coordinator_request_decode(bytes, &request);
    if (code != 0) {
        set_reply(server, code,
                  code == STEAD_EVERSION ? "the coordinator speaks another version" : "malformed request");
        make_answer(server, request.id, false, (struct stead_slice){0});
        (void)send_out(server, id, id_size);
        return 0;
    }
    struct stead_writer rows;
    stead_writer_init(&rows);
    code = carry_out(server, &request);
    if (code == 0 && request.op == STEAD_COORDINATOR_OP_ROWS)
        code = collect_rows(server, &rows);
    if (code == 0) {
        refresh_table(server);
        make_answer(server, request.id, request.table_version < server->table_version, stead_written(&rows));
        bool sent = send_out(server, id, id_size);
        if (sent && request.watch && server->effects.status == 0)
            remember_watcher(server, id, id_size);
        push_table(server);
    }
    stead_writer_deinit(&rows);
    stead_coordinator_request_deinit(&request);
    return code;
}

/* Reads the rest of a message that has more frames than a request. */
static void skip_frames(void *socket)
{
    uint8_t byte;
    int more = 1;
    size_t size = sizeof more;
    while (zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size) == 0 && more)
        if (zmq_recv(socket, &byte, sizeof byte, ZMQ_DONTWAIT) < 0)
            return;
}

/* Answers what has arrived. */
static int take_requests(struct server *server)
{
    for (int i = 0; i < REQUESTS_PER_ROUND; i++) {
        uint8_t id[ROUTING_ID_MAX];
        zmq_msg_t body;
        int id_size = zmq_recv(server->router, id, sizeof id, ZMQ_DONTWAIT);
        if (id_size < 0)
            return 0;
        zmq_msg_init(&body);
        int code = 0;
        if (id_size <= (int)sizeof id && zmq_msg_recv(&body, server->router, ZMQ_DONTWAIT) >= 0) {
            bool whole = !zmq_msg_more(&body);
            skip_frames(server->router);
            if (whole)
                code =
                    answer_request(server, id, (size_t)id_size, stead_bytes(zmq_msg_data(&body), zmq_msg_size(&body)));
        }
        zmq_msg_close(&body);
        if (code != 0)
            return code;
    }
    return 0;
}

/* ---- The loop ------------------------------------------------------------------------------- */

static bool anybody_alive(struct server *server)
{
    const struct stead_table *table = stead_coordinator_table(server->coordinator);
    for (uint32_t i = 0; i < table->node_count; i++)
        if (table->nodes[i].alive)
            return true;
    return false;
}

static int tick(struct server *server)
{
    struct stead_coordinator_command command = {.op = STEAD_COORDINATOR_TICK};
    server->ticked_ms = mono_ms();
    stead_coordinator_step(server->coordinator, &command, server->ticked_ms, &server->effects);
    int code = persist(server);
    if (code == 0) {
        refresh_table(server);
        push_table(server);
    }
    return code;
}

/* Milliseconds until the loop has something to do by itself; -1: never. */
static long next_timeout(struct server *server, uint64_t now)
{
    uint64_t due = UINT64_MAX;
    if (anybody_alive(server))
        due = server->ticked_ms + TICK_MS;
    else if (server->options->idle_exit_s > 0)
        due = server->heard_ms + (uint64_t)server->options->idle_exit_s * 1000;
    return due == UINT64_MAX ? -1 : due > now ? (long)(due - now) : 0;
}

/* The folder was deleted and nobody needs this process any more. What it holds open is not closed: that would write. */
static void end_if_gone(struct server *server)
{
    char events[1024];

    while (read(server->watch_fd, events, sizeof events) > 0)
        ;
    if (anybody_alive(server) || !stead_coordinator_lock_is_gone(&server->lock))
        return;
    stead_log_event(STEAD_TRACE_WARN, "coordinator_gone", "its folder was deleted and no node is alive: ending", NULL);
    _exit(EXIT_FAILURE);
}

static int serve(struct server *server)
{
    int code = 0;
    server->ticked_ms = server->heard_ms = mono_ms();
    refresh_table(server);
    while (code == 0) {
        zmq_pollitem_t items[3] = {{.socket = server->router, .events = ZMQ_POLLIN},
                                   {.fd = server->stop_fd, .events = ZMQ_POLLIN},
                                   {.fd = server->watch_fd, .events = ZMQ_POLLIN}};
        uint64_t now = mono_ms();
        if (zmq_poll(items, server->watch_fd >= 0 ? 3 : 2, next_timeout(server, now)) < 0 && errno != EINTR)
            return fail(server, STEAD_EIO, "poll: %s", zmq_strerror(errno));
        if (items[1].revents)
            return 0;
        code = take_requests(server);
        now = mono_ms();
        if (code == 0 && anybody_alive(server) && now >= server->ticked_ms + TICK_MS)
            code = tick(server);
        else if (code == 0 && next_timeout(server, now) == 0 && !anybody_alive(server)) {
            stead_log_event(STEAD_TRACE_INFO, "coordinator_idle", "no node was heard from: ending", NULL);
            return 0;
        }
        if (code == 0)
            end_if_gone(server); /* behind the tick, which may find that nobody is alive any more */
    }
    return code;
}

/* ---- Start and stop ------------------------------------------------------------------------- */

static int block_signals(struct server *server)
{
    sigset_t stop;
    server->stop_fd = server->options->stop_fd;
    if (server->stop_fd >= 0)
        return 0;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    if (pthread_sigmask(SIG_BLOCK, &stop, &server->mask) != 0)
        return fail(server, STEAD_EIO, "signals cannot be blocked");
    server->signal_fd = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
    server->stop_fd = server->signal_fd;
    return server->signal_fd >= 0 ? 0 : fail(server, STEAD_EIO, "signalfd: %s", strerror(errno));
}

/* Makes every folder of the path that is missing. */
static int make_folder(struct server *server, const char *path)
{
    char part[PATH_SIZE];
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof part)
        return fail(server, STEAD_EARGUMENT, "the coordinator's folder has no proper name");
    memcpy(part, path, size + 1);
    for (size_t i = 1; i <= size; i++) {
        if (part[i] != '/' && part[i] != 0)
            continue;
        part[i] = 0;
        if (mkdir(part, 0755) != 0 && errno != EEXIST)
            return fail(server, STEAD_EIO, "%.160s: %s", part, strerror(errno));
        part[i] = path[i];
    }
    return 0;
}

static int open_store(struct server *server)
{
    char path[PATH_SIZE], sentence[STEAD_STORE_SENTENCE_MAX] = "";
    const char *folder = server->options->folder;
    struct stead_store_rocksdb_options options = {
        .cache_bytes = 1 << 20, .memtable_bytes = 1 << 20, .wal_bytes_max = 4 << 20, .create = true};
    struct stead_coordinator_place other;

    int code = make_folder(server, folder);
    if (code != 0)
        return code;
    code = stead_coordinator_lock_take(folder, &server->lock);
    if (code == STEAD_EINUSE && stead_coordinator_lock_find(folder, &other) == 0)
        return fail(server, code, "a coordinator (process %d) serves %.100s at %s", other.process.pid, folder,
                    other.endpoint);
    if (code != 0)
        return fail(server, code, "%.160s/lock: %s", folder,
                    code == STEAD_EINUSE ? "held by another coordinator" : strerror(errno));
    if (snprintf(path, sizeof path, "%s/store", folder) >= (int)sizeof path)
        return fail(server, STEAD_EARGUMENT, "the coordinator's folder has too long a name");
    code = stead_store_rocksdb_open(path, &options, &server->store, sentence);
    return code == 0 ? 0 : fail(server, code, "%.250s", sentence);
}

static bool any_port(const char *endpoint)
{
    const char *port = strrchr(endpoint, ':');
    return port != NULL && (strcmp(port, ":0") == 0 || strcmp(port, ":*") == 0);
}

/* Binds within `patience_ms`. */
static int bind_patiently(struct server *server, const char *endpoint, uint64_t patience_ms)
{
    uint64_t deadline = mono_ms() + patience_ms;
    while (zmq_bind(server->router, endpoint) != 0) {
        struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
        if (errno != EADDRINUSE)
            return STEAD_EARGUMENT;
        if (mono_ms() >= deadline)
            return STEAD_EINUSE;
        nanosleep(&pause, NULL);
    }
    return 0;
}

static int bind_router(struct server *server)
{
    struct stead_writer stored;
    char endpoint[STEAD_COORDINATOR_LOCK_ENDPOINT_SIZE] = ANY_ENDPOINT;
    const char *asked = server->options->endpoint;
    bool any = asked == NULL || any_port(asked);

    stead_writer_init(&stored);
    if (!any)
        snprintf(endpoint, sizeof endpoint, "%s", asked);
    else if (stead_store_meta_get(server->store, META_ENDPOINT, &stored) == 0 && stored.size < sizeof endpoint) {
        memcpy(endpoint, stored.data, stored.size);
        endpoint[stored.size] = 0;
    }
    stead_writer_deinit(&stored);
    int code = bind_patiently(server, endpoint, BIND_PATIENCE_MS);
    if (code != 0 && any) /* a stranger has the old port: the lock file tells the nodes the new one */
        code = bind_patiently(server, ANY_ENDPOINT, 0);
    if (code != 0)
        return fail(server, code, "the coordinator cannot listen at %s: %s", endpoint, zmq_strerror(errno));
    return 0;
}

static int open_router(struct server *server)
{
    int zero = 0, one = 1, handshake_ms = 5000;
    int64_t size_max = STEAD_COORDINATOR_MESSAGE_MAX;
    const char *asked = server->options->endpoint;
    if (asked != NULL && !server->options->insecure_listen_anywhere && !stead_config_is_loopback(asked))
        return fail(
            server, STEAD_EARGUMENT,
            "%.100s is beyond loopback and a coordinator has no keys: say --insecure-listen-anywhere if you mean it",
            asked);
    server->zmq = zmq_ctx_new();
    server->router = server->zmq ? zmq_socket(server->zmq, ZMQ_ROUTER) : NULL;
    if (server->router == NULL)
        return fail(server, STEAD_EIO, "zeromq: %s", zmq_strerror(errno));
    zmq_setsockopt(server->router, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt(server->router, ZMQ_ROUTER_MANDATORY, &one, sizeof one);
    zmq_setsockopt(server->router, ZMQ_MAXMSGSIZE, &size_max, sizeof size_max);
    zmq_setsockopt(server->router, ZMQ_HANDSHAKE_IVL, &handshake_ms, sizeof handshake_ms);
    /* No ZMTP heartbeat on a socket whose pipe can fill (net/transport.c says why); the clients have one. */
    zmq_setsockopt(server->router, ZMQ_TCP_KEEPALIVE, &one, sizeof one);
    return bind_router(server);
}

/* Tells the world where it serves: first its own store, then the lock file. */
static int publish(struct server *server)
{
    char endpoint[STEAD_COORDINATOR_LOCK_ENDPOINT_SIZE];
    size_t size = sizeof endpoint;
    if (zmq_getsockopt(server->router, ZMQ_LAST_ENDPOINT, endpoint, &size) != 0)
        return fail(server, STEAD_EIO, "zeromq: %s", zmq_strerror(errno));
    if (stead_store_meta_put(server->store, META_ENDPOINT, stead_str(endpoint)) != 0)
        return fail_store(server, "endpoint");
    if (stead_coordinator_lock_publish(&server->lock, endpoint) != 0)
        return fail(server, STEAD_EIO, "%.160s/lock: %s", server->options->folder, strerror(errno));
    stead_log_event(STEAD_TRACE_INFO, "coordinator_serves", server->options->folder, "endpoint=%s version=%llu",
                    endpoint, (unsigned long long)stead_coordinator_table(server->coordinator)->version);
    if (server->options->ready != NULL)
        server->options->ready(server->options->ready_context, endpoint);
    return 0;
}

static int start(struct server *server)
{
    int code = block_signals(server);
    if (code == 0)
        code = open_store(server);
    if (code == 0)
        server->watch_fd = stead_coordinator_lock_watch(server->options->folder);
    if (code == 0)
        code = make_coordinator(server);
    if (code == 0)
        code = open_router(server);
    if (code == 0)
        code = publish(server);
    return code;
}

static void stop(struct server *server)
{
    if (server->router != NULL)
        zmq_close(server->router);
    if (server->zmq != NULL)
        zmq_ctx_term(server->zmq);
    stead_coordinator_destroy(&server->coordinator);
    stead_store_close(&server->store);
    stead_coordinator_lock_release(&server->lock);
    stead_writer_deinit(&server->effects.rows);
    stead_writer_deinit(&server->table);
    stead_writer_deinit(&server->out);
    if (server->watch_fd >= 0)
        close(server->watch_fd);
    if (server->signal_fd >= 0) {
        /* A signal that stays pending would end the process when it is unblocked. */
        struct signalfd_siginfo taken;
        while (read(server->signal_fd, &taken, sizeof taken) > 0)
            ;
        close(server->signal_fd);
    }
    if (server->options->stop_fd < 0)
        pthread_sigmask(SIG_SETMASK, &server->mask, NULL);
    free(server);
}

int stead_coordinator_server_run(const struct stead_coordinator_server_options *options, char *ret_why)
{
    struct server *server = stead_alloc_zero(sizeof *server);
    server->options = options;
    server->why = ret_why;
    server->signal_fd = server->watch_fd = -1;
    server->lock.fd = -1;
    ret_why[0] = 0;
    stead_writer_init(&server->effects.rows);
    stead_writer_init(&server->table);
    stead_writer_init(&server->out);
    sigemptyset(&server->mask);
    int code = start(server);
    if (code == 0)
        code = serve(server);
    stop(server);
    return code;
}
