/* SPDX-License-Identifier: Apache-2.0 */
/* The codec as a specification: golden bytes of records (docs/FORMATS.md, section Wire), and everything the decoder
 * refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net/codec.h"
#include "runtime/address.h"
#include "runtime/base.h"
#include "runtime/entry.h"
#include "unit/net/golden.h"

static const struct stead_codec_limits limits = {.payload_bytes_max = 1024};

static struct stead_id id_of(uint8_t first)
{
    struct stead_id id;
    for (unsigned i = 0; i < sizeof id.v; i++)
        id.v[i] = (uint8_t)(first + i);
    return id;
}

/* ---- Messages to encode --------------------------------------------------------------------- */

/* CALL counter/alice add {by: 5}, as a client sends it. */
static struct stead_message *client_call(void)
{
    static const uint8_t args[] = {0x81, 0xa2, 'b', 'y', 0x05};
    struct stead_message_parts parts = {
        .address = stead_str("counter/alice"), .op = stead_str("add"), .payload = stead_bytes(args, sizeof args)};
    struct stead_message *m = stead_message_create(STEAD_CALL, &parts);
    m->durability = STEAD_CLASS_DURABLE;
    m->groups = STEAD_GROUP_SESSION;
    m->source_slot.v = STEAD_SLOT_SESSION;
    m->slot = stead_address_slot(parts.address, 0);
    m->id = id_of(0x10);
    m->deadline_ms = 1700000030000u;
    m->table_version = 7;
    m->session.id = id_of(0x40);
    m->session.start_ms = 1700000000000u;
    m->session.number = 9;
    m->session.mark = 8;
    return m;
}

/* SIGNAL from one agent to another, in a channel. */
static struct stead_message *channel_signal(void)
{
    struct stead_message_parts parts = {
        .address = stead_str("bank/bob"), .source = stead_str("bank/alice"), .op = stead_str("deposit")};
    struct stead_message *m = stead_message_create(STEAD_SIGNAL, &parts);
    m->groups = STEAD_GROUP_CHANNEL | STEAD_GROUP_CLOCK;
    m->source_slot = stead_address_slot(parts.source, 0);
    m->slot = stead_address_slot(parts.address, 0);
    m->channel.number = (struct stead_seq){3, 58};
    m->channel.previous = (struct stead_seq){3, 57};
    m->channel.trimmed = (struct stead_seq){2, 50};
    m->clock = 1700000000000ull << 16 | 4;
    return m;
}

/* A durable agent's CALL to a stateless kind, with limits. */
static struct stead_message *job_call(void)
{
    struct stead_message_parts parts = {
        .address = stead_str("word/a"), .source = stead_str("book/1"), .op = stead_str("count")};
    struct stead_message *m = stead_message_create(STEAD_CALL, &parts);
    m->flags = STEAD_FLAG_UNSEQUENCED | STEAD_FLAG_JOB;
    m->groups = STEAD_GROUP_INCARNATION | STEAD_GROUP_LIMITS;
    m->source_slot = stead_address_slot(parts.source, 0);
    m->slot = stead_address_slot(parts.address, 0);
    m->id = id_of(0x10);
    m->incarnation = 3;
    m->limits.start_ms = 2500;
    m->limits.run_ms = 60000;
    m->limits.heartbeat_ms = 1000;
    return m;
}

/* A SIGNAL with every group it may have, but the channel. */
static struct stead_message *full_signal(void)
{
    static const uint8_t args[] = {0x93, 0x01, 0x02, 0x03};
    struct stead_message_parts parts = {.address = stead_str("device/{7}"),
                                        .source = stead_str("hub/1"),
                                        .op = stead_str("report"),
                                        .key = stead_str("once-only"),
                                        .payload = stead_bytes(args, sizeof args)};
    struct stead_message *m = stead_message_create(STEAD_SIGNAL, &parts);
    m->durability = STEAD_CLASS_VOLATILE;
    m->flags = STEAD_FLAG_RETRY | STEAD_FLAG_UNSEQUENCED;
    m->groups = STEAD_GROUP_SESSION | STEAD_GROUP_CLOCK | STEAD_GROUP_CAUSE | STEAD_GROUP_PRINCIPAL |
                STEAD_GROUP_FENCE | STEAD_GROUP_INCARNATION | STEAD_GROUP_TRACE | STEAD_GROUP_CODEC |
                STEAD_GROUP_ROUTE | STEAD_GROUP_DELAY | STEAD_GROUP_KEY;
    m->source_slot = stead_address_slot(parts.source, 2);
    m->slot = stead_address_slot(parts.address, 3);
    m->id = id_of(1);
    m->deadline_ms = 5;
    m->table_version = 6;
    m->session.id = id_of(0x20);
    m->session.start_ms = 7;
    m->session.number = 1;
    m->session.mark = 0;
    m->clock = 8;
    m->cause.root = id_of(0x30);
    m->cause.parent = id_of(0x50);
    m->cause.depth = 3;
    m->principal = id_of(0x60);
    m->fence = 10;
    m->incarnation = 11;
    m->trace.trace = id_of(0x70);
    m->trace.span = 12;
    m->trace.flags = 1;
    m->codec.codec = 0;
    m->codec.checksum = stead_crc32c(0, args, sizeof args);
    m->route = (struct stead_route){.node = 2, .reactor = 1, .connection = 77};
    m->delay_ms = 1500;
    return m;
}

