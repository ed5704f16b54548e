/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The coordinator's process, its client, its supervisor and the local cluster, with real processes: this program is
 * also the coordinator and a node without agents, when it is started with their words (main, at the end).
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "node/coordinator_client.h"
#include "node/coordinator_lock.h"
#include "node/coordinator_protocol.h"
#include "node/coordinator_server.h"
#include "node/local_cluster.h"
#include "node/local_plan.h"
#include "node/process.h"
#include "node/supervisor.h"
#include "runtime/base.h"

#define PATIENCE_MS 20000 /* for anything that must happen at last */

static char base[64]; /* scratch folder of the running test */

static char *path_of(const char *name)
{
    static char paths[8][160];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", base, name);
    return path;
}

static int64_t mono_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int drop_path(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int make_base(void **state)
{
    (void)state;
    strcpy(base, "stead-test-XXXXXX");
    return mkdtemp(base) ? 0 : -1;
}

static int remove_base(void **state)
{
    (void)state;
    return nftw(base, drop_path, 16, FTW_DEPTH | FTW_PHYS);
}

static struct stead_node_registration registration_of(const char *name, uint8_t identity, uint64_t start)
{
    static const char *const endpoints[] = {"tcp://127.0.0.1:1"};
    struct stead_node_registration r = {
        .name = name, .identity = {{identity}}, .endpoint_count = 1, .endpoints = endpoints, .shards_per_reactor = 4};
    memcpy(r.start.v, &start, sizeof start);
    return r;
}

/* Claims every shard of `node` in `table`. */
static int claim_own(const struct stead_coordinator_door *door, const struct stead_table *table, uint32_t node,
                     int timeout_ms, char *why)
{
    struct stead_shard_claim claims[64];
    uint32_t count = 0;
    for (uint32_t i = 0; i < table->shard_count; i++)
        if (table->shards[i].node == node && count < 64)
            claims[count++] = (struct stead_shard_claim){table->shards[i].id, table->shards[i].epoch, 0};
    return door->claim(door->self, claims, count, timeout_ms, why);
}

/* ---- The coordinator in a thread of the test -------------------------------------------------- */

struct coordinator {
    struct stead_coordinator_server_options options;
    pthread_t thread;
    char why[STEAD_COORDINATOR_SERVER_WHY_SIZE];
    int code;
    int ready_fd;
    char endpoint[128];
};

static void note_ready(void *context, const char *endpoint)
{
    struct coordinator *c = context;
    uint64_t one = 1;
    snprintf(c->endpoint, sizeof c->endpoint, "%s", endpoint);
    assert_true(write(c->ready_fd, &one, sizeof one) == (ssize_t)sizeof one);
}

static void *run_coordinator(void *context)
{
    struct coordinator *c = context;
    uint64_t one = 1;
    c->code = stead_coordinator_server_run(&c->options, c->why);
    (void)!write(c->ready_fd, &one, sizeof one);
    return NULL;
}

static void start_coordinator(struct coordinator *c, const char *folder, uint32_t nodes)
{
    uint64_t one;
    memset(c, 0, sizeof *c);
    c->ready_fd = eventfd(0, EFD_CLOEXEC);
    c->options = (struct stead_coordinator_server_options){.folder = folder,
                                                           .nodes_expected = nodes,
                                                           .stop_fd = eventfd(0, EFD_CLOEXEC),
                                                           .ready = note_ready,
                                                           .ready_context = c};
    assert_int_equal(pthread_create(&c->thread, NULL, run_coordinator, c), 0);
    assert_true(read(c->ready_fd, &one, sizeof one) == (ssize_t)sizeof one);
    assert_string_equal(c->why, "");
}

static void stop_coordinator(struct coordinator *c)
{
    uint64_t one = 1;
    assert_true(write(c->options.stop_fd, &one, sizeof one) == (ssize_t)sizeof one);
    pthread_join(c->thread, NULL);
    assert_int_equal(c->code, 0);
    close(c->options.stop_fd);
    close(c->ready_fd);
}

static struct stead_coordinator_door open_door(const char *endpoint, const char *folder)
{
    struct stead_coordinator_door door;
    struct stead_coordinator_client_options options = {.endpoint = endpoint, .folder = folder, .beat_ms = 100};
    assert_int_equal(stead_coordinator_client_open(&options, &door), 0);
    return door;
}

/* The next table for which `good` holds. */
static struct stead_table *await_table(const struct stead_coordinator_door *door,
                                       bool (*good)(const struct stead_table *))
{
    struct stead_table *table;
    for (int64_t end = mono_ms() + PATIENCE_MS; mono_ms() < end;) {
        if (door->wait(door->self, -1, 1000, &table) != 0)
            continue;
        if (good(table))
            return table;
        stead_table_release(&table);
    }
    fail_msg("no such table came");
    return NULL;
}

static bool is_formed(const struct stead_table *table)
{
    return table->formed;
}

static bool is_claimed(const struct stead_table *table)
{
    return table->shard_count > 0 && table->shards[0].epoch > 1;
}

static bool has_two_nodes(const struct stead_table *table)
{
    return table->node_count == 2;
}

static bool is_first_dead(const struct stead_table *table)
{
    return table->node_count > 0 && !table->nodes[0].alive;
}

static void test_node_enrols_gets_the_table_and_claims_its_shards(void **state)
{
    (void)state;
    struct coordinator c;
    char why[STEAD_COORDINATOR_WHY_SIZE];
    uint32_t node;
    uint64_t incarnation;
    start_coordinator(&c, path_of("c"), 1);
    struct stead_coordinator_door door = open_door(c.endpoint, NULL);
    struct stead_node_registration r = registration_of("n1", 1, 1);
    assert_int_equal(door.enrol(door.self, &r, PATIENCE_MS, &node, &incarnation, why), 0);
    assert_int_equal(node, 1);
    assert_int_equal(incarnation, 1);
    struct stead_table *table = await_table(&door, is_formed);
    assert_int_equal(table->shard_count, 4);
    assert_int_equal(claim_own(&door, table, node, PATIENCE_MS, why), 0);
    assert_int_equal(claim_own(&door, table, node, PATIENCE_MS, why), 0); /* the same again: done already */
    stead_table_release(&table);
    table = await_table(&door, is_claimed);
    assert_int_equal(table->shards[3].epoch, 2);
    stead_table_release(&table);
    assert_true(llabs(door.clock_offset_ms(door.self)) < 1000);
    assert_int_equal(door.leave(door.self, PATIENCE_MS), 0);
    door.close(door.self);
    stop_coordinator(&c);
}

static void test_watcher_hears_of_another_node_at_once(void **state)
{
    (void)state;
    struct coordinator c;
    char why[STEAD_COORDINATOR_WHY_SIZE];
    uint32_t node;
    uint64_t incarnation;
    start_coordinator(&c, path_of("c"), 1);
    struct stead_coordinator_door watcher = open_door(c.endpoint, NULL), other = open_door(c.endpoint, NULL);
    struct stead_node_registration r1 = registration_of("n1", 1, 1), r2 = registration_of("n2", 2, 1);
    assert_int_equal(watcher.enrol(watcher.self, &r1, PATIENCE_MS, &node, &incarnation, why), 0);
    assert_int_equal(other.enrol(other.self, &r2, PATIENCE_MS, &node, &incarnation, why), 0);
    struct stead_table *table = await_table(&watcher, has_two_nodes);
    stead_table_release(&table);
    assert_int_equal(other.enrol(other.self, &r1, PATIENCE_MS, &node, &incarnation, why), 0); /* the same start */
    assert_int_equal(node, 1);
    r2.name = "n1";
    r2.start.v[0] = 9;
    assert_int_equal(other.enrol(other.self, &r2, PATIENCE_MS, &node, &incarnation, why), STEAD_EINUSE);
    assert_non_null(strstr(why, "n1"));
    watcher.close(watcher.self);
    other.close(other.self);
    stop_coordinator(&c);
}

static void test_replaced_incarnation_is_told_to_stop(void **state)
{
    (void)state;
    struct coordinator c;
    char why[STEAD_COORDINATOR_WHY_SIZE];
    uint32_t node;
    uint64_t incarnation;
    struct stead_table *table;
    start_coordinator(&c, path_of("c"), 1);
    struct stead_coordinator_door first = open_door(c.endpoint, NULL), second = open_door(c.endpoint, NULL);
    struct stead_node_registration r1 = registration_of("n1", 1, 1), r2 = registration_of("n1", 1, 2);
    assert_int_equal(first.enrol(first.self, &r1, PATIENCE_MS, &node, &incarnation, why), 0);
    assert_int_equal(second.enrol(second.self, &r2, PATIENCE_MS, &node, &incarnation, why), 0);
    assert_int_equal(incarnation, 2);
    int code = 0;
    for (int64_t end = mono_ms() + PATIENCE_MS; code != STEAD_ESTATE && mono_ms() < end;) {
        code = first.wait(first.self, -1, 1000, &table);
        if (code == 0)
            stead_table_release(&table);
    }
    assert_int_equal(code, STEAD_ESTATE);
    first.close(first.self);
    second.close(second.self);
    stop_coordinator(&c);
}

static void test_silent_node_is_shown_as_dead(void **state)
{
    (void)state;
    struct coordinator c;
    char why[STEAD_COORDINATOR_WHY_SIZE];
    uint32_t node;
    uint64_t incarnation;
    start_coordinator(&c, path_of("c"), 1);
    struct stead_coordinator_door silent = open_door(c.endpoint, NULL), watcher = open_door(c.endpoint, NULL);
    struct stead_node_registration r = registration_of("n1", 1, 1);
    assert_int_equal(silent.enrol(silent.self, &r, PATIENCE_MS, &node, &incarnation, why), 0);
    struct stead_table *table = await_table(&watcher, is_first_dead);
    stead_table_release(&table);
    silent.close(silent.self);
    watcher.close(watcher.self);
    stop_coordinator(&c);
}

static void test_restarted_coordinator_has_the_same_endpoint_and_table(void **state)
{
    (void)state;
    struct coordinator c;
    char why[STEAD_COORDINATOR_WHY_SIZE], endpoint[128];
    uint32_t node;
    uint64_t incarnation;
    struct stead_table *before, *after;
    start_coordinator(&c, path_of("c"), 1);
    strcpy(endpoint, c.endpoint);
    struct stead_coordinator_door door = open_door(endpoint, NULL);
    struct stead_node_registration r = registration_of("n1", 1, 1);
    assert_int_equal(door.enrol(door.self, &r, PATIENCE_MS, &node, &incarnation, why), 0);
    before = await_table(&door, is_formed);
    stop_coordinator(&c);
    start_coordinator(&c, path_of("c"), 7); /* what it was formed with stays */
    assert_string_equal(c.endpoint, endpoint);
    assert_int_equal(claim_own(&door, before, node, PATIENCE_MS, why), 0);
    struct stead_coordinator_client_options options = {.endpoint = endpoint};
    assert_int_equal(stead_coordinator_client_fetch(&options, PATIENCE_MS, &after), 0);
    assert_int_equal(after->nodes_expected, 1);
    assert_true(stead_id_equal(before->cluster, after->cluster));
    assert_int_equal(after->shards[0].epoch, 2);
    stead_table_release(&before);
    stead_table_release(&after);
    door.close(door.self);
    stop_coordinator(&c);
}

static void test_second_coordinator_on_a_folder_is_refused_by_name(void **state)
{
    (void)state;
    struct coordinator c;
    char why[STEAD_COORDINATOR_SERVER_WHY_SIZE], pid[16];
    start_coordinator(&c, path_of("c"), 1);
    struct stead_coordinator_server_options options = {.folder = path_of("c"), .stop_fd = c.options.stop_fd};
    assert_int_equal(stead_coordinator_server_run(&options, why), STEAD_EINUSE);
    snprintf(pid, sizeof pid, "%d", getpid());
    assert_non_null(strstr(why, pid));
    assert_non_null(strstr(why, c.endpoint));
    options.folder = path_of("other");
    options.endpoint = c.endpoint;
    assert_int_equal(stead_coordinator_server_run(&options, why), STEAD_EINUSE);
    options.endpoint = "tcp://0.0.0.0:7399";
    assert_int_equal(stead_coordinator_server_run(&options, why), STEAD_EARGUMENT);
    assert_non_null(strstr(why, "loopback"));
    stop_coordinator(&c);
}

static void test_coordinator_survives_hostile_messages(void **state)
{
    (void)state;
    struct coordinator c;
    struct stead_rng rng;
    struct stead_writer good;
    struct stead_node_registration r = registration_of("n1", 1, 1);
    struct stead_kind_registration kind = {"counter", "gpu", STEAD_DURABLE};
    r.kinds = &kind;
    r.kind_count = 1;
    struct stead_coordinator_request request = {.id = 1, .op = STEAD_COORDINATOR_REGISTER, .registration = r};
    start_coordinator(&c, path_of("c"), 1);
    void *zmq = zmq_ctx_new(), *socket = zmq_socket(zmq, ZMQ_DEALER);
    int zero = 0;
    zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof zero);
    assert_int_equal(zmq_connect(socket, c.endpoint), 0);
    stead_writer_init(&good);
    stead_coordinator_request_encode(&request, &good);
    stead_rng_seed(&rng, 5);
    for (int i = 0; i < 3000; i++) {
        uint8_t bytes[1024];
        size_t size = good.size;
        assert_true(size <= sizeof bytes);
        memcpy(bytes, good.data, size);
        for (uint64_t n = 1 + stead_rng_below(&rng, 4); n > 0; n--)
            bytes[stead_rng_below(&rng, size)] = (uint8_t)stead_rng_next(&rng);
        size = stead_rng_below(&rng, 3) ? size : stead_rng_below(&rng, size);
        if (stead_rng_below(&rng, 10) == 0)
            zmq_send(socket, "", 0, ZMQ_SNDMORE);
        zmq_send(socket, bytes, size, 0);
    }
    stead_writer_deinit(&good);
    struct stead_table *table;
    struct stead_coordinator_client_options options = {.endpoint = c.endpoint};
    assert_int_equal(stead_coordinator_client_fetch(&options, PATIENCE_MS, &table), 0);
    stead_table_release(&table);
    zmq_close(socket);
    zmq_ctx_term(zmq);
    stop_coordinator(&c);
}

