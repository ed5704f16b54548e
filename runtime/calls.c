/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calls: what is kept on both sides of a call until its answer is there.
 *
 * Caller, durable: a CALL row (reply op, context, deadline, and for unsequenced requests the request itself) and a due
 * row, both in the entry of the turn that called, both gone in the entry of the turn that takes the answer. The first
 * answer is taken; one without its row is dropped and counted. An unsequenced request is asked again, ever more rarely,
 * until its deadline: so its receiver may die as often as it likes. A job of an idempotent kind starts before the entry
 * of its call is on disk (placement.c): its answer finds the CALL row in the overlay, and its turn is behind it in the
 * same log.
 *
 * A job that must begin in time may find no node that takes it: the row counts how often it was asked for and not
 * refused. While that is 0, or its kind is loaded nowhere, no node has it, and it ends here when its time is over; else
 * the node that has it sees to that.
 *
 * A call that is cancelled, that times out, or whose caller is destroyed loses its row, and a CANCEL leaves for its
 * callee with that commit: best effort, for whoever answers all the same finds no row. A request that still waits in a
 * channel's outbox keeps its number but is expired there.
 *
 * Caller, volatile: the same in memory (vcall); requests that leave the shard carry the shard's session and are sent
 * again until answered (vrequest).
 *
 * Callee: a token stands for an OWED row that holds who asked (a request without its payload), possibly several of
 * them.
 *
 * Invariants: P1 a CALL row and its due row exist together (until a timeout waits for a release); P2 an answer is taken
 * with its CALL row or not at all; P3 a token answers once; P4 a cancelled call runs no reply op; P5 what an early job
 * answered is behind its call in the log.
 */
#include "runtime/address.h"
#include "runtime/shard.h"
#include "runtime/waiting.h"

#define ASK_AGAIN_MS 1000u /* first repeat of an unsequenced request */
#define ASK_AGAIN_MS_MAX 32000u
#define CALL_HEAD 28u /* bytes of a CALL row before its texts */
#define CALL_TAIL 8u  /* bytes between its texts and the record, when it must begin in time */

/* The CALL row: deadline u64, due u64, wait u16, asked u16, callee size u16, reply op size u16, context size u32, then
 * reply op, context, callee, with `asked` begin u64, record. The callee's address is there where no record names it. */

struct call_row {
    uint64_t deadline_ms; /* 0: none */
    uint64_t due_ms;      /* of its due row: the deadline, when to ask again, or when nobody has begun it in time */
    uint32_t wait_ms;     /* until the next repeat after that; 0: sequenced, never asked again */
    uint16_t asked;       /* 0: it may begin at any time; else 1, and how often it was asked for and not refused */
    uint64_t begin_ms;    /* with `asked`: when it must have begun */
    struct stead_slice reply_op, context, callee, record;
};

static void call_row_encode(const struct call_row *row, struct stead_writer *writer)
{
    uint8_t head[CALL_HEAD] = {0}, tail[CALL_TAIL];

    stead_store64(head, row->deadline_ms);
    stead_store64(head + 8, row->due_ms);
    stead_store16(head + 16, (uint16_t)row->wait_ms);
    stead_store16(head + 18, row->asked);
    stead_store16(head + 20, (uint16_t)row->callee.size);
    stead_store16(head + 22, (uint16_t)row->reply_op.size);
    stead_store32(head + 24, (uint32_t)row->context.size);
    stead_write_raw(writer, head, sizeof(head));
    stead_write_raw(writer, row->reply_op.data, row->reply_op.size);
    stead_write_raw(writer, row->context.data, row->context.size);
    stead_write_raw(writer, row->callee.data, row->callee.size);
    stead_store64(tail, row->begin_ms);
    if (row->asked != 0)
        stead_write_raw(writer, tail, sizeof(tail));
    stead_write_raw(writer, row->record.data, row->record.size);
}

