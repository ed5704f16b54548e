/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The overlay against a model: random puts, deletes, range deletes, batches and checkpoints, with reads compared after
 * each step, and at random moments a crash: the image as it then is, plus the log after the applied mark up to any
 * synced index, must give the rows of that index.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/base.h"
#include "runtime/entry.h"
#include "runtime/overlay.h"

/* ---- Small cases ---------------------------------------------------------------------------- */

static struct stead_slice text(const char *it)
{
    return (struct stead_slice){(const uint8_t *)it, strlen(it)};
}

static void put(struct stead_overlay *overlay, uint64_t index, const char *key, const char *value, bool fresh)
{
    stead_overlay_put(overlay, index, text(key), text(value), fresh);
    stead_overlay_check(overlay);
}

/* Describes mutations as "+key=value -key ~from..to", in `out`. */
static const char *describe(struct stead_slice mutations, char *out, size_t size)
{
    struct stead_mutation it;
    size_t at = 0;
    out[0] = 0;
    while (stead_entry_next_mutation(&mutations, &it) == 1) {
        const char *sign = it.type == STEAD_MUTATION_PUT ? "+" : it.type == STEAD_MUTATION_DELETE ? "-" : "~";
        const char *middle = it.type == STEAD_MUTATION_PUT ? "=" : it.type == STEAD_MUTATION_DELETE ? "" : "..";
        at += (size_t)snprintf(out + at, size - at, "%s%s%.*s%s%.*s", at > 0 ? " " : "", sign, (int)it.key.size,
                               (const char *)it.key.data, middle, (int)it.value.size, (const char *)it.value.data);
    }
    return out;
}

static void expect_batch(struct stead_overlay *overlay, const char *expected)
{
    struct stead_writer entry;
    char out[1024];
    stead_writer_init(&entry);
    size_t bytes = stead_overlay_batch_bytes(overlay);
    stead_overlay_batch_end(overlay, &entry);
    assert_int_equal(entry.size, bytes);
    assert_string_equal(describe((struct stead_slice){entry.data, entry.size}, out, sizeof out), expected);
    assert_int_equal(stead_overlay_batch_rows(overlay), 0);
    stead_overlay_check(overlay);
    stead_writer_deinit(&entry);
}

static bool expect_chunk(struct stead_overlay *overlay, size_t bytes_max, const char *expected)
{
    struct stead_writer chunk;
    char out[1024];
    stead_writer_init(&chunk);
    bool more = stead_overlay_checkpoint(overlay, bytes_max, &chunk);
    assert_string_equal(describe((struct stead_slice){chunk.data, chunk.size}, out, sizeof out), expected);
    stead_overlay_check(overlay);
    stead_writer_deinit(&chunk);
    return more;
}

static enum stead_overlay_found find(struct stead_overlay *overlay, const char *key)
{
    struct stead_slice value;
    return stead_overlay_get(overlay, text(key), &value, NULL);
}

static void test_batch_row_put_twice_is_written_once_with_its_last_value(void **state)
{
    (void)state;
    struct stead_overlay *overlay = stead_overlay_create();
    put(overlay, 1, "a", "one", false);
    put(overlay, 1, "b", "two", false);
    put(overlay, 1, "a", "a much longer value than the first one was", false);
    assert_int_equal(stead_overlay_batch_rows(overlay), 2);
    expect_batch(overlay, "+a=a much longer value than the first one was +b=two");
    expect_batch(overlay, "");
    stead_overlay_destroy(&overlay);
    assert_null(overlay);
}

static void test_fresh_row_deleted_in_its_batch_leaves_nothing(void **state)
{
    (void)state;
    struct stead_overlay *overlay = stead_overlay_create();
    put(overlay, 1, "a", "one", true);
    stead_overlay_delete(overlay, 1, text("a"));
    assert_int_equal(find(overlay, "a"), STEAD_OVERLAY_ABSENT);
    expect_batch(overlay, "");
    assert_int_equal(stead_overlay_rows(overlay), 0);
    stead_overlay_destroy(&overlay);
}

static void test_fresh_row_deleted_later_is_logged_and_never_written(void **state)
{
    (void)state;
    struct stead_overlay *overlay = stead_overlay_create();
    put(overlay, 1, "a", "one", true);
    expect_batch(overlay, "+a=one");
    stead_overlay_delete(overlay, 2, text("a"));
    assert_int_equal(find(overlay, "a"), STEAD_OVERLAY_DELETED);
    expect_batch(overlay, "-a");
    assert_int_equal(stead_overlay_rows(overlay), 0);
    stead_overlay_checkpoint_begin(overlay, 2);
    assert_false(expect_chunk(overlay, 100, ""));
    stead_overlay_destroy(&overlay);
}