static void test_client_without_coordinator_times_out_and_says_where(void **state)
{
    (void)state;
    char why[STEAD_COORDINATOR_WHY_SIZE];
    uint32_t node;
    uint64_t incarnation;
    struct stead_coordinator_door door = open_door("tcp://127.0.0.1:1", NULL);
    struct stead_node_registration r = registration_of("n1", 1, 1);
    assert_int_equal(door.enrol(door.self, &r, 100, &node, &incarnation, why), STEAD_ETIMEOUT);
    assert_non_null(strstr(why, "tcp://127.0.0.1:1"));
    door.close(door.self);
}

static void test_client_wait_is_ended_by_its_descriptor(void **state)
{
    (void)state;
    struct stead_table *table;
    int fd = eventfd(1, EFD_CLOEXEC);
    struct stead_coordinator_door door = open_door("tcp://127.0.0.1:1", NULL);
    assert_int_equal(door.wait(door.self, fd, -1, &table), STEAD_ECANCELLED);
    assert_int_equal(door.wait(door.self, -1, 50, &table), STEAD_ETIMEOUT);
    door.close(door.self);
    close(fd);
}

/* ---- Supervised ------------------------------------------------------------------------------ */

static struct stead_supervisor *start_supervisor(void)
{
    struct stead_supervisor *supervisor;
    struct stead_supervisor_options options = {.folder = path_of("n1"), .nodes_expected = 1};
    char why[STEAD_SUPERVISOR_WHY_SIZE] = "";
    int code = stead_supervisor_create(&options, &supervisor, why);
    assert_string_equal(why, "");
    assert_int_equal(code, 0);
    return supervisor;
}

