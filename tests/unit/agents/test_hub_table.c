/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of the hub: rows that only who has read them may write, pages that leave nothing out, waiting for an end, and
 * what is forgotten when.
 */
#include "unit/runtime/host_client.h"

#include "agents/agents.h"
#include "agents/hub.h"

#define TABLE "hub.table/t/0"

static struct fx *fx;
static struct fx_client client;
static struct stead_message *answer; /* of the last request; NULL: none yet */

static void take_answer(void)
{
    if (answer != NULL)
        stead_message_destroy(&answer);
    answer = stead_queue_pop(&fx->answers);
}

/* Sends and runs; the code of the answer, 1 when there is none yet. */
static int ask(const char *op, const char *format, ...)
{
    struct stead_writer args;
    va_list list;

    stead_writer_init(&args);
    va_start(list, format);
    stead_pack_v(&args, format, list);
    va_end(list);
    struct stead_message *message = fx_request(fx, &client, STEAD_CALL, TABLE, op, stead_written(&args), NULL);
    stead_writer_deinit(&args);
    stead_host_deliver(fx->host, &message);
    fx_run(fx);
    take_answer();
    return answer == NULL ? 1 : answer->status;
}

static struct stead_slice value(void)
{
    return stead_message_payload(answer);
}

static int create(const char *id, const char *start)
{
    return ask("create", "{s:s,s:s,s:u,s:l,s:s}", "id", id, "name", "flow", "version", (uint64_t)1, "input", (int64_t)7,
               "start", start);
}

static uint64_t etag_of(const char *id)
{
    uint64_t etag = 0;

    assert_int_equal(ask("read", "{s:s}", "id", id), 0);
    assert_int_equal(stead_get_u64(value(), "etag", &etag), 0);
    return etag;
}

/* Writes a row of this status, and `rows` history rows of `size` bytes. */
static int put(const char *id, uint64_t etag, uint64_t status, uint32_t rows, size_t size, int64_t purge_ms)
{
    struct stead_writer list;
    uint8_t *bytes = calloc(1, size + 1);

    stead_writer_init(&list);
    stead_write_array(&list, rows);
    for (uint32_t at = 0; at < rows; at++) {
        bytes[0] = (uint8_t)at;
        stead_write_bin(&list, stead_bytes(bytes, size));
    }
    int code =
        ask("write", "{s:s,s:u,s:{s:s,s:u,s:l,s:u},s:v,s:l}", "id", id, "etag", etag, "row", "name", "flow", "status",
            status, "created", (int64_t)1, "execution", (uint64_t)1, "rows", stead_written(&list), "purge", purge_ms);
    stead_writer_deinit(&list);
    free(bytes);
    return code;
}

static void assert_status(const char *expected)
{
    struct stead_slice status;

    assert_int_equal(stead_get_str(value(), "status", &status), 0);
    assert_true(stead_slice_equal(status, stead_str(expected)));
}

