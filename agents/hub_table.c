/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_table: the history and instances tables of one partition of a task hub, as keyed state of a durable agent
 * (docs/FORMATS.md, "The hub"):
 *
 *     n (id)                  the small part of an instance's row: [etag, rows, row number, purge time, map]
 *     p (id) 0 (i|o|c)        its input, output and custom status
 *     h (id) 0 (number)       its history, row by row
 *     z (ms) (id)             an instance that is to be purged then, or what one left (hub_past.c)
 *     y (id) 0 (number)       (number): history rows from the one to the other (exclusive) that belong to nobody any more and are deleted little by little
 *
 * An id has no control character, so a zero byte ends it. Numbers of history rows begin with the time of the instance's
 * creation, so that those of an instance that was purged are not met again. Every operation is a commit of its own. A
 * write names the etag that it has read: a worker whose lease was taken over cannot write over what its successor
 * wrote.
 *
 * Who waits for an instance's end is remembered in memory alone (promises of a quiet op), by id and by time; the write
 * that ends an instance tells the table itself to look. So many as one turn can answer wait for an instance.
 */
#include "agents/agents.h"

#include "agents/hub_large.h"
#include "agents/hub_table.h"

#define WAIT_MS_MAX 3600000
#define PURGE_PER_TURN 5u /* each may delete ROWS_PER_TURN rows */
#define ROWS_PER_TURN 1000u
#define ANSWERS_BYTES_MAX (4u << 20) /* of those who wait: the next look goes on */
#define ETAG_BITS 20u                /* below a birth: writes */
#define ROW_BITS 16u                 /* ... history rows: a birth and so many rows are never within one ms */

static const struct stead_field fields[] = {STEAD_FIELD(I64, struct stead_hub_table, instances),
                                            STEAD_FIELD(U64, struct stead_hub_table, creates),
                                            STEAD_FIELD(U64, struct stead_hub_table, writes),
                                            STEAD_FIELD(U64, struct stead_hub_table, purges),
                                            STEAD_FIELD(I64, struct stead_hub_table, retain_ms),
                                            STEAD_FIELD(I64, struct stead_hub_table, births),
                                            STEAD_FIELDS_END};

/* ---- Keys and rows --------------------------------------------------------------------------- */

static struct stead_hub_key purge_key(int64_t at_ms, struct stead_slice id)
{
    struct stead_hub_key key = {.bytes = {'z'}, .size = 1};

    stead_hub_key_u64(&key, (uint64_t)at_ms);
    memcpy(key.bytes + key.size, id.data, id.size);
    key.size += id.size;
    return key;
}

static int put_row(struct stead_turn *turn, struct stead_slice id, const struct stead_hub_row *row)
{
    struct stead_hub_key key = stead_hub_row_key('n', id);

    return stead_kv_put(turn, stead_hub_key(&key),
                        stead_packed(turn, "[u,u,u,l,v]", row->etag, row->first, row->last, row->purge_ms, row->map));
}

static int status(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_slice id;
    struct stead_hub_row row;
    int code = stead_hub_take_id(turn, args, &id);

    ((struct stead_hub_table *)state)->polls++;
    if (code == 0)
        code = stead_hub_row_find(turn, id, &row);
    return code != 0 ? code : stead_reply(turn, stead_hub_instance_map(turn, id, &row));
}

/* ---- Who waits ---------------------------------------------------------------------------------- */

/* One timer for who waits least. */
static int set_timer(struct stead_turn *turn, struct stead_hub_waiting *waiting)
{
    int64_t now_ms = stead_now_ms(turn), due_ms = waiting->count == 0 ? 0 : waiting->heap[0]->until_ms;

    if (due_ms == 0 || (waiting->timer_ms != 0 && waiting->timer_ms <= due_ms))
        return 0;
    waiting->timer_ms = due_ms;
    return stead_timer_after(turn, "look", due_ms > now_ms ? due_ms - now_ms : 0, "look", (struct stead_slice){0});
}

