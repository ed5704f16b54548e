/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare_elect: the bully election, measured by its own program: `stead elect` on this session's nodes, a line of JSON
 * for each size of the group.
 *
 * A sample is a round, from the leader's silence to the last member that knows the next; messages, operations and
 * patience are those of the round with the median length. Patience and answer timeouts are in it, and stand apart:
 * polled members must be given more of them, which is a cost of polling. On the back-off a round waits out an answer
 * timeout of 6 s (`stead elect --poll backoff` measures it), so it is not measured there; nor with the hub apart: each
 * member's queue lies beside it (agents/carrier.h), which is kind to the hub; nor cold: signs of life keep the pollers
 * awake.
 *
 * Where 250 ms are measured, two other intervals are besides, unless it must be quick: what an election costs is the
 * interval by the members.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/compare.h"

#define SIZES "3,10,50"
#define SIZES_QUICK "3"
#define ROUNDS 5
#define ROUNDS_QUICK 3
#define ROUNDS_QUICK_POLLED 1
#define ROUNDS_SLOW 2 /* of an interval of a second */
#define SLOW_MS 1000
#define LINE_SIZE 4096u

static double number(const json_t *line, const char *name)
{
    return json_number_value(json_object_get(line, name));
}

/* One line: a cell of its own. The first goes into the cell that is there. */
static void take_line(struct stead_compare_cell *cell, const struct stead_prices *prices, const json_t *line)
{
    const json_t *rounds = json_object_get(line, "all_rounds_ms");
    uint64_t samples[ROUNDS] = {0};
    size_t count = json_array_size(rounds) < ROUNDS ? json_array_size(rounds) : ROUNDS;

    for (size_t i = 0; i < count; i++)
        samples[i] = (uint64_t)(json_number_value(json_array_get(rounds, i)) * 1e6);
    cell->size = (uint32_t)number(line, "agents");
    stead_distribution_of(samples, count, 1000, &cell->latency);
    cell->patience = (number(line, "detection_ms") + number(line, "timeouts_ms")) * 1000;
    cell->floor = number(line, "floor_ms") * 1000;
    cell->partly = true;
    cell->counts.messages = number(line, "messages");
    cell->counts.storage = (struct stead_storage){.enqueues = number(line, "enqueues"),
                                                  .dequeues = number(line, "dequeues") - number(line, "empty"),
                                                  .empty = number(line, "empty"),
                                                  .deletes = number(line, "operations") - number(line, "enqueues") -
                                                             number(line, "dequeues")};
    if (cell->counts.storage.deletes < 0)
        cell->counts.storage.deletes = 0;
    cell->money = stead_price_of(prices, &cell->counts.storage, 0, 0);
}

/* The sweep: as fabrics, that no other workload runs on. */
const struct stead_compare_fabric stead_compare_intervals[] = {
    {.name = "hub-100ms", .title = "hub, polled every 100 ms", .hub = true, .interval_ms = 100},
    {.name = "hub-1s", .title = "hub, polled every second", .hub = true, .interval_ms = 1000},
    {.name = NULL}};

static void write_command(const struct stead_compare_session *session, const struct stead_compare_fabric *fabric,
                          char *text, size_t size)
{
    bool quick = session->compare->quick;
    int rounds = fabric->interval_ms >= SLOW_MS ? ROUNDS_SLOW : ROUNDS;
    char way[64] = "--fabric direct";

    if (quick)
        rounds = fabric->interval_ms > 0 ? ROUNDS_QUICK_POLLED : ROUNDS_QUICK;
    if (fabric->hub && fabric->interval_ms == 0)
        snprintf(way, sizeof way, "--fabric hub --poll notify");
    else if (fabric->hub)
        snprintf(way, sizeof way, "--fabric hub --poll %dms", (int)fabric->interval_ms);
    snprintf(text, size, "/proc/%d/exe elect --json --node %s --agents %s --rounds %d %s", (int)getpid(),
             session->worker.endpoint, quick ? SIZES_QUICK : SIZES, rounds, way);
}

/* On one fabric; `cell` is the first size's, the others' are appended. */
static int measure_on(struct stead_compare_session *session, const struct stead_compare_fabric *fabric,
                      struct stead_compare_cell *cell)
{
    struct stead_compare *compare = session->compare;
    char command[1024], text[LINE_SIZE];
    uint32_t lines = 0;

    cell->fabric = fabric;
    write_command(session, fabric, command, sizeof command);
    FILE *output = popen(command, "re");
    if (!output)
        return stead_bench_fail(&compare->bench, "election: %s", strerror(errno));
    const struct stead_compare_cell empty = *cell;
    while (fgets(text, sizeof text, output)) {
        json_t *line = json_loads(text, 0, NULL);
        if (line && lines++ > 0) {
            cell = &compare->cells[compare->cell_count++];
            *cell = empty;
        }
        if (line)
            take_line(cell, &compare->prices, line);
        json_decref(line);
    }
    if (pclose(output) != 0 || lines == 0)
        return stead_bench_fail(&compare->bench, "election: the program that measures it failed");
    return 0;
}

int stead_compare_election(struct stead_compare_session *session, struct stead_compare_cell *cell)
{
    struct stead_compare *compare = session->compare;
    const struct stead_compare_cell empty = *cell;
    int code = measure_on(session, session->fabric, cell);

    for (const struct stead_compare_fabric *other = stead_compare_intervals;
         code == 0 && session->fabric->interval_ms > 0 && !compare->quick && other->name; other++) {
        cell = &compare->cells[compare->cell_count++];
        *cell = empty;
        code = measure_on(session, other, cell);
        cell->failed = code != 0;
    }
    return code;
}
