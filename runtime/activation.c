/* SPDX-License-Identifier: Apache-2.0 */
/*
 * activation: bringing agents into memory, and letting them go.
 *
 * The truth about a durable agent is always in the overlay or the image, written in the entry of each of its turns. So
 * loading reads (overlay first: what is there needs no load), and unloading only frees. Reading goes in up to three
 * steps, head, large image, events, each a load of its own while other agents go on; an agent of which all is in the
 * overlay is READY at once.
 *
 * Invariants: A1 the newest image of a durable agent is in overlay or store; A2 at most one activation an address; A3
 * an agent with pins, with waiting messages or loading is not unloaded; A4 the buffers of a state are counted.
 */
#include "runtime/activation.h"

#include "runtime/address.h"
#include "runtime/fields.h"
#include "runtime/hook.h"
#include "runtime/registry.h"
#include "runtime/shard.h"
#include "runtime/waiting.h"

#define AGENT_OVERHEAD                                                                                                 \
    (16u +                                                                                                             \
     2u * sizeof(struct stead_map_entry)) /* what malloc adds to a block; its places in the map, half of them empty */
#define STATE_ALIGNMENT 16u
#define IMAGE_INLINE_MAX 1024u /* bytes; a larger image has a row of its own, so that the head stays cheap to rewrite */
#define ROW_VERSION 1u
#define ROW_FLAGS (STEAD_AGENT_EXISTS | STEAD_AGENT_HELD | STEAD_AGENT_PARTS | STEAD_AGENT_MAIL | STEAD_AGENT_BIG_IMAGE)

/* ---- The AGENT row: FORMATS, Row values ------------------------------------------------------- */

void stead_agent_row_encode(const struct stead_agent_row *row, struct stead_writer *writer)
{
    uint8_t head[44];

    head[0] = ROW_VERSION;
    head[1] = (uint8_t)(row->flags & ROW_FLAGS);
    stead_store16(head + 2, (uint16_t)row->holder.size);
    stead_store64(head + 4, row->incarnation);
    stead_store64(head + 12, row->last_index);
    stead_store64(head + 20, row->event_seq);
    stead_store64(head + 28, row->snapshot_seq);
    stead_store64(head + 36, row->fence);
    stead_write_raw(writer, head, sizeof(head));
    stead_write_raw(writer, row->holder.data, row->holder.size);
    stead_write_raw(writer, row->image.data, row->image.size);
}

int stead_agent_row_decode(struct stead_slice value, struct stead_agent_row *ret_row)
{
    if (value.size < 44 || value.data[0] != ROW_VERSION)
        return STEAD_ECORRUPT;
    uint16_t holder_size = stead_load16(value.data + 2);
    if (value.size - 44 < holder_size)
        return STEAD_ECORRUPT;
    *ret_row = (struct stead_agent_row){
        .flags = value.data[1],
        .incarnation = stead_load64(value.data + 4),
        .last_index = stead_load64(value.data + 12),
        .event_seq = stead_load64(value.data + 20),
        .snapshot_seq = stead_load64(value.data + 28),
        .fence = stead_load64(value.data + 36),
        .holder = {value.data + 44, holder_size},
        .image = {value.data + 44 + holder_size, value.size - 44 - holder_size},
    };
    if (ret_row->incarnation == 0 || ret_row->snapshot_seq > ret_row->event_seq)
        return STEAD_ECORRUPT;
    return stead_value_check(ret_row->image);
}

