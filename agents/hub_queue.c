/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_queue: one queue of a task hub, a durable agent whose messages are keyed state (docs/FORMATS.md, "The hub"):
 *
 *     v (ms since 1970: seen from) (number)   a message: when it can be seen, then in order of arrival
 *     b (number)                              its body, when that is over BODY_INLINE bytes: taking a message writes its row again
 *     i (id)                                  an id that is in the queue (perhaps cancelled), or was deleted from it lately (stead_hub_id_kept_ms())
 *     x (ms: deleted) (id)                    the same by time, to forget it
 *
 * Taking a message moves its row to the moment when it will be seen again; that moment is its receipt. It is later at
 * each taking, because one that is taken could be seen: so no receipt comes twice, and deleting, renewing and taking
 * find their row without looking. A dequeue begins at the head, below which nothing lies: its cost follows what it
 * takes, not what is in the queue or was once in it.
 *
 * Who waits (long poll) is remembered in memory alone: the promise of a quiet op. An enqueue tells the queue itself to
 * look: a turn of its own, in the same batch, so that both share a sync; enqueues that come before that turn share it.
 * Waiters are served in the order they came; after a crash they ask again.
 *
 * Invariants: Q1 no row of a message lies below the head; Q2 a message only moves to later rows, so no key of a message
 * is put twice (stead_kv_put_once()); Q3 while somebody waits a timer stands that is not later than the first waiter's
 * end and the next delayed message.
 */
#include "agents/agents.h"

#include <string.h>

#include "agents/fault.h"
#include "agents/hub.h"
#include "agents/hub_ids.h"
#include "agents/hub_large.h"
#include "agents/hub_message.h"

#define BODY_INLINE 1024u
#define WAITERS_MAX 64u
#define HIDE_MS_MAX 3600000
#define WAIT_MS_MAX 3600000
#define DELETE_MAX 1000u
#define REMOVED_MAX 256u /* cancelled messages that go in one turn */
#define HIDDEN_COUNTED 10000u
#define PEEK_MAX 1000u

struct waiter {
    struct stead_token token;
    uint32_t max;
    int64_t who; /* 0: not told */
    int64_t hide_ms;
    int64_t until_ms; /* of the node's time: then it gets an empty answer */
};

struct queue {
    uint64_t seq;      /* the last number given */
    int64_t clock_ms;  /* the newest time that moved a row: Q2 */
    int64_t head_ms;   /* with head_seq: nothing lies below it: Q1 */
    uint64_t head_seq; /* exclusive with head_ms: the least number that may be there */
    int64_t forget_ms; /* no deleted id is older */
    int64_t depth;     /* messages, hidden ones too */
    uint64_t enqueued; /* messages put in */
    uint64_t duplicates;
    uint64_t dequeues; /* that took something */
    uint64_t dequeued; /* messages taken */
    uint64_t deletes;  /* operations */
    uint64_t deleted;  /* messages */
    uint64_t renewed;
    int64_t cancelled; /* messages in it that were cancelled */
    int64_t hide_ms;   /* the longest time for which messages were asked for to be hidden; 0: none over the usual */
    /* Not stored. */
    uint64_t empty;   /* dequeues that took nothing, since it is in memory */
    int64_t timer_ms; /* of the node's time: when the timer is due, 0: none stands */
    int64_t next_ms;  /* no message that cannot be seen yet can before; 0: not known */
    int64_t asked_ms; /* of the node's time: since then a `look` is on its way to itself; 0: none */
    uint32_t waiting; /* waiters[0] came first */
    struct waiter waiters[WAITERS_MAX];
};

static const struct stead_field fields[] = {
    STEAD_FIELD(U64, struct queue, seq),       STEAD_FIELD(I64, struct queue, clock_ms),
    STEAD_FIELD(I64, struct queue, head_ms),   STEAD_FIELD(U64, struct queue, head_seq),
    STEAD_FIELD(I64, struct queue, forget_ms), STEAD_FIELD(I64, struct queue, depth),
    STEAD_FIELD(U64, struct queue, enqueued),  STEAD_FIELD(U64, struct queue, duplicates),
    STEAD_FIELD(U64, struct queue, dequeues),  STEAD_FIELD(U64, struct queue, dequeued),
    STEAD_FIELD(U64, struct queue, deletes),   STEAD_FIELD(U64, struct queue, deleted),
    STEAD_FIELD(U64, struct queue, renewed),   STEAD_FIELD(I64, struct queue, cancelled),
    STEAD_FIELD(I64, struct queue, hide_ms),   STEAD_FIELDS_END};

