/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turn: running an op, and either all of its effects or none.
 *
 * While the op runs, the public functions only collect into struct stead_turn. If it succeeds, commit writes rows at
 * the open entry and dispatches messages; every limit was checked before, so nothing can refuse half-way. If it fails,
 * what was collected is dropped and the state is put back: plain states by the copy taken before the turn, states with
 * buffers by reading them again. A copy cannot restore what lies behind a pointer that the field table does not know;
 * such a kind should fail before it changes it.
 *
 * Invariants: U1 a failed turn leaves no row but its answer, its dead letter and the taking of its message; U2 the
 * journaled state is what the next turn sees; U3 a read-only op leaves the state as it was; U4 nor does a
 * quiet op's turn that is not journaled change what is stored.
 */
#include "runtime/lock_waits.h"
#include "runtime/turn.h"

#include "runtime/fields.h"
#include "runtime/hook.h"
#include "runtime/shard.h"

#include <inttypes.h>

#define ARENA_BLOCK (64u << 10)
#define SNAPSHOT_EVERY 100u
#define HEAVY_EFFECTS 512u /* a turn with so many ends its round, as stead_pause() does: others are to have theirs */

#define WORK_NS 10000000000u /* between two parts of some work, at most */

/* Which turns are timed: to read the clock costs as much as a small turn does. */
#define CLOCK_FIRST 4u              /* the first ones of each round: all of them, on a host that is not busy */
#define CLOCK_EVERY 16u             /* one in so many */
#define CLOCK_ALL_NS 60000000000ull /* all, for so long after a slow one, or a slow round */

/* ---- Arena ---------------------------------------------------------------------------------------- */

void *stead_arena_alloc(struct stead_arena *arena, size_t size)
{
    size = (size + 15u) & ~(size_t)15u;
    if (arena->first == NULL) {
        arena->first = stead_alloc(sizeof(*arena->first) + ARENA_BLOCK);
        arena->first->size = ARENA_BLOCK;
        arena->first->next = NULL;
    }
    if (size <= arena->first->size - arena->used) {
        void *memory = arena->first->data + arena->used;
        arena->used += size;
        return memory;
    }
    struct stead_arena_block *block = stead_alloc(sizeof(*block) + size);
    block->size = size;
    block->next = arena->more;
    arena->more = block;
    return block->data;
}

void stead_arena_reset(struct stead_arena *arena)
{
    while (arena->more != NULL) {
        struct stead_arena_block *block = arena->more;
        arena->more = block->next;
        free(block);
    }
    arena->used = 0;
}

void stead_arena_deinit(struct stead_arena *arena)
{
    stead_arena_reset(arena);
    free(arena->first);
    arena->first = NULL;
}

/* ---- Limits ----------------------------------------------------------------------------------------- */

int stead_turn_break(struct stead_turn *turn, int code)
{
    if (!turn->broken) {
        turn->broken = true;
        turn->fail_code = code;
    }
    return code;
}

int stead_turn_count(struct stead_turn *turn, size_t bytes)
{
    turn->wrote = turn->wrote || !turn->read_only;
    return stead_turn_count_volatile(turn, bytes);
}

int stead_turn_count_volatile(struct stead_turn *turn, size_t bytes)
{
    const struct stead_settings *settings = &turn->shard->host->settings;

    if (turn->read_only)
        return stead_turn_break(turn, STEAD_EREADONLY);
    turn->effects++;
    turn->effect_bytes += bytes;
    if (turn->effects > settings->turn_effects_max || turn->effect_bytes > settings->turn_bytes_max)
        return stead_turn_break(turn, STEAD_ELIMIT);
    return 0;
}

/* ---- The state before, and after a failure ------------------------------------------------------------ */

static bool fields_have_buffer(const struct stead_field *fields)
{
    for (; fields != NULL && fields->name != NULL; fields++)
        if (fields->type == STEAD_FIELD_BUFFER || fields_have_buffer(fields->fields))
            return true;
    return false;
}

/* What the turn may have to put back. */
struct before {
    bool plain;                /* no buffers: bytes say all */
    void *bytes;               /* plain: a copy of the state */
    uint32_t carried;          /* what the agent kept beside it */
    struct stead_writer image; /* with buffers: the encoded state of a volatile one, or as a read-only op found it */
    bool inited;               /* the agent had its first state */
    void *looked_at;           /* plain: the same behind init, as a read-only op found it */
    bool stored;               /* its state is in the rows; a read-only op may have made it in memory alone */
};

