/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Channels: signals of durable agents between shards, here to a node that is only the test: what is sent, when, how
 * often, and what is taken.
 */
#include "unit/runtime/host_client.h"

#include "runtime/channel.h"

static char here[64], there[64]; /* an agent of this host (shard 1), one of the other node (shard 2) */
static int64_t signals;          /* how many `do` sends */
static size_t bytes;             /* of the payload of each; 0: a number */

static int signal_there(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_slice letter = stead_packed(turn, "l", (int64_t)1);

    (void)state, (void)args;
    if (bytes > 0) {
        uint8_t *paper = stead_turn_alloc(turn, bytes);
        memset(paper, 'p', bytes);
        letter = stead_packed(turn, "B", stead_bytes(paper, bytes));
    }
    for (int64_t i = 0; i < signals; i++)
        assert_int_equal(stead_signal(turn, there, "add", letter), 0);
    return 0;
}

static struct fx *begin(uint32_t window)
{
    struct fx *fx = fx_create(1);

    bytes = 0;
    fx->settings.channel_window = window;
    fx_crash(fx, false);
    fx_set_table(fx, NULL, 1, true);
    fx_address(here, "d", 1, 0);
    fx_address(there, "d", 2, 0);
    fx_do[0] = signal_there;
    return fx;
}

/* The agent here sends `count` signals in one turn. */
static void say(struct fx *fx, struct fx_client *client, int64_t count)
{
    signals = count;
    assert_int_equal(fx_call(fx, client, here, "do"), 0);
}

/* Takes what was sent: `count` signals in order, the first with this counter and trimmed counter. */
static void expect_sent(struct fx *fx, uint32_t count, uint64_t first, uint64_t trimmed)
{
    assert_int_equal(fx->sends.count, count);
    for (uint32_t i = 0; i < count; i++) {
        struct stead_message *message = stead_queue_pop(&fx->sends);
        assert_int_equal(message->type, STEAD_SIGNAL);
        assert_int_equal(message->channel.number.counter, first + i);
        assert_int_equal(message->channel.previous.counter, first + i - 1);
        assert_int_equal(message->channel.trimmed.counter, trimmed);
        stead_message_destroy(&message);
    }
}

/* The other node has taken everything up to the counter of an epoch. */
static void acknowledge(struct fx *fx, uint64_t epoch, uint64_t counter, bool gap)
{
    struct stead_message *ack = stead_message_create(STEAD_ACK, &(struct stead_message_parts){0});

    ack->groups = STEAD_GROUP_CHANNEL;
    ack->flags = gap ? STEAD_FLAG_GAP : 0;
    ack->slot = stead_address_slot(stead_str(here), 0);
    ack->source_slot = stead_address_slot(stead_str(there), 0);
    ack->channel.number = (struct stead_seq){epoch, counter};
    stead_host_deliver(fx->host, &ack);
    fx_run(fx);
}

static void test_signal_leaves_after_its_commit_and_once(void **state)
{
    struct fx *fx = begin(100);
    struct fx_client client = fx_client(fx, 1);

    (void)state;
    fx->hold_sync = true;
    signals = 2;
    fx_send(fx, &client, STEAD_CALL, here, "do");
    assert_int_equal(fx->sends.count, 0);
    fx->hold_sync = false;
    fx_run(fx);
    assert_int_equal(fx_answer_status(fx), 0);
    expect_sent(fx, 2, 1, 0);
    acknowledge(fx, fx->epoch, 2, false);
    assert_int_equal(fx_stats(fx)->outbox_records, 0);
    fx_step_ms(fx, 120000);
    expect_sent(fx, 0, 0, 0);
    say(fx, &client, 1);
    expect_sent(fx, 1, 3, 2);
    fx_destroy(fx);
}

static int ask_there(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct stead_call_options options = {.reply_op = "reply"};

    (void)state;
    return stead_call(turn, there, "get", args, &options);
}

