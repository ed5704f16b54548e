/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyed state: an ordered map of the agent's own; a turn reads its own writes over what is in the overlay and in the
 * image. Checked against a plain array, over random turns that fail now and then, with the rows in every place. And the
 * fibers of a reactor, which outlive a turn; and what the buffers of states take of memory.
 */
#include "stead/fiber.h"
#include "stead/orchestration.h"
#include "unit/runtime/host_client.h"

#include "runtime/shard.h"

#define KEYS 24

static struct fx_client client;
static char address[64];

/* The model: what is stored, and what the turn under way has made of it. 0: nothing. */
static uint8_t stored[KEYS], now[KEYS];
static struct stead_rng rng;

static struct stead_slice key_of(uint32_t number, char *buffer)
{
    snprintf(buffer, 16, "k%02u", number);
    return stead_str(buffer);
}

struct seen {
    uint32_t at, to, count, limit;
};

static int see(void *context, struct stead_slice key, struct stead_slice value)
{
    struct seen *seen = context;
    char name[16];

    while (seen->at < seen->to && now[seen->at] == 0)
        seen->at++;
    assert_true(seen->at < seen->to);
    assert_true(stead_slice_equal(key, key_of(seen->at, name)));
    assert_int_equal(value.size, 1);
    assert_int_equal(value.data[0], now[seen->at]);
    seen->at++;
    seen->count++;
    return 0;
}

static uint32_t expected(uint32_t from, uint32_t to, uint32_t limit)
{
    uint32_t count = 0;

    for (uint32_t i = from; i < to && count < limit; i++)
        count += now[i] != 0;
    return count;
}

static void random_scan(struct stead_turn *turn)
{
    char from_name[16], to_name[16];
    uint32_t from = (uint32_t)stead_rng_below(&rng, KEYS), to = (uint32_t)stead_rng_below(&rng, KEYS + 1);
    uint32_t limit = (uint32_t)stead_rng_below(&rng, 8);
    struct stead_slice to_key = to == KEYS ? (struct stead_slice){0} : key_of(to, to_name);
    struct seen seen = {.at = from, .to = to};

    assert_int_equal(stead_kv_scan(turn, key_of(from, from_name), to_key, limit, see, &seen), 0);
    assert_int_equal(seen.count, expected(from, to, limit));
}

static void random_delete_range(struct stead_turn *turn)
{
    char from_name[16], to_name[16];
    uint32_t from = (uint32_t)stead_rng_below(&rng, KEYS), to = (uint32_t)stead_rng_below(&rng, KEYS);
    uint32_t limit = (uint32_t)stead_rng_below(&rng, 5), count = 99;

    uint32_t left = expected(from, to, limit);
    assert_int_equal(stead_kv_delete_range(turn, key_of(from, from_name), key_of(to, to_name), limit, &count), 0);
    assert_int_equal(count, left);
    for (uint32_t i = from; i < to && left > 0; i++) {
        left -= now[i] != 0;
        now[i] = 0;
    }
}

static int random_turn(struct stead_turn *turn, void *state, struct stead_slice args)
{
    char name[16];

    (void)state, (void)args;
    memcpy(now, stored, sizeof(now));
    for (int i = 0; i < 12; i++) {
        uint32_t at = (uint32_t)stead_rng_below(&rng, KEYS);
        struct stead_slice value, key = key_of(at, name);
        uint8_t byte = (uint8_t)(1 + stead_rng_below(&rng, 255));
        switch (stead_rng_below(&rng, 6)) {
        case 0:
        case 1:
            assert_int_equal(stead_kv_put(turn, key, stead_bytes(&byte, 1)), 0);
            now[at] = byte;
            break;
        case 2:
            assert_int_equal(stead_kv_delete(turn, key), 0);
            now[at] = 0;
            break;
        case 3:
            assert_int_equal(stead_kv_get(turn, key, &value), now[at] != 0 ? 0 : STEAD_ENOTFOUND);
            if (now[at] != 0)
                assert_int_equal(value.data[0], now[at]);
            break;
        case 4:
            random_scan(turn);
            break;
        default:
            random_delete_range(turn);
        }
    }
    if (stead_rng_below(&rng, 4) == 0)
        return stead_fail(turn, "no", "no");
    memcpy(stored, now, sizeof(stored));
    return 0;
}

