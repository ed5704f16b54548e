/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stateless kinds: where a job runs, that a repeat of a running one runs no second time, and what becomes of it when a
 * node dies.
 */
#include "unit/runtime/host_client.h"

static struct stead_message *work(struct fx *fx, struct fx_client *client, const char *address)
{
    return fx_request(fx, client, STEAD_CALL, address, "work", (struct stead_slice){0}, NULL);
}

/* The job that runs here ends. */
static void finish(struct fx *fx, int status)
{
    struct stead_message *request = stead_queue_pop(&fx->jobs);

    assert_non_null(request);
    stead_host_job_done(fx->host, &request, status, status == 0 ? "" : "broken", "", fx_i64(42));
    fx_run(fx);
}

static void test_job_runs_here_and_its_result_is_the_answer(void **state)
{
    struct fx *fx = fx_create(2);
    struct fx_client client = fx_client(fx, 1);

    (void)state;
    fx_set_table(fx, NULL, 1, false); /* the other node is down */
    fx_send(fx, &client, STEAD_CALL, "s/1", "work");
    assert_int_equal(stead_host_jobs(fx->host), 1);
    finish(fx, 0);
    assert_int_equal(fx_answer_i64(fx), 42);
    assert_int_equal(stead_host_jobs(fx->host), 0);
    fx_send(fx, &client, STEAD_CALL, "s/1", "work");
    finish(fx, STEAD_EFAILED);
    struct stead_message *answer = fx_answer(fx);
    char name[16];
    assert_int_equal(answer->status, STEAD_EFAILED);
    assert_int_equal(stead_get_text(stead_message_payload(answer), "name", name, sizeof(name)), 0);
    assert_string_equal(name, "broken");
    stead_message_destroy(&answer);
    assert_int_equal(fx_call(fx, &client, "s/1", "nothing"), STEAD_EOP);
    fx_destroy(fx);
}

static void test_repeat_of_a_running_job_attaches_to_it(void **state)
{
    struct fx *fx = fx_create(2);
    struct fx_client client = fx_client(fx, 1);
    struct stead_message *request = work(fx, &client, "s/1");

    (void)state;
    fx_set_table(fx, NULL, 1, false);
    fx_deliver(fx, request);
    request->route.connection = 999;
    fx_deliver(fx, request);
    assert_int_equal(fx->jobs.count, 1);
    finish(fx, 0);
    struct stead_message *answer = fx_answer(fx);
    assert_int_equal(answer->route.connection, 999);
    assert_null(fx->answers.head);
    stead_message_destroy(&answer);
    stead_message_destroy(&request);
    fx_destroy(fx);
}

static void test_needs_choose_the_node_with_the_label(void **state)
{
    struct fx *fx = fx_create(2);
    struct fx_client client = fx_client(fx, 1);

    (void)state;
    fx_set_table(fx, NULL, 1, true);
    for (int i = 0; i < 20; i++)
        fx_send(fx, &client, STEAD_CALL, "g/1", "work");
    assert_int_equal(fx->sends.count, 20); /* only the other node has a gpu */
    assert_true(fx->sends.head->flags & STEAD_FLAG_JOB);
    fx_set_table(fx, NULL, 1, false);
    assert_int_equal(fx_call(fx, &client, "g/1", "work"), STEAD_EUNAVAILABLE);
    fx_set_table(fx, "gpu", 1, false);
    fx_send(fx, &client, STEAD_CALL, "g/1", "work");
    assert_int_equal(fx->jobs.count, 1);
    finish(fx, 0);
    assert_int_equal(fx_answer_i64(fx), 42);
    fx_destroy(fx);
}

