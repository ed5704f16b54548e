/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare_run: runs, and the cell that they make.
 *
 * A lane makes one run after the other: hot, each as soon as the last has ended; cold, each at a random moment of an
 * interval that begins when the pollers have reached their longest one. Where a fabric sleeps most of the time, many
 * lanes go on side by side, each with a hub of its own, so that they neither wake nor wait for each other: a hundred
 * samples of seconds take no hundred times as long. Where it keeps the machine busy there is one. Hot, with the
 * back-off, all lanes share a hub: a single one's pollers fall asleep between two runs, because each run's instance
 * lies in another partition.
 *
 * The rate is measured by itself: many lanes on one hub.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/compare.h"
#include "cmd/compare_hub.h"
#include "runtime/base.h"
#include "stead/orchestration_client.h"

#define RUN_TIMEOUT_MS 900000 /* a cold run of ten steps at the longest interval takes minutes */
#define COLD_LANES 24u        /* of a workload, unless it says how many */
#define COLD_ROUNDS 1u
#define COLD_ROUNDS_SHORT 5u /* where the longest interval is short */
#define COLD_SHORT_MS 1000
#define HURRIED_LANES 4u         /* of a workload of a polled fabric when quick */
#define HURRIED_RUNS 2u          /* of each of them */
#define SPAN_QUICK_NS 700000000u /* no sample of a cell begins later, where runs are short */
#define SPAN_NS 10000000000u
#define SPAN_HURRIED_NS 4000000000u /* when quick, of the lanes of polled fabrics */
#define SPAN_RATE_NS 3000000000u
#define SPAN_RATE_QUICK_NS 300000000u
#define WARM_UP 3u /* runs of a lane that are no samples, where they are short */
#define FLOOR_SLICE_QUICK 30u
#define FLOOR_SLICE 200u /* samples of each floor, before and after */

struct drive;

struct lane {
    struct drive *drive;
    const struct stead_compare_work *work;
    uint32_t index;    /* among the session's lanes: its agents */
    uint32_t hub;      /* its hub */
    uint32_t left;     /* runs to be begun */
    uint64_t due_ns;   /* not before */
    uint64_t start_ns; /* of the present run */
    bool running;
    uint64_t number; /* of the present run */
    uint64_t *samples;
    size_t count; /* samples so far */
    bool counted; /* `storage` is what its hub counted during its runs */
    struct stead_storage storage;
};

/* Some lanes until their runs are made. */
struct drive {
    struct stead_compare_session *session;
    struct lane *lanes;
    uint32_t lane_count;
    bool cold;
    bool count_each;   /* each lane's hub when its runs are made */
    uint64_t until_ns; /* no run begins after it; 0: as many as the lanes have */
    uint64_t done;     /* runs that have ended well */
    uint64_t failed;
    uint64_t running;
    char why[256]; /* of the first that failed */
};

static uint64_t random_below(uint64_t limit)
{
    return limit ? (uint64_t)random() * 1000003u % limit : 0;
}

/* When a lane's next run begins whose hub does nothing since `quiet_ns`. */
static uint64_t next_start(const struct drive *drive, uint64_t quiet_ns)
{
    const struct stead_compare_fabric *fabric = drive->session->fabric;
    uint64_t now_ns = stead_bench_now_ns(), settled_ns = quiet_ns + (uint64_t)fabric->settle_ms * 1000000u;

    if (!drive->cold)
        return now_ns;
    return (settled_ns > now_ns ? settled_ns : now_ns) + random_below((uint64_t)fabric->longest_ms * 1000u) * 1000u;
}

static void fail_run(struct drive *drive, const struct lane *lane, const char *why)
{
    if (drive->failed++ == 0)
        snprintf(drive->why, sizeof drive->why, "run %u of lane %u: %.200s", (unsigned)lane->number, lane->index, why);
    for (uint32_t i = 0; i < drive->lane_count; i++)
        drive->lanes[i].left = 0;
}

