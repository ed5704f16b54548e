/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_replay_node: the second half of `replay`: the same in a node, from its disk.
 *
 * Some instances take events, one after the other, pipelined: each is an episode, and the last ones must cost what the
 * first ones did. Then the node is killed and started again, and each instance gets the one event that it still needs:
 * it is replayed from its start and ends. Meanwhile another agent of the same reactor is called, one call at a time:
 * what the longest of them took is how long a replay keeps its neighbours waiting. Its floor is the longest of as many
 * calls while nothing is replayed.
 */
#include <stdio.h>

#include "cmd/bench.h"
#include "stead/orchestration_client.h"

#define INSTANCES 3u
#define TICKS 40000u /* of each: three events */
#define TICKS_QUICK 4000u
#define PARTS 10u
#define IN_FLIGHT 8192u
#define CALLS 200u /* for the floor */

struct replayed {
    struct stead_bench *bench;
    struct stead_client *client;
    struct stead_bench_node node;
    uint32_t ticks;
    uint64_t events;                       /* in the history of one of them */
    double first, last;                    /* ticks a second of the second part and of the last */
    double rates[INSTANCES];               /* events a second */
    uint64_t longest_ns, longest_alone_ns; /* calls */
    uint64_t asked_ns;                     /* the call on its way; 0: none */
    uint64_t *longest_at;                  /* which of the two it counts for */
    bool ended;                            /* the instance */
    int code;                              /* the first failure */
};

static const char *address_of(char *buffer, size_t size, uint32_t number)
{
    snprintf(buffer, size, "orchestration/ticks-%u", number);
    return buffer;
}

static void on_tick(void *context, const struct stead_answer *answer)
{
    struct replayed *it = context;

    if (it->code == 0)
        it->code = answer->code;
}

static void on_end(void *context, const struct stead_answer *answer)
{
    struct replayed *it = context;
    struct stead_instance instance;
    int code = answer->code != 0 ? answer->code : stead_instance_read(answer->value, &instance);
    uint64_t taken = 0;

    if (code == 0 && (instance.status != STEAD_INSTANCE_COMPLETED ||
                      stead_get_u64(instance.output, NULL, &taken) != 0 || taken != it->ticks))
        code = STEAD_EFAILED;
    if (code == 0)
        it->events = instance.events;
    if (it->code == 0)
        it->code = code;
    it->ended = true;
}

static void on_echo(void *context, const struct stead_answer *answer)
{
    struct replayed *it = context;
    uint64_t took_ns = stead_bench_now_ns() - it->asked_ns;

    if (took_ns > *it->longest_at)
        *it->longest_at = took_ns;
    it->asked_ns = 0;
    on_tick(context, answer);
}

/* Sees to it that a call is on its way, and takes answers. */
static void call_on(struct replayed *it)
{
    const struct stead_slice nothing = {NULL, 0};

    if (it->code == 0 && it->asked_ns == 0) {
        it->asked_ns = stead_bench_now_ns();
        it->code = stead_client_call_async(it->client, "bench.echo/neighbour", "echo", nothing, NULL, on_echo, it);
    }
    if (it->code == 0 && stead_client_poll(it->client, 1) < 0)
        it->code = STEAD_EIO;
}

static void raise_tick(struct replayed *it, const char *address)
{
    static const uint8_t tick[] = {0x81, 0xa4, 'n', 'a', 'm', 'e', 0xa4, 't', 'i', 'c', 'k'}; /* {name: "tick"} */

    while (it->code == 0 && stead_client_in_flight(it->client) >= IN_FLIGHT) {
        if (stead_client_poll(it->client, 1000) < 0)
            it->code = STEAD_EIO;
    }
    if (it->code == 0)
        it->code =
            stead_client_signal_async(it->client, address, "raise", stead_bytes(tick, sizeof tick), NULL, on_tick, it);
}

static int drain(struct replayed *it)
{
    if (it->code == 0)
        it->code = stead_client_drain(it->client, 120000);
    return it->code;
}

