/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entry: the bytes of one log entry. Little-endian; sizes in bytes.
 *
 *   at  size  field                          at  size  field
 *   --  ----  ---------------------------    --  ----  ----------------------------
 *    0     4  magic "STE1"                   32     4  mutation count
 *    4     4  shard, from 1                  36     4  turn count
 *    8     8  epoch                          40     4  mutation bytes
 *   16     8  index, from 1                  44     4  turn bytes
 *   24     8  clock                          48        mutations, turns, CRC-32C (4) of all before it
 *
 *   mutation: type u8 | key size u16 | value size u32 | key | value
 *     PUT 1: value; DELETE 2: value size 0; DELETE_RANGE 3: key = from, value = to, from < to
 *
 *   turn:  0  8 incarnation      40  4 status, signed         48  4 bytes of events
 *          8  8 previous index   44  1 cause type             52  2 bytes of cause
 *         16  8 now, ms          45  1 bytes of op            54  2 zero
 *         24 16 message id       46  2 bytes of address       56    address | op | cause | events
 *
 * Why fixed widths and not varints: an entry is written in one pass with the counts filled in behind, and read by
 * stepping over; its cost on the disk is the sync, not the bytes.
 *
 * The decoder takes nothing on trust: checksum first (so that chance damage has one name), then every length against
 * the bytes that are left, then the counts against what was found. What it accepted, the iterators cannot fail on.
 */
#include "runtime/entry.h"

#include "runtime/base.h"
#include "runtime/rows.h"

#define MAGIC 0x31455453u /* "STE1" */
#define HEADER_SIZE 48u
#define MUTATION_SIZE 7u
#define TURN_SIZE 56u
#define CHECKSUM_SIZE 4u

enum header_at {
    AT_MAGIC = 0,
    AT_SHARD = 4,
    AT_EPOCH = 8,
    AT_INDEX = 16,
    AT_CLOCK = 24,
    AT_MUTATION_COUNT = 32,
    AT_TURN_COUNT = 36,
    AT_MUTATION_BYTES = 40,
    AT_TURN_BYTES = 44
};

/* ---- Writing -------------------------------------------------------------------------------- */

void stead_entry_begin(struct stead_writer *entry, const struct stead_entry_header *header)
{
    STEAD_ASSERT(entry->size == 0); /* the counts are filled in at fixed places */
    uint8_t bytes[HEADER_SIZE] = {0};
    stead_store32(bytes + AT_MAGIC, MAGIC);
    stead_store32(bytes + AT_SHARD, header->shard);
    stead_store64(bytes + AT_EPOCH, header->epoch);
    stead_store64(bytes + AT_INDEX, header->index);
    stead_store64(bytes + AT_CLOCK, header->clock);
    stead_write_raw(entry, bytes, sizeof bytes);
}

static void write_mutation(struct stead_writer *entry, enum stead_mutation_type type, struct stead_slice key,
                           struct stead_slice value)
{
    STEAD_ASSERT(key.size > 0 && key.size <= STEAD_ROW_KEY_MAX && value.size <= UINT32_MAX);
    uint8_t bytes[MUTATION_SIZE];
    bytes[0] = (uint8_t)type;
    stead_store16(bytes + 1, (uint16_t)key.size);
    stead_store32(bytes + 3, (uint32_t)value.size);
    stead_write_raw(entry, bytes, sizeof bytes);
    stead_write_raw(entry, key.data, key.size);
    stead_write_raw(entry, value.data, value.size);
}

void stead_entry_put(struct stead_writer *entry, struct stead_slice key, struct stead_slice value)
{
    write_mutation(entry, STEAD_MUTATION_PUT, key, value);
}

void stead_entry_delete(struct stead_writer *entry, struct stead_slice key)
{
    write_mutation(entry, STEAD_MUTATION_DELETE, key, (struct stead_slice){NULL, 0});
}

void stead_entry_delete_range(struct stead_writer *entry, struct stead_slice from, struct stead_slice to)
{
    write_mutation(entry, STEAD_MUTATION_DELETE_RANGE, from, to);
}

