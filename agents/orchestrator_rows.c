/* SPDX-License-Identifier: Apache-2.0 */
/*
 * orchestrator_rows: histories in keyed state.
 *
 *     key    'h' | execution, 4 bytes | first event's id, 8 bytes [| part, 2 bytes]      big-endian, so that keys sort as events do
 *     value  the row (history.h), or ROW_PART bytes of it
 *
 * Rows of other classes have keys and parts of the same form: 'e', events that are carried (orchestrator_carry.c), by
 * number, each in a row of its own; 'u', lists of events.
 *
 * A turn adds one row as a rule, more when its events outgrow ROW_BYTES. An event with a value at the payload limit
 * makes a row above the limit of a keyed value: a row that is ROW_PART bytes or longer is cut into parts of that size,
 * the first under the plain key. A part of exactly ROW_PART bytes has another one behind it, unless that is not there.
 */
#include "agents/fault.h"
#include "agents/orchestrator.h"

#define ROW_BYTES (256u << 10)
#define ROW_PART (512u << 10)
#define SWEEP_MAX 1000u /* keys a turn */

static void store_be(uint8_t *at, uint64_t number, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)(number >> (8 * (bytes - 1 - i)));
}

static uint64_t load_be(const uint8_t *at, uint32_t bytes)
{
    uint64_t number = 0;
    for (uint32_t i = 0; i < bytes; i++)
        number = number << 8 | at[i];
    return number;
}

#define KEY_SIZE 13u

struct stead_slice stead_row_key_of(uint8_t memory[STEAD_ROW_KEY_MAX], char class, uint32_t execution, uint64_t first)
{
    memory[0] = (uint8_t) class;
    store_be(memory + 1, execution, 4);
    store_be(memory + 5, first, 8);
    return stead_bytes(memory, KEY_SIZE);
}

bool stead_row_key_read(struct stead_slice key, uint32_t *ret_execution, uint64_t *ret_first, uint32_t *ret_part)
{
    if (key.size != KEY_SIZE && key.size != KEY_SIZE + 2)
        return false;
    *ret_execution = (uint32_t)load_be(key.data + 1, 4);
    *ret_first = load_be(key.data + 5, 8);
    *ret_part = key.size == KEY_SIZE ? 0 : (uint32_t)load_be(key.data + KEY_SIZE, 2);
    return true;
}

/* ---- Writing -------------------------------------------------------------------------------- */

int stead_row_put(struct stead_turn *turn, char class, uint32_t execution, uint64_t first, struct stead_slice row)
{
    uint8_t memory[STEAD_ROW_KEY_MAX];
    struct stead_slice key = stead_row_key_of(memory, class, execution, first);
    int code = 0;

    for (uint32_t part = 0; code == 0 && (part == 0 || row.size > 0); part++) {
        struct stead_slice piece = {row.data, row.size < ROW_PART ? row.size : ROW_PART};
        if (part > 0) {
            store_be(memory + KEY_SIZE, part, 2);
            key = stead_bytes(memory, KEY_SIZE + 2);
        }
        code = stead_kv_put(turn, key, piece);
        row.data += piece.size;
        row.size -= piece.size;
    }
    return code;
}

static void flush(struct stead_row_writer *writer)
{
    uint64_t head[2] = {writer->first, 0};

    if (writer->count == 0)
        return;
    size_t at = writer->rows.size;
    stead_write_raw(&writer->rows, head, sizeof(head));
    stead_history_row_write(&writer->rows, writer->first, writer->time_ms,
                            writer->count - (STEAD_AGENT_FAULT(history_without_last) ? 1 : 0),
                            stead_written(&writer->events));
    head[1] = writer->rows.size - at - sizeof(head);
    memcpy(writer->rows.data + at, head, sizeof(head));
    writer->last_row = writer->first;
    writer->first += writer->count;
    writer->count = 0;
    stead_writer_reset(&writer->events);
}

void stead_row_writer_add(struct stead_row_writer *writer, const struct stead_history_event *event)
{
    /* A large event has a row of its own, so that its neighbours' stay small. */
    if (writer->events.size + event->value.size > ROW_BYTES)
        flush(writer);
    if (writer->count == 0) {
        writer->first = event->id;
        writer->time_ms = event->time_ms;
    }
    stead_history_write(&writer->events, event);
    writer->count++;
    if (writer->events.size >= ROW_BYTES || writer->carried)
        flush(writer);
}

int stead_row_writer_end(struct stead_row_writer *writer)
{
    int code = 0;

    flush(writer);
    for (size_t at = 0; code == 0 && at < writer->rows.size;) {
        uint64_t head[2];
        memcpy(head, writer->rows.data + at, sizeof(head));
        at += sizeof(head);
        code = stead_row_put(writer->turn, writer->carried ? 'e' : 'h', writer->execution, head[0],
                             stead_bytes(writer->rows.data + at, head[1]));
        at += head[1];
    }
    return code;
}