/* `get` is read-only: it needs no number of its own, but must see what its caller has sent before. */
static void test_read_only_call_does_not_overtake_signals(void **state)
{
    struct fx *fx = begin(100);
    struct fx_client client = fx_client(fx, 1);

    (void)state;
    fx_do[1] = ask_there;
    say(fx, &client, 1);
    expect_sent(fx, 1, 1, 0);
    assert_int_equal(fx_call(fx, &client, here, "do2"), 0);
    assert_int_equal(fx->sends.count, 1);
    assert_int_equal(fx->sends.head->type, STEAD_CALL);
    assert_int_equal(fx->sends.head->channel.previous.counter, 1);
    assert_true(fx->sends.head->groups & STEAD_GROUP_CHANNEL);
    stead_queue_clear(&fx->sends);
    acknowledge(fx, fx->epoch, 2, false);
    assert_int_equal(fx_call(fx, &client, here, "do2"), 0); /* there is nothing before this one */
    assert_int_equal(fx->sends.count, 1);
    assert_true(fx->sends.head->flags & STEAD_FLAG_UNSEQUENCED);
    assert_false(fx->sends.head->groups & STEAD_GROUP_CHANNEL);
    fx_destroy(fx);
}

static void test_window_bounds_what_is_in_flight(void **state)
{
    struct fx *fx = begin(4);
    struct fx_client client = fx_client(fx, 1);

    (void)state;
    say(fx, &client, 10);
    expect_sent(fx, 4, 1, 0);
    acknowledge(fx, fx->epoch, 3, false);
    expect_sent(fx, 3, 5, 3);
    say(fx, &client, 1); /* goes behind those that wait */
    expect_sent(fx, 0, 0, 0);
    acknowledge(fx, fx->epoch, 7, false);
    expect_sent(fx, 4, 8, 7);
    acknowledge(fx, fx->epoch, 11, false);
    assert_int_equal(fx_stats(fx)->outbox_records, 0);
    fx_destroy(fx);
}

/* Its window of bytes is 1 MiB. */
static void test_window_counts_bytes_too(void **state)
{
    struct fx *fx = begin(100);
    struct fx_client client = fx_client(fx, 1);

    (void)state;
    bytes = 300000;
    say(fx, &client, 10);
    expect_sent(fx, 4, 1, 0); /* 900,000 are less than it */
    acknowledge(fx, fx->epoch, 2, false);
    uint32_t more = fx->sends.count;
    assert_true(more <= 2); /* never more than 4 at once */
    expect_sent(fx, more, 5, 2);
    for (uint64_t at = 4; at < 10; at++) {
        acknowledge(fx, fx->epoch, at, false);
        uint64_t next = 5 + more;
        assert_true(fx->sends.count > 0 || next > at + 1); /* something is always on its way */
        assert_true(next + fx->sends.count <= at + 5);
        more += fx->sends.count;
        expect_sent(fx, fx->sends.count, next, at);
    }
    acknowledge(fx, fx->epoch, 10, false);
    assert_int_equal(fx_stats(fx)->outbox_records, 0);
    assert_int_equal(fx_stats(fx)->resends, 6);
    say(fx, &client, 1); /* and the window is open again */
    expect_sent(fx, 1, 11, 10);
    fx_destroy(fx);
}

static void test_record_above_the_window_leaves_alone(void **state)
{
    struct fx *fx = begin(100);
    struct fx_client client = fx_client(fx, 1);

    (void)state;
    fx->settings.memory_bytes_max = 4u << 20; /* the window: 128 KiB */
    fx_crash(fx, false);
    fx_set_table(fx, NULL, 1, true);
    bytes = 200000;
    say(fx, &client, 3);
    for (uint64_t at = 1; at <= 3; at++) {
        expect_sent(fx, 1, at, at - 1);
        acknowledge(fx, fx->epoch, at, false);
    }
    assert_int_equal(fx_stats(fx)->outbox_records, 0);
    fx_destroy(fx);
}

/* While an entry is not on disk, the window opens: what was not passed on when it was made follows the commit. */
static void test_record_of_a_shut_window_leaves_with_its_commit(void **state)
{
    struct fx *fx = begin(2);
    struct fx_client client = fx_client(fx, 1);

    (void)state;
    say(fx, &client, 2);
    expect_sent(fx, 2, 1, 0);
    fx->hold_sync = true;
    signals = 2;
    fx_send(fx, &client, STEAD_CALL, here, "do");
    acknowledge(fx, fx->epoch, 2, false);
    expect_sent(fx, 0, 0, 0);
    fx->hold_sync = false;
    fx_run(fx);
    expect_sent(fx, 2, 3, 2);
    fx_destroy(fx);
}

