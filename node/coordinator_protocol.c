/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator_protocol: encoding and strict decoding.
 *
 * A request is decoded into the structs of the state machine, which want C strings: all its texts are copied, each with
 * a zero, into one block as large as the message. They always fit, since every text costs at least one byte of header
 * in the message. Counts are bounded by the protocol's limits before anything is allocated for them, and by the bytes
 * that are there, since every element takes one.
 */
#include "node/coordinator_protocol.h"

#include <stdlib.h>

#include "runtime/base.h"

enum { MEMORY_TEXTS, MEMORY_CLAIMS, MEMORY_ENDPOINTS, MEMORY_LABELS, MEMORY_KINDS };

static const char *const op_names[] = {
    [STEAD_COORDINATOR_OP_TABLE] = "table", [STEAD_COORDINATOR_REGISTER] = "register",
    [STEAD_COORDINATOR_CLAIM] = "claim",    [STEAD_COORDINATOR_BEAT] = "beat",
    [STEAD_COORDINATOR_LEAVE] = "leave",    [STEAD_COORDINATOR_OP_ROWS] = "rows",
};

/* ---- Encoding ------------------------------------------------------------------------------- */

static void write_texts(struct stead_writer *writer, const char *field, const char *const *texts, uint32_t count)
{
    stead_write_str(writer, field);
    stead_write_array(writer, count);
    for (uint32_t i = 0; i < count; i++)
        stead_write_str(writer, texts[i]);
}

static void write_registration(struct stead_writer *writer, const struct stead_node_registration *r)
{
    stead_write_map(writer, 7);
    stead_write_str(writer, "name");
    stead_write_str(writer, r->name);
    stead_write_str(writer, "identity");
    stead_write_bin(writer, stead_bytes(r->identity.v, sizeof r->identity.v));
    stead_write_str(writer, "start");
    stead_write_bin(writer, stead_bytes(r->start.v, sizeof r->start.v));
    stead_write_str(writer, "spr");
    stead_write_u64(writer, r->shards_per_reactor);
    write_texts(writer, "endpoints", r->endpoints, r->endpoint_count);
    write_texts(writer, "labels", r->labels, r->label_count);
    stead_write_str(writer, "kinds");
    stead_write_array(writer, r->kind_count);
    for (uint32_t i = 0; i < r->kind_count; i++)
        stead_pack(writer, "[s,u,s]", r->kinds[i].name, (uint64_t)r->kinds[i].durability, r->kinds[i].needs);
}

static void write_claims(struct stead_writer *writer, const struct stead_shard_claim *claims, uint32_t count)
{
    stead_write_array(writer, count);
    for (uint32_t i = 0; i < count; i++)
        stead_pack(writer, "[u,u,u]", (uint64_t)claims[i].shard, claims[i].expected_epoch, (uint64_t)claims[i].reactor);
}

void stead_coordinator_request_encode(const struct stead_coordinator_request *request, struct stead_writer *writer)
{
    bool registers = request->op == STEAD_COORDINATOR_REGISTER, claims = request->op == STEAD_COORDINATOR_CLAIM;
    stead_write_map(writer, 7u + registers + claims);
    stead_write_str(writer, "v");
    stead_write_u64(writer, STEAD_COORDINATOR_PROTOCOL);
    stead_write_str(writer, "id");
    stead_write_u64(writer, request->id);
    stead_write_str(writer, "op");
    stead_write_str(writer, op_names[request->op]);
    stead_write_str(writer, "table");
    stead_write_u64(writer, request->table_version);
    stead_write_str(writer, "watch");
    stead_write_bool(writer, request->watch);
    stead_write_str(writer, "node");
    stead_write_u64(writer, request->node);
    stead_write_str(writer, "incarnation");
    stead_write_u64(writer, request->incarnation);
    if (registers) {
        stead_write_str(writer, "registration");
        write_registration(writer, &request->registration);
    }
    if (claims) {
        stead_write_str(writer, "claims");
        write_claims(writer, request->claims, request->claim_count);
    }
}

