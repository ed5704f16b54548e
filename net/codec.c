/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec: one record on the wire. The layout is our own and not msgpack: a fixed core can be routed, accounted and
 * refused after 64 bytes, and no count in it can make anybody reserve memory (docs/FORMATS.md, section Wire, has the
 * byte table).
 *
 * Decoding has three steps, and the order is the point. First the lengths: the core, the groups, the extensions, the
 * texts and the payload must add up to exactly the record. Then the rules: what this type of record may carry, grammar,
 * numbers. Only then one allocation, filled without any further check. A refused record costs no memory.
 *
 * What can grow later, and how: a new optional field is an extension, skipped by those who do not know it; a new field
 * that changes the meaning is an extension with the must-understand bit. Flag and group bits that are not known are
 * refused, since a group of unknown size cannot be skipped.
 *
 * Invariants: W1 decode(encode(m)) equals m in every field that its groups make defined. W2 decode accepts exactly one
 * encoding of a message, extensions apart. W3 no byte outside the record is read, whatever is in it (fuzzed, and
 * truncated at every byte in tests).
 */
#include "net/codec.h"

#include "runtime/address.h"
#include "runtime/base.h"
#include "runtime/chain.h"
#include "runtime/entry.h"

/* Offsets in the core. */
enum core_at {
    AT_VERSION = 0,
    AT_TYPE = 1,
    AT_DURABILITY = 2,
    AT_RESERVED = 3,
    AT_FLAGS = 4,
    AT_EXTENSION_SIZE = 6,
    AT_GROUPS = 8,
    AT_SOURCE_SLOT = 12,
    AT_SLOT = 14,
    AT_ID = 16,
    AT_DEADLINE = 32,
    AT_TABLE_VERSION = 40,
    AT_ADDRESS_SIZE = 48,
    AT_SOURCE_SIZE = 50,
    AT_OP_SIZE = 52,
    AT_KEY_SIZE = 54,
    AT_PAYLOAD_SIZE = 56,
    AT_STATUS = 60
};

#define GROUP_COUNT 13u
#define GROUPS_KNOWN ((1u << GROUP_COUNT) - 1u)
#define FLAGS_KNOWN                                                                                                    \
    (STEAD_FLAG_GAP | STEAD_FLAG_UNSEQUENCED | STEAD_FLAG_RETRY | STEAD_FLAG_JOB | STEAD_FLAG_NOT_RUN |                \
     STEAD_FLAG_EARLY)

/* Bytes of each group, by its bit. The key's bytes are among the texts. */
static const uint8_t group_sizes[GROUP_COUNT] = {48, 40, 8, 36, 16, 8, 8, 25, 5, 14, 8, 0, 12};

/* Bits that any record may carry, and those that whatever is on its way to or from an agent may. */
#define ANY_GROUPS (STEAD_GROUP_CLOCK | STEAD_GROUP_PRINCIPAL | STEAD_GROUP_TRACE | STEAD_GROUP_CODEC)
#define AGENT_GROUPS (ANY_GROUPS | STEAD_GROUP_CAUSE | STEAD_GROUP_FENCE | STEAD_GROUP_INCARNATION | STEAD_GROUP_ROUTE)

enum presence { NONE, OPTIONAL, REQUIRED };

/* What a type of record may and must carry. */
struct type_rule {
    uint32_t allowed;  /* groups */
    uint32_t required; /* groups */
    uint8_t address;   /* enum presence, as the next two */
    uint8_t source;
    uint8_t op;
    bool id;      /* must not be zero */
    bool request; /* its payload is bounded by payload_bytes_max */
};