static void test_less_loaded_of_two_is_taken(void **state)
{
    struct fx *fx = fx_create(2);
    struct fx_client client = fx_client(fx, 1);

    (void)state;
    fx_set_table(fx, NULL, 1, true);
    stead_host_peer_up(fx->host, FX_PEER, 1);
    stead_host_peer_load(fx->host, FX_PEER, 10);
    for (int i = 0; i < 10; i++)
        fx_send(fx, &client, STEAD_CALL, "s/1", "work");
    assert_int_equal(fx->jobs.count, 10);
    stead_host_peer_load(fx->host, FX_PEER, 0);
    for (int i = 0; i < 10; i++)
        fx_send(fx, &client, STEAD_CALL, "s/1", "work");
    assert_int_equal(fx->sends.count, 10);
    while (fx->jobs.count > 0)
        finish(fx, 0);
    fx_destroy(fx);
}

static void test_repeat_goes_where_the_first_went_while_that_node_lives(void **state)
{
    struct fx *fx = fx_create(2);
    struct fx_client client = fx_client(fx, 1);
    struct stead_message *request = work(fx, &client, "s/1");

    (void)state;
    fx_set_table(fx, NULL, 1, true);
    stead_host_peer_up(fx->host, FX_PEER, 1);
    stead_host_peer_load(fx->host, FX_PEER, 0);
    do { /* until one goes to the peer */
        stead_message_destroy(&request);
        request = work(fx, &client, "s/1");
        fx_deliver(fx, request);
    } while (fx->sends.count == 0);
    stead_host_peer_load(fx->host, FX_PEER, 1000);
    uint32_t jobs = fx->jobs.count;
    fx_deliver(fx, request);
    assert_int_equal(fx->sends.count, 2);
    fx_set_table(fx, NULL, 2, true); /* it has restarted, and knows nothing of the job */
    fx_deliver(fx, request);
    assert_int_equal(fx->sends.count, 2);
    assert_int_equal(fx->jobs.count, jobs + 1);
    while (fx->jobs.count > 0)
        finish(fx, 0);
    stead_message_destroy(&request);
    fx_destroy(fx);
}

static void test_placed_job_runs_where_it_arrives(void **state)
{
    struct fx *fx = fx_create(2);
    struct fx_client client = fx_client(fx, 1);
    struct stead_message *request = work(fx, &client, "s/1");

    (void)state;
    fx_set_table(fx, NULL, 1, true);
    stead_host_peer_up(fx->host, FX_PEER, 1);
    request->flags |= STEAD_FLAG_JOB;
    request->route.node = FX_PEER;
    fx_deliver(fx, request);
    fx_deliver(fx, request);
    assert_int_equal(fx->jobs.count, 1);
    finish(fx, 0);
    assert_int_equal(fx->sends.count, 1); /* the answer goes to the node that holds the connection */
    assert_int_equal(fx->sends.head->type, STEAD_ANSWER);
    stead_message_destroy(&request);
    fx_destroy(fx);
}

static void test_expired_job_is_not_started_and_a_cancelled_one_is_told(void **state)
{
    struct fx *fx = fx_create(2);
    struct fx_client client = fx_client(fx, 1);
    struct stead_message *request = work(fx, &client, "s/1");

    (void)state;
    fx_set_table(fx, NULL, 1, false);
    request->deadline_ms = fx->now_ms;
    fx_deliver(fx, request);
    assert_int_equal(fx_answer_status(fx), STEAD_EEXPIRED);
    request->deadline_ms = 0;
    fx_deliver(fx, request);
    struct stead_message *cancel = stead_message_create(STEAD_CANCEL, &(struct stead_message_parts){0});
    cancel->id = request->id;
    cancel->slot = request->slot;
    stead_host_deliver(fx->host, &cancel);
    fx_run(fx);
    assert_int_equal(fx->cancels, 1);
    finish(fx, STEAD_ECANCELLED);
    assert_int_equal(fx_answer_status(fx), STEAD_ECANCELLED);
    stead_message_destroy(&request);
    fx_destroy(fx);
}

/* ---- Asked for by a durable agent --------------------------------------------------------------------- */

static uint32_t replies;
static int last_code;
static char last_name[64];
static const char *job_address;

static int call_job(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_call_options options = {.reply_op = "reply", .timeout_ms = 60000};

    (void)state;
    return stead_call(turn, job_address, "work", args, &options);
}

