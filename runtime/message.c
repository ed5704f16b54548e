/* SPDX-License-Identifier: Apache-2.0 */
/*
 * message: making and freeing of messages: the allocation that every message costs, so it is one block and touches as
 * little of it as it can.
 *
 *     +----------------------+-----------+---+----------+---+------+---+-------+---------+-------+-------+
 *     | struct stead_message | address   | 0 | source   | 0 | op   | 0 | key 0 | payload | chain | ended |
 *     +----------------------+-----------+---+----------+---+------+---+-------+---------+-------+-------+
 *       head: zeroed | groups: as they come
 *
 * M1  The groups after `payload` are not cleared: their bits in `groups` are 0, and nobody reads a group whose bit is
 * not set. M2  Texts are followed by a zero, so they are C strings for whoever needs one; an empty text is "". M3 
 * block_size is the whole allocation: what queues account is what freeing gives back. No block is smaller than
 *     STEAD_MESSAGE_SMALL, so any block of that size can be kept in any pool, whoever made it.
 */
#include "runtime/message.h"

#include <stdlib.h>

#include "runtime/base.h"

#define SHORT_COPY_MAX 32u

/* What create() clears: all in front of the first group. */
#define HEAD_SIZE offsetof(struct stead_message, channel)

/* Copies what is mostly 4 to 32 bytes, without a call: in words that overlap. */
static inline void copy_short(uint8_t *to, struct stead_slice from)
{
    if (from.size > SHORT_COPY_MAX) {
        memcpy(to, from.data, from.size);
    } else if (from.size >= 8) {
        for (size_t at = 0; at + 8 < from.size; at += 8)
            stead_store64(to + at, stead_load64(from.data + at));
        stead_store64(to + from.size - 8, stead_load64(from.data + from.size - 8));
    } else if (from.size >= 4) {
        stead_store32(to, stead_load32(from.data));
        stead_store32(to + from.size - 4, stead_load32(from.data + from.size - 4));
    } else {
        for (size_t at = 0; at < from.size; at++)
            to[at] = from.data[at];
    }
}

/* Copies a text and its zero to `*at` and moves on. */
static inline const char *place_text(uint8_t **at, struct stead_slice text)
{
    char *placed = (char *)*at;

    copy_short(*at, text);
    placed[text.size] = 0;
    *at += text.size + 1;
    return placed;
}

/* Fills a block that has room for `size` bytes. */
static struct stead_message *build(struct stead_message *message, size_t size, enum stead_message_type type,
                                   const struct stead_message_parts *parts)
{
    uint8_t *at = (uint8_t *)(message + 1);

    memset(message, 0, HEAD_SIZE);
    message->type = (uint8_t)type;
    message->address_size = (uint16_t)parts->address.size;
    message->source_size = (uint16_t)parts->source.size;
    message->op_size = (uint16_t)parts->op.size;
    message->key_size = (uint16_t)parts->key.size;
    message->payload_size = (uint32_t)parts->payload.size;
    message->block_size = (uint32_t)size;
    message->address = place_text(&at, parts->address);
    message->source = place_text(&at, parts->source);
    message->op = place_text(&at, parts->op);
    message->key = place_text(&at, parts->key);
    message->payload = at;
    copy_short(at, parts->payload);
    if (parts->chain.size > 0) {
        message->chain_size = (uint16_t)parts->chain.size;
        memcpy(at + parts->payload.size, parts->chain.data, parts->chain.size);
    }
    if (parts->ended.size > 0) {
        message->ended_size = (uint16_t)parts->ended.size;
        memcpy(at + parts->payload.size + parts->chain.size, parts->ended.data, parts->ended.size);
    }
    return message;
}

static inline size_t block_size(const struct stead_message_parts *parts)
{
    size_t texts = parts->address.size + parts->source.size + parts->op.size + parts->key.size + 4;
    size_t size = sizeof(struct stead_message) + texts + parts->payload.size + parts->chain.size + parts->ended.size;

    STEAD_ASSERT(parts->chain.size <= UINT16_MAX && parts->ended.size <= UINT16_MAX);
    STEAD_ASSERT(parts->address.size <= UINT16_MAX && parts->source.size <= UINT16_MAX);
    STEAD_ASSERT(parts->op.size <= UINT16_MAX && parts->key.size <= UINT16_MAX);
    STEAD_ASSERT(size <= UINT32_MAX);
    return size < STEAD_MESSAGE_SMALL ? STEAD_MESSAGE_SMALL : size;
}

