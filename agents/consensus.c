/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The durable half of a rank: acceptor and learner (consensus.h).
 *
 *     prepare {ballot}            a higher ballot is promised: from now on nothing below it is accepted; the answer tells what was accepted beyond the
 *                                 chosen prefix
 *     accept {ballot, entries}    not below the promise: is written, and with it the promise; the answer is a vote
 *     learn {ballot, commit}      all up to `commit` is decided: what was accepted here at that very ballot is it, the rest is fetched from who has it
 *
 * A refusal names the promise that stands in the way. Every answer leaves after the commit of its turn: the runtime
 * sees to that for durable kinds.
 *
 * Invariants (docs/INVARIANTS.md): V1 a promise only grows and nothing below it is accepted, across every crash: both
 * are stored in the turn that answers. V2 a ballot is given out once: by the member of its rank, in the turn that
 * promises it itself. V3 a ballot has one value a slot, so the accepted row of the ballot that decided is the decided
 * value. V5 the chosen prefix only grows and a row in it is never written again. V6 an id takes effect in the first
 * slot that holds it; a later one is a repeat, on every member the same.
 *
 * Memory: at most OPEN_MAX rows lie beyond the chosen prefix; what is beyond that is not accepted, its leader sends it
 * again later.
 */
#include "agents/consensus.h"

#include "agents/fault.h"

#define PAGE 32u       /* entries of one fill */
#define READ_MAX 256u  /* entries of one read */
#define WATCH_MS 10000 /* after a crash of all, nobody else would wake the proposers */
#define MS_MIN 10
#define MS_MAX 60000
#define OPEN_MAX STEAD_CONSENSUS_OPEN_MAX

static const struct stead_slice nothing = {NULL, 0};

static const struct stead_field fields[] = {STEAD_FIELD(U32, struct stead_consensus_member, members),
                                            STEAD_FIELD(U32, struct stead_consensus_member, rank),
                                            STEAD_FIELD(U32, struct stead_consensus_member, ping_ms),
                                            STEAD_FIELD(U32, struct stead_consensus_member, silence_ms),
                                            STEAD_FIELD(U32, struct stead_consensus_member, answer_ms),
                                            STEAD_FIELD(U32, struct stead_consensus_member, way),
                                            STEAD_FIELD(U32, struct stead_consensus_member, poll_ms),
                                            STEAD_FIELD(BOOL, struct stead_consensus_member, silent),
                                            STEAD_FIELD(BOOL, struct stead_consensus_member, resting),
                                            STEAD_FIELD(U64, struct stead_consensus_member, promised),
                                            STEAD_FIELD(U64, struct stead_consensus_member, chosen),
                                            STEAD_FIELD(U64, struct stead_consensus_member, repeats),
                                            STEAD_FIELDS_END};

/* ---- Rows ----------------------------------------------------------------------------------- */

struct slot_key {
    uint8_t bytes[9];
};

static struct slot_key slot_key(uint64_t slot)
{
    struct slot_key key = {{'s'}};

    for (int at = 0; at < 8; at++)
        key.bytes[1 + at] = (uint8_t)(slot >> (56 - 8 * at));
    return key;
}

static struct stead_slice id_key(struct stead_turn *turn, struct stead_slice id)
{
    return stead_str(stead_printed(turn, "i%.*s", (int)id.size, (const char *)id.data));
}

static int read_row(struct stead_slice row, uint64_t *ret_ballot, struct stead_slice *ret_id,
                    struct stead_slice *ret_value)
{
    struct stead_reader reader = stead_reader(row);
    uint32_t parts = 0;

    if (stead_read_array(&reader, &parts) != 0 || parts != 3 || stead_read_u64(&reader, ret_ballot) != 0 ||
        stead_read_str(&reader, ret_id) != 0 || stead_read_bin(&reader, ret_value) != 0)
        return STEAD_ECORRUPT;
    return 0;
}

int stead_consensus_row(struct stead_turn *turn, uint64_t slot, uint64_t *ret_ballot, struct stead_slice *ret_id,
                        struct stead_slice *ret_value)
{
    struct slot_key key = slot_key(slot);
    struct stead_slice row;

    int code = stead_kv_get(turn, stead_bytes(key.bytes, sizeof key.bytes), &row);
    return code == 0 ? read_row(row, ret_ballot, ret_id, ret_value) : code;
}