void stead_agent_store(struct stead_agent *agent, const struct stead_slice *image)
{
    struct stead_shard *shard = agent->shard;
    struct stead_row_key key;
    struct stead_writer writer;
    uint8_t memory[IMAGE_INLINE_MAX + 256];
    struct stead_slice big = {0};

    stead_writer_init_fixed(&writer, memory, sizeof(memory));
    struct stead_agent_row row = {
        .incarnation = agent->incarnation,
        .last_index = agent->last_index,
        .event_seq = agent->event_seq,
        .snapshot_seq = agent->snapshot_seq,
        .fence = agent->fence,
    };
    if (agent->flags & STEAD_AGENT_HELD)
        row.holder = stead_str(agent->wait->holder);
    if (image != NULL && (image->size > IMAGE_INLINE_MAX || agent->kind->apply != NULL)) {
        agent->flags |= STEAD_AGENT_BIG_IMAGE | STEAD_AGENT_PARTS;
        big = *image;
    } else if (image != NULL) {
        if (agent->flags & STEAD_AGENT_BIG_IMAGE) {
            stead_row_part(&key, agent->slot, stead_agent_address(agent), agent->incarnation, STEAD_PART_IMAGE,
                           (struct stead_slice){0});
            stead_shard_delete(shard, &key);
        }
        agent->flags &= (uint8_t)~STEAD_AGENT_BIG_IMAGE;
        row.image = *image;
    }
    row.flags = agent->flags;
    stead_agent_row_encode(&row, &writer);
    stead_row_agent(&key, agent->slot, stead_agent_address(agent));
    stead_shard_put(shard, &key, stead_written(&writer), false);
    stead_writer_deinit(&writer);
    if (big.size > 0) {
        stead_row_part(&key, agent->slot, stead_agent_address(agent), agent->incarnation, STEAD_PART_IMAGE,
                       (struct stead_slice){0});
        stead_shard_put(shard, &key, big, false);
    }
}

void stead_agent_store_absent(struct stead_agent *agent)
{
    struct stead_row_key key;
    struct stead_writer writer;
    uint8_t memory[64];
    struct stead_agent_row row = {
        .flags = (uint8_t)(agent->flags & STEAD_AGENT_MAIL),
        .incarnation = agent->incarnation,
        .last_index = agent->last_index,
        .fence = agent->fence,
    };

    stead_writer_init_fixed(&writer, memory, sizeof(memory));
    stead_agent_row_encode(&row, &writer);
    stead_row_agent(&key, agent->slot, stead_agent_address(agent));
    stead_shard_put(agent->shard, &key, stead_written(&writer), false);
    stead_writer_deinit(&writer);
}

bool stead_agent_image_is_inline(const struct stead_agent *agent)
{
    return agent->kind->apply != NULL &&
           (agent->flags & (STEAD_AGENT_EXISTS | STEAD_AGENT_BIG_IMAGE)) == STEAD_AGENT_EXISTS &&
           agent->event_seq == agent->snapshot_seq && !STEAD_FAULT(&agent->shard->host->settings, lose_image_on_events);
}

void stead_agent_store_flags(struct stead_agent *agent)
{
    struct stead_writer image;
    bool elsewhere = agent->kind->apply != NULL && !stead_agent_image_is_inline(agent);
    bool head_alone = elsewhere || agent->kind->fields == NULL || (agent->flags & STEAD_AGENT_BIG_IMAGE) ||
                      !(agent->flags & STEAD_AGENT_EXISTS);

    if (head_alone) {
        stead_agent_store(agent, NULL);
        return;
    }
    stead_writer_init(&image);
    stead_fields_encode(agent->kind->fields, agent->state, &image);
    struct stead_slice slice = stead_written(&image);
    stead_agent_store(agent, &slice);
    stead_writer_deinit(&image);
}

uint64_t stead_agent_incarnation(struct stead_shard *shard, stead_slot slot, struct stead_slice address)
{
    const struct stead_agent *agent = stead_agent_find(shard, address, stead_hash(address.data, address.size));
    struct stead_row_key key;
    struct stead_writer value;
    struct stead_agent_row row = {.incarnation = 1};

    if (agent != NULL && agent->phase == STEAD_AGENT_READY)
        return agent->incarnation;
    stead_row_agent(&key, slot, address);
    stead_writer_init(&value);
    if (stead_shard_read(shard, &shard->host->doors, &key, &value) == 0 &&
        stead_agent_row_decode(stead_written(&value), &row) != 0)
        row.incarnation = 1;
    stead_writer_deinit(&value);
    return row.incarnation;
}

