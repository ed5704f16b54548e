/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The volatile half of a rank (consensus.h): clients propose to it, and one of the group's leads.
 *
 *             wake, or any message        its member's answer              patience over, and still after its own mailbox
 *     ASLEEP --------------------> WAKING ------------------> FOLLOWING ------------------------------------------------> CAMPAIGNING
 *                                                                 ^   ^--- answer time over, a refusal, a higher ballot -------|
 *                                                                 |                                                            | a majority promised
 *                                                                 |--- a refusal, a higher ballot ------- LEADING <------------|
 *
 * A campaign takes a new ballot from its own member and asks the others to promise it. Out of a majority's promises:
 * the longest chosen prefix is decided; of each slot beyond it the value accepted at the highest ballot may be decided,
 * so it is proposed again (V4), and a gap is filled with a no-op. From then on a proposal costs an accept to every
 * member, one synced write there and the vote back; WINDOW slots are open at once. A vote that does not come is asked
 * for again. The followers learn what is decided with the next accept, or the next ping.
 *
 * Like the bully's detector (election.c) this one looks at itself first: a tick that comes late gives everybody the
 * full time again, and a campaign begins only behind all that waits in its own mailbox. Patience is drawn at random
 * between one and two silences; each campaign of late doubles it, and the answer time, so that however slow the group
 * is, one of them has the time that it needs.
 *
 * Everything here may be lost with the process: a ballot is never used by another life, since only the member gives
 * them out (V2).
 */
#include "agents/fault.h"
#include "agents/proposer.h"

#define TABLE STEAD_PROPOSER_TABLE
#define BACKOFF_MAX STEAD_PROPOSER_BACKOFF_MAX
#define CALM_PINGS 16u /* signs of life in a row that make up for one campaign */
#define CALL_MS 5000   /* of calls to its own member */
#define VALUE_MAX STEAD_CONSENSUS_VALUE_MAX
#define ID_SIZE STEAD_CONSENSUS_ID_SIZE
#define NS_PER_MS STEAD_PROPOSER_NS_PER_MS
#define MEMBER STEAD_CONSENSUS_MEMBER_KIND
#define PROPOSER STEAD_CONSENSUS_PROPOSER_KIND

static const struct stead_slice nothing = {NULL, 0};

static const struct stead_field fields[] = {
    STEAD_FIELD(U32, struct stead_proposer, phase),     STEAD_FIELD(U32, struct stead_proposer, members),
    STEAD_FIELD(U32, struct stead_proposer, rank),      STEAD_FIELD(U32, struct stead_proposer, leader),
    STEAD_FIELD(U64, struct stead_proposer, ballot),    STEAD_FIELD(U64, struct stead_proposer, decided),
    STEAD_FIELD(U64, struct stead_proposer, decisions), STEAD_FIELDS_END};

/* ---- Small things --------------------------------------------------------------------------- */

uint64_t stead_proposer_bit(uint32_t rank)
{
    return (uint64_t)1 << rank;
}

/* A leader lives, so much is for sure: in time old campaigns are forgotten. */
static void note_calm(struct stead_proposer *proposer)
{
    if (++proposer->calm < CALM_PINGS)
        return;
    proposer->calm = 0;
    proposer->backoff -= proposer->backoff > 0;
}

bool stead_proposer_majority(const struct stead_proposer *proposer, uint64_t ranks)
{
    uint32_t count = (uint32_t)__builtin_popcountll(ranks);

    return count > proposer->members / 2 || (STEAD_AGENT_FAULT(half_is_enough) && count == proposer->members / 2);
}

/* False: too long. */
bool stead_proposer_set(struct stead_proposer_command *command, struct stead_slice id, struct stead_slice value)
{
    if (id.size >= ID_SIZE || value.size > VALUE_MAX)
        return false;
    for (size_t at = 0; at < id.size; at++)
        command->id[at] = (char)id.data[at];
    command->id[id.size] = '\0';
    for (size_t at = 0; at < value.size; at++)
        command->value[at] = value.data[at];
    command->size = (uint32_t)value.size;
    return true;
}

int stead_proposer_send(struct stead_turn *turn, struct stead_proposer *proposer, const char *kind, uint32_t rank,
                        const char *op, struct stead_slice args)
{
    return stead_carrier_send(turn, &proposer->fabric, kind, proposer->rank, rank, op, args);
}