static int put_row(struct stead_turn *turn, uint64_t slot, uint64_t ballot, struct stead_slice id,
                   struct stead_slice value)
{
    struct slot_key key = slot_key(slot);

    return stead_kv_put(turn, stead_bytes(key.bytes, sizeof key.bytes),
                        stead_packed(turn, "[u,S,B]", ballot, id, value));
}

/* One entry, [slot, ballot, id, value], as accept, fill and promise carry it. */
struct entry {
    uint64_t slot, ballot;
    struct stead_slice id, value;
};

static int read_entry(struct stead_reader *reader, struct entry *ret_entry)
{
    uint32_t parts = 0;

    if (stead_read_array(reader, &parts) != 0 || parts != 4 || stead_read_u64(reader, &ret_entry->slot) != 0 ||
        stead_read_u64(reader, &ret_entry->ballot) != 0 || stead_read_str(reader, &ret_entry->id) != 0 ||
        stead_read_bin(reader, &ret_entry->value) != 0)
        return STEAD_EARGUMENT;
    return ret_entry->slot == 0 || ret_entry->id.size >= STEAD_CONSENSUS_ID_SIZE ||
                   ret_entry->value.size > STEAD_CONSENSUS_VALUE_MAX
               ? STEAD_EARGUMENT
               : 0;
}

/* ---- Saying things -------------------------------------------------------------------------- */

/* Tells `op` to an agent of another rank; on the hub its own proposer puts it into the queue. */
static int say(struct stead_turn *turn, struct stead_consensus_member *member, const char *kind, uint32_t rank,
               const char *op, struct stead_slice args)
{
    member->sent += rank != member->rank;
    if (rank == member->rank || member->way == STEAD_CARRIER_DIRECT)
        return stead_tell(turn, stead_carrier_address(turn, kind, rank), op, args);
    return stead_tell(turn, stead_carrier_address(turn, STEAD_CONSENSUS_PROPOSER_KIND, member->rank), "carry",
                      stead_packed(turn, "[s,u,s,v]", kind, (uint64_t)rank, op, args));
}

/* The rank that speaks; 0: to be ignored. */
static uint32_t speaker(const struct stead_consensus_member *member, struct stead_slice args)
{
    uint64_t from = 0;

    if (member->members == 0 || member->silent || stead_get_u64(args, "from", &from) != 0)
        return 0;
    return from >= 1 && from <= member->members ? (uint32_t)from : 0;
}

static int refuse(struct stead_turn *turn, struct stead_consensus_member *member, uint32_t to)
{
    return say(turn, member, STEAD_CONSENSUS_PROPOSER_KIND, to, "nack",
               stead_packed(turn, "{s:u,s:u}", "from", (uint64_t)member->rank, "ballot", member->promised));
}

struct list {
    struct stead_writer entries;
    uint32_t count;
};

static int list_row(void *context, struct stead_slice key, struct stead_slice row)
{
    struct list *list = context;
    struct stead_slice id, value;
    uint64_t slot = 0, ballot;

    if (key.size != 9 || read_row(row, &ballot, &id, &value) != 0)
        return 0;
    for (int at = 1; at < 9; at++)
        slot = slot << 8 | key.data[at];
    stead_pack(&list->entries, "[u,u,S,B]", slot, ballot, id, value);
    list->count++;
    return 0;
}

/* Rows of slots from..to as an array of entries, at most `limit`, in the turn's memory. */
static int list_rows(struct stead_turn *turn, uint64_t from, uint64_t to, uint32_t limit, struct stead_slice *ret_list)
{
    struct slot_key low = slot_key(from), high = slot_key(to + 1);
    struct list list = {.count = 0};
    struct stead_writer whole;

    stead_writer_init(&list.entries);
    stead_writer_init(&whole);
    int code = stead_kv_scan(turn, stead_bytes(low.bytes, sizeof low.bytes), stead_bytes(high.bytes, sizeof high.bytes),
                             limit, list_row, &list);
    if (code == 0) {
        stead_write_array(&whole, list.count);
        stead_write_raw(&whole, list.entries.data, list.entries.size);
        uint8_t *copy = stead_turn_alloc(turn, whole.size);
        for (size_t at = 0; at < whole.size; at++)
            copy[at] = whole.data[at];
        *ret_list = stead_bytes(copy, whole.size);
    }
    stead_writer_deinit(&list.entries);
    stead_writer_deinit(&whole);
    return code;
}