static int signal_job(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state;
    return stead_signal(turn, job_address, "work", args);
}

static int note_reply(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    replies++;
    last_code = stead_reply_code(turn);
    snprintf(last_name, sizeof last_name, "%s", stead_reply_error_name(turn));
    return 0;
}

static struct fx *with_caller(struct fx_client *client, char *a, bool peer_alive)
{
    struct fx *fx = fx_create(2);

    *client = fx_client(fx, 1);
    fx_set_table(fx, NULL, 1, peer_alive);
    replies = 0, last_code = 1;
    job_address = "s/1";
    fx_do[0] = call_job, fx_do[1] = signal_job, fx_reply = note_reply;
    fx_address(a, "d", 1, 0);
    return fx;
}

static void test_job_of_a_durable_agent_is_asked_again_after_a_crash_and_taken_once(void **state)
{
    struct fx_client client;
    char a[64];
    struct fx *fx = with_caller(&client, a, false);

    (void)state;
    assert_int_equal(fx_call(fx, &client, a, "do"), 0);
    assert_int_equal(fx->jobs.count, 1);
    fx_step_ms(fx, 1000); /* asks again: it runs already */
    assert_int_equal(fx->jobs.count, 1);
    fx_crash(fx, true);
    fx_set_table(fx, NULL, 1, false);
    fx_step_ms(fx, 2000);
    assert_int_equal(fx->jobs.count, 1);
    finish(fx, 0);
    assert_int_equal(replies, 1);
    assert_int_equal(last_code, 0);
    fx_step_ms(fx, 100000);
    assert_int_equal(fx->jobs.count, 0);
    assert_int_equal(replies, 1);
    fx_destroy(fx);
}

/* Nodes may have loaded different modules: one that does not know a kind is not asked again while it lives. */
static void test_node_that_has_not_loaded_a_kind_is_passed_over(void **state)
{
    struct fx_client client;
    char a[64];
    struct fx *fx = with_caller(&client, a, true);

    (void)state;
    while (fx->sends.count == 0)
        assert_int_equal(fx_call(fx, &client, a, "do"), 0);
    struct stead_message *request = stead_queue_pop(&fx->sends);
    struct stead_message *refusal = stead_message_answer(request, STEAD_EKIND, NULL, (struct stead_slice){0});
    refusal->flags |= STEAD_FLAG_UNSEQUENCED | STEAD_FLAG_NOT_RUN;
    fx_deliver(fx, refusal);
    stead_message_destroy(&request);
    stead_message_destroy(&refusal);
    assert_int_equal(replies, 0);
    uint32_t jobs = fx->jobs.count;
    fx_step_ms(fx, 1000);
    assert_int_equal(fx->jobs.count, jobs + 1);
    for (uint32_t i = 0; i < 50; i++)
        assert_int_equal(fx_call(fx, &client, a, "do"), 0);
    assert_int_equal(fx->jobs.count, jobs + 51);
    assert_int_equal(fx->sends.count, 0);
    fx_set_table(fx, NULL, 2, true); /* it starts again, perhaps with the module */
    for (uint32_t i = 0; i < 50 && fx->sends.count == 0; i++)
        assert_int_equal(fx_call(fx, &client, a, "do"), 0);
    assert_int_equal(fx->sends.count, 1);
    while (fx->jobs.count > 0)
        finish(fx, 0);
    fx_destroy(fx);
}

