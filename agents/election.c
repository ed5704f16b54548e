/* SPDX-License-Identifier: Apache-2.0 */
/*
 * election: the bully algorithm (Garcia-Molina, "Elections in a Distributed Computing System", 1982) between volatile
 * agents that know each other by name alone. `election.member/GROUP/RANK` are members 1..N of one group, wherever they
 * live; the highest that lives leads.
 *
 *                        silence of the leader                     an ANSWER from above
 *     FOLLOWING ----------------------------------> ELECTING ---------------------------> WAITING
 *         ^  ^            or an ELECTION from below      |                                   |
 *         |  |                                           | answer time over: nobody above    | nobody claimed it:
 *         |  +--- COORDINATOR from above ---             v                                   | elect again
 *         |                                 \-------- LEADING                                v
 *         +------------------------------------------------------------------------------ ELECTING
 *
 * ELECTION goes to every higher rank, ANSWER says "I live, leave it to me", COORDINATOR is the new leader's claim to
 * every lower rank, PING its sign of life. They are carried by carrier.h, at most once: as tells, without storage, or
 * through the hub's queues, where the times given must fit the poll interval. A lost one costs a timeout, never
 * agreement.
 *
 * A failure detector accuses others, so it first looks at itself. A member whose own timer comes late by half its time
 * was not scheduled (its loop stood still, and what the others sent may wait unread behind it): it gives everybody the
 * full time again, and it claims to lead only behind all that waits in its own mailbox (E1). Patience is drawn at
 * random between one and two silences, so that the members do not all wake at the same moment (E2). A sign of life of a
 * leader of lower rank is contested: the higher rank always wins (E3). A silent member, and one that was not started,
 * hears nothing and says nothing (E4). A member that heard its leader lately believes it, not a claim or an election
 * from below: a wrong claim costs a few messages until the leader's next sign of life, not an election of everybody
 * (E5).
 *
 * Times are kept to be measured: when this member first sent ELECTION, how long the winner waited for answers, when the
 * present leader became known. They are of the machine's monotonic clock: between nodes of one machine they compare.
 */
#include "agents/agents.h"
#include "agents/carrier.h"

#define MEMBERS_MAX 1000u
#define PING_MS 50         /* defaults; none of the detectors is below 100 ms */
#define SILENCE_MS 250     /* without a sign of life */
#define ANSWER_MS 150      /* for an ANSWER from above */
#define DETECTOR_MS_MIN 10 /* asked for by tests of their own risk */
#define ECHO_TIMEOUT_MS 2000
#define ECHOES_MAX 100000u
#define NS_PER_MS 1000000u

enum phase {
    IDLE, /* not started: hears nothing */
    FOLLOWING,
    ELECTING, /* asked all above, waits for an ANSWER */
    WAITING,  /* somebody above lives: waits for a COORDINATOR */
    LEADING,
    SILENT /* told to play dead */
};

struct member {
    uint32_t phase;                     /* enum phase */
    uint32_t members;                   /* of the group: ranks 1 to members */
    uint32_t rank;                      /* this one's */
    uint32_t leader;                    /* rank of the leader, 0: unknown */
    uint32_t ping_ms;                   /* between two signs of life, and between two looks for them */
    uint32_t silence_ms;                /* patience is one to two of these */
    uint32_t answer_ms;                 /* an ANSWER takes no longer */
    uint64_t patience_ns;               /* of the present leader; drawn anew for each */
    uint64_t heard_ns;                  /* last sign of life of the leader */
    uint64_t looked_ns;                 /* last look for one */
    uint64_t asked_ns;                  /* the present wait for an answer or a claim began */
    uint64_t first_election_ns;         /* measured: this member first sent ELECTION since the reset; 0: it did not */
    uint64_t waited_ns;                 /* measured: waited for answers since the reset */
    uint64_t leader_ns;                 /* measured: the present leader became known */
    uint64_t silent_ns;                 /* measured: told to fall silent */
    uint64_t elections, answers;        /* sent since the reset */
    uint64_t coordinators, pings;       /* sent since the reset */
    uint64_t late;                      /* times this member was late itself and accused nobody */
    uint32_t echoes_left, echoes;       /* of a measurement of the way between members; how many came back */
    uint32_t echo_ranks;                /* echoes go to ranks 1 to this */
    uint64_t echo_sent_ns, echo_sum_ns; /* the present one left; all round trips */
    char echo_token[STEAD_TOKEN_SIZE];  /* who asked for the measurement */
    struct stead_carrier fabric;        /* carries what members say to each other */
};