void stead_entry_turns_begin(struct stead_writer *entry, uint32_t mutation_count)
{
    STEAD_ASSERT(entry->size >= HEADER_SIZE && entry->size <= UINT32_MAX);
    stead_store32(entry->data + AT_MUTATION_COUNT, mutation_count);
    stead_store32(entry->data + AT_MUTATION_BYTES, (uint32_t)(entry->size - HEADER_SIZE));
}

void stead_entry_turn(struct stead_writer *entry, const struct stead_turn_record *turn)
{
    STEAD_ASSERT(turn->op.size <= UINT8_MAX && turn->address.size <= UINT16_MAX);
    STEAD_ASSERT(turn->cause.size <= UINT16_MAX && turn->events.size <= UINT32_MAX);
    uint8_t bytes[TURN_SIZE] = {0};
    stead_store64(bytes, turn->incarnation);
    stead_store64(bytes + 8, turn->previous);
    stead_store64(bytes + 16, turn->now_ms);
    memcpy(bytes + 24, turn->id.v, sizeof turn->id.v);
    stead_store32(bytes + 40, (uint32_t)turn->status);
    bytes[44] = turn->cause_type;
    bytes[45] = (uint8_t)turn->op.size;
    stead_store16(bytes + 46, (uint16_t)turn->address.size);
    stead_store32(bytes + 48, (uint32_t)turn->events.size);
    stead_store16(bytes + 52, (uint16_t)turn->cause.size);
    stead_write_raw(entry, bytes, sizeof bytes);
    stead_write_raw(entry, turn->address.data, turn->address.size);
    stead_write_raw(entry, turn->op.data, turn->op.size);
    stead_write_raw(entry, turn->cause.data, turn->cause.size);
    stead_write_raw(entry, turn->events.data, turn->events.size);
}

void stead_entry_end(struct stead_writer *entry, uint32_t turn_count)
{
    STEAD_ASSERT(entry->size >= HEADER_SIZE && entry->size <= UINT32_MAX - CHECKSUM_SIZE);
    size_t turns_at = HEADER_SIZE + stead_load32(entry->data + AT_MUTATION_BYTES);
    STEAD_ASSERT(turns_at <= entry->size);
    stead_store32(entry->data + AT_TURN_COUNT, turn_count);
    stead_store32(entry->data + AT_TURN_BYTES, (uint32_t)(entry->size - turns_at));
    uint8_t bytes[CHECKSUM_SIZE];
    stead_store32(bytes, stead_crc32c(0, entry->data, entry->size));
    stead_write_raw(entry, bytes, sizeof bytes);
}

/* ---- Reading -------------------------------------------------------------------------------- */

/* Takes `size` bytes from the front of `bytes`, which has them. */
static struct stead_slice take_front(struct stead_slice *bytes, size_t size)
{
    struct stead_slice front = {bytes->data, size};
    bytes->data += size;
    bytes->size -= size;
    return front;
}

int stead_entry_next_mutation(struct stead_slice *mutations, struct stead_mutation *ret_mutation)
{
    if (mutations->size == 0)
        return 0;
    if (mutations->size < MUTATION_SIZE)
        return STEAD_ECORRUPT;
    uint8_t type = mutations->data[0];
    size_t key_size = stead_load16(mutations->data + 1);
    size_t value_size = stead_load32(mutations->data + 3);
    if (type < STEAD_MUTATION_PUT || type > STEAD_MUTATION_DELETE_RANGE || key_size == 0 ||
        key_size > STEAD_ROW_KEY_MAX || key_size + value_size > mutations->size - MUTATION_SIZE)
        return STEAD_ECORRUPT;
    struct stead_slice rest = *mutations;
    take_front(&rest, MUTATION_SIZE);
    struct stead_mutation mutation = {.type = (enum stead_mutation_type)type};
    mutation.key = take_front(&rest, key_size);
    mutation.value = take_front(&rest, value_size);
    if (type == STEAD_MUTATION_DELETE && value_size != 0)
        return STEAD_ECORRUPT;
    if (type == STEAD_MUTATION_DELETE_RANGE && stead_slice_compare(mutation.key, mutation.value) >= 0)
        return STEAD_ECORRUPT;
    *mutations = rest;
    *ret_mutation = mutation;
    return 1;
}