/* Answers a waiter with what there is; nobody may be owed anything any more. The answer's bytes. */
static size_t answer_waiter(struct stead_turn *turn, struct stead_hub_waiting *waiting, struct stead_hub_waiter *waiter)
{
    struct stead_slice id = stead_str(waiter->of->id), map = {0};
    struct stead_hub_row row;
    int code = stead_hub_row_find(turn, id, &row);

    if (code == 0)
        (void)stead_answer(turn, &waiter->token, map = stead_hub_instance_map(turn, id, &row));
    else
        (void)stead_answer_error(turn, &waiter->token, "not_found", stead_error_sentence(STEAD_ENOTFOUND));
    stead_hub_waiter_drop(waiting, waiter);
    return map.size;
}

/* Those who wait for the end of this instance, or for any change of it, as many as a turn may answer. True: there are
 * more. */
static bool answer_waiters(struct stead_turn *turn, struct stead_hub_waiting *waiting, struct stead_slice id)
{
    struct stead_hub_row row;
    const struct stead_hub_waited *of = stead_hub_waiters_of(waiting, id);
    bool found = stead_hub_row_find(turn, id, &row) == 0;
    bool over = !found || stead_instance_is_over(stead_hub_row_status(&row));
    size_t bytes = 0;

    for (struct stead_hub_waiter *it = of == NULL ? NULL : of->first, *next; it != NULL; it = next) {
        next = it->next;
        if (it->poll || !(it->etag == 0 ? over : !found || row.etag != it->etag))
            continue;
        if (bytes > ANSWERS_BYTES_MAX)
            return true;
        bytes += answer_waiter(turn, waiting, it);
    }
    return false;
}

/* From the table itself: the instance of this id is over, or was written; or the timer: somebody has waited long
 * enough. */
static int look(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_hub_waiting *waiting = ((struct stead_hub_table *)state)->waiting;
    struct stead_slice id;
    int64_t now_ms = stead_now_ms(turn);
    size_t bytes = 0;
    int code = 0;

    if (waiting == NULL)
        return 0;
    if (stead_get_str(args, NULL, &id) == 0 && answer_waiters(turn, waiting, id))
        code = stead_tell(turn, stead_self(turn), "look", args);
    if (waiting->timer_ms <= now_ms)
        waiting->timer_ms = 0;
    for (uint32_t left = 1000;
         left > 0 && bytes <= ANSWERS_BYTES_MAX && waiting->count > 0 && waiting->heap[0]->until_ms <= now_ms; left--)
        bytes += answer_waiter(turn, waiting, waiting->heap[0]);
    return code == 0 ? set_timer(turn, waiting) : code;
}

/* One more waits for this instance: above so many the oldest, as a rule, has long given up. */
static void add_waiter(struct stead_turn *turn, struct stead_hub_waiting *waiting, struct stead_slice id,
                       const struct stead_hub_waiter *asked)
{
    const struct stead_hub_waited *of = stead_hub_waiters_of(waiting, id);

    if (of != NULL && of->count >= STEAD_HUB_WAITERS_MAX) {
        (void)stead_answer_error(turn, &of->first->token, "busy", "too many wait for this instance: ask again");
        stead_hub_waiter_drop(waiting, of->first);
    }
    stead_hub_waiter_add(waiting, id, asked);
}

