/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows: keys of the store image, made and taken apart (rows.h has the table).
 *
 * A key's order is the order of its bytes, so numbers are big-endian and what has no fixed size ends with a byte that
 * cannot occur in it (an address has no control characters, hence 0x00) or with the key. Makers assert their sizes: the
 * limits of addresses, ops and keyed state keep every key far below STEAD_ROW_KEY_MAX. The parser is for offline checks
 * and listings and trusts nothing.
 */
#include "runtime/rows.h"

#include <endian.h>

#include "runtime/base.h"

void stead_row_add(struct stead_row_key *key, struct stead_slice bytes)
{
    STEAD_ASSERT(bytes.size <= STEAD_ROW_KEY_MAX - (size_t)key->size);
    if (bytes.size > 0)
        memcpy(key->data + key->size, bytes.data, bytes.size);
    key->size = (uint16_t)(key->size + bytes.size);
}

void stead_row_add_u8(struct stead_row_key *key, uint8_t it)
{
    stead_row_add(key, (struct stead_slice){&it, sizeof it});
}

void stead_row_add_u16(struct stead_row_key *key, uint16_t it)
{
    uint8_t bytes[sizeof it];
    stead_store16(bytes, htobe16(it));
    stead_row_add(key, (struct stead_slice){bytes, sizeof bytes});
}

void stead_row_add_u64(struct stead_row_key *key, uint64_t it)
{
    uint8_t bytes[sizeof it];
    stead_store64(bytes, htobe64(it));
    stead_row_add(key, (struct stead_slice){bytes, sizeof bytes});
}

void stead_row_add_address(struct stead_row_key *key, struct stead_slice address)
{
    stead_row_add(key, address);
    stead_row_add_u8(key, 0);
}

void stead_row_begin(struct stead_row_key *key, stead_slot slot, enum stead_row_class row_class)
{
    key->size = 0;
    stead_row_add_u16(key, slot.v);
    stead_row_add_u8(key, (uint8_t)row_class);
}

void stead_row_agent(struct stead_row_key *key, stead_slot slot, struct stead_slice address)
{
    stead_row_begin(key, slot, STEAD_ROW_AGENT);
    stead_row_add_address(key, address);
}

void stead_row_part(struct stead_row_key *key, stead_slot slot, struct stead_slice address, uint64_t incarnation,
                    enum stead_row_part part, struct stead_slice sub)
{
    stead_row_begin(key, slot, STEAD_ROW_PART);
    stead_row_add_address(key, address);
    stead_row_add_u64(key, incarnation);
    stead_row_add_u8(key, (uint8_t)part);
    stead_row_add(key, sub);
}

bool stead_row_after_prefix(struct stead_row_key *key)
{
    uint16_t size = key->size;
    while (size > 0 && key->data[size - 1] == 0xff)
        size--;
    if (size == 0)
        return false;
    key->data[size - 1]++;
    key->size = size;
    return true;
}

/* ---- Taking apart --------------------------------------------------------------------------- */

/* What is left of the key. `bad` sticks: the callers look once, at the end. */
struct rest {
    struct stead_slice bytes;
    bool bad;
};

static struct stead_slice take(struct rest *rest, size_t size)
{
    if (rest->bad || rest->bytes.size < size) {
        rest->bad = true;
        return (struct stead_slice){NULL, 0};
    }
    struct stead_slice front = {rest->bytes.data, size};
    rest->bytes.data += size;
    rest->bytes.size -= size;
    return front;
}

static uint8_t take_u8(struct rest *rest)
{
    struct stead_slice it = take(rest, 1);
    return rest->bad ? 0 : it.data[0];
}

static uint16_t take_u16(struct rest *rest)
{
    struct stead_slice it = take(rest, 2);
    return rest->bad ? 0 : be16toh(stead_load16(it.data));
}

static uint64_t take_u64(struct rest *rest)
{
    struct stead_slice it = take(rest, 8);
    return rest->bad ? 0 : be64toh(stead_load64(it.data));
}

