/* SPDX-License-Identifier: Apache-2.0 */
/* Frames: coalescing up to the limits, and what the iterator refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net/frame.h"
#include "runtime/address.h"
#include "runtime/base.h"
#include "unit/net/golden.h"

/* A tell with a payload of `size` bytes, 0 or at least 5. */
static struct stead_message *tell(uint32_t size)
{
    uint8_t *payload = calloc(1, size + 5);
    uint32_t content = size - 5;
    if (size > 0)
        payload[0] = 0xc6;
    for (unsigned i = 0; size > 0 && i < 4; i++)
        payload[1 + i] = (uint8_t)(content >> (24 - 8 * i));
    struct stead_message_parts parts = {.address = stead_str("x/1"), .op = stead_str("op"), .payload = {payload, size}};
    struct stead_message *m = stead_message_create(STEAD_TELL, &parts);
    m->slot = stead_address_slot(parts.address, 0);
    free(payload);
    return m;
}

static bool add(struct stead_frame_builder *frame, uint32_t size)
{
    struct stead_message *m = tell(size);
    bool added = stead_frame_add(frame, m);
    stead_message_destroy(&m);
    return added;
}

/* Opens a copy of exactly this size on the heap, so that a sanitizer sees any read past the end. */
static int open_copy(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    struct stead_frame frame;
    struct stead_slice record;
    memcpy(copy, bytes, size);
    int code = stead_frame_open((struct stead_slice){copy, size}, &frame);
    while (code == 0 && stead_frame_next(&frame, &record))
        assert_true(record.data + record.size <= copy + size);
    free(copy);
    return code;
}

static size_t golden_frame(uint8_t *ret_bytes, size_t size_max)
{
    size_t size = strlen(GOLDEN_FRAME) / 2;
    assert_true(size <= size_max);
    assert_int_equal(stead_unhex(GOLDEN_FRAME, size * 2, ret_bytes, size), 0);
    return size;
}

static void test_frame_of_two_golden_records_opens_to_them(void **state)
{
    (void)state;
    uint8_t bytes[512], record_bytes[256];
    struct stead_frame frame;
    struct stead_slice record;
    size_t size = golden_frame(bytes, sizeof bytes), record_size = strlen(GOLDEN_CALL) / 2;
    assert_int_equal(stead_unhex(GOLDEN_CALL, record_size * 2, record_bytes, record_size), 0);
    assert_int_equal(stead_frame_open((struct stead_slice){bytes, size}, &frame), 0);
    for (int i = 0; i < 2; i++) {
        assert_true(stead_frame_next(&frame, &record));
        assert_int_equal(record.size, record_size);
        assert_memory_equal(record.data, record_bytes, record_size);
    }
    assert_false(stead_frame_next(&frame, &record));
}

static void test_add_of_decoded_golden_records_gives_the_golden_frame(void **state)
{
    (void)state;
    uint8_t bytes[512];
    struct stead_frame frame;
    struct stead_slice record;
    struct stead_frame_builder builder = {.data = NULL};
    const struct stead_codec_limits limits = {1024};
    size_t size = golden_frame(bytes, sizeof bytes);
    assert_int_equal(stead_frame_open((struct stead_slice){bytes, size}, &frame), 0);
    while (stead_frame_next(&frame, &record)) {
        struct stead_message *m;
        assert_int_equal(stead_codec_decode(record, &limits, &m, NULL), 0);
        assert_true(stead_frame_add(&builder, m));
        stead_message_destroy(&m);
    }
    assert_int_equal(stead_frame_bytes(&builder).size, size);
    assert_memory_equal(builder.data, bytes, size);
    stead_frame_deinit(&builder);
}

static void test_add_stops_at_the_limit_of_records(void **state)
{
    (void)state;
    struct stead_frame_builder frame = {.data = NULL};
    for (unsigned i = 0; i < STEAD_FRAME_RECORDS_MAX; i++)
        assert_true(add(&frame, 0));
    size_t size = frame.size;
    assert_false(add(&frame, 0));
    assert_int_equal(frame.size, size);
    assert_int_equal(open_copy(frame.data, frame.size), 0);
    stead_frame_reset(&frame);
    assert_int_equal(stead_frame_bytes(&frame).size, 0);
    assert_true(add(&frame, 0));
    stead_frame_deinit(&frame);
}

