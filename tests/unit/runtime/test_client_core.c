/* SPDX-License-Identifier: Apache-2.0 */
/* The client's state machine, by its transcripts. */
#include "unit/runtime/client_scene.h"

/* ---- The plain way -------------------------------------------------------------------------- */

static void test_request_before_any_table_waits_for_it(void **state)
{
    struct scene *scene = scene_open();

    (void)state;
    submit(scene, "a/1");
    submit(scene, "a/2");
    expect(scene, "refresh\n");
    give_table(scene, 1, 1, 3);
    expect(scene, "connect 1.0\nconnect 1.0\n");
    stead_client_core_peer_up(scene->core, 1, 0);
    expect(scene, "send 1.0 call a/1 #1<0\nsend 1.0 call a/2 #2<0\n");
    answer(scene, 1, 0);
    expect(scene, "end a/1 ok\n");
    answer(scene, 0, STEAD_EFAILED);
    expect(scene, "end a/2 failed\n");
    assert_int_equal(stead_client_core_in_flight(scene->core), 0);
    assert_true(stead_client_core_due(scene->core) == STEAD_CLIENT_NEVER);
    scene_close(scene);
}

static void test_mark_passes_a_number_only_when_all_below_have_ended(void **state)
{
    struct scene *scene = scene_connected();

    (void)state;
    submit(scene, "a/1");
    submit(scene, "a/2");
    submit(scene, "a/3");
    answer(scene, 0, 0); /* a/3 */
    answer(scene, 1, 0); /* a/2 */
    submit(scene, "a/4");
    answer(scene, 3, 0); /* a/1 */
    submit(scene, "a/5");
    expect(scene, "send 1.0 call a/1 #1<0\nsend 1.0 call a/2 #2<0\nsend 1.0 call a/3 #3<0\nend a/3 ok\nend a/2 ok\n"
                  "send 1.0 call a/4 #4<0\nend a/1 ok\nsend 1.0 call a/5 #5<3\n");
    scene_close(scene);
}

/* What a request told beyond its mark: `ended_to` and the open numbers, as text. */
static const char *told(const struct stead_message *message)
{
    static char text[256];
    struct stead_slice ended = stead_message_ended(message);
    size_t size = 0;

    text[0] = '\0';
    for (size_t at = 0; at < ended.size; at += 8)
        size += (size_t)snprintf(text + size, sizeof(text) - size, at == 0 ? "%llu:" : " %llu",
                                 (unsigned long long)stead_load64(ended.data + at));
    return text;
}

/* So many requests, one after the other, each answered. */
static void ask_in_turn(struct scene *scene, const char *address, uint32_t count)
{
    for (; count > 0; count--) {
        submit(scene, address);
        answer(scene, 0, 0);
        scene->log_size = 0; /* a transcript of them all would be too long */
    }
}

static const struct stead_message *last_sent(const struct scene *scene)
{
    return scene->sent[scene->sent_count - 1];
}

/* Receivers keep the answers of what has not ended; one slow request must not make them keep all that came after. */
static void test_slow_request_is_told_apart_from_what_has_ended_behind_it(void **state)
{
    struct scene *scene = scene_connected();

    (void)state;
    submit(scene, "k/slow");
    ask_in_turn(scene, "k/slow", 257);
    assert_int_equal(last_sent(scene)->session.mark, 0);
    assert_string_equal(told(last_sent(scene)), "");
    ask_in_turn(scene, "k/slow", 2);
    assert_int_equal(last_sent(scene)->session.mark, 0);
    assert_string_equal(told(last_sent(scene)), "259: 1");
    ask_in_turn(scene, "k/slow", 1000);
    assert_string_equal(told(last_sent(scene)), "1259: 1");
    stead_client_core_check(scene->core);
    answer(scene, 1259, 0);
    expect(scene, "end k/slow ok\n");
    submit(scene, "k/slow");
    expect(scene, "send 1.0 call k/slow #1261<1260\n");
    assert_string_equal(told(last_sent(scene)), "");
    scene_close(scene);
}

