/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns: all of a turn or nothing of it, its limits, events and snapshots, the end of an incarnation.
 */
#include "unit/runtime/host_client.h"

static const char *others; /* an address that ops of this file send to */

static int do_everything_and_fail(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct puppet *puppet = state;
    struct stead_call_options call = {.reply_op = "reply"};
    struct stead_token token;
    uint64_t fence;

    (void)args;
    puppet->value = 99;
    assert_int_equal(stead_kv_put(turn, stead_str("k"), stead_str("v")), 0);
    assert_int_equal(stead_signal(turn, others, "add", (struct stead_slice){0}), 0);
    assert_int_equal(stead_tell(turn, others, "add", (struct stead_slice){0}), 0);
    assert_int_equal(stead_call(turn, others, "add", (struct stead_slice){0}, &call), 0);
    assert_int_equal(stead_timer_after(turn, "t", 1000, "add", (struct stead_slice){0}), 0);
    assert_int_equal(stead_hold(turn, others, &fence), 0);
    assert_int_equal(stead_reply_later(turn, &token), 0);
    return stead_fail(turn, "no_way", "it is %d too late", 1);
}

static void test_failing_turn_leaves_nothing_but_its_answer(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], b[64], text[32];

    (void)state;
    others = fx_address(b, "d", 1, 1);
    fx_do[0] = do_everything_and_fail;
    assert_int_equal(fx_call_i64(fx, &client, fx_address(a, "d", 1, 0), "add"), 1);
    fx_send(fx, &client, STEAD_CALL, a, "do");
    struct stead_message *answer = fx_answer(fx);
    struct stead_slice error = stead_message_payload(answer);
    assert_int_equal(answer->status, STEAD_EFAILED);
    assert_int_equal(stead_get_text(error, "name", text, sizeof(text)), 0);
    assert_string_equal(text, "no_way");
    assert_int_equal(stead_get_text(error, "sentence", text, sizeof(text)), 0);
    assert_string_equal(text, "it is 1 too late");
    assert_int_equal(stead_get_text(error, "agent", text, sizeof(text)), 0);
    assert_string_equal(text, a);
    assert_int_equal(stead_get_text(error, "op", text, sizeof(text)), 0);
    assert_string_equal(text, "do");
    stead_message_destroy(&answer);

    fx_step_ms(fx, 2000);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(fx_call_i64(fx, &client, a, "get"), 1);
        assert_int_equal(fx_call_i64(fx, &client, b, "get"), 0);
        struct stead_message *shown = fx_query(fx, &client, a, "show", (struct stead_slice){0});
        struct stead_slice list;
        uint32_t count = 9;
        assert_int_equal(stead_get_value(stead_message_payload(shown), "timers", &list), 0);
        struct stead_reader reader = stead_reader(list);
        assert_int_equal(stead_read_array(&reader, &count), 0);
        assert_int_equal(count, 0);
        assert_int_equal(stead_get_value(stead_message_payload(shown), "lock", &list), STEAD_ENOTFOUND);
        stead_message_destroy(&shown);
        fx_crash(fx, true);
    }
    fx_destroy(fx);
}

static struct fx *slowed;
static uint64_t slow_ms;

static int be_slow(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state;
    (void)args;
    slowed->now_ns += slow_ms * 1000000u;
    return stead_reply(turn, (struct stead_slice){0});
}

static void test_slow_turn_is_named_and_counted(void **state)
{
    struct fx *fx = slowed = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], expected[128];

    (void)state;
    fx_do[0] = be_slow;
    fx_address(a, "v", 1, 0);
    slow_ms = 100;
    assert_int_equal(fx_call(fx, &client, a, "do"), 0);
    assert_int_equal(stead_host_stats(fx->host)->turns_slow, 0);
    assert_int_equal(fx->warnings, 0);
    slow_ms = 430;
    assert_int_equal(fx_call(fx, &client, a, "do"), 0);
    snprintf(expected, sizeof(expected), "event=turn_slow agent=%s op=do ms=430", a);
    assert_string_equal(fx->warning, expected);
    assert_int_equal(stead_host_stats(fx->host)->turns_slow, 1);
    fx_destroy(fx);
}