static int call_row_decode(struct stead_slice value, struct call_row *ret_row)
{
    if (value.size < CALL_HEAD)
        return STEAD_ECORRUPT;
    size_t callee_size = stead_load16(value.data + 20), op_size = stead_load16(value.data + 22);
    size_t context_size = stead_load32(value.data + 24), rest = value.size - CALL_HEAD;
    uint16_t asked = stead_load16(value.data + 18);
    size_t tail_size = asked != 0 ? CALL_TAIL : 0;
    if (rest < op_size || rest - op_size < context_size || rest - op_size - context_size < callee_size + tail_size ||
        op_size > STEAD_OP_NAME_MAX)
        return STEAD_ECORRUPT;
    const uint8_t *at = value.data + CALL_HEAD, *tail = at + op_size + context_size + callee_size;
    *ret_row = (struct call_row){
        .deadline_ms = stead_load64(value.data),
        .due_ms = stead_load64(value.data + 8),
        .wait_ms = stead_load16(value.data + 16),
        .asked = asked,
        .begin_ms = asked != 0 ? stead_load64(tail) : 0,
        .reply_op = {at, op_size},
        .context = {at + op_size, context_size},
        .callee = {at + op_size + context_size, callee_size},
        .record = {tail + tail_size, rest - op_size - context_size - callee_size - tail_size},
    };
    return 0;
}

static void call_key(struct stead_row_key *key, const struct stead_agent *agent, struct stead_id id)
{
    stead_row_part(key, agent->slot, stead_agent_address(agent), agent->incarnation, STEAD_PART_CALL,
                   stead_bytes(id.v, sizeof(id.v)));
}

static void call_row_put(struct stead_agent *agent, struct stead_id id, const struct call_row *row)
{
    struct stead_row_key key;
    struct stead_writer value;

    stead_writer_init(&value);
    call_row_encode(row, &value);
    call_key(&key, agent, id);
    stead_shard_put(agent->shard, &key, stead_written(&value), false);
    stead_writer_deinit(&value);
    if (row->due_ms != 0)
        stead_timers_add_due(agent->shard, agent->slot, stead_agent_address(agent), row->due_ms, STEAD_PART_CALL,
                             stead_bytes(id.v, sizeof(id.v)));
    stead_shard_dirty(agent->shard, true);
}

static int call_row_get(struct stead_agent *agent, struct stead_id id, struct stead_writer *value,
                        struct call_row *ret_row)
{
    struct stead_row_key key;

    call_key(&key, agent, id);
    int code = stead_shard_read(agent->shard, stead_agent_image(agent), &key, value);
    if (code != 0)
        return code;
    code = call_row_decode(stead_written(value), ret_row);
    if (code != 0)
        stead_host_fail(agent->shard->host, code, "a call of %s is damaged", agent->address);
    return code;
}

static void call_row_delete(struct stead_agent *agent, struct stead_id id, const struct call_row *row)
{
    struct stead_row_key key;

    call_key(&key, agent, id);
    stead_shard_delete(agent->shard, &key);
    if (row->due_ms != 0)
        stead_timers_delete_due(agent->shard, agent->slot, stead_agent_address(agent), row->due_ms, STEAD_PART_CALL,
                                stead_bytes(id.v, sizeof(id.v)));
    stead_shard_dirty(agent->shard, true);
}

void stead_calls_made(struct stead_turn *turn, const struct stead_turn_call *call, bool unsequenced)
{
    struct stead_shard *shard = turn->shard;
    struct stead_writer *record = &shard->host->scratch;
    const struct stead_message *message = call->message;
    struct call_row row = {.deadline_ms = message->deadline_ms,
                           .due_ms = message->deadline_ms,
                           .reply_op = stead_str(call->reply_op),
                           .context = call->context};

    stead_writer_reset(record);
    if (unsequenced) {
        shard->host->doors.encode(message, record);
        row.record = stead_written(record);
        row.wait_ms = ASK_AGAIN_MS;
        if ((message->groups & STEAD_GROUP_LIMITS) && message->limits.start_ms != 0) {
            row.asked = 2;
            row.begin_ms = shard->host->now_ms + message->limits.start_ms;
        }
        uint64_t again = shard->host->now_ms + ASK_AGAIN_MS;
        if (row.due_ms == 0 || again < row.due_ms)
            row.due_ms = again;
    } else {
        row.callee = stead_bytes(message->address, message->address_size);
    }
    call_row_put(turn->agent, message->id, &row);
    if (turn->agent->flags & STEAD_AGENT_PARTS)
        return;
    turn->agent->flags |=
        STEAD_AGENT_PARTS; /* the head was written before the messages: it must know that there are parts */
    stead_agent_store_flags(turn->agent);
}

/* ---- Answers for the caller ------------------------------------------------------------------------------- */

struct answer_words {
    struct stead_slice name, sentence;
    char name_text[64], sentence_text[512];
};

