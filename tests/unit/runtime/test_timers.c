/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers and delayed signals: late after a downtime, never lost, never twice. Durable and volatile kinds alike where
 * both promise.
 */
#include "unit/runtime/host_client.h"

#include "runtime/cron.h"
#include "unit/runtime/zone_file.h"

static uint32_t fired;
static int64_t fired_ms; /* when the newest fired */
static int cancel_code;

static int note(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    fired++;
    fired_ms = stead_now_ms(turn);
    return 0;
}

static int set_after(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_timer_after(turn, "t", 1000, "do3", (struct stead_slice){0});
}

static int set_every(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_timer_every(turn, "t", 1000, "do3", (struct stead_slice){0});
}

static enum stead_catch_up catch_up;

/* Every five minutes, in so many words. */
#define EVERY_FIVE_AT_LENGTH                                                                                           \
    "0,5,10,15,20,25,30,35,40,45,50,55,0-55/5,0-55/5,0-55/5,0-55/5,0-55/5,0-55/5,0-55/5,0-55/5,0-55/5,0-55/5 "         \
    "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,0-23/1,0-23/1,0-23/1,0-23/1,0-23/1,0-23/1 "         \
    "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31 1-12/1,1-12/1,1-12/1 *"

static int set_cron(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_cron cron = {.schedule = catch_up == STEAD_CATCH_UP_ONE ? EVERY_FIVE_AT_LENGTH : "*/5 * * * *",
                              .catch_up = catch_up};

    (void)state, (void)args;
    return stead_timer_cron(turn, "t", &cron, "do3", (struct stead_slice){0});
}

static int cancel(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    cancel_code = stead_timer_cancel(turn, "t");
    return 0;
}

static struct fx *begin(fx_body *body)
{
    struct fx *fx = fx_create(1);

    fired = 0;
    fx_do[0] = body, fx_do[1] = cancel, fx_do[2] = note;
    return fx;
}

/* A client and one agent. */
struct one {
    struct fx_client client;
    char a[64]; /* the agent's address */
};

/* The same with an agent of `kind` whose `do`, which is `body`, has run. */
static struct fx *begin_one(struct one *ret_one, const char *kind, fx_body *body)
{
    struct fx *fx = begin(body);
    ret_one->client = fx_client(fx, 1);
    assert_int_equal(fx_call(fx, &ret_one->client, fx_address(ret_one->a, kind, 1, 0), "do"), 0);
    return fx;
}

static const char *const both[] = {"d", "v"};

static void test_one_shot_fires_once_at_its_time(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct one it;
        struct fx *fx = begin_one(&it, both[i], set_after);
        assert_true(fx->armed_ns <= fx->now_ns + 1000000000u); /* the host asks to be woken */
        fx_step_ms(fx, 999);
        assert_int_equal(fired, 0);
        fx_step_ms(fx, 1);
        assert_int_equal(fired, 1);
        fx_step_ms(fx, 100000);
        fx_crash(fx, true);
        fx_step_ms(fx, 100000);
        assert_int_equal(fired, 1);
        fx_destroy(fx);
    }
}

static void test_timer_set_again_is_replaced(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct one it;
        struct fx *fx = begin_one(&it, both[i], set_after);
        fx_step_ms(fx, 600);
        assert_int_equal(fx_call(fx, &it.client, it.a, "do"), 0);
        fx_step_ms(fx, 999);
        assert_int_equal(fired, 0);
        fx_step_ms(fx, 1);
        assert_int_equal(fired, 1);
        fx_destroy(fx);
    }
}

static void test_cancelled_timer_does_not_fire(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct one it;
        struct fx *fx = begin_one(&it, both[i], set_every);
        fx_step_ms(fx, 1000);
        assert_int_equal(fired, 1);
        assert_int_equal(fx_call(fx, &it.client, it.a, "do2"), 0);
        assert_int_equal(cancel_code, 0);
        assert_int_equal(fx_call(fx, &it.client, it.a, "do2"), 0);
        assert_int_equal(cancel_code, STEAD_ENOTFOUND);
        fx_step_ms(fx, 10000);
        assert_int_equal(fired, 1);
        fx_destroy(fx);
    }
}