/* Where not every turn is timed, a round that took long tells that each must be for a while. */
static void test_slow_round_has_each_turn_timed_from_then_on(void **state)
{
    struct fx *fx = slowed = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    fx_do[0] = be_slow;
    fx_address(a, "v", 1, 0);
    slow_ms = 101;
    for (int round = 0; round < 2; round++) {
        fx->warnings = 0;
        for (int i = 0; i < 15; i++) { /* 4 of them are timed, and perhaps the sixteenth */
            struct stead_message *message = fx_request(fx, &client, STEAD_TELL, a, "do", (struct stead_slice){0}, NULL);
            stead_host_deliver(fx->host, &message);
        }
        slow_ms = round == 0 ? 30 : 101;
        fx_run(fx);
        assert_int_equal(fx->warnings, round == 0 ? 1 : 15);
        assert_int_equal(strncmp(fx->warning, "event=round_slow turns=15 ms=450", 32) == 0, round == 0);
    }
    assert_int_equal(stead_host_stats(fx->host)->turns_slow, 15);
    fx_destroy(fx);
}

static int fill_buffer(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct big_puppet *puppet = state;

    (void)args;
    stead_buffer_set(&puppet->bytes, stead_str("kept"));
    puppet->value = 5;
    return stead_reply(turn, (struct stead_slice){0});
}

static int spoil_buffer(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct big_puppet *puppet = state;

    (void)args;
    stead_buffer_set(&puppet->bytes, stead_str("spoilt"));
    puppet->value = 6;
    return stead_fail(turn, "no", "no");
}

static int expect_buffer(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct big_puppet *puppet = state;

    (void)args, (void)turn;
    return stead_slice_equal(stead_buffer_get(&puppet->bytes), stead_str("kept")) && puppet->value == 5 ? 0
                                                                                                        : STEAD_EFAILED;
}

static void test_failing_turn_of_a_state_with_buffers_gets_its_state_back(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    fx_do[0] = fill_buffer, fx_do[1] = spoil_buffer, fx_look = expect_buffer;
    assert_int_equal(fx_call(fx, &client, fx_address(a, "b", 1, 0), "do"), 0);
    assert_int_equal(fx_call(fx, &client, a, "do2"), STEAD_EFAILED);
    assert_int_equal(fx_call(fx, &client, a, "look"), 0);
    fx_crash(fx, true);
    assert_int_equal(fx_call(fx, &client, a, "look"), 0);
    fx_destroy(fx);
}

static int change_state(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)turn, (void)args;
    ((struct puppet *)state)->value = 7;
    return 0;
}

static int fill_first(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)turn, (void)args;
    stead_buffer_set(&((struct big_puppet *)state)->bytes, stead_str("kept"));
    ((struct big_puppet *)state)->value = 5;
    return 0;
}

/* As many bytes, in the same memory. */
static int change_buffer(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)turn, (void)args;
    stead_buffer_set(&((struct big_puppet *)state)->bytes, stead_str("lost"));
    return 0;
}

static int set_buffer_anew(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)turn, (void)args;
    stead_buffer_set(&((struct big_puppet *)state)->bytes, stead_str("kept"));
    return 0;
}

static int shorten_buffer(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)turn, (void)args;
    stead_buffer_set(&((struct big_puppet *)state)->bytes, stead_str("kep"));
    return 0;
}

static void test_read_only_op_that_changes_a_state_with_buffers_fails_and_changes_nothing(void **state)
{
    static const char *const kinds[] = {"b", "vb"};
    static fx_body *const changes[] = {change_state, change_buffer, shorten_buffer};
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    fx_do[0] = fill_buffer;
    for (uint32_t i = 0; i < 12; i++) {
        bool fresh = i >= 6; /* it has never run: init makes it, and that is no change */
        fx_init = fresh ? fill_first : NULL;
        fx_address(a, kinds[i % 2], 1, i);
        if (!fresh)
            assert_int_equal(fx_call(fx, &client, a, "do"), 0);
        fx_look = changes[i / 2 % 3];
        assert_int_equal(fx_call(fx, &client, a, "look"), STEAD_EREADONLY);
        fx_look = expect_buffer;
        assert_int_equal(fx_call(fx, &client, a, "look"), 0);
        fx_look = set_buffer_anew; /* to what it is */
        assert_int_equal(fx_call(fx, &client, a, "look"), 0);
    }
    fx_init = NULL;
    fx_destroy(fx);
}

