/* SPDX-License-Identifier: Apache-2.0 */
/*
 * orchestrator_look: what an instance tells of itself: the status map, pages of its history for people, and its rows as
 * they are stored for a dry run.
 *
 * A page is bounded by events and bytes, and may end and begin in the middle of a row: the row that it begins in is
 * searched for by the rows' keys. An event that is too large for an answer is shown without its value.
 */
#include "agents/orchestrator.h"

#define PAGE_EVENTS 256u
#define PAGE_EVENTS_MAX 10000u
#define PAGE_BYTES (384u << 10)
#define SHOWN_MAX (256u << 10) /* bytes of a value in a page */
/* Bytes of output, custom status and input in a status: what there is room for, in this order. */
#define TOLD_MAX STEAD_ENGINE_OUTPUT_MAX

static const struct stead_slice nothing = {NULL, 0};

/* ---- Status --------------------------------------------------------------------------------- */

struct finding {
    struct stead_turn *turn;
    uint8_t type;
    struct stead_slice value;
};

/* In one row. */
static int find_event(void *context, uint64_t first, struct stead_slice row)
{
    struct finding *finding = context;
    struct stead_history_row reader;
    struct stead_history_event event;

    (void)first;
    int code = stead_history_row_begin(row, &reader);
    while (code == 0) {
        code = stead_history_row_next(&reader, &event);
        if (code == 0 && event.type == finding->type) {
            finding->value = stead_packed(finding->turn, "v", event.value);
            return 1;
        }
    }
    return 1;
}

/* EXECUTION_STARTED is event 2: in the first row, or, when its input is large, alone in the second. */
static int find_input(void *context, uint64_t first, struct stead_slice row)
{
    struct finding *finding = context;

    (void)find_event(context, first, row);
    return finding->value.size > 0 || first > 2;
}

int stead_orchestration_input(struct stead_turn *turn, const struct stead_orchestration_state *it,
                              struct stead_slice *ret_value)
{
    struct finding finding = {.turn = turn, .type = STEAD_HISTORY_EXECUTION_STARTED};
    int code = it->execution > 0 ? stead_rows_visit(turn, it->execution, 1, find_input, &finding) : 0;

    *ret_value = finding.value;
    return code;
}

int stead_orchestration_output(struct stead_turn *turn, const struct stead_orchestration_state *it,
                               struct stead_slice *ret_value)
{
    struct finding finding = {.turn = turn, .type = STEAD_HISTORY_EXECUTION_COMPLETED};
    int code = 0;

    if (it->end_row > 0 && stead_orchestration_status(it) == STEAD_INSTANCE_COMPLETED)
        code = stead_rows_visit(turn, it->execution, it->end_row, find_event, &finding);
    *ret_value = finding.value;
    return code;
}

/* The value, or nothing when there is no room for it. */
static struct stead_slice fitting(struct stead_slice value, size_t *room)
{
    if (value.size > *room)
        return nothing;
    *room -= value.size;
    return value;
}

/* The map, with these values. */
static struct stead_slice tell(struct stead_turn *turn, const struct stead_orchestration_state *it,
                               struct stead_slice input, struct stead_slice output, struct stead_slice custom)
{
    return stead_packed(turn, "{s:s,s:s,s:u,s:u,s:s,s:l,s:l,s:u,s:s,s:v,s:v,s:v,s:s,s:s,s:u}", "id",
                        stead_self_key(turn), "name", it->name, "version", (uint64_t)it->version, "execution",
                        (uint64_t)it->execution, "status", it->status, "created", it->created, "updated", it->updated,
                        "events", it->events, "parent", it->parent, "input", input, "output", output, "custom", custom,
                        "error_name", it->error_name, "error_sentence",
                        it->looks > 0 && stead_orchestration_status(it) == STEAD_INSTANCE_PENDING
                            ? "its orchestrator is not loaded on this node"
                            : it->error_sentence,
                        "dropped", it->dropped);
}

int stead_orchestration_tell(struct stead_turn *turn, const struct stead_orchestration_state *it,
                             struct stead_slice *ret_map)
{
    size_t room = TOLD_MAX;
    struct stead_slice input, output;