static int set_and_cancel(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int code = set_after(turn, state, args);
    return code != 0 ? code : cancel(turn, state, args);
}

static void test_timer_cancelled_in_the_turn_that_set_it_does_not_fire(void **state)
{
    struct one it;
    struct fx *fx = begin_one(&it, "d", set_and_cancel);

    (void)state;
    assert_int_equal(cancel_code, 0);
    fx_step_ms(fx, 10000);
    assert_int_equal(fired, 0);
    fx_destroy(fx);
}

static int note_and_cancel(struct stead_turn *turn, void *state, struct stead_slice args)
{
    fired++;
    return cancel(turn, state, args);
}

static void test_periodic_timer_may_cancel_itself(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fx *fx = begin(set_every);
        struct fx_client client = fx_client(fx, 1);
        char a[64];
        fx_do[2] = note_and_cancel;
        assert_int_equal(fx_call(fx, &client, fx_address(a, both[i], 1, 0), "do"), 0);
        for (int second = 0; second < 5; second++)
            fx_step_ms(fx, 1000);
        assert_int_equal(fired, 1);
        assert_int_equal(cancel_code, 0);
        fx_destroy(fx);
    }
}

static void test_periodic_timer_keeps_its_beat_and_runs_once_for_what_it_missed(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fx *fx = begin(set_every);
        struct fx_client client = fx_client(fx, 1);
        char a[64];
        uint64_t start_ms = fx->now_ms;
        assert_int_equal(fx_call(fx, &client, fx_address(a, both[i], 1, 0), "do"), 0);
        fx_step_ms(fx, 1000);
        fx_step_ms(fx, 1300); /* a little late */
        assert_int_equal(fired, 2);
        fx_step_ms(fx, 699);
        assert_int_equal(fired, 2);
        fx_step_ms(fx, 1);
        assert_int_equal(fired, 3);
        assert_int_equal(fired_ms, start_ms + 3000);
        fx_step_ms(fx, 5500); /* missed five */
        assert_int_equal(fired, 4);
        fx_step_ms(fx, 500);
        assert_int_equal(fired, 5);
        fx_destroy(fx);
    }
}

static void test_timer_due_in_a_downtime_is_late_and_not_lost(void **state)
{
    (void)state;
    for (int cold = 0; cold < 2; cold++) {
        struct one it;
        struct fx *fx = begin_one(&it, "d", set_after);
        if (cold)
            fx_cold_restart(fx);
        fx->now_ms += 50000;
        fx->now_ns += 50000000000u;
        fx_crash(fx, true);
        fx_run(fx);
        assert_int_equal(fired, 1);
        fx_crash(fx, true);
        fx_step_ms(fx, 50000);
        assert_int_equal(fired, 1);
        fx_destroy(fx);
    }
}

static void test_timer_whose_entry_was_not_synced_fires_again(void **state)
{
    struct one it;
    struct fx *fx = begin_one(&it, "d", set_after);

    (void)state;
    fx->hold_sync = true;
    fx_step_ms(fx, 1000);
    assert_int_equal(fired, 1);
    fx->hold_sync = false;
    fx_crash(fx, true); /* takes that turn back */
    fx_run(fx);
    assert_int_equal(fired, 2);
    fx_destroy(fx);
}

static void test_cron_fires_at_its_moments_and_catches_up_as_asked(void **state)
{
    static const enum stead_catch_up policies[] = {STEAD_CATCH_UP_ONE, STEAD_CATCH_UP_ALL, STEAD_CATCH_UP_NONE};
    static const uint32_t runs[] = {1, 4, 0}; /* of the four that were missed */

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct fx *fx = begin(set_cron);
        struct fx_client client = fx_client(fx, 1);
        char a[64];
        catch_up = policies[i];
        assert_int_equal(fx_call(fx, &client, fx_address(a, "d", 1, 0), "do"), 0);
        fx_step_ms(fx, 199999); /* 16:40 -> 20:00 */
        assert_int_equal(fired, 0);
        fx_step_ms(fx, 1);
        assert_int_equal(fired, 1);
        assert_int_equal(fired_ms, 1200000);
        fx->now_ms += 4 * 300000 + 120000; /* 42:00: 25, 30, 35 and 40 were missed, the last by two minutes */
        fx->now_ns += (4 * 300000 + 120000) * 1000000ull;
        fx_crash(fx, true);
        fx_run(fx);
        assert_int_equal(fired, 1 + runs[i]);
        fx_step_ms(fx, 180000); /* 45:00 */
        assert_int_equal(fired, 2 + runs[i]);
        assert_int_equal(fired_ms, 2700000);
        fx_destroy(fx);
    }
}