static struct stead_message *answer_of_call(void)
{
    struct stead_message *call = client_call();
    struct stead_message *answer = stead_message_answer(call, 0, NULL, stead_bytes("\x05", 1));
    answer->durability = STEAD_CLASS_DURABLE;
    stead_message_destroy(&call);
    return answer;
}

static struct stead_message *ack_with_gap(void)
{
    struct stead_message *m = stead_message_create(STEAD_ACK, &(struct stead_message_parts){.key = {NULL, 0}});
    m->groups = STEAD_GROUP_CHANNEL;
    m->flags = STEAD_FLAG_GAP;
    m->source_slot.v = 0x0123;
    m->slot.v = 0x0456;
    m->channel.number = (struct stead_seq){3, 57};
    m->channel.previous = m->channel.trimmed = (struct stead_seq){0, 0};
    return m;
}

typedef struct stead_message *make_fn(void);

/* ---- Helpers -------------------------------------------------------------------------------- */

struct record {
    uint8_t bytes[2048];
    size_t size;
};

static struct record encode(make_fn *make)
{
    struct record r = {.size = 0};
    struct stead_message *m = make();
    assert_true(stead_codec_size(m) <= sizeof r.bytes);
    r.size = stead_codec_encode(m, r.bytes);
    assert_int_equal(r.size, stead_codec_size(m));
    stead_message_destroy(&m);
    return r;
}

/* Decodes a copy of exactly this size on the heap, so that a sanitizer sees any read past the end. */
static int decode_copy(const uint8_t *bytes, size_t size, struct stead_message **ret_message,
                       struct stead_codec_refusal *ret_refusal)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, bytes, size);
    struct stead_message *m = NULL;
    int code = stead_codec_decode((struct stead_slice){copy, size}, &limits, &m, ret_refusal);
    if (ret_message != NULL)
        *ret_message = m;
    else if (m != NULL)
        stead_message_destroy(&m);
    free(copy);
    return code;
}

static int decode(const struct record *r)
{
    return decode_copy(r->bytes, r->size, NULL, NULL);
}

static void assert_golden(make_fn *make, const char *hex)
{
    struct record r = encode(make);
    char text[2 * sizeof r.bytes + 1], expected[sizeof text];
    stead_hex(text, r.bytes, r.size);
    size_t size = 0;
    for (const char *at = hex; *at != 0; at++)
        if (*at != ' ')
            expected[size++] = *at;
    expected[size] = 0;
    assert_string_equal(text, expected);
    assert_int_equal(decode(&r), 0);
}

/* ---- Golden bytes --------------------------------------------------------------------------- */

static void test_encode_client_call_gives_golden_bytes(void **state)
{
    (void)state;
    assert_golden(client_call, GOLDEN_CALL);
}

static void test_encode_channel_signal_gives_golden_bytes(void **state)
{
    (void)state;
    assert_golden(channel_signal, GOLDEN_SIGNAL);
    assert_golden(job_call, GOLDEN_JOB);
}

static void test_encode_every_group_gives_golden_bytes(void **state)
{
    (void)state;
    assert_golden(full_signal, GOLDEN_FULL);
}

static void test_encode_answer_gives_golden_bytes(void **state)
{
    (void)state;
    assert_golden(answer_of_call, GOLDEN_ANSWER);
}

