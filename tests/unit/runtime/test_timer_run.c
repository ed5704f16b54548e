/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs of timers that wait, because their agent is held or their op has put them back: one of each timer.
 */
#include "unit/runtime/host_client.h"

static const char *setting; /* what `do` does beside holding its agent */
static enum stead_catch_up catch_up;
static const char *const both[] = {"d", "v"};
static bool defers;
static uint32_t rung, rung_other;

static int set_timer(struct stead_turn *turn)
{
    struct stead_cron cron = {.schedule = "* * * * *", .catch_up = catch_up};
    struct stead_slice none = {0};

    if (strcmp(setting, "every") == 0)
        return stead_timer_every(turn, "t", 10, "do3", none);
    if (strcmp(setting, "cron") == 0)
        return stead_timer_cron(turn, "t", &cron, "do3", none);
    if (strcmp(setting, "once") == 0) /* the same name with other arguments */
        return stead_timer_after(turn, "t", 10, "do3", stead_packed(turn, "l", (int64_t)1));
    return stead_timer_cancel(turn, "t");
}

static int set(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return set_timer(turn);
}

static int set_and_hold(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t fence;
    int code = set(turn, state, args);
    return code != 0 ? code : stead_hold(turn, "nobody/x", &fence);
}

static int ring(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int64_t other = 0;

    (void)state;
    if (defers)
        return stead_defer(turn);
    if (stead_get_i64(args, NULL, &other) == 0)
        rung_other++;
    else
        rung++;
    return 0;
}

struct one {
    struct fx *fx;
    struct fx_client client;
    char a[64];
};

static struct one begin(const char *kind, const char *what)
{
    struct one it = {.fx = fx_create(1)};

    it.client = fx_client(it.fx, 1);
    setting = what, defers = false, rung = rung_other = 0;
    fx_do[0] = set_and_hold, fx_do[1] = set, fx_do[2] = ring;
    fx_address(it.a, kind, 1, 0);
    return it;
}

static void call(struct one *it, const char *op)
{
    assert_int_equal(fx_call(it->fx, &it->client, it->a, op), 0);
}

static void unlock(struct one *it)
{
    struct stead_message *answer = fx_query(it->fx, &it->client, it->a, "unlock", (struct stead_slice){0});

    assert_int_equal(answer->status, 0);
    stead_message_destroy(&answer);
}

/* Messages that wait, in memory and parked. */
static int64_t waiting(struct one *it)
{
    struct stead_message *answer = fx_query(it->fx, &it->client, it->a, "show", (struct stead_slice){0});
    struct stead_slice mailbox;
    int64_t in_memory, parked;

    assert_int_equal(stead_get_value(stead_message_payload(answer), "mailbox", &mailbox), 0);
    assert_int_equal(stead_get_i64(mailbox, "waiting", &in_memory), 0);
    assert_int_equal(stead_get_i64(mailbox, "parked", &parked), 0);
    stead_message_destroy(&answer);
    return in_memory + parked;
}

static void pass(struct one *it, int periods, uint64_t ms)
{
    for (int i = 0; i < periods; i++)
        fx_step_ms(it->fx, ms);
}

static void test_periods_of_a_held_agent_become_one_run(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct one it = begin(both[i], "every");
        call(&it, "do");
        pass(&it, 50, 10);
        assert_int_equal(waiting(&it), 1);
        for (int cold = 0; i == 0 && cold < 2; cold++) { /* whatever happens in between */
            if (cold)
                fx_cold_restart(it.fx);
            else
                fx_crash(it.fx, true);
            pass(&it, 50, 10);
            assert_int_equal(waiting(&it), 1);
        }
        assert_int_equal(rung, 0);
        unlock(&it);
        assert_int_equal(rung, 1);
        if (i == 0)
            assert_true(it.fx->mark.lasting); /* known as the timer: deaths from outside do not add up */
        assert_int_equal(waiting(&it), 0);
        pass(&it, 7, 10); /* and it keeps its beat */
        assert_int_equal(rung, 8);
        fx_destroy(it.fx);
    }
}