static int set_wrong(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_cron nonsense = {.schedule = "61 * * * *"}, nowhere = {.schedule = "* * * * *", .zone = "No/Where"};
    char longer[STEAD_CRON_SIZE_MAX + 2];
    struct stead_cron long_winded = {.schedule = longer};
    struct stead_slice none = {0};
    char name[STEAD_TIMER_NAME_MAX + 2];

    (void)state, (void)args;
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(stead_timer_cron(turn, "t", &nonsense, "do3", none), STEAD_EARGUMENT);
    snprintf(longer, sizeof(longer), "%*s", (int)STEAD_CRON_SIZE_MAX + 1, "* * * * *");
    assert_int_equal(stead_timer_cron(turn, "t", &long_winded, "do3", none), STEAD_EARGUMENT);
    assert_int_equal(stead_timer_cron(turn, "t", &nowhere, "do3", none), STEAD_EARGUMENT);
    assert_int_equal(stead_timer_after(turn, "t", -1, "do3", none), STEAD_EARGUMENT);
    assert_int_equal(stead_timer_every(turn, "t", 0, "do3", none), STEAD_EARGUMENT);
    assert_int_equal(stead_timer_after(turn, "t", 1, "nothing", none), STEAD_EOP);
    assert_int_equal(stead_timer_after(turn, "", 1, "do3", none), STEAD_EARGUMENT);
    assert_int_equal(stead_timer_after(turn, name, 1, "do3", none), STEAD_EARGUMENT);
    name[STEAD_TIMER_NAME_MAX] = '\0';
    return stead_timer_after(turn, name, 1, "do3", none);
}

static int set_cron_of_berlin(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_cron cron = {.schedule = "*/5 * * * *", .zone = "Europe/Berlin", .catch_up = catch_up};

    (void)state, (void)args;
    return stead_timer_cron(turn, "t", &cron, "do3", (struct stead_slice){0});
}

/* The system's zones are being replaced, or the data has come to a machine without. */
static void test_cron_whose_zone_cannot_be_read_waits_for_it(void **state)
{
    static const enum stead_catch_up policies[] = {STEAD_CATCH_UP_ONE, STEAD_CATCH_UP_ALL, STEAD_CATCH_UP_NONE};
    static const uint32_t runs[] = {1, 3, 0}; /* of 20:00, 25:00 and 30:00 */
    struct zone_file file;

    (void)state;
    zone_file_open(&file, "Europe/Berlin");
    for (int i = 0; i < 3; i++) {
        struct fx *fx = begin(NULL);
        struct fx_client client = fx_client(fx, 1);
        char a[64];
        fx_do[0] = set_cron_of_berlin;
        catch_up = policies[i];
        fx->zone = file.bytes;
        assert_int_equal(fx_call(fx, &client, fx_address(a, "d", 1, 0), "do"), 0);
        fx->zone = (struct stead_slice){0};
        uint32_t errors = fx->errors;
        for (int minute = 0; minute < 14; minute++) /* 16:40 -> 30:40 */
            fx_step_ms(fx, 60000);
        assert_int_equal(fired, 0);
        assert_int_equal(fx->errors - errors, 11);
        fx_crash(fx, true);
        fx->zone = file.bytes;
        fx_step_ms(fx, 60000);
        assert_int_equal(fired, runs[i]);
        fx_step_ms(fx, 240000); /* 35:40 */
        assert_int_equal(fired, runs[i] + 1);
        fx_destroy(fx);
    }
    zone_file_close(&file);
}

