/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec: the wire form of one record, struct stead_message <-> bytes. docs/FORMATS.md, section Wire, is its byte table.
 *
 *     core (64 B, fixed) | groups, by flag bits in bit order | extensions (type, length, value)* | address | source | op | key | payload
 *
 * Decoding is where bytes of a peer are checked, once and completely: version, type, every length, the grammar of
 * addresses and ops, the payload's structure, the order of channel numbers, and which groups a type may carry. What is
 * behind the decoder is trusted. Nothing is read past the end and nothing is allocated before all of it is known to be
 * good.
 *
 * Used by: the transport, the client, the simulator's links. Pure; any thread.
 */
#ifndef STEAD_NET_CODEC_H
#define STEAD_NET_CODEC_H

#include "runtime/message.h"

#define STEAD_WIRE_VERSION 1u
#define STEAD_WIRE_CORE_SIZE 64u                     /* bytes */
#define STEAD_WIRE_KEY_MAX 128u                      /* bytes of an idempotency key */
#define STEAD_WIRE_PAYLOAD_MAX (32u * 1024u * 1024u) /* bytes; answers, tables; requests: stead_codec_limits */
#define STEAD_WIRE_EXTENSION_CHAIN 1u                /* of a CALL: the addresses of runtime/chain.h */
#define STEAD_WIRE_EXTENSION_ENDED 2u                /* of a SIGNAL or CALL of a session: stead_message_ended() */
#define STEAD_WIRE_EXTENSION_AFTER 3u                /* of a SIGNAL or CALL of a session: its `after` */
#define STEAD_WIRE_EXTENSION_MUST 0x8000u /* bit of an extension's type: who does not know it refuses the record */

struct stead_codec_limits {
    uint32_t payload_bytes_max; /* of TELL, SIGNAL, CALL and QUERY; STEAD_ETOOLARGE above it */
};

/* What was readable of a record that was refused: enough to tell its sender. */
struct stead_codec_refusal {
    bool answerable;         /* a SIGNAL, CALL, QUERY or HELLO with an id: its sender waits for an ANSWER */
    bool has_session;        /* `session_*` are set, as the answer must carry them */
    bool has_route;          /* `route` is set: the request was forwarded here by another reactor */
    uint8_t type;            /* enum stead_message_type, 0 when the core was not readable */
    struct stead_id id;      /* of the request */
    struct stead_id session; /* the three fields of its SESSION group */
    uint64_t session_start_ms;
    uint64_t session_number;
    uint64_t session_mark;
    struct stead_route route; /* of its ROUTE group */
};

/* The exact bytes that stead_codec_encode() writes for `message`. Borrowed. */
size_t stead_codec_size(const struct stead_message *message);

/* Writes the record to `ret_bytes`, which has room for stead_codec_size() bytes; returns that size. `message` is
 * borrowed and must be one that the decoder would accept: what a program makes is the program's responsibility. */
size_t stead_codec_encode(const struct stead_message *message, uint8_t *ret_bytes);

/* Checks `record` and makes it a message. `record` is borrowed; `*ret_message` is returned. 0, or STEAD_EVERSION:
 * another version, or bits, a codec or a must-understand extension that are not known here; STEAD_EPROTOCOL: lengths,
 * groups or numbers that do not add up; STEAD_ETOOLARGE: over a limit; STEAD_EADDRESS: an address against the grammar;
 * STEAD_EOP: an op name against it; STEAD_ECORRUPT: a payload that is no msgpack, or a wrong checksum. On failure
 * `ret_refusal` (may be NULL) says what could be read. */
int stead_codec_decode(struct stead_slice record, const struct stead_codec_limits *limits,
                       struct stead_message **ret_message, struct stead_codec_refusal *ret_refusal) STEAD_MUST_USE;

/* The ANSWER that tells the sender of a refused record what was wrong; NULL when it is not answerable. Returned. */
struct stead_message *stead_codec_refusal_answer(const struct stead_codec_refusal *refusal, int code);

/* May a client send this? 0; STEAD_EUNAUTHORISED for what only nodes say: other types than TELL, SIGNAL, CALL, QUERY
 * and CANCEL, a source address, a channel, a principal, a placed job; STEAD_EPROTOCOL for a SIGNAL, CALL or QUERY
 * without a session. `message` is borrowed. */
int stead_codec_client_check(const struct stead_message *message) STEAD_MUST_USE;

#endif
