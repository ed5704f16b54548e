/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kind `orchestration` on one host: what a client sees, what crashes and unloads leave, how much a turn costs.
 */
#include "unit/agents/orchestrator_fixture.h"

#include "runtime/shard.h"
#include "stead/fiber.h"

/* ---- Orchestrators -------------------------------------------------------------------------- */

/* inc(inc(inc(input))) */
static int three_steps(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice value = input;

    for (uint32_t i = 0; i < 3; i++) {
        int code = stead_await_activity(o, "inc", value, &value);
        if (code != 0)
            return code;
        value = stead_keep(o, value);
    }
    return stead_complete(o, value);
}

/* Input: how many. Output: the sum of inc(i). */
static int fan_out(struct stead_orchestration *o, struct stead_slice input)
{
    int64_t count = 0, sum = 0, one = 0;

    if (stead_get_i64(input, NULL, &count) != 0)
        return STEAD_EARGUMENT;
    struct stead_task *tasks = stead_keep_bytes(o, (size_t)count * sizeof(*tasks));
    for (int64_t i = 0; i < count; i++)
        tasks[i] = stead_begin_activity(o, "inc", stead_packed_for(o, "l", i), NULL);
    int code = stead_await_all(o, tasks, (uint32_t)count);
    for (int64_t i = 0; code == 0 && i < count; i++) {
        struct stead_slice value;
        code = stead_await(o, tasks[i], &value);
        if (code == 0 && stead_get_i64(value, NULL, &one) == 0)
            sum += one;
    }
    return code != 0 ? code : stead_complete(o, stead_packed_for(o, "l", sum));
}

static int nothing_at_all(struct stead_orchestration *o, struct stead_slice input)
{
    return stead_complete(o, input);
}

/* Input: how many events to another instance, each of 1 MB: more than one turn may store when they are many. */
static int send_much(struct stead_orchestration *o, struct stead_slice input)
{
    const size_t size = 1000000;
    int64_t count = 0;
    int code = stead_get_i64(input, NULL, &count);
    struct stead_slice value = stead_packed_for(o, "B", stead_bytes(stead_keep_bytes(o, size), size));

    for (int64_t i = 0; code == 0 && i < count; i++)
        code = stead_send_event(o, "other", "much", value);
    return code;
}

/* A child whose input does not fit into a message with what goes around it. */
static int large_child(struct stead_orchestration *o, struct stead_slice input)
{
    const size_t size = (1u << 20) - 8;

    (void)input;
    struct stead_slice value = stead_packed_for(o, "B", stead_bytes(stead_keep_bytes(o, size), size - 8));
    return stead_await_child(o, "none", value, NULL);
}

/* 300 small episodes, then one of 2,000 decisions. */
static int small_then_wide(struct stead_orchestration *o, struct stead_slice input)
{
    for (int i = 0; i < 300; i++) {
        int code = stead_await_event(o, "tick", -1, NULL);
        if (code != 0)
            return code;
    }
    for (int i = 0; i < 2000; i++)
        (void)stead_begin_timer(o, 3600000);
    return stead_await_event(o, "end", -1, &input);
}

OR_ORCHESTRATOR(widening, small_then_wide);
OR_ORCHESTRATOR(much, send_much);
OR_ORCHESTRATOR(large, large_child);
OR_ORCHESTRATOR(steps, three_steps);
OR_ORCHESTRATOR(fan, fan_out);
OR_ORCHESTRATOR(none, nothing_at_all);

/* ---- Tests ---------------------------------------------------------------------------------- */

static void test_orchestrator_runs_three_activities_and_answers(void **state)
{
    (void)state;
    or_ask("i", "run", "{s:s,s:l}", "name", "steps", "input", (int64_t)5);
    assert_null(answer);
    or_do_jobs();
    assert_int_equal(or_output(), 8);
    assert_int_equal(or_told().status, STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_jobs_done, 3);
}

static void test_orchestrator_that_awaits_nothing_answers_at_once(void **state)
{
    (void)state;
    or_ask("i", "run", "{s:s,s:l}", "name", "none", "input", (int64_t)5);
    assert_int_equal(or_output(), 5);
}

