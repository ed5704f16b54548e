/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host: nothing leaves before its entry is on disk, what was acknowledged survives, memory is bounded, agents come
 * and go.
 */
#include "runtime/shard.h"
#include "unit/runtime/host_client.h"

static const char *others;

static int tell_others(struct stead_turn *turn, void *state, struct stead_slice args)
{
    ((struct puppet *)state)->value++;
    (void)args;
    return stead_tell(turn, others, "add", (struct stead_slice){0});
}

static void send_class(struct fx *fx, struct fx_client *client, const char *address, const char *op,
                       enum stead_class durability)
{
    struct stead_message *message = fx_request(fx, client, STEAD_CALL, address, op, (struct stead_slice){0}, NULL);

    message->durability = (uint8_t)durability;
    stead_host_deliver(fx->host, &message);
    fx_run(fx);
}

/* The next answer: its value and the class it reached. */
static int64_t answer_of_class(struct fx *fx, enum stead_class *ret_class)
{
    assert_non_null(fx->answers.head);
    *ret_class = (enum stead_class)fx->answers.head->durability;
    return fx_answer_i64(fx);
}

static void test_answer_waits_for_the_disk_unless_asked_not_to(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    enum stead_class reached;
    char a[64], v[64];

    (void)state;
    fx->hold_sync = true;
    send_class(fx, &client, fx_address(a, "d", 1, 0), "add", STEAD_CLASS_DURABLE);
    assert_null(fx->answers.head);
    send_class(fx, &client, a, "add", STEAD_CLASS_VOLATILE);
    assert_int_equal(answer_of_class(fx, &reached), 2);
    assert_int_equal(reached, STEAD_CLASS_VOLATILE);
    send_class(fx, &client, fx_address(v, "v", 1, 0), "add", STEAD_CLASS_DURABLE); /* the kind is the ceiling */
    assert_int_equal(answer_of_class(fx, &reached), 1);
    assert_int_equal(reached, STEAD_CLASS_VOLATILE);
    fx->hold_sync = false;
    fx_run(fx);
    assert_int_equal(answer_of_class(fx, &reached), 1);
    assert_int_equal(reached, STEAD_CLASS_DURABLE);
    fx_destroy(fx);
}

static void test_read_waits_until_what_it_saw_is_on_disk(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    fx_address(a, "d", 1, 0);
    fx->hold_sync = true;
    fx_send(fx, &client, STEAD_CALL, a, "add");
    fx_send(fx, &client, STEAD_CALL, a, "get");
    struct stead_message *show = fx_request(fx, &client, STEAD_QUERY, a, "show", (struct stead_slice){0}, NULL);
    fx_deliver(fx, show);
    struct stead_message *failing =
        fx_request(fx, &client, STEAD_CALL, a, "add", stead_bytes("\xa1x", 2), NULL); /* an error is an output too */
    fx_deliver(fx, failing);
    assert_null(fx->answers.head);
    fx->hold_sync = false;
    fx_run(fx);
    assert_int_equal(fx->answers.count, 4);
    stead_message_destroy(&show);
    stead_message_destroy(&failing);
    fx_destroy(fx);
}

static void test_turn_mark_has_its_texts_again_when_agent_or_op_changes(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], b[64];

    (void)state;
    fx_address(a, "d", 1, 0);
    fx_address(b, "d", 1, 1);
    (void)fx_call(fx, &client, a, "add");
    assert_false(fx->mark.same_text);
    (void)fx_call(fx, &client, a, "add");
    assert_true(fx->mark.same_text);
    (void)fx_call(fx, &client, a, "get");
    assert_false(fx->mark.same_text);
    (void)fx_call(fx, &client, b, "get");
    assert_false(fx->mark.same_text);
    fx_destroy(fx);
}

/* Another agent may come to lie where the marked one lay: it must not pass for it. The allocator decides whether one
 * does, so many are tried; under a sanitizer, which keeps freed blocks back, none. */
static void test_turn_mark_of_an_agent_in_the_place_of_a_freed_one_has_its_texts(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];
    uint32_t tries = 0, in_place = 0;

    (void)state;
    fx->settings.idle_ms_max = 1;
    fx_crash(fx, false);
    for (; tries < 64 && in_place < 4; tries++) {
        (void)fx_call(fx, &client, fx_address(a, "d", 1, tries), "get");
        const void *block = fx->host->marked_agent;
        assert_non_null(block);
        fx_step_ms(fx, 5000); /* idle: it is unloaded */
        assert_int_equal(fx_stats(fx)->agents_resident, 0);
        (void)fx_call(fx, &client, fx_address(a, "d", 1, 100 + tries), "get");
        in_place += fx->host->marked_agent == block;
        assert_false(fx->mark.same_text);
        fx_step_ms(fx, 5000);
    }
    fx_destroy(fx);
    if (in_place == 0) {
        print_message("the allocator put no agent where another one had been: this proves nothing here\n");
        skip();
    }
}

