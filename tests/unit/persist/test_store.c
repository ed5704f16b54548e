/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of persist/store.h, run against both twins; then what only one of them can do: RocksDB's folder errors,
 * the memory's crashes.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "persist/format.h"
#include "persist/store_memory.h"
#include "persist/store_rocksdb.h"
#include "runtime/base.h"
#include "runtime/entry.h"

struct fixture {
    bool rocksdb; /* which twin */
    char folder[64];
    char sentence[STEAD_STORE_SENTENCE_MAX];
    struct stead_store *store;
};

static struct stead_slice text(const char *it)
{
    return stead_str(it);
}

static int open_folder(struct fixture *it, const struct stead_store_rocksdb_options *options)
{
    return stead_store_rocksdb_open(it->folder, options, &it->store, it->sentence);
}

static void open_twin(struct fixture *it)
{
    const struct stead_store_rocksdb_options options = {.create = true, .memtable_bytes = 4 << 20};
    if (!it->rocksdb)
        it->store = stead_store_memory_create(1);
    else if (open_folder(it, &options) != 0)
        fail_msg("%s", it->sentence);
}

/* Stops and starts again; nothing written may be gone. */
static void restart(struct fixture *it)
{
    if (it->rocksdb) {
        stead_store_close(&it->store);
        assert_null(it->store);
        open_twin(it);
    } else {
        stead_store_memory_kill(it->store);
    }
}

static int set_up(void **state, bool rocksdb)
{
    struct fixture *it = calloc(1, sizeof *it);
    it->rocksdb = rocksdb;
    strcpy(it->folder, "/tmp/stead-store-XXXXXX");
    assert_non_null(mkdtemp(it->folder));
    open_twin(it);
    *state = it;
    return 0;
}

static int set_up_rocksdb(void **state)
{
    return set_up(state, true);
}

static int set_up_memory(void **state)
{
    return set_up(state, false);
}

/* Runs a line in the shell, which must succeed. */
STEAD_PRINTF(1, 2) static void run(const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    assert_int_equal(system(line), 0);
}

/* The name of another folder beside the fixture's. */
static void sibling(const struct fixture *it, const char *suffix, char *ret_folder)
{
    size_t size = strlen(it->folder);
    memcpy(ret_folder, it->folder, size);
    strcpy(ret_folder + size, suffix);
}

static int tear_down(void **state)
{
    struct fixture *it = *state;
    stead_store_close(&it->store);
    run("rm -rf %s", it->folder);
    free(it);
    return 0;
}

/* ---- Helpers -------------------------------------------------------------------------------- */

/* Mutations from words: "+key=value", "-key", "~from..to". */
static void write_words(struct stead_writer *mutations, const char *words)
{
    char copy[512];
    char *rest = copy;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *word = strtok_r(copy, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        char *middle = strstr(word, *word == '+' ? "=" : "..");
        if (*word == '-') {
            stead_entry_delete(mutations, text(word + 1));
            continue;
        }
        *middle = 0;
        if (*word == '+')
            stead_entry_put(mutations, text(word + 1), text(middle + 1));
        else
            stead_entry_delete_range(mutations, text(word + 1), text(middle + 2));
    }
}

static void write_rows(struct fixture *it, const char *words, bool sync)
{
    struct stead_writer mutations;
    stead_writer_init(&mutations);
    write_words(&mutations, words);
    const struct stead_store_op op = {.type = STEAD_STORE_ROWS, .shard = 1, .bytes = stead_written(&mutations)};
    assert_int_equal(stead_store_write(it->store, &op, 1, sync), 0);
    stead_writer_deinit(&mutations);
}

static void append(struct fixture *it, uint32_t shard, uint64_t index, const char *bytes, bool sync)
{
    const struct stead_store_op op = {.type = STEAD_STORE_APPEND, .shard = shard, .index = index, .bytes = text(bytes)};
    assert_int_equal(stead_store_write(it->store, &op, 1, sync), 0);
}

