/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session_row: requests in an array ordered by number, what has ended as a mark and the open ones above it, and both
 * with what is closed (order.h) as one value.
 */
#include "runtime/session_row.h"

#include <stdlib.h>

#include "runtime/base.h"

#define ROW_VERSION 1u
#define ROW_OPEN 1u      /* added to the version: with what has ended above the mark */
#define ROW_PLACES 2u    /* and with what is closed */
#define OPEN_HEAD 12u    /* bytes: ended_to, count */
#define PLACE_SIZE 16u   /* bytes: who, closed */
#define REQUEST_HEAD 19u /* bytes: number, state, class, own_row, status, size */

/* ---- Numbers ------------------------------------------------------------------------------------ */

uint32_t stead_session_bound(const struct stead_session *session, uint64_t number)
{
    uint32_t low = session->first, high = session->first + session->count;

    if (session->count > 0 && session->requests[high - 1].number < number)
        return high;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (session->requests[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct stead_request *stead_session_find(const struct stead_session *session, uint64_t number)
{
    uint32_t at = stead_session_bound(session, number);
    bool here = at < session->first + session->count && session->requests[at].number == number;
    return here ? &session->requests[at] : NULL;
}

static struct stead_request *add_request(struct stead_session *session, uint64_t number)
{
    uint32_t end = session->first + session->count;

    if (end == session->capacity && session->first > session->capacity / 2) {
        memmove(session->requests, session->requests + session->first, session->count * sizeof(*session->requests));
        session->first = 0;
    } else if (end == session->capacity) {
        session->capacity = session->capacity == 0 ? 1 : session->capacity * 2;
        session->requests = stead_realloc(session->requests, session->capacity * sizeof(*session->requests));
    }
    uint32_t at = stead_session_bound(session, number);
    end = session->first + session->count;
    memmove(session->requests + at + 1, session->requests + at, (end - at) * sizeof(*session->requests));
    session->requests[at] = (struct stead_request){.number = number};
    session->count++;
    return &session->requests[at];
}

struct stead_request *stead_session_need(struct stead_session *session, uint64_t number)
{
    struct stead_request *request = stead_session_find(session, number);
    return request != NULL ? request : add_request(session, number);
}

uint32_t stead_session_open_bound(const struct stead_session *session, uint64_t number)
{
    uint32_t low = 0, high = session->open_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (session->open[middle] < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool stead_session_has_ended(const struct stead_session *session, uint64_t number)
{
    if (number <= session->mark || number > session->ended_to)
        return number <= session->mark;
    uint32_t at = stead_session_open_bound(session, number);
    return at == session->open_count || session->open[at] != number;
}

bool stead_session_is_over(const void *session, uint64_t number)
{
    return stead_session_has_ended(session, number);
}

/* ---- The row ------------------------------------------------------------------------------------ */

/* What follows the head of a row with open numbers. */
static void write_open(struct stead_writer *writer, const struct stead_session *session)
{
    uint8_t number[8], head[OPEN_HEAD];

    stead_store64(head, session->ended_to);
    stead_store32(head + 8, session->open_count);
    stead_write_raw(writer, head, sizeof(head));
    for (uint32_t i = 0; i < session->open_count; i++) {
        stead_store64(number, session->open[i]);
        stead_write_raw(writer, number, sizeof(number));
    }
}

static bool is_in_row(const struct stead_session *session, uint32_t place)
{
    return session->order.places[place].stored > session->mark;
}

static void write_places(struct stead_writer *writer, const struct stead_session *session, uint32_t count)
{
    uint8_t line[PLACE_SIZE];

    stead_store32(line, count);
    stead_write_raw(writer, line, 4);
    for (uint32_t i = 0; i < session->order.capacity; i++) {
        if (!is_in_row(session, i))
            continue;
        stead_store64(line, session->order.places[i].who);
        stead_store64(line + 8, session->order.places[i].stored);
        stead_write_raw(writer, line, sizeof(line));
    }
}

void stead_session_row_write(const struct stead_session *session, struct stead_writer *writer)
{
    uint8_t head[STEAD_SESSION_ROW_HEAD];
    uint32_t stored = 0, places = 0;

    for (uint32_t i = 0; i < session->order.capacity; i++)
        places += is_in_row(session, i);
    stead_writer_reset(writer);
    head[0] =
        (uint8_t)(ROW_VERSION + (session->ended_to > session->mark ? ROW_OPEN : 0) + (places > 0 ? ROW_PLACES : 0));
    stead_store64(head + 1, session->start_ms);
    stead_store64(head + 9, session->mark);
    stead_write_raw(writer, head, sizeof(head));
    if (session->ended_to > session->mark)
        write_open(writer, session);
    if (places > 0)
        write_places(writer, session, places);
    for (uint32_t i = session->first; i < session->first + session->count; i++) {
        const struct stead_request *request = &session->requests[i];
        uint8_t line[REQUEST_HEAD];
        if (!request->stored)
            continue;
        stored++;
        stead_store64(line, request->number);
        line[8] = request->state;
        line[9] = request->durability;
        line[10] = request->own_row;
        stead_store32(line + 11, (uint32_t)request->status);
        stead_store32(line + 15, request->size);
        stead_write_raw(writer, line, sizeof(line));
        if (request->state == STEAD_REQUEST_OWED)
            stead_write_raw(writer, request->token.v, sizeof(request->token.v));
        else if (!request->own_row)
            stead_write_raw(writer, request->value, request->size);
    }
    stead_store32(writer->data + 17, stored);
}

static int read_request(struct stead_session *session, struct stead_slice *row)
{
    const uint8_t *at = row->data;

    if (row->size < REQUEST_HEAD)
        return STEAD_ECORRUPT;
    uint64_t number = stead_load64(at);
    uint32_t size = stead_load32(at + 15);
    bool owed = at[8] == STEAD_REQUEST_OWED;
    size_t follows = owed ? sizeof(struct stead_id) : at[10] ? 0 : size;
    if (row->size - REQUEST_HEAD < follows || stead_session_has_ended(session, number) ||
        stead_session_find(session, number) != NULL)
        return STEAD_ECORRUPT;
    struct stead_request *request = add_request(session, number);
    request->state = at[8];
    request->durability = at[9];
    request->own_row = at[10] != 0;
    request->status = (int32_t)stead_load32(at + 11);
    request->size = size;
    request->stored = true;
    if (owed) {
        memcpy(request->token.v, at + REQUEST_HEAD, sizeof(request->token.v));
    } else if (!request->own_row && size > 0) {
        request->value = stead_alloc(size);
        memcpy(request->value, at + REQUEST_HEAD, size);
        session->value_bytes += size;
    }
    row->data += REQUEST_HEAD + follows;
    row->size -= REQUEST_HEAD + follows;
    return 0;
}

static int read_open(struct stead_session *session, struct stead_slice *row)
{
    if (row->size < OPEN_HEAD)
        return STEAD_ECORRUPT;
    uint64_t ended_to = stead_load64(row->data), last = session->mark;
    uint32_t count = stead_load32(row->data + 8);
    row->data += OPEN_HEAD;
    row->size -= OPEN_HEAD;
    if (count > STEAD_MESSAGE_OPEN_MAX || row->size / 8 < count || ended_to <= session->mark)
        return STEAD_ECORRUPT;
    session->open = stead_alloc(count * sizeof(*session->open) + 1);
    for (; session->open_count < count; row->data += 8, row->size -= 8) {
        uint64_t number = stead_load64(row->data);
        if (number <= last || number > ended_to)
            return STEAD_ECORRUPT;
        session->open[session->open_count++] = last = number;
    }
    session->ended_to = ended_to;
    return 0;
}

static int read_places(struct stead_session *session, struct stead_slice *row)
{
    uint32_t count = row->size < 4 ? UINT32_MAX : stead_load32(row->data);

    if (row->size < 4 || (row->size - 4) / PLACE_SIZE < count)
        return STEAD_ECORRUPT;
    row->data += 4;
    row->size -= 4;
    for (; count > 0; count--, row->data += PLACE_SIZE, row->size -= PLACE_SIZE) {
        uint64_t who = stead_load64(row->data), closed = stead_load64(row->data + 8);
        if (who == 0 || closed <= session->mark)
            return STEAD_ECORRUPT;
        stead_order_take(&session->order, who, 0, closed, stead_session_is_over, session);
        stead_order_store(&session->order, who, closed);
    }
    return 0;
}

int stead_session_row_read(struct stead_session *session, struct stead_slice row)
{
    if (row.size < STEAD_SESSION_ROW_HEAD || row.data[0] < ROW_VERSION ||
        row.data[0] > ROW_VERSION + ROW_OPEN + ROW_PLACES)
        return STEAD_ECORRUPT;
    uint32_t parts = row.data[0] - ROW_VERSION;
    session->start_ms = stead_load64(row.data + 1);
    session->mark = session->ended_to = stead_load64(row.data + 9);
    uint32_t count = stead_load32(row.data + 17);
    struct stead_slice rest = {row.data + STEAD_SESSION_ROW_HEAD, row.size - STEAD_SESSION_ROW_HEAD};
    int code = parts & ROW_OPEN ? read_open(session, &rest) : 0;
    if (code == 0 && (parts & ROW_PLACES))
        code = read_places(session, &rest);
    for (uint32_t i = 0; i < count && code == 0; i++)
        code = read_request(session, &rest);
    return code == 0 && rest.size != 0 ? STEAD_ECORRUPT : code;
}