static struct stead_process coordinator_process(const char *folder)
{
    struct stead_coordinator_place place;
    for (int64_t end = mono_ms() + PATIENCE_MS; stead_coordinator_lock_find(folder, &place) != 0;) {
        assert_true(mono_ms() < end);
        usleep(5000);
    }
    return place.process;
}

static void test_supervisor_restarts_a_killed_coordinator_and_the_client_goes_on(void **state)
{
    (void)state;
    char why[STEAD_COORDINATOR_WHY_SIZE];
    uint32_t node;
    uint64_t incarnation;
    struct stead_supervisor *supervisor = start_supervisor();
    const char *folder = stead_supervisor_folder(supervisor);
    struct stead_coordinator_door door = open_door(NULL, folder);
    struct stead_node_registration r = registration_of("n1", 1, 1);
    assert_int_equal(door.enrol(door.self, &r, PATIENCE_MS, &node, &incarnation, why), 0);
    for (uint64_t round = 1; round <= 5; round++) {
        struct stead_table *table;
        struct stead_process process = coordinator_process(folder);
        struct stead_coordinator_client_options options = {.folder = folder};
        assert_int_equal(stead_coordinator_client_fetch(&options, PATIENCE_MS, &table), 0);
        assert_int_equal(table->shards[0].epoch, round);
        assert_int_equal(stead_process_signal(&process, SIGKILL), 0);
        assert_int_equal(claim_own(&door, table, node, PATIENCE_MS, why), 0);
        stead_table_release(&table);
    }
    door.close(door.self);
    struct stead_process last = coordinator_process(folder);
    stead_supervisor_stop(&supervisor);
    assert_false(stead_process_runs(&last));
}

