/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare_data: the workloads whose data is large. The same data twice: in the memory of a long-running agent beside
 * the code that uses it, and as values of a stored agent, from where an activity fetches them each time it runs,
 * because it keeps nothing between two runs.
 *
 *     compare.store    durable    values of just below 1 MiB: `fill` makes them, `get` reads one. The object store
 *     compare.model    volatile   a classifier in memory: `predict`
 *     compare.trainer  durable    blocks of rows in memory, weights in its state: `step`
 *     compare.predict  stateless  fetches the model, classifies a batch
 *     compare.step     stateless  fetches every block, makes one step; the weights come and go with the call
 *
 * An activity fetches through a client of its own, FETCHES at once, as object stores are read. What is in memory is
 * made from its number, not copied from a state: it is the cache of an agent, rebuilt when the agent is loaded again,
 * and no part of what is stored.
 */
#include <stdlib.h>
#include <string.h>

#include "agents/agents.h"
#include "agents/compare.h"
#include "stead/client.h"

#define FETCHES 8u     /* reads on their way at once */
#define FILLS_MAX 4    /* values made in one turn */
#define FETCH_MS 60000 /* until a read is given up */
#define MODEL_KEY "model"
#define ENDPOINTS_SIZE 256
#define WORDS_MAX (STEAD_SERVE_BATCH * STEAD_SERVE_LENGTH)

/* Memory of a cache, which is worth the process: a workload, not a service. */
static void *cache_bytes(size_t size)
{
    void *bytes = calloc(1, size);

    if (!bytes)
        abort();
    return bytes;
}

/* ---- compare.store -------------------------------------------------------------------------- */

/* The key of block i: 4 bytes, most significant first. */
static struct stead_slice block_key(uint8_t *bytes, uint32_t block)
{
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(block >> (24 - 8 * i));
    return stead_bytes(bytes, 4);
}

/* {from, count}: makes training blocks; {}: the model. */
static int fill(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int64_t from = 0, count = 0;
    uint8_t key[4];
    int code = 0;

    (void)state;
    float *values = stead_turn_alloc(turn, STEAD_TRAIN_BLOCK_BYTES);
    if (stead_get_i64(args, "count", &count) != 0) {
        stead_serve_make(values);
        return stead_kv_put(turn, stead_str(MODEL_KEY), stead_bytes(values, STEAD_SERVE_MODEL_BYTES));
    }
    if (stead_get_i64(args, "from", &from) != 0 || count < 1 || count > FILLS_MAX || from < 0 ||
        from + count > STEAD_TRAIN_BLOCKS_MAX)
        return stead_fail(turn, "bad_blocks", "from and count (1 to %d) name blocks below %u", FILLS_MAX,
                          STEAD_TRAIN_BLOCKS_MAX);
    for (int64_t i = from; i < from + count && code == 0; i++) {
        stead_train_make((uint32_t)i, values);
        code = stead_kv_put(turn, block_key(key, (uint32_t)i), stead_bytes(values, STEAD_TRAIN_BLOCK_BYTES));
    }
    return code;
}

/* A block's number, or nothing: the model. */
static int get(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_slice value;
    struct stead_writer writer;
    int64_t block = -1;
    uint8_t key[4];

    (void)state;
    if (stead_get_i64(args, NULL, &block) == STEAD_EARGUMENT || block >= STEAD_TRAIN_BLOCKS_MAX)
        return stead_fail(turn, "bad_block", "needs a block's number, or nothing");
    int code = stead_kv_get(turn, block < 0 ? stead_str(MODEL_KEY) : block_key(key, (uint32_t)block), &value);
    if (code != 0)
        return code;
    stead_writer_init(&writer);
    stead_write_bin(&writer, value);
    code = stead_reply(turn, stead_written(&writer));
    stead_writer_deinit(&writer);
    return code;
}

static const struct stead_op store_ops[] = {{"fill", fill, NULL, 0, "makes blocks, or the model"},
                                            {"get", get, NULL, STEAD_OP_READ_ONLY, "answers a block, or the model"},
                                            {NULL, NULL, NULL, 0, NULL}};

const struct stead_kind stead_compare_store_kind = {.abi = STEAD_ABI,
                                                    .struct_size = sizeof(struct stead_kind),
                                                    .name = "compare.store",
                                                    .help = "durable; large values",
                                                    .ops = store_ops,
                                                    .needs = STEAD_COMPARE_STORE_LABEL};

/* ---- compare.model -------------------------------------------------------------------------- */

