/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turn_message: what a turn says: the public functions that collect messages and answers, and their way out at the
 * commit.
 *
 * Which way a message takes follows from who sends and who receives (SEMANTICS, Messages):
 *
 *   sender    verb    receiver                     way
 *   any       tell    any                          plain; after the commit of what its sender has seen
 *   durable   signal  durable, volatile            channel
 *   durable   call    durable                      channel, and a CALL row that waits for the answer
 *   durable   call    volatile, stateless, read-only op with nothing before it, job that must begin in time; signal to stateless: unsequenced; the CALL row keeps the request, to be asked again
 *   durable   call    stateless and idempotent, on this node: the same, but its job starts at once, before the commit
 *   volatile  signal, call   same shard            plain: nothing is lost inside one process
 *   volatile  signal, call   another shard         the shard's own session, kept in memory and sent again until answered
 */
#include "runtime/address.h"
#include "runtime/chain.h"
#include "runtime/shard.h"

#define KEY_SIZE_MAX 128u /* bytes of an idempotency key */

/* ---- Who and when ---------------------------------------------------------------------------------- */

const char *stead_self(const struct stead_turn *turn)
{
    return turn->agent->address;
}

const char *stead_self_key(const struct stead_turn *turn)
{
    return strchr(turn->agent->address, '/') + 1;
}

const char *stead_sender(const struct stead_turn *turn)
{
    return turn->message->source;
}

int64_t stead_now_ms(const struct stead_turn *turn)
{
    return (int64_t)turn->shard->host->now_ms;
}

uint64_t stead_monotonic_ns(const struct stead_turn *turn)
{
    return turn->shard->host->now_ns;
}

uint64_t stead_random(struct stead_turn *turn)
{
    return stead_rng_next(&turn->shard->host->rng);
}

uint64_t stead_incarnation(const struct stead_turn *turn)
{
    return turn->agent->incarnation;
}

uint32_t stead_poison_kills(const struct stead_turn *turn)
{
    return turn->poison_kills;
}

void stead_blame(struct stead_turn *turn, struct stead_slice subject)
{
    struct stead_host *host = turn->shard->host;
    struct stead_turn_mark mark = {turn->mark, stead_agent_address(turn->agent), stead_str(turn->op->name), false,
                                   turn->mark_lasts};

    if (host->doors.turn_mark == NULL)
        return;
    if (subject.size > 0) {
        mark.id = stead_subject_id(subject, (struct stead_slice){0});
        mark.address = subject;
        mark.lasting = false;
    }
    host->marked_agent = NULL; /* the next turn's text is another one */
    host->doors.turn_mark(host->doors.self, NULL);
    host->doors.turn_mark(host->doors.self, &mark);
}

uint32_t stead_blamed(const struct stead_turn *turn, struct stead_slice subject)
{
    const struct stead_host *host = turn->shard->host;

    if (host->suspect_count == 0)
        return 0;
    uint32_t kills = stead_host_kills(host, stead_subject_id(subject, (struct stead_slice){0}));
    return kills >= host->settings.poison_kills_max ? kills : 0;
}

const char *stead_node_name(const struct stead_turn *turn)
{
    return turn->shard->host->options.node_name;
}

/* ---- Memory ---------------------------------------------------------------------------------------- */

void *stead_turn_alloc(struct stead_turn *turn, size_t size)
{
    void *memory = stead_arena_alloc(turn->arena, size);
    memset(memory, 0, size);
    return memory;
}

static struct stead_slice copy_slice(struct stead_turn *turn, struct stead_slice slice)
{
    uint8_t *copy = stead_arena_alloc(turn->arena, slice.size + 1);

    if (slice.size > 0)
        memcpy(copy, slice.data, slice.size);
    copy[slice.size] = 0;
    return stead_bytes(copy, slice.size);
}

static const char *copy_text(struct stead_turn *turn, const char *text)
{
    return (const char *)copy_slice(turn, stead_str(text)).data;
}

