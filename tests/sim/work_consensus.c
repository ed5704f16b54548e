/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consensus, on one of the fabrics: direct, the hub polled, the hub with notify. A group of three or five members
 * agrees on a log (agents/consensus.h) while nodes crash with and without power, links break and lose, and their own
 * messages come late, twice or never. Clients propose numbers through any proposer, some of them again and again.
 *
 * What a client was told, by the answer to a proposal or by reading a member's log, is for ever: from then on no member
 * chooses anything else for that slot, committed or not (agreement, V5); what is chosen was proposed by somebody or is
 * a no-op (validity). What nobody was told may be taken back by a crash together with its votes. At the end, when it is
 * calm: new proposals are decided, all members have the same log, each acknowledged proposal took effect, in the slot
 * that its client was told.
 *
 * While faults last, patience is as short as a ping, so that leaders rival all the time.
 *
 * The kinds are the real ones, but for some of their ops, which are watched. Faults planted here: a promise that a
 * crash forgets, an acceptor that accepts below its promise; those planted in agents/ are of V2 (a ballot given twice),
 * V3 (learned at any ballot), V4 (a promise not heeded, half is enough) and V7 (resend forgotten).
 */
#include "tests/sim/work.h"

#include <stdlib.h>

#include "agents/consensus.h"
#include "agents/fault.h"
#include "agents/proposer.h"

#define SLOTS_MAX 4096u
#define OPS_MAX 32u
#define CALM_PROPOSALS 3u /* at least, in each ask for relief until all is decided */

enum { CONSENSUS_JOIN, CONSENSUS_PROPOSE, CONSENSUS_READ, CONSENSUS_LOOK, CONSENSUS_REST };

/* The truth of a run. */
struct truth {
    uint32_t members;
    uint64_t highest;              /* slot that anybody was told of */
    int64_t chosen[SLOTS_MAX + 1]; /* by slot: 0: nobody was told; -1: a no-op; else 1 + the number */
    uint32_t relieved;             /* asks for relief so far */
    uint32_t looks;                /* answers in the present round of looks */
    uint64_t least, most;          /* chosen prefixes among them */
    uint32_t answered;             /* proposals answered since calm */
    bool resting;                  /* told to rest */
};

static struct truth *find_truth(void)
{
    struct stead_sim *sim = stead_sim_current();

    if (sim->consensus == NULL) {
        struct truth *truth = stead_alloc_zero(sizeof *truth);
        truth->members = sim->world.seed % 2 == 0 ? 3 : 5;
        sim->consensus = truth;
    }
    return sim->consensus;
}

/* ---- Watching members ------------------------------------------------------------------------- */

/* The number that an id and a value stand for: 1 + it, or -1: a no-op. */
static int64_t number_of(struct stead_turn *turn, struct stead_slice id, struct stead_slice value)
{
    char text[24] = {0}, again[24] = {0};

    if (id.size == 0)
        return -1;
    if (id.size >= sizeof text || value.size >= sizeof again)
        stead_sim_broken("%s has chosen what nobody proposed", stead_self(turn));
    memcpy(text, id.data, id.size);
    memcpy(again, value.data, value.size);
    if (text[0] != 'p' || again[0] != 'v' || strcmp(text + 1, again + 1) != 0)
        stead_sim_broken("%s has chosen what nobody proposed: %s with %s", stead_self(turn), text, again);
    uint64_t number = strtoull(text + 1, NULL, 10);
    if (number >= stead_sim_current()->op_count)
        stead_sim_broken("%s has chosen what nobody proposed: %s", stead_self(turn), text);
    return 1 + (int64_t)number;
}

/* Slots from..to are chosen on this member: nobody may have been told otherwise. */
static void watch_chosen(struct stead_turn *turn, uint64_t from, uint64_t to)
{
    const struct truth *truth = find_truth();
    struct stead_slice id, value;
    uint64_t ballot;

    for (uint64_t slot = from; slot <= to && slot <= SLOTS_MAX; slot++) {
        if (stead_consensus_row(turn, slot, &ballot, &id, &value) != 0)
            stead_sim_broken("%s has chosen slot %llu and has nothing there", stead_self(turn),
                             (unsigned long long)slot);
        int64_t number = number_of(turn, id, value);
        if (truth->chosen[slot] != 0 && truth->chosen[slot] != number)
            stead_sim_broken("%s chose number %lld for slot %llu, where another chose %lld", stead_self(turn),
                             (long long)number - 1, (unsigned long long)slot, (long long)truth->chosen[slot] - 1);
    }
}