static int append_words(void *context, struct stead_slice key, struct stead_slice value)
{
    char *out = context;
    size_t at = strlen(out);
    snprintf(out + at, 512 - at, "%s%.*s=%.*s", at > 0 ? " " : "", (int)key.size, (const char *)key.data,
             (int)value.size, (const char *)value.data);
    return 0;
}

static void expect_scan(struct fixture *it, const char *from, const char *to, bool reverse, const char *expected)
{
    char out[512] = "";
    assert_int_equal(stead_store_scan(it->store, text(from), text(to), reverse, STEAD_STORE_ANY, append_words, out), 0);
    assert_string_equal(out, expected);
}

static int append_entry(void *context, uint32_t shard, uint64_t index, struct stead_slice entry)
{
    char *out = context;
    size_t at = strlen(out);
    snprintf(out + at, 512 - at, "%s%u/%llu=%.*s", at > 0 ? " " : "", shard, (unsigned long long)index, (int)entry.size,
             (const char *)entry.data);
    return 0;
}

static void expect_log(struct fixture *it, uint32_t shard, uint64_t from, const char *expected)
{
    char out[512] = "";
    assert_int_equal(stead_store_log_read(it->store, shard, from, append_entry, out), 0);
    assert_string_equal(out, expected);
}

static void expect_row(struct fixture *it, const char *key, const char *expected)
{
    struct stead_writer value;
    stead_writer_init(&value);
    int code = stead_store_get(it->store, text(key), STEAD_STORE_ANY, &value);
    assert_int_equal(code, expected == NULL ? STEAD_ENOTFOUND : 0);
    if (expected != NULL)
        assert_true(stead_slice_equal(stead_written(&value), text(expected)));
    stead_writer_deinit(&value);
}

/* ---- The contract --------------------------------------------------------------------------- */

static void test_rows_put_and_deleted_are_as_the_last_mutation_says(void **state)
{
    struct fixture *it = *state;
    write_rows(it, "+a=1 +b=2 +c=3 +a=4 -b", false);
    expect_row(it, "a", "4");
    expect_row(it, "b", NULL);
    write_rows(it, "+b=5 -c -d", true);
    expect_scan(it, "", "", false, "a=4 b=5");
    restart(it);
    expect_scan(it, "", "", false, "a=4 b=5");
}

static void test_rows_of_no_bytes_are_rows(void **state)
{
    struct fixture *it = *state;
    write_rows(it, "+a=", false);
    expect_row(it, "a", "");
}

static void test_rows_range_delete_takes_from_inclusive_to_exclusive(void **state)
{
    struct fixture *it = *state;
    write_rows(it, "+a=1 +b=2 +c=3 +d=4", false);
    write_rows(it, "+b2=5 ~b..d +c=6", false);
    expect_scan(it, "", "", false, "a=1 c=6 d=4");
}

static void test_scan_bounds_and_direction_are_kept(void **state)
{
    struct fixture *it = *state;
    write_rows(it, "+a=1 +b=2 +c=3 +d=4", false);
    expect_scan(it, "b", "d", false, "b=2 c=3");
    expect_scan(it, "b", "d", true, "c=3 b=2");
    expect_scan(it, "bb", "", false, "c=3 d=4");
    expect_scan(it, "bb", "", true, "d=4 c=3");
    expect_scan(it, "", "b", true, "a=1");
    expect_scan(it, "d", "b", false, "");
    expect_scan(it, "e", "", true, "");
}

static int stop_at_two(void *context, struct stead_slice key, struct stead_slice value)
{
    (void)key;
    (void)value;
    return ++*(int *)context == 2 ? 42 : 0;
}

static void test_scan_stopped_by_its_visitor_returns_what_it_said(void **state)
{
    struct fixture *it = *state;
    int count = 0;
    write_rows(it, "+a=1 +b=2 +c=3", false);
    assert_int_equal(stead_store_scan(it->store, text(""), text(""), false, STEAD_STORE_ANY, stop_at_two, &count), 42);
    assert_int_equal(count, 2);
}

