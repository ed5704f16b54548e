/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log writer: what is reported is on the disk, in order; marks and trims wait for their syncs; a failure is told
 * once. Against the memory twin, so that crashes can be tried and the thread sanitizer sees everything; once against
 * RocksDB.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "persist/log_writer.h"
#include "persist/store_memory.h"
#include "persist/store_rocksdb.h"
#include "runtime/base.h"
#include "runtime/entry.h"

#define REACTORS 4
#define SHARDS 8 /* two to a reactor, from 1 */

struct fixture {
    struct stead_store *store;
    struct stead_log_writer *writer;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t synced[SHARDS + 1];
    uint64_t rows_written[SHARDS + 1];
    unsigned done_calls;
    unsigned failures;
    int failure_code;
    char failure[STEAD_STORE_SENTENCE_MAX];
};

static uint16_t reactor_of(uint32_t shard)
{
    return (uint16_t)((shard - 1) / 2);
}

static void on_done(void *context, uint16_t reactor, const struct stead_log_done *done, uint32_t done_count)
{
    struct fixture *it = context;
    pthread_mutex_lock(&it->lock);
    it->done_calls++;
    for (uint32_t i = 0; i < done_count; i++) {
        if (reactor_of(done[i].shard) != reactor)
            abort();
        if (done[i].type == STEAD_LOG_ROWS_WRITTEN) {
            it->rows_written[done[i].shard]++;
            continue;
        }
        if (done[i].index <= it->synced[done[i].shard])
            abort();
        it->synced[done[i].shard] = done[i].index;
    }
    pthread_cond_broadcast(&it->changed);
    pthread_mutex_unlock(&it->lock);
}

static void on_failed(void *context, int code, const char *sentence)
{
    struct fixture *it = context;
    pthread_mutex_lock(&it->lock);
    it->failures++;
    it->failure_code = code;
    snprintf(it->failure, sizeof it->failure, "%s", sentence);
    pthread_cond_broadcast(&it->changed);
    pthread_mutex_unlock(&it->lock);
}

static void start_writer(struct fixture *it)
{
    const struct stead_log_writer_options options = {
        .store = it->store, .reactor_count = REACTORS, .context = it, .done = on_done, .failed = on_failed};
    assert_int_equal(stead_log_writer_create(&options, &it->writer), 0);
}

static int set_up(void **state)
{
    struct fixture *it = calloc(1, sizeof *it);
    pthread_mutex_init(&it->lock, NULL);
    pthread_cond_init(&it->changed, NULL);
    it->store = stead_store_memory_create(1);
    start_writer(it);
    *state = it;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *it = *state;
    stead_log_writer_destroy(&it->writer);
    stead_store_close(&it->store);
    pthread_cond_destroy(&it->changed);
    pthread_mutex_destroy(&it->lock);
    free(it);
    return 0;
}

static void append(struct fixture *it, uint32_t shard, uint64_t index)
{
    struct stead_writer entry;
    stead_writer_init(&entry);
    for (int i = 0; i < 16; i++)
        stead_write_raw(&entry, &index, sizeof index);
    stead_log_writer_append(it->writer, reactor_of(shard), shard, index, &entry);
    assert_int_equal(entry.size, 0);
    stead_writer_deinit(&entry);
}

static void write_rows(struct fixture *it, uint32_t shard, uint64_t applied, const char *key)
{
    struct stead_writer mutations;
    stead_writer_init(&mutations);
    stead_entry_put(&mutations, stead_str(key), stead_str("value"));
    stead_log_writer_write_rows(it->writer, reactor_of(shard), shard, applied, &mutations);
    stead_writer_deinit(&mutations);
}

/* Waits until `*counter` is `wanted`; a test that hangs here is stopped by its time limit. */
static void wait_for(struct fixture *it, const uint64_t *counter, uint64_t wanted)
{
    pthread_mutex_lock(&it->lock);
    while (*counter < wanted)
        pthread_cond_wait(&it->changed, &it->lock);
    pthread_mutex_unlock(&it->lock);
}