/* What is wrong with what a run answered; NULL: nothing. */
static const char *judge(const struct lane *lane, const struct stead_answer *answer, char *text, size_t size)
{
    struct stead_instance instance;

    if (answer->code != 0) {
        snprintf(text, size, "%s: %s", answer->error_name, answer->error_sentence);
        return text;
    }
    if (stead_instance_read(answer->value, &instance) != 0)
        return "its answer tells of no instance";
    if (instance.status != STEAD_INSTANCE_COMPLETED) {
        snprintf(text, size, "%.20s: %.60s: %.160s", stead_instance_status_name(instance.status), instance.error_name,
                 instance.error_sentence);
        return text;
    }
    return lane->work->check(lane->drive->session, lane->work, lane->index, lane->number, instance.output)
               ? NULL
               : "it answered something else than it must";
}

static void on_end(void *context, const struct stead_answer *answer)
{
    struct lane *lane = context;
    struct drive *drive = lane->drive;
    uint64_t took_ns = stead_bench_now_ns() - lane->start_ns;
    char text[256];
    const char *why = judge(lane, answer, text, sizeof text);

    lane->running = false;
    drive->running--;
    if (why) {
        fail_run(drive, lane, why);
        return;
    }
    drive->done++;
    if (lane->samples)
        lane->samples[lane->count++] = took_ns;
    lane->due_ns = next_start(drive, stead_bench_now_ns());
}

static int begin_run(struct lane *lane)
{
    struct stead_compare_session *session = lane->drive->session;
    char hub[STEAD_COMPARE_HUB_SIZE];
    struct stead_instance_options options = {.hub = stead_compare_hub_name(session, lane->hub, hub),
                                             .timeout_ms = RUN_TIMEOUT_MS};
    struct stead_writer input;

    stead_writer_init(&input);
    lane->number = session->numbers[lane->index]++;
    lane->work->input(session, lane->work, lane->index, lane->number, &input);
    lane->start_ns = stead_bench_now_ns();
    lane->running = true;
    lane->left--;
    lane->drive->running++;
    int code = stead_instance_run_async(session->client, lane->work->orchestrator, stead_written(&input), &options,
                                        on_end, lane);
    stead_writer_deinit(&input);
    return code;
}

/* Begins what is due; the next moment at which something will be, or 0: nothing will. */
static int begin_due(struct drive *drive, uint64_t *ret_next_ns)
{
    uint64_t now_ns = stead_bench_now_ns(), next_ns = 0;

    for (uint32_t i = 0; i < drive->lane_count; i++) {
        struct lane *lane = &drive->lanes[i];
        if (lane->running || lane->left == 0 || (drive->until_ns && now_ns >= drive->until_ns))
            continue;
        if (lane->due_ns > now_ns) {
            next_ns = next_ns == 0 || lane->due_ns < next_ns ? lane->due_ns : next_ns;
            continue;
        }
        int code = begin_run(lane);
        if (code != 0)
            return code;
    }
    *ret_next_ns = next_ns;
    return 0;
}

/* Counts the hubs of lanes whose runs are made, before their pollers go on for nobody. */
static int count_done(struct drive *drive)
{
    bool over = drive->until_ns && stead_bench_now_ns() >= drive->until_ns;
    int code = 0;

    for (uint32_t i = 0; code == 0 && i < drive->lane_count; i++) {
        struct lane *lane = &drive->lanes[i];
        if (lane->running || (lane->left > 0 && !over) || lane->counted)
            continue;
        const struct stead_compare_counts before = {.storage = lane->storage};
        struct stead_compare_counts after = {0};
        code = stead_compare_hub_count(drive->session, lane->hub, &after.storage);
        lane->storage = stead_compare_counts_since(&after, &before, 1).storage;
        lane->counted = true;
    }
    return code;
}

