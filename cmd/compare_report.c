/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare_report: the report. One tree is printed as JSON and is the data of the page; the table for people shows the
 * same figures.
 *
 * What was not measured is null, never 0. What others published is quoted with its source, and never mixed with what
 * was measured here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "cmd/compare.h"
#include "cmd/print.h"
#include "stead/stead.h"

/* Storage operations of Durable Functions' Azure Storage provider for a sequence of 3 activities, as counted by its
 * authors' users: those of the orchestrator, which takes the start and 3 results, puts 3 work items, and reads and
 * writes its history 4 times. Who starts it, waits for it and carries the activities out is not in them. */
#define KNOWN_ACTIVITIES 3
#define KNOWN_DEQUEUES 4
#define KNOWN_ENQUEUES 3
#define KNOWN_READS 4
#define KNOWN_WRITES 4

#define KEYS 3 /* columns that name a row */

#define PAPER "Hellerstein et al., Serverless Computing: One Step Forward, Two Steps Back, CIDR 2019"
#define NETHERITE "Burckhardt et al., Netherite, VLDB 2022"

/* What others published, in us. */
static const struct {
    const char *workload, *who;
    double us;
    const char *source;
} published[] = {{"echo", "ZeroMQ between two machines", 290, PAPER},
                 {"echo", "through DynamoDB", 11000, PAPER},
                 {"echo", "through S3", 106000, PAPER},
                 {"echo", "Lambda invocation", 303000, PAPER},
                 {"hello3", "Netherite", 12700, NETHERITE},
                 {"hello3", "Durable Functions", 202000, NETHERITE},
                 {"hello3", "Step Functions", 379000, NETHERITE},
                 {"serve_resident", "a server, over ZeroMQ", 2800, PAPER},
                 {"serve_resident", "a server, through SQS", 13000, PAPER},
                 {"serve_fetched", "Lambda, model fetched", 559000, PAPER},
                 {"train_resident", "a server", 140000, PAPER},
                 {"train_fetched", "Lambda, 100 MB fetched", 3080000, PAPER},
                 {"election", "Lambda over DynamoDB, 4 polls a second", 16700000, PAPER}};

/* ---- JSON ----------------------------------------------------------------------------------- */

static json_t *real_or_null(double value, bool known)
{
    return known ? json_real(value) : json_null();
}

static json_t *distribution_json(const struct stead_distribution *it)
{
    json_t *quantiles = json_array();

    for (uint32_t i = 0; i < it->quantile_count; i++)
        json_array_append_new(quantiles, json_real(it->quantiles[i]));
    return json_pack("{s:I,s:o,s:o,s:o,s:o,s:o,s:o}", "n", (json_int_t)it->count, "p50_us",
                     real_or_null(it->p50, it->count > 0), "p99_us", real_or_null(it->p99, it->p99 >= 0), "mean_us",
                     real_or_null(it->mean, it->count > 0), "min_us", real_or_null(it->min, it->count > 0), "max_us",
                     real_or_null(it->max, it->count > 0), "quantiles_us", quantiles);
}

static json_t *storage_json(const struct stead_storage *it)
{
    return json_pack("{s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f}", "enqueue", it->enqueues, "dequeue", it->dequeues, "delete",
                     it->deletes, "renew", it->renews, "empty", it->empty, "read", it->reads, "write", it->writes,
                     "bytes", it->bytes);
}

/* Of the orchestrators alone. */
static json_t *own_json(const struct stead_storage *it)
{
    return json_pack("{s:f,s:f,s:f,s:f}", "enqueue", it->own_enqueues, "dequeue", it->own_dequeues, "read",
                     it->own_reads, "write", it->own_writes);
}

static json_t *counts_json(const struct stead_compare_counts *it, bool partly)
{
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "messages", real_or_null(it->messages, it->messages > 0),
                     "entries", real_or_null(it->entries, !partly), "syncs", real_or_null(it->syncs, !partly), "bytes",
                     real_or_null(it->entry_bytes + it->row_bytes, !partly), "cpu_us",
                     real_or_null(it->cpu_ns / 1000, !partly), "storage", storage_json(&it->storage), "orchestrator",
                     own_json(&it->storage));
}

/* How often the floor fits into what is not patience. */
static double ratio(const struct stead_compare_cell *cell)
{
    return (cell->latency.p50 - cell->patience) / cell->floor;
}

/* Where only storage operations were counted, a way without any has no price. */
static bool has_price(const struct stead_compare_cell *cell)
{
    return cell->fabric->hub || !cell->partly;
}

static const char *place(const struct stead_compare_fabric *fabric, bool apart)
{
    return !fabric->hub ? NULL : apart ? "apart" : "near";
}

