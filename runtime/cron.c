/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cron: schedules as sets of bits, and the search for the next moment.
 *
 * A schedule names local times. The moment of a local time L is defined once, for every case:
 *
 *     moment(L) = the first moment u at which the zone's clock shows L or later
 *
 * Where the clock goes back, that is the first time it shows L; where it jumps over L, it is the end of the jump. The
 * definition never falls as L grows, so the search walks the scheduled local times upwards from the one that the clock
 * shows now, and takes the first whose moment lies after `after`. Days that do not match are passed over whole, so even
 * 29 February takes microseconds.
 */
#include "runtime/cron.h"

#include "runtime/base.h"

#define DAY_S 86400
#define OFFSET_S_MAX (26 * 3600) /* no zone is further from UTC */
#define YEARS_MAX 100
#define AFTER_MS_MIN INT64_C(-62135596800000) /* year 1 */
#define AFTER_MS_MAX INT64_C(253402300799000) /* year 9999 */

/* ---- Parsing -------------------------------------------------------------------------------- */

/* One of the five fields. */
struct field {
    unsigned min, max;
    const char *names; /* of three letters each, from `min`; NULL: none */
};

enum { MINUTE, HOUR, DAY, MONTH, WEEKDAY, FIELDS };

static const struct field fields[FIELDS] = {
    [MINUTE] = {0, 59, NULL},
    [HOUR] = {0, 23, NULL},
    [DAY] = {1, 31, NULL},
    [MONTH] = {1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
    [WEEKDAY] = {0, 7, "sunmontuewedthufrisat"}, /* 7 is Sunday too */
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool same_letters(const char *at, const char *name)
{
    for (int i = 0; i < 3; i++)
        if ((at[i] | 0x20) != name[i])
            return false;
    return true;
}

/* A number or a name; NULL when it is neither or out of range. */
static const char *parse_one(const char *at, const struct field *field, unsigned *ret_number)
{
    unsigned number = 0;

    if (is_digit(*at)) {
        for (; is_digit(*at); at++)
            if ((number = number * 10 + (unsigned)(*at - '0')) > field->max)
                return NULL;
        *ret_number = number;
        return number >= field->min ? at : NULL;
    }
    for (const char *name = field->names; name != NULL && *name != 0; name += 3, number++)
        if (same_letters(at, name)) {
            *ret_number = field->min + number;
            return at + 3;
        }
    return NULL;
}

static const char *parse_step(const char *at, unsigned *ret_step)
{
    unsigned step = 0;

    for (; is_digit(*at) && step < 1000; at++)
        step = step * 10 + (unsigned)(*at - '0');
    *ret_step = step;
    return step > 0 && step < 1000 ? at : NULL;
}

/* One item of a list: *, a, a-b, each with /step. Adds its bits. */
static const char *parse_item(const char *at, const struct field *field, uint64_t *ret_bits)
{
    unsigned from = field->min, to = field->max, step = 1;
    bool single = false;

    if (*at == '*') {
        at++;
    } else {
        at = parse_one(at, field, &from);
        if (at == NULL)
            return NULL;
        to = from;
        single = *at != '-';
        if (!single && (at = parse_one(at + 1, field, &to)) == NULL)
            return NULL;
        if (field == &fields[WEEKDAY] && to == 0 && from > 0) /* fri-sun */
            to = field->max;
    }
    if (*at == '/') {
        at = parse_step(at + 1, &step);
        if (at == NULL)
            return NULL;
        if (single)
            to = field->max;
    }
    if (to < from)
        return NULL;
    for (unsigned i = from; i <= to; i += step)
        *ret_bits |= UINT64_C(1) << i;
    return at;
}

/* One field and the white space before it; NULL when it is malformed. */
static const char *parse_field(const char *at, const struct field *field, uint64_t *ret_bits, bool *ret_any)
{
    while (is_space(*at))
        at++;
    *ret_any = *at == '*';
    do
        at = parse_item(at, field, ret_bits);
    while (at != NULL && *at == ',' && *at++ != 0);
    if (at == NULL || (*at != 0 && !is_space(*at)))
        return NULL;
    return at;
}

static const char *expand_nickname(const char *text)
{
    static const struct {
        const char *name, *schedule;
    } nicknames[] = {{"@hourly", "0 * * * *"},  {"@daily", "0 0 * * *"},   {"@midnight", "0 0 * * *"},
                     {"@weekly", "0 0 * * 0"},  {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"},
                     {"@annually", "0 0 1 1 *"}};

    for (size_t i = 0; i < sizeof nicknames / sizeof nicknames[0]; i++)
        if (strcmp(text, nicknames[i].name) == 0)
            return nicknames[i].schedule;
    return text;
}

static unsigned month_days_max(unsigned month)
{
    return month == 2 ? 29 : month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/* Whether any date can match: a weekday always comes, a day only in months that are long enough. */
static bool can_be_due(const struct stead_cron_schedule *schedule)
{
    if (!schedule->days_any && !schedule->weekdays_any)
        return true;
    for (unsigned month = 1; month <= 12; month++)
        if ((schedule->months >> month & 1) != 0 &&
            (schedule->days & ((UINT64_C(2) << month_days_max(month)) - 1)) != 0)
            return true;
    return false;
}

int stead_cron_parse(const char *text, struct stead_cron_schedule *ret_schedule)
{
    const char *at = expand_nickname(text);
    uint64_t bits[FIELDS] = {0};
    bool any[FIELDS];

    for (int i = 0; i < FIELDS; i++) {
        at = parse_field(at, &fields[i], &bits[i], &any[i]);
        if (at == NULL)
            return STEAD_EARGUMENT;
    }
    while (is_space(*at))
        at++;
    if (*at != 0)
        return STEAD_EARGUMENT;

    struct stead_cron_schedule schedule = {
        .minutes = bits[MINUTE],
        .hours = (uint32_t)bits[HOUR],
        .days = (uint32_t)bits[DAY],
        .months = (uint16_t)bits[MONTH],
        .weekdays = (uint8_t)((bits[WEEKDAY] | bits[WEEKDAY] >> 7) & 0x7f),
        .days_any = any[DAY],
        .weekdays_any = any[WEEKDAY],
    };
    if (!can_be_due(&schedule))
        return STEAD_EARGUMENT;
    *ret_schedule = schedule;
    return 0;
}

/* ---- The next moment ------------------------------------------------------------------------ */

static int64_t floor_divide(int64_t a, int64_t b)
{
    return (a >= 0 ? a : a - (b - 1)) / b;
}

/* See above: the first moment at which the zone's clock shows `local_s` or later. Between two changes of the offset the
 * clock is a straight line. */
static int64_t moment_of(struct stead_slice tzif, int64_t local_s)
{
    int64_t from = local_s - OFFSET_S_MAX; /* the clock shows less than local_s here */

    for (;;) {
        int64_t change, moment = local_s - stead_zone_offset(tzif, from);

        if (moment <= from)
            return from;
        if (!stead_zone_next_change(tzif, from, &change) || moment < change)
            return moment;
        from = change;
    }
}

static bool day_matches(const struct stead_cron_schedule *schedule, int64_t days)
{
    int64_t year;
    unsigned month, day;
    unsigned weekday = (unsigned)(((days + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */

    stead_date_of_days(days, &year, &month, &day);
    if ((schedule->months >> month & 1) == 0)
        return false;
    bool by_day = schedule->days >> day & 1, by_weekday = schedule->weekdays >> weekday & 1;
    if (schedule->days_any || schedule->weekdays_any)
        return by_day && by_weekday;
    return by_day || by_weekday;
}

/* The first minute of the day, from `minute` on, that the schedule names; -1: none. */
static int next_minute(const struct stead_cron_schedule *schedule, int minute)
{
    for (int hour = minute / 60; hour < 24; hour++, minute = hour * 60) {
        uint64_t rest = schedule->minutes >> (minute % 60);
        if ((schedule->hours >> hour & 1) != 0 && rest != 0)
            return minute + __builtin_ctzll(rest);
    }
    return -1;
}

int stead_cron_next(const struct stead_cron_schedule *schedule, struct stead_slice tzif, int64_t after_ms,
                    int64_t *ret_ms)
{
    if (after_ms > AFTER_MS_MAX)
        return STEAD_ENOTFOUND;
    if (after_ms < AFTER_MS_MIN)
        after_ms = AFTER_MS_MIN;
    int64_t after_s = floor_divide(after_ms, 1000);
    int64_t local_s = after_s + stead_zone_offset(tzif, after_s);
    int64_t first_day = floor_divide(local_s, DAY_S);
    int minute = (int)((local_s - first_day * DAY_S) / 60);

    for (int64_t day = first_day; day <= first_day + YEARS_MAX * INT64_C(366); day++, minute = 0) {
        if (!day_matches(schedule, day))
            continue;
        for (int at = next_minute(schedule, minute); at >= 0;
             at = at < 24 * 60 - 1 ? next_minute(schedule, at + 1) : -1) {
            int64_t moment = moment_of(tzif, day * DAY_S + at * INT64_C(60));
            if (moment * 1000 > after_ms) {
                *ret_ms = moment * 1000;
                return 0;
            }
        }
    }
    return STEAD_ENOTFOUND;
}