/* Until every lane has made its runs. */
static int drive_all(struct drive *drive)
{
    struct stead_compare_session *session = drive->session;
    const struct stead_bench *bench = &session->compare->bench;
    uint64_t next_ns = 0;

    for (uint32_t i = 0; i < drive->lane_count; i++)
        drive->lanes[i].due_ns = next_start(drive, session->made_ns);
    for (;;) {
        int code = begin_due(drive, &next_ns);
        if (code != 0)
            return stead_bench_fail(bench, "no run begins: %s", stead_error_sentence(code));
        if (drive->running == 0 && next_ns == 0)
            break;
        uint64_t now_ns = stead_bench_now_ns();
        int wait_ms = next_ns == 0 ? -1 : next_ns > now_ns ? (int)((next_ns - now_ns) / 1000000u) + 1 : 0;
        code = stead_client_poll(session->client, wait_ms);
        if (code < 0)
            return stead_bench_fail(bench, "the client: %s", stead_error_sentence(code));
        if (drive->count_each && count_done(drive) != 0)
            return STEAD_EFAILED;
    }
    return drive->failed ? stead_bench_fail(bench, "%s", drive->why) : 0;
}

/* ---- One cell ------------------------------------------------------------------------------- */

static struct stead_compare_cell *new_cell(struct stead_compare_session *session, const struct stead_compare_work *work,
                                           enum stead_compare_start start)
{
    struct stead_compare *compare = session->compare;

    STEAD_ASSERT(compare->cell_count < STEAD_COMPARE_CELLS_MAX);
    struct stead_compare_cell *cell = &compare->cells[compare->cell_count++];
    *cell = (struct stead_compare_cell){.work = work,
                                        .fabric = session->fabric,
                                        .start = start,
                                        .apart = session->apart,
                                        .size = work->size,
                                        .lanes = 1,
                                        .poll = -1,
                                        .latency = {.p99 = -1}};
    return cell;
}

/* Lanes 0 .. count-1, each with `runs` to make and room for its samples; on hub `hub_of` (i or always 0). */
static struct lane *make_lanes(struct drive *drive, const struct stead_compare_work *work, uint32_t count,
                               uint32_t runs, bool own_hubs)
{
    struct lane *lanes = stead_alloc_zero(count * sizeof *lanes);

    for (uint32_t i = 0; i < count; i++)
        lanes[i] = (struct lane){.drive = drive, .work = work, .index = i, .hub = own_hubs ? i : 0, .left = runs};
    drive->lanes = lanes;
    drive->lane_count = count;
    return lanes;
}

/* All samples of some lanes. Returned: free(). */
static uint64_t *gather(const struct lane *lanes, uint32_t count, size_t *ret_count)
{
    size_t total = 0, at = 0;

    for (uint32_t i = 0; i < count; i++)
        total += lanes[i].count;
    uint64_t *samples = stead_alloc(total * sizeof *samples + 1);
    for (uint32_t i = 0; i < count; i++) {
        memcpy(samples + at, lanes[i].samples, lanes[i].count * sizeof *samples);
        at += lanes[i].count;
    }
    *ret_count = total;
    return samples;
}

static void free_lanes(struct lane *lanes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        free(lanes[i].samples);
    free(lanes);
}

static uint32_t steps_of(const struct stead_compare_session *session, const struct stead_compare_work *work)
{
    return work->steps ? work->steps(session) : 1;
}

void stead_compare_derive(const struct stead_compare_session *session, struct stead_compare_cell *cell)
{
    const struct stead_compare_counts *counts = &cell->counts;
    double mean = cell->latency.mean, wire = cell->work->trips * cell->trip;
    double disk = counts->sync_ns / 1000;

    cell->floor = wire + cell->work->puts * cell->put;
    cell->wire = wire < mean ? wire : mean;
    cell->disk = disk < mean - cell->wire ? disk : mean - cell->wire;
    cell->money =
        stead_price_of(&session->compare->prices, &counts->storage, counts->entry_bytes, counts->cpu_ns / 1e9);
}