/* Did somebody else keep the disk busy while it was measured? A synced write then took more than twice as long as at
 * the run's start. */
static bool is_disturbed(const struct stead_compare *compare, const struct stead_compare_cell *cell)
{
    return cell->put > 2 * compare->put.p50;
}

static json_t *cell_json(const struct stead_compare *compare, const struct stead_compare_cell *cell)
{
    bool measured = cell->latency.count > 0,
         counted = measured && (cell->counts.messages > 0 || (cell->partly && cell->start == STEAD_COMPARE_HOT));
    double rest = cell->latency.mean - cell->wire - cell->disk - (cell->poll > 0 ? cell->poll : 0);

    json_t *it = json_pack("{s:s,s:s,s:s,s:s?,s:I,s:o,s:I}", "workload", cell->work->name, "fabric", cell->fabric->name,
                           "start", cell->start == STEAD_COMPARE_COLD ? "cold" : "hot", "hub",
                           place(cell->fabric, cell->apart), "size", (json_int_t)cell->size, "latency",
                           distribution_json(&cell->latency), "lanes", (json_int_t)cell->lanes);
    json_object_set_new(it, "ok", json_boolean(measured && cell->failed == 0));
    json_object_set_new(it, "rate", real_or_null(cell->rate, cell->rate > 0));
    json_object_set_new(it, "in_flight", json_integer(cell->in_flight));
    json_object_set_new(it, "rate_syncs", real_or_null(cell->rate_syncs, cell->rate_syncs > 0));
    json_object_set_new(it, "floor_us", real_or_null(cell->floor, cell->floor > 0));
    json_object_set_new(it, "sync_us", real_or_null(cell->put, cell->put > 0));
    json_object_set_new(it, "disturbed", json_boolean(is_disturbed(compare, cell)));
    json_object_set_new(it, "patience_us", real_or_null(cell->patience, cell->patience > 0));
    json_object_set_new(it, "ratio", real_or_null(ratio(cell), measured && cell->floor > 0));
    json_object_set_new(it, "per_run", counted ? counts_json(&cell->counts, cell->partly) : json_null());
    json_object_set_new(it, "money_per_million", real_or_null(cell->money * 1e6, counted && has_price(cell)));
    json_object_set_new(it, "breakdown",
                        counted && cell->patience <= 0
                            ? json_pack("{s:f,s:f,s:o,s:f}", "wire_us", cell->wire, "disk_us", cell->disk, "poll_us",
                                        real_or_null(cell->poll, cell->poll >= 0), "rest_us", rest > 0 ? rest : 0)
                            : json_null());
    return it;
}

static json_t *idle_json(const struct stead_compare_idle *idle)
{
    double hubs = idle->hubs ? idle->hubs : 1;
    struct stead_compare_counts none = {0}, one = stead_compare_counts_since(&idle->counts, &none, hubs);

    return json_pack("{s:s,s:s?,s:f,s:I,s:o,s:f,s:f}", "fabric", idle->fabric->name, "hub",
                     place(idle->fabric, idle->apart), "seconds", idle->seconds, "hubs", (json_int_t)idle->hubs,
                     "per_second", counts_json(&one, false), "wakes_per_second", one.wakes, "money_per_hour",
                     idle->money);
}

static json_t *prices_json(const struct stead_prices *it)
{
    return json_pack("{s:s,s:f,s:f,s:f,s:f,s:f,s:f,s:s}", "currency", it->currency, "queue_operation",
                     it->queue_operation, "read", it->read, "write", it->write, "gigabyte", it->gigabyte,
                     "stored_gigabyte", it->stored_gigabyte, "cpu_hour", it->cpu_hour, "source", it->source);
}

static json_t *works_json(const struct stead_compare *compare)
{
    json_t *works = json_array();

    for (uint32_t i = 0; i < compare->work_count; i++) {
        const struct stead_compare_work *work = compare->works[i];
        json_array_append_new(works,
                              json_pack("{s:s,s:s,s:I,s:I,s:I,s:I}", "name", work->name, "title", work->title, "size",
                                        (json_int_t)work->size, "activities", (json_int_t)work->activities,
                                        "floor_trips", (json_int_t)work->trips, "floor_syncs", (json_int_t)work->puts));
    }
    return works;
}