static int wait_for(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_hub_table *table = state;
    struct stead_hub_waiter waiter = {.poll = false};
    struct stead_slice id;
    struct stead_hub_row row;
    int64_t wait_ms = 0, delay_ms = 0;
    int code = stead_hub_take_id(turn, args, &id);

    if (code != 0)
        return code;
    if (stead_get_i64(args, "wait", &wait_ms) == STEAD_EARGUMENT || wait_ms < 0 || wait_ms > WAIT_MS_MAX ||
        stead_get_i64(args, "delay", &delay_ms) == STEAD_EARGUMENT || delay_ms < 0 || delay_ms > WAIT_MS_MAX)
        return stead_hub_bad(turn, "wait and delay are from 0 to 3600000 ms");
    if (stead_get_u64(args, "etag", &waiter.etag) == STEAD_EARGUMENT)
        return stead_hub_bad(turn, "etag is what status answered");
    code = stead_hub_row_find(turn, id, &row);
    if (code != 0)
        return code;
    table->polls++;
    bool there = waiter.etag != 0 ? row.etag != waiter.etag : stead_instance_is_over(stead_hub_row_status(&row));
    if (delay_ms == 0 && (wait_ms == 0 || there))
        return stead_reply(turn, stead_hub_instance_map(turn, id, &row));
    code = stead_reply_later(turn, &waiter.token);
    if (code != 0)
        return code;
    if (table->waiting == NULL)
        table->waiting = stead_hub_waiting_create();
    waiter.poll = delay_ms > 0;
    waiter.until_ms = stead_now_ms(turn) + (delay_ms > 0 ? delay_ms : wait_ms);
    add_waiter(turn, table->waiting, id, &waiter);
    return set_timer(turn, table->waiting);
}

static void on_unload(void *state)
{
    stead_hub_waiting_destroy(&((struct stead_hub_table *)state)->waiting);
}

/* ---- Writing -------------------------------------------------------------------------------------- */

static int delete_rows(struct stead_turn *turn, struct stead_slice id, uint64_t first, uint64_t last)
{
    int code = 0;

    for (uint64_t number = first; number < last && code == 0; number++) {
        struct stead_hub_key key = stead_hub_history_key(id, number);
        code = stead_kv_delete(turn, stead_hub_key(&key));
    }
    return code;
}

/* A long history goes in several turns. */
static int delete_history(struct stead_turn *turn, struct stead_slice id, const struct stead_hub_row *row)
{
    struct stead_hub_key key = stead_hub_history_key(id, row->first), last = {.size = 0};

    if (row->last - row->first <= ROWS_PER_TURN)
        return delete_rows(turn, id, row->first, row->last);
    key.bytes[0] = 'y';
    stead_hub_key_u64(&last, row->last);
    int code = stead_kv_put(turn, stead_hub_key(&key), stead_hub_key(&last));
    return code != 0 ? code : stead_timer_after(turn, "sweep", 0, "sweep", (struct stead_slice){0});
}

struct range {
    uint8_t key[STEAD_KEY_MAX];
    size_t size; /* 0: none */
    uint64_t last;
};

static int see_range(void *context, struct stead_slice key, struct stead_slice value)
{
    struct range *range = context;

    memcpy(range->key, key.data, key.size);
    range->size = key.size;
    range->last = value.size == 8 ? stead_hub_load_u64(value.data) : 0;
    return 1;
}

/* The timer: deletes a part of what belongs to nobody. */
static int sweep(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_hub_key from = {.bytes = {'y'}, .size = 1}, to = {.bytes = {'y' + 1}, .size = 1};
    struct range range = {.size = 0};
    int code = stead_kv_scan(turn, stead_hub_key(&from), stead_hub_key(&to), 1, see_range, &range);

    (void)state, (void)args;
    if (code != 0 || range.size < 11)
        return code;
    struct stead_slice id = stead_bytes(range.key + 1, range.size - 10);
    uint64_t first = stead_hub_load_u64(range.key + range.size - 8);
    struct stead_hub_row part = {.first = first + ROWS_PER_TURN, .last = range.last};
    code = stead_kv_delete(turn, stead_bytes(range.key, range.size));
    if (code == 0)
        code = delete_rows(turn, id, first, range.last - first < ROWS_PER_TURN ? range.last : first + ROWS_PER_TURN);
    if (code == 0 && range.last - first > ROWS_PER_TURN)
        code = delete_history(turn, id, &part);
    return code != 0 ? code : stead_timer_after(turn, "sweep", 0, "sweep", (struct stead_slice){0});
}

static int delete_value(struct stead_turn *turn, struct stead_slice id, uint8_t which)
{
    return stead_hub_large_delete(turn, stead_hub_value_key(id, which));
}

static int put_value(struct stead_turn *turn, struct stead_slice id, uint8_t which, struct stead_slice args,
                     const char *field)
{
    struct stead_slice value;

    if (stead_get_value(args, field, &value) != 0)
        return 0;
    return stead_hub_large_put(turn, stead_hub_value_key(id, which), value);
}

