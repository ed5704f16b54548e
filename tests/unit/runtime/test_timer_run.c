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
static uint64_t fence; /* of `do` */

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
        assert_true(it.fx->mark.lasting); /* known as the timer: deaths from outside do not add up */
        struct stead_id id = it.fx->mark.id;
        assert_int_equal(waiting(&it), 0);
        pass(&it, 7, 10); /* and it keeps its beat */
        assert_int_equal(rung, 8);
        assert_memory_equal(it.fx->mark.id.v, id.v, sizeof(id.v)); /* by one name, whether it has waited or not */
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

static int hold_only(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_hold(turn, "nobody/x", &fence);
}

static const char *target;

static int signal_it(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state;
    return stead_signal(turn, target, "add", args);
}

static int tell_it(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state;
    return stead_tell(turn, target, "add", args);
}

/* Tells of agents have no id, and a timer that has not waited yet names none. */
static void test_run_waits_beside_a_tell(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct one it = begin(both[i], "every");
        char other[64];
        target = it.a;
        call(&it, "do");
        fx_address(other, "d", 1, 1);
        fx_do[0] = hold_only, fx_do[1] = tell_it;
        for (uint32_t round = 1; round <= 3; round++) { /* what waits may lie where a run lay before */
            for (uint32_t n = 0; n < 20; n++)
                assert_int_equal(fx_call(it.fx, &it.client, other, "do2"), 0);
            assert_int_equal(waiting(&it), 20);
            pass(&it, 5, 10);
            assert_int_equal(waiting(&it), 21);
            unlock(&it);
            assert_int_equal(rung, round);
            assert_int_equal(fx_call_i64(it.fx, &it.client, it.a, "get"), 20 * round);
            call(&it, "do");
        }
        fx_destroy(it.fx);
    }
}

/* ---- The end of a life ------------------------------------------------------------------------- */

/* A volatile agent that has ended is shown as long as it is in memory. */
static bool exists(struct one *it)
{
    struct stead_message *answer = fx_query(it->fx, &it->client, it->a, "show", (struct stead_slice){0});
    bool exists = true;

    assert_int_equal(stead_get_bool(stead_message_payload(answer), "exists", &exists), 0);
    stead_message_destroy(&answer);
    return exists && it->a[0] != 'v';
}

/* Its holder, or nobody's, ends the agent. */
static void destroy(struct one *it, bool held)
{
    struct stead_message *request =
        fx_request(it->fx, &it->client, STEAD_CALL, it->a, "destroy", (struct stead_slice){0}, NULL);

    request->groups |= held ? STEAD_GROUP_FENCE : 0;
    request->fence = fence;
    fx_deliver(it->fx, request);
    assert_int_equal(fx_answer_status(it->fx), 0);
    stead_message_destroy(&request);
}

static void lives_on(struct one *it)
{
    assert_int_equal(waiting(it), 0);
    assert_false(exists(it));
    pass(it, 5, 10);
    assert_false(exists(it));
    assert_int_equal(rung + rung_other, 0);
    setting = "every", fx_do[1] = set_and_hold; /* the next life has its own, which waits and runs */
    call(it, "do2");
    pass(it, 5, 10);
    assert_int_equal(waiting(it), 1);
    unlock(it);
    assert_int_equal(rung, 1);
}

static void test_run_that_waits_for_a_release_ends_with_its_life(void **state)
{
    static const char *const settings[] = {"every", "once"};

    (void)state;
    for (int i = 0; i < 8; i++) {
        bool cold = i >= 4;
        struct one it = begin(both[i & 1 && !cold], settings[i / 2 & 1]);
        call(&it, "do");
        pass(&it, 3, 10);
        assert_int_equal(waiting(&it), 1);
        if (cold)
            fx_cold_restart(it.fx);
        destroy(&it, true);
        lives_on(&it);
        fx_destroy(it.fx);
    }
}

static void test_run_that_was_put_back_ends_with_its_life(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct one it = begin(both[i], "every");
        call(&it, "do2");
        defers = true;
        pass(&it, 3, 10);
        assert_int_equal(waiting(&it), 1);
        defers = false;
        destroy(&it, false);
        lives_on(&it);
        fx_destroy(it.fx);
    }
}

/* What else waits goes on in the next life, in its order. */
static void test_message_that_waits_outlives_its_agent_and_the_run_beside_it(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct one it = begin(both[i], "every");
        char other[64];
        target = it.a;
        call(&it, "do");
        pass(&it, 3, 10);
        fx_do[1] = signal_it;
        assert_int_equal(fx_call(it.fx, &it.client, fx_address(other, "d", 1, 1), "do2"), 0);
        assert_int_equal(waiting(&it), 2);
        destroy(&it, true);
        assert_int_equal(rung, 0);
        assert_int_equal(waiting(&it), 0);
        assert_int_equal(fx_call_i64(it.fx, &it.client, it.a, "get"), 1);
        fx_destroy(it.fx);
    }
}

static int fail_ring(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_fail(turn, "broken", "it does not ring");
}

static void retry_letter(struct one *it)
{
    struct stead_message *list = fx_query(it->fx, &it->client, it->a, "deadletters", (struct stead_slice){0});
    struct stead_slice letters, letter;
    struct stead_writer args;
    uint64_t id;
    uint32_t count;

    assert_int_equal(stead_get_value(stead_message_payload(list), "letters", &letters), 0);
    struct stead_reader reader = stead_reader(letters);
    assert_int_equal(stead_read_array(&reader, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(stead_read_value(&reader, &letter), 0);
    assert_int_equal(stead_get_u64(letter, "id", &id), 0);
    stead_message_destroy(&list);
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:u}", "action", "retry", "id", id);
    struct stead_message *answer = fx_query(it->fx, &it->client, it->a, "deadletters", stead_written(&args));
    assert_int_equal(answer->status, 0);
    stead_message_destroy(&answer);
    stead_writer_deinit(&args);
}

/* A dead letter stays, and who has it run again means whoever lives there now. */
static void test_dead_letter_of_a_run_that_waited_runs_in_a_later_life(void **state)
{
    struct one it = begin("d", "once");

    (void)state;
    call(&it, "do");
    pass(&it, 3, 10);
    fx_do[2] = fail_ring;
    unlock(&it);
    assert_int_equal(fx_query_i64(it.fx, &it.client, it.a, "show", "dead_letters"), 1);
    destroy(&it, false);
    setting = "cancel", fx_do[0] = hold_only;
    call(&it, "do");
    fx_do[2] = ring;
    retry_letter(&it);
    assert_int_equal(waiting(&it), 1);
    unlock(&it);
    assert_int_equal(rung_other, 1);
    fx_destroy(it.fx);
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
        cmocka_unit_test(test_run_waits_beside_a_tell),
        cmocka_unit_test(test_run_that_waits_for_a_release_ends_with_its_life),
        cmocka_unit_test(test_run_that_was_put_back_ends_with_its_life),
        cmocka_unit_test(test_message_that_waits_outlives_its_agent_and_the_run_beside_it),
        cmocka_unit_test(test_dead_letter_of_a_run_that_waited_runs_in_a_later_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
