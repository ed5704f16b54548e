/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query_list: dead letters, of one agent or of all, and what is done with them.
 */
#include "runtime/address.h"
#include "runtime/query_slow.h"
#include "runtime/shard.h"

/* ---- deadletters -------------------------------------------------------------------------------------------- */

struct letters {
    struct stead_shard *shard;
    struct stead_writer items;
    uint32_t count, limit;
    uint64_t id;                   /* the one asked for; 0: all */
    struct stead_message *message; /* of that one; owned by whoever asked */
    struct stead_row_key key;      /* of that one */
    bool keep_message;
    int code; /* not all of the rows could be read; 0: they could */
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
    bool of_timer = message->source_size == 0 && message->source_slot.v != STEAD_SLOT_SESSION;
    struct stead_slice from = of_timer ? stead_str("timer") : stead_bytes(message->source, message->source_size);
    stead_pack(&letters->items, "{s:u,s:S,s:S,s:S,s:v,s:{s:S,s:S},s:u}", "id", id, "address", row.address, "op",
               stead_bytes(message->op, message->op_size), "from", from, "args", stead_message_payload(message),
               "error", "name", stead_bytes(at, name_size), "sentence", stead_bytes(at + name_size, sentence_size),
               "time_ms", stead_load64(value.data + 4));
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

#define LETTER_AGENTS_MAX 65536u /* agents looked at for one list of everybody's letters */

/* Everybody's letters: a list on its way. */
struct all_letters {
    struct stead_query_slow slow;
    struct stead_host *host;
    struct letters letters;
    uint32_t agents_left;
    uint32_t shard_at, slot_at;     /* where the next slice goes on */
    bool in_slot;                   /* from `from` to `end` */
    struct stead_row_key from, end; /* what is left of the slot under way */
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

/* The letters of the next agent of a slot; its other rows are jumped over. False: there is no agent any more. */
static bool letters_of_next(struct all_letters *all, stead_slot slot)
{
    struct stead_overlay *overlay = all->letters.shard->overlay;
    const struct stead_doors *doors = &all->host->doors;
    struct first_address first = {0};
    struct stead_row_key from, to;

    int code = stead_overlay_scan_merged(overlay, doors, stead_row_slice(&all->from), stead_row_slice(&all->end), false,
                                         visit_first, &first);
    if (code < 0)
        all->letters.code = code;
    if (first.size == 0)
        return false;
    struct stead_slice address = {first.text, first.size};
    stead_row_part(&from, slot, address, 0, STEAD_PART_DEAD, (struct stead_slice){0});
    to = from;
    if (stead_row_after_prefix(&to))
        code = stead_overlay_scan_merged(overlay, doors, stead_row_slice(&from), stead_row_slice(&to), false,
                                         visit_letter, &all->letters);
    if (code < 0)
        all->letters.code = code;
    stead_row_begin(&all->from, slot, STEAD_ROW_PART);
    stead_row_add_address(&all->from, address);
    all->agents_left--;
    return stead_row_after_prefix(&all->from);
}

static int step_letters(struct stead_query_slow *slow)
{
    struct all_letters *all = (struct all_letters *)slow;

    for (uint32_t work = STEAD_QUERY_WORK / (4 * STEAD_QUERY_SEEK); work > 0; work--) {
        struct stead_shard *shard = all->shard_at < all->host->shard_count ? all->host->shards[all->shard_at] : NULL;
        if (all->letters.code != 0)
            return all->letters.code;
        if (shard == NULL || all->agents_left == 0 || all->letters.count >= all->letters.limit)
            return 0;
        if (shard->phase != STEAD_SHARD_SERVING || all->slot_at == shard->slot_count) {
            all->shard_at++;
            all->slot_at = 0;
            continue;
        }
        stead_slot slot = shard->slots[all->slot_at];
        all->letters.shard = shard;
        if (!all->in_slot) {
            stead_row_begin(&all->from, slot, STEAD_ROW_PART);
            all->end = all->from;
            all->in_slot = stead_row_after_prefix(&all->end);
        }
        all->in_slot = all->in_slot && letters_of_next(all, slot);
        all->slot_at += !all->in_slot;
    }
    return STEAD_QUERY_MORE;
}

static void write_letters(struct stead_query_slow *slow, struct stead_writer *out)
{
    const struct all_letters *all = (const struct all_letters *)slow;

    stead_write_map(out, 1);
    stead_write_str(out, "letters");
    stead_write_array(out, all->letters.count);
    stead_write_raw(out, all->letters.items.data, all->letters.items.size);
}

static void destroy_letters(struct stead_query_slow *slow)
{
    struct all_letters *all = (struct all_letters *)slow;

    stead_writer_deinit(&all->letters.items);
    free(all);
}

/* `deadletters` without an address: the letters of all agents of this host, which can only be listed. Consumes
 * `query`. */
static void list_all_letters(struct stead_host *host, struct stead_message *query)
{
    struct letters letters = {.limit = 0};
    char action[8];

    if (parse_action(stead_message_payload(query), &letters, action, sizeof(action)) != 0 || letters.keep_message) {
        stead_host_route(host, stead_message_answer(query, STEAD_EARGUMENT, NULL, (struct stead_slice){0}));
        stead_message_destroy(&query);
        return;
    }
    struct all_letters *all = stead_alloc_zero(sizeof(*all));
    all->slow = (struct stead_query_slow){
        .query = query, .step = step_letters, .write = write_letters, .destroy = destroy_letters};
    all->host = host;
    all->letters = letters;
    all->agents_left = LETTER_AGENTS_MAX;
    stead_writer_init(&all->letters.items);
    stead_query_slow_begin(host, &all->slow);
}

/* A query to the node that its hosts answer. Consumes `query`. */
void stead_query_host(struct stead_host *host, struct stead_message *query)
{
    if (stead_slice_equal(stead_bytes(query->op, query->op_size), stead_str("deadletters")))
        list_all_letters(host, query);
    else
        stead_query_agents(host, query);
}

/* Nobody waits for an answer any more, so it is a signal of its own, without what its sender's way, or a call, gave it:
 * the failure that made the letter may be kept under its key, and would count as its answer. A fence stays: what was
 * meant for a hold that is over is a letter again. */
static void make_retry(struct stead_shard *shard, struct stead_message **message)
{
    struct stead_writer *writer = &shard->host->scratch;
    struct stead_message bare = **message;

    bare.type = STEAD_SIGNAL;
    bare.groups &= ~(uint32_t)(STEAD_GROUP_SESSION | STEAD_GROUP_CHANNEL | STEAD_GROUP_ROUTE | STEAD_GROUP_DELAY |
                               STEAD_GROUP_KEY | STEAD_GROUP_LIMITS);
    bare.key_size = bare.chain_size = bare.ended_size = 0;
    bare.deadline_ms = 0;
    stead_writer_reset(writer);
    shard->host->doors.encode(&bare, writer);
    stead_message_destroy(message);
    int code = shard->host->doors.decode(stead_written(writer), message);
    STEAD_ASSERT(code == 0); /* it was read from a letter */
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
        letters.code = stead_overlay_scan_merged(shard->overlay, &shard->host->doors, stead_row_slice(&from),
                                                 stead_row_slice(&to), false, visit_letter, &letters);
    if (letters.code < 0)
        status = letters.code;
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