/* The rank that speaks; 0: to be ignored. Counts what comes from others. */
uint32_t stead_proposer_speaker(struct stead_proposer *proposer, struct stead_slice args)
{
    uint64_t from = 0;

    if (proposer->phase < STEAD_PROPOSER_FOLLOWING || proposer->phase == STEAD_PROPOSER_SILENT ||
        stead_get_u64(args, "from", &from) != 0 || from < 1 || from > proposer->members)
        return 0;
    proposer->messages += from != proposer->rank;
    return (uint32_t)from;
}

/* ---- Waking up ------------------------------------------------------------------------------ */

int stead_proposer_call(struct stead_turn *turn, const char *op, struct stead_slice args, const char *reply_op,
                        struct stead_slice context)
{
    const struct stead_call_options options = {.reply_op = reply_op, .timeout_ms = CALL_MS, .context = context};

    return stead_call(turn, stead_printed(turn, "%s/%s", MEMBER, stead_self_key(turn)), op, args, &options);
}

static int ask_config(struct stead_turn *turn, const struct stead_proposer *proposer)
{
    return stead_proposer_call(turn, "config", nothing, "configured", stead_packed(turn, "u", proposer->rests));
}

/* Asks its member what it is; anything may be the first that a new life hears. */
int stead_proposer_wake(struct stead_turn *turn, struct stead_proposer *proposer)
{
    if (proposer->phase != STEAD_PROPOSER_ASLEEP)
        return 0;
    proposer->phase = STEAD_PROPOSER_WAKING;
    return ask_config(turn, proposer);
}

static int follow(struct stead_turn *turn, struct stead_proposer *proposer, uint32_t leader)
{
    uint64_t now = stead_monotonic_ns(turn), silence = (uint64_t)proposer->silence_ms * NS_PER_MS << proposer->backoff;

    proposer->phase = STEAD_PROPOSER_FOLLOWING;
    proposer->leader = leader;
    proposer->heard_ns = now;
    proposer->patience_ns = silence + stead_random(turn) % silence;
    for (uint32_t at = 0; at < TABLE; at++)
        proposer->slots[at].slot = 0;
    return 0;
}

static void stop(struct stead_turn *turn, struct stead_proposer *proposer, uint32_t phase)
{
    (void)follow(turn, proposer, 0);
    proposer->phase = phase;
    (void)stead_timer_cancel(turn, "tick");
    stead_carrier_stop(turn, &proposer->fabric);
}

static int configured(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_proposer *proposer = state;
    uint64_t members = 0, ping = 0, quiet = 0, answer = 0, way = 0, poll = 0, chosen = 0, promised = 0, rests = 0;
    bool silent = false;

    if (stead_get_u64(stead_call_context(turn), NULL, &rests) != 0 || rests != proposer->rests)
        return 0; /* told to rest since it asked: the answer may be older (V8) */
    if (proposer->phase == STEAD_PROPOSER_WAKING)
        proposer->phase = STEAD_PROPOSER_ASLEEP;
    if (stead_reply_code(turn) != 0 || stead_get_u64(args, "members", &members) != 0 ||
        members > STEAD_CONSENSUS_MEMBERS_MAX)
        return 0;
    if (members == 0 && proposer->phase >= STEAD_PROPOSER_FOLLOWING) /* its member rests */
        stop(turn, proposer, STEAD_PROPOSER_ASLEEP);
    if (members == 0)
        return 0;
    int code = stead_get_u64(args, "ping_ms", &ping) | stead_get_u64(args, "silence_ms", &quiet) |
               stead_get_u64(args, "answer_ms", &answer) | stead_get_u64(args, "way", &way) |
               stead_get_u64(args, "poll_ms", &poll) | stead_get_bool(args, "silent", &silent) |
               stead_get_u64(args, "chosen", &chosen) | stead_get_u64(args, "promised", &promised);
    if (code == 0)
        code = stead_carrier_rank(turn, (uint32_t)members, &proposer->rank);
    if (code != 0 || ping == 0 || quiet == 0)
        return 0;
    proposer->silence_ms = (uint32_t)quiet;
    proposer->answer_ms = (uint32_t)answer;
    if (proposer->phase != STEAD_PROPOSER_ASLEEP) /* its member joined once more */
        return 0;
    proposer->members = (uint32_t)members;
    proposer->learned = chosen;
    proposer->seen = promised;
    proposer->ping_ms = (uint32_t)ping;
    proposer->fabric.way = (uint32_t)way;
    proposer->fabric.poll_ms = (uint32_t)poll;
    proposer->looked_ns = stead_monotonic_ns(turn);
    (void)follow(turn, proposer, 0);
    if (silent) {
        proposer->phase = STEAD_PROPOSER_SILENT;
        return 0;
    }
    code = stead_carrier_start(turn, &proposer->fabric);
    return code == 0 ? stead_timer_every(turn, "tick", proposer->ping_ms, "tick", nothing) : code;
}