static const struct type_rule rules[STEAD_MESSAGE_TYPES] = {
    [STEAD_TELL] = {AGENT_GROUPS, 0, REQUIRED, OPTIONAL, REQUIRED, false, true},
    [STEAD_SIGNAL] = {AGENT_GROUPS | STEAD_GROUP_CHANNEL | STEAD_GROUP_SESSION | STEAD_GROUP_DELAY | STEAD_GROUP_KEY, 0,
                      REQUIRED, OPTIONAL, REQUIRED, false, true},
    [STEAD_CALL] = {AGENT_GROUPS | STEAD_GROUP_CHANNEL | STEAD_GROUP_SESSION | STEAD_GROUP_KEY | STEAD_GROUP_LIMITS, 0,
                    REQUIRED, OPTIONAL, REQUIRED, true, true},
    [STEAD_ANSWER] = {AGENT_GROUPS | STEAD_GROUP_CHANNEL | STEAD_GROUP_SESSION, 0, OPTIONAL, OPTIONAL, OPTIONAL, true,
                      false},
    [STEAD_ACK] = {ANY_GROUPS | STEAD_GROUP_CHANNEL | STEAD_GROUP_INCARNATION, STEAD_GROUP_CHANNEL, NONE, NONE, NONE,
                   false, false},
    [STEAD_QUERY] = {AGENT_GROUPS | STEAD_GROUP_SESSION, 0, OPTIONAL, NONE, REQUIRED, true, true},
    [STEAD_HELLO] = {ANY_GROUPS, 0, NONE, NONE, NONE, true, true},
    [STEAD_WELCOME] = {ANY_GROUPS, 0, NONE, NONE, NONE, false, false},
    [STEAD_TABLE] = {ANY_GROUPS, 0, NONE, NONE, NONE, false, false},
    [STEAD_CANCEL] = {AGENT_GROUPS | STEAD_GROUP_CHANNEL | STEAD_GROUP_SESSION, 0, OPTIONAL, OPTIONAL, OPTIONAL, true,
                      true},
    [STEAD_HEARTBEAT] = {ANY_GROUPS, 0, NONE, NONE, NONE, false, true},
};

/* Where the parts of a record are; valid once find_parts() accepted it. */
struct layout {
    const uint8_t *core;   /* the record */
    const uint8_t *groups; /* first group */
    struct stead_slice extensions;
    struct stead_message_parts parts;
    uint64_t after;
    uint32_t group_bits;
    uint16_t flags;
    uint8_t type;
};

static size_t groups_size(uint32_t bits)
{
    size_t size = 0;
    for (; bits != 0; bits &= bits - 1)
        size += group_sizes[__builtin_ctz(bits)];
    return size;
}

static bool is_request_of_session(uint8_t type, uint32_t groups)
{
    return (type == STEAD_CALL || type == STEAD_SIGNAL) && (groups & STEAD_GROUP_SESSION);
}

static bool follows(const struct stead_message *m)
{
    return is_request_of_session(m->type, m->groups) && m->after != 0;
}

static size_t extensions_size(const struct stead_message *m)
{
    return (m->chain_size > 0 ? 4u + m->chain_size : 0u) + (m->ended_size > 0 ? 4u + m->ended_size : 0u) +
           (follows(m) ? 4u + 8u : 0u);
}

/* ---- Encoding ------------------------------------------------------------------------------- */

static uint8_t *put16(uint8_t *at, uint16_t v)
{
    stead_store16(at, v);
    return at + 2;
}

static uint8_t *put32(uint8_t *at, uint32_t v)
{
    stead_store32(at, v);
    return at + 4;
}

static uint8_t *put64(uint8_t *at, uint64_t v)
{
    stead_store64(at, v);
    return at + 8;
}

static uint8_t *put_id(uint8_t *at, const struct stead_id *id)
{
    memcpy(at, id->v, sizeof id->v);
    return at + sizeof id->v;
}

static uint8_t *put_bytes(uint8_t *at, const void *bytes, size_t size)
{
    if (size > 0)
        memcpy(at, bytes, size);
    return at + size;
}

static uint8_t *put_seq(uint8_t *at, const struct stead_seq *seq)
{
    return put64(put64(at, seq->epoch), seq->counter);
}

