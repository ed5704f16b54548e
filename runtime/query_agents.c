/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query_agents: lists of agents, over all shards of a host.
 *
 * Addresses are sorted within a slot, not across slots, so a page is gathered with a bounded list kept in order: from
 * each slot at most `limit` addresses behind `after` can be among the first `limit` of all. Bytes are bounded too: when
 * they are too many, the list keeps fewer from then on.
 *
 *     slots of a shard, each behind the greatest lower bound --> volatile agents of the shard --> the next shard
 *
 * That takes longer than a turn may, so it goes in slices (query_slow.h). A slice of slots is one scan of many ranges,
 * as an iterator for each slot costs as much as reading twenty rows.
 *
 * A list with conditions may have to pass over millions that do not meet them. So it looks at only so many of each
 * slot; the first address at which a slot was left is a bound for all: what lies before it is complete, slots that come
 * later are not read beyond it, and the page ends there with `next`. Slots are filled by a hash, so they advance alike
 * and little is read twice; each page finds every slot again, so it looks at many.
 *
 * Turns between slices change the map of agents. It is walked from its end: an agent that leaves moves those behind it
 * towards the beginning, where they are still met (twice at worst; a page takes each once). Those that lie before their
 * home, around the corner, are therefore looked at first. A map that has grown is walked again.
 */
#include "runtime/address.h"
#include "runtime/fields.h"
#include "runtime/query_slow.h"
#include "runtime/query_where.h"
#include "runtime/shard.h"
#include "runtime/waiting.h"

#define LOOK_SLOT_MIN 16u    /* agents looked at in a slot before it is left */
#define LOOK_HOST 524288u    /* the same for all slots of a host together, shared out evenly */
#define CELLS_PER_WORK 4u    /* places of the map of agents that count as much as a row */
#define BYTES_PER_WORK 8192u /* of an image that is read apart */
#define MOVES_PER_WORK 1024u /* places of a page that are moved */
#define WAITS_MAX 64u        /* callers named of those that wait for a held agent */
#define PARKED_MAX 1000u     /* parked messages counted of a held agent */

struct listed {
    uint64_t incarnation;
    bool resident;
    bool durable;
    uint32_t more_count;      /* members in `more` */
    struct stead_writer more; /* what was asked for besides: members of a map */
    uint32_t address_size;
    uint8_t address[];
};

struct page {
    struct stead_query_slow slow;
    struct stead_host *host;
    struct listed **items; /* by address, ascending; owned */
    uint32_t count;
    uint32_t limit; /* falls when the page has too many bytes */
    size_t bytes;   /* of the items */
    bool more;      /* something was left out */
    int code;       /* something could not be read; 0: all could */
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

    /* ---- where the next slice goes on */
    uint32_t work;     /* left of this slice */
    uint32_t shard_at; /* of the host */
    uint32_t slot_at;  /* of the shard's slots; all: its volatile agents */
    bool sought;       /* nothing of the slot was found yet */
    bool in_slot;      /* some of the slot was looked at: behind `from` it goes on */
    bool in_map;       /* some of the map was looked at: `map_at` cells are left of one with `map_mask` */
    uint32_t map_at, map_mask;
    struct stead_row_key from, to; /* of the slot under way */
};

static void item_free(struct listed *item)
{
    stead_writer_deinit(&item->more);
    free(item);
}

static size_t item_bytes(const struct listed *item)
{
    return sizeof(*item) + item->address_size + item->more.size;
}

static void drop_last(struct page *page)
{
    struct listed *item = page->items[--page->count];

    page->bytes -= item_bytes(item);
    item_free(item);
}

static struct stead_slice address_of(const struct listed *item)
{
    return stead_bytes(item->address, item->address_size);
}

static int compare(const struct listed *item, struct stead_slice address)
{
    return stead_slice_compare(address_of(item), address);
}

/* Some of the slice's work is done. */
static void spend(struct page *page, uint32_t work)
{
    page->work -= work < page->work ? work : page->work;
}

