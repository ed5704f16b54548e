/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cron timers in time zones, while the cluster's time leaps: minutes to hours at a time, over a change to summer time
 * and back, with nodes up or down.
 *
 * A sundial has timers that ring by a schedule, in UTC or in the zone Sim/Change (sim_doors.c). What is due is found
 * out again here, minute by minute and by the calendar of these two days alone. Each due moment rings once, none twice,
 * none early:
 *
 *   all    the n-th ring is the n-th due moment after the setting, however late
 *   one    there was a due moment since the last ring: one ring for all that were missed
 *   none   there was one in the last minute: what is later is not rung for
 *
 * and when time goes on calmly nothing that is due is left. Drawn alone: other workloads' requests would end at every
 * leap.
 */
#include "tests/sim/work.h"

#define AGENTS 3u
#define TIMERS 4u /* of an agent */
#define MINUTE_MS 60000
#define LATE_MS 60000          /* later than this a ring is a missed one */
#define SEARCH_MINUTES 4000    /* more than two days: every schedule is due daily */
#define DAY_ZERO_S 1700006400u /* midnight before the change to summer time, 15 November 2023 */

enum { CRON_SET, CRON_STOP };

static const struct dial {
    const char *schedule;
    uint64_t minutes; /* bits: the minutes of the hour */
    uint32_t hours;   /* bits */
} dials[] = {
    {"0 * * * *", 1, 0xffffff},
    {"*/20 * * * *", 1 | 1ull << 20 | 1ull << 40, 0xffffff},
    {"30 2 * * *", 1ull << 30, 1 << 2},               /* is skipped, and is there twice */
    {"10,50 1-3 * * *", 1ull << 10 | 1ull << 50, 14}, /* around both */
    {"59 2 * * *", 1ull << 59, 1 << 2},
};
#define DIALS (sizeof dials / sizeof dials[0])

/* ---- What is due --------------------------------------------------------------------------------------------- */

/* Sim/Change: clocks go from 2 to 3 at 2:00 UTC of day zero, and back from 3 to 2 a day later. */
#define SUMMER_M ((int64_t)(DAY_ZERO_S / 60 + 120))
#define WINTER_M (SUMMER_M + 24 * 60)

static bool local_is_due(const struct dial *dial, int64_t local_m)
{
    return (dial->hours >> local_m / 60 % 24 & 1) != 0 && (dial->minutes >> local_m % 60 & 1) != 0;
}

/* Minutes since 1970. */
static bool minute_is_due(const struct dial *dial, bool zoned, int64_t m)
{
    bool summer = zoned && m >= SUMMER_M && m < WINTER_M;

    if (zoned && m == SUMMER_M) /* the hour that is skipped: what is due in it, and at its end */
        for (int64_t local = m; local < m + 60; local++)
            if (local_is_due(dial, local))
                return true;
    if (zoned && m >= WINTER_M && m < WINTER_M + 60) /* the hour that is there again */
        return false;
    return local_is_due(dial, m + (summer ? 60 : 0));
}

static int64_t due_after(int64_t setting, int64_t after_ms)
{
    const struct dial *dial = &dials[setting / 6 % (int64_t)DIALS];
    int64_t m = after_ms / MINUTE_MS + 1;

    for (int64_t end = m + SEARCH_MINUTES; m < end; m++)
        if (minute_is_due(dial, setting / 3 % 2 != 0, m))
            return m * MINUTE_MS;
    stead_sim_broken("the schedule %s is never due", dial->schedule);
}

/* ---- The agents ---------------------------------------------------------------------------------------------- */

/* A setting is schedule x 6 + zoned x 3 + catch-up; kept plus 1, 0: none. */
static int set(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int64_t setting = 0, id = 0;

    (void)state;
    if (stead_get_i64(args, "setting", &setting) != 0 || stead_get_i64(args, "id", &id) != 0)
        return stead_fail(turn, "bad_args", "setting and id are needed");
    const struct stead_cron cron = {.schedule = dials[setting / 6 % (int64_t)DIALS].schedule,
                                    .zone = setting / 3 % 2 != 0 ? STEAD_SIM_ZONE : NULL,
                                    .catch_up = (enum stead_catch_up)(setting % 3)};
    stead_kv_set_number(turn, 's', (uint64_t)id, setting + 1);
    stead_kv_set_number(turn, 'd', (uint64_t)id, stead_now_ms(turn));
    int code =
        stead_timer_cron(turn, stead_printed(turn, "c%lld", (long long)id), &cron, "ring", stead_packed(turn, "l", id));
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "l", (int64_t)0));
}