/* ---- The least-recently-used list of the host -------------------------------------------------- */

static void lru_remove(struct stead_agent *agent)
{
    struct stead_host *host = agent->shard->host;

    if (agent->lru_prev != NULL)
        agent->lru_prev->lru_next = agent->lru_next;
    else if (host->lru_first == agent)
        host->lru_first = agent->lru_next;
    if (agent->lru_next != NULL)
        agent->lru_next->lru_prev = agent->lru_prev;
    else if (host->lru_last == agent)
        host->lru_last = agent->lru_prev;
    agent->lru_prev = agent->lru_next = NULL;
}

static void lru_add(struct stead_agent *agent)
{
    struct stead_host *host = agent->shard->host;

    agent->lru_prev = NULL;
    agent->lru_next = host->lru_first;
    if (host->lru_first != NULL)
        host->lru_first->lru_prev = agent;
    host->lru_first = agent;
    if (host->lru_last == NULL)
        host->lru_last = agent;
}

void stead_agent_touch(struct stead_agent *agent)
{
    agent->used_ms = agent->shard->host->now_ns / 1000000u;
    if (agent->shard->host->lru_first == agent)
        return;
    lru_remove(agent);
    lru_add(agent);
}

const struct stead_op *stead_agent_op(const struct stead_agent *agent, const char *name, size_t size)
{
    if (agent->op != NULL && stead_name_equal(agent->op->name, name, size))
        return agent->op;
    return stead_registry_op(agent->shard->host->registry, agent->kind, name, size);
}

/* ---- Waiting work ------------------------------------------------------------------------------ */

struct stead_agent_wait *stead_agent_need_wait(struct stead_agent *agent)
{
    if (agent->wait == NULL) {
        agent->wait = stead_alloc_zero(sizeof(*agent->wait));
        agent->shard->host->agent_bytes += sizeof(*agent->wait);
    }
    return agent->wait;
}

void stead_agent_tidy_wait(struct stead_agent *agent)
{
    struct stead_agent_wait *wait = agent->wait;

    if (wait == NULL || wait->mailbox.count > 0 || wait->blocked != NULL || wait->timers != NULL ||
        wait->holder != NULL || (agent->flags & STEAD_AGENT_SCHEDULED) || agent->shard->waiting_agent == agent)
        return;
    agent->shard->host->agent_bytes -= sizeof(*wait);
    free(wait);
    agent->wait = NULL;
}

void stead_agent_schedule(struct stead_agent *agent)
{
    struct stead_shard *shard = agent->shard;

    if (agent->flags & STEAD_AGENT_SCHEDULED)
        return;
    agent->flags |= STEAD_AGENT_SCHEDULED;
    stead_agent_need_wait(agent)->scheduled_next = NULL;
    if (shard->scheduled_tail != NULL)
        shard->scheduled_tail->wait->scheduled_next = agent;
    else
        shard->scheduled = agent;
    shard->scheduled_tail = agent;
}

/* ---- Making and freeing ------------------------------------------------------------------------ */

struct stead_agent *stead_agent_find(const struct stead_shard *shard, struct stead_slice address, uint64_t hash)
{
    uint32_t at;
    struct stead_agent *agent;

    for (agent = stead_map_first(&shard->agents, hash, &at); agent != NULL;
         agent = stead_map_next(&shard->agents, hash, &at))
        if (agent->hash == hash && agent->address_size == address.size &&
            memcmp(agent->address, address.data, address.size) == 0)
            return agent;
    return NULL;
}

static struct stead_agent *create_agent(struct stead_shard *shard, const struct stead_kind *kind,
                                        struct stead_slice address, uint64_t hash, stead_slot slot)
{
    size_t head = (offsetof(struct stead_agent, address) + address.size + 1 + STATE_ALIGNMENT - 1) &
                  ~(size_t)(STATE_ALIGNMENT - 1);
    size_t size = head + kind->state_size;
    struct stead_agent *agent = stead_alloc_zero(size);

