/* SPDX-License-Identifier: Apache-2.0 */
/* The table: built, encoded, decoded, refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/address.h"
#include "runtime/base.h"
#include "runtime/table_builder.h"

static const char *const labels_gpu[] = {"gpu", "ssd"};
static const char *const endpoints_two[] = {"tcp://127.0.0.1:7400", "tcp://127.0.0.1:7401"};
static const char *const endpoints_one[] = {"tcp://127.0.0.1:7410"};

static struct stead_table_node node_one(void)
{
    return (struct stead_table_node){.id = 1,
                                     .incarnation = 3,
                                     .name = "n1",
                                     .alive = true,
                                     .label_count = 2,
                                     .labels = labels_gpu,
                                     .reactor_count = 2,
                                     .endpoints = endpoints_two};
}

static struct stead_table_node node_two(void)
{
    return (struct stead_table_node){
        .id = 2, .incarnation = 1, .name = "n2", .reactor_count = 1, .endpoints = endpoints_one};
}

static struct stead_table_builder *small_builder(void)
{
    struct stead_table_builder *builder = stead_table_builder_create(NULL);
    struct stead_table_node one = node_one(), two = node_two();
    struct stead_table_shard a = {.id = 1, .epoch = 7, .node = 1, .incarnation = 3, .reactor = 1, .group = 0};
    struct stead_table_shard b = {.id = 2, .epoch = 4, .node = 2, .incarnation = 1, .reactor = 0, .group = 0};
    struct stead_table_shard c = {.id = 3, .epoch = 1, .node = 0, .incarnation = 0, .reactor = 0, .group = 1};
    struct stead_table_kind counter = {.name = "counter", .group = 0, .durability = STEAD_DURABLE};
    struct stead_table_kind train = {.name = "train", .group = 1, .durability = STEAD_STATELESS, .needs = "gpu"};
    struct stead_id cluster = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

    stead_table_builder_set_cluster(builder, cluster);
    stead_table_builder_set_formed(builder, true, 2);
    assert_int_equal(stead_table_builder_put_node(builder, &two), 0);
    assert_int_equal(stead_table_builder_put_node(builder, &one), 0);
    assert_int_equal(stead_table_builder_set_needs(builder, 1, "gpu"), 0);
    assert_int_equal(stead_table_builder_put_shard(builder, &b), 0);
    assert_int_equal(stead_table_builder_put_shard(builder, &c), 0);
    assert_int_equal(stead_table_builder_put_slots(builder, (stead_slot){2048}, 2048, 2), 0);
    assert_int_equal(stead_table_builder_put_slots(builder, (stead_slot){4096}, 4096, 3), 0);
    /* In front of the others: the slots that are handed out already must not change hands. */
    assert_int_equal(stead_table_builder_put_shard(builder, &a), 0);
    assert_int_equal(stead_table_builder_put_slots(builder, (stead_slot){0}, 2048, 1), 0);
    assert_int_equal(stead_table_builder_put_kind(builder, &train), 0);
    assert_int_equal(stead_table_builder_put_kind(builder, &counter), 0);
    return builder;
}

static struct stead_table *small_table(void)
{
    struct stead_table_builder *builder = small_builder();
    struct stead_table *table = stead_table_builder_build(builder, 42);

    stead_table_builder_destroy(&builder);
    return table;
}

static void assert_small(const struct stead_table *table)
{
    const struct stead_table_kind *train = stead_table_kind_find(table, "train", 5);

    assert_int_equal(table->version, 42);
    assert_true(table->formed);
    assert_int_equal(table->nodes_expected, 2);
    assert_int_equal(table->cluster.v[15], 16);
    assert_int_equal(table->node_count, 2);
    assert_string_equal(stead_table_node_find(table, 1)->endpoints[1], "tcp://127.0.0.1:7401");
    assert_int_equal(stead_table_node_find(table, 1)->incarnation, 3);
    assert_true(stead_table_node_find(table, 1)->alive);
    assert_false(stead_table_node_find(table, 2)->alive);
    assert_true(stead_table_node_has(stead_table_node_find(table, 1), "ssd"));
    assert_false(stead_table_node_has(stead_table_node_find(table, 2), "ssd"));
    assert_null(stead_table_node_find(table, 3));
    assert_int_equal(table->shard_count, 3);
    assert_int_equal(stead_table_shard_of(table, (stead_slot){0})->id, 1);
    assert_int_equal(stead_table_shard_of(table, (stead_slot){2047})->epoch, 7);
    assert_int_equal(stead_table_shard_of(table, (stead_slot){2048})->id, 2);
    assert_int_equal(stead_table_shard_of(table, (stead_slot){8191})->id, 3);
    assert_null(stead_table_shard_of(table, (stead_slot){8192}));
    assert_null(stead_table_shard_of(table, (stead_slot){65535}));
    assert_int_equal(stead_table_shard_find(table, 2)->node, 2);
    assert_null(stead_table_shard_find(table, 4));
    assert_non_null(train);
    assert_int_equal(train->group, 1);
    assert_string_equal(train->needs, "gpu");
    assert_null(stead_table_kind_find(table, "counter", 7)->needs);
    assert_null(stead_table_kind_find(table, "count", 5));
    assert_null(stead_table_kind_find(table, "counters", 8));
    assert_string_equal(table->group_needs[1], "gpu");
    assert_null(table->group_needs[0]);
}