struct stead_slice stead_packed(struct stead_turn *turn, const char *format, ...)
{
    struct stead_writer writer;
    uint8_t memory[512];
    va_list args;

    stead_writer_init_fixed(&writer, memory, sizeof(memory));
    va_start(args, format);
    stead_pack_v(&writer, format, args);
    va_end(args);
    struct stead_slice copy = copy_slice(turn, stead_written(&writer));
    stead_writer_deinit(&writer);
    return copy;
}

static const char *print(struct stead_turn *turn, const char *format, va_list args)
{
    va_list again;
    char memory[512];

    va_copy(again, args);
    size_t size = stead_format_v(memory, sizeof(memory), format, args);
    char *text = stead_arena_alloc(turn->arena, size + 1);
    stead_format_v(text, size + 1, format, again);
    va_end(again);
    return text;
}

const char *stead_printed(struct stead_turn *turn, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    const char *text = print(turn, format, args);
    va_end(args);
    return text;
}

void stead_log(struct stead_turn *turn, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    const char *text = print(turn, format, args);
    va_end(args);
    stead_host_trace(turn->shard->host, STEAD_TRACE_INFO, "%s: %s", turn->agent->address, text);
}

/* 0 when the receiver's decoder will take it. Checked here, where it can be refused: a malformed value in an outbox
 * would stop its channel for good. */
static int check_payload(const struct stead_turn *turn, struct stead_slice value)
{
    if (value.size > turn->shard->host->settings.payload_bytes_max)
        return STEAD_ETOOLARGE;
    return stead_value_check(value) == 0 ? 0 : STEAD_EARGUMENT;
}

/* ---- The answer ---------------------------------------------------------------------------------------- */

int stead_reply(struct stead_turn *turn, struct stead_slice value)
{
    int code = check_payload(turn, value);

    if (code != 0)
        return stead_turn_break(turn, code);
    turn->reply = copy_slice(turn, value);
    turn->replied = true;
    return 0;
}

int stead_fail(struct stead_turn *turn, const char *name, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    turn->fail_sentence = print(turn, format, args);
    va_end(args);
    turn->fail_name = copy_text(turn, name);
    return STEAD_EFAILED;
}

static bool wants_answer(const struct stead_message *message)
{
    return message->type == STEAD_CALL || (message->type == STEAD_SIGNAL && (message->groups & STEAD_GROUP_SESSION));
}

int stead_reply_later(struct stead_turn *turn, struct stead_token *ret_token)
{
    if (turn->message->type != STEAD_CALL || turn->later || turn->replied)
        return STEAD_ESTATE;
    int code = turn->quiet ? stead_turn_count_volatile(turn, sizeof(turn->token))
                           : stead_turn_count(turn, sizeof(turn->token));
    if (code != 0)
        return code;
    turn->token = stead_host_new_id(turn->shard->host);
    turn->later = true;
    stead_hex(ret_token->text, turn->token.v, sizeof(turn->token.v));
    return 0;
}

static int answer_token(struct stead_turn *turn, const struct stead_token *token, int status, const char *name,
                        const char *sentence, struct stead_slice value)
{
    struct stead_id id;

    if (stead_unhex(token->text, strlen(token->text), id.v, sizeof(id.v)) != 0)
        return STEAD_ENOTFOUND;
    for (const struct stead_turn_answer *other = turn->answers; other != NULL; other = other->next)
        if (stead_id_equal(other->token, id))
            return STEAD_ENOTFOUND;
    int code = check_payload(turn, value);
    if (code != 0)
        return code;
    bool of_this_turn = turn->later && stead_id_equal(turn->token, id);
    code = of_this_turn ? 0 : stead_owed_exists(turn->agent, id);
    if (code != 0)
        return code == STEAD_ENOTFOUND ? code : stead_turn_break(turn, code);
    bool quiet = turn->quiet && (of_this_turn || stead_owed_is_volatile(turn->agent, id));
    code = quiet ? stead_turn_count_volatile(turn, value.size) : stead_turn_count(turn, value.size);
    if (code != 0)
        return code;
    struct stead_turn_answer *answer = stead_turn_alloc(turn, sizeof(*answer));
    answer->token = id;
    answer->status = status;
    answer->name = name == NULL ? NULL : copy_text(turn, name);
    answer->sentence = sentence == NULL ? NULL : copy_text(turn, sentence);
    answer->value = copy_slice(turn, value);
    if (turn->answers_tail != NULL)
        turn->answers_tail->next = answer;
    else
        turn->answers = answer;
    turn->answers_tail = answer;
    return 0;
}

