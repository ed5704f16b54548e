/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is proposed: the slots that a leader has open, and the proposals of this proposer's own clients (proposer.c says
 * who leads, and draws the whole).
 *
 * A proposal stays with the proposer that its client asked, until it is decided or its time is over: that one forwards
 * it to whoever leads, again and again. A request id that is open attaches to its slot. One that comes again (`again`)
 * is first looked up in the leader's own log; what slips through both takes no effect, since the members see that too
 * (V6).
 *
 * A slot is sent to every member at once, and again to those whose vote does not come, each time after twice as long,
 * up to eight answer times; a few slots a tick, so that the rest of a full window follows in the next ticks (V7). It is
 * decided by a majority of votes; its command is answered at once, before the members hear of it.
 */
#include "agents/fault.h"
#include "agents/proposer.h"

#define TABLE STEAD_PROPOSER_TABLE
#define WINDOW STEAD_CONSENSUS_WINDOW
#define ASKS STEAD_PROPOSER_ASKS
#define ASK_MS 30000u /* then nobody waits any more */
#define RESEND_MAX STEAD_PROPOSER_RESEND_MAX
#define ID_SIZE STEAD_CONSENSUS_ID_SIZE
#define VALUE_MAX STEAD_CONSENSUS_VALUE_MAX
#define NS_PER_MS STEAD_PROPOSER_NS_PER_MS
#define MEMBER STEAD_CONSENSUS_MEMBER_KIND
#define PROPOSER STEAD_CONSENSUS_PROPOSER_KIND

static struct stead_slice id_of(const struct stead_proposer_command *command)
{
    return stead_str(command->id);
}

/* ---- Proposing to the members ---------------------------------------------------------------- */

static void write_entry(struct stead_writer *writer, const struct stead_proposer_slot *slot)
{
    stead_pack(writer, "[u,u,S,B]", slot->slot, slot->ballot, id_of(&slot->command),
               stead_bytes(slot->command.value, slot->command.size));
}

static struct stead_slice pack_accept(struct stead_turn *turn, const struct stead_proposer *proposer, uint32_t count,
                                      const struct stead_writer *entries)
{
    struct stead_writer whole;

    stead_writer_init(&whole);
    stead_write_array(&whole, count);
    stead_write_raw(&whole, entries->data, entries->size);
    struct stead_slice packed =
        stead_packed(turn, "{s:u,s:u,s:u,s:v}", "from", (uint64_t)proposer->rank, "ballot", proposer->ballot, "commit",
                     proposer->decided, "entries", stead_written(&whole));
    stead_writer_deinit(&whole);
    return packed;
}

/* Slots beyond this are still here: open, or decided and not yet in its own member's log. */
static uint64_t find_kept(const struct stead_proposer *proposer)
{
    uint64_t kept = proposer->learned < proposer->decided ? proposer->learned : proposer->decided;

    return kept < proposer->base ? proposer->base : kept;
}

/* When it is due again. */
static void plan_again(struct stead_turn *turn, const struct stead_proposer *proposer, struct stead_proposer_slot *slot)
{
    slot->due_ns = stead_monotonic_ns(turn) + ((uint64_t)proposer->answer_ms * NS_PER_MS << slot->tries);
    slot->tries += slot->tries < STEAD_PROPOSER_TRIES_MAX;
}

/* Asks every member to accept one slot. */
int stead_proposer_send_slot(struct stead_turn *turn, struct stead_proposer *proposer, struct stead_proposer_slot *slot)
{
    struct stead_writer entry;
    int code = 0;

    plan_again(turn, proposer, slot);
    stead_writer_init(&entry);
    write_entry(&entry, slot);
    struct stead_slice args = pack_accept(turn, proposer, 1, &entry);
    stead_writer_deinit(&entry);
    for (uint32_t rank = 1; code == 0 && rank <= proposer->members; rank++)
        code = stead_proposer_send(turn, proposer, MEMBER, rank, "accept", args);
    return code;
}

/* A vote of `rank` is still of use: for a decided slot only that of its own member, others fetch what is decided. */
static bool wants_vote(const struct stead_proposer *proposer, const struct stead_proposer_slot *slot, uint32_t rank)
{
    return (slot->votes & stead_proposer_bit(rank)) == 0 && (!slot->decided || rank == proposer->rank);
}

/* The lowest slots that are due, as many as one tick sends again. */
static uint32_t find_due(struct stead_turn *turn, struct stead_proposer *proposer,
                         struct stead_proposer_slot *ret_due[RESEND_MAX])
{
    uint64_t now = stead_monotonic_ns(turn);
    uint32_t count = 0;

