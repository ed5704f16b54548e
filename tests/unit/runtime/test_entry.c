/* SPDX-License-Identifier: Apache-2.0 */
/* Log entries: what is written is read; whatever is cut, changed or does not add up is refused. And the checksum below
 * them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/base.h"
#include "runtime/crc32c_table.h"
#include "runtime/entry.h"

static const struct stead_entry_header header = {.shard = 7, .epoch = 3, .index = 42, .clock = 0x123456789abcull};

static struct stead_turn_record turn_record(void)
{
    struct stead_turn_record turn = {.address = stead_str("counter/alice"),
                                     .incarnation = 2,
                                     .previous = 41,
                                     .op = stead_str("add"),
                                     .cause_type = 3,
                                     .cause = stead_str("account/bob"),
                                     .now_ms = 1700000000000ull,
                                     .status = -5,
                                     .events = stead_str("events")};
    memset(turn.id.v, 0x5a, sizeof turn.id.v);
    return turn;
}

/* Three mutations and two turns. */
static void build(struct stead_writer *entry)
{
    struct stead_turn_record turn = turn_record();
    stead_entry_begin(entry, &header);
    stead_entry_put(entry, stead_str("key"), stead_str("value"));
    stead_entry_delete(entry, stead_str("gone"));
    stead_entry_delete_range(entry, stead_str("from"), stead_str("to"));
    stead_entry_turns_begin(entry, 3);
    stead_entry_turn(entry, &turn);
    turn.cause = stead_str("");
    turn.events = stead_str("");
    stead_entry_turn(entry, &turn);
    stead_entry_end(entry, 2);
}

/* Makes the checksum right again, so that only what is behind it can refuse. */
static void seal(struct stead_writer *entry)
{
    stead_store32(entry->data + entry->size - 4, stead_crc32c(0, entry->data, entry->size - 4));
}

static int decode(const struct stead_writer *bytes)
{
    struct stead_entry entry;
    return stead_entry_decode(stead_written(bytes), &entry);
}

static void test_entry_decoded_is_what_was_written(void **state)
{
    (void)state;
    struct stead_writer bytes;
    struct stead_entry entry;
    struct stead_mutation mutation;
    struct stead_turn_record turn;
    const struct stead_turn_record expected = turn_record();
    stead_writer_init(&bytes);
    build(&bytes);
    assert_int_equal(stead_entry_decode(stead_written(&bytes), &entry), 0);
    assert_int_equal(entry.header.shard, header.shard);
    assert_int_equal(entry.header.epoch, header.epoch);
    assert_int_equal(entry.header.index, header.index);
    assert_true(entry.header.clock == header.clock);
    assert_int_equal(stead_entry_next_mutation(&entry.mutations, &mutation), 1);
    assert_int_equal(mutation.type, STEAD_MUTATION_PUT);
    assert_true(stead_slice_equal(mutation.value, stead_str("value")));
    assert_int_equal(stead_entry_next_mutation(&entry.mutations, &mutation), 1);
    assert_int_equal(mutation.type, STEAD_MUTATION_DELETE);
    assert_int_equal(stead_entry_next_mutation(&entry.mutations, &mutation), 1);
    assert_int_equal(mutation.type, STEAD_MUTATION_DELETE_RANGE);
    assert_true(stead_slice_equal(mutation.value, stead_str("to")));
    assert_int_equal(stead_entry_next_mutation(&entry.mutations, &mutation), 0);
    assert_int_equal(stead_entry_next_turn(&entry.turns, &turn), 1);
    assert_true(stead_slice_equal(turn.address, expected.address) && stead_slice_equal(turn.op, expected.op));
    assert_true(stead_slice_equal(turn.cause, expected.cause) && stead_slice_equal(turn.events, expected.events));
    assert_true(stead_id_equal(turn.id, expected.id));
    assert_true(turn.incarnation == 2 && turn.previous == 41 && turn.cause_type == 3);
    assert_true(turn.now_ms == expected.now_ms && turn.status == -5);
    assert_int_equal(stead_entry_next_turn(&entry.turns, &turn), 1);
    assert_int_equal(turn.cause.size + turn.events.size, 0);
    assert_int_equal(stead_entry_next_turn(&entry.turns, &turn), 0);
    stead_writer_deinit(&bytes);
}

static void test_entry_without_anything_in_it_is_an_entry(void **state)
{
    (void)state;
    struct stead_writer bytes;
    stead_writer_init(&bytes);
    stead_entry_begin(&bytes, &header);
    stead_entry_turns_begin(&bytes, 0);
    stead_entry_end(&bytes, 0);
    assert_int_equal(decode(&bytes), 0);
    assert_int_equal(bytes.size, 52);
    stead_writer_deinit(&bytes);
}

static void test_entry_cut_anywhere_is_corrupt(void **state)
{
    (void)state;
    struct stead_writer bytes;
    struct stead_entry entry;
    stead_writer_init(&bytes);
    build(&bytes);
    for (size_t size = 0; size < bytes.size; size++) {
        uint8_t *cut = stead_alloc(size + 1); /* of its own size, so that the sanitizer sees a read behind it */
        memcpy(cut, bytes.data, size);
        assert_int_equal(stead_entry_decode(stead_bytes(cut, size), &entry), STEAD_ECORRUPT);
        free(cut);
    }
    stead_writer_deinit(&bytes);
}

