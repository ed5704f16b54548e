/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The carrier (carrier.h). On the hub a body is [kind, op, args]. A poll asks for a batch, hands each message on by a
 * tell to an agent of its own rank, and asks for their deletion; it does so once per interval, or again at once after a
 * full batch, so that a burst does not take an interval per batch.
 *
 *     timer ----> dequeue ----answer----> tell, tell, ... + delete        (polled)
 *                 dequeue(wait) --------> the same, and dequeue again     (notify)
 *                 dequeue --------------> the same, and the timer again, at an interval that the answer decides     (back-off)
 *
 * Dependent operations follow each other: the delete comes after the dequeue's answer. Enqueues depend on nothing and
 * on nobody. V9: at most one dequeue of a member is out, so a slow hub is not asked twice. A body comes from a queue
 * that anybody may write to, so it is looked at like any message from outside: only agents of this one's own family and
 * rank are told, what else is in it is dropped.
 */
#include "agents/carrier.h"

#include "agents/hub.h"

#define BATCH STEAD_HUB_BATCH_MAX
#define HIDE_MS 30000   /* long enough for one turn; a poller that dies leaves its batch hidden so long */
#define WAIT_MS 20000   /* of one long poll */
#define ANSWER_MS 30000 /* a storage operation takes no longer */
#define KIND_SIZE (STEAD_KIND_NAME_MAX + 1)
#define OP_SIZE (STEAD_OP_NAME_MAX + 1)

int stead_carrier_take(struct stead_turn *turn, struct stead_slice args, struct stead_carrier *carrier)
{
    struct stead_slice name = {0};
    int64_t poll_ms = STEAD_CARRIER_POLL_MS;
    bool hub = false, backoff = false;

    int code = stead_get_str(args, "fabric", &name);
    if (code == 0) {
        hub = stead_slice_equal(name, stead_str("hub"));
        code = hub || stead_slice_equal(name, stead_str("direct")) ? 0 : STEAD_EARGUMENT;
    }
    if (code == STEAD_EARGUMENT)
        return stead_fail(turn, "bad_fabric", "fabric is \"direct\" or \"hub\"");
    if (stead_get_i64(args, "poll_ms", &poll_ms) == STEAD_EARGUMENT || poll_ms < 0 ||
        poll_ms > STEAD_CARRIER_POLL_MS_MAX)
        return stead_fail(turn, "bad_poll", "poll_ms is from 0 (notify) to %u", STEAD_CARRIER_POLL_MS_MAX);
    if (stead_get_bool(args, "backoff", &backoff) == STEAD_EARGUMENT)
        return stead_fail(turn, "bad_backoff", "backoff is true or false");
    carrier->way = !hub           ? STEAD_CARRIER_DIRECT
                   : poll_ms == 0 ? STEAD_CARRIER_NOTIFY
                   : backoff      ? STEAD_CARRIER_BACKOFF
                                  : STEAD_CARRIER_POLL;
    carrier->poll_ms = (uint32_t)poll_ms;
    return 0;
}

void stead_carrier_reset(struct stead_carrier *carrier)
{
    *carrier = (struct stead_carrier){.way = carrier->way,
                                      .poll_ms = carrier->poll_ms,
                                      .next_ms = carrier->next_ms,
                                      .running = carrier->running,
                                      .polling = carrier->polling};
}

/* ---- Addresses ------------------------------------------------------------------------------ */

const char *stead_carrier_address(struct stead_turn *turn, const char *kind, uint32_t rank)
{
    const char *key = stead_self_key(turn);
    int group = 0;

    for (int at = 0; key[at] != '\0'; at++)
        if (key[at] == '/')
            group = at;
    return stead_printed(turn, "%s/%.*s/%u", kind, group, key, rank);
}

int stead_carrier_rank(struct stead_turn *turn, uint32_t rank_max, uint32_t *ret_rank)
{
    const char *key = stead_self_key(turn);
    uint32_t rank = 0;
    bool digits = false;

    for (; *key != '\0'; key++) {
        digits = *key == '/' || (digits && *key >= '0' && *key <= '9');
        rank = *key == '/' || rank > rank_max ? 0 : rank * 10 + (uint32_t)(*key - '0');
    }
    if (!digits || rank == 0 || rank > rank_max)
        return stead_fail(turn, "bad_key", "a member's key is GROUP/RANK, ranks from 1 to %u", rank_max);
    *ret_rank = rank;
    return 0;
}

/* ---- Sending -------------------------------------------------------------------------------- */

