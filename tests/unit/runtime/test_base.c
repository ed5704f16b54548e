/* SPDX-License-Identifier: Apache-2.0 */
/* base: formatting equals the C library's for what it promises, the generator is the published one, hexadecimal round
 * trips. */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/base.h"

/* Formats with both and compares text and length. */
#define SAME_AS_C(...)                                                                                                 \
    do {                                                                                                               \
        char ours[256], theirs[256];                                                                                   \
        size_t our_size = stead_format(ours, sizeof ours, __VA_ARGS__);                                                \
        int their_size = snprintf(theirs, sizeof theirs, __VA_ARGS__);                                                 \
        assert_string_equal(ours, theirs);                                                                             \
        assert_int_equal(our_size, their_size);                                                                        \
    } while (0)

static void test_format_of_the_promised_conversions_equals_the_c_library(void **state)
{
    (void)state;
    SAME_AS_C("plain");
    SAME_AS_C("%s|%5s|%-5s|%.*s|%.2s", "ab", "ab", "ab", 2, "abc", "abc");
    SAME_AS_C("%c%c|%3c|%-3c|", 'x', 'y', 'z', 'q');
    SAME_AS_C("%d %i %5d %-5d| %05d %d", 0, -1, 42, 42, -42, INT32_MIN);
    SAME_AS_C("%u %5u %05u %u", 0u, 7u, 7u, UINT32_MAX);
    SAME_AS_C("%ld %lu %lld %llu", INT64_MIN, UINT64_MAX, (long long)INT64_MIN, (unsigned long long)UINT64_MAX);
    SAME_AS_C("%zu %x %lx %llx %08x", (size_t)9, 255u, 0xabcul, 0xdefull, 0xbeefu);
    SAME_AS_C("%p", (void *)0x1234);
    SAME_AS_C("%f %.2f %.0f %8.3f %-8.1f| %.3f %.1f", 1.5, 3.14159, 2.0, -2.5, 1.3, 0.0009, 9.96);
    SAME_AS_C("100%%");
}

static void test_format_into_a_small_buffer_is_cut_and_says_what_it_needs(void **state)
{
    char text[4];
    (void)state;
    assert_int_equal(stead_format(text, sizeof text, "%s", "abcdef"), 6);
    assert_string_equal(text, "abc");
    assert_int_equal(stead_format(text, 1, "abc"), 3);
    assert_string_equal(text, "");
    assert_int_equal(stead_format(NULL, 0, "%d", 1234), 4);
}

/* A size of argument that nobody knows cannot be skipped: the rest stays as it is. */
static void test_format_with_an_unknown_conversion_copies_the_rest(void **state)
{
    char text[64];
    const char *format = "%d %q %d";
    (void)state;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
    stead_format(text, sizeof text, format, 1, 2);
    assert_string_equal(text, "1 %q %d");
    format = "%-05d|"; /* a zero cannot fill on the right */
    stead_format(text, sizeof text, format, 42);
    assert_string_equal(text, "42   |");
#pragma GCC diagnostic pop
}

static void test_format_of_numbers_without_a_fixed_form_prints_their_names(void **state)
{
    char text[64];
    double zero = 0;
    (void)state;
    stead_format(text, sizeof text, "%f %f %.1f", zero / zero, 1e300, -1e300);
    assert_string_equal(text, "nan huge -huge");
}

static void test_rng_with_a_known_seed_gives_the_published_sequence(void **state)
{
    /* splitmix64 from 0 starts with this number (Steele, Lea and Flood's reference code). */
    struct stead_rng rng;
    (void)state;
    stead_rng_seed(&rng, 0);
    assert_true(rng.s[0] == 0xe220a8397b1dcdafu);
    /* xoshiro256** from the state 1, 2, 3, 4: the reference code's first numbers. */
    rng = (struct stead_rng){{1, 2, 3, 4}};
    assert_true(stead_rng_next(&rng) == 11520);
    assert_true(stead_rng_next(&rng) == 0);
    assert_true(stead_rng_next(&rng) == 1509978240);
    assert_true(stead_rng_next(&rng) == 1215971899390074240u);
}

static void test_rng_below_a_bound_stays_below_and_reaches_everything(void **state)
{
    struct stead_rng rng;
    unsigned seen[7] = {0};
    (void)state;
    stead_rng_seed(&rng, 42);
    for (int i = 0; i < 7000; i++) {
        uint64_t it = stead_rng_below(&rng, 7);
        assert_true(it < 7);
        seen[it]++;
    }
    for (int i = 0; i < 7; i++)
        assert_in_range(seen[i], 800, 1200);
    assert_true(stead_rng_below(&rng, 1) == 0);

    int low = 0; /* a plain remainder would draw the first third twice as often as the others */
    for (int i = 0; i < 3000; i++)
        low += stead_rng_below(&rng, UINT64_C(3) << 62) < UINT64_C(1) << 62;
    assert_in_range(low, 850, 1150);
}

static void test_hex_of_bytes_round_trips_and_refuses_anything_else(void **state)
{
    const uint8_t bytes[] = {0x00, 0x9f, 0xff, 0x42};
    uint8_t back[4] = {1, 1, 1, 1};
    char text[9];
    (void)state;
    stead_hex(text, bytes, sizeof bytes);
    assert_string_equal(text, "009fff42");
    assert_int_equal(stead_unhex("009FfF4g", 8, back, 4), STEAD_EARGUMENT);
    assert_int_equal(stead_unhex("009fff", 6, back, 4), STEAD_EARGUMENT);
    assert_int_equal(back[0], 1); /* untouched on failure */
    assert_int_equal(stead_unhex("009FfF42", 8, back, 4), 0);
    assert_memory_equal(back, bytes, 4);
}

static void test_memory_of_no_bytes_is_still_memory(void **state)
{
    void *none = stead_alloc(0);
    (void)state;
    assert_non_null(none);
    none = stead_realloc(none, 0);
    assert_non_null(none);
    free(none);
    char *copy = stead_text_copy("abc");
    assert_string_equal(copy, "abc");
    free(copy);
}

static void test_assert_that_fails_stops_the_process(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(1);
        signal(SIGABRT, SIG_DFL);
        STEAD_ASSERT(child == 1);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format_of_the_promised_conversions_equals_the_c_library),
        cmocka_unit_test(test_format_into_a_small_buffer_is_cut_and_says_what_it_needs),
        cmocka_unit_test(test_format_with_an_unknown_conversion_copies_the_rest),
        cmocka_unit_test(test_format_of_numbers_without_a_fixed_form_prints_their_names),
        cmocka_unit_test(test_rng_with_a_known_seed_gives_the_published_sequence),
        cmocka_unit_test(test_rng_below_a_bound_stays_below_and_reaches_everything),
        cmocka_unit_test(test_hex_of_bytes_round_trips_and_refuses_anything_else),
        cmocka_unit_test(test_memory_of_no_bytes_is_still_memory),
        cmocka_unit_test(test_assert_that_fails_stops_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
