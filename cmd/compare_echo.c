/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare_echo: 1 KB there and back: what communication costs before anybody orchestrates anything, as in the paper's
 * first table.
 *
 * Direct: a client's call to a volatile agent. Hub: two who know only two queues, one each way:
 *
 *     asker --enqueue--> [ping] --dequeue--> answerer          the answerer enqueues before it deletes: what it took is stored
 *     asker <--dequeue-- [pong] <--enqueue-- answerer          before it is forgotten
 *
 * Each polls its queue as the fabric says, alone. Both live in this thread and ask through one client; each makes its
 * next dependent operation after the last one's answer. Several pairs go on side by side where they sleep most of the
 * time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agents/hub.h"
#include "cmd/compare.h"
#include "runtime/base.h"

#define PAYLOAD 1024u
#define HIDE_MS 60000
#define WAIT_MS 1000 /* of a long poll */
#define FIRST_MS 50  /* of the default back-off */
#define LAST_MS 30000
#define JITTER_PERCENT 20
#define POLLED_RUNS 112u
#define POLLED_RUNS_QUICK 16u
#define WARM_UP 3u
#define RATE_RUNS 20u /* of each of the many pairs, where they need not wait */
#define RATE_RUNS_POLLED 4u
#define COLD_ROUNDS_SHORT 2u /* of all lanes, where the longest interval is short */
#define COLD_SHORT_MS 1000
#define RATE_NS 1000000000u
#define RATE_QUICK_NS 300000000u
#define DRAIN_MS 10000
#define PLACES_MAX 10000u /* keys that are tried until one lies where it must */
#define HUB_NODE "hub"

struct pair;

/* One of the two, and the queue that it polls. */
struct side {
    struct pair *pair;
    char queue[96];
    bool busy;        /* an operation of its is under way */
    uint64_t due_ns;  /* of its next poll */
    int64_t pause_ms; /* after the next empty one */
    uint64_t seq;     /* of the message in its hands */
    int64_t receipt;
};

struct pair {
    struct echo *echo;
    struct side asker, answerer;
    uint64_t start_ns; /* of the present run */
    uint32_t left;     /* runs to be made */
    uint32_t skip;     /* of them, that are no samples */
};

struct echo {
    struct stead_compare_session *session;
    struct pair pairs[STEAD_COMPARE_LANES_MAX];
    uint32_t pair_count;
    uint64_t *samples;
    size_t count;
    bool cold;                    /* the pollers have reached their longest interval when a run begins */
    uint64_t begun_ns, ended_ns;  /* the runs of all pairs */
    struct stead_storage storage; /* what was asked for */
    int code;                     /* the first failure */
};

static void ask(struct side *side, const char *queue, const char *op, stead_completion_fn *then,
                const struct stead_writer *args)
{
    struct echo *echo = side->pair->echo;
    int code = stead_client_call_async(echo->session->client, queue, op, stead_written(args), NULL, then, side);

    side->busy = code == 0;
    if (code != 0 && echo->code == 0)
        echo->code = code;
}

static bool went_wrong(struct side *side, const struct stead_answer *answer)
{
    struct echo *echo = side->pair->echo;

    side->busy = false;
    if (answer->code != 0 && echo->code == 0)
        echo->code = answer->code;
    return echo->code != 0;
}

static void put_message(struct side *side, struct side *to, stead_completion_fn *then)
{
    static const uint8_t zeros[PAYLOAD];
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:B,s:d}", "id", "", "body", stead_bytes(zeros, sizeof zeros), "delay", 0);
    side->pair->echo->storage.enqueues++;
    ask(side, to->queue, "enqueue", then, &args);
    stead_writer_deinit(&args);
}

static void on_deleted(void *context, const struct stead_answer *answer);

static void delete_message(struct side *side)
{
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "[[u,l]]", side->seq, side->receipt);
    side->pair->echo->storage.deletes++;
    ask(side, side->queue, "delete", on_deleted, &args);
    stead_writer_deinit(&args);
}

static void on_asked(void *context, const struct stead_answer *answer)
{
    struct side *side = context;

    if (!went_wrong(side, answer) && !side->pair->echo->cold) /* cold: its poller sleeps on, as the other's */
        side->due_ns = stead_bench_now_ns();
}

/* The answer is stored: what it was asked with may go. */
static void on_answered(void *context, const struct stead_answer *answer)
{
    struct side *side = context;

    if (!went_wrong(side, answer))
        delete_message(side);
}