/* Tells its argument, a payload of 1 KiB each, `flood` times to an agent that is not in memory: no mailbox counts
 * them. */
static uint32_t flood;
static int tell_flood(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint8_t bytes[1024] = {0};

    (void)state, (void)args;
    for (uint32_t i = 0; i < flood; i++)
        assert_int_equal(stead_tell(turn, others, "add", stead_packed(turn, "B", stead_bytes(bytes, sizeof(bytes)))),
                         0);
    return 0;
}

static void test_flood_of_tells_is_bounded_in_bytes(void **state)
{
    struct fx *fx = fx_create(1);
    char a[64], b[64];

    (void)state;
    fx->settings.memory_bytes_max = 1u << 20; /* an eighth of it for the queue between the agents of the one shard */
    fx_crash(fx, false);
    struct fx_client client = fx_client(fx, 1);
    others = fx_address(b, "v", 1, 1);
    fx_do[0] = tell_flood;
    flood = 1000;
    (void)fx_call(fx, &client, fx_address(a, "v", 1, 0), "do");
    assert_in_range(fx_stats(fx)->tells_dropped, 800, 950);
    fx_destroy(fx);
}

static void test_tell_of_a_durable_agent_leaves_after_its_commit(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], b[64];

    (void)state;
    fx_set_table(fx, NULL, 1, true);
    others = fx_address(b, "d", 2, 0);
    fx_do[0] = tell_others;
    fx->hold_sync = true;
    fx_send(fx, &client, STEAD_CALL, fx_address(a, "d", 1, 0), "do");
    assert_int_equal(fx->sends.count, 0);
    fx->hold_sync = false;
    fx_run(fx);
    assert_int_equal(fx->sends.count, 1);
    assert_int_equal(fx->sends.head->type, STEAD_TELL);
    fx_destroy(fx);
}

static void test_volatile_agent_that_saw_an_uncommitted_tell_waits_too(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], v[64];

    (void)state;
    others = fx_address(v, "v", 1, 1);
    fx_do[0] = tell_others;
    fx->hold_sync = true;
    fx_send(fx, &client, STEAD_CALL, fx_address(a, "d", 1, 0), "do");
    fx_send(fx, &client, STEAD_CALL, v, "get");
    assert_null(fx->answers.head); /* it could tell of what a crash takes back */
    fx->hold_sync = false;
    fx_run(fx);
    assert_int_equal(fx->answers.count, 2);
    fx_destroy(fx);
}

static void test_crash_takes_back_only_what_nobody_was_told_of(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    assert_int_equal(fx_call_i64(fx, &client, fx_address(a, "d", 1, 0), "add"), 1);
    fx->hold_sync = true;
    struct stead_message *lost = fx_request(fx, &client, STEAD_CALL, a, "add", (struct stead_slice){0}, NULL);
    fx_deliver(fx, lost);
    assert_null(fx->answers.head);
    fx->hold_sync = false;
    fx_crash(fx, true);
    assert_int_equal(fx_call_i64(fx, &client, a, "get"), 1);
    fx_deliver(fx, lost); /* the retry runs: its effect was taken back with it */
    assert_int_equal(fx_answer_i64(fx), 2);
    stead_message_destroy(&lost);
    fx_destroy(fx);
}

static void test_turns_of_one_round_share_one_entry(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    fx_address(a, "d", 1, 0);
    assert_int_equal(fx_call_i64(fx, &client, a, "add"), 1);
    uint64_t entries = fx_stats(fx)->entries;
    for (int i = 0; i < 100; i++) {
        struct stead_message *message = fx_request(fx, &client, STEAD_CALL, a, "add", (struct stead_slice){0}, NULL);
        stead_host_deliver(fx->host, &message);
    }
    fx_run(fx);
    assert_int_equal(fx->answers.count, 100);
    assert_int_equal(fx_stats(fx)->entries, entries + 1);
    fx_destroy(fx);
}