/* ---- Phase 1: promises ---------------------------------------------------------------------- */

/* What a promise tells: the prefix, and everything accepted beyond it. */
static int pack_promise(struct stead_turn *turn, const struct stead_consensus_member *member,
                        struct stead_slice *ret_promise)
{
    struct stead_slice accepted = {NULL, 0};

    int code = list_rows(turn, member->chosen + 1, member->chosen + OPEN_MAX, OPEN_MAX, &accepted);
    if (code == 0)
        *ret_promise = stead_packed(turn, "{s:u,s:u,s:u,s:v}", "from", (uint64_t)member->rank, "ballot",
                                    member->promised, "chosen", member->chosen, "accepted", accepted);
    return code;
}

/* A new ballot for its own proposer, above everything seen: promised here before anybody hears of it (V2). */
static int campaign(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_consensus_member *member = state;
    struct stead_slice promise;
    uint64_t above = 0;

    if (member->members == 0 || member->silent)
        return stead_fail(turn, "not_there", "this member did not join, or is silent");
    if (stead_get_u64(args, "above", &above) == STEAD_EARGUMENT || above >> 56 != 0)
        return stead_fail(turn, "bad_ballot", "above is a ballot");
    uint64_t highest = above > member->promised ? above : member->promised;
    member->promised = ((highest >> 8) + 1) << 8 | member->rank;
    int code = pack_promise(turn, member, &promise);
    if (STEAD_AGENT_FAULT(ballot_given_twice))
        member->promised = highest;
    return code == 0 ? stead_reply(turn, promise) : code;
}

static int prepare(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_consensus_member *member = state;
    uint32_t from = speaker(member, args);
    struct stead_slice promise;
    uint64_t ballot = 0;

    if (from == 0 || stead_get_u64(args, "ballot", &ballot) != 0)
        return 0;
    if (ballot < member->promised) /* V1 */
        return refuse(turn, member, from);
    member->promised = ballot;
    int code = pack_promise(turn, member, &promise);
    return code == 0 ? say(turn, member, STEAD_CONSENSUS_PROPOSER_KIND, from, "promise", promise) : code;
}

/* ---- Learning ------------------------------------------------------------------------------- */

/* The next slot of the prefix is decided, and its row is there: gives its id an effect, once (V6). */
static int choose_next(struct stead_turn *turn, struct stead_consensus_member *member, struct stead_slice id)
{
    struct stead_slice found;

    member->chosen++;
    if (id.size == 0)
        return 0;
    int code = stead_kv_get(turn, id_key(turn, id), &found);
    if (code == 0)
        member->repeats++;
    else if (code == STEAD_ENOTFOUND)
        code = stead_kv_put(turn, id_key(turn, id), stead_packed(turn, "u", member->chosen));
    return code;
}

/* All up to `commit` is decided at `ballot` or before: takes what was accepted here at that very ballot (V3), as far as
 * it reaches. */
static int advance(struct stead_turn *turn, struct stead_consensus_member *member, uint64_t ballot, uint64_t commit)
{
    struct stead_slice id, value;
    uint64_t at_ballot;
    int code = 0;

    while (code == 0 && member->chosen < commit) {
        code = stead_consensus_row(turn, member->chosen + 1, &at_ballot, &id, &value);
        if (code == STEAD_ENOTFOUND || (code == 0 && at_ballot != ballot && !STEAD_AGENT_FAULT(learned_at_any_ballot)))
            return 0;
        if (code == 0)
            code = choose_next(turn, member, id);
    }
    return code;
}

static int ask_for_more(struct stead_turn *turn, struct stead_consensus_member *member, uint32_t rank)
{
    return say(turn, member, STEAD_CONSENSUS_MEMBER_KIND, rank, "fetch",
               stead_packed(turn, "{s:u,s:u}", "from", (uint64_t)member->rank, "after", member->chosen));
}

static int tell_progress(struct stead_turn *turn, struct stead_consensus_member *member)
{
    return say(turn, member, STEAD_CONSENSUS_PROPOSER_KIND, member->rank, "progress",
               stead_packed(turn, "u", member->chosen));
}