    for (uint64_t at = find_kept(proposer) + 1; at < proposer->next && count < RESEND_MAX; at++) {
        struct stead_proposer_slot *slot = &proposer->slots[at % TABLE];
        if (slot->slot == at && slot->due_ns <= now && (!slot->decided || wants_vote(proposer, slot, proposer->rank)))
            ret_due[count++] = slot;
    }
    return count;
}

/* Sends to one member again those of `due` that it has not voted for. */
static int send_again(struct stead_turn *turn, struct stead_proposer *proposer, uint32_t rank,
                      struct stead_proposer_slot *const *due, uint32_t due_count)
{
    struct stead_writer entries;
    uint32_t count = 0;

    stead_writer_init(&entries);
    for (uint32_t at = 0; at < due_count; at++) {
        if (!wants_vote(proposer, due[at], rank))
            continue;
        write_entry(&entries, due[at]);
        count++;
    }
    struct stead_slice args = pack_accept(turn, proposer, count, &entries);
    stead_writer_deinit(&entries);
    proposer->resent += count;
    return count == 0 ? 0 : stead_proposer_send(turn, proposer, MEMBER, rank, "accept", args);
}

/* What finds no room in this tick stays due: only what was sent waits longer (V7). */
int stead_proposer_resend(struct stead_turn *turn, struct stead_proposer *proposer)
{
    struct stead_proposer_slot *due[RESEND_MAX];
    uint32_t count = find_due(turn, proposer, due);
    int code = 0;

    for (uint32_t rank = 1; code == 0 && rank <= proposer->members; rank++)
        code = send_again(turn, proposer, rank, due, count);
    for (uint32_t at = 0; at < count; at++)
        plan_again(turn, proposer, due[at]);
    if (STEAD_AGENT_FAULT(resend_forgotten))
        for (uint64_t at = proposer->decided + 1; at < proposer->next; at++)
            if (!proposer->slots[at % TABLE].decided && proposer->slots[at % TABLE].due_ns <= stead_monotonic_ns(turn))
                plan_again(turn, proposer, &proposer->slots[at % TABLE]);
    return code;
}

static struct stead_proposer_slot *find_slot(struct stead_proposer *proposer, struct stead_slice id)
{
    for (uint32_t at = 0; at < TABLE; at++)
        if (proposer->slots[at].slot != 0 && stead_slice_equal(id_of(&proposer->slots[at].command), id))
            return &proposer->slots[at];
    return NULL;
}

static bool has_room(const struct stead_proposer *proposer)
{
    return proposer->next <= proposer->decided + WINDOW && proposer->next <= proposer->learned + TABLE;
}

/* Gives the next slot to a command; NULL: the window is full. */
static struct stead_proposer_slot *open_slot(struct stead_proposer *proposer)
{
    uint64_t at = proposer->next;

    if (!has_room(proposer))
        return NULL;
    proposer->next++;
    struct stead_proposer_slot *slot = &proposer->slots[at % TABLE];
    *slot = (struct stead_proposer_slot){.slot = at, .ballot = proposer->ballot};
    return slot;
}

/* ---- Outcomes ------------------------------------------------------------------------------- */

/* Answers the clients of this proposer that asked for `id`. */
static int answer_asks(struct stead_turn *turn, struct stead_proposer *proposer, struct stead_slice id, uint64_t at)
{
    for (uint32_t i = 0; i < ASKS; i++) {
        struct stead_proposer_ask *ask = &proposer->asks[i];
        struct stead_token token;
        if (!ask->used || !stead_slice_equal(id_of(&ask->command), id))
            continue;
        for (size_t c = 0; c < sizeof token.text; c++)
            token.text[c] = ask->token[c];
        ask->used = false;
        int code = stead_answer(turn, &token, stead_packed(turn, "{s:u}", "slot", at));
        if (code != 0 && code != STEAD_ENOTFOUND)
            return code;
    }
    return 0;
}

static int tell_outcome(struct stead_turn *turn, struct stead_proposer *proposer, uint32_t via, struct stead_slice id,
                        uint64_t at)
{
    if (via == proposer->rank)
        return answer_asks(turn, proposer, id, at);
    return stead_proposer_send(
        turn, proposer, PROPOSER, via, "outcome",
        stead_packed(turn, "{s:u,s:S,s:u}", "from", (uint64_t)proposer->rank, "id", id, "slot", at));
}

static int tell_outcomes(struct stead_turn *turn, struct stead_proposer *proposer, struct stead_proposer_slot *slot)
{
    int code = 0;

    for (uint32_t rank = 1; code == 0 && rank <= proposer->members; rank++)
        if ((slot->vias & stead_proposer_bit(rank)) != 0)
            code = tell_outcome(turn, proposer, rank, id_of(&slot->command), slot->slot);
    slot->vias = 0;
    return code;
}

/* ---- Proposals ------------------------------------------------------------------------------ */

/* As leader: a command for the next slot, or for the one that it has. What finds no room is forwarded again by
 * `via`. */