static void test_wrong_timers_are_refused(void **state)
{
    struct one it;
    struct fx *fx = begin_one(&it, "d", set_wrong);

    (void)state;
    fx_step_ms(fx, 10000);
    assert_int_equal(fired, 1);
    fx_destroy(fx);
}

static int fail_note(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    fired++;
    return stead_fail(turn, "no", "no");
}

static void test_failing_timer_op_is_a_dead_letter_and_the_beat_goes_on(void **state)
{
    struct fx *fx = begin(set_every);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    fx_do[2] = fail_note;
    assert_int_equal(fx_call(fx, &client, fx_address(a, "d", 1, 0), "do"), 0);
    fx_step_ms(fx, 1000);
    fx_step_ms(fx, 1000);
    assert_int_equal(fired, 2);
    assert_int_equal(fx_query_i64(fx, &client, a, "show", "dead_letters"), 2);
    fx_destroy(fx);
}

static void test_many_timers_of_one_moment_all_fire(void **state)
{
    struct fx *fx = fx_create(2);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    fired = 0;
    fx_do[0] = set_after, fx_do[2] = note;
    for (uint32_t i = 0; i < 200; i++) { /* one slot: more than one round takes */
        snprintf(a, sizeof(a), "d/{tag}%u", i);
        fx_send(fx, &client, STEAD_CALL, a, "do");
    }
    assert_int_equal(fx->answers.count, 200);
    fx_cold_restart(fx);
    fx_step_ms(fx, 1000);
    assert_int_equal(fired, 200);
    fx_destroy(fx);
}

#define MANY 2000u

static int set_many(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int code = 0;

    (void)state, (void)args;
    for (uint32_t i = 0; code == 0 && i < MANY; i++)
        code = stead_timer_after(turn, stead_printed(turn, "t%u", i), 1000, "do3", (struct stead_slice){0});
    return code;
}

/* T4: rounds go on where the last one stopped, even inside one millisecond. */
static void test_many_timers_of_one_moment_are_each_looked_at_once(void **state)
{
    struct one it;
    struct fx *fx = begin_one(&it, "d", set_many);

    (void)state;
    fx_cold_restart(fx);
    uint64_t before = fx->rows_scanned;
    fx_step_ms(fx, 1000);
    assert_int_equal(fired, MANY);
    assert_in_range(fx->rows_scanned - before, MANY, MANY + MANY / 16);
    fx_destroy(fx);
}

/* In the middle of a round, one before all that is left. */
static int note_and_set_first(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int code = fired == MANY / 2 ? stead_timer_after(turn, "a", 0, "do3", (struct stead_slice){0}) : 0;
    return code != 0 ? code : note(turn, state, args);
}

static void test_timer_set_before_those_that_are_left_fires(void **state)
{
    struct one it;
    struct fx *fx = begin_one(&it, "d", set_many);

    (void)state;
    fx_do[2] = note_and_set_first;
    fx_step_ms(fx, 1000);
    fx_step_ms(fx, 1000);
    assert_int_equal(fired, MANY + 1);
    fx_destroy(fx);
}

/* ---- Delayed signals --------------------------------------------------------------------------------- */

static char address_later[64];

static int signal_later(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    assert_int_equal(stead_signal_after(turn, address_later, "do3", (struct stead_slice){0}, -1), STEAD_EARGUMENT);
    assert_int_equal(stead_signal_after(turn, address_later, "do3", (struct stead_slice){0}, INT64_MAX),
                     STEAD_EARGUMENT);
    return stead_signal_after(turn, address_later, "do3", (struct stead_slice){0}, 1000);
}

/* What is set after the wall clock was set back rings when it should, or a third later at most, and nothing that comes
 * is refused as expired meanwhile. */