static json_t *fabrics_json(const struct stead_compare *compare)
{
    json_t *fabrics = json_array();

    for (uint32_t i = 0; i < compare->fabric_count; i++)
        json_array_append_new(fabrics, json_pack("{s:s,s:s,s:b}", "name", compare->fabrics[i]->name, "title",
                                                 compare->fabrics[i]->title, "hub", (int)compare->fabrics[i]->hub));
    for (const struct stead_compare_fabric *it = stead_compare_intervals; it->name; it++) {
        bool used = false;
        for (uint32_t i = 0; i < compare->cell_count; i++)
            used = used || compare->cells[i].fabric == it;
        if (used)
            json_array_append_new(fabrics, json_pack("{s:s,s:s,s:b}", "name", it->name, "title", it->title, "hub", 1));
    }
    return fabrics;
}

static json_t *published_json(void)
{
    json_t *list = json_array();

    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++)
        json_array_append_new(list, json_pack("{s:s,s:s,s:f,s:s}", "workload", published[i].workload, "who",
                                              published[i].who, "us", published[i].us, "source", published[i].source));
    return list;
}

static json_t *machine_json(void)
{
    struct utsname name;
    char day[32] = "";
    time_t now = time(NULL);
    struct tm parts;

    if (uname(&name) != 0)
        memset(&name, 0, sizeof name);
    if (gmtime_r(&now, &parts))
        strftime(day, sizeof day, "%Y-%m-%d %H:%M UTC", &parts);
    return json_pack("{s:I,s:s,s:s,s:s}", "cores", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "kernel", name.release,
                     "machine", name.machine, "measured", day);
}

json_t *stead_compare_json(const struct stead_compare *compare)
{
    json_t *report = json_object(), *cells = json_array(), *idles = json_array();

    for (uint32_t i = 0; i < compare->cell_count; i++)
        json_array_append_new(cells, cell_json(compare, &compare->cells[i]));
    for (uint32_t i = 0; i < compare->idle_count; i++)
        json_array_append_new(idles, idle_json(&compare->idles[i]));
    json_object_set_new(report, "stead", json_string(STEAD_VERSION));
    json_object_set_new(report, "machine", machine_json());
    json_object_set_new(report, "quick", json_boolean(compare->quick));
    json_object_set_new(report, "seconds", json_integer((json_int_t)compare->seconds));
    json_object_set_new(
        report, "floors",
        json_pack("{s:o,s:o}", "trip", distribution_json(&compare->trip), "sync", distribution_json(&compare->put)));
    json_object_set_new(report, "prices", prices_json(&compare->prices));
    json_object_set_new(report, "workloads", works_json(compare));
    json_object_set_new(report, "fabrics", fabrics_json(compare));
    json_object_set_new(report, "cells", cells);
    json_object_set_new(report, "idle", idles);
    json_object_set_new(report, "published", published_json());
    json_object_set_new(report, "known",
                        json_pack("{s:s,s:i,s:i,s:i,s:i,s:i}", "who", "Durable Functions on Azure Storage",
                                  "activities", KNOWN_ACTIVITIES, "dequeue", KNOWN_DEQUEUES, "enqueue", KNOWN_ENQUEUES,
                                  "read", KNOWN_READS, "write", KNOWN_WRITES));
    return report;
}

/* ---- The table ------------------------------------------------------------------------------ */

/* Microseconds as people say them; "-" for none. */
static const char *print_us(double us, bool known, char *ret_text)
{
    if (!known)
        return strcpy(ret_text, "-");
    return stead_print_duration((uint64_t)(us * 1000 + 0.5), ret_text);
}

/* Three digits that mean something; "-" for none. */
static const char *print_number(double value, bool known, char *ret_text)
{
    int decimals = value >= 100 || value == 0 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 4;

    if (!known)
        return strcpy(ret_text, "-");
    snprintf(ret_text, STEAD_PRINT_SIZE, "%.*f", decimals, value);
    return ret_text;
}

static void add_times(struct stead_columns *columns, const struct stead_compare_cell *cell)
{
    const struct stead_distribution *latency = &cell->latency;
    bool measured = latency->count > 0;
    char text[STEAD_PRINT_SIZE];

    stead_columns_add(columns, "%zu", latency->count);
    stead_columns_add(columns, "%s", print_us(latency->p50, measured, text));
    stead_columns_add(columns, "%s", print_us(latency->p99, latency->p99 >= 0, text));
    stead_columns_add(columns, "%s", print_us(latency->mean, measured, text));
    stead_columns_add(columns, "%s", print_us(cell->floor, cell->floor > 0, text));
    stead_columns_add(columns, "%s", print_number(ratio(cell), measured && cell->floor > 0, text));
    stead_columns_add(columns, "%s", print_number(cell->rate, cell->rate > 0, text));
    stead_columns_add(columns, "%s", print_number(cell->rate_syncs, cell->rate_syncs > 0, text));
}

