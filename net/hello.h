/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hello: the payloads of the handshake, HELLO and WELCOME (docs/FORMATS.md, section Wire).
 *
 *     connecting side                          the reactor's ROUTER
 *         | -- HELLO {who I am} -------------------> |   first record of every connection
 *         | <------- WELCOME {who I am, the table} -- |   from now on requests are taken
 *         | <------- HELLO (empty) ------------------ |   "I do not know this connection": say HELLO again, then repeat
 *         | <------- ANSWER, status < 0 -------------- |   the HELLO was refused: another version, another cluster
 *
 * Used by the transport and by the client. Pure; any thread.
 */
#ifndef STEAD_NET_HELLO_H
#define STEAD_NET_HELLO_H

#include "runtime/message.h"
#include "runtime/table.h"

struct stead_hello {
    bool is_node;                       /* "node" or "client" */
    char name[STEAD_NODE_NAME_MAX + 1]; /* of the node, or what the client calls itself; may be empty */
    uint32_t node;                      /* nodes only, as the next two */
    uint64_t incarnation;
    uint16_t reactor;        /* the reactor whose DEALER this is */
    uint64_t table_version;  /* the newest table it holds; 0: none */
    struct stead_id cluster; /* zero: not known yet */
};

struct stead_welcome {
    char name[STEAD_NODE_NAME_MAX + 1]; /* of the answering node */
    uint32_t node;
    uint64_t incarnation;
    uint16_t reactor;
    struct stead_id cluster;  /* zero: not known yet */
    struct stead_slice table; /* stead_table_encode()'s bytes, borrowed; empty: it has none yet */
};

/* Whole records, ready to be sent. Returned. A HELLO must have an id, so that a refusal can name it: this one's is
 * "stead-hello". */
struct stead_message *stead_hello_make(const struct stead_hello *hello);
/* HELLO the other way: "I do not know you". */
struct stead_message *stead_hello_demand(void);
/* The ANSWER to a first record that could not be read, or to a HELLO that is refused; `id` may be zero. */
struct stead_message *stead_hello_refuse(struct stead_id id, int code);
/* The answer to a HELLO. */
struct stead_message *stead_welcome_make(const struct stead_welcome *welcome);

/* Reads the payload of a decoded HELLO or WELCOME. 0; STEAD_EVERSION: made for another version of the protocol;
 * STEAD_EPROTOCOL: a field is missing or has another type. `ret_welcome->table` is borrowed from `message`. */
int stead_hello_read(const struct stead_message *message, struct stead_hello *ret_hello) STEAD_MUST_USE;
int stead_welcome_read(const struct stead_message *message, struct stead_welcome *ret_welcome) STEAD_MUST_USE;

#endif