/* Reads the words of a batch: an array of documents, each an array of numbers. The documents, or a negative code. */
static int read_batch(struct stead_slice batch, uint32_t *ret_words)
{
    struct stead_reader reader = stead_reader(batch);
    uint32_t documents = 0, count = 0;

    if (stead_read_array(&reader, &documents) != 0 || documents < 1 || documents > STEAD_SERVE_BATCH)
        return STEAD_EARGUMENT;
    for (uint32_t i = 0; i < documents; i++) {
        if (stead_read_array(&reader, &count) != 0 || count != STEAD_SERVE_LENGTH)
            return STEAD_EARGUMENT;
        for (uint32_t k = 0; k < count; k++) {
            uint64_t word = 0;
            if (stead_read_u64(&reader, &word) != 0)
                return STEAD_EARGUMENT;
            ret_words[i * STEAD_SERVE_LENGTH + k] = (uint32_t)(word % STEAD_SERVE_WORDS);
        }
    }
    return (int)documents;
}

static void write_classes(struct stead_writer *writer, const float *model, const uint32_t *words, uint32_t documents)
{
    stead_write_array(writer, documents);
    for (uint32_t i = 0; i < documents; i++)
        stead_write_u64(writer, stead_serve_classify(model, words + i * STEAD_SERVE_LENGTH, STEAD_SERVE_LENGTH));
}

struct model {
    float *weights; /* the cache: made when it is first needed, never stored */
};

static void unload_model(void *state)
{
    free(((struct model *)state)->weights);
}

static int predict(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint32_t words[WORDS_MAX];
    struct model *model = state;
    struct stead_writer writer;
    uint8_t memory[256];

    int documents = read_batch(args, words);
    if (documents < 0)
        return stead_fail(turn, "bad_batch", "needs at most %u documents of %u words", STEAD_SERVE_BATCH,
                          STEAD_SERVE_LENGTH);
    if (!model->weights) { /* behind the last failure: a turn that fails puts the pointer back */
        model->weights = cache_bytes(STEAD_SERVE_MODEL_BYTES);
        stead_serve_make(model->weights);
    }
    stead_writer_init_fixed(&writer, memory, sizeof memory);
    write_classes(&writer, model->weights, words, (uint32_t)documents);
    int code = stead_reply(turn, stead_written(&writer));
    stead_writer_deinit(&writer);
    return code;
}

static const struct stead_op model_ops[] = {{"predict", predict, NULL, 0, "answers the classes of a batch"},
                                            {NULL, NULL, NULL, 0, NULL}};

const struct stead_kind stead_compare_model_kind = {.abi = STEAD_ABI,
                                                    .struct_size = sizeof(struct stead_kind),
                                                    .name = "compare.model",
                                                    .help = "volatile; a classifier in memory",
                                                    .durability = STEAD_VOLATILE,
                                                    .state_size = sizeof(struct model),
                                                    .ops = model_ops,
                                                    .on_unload = unload_model,
                                                    .needs = STEAD_COMPARE_LABEL};

/* ---- compare.trainer ------------------------------------------------------------------------ */

/* Outside of the state, so that a turn that fails does not lose it. */
struct rows {
    uint32_t blocks;                                       /* made */
    float *block[STEAD_TRAIN_BLOCKS_MAX];                  /* each STEAD_TRAIN_BLOCK_BYTES */
    struct stead_train_part parts[STEAD_TRAIN_BLOCKS_MAX]; /* of the present step */
};

struct trainer {
    struct stead_buffer weights; /* STEAD_TRAIN_FEATURES floats; empty: all 0 */
    struct rows *rows;           /* the cache, never stored */
};

static const struct stead_field trainer_fields[] = {STEAD_FIELD(BUFFER, struct trainer, weights), STEAD_FIELDS_END};

static void unload_trainer(void *state)
{
    struct rows *rows = ((struct trainer *)state)->rows;

    for (uint32_t i = 0; rows && i < rows->blocks; i++)
        free(rows->block[i]);
    free(rows);
}

/* Not before the last failure of a turn, which puts the pointer back. */
static struct rows *need_rows(struct trainer *trainer)
{
    if (!trainer->rows)
        trainer->rows = cache_bytes(sizeof *trainer->rows);
    return trainer->rows;
}

static void need_blocks(struct rows *rows, uint32_t count)
{
    for (; rows->blocks < count; rows->blocks++) {
        rows->block[rows->blocks] = cache_bytes(STEAD_TRAIN_BLOCK_BYTES);
        stead_train_make(rows->blocks, rows->block[rows->blocks]);
    }
}