/* ---- Leading -------------------------------------------------------------------------------- */

static int send_pings(struct stead_turn *turn, struct stead_proposer *proposer)
{
    struct stead_slice args = stead_packed(turn, "{s:u,s:u,s:u}", "from", (uint64_t)proposer->rank, "ballot",
                                           proposer->ballot, "commit", proposer->decided);
    int code = 0;

    for (uint32_t rank = 1; code == 0 && rank <= proposer->members; rank++)
        if (rank != proposer->rank)
            code = stead_proposer_send(turn, proposer, PROPOSER, rank, "ping", args);
    return code;
}

static int teach_member(struct stead_turn *turn, struct stead_proposer *proposer, uint64_t ballot, uint64_t commit,
                        uint32_t from)
{
    return stead_proposer_send(
        turn, proposer, MEMBER, proposer->rank, "learn",
        stead_packed(turn, "{s:u,s:u,s:u}", "from", (uint64_t)from, "ballot", ballot, "commit", commit));
}

/* A majority has promised: what they tell decides what is proposed first (V4). */
static int lead(struct stead_turn *turn, struct stead_proposer *proposer)
{
    uint64_t top = proposer->longest;
    int code = 0;

    proposer->phase = STEAD_PROPOSER_LEADING;
    proposer->leader = proposer->rank;
    proposer->leader_ns = stead_monotonic_ns(turn);
    proposer->base = proposer->decided = proposer->longest;
    for (uint32_t at = 0; at < TABLE; at++) {
        struct stead_proposer_slot *slot = &proposer->slots[at];
        if (slot->slot <= proposer->base)
            slot->slot = 0;
        else if (slot->slot > top)
            top = slot->slot;
    }
    proposer->next = top + 1;
    for (uint64_t at = proposer->base + 1; code == 0 && at <= top; at++) {
        struct stead_proposer_slot *slot = &proposer->slots[at % TABLE];
        if (slot->slot != at)
            *slot = (struct stead_proposer_slot){.slot = at}; /* nobody can have decided it: a no-op */
        slot->ballot = proposer->ballot;
        code = stead_proposer_send_slot(turn, proposer, slot);
    }
    if (code == 0)
        code = send_pings(turn, proposer);
    if (code == 0 && proposer->learned < proposer->base)
        code = teach_member(turn, proposer, proposer->ballot, proposer->base, proposer->longest_rank);
    return code == 0 ? stead_proposer_drive(turn, proposer) : code;
}

/* One value accepted beyond a promiser's prefix: the one of the highest ballot stays. */
static void adopt(struct stead_proposer *proposer, uint64_t at, uint64_t ballot, struct stead_slice id,
                  struct stead_slice value)
{
    struct stead_proposer_slot *slot = &proposer->slots[at % TABLE];

    /* Of two slots in one place the lower one is within the other promiser's prefix. */
    if (slot->slot > at || (slot->slot == at && slot->ballot >= ballot) || STEAD_AGENT_FAULT(promise_not_heeded))
        return;
    *slot = (struct stead_proposer_slot){.slot = at, .ballot = ballot};
    if (!stead_proposer_set(&slot->command, id, value))
        slot->slot = 0;
}

/* Takes the promise of one rank, its own member's or another's. */
static int take_promise(struct stead_turn *turn, struct stead_proposer *proposer, uint32_t from,
                        struct stead_slice promise)
{
    struct stead_slice accepted, id, value;
    uint64_t chosen = 0, at, ballot;
    uint32_t count = 0, parts = 0;

    if (stead_get_u64(promise, "chosen", &chosen) != 0 || stead_get_value(promise, "accepted", &accepted) != 0)
        return 0;
    struct stead_reader reader = stead_reader(accepted);
    if (stead_read_array(&reader, &count) != 0 || count > TABLE)
        return 0;
    for (; count > 0; count--) {
        if (stead_read_array(&reader, &parts) != 0 || parts != 4 || stead_read_u64(&reader, &at) != 0 ||
            stead_read_u64(&reader, &ballot) != 0 || stead_read_str(&reader, &id) != 0 ||
            stead_read_bin(&reader, &value) != 0 || at <= chosen || at > chosen + TABLE)
            return 0;
        adopt(proposer, at, ballot, id, value);
    }
    if (proposer->promises == 0 || chosen > proposer->longest) {
        proposer->longest = chosen;
        proposer->longest_rank = from;
    }
    proposer->promises |= stead_proposer_bit(from);
    return stead_proposer_majority(proposer, proposer->promises) ? lead(turn, proposer) : 0;
}