struct stead_message *stead_message_create(enum stead_message_type type, const struct stead_message_parts *parts)
{
    size_t size = block_size(parts);
    return build(stead_alloc(size), size, type, parts);
}

struct stead_message *stead_message_create_in(struct stead_message_pool *pool, enum stead_message_type type,
                                              const struct stead_message_parts *parts)
{
    size_t size = block_size(parts);
    struct stead_message *block = pool->free;

    if (size != STEAD_MESSAGE_SMALL || block == NULL)
        return build(stead_alloc(size), size, type, parts);
    pool->free = block->next;
    pool->count--;
    return build(block, size, type, parts);
}

/* A copy with so many bytes of room behind it. */
static struct stead_message *copy_with_room(const struct stead_message *message, size_t room)
{
    struct stead_message *copy = stead_alloc(message->block_size + room);

    memcpy(copy, message, message->block_size);
    copy->block_size = (uint32_t)(message->block_size + room);
    copy->next = NULL;
    copy->target = NULL;
    copy->address = (const char *)(copy + 1);
    copy->source = copy->address + copy->address_size + 1;
    copy->op = copy->source + copy->source_size + 1;
    copy->key = copy->op + copy->op_size + 1;
    copy->payload = (const uint8_t *)copy->key + copy->key_size + 1;
    return copy;
}

struct stead_message *stead_message_copy(const struct stead_message *message)
{
    return copy_with_room(message, 0);
}

struct stead_message *stead_message_copy_ended(const struct stead_message *message, struct stead_slice ended)
{
    struct stead_message *copy = copy_with_room(message, ended.size);

    STEAD_ASSERT(ended.size <= UINT16_MAX);
    copy->ended_size = (uint16_t)ended.size;
    memcpy((uint8_t *)(uintptr_t)stead_message_ended(copy).data, ended.data, ended.size);
    return copy;
}

bool stead_message_ended_check(struct stead_slice ended, uint64_t mark)
{
    if (ended.size < 8 || ended.size % 8 != 0 || ended.size / 8 - 1 > STEAD_MESSAGE_OPEN_MAX)
        return false;
    uint64_t ended_to = stead_load64(ended.data), last = mark;
    for (size_t at = 8; at < ended.size; at += 8) {
        uint64_t number = stead_load64(ended.data + at);
        if (number <= last || number > ended_to)
            return false;
        last = number;
    }
    return ended_to > mark;
}

void stead_message_destroy(struct stead_message **message)
{
    free(*message);
    *message = NULL;
}

void stead_message_destroy_in(struct stead_message_pool *pool, struct stead_message **message)
{
    struct stead_message *block = *message;

    if (block == NULL || block->block_size != STEAD_MESSAGE_SMALL || pool->count == STEAD_MESSAGE_POOL_MAX) {
        stead_message_destroy(message);
        return;
    }
    stead_message_pool_give(pool, block);
    *message = NULL;
}

#define POOL_KEEPS 64u /* blocks that a pool does not part with */

void *stead_message_pool_spare(struct stead_message_pool *pool)
{
    struct stead_message *block = pool->free;

    if (pool->count <= POOL_KEEPS)
        return NULL;
    pool->free = block->next;
    pool->count--;
    return block;
}

void stead_message_pool_give(struct stead_message_pool *pool, void *given)
{
    struct stead_message *block = given;

    if (pool->count == STEAD_MESSAGE_POOL_MAX) {
        free(block);
        return;
    }
    block->next = pool->free;
    pool->free = block;
    pool->count++;
}

void stead_message_pool_deinit(struct stead_message_pool *pool)
{
    while (pool->free != NULL) {
        struct stead_message *block = pool->free;
        pool->free = block->next;
        free(block);
    }
    pool->count = 0;
}

/* ---- Answers -------------------------------------------------------------------------------- */

#define BUSY_RETRY_MS 50u /* what a refused client is told to wait: a full mailbox empties in about this time */

