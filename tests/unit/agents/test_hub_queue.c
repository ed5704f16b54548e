/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue of the hub: what a storage service promises (order, hiding, receipts, ids that are not taken twice), what it
 * costs (an empty read no sync, a message and its delivery one), and what a crash leaves.
 */
#include "unit/agents/hub_queue_fixture.h"

/* ---- Order, hiding, receipts ----------------------------------------------------------------- */

static void test_messages_come_in_order_and_in_batches(void **state)
{
    struct taken list[32];
    char body[16];

    (void)state;
    for (int at = 0; at < 40; at++) {
        snprintf(body, sizeof(body), "m%d", at);
        put("", body, 0);
    }
    assert_int_equal(get(list, 32, 1000), 32);
    for (int at = 0; at < 32; at++) {
        snprintf(body, sizeof(body), "m%d", at);
        assert_string_equal(list[at].body, body);
        assert_int_equal(list[at].count, 1);
    }
    assert_int_equal(get(list, 32, 1000), 8);
    assert_string_equal(list[7].body, "m39");
    assert_int_equal(get(list, 32, 1000), 0);
    assert_int_equal(status_of("hidden"), 40);
    assert_int_equal(status_of("depth"), 40);
}

static void test_a_message_taken_and_not_deleted_comes_again_with_another_receipt(void **state)
{
    struct taken first, again;

    (void)state;
    put("", "x", 0);
    assert_int_equal(get(&first, 1, 500), 1);
    fx_step_ms(fx, 499);
    assert_int_equal(get(&again, 1, 500), 0);
    fx_step_ms(fx, 1);
    assert_int_equal(get(&again, 1, 500), 1);
    assert_int_equal(again.seq, first.seq);
    assert_int_equal(again.count, 2);
    assert_true(again.receipt != first.receipt);
    assert_int_equal(done(&first), 0);
    assert_int_equal(done(&again), 1);
    assert_int_equal(done(&again), 0);
    assert_int_equal(status_of("depth"), 0);
    fx_step_ms(fx, 1000);
    assert_int_equal(get(&again, 1, 500), 0);
}

static void test_retiring_deletes_with_what_is_stored_next(void **state)
{
    struct taken list[2];

    (void)state;
    put("", "x", 0);
    put("", "y", 0);
    assert_int_equal(get(list, 2, 500), 2);
    uint64_t entries = fx_stats(fx)->entries;
    send("retire", "[[u,u]]", list[0].seq, list[0].receipt);
    assert_null(answer);
    put("", "z", 0);
    take_answer(); /* there are two */
    assert_int_equal(fx_stats(fx)->entries, entries + 1);
    send("retire", "[[u,u]]", list[1].seq, list[1].receipt);
    assert_null(answer);
    fx_step_ms(fx, 20);
    assert_int_equal(fx_stats(fx)->entries, entries + 2);
    fx_crash(fx, true);
    assert_int_equal(status_of("depth"), 1);
}

static void test_renewing_hides_it_on_and_gives_a_new_receipt(void **state)
{
    struct taken taken, again;
    struct taken renewed;

    (void)state;
    put("", "x", 0);
    assert_int_equal(get(&taken, 1, 500), 1);
    fx_step_ms(fx, 400);
    send("renew", "{s:u,s:u,s:l}", "seq", taken.seq, "receipt", taken.receipt, "hide", (int64_t)500);
    assert_int_equal(answer->status, 0);
    renewed = taken;
    assert_int_equal(stead_get_u64(stead_message_payload(answer), NULL, &renewed.receipt), 0);
    fx_step_ms(fx, 499);
    assert_int_equal(get(&again, 1, 500), 0);
    assert_int_equal(done(&taken), 0);
    fx_step_ms(fx, 1);
    assert_int_equal(get(&again, 1, 500), 1);
    send("renew", "{s:u,s:u,s:l}", "seq", taken.seq, "receipt", renewed.receipt, "hide", (int64_t)500);
    assert_int_equal(answer->status, STEAD_ENOTFOUND);
    assert_int_equal(done(&again), 1);
}