static void add_counts(struct stead_columns *columns, const struct stead_compare_cell *cell)
{
    const struct stead_compare_counts *it = &cell->counts;
    const struct stead_storage *storage = &it->storage;
    bool counted = cell->latency.count > 0 && (it->messages > 0 || (cell->partly && cell->start == STEAD_COMPARE_HOT));
    bool all = counted && !cell->partly;
    double operations = storage->enqueues + storage->dequeues + storage->deletes + storage->renews + storage->empty +
                        storage->reads + storage->writes;
    char text[STEAD_PRINT_SIZE];

    stead_columns_add(columns, "%s", print_number(it->messages, counted && it->messages > 0, text));
    stead_columns_add(columns, "%s", print_number(operations, counted, text));
    stead_columns_add(columns, "%s", print_number(storage->empty, counted, text));
    stead_columns_add(columns, "%s", print_number(it->syncs, all, text));
    stead_columns_add(columns, "%s", all ? stead_print_size((uint64_t)(it->entry_bytes + it->row_bytes), text) : "-");
    stead_columns_add(columns, "%s", print_us(it->cpu_ns / 1000, all, text));
    stead_columns_add(columns, "%s", print_number(cell->money * 1e6, counted && has_price(cell), text));
}

/* What others published of it, by source: one line each. */
static void print_published(const struct stead_compare_work *work, FILE *file)
{
    const char *source = NULL;

    for (size_t k = 0; k < sizeof published / sizeof published[0]; k++) {
        char text[STEAD_PRINT_SIZE];
        if (strcmp(published[k].workload, work->name) != 0)
            continue;
        if (!source || strcmp(source, published[k].source) != 0)
            fprintf(file, "%spublished (%s): ", source ? "\n" : "", published[k].source);
        else
            fputs("; ", file);
        source = published[k].source;
        fprintf(file, "%s %s", published[k].who, print_us(published[k].us, true, text));
    }
    if (source)
        fputc('\n', file);
}

static void print_work(const struct stead_compare *compare, const struct stead_compare_work *work, FILE *file,
                       bool bold)
{
    static const char *const titles[] = {"FABRIC", "HUB",        "START",   ">N",         ">P50",      ">P99", ">MEAN",
                                         ">FLOOR", ">P50/FLOOR", ">RATE/S", ">ITS SYNCS", ">MESSAGES", ">OPS", ">EMPTY",
                                         ">SYNCS", ">BYTES",     ">CPU",    ">MONEY/M",   NULL};
    struct stead_columns *columns = stead_columns_create(titles);

    fprintf(file, "\n%s: %s\n", work->name, work->title);
    for (uint32_t i = 0; i < compare->cell_count; i++) {
        const struct stead_compare_cell *cell = &compare->cells[i];
        const char *hub = place(cell->fabric, cell->apart);
        if (cell->work != work)
            continue;
        if (cell->size != work->size)
            stead_columns_add(columns, "%s, %u", cell->fabric->name, cell->size);
        else
            stead_columns_add(columns, "%s", cell->fabric->name);
        stead_columns_add(columns, "%s", hub ? hub : "-");
        stead_columns_add(columns, "%s%s", cell->start == STEAD_COMPARE_COLD ? "cold" : "hot",
                          cell->failed > 0              ? ", failed"
                          : is_disturbed(compare, cell) ? " *"
                                                        : "");
        add_times(columns, cell);
        add_counts(columns, cell);
    }
    stead_columns_print_within(columns, file, bold, stead_print_width(file), KEYS);
    stead_columns_destroy(&columns);
    print_published(work, file);
    if (work->measure == stead_compare_election)
        fputs("not on the back-off: a member that may hear nothing for 36 s can tell nobody's silence; not with the "
              "hub apart: each member's queue lies beside it; not cold: signs of life keep its pollers awake\n",
              file);
}

