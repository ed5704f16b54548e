/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query: looking inside: show, journal, deadletters, unlock, agents. The maps are described in docs/OPERATIONS.md,
 * Queries.
 *
 * A query reads rows as they are (overlay over image) and answers when what it saw is committed, like any output of the
 * shard. Nothing here activates an agent, but retrying a dead letter and breaking a lock change rows, in the open
 * batch, like a turn.
 */
#include "runtime/address.h"
#include "runtime/fields.h"
#include "runtime/hook.h"
#include "runtime/shard.h"
#include "runtime/waiting.h"

#define LIST_MAX 1000u
#define COUNT_MAX 65536u /* rows of one sort that are counted: the agents of the shard wait meanwhile */

static void answer(struct stead_shard *shard, struct stead_message *query, int status, struct stead_slice value,
                   uint64_t depends_on)
{
    struct stead_message *it = stead_message_answer(query, status, NULL, value);

    it->depends_on = depends_on;
    it->durability = STEAD_CLASS_DURABLE;
    stead_shard_emit(shard, it);
    stead_message_destroy(&query);
}

static void fail(struct stead_shard *shard, struct stead_message *query, int status)
{
    answer(shard, query, status, (struct stead_slice){0}, 0);
}

/* What is known of the agent asked about. */
struct subject {
    struct stead_shard *shard;
    struct stead_slice address;
    stead_slot slot;
    struct stead_agent *agent;     /* resident and READY, or NULL */
    struct stead_writer row;       /* its AGENT row */
    struct stead_agent_row head;   /* of `row`, incarnation 1 when there is none */
    const struct stead_kind *kind; /* NULL: not loaded here */
    bool exists;
};

static int find_subject(struct stead_shard *shard, const struct stead_message *query, struct subject *it)
{
    struct stead_row_key key;
    size_t kind_size;

    *it = (struct subject){.shard = shard,
                           .address = stead_bytes(query->address, query->address_size),
                           .slot = query->slot,
                           .head.incarnation = 1};
    stead_writer_init(&it->row);
    if (stead_address_check(it->address, &kind_size) != 0)
        return STEAD_EADDRESS;
    it->kind = stead_registry_find(shard->host->registry, query->address, kind_size);
    it->agent = stead_agent_find(shard, it->address, stead_hash(it->address.data, it->address.size));
    if (it->agent != NULL && it->agent->phase != STEAD_AGENT_READY)
        it->agent = NULL;
    stead_row_agent(&key, it->slot, it->address);
    int code = stead_overlay_get_merged(shard->overlay, &shard->host->doors, stead_row_slice(&key), &it->row);
    if (code == 0)
        code = stead_agent_row_decode(stead_written(&it->row), &it->head);
    if (it->agent != NULL)
        it->head.incarnation = it->agent->incarnation;
    it->exists = code == 0 && (it->head.flags & STEAD_AGENT_EXISTS);
    if (it->agent != NULL && !stead_agent_durable(it->agent))
        it->exists = true;
    return code == STEAD_ENOTFOUND ? 0 : code;
}

static uint64_t depends_on(const struct subject *it)
{
    /* What is read may be in the open batch, or on its way to the disk. */
    bool open = it->shard->urgent || it->shard->turn_count > 0;
    return it->agent != NULL ? it->agent->depends_on : open ? it->shard->next_index : it->shard->next_index - 1;
}

/* ---- show ----------------------------------------------------------------------------------------------- */

/* A list under construction: elements go to `items`, so that their number can be written first. */
struct list {
    struct stead_writer items;
    uint32_t count;
    size_t prefix; /* bytes of the row key before the sub-key */
    int code;      /* not all of the rows could be read; 0: they could */
};

static void list_init(struct list *list, const struct subject *it, uint64_t incarnation, enum stead_row_part part)
{
    struct stead_row_key key;

    stead_row_part(&key, it->slot, it->address, incarnation, part, (struct stead_slice){0});
    *list = (struct list){.prefix = key.size};
    stead_writer_init(&list->items);
}

static void write_list(struct stead_writer *writer, struct list *list)
{
    stead_write_array(writer, list->count);
    stead_write_raw(writer, list->items.data, list->items.size);
    stead_writer_deinit(&list->items);
}

