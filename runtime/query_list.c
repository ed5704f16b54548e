/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query_list: queries whose answer is a list: agents (over all shards of a host) and dead letters.
 *
 * Addresses are sorted within a slot, not across slots, so a page of agents is gathered with a bounded list kept in order: from each slot at
 * most `limit` addresses behind `after` can be among the first `limit` of all.
 */
#include "runtime/address.h"
#include "runtime/shard.h"

/* ---- agents ------------------------------------------------------------------------------------------------ */

struct listed {
    char *address; /* owned */
    uint64_t incarnation;
    bool resident;
    bool durable;
};

struct page {
    struct listed *items; /* by address, ascending; owned */
    uint32_t count, limit;
    bool more; /* something was left out */
    struct stead_slice prefix, after, kind;
    struct stead_shard *shard; /* the one being looked through */
    uint32_t from_slot;        /* taken from the slot under way */
};

static int compare(const struct listed *item, struct stead_slice address)
{
    return stead_slice_compare(stead_str(item->address), address);
}

static void page_add(struct page *page, struct stead_slice address, uint64_t incarnation, bool resident, bool durable)
{
    uint32_t low = 0, high = page->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (compare(&page->items[middle], address) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < page->count && compare(&page->items[low], address) == 0)
        return;
    if (low == page->limit) {
        page->more = true;
        return;
    }
    if (page->count == page->limit) {
        free(page->items[--page->count].address);
        page->more = true;
    }
    memmove(page->items + low + 1, page->items + low, (page->count - low) * sizeof(*page->items));
    char *text = stead_alloc(address.size + 1);
    memcpy(text, address.data, address.size);
    text[address.size] = '\0';
    page->items[low] = (struct listed){text, incarnation, resident, durable};
    page->count++;
}

static bool wanted(const struct page *page, struct stead_slice address)
{
    if (page->after.size > 0 && stead_slice_compare(address, page->after) <= 0)
        return false;
    if (page->prefix.size > 0 && /* an empty slice may have no memory at all */
        (address.size < page->prefix.size || memcmp(address.data, page->prefix.data, page->prefix.size) != 0))
        return false;
    return page->kind.size == 0 ||
           (address.size > page->kind.size && memcmp(address.data, page->kind.data, page->kind.size) == 0 &&
            address.data[page->kind.size] == '/');
}

/* Is the address greater than every one that begins with `start`? */
static bool is_behind(struct stead_slice address, struct stead_slice start)
{
    size_t size = address.size < start.size ? address.size : start.size;
    return size > 0 && memcmp(address.data, start.data, size) > 0;
}

static int visit_agent(void *context, struct stead_slice key, struct stead_slice value)
{
    struct page *page = context;
    struct stead_row_parsed row;
    struct stead_agent_row head;

    if (stead_row_parse(key, &row) != 0)
        return 0;
    /* Within a slot addresses rise: behind the last of a full page, or behind prefix or kind, nothing of this slot is wanted any more. */
    bool full = page->count == page->limit && compare(&page->items[page->count - 1], row.address) < 0;
    if (full && wanted(page, row.address))
        page->more = true;
    if (full || is_behind(row.address, page->prefix) || is_behind(row.address, page->kind))
        return 1;
    if (!wanted(page, row.address) || stead_agent_row_decode(value, &head) != 0 || !(head.flags & STEAD_AGENT_EXISTS))
        return 0;
    bool resident = stead_agent_find(page->shard, row.address, stead_hash(row.address.data, row.address.size)) != NULL;
    page_add(page, row.address, head.incarnation, resident, true);
    return ++page->from_slot > page->limit; /* one more than fits, to know that there is more */
}

static void page_slot(struct page *page, stead_slot slot)
{
    struct stead_row_key from, to;

    stead_row_begin(&from, slot, STEAD_ROW_AGENT);
    to = from;
    if (!stead_row_after_prefix(&to))
        return;
    /* Start at the greatest of the three lower bounds. */
    struct stead_slice start = page->prefix;
    if (stead_slice_compare(page->kind, start) > 0)
        start = page->kind;
    if (stead_slice_compare(page->after, start) > 0)
        start = page->after;
    stead_row_add(&from, start);
    page->from_slot = 0;
    (void)stead_overlay_scan_merged(page->shard->overlay, &page->shard->host->doors, stead_row_slice(&from),
                                    stead_row_slice(&to), false, visit_agent, page);
}

