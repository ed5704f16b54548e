/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting: passes over much mail, in memory and parked; what volatile agents may add to it; deadlines of what waits.
 * What waits, and in what order it runs, is in test_take.c.
 */
#include "runtime/shard.h"
#include "unit/runtime/host_client.h"

enum { MANY = 4000 };
static const char *target, *holder; /* who is sent to, and may be held; for whom */
static uint64_t fence;
static int64_t taken; /* turns of `do3` */

/* Three agents of one shard: `a` is sent to, `b` may hold it, `c` sends. */
struct three {
    struct fx *fx;
    struct fx_client client;
    char a[64], b[64], c[64];
};

static struct three begin_three(void)
{
    struct three it = {.fx = fx_create(1)};

    it.client = fx_client(it.fx, 1);
    fx_address(it.a, "d", 1, 0);
    fx_address(it.b, "d", 1, 1);
    fx_address(it.c, "d", 1, 2);
    taken = 0;
    return it;
}

/* `a` releases itself, told by `b`. */
static int release(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    if (strcmp(stead_self(turn), target) == 0)
        return stead_release(turn, fence);
    return stead_signal(turn, target, "do2", (struct stead_slice){0});
}

static int count_one(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)turn, (void)state, (void)args;
    taken++;
    return 0;
}

static int hold_or_send_many(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int code = 0;

    (void)state, (void)args;
    if (strcmp(stead_self(turn), target) == 0)
        return stead_hold(turn, holder, &fence);
    for (int64_t i = 0; code == 0 && i < MANY; i++)
        code = stead_signal(turn, target, "do3", (struct stead_slice){0});
    return code;
}

static void run_once(struct fx *fx)
{
    assert_true(stead_host_run(fx->host) || fx->logs[1].appended > fx->logs[1].synced);
    (void)fx_sync(fx);
}

/* M5: rounds go on where the last one stopped; and who has much mail keeps nobody else. */
static void test_parked_messages_are_each_looked_at_once_and_keep_nobody(void **state)
{
    struct three it = begin_three();
    struct fx *fx = it.fx;

    (void)state;
    target = it.a, holder = it.b;
    fx_do[0] = hold_or_send_many, fx_do[1] = release, fx_do[2] = count_one;
    assert_int_equal(fx_call(fx, &it.client, it.a, "do"), 0);
    assert_int_equal(fx_call(fx, &it.client, it.c, "do"), 0);
    fx_cold_restart(fx);
    assert_int_equal(fx_call(fx, &it.client, it.c, "get"), 0); /* in memory from here on */
    assert_int_equal(fx_call(fx, &it.client, it.b, "get"), 0);
    uint64_t before = fx->rows_scanned;
    struct stead_message *request =
        fx_request(fx, &it.client, STEAD_SIGNAL, it.b, "do2", (struct stead_slice){0}, NULL);
    stead_host_deliver(fx->host, &request);
    while (taken == 0)
        run_once(fx);
    stead_queue_clear(&fx->answers);
    request = fx_request(fx, &it.client, STEAD_CALL, it.c, "get", (struct stead_slice){0}, NULL);
    stead_host_deliver(fx->host, &request);
    while (fx->answers.count == 0)
        run_once(fx);
    assert_in_range(taken, 1, MANY / 4);
    fx_run(fx);
    assert_int_equal(taken, MANY);
    assert_in_range(fx->rows_scanned - before, MANY, MANY + MANY / 16);
    fx_destroy(fx);
}

/* A node that failed is started again. */
static void look_after(struct fx *fx)
{
    if (stead_host_failed(fx->host, NULL) != 0)
        fx_crash(fx, false);
    fx_run(fx);
}

/* The holder is let in whichever read fails, that of the mail which waits for its release among them. */
static void test_holder_is_let_in_though_parked_mail_cannot_be_read(void **state)
{
    (void)state;
    for (uint64_t failing = 1; failing < 16; failing++) {
        struct three it = begin_three();
        struct fx *fx = it.fx;
        target = it.a, holder = it.b;
        fx_do[0] = hold_or_send_many, fx_do[1] = release, fx_do[2] = count_one;
        assert_int_equal(fx_call(fx, &it.client, it.a, "do"), 0);
        assert_int_equal(fx_call(fx, &it.client, it.c, "do"), 0);
        fx_cold_restart(fx);
        fx->fail_read = fx->reads + failing;
        fx_run(fx);
        look_after(fx);
        struct stead_message *told = fx_request(fx, &it.client, STEAD_CALL, it.b, "do2", (struct stead_slice){0}, NULL);
        for (int i = 0; i < 30; i++) {
            fx_deliver(fx, told);
            look_after(fx);
            fx_step_ms(fx, 200);
        }
        assert_int_equal(taken, MANY);
        stead_message_destroy(&told);
        fx_destroy(fx);
    }
}