/* Scans one part of the agent's rows. */
static void scan_part(const struct subject *it, uint64_t incarnation, enum stead_row_part part,
                      stead_row_visit_fn *visit, struct list *list)
{
    struct stead_row_key from, to;

    stead_row_part(&to, it->slot, it->address, incarnation, part, (struct stead_slice){0});
    from = to;
    if (part == STEAD_PART_MAIL && it->agent != NULL)
        stead_mail_begin(it->agent, &from);
    if (!stead_row_after_prefix(&to))
        return;
    int code = stead_overlay_scan_merged(it->shard->overlay, &it->shard->host->doors, stead_row_slice(&from),
                                         stead_row_slice(&to), false, visit, list);
    if (code < 0)
        list->code = code;
}

static int show_timer(void *context, struct stead_slice key, struct stead_slice value)
{
    struct list *list = context;
    struct stead_timer_row row;

    if (list->count == LIST_MAX || stead_timer_row_decode(value, &row) != 0)
        return list->count == LIST_MAX;
    stead_pack(&list->items, row.cron.size > 0 ? "{s:S,s:S,s:u,s:l,s:S}" : "{s:S,s:S,s:u,s:l,s:n}", "name",
               stead_bytes(key.data + list->prefix, key.size - list->prefix), "op", row.op, "due_ms", row.due_ms,
               "period_ms", row.cron.size > 0 ? 0 : row.period_ms, "cron", row.cron);
    list->count++;
    return 0;
}

static int count_row(void *context, struct stead_slice key, struct stead_slice value)
{
    struct list *list = context;

    (void)key, (void)value;
    list->count++;
    return list->count == COUNT_MAX;
}

static uint32_t count_part(const struct subject *it, uint64_t incarnation, enum stead_row_part part, int *ret_code)
{
    struct list list;

    list_init(&list, it, incarnation, part);
    scan_part(it, incarnation, part, count_row, &list);
    stead_writer_deinit(&list.items);
    if (list.code != 0)
        *ret_code = list.code;
    return list.count;
}

static int show_call(void *context, struct stead_slice key, struct stead_slice value)
{
    struct list *list = context;
    char id[33];

    if (list->count == LIST_MAX || value.size < 28 || key.size < list->prefix + 16)
        return list->count == LIST_MAX;
    stead_hex(id, key.data + list->prefix, 16);
    stead_pack(&list->items, "{s:s,s:S,s:u}", "id", id, "reply_op",
               stead_bytes(value.data + 28, stead_load16(value.data + 22)), "deadline_ms", stead_load64(value.data));
    list->count++;
    return 0;
}

/* The stored image of an agent that is not in memory; empty: it has none. */
static void read_image(const struct subject *it, struct stead_writer *image, int *ret_code)
{
    struct stead_row_key key;

    if (!it->exists)
        return;
    if (!(it->head.flags & STEAD_AGENT_BIG_IMAGE)) {
        stead_write_raw(image, it->head.image.data, it->head.image.size);
        return;
    }
    stead_row_part(&key, it->slot, it->address, it->head.incarnation, STEAD_PART_IMAGE, (struct stead_slice){0});
    int code = stead_overlay_get_merged(it->shard->overlay, &it->shard->host->doors, stead_row_slice(&key), image);
    if (code == STEAD_EIO)
        *ret_code = code;
    if (code != 0 || stead_value_check(stead_written(image)) != 0)
        stead_writer_reset(image);
}

/* A state that is being made out of image and events. */
struct rebuilt {
    const struct stead_kind *kind;
    void *state;
};

static int apply_row(void *context, struct stead_slice key, struct stead_slice row)
{
    const struct rebuilt *rebuilt = context;

    (void)key;
    return stead_agent_apply_event(rebuilt->kind, rebuilt->state, row);
}