static void test_row_of_the_image_deleted_leaves_a_tombstone_until_a_checkpoint(void **state)
{
    (void)state;
    struct stead_overlay *overlay = stead_overlay_create();
    stead_overlay_delete(overlay, 1, text("a"));
    expect_batch(overlay, "-a");
    assert_int_equal(find(overlay, "a"), STEAD_OVERLAY_DELETED);
    stead_overlay_checkpoint_begin(overlay, 1);
    assert_false(expect_chunk(overlay, 100, "-a"));
    assert_int_equal(find(overlay, "a"), STEAD_OVERLAY_DELETED);
    stead_overlay_forget(overlay);
    assert_int_equal(find(overlay, "a"), STEAD_OVERLAY_ABSENT);
    stead_overlay_destroy(&overlay);
}

static void test_checkpoint_row_changed_before_it_was_offered_is_written_as_of_its_moment(void **state)
{
    (void)state;
    struct stead_overlay *overlay = stead_overlay_create();
    put(overlay, 1, "a", "one", false);
    put(overlay, 1, "b", "one", true);
    put(overlay, 1, "c", "one", false);
    expect_batch(overlay, "+a=one +b=one +c=one");
    stead_overlay_checkpoint_begin(overlay, 1);
    put(overlay, 2, "a", "two", false);
    stead_overlay_delete(overlay, 2, text("b"));
    assert_false(expect_chunk(overlay, 100, "+a=one +b=one +c=one"));
    expect_batch(overlay, "+a=two -b");
    stead_overlay_forget(overlay);
    assert_int_equal(find(overlay, "a"), STEAD_OVERLAY_ROW);
    assert_int_equal(find(overlay, "b"), STEAD_OVERLAY_DELETED); /* the image holds it now */
    assert_int_equal(find(overlay, "c"), STEAD_OVERLAY_ABSENT);
    stead_overlay_checkpoint_begin(overlay, 2);
    assert_false(expect_chunk(overlay, 100, "+a=two -b"));
    stead_overlay_destroy(&overlay);
}

static void test_checkpoint_row_changed_after_it_was_offered_stays(void **state)
{
    (void)state;
    struct stead_overlay *overlay = stead_overlay_create();
    put(overlay, 1, "a", "one", true);
    put(overlay, 1, "b", "one", true);
    expect_batch(overlay, "+a=one +b=one");
    stead_overlay_checkpoint_begin(overlay, 1);
    assert_true(expect_chunk(overlay, 1, "+a=one"));
    stead_overlay_delete(overlay, 2, text("a"));
    assert_false(expect_chunk(overlay, 100, "+b=one"));
    stead_overlay_forget(overlay);
    assert_int_equal(find(overlay, "a"), STEAD_OVERLAY_DELETED);
    expect_batch(overlay, "-a");
    assert_int_equal(stead_overlay_rows(overlay), 1);
    stead_overlay_destroy(&overlay);
}

static void test_range_delete_drops_rows_and_is_written_before_them(void **state)
{
    (void)state;
    struct stead_overlay *overlay = stead_overlay_create();
    put(overlay, 1, "a1", "one", false);
    put(overlay, 1, "a2", "one", false);
    put(overlay, 1, "b", "one", false);
    stead_overlay_delete_range(overlay, 1, text("a"), text("b"));
    stead_overlay_check(overlay);
    assert_int_equal(stead_overlay_batch_rows(overlay), 2);
    expect_batch(overlay, "~a..b +b=one");
    assert_int_equal(find(overlay, "a1"), STEAD_OVERLAY_ABSENT);
    stead_overlay_checkpoint_begin(overlay, 1);
    assert_false(expect_chunk(overlay, 100, "~a..b +b=one"));
    stead_overlay_forget(overlay);
    stead_overlay_checkpoint_begin(overlay, 1);
    assert_false(expect_chunk(overlay, 100, ""));
    stead_overlay_destroy(&overlay);
}