static void test_orchestrator_crash_after_every_step_changes_nothing(void **state)
{
    (void)state;
    or_ask("i", "start", "{s:s,s:l}", "name", "steps", "input", (int64_t)5);
    for (uint32_t i = 0; i < 6; i++) {
        or_crash();
        (void)or_do_job();
        fx_run(fx);
    }
    or_do_jobs();
    or_expect_status("i", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_output(), 8);
}

static void test_orchestrator_fan_out_of_ten_thousand(void **state)
{
    (void)state;
    or_ask("i", "run", "{s:s,s:l}", "name", "fan", "input", (int64_t)10000);
    or_do_jobs();
    assert_int_equal(or_output(), 10000ll * 10001 / 2);
    assert_int_equal(or_jobs_done, 10000);
}

/* An episode runs while decisions of the one before are still to be carried out. */
static void test_orchestrator_inputs_between_slices_take_nothing_away(void **state)
{
    (void)state;
    uint8_t memory[64];
    struct stead_writer args;

    stead_writer_init_fixed(&args, memory, sizeof(memory));
    stead_pack(&args, "{s:s,s:l}", "name", "fan", "input", 5000ll);
    struct stead_message *message =
        fx_request(fx, &client, STEAD_CALL, "orchestration/i", "start", stead_written(&args), NULL);
    stead_host_deliver(fx->host, &message);
    or_post("i", "suspend");
    or_post("i", "resume");
    or_post("i", "suspend");
    or_post("i", "resume");
    fx_run(fx);
    or_do_jobs();
    or_expect_status("i", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_output(), 5000ll * 5001 / 2);
    assert_int_equal(or_jobs_done, 5000);
}

/* A history of more events than one turn replays: what comes meanwhile is kept. */
static void test_orchestrator_long_history_is_replayed_in_pages(void **state)
{
    (void)state;
    or_ask("i", "run", "{s:s,s:l}", "name", "fan", "input", (int64_t)20000);
    for (uint32_t i = 0; i < 19000; i++)
        assert_true(or_do_job());
    fx_run(fx);
    or_ask("i", "status", "{}");
    assert_true(or_told().events > 70000);
    or_crash();
    or_post("i", "suspend");
    or_post("i", "status");
    fx_run(fx);
    or_take_newest();
    assert_int_equal(or_told().status, STEAD_INSTANCE_SUSPENDED); /* at once, though the code is not there yet */
    or_expect_status("i", STEAD_INSTANCE_SUSPENDED);
    or_ask("i", "resume", "{}");
    fx_step_ms(fx, 5000);
    or_do_jobs();
    or_expect_status("i", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_output(), 20000ll * 20001 / 2);
}

/* Results that come to a resident instance cost their own rows, not those of the history before them. */
static void test_orchestrator_fan_in_does_not_read_history_again(void **state)
{
    (void)state;
    or_ask("i", "start", "{s:s,s:l}", "name", "fan", "input", (int64_t)2000);
    for (uint32_t i = 0; i < 1000; i++)
        assert_true(or_do_job());
    fx_run(fx);
    stead_host_trim(fx->host); /* the history goes to the image, whose rows are counted when they are read */
    fx_run(fx);
    uint64_t before = fx->rows_scanned;
    or_crash();
    assert_true(or_do_job());
    fx_run(fx);
    uint64_t replayed = fx->rows_scanned - before;
    assert_true(replayed > 1000);
    for (uint32_t i = 0; i < 900; i++) {
        assert_true(or_do_job());
        fx_run(fx);
    }
    assert_true(fx->rows_scanned - before < replayed + 100);
    or_do_jobs();
    or_expect_status("i", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_output(), 2000ll * 2001 / 2);
}

static void test_orchestrator_values_at_the_limit_pass_through(void **state)
{
    (void)state;
    const uint32_t size = (1u << 20) - 8192;
    uint8_t *bytes = calloc(1, size);
    or_ask("i", "run", "{s:s,s:B}", "name", "none", "input", stead_bytes(bytes, size));
    struct stead_slice out;
    assert_int_equal(stead_get_bin(or_told().output, NULL, &out), 0);
    assert_int_equal(out.size, size);
    or_crash();
    or_ask("i", "status", "{}");
    assert_int_equal(stead_get_bin(or_told().output, NULL, &out), 0);
    assert_int_equal(out.size, size);
    free(bytes);
}