/* What image and events make together, as loading would; nil when that cannot be done. */
static void write_rebuilt(struct stead_writer *writer, const struct subject *it, struct stead_slice image,
                          int *ret_code)
{
    struct rebuilt rebuilt = {it->kind, stead_alloc_zero(it->kind->state_size)};
    struct stead_row_key from, to;
    int code = 0;

    if (image.size > 0)
        code = stead_fields_decode(it->kind->fields, rebuilt.state, image);
    stead_row_part(&from, it->slot, it->address, it->head.incarnation, STEAD_PART_EVENT, (struct stead_slice){0});
    to = from;
    stead_row_add_u64(&from, it->head.snapshot_seq + 1);
    stead_row_add_u64(&to, it->head.event_seq + 1);
    if (code == 0 && stead_hook_is_fatal(it->shard->host, it->address, STEAD_HOOK_APPLY))
        code = STEAD_ECORRUPT;
    stead_hook_begin(it->shard->host, it->address, STEAD_HOOK_APPLY);
    if (code == 0)
        code = stead_overlay_scan_merged(it->shard->overlay, &it->shard->host->doors, stead_row_slice(&from),
                                         stead_row_slice(&to), false, apply_row, &rebuilt);
    stead_hook_end(it->shard->host);
    if (code == 0)
        stead_fields_encode(it->kind->fields, rebuilt.state, writer);
    else
        stead_write_nil(writer);
    if (code == STEAD_EIO)
        *ret_code = code;
    stead_fields_deinit(it->kind->fields, rebuilt.state);
    free(rebuilt.state);
}

static void write_state(struct stead_writer *writer, const struct subject *it, int *ret_code)
{
    const struct stead_field *fields = it->kind == NULL ? NULL : it->kind->fields;
    struct stead_writer image;

    if (it->agent != NULL && fields != NULL && (it->agent->flags & STEAD_AGENT_INITED)) {
        stead_fields_encode(fields, it->agent->state, writer);
        return;
    }
    stead_writer_init(&image);
    read_image(it, &image, ret_code);
    if (it->exists && fields != NULL && it->head.event_seq > it->head.snapshot_seq)
        write_rebuilt(writer, it, stead_written(&image), ret_code);
    else
        stead_write_value(writer, stead_written(&image));
    stead_writer_deinit(&image);
}

static void write_lock(struct stead_writer *writer, const struct subject *it)
{
    bool held =
        it->agent != NULL ? (it->agent->flags & STEAD_AGENT_HELD) != 0 : (it->head.flags & STEAD_AGENT_HELD) != 0;

    if (!held)
        stead_write_nil(writer);
    else if (it->agent != NULL)
        stead_pack(writer, "{s:s,s:u}", "holder", it->agent->wait->holder, "fence", it->agent->fence);
    else
        stead_pack(writer, "{s:S,s:u}", "holder", it->head.holder, "fence", it->head.fence);
}

static void show(struct stead_shard *shard, struct stead_message *query)
{
    struct subject it;
    struct list timers, calls;
    struct stead_writer out;
    int code = find_subject(shard, query, &it);

    if (code != 0) {
        stead_writer_deinit(&it.row);
        fail(shard, query, code);
        return;
    }
    const uint8_t *slash = memchr(it.address.data, '/', it.address.size);
    size_t kind_size = (size_t)(slash - it.address.data);
    uint64_t incarnation = it.head.incarnation;
    uint64_t snapshot = it.agent != NULL ? it.agent->snapshot_seq : it.head.snapshot_seq;
    uint64_t events = it.agent != NULL ? it.agent->event_seq : it.head.event_seq;
    list_init(&timers, &it, incarnation, STEAD_PART_TIMER);
    scan_part(&it, incarnation, STEAD_PART_TIMER, show_timer, &timers);
    list_init(&calls, &it, incarnation, STEAD_PART_CALL);
    scan_part(&it, incarnation, STEAD_PART_CALL, show_call, &calls);

    stead_writer_init(&out);
    stead_write_map(&out, 21);
    stead_write_str(&out, "address"), stead_write_str_slice(&out, it.address);
    stead_write_str(&out, "kind"), stead_write_str_slice(&out, stead_bytes(it.address.data, kind_size));
    stead_write_str(&out, "key"), stead_write_str_slice(&out, stead_bytes(slash + 1, it.address.size - kind_size - 1));
    stead_write_str(&out, "exists"), stead_write_bool(&out, it.exists);
    stead_write_str(&out, "durability"),
        stead_write_str(&out, it.kind != NULL && it.kind->durability == STEAD_VOLATILE ? "volatile" : "durable");
    stead_write_str(&out, "incarnation"), stead_write_u64(&out, incarnation);
    stead_write_str(&out, "resident"), stead_write_bool(&out, it.agent != NULL);
    stead_write_str(&out, "state"), write_state(&out, &it, &code);
    stead_write_str(&out, "events_since_snapshot"), stead_write_u64(&out, events - snapshot);
    stead_write_str(&out, "mailbox");
    stead_pack(&out, "{s:u,s:u}", "waiting", (uint64_t)(it.agent == NULL ? 0 : stead_agent_waiting(it.agent)), "parked",
               (uint64_t)count_part(&it, 0, STEAD_PART_MAIL, &code));
    stead_write_str(&out, "lock"), write_lock(&out, &it);
    stead_write_str(&out, "timers"), write_list(&out, &timers);
    stead_write_str(&out, "delayed"), stead_write_u64(&out, count_part(&it, incarnation, STEAD_PART_DELAYED, &code));
    stead_write_str(&out, "calls"), write_list(&out, &calls);
    stead_write_str(&out, "owed"), stead_write_u64(&out, count_part(&it, incarnation, STEAD_PART_OWED, &code));
    stead_write_str(&out, "dead_letters"), stead_write_u64(&out, count_part(&it, 0, STEAD_PART_DEAD, &code));
    stead_write_str(&out, "node"), stead_write_str(&out, shard->host->options.node_name);
    stead_write_str(&out, "reactor"), stead_write_u64(&out, shard->host->options.reactor);
    stead_write_str(&out, "shard"), stead_write_u64(&out, shard->id);
    stead_write_str(&out, "slot"), stead_write_u64(&out, it.slot.v);
    stead_write_str(&out, "last_index"),
        stead_write_u64(&out, it.agent != NULL ? it.agent->last_index : it.head.last_index);
    if (timers.code != 0 || calls.code != 0)
        code = timers.code != 0 ? timers.code : calls.code;
    if (code == 0)
        answer(shard, query, 0, stead_written(&out), depends_on(&it));
    else
        fail(shard, query, code);
    stead_writer_deinit(&out);
    stead_writer_deinit(&it.row);
}