/* Nodes take so many jobs at once and no more: an agent's call waits for room until its deadline. */
static void test_job_that_found_no_room_is_asked_for_again(void **state)
{
    struct fx_client client;
    char a[64];
    struct fx *fx = with_caller(&client, a, false);

    (void)state;
    assert_int_equal(fx_call(fx, &client, a, "do"), 0);
    for (uint32_t i = 0; i < 2; i++) {
        struct stead_message *request = stead_queue_pop(&fx->jobs);
        stead_host_job_refused(fx->host, &request, STEAD_EBUSY);
        fx_run(fx);
        fx_step_ms(fx, 999);
        assert_int_equal(fx->jobs.count, 0);
        fx_step_ms(fx, 1);
        assert_int_equal(fx->jobs.count, 1);
    }
    assert_int_equal(replies, 0);
    finish(fx, 0);
    assert_int_equal(replies, 1);
    assert_int_equal(last_code, 0);
    fx_step_ms(fx, 100000);
    assert_int_equal(fx->jobs.count, 0);

    assert_int_equal(fx_call(fx, &client, a, "do"), 0); /* a code that it returned itself is its answer */
    finish(fx, STEAD_EBUSY);
    assert_int_equal(replies, 2);
    assert_int_equal(last_code, STEAD_EBUSY);
    assert_int_equal(fx_call(fx, &client, a, "do"), 0);
    finish(fx, STEAD_EKIND);
    assert_int_equal(replies, 3);
    fx_step_ms(fx, 100000);
    assert_int_equal(fx->jobs.count, 0);
    fx_destroy(fx);
}

static void test_job_is_cancelled_by_the_client_that_asked_for_it_alone(void **state)
{
    struct fx *fx = fx_create(2);
    struct fx_client client = fx_client(fx, 1), stranger = fx_client(fx, 2);
    struct stead_message *request = work(fx, &client, "s/1");

    (void)state;
    fx_set_table(fx, NULL, 1, false);
    fx_deliver(fx, request);
    for (int who = 0; who < 3; who++) {
        const struct fx_client *const says[] = {NULL, &stranger, &client};
        struct stead_message *cancel = fx_cancel(request, says[who]);
        stead_host_deliver(fx->host, &cancel);
        fx_run(fx);
        assert_int_equal(fx->cancels, who == 2);
    }
    finish(fx, STEAD_ECANCELLED);
    stead_message_destroy(&request);
    fx_destroy(fx);
    /* Nor is an agent's, which has no session: neither by none nor by an empty one. */
    char a[64];
    fx = with_caller(&client, a, false);
    assert_int_equal(fx_call(fx, &client, a, "do"), 0);
    memset(&stranger.id, 0, sizeof(stranger.id));
    for (int who = 0; who < 2; who++) {
        struct stead_message *cancel = fx_cancel(fx->jobs.head, who == 0 ? NULL : &stranger);
        stead_host_deliver(fx->host, &cancel);
        fx_run(fx);
        assert_int_equal(fx->cancels, 0);
    }
    finish(fx, 0);
    fx_destroy(fx);
}

static void test_job_whose_caller_gave_up_is_cancelled(void **state)
{
    (void)state;
    for (int destroyed = 0; destroyed < 2; destroyed++) {
        struct fx_client client;
        char a[64];
        struct fx *fx = with_caller(&client, a, false);
        assert_int_equal(fx_call(fx, &client, a, "do"), 0);
        if (destroyed)
            assert_int_equal(fx_call(fx, &client, a, "destroy"), 0);
        else
            fx_step_ms(fx, 60000);
        assert_int_equal(fx->cancels, 1);
        assert_int_equal(replies, destroyed ? 0 : 1);
        finish(fx, STEAD_ECANCELLED);
        assert_int_equal(replies, destroyed ? 0 : 1);
        fx_destroy(fx);
    }
}

static void test_signal_to_a_stateless_kind_is_done_in_the_end(void **state)
{
    struct fx_client client;
    char a[64];
    struct fx *fx = with_caller(&client, a, false);

    (void)state;
    job_address = "g/1"; /* nobody can do it yet */
    assert_int_equal(fx_call(fx, &client, a, "do2"), 0);
    fx_step_ms(fx, 30000);
    assert_int_equal(fx->jobs.count, 0);
    fx_set_table(fx, "gpu", 1, false);
    fx_step_ms(fx, 32000);
    assert_int_equal(fx->jobs.count, 1);
    finish(fx, 0);
    fx_step_ms(fx, 100000);
    assert_int_equal(fx->jobs.count, 0);
    fx_destroy(fx);
}