static void copy_words(char *text, size_t size, struct stead_slice slice)
{
    size_t used = slice.size < size - 1 ? slice.size : size - 1;

    if (used > 0)
        memcpy(text, slice.data, used);
    text[used] = '\0';
}

void stead_shard_dead_answer(struct stead_shard *shard, const struct stead_message *answer, const struct stead_op *op,
                             int status, const char *name, const char *sentence)
{
    struct stead_message named = *answer; /* its texts are where the answer's are */

    named.op = op->name;
    named.op_size = (uint16_t)strlen(op->name);
    stead_shard_dead_letter(shard, &named, status, name, sentence);
}

/* It was not run, for a reason that passes (a poison one was not run either). */
static bool may_be_made_again(const struct stead_message *answer)
{
    return (answer->flags & STEAD_FLAG_NOT_RUN) &&
           (answer->status == STEAD_EBUSY || answer->status == STEAD_EKIND || answer->status == STEAD_EUNAVAILABLE ||
            answer->status == STEAD_EIO);
}

/* Runs the reply op. The caller has removed the pending call in this batch. */
static void run_reply(struct stead_agent *agent, struct stead_message *answer, struct stead_slice reply_op,
                      struct stead_slice context)
{
    struct answer_words words;
    struct stead_shard *shard = agent->shard;

    if (reply_op.size == 0 && answer->status == STEAD_EPOISON)
        stead_shard_dead_letter(shard, answer, STEAD_EPOISON, stead_error_name(STEAD_EPOISON),
                                stead_error_sentence(STEAD_EPOISON));
    if (reply_op.size == 0)
        return; /* the sender of a signal to a stateless kind only wanted it done */
    const struct stead_op *op = stead_agent_op(agent, (const char *)reply_op.data, reply_op.size);
    if (op == NULL) {
        shard->host->stats.answers_dropped++;
        return;
    }
    if (stead_host_sets_aside(shard->host, agent->kind, stead_turn_reply_id(answer->id))) {
        stead_shard_dead_answer(shard, answer, op, STEAD_EPOISON, stead_error_name(STEAD_EPOISON),
                                stead_error_sentence(STEAD_EPOISON));
        return;
    }
    struct stead_slice payload = stead_message_payload(answer);
    words.name_text[0] = words.sentence_text[0] = '\0';
    if (answer->status != 0) {
        if (stead_get_str(payload, "name", &words.name) == 0)
            copy_words(words.name_text, sizeof(words.name_text), words.name);
        if (stead_get_str(payload, "sentence", &words.sentence) == 0)
            copy_words(words.sentence_text, sizeof(words.sentence_text), words.sentence);
    }
    struct stead_turn_input input = {.op = op,
                                     .cause = STEAD_CAUSE_REPLY,
                                     .reply_code = answer->status,
                                     .reply_name = words.name_text,
                                     .reply_sentence = words.sentence_text,
                                     .reply_not_run = may_be_made_again(answer),
                                     .args = answer->status == 0 ? payload : (struct stead_slice){0},
                                     .context = context};
    (void)stead_turn_run(agent, answer, &input);
}

/* It was not run: it is asked for again, as one that was lost. A call of an agent waits so for room, and for a node
 * that has loaded its kind, until its deadline; a signal, which has none, for a node that has what it needs too. */
static bool is_asked_again(const struct call_row *row, const struct stead_message *answer)
{
    if (row->wait_ms == 0 || !(answer->flags & STEAD_FLAG_NOT_RUN))
        return false;
    return answer->status == STEAD_EBUSY || answer->status == STEAD_EKIND ||
           (answer->status == STEAD_EUNAVAILABLE && row->reply_op.size == 0);
}

/* No node has loaded its kind: whatever became of what was asked before, nobody has it. */
static bool is_loaded_nowhere(struct stead_host *host, const struct stead_message *refusal)
{
    struct stead_resolved to;

    return stead_host_resolve(host, stead_bytes(refusal->source, refusal->source_size), &to) == 0 && to.kind == NULL &&
           to.durability == STEAD_DURABLE;
}