static void test_supervisor_finds_the_coordinator_that_runs(void **state)
{
    (void)state;
    struct stead_supervisor *first = start_supervisor();
    struct stead_process process = coordinator_process(stead_supervisor_folder(first));
    stead_supervisor_destroy(&first);
    assert_true(stead_process_runs(&process));
    struct stead_supervisor *second = start_supervisor();
    struct stead_process found = coordinator_process(stead_supervisor_folder(second));
    assert_int_equal(found.pid, process.pid);
    stead_supervisor_stop(&second);
    assert_false(stead_process_runs(&process));
}

static void test_supervisor_says_why_a_coordinator_does_not_start(void **state)
{
    (void)state;
    struct stead_supervisor *supervisor;
    char why[STEAD_SUPERVISOR_WHY_SIZE] = "";
    assert_int_equal(mkdir(path_of("n1"), 0755), 0);
    assert_int_equal(mkdir(path_of("n1/coordinator"), 0755), 0);
    int fd = open(path_of("n1/coordinator/store"), O_WRONLY | O_CREAT, 0644); /* a file where a folder has to be */
    close(fd);
    struct stead_supervisor_options options = {.folder = path_of("n1"), .nodes_expected = 1};
    assert_int_equal(stead_supervisor_create(&options, &supervisor, why), STEAD_EUNAVAILABLE);
    assert_non_null(strstr(why, "store"));
}