static void test_request_carries_what_was_asked_for(void **state)
{
    struct scene *scene = scene_connected();
    struct stead_client_request request = request_to("a/1");
    const struct stead_message *sent;

    (void)state;
    request.type = STEAD_SIGNAL;
    request.key = stead_str("once");
    request.delay_ms = 70;
    request.fence = 5;
    request.timeout_ms = 250;
    request.durability = STEAD_CLASS_DURABLE;
    assert_int_equal(stead_client_core_submit(scene->core, &request), 0);
    sent = scene->sent[0];
    assert_int_equal(sent->groups, STEAD_GROUP_SESSION | STEAD_GROUP_KEY | STEAD_GROUP_DELAY | STEAD_GROUP_FENCE);
    assert_int_equal(sent->delay_ms, 70);
    assert_int_equal(sent->fence, 5);
    assert_int_equal(sent->deadline_ms, 1700000001250ull);
    assert_int_equal(sent->durability, STEAD_CLASS_DURABLE);
    assert_int_equal(sent->slot.v, stead_address_slot(stead_str("a/1"), 0).v);
    assert_int_equal(sent->source_slot.v, STEAD_SLOT_SESSION);
    assert_int_equal(sent->table_version, 1);
    assert_memory_equal(sent->key, "once", 4);
    scene_close(scene);
}

/* ---- Retries and deadlines ------------------------------------------------------------------ */

static void test_request_without_answer_goes_again_under_its_number_and_id(void **state)
{
    struct scene *scene = scene_connected();

    (void)state;
    submit(scene, "a/1");
    advance(scene, 999);
    expect(scene, "send 1.0 call a/1 #1<0\n");
    advance(scene, 1);
    expect(scene, "send 1.0 call a/1 #1<0 retry\n");
    advance(scene, 1999);
    expect(scene, "");
    advance(scene, 1);
    expect(scene, "send 1.0 call a/1 #1<0 retry\n");
    assert_true(stead_id_equal(scene->sent[0]->id, scene->sent[2]->id));
    answer(scene, 2, 0);
    answer(scene, 1, 0); /* of the second send */
    expect(scene, "end a/1 ok\n");
    assert_int_equal(stead_client_core_counters(scene->core)->answers_dropped, 1);
    scene_close(scene);
}

static void test_request_past_its_deadline_has_an_unknown_outcome(void **state)
{
    struct scene *scene = scene_connected();

    (void)state;
    submit(scene, "a/1");
    scene->log_size = 0;
    for (int i = 0; i < 99; i++)
        advance(scene, 100);
    expect(scene, "send 1.0 call a/1 #1<0 retry\nsend 1.0 call a/1 #1<0 retry\nsend 1.0 call a/1 #1<0 retry\n");
    advance(scene, 100);
    expect(scene, "end a/1 timeout\n");
    answer(scene, 0, 0);
    expect(scene, "");
    scene_close(scene);
}

static void test_request_never_sent_is_unavailable_at_its_deadline(void **state)
{
    struct scene *scene = scene_open();

    (void)state;
    give_table(scene, 1, 1, 3);
    submit(scene, "a/1");
    scene->log_size = 0;
    set_now(scene, scene->now_ms + 10000);
    stead_client_core_step(scene->core);
    expect(scene, "end a/1 unavailable\n");
    scene_close(scene);
}

static void test_request_refused_busy_waits_and_goes_again(void **state)
{
    struct scene *scene = scene_connected();

    (void)state;
    submit(scene, "a/1");
    answer(scene, 0, STEAD_EBUSY);
    expect(scene, "send 1.0 call a/1 #1<0\n");
    give_table(scene, 2, 1, 3); /* a new table does not hurry it */
    stead_client_core_peer_up(scene->core, 1, 0);
    expect(scene, "");
    advance(scene, 49);
    expect(scene, "");
    advance(scene, 14); /* the 50 ms that the answer asks for, and at most a quarter more */
    expect(scene, "send 1.0 call a/1 #1<0 retry\n");
    answer(scene, 0, 0);
    expect(scene, "end a/1 ok\n");
    scene_close(scene);
}