/* The same where it was passed on: it waits for its commit by itself, also when what is before it is sent again. */
static void test_record_that_waits_for_its_commit_leaves_once(void **state)
{
    struct fx *fx = begin(100);
    struct fx_client client = fx_client(fx, 1);

    (void)state;
    say(fx, &client, 2);
    expect_sent(fx, 2, 1, 0);
    fx->hold_sync = true;
    signals = 2;
    fx_send(fx, &client, STEAD_CALL, here, "do");
    acknowledge(fx, fx->epoch, 0, true);
    expect_sent(fx, 2, 1, 0);
    fx->hold_sync = false;
    fx_run(fx);
    expect_sent(fx, 2, 3, 0);
    fx_destroy(fx);
}

static struct stead_call_id made;
static uint32_t patience_ms;

static int call_and_signal_there(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_call_options options = {.reply_op = "reply", .timeout_ms = patience_ms, .ret_call = &made};

    assert_int_equal(stead_call(turn, there, "add", args, &options), 0);
    return signal_there(turn, state, args);
}

static int cancel_call(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_call_cancel(turn, &made);
}

/* All is sent again, and its first record is written anew in the same round: a call that is cancelled, or times out. It
 * was lost before, and so were those behind it: they follow the commit. */
static void test_record_that_is_written_anew_keeps_none_back(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fx *fx = begin(100);
        struct fx_client client = fx_client(fx, 1);

        fx_do[0] = call_and_signal_there, fx_do[1] = cancel_call;
        patience_ms = i == 0 ? 3600000 : fx->settings.resend_ms;
        say(fx, &client, 4);
        assert_int_equal(fx->sends.count, 5);
        stead_queue_clear(&fx->sends);
        fx->now_ns += fx->settings.resend_ms * 1000000ull;
        fx->now_ms += fx->settings.resend_ms;
        if (i == 0)
            fx_send(fx, &client, STEAD_CALL, here, "do2");
        fx_run(fx);
        for (uint64_t next = 1; next <= 5;) {
            struct stead_message *message = stead_queue_pop(&fx->sends);
            assert_non_null(message);
            if (message->groups & STEAD_GROUP_CHANNEL)
                assert_int_equal(message->channel.number.counter, next++);
            if (message->type == STEAD_CALL)
                assert_int_equal(message->deadline_ms, 1);
            stead_message_destroy(&message);
        }
        fx_destroy(fx);
    }
}

#define PEERS 10 /* slots that are written to */

/* A peer is back to which more is owed than a round may read: the reactor is not kept, and what is left follows. */
static void test_round_sends_no_more_than_its_share(void **state)
{
    struct fx *fx = begin(100);
    struct fx_client client = fx_client(fx, 1);
    uint32_t rounds = 0, count = 0;
    bool more = true;

    (void)state;
    bytes = 400000;
    for (uint32_t i = 0; i < PEERS; i++) {
        fx_address(there, "d", 2, i);
        say(fx, &client, 4);
        stead_queue_clear(&fx->sends);
    }
    stead_host_peer_up(fx->host, FX_PEER, 2);
    while (more) {
        more = stead_host_run(fx->host);
        assert_true(fx->sends.bytes <= (4u << 20) + 500000);
        rounds += fx->sends.count > 0;
        count += fx->sends.count;
        stead_queue_clear(&fx->sends);
    }
    assert_true(rounds > 1);
    assert_int_equal(count, 3 * PEERS); /* a window each */
    fx_destroy(fx);
}