/* A time that no instance of the table has got before, whatever the clock says: neither etags nor numbers of history
 * rows come twice. So who has read an instance that was purged since writes nothing into the next one of its id, and
 * what is still to be swept of the one is none of the other's. */
static uint64_t give_birth(const struct stead_turn *turn, struct stead_hub_table *table)
{
    int64_t now_ms = stead_now_ms(turn);

    table->births = now_ms > table->births ? now_ms : table->births + 1;
    return (uint64_t)table->births;
}

/* It is over, but what it has open is not: it failed by code that does not match its history. */
static bool has_to_be_ended(const struct stead_hub_row *row)
{
    bool differs = false;

    return stead_get_bool(row->map, "differs", &differs) == 0 && differs;
}

/* One history row: what is too long for one goes on in the next ones. */
static int append_row(struct stead_turn *turn, struct stead_slice id, struct stead_hub_row *row,
                      struct stead_slice bytes)
{
    struct stead_hub_key key = stead_hub_history_key(id, row->last++);
    size_t size = bytes.size < STEAD_HUB_PIECE ? bytes.size : STEAD_HUB_PIECE;
    int code = stead_kv_put(turn, stead_hub_key(&key), stead_bytes(bytes.data, size));

    for (size_t at = size; at < bytes.size && code == 0; at += size) {
        size = bytes.size - at < STEAD_HUB_PIECE ? bytes.size - at : STEAD_HUB_PIECE;
        uint8_t *part = stead_turn_alloc(turn, size + 1);
        part[0] = STEAD_HUB_PART_MARK;
        memcpy(part + 1, bytes.data + at, size);
        key = stead_hub_history_key(id, row->last++);
        code = stead_kv_put(turn, stead_hub_key(&key), stead_bytes(part, size + 1));
    }
    return code;
}

/* What the instance before leaves becomes the first row of the new one's history, and the rest of it goes. */
static int follow(struct stead_turn *turn, struct stead_slice id, const struct stead_hub_row *old,
                  struct stead_hub_row *row)
{
    struct stead_writer past;
    int64_t until_ms;

    if (old->etag > 0 && stead_hub_row_is_past(old)) {
        row->first = old->first;
        row->last = old->last;
        return 0;
    }
    stead_writer_init(&past);
    int code = stead_hub_past_write(turn, id, old, &past, &until_ms);
    if (code == 0)
        code = delete_history(turn, id, old);
    if (code == 0 && past.size > 0)
        code = append_row(turn, id, row, stead_written(&past));
    stead_writer_deinit(&past);
    return code;
}

static int create(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_hub_table *table = state;
    struct stead_slice id, name, start, other = {0};
    struct stead_hub_row row = {.etag = 0}, old = {.etag = 0};
    int64_t version = 0, execution = 0, now_ms = stead_now_ms(turn);
    int code = stead_hub_unpack(turn, args, &args);

    if (code == 0)
        code = stead_hub_take_id(turn, args, &id);

    if (code != 0)
        return code;
    if (stead_get_str(args, "name", &name) != 0 || stead_get_str(args, "start", &start) != 0 ||
        stead_get_i64(args, "version", &version) == STEAD_EARGUMENT)
        return stead_hub_bad(turn, "create takes id, name, version, input and start");
    code = stead_hub_row_get(turn, id, &old);
    if (code != 0 && code != STEAD_ENOTFOUND)
        return code;
    bool found = code == 0 && !stead_hub_row_is_past(&old);
    if (found && stead_get_str(old.map, "start", &other) == 0 && stead_slice_equal(start, other))
        return stead_reply(turn, stead_packed(turn, "{s:b}", "new", 0));
    if (found && (!stead_instance_is_over(stead_hub_row_status(&old)) || has_to_be_ended(&old)))
        return STEAD_ECONFLICT;
    if (code == 0 && old.purge_ms != 0) {
        struct stead_hub_key key = purge_key(old.purge_ms, id);
        if (stead_kv_delete(turn, stead_hub_key(&key)) != 0)
            return STEAD_EINTERNAL;
    }
    if (found && stead_get_i64(old.map, "execution", &execution) != 0)
        execution = 0;
    table->instances += !found;
    table->creates++;
    uint64_t birth = give_birth(turn, table);
    row.etag = (old.etag > 0 ? old.etag : birth << ETAG_BITS) + 1;
    row.first = row.last = birth << ROW_BITS;
    row.map = stead_packed(turn, "{s:S,s:l,s:l,s:u,s:l,s:l,s:u,s:S}", "name", name, "version", version, "execution",
                           execution + 1, "status", (uint64_t)STEAD_INSTANCE_PENDING, "created", now_ms, "updated",
                           now_ms, "events", (uint64_t)0, "start", start);
    code = follow(turn, id, &old, &row);
    for (const char *which = "ioc"; *which != 0 && code == 0 && old.etag > 0; which++)
        code = delete_value(turn, id, (uint8_t)*which);
    if (code == 0)
        code = put_value(turn, id, 'i', args, "input");
    if (code == 0)
        code = put_row(turn, id, &row);
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "{s:b}", "new", 1));
}