static void test_add_stops_at_the_limit_of_bytes(void **state)
{
    (void)state;
    struct stead_frame_builder frame = {.data = NULL};
    while (add(&frame, 5000))
        ;
    assert_true(frame.size <= STEAD_FRAME_BYTES_MAX);
    assert_true(frame.size + 6000 > STEAD_FRAME_BYTES_MAX);
    assert_int_equal(open_copy(frame.data, frame.size), 0);
    stead_frame_deinit(&frame);
}

static void test_add_of_a_large_record_takes_a_frame_of_its_own(void **state)
{
    (void)state;
    struct stead_frame_builder frame = {.data = NULL};
    assert_true(add(&frame, 0));
    assert_false(add(&frame, 300000));
    stead_frame_reset(&frame);
    assert_true(add(&frame, 300000));
    assert_false(add(&frame, 0));
    assert_int_equal(open_copy(frame.data, frame.size), 0);
    stead_frame_reset(&frame);
    assert_null(frame.data); /* one large record does not keep its memory for ever */
    stead_frame_deinit(&frame);
}

static void test_open_keep_alive_has_no_records(void **state)
{
    (void)state;
    struct stead_frame frame;
    struct stead_slice record;
    assert_int_equal(stead_frame_open(stead_bytes("\x01\x00\x00\x00", 4), &frame), 0);
    assert_false(stead_frame_next(&frame, &record));
}

static void test_open_frame_cut_at_any_byte_or_too_long_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[512];
    size_t size = golden_frame(bytes, sizeof bytes);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(open_copy(bytes, cut), STEAD_EPROTOCOL);
    bytes[size] = 0;
    assert_int_equal(open_copy(bytes, size + 1), STEAD_EPROTOCOL);
}

static void test_open_other_version_or_flags_says_so(void **state)
{
    (void)state;
    assert_int_equal(open_copy((const uint8_t *)"\x02\x00\x00\x00", 4), STEAD_EVERSION);
    assert_int_equal(open_copy((const uint8_t *)"\x01\x01\x00\x00", 4), STEAD_EVERSION);
}

static void test_open_more_records_than_allowed_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[4 + 65 * 4] = {1, 0, 65, 0};
    assert_int_equal(open_copy(bytes, sizeof bytes), STEAD_EPROTOCOL);
    bytes[2] = 64;
    assert_int_equal(open_copy(bytes, sizeof bytes - 4), 0);
}

static void test_open_many_records_in_too_many_bytes_is_refused(void **state)
{
    (void)state;
    size_t size = STEAD_FRAME_BYTES_MAX + 1;
    uint8_t *bytes = calloc(1, size);
    bytes[0] = 1;
    bytes[2] = 2;
    stead_store32(bytes + 8, (uint32_t)(size - 12));
    assert_int_equal(open_copy(bytes, size), STEAD_EPROTOCOL);
    stead_store32(bytes + 8, (uint32_t)(size - 13));
    assert_int_equal(open_copy(bytes, size - 1), 0);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frame_of_two_golden_records_opens_to_them),
        cmocka_unit_test(test_add_of_decoded_golden_records_gives_the_golden_frame),
        cmocka_unit_test(test_add_stops_at_the_limit_of_records),
        cmocka_unit_test(test_add_stops_at_the_limit_of_bytes),
        cmocka_unit_test(test_add_of_a_large_record_takes_a_frame_of_its_own),
        cmocka_unit_test(test_open_keep_alive_has_no_records),
        cmocka_unit_test(test_open_frame_cut_at_any_byte_or_too_long_is_refused),
        cmocka_unit_test(test_open_other_version_or_flags_says_so),
        cmocka_unit_test(test_open_more_records_than_allowed_is_refused),
        cmocka_unit_test(test_open_many_records_in_too_many_bytes_is_refused),
    };
    return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