static void test_unacknowledged_signals_are_sent_again_ever_more_rarely(void **state)
{
    struct fx *fx = begin(100);
    struct fx_client client = fx_client(fx, 1);

    (void)state;
    say(fx, &client, 3);
    expect_sent(fx, 3, 1, 0);
    fx_step_ms(fx, 999);
    expect_sent(fx, 0, 0, 0);
    fx_step_ms(fx, 1);
    expect_sent(fx, 3, 1, 0);
    acknowledge(fx, fx->epoch, 1, false);
    fx_step_ms(fx, 1000);
    expect_sent(fx, 2, 2, 1);
    fx_step_ms(fx, 1000);
    expect_sent(fx, 2, 2, 1);
    fx_step_ms(fx, 1000); /* the interval has doubled */
    expect_sent(fx, 0, 0, 0);
    fx_step_ms(fx, 1000);
    expect_sent(fx, 2, 2, 1);
    fx_destroy(fx);
}

static void test_peer_that_is_back_gets_what_it_is_owed_at_once(void **state)
{
    struct fx *fx = begin(100);
    struct fx_client client = fx_client(fx, 1);

    (void)state;
    say(fx, &client, 2);
    expect_sent(fx, 2, 1, 0);
    stead_host_peer_up(fx->host, FX_PEER + 1, 1); /* another one */
    fx_run(fx);
    expect_sent(fx, 0, 0, 0);
    stead_host_peer_up(fx->host, FX_PEER, 2);
    fx_run(fx);
    expect_sent(fx, 2, 1, 0);
    fx_destroy(fx);
}

static void test_gap_is_answered_with_everything_from_there(void **state)
{
    struct fx *fx = begin(100);
    struct fx_client client = fx_client(fx, 1);

    (void)state;
    say(fx, &client, 4);
    expect_sent(fx, 4, 1, 0);
    acknowledge(fx, fx->epoch, 1, true);
    expect_sent(fx, 3, 2, 1);
    fx_destroy(fx);
}

/* What is behind a gap tells of it until what fills it is there. */
static void test_gap_of_what_was_just_sent_again_waits_for_its_answer(void **state)
{
    struct fx *fx = begin(100);
    struct fx_client client = fx_client(fx, 1);

    (void)state;
    say(fx, &client, 4);
    expect_sent(fx, 4, 1, 0);
    acknowledge(fx, fx->epoch, 1, true);
    expect_sent(fx, 3, 2, 1);
    for (int i = 0; i < 4; i++) {
        fx_step_ms(fx, 50);
        acknowledge(fx, fx->epoch, 1, true);
        expect_sent(fx, 0, 0, 0);
    }
    fx_step_ms(fx, 50); /* none has come */
    expect_sent(fx, 3, 2, 1);
    acknowledge(fx, fx->epoch, 2, true); /* another gap */
    expect_sent(fx, 2, 3, 2);
    acknowledge(fx, fx->epoch, 4, false);
    assert_int_equal(fx_stats(fx)->outbox_records, 0);
    fx_destroy(fx);
}

static void test_outbox_survives_a_restart_and_its_numbers_go_on(void **state)
{
    (void)state;
    for (int cold = 0; cold < 2; cold++) {
        struct fx *fx = begin(100);
        struct fx_client client = fx_client(fx, 1);
        uint64_t epoch = fx->epoch;
        say(fx, &client, 3);
        expect_sent(fx, 3, 1, 0);
        acknowledge(fx, epoch, 1, false);
        fx_step_ms(fx, 600); /* the trimmed record goes with a lazy entry */
        if (cold) {
            fx_cold_restart(fx);
            fx_forget_outputs(fx);
        }
        fx_crash(fx, true);
        fx_run(fx);
        expect_sent(fx, 2, 2, 1);
        say(fx, &client, 1);
        assert_int_equal(fx->sends.head->channel.number.epoch, fx->epoch);
        assert_int_equal(fx->sends.head->channel.previous.epoch, epoch);
        expect_sent(fx, 1, 4, 1);
        acknowledge(fx, fx->epoch, 4, false); /* across the epochs */
        assert_int_equal(fx_stats(fx)->outbox_records, 0);
        fx_step_ms(fx, 100000);
        expect_sent(fx, 0, 0, 0);
        fx_destroy(fx);
    }
}