/* ---- Clusters -------------------------------------------------------------------------------- */

static int up(uint32_t nodes, struct stead_local_cluster_result *ret_result, char *why)
{
    struct stead_local_cluster_options options = {
        .folder = path_of("cluster"), .nodes = nodes, .any_port = true, .timeout_ms = PATIENCE_MS};
    return stead_local_cluster_up(&options, ret_result, why);
}

static void kill_named(const char *name)
{
    struct stead_process process;
    assert_int_equal(stead_local_plan_find(path_of("cluster"), name, &process), 0);
    assert_int_equal(stead_process_signal(&process, SIGKILL), 0);
    assert_int_equal(stead_process_await(&process, -1, PATIENCE_MS), 0);
}

static struct stead_process await_named(const char *name, bool runs)
{
    struct stead_process process = {0};
    for (int64_t end = mono_ms() + PATIENCE_MS;
         (stead_local_plan_find(path_of("cluster"), name, &process) == 0) != runs;) {
        assert_true(mono_ms() < end);
        usleep(5000);
    }
    return process;
}

static void test_cluster_goes_up_and_down_twice(void **state)
{
    (void)state;
    char why[STEAD_LOCAL_CLUSTER_WHY_SIZE];
    struct stead_local_cluster_result result;
    struct stead_local_cluster_status status;
    uint32_t stopped;
    for (uint64_t round = 1; round <= 2; round++) {
        int code = up(3, &result, why);
        assert_string_equal(why, "");
        assert_int_equal(code, 0);
        assert_int_equal(result.started, 3);
        assert_false(result.was_running);
        assert_true(strncmp(result.endpoint, "tcp://127.0.0.1:", 16) == 0);
        assert_int_equal(stead_local_cluster_status(path_of("cluster"), PATIENCE_MS, &status, why), 0);
        assert_int_equal(status.process_count, 5);
        for (uint32_t i = 0; i < 5; i++)
            assert_true(status.processes[i].pid > 0);
        assert_non_null(status.table);
        assert_int_equal(status.table->node_count, 3);
        assert_int_equal(status.table->nodes[2].incarnation, round);
        stead_local_cluster_status_deinit(&status);
        assert_int_equal(stead_local_cluster_down(path_of("cluster"), 0, &stopped, why), 0);
        assert_int_equal(stopped, 5);
        assert_int_equal(stead_local_cluster_status(path_of("cluster"), 100, &status, why), 0);
        for (uint32_t i = 0; i < 5; i++)
            assert_int_equal(status.processes[i].pid, 0);
        stead_local_cluster_status_deinit(&status);
    }
    assert_int_equal(stead_local_cluster_down(path_of("cluster"), 0, &stopped, why), STEAD_ENOTFOUND);
    assert_int_equal(stead_local_cluster_down(path_of("nowhere"), 0, &stopped, why), STEAD_ENOTFOUND);
}