int stead_answer(struct stead_turn *turn, const struct stead_token *token, struct stead_slice value)
{
    return answer_token(turn, token, 0, NULL, NULL, value);
}

int stead_answer_error(struct stead_turn *turn, const struct stead_token *token, const char *name, const char *sentence)
{
    return answer_token(turn, token, STEAD_EFAILED, name, sentence, (struct stead_slice){0});
}

int stead_reply_code(const struct stead_turn *turn)
{
    return turn->reply_code;
}

bool stead_reply_not_run(const struct stead_turn *turn)
{
    return turn->reply_not_run;
}

const char *stead_reply_error_name(const struct stead_turn *turn)
{
    return turn->reply_name == NULL ? "" : turn->reply_name;
}

const char *stead_reply_error_sentence(const struct stead_turn *turn)
{
    return turn->reply_sentence == NULL ? "" : turn->reply_sentence;
}

struct stead_slice stead_call_context(const struct stead_turn *turn)
{
    return turn->context;
}

/* ---- Collecting messages ------------------------------------------------------------------------------- */

/* An agent's call made this turn run: its own calls go on with a chain. */
static bool is_called(const struct stead_turn *turn)
{
    return turn->message->type == STEAD_CALL && (turn->message->groups & STEAD_GROUP_CAUSE) != 0 &&
           turn->message->source_size > 0;
}

static int collect_keyed(struct stead_turn *turn, enum stead_message_type type, const char *address, const char *op,
                         struct stead_slice args, struct stead_slice key, struct stead_message **ret_message)
{
    struct stead_shard *shard = turn->shard;
    struct stead_host *host = shard->host;
    struct stead_slice to = stead_str(address), op_slice = stead_str(op);
    struct stead_resolved resolved;
    char chain[STEAD_CHAIN_BYTES_MAX];

    if (stead_host_resolve(host, to, &resolved) != 0)
        return STEAD_EADDRESS;
    if (!stead_op_name_check(op_slice))
        return STEAD_EARGUMENT;
    int code = check_payload(turn, args);
    if (code != 0)
        return code;
    code = stead_turn_count(turn, args.size);
    if (code != 0)
        return code;
    struct stead_message_parts parts = {
        .address = to, .source = stead_agent_address(turn->agent), .op = op_slice, .key = key, .payload = args};
    if (type == STEAD_CALL && is_called(turn))
        parts.chain = stead_chain_extend(turn->message, parts.source, chain);
    struct stead_message *message = stead_message_create_in(&host->pool, type, &parts);
    message->source_slot = turn->agent->slot;
    message->slot = resolved.slot;
    message->address_hash = resolved.hash;
    if (key.size > 0)
        message->groups |= STEAD_GROUP_KEY;
    if (turn->fence != 0) {
        message->groups |= STEAD_GROUP_FENCE;
        message->fence = turn->fence;
    }
    stead_queue_push(&turn->out, message);
    *ret_message = message;
    return 0;
}

static int collect(struct stead_turn *turn, enum stead_message_type type, const char *address, const char *op,
                   struct stead_slice args, struct stead_message **ret_message)
{
    return collect_keyed(turn, type, address, op, args, (struct stead_slice){0}, ret_message);
}