static void test_request_refused_until_its_deadline_was_not_executed(void **state)
{
    struct scene *scene = scene_connected();
    struct stead_client_request request = request_to("a/1");

    (void)state;
    request.timeout_ms = 5; /* shorter than any back-off */
    assert_int_equal(stead_client_core_submit(scene->core, &request), 0);
    answer(scene, 0, STEAD_EBUSY);
    expect(scene, "send 1.0 call a/1 #1<0\nend a/1 busy\n");
    scene_close(scene);
}

static void test_job_that_is_given_up_is_told_where_it_was_sent(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++) {
        struct scene *scene = scene_connected();
        struct stead_client_request job = request_to("job/1");
        job.type = how == 1 ? STEAD_SIGNAL : STEAD_CALL;
        stead_client_core_peer_up(scene->core, 2, 0);
        submit(scene, "a/1"); /* an agent's turn is not told */
        assert_int_equal(stead_client_core_submit(scene->core, &job), 0);
        if (how == 2)
            answer(scene, 0, STEAD_EBUSY); /* it did nothing and said so */
        scene->log_size = 0;
        if (how == 3)
            set_now(scene, scene->now_ms + 10000), stead_client_core_step(scene->core);
        else
            stead_client_core_cancel_all(scene->core);
        const char *told = strstr(scene->log, "cancel job/1 #2<");
        assert_int_equal(told != NULL, how == 0 || how == 3);
        assert_null(strstr(scene->log, "cancel a/1"));
        if (how == 0) {
            const struct stead_message *cancel = scene->sent[2], *call = scene->sent[1];
            assert_true(stead_id_equal(cancel->id, call->id));
            assert_true(stead_id_equal(cancel->session.id, call->session.id));
            assert_int_equal(cancel->slot.v, call->slot.v);
        }
        scene_close(scene);
    }
}

static void test_request_refused_once_but_sent_twice_may_have_been_executed(void **state)
{
    struct scene *scene = scene_connected();

    (void)state;
    submit(scene, "a/1");
    advance(scene, 1000);
    advance(scene, 8995);
    scene->log_size = 0;
    answer(scene, 0, STEAD_EBUSY);
    set_now(scene, scene->now_ms + 100);
    stead_client_core_step(scene->core);
    expect(scene, "end a/1 timeout\n");
    scene_close(scene);
}

/* ---- Owners and connections ----------------------------------------------------------------- */

static void test_request_sent_to_the_old_owner_follows_the_table(void **state)
{
    struct scene *scene = scene_connected();

    (void)state;
    submit(scene, "a/1");
    answer(scene, 0, STEAD_ENOTOWNER);
    expect(scene, "send 1.0 call a/1 #1<0\nrefresh\n");
    give_table(scene, 2, 2, 3);
    expect(scene, "connect 2.0\n");
    stead_client_core_peer_up(scene->core, 2, 0);
    expect(scene, "send 2.0 call a/1 #1<0 retry\n");
    assert_int_equal(scene->sent[1]->table_version, 2);
    scene_close(scene);
}

static void test_requests_in_flight_move_with_a_new_table_in_order(void **state)
{
    struct scene *scene = scene_connected();

    (void)state;
    stead_client_core_peer_up(scene->core, 2, 0);
    submit(scene, "a/1");
    submit(scene, "a/2");
    scene->log_size = 0;
    give_table(scene, 2, 2, 3);
    expect(scene, "send 2.0 call a/1 #1<0 retry\nsend 2.0 call a/2 #2<0 retry\n");
    give_table(scene, 1, 1, 3); /* older: ignored */
    expect(scene, "");
    answer(scene, 3, 0); /* the old owner had done it all the same */
    expect(scene, "end a/1 ok\n");
    scene_close(scene);
}

static void test_connection_that_comes_back_gets_what_is_unanswered_in_order(void **state)
{
    struct scene *scene = scene_connected();

    (void)state;
    submit(scene, "a/1");
    submit(scene, "a/2");
    submit(scene, "a/3");
    answer(scene, 1, 0);
    scene->log_size = 0;
    stead_client_core_peer_down(scene->core, 1, 0);
    expect(scene, "connect 1.0\nrefresh\n");
    submit(scene, "a/4");
    expect(scene, "connect 1.0\n");
    stead_client_core_peer_up(scene->core, 1, 0);
    expect(scene, "send 1.0 call a/1 #1<0 retry\nsend 1.0 call a/3 #3<0 retry\nsend 1.0 call a/4 #4<0\n");
    scene_close(scene);
}