/* A node has refused it. One that no node has is due when it must have begun, at the latest. */
static void note_refusal(struct stead_agent *agent, const struct stead_message *refusal, struct call_row *row)
{
    struct stead_id id = refusal->id;

    if (row->asked <= 1 || row->due_ms == 0)
        return;
    row->asked = is_loaded_nowhere(agent->shard->host, refusal) ? 1 : (uint16_t)(row->asked - 1);
    if (row->asked == 1 && row->begin_ms < row->due_ms) {
        stead_timers_delete_due(agent->shard, agent->slot, stead_agent_address(agent), row->due_ms, STEAD_PART_CALL,
                                stead_bytes(id.v, sizeof(id.v)));
        row->due_ms = row->begin_ms;
    }
    call_row_put(agent, id, row);
}

static void take_durable_answer(struct stead_agent *agent, struct stead_message *answer)
{
    struct stead_shard *shard = agent->shard;
    struct stead_writer value;
    struct call_row row;

    stead_writer_init(&value);
    bool mine = !(answer->groups & STEAD_GROUP_INCARNATION) || answer->incarnation == agent->incarnation;
    bool pending = mine && call_row_get(agent, answer->id, &value, &row) == 0;
    if (pending && !is_asked_again(&row, answer)) {
        call_row_delete(agent, answer->id, &row);
        run_reply(agent, answer, row.reply_op, row.context);
    } else if (pending) {
        note_refusal(agent, answer, &row);
    } else {
        shard->host->stats.answers_dropped++;
    }
    stead_writer_deinit(&value);
}

static struct stead_vcall *find_vcall(struct stead_shard *shard, struct stead_id id)
{
    struct stead_vcall *call;
    uint32_t at;

    for (call = stead_map_first(&shard->vcalls, stead_load64(id.v + 8), &at); call != NULL;
         call = stead_map_next(&shard->vcalls, stead_load64(id.v + 8), &at))
        if (stead_id_equal(call->id, id))
            return call;
    return NULL;
}

static void free_vcall(struct stead_shard *shard, struct stead_vcall *call)
{
    stead_map_remove(&shard->vcalls, call->hash, call);
    call->agent->pins--;
    free(call);
}

static void take_volatile_answer(struct stead_shard *shard, struct stead_message *answer)
{
    struct stead_vcall *call = find_vcall(shard, answer->id);

    if (call == NULL) {
        shard->host->stats.answers_dropped++;
        return;
    }
    struct stead_agent *agent = call->agent;
    struct stead_slice context = stead_bytes(call->context, call->context_size);
    if (answer->groups & STEAD_GROUP_INCARNATION && answer->incarnation != agent->incarnation) {
        free_vcall(shard, call);
        shard->host->stats.answers_dropped++;
        return;
    }
    stead_vtimer_cancel_call(agent, answer->id);
    stead_map_remove(&shard->vcalls, call->hash, call);
    run_reply(agent, answer, stead_str(call->reply_op), context);
    agent->pins--;
    free(call);
}

/* Is the agent held, or are others before it? Then the answer waits like any message. */
static bool answer_waits(struct stead_agent *agent, struct stead_message *answer, bool taken)
{
    bool holder = (agent->flags & STEAD_AGENT_HELD) && answer->source_size > 0 &&
                  strcmp(answer->source, agent->wait->holder) == 0;

    (void)taken;
    return (agent->flags & STEAD_AGENT_HELD) && !holder;
}

/* True: the answer (consumed) waits for the release of its agent. Its number in a channel is taken. */
static bool volatile_answer_waits(struct stead_shard *shard, struct stead_message *answer)
{
    const struct stead_vcall *call = find_vcall(shard, answer->id);

    if (call == NULL || !answer_waits(call->agent, answer, false))
        return false;
    answer->groups &= ~(uint32_t)STEAD_GROUP_CHANNEL;
    stead_shard_let_wait(call->agent, answer, false);
    return true;
}