/* ---- Rows ----------------------------------------------------------------------------------- */

static int delete_row(struct stead_turn *turn, struct stead_hub_key key)
{
    return stead_kv_delete(turn, stead_hub_key(&key));
}

/* ---- Taking --------------------------------------------------------------------------------- */

static void set_clock(struct stead_turn *turn, struct queue *queue)
{
    int64_t now_ms = stead_now_ms(turn);

    if (now_ms > queue->clock_ms)
        queue->clock_ms = now_ms;
}

/* A turn that took nothing leaves the clock as it was, so that it writes nothing: the clock must be behind no row's
 * move, and none was moved. */
static void rest_clock(struct queue *queue, int64_t clock_ms, uint64_t dequeues)
{
    if (queue->dequeues == dequeues)
        queue->clock_ms = clock_ms;
}

struct taking {
    struct stead_turn *turn;
    uint32_t max, count;
    size_t bytes;
    int code;
    struct stead_hub_stored messages[STEAD_HUB_BATCH_MAX];
};

static int see_message(void *context, struct stead_slice key, struct stead_slice value)
{
    struct taking *taking = context;
    struct stead_hub_stored *message = &taking->messages[taking->count];

    taking->code = key.size == 17 ? 0 : STEAD_ECORRUPT;
    if (taking->code != 0)
        return 1;
    if (taking->count == taking->max)
        return 1;
    taking->code = stead_hub_message_read(key, stead_hub_copy(taking->turn, value), message);
    if (taking->code != 0)
        return 1;
    taking->bytes += value.size + message->apart;
    if (taking->count > 0 && taking->bytes > STEAD_HUB_ANSWER_BYTES)
        return 1; /* one is always taken, however long it is */
    taking->count++;
    return 0;
}

/* Finds what can be seen, from the head on. */
static int look_for(struct stead_turn *turn, struct queue *queue, uint32_t max, struct taking *ret_taking)
{
    struct stead_hub_key from = stead_hub_message_key(queue->head_ms, queue->head_seq),
                         to = stead_hub_message_key(queue->clock_ms + 1, 0);
    struct taking *taking = ret_taking;

    taking->turn = turn;
    taking->max = max;
    taking->count = 0;
    taking->bytes = 0;
    taking->code = 0;
    if (queue->depth == 0)
        return 0;
    int code = stead_kv_scan(turn, stead_hub_key(&from), stead_hub_key(&to), max + 1, see_message, taking);
    return code != 0 ? code : taking->code;
}

/* A message cannot be seen before then. */
static void note_hidden(struct queue *queue, int64_t seen_ms)
{
    if (seen_ms < queue->next_ms)
        queue->next_ms = seen_ms;
}

/* Hides one for `hide_ms` and writes it into the answer. */
static int take_one(struct stead_turn *turn, struct queue *queue, struct stead_hub_stored *message, int64_t hide_ms,
                    struct stead_writer *answer)
{
    int code = delete_row(turn, stead_hub_message_key(message->seen_ms, message->seq));

    queue->head_ms = message->seen_ms;
    queue->head_seq = message->seq + 1;
    message->seen_ms = queue->clock_ms + (STEAD_AGENT_FAULT(message_not_hidden) ? 1 : hide_ms);
    if (STEAD_AGENT_FAULT(message_taken_for_good))
        message->seen_ms += STEAD_HUB_DELAY_MS_MAX;
    message->count++;
    note_hidden(queue, message->seen_ms);
    if (code == 0)
        code = stead_hub_message_put(turn, message);
    if (code == 0 && message->apart > STEAD_HUB_PART_MAX)
        stead_pack(answer, "[u,u,u,S,v,u]", message->seq, (uint64_t)message->seen_ms, message->count, message->id,
                   message->body, message->apart);
    else if (code == 0 && (code = stead_hub_message_body(turn, message)) == 0)
        stead_pack(answer, "[u,u,u,S,v]", message->seq, (uint64_t)message->seen_ms, message->count, message->id,
                   message->body);
    return code;
}