static void test_orchestrator_unloaded_when_idle_holds_no_stack(void **state)
{
    (void)state;
    char id[16];

    for (int i = 0; i < 100; i++) {
        snprintf(id, sizeof(id), "i%d", i);
        or_ask(id, "start", "{s:s,s:l}", "name", "steps", "input", (int64_t)i);
    }
    assert_int_equal(stead_fibers_count(fx->host->fibers), 100);
    fx_step_ms(fx, fx->settings.idle_ms_max + 1000);
    fx_step_ms(fx, fx->settings.idle_ms_max + 1000);
    assert_int_equal(stead_fibers_count(fx->host->fibers), 0);
    or_do_jobs();
    or_expect_status("i42", STEAD_INSTANCE_COMPLETED);
    assert_int_equal(or_output(), 45);
    assert_int_equal(stead_fibers_count(fx->host->fibers), 0);
}

static void test_orchestrator_terminated_fan_out_cancels_every_job(void **state)
{
    (void)state;
    or_ask("i", "start", "{s:s,s:l}", "name", "fan", "input", (int64_t)3000);
    or_crash();
    uint32_t before = fx->cancels;
    or_ask("i", "terminate", "{}");
    assert_int_equal(answer->status, 0);
    or_expect_status("i", STEAD_INSTANCE_TERMINATED);
    assert_int_equal(fx->cancels - before,
                     3000); /* those of later turns, whose calls' ids lie in rows of their own, too */
    or_ask("i", "purge", "{}");
    assert_int_equal(answer->status, 0);
}

static void test_orchestrator_episode_that_is_too_large_fails_its_instance_alone(void **state)
{
    (void)state;
    or_ask("i", "run", "{s:s,s:l}", "name", "much", "input", 15ll); /* sent over several turns */
    assert_int_equal(or_told().status, STEAD_INSTANCE_COMPLETED);
    or_ask("j", "run", "{s:s,s:l}", "name", "much", "input", 40ll);
    assert_int_equal(or_told().status, STEAD_INSTANCE_FAILED);
    assert_string_equal(or_told().error_name, "limit");
    or_ask("j", "rewind", "{}");
    assert_int_equal(answer->status, STEAD_ESTATE);
}

static void test_orchestrator_request_that_cannot_be_sent_fails_its_task(void **state)
{
    (void)state;
    or_ask("i", "start", "{s:s}", "name", "large");
    or_expect_status("i", STEAD_INSTANCE_FAILED);
    assert_string_equal(or_told().error_name, "too_large");
}

static void test_orchestrator_all_who_wait_are_answered(void **state)
{
    (void)state;
    or_ask("i", "start", "{s:s,s:l}", "name", "steps", "input", 1ll);
    for (int i = 0; i < 4000; i++) {
        struct stead_message *message =
            fx_request(fx, &client, STEAD_CALL, "orchestration/i", "wait", (struct stead_slice){0}, NULL);
        stead_host_deliver(fx->host, &message);
    }
    fx_run(fx);
    assert_null(stead_queue_pop(&fx->answers));
    or_do_jobs();
    for (int i = 0; i < 4000; i++) {
        or_take_answer();
        assert_int_equal(or_told().status, STEAD_INSTANCE_COMPLETED);
    }
    or_take_answer();
    assert_null(answer);
}

/* Walks the pages; how many events there were. */
static uint64_t walk(const char *id, uint64_t limit)
{
    uint64_t last = 0;
    bool more = true;

    while (more) {
        struct stead_slice events, map, rest;
        uint32_t count = 0;
        uint64_t event = 0;
        or_ask(id, "history", "{s:u,s:u}", "after", last, "limit", limit);
        assert_int_equal(answer->status, 0);
        rest = stead_message_payload(answer);
        assert_int_equal(stead_get_bool(rest, "more", &more), 0);
        assert_int_equal(stead_get_value(rest, "events", &events), 0);
        struct stead_reader reader = stead_reader(events);
        assert_int_equal(stead_read_array(&reader, &count), 0);
        assert_true(count <= limit);
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(stead_read_value(&reader, &map), 0);
            assert_int_equal(stead_get_u64(map, "id", &event), 0);
            assert_int_equal(event, ++last);
        }
    }
    return last;
}