/* One instance that waits for its last tick. */
static int make(struct replayed *it, uint32_t number)
{
    uint32_t part = it->ticks / PARTS;
    struct stead_writer args;
    char address[64];

    address_of(address, sizeof address, number);
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:{s:u}}", "name", "bench.ticks", "input", "count", (uint64_t)it->ticks);
    it->code = stead_client_call(it->client, address, "start", stead_written(&args), NULL, NULL);
    stead_writer_deinit(&args);
    for (uint32_t i = 0; it->code == 0 && i < PARTS; i++) {
        uint64_t start_ns = stead_bench_now_ns();
        for (uint32_t k = 0; it->code == 0 && k < part - (i + 1 == PARTS); k++)
            raise_tick(it, address);
        (void)drain(it);
        double rate = part * 1e9 / (double)(stead_bench_now_ns() - start_ns);
        it->first = number == 0 && i == 1 ? rate : it->first;
        it->last = number == 0 ? rate : it->last;
    }
    return it->code;
}

static int replay_one(struct replayed *it, uint32_t number)
{
    const struct stead_slice nothing = {NULL, 0};
    char address[64];

    address_of(address, sizeof address, number);
    it->longest_at = &it->longest_alone_ns;
    for (uint32_t i = 0; it->code == 0 && i < CALLS; i++)
        call_on(it);
    it->longest_at = &it->longest_ns;
    it->ended = false;
    uint64_t start_ns = stead_bench_now_ns();
    raise_tick(it, address);
    if (it->code == 0)
        it->code = stead_client_call_async(it->client, address, "wait", nothing, NULL, on_end, it);
    while (it->code == 0 && !it->ended)
        call_on(it);
    it->rates[number] = (double)it->events * 1e9 / (double)(stead_bench_now_ns() - start_ns);
    return drain(it);
}

/* SIGKILL, and the same folder again. */
static int restart(struct replayed *it)
{
    char folder[STEAD_BENCH_PATH_SIZE];
    const struct stead_bench_node_options options = {.reactors = 1, .folder = folder};

    stead_client_close(&it->client);
    stead_bench_node_stop(&it->node, true);
    snprintf(folder, sizeof folder, "%s", it->node.folder);
    int code = stead_bench_node_start(it->bench, &options, &it->node);
    return code != 0 ? code : stead_bench_connect(it->bench, &it->node, IN_FLIGHT, &it->client);
}

static void report(struct replayed *it)
{
    struct stead_bench_figure last = {.metric = "resident_last_part",
                                      .value = it->last,
                                      .unit = "1/s",
                                      .floor = it->first,
                                      .target = "ratio >= 0.7",
                                      .settings = json_pack("{s:I}", "ticks", (json_int_t)it->ticks)};
    struct stead_bench_figure rate = {
        .metric = "node_rate",
        .value = stead_bench_median(it->rates, INSTANCES),
        .unit = "1/s",
        .target = "value >= 1000000",
        .settings = json_pack("{s:I,s:i}", "events", (json_int_t)it->events, "samples", (int)INSTANCES)};
    struct stead_bench_figure longest = {.metric = "neighbour_longest",
                                         .value = (double)it->longest_ns / 1e6,
                                         .unit = "ms",
                                         .floor = (double)it->longest_alone_ns / 1e6};

    stead_bench_report(it->bench, &last);
    stead_bench_report(it->bench, &rate);
    stead_bench_report(it->bench, &longest);
}

int stead_bench_replay_node(struct stead_bench *bench)
{
    struct replayed it = {.bench = bench, .ticks = bench->quick ? TICKS_QUICK : TICKS};
    const struct stead_bench_node_options options = {.reactors = 1};
    int code = stead_bench_node_start(bench, &options, &it.node);

    if (code == 0)
        code = stead_bench_connect(bench, &it.node, IN_FLIGHT, &it.client);
    for (uint32_t i = 0; code == 0 && i < INSTANCES; i++)
        code = make(&it, i);
    if (code == 0)
        code = restart(&it);
    for (uint32_t i = 0; code == 0 && i < INSTANCES; i++)
        code = replay_one(&it, i);
    stead_client_close(&it.client);
    stead_bench_node_stop(&it.node, true);
    if (code != 0)
        return stead_bench_fail(bench, "%s", stead_error_sentence(code));
    report(&it);
    return 0;
}
