/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queries_merge: from parts to one answer.
 *
 * A page of agents is right only up to where every part is complete. Each part is sorted and either whole or cut behind
 * its `next`; so what lies behind the smallest `next` may lack entries of the part that was cut there, and is left to
 * the next page. The entry at that `next` itself is in its part, so a page that has a `next` is never empty and always
 * gets on.
 *
 * Parts come from hosts of this process, but are read like any other value: what has not the expected form counts as
 * empty. Each part has a bound in bytes, and the whole has the same one (query_slow.h).
 */
#include "node/queries_merge.h"

#include <stdlib.h>

#include "runtime/base.h"
#include "runtime/letter_pages.h"
#include "runtime/query_slow.h"

#define AGENTS_LIMIT 1000u
#define LETTERS_LIMIT 100u
#define LIMIT_MAX 10000u

/* ---- Numbers -------------------------------------------------------------------------------- */

static void write_histogram(const char *name, const struct stead_histogram *histogram, struct stead_writer *value)
{
    stead_write_str(value, name);
    stead_pack(value, "{s:u,s:u,s:u,s:u,s:u}", "count", histogram->count, "p50",
               stead_histogram_quantile(histogram, 500), "p99", stead_histogram_quantile(histogram, 990), "max",
               histogram->count ? histogram->max : 0, "mean", stead_histogram_mean(histogram));
}

