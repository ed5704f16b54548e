/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kinds that change between starts of a node, as when an operator installs another version of a module. At each start
 * the node draws which version of the kind `tally` it has (work_upgrade_kinds.h): older, newer, one that cannot read
 * what is stored, one without an op, or none at all. Everything else on the node stays as it is.
 *
 *   emit, later   signals of sources to tallies, in order, many in one turn, or delayed
 *   add, signal   calls and delayed signals of clients to tallies
 *   arm           timers of a tally, one or more than a slot fires in a round, or one of an op that a version may lack
 *   quiz          a tally calls a quizzer, which answers after a while
 *   ask           a quizzer calls or signals a tally, now and then the op that a version may lack
 *   bell          a timer of an agent that can always be read, in the slot of a tally
 *
 * When faults are over there is a quiet life of its own for what cannot be read: timers, answers and delayed signals
 * are sown, the nodes start with what they draw, mostly the version that cannot read, mail is sent, and others' timers
 * must ring in time. Then every node starts with the newest version, and everything must be there, once and in order:
 * what was acknowledged, what waited; of a call the quizzer was told whether it was run, and that is so; what an op was
 * missing for is a dead letter.
 */
#include "runtime/address.h"
#include "tests/sim/work_upgrade.h"

enum { UPGRADE_ADD = STEAD_SIM_LATER + 1, UPGRADE_SIGNAL, UPGRADE_ARM, UPGRADE_QUIZ, UPGRADE_ASK, UPGRADE_BELL };

#define MANY 70u /* more timers than a slot fires, and more mail than an agent takes, in one round */
#define SOWN_MS 3000
#define BELL_NS (1500 * STEAD_MS) /* within which a bell has rung when nothing is wrong */

/* What comes when faults are over, a step each time the workload is asked to help; the last one stays. */
enum stage { WILD, SOWN, SPOILED, WATCHED, MENDED };

/* Of a run. */
struct upgrade {
    uint32_t allowed; /* bit set over the versions */
    bool lame;        /* may one lack an op? */
    bool back;        /* may a version without events follow one with them? */
    bool had_events;
    enum stage stage;
    uint64_t watch_ns; /* when it came to WATCHED */
    struct {
        enum stead_tally_version version;
        bool lame;
        const struct stead_kind *kinds[3]; /* ended by NULL */
    } nodes[STEAD_SIM_NODES_MAX];
};

static const struct stead_sim_sources sources = {&stead_work_upgrade, "tally", STEAD_UPGRADE_LETTER};

static struct upgrade *find_upgrade(struct stead_sim *sim)
{
    const uint32_t always = 1u << STEAD_TALLY_PLAIN | 1u << STEAD_TALLY_WIDER;
    const uint32_t events = 1u << STEAD_TALLY_EVENTS | 1u << STEAD_TALLY_NEWEST;
    struct upgrade *it = sim->upgrade;

    if (it != NULL)
        return it;
    it = sim->upgrade = stead_alloc_zero(sizeof *it);
    it->allowed = always;
    it->allowed |= stead_world_chance(&sim->world, 700) ? events : 0;
    it->allowed |= stead_world_chance(&sim->world, 700) ? 1u << STEAD_TALLY_NARROW : 0;
    it->allowed |= stead_world_chance(&sim->world, 400) ? 1u << STEAD_TALLY_ABSENT : 0;
    it->lame = stead_world_chance(&sim->world, 400);
    it->back = stead_world_chance(&sim->world, 400);
    return it;
}

/* ---- Which node has what ---------------------------------------------------------------------------- */

static enum stead_tally_version newest_version(const struct upgrade *it)
{
    return (it->allowed >> STEAD_TALLY_NEWEST & 1u) != 0 ? STEAD_TALLY_NEWEST : STEAD_TALLY_WIDER;
}

static enum stead_tally_version draw_version(struct stead_sim *sim, const struct upgrade *it)
{
    uint32_t set = it->allowed;

    if (it->stage == MENDED)
        return newest_version(it);
    if (it->stage == SPOILED && (set >> STEAD_TALLY_NARROW & 1u) != 0 && stead_world_chance(&sim->world, 600))
        return STEAD_TALLY_NARROW;
    if (it->had_events && !it->back)
        set &= ~(1u << STEAD_TALLY_PLAIN | 1u << STEAD_TALLY_WIDER);
    for (uint32_t nth = (uint32_t)stead_world_below(&sim->world, (uint64_t)__builtin_popcount(set)); nth > 0; nth--)
        set &= set - 1;
    return (enum stead_tally_version)__builtin_ctz(set);
}

