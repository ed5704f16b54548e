/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zone: the offset of a time zone at a moment, from the bytes of its TZif file (RFC 8536).
 *
 *     header 44 | data with 32-bit times | header 44 | data with 64-bit times | '\n' rule '\n'     (version 2, 3)
 *     header 44 | data with 32-bit times                                                          (version 1)
 *
 *   data:  times (n x 4 or 8) | type of each (n x 1) | types (m x 6: offset 4, dst 1, name 1) | names | leap seconds | 2 lists of flags
 *
 * Before the first time, type 0 holds; from each time on, its type; from the last on, the rule (a POSIX TZ string),
 * which is how a file of today knows the summer of 2090. Leap seconds are skipped: our clock has none.
 * stead_zone_check() reads everything once; the others trust it and find their way by the counts in the header: a few
 * loads and a binary search, so no parsed form has to be kept.
 */
#include "runtime/base.h"
#include "runtime/cron.h"

#define HEADER_SIZE 44u
#define TYPE_SIZE 6u
#define DAY_S 86400
#define OFFSET_S_MIN (-89999) /* RFC 8536, 3.2 */
#define OFFSET_S_MAX 93599

/* The parts of the data that are used; pointers into the file. */
struct zone {
    const uint8_t *times;    /* big-endian, ascending */
    const uint8_t *indices;  /* type of each time */
    const uint8_t *types;    /* TYPE_SIZE bytes each */
    struct stead_slice rule; /* may be empty */
    uint32_t time_count;
    uint32_t type_count;
    uint32_t time_size; /* 4 or 8 */
};

/* ---- The calendar --------------------------------------------------------------------------- */