/* The item's place in the page; NULL: it is there, or behind the page's end. Borrowed until the next. */
static struct listed *page_add(struct page *page, struct stead_slice address, uint64_t incarnation, bool resident,
                               bool durable)
{
    uint32_t low = 0, high = page->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (compare(page->items[middle], address) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < page->count && compare(page->items[low], address) == 0)
        return NULL;
    if (low == page->limit) {
        page->more = true;
        return NULL;
    }
    if (page->count == page->limit) {
        drop_last(page);
        page->more = true;
    }
    memmove(page->items + low + 1, page->items + low, (page->count - low) * sizeof(struct listed *));
    spend(page, 1 + (page->count - low) / MOVES_PER_WORK);
    struct listed *item = stead_alloc(sizeof(*item) + address.size);
    item->incarnation = incarnation;
    item->resident = resident;
    item->durable = durable;
    item->more_count = 0;
    stead_writer_init(&item->more);
    item->address_size = (uint32_t)address.size;
    memcpy(item->address, address.data, address.size);
    page->items[low] = item;
    page->count++;
    return item;
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

/* The newest state that is at hand without running anything: of an agent in memory what it has, else the stored
 * image. */
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
    int code = stead_overlay_get_merged(look->page->shard->overlay, &look->page->shard->host->doors,
                                        stead_row_slice(&key), writer);
    if (code == STEAD_EIO)
        look->page->code = code;
    if (code != 0 || stead_value_check(stead_written(writer)) != 0)
        stead_writer_reset(writer);
    spend(look->page, STEAD_QUERY_SEEK + (uint32_t)(writer->size / BYTES_PER_WORK));
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
    spend(look->page, 2 * STEAD_QUERY_SEEK);
    stead_row_part(&to, look->slot, look->address, 0, STEAD_PART_MAIL, (struct stead_slice){0});
    from = to;
    if (agent != NULL)
        stead_mail_begin(agent, &from);
    if (stead_row_after_prefix(&to) &&
        stead_overlay_scan_merged(shard->overlay, &shard->host->doors, stead_row_slice(&from), stead_row_slice(&to),
                                  false, visit_parked, &waiting) == STEAD_EIO)
        look->page->code = STEAD_EIO;
    for (const struct stead_message *it = wait == NULL ? NULL : wait->mailbox.head; it != NULL; it = it->next)
        add_waiting(&waiting, it);
    spend(look->page, waiting.count);
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

/* The item has got all that it has. A page that is too large by that ends before its last ones, and has room for no
 * more than the others: what it keeps are the first addresses of all that were looked at, as before. */
static void weigh(struct page *page, const struct listed *item)
{
    page->bytes += item_bytes(item);
    while (page->bytes > stead_host_page_bytes(page->host) && page->count > 1) {
        drop_last(page);
        page->limit = page->count;
        page->more = true;
    }
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
    weigh(page, item);
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

/* One agent's row. Non-zero: nothing more of this slot is wanted. */
static int look_at_row(struct page *page, const struct stead_row_parsed *row, struct stead_slice value)
{
    struct stead_agent_row head;

    /* Within a slot addresses rise: behind the last of a full page, or behind prefix or kind, nothing of this slot is
     * wanted any more. */
    bool full = page->count == page->limit && compare(page->items[page->count - 1], row->address) < 0;
    if (full && wanted(page, row->address))
        page->more = true;
    if (full || is_behind(row->address, page->prefix) || is_behind(row->address, page->kind) ||
        is_behind_bound(page, row->address))
        return 1;
    if (!wanted(page, row->address) || row->address.size > sizeof(page->bound))
        return 0;
    bool enough = has_looked_enough(page, row->address);
    if (stead_agent_row_decode(value, &head) != 0 || !(head.flags & STEAD_AGENT_EXISTS))
        return enough;
    bool unheld = page->held && !(head.flags & STEAD_AGENT_HELD);
    const struct stead_agent *agent =
        unheld ? NULL : stead_agent_find(page->shard, row->address, stead_hash(row->address.data, row->address.size));
    struct look look = {page, row->slot, row->address, &head, agent};
    if (agent != NULL && agent->phase != STEAD_AGENT_READY)
        look.agent = NULL;
    if (!unheld && take(&look, head.incarnation))
        page->from_slot++;
    return enough || page->from_slot > page->limit; /* one more than fits, to know that there is more */
}

static int visit_agent(void *context, struct stead_slice key, struct stead_slice value)
{
    struct page *page = context;
    struct stead_row_parsed row;

    spend(page, page->sought ? STEAD_QUERY_SEEK : 1);
    page->sought = false;
    if (stead_row_parse(key, &row) == 0 && look_at_row(page, &row, value) != 0)
        return 1;
    if (page->work > 0)
        return 0;
    page->in_slot = true; /* and goes on at the least key behind this one */
    page->from.size = 0;
    stead_row_add(&page->from, key);
    stead_row_add_u8(&page->from, 0);
    return 1;
}

/* The slot that is looked through next; false: the slice, or the shard, is over. */
static bool next_slot(void *context, struct stead_slice *ret_from, struct stead_slice *ret_to)
{
    struct page *page = context;
    const struct stead_shard *shard = page->shard;

    if (page->work == 0)
        return false;
    if (!page->in_slot) {
        if (page->slot_at == shard->slot_count)
            return false;
        stead_row_begin(&page->from, shard->slots[page->slot_at], STEAD_ROW_AGENT);
        page->to = page->from;
        bool ends = stead_row_after_prefix(&page->to);
        STEAD_ASSERT(ends); /* the class is no 0xff */
        /* Start at the greatest of the three lower bounds. */
        struct stead_slice start = page->prefix;
        if (stead_slice_compare(page->kind, start) > 0)
            start = page->kind;
        if (stead_slice_compare(page->after, start) > 0)
            start = page->after;
        stead_row_add(&page->from, start);
        page->from_slot = page->looked = 0;
        page->slot_at++;
    }
    page->in_slot = false;
    page->sought = true;
    spend(page, 1);
    *ret_from = stead_row_slice(&page->from);
    *ret_to = stead_row_slice(&page->to);
    return true;
}

static void look_at_cell(struct page *page, uint32_t at)
{
    const struct stead_agent *agent = stead_map_at(&page->shard->agents, at);

    if (agent == NULL || stead_agent_durable(agent) || !(agent->flags & STEAD_AGENT_EXISTS) ||
        !wanted(page, stead_agent_address(agent)) || is_behind_bound(page, stead_agent_address(agent)))
        return;
    struct look look = {page, agent->slot, stead_agent_address(agent), NULL, agent};
    (void)take(&look, agent->incarnation);
    spend(page, 1);
}

/* Volatile agents, which have no rows. */
static void look_at_map(struct page *page)
{
    const struct stead_map *map = &page->shard->agents;

    if (!page->in_map || page->map_mask != map->mask) {
        page->in_map = true;
        page->map_mask = map->mask;
        page->map_at = page->shard->volatile_agents == 0 ? 0 : map->mask + 1;
        for (uint32_t at = 0; page->map_at > 0 && stead_map_at(map, at) != NULL; at++)
            look_at_cell(page, at); /* with those around the corner, which may move to the end */
    }
    while (page->map_at > 0 && page->work > 0) {
        look_at_cell(page, --page->map_at);
        if (page->map_at % CELLS_PER_WORK == 0)
            spend(page, 1);
    }
    if (page->map_at == 0)
        page->in_map = false;
}

/* One slice. */
static int step(struct stead_query_slow *slow)
{
    struct page *page = (struct page *)slow;
    struct stead_host *host = page->host;
    int code = 0;

    for (page->work = STEAD_QUERY_WORK; code == 0 && page->work > 0 && page->shard_at < host->shard_count;) {
        page->shard = host->shards[page->shard_at];
        bool serves = page->shard->phase == STEAD_SHARD_SERVING;
        if (serves && (page->in_slot || page->slot_at < page->shard->slot_count))
            code = stead_overlay_scan_ranges(page->shard->overlay, &host->doors, next_slot, visit_agent, page);
        if (serves && (page->in_slot || page->slot_at < page->shard->slot_count))
            continue;
        if (serves)
            look_at_map(page);
        if (!page->in_map) {
            page->shard_at++;
            page->slot_at = 0;
        }
    }
    if (code == 0)
        code = page->code;
    return code != 0 || page->shard_at == host->shard_count ? code : STEAD_QUERY_MORE;
}

static void write_page(struct stead_query_slow *slow, struct stead_writer *out)
{
    struct page *page = (struct page *)slow;

    while (page->count > 0 && is_behind_bound(page, address_of(page->items[page->count - 1])))
        drop_last(page); /* the next page has them */
    stead_write_map(out, 2);
    stead_write_str(out, "agents");
    stead_write_array(out, page->count);
    for (uint32_t i = 0; i < page->count; i++) {
        const struct listed *item = page->items[i];
        stead_write_map(out, 4 + item->more_count);
        stead_write_str(out, "address"), stead_write_str_slice(out, address_of(item));
        stead_write_str(out, "incarnation"), stead_write_u64(out, item->incarnation);
        stead_write_str(out, "resident"), stead_write_bool(out, item->resident);
        stead_write_str(out, "durability"), stead_write_str(out, item->durable ? "durable" : "volatile");
        stead_write_raw(out, item->more.data, item->more.size);
    }
    stead_write_str(out, "next");
    if (page->more && page->count == page->limit)
        stead_write_str_slice(out, address_of(page->items[page->count - 1]));
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

/* The group that the agents asked for are in; STEAD_GROUPS: any. */
static unsigned group_of(const struct stead_host *host, const struct page *page)
{
    struct stead_slice kind = page->kind.size > 0 ? page->kind : page->prefix;
    const uint8_t *slash = page->kind.size > 0 || kind.size == 0 ? NULL : memchr(kind.data, '/', kind.size);

    if (page->kind.size == 0 && slash == NULL)
        return STEAD_GROUPS;
    if (slash != NULL)
        kind.size = (size_t)(slash - kind.data);
    const struct stead_table_kind *known =
        host->table == NULL ? NULL : stead_table_kind_find(host->table, (const char *)kind.data, kind.size);
    return known == NULL ? STEAD_GROUP_DEFAULT : known->group;
}

/* How much of each slot is looked at for one page; 0: all that is listed is wanted. Slots of other groups are as good
 * as empty. */
static uint32_t look_max(const struct stead_host *host, const struct page *page)
{
    unsigned group = group_of(host, page);
    uint32_t slots = 1;

    if (page->where.count == 0 && !page->held)
        return 0;
    for (uint32_t i = 0; i < host->shard_count; i++) {
        const struct stead_shard *shard = host->shards[i];
        for (uint32_t j = 0; shard->phase == STEAD_SHARD_SERVING && j < shard->slot_count; j++)
            slots += group == STEAD_GROUPS || stead_slot_group(shard->slots[j]) == group;
    }
    return LOOK_HOST / slots > LOOK_SLOT_MIN ? LOOK_HOST / slots : LOOK_SLOT_MIN;
}

static void destroy(struct stead_query_slow *slow)
{
    struct page *page = (struct page *)slow;

    for (uint32_t i = 0; i < page->count; i++)
        item_free(page->items[i]);
    free(page->items);
    stead_writer_deinit(&page->image);
    free(page);
}

void stead_query_agents(struct stead_host *host, struct stead_message *query)
{
    struct page *page = stead_alloc_zero(sizeof(*page));
    int status = STEAD_EOP;

    page->slow = (struct stead_query_slow){.query = query, .step = step, .write = write_page, .destroy = destroy};
    page->host = host;
    stead_writer_init(&page->image);
    if (stead_slice_equal(stead_bytes(query->op, query->op_size), stead_str("agents")))
        status = read_page(page, stead_message_payload(query));
    if (status != 0) {
        stead_host_route(host, stead_message_answer(query, status, NULL, (struct stead_slice){0}));
        stead_message_destroy(&page->slow.query);
        destroy(&page->slow);
        return;
    }
    page->look_max = look_max(host, page);
    page->items = stead_alloc((page->limit + 1) * sizeof(struct listed *));
    stead_query_slow_begin(host, &page->slow);
}