static void test_stateless_request_goes_to_a_node_that_has_what_it_needs(void **state)
{
    struct scene *scene = scene_open();

    (void)state;
    give_table(scene, 1, 1, 2);
    stead_client_core_peer_up(scene->core, 1, 0);
    stead_client_core_peer_up(scene->core, 2, 0);
    submit(scene, "job/1");
    submit(scene, "job/2");
    expect(scene, "send 2.0 call job/1 #1<0\nsend 2.0 call job/2 #2<0\n");
    scene_close(scene);
}

static void test_stateless_request_of_a_lost_node_goes_to_another(void **state)
{
    struct scene *scene = scene_open();

    (void)state;
    give_table(scene, 1, 1, 2);
    stead_client_core_peer_up(scene->core, 1, 0);
    stead_client_core_peer_up(scene->core, 2, 0);
    submit(scene, "job/1");
    give_table(scene, 2, 1, 3);
    expect(scene, "send 2.0 call job/1 #1<0\n"); /* it stays where it runs */
    stead_client_core_peer_down(scene->core, 2, 0);
    /* Two draws find the other node, unless both fall on the lost one: then it waits for a draw that does not. */
    for (int i = 0; i < 9 && scene->sent_count < 2; i++)
        advance(scene, 1000);
    assert_true(scene->sent_count >= 2);
    assert_non_null(strstr(scene->log, "send 1.0 call job/1 #1<0 retry\n"));
    scene_close(scene);
}

static void test_nobody_reachable_ends_only_what_was_never_sent(void **state)
{
    struct scene *scene = scene_connected();

    (void)state;
    submit(scene, "a/1");
    stead_client_core_peer_down(scene->core, 1, 0);
    submit(scene, "a/2");
    scene->log_size = 0;
    scene->submit_next = "a/3"; /* from a completion: it is not swept away with the others */
    stead_client_core_unreachable(scene->core);
    expect(scene, "end a/2 unavailable\nconnect 1.0\n");
    assert_int_equal(stead_client_core_in_flight(scene->core), 2);
    stead_client_core_cancel_all(scene->core);
    assert_int_equal(stead_client_core_in_flight(scene->core), 0);
    scene_close(scene);
}

static void test_query_to_a_node_that_cannot_be_reached_fails_fast(void **state)
{
    struct scene *scene = scene_connected();
    struct stead_client_request request = request_to("");

    (void)state;
    request.type = STEAD_QUERY;
    request.node = 2;
    request.fail_fast = true;
    request.context = (void *)(uintptr_t) "query";
    assert_int_equal(stead_client_core_submit(scene->core, &request), 0);
    expect(scene, "connect 2.0\n");
    stead_client_core_peer_down(scene->core, 2, 0);
    expect(scene, "end query unavailable\n");
    scene_close(scene);
}

/* ---- Sessions ------------------------------------------------------------------------------- */

static void test_request_whose_session_has_ended_is_asked_in_the_next(void **state)
{
    struct scene *scene = scene_connected();

    (void)state;
    submit(scene, "a/1");
    submit(scene, "a/2");
    answer(scene, 1, STEAD_ESESSION);
    answer(scene, 1, STEAD_ESESSION); /* of a/2: one more record has been sent since */
    expect(scene, "send 1.0 call a/1 #1<0\nsend 1.0 call a/2 #2<0\nsend 1.0 call a/1 #1<0 retry\n"
                  "send 1.0 call a/2 #2<0 retry\n");
    assert_false(stead_id_equal(scene->sent[0]->session.id, scene->sent[2]->session.id));
    assert_true(stead_id_equal(scene->sent[2]->session.id, scene->sent[3]->session.id));
    answer(scene, 0, STEAD_ESESSION); /* twice: something is wrong with our clock, or theirs */
    expect(scene, "end a/2 session_expired\n");
    scene_close(scene);
}