static void append_and_wait(struct fixture *it, uint32_t shard, uint64_t index)
{
    append(it, shard, index);
    wait_for(it, &it->synced[shard], index);
}

static uint64_t applied_of(struct fixture *it, uint32_t shard)
{
    uint64_t index = 0;
    assert_int_equal(stead_store_applied(it->store, shard, &index), 0);
    return index;
}

static int count_entry(void *context, uint32_t shard, uint64_t index, struct stead_slice entry)
{
    (void)shard;
    (void)index;
    (void)entry;
    ++*(uint64_t *)context;
    return 0;
}

static uint64_t entries_of(struct fixture *it, uint32_t shard)
{
    uint64_t count = 0;
    assert_int_equal(stead_store_log_read(it->store, shard, 0, count_entry, &count), 0);
    return count;
}

/* ---- Entries -------------------------------------------------------------------------------- */

static void test_entry_reported_synced_survives_a_crash(void **state)
{
    struct fixture *it = *state;
    append_and_wait(it, 1, 1);
    append_and_wait(it, 3, 1);
    append_and_wait(it, 1, 2);
    stead_log_writer_destroy(&it->writer);
    stead_store_memory_crash(it->store);
    assert_int_equal(entries_of(it, 1), 2);
    assert_int_equal(entries_of(it, 3), 1);
}

struct submitter {
    struct fixture *fixture;
    uint16_t reactor;
    uint64_t count;
};

static void *submit_many(void *argument)
{
    struct submitter *it = argument;
    for (uint64_t index = 1; index <= it->count; index++)
        for (uint32_t shard = it->reactor * 2u + 1; shard <= it->reactor * 2u + 2; shard++)
            append(it->fixture, shard, index);
    return NULL;
}

static void submit_from_all_reactors(struct fixture *it, uint64_t count)
{
    pthread_t threads[REACTORS];
    struct submitter submitters[REACTORS];
    for (uint16_t i = 0; i < REACTORS; i++) {
        submitters[i] = (struct submitter){it, i, count};
        assert_int_equal(pthread_create(&threads[i], NULL, submit_many, &submitters[i]), 0);
    }
    for (uint16_t i = 0; i < REACTORS; i++)
        pthread_join(threads[i], NULL);
    for (uint32_t shard = 1; shard <= SHARDS; shard++)
        wait_for(it, &it->synced[shard], count);
}

static void test_entries_of_all_reactors_share_syncs(void **state)
{
    struct fixture *it = *state;
    struct stead_log_writer_stats stats;
    submit_from_all_reactors(it, 2000);
    stead_log_writer_stats(it->writer, &stats);
    assert_int_equal(stats.entries, 2000 * SHARDS);
    assert_int_equal(stats.batch_entries.sum, stats.entries);
    assert_true(stats.syncs < stats.entries);
    assert_int_equal(stead_log_writer_queued_bytes(it->writer), 0);
    stead_log_writer_destroy(&it->writer);
    for (uint32_t shard = 1; shard <= SHARDS; shard++)
        assert_int_equal(entries_of(it, shard), 2000);
}

static void test_entry_in_callers_memory_is_copied(void **state)
{
    struct fixture *it = *state;
    uint8_t memory[64];
    struct stead_writer entry;
    stead_writer_init_fixed(&entry, memory, sizeof memory);
    stead_write_raw(&entry, "entry", 5);
    stead_log_writer_append(it->writer, 0, 1, 1, &entry);
    memset(memory, 0, sizeof memory);
    wait_for(it, &it->synced[1], 1);
    stead_writer_init(&entry);
    assert_int_equal(stead_store_log_get(it->store, 1, 1, &entry), 0);
    assert_true(stead_slice_equal(stead_written(&entry), stead_str("entry")));
    stead_writer_deinit(&entry);
}