static const struct stead_field fields[] = {
    STEAD_FIELD(U32, struct member, phase),     STEAD_FIELD(U32, struct member, members),
    STEAD_FIELD(U32, struct member, rank),      STEAD_FIELD(U32, struct member, leader),
    STEAD_FIELD(U64, struct member, elections), STEAD_FIELD(U64, struct member, answers),
    STEAD_FIELD(U64, struct member, late),      STEAD_FIELDS_END};

/* ---- Saying things -------------------------------------------------------------------------- */

#define KIND "election.member"

/* Tells `op` to ranks from..to. */
static int tell_ranks(struct stead_turn *turn, struct member *member, uint32_t from, uint32_t to, const char *op)
{
    struct stead_slice args = stead_packed(turn, "u", (uint64_t)member->rank);

    for (uint32_t rank = from; rank <= to; rank++) {
        int code = stead_carrier_send(turn, &member->fabric, KIND, member->rank, rank, op, args);
        if (code != 0)
            return code;
    }
    return 0;
}

/* ---- Becoming something --------------------------------------------------------------------- */

static int follow(struct stead_turn *turn, struct member *member, uint32_t leader)
{
    uint64_t now = stead_monotonic_ns(turn), silence = (uint64_t)member->silence_ms * NS_PER_MS;

    if (member->leader != leader || member->phase != FOLLOWING) {
        member->leader_ns = now;
        member->patience_ns = silence + stead_random(turn) % silence;
    }
    member->phase = FOLLOWING;
    member->leader = leader;
    member->heard_ns = member->looked_ns = now;
    (void)stead_timer_cancel(turn, "answer");
    return stead_timer_every(turn, "look", member->ping_ms, "look", (struct stead_slice){NULL, 0});
}

static int lead(struct stead_turn *turn, struct member *member)
{
    member->phase = LEADING;
    member->leader = member->rank;
    member->leader_ns = stead_monotonic_ns(turn);
    member->coordinators += member->rank - 1;
    (void)stead_timer_cancel(turn, "answer");
    (void)stead_timer_cancel(turn, "look");
    int code = tell_ranks(turn, member, 1, member->rank - 1, "coordinator");
    if (code == 0)
        code = stead_timer_every(turn, "ping", member->ping_ms, "send_ping", (struct stead_slice){NULL, 0});
    return code;
}

static int wait_for(struct stead_turn *turn, struct member *member, uint32_t phase, int64_t timeout_ms)
{
    member->phase = phase;
    member->asked_ns = stead_monotonic_ns(turn);
    (void)stead_timer_cancel(turn, "look");
    return stead_timer_after(turn, "answer", timeout_ms, "unanswered", (struct stead_slice){NULL, 0});
}

static int elect(struct stead_turn *turn, struct member *member)
{
    (void)stead_timer_cancel(turn, "ping");
    if (member->rank == member->members)
        return lead(turn, member);
    if (member->first_election_ns == 0)
        member->first_election_ns = stead_monotonic_ns(turn);
    member->elections += member->members - member->rank;
    int code = tell_ranks(turn, member, member->rank + 1, member->members, "election");
    return code == 0 ? wait_for(turn, member, ELECTING, member->answer_ms) : code;
}

/* ---- The detectors -------------------------------------------------------------------------- */

/* E1: a timer of ours comes later than `limit_ms` after `since_ns`: we stood still, not they. */
static bool late_myself(struct stead_turn *turn, struct member *member, uint64_t since_ns, uint32_t limit_ms)
{
    bool late = stead_monotonic_ns(turn) - since_ns > (uint64_t)limit_ms * NS_PER_MS;

    member->late += late;
    return late;
}

/* Looks for a sign of life of the leader. */
static int look(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct member *member = state;
    uint64_t now = stead_monotonic_ns(turn);

    (void)args;
    if (member->phase != FOLLOWING)
        return 0;
    if (late_myself(turn, member, member->looked_ns, member->ping_ms + member->silence_ms / 2))
        member->heard_ns = now;
    member->looked_ns = now;
    return now - member->heard_ns > member->patience_ns ? elect(turn, member) : 0;
}