/* Its rows go, but its id, which is known for a while. */
static bool is_unwanted(struct stead_turn *turn, const struct queue *queue, struct stead_slice id)
{
    return queue->cancelled > 0 && id.size > 0 && stead_hub_ids_unwanted(turn, id);
}

static int remove_message(struct stead_turn *turn, struct queue *queue, const struct stead_hub_stored *message)
{
    int code = delete_row(turn, stead_hub_message_key(message->seen_ms, message->seq));

    if (code == 0 && message->apart > 0)
        code = message->apart > STEAD_HUB_PART_MAX ? stead_hub_large_delete(turn, stead_hub_body_key(message->seq))
                                                   : delete_row(turn, stead_hub_body_key(message->seq));
    if (code == 0 && message->id.size > 0)
        code = stead_hub_ids_leave(turn, message->id, message->seq, queue->clock_ms, &queue->cancelled);
    queue->depth--;
    queue->deleted++;
    return code;
}

/* The same, and what was cancelled goes, a part of it in each turn: the rest by a look of the queue's own. */
static int collect(struct stead_turn *turn, struct queue *queue, uint32_t max, struct taking *taking)
{
    int code;
    uint32_t kept, removed, left = REMOVED_MAX;

    do {
        code = look_for(turn, queue, max, taking);
        kept = removed = 0;
        for (uint32_t at = 0; at < taking->count && code == 0; at++) {
            const struct stead_hub_stored *message = &taking->messages[at];
            if (!is_unwanted(turn, queue, message->id)) {
                taking->messages[kept++] = *message;
                continue;
            }
            code = remove_message(turn, queue, message);
            removed++;
            if (kept == 0) { /* Q1 */
                queue->head_ms = message->seen_ms;
                queue->head_seq = message->seq + 1;
            }
        }
        taking->count -= removed;
        left -= removed < left ? removed : left;
    } while (code == 0 && taking->count == 0 && removed > 0 && left > 0);
    if (code == 0 && taking->count == 0 && left == 0)
        code = stead_tell(turn, stead_self(turn), "look", (struct stead_slice){0});
    return code;
}

static int take(struct stead_turn *turn, struct queue *queue, struct taking *taking, int64_t hide_ms,
                struct stead_slice *ret_answer)
{
    struct stead_writer answer;
    int code = 0;

    stead_writer_init(&answer);
    stead_write_array(&answer, taking->count);
    for (uint32_t at = 0; at < taking->count && code == 0; at++)
        code = take_one(turn, queue, &taking->messages[at], hide_ms, &answer);
    queue->dequeues++;
    queue->dequeued += taking->count;
    *ret_answer = stead_hub_copy(turn, stead_written(&answer));
    stead_writer_deinit(&answer);
    return code;
}

/* ---- Who waits ------------------------------------------------------------------------------- */

static void drop_waiter(struct queue *queue, uint32_t at)
{
    memmove(&queue->waiters[at], &queue->waiters[at + 1], (queue->waiting - at - 1) * sizeof(queue->waiters[0]));
    memset(&queue->waiters[--queue->waiting], 0, sizeof(queue->waiters[0]));
}

/* One of another life of the queue, or of its node: nobody is owed anything. */
static int answer_waiter(struct stead_turn *turn, const struct waiter *waiter, struct stead_slice value)
{
    int code = stead_answer(turn, &waiter->token, value);

    return code == STEAD_ENOTFOUND ? 0 : code;
}

/* Who asks again does not wait for an older answer any more: perhaps it died meanwhile, and what went there would be
 * hidden for nobody. */
static int dismiss(struct stead_turn *turn, struct queue *queue, int64_t who)
{
    int code = 0;

    for (uint32_t at = 0; who != 0 && at < queue->waiting && code == 0;) {
        if (queue->waiters[at].who == who) {
            code = answer_waiter(turn, &queue->waiters[at], stead_packed(turn, "[]"));
            drop_waiter(queue, at);
        } else {
            at++;
        }
    }
    return code;
}