static void test_range_delete_during_a_checkpoint_sets_its_rows_aside(void **state)
{
    (void)state;
    struct stead_overlay *overlay = stead_overlay_create();
    put(overlay, 1, "a1", "one", false);
    expect_batch(overlay, "+a1=one");
    stead_overlay_checkpoint_begin(overlay, 1);
    stead_overlay_delete_range(overlay, 2, text("a"), text("b"));
    expect_batch(overlay, "~a..b");
    assert_false(expect_chunk(overlay, 100, "+a1=one")); /* the entry with the range may never reach the disk */
    stead_overlay_destroy(&overlay);
}

/* ---- The model ------------------------------------------------------------------------------ */

#define KEYS 600u /* of them the first REUSED are used again and again, the others once */
#define REUSED 60u
#define GROUP 20u /* keys of a group that is deleted as a range */
#define INDEXES 400u
#define VALUE_MAX 80u

struct model {
    struct stead_overlay *overlay;
    struct stead_doors doors;
    struct stead_rng rng;
    int32_t truth[KEYS];            /* value; -1: no row */
    int32_t image[KEYS];            /* what chunks have written */
    bool written[KEYS];             /* a chunk has ever written the key */
    bool closed[KEYS];              /* its range was deleted */
    int32_t history[INDEXES][KEYS]; /* truth after each entry */
    struct stead_writer log[INDEXES];
    uint64_t index;      /* of the open entry */
    uint64_t applied;    /* of the last finished checkpoint */
    uint64_t checkpoint; /* moment of the one under way; 0: none */
    bool chunks_done;
    int32_t next_value;
};

static void key_name(uint32_t key, char *name)
{
    /* Long common beginnings, and lengths on both sides of the eight bytes that the tree compares at once. */
    snprintf(name, 64, "%c@counter/%s%03u%s", key % 3 ? 'a' : 'b', key < REUSED ? "k" : "once/", key,
             key % 5 == 0 ? "/with/a/tail" : "");
    if (key >= REUSED)
        snprintf(name, 64, "once/%02u/%03u%s", key / GROUP, key, key % 5 == 0 ? "/tail" : "");
}

static uint32_t key_number(struct stead_slice key)
{
    size_t at = key.data[0] == 'o' ? strlen("once/00/") : strlen("a@counter/k");
    assert_true(key.size >= at + 3);
    return (uint32_t)(key.data[at] - '0') * 100 + (uint32_t)(key.data[at + 1] - '0') * 10 +
           (uint32_t)(key.data[at + 2] - '0');
}

static struct stead_slice value_text(int32_t value, char *buffer)
{
    int size = snprintf(buffer, 16, "%d:", value);
    size_t padded = (size_t)size + (size_t)value * 7 % 60;
    memset(buffer + size, 'x', padded - (size_t)size);
    return (struct stead_slice){(const uint8_t *)buffer, padded};
}

static int image_get(void *self, struct stead_slice key, struct stead_writer *ret_value)
{
    struct model *model = self;
    char buffer[VALUE_MAX];
    int32_t value = model->image[key_number(key)];
    if (value < 0)
        return STEAD_ENOTFOUND;
    struct stead_slice bytes = value_text(value, buffer);
    stead_write_raw(ret_value, bytes.data, bytes.size);
    return 0;
}

struct sorted {
    char name[64];
    int32_t value;
};

static int compare_sorted(const void *a, const void *b)
{
    return strcmp(((const struct sorted *)a)->name, ((const struct sorted *)b)->name);
}

/* Rows of `values` with from <= name < to, in order. */
static uint32_t collect(const int32_t *values, const char *from, const char *to, bool reverse, struct sorted *ret_rows)
{
    uint32_t count = 0;
    for (uint32_t k = 0; k < KEYS; k++) {
        char name[64];
        key_name(k, name);
        if (values[k] >= 0 && strcmp(name, from) >= 0 && strcmp(name, to) < 0) {
            memcpy(ret_rows[count].name, name, sizeof name);
            ret_rows[count++].value = values[k];
        }
    }
    qsort(ret_rows, count, sizeof(ret_rows[0]), compare_sorted);
    for (uint32_t i = 0; reverse && i < count / 2; i++) {
        struct sorted other = ret_rows[i];
        ret_rows[i] = ret_rows[count - 1 - i];
        ret_rows[count - 1 - i] = other;
    }
    return count;
}