/* Somebody is told that `number` is chosen for `slot`. */
static void tell_truth(struct stead_sim *sim, uint64_t slot, int64_t number)
{
    struct truth *truth = find_truth();

    truth->highest = slot > truth->highest ? slot : truth->highest;
    if (slot > SLOTS_MAX)
        return;
    if (truth->chosen[slot] != 0 && truth->chosen[slot] != number)
        stead_world_fail(&sim->world, "slot %llu is told to hold number %lld, and was told to hold %lld",
                         (unsigned long long)slot, (long long)number - 1, (long long)truth->chosen[slot] - 1);
    truth->chosen[slot] = number;
}

static int watched(struct stead_turn *turn, void *state, struct stead_slice args, stead_op_fn *run)
{
    const struct stead_consensus_member *member = state;
    uint64_t chosen = member->chosen, promised = member->promised;

    int code = run(turn, state, args);
    if (code != 0)
        return code;
    if (member->chosen < chosen || member->promised < promised)
        stead_sim_broken("%s goes back", stead_self(turn));
    watch_chosen(turn, chosen + 1, member->chosen);
    return 0;
}

static stead_op_fn *find_run(const struct stead_kind *kind, const char *name)
{
    for (const struct stead_op *op = kind->ops; op->name != NULL; op++)
        if (strcmp(op->name, name) == 0)
            return op->run;
    abort();
}

static int learn(struct stead_turn *turn, void *state, struct stead_slice args)
{
    return watched(turn, state, args, find_run(&stead_consensus_member_kind, "learn"));
}

static int fill(struct stead_turn *turn, void *state, struct stead_slice args)
{
    return watched(turn, state, args, find_run(&stead_consensus_member_kind, "fill"));
}

static int accept(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_consensus_member *member = state;

    if (STEAD_AGENT_FAULT(accept_below_promise))
        member->promised = 0;
    return watched(turn, state, args, find_run(&stead_consensus_member_kind, "accept"));
}

static void forget_promise(void *state)
{
    struct stead_consensus_member *member = state;

    if (STEAD_AGENT_FAULT(forget_promise))
        member->promised = 0;
}

/* ---- Watching proposers ------------------------------------------------------------------------ */

/* A leader's tick: what waits longer now was sent again, and none waits longer than it may (V7). */
static int tick(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct stead_proposer *proposer = state;
    uint64_t due_ns[STEAD_PROPOSER_TABLE], resent = proposer->resent, planned = 0;
    uint64_t wait_ns = ((uint64_t)proposer->answer_ms * STEAD_MS << STEAD_PROPOSER_TRIES_MAX);
    bool leading = proposer->phase == STEAD_PROPOSER_LEADING;

    for (uint32_t at = 0; at < STEAD_PROPOSER_TABLE; at++)
        due_ns[at] = proposer->slots[at].due_ns;
    uint64_t next = proposer->next;
    int code = find_run(&stead_consensus_proposer_kind, "tick")(turn, state, args);
    if (code != 0 || !leading)
        return code;
    for (uint32_t at = 0; at < STEAD_PROPOSER_TABLE; at++) {
        const struct stead_proposer_slot *slot = &proposer->slots[at];
        if (slot->slot == 0 || slot->slot >= next) /* opened in this tick */
            continue;
        planned += !slot->decided && slot->due_ns != due_ns[at];
        if (!slot->decided && slot->due_ns > stead_monotonic_ns(turn) + wait_ns)
            stead_sim_broken("%s lets slot %llu wait", stead_self(turn), (unsigned long long)slot->slot);
    }
    if (planned > proposer->resent - resent)
        stead_sim_broken("%s has put off %llu slots and sent %llu", stead_self(turn), (unsigned long long)planned,
                         (unsigned long long)(proposer->resent - resent));
    return 0;
}

static struct stead_op member_ops[OPS_MAX], proposer_ops[OPS_MAX]; /* the real ones, some of them watched */
static struct stead_kind member_kind, proposer_kind;

static void watch_op(struct stead_op *ops, const char *name, stead_op_fn *run)
{
    while (strcmp(ops->name, name) != 0)
        ops++;
    ops->run = run;
}

static void copy_ops(struct stead_op *ret_ops, const struct stead_kind *kind)
{
    uint32_t count = 0;

    for (const struct stead_op *op = kind->ops; op->name != NULL; op++) {
        STEAD_ASSERT(count + 1 < OPS_MAX);
        ret_ops[count++] = *op;
    }
}