int stead_tell(struct stead_turn *turn, const char *address, const char *op, struct stead_slice args)
{
    struct stead_message *message;
    return collect(turn, STEAD_TELL, address, op, args, &message);
}

/* Of another agent: a request or an answer. What a turn says on account of it is never refused, since the turns of
 * others that would make room may be waiting for just that. */
static bool is_of_another(const struct stead_turn *turn)
{
    const struct stead_message *cause = turn->message;

    return cause != NULL && cause->source_size > 0 &&
           !stead_slice_equal(stead_bytes(cause->source, cause->source_size), stead_agent_address(turn->agent));
}

/* Is there room for a signal of a volatile agent? It has no outbox: what is not taken waits in memory, here. Judged by
 * what was said before this turn. A release makes room. Calls have deadlines, and are told of a full mailbox. `waits`:
 * it is not for later. */
static bool has_room(const struct stead_turn *turn, const char *address, const char *op, bool waits)
{
    const struct stead_shard *shard = turn->shard;
    struct stead_host *host = shard->host;
    struct stead_resolved to;
    struct stead_message what = {.type = STEAD_SIGNAL, .address = address, .source = turn->agent->address, .op = op};

    if (stead_agent_durable(turn->agent) || stead_host_resolve(host, stead_str(address), &to) != 0)
        return true; /* an outbox; it is refused when it is collected */
    if (strcmp(op, STEAD_OP_RELEASE) == 0 || is_of_another(turn))
        return true;
    if (host->shard_of[to.slot.v] != shard || to.durability == STEAD_STATELESS)
        return stead_vrequest_has_room(shard);
    what.address_size = (uint16_t)strlen(address);
    what.address_hash = to.hash;
    what.source_size = (uint16_t)strlen(what.source);
    what.op_size = (uint16_t)strlen(op);
    what.groups = turn->fence != 0 ? STEAD_GROUP_FENCE : 0;
    what.fence = turn->fence;
    return shard->local.bytes <= stead_host_queue_bytes_max(host) && (!waits || stead_shard_may_signal(shard, &what));
}

int stead_signal(struct stead_turn *turn, const char *address, const char *op, struct stead_slice args)
{
    struct stead_message *message;
    int code = has_room(turn, address, op, true) ? 0 : STEAD_EBUSY;

    if (code == 0)
        code = collect(turn, STEAD_SIGNAL, address, op, args, &message);
    if (code == 0)
        message->id = stead_host_new_id(turn->shard->host);
    return code;
}

int stead_signal_after(struct stead_turn *turn, const char *address, const char *op, struct stead_slice args,
                       int64_t delay_ms)
{
    struct stead_message *message;

    if (delay_ms < 0 || (uint64_t)delay_ms > STEAD_DELAY_MS_MAX)
        return STEAD_EARGUMENT;
    if (!has_room(turn, address, op, false))
        return STEAD_EBUSY;
    int code = collect(turn, STEAD_SIGNAL, address, op, args, &message);
    if (code != 0)
        return code;
    message->id = stead_host_new_id(turn->shard->host);
    message->groups |= STEAD_GROUP_DELAY;
    message->delay_ms = (uint64_t)delay_ms;
    return 0;
}

static void set_cause(const struct stead_turn *turn, struct stead_message *message)
{
    const struct stead_message *cause = turn->message;
    bool known = (cause->groups & STEAD_GROUP_CAUSE) != 0;

    message->groups |= STEAD_GROUP_CAUSE;
    message->cause.root = known ? cause->cause.root : cause->id;
    message->cause.parent = cause->id;
    message->cause.depth = known && cause->type == STEAD_CALL ? cause->cause.depth + 1 : 1;
    if (cause->groups & STEAD_GROUP_TRACE) {
        message->groups |= STEAD_GROUP_TRACE;
        message->trace = cause->trace;
    }
}