static void remember(struct stead_turn *turn, struct before *before)
{
    struct stead_agent *agent = turn->agent;

    before->plain = !fields_have_buffer(agent->kind->fields);
    before->inited = (agent->flags & STEAD_AGENT_INITED) != 0;
    before->stored = (agent->flags & STEAD_AGENT_EXISTS) != 0;
    before->bytes = NULL;
    before->carried = agent->carried;
    stead_writer_init(&before->image);
    if (agent->state == NULL)
        return;
    if (before->plain) {
        before->bytes = stead_arena_alloc(turn->arena, agent->kind->state_size);
        memcpy(before->bytes, agent->state, agent->kind->state_size);
    } else if ((!stead_agent_durable(agent) || turn->read_only) && before->inited) {
        stead_fields_encode(agent->kind->fields, agent->state, &before->image);
    }
}

static void put_back(struct stead_turn *turn, struct before *before)
{
    struct stead_agent *agent = turn->agent;
    int code = 0;

    if (!before->inited)
        agent->flags &= (uint8_t)~STEAD_AGENT_INITED;
    if (agent->state == NULL || STEAD_FAULT(&turn->shard->host->settings, keep_failed_turn))
        return;
    if (before->plain) {
        memcpy(agent->state, before->bytes, agent->kind->state_size);
        stead_agent_carry(agent, before->carried);
    } else if (stead_agent_durable(agent)) {
        code = stead_agent_rebuild(agent);
    } else {
        stead_fields_deinit(agent->kind->fields, agent->state);
        memset(agent->state, 0, agent->kind->state_size);
        if (before->inited)
            code = stead_fields_decode(agent->kind->fields, agent->state, stead_written(&before->image));
    }
    if (code != 0) /* it would go on as a new one, and its next turn would store that */
        stead_host_fail(turn->shard->host, code, "state of %s cannot be read again: %s", agent->address,
                        stead_error_sentence(code));
}

/* ---- Commit ------------------------------------------------------------------------------------------- */

static void commit_keyed_row(struct stead_turn *turn, struct stead_slice key, struct stead_slice value, bool deleted)
{
    if (deleted)
        stead_overlay_delete(turn->shard->overlay, turn->shard->next_index, key);
    else
        stead_overlay_put(turn->shard->overlay, turn->shard->next_index, key, value,
                          stead_overlay_is_fresh(turn->kv, key));
}

static int visit_keyed_row(void *context, struct stead_slice key, struct stead_slice value, bool deleted)
{
    commit_keyed_row(context, key, value, deleted);
    return 0;
}

static void commit_keyed(struct stead_turn *turn)
{
    struct stead_slice all = {0};

    if (turn->kv == NULL)
        return;
    turn->agent->flags |= STEAD_AGENT_PARTS;
    stead_overlay_scan(turn->kv, all, all, false, visit_keyed_row, turn);
}

static void event_key(struct stead_row_key *key, const struct stead_agent *agent, uint64_t seq)
{
    stead_row_part(key, agent->slot, stead_agent_address(agent), agent->incarnation, STEAD_PART_EVENT,
                   (struct stead_slice){0});
    stead_row_add_u64(key, seq);
}

/* Events 1 .. of the turn become rows; `snapshot`: they, and those before, are in the image instead. */
static void commit_events(struct stead_turn *turn, bool snapshot)
{
    struct stead_agent *agent = turn->agent;
    struct stead_writer *writer = &turn->shard->host->scratch;
    struct stead_row_key key;

    if (turn->events == NULL && !snapshot)
        return;
    if (snapshot) {
        for (uint64_t seq = agent->snapshot_seq + 1; seq <= agent->event_seq; seq++) {
            event_key(&key, agent, seq);
            stead_shard_delete(turn->shard, &key);
        }
        agent->event_seq += turn->event_count;
        agent->snapshot_seq = agent->event_seq;
        return;
    }
    agent->flags |= STEAD_AGENT_PARTS;
    for (const struct stead_turn_event *event = turn->events; event != NULL; event = event->next) {
        uint8_t index[8];
        stead_writer_reset(writer);
        stead_store64(index, turn->shard->next_index);
        stead_write_raw(writer, index, sizeof(index));
        stead_pack(writer, "[s,v]", event->name, event->value);
        event_key(&key, agent, ++agent->event_seq);
        stead_shard_put(turn->shard, &key, stead_written(writer), true);
    }
}