static void test_table_built_holds_what_was_put(void **state)
{
    struct stead_table *table = small_table(), *second;

    (void)state;
    assert_small(table);
    second = stead_table_hold(table);
    stead_table_release(&table);
    assert_null(table);
    assert_small(second);
    stead_table_release(&second);
    stead_table_release(&second); /* NULL is fine */
}

static void test_table_builder_from_table_goes_on_from_it(void **state)
{
    struct stead_table *table = small_table(), *next;
    struct stead_table_builder *builder = stead_table_builder_create(table);
    struct stead_table_shard shard = *stead_table_shard_find(table, 2);

    (void)state;
    shard.epoch++;
    shard.node = 1;
    assert_int_equal(stead_table_builder_put_shard(builder, &shard), 0);
    next = stead_table_builder_build(builder, 43);
    stead_table_builder_destroy(&builder);
    assert_int_equal(stead_table_shard_of(next, (stead_slot){3000})->node, 1);
    assert_int_equal(stead_table_shard_of(table, (stead_slot){3000})->node, 2); /* the old one never changes */
    stead_table_release(&table);
    stead_table_release(&next);
}

static void test_table_encoded_decodes_to_the_same(void **state)
{
    struct stead_table *table = small_table(), *copy = NULL;
    struct stead_writer first, second;

    (void)state;
    stead_writer_init(&first);
    stead_writer_init(&second);
    stead_table_encode(table, &first);
    assert_true(first.size < 400); /* runs, not slots */
    assert_int_equal(stead_table_decode(stead_written(&first), &copy), 0);
    assert_small(copy);
    stead_table_encode(copy, &second);
    assert_true(stead_slice_equal(stead_written(&first), stead_written(&second)));
    stead_writer_deinit(&first);
    stead_writer_deinit(&second);
    stead_table_release(&table);
    stead_table_release(&copy);
}

/* The bytes of FORMATS: they are read by other versions and other languages. tests/unit/python reads the same ones. */
static void test_table_encoded_is_byte_for_byte_as_documented(void **state)
{
    static const char golden[] = "8aa17601a776657273696f6e2aa7636c7573746572c4100102030405060708090a0b0c0d0e0f10a6666f7"
                                 "26d6564c3a86578706563746564"
                                 "02a56e6f646573929601"
                                 "03a26e31c392a3677075a373736492b47463703a2f2f3132372e302e302e313a37343030b47463703a2f2"
                                 "f3132372e302e302e313a373430"
                                 "31960201a26e32c29091b47463703a2f2f3132372e302e302e313a37343130a6736861726473939601070"
                                 "103010096020402010000960301"
                                 "00000001a56b696e64739294a7636f756e7465720000c094a5747261696e0102a3677075a667726f75707"
                                 "3dc0010c0a3677075c0c0c0c0c0"
                                 "c0c0c0c0c0c0c0c0c0a5736c6f74739492cd08000192cd08000292cd10000392cde00000";
    struct stead_table *table = small_table();
    struct stead_writer writer;
    char hex[2048];

    (void)state;
    stead_writer_init(&writer);
    stead_table_encode(table, &writer);
    assert_true(writer.size * 2 < sizeof(hex));
    stead_hex(hex, writer.data, writer.size);
    assert_string_equal(hex, golden);
    stead_writer_deinit(&writer);
    stead_table_release(&table);
}

static void test_table_truncated_anywhere_is_refused(void **state)
{
    struct stead_table *table = small_table(), *copy = NULL;
    struct stead_writer writer;

    (void)state;
    stead_writer_init(&writer);
    stead_table_encode(table, &writer);
    for (size_t size = 0; size < writer.size; size++)
        assert_int_equal(stead_table_decode(stead_bytes(writer.data, size), &copy), STEAD_ECORRUPT);
    assert_null(copy);
    stead_writer_deinit(&writer);
    stead_table_release(&table);
}