/* ---- journal ------------------------------------------------------------------------------------------------ */

static const char *cause_name(uint8_t type)
{
    switch (type) {
    case STEAD_TELL:
        return "tell";
    case STEAD_SIGNAL:
        return "signal";
    case STEAD_CALL:
        return "call";
    case STEAD_ANSWER:
        return "answer";
    default:
        return "timer";
    }
}

static void write_turn(struct stead_writer *out, uint64_t index, const struct stead_turn_record *turn)
{
    bool omitted = turn->events.size > STEAD_QUERY_VALUE_MAX;
    char id[33];

    stead_hex(id, turn->id.v, sizeof(turn->id.v));
    stead_write_map(out, 9 + omitted);
    stead_pack(out, "s", "index"), stead_write_u64(out, index);
    stead_pack(out, "s", "time_ms"), stead_write_u64(out, turn->now_ms);
    stead_pack(out, "s", "op"), stead_write_str_slice(out, turn->op);
    stead_pack(out, "s", "cause"), stead_write_str(out, cause_name(turn->cause_type));
    stead_pack(out, "s", "from"), stead_write_str_slice(out, turn->cause);
    stead_pack(out, "s", "id"), stead_write_str(out, id);
    stead_pack(out, "s", "status"), stead_write_str(out, stead_error_name(turn->status));
    stead_pack(out, "s", "incarnation"), stead_write_u64(out, turn->incarnation);
    if (omitted)
        stead_pack(out, "s", "omitted"), stead_write_u64(out, turn->events.size);
    stead_pack(out, "s", "events");
    if (turn->events.size == 0 || omitted)
        stead_write_array(out, 0);
    else
        stead_write_value(out, turn->events);
}

/* The turns of the agent in one entry, oldest first. */
struct entry_turns {
    uint64_t index;                  /* of the entry; 0: none yet */
    struct stead_writer bytes;       /* of the entry */
    struct stead_turn_record *turns; /* owned; what they borrow is in `bytes` */
    uint32_t count, capacity;
};

static void entry_turns_deinit(struct entry_turns *it)
{
    stead_writer_deinit(&it->bytes);
    free(it->turns);
}