static void test_encode_ack_gives_golden_bytes(void **state)
{
    (void)state;
    assert_golden(ack_with_gap, GOLDEN_ACK);
}

/* ---- Round trips ---------------------------------------------------------------------------- */

static void test_decode_encoded_message_gives_every_field_back(void **state)
{
    (void)state;
    struct record r = encode(full_signal);
    struct stead_message *a = full_signal(), *b;
    assert_int_equal(decode_copy(r.bytes, r.size, &b, NULL), 0);
    assert_string_equal(b->address, "device/{7}");
    assert_string_equal(b->source, "hub/1");
    assert_string_equal(b->op, "report");
    assert_string_equal(b->key, "once-only");
    assert_true(stead_slice_equal(stead_message_payload(a), stead_message_payload(b)));
    assert_int_equal(b->type, a->type);
    assert_int_equal(b->durability, a->durability);
    assert_int_equal(b->flags, a->flags);
    assert_int_equal(b->groups, a->groups);
    assert_int_equal(b->source_slot.v, a->source_slot.v);
    assert_int_equal(b->slot.v, a->slot.v);
    assert_true(stead_id_equal(b->id, a->id));
    assert_int_equal(b->deadline_ms, 5);
    assert_int_equal(b->table_version, 6);
    assert_memory_equal(&b->session, &a->session, sizeof a->session);
    assert_int_equal(b->clock, 8);
    assert_true(stead_id_equal(b->cause.root, a->cause.root));
    assert_true(stead_id_equal(b->cause.parent, a->cause.parent));
    assert_int_equal(b->cause.depth, 3);
    assert_true(stead_id_equal(b->principal, a->principal));
    assert_int_equal(b->fence, 10);
    assert_int_equal(b->incarnation, 11);
    assert_true(stead_id_equal(b->trace.trace, a->trace.trace));
    assert_int_equal(b->trace.span, 12);
    assert_int_equal(b->trace.flags, 1);
    assert_int_equal(b->codec.checksum, a->codec.checksum);
    assert_int_equal(b->route.node, 2);
    assert_int_equal(b->route.reactor, 1);
    assert_int_equal(b->route.connection, 77);
    assert_int_equal(b->delay_ms, 1500);
    stead_message_destroy(&a);
    stead_message_destroy(&b);
}

static void test_decode_failed_answer_keeps_its_status(void **state)
{
    (void)state;
    struct stead_message *call = client_call(), *back;
    struct stead_message *answer = stead_message_answer(call, STEAD_EBUSY, NULL, (struct stead_slice){NULL, 0});
    uint8_t bytes[1024];
    size_t size = stead_codec_encode(answer, bytes);
    assert_int_equal(decode_copy(bytes, size, &back, NULL), 0);
    assert_int_equal(back->status, STEAD_EBUSY);
    char name[32];
    assert_int_equal(stead_get_text(stead_message_payload(back), "name", name, sizeof name), 0);
    assert_string_equal(name, "busy");
    stead_message_destroy(&call);
    stead_message_destroy(&answer);
    stead_message_destroy(&back);
}

/* ---- Damage --------------------------------------------------------------------------------- */

static make_fn *const all[] = {client_call, channel_signal, job_call, full_signal, answer_of_call, ack_with_gap};

static void test_decode_record_cut_at_any_byte_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct record r = encode(all[i]);
        for (size_t size = 0; size < r.size; size++) {
            struct stead_codec_refusal refusal;
            assert_int_equal(decode_copy(r.bytes, size, NULL, &refusal), STEAD_EPROTOCOL);
        }
    }
}

static void test_decode_record_with_a_byte_more_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct record r = encode(all[i]);
        r.bytes[r.size++] = 0;
        assert_int_equal(decode(&r), STEAD_EPROTOCOL);
    }
}