static void test_timer_rings_and_requests_run_after_the_clock_was_set_back(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct one it;
        struct fx *fx = begin_one(&it, both[i], note);
        fx->warnings = 0;
        fx->now_ms -= 600000;
        fx_do[0] = set_after;
        fired = 0;
        struct stead_message *request =
            fx_request(fx, &it.client, STEAD_CALL, it.a, "do", (struct stead_slice){0}, NULL);
        request->deadline_ms = fx->now_ms + 1000;
        fx_deliver(fx, request);
        assert_int_equal(fx_answer_status(fx), 0);
        stead_message_destroy(&request);
        assert_int_equal(fx->warnings, 1);
        fx_step_ms(fx, 999);
        assert_int_equal(fired, 0);
        fx_step_ms(fx, 400);
        assert_int_equal(fired, 1);
        fx_step_ms(fx, 3000000); /* four times the step: it has come up */
        assert_int_equal(fx_call(fx, &it.client, it.a, "do"), 0);
        fx_step_ms(fx, 999);
        assert_int_equal(fired, 1);
        fx_step_ms(fx, 1);
        assert_int_equal(fired, 2);
        fx_destroy(fx);
    }
}

/* A read that fails passes no timer over. */
static void test_timer_that_a_failing_disk_did_not_show_fires_when_it_does(void **state)
{
    struct one it;
    struct fx *fx = begin_one(&it, "d", set_after);

    (void)state;
    fx_cold_restart(fx);
    fx->io_error = true;
    fx_step_ms(fx, 5000);
    assert_int_equal(fired, 0);
    fx->io_error = false;
    fx_step_ms(fx, 1000);
    assert_int_equal(fired, 1);
    fx_destroy(fx);
}

/* A scan of its own for each slot would read what lies behind the empty ones, again and again. */
static void test_start_walks_over_the_slots_that_have_nothing_due(void **state)
{
    struct one it;
    struct fx *fx = begin_one(&it, "d", set_after);

    (void)state;
    fx_cold_restart(fx);
    uint64_t before = fx->scans;
    fx_crash(fx, false);
    assert_int_equal(fx->scans, before);
    fx_step_ms(fx, 5000);
    assert_int_equal(fired, 1);
    fx_destroy(fx);
}

static void test_timer_that_the_walk_of_a_start_did_not_come_to_fires(void **state)
{
    struct one it;
    struct fx *fx = begin_one(&it, "d", set_after);

    (void)state;
    fx_cold_restart(fx);
    fx->fail_read = fx->reads + 1;
    fx_crash(fx, false);
    assert_true(fx->reads >= fx->fail_read); /* it was to see the timer's row */
    fx_step_ms(fx, 5000);
    assert_int_equal(fired, 1);
    fx_destroy(fx);
}

static void test_delayed_signal_of_an_agent_waits_with_its_receiver(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4; i++) { /* from durable agents, to both sorts, in this shard and another */
        struct fx *fx = fx_create(2);
        struct fx_client client = fx_client(fx, 1);
        char a[64];
        fired = 0;
        fx_do[0] = signal_later, fx_do[2] = note;
        fx_address(address_later, both[i % 2], 1 + i / 2, 1);
        assert_int_equal(fx_call(fx, &client, fx_address(a, "d", 1, 0), "do"), 0);
        fx_step_ms(fx, 500);
        fx_crash(fx, true);
        fx_step_ms(fx, 499);
        assert_int_equal(fired, 0);
        fx_step_ms(fx, 1);
        assert_int_equal(fired, 1);
        fx_crash(fx, true);
        fx_step_ms(fx, 5000);
        assert_int_equal(fired, 1);
        fx_destroy(fx);
    }
}

static void test_delay_of_more_than_a_century_is_refused(void **state)
{
    struct fx *fx = begin(NULL);
    struct fx_client client = fx_client(fx, 1);
    char a[64];
    struct stead_message *message =
        fx_request(fx, &client, STEAD_SIGNAL, fx_address(a, "d", 1, 0), "do3", (struct stead_slice){0}, NULL);

    (void)state;
    message->groups |= STEAD_GROUP_DELAY;
    message->delay_ms = UINT64_MAX; /* a client's -1: added to the clock it would be due at once */
    fx_deliver(fx, message);
    assert_int_equal(fx_answer_status(fx), STEAD_EARGUMENT);
    assert_int_equal(fired, 0);
    stead_message_destroy(&message);
    fx_destroy(fx);
}