/* Is the state more than the events of this turn made of it? Then only an image can store it. */
static bool changed_beside_events(struct stead_turn *turn, const struct before *before)
{
    struct stead_agent *agent = turn->agent;

    if (agent->state == NULL)
        return false;
    if (!before->plain || !before->stored)
        return true;
    for (const struct stead_turn_event *event = turn->events; event != NULL; event = event->next)
        if (agent->kind->apply(before->bytes, event->name, event->value) != 0)
            return true;
    return memcmp(before->bytes, agent->state, agent->kind->state_size) != 0;
}

/* The planted fault `unload_with_work`: now and then the newest state stays in memory alone. */
static bool forgets_to_store(const struct stead_turn *turn)
{
    (void)turn;
    return STEAD_FAULT(&turn->shard->host->settings, unload_with_work) &&
           stead_rng_below(&turn->shard->host->rng, 8) == 0;
}

static void commit_state(struct stead_turn *turn, const struct before *before, const struct stead_writer *image)
{
    struct stead_agent *agent = turn->agent;
    struct stead_slice slice = stead_written(image);
    uint32_t every = agent->kind->snapshot_every != 0 ? agent->kind->snapshot_every : SNAPSHOT_EVERY;

    if (agent->kind->apply != NULL) {
        bool due = agent->event_seq + turn->event_count - agent->snapshot_seq >= every;
        bool snapshot = due || stead_agent_image_is_inline(agent) || changed_beside_events(turn, before);
        bool keep_image = due && STEAD_FAULT(&turn->shard->host->settings, snapshot_without_events);
        commit_events(turn, snapshot);
        stead_agent_store(agent, snapshot && !keep_image ? &slice : NULL);
        return;
    }
    if (forgets_to_store(turn))
        return;
    bool big_unchanged = (agent->flags & STEAD_AGENT_BIG_IMAGE) && before->plain && before->inited &&
                         agent->state != NULL && memcmp(before->bytes, agent->state, agent->kind->state_size) == 0;
    stead_agent_store(agent, big_unchanged ? NULL : &slice);
}

static void commit_lock(struct stead_turn *turn)
{
    struct stead_agent *agent = turn->agent;

    if (turn->release && (agent->flags & STEAD_AGENT_HELD)) {
        agent->flags &= (uint8_t)~STEAD_AGENT_HELD;
        free(agent->wait->holder);
        agent->wait->holder = NULL;
    }
    if (turn->hold) {
        struct stead_agent_wait *wait = stead_agent_need_wait(agent);
        free(wait->holder);
        wait->holder = stead_text_copy(turn->holder);
        agent->fence = turn->new_fence;
        agent->flags |= STEAD_AGENT_HELD;
        stead_lock_waits_remove(agent, stead_str(wait->holder));
    }
}

static void write_events_value(const struct stead_turn *turn, struct stead_writer *writer)
{
    stead_write_array(writer, turn->event_count);
    for (const struct stead_turn_event *event = turn->events; event != NULL; event = event->next)
        stead_pack(writer, "[s,v]", event->name, event->value);
}

/* The turn's line in the journal. */
static void journal(struct stead_turn *turn, const struct stead_turn_input *input, uint64_t previous, int status)
{
    struct stead_shard *shard = turn->shard;
    struct stead_writer *events = &shard->host->scratch;
    const struct stead_message *message = turn->message;

    stead_writer_reset(events);
    if (turn->event_count > 0 && status == 0)
        write_events_value(turn, events);
    struct stead_turn_record record = {
        .address = stead_agent_address(turn->agent),
        .incarnation = turn->agent->incarnation,
        .previous = previous,
        .op = stead_str(turn->op->name),
        .cause_type = input->cause == STEAD_CAUSE_TIMER ? 0 : message->type,
        .cause = stead_bytes(message->source, message->source_size),
        .id = message->id,
        .now_ms = shard->host->now_ms,
        .status = status,
        .events = stead_written(events),
    };
    stead_entry_turn(&shard->turns, &record);
    shard->turn_count++;
    stead_shard_dirty(shard, true);
}