static int see_next(void *context, struct stead_slice key, struct stead_slice value)
{
    int64_t *next_ms = context;

    (void)value;
    if (key.size == 17)
        *next_ms = (int64_t)stead_hub_load_u64(key.data + 1);
    return 1;
}

/* Looks for the first message that cannot be seen yet when what is known of it is over: behind now lie the traces of
 * all that was taken and deleted lately, so not at every wait. */
static int find_next(struct stead_turn *turn, struct queue *queue)
{
    struct stead_hub_key from = stead_hub_message_key(queue->clock_ms + 1, 0), to = {.bytes = {'w'}, .size = 1};

    if (queue->next_ms > queue->clock_ms)
        return 0;
    queue->next_ms = INT64_MAX;
    return queue->depth == 0
               ? 0
               : stead_kv_scan(turn, stead_hub_key(&from), stead_hub_key(&to), 1, see_next, &queue->next_ms);
}

/* The timer of who waits: Q3. Waits and the timer are in the node's time, which may be behind the queue's clock (it was
 * set back, the queue has moved): so a timer that has rung is known as such, and no message was to be seen before. */
static int set_timer(struct stead_turn *turn, struct queue *queue)
{
    int code = queue->waiting == 0 ? 0 : find_next(turn, queue);
    int64_t due_ms = queue->next_ms, now_ms = stead_now_ms(turn);
    struct stead_slice nothing = {0};

    if (code != 0)
        return code;
    for (uint32_t at = 0; at < queue->waiting; at++)
        if (queue->waiters[at].until_ms < due_ms)
            due_ms = queue->waiters[at].until_ms;
    if (queue->waiting == 0 || (queue->timer_ms != 0 && queue->timer_ms <= due_ms))
        return 0;
    queue->timer_ms = due_ms;
    return stead_timer_after(turn, "look", due_ms > now_ms ? due_ms - now_ms : 0, "look", nothing);
}

/* Gives those who wait what there is, in their order, and an end to those whose time is over. */
static int serve(struct stead_turn *turn, struct queue *queue)
{
    struct taking taking = {.count = 0};
    struct stead_slice answer;
    int code = 0;

    for (uint32_t at = 0; at < queue->waiting && code == 0;) {
        const struct waiter waiter = queue->waiters[at];
        taking.count = 0;
        if (at == 0)
            code = collect(turn, queue, waiter.max, &taking);
        if (code == 0 && taking.count > 0) {
            code = take(turn, queue, &taking, waiter.hide_ms, &answer);
            if (code == 0)
                code = answer_waiter(turn, &waiter, answer);
            drop_waiter(queue, at);
        } else if (code == 0 && waiter.until_ms <= stead_now_ms(turn)) {
            queue->empty++;
            code = answer_waiter(turn, &waiter, stead_packed(turn, "[]"));
            drop_waiter(queue, at);
        } else {
            at++;
        }
    }
    return code == 0 ? set_timer(turn, queue) : code;
}

/* Nobody waits, and who polls shall not have to come again for each part of what was cancelled. */
static int remove_more(struct stead_turn *turn, struct queue *queue)
{
    struct taking taking;

    return queue->cancelled == 0 ? 0 : collect(turn, queue, STEAD_HUB_BATCH_MAX, &taking);
}

/* From the queue itself: a message has come, or there is more to remove; or the timer: one can be seen now, or somebody
 * has waited long enough. */
static int look(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct queue *queue = state;
    int64_t clock_ms = queue->clock_ms;
    uint64_t dequeues = queue->dequeues;

    (void)args;
    set_clock(turn, queue);
    queue->asked_ms = 0;
    if (queue->timer_ms <= stead_now_ms(turn))
        queue->timer_ms = 0;
    int code = queue->waiting == 0 ? remove_more(turn, queue) : serve(turn, queue);
    rest_clock(queue, clock_ms, dequeues);
    return code;
}