static void begin_run(struct pair *pair)
{
    pair->start_ns = stead_bench_now_ns();
    put_message(&pair->asker, &pair->answerer, on_asked);
}

static void on_deleted(void *context, const struct stead_answer *answer)
{
    struct side *side = context;

    if (went_wrong(side, answer))
        return;
    side->due_ns = stead_bench_now_ns();
    if (side == &side->pair->asker && side->pair->left > 0)
        begin_run(side->pair);
}

/* The asker has its answer: a run is made. */
static void end_run(struct pair *pair)
{
    struct echo *echo = pair->echo;

    if (pair->skip > 0)
        pair->skip--;
    else if (echo->samples)
        echo->samples[echo->count++] = stead_bench_now_ns() - pair->start_ns;
    pair->left--;
    echo->ended_ns = stead_bench_now_ns();
}

/* An empty poll: later again. */
static void pause_polling(struct side *side)
{
    const struct stead_compare_fabric *fabric = side->pair->echo->session->fabric;
    int64_t pause_ms = fabric->interval_ms;

    side->pair->echo->storage.empty++;
    if (fabric->interval_ms < 0) {
        pause_ms = side->pause_ms + side->pause_ms * (random() % (2 * JITTER_PERCENT + 1) - JITTER_PERCENT) / 100;
        side->pause_ms = side->pause_ms * 2 < LAST_MS ? side->pause_ms * 2 : LAST_MS;
    }
    side->due_ns = stead_bench_now_ns() + (uint64_t)pause_ms * 1000000u;
}

static void on_polled(void *context, const struct stead_answer *answer)
{
    struct side *side = context;
    uint32_t count = 0, parts = 0;

    if (went_wrong(side, answer))
        return;
    struct stead_reader reader = stead_reader(answer->value);
    int code = stead_read_array(&reader, &count);
    if (code == 0 && count == 0) {
        pause_polling(side);
        return;
    }
    if (code == 0)
        code = stead_read_array(&reader, &parts);
    if (code == 0)
        code = stead_read_u64(&reader, &side->seq);
    if (code == 0)
        code = stead_read_i64(&reader, &side->receipt);
    if (code != 0) {
        side->pair->echo->code = code;
        return;
    }
    side->pair->echo->storage.dequeues++;
    side->pause_ms = FIRST_MS;
    if (side == &side->pair->answerer) {
        put_message(side, &side->pair->asker, on_answered);
        return;
    }
    end_run(side->pair);
    delete_message(side);
}

static void poll_queue(struct side *side)
{
    int wait_ms = side->pair->echo->session->fabric->interval_ms == 0 ? WAIT_MS : 0;
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:d,s:d,s:d}", "max", 1, "hide", HIDE_MS, "wait", wait_ms);
    ask(side, side->queue, "dequeue", on_polled, &args);
    stead_writer_deinit(&args);
}

/* Polls what is due; the next moment at which something will be. */
static uint64_t poll_due(struct echo *echo)
{
    uint64_t now_ns = stead_bench_now_ns(), next_ns = now_ns + 1000000000u;

    for (uint32_t i = 0; i < 2 * echo->pair_count; i++) {
        struct side *side = i % 2 ? &echo->pairs[i / 2].asker : &echo->pairs[i / 2].answerer;
        if (side->busy)
            continue;
        if (side->due_ns <= now_ns)
            poll_queue(side);
        else if (side->due_ns < next_ns)
            next_ns = side->due_ns;
    }
    return next_ns;
}

static bool is_done(const struct echo *echo)
{
    for (uint32_t i = 0; i < echo->pair_count; i++) {
        if (echo->pairs[i].left > 0)
            return false;
    }
    return true;
}

/* A queue of this name, with a key that lies on the hub's node where it has one. */
static int place_queue(struct stead_compare_session *session, const char *name, uint32_t number, char *ret_queue,
                       size_t size)
{
    struct stead_location location;

    for (uint32_t i = 0; i < PLACES_MAX; i++) {
        snprintf(ret_queue, size, "%s/echo-%s-%u-%u", STEAD_HUB_QUEUE_KIND, name, number, i);
        int code = stead_client_locate(session->client, ret_queue, &location);
        if (code != 0)
            return code;
        if (!session->apart || strcmp(location.node, HUB_NODE) == 0)
            return 0;
    }
    return STEAD_ENOTFOUND;
}