static void test_second_up_is_refused_and_starts_what_is_down(void **state)
{
    (void)state;
    char why[STEAD_LOCAL_CLUSTER_WHY_SIZE];
    struct stead_local_cluster_result result;
    uint32_t stopped;
    assert_int_equal(up(2, &result, why), 0);
    assert_int_equal(up(2, &result, why), STEAD_EINUSE);
    assert_non_null(strstr(why, "running already"));
    assert_int_equal(up(3, &result, why), STEAD_EINUSE);
    assert_non_null(strstr(why, "has 2 nodes"));
    kill_named("n2");
    (void)await_named("n2", false);
    int code = up(2, &result, why);
    assert_string_equal(why, "");
    assert_int_equal(code, 0);
    assert_true(result.was_running);
    assert_int_equal(result.started, 1);
    assert_int_equal(stead_local_cluster_down(path_of("cluster"), 0, &stopped, why), 0);
    assert_int_equal(stopped, 4);
}

static void test_cluster_restarts_its_coordinator_but_not_its_nodes(void **state)
{
    (void)state;
    char why[STEAD_LOCAL_CLUSTER_WHY_SIZE];
    struct stead_local_cluster_result result;
    uint32_t stopped;
    assert_int_equal(up(1, &result, why), 0);
    struct stead_process before = await_named("coordinator", true), after = before;
    kill_named("n1");
    kill_named("coordinator");
    for (int64_t end = mono_ms() + PATIENCE_MS; after.pid == before.pid; usleep(5000)) {
        assert_true(mono_ms() < end);
        after = await_named("coordinator", true);
    }
    (void)await_named("n1", false);
    assert_int_equal(stead_local_cluster_down(path_of("cluster"), 0, &stopped, why), 0);
    assert_int_equal(stopped, 2);
}

static void test_cluster_whose_supervisor_was_killed_can_still_be_stopped(void **state)
{
    (void)state;
    char why[STEAD_LOCAL_CLUSTER_WHY_SIZE];
    struct stead_local_cluster_result result;
    uint32_t stopped;
    assert_int_equal(up(2, &result, why), 0);
    kill_named("supervisor");
    assert_int_equal(up(2, &result, why), STEAD_EINUSE);
    assert_non_null(strstr(why, "without their supervisor"));
    assert_int_equal(stead_local_cluster_down(path_of("cluster"), 0, &stopped, why), 0);
    assert_int_equal(stopped, 3);
    assert_int_equal(up(2, &result, why), 0);
    assert_int_equal(stead_local_cluster_down(path_of("cluster"), 0, &stopped, why), 0);
}

