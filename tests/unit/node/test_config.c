/* SPDX-License-Identifier: Apache-2.0 */
/* config: what is refused, with which words, and what is chosen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/config.h"

static struct stead_node_config good(void)
{
    struct stead_node_config config;

    stead_config_default(&config);
    config.folder = "data";
    return config;
}

static void assert_refused(struct stead_node_config config, const char *words)
{
    char why[STEAD_CONFIG_WHY_SIZE] = "";

    assert_int_equal(stead_config_check(&config, why), STEAD_EARGUMENT);
    if (!strstr(why, words))
        fail_msg("\"%s\" does not say \"%s\"", why, words);
}

static void test_config_defaults_with_a_folder_are_accepted_and_completed(void **state)
{
    (void)state;
    struct stead_node_config config = good();
    char why[STEAD_CONFIG_WHY_SIZE];

    assert_int_equal(stead_config_check(&config, why), 0);
    assert_in_range(config.reactors, 1, STEAD_CONFIG_REACTORS_DEFAULT_MAX);
    assert_int_equal(config.settings.memory_bytes_max, config.memory_bytes / 16 * 10 / config.reactors);
    assert_true(config.settings.memory_bytes_max * config.reactors + config.cache_bytes + 2 * config.memtable_bytes +
                    config.writer_bytes_max <
                config.memory_bytes);
    assert_int_equal(config.queue_bytes_max, 64u << 20);
    config = good();
    config.memory_bytes = 64u << 20;
    assert_int_equal(stead_config_check(&config, why), 0);
    assert_int_equal(config.queue_bytes_max, 8u << 20);
}

static void test_config_without_folder_or_with_bad_names_is_refused(void **state)
{
    (void)state;
    static const char *const labels[] = {"gpu", "has space"};
    struct stead_node_config config = good();

    config.folder = "";
    assert_refused(config, "data folder");
    config = good();
    config.name = "a/b";
    assert_refused(config, "name");
    config = good();
    config.labels = labels;
    config.label_count = 2;
    assert_refused(config, "label 2");
}

static void test_config_beyond_loopback_needs_the_option_that_says_so(void **state)
{
    (void)state;
    static const char *const far[] = {"tcp://0.0.0.0:7400", "tcp://192.168.1.4:7400",
                                      "tcp://127.0.0.1.example.org:7400", "tcp://*:7400"};
    struct stead_node_config config = good();
    char why[STEAD_CONFIG_WHY_SIZE];

    for (size_t i = 0; i < sizeof far / sizeof far[0]; i++) {
        config.listen = far[i];
        assert_refused(config, "--insecure-listen-anywhere");
        config.insecure_listen_anywhere = true;
        assert_int_equal(stead_config_check(&config, why), 0);
        config.insecure_listen_anywhere = false;
    }
    assert_true(stead_config_is_loopback("tcp://localhost:1"));
    assert_true(stead_config_is_loopback("tcp://[::1]:1"));
    assert_true(stead_config_is_loopback("tcp://127.1.2.3:1"));
}

static void test_config_endpoint_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"127.0.0.1:7400",        "tcp://127.0.0.1",    "tcp://:7400",  "tcp://127.0.0.1:",
                                      "tcp://127.0.0.1:65536", "tcp://127.0.0.1:-1", "ipc://socket", ""};
    struct stead_node_config config = good();

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        config.listen = bad[i];
        assert_refused(config, "tcp://127.0.0.1:7400");
    }
    config = good();
    config.coordinator = "nowhere";
    assert_refused(config, "coordinator");
}

static void test_config_reactors_each_get_a_port(void **state)
{
    (void)state;
    struct stead_node_config config = good();
    char endpoint[STEAD_CONFIG_ENDPOINT_MAX + 1];

    config.reactors = 3;
    stead_config_endpoint(&config, 2, endpoint);
    assert_string_equal(endpoint, "tcp://127.0.0.1:7402");
    config.listen = "tcp://127.0.0.1:0";
    stead_config_endpoint(&config, 2, endpoint);
    assert_string_equal(endpoint, "tcp://127.0.0.1:0");
    config.listen = "tcp://127.0.0.1:65534";
    assert_refused(config, "65535");
}

static void test_config_numbers_at_their_edges_are_checked(void **state)
{
    (void)state;
    struct stead_node_config config = good();

    config.reactors = STEAD_REACTORS_MAX + 1;
    assert_refused(config, "reactors must be 1 to 64, not 65");
    config = good();
    config.shards_per_reactor = 0;
    assert_refused(config, "shards per reactor");
    config = good();
    config.memory_bytes = STEAD_CONFIG_MEMORY_MIN - 1;
    assert_refused(config, "memory");
    config = good();
    config.job_threads = STEAD_CONFIG_JOB_THREADS_MAX + 1;
    assert_refused(config, "job threads");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_defaults_with_a_folder_are_accepted_and_completed),
        cmocka_unit_test(test_config_without_folder_or_with_bad_names_is_refused),
        cmocka_unit_test(test_config_beyond_loopback_needs_the_option_that_says_so),
        cmocka_unit_test(test_config_endpoint_that_is_none_is_refused),
        cmocka_unit_test(test_config_reactors_each_get_a_port),
        cmocka_unit_test(test_config_numbers_at_their_edges_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