static const struct stead_kind *const *load_upgrade(struct stead_sim_node *node)
{
    struct stead_sim *sim = node->sim;
    struct upgrade *it = find_upgrade(sim);
    enum stead_tally_version version = draw_version(sim, it);
    bool lame = it->lame && it->stage != MENDED && stead_world_chance(&sim->world, 250);

    it->had_events |= version == STEAD_TALLY_EVENTS || version == STEAD_TALLY_NEWEST;
    it->nodes[node->index].version = version;
    it->nodes[node->index].lame = lame;
    it->nodes[node->index].kinds[0] = &stead_quizzer_kind;
    it->nodes[node->index].kinds[1] = stead_tally_kind(version, lame);
    stead_world_note(&sim->world, "version", node->index, version, lame);
    return it->nodes[node->index].kinds;
}

static struct stead_sim_node *node_of(struct stead_sim *sim, const char *address)
{
    const struct stead_table *table = stead_coordinator_table(sim->coordinator);
    stead_slot slot = stead_address_slot(stead_str(address), STEAD_GROUP_DEFAULT);

    return stead_sim_node_of(sim, stead_table_shard_of(table, slot)->node);
}

enum stead_tally_version stead_tally_version_of(const char *address)
{
    struct stead_sim *sim = stead_sim_current();

    return find_upgrade(sim)->nodes[node_of(sim, address)->index].version;
}

static bool is_mended(const struct upgrade *it, const struct stead_sim_node *node)
{
    return it->nodes[node->index].version == newest_version(it) && !it->nodes[node->index].lame;
}

/* ---- Requests -------------------------------------------------------------------------------------- */

static const char *address_of(const char *kind, uint32_t agent, char *text)
{
    stead_format(text, 48, "%s/{%c%u}", kind, STEAD_UPGRADE_LETTER, agent);
    return text;
}

static struct stead_sim_op *begin(struct stead_sim *sim, struct stead_sim_client *client, int verb, const char *kind,
                                  char *address)
{
    uint32_t agent = (uint32_t)stead_world_below(&sim->world, STEAD_SIM_SINKS);

    address_of(kind, agent, address);
    return stead_sim_op_new(sim, client, &stead_work_upgrade, verb, agent);
}

/* A call, now and then under a key, or a signal that comes after a while. */
static void send_add(struct stead_sim *sim, struct stead_sim_client *client, int verb, uint64_t delay_ms)
{
    char address[48], key[24];
    struct stead_sim_op *op = begin(sim, client, verb, "tally", address);
    struct stead_writer args;
    bool signals = verb == UPGRADE_SIGNAL;

    if (op == NULL)
        return;
    stead_format(key, sizeof key, "add-%u", op->number);
    stead_writer_init(&args);
    stead_write_i64(&args, op->number);
    const struct stead_sim_request request = {.type = signals ? STEAD_SIGNAL : STEAD_CALL,
                                              .address = address,
                                              .op = signals ? "late" : "add",
                                              .args = stead_written(&args),
                                              .key = !signals && op->number % 3 == 0 ? key : NULL,
                                              .delay_ms = delay_ms};
    stead_sim_op_submit(sim, op, &request);
    stead_writer_deinit(&args);
}

static void send_arm(struct stead_sim *sim, struct stead_sim_client *client, int64_t times, int64_t delay)
{
    char address[48];
    struct stead_sim_op *op = begin(sim, client, UPGRADE_ARM, "tally", address);

    if (op == NULL)
        return;
    op->in[0] = times;
    stead_sim_op_pack(sim, op, STEAD_CALL, address, "arm", "{s:l,s:l,s:l}", "id", (int64_t)op->number, "times", times,
                      "delay", delay);
}

static void send_quiz(struct stead_sim *sim, struct stead_sim_client *client, int64_t delay)
{
    char address[48];
    struct stead_sim_op *op = begin(sim, client, UPGRADE_QUIZ, "tally", address);

    if (op != NULL)
        stead_sim_op_pack(sim, op, STEAD_CALL, address, "quiz", "{s:l,s:u,s:l}", "id", (int64_t)op->number, "to",
                          stead_world_below(&sim->world, STEAD_SIM_SINKS), "delay", delay);
}