static void test_job_that_killed_the_process_three_times_is_poison(void **state)
{
    struct fx_client client;
    char a[64];
    struct fx *fx = with_caller(&client, a, false);

    (void)state;
    assert_int_equal(fx_call(fx, &client, a, "do"), 0);
    struct stead_id id = fx->jobs.head->id;
    for (uint32_t kills = 1; kills <= 3; kills++) {
        fx_crash(fx, true);
        fx_set_table(fx, NULL, 1, false);
        stead_host_suspect(fx->host, id, kills);
        fx_step_ms(fx, 40000 / 3);
        assert_int_equal(fx->jobs.count, kills < 3);
        assert_int_equal(replies, kills == 3);
    }
    assert_int_equal(last_code, STEAD_EPOISON);
    fx_step_ms(fx, 60000);
    assert_int_equal(replies, 1);
    fx_destroy(fx);
}

static void test_jobs_of_one_key_are_blamed_as_one(void **state)
{
    struct stead_message_parts parts = {.address = stead_str("stateless/1"),
                                        .op = stead_str("do"),
                                        .key = stead_str("key"),
                                        .source = stead_str("d/1")};
    struct stead_message *one = stead_message_create(STEAD_CALL, &parts), *again, *other, *none, *client;

    (void)state;
    one->id.v[0] = 1;
    again = stead_message_create(STEAD_CALL, &parts);
    again->id.v[0] = 2;
    parts.address = stead_str("stateless/1k"), parts.key = stead_str("ey");
    other = stead_message_create(STEAD_CALL, &parts);
    parts.source = (struct stead_slice){0};
    client = stead_message_create(STEAD_CALL, &parts);
    client->id.v[0] = 4;
    parts.key = (struct stead_slice){0};
    none = stead_message_create(STEAD_CALL, &parts);
    none->id.v[0] = 3;
    assert_true(stead_id_equal(stead_message_blame_id(one), stead_message_blame_id(again)));
    assert_false(stead_id_equal(stead_message_blame_id(one), stead_message_blame_id(other)));
    assert_true(stead_id_equal(stead_message_blame_id(none), none->id));
    assert_true(stead_id_equal(stead_message_blame_id(client), client->id));
    stead_message_destroy(&one);
    stead_message_destroy(&again);
    stead_message_destroy(&other);
    stead_message_destroy(&none);
    stead_message_destroy(&client);
}

static void test_signal_whose_job_is_poison_is_a_dead_letter_of_its_sender(void **state)
{
    struct fx_client client;
    char a[64];
    struct fx *fx = with_caller(&client, a, false);

    (void)state;
    assert_int_equal(fx_call(fx, &client, a, "do2"), 0);
    struct stead_id id = fx->jobs.head->id;
    fx_crash(fx, true);
    fx_set_table(fx, NULL, 1, false);
    stead_host_suspect(fx->host, id, 3);
    fx_step_ms(fx, 2000);
    assert_int_equal(fx->jobs.count, 0);
    client = fx_client(fx, 2);
    assert_int_equal(fx_query_i64(fx, &client, a, "show", "dead_letters"), 1);
    fx_step_ms(fx, 100000);
    assert_int_equal(fx->jobs.count, 0);
    fx_destroy(fx);
}

static int call_limited(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_call_options options = {
        .reply_op = "reply", .start_timeout_ms = 1, .run_timeout_ms = 2, .heartbeat_timeout_ms = 3};

    (void)state;
    return stead_call(turn, job_address, "work", args, &options);
}

static void test_limits_of_a_call_come_with_its_request_also_when_it_is_asked_again(void **state)
{
    struct fx_client client;
    char a[64];
    struct fx *fx = with_caller(&client, a, false);

    (void)state;
    fx_do[0] = call_limited;
    assert_int_equal(fx_call(fx, &client, a, "do"), 0);
    for (int i = 0; i < 2; i++) {
        assert_true(fx->jobs.head->groups & STEAD_GROUP_LIMITS);
        assert_int_equal(fx->jobs.head->limits.start_ms, 1);
        assert_int_equal(fx->jobs.head->limits.run_ms, 2);
        assert_int_equal(fx->jobs.head->limits.heartbeat_ms, 3);
        fx_crash(fx, true);
        fx_set_table(fx, NULL, 1, false);
        fx_step_ms(fx, 2000);
    }
    fx_destroy(fx);
}