/* Ranges by name, and what was seen of them: at most `each` rows of each. */
struct ranges {
    const char *const *bounds; /* pairs, then NULL */
    uint32_t each, seen;
    char out[512];
};

static bool next_range(void *context, struct stead_slice *ret_from, struct stead_slice *ret_to)
{
    struct ranges *ranges = context;

    if (ranges->bounds[0] == NULL)
        return false;
    *ret_from = text(ranges->bounds[0]);
    *ret_to = text(ranges->bounds[1]);
    ranges->bounds += 2;
    ranges->seen = 0;
    append_words(ranges->out, text("|"), text(""));
    return true;
}

static int see_of_range(void *context, struct stead_slice key, struct stead_slice value)
{
    struct ranges *ranges = context;

    append_words(ranges->out, key, value);
    return ++ranges->seen == ranges->each;
}

static void expect_ranges(struct fixture *it, const char *const *bounds, uint32_t each, const char *expected)
{
    struct ranges ranges = {.bounds = bounds, .each = each};

    assert_int_equal(stead_store_scan_ranges(it->store, next_range, see_of_range, &ranges), 0);
    assert_string_equal(ranges.out, expected);
}

static void test_scan_of_ranges_goes_on_behind_one_that_its_visitor_ended(void **state)
{
    static const char *const bounds[] = {"a", "b", "bb", "bc", "c", "cz", "d", "g", "g", "h", "x", "", NULL};
    struct fixture *it = *state;
    write_rows(it, "+a=1 +a2=2 +b=3 +c=4 +c2=5 +c3=6 +d=7 +e=8", false);
    expect_ranges(it, bounds, 0, "|= a=1 a2=2 |= |= c=4 c2=5 c3=6 |= d=7 e=8 |= |=");
    expect_ranges(it, bounds, 1, "|= a=1 |= |= c=4 |= d=7 |= |=");
    write_rows(it, "+x=9 -c ~d..e", false);
    expect_ranges(it, bounds, 2, "|= a=1 a2=2 |= |= c2=5 c3=6 |= e=8 |= |= x=9");
}

static void test_log_is_read_in_order_from_an_index(void **state)
{
    struct fixture *it = *state;
    uint64_t last;
    append(it, 1, 255, "x", true);
    append(it, 1, 256, "y", true);
    append(it, 1, 257, "z", true);
    append(it, 2, 1, "other", true);
    expect_log(it, 1, 256, "1/256=y 1/257=z");
    expect_log(it, 3, 1, "");
    expect_log(it, 0, 0, "1/255=x 1/256=y 1/257=z 2/1=other");
    assert_int_equal(stead_store_log_last(it->store, 1, &last), 0);
    assert_int_equal(last, 257);
    assert_int_equal(stead_store_log_last(it->store, 3, &last), 0);
    assert_int_equal(last, 0);
    restart(it);
    expect_log(it, 1, 0, "1/255=x 1/256=y 1/257=z");
}

static void test_log_trim_deletes_up_to_its_index_in_one_shard(void **state)
{
    struct fixture *it = *state;
    struct stead_writer entry;
    append(it, 1, 1, "a", false);
    append(it, 1, 2, "b", false);
    append(it, 1, 3, "c", false);
    append(it, 2, 1, "d", false);
    const struct stead_store_op trim = {.type = STEAD_STORE_TRIM, .shard = 1, .index = 2};
    assert_int_equal(stead_store_write(it->store, &trim, 1, false), 0);
    expect_log(it, 0, 0, "1/3=c 2/1=d");
    stead_writer_init(&entry);
    assert_int_equal(stead_store_log_get(it->store, 1, 2, &entry), STEAD_ENOTFOUND);
    assert_int_equal(stead_store_log_get(it->store, 1, 3, &entry), 0);
    assert_true(stead_slice_equal(stead_written(&entry), text("c")));
    stead_writer_deinit(&entry);
}