/* From its own proposer: {ballot, commit, from}: `from` has all up to `commit`. */
static int learn(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_consensus_member *member = state;
    uint32_t from = speaker(member, args);
    uint64_t ballot = 0, commit = 0;

    if (from == 0 || stead_get_u64(args, "ballot", &ballot) != 0 || stead_get_u64(args, "commit", &commit) != 0)
        return 0;
    int code = advance(turn, member, ballot, commit);
    if (code == 0 && member->chosen < commit && from != member->rank)
        code = ask_for_more(turn, member, from);
    return code == 0 ? tell_progress(turn, member) : code;
}

static int fetch(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_consensus_member *member = state;
    uint32_t from = speaker(member, args);
    struct stead_slice entries = {NULL, 0};
    uint64_t after = 0;

    if (from == 0 || from == member->rank || stead_get_u64(args, "after", &after) != 0 || after >= member->chosen)
        return 0;
    int code = list_rows(turn, after + 1, member->chosen, PAGE, &entries);
    if (code != 0)
        return code;
    return say(turn, member, STEAD_CONSENSUS_MEMBER_KIND, from, "fill",
               stead_packed(turn, "{s:u,s:u,s:v}", "from", (uint64_t)member->rank, "chosen", member->chosen, "entries",
                            entries));
}

/* Decided entries from another member's prefix. */
static int fill(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_consensus_member *member = state;
    uint32_t from = speaker(member, args), count = 0;
    struct stead_slice entries;
    uint64_t theirs = 0, before = member->chosen;
    struct entry entry;

    if (from == 0 || stead_get_u64(args, "chosen", &theirs) != 0 || stead_get_value(args, "entries", &entries) != 0)
        return 0;
    struct stead_reader reader = stead_reader(entries);
    if (stead_read_array(&reader, &count) != 0)
        return 0;
    for (; count > 0 && read_entry(&reader, &entry) == 0; count--) {
        if (entry.slot != member->chosen + 1) /* V5 */
            continue;
        int code = put_row(turn, entry.slot, entry.ballot, entry.id, entry.value);
        if (code == 0)
            code = choose_next(turn, member, entry.id);
        if (code != 0)
            return code;
    }
    int code = member->chosen > before ? tell_progress(turn, member) : 0;
    if (code == 0 && member->chosen > before && member->chosen < theirs)
        code = ask_for_more(turn, member, from);
    return code;
}

/* ---- Phase 2: votes ------------------------------------------------------------------------- */

/* Takes one entry; its slot goes into the list of votes. */
static int accept_entry(struct stead_turn *turn, struct stead_consensus_member *member, uint64_t ballot,
                        const struct entry *entry, struct list *votes)
{
    int code = 0;

    if (entry->slot > member->chosen + OPEN_MAX)
        return 0;                     /* too far behind to keep it: it learns first */
    if (entry->slot > member->chosen) /* V5: what is decided stays as it is, and is as proposed */
        code = put_row(turn, entry->slot, ballot, entry->id, entry->value);
    stead_write_u64(&votes->entries, entry->slot);
    votes->count++;
    return code;
}

static int accept_all(struct stead_turn *turn, struct stead_consensus_member *member, uint64_t ballot,
                      struct stead_slice entries, struct stead_slice *ret_slots)
{
    struct stead_reader reader = stead_reader(entries);
    struct list votes = {.count = 0};
    struct stead_writer whole;
    struct entry entry;
    uint32_t count = 0;
    int code = 0;

    if (stead_read_array(&reader, &count) != 0)
        return 0;
    stead_writer_init(&votes.entries);
    stead_writer_init(&whole);
    for (; code == 0 && count > 0 && read_entry(&reader, &entry) == 0; count--)
        code = accept_entry(turn, member, ballot, &entry, &votes);
    stead_write_array(&whole, votes.count);
    stead_write_raw(&whole, votes.entries.data, votes.entries.size);
    *ret_slots = stead_packed(turn, "v", stead_written(&whole));
    stead_writer_deinit(&votes.entries);
    stead_writer_deinit(&whole);
    return code;
}

