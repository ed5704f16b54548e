/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_rows: the history of an instance as a worker has read it: rows of [[number of a message that the episode took...], events], one behind the other.
 */
#include <string.h>

#include "agents/hub_worker.h"

bool stead_hub_next_row(const struct stead_hub_session *session, struct stead_hub_walk *walk)
{
    const struct stead_writer *bytes = &session->rows.bytes;
    uint32_t size, two;

    if (walk->at + sizeof(size) > bytes->size)
        return false;
    memcpy(&size, bytes->data + walk->at, sizeof(size));
    struct stead_reader reader = stead_reader(stead_bytes(bytes->data + walk->at + sizeof(size), size));
    walk->at += sizeof(size) + size;
    return stead_read_array(&reader, &two) == 0 && two == 2 && stead_read_value(&reader, &walk->taken) == 0 &&
           stead_read_bin(&reader, &walk->events) == 0;
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
        code = stead_history_row_begin(walk.events, &row);
        while (code == 0 && (code = stead_history_row_next(&row, &event)) == 0)
            code = stead_engine_replay(engine, &event);
        code = code == STEAD_ENOTFOUND ? 0 : code;
    }
    return code;
}