static int put_key(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    (void)stead_kv_put(turn, stead_str("k"), stead_str("v")); /* the turn fails, whatever the op makes of the code */
    return 0;
}

static void test_read_only_op_that_writes_fails_and_changes_nothing(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    assert_int_equal(fx_call_i64(fx, &client, fx_address(a, "d", 1, 0), "add"), 1);
    fx_look = change_state;
    assert_int_equal(fx_call(fx, &client, a, "look"), STEAD_EREADONLY);
    fx_look = put_key;
    assert_int_equal(fx_call(fx, &client, a, "look"), STEAD_EREADONLY);
    assert_int_equal(fx_call_i64(fx, &client, a, "get"), 1);
    fx_destroy(fx);
}

static void test_read_only_op_is_not_logged(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    assert_int_equal(fx_call_i64(fx, &client, fx_address(a, "d", 1, 0), "add"), 1);
    uint64_t entries = fx_stats(fx)->entries;
    assert_int_equal(fx_call_i64(fx, &client, a, "get"), 1);
    assert_int_equal(fx_stats(fx)->entries, entries);
    fx_destroy(fx);
}

static void test_patient_op_waits_a_while_for_company(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], b[64];

    (void)state;
    assert_int_equal(fx_call_i64(fx, &client, fx_address(a, "d", 1, 0), "add"), 1);
    assert_int_equal(fx_call_i64(fx, &client, fx_address(b, "d", 1, 1), "add"), 1);
    uint64_t entries = fx_stats(fx)->entries;

    fx_send(fx, &client, STEAD_CALL, a, "add_soon");
    fx_step_ms(fx, 19);
    assert_null(fx->answers.head);
    assert_int_equal(fx_stats(fx)->entries, entries);
    fx_step_ms(fx, 1); /* nobody came */
    assert_int_equal(fx_answer_i64(fx), 2);
    assert_int_equal(fx_stats(fx)->entries, entries + 1);

    fx_send(fx, &client, STEAD_CALL, a, "add_soon"); /* another agent's turn takes it along */
    assert_null(fx->answers.head);
    fx_send(fx, &client, STEAD_CALL, b, "add");
    assert_int_equal(fx_answer_i64(fx), 3);
    assert_int_equal(fx_answer_i64(fx), 2);
    assert_int_equal(fx_stats(fx)->entries, entries + 2);
    fx_destroy(fx);
}

/* What has seen its effects does not wait with it, and the answers of both wait for the disk. */
static void test_patient_op_keeps_nobody_waiting_who_saw_it(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    fx->hold_sync = true;
    fx_send(fx, &client, STEAD_CALL, fx_address(a, "d", 1, 0), "add_soon");
    fx_send(fx, &client, STEAD_CALL, a, "get");
    assert_null(fx->answers.head);
    fx->hold_sync = false;
    fx_run(fx);
    assert_int_equal(fx_answer_i64(fx), 1);
    assert_int_equal(fx_answer_i64(fx), 1);

    fx_send(fx, &client, STEAD_CALL, a, "add_soon");
    fx_crash(fx, true); /* it was not stored and not answered: asked again, it runs again */
    assert_null(fx->answers.head);
    assert_int_equal(fx_call_i64(fx, &client, a, "get"), 1);
    fx_destroy(fx);
}

/* What depends on an entry that is under way leaves with that, though a patient op waits before it. */
static void test_answer_behind_a_patient_op_does_not_wait_for_its_batch(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], b[64];

    (void)state;
    fx->hold_sync = true;
    fx_send(fx, &client, STEAD_CALL, fx_address(b, "d", 1, 1), "add");
    fx_send(fx, &client, STEAD_CALL, fx_address(a, "d", 1, 0), "add_soon");
    fx_send(fx, &client, STEAD_CALL, b, "get");
    assert_null(fx->answers.head);
    fx->hold_sync = false;
    fx_run(fx);
    assert_int_equal(fx->answers.count, 2);
    assert_int_equal(fx_answer_i64(fx), 1);
    assert_int_equal(fx_answer_i64(fx), 1);
    fx_step_ms(fx, 20);
    assert_int_equal(fx_answer_i64(fx), 1);
    fx_destroy(fx);
}