    agent->shard = shard;
    agent->kind = kind;
    agent->state = kind->state_size > 0 ? (uint8_t *)agent + head : NULL;
    agent->hash = hash;
    agent->incarnation = 1;
    agent->slot = slot;
    agent->block_size = (uint32_t)size;
    agent->address_size = (uint16_t)address.size;
    agent->phase = STEAD_AGENT_LOADING_HEAD;
    memcpy(agent->address, address.data, address.size);
    stead_map_add(&shard->agents, hash, agent);
    shard->host->agent_bytes += size + AGENT_OVERHEAD;
    shard->host->agent_count++;
    shard->volatile_agents += !stead_agent_durable(agent);
    return agent;
}

/* One of the parts of an agent's memory that change. */
static void recount(struct stead_agent *agent, uint32_t *part, uint64_t bytes)
{
    uint32_t counted = bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;

    agent->shard->host->agent_bytes += counted;
    agent->shard->host->agent_bytes -= *part;
    *part = counted;
}

void stead_agent_carry(struct stead_agent *agent, uint64_t bytes)
{
    recount(agent, &agent->carried, bytes);
}

void stead_agent_count_buffers(struct stead_agent *agent)
{
    if (agent->kind->fields != NULL)
        recount(agent, &agent->buffers, stead_fields_bytes(agent->kind->fields, agent->state));
}

void stead_agent_free(struct stead_agent *agent)
{
    struct stead_host *host = agent->shard->host;

    if (host->marked_agent == agent)
        host->marked_agent = NULL; /* another may come to lie here */
    if (host->at_work == agent)
        host->at_work = NULL;
    if (agent->phase == STEAD_AGENT_READY)
        lru_remove(agent);
    if (agent->wait != NULL) {
        stead_vtimers_drop(agent);
        stead_queue_clear(&agent->wait->mailbox);
        free(agent->wait->holder);
        free(agent->wait);
        host->agent_bytes -= sizeof(*agent->wait);
    }
    if (agent->kind->fields != NULL)
        stead_fields_deinit(agent->kind->fields, agent->state);
    stead_map_remove(&agent->shard->agents, agent->hash, agent);
    host->agent_bytes -= agent->block_size + AGENT_OVERHEAD + agent->carried + agent->buffers;
    host->agent_count--;
    agent->shard->volatile_agents -= !stead_agent_durable(agent);
    free(agent);
}

void stead_agent_unload(struct stead_agent *agent)
{
    STEAD_ASSERT(agent->phase == STEAD_AGENT_READY && agent->pins == 0);
    STEAD_ASSERT(stead_agent_waiting(agent) == 0 && !(agent->flags & STEAD_AGENT_SCHEDULED));
    if (agent->flags & STEAD_AGENT_INITED)
        stead_hook_unload(agent);
    agent->shard->host->stats.unloads++;
    stead_agent_free(agent);
}

/* ---- Loading ----------------------------------------------------------------------------------- */

/* Takes the first of the channels that stopped at this agent. */
static struct stead_channel_in *unblock(struct stead_agent *agent)
{
    struct stead_channel_in *channel = agent->wait->blocked;

    agent->wait->blocked = channel->blocked_next;
    channel->blocked = false;
    return channel;
}

/* It goes on where it stopped: before anything that came later. */
static void go_on(struct stead_shard *shard, struct stead_channel_in *channel)
{
    bool here = shard->host->shard_of[channel->source.v] == shard;

    stead_queue_prepend(here ? &shard->local : &shard->inbox, &channel->stalled);
}

static void loading_failed(struct stead_agent *agent, int code);

