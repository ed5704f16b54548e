/* SPDX-License-Identifier: Apache-2.0 */
/* Ids, names, hashes, statuses, and the map that tells of an instance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agents/hash.h"
#include "agents/instance.h"
#include "runtime/address.h"

static void test_status_names_are_those_of_the_field(void **state)
{
    static const char *const names[] = {"Running",  "Completed",  "ContinuedAsNew", "Failed",
                                        "Canceled", "Terminated", "Pending",        "Suspended"};
    enum stead_instance_status status;

    (void)state;
    for (size_t i = 0; i < 8; i++) {
        assert_string_equal(stead_instance_status_name((enum stead_instance_status)i), names[i]);
        assert_int_equal(stead_instance_status_find(stead_str(names[i]), &status), 0);
        assert_int_equal(status, i);
        bool over = i == 1 || (i >= 3 && i <= 5);
        assert_int_equal(stead_instance_is_over((enum stead_instance_status)i), over);
    }
    assert_string_equal(stead_instance_status_name((enum stead_instance_status)8), "");
    assert_int_equal(stead_instance_status_find(stead_str("running"), &status), STEAD_ENOTFOUND);
}

static void test_id_is_checked_at_its_edges(void **state)
{
    static const char *const bad[] = {"",     "@a",    "a/b",       "a\\b",     "a#b",      "a?b",
                                      "a\nb", "a\x7f", "a\xc2\x80", "\xc2\x85", "\xc2\x9fz"};
    static const char *const good[] = {"a", "a@b", "0", "order 17: {a}!", "\xc3\xa9", "\xc2\xa0", "\xc3\x85"};
    char longest[STEAD_INSTANCE_ID_MAX + 1];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(stead_instance_id_check(stead_str(bad[i])), STEAD_EARGUMENT);
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        assert_int_equal(stead_instance_id_check(stead_str(good[i])), 0);
    memset(longest, 'x', sizeof(longest));
    assert_int_equal(stead_instance_id_check(stead_bytes(longest, STEAD_INSTANCE_ID_MAX)), 0);
    assert_int_equal(stead_instance_id_check(stead_bytes(longest, STEAD_INSTANCE_ID_MAX + 1)), STEAD_EARGUMENT);
}

/* Is it an id where it is a key? Each byte that the two look at, at each place; the others at their edges. */
static void test_id_is_what_a_key_may_be(void **state)
{
    static const uint8_t edges[] = {0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff};
    char address[] = "orchestration/1234";
    uint8_t *key = (uint8_t *)strchr(address, '/') + 1;
    size_t kind_size = 0;

    (void)state;
    for (unsigned first = 0x80; first < 0x100; first++) {
        for (unsigned second = 0; second < 0x100; second++) {
            for (size_t at = 0; at < sizeof(edges) * sizeof(edges); at++) {
                const uint8_t bytes[] = {(uint8_t)first, (uint8_t)second, edges[at % sizeof(edges)],
                                         edges[at / sizeof(edges)]};
                if (strchr("/\\#?", (int)second) != NULL)
                    continue;
                for (size_t size = 1; size <= 4; size++) {
                    memcpy(key, bytes, 4);
                    bool is_key = stead_address_check(stead_bytes(address, (size_t)(key - (uint8_t *)address) + size),
                                                      &kind_size) == 0;
                    assert_int_equal(stead_instance_id_check(stead_bytes(key, size)) == 0, is_key);
                }
            }
        }
    }
}

static void test_map_of_an_instance_is_read(void **state)
{
    struct stead_writer map;
    struct stead_instance it;
    int64_t number = 0;

    (void)state;
    stead_writer_init(&map);
    stead_pack(&map, "{s:s,s:s,s:u,s:u,s:s,s:l,s:l,s:u,s:s,s:l,s:l,s:s,s:s,s:s}", "id", "i1", "name", "trip", "version",
               (uint64_t)3, "execution", (uint64_t)2, "status", "Failed", "created", (int64_t)1000, "updated",
               (int64_t)2000, "events", (uint64_t)17, "parent", "p1", "input", (int64_t)5, "output", (int64_t)6,
               "custom", "half way", "error_name", "no_seat", "error_sentence", "all is full");
    assert_int_equal(stead_instance_read(stead_written(&map), &it), 0);
    assert_string_equal(it.id, "i1");
    assert_string_equal(it.name, "trip");
    assert_string_equal(it.parent, "p1");
    assert_int_equal(it.version, 3);
    assert_int_equal(it.execution, 2);
    assert_int_equal(it.status, STEAD_INSTANCE_FAILED);
    assert_int_equal(it.created_ms, 1000);
    assert_int_equal(it.updated_ms, 2000);
    assert_int_equal(it.events, 17);
    assert_int_equal(stead_get_i64(it.input, NULL, &number), 0);
    assert_int_equal(number, 5);
    assert_int_equal(stead_get_i64(it.output, NULL, &number), 0);
    assert_int_equal(number, 6);
    assert_int_equal(it.custom_status.size, 9);
    assert_string_equal(it.error_name, "no_seat");
    assert_string_equal(it.error_sentence, "all is full");
    stead_writer_deinit(&map);
}