/* Runs one at a time in each lane, between two looks at the counters. */
static int measure_latency(struct stead_compare_session *session, struct stead_compare_cell *cell, uint32_t lane_count,
                           uint32_t runs)
{
    struct drive drive = {.session = session};
    struct stead_compare_counts before, after;
    uint32_t steps = steps_of(session, cell->work);
    size_t count = 0;

    bool sleeps = session->fabric->interval_ms != 0;
    uint32_t warm_up = sleeps ? !cell->work->one_lane : WARM_UP; /* of a slow one, its data is there already */
    struct lane *lanes = make_lanes(&drive, cell->work, lane_count, warm_up, !session->fabric->shared);
    int code = drive_all(&drive);
    for (uint32_t i = 0; i < lane_count; i++) {
        lanes[i].left = runs;
        lanes[i].samples = stead_alloc(runs * sizeof(uint64_t));
    }
    drive.done = 0;
    uint64_t span_ns = session->compare->quick ? SPAN_QUICK_NS : SPAN_NS;
    bool long_runs = cell->work->one_lane || cell->work->lanes_max;
    drive.until_ns = sleeps && !long_runs ? 0 : stead_bench_now_ns() + span_ns;
    if (code == 0)
        code = stead_compare_count(session, STEAD_COMPARE_BEFORE, &before);
    if (code == 0)
        code = drive_all(&drive);
    if (code == 0)
        code = stead_compare_count(session, STEAD_COMPARE_AFTER, &after);
    uint64_t *samples = gather(lanes, lane_count, &count);
    stead_distribution_of(samples, count, 1000.0 * steps, &cell->latency);
    free(samples);
    free_lanes(lanes, lane_count);
    cell->lanes = lane_count;
    cell->failed = (double)drive.failed;
    if (code != 0)
        return code;
    cell->counts = stead_compare_counts_since(&after, &before, (double)drive.done * steps);
    if (cell->work->fetches)
        cell->work->fetches(session, &cell->counts.storage);
    return 0;
}

/* Many lanes on one hub, for some seconds; one that keeps a core busy has no other beside it: what its one lane made of
 * the time. */
static int measure_rate(struct stead_compare_session *session, struct stead_compare_cell *cell)
{
    uint64_t span_ns = session->compare->quick ? SPAN_RATE_QUICK_NS : SPAN_RATE_NS;
    struct drive drive = {.session = session};
    struct stead_bench_stats before, after;

    cell->in_flight = cell->work->in_flight;
    if (cell->work->one_lane) {
        cell->rate = 1e6 / cell->latency.mean;
        cell->rate_syncs = cell->counts.syncs;
        return 0;
    }
    int code = stead_bench_stats(&session->compare->bench, session->client, &before);
    if (code != 0)
        return code;
    struct lane *lanes = make_lanes(&drive, cell->work, cell->in_flight, UINT32_MAX, false);
    uint64_t start_ns = stead_bench_now_ns();
    drive.until_ns = start_ns + span_ns;
    code = drive_all(&drive);
    uint64_t took_ns = stead_bench_now_ns() - start_ns;
    if (code == 0)
        code = stead_bench_stats(&session->compare->bench, session->client, &after);
    cell->rate = code == 0 ? (double)drive.done * 1e9 / (double)took_ns : 0;
    cell->rate_syncs = code == 0 && drive.done > 0 ? (double)(after.syncs - before.syncs) / (double)drive.done : 0;
    free_lanes(lanes, cell->in_flight);
    return code;
}

/* How many samples a lane makes: a fabric that sleeps is given fewer, but a hundred in all. */
static uint32_t runs_of(const struct stead_compare_session *session, const struct stead_compare_work *work,
                        uint32_t lanes)
{
    uint32_t wanted = session->compare->quick ? work->runs_quick : work->runs;

    if (work->one_lane)
        return wanted;
    if (session->fabric->interval_ms != 0)
        wanted = wanted < 112 ? wanted : 112;
    return (wanted + lanes - 1) / lanes;
}