/* {blocks}: sees to it that they are in memory, a few at a time: answers how many are. */
static int prepare(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct trainer *trainer = state;
    int64_t blocks = 0;

    if (stead_get_i64(args, "blocks", &blocks) != 0 || blocks < 1 || blocks > STEAD_TRAIN_BLOCKS_MAX)
        return stead_fail(turn, "bad_blocks", "blocks is from 1 to %u", STEAD_TRAIN_BLOCKS_MAX);
    uint32_t next = need_rows(trainer)->blocks + FILLS_MAX;
    need_blocks(trainer->rows, next < (uint32_t)blocks ? next : (uint32_t)blocks);
    return stead_reply(turn, stead_packed(turn, "l", (int64_t)trainer->rows->blocks));
}

/* {blocks, first}: one step over them; answers {loss}. first: from weights of 0. */
static int step(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct trainer *trainer = state;
    float weights[STEAD_TRAIN_FEATURES] = {0};
    int64_t blocks = 0;
    bool first = false;

    if (stead_get_i64(args, "blocks", &blocks) != 0 || blocks < 1 || blocks > STEAD_TRAIN_BLOCKS_MAX ||
        stead_get_bool(args, "first", &first) == STEAD_EARGUMENT)
        return stead_fail(turn, "bad_blocks", "blocks is from 1 to %u", STEAD_TRAIN_BLOCKS_MAX);
    need_blocks(need_rows(trainer), (uint32_t)blocks);
    struct stead_slice stored = stead_buffer_get(&trainer->weights);
    if (!first && stored.size == sizeof weights)
        memcpy(weights, stored.data, sizeof weights);
    for (uint32_t i = 0; i < (uint32_t)blocks; i++)
        stead_train_block(trainer->rows->block[i], weights, &trainer->rows->parts[i]);
    double loss = stead_train_move(trainer->rows->parts, (uint32_t)blocks, weights);
    stead_buffer_set(&trainer->weights, stead_bytes(weights, sizeof weights));
    return stead_reply(turn, stead_packed(turn, "{s:f}", "loss", loss));
}

static const struct stead_op trainer_ops[] = {{"prepare", prepare, NULL, 0, "makes blocks, a few at a time"},
                                              {"step", step, NULL, 0, "one step over the blocks in memory"},
                                              {NULL, NULL, NULL, 0, NULL}};

const struct stead_kind stead_compare_trainer_kind = {.abi = STEAD_ABI,
                                                      .struct_size = sizeof(struct stead_kind),
                                                      .name = "compare.trainer",
                                                      .help = "durable; training data in memory",
                                                      .state_size = sizeof(struct trainer),
                                                      .fields = trainer_fields,
                                                      .ops = trainer_ops,
                                                      .on_unload = unload_trainer,
                                                      .needs = STEAD_COMPARE_LABEL};

/* ---- The activities ------------------------------------------------------------------------- */

/* What is done with each value that was fetched. */
struct fetch {
    uint32_t block;                                  /* which */
    void (*use)(struct fetch *, struct stead_slice); /* borrowed bytes */
    float *weights;                                  /* step: the weights of this step */
    struct stead_train_part *part;                   /* step: where the block's part goes */
    float *model;                                    /* predict: where it is put */
    int code;                                        /* of the read */
};

static void on_value(void *context, const struct stead_answer *answer)
{
    struct fetch *fetch = context;
    struct stead_slice bytes;

    fetch->code = answer->code;
    if (fetch->code == 0)
        fetch->code = stead_get_bin(answer->value, NULL, &bytes);
    if (fetch->code == 0)
        fetch->use(fetch, bytes);
}

static int open_store(struct stead_slice args, struct stead_client **ret_client)
{
    char endpoints[ENDPOINTS_SIZE];

    int code = stead_get_text(args, "store", endpoints, sizeof endpoints);
    if (code != 0)
        return code;
    struct stead_client_options options = {
        .endpoints = endpoints, .timeout_ms = FETCH_MS, .in_flight_max = FETCHES, .retry_ms = FETCH_MS};
    return stead_client_open(&options, ret_client);
}

/* Reads `count` values, FETCHES at once; 0 or the first failure. A block is -1 for the model. */
static int fetch_all(struct stead_client *client, struct fetch *fetches, uint32_t count)
{
    uint8_t memory[16];
    int code = 0;

    for (uint32_t i = 0; i < count && code == 0; i++) {
        struct stead_writer args;
        stead_writer_init_fixed(&args, memory, sizeof memory);
        if (fetches[i].model)
            stead_write_nil(&args);
        else
            stead_write_u64(&args, fetches[i].block);
        while (code == 0 && stead_client_in_flight(client) >= FETCHES)
            code = stead_client_poll(client, -1) < 0 ? STEAD_EIO : 0;
        if (code == 0)
            code = stead_client_call_async(client, "compare.store/one", "get", stead_written(&args), NULL, on_value,
                                           &fetches[i]);
        stead_writer_deinit(&args);
    }
    if (code == 0)
        code = stead_client_drain(client, FETCH_MS);
    for (uint32_t i = 0; i < count && code == 0; i++)
        code = fetches[i].code;
    return code;
}