/* Whoever gets ready knows of all its mail, so that nothing that comes later runs before it (M4). */
static void become_ready(struct stead_agent *agent)
{
    struct stead_shard *shard = agent->shard;
    struct stead_host *host = shard->host;
    bool found_mail = false;
    int code = stead_agent_durable(agent) ? stead_timers_find_mail(agent, &found_mail) : 0;

    if (code != 0) {
        loading_failed(agent, code);
        return;
    }
    agent->phase = STEAD_AGENT_READY;
    agent->used_ms = host->now_ns / 1000000u;
    lru_add(agent);
    host->stats.activations++;
    stead_timers_readable(shard, agent->slot, agent->hash);
    if (agent->flags & STEAD_AGENT_EXISTS) {
        agent->flags |= STEAD_AGENT_INITED;
        stead_hook_load(agent);
        stead_agent_count_buffers(agent);
    }
    if (STEAD_FAULT(&host->settings, lose_parked))
        agent->flags &= (uint8_t)~STEAD_AGENT_MAIL;
    if (found_mail)
        stead_shard_found_mail(agent);
    else if (agent->flags & STEAD_AGENT_MAIL)
        stead_shard_has_mail(agent);
    if (agent->wait == NULL)
        return;
    while (agent->wait->blocked != NULL)
        go_on(shard, unblock(agent));
    if (agent->wait->mailbox.count > 0) { /* also of a held one: its holder's may be among them */
        agent->flags |= STEAD_AGENT_UNPARKING;
        stead_agent_schedule(agent);
    }
}

/* Reads the state; the host knows which field does not fit. */
static int take_fields(struct stead_agent *agent, struct stead_slice image)
{
    struct stead_host *host = agent->shard->host;
    int code = stead_fields_decode(agent->kind->fields, agent->state, image);

    if (code != 0)
        stead_fields_explain(agent->kind->fields, agent->state, image, host->load_why);
    return code;
}

/* Takes the AGENT row; false: nothing stored, the agent is as new. */
static int take_head(struct stead_agent *agent, struct stead_slice value)
{
    struct stead_agent_row row;
    int code = stead_agent_row_decode(value, &row);

    if (code != 0)
        return code;
    agent->flags |= row.flags & ROW_FLAGS;
    agent->incarnation = row.incarnation;
    agent->last_index = row.last_index;
    agent->event_seq = row.event_seq;
    agent->snapshot_seq = row.snapshot_seq;
    agent->fence = row.fence;
    if (STEAD_FAULT(&agent->shard->host->settings, forget_hold))
        agent->flags &= (uint8_t)~STEAD_AGENT_HELD;
    if (agent->flags & STEAD_AGENT_HELD) {
        struct stead_agent_wait *wait = stead_agent_need_wait(agent);
        wait->holder = stead_alloc(row.holder.size + 1);
        memcpy(wait->holder, row.holder.data, row.holder.size);
        wait->holder[row.holder.size] = '\0';
    }
    if (row.image.size > 0 && agent->kind->fields != NULL)
        return take_fields(agent, row.image);
    return 0;
}

static int take_image(struct stead_agent *agent, struct stead_slice image)
{
    int code = stead_value_check(image);

    if (code == 0 && agent->kind->fields != NULL)
        code = take_fields(agent, image);
    return code;
}

/* An EVENT row's value: entry index u64, then msgpack [name, value]. */
int stead_agent_apply_event(const struct stead_kind *kind, void *state, struct stead_slice row)
{
    struct stead_slice name_slice, value;
    char name[STEAD_OP_NAME_MAX + 1];
    uint32_t count;

    if (row.size < 9)
        return STEAD_ECORRUPT;
    struct stead_slice pair = {row.data + 8, row.size - 8};
    struct stead_reader reader = stead_reader(pair);
    if (stead_value_check(pair) != 0 || stead_read_array(&reader, &count) != 0 || count != 2 ||
        stead_read_str(&reader, &name_slice) != 0 || name_slice.size > STEAD_OP_NAME_MAX ||
        stead_read_value(&reader, &value) != 0 || kind->apply == NULL)
        return STEAD_ECORRUPT;
    memcpy(name, name_slice.data, name_slice.size);
    name[name_slice.size] = '\0';
    return kind->apply(state, name, value) == 0 ? 0 : STEAD_ECORRUPT;
}