/* Appends the history rows of a write. */
static int append_rows(struct stead_turn *turn, struct stead_slice id, struct stead_hub_row *row,
                       struct stead_slice rows)
{
    struct stead_reader reader = stead_reader(rows);
    struct stead_slice bytes;
    uint32_t count = 0;
    int code = 0;

    if (rows.size > 0 && stead_read_array(&reader, &count) != 0)
        return stead_hub_bad(turn, "rows is a list");
    for (; count > 0 && code == 0; count--) {
        if (stead_read_bin(&reader, &bytes) != 0)
            return stead_hub_bad(turn, "a row is bytes");
        code = append_row(turn, id, row, bytes);
    }
    return code;
}

static int set_retain(struct stead_turn *turn, struct stead_hub_table *table, int64_t at_ms)
{
    int64_t now_ms = stead_now_ms(turn);

    if (table->retain_ms != 0 && table->retain_ms <= at_ms)
        return 0;
    table->retain_ms = at_ms;
    return stead_timer_after(turn, "retain", at_ms > now_ms ? at_ms - now_ms : 0, "retain", (struct stead_slice){0});
}

/* Moves the instance's place among those that are purged by themselves. */
static int set_purge(struct stead_turn *turn, struct stead_hub_table *table, struct stead_slice id,
                     struct stead_hub_row *row, int64_t purge_ms)
{
    struct stead_hub_key old = purge_key(row->purge_ms, id), new = purge_key(purge_ms, id);
    int code = 0;

    if (row->purge_ms == purge_ms)
        return 0;
    if (row->purge_ms != 0)
        code = stead_kv_delete(turn, stead_hub_key(&old));
    row->purge_ms = purge_ms;
    if (purge_ms == 0 || code != 0)
        return code;
    code = stead_kv_put(turn, stead_hub_key(&new), stead_str("1"));
    return code != 0 ? code : set_retain(turn, table, purge_ms);
}