/* {name, sentence, agent, op}, and with `busy` retry_after_ms: what a failed call is answered with. */
static void write_error(struct stead_writer *writer, const struct stead_message *request, int status,
                        const struct stead_answer_error *error)
{
    const char *name = error != NULL && error->name != NULL ? error->name : stead_error_name(status);
    const char *sentence = error != NULL && error->sentence != NULL ? error->sentence : stead_error_sentence(status);

    stead_write_map(writer, status == STEAD_EBUSY ? 5 : 4);
    stead_write_str(writer, "name"), stead_write_str(writer, name);
    stead_write_str(writer, "sentence"), stead_write_str(writer, sentence);
    stead_write_str(writer, "agent");
    stead_write_str_slice(writer, stead_bytes(request->address, request->address_size));
    stead_write_str(writer, "op"), stead_write_str_slice(writer, stead_bytes(request->op, request->op_size));
    if (status == STEAD_EBUSY) {
        stead_write_str(writer, "retry_after_ms");
        stead_write_u64(writer, BUSY_RETRY_MS);
    }
}

/* What the answer needs of its request to find back to the one who asked. */
static void carry_groups(struct stead_message *answer, const struct stead_message *request)
{
    answer->groups =
        request->groups & (STEAD_GROUP_SESSION | STEAD_GROUP_ROUTE | STEAD_GROUP_INCARNATION | STEAD_GROUP_TRACE);
    if (answer->groups & STEAD_GROUP_SESSION)
        answer->session = request->session;
    if (answer->groups & STEAD_GROUP_ROUTE)
        answer->route = request->route;
    if (answer->groups & STEAD_GROUP_INCARNATION)
        answer->incarnation = request->incarnation;
    if (answer->groups & STEAD_GROUP_TRACE)
        answer->trace = request->trace;
}

struct stead_message *stead_message_answer(const struct stead_message *request, int status,
                                           const struct stead_answer_error *error, struct stead_slice value)
{
    struct stead_message_pool none = {0};

    return stead_message_answer_in(&none, request, status, error, value);
}

struct stead_message *stead_message_answer_in(struct stead_message_pool *pool, const struct stead_message *request,
                                              int status, const struct stead_answer_error *error,
                                              struct stead_slice value)
{
    uint8_t memory[512];
    struct stead_writer writer;
    struct stead_message_parts parts = {
        .address = stead_bytes(request->source, request->source_size),
        .source = stead_bytes(request->address, request->address_size),
        .payload = value,
    };

    stead_writer_init_fixed(&writer, memory, sizeof memory);
    if (status != 0) {
        write_error(&writer, request, status, error);
        parts.payload = stead_written(&writer);
    }
    struct stead_message *answer = stead_message_create_in(pool, STEAD_ANSWER, &parts);
    stead_writer_deinit(&writer);

    answer->id = request->id;
    answer->status = status;
    answer->durability = request->durability;
    answer->source_slot = request->slot;
    answer->slot = request->source_slot;
    /* A client has no address; whatever it called its own slot, its answer is found by the route. */
    if (request->source_size == 0 && stead_slot_group(request->source_slot) != STEAD_GROUP_ENDPOINTS)
        answer->slot = (stead_slot){STEAD_SLOT_SESSION};
    carry_groups(answer, request);
    return answer;
}

/* ---- Blame ----------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, struct stead_slice text)
{
    for (size_t i = 0; i < text.size; i++)
        hash = (hash ^ text.data[i]) * 0x100000001b3u;
    hash = (hash ^ 0xff) * 0x100000001b3u; /* no byte of UTF-8: where it ends counts */
    return hash ^ hash >> 32;
}

struct stead_id stead_subject_id(struct stead_slice subject, struct stead_slice detail)
{
    uint64_t words[2] = {mix(mix(0xcbf29ce484222325u, subject), detail),
                         mix(mix(0x9e3779b97f4a7c15u, subject), detail)};
    struct stead_id id;

    memcpy(id.v, words, sizeof(id.v));
    return id;
}

struct stead_id stead_message_blame_id(const struct stead_message *request)
{
    if (request->key_size == 0 || request->source_size == 0) /* a client's retry after mending is a new try */
        return request->id;
    return stead_subject_id(stead_bytes(request->address, request->address_size),
                            stead_bytes(request->key, request->key_size));
}