static int propose_command(struct stead_turn *turn, struct stead_proposer *proposer, uint32_t via,
                           struct stead_slice id, struct stead_slice value)
{
    struct stead_proposer_slot *slot = find_slot(proposer, id);

    if (slot != NULL && slot->decided)
        return tell_outcome(turn, proposer, via, id, slot->slot);
    if (slot != NULL) {
        slot->vias |= stead_proposer_bit(via);
        return 0;
    }
    slot = open_slot(proposer);
    if (slot == NULL || !stead_proposer_set(&slot->command, id, value))
        return 0;
    slot->vias = stead_proposer_bit(via);
    return stead_proposer_send_slot(turn, proposer, slot);
}

/* As leader: one that comes again is looked up first, once its own log reaches where the lead began. */
static int take_proposal(struct stead_turn *turn, struct stead_proposer *proposer, uint32_t via, struct stead_slice id,
                         struct stead_slice value, bool again)
{
    if (id.size == 0 || id.size >= ID_SIZE || value.size > VALUE_MAX)
        return 0;
    if (!again || find_slot(proposer, id) != NULL)
        return propose_command(turn, proposer, via, id, value);
    if (proposer->learned < proposer->base)
        return 0;
    return stead_proposer_call(turn, "find", stead_packed(turn, "S", id), "found",
                               stead_packed(turn, "{s:u,s:u,s:S,s:B}", "via", (uint64_t)via, "ballot", proposer->ballot,
                                            "id", id, "value", value));
}

int stead_proposer_found(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_proposer *proposer = state;
    struct stead_slice context = stead_call_context(turn), id, value;
    uint64_t via = 0, ballot = 0, at = 0;

    if (proposer->phase != STEAD_PROPOSER_LEADING || stead_reply_code(turn) != 0 ||
        stead_get_u64(args, "slot", &at) != 0 || stead_get_u64(context, "via", &via) != 0 ||
        stead_get_u64(context, "ballot", &ballot) != 0 || stead_get_str(context, "id", &id) != 0 ||
        stead_get_bin(context, "value", &value) != 0 || ballot != proposer->ballot)
        return 0;
    return at != 0 ? tell_outcome(turn, proposer, (uint32_t)via, id, at)
                   : propose_command(turn, proposer, (uint32_t)via, id, value);
}

/* Brings a proposal of an own client to whoever leads. */
static int forward_ask(struct stead_turn *turn, struct stead_proposer *proposer, struct stead_proposer_ask *ask)
{
    const struct stead_proposer_command *command = &ask->command;
    struct stead_slice value = stead_bytes(command->value, command->size);
    bool again = ask->again;

    if (proposer->phase == STEAD_PROPOSER_LEADING && !has_room(proposer) &&
        find_slot(proposer, id_of(command)) == NULL) {
        proposer->starved = true;
        return 0;
    }
    if (proposer->phase == STEAD_PROPOSER_LEADING || proposer->leader != 0) {
        ask->sent_ns = stead_monotonic_ns(turn);
        ask->again = true;
    }
    if (proposer->phase == STEAD_PROPOSER_LEADING)
        return take_proposal(turn, proposer, proposer->rank, id_of(command), value, again);
    if (proposer->phase != STEAD_PROPOSER_FOLLOWING || proposer->leader == 0)
        return 0;
    return stead_proposer_send(turn, proposer, PROPOSER, proposer->leader, "forward",
                               stead_packed(turn, "{s:u,s:S,s:B,s:b}", "from", (uint64_t)proposer->rank, "id",
                                            id_of(command), "value", value, "again", (int)again));
}

int stead_proposer_forward(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_proposer *proposer = state;
    uint32_t from = stead_proposer_speaker(proposer, args);
    struct stead_slice id, value;
    bool again = false;

    if (from == 0)
        return stead_proposer_wake(turn, proposer);
    if (proposer->phase != STEAD_PROPOSER_LEADING || stead_get_str(args, "id", &id) != 0 ||
        stead_get_bin(args, "value", &value) != 0 || stead_get_bool(args, "again", &again) == STEAD_EARGUMENT)
        return 0;
    return take_proposal(turn, proposer, from, id, value, again);
}

int stead_proposer_outcome(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_proposer *proposer = state;
    struct stead_slice id;
    uint64_t at = 0;

    if (stead_proposer_speaker(proposer, args) == 0 || stead_get_str(args, "id", &id) != 0 ||
        stead_get_u64(args, "slot", &at) != 0)
        return 0;
    return answer_asks(turn, proposer, id, at);
}

