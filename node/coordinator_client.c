/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator_client: one DEALER, one request at a time, and the tables that come in between.
 *
 * Every request may be sent again: the coordinator recognises a start by its token and a claim by its result. So the
 * way to reliability is the same for all failures: no answer within a moment, send it again under a new id; no answer
 * for longer, take a new socket, after asking the lock file where the coordinator is now. Answers to given-up requests
 * are told by their ids and dropped; a table is taken from whatever brings it, if it is newer.
 *
 *     closed -> open_socket -> (send, answer)* -> silent for SILENCE_MS -> closed
 *
 * Heartbeats are requests whose answers nobody waits for. They carry `watch`, so the first one after a reconnect
 * subscribes again.
 */
#define _GNU_SOURCE
#include "node/coordinator_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

#include "node/coordinator_lock.h"
#include "node/coordinator_protocol.h"
#include "runtime/base.h"

#define PATH_SIZE 4096
#define BEAT_MS 1000
#define RESEND_MS 500   /* a request without answer is sent again */
#define SILENCE_MS 2500 /* a socket that brought nothing while an answer was due is replaced */
#define SAMPLES 8       /* round trips looked at for the clock's offset */

struct clock_sample {
    int64_t offset_ms; /* their wall clock - ours */
    int64_t trip_ms;   /* of the request: the sample is wrong by half of it at most */
};

struct client {
    char endpoint[STEAD_COORDINATOR_LOCK_ENDPOINT_SIZE]; /* of the socket; "" when it is not known */
    char folder[PATH_SIZE];                              /* where the lock file is; "": the endpoint was given */
    uint32_t beat_ms;
    void *zmq;    /* context */
    void *socket; /* DEALER, or NULL: not connected */

    uint64_t last_id;     /* of the last request */
    uint64_t awaited_id;  /* the request whose answer is waited for; 0: none */
    bool answered;        /* it has come */
    int status;           /* of that answer */
    uint32_t answer_node; /* of that answer, as the next two */
    uint64_t answer_incarnation;
    char why[STEAD_COORDINATOR_WHY_SIZE];
    struct stead_writer out; /* the request being made */

    uint32_t node; /* 0: not enrolled */
    uint64_t incarnation;
    uint64_t beat_id;          /* the last heartbeat; 0: answered or none */
    int beat_status;           /* of its answer: 0, or why this node must stop */
    struct stead_id cluster;   /* of the first table; others are not listened to */
    struct stead_writer *rows; /* where an answer's rows go, or NULL */
    uint64_t table_held;       /* version returned last */
    struct stead_table *table; /* newer than that, or NULL */

    int64_t sent_ms;   /* the last request, for the round trip */
    int64_t beat_due;  /* when the next heartbeat is due */
    int64_t due_since; /* since when an answer is owed; -1: none is */
    uint32_t sample_count;
    struct clock_sample samples[SAMPLES];
};

static int64_t mono_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- The socket ----------------------------------------------------------------------------- */

static void close_socket(struct client *client)
{
    if (client->socket != NULL)
        zmq_close(client->socket);
    client->socket = NULL;
    client->beat_id = 0;
    client->due_since = -1;
}

/* Where the coordinator is now; false when it is not known. */
static bool find_endpoint(struct client *client)
{
    struct stead_coordinator_place place;
    if (client->folder[0] == 0)
        return true;
    if (stead_coordinator_lock_find(client->folder, &place) != 0)
        return false;
    memcpy(client->endpoint, place.endpoint, sizeof client->endpoint);
    return true;
}