/* The time for an ANSWER, or for a COORDINATOR after one, is over. */
static int unanswered(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct member *member = state;
    uint32_t due_ms = member->phase == WAITING ? member->silence_ms * 2 : member->answer_ms;

    (void)args;
    if (member->phase != ELECTING && member->phase != WAITING)
        return 0;
    if (member->phase == ELECTING)
        member->waited_ns += stead_monotonic_ns(turn) - member->asked_ns;
    if (late_myself(turn, member, member->asked_ns, due_ms + due_ms / 2))
        return wait_for(turn, member, member->phase, due_ms);
    if (member->phase == WAITING)
        return elect(turn, member);
    return stead_tell(turn, stead_self(turn), "claim", (struct stead_slice){NULL, 0});
}

/* From itself, behind all that waited in its mailbox: still nobody above answered (E1). */
static int claim(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct member *member = state;

    (void)args;
    return member->phase == ELECTING ? lead(turn, member) : 0;
}

static int send_ping(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct member *member = state;

    (void)args;
    if (member->phase != LEADING)
        return 0;
    member->pings += member->members - 1;
    int code = tell_ranks(turn, member, 1, member->rank - 1, "ping");
    return code == 0 ? tell_ranks(turn, member, member->rank + 1, member->members, "ping") : code;
}

/* ---- What the others say -------------------------------------------------------------------- */

/* The rank that speaks; 0 when it is to be ignored (E4, or nonsense). */
static uint32_t speaker(const struct member *member, struct stead_slice args)
{
    uint64_t rank = 0;

    if (member->phase == IDLE || member->phase == SILENT || stead_get_u64(args, NULL, &rank) != 0)
        return 0;
    return rank >= 1 && rank <= member->members && rank != member->rank ? (uint32_t)rank : 0;
}

/* Says `op` to one rank, and counts it. */
static int say(struct stead_turn *turn, struct member *member, uint32_t rank, const char *op, uint64_t *counter)
{
    (*counter)++;
    return tell_ranks(turn, member, rank, rank, op);
}

/* A sign of life of the leader came within a silence. */
static bool has_leader(struct stead_turn *turn, const struct member *member)
{
    return member->phase == FOLLOWING && member->leader != 0 &&
           stead_monotonic_ns(turn) - member->heard_ns < (uint64_t)member->silence_ms * NS_PER_MS;
}

static int hear_election(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct member *member = state;
    uint32_t from = speaker(member, args);

    if (from == 0 || from > member->rank)
        return 0;
    if (member->phase == LEADING) /* it did not hear of me */
        return say(turn, member, from, "coordinator", &member->coordinators);
    int code = say(turn, member, from, "answer", &member->answers);
    if (code != 0 || member->phase != FOLLOWING || has_leader(turn, member)) /* E5 */
        return code;
    return elect(turn, member);
}

static int hear_answer(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct member *member = state;
    uint32_t from = speaker(member, args);

    if (from == 0 || from < member->rank || member->phase != ELECTING)
        return 0;
    member->waited_ns += stead_monotonic_ns(turn) - member->asked_ns;
    return wait_for(turn, member, WAITING, (int64_t)member->silence_ms * 2);
}

static int hear_coordinator(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct member *member = state;
    uint32_t from = speaker(member, args);

    if (from == 0 || from < member->rank)
        return 0;
    if (from < member->leader && has_leader(turn, member)) /* E5: mine lives, and will say so there too */
        return 0;
    (void)stead_timer_cancel(turn, "ping");
    return follow(turn, member, from);
}

static int hear_ping(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct member *member = state;
    uint32_t from = speaker(member, args);

    if (from == 0)
        return 0;
    if (from < member->rank) { /* E3 */
        if (member->phase == LEADING)
            return say(turn, member, from, "coordinator", &member->coordinators);
        return member->phase == FOLLOWING && !has_leader(turn, member) ? elect(turn, member) : 0;
    }
    if (member->phase != FOLLOWING || member->leader != from)
        return hear_coordinator(turn, state, args); /* its claim was lost, or made before we were there */
    member->heard_ns = stead_monotonic_ns(turn);
    return 0;
}

/* ---- What the driver says ------------------------------------------------------------------- */

/* An optional time of at least DETECTOR_MS_MIN; `ret_ms` keeps its default without one. */
static int take_ms(struct stead_turn *turn, struct stead_slice args, const char *field, uint32_t *ret_ms)
{
    int64_t ms = *ret_ms;

    if (stead_get_i64(args, field, &ms) == STEAD_EARGUMENT || ms < DETECTOR_MS_MIN || ms > 60000)
        return stead_fail(turn, "bad_time", "%s is a number of milliseconds, %d to 60000", field, DETECTOR_MS_MIN);
    *ret_ms = (uint32_t)ms;
    return 0;
}

