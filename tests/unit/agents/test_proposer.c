/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proposer of rank 1 of a group of three by itself: when it sleeps and wakes, and what a leader sends again. All
 * members, and the other proposers, are played by an agent that answers as it is told to and remembers what it was
 * told.
 */
#include "unit/runtime/host_client.h"

#include "agents/proposer.h"

#define PROPOSER STEAD_CONSENSUS_PROPOSER_KIND "/g/1"
#define SLOTS 20u
#define PING_MS 10u
#define ANSWER_MS 40u
#define BALLOT (1u << 8 | 1u)

static struct fx *fx;
static struct fx_client client;
static uint64_t members;             /* that its member says; 0: it rests */
static bool held;                    /* config is answered when the test says so */
static struct stead_token tokens[2]; /* of the answers that are held */
static uint32_t configs;             /* asked for */
static uint32_t asked[4][SLOTS + 1]; /* how often a rank was asked to accept a slot */
static uint64_t asked_ns[SLOTS + 1]; /* when rank 2 was, last */
static uint64_t wait_ns[SLOTS + 1];  /* longest time between two of them */

static struct stead_slice pack_config(struct stead_turn *turn)
{
    return stead_packed(turn, "{s:u,s:u,s:u,s:u,s:u,s:u,s:b,s:u,s:u}", "members", members, "ping_ms", (uint64_t)PING_MS,
                        "silence_ms", (uint64_t)100, "answer_ms", (uint64_t)ANSWER_MS, "way", (uint64_t)0, "poll_ms",
                        (uint64_t)0, "silent", 0, "chosen", (uint64_t)0, "promised", (uint64_t)0);
}

static int config(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    configs++;
    if (!held)
        return stead_reply(turn, pack_config(turn));
    assert_true(configs <= 2);
    return stead_reply_later(turn, &tokens[configs - 1]);
}

/* Answers the config that was asked for first, or second. */
static int answer(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t which = 0;

    (void)state;
    assert_int_equal(stead_get_u64(args, NULL, &which), 0);
    return stead_answer(turn, &tokens[which], pack_config(turn));
}

static int campaign(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_reply(turn, stead_packed(turn, "{s:u,s:u,s:u,s:[]}", "from", (uint64_t)1, "ballot", (uint64_t)BALLOT,
                                          "chosen", (uint64_t)0, "accepted"));
}

static int prepare(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    if (strcmp(stead_self_key(turn), "g/2") != 0)
        return 0;
    return stead_tell(turn, PROPOSER, "promise",
                      stead_packed(turn, "{s:u,s:u,s:u,s:[]}", "from", (uint64_t)2, "ballot", (uint64_t)BALLOT,
                                   "chosen", (uint64_t)0, "accepted"));
}

/* Notes what it is asked to accept, and votes for nothing. */
static int accept(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint32_t rank = (uint32_t)(stead_self_key(turn)[2] - '0'), count = 0, parts;
    struct stead_slice entries;

    (void)state;
    assert_int_equal(stead_get_value(args, "entries", &entries), 0);
    struct stead_reader reader = stead_reader(entries);
    assert_int_equal(stead_read_array(&reader, &count), 0);
    for (; count > 0; count--) {
        uint64_t slot = 0, now = stead_monotonic_ns(turn);
        assert_int_equal(stead_read_array(&reader, &parts), 0);
        assert_int_equal(stead_read_u64(&reader, &slot), 0);
        for (parts--; parts > 0; parts--)
            assert_int_equal(stead_read_skip(&reader), 0);
        assert_in_range(slot, 1, SLOTS);
        if (rank == 2 && asked_ns[slot] != 0 && now - asked_ns[slot] > wait_ns[slot])
            wait_ns[slot] = now - asked_ns[slot];
        if (rank == 2)
            asked_ns[slot] = now;
        asked[rank][slot]++;
    }
    return 0;
}

static int ignore(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)turn, (void)state, (void)args;
    return 0;
}

static const struct stead_op member_ops[] = {{.name = "config", .run = config},     {.name = "answer", .run = answer},
                                             {.name = "campaign", .run = campaign}, {.name = "prepare", .run = prepare},
                                             {.name = "accept", .run = accept},     {.name = "learn", .run = ignore},
                                             {.name = "silence", .run = ignore},    {0}};
static const struct stead_kind member_kind = {.abi = STEAD_ABI,
                                              .struct_size = sizeof(struct stead_kind),
                                              .name = STEAD_CONSENSUS_MEMBER_KIND,
                                              .durability = STEAD_VOLATILE,
                                              .ops = member_ops};

static void send(enum stead_message_type type, const char *address, const char *op, struct stead_slice args)
{
    struct stead_message *message = fx_request(fx, &client, type, address, op, args, NULL);

    stead_host_deliver(fx->host, &message);
    fx_run(fx);
}

static void say(const char *op)
{
    send(STEAD_CALL, PROPOSER, op, (struct stead_slice){0});
    assert_int_equal(fx_answer_status(fx), 0);
}