static void test_up_with_a_node_that_ends_at_once_says_why_and_leaves_nothing(void **state)
{
    (void)state;
    char why[STEAD_LOCAL_CLUSTER_WHY_SIZE];
    struct stead_local_cluster_result result;
    struct stead_process process;
    static const struct stead_local_cluster_arg args[] = {{.node = 2, .word = "--fail"}};
    struct stead_local_cluster_options options = {.folder = path_of("cluster"),
                                                  .nodes = 2,
                                                  .any_port = true,
                                                  .timeout_ms = PATIENCE_MS,
                                                  .arg_count = 1,
                                                  .args = args};
    assert_int_equal(stead_local_cluster_up(&options, &result, why), STEAD_EFAILED);
    assert_non_null(strstr(why, "told to fail"));
    assert_non_null(strstr(why, "n2"));
    assert_int_equal(stead_local_plan_find(path_of("cluster"), "coordinator", &process), STEAD_ENOTFOUND);
    assert_int_equal(stead_local_plan_find(path_of("cluster"), "supervisor", &process), STEAD_ENOTFOUND);
}

static void test_plan_keeps_each_nodes_words_in_their_order(void **state)
{
    static const struct stead_local_cluster_arg args[] = {{2, "--label"},   {2, "a b: c"}, {0, "--memory=1G"},
                                                          {32, "--on 3 x"}, {0, "arg y"},  {2, "--memory=2G"}};
    static const char *const of_n2[] = {"--memory=1G", "arg y", "--label", "a b: c", "--memory=2G"};
    struct stead_local_plan plan = {.nodes = 32}, other;
    const char *words[STEAD_LOCAL_CLUSTER_ARGS_MAX];

    (void)state;
    assert_int_equal(mkdir(path_of("cluster"), 0755), 0);
    strcpy(plan.folder, path_of("cluster"));
    for (uint32_t i = 0; i < 6; i++)
        stead_local_plan_add(&plan, args[i].node, args[i].word);
    assert_int_equal(stead_local_plan_write(&plan), 0);
    stead_local_plan_deinit(&plan);
    assert_int_equal(stead_local_plan_read(path_of("cluster"), &other), 0);
    assert_true(stead_local_plan_has(&other, args, 6));
    assert_false(stead_local_plan_has(&other, args, 5));
    assert_int_equal(stead_local_plan_args(&other, 0, words), 2);
    assert_int_equal(stead_local_plan_args(&other, 31, words), 3);
    assert_string_equal(words[2], "--on 3 x");
    assert_int_equal(stead_local_plan_args(&other, 1, words), 5);
    for (uint32_t i = 0; i < 5; i++)
        assert_string_equal(words[i], of_n2[i]);
    stead_local_plan_deinit(&other);
    FILE *file = fopen(path_of("cluster/cluster"), "w");
    fprintf(file, "nodes 2\non 33 --label\n");
    fclose(file);
    assert_int_equal(stead_local_plan_read(path_of("cluster"), &other), STEAD_ECORRUPT);
}

static void test_up_refuses_words_for_a_node_that_is_not_there(void **state)
{
    static const struct stead_local_cluster_arg args[] = {{.node = 3, .word = "--label=gpu"}};
    struct stead_local_cluster_options options = {
        .folder = path_of("cluster"), .nodes = 2, .any_port = true, .arg_count = 1, .args = args};
    struct stead_local_cluster_result result;
    char why[STEAD_LOCAL_CLUSTER_WHY_SIZE];

    (void)state;
    assert_int_equal(stead_local_cluster_up(&options, &result, why), STEAD_EARGUMENT);
    assert_non_null(strstr(why, "n3"));
}

/* ---- The other two programs ------------------------------------------------------------------ */

static const char *argument(int argc, char **argv, const char *name)
{
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return i + 1 < argc ? argv[i + 1] : "";
    return NULL;
}

static int be_coordinator(int argc, char **argv)
{
    char why[STEAD_COORDINATOR_SERVER_WHY_SIZE];
    struct stead_coordinator_server_options options = {
        .folder = argument(argc, argv, "--folder"),
        .endpoint = argument(argc, argv, "--listen"),
        .nodes_expected = (uint32_t)strtoul(argument(argc, argv, "--nodes"), NULL, 10),
        .idle_exit_s = (uint32_t)strtoul(argument(argc, argv, "--idle-exit-s"), NULL, 10),
        .stop_fd = -1};
    int code = stead_coordinator_server_run(&options, why);
    if (code != 0)
        fprintf(stderr, "%s\n", why);
    return code != 0;
}