/* Whatever is accepted has one encoding: a record with a bit flipped is refused, or encodes to exactly itself. */
static void test_decode_flipped_bit_is_refused_or_reencodes_to_itself(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct record r = encode(all[i]);
        for (size_t bit = 0; bit < r.size * 8; bit++) {
            struct stead_message *m;
            struct stead_codec_refusal refusal;
            uint8_t again[sizeof r.bytes];
            r.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            int code = decode_copy(r.bytes, r.size, &m, &refusal);
            assert_true(code <= 0);
            if (code == 0) {
                assert_int_equal(stead_codec_encode(m, again), r.size);
                assert_memory_equal(again, r.bytes, r.size);
                stead_message_destroy(&m);
            }
            r.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
}

static void test_decode_random_bytes_never_reads_past_the_end(void **state)
{
    (void)state;
    struct stead_rng rng;
    stead_rng_seed(&rng, 1);
    struct record base = encode(full_signal);
    for (int round = 0; round < 20000; round++) {
        struct record r = base;
        size_t changes = 1 + stead_rng_below(&rng, 8);
        while (changes-- > 0)
            r.bytes[stead_rng_below(&rng, r.size)] = (uint8_t)stead_rng_next(&rng);
        r.size -= stead_rng_below(&rng, 3) * stead_rng_below(&rng, r.size / 2);
        struct stead_codec_refusal refusal;
        (void)!decode_copy(r.bytes, r.size, NULL, &refusal);
    }
}

/* ---- Rules ---------------------------------------------------------------------------------- */

/* Encodes what `make` gives after `change`, and decodes it. */
static int decode_changed(make_fn *make, void (*change)(struct stead_message *))
{
    struct stead_message *m = make();
    struct record r;
    change(m);
    r.size = stead_codec_encode(m, r.bytes);
    stead_message_destroy(&m);
    return decode(&r);
}

static void number_below_previous(struct stead_message *m)
{
    m->channel.number = m->channel.previous;
}
static void previous_below_trimmed(struct stead_message *m)
{
    m->channel.trimmed = (struct stead_seq){3, 58};
}
static void mark_at_number(struct stead_message *m)
{
    m->session.mark = m->session.number;
}
static void session_without_id(struct stead_message *m)
{
    m->session.id = (struct stead_id){{0}};
}
static void no_id(struct stead_message *m)
{
    m->id = (struct stead_id){{0}};
}
static void durability_unknown(struct stead_message *m)
{
    m->durability = 4;
}
static void status_in_request(struct stead_message *m)
{
    m->status = STEAD_EFAILED;
}
static void status_positive(struct stead_message *m)
{
    m->status = 1;
}
static void gap_in_call(struct stead_message *m)
{
    m->flags = STEAD_FLAG_GAP;
}
static void not_run_in_call(struct stead_message *m)
{
    m->flags = STEAD_FLAG_NOT_RUN;
}
static void early_in_call(struct stead_message *m)
{
    m->flags = STEAD_FLAG_EARLY;
}
static void wrong_slot(struct stead_message *m)
{
    m->slot.v ^= 1;
}
static void route_to_nobody(struct stead_message *m)
{
    m->route.node = 0;
}
static void channel_and_session(struct stead_message *m)
{
    m->groups |= STEAD_GROUP_SESSION;
    m->session.id = id_of(1);
    m->session.number = 1;
    m->session.mark = 0;
}
static void key_bit_without_key(struct stead_message *m)
{
    m->groups |= STEAD_GROUP_KEY;
}
static void tell_with_session(struct stead_message *m)
{
    m->type = STEAD_TELL;
}

static void test_decode_broken_rule_is_a_protocol_error(void **state)
{
    (void)state;
    assert_int_equal(decode_changed(channel_signal, number_below_previous), STEAD_EPROTOCOL);
    assert_int_equal(decode_changed(channel_signal, previous_below_trimmed), STEAD_EPROTOCOL);
    assert_int_equal(decode_changed(channel_signal, channel_and_session), STEAD_EPROTOCOL);
    assert_int_equal(decode_changed(client_call, mark_at_number), STEAD_EPROTOCOL);
    assert_int_equal(decode_changed(client_call, session_without_id), STEAD_EPROTOCOL);
    assert_int_equal(decode_changed(client_call, no_id), STEAD_EPROTOCOL);
    assert_int_equal(decode_changed(client_call, durability_unknown), STEAD_EPROTOCOL);
    assert_int_equal(decode_changed(client_call, status_in_request), STEAD_EPROTOCOL);
    assert_int_equal(decode_changed(answer_of_call, status_positive), STEAD_EPROTOCOL);
    assert_int_equal(decode_changed(client_call, gap_in_call), STEAD_EPROTOCOL);
    assert_int_equal(decode_changed(client_call, not_run_in_call), STEAD_EPROTOCOL);
    assert_int_equal(decode_changed(client_call, early_in_call), STEAD_EPROTOCOL);
    assert_int_equal(decode_changed(client_call, wrong_slot), STEAD_EPROTOCOL);
    assert_int_equal(decode_changed(client_call, key_bit_without_key), STEAD_EPROTOCOL);
    assert_int_equal(decode_changed(client_call, tell_with_session), STEAD_EPROTOCOL);
    assert_int_equal(decode_changed(full_signal, route_to_nobody), STEAD_EPROTOCOL);
}

static void bad_checksum(struct stead_message *m)
{
    m->codec.checksum++;
}
static void unknown_codec(struct stead_message *m)
{
    m->codec.codec = 1;
}

static void test_decode_wrong_checksum_is_corrupt(void **state)
{
    (void)state;
    assert_int_equal(decode_changed(full_signal, bad_checksum), STEAD_ECORRUPT);
}

static void test_decode_unknown_codec_is_another_version(void **state)
{
    (void)state;
    assert_int_equal(decode_changed(full_signal, unknown_codec), STEAD_EVERSION);
}

static int decode_with(size_t at, uint8_t value)
{
    struct record r = encode(client_call);
    r.bytes[at] = value;
    return decode(&r);
}

static void test_decode_unknown_version_flag_or_group_is_another_version(void **state)
{
    (void)state;
    assert_int_equal(decode_with(0, 2), STEAD_EVERSION);
    assert_int_equal(decode_with(3, 1), STEAD_EVERSION);
    assert_int_equal(decode_with(5, 0x80), STEAD_EVERSION);
    assert_int_equal(decode_with(11, 0x80), STEAD_EVERSION);
    assert_int_equal(decode_with(9, 0x20), STEAD_EVERSION);
}

static void test_decode_unknown_type_is_a_protocol_error(void **state)
{
    (void)state;
    assert_int_equal(decode_with(1, 0), STEAD_EPROTOCOL);
    assert_int_equal(decode_with(1, STEAD_MESSAGE_TYPES), STEAD_EPROTOCOL);
}

static int decode_call_to(const char *address, const char *op, struct stead_slice payload)
{
    struct stead_message_parts parts = {.address = stead_str(address), .op = stead_str(op), .payload = payload};
    struct stead_message *m = stead_message_create(STEAD_CALL, &parts);
    struct record r;
    m->id = id_of(1);
    m->slot = stead_address_slot(parts.address, 0);
    m->source_slot.v = STEAD_SLOT_SESSION;
    m->durability = 0;
    m->flags = 0;
    m->groups = 0;
    m->status = 0;
    m->deadline_ms = m->table_version = 0;
    r.size = stead_codec_encode(m, r.bytes);
    stead_message_destroy(&m);
    return decode(&r);
}

static void test_decode_address_op_and_payload_follow_their_grammar(void **state)
{
    (void)state;
    static const uint8_t bomb[] = {0xdd, 0x10, 0x00, 0x00, 0x00, 0x01};
    static const uint8_t big[1025] = {0xc5, 0x03, 0xfe};
    uint8_t deep[40];
    memset(deep, 0x91, sizeof deep);
    deep[sizeof deep - 1] = 0xc0;
    struct stead_slice none = {NULL, 0};
    assert_int_equal(decode_call_to("counter/a", "add", none), 0);
    assert_int_equal(decode_call_to("", "add", none), STEAD_EADDRESS);
    assert_int_equal(decode_call_to("counter", "add", none), STEAD_EADDRESS);
    assert_int_equal(decode_call_to("Counter/a", "add", none), STEAD_EADDRESS);
    assert_int_equal(decode_call_to("counter/\xff", "add", none), STEAD_EADDRESS);
    assert_int_equal(decode_call_to("counter/a", "", none), STEAD_EOP);
    assert_int_equal(decode_call_to("counter/a", "Add it", none), STEAD_EOP);
    assert_int_equal(decode_call_to("counter/a", "add", stead_bytes(bomb, sizeof bomb)), STEAD_ECORRUPT);
    assert_int_equal(decode_call_to("counter/a", "add", stead_bytes(deep, sizeof deep)), STEAD_ETOOLARGE);
    assert_int_equal(decode_call_to("counter/a", "add", stead_bytes(big, 1025)), STEAD_ETOOLARGE);
}

/* ---- Extensions ----------------------------------------------------------------------------- */

/* The client's call with `area` between its groups and its texts. */
static int decode_extended(const uint8_t *area, size_t size)
{
    struct record r = encode(client_call);
    size_t at = STEAD_WIRE_CORE_SIZE + 40;
    memmove(r.bytes + at + size, r.bytes + at, r.size - at);
    memcpy(r.bytes + at, area, size);
    r.size += size;
    stead_store16(r.bytes + 6, (uint16_t)size);
    return decode(&r);
}

static void test_decode_unknown_extension_is_skipped_unless_it_must_be_understood(void **state)
{
    (void)state;
    static const uint8_t optional[] = {0x73, 0x00, 0x02, 0x00, 0xaa, 0xbb, 0x74, 0x00, 0x00, 0x00};
    static const uint8_t must[] = {0x01, 0x80, 0x00, 0x00};
    static const uint8_t beyond[] = {0x01, 0x00, 0x03, 0x00, 0xaa, 0xbb};
    static const uint8_t cut[] = {0x01, 0x00, 0x00};
    assert_int_equal(decode_extended(optional, sizeof optional), 0);
    assert_int_equal(decode_extended(must, sizeof must), STEAD_EVERSION);
    assert_int_equal(decode_extended(beyond, sizeof beyond), STEAD_EPROTOCOL);
    assert_int_equal(decode_extended(cut, sizeof cut), STEAD_EPROTOCOL);
}

static void test_chain_of_a_call_survives_the_wire_and_is_checked(void **state)
{
    (void)state;
    static const struct stead_message_parts parts = {.address = {(const uint8_t *)"a/1", 3},
                                                     .source = {(const uint8_t *)"a/2", 3},
                                                     .op = {(const uint8_t *)"go", 2},
                                                     .payload = {(const uint8_t *)"\x01", 1},
                                                     .chain = {(const uint8_t *)"a/4\na/3\na/2", 11}};
    struct stead_message *call = stead_message_create(STEAD_CALL, &parts), *back = NULL;
    call->id = id_of(0x10);
    struct stead_slice address = stead_bytes(call->address, call->address_size);
    call->slot = stead_address_slot(address, 0);
    uint8_t bytes[512];
    size_t size = stead_codec_encode(call, bytes);
    assert_int_equal(size, stead_codec_size(call));
    assert_int_equal(decode_copy(bytes, size, &back, NULL), 0);
    assert_true(stead_slice_equal(stead_message_chain(back), parts.chain));
    assert_true(stead_slice_equal(stead_message_payload(back), parts.payload));
    stead_message_destroy(&back);
    static const char *const wrong[] = {"a/4\n", "\na/4", "a", "a/\x01", "a/4\n\na/3", ""};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uint8_t area[32] = {STEAD_WIRE_EXTENSION_CHAIN, 0, (uint8_t)strlen(wrong[i]), 0};
        memcpy(area + 4, wrong[i], strlen(wrong[i]));
        assert_int_equal(decode_extended(area, 4 + strlen(wrong[i])), STEAD_EPROTOCOL);
    }
    static const uint8_t twice[] = {1, 0, 3, 0, 'a', '/', '1', 1, 0, 3, 0, 'a', '/', '1'};
    assert_int_equal(decode_extended(twice, 7), 0);
    assert_int_equal(decode_extended(twice, sizeof twice), STEAD_EPROTOCOL);
    stead_message_destroy(&call);
}

