/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query_list: dead letters, of one agent or of all, and what is done with them.
 */
#include "runtime/address.h"
#include "runtime/letter_pages.h"
#include "runtime/query_slow.h"
#include "runtime/shard.h"

/* ---- Reading letters ------------------------------------------------------------------------------------------- */

struct letters {
    struct stead_shard *shard;
    struct stead_writer items;
    uint32_t count, limit;
    size_t bytes_max;              /* of `items`; one letter is taken at any rate */
    uint64_t id;                   /* the one asked for; 0: all */
    struct stead_message *message; /* of that one; owned by whoever asked */
    struct stead_row_key key;      /* of that one */
    bool keep_message;
    bool more;     /* a letter was left to the next page */
    uint64_t last; /* id of the last one taken */
    int code;      /* not all of the rows could be read; 0: they could */
};

/* A DEAD row: status i32, time u64, sizes u16 x 2, name, sentence, record. */
struct row {
    struct stead_slice address, name, sentence, record;
    stead_slot slot;
    uint64_t id, time_ms;
};

static bool read_row(struct stead_slice key, struct stead_slice value, struct row *ret_row)
{
    struct stead_row_parsed parsed;
    uint64_t id = 0;

    if (stead_row_parse(key, &parsed) != 0 || parsed.sub.size != 8 || value.size < 16)
        return false;
    for (int i = 0; i < 8; i++)
        id = id << 8 | parsed.sub.data[i];
    size_t name_size = stead_load16(value.data + 12), sentence_size = stead_load16(value.data + 14);
    if (value.size - 16 < name_size + sentence_size)
        return false;
    const uint8_t *at = value.data + 16;
    *ret_row = (struct row){.address = parsed.address,
                            .name = stead_bytes(at, name_size),
                            .sentence = stead_bytes(at + name_size, sentence_size),
                            .record = {at + name_size + sentence_size, value.size - 16 - name_size - sentence_size},
                            .slot = parsed.slot,
                            .id = id,
                            .time_ms = stead_load64(value.data + 4)};
    return true;
}

static void write_letter(struct stead_writer *items, const struct row *row, const struct stead_message *message)
{
    bool of_timer = message->source_size == 0 && message->source_slot.v != STEAD_SLOT_SESSION;
    struct stead_slice from = of_timer ? stead_str("timer") : stead_bytes(message->source, message->source_size);
    struct stead_slice args = stead_message_payload(message);
    bool omitted = args.size > STEAD_QUERY_VALUE_MAX;

    stead_write_map(items, 8 + omitted);
    stead_write_str(items, "slot"), stead_write_u64(items, row->slot.v);
    stead_write_str(items, "id"), stead_write_u64(items, row->id);
    stead_write_str(items, "address"), stead_write_str_slice(items, row->address);
    stead_write_str(items, "op"), stead_write_str_slice(items, stead_bytes(message->op, message->op_size));
    stead_write_str(items, "from"), stead_write_str_slice(items, from);
    stead_write_str(items, "args"), stead_write_value(items, omitted ? (struct stead_slice){0} : args);
    if (omitted)
        stead_write_str(items, "omitted"), stead_write_u64(items, args.size);
    stead_write_str(items, "error");
    stead_pack(items, "{s:S,s:S}", "name", row->name, "sentence", row->sentence);
    stead_write_str(items, "time_ms"), stead_write_u64(items, row->time_ms);
}

static int visit_letter(void *context, struct stead_slice key, struct stead_slice value)
{
    struct letters *letters = context;
    struct stead_message *message;
    struct row row;

    if (!read_row(key, value, &row))
        return 0;
    if (letters->id != 0 && row.id != letters->id)
        return 1; /* the scan began at the one asked for */
    bool full = letters->count == letters->limit || letters->items.size + value.size > letters->bytes_max;
    if (letters->count > 0 && full) {
        letters->more = true;
        return 1;
    }
    if (letters->shard->host->doors.decode(row.record, &message) != 0)
        return 0;
    write_letter(&letters->items, &row, message);
    letters->count++;
    letters->last = row.id;
    if (letters->keep_message) {
        letters->message = message;
        letters->key.size = (uint16_t)key.size;
        memcpy(letters->key.data, key.data, key.size);
        return 1;
    }
    stead_message_destroy(&message);
    return 0;
}