/* Pollers know nothing of each other: each begins at a random moment of an interval; cold, of the longest. */
static uint64_t first_poll(const struct echo *echo)
{
    const struct stead_compare_fabric *fabric = echo->session->fabric;
    int64_t interval_ms = echo->cold ? fabric->longest_ms : fabric->interval_ms < 0 ? FIRST_MS : fabric->interval_ms;

    return stead_bench_now_ns() + (interval_ms > 0 ? (uint64_t)(random() % interval_ms) * 1000000u : 0);
}

static uint32_t warm_up_of(const struct echo *echo)
{
    return echo->cold ? 0 : echo->session->fabric->interval_ms == 0 ? WARM_UP : 1;
}

static int run_pairs(struct echo *echo, uint32_t runs)
{
    struct stead_compare_session *session = echo->session;
    int64_t pause_ms = echo->cold ? LAST_MS : FIRST_MS;

    for (uint32_t i = 0; i < echo->pair_count && echo->code == 0; i++) {
        struct pair *pair = &echo->pairs[i];
        uint32_t warm_up = warm_up_of(echo);
        *pair = (struct pair){.echo = echo, .left = runs + warm_up, .skip = warm_up};
        pair->asker = (struct side){.pair = pair, .pause_ms = pause_ms, .due_ns = first_poll(echo)};
        pair->answerer = (struct side){.pair = pair, .pause_ms = pause_ms, .due_ns = first_poll(echo)};
        echo->code = place_queue(session, "pong", i, pair->asker.queue, sizeof pair->asker.queue);
        if (echo->code == 0)
            echo->code = place_queue(session, "ping", i, pair->answerer.queue, sizeof pair->answerer.queue);
    }
    echo->begun_ns = stead_bench_now_ns();
    for (uint32_t i = 0; i < echo->pair_count && echo->code == 0; i++)
        begin_run(&echo->pairs[i]);
    while (echo->code == 0 && !is_done(echo)) {
        uint64_t next_ns = poll_due(echo), now_ns = stead_bench_now_ns();
        int wait_ms = next_ns > now_ns ? (int)((next_ns - now_ns) / 1000000u) + 1 : 0;
        if (stead_client_poll(session->client, wait_ms) < 0 && echo->code == 0)
            echo->code = STEAD_EIO;
    }
    int code = stead_client_drain(session->client, 2 * WAIT_MS); /* the long polls that are out */
    return echo->code != 0 ? echo->code : code;
}

/* ---- The direct way ------------------------------------------------------------------------- */

static int call_echo(struct stead_compare_session *session, uint64_t *ret_ns, uint32_t runs)
{
    static const uint8_t zeros[PAYLOAD];
    struct stead_writer args;
    int code = 0;

    stead_writer_init(&args);
    stead_write_bin(&args, stead_bytes(zeros, sizeof zeros));
    for (uint32_t i = 0; code == 0 && i < runs; i++) {
        uint64_t start_ns = stead_bench_now_ns();
        code = stead_client_call(session->client, "bench.echo/compare", "echo", stead_written(&args), NULL, NULL);
        ret_ns[i] = stead_bench_now_ns() - start_ns;
    }
    stead_writer_deinit(&args);
    return code;
}

struct burst {
    struct stead_client *client;
    struct stead_writer args;
    uint64_t until_ns, done;
    int code; /* the first failure */
};

static void on_echoed(void *context, const struct stead_answer *answer)
{
    struct burst *burst = context;

    burst->code = burst->code != 0 ? burst->code : answer->code;
    burst->done++;
    if (burst->code == 0 && stead_bench_now_ns() < burst->until_ns)
        burst->code = stead_client_call_async(burst->client, "bench.echo/compare", "echo", stead_written(&burst->args),
                                              NULL, on_echoed, burst);
}

/* Calls a second with `in_flight` on their way. */
static int call_many(struct stead_compare_session *session, uint32_t in_flight, double *ret_rate)
{
    static const uint8_t zeros[PAYLOAD];
    uint64_t start_ns = stead_bench_now_ns();
    struct burst burst = {.client = session->client,
                          .until_ns = start_ns + (session->compare->quick ? RATE_QUICK_NS : RATE_NS)};

    stead_writer_init(&burst.args);
    stead_write_bin(&burst.args, stead_bytes(zeros, sizeof zeros));
    for (uint32_t i = 0; burst.code == 0 && i < in_flight; i++)
        burst.code = stead_client_call_async(session->client, "bench.echo/compare", "echo", stead_written(&burst.args),
                                             NULL, on_echoed, &burst);
    int code = stead_client_drain(session->client, DRAIN_MS);
    *ret_rate = (double)burst.done * 1e9 / (double)(stead_bench_now_ns() - start_ns);
    stead_writer_deinit(&burst.args);
    return burst.code != 0 ? burst.code : code;
}

