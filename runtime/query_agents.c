/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query_agents: lists of agents, over all shards of a host.
 *
 * Addresses are sorted within a slot, not across slots, so a page is gathered with a bounded list kept in order: from each slot at
 * most `limit` addresses behind `after` can be among the first `limit` of all.
 *
 * A list with conditions may have to pass over millions that do not meet them, between turns. So it looks at only so many of each slot; the first address at which a
 * slot was left is a bound for all: what lies before it is complete, slots that come later are not read beyond it, and the page ends there with `next`. Slots are filled by
 * a hash, so they advance alike and little is read twice.
 */
#include "runtime/address.h"
#include "runtime/fields.h"
#include "runtime/query_where.h"
#include "runtime/shard.h"

#define LOOK_SLOT_MIN 16u /* agents looked at in a slot before it is left */
#define LOOK_HOST 131072u /* the same for all slots of a host together, shared out evenly */
#define WAITS_MAX 64u     /* callers named of those that wait for a held agent */
#define PARKED_MAX 1000u  /* parked messages counted of a held agent */

struct listed {
    char *address; /* owned */
    uint64_t incarnation;
    bool resident;
    bool durable;
    uint32_t more_count;      /* members in `more` */
    struct stead_writer more; /* what was asked for besides: members of a map */
};

struct page {
    struct listed *items; /* by address, ascending; owned */
    uint32_t count, limit;
    bool more; /* something was left out */
    struct stead_slice prefix, after, kind;
    struct stead_where where;
    bool held;                        /* only held ones, with their locks */
    struct stead_shard *shard;        /* the one being looked through */
    uint32_t from_slot;               /* taken from the slot under way */
    uint32_t looked;                  /* at agents of the slot under way, with conditions */
    uint32_t look_max;                /* of a slot; 0: no conditions, no bound */
    uint32_t bound_size;              /* bytes of `bound`; 0: none */
    uint8_t bound[STEAD_ADDRESS_MAX]; /* what lies behind it is not known to be complete */
    struct stead_writer image;        /* of the agent being looked at, when it is not in its head */
};

static void item_free(struct listed *item)
{
    free(item->address);
    stead_writer_deinit(&item->more);
}

static int compare(const struct listed *item, struct stead_slice address)
{
    return stead_slice_compare(stead_str(item->address), address);
}

/* The item's place in the page; NULL: it is there, or behind the page's end. Borrowed until the next. */
static struct listed *page_add(struct page *page, struct stead_slice address, uint64_t incarnation, bool resident,
                               bool durable)
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
        return NULL;
    if (low == page->limit) {
        page->more = true;
        return NULL;
    }
    if (page->count == page->limit) {
        item_free(&page->items[--page->count]);
        page->more = true;
    }
    memmove(page->items + low + 1, page->items + low, (page->count - low) * sizeof(*page->items));
    char *text = stead_alloc(address.size + 1);
    memcpy(text, address.data, address.size);
    text[address.size] = '\0';
    page->items[low] =
        (struct listed){.address = text, .incarnation = incarnation, .resident = resident, .durable = durable};
    stead_writer_init(&page->items[low].more);
    page->count++;
    return &page->items[low];
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

/* ---- What is known of one agent --------------------------------------------------------------- */

/* One agent on its way into a page: a row, a resident activation, or both. */
struct look {
    struct page *page;
    stead_slot slot;
    struct stead_slice address;
    const struct stead_agent_row *head; /* NULL: a volatile agent */
    const struct stead_agent *agent;    /* READY, or NULL */
};

/* The newest state that is at hand without running anything: of an agent in memory what it has, else the stored image. */
static struct stead_slice image_of(const struct look *look)
{
    struct stead_writer *writer = &look->page->image;
    const struct stead_agent *agent = look->agent;
    struct stead_row_key key;

    if (agent != NULL && (look->head == NULL || agent->kind->apply != NULL)) {
        stead_writer_reset(writer);
        if (agent->kind->fields != NULL && (agent->flags & STEAD_AGENT_INITED))
            stead_fields_encode(agent->kind->fields, agent->state, writer);
        return stead_written(writer);
    }
    if (look->head == NULL || !(look->head->flags & STEAD_AGENT_BIG_IMAGE))
        return look->head == NULL ? (struct stead_slice){0} : look->head->image;
    stead_writer_reset(writer);
    stead_row_part(&key, look->slot, look->address, look->head->incarnation, STEAD_PART_IMAGE, (struct stead_slice){0});
    if (stead_overlay_get_merged(look->page->shard->overlay, &look->page->shard->host->doors, stead_row_slice(&key),
                                 writer) != 0 ||
        stead_value_check(stead_written(writer)) != 0)
        stead_writer_reset(writer);
    return stead_written(writer);
}