static int init_ten(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)turn, (void)args;
    ((struct puppet *)state)->value = 10;
    return 0;
}

static int fail_init(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    ((struct puppet *)state)->value = 10;
    return stead_fail(turn, "not_yet", "later");
}

static void test_init_gives_the_first_state_once(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    fx_init = fail_init;
    assert_int_equal(fx_call(fx, &client, fx_address(a, "d", 1, 0), "add"), STEAD_EFAILED);
    fx_init = init_ten;
    assert_int_equal(fx_call_i64(fx, &client, a, "add"), 11);
    assert_int_equal(fx_call_i64(fx, &client, a, "add"), 12);
    fx_crash(fx, true);
    assert_int_equal(fx_call_i64(fx, &client, a, "add"), 13);
    fx_destroy(fx);
}

/* What init makes is no change, what the op makes is one. */
static void test_read_only_op_of_an_agent_that_never_ran_may_not_change_it(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    fx_init = init_ten;
    assert_int_equal(fx_call(fx, &client, fx_address(a, "d", 1, 0), "look"), 0);
    fx_look = change_state;
    assert_int_equal(fx_call(fx, &client, fx_address(a, "d", 1, 1), "look"), STEAD_EREADONLY);
    assert_int_equal(fx_call_i64(fx, &client, a, "get"), 10);
    fx_destroy(fx);
}

/* ---- Limits --------------------------------------------------------------------------------------- */

static uint32_t count_of_tells;
static uint32_t bytes_of_reply;

static int tell_many(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    for (uint32_t i = 0; i < count_of_tells; i++)
        (void)stead_tell(turn, others, "add", (struct stead_slice){0});
    return 0;
}

static int reply_bytes(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint8_t *bytes = stead_turn_alloc(turn, bytes_of_reply);

    (void)state, (void)args;
    bytes[0] = 0xc4; /* bin 8 */
    bytes[1] = (uint8_t)(bytes_of_reply - 2);
    return stead_reply(turn, stead_bytes(bytes, bytes_of_reply));
}

static int set_image(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)turn;
    stead_buffer_set(&((struct big_puppet *)state)->bytes, args);
    return 0;
}

static void test_turn_with_one_effect_too_many_fails_whole(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], b[64];

    (void)state;
    fx->settings.turn_effects_max = 5;
    fx_crash(fx, false);
    others = fx_address(b, "d", 1, 1);
    fx_do[0] = tell_many;
    count_of_tells = 6;
    assert_int_equal(fx_call(fx, &client, fx_address(a, "d", 1, 0), "do"), STEAD_ELIMIT);
    assert_int_equal(fx_call_i64(fx, &client, b, "get"), 0);
    count_of_tells = 5;
    assert_int_equal(fx_call(fx, &client, a, "do"), 0);
    assert_int_equal(fx_call_i64(fx, &client, b, "get"), 5);
    fx_destroy(fx);
}

static void test_reply_and_image_are_limited_at_the_edge(void **state)
{
    struct fx *fx = fx_create(1);
    uint8_t zeros[200] = {0};
    char a[64], b[64];

    (void)state;
    fx->settings.payload_bytes_max = 200;
    fx->settings.image_bytes_max = 100;
    fx_crash(fx, false);
    struct fx_client client = fx_client(fx, 1);
    fx_do[0] = reply_bytes;
    bytes_of_reply = 201;
    assert_int_equal(fx_call(fx, &client, fx_address(a, "d", 1, 0), "do"), STEAD_ETOOLARGE);
    bytes_of_reply = 200;
    assert_int_equal(fx_call(fx, &client, a, "do"), 0);

    fx_do[0] = set_image;
    fx_address(b, "b", 1, 0);
    int last = 0;
    for (uint32_t size = 60; size < 120; size++) { /* the image is the buffer and a few bytes */
        struct stead_message *message = fx_request(fx, &client, STEAD_CALL, b, "do", stead_bytes(zeros, size), NULL);
        stead_host_deliver(fx->host, &message);
        fx_run(fx);
        int status = fx_answer_status(fx);
        assert_true(status == last || (last == 0 && status == STEAD_ETOOLARGE));
        last = status;
    }
    assert_int_equal(last, STEAD_ETOOLARGE);
    fx_destroy(fx);
}