/* Of this very epoch: the coordinator has given it out twice. What was taken is not known, so nothing is deleted. */
static void test_acknowledgement_of_what_was_never_sent_is_history_lost(void **state)
{
    struct fx *fx = begin(100);
    struct fx_client client = fx_client(fx, 1);

    (void)state;
    say(fx, &client, 1);
    expect_sent(fx, 1, 1, 0);
    for (int i = 0; i < 3; i++)
        acknowledge(fx, fx->epoch, 2, false);
    assert_int_equal(fx_stats(fx)->history_lost, 1);
    assert_int_equal(fx->errors, 1); /* once */
    assert_int_equal(fx_stats(fx)->outbox_records, 1);
    fx_destroy(fx);
}

/* This folder was put back to number 3; the receiver has taken 5 of it. What follows 3 is sent and can be
 * acknowledged. */
static void test_outbox_goes_on_behind_what_was_forgotten_here(void **state)
{
    struct fx *fx = begin(100);
    struct fx_client client = fx_client(fx, 1);

    (void)state;
    say(fx, &client, 3);
    expect_sent(fx, 3, 1, 0);
    uint64_t before = fx->epoch;
    fx_crash(fx, true);
    fx_set_table(fx, NULL, 1, true);
    fx_run(fx);
    stead_queue_clear(&fx->sends);
    for (int i = 0; i < 3; i++)
        acknowledge(fx, before, 5, false);
    assert_int_equal(fx_stats(fx)->outbox_records, 0);
    assert_int_equal(fx_stats(fx)->history_lost, 1);
    assert_int_equal(fx->errors, 1);
    say(fx, &client, 2);
    expect_sent(fx, 2, 4, 3);
    acknowledge(fx, fx->epoch, 5, false);
    assert_int_equal(fx_stats(fx)->outbox_records, 0);
    fx_destroy(fx);
}

/* The same, when it has sent more before it hears of it: no record may claim that its own predecessor is gone for
 * longer than it is (the receiver's decoder refuses that), and the window stays open. */
static void test_trimmed_number_is_one_of_this_folder(void **state)
{
    struct fx *fx = begin(2);
    struct fx_client client = fx_client(fx, 1);
    uint32_t count = 0;

    (void)state;
    say(fx, &client, 2);
    expect_sent(fx, 2, 1, 0);
    uint64_t before = fx->epoch;
    fx_crash(fx, true);
    fx_set_table(fx, NULL, 1, true);
    say(fx, &client, 3);
    stead_queue_clear(&fx->sends);
    acknowledge(fx, before, 50, true);
    for (struct stead_message *message; (message = stead_queue_pop(&fx->sends)) != NULL; count++) {
        assert_true(stead_seq_compare(message->channel.trimmed, message->channel.previous) <= 0);
        assert_int_equal(message->channel.number.epoch, fx->epoch);
        assert_int_equal(message->channel.number.counter, 3 + count);
        stead_message_destroy(&message);
    }
    assert_int_equal(count, 2);
    acknowledge(fx, fx->epoch, 4, false);
    expect_sent(fx, 1, 5, 4);
    acknowledge(fx, fx->epoch, 5, false);
    assert_int_equal(fx_stats(fx)->outbox_records, 0);
    fx_destroy(fx);
}

/* ---- The receiving end ---------------------------------------------------------------------------- */

/* A signal `add` 1 from the other node's agent, numbered. Returned. */
static struct stead_message *arriving(uint64_t epoch, uint64_t previous, uint64_t number, uint64_t trimmed)
{
    struct stead_message_parts parts = {
        .address = stead_str(here), .source = stead_str(there), .op = stead_str("add"), .payload = fx_i64(1)};
    struct stead_message *message = stead_message_create(STEAD_SIGNAL, &parts);

    message->groups = STEAD_GROUP_CHANNEL;
    message->slot = stead_address_slot(parts.address, 0);
    message->source_slot = stead_address_slot(parts.source, 0);
    message->channel.number = (struct stead_seq){epoch, number};
    message->channel.previous = (struct stead_seq){previous == 0 ? 0 : epoch, previous};
    message->channel.trimmed = (struct stead_seq){trimmed == 0 ? 0 : epoch, trimmed};
    return message;
}

static void arrive(struct fx *fx, uint64_t epoch, uint64_t previous, uint64_t number, uint64_t trimmed)
{
    struct stead_message *message = arriving(epoch, previous, number, trimmed);

    stead_host_deliver(fx->host, &message);
}