static void test_hold_after_hold_lets_one_run_wait_each_time(void **state)
{
    struct one it = begin("d", "every");

    (void)state;
    for (uint32_t round = 1; round <= 3; round++) {
        call(&it, "do"); /* sets it anew, too */
        pass(&it, 20, 10);
        assert_int_equal(waiting(&it), 1);
        unlock(&it);
        assert_int_equal(rung, round);
    }
    fx_destroy(it.fx);
}

static void test_run_that_is_put_back_is_the_only_one(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct one it = begin(both[i], "every");
        call(&it, "do2");
        defers = true;
        for (int round = 0; round < 5; round++) {
            pass(&it, 5, 10);
            assert_int_equal(waiting(&it), 1);
            call(&it, "add"); /* another turn: what was put back is tried again */
            assert_int_equal(waiting(&it), 1);
        }
        defers = false;
        call(&it, "add");
        assert_int_equal(rung, 1);
        assert_int_equal(waiting(&it), 0);
        defers = true;
        pass(&it, 5, 10);
        defers = false;
        fx_step_ms(it.fx, 10); /* nobody else has a turn: it rings, and what was put back runs behind it */
        assert_int_equal(rung, 3);
        fx_destroy(it.fx);
    }
}

/* What waits is a run of the timer as it was set; what it is set to then is another. */
static void test_timer_set_anew_while_its_run_waits_has_that_run_and_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct one it = begin(both[i], "every");
        call(&it, "do2");
        defers = true;
        fx_step_ms(it.fx, 10);
        assert_int_equal(waiting(&it), 1);
        defers = false;
        setting = "once";
        fx_do[1] = set_and_hold; /* before what was put back runs */
        call(&it, "do2");
        pass(&it, 5, 10);
        assert_int_equal(waiting(&it), 2);
        unlock(&it);
        assert_int_equal(rung, 1);
        assert_int_equal(rung_other, 1);
        pass(&it, 5, 10);
        assert_int_equal(rung + rung_other, 2);
        fx_destroy(it.fx);
    }
}

static void test_timer_cancelled_while_its_run_waits_has_that_run(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct one it = begin(both[i], "every");
        call(&it, "do2");
        defers = true;
        fx_step_ms(it.fx, 10);
        defers = false;
        setting = "cancel";
        call(&it, "do2");
        assert_int_equal(rung, 1);
        pass(&it, 5, 10);
        assert_int_equal(rung, 1);
        fx_destroy(it.fx);
    }
}

static void test_schedule_of_a_held_agent_catches_up_as_asked(void **state)
{
    static const enum stead_catch_up policies[] = {STEAD_CATCH_UP_ONE, STEAD_CATCH_UP_ALL, STEAD_CATCH_UP_NONE};
    static const uint32_t runs[] = {1, 10, 1};

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct one it = begin("d", "cron");
        catch_up = policies[i];
        call(&it, "do");
        pass(&it, 10, 60000);
        assert_int_equal(waiting(&it), 1);
        fx_crash(it.fx, true);
        unlock(&it);
        assert_int_equal(rung, 1);
        fx_step_ms(it.fx, 59999 - it.fx->now_ms % 60000); /* within a minute, and before it is due again */
        pass(&it, 1, 0);
        assert_in_range(rung, 1, runs[i]);
        fx_step_ms(it.fx, 1);
        pass(&it, 1, 60000);
        assert_int_equal(rung, runs[i] + 2); /* none is lost, none is run twice */
        fx_destroy(it.fx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_periods_of_a_held_agent_become_one_run),
        cmocka_unit_test(test_hold_after_hold_lets_one_run_wait_each_time),
        cmocka_unit_test(test_run_that_is_put_back_is_the_only_one),
        cmocka_unit_test(test_timer_set_anew_while_its_run_waits_has_that_run_and_its_own),
        cmocka_unit_test(test_timer_cancelled_while_its_run_waits_has_that_run),
        cmocka_unit_test(test_schedule_of_a_held_agent_catches_up_as_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