static void test_keyed_state_is_a_map_wherever_its_rows_are(void **state)
{
    struct fx *fx = fx_create(1);

    (void)state;
    stead_rng_seed(&rng, 7);
    memset(stored, 0, sizeof(stored));
    fx_do[0] = random_turn;
    fx_address(address, "d", 1, 0);
    for (int round = 0; round < 400; round++) {
        client = fx_client(fx, (uint8_t)round);
        int status = fx_call(fx, &client, address, "do");
        assert_true(status == 0 || status == STEAD_EFAILED);
        if (round % 7 == 0)
            fx_cold_restart(fx);
        else if (round % 5 == 0)
            fx_crash(fx, true);
        fx_forget_outputs(fx);
    }
    fx_destroy(fx);
}

static int put_two(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    assert_int_equal(stead_kv_put_once(turn, stead_str("once"), stead_str("1")), 0);
    return stead_kv_put(turn, stead_str("any"), stead_str("1"));
}

static int delete_two(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    assert_int_equal(stead_kv_delete(turn, stead_str("once")), 0);
    return stead_kv_delete(turn, stead_str("any"));
}

static int has_neither(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_slice value;

    (void)state, (void)args;
    assert_int_equal(stead_kv_get(turn, stead_str("once"), &value), STEAD_ENOTFOUND);
    assert_int_equal(stead_kv_get(turn, stead_str("any"), &value), STEAD_ENOTFOUND);
    return 0;
}

static const struct stead_overlay *overlay_of(const struct fx *fx)
{
    return fx->host->shard_of[stead_address_slot(stead_str(address), 0).v]->overlay;
}

/* What was put once and deleted leaves nothing for the next checkpoint, another key leaves its delete; what a
 * checkpoint has written is deleted there. */
static void test_key_that_is_put_once_leaves_no_trace_in_the_image(void **state)
{
    struct fx *fx = fx_create(1);

    (void)state;
    client = fx_client(fx, 1);
    fx_address(address, "d", 1, 0);
    fx_do[0] = put_two, fx_do[1] = delete_two, fx_look = has_neither;
    for (int round = 0; round < 3; round++) {
        assert_int_equal(fx_call(fx, &client, address, "do"), 0);
        uint64_t rows = stead_overlay_rows(overlay_of(fx));
        if (round == 1)
            fx_cold_restart(fx);
        else if (round == 2)
            fx_crash(fx, true);
        assert_int_equal(fx_call(fx, &client, address, "do2"), 0);
        if (round == 0)
            assert_int_equal(stead_overlay_rows(overlay_of(fx)), rows - 1);
        assert_int_equal(fx_call(fx, &client, address, "look"), 0);
        fx_cold_restart(fx);
        assert_int_equal(fx_call(fx, &client, address, "look"), 0);
    }
    fx_destroy(fx);
}

static int at_the_edge(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint8_t *bytes = stead_turn_alloc(turn, 600);
    struct stead_slice value;

    (void)state, (void)args;
    memset(bytes, 'k', 600);
    assert_int_equal(stead_kv_put(turn, stead_bytes(bytes, 513), stead_str("v")), STEAD_ETOOLARGE);
    assert_int_equal(stead_kv_put(turn, stead_bytes(bytes, 0), stead_str("v")), STEAD_EARGUMENT);
    assert_int_equal(stead_kv_put(turn, stead_str("k"), stead_bytes(bytes, 101)), STEAD_ETOOLARGE);
    assert_int_equal(stead_kv_get(turn, stead_str("k"), &value), STEAD_ENOTFOUND);
    assert_int_equal(stead_kv_put(turn, stead_bytes(bytes, 512), stead_bytes(bytes, 100)), 0);
    assert_int_equal(stead_kv_get(turn, stead_bytes(bytes, 512), &value), 0);
    assert_int_equal(value.size, 100);
    return stead_kv_put(turn, stead_str("empty"), (struct stead_slice){0});
}