static bool open_socket(struct client *client)
{
    int zero = 0, one = 1, reconnect_ms = 20, reconnect_ms_max = 500, heartbeat_ms = 2000, timeout_ms = 6000;
    int64_t size_max = STEAD_COORDINATOR_MESSAGE_MAX;
    if (client->socket != NULL)
        return true;
    if (!find_endpoint(client) || (client->socket = zmq_socket(client->zmq, ZMQ_DEALER)) == NULL)
        return false;
    zmq_setsockopt(client->socket, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt(client->socket, ZMQ_IMMEDIATE, &one, sizeof one);
    zmq_setsockopt(client->socket, ZMQ_MAXMSGSIZE, &size_max, sizeof size_max);
    zmq_setsockopt(client->socket, ZMQ_RECONNECT_IVL, &reconnect_ms, sizeof reconnect_ms);
    zmq_setsockopt(client->socket, ZMQ_RECONNECT_IVL_MAX, &reconnect_ms_max, sizeof reconnect_ms_max);
    zmq_setsockopt(client->socket, ZMQ_RCVHWM, &zero, sizeof zero); /* a pipe with a heartbeat must not fill */
    zmq_setsockopt(client->socket, ZMQ_HEARTBEAT_IVL, &heartbeat_ms, sizeof heartbeat_ms);
    zmq_setsockopt(client->socket, ZMQ_HEARTBEAT_TIMEOUT, &timeout_ms, sizeof timeout_ms);
    if (zmq_connect(client->socket, client->endpoint) == 0)
        return true;
    close_socket(client);
    return false;
}

/* Replaces a socket on which an answer has been owed for too long: the connection is dead, or the coordinator is
 * somewhere else now. */
static void check_silence(struct client *client, int64_t now)
{
    if (client->socket != NULL && client->due_since >= 0 && now - client->due_since >= SILENCE_MS)
        close_socket(client);
}

/* Sends a request under a new id, which is returned; 0 when there is no connection to send it on. */
static uint64_t send_request(struct client *client, struct stead_coordinator_request *request)
{
    int64_t now = mono_ms();
    if (!open_socket(client))
        return 0;
    if (client->due_since < 0)
        client->due_since = now;
    request->id = ++client->last_id;
    request->table_version = client->table ? client->table->version : client->table_held;
    stead_writer_reset(&client->out);
    stead_coordinator_request_encode(request, &client->out);
    struct stead_slice bytes = stead_written(&client->out);
    if (zmq_send(client->socket, bytes.data, bytes.size, ZMQ_DONTWAIT) < 0)
        return 0;
    client->sent_ms = now;
    return request->id;
}

/* ---- Answers -------------------------------------------------------------------------------- */

static void take_table(struct client *client, struct stead_slice bytes)
{
    struct stead_table *table;
    uint64_t have = client->table ? client->table->version : client->table_held;
    if (bytes.size == 0 || stead_table_decode(bytes, &table) != 0)
        return;
    if (stead_id_is_zero(client->cluster))
        client->cluster = table->cluster;
    else if (!stead_id_equal(client->cluster, table->cluster))
        client->beat_status = STEAD_ENOTFOUND;
    if (table->version <= have || client->beat_status == STEAD_ENOTFOUND) {
        stead_table_release(&table);
        return;
    }
    stead_table_release(&client->table);
    client->table = table;
}

static void take_clock(struct client *client, uint64_t their_ms)
{
    int64_t trip = mono_ms() - client->sent_ms;
    struct clock_sample *sample = &client->samples[client->sample_count++ % SAMPLES];
    sample->trip_ms = trip;
    sample->offset_ms = (int64_t)their_ms + trip / 2 - wall_ms();
}

static void take_answer(struct client *client, struct stead_slice bytes)
{
    struct stead_coordinator_answer answer;
    if (stead_coordinator_answer_decode(bytes, &answer) != 0)
        return;
    client->due_since = -1;
    if (answer.id == client->last_id)
        take_clock(client, answer.now_ms);
    take_table(client, answer.table);
    if (answer.id != 0 && answer.id == client->beat_id) {
        client->beat_id = 0;
        client->beat_status = answer.status;
    }
    if (answer.id == 0 || answer.id != client->awaited_id)
        return;
    size_t size = answer.why.size < sizeof client->why ? answer.why.size : sizeof client->why - 1;
    memcpy(client->why, answer.why.data, size);
    client->why[size] = 0;
    client->status = answer.status;
    client->answer_node = answer.node;
    client->answer_incarnation = answer.incarnation;
    if (client->rows != NULL)
        stead_write_raw(client->rows, answer.rows.data, answer.rows.size);
    client->answered = true;
}

static void take_answers(struct client *client)
{
    while (client->socket != NULL) {
        zmq_msg_t message;
        zmq_msg_init(&message);
        bool got = zmq_msg_recv(&message, client->socket, ZMQ_DONTWAIT) >= 0;
        if (got)
            take_answer(client, stead_bytes(zmq_msg_data(&message), zmq_msg_size(&message)));
        zmq_msg_close(&message);
        if (!got)
            return;
    }
}

/* Sleeps until something arrives, `wake_fd` is readable (true is returned) or `timeout_ms` have passed; takes what
 * arrived. */
static bool await_socket(struct client *client, int wake_fd, int64_t timeout_ms)
{
    zmq_pollitem_t items[2];
    int count = 0, wake = -1;
    if (client->socket != NULL)
        items[count++] = (zmq_pollitem_t){.socket = client->socket, .events = ZMQ_POLLIN};
    if (wake_fd >= 0) {
        wake = count;
        items[count++] = (zmq_pollitem_t){.fd = wake_fd, .events = ZMQ_POLLIN};
    }
    int ready = zmq_poll(items, count, timeout_ms > 0 ? (long)timeout_ms : 0);
    take_answers(client);
    return ready > 0 && wake >= 0 && items[wake].revents != 0;
}

/* ---- Asking --------------------------------------------------------------------------------- */

/* Sends until it is answered or `timeout_ms` (negative: for ever) have passed: the answer's status, or STEAD_ETIMEOUT.
 * Of several sendings any answer will do, so only the last id is awaited: an older one's says the same of the same
 * command. */
static int ask(struct client *client, struct stead_coordinator_request *request, int timeout_ms)
{
    int64_t start = mono_ms(), resend = start, now = start;
    client->answered = false;
    client->awaited_id = 0;
    while (timeout_ms < 0 || now - start < timeout_ms) {
        check_silence(client, now);
        if (now >= resend) {
            uint64_t id = send_request(client, request);
            client->awaited_id = id ? id : client->awaited_id;
            resend = now + (id ? RESEND_MS : 20);
        }
        int64_t wait = resend - now;
        if (timeout_ms >= 0 && start + timeout_ms - now < wait)
            wait = start + timeout_ms - now;
        (void)await_socket(client, -1, wait);
        if (client->answered) {
            client->awaited_id = 0;
            return client->status;
        }
        now = mono_ms();
    }
    client->awaited_id = 0;
    return STEAD_ETIMEOUT;
}

/* ask(), with the sentence. */
static int ask_why(struct client *client, struct stead_coordinator_request *request, int timeout_ms, char *ret_why)
{
    int code = ask(client, request, timeout_ms);
    if (code == STEAD_ETIMEOUT)
        snprintf(ret_why, STEAD_COORDINATOR_WHY_SIZE, "the coordinator at %.180s does not answer",
                 client->endpoint[0] ? client->endpoint : client->folder);
    else
        memcpy(ret_why, client->why, sizeof client->why);
    return code;
}

static int enrol(void *self, const struct stead_node_registration *registration, int timeout_ms, uint32_t *ret_node,
                 uint64_t *ret_incarnation, char *ret_why)
{
    struct client *client = self;
    struct stead_coordinator_request request = {
        .op = STEAD_COORDINATOR_REGISTER, .watch = true, .registration = *registration};
    char why[STEAD_COORDINATOR_WHY_SIZE];
    int code = ask_why(client, &request, timeout_ms, why);
    if (code != 0) {
        memcpy(ret_why, why, sizeof why);
        return code;
    }
    client->node = *ret_node = client->answer_node;
    client->incarnation = *ret_incarnation = client->answer_incarnation;
    client->beat_due = mono_ms() + client->beat_ms;
    return 0;
}

static int claim(void *self, const struct stead_shard_claim *claims, uint32_t count, int timeout_ms, char *ret_why)
{
    struct client *client = self;
    struct stead_coordinator_request request = {.op = STEAD_COORDINATOR_CLAIM,
                                                .watch = true,
                                                .node = client->node,
                                                .incarnation = client->incarnation,
                                                .claims = claims,
                                                .claim_count = count};
    char why[STEAD_COORDINATOR_WHY_SIZE];
    int code = ask_why(client, &request, timeout_ms, why);
    if (code != 0)
        memcpy(ret_why, why, sizeof why);
    return code;
}

static int leave(void *self, int timeout_ms)
{
    struct client *client = self;
    struct stead_coordinator_request request = {
        .op = STEAD_COORDINATOR_LEAVE, .node = client->node, .incarnation = client->incarnation};
    int code = ask(client, &request, timeout_ms);
    client->node = 0;
    return code;
}

/* ---- Living --------------------------------------------------------------------------------- */

static void beat(struct client *client, int64_t now)
{
    struct stead_coordinator_request request = {.op =
                                                    client->node ? STEAD_COORDINATOR_BEAT : STEAD_COORDINATOR_OP_TABLE,
                                                .watch = true,
                                                .node = client->node,
                                                .incarnation = client->incarnation};
    uint64_t id = send_request(client, &request);
    client->beat_id = id ? id : client->beat_id;
    /* Without a connection it is tried again soon: a coordinator that comes back hears from everybody at once. */
    client->beat_due = now + (id ? client->beat_ms : client->beat_ms / 5 + 1);
}

static int wait_table(void *self, int wake_fd, int timeout_ms, struct stead_table **ret_table)
{
    struct client *client = self;
    int64_t start = mono_ms(), now = start;
    for (;;) {
        if (client->table != NULL) {
            client->table_held = client->table->version;
            *ret_table = client->table;
            client->table = NULL;
            return 0;
        }
        if (client->beat_status != 0) {
            int status = client->beat_status;
            client->beat_status = 0;
            return status == STEAD_ENOTFOUND ? STEAD_EHISTORY : status;
        }
        check_silence(client, now);
        if (now >= client->beat_due)
            beat(client, now);
        int64_t wait = client->beat_due - now;
        if (timeout_ms >= 0 && start + timeout_ms - now < wait)
            wait = start + timeout_ms - now;
        if (await_socket(client, wake_fd, wait))
            return STEAD_ECANCELLED;
        now = mono_ms();
        if (timeout_ms >= 0 && now - start >= timeout_ms && client->table == NULL)
            return STEAD_ETIMEOUT;
    }
}

static int64_t clock_offset(void *self)
{
    const struct client *client = self;
    uint32_t count = client->sample_count < SAMPLES ? client->sample_count : SAMPLES;
    const struct clock_sample *best = NULL;
    for (uint32_t i = 0; i < count; i++)
        if (best == NULL || client->samples[i].trip_ms < best->trip_ms)
            best = &client->samples[i];
    return best ? best->offset_ms : 0;
}

static void close_client(void *self)
{
    struct client *client = self;
    close_socket(client);
    if (client->zmq != NULL)
        zmq_ctx_term(client->zmq);
    stead_table_release(&client->table);
    stead_writer_deinit(&client->out);
    free(client);
}

int stead_coordinator_client_open(const struct stead_coordinator_client_options *options,
                                  struct stead_coordinator_door *ret_door)
{
    struct client *client;
    if ((options->endpoint == NULL) == (options->folder == NULL))
        return STEAD_EARGUMENT;
    if ((options->endpoint && strlen(options->endpoint) >= sizeof client->endpoint) ||
        (options->folder && strlen(options->folder) >= sizeof client->folder))
        return STEAD_EARGUMENT;
    client = stead_alloc_zero(sizeof *client);
    client->zmq = zmq_ctx_new();
    client->beat_ms = options->beat_ms ? options->beat_ms : BEAT_MS;
    client->due_since = -1;
    stead_writer_init(&client->out);
    strcpy(client->endpoint, options->endpoint ? options->endpoint : "");
    strcpy(client->folder, options->folder ? options->folder : "");
    if (client->zmq == NULL) {
        close_client(client);
        return STEAD_EIO;
    }
    if (!open_socket(client) && client->folder[0] == 0) {
        close_client(client);
        return STEAD_EARGUMENT;
    }
    *ret_door = (struct stead_coordinator_door){.self = client,
                                                .enrol = enrol,
                                                .claim = claim,
                                                .wait = wait_table,
                                                .leave = leave,
                                                .clock_offset_ms = clock_offset,
                                                .close = close_client};
    return 0;
}

int stead_coordinator_client_fetch(const struct stead_coordinator_client_options *options, int timeout_ms,
                                   struct stead_table **ret_table)
{
    struct stead_coordinator_door door;
    struct stead_coordinator_request request = {.op = STEAD_COORDINATOR_OP_TABLE};
    int code = stead_coordinator_client_open(options, &door);
    if (code != 0)
        return code;
    struct client *client = door.self;
    code = ask(client, &request, timeout_ms);
    if (code == 0 && client->table == NULL)
        code = STEAD_EPROTOCOL;
    if (code == 0) {
        *ret_table = client->table;
        client->table = NULL;
    }
    door.close(door.self);
    return code;
}

int stead_coordinator_client_rows(const struct stead_coordinator_client_options *options, int timeout_ms,
                                  struct stead_writer *ret_rows)
{
    struct stead_coordinator_door door;
    struct stead_coordinator_request request = {.op = STEAD_COORDINATOR_OP_ROWS};
    int code = stead_coordinator_client_open(options, &door);
    if (code != 0)
        return code;
    struct client *client = door.self;
    client->rows = ret_rows;
    code = ask(client, &request, timeout_ms);
    if (code == 0 && ret_rows->size == 0)
        code = STEAD_EPROTOCOL;
    door.close(door.self);
    return code;
}
