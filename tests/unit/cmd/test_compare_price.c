/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The price sheet, and figures to money.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/compare.h"

/* Reads a sheet of this text. */
static int read_text(const char *text, struct stead_prices *ret_prices)
{
    char path[] = "/tmp/stead-prices-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    int code = stead_prices_read(path, ret_prices);
    unlink(path);
    return code;
}

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-12;
}

static void test_sheet_replaces_what_it_names_and_keeps_the_rest(void **state)
{
    struct stead_prices given, kept;

    (void)state;
    stead_prices_default(&kept);
    assert_int_equal(read_text("{\"currency\":\"EUR\",\"read\":2,\"cpu_hour\":0.5,\"source\":\"a shop\"}", &given), 0);
    assert_string_equal(given.currency, "EUR");
    assert_string_equal(given.source, "a shop");
    assert_true(near(given.read, 2) && near(given.cpu_hour, 0.5) && near(given.write, kept.write));
}

static void test_sheet_that_is_wrong_is_refused_and_changes_nothing(void **state)
{
    static const char *const wrong[] = {"",
                                        "[]",
                                        "{\"reed\":1}",
                                        "{\"read\":-1}",
                                        "{\"read\":\"1\"}",
                                        "{\"read\":1,\"read\":2}",
                                        "{\"currency\":\"more than seven\"}"};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct stead_prices prices = {.read = 42};
        assert_true(read_text(wrong[i], &prices) < 0);
        assert_true(near(prices.read, 42));
    }
    struct stead_prices prices;
    assert_int_equal(stead_prices_read("/nowhere/prices.json", &prices), STEAD_EIO);
}

static void test_each_member_costs_its_own_price(void **state)
{
    const struct stead_prices prices = {
        .queue_operation = 1, .read = 10, .write = 100, .gigabyte = 1000, .stored_gigabyte = 10000, .cpu_hour = 3600};
    const struct stead_storage none = {0};

    (void)state;
    assert_true(near(stead_price_of(&prices, &none, 0, 0), 0));
    struct stead_storage queues = {.enqueues = 1e6, .dequeues = 2e6, .deletes = 3e6, .renews = 4e6, .empty = 5e6};
    assert_true(near(stead_price_of(&prices, &queues, 0, 0), 15));
    struct stead_storage tables = {.reads = 1e6, .writes = 2e6, .bytes = 1e9};
    assert_true(near(stead_price_of(&prices, &tables, 0, 0), 10 + 200 + 1000));
    assert_true(near(stead_price_of(&prices, &none, 1e9, 2), 10000 + 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sheet_replaces_what_it_names_and_keeps_the_rest),
        cmocka_unit_test(test_sheet_that_is_wrong_is_refused_and_changes_nothing),
        cmocka_unit_test(test_each_member_costs_its_own_price),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
