/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_table_read: what is read from the tables of a hub: a worker's pages of history rows, and what people are shown.
 * Pages end where an answer would become too large, and say where the next one begins.
 */
#include "agents/hub_table.h"

#include "agents/history.h"
#include "agents/hub_large.h"
#include "agents/instance.h"

#define PAGE_BYTES (384u << 10)       /* of history or instances in an answer; one row may pass it */
#define SHOWN_MAX (900u << 10)        /* bytes of an event's value: without it, where it has more */
#define TOLD_MAX ((1u << 20) - 4096u) /* of output, custom status and input: what there is room for, in this order */
#define LIST_MAX 1000u
#define LIST_LOOKED_AT 5000u

/* ---- Keys and rows --------------------------------------------------------------------------- */

struct stead_hub_key stead_hub_row_key(uint8_t sort, struct stead_slice id)
{
    struct stead_hub_key key = {.bytes = {sort}, .size = 1};

    if (id.size > 0)
        memcpy(key.bytes + 1, id.data, id.size);
    key.size += id.size;
    return key;
}

struct stead_hub_key stead_hub_value_key(struct stead_slice id, uint8_t which)
{
    struct stead_hub_key key = stead_hub_row_key('p', id);

    key.bytes[key.size++] = 0;
    key.bytes[key.size++] = which;
    return key;
}

struct stead_hub_key stead_hub_history_key(struct stead_slice id, uint64_t number)
{
    struct stead_hub_key key = stead_hub_row_key('h', id);

    key.bytes[key.size++] = 0;
    stead_hub_key_u64(&key, number);
    return key;
}

int stead_hub_row_read(struct stead_slice value, struct stead_hub_row *ret_row)
{
    struct stead_reader reader = stead_reader(value);
    struct stead_hub_row row;
    uint32_t count;

    if (stead_read_array(&reader, &count) != 0 || count != 5 || stead_read_u64(&reader, &row.etag) != 0 ||
        stead_read_u64(&reader, &row.first) != 0 || stead_read_u64(&reader, &row.last) != 0 ||
        stead_read_i64(&reader, &row.purge_ms) != 0 || stead_read_value(&reader, &row.map) != 0)
        return STEAD_ECORRUPT;
    *ret_row = row;
    return 0;
}

bool stead_hub_row_is_past(const struct stead_hub_row *row)
{
    return row->map.size == 1 && row->map.data[0] == 0xc0; /* nil */
}

int stead_hub_row_find(struct stead_turn *turn, struct stead_slice id, struct stead_hub_row *ret_row)
{
    int code = stead_hub_row_get(turn, id, ret_row);

    return code == 0 && stead_hub_row_is_past(ret_row) ? STEAD_ENOTFOUND : code;
}

int stead_hub_row_get(struct stead_turn *turn, struct stead_slice id, struct stead_hub_row *ret_row)
{
    struct stead_hub_key key = stead_hub_row_key('n', id);
    struct stead_slice value;
    int code = stead_kv_get(turn, stead_hub_key(&key), &value);

    return code != 0 ? code : stead_hub_row_read(value, ret_row);
}

enum stead_instance_status stead_hub_row_status(const struct stead_hub_row *row)
{
    uint64_t status = STEAD_INSTANCE_PENDING;

    if (stead_get_u64(row->map, "status", &status) != 0 || status > STEAD_INSTANCE_SUSPENDED)
        status = STEAD_INSTANCE_RUNNING;
    return (enum stead_instance_status)status;
}

int stead_hub_take_id(struct stead_turn *turn, struct stead_slice args, struct stead_slice *ret_id)
{
    if (stead_get_str(args, "id", ret_id) != 0 || stead_instance_id_check(*ret_id) != 0)
        return stead_fail(turn, "bad_argument", "id is an instance's id");
    return 0;
}

int stead_hub_bad(struct stead_turn *turn, const char *what)
{
    return stead_fail(turn, "bad_argument", "%s", what);
}

static const char *const told[] = {"name",   "version",    "execution",      "created", "updated", "events",
                                   "parent", "error_name", "error_sentence", "differs", "final"};
#define TOLD (sizeof(told) / sizeof(*told))

/* The value, or nothing when there is no room for it. */
static struct stead_slice find_value(struct stead_turn *turn, struct stead_slice id, uint8_t which, size_t *room)
{
    struct stead_slice value = {0};

