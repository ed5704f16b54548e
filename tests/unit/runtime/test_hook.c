/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code of a kind that ends the process where no message is to blame: in its hooks, and in timers that ring again.
 */
#include "unit/runtime/host_client.h"

static struct fx *seen_by; /* whose marks the hooks look at */
static char hooks[256];    /* "op address," of each */
static struct stead_turn_mark newest;
static uint32_t rung;

static void look_at_mark(void)
{
    size_t at = strlen(hooks);

    assert_true(seen_by->marked);
    assert_true(seen_by->mark.lasting);
    newest = seen_by->mark;
    snprintf(hooks + at, sizeof(hooks) - at, "%s %.*s,", seen_by->mark_op, (int)newest.address.size,
             (const char *)newest.address.data);
}

struct one {
    struct fx *fx;
    struct fx_client client;
    char a[64], b[64]; /* two agents */
};

static struct one begin(const char *kind)
{
    struct one it = {.fx = fx_create(1)};

    it.client = fx_client(it.fx, 1);
    fx_address(it.a, kind, 1, 0), fx_address(it.b, kind, 1, 1);
    hooks[0] = '\0', rung = 0;
    seen_by = it.fx;
    fx_hook = look_at_mark;
    fx_do[0] = fx_do[1] = fx_do[2] = NULL;
    return it;
}

static void end(struct one *it)
{
    fx_destroy(it->fx);
    fx_hook = NULL;
}

static void call(struct one *it, const char *address, const char *op)
{
    assert_int_equal(fx_call(it->fx, &it->client, address, op), 0);
}

/* Everything that is stored, in a life that knows of so many deaths of what `newest` marks. */
static void begin_life(struct one *it, uint32_t kills)
{
    struct stead_turn_mark mark = newest;

    fx_cold_restart(it->fx);
    hooks[0] = '\0';
    if (kills > 0)
        stead_host_suspect(it->fx->host, mark.id, kills);
}

static void expect_hooks(const char *format, const char *address)
{
    char text[256];

    snprintf(text, sizeof(text), format, address, address);
    assert_string_equal(hooks, text);
}

static int emit(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_emit(turn, "added", stead_packed(turn, "l", (int64_t)1));
}

static void test_hooks_run_under_the_mark_of_their_agent(void **state)
{
    struct one it = begin("d");

    (void)state;
    call(&it, it.a, "add");
    begin_life(&it, 0);
    assert_false(it.fx->marked);
    call(&it, it.a, "get");
    expect_hooks("on_load %s,", it.a);
    assert_false(it.fx->mark.lasting); /* the turn's */
    assert_int_equal(fx_call(it.fx, &it.client, it.a, "destroy"), 0);
    expect_hooks("on_load %s,on_unload %s,", it.a);
    end(&it);
}

static void test_stored_events_are_applied_under_the_mark_of_the_load(void **state)
{
    struct one it = begin("e");

    (void)state;
    fx_do[0] = emit;
    fx_hook = NULL; /* in its turn it is the turn's */
    call(&it, it.a, "do");
    call(&it, it.a, "do");
    fx_hook = look_at_mark;
    begin_life(&it, 0);
    call(&it, it.a, "get");
    assert_non_null(strstr(hooks, "apply "));
    struct stead_id load = newest.id;
    begin_life(&it, 0);
    call(&it, it.a, "get");
    assert_true(stead_id_equal(load, newest.id)); /* of on_load, which is the last: one id for both, in each life */
    begin_life(&it, 3);
    assert_int_equal(fx_call(it.fx, &it.client, it.a, "get"), STEAD_ECORRUPT);
    assert_string_equal(hooks, "");
    stead_queue_clear(&it.fx->answers);
    (void)fx_query_i64(it.fx, &it.client, it.a, "show", "incarnation");
    assert_string_equal(hooks, ""); /* nor to show what they make */
    end(&it);
}

static int ring(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)turn, (void)state, (void)args;
    rung++;
    return 0;
}

static int set_once(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state;
    return stead_timer_after(turn, "t", 1000, "do3", args);
}

static int set_every(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_timer_every(turn, "t", 1000, "do3", (struct stead_slice){0});
}