static bool phase_is(const char *phase)
{
    struct stead_slice it;

    send(STEAD_CALL, PROPOSER, "status", (struct stead_slice){0});
    struct stead_message *message = fx_answer(fx);
    assert_int_equal(stead_get_str(stead_message_payload(message), "phase", &it), 0);
    bool is = stead_slice_equal(it, stead_str(phase));
    stead_message_destroy(&message);
    return is;
}

static void answer_config(uint32_t which)
{
    send(STEAD_CALL, STEAD_CONSENSUS_MEMBER_KIND "/g/1", "answer", fx_i64(which));
    assert_int_equal(fx_answer_status(fx), 0);
}

static int setup(void **state)
{
    (void)state;
    members = 3;
    held = false;
    configs = 0;
    memset(asked, 0, sizeof asked);
    memset(asked_ns, 0, sizeof asked_ns);
    memset(wait_ns, 0, sizeof wait_ns);
    fx = fx_create(2);
    assert_int_equal(stead_registry_add(fx->registry, &stead_consensus_proposer_kind, NULL), 0);
    assert_int_equal(stead_registry_add(fx->registry, &member_kind, NULL), 0);
    client = fx_client(fx, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fx_destroy(fx);
    return 0;
}

/* ---- Asleep and awake (V8) ----------------------------------------------------------------------- */

static void test_answer_that_is_older_than_the_rest_wakes_nobody(void **state)
{
    (void)state;
    held = true;
    say("wake");
    assert_true(phase_is("waking"));
    say("rest");
    answer_config(0);
    assert_true(phase_is("asleep"));
}

static void test_who_is_woken_after_a_rest_wakes_although_an_older_answer_says_rest(void **state)
{
    (void)state;
    held = true;
    say("wake");
    members = 0;
    say("wake"); /* both answers are on their way, the first is of a member that rests */
    answer_config(0);
    assert_true(phase_is("asleep"));
    members = 3;
    answer_config(1);
    assert_true(phase_is("following"));
}

static void test_proposer_that_missed_the_rest_sleeps_when_its_member_says_so(void **state)
{
    (void)state;
    say("wake");
    assert_true(phase_is("following"));
    members = 0;
    say("wake");
    assert_true(phase_is("asleep"));
    fx_step_ms(fx, 1000);
    assert_true(phase_is("asleep"));
}

static void test_rest_stops_a_leader(void **state)
{
    (void)state;
    say("wake");
    for (int at = 0; at < 100 && !phase_is("leading"); at++)
        fx_step_ms(fx, PING_MS);
    assert_true(phase_is("leading"));
    say("rest");
    fx_step_ms(fx, 1000);
    assert_true(phase_is("asleep"));
}

/* ---- What is sent again (V7) --------------------------------------------------------------------- */

static void propose(uint32_t number)
{
    struct stead_writer args;
    char id[16];

    snprintf(id, sizeof id, "p%u", number);
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:s}", "id", id, "value", "v");
    send(STEAD_CALL, PROPOSER, "propose", stead_written(&args));
    stead_writer_deinit(&args);
}

static void test_whole_window_is_sent_again_and_again_and_none_waits_long(void **state)
{
    (void)state;
    say("wake");
    for (int at = 0; at < 100 && !phase_is("leading"); at++)
        fx_step_ms(fx, PING_MS);
    assert_true(phase_is("leading"));
    for (uint32_t at = 0; at < SLOTS; at++)
        propose(at);
    for (uint32_t slot = 1; slot <= SLOTS; slot++)
        assert_int_equal(asked[2][slot], 1);
    fx_step_ms(fx, ANSWER_MS + PING_MS);
    for (uint32_t at = 0; at < (SLOTS + STEAD_PROPOSER_RESEND_MAX - 1) / STEAD_PROPOSER_RESEND_MAX; at++)
        fx_step_ms(fx, PING_MS);
    for (uint32_t slot = 1; slot <= SLOTS; slot++) /* all of them, although one tick sends few */
        assert_in_range(asked[2][slot], 2, 3);
    for (uint32_t at = 0; at < 500; at++)
        fx_step_ms(fx, PING_MS);
    for (uint32_t slot = 1; slot <= SLOTS; slot++) {
        assert_in_range(wait_ns[slot], 1, ((uint64_t)(ANSWER_MS << STEAD_PROPOSER_TRIES_MAX) + 4 * PING_MS) * 1000000);
        assert_int_equal(asked[3][slot], asked[2][slot]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answer_that_is_older_than_the_rest_wakes_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_is_woken_after_a_rest_wakes_although_an_older_answer_says_rest, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_proposer_that_missed_the_rest_sleeps_when_its_member_says_so, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_rest_stops_a_leader, setup, teardown),
        cmocka_unit_test_setup_teardown(test_whole_window_is_sent_again_and_again_and_none_waits_long, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