static int read_turns(struct entry_turns *it, const struct subject *subject, uint64_t index)
{
    const struct stead_doors *doors = &subject->shard->host->doors;
    struct stead_turn_record turn;
    struct stead_entry entry;

    if (it->index == index)
        return 0;
    it->index = it->count = 0;
    stead_writer_reset(&it->bytes);
    int code = doors->read_entry(doors->self, subject->shard->id, index, &it->bytes);
    if (code == 0)
        code = stead_entry_decode(stead_written(&it->bytes), &entry);
    while (code == 0 && stead_entry_next_turn(&entry.turns, &turn) > 0) {
        if (!stead_slice_equal(turn.address, subject->address))
            continue;
        if (it->count == it->capacity) {
            it->capacity = it->capacity == 0 ? 16 : 2 * it->capacity;
            it->turns = stead_realloc(it->turns, it->capacity * sizeof(*it->turns));
        }
        it->turns[it->count++] = turn;
    }
    if (code == 0)
        it->index = index;
    return code;
}

/* A page of the journal on its way. */
struct journal_page {
    struct list list;
    uint64_t limit, before, skip; /* asked for */
    uint64_t index;               /* of the next entry, 0: none */
    uint64_t shown;               /* turns of that entry that are on a page already, its newest */
};

/* The turns of an entry, newest first, as long as they fit: all of them, or some and the next page has the others. */
static void add_turns(struct journal_page *page, const struct entry_turns *entry, size_t bytes_max)
{
    struct list *list = &page->list;
    uint64_t shown = page->before > 0 && entry->index == page->before - 1 ? page->skip : 0;

    for (; shown < entry->count; shown++, list->count++) {
        const struct stead_turn_record *turn = &entry->turns[entry->count - 1 - shown];
        if (list->count > 0 && list->items.size + turn->events.size > bytes_max) {
            page->shown = shown;
            return;
        }
        write_turn(&list->items, entry->index, turn);
    }
    page->index = entry->count == 0 ? 0 : entry->turns[0].previous; /* the first of the entry points before it */
}

/* Walks back through the agent's entries. STEAD_EBUSY: its newest turn is on its way to the disk; STEAD_ENOTFOUND:
 * older entries were trimmed, the journal is kept for a while only. */
static int walk(struct journal_page *page, const struct subject *it)
{
    size_t bytes_max = stead_host_page_bytes(it->shard->host);
    struct entry_turns entry = {.index = 0};
    uint64_t start = page->before == 0 ? 0 : page->before - 1;
    int code = 0;

    stead_writer_init(&entry.bytes);
    page->index = it->agent != NULL ? it->agent->last_index : it->head.last_index;
    /* A `before` out of an answer names an entry of the agent: there the walk begins, else at the newest one. */
    if (start != 0 && start < page->index && start <= it->shard->synced && read_turns(&entry, it, start) == 0 &&
        entry.count > 0)
        page->index = start;
    while (page->index != 0 && page->list.count < page->limit && code == 0) {
        uint64_t index = page->index;
        code = index > it->shard->synced ? STEAD_EBUSY : read_turns(&entry, it, index);
        if (code == 0 && (page->before == 0 || index < page->before))
            add_turns(page, &entry, bytes_max);
        else if (code == 0)
            page->index = entry.count == 0 ? 0 : entry.turns[0].previous;
        if (page->index == index)
            break; /* full within an entry */
    }
    entry_turns_deinit(&entry);
    return code;
}

static void write_journal(struct stead_writer *out, struct journal_page *page)
{
    stead_write_map(out, 3);
    stead_write_str(out, "turns"), write_list(out, &page->list);
    stead_write_str(out, "before");
    if (page->index == 0)
        stead_write_nil(out);
    else
        stead_write_u64(out, page->index + 1);
    stead_write_str(out, "skip"), stead_write_u64(out, page->shown);
}