static bool is_held(const struct look *look)
{
    return look->agent != NULL ? (look->agent->flags & STEAD_AGENT_HELD) != 0
                               : look->head != NULL && (look->head->flags & STEAD_AGENT_HELD) != 0;
}

/* Who waits for a held agent. */
struct waiting {
    const struct stead_doors *doors;
    uint32_t count; /* messages */
    uint32_t named; /* callers in `names` */
    struct stead_writer names;
};

static void add_waiting(struct waiting *waiting, const struct stead_message *message)
{
    waiting->count++;
    if (message->type != STEAD_CALL || message->source_size == 0 || waiting->named == WAITS_MAX)
        return;
    stead_write_str_slice(&waiting->names, stead_bytes(message->source, message->source_size));
    waiting->named++;
}

static int visit_parked(void *context, struct stead_slice key, struct stead_slice record)
{
    struct waiting *waiting = context;
    struct stead_message *message;

    (void)key;
    if (waiting->doors->decode(record, &message) != 0)
        return 0;
    add_waiting(waiting, message);
    stead_message_destroy(&message);
    return waiting->count >= PARKED_MAX;
}

static void write_lock(const struct look *look, struct stead_writer *writer)
{
    struct stead_shard *shard = look->page->shard;
    const struct stead_agent *agent = look->agent;
    const struct stead_agent_wait *wait = agent == NULL ? NULL : agent->wait; /* there when it is held */
    struct waiting waiting = {.doors = &shard->host->doors};
    struct stead_row_key from, to;

    stead_writer_init(&waiting.names);
    stead_row_part(&from, look->slot, look->address, 0, STEAD_PART_MAIL, (struct stead_slice){0});
    to = from;
    if (stead_row_after_prefix(&to))
        (void)stead_overlay_scan_merged(shard->overlay, &shard->host->doors, stead_row_slice(&from),
                                        stead_row_slice(&to), false, visit_parked, &waiting);
    for (const struct stead_message *it = wait == NULL ? NULL : wait->mailbox.head; it != NULL; it = it->next)
        add_waiting(&waiting, it);
    struct stead_slice holder = {0};
    if (wait != NULL)
        holder = stead_str(wait->holder);
    else if (look->head != NULL)
        holder = look->head->holder;
    stead_write_str(writer, "lock"), stead_write_map(writer, 4);
    stead_write_str(writer, "holder"), stead_write_str_slice(writer, holder);
    stead_write_str(writer, "fence"), stead_write_u64(writer, agent != NULL        ? agent->fence
                                                              : look->head == NULL ? 0
                                                                                   : look->head->fence);
    stead_write_str(writer, "waiting"), stead_write_u64(writer, waiting.count);
    stead_write_str(writer, "waits"), stead_write_array(writer, waiting.named);
    stead_write_raw(writer, waiting.names.data, waiting.names.size);
    stead_writer_deinit(&waiting.names);
}

/* Adds it to the page, if it is wanted. */
static bool take(const struct look *look, uint64_t incarnation)
{
    struct page *page = look->page;

    if (page->held && !is_held(look))
        return false;
    bool reads = page->where.count > 0 || page->where.field_count > 0;
    struct stead_slice image = reads ? image_of(look) : (struct stead_slice){0};
    if (!stead_where_meets(&page->where, image))
        return false;
    struct listed *item = page_add(page, look->address, incarnation, look->agent != NULL, look->head != NULL);
    if (item == NULL)
        return true;
    if (page->where.field_count > 0) {
        stead_write_str(&item->more, "fields");
        stead_where_write_fields(&page->where, image, &item->more);
        item->more_count++;
    }
    if (page->held) {
        write_lock(look, &item->more);
        item->more_count++;
    }
    return true;
}

/* ---- Going through the slots -------------------------------------------------------------------- */

static bool is_behind_bound(const struct page *page, struct stead_slice address)
{
    return page->bound_size > 0 && stead_slice_compare(address, stead_bytes(page->bound, page->bound_size)) > 0;
}

