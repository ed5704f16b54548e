/* SPDX-License-Identifier: Apache-2.0 */
/* cron: what is a schedule, and when it is due, through real changes of real clocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "runtime/base.h"
#include "runtime/cron.h"
#include "unit/runtime/zone_file.h"

static struct stead_cron_schedule parsed(const char *text)
{
    struct stead_cron_schedule schedule;
    if (stead_cron_parse(text, &schedule) != 0)
        fail_msg("\"%s\" was refused", text);
    return schedule;
}

/* ---- Parsing -------------------------------------------------------------------------------- */

static void test_parse_of_lists_ranges_steps_and_names_sets_the_bits(void **state)
{
    struct stead_cron_schedule it = parsed("0,15,30-32 */6 1-31/10 jan,Mar-MAY mon-fri");
    (void)state;
    assert_true(it.minutes == (1ull | 1ull << 15 | 7ull << 30));
    assert_true(it.hours == (1u | 1u << 6 | 1u << 12 | 1u << 18));
    assert_true(it.days == (1u << 1 | 1u << 11 | 1u << 21 | 1u << 31));
    assert_true(it.months == (1u << 1 | 7u << 3));
    assert_true(it.weekdays == 0x3e);
    assert_false(it.days_any || it.weekdays_any);
    it = parsed("  5/20\t* *  * * ");
    assert_true(it.minutes == (1ull << 5 | 1ull << 25 | 1ull << 45));
    assert_true(it.weekdays == 0x7f && it.days_any && it.weekdays_any);
    assert_true(parsed("0 0 * * 7").weekdays == 1);
    assert_true(parsed("0 0 * * 5-7").weekdays == 0x61);
    assert_true(parsed("0 0 * * fri-sun").weekdays == 0x61);
    assert_true(parsed("@daily").hours == 1);
    assert_true(parsed("@weekly").weekdays == 1);
    assert_true(parsed("@yearly").months == 2);
}

static void test_parse_of_what_is_no_schedule_is_refused(void **state)
{
    static const char *const wrong[] = {"",
                                        "*",
                                        "* * * *",
                                        "* * * * * *",
                                        "60 * * * *",
                                        "* 24 * * *",
                                        "* * 0 * *",
                                        "* * 32 * *",
                                        "* * * 0 *",
                                        "* * * 13 *",
                                        "* * * * 8",
                                        "5-3 * * * *",
                                        "22-0 * * * *",
                                        "*/0 * * * *",
                                        "*/x * * * *",
                                        "1, * * * *",
                                        "* * * * 1,",
                                        ",1 * * * *",
                                        "1-* * * * *",
                                        "-1 * * * *",
                                        "1-2-3 * * * *",
                                        "mon * * * *",
                                        "* * * mon *",
                                        "* * * * monday",
                                        "* * * * mo",
                                        "@never",
                                        "@daily x",
                                        "1 2 3 4 5x",
                                        "99999999999999999999 * * * *",
                                        "*/99999999999999 * * * *",
                                        "* * 30 2 *",
                                        "* * 31 4,6,9,11 *"};
    struct stead_cron_schedule schedule;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (stead_cron_parse(wrong[i], &schedule) != STEAD_EARGUMENT)
            fail_msg("\"%s\" was taken", wrong[i]);
    parsed("* * 30 2 mon"); /* either day: a Monday comes */
    parsed("* * 29 2 *");
}

/* ---- Due ------------------------------------------------------------------------------------ */