/* Decodes a call of a session, whose mark is 3, with this as its extension ENDED. */
static int decode_ended(const uint64_t *numbers, size_t count, struct stead_message **ret_message)
{
    struct stead_message *plain = client_call();
    uint8_t bytes[8 * 1100 + 1024], area[8 * 1100];

    for (size_t i = 0; i < count; i++)
        stead_store64(area + 8 * i, numbers[i]);
    plain->session.number = 9, plain->session.mark = 3;
    struct stead_message *call = stead_message_copy_ended(plain, stead_bytes(area, 8 * count));
    size_t size = stead_codec_encode(call, bytes);
    assert_int_equal(size, stead_codec_size(call));
    stead_message_destroy(&plain);
    stead_message_destroy(&call);
    return decode_copy(bytes, size, ret_message, NULL);
}

static void test_ended_numbers_of_a_session_survive_the_wire_and_are_checked(void **state)
{
    (void)state;
    struct stead_message *back = NULL;
    static const uint64_t good[] = {8, 4, 6, 8};
    assert_int_equal(decode_ended(good, 4, &back), 0);
    assert_int_equal(stead_message_ended(back).size, 32);
    assert_int_equal(stead_load64(stead_message_ended(back).data), 8);
    assert_int_equal(stead_load64(stead_message_ended(back).data + 24), 8);
    struct stead_message *copy = stead_message_copy(back);
    assert_true(stead_slice_equal(stead_message_ended(copy), stead_message_ended(back)));
    stead_message_destroy(&copy);
    stead_message_destroy(&back);
    assert_int_equal(decode_ended(good, 1, NULL), 0);
    static const uint64_t wrong[][3] = {{3, 0, 0}, {8, 3, 4}, {8, 4, 4}, {8, 6, 4}, {8, 4, 9}};
    assert_int_equal(decode_ended(wrong[0], 1, NULL), STEAD_EPROTOCOL);
    for (size_t i = 1; i < 5; i++)
        assert_int_equal(decode_ended(wrong[i], 3, NULL), STEAD_EPROTOCOL);
    uint64_t many[1026];
    for (uint64_t i = 1; i < 1026; i++)
        many[i] = 3 + i;
    many[0] = 2000;
    assert_int_equal(decode_ended(many, 1025, NULL), 0);
    assert_int_equal(decode_ended(many, 1026, NULL), STEAD_EPROTOCOL);
    static const uint8_t cut[] = {STEAD_WIRE_EXTENSION_ENDED, 0, 9, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1};
    assert_int_equal(decode_extended(cut, sizeof cut), STEAD_EPROTOCOL);
}