    if (stead_hub_large_get(turn, stead_hub_value_key(id, which), &value) != 0 || value.size > *room)
        return (struct stead_slice){0};
    *room -= value.size;
    return value;
}

static void write_values(struct stead_turn *turn, struct stead_writer *writer, struct stead_slice id)
{
    size_t room = TOLD_MAX;
    struct stead_slice output = find_value(turn, id, 'o', &room), custom = find_value(turn, id, 'c', &room),
                       input = find_value(turn, id, 'i', &room);

    stead_write_str(writer, "input");
    stead_write_value(writer, input);
    stead_write_str(writer, "output");
    stead_write_value(writer, output);
    stead_write_str(writer, "custom");
    stead_write_value(writer, custom);
}

/* The map of stead_instance_read(); `whole`: with its values. */
static void write_instance(struct stead_turn *turn, struct stead_writer *writer, struct stead_slice id,
                           const struct stead_hub_row *row, bool whole)
{
    struct stead_slice value;

    stead_write_map(writer, (uint32_t)TOLD + 3 + (whole ? 3 : 0));
    stead_write_str(writer, "id");
    stead_write_str_slice(writer, id);
    stead_write_str(writer, "status");
    stead_write_str(writer, stead_instance_status_name(stead_hub_row_status(row)));
    stead_write_str(writer, "etag");
    stead_write_u64(writer, row->etag);
    for (size_t at = 0; at < TOLD; at++) {
        if (stead_get_value(row->map, told[at], &value) != 0)
            value = (struct stead_slice){0};
        stead_write_str(writer, told[at]);
        stead_write_value(writer, value);
    }
    if (whole)
        write_values(turn, writer, id);
}

static struct stead_slice written_in_turn(struct stead_turn *turn, const struct stead_writer *writer)
{
    struct stead_slice bytes = stead_written(writer);
    uint8_t *copy = stead_turn_alloc(turn, bytes.size + 1);

    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    return stead_bytes(copy, bytes.size);
}

struct stead_slice stead_hub_instance_map(struct stead_turn *turn, struct stead_slice id,
                                          const struct stead_hub_row *row)
{
    struct stead_writer writer;

    stead_writer_init(&writer);
    write_instance(turn, &writer, id, row, true);
    struct stead_slice map = written_in_turn(turn, &writer);
    stead_writer_deinit(&writer);
    return map;
}

/* ---- Reading ---------------------------------------------------------------------------------------- */

struct paging {
    struct stead_writer list;
    uint32_t count;
    uint64_t next; /* the number behind the last one */
    bool full;
};

static int page_row(void *context, struct stead_slice key, struct stead_slice value)
{
    struct paging *paging = context;

    if (paging->count > 0 && paging->list.size + value.size > PAGE_BYTES) {
        paging->full = true;
        return 1;
    }
    stead_write_bin(&paging->list, value);
    paging->count++;
    paging->next = stead_hub_load_u64(key.data + key.size - 8) + 1;
    return 0;
}

int stead_hub_table_read(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct paging paging = {.count = 0};
    struct stead_writer answer;
    struct stead_slice id;
    struct stead_hub_row row;
    uint64_t from = 0;
    int code = stead_hub_take_id(turn, args, &id);

    ((struct stead_hub_table *)state)->reads++;
    if (code == 0 && stead_get_u64(args, "from", &from) == STEAD_EARGUMENT)
        code = stead_hub_bad(turn, "from is a row's number");
    if (code == 0)
        code = stead_hub_row_get(turn, id, &row);
    if (code != 0)
        return code;
    struct stead_hub_key first = stead_hub_history_key(id, from > row.first ? from : row.first),
                         last = stead_hub_history_key(id, row.last);
    stead_writer_init(&paging.list);
    stead_writer_init(&answer);
    if (row.last > row.first)
        code = stead_kv_scan(turn, stead_hub_key(&first), stead_hub_key(&last), UINT32_MAX, page_row, &paging);
    stead_write_map(&answer, 4);
    stead_pack(&answer, "s", "etag");
    stead_write_u64(&answer, row.etag);
    stead_pack(&answer, "s", "row");
    stead_write_value(&answer, row.map);
    stead_pack(&answer, "s", "next");
    stead_write_u64(&answer, paging.full ? paging.next : 0);
    stead_pack(&answer, "s", "rows");
    stead_write_array(&answer, paging.count);
    stead_write_raw(&answer, paging.list.data, paging.list.size);
    if (code == 0)
        code = stead_reply(turn, stead_written(&answer));
    stead_writer_deinit(&paging.list);
    stead_writer_deinit(&answer);
    return code;
}

