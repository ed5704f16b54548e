/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator_protocol: what nodes and the coordinator say to each other: one msgpack map a ZeroMQ message
 * (docs/FORMATS.md, "Coordinator protocol").
 *
 *   request  {v: 1, id: u64, op: str, table: u64 version held, watch: bool,
 *             node: u32, incarnation: u64,                               claim, beat, leave
 *             claims: [[shard, expected epoch, reactor], ...],           claim
 *             registration: {name, identity: bin 16, start: bin 16, spr, endpoints: [str], labels: [str],
 *                            kinds: [[name, durability, needs or nil], ...]}}         register
 *   answer   {v: 1, id: u64 of the request, status: i64, why: str, now: wall ms, version: u64,
 *             node: u32, incarnation: u64, table: bin or nil, rows: bin}                  rows
 *
 * ops: register, claim, beat, leave, table (only asks), rows (asks for all that is stored, for a backup). An answer
 * brings the table when the asker's is older; with `watch` the coordinator remembers the connection and pushes later
 * tables as answers with id 0. Bytes from the peer are checked here, once.
 *
 * Pure; any thread.
 */
#ifndef STEAD_NODE_COORDINATOR_PROTOCOL_H
#define STEAD_NODE_COORDINATOR_PROTOCOL_H

#include "runtime/coordinator.h"

#define STEAD_COORDINATOR_PROTOCOL 1u
#define STEAD_COORDINATOR_MESSAGE_MAX (4u << 20) /* bytes */
#define STEAD_COORDINATOR_OP_TABLE 0             /* beside enum stead_coordinator_op: asks for the table alone */
#define STEAD_COORDINATOR_OP_ROWS 6              /* the same: asks for all rows */

struct stead_coordinator_request {
    uint64_t id;            /* the asker's own, not 0 */
    int op;                 /* enum stead_coordinator_op (never TICK), or STEAD_COORDINATOR_OP_TABLE or _ROWS */
    uint64_t table_version; /* that the asker has; 0: none */
    bool watch;             /* push newer tables to this connection */
    uint32_t node;
    uint64_t incarnation;
    uint32_t claim_count;
    const struct stead_shard_claim *claims;
    struct stead_node_registration registration; /* REGISTER */
    void *memory[5];                             /* of a decoded one: owned; see deinit */
};

struct stead_coordinator_answer {
    uint64_t id; /* of the request; 0: pushed */
    int status;
    struct stead_slice why; /* text, borrowed */
    uint64_t now_ms;        /* the coordinator's wall clock */
    uint64_t version;       /* of its table */
    uint32_t node;
    uint64_t incarnation;
    struct stead_slice table; /* stead_table_encode(), borrowed; empty: not sent */
    struct stead_slice rows;  /* mutations that make all rows (runtime/entry.h), borrowed; empty: not asked for */
};

/* Appends to `writer`. */
void stead_coordinator_request_encode(const struct stead_coordinator_request *request, struct stead_writer *writer);
void stead_coordinator_answer_encode(const struct stead_coordinator_answer *answer, struct stead_writer *writer);

/* 0; STEAD_EVERSION, STEAD_EPROTOCOL, with `ret_request->id` set when it could be read, and nothing to deinit. */
int stead_coordinator_request_decode(struct stead_slice bytes,
                                     struct stead_coordinator_request *ret_request) STEAD_MUST_USE;
void stead_coordinator_request_deinit(struct stead_coordinator_request *request);
int stead_coordinator_answer_decode(struct stead_slice bytes,
                                    struct stead_coordinator_answer *ret_answer) STEAD_MUST_USE;

#endif