static void send_ask(struct stead_sim *sim, struct stead_sim_client *client)
{
    char address[48];
    struct stead_sim_op *op = begin(sim, client, UPGRADE_ASK, stead_quizzer_kind.name, address);

    if (op == NULL)
        return;
    op->in[0] = (int64_t)stead_world_below(&sim->world, STEAD_SIM_SINKS);
    op->in[1] = (int64_t)stead_world_below(&sim->world, STEAD_ASKS);
    stead_sim_op_pack(sim, op, STEAD_CALL, address, "ask", "{s:l,s:l,s:l}", "id", (int64_t)op->number, "to", op->in[0],
                      "how", op->in[1]);
}

static void send_bell(struct stead_sim *sim, struct stead_sim_client *client)
{
    char address[48];
    struct stead_sim_op *op = begin(sim, client, UPGRADE_BELL, "alarm", address);

    if (op != NULL)
        stead_sim_op_pack(sim, op, STEAD_CALL, address, "set", "{s:l,s:l}", "id", (int64_t)op->number, "delay",
                          (int64_t)stead_world_below(&sim->world, 200));
}

/* The operator installs something: one node starts again. */
static void install(struct stead_sim *sim)
{
    struct stead_sim_node *node = &sim->nodes[stead_world_below(&sim->world, sim->plan.nodes)];

    if (node->phase != STEAD_SIM_UP)
        return;
    if (stead_world_chance(&sim->world, 500)) {
        stead_sim_plan_restart(node);
        return;
    }
    stead_sim_node_crash(node, stead_world_chance(&sim->world, 600));
    stead_sim_plan_start(node);
}

static void issue_upgrade(struct stead_sim *sim, struct stead_sim_client *client)
{
    uint64_t luck = stead_world_below(&sim->world, 1000);
    int64_t delay = (int64_t)stead_world_below(&sim->world, stead_world_chance(&sim->world, 500) ? 20 : 400);

    if (luck < 20)
        install(sim);
    else if (luck < 400)
        stead_sim_send(sim, client, &sources, stead_world_chance(&sim->world, 30) ? MANY : 1, 0);
    else if (luck < 480)
        stead_sim_send(sim, client, &sources, 0, delay);
    else if (luck < 620)
        send_add(sim, client, UPGRADE_ADD, 0);
    else if (luck < 700)
        send_add(sim, client, UPGRADE_SIGNAL, (uint64_t)delay);
    else if (luck < 760)
        send_arm(sim, client, stead_world_chance(&sim->world, 200) ? MANY : luck % 3 != 0, delay);
    else if (luck < 820)
        send_quiz(sim, client, delay);
    else if (luck < 930)
        send_ask(sim, client);
    else
        send_bell(sim, client);
}

/* ---- A life in which much cannot be read ----------------------------------------------------------------- */

/* Falls due in that life. */
static void sow(struct stead_sim *sim, struct stead_sim_client *client)
{
    for (uint32_t n = 0; n < 2 * STEAD_SIM_SINKS; n++) {
        int64_t delay = SOWN_MS + (int64_t)stead_world_below(&sim->world, 1000);
        send_arm(sim, client, n == 0 ? 0 : MANY, delay);
        send_quiz(sim, client, delay);
        send_add(sim, client, UPGRADE_SIGNAL, (uint64_t)delay);
        stead_sim_send(sim, client, &sources, 0, delay);
    }
}

static void start_again(struct stead_sim *sim, struct stead_sim_node *node, uint32_t crash_permille)
{
    if (stead_world_chance(&sim->world, crash_permille))
        stead_sim_node_crash(node, true);
    else
        stead_sim_node_stop(node);
}

static void send_mail(struct stead_sim *sim, struct stead_sim_client *client)
{
    for (uint32_t n = 0; n < 2 * STEAD_SIM_SINKS; n++) {
        stead_sim_send(sim, client, &sources, n % 2 == 0 ? MANY : 1, 0);
        send_ask(sim, client);
        send_add(sim, client, UPGRADE_ADD, 0);
        send_bell(sim, client);
    }
}

