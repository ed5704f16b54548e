/* SPDX-License-Identifier: Apache-2.0 */
/* hub_ids: see hub_ids.h. */
#include "agents/hub_ids.h"

#include <string.h>

#include "agents/hub.h"
#include "agents/hub_message.h"

#define FORGET_PER_OP 8u

struct id_row {
    int64_t deleted_ms; /* 0: in the queue */
    uint64_t seq;
    bool cancelled;
    int64_t watched_ms; /* it can be seen from then, until it is first taken; 0: it is not watched */
};

static struct stead_hub_key id_key(struct stead_slice id)
{
    struct stead_hub_key key = {.bytes = {'i'}, .size = 1};

    stead_hub_key_add(&key, id);
    return key;
}

static struct stead_hub_key forget_key(int64_t deleted_ms, struct stead_slice id)
{
    struct stead_hub_key key = {.bytes = {'x'}, .size = 1};

    stead_hub_key_u64(&key, (uint64_t)deleted_ms);
    stead_hub_key_add(&key, id);
    return key;
}

static int get_row(struct stead_turn *turn, struct stead_slice id, struct id_row *ret_row)
{
    struct stead_hub_key key = id_key(id);
    struct stead_slice value;
    int code = stead_kv_get(turn, stead_hub_key(&key), &value);

    if (code != 0)
        return code;
    if (value.size != 16 && value.size != 24 && value.size != 32)
        return STEAD_ECORRUPT;
    *ret_row = (struct id_row){.deleted_ms = (int64_t)stead_hub_load_u64(value.data),
                               .seq = stead_hub_load_u64(value.data + 8),
                               .cancelled = value.size > 16 && stead_hub_load_u64(value.data + 16) != 0,
                               .watched_ms = value.size == 32 ? (int64_t)stead_hub_load_u64(value.data + 24) : 0};
    return 0;
}

static int put_row(struct stead_turn *turn, struct stead_slice id, const struct id_row *row)
{
    struct stead_hub_key key = id_key(id), value = {.size = 0};

    stead_hub_key_u64(&value, (uint64_t)row->deleted_ms);
    stead_hub_key_u64(&value, row->seq);
    if (row->cancelled || row->watched_ms != 0)
        stead_hub_key_u64(&value, row->cancelled);
    if (row->watched_ms != 0)
        stead_hub_key_u64(&value, (uint64_t)row->watched_ms);
    return stead_kv_put(turn, stead_hub_key(&key), stead_hub_key(&value));
}

/* It was deleted: known for a while, then forgotten. */
static int put_deleted(struct stead_turn *turn, struct stead_slice id, uint64_t seq, int64_t clock_ms)
{
    const struct id_row row = {.deleted_ms = clock_ms, .seq = seq};
    struct stead_hub_key forget = forget_key(clock_ms, id);
    int code = put_row(turn, id, &row);

    return code != 0 ? code : stead_kv_put(turn, stead_hub_key(&forget), stead_str("1"));
}

static bool is_copy(struct stead_slice id)
{
    return stead_hub_own_id(id).size != id.size;
}

int stead_hub_ids_find(struct stead_turn *turn, struct stead_slice id, int64_t known_since_ms, uint64_t *ret_seq)
{
    struct id_row row;
    int code = get_row(turn, id, &row);

    if (code != 0)
        return code;
    if (row.deleted_ms != 0 && row.deleted_ms <= known_since_ms)
        return STEAD_ENOTFOUND;
    *ret_seq = row.seq;
    return 0;
}

int stead_hub_ids_enter(struct stead_turn *turn, struct stead_slice id, uint64_t seq, int64_t watched_ms)
{
    struct stead_slice own = stead_hub_own_id(id);
    struct id_row row = {.seq = seq, .watched_ms = watched_ms}, before;
    int code = is_copy(id) ? put_row(turn, id, &row) : 0;

    if (code == 0 && is_copy(id) && get_row(turn, own, &before) == 0)
        row.cancelled = before.cancelled; /* while it was on its way back */
    return code != 0 ? code : put_row(turn, own, &row);
}

int stead_hub_ids_leave(struct stead_turn *turn, struct stead_slice id, uint64_t seq, int64_t clock_ms,
                        int64_t *cancelled)
{
    struct stead_slice own = stead_hub_own_id(id);
    struct id_row row;
    int code = is_copy(id) ? put_deleted(turn, id, seq, clock_ms) : 0;

    if (code != 0)
        return code;
    bool known = get_row(turn, own, &row) == 0;
    if (known && row.seq != seq && row.deleted_ms == 0)
        return 0; /* it has gone on as another one */
    *cancelled -= known && row.cancelled;
    return put_deleted(turn, own, seq, clock_ms);
}

int stead_hub_ids_cancel(struct stead_turn *turn, struct stead_slice id, int64_t *cancelled, bool *ret_found,
                         struct stead_hub_key *ret_untaken)
{
    struct stead_slice own = stead_hub_own_id(id);
    struct id_row row;
    int code = get_row(turn, own, &row);

