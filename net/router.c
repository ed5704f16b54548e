/* SPDX-License-Identifier: Apache-2.0 */
/*
 * router: what comes in at the ROUTER: frames of clients, who are strangers, and of other nodes.
 *
 * This is the door of the house. A record is decoded, which is all the checking its bytes ever get; then it is judged
 * by who sent it: on a connection without HELLO nothing is taken, a client may say only what clients say and is given
 * the route of its answers here, a node is believed. Whoever waits for an answer is told what was wrong; nobody is
 * disconnected for it, since the answer is worth more.
 *
 * Invariants T1 and T2 of transport.c are kept here.
 */
#include <zmq.h>

#include "net/transport_internal.h"
#include "runtime/base.h"
#include "runtime/doors.h"

/* Tells the sender of a record why it was refused, if it waits to hear. */
static void refuse(struct stead_transport *t, struct stead_slice id, struct stead_connection *c,
                   struct stead_message *answer, int code)
{
    t->stats.records_refused++;
    stead_transport_trace(t, STEAD_TRACE_WARN, true, "event=record_refused code=%s connection=%llu",
                          stead_error_name(code), (unsigned long long)(c != NULL ? c->number : 0));
    if (answer == NULL)
        return;
    if (c == NULL) {
        stead_transport_reply_once(t, id, &answer);
        return;
    }
    answer->groups &= ~(uint32_t)STEAD_GROUP_ROUTE;
    stead_transport_reply(t, c, answer);
    stead_message_destroy(&answer);
}

/* A refused record of another node was forwarded: the answer goes back the way of its route, not to that node. */
static void refuse_record(struct stead_transport *t, struct stead_slice id, struct stead_connection *c,
                          const struct stead_codec_refusal *refusal, int code)
{
    struct stead_message *answer = stead_codec_refusal_answer(refusal, code);
    if (answer != NULL && c != NULL && c->node != 0) {
        t->stats.records_refused++;
        if (refusal->has_route && refusal->route.node == c->node)
            stead_transport_send(t, refusal->route.node, refusal->route.reactor, &answer);
        else
            stead_message_destroy(&answer);
        return;
    }
    if (answer == NULL && c == NULL)
        answer = stead_hello_refuse(refusal->id, code);
    refuse(t, id, c, answer, code);
}

/* A record of a client: held to what clients may say, and given the way back. */
static void take_from_client(struct stead_transport *t, struct stead_connection *c, struct stead_message *m)
{
    int code = stead_codec_client_check(m);
    if (code != 0) {
        struct stead_message *answer = NULL;
        if (m->type == STEAD_SIGNAL || m->type == STEAD_CALL || m->type == STEAD_QUERY)
            answer = stead_message_answer(m, code, NULL, (struct stead_slice){NULL, 0});
        refuse(t, stead_connection_id(c), c, answer, code);
        stead_message_destroy(&m);
        return;
    }
    m->groups |= STEAD_GROUP_ROUTE;
    m->route.node = t->options.node;
    m->route.reactor = t->options.reactor;
    m->route.connection = c->number;
    m->source_slot.v = STEAD_SLOT_SESSION;
    if (m->table_version < t->table_version && c->table_sent < t->table_version)
        stead_transport_push_table(t, c);
    t->options.events.message(t->options.events.self, &m);
}

static void take_from_node(struct stead_transport *t, struct stead_message *m)
{
    if (m->type == STEAD_TABLE)
        t->options.events.table(t->options.events.self, stead_message_payload(m));
    if (m->type == STEAD_TABLE || m->type == STEAD_WELCOME) {
        stead_message_destroy(&m);
        return;
    }
    t->options.events.message(t->options.events.self, &m);
}

/* One record; returns the connection as it is afterwards. `*demanded`: this frame's sender was asked for its HELLO. */
static struct stead_connection *take_record(struct stead_transport *t, struct stead_slice id,
                                            struct stead_connection *c, struct stead_slice record, bool *demanded)
{
    struct stead_message *m;
    struct stead_codec_refusal refusal;
    t->stats.records_in++;
    int code = stead_codec_decode(record, &t->limits, &m, &refusal);
    if (code != 0) {
        refuse_record(t, id, c, &refusal, code);
        return c;
    }
    m->received_ns = t->now_ns;
    if (m->type == STEAD_HELLO) {
        c = stead_transport_greet(t, id, c, m);
        stead_message_destroy(&m);
    } else if (c == NULL) {
        t->stats.records_strange++;
        stead_message_destroy(&m);
        if (!*demanded) {
            struct stead_message *demand = stead_hello_demand();
            stead_transport_reply_once(t, id, &demand);
        }
        *demanded = true;
    } else if (c->node == 0) {
        take_from_client(t, c, m);
    } else {
        take_from_node(t, m);
    }
    return c;
}

static void take_frame(struct stead_transport *t, struct stead_slice id, struct stead_slice bytes)
{
    struct stead_connection *c = stead_connections_find(&t->connections, id);
    struct stead_frame frame;
    struct stead_slice record;
    bool demanded = false;
    t->stats.frames_in++;
    t->stats.bytes_in += bytes.size;
    if (c != NULL)
        c->heard_ns = t->now_ns;
    int code = stead_frame_open(bytes, &frame);
    if (code != 0) {
        refuse(t, id, c, stead_hello_refuse((struct stead_id){{0}}, code), code);
        return;
    }
    while (stead_frame_next(&frame, &record))
        c = take_record(t, id, c, record, &demanded);
}

/* Reads and drops the parts of a message that has more than a routing id and a frame. True when there were any. */
static bool drop_parts(void *socket, zmq_msg_t *part)
{
    bool dropped = false;
    while (zmq_msg_more(part)) {
        if (zmq_msg_recv(part, socket, ZMQ_DONTWAIT) < 0)
            break; /* cannot be: ZeroMQ delivers whole messages */
        dropped = true;
    }
    return dropped;
}

/* Takes frames until there are no more or enough. True: enough, there may be more. */
bool stead_transport_take(struct stead_transport *t)
{
    zmq_msg_t id, frame;
    uint32_t taken = 0;
    zmq_msg_init(&id);
    zmq_msg_init(&frame);
    for (; taken < t->options.poll_frames_max; taken++) {
        if (zmq_msg_recv(&id, t->router, ZMQ_DONTWAIT) < 0)
            break;
        if (!zmq_msg_more(&id) || zmq_msg_recv(&frame, t->router, ZMQ_DONTWAIT) < 0)
            continue;
        struct stead_slice id_bytes = {zmq_msg_data(&id), zmq_msg_size(&id)};
        if (drop_parts(t->router, &frame)) {
            refuse(t, id_bytes, NULL, stead_hello_refuse((struct stead_id){{0}}, STEAD_EPROTOCOL), STEAD_EPROTOCOL);
            continue;
        }
        take_frame(t, id_bytes, (struct stead_slice){zmq_msg_data(&frame), zmq_msg_size(&frame)});
    }
    zmq_msg_close(&frame);
    zmq_msg_close(&id);
    return taken == t->options.poll_frames_max;
}
