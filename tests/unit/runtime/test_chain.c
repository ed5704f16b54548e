/* SPDX-License-Identifier: Apache-2.0 */
/* The chain of calls: how it grows, what is dropped of a long one, and the circles that it tells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/chain.h"

static char text[STEAD_CHAIN_TEXT_SIZE];

static const char *explain(const char *chain, const char *wanted, uint32_t depth)
{
    stead_chain_explain(stead_str(chain), stead_str(wanted), depth, text);
    return text;
}

static struct stead_message *call_of(const char *source, const char *chain)
{
    struct stead_message_parts parts = {
        .address = stead_str("k/x"), .source = stead_str(source), .op = stead_str("go"), .chain = stead_str(chain)};
    return stead_message_create(STEAD_CALL, &parts);
}

static void test_chain_begins_with_the_first_caller_and_grows_by_the_present_one(void **state)
{
    char bytes[STEAD_CHAIN_BYTES_MAX];
    struct stead_message *first = call_of("k/1", ""), *second = call_of("k/2", "k/1\nk/2");

    (void)state;
    assert_true(stead_slice_equal(stead_chain_extend(first, stead_str("k/2"), bytes), stead_str("k/1\nk/2")));
    assert_true(stead_slice_equal(stead_chain_extend(second, stead_str("k/3"), bytes), stead_str("k/1\nk/2\nk/3")));
    stead_message_destroy(&first);
    stead_message_destroy(&second);
}

static void test_chain_that_is_full_drops_whole_names_of_the_oldest(void **state)
{
    char bytes[STEAD_CHAIN_BYTES_MAX], name[600] = "k/";
    struct stead_message *call = call_of("k/1", "");
    struct stead_slice chain = {0};

    (void)state;
    for (int i = 0; i < 40; i++) {
        memset(name + 2, 'a' + i % 26, 500);
        chain = stead_chain_extend(call, stead_bytes(name, 502), bytes);
        assert_true(chain.size <= STEAD_CHAIN_BYTES_MAX && stead_chain_check(chain));
        stead_message_destroy(&call);
        struct stead_message_parts parts = {
            .address = stead_str("k/x"), .source = stead_bytes(name, 502), .op = stead_str("go"), .chain = chain};
        call = stead_message_create(STEAD_CALL, &parts);
    }
    assert_int_equal(chain.size, 8 * 503 - 1);
    assert_int_equal(bytes[chain.size - 1], name[2]);
    stead_chain_explain(chain, stead_str("k/z"), 41, text);
    assert_int_equal(strncmp(text, "41 calls deep: ... -> k/", 24), 0);
    stead_message_destroy(&call);
}

static void test_chain_is_told_whole_and_of_a_circle_once_round(void **state)
{
    (void)state;
    assert_string_equal(explain("a/1\na/2", "a/3", 1), "1 calls deep: a/1 -> a/2 -> a/3");
    assert_string_equal(explain("a/2", "a/3", 5), "5 calls deep: ... -> a/2 -> a/3");
    assert_string_equal(explain("a/1\na/1", "a/1", 1), "1 calls deep, in a circle of 1: a/1 -> a/1");
    assert_string_equal(explain("s/0\na/1\na/2\na/1\na/2", "a/1", 4),
                        "4 calls deep, in a circle of 2: a/1 -> a/2 -> a/1");
    /* once back is enough for a circle that the chain is too short to show twice */
    assert_string_equal(explain("a/1\na/2\na/3", "a/1", 2), "2 calls deep, in a circle of 3: a/1 -> a/2 -> a/3 -> a/1");
    /* a member that comes twice in each round does not make it shorter */
    assert_string_equal(explain("a/1\na/1\na/2\na/1\na/1\na/2", "a/1", 5),
                        "5 calls deep, in a circle of 3: a/1 -> a/1 -> a/2 -> a/1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain_begins_with_the_first_caller_and_grows_by_the_present_one),
        cmocka_unit_test(test_chain_that_is_full_drops_whole_names_of_the_oldest),
        cmocka_unit_test(test_chain_is_told_whole_and_of_a_circle_once_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