static int take_event(void *context, struct stead_slice key, struct stead_slice row)
{
    struct stead_agent *agent = context;

    (void)key;
    return stead_agent_apply_event(agent->kind, agent->state, row);
}

/* What is stored cannot be read: the agent stays unusable and says so. Where the disk failed it may be read the next
 * time; what is damaged, or not as this version of its kind stores it, may be read after a start with another. */
static void loading_failed(struct stead_agent *agent, int code)
{
    struct stead_shard *shard = agent->shard;
    struct stead_message *message;

    struct stead_host *host = shard->host;
    const char *why = host->load_why;
    stead_host_trace(host, STEAD_TRACE_ERROR, "agent cannot be loaded: %s: %s%s%s", agent->address,
                     stead_error_sentence(code), why[0] != '\0' ? ": " : "", why);
    host->load_code = code;
    stead_timers_unreadable(shard, agent->slot, agent->hash, code);
    while (agent->wait != NULL && (message = stead_queue_pop(&agent->wait->mailbox)) != NULL) {
        agent->pins--;
        agent->queued--;
        shard->host->message_bytes -= message->block_size;
        struct stead_session *session = stead_session_of(shard, message);
        if (session != NULL)
            stead_session_forget(session, message->session.number);
        stead_shard_refuse(shard, message, code, NULL, why[0] != '\0' ? why : NULL, false, 0);
        stead_message_destroy(&message);
    }
    while (agent->wait != NULL && agent->wait->blocked != NULL) {
        struct stead_channel_in *channel = unblock(agent);
        if (code == STEAD_EIO) {
            stead_queue_clear(&channel->stalled); /* the sender has them and sends them again */
            continue;
        }
        stead_shard_unreadable(shard, stead_queue_pop(&channel->stalled), false, code);
        go_on(shard, channel);
    }
    STEAD_ASSERT(agent->pins == 0);
    stead_agent_free(agent);
}

static void events_range(const struct stead_agent *agent, struct stead_row_key *from, struct stead_row_key *to)
{
    stead_row_part(from, agent->slot, stead_agent_address(agent), agent->incarnation, STEAD_PART_EVENT,
                   (struct stead_slice){0});
    *to = *from;
    stead_row_add_u64(from, agent->snapshot_seq + 1);
    stead_row_add_u64(to, agent->event_seq + 1);
}

static void start_load(struct stead_agent *agent, const struct stead_row_key *from, const struct stead_row_key *to)
{
    struct stead_shard *shard = agent->shard;
    struct stead_effects *effects = &shard->host->effects;
    struct stead_load *load = stead_alloc_zero(sizeof(*load));

    load->shard = shard->id;
    load->token = (uint64_t)(uintptr_t)agent;
    load->limit = UINT32_MAX;
    stead_writer_init(&load->from);
    stead_writer_init(&load->to);
    stead_writer_init(&load->ret_rows);
    stead_write_raw(&load->from, from->data, from->size);
    if (to != NULL)
        stead_write_raw(&load->to, to->data, to->size);
    shard->loads++;
    shard->host->stats.loads++;
    if (effects->loads_tail != NULL)
        effects->loads_tail->next = load;
    else
        effects->loads = load;
    effects->loads_tail = load;
}

/* Counts the overlay's rows of a range. */
static int count_row(void *context, struct stead_slice key, struct stead_slice value, bool deleted)
{
    (void)key, (void)value, (void)deleted;
    (*(uint64_t *)context)++;
    return 0;
}

static int apply_events(struct stead_agent *agent, const struct stead_row_key *from, const struct stead_row_key *to)
{
    struct stead_shard *shard = agent->shard;

    stead_hook_begin(shard->host, stead_agent_address(agent), STEAD_HOOK_APPLY);
    int code = stead_overlay_scan_merged(shard->overlay, &shard->host->doors, stead_row_slice(from),
                                         stead_row_slice(to), false, take_event, agent);
    stead_hook_end(shard->host);
    return code;
}