static void test_marks_are_kept_and_deleted_by_empty_bytes(void **state)
{
    struct fixture *it = *state;
    struct stead_writer value;
    uint64_t applied = 99;
    assert_int_equal(stead_store_applied(it->store, 7, &applied), 0);
    assert_int_equal(applied, 0);
    const struct stead_store_op op = {.type = STEAD_STORE_APPLIED, .shard = 7, .index = 1234567890123ull};
    assert_int_equal(stead_store_write(it->store, &op, 1, false), 0);
    assert_int_equal(stead_store_meta_put(it->store, STEAD_META_STOPPED, text("now")), 0);
    restart(it);
    assert_int_equal(stead_store_applied(it->store, 7, &applied), 0);
    assert_int_equal(applied, 1234567890123ull);
    stead_writer_init(&value);
    assert_int_equal(stead_store_meta_get(it->store, STEAD_META_STOPPED, &value), 0);
    assert_true(stead_slice_equal(stead_written(&value), text("now")));
    assert_int_equal(stead_store_meta_put(it->store, STEAD_META_STOPPED, text("")), 0);
    assert_int_equal(stead_store_meta_get(it->store, STEAD_META_STOPPED, &value), STEAD_ENOTFOUND);
    stead_writer_deinit(&value);
}

static void test_write_with_damaged_rows_writes_nothing(void **state)
{
    struct fixture *it = *state;
    const struct stead_store_op ops[] = {
        {.type = STEAD_STORE_APPEND, .shard = 1, .index = 1, .bytes = stead_str("entry")},
        {.type = STEAD_STORE_ROWS, .shard = 1, .bytes = stead_str("no mutations at all")},
    };
    assert_int_equal(stead_store_write(it->store, ops, 2, true), STEAD_ECORRUPT);
    expect_log(it, 1, 0, "");
    append(it, 1, 1, "goes on", true);
}

static void test_load_answers_points_and_ranges(void **state)
{
    struct fixture *it = *state;
    struct stead_load load = {.limit = 2};
    stead_writer_init(&load.from);
    stead_writer_init(&load.to);
    stead_writer_init(&load.ret_rows);
    write_rows(it, "+a=one +b=two +c=three +d=four", false);
    stead_write_raw(&load.from, "b", 1);
    assert_int_equal(stead_store_load(it->store, STEAD_STORE_CACHED, &load), 0);
    assert_int_equal(load.ret_code, 0);
    assert_true(load.ret_found);
    assert_true(stead_slice_equal(stead_written(&load.ret_rows), text("two")));
    stead_write_raw(&load.to, "z", 1);
    assert_int_equal(stead_store_load(it->store, STEAD_STORE_ANY, &load), 0);
    assert_int_equal(load.ret_count, 2);
    const uint8_t expected[] = "\1\0\0\0\3\0\0\0btwo\1\0\0\0\5\0\0\0cthree";
    assert_true(stead_slice_equal(stead_written(&load.ret_rows), stead_bytes(expected, sizeof expected - 1)));
    stead_writer_reset(&load.from);
    stead_writer_reset(&load.to);
    stead_write_raw(&load.from, "x", 1);
    assert_int_equal(stead_store_load(it->store, STEAD_STORE_ANY, &load), 0);
    assert_int_equal(load.ret_code, 0);
    assert_false(load.ret_found);
    stead_writer_deinit(&load.from);
    stead_writer_deinit(&load.to);
    stead_writer_deinit(&load.ret_rows);
}