/* A storage operation; its answer comes to `reply_op`, with the moment it was asked for as context. */
static int ask_queue(struct stead_turn *turn, uint32_t rank, const char *op, struct stead_slice args,
                     const char *reply_op, int64_t timeout_ms)
{
    const struct stead_call_options options = {
        .reply_op = reply_op, .timeout_ms = timeout_ms, .context = stead_packed(turn, "u", stead_monotonic_ns(turn))};

    const char *address = rank == 0 ? stead_printed(turn, "%s/%s", STEAD_HUB_QUEUE_KIND, stead_self_key(turn))
                                    : stead_carrier_address(turn, STEAD_HUB_QUEUE_KIND, rank);
    return stead_call(turn, address, op, args, &options);
}

int stead_carrier_send(struct stead_turn *turn, struct stead_carrier *carrier, const char *kind, uint32_t self,
                       uint32_t rank, const char *op, struct stead_slice args)
{
    if (rank == self)
        return stead_tell(turn, stead_carrier_address(turn, kind, rank), op, args);
    carrier->messages++;
    if (carrier->way == STEAD_CARRIER_DIRECT)
        return stead_tell(turn, stead_carrier_address(turn, kind, rank), op, args);
    carrier->enqueues++;
    struct stead_slice body = stead_packed(turn, "[s,s,v]", kind, op, args);
    return ask_queue(turn, rank, "enqueue", stead_packed(turn, "{s:s,s:v,s:d}", "id", "", "body", body, "delay", 0),
                     STEAD_CARRIER_OP_STORED, ANSWER_MS);
}

int stead_carrier_stored(struct stead_turn *turn, struct stead_carrier *carrier)
{
    uint64_t asked_ns = 0;

    if (stead_reply_code(turn) != 0 || stead_get_u64(stead_call_context(turn), NULL, &asked_ns) != 0) {
        carrier->failed++;
        return 0;
    }
    carrier->stored++;
    carrier->stored_ns += stead_monotonic_ns(turn) - asked_ns;
    return 0;
}

/* ---- Polling -------------------------------------------------------------------------------- */

static int dequeue(struct stead_turn *turn, struct stead_carrier *carrier)
{
    int wait_ms = carrier->way == STEAD_CARRIER_NOTIFY ? WAIT_MS : 0;

    if (carrier->polling || !carrier->running) /* V9 */
        return 0;
    carrier->polling = true;
    carrier->dequeues++;
    return ask_queue(turn, 0, "dequeue",
                     stead_packed(turn, "{s:d,s:d,s:d}", "max", (int)BATCH, "hide", HIDE_MS, "wait", wait_ms),
                     STEAD_CARRIER_OP_POLLED, wait_ms + ANSWER_MS);
}

int stead_carrier_start(struct stead_turn *turn, struct stead_carrier *carrier)
{
    const struct stead_slice none = {NULL, 0};

    if (carrier->way == STEAD_CARRIER_DIRECT || carrier->running)
        return 0;
    carrier->running = true;
    carrier->next_ms = STEAD_CARRIER_FIRST_MS;
    if (carrier->way == STEAD_CARRIER_NOTIFY)
        return dequeue(turn, carrier);
    uint32_t first_ms = carrier->way == STEAD_CARRIER_BACKOFF ? carrier->next_ms : carrier->poll_ms;
    return stead_timer_after(turn, STEAD_CARRIER_OP_POLL, (int64_t)(stead_random(turn) % first_ms),
                             STEAD_CARRIER_OP_POLL, none);
}

void stead_carrier_stop(struct stead_turn *turn, struct stead_carrier *carrier)
{
    carrier->running = false;
    (void)stead_timer_cancel(turn, STEAD_CARRIER_OP_POLL);
}

int stead_carrier_poll(struct stead_turn *turn, struct stead_carrier *carrier)
{
    if (!carrier->running)
        return 0;
    int64_t next_ms = carrier->way == STEAD_CARRIER_POLL ? carrier->poll_ms : ANSWER_MS;
    int code =
        stead_timer_after(turn, STEAD_CARRIER_OP_POLL, next_ms, STEAD_CARRIER_OP_POLL, (struct stead_slice){NULL, 0});
    return code == 0 ? dequeue(turn, carrier) : code;
}

/* The same family: equal up to the dot. */
static bool is_family(const char *kind, const char *other)
{
    size_t at = 0;

    while (kind[at] == other[at] && kind[at] != '.' && kind[at] != '\0')
        at++;
    return kind[at] == '.' && other[at] == '.';
}