static void journal(struct stead_shard *shard, struct stead_message *query)
{
    struct stead_slice args = stead_message_payload(query);
    struct journal_page page = {.limit = 20};
    struct stead_writer out;
    struct subject it;
    int code = find_subject(shard, query, &it);

    if (code == 0 &&
        (stead_get_u64(args, "limit", &page.limit) == STEAD_EARGUMENT ||
         stead_get_u64(args, "before", &page.before) == STEAD_EARGUMENT ||
         stead_get_u64(args, "skip", &page.skip) == STEAD_EARGUMENT || page.limit == 0 || page.limit > LIST_MAX))
        code = STEAD_EARGUMENT;
    if (code != 0) {
        stead_writer_deinit(&it.row);
        fail(shard, query, code);
        return;
    }
    stead_writer_init(&page.list.items);
    code = walk(&page, &it);
    if (code == STEAD_EBUSY) { /* ask again when that is done: the answer of a query waits like any other */
        stead_writer_deinit(&page.list.items);
        stead_writer_deinit(&it.row);
        query->depends_on = shard->next_index - 1 > shard->synced ? shard->next_index - 1 : shard->next_index;
        stead_shard_emit(shard, query);
        return;
    }
    if (code == STEAD_ENOTFOUND) {
        page.index = 0;
        code = 0;
    }
    stead_writer_init(&out);
    write_journal(&out, &page);
    answer(shard, query, code, stead_written(&out), 0);
    stead_writer_deinit(&out);
    stead_writer_deinit(&it.row);
}

/* ---- unlock --------------------------------------------------------------------------------------------------- */

static void unlock(struct stead_shard *shard, struct stead_message *query);

/* An agent that is held and not in memory is brought in: its waiting messages run then. The query waits for that in its
 * mailbox. */
static void unlock_loaded(const struct subject *it, struct stead_message *query)
{
    struct stead_shard *shard = it->shard;
    uint64_t hash = stead_hash(it->address.data, it->address.size);
    struct stead_agent *agent = it->kind == NULL ? NULL : stead_agent_find(shard, it->address, hash);

    if (agent == NULL && it->kind != NULL)
        agent = stead_agent_activate(shard, it->kind, it->address, hash, it->slot);
    if (agent == NULL)
        fail(shard, query, it->kind == NULL ? STEAD_EKIND : STEAD_ECORRUPT);
    else if (agent->phase == STEAD_AGENT_READY)
        unlock(shard, query);
    else
        stead_shard_let_wait(agent, query, false);
}

static void unlock(struct stead_shard *shard, struct stead_message *query)
{
    struct subject it;
    struct stead_writer out;
    int code = find_subject(shard, query, &it);
    bool held = code == 0 && (it.agent != NULL ? it.agent->flags & STEAD_AGENT_HELD : it.head.flags & STEAD_AGENT_HELD);

    if (held && it.agent == NULL) {
        unlock_loaded(&it, query);
        stead_writer_deinit(&it.row);
        return;
    }
    uint64_t fence = 0;
    bool named = code == 0 && stead_get_u64(stead_message_payload(query), "fence", &fence) == 0;
    if (!held && !named) {
        stead_writer_deinit(&it.row);
        fail(shard, query, code != 0 ? code : STEAD_ENOTFOUND);
        return;
    }
    stead_writer_init(&out);
    if (named && (!held || it.agent->fence != fence)) { /* asked again, say: who holds it now is another one */
        stead_pack(&out, "{s:s,s:u}", "holder", "", "fence", fence);
        answer(shard, query, 0, stead_written(&out), it.agent != NULL ? it.agent->depends_on : 0);
        stead_writer_deinit(&out);
        stead_writer_deinit(&it.row);
        return;
    }
    stead_pack(&out, "{s:s,s:u}", "holder", it.agent->wait->holder, "fence", it.agent->fence);
    it.agent->flags &= (uint8_t)~STEAD_AGENT_HELD;
    it.agent->flags |= STEAD_AGENT_UNPARKING;
    it.agent->fence++; /* the old holder's number is refused from now on */
    free(it.agent->wait->holder);
    it.agent->wait->holder = NULL;
    stead_agent_store_flags(it.agent);
    stead_shard_dirty(shard, true);
    stead_agent_schedule(it.agent);
    it.agent->depends_on = shard->next_index;
    answer(shard, query, 0, stead_written(&out), shard->next_index);
    stead_writer_deinit(&out);
    stead_writer_deinit(&it.row);
}

void stead_query(struct stead_shard *shard, struct stead_message *query)
{
    struct stead_slice op = stead_bytes(query->op, query->op_size);

    if (stead_slice_equal(op, stead_str("show")))
        show(shard, query);
    else if (stead_slice_equal(op, stead_str("journal")))
        journal(shard, query);
    else if (stead_slice_equal(op, stead_str("deadletters")))
        stead_query_dead_letters(shard, query);
    else if (stead_slice_equal(op, stead_str("unlock")))
        unlock(shard, query);
    else
        fail(shard, query, STEAD_EOP);
}