/* The newest acknowledgement, and whether it reports a gap; -1: none. */
static int64_t last_ack(struct fx *fx, bool *ret_gap)
{
    struct stead_message *ack;
    int64_t counter = -1;

    while ((ack = stead_queue_pop(&fx->sends)) != NULL) {
        assert_int_equal(ack->type, STEAD_ACK);
        counter = (int64_t)ack->channel.number.counter;
        *ret_gap = (ack->flags & STEAD_FLAG_GAP) != 0;
        stead_message_destroy(&ack);
    }
    return counter;
}

static void test_signals_are_taken_in_order_and_acknowledged_after_their_commit(void **state)
{
    struct fx *fx = begin(100);
    struct fx_client client = fx_client(fx, 1);
    bool gap = true;

    (void)state;
    fx->hold_sync = true;
    for (uint64_t i = 1; i <= 3; i++)
        arrive(fx, 9, i - 1, i, 0);
    fx_run(fx);
    assert_int_equal(last_ack(fx, &gap), -1);
    fx->hold_sync = false;
    fx_run(fx);
    assert_int_equal(last_ack(fx, &gap), 3);
    assert_false(gap);
    arrive(fx, 9, 1, 2, 0); /* a duplicate: acknowledged again, not run */
    fx_run(fx);
    assert_int_equal(last_ack(fx, &gap), 3);
    fx_crash(fx, true);
    fx_set_table(fx, NULL, 1, true);
    arrive(fx, 9, 2, 3, 0);
    fx_run(fx);
    assert_int_equal(last_ack(fx, &gap), 3);
    assert_int_equal(fx_call_i64(fx, &client, here, "get"), 3);
    fx_destroy(fx);
}

static void test_gap_is_reported_and_nothing_behind_it_is_taken(void **state)
{
    struct fx *fx = begin(100);
    struct fx_client client = fx_client(fx, 1);
    bool gap = false;

    (void)state;
    arrive(fx, 9, 0, 1, 0);
    arrive(fx, 9, 2, 3, 0);
    arrive(fx, 9, 3, 4, 0);
    fx_run(fx);
    assert_int_equal(fx_stats(fx)->gaps, 2);
    assert_true(fx->sends.count <= 2); /* one gap is asked for once in a while, not for each record behind it */
    assert_int_equal(fx_call_i64(fx, &client, here, "get"), 1);
    stead_queue_clear(&fx->sends);
    for (uint64_t i = 2; i <= 4; i++)
        arrive(fx, 9, i - 1, i, 0);
    fx_run(fx);
    assert_int_equal(last_ack(fx, &gap), 4);
    assert_int_equal(fx_call_i64(fx, &client, here, "get"), 4);
    fx_destroy(fx);
}

/* This end was put back: it goes on behind what the sender has deleted, and says once what is lost. */
static void test_channel_goes_on_behind_what_was_forgotten_here(void **state)
{
    struct fx *fx = begin(100);
    struct fx_client client = fx_client(fx, 1);
    bool gap = false;

    (void)state;
    arrive(fx, 9, 0, 1, 0);
    arrive(fx, 9, 5, 6, 4); /* the sender has deleted 2 to 4 as acknowledged */
    fx_run(fx);
    assert_int_equal(fx_stats(fx)->history_lost, 1);
    assert_int_equal(fx_stats(fx)->history_lost_records, 3);
    assert_int_equal(fx->errors, 1);
    assert_int_equal(last_ack(fx, &gap), 4); /* 5 is still with the sender */
    for (uint64_t i = 5; i <= 7; i++)
        arrive(fx, 9, i - 1, i, 4);
    fx_run(fx);
    assert_int_equal(last_ack(fx, &gap), 7);
    assert_int_equal(fx_call_i64(fx, &client, here, "get"), 4);
    fx_crash(fx, true);
    fx_set_table(fx, NULL, 1, true);
    arrive(fx, 9, 7, 8, 7);
    fx_run(fx);
    assert_int_equal(last_ack(fx, &gap), 8);
    assert_int_equal(fx_stats(fx)->history_lost, 0); /* of this start */
    fx_destroy(fx);
}