static int call_in_time(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_call_options options = {
        .reply_op = "reply", .timeout_ms = STEAD_TIMEOUT_NEVER, .start_timeout_ms = 2500, .run_timeout_ms = 100};

    (void)state;
    return stead_call(turn, job_address, "work", args, &options);
}

static void refuse_job(struct fx *fx)
{
    struct stead_message *request = stead_queue_pop(&fx->jobs);

    stead_host_job_refused(fx->host, &request, STEAD_EKIND);
    fx_run(fx);
}

/* Asked for at 0, 1 and 2 s and refused each time; the next time would be after the limit. */
static void test_call_that_no_node_takes_ends_when_it_must_have_begun(void **state)
{
    struct fx_client client;
    char a[64];
    struct fx *fx = with_caller(&client, a, false);

    (void)state;
    fx_do[0] = call_in_time;
    assert_int_equal(fx_call(fx, &client, a, "do"), 0);
    refuse_job(fx);
    fx_step_ms(fx, 1000);
    assert_int_equal(fx->jobs.head->limits.start_ms, 1500); /* what is left of it */
    assert_int_equal(fx->jobs.head->limits.run_ms, 100);
    refuse_job(fx);
    fx_step_ms(fx, 1000);
    assert_int_equal(fx->jobs.head->limits.start_ms, 500);
    refuse_job(fx);
    fx_step_ms(fx, 499);
    assert_int_equal(replies, 0);
    fx_step_ms(fx, 1);
    assert_int_equal(replies, 1);
    assert_int_equal(last_code, STEAD_ETIMEOUT);
    assert_string_equal(last_name, "start_timeout");
    fx_step_ms(fx, 100000);
    assert_int_equal(fx->jobs.count, 0);
    assert_int_equal(replies, 1);
    fx_destroy(fx);
}

static void test_call_of_a_kind_that_is_loaded_nowhere_ends_when_it_must_have_begun(void **state)
{
    struct fx_client client;
    char a[64];
    struct fx *fx = with_caller(&client, a, false);

    (void)state;
    fx_do[0] = call_in_time;
    job_address = "nowhere/1";
    assert_int_equal(fx_call(fx, &client, a, "do"), 0);
    fx_step_ms(fx, 1000);
    fx_crash(fx, true);
    fx_set_table(fx, NULL, 1, false);
    fx_step_ms(fx, 1000);
    fx_step_ms(fx, 499);
    assert_int_equal(replies, 0);
    fx_step_ms(fx, 1);
    assert_int_equal(replies, 1);
    assert_int_equal(last_code, STEAD_ETIMEOUT);
    assert_string_equal(last_name, "start_timeout");
    fx_step_ms(fx, 100000);
    assert_int_equal(replies, 1);
    fx_destroy(fx);
}

static void test_call_that_no_node_takes_ends_in_time_also_after_a_crash(void **state)
{
    struct fx_client client;
    char a[64];
    struct fx *fx = with_caller(&client, a, false);

    (void)state;
    fx_do[0] = call_in_time;
    assert_int_equal(fx_call(fx, &client, a, "do"), 0);
    refuse_job(fx);
    fx_crash(fx, true);
    fx_set_table(fx, NULL, 1, false);
    fx_step_ms(fx, 2500);
    if (fx->jobs.count > 0)
        refuse_job(fx);
    fx_step_ms(fx, 1);
    assert_int_equal(replies, 1);
    assert_int_equal(last_code, STEAD_ETIMEOUT);
    fx_destroy(fx);
}