struct telling {
    struct stead_turn *turn;
    struct stead_writer list;
    struct stead_writer row; /* read so far: it may go on in the next one */
    uint32_t count;
    uint64_t after;
    bool more;
    int code;
};

static void tell_event(struct telling *telling, struct stead_history_event *event)
{
    if (event->value.size > SHOWN_MAX) {
        event->extra = stead_packed(telling->turn, "{s:u}", "omitted", (uint64_t)event->value.size);
        event->value = (struct stead_slice){0};
    }
    stead_history_write_map(&telling->list, event);
    telling->count++;
}

/* The events of the row that was read: [messages, row], the list being the worker's own. False: the page is full, or
 * the row damaged. */
static bool tell_row(struct telling *telling)
{
    struct stead_history_row row;
    struct stead_history_event event;
    struct stead_reader reader = stead_reader(stead_written(&telling->row));
    struct stead_slice events;
    uint32_t count = 0;
    int code = STEAD_ECORRUPT;

    if (telling->row.size == 0)
        return true;
    if (stead_read_array(&reader, &count) == 0 && count >= 2 && stead_read_skip(&reader) == 0 &&
        stead_read_bin(&reader, &events) == 0)
        code = events.size == 0 ? STEAD_ENOTFOUND : stead_history_row_begin(events, &row);
    while (code == 0 && (code = stead_history_row_next(&row, &event)) == 0) {
        if (event.id <= telling->after)
            continue;
        if (telling->count > 0 && telling->list.size + event.value.size > PAGE_BYTES) {
            telling->more = true;
            return false;
        }
        tell_event(telling, &event);
    }
    telling->code = code == STEAD_ENOTFOUND ? 0 : code;
    return telling->code == 0;
}

static int see_row(void *context, struct stead_slice key, struct stead_slice value)
{
    struct telling *telling = context;
    bool goes_on = value.size > 0 && value.data[0] == STEAD_HUB_PART_MARK;

    (void)key;
    if (!goes_on) {
        if (!tell_row(telling))
            return 1;
        stead_writer_reset(&telling->row);
    }
    stead_write_raw(&telling->row, value.data + goes_on, value.size - goes_on);
    return 0;
}

int stead_hub_table_history(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct telling telling = {.turn = turn};
    struct stead_writer answer;
    struct stead_slice id;
    struct stead_hub_row row;
    int code = stead_hub_take_id(turn, args, &id);

    (void)state;
    if (code == 0 && stead_get_u64(args, "after", &telling.after) == STEAD_EARGUMENT)
        code = stead_hub_bad(turn, "after is an event's id");
    if (code == 0)
        code = stead_hub_row_find(turn, id, &row);
    if (code != 0)
        return code;
    struct stead_hub_key first = stead_hub_history_key(id, row.first), last = stead_hub_history_key(id, row.last);
    stead_writer_init(&telling.list);
    stead_writer_init(&telling.row);
    stead_writer_init(&answer);
    if (row.last > row.first)
        code = stead_kv_scan(turn, stead_hub_key(&first), stead_hub_key(&last), UINT32_MAX, see_row, &telling);
    if (code == 0 && telling.code == 0 && !telling.more)
        (void)tell_row(&telling);
    code = code == 0 ? telling.code : code;
    uint64_t execution = 0;
    if (stead_get_u64(row.map, "execution", &execution) != 0)
        execution = 0;
    stead_write_map(&answer, 3);
    stead_pack(&answer, "s", "execution");
    stead_write_u64(&answer, execution);
    stead_pack(&answer, "s", "more");
    stead_write_bool(&answer, telling.more);
    stead_pack(&answer, "s", "events");
    stead_write_array(&answer, telling.count);
    stead_write_raw(&answer, telling.list.data, telling.list.size);
    if (code == 0)
        code = stead_reply(turn, stead_written(&answer));
    stead_writer_deinit(&telling.list);
    stead_writer_deinit(&telling.row);
    stead_writer_deinit(&answer);
    return code;
}

