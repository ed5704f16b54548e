/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of work when rows of the runtime itself cannot be read (L6): each of the reads that a story needs fails
 * once, and the story must end as if none had. A host that fails then is started again, as the node is; what it has let
 * out before that, it stands by.
 */
#include "unit/runtime/host_client.h"

#define READS_MAX 2000u /* a story that needs more is too long for this */

/* ---- What is told ------------------------------------------------------------------------------ */

static char a[64], here[64], there[64]; /* two agents of one shard, one of the other */
static struct stead_call_id asked;      /* of the newest call */

/* `a` tells and asks others, now and later, and sets timers: `do`. */
static int begin(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct stead_call_options call = {.reply_op = "reply", .ret_call = &asked};
    const struct stead_call_options doomed = {.reply_op = "reply", .timeout_ms = 3000};
    int code = stead_signal(turn, here, "add", (struct stead_slice){0});

    (void)state, (void)args;
    if (code == 0)
        code = stead_signal(turn, there, "add", (struct stead_slice){0});
    if (code == 0)
        code = stead_signal_after(turn, there, "add", (struct stead_slice){0}, 2000);
    if (code == 0)
        code = stead_call(turn, there, "do2", (struct stead_slice){0}, &call);
    if (code == 0)
        code = stead_call(turn, "d/never", "do2", (struct stead_slice){0}, &doomed);
    if (code == 0)
        code = stead_timer_after(turn, "once", 1000, "add", (struct stead_slice){0});
    return code != 0 ? code : stead_timer_after(turn, "moved", 1500, "add", (struct stead_slice){0});
}

/* Promises an answer: `do2`. */
static int promise(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct puppet *puppet = state;
    struct stead_token token;
    int code = stead_reply_later(turn, &token);

    (void)args;
    if (code == 0)
        memcpy(puppet->token, token.text, sizeof(puppet->token));
    return code;
}

/* Gives it; `a` moves a timer: `do3`. What stands is never told to be gone. */
static int go_on(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct puppet *puppet = state;
    struct stead_token token;

    (void)args;
    if (puppet->token[0] == '\0') {
        int code = stead_timer_cancel(turn, "moved");
        assert_int_not_equal(code, STEAD_ENOTFOUND);
        return code != 0 ? code : stead_timer_after(turn, "moved", 5000, "add", (struct stead_slice){0});
    }
    memcpy(token.text, puppet->token, sizeof(token.text));
    int code = stead_answer(turn, &token, stead_packed(turn, "l", (int64_t)1000));
    assert_int_not_equal(code, STEAD_ENOTFOUND);
    return code;
}

/* An answer counts 1,000, the end of who had promised it 10,000, anything else 100. */
static int count_reply(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int64_t value = stead_reply_code(turn) == STEAD_EDESTROYED ? 10000 : 100;

    if (stead_reply_code(turn) == 0 && stead_get_i64(args, NULL, &value) != 0)
        return STEAD_EFAILED;
    ((struct puppet *)state)->value += value;
    return 0;
}

/* ---- The story --------------------------------------------------------------------------------- */

struct story {
    struct fx *fx;
    struct fx_client client;
    uint32_t failures; /* of the host */
};

static struct story begin_story(uint64_t fail_read)
{
    struct story story = {.fx = fx_create(2)};

    story.fx->fail_read = fail_read;
    story.client = fx_client(story.fx, 1);
    fx_address(a, "d", 1, 0);
    fx_address(here, "d", 1, 1);
    fx_address(there, "d", 2, 0);
    fx_do[0] = begin;
    fx_do[1] = promise;
    fx_do[2] = go_on;
    fx_reply = count_reply;
    return story;
}

/* A node that failed ends, and has neither written nor said anything since; it is started again. */
static void look_after(struct story *story)
{
    const char *why = "";

    if (stead_host_failed(story->fx->host, &why) == 0)
        return;
    assert_string_not_equal(why, "");
    story->failures++;
    fx_crash(story->fx, false);
}

/* As a client does: until it is answered. */
static int64_t insist(struct story *story, const char *address, const char *op, const char *key)
{
    struct fx *fx = story->fx;
    struct stead_message *request =
        fx_request(fx, &story->client, STEAD_CALL, address, op, (struct stead_slice){0}, key);
    struct stead_message *answer = NULL;
    int64_t value = 0;

    for (uint32_t tries = 0; answer == NULL; tries++) {
        assert_true(tries < 5);
        fx_deliver(fx, request);
        look_after(story);
        answer = stead_queue_pop(&fx->answers);
        if (answer != NULL && answer->status == STEAD_EIO) /* its agent could not be read just then */
            stead_message_destroy(&answer);
    }
    assert_int_equal(answer->status, 0);
    if (stead_message_payload(answer).size > 0 && stead_get_i64(stead_message_payload(answer), NULL, &value) != 0)
        value = 0;
    stead_message_destroy(&answer);
    stead_message_destroy(&request);
    return value;
}