int stead_entry_next_turn(struct stead_slice *turns, struct stead_turn_record *ret_turn)
{
    if (turns->size == 0)
        return 0;
    if (turns->size < TURN_SIZE)
        return STEAD_ECORRUPT;
    struct stead_slice rest = *turns;
    const uint8_t *bytes = take_front(&rest, TURN_SIZE).data;
    size_t op_size = bytes[45];
    size_t address_size = stead_load16(bytes + 46);
    size_t events_size = stead_load32(bytes + 48);
    size_t cause_size = stead_load16(bytes + 52);
    if (stead_load16(bytes + 54) != 0 || address_size + op_size + cause_size + events_size > rest.size)
        return STEAD_ECORRUPT;
    struct stead_turn_record turn = {.incarnation = stead_load64(bytes),
                                     .previous = stead_load64(bytes + 8),
                                     .now_ms = stead_load64(bytes + 16),
                                     .status = (int32_t)stead_load32(bytes + 40),
                                     .cause_type = bytes[44]};
    memcpy(turn.id.v, bytes + 24, sizeof turn.id.v);
    turn.address = take_front(&rest, address_size);
    turn.op = take_front(&rest, op_size);
    turn.cause = take_front(&rest, cause_size);
    turn.events = take_front(&rest, events_size);
    *turns = rest;
    *ret_turn = turn;
    return 1;
}

/* Every mutation is well-formed and there are `count`. */
static int check_mutations(struct stead_slice mutations, uint32_t count)
{
    struct stead_mutation mutation;
    uint32_t found = 0;
    int code;
    while ((code = stead_entry_next_mutation(&mutations, &mutation)) == 1)
        found++;
    return code == 0 && found == count ? 0 : STEAD_ECORRUPT;
}

static int check_turns(struct stead_slice turns, uint32_t count)
{
    struct stead_turn_record turn;
    uint32_t found = 0;
    int code;
    while ((code = stead_entry_next_turn(&turns, &turn)) == 1) {
        if (turn.address.size == 0)
            return STEAD_ECORRUPT;
        found++;
    }
    return code == 0 && found == count ? 0 : STEAD_ECORRUPT;
}

int stead_entry_decode(struct stead_slice bytes, struct stead_entry *ret_entry)
{
    if (bytes.size < HEADER_SIZE + CHECKSUM_SIZE || bytes.size > UINT32_MAX ||
        stead_load32(bytes.data + AT_MAGIC) != MAGIC)
        return STEAD_ECORRUPT;
    size_t body_size = bytes.size - CHECKSUM_SIZE;
    if (stead_load32(bytes.data + body_size) != stead_crc32c(0, bytes.data, body_size))
        return STEAD_ECORRUPT;
    struct stead_entry entry = {.header = {.shard = stead_load32(bytes.data + AT_SHARD),
                                           .epoch = stead_load64(bytes.data + AT_EPOCH),
                                           .index = stead_load64(bytes.data + AT_INDEX),
                                           .clock = stead_load64(bytes.data + AT_CLOCK),
                                           .mutation_count = stead_load32(bytes.data + AT_MUTATION_COUNT),
                                           .turn_count = stead_load32(bytes.data + AT_TURN_COUNT),
                                           .mutation_bytes = stead_load32(bytes.data + AT_MUTATION_BYTES)}};
    uint64_t turn_bytes = stead_load32(bytes.data + AT_TURN_BYTES);
    if (entry.header.shard == 0 || entry.header.index == 0 ||
        entry.header.mutation_bytes + turn_bytes != body_size - HEADER_SIZE)
        return STEAD_ECORRUPT;
    entry.mutations = (struct stead_slice){bytes.data + HEADER_SIZE, entry.header.mutation_bytes};
    entry.turns = (struct stead_slice){bytes.data + HEADER_SIZE + entry.header.mutation_bytes, (size_t)turn_bytes};
    if (check_mutations(entry.mutations, entry.header.mutation_count) != 0 ||
        check_turns(entry.turns, entry.header.turn_count) != 0)
        return STEAD_ECORRUPT;
    *ret_entry = entry;
    return 0;
}
