/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A member of a consensus group by itself: what it promises, accepts and learns, what it refuses, and what of it a loss
 * of power leaves. The other ranks, and all proposers, are played by an agent that remembers what it was told last.
 */
#include "unit/runtime/host_client.h"

#include "agents/consensus.h"

#define MEMBER "consensus.member/g/1"
#define APART "consensus.member/j/1" /* another shard than its proposer's */

static struct fx *fx;
static struct fx_client client;
static char last_op[32]; /* that a proposer was told; "": none since the last request */
static uint8_t last_args[4096];
static size_t last_size;
static const char *address; /* of the member that is asked */

static struct stead_slice told(void)
{
    return stead_bytes(last_args, last_size);
}

static uint64_t told_u64(const char *field)
{
    uint64_t it = UINT64_MAX;

    assert_int_equal(stead_get_u64(told(), field, &it), 0);
    return it;
}

static int note(const char *op, struct stead_slice args)
{
    assert_true(args.size <= sizeof last_args);
    snprintf(last_op, sizeof last_op, "%s", op);
    memcpy(last_args, args.data, args.size);
    last_size = args.size;
    return 0;
}

#define NOTE(name)                                                                                                     \
    static int note_##name(struct stead_turn *turn, void *state, struct stead_slice args)                              \
    {                                                                                                                  \
        (void)turn, (void)state;                                                                                       \
        return note(#name, args);                                                                                      \
    }
NOTE(promise)
NOTE(nack)
NOTE(accepted)
NOTE(carry)
NOTE(wake)
NOTE(rest)

static int ignore(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)turn, (void)state, (void)args;
    return 0;
}

static const struct stead_op proposer_ops[] = {
    {.name = "promise", .run = note_promise},   {.name = "nack", .run = note_nack},
    {.name = "accepted", .run = note_accepted}, {.name = "carry", .run = note_carry},
    {.name = "wake", .run = note_wake},         {.name = "rest", .run = note_rest},
    {.name = "progress", .run = ignore},        {0}};
static const struct stead_kind proposer_kind = {.abi = STEAD_ABI,
                                                .struct_size = sizeof(struct stead_kind),
                                                .name = STEAD_CONSENSUS_PROPOSER_KIND,
                                                .durability = STEAD_VOLATILE,
                                                .ops = proposer_ops};

static void request(const char *op, struct stead_slice args)
{
    struct stead_message *message = fx_request(fx, &client, STEAD_CALL, address, op, args, NULL);

    stead_host_deliver(fx->host, &message);
    fx_run(fx);
}

/* Calls the member, runs, and forgets what was told before; the answer's status. */
static int send(const char *op, const char *format, ...)
{
    struct stead_writer args;
    va_list list;

    last_op[0] = '\0';
    stead_writer_init(&args);
    va_start(list, format);
    stead_pack_v(&args, format, list);
    va_end(list);
    request(op, stead_written(&args));
    stead_writer_deinit(&args);
    return fx_answer_status(fx);
}

static uint64_t ballot(uint64_t round, uint64_t rank)
{
    return round << 8 | rank;
}

static void prepare(uint64_t it)
{
    assert_int_equal(send("prepare", "{s:u,s:u}", "from", it & 255, "ballot", it), 0);
}

/* One entry, with value "v" + id. */
static void accept_entry(uint64_t it, uint64_t commit, uint64_t slot, const char *id)
{
    char value[16];

    snprintf(value, sizeof value, "v%s", id);
    assert_int_equal(send("accept", "{s:u,s:u,s:u,s:[[u,u,s,B]]}", "from", it & 255, "ballot", it, "commit", commit,
                          "entries", slot, it, id, stead_str(value)),
                     0);
}

static uint64_t status_of(const char *field)
{
    struct stead_writer args;
    uint64_t it = UINT64_MAX;

    stead_writer_init(&args);
    request("status", stead_written(&args));
    struct stead_message *answer = fx_answer(fx);
    assert_int_equal(stead_get_u64(stead_message_payload(answer), field, &it), 0);
    stead_message_destroy(&answer);
    return it;
}