static void test_random_writes_agree_with_the_other_twin(void **state)
{
    struct fixture *it = *state;
    struct fixture other = {.store = stead_store_memory_create(2)};
    struct stead_rng rng;
    stead_rng_seed(&rng, 3);
    for (int round = 0; round < 300; round++) {
        char words[512] = "";
        for (size_t i = 0, at = 0; i < 8; i++) {
            unsigned a = (unsigned)stead_rng_below(&rng, 40);
            unsigned b = a + 1 + (unsigned)stead_rng_below(&rng, 5);
            const char *forms[] = {"+k%02u=%u ", "+k%02u=%u ", "-k%02u ", "~k%02u..k%02u "};
            at += (size_t)snprintf(words + at, sizeof words - at, forms[stead_rng_below(&rng, 4)], a, b);
        }
        bool sync = round % 50 == 0;
        write_rows(it, words, sync);
        write_rows(&other, words, sync);
        if (round % 60 == 59)
            restart(it);
        char expected[512] = "";
        char from[8];
        char to[8];
        snprintf(from, sizeof from, "k%02u", (unsigned)stead_rng_below(&rng, 40));
        snprintf(to, sizeof to, "k%02u", (unsigned)stead_rng_below(&rng, 40));
        assert_int_equal(
            stead_store_scan(other.store, text(from), text(to), round % 2, STEAD_STORE_ANY, append_words, expected), 0);
        expect_scan(it, from, to, round % 2, expected);
    }
    stead_store_close(&other.store);
}

/* ---- RocksDB alone -------------------------------------------------------------------------- */

static void test_open_without_create_of_an_empty_folder_is_not_found(void **state)
{
    struct fixture *it = *state;
    struct fixture empty = {.rocksdb = true};
    (void)it;
    strcpy(empty.folder, "/tmp/stead-none-such");
    assert_int_equal(open_folder(&empty, NULL), STEAD_ENOTFOUND);
    assert_non_null(strstr(empty.sentence, empty.folder));
    assert_null(empty.store);
}