/* What has waited does not fill the disk's queue; and it goes on whenever the disk has got on with it, though others
 * fill it. */
static void test_parked_messages_wait_for_the_disk(void **state)
{
    struct three it = begin_three();
    struct fx *fx = it.fx;

    (void)state;
    target = it.a, holder = it.b;
    fx_do[0] = hold_or_send_many, fx_do[1] = release, fx_do[2] = count_one;
    assert_int_equal(fx_call(fx, &it.client, it.a, "do"), 0);
    assert_int_equal(fx_call(fx, &it.client, it.c, "do"), 0);
    fx->hold_sync = true;
    fx_send(fx, &it.client, STEAD_SIGNAL, it.b, "do2");
    assert_in_range(taken, 1, MANY - 1);
    for (int64_t before = taken; taken < MANY; before = taken) {
        for (int i = 0; i < 8000; i++) {
            struct stead_message *tell =
                fx_request(fx, &it.client, STEAD_TELL, it.c, "add", (struct stead_slice){0}, NULL);
            stead_host_deliver(fx->host, &tell);
        }
        uint64_t index = fx->logs[1].appended;
        fx_run(fx); /* the others are behind those that have waited */
        fx->logs[1].synced = index;
        stead_host_synced(fx->host, 1, index);
        fx_run(fx);
        assert_true(taken > before);
    }
    fx->hold_sync = false;
    fx_run(fx);
    fx_destroy(fx);
}

static int defer_always(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    taken++;
    return stead_defer(turn);
}

static int relay_hundred(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int code = 0;

    (void)state, (void)args;
    for (int64_t i = 0; code == 0 && i < 100; i++)
        code = stead_signal(turn, target, "do3", (struct stead_slice){0});
    return code;
}

/* More of them than one round runs. */
static void test_deferred_messages_are_run_again_once_for_each_turn(void **state)
{
    struct three it = begin_three();
    struct fx *fx = it.fx;

    (void)state;
    target = it.a, holder = it.b;
    fx_do[0] = relay_hundred, fx_do[2] = defer_always;
    assert_int_equal(fx_call(fx, &it.client, it.c, "do"), 0);
    assert_int_equal(taken, 100);
    assert_int_equal(fx_call(fx, &it.client, it.a, "get"), 0);
    assert_int_equal(taken, 200);
    fx_step_ms(fx, 5000);
    assert_int_equal(taken, 200);
    fx_cold_restart(fx);
    fx_step_ms(fx, 5000);
    assert_int_equal(taken, 300);
    fx_destroy(fx);
}

static void test_deferred_requests_are_run_again_once_for_each_turn(void **state)
{
    struct three it = begin_three();
    struct fx *fx = it.fx;

    (void)state;
    fx_do[2] = defer_always;
    for (int i = 0; i < 100; i++)
        fx_send(fx, &it.client, STEAD_CALL, it.a, "do3");
    assert_int_equal(taken, 100);
    assert_int_equal(fx_call(fx, &it.client, it.a, "get"), 0);
    assert_int_equal(taken, 200);
    fx_step_ms(fx, 5000);
    assert_int_equal(taken, 200);
    fx_destroy(fx);
}

/* It has not been tried yet: the pass that goes by is not its own. */
static void test_request_that_comes_during_a_pass_is_run(void **state)
{
    struct three it = begin_three();
    struct fx *fx = it.fx;

    (void)state;
    fx_do[2] = defer_always;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 100; i++)
            fx_send(fx, &it.client, STEAD_CALL, it.a, "do3");
        struct stead_message *request =
            fx_request(fx, &it.client, STEAD_CALL, it.a, "get", (struct stead_slice){0}, NULL);
        stead_host_deliver(fx->host, &request);
        int64_t before = taken;
        while (taken == before)
            stead_host_run(fx->host);
        assert_in_range(taken, before + 1, before + 99);
        stead_queue_clear(&fx->answers);
        request = fx_request(fx, &it.client, STEAD_CALL, it.a, "add", (struct stead_slice){0}, NULL);
        stead_host_deliver(fx->host, &request);
        fx_run(fx);
        assert_int_equal(fx_answer_i64(fx), round + 1);
    }
    fx_destroy(fx);
}

/* ---- Signals of volatile agents ------------------------------------------------------------------------------ */

#define NOBODY "nobody/x" /* who is held for */
static char other[64];    /* whom `do2` of a volatile agent signals */

static int hold_self(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_hold(turn, holder, &fence);
}

static int release_self(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_release(turn, fence);
}

