/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare_work: the workloads: what each run is given, and what it must answer. A run whose answer is wrong is no
 * sample but a failure: a fabric that is fast and wrong is not compared. The orchestrations themselves are
 * agents/compare*.c.
 *
 * Lanes share no agents, so that what a run waits for is the fabric and not another run.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agents/compare.h"
#include "cmd/compare.h"
#include "runtime/base.h"

#define BALANCE 1000000000
#define BLOCKS 100u /* of training: 100 MiB, but for their headers */
#define BLOCKS_QUICK 8u
#define STEPS 5u
#define STEPS_QUICK 2u

/* ---- What preparations need ----------------------------------------------------------------- */

/* One call (`args`: consumed), its answer thrown away but for a number that it may hold. */
static int ask(struct stead_compare_session *session, const char *address, const char *op, struct stead_writer *args,
               int64_t *ret_number)
{
    struct stead_answer answer = {.error_sentence = ""};

    int code = stead_client_call(session->client, address, op, stead_written(args), NULL, &answer);
    stead_writer_deinit(args);
    if (code != 0)
        return stead_bench_fail(&session->compare->bench, "%s %s: %s", address, op, answer.error_sentence);
    if (ret_number && stead_get_i64(answer.value, NULL, ret_number) != 0)
        return stead_bench_fail(&session->compare->bench, "%s %s answers no number", address, op);
    return 0;
}

/* ---- Sequences and fans --------------------------------------------------------------------- */

static void count_input(const struct stead_compare_session *session, const struct stead_compare_work *work,
                        uint32_t lane, uint64_t number, struct stead_writer *writer)
{
    (void)session, (void)lane, (void)number;
    stead_pack(writer, "{s:u}", "count", (uint64_t)work->size);
}

static bool is_number(struct stead_slice output, int64_t expected)
{
    int64_t number = 0;

    return stead_get_i64(output, NULL, &number) == 0 && number == expected;
}

static bool hello_check(const struct stead_compare_session *session, const struct stead_compare_work *work,
                        uint32_t lane, uint64_t number, struct stead_slice output)
{
    (void)session, (void)lane, (void)number;
    return is_number(output, work->size);
}

static bool fanout_check(const struct stead_compare_session *session, const struct stead_compare_work *work,
                         uint32_t lane, uint64_t number, struct stead_slice output)
{
    int64_t size = work->size;

    (void)session, (void)lane, (void)number;
    return is_number(output, size * (size - 1) / 2);
}

/* ---- A counter, a bank ---------------------------------------------------------------------- */

static void counter_input(const struct stead_compare_session *session, const struct stead_compare_work *work,
                          uint32_t lane, uint64_t number, struct stead_writer *writer)
{
    char key[32];

    (void)session, (void)work, (void)number;
    snprintf(key, sizeof key, "c%u", lane);
    stead_pack(writer, "{s:s}", "key", key);
}

/* Counted once, and nothing else. */
static bool counter_check(const struct stead_compare_session *session, const struct stead_compare_work *work,
                          uint32_t lane, uint64_t number, struct stead_slice output)
{
    (void)session, (void)work, (void)lane;
    return is_number(output, (int64_t)number + 1);
}

static void account_name(uint32_t lane, char side, char *ret_text, size_t size)
{
    snprintf(ret_text, size, "%c%u", side, lane);
}

static int bank_prepare(struct stead_compare_session *session)
{
    int code = 0;

    for (uint32_t lane = 0; code == 0 && lane < STEAD_COMPARE_HUBS_MAX; lane++) {
        char address[64];
        struct stead_writer args;
        snprintf(address, sizeof address, "compare.account/a%u", lane);
        stead_writer_init(&args);
        stead_write_i64(&args, BALANCE);
        code = ask(session, address, "move", &args, NULL);
    }
    return code;
}

/* To and fro, so that neither side runs out. */
static void bank_input(const struct stead_compare_session *session, const struct stead_compare_work *work,
                       uint32_t lane, uint64_t number, struct stead_writer *writer)
{
    char from[32], to[32];

    (void)session, (void)work;
    account_name(lane, number % 2 ? 'b' : 'a', from, sizeof from);
    account_name(lane, number % 2 ? 'a' : 'b', to, sizeof to);
    stead_pack(writer, "{s:s,s:s,s:d}", "from", from, "to", to, "amount", 1);
}

static bool bank_check(const struct stead_compare_session *session, const struct stead_compare_work *work,
                       uint32_t lane, uint64_t number, struct stead_slice output)
{
    bool moved = false;

    (void)session, (void)work, (void)lane, (void)number;
    return stead_get_bool(output, NULL, &moved) == 0 && moved;
}

/* ---- Prediction serving --------------------------------------------------------------------- */

static uint32_t batch_word(uint32_t lane, uint64_t number, uint32_t at)
{
    return (uint32_t)((number * 7919 + lane * 104729 + at * 31 + 7) * 2654435761u >> 7) % STEAD_SERVE_WORDS;
}

static int serve_prepare(struct stead_compare_session *session)
{
    struct stead_writer args;

    stead_writer_init(&args);
    return ask(session, "compare.store/one", "fill", &args, NULL);
}