/* ---- Ops -------------------------------------------------------------------------------------- */

static int bad(struct stead_turn *turn, const char *what)
{
    return stead_fail(turn, "bad_argument", "%s", what);
}

/* A number of a map within bounds; the default stays without one. */
static bool take_number(struct stead_slice args, const char *field, int64_t least, int64_t most, int64_t *ret_it)
{
    int64_t it = *ret_it;

    if (stead_get_i64(args, field, &it) == STEAD_EARGUMENT || it < least || it > most)
        return false;
    *ret_it = it;
    return true;
}

/* Asks itself to serve those who wait. What is put in before that turn comes is seen by it too: one for all of them.
 * It is a tell, which a full mailbox drops: so what comes in a later millisecond asks again. */
static int ask_to_look(struct stead_turn *turn, struct queue *queue)
{
    int64_t now_ms = stead_now_ms(turn);

    if (queue->waiting == 0 || queue->asked_ms == now_ms)
        return 0;
    queue->asked_ms = now_ms;
    return stead_tell(turn, stead_self(turn), "look", (struct stead_slice){0});
}

/* Puts a message in, whatever its id. */
static int put_in(struct stead_turn *turn, struct queue *queue, struct stead_slice id, struct stead_slice body,
                  int64_t delay_ms, bool watched)
{
    struct stead_hub_stored message = {.seen_ms = queue->clock_ms + delay_ms,
                                       .seq = ++queue->seq,
                                       .came_ms = queue->clock_ms,
                                       .id = id,
                                       .body = body,
                                       .apart = body.size > BODY_INLINE ? body.size : 0};
    int code = stead_hub_message_put(turn, &message);

    if (code == 0 && message.apart > 0)
        code = stead_hub_large_put(turn, stead_hub_body_key(message.seq), body);
    if (code == 0 && id.size > 0)
        code = stead_hub_ids_enter(turn, id, message.seq, watched || delay_ms > 0 ? message.seen_ms : 0);
    if (code == 0)
        code = ask_to_look(turn, queue);
    if (delay_ms > 0)
        note_hidden(queue, message.seen_ms);
    queue->depth++;
    queue->enqueued++;
    return code;
}

/* Ids that were deleted up to then are forgotten. */
static int64_t known_since(const struct queue *queue)
{
    return queue->clock_ms - stead_hub_id_kept_ms(queue->hide_ms);
}

static int enqueue(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct queue *queue = state;
    struct stead_slice id = {0}, body = {0};
    int64_t delay_ms = 0;
    uint64_t seq = 0;
    bool copy = false, watched = false;
    int code = stead_hub_unpack(turn, args, &args);

    if (code != 0)
        return code;
    if (stead_get_str(args, "id", &id) == STEAD_EARGUMENT || id.size > STEAD_HUB_ID_SIZE_MAX)
        return bad(turn, "id is a text of at most 400 bytes");
    if (stead_get_bool(args, "copy", &copy) == STEAD_EARGUMENT || (!copy && stead_hub_own_id(id).size != id.size))
        return bad(turn, "an id with '#' is that of a copy, and copy is true or false");
    if (stead_get_bool(args, "watch", &watched) == STEAD_EARGUMENT)
        return bad(turn, "watch is true or false");
    if (!take_number(args, "delay", 0, STEAD_HUB_DELAY_MS_MAX, &delay_ms))
        return bad(turn, "delay is from 0 ms to a century");
    if (stead_get_value(args, "body", &body) == 0 && body.size > STEAD_HUB_BODY_MAX)
        return stead_fail(turn, "too_large", "a message has at most %u bytes", STEAD_HUB_BODY_MAX);
    set_clock(turn, queue);
    if (queue->forget_ms == 0)
        queue->forget_ms = known_since(queue);
    bool known = id.size > 0 && !STEAD_AGENT_FAULT(message_id_ignored);
    code = known ? stead_hub_ids_find(turn, id, known_since(queue), &seq) : STEAD_ENOTFOUND;
    if (code == 0) {
        queue->duplicates++;
        return stead_reply(turn, stead_packed(turn, "{s:u,s:b}", "seq", seq, "new", 0));
    }
    code = code == STEAD_ENOTFOUND ? put_in(turn, queue, id, body, delay_ms, watched) : code;
    if (code == 0 && id.size > 0)
        code = stead_hub_ids_forget(turn, known_since(queue), &queue->forget_ms);
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "{s:u,s:b}", "seq", queue->seq, "new", 1));
}

