/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cron: when a schedule is next due, in a time zone.
 *
 * Five fields (minute hour day-of-month month day-of-week): *, numbers, names, ranges, lists, steps; @hourly @daily
 * @weekly @monthly @yearly. When both days are restricted, either matches (as in Vixie cron). Local times that a change
 * of the clock skips run at the first moment after the gap; those that it repeats run once, the first time. Zones come
 * as TZif bytes (RFC 8536, versions 1 to 3, with the footer's rule for the future). Pure; any thread.
 */
#ifndef STEAD_RUNTIME_CRON_H
#define STEAD_RUNTIME_CRON_H

#include "stead/value.h"

#define STEAD_CRON_SIZE_MAX 1000u /* bytes of a stored timer's schedule */
#define STEAD_ZONE_SIZE_MAX 100u  /* ... and of its zone's name */

struct stead_cron_schedule {
    uint64_t minutes;  /* bit 0..59 */
    uint32_t hours;    /* bit 0..23 */
    uint32_t days;     /* bit 1..31 */
    uint16_t months;   /* bit 1..12 */
    uint8_t weekdays;  /* bit 0..6, 0 = Sunday */
    bool days_any;     /* day-of-month began with * */
    bool weekdays_any; /* day-of-week began with * */
};
/* 0 or STEAD_EARGUMENT; also when it can never be due (30 February). */
int stead_cron_parse(const char *text, struct stead_cron_schedule *ret_schedule) STEAD_MUST_USE;

/* Bytes of a TZif file; 0 or STEAD_ECORRUPT. Empty bytes: UTC. */
int stead_zone_check(struct stead_slice tzif) STEAD_MUST_USE;
/* Seconds east of UTC at that moment. `tzif` was checked. */
int32_t stead_zone_offset(struct stead_slice tzif, int64_t unix_s);
/* The next moment after it at which the zone's rules may change the offset; false when there is none. `tzif` was
 * checked. */
bool stead_zone_next_change(struct stead_slice tzif, int64_t unix_s, int64_t *ret_unix_s);

/* Days since 1970-01-01 of a date in the Gregorian calendar, and back. `month` from 1, `day` from 1. */
int64_t stead_date_days(int64_t year, unsigned month, unsigned day);
void stead_date_of_days(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day);

/* The first moment strictly after `after_ms` (ms since 1970) at which the schedule is due; STEAD_ENOTFOUND when there
 * is none in 100 years. */
int stead_cron_next(const struct stead_cron_schedule *schedule, struct stead_slice tzif, int64_t after_ms,
                    int64_t *ret_ms) STEAD_MUST_USE;

#endif