void stead_calls_answer(struct stead_shard *shard, struct stead_message *answer, bool taken)
{
    struct stead_host *host = shard->host;
    struct stead_slice address = stead_bytes(answer->address, answer->address_size);
    bool sequenced = (answer->groups & STEAD_GROUP_CHANNEL) && !taken;
    size_t kind_size;

    if ((answer->groups & STEAD_GROUP_SESSION) && stead_vrequest_answered(shard, answer)) {
        stead_message_destroy(&answer);
        return;
    }
    if (stead_address_check(address, &kind_size) != 0) {
        stead_message_destroy(&answer);
        return;
    }
    const struct stead_kind *kind = stead_registry_find(host->registry, answer->address, kind_size);
    if (kind == NULL || kind->durability != STEAD_DURABLE) {
        if (kind == NULL && sequenced)
            stead_shard_park(shard, answer, true, false);
        else if (sequenced)
            stead_shard_mark_taken(shard, answer);
        if (kind != NULL && volatile_answer_waits(shard, answer))
            return;
        if (kind != NULL)
            take_volatile_answer(shard, answer);
        stead_message_destroy_in(&host->pool, &answer);
        return;
    }
    uint64_t hash = stead_hash(address.data, address.size);
    struct stead_agent *agent = stead_agent_find(shard, address, hash);
    if (agent == NULL)
        agent = stead_agent_activate(shard, kind, address, hash, answer->slot);
    if (agent == NULL) {
        stead_shard_unreadable(shard, answer, taken, host->load_code);
        return;
    }
    if (agent->phase != STEAD_AGENT_READY || answer_waits(agent, answer, taken)) {
        stead_shard_let_wait(agent, answer, taken);
        return;
    }
    if (sequenced)
        stead_shard_mark_taken(shard, answer);
    take_durable_answer(agent, answer);
    stead_message_destroy_in(&host->pool, &answer);
}

/* ---- Nobody waits any more ------------------------------------------------------------------------------ */

/* Leaves with the commit. It may be lost: then the callee does its work for nothing, and its answer is dropped. */
static void tell_callee(struct stead_agent *agent, struct stead_id id, struct stead_slice callee, uint64_t depends_on)
{
    struct stead_message_parts parts = {.address = callee, .source = stead_agent_address(agent)};
    struct stead_resolved to;

    if (stead_host_resolve(agent->shard->host, callee, &to) != 0)
        return;
    struct stead_message *cancel = stead_message_create(STEAD_CANCEL, &parts);
    cancel->id = id;
    cancel->source_slot = agent->slot;
    cancel->slot = to.slot;
    cancel->depends_on = depends_on;
    stead_shard_emit(agent->shard, cancel);
}

static void tell_callee_of_row(struct stead_agent *agent, struct stead_id id, const struct call_row *row)
{
    struct stead_shard *shard = agent->shard;
    struct stead_message *request;
    struct stead_resolved to;

    if (row->callee.size > 0) {
        if (stead_host_resolve(shard->host, row->callee, &to) == 0)
            stead_channel_out_cancel(shard, agent->slot, to.slot, id);
        tell_callee(agent, id, row->callee, shard->next_index);
    } else if (row->record.size > 0 && shard->host->doors.decode(row->record, &request) == 0) {
        tell_callee(agent, id, stead_bytes(request->address, request->address_size), shard->next_index);
        stead_message_destroy(&request);
    }
}

static void cancel_volatile(struct stead_agent *agent, struct stead_vcall *call)
{
    struct stead_shard *shard = agent->shard;

    if (call->vrequest != 0)
        stead_vrequest_drop(shard, call->vrequest);
    stead_vtimer_cancel_call(agent, call->id);
    tell_callee(agent, call->id, stead_str(call->callee), agent->depends_on);
    free_vcall(shard, call);
}

int stead_calls_pending(struct stead_agent *agent, struct stead_id id)
{
    struct stead_writer value;
    struct call_row row;

    if (!stead_agent_durable(agent)) {
        const struct stead_vcall *call = find_vcall(agent->shard, id);
        return call != NULL && call->agent == agent ? 0 : STEAD_ENOTFOUND;
    }
    stead_writer_init(&value);
    int code = call_row_get(agent, id, &value, &row);
    stead_writer_deinit(&value);
    return code == 0 && row.reply_op.size == 0 ? STEAD_ENOTFOUND : code; /* a signal to a stateless kind */
}

void stead_calls_cancel(struct stead_agent *agent, struct stead_id id)
{
    struct stead_writer value;
    struct call_row row;

    if (!stead_agent_durable(agent)) {
        struct stead_vcall *call = find_vcall(agent->shard, id);
        if (call != NULL && call->agent == agent)
            cancel_volatile(agent, call);
        return;
    }
    stead_writer_init(&value);
    if (call_row_get(agent, id, &value, &row) == 0) {
        if (!STEAD_FAULT(&agent->shard->host->settings, keep_cancelled_call))
            call_row_delete(agent, id, &row);
        tell_callee_of_row(agent, id, &row);
    }
    stead_writer_deinit(&value);
}