static int campaigned(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_proposer *proposer = state;
    int code = 0;

    if (proposer->phase != STEAD_PROPOSER_CAMPAIGNING || proposer->ballot != 0)
        return 0;
    if (stead_reply_code(turn) != 0 || stead_get_u64(args, "ballot", &proposer->ballot) != 0)
        return follow(turn, proposer, 0);
    proposer->seen = proposer->ballot;
    struct stead_slice ask =
        stead_packed(turn, "{s:u,s:u}", "from", (uint64_t)proposer->rank, "ballot", proposer->ballot);
    for (uint32_t rank = 1; code == 0 && rank <= proposer->members; rank++)
        if (rank != proposer->rank)
            code = stead_proposer_send(turn, proposer, MEMBER, rank, "prepare", ask);
    return code == 0 ? take_promise(turn, proposer, proposer->rank, args) : code;
}

/* From itself, behind all that waited in its mailbox: still no leader. */
static int stand(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_proposer *proposer = state;
    uint64_t now = stead_monotonic_ns(turn);

    (void)args;
    if (proposer->phase != STEAD_PROPOSER_FOLLOWING || now - proposer->heard_ns <= proposer->patience_ns)
        return 0;
    (void)follow(turn, proposer, 0);
    proposer->phase = STEAD_PROPOSER_CAMPAIGNING;
    proposer->ballot = proposer->promises = proposer->longest = 0;
    proposer->asked_ns = now;
    proposer->campaigns++;
    proposer->calm = 0;
    proposer->backoff += proposer->backoff < BACKOFF_MAX;
    return stead_proposer_call(turn, "campaign", stead_packed(turn, "{s:u}", "above", proposer->seen), "campaigned",
                               nothing);
}

/* ---- What the others say -------------------------------------------------------------------- */

static int hear_promise(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_proposer *proposer = state;
    uint32_t from = stead_proposer_speaker(proposer, args);
    uint64_t ballot = 0;

    if (from == 0 || proposer->phase != STEAD_PROPOSER_CAMPAIGNING || stead_get_u64(args, "ballot", &ballot) != 0 ||
        ballot != proposer->ballot)
        return 0;
    return take_promise(turn, proposer, from, args);
}

/* Somebody promised more than this one has: it is over, for now. */
static int hear_nack(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_proposer *proposer = state;
    uint64_t ballot = 0;

    if (stead_proposer_speaker(proposer, args) == 0 || stead_get_u64(args, "ballot", &ballot) != 0)
        return 0;
    if (ballot > proposer->seen)
        proposer->seen = ballot;
    if ((proposer->phase == STEAD_PROPOSER_LEADING || proposer->phase == STEAD_PROPOSER_CAMPAIGNING) &&
        ballot > proposer->ballot && proposer->ballot != 0)
        return follow(turn, proposer, 0);
    return 0;
}

static int hear_ping(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_proposer *proposer = state;
    uint32_t from = stead_proposer_speaker(proposer, args);
    uint64_t ballot = 0, commit = 0;

    if (from == 0)
        return stead_proposer_wake(turn, proposer);
    if (from == proposer->rank || stead_get_u64(args, "ballot", &ballot) != 0 ||
        stead_get_u64(args, "commit", &commit) != 0 || ballot < proposer->seen)
        return 0;
    proposer->seen = ballot;
    bool news = proposer->phase != STEAD_PROPOSER_FOLLOWING || proposer->leader != from;
    int code = news ? follow(turn, proposer, from) : 0;
    proposer->heard_ns = stead_monotonic_ns(turn);
    note_calm(proposer);
    if (code == 0 && news)
        code = stead_proposer_drive(turn, proposer);
    if (code == 0 && commit > proposer->learned)
        code = teach_member(turn, proposer, ballot, commit, from);
    return code;
}

/* Its own member's chosen prefix grew. */
static int hear_progress(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_proposer *proposer = state;
    uint64_t chosen = 0;

    (void)turn;
    if (stead_get_u64(args, NULL, &chosen) == 0 && chosen > proposer->learned)
        proposer->learned = chosen;
    return 0;
}