void stead_row_writer_deinit(struct stead_row_writer *writer)
{
    stead_writer_deinit(&writer->events);
    stead_writer_deinit(&writer->rows);
}

/* ---- Reading -------------------------------------------------------------------------------- */

struct reading {
    stead_rows_visit_fn *visit;
    void *context;
    uint64_t first;             /* of the row in `pieces` */
    struct stead_writer pieces; /* parts of a row that may have more */
    bool ended;
};

static int hand_pieces(struct reading *reading)
{
    if (reading->pieces.size == 0)
        return 0;
    int ended = reading->visit(reading->context, reading->first, stead_written(&reading->pieces));
    stead_writer_reset(&reading->pieces);
    reading->ended = ended != 0;
    return ended;
}

static int visit_part(void *context, struct stead_slice key, struct stead_slice value)
{
    struct reading *reading = context;
    uint32_t execution = 0, part = 0;
    uint64_t first = 0;

    if (!stead_row_key_read(key, &execution, &first, &part))
        return 0;
    if (part > 0) {
        stead_write_raw(&reading->pieces, value.data, value.size);
        return value.size < ROW_PART ? hand_pieces(reading) : 0;
    }
    if (hand_pieces(reading) != 0)
        return 1;
    reading->first = first;
    if (value.size == ROW_PART) {
        stead_write_raw(&reading->pieces, value.data, value.size);
        return 0;
    }
    reading->ended = reading->visit(reading->context, first, value) != 0;
    return reading->ended;
}

int stead_rows_visit_class(struct stead_turn *turn, char class, uint32_t execution, uint64_t from,
                           stead_rows_visit_fn *visit, void *context)
{
    struct reading reading = {.visit = visit, .context = context};
    uint8_t low[STEAD_ROW_KEY_MAX], high[STEAD_ROW_KEY_MAX];

    stead_writer_init(&reading.pieces);
    int code = stead_kv_scan(turn, stead_row_key_of(low, class, execution, from),
                             stead_row_key_of(high, class, execution + 1, 0), UINT32_MAX, visit_part, &reading);
    if (code == 0 && !reading.ended)
        (void)hand_pieces(&reading);
    stead_writer_deinit(&reading.pieces);
    return code;
}

int stead_rows_visit(struct stead_turn *turn, uint32_t execution, uint64_t from, stead_rows_visit_fn *visit,
                     void *context)
{
    return stead_rows_visit_class(turn, 'h', execution, from, visit, context);
}

static int note_first(void *context, struct stead_slice key, struct stead_slice value)
{
    uint32_t execution = 0, part = 0;

    (void)value;
    (void)stead_row_key_read(key, &execution, context, &part);
    return 1;
}

/* Keys are read in ascending order only, so the last one up to `id` is searched for by halves; a probe reads one row.
 * `id` goes first: pages as a rule begin with a row. */
int stead_rows_find(struct stead_turn *turn, uint32_t execution, uint64_t id, uint64_t *ret_first)
{
    uint8_t low[STEAD_ROW_KEY_MAX], high[STEAD_ROW_KEY_MAX];
    uint64_t found = 0, last = id, probe = id; /* a row begins at `found`, none behind `last` */
    int code = 0;

    while (code == 0 && found < last) {
        uint64_t first = 0;
        code = stead_kv_scan(turn, stead_row_key_of(low, 'h', execution, probe),
                             stead_row_key_of(high, 'h', execution, id + 1), 1, note_first, &first);
        if (first > 0)
            found = first;
        else
            last = probe - 1;
        probe = found + (last - found + 1) / 2;
    }
    *ret_first = found;
    return code;
}

int stead_rows_sweep(struct stead_turn *turn, uint32_t from, uint32_t execution, bool *ret_more)
{
    uint8_t low[STEAD_ROW_KEY_MAX], high[STEAD_ROW_KEY_MAX];
    uint32_t count = 0, calls = 0, lists = 0;

    int code = stead_kv_delete_range(turn, stead_row_key_of(low, 'h', from, 0),
                                     stead_row_key_of(high, 'h', execution, 0), SWEEP_MAX, &count);
    if (code == 0)
        code = stead_kv_delete_range(turn, stead_row_key_of(low, 'c', from, 0),
                                     stead_row_key_of(high, 'c', execution, 0), SWEEP_MAX, &calls);
    if (code == 0)
        code = stead_kv_delete_range(turn, stead_row_key_of(low, 'u', from, 0),
                                     stead_row_key_of(high, 'u', execution, 0), SWEEP_MAX, &lists);
    *ret_more = count == SWEEP_MAX || calls == SWEEP_MAX || lists == SWEEP_MAX;
    return code;
}