static int start(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct member *member = state, fresh = {.ping_ms = PING_MS, .silence_ms = SILENCE_MS, .answer_ms = ANSWER_MS};
    int64_t members = 0;

    fresh.fabric = member->fabric; /* a dequeue may be out */
    stead_carrier_reset(&fresh.fabric);
    int code = stead_carrier_rank(turn, MEMBERS_MAX, &fresh.rank);
    if (code == 0)
        code = stead_carrier_take(turn, args, &fresh.fabric);
    if (code == 0)
        code = take_ms(turn, args, "ping_ms", &fresh.ping_ms);
    if (code == 0)
        code = take_ms(turn, args, "silence_ms", &fresh.silence_ms);
    if (code == 0)
        code = take_ms(turn, args, "answer_ms", &fresh.answer_ms);
    if (code != 0)
        return code;
    if (stead_get_i64(args, "members", &members) != 0 || members < fresh.rank || members > MEMBERS_MAX)
        return stead_fail(turn, "bad_members", "members is from this member's rank to %u", MEMBERS_MAX);
    fresh.members = (uint32_t)members;
    *member = fresh;
    (void)stead_timer_cancel(turn, "ping");
    code = stead_carrier_start(turn, &member->fabric);
    if (code != 0)
        return code;
    return member->rank == member->members ? lead(turn, member) : follow(turn, member, 0);
}

static int fall_silent(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct member *member = state;

    (void)args;
    if (member->phase == IDLE)
        return stead_fail(turn, "not_started", "this member was not started");
    member->phase = SILENT;
    member->leader = 0;
    member->silent_ns = stead_monotonic_ns(turn);
    (void)stead_timer_cancel(turn, "ping");
    (void)stead_timer_cancel(turn, "look");
    (void)stead_timer_cancel(turn, "answer");
    stead_carrier_stop(turn, &member->fabric);
    return stead_reply(turn, stead_packed(turn, "u", member->silent_ns));
}

/* The group is no longer needed. */
static int leave(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_destroy(turn);
}

/* The end of a silence: as a process of the paper that comes back, it begins with an election. */
static int speak(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct member *member = state;

    (void)args;
    if (member->phase != SILENT)
        return stead_fail(turn, "not_silent", "this member was not told to fall silent");
    int code = stead_carrier_start(turn, &member->fabric);
    return code == 0 ? elect(turn, member) : code;
}

/* Forgets what was measured. */
static int reset(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct member *member = state;

    (void)turn, (void)args;
    member->first_election_ns = member->waited_ns = member->silent_ns = 0;
    member->elections = member->answers = member->coordinators = member->pings = member->late = 0;
    stead_carrier_reset(&member->fabric);
    return 0;
}

static int status(struct stead_turn *turn, void *state, struct stead_slice args)
{
    static const char *const phases[] = {"idle", "following", "electing", "waiting", "leading", "silent"};
    const struct member *member = state;

    (void)args;
    return stead_reply(turn, stead_packed(turn, "{s:s,s:s,s:u,s:u,s:u,s:u,s:u,s:u,s:u,s:u,s:u,s:u,s:v}", "phase",
                                          phases[member->phase], "node", stead_node_name(turn), "leader",
                                          (uint64_t)member->leader, "first_election_ns", member->first_election_ns,
                                          "waited_ns", member->waited_ns, "leader_ns", member->leader_ns, "silent_ns",
                                          member->silent_ns, "elections", member->elections, "answers", member->answers,
                                          "coordinators", member->coordinators, "pings", member->pings, "late",
                                          member->late, "fabric", stead_carrier_counters(turn, &member->fabric)));
}

/* ---- The floor: the way between members ------------------------------------------------------ */

static int echo(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state;
    return stead_reply(turn, args);
}

static int send_echo(struct stead_turn *turn, struct member *member)
{
    const struct stead_call_options options = {.reply_op = "echoed", .timeout_ms = ECHO_TIMEOUT_MS};
    uint32_t to = 1 + (uint32_t)(stead_random(turn) % member->echo_ranks);

    if (to == member->rank)
        to = to == 1 ? member->echo_ranks : to - 1;
    member->echo_sent_ns = stead_monotonic_ns(turn);
    return stead_call(turn, stead_carrier_address(turn, KIND, to), "echo", (struct stead_slice){NULL, 0}, &options);
}