struct listing {
    struct stead_turn *turn;
    struct stead_writer list;
    struct stead_slice status, name, prefix; /* size 0: any */
    int64_t from_ms, to_ms;                  /* created; 0: any */
    uint32_t limit, count, seen;
    bool more;
    char next[STEAD_INSTANCE_ID_MAX + 1]; /* the last id looked at */
};

static bool fits(const struct listing *listing, const struct stead_hub_row *row)
{
    struct stead_slice name = {0};
    int64_t created = 0;

    if (stead_get_str(row->map, "name", &name) != 0 || stead_get_i64(row->map, "created", &created) != 0)
        return false;
    return (listing->status.size == 0 ||
            stead_slice_equal(listing->status, stead_str(stead_instance_status_name(stead_hub_row_status(row))))) &&
           (listing->name.size == 0 || stead_slice_equal(listing->name, name)) &&
           (listing->from_ms == 0 || created >= listing->from_ms) && (listing->to_ms == 0 || created < listing->to_ms);
}

static int list_row(void *context, struct stead_slice key, struct stead_slice value)
{
    struct listing *listing = context;
    struct stead_slice id = stead_bytes(key.data + 1, key.size - 1);
    struct stead_hub_row row;

    if (listing->count == listing->limit || listing->seen++ == LIST_LOOKED_AT || listing->list.size > PAGE_BYTES) {
        listing->more = true;
        return 1;
    }
    memcpy(listing->next, id.data, id.size);
    listing->next[id.size] = 0;
    if (stead_hub_row_read(value, &row) != 0 || !fits(listing, &row))
        return 0;
    write_instance(listing->turn, &listing->list, id, &row, false);
    listing->count++;
    return 0;
}

int stead_hub_table_list(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct listing listing = {.turn = turn, .limit = 100};
    struct stead_slice after = {0};
    struct stead_writer answer;
    int64_t limit = 100;

    (void)state;
    if (stead_get_str(args, "status", &listing.status) == STEAD_EARGUMENT ||
        stead_get_str(args, "name", &listing.name) == STEAD_EARGUMENT ||
        stead_get_str(args, "prefix", &listing.prefix) == STEAD_EARGUMENT ||
        stead_get_str(args, "after", &after) == STEAD_EARGUMENT ||
        stead_get_i64(args, "from", &listing.from_ms) == STEAD_EARGUMENT ||
        stead_get_i64(args, "to", &listing.to_ms) == STEAD_EARGUMENT ||
        stead_get_i64(args, "limit", &limit) == STEAD_EARGUMENT || limit < 1 || limit > LIST_MAX ||
        listing.prefix.size > STEAD_INSTANCE_ID_MAX || after.size > STEAD_INSTANCE_ID_MAX)
        return stead_hub_bad(turn, "list takes status, name, prefix, from, to, limit (1 to 1000) and after");
    listing.limit = (uint32_t)limit;
    struct stead_hub_key from =
        stead_hub_row_key('n', stead_slice_compare(after, listing.prefix) > 0 ? after : listing.prefix);
    struct stead_hub_key to = stead_hub_row_key('n', listing.prefix);
    if (stead_slice_compare(after, listing.prefix) >= 0 && after.size > 0)
        from.bytes[from.size++] = 0; /* behind it */
    for (int at = 0; at < 2; at++)
        to.bytes[to.size++] = 0xff; /* an id is UTF-8: none has this byte */
    stead_writer_init(&listing.list);
    stead_writer_init(&answer);
    int code = stead_kv_scan(turn, stead_hub_key(&from), stead_hub_key(&to), UINT32_MAX, list_row, &listing);
    stead_write_map(&answer, 2);
    stead_pack(&answer, "s", "next");
    stead_write_str(&answer, listing.more ? listing.next : "");
    stead_pack(&answer, "s", "instances");
    stead_write_array(&answer, listing.count);
    stead_write_raw(&answer, listing.list.data, listing.list.size);
    if (code == 0)
        code = stead_reply(turn, stead_written(&answer));
    stead_writer_deinit(&listing.list);
    stead_writer_deinit(&answer);
    return code;
}
