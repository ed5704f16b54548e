/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_client: what a client sends to the host of host_fixture.h, and its answers.
 */
#ifndef STEAD_TESTS_HOST_CLIENT_H
#define STEAD_TESTS_HOST_CLIENT_H

#include "unit/runtime/host_fixture.h"

struct fx_client {
    struct stead_id id;
    uint64_t start_ms, number, mark;
    uint64_t connection;
};

static inline struct fx_client fx_client(struct fx *fx, uint8_t name)
{
    return (struct fx_client){.id = {{name}}, .start_ms = fx->now_ms, .connection = FX_ROUTE + name};
}

/* A request that is not on its way yet, to be changed by the test. */
static inline struct stead_message *fx_request(struct fx *fx, struct fx_client *client, enum stead_message_type type,
                                               const char *address, const char *op, struct stead_slice payload,
                                               const char *key)
{
    struct stead_message_parts parts = {.address = stead_str(address), .op = stead_str(op), .payload = payload};

    if (key != NULL)
        parts.key = stead_str(key);
    struct stead_message *message = stead_message_create(type, &parts);
    uint64_t number = ++fx->request_ids;
    memcpy(message->id.v, &number, sizeof(number));
    message->id.v[15] = 0xC1;
    message->id.v[8] = (uint8_t)number; /* the half that is hashed */
    message->source_slot = (stead_slot){STEAD_SLOT_SESSION};
    message->slot = address[0] == '\0' ? (stead_slot){STEAD_SLOT_NODE} : stead_address_slot(parts.address, 0);
    message->groups = STEAD_GROUP_ROUTE | (key != NULL ? STEAD_GROUP_KEY : 0);
    message->route = (struct stead_route){FX_NODE, 0, client->connection};
    if (type != STEAD_TELL) {
        message->groups |= STEAD_GROUP_SESSION;
        message->session.id = client->id;
        message->session.start_ms = client->start_ms;
        message->session.number = ++client->number;
        message->session.mark = client->mark;
    }
    return message;
}

/* A CANCEL of a request, as the client sends it and the node lets it in. */
static inline struct stead_message *fx_cancel(const struct stead_message *request, const struct fx_client *client)
{
    const struct stead_message_parts parts = {.address = stead_bytes(request->address, request->address_size)};
    struct stead_message *cancel = stead_message_create(STEAD_CANCEL, &parts);

    cancel->id = request->id;
    cancel->slot = request->slot;
    cancel->source_slot = (stead_slot){STEAD_SLOT_SESSION};
    cancel->groups = STEAD_GROUP_ROUTE | (client == NULL ? 0 : STEAD_GROUP_SESSION);
    cancel->route = (struct stead_route){FX_NODE, 0, client == NULL ? 1 : client->connection};
    if (client != NULL)
        cancel->session.id = client->id;
    return cancel;
}

/* Delivers a copy of the message and runs. */
static inline void fx_deliver(struct fx *fx, const struct stead_message *message)
{
    struct stead_message *copy = stead_message_copy(message);

    stead_host_deliver(fx->host, &copy);
    fx_run(fx);
}

/* The next answer to a client, which must be there; the caller's. */
static inline struct stead_message *fx_answer(struct fx *fx)
{
    struct stead_message *answer = stead_queue_pop(&fx->answers);

    assert_non_null(answer);
    assert_int_equal(answer->type, STEAD_ANSWER);
    return answer;
}

static inline int64_t fx_answer_i64(struct fx *fx)
{
    struct stead_message *answer = fx_answer(fx);
    int64_t value = INT64_MIN;

    assert_int_equal(answer->status, 0);
    assert_int_equal(stead_get_i64(stead_message_payload(answer), NULL, &value), 0);
    stead_message_destroy(&answer);
    return value;
}

static inline int fx_answer_status(struct fx *fx)
{
    struct stead_message *answer = fx_answer(fx);
    int status = answer->status;

    stead_message_destroy(&answer);
    return status;
}

/* A new request of the client: sent, run. The answer, if there is one, is the newest in fx->answers. */
static inline void fx_send(struct fx *fx, struct fx_client *client, enum stead_message_type type, const char *address,
                           const char *op)
{
    struct stead_message *message = fx_request(fx, client, type, address, op, (struct stead_slice){0}, NULL);

    stead_host_deliver(fx->host, &message);
    fx_run(fx);
}

static inline int fx_call(struct fx *fx, struct fx_client *client, const char *address, const char *op)
{
    fx_send(fx, client, STEAD_CALL, address, op);
    return fx_answer_status(fx);
}

static inline int64_t fx_call_i64(struct fx *fx, struct fx_client *client, const char *address, const char *op)
{
    fx_send(fx, client, STEAD_CALL, address, op);
    return fx_answer_i64(fx);
}

/* A query's answer; the caller's. */
static inline struct stead_message *fx_query(struct fx *fx, struct fx_client *client, const char *address,
                                             const char *op, struct stead_slice args)
{
    struct stead_message *message = fx_request(fx, client, STEAD_QUERY, address, op, args, NULL);

    stead_host_deliver(fx->host, &message);
    fx_run(fx);
    return fx_answer(fx);
}

static inline int64_t fx_query_i64(struct fx *fx, struct fx_client *client, const char *address, const char *op,
                                   const char *field)
{
    struct stead_message *answer = fx_query(fx, client, address, op, (struct stead_slice){0});
    int64_t value = INT64_MIN;

    assert_int_equal(answer->status, 0);
    assert_int_equal(stead_get_i64(stead_message_payload(answer), field, &value), 0);
    stead_message_destroy(&answer);
    return value;
}

/* A number as a payload; valid until the next call. */
static inline struct stead_slice fx_i64(int64_t value)
{
    static uint8_t memory[16];
    struct stead_writer writer;

    stead_writer_init_fixed(&writer, memory, sizeof(memory));
    stead_write_i64(&writer, value);
    return stead_written(&writer);
}

static inline const struct stead_stats *fx_stats(const struct fx *fx)
{
    return stead_host_stats(fx->host);
}

#endif