static void print_idle(const struct stead_compare *compare, FILE *file, bool bold)
{
    static const char *const titles[] = {"FABRIC",   "HUB",  ">STORAGE OPS/S", ">BYTES/S",
                                         ">WAKES/S", ">CPU", ">MONEY/H",       NULL};
    struct stead_columns *columns = stead_columns_create(titles);
    char text[STEAD_PRINT_SIZE];

    for (uint32_t i = 0; i < compare->idle_count; i++) {
        const struct stead_compare_idle *idle = &compare->idles[i];
        struct stead_compare_counts none = {0},
                                    one = stead_compare_counts_since(&idle->counts, &none, idle->hubs ? idle->hubs : 1);
        const char *hub = place(idle->fabric, idle->apart);
        stead_columns_add(columns, "%s", idle->fabric->name);
        stead_columns_add(columns, "%s", hub ? hub : "-");
        stead_columns_add(columns, "%s",
                          print_number(one.storage.empty + one.storage.dequeues + one.storage.renews +
                                           one.storage.reads + one.storage.writes,
                                       true, text));
        stead_columns_add(columns, "%s", stead_print_size((uint64_t)(one.entry_bytes + one.row_bytes), text));
        stead_columns_add(columns, "%s", print_number(one.wakes, true, text));
        stead_columns_add(columns, "%.2f %%", one.cpu_ns / 1e7);
        stead_columns_add(columns, "%s", print_number(idle->money, true, text));
    }
    fputs("\nidle: what a fabric costs that nobody asks for anything; of hubs side by side one, with its share of "
          "their node\n",
          file);
    stead_columns_print_within(columns, file, bold, stead_print_width(file), 2);
    stead_columns_destroy(&columns);
}

static void add_operations(struct stead_columns *columns, const char *name, const char *hub, const double *numbers,
                           size_t count)
{
    char text[STEAD_PRINT_SIZE];

    stead_columns_add(columns, "%s", name);
    stead_columns_add(columns, "%s", hub);
    for (size_t k = 0; k < count; k++)
        stead_columns_add(columns, "%s", print_number(numbers[k], numbers[k] >= 0, text));
}

/* Storage operations of a sequence of 3, kind by kind, beside what is known of another system. */
static void print_operations(const struct stead_compare *compare, FILE *file, bool bold)
{
    static const char *const titles[] = {"HELLO3 BY", "HUB",    ">ENQUEUE", ">DEQUEUE", ">DELETE",
                                         ">READ",     ">WRITE", ">RENEW",   ">EMPTY",   NULL};
    struct stead_columns *columns = stead_columns_create(titles);

    for (uint32_t i = 0; i < compare->cell_count; i++) {
        const struct stead_compare_cell *cell = &compare->cells[i];
        const struct stead_storage *it = &cell->counts.storage;
        const double all[] = {it->enqueues, it->dequeues, it->deletes, it->reads, it->writes, it->renews, it->empty};
        const double own[] = {it->own_enqueues, it->own_dequeues, -1, it->own_reads, it->own_writes, -1, -1};
        if (strcmp(cell->work->name, "hello3") != 0 || !cell->fabric->hub || cell->start != STEAD_COMPARE_HOT ||
            cell->latency.count == 0)
            continue;
        add_operations(columns, cell->fabric->name, place(cell->fabric, cell->apart), all, sizeof all / sizeof all[0]);
        add_operations(columns, "  its orchestrator", "", own, sizeof own / sizeof own[0]);
    }
    if (stead_columns_rows(columns) > 0) {
        const double known[] = {KNOWN_ENQUEUES, KNOWN_DEQUEUES, -1, KNOWN_READS, KNOWN_WRITES, -1, -1};
        add_operations(columns, "Durable Functions' orchestrator, known", "", known, sizeof known / sizeof known[0]);
        fputs("\nstorage operations of a sequence of 3 activities, a run: client, orchestrator and activities; and of "
              "the orchestrator alone\n",
              file);
        stead_columns_print_within(columns, file, bold, stead_print_width(file), 2);
    }
    stead_columns_destroy(&columns);
}

void stead_compare_print(const struct stead_compare *compare, FILE *file, bool bold)
{
    char trip[STEAD_PRINT_SIZE], put[STEAD_PRINT_SIZE];

    fprintf(file, "floors: a round trip of ZeroMQ, 1 KB %s; a synced write, 1 KB %s (p50, n %zu)\n",
            print_us(compare->trip.p50, compare->trip.count > 0, trip),
            print_us(compare->put.p50, compare->put.count > 0, put), compare->put.count);
    if (compare->quick)
        fputs(
            "quick: fewer samples, smaller data, the hub beside the workers only, and no cold starts of polled hubs\n",
            file);
    for (uint32_t i = 0; i < compare->work_count; i++)
        print_work(compare, compare->works[i], file, bold);
    fputs("\nRATE/S: with many runs on their way at once; ITS SYNCS: of one of them, which share syncs\n", file);
    for (uint32_t i = 0; i < compare->cell_count; i++) {
        if (is_disturbed(compare, &compare->cells[i])) {
            fputs("*: the disk was busy with something else: a synced write took more than twice as long as at the "
                  "start\n",
                  file);
            break;
        }
    }
    print_operations(compare, file, bold);
    print_idle(compare, file, bold);
    fprintf(file, "\nmoney: %s a million runs, in --json and on the page; %s\n", compare->prices.currency,
            compare->prices.source);
}
