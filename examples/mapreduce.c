/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mapreduce: the code goes to the data. The text lies with agents, `corpus/0` to `corpus/N-1`, spread over the nodes,
 * in memory and on disk where they are. The orchestration sends each the question; each counts its own words and sends
 * the counts straight to the reducers, agent to agent; the orchestration asks those for their most frequent words. No
 * text ever leaves its agent, and nothing goes through a store in the middle.
 *
 *     stead call corpus/0 add '"to be or not to be"'
 *     stead run mapreduce '{"shards": 4, "top": 3}' --wait        [["to", 2], ["be", 2], ["not", 1]]
 */
#include <string.h>

#include "stead/orchestration.h"

#define REDUCERS 4u
#define SHARDS_MAX 1000u
#define TOP_MAX 100u
#define WORD_MAX 63u

/* The value of a key, a number; 0 when there is none. */
static int get_count(struct stead_turn *turn, struct stead_slice key, int64_t *ret_count)
{
    struct stead_slice value;
    int code = stead_kv_get(turn, key, &value);

    *ret_count = 0;
    if (code == STEAD_ENOTFOUND)
        return 0;
    return code != 0 ? code : stead_get_i64(value, NULL, ret_count);
}

static int add_count(struct stead_turn *turn, struct stead_slice key, int64_t by)
{
    int64_t count;
    int code = get_count(turn, key, &count);

    return code != 0 ? code : stead_kv_put(turn, key, stead_packed(turn, "l", count + by));
}

/* ---- The corpus: text, and how often each of its words is in it ------------------------------- */

static bool is_letter(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || c >= 0x80;
}

/* The next word of a text, in small letters, at most WORD_MAX bytes of it; empty at the end. */
static struct stead_slice next_word(struct stead_slice *text, uint8_t memory[WORD_MAX])
{
    struct stead_slice word = {memory, 0};

    for (; text->size > 0; text->data++, text->size--) {
        uint8_t c = text->data[0] >= 'A' && text->data[0] <= 'Z' ? (uint8_t)(text->data[0] + 32) : text->data[0];
        if (is_letter(c) && word.size < WORD_MAX)
            memory[word.size++] = c;
        else if (!is_letter(c) && word.size > 0)
            break;
    }
    return word;
}

/* TEXT: takes it in. */
static int add(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_slice text, word;
    uint8_t memory[WORD_MAX];
    int64_t words = 0;
    int code = 0;

    (void)state;
    if (stead_get_str(args, NULL, &text) != 0)
        return stead_fail(turn, "bad_text", "add takes a text");
    while (code == 0 && (word = next_word(&text, memory)).size > 0) {
        code = add_count(turn, word, 1);
        words++;
    }
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "l", words));
}

/* One list of [word, count] for each reducer. */
struct shuffle {
    struct stead_writer parts[REDUCERS];
    uint32_t counts[REDUCERS];
};

static int add_to_part(void *context, struct stead_slice key, struct stead_slice value)
{
    struct shuffle *shuffle = context;
    uint32_t hash = 2166136261u; /* FNV-1a: the same word goes to the same reducer from everywhere */

    for (size_t i = 0; i < key.size; i++)
        hash = (hash ^ key.data[i]) * 16777619u;
    hash %= REDUCERS;
    stead_pack(&shuffle->parts[hash], "[S,v]", key, value);
    shuffle->counts[hash]++;
    return 0;
}

/* RUN: sends the counts to the reducers of that run; exactly once, however often the nodes die. */
static int map(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct shuffle shuffle = {.counts = {0}};
    struct stead_writer list;
    char run[STEAD_INSTANCE_ID_MAX + 1];
    int code = stead_get_text(args, NULL, run, sizeof run);

    (void)state;
    if (code != 0)
        return stead_fail(turn, "bad_run", "map takes the name of the run");
    for (uint32_t i = 0; i < REDUCERS; i++)
        stead_writer_init(&shuffle.parts[i]);
    stead_writer_init(&list);
    code = stead_kv_scan(turn, (struct stead_slice){NULL, 0}, (struct stead_slice){NULL, 0}, UINT32_MAX, add_to_part,
                         &shuffle);
    for (uint32_t i = 0; code == 0 && i < REDUCERS; i++) {
        stead_writer_reset(&list);
        stead_write_array(&list, shuffle.counts[i]);
        stead_write_raw(&list, shuffle.parts[i].data, shuffle.parts[i].size);
        code = stead_signal(turn, stead_printed(turn, "reducer/%s:%u", run, i), "take", stead_written(&list));
    }
    for (uint32_t i = 0; i < REDUCERS; i++)
        stead_writer_deinit(&shuffle.parts[i]);
    stead_writer_deinit(&list);
    return code;
}