static void page_shard(struct page *page, struct stead_shard *shard)
{
    page->shard = shard;
    for (uint32_t i = 0; i < shard->slot_count; i++)
        page_slot(page, shard->slots[i]);
    for (uint32_t i = 0; shard->agents.entries != NULL && i <= shard->agents.mask; i++) {
        const struct stead_agent *agent = stead_map_at(&shard->agents, i);
        if (agent != NULL && !stead_agent_durable(agent) && (agent->flags & STEAD_AGENT_EXISTS) &&
            wanted(page, stead_agent_address(agent)))
            page_add(page, stead_agent_address(agent), agent->incarnation, true, false);
    }
}

static void write_page(struct page *page, struct stead_writer *out)
{
    stead_write_map(out, 2);
    stead_write_str(out, "agents");
    stead_write_array(out, page->count);
    for (uint32_t i = 0; i < page->count; i++)
        stead_pack(out, "{s:s,s:u,s:b,s:s}", "address", page->items[i].address, "incarnation",
                   page->items[i].incarnation, "resident", (int)page->items[i].resident, "durability",
                   page->items[i].durable ? "durable" : "volatile");
    stead_write_str(out, "next");
    if (page->more && page->count > 0)
        stead_write_str(out, page->items[page->count - 1].address);
    else
        stead_write_nil(out);
}

void stead_query_agents(struct stead_host *host, struct stead_message *query)
{
    struct stead_slice args = stead_message_payload(query), none = {0};
    struct page page = {.limit = 1000};
    uint64_t limit = 1000;
    struct stead_writer out;
    int status = 0;

    if (!stead_slice_equal(stead_bytes(query->op, query->op_size), stead_str("agents")))
        status = STEAD_EOP;
    else if (stead_get_u64(args, "limit", &limit) == STEAD_EARGUMENT || limit == 0 || limit > 10000 ||
             stead_get_str(args, "prefix", &page.prefix) == STEAD_EARGUMENT ||
             stead_get_str(args, "after", &page.after) == STEAD_EARGUMENT ||
             stead_get_str(args, "kind", &page.kind) == STEAD_EARGUMENT)
        status = STEAD_EARGUMENT;
    stead_writer_init(&out);
    if (status == 0) {
        page.limit = (uint32_t)limit;
        page.items = stead_alloc((limit + 1) * sizeof(*page.items));
        for (uint32_t i = 0; i < host->shard_count; i++)
            if (host->shards[i]->phase == STEAD_SHARD_SERVING)
                page_shard(&page, host->shards[i]);
        write_page(&page, &out);
    }
    stead_host_route(host, stead_message_answer(query, status, NULL, status == 0 ? stead_written(&out) : none));
    for (uint32_t i = 0; i < page.count; i++)
        free(page.items[i].address);
    free(page.items);
    stead_writer_deinit(&out);
    stead_message_destroy(&query);
}

/* ---- deadletters -------------------------------------------------------------------------------------------- */

struct letters {
    struct stead_shard *shard;
    struct stead_writer items;
    uint32_t count, limit;
    uint64_t id;                   /* the one asked for; 0: all */
    struct stead_message *message; /* of that one; owned by whoever asked */
    struct stead_row_key key;      /* of that one */
    bool keep_message;
};