/* One agent more was looked at. True: enough of this slot; nobody is known to be complete behind it. */
static bool has_looked_enough(struct page *page, struct stead_slice address)
{
    if (page->look_max == 0 || ++page->looked < page->look_max)
        return false;
    memcpy(page->bound, address.data, address.size);
    page->bound_size = (uint32_t)address.size;
    return true;
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
    if (full || is_behind(row.address, page->prefix) || is_behind(row.address, page->kind) ||
        is_behind_bound(page, row.address))
        return 1;
    if (!wanted(page, row.address) || row.address.size > sizeof(page->bound))
        return 0;
    bool enough = has_looked_enough(page, row.address);
    if (stead_agent_row_decode(value, &head) != 0 || !(head.flags & STEAD_AGENT_EXISTS))
        return enough;
    bool unheld = page->held && !(head.flags & STEAD_AGENT_HELD);
    const struct stead_agent *agent =
        unheld ? NULL : stead_agent_find(page->shard, row.address, stead_hash(row.address.data, row.address.size));
    struct look look = {page, row.slot, row.address, &head, agent};
    if (agent != NULL && agent->phase != STEAD_AGENT_READY)
        look.agent = NULL;
    if (!unheld && take(&look, head.incarnation))
        page->from_slot++;
    return enough || page->from_slot > page->limit; /* one more than fits, to know that there is more */
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
    page->from_slot = page->looked = 0;
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
        if (agent == NULL || stead_agent_durable(agent) || !(agent->flags & STEAD_AGENT_EXISTS) ||
            !wanted(page, stead_agent_address(agent)) || is_behind_bound(page, stead_agent_address(agent)))
            continue;
        struct look look = {page, agent->slot, stead_agent_address(agent), NULL, agent};
        (void)take(&look, agent->incarnation);
    }
}

static void write_page(struct page *page, struct stead_writer *out)
{
    while (page->count > 0 && is_behind_bound(page, stead_str(page->items[page->count - 1].address)))
        item_free(&page->items[--page->count]); /* the next page has them */
    stead_write_map(out, 2);
    stead_write_str(out, "agents");
    stead_write_array(out, page->count);
    for (uint32_t i = 0; i < page->count; i++) {
        const struct listed *item = &page->items[i];
        stead_write_map(out, 4 + item->more_count);
        stead_write_str(out, "address"), stead_write_str(out, item->address);
        stead_write_str(out, "incarnation"), stead_write_u64(out, item->incarnation);
        stead_write_str(out, "resident"), stead_write_bool(out, item->resident);
        stead_write_str(out, "durability"), stead_write_str(out, item->durable ? "durable" : "volatile");
        stead_write_raw(out, item->more.data, item->more.size);
    }
    stead_write_str(out, "next");
    if (page->more && page->count == page->limit)
        stead_write_str(out, page->items[page->count - 1].address);
    else if (page->bound_size > 0)
        stead_write_str_slice(out, stead_bytes(page->bound, page->bound_size));
    else
        stead_write_nil(out);
}

static int read_page(struct page *page, struct stead_slice args)
{
    uint64_t limit = 1000;

    if (stead_get_u64(args, "limit", &limit) == STEAD_EARGUMENT || limit == 0 || limit > 10000 ||
        stead_get_str(args, "prefix", &page->prefix) == STEAD_EARGUMENT ||
        stead_get_str(args, "after", &page->after) == STEAD_EARGUMENT ||
        stead_get_str(args, "kind", &page->kind) == STEAD_EARGUMENT ||
        stead_get_bool(args, "held", &page->held) == STEAD_EARGUMENT)
        return STEAD_EARGUMENT;
    page->limit = (uint32_t)limit;
    return stead_where_read(args, &page->where);
}

/* How much of each slot is looked at for one page; 0: all that is listed is wanted. */
static uint32_t look_max(const struct stead_host *host, const struct page *page)
{
    uint32_t slots = 1;

    if (page->where.count == 0 && !page->held)
        return 0;
    for (uint32_t i = 0; i < host->shard_count; i++)
        slots += host->shards[i]->phase == STEAD_SHARD_SERVING ? host->shards[i]->slot_count : 0;
    return LOOK_HOST / slots > LOOK_SLOT_MIN ? LOOK_HOST / slots : LOOK_SLOT_MIN;
}

void stead_query_agents(struct stead_host *host, struct stead_message *query)
{
    struct stead_slice none = {0};
    struct page page = {.limit = 1000};
    struct stead_writer out;
    int status = STEAD_EOP;

    if (stead_slice_equal(stead_bytes(query->op, query->op_size), stead_str("agents")))
        status = read_page(&page, stead_message_payload(query));
    stead_writer_init(&out);
    stead_writer_init(&page.image);
    if (status == 0) {
        page.look_max = look_max(host, &page);
        page.items = stead_alloc((page.limit + 1) * sizeof(*page.items));
        for (uint32_t i = 0; i < host->shard_count; i++)
            if (host->shards[i]->phase == STEAD_SHARD_SERVING)
                page_shard(&page, host->shards[i]);
        write_page(&page, &out);
    }
    stead_host_route(host, stead_message_answer(query, status, NULL, status == 0 ? stead_written(&out) : none));
    for (uint32_t i = 0; i < page.count; i++)
        item_free(&page.items[i]);
    free(page.items);
    stead_writer_deinit(&page.image);
    stead_writer_deinit(&out);
    stead_message_destroy(&query);
}