static void test_clean_stop_leaves_everything_in_the_image(void **state)
{
    struct fx *fx = fx_create(2);
    struct fx_client client = fx_client(fx, 1);
    char a[64], b[64];

    (void)state;
    assert_int_equal(fx_call_i64(fx, &client, fx_address(a, "d", 1, 0), "add"), 1);
    assert_int_equal(fx_call_i64(fx, &client, fx_address(b, "e", 2, 0), "add"), 1);
    fx_cold_restart(fx);
    assert_int_equal(fx_unloaded, 2);
    for (uint32_t shard = 1; shard <= 2; shard++)
        assert_int_equal(fx->logs[shard].applied, fx->logs[shard].appended); /* nothing is left to replay */
    fx_forget_outputs(fx);
    assert_int_equal(fx_call_i64(fx, &client, a, "get"), 1);
    assert_int_equal(fx_call_i64(fx, &client, b, "get"), 1);
    fx_destroy(fx);
}

static void test_checkpoint_of_a_running_host_never_writes_ahead_of_the_disk(void **state)
{
    struct fx *fx = fx_create(1);
    char a[64];

    (void)state;
    fx->settings.checkpoint_bytes = 2000;
    fx_crash(fx, false);
    struct fx_client client = fx_client(fx, 1);
    for (uint32_t i = 0; i < 400; i++) {
        fx->hold_rows = i % 3 != 0; /* chunks take their time, turns go on meanwhile */
        fx_address(a, "d", 1, i % 7);
        client.mark = client.number;
        fx_send(fx, &client, STEAD_CALL, a, "add");
        assert_int_equal(fx_answer_i64(fx), i / 7 + 1);
        if (i % 50 == 49) {
            uint32_t first = i % 7;
            fx_crash(fx, true);
            assert_int_equal(fx_call_i64(fx, &client, fx_address(a, "d", 1, first), "get"), i / 7 + 1);
        }
    }
    fx->hold_rows = false;
    fx_run(fx);
    assert_true(fx->logs[1].applied > 0);
    fx_destroy(fx);
}

static int set_buffer(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_slice bytes;

    (void)turn;
    assert_int_equal(stead_get_bin(args, NULL, &bytes), 0);
    stead_buffer_set(&((struct big_puppet *)state)->bytes, bytes);
    return 0;
}

static int buffer_size(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    return stead_reply(turn, stead_packed(turn, "l", (int64_t)((struct big_puppet *)state)->bytes.size));
}

static void test_large_image_moves_to_a_row_of_its_own_and_back(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    static char text[5000];
    char a[64];

    (void)state;
    fx_address(a, "b", 1, 0);
    memset(text, 'x', sizeof(text));
    static const uint32_t sizes[] = {10, 5000, 3000, 10, 4000};
    fx_do[0] = set_buffer, fx_look = buffer_size;
    for (int i = 0; i < 5; i++) {
        struct stead_writer args;
        stead_writer_init(&args);
        stead_write_bin(&args, stead_bytes(text, sizes[i]));
        struct stead_message *message = fx_request(fx, &client, STEAD_CALL, a, "do", stead_written(&args), NULL);
        stead_writer_deinit(&args);
        stead_host_deliver(fx->host, &message);
        fx_run(fx);
        assert_int_equal(fx_answer_status(fx), 0);
        assert_int_equal(fx_call_i64(fx, &client, a, "look"), sizes[i]);
        if (i % 2 == 0)
            fx_cold_restart(fx);
        else
            fx_crash(fx, true);
        fx_forget_outputs(fx);
        assert_int_equal(fx_call_i64(fx, &client, a, "look"), sizes[i]);
    }
    fx_destroy(fx);
}

static void test_agent_whose_store_cannot_be_read_says_so_and_others_go_on(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1), other = fx_client(fx, 2);
    char a[64], v[64];

    (void)state;
    assert_int_equal(fx_call_i64(fx, &client, fx_address(a, "d", 1, 0), "add"), 1);
    assert_int_equal(fx_call_i64(fx, &other, fx_address(v, "v", 1, 0), "add"), 1);
    fx_step_ms(fx, 61000);
    fx_step_ms(fx, 61000);
    stead_host_stop(fx->host);
    fx_run(fx);
    fx_crash(fx, false);
    assert_int_equal(fx_call_i64(fx, &other, v, "add"), 1);
    fx->hold_loads = true;
    struct stead_message *request = fx_request(fx, &client, STEAD_CALL, a, "add", (struct stead_slice){0}, NULL);
    fx_deliver(fx, request);
    fx->io_error = true;
    fx->hold_loads = false;
    fx_run(fx);
    assert_int_equal(fx_answer_status(fx), STEAD_EIO);
    assert_true(fx->errors > 0);
    assert_int_equal(fx_call_i64(fx, &other, v, "add"), 2);
    fx->io_error = false;
    fx_deliver(fx, request); /* it was not executed: the retry is */
    assert_int_equal(fx_answer_i64(fx), 2);
    stead_message_destroy(&request);
    fx_destroy(fx);
}

