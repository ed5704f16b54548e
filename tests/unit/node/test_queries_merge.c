/* SPDX-License-Identifier: Apache-2.0 */
/* queries_merge: pages of several reactors become one page that leaves nothing out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/queries_merge.h"
#include "runtime/query_slow.h"

/* A host's page: addresses separated by spaces, and its `next` or NULL. */
static struct stead_message *page(const char *addresses, const char *next)
{
    struct stead_writer value;
    char copy[128];
    char *save = NULL;
    uint32_t count = 0;

    stead_writer_init(&value);
    for (const char *at = addresses; *at; at++)
        count += *at == ' ';
    count += *addresses != 0;
    stead_write_map(&value, 2);
    stead_write_str(&value, "agents");
    stead_write_array(&value, count);
    strcpy(copy, addresses);
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
        stead_pack(&value, "{s:s,s:b}", "address", word, "resident", 1);
    stead_write_str(&value, "next");
    stead_write_str(&value, next);
    struct stead_message_parts parts = {.payload = stead_written(&value)};
    struct stead_message *message = stead_message_create(STEAD_ANSWER, &parts);
    stead_writer_deinit(&value);
    return message;
}

/* The merged page as text: addresses, then "| next". Destroys the parts. */
static const char *merged(struct stead_message **parts, uint32_t count, int64_t limit)
{
    static char text[256];
    struct stead_writer value, args;
    struct stead_slice agents, address;
    uint32_t length;

    stead_writer_init(&value);
    stead_writer_init(&args);
    stead_pack(&args, "{s:l}", "limit", limit);
    stead_queries_merge_agents(parts, count, stead_written(&args), &value);
    assert_int_equal(stead_value_check(stead_written(&value)), 0);
    assert_int_equal(stead_get_value(stead_written(&value), "agents", &agents), 0);
    struct stead_reader reader = stead_reader(agents);
    assert_int_equal(stead_read_array(&reader, &length), 0);
    text[0] = 0;
    for (uint32_t i = 0; i < length; i++) {
        struct stead_slice agent;
        assert_int_equal(stead_read_value(&reader, &agent), 0);
        assert_int_equal(stead_get_str(agent, "address", &address), 0);
        strncat(text, (const char *)address.data, address.size);
        strcat(text, " ");
    }
    strcat(text, "| ");
    if (stead_get_str(stead_written(&value), "next", &address) == 0)
        strncat(text, (const char *)address.data, address.size);
    stead_writer_deinit(&value);
    stead_writer_deinit(&args);
    for (uint32_t i = 0; i < count; i++)
        stead_message_destroy(&parts[i]);
    return text;
}

static void test_agents_whole_pages_are_sorted_into_one(void **state)
{
    (void)state;
    struct stead_message *parts[] = {page("a/1 c/1", NULL), page("", NULL), page("b/1 d/1", NULL)};

    assert_string_equal(merged(parts, 3, 10), "a/1 b/1 c/1 d/1 | ");
}

static void test_agents_behind_the_smallest_next_wait_for_the_next_page(void **state)
{
    (void)state;
    struct stead_message *parts[] = {page("a/1 b/1", "b/1"), page("a/2 c/1 d/1", NULL)};

    assert_string_equal(merged(parts, 2, 10), "a/1 a/2 b/1 | b/1");
}

static void test_agents_of_a_part_that_found_nothing_yet_wait_for_it(void **state)
{
    (void)state;
    struct stead_message *nothing[] = {page("", "c/1"), page("", "b/1")};
    struct stead_message *parts[] = {page("", "b/5"), page("b/1 b/9", NULL)};

    assert_string_equal(merged(nothing, 2, 10), "| b/1");
    assert_string_equal(merged(parts, 2, 10), "b/1 | b/5");
}

static void test_agents_over_the_limit_are_cut_with_a_next(void **state)
{
    (void)state;
    struct stead_message *parts[] = {page("a/1 c/1", NULL), page("b/1 d/1", NULL)};

    assert_string_equal(merged(parts, 2, 3), "a/1 b/1 c/1 | c/1");
}

static void test_agents_exactly_at_the_limit_has_no_next(void **state)
{
    (void)state;
    struct stead_message *parts[] = {page("a/1", NULL), page("b/1", NULL)};

    assert_string_equal(merged(parts, 2, 2), "a/1 b/1 | ");
}

/* A page of agents that are large, and not cut. */
static struct stead_message *large_page(const char *first, const char *second, size_t size)
{
    const char *const addresses[] = {first, second};
    uint8_t *bytes = calloc(1, size);
    struct stead_writer value;

    assert_non_null(bytes);
    stead_writer_init(&value);
    stead_write_map(&value, 1);
    stead_write_str(&value, "agents");
    stead_write_array(&value, 2);
    for (int i = 0; i < 2; i++) {
        stead_write_map(&value, 2);
        stead_write_str(&value, "address"), stead_write_str(&value, addresses[i]);
        stead_write_str(&value, "fields"), stead_write_bin(&value, stead_bytes(bytes, size));
    }
    struct stead_message_parts parts = {.payload = stead_written(&value)};
    struct stead_message *message = stead_message_create(STEAD_ANSWER, &parts);
    stead_writer_deinit(&value);
    free(bytes);
    return message;
}

static void test_agents_of_too_many_bytes_are_cut_with_a_next_and_one_is_kept(void **state)
{
    (void)state;
    struct stead_message *parts[] = {large_page("a/1", "c/1", STEAD_QUERY_PAGE_BYTES / 4),
                                     large_page("b/1", "d/1", STEAD_QUERY_PAGE_BYTES / 4)};
    struct stead_message *larger[] = {large_page("a/1", "c/1", STEAD_QUERY_PAGE_BYTES + 1)};

    assert_string_equal(merged(parts, 2, 10), "a/1 b/1 c/1 | c/1");
    assert_string_equal(merged(larger, 1, 10), "a/1 | a/1");
}

static void test_stats_of_a_fresh_host_are_a_well_formed_map(void **state)
{
    (void)state;
    struct stead_stats *stats = calloc(1, sizeof *stats);
    struct stead_writer value;
    struct stead_slice counters;
    uint64_t turns = 0;

    assert_non_null(stats);
    stats->turns = 17;
    stead_writer_init(&value);
    stead_write_map(&value, 3);
    stead_queries_write_host(stats, &value);
    assert_int_equal(stead_value_check(stead_written(&value)), 0);
    assert_int_equal(stead_get_value(stead_written(&value), "counters", &counters), 0);
    assert_int_equal(stead_get_u64(counters, "turns", &turns), 0);
    assert_int_equal(turns, 17);
    stead_writer_deinit(&value);
    free(stats);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agents_whole_pages_are_sorted_into_one),
        cmocka_unit_test(test_agents_behind_the_smallest_next_wait_for_the_next_page),
        cmocka_unit_test(test_agents_of_a_part_that_found_nothing_yet_wait_for_it),
        cmocka_unit_test(test_agents_over_the_limit_are_cut_with_a_next),
        cmocka_unit_test(test_agents_exactly_at_the_limit_has_no_next),
        cmocka_unit_test(test_agents_of_too_many_bytes_are_cut_with_a_next_and_one_is_kept),
        cmocka_unit_test(test_stats_of_a_fresh_host_are_a_well_formed_map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