static int signal_or_hold(struct stead_turn *turn, void *state, struct stead_slice args)
{
    if (strcmp(stead_self(turn), target) == 0)
        return hold_self(turn, state, args);
    return stead_signal(turn, target, "do3", args);
}

static int signal_other(struct stead_turn *turn, void *state, struct stead_slice args)
{
    if (strcmp(stead_self(turn), target) == 0)
        return release_self(turn, state, args);
    return stead_signal(turn, other, "do3", args);
}

static int signal_fenced(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state;
    stead_send_with_fence(turn, fence);
    return stead_signal(turn, target, "do3", args);
}

static int signal_release(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_signal(turn, target, STEAD_OP_RELEASE, stead_packed(turn, "{s:u}", "fence", fence));
}

/* An agent `target`, held, and a volatile one that signals it; with such limits. */
static struct three begin_flood(char target_text[static 64], char sender[static 64], const char *held_for,
                                uint32_t messages, uint64_t memory)
{
    struct three it = {.fx = fx_create(1)};

    it.fx->settings.mailbox_messages_max = messages;
    it.fx->settings.memory_bytes_max = memory;
    fx_crash(it.fx, false);
    it.client = fx_client(it.fx, 1);
    taken = 0, holder = held_for;
    target = fx_address(target_text, "d", 1, 0);
    fx_address(sender, "v", 1, 0);
    fx_address(other, "d", 1, 1);
    fx_do[0] = signal_or_hold, fx_do[1] = signal_other, fx_do[2] = count_one;
    assert_int_equal(fx_call(it.fx, &it.client, target, "do"), 0);
    return it;
}

static void release_target(struct three *it, const char *address)
{
    struct stead_message *release =
        fx_request(it->fx, &it->client, STEAD_CALL, address, "do2", (struct stead_slice){0}, NULL);

    release->groups |= STEAD_GROUP_FENCE;
    release->fence = fence;
    fx_deliver(it->fx, release);
    stead_message_destroy(&release);
    assert_int_equal(fx_answer_status(it->fx), 0);
}

static void test_volatile_agent_is_told_that_a_mailbox_is_full(void **state)
{
    char a[64], v[64];
    struct three it = begin_flood(a, v, NOBODY, 5, 512u << 20);
    struct fx *fx = it.fx;

    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(fx_call(fx, &it.client, v, "do"), 0);
    assert_int_equal(fx_call(fx, &it.client, v, "do"), STEAD_EBUSY);
    assert_int_equal(fx_call(fx, &it.client, v, "do2"), 0); /* to another one */
    assert_int_equal(taken, 1);
    release_target(&it, a);
    assert_int_equal(taken, 6); /* each that was said, once */
    assert_int_equal(fx_call(fx, &it.client, v, "do"), 0);
    assert_int_equal(taken, 7);
    fx_destroy(fx);
}

/* A hold that nobody could end would keep the mailbox full. */
static void test_holder_signals_its_held_agent_though_the_mailbox_is_full(void **state)
{
    static const char *const ops[] = {"do", "do2", "do2"};
    char a[64], v[64], w[64];

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct three it = begin_flood(a, v, i == 0 ? fx_address(v, "v", 1, 0) : NOBODY, 5, 512u << 20);
        struct fx *fx = it.fx;
        fx_do[1] = i == 1 ? signal_fenced : signal_release;
        fx_address(w, "v", 1, 1);
        for (int k = 0; k < 5; k++)
            assert_int_equal(fx_call(fx, &it.client, w, "do"), 0);
        assert_int_equal(fx_call(fx, &it.client, w, "do"), STEAD_EBUSY);
        assert_int_equal(taken, 0);
        assert_int_equal(fx_call(fx, &it.client, v, ops[i]), 0);
        assert_int_equal(taken, i == 2 ? 5 : 1);
        fx_destroy(fx);
    }
}

static char relay[64];

static int signal_relay(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state;
    return stead_signal(turn, relay, "do", args);
}

/* Of two that ask each other, both full, neither could make room. */
static void test_what_another_agent_asked_for_is_said_though_the_mailbox_is_full(void **state)
{
    char a[64], v[64];
    struct three it = begin_flood(a, v, NOBODY, 5, 512u << 20);
    struct fx *fx = it.fx;

    (void)state;
    fx_do[1] = signal_relay;
    fx_address(relay, "v", 1, 1);
    for (int i = 0; i < 5; i++)
        assert_int_equal(fx_call(fx, &it.client, v, "do"), 0);
    assert_int_equal(fx_call(fx, &it.client, v, "do"), STEAD_EBUSY);
    assert_int_equal(fx_call(fx, &it.client, v, "do2"), 0);
    assert_int_equal(taken, 0);
    fx_do[1] = signal_other;
    release_target(&it, a);
    assert_int_equal(taken, 6);
    fx_destroy(fx);
}