/* Whatever is not refused is whole: it can be built on and encoded again. */
static void test_table_with_any_byte_changed_is_refused_or_whole(void **state)
{
    struct stead_table *table = small_table();
    struct stead_writer writer;
    uint8_t bytes[2048];

    (void)state;
    stead_writer_init(&writer);
    stead_table_encode(table, &writer);
    for (size_t at = 0; at < writer.size; at++) {
        for (unsigned change = 1; change < 256; change += 13) {
            struct stead_table *copy = NULL;
            struct stead_table_builder *builder;

            memcpy(bytes, writer.data, writer.size);
            bytes[at] = (uint8_t)(bytes[at] ^ change);
            if (stead_table_decode(stead_bytes(bytes, writer.size), &copy) != 0) {
                assert_null(copy);
                continue;
            }
            builder = stead_table_builder_create(copy);
            stead_table_builder_destroy(&builder);
            stead_table_release(&copy);
        }
    }
    stead_writer_deinit(&writer);
    stead_table_release(&table);
}

static void put_list(struct stead_writer *writer, const uint64_t *numbers, uint32_t count, uint32_t width)
{
    stead_write_array(writer, count / width);
    for (uint32_t i = 0; i < count; i++) {
        if (i % width == 0)
            stead_write_array(writer, width);
        stead_write_u64(writer, numbers[i]);
    }
}

static int decode_numbers(const uint64_t *shards, uint32_t shard_numbers, const uint64_t *slots, uint32_t slot_numbers)
{
    struct stead_writer writer, shard_list, slot_list;
    struct stead_table *table = NULL;
    uint8_t cluster[16] = {1};
    int code;

    stead_writer_init(&writer);
    stead_writer_init(&shard_list);
    stead_writer_init(&slot_list);
    put_list(&shard_list, shards, shard_numbers, 6);
    put_list(&slot_list, slots, slot_numbers, 2);
    stead_pack(&writer, "{s:d,s:d,s:B,s:b,s:d,s:[[d,d,s,b,[],[s]]],s:v,s:[],s:[n,n,n,n,n,n,n,n,n,n,n,n,n,n,n,n],s:v}",
               "v", 1, "version", 1, "cluster", stead_bytes(cluster, sizeof(cluster)), "formed", 1, "expected", 1,
               "nodes", 1, 1, "n1", 1, "tcp://127.0.0.1:1", "shards", stead_written(&shard_list), "kinds", "groups",
               "slots", stead_written(&slot_list));
    code = stead_table_decode(stead_written(&writer), &table);
    stead_table_release(&table);
    stead_writer_deinit(&writer);
    stead_writer_deinit(&shard_list);
    stead_writer_deinit(&slot_list);
    return code;
}

#define COUNT(array) ((uint32_t)(sizeof(array) / sizeof((array)[0])))

static void test_table_with_slots_that_do_not_add_up_is_refused(void **state)
{
    static const uint64_t shard[] = {5, 1, 1, 1, 0, 0};
    static const uint64_t good[] = {4096, 5, 61440, 0};
    static const uint64_t few[] = {4096, 5, 61439, 0}, many[] = {4096, 5, 61441, 0}, none[] = {0, 5, 65536, 0};
    static const uint64_t stranger[] = {4096, 6, 61440, 0}, other_group[] = {4097, 5, 61439, 0};

    (void)state;
    assert_int_equal(decode_numbers(shard, 6, good, COUNT(good)), 0);
    assert_int_equal(decode_numbers(shard, 6, few, COUNT(few)), STEAD_ECORRUPT);
    assert_int_equal(decode_numbers(shard, 6, many, COUNT(many)), STEAD_ECORRUPT);
    assert_int_equal(decode_numbers(shard, 6, none, COUNT(none)), STEAD_ECORRUPT);
    assert_int_equal(decode_numbers(shard, 6, stranger, COUNT(stranger)), STEAD_ECORRUPT);
    assert_int_equal(decode_numbers(shard, 6, other_group, COUNT(other_group)), STEAD_ECORRUPT);
    assert_int_equal(decode_numbers(shard, 6, NULL, 0), STEAD_ECORRUPT);
}