static void destroy_agent(struct stead_turn *turn)
{
    struct stead_agent *agent = turn->agent;
    struct stead_row_key from, to;

    stead_owed_destroy_agent(agent);
    stead_calls_destroy_agent(agent);
    if (stead_agent_durable(agent)) {
        stead_timers_destroy_agent(agent);
        if (agent->flags & STEAD_AGENT_PARTS) {
            stead_row_begin(&from, agent->slot, STEAD_ROW_PART);
            stead_row_add_address(&from, stead_agent_address(agent));
            stead_row_add_u64(&from, agent->incarnation);
            to = from;
            if (stead_row_after_prefix(&to))
                stead_overlay_delete_range(turn->shard->overlay, turn->shard->next_index, stead_row_slice(&from),
                                           stead_row_slice(&to));
        }
    }
    if (agent->wait != NULL) {
        stead_vtimers_drop(agent);
        free(agent->wait->holder);
        agent->wait->holder = NULL;
    }
    stead_hook_unload(agent);
    stead_agent_carry(agent, 0);
    if (agent->kind->fields != NULL)
        stead_fields_deinit(agent->kind->fields, agent->state);
    if (agent->state != NULL)
        memset(agent->state, 0, agent->kind->state_size);
    agent->flags &= STEAD_AGENT_MAIL | STEAD_AGENT_SCHEDULED | STEAD_AGENT_UNPARKING;
    agent->incarnation++;
    agent->event_seq = agent->snapshot_seq = 0;
    if (stead_agent_durable(agent))
        stead_agent_store_absent(agent);
}

/* Everything of a successful turn, in one go. */
static void commit(struct stead_turn *turn, const struct stead_turn_input *input, struct before *before,
                   const struct stead_writer *image)
{
    struct stead_agent *agent = turn->agent;
    struct stead_shard *shard = turn->shard;
    bool durable = stead_agent_durable(agent);
    bool writes = durable && !turn->unwritten && (!turn->read_only || turn->wrote);
    uint64_t previous = agent->last_index;

    commit_lock(turn);
    if (writes) {
        agent->flags |= STEAD_AGENT_EXISTS;
        agent->depends_on = shard->next_index;
        commit_keyed(turn);
        if (((turn->timers != NULL || turn->later) && !turn->quiet) || turn->calls != NULL)
            agent->flags |= STEAD_AGENT_PARTS;
        agent->last_index = shard->next_index;
        if (!turn->destroyed)
            commit_state(turn, before, image);
    } else if (!durable) {
        agent->flags |= STEAD_AGENT_EXISTS;
    }
    for (const struct stead_timer_request *timer = turn->timers; timer != NULL; timer = timer->next) {
        if (durable && !turn->quiet)
            stead_timers_commit(agent, timer);
        else
            stead_vtimer_set(agent, timer);
    }
    if (turn->later) /* before the answers: one of them may be this one's */
        stead_owed_add(turn);
    for (const struct stead_turn_answer *answer = turn->answers; answer != NULL; answer = answer->next)
        stead_owed_answer(agent, answer, writes);
    for (const struct stead_turn_cancel *cancel = turn->cancels; cancel != NULL; cancel = cancel->next)
        stead_calls_cancel(agent, cancel->id);
    stead_turn_commit_messages(turn);
    if (!turn->later)
        stead_turn_answer(turn, 0);
    if (writes)
        journal(turn, input, previous, 0);
    if (turn->destroyed)
        destroy_agent(turn);
}

/* ---- Running -------------------------------------------------------------------------------------------- */

static int run_init(struct stead_turn *turn)
{
    struct stead_agent *agent = turn->agent;
    struct stead_slice nothing = {0};
    bool read_only = turn->read_only;

    if (agent->flags & STEAD_AGENT_INITED)
        return 0;
    agent->flags |= STEAD_AGENT_INITED;
    turn->read_only = false; /* a first look at an agent may bring it into being */
    int status = agent->kind->init == NULL ? 0 : agent->kind->init(turn, agent->state, nothing);
    turn->read_only = read_only;
    return status;
}