static uint32_t depth_of_value;

static int send_nested(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint8_t *bytes = stead_turn_alloc(turn, depth_of_value + 1);

    (void)state, (void)args;
    memset(bytes, 0x91, depth_of_value); /* arrays of one */
    bytes[depth_of_value] = 0xc0;
    int code = stead_tell(turn, others, "add", stead_bytes(bytes, depth_of_value + 1));
    return code != 0 ? code : stead_reply(turn, stead_bytes(bytes, depth_of_value + 1));
}

static void test_value_nested_too_deep_is_not_sent(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], b[64];

    (void)state;
    others = fx_address(b, "d", 1, 1);
    fx_do[0] = send_nested;
    depth_of_value = STEAD_NESTING_MAX + 1;
    assert_int_equal(fx_call(fx, &client, fx_address(a, "d", 1, 0), "do"), STEAD_EARGUMENT);
    depth_of_value = STEAD_NESTING_MAX;
    assert_int_equal(fx_call(fx, &client, a, "do"), 0);
    fx_destroy(fx);
}

/* ---- Events ----------------------------------------------------------------------------------------- */

static int emit_one(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    int code = stead_emit(turn, "added", stead_packed(turn, "l", (int64_t)1));
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "l", ((struct puppet *)state)->value));
}

static int emit_and_fail(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    int code = stead_emit(turn, "added", stead_packed(turn, "l", (int64_t)100));
    return code != 0 ? code : stead_fail(turn, "no", "no");
}

static int emit_unknown(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    (void)!stead_emit(turn, "never", (struct stead_slice){0});
    return 0;
}

static void test_events_rebuild_the_state_around_each_snapshot(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    fx_do[0] = emit_one, fx_do[1] = emit_and_fail, fx_do[2] = emit_unknown;
    fx_address(a, "e", 1, 0);
    for (int64_t i = 1; i <= 11; i++) {
        assert_int_equal(fx_call_i64(fx, &client, a, "do"), i);
        assert_int_equal(fx_call(fx, &client, a, "do2"), STEAD_EFAILED);
        assert_int_equal(fx_call(fx, &client, a, "do3"), STEAD_EFAILED);
        if (i % 2 == 0)
            fx_crash(fx, true);
        else
            fx_cold_restart(fx);
        fx_forget_outputs(fx);
        assert_int_equal(fx_call_i64(fx, &client, a, "get"), i);
        assert_true(fx_query_i64(fx, &client, a, "show", "events_since_snapshot") < 4);
    }
    fx_destroy(fx);
}

static void test_state_made_by_init_in_a_read_only_turn_is_under_the_first_events(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    fx_init = init_ten, fx_do[0] = emit_one;
    assert_int_equal(fx_call_i64(fx, &client, fx_address(a, "e", 1, 0), "get"), 10);
    assert_int_equal(fx_call_i64(fx, &client, a, "do"), 11);
    fx_crash(fx, true);
    assert_int_equal(fx_call_i64(fx, &client, a, "get"), 11);
    fx_destroy(fx);
}

static void test_state_changed_beside_its_events_is_stored_too(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    fx_do[0] = emit_one;
    assert_int_equal(fx_call_i64(fx, &client, fx_address(a, "e", 1, 0), "do"), 1);
    assert_int_equal(fx_call_i64(fx, &client, a, "add"), 2); /* changes the state without an event */
    assert_int_equal(fx_call_i64(fx, &client, a, "do"), 3);
    fx_crash(fx, true);
    assert_int_equal(fx_call_i64(fx, &client, a, "get"), 3);
    fx_destroy(fx);
}

static int fail_at_once(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_fail(turn, "no", "no");
}

static int hold_for_another(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t fence;

    (void)state, (void)args;
    return stead_hold(turn, "d/holder", &fence);
}

/* What a version of the kind without events has stored is under the first events of the next version; also when the
 * agent's row is written for another reason than its state: a failed turn, mail. */