static void test_table_with_a_bad_shard_is_refused(void **state)
{
    static const uint64_t slots[] = {65536, 0};
    static const uint64_t twice[] = {5, 1, 1, 1, 0, 0, 5, 1, 1, 1, 0, 0},
                          falling[] = {5, 1, 1, 1, 0, 0, 4, 1, 1, 1, 0, 0};
    static const uint64_t zero[] = {0, 1, 1, 1, 0, 0}, no_node[] = {5, 1, 9, 1, 0, 0}, group[] = {5, 1, 1, 1, 0, 15};
    static const uint64_t reactor[] = {5, 1, 1, 1, 64, 0}, wide[] = {1ull << 32, 1, 1, 1, 0, 0};

    (void)state;
    assert_int_equal(decode_numbers(twice, 12, slots, 2), STEAD_ECORRUPT);
    assert_int_equal(decode_numbers(falling, 12, slots, 2), STEAD_ECORRUPT);
    assert_int_equal(decode_numbers(zero, 6, slots, 2), STEAD_ECORRUPT);
    assert_int_equal(decode_numbers(no_node, 6, slots, 2), STEAD_ECORRUPT);
    assert_int_equal(decode_numbers(group, 6, slots, 2), STEAD_ECORRUPT);
    assert_int_equal(decode_numbers(reactor, 6, slots, 2), STEAD_ECORRUPT);
    assert_int_equal(decode_numbers(wide, 6, slots, 2), STEAD_ECORRUPT);
}

static void test_table_that_is_something_else_is_refused(void **state)
{
    static const uint8_t bomb[] = {0xdd, 0x10, 0, 0, 0, 1}, nil[] = {0xc0}, map[] = {0x80};
    struct stead_table *table = NULL;

    (void)state;
    assert_int_equal(stead_table_decode(stead_bytes(NULL, 0), &table), STEAD_ECORRUPT);
    assert_int_equal(stead_table_decode(stead_bytes(bomb, sizeof(bomb)), &table), STEAD_ECORRUPT);
    assert_int_equal(stead_table_decode(stead_bytes(nil, sizeof(nil)), &table), STEAD_ECORRUPT);
    assert_int_equal(stead_table_decode(stead_bytes(map, sizeof(map)), &table), STEAD_ECORRUPT);
    assert_null(table);
}

static void test_builder_given_what_no_table_holds_refuses(void **state)
{
    static const char *const twice[] = {"gpu", "gpu"}, *const spaced[] = {"a b"};
    struct stead_table_builder *builder = small_builder();
    struct stead_table_node node = node_one();
    struct stead_table_shard shard = {.id = 9, .node = 7};
    struct stead_table_kind kind = {.name = "Bad"};

    (void)state;
    node.id = 0;
    assert_int_equal(stead_table_builder_put_node(builder, &node), STEAD_EARGUMENT);
    node.id = 3; /* the name is another node's */
    assert_int_equal(stead_table_builder_put_node(builder, &node), STEAD_EARGUMENT);
    strcpy(node.name, "n3");
    node.labels = twice;
    assert_int_equal(stead_table_builder_put_node(builder, &node), STEAD_EARGUMENT);
    node.labels = spaced;
    node.label_count = 1;
    assert_int_equal(stead_table_builder_put_node(builder, &node), STEAD_EARGUMENT);
    assert_int_equal(stead_table_builder_put_shard(builder, &shard), STEAD_ENOTFOUND);
    shard.node = 0;
    shard.group = 15;
    assert_int_equal(stead_table_builder_put_shard(builder, &shard), STEAD_EARGUMENT);
    assert_int_equal(stead_table_builder_put_kind(builder, &kind), STEAD_EARGUMENT);
    assert_int_equal(stead_table_builder_set_needs(builder, 0, "gpu"), STEAD_EARGUMENT);
    assert_int_equal(stead_table_builder_set_needs(builder, 15, "gpu"), STEAD_EARGUMENT);
    assert_int_equal(stead_table_builder_put_slots(builder, (stead_slot){0}, 1, 9), STEAD_ENOTFOUND);
    assert_int_equal(stead_table_builder_put_slots(builder, (stead_slot){4095}, 2, 1), STEAD_EARGUMENT);
    assert_int_equal(stead_table_builder_put_slots(builder, (stead_slot){65535}, 2, 0), STEAD_EARGUMENT);
    stead_table_builder_destroy(&builder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_built_holds_what_was_put),
        cmocka_unit_test(test_table_builder_from_table_goes_on_from_it),
        cmocka_unit_test(test_table_encoded_decodes_to_the_same),
        cmocka_unit_test(test_table_encoded_is_byte_for_byte_as_documented),
        cmocka_unit_test(test_table_truncated_anywhere_is_refused),
        cmocka_unit_test(test_table_with_any_byte_changed_is_refused_or_whole),
        cmocka_unit_test(test_table_with_slots_that_do_not_add_up_is_refused),
        cmocka_unit_test(test_table_with_a_bad_shard_is_refused),
        cmocka_unit_test(test_table_that_is_something_else_is_refused),
        cmocka_unit_test(test_builder_given_what_no_table_holds_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