static void test_request_retried_into_an_ended_session_has_an_unknown_outcome(void **state)
{
    struct scene *scene = scene_connected();

    (void)state;
    submit(scene, "a/1");
    advance(scene, 1000);
    scene->log_size = 0;
    answer(scene, 0, STEAD_ESESSION);
    expect(scene, "end a/1 session_expired\n");
    scene_close(scene);
}

static void test_session_at_half_its_age_is_left_for_a_new_one(void **state)
{
    struct scene *scene = scene_connected();
    struct stead_client_request request = request_to("a/slow");

    (void)state;
    request.timeout_ms = 100 * 3600 * 1000;
    assert_int_equal(stead_client_core_submit(scene->core, &request), 0);
    set_now(scene, scene->now_ms + STEAD_CLIENT_SESSION_MS_MAX / 2);
    submit(scene, "a/2");
    assert_false(stead_id_equal(scene->sent[0]->session.id, scene->sent[1]->session.id));
    assert_int_equal(scene->sent[1]->session.number, 1);
    assert_int_equal(stead_client_core_counters(scene->core)->sessions, 2);
    answer(scene, 1, 0); /* in the old session */
    answer(scene, 0, 0);
    expect(scene, "send 1.0 call a/slow #1<0\nsend 1.0 call a/2 #1<0\nend a/slow ok\nend a/2 ok\n");
    scene_close(scene);
}

/* ---- The rest ------------------------------------------------------------------------------- */

static void test_tell_waits_for_its_connection_and_is_never_repeated(void **state)
{
    struct scene *scene = scene_open();

    (void)state;
    assert_int_equal(stead_client_core_tell(scene->core, stead_str("a/1"), stead_str("op"), stead_bytes(NULL, 0)), 0);
    give_table(scene, 1, 1, 3);
    stead_client_core_peer_up(scene->core, 1, 0);
    expect(scene, "refresh\nconnect 1.0\nsend 1.0 tell a/1\n");
    stead_client_core_peer_down(scene->core, 1, 0);
    assert_int_equal(stead_client_core_tell(scene->core, stead_str("a/2"), stead_str("op"), stead_bytes(NULL, 0)), 0);
    stead_client_core_peer_down(scene->core, 1, 0);
    stead_client_core_peer_up(scene->core, 1, 0);
    expect(scene, "connect 1.0\n");
    assert_int_equal(stead_client_core_counters(scene->core)->tells_dropped, 1);
    scene_close(scene);
}

static void test_submit_of_what_no_node_would_take_is_refused_here(void **state)
{
    static const uint8_t bomb[] = {0xdd, 0x10, 0, 0, 0, 1};
    static const char long_key[130] = {[0 ... 128] = 'k'};
    struct scene *scene = scene_connected();
    struct stead_client_request request = request_to("nokey");

    (void)state;
    assert_int_equal(stead_client_core_submit(scene->core, &request), STEAD_EADDRESS);
    request = request_to("a/1");
    request.op = stead_str("No");
    assert_int_equal(stead_client_core_submit(scene->core, &request), STEAD_EARGUMENT);
    request = request_to("a/1");
    request.key = stead_str(long_key);
    assert_int_equal(stead_client_core_submit(scene->core, &request), STEAD_EARGUMENT);
    request = request_to("a/1");
    request.args = stead_bytes(bomb, sizeof(bomb));
    assert_int_equal(stead_client_core_submit(scene->core, &request), STEAD_EARGUMENT);
    request = request_to("a/1");
    request.type = STEAD_TELL;
    assert_int_equal(stead_client_core_submit(scene->core, &request), STEAD_EARGUMENT);
    expect(scene, "");
    scene_close(scene);
}

static void test_pipeline_that_is_full_refuses_more(void **state)
{
    struct scene *scene = scene_connected();
    struct stead_client_request request = request_to("a/1");
    uint32_t taken = 0;

    (void)state;
    stead_client_core_peer_down(scene->core, 1, 0); /* nothing is sent, so nothing is copied */
    while (stead_client_core_submit(scene->core, &request) == 0) {
        taken++;
        scene->log_size = 0;
    }
    assert_int_equal(taken, 8192);
    assert_int_equal(stead_client_core_submit(scene->core, &request), STEAD_EBUSY);
    scene_close(scene);
}