static void test_map_with_little_in_it_reads_as_nothing(void **state)
{
    struct stead_writer map;
    struct stead_instance it;

    (void)state;
    stead_writer_init(&map);
    stead_pack(&map, "{s:s,s:u,s:n,s:n}", "id", "i1", "status", (uint64_t)STEAD_INSTANCE_SUSPENDED, "output", "parent");
    assert_int_equal(stead_instance_read(stead_written(&map), &it), 0);
    assert_int_equal(it.status, STEAD_INSTANCE_SUSPENDED);
    assert_string_equal(it.parent, "");
    assert_string_equal(it.error_name, "");
    assert_int_equal(it.custom_status.size, 0);
    stead_writer_deinit(&map);
}

static void test_long_texts_are_cut(void **state)
{
    char text[2000];
    struct stead_writer map;
    struct stead_instance it;

    (void)state;
    memset(text, 'e', sizeof(text));
    struct stead_slice longer = stead_bytes(text, sizeof(text));
    stead_writer_init(&map);
    stead_pack(&map, "{s:S,s:S,s:S,s:S,s:S,s:u}", "id", longer, "name", longer, "parent", longer, "error_name", longer,
               "error_sentence", longer, "status", (uint64_t)0);
    assert_int_equal(stead_instance_read(stead_written(&map), &it), 0);
    assert_int_equal(strlen(it.id), STEAD_INSTANCE_ID_MAX);
    assert_int_equal(strlen(it.name), STEAD_KIND_NAME_MAX);
    assert_int_equal(strlen(it.parent), STEAD_INSTANCE_ID_MAX);
    assert_int_equal(strlen(it.error_name), STEAD_INSTANCE_ERROR_NAME_MAX);
    assert_int_equal(strlen(it.error_sentence), STEAD_INSTANCE_ERROR_SENTENCE_MAX);
    stead_writer_deinit(&map);
}

static void test_what_tells_of_no_instance_is_corrupt(void **state)
{
    struct stead_writer map;
    struct stead_instance it = {.version = 7};

    (void)state;
    static const char *const formats[] = {"n", "[]", "{}", "{s:s}"};
    for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
        stead_writer_init(&map);
        stead_pack(&map, formats[i], "id", "i1");
        assert_int_equal(stead_instance_read(stead_written(&map), &it), STEAD_ECORRUPT);
        stead_writer_deinit(&map);
    }
    stead_writer_init(&map);
    stead_pack(&map, "{s:s,s:u}", "id", "i1", "status", (uint64_t)8);
    assert_int_equal(stead_instance_read(stead_written(&map), &it), STEAD_ECORRUPT);
    stead_writer_reset(&map);
    stead_pack(&map, "{s:s,s:s}", "id", "i1", "status", "Flying");
    assert_int_equal(stead_instance_read(stead_written(&map), &it), STEAD_ECORRUPT);
    stead_writer_reset(&map);
    stead_pack(&map, "{s:u}", "status", (uint64_t)0);
    assert_int_equal(stead_instance_read(stead_written(&map), &it), STEAD_ECORRUPT);
    assert_int_equal(stead_instance_read_members(stead_written(&map), &it), 0); /* a list tells the id beside it */
    stead_writer_deinit(&map);
}

static void test_kind_name_is_checked_at_its_edges(void **state)
{
    char name[65];

    (void)state;
    memset(name, 'a', sizeof(name));
    assert_true(stead_kind_name_check(stead_bytes(name, 63)));
    assert_false(stead_kind_name_check(stead_bytes(name, 64)));
    assert_false(stead_kind_name_check(stead_bytes(name, 0)));
    assert_true(stead_orchestrator_name_check("z_0.9-a"));
    assert_false(stead_orchestrator_name_check("0a"));
    assert_false(stead_orchestrator_name_check("aB"));
    assert_false(stead_orchestrator_name_check("a/b"));
    assert_false(stead_orchestrator_name_check("\xc3\xa4"));
    assert_false(stead_orchestrator_name_check(""));
    assert_false(stead_orchestrator_name_check(NULL));
}

/* What is stored follows from it: the published values of FNV-1a. */
static void test_hashes_are_what_they_always_were(void **state)
{
    (void)state;
    assert_true(stead_hash64(stead_str("")) == 0xcbf29ce484222325u);
    assert_true(stead_hash64(stead_str("a")) == 0xaf63dc4c8601ec8cu);
    assert_true(stead_hash64(stead_str("foobar")) == 0x85944171f73967e8u);
    assert_true(stead_hash32(stead_str("")) == 0x811c9dc5u);
    assert_true(stead_hash32(stead_str("a")) == 0xe40c292cu);
    assert_true(stead_hash32(stead_str("foobar")) == 0xbf9cf968u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_names_are_those_of_the_field),
        cmocka_unit_test(test_id_is_checked_at_its_edges),
        cmocka_unit_test(test_kind_name_is_checked_at_its_edges),
        cmocka_unit_test(test_hashes_are_what_they_always_were),
        cmocka_unit_test(test_id_is_what_a_key_may_be),
        cmocka_unit_test(test_map_of_an_instance_is_read),
        cmocka_unit_test(test_map_with_little_in_it_reads_as_nothing),
        cmocka_unit_test(test_long_texts_are_cut),
        cmocka_unit_test(test_what_tells_of_no_instance_is_corrupt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