    int code = stead_orchestration_output(turn, it, &output);
    if (code == 0)
        code = stead_orchestration_input(turn, it, &input);
    if (code != 0)
        return code;
    output = fitting(output, &room);
    struct stead_slice custom = fitting(stead_buffer_get(&it->custom), &room);
    *ret_map = tell(turn, it, fitting(input, &room), output, custom);
    return 0;
}

struct stead_slice stead_orchestration_tell_briefly(struct stead_turn *turn, const struct stead_orchestration_state *it)
{
    return tell(turn, it, nothing, nothing, nothing);
}

int stead_orchestration_reply(struct stead_turn *turn, const struct stead_orchestration_state *it)
{
    struct stead_slice map;
    int code = stead_orchestration_tell(turn, it, &map);

    return code != 0 ? code : stead_reply(turn, map);
}

int stead_orchestration_op_status(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct stead_orchestration_state *it = state;

    (void)args;
    if (it->name[0] == '\0')
        return STEAD_ENOTFOUND;
    return stead_orchestration_reply(turn, it);
}

/* ---- History -------------------------------------------------------------------------------- */

struct page {
    struct stead_turn *turn;
    uint64_t after, limit;
    uint32_t count;
    struct stead_writer maps;
    bool more;
    int code;
};

static void show(struct page *page, struct stead_history_event *event)
{
    if (event->value.size > SHOWN_MAX) {
        event->extra = stead_packed(page->turn, "{s:u}", "omitted", (uint64_t)event->value.size);
        event->value = nothing;
    }
    stead_history_write_map(&page->maps, event);
    page->count++;
}

static int visit_page(void *context, uint64_t first, struct stead_slice row)
{
    struct page *page = context;
    struct stead_history_row reader;
    struct stead_history_event event;

    (void)first;
    if (page->count > 0 && (page->count >= page->limit || page->maps.size >= PAGE_BYTES)) {
        page->more = true;
        return 1;
    }
    page->code = stead_history_row_begin(row, &reader);
    while (page->code == 0) {
        page->code = stead_history_row_next(&reader, &event);
        if (page->code != 0 || event.id <= page->after)
            continue;
        if (page->count >= page->limit || (page->count > 0 && page->maps.size >= PAGE_BYTES)) {
            page->more = true;
            return 1;
        }
        show(page, &event);
    }
    page->code = page->code == STEAD_ENOTFOUND ? 0 : page->code;
    return page->code != 0;
}

int stead_orchestration_op_history(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct stead_orchestration_state *it = state;
    struct page page = {.turn = turn, .limit = PAGE_EVENTS};

    if (it->name[0] == '\0')
        return STEAD_ENOTFOUND;
    if (stead_get_u64(args, "after", &page.after) == STEAD_EARGUMENT || page.after > INT64_MAX ||
        stead_get_u64(args, "limit", &page.limit) == STEAD_EARGUMENT || page.limit == 0 || page.limit > PAGE_EVENTS_MAX)
        return STEAD_EARGUMENT;
    stead_writer_init(&page.maps);
    int code = 0;
    if (page.after < it->events) {
        uint64_t first = 0;
        code = stead_rows_find(turn, it->execution, page.after + 1, &first);
        if (code == 0)
            code = stead_rows_visit(turn, it->execution, first, visit_page, &page);
    }
    code = code != 0 ? code : page.code;
    if (code == 0) {
        struct stead_writer answer;
        stead_writer_init(&answer);
        stead_write_map(&answer, 4);
        stead_write_str(&answer, "execution");
        stead_write_u64(&answer, it->execution);
        stead_write_str(&answer, "status");
        stead_write_str(&answer, it->status);
        stead_write_str(&answer, "more");
        stead_write_bool(&answer, page.more);
        stead_write_str(&answer, "events");
        stead_write_array(&answer, page.count);
        stead_write_raw(&answer, page.maps.data, page.maps.size);
        code = stead_reply(turn, stead_written(&answer));
        stead_writer_deinit(&answer);
    }
    stead_writer_deinit(&page.maps);
    return code;
}