static void test_state_of_a_kind_that_gets_events_is_under_the_first_of_them(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    struct stead_registry *with_events = fx->registry, *without = stead_registry_create();
    struct stead_kind plain = fx_kind_e;
    char a[64], b[64];

    (void)state;
    plain.apply = NULL;
    assert_int_equal(stead_registry_add(without, &plain, NULL), 0);
    fx_do[0] = emit_one, fx_do[1] = fail_at_once, fx_do[2] = hold_for_another;
    fx->registry = without;
    fx_crash(fx, true);
    assert_int_equal(fx_call_i64(fx, &client, fx_address(a, "e", 1, 0), "add"), 1);
    assert_int_equal(fx_call_i64(fx, &client, fx_address(b, "e", 1, 1), "add"), 1);
    fx->registry = with_events;
    fx_crash(fx, true);
    assert_int_equal(fx_call_i64(fx, &client, a, "do"), 2);
    assert_int_equal(fx_call(fx, &client, b, "do2"), STEAD_EFAILED);
    assert_int_equal(fx_call(fx, &client, b, "do3"), 0);
    fx_crash(fx, true);
    assert_int_equal(fx_query_i64(fx, &client, a, "show", "events_since_snapshot"), 0);
    assert_int_equal(fx_call_i64(fx, &client, a, "get"), 2);
    assert_int_equal(fx_call_i64(fx, &client, a, "do"), 3);
    fx_cold_restart(fx);
    assert_int_equal(fx_call_i64(fx, &client, a, "get"), 3);
    stead_registry_destroy(&without);
    fx_destroy(fx);
}

/* ---- Destroy ------------------------------------------------------------------------------------------ */

static int set_up_life(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_call_options call = {.reply_op = "add", .timeout_ms = 60000};

    (void)args;
    ((struct puppet *)state)->value = 3;
    assert_int_equal(stead_timer_after(turn, "t", 1000, "add", (struct stead_slice){0}), 0);
    assert_int_equal(stead_kv_put(turn, stead_str("k"), stead_str("v")), 0);
    return stead_call(turn, others, "do2", (struct stead_slice){0}, &call);
}

static int reply_incarnation(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_slice value;

    (void)state, (void)args;
    assert_int_equal(stead_kv_get(turn, stead_str("k"), &value), STEAD_ENOTFOUND);
    return stead_reply(turn, stead_packed(turn, "u", stead_incarnation(turn)));
}

static void test_destroyed_agent_starts_anew_and_nothing_old_reaches_it(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], b[64];

    (void)state;
    fx_do[0] = set_up_life, fx_do[1] = fx_keep_token, fx_do[2] = fx_use_token, fx_look = reply_incarnation;
    others = fx_address(b, "d", 1, 1);
    assert_int_equal(fx_call(fx, &client, fx_address(a, "d", 1, 0), "do"), 0);
    struct stead_message *later = fx_request(fx, &client, STEAD_SIGNAL, a, "add", (struct stead_slice){0}, NULL);
    later->groups |= STEAD_GROUP_DELAY;
    later->delay_ms = 1000;
    stead_host_deliver(fx->host, &later);
    fx_run(fx);
    assert_int_equal(fx_answer_status(fx), 0);
    assert_int_equal(fx_query_i64(fx, &client, a, "show", "delayed"), 1);

    assert_int_equal(fx_call(fx, &client, a, "destroy"), 0);
    assert_int_equal(fx_call(fx, &client, b, "do3"), 0); /* the answer to a call of the first life */
    fx_step_ms(fx, 61000);                               /* its timer, its delayed signal, its call's deadline */
    for (int round = 0; round < 2; round++) {
        assert_int_equal(fx_call_i64(fx, &client, a, "get"), 0);
        assert_int_equal(fx_call_i64(fx, &client, a, "look"), 2);
        assert_int_equal(fx_query_i64(fx, &client, a, "show", "delayed"), 0);
        fx_crash(fx, true);
        fx_step_ms(fx, 1000);
    }
    assert_int_equal(fx_call_i64(fx, &client, a, "add"), 1);
    fx_destroy(fx);
}

static uint32_t rows_of_class(const struct fx *fx, enum stead_row_class row_class)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < fx->row_count; i++)
        count += fx->rows[i].key[2] == (uint8_t)row_class;
    return count;
}