/* Any order of events: every request ends exactly once, and the structures agree all the time. */
static void test_client_under_random_events_ends_every_request_once(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct scene *scene = scene_open();
        const struct stead_client_counters *counters = stead_client_core_counters(scene->core);
        struct stead_rng rng;

        stead_rng_seed(&rng, seed);
        for (int round = 0; round < 600; round++) {
            static const int codes[] = {
                0, 0, 0, STEAD_EFAILED, STEAD_EBUSY, STEAD_ENOTOWNER, STEAD_EUNAVAILABLE, STEAD_ESESSION};
            uint32_t node = 1 + (uint32_t)stead_rng_below(&rng, 2);

            switch (stead_rng_below(&rng, 12)) {
            case 0:
                give_table(scene, (uint64_t)round + 1, node, 1 + (uint32_t)stead_rng_below(&rng, 3));
                break;
            case 1:
                stead_client_core_peer_up(scene->core, node, 0);
                break;
            case 2:
                stead_client_core_peer_down(scene->core, node, 0);
                break;
            case 3:
                advance(scene, stead_rng_below(&rng, 700));
                break;
            case 4:
                if (stead_rng_below(&rng, 8) == 0)
                    stead_client_core_unreachable(scene->core);
                break;
            case 5:
            case 6:
            case 7:
                submit(scene, stead_rng_below(&rng, 3) == 0 ? "job/1" : "a/1");
                break;
            default:
                if (scene->sent_count > 0)
                    answer(scene, (uint32_t)stead_rng_below(&rng, scene->sent_count), codes[stead_rng_below(&rng, 8)]);
            }
            while (scene->sent_count > SENT_MAX / 2)
                stead_message_destroy(&scene->sent[--scene->sent_count]);
            scene->log_size = 0;
            stead_client_core_check(scene->core);
            assert_int_equal(counters->submitted - counters->completed, stead_client_core_in_flight(scene->core));
        }
        advance(scene, 20000);
        assert_int_equal(counters->submitted, counters->completed);
        scene_close(scene);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_before_any_table_waits_for_it),
        cmocka_unit_test(test_mark_passes_a_number_only_when_all_below_have_ended),
        cmocka_unit_test(test_slow_request_is_told_apart_from_what_has_ended_behind_it),
        cmocka_unit_test(test_request_carries_what_was_asked_for),
        cmocka_unit_test(test_request_without_answer_goes_again_under_its_number_and_id),
        cmocka_unit_test(test_request_past_its_deadline_has_an_unknown_outcome),
        cmocka_unit_test(test_request_never_sent_is_unavailable_at_its_deadline),
        cmocka_unit_test(test_request_refused_busy_waits_and_goes_again),
        cmocka_unit_test(test_request_refused_until_its_deadline_was_not_executed),
        cmocka_unit_test(test_job_that_is_given_up_is_told_where_it_was_sent),
        cmocka_unit_test(test_request_refused_once_but_sent_twice_may_have_been_executed),
        cmocka_unit_test(test_request_sent_to_the_old_owner_follows_the_table),
        cmocka_unit_test(test_requests_in_flight_move_with_a_new_table_in_order),
        cmocka_unit_test(test_connection_that_comes_back_gets_what_is_unanswered_in_order),
        cmocka_unit_test(test_stateless_request_goes_to_a_node_that_has_what_it_needs),
        cmocka_unit_test(test_stateless_request_of_a_lost_node_goes_to_another),
        cmocka_unit_test(test_nobody_reachable_ends_only_what_was_never_sent),
        cmocka_unit_test(test_query_to_a_node_that_cannot_be_reached_fails_fast),
        cmocka_unit_test(test_request_whose_session_has_ended_is_asked_in_the_next),
        cmocka_unit_test(test_request_retried_into_an_ended_session_has_an_unknown_outcome),
        cmocka_unit_test(test_session_at_half_its_age_is_left_for_a_new_one),
        cmocka_unit_test(test_tell_waits_for_its_connection_and_is_never_repeated),
        cmocka_unit_test(test_submit_of_what_no_node_would_take_is_refused_here),
        cmocka_unit_test(test_pipeline_that_is_full_refuses_more),
        cmocka_unit_test(test_client_under_random_events_ends_every_request_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
