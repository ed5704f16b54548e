/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keys: idempotency keys of clients and of agents' calls.
 *
 * The first request with a key (scope: the address) runs, and its answer is kept with the key in the commit of its
 * effect; the same key with another op or payload is a conflict. While the first is being run, others with its key wait
 * and are answered with it: in memory while it is in a queue, in the OWED row once its op has kept a token. What waits
 * in memory is like a mailbox (invariant M3): as long, counted with them, ended at its deadline or when it is
 * cancelled. What is behind one that waits so does not wait with it, as little as behind one that was deferred: should
 * the first end without an effect, it runs behind those of its session that were let in meanwhile.
 *
 * A call of an agent is judged when it is about to run, not when it comes: it may have waited in a channel or on disk,
 * where nothing in memory knows of it. All with one key have one receiver, which runs them one after the other, so the
 * row alone decides; so does a client's request that has waited.
 *
 * IDEMPOTENCY row: version u8 | state u8 (1 answered, 2 owed) | class u8 | 0 | status i32 | time ms u64 | hash of op
 * and payload u64 | token 16 or payload. A key lasts settings.idempotency_ms from its answer on; an older row counts as
 * none and is replaced. One that is owed an answer lasts until it has that.
 */
#include "runtime/address.h"
#include "runtime/shard.h"
#include "runtime/waiting.h"

#define ROW_HEAD 24u
#define ROWS_PER_SWEEP 4096u /* a sweep runs between turns; the next one goes on behind them */
enum { STATE_ANSWERED = 1, STATE_OWED = 2 };

/* A keyed request that is being run. */
struct stead_key_running {
    uint64_t hash;              /* of address and key */
    uint64_t content;           /* of op and payload */
    struct stead_id id;         /* of the request */
    struct stead_queue waiters; /* for its answer; their bytes are in host->message_bytes */
};

static uint64_t scope_hash(const struct stead_message *request)
{
    return stead_hash(request->address, request->address_size) * 31u + stead_hash(request->key, request->key_size);
}

static uint64_t content_hash(const struct stead_message *request)
{
    return stead_hash(request->op, request->op_size) * 31u + stead_hash(request->payload, request->payload_size);
}

static void key_row(struct stead_row_key *row, const struct stead_message *request)
{
    stead_row_begin(row, request->slot, STEAD_ROW_IDEMPOTENCY);
    stead_row_add_address(row, stead_bytes(request->address, request->address_size));
    stead_row_add(row, stead_bytes(request->key, request->key_size));
}

static struct stead_key_running *find_running(struct stead_shard *shard, uint64_t hash)
{
    uint32_t at;
    return stead_map_first(&shard->keys_running, hash,
                           &at); /* 64 bits of hash are the identity here: a collision waits a moment */
}

static bool too_old(const struct stead_shard *shard, struct stead_slice row)
{
    return row.data[1] != STATE_OWED &&
           stead_load64(row.data + 8) + shard->host->settings.idempotency_ms <= shard->host->now_ms;
}

static void write_row(struct stead_shard *shard, const struct stead_message *request, uint64_t content, uint8_t state,
                      uint8_t durability, int status, struct stead_slice rest)
{
    struct stead_writer value;
    struct stead_row_key key;
    uint8_t head[ROW_HEAD] = {1, state, durability, 0};

    stead_store32(head + 4, (uint32_t)status);
    stead_store64(head + 8, shard->host->now_ms);
    stead_store64(head + 16, content);
    stead_writer_init(&value);
    stead_write_raw(&value, head, sizeof(head));
    stead_write_raw(&value, rest.data, rest.size);
    key_row(&key, request);
    stead_shard_put(shard, &key, stead_written(&value), false);
    stead_shard_dirty(shard, true);
    stead_writer_deinit(&value);
}

bool stead_key_known(struct stead_shard *shard, struct stead_message *request)
{
    struct stead_row_key key;
    struct stead_writer row;
    bool known = false;

    key_row(&key, request);
    stead_writer_init(&row);
    if (stead_shard_read(shard, &shard->host->doors, &key, &row) == 0 && row.size >= ROW_HEAD &&
        !too_old(shard, stead_written(&row))) {
        known = true;
        struct stead_slice rest = stead_bytes(row.data + ROW_HEAD, row.size - ROW_HEAD);
        if (stead_load64(row.data + 16) != content_hash(request)) {
            stead_shard_refuse(shard, request, STEAD_ECONFLICT, NULL, NULL, false, 0);
        } else if (row.data[1] == STATE_OWED && rest.size == sizeof(struct stead_id)) {
            struct stead_id token;
            memcpy(token.v, rest.data, sizeof(token.v));
            stead_owed_attach(shard, request, token);
            struct stead_session *session = stead_session_of(shard, request);
            if (session != NULL)
                stead_session_owed(shard, session, request, token);
        } else {
            struct stead_message *answer = stead_message_answer(request, 0, NULL, rest);
            answer->status = (int32_t)stead_load32(row.data + 4);
            answer->durability = row.data[2];
            stead_shard_reply(shard, request, answer, true, shard->next_index);
            stead_shard_dirty(shard, true);
        }
    }
    stead_writer_deinit(&row);
    return known;
}