static const char *target; /* of the next two */

static int signal_target(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_signal(turn, target, "add", (struct stead_slice){0});
}

static int emit(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_emit(turn, "added", stead_packed(turn, "l", (int64_t)1));
}

static int call_target(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_call_options options = {.reply_op = "do3", .timeout_ms = 60000};

    (void)state, (void)args;
    return stead_call(turn, target, "add", (struct stead_slice){0}, &options);
}

static int keep_code(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    ((struct puppet *)state)->value = stead_reply_code(turn);
    return 0;
}

/* Whether its rows are in the overlay or have to be loaded: signals of agents wait for a version that can read it,
 * calls are answered, and the channel goes on. */
static void test_committed_signal_to_an_agent_that_cannot_be_read_waits(void **state)
{
    (void)state;
    for (int cold = 0; cold < 2; cold++) {
        struct fx *fx = fx_create(1);
        struct fx_client client = fx_client(fx, 1);
        char a[64], b[64], other[64];
        target = fx_address(b, "e", 1, 0);
        fx_do[0] = emit, fx_do[1] = call_target, fx_do[2] = keep_code;
        assert_int_equal(fx_call(fx, &client, b, "do"), 0);
        assert_int_equal(fx_call(fx, &client, b, "do"), 0);
        fx_do[0] = signal_target;
        fx_refuses_events = true;
        if (cold)
            fx_cold_restart(fx);
        else
            fx_crash(fx, true);
        assert_int_equal(fx_call(fx, &client, b, "get"), STEAD_ECORRUPT); /* a client is told */
        fx_address(a, "d", 1, 0);
        for (int i = 0; i < 3; i++)
            assert_int_equal(fx_call(fx, &client, a, "do"), 0);
        assert_int_equal(fx_call(fx, &client, a, "do2"), 0);
        assert_int_equal(fx_call_i64(fx, &client, a, "get"), STEAD_ECORRUPT);
        target = fx_address(other, "d", 1, 1);
        assert_int_equal(fx_call(fx, &client, a, "do"), 0);
        assert_int_equal(fx_call_i64(fx, &client, other, "get"), 1);
        assert_int_equal(fx_stats(fx)->outbox_records, 0);
        fx_crash(fx, true);
        fx_step_ms(fx, 1500); /* looked for again, and again not readable */
        fx_refuses_events = false;
        fx_crash(fx, true);
        fx_run(fx);
        assert_int_equal(fx_call_i64(fx, &client, b, "get"), 5);
        fx_crash(fx, true);
        assert_int_equal(fx_call_i64(fx, &client, b, "get"), 5);
        fx_destroy(fx);
    }
}

static int64_t sent, seen;
static bool *breaks; /* set when the first is seen */

static int signal_next(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_signal(turn, target, "do2", stead_packed(turn, "l", ++sent));
}

static int see(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int64_t number = 0;

    (void)state, (void)turn;
    assert_int_equal(stead_get_i64(args, NULL, &number), 0);
    assert_int_equal(number, ++seen);
    if (seen == 1 && breaks != NULL)
        *breaks = true;
    return 0;
}

/* More than one look takes, and one that comes in the round of the first look, or when the agent was loaded after that
 * look has failed to, or when the disk failed after the first of them: in the order in which they were sent. */
static void test_signals_that_waited_for_a_start_run_in_order_before_new_ones(void **state)
{
    (void)state;
    for (int fails = 0; fails < 3; fails++) {
        struct fx *fx = fx_create(1);
        struct fx_client client = fx_client(fx, 1);
        char a[64], b[64];
        sent = seen = 0;
        target = fx_address(b, "e", 1, 0);
        fx_do[0] = emit, fx_do[1] = see;
        assert_int_equal(fx_call(fx, &client, b, "do"), 0);
        assert_int_equal(fx_call(fx, &client, b, "do"), 0);
        fx_refuses_events = true;
        fx_crash(fx, true);
        fx_do[0] = signal_next;
        fx_address(a, "d", 1, 0);
        for (int i = 0; i < 200; i++)
            assert_int_equal(fx_call(fx, &client, a, "do"), 0);
        assert_int_equal(seen, 0);
        fx_refuses_events = false;
        breaks = fails == 2 ? &fx->io_error : NULL;
        if (fails)
            fx_cold_restart(fx);
        else
            fx_crash(fx, true);
        fx->io_error = fails == 1;
        fx_run(fx);
        assert_int_equal(seen, fails == 0 ? 200 : fails == 1 ? 0 : 64); /* those that one read has brought */
        fx->io_error = false;
        for (int i = 0; i < 3; i++)
            assert_int_equal(fx_call(fx, &client, a, "do"), 0);
        fx_step_ms(fx, 1500);
        assert_int_equal(seen, 203);
        fx_destroy(fx);
    }
}