static void test_delayed_signal_of_a_client_is_answered_when_it_is_taken(void **state)
{
    struct fx *fx = begin(NULL);
    struct fx_client client = fx_client(fx, 1);
    char a[64];
    struct stead_message *message =
        fx_request(fx, &client, STEAD_SIGNAL, fx_address(a, "d", 1, 0), "do3", (struct stead_slice){0}, NULL);

    (void)state;
    message->groups |= STEAD_GROUP_DELAY;
    message->delay_ms = 60000;
    message->deadline_ms = fx->now_ms + 1000; /* the client's patience is for the answer */
    fx_deliver(fx, message);
    assert_int_equal(fx_answer_status(fx), 0);
    fx_deliver(fx, message);
    assert_int_equal(fx_answer_status(fx), 0);
    fx_crash(fx, true);
    fx_step_ms(fx, 60000);
    assert_int_equal(fired, 1);
    assert_null(fx->answers.head);
    fx_deliver(fx, message);
    assert_int_equal(fx_answer_status(fx), 0);
    fx_step_ms(fx, 60000);
    assert_int_equal(fired, 1);
    stead_message_destroy(&message);
    fx_destroy(fx);
}

/* A moment a century ahead: the host sleeps, instead of running for ever because the sum wrapped. */
static void test_delay_of_ages_lets_the_host_sleep(void **state)
{
    static const uint64_t delays_ms[] = {100ull * 366 * 24 * 3600 * 1000, 1000000000000u}; /* the longest taken */

    (void)state;
    for (size_t i = 0; i < sizeof(delays_ms) / sizeof(delays_ms[0]); i++) {
        struct fx *fx = begin(NULL);
        struct fx_client client = fx_client(fx, 1);
        char a[64];
        struct stead_message *message =
            fx_request(fx, &client, STEAD_SIGNAL, fx_address(a, "d", 1, 0), "do3", (struct stead_slice){0}, NULL);
        message->groups |= STEAD_GROUP_DELAY;
        message->delay_ms = delays_ms[i];
        fx_deliver(fx, message);
        assert_int_equal(fx_answer_status(fx), 0);
        fx->armed_ns = UINT64_MAX;
        fx_step_ms(fx, 5000);
        assert_true(fx->armed_ns > fx->now_ns);
        assert_int_equal(fired, 0);
        stead_message_destroy(&message);
        fx_destroy(fx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_shot_fires_once_at_its_time),
        cmocka_unit_test(test_timer_set_again_is_replaced),
        cmocka_unit_test(test_cancelled_timer_does_not_fire),
        cmocka_unit_test(test_timer_cancelled_in_the_turn_that_set_it_does_not_fire),
        cmocka_unit_test(test_periodic_timer_may_cancel_itself),
        cmocka_unit_test(test_periodic_timer_keeps_its_beat_and_runs_once_for_what_it_missed),
        cmocka_unit_test(test_timer_due_in_a_downtime_is_late_and_not_lost),
        cmocka_unit_test(test_timer_whose_entry_was_not_synced_fires_again),
        cmocka_unit_test(test_cron_fires_at_its_moments_and_catches_up_as_asked),
        cmocka_unit_test(test_cron_whose_zone_cannot_be_read_waits_for_it),
        cmocka_unit_test(test_wrong_timers_are_refused),
        cmocka_unit_test(test_failing_timer_op_is_a_dead_letter_and_the_beat_goes_on),
        cmocka_unit_test(test_many_timers_of_one_moment_all_fire),
        cmocka_unit_test(test_many_timers_of_one_moment_are_each_looked_at_once),
        cmocka_unit_test(test_timer_set_before_those_that_are_left_fires),
        cmocka_unit_test(test_timer_rings_and_requests_run_after_the_clock_was_set_back),
        cmocka_unit_test(test_timer_that_a_failing_disk_did_not_show_fires_when_it_does),
        cmocka_unit_test(test_start_walks_over_the_slots_that_have_nothing_due),
        cmocka_unit_test(test_timer_that_the_walk_of_a_start_did_not_come_to_fires),
        cmocka_unit_test(test_delayed_signal_of_an_agent_waits_with_its_receiver),
        cmocka_unit_test(test_delay_of_more_than_a_century_is_refused),
        cmocka_unit_test(test_delayed_signal_of_a_client_is_answered_when_it_is_taken),
        cmocka_unit_test(test_delay_of_ages_lets_the_host_sleep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