static const struct stead_op corpus_ops[] = {{"add", add, NULL, 0, "TEXT: takes it in; how many words it has"},
                                             {"map", map, NULL, 0, "RUN: sends its counts to the reducers of a run"},
                                             {NULL, NULL, NULL, 0, NULL}};
static const struct stead_kind corpus = {.abi = STEAD_ABI,
                                         .struct_size = sizeof(struct stead_kind),
                                         .name = "corpus",
                                         .help = "a part of a large text",
                                         .ops = corpus_ops};

/* ---- The reducers: one sums what is sent to it, and lives for one run ---------------------------- */

struct reducer {
    uint32_t parts;                 /* that have come */
    uint32_t parts_wanted;          /* the answer waits for so many */
    uint32_t top;                   /* words asked for */
    char waiting[STEAD_TOKEN_SIZE]; /* who waits; "": nobody */
};
static const struct stead_field reducer_fields[] = {
    STEAD_FIELD(U32, struct reducer, parts), STEAD_FIELD(U32, struct reducer, parts_wanted),
    STEAD_FIELD(U32, struct reducer, top), STEAD_FIELD(TEXT, struct reducer, waiting), STEAD_FIELDS_END};

/* The most frequent words seen so far, the best first. */
struct best {
    uint32_t top, count;
    struct {
        char word[WORD_MAX + 1];
        int64_t count;
    } words[TOP_MAX];
};

static void take_word(struct best *best, struct stead_slice word, int64_t count)
{
    uint32_t at = best->count;

    while (at > 0 && best->words[at - 1].count < count)
        at--;
    if (at >= best->top || word.size > WORD_MAX)
        return;
    if (best->count < best->top)
        best->count++;
    memmove(&best->words[at + 1], &best->words[at], (best->count - at - 1) * sizeof best->words[0]);
    memcpy(best->words[at].word, word.data, word.size);
    best->words[at].word[word.size] = '\0';
    best->words[at].count = count;
}

static int see_word(void *context, struct stead_slice key, struct stead_slice value)
{
    int64_t count;

    if (stead_get_i64(value, NULL, &count) == 0)
        take_word(context, key, count);
    return 0;
}

static void write_best(const struct best *best, struct stead_writer *writer)
{
    stead_write_array(writer, best->count);
    for (uint32_t i = 0; i < best->count; i++)
        stead_pack(writer, "[s,l]", best->words[i].word, best->words[i].count);
}

/* Answers who waits, when everything is there. */
static int answer_if_whole(struct stead_turn *turn, struct reducer *reducer)
{
    struct best *best = stead_turn_alloc(turn, sizeof *best);
    struct stead_writer writer;
    struct stead_token token;

    if (reducer->waiting[0] == '\0' || reducer->parts < reducer->parts_wanted)
        return 0;
    best->top = reducer->top;
    int code =
        stead_kv_scan(turn, (struct stead_slice){NULL, 0}, (struct stead_slice){NULL, 0}, UINT32_MAX, see_word, best);
    if (code != 0)
        return code;
    memcpy(token.text, reducer->waiting, sizeof token.text);
    reducer->waiting[0] = '\0';
    stead_writer_init(&writer);
    write_best(best, &writer);
    code = stead_answer(turn, &token, stead_written(&writer));
    stead_writer_deinit(&writer);
    return code == STEAD_ENOTFOUND ? 0 : code;
}

/* [[word, count]...] from one part of the corpus. */
static int take(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct reducer *reducer = state;
    struct stead_reader reader = stead_reader(args);
    struct stead_slice word;
    uint32_t count, two;
    int64_t by;
    int code = stead_read_array(&reader, &count);

    for (uint32_t i = 0; code == 0 && i < count; i++) {
        if ((code = stead_read_array(&reader, &two)) == 0 && (code = stead_read_str(&reader, &word)) == 0 &&
            (code = stead_read_i64(&reader, &by)) == 0)
            code = add_count(turn, word, by);
    }
    if (code != 0)
        return code;
    reducer->parts++;
    return answer_if_whole(turn, reducer);
}

/* {parts, top}: the most frequent words, once so many parts have come. */
static int result(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct reducer *reducer = state;
    struct stead_token token;
    uint64_t parts, top;

    if (stead_get_u64(args, "parts", &parts) != 0 || parts > SHARDS_MAX || stead_get_u64(args, "top", &top) != 0 ||
        top > TOP_MAX)
        return stead_fail(turn, "bad_question", "result takes {parts, top}");
    int code = stead_reply_later(turn, &token);
    if (code != 0)
        return code;
    reducer->parts_wanted = (uint32_t)parts;
    reducer->top = (uint32_t)top;
    memcpy(reducer->waiting, token.text, sizeof reducer->waiting);
    return answer_if_whole(turn, reducer);
}