/* "2024-03-31 02:30:00" as UTC, in ms. */
static int64_t utc_ms(const char *text)
{
    struct tm tm = {0};
    if (sscanf(text, "%d-%d-%d %d:%d:%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec) <
        5)
        fail_msg("\"%s\" is no time", text);
    return (stead_date_days(tm.tm_year, (unsigned)tm.tm_mon, (unsigned)tm.tm_mday) * 86400 + tm.tm_hour * 3600 +
            tm.tm_min * 60 + tm.tm_sec) *
           1000;
}

static void assert_next(const char *schedule_text, const char *zone, const char *after, const char *expected)
{
    struct stead_cron_schedule schedule = parsed(schedule_text);
    struct zone_file file = {{0}};
    int64_t next = 0;

    if (zone != NULL)
        zone_file_open(&file, zone);
    assert_int_equal(stead_cron_next(&schedule, file.bytes, utc_ms(after), &next), 0);
    if (next != utc_ms(expected))
        fail_msg("%s in %s after %s: %lld, not %s", schedule_text, zone == NULL ? "UTC" : zone, after,
                 (long long)next / 1000, expected);
    if (zone != NULL)
        zone_file_close(&file);
}

static void test_next_in_utc_is_strictly_after(void **state)
{
    (void)state;
    assert_next("* * * * *", NULL, "2024-01-01 00:00:00", "2024-01-01 00:01:00");
    assert_next("* * * * *", NULL, "2024-01-01 00:00:59", "2024-01-01 00:01:00");
    assert_next("59 23 31 12 *", NULL, "2024-12-31 23:59:00", "2025-12-31 23:59:00");
    assert_next("0 0 29 2 *", NULL, "2096-02-29 00:00:00", "2104-02-29 00:00:00");   /* 2100 is no leap year */
    assert_next("0 0 13 * fri", NULL, "2024-09-01 00:00:00", "2024-09-06 00:00:00"); /* either day */
    assert_next("0 0 13 * *", NULL, "2024-09-01 00:00:00", "2024-09-13 00:00:00");
    assert_next("0 0 */2 * mon", NULL, "2024-09-01 12:00:00", "2024-09-09 00:00:00"); /* began with *: both days */
    assert_next("30 4 1 1 *", NULL, "1969-06-01 00:00:00", "1970-01-01 04:30:00");
    assert_next("30 4 1 1 *", NULL, "1900-06-01 00:00:00", "1901-01-01 04:30:00");
    struct stead_cron_schedule schedule = parsed("* * * * *");
    int64_t next = 0;
    assert_int_equal(stead_cron_next(&schedule, (struct stead_slice){0}, utc_ms("2024-01-01 00:00:00") - 1, &next), 0);
    assert_true(next == utc_ms("2024-01-01 00:00:00"));
    assert_int_equal(stead_cron_next(&schedule, (struct stead_slice){0}, INT64_MAX, &next), STEAD_ENOTFOUND);
    assert_int_equal(stead_cron_next(&schedule, (struct stead_slice){0}, INT64_MIN, &next), 0);
}

/* Berlin 2024: 31 March 02:00 -> 03:00 at 01:00 UTC; 27 October 03:00 -> 02:00 at 01:00 UTC. */
static void test_next_of_a_skipped_time_is_the_end_of_the_gap(void **state)
{
    (void)state;
    assert_next("30 2 * * *", "Europe/Berlin", "2024-03-30 12:00:00", "2024-03-31 01:00:00");
    assert_next("30 2 * * *", "Europe/Berlin", "2024-03-31 01:00:00", "2024-04-01 00:30:00");
    assert_next("*/20 2 * * *", "Europe/Berlin", "2024-03-31 00:59:59", "2024-03-31 01:00:00"); /* three become one */
    assert_next("*/20 2 * * *", "Europe/Berlin", "2024-03-31 01:00:00", "2024-04-01 00:00:00");
    assert_next("0 3 * * *", "Europe/Berlin", "2024-03-31 00:00:00", "2024-03-31 01:00:00");
    assert_next("0 12 * * *", "Pacific/Apia", "2011-12-30 09:00:00", "2011-12-30 10:00:00"); /* a whole day skipped */
    assert_next("0 12 30 12 *", "Pacific/Apia", "2011-12-01 00:00:00", "2011-12-30 10:00:00");
}

static void test_next_of_a_repeated_time_is_the_first(void **state)
{
    (void)state;
    assert_next("30 2 * * *", "Europe/Berlin", "2024-10-26 12:00:00", "2024-10-27 00:30:00");
    assert_next("30 2 * * *", "Europe/Berlin", "2024-10-27 00:30:00",
                "2024-10-28 01:30:00"); /* not again at 01:30 UTC */
    assert_next("30 2 * * *", "Europe/Berlin", "2024-10-27 01:10:00",
                "2024-10-28 01:30:00"); /* asked in the second pass */
    assert_next("*/30 * * * *", "Europe/Berlin", "2024-10-27 00:30:00", "2024-10-27 02:00:00");
    assert_next("45 1 * 4 *", "Australia/Lord_Howe", "2024-04-06 12:00:00", "2024-04-06 14:45:00"); /* half an hour */
    assert_next("45 1 * 4 *", "Australia/Lord_Howe", "2024-04-06 14:45:00", "2024-04-07 15:15:00");
}

static void test_next_beyond_the_table_of_the_file_follows_its_rule(void **state)
{
    (void)state;
    assert_next("0 9 * * *", "Europe/Berlin", "2090-07-01 00:00:00", "2090-07-01 07:00:00");
    assert_next("0 9 * * *", "Europe/Berlin", "2090-01-01 00:00:00", "2090-01-01 08:00:00");
    assert_next("30 2 * * sun", "America/New_York", "2090-03-11 12:00:00", "2090-03-12 07:00:00"); /* a gap, by rule */
}

/* The definition in cron.c, minute by minute: due when the clock's furthest hand passes a scheduled minute. */
static void check_against_walk(const struct stead_cron_schedule *schedule, struct stead_slice tzif, int64_t from_s,
                               int64_t minutes)
{
    int64_t start = from_s - 2 * 86400, furthest = start + stead_zone_offset(tzif, start), expected,
            seen = from_s * 1000;

    assert_int_equal(stead_cron_next(schedule, tzif, seen, &expected), 0);
    for (int64_t at = start + 60; at <= from_s + minutes * 60; at += 60) {
        int64_t shown = at + stead_zone_offset(tzif, at);
        bool due = false;
        for (int64_t local = furthest + 60; local <= shown && !due; local += 60) {
            int64_t day = local / 86400, minute = local % 86400 / 60, year;
            unsigned month, day_of_month, weekday = (unsigned)((day + 4) % 7);
            stead_date_of_days(day, &year, &month, &day_of_month);
            bool by_day = schedule->days >> day_of_month & 1, by_weekday = schedule->weekdays >> weekday & 1;
            bool day_due = schedule->days_any || schedule->weekdays_any ? by_day && by_weekday : by_day || by_weekday;
            due = day_due && (schedule->months >> month & 1) && (schedule->hours >> (minute / 60) & 1) &&
                  (schedule->minutes >> (minute % 60) & 1);
        }
        if (shown > furthest)
            furthest = shown;
        if (!due || at <= from_s)
            continue;
        if (at * 1000 != expected)
            fail_msg("after %lld: %lld, walked to %lld", (long long)seen / 1000, (long long)expected / 1000,
                     (long long)at);
        seen = at * 1000;
        assert_int_equal(stead_cron_next(schedule, tzif, seen, &expected), 0);
    }
    assert_true(expected > (from_s + minutes * 60) * 1000);
}

static void test_next_around_changes_of_the_clock_equals_a_walk(void **state)
{
    static const char *const schedules[] = {"*/7 * * * *",   "30 1,2,3 * * *",    "0 0 * * *",
                                            "59 23 */3 * *", "15,45 0-4 * * sun", "0 12 30 * fri"};
    static const char *const zones[] = {"Europe/Berlin",     "America/New_York", "Australia/Lord_Howe", "Pacific/Apia",
                                        "Africa/Casablanca", "Europe/Dublin",    "Antarctica/Troll"};
    (void)state;
    for (size_t z = 0; z < sizeof zones / sizeof zones[0]; z++) {
        struct zone_file file;
        int64_t change = utc_ms("2010-06-01 00:00") / 1000;
        zone_file_open(&file, zones[z]);
        for (int i = 0; i < 6 && stead_zone_next_change(file.bytes, change, &change); i++)
            for (size_t s = 0; s < sizeof schedules / sizeof schedules[0]; s++) {
                struct stead_cron_schedule schedule = parsed(schedules[s]);
                check_against_walk(&schedule, file.bytes, change - 86400, 3 * 1440);
            }
        zone_file_close(&file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_of_lists_ranges_steps_and_names_sets_the_bits),
        cmocka_unit_test(test_parse_of_what_is_no_schedule_is_refused),
        cmocka_unit_test(test_next_in_utc_is_strictly_after),
        cmocka_unit_test(test_next_of_a_skipped_time_is_the_end_of_the_gap),
        cmocka_unit_test(test_next_of_a_repeated_time_is_the_first),
        cmocka_unit_test(test_next_beyond_the_table_of_the_file_follows_its_rule),
        cmocka_unit_test(test_next_around_changes_of_the_clock_equals_a_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