static void test_number_before_a_request_survives_the_wire_and_is_checked(void **state)
{
    (void)state;
    struct stead_message *call = client_call(), *back = NULL;
    uint8_t bytes[1024];
    call->session.number = 9, call->session.mark = 3, call->after = 8;
    size_t size = stead_codec_encode(call, bytes);
    assert_int_equal(size, stead_codec_size(call));
    assert_int_equal(decode_copy(bytes, size, &back, NULL), 0);
    assert_int_equal(back->after, 8);
    stead_message_destroy(&back);
    call->after = 9; /* not before itself */
    size = stead_codec_encode(call, bytes);
    assert_int_equal(decode_copy(bytes, size, NULL, NULL), STEAD_EPROTOCOL);
    struct stead_message *answer = stead_message_answer(call, 0, NULL, (struct stead_slice){NULL, 0});
    assert_int_equal(stead_codec_encode(answer, bytes), stead_codec_size(answer)); /* says nothing of it */
    assert_int_equal(decode_copy(bytes, stead_codec_size(answer), &back, NULL), 0);
    assert_int_equal(back->after, 0);
    stead_message_destroy(&back);
    stead_message_destroy(&answer);
    stead_message_destroy(&call);
    static const uint8_t cut[] = {STEAD_WIRE_EXTENSION_AFTER, 0, 7, 0, 1, 0, 0, 0, 0, 0, 0};
    static const uint8_t none[] = {STEAD_WIRE_EXTENSION_AFTER, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t twice[] = {STEAD_WIRE_EXTENSION_AFTER, 0, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0,
                                    STEAD_WIRE_EXTENSION_AFTER, 0, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0};
    assert_int_equal(decode_extended(cut, sizeof cut), STEAD_EPROTOCOL);
    assert_int_equal(decode_extended(none, sizeof none), STEAD_EPROTOCOL);
    assert_int_equal(decode_extended(twice, 12), 0);
    assert_int_equal(decode_extended(twice, sizeof twice), STEAD_EPROTOCOL);
}

/* ---- Refusals ------------------------------------------------------------------------------- */

static void test_refusal_of_readable_request_answers_its_sender(void **state)
{
    (void)state;
    struct record r = encode(client_call);
    struct stead_codec_refusal refusal;
    r.bytes[11] = 0x80; /* a group from the future, behind the session */
    assert_int_equal(decode_copy(r.bytes, r.size, NULL, &refusal), STEAD_EVERSION);
    assert_true(refusal.answerable && refusal.has_session);
    struct stead_message *answer = stead_codec_refusal_answer(&refusal, STEAD_EVERSION);
    assert_int_equal(answer->type, STEAD_ANSWER);
    assert_int_equal(answer->status, STEAD_EVERSION);
    assert_true(stead_id_equal(answer->id, id_of(0x10)));
    assert_true(stead_id_equal(answer->session.id, id_of(0x40)));
    assert_int_equal(answer->session.number, 9);
    uint8_t bytes[1024];
    assert_int_equal(decode_copy(bytes, stead_codec_encode(answer, bytes), NULL, NULL), 0);
    stead_message_destroy(&answer);
}

static void test_refusal_of_unreadable_record_has_no_answer(void **state)
{
    (void)state;
    struct record r = encode(client_call);
    struct stead_codec_refusal refusal;
    r.bytes[0] = 9;
    assert_int_equal(decode_copy(r.bytes, r.size, NULL, &refusal), STEAD_EVERSION);
    assert_false(refusal.answerable);
    assert_null(stead_codec_refusal_answer(&refusal, STEAD_EVERSION));
}

static void test_client_check_refuses_what_only_nodes_say(void **state)
{
    (void)state;
    struct stead_message *call = client_call(), *signal = channel_signal(), *answer = answer_of_call();
    assert_int_equal(stead_codec_client_check(call), 0);
    assert_int_equal(stead_codec_client_check(signal), STEAD_EUNAUTHORISED);
    assert_int_equal(stead_codec_client_check(answer), STEAD_EUNAUTHORISED);
    call->flags |= STEAD_FLAG_JOB;
    assert_int_equal(stead_codec_client_check(call), STEAD_EUNAUTHORISED);
    stead_message_destroy(&call);
    stead_message_destroy(&signal);
    stead_message_destroy(&answer);
}

static void test_client_check_wants_a_session_of_whoever_is_answered(void **state)
{
    static const enum stead_message_type answered[] = {STEAD_SIGNAL, STEAD_CALL, STEAD_QUERY};
    static const enum stead_message_type others[] = {STEAD_TELL, STEAD_CANCEL};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct stead_message *m = stead_message_create(answered[i], &(struct stead_message_parts){0});
        assert_int_equal(stead_codec_client_check(m), STEAD_EPROTOCOL);
        m->groups |= STEAD_GROUP_SESSION;
        assert_int_equal(stead_codec_client_check(m), 0);
        stead_message_destroy(&m);
    }
    for (size_t i = 0; i < 2; i++) {
        struct stead_message *m = stead_message_create(others[i], &(struct stead_message_parts){0});
        assert_int_equal(stead_codec_client_check(m), 0);
        stead_message_destroy(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encode_client_call_gives_golden_bytes),
        cmocka_unit_test(test_encode_channel_signal_gives_golden_bytes),
        cmocka_unit_test(test_encode_every_group_gives_golden_bytes),
        cmocka_unit_test(test_encode_answer_gives_golden_bytes),
        cmocka_unit_test(test_encode_ack_gives_golden_bytes),
        cmocka_unit_test(test_decode_encoded_message_gives_every_field_back),
        cmocka_unit_test(test_decode_failed_answer_keeps_its_status),
        cmocka_unit_test(test_decode_record_cut_at_any_byte_is_refused),
        cmocka_unit_test(test_decode_record_with_a_byte_more_is_refused),
        cmocka_unit_test(test_decode_flipped_bit_is_refused_or_reencodes_to_itself),
        cmocka_unit_test(test_decode_random_bytes_never_reads_past_the_end),
        cmocka_unit_test(test_decode_broken_rule_is_a_protocol_error),
        cmocka_unit_test(test_decode_wrong_checksum_is_corrupt),
        cmocka_unit_test(test_decode_unknown_codec_is_another_version),
        cmocka_unit_test(test_decode_unknown_version_flag_or_group_is_another_version),
        cmocka_unit_test(test_decode_unknown_type_is_a_protocol_error),
        cmocka_unit_test(test_decode_address_op_and_payload_follow_their_grammar),
        cmocka_unit_test(test_decode_unknown_extension_is_skipped_unless_it_must_be_understood),
        cmocka_unit_test(test_chain_of_a_call_survives_the_wire_and_is_checked),
        cmocka_unit_test(test_ended_numbers_of_a_session_survive_the_wire_and_are_checked),
        cmocka_unit_test(test_number_before_a_request_survives_the_wire_and_is_checked),
        cmocka_unit_test(test_refusal_of_readable_request_answers_its_sender),
        cmocka_unit_test(test_refusal_of_unreadable_record_has_no_answer),
        cmocka_unit_test(test_client_check_refuses_what_only_nodes_say),
        cmocka_unit_test(test_client_check_wants_a_session_of_whoever_is_answered),
    };
    return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}