static int setup(void **state)
{
    (void)state;
    fx = fx_create(2);
    address = MEMBER;
    assert_int_equal(stead_registry_add(fx->registry, &stead_consensus_member_kind, NULL), 0);
    assert_int_equal(stead_registry_add(fx->registry, &proposer_kind, NULL), 0);
    client = fx_client(fx, 1);
    assert_int_equal(send("join", "{s:d}", "members", 3), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fx_destroy(fx);
    return 0;
}

static void lose_power(void)
{
    fx_crash(fx, true);
}

/* ---- Promises -------------------------------------------------------------------------------- */

static void test_promise_is_kept_across_a_loss_of_power(void **state)
{
    (void)state;
    prepare(ballot(4, 2));
    assert_string_equal(last_op, "promise");
    lose_power();
    prepare(ballot(4, 1));
    assert_string_equal(last_op, "nack");
    assert_int_equal(told_u64("ballot"), ballot(4, 2));
    accept_entry(ballot(3, 3), 0, 1, "a");
    assert_string_equal(last_op, "nack");
    prepare(ballot(4, 2)); /* its answer was lost: the same again */
    assert_string_equal(last_op, "promise");
    prepare(ballot(4, 3));
    assert_string_equal(last_op, "promise");
}

static void test_ballot_is_given_out_once(void **state)
{
    uint64_t first = 0, second = 0;

    (void)state;
    prepare(ballot(9, 3));
    for (int at = 0; at < 2; at++) {
        struct stead_writer args;
        stead_writer_init(&args);
        stead_pack(&args, "{s:u}", "above", (uint64_t)0);
        request("campaign", stead_written(&args));
        stead_writer_deinit(&args);
        struct stead_message *answer = fx_answer(fx);
        assert_int_equal(stead_get_u64(stead_message_payload(answer), "ballot", at == 0 ? &first : &second), 0);
        stead_message_destroy(&answer);
        lose_power();
    }
    assert_int_equal(first, ballot(10, 1));
    assert_int_equal(second, ballot(11, 1));
}

static void test_promise_tells_what_was_accepted_and_at_which_ballot(void **state)
{
    struct stead_slice accepted, id, value;
    uint64_t slot, at;
    uint32_t count, parts;

    (void)state;
    accept_entry(ballot(1, 2), 0, 2, "b");
    assert_string_equal(last_op, "accepted");
    accept_entry(ballot(2, 3), 0, 2, "c");
    lose_power();
    prepare(ballot(5, 2));
    assert_int_equal(told_u64("chosen"), 0);
    assert_int_equal(stead_get_value(told(), "accepted", &accepted), 0);
    struct stead_reader reader = stead_reader(accepted);
    assert_int_equal(stead_read_array(&reader, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(stead_read_array(&reader, &parts), 0);
    assert_int_equal(stead_read_u64(&reader, &slot), 0);
    assert_int_equal(stead_read_u64(&reader, &at), 0);
    assert_int_equal(stead_read_str(&reader, &id), 0);
    assert_int_equal(stead_read_bin(&reader, &value), 0);
    assert_int_equal(slot, 2);
    assert_int_equal(at, ballot(2, 3));
    assert_true(stead_slice_equal(id, stead_str("c")));
    assert_true(stead_slice_equal(value, stead_str("vc")));
}

/* ---- Learning -------------------------------------------------------------------------------- */

static void test_commit_covers_only_what_was_accepted_at_its_ballot(void **state)
{
    (void)state;
    accept_entry(ballot(1, 2), 0, 1, "a");
    accept_entry(ballot(1, 2), 0, 2, "b");
    accept_entry(ballot(2, 3), 0, 2, "c"); /* slot 1 was not heard at this ballot */
    accept_entry(ballot(2, 3), 2, 3, "d");
    assert_int_equal(status_of("chosen"), 0);
    assert_int_equal(send("fill", "{s:u,s:u,s:[[u,u,s,B]]}", "from", (uint64_t)3, "chosen", (uint64_t)1, "entries",
                          (uint64_t)1, ballot(1, 2), "a", stead_str("va")),
                     0);
    assert_int_equal(status_of("chosen"), 1);
    accept_entry(ballot(2, 3), 3, 4, "e");
    assert_int_equal(status_of("chosen"), 3);
}

static void test_chosen_slot_is_not_written_again(void **state)
{
    (void)state;
    accept_entry(ballot(1, 2), 0, 1, "a");
    accept_entry(ballot(1, 2), 1, 2, "b");
    assert_int_equal(status_of("chosen"), 1);
    accept_entry(ballot(3, 3), 0, 1, "other");
    assert_int_equal(send("fill", "{s:u,s:u,s:[[u,u,s,B]]}", "from", (uint64_t)3, "chosen", (uint64_t)1, "entries",
                          (uint64_t)1, ballot(3, 3), "other", stead_str("vother")),
                     0);
    request("find", stead_bytes("\xa1"
                                "a",
                                2));
    struct stead_message *answer = fx_answer(fx);
    uint64_t slot = 0;
    assert_int_equal(stead_get_u64(stead_message_payload(answer), "slot", &slot), 0);
    stead_message_destroy(&answer);
    assert_int_equal(slot, 1);
}

static void test_id_takes_effect_in_its_first_slot(void **state)
{
    (void)state;
    accept_entry(ballot(1, 2), 0, 1, "a");
    accept_entry(ballot(1, 2), 0, 2, "a");
    accept_entry(ballot(1, 2), 2, 3, "b");
    assert_int_equal(status_of("chosen"), 2);
    assert_int_equal(status_of("repeats"), 1);
}

static void test_slot_far_beyond_the_prefix_is_not_kept(void **state)
{
    struct stead_slice slots;
    uint32_t count = 99;

    (void)state;
    accept_entry(ballot(1, 2), 0, STEAD_CONSENSUS_OPEN_MAX, "a");
    assert_string_equal(last_op, "accepted");
    accept_entry(ballot(1, 2), 0, STEAD_CONSENSUS_OPEN_MAX + 1, "b");
    assert_string_equal(last_op, "accepted");
    assert_int_equal(stead_get_value(told(), "slots", &slots), 0);
    struct stead_reader reader = stead_reader(slots);
    assert_int_equal(stead_read_array(&reader, &count), 0);
    assert_int_equal(count, 0);
}

/* ---- Its own proposer ------------------------------------------------------------------------- */

/* The power goes when the request is on disk, and nothing of it has left yet. */
static void lose_power_after(const char *op, struct stead_slice args)
{
    last_op[0] = '\0';
    fx->hold_sync = true;
    request(op, args);
    assert_string_equal(last_op, "");
    for (uint32_t shard = 1; shard < FX_SHARDS; shard++)
        fx->logs[shard].synced = fx->logs[shard].appended;
    fx->hold_sync = false;
    lose_power();
    fx_run(fx);
}

static void test_rest_and_wake_reach_its_proposer_across_a_loss_of_power(void **state)
{
    static const uint8_t three[] = "\x81\xa7members\x03";

    (void)state;
    address = APART;
    assert_int_equal(send("join", "{s:d}", "members", 3), 0);
    lose_power_after("rest", (struct stead_slice){0});
    assert_string_equal(last_op, "rest");
    lose_power_after("join", stead_bytes(three, sizeof three - 1));
    assert_string_equal(last_op, "wake");
}

/* ---- What it does not take -------------------------------------------------------------------- */

static void test_nonsense_changes_nothing(void **state)
{
    (void)state;
    send("prepare", "{s:u,s:u}", "from", (uint64_t)4, "ballot", ballot(9, 4)); /* of a group of 3 */
    send("prepare", "{s:s}", "from", "me");
    send("accept", "{s:u,s:u,s:u,s:s}", "from", (uint64_t)2, "ballot", ballot(0, 2), "commit", (uint64_t)0, "entries",
         "x");
    send("accept", "{s:u,s:u,s:u,s:[[u,u,s,B]]}", "from", (uint64_t)2, "ballot", ballot(0, 2), "commit", (uint64_t)0,
         "entries", (uint64_t)0, ballot(0, 2), "slot 0", stead_str("v"));
    send("fill", "{s:u,s:u,s:u}", "from", (uint64_t)2, "chosen", (uint64_t)9, "entries", (uint64_t)7);
    assert_int_equal(status_of("round"), 0);
    assert_int_equal(status_of("chosen"), 0);
    assert_int_equal(send("campaign", "{s:u}", "above", UINT64_MAX), STEAD_EFAILED);
    assert_int_equal(send("join", "{s:d}", "members", 64), STEAD_EFAILED);
}

static void test_silent_member_says_nothing(void **state)
{
    (void)state;
    assert_int_equal(send("silence", "b", 1), 0);
    prepare(ballot(4, 2));
    assert_string_equal(last_op, "");
    assert_int_equal(send("silence", "b", 0), 0);
    prepare(ballot(4, 2));
    assert_string_equal(last_op, "promise");
}

static void test_size_of_a_group_is_for_ever(void **state)
{
    (void)state;
    assert_int_equal(send("join", "{s:d}", "members", 5), 0); /* nothing was promised yet */
    prepare(ballot(1, 2));
    assert_int_equal(send("join", "{s:d}", "members", 3), STEAD_EFAILED);
    assert_int_equal(send("join", "{s:d}", "members", 5), 0);
}

static void test_on_the_hub_its_own_proposer_carries_its_answers(void **state)
{
    (void)state;
    assert_int_equal(send("join", "{s:d,s:s,s:d}", "members", 3, "fabric", "hub", "poll_ms", 250), 0);
    prepare(ballot(4, 2));
    assert_string_equal(last_op, "carry");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_promise_is_kept_across_a_loss_of_power, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ballot_is_given_out_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_promise_tells_what_was_accepted_and_at_which_ballot, setup, teardown),
        cmocka_unit_test_setup_teardown(test_commit_covers_only_what_was_accepted_at_its_ballot, setup, teardown),
        cmocka_unit_test_setup_teardown(test_chosen_slot_is_not_written_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_id_takes_effect_in_its_first_slot, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slot_far_beyond_the_prefix_is_not_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rest_and_wake_reach_its_proposer_across_a_loss_of_power, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nonsense_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_silent_member_says_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_size_of_a_group_is_for_ever, setup, teardown),
        cmocka_unit_test_setup_teardown(test_on_the_hub_its_own_proposer_carries_its_answers, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