/* Calls random ranks up to `ranks`, `count` times, one after the other; answers the mean one-way delay when all are
 * back. */
static int measure(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct member *member = state;
    struct stead_token token;
    int64_t count = 0, ranks = member->members;

    if (stead_get_i64(args, "count", &count) != 0 || count < 1 || count > ECHOES_MAX)
        return stead_fail(turn, "bad_count", "count is from 1 to %u", ECHOES_MAX);
    if (stead_get_i64(args, "ranks", &ranks) == STEAD_EARGUMENT || ranks < 2 || ranks > member->members)
        return stead_fail(turn, "bad_ranks", "ranks is from 2 to the members of the group");
    if (member->echoes_left > 0)
        return stead_fail(turn, "measuring", "a measurement is under way");
    int code = stead_reply_later(turn, &token);
    if (code != 0)
        return code;
    for (size_t at = 0; at < sizeof token.text; at++)
        member->echo_token[at] = token.text[at];
    member->echoes_left = (uint32_t)count;
    member->echo_ranks = (uint32_t)ranks;
    member->echoes = 0;
    member->echo_sum_ns = 0;
    return send_echo(turn, member);
}

static int echoed(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct member *member = state;
    struct stead_token token;

    (void)args;
    if (member->echoes_left == 0)
        return 0;
    if (stead_reply_code(turn) == 0) {
        member->echoes++;
        member->echo_sum_ns += stead_monotonic_ns(turn) - member->echo_sent_ns;
    }
    if (--member->echoes_left > 0)
        return send_echo(turn, member);
    for (size_t at = 0; at < sizeof token.text; at++)
        token.text[at] = member->echo_token[at];
    if (member->echoes == 0)
        return stead_answer_error(turn, &token, "no_echo", "no other member answered");
    (void)stead_answer(turn, &token, /* nobody waits any more: nothing is lost */
                       stead_packed(turn, "{s:u,s:u}", "one_way_ns", member->echo_sum_ns / member->echoes / 2, "echoes",
                                    (uint64_t)member->echoes));
    return 0;
}

static int forward_poll(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    return stead_carrier_poll(turn, &((struct member *)state)->fabric);
}

static int forward_polled(struct stead_turn *turn, void *state, struct stead_slice args)
{
    return stead_carrier_polled(turn, &((struct member *)state)->fabric, args);
}

static int forward_stored(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    return stead_carrier_stored(turn, &((struct member *)state)->fabric);
}

static const struct stead_op ops[] = {
    {"start", start, NULL, 0,
     "{members, ping_ms, silence_ms, answer_ms, fabric, poll_ms, backoff}: joins its group; the highest rank leads"},
    {"status", status, NULL, STEAD_OP_READ_ONLY, "phase, leader, and what was measured since the reset"},
    {"reset", reset, NULL, 0, "forgets what was measured"},
    {"fall_silent", fall_silent, NULL, 0, "plays dead until `speak`"},
    {"speak", speak, NULL, 0, "ends the silence with an election"},
    {"leave", leave, NULL, 0, "ends this member"},
    {"measure", measure, NULL, 0, "{count, ranks}: mean one-way delay to other members, in ns"},
    {"election", hear_election, NULL, 0, "a lower rank misses its leader"},
    {"answer", hear_answer, NULL, 0, "a higher rank lives"},
    {"coordinator", hear_coordinator, NULL, 0, "a member leads"},
    {"ping", hear_ping, NULL, 0, "the leader lives"},
    {"look", look, NULL, 0, "timer: is the leader silent?"},
    {"unanswered", unanswered, NULL, 0, "timer: nobody above answered, or claimed"},
    {"claim", claim, NULL, 0, "from itself: leads, if still nobody above answered"},
    {"send_ping", send_ping, NULL, 0, "timer of the leader"},
    {"echo", echo, NULL, STEAD_OP_READ_ONLY, "answers its argument"},
    {"echoed", echoed, NULL, 0, "reply: an echo is back"},
    STEAD_CARRIER_OPS,
    {NULL, NULL, NULL, 0, NULL}};

const struct stead_kind stead_election_member_kind = {.abi = STEAD_ABI,
                                                      .struct_size = sizeof(struct stead_kind),
                                                      .name = KIND,
                                                      .help = "a member GROUP/RANK of a group that elects its leader",
                                                      .durability = STEAD_VOLATILE,
                                                      .state_size = sizeof(struct member),
                                                      .fields = fields,
                                                      .ops = ops};
