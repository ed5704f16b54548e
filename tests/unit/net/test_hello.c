/* SPDX-License-Identifier: Apache-2.0 */
/* The handshake's payloads: what is said comes back, and what is missing, wrong or of another version is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/codec.h"
#include "net/hello.h"

static const struct stead_codec_limits limits = {4096};

/* Through the codec, as on a connection. Consumed. */
static struct stead_message *travel(struct stead_message *m)
{
    uint8_t bytes[1024];
    struct stead_message *arrived;
    size_t size = stead_codec_encode(m, bytes);
    assert_int_equal(stead_codec_decode((struct stead_slice){bytes, size}, &limits, &arrived, NULL), 0);
    stead_message_destroy(&m);
    return arrived;
}

static void test_hello_of_a_node_comes_back_whole(void **state)
{
    (void)state;
    struct stead_hello said = {.is_node = true,
                               .name = "n1",
                               .node = 3,
                               .incarnation = 1ull << 40,
                               .reactor = 2,
                               .table_version = 9,
                               .cluster = {"cluster"}},
                       heard;
    struct stead_message *m = travel(stead_hello_make(&said));
    assert_int_equal(m->type, STEAD_HELLO);
    assert_int_equal(stead_hello_read(m, &heard), 0);
    assert_true(heard.is_node);
    assert_string_equal(heard.name, "n1");
    assert_int_equal(heard.node, 3);
    assert_int_equal(heard.incarnation, 1ull << 40);
    assert_int_equal(heard.reactor, 2);
    assert_int_equal(heard.table_version, 9);
    assert_true(stead_id_equal(heard.cluster, said.cluster));
    stead_message_destroy(&m);
}

static void test_welcome_comes_back_with_its_table(void **state)
{
    (void)state;
    struct stead_welcome said = {.name = "n2",
                                 .node = 2,
                                 .incarnation = 5,
                                 .reactor = 1,
                                 .cluster = {"cluster"},
                                 .table = stead_bytes("\x93\x01\x02\x03", 4)},
                         heard;
    struct stead_message *m = travel(stead_welcome_make(&said));
    assert_int_equal(stead_welcome_read(m, &heard), 0);
    assert_string_equal(heard.name, "n2");
    assert_int_equal(heard.node, 2);
    assert_int_equal(heard.incarnation, 5);
    assert_int_equal(heard.reactor, 1);
    assert_true(stead_slice_equal(heard.table, said.table));
    stead_message_destroy(&m);
}

static void test_refusal_and_demand_can_be_sent(void **state)
{
    (void)state;
    struct stead_message *m = travel(stead_hello_refuse((struct stead_id){{0}}, STEAD_EBUSY));
    assert_int_equal(m->type, STEAD_ANSWER);
    assert_int_equal(m->status, STEAD_EBUSY);
    assert_memory_equal(m->id.v, "stead-hello\0\0\0\0\0", 16);
    stead_message_destroy(&m);
    m = travel(stead_hello_demand());
    assert_int_equal(m->type, STEAD_HELLO);
    assert_int_equal(m->payload_size, 0);
    stead_message_destroy(&m);
}

/* What stead_hello_read() says of a payload in the form of stead_pack(). */
static int read_hello(const char *format, ...)
{
    struct stead_writer w;
    struct stead_hello hello;
    va_list args;
    stead_writer_init(&w);
    va_start(args, format);
    stead_pack_v(&w, format, args);
    va_end(args);
    struct stead_message *m =
        stead_message_create(STEAD_HELLO, &(struct stead_message_parts){.payload = stead_written(&w)});
    int code = stead_hello_read(m, &hello);
    stead_message_destroy(&m);
    stead_writer_deinit(&w);
    return code;
}

static void test_read_hello_needs_version_and_role_alone(void **state)
{
    (void)state;
    char long_name[100];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = 0;
    assert_int_equal(read_hello("{s:d,s:s}", "v", 1, "role", "client"), 0);
    assert_int_equal(read_hello("{s:d,s:s,s:d}", "v", 1, "role", "client", "unknown", 5), 0);
    assert_int_equal(read_hello("{s:d,s:s}", "v", 2, "role", "client"), STEAD_EVERSION);
    assert_int_equal(read_hello("{s:s}", "role", "client"), STEAD_EPROTOCOL);
    assert_int_equal(read_hello("{s:d}", "v", 1), STEAD_EPROTOCOL);
    assert_int_equal(read_hello("{s:d,s:s}", "v", 1, "role", "king"), STEAD_EPROTOCOL);
    assert_int_equal(read_hello("{s:d,s:s}", "v", 1, "role", "node"), STEAD_EPROTOCOL);
    assert_int_equal(read_hello("{s:d,s:s,s:d}", "v", 1, "role", "node", "node", -1), STEAD_EPROTOCOL);
    assert_int_equal(read_hello("{s:d,s:s,s:d}", "v", 1, "role", "client", "reactor", 64), STEAD_EPROTOCOL);
    assert_int_equal(read_hello("{s:d,s:s,s:s}", "v", 1, "role", "client", "name", long_name), STEAD_EPROTOCOL);
    assert_int_equal(read_hello("{s:d,s:s,s:B}", "v", 1, "role", "client", "cluster", stead_bytes("short", 5)),
                     STEAD_EPROTOCOL);
    assert_int_equal(read_hello("[d]", 1), STEAD_EPROTOCOL);
    assert_int_equal(read_hello("n"), STEAD_EPROTOCOL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello_of_a_node_comes_back_whole),
        cmocka_unit_test(test_welcome_comes_back_with_its_table),
        cmocka_unit_test(test_refusal_and_demand_can_be_sent),
        cmocka_unit_test(test_read_hello_needs_version_and_role_alone),
    };
    return cmocka_run_group_tests_name("hello", tests, NULL, NULL);
}