/* Tells one body to the agent of this rank that it is for; what is none is dropped. */
static int deliver(struct stead_turn *turn, struct stead_slice body)
{
    struct stead_reader reader = stead_reader(body);
    struct stead_slice kind, op, args;
    uint32_t parts = 0;

    if (stead_read_array(&reader, &parts) != 0 || parts != 3 || stead_read_str(&reader, &kind) != 0 ||
        stead_read_str(&reader, &op) != 0 || stead_read_value(&reader, &args) != 0 || kind.size >= KIND_SIZE ||
        op.size >= OP_SIZE)
        return 0;
    const char *name = stead_printed(turn, "%.*s", (int)kind.size, (const char *)kind.data);
    if (!is_family(name, stead_self(turn)))
        return 0;
    int code = stead_tell(turn, stead_printed(turn, "%s/%s", name, stead_self_key(turn)),
                          stead_printed(turn, "%.*s", (int)op.size, (const char *)op.data), args);
    return code == STEAD_EADDRESS || code == STEAD_EARGUMENT ? 0 : code;
}

/* Delivers all of a batch and asks for their deletion; how many there were. */
static int deliver_all(struct stead_turn *turn, struct stead_carrier *carrier, struct stead_slice batch,
                       uint32_t *ret_count)
{
    struct stead_reader reader = stead_reader(batch);
    struct stead_writer done;
    uint32_t count = 0, parts = 0;
    bool well_formed = true;
    int code = 0;

    if (stead_read_array(&reader, &count) != 0 || count == 0 || count > BATCH)
        return 0;
    stead_writer_init(&done);
    stead_write_array(&done, count);
    for (uint32_t at = 0; well_formed && code == 0 && at < count; at++) {
        struct stead_slice seq, receipt, body;
        well_formed = stead_read_array(&reader, &parts) == 0 && parts == 5 && stead_read_value(&reader, &seq) == 0 &&
                      stead_read_value(&reader, &receipt) == 0 && stead_read_skip(&reader) == 0 &&
                      stead_read_skip(&reader) == 0 && stead_read_value(&reader, &body) == 0;
        if (well_formed) {
            code = deliver(turn, body);
            stead_pack(&done, "[v,v]", seq, receipt);
        }
    }
    if (well_formed && code == 0) {
        carrier->deletes++;
        code = ask_queue(turn, 0, "delete", stead_written(&done), STEAD_CARRIER_OP_STORED, ANSWER_MS);
        *ret_count = count;
    }
    stead_writer_deinit(&done);
    return code;
}

/* After a poll: the next one is soon when there was something, later when there was nothing. 20 % off, so that members
 * do not poll in step. */
static int back_off(struct stead_turn *turn, struct stead_carrier *carrier, bool found)
{
    if (!carrier->running)
        return 0;
    if (found)
        carrier->next_ms = STEAD_CARRIER_FIRST_MS;
    uint32_t wait_ms = carrier->next_ms < carrier->poll_ms ? carrier->next_ms : carrier->poll_ms;
    carrier->next_ms = 2 * wait_ms;
    int64_t jittered_ms = (int64_t)wait_ms * (80 + (int64_t)(stead_random(turn) % 41)) / 100;
    return stead_timer_after(turn, STEAD_CARRIER_OP_POLL, jittered_ms, STEAD_CARRIER_OP_POLL,
                             (struct stead_slice){NULL, 0});
}

int stead_carrier_polled(struct stead_turn *turn, struct stead_carrier *carrier, struct stead_slice args)
{
    uint64_t asked_ns = 0;
    uint32_t count = 0;
    int code = 0;

    carrier->polling = false;
    if (stead_reply_code(turn) != 0) {
        carrier->failed++;
        /* Not at once: what fails may fail quickly. */
        return carrier->running ? stead_timer_after(turn, STEAD_CARRIER_OP_POLL, STEAD_CARRIER_POLL_MS,
                                                    STEAD_CARRIER_OP_POLL, (struct stead_slice){NULL, 0})
                                : 0;
    }
    code = deliver_all(turn, carrier, args, &count);
    carrier->empty += count == 0;
    if (carrier->way != STEAD_CARRIER_NOTIFY && stead_get_u64(stead_call_context(turn), NULL, &asked_ns) == 0) {
        carrier->taken++;
        carrier->taken_ns += stead_monotonic_ns(turn) - asked_ns;
    }
    if (code == 0 && (carrier->way == STEAD_CARRIER_NOTIFY || count == BATCH))
        return dequeue(turn, carrier);
    return code == 0 && carrier->way == STEAD_CARRIER_BACKOFF ? back_off(turn, carrier, count > 0) : code;
}

struct stead_slice stead_carrier_counters(struct stead_turn *turn, const struct stead_carrier *carrier)
{
    return stead_packed(turn, "{s:u,s:u,s:u,s:u,s:u,s:u,s:u,s:u,s:u,s:u}", "messages", carrier->messages, "enqueues",
                        carrier->enqueues, "dequeues", carrier->dequeues, "deletes", carrier->deletes, "empty",
                        carrier->empty, "failed", carrier->failed, "stored", carrier->stored, "stored_ns",
                        carrier->stored_ns, "taken", carrier->taken, "taken_ns", carrier->taken_ns);
}