static struct stead_id take_id(struct rest *rest)
{
    struct stead_id id = {{0}};
    struct stead_slice it = take(rest, sizeof id.v);
    if (!rest->bad)
        memcpy(id.v, it.data, sizeof id.v);
    return id;
}

static struct stead_slice take_address(struct rest *rest)
{
    const uint8_t *end = rest->bad || rest->bytes.size == 0 ? NULL : memchr(rest->bytes.data, 0, rest->bytes.size);
    if (end == NULL || end == rest->bytes.data) {
        rest->bad = true;
        return (struct stead_slice){NULL, 0};
    }
    struct stead_slice address = take(rest, (size_t)(end - rest->bytes.data));
    take(rest, 1);
    rest->bad = rest->bad || address.size > STEAD_ADDRESS_MAX;
    return address;
}

static enum stead_row_part take_part(struct rest *rest)
{
    uint8_t part = take_u8(rest);
    rest->bad = rest->bad || part < STEAD_PART_EVENT || part > STEAD_PART_RUN;
    return (enum stead_row_part)part;
}

static struct stead_slice take_all(struct rest *rest)
{
    return take(rest, rest->bytes.size);
}

/* Whether the sub-key of a part has the size that it must have. */
static bool has_sub_size(enum stead_row_part part, size_t size)
{
    switch (part) {
    case STEAD_PART_EVENT:
    case STEAD_PART_MAIL:
    case STEAD_PART_DEAD:
        return size == 8;
    case STEAD_PART_CALL:
    case STEAD_PART_OWED:
    case STEAD_PART_DELAYED:
    case STEAD_PART_RUN:
        return size == 16;
    case STEAD_PART_IMAGE:
        return size == 0;
    case STEAD_PART_KV:
    case STEAD_PART_TIMER:
    default:
        return true;
    }
}

static void parse_part(struct rest *rest, struct stead_row_parsed *parsed)
{
    parsed->address = take_address(rest);
    parsed->incarnation = take_u64(rest);
    parsed->part = take_part(rest);
    parsed->sub = take_all(rest);
    rest->bad = rest->bad || !has_sub_size(parsed->part, parsed->sub.size);
}

int stead_row_parse(struct stead_slice key, struct stead_row_parsed *ret_parsed)
{
    struct rest rest = {.bytes = key, .bad = key.size > STEAD_ROW_KEY_MAX};
    struct stead_row_parsed parsed = {.slot = {take_u16(&rest)}};
    parsed.row_class = (enum stead_row_class)take_u8(&rest);
    switch (parsed.row_class) {
    case STEAD_ROW_CHANNEL_IN:
    case STEAD_ROW_CHANNEL_OUT:
        parsed.other.v = take_u16(&rest);
        break;
    case STEAD_ROW_OUTBOX:
        parsed.other.v = take_u16(&rest);
        parsed.number.epoch = take_u64(&rest);
        parsed.number.counter = take_u64(&rest);
        break;
    case STEAD_ROW_SESSION:
        parsed.session = take_id(&rest);
        break;
    case STEAD_ROW_ANSWER:
        parsed.session = take_id(&rest);
        parsed.session_number = take_u64(&rest);
        break;
    case STEAD_ROW_IDEMPOTENCY:
        parsed.address = take_address(&rest);
        parsed.sub = take_all(&rest);
        break;
    case STEAD_ROW_TIMER_DUE:
        parsed.due_ms = take_u64(&rest);
        parsed.address = take_address(&rest);
        parsed.part = take_part(&rest);
        parsed.sub = take_all(&rest);
        break;
    case STEAD_ROW_AGENT:
        parsed.address = take_address(&rest);
        break;
    case STEAD_ROW_PART:
        parse_part(&rest, &parsed);
        break;
    default:
        return STEAD_ECORRUPT;
    }
    if (rest.bad || rest.bytes.size != 0)
        return STEAD_ECORRUPT;
    *ret_parsed = parsed;
    return 0;
}