/* What was asked for and not refused may have begun: another node that refuses it later does not know. */
static void test_call_that_a_node_has_taken_is_not_ended_by_the_refusal_of_another(void **state)
{
    struct fx_client client;
    char a[64];
    struct fx *fx = with_caller(&client, a, false);

    (void)state;
    fx_do[0] = call_in_time;
    assert_int_equal(fx_call(fx, &client, a, "do"), 0);
    fx_crash(fx, true); /* the caller is elsewhere; the job runs where it was */
    fx_set_table(fx, NULL, 1, false);
    for (int at = 0; at < 100; at++) {
        fx_step_ms(fx, 1000);
        if (fx->jobs.count > 0)
            refuse_job(fx);
    }
    assert_int_equal(replies, 0);
    while (fx->jobs.count == 0)
        fx_step_ms(fx, 1000);
    finish(fx, 0);
    assert_int_equal(replies, 1);
    assert_int_equal(last_code, 0);
    fx_destroy(fx);
}

/* ---- Started before the commit ------------------------------------------------------------------------ */

/* of a chain of jobs that `do3` begins and `reply` goes on with, until there were three; then its caller is answered */
static uint32_t steps;

static int begin_chain(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_token token;

    int code = stead_reply_later(turn, &token);
    memcpy(((struct puppet *)state)->token, token.text, sizeof(token.text));
    steps = 1;
    return code != 0 ? code : call_job(turn, state, args);
}

static int next_step(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_token token;

    (void)args;
    replies++;
    last_code = stead_reply_code(turn);
    ((struct puppet *)state)->value++;
    if (steps++ < 3)
        return call_job(turn, state, (struct stead_slice){0});
    memcpy(token.text, ((struct puppet *)state)->token, sizeof(token.text));
    return stead_answer(turn, &token, stead_packed(turn, "l", (int64_t)steps));
}

static void test_idempotent_jobs_run_before_the_commit_and_a_chain_of_them_costs_one_entry(void **state)
{
    struct fx_client client;
    char a[64];
    struct fx *fx = with_caller(&client, a, true);

    (void)state;
    job_address = "i/1";
    fx_do[2] = begin_chain, fx_reply = next_step;
    fx->hold_sync = true;
    fx_send(fx, &client, STEAD_CALL, a, "do3");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(replies, i);
        assert_int_equal(fx->jobs.count, 1); /* here, although another node is alive and nothing is on disk */
        finish(fx, 0);
    }
    assert_int_equal(replies, 3);
    assert_null(fx->answers.head); /* but nobody is told */
    assert_int_equal(fx_stats(fx)->entries_synced, 0);
    fx->hold_sync = false;
    fx_run(fx);
    assert_int_equal(fx_answer_i64(fx), 4);
    assert_int_equal(fx_stats(fx)->entries_synced, 1);
    assert_int_equal(fx_stats(fx)->jobs_early, 3);
    fx_crash(fx, true);
    fx_set_table(fx, NULL, 1, false);
    fx_step_ms(fx, 100000);
    assert_int_equal(fx->jobs.count, 0);
    assert_int_equal(fx_call_i64(fx, &client, a, "get"), 3);
    fx_destroy(fx);
}

static void test_entry_waits_for_early_jobs_only_a_moment(void **state)
{
    struct fx_client client;
    char a[64];
    struct fx *fx = with_caller(&client, a, false);

    (void)state;
    job_address = "i/1";
    fx_do[2] = begin_chain, fx_reply = next_step;
    fx_send(fx, &client, STEAD_CALL, a, "do3");
    assert_int_equal(fx_stats(fx)->entries_synced, 0);
    assert_int_equal(fx->armed_ns, fx->now_ns + 1000000);
    fx_step_ms(fx, 1);
    assert_int_equal(fx_stats(fx)->entries_synced, 1);
    finish(fx, 0);
    assert_int_equal(replies, 1);
    fx_crash(fx, true); /* the answer is lost: it is asked for again, the usual way */
    fx_set_table(fx, NULL, 1, false);
    fx_step_ms(fx, 2000);
    assert_int_equal(fx->jobs.count, 1);
    finish(fx, 0);
    assert_int_equal(replies, 2);
    fx_destroy(fx);
}