static int wait_for(struct stead_turn *turn, struct queue *queue, const struct waiter *asked)
{
    struct waiter *waiter = &queue->waiters[queue->waiting];

    if (queue->waiting == WAITERS_MAX)
        return stead_fail(turn, "busy", "%u wait for this queue already", WAITERS_MAX);
    *waiter = *asked;
    int code = stead_reply_later(turn, &waiter->token);
    if (code != 0)
        return code;
    queue->waiting++;
    return set_timer(turn, queue);
}

static int dequeue(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct queue *queue = state;
    struct taking taking;
    struct stead_slice answer;
    int64_t max = 1, hide_ms = STEAD_HUB_HIDE_MS, wait_ms = 0, who = 0;

    if (!take_number(args, "who", 0, INT64_MAX, &who) || !take_number(args, "max", 1, STEAD_HUB_BATCH_MAX, &max) ||
        !take_number(args, "hide", 1, HIDE_MS_MAX, &hide_ms) || !take_number(args, "wait", 0, WAIT_MS_MAX, &wait_ms))
        return bad(turn, "max is from 1 to 32, hide from 1 to 3600000 ms, wait from 0 to 3600000 ms, who a number");
    int64_t clock_ms = queue->clock_ms;
    uint64_t dequeues = queue->dequeues;
    if (hide_ms > STEAD_HUB_HIDE_MS && hide_ms > queue->hide_ms)
        queue->hide_ms = hide_ms;
    set_clock(turn, queue);
    int code = dismiss(turn, queue, who);
    if (code == 0 && queue->waiting > 0)
        code = serve(turn, queue);
    if (code == 0)
        code = collect(turn, queue, (uint32_t)max, &taking);
    if (code != 0)
        return code;
    if (taking.count > 0) {
        code = take(turn, queue, &taking, hide_ms, &answer);
        return code != 0 ? code : stead_reply(turn, answer);
    }
    if (wait_ms > 0) {
        const struct waiter asked = {
            .max = (uint32_t)max, .who = who, .hide_ms = hide_ms, .until_ms = stead_now_ms(turn) + wait_ms};
        code = wait_for(turn, queue, &asked);
    } else {
        queue->empty++;
        code = stead_reply(turn, stead_packed(turn, "[]"));
    }
    rest_clock(queue, clock_ms, dequeues);
    return code;
}

/* The message of this number that was taken with this receipt; or, never taken, was found with it by `peek`. */
static int find_taken(struct stead_turn *turn, uint64_t seq, uint64_t receipt, struct stead_hub_stored *ret_message)
{
    struct stead_hub_key key = stead_hub_message_key((int64_t)receipt, seq);
    struct stead_slice value;
    int code = stead_kv_get(turn, stead_hub_key(&key), &value);

    if (code == 0)
        code = stead_hub_message_read(stead_hub_key(&key), value, ret_message);
    return code;
}

static int delete_one(struct stead_turn *turn, struct queue *queue, uint64_t seq, uint64_t receipt)
{
    struct stead_hub_stored message;
    int code = find_taken(turn, seq, receipt, &message);

    if (code == 0)
        code = remove_message(turn, queue, &message);
    return code == STEAD_ENOTFOUND ? 0 : code;
}

static int delete_them(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct queue *queue = state;
    struct stead_reader reader = stead_reader(args);
    uint32_t count, two;
    uint64_t before = queue->deleted, seq, receipt;
    int code = 0;

    if (stead_read_array(&reader, &count) != 0 || count > DELETE_MAX)
        return bad(turn, "delete takes up to 1000 of [number, receipt]");
    set_clock(turn, queue);
    for (; count > 0 && code == 0; count--) {
        if (stead_read_array(&reader, &two) != 0 || two != 2 || stead_read_u64(&reader, &seq) != 0 ||
            stead_read_u64(&reader, &receipt) != 0)
            return bad(turn, "delete takes up to 1000 of [number, receipt]");
        code = delete_one(turn, queue, seq, receipt);
    }
    queue->deletes++;
    if (code == 0)
        code = stead_hub_ids_forget(turn, known_since(queue), &queue->forget_ms);
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "u", queue->deleted - before));
}