/* Before the first run of the process; the same ever after. */
__attribute__((constructor)) static void watch_kind(void)
{
    copy_ops(member_ops, &stead_consensus_member_kind);
    watch_op(member_ops, "learn", learn);
    watch_op(member_ops, "fill", fill);
    watch_op(member_ops, "accept", accept);
    member_kind = stead_consensus_member_kind;
    member_kind.ops = member_ops;
    member_kind.on_load = forget_promise;
    copy_ops(proposer_ops, &stead_consensus_proposer_kind);
    watch_op(proposer_ops, "tick", tick);
    proposer_kind = stead_consensus_proposer_kind;
    proposer_kind.ops = proposer_ops;
}

/* ---- Requests ------------------------------------------------------------------------------------------ */

static struct stead_sim_op *submit(struct stead_sim *sim, struct stead_sim_client *client, int verb, uint32_t rank)
{
    struct stead_sim_op *op = stead_sim_op_new(sim, client, &stead_work_consensus, verb, rank);
    const struct truth *truth = find_truth();
    char address[64], id[24], value[24];

    if (op == NULL)
        return NULL;
    stead_format(address, sizeof address,
                 verb == CONSENSUS_PROPOSE ? "consensus.proposer/group/%u" : "consensus.member/group/%u", rank);
    if (verb == CONSENSUS_JOIN) {
        bool hub = sim->world.seed / 2 % 3 != 0;
        int ping_ms =
            hub ? 40 : 10; /* each is several synced writes there: more often, and a slow disk does nothing else */
        int times = ping_ms + (sim->calm ? 12 * ping_ms : ping_ms / 4);
        stead_sim_op_pack(sim, op, STEAD_CALL, address, "join", "{s:s,s:d,s:u,s:d,s:d,s:d}", "fabric",
                          hub ? "hub" : "direct", "poll_ms", sim->world.seed / 2 % 3 == 1 ? 30 : 0, "members",
                          (uint64_t)truth->members, "ping_ms", ping_ms, "silence_ms", times, "answer_ms", times);
        return op;
    }
    if (verb == CONSENSUS_READ) {
        uint64_t after = stead_world_below(&sim->world, truth->highest + 1);
        stead_sim_op_pack(sim, op, STEAD_CALL, address, "read", "{s:u}", "after", after);
        return op;
    }
    if (verb != CONSENSUS_PROPOSE) {
        stead_sim_op_pack(sim, op, STEAD_CALL, address, verb == CONSENSUS_LOOK ? "status" : "rest", "n");
        return op;
    }
    op->in[0] = (int64_t)op->number; /* a new number, or one that was proposed before */
    if (!sim->calm && op->number > 0 && stead_world_chance(&sim->world, 200)) {
        const struct stead_sim_op *old = &sim->ops[stead_world_below(&sim->world, op->number)];
        if (old->workload == &stead_work_consensus && old->verb == CONSENSUS_PROPOSE)
            op->in[0] = old->in[0];
    }
    stead_format(id, sizeof id, "p%lld", (long long)op->in[0]);
    stead_format(value, sizeof value, "v%lld", (long long)op->in[0]);
    stead_sim_op_pack(sim, op, STEAD_CALL, address, "propose", "{s:s,s:s,s:b}", "id", id, "value", value, "again",
                      op->in[0] != (int64_t)op->number);
    return op;
}

static void issue_consensus(struct stead_sim *sim, struct stead_sim_client *client)
{
    uint32_t rank = 1 + (uint32_t)stead_world_below(&sim->world, find_truth()->members);

    uint64_t luck = stead_world_below(&sim->world, 100);

    submit(sim, client, luck < 15 ? CONSENSUS_JOIN : luck < 40 ? CONSENSUS_READ : CONSENSUS_PROPOSE, rank);
}

/* A page of a member's log: told to somebody. The last slot in it; 0: it is empty. */
static uint64_t read_page(struct stead_sim *sim, struct stead_slice page)
{
    struct stead_slice entries, id, value;
    uint64_t slot = 0, last = 0, ballot;
    uint32_t count = 0, parts;

    if (stead_get_value(page, "entries", &entries) != 0)
        return 0;
    struct stead_reader reader = stead_reader(entries);
    if (stead_read_array(&reader, &count) != 0)
        stead_world_fail(&sim->world, "a member tells what is no log");
    for (; count > 0; count--) {
        char text[24] = {0};
        if (stead_read_array(&reader, &parts) != 0 || stead_read_u64(&reader, &slot) != 0 ||
            stead_read_u64(&reader, &ballot) != 0 || stead_read_str(&reader, &id) != 0 ||
            stead_read_bin(&reader, &value) != 0 || id.size >= sizeof text || (last != 0 && slot != last + 1))
            stead_world_fail(&sim->world, "a member tells what is no log");
        memcpy(text, id.data, id.size);
        tell_truth(sim, slot, id.size == 0 ? -1 : 1 + (int64_t)strtoll(text + 1, NULL, 10));
        last = slot;
    }
    return last;
}

