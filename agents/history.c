/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history: events as bytes and back (docs/FORMATS.md, "Histories").
 *
 * An event is an array that is cut after its last field that says anything, so that most take a few bytes: a fan-in of
 * 10,000 is read in one go, and reading is the first third of a replay. Nothing is copied: what is read points into the
 * bytes it was read from.
 *
 * What comes here was written by this file, but lay on a disk or came over a wire since: a count that does not fit or a
 * type that is none is an error, not an assertion. An unknown type is STEAD_EVERSION: a newer stead wrote it, and to
 * pass over it would make another history of it.
 */
#include "agents/history.h"

#define FIELDS_MAX 9u /* of the array */

const char *stead_history_type_name(uint8_t type)
{
    static const char *const names[] = {
#define HISTORY_NAME(id, number, name) [number] = (name),
        STEAD_HISTORY_EVENTS(HISTORY_NAME)
#undef HISTORY_NAME
    };
    return type > 0 && type < sizeof(names) / sizeof(*names) ? names[type] : "";
}

bool stead_history_is_input(uint8_t type)
{
    switch (type) {
    case STEAD_HISTORY_EXECUTION_STARTED:
    case STEAD_HISTORY_EXECUTION_TERMINATED:
    case STEAD_HISTORY_EXECUTION_SUSPENDED:
    case STEAD_HISTORY_EXECUTION_RESUMED:
    case STEAD_HISTORY_EXECUTION_REWOUND:
    case STEAD_HISTORY_TASK_COMPLETED:
    case STEAD_HISTORY_TASK_FAILED:
    case STEAD_HISTORY_CHILD_COMPLETED:
    case STEAD_HISTORY_CHILD_FAILED:
    case STEAD_HISTORY_TIMER_FIRED:
    case STEAD_HISTORY_EVENT_RAISED:
        return true;
    default:
        return false;
    }
}

/* ---- Writing -------------------------------------------------------------------------------- */

/* How many fields say something. */
static uint32_t count_fields(const struct stead_history_event *event)
{
    if (event->extra.size > 0)
        return 9;
    if (event->error_sentence.size > 0)
        return 8;
    if (event->error_name.size > 0)
        return 7;
    if (event->code != 0)
        return 6;
    if (event->value.size > 0)
        return 5;
    if (event->target.size > 0)
        return 4;
    if (event->name.size > 0)
        return 3;
    return event->ref != 0 ? 2 : 1;
}

static void write_text(struct stead_writer *writer, struct stead_slice text)
{
    if (text.size > 0)
        stead_write_str_slice(writer, text);
    else
        stead_write_nil(writer);
}

void stead_history_write(struct stead_writer *writer, const struct stead_history_event *event)
{
    uint32_t fields = count_fields(event);

    stead_write_array(writer, fields);
    stead_write_u64(writer, event->type);
    if (fields > 1)
        stead_write_u64(writer, event->ref);
    if (fields > 2)
        write_text(writer, event->name);
    if (fields > 3)
        write_text(writer, event->target);
    if (fields > 4)
        stead_write_value(writer, event->value);
    if (fields > 5)
        stead_write_i64(writer, event->code);
    if (fields > 6)
        write_text(writer, event->error_name);
    if (fields > 7)
        write_text(writer, event->error_sentence);
    if (fields > 8)
        stead_write_value(writer, event->extra);
}

/* ---- Reading -------------------------------------------------------------------------------- */

#define NIL_BYTE 0xc0u

/* True, and passed over, when the next object is nil. */
static bool read_nil(struct stead_reader *reader)
{
    if (reader->at == reader->end || *reader->at != NIL_BYTE)
        return false;
    reader->at++;
    return true;
}

static int read_text(struct stead_reader *reader, struct stead_slice *ret_text)
{
    return read_nil(reader) ? 0 : stead_read_str(reader, ret_text);
}

static int read_value(struct stead_reader *reader, struct stead_slice *ret_value)
{
    return read_nil(reader) ? 0 : stead_read_value(reader, ret_value);
}

static int read_code(struct stead_reader *reader, int32_t *ret_code)
{
    int64_t code = 0;

    if (stead_read_i64(reader, &code) != 0 || code > 0 || code < INT32_MIN)
        return STEAD_ECORRUPT;
    *ret_code = (int32_t)code;
    return 0;
}