static uint8_t *put_core(uint8_t *at, const struct stead_message *m)
{
    at[AT_VERSION] = STEAD_WIRE_VERSION;
    at[AT_TYPE] = m->type;
    at[AT_DURABILITY] = m->durability;
    at[AT_RESERVED] = 0;
    stead_store16(at + AT_FLAGS, m->flags);
    stead_store16(at + AT_EXTENSION_SIZE, (uint16_t)extensions_size(m));
    stead_store32(at + AT_GROUPS, m->groups);
    stead_store16(at + AT_SOURCE_SLOT, m->source_slot.v);
    stead_store16(at + AT_SLOT, m->slot.v);
    memcpy(at + AT_ID, m->id.v, sizeof m->id.v);
    stead_store64(at + AT_DEADLINE, m->deadline_ms);
    stead_store64(at + AT_TABLE_VERSION, m->table_version);
    stead_store16(at + AT_ADDRESS_SIZE, m->address_size);
    stead_store16(at + AT_SOURCE_SIZE, m->source_size);
    stead_store16(at + AT_OP_SIZE, m->op_size);
    stead_store16(at + AT_KEY_SIZE, m->key_size);
    stead_store32(at + AT_PAYLOAD_SIZE, m->payload_size);
    stead_store32(at + AT_STATUS, (uint32_t)m->status);
    return at + STEAD_WIRE_CORE_SIZE;
}

static uint8_t *put_extensions(uint8_t *at, const struct stead_message *m)
{
    if (m->chain_size > 0) {
        at = put16(put16(at, STEAD_WIRE_EXTENSION_CHAIN), m->chain_size);
        at = put_bytes(at, stead_message_chain(m).data, m->chain_size);
    }
    if (m->ended_size > 0) {
        at = put16(put16(at, STEAD_WIRE_EXTENSION_ENDED), m->ended_size);
        at = put_bytes(at, stead_message_ended(m).data, m->ended_size);
    }
    if (follows(m))
        at = put64(put16(put16(at, STEAD_WIRE_EXTENSION_AFTER), 8), m->after);
    return at;
}

static uint8_t *put_tracing(uint8_t *at, const struct stead_message *m)
{
    if (m->groups & STEAD_GROUP_TRACE) {
        at = put64(put_id(at, &m->trace.trace), m->trace.span);
        *at++ = m->trace.flags;
    }
    if (m->groups & STEAD_GROUP_CODEC) {
        *at++ = m->codec.codec;
        at = put32(at, m->codec.checksum);
    }
    return at;
}

/* In the order of the bits. */
static uint8_t *put_groups(uint8_t *at, const struct stead_message *m)
{
    if (m->groups & STEAD_GROUP_CHANNEL)
        at = put_seq(put_seq(put_seq(at, &m->channel.number), &m->channel.previous), &m->channel.trimmed);
    if (m->groups & STEAD_GROUP_SESSION) {
        at = put64(put_id(at, &m->session.id), m->session.start_ms);
        at = put64(put64(at, m->session.number), m->session.mark);
    }
    if (m->groups & STEAD_GROUP_CLOCK)
        at = put64(at, m->clock);
    if (m->groups & STEAD_GROUP_CAUSE)
        at = put32(put_id(put_id(at, &m->cause.root), &m->cause.parent), m->cause.depth);
    if (m->groups & STEAD_GROUP_PRINCIPAL)
        at = put_id(at, &m->principal);
    if (m->groups & STEAD_GROUP_FENCE)
        at = put64(at, m->fence);
    if (m->groups & STEAD_GROUP_INCARNATION)
        at = put64(at, m->incarnation);
    at = put_tracing(at, m);
    if (m->groups & STEAD_GROUP_ROUTE)
        at = put64(put16(put32(at, m->route.node), m->route.reactor), m->route.connection);
    if (m->groups & STEAD_GROUP_DELAY)
        at = put64(at, m->delay_ms);
    if (m->groups & STEAD_GROUP_LIMITS)
        at = put32(put32(put32(at, m->limits.start_ms), m->limits.run_ms), m->limits.heartbeat_ms);
    return at;
}