/* Collects the ids of an agent's calls. */
static int collect_call(void *context, struct stead_slice key, struct stead_slice value)
{
    struct stead_row_parsed parsed;

    (void)value;
    if (stead_row_parse(key, &parsed) == 0 && parsed.sub.size == sizeof(struct stead_id))
        stead_write_raw(context, parsed.sub.data, parsed.sub.size);
    return 0;
}

static void destroy_durable(struct stead_agent *agent)
{
    struct stead_shard *shard = agent->shard;
    struct stead_row_key from, to;
    struct stead_writer ids, value;
    struct call_row row;

    stead_row_part(&from, agent->slot, stead_agent_address(agent), agent->incarnation, STEAD_PART_CALL,
                   (struct stead_slice){0});
    to = from;
    if (!stead_row_after_prefix(&to))
        return;
    stead_writer_init(&ids);
    stead_writer_init(&value);
    (void)stead_shard_scan(shard, &from, &to, collect_call, &ids);
    for (size_t at = 0; at + sizeof(struct stead_id) <= ids.size; at += sizeof(struct stead_id)) {
        struct stead_id id;
        memcpy(id.v, ids.data + at, sizeof(id.v));
        stead_writer_reset(&value);
        if (call_row_get(agent, id, &value, &row) == 0 && row.reply_op.size > 0)
            tell_callee_of_row(agent, id, &row); /* a signal to a stateless kind is not taken back */
    }
    stead_writer_deinit(&ids);
    stead_writer_deinit(&value);
}

void stead_calls_destroy_agent(struct stead_agent *agent)
{
    struct stead_shard *shard = agent->shard;

    if (stead_agent_durable(agent)) {
        if (agent->flags & STEAD_AGENT_PARTS)
            destroy_durable(agent);
        return;
    }
    struct stead_writer ids;
    stead_writer_init(&ids);
    for (uint32_t i = 0; agent->pins > 0 && shard->vcalls.entries != NULL && i <= shard->vcalls.mask; i++) {
        const struct stead_vcall *call = stead_map_at(&shard->vcalls, i);
        if (call != NULL && call->agent == agent)
            stead_write_raw(&ids, call->id.v, sizeof(call->id.v));
    }
    for (size_t at = 0; at < ids.size; at += sizeof(struct stead_id)) {
        struct stead_id id;
        memcpy(id.v, ids.data + at, sizeof(id.v));
        stead_calls_cancel(agent, id);
    }
    stead_writer_deinit(&ids);
}

/* ---- Deadlines, and asking again ----------------------------------------------------------------------------- */

/* An answer that nobody sent: a time has passed. `error`: NULL: the deadline. */
static struct stead_message *timeout_answer(const struct stead_agent *agent, struct stead_id id,
                                            const struct stead_answer_error *error)
{
    struct stead_message request = {.type = STEAD_CALL,
                                    .id = id,
                                    .address = "",
                                    .source = agent->address,
                                    .op = "",
                                    .key = "",
                                    .source_size = agent->address_size,
                                    .slot = agent->slot,
                                    .source_slot = agent->slot};
    return stead_message_answer(&request, STEAD_ETIMEOUT, error, (struct stead_slice){0});
}

/* No node has it, and its time to begin is over. */
static bool has_not_begun(const struct call_row *row, uint64_t now_ms)
{
    return row->asked == 1 && row->begin_ms <= now_ms;
}

static void ask_again(struct stead_agent *agent, struct stead_id id, struct call_row *row)
{
    struct stead_shard *shard = agent->shard;
    struct stead_message *request;

    uint64_t next = shard->host->now_ms + row->wait_ms;
    row->wait_ms = row->wait_ms * 2 < ASK_AGAIN_MS_MAX ? row->wait_ms * 2 : ASK_AGAIN_MS_MAX;
    row->due_ms = row->deadline_ms != 0 && row->deadline_ms < next ? row->deadline_ms : next;
    row->asked = (uint16_t)(row->asked + (row->asked != 0 && row->asked != UINT16_MAX));
    call_row_put(agent, id, row);
    if (shard->host->doors.decode(row->record, &request) != 0)
        return;
    if (row->asked != 0 && row->begin_ms > shard->host->now_ms) /* else its node has died: from anew */
        request->limits.start_ms = (uint32_t)(row->begin_ms - shard->host->now_ms);
    request->flags |= STEAD_FLAG_RETRY;
    request->depends_on = agent->depends_on;
    shard->host->stats.resends++;
    stead_shard_emit(shard, request);
}