/* An orchestration: its runs between two slices of the floors, then the rate. */
static int measure_runs(struct stead_compare_session *session, struct stead_compare_cell *cell)
{
    const struct stead_compare_work *work = cell->work;
    uint32_t lanes = work->one_lane                                                ? 1
                     : work->lanes_max && work->lanes_max < session->fabric->lanes ? work->lanes_max
                                                                                   : session->fabric->lanes;
    uint64_t trips[2 * FLOOR_SLICE], puts[2 * FLOOR_SLICE];
    uint32_t slice = session->compare->quick ? FLOOR_SLICE_QUICK : FLOOR_SLICE;

    int code = stead_compare_floors(session->compare, slice, trips, puts);
    if (code == 0)
        code = measure_latency(session, cell, lanes, runs_of(session, work, lanes));
    if (code == 0)
        code = stead_compare_floors(session->compare, slice, trips + slice, puts + slice);
    if (code != 0)
        return code;
    cell->trip = (double)stead_bench_quantile(trips, 2 * slice, 500) / 1000;
    cell->put = (double)stead_bench_quantile(puts, 2 * slice, 500) / 1000;
    stead_compare_derive(session, cell);
    return work->in_flight ? measure_rate(session, cell) : 0;
}

void stead_compare_miss(struct stead_compare_session *session, enum stead_compare_start start)
{
    struct stead_compare *compare = session->compare;

    for (uint32_t i = 0; i < compare->work_count; i++) {
        const struct stead_compare_work *work = compare->works[i];
        bool wanted = start == STEAD_COMPARE_HOT || work->cold;
        for (uint32_t k = 0; wanted && k < compare->cell_count; k++) {
            const struct stead_compare_cell *cell = &compare->cells[k];
            wanted = cell->work != work || cell->fabric != session->fabric || cell->apart != session->apart ||
                     cell->start != start;
        }
        if (wanted && stead_compare_is_possible(session, work))
            new_cell(session, work, start)->failed = 1;
    }
}

bool stead_compare_is_possible(const struct stead_compare_session *session, const struct stead_compare_work *work)
{
    return work->measure != stead_compare_election || (session->fabric->interval_ms >= 0 && !session->apart);
}

int stead_compare_hot(struct stead_compare_session *session, const struct stead_compare_work *work)
{
    if (!stead_compare_is_possible(session, work))
        return 0;
    struct stead_compare_cell *cell = new_cell(session, work, STEAD_COMPARE_HOT);

    memset(session->numbers, 0, sizeof session->numbers);
    int code = work->prepare ? work->prepare(session) : 0;
    if (code == 0)
        code = work->measure ? work->measure(session, cell) : measure_runs(session, cell);
    if (code != 0 && cell->failed == 0)
        cell->failed = 1;
    return code;
}

int stead_compare_cold(struct stead_compare_session *session, const struct stead_compare_work *work)
{
    struct stead_compare_cell *cell = new_cell(session, work, STEAD_COMPARE_COLD);
    int code = work->measure(session, cell);

    cell->failed = code != 0;
    return code;
}

/* ---- Side by side --------------------------------------------------------------------------- */

/* Is the work measured together with others, in this way of starting? */
static bool is_together(const struct stead_compare_work *work, enum stead_compare_start start)
{
    return work->orchestrator && (start == STEAD_COMPARE_HOT || work->cold);
}

static uint32_t lanes_together(const struct stead_compare_work *work, enum stead_compare_start start)
{
    if (work->one_lane)
        return 1;
    return start == STEAD_COMPARE_HOT ? HURRIED_LANES : work->lanes_max ? work->lanes_max : COLD_LANES;
}