static void test_full_mailboxes_refuse_a_volatile_agents_signal_that_would_wait(void **state)
{
    char a[64], v[64];
    struct three it = begin_flood(a, v, NOBODY, 10000, 64u << 10);
    struct fx *fx = it.fx;
    int code = 0, said = 0;

    (void)state;
    assert_int_equal(fx_call(fx, &it.client, other, "get"), 0); /* in memory, and it runs what comes */
    for (; code == 0 && said < 10000; said++)
        code = fx_call(fx, &it.client, v, "do");
    assert_int_equal(code, STEAD_EBUSY);
    assert_in_range(said, 2, (64u << 10) / 4 / STEAD_MESSAGE_SMALL + 2);
    assert_int_equal(fx_call(fx, &it.client, v, "do2"), 0);
    assert_int_equal(taken, 1);
    fx_destroy(fx);
}

static int signal_self_twice(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state;
    int code = stead_signal(turn, stead_self(turn), "do", args);
    return code != 0 ? code : stead_signal(turn, stead_self(turn), "do", args);
}

static void test_volatile_agent_that_begets_ever_more_signals_is_bounded(void **state)
{
    struct three it = {.fx = fx_create(1)};
    struct fx *fx = it.fx;
    char v[64];

    (void)state;
    fx->settings.memory_bytes_max = 1u << 20;
    fx_crash(fx, false);
    it.client = fx_client(fx, 1);
    fx_do[0] = signal_self_twice;
    struct stead_message *first =
        fx_request(fx, &it.client, STEAD_SIGNAL, fx_address(v, "v", 1, 0), "do", (struct stead_slice){0}, NULL);
    stead_host_deliver(fx->host, &first);
    for (int round = 0; round < 50; round++)
        assert_true(stead_host_run(fx->host));
    assert_in_range(fx_stats(fx)->mailbox_messages, 1, (1u << 20) / 8 / sizeof(struct stead_message) + 2);
    fx_destroy(fx);
}

/* ---- Deadlines ----------------------------------------------------------------------------------------------- */

static void test_expired_messages_are_looked_for_in_parts(void **state)
{
    enum { AGENTS = 3, EACH = 4 };
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    struct stead_shard *shard = fx->host->shards[0];
    char address[64];

    (void)state;
    fx_do[0] = hold_self, holder = NOBODY;
    for (uint32_t i = 0; i < AGENTS; i++) {
        assert_int_equal(fx_call(fx, &client, fx_address(address, "d", 1, i), "do"), 0);
        for (uint32_t k = 0; k < EACH; k++) {
            struct stead_message *call =
                fx_request(fx, &client, STEAD_CALL, address, "add", (struct stead_slice){0}, NULL);
            call->deadline_ms = fx->now_ms + 1;
            stead_host_deliver(fx->host, &call);
        }
    }
    fx_run(fx);
    stead_host_set_now(fx->host, fx->now_ns, fx->now_ms + 1); /* no tick yet */
    for (uint32_t i = 1; i <= AGENTS; i++) {
        stead_shard_expire_waiting(shard, UINT32_MAX, 1);
        assert_int_equal(fx_stats(fx)->expired, i * EACH); /* of one agent, and of the next one next time */
    }
    uint32_t at = shard->expire_at;
    stead_shard_expire_waiting(shard, UINT32_MAX, 1);
    assert_int_equal(shard->expire_at, at + shard->agents.mask + 1); /* no place twice */
    stead_keys_expire(shard, UINT32_MAX);
    fx_destroy(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parked_messages_are_each_looked_at_once_and_keep_nobody),
        cmocka_unit_test(test_holder_is_let_in_though_parked_mail_cannot_be_read),
        cmocka_unit_test(test_parked_messages_wait_for_the_disk),
        cmocka_unit_test(test_deferred_messages_are_run_again_once_for_each_turn),
        cmocka_unit_test(test_deferred_requests_are_run_again_once_for_each_turn),
        cmocka_unit_test(test_request_that_comes_during_a_pass_is_run),
        cmocka_unit_test(test_volatile_agent_is_told_that_a_mailbox_is_full),
        cmocka_unit_test(test_holder_signals_its_held_agent_though_the_mailbox_is_full),
        cmocka_unit_test(test_what_another_agent_asked_for_is_said_though_the_mailbox_is_full),
        cmocka_unit_test(test_full_mailboxes_refuse_a_volatile_agents_signal_that_would_wait),
        cmocka_unit_test(test_volatile_agent_that_begets_ever_more_signals_is_bounded),
        cmocka_unit_test(test_expired_messages_are_looked_for_in_parts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