/* Its own member has an answer for another rank, on the hub: [kind, rank, op, args]. */
static int carry(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_proposer *proposer = state;
    struct stead_reader reader = stead_reader(args);
    struct stead_slice kind, op, value;
    uint32_t parts = 0;
    uint64_t to = 0;

    if (proposer->phase < STEAD_PROPOSER_FOLLOWING || proposer->phase == STEAD_PROPOSER_SILENT)
        return stead_proposer_wake(turn, proposer);
    if (stead_read_array(&reader, &parts) != 0 || parts != 4 || stead_read_str(&reader, &kind) != 0 ||
        stead_read_u64(&reader, &to) != 0 || stead_read_str(&reader, &op) != 0 ||
        stead_read_value(&reader, &value) != 0 || to < 1 || to > proposer->members || to == proposer->rank)
        return 0;
    return stead_proposer_send(turn, proposer, stead_slice_equal(kind, stead_str(MEMBER)) ? MEMBER : PROPOSER,
                               (uint32_t)to, stead_printed(turn, "%.*s", (int)op.size, (const char *)op.data), value);
}

/* ---- Ticks ---------------------------------------------------------------------------------- */

/* A tick of ours comes late: we stood still, not they. */
static bool late_myself(struct stead_turn *turn, struct stead_proposer *proposer)
{
    uint64_t limit_ms = proposer->ping_ms + proposer->silence_ms / 2;
    bool late = stead_monotonic_ns(turn) - proposer->looked_ns > limit_ms * NS_PER_MS;

    proposer->looked_ns = stead_monotonic_ns(turn);
    proposer->late += late;
    return late;
}

static int tick_leading(struct stead_turn *turn, struct stead_proposer *proposer)
{
    int code = send_pings(turn, proposer);

    note_calm(proposer);
    if (code == 0)
        code = stead_proposer_resend(turn, proposer);
    if (code == 0 && proposer->learned < proposer->decided)
        code = teach_member(turn, proposer, proposer->ballot, proposer->decided,
                            proposer->learned < proposer->base ? proposer->longest_rank : proposer->rank);
    return code;
}

static int tick(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_proposer *proposer = state;
    uint64_t now = stead_monotonic_ns(turn);
    int code = 0;

    (void)args;
    if (proposer->phase < STEAD_PROPOSER_FOLLOWING || proposer->phase == STEAD_PROPOSER_SILENT)
        return 0;
    bool late = late_myself(turn, proposer);
    if (late)
        proposer->heard_ns = proposer->asked_ns = now;
    if (proposer->phase == STEAD_PROPOSER_LEADING)
        code = tick_leading(turn, proposer);
    else if (proposer->phase == STEAD_PROPOSER_CAMPAIGNING &&
             now - proposer->asked_ns > (uint64_t)proposer->answer_ms * NS_PER_MS << proposer->backoff)
        code = follow(turn, proposer, 0);
    else if (proposer->phase == STEAD_PROPOSER_FOLLOWING && now - proposer->heard_ns > proposer->patience_ns)
        code = stead_tell(turn, stead_self(turn), "stand", nothing);
    return code == 0 ? stead_proposer_drive(turn, proposer) : code;
}

/* ---- What the driver says ------------------------------------------------------------------- */

static int wake(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct stead_proposer *proposer = state;

    (void)args;
    return proposer->phase == STEAD_PROPOSER_ASLEEP ? stead_proposer_wake(turn, state) : ask_config(turn, proposer);
}

static int rest(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_proposer *proposer = state;

    (void)args;
    if (proposer->phase >= STEAD_PROPOSER_FOLLOWING)
        stop(turn, proposer, STEAD_PROPOSER_ASLEEP);
    proposer->phase = STEAD_PROPOSER_ASLEEP;
    proposer->rests++;
    return 0;
}

/* Plays dead, with its member; answers the moment. */
static int fall_silent(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_proposer *proposer = state;

    (void)args;
    if (proposer->phase < STEAD_PROPOSER_FOLLOWING)
        return stead_fail(turn, "not_started", "this proposer is asleep");
    stop(turn, proposer, STEAD_PROPOSER_SILENT);
    proposer->silent_ns = stead_monotonic_ns(turn);
    int code = stead_proposer_send(turn, proposer, MEMBER, proposer->rank, "silence", stead_packed(turn, "b", true));
    return code == 0 ? stead_reply(turn, stead_packed(turn, "u", proposer->silent_ns)) : code;
}

