/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_queue_fixture: one queue of a hub on the host of host_fixture.h, what is sent to it, and what it answered.
 */
#ifndef STEAD_TESTS_HUB_QUEUE_FIXTURE_H
#define STEAD_TESTS_HUB_QUEUE_FIXTURE_H

#include "unit/runtime/host_client.h"

#include "agents/agents.h"
#include "agents/hub.h"

#define QUEUE "hub.queue/t/work"

static struct fx *fx;
static struct fx_client client;
static struct stead_message *answer; /* of the last request; NULL: none yet */

static inline void take_answer(void)
{
    if (answer != NULL)
        stead_message_destroy(&answer);
    answer = stead_queue_pop(&fx->answers);
}

/* Sends and runs; the answer, if there is one, in `answer`. */
static inline void send(const char *op, const char *format, ...)
{
    struct stead_writer args;
    va_list list;

    stead_writer_init(&args);
    va_start(list, format);
    stead_pack_v(&args, format, list);
    va_end(list);
    struct stead_message *message = fx_request(fx, &client, STEAD_CALL, QUEUE, op, stead_written(&args), NULL);
    stead_writer_deinit(&args);
    stead_host_deliver(fx->host, &message);
    fx_run(fx);
    take_answer();
}

static inline void put(const char *id, const char *body, int64_t delay_ms)
{
    send("enqueue", "{s:s,s:s,s:l,s:b}", "id", id, "body", body, "delay", delay_ms, "copy", strchr(id, '#') != NULL);
    assert_non_null(answer);
    assert_int_equal(answer->status, 0);
}

static inline bool is_new(void)
{
    bool it;

    assert_int_equal(stead_get_bool(stead_message_payload(answer), "new", &it), 0);
    return it;
}

struct taken {
    uint64_t seq, receipt, count;
    char id[64], body[64];
};

/* The messages of the last answer. */
static inline uint32_t read_taken(struct taken *list)
{
    struct stead_reader reader = stead_reader(stead_message_payload(answer));
    struct stead_slice id, body;
    uint32_t count, five;

    assert_int_equal(answer->status, 0);
    assert_int_equal(stead_read_array(&reader, &count), 0);
    for (uint32_t at = 0; at < count; at++) {
        struct taken *it = &list[at];
        assert_int_equal(stead_read_array(&reader, &five), 0);
        assert_int_equal(five, 5);
        assert_int_equal(stead_read_u64(&reader, &it->seq), 0);
        assert_int_equal(stead_read_u64(&reader, &it->receipt), 0);
        assert_int_equal(stead_read_u64(&reader, &it->count), 0);
        assert_int_equal(stead_read_str(&reader, &id), 0);
        assert_int_equal(stead_read_str(&reader, &body), 0);
        snprintf(it->id, sizeof(it->id), "%.*s", (int)id.size, (const char *)id.data);
        snprintf(it->body, sizeof(it->body), "%.*s", (int)body.size, (const char *)body.data);
    }
    return count;
}

static inline uint32_t get(struct taken *list, int64_t max, int64_t hide_ms)
{
    send("dequeue", "{s:l,s:l}", "max", max, "hide", hide_ms);
    assert_non_null(answer);
    return read_taken(list);
}

static inline uint64_t done(const struct taken *it)
{
    uint64_t deleted = 99;

    send("delete", "[[u,u]]", it->seq, it->receipt);
    assert_int_equal(answer->status, 0);
    assert_int_equal(stead_get_u64(stead_message_payload(answer), NULL, &deleted), 0);
    return deleted;
}

static inline int64_t status_of(const char *field)
{
    int64_t it = -1;

    send("status", "{}");
    assert_int_equal(answer->status, 0);
    assert_int_equal(stead_get_i64(stead_message_payload(answer), field, &it), 0);
    return it;
}

static inline int setup(void **state)
{
    (void)state;
    fx = fx_create(2);
    assert_int_equal(stead_registry_add(fx->registry, &stead_hub_queue_kind, NULL), 0);
    client = fx_client(fx, 1);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    take_answer();
    if (answer != NULL)
        stead_message_destroy(&answer);
    fx_destroy(fx);
    return 0;
}

#endif
