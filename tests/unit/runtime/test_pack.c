/* SPDX-License-Identifier: Apache-2.0 */
/* pack: what is written equals what msgpack-c writes, byte for byte. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <msgpack.h>

#include "runtime/base.h"
#include "stead/value.h"

/* Both writers side by side. */
struct pair {
    struct stead_writer ours;
    msgpack_sbuffer theirs;
    msgpack_packer packer;
};

static void pair_init(struct pair *pair)
{
    stead_writer_init(&pair->ours);
    msgpack_sbuffer_init(&pair->theirs);
    msgpack_packer_init(&pair->packer, &pair->theirs, msgpack_sbuffer_write);
}

static void pair_check_and_deinit(struct pair *pair)
{
    assert_int_equal(pair->ours.size, pair->theirs.size);
    assert_memory_equal(pair->ours.data, pair->theirs.data, pair->theirs.size);
    stead_writer_deinit(&pair->ours);
    msgpack_sbuffer_destroy(&pair->theirs);
}

static void test_write_of_numbers_equals_msgpack_c(void **state)
{
    struct pair pair;
    struct stead_rng rng;
    (void)state;
    pair_init(&pair);
    stead_rng_seed(&rng, 7);
    for (int i = 0; i < 5000; i++) {
        int64_t it = (int64_t)stead_rng_next(&rng) >> stead_rng_below(&rng, 64);
        stead_write_i64(&pair.ours, it);
        msgpack_pack_int64(&pair.packer, it);
        stead_write_u64(&pair.ours, (uint64_t)it);
        msgpack_pack_uint64(&pair.packer, (uint64_t)it);
        stead_write_f64(&pair.ours, (double)it / 3);
        msgpack_pack_double(&pair.packer, (double)it / 3);
    }
    for (int64_t it = -70000; it < 70000; it++) {
        stead_write_i64(&pair.ours, it);
        msgpack_pack_int64(&pair.packer, it);
    }
    pair_check_and_deinit(&pair);
}

static void test_write_of_texts_and_headers_equals_msgpack_c(void **state)
{
    static const uint32_t sizes[] = {0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536, 70000};
    char *text = stead_alloc_zero(70000);
    struct pair pair;
    (void)state;
    pair_init(&pair);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        stead_write_str_slice(&pair.ours, stead_bytes(text, sizes[i]));
        msgpack_pack_str_with_body(&pair.packer, text, sizes[i]);
        stead_write_bin(&pair.ours, stead_bytes(text, sizes[i]));
        msgpack_pack_bin_with_body(&pair.packer, text, sizes[i]);
        stead_write_array(&pair.ours, sizes[i]);
        msgpack_pack_array(&pair.packer, sizes[i]);
        stead_write_map(&pair.ours, sizes[i]);
        msgpack_pack_map(&pair.packer, sizes[i]);
    }
    stead_write_nil(&pair.ours);
    msgpack_pack_nil(&pair.packer);
    stead_write_bool(&pair.ours, true);
    msgpack_pack_true(&pair.packer);
    stead_write_bool(&pair.ours, false);
    msgpack_pack_false(&pair.packer);
    free(text);
    pair_check_and_deinit(&pair);
}