/* ---- Rows, marks, trims --------------------------------------------------------------------- */

static void test_rows_alone_are_written_without_a_sync(void **state)
{
    struct fixture *it = *state;
    struct stead_log_writer_stats stats;
    write_rows(it, 1, 0, "a");
    write_rows(it, 1, 0, "b");
    wait_for(it, &it->rows_written[1], 2);
    stead_log_writer_stats(it->writer, &stats);
    assert_int_equal(stats.syncs, 0);
    assert_int_equal(stats.row_chunks, 2);
}

/* As much is written of rows as was appended beside them, however many chunks that are: a checkpoint keeps up. */
static void test_rows_keep_up_with_the_entries_beside_them(void **state)
{
    static uint8_t bytes[1u << 20];
    struct fixture *it = *state;
    struct stead_log_writer_stats stats;
    struct stead_writer entry, rows;

    stead_writer_init(&entry);
    stead_writer_init(&rows);
    pthread_mutex_lock(&it->lock); /* the first round's report waits: the rest is one queue */
    append(it, 1, 1);
    for (uint64_t index = 2; index < 34; index++) {
        stead_write_raw(&entry, bytes, sizeof(bytes));
        stead_log_writer_append(it->writer, reactor_of(1), 1, index, &entry);
        char key[16];
        snprintf(key, sizeof(key), "%u", (unsigned)index);
        stead_entry_put(&rows, stead_str(key), stead_bytes(bytes, sizeof(bytes)));
        stead_log_writer_write_rows(it->writer, reactor_of(2), 2, 0, &rows);
    }
    pthread_mutex_unlock(&it->lock);
    wait_for(it, &it->synced[1], 33);
    stead_log_writer_stats(it->writer, &stats);
    assert_in_range(stats.row_chunks, 16, 32);
    wait_for(it, &it->rows_written[2], 32);
    stead_writer_deinit(&entry);
    stead_writer_deinit(&rows);
}

static void test_mark_waits_for_a_sync_after_its_rows(void **state)
{
    struct fixture *it = *state;
    append_and_wait(it, 1, 1);
    write_rows(it, 1, 1, "a");
    wait_for(it, &it->rows_written[1], 1);
    assert_int_equal(applied_of(it, 1), 0);
    append_and_wait(it, 1, 2); /* syncs the rows */
    assert_int_equal(applied_of(it, 1), 0);
    append_and_wait(it, 1, 3); /* carries the mark */
    assert_int_equal(applied_of(it, 1), 1);
}

static void test_trim_waits_for_the_mark_and_never_passes_it(void **state)
{
    struct fixture *it = *state;
    for (uint64_t index = 1; index <= 4; index++)
        append_and_wait(it, 1, index);
    stead_log_writer_trim(it->writer, 1, 3);
    append_and_wait(it, 1, 5);
    assert_int_equal(entries_of(it, 1), 5); /* no mark yet */
    write_rows(it, 1, 2, "a");
    wait_for(it, &it->rows_written[1], 1);
    append_and_wait(it, 1, 6);
    append_and_wait(it, 1, 7); /* the mark, 2 */
    assert_int_equal(entries_of(it, 1), 7);
    append_and_wait(it, 1, 8); /* the trim, up to the mark */
    assert_int_equal(entries_of(it, 1), 6);
    append_and_wait(it, 1, 9); /* not again */
    struct stead_log_writer_stats stats;
    stead_log_writer_stats(it->writer, &stats);
    assert_int_equal(stats.trims, 1);
}