uint32_t stead_compare_together_hubs(const struct stead_compare *compare, enum stead_compare_start start)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < compare->work_count; i++)
        count += is_together(compare->works[i], start) ? lanes_together(compare->works[i], start) : 0;
    return count;
}

/* The cell of the lanes of one workload; what their hubs counted is known, what the nodes did for them is not. */
static void take_together(struct stead_compare_session *session, const struct lane *lanes, uint32_t count,
                          enum stead_compare_start start)
{
    struct stead_compare_cell *cell = new_cell(session, lanes->work, start);
    uint32_t steps = steps_of(session, lanes->work);
    size_t total = 0;
    uint64_t *samples = gather(lanes, count, &total);
    struct stead_compare_counts none = {0}, all = {0};

    stead_distribution_of(samples, total, 1000.0 * steps, &cell->latency);
    free(samples);
    cell->lanes = count;
    cell->partly = true;
    cell->trip = session->compare->trip.p50;
    cell->put = session->compare->put.p50;
    if (start == STEAD_COMPARE_HOT) {
        for (uint32_t i = 0; i < count; i++) {
            const struct stead_compare_counts one = {.storage = lanes[i].storage};
            const double *from = (const double *)&one;
            for (size_t k = 0; k < sizeof one / sizeof(double); k++)
                ((double *)&all)[k] += from[k];
        }
        cell->counts.storage = stead_compare_counts_since(&all, &none, (double)(total * steps)).storage;
        if (lanes->work->fetches)
            lanes->work->fetches(session, &cell->counts.storage);
    }
    stead_compare_derive(session, cell);
}

static void take_all_together(struct stead_compare_session *session, const struct lane *lanes, uint32_t lane_count,
                              enum stead_compare_start start)
{
    for (uint32_t at = 0, count = 0; at < lane_count; at += count) {
        count = lanes_together(lanes[at].work, start);
        take_together(session, lanes + at, count, start);
    }
}

int stead_compare_together(struct stead_compare_session *session, enum stead_compare_start start)
{
    struct stead_compare *compare = session->compare;
    uint32_t lane_count = stead_compare_together_hubs(compare, start), at = 0;
    bool cold = start == STEAD_COMPARE_COLD, soon = session->fabric->longest_ms <= COLD_SHORT_MS;
    uint32_t rounds = !cold ? HURRIED_RUNS : soon ? COLD_ROUNDS_SHORT : COLD_ROUNDS;
    struct drive drive = {.session = session, .cold = cold};
    int code = 0;

    if (lane_count == 0)
        return 0;
    STEAD_ASSERT(lane_count <= STEAD_COMPARE_HUBS_MAX);
    memset(session->numbers, 0, sizeof session->numbers);
    struct lane *lanes = make_lanes(&drive, NULL, lane_count, rounds, true);
    for (uint32_t i = 0; i < compare->work_count; i++) {
        const struct stead_compare_work *work = compare->works[i];
        if (!is_together(work, start))
            continue;
        if (code == 0 && work->prepare)
            code = work->prepare(session);
        for (uint32_t k = 0; k < lanes_together(work, start); k++, at++) {
            lanes[at].work = work;
            lanes[at].left = work->one_lane && !cold ? 1 : rounds;
            lanes[at].samples = stead_alloc(rounds * sizeof(uint64_t));
        }
    }
    if (code == 0)
        code = stead_compare_session_hubs(session, lane_count);
    drive.count_each = !cold;
    drive.until_ns = cold ? 0 : stead_bench_now_ns() + SPAN_HURRIED_NS; /* every lane's first run begins at once */
    for (uint32_t i = 0; code == 0 && !cold && i < lane_count; i++)
        code = stead_compare_hub_count(session, lanes[i].hub, &lanes[i].storage);
    if (code == 0)
        code = drive_all(&drive);
    if (code == 0)
        take_all_together(session, lanes, lane_count, start);
    free_lanes(lanes, lane_count);
    return code;
}