static int end(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state;
    (void)args;
    return stead_destroy(turn);
}

static const struct stead_op reducer_ops[] = {{"take", take, NULL, 0, "[[word, count]...]: adds them"},
                                              {"result", result, NULL, 0, "{parts, top}: the most frequent words"},
                                              {"end", end, NULL, 0, "forgets everything"},
                                              {NULL, NULL, NULL, 0, NULL}};
static const struct stead_kind reducer = {.abi = STEAD_ABI,
                                          .struct_size = sizeof(struct stead_kind),
                                          .name = "reducer",
                                          .help = "sums the counts of one run",
                                          .state_size = sizeof(struct reducer),
                                          .fields = reducer_fields,
                                          .ops = reducer_ops};
STEAD_MODULE(&corpus, &reducer);

/* ---- The orchestration ---------------------------------------------------------------------- */

/* Asks all the corpus' agents at once; they send their counts on. */
static int map_all(struct stead_orchestration *o, uint32_t shards, const char *run)
{
    struct stead_task *tasks = stead_keep_bytes(o, shards * sizeof *tasks);

    for (uint32_t i = 0; i < shards; i++)
        tasks[i] =
            stead_begin_call(o, stead_printed_for(o, "corpus/%u", i), "map", stead_packed_for(o, "s", run), NULL);
    int code = stead_await_all(o, tasks, shards);
    for (uint32_t i = 0; code == 0 && i < shards; i++)
        code = stead_await(o, tasks[i], NULL);
    return code;
}

/* The best of what one reducer answered joins the best of all. */
static int merge(struct best *best, struct stead_slice value)
{
    struct stead_reader reader = stead_reader(value);
    struct stead_slice word;
    uint32_t count, two;
    int64_t times;
    int code = stead_read_array(&reader, &count);

    for (uint32_t i = 0; code == 0 && i < count; i++) {
        if ((code = stead_read_array(&reader, &two)) == 0 && (code = stead_read_str(&reader, &word)) == 0 &&
            (code = stead_read_i64(&reader, &times)) == 0)
            take_word(best, word, times);
    }
    return code;
}

static int mapreduce(struct stead_orchestration *o, struct stead_slice input)
{
    struct best *best = stead_keep_bytes(o, sizeof *best);
    struct stead_task tasks[REDUCERS];
    uint64_t shards, top = 10;
    char run[STEAD_UUID_SIZE];

    if (stead_get_u64(input, "shards", &shards) != 0 || shards == 0 || shards > SHARDS_MAX ||
        stead_get_u64(input, "top", &top) == STEAD_EARGUMENT || top > TOP_MAX)
        return stead_fail_with(o, "bad_input", "mapreduce takes {shards: 1..1000, top: at most 100}");
    stead_uuid(o, run); /* of this run alone: a run that is restarted meets no reducer of an earlier one */
    int code = map_all(o, (uint32_t)shards, run);
    if (code != 0)
        return code;
    for (uint32_t i = 0; i < REDUCERS; i++)
        tasks[i] = stead_begin_call(o, stead_printed_for(o, "reducer/%s:%u", run, i), "result",
                                    stead_packed_for(o, "{s:u,s:u}", "parts", shards, "top", top), NULL);
    best->top = (uint32_t)top;
    for (uint32_t i = 0; i < REDUCERS; i++) {
        struct stead_slice words;
        code = stead_await(o, tasks[i], &words);
        if (code == 0)
            code = merge(best, words);
        if (code != 0)
            return code;
        (void)stead_signal_agent(o, stead_printed_for(o, "reducer/%s:%u", run, i), "end",
                                 (struct stead_slice){NULL, 0});
    }
    struct stead_writer writer;
    uint8_t memory[TOP_MAX * (WORD_MAX + 16)];
    stead_writer_init_fixed(&writer, memory, sizeof memory);
    write_best(best, &writer);
    return stead_complete(o, stead_written(&writer));
}

static const struct stead_orchestrator mapreduce_orchestrator = {
    .abi = STEAD_ORCHESTRATION_ABI,
    .struct_size = sizeof(struct stead_orchestrator),
    .name = "mapreduce",
    .help = "{shards, top}: the most frequent words of corpus/0 to corpus/N-1",
    .version = 1,
    .run = mapreduce};
STEAD_ORCHESTRATORS(&mapreduce_orchestrator);
