/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_reactor: a raw ROUTER on a thread of its own that greets, hands out a table and answers as its ops are called:
 *
 *     echo   the arguments            busy   refused with busy twice, then the arguments
 *     fail   failed, with a name      lose   nothing the first time, then the arguments
 *     mute   nothing, ever            lost   not_owner once, then the arguments
 *     ended  session_expired once, then the arguments
 * It keeps no state of agents, but remembers which request ids it has executed: `executed` counts each once, `repeated`
 * the rest.
 */
#ifndef TESTS_UNIT_NET_FAKE_REACTOR_H
#define TESTS_UNIT_NET_FAKE_REACTOR_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <zmq.h>

#include "net/frame.h"
#include "net/hello.h"
#include "runtime/base.h"
#include "runtime/table_builder.h"

#define FAKE_IDS_MAX 65536u

struct fake_reactor {
    char endpoint[64];         /* where it listens */
    uint32_t node;             /* whom it says it is */
    uint16_t reactor;          /* the same */
    struct stead_table *table; /* handed out in WELCOME; NULL: none */
    pthread_t thread;
    void *context, *router;
    atomic_bool stop;
    atomic_uint hellos, requests, executed, repeated, tells;
    struct stead_id ids[FAKE_IDS_MAX]; /* seen, in order */
    uint32_t id_count;
    struct stead_frame_builder frame; /* answers of one turn */
};

static void fake_answer(struct fake_reactor *fake, const struct stead_message *request, int status, const char *name,
                        struct stead_slice value)
{
    struct stead_answer_error error = {.name = name, .sentence = status == STEAD_EFAILED ? "it is made to" : NULL};
    struct stead_message *answer = stead_message_answer(request, status, &error, value);

    (void)stead_frame_add(&fake->frame, answer);
    stead_message_destroy(&answer);
}

/* How often this id has come before. */
static unsigned fake_seen(struct fake_reactor *fake, struct stead_id id)
{
    unsigned seen = 0;

    for (uint32_t i = 0; i < fake->id_count; i++)
        seen += stead_id_equal(fake->ids[i], id);
    if (fake->id_count < FAKE_IDS_MAX)
        fake->ids[fake->id_count++] = id;
    return seen;
}

static void fake_execute(struct fake_reactor *fake, const struct stead_message *request, unsigned before)
{
    if (before == 0)
        atomic_fetch_add(&fake->executed, 1);
    else
        atomic_fetch_add(&fake->repeated, 1);
    fake_answer(fake, request, 0, NULL, stead_message_payload(request));
}

static void fake_request(struct fake_reactor *fake, const struct stead_message *request)
{
    const char *op = request->op;
    unsigned before = strcmp(op, "echo") == 0 ? 0 : fake_seen(fake, request->id);
    static const struct stead_slice nothing = {NULL, 0};

    atomic_fetch_add(&fake->requests, 1);
    if (request->type == STEAD_TELL) {
        atomic_fetch_add(&fake->tells, 1);
    } else if (strcmp(op, "mute") == 0 || (strcmp(op, "lose") == 0 && before == 0)) {
        return;
    } else if (strcmp(op, "fail") == 0) {
        fake_answer(fake, request, STEAD_EFAILED, "made_to", nothing);
    } else if (strcmp(op, "busy") == 0 && before < 2) {
        fake_answer(fake, request, STEAD_EBUSY, NULL, nothing);
    } else if (strcmp(op, "lost") == 0 && before == 0) {
        fake_answer(fake, request, STEAD_ENOTOWNER, NULL, nothing);
    } else if (strcmp(op, "ended") == 0 && before == 0) {
        fake_answer(fake, request, STEAD_ESESSION, NULL, nothing);
    } else {
        fake_execute(fake, request, 0);
    }
}

static void fake_welcome(struct fake_reactor *fake)
{
    struct stead_welcome welcome = {.node = fake->node, .incarnation = 1, .reactor = fake->reactor, .name = "fake"};
    struct stead_writer table;
    struct stead_message *message;

    stead_writer_init(&table);
    if (fake->table != NULL)
        stead_table_encode(fake->table, &table);
    welcome.table = stead_written(&table);
    message = stead_welcome_make(&welcome);
    atomic_fetch_add(&fake->hellos, 1);
    (void)stead_frame_add(&fake->frame, message);
    stead_message_destroy(&message);
    stead_writer_deinit(&table);
}