static int accept(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_consensus_member *member = state;
    uint32_t from = speaker(member, args);
    struct stead_slice entries, slots = {NULL, 0};
    uint64_t ballot = 0, commit = 0;

    if (from == 0 || stead_get_u64(args, "ballot", &ballot) != 0 || stead_get_u64(args, "commit", &commit) != 0 ||
        stead_get_value(args, "entries", &entries) != 0)
        return 0;
    if (ballot < member->promised) /* V1 */
        return refuse(turn, member, from);
    member->promised = ballot;
    int code = advance(turn, member, ballot, commit);
    if (code == 0)
        code = accept_all(turn, member, ballot, entries, &slots);
    if (code != 0 || slots.size == 0)
        return code;
    return say(turn, member, STEAD_CONSENSUS_PROPOSER_KIND, from, "accepted",
               stead_packed(turn, "{s:u,s:u,s:u,s:v}", "from", (uint64_t)member->rank, "ballot", ballot, "chosen",
                            member->chosen, "slots", slots));
}

/* ---- What the driver, and its own proposer, say ---------------------------------------------- */

static int take_ms(struct stead_turn *turn, struct stead_slice args, const char *field, uint32_t default_ms,
                   uint32_t *ret_ms)
{
    int64_t ms = default_ms;

    if (stead_get_i64(args, field, &ms) == STEAD_EARGUMENT || ms < MS_MIN || ms > MS_MAX)
        return stead_fail(turn, "bad_time", "%s is a number of milliseconds, %d to %d", field, MS_MIN, MS_MAX);
    *ret_ms = (uint32_t)ms;
    return 0;
}

/* Neither is said twice: a proposer that missed a lost `rest` would lead for ever. In order, so the last one said holds
 * (V8). */
static int signal_proposer(struct stead_turn *turn, const struct stead_consensus_member *member, const char *op)
{
    return stead_signal(turn, stead_carrier_address(turn, STEAD_CONSENSUS_PROPOSER_KIND, member->rank), op, nothing);
}

/* Fine again; but the size of a group is for ever: a majority of another size is none of this one. */
static int join(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_consensus_member *member = state;
    struct stead_carrier fabric = {.way = STEAD_CARRIER_DIRECT};
    int64_t members = 0;

    int code = stead_carrier_rank(turn, STEAD_CONSENSUS_MEMBERS_MAX, &member->rank);
    if (code == 0)
        code = stead_carrier_take(turn, args, &fabric);
    if (code == 0)
        code = take_ms(turn, args, "ping_ms", 50, &member->ping_ms);
    if (code == 0)
        code = take_ms(turn, args, "silence_ms", 250, &member->silence_ms);
    if (code == 0)
        code = take_ms(turn, args, "answer_ms", 150, &member->answer_ms);
    if (code != 0)
        return code;
    if (stead_get_i64(args, "members", &members) != 0 || members < member->rank ||
        members > STEAD_CONSENSUS_MEMBERS_MAX || (member->promised != 0 && members != member->members))
        return stead_fail(turn, "bad_members", "members is from this member's rank to %u, and does not change",
                          STEAD_CONSENSUS_MEMBERS_MAX);
    member->members = (uint32_t)members;
    member->way = fabric.way;
    member->poll_ms = fabric.poll_ms;
    member->resting = false;
    code = stead_timer_every(turn, "watch", WATCH_MS, "watch", nothing);
    if (code == 0)
        code = signal_proposer(turn, member, "wake");
    return code == 0 ? stead_reply(turn, stead_packed(turn, "u", member->chosen)) : code;
}

static int watch(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct stead_consensus_member *member = state;

    (void)args;
    return stead_tell(turn, stead_carrier_address(turn, STEAD_CONSENSUS_PROPOSER_KIND, member->rank), "wake", nothing);
}

/* Nothing goes on here until it joins again; what it knows stays. */
static int rest(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_consensus_member *member = state;

    (void)args;
    member->resting = true;
    (void)stead_timer_cancel(turn, "watch");
    return member->members == 0 ? 0 : signal_proposer(turn, member, "rest");
}

static int silence(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_consensus_member *member = state;
    bool silent = false;

    if (stead_get_bool(args, NULL, &silent) != 0)
        return stead_fail(turn, "bad_args", "true or false");
    member->silent = silent;
    return 0;
}

static int config(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct stead_consensus_member *member = state;

    (void)args;
    return stead_reply(turn, stead_packed(turn, "{s:u,s:u,s:u,s:u,s:u,s:u,s:b,s:u,s:u}", "members",
                                          member->resting ? (uint64_t)0 : member->members, "ping_ms",
                                          (uint64_t)member->ping_ms, "silence_ms", (uint64_t)member->silence_ms,
                                          "answer_ms", (uint64_t)member->answer_ms, "way", (uint64_t)member->way,
                                          "poll_ms", (uint64_t)member->poll_ms, "silent", (int)member->silent, "chosen",
                                          member->chosen, "promised", member->promised));
}