static int write_them(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_hub_table *table = state;
    struct stead_slice id, rows = {0}, map;
    struct stead_hub_row row = {.etag = 0};
    uint64_t etag = 0;
    int64_t purge_ms = 0;
    bool clear = false, keep = false;
    int code = stead_hub_unpack(turn, args, &args);

    if (code == 0)
        code = stead_hub_take_id(turn, args, &id);

    if (code != 0)
        return code;
    if (stead_get_u64(args, "etag", &etag) != 0 || stead_get_value(args, "row", &map) != 0 ||
        stead_get_bool(args, "clear", &clear) == STEAD_EARGUMENT ||
        stead_get_bool(args, "keep", &keep) == STEAD_EARGUMENT ||
        stead_get_i64(args, "purge", &purge_ms) == STEAD_EARGUMENT || purge_ms < 0)
        return stead_hub_bad(turn, "write takes id, etag, row, input, output, custom, clear, keep, rows and purge");
    code = stead_hub_row_get(turn, id, &row);
    if (code != 0 && code != STEAD_ENOTFOUND)
        return code;
    if (row.etag != etag)
        return STEAD_ECONFLICT;
    table->instances += code != 0 || stead_hub_row_is_past(&row);
    table->writes++;
    if (code != 0) {
        uint64_t birth = give_birth(turn, table);
        row.etag = birth << ETAG_BITS;
        row.first = row.last = birth << ROW_BITS;
    }
    code = clear ? delete_history(turn, id, &row) : 0;
    row.etag++;
    row.map = map;
    row.first = clear ? row.last : row.first;
    if (code == 0 && stead_get_value(args, "rows", &rows) == 0)
        code = append_rows(turn, id, &row, rows);
    for (const char *which = keep ? "o" : "oc"; *which != 0 && code == 0 && clear; which++)
        code = delete_value(turn, id, (uint8_t)*which);
    if (code == 0)
        code = put_value(turn, id, 'i', args, "input");
    if (code == 0)
        code = put_value(turn, id, 'o', args, "output");
    if (code == 0)
        code = put_value(turn, id, 'c', args, "custom");
    if (code == 0)
        code = set_purge(turn, table, id, &row, purge_ms);
    if (code == 0)
        code = put_row(turn, id, &row);
    if (code == 0 && table->waiting != NULL && table->waiting->count > 0 &&
        (table->waiting->watchers > 0 || stead_instance_is_over(stead_hub_row_status(&row))))
        code = stead_tell(turn, stead_self(turn), "look", stead_packed(turn, "S", id));
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "u", row.etag));
}

/* ---- The end ------------------------------------------------------------------------------------------ */

/* What it leaves stays for a while. */
static int leave_past(struct stead_turn *turn, struct stead_hub_table *table, struct stead_slice id,
                      struct stead_hub_row *row, struct stead_slice past, int64_t until_ms)
{
    static const uint8_t nil = 0xc0;
    int code;

    row->map = stead_bytes(&nil, 1);
    row->first = row->last;
    code = append_row(turn, id, row, past);
    if (code == 0)
        code = set_purge(turn, table, id, row, until_ms);
    return code != 0 ? code : put_row(turn, id, row);
}

static int purge_one(struct stead_turn *turn, struct stead_hub_table *table, struct stead_slice id,
                     struct stead_hub_row *row)
{
    struct stead_hub_key key = stead_hub_row_key('n', id);
    bool past = stead_hub_row_is_past(row);
    struct stead_writer left;
    int64_t until_ms;

    stead_writer_init(&left);
    int code = stead_hub_past_write(turn, id, row, &left, &until_ms);
    if (code == 0)
        code = delete_history(turn, id, row);
    for (const char *which = "ioc"; *which != 0 && code == 0 && !past; which++)
        code = delete_value(turn, id, (uint8_t)*which);
    if (code == 0 && left.size > 0)
        code = leave_past(turn, table, id, row, stead_written(&left), until_ms);
    else if (code == 0 && (code = set_purge(turn, table, id, row, 0)) == 0)
        code = stead_kv_delete(turn, stead_hub_key(&key));
    table->instances -= !past;
    table->purges += !past;
    stead_writer_deinit(&left);
    return code;
}

static int purge(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_slice id;
    struct stead_hub_row row;
    int code = stead_hub_take_id(turn, args, &id);

    if (code == 0)
        code = stead_hub_row_find(turn, id, &row);
    if (code == 0 && (!stead_instance_is_over(stead_hub_row_status(&row)) || has_to_be_ended(&row)))
        code = STEAD_ESTATE;
    if (code == 0)
        code = purge_one(turn, state, id, &row);
    return code;
}

struct due {
    struct stead_turn *turn;
    struct stead_slice keys[PURGE_PER_TURN];
    uint32_t count;
};

static int see_due(void *context, struct stead_slice key, struct stead_slice value)
{
    struct due *due = context;
    uint8_t *copy = stead_turn_alloc(due->turn, key.size);

    (void)value;
    memcpy(copy, key.data, key.size);
    due->keys[due->count++] = stead_bytes(copy, key.size);
    return 0;
}

