/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_merge: several maps into one.
 *
 * A page of `agents` is a piece of an ordered list, and each node cuts its own where it is full. What lies behind the
 * earliest cut is not known completely (the node that cut there may have more in between), so the merged page ends
 * there too, and the next page begins behind the last address that was kept.
 */
#include "net/client_merge.h"

#include <stdlib.h>

#include "runtime/base.h"
#include "runtime/letter_pages.h"

/* One agent of a page. */
struct row {
    struct stead_slice address; /* borrowed, as the next */
    struct stead_slice value;   /* the whole map */
};

/* Rows of all pages, growing. */
struct rows {
    struct row *at;
    uint32_t count, capacity;
};

static void write_missing(struct stead_writer *writer, const char *const *missing, uint32_t count)
{
    if (count == 0)
        return;
    stead_write_str(writer, "missing");
    stead_write_array(writer, count);
    for (uint32_t i = 0; i < count; i++)
        stead_write_str(writer, missing[i]);
}

/* ---- Maps in general ------------------------------------------------------------------------ */

/* The field of a map by the bytes of its name; false when it has none, or `map` is no map. */
static bool find_field(struct stead_slice map, struct stead_slice name, struct stead_slice *ret_value)
{
    struct stead_reader reader = stead_reader(map);
    uint32_t count;

    if (stead_read_map(&reader, &count) != 0)
        return false;
    for (; count > 0; count--) {
        struct stead_slice key, value;

        if (stead_peek(&reader) != STEAD_STR || stead_read_str(&reader, &key) != 0 ||
            stead_read_value(&reader, &value) != 0)
            return false;
        if (stead_slice_equal(key, name)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

/* The elements of the list of this name in one answer; false: it has none. */
static bool open_list(struct stead_slice answer, struct stead_slice name, struct stead_reader *ret_reader,
                      uint32_t *ret_count)
{
    struct stead_slice list;

    if (!find_field(answer, name, &list))
        return false;
    *ret_reader = stead_reader(list);
    return stead_read_array(ret_reader, ret_count) == 0;
}

/* How many elements the lists of this name have in all answers. */
static uint32_t joined_count(const struct stead_slice *answers, uint32_t answer_count, struct stead_slice name)
{
    uint32_t total = 0;

    for (uint32_t i = 0; i < answer_count; i++) {
        struct stead_reader reader;
        uint32_t count;

        if (open_list(answers[i], name, &reader, &count))
            total += count;
    }
    return total;
}

static void write_joined(const struct stead_slice *answers, uint32_t answer_count, struct stead_slice name,
                         struct stead_writer *ret_value)
{
    stead_write_array(ret_value, joined_count(answers, answer_count, name));
    for (uint32_t i = 0; i < answer_count; i++) {
        struct stead_reader reader;
        uint32_t count;

        if (open_list(answers[i], name, &reader, &count))
            stead_write_raw(ret_value, reader.at, (size_t)(reader.end - reader.at));
    }
}

void stead_client_merge(const struct stead_slice *answers, uint32_t answer_count, const char *const *missing,
                        uint32_t missing_count, struct stead_writer *ret_value)
{
    struct stead_reader first = stead_reader(answer_count == 0 ? stead_bytes(NULL, 0) : answers[0]);
    uint32_t count = 0;

    if (stead_peek(&first) != STEAD_MAP || stead_read_map(&first, &count) != 0)
        count = 0;
    stead_write_map(ret_value, count + (missing_count > 0));
    for (; count > 0; count--) {
        struct stead_slice key, value;

        if (stead_read_value(&first, &key) != 0 || stead_read_value(&first, &value) != 0)
            break; /* not after a check */
        stead_write_value(ret_value, key);
        if (stead_peek(&(struct stead_reader){value.data, value.data + value.size}) == STEAD_ARRAY &&
            stead_read_str(&(struct stead_reader){key.data, key.data + key.size}, &key) == 0)
            write_joined(answers, answer_count, key, ret_value);
        else
            stead_write_value(ret_value, value);
    }
    write_missing(ret_value, missing, missing_count);
}

/* ---- Pages of agents ------------------------------------------------------------------------ */

static void add_page(struct rows *rows, struct stead_slice page)
{
    struct stead_slice list;
    struct stead_reader reader;
    uint32_t count;

    if (!find_field(page, stead_str("agents"), &list))
        return;
    reader = stead_reader(list);
    if (stead_read_array(&reader, &count) != 0)
        return;
    for (; count > 0; count--) {
        struct row row;

        if (stead_read_value(&reader, &row.value) != 0)
            return;
        if (stead_get_str(row.value, "address", &row.address) != 0)
            continue;
        if (rows->count == rows->capacity) {
            rows->capacity = rows->capacity == 0 ? 256 : rows->capacity * 2;
            rows->at = stead_realloc(rows->at, rows->capacity * sizeof(*rows->at));
        }
        rows->at[rows->count++] = row;
    }
}

static int compare_rows(const void *a, const void *b)
{
    return stead_slice_compare(((const struct row *)a)->address, ((const struct row *)b)->address);
}

/* The earliest `next` of the pages; false: all are complete. */
static bool earliest_next(const struct stead_slice *answers, uint32_t answer_count, struct stead_slice *ret_next)
{
    bool found = false;

    for (uint32_t i = 0; i < answer_count; i++) {
        struct stead_slice next;

        if (stead_get_str(answers[i], "next", &next) != 0)
            continue;
        if (!found || stead_slice_compare(next, *ret_next) < 0)
            *ret_next = next;
        found = true;
    }
    return found;
}

void stead_client_merge_pages(const struct stead_slice *answers, uint32_t answer_count, const char *const *missing,
                              uint32_t missing_count, uint64_t limit, struct stead_writer *ret_value)
{
    struct rows rows = {.at = NULL};
    struct stead_slice next;
    bool more = earliest_next(answers, answer_count, &next);
    uint32_t kept = 0;

    for (uint32_t i = 0; i < answer_count; i++)
        add_page(&rows, answers[i]);
    if (rows.count > 0)
        qsort(rows.at, rows.count, sizeof(*rows.at), compare_rows);
    while (kept < rows.count && kept < limit && (!more || stead_slice_compare(rows.at[kept].address, next) <= 0))
        kept++;
    if (kept == limit && kept < rows.count) {
        next = rows.at[kept - 1].address;
        more = true;
    }
    stead_write_map(ret_value, 2 + (missing_count > 0));
    stead_write_str(ret_value, "agents");
    stead_write_array(ret_value, kept);
    for (uint32_t i = 0; i < kept; i++)
        stead_write_value(ret_value, rows.at[i].value);
    stead_write_str(ret_value, "next");
    if (more)
        stead_write_str_slice(ret_value, next);
    else
        stead_write_nil(ret_value);
    write_missing(ret_value, missing, missing_count);
    free(rows.at);
}

void stead_client_merge_letters(const struct stead_slice *answers, uint32_t answer_count, const char *const *missing,
                                uint32_t missing_count, uint64_t limit, struct stead_writer *ret_value)
{
    stead_write_map(ret_value, 2 + (missing_count > 0));
    stead_letter_pages_merge(answers, answer_count, limit, SIZE_MAX, ret_value);
    write_missing(ret_value, missing, missing_count);
}