#define COUNT_COUNTER(name, meaning) COUNTER_##name,
#define COUNT_GAUGE(name, unit, meaning) GAUGE_##name,
enum { STEAD_COUNTERS(COUNT_COUNTER) COUNTERS };
enum { STEAD_GAUGES(COUNT_GAUGE) GAUGES };
#define WRITE_COUNTER(name, meaning)                                                                                   \
    stead_write_str(value, #name);                                                                                     \
    stead_write_u64(value, stats->name);
#define WRITE_GAUGE(name, unit, meaning) WRITE_COUNTER(name, meaning)

void stead_queries_write_host(const struct stead_stats *stats, struct stead_writer *value)
{
    stead_write_str(value, "counters");
    stead_write_map(value, COUNTERS);
    STEAD_COUNTERS(WRITE_COUNTER)
    stead_write_str(value, "gauges");
    stead_write_map(value, GAUGES);
    STEAD_GAUGES(WRITE_GAUGE)
    stead_write_str(value, "histograms");
    stead_write_map(value, 4);
    write_histogram("turn_ns", &stats->turn_ns, value);
    write_histogram("commit_ns", &stats->commit_ns, value);
    write_histogram("batch_turns", &stats->batch_turns, value);
    write_histogram("queue_depth", &stats->queue_depth, value);
}

void stead_queries_write_log_writer(const struct stead_log_writer_stats *stats, struct stead_writer *value)
{
    stead_write_map(value, 2);
    stead_write_str(value, "counters");
    stead_pack(value, "{s:u,s:u,s:u,s:u,s:u,s:u}", "syncs", stats->syncs, "entries", stats->entries, "entry_bytes",
               stats->entry_bytes, "row_chunks", stats->row_chunks, "row_bytes", stats->row_bytes, "trims",
               stats->trims);
    stead_write_str(value, "histograms");
    stead_write_map(value, 4);
    write_histogram("sync_ns", &stats->sync_ns, value);
    write_histogram("rows_ns", &stats->rows_ns, value);
    write_histogram("batch_entries", &stats->batch_entries, value);
    write_histogram("batch_bytes", &stats->batch_bytes, value);
}

/* ---- Lists ---------------------------------------------------------------------------------- */

/* One element of a list, borrowed from its part. */
struct element {
    struct stead_slice address; /* empty when it has none */
    struct stead_slice value;
};

struct elements {
    struct element *items; /* owned */
    uint32_t count;
};

/* The elements of one array; `*list` grows. */
static void collect_array(struct elements *list, struct stead_slice array)
{
    struct stead_reader reader = stead_reader(array);
    uint32_t count;

    if (stead_read_array(&reader, &count) != 0 || count == 0)
        return;
    list->items = stead_realloc(list->items, (list->count + (size_t)count) * sizeof list->items[0]);
    for (uint32_t i = 0; i < count; i++) {
        struct element element = {0};
        if (stead_read_value(&reader, &element.value) != 0)
            return;
        if (stead_get_str(element.value, "address", &element.address) != 0)
            element.address = (struct stead_slice){0};
        list->items[list->count++] = element;
    }
}

/* `field` NULL: the payload itself is the array. */
static struct elements collect(struct stead_message *const *parts, uint32_t part_count, const char *field)
{
    struct elements list = {0};

    for (uint32_t i = 0; i < part_count; i++) {
        struct stead_slice array = stead_message_payload(parts[i]);
        if (!field || stead_get_value(array, field, &array) == 0)
            collect_array(&list, array);
    }
    return list;
}

static uint32_t limit_of(struct stead_slice args, uint32_t usual)
{
    uint64_t limit = usual;

    if (stead_get_u64(args, "limit", &limit) != 0 || limit == 0)
        limit = usual;
    return limit < LIMIT_MAX ? (uint32_t)limit : LIMIT_MAX;
}

static void write_list(const struct elements *list, uint32_t count, struct stead_writer *value)
{
    stead_write_array(value, count);
    for (uint32_t i = 0; i < count; i++)
        stead_write_value(value, list->items[i].value);
}

void stead_queries_join_arrays(struct stead_message *const *parts, uint32_t part_count, struct stead_writer *value)
{
    struct elements list = collect(parts, part_count, NULL);

    write_list(&list, list.count, value);
    free(list.items);
}

void stead_queries_merge_letters(struct stead_message *const *parts, uint32_t part_count, struct stead_slice args,
                                 struct stead_writer *value)
{
    struct stead_slice *pages = stead_alloc((part_count + 1) * sizeof *pages);

    for (uint32_t i = 0; i < part_count; i++)
        pages[i] = stead_message_payload(parts[i]);
    stead_write_map(value, 2);
    stead_letter_pages_merge(pages, part_count, limit_of(args, LETTERS_LIMIT), STEAD_QUERY_PAGE_BYTES, value);
    free(pages);
}

static int compare_addresses(const void *a, const void *b)
{
    return stead_slice_compare(((const struct element *)a)->address, ((const struct element *)b)->address);
}

/* The smallest `next` of the parts; false when all are whole. */
static bool find_bound(struct stead_message *const *parts, uint32_t part_count, struct stead_slice *ret_bound)
{
    bool found = false;

    for (uint32_t i = 0; i < part_count; i++) {
        struct stead_slice next;
        if (stead_get_str(stead_message_payload(parts[i]), "next", &next) != 0)
            continue;
        if (!found || stead_slice_compare(next, *ret_bound) < 0)
            *ret_bound = next;
        found = true;
    }
    return found;
}

void stead_queries_merge_agents(struct stead_message *const *parts, uint32_t part_count, struct stead_slice args,
                                struct stead_writer *value)
{
    struct elements list = collect(parts, part_count, "agents");
    uint32_t limit = limit_of(args, AGENTS_LIMIT);
    struct stead_slice bound;
    bool bounded = find_bound(parts, part_count, &bound);

    if (list.count > 1)
        qsort(list.items, list.count, sizeof list.items[0], compare_addresses);
    uint32_t kept = 0;
    size_t bytes = 0;
    for (; kept < list.count && (!bounded || stead_slice_compare(list.items[kept].address, bound) <= 0); kept++) {
        bytes += list.items[kept].value.size;
        if (kept > 0 && (kept >= limit || bytes > STEAD_QUERY_PAGE_BYTES)) {
            bound = list.items[kept - 1].address;
            bounded = true;
            break;
        }
    }
    stead_write_map(value, 2);
    stead_write_str(value, "agents");
    write_list(&list, kept, value);
    stead_write_str(value, "next");
    if (bounded) /* a part that found nothing has a `next` too: it has not looked further */
        stead_write_str_slice(value, bound);
    else
        stead_write_nil(value);
    free(list.items);
}