static void read_consensus(struct stead_sim *sim, struct stead_sim_op *op, struct stead_slice value)
{
    struct truth *truth = find_truth();
    uint64_t it = 0;

    if (op->verb == CONSENSUS_PROPOSE) {
        if (stead_get_u64(value, "slot", &it) != 0 || it == 0)
            stead_world_fail(&sim->world, "the answer to proposal %u names no slot", op->number);
        op->out = (int64_t)it;
        tell_truth(sim, it, 1 + op->in[0]);
        truth->answered += sim->calm && op->client == STEAD_SIM_CLIENTS_MAX - 1u;
    } else if (op->verb == CONSENSUS_READ) {
        (void)read_page(sim, value);
    } else if (op->verb == CONSENSUS_LOOK) {
        if (stead_get_u64(value, "chosen", &it) != 0)
            stead_world_fail(&sim->world, "a member does not say what it has chosen");
        truth->least = truth->looks == 0 || it < truth->least ? it : truth->least;
        truth->most = truth->looks == 0 || it > truth->most ? it : truth->most;
        truth->looks++;
    }
}

/* All join, then propose, until every proposal is decided and all have the same prefix; then they rest, so that nothing
 * is left to do. */
static void relieve_consensus(struct stead_sim *sim)
{
    struct truth *truth = find_truth();
    struct stead_sim_client *auditor = &sim->clients[STEAD_SIM_CLIENTS_MAX - 1];

    if ((sim->plan.workloads & stead_sim_workload_bit(&stead_work_consensus)) == 0 || truth->resting)
        return;
    truth->resting = truth->looks == truth->members && truth->least == truth->most && truth->least >= truth->highest &&
                     truth->answered >= CALM_PROPOSALS;
    bool more = truth->answered < CALM_PROPOSALS;
    truth->looks = 0;
    for (uint32_t rank = 1; rank <= truth->members; rank++) {
        if (truth->resting) {
            submit(sim, auditor, CONSENSUS_REST, rank);
        } else if (truth->relieved == 0) {
            submit(sim, auditor, CONSENSUS_JOIN, rank);
        } else {
            if (more)
                submit(sim, auditor, CONSENSUS_PROPOSE, rank);
            submit(sim, auditor, CONSENSUS_LOOK, rank);
        }
    }
    truth->relieved++;
}

/* ---- The end ----------------------------------------------------------------------------------------------- */

/* Each member's whole log is the truth: reading it compares. */
static void check_log(struct stead_sim *sim, uint32_t rank)
{
    const struct truth *truth = find_truth();
    struct stead_writer args;
    char address[64];
    uint64_t after = 0;

    stead_format(address, sizeof address, "consensus.member/group/%u", rank);
    while (after < truth->most) {
        stead_writer_init(&args);
        stead_pack(&args, "{s:u}", "after", after);
        uint64_t last = read_page(sim, stead_sim_ask(sim, address, "read", stead_written(&args)));
        stead_writer_deinit(&args);
        if (last <= after)
            stead_world_fail(&sim->world, "%s has %llu slots of %llu", address, (unsigned long long)after,
                             (unsigned long long)truth->most);
        after = last;
    }
}

static void verify_consensus(struct stead_sim *sim)
{
    const struct truth *truth = find_truth();
    const struct stead_sim_op *op;

    if (!truth->resting)
        stead_world_fail(&sim->world, "the group did not come to agree");
    for (uint32_t rank = 1; rank <= truth->members; rank++)
        check_log(sim, rank);
    for (uint32_t at = 0; (op = stead_sim_op_next(sim, &stead_work_consensus, &at)) != NULL;) {
        if (op->verb != CONSENSUS_PROPOSE || stead_sim_op_outcome(op) != STEAD_SIM_DONE)
            continue;
        if (truth->chosen[op->out] != 1 + op->in[0])
            stead_world_fail(&sim->world, "proposal %u was told slot %lld, which holds another", op->number,
                             (long long)op->out);
    }
}

static const struct stead_kind *const consensus_kinds[] = {&member_kind, &proposer_kind, NULL};
const struct stead_workload stead_work_consensus = {.name = "consensus",
                                                    .kinds = consensus_kinds,
                                                    .issue = issue_consensus,
                                                    .read = read_consensus,
                                                    .relieve = relieve_consensus,
                                                    .verify = verify_consensus};