static void wait_for_first(struct stead_shard *shard, struct stead_key_running *running, struct stead_message *request)
{
    struct stead_host *host = shard->host;
    struct stead_session *session = stead_session_of(shard, request);

    if (running->waiters.count >= host->settings.mailbox_messages_max || stead_host_mailboxes_full(host)) {
        host->stats.refused_busy++;
        stead_shard_refuse(shard, request, STEAD_EBUSY, NULL, NULL, false, 0);
        stead_message_destroy(&request);
        return;
    }
    if (session != NULL)
        stead_session_running(shard, session, request);
    host->message_bytes += request->block_size;
    stead_queue_push(&running->waiters, request);
}

bool stead_key_judge(struct stead_shard *shard, struct stead_message **consumed)
{
    struct stead_message *request = *consumed;
    uint64_t hash = scope_hash(request);
    struct stead_key_running *running = find_running(shard, hash);

    if (running != NULL && running->content != content_hash(request)) {
        stead_shard_refuse(shard, request, STEAD_ECONFLICT, NULL, NULL, false, 0);
        stead_message_destroy(consumed);
        return true;
    }
    if (running != NULL) {
        *consumed = NULL;
        wait_for_first(shard, running, request);
        return true;
    }
    if (stead_key_known(shard, request)) {
        stead_message_destroy(consumed);
        return true;
    }
    running = stead_alloc_zero(sizeof(*running));
    running->hash = hash;
    running->content = content_hash(request);
    running->id = request->id;
    stead_map_add(&shard->keys_running, hash, running);
    return false;
}

/* The first is done, one way or the other: those that waited for it are judged again, before what has come since and
 * has not been judged. */
static void wake_waiters(struct stead_shard *shard, const struct stead_message *request)
{
    uint64_t hash = scope_hash(request);
    struct stead_key_running *running = find_running(shard, hash);
    struct stead_queue again = {0};
    struct stead_message *waiter;

    if (running == NULL || !stead_id_equal(running->id, request->id))
        return;
    stead_map_remove(&shard->keys_running, hash, running);
    shard->host->message_bytes -= running->waiters.bytes;
    while ((waiter = stead_queue_pop(&running->waiters)) != NULL) {
        struct stead_session *session = stead_session_of(shard, waiter);
        if (session != NULL)
            stead_session_forget(session, waiter->session.number);
        stead_queue_push(&again, waiter);
    }
    stead_queue_prepend(&shard->inbox, &again);
    free(running);
}

/* Answers those that `ends` picks with `status`; nothing of them was run. */
static void end_waiters(struct stead_shard *shard, struct stead_key_running *running, int status,
                        bool (*ends)(const struct stead_shard *shard, const struct stead_message *cancel,
                                     const struct stead_message *waiter),
                        const struct stead_message *cancel)
{
    for (uint32_t left = running->waiters.count; left > 0; left--) {
        struct stead_message *waiter = stead_queue_pop(&running->waiters);
        if (!ends(shard, cancel, waiter)) {
            stead_queue_push(&running->waiters, waiter);
            continue;
        }
        shard->host->message_bytes -= waiter->block_size;
        stead_shard_conclude(shard, waiter, false, false, status, NULL);
    }
}

static bool is_cancelled(const struct stead_shard *shard, const struct stead_message *cancel,
                         const struct stead_message *waiter)
{
    (void)shard;
    return stead_message_cancels(cancel, waiter);
}

static bool is_expired(const struct stead_shard *shard, const struct stead_message *cancel,
                       const struct stead_message *waiter)
{
    bool expired = waiter->deadline_ms != 0 && waiter->deadline_ms <= shard->host->wall_ms;

    (void)cancel;
    shard->host->stats.expired += expired;
    return expired;
}

void stead_keys_cancel(struct stead_shard *shard, const struct stead_message *cancel)
{
    for (uint32_t i = 0; shard->keys_running.entries != NULL && i <= shard->keys_running.mask; i++) {
        struct stead_key_running *running = stead_map_at(&shard->keys_running, i);
        if (running != NULL && running->waiters.head != NULL &&
            strcmp(running->waiters.head->address, cancel->address) == 0)
            end_waiters(shard, running, STEAD_ECANCELLED, is_cancelled, cancel);
    }
}