static void test_renewing_never_makes_it_visible_sooner(void **state)
{
    struct taken taken, again, renewed;

    (void)state;
    put("", "x", 0);
    assert_int_equal(get(&taken, 1, 500), 1);
    send("renew", "{s:u,s:u,s:l}", "seq", taken.seq, "receipt", taken.receipt, "hide", (int64_t)100);
    renewed = taken;
    assert_int_equal(stead_get_u64(stead_message_payload(answer), NULL, &renewed.receipt), 0);
    assert_true(renewed.receipt > taken.receipt); /* else a later taking could be given the first one again */
    fx_step_ms(fx, 500);
    assert_int_equal(get(&again, 1, 500), 0);
    assert_int_equal(done(&taken), 0);
    fx_step_ms(fx, 1);
    assert_int_equal(get(&again, 1, 500), 1);
    assert_int_equal(done(&again), 1);
}

static void test_a_delayed_message_is_seen_when_its_time_has_come(void **state)
{
    struct taken list[4];

    (void)state;
    put("", "late", 1000);
    put("", "now", 0);
    assert_int_equal(get(list, 4, 60000), 1);
    assert_string_equal(list[0].body, "now");
    fx_step_ms(fx, 999);
    assert_int_equal(get(list, 4, 60000), 0);
    fx_step_ms(fx, 1);
    assert_int_equal(get(list, 4, 60000), 1);
    assert_string_equal(list[0].body, "late");
}

static void test_a_long_body_comes_whole_and_leaves_nothing(void **state)
{
    enum { SIZE = 900000 };
    char *text = malloc(SIZE + 1);
    struct stead_reader reader;
    struct stead_slice body;
    struct taken taken;
    uint32_t count;

    (void)state;
    memset(text, 'x', SIZE);
    text[SIZE] = 0;
    for (int at = 0; at < 2; at++)
        put("", text, 0);
    send("dequeue", "{s:l}", "max", (int64_t)32);
    reader = stead_reader(stead_message_payload(answer));
    assert_int_equal(stead_read_array(&reader, &count), 0);
    assert_int_equal(count, 1); /* two are more than an answer may hold */
    assert_int_equal(stead_read_array(&reader, &count), 0);
    assert_int_equal(stead_read_u64(&reader, &taken.seq), 0);
    assert_int_equal(stead_read_u64(&reader, &taken.receipt), 0);
    assert_int_equal(stead_read_skip(&reader), 0);
    assert_int_equal(stead_read_skip(&reader), 0);
    assert_int_equal(stead_read_str(&reader, &body), 0);
    assert_true(stead_slice_equal(body, stead_str(text)));
    assert_int_equal(done(&taken), 1);
    free(text);
}

/* Sends the pieces of these args, but for one (UINT32_MAX: none), and the operation. */
static void send_in_pieces(const char *name, struct stead_slice args, uint32_t without)
{
    enum { PIECE = 400000 };
    struct stead_slice parcel = stead_bytes(name, 16);
    uint32_t pieces = 0;

    for (size_t at = 0; at < args.size; at += PIECE, pieces++)
        if (pieces != without)
            send("piece", "{s:B,s:u,s:B}", "parcel", parcel, "at", (uint64_t)pieces, "bytes",
                 stead_bytes(args.data + at, args.size - at < PIECE ? args.size - at : PIECE));
    send("enqueue", "{s:B,s:u}", "parcel", parcel, "pieces", (uint64_t)pieces);
}

static void pack_long(struct stead_writer *args, const char *id, size_t size)
{
    uint8_t *bytes = calloc(1, size);

    bytes[size - 1] = 7;
    stead_writer_init(args);
    stead_pack(args, "{s:s,s:B}", "id", id, "body", stead_bytes(bytes, size));
    free(bytes);
}