/* The fields behind the type, as many as there are. */
static int read_fields(struct stead_reader *reader, uint32_t fields, struct stead_history_event *event)
{
    int code = 0;

    if (fields > 1)
        code = stead_read_u64(reader, &event->ref);
    if (code == 0 && fields > 2)
        code = read_text(reader, &event->name);
    if (code == 0 && fields > 3)
        code = read_text(reader, &event->target);
    if (code == 0 && fields > 4)
        code = read_value(reader, &event->value);
    if (code == 0 && fields > 5)
        code = read_code(reader, &event->code);
    if (code == 0 && fields > 6)
        code = read_text(reader, &event->error_name);
    if (code == 0 && fields > 7)
        code = read_text(reader, &event->error_sentence);
    if (code == 0 && fields > 8)
        code = stead_peek(reader) == STEAD_MAP ? stead_read_value(reader, &event->extra) : STEAD_ECORRUPT;
    return code;
}

int stead_history_read(struct stead_reader *reader, struct stead_history_event *ret_event)
{
    struct stead_reader cursor = *reader;
    struct stead_history_event event = {.type = 0};
    uint32_t fields = 0;
    uint64_t type = 0;

    if (stead_read_array(&cursor, &fields) != 0 || fields == 0 || stead_read_u64(&cursor, &type) != 0 || type == 0)
        return STEAD_ECORRUPT;
    if (fields > FIELDS_MAX || type > UINT8_MAX || *stead_history_type_name((uint8_t)type) == '\0')
        return STEAD_EVERSION;
    event.type = (uint8_t)type;
    if (read_fields(&cursor, fields, &event) != 0)
        return STEAD_ECORRUPT;
    *reader = cursor;
    *ret_event = event;
    return 0;
}

/* ---- Rows ----------------------------------------------------------------------------------- */

int stead_history_row_begin(struct stead_slice row, struct stead_history_row *ret_row)
{
    struct stead_history_row it = {.reader = stead_reader(row)};
    uint32_t fields = 0;

    if (stead_read_array(&it.reader, &fields) != 0 || fields < 3 || stead_read_u64(&it.reader, &it.next) != 0 ||
        stead_read_i64(&it.reader, &it.time_ms) != 0 || stead_read_array(&it.reader, &it.left) != 0 || it.next == 0)
        return STEAD_ECORRUPT;
    if (fields > 3)
        return STEAD_EVERSION;
    *ret_row = it;
    return 0;
}

int stead_history_row_next(struct stead_history_row *row, struct stead_history_event *ret_event)
{
    if (row->left == 0)
        return row->reader.at == row->reader.end ? STEAD_ENOTFOUND : STEAD_ECORRUPT;
    int code = stead_history_read(&row->reader, ret_event);
    if (code != 0)
        return code;
    row->left--;
    ret_event->id = row->next++;
    ret_event->time_ms = row->time_ms;
    return 0;
}

void stead_history_row_write(struct stead_writer *writer, uint64_t first, int64_t time_ms, uint32_t count,
                             struct stead_slice events)
{
    stead_write_array(writer, 3);
    stead_write_u64(writer, first);
    stead_write_i64(writer, time_ms);
    stead_write_array(writer, count);
    stead_write_raw(writer, events.data, events.size);
}

/* ---- For people ----------------------------------------------------------------------------- */

static void write_member(struct stead_writer *writer, const char *name, struct stead_slice text)
{
    if (text.size == 0)
        return;
    stead_write_str(writer, name);
    stead_write_str_slice(writer, text);
}

void stead_history_write_map(struct stead_writer *writer, const struct stead_history_event *event)
{
    uint32_t members = 3u + (event->ref != 0) + (event->name.size > 0) + (event->target.size > 0) +
                       (event->value.size > 0) + (event->code != 0) + (event->error_name.size > 0) +
                       (event->error_sentence.size > 0) + (event->extra.size > 0);

    stead_write_map(writer, members);
    stead_write_str(writer, "type");
    stead_write_str(writer, stead_history_type_name(event->type));
    stead_write_str(writer, "id");
    stead_write_u64(writer, event->id);
    stead_write_str(writer, "time");
    stead_write_i64(writer, event->time_ms);
    if (event->ref != 0) {
        stead_write_str(writer, "ref");
        stead_write_u64(writer, event->ref);
    }
    write_member(writer, "name", event->name);
    write_member(writer, "target", event->target);
    if (event->value.size > 0) {
        stead_write_str(writer, "value");
        stead_write_value(writer, event->value);
    }
    if (event->code != 0) {
        stead_write_str(writer, "code");
        stead_write_str(writer, stead_error_name(event->code));
    }
    write_member(writer, "error_name", event->error_name);
    write_member(writer, "error_sentence", event->error_sentence);
    if (event->extra.size > 0) {
        stead_write_str(writer, "extra");
        stead_write_value(writer, event->extra);
    }
}