size_t stead_codec_size(const struct stead_message *message)
{
    STEAD_ASSERT((message->groups & ~GROUPS_KNOWN) == 0);
    return STEAD_WIRE_CORE_SIZE + groups_size(message->groups) + extensions_size(message) + message->address_size +
           message->source_size + message->op_size + message->key_size + message->payload_size;
}

size_t stead_codec_encode(const struct stead_message *message, uint8_t *ret_bytes)
{
    uint8_t *at = put_extensions(put_groups(put_core(ret_bytes, message), message), message);
    at = put_bytes(at, message->address, message->address_size);
    at = put_bytes(at, message->source, message->source_size);
    at = put_bytes(at, message->op, message->op_size);
    at = put_bytes(at, message->key, message->key_size);
    at = put_bytes(at, message->payload, message->payload_size);
    return (size_t)(at - ret_bytes);
}

/* ---- Decoding: lengths ---------------------------------------------------------------------- */

static struct stead_slice cut(const uint8_t **at, size_t size)
{
    struct stead_slice slice = {*at, size};
    *at += size;
    return slice;
}

/* Finds every part, or refuses a record whose lengths do not add up to exactly its size. */
static int find_parts(struct stead_slice record, struct layout *ret_layout)
{
    const uint8_t *core = record.data;
    if (record.size < STEAD_WIRE_CORE_SIZE)
        return STEAD_EPROTOCOL;
    if (core[AT_VERSION] != STEAD_WIRE_VERSION || core[AT_RESERVED] != 0)
        return STEAD_EVERSION;
    if (core[AT_TYPE] == 0 || core[AT_TYPE] >= STEAD_MESSAGE_TYPES)
        return STEAD_EPROTOCOL;
    struct layout l = {.core = core,
                       .group_bits = stead_load32(core + AT_GROUPS),
                       .flags = stead_load16(core + AT_FLAGS),
                       .type = core[AT_TYPE]};
    if ((l.group_bits & ~GROUPS_KNOWN) != 0 || (l.flags & ~FLAGS_KNOWN) != 0)
        return STEAD_EVERSION;

    size_t extensions = stead_load16(core + AT_EXTENSION_SIZE);
    size_t groups = groups_size(l.group_bits);
    size_t address = stead_load16(core + AT_ADDRESS_SIZE), source = stead_load16(core + AT_SOURCE_SIZE);
    size_t op = stead_load16(core + AT_OP_SIZE), key = stead_load16(core + AT_KEY_SIZE);
    size_t payload = stead_load32(core + AT_PAYLOAD_SIZE);
    /* Six numbers of at most 32 bits: the sum cannot wrap. */
    if (record.size != STEAD_WIRE_CORE_SIZE + groups + extensions + address + source + op + key + payload)
        return STEAD_EPROTOCOL;

    l.groups = core + STEAD_WIRE_CORE_SIZE;
    const uint8_t *at = l.groups + groups;
    l.extensions = cut(&at, extensions);
    l.parts.address = cut(&at, address);
    l.parts.source = cut(&at, source);
    l.parts.op = cut(&at, op);
    l.parts.key = cut(&at, key);
    l.parts.payload = cut(&at, payload);
    *ret_layout = l;
    return 0;
}

/* The group SESSION of a record; it was checked or will be. */
static const uint8_t *session_of(const struct layout *l)
{
    return l->groups + groups_size(l->group_bits & (STEAD_GROUP_SESSION - 1u));
}

static int take_after(struct layout *l, struct stead_slice value)
{
    if (value.size != 8 || l->after != 0)
        return STEAD_EPROTOCOL;
    l->after = stead_load64(value.data);
    return l->after != 0 && l->after < stead_load64(session_of(l) + 24) ? 0 : STEAD_EPROTOCOL;
}