/* Takes one message with such a body, of `size` bytes. */
static void get_long(struct taken *ret_taken, size_t size)
{
    struct stead_writer body;
    struct stead_reader reader;
    struct stead_slice part = {NULL, 0}, id;
    uint32_t count, six;
    uint64_t told = 0;

    send("dequeue", "{s:l}", "max", (int64_t)32);
    reader = stead_reader(stead_message_payload(answer));
    assert_int_equal(stead_read_array(&reader, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(stead_read_array(&reader, &six), 0);
    assert_int_equal(six, 6);
    assert_int_equal(stead_read_u64(&reader, &ret_taken->seq), 0);
    assert_int_equal(stead_read_u64(&reader, &ret_taken->receipt), 0);
    assert_int_equal(stead_read_u64(&reader, &ret_taken->count), 0);
    assert_int_equal(stead_read_str(&reader, &id), 0);
    assert_int_equal(stead_read_skip(&reader), 0);
    assert_int_equal(stead_read_u64(&reader, &told), 0);
    stead_writer_init(&body);
    while (body.size < told) {
        send("body", "{s:u,s:u}", "seq", ret_taken->seq, "at", (uint64_t)body.size);
        assert_int_equal(answer->status, 0);
        assert_int_equal(stead_get_bin(stead_message_payload(answer), NULL, &part), 0);
        stead_write_raw(&body, part.data, part.size);
    }
    assert_int_equal(stead_get_bin(stead_written(&body), NULL, &part), 0);
    assert_int_equal(part.size, size);
    assert_int_equal(part.data[size - 1], 7);
    stead_writer_deinit(&body);
}

static void test_a_body_longer_than_a_payload_comes_and_goes_in_pieces(void **state)
{
    enum { SIZE = 1048576 + 1000 };
    struct stead_writer args;
    struct taken taken;

    (void)state;
    put("warm", "x", 0);
    assert_int_equal(get(&taken, 1, 1000), 1);
    assert_int_equal(done(&taken), 1);
    fx_cold_restart(fx);
    client = fx_client(fx, 2);
    uint32_t rows = fx->row_count;
    pack_long(&args, "long", SIZE);
    send_in_pieces("0123456789abcdef", stead_written(&args), 1);
    assert_int_equal(answer->status, STEAD_EIO); /* one is missing: nothing was put in, and the sender may try again */
    assert_int_equal(status_of("depth"), 0);
    send_in_pieces("0123456789abcdef", stead_written(&args), UINT32_MAX);
    assert_int_equal(answer->status, 0);
    send_in_pieces("fedcba9876543210", stead_written(&args), UINT32_MAX);
    assert_false(is_new());
    stead_writer_deinit(&args);
    fx_crash(fx, true);
    client = fx_client(fx, 3);
    get_long(&taken, SIZE);
    assert_int_equal(done(&taken), 1);
    pack_long(&args, "too long", 1048576 + 65536);
    send_in_pieces("aaaaaaaaaaaaaaaa", stead_written(&args), UINT32_MAX);
    assert_int_equal(answer->status, STEAD_EFAILED);
    assert_int_equal(status_of("depth"), 0);
    stead_writer_deinit(&args);
    fx_step_ms(fx, 3600001);
    client = fx_client(fx, 4);
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:s}", "id", "next", "body", "x");
    send_in_pieces("bbbbbbbbbbbbbbbb", stead_written(&args), UINT32_MAX);
    stead_writer_deinit(&args);
    assert_int_equal(get(&taken, 1, 1000), 1);
    assert_int_equal(done(&taken), 1);
    fx_cold_restart(fx);
    assert_true(fx->row_count <= rows + 8); /* ids that were deleted, and that a parcel came: no piece */
}

/* The count of an answer that is a list. */
static uint32_t count_of_answer(void)
{
    struct stead_reader reader = stead_reader(stead_message_payload(answer));
    uint32_t count = UINT32_MAX;

    assert_int_equal(answer->status, 0);
    assert_int_equal(stead_read_array(&reader, &count), 0);
    return count;
}

static void test_short_ones_before_the_longest_do_not_make_an_answer_too_large(void **state)
{
    enum { LONG = (1 << 20) - 2048 - 8 };
    char *text = calloc(1, LONG + 1), body[1001] = "";
    struct taken list[32];

    (void)state;
    memset(text, 'x', LONG);
    memset(body, 'y', sizeof(body) - 1);
    for (int at = 0; at < 31; at++)
        send("enqueue", "{s:s}", "body", body);
    send("enqueue", "{s:s}", "body", text);
    assert_int_equal(answer->status, 0);
    send("peek", "{}");
    assert_int_equal(count_of_answer(), 31);
    assert_int_equal(get(list, 32, 1000), 31);
    send("dequeue", "{s:l}", "max", (int64_t)32);
    assert_int_equal(count_of_answer(), 1);
    free(text);
}

static void test_bodies_with_rows_of_their_own_come_in_batches_and_are_seen_by_a_peek(void **state)
{
    char text[3001] = "";
    struct stead_reader reader;
    struct stead_slice body;
    uint32_t count;

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    for (int at = 0; at < 40; at++)
        send("enqueue", "{s:s}", "body", text);
    send("peek", "{s:d}", "max", 100);
    assert_int_equal(count_of_answer(), 40);
    reader = stead_reader(stead_message_payload(answer));
    for (int at = 0; at < 2; at++) /* the list, its first */
        assert_int_equal(stead_read_array(&reader, &count), 0);
    for (int at = 0; at < 5; at++)
        assert_int_equal(stead_read_skip(&reader), 0);
    assert_int_equal(stead_read_str(&reader, &body), 0);
    assert_true(stead_slice_equal(body, stead_str(text)));
    send("dequeue", "{s:l}", "max", (int64_t)32);
    assert_int_equal(count_of_answer(), 32);
}

static void test_what_is_no_request_is_refused(void **state)
{
    (void)state;
    send("dequeue", "{s:l}", "max", (int64_t)33);
    assert_int_equal(answer->status, STEAD_EFAILED);
    send("dequeue", "{s:l}", "hide", (int64_t)0);
    assert_int_equal(answer->status, STEAD_EFAILED);
    send("dequeue", "{s:s}", "wait", "long");
    assert_int_equal(answer->status, STEAD_EFAILED);
    send("delete", "[[u]]", (uint64_t)1);
    assert_int_equal(answer->status, STEAD_EFAILED);
    send("delete", "{}");
    assert_int_equal(answer->status, STEAD_EFAILED);
    send("enqueue", "{s:l}", "delay", (int64_t)-1);
    assert_int_equal(answer->status, STEAD_EFAILED);
    send("enqueue", "{s:s}", "id", "order#17"); /* is that of a copy */
    assert_int_equal(answer->status, STEAD_EFAILED);
    assert_int_equal(status_of("depth"), 0);
}

/* ---- Costs ------------------------------------------------------------------------------------- */

static void test_an_empty_read_costs_no_sync(void **state)
{
    struct taken taken;

    (void)state;
    put("", "x", 0);
    assert_int_equal(get(&taken, 1, 1000), 1);
    fx_step_ms(fx, 10);
    uint32_t flushes = fx->flushes;
    for (int at = 0; at < 10; at++) {
        fx_step_ms(fx, 1);
        assert_int_equal(get(&taken, 1, 1000), 0);
    }
    send("dequeue", "{s:l,s:l}", "max", (int64_t)1, "wait", (int64_t)100);
    assert_null(answer);
    fx_step_ms(fx, 100);
    take_answer();
    assert_int_equal(read_taken(&taken), 0);
    assert_int_equal(fx->flushes, flushes);
    assert_int_equal(status_of("empty"), 11);
}

static void test_a_message_and_its_delivery_share_a_sync(void **state)
{
    struct taken taken;

    (void)state;
    put("", "first", 0); /* the queue is there */
    assert_int_equal(get(&taken, 1, 60000), 1);
    send("dequeue", "{s:l,s:l}", "max", (int64_t)1, "wait", (int64_t)10000);
    assert_null(answer);
    uint32_t flushes = fx->flushes;
    fx->hold_sync = true;
    send("enqueue", "{s:s}", "body", "x");
    assert_null(answer); /* nobody hears of it before it is synced */
    fx->hold_sync = false;
    fx_run(fx);
    assert_int_equal(fx->flushes, flushes + 1);
    take_answer();
    assert_true(is_new());
    take_answer();
    assert_int_equal(read_taken(&taken), 1);
    assert_string_equal(taken.body, "x");
    assert_int_equal(done(&taken), 1);
}

/* ---- Who waits ----------------------------------------------------------------------------------- */

static void test_those_who_wait_are_served_in_their_order(void **state)
{
    struct taken taken;
    struct fx_client others[3] = {fx_client(fx, 5), fx_client(fx, 6), fx_client(fx, 7)};
    uint64_t connections[3];

    (void)state;
    for (int at = 0; at < 3; at++) {
        client = others[at];
        connections[at] = client.connection;
        send("dequeue", "{s:l,s:l}", "max", (int64_t)1, "wait", (int64_t)10000);
        assert_null(answer);
    }
    client = fx_client(fx, 1);
    for (int at = 0; at < 3; at++) {
        put("", at == 0 ? "a" : at == 1 ? "b" : "c", 0);
        take_answer();
        assert_non_null(answer);
        assert_int_equal(answer->route.connection, connections[at]);
        assert_int_equal(read_taken(&taken), 1);
        assert_int_equal(taken.body[0], 'a' + at);
    }
}

static void test_a_waiter_gets_a_delayed_and_a_returning_message(void **state)
{
    struct taken taken;

    (void)state;
    put("", "back", 0);
    assert_int_equal(get(&taken, 1, 300), 1);
    send("dequeue", "{s:l,s:l,s:l}", "max", (int64_t)1, "wait", (int64_t)10000, "hide", (int64_t)60000);
    assert_null(answer);
    put("", "late", 200);
    fx_step_ms(fx, 199);
    take_answer();
    assert_null(answer);
    fx_step_ms(fx, 1);
    take_answer();
    assert_int_equal(read_taken(&taken), 1);
    assert_string_equal(taken.body, "late");
    send("dequeue", "{s:l,s:l}", "max", (int64_t)1, "wait", (int64_t)10000);
    assert_null(answer);
    fx_step_ms(fx, 100);
    take_answer();
    assert_int_equal(read_taken(&taken), 1);
    assert_string_equal(taken.body, "back");
    assert_int_equal(taken.count, 2);
}

/* The clock was set back: what was put in by the newer one cannot be seen yet, nor what is put in now with a delay. Who
 * waits gets it all in its time, and an end to its wait. */
static void test_who_waits_is_served_after_the_clock_was_set_back(void **state)
{
    static const int64_t waits_ms[] = {400, 10000, 10000};
    static const uint64_t steps_ms[] = {400, 400, 100};
    static const char *const bodies[] = {NULL, "late", "back"};
    struct taken taken;

    (void)state;
    fx_step_ms(fx, 1000);
    put("", "back", 0);
    assert_int_equal(get(&taken, 1, 300), 1);
    fx->now_ms -= 600;
    fx_crash(fx, false);
    put("", "late", 200);
    for (int at = 0; at < 3; at++) {
        send("dequeue", "{s:l,s:l,s:l}", "max", (int64_t)1, "wait", waits_ms[at], "hide", (int64_t)60000);
        assert_null(answer);
        fx_step_ms(fx, steps_ms[at] - 1);
        take_answer();
        assert_null(answer);
        fx_step_ms(fx, 1);
        take_answer();
        assert_non_null(answer);
        assert_int_equal(read_taken(&taken), bodies[at] != NULL);
        if (bodies[at] != NULL)
            assert_string_equal(taken.body, bodies[at]);
    }
}

static void test_more_than_64_are_not_let_wait(void **state)
{
    (void)state;
    for (int at = 0; at < 64; at++) {
        send("dequeue", "{s:l}", "wait", (int64_t)10000);
        assert_null(answer);
    }
    send("dequeue", "{s:l}", "wait", (int64_t)10000);
    assert_int_equal(answer->status, STEAD_EFAILED);
    fx_step_ms(fx, 10000);
    for (int at = 0; at < 64; at++) {
        take_answer();
        assert_non_null(answer);
    }
    assert_int_equal(status_of("waiting"), 0);
}

/* ---- Crashes --------------------------------------------------------------------------------------- */

/* A worker died with its node, and asks again in its next life: what comes goes there, not into the grave. */
static void test_who_asks_again_ends_its_older_wait(void **state)
{
    struct fx_client dead = fx_client(fx, 5), living = fx_client(fx, 6), other = fx_client(fx, 7);
    struct taken taken;

    (void)state;
    client = dead;
    send("dequeue", "{s:d,s:d}", "wait", 10000, "who", 3);
    client = other;
    send("dequeue", "{s:d,s:d}", "wait", 10000, "who", 4);
    client = living;
    send("dequeue", "{s:d,s:d}", "wait", 10000, "who", 3);
    assert_non_null(answer); /* the older one's */
    assert_int_equal(answer->route.connection, dead.connection);
    assert_int_equal(read_taken(&taken), 0);
    client = fx_client(fx, 1);
    assert_int_equal(status_of("waiting"), 2);
    for (int at = 0; at < 2; at++) {
        put("", "x", 0);
        take_answer();
        assert_int_equal(answer->route.connection, at == 0 ? other.connection : living.connection);
        assert_int_equal(read_taken(&taken), 1);
    }
}

static void test_who_waited_asks_again_after_a_crash(void **state)
{
    struct taken taken;

    (void)state;
    put("", "x", 0);
    assert_int_equal(get(&taken, 1, 60000), 1);
    struct stead_writer args;
    stead_writer_init(&args);
    stead_pack(&args, "{s:l}", "wait", (int64_t)10000);
    struct stead_message *message = fx_request(fx, &client, STEAD_CALL, QUEUE, "dequeue", stead_written(&args), NULL);
    stead_writer_deinit(&args);
    fx_deliver(fx, message);
    fx_deliver(fx, message); /* a retry waits with it */
    assert_int_equal(fx->answers.count, 0);
    assert_int_equal(status_of("waiting"), 1);
    fx_crash(fx, true);
    fx_deliver(fx, message);
    assert_int_equal(fx->answers.count, 0);
    put("", "y", 0);
    take_answer();
    assert_int_equal(read_taken(&taken), 1);
    assert_string_equal(taken.body, "y");
    fx_deliver(fx, message); /* what was taken is told again, not taken again */
    take_answer();
    assert_int_equal(read_taken(&taken), 1);
    assert_string_equal(taken.body, "y");
    stead_message_destroy(&message);
}

static void test_a_crash_loses_nothing_that_was_said(void **state)
{
    struct taken list[4];

    (void)state;
    for (int at = 0; at < 3; at++)
        put(at == 0 ? "a" : at == 1 ? "b" : "c", at == 0 ? "a" : at == 1 ? "b" : "c", 0);
    assert_int_equal(get(list, 1, 1000), 1);
    assert_int_equal(done(&list[0]), 1);
    assert_int_equal(get(list, 1, 1000), 1);
    fx_crash(fx, true);
    put("a", "again", 0);
    assert_false(is_new());
    assert_int_equal(status_of("depth"), 2);
    assert_int_equal(get(&list[1], 4, 1000), 1);
    assert_string_equal(list[1].body, "c");
    fx_cold_restart(fx);
    client = fx_client(fx, 3);
    fx_step_ms(fx, 1000);
    assert_int_equal(get(list, 4, 1000), 2);
    assert_string_equal(list[0].body, "b");
    assert_int_equal(list[0].count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_messages_come_in_order_and_in_batches, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_message_taken_and_not_deleted_comes_again_with_another_receipt, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_retiring_deletes_with_what_is_stored_next, setup, teardown),
        cmocka_unit_test_setup_teardown(test_renewing_hides_it_on_and_gives_a_new_receipt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_renewing_never_makes_it_visible_sooner, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_delayed_message_is_seen_when_its_time_has_come, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_long_body_comes_whole_and_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_body_longer_than_a_payload_comes_and_goes_in_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_short_ones_before_the_longest_do_not_make_an_answer_too_large, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_bodies_with_rows_of_their_own_come_in_batches_and_are_seen_by_a_peek,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_no_request_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_empty_read_costs_no_sync, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_message_and_its_delivery_share_a_sync, setup, teardown),
        cmocka_unit_test_setup_teardown(test_those_who_wait_are_served_in_their_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_waiter_gets_a_delayed_and_a_returning_message, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_waits_is_served_after_the_clock_was_set_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_more_than_64_are_not_let_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_asks_again_ends_its_older_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_waited_asks_again_after_a_crash, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_crash_loses_nothing_that_was_said, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