static void pass_seconds(struct story *story, uint32_t seconds)
{
    for (uint32_t i = 0; i < seconds * 10; i++) {
        fx_step_ms(story->fx, 100);
        look_after(story);
    }
}

/* Everything is on the disk, and nothing in memory. */
static void make_cold(struct story *story)
{
    fx_cold_restart(story->fx);
    look_after(story);
    fx_run(story->fx);
    look_after(story);
}

/* Tells the story with one failing read. False: there were not so many reads. */
static bool tell_of_work(uint64_t fail_read, uint32_t *failures)
{
    struct story story = begin_story(fail_read);

    make_cold(&story);
    (void)insist(&story, a, "do", NULL);
    make_cold(&story);
    assert_int_equal(insist(&story, "d/keyed", "add", "k"), 1);
    make_cold(&story);
    assert_int_equal(insist(&story, "d/keyed", "add", "k"), 1); /* another request, the same key */
    (void)insist(&story, a, "do3", NULL);
    make_cold(&story);
    (void)insist(&story, there, "do3", NULL);
    make_cold(&story);
    pass_seconds(&story, 40);
    uint64_t reads = story.fx->reads;
    story.fx->fail_read = 0;
    assert_int_equal(insist(&story, here, "get", NULL), 1);
    assert_int_equal(insist(&story, there, "get", NULL), 2);
    assert_int_equal(insist(&story, a, "get", NULL), 1102); /* the answer, the timeout, two timers */
    (void)insist(&story, a, "destroy", NULL);
    pass_seconds(&story, 3);
    assert_int_equal(fx_stats(story.fx)->outbox_records, 0);
    *failures += story.failures;
    fx_destroy(story.fx);
    return reads >= fail_read;
}

typedef bool tell_fn(uint64_t fail_read, uint32_t *failures);

/* Tells a story again and again until every read of it has failed once. */
static void tell_all(tell_fn *tell, uint32_t reads_min, uint32_t failures_min)
{
    uint32_t failures = 0;
    uint64_t read = 0;

    while (tell(read, &failures)) {
        read++;
        assert_true(read < READS_MAX);
    }
    assert_in_range(read, reads_min, READS_MAX);
    assert_in_range(failures, failures_min, read);
}

static void test_messages_calls_and_timers_go_on_whichever_read_fails(void **state)
{
    (void)state;
    tell_all(tell_of_work, 20, 10);
}

/* ---- Others ------------------------------------------------------------------------------------ */

/* Who has promised an answer is destroyed; who waits for it is told. */
static bool tell_of_an_end(uint64_t fail_read, uint32_t *failures)
{
    struct story story = begin_story(fail_read);

    (void)insist(&story, a, "do", NULL);
    make_cold(&story);
    (void)insist(&story, there, "destroy", NULL);
    make_cold(&story);
    pass_seconds(&story, 40);
    uint64_t reads = story.fx->reads;
    story.fx->fail_read = 0;
    assert_int_equal(insist(&story, a, "get", NULL), 10102); /* the end, the timeout, two timers */
    *failures += story.failures;
    fx_destroy(story.fx);
    return reads >= fail_read;
}

static void test_end_of_an_agent_is_told_whichever_read_fails(void **state)
{
    (void)state;
    tell_all(tell_of_an_end, 12, 5);
}

/* What waits in an outbox leaves again after a start. */
static bool tell_of_an_outbox(uint64_t fail_read, uint32_t *failures)
{
    struct story story = {.fx = fx_create(1)};
    struct fx *fx = story.fx;

    story.client = fx_client(fx, 1);
    fx_set_table(fx, NULL, 1, true);
    fx_address(a, "d", 1, 0);
    fx_address(here, "d", 1, 1);
    fx_address(there, "d", 2, 0);
    fx_do[0] = begin;
    (void)insist(&story, a, "do", NULL);
    fx_forget_outputs(fx);
    fx->fail_read = fail_read;
    make_cold(&story);
    fx_forget_outputs(fx);
    pass_seconds(&story, 2);
    assert_true(fx->sends.count > 0);
    uint64_t reads = fx->reads;
    fx->fail_read = 0;
    *failures += story.failures;
    fx_destroy(fx);
    return reads >= fail_read;
}

static void test_outbox_is_found_again_whichever_read_fails(void **state)
{
    (void)state;
    tell_all(tell_of_an_outbox, 3, 2);
}

static int read_keyed(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_slice value;

    (void)args;
    ((struct puppet *)state)->value++;
    (void)!stead_kv_get(turn, stead_str("k"), &value); /* as if it did not matter */
    return 0;
}

static int write_keyed(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_kv_put(turn, stead_str("k"), stead_packed(turn, "l", (int64_t)1));
}