void stead_coordinator_answer_encode(const struct stead_coordinator_answer *answer, struct stead_writer *writer)
{
    stead_write_map(writer, 9u + (answer->rows.size > 0));
    stead_write_str(writer, "v");
    stead_write_u64(writer, STEAD_COORDINATOR_PROTOCOL);
    stead_write_str(writer, "id");
    stead_write_u64(writer, answer->id);
    stead_write_str(writer, "status");
    stead_write_i64(writer, answer->status);
    stead_write_str(writer, "why");
    stead_write_str_slice(writer, answer->why);
    stead_write_str(writer, "now");
    stead_write_u64(writer, answer->now_ms);
    stead_write_str(writer, "version");
    stead_write_u64(writer, answer->version);
    stead_write_str(writer, "node");
    stead_write_u64(writer, answer->node);
    stead_write_str(writer, "incarnation");
    stead_write_u64(writer, answer->incarnation);
    stead_write_str(writer, "table");
    if (answer->table.size == 0)
        stead_write_nil(writer);
    else
        stead_write_bin(writer, answer->table);
    if (answer->rows.size > 0) {
        stead_write_str(writer, "rows");
        stead_write_bin(writer, answer->rows);
    }
}

/* ---- Decoding ------------------------------------------------------------------------------- */

/* A request being decoded: where its texts go. */
struct texts {
    char *at;  /* next free byte */
    char *end; /* one past the last */
};

static const char *keep_text(struct texts *texts, struct stead_slice text)
{
    char *kept = texts->at;
    STEAD_ASSERT((size_t)(texts->end - texts->at) > text.size);
    memcpy(kept, text.data, text.size);
    kept[text.size] = 0;
    texts->at += text.size + 1;
    return kept;
}

static int read_text(struct stead_reader *reader, struct texts *texts, const char **ret_text)
{
    struct stead_slice text;
    if (stead_read_str(reader, &text) != 0 || memchr(text.data, 0, text.size) != NULL)
        return STEAD_EPROTOCOL;
    *ret_text = keep_text(texts, text);
    return 0;
}

static int read_number(struct stead_reader *reader, uint64_t max, uint64_t *ret_it)
{
    uint64_t it;
    if (stead_read_u64(reader, &it) != 0 || it > max)
        return STEAD_EPROTOCOL;
    *ret_it = it;
    return 0;
}

static int get_number(struct stead_slice map, const char *field, uint64_t max, uint64_t *ret_it)
{
    uint64_t it;
    if (stead_get_u64(map, field, &it) != 0 || it > max)
        return STEAD_EPROTOCOL;
    *ret_it = it;
    return 0;
}

static int get_id(struct stead_slice map, const char *field, struct stead_id *ret_id)
{
    struct stead_slice bytes;
    if (stead_get_bin(map, field, &bytes) != 0 || bytes.size != sizeof ret_id->v)
        return STEAD_EPROTOCOL;
    memcpy(ret_id->v, bytes.data, sizeof ret_id->v);
    return 0;
}

static int open_array(struct stead_slice map, const char *field, uint32_t count_max, struct stead_reader *ret_reader,
                      uint32_t *ret_count)
{
    struct stead_slice array;
    uint32_t count;
    if (stead_get_value(map, field, &array) != 0)
        return STEAD_EPROTOCOL;
    struct stead_reader reader = stead_reader(array);
    if (stead_read_array(&reader, &count) != 0 || count > count_max)
        return STEAD_EPROTOCOL;
    *ret_reader = reader;
    *ret_count = count;
    return 0;
}

static int get_texts(struct stead_slice map, const char *field, uint32_t count_max, struct texts *texts, void **memory,
                     const char *const **ret_texts, uint32_t *ret_count)
{
    struct stead_reader reader;
    uint32_t count;
    if (open_array(map, field, count_max, &reader, &count) != 0)
        return STEAD_EPROTOCOL;
    const char **list = stead_alloc((count + 1) * sizeof *list);
    *memory = list;
    for (uint32_t i = 0; i < count; i++)
        if (read_text(&reader, texts, &list[i]) != 0)
            return STEAD_EPROTOCOL;
    *ret_texts = list;
    *ret_count = count;
    return 0;
}

