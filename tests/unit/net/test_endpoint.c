/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints: their form, and what counts as loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/endpoint.h"

static bool is_loopback(const char *text)
{
    struct stead_endpoint e;
    assert_int_equal(stead_endpoint_parse(text, &e), 0);
    return e.loopback;
}

static void test_parse_well_formed_gives_host_and_port(void **state)
{
    (void)state;
    struct stead_endpoint e;
    assert_int_equal(stead_endpoint_parse("tcp://127.0.0.1:7400", &e), 0);
    assert_string_equal(e.host, "127.0.0.1");
    assert_int_equal(e.port, 7400);
    assert_false(e.ipv6);
    assert_int_equal(stead_endpoint_parse("tcp://[::1]:65535", &e), 0);
    assert_string_equal(e.host, "[::1]");
    assert_true(e.ipv6);
    assert_int_equal(stead_endpoint_parse("tcp://localhost:0", &e), 0);
    assert_string_equal(e.host, "127.0.0.1");
}

static void test_loopback_is_recognised_in_numbers_only(void **state)
{
    (void)state;
    assert_true(is_loopback("tcp://127.0.0.1:1"));
    assert_true(is_loopback("tcp://127.255.0.9:1"));
    assert_true(is_loopback("tcp://[::1]:1"));
    assert_true(is_loopback("tcp://localhost:1"));
    assert_false(is_loopback("tcp://*:1"));
    assert_false(is_loopback("tcp://0.0.0.0:1"));
    assert_false(is_loopback("tcp://128.0.0.1:1"));
    assert_false(is_loopback("tcp://127.0.0:1"));
    assert_false(is_loopback("tcp://127.0.0.1.1:1"));
    assert_false(is_loopback("tcp://127.0.0.256:1"));
    assert_false(is_loopback("tcp://127.0.0.1.example.org:1"));
    assert_false(is_loopback("tcp://localhost.example.org:1"));
    assert_false(is_loopback("tcp://[::]:1"));
}

static void test_parse_malformed_is_a_bad_argument(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "127.0.0.1:7400",
                                      "ipc:///tmp/x",
                                      "inproc://x",
                                      "tcp://127.0.0.1",
                                      "tcp://127.0.0.1:",
                                      "tcp://127.0.0.1:x",
                                      "tcp://127.0.0.1:1x",
                                      "tcp://127.0.0.1:65536",
                                      "tcp://127.0.0.1:-1",
                                      "tcp://127.0.0.1:9999999999999999999999",
                                      "tcp://:7400",
                                      "tcp://a b:1",
                                      "tcp://::1:1",
                                      "tcp://[]:1",
                                      "tcp://[::1:1"};
    struct stead_endpoint e;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(stead_endpoint_parse(bad[i], &e), STEAD_EARGUMENT);
    char large[STEAD_ENDPOINT_MAX + 20];
    memset(large, 'a', sizeof large);
    memcpy(large, "tcp://", 6);
    memcpy(large + sizeof large - 3, ":1", 3);
    assert_int_equal(stead_endpoint_parse(large, &e), STEAD_EARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_well_formed_gives_host_and_port),
        cmocka_unit_test(test_loopback_is_recognised_in_numbers_only),
        cmocka_unit_test(test_parse_malformed_is_a_bad_argument),
    };
    return cmocka_run_group_tests_name("endpoint", tests, NULL, NULL);
}