/* What a read-only op must leave as it is: the state as init has left it. */
static void remember_look(const struct stead_turn *turn, struct before *before)
{
    const struct stead_agent *agent = turn->agent;

    before->looked_at = before->bytes;
    if (!turn->read_only || agent->state == NULL || before->inited)
        return;
    if (!before->plain) {
        stead_fields_encode(agent->kind->fields, agent->state, &before->image);
        return;
    }
    before->looked_at = stead_arena_alloc(turn->arena, agent->kind->state_size);
    memcpy(before->looked_at, agent->state, agent->kind->state_size);
}

/* Has a read-only op changed the state? Of one with buffers what is stored of it counts: it is encoded before and
 * after, which costs such a turn 0.1 us for a small state, 6 us for 64 KiB, 1 ms for each MiB of a large one. */
static bool look_changed(const struct stead_turn *turn, const struct before *before)
{
    const struct stead_agent *agent = turn->agent;
    struct stead_writer is;

    if (!turn->read_only || agent->state == NULL)
        return false;
    if (before->plain)
        return memcmp(before->looked_at, agent->state, agent->kind->state_size) != 0;
    stead_writer_init(&is);
    stead_fields_encode(agent->kind->fields, agent->state, &is);
    bool same = stead_slice_equal(stead_written(&before->image), stead_written(&is));
    stead_writer_deinit(&is);
    return !same;
}

/* Has this turn of a quiet op left everything stored as it was? */
static bool is_unwritten(const struct stead_turn *turn, const struct before *before)
{
    const struct stead_agent *agent = turn->agent;
    struct stead_writer was, is;

    if (!turn->quiet || turn->wrote || turn->destroyed || turn->hold || turn->release || !before->stored ||
        !before->plain)
        return false;
    if (agent->state == NULL || agent->kind->fields == NULL ||
        memcmp(before->bytes, agent->state, agent->kind->state_size) == 0)
        return true;
    stead_writer_init(&was);
    stead_writer_init(&is);
    stead_fields_encode(agent->kind->fields, before->bytes, &was);
    stead_fields_encode(agent->kind->fields, agent->state, &is);
    bool same = stead_slice_equal(stead_written(&was), stead_written(&is));
    stead_writer_deinit(&was);
    stead_writer_deinit(&is);
    return same;
}

static int check_result(struct stead_turn *turn, const struct before *before, struct stead_writer *image, int status)
{
    struct stead_agent *agent = turn->agent;

    if (turn->broken)
        return turn->fail_code;
    if (status != 0)
        return status < 0 ? status : STEAD_EFAILED;
    if (turn->deferred && turn->wrote)
        return STEAD_ESTATE;
    if (look_changed(turn, before))
        return STEAD_EREADONLY;
    turn->unwritten = is_unwritten(turn, before);
    if (!stead_agent_durable(agent) || agent->kind->fields == NULL || turn->destroyed || turn->unwritten ||
        (turn->read_only && !turn->wrote))
        return 0;
    stead_fields_encode(agent->kind->fields, agent->state, image);
    return image->size > turn->shard->host->settings.image_bytes_max ? STEAD_ETOOLARGE : 0;
}

static void drop_effects(struct stead_turn *turn)
{
    stead_queue_clear(&turn->out);
    turn->calls = NULL;
    turn->cancels = NULL;
    turn->events = NULL;
    turn->event_count = 0;
}

static void fail(struct stead_turn *turn, const struct stead_turn_input *input, struct before *before, int status)
{
    struct stead_shard *shard = turn->shard;
    const struct stead_message *message = turn->message;
    bool logged = stead_agent_durable(turn->agent) && !turn->read_only;
    bool lettered =
        stead_agent_durable(turn->agent) && (message->type == STEAD_SIGNAL || input->cause == STEAD_CAUSE_REPLY);

    drop_effects(turn);
    put_back(turn, before);
    shard->host->stats.turns_failed++;
    if (turn->fail_name == NULL) {
        turn->fail_name = stead_error_name(status);
        turn->fail_sentence = stead_error_sentence(status);
    }
    if (logged && (turn->agent->flags & STEAD_AGENT_EXISTS)) {
        uint64_t previous = turn->agent->last_index;
        turn->agent->last_index = shard->next_index;
        turn->agent->depends_on = shard->next_index;
        stead_agent_store_flags(turn->agent);
        journal(turn, input, previous, status);
    }
    /* A call's answer says what went wrong; a signal, whose sender went on long ago, is kept in the dead-letter
     * list. */
    if (lettered && input->cause == STEAD_CAUSE_REPLY)
        stead_shard_dead_answer(shard, message, turn->op, status, turn->fail_name, turn->fail_sentence);
    else if (lettered)
        stead_shard_dead_letter(shard, message, status, turn->fail_name, turn->fail_sentence);
    stead_turn_answer(turn, status);
}