static void read_events_here(struct stead_agent *agent, const struct stead_row_key *from,
                             const struct stead_row_key *to)
{
    int code = apply_events(agent, from, to);

    if (code != 0)
        loading_failed(agent, code);
    else
        become_ready(agent);
}

static void load_events(struct stead_agent *agent)
{
    struct stead_row_key from, to;
    uint64_t in_overlay = 0;

    if (agent->event_seq == agent->snapshot_seq) {
        become_ready(agent);
        return;
    }
    agent->phase = STEAD_AGENT_LOADING_EVENTS;
    events_range(agent, &from, &to);
    stead_overlay_scan(agent->shard->overlay, stead_row_slice(&from), stead_row_slice(&to), false, count_row,
                       &in_overlay);
    if (in_overlay == agent->event_seq - agent->snapshot_seq)
        read_events_here(agent, &from, &to);
    else
        start_load(agent, &from, &to);
}

static void load_image(struct stead_agent *agent)
{
    struct stead_row_key key;
    struct stead_slice image;

    if (!(agent->flags & STEAD_AGENT_BIG_IMAGE)) {
        load_events(agent);
        return;
    }
    agent->phase = STEAD_AGENT_LOADING_IMAGE;
    stead_row_part(&key, agent->slot, stead_agent_address(agent), agent->incarnation, STEAD_PART_IMAGE,
                   (struct stead_slice){0});
    if (stead_overlay_get(agent->shard->overlay, stead_row_slice(&key), &image, NULL) != STEAD_OVERLAY_ROW) {
        start_load(agent, &key, NULL);
        return;
    }
    int code = take_image(agent, image);
    if (code != 0)
        loading_failed(agent, code);
    else
        load_events(agent);
}

/* Code of its kind would run that has ended the process again and again. */
static int check_hooks(struct stead_agent *agent)
{
    struct stead_host *host = agent->shard->host;

    if (!(agent->flags & STEAD_AGENT_EXISTS) || (agent->kind->on_load == NULL && agent->kind->apply == NULL) ||
        !stead_hook_is_fatal(host, stead_agent_address(agent), STEAD_HOOK_LOAD))
        return 0;
    stead_format(host->load_why, sizeof(host->load_why), "its load (%s) has ended the process %u times",
                 agent->kind->apply == NULL     ? "on_load"
                 : agent->kind->on_load == NULL ? "apply"
                                                : "apply, on_load",
                 (unsigned)host->settings.poison_kills_max);
    return STEAD_ECORRUPT;
}

static void head_read(struct stead_agent *agent, struct stead_slice value)
{
    int code = take_head(agent, value);

    if (code == 0)
        code = check_hooks(agent);
    if (code != 0)
        loading_failed(agent, code);
    else
        load_image(agent);
}

struct stead_agent *stead_agent_activate(struct stead_shard *shard, const struct stead_kind *kind,
                                         struct stead_slice address, uint64_t hash, stead_slot slot)
{
    struct stead_row_key key;
    struct stead_slice value;
    struct stead_agent *agent = create_agent(shard, kind, address, hash, slot);

    if (kind->durability != STEAD_DURABLE) {
        become_ready(agent);
        return agent;
    }
    shard->host->load_why[0] = '\0';
    stead_row_agent(&key, slot, address);
    uint64_t index = 0;
    switch (stead_overlay_get(shard->overlay, stead_row_slice(&key), &value, &index)) {
    case STEAD_OVERLAY_ROW:
        agent->depends_on =
            index; /* its head changes with every turn that writes: what is read again may not be committed yet */
        head_read(agent, value);
        return stead_agent_find(shard, address, hash); /* NULL when what is stored is damaged */
    case STEAD_OVERLAY_DELETED:
        agent->depends_on = index;
        become_ready(agent);
        return stead_agent_find(shard, address, hash); /* as above */
    case STEAD_OVERLAY_ABSENT:
        break;
    }
    start_load(agent, &key, NULL);
    return agent;
}

