/* SPDX-License-Identifier: Apache-2.0 */
/* zone: offsets out of real zone files equal the C library's, past, present and far future; damaged files are
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "runtime/base.h"
#include "runtime/cron.h"
#include "unit/runtime/zone_file.h"

static const char *const zones[] = {
    "Europe/Berlin",       "America/New_York", "Australia/Lord_Howe", "Pacific/Apia",
    "Africa/Casablanca",   "Europe/Dublin",    "America/Nuuk",        "Asia/Kathmandu",
    "Antarctica/Troll",    "America/Santiago", "Asia/Gaza",           "Pacific/Kiritimati",
    "America/Los_Angeles", "Antarctica/Casey", "Etc/GMT+12",          "UTC"};
#define ZONES (sizeof zones / sizeof zones[0])

static void test_zone_offset_at_any_moment_equals_the_c_library(void **state)
{
    struct stead_rng rng;
    (void)state;
    stead_rng_seed(&rng, 1);
    for (size_t i = 0; i < ZONES; i++) {
        struct zone_file file;
        zone_file_open(&file, zones[i]);
        assert_int_equal(stead_zone_check(file.bytes), 0);
        setenv("TZ", zones[i], 1);
        tzset();
        for (int n = 0; n < 3000; n++) { /* 1840 to 2160 */
            time_t at = (time_t)stead_rng_below(&rng, 320ull * 31556952) - 130LL * 31556952;
            struct tm local;
            localtime_r(&at, &local);
            if (stead_zone_offset(file.bytes, at) != local.tm_gmtoff)
                fail_msg("%s at %lld: %d, not %ld", zones[i], (long long)at, stead_zone_offset(file.bytes, at),
                         local.tm_gmtoff);
        }
        zone_file_close(&file);
    }
}

/* Between two changes the offset stays; a second before and after each is asked of the C library. */
static void test_zone_next_change_finds_every_change_of_the_offset(void **state)
{
    (void)state;
    for (size_t i = 0; i < ZONES; i++) {
        struct zone_file file;
        int64_t at = 946684800, end = 4102444800, next; /* 2000 to 2100 */
        int32_t offset;
        zone_file_open(&file, zones[i]);
        setenv("TZ", zones[i], 1);
        tzset();
        offset = stead_zone_offset(file.bytes, at);
        while (at < end) {
            if (!stead_zone_next_change(file.bytes, at, &next) || next > end)
                next = end;
            assert_true(next > at);
            for (int64_t t = at; t < next; t += 86400 * 5 + 3571) { /* nothing changes in between */
                time_t moment = (time_t)t;
                struct tm local;
                localtime_r(&moment, &local);
                assert_int_equal(local.tm_gmtoff, offset);
            }
            assert_int_equal(stead_zone_offset(file.bytes, next - 1), offset);
            offset = stead_zone_offset(file.bytes, next);
            at = next;
        }
        zone_file_close(&file);
    }
}

static void test_zone_of_no_bytes_is_utc(void **state)
{
    struct stead_slice utc = {0};
    int64_t next;
    (void)state;
    assert_int_equal(stead_zone_check(utc), 0);
    assert_int_equal(stead_zone_offset(utc, 1234567890), 0);
    assert_false(stead_zone_next_change(utc, 0, &next));
}

/* A file without times, or with two, and a rule. Returns its size. */
static size_t make_zone(uint8_t *ret_bytes, const int64_t *times, uint8_t time_count, const char *rule)
{
    uint8_t *at = ret_bytes;

    memset(ret_bytes, 0, 512);
    memcpy(at, "TZif2", 5);
    at += 44;
    memcpy(at, "TZif2", 5);
    at[35] = time_count;
    at[39] = 1; /* types: one, UTC */
    at += 44;
    for (int i = 0; i < time_count; i++, at += 8)
        stead_store64(at, __builtin_bswap64((uint64_t)times[i]));
    at += time_count + 6;
    *at++ = '\n';
    memcpy(at, rule, strlen(rule));
    at += strlen(rule);
    *at++ = '\n';
    return (size_t)(at - ret_bytes);
}

/* RFC 8536 writes "always summer time" as a rule whose summer ends at the moment the next begins. */
static void test_zone_rule_of_everlasting_summer_never_leaves_it(void **state)
{
    uint8_t bytes[512];
    struct stead_slice tzif = stead_bytes(bytes, make_zone(bytes, NULL, 0, "XXX3EDT4,0/0,J365/23"));
    (void)state;
    assert_int_equal(stead_zone_check(tzif), 0);
    for (int64_t year = 2000; year < 2030; year++) {
        int64_t change = stead_date_days(year, 1, 1) * 86400 + 3 * 3600;
        assert_int_equal(stead_zone_offset(tzif, change - 1), -4 * 3600);
        assert_int_equal(stead_zone_offset(tzif, change), -4 * 3600);
        assert_int_equal(stead_zone_offset(tzif, change + 15000000), -4 * 3600);
    }
    /* The same, told the other way round: it begins when the year ends, and ends as it begins. */
    tzif.size = make_zone(bytes, NULL, 0, "XXX3EDT4,J365/24,0/-1");
    assert_int_equal(stead_zone_offset(tzif, stead_date_days(2020, 1, 1) * 86400 + 3 * 3600), -4 * 3600);
    assert_int_equal(stead_zone_offset(tzif, stead_date_days(2020, 7, 1) * 86400), -4 * 3600);
}