struct stead_id stead_turn_reply_id(struct stead_id id)
{
    id.v[0] ^= 0x80;
    return id;
}

/* Under which id the turn is marked. */
static struct stead_id mark_id(const struct stead_message *message, const struct stead_turn_input *input)
{
    if (input->known_as != NULL)
        return *input->known_as;
    return input->cause == STEAD_CAUSE_REPLY ? stead_turn_reply_id(message->id) : message->id;
}

/* How often that has killed the process, for kinds that want to know, and when it is too often. */
static uint32_t poison_kills(const struct stead_agent *agent, const struct stead_message *message,
                             const struct stead_turn_input *input)
{
    const struct stead_host *host = agent->shard->host;

    if (host->suspect_count == 0 || (agent->kind->flags & STEAD_KIND_TAKES_POISON) == 0)
        return 0;
    uint32_t kills = stead_host_kills(host, mark_id(message, input));
    return kills >= host->settings.poison_kills_max ? kills : 0;
}

/* Names the turn in progress. Agents often run several turns of one op in a row: then only the message's id is new. */
static void mark_begin(struct stead_turn *turn, const struct stead_turn_input *input)
{
    struct stead_host *host = turn->shard->host;

    if (host->doors.turn_mark == NULL)
        return;
    struct stead_turn_mark mark = {mark_id(turn->message, input),
                                   stead_agent_address(turn->agent),
                                   {0},
                                   host->marked_agent == turn->agent && host->marked_op == turn->op,
                                   input->known_as != NULL};
    if (!mark.same_text)
        mark.op = stead_str(turn->op->name);
    turn->mark = mark.id;
    turn->mark_lasts = mark.lasting;
    host->marked_agent = turn->agent;
    host->marked_op = turn->op;
    host->doors.turn_mark(host->doors.self, &mark);
}

static void mark_end(const struct stead_host *host)
{
    if (host->doors.turn_mark != NULL)
        host->doors.turn_mark(host->doors.self, NULL);
}

static void end_turn(struct stead_turn *turn, struct before *before)
{
    stead_writer_deinit(&before->image);
    stead_overlay_destroy(&turn->kv);
    stead_queue_clear(&turn->out);
    stead_arena_reset(turn->arena);
}

/* The planted fault `stale_read`: what the store image says instead of what is resident. */
static void read_stored_state(struct stead_turn *turn)
{
    const struct stead_doors *doors = &turn->shard->host->doors;
    struct stead_agent *agent = turn->agent;
    struct stead_row_key key;
    struct stead_writer row;
    struct stead_agent_row head;

    if (!stead_agent_durable(agent) || fields_have_buffer(agent->kind->fields))
        return;
    stead_row_agent(&key, agent->slot, stead_agent_address(agent));
    stead_writer_init(&row);
    if (doors->get(doors->self, stead_row_slice(&key), &row) == 0 &&
        stead_agent_row_decode(stead_written(&row), &head) == 0 && head.image.size > 0 &&
        stead_fields_decode(agent->kind->fields, agent->state, head.image) != 0)
        stead_host_trace(turn->shard->host, STEAD_TRACE_ERROR, "the stored state of %s cannot be read", agent->address);
    stead_writer_deinit(&row);
}

/* ---- How long it took ------------------------------------------------------------------------------------------ */

static bool is_timed(struct stead_host *host)
{
    uint64_t number = host->stats.turns++;

    return host->doors.clock != NULL && (number % CLOCK_EVERY == 0 || number - host->round_turns < CLOCK_FIRST ||
                                         host->now_ns < host->time_all_until_ns);
}

static void note_time(const struct stead_agent *agent, const struct stead_op *op, uint64_t took_ns)
{
    struct stead_host *host = agent->shard->host;

    stead_histogram_add(&host->stats.turn_ns, took_ns);
    if (took_ns <= (uint64_t)host->settings.turn_ms_warn * 1000000u)
        return;
    host->stats.turns_slow++;
    host->time_all_until_ns = host->now_ns + CLOCK_ALL_NS;
    stead_host_trace(host, STEAD_TRACE_WARN, "event=turn_slow agent=%s op=%s ms=%" PRIu64, agent->address, op->name,
                     took_ns / 1000000u);
}