static int setup(void **state)
{
    (void)state;
    fx = fx_create(2);
    assert_int_equal(stead_registry_add(fx->registry, &stead_hub_table_kind, NULL), 0);
    client = fx_client(fx, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fx_cold_restart(fx); /* who still waits is forgotten, and leaves nothing */
    take_answer();
    if (answer != NULL)
        stead_message_destroy(&answer);
    fx_destroy(fx);
    return 0;
}

static void test_created_instance_is_pending_and_its_id_active(void **state)
{
    bool fresh = true;
    int64_t input = 0;

    (void)state;
    assert_int_equal(create("a", "s1"), 0);
    assert_int_equal(ask("status", "{s:s}", "id", "a"), 0);
    assert_status("Pending");
    assert_int_equal(stead_get_i64(value(), "input", &input), 0);
    assert_int_equal(input, 7);
    assert_int_equal(create("a", "s2"), STEAD_ECONFLICT);
    assert_int_equal(create("a", "s1"), 0); /* the same start, asked for again */
    assert_int_equal(stead_get_bool(value(), "new", &fresh), 0);
    assert_false(fresh);
    assert_int_equal(ask("status", "{s:s}", "id", "b"), STEAD_ENOTFOUND);
    assert_int_equal(ask("status", "{s:s}", "id", "b/c"), STEAD_EFAILED);
}

static void test_write_with_an_old_etag_is_refused(void **state)
{
    (void)state;
    assert_int_equal(create("a", "s1"), 0);
    uint64_t etag = etag_of("a");
    assert_int_equal(put("a", etag, STEAD_INSTANCE_RUNNING, 1, 10, 0), 0);
    assert_int_equal(put("a", etag, STEAD_INSTANCE_FAILED, 1, 10, 0), STEAD_ECONFLICT);
    assert_int_equal(ask("status", "{s:s}", "id", "a"), 0);
    assert_status("Running");
    assert_int_equal(put("b", 0, STEAD_INSTANCE_RUNNING, 0, 0, 0), 0); /* a child's row is made by its first write */
    assert_int_equal(etag_of("a"), etag + 1);
}

static void test_read_comes_in_pages_that_leave_nothing_out(void **state)
{
    struct stead_slice rows, row;
    uint64_t next = 0, seen = 0;
    uint32_t count, pages = 0;

    (void)state;
    assert_int_equal(create("a", "s1"), 0);
    for (int at = 0; at < 4; at++)
        assert_int_equal(put("a", etag_of("a"), STEAD_INSTANCE_RUNNING, 3, 90000, 0), 0);
    do {
        assert_int_equal(ask("read", "{s:s,s:u}", "id", "a", "from", next), 0);
        assert_int_equal(stead_get_u64(value(), "next", &next), 0);
        assert_int_equal(stead_get_value(value(), "rows", &rows), 0);
        struct stead_reader reader = stead_reader(rows);
        assert_int_equal(stead_read_array(&reader, &count), 0);
        for (uint32_t at = 0; at < count; at++, seen++) {
            assert_int_equal(stead_read_bin(&reader, &row), 0);
            assert_int_equal(row.data[0], seen % 3);
        }
        pages++;
    } while (next != 0);
    assert_int_equal(seen, 12);
    assert_true(pages > 1);
}

static void test_who_waits_hears_of_the_end_with_its_sync(void **state)
{
    (void)state;
    assert_int_equal(create("a", "s1"), 0);
    uint64_t etag = etag_of("a");
    assert_int_equal(ask("wait", "{s:s,s:l}", "id", "a", "wait", (int64_t)10000), 1);
    assert_int_equal(put("a", etag, STEAD_INSTANCE_RUNNING, 0, 0, 0), 0);
    take_answer();
    assert_null(answer);
    uint32_t flushes = fx->flushes;
    assert_int_equal(put("a", etag + 1, STEAD_INSTANCE_COMPLETED, 0, 0, 0), 0);
    assert_int_equal(fx->flushes, flushes + 1);
    take_answer();
    assert_non_null(answer);
    assert_status("Completed");
    assert_int_equal(ask("wait", "{s:s,s:l}", "id", "a", "wait", (int64_t)10000), 0);
}

/* Many answers that are long together are given in several turns. */
static void test_many_who_wait_for_a_long_output_are_all_answered(void **state)
{
    enum { MANY = 40, LONG = 900000 };
    struct stead_writer output;

    (void)state;
    assert_int_equal(create("a", "s1"), 0);
    uint64_t etag = etag_of("a");
    for (int at = 0; at < MANY; at++)
        assert_int_equal(ask("wait", "{s:s,s:l}", "id", "a", "wait", (int64_t)10000), 1);
    stead_writer_init(&output);
    uint8_t *bytes = calloc(1, LONG);
    stead_write_bin(&output, stead_bytes(bytes, LONG));
    assert_int_equal(ask("write", "{s:s,s:u,s:{s:s,s:u,s:l,s:u},s:v,s:[],s:l}", "id", "a", "etag", etag, "row", "name",
                         "flow", "status", (uint64_t)STEAD_INSTANCE_COMPLETED, "created", (int64_t)1, "execution",
                         (uint64_t)1, "output", stead_written(&output), "rows", "purge", (int64_t)0),
                     0);
    for (int at = 0; at < MANY; at++) {
        take_answer();
        assert_non_null(answer);
        assert_status("Completed");
    }
    stead_writer_deinit(&output);
    free(bytes);
}

static void test_wait_ends_with_its_time_and_a_poll_with_its_moment(void **state)
{
    (void)state;
    assert_int_equal(create("a", "s1"), 0);
    uint32_t flushes = fx->flushes;
    assert_int_equal(ask("wait", "{s:s,s:l}", "id", "a", "wait", (int64_t)500), 1);
    assert_int_equal(ask("wait", "{s:s,s:l}", "id", "a", "delay", (int64_t)200), 1);
    fx_step_ms(fx, 199);
    assert_int_equal(fx->answers.count, 0);
    fx_step_ms(fx, 1);
    take_answer();
    assert_status("Pending");
    fx_step_ms(fx, 299);
    assert_int_equal(fx->answers.count, 0);
    fx_step_ms(fx, 1);
    take_answer();
    assert_status("Pending");
    assert_int_equal(fx->flushes, flushes); /* nobody has written anything */
}

static void test_what_is_over_is_purged_and_a_living_one_not(void **state)
{
    (void)state;
    assert_int_equal(create("a", "s1"), 0);
    assert_int_equal(ask("purge", "{s:s}", "id", "a"), STEAD_ESTATE);
    for (int at = 0; at < 3; at++)
        assert_int_equal(put("a", etag_of("a"), STEAD_INSTANCE_RUNNING, 700, 10, 0), 0);
    assert_int_equal(put("a", etag_of("a"), STEAD_INSTANCE_COMPLETED, 0, 0, 0), 0);
    uint64_t etag = etag_of("a");
    assert_int_equal(ask("purge", "{s:s}", "id", "a"), 0);
    assert_int_equal(ask("status", "{s:s}", "id", "a"), STEAD_ENOTFOUND);
    assert_int_equal(ask("purge", "{s:s}", "id", "a"), STEAD_ENOTFOUND);
    fx_step_ms(fx, 100); /* 2,100 rows go little by little */
    fx_cold_restart(fx);
    client = fx_client(fx, 2);
    assert_true(fx->row_count < 100);
    assert_int_equal(create("a", "s2"), 0); /* the id is free */
    assert_true(etag_of("a") > etag);       /* whoever knew the one before writes nothing into this one */
}

static void test_clock_that_stands_or_falls_gives_no_etag_twice(void **state)
{
    uint64_t first, second, third;

    (void)state;
    assert_int_equal(put("a", 0, STEAD_INSTANCE_COMPLETED, 1, 10, 0), 0);
    first = etag_of("a");
    assert_int_equal(ask("purge", "{s:s}", "id", "a"), 0);
    assert_int_equal(create("a", "s1"), 0); /* in the same ms */
    second = etag_of("a");
    assert_true(second > first);
    assert_int_equal(put("a", first, STEAD_INSTANCE_RUNNING, 1, 10, 0), STEAD_ECONFLICT);
    assert_int_equal(put("a", second, STEAD_INSTANCE_COMPLETED, 1, 10, 0), 0);
    assert_int_equal(ask("purge", "{s:s}", "id", "a"), 0);
    fx_cold_restart(fx);
    client = fx_client(fx, 2);
    fx->now_ms -= 1000;
    assert_int_equal(put("a", 0, STEAD_INSTANCE_RUNNING, 1, 10, 0), 0);
    third = etag_of("a");
    assert_true(third > second + 1);
}

static void test_retention_purges_each_at_its_time(void **state)
{
    int64_t now = (int64_t)fx->now_ms;

    (void)state;
    assert_int_equal(put("late", 0, STEAD_INSTANCE_COMPLETED, 1, 10, now + 5000), 0);
    assert_int_equal(put("soon", 0, STEAD_INSTANCE_COMPLETED, 1, 10, now + 1000), 0);
    fx_step_ms(fx, 999);
    assert_int_equal(ask("status", "{s:s}", "id", "soon"), 0);
    fx_step_ms(fx, 1);
    assert_int_equal(ask("status", "{s:s}", "id", "soon"), STEAD_ENOTFOUND);
    assert_int_equal(ask("status", "{s:s}", "id", "late"), 0);
    fx_step_ms(fx, 4000);
    assert_int_equal(ask("status", "{s:s}", "id", "late"), STEAD_ENOTFOUND);
}

static void test_list_is_filtered_and_turned_page_by_page(void **state)
{
    struct stead_slice list, next = {0};
    char id[16], after[16] = "";
    uint32_t count, seen = 0;

    (void)state;
    for (int at = 0; at < 10; at++) {
        snprintf(id, sizeof(id), "x%d", at);
        assert_int_equal(put(id, 0, at % 2 ? STEAD_INSTANCE_COMPLETED : STEAD_INSTANCE_RUNNING, 0, 0, 0), 0);
    }
    assert_int_equal(create("y", "s"), 0);
    do {
        assert_int_equal(ask("list", "{s:s,s:s,s:u,s:s}", "prefix", "x", "status", "Completed", "limit", (uint64_t)2,
                             "after", after),
                         0);
        assert_int_equal(stead_get_value(value(), "instances", &list), 0);
        struct stead_reader reader = stead_reader(list);
        assert_int_equal(stead_read_array(&reader, &count), 0);
        seen += count;
        assert_int_equal(stead_get_str(value(), "next", &next), 0);
        snprintf(after, sizeof(after), "%.*s", (int)next.size, (const char *)next.data);
    } while (after[0] != '\0');
    assert_int_equal(seen, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_created_instance_is_pending_and_its_id_active, setup, teardown),
        cmocka_unit_test_setup_teardown(test_write_with_an_old_etag_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_comes_in_pages_that_leave_nothing_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_waits_hears_of_the_end_with_its_sync, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_who_wait_for_a_long_output_are_all_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wait_ends_with_its_time_and_a_poll_with_its_moment, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_over_is_purged_and_a_living_one_not, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clock_that_stands_or_falls_gives_no_etag_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(test_retention_purges_each_at_its_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list_is_filtered_and_turned_page_by_page, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