static int speak(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_proposer *proposer = state;

    (void)args;
    if (proposer->phase != STEAD_PROPOSER_SILENT)
        return stead_fail(turn, "not_silent", "this proposer was not told to fall silent");
    proposer->phase = STEAD_PROPOSER_ASLEEP;
    int code = stead_proposer_send(turn, proposer, MEMBER, proposer->rank, "silence", stead_packed(turn, "b", false));
    return code == 0 ? stead_proposer_wake(turn, proposer) : code;
}

static int reset(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_proposer *proposer = state;

    (void)turn, (void)args;
    proposer->campaigns = proposer->decisions = proposer->messages = proposer->late = proposer->resent = 0;
    stead_carrier_reset(&proposer->fabric);
    return 0;
}

static int status(struct stead_turn *turn, void *state, struct stead_slice args)
{
    static const char *const phases[] = {"asleep", "waking", "following", "campaigning", "leading", "silent"};
    const struct stead_proposer *proposer = state;

    (void)args;
    return stead_reply(
        turn, stead_packed(turn, "{s:s,s:s,s:u,s:u,s:u,s:u,s:u,s:u,s:u,s:u,s:u,s:u,s:v}", "phase",
                           phases[proposer->phase], "node", stead_node_name(turn), "leader", (uint64_t)proposer->leader,
                           "ballot", proposer->ballot, "decided", proposer->decided, "learned", proposer->learned,
                           "campaigns", proposer->campaigns, "decisions", proposer->decisions, "messages",
                           proposer->messages, "late", proposer->late, "resent", proposer->resent, "leader_ns",
                           proposer->leader_ns, "fabric", stead_carrier_counters(turn, &proposer->fabric)));
}

/* The group is no longer needed. */
static int leave(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_destroy(turn);
}

static int forward_poll(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    return stead_carrier_poll(turn, &((struct stead_proposer *)state)->fabric);
}

static int forward_polled(struct stead_turn *turn, void *state, struct stead_slice args)
{
    return stead_carrier_polled(turn, &((struct stead_proposer *)state)->fabric, args);
}

static int forward_stored(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    return stead_carrier_stored(turn, &((struct stead_proposer *)state)->fabric);
}

static const struct stead_op ops[] = {
    {"propose", stead_proposer_propose, NULL, 0, "{id, value, again}: answers {slot} when it is decided"},
    {"status", status, NULL, STEAD_OP_READ_ONLY, "phase, leader, and what was counted since the reset"},
    {"reset", reset, NULL, 0, "forgets what was counted"},
    {"wake", wake, NULL, 0, "asks its member what it is, and takes part"},
    {"rest", rest, NULL, 0, "sleeps until it is woken"},
    {"leave", leave, NULL, 0, "ends this proposer"},
    {"fall_silent", fall_silent, NULL, 0, "plays dead with its member, until `speak`"},
    {"speak", speak, NULL, 0, "ends the silence"},
    {"forward", stead_proposer_forward, NULL, 0, "a proposal of another proposer's client"},
    {"outcome", stead_proposer_outcome, NULL, 0, "a forwarded proposal is decided"},
    {"ping", hear_ping, NULL, 0, "the leader lives, and so much is decided"},
    {"promise", hear_promise, NULL, 0, "a member promised a ballot"},
    {"nack", hear_nack, NULL, 0, "a member promised a higher one"},
    {"accepted", stead_proposer_accepted, NULL, 0, "a member's votes"},
    {"progress", hear_progress, NULL, 0, "its own member learned more"},
    {"carry", carry, NULL, 0, "its own member has something for another rank, on the hub"},
    {"tick", tick, NULL, 0, "timer"},
    {"stand", stand, NULL, 0, "from itself: campaigns, if still nobody leads"},
    {"configured", configured, NULL, 0, "reply: what its member joined with"},
    {"campaigned", campaigned, NULL, 0, "reply: a new ballot"},
    {"found", stead_proposer_found, NULL, 0, "reply: where an id took effect"},
    STEAD_CARRIER_OPS,
    {NULL, NULL, NULL, 0, NULL}};

const struct stead_kind stead_consensus_proposer_kind = {.abi = STEAD_ABI,
                                                         .struct_size = sizeof(struct stead_kind),
                                                         .name = STEAD_CONSENSUS_PROPOSER_KIND,
                                                         .help =
                                                             "a proposer GROUP/RANK of a group that agrees on a log",
                                                         .durability = STEAD_VOLATILE,
                                                         .state_size = sizeof(struct stead_proposer),
                                                         .fields = fields,
                                                         .ops = ops};