void stead_turn_note_round(struct stead_host *host, uint64_t took_ns)
{
    uint64_t turns = host->stats.turns - host->round_turns;

    if (host->now_ns < host->time_all_until_ns || took_ns <= (uint64_t)host->settings.turn_ms_warn * 1000000u)
        return;
    host->time_all_until_ns = host->now_ns + CLOCK_ALL_NS;
    stead_host_trace(host, STEAD_TRACE_WARN, "event=round_slow turns=%" PRIu64 " ms=%" PRIu64, turns,
                     took_ns / 1000000u);
}

/* Work in parts is not begun again for want of memory as long as it is the only one: what was done so far may be in
 * memory alone, and would be thrown away before each part. */
static void note_work(const struct stead_turn *turn)
{
    struct stead_host *host = turn->shard->host;

    if (host->at_work != NULL && host->at_work != turn->agent && host->now_ns < host->at_work_until_ns)
        return;
    if (turn->goes_on) {
        host->at_work = turn->agent;
        host->at_work_until_ns = host->now_ns + WORK_NS;
    } else if (host->at_work == turn->agent && !turn->read_only) {
        host->at_work = NULL;
    }
}

int stead_turn_run(struct stead_agent *agent, struct stead_message *message, const struct stead_turn_input *input)
{
    struct stead_shard *shard = agent->shard;
    struct stead_host *host = shard->host;
    const struct stead_op *op = input->op != NULL ? input->op : stead_agent_op(agent, message->op, message->op_size);
    struct before before;
    struct stead_writer image;

    STEAD_ASSERT(agent->phase == STEAD_AGENT_READY && op != NULL);
    struct stead_turn turn = {.shard = shard,
                              .agent = agent,
                              .message = message,
                              .op = op,
                              .arena = &host->arena,
                              .read_only = (op->flags & STEAD_OP_READ_ONLY) != 0,
                              .quiet = (op->flags & STEAD_OP_QUIET) != 0 && stead_agent_durable(agent),
                              .poison_kills = poison_kills(agent, message, input),
                              .reply_code = input->reply_code,
                              .reply_name = input->reply_name,
                              .reply_sentence = input->reply_sentence,
                              .reply_not_run = input->reply_not_run,
                              .context = input->context};
    bool timed = is_timed(host);
    uint64_t started = timed ? host->doors.clock(host->doors.self) : 0;

    stead_writer_init(&image);
    agent->op = op;
    stead_agent_touch(agent);
    if (message->depends_on > agent->depends_on)
        agent->depends_on = message->depends_on;
    shard->batch_turns++;
    remember(&turn, &before);
    mark_begin(&turn, input);
    int status = run_init(&turn);
    remember_look(&turn, &before);
    if (STEAD_FAULT(&host->settings, stale_read) && turn.read_only)
        read_stored_state(&turn);
    if (status == 0)
        status = op->run(&turn, agent->state,
                         input->cause == STEAD_CAUSE_MESSAGE ? stead_message_payload(message) : input->args);
    if (STEAD_FAULT(&host->settings, stale_read) && turn.read_only)
        put_back(&turn, &before);
    status = check_result(&turn, &before, &image, status);
    shard->patient = (op->flags & STEAD_OP_PATIENT) != 0;
    if (status == 0 && turn.deferred)
        put_back(&turn, &before);
    else if (status == 0)
        commit(&turn, input, &before, &image);
    else
        fail(&turn, input, &before, status);
    mark_end(host); /* the commit of events runs code of the kind once more */
    if (!before.plain)
        stead_agent_count_buffers(agent);
    bool deferred = turn.deferred && status == 0;
    if (!deferred)
        stead_shard_turn_done(agent);
    shard->patient = false;
    shard->paused |= turn.effects >= HEAVY_EFFECTS;
    note_work(&turn);
    stead_writer_deinit(&image);
    end_turn(&turn, &before);
    if (timed)
        note_time(agent, op, host->doors.clock(host->doors.self) - started);
    return deferred ? STEAD_TURN_DEFERRED : status;
}