/* A DEAD row: status i32, time u64, sizes u16 x 2, name, sentence, record. */
static int visit_letter(void *context, struct stead_slice key, struct stead_slice value)
{
    struct letters *letters = context;
    struct stead_row_parsed row;
    struct stead_message *message;
    uint64_t id = 0;

    if (stead_row_parse(key, &row) != 0 || row.sub.size != 8 || value.size < 16)
        return 0;
    for (int i = 0; i < 8; i++)
        id = id << 8 | row.sub.data[i];
    size_t name_size = stead_load16(value.data + 12), sentence_size = stead_load16(value.data + 14);
    if ((letters->id != 0 && id != letters->id) || value.size - 16 < name_size + sentence_size)
        return 0;
    const uint8_t *at = value.data + 16;
    struct stead_slice record = {at + name_size + sentence_size, value.size - 16 - name_size - sentence_size};
    if (letters->shard->host->doors.decode(record, &message) != 0)
        return 0;
    stead_pack(&letters->items, "{s:u,s:S,s:S,s:S,s:v,s:{s:S,s:S},s:u}", "id", id, "address", row.address, "op",
               stead_bytes(message->op, message->op_size), "from", stead_bytes(message->source, message->source_size),
               "args", stead_message_payload(message), "error", "name", stead_bytes(at, name_size), "sentence",
               stead_bytes(at + name_size, sentence_size), "time_ms", stead_load64(value.data + 4));
    letters->count++;
    if (letters->keep_message) {
        letters->message = message;
        letters->key.size = (uint16_t)key.size;
        memcpy(letters->key.data, key.data, key.size);
        return 1;
    }
    stead_message_destroy(&message);
    return letters->count >= letters->limit;
}

static int parse_action(struct stead_slice args, struct letters *letters, char *action, size_t size)
{
    uint64_t limit = 100;
    int code = stead_get_text(args, "action", action, size);

    if (code == STEAD_ENOTFOUND)
        memcpy(action, "list", 5);
    else if (code != 0)
        return STEAD_EARGUMENT;
    if (stead_get_u64(args, "limit", &limit) == STEAD_EARGUMENT || limit == 0 || limit > 10000)
        return STEAD_EARGUMENT;
    letters->limit = (uint32_t)limit;
    if (strcmp(action, "list") == 0)
        return 0;
    letters->keep_message = true;
    bool known = strcmp(action, "retry") == 0 || strcmp(action, "drop") == 0;
    return known && stead_get_u64(args, "id", &letters->id) == 0 && letters->id != 0 ? 0 : STEAD_EARGUMENT;
}

#define LETTER_AGENTS_MAX 65536u /* agents looked at for one list of everybody's letters: it runs between turns */

/* The address of the first row of a range. */
struct first_address {
    uint32_t size; /* 0: the range is empty */
    uint8_t text[STEAD_ADDRESS_MAX];
};

static int visit_first(void *context, struct stead_slice key, struct stead_slice value)
{
    struct first_address *first = context;
    struct stead_row_parsed row;

    (void)value;
    if (stead_row_parse(key, &row) != 0 || row.address.size > sizeof(first->text))
        return 0;
    first->size = (uint32_t)row.address.size;
    memcpy(first->text, row.address.data, row.address.size);
    return 1;
}

/* The letters of every agent of a slot, from agent to agent: an agent's other rows are jumped over. */
static void letters_slot(struct letters *letters, stead_slot slot, uint32_t *agents_left)
{
    struct stead_overlay *overlay = letters->shard->overlay;
    const struct stead_doors *doors = &letters->shard->host->doors;
    struct stead_row_key from, to, end;

    stead_row_begin(&from, slot, STEAD_ROW_PART);
    end = from;
    if (!stead_row_after_prefix(&end))
        return;
    for (; *agents_left > 0 && letters->count < letters->limit; --*agents_left) {
        struct first_address first = {0};
        (void)stead_overlay_scan_merged(overlay, doors, stead_row_slice(&from), stead_row_slice(&end), false,
                                        visit_first, &first);
        if (first.size == 0)
            return;
        struct stead_slice address = {first.text, first.size};
        stead_row_part(&from, slot, address, 0, STEAD_PART_DEAD, (struct stead_slice){0});
        to = from;
        if (stead_row_after_prefix(&to))
            (void)stead_overlay_scan_merged(overlay, doors, stead_row_slice(&from), stead_row_slice(&to), false,
                                            visit_letter, letters);
        stead_row_begin(&from, slot, STEAD_ROW_PART);
        stead_row_add_address(&from, address);
        if (!stead_row_after_prefix(&from))
            return;
    }
}