static int look_again(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_slice value;

    (void)state, (void)args;
    int code = stead_kv_get(turn, stead_str("empty"), &value);
    return code != 0 ? code : value.size == 0 ? 0 : STEAD_EFAILED;
}

static void test_keys_and_values_are_limited_at_the_edge(void **state)
{
    struct fx *fx = fx_create(1);

    (void)state;
    fx->settings.kv_value_bytes_max = 100;
    fx_crash(fx, false);
    client = fx_client(fx, 1);
    fx_do[0] = at_the_edge, fx_look = look_again;
    assert_int_equal(fx_call(fx, &client, fx_address(address, "d", 1, 0), "do"), 0);
    assert_int_equal(fx_call(fx, &client, address, "look"), 0);
    fx_cold_restart(fx);
    fx_forget_outputs(fx);
    assert_int_equal(fx_call(fx, &client, address, "look"), 0);
    fx_destroy(fx);
}

static int refuse_keyed(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_slice value;

    (void)state, (void)args;
    assert_int_equal(stead_kv_put(turn, stead_str("k"), stead_str("v")), STEAD_ESTATE);
    assert_int_equal(stead_kv_get(turn, stead_str("k"), &value), STEAD_ESTATE);
    return 0;
}

static void test_volatile_kinds_have_no_keyed_state(void **state)
{
    struct fx *fx = fx_create(1);

    (void)state;
    client = fx_client(fx, 1);
    fx_do[0] = refuse_keyed;
    assert_int_equal(fx_call(fx, &client, fx_address(address, "v", 1, 0), "do"), 0);
    fx_destroy(fx);
}

static int put_own(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_kv_put(turn, stead_str("k"), stead_str(stead_self(turn)));
}

static int count_rows(void *context, struct stead_slice key, struct stead_slice value)
{
    (void)key, (void)value;
    ++*(int64_t *)context;
    return 0;
}

static int count_own(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int64_t count = 0;
    struct stead_slice none = {0};

    (void)state, (void)args;
    int code = stead_kv_scan(turn, none, none, 100, count_rows, &count);
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "l", count));
}