/* The timer: purges what has been over for long enough. */
static int retain(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct due due = {.turn = turn};
    struct stead_hub_key from = {.bytes = {'z'}, .size = 1}, to = {.bytes = {'z' + 1}, .size = 1};
    int64_t now_ms = stead_now_ms(turn), next_ms = 0;
    int code = stead_kv_scan(turn, stead_hub_key(&from), stead_hub_key(&to), PURGE_PER_TURN, see_due, &due);

    (void)args;
    ((struct stead_hub_table *)state)->retain_ms = 0;
    for (uint32_t at = 0; at < due.count && code == 0 && next_ms == 0; at++) {
        struct stead_slice id = stead_bytes(due.keys[at].data + 9, due.keys[at].size - 9);
        struct stead_hub_row row;
        if ((int64_t)stead_hub_load_u64(due.keys[at].data + 1) > now_ms) {
            next_ms = (int64_t)stead_hub_load_u64(due.keys[at].data + 1);
            break;
        }
        code = stead_hub_row_get(turn, id, &row);
        if (code == 0)
            code = purge_one(turn, state, id, &row);
        else if (code == STEAD_ENOTFOUND)
            code = stead_kv_delete(turn, due.keys[at]);
    }
    if (next_ms == 0 && due.count == PURGE_PER_TURN)
        next_ms = now_ms;
    return code == 0 && next_ms != 0 ? set_retain(turn, state, next_ms) : code;
}

static int counts(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct stead_hub_table *table = state;

    (void)args;
    return stead_reply(turn, stead_packed(turn, "{s:u,s:u,s:u,s:u,s:u,s:l}", "creates", table->creates, "reads",
                                          table->reads, "writes", table->writes, "polls", table->polls, "purges",
                                          table->purges, "instances", table->instances));
}

static int drop_table(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_destroy(turn);
}

static const struct stead_op ops[] = {
    {"create", create, NULL, 0, "{id, name, version, input, start}: a Pending instance"},
    {"piece", stead_hub_piece, NULL, 0, "{parcel, at, bytes}: of the args of an operation that follows"},
    {"read", stead_hub_table_read, NULL, STEAD_OP_QUIET, "{id, from}: its row and history rows"},
    {"write", write_them, NULL, 0,
     "{id, etag, row, input, output, custom, clear, keep, rows, purge}: what an episode decided"},
    {"status", status, NULL, STEAD_OP_QUIET, "{id}: what is known of it"},
    {"wait", wait_for, NULL, STEAD_OP_QUIET,
     "{id, wait, delay, etag}: the same when it is over (with an etag: when it is another), or later"},
    {"history", stead_hub_table_history, NULL, STEAD_OP_READ_ONLY, "{id, after}: its events"},
    {"list", stead_hub_table_list, NULL, STEAD_OP_READ_ONLY, "{status, name, prefix, from, to, limit, after}"},
    {"purge", purge, NULL, STEAD_OP_FREES, "{id}: forgets one that is over"},
    {"counts", counts, NULL, STEAD_OP_READ_ONLY, "operations so far"},
    {"drop", drop_table, NULL, STEAD_OP_FREES, "forgets everything"},
    {"look", look, NULL, STEAD_OP_QUIET, "from itself: answers those who wait"},
    {"sweep", sweep, NULL, 0, "timer: deletes histories little by little"},
    {"retain", retain, NULL, 0, "timer: purges what is old"},
    {NULL, NULL, NULL, 0, NULL}};

const struct stead_kind stead_hub_table_kind = {.abi = STEAD_ABI,
                                                .struct_size = sizeof(struct stead_kind),
                                                .name = STEAD_HUB_TABLE_KIND,
                                                .help = "history and instances of one partition of a task hub",
                                                .durability = STEAD_DURABLE,
                                                .state_size = sizeof(struct stead_hub_table),
                                                .fields = fields,
                                                .ops = ops,
                                                .on_unload = on_unload};