static int add_call(struct stead_turn *turn, struct stead_message *message, const char *reply_op,
                    struct stead_slice context)
{
    struct stead_turn_call *call = stead_turn_alloc(turn, sizeof(*call));

    call->message = message;
    call->reply_op = copy_text(turn, reply_op);
    call->context = copy_slice(turn, context);
    if (turn->calls_tail != NULL)
        turn->calls_tail->next = call;
    else
        turn->calls = call;
    turn->calls_tail = call;
    return 0;
}

/* A chain of calls that has become too long breaks the turn. */
static int check_depth(struct stead_turn *turn, const char *address)
{
    const struct stead_message *cause = turn->message;

    if (!(cause->groups & STEAD_GROUP_CAUSE) || cause->type != STEAD_CALL ||
        cause->cause.depth < turn->shard->host->settings.call_depth_max)
        return 0;
    turn->fail_name = stead_error_name(STEAD_EDEPTH);
    char chain[STEAD_CHAIN_BYTES_MAX], *text = stead_turn_alloc(turn, STEAD_CHAIN_TEXT_SIZE);
    stead_chain_explain(stead_chain_extend(cause, stead_agent_address(turn->agent), chain), stead_str(address),
                        cause->cause.depth, text);
    turn->fail_sentence = text;
    return stead_turn_break(turn, STEAD_EDEPTH);
}

static int check_call(const struct stead_turn *turn, const struct stead_call_options *options)
{
    bool long_key = options->idempotency_key != NULL && strlen(options->idempotency_key) > KEY_SIZE_MAX;

    if (options->reply_op == NULL || !stead_op_name_check(stead_str(options->reply_op)) ||
        options->context.size > (64u << 10) || long_key)
        return STEAD_EARGUMENT;
    return stead_agent_op(turn->agent, options->reply_op, strlen(options->reply_op)) == NULL ? STEAD_EOP : 0;
}

/* Wall clock; 0: never. */
static uint64_t call_deadline(const struct stead_host *host, const struct stead_call_options *options)
{
    uint64_t timeout_ms = options->timeout_ms > 0 ? (uint64_t)options->timeout_ms : host->settings.call_timeout_ms;

    return timeout_ms < (uint64_t)INT64_MAX - host->now_ms ? host->now_ms + timeout_ms : 0;
}

int stead_call(struct stead_turn *turn, const char *address, const char *op, struct stead_slice args,
               const struct stead_call_options *options)
{
    struct stead_host *host = turn->shard->host;
    struct stead_slice key = {0};
    struct stead_message *message;
    int code = check_call(turn, options);

    if (code == 0)
        code = check_depth(turn, address);
    if (options->idempotency_key != NULL)
        key = stead_str(options->idempotency_key);
    if (code == 0)
        code = collect_keyed(turn, STEAD_CALL, address, op, args, key, &message);
    if (code != 0)
        return code;
    message->id = stead_host_new_id(host);
    message->deadline_ms = call_deadline(host, options);
    message->groups |= STEAD_GROUP_INCARNATION;
    message->incarnation = turn->agent->incarnation;
    if (options->start_timeout_ms != 0 || options->run_timeout_ms != 0 || options->heartbeat_timeout_ms != 0) {
        message->groups |= STEAD_GROUP_LIMITS;
        message->limits.start_ms = options->start_timeout_ms;
        message->limits.run_ms = options->run_timeout_ms;
        message->limits.heartbeat_ms = options->heartbeat_timeout_ms;
    }
    set_cause(turn, message);
    if (options->ret_call != NULL)
        memcpy(options->ret_call->bytes, message->id.v, sizeof(message->id.v));
    return add_call(turn, message, options->reply_op, options->context);
}