static void test_agents_do_not_see_each_others_keys(void **state)
{
    struct fx *fx = fx_create(2);
    static const char *const names[] = {"d/{t}a", "d/{t}ab", "d/{t}b"}; /* one slot, neighbours in the order of keys */

    (void)state;
    client = fx_client(fx, 1);
    fx_do[0] = put_own, fx_look = count_own;
    for (int i = 0; i < 3; i++)
        assert_int_equal(fx_call(fx, &client, names[i], "do"), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(fx_call_i64(fx, &client, names[i], "look"), 1);
    assert_int_equal(fx_call(fx, &client, names[0], "destroy"), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(fx_call_i64(fx, &client, names[i], "look"), i > 0);
    fx_destroy(fx);
}

static void test_image_is_asked_about_a_new_agent_only_after_a_checkpoint(void **state)
{
    struct fx *fx = fx_create(1);

    (void)state;
    fx->settings.checkpoint_bytes = 10000;
    fx_crash(fx, false);
    client = fx_client(fx, 1);
    fx_do[0] = put_own, fx_look = count_own;
    assert_int_equal(fx_call(fx, &client, "d/a", "do"), 0);
    fx->io_error = true; /* of the reads of the image */
    assert_int_equal(fx_call_i64(fx, &client, "d/a", "look"), 1);
    fx->io_error = false;
    while (fx->logs[1].applied == 0)
        assert_int_equal(fx_call(fx, &client, "d/b", "do"), 0);
    fx->io_error = true;
    assert_int_equal(fx_call(fx, &client, "d/a", "look"), STEAD_EIO);
    fx->io_error = false;
    assert_int_equal(fx_call_i64(fx, &client, "d/a", "look"), 1);
    fx_destroy(fx);
}

/* ---- What runs orchestrations ------------------------------------------------------------------------ */

static struct stead_fibers *pool;
static struct stead_fiber *fiber;
static int64_t steps;

static void step(void *context)
{
    (void)context;
    for (;;) {
        steps++;
        stead_fiber_stop(fiber);
    }
}

static int resume_one(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    if (pool == NULL) {
        pool = stead_turn_fibers(turn);
        fiber = stead_fiber_create(pool, 0, step, NULL, NULL);
    }
    assert_ptr_equal(stead_turn_fibers(turn), pool);
    assert_true(stead_fiber_resume(fiber));
    return stead_reply(turn, stead_packed(turn, "l", steps));
}

static void test_fiber_goes_on_in_a_turn_of_another_agent(void **state)
{
    struct fx *fx = fx_create(2);

    (void)state;
    pool = NULL, steps = 0;
    client = fx_client(fx, 1);
    fx_do[0] = resume_one;
    assert_int_equal(fx_call_i64(fx, &client, "d/a", "do"), 1);
    assert_int_equal(fx_call_i64(fx, &client, "v/b", "do"), 2);
    assert_int_equal(stead_fibers_count(pool), 1);
    assert_int_equal(fx_unloaded, 0);
    fx_destroy(fx); /* with the fiber stopped */
    assert_int_equal(fx_unloaded, 2);
}

static int find_orchestrators(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    assert_int_equal(stead_orchestrator_find(turn, "trip", 0)->version, 2);
    assert_int_equal(stead_orchestrator_find(turn, "trip", 1)->version, 1);
    assert_null(stead_orchestrator_find(turn, "trip", 3));
    assert_null(stead_orchestrator_find(turn, "", 0));
    return stead_reply(turn, stead_packed(turn, "l", (int64_t)1));
}

static int orchestrate(struct stead_orchestration *o, struct stead_slice input)
{
    (void)o, (void)input;
    return 0;
}

static void test_turn_finds_the_orchestrators_of_its_registry(void **state)
{
    static struct stead_orchestrator trips[2];
    struct fx *fx = fx_create(1);

    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        trips[i] = (struct stead_orchestrator){.abi = STEAD_ORCHESTRATION_ABI,
                                               .struct_size = sizeof trips[i],
                                               .name = "trip",
                                               .version = i + 1,
                                               .run = orchestrate};
        assert_int_equal(stead_registry_add_orchestrator(fx->registry, &trips[i], NULL), 0);
    }
    client = fx_client(fx, 1);
    fx_do[0] = find_orchestrators;
    assert_int_equal(fx_call_i64(fx, &client, "d/a", "do"), 1);
    fx_destroy(fx);
}

static void test_agent_whose_field_does_not_fit_is_answered_with_its_name(void **state)
{
    static const uint8_t stored[] = "\xa5value\x01";
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], sentence[256] = "";
    uint32_t changed = 0;

    (void)state;
    assert_int_equal(fx_call_i64(fx, &client, fx_address(a, "d", 1, 0), "add"), 1);
    fx_cold_restart(fx);
    for (uint32_t i = 0; i < fx->row_count; i++) {
        for (size_t at = 0; at + sizeof(stored) - 1 <= fx->rows[i].value_size; at++) {
            if (memcmp(fx->rows[i].value + at, stored, sizeof(stored) - 1) != 0)
                continue;
            fx->rows[i].value[at + 6] = 0xa0; /* an empty text */
            changed++;
        }
    }
    assert_int_equal(changed, 1);
    for (int i = 0; i < 2; i++) {
        fx_send(fx, &client, STEAD_CALL, a, "get");
        struct stead_message *answer = fx_answer(fx);
        assert_int_equal(answer->status, STEAD_ECORRUPT);
        assert_int_equal(stead_get_text(stead_message_payload(answer), "sentence", sentence, sizeof(sentence)), 0);
        assert_string_equal(sentence, "field value (i64) does not take what is stored: text of 0 bytes");
        stead_message_destroy(&answer);
    }
    fx_destroy(fx);
}

