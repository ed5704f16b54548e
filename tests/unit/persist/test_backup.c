/* SPDX-License-Identifier: Apache-2.0 */
/* Backup and restore: consistent under load, refused when anything does not match, never over something that is
 * there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "persist/backup.h"
#include "persist/store_rocksdb.h"
#include "runtime/base.h"
#include "runtime/entry.h"

struct fixture {
    char folder[64]; /* holds node/, backup/, restored/ */
    char node[96];
    char backup[96];
    char restored[96];
    char sentence[STEAD_STORE_SENTENCE_MAX];
    struct stead_store *store;
};

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

static int set_up(void **state)
{
    struct fixture *it = calloc(1, sizeof *it);
    const struct stead_store_rocksdb_options options = {.create = true, .memtable_bytes = 1 << 20};
    strcpy(it->folder, "/tmp/stead-backup-XXXXXX");
    assert_non_null(mkdtemp(it->folder));
    snprintf(it->node, sizeof it->node, "%s/node", it->folder);
    snprintf(it->backup, sizeof it->backup, "%s/backup", it->folder);
    snprintf(it->restored, sizeof it->restored, "%s/restored", it->folder);
    assert_int_equal(stead_store_rocksdb_open(it->node, &options, &it->store, it->sentence), 0);
    *state = it;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *it = *state;
    stead_store_close(&it->store);
    run("rm -rf %s", it->folder);
    free(it);
    return 0;
}

static void write_number(struct stead_store *store, uint64_t number, bool sync)
{
    struct stead_writer mutations;
    char key[32];
    stead_writer_init(&mutations);
    snprintf(key, sizeof key, "row-%010llu", (unsigned long long)number);
    stead_entry_put(&mutations, stead_str(key), stead_str("a value of some length, so that files are made"));
    const struct stead_store_op ops[] = {
        {.type = STEAD_STORE_APPEND, .shard = 1, .index = number, .bytes = stead_str("entry")},
        {.type = STEAD_STORE_ROWS, .shard = 1, .bytes = stead_written(&mutations)},
        {.type = STEAD_STORE_APPLIED, .shard = 1, .index = number},
    };
    if (stead_store_write(store, ops, 3, sync) != 0)
        abort();
    stead_writer_deinit(&mutations);
}

static struct stead_backup_info info_of(uint32_t nodes)
{
    struct stead_backup_info info = {.node = 1, .nodes = nodes, .node_name = "alpha", .taken_ms = 1234567};
    memset(info.cluster.v, 0xab, sizeof info.cluster.v);
    return info;
}

static char staging[512]; /* of the test that runs */

static struct stead_backup_way way_of(const struct fixture *it)
{
    snprintf(staging, sizeof staging, "%s/copy", it->folder);
    return (struct stead_backup_way){.staging = staging};
}

static void take(struct fixture *it, uint32_t nodes)
{
    struct stead_backup_info info = info_of(nodes);
    struct stead_backup_way way = way_of(it);
    if (stead_backup_take(it->store, &way, it->backup, &info, it->sentence) != 0)
        fail_msg("%s", it->sentence);
    assert_true(info.file_count > 0 && info.bytes > 0);
}

static int restore(struct fixture *it, bool one_of_several)
{
    struct stead_backup_info info;
    return stead_backup_restore(it->backup, it->restored, one_of_several, &info, it->sentence);
}

static int count_row(void *context, struct stead_slice key, struct stead_slice value)
{
    (void)key;
    (void)value;
    ++*(uint64_t *)context;
    return 0;
}

/* Rows, entries and mark of the restored folder tell of the same writes; gives how many. */
static uint64_t expect_consistent(struct fixture *it)
{
    struct stead_store *store;
    uint64_t rows = 0;
    uint64_t last = 0;
    uint64_t applied = 0;
    if (stead_store_rocksdb_open(it->restored, NULL, &store, it->sentence) != 0)
        fail_msg("%s", it->sentence);
    assert_int_equal(stead_store_scan(store, stead_str(""), stead_str(""), false, STEAD_STORE_ANY, count_row, &rows),
                     0);
    assert_int_equal(stead_store_log_last(store, 1, &last), 0);
    assert_int_equal(stead_store_applied(store, 1, &applied), 0);
    assert_int_equal(rows, last);
    assert_int_equal(applied, last);
    stead_store_close(&store);
    return last;
}

struct load {
    struct stead_store *store;
    atomic_bool stop;
    _Atomic uint64_t written;
};

static void *write_on(void *argument)
{
    struct load *load = argument;
    for (uint64_t number = 1; !atomic_load(&load->stop); number++) {
        write_number(load->store, number, number % 64 == 0);
        atomic_store(&load->written, number);
    }
    return NULL;
}

static void test_backup_under_load_restores_consistent(void **state)
{
    struct fixture *it = *state;
    struct load load = {.store = it->store};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_on, &load), 0);
    while (atomic_load(&load.written) < 3000)
        usleep(1000);
    uint64_t before = atomic_load(&load.written);
    take(it, 1);
    uint64_t after = atomic_load(&load.written);
    atomic_store(&load.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(restore(it, false), 0);
    uint64_t restored = expect_consistent(it);
    assert_in_range(restored, before, after + 1);
}

static void test_verify_gives_what_was_said_when_it_was_taken(void **state)
{
    struct fixture *it = *state;
    struct stead_backup_info info;
    struct stead_backup_info expected = info_of(3);
    write_number(it->store, 1, true);
    take(it, 3);
    assert_int_equal(stead_backup_verify(it->backup, &info, it->sentence), 0);
    assert_true(stead_id_equal(info.cluster, expected.cluster));
    assert_int_equal(info.nodes, 3);
    assert_int_equal(info.taken_ms, 1234567);
    assert_string_equal(info.node_name, "alpha");
}