static void test_answer_does_not_wait_for_somebodys_early_job(void **state)
{
    struct fx_client client;
    char a[64], b[64];
    struct fx *fx = with_caller(&client, a, false);

    (void)state;
    job_address = "i/1";
    fx_do[2] = begin_chain, fx_reply = next_step;
    fx_send(fx, &client, STEAD_CALL, a, "do3");
    assert_int_equal(fx_stats(fx)->entries_synced, 0);
    assert_int_equal(fx_call_i64(fx, &client, fx_address(b, "d", 1, 1), "add"), 1);
    assert_int_equal(fx_stats(fx)->entries_synced, 1); /* of both */
    finish(fx, 0);
    assert_int_equal(replies, 1);
    fx_destroy(fx);
}

static void test_job_of_a_turn_that_a_crash_took_back_ran_for_nothing(void **state)
{
    struct fx_client client;
    char a[64];
    struct fx *fx = with_caller(&client, a, false);

    (void)state;
    job_address = "i/1";
    fx->hold_sync = true;
    fx_send(fx, &client, STEAD_CALL, a, "do");
    assert_int_equal(fx->jobs.count, 1);
    finish(fx, 0);
    assert_int_equal(replies, 1);
    fx_crash(fx, true);
    fx->hold_sync = false;
    fx_set_table(fx, NULL, 1, false);
    fx_step_ms(fx, 100000);
    assert_int_equal(fx->jobs.count, 0);
    assert_int_equal(replies, 1);
    fx_destroy(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_job_runs_here_and_its_result_is_the_answer),
        cmocka_unit_test(test_repeat_of_a_running_job_attaches_to_it),
        cmocka_unit_test(test_needs_choose_the_node_with_the_label),
        cmocka_unit_test(test_less_loaded_of_two_is_taken),
        cmocka_unit_test(test_repeat_goes_where_the_first_went_while_that_node_lives),
        cmocka_unit_test(test_placed_job_runs_where_it_arrives),
        cmocka_unit_test(test_expired_job_is_not_started_and_a_cancelled_one_is_told),
        cmocka_unit_test(test_job_of_a_durable_agent_is_asked_again_after_a_crash_and_taken_once),
        cmocka_unit_test(test_node_that_has_not_loaded_a_kind_is_passed_over),
        cmocka_unit_test(test_job_that_found_no_room_is_asked_for_again),
        cmocka_unit_test(test_job_is_cancelled_by_the_client_that_asked_for_it_alone),
        cmocka_unit_test(test_job_whose_caller_gave_up_is_cancelled),
        cmocka_unit_test(test_signal_to_a_stateless_kind_is_done_in_the_end),
        cmocka_unit_test(test_job_that_killed_the_process_three_times_is_poison),
        cmocka_unit_test(test_jobs_of_one_key_are_blamed_as_one),
        cmocka_unit_test(test_signal_whose_job_is_poison_is_a_dead_letter_of_its_sender),
        cmocka_unit_test(test_limits_of_a_call_come_with_its_request_also_when_it_is_asked_again),
        cmocka_unit_test(test_call_that_no_node_takes_ends_when_it_must_have_begun),
        cmocka_unit_test(test_call_of_a_kind_that_is_loaded_nowhere_ends_when_it_must_have_begun),
        cmocka_unit_test(test_call_that_no_node_takes_ends_in_time_also_after_a_crash),
        cmocka_unit_test(test_call_that_a_node_has_taken_is_not_ended_by_the_refusal_of_another),
        cmocka_unit_test(test_idempotent_jobs_run_before_the_commit_and_a_chain_of_them_costs_one_entry),
        cmocka_unit_test(test_answer_does_not_wait_for_somebodys_early_job),
        cmocka_unit_test(test_entry_waits_for_early_jobs_only_a_moment),
        cmocka_unit_test(test_job_of_a_turn_that_a_crash_took_back_ran_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
