/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_rows: the history of an instance as a worker has read it: rows of [[number of a message that the episode
 * took...], events], one behind the other. The first one of an execution that began in an episode which threw a history
 * away has no events, and behind them what that episode sent: it is nowhere else. Nor has the first one of an instance
 * whose id was another's lately, and behind them what that left (hub_past.c).
 */
#include <string.h>

#include "agents/hub_large.h"
#include "agents/hub_worker.h"

bool stead_hub_next_row(const struct stead_hub_session *session, struct stead_hub_walk *walk)
{
    const struct stead_writer *bytes = &session->rows.bytes;
    uint32_t size, members;

    if (walk->at + sizeof(size) > bytes->size)
        return false;
    memcpy(&size, bytes->data + walk->at, sizeof(size));
    struct stead_reader reader = stead_reader(stead_bytes(bytes->data + walk->at + sizeof(size), size));
    walk->at += sizeof(size) + size;
    walk->out = walk->past = (struct stead_slice){NULL, 0};
    if (stead_read_array(&reader, &members) != 0 || members < 2 || stead_read_value(&reader, &walk->taken) != 0 ||
        stead_read_bin(&reader, &walk->events) != 0 || (members > 2 && stead_read_value(&reader, &walk->out) != 0) ||
        (members > 3 && stead_read_value(&reader, &walk->past) != 0))
        return false;
    if (members > 3)
        walk->out = (struct stead_slice){NULL, 0}; /* an empty list */
    return true;
}

bool stead_hub_decided(const struct stead_hub_session *session, int64_t *ret_ms, uint64_t *ret_etag)
{
    struct stead_slice row = stead_written(&session->row);
    struct stead_hub_walk walk = {.at = 0};
    struct stead_reader reader;
    uint32_t four;

    if (!stead_hub_next_row(session, &walk))
        return false;
    *ret_ms = stead_hub_number(row, "updated");
    *ret_etag = session->etag;
    if (walk.past.size == 0 || stead_hub_next_row(session, &walk))
        return true;
    reader = stead_reader(walk.past);
    return stead_read_array(&reader, &four) == 0 && stead_read_u64(&reader, ret_etag) == 0 &&
           stead_read_i64(&reader, ret_ms) == 0;
}

void stead_hub_add_row(struct stead_hub_session *session, struct stead_slice bytes)
{
    struct stead_hub_rows *rows = &session->rows;
    uint32_t size = (uint32_t)bytes.size;

    if (bytes.size > 0 && bytes.data[0] == STEAD_HUB_PART_MARK && rows->count > 0) {
        stead_write_raw(&rows->bytes, bytes.data + 1, bytes.size - 1);
        memcpy(&size, rows->bytes.data + rows->last, sizeof(size));
        size += (uint32_t)bytes.size - 1;
        memcpy(rows->bytes.data + rows->last, &size, sizeof(size));
        return;
    }
    rows->last = rows->bytes.size;
    stead_write_raw(&rows->bytes, &size, sizeof(size));
    stead_write_raw(&rows->bytes, bytes.data, bytes.size);
    rows->count++;
}

bool stead_hub_is_listed(struct stead_slice list, uint64_t number)
{
    struct stead_reader reader = stead_reader(list);
    uint64_t it;
    uint32_t count;

    if (list.size == 0 || stead_read_array(&reader, &count) != 0)
        return false;
    for (; count > 0 && stead_read_u64(&reader, &it) == 0; count--)
        if (it == number)
            return true;
    return false;
}

int stead_hub_replay(struct stead_hub_session *session, struct stead_engine *engine, uint64_t rewind_from)
{
    struct stead_hub_walk walk = {.at = 0};
    struct stead_history_row row;
    struct stead_history_event event;
    uint64_t last = 0;
    int code = 0;

    while (stead_hub_next_row(session, &walk)) {
        if (walk.events.size == 0)
            continue;
        if (stead_history_row_begin(walk.events, &row) != 0)
            return STEAD_ECORRUPT;
        while (stead_history_row_next(&row, &event) == 0) {
            if (event.type == STEAD_HISTORY_EXECUTION_REWOUND)
                stead_engine_expect_rewind(engine, event.ref, event.id);
            last = event.id;
        }
        session->last_ms = row.time_ms;
    }
    if (rewind_from > 0)
        stead_engine_expect_rewind(engine, rewind_from, last + 2);
    walk.at = 0;
    while (code == 0 && stead_hub_next_row(session, &walk)) {
        if (walk.events.size == 0)
            continue;
        code = stead_history_row_begin(walk.events, &row);
        while (code == 0 && (code = stead_history_row_next(&row, &event)) == 0)
            code = stead_engine_replay(engine, &event);
        code = code == STEAD_ENOTFOUND ? 0 : code;
    }
    return code;
}