static int image_scan(void *self, struct stead_slice from, struct stead_slice to, bool reverse,
                      stead_row_visit_fn *visit, void *context)
{
    static struct sorted rows[KEYS];
    struct model *model = self;
    char low[64];
    char high[64];
    snprintf(low, sizeof low, "%.*s", (int)from.size, (const char *)from.data);
    snprintf(high, sizeof high, "%.*s", (int)to.size, (const char *)to.data);
    uint32_t count = collect(model->image, low, high, reverse, rows);
    for (uint32_t i = 0; i < count; i++) {
        char buffer[VALUE_MAX];
        int stop = visit(context, text(rows[i].name), value_text(rows[i].value, buffer));
        if (stop != 0)
            return stop;
    }
    return 0;
}

static int image_scan_ranges(void *self, stead_row_range_fn *next, stead_row_visit_fn *visit, void *context)
{
    struct stead_slice from, to;

    while (next(context, &from, &to))
        (void)image_scan(self, from, to, false, visit, context);
    return 0;
}

static void apply(int32_t *values, struct stead_slice mutations, bool *written)
{
    struct stead_mutation it;
    int code;
    while ((code = stead_entry_next_mutation(&mutations, &it)) == 1) {
        if (it.type == STEAD_MUTATION_DELETE_RANGE) {
            for (uint32_t k = 0; k < KEYS; k++) {
                char name[64];
                key_name(k, name);
                if (stead_slice_compare(text(name), it.key) >= 0 && stead_slice_compare(text(name), it.value) < 0)
                    values[k] = -1;
            }
            continue;
        }
        uint32_t key = key_number(it.key);
        values[key] = it.type == STEAD_MUTATION_PUT ? atoi((const char *)it.value.data) : -1;
        if (written != NULL)
            written[key] = true;
    }
    assert_int_equal(code, 0);
}

static uint32_t pick(struct model *model, uint32_t below)
{
    return (uint32_t)stead_rng_below(&model->rng, below);
}

static void change_row(struct model *model)
{
    uint32_t key = pick(model, 2) ? pick(model, REUSED) : pick(model, KEYS);
    char name[64];
    char buffer[VALUE_MAX];
    key_name(key, name);
    if (model->closed[key])
        return;
    if (pick(model, 3) == 0) {
        stead_overlay_delete(model->overlay, model->index, text(name));
        model->truth[key] = -1;
        if (key >= REUSED)
            model->closed[key] = true; /* never used twice */
        return;
    }
    model->truth[key] = model->next_value++;
    bool fresh = key >= REUSED && !model->written[key];
    stead_overlay_put(model->overlay, model->index, text(name), value_text(model->truth[key], buffer), fresh);
}

static void delete_group(struct model *model)
{
    uint32_t group = REUSED / GROUP + pick(model, (KEYS - REUSED) / GROUP);
    char from[64];
    char to[64];
    snprintf(from, sizeof from, "once/%02u/", group);
    snprintf(to, sizeof to, "once/%02u0", group);
    stead_overlay_delete_range(model->overlay, model->index, text(from), text(to));
    for (uint32_t k = group * GROUP; k < (group + 1) * GROUP; k++) {
        model->truth[k] = -1;
        model->closed[k] = true;
    }
}

static void end_batch(struct model *model)
{
    stead_overlay_batch_end(model->overlay, &model->log[model->index]);
    memcpy(model->history[model->index], model->truth, sizeof model->truth);
    model->index++;
}

static void step_checkpoint(struct model *model)
{
    if (model->checkpoint == 0) {
        end_batch(model);
        model->checkpoint = model->index - 1;
        stead_overlay_checkpoint_begin(model->overlay, model->checkpoint);
        model->chunks_done = false;
        return;
    }
    if (!model->chunks_done) {
        struct stead_writer chunk;
        stead_writer_init(&chunk);
        model->chunks_done = !stead_overlay_checkpoint(model->overlay, pick(model, 400), &chunk);
        apply(model->image, (struct stead_slice){chunk.data, chunk.size}, model->written);
        stead_writer_deinit(&chunk);
        if (model->chunks_done)
            model->applied = model->checkpoint;
        return;
    }
    stead_overlay_forget(model->overlay);
    model->checkpoint = 0;
}