static void test_pack_by_format_writes_the_nested_value(void **state)
{
    struct pair pair;
    (void)state;
    pair_init(&pair);
    stead_pack(&pair.ours, "{s:l, s:[d,[],{}], S:{s:n,s:b}, s:u,s:f,s:B,s:v,s:v}", "balance", (int64_t)5, "limits", 1,
               stead_bytes("inner", 5), "none", "yes", 7, "big", UINT64_MAX, "half", 0.5, "bytes",
               stead_bytes("\0\1", 2), "value", stead_bytes("\x91\x01", 2), "empty", (struct stead_slice){0});
    msgpack_pack_map(&pair.packer, 8);
    msgpack_pack_str_with_body(&pair.packer, "balance", 7);
    msgpack_pack_int64(&pair.packer, 5);
    msgpack_pack_str_with_body(&pair.packer, "limits", 6);
    msgpack_pack_array(&pair.packer, 3);
    msgpack_pack_int64(&pair.packer, 1);
    msgpack_pack_array(&pair.packer, 0);
    msgpack_pack_map(&pair.packer, 0);
    msgpack_pack_str_with_body(&pair.packer, "inner", 5);
    msgpack_pack_map(&pair.packer, 2);
    msgpack_pack_str_with_body(&pair.packer, "none", 4);
    msgpack_pack_nil(&pair.packer);
    msgpack_pack_str_with_body(&pair.packer, "yes", 3);
    msgpack_pack_true(&pair.packer);
    msgpack_pack_str_with_body(&pair.packer, "big", 3);
    msgpack_pack_uint64(&pair.packer, UINT64_MAX);
    msgpack_pack_str_with_body(&pair.packer, "half", 4);
    msgpack_pack_double(&pair.packer, 0.5);
    msgpack_pack_str_with_body(&pair.packer, "bytes", 5);
    msgpack_pack_bin_with_body(&pair.packer, "\0\1", 2);
    msgpack_pack_str_with_body(&pair.packer, "value", 5);
    msgpack_pack_array(&pair.packer, 1);
    msgpack_pack_int64(&pair.packer, 1);
    msgpack_pack_str_with_body(&pair.packer, "empty", 5);
    msgpack_pack_nil(&pair.packer);
    pair_check_and_deinit(&pair);
}

static void test_pack_of_a_null_text_is_nil(void **state)
{
    struct stead_writer writer;
    uint8_t memory[4];
    (void)state;
    stead_writer_init_fixed(&writer, memory, sizeof memory);
    stead_pack(&writer, "s", NULL);
    assert_int_equal(writer.size, 1);
    assert_int_equal(writer.data[0], 0xc0);
    stead_writer_deinit(&writer);
}

static void test_writer_in_fixed_memory_moves_to_the_heap_when_full(void **state)
{
    struct stead_writer writer;
    uint8_t memory[8];
    (void)state;
    stead_writer_init_fixed(&writer, memory, sizeof memory);
    stead_write_raw(&writer, "12345678", 8);
    assert_true(writer.fixed);
    assert_ptr_equal(writer.data, memory);
    stead_write_raw(&writer, "9", 1);
    assert_false(writer.fixed);
    assert_ptr_not_equal(writer.data, memory);
    assert_memory_equal(writer.data, "123456789", 9);
    stead_writer_reset(&writer);
    assert_int_equal(stead_written(&writer).size, 0);
    for (int i = 0; i < 100000; i++)
        stead_write_raw(&writer, "x", 1);
    assert_int_equal(writer.size, 100000);
    stead_writer_deinit(&writer);
    assert_null(writer.data);
}

/* Runs pack in a child; true when it was stopped by an assertion. */
static bool pack_stops(const char *format)
{
    pid_t child = fork();
    if (child == 0) {
        struct stead_writer writer;
        signal(SIGABRT, SIG_DFL);
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(1);
        stead_writer_init(&writer);
        stead_pack(&writer, format, "a", "b", "c", "d");
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void test_pack_with_a_malformed_format_stops_the_process(void **state)
{
    static const char *const formats[] = {
        "",      "[",     "]",       "{s}",   "{s:s",
        "[s}",   "{s s}", "{s:s:s}", "s s",   "{[]:s}",
        "{n:s}", "q",     "{s:}",    "[s:s]", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"};
    (void)state;
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (!pack_stops(formats[i]))
            fail_msg("the format \"%s\" was taken", formats[i]);
    assert_false(pack_stops("{s:s,s:s}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_of_numbers_equals_msgpack_c),
        cmocka_unit_test(test_write_of_texts_and_headers_equals_msgpack_c),
        cmocka_unit_test(test_pack_by_format_writes_the_nested_value),
        cmocka_unit_test(test_pack_of_a_null_text_is_nil),
        cmocka_unit_test(test_writer_in_fixed_memory_moves_to_the_heap_when_full),
        cmocka_unit_test(test_pack_with_a_malformed_format_stops_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