void stead_keys_expire(struct stead_shard *shard, uint32_t places)
{
    if (shard->keys_running.count > 0 && places > shard->keys_running.mask)
        places = shard->keys_running.mask + 1; /* none twice */
    for (; places > 0 && shard->keys_running.count > 0; places--) {
        struct stead_key_running *running =
            stead_map_at(&shard->keys_running, shard->key_expire_at++ & shard->keys_running.mask);
        if (running != NULL)
            end_waiters(shard, running, STEAD_EEXPIRED, is_expired, NULL);
    }
}

void stead_key_answered(struct stead_shard *shard, const struct stead_message *request,
                        const struct stead_message *answer)
{
    uint64_t content = content_hash(request);
    struct stead_row_key key;
    struct stead_writer row;
    bool answered = false;

    key_row(&key, request);
    stead_writer_init(&row);
    if (stead_shard_read(shard, &shard->host->doors, &key, &row) == 0 && row.size >= ROW_HEAD &&
        !too_old(shard, stead_written(&row))) {
        answered = row.data[1] == STATE_ANSWERED; /* by that row: it keeps its age */
        content = stead_load64(row.data + 16);    /* a request that was owed an answer was kept without its payload */
    }
    stead_writer_deinit(&row);
    if (!answered)
        write_row(shard, request, content, STATE_ANSWERED, answer->durability, answer->status,
                  stead_message_payload(answer));
    wake_waiters(shard, request);
}

void stead_key_owed(struct stead_shard *shard, const struct stead_message *request, struct stead_id token)
{
    write_row(shard, request, content_hash(request), STATE_OWED, STEAD_CLASS_DURABLE, 0,
              stead_bytes(token.v, sizeof(token.v)));
    wake_waiters(shard, request);
}

void stead_key_dropped(struct stead_shard *shard, const struct stead_message *request)
{
    wake_waiters(shard, request);
}

struct aged_keys {
    struct stead_shard *shard;
    struct stead_writer keys; /* (u16 size, row key)* of rows past their age */
    uint32_t left;            /* rows that may still be looked at */
};

static int visit_key(void *context, struct stead_slice key, struct stead_slice row)
{
    struct aged_keys *aged = context;
    struct stead_row_key *next = &aged->shard->key_sweep_from;
    uint16_t size = (uint16_t)key.size;

    if (row.size < ROW_HEAD || too_old(aged->shard, row)) {
        stead_write_raw(&aged->keys, &size, sizeof(size));
        stead_write_raw(&aged->keys, key.data, key.size);
    }
    if (--aged->left > 0)
        return 0;
    memcpy(next->data, key.data, key.size);
    next->size = size;
    next->data[next->size++] = 0; /* behind it */
    return 1;
}

void stead_keys_sweep(struct stead_shard *shard)
{
    struct aged_keys aged = {.shard = shard, .left = ROWS_PER_SWEEP};
    stead_slot slot = shard->slots[shard->key_sweep_at % shard->slot_count];
    struct stead_row_key from = shard->key_sweep_from, to;

    stead_row_begin(&to, slot, STEAD_ROW_IDEMPOTENCY);
    if (from.size == 0)
        from = to;
    if (!stead_row_after_prefix(&to))
        return;
    stead_writer_init(&aged.keys);
    /* What cannot be read now is seen by a later sweep. */
    (void)stead_overlay_scan_merged(shard->overlay, &shard->host->doors, stead_row_slice(&from), stead_row_slice(&to),
                                    false, visit_key, &aged);
    if (aged.left > 0) {
        shard->key_sweep_from.size = 0;
        shard->key_sweep_at++;
    }
    for (size_t at = 0; at < aged.keys.size;) {
        uint16_t size = stead_load16(aged.keys.data + at);
        stead_overlay_delete(shard->overlay, shard->next_index, stead_bytes(aged.keys.data + at + 2, size));
        stead_shard_dirty(shard, false);
        at += 2u + size;
    }
    stead_writer_deinit(&aged.keys);
}

uint64_t stead_keys_check(const struct stead_shard *shard)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; shard->keys_running.entries != NULL && i <= shard->keys_running.mask; i++) {
        const struct stead_key_running *running = stead_map_at(&shard->keys_running, i);
        if (running == NULL)
            continue;
        bytes += running->waiters.bytes;
        STEAD_ASSERT(running->waiters.count <= shard->host->settings.mailbox_messages_max);
    }
    return bytes;
}

void stead_keys_deinit(struct stead_shard *shard)
{
    for (uint32_t i = 0; shard->keys_running.entries != NULL && i <= shard->keys_running.mask; i++) {
        struct stead_key_running *running = stead_map_at(&shard->keys_running, i);
        if (running == NULL)
            continue;
        shard->host->message_bytes -= running->waiters.bytes;
        stead_queue_clear(&running->waiters);
        free(running);
    }
    stead_map_deinit(&shard->keys_running);
}
