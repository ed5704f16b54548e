/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_scene: a client's state machine on a stage. A script of events is played to it, and what it does is written
 * down, an effect a line:
 *
 *     connect N.R | send N.R VERB ADDRESS #NUMBER<MARK [after NUMBER] [retry] | refresh | end NAME CODE
 */
#ifndef STEAD_TESTS_CLIENT_SCENE_H
#define STEAD_TESTS_CLIENT_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/address.h"
#include "runtime/base.h"
#include "runtime/client_core.h"
#include "runtime/table_builder.h"

#define SENT_MAX 4096u
#define MS 1000000ull

struct scene {
    struct stead_client_core *core;
    uint64_t now_ms;                      /* monotonic and, from an offset, wall */
    char log[16384];                      /* the transcript */
    size_t log_size;                      /* bytes of it */
    struct stead_message *sent[SENT_MAX]; /* copies of all requests sent, in order */
    uint32_t sent_count;
    const char *submit_next; /* a completion submits this address once */
};

static inline void note(struct scene *scene, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    scene->log_size += stead_format_v(scene->log + scene->log_size, sizeof(scene->log) - scene->log_size, format, args);
    va_end(args);
    assert_true(scene->log_size < sizeof(scene->log));
}

static inline void on_connect(void *self, uint32_t node, uint16_t reactor)
{
    note(self, "connect %u.%u\n", node, (unsigned)reactor);
}

static inline void on_send(void *self, uint32_t node, uint16_t reactor, const struct stead_message *message)
{
    static const char *const verbs[] = {"", "tell", "signal", "call", "answer", "ack", "query", "", "", "", "cancel"};
    struct scene *scene = self;

    note(scene, "send %u.%u %s %s", node, (unsigned)reactor, verbs[message->type], message->address);
    if (message->groups & STEAD_GROUP_SESSION)
        note(scene, " #%llu<%llu", (unsigned long long)message->session.number,
             (unsigned long long)message->session.mark);
    if (message->after != 0)
        note(scene, " after %llu", (unsigned long long)message->after);
    note(scene, "%s\n", message->flags & STEAD_FLAG_RETRY ? " retry" : "");
    assert_true(scene->sent_count < SENT_MAX);
    scene->sent[scene->sent_count++] = stead_message_copy(message);
}

static inline void submit(struct scene *scene, const char *address);

static inline void on_complete(void *self, void *context, int code, struct stead_message **answer)
{
    struct scene *scene = self;

    (void)answer;
    note(scene, "end %s %s\n", (const char *)context, stead_error_name(code));
    if (scene->submit_next != NULL) {
        const char *address = scene->submit_next;

        scene->submit_next = NULL;
        submit(scene, address);
    }
}

static inline void on_refresh(void *self)
{
    note(self, "refresh\n");
}

static inline void set_now(struct scene *scene, uint64_t now_ms)
{
    scene->now_ms = now_ms;
    stead_client_core_set_now(scene->core, now_ms * MS, 1700000000000ull + now_ms);
}

static inline void advance(struct scene *scene, uint64_t ms)
{
    set_now(scene, scene->now_ms + ms);
    stead_client_core_step(scene->core);
    stead_client_core_check(scene->core);
}

static inline struct scene *scene_open(void)
{
    struct scene *scene = stead_alloc_zero(sizeof(*scene));
    const struct stead_client_core_options options = {
        .seed = 1,
        .timeout_ms = 10000,
        .effects = {
            .self = scene, .connect = on_connect, .send = on_send, .complete = on_complete, .refresh = on_refresh}};

    scene->core = stead_client_core_create(&options);
    set_now(scene, 1000);
    return scene;
}

static inline void scene_close(struct scene *scene)
{
    stead_client_core_check(scene->core);
    stead_client_core_destroy(&scene->core);
    for (uint32_t i = 0; i < scene->sent_count; i++)
        stead_message_destroy(&scene->sent[i]);
    free(scene);
}

/* What happened since the last time. */
static inline void expect(struct scene *scene, const char *transcript)
{
    scene->log[scene->log_size] = '\0';
    assert_string_equal(scene->log, transcript);
    scene->log_size = 0;
    stead_client_core_check(scene->core);
}

static inline struct stead_client_request request_to(const char *address)
{
    return (struct stead_client_request){.type = STEAD_CALL,
                                         .address = stead_str(address),
                                         .op = stead_str("op"),
                                         .context = (void *)(uintptr_t)address};
}

static inline void submit(struct scene *scene, const char *address)
{
    const struct stead_client_request request = request_to(address);

    assert_int_equal(stead_client_core_submit(scene->core, &request), 0);
}

/* Answers the n-th record that was sent, from the end: 0 is the last. */
static inline void answer(struct scene *scene, uint32_t back, int status)
{
    struct stead_message *message =
        stead_message_answer(scene->sent[scene->sent_count - 1 - back], status, NULL, stead_bytes(NULL, 0));

    stead_client_core_deliver(scene->core, &message);
    assert_null(message);
}

/* Two nodes of one reactor each; all agents live on `owner`. Kind `job` is stateless and needs gpu, which node `gpu`
 * has. */
static inline struct stead_table *table_of(uint64_t version, uint32_t owner, uint32_t gpu)
{
    static const char *const endpoints[] = {"tcp://127.0.0.1:1", "tcp://127.0.0.1:2"}, *const labels[] = {"gpu"};
    struct stead_table_builder *builder = stead_table_builder_create(NULL);
    struct stead_table_kind job = {.name = "job", .durability = STEAD_STATELESS, .needs = "gpu"};
    struct stead_table_shard shard = {.id = 1, .epoch = version, .node = owner};
    struct stead_table *table;
    int code = 0;

    for (uint32_t i = 1; i <= 2; i++) {
        struct stead_table_node node = {.id = i,
                                        .alive = true,
                                        .label_count = (gpu & i) != 0,
                                        .labels = labels,
                                        .reactor_count = 1,
                                        .endpoints = &endpoints[i - 1]};

        (void)stead_format(node.name, sizeof(node.name), "n%u", i);
        code |= stead_table_builder_put_node(builder, &node);
    }
    code |= stead_table_builder_put_shard(builder, &shard);
    code |= stead_table_builder_put_slots(builder, (stead_slot){0}, STEAD_SLOTS_PER_GROUP, 1);
    code |= stead_table_builder_put_kind(builder, &job);
    assert_int_equal(code, 0);
    table = stead_table_builder_build(builder, version);
    stead_table_builder_destroy(&builder);
    return table;
}

static inline void give_table(struct scene *scene, uint64_t version, uint32_t owner, uint32_t gpu)
{
    struct stead_table *table = table_of(version, owner, gpu);

    stead_client_core_set_table(scene->core, table);
    stead_table_release(&table);
}

/* A scene with a table, connected to node 1, which owns everything. */
static inline struct scene *scene_connected(void)
{
    struct scene *scene = scene_open();

    give_table(scene, 1, 1, 3);
    stead_client_core_peer_up(scene->core, 1, 0);
    expect(scene, "");
    return scene;
}

#endif