/* One that is known: the chain of a call, what has ended of a session, which of its numbers is before. */
static int take_extension(struct layout *l, uint16_t type, struct stead_slice value)
{
    bool of_session = is_request_of_session(l->type, l->group_bits);

    if (l->type == STEAD_CALL && type == STEAD_WIRE_EXTENSION_CHAIN) {
        if (l->parts.chain.size > 0 || !stead_chain_check(value))
            return STEAD_EPROTOCOL;
        l->parts.chain = value;
    } else if (of_session && type == STEAD_WIRE_EXTENSION_ENDED) {
        if (l->parts.ended.size > 0 || !stead_message_ended_check(value, stead_load64(session_of(l) + 32)))
            return STEAD_EPROTOCOL;
        l->parts.ended = value;
    } else if (of_session && type == STEAD_WIRE_EXTENSION_AFTER) {
        return take_after(l, value);
    }
    return 0;
}

/* Of those that are not known one that must be understood refuses the record, the rest are stepped over. */
static int take_extensions(struct layout *l)
{
    struct stead_slice area = l->extensions;

    while (area.size > 0) {
        if (area.size < 4)
            return STEAD_EPROTOCOL;
        size_t size = 4u + stead_load16(area.data + 2);
        if (size > area.size)
            return STEAD_EPROTOCOL;
        if (stead_load16(area.data) & STEAD_WIRE_EXTENSION_MUST)
            return STEAD_EVERSION;
        int code = take_extension(l, stead_load16(area.data), stead_bytes(area.data + 4, size - 4));
        if (code != 0)
            return code;
        area.data += size;
        area.size -= size;
    }
    return 0;
}

/* ---- Decoding: rules ------------------------------------------------------------------------ */

static bool presence_ok(uint8_t wanted, size_t size)
{
    return wanted == OPTIONAL || (wanted == REQUIRED) == (size > 0);
}

/* Which groups and parts go with this type. */
static int check_shape(const struct layout *l)
{
    const struct type_rule *rule = &rules[l->type];
    const struct stead_message_parts *parts = &l->parts;
    if ((l->group_bits & ~rule->allowed) != 0 || (l->group_bits & rule->required) != rule->required)
        return STEAD_EPROTOCOL;
    if (((l->group_bits & STEAD_GROUP_KEY) != 0) != (parts->key.size > 0))
        return STEAD_EPROTOCOL;
    /* A request is made exactly-once by its channel or by its session, never by both. */
    uint32_t both = STEAD_GROUP_CHANNEL | STEAD_GROUP_SESSION;
    if ((l->group_bits & both) == both && l->type != STEAD_ANSWER)
        return STEAD_EPROTOCOL;
    if ((l->flags & (STEAD_FLAG_NOT_RUN | STEAD_FLAG_EARLY)) && l->type != STEAD_ANSWER)
        return STEAD_EPROTOCOL;
    if ((l->flags & STEAD_FLAG_GAP) && l->type != STEAD_ACK)
        return STEAD_EPROTOCOL;
    if (!presence_ok(rule->address, parts->address.size))
        return rule->address == REQUIRED ? STEAD_EADDRESS : STEAD_EPROTOCOL;
    if (!presence_ok(rule->source, parts->source.size))
        return STEAD_EPROTOCOL;
    if (!presence_ok(rule->op, parts->op.size))
        return rule->op == REQUIRED ? STEAD_EOP : STEAD_EPROTOCOL;
    if (l->core[AT_DURABILITY] > STEAD_CLASS_DURABLE)
        return STEAD_EPROTOCOL;
    int32_t status = (int32_t)stead_load32(l->core + AT_STATUS);
    if (status > 0 || (status < 0 && l->type != STEAD_ANSWER && l->type != STEAD_ACK))
        return STEAD_EPROTOCOL;
    if (rule->id && (stead_load64(l->core + AT_ID) | stead_load64(l->core + AT_ID + 8)) == 0)
        return STEAD_EPROTOCOL;
    return 0;
}

static int check_limits(const struct layout *l, const struct stead_codec_limits *limits)
{
    uint32_t payload_max = rules[l->type].request ? limits->payload_bytes_max : STEAD_WIRE_PAYLOAD_MAX;
    if (l->parts.payload.size > payload_max || l->parts.key.size > STEAD_WIRE_KEY_MAX)
        return STEAD_ETOOLARGE;
    return 0;
}