static void batch_input(const struct stead_compare_session *session, uint32_t lane, uint64_t number, bool fetched,
                        struct stead_writer *writer)
{
    stead_write_map(writer, fetched ? 2 : 1);
    stead_write_str(writer, "words");
    stead_write_array(writer, STEAD_SERVE_BATCH);
    for (uint32_t i = 0; i < STEAD_SERVE_BATCH; i++) {
        stead_write_array(writer, STEAD_SERVE_LENGTH);
        for (uint32_t k = 0; k < STEAD_SERVE_LENGTH; k++)
            stead_write_u64(writer, batch_word(lane, number, i * STEAD_SERVE_LENGTH + k));
    }
    if (!fetched)
        return;
    stead_write_str(writer, "store");
    stead_write_str(writer, session->worker.endpoint);
}

static void serve_input(const struct stead_compare_session *session, const struct stead_compare_work *work,
                        uint32_t lane, uint64_t number, struct stead_writer *writer)
{
    (void)work;
    batch_input(session, lane, number, false, writer);
}

static void serve_fetched_input(const struct stead_compare_session *session, const struct stead_compare_work *work,
                                uint32_t lane, uint64_t number, struct stead_writer *writer)
{
    (void)work;
    batch_input(session, lane, number, true, writer);
}

/* The classes that this process finds with its own model. */
static bool serve_check(const struct stead_compare_session *session, const struct stead_compare_work *work,
                        uint32_t lane, uint64_t number, struct stead_slice output)
{
    struct stead_reader reader = stead_reader(output);
    uint32_t words[STEAD_SERVE_LENGTH], documents = 0;

    (void)work;
    if (!session->compare->model) {
        session->compare->model = stead_alloc(STEAD_SERVE_MODEL_BYTES);
        stead_serve_make(session->compare->model);
    }
    bool right = stead_read_array(&reader, &documents) == 0 && documents == STEAD_SERVE_BATCH;
    for (uint32_t i = 0; right && i < documents; i++) {
        uint64_t class = 0;
        for (uint32_t k = 0; k < STEAD_SERVE_LENGTH; k++)
            words[k] = batch_word(lane, number, i * STEAD_SERVE_LENGTH + k);
        right = stead_read_u64(&reader, &class) == 0 &&
                class == stead_serve_classify(session->compare->model, words, STEAD_SERVE_LENGTH);
    }
    return right;
}

static void serve_fetches(const struct stead_compare_session *session, struct stead_storage *storage)
{
    (void)session;
    storage->reads += 1;
    storage->bytes += STEAD_SERVE_MODEL_BYTES;
}

/* ---- Training ------------------------------------------------------------------------------- */

static uint32_t blocks(const struct stead_compare_session *session)
{
    return session->compare->quick ? BLOCKS_QUICK : BLOCKS;
}

static uint32_t train_steps(const struct stead_compare_session *session)
{
    return session->compare->quick ? STEPS_QUICK : STEPS;
}

/* The data, in the memory of the agent. */
static int train_prepare(struct stead_compare_session *session)
{
    int64_t made = 0;
    int code = 0;

    while (code == 0 && made < blocks(session)) {
        struct stead_writer args;
        stead_writer_init(&args);
        stead_pack(&args, "{s:u}", "blocks", (uint64_t)blocks(session));
        code = ask(session, "compare.trainer/0", "prepare", &args, &made);
    }
    return code;
}

/* The same data, stored. */
static int train_store(struct stead_compare_session *session)
{
    int code = 0;

    for (uint32_t at = 0; code == 0 && at < blocks(session); at++) {
        struct stead_writer args;
        stead_writer_init(&args);
        stead_pack(&args, "{s:u,s:d}", "from", (uint64_t)at, "count", 1);
        code = ask(session, "compare.store/one", "fill", &args, NULL);
    }
    return code;
}

static void train_input(const struct stead_compare_session *session, const struct stead_compare_work *work,
                        uint32_t lane, uint64_t number, struct stead_writer *writer)
{
    (void)work, (void)lane, (void)number;
    stead_pack(writer, "{s:s,s:u,s:u}", "key", "0", "blocks", (uint64_t)blocks(session), "steps",
               (uint64_t)train_steps(session));
}

static void train_fetched_input(const struct stead_compare_session *session, const struct stead_compare_work *work,
                                uint32_t lane, uint64_t number, struct stead_writer *writer)
{
    (void)work, (void)lane, (void)number;
    stead_pack(writer, "{s:s,s:u,s:u,s:s}", "key", "0", "blocks", (uint64_t)blocks(session), "steps",
               (uint64_t)train_steps(session), "store", session->worker.endpoint);
}

/* The loss of the last step, as this process finds it; the data is made block by block and thrown away. */
static double train_loss(const struct stead_compare_session *session)
{
    uint32_t count = blocks(session);
    struct stead_train_part *parts = stead_alloc(count * sizeof *parts);
    float *rows = stead_alloc(STEAD_TRAIN_BLOCK_BYTES), weights[STEAD_TRAIN_FEATURES] = {0};
    double loss = 0;

    for (uint32_t step = 0; step < train_steps(session); step++) {
        for (uint32_t i = 0; i < count; i++) {
            stead_train_make(i, rows);
            stead_train_block(rows, weights, &parts[i]);
        }
        loss = stead_train_move(parts, count, weights);
    }
    free(rows);
    free(parts);
    return loss;
}