static void fake_frame(struct fake_reactor *fake, struct stead_slice bytes)
{
    static const struct stead_codec_limits limits = {.payload_bytes_max = 1u << 20};
    struct stead_frame frame;
    struct stead_slice record;

    if (stead_frame_open(bytes, &frame) != 0)
        return;
    while (stead_frame_next(&frame, &record)) {
        struct stead_message *message;

        if (stead_codec_decode(record, &limits, &message, NULL) != 0)
            continue;
        if (message->type == STEAD_HELLO)
            fake_welcome(fake);
        else
            fake_request(fake, message);
        stead_message_destroy(&message);
    }
}

static void *fake_run(void *argument)
{
    struct fake_reactor *fake = argument;
    zmq_msg_t identity, frame;

    (void)zmq_msg_init(&identity);
    (void)zmq_msg_init(&frame);
    while (!atomic_load(&fake->stop)) {
        struct stead_slice answers;

        if (zmq_msg_recv(&identity, fake->router, 0) < 0)
            continue; /* the timeout: look at `stop` */
        if (zmq_msg_recv(&frame, fake->router, 0) < 0)
            continue;
        fake_frame(fake, stead_bytes(zmq_msg_data(&frame), zmq_msg_size(&frame)));
        answers = stead_frame_bytes(&fake->frame);
        if (answers.size > 0) {
            (void)zmq_msg_send(&identity, fake->router, ZMQ_SNDMORE);
            (void)zmq_send(fake->router, answers.data, answers.size, 0);
            stead_frame_reset(&fake->frame);
        }
    }
    (void)zmq_msg_close(&identity);
    (void)zmq_msg_close(&frame);
    return NULL;
}

/* Binds to `endpoint` (a port 0 is made real) without running yet, so that the table can name it. */
static struct fake_reactor *fake_create(const char *endpoint, uint32_t node, uint16_t reactor)
{
    struct fake_reactor *fake = stead_alloc_zero(sizeof(*fake));
    size_t size = sizeof(fake->endpoint);
    int linger = 0, timeout_ms = 20;

    fake->node = node;
    fake->reactor = reactor;
    fake->context = zmq_ctx_new();
    fake->router = zmq_socket(fake->context, ZMQ_ROUTER);
    (void)zmq_setsockopt(fake->router, ZMQ_LINGER, &linger, sizeof(linger));
    (void)zmq_setsockopt(fake->router, ZMQ_RCVTIMEO, &timeout_ms, sizeof(timeout_ms));
    STEAD_ASSERT(zmq_bind(fake->router, endpoint) == 0);
    STEAD_ASSERT(zmq_getsockopt(fake->router, ZMQ_LAST_ENDPOINT, fake->endpoint, &size) == 0);
    return fake;
}

static void fake_start(struct fake_reactor *fake, struct stead_table *table)
{
    fake->table = table == NULL ? NULL : stead_table_hold(table);
    STEAD_ASSERT(pthread_create(&fake->thread, NULL, fake_run, fake) == 0);
}

static void fake_stop(struct fake_reactor **fake)
{
    struct fake_reactor *it = *fake;

    *fake = NULL;
    atomic_store(&it->stop, true);
    (void)pthread_join(it->thread, NULL);
    (void)zmq_close(it->router);
    (void)zmq_ctx_term(it->context);
    stead_frame_deinit(&it->frame);
    stead_table_release(&it->table);
    free(it);
}

/* A formed table: node i + 1 has the i-th endpoint and an even share of group 0. */
static struct stead_table *fake_table(const char *const *endpoints, uint32_t node_count, uint64_t version)
{
    struct stead_table_builder *builder = stead_table_builder_create(NULL);
    struct stead_table *table;
    int code = 0;

    stead_table_builder_set_formed(builder, true, node_count);
    for (uint32_t i = 0; i < node_count; i++) {
        struct stead_table_node node = {
            .id = i + 1, .incarnation = 1, .alive = true, .reactor_count = 1, .endpoints = &endpoints[i]};
        struct stead_table_shard shard = {.id = i + 1, .epoch = 1, .node = i + 1, .incarnation = 1};
        uint32_t share = STEAD_SLOTS_PER_GROUP / node_count;

        (void)stead_format(node.name, sizeof(node.name), "n%u", i + 1);
        code |= stead_table_builder_put_node(builder, &node);
        code |= stead_table_builder_put_shard(builder, &shard);
        code |= stead_table_builder_put_slots(builder, (stead_slot){(uint16_t)(i * share)},
                                              i + 1 == node_count ? STEAD_SLOTS_PER_GROUP - i * share : share, i + 1);
    }
    STEAD_ASSERT(code == 0);
    table = stead_table_builder_build(builder, version);
    stead_table_builder_destroy(&builder);
    return table;
}

#endif