static int renew(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct queue *queue = state;
    struct stead_hub_stored message;
    uint64_t seq = 0, receipt = 0;
    int64_t hide_ms = STEAD_HUB_HIDE_MS;

    if (stead_get_u64(args, "seq", &seq) != 0 || stead_get_u64(args, "receipt", &receipt) != 0 ||
        !take_number(args, "hide", 1, HIDE_MS_MAX, &hide_ms))
        return bad(turn, "renew takes seq, receipt and hide, 1 to 3600000 ms");
    set_clock(turn, queue);
    int code = find_taken(turn, seq, receipt, &message);
    if (code != 0 || is_unwanted(turn, queue, message.id))
        return code != 0 ? code : STEAD_ENOTFOUND;
    code = delete_row(turn, stead_hub_message_key((int64_t)receipt, seq));
    message.seen_ms = queue->clock_ms + hide_ms;
    if (message.seen_ms <= (int64_t)receipt &&
        !STEAD_AGENT_FAULT(
            receipt_given_twice)) /* Q2: an earlier moment could be a receipt again that was given before */
        message.seen_ms = (int64_t)receipt + 1;
    if (code == 0)
        code = stead_hub_message_put(turn, &message);
    note_hidden(queue, message.seen_ms);
    queue->renewed++;
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "u", (uint64_t)message.seen_ms));
}

/* What nobody has taken goes at once, as a timer that would be in the queue until it is due. */
static int cancel_one(struct stead_turn *turn, struct queue *queue, struct stead_slice id, bool *ret_found)
{
    struct stead_hub_key key = {.size = 0};
    struct stead_hub_stored message;
    struct stead_slice value;
    int code = stead_hub_ids_cancel(turn, id, &queue->cancelled, ret_found, &key);

    if (code != 0 || key.size == 0)
        return code;
    code = stead_kv_get(turn, stead_hub_key(&key), &value);
    if (code == 0)
        code = stead_hub_message_read(stead_hub_key(&key), value, &message);
    if (code == 0) {
        set_clock(turn, queue);
        code = remove_message(turn, queue, &message);
    }
    return code == STEAD_ENOTFOUND ? 0 : code;
}

static int cancel(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct queue *queue = state;
    struct stead_reader reader = stead_reader(args);
    struct stead_slice id;
    uint64_t found = 0;
    uint32_t count;
    int code = 0;

    if (stead_read_array(&reader, &count) != 0 || count > DELETE_MAX)
        return bad(turn, "cancel takes up to 1000 ids");
    for (; count > 0 && code == 0; count--) {
        bool in_queue = false;
        if (stead_read_str(&reader, &id) != 0 || id.size == 0 || id.size > STEAD_HUB_ID_SIZE_MAX)
            return bad(turn, "cancel takes up to 1000 ids");
        code = cancel_one(turn, queue, id, &in_queue);
        found += in_queue;
    }
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "u", found));
}

/* ---- Looking inside ----------------------------------------------------------------------------- */

struct counting {
    uint32_t count;
    int64_t first_ms; /* when the first one came; 0: none */
};

static int count_message(void *context, struct stead_slice key, struct stead_slice value)
{
    struct counting *counting = context;
    struct stead_hub_stored message;

    if (counting->count++ == 0 && stead_hub_message_read(key, value, &message) == 0)
        counting->first_ms = message.came_ms;
    return 0;
}