/* To the bit: the same sums in the same order. */
static bool train_check(const struct stead_compare_session *session, const struct stead_compare_work *work,
                        uint32_t lane, uint64_t number, struct stead_slice output)
{
    double loss = 0;

    (void)work, (void)lane, (void)number;
    if (session->compare->loss <= 0)
        session->compare->loss = train_loss(session);
    return stead_get_f64(output, NULL, &loss) == 0 && loss == session->compare->loss;
}

static void train_fetches(const struct stead_compare_session *session, struct stead_storage *storage)
{
    storage->reads += blocks(session);
    storage->bytes += (double)blocks(session) * STEAD_TRAIN_BLOCK_BYTES;
}

/* ---- The list ------------------------------------------------------------------------------- */

/* Floors of the direct fabric: a client's round trip, and the synced writes that follow each other: the start and each
 * activity's result (the activity starts after the commit that schedules it), each call's way and answer, each lock. */
#define HELLO(count, n, quick_n)                                                                                       \
    .orchestrator = "compare.hello", .size = (count), .activities = (count), .trips = 1, .puts = (count) + 1,          \
    .runs = (n), .runs_quick = (quick_n), .in_flight = 64, .input = count_input, .check = hello_check
#define FANOUT(count, n, quick_n)                                                                                      \
    .orchestrator = "compare.fanout", .size = (count), .activities = (count), .trips = 1, .puts = 2, .runs = (n),      \
    .runs_quick = (quick_n), .cold = true, .input = count_input, .check = fanout_check

const struct stead_compare_work stead_compare_works[] = {
    {.name = "echo",
     .title = "1 KB there and back",
     .trips = 1,
     .runs = 2000,
     .runs_quick = 200,
     .in_flight = 64,
     .cold = true,
     .measure = stead_compare_echo},
    {.name = "hello3", .title = "a sequence of 3 activities", .cold = true, HELLO(3, 1000, 100)},
    {.name = "hello10", .title = "a sequence of 10 activities", .cold = true, HELLO(10, 400, 40)},
    {.name = "fanout1", .title = "1 activity", .in_flight = 64, FANOUT(1, 400, 40)},
    {.name = "fanout10", .title = "10 activities at once", .in_flight = 16, FANOUT(10, 400, 40)},
    {.name = "fanout100", .title = "100 activities at once", .in_flight = 4, FANOUT(100, 200, 20)},
    {.name = "fanout1000", .title = "1,000 activities at once", .in_flight = 2, .lanes_max = 4, FANOUT(1000, 100, 5)},
    {.name = "counter",
     .title = "an orchestration that counts in an agent",
     .orchestrator = "compare.count",
     .trips = 1,
     .puts = 3,
     .runs = 1000,
     .runs_quick = 100,
     .in_flight = 64,
     .cold = true,
     .input = counter_input,
     .check = counter_check},
    {.name = "bank",
     .title = "a transfer between two locked accounts",
     .orchestrator = "compare.transfer",
     .trips = 1,
     .puts = 8,
     .runs = 1000,
     .runs_quick = 40,
     .in_flight = 64,
     .cold = true,
     .prepare = bank_prepare,
     .input = bank_input,
     .check = bank_check},
    {.name = "serve_resident",
     .title = "a batch of 10 predictions, the model in an agent",
     .orchestrator = "compare.serve",
     .trips = 1,
     .puts = 2,
     .runs = 400,
     .runs_quick = 20,
     .in_flight = 16,
     .cold = true,
     .input = serve_input,
     .check = serve_check},
    {.name = "serve_fetched",
     .title = "a batch of 10 predictions, the model fetched each time",
     .orchestrator = "compare.serve",
     .activities = 1,
     .trips = 1,
     .puts = 2,
     .runs = 400,
     .runs_quick = 20,
     .in_flight = 16,
     .cold = true,
     .prepare = serve_prepare,
     .input = serve_fetched_input,
     .check = serve_check,
     .fetches = serve_fetches},
    {.name = "train_resident",
     .title = "a step of training, the data in an agent",
     .orchestrator = "compare.train",
     .runs = 5,
     .runs_quick = 3,
     .in_flight = 1,
     .cold = true,
     .one_lane = true,
     .prepare = train_prepare,
     .input = train_input,
     .check = train_check,
     .steps = train_steps},
    {.name = "train_fetched",
     .title = "a step of training, the data fetched in each",
     .orchestrator = "compare.train",
     .runs = 5,
     .runs_quick = 3,
     .in_flight = 1,
     .cold = true,
     .one_lane = true,
     .prepare = train_store,
     .input = train_fetched_input,
     .check = train_check,
     .steps = train_steps,
     .fetches = train_fetches},
    {.name = "election",
     .title = "the bully election: from a leader's silence to the last member that knows the next",
     .measure = stead_compare_election},
    {.name = NULL}};