static int set_many(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    for (int i = 0; i < 200; i++)
        assert_int_equal(stead_timer_after(turn, stead_printed(turn, "t%d", i), 1000, "do3", (struct stead_slice){0}),
                         0);
    return stead_emit(turn, "added", stead_packed(turn, "l", (int64_t)1));
}

static uint32_t rung;

static int ring(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)turn, (void)state, (void)args;
    rung++;
    return 0;
}

static int set_one(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_timer_after(turn, "t", 1001, "do3", (struct stead_slice){0});
}

/* Its due timers are late, and lost no more than others' behind them; it is not tried at every look. */
static void test_agent_that_cannot_be_read_keeps_nobody_elses_timers(void **state)
{
    (void)state;
    for (int cold = 0; cold < 2; cold++) {
        struct fx *fx = fx_create(1);
        struct fx_client client = fx_client(fx, 1);
        char bad[64] = "e/{g}bad", good[64] = "d/{g}good";
        fx_do[0] = set_many, fx_do[1] = set_one, fx_do[2] = ring;
        rung = 0;
        assert_int_equal(fx_call(fx, &client, bad, "do"), 0);
        assert_int_equal(fx_call(fx, &client, bad, "do"), 0); /* now an event is behind the image */
        assert_int_equal(fx_call(fx, &client, good, "do2"), 0);
        fx_refuses_events = true;
        if (cold)
            fx_cold_restart(fx);
        else
            fx_crash(fx, true);
        fx->errors = 0;
        fx_step_ms(fx, 1001);
        assert_int_equal(rung, 1);
        for (int i = 0; i < 30; i++)
            fx_step_ms(fx, 1000);
        assert_int_equal(fx->errors, 1);
        fx_refuses_events = false;
        fx_do[0] = emit;
        if (cold) /* a minute later it is tried again, or whoever asks for it finds out */
            fx_step_ms(fx, 60000);
        else
            assert_int_equal(fx_call(fx, &client, bad, "do"), 0);
        fx_step_ms(fx, 1);
        assert_int_equal(rung, 201);
        fx_destroy(fx);
    }
}

static void test_request_for_a_slot_of_nobody_is_answered_unavailable(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char b[64];

    (void)state;
    assert_int_equal(fx_call(fx, &client, fx_address(b, "d", 2, 0), "add"), STEAD_EUNAVAILABLE);
    fx_set_table(fx, NULL, 1, true);
    fx_send(fx, &client, STEAD_CALL, b, "add");
    assert_int_equal(fx->sends.count, 1); /* passed on to its owner */
    assert_null(fx->answers.head);
    fx_destroy(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answer_waits_for_the_disk_unless_asked_not_to),
        cmocka_unit_test(test_read_waits_until_what_it_saw_is_on_disk),
        cmocka_unit_test(test_turn_mark_has_its_texts_again_when_agent_or_op_changes),
        cmocka_unit_test(test_turn_mark_of_an_agent_in_the_place_of_a_freed_one_has_its_texts),
        cmocka_unit_test(test_flood_of_tells_is_bounded_in_bytes),
        cmocka_unit_test(test_tell_of_a_durable_agent_leaves_after_its_commit),
        cmocka_unit_test(test_volatile_agent_that_saw_an_uncommitted_tell_waits_too),
        cmocka_unit_test(test_crash_takes_back_only_what_nobody_was_told_of),
        cmocka_unit_test(test_turns_of_one_round_share_one_entry),
        cmocka_unit_test(test_clean_stop_leaves_everything_in_the_image),
        cmocka_unit_test(test_checkpoint_of_a_running_host_never_writes_ahead_of_the_disk),
        cmocka_unit_test(test_large_image_moves_to_a_row_of_its_own_and_back),
        cmocka_unit_test(test_agent_whose_store_cannot_be_read_says_so_and_others_go_on),
        cmocka_unit_test(test_committed_signal_to_an_agent_that_cannot_be_read_waits),
        cmocka_unit_test(test_signals_that_waited_for_a_start_run_in_order_before_new_ones),
        cmocka_unit_test(test_agent_that_cannot_be_read_keeps_nobody_elses_timers),
        cmocka_unit_test(test_request_for_a_slot_of_nobody_is_answered_unavailable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