static void test_orchestrator_history_pages_leave_nothing_out(void **state)
{
    (void)state;
    or_ask("i", "run", "{s:s,s:l}", "name", "fan", "input", 500ll);
    or_do_jobs();
    or_ask("i", "status", "{}");
    uint64_t events = or_told().events;
    assert_int_equal(walk("i", 10000), events);
    assert_int_equal(walk("i", 256), events);
    assert_int_equal(walk("i", 7), events);
    or_ask("i", "history", "{s:u}", "limit", 0ull);
    assert_int_equal(answer->status, STEAD_EARGUMENT);
    or_ask("i", "history", "{s:u}", "after", UINT64_MAX);
    assert_int_equal(answer->status, STEAD_EARGUMENT);
}

static void test_orchestrator_history_page_inside_a_row_begins_at_that_row(void **state)
{
    (void)state;
    or_ask("i", "start", "{s:s}", "name", "widening");
    for (int i = 0; i < 300; i++)
        or_ask("i", "raise", "{s:s}", "name", "tick");
    or_ask("i", "status", "{}");
    uint64_t events = or_told().events, first = 0;
    assert_true(events > 2900);
    fx_cold_restart(fx); /* all that is stored is in the image */
    fx_set_table(fx, NULL, 1, false);
    or_expect_status("i", STEAD_INSTANCE_RUNNING);
    for (uint64_t after = events - 2003; after < events; after += 100) {
        uint64_t before = fx->rows_scanned;
        struct stead_slice page, map;
        uint32_t count = 0;
        or_ask("i", "history", "{s:u,s:u}", "after", after, "limit", 10ull);
        assert_int_equal(answer->status, 0);
        assert_int_equal(stead_get_value(stead_message_payload(answer), "events", &page), 0);
        struct stead_reader reader = stead_reader(page);
        assert_int_equal(stead_read_array(&reader, &count), 0);
        assert_int_equal(count, events - after < 10 ? events - after : 10);
        assert_int_equal(stead_read_value(&reader, &map), 0);
        assert_int_equal(stead_get_u64(map, "id", &first), 0);
        assert_int_equal(first, after + 1);
        assert_in_range(fx->rows_scanned - before, 1, 24); /* of more than 300 */
    }
    assert_int_equal(walk("i", 300), events);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_orchestrator_runs_three_activities_and_answers, or_setup, or_teardown),
        cmocka_unit_test_setup_teardown(test_orchestrator_that_awaits_nothing_answers_at_once, or_setup, or_teardown),
        cmocka_unit_test_setup_teardown(test_orchestrator_crash_after_every_step_changes_nothing, or_setup,
                                        or_teardown),
        cmocka_unit_test_setup_teardown(test_orchestrator_fan_out_of_ten_thousand, or_setup, or_teardown),
        cmocka_unit_test_setup_teardown(test_orchestrator_inputs_between_slices_take_nothing_away, or_setup,
                                        or_teardown),
        cmocka_unit_test_setup_teardown(test_orchestrator_long_history_is_replayed_in_pages, or_setup, or_teardown),
        cmocka_unit_test_setup_teardown(test_orchestrator_fan_in_does_not_read_history_again, or_setup, or_teardown),
        cmocka_unit_test_setup_teardown(test_orchestrator_values_at_the_limit_pass_through, or_setup, or_teardown),
        cmocka_unit_test_setup_teardown(test_orchestrator_unloaded_when_idle_holds_no_stack, or_setup, or_teardown),
        cmocka_unit_test_setup_teardown(test_orchestrator_terminated_fan_out_cancels_every_job, or_setup, or_teardown),
        cmocka_unit_test_setup_teardown(test_orchestrator_episode_that_is_too_large_fails_its_instance_alone, or_setup,
                                        or_teardown),
        cmocka_unit_test_setup_teardown(test_orchestrator_request_that_cannot_be_sent_fails_its_task, or_setup,
                                        or_teardown),
        cmocka_unit_test_setup_teardown(test_orchestrator_all_who_wait_are_answered, or_setup, or_teardown),
        cmocka_unit_test_setup_teardown(test_orchestrator_history_pages_leave_nothing_out, or_setup, or_teardown),
        cmocka_unit_test_setup_teardown(test_orchestrator_history_page_inside_a_row_begins_at_that_row, or_setup,
                                        or_teardown),
    };
    or_orchestrators[0] = &steps;
    or_orchestrators[1] = &fan;
    or_orchestrators[2] = &none;
    or_orchestrators[3] = &much;
    or_orchestrators[4] = &large;
    or_orchestrators[5] = &widening;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