static int ring(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int64_t id = 0, now_ms = stead_now_ms(turn);

    (void)state;
    if (stead_get_i64(args, NULL, &id) != 0)
        stead_sim_broken("a timer of %s rings without its arguments", stead_self(turn));
    int64_t setting = stead_kv_number(turn, 's', (uint64_t)id) - 1;
    if (setting < 0)
        stead_sim_broken("timer %lld of %s rings and is not set", (long long)id, stead_self(turn));
    int64_t from_ms = stead_kv_number(turn, 'd', (uint64_t)id);
    if (setting % 3 == STEAD_CATCH_UP_NONE && from_ms < now_ms - LATE_MS - 1)
        from_ms = now_ms - LATE_MS - 1;
    int64_t due_ms = due_after(setting, from_ms);
    if (due_ms > now_ms)
        stead_sim_broken("timer %lld of %s (%s, catch-up %lld, zoned %lld) rings at %lld; after %lld the next is %lld",
                         (long long)id, stead_self(turn), dials[setting / 6 % (int64_t)DIALS].schedule,
                         (long long)setting % 3, (long long)setting / 3 % 2, (long long)now_ms / 1000,
                         (long long)from_ms / 1000, (long long)due_ms / 1000);
    stead_kv_set_number(turn, 'd', (uint64_t)id, setting % 3 == STEAD_CATCH_UP_ALL ? due_ms : now_ms);
    return 0;
}

/* Takes away every timer of which nothing is due; answers how many are left. */
static int stop(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int64_t left = 0;

    (void)state, (void)args;
    for (uint64_t id = 0; id < TIMERS; id++) {
        int64_t setting = stead_kv_number(turn, 's', id) - 1;
        if (setting < 0)
            continue;
        if (setting % 3 != STEAD_CATCH_UP_NONE &&
            due_after(setting, stead_kv_number(turn, 'd', id)) <= stead_now_ms(turn)) {
            left++;
            continue;
        }
        stead_kv_set_number(turn, 's', id, 0);
        int code = stead_timer_cancel(turn, stead_printed(turn, "c%llu", (unsigned long long)id));
        if (code == STEAD_EIO)
            return code;
        if (code != 0)
            stead_sim_broken("timer %llu of %s is gone", (unsigned long long)id, stead_self(turn));
    }
    return stead_reply(turn, stead_packed(turn, "l", left));
}

static const struct stead_op sundial_ops[] = {
    {.name = "set", .run = set}, {.name = "ring", .run = ring}, {.name = "stop", .run = stop}, {0}};
static const struct stead_kind sundial_kind = {
    .abi = STEAD_ABI, .struct_size = sizeof(struct stead_kind), .name = "sundial", .ops = sundial_ops};

/* ---- The requests -------------------------------------------------------------------------------------------- */

static void issue_cron(struct stead_sim *sim, struct stead_sim_client *client)
{
    uint32_t agent = (uint32_t)stead_world_below(&sim->world, AGENTS);
    struct stead_sim_op *op = stead_sim_op_new(sim, client, &stead_work_cron, CRON_SET, agent);
    char address[48];

    if (op == NULL)
        return;
    stead_format(address, sizeof address, "sundial/a%u", agent);
    op->in[0] = (int64_t)stead_world_below(&sim->world, 6 * DIALS);
    stead_sim_op_pack(sim, op, STEAD_CALL, address, "set", "{s:l,s:l}", "setting", op->in[0], "id",
                      (int64_t)stead_world_below(&sim->world, TIMERS));
}

static void read_cron(struct stead_sim *sim, struct stead_sim_op *op, struct stead_slice value)
{
    if (stead_get_i64(value, NULL, &op->out) != 0)
        stead_world_fail(&sim->world, "the answer to request %u is no number", op->number);
}

static void relieve_cron(struct stead_sim *sim)
{
    bool here = (sim->plan.workloads & stead_sim_workload_bit(&stead_work_cron)) != 0;
    char address[48];

    for (uint32_t agent = 0; here && agent < AGENTS; agent++) {
        struct stead_sim_client *client = &sim->clients[STEAD_SIM_CLIENTS_MAX - 1];
        struct stead_sim_op *op = stead_sim_op_new(sim, client, &stead_work_cron, CRON_STOP, agent);
        stead_format(address, sizeof address, "sundial/a%u", agent);
        if (op != NULL)
            stead_sim_op_pack(sim, op, STEAD_CALL, address, "stop", "l", (int64_t)0);
    }
}

/* An agent that has not said in the calm that nothing is due. */
static const char *find_due(struct stead_sim *sim)
{
    static const char *const names[AGENTS] = {"sundial/a0", "sundial/a1", "sundial/a2"};
    bool stopped[AGENTS] = {false};
    const struct stead_sim_op *op;

    if ((sim->plan.workloads & stead_sim_workload_bit(&stead_work_cron)) == 0)
        return NULL;
    for (uint32_t at = 0; (op = stead_sim_op_next(sim, &stead_work_cron, &at)) != NULL;)
        if (op->verb == CRON_STOP && stead_sim_op_outcome(op) == STEAD_SIM_DONE)
            stopped[op->agent] = op->out == 0;
    for (uint32_t agent = 0; agent < AGENTS; agent++)
        if (!stopped[agent])
            return names[agent];
    return NULL;
}

static void verify_cron(struct stead_sim *sim)
{
    (void)sim; /* every ring is checked as it rings, every due moment at the stop */
}

static const struct stead_kind *const cron_kinds[] = {&sundial_kind, NULL};
const struct stead_workload stead_work_cron = {.name = "cron",
                                               .kinds = cron_kinds,
                                               .issue = issue_cron,
                                               .read = read_cron,
                                               .relieve = relieve_cron,
                                               .pending = find_due,
                                               .verify = verify_cron};