int stead_call_cancel(struct stead_turn *turn, const struct stead_call_id *call)
{
    struct stead_id id;
    struct stead_turn_call *made = turn->calls;

    memcpy(id.v, call->bytes, sizeof(id.v));
    while (made != NULL && !stead_id_equal(made->message->id, id))
        made = made->next;
    if (made != NULL) { /* of this turn: as if it had not been made */
        bool again = made->cancelled;
        made->cancelled = true;
        return again ? STEAD_ENOTFOUND : 0;
    }
    for (const struct stead_turn_cancel *other = turn->cancels; other != NULL; other = other->next)
        if (stead_id_equal(other->id, id))
            return STEAD_ENOTFOUND;
    int code = stead_calls_pending(turn->agent, id);
    if (code != 0)
        return code == STEAD_ENOTFOUND ? code : stead_turn_break(turn, code);
    code = stead_turn_count(turn, sizeof(id));
    if (code != 0)
        return code;
    struct stead_turn_cancel *cancel = stead_turn_alloc(turn, sizeof(*cancel));
    cancel->id = id;
    cancel->next = turn->cancels;
    turn->cancels = cancel;
    return 0;
}

void stead_send_with_fence(struct stead_turn *turn, uint64_t fence)
{
    turn->fence = fence;
}

/* ---- Sending them at the commit ---------------------------------------------------------------------------- */

/* The pending call of a CALL of this turn; calls are in the order of their messages. */
static const struct stead_turn_call *next_call(struct stead_turn *turn, const struct stead_message *message)
{
    const struct stead_turn_call *call = turn->calls;

    STEAD_ASSERT(call != NULL && call->message == message);
    turn->calls = call->next;
    return call;
}

static bool is_here(const struct stead_turn *turn, const struct stead_message *message)
{
    return turn->shard->host->shard_of[message->slot.v] == turn->shard;
}

/* To an agent of this shard, or out when what it depends on is committed. */
static void send_plain(struct stead_turn *turn, struct stead_message *message)
{
    struct stead_shard *shard = turn->shard;
    struct stead_host *host = shard->host;

    message->depends_on = turn->agent->depends_on;
    if (!is_here(turn, message)) {
        if (STEAD_FAULT(&host->settings, tell_before_commit))
            message->depends_on = 0;
        stead_shard_emit(shard, message);
        return;
    }
    struct stead_slice address = stead_bytes(message->address, message->address_size);
    struct stead_agent *target = stead_agent_find(shard, address, message->address_hash);
    bool full = (target != NULL && target->queued >= host->settings.mailbox_messages_max) ||
                shard->local.bytes > stead_host_queue_bytes_max(host);
    if (full && message->type == STEAD_TELL) {
        host->stats.tells_dropped++;
        stead_message_destroy_in(&host->pool, &message);
        return;
    }
    if (target != NULL) {
        message->target = target;
        target->pins++;
        target->queued++;
    }
    host->stats.messages_local++;
    stead_queue_push(&shard->local, message);
}

/* Only jobs have such a limit: a kind that nobody has loaded yet is a stateless one. */
static bool begins_in_time(const struct stead_message *message)
{
    return (message->groups & STEAD_GROUP_LIMITS) && message->limits.start_ms != 0;
}

/* A read-only op is asked without a number, again until it is answered, but not past what was sent before. */
static bool reads_only(const struct stead_turn *turn, const struct stead_message *message, const struct stead_op *op)
{
    return op != NULL && (op->flags & STEAD_OP_READ_ONLY) &&
           !stead_channel_out_waits(turn->shard, message->source_slot, message->slot);
}