static void test_open_twice_is_in_use(void **state)
{
    struct fixture *it = *state;
    struct fixture second = *it;
    assert_int_equal(open_folder(&second, NULL), STEAD_EINUSE);
    pid_t child = fork();
    if (child == 0) {
        const struct stead_store_rocksdb_options reading = {.read_only = true};
        int write_code = open_folder(&second, NULL);
        int read_code = open_folder(&second, &reading);
        /* Ends without an exit: of what the fork copied, nothing is its own to free, and a leak checker would say
         * so. */
        if (write_code == STEAD_EINUSE && read_code == STEAD_EINUSE)
            raise(SIGKILL);
        _exit(1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, SIGKILL);
}

static void test_open_of_another_format_is_refused_by_its_number(void **state)
{
    struct fixture *it = *state;
    assert_int_equal(stead_store_meta_put(it->store, STEAD_META_FORMAT, stead_bytes("\2\0\0\0", 4)), 0);
    stead_store_close(&it->store);
    assert_int_equal(open_folder(it, NULL), STEAD_EVERSION);
    assert_non_null(strstr(it->sentence, "format 2"));
}

static void test_open_without_a_format_mark_over_data_is_damage(void **state)
{
    struct fixture *it = *state;
    write_rows(it, "+a=1", true);
    assert_int_equal(stead_store_meta_put(it->store, STEAD_META_FORMAT, text("")), 0);
    stead_store_close(&it->store);
    assert_int_equal(open_folder(it, NULL), STEAD_ECORRUPT);
}

/* Applies `command` to every table file of the closed folder. */
static void damage_files(struct fixture *it, const char *command)
{
    run("cd %s && for f in *.sst; do %s; done", it->folder, command);
}

static void test_open_with_a_missing_file_is_damage(void **state)
{
    struct fixture *it = *state;
    write_rows(it, "+a=1", true);
    stead_store_close(&it->store);
    damage_files(it, "rm $f");
    assert_int_equal(open_folder(it, NULL), STEAD_ECORRUPT);
    assert_non_null(strstr(it->sentence, "damaged"));
}

static void test_read_of_a_damaged_block_is_corrupt(void **state)
{
    struct fixture *it = *state;
    struct stead_writer value;
    stead_writer_init(&value);
    write_rows(it, "+a=a-value-to-be-damaged", true);
    stead_store_close(&it->store);
    damage_files(it, "sed -i s/a-value-to-be/A-VALUE-TO-BE/ $f");
    int code = open_folder(it, NULL);
    if (code == 0)
        code = stead_store_get(it->store, text("a"), STEAD_STORE_ANY, &value);
    assert_int_equal(code, STEAD_ECORRUPT);
    stead_writer_deinit(&value);
}

static void test_open_with_a_torn_log_keeps_the_writes_before(void **state)
{
    struct fixture *it = *state;
    for (uint64_t i = 1; i <= 20; i++)
        append(it, 1, i, "a record of the write-ahead log", false);
    uint64_t last = 0;
    struct fixture torn = {.rocksdb = true};
    sibling(it, "torn", torn.folder);
    run("cp -r %s %s", it->folder, torn.folder); /* as a killed process leaves it */
    run("cd %s && truncate -s -17 $(ls *.log | tail -1)", torn.folder);
    assert_int_equal(open_folder(&torn, NULL), 0);
    assert_int_equal(stead_store_log_last(torn.store, 1, &last), 0);
    assert_int_equal(last, 19);
    stead_store_close(&torn.store);
    run("rm -rf %s", torn.folder);
}

static void test_cached_read_of_a_cold_row_is_busy_then_warm(void **state)
{
    struct fixture *it = *state;
    struct stead_writer value;
    stead_writer_init(&value);
    write_rows(it, "+a=1", true);
    restart(it); /* now in a file, its blocks in no cache */
    assert_int_equal(stead_store_get(it->store, text("a"), STEAD_STORE_CACHED, &value), STEAD_EBUSY);
    expect_row(it, "a", "1");
    assert_int_equal(stead_store_get(it->store, text("a"), STEAD_STORE_CACHED, &value), 0);
    stead_writer_deinit(&value);
}

static void test_backup_opens_as_the_store_it_copied(void **state)
{
    struct fixture *it = *state;
    struct fixture copy = {.rocksdb = true};
    sibling(it, "copy", copy.folder);
    write_rows(it, "+a=1", false);
    append(it, 1, 1, "entry", true);
    assert_int_equal(stead_store_backup(it->store, copy.folder), 0);
    assert_int_equal(stead_store_backup(it->store, copy.folder), STEAD_EINUSE);
    write_rows(it, "+a=2", true);
    assert_int_equal(open_folder(&copy, NULL), 0);
    expect_row(&copy, "a", "1");
    expect_log(&copy, 1, 1, "1/1=entry");
    stead_store_close(&copy.store);
    run("rm -rf %s", copy.folder);
}

/* ---- Memory alone --------------------------------------------------------------------------- */

static void test_reclaim_gives_the_room_of_deleted_rows_and_entries_back(void **state)
{
    enum { ROWS = 64, VALUE = 64 << 10 };
    struct fixture *it = *state;
    struct stead_writer mutations, value;
    char key[8];

    stead_writer_init(&mutations);
    stead_writer_init(&value);
    for (int i = 0; i < VALUE; i++)
        stead_write_raw(&value, "x", 1);
    for (int i = 0; i < ROWS; i++) {
        snprintf(key, sizeof key, "k%02d", i);
        stead_entry_put(&mutations, text(key), stead_written(&value));
        const struct stead_store_op entry = {
            .type = STEAD_STORE_APPEND, .shard = 1, .index = (uint64_t)i + 1, .bytes = stead_written(&value)};
        assert_int_equal(stead_store_write(it->store, &entry, 1, false), 0);
    }
    const struct stead_store_op rows = {.type = STEAD_STORE_ROWS, .shard = 1, .bytes = stead_written(&mutations)};
    assert_int_equal(stead_store_write(it->store, &rows, 1, true), 0);
    assert_int_equal(stead_store_reclaim(it->store, false), 0);
    uint64_t full = stead_store_bytes(it->store);
    assert_true(full >= 2 * ROWS * VALUE);
    write_rows(it, "-k00 ~k01..k63", true);
    const struct stead_store_op trim = {.type = STEAD_STORE_TRIM, .shard = 1, .index = ROWS - 1};
    assert_int_equal(stead_store_write(it->store, &trim, 1, true), 0);
    assert_int_equal(stead_store_reclaim(it->store, true), 0); /* of the log alone */
    assert_true(stead_store_bytes(it->store) < full - full / 4);
    restart(it); /* what an earlier life has deleted goes too */
    assert_int_equal(stead_store_reclaim(it->store, false), 0);
    assert_true(stead_store_bytes(it->store) < full / 4);
    assert_int_equal(stead_store_reclaim(it->store, false), 0);
    stead_writer_reset(&mutations);
    assert_int_equal(stead_store_get(it->store, text("k63"), STEAD_STORE_ANY, &mutations), 0);
    assert_int_equal(mutations.size, VALUE);
    expect_row(it, "k62", NULL);
    stead_writer_deinit(&mutations);
    stead_writer_deinit(&value);
}

static void test_crash_takes_back_a_suffix_of_the_unsynced_writes(void **state)
{
    (void)state;
    bool seen[4] = {false};
    for (uint64_t seed = 0; seed < 64; seed++) {
        struct fixture it = {.store = stead_store_memory_create(seed)};
        write_rows(&it, "+a=0 +b=0", true);
        write_rows(&it, "+a=1 -b +c=1", false);
        write_rows(&it, "+a=2 ~b..d +b=2", false);
        write_rows(&it, "+a=3", false);
        stead_store_memory_crash(it.store);
        static const char *const states[] = {"a=0 b=0", "a=1 c=1", "a=2 b=2", "a=3 b=2"};
        char out[512] = "";
        assert_int_equal(stead_store_scan(it.store, text(""), text(""), false, STEAD_STORE_ANY, append_words, out), 0);
        bool known = false;
        for (int i = 0; i < 4; i++) {
            bool same = strcmp(out, states[i]) == 0;
            known = known || same;
            seen[i] = seen[i] || same;
        }
        assert_true(known);
        struct stead_store_memory_stats stats;
        stead_store_memory_stats(it.store, &stats);
        assert_int_equal(stats.unsynced, 0);
        write_rows(&it, "+z=1", true);
        stead_store_memory_crash(it.store);
        expect_row(&it, "z", "1");
        stead_store_close(&it.store);
    }
    assert_true(seen[0] && seen[1] && seen[2] && seen[3]);
}

static void test_failed_write_stays_failed_until_the_restart(void **state)
{
    struct fixture *it = *state;
    char sentence[STEAD_STORE_SENTENCE_MAX];
    const struct stead_store_op op = {.type = STEAD_STORE_APPEND, .shard = 1, .index = 2, .bytes = text("two")};
    stead_store_memory_fail_writes(it->store, 1);
    append(it, 1, 1, "one", true);
    assert_int_equal(stead_store_write(it->store, &op, 1, true), STEAD_EIO);
    assert_int_equal(stead_store_write(it->store, &op, 1, true), STEAD_EIO);
    stead_store_explain(it->store, sentence, sizeof sentence);
    assert_string_not_equal(sentence, "");
    stead_store_memory_crash(it->store);
    append(it, 1, 2, "again", true);
}

static void test_cold_reads_are_busy_at_the_cached_tier_only(void **state)
{
    struct fixture *it = *state;
    struct stead_writer value;
    stead_writer_init(&value);
    write_rows(it, "+a=1", true);
    stead_store_memory_set_cold(it->store, 1000);
    assert_int_equal(stead_store_get(it->store, text("a"), STEAD_STORE_CACHED, &value), STEAD_EBUSY);
    expect_row(it, "a", "1");
    stead_store_memory_fail_reads(it->store, 1000);
    assert_int_equal(stead_store_get(it->store, text("a"), STEAD_STORE_ANY, &value), STEAD_EIO);
    stead_writer_deinit(&value);
}

/* By this thread, of files, in the system's memory or not. */
static uint64_t bytes_read(void)
{
    FILE *file = fopen("/proc/thread-self/io", "r");
    unsigned long long bytes = 0;
    assert_non_null(file);
    assert_int_equal(fscanf(file, "rchar: %llu", &bytes), 1);
    fclose(file);
    return bytes;
}

#define LARGE_ROWS 20
#define LARGE_BYTES 100000
#define SMALL "as large as the least head of an agent that is stored"

static void write_large_row(struct fixture *it, int number)
{
    static const uint8_t large[LARGE_BYTES];
    char key[16];
    struct stead_writer mutations;
    stead_writer_init(&mutations);
    snprintf(key, sizeof key, "%02d/head", number);
    stead_entry_put(&mutations, text(key), text(SMALL));
    snprintf(key, sizeof key, "%02d/image", number);
    stead_entry_put(&mutations, text(key), stead_bytes(large, sizeof large));
    const struct stead_store_op op = {.type = STEAD_STORE_ROWS, .shard = 1, .bytes = stead_written(&mutations)};
    assert_int_equal(stead_store_write(it->store, &op, 1, false), 0);
    stead_writer_deinit(&mutations);
}

static void test_small_rows_are_read_without_the_large_ones_beside_them(void **state)
{
    struct fixture *it = *state;
    char from[16], to[16];
    for (int i = 0; i < LARGE_ROWS; i++)
        write_large_row(it, i);
    restart(it); /* in files, and not in the cache */
    uint64_t before = bytes_read();
    for (int i = 0; i < LARGE_ROWS; i++) {
        snprintf(from, sizeof from, "%02d/", i);
        snprintf(to, sizeof to, "%02d/b", i);
        expect_scan(it, from, to, false, "");
        snprintf(from, sizeof from, "%02d/head", i);
        expect_row(it, from, SMALL);
    }
    assert_true(bytes_read() - before < LARGE_BYTES);
}

#define CONTRACT(test)                                                                                                 \
    cmocka_unit_test_setup_teardown(test, set_up_rocksdb, tear_down),                                                  \
        cmocka_unit_test_setup_teardown(test, set_up_memory, tear_down)
#define ROCKSDB(test) cmocka_unit_test_setup_teardown(test, set_up_rocksdb, tear_down)
#define MEMORY(test) cmocka_unit_test_setup_teardown(test, set_up_memory, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT(test_rows_put_and_deleted_are_as_the_last_mutation_says),
        CONTRACT(test_rows_of_no_bytes_are_rows),
        CONTRACT(test_rows_range_delete_takes_from_inclusive_to_exclusive),
        CONTRACT(test_scan_bounds_and_direction_are_kept),
        CONTRACT(test_scan_stopped_by_its_visitor_returns_what_it_said),
        CONTRACT(test_scan_of_ranges_goes_on_behind_one_that_its_visitor_ended),
        CONTRACT(test_log_is_read_in_order_from_an_index),
        CONTRACT(test_log_trim_deletes_up_to_its_index_in_one_shard),
        CONTRACT(test_marks_are_kept_and_deleted_by_empty_bytes),
        CONTRACT(test_write_with_damaged_rows_writes_nothing),
        CONTRACT(test_load_answers_points_and_ranges),
        CONTRACT(test_random_writes_agree_with_the_other_twin),
        CONTRACT(test_reclaim_gives_the_room_of_deleted_rows_and_entries_back),
        ROCKSDB(test_open_without_create_of_an_empty_folder_is_not_found),
        ROCKSDB(test_open_twice_is_in_use),
        ROCKSDB(test_open_of_another_format_is_refused_by_its_number),
        ROCKSDB(test_open_without_a_format_mark_over_data_is_damage),
        ROCKSDB(test_open_with_a_missing_file_is_damage),
        ROCKSDB(test_read_of_a_damaged_block_is_corrupt),
        ROCKSDB(test_open_with_a_torn_log_keeps_the_writes_before),
        ROCKSDB(test_cached_read_of_a_cold_row_is_busy_then_warm),
        ROCKSDB(test_small_rows_are_read_without_the_large_ones_beside_them),
        ROCKSDB(test_backup_opens_as_the_store_it_copied),
        MEMORY(test_crash_takes_back_a_suffix_of_the_unsynced_writes),
        MEMORY(test_failed_write_stays_failed_until_the_restart),
        MEMORY(test_cold_reads_are_busy_at_the_cached_tier_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