static int find(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct stead_consensus_member *member = state;
    struct stead_slice id, found;
    uint64_t slot = 0;

    if (stead_get_str(args, NULL, &id) != 0 || id.size == 0 || id.size >= STEAD_CONSENSUS_ID_SIZE)
        return stead_fail(turn, "bad_id", "an id of 1 to %u bytes", STEAD_CONSENSUS_ID_SIZE - 1);
    int code = stead_kv_get(turn, id_key(turn, id), &found);
    if (code == 0)
        code = stead_get_u64(found, NULL, &slot);
    if (code != 0 && code != STEAD_ENOTFOUND)
        return code;
    return stead_reply(turn, stead_packed(turn, "{s:u,s:u}", "slot", slot, "chosen", member->chosen));
}

static int read_log(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct stead_consensus_member *member = state;
    struct stead_slice entries = {NULL, 0};
    uint64_t after = 0;
    int code = 0;

    if (stead_get_u64(args, "after", &after) == STEAD_EARGUMENT)
        return stead_fail(turn, "bad_args", "after is a slot");
    if (after < member->chosen)
        code = list_rows(turn, after + 1, member->chosen, READ_MAX, &entries);
    return code == 0 ? stead_reply(turn, stead_packed(turn, "{s:u,s:v}", "chosen", member->chosen, "entries", entries))
                     : code;
}

static int status(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct stead_consensus_member *member = state;

    (void)args;
    return stead_reply(turn, stead_packed(turn, "{s:u,s:u,s:u,s:u,s:u,s:u,s:s}", "members", (uint64_t)member->members,
                                          "round", member->promised >> 8, "promised_to", member->promised & 255,
                                          "chosen", member->chosen, "repeats", member->repeats, "sent", member->sent,
                                          "node", stead_node_name(turn)));
}

/* The group is no longer needed. */
static int leave(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_destroy(turn);
}

static const struct stead_op ops[] = {
    {"join", join, NULL, 0,
     "{members, ping_ms, silence_ms, answer_ms, fabric, poll_ms, backoff}: joins its group, and wakes its proposer"},
    {"rest", rest, NULL, 0, "stops its proposer until it joins again; what it knows stays"},
    {"leave", leave, NULL, 0, "ends this member, with all it knows"},
    {"silence", silence, NULL, 0, "true: plays dead; false: no more"},
    {"status", status, NULL, STEAD_OP_READ_ONLY, "promise and length of the chosen prefix"},
    {"config", config, NULL, STEAD_OP_READ_ONLY, "what it joined with"},
    {"find", find, NULL, STEAD_OP_READ_ONLY, "an id: {slot}, where it took effect; 0: nowhere yet"},
    {"read", read_log, NULL, STEAD_OP_READ_ONLY, "{after}: the chosen log, at most 256 of [slot, ballot, id, value]"},
    {"campaign", campaign, NULL, 0, "from its proposer: a new ballot, promised here"},
    {"prepare", prepare, NULL, STEAD_OP_QUIET, "{from, ballot}: promises it, or names what stands in the way"},
    {"accept", accept, NULL, STEAD_OP_QUIET, "{from, ballot, commit, entries}: accepts them, and votes"},
    {"learn", learn, NULL, STEAD_OP_QUIET, "{from, ballot, commit}: all up to commit is decided"},
    {"fetch", fetch, NULL, STEAD_OP_QUIET, "{from, after}: asks for decided entries"},
    {"fill", fill, NULL, STEAD_OP_QUIET, "{from, chosen, entries}: decided entries"},
    {"watch", watch, NULL, 0, "timer: wakes its proposer, which does not survive its node"},
    {NULL, NULL, NULL, 0, NULL}};

const struct stead_kind stead_consensus_member_kind = {
    .abi = STEAD_ABI,
    .struct_size = sizeof(struct stead_kind),
    .name = STEAD_CONSENSUS_MEMBER_KIND,
    .help = "acceptor and learner GROUP/RANK of a group that agrees on a log",
    .durability = STEAD_DURABLE,
    .state_size = sizeof(struct stead_consensus_member),
    .fields = fields,
    .ops = ops};