/* The sender was put back to number 3, and says under a new epoch what follows that. */
static void test_channel_goes_on_behind_what_its_sender_forgot(void **state)
{
    for (int waits = 0; waits < 2; waits++) {
        struct fx *fx = begin(100);
        struct fx_client client = fx_client(fx, 1);
        bool gap = false;

        (void)state;
        for (uint64_t i = 1; i <= 5; i++)
            arrive(fx, 9, i - 1, i, 0);
        fx_run(fx);
        assert_int_equal(last_ack(fx, &gap), 5);
        if (waits == 1) { /* for its agent to be loaded: it is looked at twice, and told once */
            fx_crash(fx, true);
            fx_set_table(fx, NULL, 1, true);
            fx->hold_loads = true;
        }
        arrive(fx, 9, 2, 3, 0); /* still in its outbox, and taken long ago */
        struct stead_message *next = arriving(9, 3, 4, 0);
        next->channel.number.epoch = 10;
        stead_host_deliver(fx->host, &next);
        arrive(fx, 10, 4, 5, 0);
        fx_run(fx);
        fx->hold_loads = false;
        fx_run(fx);
        assert_int_equal(fx_stats(fx)->history_lost, 1);
        assert_int_equal(fx_stats(fx)->history_lost_records, 2);
        assert_int_equal(fx->errors, 1);
        assert_int_equal(last_ack(fx, &gap), 5);
        assert_false(gap);
        assert_int_equal(fx_call_i64(fx, &client, here, "get"), 7);
        fx_destroy(fx);
    }
}

static void test_channel_stops_at_an_agent_that_loads_and_goes_on_in_order(void **state)
{
    struct fx *fx = begin(100);
    struct fx_client client = fx_client(fx, 1);
    bool gap = true;

    (void)state;
    fx->hold_loads = true;
    for (uint64_t i = 1; i <= 5; i++)
        arrive(fx, 9, i - 1, i, 0);
    fx_run(fx);
    assert_int_equal(fx_stats(fx)->turns, 0);
    fx->hold_loads = false;
    fx_run(fx);
    assert_int_equal(last_ack(fx, &gap), 5);
    assert_int_equal(fx_stats(fx)->gaps, 0);
    assert_int_equal(fx_call_i64(fx, &client, here, "get"), 5);
    fx_destroy(fx);
}

static int signal_neighbour(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_signal(turn, there, "add", (struct stead_slice){0});
}

/* A folder in which the record of a taken message is still in the outbox, both ends in one shard: a failing disk has
 * left such. */
static void test_taken_record_of_the_same_shard_leaves_the_outbox(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    struct stead_row_key row, record;
    struct stead_writer bytes;
    uint8_t ends[32] = {0};

    (void)state;
    fx_address(here, "d", 1, 0);
    fx_address(there, "d", 1, 1);
    fx_do[0] = signal_neighbour;
    uint64_t epoch = fx->epoch;
    assert_int_equal(fx_call(fx, &client, here, "do"), 0);
    stead_host_stop(fx->host);
    fx_run(fx);
    stead_slot from = stead_address_slot(stead_str(here), 0), to = stead_address_slot(stead_str(there), 0);
    stead_store64(ends, epoch);
    stead_store64(ends + 8, 1);
    stead_row_begin(&row, from, STEAD_ROW_CHANNEL_OUT);
    stead_row_add_u16(&row, to.v);
    fx_row_put(fx, stead_row_slice(&row), stead_bytes(ends, sizeof(ends)));
    stead_row_begin(&record, from, STEAD_ROW_OUTBOX);
    stead_row_add_u16(&record, to.v);
    stead_row_add_u64(&record, epoch);
    stead_row_add_u64(&record, 1);
    struct stead_message *message = stead_message_create(
        STEAD_SIGNAL,
        &(struct stead_message_parts){.address = stead_str(there), .source = stead_str(here), .op = stead_str("add")});
    message->slot = to;
    message->source_slot = from;
    message->groups = STEAD_GROUP_CHANNEL;
    message->channel.previous = (struct stead_seq){epoch, 0};
    message->channel.number = (struct stead_seq){epoch, 1};
    stead_writer_init(&bytes);
    fx->doors.encode(message, &bytes);
    fx_row_put(fx, stead_row_slice(&record), stead_written(&bytes));
    stead_writer_deinit(&bytes);
    stead_message_destroy(&message);
    fx_crash(fx, false);
    assert_int_equal(fx_stats(fx)->outbox_records, 1);
    fx_step_ms(fx, 5000);
    assert_int_equal(fx_stats(fx)->outbox_records, 0);
    assert_int_equal(fx_stats(fx)->duplicates, 1);
    assert_int_equal(fx_call_i64(fx, &client, there, "get"), 1);
    fx_cold_restart(fx);
    fx_step_ms(fx, 5000);
    assert_int_equal(fx_stats(fx)->duplicates, 0);
    fx_destroy(fx);
}