/* A crash now, with the log synced up to some index that is not before the checkpoint under way. */
static void expect_recovery(struct model *model)
{
    static int32_t values[KEYS];
    uint64_t least = model->checkpoint > model->applied ? model->checkpoint : model->applied;
    uint64_t synced = least + pick(model, (uint32_t)(model->index - least));
    memcpy(values, model->image, sizeof values);
    for (uint64_t i = model->applied + 1; i <= synced; i++)
        apply(values, (struct stead_slice){model->log[i].data, model->log[i].size}, NULL);
    for (uint32_t k = 0; k < KEYS; k++)
        assert_int_equal(values[k], model->history[synced][k]);
}

struct expected {
    const struct sorted *rows;
    uint32_t count;
    uint32_t at;
    uint32_t stop_at;
};

static int expect_row(void *context, struct stead_slice key, struct stead_slice value)
{
    struct expected *expected = context;
    assert_true(expected->at < expected->count);
    char buffer[VALUE_MAX];
    assert_true(stead_slice_equal(key, text(expected->rows[expected->at].name)));
    assert_true(stead_slice_equal(value, value_text(expected->rows[expected->at].value, buffer)));
    expected->at++;
    return expected->at == expected->stop_at ? 77 : 0;
}

static void expect_scan(struct model *model)
{
    static struct sorted rows[KEYS];
    char from[64];
    char to[64];
    key_name(pick(model, KEYS), from);
    key_name(pick(model, KEYS), to);
    if (pick(model, 4) == 0) {
        from[0] = 0;
        strcpy(to, "z");
    }
    bool reverse = pick(model, 2);
    struct expected expected = {.rows = rows, .count = collect(model->truth, from, to, reverse, rows)};
    expected.stop_at = pick(model, 3) == 0 ? 1 + pick(model, KEYS) : 0;
    int code =
        stead_overlay_scan_merged(model->overlay, &model->doors, text(from), text(to), reverse, expect_row, &expected);
    bool stops = expected.stop_at != 0 && expected.stop_at <= expected.count;
    assert_int_equal(code, stops ? 77 : 0);
    assert_int_equal(expected.at, stops ? expected.stop_at : expected.count);
}

#define RANGES 4u

/* A scan of some rising ranges, of which some are ended early. */
struct expected_ranges {
    struct sorted rows[RANGES][KEYS];
    char bounds[RANGES][2][64];
    struct expected expected[RANGES];
    uint32_t at; /* of the range under way, + 1 */
};

static bool next_expected(void *context, struct stead_slice *ret_from, struct stead_slice *ret_to)
{
    struct expected_ranges *it = context;

    if (it->at == RANGES)
        return false;
    *ret_from = text(it->bounds[it->at][0]);
    *ret_to = text(it->bounds[it->at][1]);
    it->at++;
    return true;
}

static int expect_row_of_range(void *context, struct stead_slice key, struct stead_slice value)
{
    struct expected_ranges *it = context;

    return expect_row(&it->expected[it->at - 1], key, value);
}

static void expect_scan_of_ranges(struct model *model)
{
    static struct expected_ranges it;
    uint32_t from = pick(model, KEYS);

    it.at = 0;
    for (uint32_t i = 0; i < RANGES; i++) {
        uint32_t to = from + pick(model, 3) * pick(model, KEYS - from + 1) / 2;
        key_name(from, it.bounds[i][0]);
        key_name(to, it.bounds[i][1]);
        it.expected[i] = (struct expected){.rows = it.rows[i]};
        it.expected[i].count = collect(model->truth, it.bounds[i][0], it.bounds[i][1], false, it.rows[i]);
        it.expected[i].stop_at = pick(model, 3) == 0 ? 1 + pick(model, 4) : 0;
        from = to < KEYS ? to : KEYS - 1;
    }
    int code = stead_overlay_scan_ranges(model->overlay, &model->doors, next_expected, expect_row_of_range, &it);
    assert_int_equal(code, 0);
    assert_int_equal(it.at, RANGES);
    for (uint32_t i = 0; i < RANGES; i++) {
        const struct expected *expected = &it.expected[i];
        bool stops = expected->stop_at != 0 && expected->stop_at <= expected->count;
        assert_int_equal(expected->at, stops ? expected->stop_at : expected->count);
    }
}

static void expect_get(struct model *model)
{
    uint32_t key = pick(model, KEYS);
    char name[64];
    char buffer[VALUE_MAX];
    key_name(key, name);
    struct stead_writer value;
    stead_writer_init(&value);
    int code = stead_overlay_get_merged(model->overlay, &model->doors, text(name), &value);
    if (!model->closed[key] || key < REUSED) {
        assert_int_equal(code, model->truth[key] < 0 ? STEAD_ENOTFOUND : 0);
        if (code == 0)
            assert_true(stead_slice_equal(stead_written(&value), value_text(model->truth[key], buffer)));
    }
    stead_writer_deinit(&value);
}