static void test_zone_check_of_wrong_rules_and_unsorted_times_is_corrupt(void **state)
{
    static const char *const wrong[] = {"CE",
                                        "CET",
                                        "CET-25",
                                        "CET-1CEST",
                                        "CET-1CEST,M3.5.0",
                                        "CET-1CEST,M13.5.0,M10.5.0",
                                        "CET-1CEST,M3.6.0,M10.5.0",
                                        "CET-1CEST,M3.5.7,M10.5.0",
                                        "CET-1CEST,J0,J5",
                                        "CET-1CEST,366,J5",
                                        "CET-1CEST,M3.5.0,M10.5.0x",
                                        "<CET-1",
                                        "CET-1CEST,M3.5.0/168,J1"};
    static const int64_t rising[] = {5, 6}, equal[] = {5, 5}, falling[] = {6, 5};
    uint8_t bytes[512];
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (stead_zone_check(stead_bytes(bytes, make_zone(bytes, NULL, 0, wrong[i]))) != STEAD_ECORRUPT)
            fail_msg("the rule \"%s\" was taken", wrong[i]);
    assert_int_equal(stead_zone_check(stead_bytes(bytes, make_zone(bytes, rising, 2, "UTC0"))), 0);
    assert_int_equal(stead_zone_check(stead_bytes(bytes, make_zone(bytes, rising, 2, ""))), 0);
    assert_int_equal(stead_zone_check(stead_bytes(bytes, make_zone(bytes, equal, 2, "UTC0"))), STEAD_ECORRUPT);
    assert_int_equal(stead_zone_check(stead_bytes(bytes, make_zone(bytes, falling, 2, "UTC0"))), STEAD_ECORRUPT);
}

static void test_zone_check_of_every_truncation_is_corrupt(void **state)
{
    struct zone_file file;
    (void)state;
    zone_file_open(&file, "America/New_York");
    for (size_t size = 1; size < file.bytes.size; size++) {
        uint8_t *cut = stead_alloc(size); /* exact, so that a sanitizer sees a read past it */
        memcpy(cut, file.bytes.data, size);
        assert_int_equal(stead_zone_check(stead_bytes(cut, size)), STEAD_ECORRUPT);
        free(cut);
    }
    zone_file_close(&file);
}

/* Whatever passes the check can be asked about any moment. */
static void test_zone_of_damaged_bytes_is_refused_or_usable(void **state)
{
    struct zone_file file;
    struct stead_rng rng;
    int passed = 0;
    (void)state;
    zone_file_open(&file, "Europe/Berlin");
    stead_rng_seed(&rng, 5);
    for (int i = 0; i < 20000; i++) {
        size_t size = file.bytes.size;
        uint8_t *bytes = stead_alloc(size);
        memcpy(bytes, file.bytes.data, size);
        for (uint64_t n = stead_rng_below(&rng, 3) + 1; n > 0; n--) {
            uint64_t where = stead_rng_below(&rng, 3); /* the headers and the rule are the interesting parts */
            size_t at = where == 0   ? stead_rng_below(&rng, 44)
                        : where == 1 ? size - 1 - stead_rng_below(&rng, 30)
                                     : stead_rng_below(&rng, size);
            bytes[at] = (uint8_t)stead_rng_next(&rng);
        }
        if (stead_zone_check(stead_bytes(bytes, size)) == 0) {
            static const int64_t moments[] = {-10000000000, 0, 1700000000, 5000000000, 200000000000};
            int64_t next;
            for (size_t m = 0; m < sizeof moments / sizeof moments[0]; m++) {
                (void)stead_zone_offset(stead_bytes(bytes, size), moments[m]);
                (void)stead_zone_next_change(stead_bytes(bytes, size), moments[m], &next);
            }
            passed++;
        }
        free(bytes);
    }
    assert_true(passed > 100);
    zone_file_close(&file);
}

static void test_dates_and_days_convert_both_ways(void **state)
{
    (void)state;
    assert_int_equal(stead_date_days(1970, 1, 1), 0);
    assert_int_equal(stead_date_days(2000, 2, 29), 11016);
    assert_int_equal(stead_date_days(1969, 12, 31), -1);
    for (int64_t days = -800000; days < 800000; days++) {
        int64_t year;
        unsigned month, day;
        stead_date_of_days(days, &year, &month, &day);
        assert_true(month >= 1 && month <= 12 && day >= 1 && day <= 31);
        assert_true(stead_date_days(year, month, day) == days);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zone_offset_at_any_moment_equals_the_c_library),
        cmocka_unit_test(test_zone_next_change_finds_every_change_of_the_offset),
        cmocka_unit_test(test_zone_of_no_bytes_is_utc),
        cmocka_unit_test(test_zone_rule_of_everlasting_summer_never_leaves_it),
        cmocka_unit_test(test_zone_check_of_wrong_rules_and_unsorted_times_is_corrupt),
        cmocka_unit_test(test_zone_check_of_every_truncation_is_corrupt),
        cmocka_unit_test(test_zone_of_damaged_bytes_is_refused_or_usable),
        cmocka_unit_test(test_dates_and_days_convert_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