static int read_kind(struct stead_reader *reader, struct texts *texts, struct stead_kind_registration *ret_kind)
{
    uint32_t count;
    uint64_t durability;
    if (stead_read_array(reader, &count) != 0 || count != 3 || read_text(reader, texts, &ret_kind->name) != 0 ||
        read_number(reader, UINT8_MAX, &durability) != 0)
        return STEAD_EPROTOCOL;
    ret_kind->durability = (uint8_t)durability;
    ret_kind->needs = NULL;
    if (stead_peek(reader) == STEAD_NIL)
        return stead_read_nil(reader) == 0 ? 0 : STEAD_EPROTOCOL;
    return read_text(reader, texts, &ret_kind->needs);
}

static int get_kinds(struct stead_slice map, struct texts *texts, void **memory, struct stead_node_registration *ret_r)
{
    struct stead_reader reader;
    uint32_t count;
    if (open_array(map, "kinds", STEAD_KINDS_MAX, &reader, &count) != 0)
        return STEAD_EPROTOCOL;
    struct stead_kind_registration *kinds = stead_alloc((count + 1) * sizeof *kinds);
    *memory = kinds;
    for (uint32_t i = 0; i < count; i++)
        if (read_kind(&reader, texts, &kinds[i]) != 0)
            return STEAD_EPROTOCOL;
    ret_r->kinds = kinds;
    ret_r->kind_count = count;
    return 0;
}

static int get_registration(struct stead_slice map, struct texts *texts, void **memory,
                            struct stead_node_registration *ret_r)
{
    struct stead_slice name;
    uint64_t shards_per_reactor;
    if (stead_get_str(map, "name", &name) != 0 || memchr(name.data, 0, name.size) != NULL ||
        get_id(map, "identity", &ret_r->identity) != 0 || get_id(map, "start", &ret_r->start) != 0 ||
        get_number(map, "spr", UINT32_MAX, &shards_per_reactor) != 0)
        return STEAD_EPROTOCOL;
    ret_r->name = keep_text(texts, name);
    ret_r->shards_per_reactor = (uint32_t)shards_per_reactor;
    if (get_texts(map, "endpoints", STEAD_REACTORS_MAX, texts, &memory[MEMORY_ENDPOINTS], &ret_r->endpoints,
                  &ret_r->endpoint_count) != 0 ||
        get_texts(map, "labels", STEAD_LABELS_MAX, texts, &memory[MEMORY_LABELS], &ret_r->labels,
                  &ret_r->label_count) != 0)
        return STEAD_EPROTOCOL;
    return get_kinds(map, texts, &memory[MEMORY_KINDS], ret_r);
}

static int get_claims(struct stead_slice map, struct stead_coordinator_request *ret_request)
{
    struct stead_reader reader;
    uint32_t count, fields;
    uint64_t shard, reactor;
    if (open_array(map, "claims", STEAD_SHARDS_MAX, &reader, &count) != 0)
        return STEAD_EPROTOCOL;
    struct stead_shard_claim *claims = stead_alloc((count + 1) * sizeof *claims);
    ret_request->memory[MEMORY_CLAIMS] = claims;
    for (uint32_t i = 0; i < count; i++) {
        if (stead_read_array(&reader, &fields) != 0 || fields != 3 || read_number(&reader, UINT32_MAX, &shard) != 0 ||
            read_number(&reader, UINT64_MAX - 1, &claims[i].expected_epoch) != 0 ||
            read_number(&reader, UINT16_MAX, &reactor) != 0)
            return STEAD_EPROTOCOL;
        claims[i].shard = (uint32_t)shard;
        claims[i].reactor = (uint16_t)reactor;
    }
    ret_request->claims = claims;
    ret_request->claim_count = count;
    return 0;
}

static int get_op(struct stead_slice map, int *ret_op)
{
    struct stead_slice name;
    if (stead_get_str(map, "op", &name) != 0)
        return STEAD_EPROTOCOL;
    for (int op = 0; op < (int)(sizeof op_names / sizeof op_names[0]); op++)
        if (op_names[op] != NULL && stead_slice_equal(name, stead_str(op_names[op]))) {
            *ret_op = op;
            return 0;
        }
    return STEAD_EPROTOCOL;
}