/* ---- The cell ------------------------------------------------------------------------------- */

static uint32_t runs_of(const struct stead_compare_session *session, const struct stead_compare_work *work)
{
    bool quick = session->compare->quick;

    if (session->fabric->interval_ms != 0)
        return quick ? POLLED_RUNS_QUICK : POLLED_RUNS;
    return quick ? work->runs_quick : work->runs;
}

/* Echoes a second with many of them on their way: calls, or pairs side by side. */
static int measure_rate(struct stead_compare_session *session, struct stead_compare_cell *cell)
{
    cell->in_flight = cell->work->in_flight;
    if (!session->fabric->hub)
        return call_many(session, cell->in_flight, &cell->rate);
    struct echo *echo = stead_alloc_zero(sizeof *echo);
    uint32_t runs = session->fabric->interval_ms ? RATE_RUNS_POLLED : RATE_RUNS;
    echo->session = session;
    echo->pair_count = cell->in_flight;
    int code = run_pairs(echo, runs);
    double made = (double)(runs + warm_up_of(echo)) * echo->pair_count;
    cell->rate = code == 0 ? made * 1e9 / (double)(echo->ended_ns - echo->begun_ns) : 0;
    free(echo);
    return code;
}

/* One after the other, counted. */
static int measure_hot(struct echo *echo, struct stead_compare_cell *cell, uint32_t runs)
{
    struct stead_compare_session *session = echo->session;
    struct stead_compare_counts before, after;
    const struct stead_compare_counts none = {0};

    int code = session->fabric->hub ? 0 : call_echo(session, echo->samples, runs < 100 ? runs : 100);
    if (code == 0)
        code = stead_compare_count(session, STEAD_COMPARE_BEFORE, &before);
    if (code == 0 && session->fabric->hub) {
        code = run_pairs(echo, runs);
    } else if (code == 0) {
        code = call_echo(session, echo->samples, runs);
        echo->count = runs;
    }
    if (code == 0)
        code = stead_compare_count(session, STEAD_COMPARE_AFTER, &after);
    if (code != 0)
        return code;
    uint32_t warm_up = session->fabric->hub ? warm_up_of(echo) : 0;
    double asked = (double)(runs + warm_up) * echo->pair_count;
    const struct stead_compare_counts own = {.storage = echo->storage};
    cell->counts = stead_compare_counts_since(&after, &before, asked);
    cell->counts.storage = stead_compare_counts_since(&own, &none, asked).storage;
    return session->compare->quick && session->fabric->interval_ms ? 0 : measure_rate(session, cell);
}

/* Each pair once, in all its lanes, so many times. */
static int measure_cold(struct echo *echo, uint32_t rounds)
{
    int code = 0;

    echo->cold = true;
    for (uint32_t i = 0; code == 0 && i < rounds; i++)
        code = run_pairs(echo, 1);
    return code;
}

int stead_compare_echo(struct stead_compare_session *session, struct stead_compare_cell *cell)
{
    bool cold = cell->start == STEAD_COMPARE_COLD;
    uint32_t lanes = cold ? STEAD_COMPARE_LANES_MAX : session->fabric->lanes;
    uint32_t rounds = session->fabric->longest_ms <= COLD_SHORT_MS ? COLD_ROUNDS_SHORT : 1;
    uint32_t runs = cold ? rounds : (runs_of(session, cell->work) + lanes - 1) / lanes;
    struct echo *echo = stead_alloc_zero(sizeof *echo);

    echo->session = session;
    echo->pair_count = lanes;
    echo->samples = stead_alloc((size_t)runs * lanes * sizeof(uint64_t));
    int code = cold ? measure_cold(echo, runs) : measure_hot(echo, cell, runs);
    if (code == 0) {
        stead_distribution_of(echo->samples, echo->count, 1000, &cell->latency);
        cell->lanes = lanes;
        cell->partly = cold;
        cell->trip = session->compare->trip.p50;
        stead_compare_derive(session, cell);
    }
    free(echo->samples);
    free(echo);
    return code == 0 ? 0 : stead_bench_fail(&session->compare->bench, "echo: %s", stead_error_sentence(code));
}