static void test_destroyed_agent_leaves_no_rows_but_its_number(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], b[64];

    (void)state;
    fx_do[0] = set_up_life, fx_do[1] = fx_keep_token;
    others = fx_address(b, "d", 1, 1);
    for (int cold = 0; cold < 2; cold++) {
        fx_address(a, "d", 1, 2 + (uint32_t)cold);
        struct stead_message *later = fx_request(fx, &client, STEAD_SIGNAL, a, "add", (struct stead_slice){0}, NULL);
        later->groups |= STEAD_GROUP_DELAY;
        later->delay_ms = 1000000;
        stead_host_deliver(fx->host, &later);
        fx_run(fx);
        if (cold) { /* an agent that knows of no parts: its delayed signal came from outside */
            fx_cold_restart(fx);
            fx_forget_outputs(fx);
            assert_int_equal(fx_call(fx, &client, a, "destroy"), 0);
        } else {
            assert_int_equal(fx_answer_status(fx), 0);
            assert_int_equal(fx_call(fx, &client, a, "do"), 0);
            assert_int_equal(fx_call(fx, &client, a, "destroy"), 0);
            assert_int_equal(fx_call(fx, &client, b, "destroy"), 0); /* answers what it owes to the dead */
        }
    }
    fx_cold_restart(fx);
    assert_int_equal(rows_of_class(fx, STEAD_ROW_TIMER_DUE), 0);
    assert_int_equal(rows_of_class(fx, STEAD_ROW_PART), 0);
    assert_int_equal(rows_of_class(fx, STEAD_ROW_OUTBOX), 0);
    assert_int_equal(rows_of_class(fx, STEAD_ROW_AGENT), 3);
    fx_destroy(fx);
}

static int signal_and_destroy(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    assert_int_equal(stead_signal(turn, others, "add", (struct stead_slice){0}), 0);
    return stead_destroy(turn);
}

static void test_messages_of_the_destroying_turn_still_go(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], b[64];

    (void)state;
    others = fx_address(b, "d", 1, 1);
    fx_do[0] = signal_and_destroy;
    assert_int_equal(fx_call(fx, &client, fx_address(a, "d", 1, 0), "do"), 0);
    assert_int_equal(fx_call_i64(fx, &client, b, "get"), 1);
    fx_destroy(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failing_turn_leaves_nothing_but_its_answer),
        cmocka_unit_test(test_failing_turn_of_a_state_with_buffers_gets_its_state_back),
        cmocka_unit_test(test_read_only_op_that_writes_fails_and_changes_nothing),
        cmocka_unit_test(test_read_only_op_that_changes_a_state_with_buffers_fails_and_changes_nothing),
        cmocka_unit_test(test_read_only_op_is_not_logged),
        cmocka_unit_test(test_read_only_op_of_an_agent_that_never_ran_may_not_change_it),
        cmocka_unit_test(test_patient_op_waits_a_while_for_company),
        cmocka_unit_test(test_patient_op_keeps_nobody_waiting_who_saw_it),
        cmocka_unit_test(test_answer_behind_a_patient_op_does_not_wait_for_its_batch),
        cmocka_unit_test(test_init_gives_the_first_state_once),
        cmocka_unit_test(test_turn_with_one_effect_too_many_fails_whole),
        cmocka_unit_test(test_reply_and_image_are_limited_at_the_edge),
        cmocka_unit_test(test_value_nested_too_deep_is_not_sent),
        cmocka_unit_test(test_events_rebuild_the_state_around_each_snapshot),
        cmocka_unit_test(test_state_made_by_init_in_a_read_only_turn_is_under_the_first_events),
        cmocka_unit_test(test_state_changed_beside_its_events_is_stored_too),
        cmocka_unit_test(test_state_of_a_kind_that_gets_events_is_under_the_first_of_them),
        cmocka_unit_test(test_destroyed_agent_starts_anew_and_nothing_old_reaches_it),
        cmocka_unit_test(test_destroyed_agent_leaves_no_rows_but_its_number),
        cmocka_unit_test(test_messages_of_the_destroying_turn_still_go),
        cmocka_unit_test(test_slow_turn_is_named_and_counted),
        cmocka_unit_test(test_slow_round_has_each_turn_timed_from_then_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