static void test_entry_with_a_bit_changed_is_corrupt(void **state)
{
    (void)state;
    struct stead_writer bytes;
    stead_writer_init(&bytes);
    build(&bytes);
    for (size_t bit = 0; bit < bytes.size * 8; bit++) {
        bytes.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_int_equal(decode(&bytes), STEAD_ECORRUPT);
        bytes.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    stead_writer_deinit(&bytes);
}

/* Changes one byte and makes the checksum right: the decoder must not read out of bounds, and must refuse what
 * matters. */
static int decode_with(size_t at, uint8_t byte)
{
    struct stead_writer bytes;
    stead_writer_init(&bytes);
    build(&bytes);
    bytes.data[at] = byte;
    seal(&bytes);
    int code = decode(&bytes);
    stead_writer_deinit(&bytes);
    return code;
}

static void test_entry_that_does_not_add_up_is_corrupt(void **state)
{
    (void)state;
    const size_t put = 48;
    const size_t deleted = put + 7 + 3 + 5;
    const size_t range = deleted + 7 + 4;
    assert_int_equal(decode_with(0, 'X'), STEAD_ECORRUPT); /* magic */
    assert_int_equal(decode_with(4, 0), STEAD_ECORRUPT);   /* shard 0 */
    assert_int_equal(decode_with(16, 0), STEAD_ECORRUPT);  /* index 0 */
    assert_int_equal(decode_with(32, 2), STEAD_ECORRUPT);  /* fewer mutations than there are */
    assert_int_equal(decode_with(32, 4), STEAD_ECORRUPT);  /* more */
    assert_int_equal(decode_with(36, 1), STEAD_ECORRUPT);  /* turns */
    assert_int_equal(decode_with(40, 1), STEAD_ECORRUPT);  /* mutation bytes */
    assert_int_equal(decode_with(44, 1), STEAD_ECORRUPT);  /* turn bytes */
    assert_int_equal(decode_with(put, 0), STEAD_ECORRUPT); /* unknown type */
    assert_int_equal(decode_with(put, 4), STEAD_ECORRUPT);
    assert_int_equal(decode_with(put + 1, 0), STEAD_ECORRUPT);                 /* no key */
    assert_int_equal(decode_with(put + 2, 0xff), STEAD_ECORRUPT);              /* a key over the limit */
    assert_int_equal(decode_with(put + 6, 0x7f), STEAD_ECORRUPT);              /* a value behind the end */
    assert_int_equal(decode_with(put, STEAD_MUTATION_DELETE), STEAD_ECORRUPT); /* a delete with a value */
    assert_int_equal(decode_with(range + 7, 'z'), STEAD_ECORRUPT);             /* a range that ends before it begins */
    assert_int_equal(decode_with(range + 7, 'e'), 0);                          /* and one that does not */
}

static void test_entry_with_any_byte_changed_never_reads_behind_its_end(void **state)
{
    (void)state;
    struct stead_writer bytes;
    stead_writer_init(&bytes);
    build(&bytes);
    size_t size = bytes.size;
    stead_writer_deinit(&bytes);
    for (size_t at = 0; at < size - 4; at++)
        for (unsigned byte = 0; byte < 256; byte += 17)
            assert_in_set((uintmax_t)(-decode_with(at, (uint8_t)byte)),
                          ((const uintmax_t[]){0, (uintmax_t)-STEAD_ECORRUPT}), 2);
}

/* ---- CRC-32C -------------------------------------------------------------------------------- */

static void test_crc32c_of_known_bytes_is_as_published(void **state)
{
    (void)state;
    uint8_t bytes[32];
    assert_int_equal(stead_crc32c(0, "123456789", 9), 0xe3069283);
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(stead_crc32c(0, bytes, sizeof bytes), 0x8a9136aa); /* RFC 3720, B.4 */
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(stead_crc32c(0, bytes, sizeof bytes), 0x62a8ab43);
    assert_int_equal(stead_crc32c(0, NULL, 0), 0);
}

static void test_crc32c_of_parts_and_without_instructions_is_the_same(void **state)
{
    (void)state;
    uint8_t bytes[300];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 37);
    for (size_t size = 0; size <= sizeof bytes; size++) {
        uint32_t whole = stead_crc32c(0, bytes, size);
        assert_int_equal(stead_crc32c_portable(0, bytes, size), whole);
        assert_int_equal(stead_crc32c(stead_crc32c(0, bytes, size / 3), bytes + size / 3, size - size / 3), whole);
    }
}

static void test_crc32c_tables_are_of_the_polynomial(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
        assert_int_equal(crc32c_table[0][i], crc);
        for (int k = 1; k < 8; k++) {
            crc = (crc >> 8) ^ crc32c_table[0][crc & 0xff];
            assert_int_equal(crc32c_table[k][i], crc);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entry_decoded_is_what_was_written),
        cmocka_unit_test(test_entry_without_anything_in_it_is_an_entry),
        cmocka_unit_test(test_entry_cut_anywhere_is_corrupt),
        cmocka_unit_test(test_entry_with_a_bit_changed_is_corrupt),
        cmocka_unit_test(test_entry_that_does_not_add_up_is_corrupt),
        cmocka_unit_test(test_entry_with_any_byte_changed_never_reads_behind_its_end),
        cmocka_unit_test(test_crc32c_of_known_bytes_is_as_published),
        cmocka_unit_test(test_crc32c_of_parts_and_without_instructions_is_the_same),
        cmocka_unit_test(test_crc32c_tables_are_of_the_polynomial),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