static void test_agent_whose_load_ends_the_process_is_not_loaded_in_that_life(void **state)
{
    struct one it = begin("d");

    (void)state;
    fx_do[0] = set_once, fx_do[2] = ring;
    call(&it, it.a, "do");
    call(&it, it.b, "do");
    begin_life(&it, 0);
    call(&it, it.a, "get");
    assert_non_null(strstr(hooks, "on_load"));
    struct stead_id load = newest.id;
    for (uint32_t kills = 2; kills <= 3; kills++) {
        newest.id = load;
        begin_life(&it, kills);
        fx_send(it.fx, &it.client, STEAD_CALL, it.a, "get");
        struct stead_message *answer = fx_answer(it.fx);
        assert_int_equal(answer->status, kills < 3 ? 0 : STEAD_ECORRUPT);
        if (kills == 3) {
            char sentence[200];
            assert_int_equal(stead_get_text(stead_message_payload(answer), "sentence", sentence, sizeof(sentence)), 0);
            assert_string_equal(sentence, "its load (on_load) has ended the process 3 times");
        }
        stead_message_destroy(&answer);
    }
    fx_step_ms(it.fx, 5000); /* its timer waits, another's does not */
    assert_int_equal(rung, 1);
    fx_step_ms(it.fx, 120000);
    assert_int_equal(rung, 1);
    call(&it, it.b, "get");
    begin_life(&it, 0);
    fx_step_ms(it.fx, 1000);
    assert_int_equal(rung, 2);
    call(&it, it.a, "get");
    end(&it);
}

static void test_unload_that_ends_the_process_is_left_out(void **state)
{
    struct one it = begin("d");

    (void)state;
    call(&it, it.a, "add");
    fx_cold_restart(it.fx);
    expect_hooks("on_unload %s,", it.a);
    struct stead_id unload = newest.id;
    for (uint32_t kills = 2; kills <= 3; kills++) {
        stead_host_suspect(it.fx->host, unload, kills);
        assert_int_equal(fx_call_i64(it.fx, &it.client, it.a, "get"), 1); /* it can be loaded, though */
        hooks[0] = '\0';
        fx_cold_restart(it.fx);
        expect_hooks(kills < 3 ? "on_unload %s," : "", it.a);
        assert_int_equal(it.fx->warnings, kills == 3);
    }
    end(&it);
}

static void test_timer_that_ends_the_process_whenever_it_rings_is_set_aside_once(void **state)
{
    struct one it = begin("d");
    struct stead_id id = {{0}};

    (void)state;
    fx_hook = NULL;
    fx_do[0] = set_every, fx_do[2] = ring;
    call(&it, it.a, "do");
    for (uint32_t i = 0; i < 3; i++) { /* the same whenever it rings */
        fx_step_ms(it.fx, 1000);
        assert_string_equal(it.fx->mark_op, i == 0 ? "do3" : ""); /* the text is that of before */
        assert_true(it.fx->mark.lasting);
        assert_true(i == 0 || stead_id_equal(id, it.fx->mark.id));
        id = it.fx->mark.id;
    }
    assert_int_equal(rung, 3);
    newest = it.fx->mark;
    begin_life(&it, 3);
    for (uint32_t i = 0; i < 5; i++)
        fx_step_ms(it.fx, 1000);
    assert_int_equal(rung, 3);
    assert_int_equal(it.fx->warnings, 1);
    assert_int_equal(fx_query_i64(it.fx, &it.client, it.a, "show", "dead_letters"), 1);
    begin_life(&it, 0); /* its code is mended, perhaps */
    fx_step_ms(it.fx, 1000);
    assert_int_equal(rung, 4);
    begin_life(&it, 2);
    fx_step_ms(it.fx, 1000);
    assert_int_equal(rung, 5);
    end(&it);
}

static void test_volatile_timer_that_ends_the_process_rings_no_more(void **state)
{
    struct one it = begin("v");

    (void)state;
    fx_hook = NULL;
    fx_do[0] = set_every, fx_do[1] = set_once, fx_do[2] = ring;
    for (int once = 0; once < 2; once++) {
        rung = 0;
        call(&it, it.a, once ? "do2" : "do");
        fx_step_ms(it.fx, 1000);
        assert_int_equal(rung, 1);
        newest = it.fx->mark;
        begin_life(&it, 3);
        for (int i = 0; i < 5; i++) { /* in vain, however often it is set */
            call(&it, it.a, once ? "do2" : "do");
            fx_step_ms(it.fx, 1000);
        }
        assert_int_equal(rung, 1);
        assert_int_equal(it.fx->warnings, once + 1);
        begin_life(&it, 0);
    }
    end(&it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hooks_run_under_the_mark_of_their_agent),
        cmocka_unit_test(test_stored_events_are_applied_under_the_mark_of_the_load),
        cmocka_unit_test(test_agent_whose_load_ends_the_process_is_not_loaded_in_that_life),
        cmocka_unit_test(test_unload_that_ends_the_process_is_left_out),
        cmocka_unit_test(test_timer_that_ends_the_process_whenever_it_rings_is_set_aside_once),
        cmocka_unit_test(test_volatile_timer_that_ends_the_process_rings_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