/* Enrols, claims what is its own, and lives until TERM. */
static int be_node(int argc, char **argv)
{
    struct stead_coordinator_door door;
    struct stead_coordinator_client_options options = {.endpoint = argument(argc, argv, "--coordinator"),
                                                       .beat_ms = 100};
    const char *name = argument(argc, argv, "--name");
    char why[STEAD_COORDINATOR_WHY_SIZE];
    uint32_t node;
    uint64_t incarnation, start = 0;
    sigset_t term;
    struct stead_table *table;
    if (argument(argc, argv, "--fail")) {
        fprintf(stderr, "told to fail\n");
        return 1;
    }
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    int term_fd = signalfd(-1, &term, 0);
    if (getrandom(&start, sizeof start, 0) < 0 || stead_coordinator_client_open(&options, &door) != 0)
        return 1;
    struct stead_node_registration r = registration_of(name, (uint8_t)name[1], start | 1);
    int code = door.enrol(door.self, &r, PATIENCE_MS, &node, &incarnation, why);
    while (code == 0 || code == STEAD_ETIMEOUT) {
        code = door.wait(door.self, term_fd, -1, &table);
        if (code != 0)
            continue;
        if (table->formed && stead_table_node_find(table, node)->incarnation == incarnation) {
            bool claimed = true;
            for (uint32_t i = 0; i < table->shard_count; i++)
                claimed = claimed && (table->shards[i].node != node ||
                                      (table->shards[i].incarnation == incarnation && table->shards[i].epoch > 1));
            if (!claimed)
                code = claim_own(&door, table, node, PATIENCE_MS, why);
        }
        stead_table_release(&table);
    }
    if (code == STEAD_ECANCELLED)
        code = door.leave(door.self, 1000);
    door.close(door.self);
    if (code != 0)
        fprintf(stderr, "node: %s\n", stead_error_name(code));
    return code != 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "coordinator") == 0)
        return be_coordinator(argc, argv);
    if (argc > 1 && strcmp(argv[1], "node") == 0)
        return be_node(argc, argv);
#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, make_base, remove_base)
    const struct CMUnitTest tests[] = {
        /* Those that fork come first: a store of the later ones leaves RocksDB's threads in this process. */
        IN_SCRATCH(test_cluster_goes_up_and_down_twice),
        IN_SCRATCH(test_second_up_is_refused_and_starts_what_is_down),
        IN_SCRATCH(test_cluster_restarts_its_coordinator_but_not_its_nodes),
        IN_SCRATCH(test_cluster_whose_supervisor_was_killed_can_still_be_stopped),
        IN_SCRATCH(test_up_with_a_node_that_ends_at_once_says_why_and_leaves_nothing),
        IN_SCRATCH(test_plan_keeps_each_nodes_words_in_their_order),
        IN_SCRATCH(test_up_refuses_words_for_a_node_that_is_not_there),
        IN_SCRATCH(test_node_enrols_gets_the_table_and_claims_its_shards),
        IN_SCRATCH(test_watcher_hears_of_another_node_at_once),
        IN_SCRATCH(test_replaced_incarnation_is_told_to_stop),
        IN_SCRATCH(test_silent_node_is_shown_as_dead),
        IN_SCRATCH(test_restarted_coordinator_has_the_same_endpoint_and_table),
        IN_SCRATCH(test_second_coordinator_on_a_folder_is_refused_by_name),
        IN_SCRATCH(test_coordinator_survives_hostile_messages),
        IN_SCRATCH(test_client_without_coordinator_times_out_and_says_where),
        IN_SCRATCH(test_client_wait_is_ended_by_its_descriptor),
        IN_SCRATCH(test_supervisor_restarts_a_killed_coordinator_and_the_client_goes_on),
        IN_SCRATCH(test_supervisor_finds_the_coordinator_that_runs),
        IN_SCRATCH(test_supervisor_says_why_a_coordinator_does_not_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