static void test_judge_names_each_case(void **state)
{
    struct stead_seq at[12];

    (void)state;
    for (uint64_t i = 0; i < 12; i++)
        at[i] = (struct stead_seq){7, i};
    assert_int_equal(stead_channel_judge(at[5], at[2], at[5], at[6]), STEAD_CHANNEL_TAKE);
    assert_int_equal(stead_channel_judge(at[5], at[2], at[4], at[5]), STEAD_CHANNEL_DUPLICATE);
    assert_int_equal(stead_channel_judge(at[5], at[2], at[2], at[3]), STEAD_CHANNEL_DUPLICATE);
    assert_int_equal(stead_channel_judge(at[5], at[2], at[6], at[7]), STEAD_CHANNEL_GAP);
    assert_int_equal(stead_channel_judge(at[5], at[5], at[6], at[7]), STEAD_CHANNEL_GAP);
    assert_int_equal(stead_channel_judge(at[5], at[6], at[6], at[7]), STEAD_CHANNEL_FORGOTTEN_HERE);
    assert_int_equal(stead_channel_judge(at[5], at[6], at[8], at[9]), STEAD_CHANNEL_FORGOTTEN_HERE);
    /* A sender that came back from an old folder starts again under a new epoch. */
    struct stead_seq reused = {8, 4};
    assert_int_equal(stead_channel_judge(at[5], at[2], at[3], reused), STEAD_CHANNEL_FORGOTTEN_THERE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signal_leaves_after_its_commit_and_once),
        cmocka_unit_test(test_read_only_call_does_not_overtake_signals),
        cmocka_unit_test(test_window_bounds_what_is_in_flight),
        cmocka_unit_test(test_window_counts_bytes_too),
        cmocka_unit_test(test_record_above_the_window_leaves_alone),
        cmocka_unit_test(test_record_of_a_shut_window_leaves_with_its_commit),
        cmocka_unit_test(test_record_that_waits_for_its_commit_leaves_once),
        cmocka_unit_test(test_record_that_is_written_anew_keeps_none_back),
        cmocka_unit_test(test_round_sends_no_more_than_its_share),
        cmocka_unit_test(test_unacknowledged_signals_are_sent_again_ever_more_rarely),
        cmocka_unit_test(test_peer_that_is_back_gets_what_it_is_owed_at_once),
        cmocka_unit_test(test_gap_is_answered_with_everything_from_there),
        cmocka_unit_test(test_gap_of_what_was_just_sent_again_waits_for_its_answer),
        cmocka_unit_test(test_outbox_survives_a_restart_and_its_numbers_go_on),
        cmocka_unit_test(test_acknowledgement_of_what_was_never_sent_is_history_lost),
        cmocka_unit_test(test_signals_are_taken_in_order_and_acknowledged_after_their_commit),
        cmocka_unit_test(test_gap_is_reported_and_nothing_behind_it_is_taken),
        cmocka_unit_test(test_channel_goes_on_behind_what_was_forgotten_here),
        cmocka_unit_test(test_channel_goes_on_behind_what_its_sender_forgot),
        cmocka_unit_test(test_outbox_goes_on_behind_what_was_forgotten_here),
        cmocka_unit_test(test_trimmed_number_is_one_of_this_folder),
        cmocka_unit_test(test_channel_stops_at_an_agent_that_loads_and_goes_on_in_order),
        cmocka_unit_test(test_taken_record_of_the_same_shard_leaves_the_outbox),
        cmocka_unit_test(test_judge_names_each_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