static int decode_body(struct stead_slice bytes, struct stead_coordinator_request *ret_request)
{
    uint64_t node;
    if (get_op(bytes, &ret_request->op) != 0 ||
        get_number(bytes, "table", UINT64_MAX, &ret_request->table_version) != 0 ||
        stead_get_bool(bytes, "watch", &ret_request->watch) != 0 || get_number(bytes, "node", UINT32_MAX, &node) != 0 ||
        get_number(bytes, "incarnation", UINT64_MAX, &ret_request->incarnation) != 0)
        return STEAD_EPROTOCOL;
    ret_request->node = (uint32_t)node;
    if (ret_request->op == STEAD_COORDINATOR_CLAIM)
        return get_claims(bytes, ret_request);
    if (ret_request->op != STEAD_COORDINATOR_REGISTER)
        return 0;
    struct stead_slice registration;
    if (stead_get_value(bytes, "registration", &registration) != 0)
        return STEAD_EPROTOCOL;
    char *memory = stead_alloc(bytes.size + 1);
    ret_request->memory[MEMORY_TEXTS] = memory;
    struct texts texts = {memory, memory + bytes.size + 1};
    return get_registration(registration, &texts, ret_request->memory, &ret_request->registration);
}

int stead_coordinator_request_decode(struct stead_slice bytes, struct stead_coordinator_request *ret_request)
{
    uint64_t version;
    memset(ret_request, 0, sizeof *ret_request);
    if (bytes.size == 0 || bytes.size > STEAD_COORDINATOR_MESSAGE_MAX || stead_value_check(bytes) != 0 ||
        get_number(bytes, "id", UINT64_MAX, &ret_request->id) != 0 || get_number(bytes, "v", UINT64_MAX, &version) != 0)
        return STEAD_EPROTOCOL;
    if (version != STEAD_COORDINATOR_PROTOCOL)
        return STEAD_EVERSION;
    int code = decode_body(bytes, ret_request);
    if (code != 0)
        stead_coordinator_request_deinit(ret_request);
    return code;
}

void stead_coordinator_request_deinit(struct stead_coordinator_request *request)
{
    for (unsigned i = 0; i < sizeof request->memory / sizeof request->memory[0]; i++) {
        free(request->memory[i]);
        request->memory[i] = NULL;
    }
}

int stead_coordinator_answer_decode(struct stead_slice bytes, struct stead_coordinator_answer *ret_answer)
{
    struct stead_coordinator_answer it = {0};
    uint64_t version, node;
    int64_t status;
    if (bytes.size == 0 || bytes.size > STEAD_COORDINATOR_MESSAGE_MAX || stead_value_check(bytes) != 0 ||
        get_number(bytes, "v", UINT64_MAX, &version) != 0)
        return STEAD_EPROTOCOL;
    if (version != STEAD_COORDINATOR_PROTOCOL)
        return STEAD_EVERSION;
    if (get_number(bytes, "id", UINT64_MAX, &it.id) != 0 || stead_get_i64(bytes, "status", &status) != 0 ||
        status > 0 || status < INT16_MIN || stead_get_str(bytes, "why", &it.why) != 0 ||
        get_number(bytes, "now", INT64_MAX, &it.now_ms) != 0 ||
        get_number(bytes, "version", UINT64_MAX, &it.version) != 0 ||
        get_number(bytes, "node", UINT32_MAX, &node) != 0 ||
        get_number(bytes, "incarnation", UINT64_MAX, &it.incarnation) != 0)
        return STEAD_EPROTOCOL;
    int code = stead_get_bin(bytes, "table", &it.table);
    if (code == 0 || code == STEAD_ENOTFOUND)
        code = stead_get_bin(bytes, "rows", &it.rows);
    if (code != 0 && code != STEAD_ENOTFOUND)
        return STEAD_EPROTOCOL;
    it.status = (int)status;
    it.node = (uint32_t)node;
    *ret_answer = it;
    return 0;
}
