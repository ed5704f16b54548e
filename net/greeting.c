/* SPDX-License-Identifier: Apache-2.0 */
/*
 * greeting: the handshake at the ROUTER. A connection is who said HELLO on it; until then nothing it sends is
 * delivered.
 *
 * ZeroMQ reconnects by itself and gives the new connection a new routing id, so after a break the first records may
 * come before the new HELLO. They are dropped and the sender is asked to introduce itself: delivery is at most once
 * within a connection, and everybody who needs more sends again.
 *
 * Invariant G1: a connection is welcomed only by a node that knows its own name and a table, so that no route names
 * node 0 and no client is left without a table.
 */
#include "net/transport_internal.h"

#include "runtime/base.h"
#include "runtime/doors.h"

bool stead_transport_named(const struct stead_transport *t)
{
    return t->options.node != 0 && t->table_version != 0;
}

static void welcome(struct stead_transport *t, struct stead_connection *c)
{
    struct stead_welcome w = {.node = t->options.node,
                              .incarnation = t->options.incarnation,
                              .reactor = t->options.reactor,
                              .cluster = t->cluster,
                              .table = {t->table, t->table_size}};
    memcpy(w.name, t->node_name, sizeof w.name);
    struct stead_message *m = stead_welcome_make(&w);
    m->table_version = t->table_version;
    c->table_sent = t->table_version;
    c->unwelcomed = false;
    stead_transport_reply(t, c, m);
    stead_message_destroy(&m);
}

/* 0, or why this HELLO is refused. */
static int judge(const struct stead_transport *t, const struct stead_message *message, struct stead_hello *ret_hello)
{
    int code = stead_hello_read(message, ret_hello);
    if (code != 0)
        return code;
    bool both_known = !stead_id_is_zero(ret_hello->cluster) && !stead_id_is_zero(t->cluster);
    if (both_known && !stead_id_equal(ret_hello->cluster, t->cluster))
        return STEAD_EUNAUTHORISED;
    return 0;
}

struct stead_connection *stead_transport_greet(struct stead_transport *t, struct stead_slice id,
                                               struct stead_connection *c, const struct stead_message *hello)
{
    struct stead_hello h;
    int code = judge(t, hello, &h);
    /* Whoever says HELLO anew has forgotten what was before: answers of an earlier life must not reach it. */
    if (c != NULL)
        stead_transport_drop_connection(t, c);
    c = NULL;
    if (code == 0) {
        c = stead_connections_add(&t->connections, id, t->options.connections_max);
        code = c == NULL ? STEAD_EBUSY : 0;
    }
    if (code != 0) {
        t->stats.records_refused++;
        stead_transport_trace(t, STEAD_TRACE_WARN, true, "event=hello_refused code=%s", stead_error_name(code));
        struct stead_message *answer = stead_hello_refuse(hello->id, code);
        stead_transport_reply_once(t, id, &answer);
        return NULL;
    }
    c->heard_ns = t->now_ns;
    c->node = h.is_node ? h.node : 0;
    c->reactor = h.reactor;
    if (stead_transport_named(t))
        welcome(t, c);
    else
        c->unwelcomed = true;
    return c;
}

void stead_transport_welcome_waiting(struct stead_transport *t)
{
    if (!stead_transport_named(t))
        return;
    for (uint32_t place = 0; place < t->connections.place_count; place++) {
        struct stead_connection *c = stead_connections_place(&t->connections, place);
        if (c != NULL && c->unwelcomed)
            welcome(t, c);
    }
}

void stead_transport_push_table(struct stead_transport *t, struct stead_connection *c)
{
    struct stead_message_parts parts = {.payload = {t->table, t->table_size}};
    struct stead_message *m = stead_message_create(STEAD_TABLE, &parts);
    m->source_slot.v = STEAD_SLOT_NODE;
    m->slot.v = STEAD_SLOT_SESSION;
    m->table_version = t->table_version;
    c->table_sent = t->table_version;
    stead_transport_reply(t, c, m);
    stead_message_destroy(&m);
}