void stead_agent_loaded(struct stead_shard *shard, struct stead_load **load)
{
    struct stead_agent *agent = (struct stead_agent *)(uintptr_t)(*load)->token;
    struct stead_slice found = stead_written(&(*load)->ret_rows);
    struct stead_row_key from, to;
    int code = (*load)->ret_code;

    STEAD_ASSERT(agent->shard == shard && agent->phase != STEAD_AGENT_READY && shard->loads > 0);
    shard->loads--;
    shard->host->load_why[0] = '\0';
    if (code != 0)
        loading_failed(agent, code);
    else if (agent->phase == STEAD_AGENT_LOADING_HEAD && !(*load)->ret_found) {
        agent->new_since = shard->next_index;
        become_ready(agent);
    } else if (agent->phase == STEAD_AGENT_LOADING_HEAD)
        head_read(agent, found);
    else if (agent->phase == STEAD_AGENT_LOADING_IMAGE) {
        code = (*load)->ret_found ? take_image(agent, found) : STEAD_ECORRUPT;
        if (code != 0)
            loading_failed(agent, code);
        else
            load_events(agent);
    } else {
        /* The range is in the block cache now; newer rows are still in the overlay: one merged read sees all. */
        events_range(agent, &from, &to);
        read_events_here(agent, &from, &to);
    }
    stead_load_destroy(load);
}

/* What an entry above `applied` has written is in the overlay until a checkpoint beyond it is done. */
const struct stead_doors *stead_agent_image(const struct stead_agent *agent)
{
    return agent->new_since > agent->shard->applied ? NULL : &agent->shard->host->doors;
}

/* ---- After a failed turn ------------------------------------------------------------------------ */

int stead_agent_rebuild(struct stead_agent *agent)
{
    struct stead_shard *shard = agent->shard;
    const struct stead_doors *doors = &shard->host->doors;
    struct stead_row_key key, to;
    struct stead_writer row;
    struct stead_agent_row head;

    stead_hook_unload(agent); /* what the state holds beside its fields is the hook's to free */
    stead_agent_carry(agent, 0);
    if (agent->kind->fields != NULL)
        stead_fields_deinit(agent->kind->fields, agent->state);
    memset(agent->state, 0, agent->kind->state_size);
    agent->flags &= (uint8_t)~STEAD_AGENT_INITED;
    if (!(agent->flags & STEAD_AGENT_EXISTS))
        return 0;
    stead_writer_init(&row);
    stead_row_agent(&key, agent->slot, stead_agent_address(agent));
    int code = stead_overlay_get_merged(shard->overlay, doors, stead_row_slice(&key), &row);
    if (code == 0)
        code = stead_agent_row_decode(stead_written(&row), &head);
    if (code == 0 && (agent->flags & STEAD_AGENT_BIG_IMAGE)) {
        stead_writer_reset(&row);
        stead_row_part(&key, agent->slot, stead_agent_address(agent), agent->incarnation, STEAD_PART_IMAGE,
                       (struct stead_slice){0});
        code = stead_overlay_get_merged(shard->overlay, doors, stead_row_slice(&key), &row);
        if (code == 0)
            code = take_image(agent, stead_written(&row));
    } else if (code == 0 && agent->kind->fields != NULL && head.image.size > 0) {
        code = stead_fields_decode(agent->kind->fields, agent->state, head.image);
    }
    stead_writer_deinit(&row);
    if (code == 0 && agent->event_seq > agent->snapshot_seq) {
        events_range(agent, &key, &to);
        code = apply_events(agent, &key, &to);
    }
    if (code == 0) {
        agent->flags |= STEAD_AGENT_INITED;
        stead_hook_load(agent);
    }
    return code;
}