static int parse_action(const struct stead_host *host, struct stead_slice args, struct letters *letters, char *action,
                        size_t size)
{
    uint64_t limit = 100;
    int code = stead_get_text(args, "action", action, size);

    letters->bytes_max = stead_host_page_bytes(host);
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

/* Where an agent's letters begin behind `after`; false: nothing is behind it. */
static bool letters_begin(struct stead_row_key *key, stead_slot slot, struct stead_slice address, uint64_t after)
{
    stead_row_part(key, slot, address, 0, STEAD_PART_DEAD, (struct stead_slice){0});
    if (after == UINT64_MAX)
        return stead_row_after_prefix(key);
    stead_row_add_u64(key, after + 1);
    return true;
}

/* ---- Of everybody ----------------------------------------------------------------------------------------------- */

#define LETTER_AGENTS_MAX 65536u /* agents looked at for one page of everybody's letters */

/* Everybody's letters: a page on its way, through the host's slots as they rise, whichever shards they are in. */
struct all_letters {
    struct stead_query_slow slow;
    struct stead_host *host;
    struct letters letters;
    uint32_t agents_left;
    uint32_t slot;                  /* where the next slice goes on */
    bool in_slot;                   /* from `from` to `end` */
    struct stead_row_key from, end; /* what is left of the slot under way */
    struct stead_letter_place seen; /* all that is not behind it was looked at; its address is `seen_address` */
    uint8_t seen_address[STEAD_ADDRESS_MAX];
};

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

static void set_seen(struct all_letters *all, uint64_t slot, struct stead_slice address, uint64_t id)
{
    memmove(all->seen_address, address.data, address.size);
    all->seen = (struct stead_letter_place){slot, stead_bytes(all->seen_address, address.size), id};
}

/* The letters of the next agent of a slot; its other rows are jumped over. False: there is no agent any more. */
static bool letters_of_next(struct all_letters *all, stead_slot slot)
{
    struct stead_overlay *overlay = all->letters.shard->overlay;
    const struct stead_doors *doors = &all->host->doors;
    struct first_address first = {0};
    struct stead_row_key from, to;
    uint32_t count = all->letters.count;

    int code = stead_overlay_scan_merged(overlay, doors, stead_row_slice(&all->from), stead_row_slice(&all->end), false,
                                         visit_first, &first);
    if (code < 0)
        all->letters.code = code;
    if (first.size == 0)
        return false;
    struct stead_slice address = {first.text, first.size};
    stead_row_part(&from, slot, address, 0, STEAD_PART_DEAD, (struct stead_slice){0});
    to = from;
    if (stead_slice_compare(stead_row_slice(&from), stead_row_slice(&all->from)) < 0)
        from = all->from; /* the page before ended among the letters of this agent */
    if (stead_row_after_prefix(&to) && stead_slice_compare(stead_row_slice(&from), stead_row_slice(&to)) < 0)
        code = stead_overlay_scan_merged(overlay, doors, stead_row_slice(&from), stead_row_slice(&to), false,
                                         visit_letter, &all->letters);
    if (code < 0)
        all->letters.code = code;
    if (!all->letters.more)
        set_seen(all, slot.v, address, UINT64_MAX);
    else if (all->letters.count > count)
        set_seen(all, slot.v, address, all->letters.last);
    stead_row_begin(&all->from, slot, STEAD_ROW_PART);
    stead_row_add_address(&all->from, address);
    all->letters.more = all->letters.more || --all->agents_left == 0;
    return stead_row_after_prefix(&all->from);
}

/* The first slot from `at` on that is served here, with its shard; false: there is none. */
static bool find_slot(struct all_letters *all, stead_slot *ret_slot)
{
    uint32_t least = UINT32_MAX;

    for (uint32_t i = 0; i < all->host->shard_count; i++) {
        struct stead_shard *shard = all->host->shards[i];
        uint32_t low = 0, high = shard->phase == STEAD_SHARD_SERVING ? shard->slot_count : 0, end = high;
        while (low < high) { /* they rise */
            uint32_t middle = low + (high - low) / 2;
            if (shard->slots[middle].v < all->slot)
                low = middle + 1;
            else
                high = middle;
        }
        if (low < end && shard->slots[low].v < least) {
            least = shard->slots[low].v;
            all->letters.shard = shard;
        }
    }
    ret_slot->v = (uint16_t)least;
    return least != UINT32_MAX;
}

static int step_letters(struct stead_query_slow *slow)
{
    struct all_letters *all = (struct all_letters *)slow;
    stead_slot slot;

    for (uint32_t work = STEAD_QUERY_WORK / (4 * STEAD_QUERY_SEEK); work > 0; work--) {
        if (all->letters.code != 0)
            return all->letters.code;
        if (all->letters.more || !find_slot(all, &slot))
            return 0;
        bool goes_on = all->in_slot && slot.v == all->slot; /* else it has left meanwhile */
        all->slot = slot.v;
        if (!goes_on) {
            stead_row_begin(&all->from, slot, STEAD_ROW_PART);
            all->end = all->from;
            bool ends = stead_row_after_prefix(&all->end);
            STEAD_ASSERT(ends); /* the class is no 0xff */
            if (all->seen.slot == slot.v && all->seen.address.size > 0 &&
                !letters_begin(&all->from, slot, all->seen.address, all->seen.id))
                all->from = all->end;
        }
        all->in_slot = stead_slice_compare(stead_row_slice(&all->from), stead_row_slice(&all->end)) < 0 &&
                       letters_of_next(all, slot);
        all->slot += !all->in_slot;
    }
    return STEAD_QUERY_MORE;
}

static void write_letters(struct stead_query_slow *slow, struct stead_writer *out)
{
    const struct all_letters *all = (const struct all_letters *)slow;

    stead_write_map(out, 2);
    stead_write_str(out, "letters");
    stead_write_array(out, all->letters.count);
    stead_write_raw(out, all->letters.items.data, all->letters.items.size);
    stead_write_str(out, "next");
    if (all->letters.more)
        stead_letter_place_write(&all->seen, out);
    else
        stead_write_nil(out);
}

static void destroy_letters(struct stead_query_slow *slow)
{
    struct all_letters *all = (struct all_letters *)slow;

    stead_writer_deinit(&all->letters.items);
    free(all);
}

/* Where the page begins, out of the query's `after`. */
static int read_after(struct all_letters *all, struct stead_slice args)
{
    struct stead_letter_place place = {.slot = 0};
    struct stead_slice after;

    if (stead_get_value(args, "after", &after) != 0)
        return 0;
    if (stead_letter_place_read(after, &place) != 0 || place.slot > UINT16_MAX ||
        place.address.size > sizeof(all->seen_address))
        return STEAD_EARGUMENT;
    if (place.address.size > 0)
        set_seen(all, place.slot, place.address, place.id);
    all->slot = (uint32_t)place.slot;
    return 0;
}

/* `deadletters` without an address: the letters of all agents of this host, which can only be listed. Consumes
 * `query`. */
static void list_all_letters(struct stead_host *host, struct stead_message *query)
{
    struct all_letters *all = stead_alloc_zero(sizeof(*all));
    struct stead_slice args = stead_message_payload(query);
    char action[8];

    all->slow = (struct stead_query_slow){
        .query = query, .step = step_letters, .write = write_letters, .destroy = destroy_letters};
    all->host = host;
    all->agents_left = LETTER_AGENTS_MAX;
    stead_writer_init(&all->letters.items);
    if (parse_action(host, args, &all->letters, action, sizeof(action)) == 0 && !all->letters.keep_message &&
        read_after(all, args) == 0) {
        stead_query_slow_begin(host, &all->slow);
        return;
    }
    stead_host_route(host, stead_message_answer(query, STEAD_EARGUMENT, NULL, (struct stead_slice){0}));
    stead_message_destroy(&query);
    destroy_letters(&all->slow);
}

/* A query to the node that its hosts answer. Consumes `query`. */
void stead_query_host(struct stead_host *host, struct stead_message *query)
{
    if (stead_slice_equal(stead_bytes(query->op, query->op_size), stead_str("deadletters")))
        list_all_letters(host, query);
    else
        stead_query_agents(host, query);
}

/* ---- Of one agent ----------------------------------------------------------------------------------------------- */

/* Nobody waits for an answer any more, so it is a signal of its own, without what its sender's way, or a call, gave it:
 * the failure that made the letter may be kept under its key, and would count as its answer. A fence stays: what was
 * meant for a hold that is over is a letter again. */
static void make_retry(struct stead_shard *shard, struct stead_message **message)
{
    struct stead_writer *writer = &shard->host->scratch;
    struct stead_message bare = **message;

    bare.type = STEAD_SIGNAL;
    bare.groups &= ~(uint32_t)(STEAD_GROUP_SESSION | STEAD_GROUP_CHANNEL | STEAD_GROUP_ROUTE | STEAD_GROUP_DELAY |
                               STEAD_GROUP_KEY | STEAD_GROUP_LIMITS | STEAD_GROUP_INCARNATION);
    bare.key_size = bare.chain_size = bare.ended_size = 0;
    bare.deadline_ms = 0;
    stead_writer_reset(writer);
    shard->host->doors.encode(&bare, writer);
    stead_message_destroy(message);
    int code = shard->host->doors.decode(stead_written(writer), message);
    STEAD_ASSERT(code == 0); /* it was read from a letter */
}

/* Reads what is asked for: a page, or the one letter to act on. */
static int read_letters(struct stead_shard *shard, const struct stead_message *query, struct letters *letters,
                        char *action, size_t size)
{
    struct stead_slice address = stead_bytes(query->address, query->address_size);
    struct stead_slice args = stead_message_payload(query);
    struct stead_row_key from, to;
    uint64_t after = 0;
    int code = parse_action(shard->host, args, letters, action, size);

    if (code != 0 || stead_get_u64(args, "after", &after) == STEAD_EARGUMENT)
        return STEAD_EARGUMENT;
    if (letters->id != 0)
        after = letters->id - 1;
    stead_row_part(&to, query->slot, address, 0, STEAD_PART_DEAD, (struct stead_slice){0});
    if (after != UINT64_MAX && letters_begin(&from, query->slot, address, after) && stead_row_after_prefix(&to))
        code = stead_overlay_scan_merged(shard->overlay, &shard->host->doors, stead_row_slice(&from),
                                         stead_row_slice(&to), false, visit_letter, letters);
    if (code < 0)
        return code;
    return letters->keep_message && letters->message == NULL ? STEAD_ENOTFOUND : 0;
}

void stead_query_dead_letters(struct stead_shard *shard, struct stead_message *query)
{
    struct letters letters = {.shard = shard};
    struct stead_writer out;
    char action[8];

    stead_writer_init(&letters.items);
    stead_writer_init(&out);
    int status = read_letters(shard, query, &letters, action, sizeof(action));
    if (letters.message != NULL && letters.message->type == STEAD_ANSWER && strcmp(action, "retry") == 0) {
        status = STEAD_ESTATE; /* an answer whose call is over: it can be looked at and dropped */
        stead_message_destroy(&letters.message);
    }
    stead_write_map(&out, 2);
    stead_write_str(&out, "letters");
    stead_write_array(&out, letters.count);
    stead_write_raw(&out, letters.items.data, letters.items.size);
    stead_write_str(&out, "next");
    if (letters.more)
        stead_write_u64(&out, letters.last);
    else
        stead_write_nil(&out);
    struct stead_message *answer =
        stead_message_answer(query, status, NULL, status == 0 ? stead_written(&out) : (struct stead_slice){0});
    if (letters.message != NULL) {
        stead_shard_delete(shard, &letters.key);
        stead_shard_dirty(shard, true);
        answer->depends_on = shard->next_index;
    }
    if (letters.message != NULL && strcmp(action, "retry") == 0) {
        make_retry(shard, &letters.message);
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