/* ---- Rows ----------------------------------------------------------------------------------- */

struct raw {
    struct stead_writer rows;
    uint32_t count;
    uint64_t base;       /* added to the first ids of the rows that are visited */
    uint64_t next_first; /* where the next page begins; 0: there is none */
    uint32_t next_part;
};

static int visit_raw(void *context, struct stead_slice key, struct stead_slice value)
{
    struct raw *raw = context;
    uint32_t execution = 0, part = 0;
    uint64_t first = 0;

    if (!stead_row_key_read(key, &execution, &first, &part))
        return 0;
    if (raw->count > 0 && raw->rows.size + value.size > PAGE_BYTES) {
        raw->next_first = raw->base + first;
        raw->next_part = part;
        return 1;
    }
    stead_pack(&raw->rows, "[u,u,B]", raw->base + first, (uint64_t)part, value);
    raw->count++;
    return 0;
}

static int scan_raw(struct stead_turn *turn, char class, uint32_t execution, uint64_t first, uint64_t part,
                    struct raw *raw)
{
    uint8_t low[STEAD_ROW_KEY_MAX], high[STEAD_ROW_KEY_MAX];
    struct stead_slice from = stead_row_key_of(low, class, execution, first);

    if (part > 0) {
        low[from.size] = (uint8_t)(part >> 8);
        low[from.size + 1] = (uint8_t)part;
        from.size += 2;
    }
    return stead_kv_scan(turn, from, stead_row_key_of(high, class, execution + 1, 0), UINT32_MAX, visit_raw, raw);
}

/* What was carried into the execution comes first, under its numbers; the history behind it, under ids that are
 * STEAD_ENGINE_OWN_EVENTS higher. */
int stead_orchestration_op_raw_history(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct stead_orchestration_state *it = state;
    uint64_t first = 0, part = 0;
    struct raw raw = {.count = 0};
    int code = 0;
    struct stead_writer answer;

    if (it->name[0] == '\0')
        return STEAD_ENOTFOUND;
    if (stead_get_u64(args, "first", &first) == STEAD_EARGUMENT ||
        stead_get_u64(args, "part", &part) == STEAD_EARGUMENT || part > UINT16_MAX)
        return STEAD_EARGUMENT;
    stead_writer_init(&raw.rows);
    if (first < STEAD_ENGINE_OWN_EVENTS) {
        code = scan_raw(turn, 'e', 0, first < it->carried_first ? it->carried_first : first, part, &raw);
        first = STEAD_ENGINE_OWN_EVENTS;
        part = 0;
    }
    raw.base = STEAD_ENGINE_OWN_EVENTS;
    if (code == 0 && raw.next_first == 0)
        code = scan_raw(turn, 'h', it->execution, first - STEAD_ENGINE_OWN_EVENTS, part, &raw);
    if (code == 0) {
        stead_writer_init(&answer);
        stead_write_map(&answer, 8);
        stead_write_str(&answer, "name");
        stead_write_str(&answer, it->name);
        stead_write_str(&answer, "version");
        stead_write_u64(&answer, it->version);
        stead_write_str(&answer, "execution");
        stead_write_u64(&answer, it->execution);
        stead_write_str(&answer, "status");
        stead_write_str(&answer, it->status);
        stead_write_str(&answer, "events");
        stead_write_u64(&answer, it->events);
        stead_write_str(&answer, "rewinds");
        stead_write_bin(&answer, stead_buffer_get(&it->rewinds));
        stead_write_str(&answer, "next");
        if (raw.next_first > 0)
            stead_pack(&answer, "[u,u]", raw.next_first, (uint64_t)raw.next_part);
        else
            stead_write_nil(&answer);
        stead_write_str(&answer, "rows");
        stead_write_array(&answer, raw.count);
        stead_write_raw(&answer, raw.rows.data, raw.rows.size);
        code = stead_reply(turn, stead_written(&answer));
        stead_writer_deinit(&answer);
    }
    stead_writer_deinit(&raw.rows);
    return code;
}