/* The reply op hears of it, at once or, if the agent is held by another, after the release: the row stays until then,
 * without a due row. */
static void time_out(struct stead_agent *agent, struct stead_id id, struct call_row *row,
                     const struct stead_answer_error *error)
{
    struct stead_message *answer = timeout_answer(agent, id, error);

    if (answer_waits(agent, answer, false)) {
        stead_timers_delete_due(agent->shard, agent->slot, stead_agent_address(agent), row->due_ms, STEAD_PART_CALL,
                                stead_bytes(id.v, sizeof(id.v)));
        row->due_ms = 0;
        call_row_put(agent, id, row);
        answer->flags |= STEAD_FLAG_UNSEQUENCED;
        stead_shard_let_wait(agent, answer, true);
        return;
    }
    call_row_delete(agent, id, row);
    run_reply(agent, answer, row->reply_op, row->context);
    stead_message_destroy(&answer);
}

static const struct stead_answer_error not_begun = {"start_timeout", "no node has begun the job in time"};

void stead_calls_due(struct stead_shard *shard, struct stead_agent *agent, struct stead_id id, uint64_t due_ms)
{
    struct stead_writer value;
    struct call_row row;

    stead_writer_init(&value);
    if (call_row_get(agent, id, &value, &row) != 0 || row.due_ms != due_ms) {
        stead_timers_delete_due(shard, agent->slot, stead_agent_address(agent), due_ms, STEAD_PART_CALL,
                                stead_bytes(id.v, sizeof(id.v)));
        stead_shard_dirty(shard, true);
    } else if (row.deadline_ms != 0 && row.deadline_ms <= shard->host->now_ms) {
        tell_callee_of_row(agent, id, &row);
        time_out(agent, id, &row, NULL);
    } else if (has_not_begun(&row, shard->host->now_ms)) {
        time_out(agent, id, &row, &not_begun);
    } else {
        stead_timers_delete_due(shard, agent->slot, stead_agent_address(agent), due_ms, STEAD_PART_CALL,
                                stead_bytes(id.v, sizeof(id.v)));
        if (!STEAD_FAULT(&shard->host->settings, never_ask_again))
            ask_again(agent, id, &row);
    }
    stead_writer_deinit(&value);
}

void stead_calls_due_volatile(struct stead_shard *shard, struct stead_agent *agent, struct stead_id id)
{
    struct stead_message *answer = timeout_answer(agent, id, NULL);
    const struct stead_vcall *call = find_vcall(shard, id);

    if (call != NULL)
        tell_callee(agent, id, stead_str(call->callee), agent->depends_on);
    if (volatile_answer_waits(shard, answer))
        return;
    take_volatile_answer(shard, answer);
    stead_message_destroy(&answer);
}

void stead_calls_forget_volatile(struct stead_shard *shard, struct stead_id id)
{
    struct stead_vcall *call = find_vcall(shard, id);

    if (call != NULL)
        free_vcall(shard, call);
}

struct stead_vcall *stead_calls_made_volatile(struct stead_turn *turn, const struct stead_turn_call *call)
{
    struct stead_shard *shard = turn->shard;
    size_t op_size = strlen(call->reply_op) + 1, callee_size = call->message->address_size + 1u;
    struct stead_vcall *it = stead_alloc(sizeof(*it) + op_size + callee_size + call->context.size);
    uint8_t *callee = it->texts + op_size, *context = callee + callee_size;

    *it = (struct stead_vcall){.id = call->message->id,
                               .hash = stead_load64(call->message->id.v + 8),
                               .agent = turn->agent,
                               .reply_op = (const char *)it->texts,
                               .callee = (const char *)callee,
                               .context = context,
                               .context_size = (uint32_t)call->context.size};
    memcpy(it->texts, call->reply_op, op_size);
    memcpy(callee, call->message->address, callee_size);
    if (call->context.size > 0)
        memcpy(context, call->context.data, call->context.size);
    turn->agent->pins++;
    stead_map_add(&shard->vcalls, it->hash, it);
    if (call->message->deadline_ms != 0)
        stead_vtimer_deadline(turn->agent, it->id, call->message->deadline_ms);
    return it;
}