/* Rows under a deleted range that the image still holds are nobody's to read: the model's scans leave them out. */
static void settle_closed(struct model *model)
{
    for (uint32_t k = REUSED; k < KEYS; k++)
        if (model->closed[k] && model->truth[k] >= 0)
            fail_msg("the model is wrong");
}

static void run_model(uint64_t seed)
{
    struct model *model = stead_alloc_zero(sizeof *model);
    model->overlay = stead_overlay_create();
    model->doors =
        (struct stead_doors){.self = model, .get = image_get, .scan = image_scan, .scan_ranges = image_scan_ranges};
    model->index = 1;
    stead_rng_seed(&model->rng, seed);
    bool ranges = seed % 2; /* with ranges, scans see rows that nobody may read: only recovery is compared */
    for (uint32_t k = 0; k < KEYS; k++)
        model->truth[k] = model->image[k] = model->history[0][k] = -1;
    for (uint32_t i = 0; i < INDEXES; i++)
        stead_writer_init(&model->log[i]);
    while (model->index < INDEXES - 2) {
        uint32_t what = pick(model, 100);
        if (what < 70)
            change_row(model);
        else if (what < 80)
            end_batch(model);
        else if (what < 90)
            step_checkpoint(model);
        else if (what < 92 && ranges)
            delete_group(model);
        else if (what < 94)
            expect_recovery(model);
        else if (what < 96 && !ranges)
            expect_scan(model), expect_scan_of_ranges(model);
        else
            expect_get(model);
        if (what % 16 == 0)
            stead_overlay_check(model->overlay);
    }
    settle_closed(model);
    for (uint32_t i = 0; i < INDEXES; i++)
        stead_writer_deinit(&model->log[i]);
    stead_overlay_destroy(&model->overlay);
    free(model);
}

static void test_overlay_random_changes_agree_with_the_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 24; seed++)
        run_model(seed);
}

/* Many rows: everything is swept in the end, memory comes back. */
static void test_forget_of_many_rows_gives_the_memory_back(void **state)
{
    (void)state;
    struct stead_overlay *overlay = stead_overlay_create();
    struct stead_writer sink;
    stead_writer_init(&sink);
    uint64_t empty = stead_overlay_bytes(overlay);
    for (uint32_t i = 0; i < 20000; i++) {
        char key[32];
        snprintf(key, sizeof key, "counter/%08x", i * 2654435761u);
        stead_overlay_put(overlay, 1, text(key), text("some value"), false);
    }
    stead_overlay_batch_end(overlay, &sink);
    stead_overlay_checkpoint_begin(overlay, 1);
    do
        stead_writer_reset(&sink);
    while (stead_overlay_checkpoint(overlay, 65536, &sink));
    stead_overlay_forget(overlay);
    assert_int_equal(stead_overlay_rows(overlay), 0);
    for (uint32_t i = 0; i < 3000; i++)
        stead_overlay_put(overlay, 2, text("one"), text("row"), false);
    stead_overlay_check(overlay);
    assert_int_equal(stead_overlay_rows(overlay), 1);
    assert_true(stead_overlay_bytes(overlay) < empty + 4096);
    stead_writer_deinit(&sink);
    stead_overlay_destroy(&overlay);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch_row_put_twice_is_written_once_with_its_last_value),
        cmocka_unit_test(test_fresh_row_deleted_in_its_batch_leaves_nothing),
        cmocka_unit_test(test_fresh_row_deleted_later_is_logged_and_never_written),
        cmocka_unit_test(test_row_of_the_image_deleted_leaves_a_tombstone_until_a_checkpoint),
        cmocka_unit_test(test_checkpoint_row_changed_before_it_was_offered_is_written_as_of_its_moment),
        cmocka_unit_test(test_checkpoint_row_changed_after_it_was_offered_stays),
        cmocka_unit_test(test_range_delete_drops_rows_and_is_written_before_them),
        cmocka_unit_test(test_range_delete_during_a_checkpoint_sets_its_rows_aside),
        cmocka_unit_test(test_overlay_random_changes_agree_with_the_model),
        cmocka_unit_test(test_forget_of_many_rows_gives_the_memory_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
