/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_past: what outlives an instance of a hub whose id is used again. Its worker may have died, or be at it, between
 * the write of its end and the sending of what that decided, or before it had deleted what it took; whoever sees the
 * end may create the next instance of the id, which throws the history away. So the history of the next one begins with
 * a row of the one before: the numbers of the newest messages that it took, which are known again when they come back,
 * and, as they were, its row and the rows of its last episode, out of which that is sent again (Q6). One that is older
 * than messages are hidden for leaves nothing. One
 * that is purged leaves that row alone, until it is of no use.
 */
#include "agents/hub_table.h"

#include <string.h>

#include "agents/history.h"
#include "agents/hub_large.h"

#define ROWS_LOOKED_AT 256u /* the newest, as stored: an episode has fewer */
#define TAKEN_MAX 256u      /* as an execution that continues as new keeps (hub_episode.c) */

struct past {
    struct stead_writer row;  /* under way: it may go on in the next one */
    struct stead_writer rows; /* those of the last episode */
    uint32_t row_count;
    uint64_t taken[TAKEN_MAX]; /* a ring */
    uint64_t taken_count;
    uint32_t episodes;
};

static void add_taken(struct past *past, uint64_t number)
{
    for (uint64_t at = 0; at < past->taken_count && at < TAKEN_MAX; at++)
        if (past->taken[at] == number)
            return;
    past->taken[past->taken_count++ % TAKEN_MAX] = number;
}

static bool begins_episode(struct stead_slice events)
{
    struct stead_history_row row;
    struct stead_history_event event;

    return events.size > 0 && stead_history_row_begin(events, &row) == 0 && stead_history_row_next(&row, &event) == 0 &&
           event.type == STEAD_HISTORY_ORCHESTRATOR_STARTED;
}

/* A whole row: [[number...], events, what was sent, the past of its own]. */
static void add_row(struct past *past)
{
    struct stead_reader reader = stead_reader(stead_written(&past->row));
    struct stead_slice events;
    uint32_t members = 0, count = 0;
    uint64_t number;

    if (past->row.size == 0 || stead_read_array(&reader, &members) != 0 || stead_read_array(&reader, &count) != 0)
        return;
    for (; count > 0 && stead_read_u64(&reader, &number) == 0; count--)
        add_taken(past, number);
    if (members > STEAD_HUB_ROW_MEMBERS || stead_read_bin(&reader, &events) != 0)
        return; /* what came before that was sent before this one's first episode was written */
    if (begins_episode(events) && ++past->episodes > 1) {
        stead_writer_reset(&past->rows);
        past->row_count = 0;
    }
    stead_write_bin(&past->rows, stead_written(&past->row));
    past->row_count++;
}

static int see_row(void *context, struct stead_slice key, struct stead_slice value)
{
    struct past *past = context;
    bool goes_on = value.size > 0 && value.data[0] == STEAD_HUB_PART_MARK;

    (void)key;
    if (!goes_on) {
        add_row(past);
        stead_writer_reset(&past->row);
    } else if (past->row.size == 0) {
        return 0; /* of a row that is not looked at */
    }
    stead_write_raw(&past->row, value.data + goes_on, value.size - goes_on);
    return 0;
}

static void write_past(struct past *past, const struct stead_hub_row *old, int64_t updated_ms, struct stead_writer *row)
{
    uint32_t count = past->taken_count < TAKEN_MAX ? (uint32_t)past->taken_count : TAKEN_MAX;

    stead_write_array(row, STEAD_HUB_ROW_MEMBERS + 1);
    stead_write_array(row, count);
    for (uint32_t at = 0; at < count; at++)
        stead_write_u64(row, past->taken[at]);
    stead_write_bin(row, stead_bytes(NULL, 0));
    stead_write_array(row, 0);
    stead_write_array(row, 4);
    stead_write_u64(row, old->etag);
    stead_write_i64(row, updated_ms);
    stead_write_value(row, old->map);
    stead_write_array(row, past->row_count);
    stead_write_raw(row, past->rows.data, past->rows.size);
}

int stead_hub_past_write(struct stead_turn *turn, struct stead_slice id, const struct stead_hub_row *old,
                         struct stead_writer *row, int64_t *ret_until_ms)
{
    uint64_t from = old->last - old->first > ROWS_LOOKED_AT ? old->last - ROWS_LOOKED_AT : old->first;
    struct stead_hub_key first = stead_hub_history_key(id, from), last = stead_hub_history_key(id, old->last);
    struct past past = {.episodes = from > old->first};
    int64_t updated_ms = 0, hide_ms = STEAD_HUB_HIDE_MS;
    int code = 0;

    *ret_until_ms = 0;
    if (old->last == old->first || stead_get_i64(old->map, "updated", &updated_ms) != 0)
        return 0;
    if (stead_get_i64(old->map, "hide", &hide_ms) == STEAD_EARGUMENT)
        hide_ms = STEAD_HUB_HIDE_MS;
    *ret_until_ms = updated_ms + stead_hub_settle_ms(hide_ms);
    if (stead_now_ms(turn) > *ret_until_ms)
        return 0;
    stead_writer_init(&past.row);
    stead_writer_init(&past.rows);
    code = stead_kv_scan(turn, stead_hub_key(&first), stead_hub_key(&last), UINT32_MAX, see_row, &past);
    add_row(&past);
    if (code == 0)
        write_past(&past, old, updated_ms, row);
    stead_writer_deinit(&past.row);
    stead_writer_deinit(&past.rows);
    return code;
}