static int status(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct queue *queue = state;
    struct counting first = {0}, hidden = {0};
    struct stead_hub_key from = stead_hub_message_key(queue->head_ms, queue->head_seq),
                         to = {.bytes = {'w'}, .size = 1};
    int64_t now_ms = stead_now_ms(turn) > queue->clock_ms ? stead_now_ms(turn) : queue->clock_ms;
    struct stead_hub_key later = stead_hub_message_key(now_ms + 1, 0);

    (void)args;
    int code = stead_kv_scan(turn, stead_hub_key(&from), stead_hub_key(&to), 1, count_message, &first);
    if (code == 0)
        code = stead_kv_scan(turn, stead_hub_key(&later), stead_hub_key(&to), HIDDEN_COUNTED, count_message, &hidden);
    if (code != 0)
        return code;
    return stead_reply(turn, stead_packed(turn, "{s:l,s:u,s:l,s:u,s:u,s:u,s:u,s:u,s:u,s:u,s:u,s:u}", "depth",
                                          queue->depth, "hidden", (uint64_t)hidden.count, "oldest", first.first_ms,
                                          "enqueued", queue->enqueued, "dequeued", queue->dequeued, "empty",
                                          queue->empty, "deleted", queue->deleted, "renewed", queue->renewed,
                                          "duplicates", queue->duplicates, "dequeues", queue->dequeues, "deletes",
                                          queue->deletes, "waiting", (uint64_t)queue->waiting));
}

static int peek(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct queue *queue = state;
    int64_t max = STEAD_HUB_BATCH_MAX, from_ms = queue->head_ms, from_seq = (int64_t)queue->head_seq;

    if (!take_number(args, "max", 1, PEEK_MAX, &max) || !take_number(args, "from_ms", 0, INT64_MAX, &from_ms) ||
        !take_number(args, "from_seq", 0, INT64_MAX, &from_seq))
        return bad(turn, "peek takes max, 1 to 1000, from_ms and from_seq");
    return stead_hub_messages_tell(turn, stead_hub_message_key(from_ms, (uint64_t)from_seq), (uint32_t)max);
}

static int drop_queue(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_destroy(turn);
}

static const struct stead_op ops[] = {
    {"enqueue", enqueue, NULL, 0, "{id, body, delay, watch}: puts a message in"},
    {"piece", stead_hub_piece, NULL, 0, "{parcel, at, bytes}: of the args of an operation that follows"},
    {"body", stead_hub_message_tell_body, NULL, STEAD_OP_READ_ONLY, "{seq, at}: a part of a long body"},
    {"dequeue", dequeue, NULL, STEAD_OP_QUIET, "{max, hide, wait, who}: takes messages, hidden for a while"},
    {"delete", delete_them, NULL, 0, "[[number, receipt]...]: what was taken is done"},
    {"retire", delete_them, NULL, STEAD_OP_PATIENT, "the same, without haste"},
    {"renew", renew, NULL, 0, "{seq, receipt, hide}: hides it on"},
    {"cancel", cancel, NULL, STEAD_OP_QUIET, "[id...]: they go, what was taken when it is next taken or renewed"},
    {"gone", stead_hub_queue_gone, NULL, STEAD_OP_READ_ONLY, "[id...]: those of them that were cancelled"},
    {"untaken", stead_hub_queue_untaken, NULL, STEAD_OP_READ_ONLY, "[id...]: watched ones that nobody has taken"},
    {"due", stead_hub_queue_due, NULL, STEAD_OP_READ_ONLY, "id: when a delayed one can be seen first, or 0"},
    {"status", status, NULL, STEAD_OP_READ_ONLY, "depth, and what was done so far"},
    {"peek", peek, NULL, STEAD_OP_READ_ONLY, "{max, from_ms, from_seq}: what is in it, taking nothing"},
    {"drop", drop_queue, NULL, STEAD_OP_FREES, "forgets the queue with all that is in it"},
    {"look", look, NULL, STEAD_OP_QUIET, "from itself: serves those who wait"},
    {NULL, NULL, NULL, 0, NULL}};

const struct stead_kind stead_hub_queue_kind = {.abi = STEAD_ABI,
                                                .struct_size = sizeof(struct stead_kind),
                                                .name = STEAD_HUB_QUEUE_KIND,
                                                .help = "a queue of a task hub",
                                                .durability = STEAD_DURABLE,
                                                .state_size = sizeof(struct queue),
                                                .fields = fields,
                                                .ops = ops};