static int refuse(void *context, char *ret_sentence)
{
    snprintf(ret_sentence, STEAD_STORE_SENTENCE_MAX, "too late");
    return ++*(int *)context, STEAD_ECONFLICT;
}

static void test_copy_that_is_refused_when_it_is_made_leaves_nothing_behind(void **state)
{
    struct fixture *it = *state;
    struct stead_backup_info info = info_of(1);
    int asked = 0;
    struct stead_backup_way way = way_of(it);
    way.made = refuse;
    way.context = &asked;
    write_number(it->store, 1, true);
    run("mkdir %s %s.tmp && touch %s/left-by-a-crash %s.tmp/too", way.staging, way.staging, way.staging, way.staging);
    assert_int_equal(stead_backup_take(it->store, &way, it->backup, &info, it->sentence), STEAD_ECONFLICT);
    assert_int_equal(asked, 1);
    assert_string_equal(it->sentence, "too late");
    run("test ! -e %s && test ! -e %s/MANIFEST && rm -r %s", way.staging, it->backup, it->backup);
    run("mkdir %s.tmp && touch %s.tmp/left-by-a-crash", way.staging, way.staging);
    stead_backup_sweep(way.staging);
    run("test ! -e %s.tmp", way.staging);
    take(it, 1);
    run("test ! -e %s", way.staging);
}

static void test_backup_goes_to_another_file_system(void **state)
{
    struct fixture *it = *state;
    char there[96] = "/dev/shm/stead-backup-XXXXXX";
    struct stat here, shm;
    if (stat(it->folder, &here) != 0 || stat("/dev/shm", &shm) != 0 || here.st_dev == shm.st_dev)
        skip();
    assert_non_null(mkdtemp(there));
    memcpy(it->backup, there, sizeof there);
    for (uint64_t number = 1; number <= 50; number++)
        write_number(it->store, number, true);
    take(it, 1);
    run("test ! -e %s", staging);
    assert_int_equal(restore(it, false), 0);
    assert_int_equal(expect_consistent(it), 50);
    run("rm -r %s", there);
}

static void test_take_into_a_folder_with_something_in_it_is_in_use(void **state)
{
    struct fixture *it = *state;
    struct stead_backup_info info = info_of(1);
    run("mkdir %s && touch %s/something", it->backup, it->backup);
    const struct stead_backup_way way = way_of(it);
    assert_int_equal(stead_backup_take(it->store, &way, it->backup, &info, it->sentence), STEAD_EINUSE);
    assert_non_null(strstr(it->sentence, "not empty"));
}

static void test_restore_over_something_is_in_use(void **state)
{
    struct fixture *it = *state;
    take(it, 1);
    run("mkdir %s && touch %s/something", it->restored, it->restored);
    assert_int_equal(restore(it, false), STEAD_EINUSE);
    run("test \"$(ls %s)\" = something", it->restored);
}

static void test_restore_of_one_node_of_several_must_be_wanted(void **state)
{
    struct fixture *it = *state;
    write_number(it->store, 1, true);
    take(it, 3);
    assert_int_equal(restore(it, false), STEAD_ECONFLICT);
    assert_non_null(strstr(it->sentence, "node 1 of 3"));
    assert_int_equal(access(it->restored, F_OK), -1);
    assert_int_equal(restore(it, true), 0);
    assert_int_equal(expect_consistent(it), 1);
}

static void test_restore_without_a_manifest_is_not_found(void **state)
{
    struct fixture *it = *state;
    take(it, 1);
    run("rm %s/MANIFEST", it->backup);
    assert_int_equal(restore(it, false), STEAD_ENOTFOUND);
}

static void expect_restore_after(struct fixture *it, const char *damage, int code)
{
    take(it, 1);
    run("cd %s && %s", it->backup, damage);
    assert_int_equal(restore(it, false), code);
    assert_string_not_equal(it->sentence, "");
    assert_int_equal(access(it->restored, F_OK), -1);
    run("rm -r %s", it->backup);
}

static void test_restore_of_a_damaged_backup_is_refused(void **state)
{
    struct fixture *it = *state;
    write_number(it->store, 1, true);
    expect_restore_after(it, "f=$(ls data/*.log | head -1); printf x | dd of=$f bs=1 seek=20 conv=notrunc status=none",
                         STEAD_ECORRUPT);
    expect_restore_after(it, "f=$(ls data/*.log | head -1); truncate -s -1 $f", STEAD_ECORRUPT);
    expect_restore_after(it, "rm data/CURRENT", STEAD_ECORRUPT);
    expect_restore_after(it, "sed -i 's/^nodes 1/nodes 2/' MANIFEST", STEAD_ECORRUPT);
    expect_restore_after(it, "truncate -s -20 MANIFEST", STEAD_ECORRUPT);
    expect_restore_after(it, "truncate -s 0 MANIFEST", STEAD_ECORRUPT);
    expect_restore_after(it, "sed -i 's/^stead-backup 2/stead-backup 9/' MANIFEST", STEAD_EVERSION);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_backup_under_load_restores_consistent),
        CASE(test_verify_gives_what_was_said_when_it_was_taken),
        CASE(test_copy_that_is_refused_when_it_is_made_leaves_nothing_behind),
        CASE(test_backup_goes_to_another_file_system),
        CASE(test_take_into_a_folder_with_something_in_it_is_in_use),
        CASE(test_restore_over_something_is_in_use),
        CASE(test_restore_of_one_node_of_several_must_be_wanted),
        CASE(test_restore_without_a_manifest_is_not_found),
        CASE(test_restore_of_a_damaged_backup_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