/* What can be read has run in time whatever is beside it, and who asks for what cannot be read is told so. */
static void judge(struct stead_sim *sim, const struct upgrade *it)
{
    static struct stead_tally tally; /* one run at a time */
    const struct stead_sim_op *op;
    struct stead_slice value;
    char address[48];

    for (uint32_t agent = 0; agent < STEAD_SIM_SINKS; agent++) {
        uint64_t now_ns = sim->world.now_ns;
        stead_tally_read(sim, stead_sim_ask(sim, address_of("alarm", agent, address), "dump", (struct stead_slice){0}),
                         &tally);
        for (uint32_t at = 0; (op = stead_sim_op_next(sim, &stead_work_upgrade, &at)) != NULL;)
            if (op->verb == UPGRADE_BELL && op->agent == agent && op->invoked_ns >= it->watch_ns &&
                stead_sim_op_outcome(op) == STEAD_SIM_DONE && op->returned_ns + BELL_NS <= now_ns &&
                stead_tally_of(&tally, op->number) == 0)
                stead_world_fail(&sim->world, "bell %u of %s has not rung for %.3f s", op->number, address,
                                 (double)(now_ns - op->returned_ns) / 1e9);
        const struct stead_sim_node *node = node_of(sim, address_of("tally", agent, address));
        enum stead_tally_version version = it->nodes[node->index].version;
        uint64_t life = node->life;
        int code = stead_sim_try(sim, address, "total", (struct stead_slice){0}, &value);
        bool fits = version == STEAD_TALLY_ABSENT ? code == STEAD_EKIND : code == 0 || code == STEAD_ECORRUPT;
        if (life == node->life && (!fits || (version == newest_version(it) && code != 0)))
            stead_world_fail(&sim->world, "%s, of version %d, answers with %s", address, version,
                             stead_error_name(code));
        life = node->life;
        if (!it->nodes[node->index].lame || version == STEAD_TALLY_ABSENT)
            continue;
        code = stead_sim_try(sim, address, "extra", (struct stead_slice){0}, &value);
        if (life == node->life && code != STEAD_EOP)
            stead_world_fail(&sim->world, "%s, which has no such op, answers with %s", address, stead_error_name(code));
    }
}

static void relieve_upgrade(struct stead_sim *sim)
{
    struct stead_sim_client *auditor = &sim->clients[STEAD_SIM_CLIENTS_MAX - 1];

    if ((sim->plan.workloads & stead_sim_workload_bit(&stead_work_upgrade)) == 0 ||
        stead_sim_nodes_up(sim) < sim->plan.nodes)
        return;
    struct upgrade *it = find_upgrade(sim);
    it->stage += it->stage != MENDED;
    if (it->stage == SOWN) {
        sow(sim, auditor);
    } else if (it->stage == WATCHED) {
        it->watch_ns = sim->world.now_ns;
        send_mail(sim, auditor);
    } else if (it->stage == MENDED && it->watch_ns != UINT64_MAX) {
        judge(sim, it);
        it->watch_ns = UINT64_MAX;
    }
    for (uint32_t n = 0; n < sim->plan.nodes && it->stage == SPOILED; n++)
        if (stead_world_chance(&sim->world, 800))
            start_again(sim, &sim->nodes[n], 300);
    for (uint32_t n = 0; n < sim->plan.nodes && it->stage == MENDED; n++)
        if (!is_mended(it, &sim->nodes[n]))
            start_again(sim, &sim->nodes[n], 300);
}

static const char *find_unmended(struct stead_sim *sim)
{
    if ((sim->plan.workloads & stead_sim_workload_bit(&stead_work_upgrade)) == 0)
        return NULL;
    const struct upgrade *it = find_upgrade(sim);
    for (uint32_t n = 0; n < sim->plan.nodes; n++)
        if (it->stage != MENDED || !is_mended(it, &sim->nodes[n]))
            return "the upgrade of a node";
    return NULL;
}

/* ---- The end ------------------------------------------------------------------------------------------ */