/* `deadletters` without an address: the letters of all agents of this host, which can only be listed. */
static int list_all_letters(struct stead_host *host, struct stead_slice args, struct stead_writer *out)
{
    struct letters letters = {.limit = 0};
    uint32_t agents_left = LETTER_AGENTS_MAX;
    char action[8];
    int status = parse_action(args, &letters, action, sizeof(action));

    if (status != 0 || letters.keep_message)
        return STEAD_EARGUMENT;
    stead_writer_init(&letters.items);
    for (uint32_t i = 0; i < host->shard_count; i++) {
        letters.shard = host->shards[i];
        for (uint32_t j = 0; letters.shard->phase == STEAD_SHARD_SERVING && j < letters.shard->slot_count; j++)
            letters_slot(&letters, letters.shard->slots[j], &agents_left);
    }
    stead_write_map(out, 1);
    stead_write_str(out, "letters");
    stead_write_array(out, letters.count);
    stead_write_raw(out, letters.items.data, letters.items.size);
    stead_writer_deinit(&letters.items);
    return 0;
}

/* A query to the node that its hosts answer. Consumes `query`. */
void stead_query_host(struct stead_host *host, struct stead_message *query)
{
    struct stead_slice none = {0};
    struct stead_writer out;

    if (!stead_slice_equal(stead_bytes(query->op, query->op_size), stead_str("deadletters"))) {
        stead_query_agents(host, query);
        return;
    }
    stead_writer_init(&out);
    int status = list_all_letters(host, stead_message_payload(query), &out);
    stead_host_route(host, stead_message_answer(query, status, NULL, status == 0 ? stead_written(&out) : none));
    stead_writer_deinit(&out);
    stead_message_destroy(&query);
}

void stead_query_dead_letters(struct stead_shard *shard, struct stead_message *query)
{
    struct letters letters = {.shard = shard};
    struct stead_slice address = stead_bytes(query->address, query->address_size);
    struct stead_row_key from, to;
    struct stead_writer out;
    char action[8];
    int status = parse_action(stead_message_payload(query), &letters, action, sizeof(action));

    stead_writer_init(&letters.items);
    stead_writer_init(&out);
    stead_row_part(&from, query->slot, address, 0, STEAD_PART_DEAD, (struct stead_slice){0});
    to = from;
    if (status == 0 && stead_row_after_prefix(&to))
        (void)stead_overlay_scan_merged(shard->overlay, &shard->host->doors, stead_row_slice(&from),
                                        stead_row_slice(&to), false, visit_letter, &letters);
    if (status == 0 && letters.keep_message && letters.message == NULL)
        status = STEAD_ENOTFOUND;
    if (letters.message != NULL && letters.message->type == STEAD_ANSWER && strcmp(action, "retry") == 0) {
        status = STEAD_ESTATE; /* an answer whose call is over: it can be looked at and dropped */
        stead_message_destroy(&letters.message);
    }
    stead_write_map(&out, 1);
    stead_write_str(&out, "letters");
    stead_write_array(&out, letters.count);
    stead_write_raw(&out, letters.items.data, letters.items.size);
    struct stead_message *answer =
        stead_message_answer(query, status, NULL, status == 0 ? stead_written(&out) : (struct stead_slice){0});
    if (letters.message != NULL) {
        stead_shard_delete(shard, &letters.key);
        stead_shard_dirty(shard, true);
        answer->depends_on = shard->next_index;
    }
    if (letters.message != NULL && strcmp(action, "retry") == 0) {
        letters.message->type = STEAD_SIGNAL; /* nobody waits for an answer any more */
        letters.message->groups &=
            ~(uint32_t)(STEAD_GROUP_SESSION | STEAD_GROUP_CHANNEL | STEAD_GROUP_ROUTE | STEAD_GROUP_DELAY);
        letters.message->deadline_ms = 0;
        stead_shard_deliver(shard, letters.message, true);
        answer->depends_on = shard->next_index;
    } else if (letters.message != NULL) {
        stead_message_destroy(&letters.message);
    }
    stead_shard_emit(shard, answer);
    stead_writer_deinit(&letters.items);
    stead_writer_deinit(&out);
    stead_message_destroy(&query);
}