static void take_model(struct fetch *fetch, struct stead_slice bytes)
{
    if (bytes.size == STEAD_SERVE_MODEL_BYTES)
        memcpy(fetch->model, bytes.data, bytes.size);
    else
        fetch->code = STEAD_ECORRUPT;
}

static int fetch_and_predict(struct stead_job *job, struct stead_slice args)
{
    struct stead_client *client = NULL;
    struct fetch fetch = {.use = take_model};
    uint32_t words[WORDS_MAX];
    struct stead_slice batch;
    struct stead_writer writer;

    int documents = stead_get_value(args, "words", &batch) == 0 ? read_batch(batch, words) : STEAD_EARGUMENT;
    if (documents < 0)
        return documents;
    int code = open_store(args, &client);
    if (code != 0)
        return code;
    fetch.model = cache_bytes(STEAD_SERVE_MODEL_BYTES);
    code = fetch_all(client, &fetch, 1);
    stead_client_close(&client);
    stead_writer_init(&writer);
    if (code == 0)
        write_classes(&writer, fetch.model, words, (uint32_t)documents);
    if (code == 0)
        code = stead_job_reply(job, stead_written(&writer));
    stead_writer_deinit(&writer);
    free(fetch.model);
    return code;
}

static void take_block(struct fetch *fetch, struct stead_slice bytes)
{
    float *rows = bytes.size == STEAD_TRAIN_BLOCK_BYTES ? cache_bytes(STEAD_TRAIN_BLOCK_BYTES) : NULL;

    if (!rows) {
        fetch->code = STEAD_ECORRUPT;
        return;
    }
    memcpy(rows, bytes.data, bytes.size); /* what comes off the wire is aligned to nothing */
    stead_train_block(rows, fetch->weights, fetch->part);
    free(rows);
}

/* The fetches of a step in memory of their own. */
static struct fetch *plan_step(uint32_t blocks, float *weights, struct stead_train_part *parts)
{
    struct fetch *fetches = cache_bytes(blocks * sizeof *fetches);

    for (uint32_t i = 0; i < blocks; i++)
        fetches[i] = (struct fetch){.block = i, .use = take_block, .weights = weights, .part = &parts[i]};
    return fetches;
}

static int fetch_and_step(struct stead_job *job, struct stead_slice args)
{
    float weights[STEAD_TRAIN_FEATURES] = {0};
    struct stead_client *client = NULL;
    struct stead_slice given;
    int64_t blocks = 0;

    if (stead_get_i64(args, "blocks", &blocks) != 0 || blocks < 1 || blocks > STEAD_TRAIN_BLOCKS_MAX)
        return STEAD_EARGUMENT;
    if (stead_get_bin(args, "weights", &given) == 0 && given.size == sizeof weights)
        memcpy(weights, given.data, sizeof weights);
    int code = open_store(args, &client);
    if (code != 0)
        return code;
    struct stead_train_part *parts = cache_bytes((size_t)blocks * sizeof *parts);
    struct fetch *fetches = plan_step((uint32_t)blocks, weights, parts);
    code = fetch_all(client, fetches, (uint32_t)blocks);
    stead_client_close(&client);
    if (code == 0) {
        double loss = stead_train_move(parts, (uint32_t)blocks, weights);
        code = stead_job_reply(
            job, stead_job_packed(job, "{s:f,s:B}", "loss", loss, "weights", stead_bytes(weights, sizeof weights)));
    }
    free(fetches);
    free(parts);
    return code;
}

static const struct stead_op predict_ops[] = {{"run", NULL, fetch_and_predict, 0, "fetches the model, classifies"},
                                              {NULL, NULL, NULL, 0, NULL}};
static const struct stead_op step_ops[] = {{"run", NULL, fetch_and_step, 0, "fetches every block, makes a step"},
                                           {NULL, NULL, NULL, 0, NULL}};

const struct stead_kind stead_compare_predict_kind = {.abi = STEAD_ABI,
                                                      .struct_size = sizeof(struct stead_kind),
                                                      .name = "compare.predict",
                                                      .durability = STEAD_STATELESS,
                                                      .ops = predict_ops,
                                                      .needs = STEAD_COMPARE_LABEL};
const struct stead_kind stead_compare_step_kind = {.abi = STEAD_ABI,
                                                   .struct_size = sizeof(struct stead_kind),
                                                   .name = "compare.step",
                                                   .durability = STEAD_STATELESS,
                                                   .ops = step_ops,
                                                   .needs = STEAD_COMPARE_LABEL};