    *ret_found = code == 0 && row.deleted_ms == 0 && !row.cancelled;
    if (!*ret_found)
        return code == STEAD_ENOTFOUND ? 0 : code;
    row.cancelled = true;
    ++*cancelled;
    if (row.watched_ms != 0)
        *ret_untaken = stead_hub_message_key(row.watched_ms, row.seq);
    return put_row(turn, own, &row);
}

bool stead_hub_ids_unwanted(struct stead_turn *turn, struct stead_slice id)
{
    struct id_row row;

    return get_row(turn, stead_hub_own_id(id), &row) == 0 && row.cancelled;
}

/* Taking a message moves its row. When it can be seen first; 0: it was taken, is not watched, or nobody wants it. */
static int64_t seen_first(struct stead_turn *turn, struct stead_slice id)
{
    struct stead_slice value;
    struct id_row row;

    if (get_row(turn, stead_hub_own_id(id), &row) != 0 || row.deleted_ms != 0 || row.cancelled || row.watched_ms == 0)
        return 0;
    struct stead_hub_key key = stead_hub_message_key(row.watched_ms, row.seq);
    return stead_kv_get(turn, stead_hub_key(&key), &value) == 0 ? row.watched_ms : 0;
}

static bool is_untaken(struct stead_turn *turn, struct stead_slice id)
{
    return seen_first(turn, id) != 0;
}

/* ---- Forgetting ----------------------------------------------------------------------------- */

struct old_ids {
    struct stead_turn *turn;
    struct stead_slice keys[FORGET_PER_OP];
    uint32_t count;
};

static int see_old_id(void *context, struct stead_slice key, struct stead_slice value)
{
    struct old_ids *old = context;

    (void)value;
    old->keys[old->count++] = stead_hub_copy(old->turn, key);
    return 0;
}

/* The row of an id that was deleted, put in again and is in the queue now stays: its other row says so. */
static int forget_id(struct stead_turn *turn, struct stead_slice old)
{
    struct stead_slice id = stead_bytes(old.data + 9, old.size - 9);
    struct stead_hub_key key = id_key(id);
    struct id_row row;
    int code = get_row(turn, id, &row);

    if (code == 0 && row.deleted_ms == (int64_t)stead_hub_load_u64(old.data + 1))
        code = stead_kv_delete(turn, stead_hub_key(&key));
    return code == 0 || code == STEAD_ENOTFOUND ? stead_kv_delete(turn, old) : code;
}

int stead_hub_ids_forget(struct stead_turn *turn, int64_t known_since_ms, int64_t *forget_ms)
{
    struct old_ids old = {.turn = turn};
    struct stead_slice nothing = {0};

    if (*forget_ms >= known_since_ms)
        return 0;
    struct stead_hub_key from = forget_key(*forget_ms, nothing), to = forget_key(known_since_ms, nothing);
    int code = stead_kv_scan(turn, stead_hub_key(&from), stead_hub_key(&to), FORGET_PER_OP, see_old_id, &old);
    for (uint32_t at = 0; at < old.count && code == 0; at++)
        code = forget_id(turn, old.keys[at]);
    *forget_ms =
        old.count < FORGET_PER_OP ? known_since_ms : (int64_t)stead_hub_load_u64(old.keys[old.count - 1].data + 1);
    return code;
}

/* ---- Asked by who works for one ------------------------------------------------------------- */

/* Answers with those of the ids that are so. */
static int tell_those(struct stead_turn *turn, struct stead_slice args,
                      bool (*is_so)(struct stead_turn *turn, struct stead_slice id))
{
    struct stead_reader reader = stead_reader(args);
    struct stead_writer list, answer;
    struct stead_slice id;
    uint32_t count, those = 0;

    if (stead_read_array(&reader, &count) != 0 || count > STEAD_HUB_GONE_MAX)
        return stead_fail(turn, "bad_argument", "it takes up to %u ids", STEAD_HUB_GONE_MAX);
    stead_writer_init(&list);
    stead_writer_init(&answer);
    for (; count > 0 && stead_read_str(&reader, &id) == 0; count--) {
        if (id.size > STEAD_HUB_ID_SIZE_MAX || !is_so(turn, id))
            continue;
        stead_write_str_slice(&list, id);
        those++;
    }
    stead_write_array(&answer, those);
    stead_write_raw(&answer, list.data, list.size);
    int code = stead_reply(turn, stead_written(&answer));
    stead_writer_deinit(&list);
    stead_writer_deinit(&answer);
    return code;
}

int stead_hub_queue_gone(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state;
    return tell_those(turn, args, stead_hub_ids_unwanted);
}

int stead_hub_queue_untaken(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state;
    return tell_those(turn, args, is_untaken);
}

int stead_hub_queue_due(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_slice id;
    struct id_row row;

    (void)state;
    if (stead_get_str(args, NULL, &id) != 0 || id.size > STEAD_HUB_ID_SIZE_MAX)
        return stead_fail(turn, "bad_argument", "due takes an id");
    int code = get_row(turn, stead_hub_own_id(id), &row);
    if (code != 0 || row.deleted_ms != 0 || row.cancelled)
        return code != 0 ? code : STEAD_ENOTFOUND;
    return stead_reply(turn, stead_packed(turn, "l", seen_first(turn, id)));
}