/* ---- The memory of buffers --------------------------------------------------------------------- */

static uint64_t fill_size; /* what the next `do` sets the buffer to */

static int fill(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    stead_buffer_set(&((struct big_puppet *)state)->bytes, stead_bytes(stead_turn_alloc(turn, fill_size), fill_size));
    return 0;
}

static int fill_and_fail(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)fill(turn, state, args);
    return STEAD_EINTERNAL;
}

/* Of all agents; what is written waits in the overlay beside it. */
static uint64_t memory(struct fx *fx)
{
    stead_host_check(fx->host);
    return fx->host->agent_bytes;
}

static void test_buffers_of_a_state_count_against_the_budget(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    fx_do[0] = fill, fx_do[1] = fill_and_fail;
    fx_address(a, "b", 1, 0);
    fill_size = 0;
    assert_int_equal(fx_call(fx, &client, a, "do"), 0);
    uint64_t before = memory(fx);
    fill_size = 100000;
    assert_int_equal(fx_call(fx, &client, a, "do"), 0);
    assert_in_range(memory(fx), before + 100000, before + 101000);
    fill_size = 500000;
    assert_int_not_equal(fx_call(fx, &client, a, "do2"), 0); /* undone */
    assert_in_range(memory(fx), before + 100000, before + 101000);
    fx_cold_restart(fx);
    assert_true(memory(fx) < before);
    assert_int_equal(fx_call_i64(fx, &client, a, "get"), 0); /* loaded */
    assert_in_range(memory(fx), before + 100000, before + 101000);
    assert_int_equal(fx_call(fx, &client, a, "destroy"), 0);
    assert_true(memory(fx) < before + 1000);
    fx_destroy(fx);
}

static void test_agents_with_buffers_leave_memory_when_it_is_short(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    fx_do[0] = fill;
    fill_size = 100000;
    fx->host->settings.memory_bytes_max = 32 * fill_size;
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(fx_call(fx, &client, fx_address(a, "b", 1, i), "do"), 0);
        fx_step_ms(fx, 1);
    }
    assert_in_range(fx_stats(fx)->agents_resident, 1, 32);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(fx_call_i64(fx, &client, fx_address(a, "b", 1, i), "get"), 0);
        fx_step_ms(fx, 1);
    }
    assert_in_range(fx_stats(fx)->agents_resident, 1, 32);
    fx_destroy(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keyed_state_is_a_map_wherever_its_rows_are),
        cmocka_unit_test(test_key_that_is_put_once_leaves_no_trace_in_the_image),
        cmocka_unit_test(test_keys_and_values_are_limited_at_the_edge),
        cmocka_unit_test(test_volatile_kinds_have_no_keyed_state),
        cmocka_unit_test(test_agents_do_not_see_each_others_keys),
        cmocka_unit_test(test_image_is_asked_about_a_new_agent_only_after_a_checkpoint),
        cmocka_unit_test(test_fiber_goes_on_in_a_turn_of_another_agent),
        cmocka_unit_test(test_turn_finds_the_orchestrators_of_its_registry),
        cmocka_unit_test(test_agent_whose_field_does_not_fit_is_answered_with_its_name),
        cmocka_unit_test(test_buffers_of_a_state_count_against_the_budget),
        cmocka_unit_test(test_agents_with_buffers_leave_memory_when_it_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