static void send_durable(struct stead_turn *turn, struct stead_message *message)
{
    struct stead_host *host = turn->shard->host;
    struct stead_resolved to;
    struct stead_turn_call nobody = {.message = message, .reply_op = ""};

    if (stead_host_resolve(host, stead_bytes(message->address, message->address_size), &to) != 0)
        return; /* it was checked when it was collected */
    const struct stead_kind *kind = to.kind;
    uint8_t durability = to.durability;
    const struct stead_op *op =
        kind == NULL ? NULL : stead_registry_op(host->registry, kind, message->op, message->op_size);
    bool again =
        durability != STEAD_DURABLE || reads_only(turn, message, op) || (kind == NULL && begins_in_time(message));
    const struct stead_turn_call *call = message->type == STEAD_CALL ? next_call(turn, message) : &nobody;
    if (message->type == STEAD_SIGNAL && durability != STEAD_STATELESS) {
        stead_channel_out_send(turn->shard, &message);
        return;
    }
    if (message->type == STEAD_SIGNAL) { /* a job that must be done: a call whose answer only ends the asking */
        message->type = STEAD_CALL;
        message->groups |= STEAD_GROUP_INCARNATION;
        message->incarnation = turn->agent->incarnation;
        message->deadline_ms = 0;
        again = true;
    }
    if (again)
        message->flags |= STEAD_FLAG_UNSEQUENCED;
    stead_calls_made(turn, call, again);
    if (call != &nobody && stead_placement_may_start_early(host, kind)) {
        stead_placement_start_early(turn->shard, kind, message);
    } else if (again) {
        message->depends_on = turn->shard->next_index;
        stead_shard_emit(turn->shard, message);
    } else {
        stead_channel_out_send(turn->shard, &message);
    }
}

static void send_volatile(struct stead_turn *turn, struct stead_message *message)
{
    struct stead_resolved to;
    struct stead_vcall *call = NULL;

    if (message->type == STEAD_CALL)
        call = stead_calls_made_volatile(turn, next_call(turn, message));
    if (stead_host_resolve(turn->shard->host, stead_bytes(message->address, message->address_size), &to) != 0)
        return; /* it was checked when it was collected */
    if (is_here(turn, message) && to.durability != STEAD_STATELESS) {
        send_plain(turn, message);
        return;
    }
    message->depends_on = turn->agent->depends_on;
    uint64_t number = stead_vrequest_send(turn->shard, message);
    if (call != NULL)
        call->vrequest = number;
}

/* A call that was cancelled in the turn that made it is forgotten here. */
static bool was_cancelled(struct stead_turn *turn, struct stead_message *message)
{
    if (message->type != STEAD_CALL || !turn->calls->cancelled)
        return false;
    (void)next_call(turn, message);
    stead_message_destroy_in(&turn->shard->host->pool, &message);
    return true;
}

void stead_turn_commit_messages(struct stead_turn *turn)
{
    struct stead_message *message;

    while ((message = stead_queue_pop(&turn->out)) != NULL) {
        if (was_cancelled(turn, message))
            continue;
        message->table_version = turn->shard->host->table == NULL ? 0 : turn->shard->host->table->version;
        if (message->type == STEAD_TELL)
            send_plain(turn, message);
        else if (stead_agent_durable(turn->agent))
            send_durable(turn, message);
        else
            send_volatile(turn, message);
    }
}

void stead_turn_answer(struct stead_turn *turn, int status)
{
    struct stead_shard *shard = turn->shard;
    const struct stead_message *request = turn->message;
    bool durable = stead_agent_durable(turn->agent);
    bool stored = durable && !turn->unwritten && (!turn->read_only || turn->wrote);
    struct stead_answer_error error = {turn->fail_name, turn->fail_sentence};

    if (!wants_answer(request))
        return;
    struct stead_slice value = status == 0 && request->type == STEAD_CALL ? turn->reply : (struct stead_slice){0};
    struct stead_message *answer = stead_message_answer_in(&shard->host->pool, request, status, &error, value);
    bool early = request->durability == STEAD_CLASS_VOLATILE || !durable;
    answer->durability = early ? STEAD_CLASS_VOLATILE : STEAD_CLASS_DURABLE;
    uint64_t depends_on = stored ? shard->next_index : turn->agent->depends_on;
    if ((durable && request->durability == STEAD_CLASS_VOLATILE) ||
        STEAD_FAULT(&shard->host->settings, reply_before_commit))
        depends_on = 0;
    stead_shard_reply(shard, request, answer, stored, depends_on);
}