/* Addresses, the op and the key follow their grammar, and an address is in the slot its sender claims: else one agent
 * could live in two shards. Which placement group its kind has is for the table to say, not for its bytes. */
static int check_texts(const struct layout *l)
{
    const struct stead_message_parts *parts = &l->parts;
    size_t kind_size;
    if (parts->address.size > 0) {
        if (stead_address_check(parts->address, &kind_size) != 0)
            return STEAD_EADDRESS;
        stead_slot slot = {stead_load16(l->core + AT_SLOT)};
        unsigned group = stead_slot_group(slot);
        if (group != STEAD_GROUP_ENDPOINTS && stead_address_slot(parts->address, group).v != slot.v)
            return STEAD_EPROTOCOL;
    }
    if (parts->source.size > 0 && stead_address_check(parts->source, &kind_size) != 0)
        return STEAD_EADDRESS;
    if (parts->op.size > 0 && !stead_op_name_check(parts->op))
        return STEAD_EOP;
    if (parts->key.size > 0 && memchr(parts->key.data, 0, parts->key.size) != NULL)
        return STEAD_EPROTOCOL;
    return 0;
}

static struct stead_seq get_seq(const uint8_t *at)
{
    return (struct stead_seq){stead_load64(at), stead_load64(at + 8)};
}

/* previous < number and trimmed <= previous: what channels rely on. An ACK carries a position only. */
static int check_channel(const uint8_t *at, uint8_t type)
{
    if (type == STEAD_ACK)
        return 0;
    struct stead_seq number = get_seq(at), previous = get_seq(at + 16), trimmed = get_seq(at + 32);
    bool ordered = stead_seq_compare(previous, number) < 0 && stead_seq_compare(trimmed, previous) <= 0;
    return ordered ? 0 : STEAD_EPROTOCOL;
}

/* A session is named, its numbers start at 1, and what it asks now is not below what it has already been answered. */
static int check_session(const uint8_t *at)
{
    bool named = (stead_load64(at) | stead_load64(at + 8)) != 0;
    uint64_t number = stead_load64(at + 24), mark = stead_load64(at + 32);
    return named && number > mark ? 0 : STEAD_EPROTOCOL;
}

static int check_groups(const struct layout *l)
{
    const uint8_t *at = l->groups;
    int code = 0;
    for (uint32_t bits = l->group_bits; bits != 0 && code == 0; bits &= bits - 1) {
        unsigned group = (unsigned)__builtin_ctz(bits);
        if ((1u << group) == STEAD_GROUP_CHANNEL)
            code = check_channel(at, l->type);
        else if ((1u << group) == STEAD_GROUP_SESSION)
            code = check_session(at);
        else if ((1u << group) == STEAD_GROUP_CODEC && at[0] != 0)
            code = STEAD_EVERSION;
        else if ((1u << group) == STEAD_GROUP_CODEC &&
                 stead_load32(at + 1) != stead_crc32c(0, l->parts.payload.data, l->parts.payload.size))
            code = STEAD_ECORRUPT;
        else if ((1u << group) == STEAD_GROUP_ROUTE && stead_load32(at) == 0)
            code = STEAD_EPROTOCOL;
        at += group_sizes[group];
    }
    return code;
}

static int check_record(struct layout *l, const struct stead_codec_limits *limits)
{
    int code = check_shape(l);
    if (code == 0)
        code = check_limits(l, limits);
    if (code == 0 && l->extensions.size > 0)
        code = take_extensions(l);
    if (code == 0 && l->group_bits != 0)
        code = check_groups(l);
    if (code == 0)
        code = check_texts(l);
    if (code == 0)
        code = stead_value_check(l->parts.payload);
    return code;
}

/* ---- Decoding: the message ------------------------------------------------------------------ */

static const uint8_t *get_id(const uint8_t *at, struct stead_id *ret_id)
{
    memcpy(ret_id->v, at, sizeof ret_id->v);
    return at + sizeof ret_id->v;
}