/* A year that begins in March has its leap day at the end, and its months lengths that repeat every five: 153 days. */
int64_t stead_date_days(int64_t year, unsigned month, unsigned day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400; /* of 400 years, which have 146,097 days */
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + (int64_t)day - 1;

    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

void stead_date_of_days(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day)
{
    int64_t z = days + 719468; /* since 1 March of year 0 */
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153; /* from March */

    *ret_day = (unsigned)(day_of_year - (153 * month + 2) / 5 + 1);
    *ret_month = (unsigned)(month < 10 ? month + 3 : month - 9);
    *ret_year = year_of_era + era * 400 + (*ret_month <= 2);
}

static int64_t floor_days(int64_t unix_s)
{
    return (unix_s >= 0 ? unix_s : unix_s - (DAY_S - 1)) / DAY_S;
}

/* ---- The rule ------------------------------------------------------------------------------- */

/* When a change happens in a year. */
struct change {
    char form;       /* M: week and weekday of a month; J: day 1..365, never 29 February; 0: day 0..365 */
    int month;       /* M: 1..12 */
    int week;        /* M: 1..5, 5 the last */
    int day;         /* M: weekday 0..6; else the day */
    int32_t seconds; /* local time of that day, may lie outside of it */
};

struct rule {
    int32_t standard_s; /* east of UTC, as the next */
    int32_t summer_s;
    bool has_summer;
    struct change start, end; /* of summer time */
};

/* A cursor in the text of the rule. */
struct text {
    const uint8_t *at, *end;
};

static bool take_char(struct text *text, char c)
{
    if (text->at == text->end || *text->at != (uint8_t)c)
        return false;
    text->at++;
    return true;
}

static bool take_number(struct text *text, int max, int *ret_number)
{
    int number = 0;
    const uint8_t *start = text->at;

    for (; text->at < text->end && *text->at >= '0' && *text->at <= '9' && text->at - start < 4; text->at++)
        number = number * 10 + (*text->at - '0');
    if (text->at == start || number > max)
        return false;
    *ret_number = number;
    return true;
}

/* [+-]hh[:mm[:ss]] in seconds. */
static bool take_time(struct text *text, int hours_max, int32_t *ret_seconds)
{
    int hours, minutes = 0, seconds = 0;
    bool negative = take_char(text, '-');

    if (!negative)
        (void)take_char(text, '+');
    if (!take_number(text, hours_max, &hours))
        return false;
    if (take_char(text, ':') && !take_number(text, 59, &minutes))
        return false;
    if (take_char(text, ':') && !take_number(text, 59, &seconds))
        return false;
    *ret_seconds = (hours * 3600 + minutes * 60 + seconds) * (negative ? -1 : 1);
    return true;
}

/* The name of a zone: letters, or anything in < >. */
static bool take_name(struct text *text)
{
    const uint8_t *start = text->at;

    if (take_char(text, '<')) {
        while (text->at < text->end && *text->at != '>')
            text->at++;
        return take_char(text, '>');
    }
    while (text->at < text->end && ((*text->at | 0x20) >= 'a' && (*text->at | 0x20) <= 'z'))
        text->at++;
    return text->at - start >= 3;
}

/* ,date[/time] */
static bool take_change(struct text *text, struct change *ret_change)
{
    struct change change = {.form = '0', .seconds = 2 * 3600};

    if (!take_char(text, ','))
        return false;
    if (take_char(text, 'M')) {
        change.form = 'M';
        if (!take_number(text, 12, &change.month) || change.month == 0 || !take_char(text, '.') ||
            !take_number(text, 5, &change.week) || change.week == 0 || !take_char(text, '.') ||
            !take_number(text, 6, &change.day))
            return false;
    } else {
        if (take_char(text, 'J'))
            change.form = 'J';
        if (!take_number(text, 365, &change.day) || (change.form == 'J' && change.day == 0))
            return false;
    }
    if (take_char(text, '/') && !take_time(text, 167, &change.seconds))
        return false;
    *ret_change = change;
    return true;
}

/* False when it is no rule of this form. */
static bool parse_rule(struct stead_slice bytes, struct rule *ret_rule)
{
    struct text text = {bytes.data, bytes.data + bytes.size};
    struct rule rule = {0};
    int32_t west;

    if (!take_name(&text) || !take_time(&text, 24, &west))
        return false;
    rule.standard_s = -west;
    if (text.at < text.end) {
        rule.has_summer = true;
        rule.summer_s = rule.standard_s + 3600;
        if (!take_name(&text))
            return false;
        if (text.at < text.end && *text.at != ',') {
            if (!take_time(&text, 24, &west))
                return false;
            rule.summer_s = -west;
        }
        if (!take_change(&text, &rule.start) || !take_change(&text, &rule.end) || text.at != text.end)
            return false;
    }
    *ret_rule = rule;
    return true;
}

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* The day of a change, as days since 1970. */
static int64_t change_day(const struct change *change, int64_t year)
{
    if (change->form == '0')
        return stead_date_days(year, 1, 1) + change->day;
    if (change->form == 'J')
        return stead_date_days(year, 1, 1) + change->day - 1 + (is_leap(year) && change->day >= 60);

    int64_t first = stead_date_days(year, (unsigned)change->month, 1);
    int64_t next =
        change->month == 12 ? stead_date_days(year + 1, 1, 1) : stead_date_days(year, (unsigned)change->month + 1, 1);
    int64_t weekday = ((first + 4) % 7 + 7) % 7; /* 1970-01-01 was a Thursday */
    int64_t day = first + (change->day - weekday + 7) % 7 + 7 * (change->week - 1);
    return day < next ? day : day - 7;
}

/* Start (or end) of summer time in a year, UTC. Each is told in the local time that it ends. */
static int64_t change_moment(const struct rule *rule, bool start, int64_t year)
{
    const struct change *change = start ? &rule->start : &rule->end;
    return change_day(change, year) * DAY_S + change->seconds - (start ? rule->standard_s : rule->summer_s);
}

static int64_t year_of(int64_t unix_s)
{
    int64_t year;
    unsigned month, day;
    stead_date_of_days(floor_days(unix_s), &year, &month, &day);
    return year;
}

/* The last change at or before the moment decides; it lies in this year or one beside it (a local time may reach a week
 * out of its day). Of two at once the start wins: that is how a rule says "always summer time". */
static int32_t rule_offset(const struct rule *rule, int64_t unix_s)
{
    int64_t year = year_of(unix_s), last = INT64_MIN;
    bool summer = false;

    if (!rule->has_summer)
        return rule->standard_s;
    for (int64_t y = year - 1; y <= year + 1; y++)
        for (int start = 0; start <= 1; start++) {
            int64_t moment = change_moment(rule, start == 1, y);
            if (moment > unix_s || moment < last || (moment == last && start == 0))
                continue;
            last = moment;
            summer = start == 1;
        }
    return summer ? rule->summer_s : rule->standard_s;
}

static bool rule_next_change(const struct rule *rule, int64_t unix_s, int64_t *ret_unix_s)
{
    int64_t year = year_of(unix_s), next = INT64_MAX;

    if (!rule->has_summer)
        return false;
    for (int64_t y = year - 1; y <= year + 2; y++)
        for (int start = 0; start <= 1; start++) {
            int64_t moment = change_moment(rule, start == 1, y);
            if (moment > unix_s && moment < next)
                next = moment;
        }
    *ret_unix_s = next;
    return true;
}

/* ---- The file ------------------------------------------------------------------------------- */

static uint32_t load_be32(const uint8_t *at)
{
    return __builtin_bswap32(stead_load32(at));
}

static int64_t zone_time(const struct zone *zone, uint32_t at)
{
    if (zone->time_size == 8)
        return (int64_t)__builtin_bswap64(stead_load64(zone->times + (size_t)at * 8));
    return (int32_t)load_be32(zone->times + (size_t)at * 4);
}

static int32_t type_offset(const struct zone *zone, uint32_t type)
{
    return (int32_t)load_be32(zone->types + (size_t)type * TYPE_SIZE);
}

/* One header and its data; bytes of both, or 0 when they do not fit. */
static uint64_t open_block(struct stead_slice bytes, uint32_t time_size, struct zone *ret_zone)
{
    if (bytes.size < HEADER_SIZE || memcmp(bytes.data, "TZif", 4) != 0)
        return 0;
    uint64_t utc_flags = load_be32(bytes.data + 20), standard_flags = load_be32(bytes.data + 24);
    uint64_t leaps = load_be32(bytes.data + 28), times = load_be32(bytes.data + 32);
    uint64_t types = load_be32(bytes.data + 36), name_bytes = load_be32(bytes.data + 40);
    uint64_t size = HEADER_SIZE + times * (time_size + 1) + types * TYPE_SIZE + name_bytes + leaps * (time_size + 4) +
                    standard_flags + utc_flags;

    if (size > bytes.size)
        return 0;
    ret_zone->times = bytes.data + HEADER_SIZE;
    ret_zone->indices = ret_zone->times + times * time_size;
    ret_zone->types = ret_zone->indices + times;
    ret_zone->time_count = (uint32_t)times;
    ret_zone->type_count = (uint32_t)types;
    ret_zone->time_size = time_size;
    return size;
}

/* Finds the parts. The header's counts are checked against the size, nothing else. */
static int open_zone(struct stead_slice tzif, struct zone *ret_zone)
{
    uint64_t size = open_block(tzif, 4, ret_zone);

    ret_zone->rule = (struct stead_slice){0};
    if (size == 0)
        return STEAD_ECORRUPT;
    if (tzif.data[4] < '2')
        return tzif.data[4] == 0 ? 0 : STEAD_ECORRUPT;

    struct stead_slice rest = {tzif.data + size, tzif.size - size};
    size = open_block(rest, 8, ret_zone);
    if (size == 0)
        return STEAD_ECORRUPT;
    rest = (struct stead_slice){rest.data + size, rest.size - size};
    const uint8_t *end = rest.size < 2 ? NULL : memchr(rest.data + 1, '\n', rest.size - 1);
    if (end == NULL || rest.data[0] != '\n')
        return STEAD_ECORRUPT;
    ret_zone->rule = (struct stead_slice){rest.data + 1, (size_t)(end - rest.data - 1)};
    return 0;
}

int stead_zone_check(struct stead_slice tzif)
{
    struct zone zone;
    struct rule rule;

    if (tzif.size == 0)
        return 0;
    if (open_zone(tzif, &zone) != 0 || zone.type_count == 0)
        return STEAD_ECORRUPT;
    for (uint32_t i = 0; i < zone.time_count; i++)
        if (zone.indices[i] >= zone.type_count || (i > 0 && zone_time(&zone, i) <= zone_time(&zone, i - 1)))
            return STEAD_ECORRUPT;
    for (uint32_t i = 0; i < zone.type_count; i++)
        if (type_offset(&zone, i) < OFFSET_S_MIN || type_offset(&zone, i) > OFFSET_S_MAX)
            return STEAD_ECORRUPT;
    return zone.rule.size == 0 || parse_rule(zone.rule, &rule) ? 0 : STEAD_ECORRUPT;
}

/* How many of the times lie at or before the moment. */
static uint32_t times_up_to(const struct zone *zone, int64_t unix_s)
{
    uint32_t low = 0, high = zone->time_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (zone_time(zone, middle) <= unix_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int32_t stead_zone_offset(struct stead_slice tzif, int64_t unix_s)
{
    struct zone zone;
    struct rule rule;

    if (tzif.size == 0)
        return 0;
    STEAD_ASSERT(open_zone(tzif, &zone) == 0);
    uint32_t passed = times_up_to(&zone, unix_s);
    if (passed == zone.time_count && zone.rule.size > 0) {
        STEAD_ASSERT(parse_rule(zone.rule, &rule));
        return rule_offset(&rule, unix_s);
    }
    return type_offset(&zone, passed == 0 ? 0 : zone.indices[passed - 1]);
}

bool stead_zone_next_change(struct stead_slice tzif, int64_t unix_s, int64_t *ret_unix_s)
{
    struct zone zone;
    struct rule rule;

    if (tzif.size == 0)
        return false;
    STEAD_ASSERT(open_zone(tzif, &zone) == 0);
    uint32_t passed = times_up_to(&zone, unix_s);
    if (passed < zone.time_count) {
        *ret_unix_s = zone_time(&zone, passed);
        return true;
    }
    if (zone.rule.size == 0)
        return false;
    STEAD_ASSERT(parse_rule(zone.rule, &rule));
    return rule_next_change(&rule, unix_s, ret_unix_s);
}