/* From a client: {id, value, again}. */
int stead_proposer_propose(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_proposer *proposer = state;
    struct stead_slice id, value = {NULL, 0};
    struct stead_token token;
    struct stead_proposer_ask *ask = NULL;
    bool again = false;

    if (stead_get_str(args, "id", &id) != 0 || id.size == 0 || id.size >= ID_SIZE)
        return stead_fail(turn, "bad_id", "id is a text of 1 to %u bytes", ID_SIZE - 1);
    int code = stead_get_bin(args, "value", &value);
    if (code == STEAD_EARGUMENT)
        code = stead_get_str(args, "value", &value);
    if (code == STEAD_EARGUMENT || value.size > VALUE_MAX)
        return stead_fail(turn, "bad_value", "value is a text or bytes, %u at most", VALUE_MAX);
    if (stead_get_bool(args, "again", &again) == STEAD_EARGUMENT)
        return stead_fail(turn, "bad_again", "again is true for what was proposed before");
    const struct stead_proposer_slot *slot = find_slot(proposer, id);
    if (proposer->phase == STEAD_PROPOSER_LEADING && slot != NULL && slot->decided)
        return stead_reply(turn, stead_packed(turn, "{s:u}", "slot", slot->slot));
    for (uint32_t at = 0; at < ASKS && ask == NULL; at++)
        ask = proposer->asks[at].used ? NULL : &proposer->asks[at];
    if (ask == NULL)
        return STEAD_EBUSY;
    code = stead_reply_later(turn, &token);
    if (code != 0)
        return code;
    *ask = (struct stead_proposer_ask){.used = true, .again = again, .asked_ns = stead_monotonic_ns(turn)};
    for (size_t at = 0; at < sizeof token.text; at++)
        ask->token[at] = token.text[at];
    (void)stead_proposer_set(&ask->command, id, value);
    return proposer->phase == STEAD_PROPOSER_ASLEEP ? stead_proposer_wake(turn, proposer)
                                                    : forward_ask(turn, proposer, ask);
}

/* Forwards what was not yet, or long ago; gives up what nobody waits for. */
int stead_proposer_drive(struct stead_turn *turn, struct stead_proposer *proposer)
{
    uint64_t now = stead_monotonic_ns(turn), patience = (uint64_t)proposer->answer_ms * NS_PER_MS;
    int code = 0;

    for (uint32_t at = 0; code == 0 && at < ASKS; at++) {
        struct stead_proposer_ask *ask = &proposer->asks[at];
        if (!ask->used)
            continue;
        if (now - ask->asked_ns > (uint64_t)ASK_MS * NS_PER_MS) {
            struct stead_token token;
            for (size_t c = 0; c < sizeof token.text; c++)
                token.text[c] = ask->token[c];
            ask->used = false;
            code = stead_answer_error(turn, &token, "undecided", "no majority decided in time: the outcome is unknown");
            code = code == STEAD_ENOTFOUND ? 0 : code;
        } else if (ask->sent_ns == 0 || now - ask->sent_ns > patience) {
            code = forward_ask(turn, proposer, ask);
        }
    }
    return code;
}

/* ---- Votes ----------------------------------------------------------------------------------- */

/* Counts a vote; the slot may be decided by it. */
static int take_vote(struct stead_turn *turn, struct stead_proposer *proposer, uint32_t from, uint64_t at)
{
    struct stead_proposer_slot *slot = &proposer->slots[at % TABLE];

    if (slot->slot != at)
        return 0;
    slot->votes |= stead_proposer_bit(from);
    if (slot->decided || !stead_proposer_majority(proposer, slot->votes))
        return 0;
    slot->decided = true;
    proposer->decisions++;
    while (proposer->slots[(proposer->decided + 1) % TABLE].slot == proposer->decided + 1 &&
           proposer->slots[(proposer->decided + 1) % TABLE].decided)
        proposer->decided++;
    return tell_outcomes(turn, proposer, slot);
}

int stead_proposer_accepted(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_proposer *proposer = state;
    uint32_t from = stead_proposer_speaker(proposer, args), count = 0;
    struct stead_slice slots;
    uint64_t ballot = 0, chosen = 0, at;
    int code = 0;

    if (from == 0 || proposer->phase != STEAD_PROPOSER_LEADING || stead_get_u64(args, "ballot", &ballot) != 0 ||
        ballot != proposer->ballot || stead_get_u64(args, "chosen", &chosen) != 0 ||
        stead_get_value(args, "slots", &slots) != 0)
        return 0;
    if (from == proposer->rank && chosen > proposer->learned)
        proposer->learned = chosen;
    struct stead_reader reader = stead_reader(slots);
    if (stead_read_array(&reader, &count) != 0)
        return 0;
    for (; code == 0 && count > 0 && stead_read_u64(&reader, &at) == 0; count--)
        code = take_vote(turn, proposer, from, at);
    if (code == 0 && proposer->starved && has_room(proposer)) {
        proposer->starved = false;
        code = stead_proposer_drive(turn, proposer);
    }
    return code;
}