static const uint8_t *get64(const uint8_t *at, uint64_t *ret_v)
{
    *ret_v = stead_load64(at);
    return at + 8;
}

static const uint8_t *get_session(const uint8_t *at, struct stead_message *m)
{
    at = get64(get_id(at, &m->session.id), &m->session.start_ms);
    return get64(get64(at, &m->session.number), &m->session.mark);
}

static const uint8_t *get_route(const uint8_t *at, struct stead_route *ret_route)
{
    *ret_route = (struct stead_route){.node = stead_load32(at), .reactor = stead_load16(at + 4)};
    return get64(at + 6, &ret_route->connection);
}

static const uint8_t *get_tracing(const uint8_t *at, struct stead_message *m)
{
    if (m->groups & STEAD_GROUP_TRACE) {
        at = get64(get_id(at, &m->trace.trace), &m->trace.span);
        m->trace.flags = *at++;
    }
    if (m->groups & STEAD_GROUP_CODEC) {
        m->codec.codec = at[0];
        m->codec.checksum = stead_load32(at + 1);
        at += 5;
    }
    return at;
}

static void get_groups(const uint8_t *at, struct stead_message *m)
{
    if (m->groups & STEAD_GROUP_CHANNEL) {
        m->channel.number = get_seq(at);
        m->channel.previous = get_seq(at + 16);
        m->channel.trimmed = get_seq(at + 32);
        at += 48;
    }
    if (m->groups & STEAD_GROUP_SESSION)
        at = get_session(at, m);
    if (m->groups & STEAD_GROUP_CLOCK)
        at = get64(at, &m->clock);
    if (m->groups & STEAD_GROUP_CAUSE) {
        at = get_id(get_id(at, &m->cause.root), &m->cause.parent);
        m->cause.depth = stead_load32(at);
        at += 4;
    }
    if (m->groups & STEAD_GROUP_PRINCIPAL)
        at = get_id(at, &m->principal);
    if (m->groups & STEAD_GROUP_FENCE)
        at = get64(at, &m->fence);
    if (m->groups & STEAD_GROUP_INCARNATION)
        at = get64(at, &m->incarnation);
    at = get_tracing(at, m);
    if (m->groups & STEAD_GROUP_ROUTE)
        at = get_route(at, &m->route);
    if (m->groups & STEAD_GROUP_DELAY)
        at = get64(at, &m->delay_ms);
    if (m->groups & STEAD_GROUP_LIMITS) {
        m->limits.start_ms = stead_load32(at);
        m->limits.run_ms = stead_load32(at + 4);
        m->limits.heartbeat_ms = stead_load32(at + 8);
    }
}

static struct stead_message *make_message(const struct layout *l)
{
    struct stead_message *m = stead_message_create((enum stead_message_type)l->type, &l->parts);
    m->durability = l->core[AT_DURABILITY];
    m->flags = l->flags;
    m->groups = l->group_bits;
    m->source_slot.v = stead_load16(l->core + AT_SOURCE_SLOT);
    m->slot.v = stead_load16(l->core + AT_SLOT);
    m->status = (int32_t)stead_load32(l->core + AT_STATUS);
    get_id(l->core + AT_ID, &m->id);
    m->deadline_ms = stead_load64(l->core + AT_DEADLINE);
    m->table_version = stead_load64(l->core + AT_TABLE_VERSION);
    if (m->groups != 0)
        get_groups(l->groups, m);
    m->after = l->after;
    return m;
}

/* ---- Refusals ------------------------------------------------------------------------------- */

/* Reads what can be read of a record that was refused. Each group is looked at only where it lies inside the record,
 * and where the sizes of all groups before it are known. */