/* `effects` at the tally, `letters` there, `told` at the quizzer. */
static void check_ask(struct stead_sim *sim, const struct stead_sim_op *op, int64_t effects, int64_t letters,
                      int64_t told)
{
    bool called = op->in[1] <= STEAD_ASK_CALL_EXTRA;
    int64_t ended = called ? told != 0 : effects + letters;
    bool fits =
        called ? letters == 0 && (told == STEAD_ASK_TIMED_OUT || effects == (told == STEAD_ASK_RAN)) : told == 0;

    stead_sim_check_once(sim, op, ended, "ask");
    if (!fits)
        stead_world_fail(&sim->world, "ask %u of kind %lld: %lld effects, %lld dead letters, its quizzer says %lld",
                         op->number, (long long)op->in[1], (long long)effects, (long long)letters, (long long)told);
}

/* What a tally is asked for at the end. */
struct tally_dumps {
    struct stead_tally taken, rings, answers, bells, letters;
};

static void read_dumps(struct stead_sim *sim, uint32_t agent, struct tally_dumps *ret_dumps)
{
    static const char *const ops[] = {"taken", "rings", "answers"};
    struct stead_tally *const tallies[] = {&ret_dumps->taken, &ret_dumps->rings, &ret_dumps->answers};
    const struct stead_slice nothing = {0};
    char address[48];

    stead_sim_ask_i64(sim, address_of("tally", agent, address), "total");
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        stead_tally_read(sim, stead_sim_ask(sim, address, ops[i], nothing), tallies[i]);
    stead_tally_letters(sim, address, "extra", NULL, &ret_dumps->letters); /* of signals that found no op */
    stead_tally_read(sim, stead_sim_ask(sim, address_of("alarm", agent, address), "dump", nothing), &ret_dumps->bells);
}

static void check_op(struct stead_sim *sim, const struct stead_sim_op *op, const struct tally_dumps *dumps)
{
    int64_t rings = stead_tally_of(&dumps->rings, op->number);

    switch (op->verb) {
    case UPGRADE_ADD:
    case UPGRADE_SIGNAL:
        stead_sim_check_once(sim, op, stead_tally_of(&dumps->taken, op->number), "tally");
        break;
    case UPGRADE_ARM:
        if (rings != 0 && rings != op->in[0])
            stead_world_fail(&sim->world, "of %lld timers of request %u %lld have rung", (long long)op->in[0],
                             op->number, (long long)rings);
        if (op->in[0] == 0)
            rings = stead_tally_of(&dumps->taken, op->number) + stead_tally_of(&dumps->letters, op->number);
        stead_sim_check_once(sim, op, op->in[0] == 0 ? rings : rings != 0, "timer of a tally");
        break;
    case UPGRADE_QUIZ:
        stead_sim_check_once(sim, op, stead_tally_of(&dumps->answers, op->number), "call of a tally");
        break;
    case UPGRADE_BELL:
        stead_sim_check_once(sim, op, stead_tally_of(&dumps->bells, op->number), "bell");
        break;
    default:
        break;
    }
}

static void verify_upgrade(struct stead_sim *sim)
{
    static struct tally_dumps dumps[STEAD_SIM_SINKS]; /* one run at a time */
    static struct stead_tally told[STEAD_SIM_SINKS];
    const struct stead_sim_op *op;
    char address[48];

    stead_sim_check_sinks(sim, &sources);
    for (uint32_t agent = 0; agent < STEAD_SIM_SINKS; agent++) {
        read_dumps(sim, agent, &dumps[agent]);
        address_of(stead_quizzer_kind.name, agent, address);
        stead_tally_read(sim, stead_sim_ask(sim, address, "outcomes", (struct stead_slice){0}), &told[agent]);
    }
    for (uint32_t at = 0; (op = stead_sim_op_next(sim, &stead_work_upgrade, &at)) != NULL;)
        if (op->verb == UPGRADE_ASK)
            check_ask(sim, op, stead_tally_of(&dumps[op->in[0]].taken, op->number),
                      stead_tally_of(&dumps[op->in[0]].letters, op->number),
                      stead_tally_of(&told[op->agent], op->number));
        else
            check_op(sim, op, &dumps[op->agent]);
}

static const struct stead_kind *const upgrade_kinds[] = {&stead_quizzer_kind, NULL}; /* and a tally: load_upgrade() */
const struct stead_workload stead_work_upgrade = {.name = "upgrade",
                                                  .kinds = upgrade_kinds,
                                                  .issue = issue_upgrade,
                                                  .relieve = relieve_upgrade,
                                                  .verify = verify_upgrade,
                                                  .pending = find_unmended,
                                                  .load = load_upgrade};