/* What a turn makes of "cannot be read" is nothing that may be kept. */
static void test_turn_that_cannot_read_its_keyed_state_fails(void **state)
{
    struct story story = begin_story(0);
    struct fx *fx = story.fx;

    (void)state;
    fx_do[0] = write_keyed;
    fx_do[1] = read_keyed;
    assert_int_equal(fx_call(fx, &story.client, a, "do"), 0);
    make_cold(&story);
    assert_int_equal(fx_call_i64(fx, &story.client, a, "get"), 0);
    fx->fail_read = fx->reads + 1;
    assert_int_equal(fx_call(fx, &story.client, a, "do2"), STEAD_EIO);
    assert_int_equal(stead_host_failed(fx->host, NULL), 0);
    assert_int_equal(fx_call_i64(fx, &story.client, a, "get"), 0);
    assert_int_equal(fx_call(fx, &story.client, a, "do2"), 0);
    assert_int_equal(fx_call_i64(fx, &story.client, a, "get"), 1);
    fx_destroy(fx);
}

/* Who looks is not shown less than there is. */
static void test_query_that_cannot_read_says_so(void **state)
{
    struct story story = begin_story(0);
    struct fx *fx = story.fx;
    uint32_t failed = 0;

    (void)state;
    (void)insist(&story, a, "do", NULL);
    make_cold(&story);
    for (bool some = true; some;) {
        fx->fail_read = fx->reads + failed + 1;
        struct stead_message *answer = fx_query(fx, &story.client, a, "show", (struct stead_slice){0});
        some = fx->reads >= fx->fail_read;
        assert_int_equal(answer->status, some ? STEAD_EIO : 0);
        failed += some;
        stead_message_destroy(&answer);
    }
    assert_in_range(failed, 3, 10); /* the head, timers, calls */
    assert_int_equal(stead_host_failed(fx->host, NULL), 0);
    fx_destroy(fx);
}

/* ---- Mail ---------------------------------------------------------------------------------------- */

static struct stead_row_key unreadable; /* the parked mail of `a`; of no size: all can be read */
static uint64_t held_as;

static bool is_unreadable(struct stead_slice key)
{
    return unreadable.size > 0 && key.size >= unreadable.size &&
           memcmp(key.data, unreadable.data, unreadable.size) == 0;
}

static int scan_but_mail(void *self, struct stead_slice from, struct stead_slice to, bool reverse,
                         stead_row_visit_fn *visit, void *context)
{
    return is_unreadable(from) ? STEAD_ECORRUPT : fx_door_scan(self, from, to, reverse, visit, context);
}

static int get_but_mail(void *self, struct stead_slice key, struct stead_writer *ret_value)
{
    return is_unreadable(key) ? STEAD_ECORRUPT : fx_door_get(self, key, ret_value);
}

/* `a` sets a timer and is held, by nobody who comes back; others signal it. */
static int hold_or_signal(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    if (strcmp(stead_self(turn), a) != 0)
        return stead_signal(turn, a, "add", (struct stead_slice){0});
    int code = stead_timer_every(turn, "t", 1000, "do2", (struct stead_slice){0});
    return code != 0 ? code : stead_hold(turn, "nobody/x", &held_as);
}

/* A mailbox on a bad place of the disk is its agent's trouble, and nobody else's. */
static void test_held_agent_whose_mail_cannot_be_read_ends_no_host(void **state)
{
    struct story story = begin_story(0);
    struct fx *fx = story.fx;

    (void)state;
    fx->doors.scan = scan_but_mail, fx->doors.get = get_but_mail;
    fx_do[0] = hold_or_signal, fx_do[1] = NULL;
    (void)insist(&story, a, "do", NULL);
    (void)insist(&story, here, "do", NULL);
    pass_seconds(&story, 2); /* the signal waits, and a run of the timer */
    stead_row_part(&unreadable, stead_address_slot(stead_str(a), 0), stead_str(a), 0, STEAD_PART_MAIL,
                   (struct stead_slice){0});
    make_cold(&story);
    pass_seconds(&story, 5);
    struct stead_message *call = fx_request(fx, &story.client, STEAD_CALL, a, "get", (struct stead_slice){0}, NULL);
    struct stead_message *cancel = fx_cancel(call, &story.client);
    fx_deliver(fx, cancel); /* of what is not found */
    stead_message_destroy(&cancel);
    stead_message_destroy(&call);
    look_after(&story);
    assert_int_equal(insist(&story, here, "get", NULL), 0);
    unreadable.size = 0;
    struct stead_message *answer = fx_query(fx, &story.client, a, "unlock", (struct stead_slice){0});
    assert_int_equal(answer->status, 0);
    stead_message_destroy(&answer);
    pass_seconds(&story, 2);
    assert_int_equal(insist(&story, a, "get", NULL), 1);
    assert_int_equal(story.failures, 0);
    fx_destroy(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_calls_and_timers_go_on_whichever_read_fails),
        cmocka_unit_test(test_end_of_an_agent_is_told_whichever_read_fails),
        cmocka_unit_test(test_outbox_is_found_again_whichever_read_fails),
        cmocka_unit_test(test_turn_that_cannot_read_its_keyed_state_fails),
        cmocka_unit_test(test_query_that_cannot_read_says_so),
        cmocka_unit_test(test_held_agent_whose_mail_cannot_be_read_ends_no_host),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