static void read_refusal(struct stead_slice record, struct stead_codec_refusal *ret_refusal)
{
    *ret_refusal = (struct stead_codec_refusal){.type = 0};
    if (record.size < STEAD_WIRE_CORE_SIZE || record.data[AT_VERSION] != STEAD_WIRE_VERSION)
        return;
    uint32_t bits = stead_load32(record.data + AT_GROUPS);
    uint8_t type = record.data[AT_TYPE];
    ret_refusal->type = type < STEAD_MESSAGE_TYPES ? type : 0;
    get_id(record.data + AT_ID, &ret_refusal->id);
    bool request = type == STEAD_SIGNAL || type == STEAD_CALL || type == STEAD_QUERY || type == STEAD_HELLO;
    ret_refusal->answerable = request && !stead_id_is_zero(ret_refusal->id);

    size_t session_at = STEAD_WIRE_CORE_SIZE + groups_size(bits & (STEAD_GROUP_SESSION - 1u));
    if ((bits & STEAD_GROUP_SESSION) && record.size >= session_at + 40u &&
        check_session(record.data + session_at) == 0) {
        const uint8_t *at = get_id(record.data + session_at, &ret_refusal->session);
        at = get64(at, &ret_refusal->session_start_ms);
        get64(get64(at, &ret_refusal->session_number), &ret_refusal->session_mark);
        ret_refusal->has_session = true;
    }
    size_t route_at = STEAD_WIRE_CORE_SIZE + groups_size(bits & (STEAD_GROUP_ROUTE - 1u));
    if ((bits & STEAD_GROUP_ROUTE) && record.size >= route_at + 14u) {
        get_route(record.data + route_at, &ret_refusal->route);
        ret_refusal->has_route = ret_refusal->route.node != 0;
    }
}

int stead_codec_decode(struct stead_slice record, const struct stead_codec_limits *limits,
                       struct stead_message **ret_message, struct stead_codec_refusal *ret_refusal)
{
    struct layout layout;
    int code = find_parts(record, &layout);
    if (code == 0)
        code = check_record(&layout, limits);
    if (code != 0) {
        if (ret_refusal != NULL)
            read_refusal(record, ret_refusal);
        return code;
    }
    *ret_message = make_message(&layout);
    return 0;
}

struct stead_message *stead_codec_refusal_answer(const struct stead_codec_refusal *refusal, int code)
{
    if (!refusal->answerable)
        return NULL;
    struct stead_message *request =
        stead_message_create((enum stead_message_type)refusal->type, &(struct stead_message_parts){.key = {NULL, 0}});
    request->id = refusal->id;
    request->source_slot.v = STEAD_SLOT_SESSION;
    if (refusal->has_session) {
        request->groups |= STEAD_GROUP_SESSION;
        request->session.id = refusal->session;
        request->session.start_ms = refusal->session_start_ms;
        request->session.number = refusal->session_number;
        request->session.mark = refusal->session_mark;
    }
    if (refusal->has_route) {
        request->groups |= STEAD_GROUP_ROUTE;
        request->route = refusal->route;
    }
    struct stead_message *answer = stead_message_answer(request, code, NULL, (struct stead_slice){NULL, 0});
    stead_message_destroy(&request);
    return answer;
}

int stead_codec_client_check(const struct stead_message *message)
{
    static const uint32_t types =
        1u << STEAD_TELL | 1u << STEAD_SIGNAL | 1u << STEAD_CALL | 1u << STEAD_QUERY | 1u << STEAD_CANCEL;
    static const uint32_t groups = STEAD_GROUP_CHANNEL | STEAD_GROUP_PRINCIPAL | STEAD_GROUP_INCARNATION;
    if ((types >> message->type & 1u) == 0 || (message->groups & groups) != 0)
        return STEAD_EUNAUTHORISED;
    if (message->source_size > 0 || (message->flags & STEAD_FLAG_JOB) != 0)
        return STEAD_EUNAUTHORISED;
    static const uint32_t answered = 1u << STEAD_SIGNAL | 1u << STEAD_CALL | 1u << STEAD_QUERY;
    bool anonymous = (answered >> message->type & 1u) != 0 && (message->groups & STEAD_GROUP_SESSION) == 0;
    return anonymous ? STEAD_EPROTOCOL : 0;
}