static void test_settle_has_marks_and_trims_written_without_entries(void **state)
{
    struct fixture *it = *state;
    struct stead_log_writer_stats stats = {0};
    for (uint64_t index = 1; index <= 4; index++)
        append_and_wait(it, 1, index);
    write_rows(it, 1, 3, "a");
    wait_for(it, &it->rows_written[1], 1);
    stead_log_writer_trim(it->writer, 1, 2);
    while (stats.trims == 0) { /* the trim may be queued behind the request */
        stead_log_writer_settle(it->writer);
        stead_log_writer_stats(it->writer, &stats);
    }
    assert_int_equal(applied_of(it, 1), 3);
    assert_int_equal(entries_of(it, 1), 2);
}

static void test_stop_writes_what_waits_and_settles_the_marks(void **state)
{
    struct fixture *it = *state;
    append(it, 1, 1);
    write_rows(it, 1, 1, "a");
    append(it, 2, 1);
    stead_log_writer_destroy(&it->writer);
    assert_null(it->writer);
    stead_store_memory_crash(it->store);
    assert_int_equal(applied_of(it, 1), 1);
    assert_int_equal(entries_of(it, 2), 1);
    assert_int_equal(it->rows_written[1], 1);
}

/* ---- Failure -------------------------------------------------------------------------------- */

static void test_failed_write_is_told_once_and_nothing_is_reported_after_it(void **state)
{
    struct fixture *it = *state;
    append_and_wait(it, 1, 1);
    stead_store_memory_fail_writes(it->store, 0);
    append(it, 1, 2);
    append(it, 3, 1);
    pthread_mutex_lock(&it->lock);
    while (it->failures == 0)
        pthread_cond_wait(&it->changed, &it->lock);
    pthread_mutex_unlock(&it->lock);
    append(it, 1, 3);
    write_rows(it, 1, 1, "a");
    stead_log_writer_destroy(&it->writer);
    assert_int_equal(it->failures, 1);
    assert_int_equal(it->failure_code, STEAD_EIO);
    assert_string_not_equal(it->failure, "");
    assert_int_equal(it->synced[1], 1);
    assert_int_equal(it->synced[3], 0);
    assert_int_equal(it->rows_written[1], 0);
}

/* ---- RocksDB -------------------------------------------------------------------------------- */

static void test_entries_reach_rocksdb(void **state)
{
    struct fixture *it = *state;
    char folder[] = "/tmp/stead-log-XXXXXX";
    char sentence[STEAD_STORE_SENTENCE_MAX];
    char line[64];
    const struct stead_store_rocksdb_options options = {.create = true};
    stead_log_writer_destroy(&it->writer);
    stead_store_close(&it->store);
    assert_non_null(mkdtemp(folder));
    if (stead_store_rocksdb_open(folder, &options, &it->store, sentence) != 0)
        fail_msg("%s", sentence);
    start_writer(it);
    submit_from_all_reactors(it, 500);
    write_rows(it, 1, 500, "a");
    stead_log_writer_destroy(&it->writer);
    stead_store_close(&it->store);
    assert_int_equal(stead_store_rocksdb_open(folder, NULL, &it->store, sentence), 0);
    for (uint32_t shard = 1; shard <= SHARDS; shard++)
        assert_int_equal(entries_of(it, shard), 500);
    assert_int_equal(applied_of(it, 1), 500);
    snprintf(line, sizeof line, "rm -rf %s", folder);
    assert_int_equal(system(line), 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_entry_reported_synced_survives_a_crash),
        CASE(test_entries_of_all_reactors_share_syncs),
        CASE(test_entry_in_callers_memory_is_copied),
        CASE(test_rows_alone_are_written_without_a_sync),
        CASE(test_rows_keep_up_with_the_entries_beside_them),
        CASE(test_mark_waits_for_a_sync_after_its_rows),
        CASE(test_trim_waits_for_the_mark_and_never_passes_it),
        CASE(test_settle_has_marks_and_trims_written_without_entries),
        CASE(test_stop_writes_what_waits_and_settles_the_marks),
        CASE(test_failed_write_is_told_once_and_nothing_is_reported_after_it),
        CASE(test_entries_reach_rocksdb),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
