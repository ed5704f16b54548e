/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_replay: replay: events of a history a second, from their stored bytes to the code that waits again where it
 * waited. In this process, with the engine that every fabric and the dry run drive; no disk and no agent is in the
 * figure `rate`; bench_replay_node.c has those in a node. The floor is reading the same bytes and doing nothing with
 * them.
 */
#include <stdlib.h>
#include <string.h>

#include "agents/agents.h"
#include "agents/engine.h"
#include "cmd/bench.h"
#include "runtime/base.h"

#define STEPS 25000u /* of the history: four events each */
#define STEPS_QUICK 2500u
#define RUNS 5u
#define NOW_MS 1700000000000

/* A history in memory, as rows of one event each. */
struct history {
    struct stead_writer bytes;
    uint64_t events;
    uint64_t asked; /* id of the newest TaskScheduled */
};

static void keep_event(void *context, const struct stead_history_event *event)
{
    struct history *history = context;

    stead_history_write(&history->bytes, event);
    history->events++;
    if (event->type == STEAD_HISTORY_TASK_SCHEDULED)
        history->asked = event->id;
}

static const struct stead_orchestrator *find_hello(void)
{
    for (size_t i = 0; stead_bench_orchestrators[i]; i++) {
        if (strcmp(stead_bench_orchestrators[i]->name, "compare.hello") == 0)
            return stead_bench_orchestrators[i];
    }
    return NULL;
}

/* Runs `steps` of them, and stops before the last one's answer: an instance that waits. */
static int make_history(struct stead_engine *engine, uint32_t steps, struct history *history)
{
    uint8_t memory[64], hello[64];
    struct stead_writer input, output;

    stead_writer_init_fixed(&input, memory, sizeof memory);
    stead_writer_init_fixed(&output, hello, sizeof hello);
    stead_pack(&input, "{s:u}", "count", (uint64_t)steps);
    stead_pack(&output, "s", "Hello city!");
    struct stead_history_event start = {
        .type = STEAD_HISTORY_EXECUTION_STARTED, .name = stead_str("compare.hello"), .value = stead_written(&input)};
    stead_engine_begin(engine, NOW_MS);
    stead_engine_input(engine, &start);
    int code = stead_engine_run(engine, keep_event, history);
    for (uint32_t i = 1; code == 0 && i < steps; i++) {
        struct stead_history_event done = {
            .type = STEAD_HISTORY_TASK_COMPLETED, .ref = history->asked, .value = stead_written(&output)};
        stead_engine_begin(engine, NOW_MS + i);
        stead_engine_input(engine, &done);
        code = stead_engine_run(engine, keep_event, history);
    }
    stead_writer_deinit(&input);
    stead_writer_deinit(&output);
    return code;
}

/* Reads every event, and gives it to the engine (NULL: to nobody); events a second. */
static int replay(struct stead_engine *engine, const struct history *history, double *ret_rate)
{
    struct stead_reader reader = stead_reader(stead_written(&history->bytes));
    uint64_t start_ns = stead_bench_now_ns();
    int64_t time_ms = NOW_MS - 1;
    int code = 0;

    for (uint64_t id = 1; code == 0 && id <= history->events; id++) {
        struct stead_history_event event;
        code = stead_history_read(&reader, &event);
        if (code != 0)
            break;
        time_ms += event.type == STEAD_HISTORY_ORCHESTRATOR_STARTED;
        event.id = id;
        event.time_ms = time_ms;
        if (engine)
            code = stead_engine_replay(engine, &event);
    }
    *ret_rate = (double)history->events * 1e9 / (double)(stead_bench_now_ns() - start_ns);
    return code;
}

int stead_bench_replay(struct stead_bench *bench)
{
    struct stead_fibers *fibers = stead_fibers_create(16);
    struct stead_engine_options options = {
        .orchestrator = find_hello(), .instance = "replay", .execution = 1, .fibers = fibers};
    struct history history = {.events = 0};
    double rates[RUNS] = {0}, floors[RUNS] = {0};

    stead_writer_init(&history.bytes);
    struct stead_engine *engine = stead_engine_create(&options);
    int code = make_history(engine, bench->quick ? STEPS_QUICK : STEPS, &history);
    uint64_t last = stead_engine_last(engine);
    stead_engine_destroy(&engine);
    for (uint32_t i = 0; code == 0 && i < RUNS; i++) {
        code = replay(NULL, &history, &floors[i]);
        engine = stead_engine_create(&options);
        if (code == 0)
            code = replay(engine, &history, &rates[i]);
        if (code == 0 && stead_engine_last(engine) != last)
            code = STEAD_ECORRUPT;
        stead_engine_destroy(&engine);
    }
    stead_fibers_destroy(&fibers);
    if (code == 0) {
        struct stead_bench_figure figure = {.metric = "rate",
                                            .value = stead_bench_median(rates, RUNS),
                                            .unit = "1/s",
                                            .floor = stead_bench_median(floors, RUNS),
                                            .target = "value >= 1000000",
                                            .settings = json_pack("{s:I,s:f}", "events", (json_int_t)history.events,
                                                                  "bytes_per_event",
                                                                  (double)history.bytes.size / (double)history.events)};
        stead_bench_report(bench, &figure);
    }
    stead_writer_deinit(&history.bytes);
    return code == 0 ? stead_bench_replay_node(bench) : stead_bench_fail(bench, "%s", stead_error_sentence(code));
}
