/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timers: what falls due in a shard, durable part. See timers.h for the rows.
 *
 * A round looks only at slots whose first due row has come, takes a few rows of each, and fires them one by one: what
 * fires joins the open batch together with the deletion of its due row, so it happens once (T1). An agent that is not
 * in memory is loaded first; its slot is looked at again when it is ready. Rows of a periodic timer move to their next
 * time before the op runs, so the op may set or cancel its own timer.
 */
#include "runtime/timers.h"

#include "runtime/address.h"
#include "runtime/shard.h"

#define ROW_HEAD 32u
#define ROWS_PER_SLOT 64u      /* due rows of a slot fired in one round */
#define UNREADABLE_MAX 1024u   /* agents known not to be readable, a shard */
#define UNREADABLE_MS 60000u   /* what is damaged stays so until a start with another version of its kind */
#define UNREADABLE_IO_MS 1000u /* a disk may do better the next time */
#define AGAIN_MS 1000u         /* a look that did not see all it should, or what waits for a load */
#define LOOK_AT_START 0u       /* due time of a slot with rows that only a start looks at */
#define MISSED_MS 60000u       /* a cron run later than this counts as missed */
#define LATE_MS 60000u         /* a moment that cannot be rung yet (its zone cannot be read) is looked at again then */

/* ---- The TIMER row ------------------------------------------------------------------------------------ */

static void encode_row(const struct stead_timer_row *row, struct stead_writer *writer)
{
    uint8_t head[ROW_HEAD] = {0};

    stead_store64(head, row->due_ms);
    stead_store64(head + 8, (uint64_t)row->period_ms);
    head[16] = (uint8_t)row->catch_up;
    stead_store16(head + 20, (uint16_t)row->op.size);
    stead_store16(head + 22, (uint16_t)row->cron.size);
    stead_store16(head + 24, (uint16_t)row->zone.size);
    stead_store32(head + 28, (uint32_t)row->args.size);
    stead_write_raw(writer, head, sizeof(head));
    stead_write_raw(writer, row->op.data, row->op.size);
    stead_write_raw(writer, row->cron.data, row->cron.size);
    stead_write_raw(writer, row->zone.data, row->zone.size);
    stead_write_raw(writer, row->args.data, row->args.size);
}

int stead_timer_row_decode(struct stead_slice value, struct stead_timer_row *ret_row)
{
    if (value.size < ROW_HEAD)
        return STEAD_ECORRUPT;
    size_t op = stead_load16(value.data + 20), cron = stead_load16(value.data + 22),
           zone = stead_load16(value.data + 24);
    size_t args = stead_load32(value.data + 28);
    if (value.size - ROW_HEAD != op + cron + zone + args || op > STEAD_OP_NAME_MAX)
        return STEAD_ECORRUPT;
    const uint8_t *at = value.data + ROW_HEAD;
    *ret_row = (struct stead_timer_row){
        .due_ms = stead_load64(value.data),
        .period_ms = (int64_t)stead_load64(value.data + 8),
        .catch_up = (enum stead_catch_up)value.data[16],
        .op = {at, op},
        .cron = {at + op, cron},
        .zone = {at + op + cron, zone},
        .args = {at + op + cron + zone, args},
    };
    return 0;
}

static void timer_key(struct stead_row_key *key, const struct stead_agent *agent, struct stead_slice name)
{
    stead_row_part(key, agent->slot, stead_agent_address(agent), agent->incarnation, STEAD_PART_TIMER, name);
}

static int get_row(struct stead_agent *agent, struct stead_slice name, struct stead_writer *value,
                   struct stead_timer_row *ret_row)
{
    struct stead_row_key key;

    timer_key(&key, agent, name);
    int code = stead_shard_read(agent->shard, stead_agent_image(agent), &key, value);
    if (code != 0)
        return code;
    code = stead_timer_row_decode(stead_written(value), ret_row);
    if (code != 0)
        stead_host_fail(agent->shard->host, code, "timer %.*s of %s is damaged", (int)name.size,
                        (const char *)name.data, agent->address);
    return code;
}

/* ---- Due rows -------------------------------------------------------------------------------------------- */

static void due_key(struct stead_row_key *key, stead_slot slot, struct stead_slice address, uint64_t due_ms,
                    enum stead_row_part part, struct stead_slice name)
{
    stead_row_begin(key, slot, STEAD_ROW_TIMER_DUE);
    stead_row_add_u64(key, due_ms);
    stead_row_add_address(key, address);
    stead_row_add_u8(key, (uint8_t)part);
    stead_row_add(key, name);
}

static void look_from(struct stead_slot_due *due, struct stead_slice key)
{
    stead_writer_reset(&due->from);
    stead_write_raw(&due->from, key.data, key.size);
}

/* A row that may lie before those that rounds have to look at: they begin there then (T4). */
static void look_at_row(struct stead_slot_due *due, struct stead_slice key)
{
    if (due->from.size > 0 && stead_slice_compare(key, stead_written(&due->from)) < 0)
        look_from(due, key);
}

void stead_timers_look(struct stead_shard *shard, stead_slot slot, uint64_t due_ms)
{
    uint16_t at = shard->slot_at[slot.v];

    if (at == 0)
        return;
    if (due_ms < shard->slot_due[at - 1].first_ms)
        shard->slot_due[at - 1].first_ms = due_ms;
    if (due_ms < shard->due_ms)
        shard->due_ms = due_ms;
}

void stead_timers_add_due(struct stead_shard *shard, stead_slot slot, struct stead_slice address, uint64_t due_ms,
                          enum stead_row_part part, struct stead_slice name)
{
    struct stead_row_key key;

    due_key(&key, slot, address, due_ms, part, name);
    stead_shard_put(shard, &key, (struct stead_slice){0}, false);
    if (shard->slot_at[slot.v] == 0)
        return;
    struct stead_slot_due *due = &shard->slot_due[shard->slot_at[slot.v] - 1];
    if (part == STEAD_PART_MAIL) { /* it waits for a kind: only a start can bring one */
        due->mail = due->mail || name.size > 0;
        return;
    }
    look_at_row(due, stead_row_slice(&key));
    stead_timers_look(shard, slot, due_ms);
}

void stead_timers_delete_due(struct stead_shard *shard, stead_slot slot, struct stead_slice address, uint64_t due_ms,
                             enum stead_row_part part, struct stead_slice name)
{
    struct stead_row_key key;

    due_key(&key, slot, address, due_ms, part, name);
    stead_shard_delete(shard, &key);
}

/* ---- Setting ------------------------------------------------------------------------------------------------ */

int stead_timers_cron_next(struct stead_shard *shard, const char *cron, const char *zone, uint64_t after_ms,
                           uint64_t *ret_ms)
{
    struct stead_cron_schedule schedule;
    struct stead_writer tzif;
    int64_t next_ms;
    const struct stead_doors *doors = &shard->host->doors;

    if (stead_cron_parse(cron, &schedule) != 0)
        return STEAD_EARGUMENT;
    stead_writer_init(&tzif);
    int code = zone == NULL || zone[0] == '\0' ? 0 : doors->zone(doors->self, zone, &tzif);
    if (code != 0 || stead_zone_check(stead_written(&tzif)) != 0)
        code = STEAD_EARGUMENT;
    else
        code = stead_cron_next(&schedule, stead_written(&tzif), (int64_t)after_ms, &next_ms);
    if (code == 0)
        *ret_ms = (uint64_t)next_ms;
    stead_writer_deinit(&tzif);
    return code;
}

int stead_timers_exists(struct stead_agent *agent, const char *name, bool is_volatile)
{
    struct stead_writer value;
    struct stead_timer_row row;

    if (is_volatile) {
        for (const struct stead_vtimer *timer = agent->wait == NULL ? NULL : agent->wait->timers; timer != NULL;
             timer = timer->agent_next)
            if (timer->name != NULL && strcmp(timer->name, name) == 0)
                return 0;
        return STEAD_ENOTFOUND;
    }
    stead_writer_init(&value);
    int code = get_row(agent, stead_str(name), &value, &row);
    stead_writer_deinit(&value);
    return code;
}

void stead_timers_commit(struct stead_agent *agent, const struct stead_timer_request *request)
{
    struct stead_shard *shard = agent->shard;
    struct stead_slice address = stead_agent_address(agent), name = stead_str(request->name);
    struct stead_row_key key;
    struct stead_writer value;
    struct stead_timer_row row;

    stead_writer_init(&value);
    timer_key(&key, agent, name);
    if (get_row(agent, name, &value, &row) == 0) {
        stead_timers_delete_due(shard, agent->slot, address, row.due_ms, STEAD_PART_TIMER, name);
        stead_timer_run_over(agent, stead_timer_id(agent, name), 0); /* what it left waiting is not this one's */
    }
    if (request->op == NULL) {
        stead_shard_delete(shard, &key);
    } else {
        row = (struct stead_timer_row){.due_ms = request->due_ms,
                                       .period_ms = request->period_ms,
                                       .catch_up = request->catch_up,
                                       .op = stead_str(request->op),
                                       .args = request->args};
        if (request->cron != NULL)
            row.cron = stead_str(request->cron);
        if (request->zone != NULL)
            row.zone = stead_str(request->zone);
        stead_writer_reset(&value);
        encode_row(&row, &value);
        stead_shard_put(shard, &key, stead_written(&value), false);
        stead_timers_add_due(shard, agent->slot, address, row.due_ms, STEAD_PART_TIMER, name);
    }
    stead_writer_deinit(&value);
}

/* ---- Firing --------------------------------------------------------------------------------------------------- */

static bool rings_again(const struct stead_timer_row *row)
{
    return row->cron.size > 0 || row->period_ms > 0;
}

/* When the row was due: one that is late has kept that. */
static uint64_t was_due_ms(const struct stead_timer_row *row)
{
    return row->cron.size > 0 && row->period_ms > 0 ? (uint64_t)row->period_ms : row->due_ms;
}

/* The next moment of a cron timer; not 0: it cannot be told. */
static int next_of_cron(struct stead_shard *shard, const struct stead_timer_row *row, uint64_t *ret_ms)
{
    char cron[STEAD_CRON_SIZE_MAX + 1], zone[STEAD_ZONE_SIZE_MAX + 1];

    if (row->cron.size > STEAD_CRON_SIZE_MAX || row->zone.size > STEAD_ZONE_SIZE_MAX)
        return STEAD_ECORRUPT;
    memcpy(cron, row->cron.data, row->cron.size);
    cron[row->cron.size] = '\0';
    memcpy(zone, row->zone.data, row->zone.size);
    zone[row->zone.size] = '\0';
    return stead_timers_cron_next(shard, cron, zone,
                                  row->catch_up == STEAD_CATCH_UP_ALL ? was_due_ms(row) : shard->host->now_ms, ret_ms);
}

/* Moves a timer that fires now to where it is due again, or away. False: it does not fire yet, but is late, and not
 * lost: it is kept back, or the file of its zone cannot be read, so that nobody knows when it would be due after. */
static bool move_timer(struct stead_agent *agent, struct stead_slice name, const struct stead_timer_row *row,
                       bool keeps_back)
{
    struct stead_shard *shard = agent->shard;
    uint64_t now_ms = shard->host->now_ms, next_ms = 0;
    struct stead_timer_row moved = *row;
    struct stead_row_key key;
    struct stead_writer value;
    bool fires = true;

    stead_timers_delete_due(shard, agent->slot, stead_agent_address(agent), row->due_ms, STEAD_PART_TIMER, name);
    if (row->cron.size > 0) {
        moved.period_ms = 0;
        fires = !keeps_back && next_of_cron(shard, row, &next_ms) == 0;
    } else if (row->period_ms > 0) {
        uint64_t period = (uint64_t)row->period_ms, missed = (now_ms - row->due_ms) / period;
        next_ms = row->due_ms + (missed + 1) * period; /* one run for all that were missed */
    }
    if (!fires) {
        if (!keeps_back)
            stead_host_trace(shard->host, STEAD_TRACE_ERROR,
                             "timer %.*s of %s waits: its time zone %.*s cannot be read", (int)name.size,
                             (const char *)name.data, agent->address, (int)row->zone.size,
                             (const char *)row->zone.data);
        next_ms = now_ms + LATE_MS;
        moved.period_ms = (int64_t)was_due_ms(row);
    }
    timer_key(&key, agent, name);
    if (next_ms == 0) {
        stead_shard_delete(shard, &key);
        return true;
    }
    moved.due_ms = next_ms;
    stead_writer_init(&value);
    encode_row(&moved, &value);
    stead_shard_put(shard, &key, stead_written(&value), false);
    stead_writer_deinit(&value);
    stead_timers_add_due(shard, agent->slot, stead_agent_address(agent), next_ms, STEAD_PART_TIMER, name);
    return fires;
}

/* The same at every start: what kills the process is known by it. */
static struct stead_id occurrence_id(const struct stead_agent *agent, struct stead_slice name, uint64_t due_ms)
{
    struct stead_id id = stead_timer_id(agent, name);

    stead_store64(id.v + 8, stead_load64(id.v + 8) ^ due_ms * 0x9E3779B97F4A7C15u);
    return id;
}

/* Runs the op of a timer, or lets it wait. `again`: it rings again, and is known as this; NULL: it does not. */
static void run_timer(struct stead_agent *agent, struct stead_message *message, const struct stead_id *again)
{
    struct stead_shard *shard = agent->shard;
    struct stead_turn_input input = {
        .cause = STEAD_CAUSE_TIMER, .args = stead_message_payload(message), .taken = true, .known_as = again};
    bool waits = (agent->flags & (STEAD_AGENT_HELD | STEAD_AGENT_UNPARKING)) != 0;
    int refused = 0;

    if (!waits && stead_registry_op(shard->host->registry, agent->kind, message->op, message->op_size) == NULL)
        refused = STEAD_EOP;
    if (!waits && stead_host_sets_aside(shard->host, agent->kind, message->id))
        refused = STEAD_EPOISON;
    if (refused != 0)
        stead_shard_dead_letter(shard, message, refused, stead_error_name(refused), stead_error_sentence(refused));
    else if (!waits)
        waits = stead_turn_run(agent, message, &input) == STEAD_TURN_DEFERRED;
    if (!waits || (again != NULL && stead_timer_run_waits(agent, *again))) {
        stead_message_destroy(&message);
        return;
    }
    if (again != NULL)
        message->id = *again;
    stead_timer_run_stamp(agent, message);
    stead_shard_let_wait(agent, message, true);
    if (again != NULL)
        stead_timer_run_parked(agent, *again, shard->mail_seq);
}

/* A timer that has ended the process too often goes on, but its op is not run any more, as long as that is known. */
static void silence(struct stead_agent *agent, struct stead_slice name, struct stead_id id,
                    struct stead_message **message)
{
    struct stead_shard *shard = agent->shard;

    if (stead_host_tells(shard->host, id)) {
        stead_host_trace(shard->host, STEAD_TRACE_WARN,
                         "timer %.*s of %s rings no more: it has ended the process %u times", (int)name.size,
                         (const char *)name.data, agent->address, (unsigned)stead_host_kills(shard->host, id));
        stead_shard_dead_letter(shard, *message, STEAD_EPOISON, stead_error_name(STEAD_EPOISON),
                                stead_error_sentence(STEAD_EPOISON));
    }
    stead_message_destroy(message);
}

/* A timer whose moment has come, or came before. While a run of it waits, what it misses becomes one with that; who
 * wants all of them has them later. */
static void ring(struct stead_agent *agent, uint64_t due_ms, struct stead_slice name, const struct stead_timer_row *row)
{
    struct stead_shard *shard = agent->shard;
    struct stead_id id = stead_timer_id(agent, name);
    bool again = rings_again(row);
    bool waits =
        again && (agent->flags & (STEAD_AGENT_HELD | STEAD_AGENT_UNPARKING)) != 0 && stead_timer_run_waits(agent, id);
    bool missed =
        row->cron.size > 0 && row->catch_up == STEAD_CATCH_UP_NONE && shard->host->now_ms > was_due_ms(row) + MISSED_MS;

    if (!move_timer(agent, name, row, waits && row->cron.size > 0 && row->catch_up == STEAD_CATCH_UP_ALL) || missed)
        return;
    shard->host->stats.timers_fired++;
    if (waits)
        return;
    struct stead_message_parts parts = {.address = stead_agent_address(agent), .op = row->op, .payload = row->args};
    struct stead_message *message = stead_message_create(STEAD_SIGNAL, &parts);
    message->id = occurrence_id(agent, name, due_ms);
    message->slot = message->source_slot = agent->slot;
    if (again && stead_host_sets_aside(shard->host, agent->kind, id))
        silence(agent, name, id, &message);
    else
        run_timer(agent, message, again ? &id : NULL);
}

static void fire_timer(struct stead_agent *agent, uint64_t due_ms, struct stead_slice name)
{
    struct stead_writer value;
    struct stead_timer_row row;

    stead_writer_init(&value);
    stead_shard_dirty(agent->shard, true);
    if (get_row(agent, name, &value, &row) != 0 || row.due_ms != due_ms)
        stead_timers_delete_due(agent->shard, agent->slot, stead_agent_address(agent), due_ms, STEAD_PART_TIMER, name);
    else
        ring(agent, due_ms, name, &row);
    stead_writer_deinit(&value);
}

/* A delayed signal, or a message parked for a kind that is loaded now: its record runs as taken. */
static void fire_record(struct stead_agent *agent, uint64_t due_ms, enum stead_row_part part, uint64_t incarnation,
                        struct stead_slice name)
{
    struct stead_shard *shard = agent->shard;
    struct stead_row_key key;
    struct stead_writer record;
    struct stead_message *message = NULL;

    stead_row_part(&key, agent->slot, stead_agent_address(agent), incarnation, part, name);
    stead_writer_init(&record);
    int code = stead_shard_read(shard, &shard->host->doors, &key, &record);
    if (shard->host->failed != 0) {
        stead_writer_deinit(&record);
        return;
    }
    stead_shard_delete(shard, &key);
    stead_timers_delete_due(shard, agent->slot, stead_agent_address(agent), due_ms, part, name);
    stead_shard_dirty(shard, true);
    size_t head = part == STEAD_PART_DELAYED ? 8 : 0; /* its due time */
    if (code == 0 && record.size < head)
        code = STEAD_ECORRUPT;
    if (code == 0)
        code = shard->host->doors.decode(stead_bytes(record.data + head, record.size - head), &message);
    stead_writer_deinit(&record);
    if (code != 0)
        stead_host_trace(shard->host, STEAD_TRACE_ERROR, "a delayed message of %s is damaged: %s", agent->address,
                         stead_error_name(code));
    if (code == 0 && message->type == STEAD_ANSWER)
        stead_calls_answer(shard, message, true);
    else if (code == 0)
        stead_shard_deliver(shard, message, true);
    if (part == STEAD_PART_DELAYED)
        shard->host->stats.timers_fired++;
}

static void fire(struct stead_agent *agent, const struct stead_row_parsed *due)
{
    struct stead_id id;

    if (due->part == STEAD_PART_MAIL && due->sub.size == 0) {
        stead_shard_has_mail(agent);
    } else if (due->part == STEAD_PART_MAIL && stead_agent_durable(agent)) {
        stead_timers_delete_due(agent->shard, due->slot, due->address, due->due_ms, STEAD_PART_MAIL, due->sub);
        stead_shard_found_mail(agent); /* all of it, in order, and before whatever comes */
    } else if (due->part == STEAD_PART_TIMER) {
        fire_timer(agent, due->due_ms, due->sub);
    } else if (due->part == STEAD_PART_CALL && due->sub.size == sizeof(id.v)) {
        memcpy(id.v, due->sub.data, sizeof(id.v));
        stead_calls_due(agent->shard, agent, id, due->due_ms);
    } else {
        fire_record(agent, due->due_ms, due->part, due->part == STEAD_PART_DELAYED ? agent->incarnation : 0, due->sub);
    }
}

static int visit_mail(void *context, struct stead_slice key, struct stead_slice value)
{
    struct stead_writer *names = context;
    struct stead_row_parsed due;

    (void)value;
    if (stead_row_parse(key, &due) != 0 || due.sub.size != sizeof(uint64_t))
        return 0;
    stead_write_raw(names, due.sub.data, due.sub.size);
    return 0;
}

int stead_timers_find_mail(struct stead_agent *agent, bool *ret_found)
{
    struct stead_shard *shard = agent->shard;
    struct stead_slice address = stead_agent_address(agent);
    struct stead_writer names;
    struct stead_row_key from, to;

    *ret_found = false;
    if (!shard->slot_due[shard->slot_at[agent->slot.v] - 1].mail || STEAD_FAULT(&shard->host->settings, overtake_mail))
        return 0;
    due_key(&from, agent->slot, address, 0, STEAD_PART_MAIL, (struct stead_slice){0});
    to = from;
    STEAD_ASSERT(stead_row_after_prefix(&to)); /* of a class there is always a next one */
    stead_writer_init(&names);
    int code = stead_overlay_scan_merged(shard->overlay, &shard->host->doors, stead_row_slice(&from),
                                         stead_row_slice(&to), false, visit_mail, &names);
    for (size_t at = 0; code == 0 && at < names.size; at += sizeof(uint64_t))
        stead_timers_delete_due(shard, agent->slot, address, 0, STEAD_PART_MAIL,
                                stead_bytes(names.data + at, sizeof(uint64_t)));
    *ret_found = code == 0 && names.size > 0;
    stead_writer_deinit(&names);
    return code;
}

/* ---- A round ----------------------------------------------------------------------------------------------------- */

static struct stead_unreadable *unreadable_at(const struct stead_shard *shard, uint64_t hash)
{
    return &shard->unreadable[(hash >> 32) % UNREADABLE_MAX];
}

static void look_again_at(struct stead_shard *shard, stead_slot slot, uint64_t at_ms)
{
    struct stead_slot_due *due = &shard->slot_due[shard->slot_at[slot.v] - 1];

    if (at_ms < due->again_ms)
        due->again_ms = at_ms;
    stead_timers_look(shard, slot, due->again_ms);
}

void stead_timers_look_again(struct stead_shard *shard, stead_slot slot)
{
    look_again_at(shard, slot, shard->host->now_ms + AGAIN_MS);
}

void stead_timers_unreadable(struct stead_shard *shard, stead_slot slot, uint64_t hash, int code)
{
    uint64_t now_ms = shard->host->now_ms;

    if (shard->unreadable == NULL)
        shard->unreadable = stead_alloc_zero(UNREADABLE_MAX * sizeof(*shard->unreadable));
    struct stead_unreadable *it = unreadable_at(shard, hash);
    bool crowded = it->hash != hash && it->until_ms > now_ms; /* the other one is tried again before its time */
    *it = (struct stead_unreadable){hash, now_ms + (code == STEAD_EIO ? UNREADABLE_IO_MS : UNREADABLE_MS)};
    look_again_at(shard, slot, it->until_ms);
    if (shard->slot_due[shard->slot_at[slot.v] - 1].waits) /* for this one, perhaps */
        stead_timers_look(shard, slot, now_ms + (crowded ? AGAIN_MS : 0));
}

void stead_timers_readable(struct stead_shard *shard, stead_slot slot, uint64_t hash)
{
    struct stead_slot_due *due = &shard->slot_due[shard->slot_at[slot.v] - 1];
    struct stead_unreadable *it = shard->unreadable == NULL ? NULL : unreadable_at(shard, hash);

    if (it != NULL && it->hash == hash && !STEAD_FAULT(&shard->host->settings, overtake_mail)) {
        *it = (struct stead_unreadable){0};
        due->again_ms = shard->host->now_ms;
    } else if (!due->waits) {
        return;
    }
    stead_timers_look(shard, slot, shard->host->now_ms);
}

struct due_scan {
    struct stead_shard *shard;
    struct stead_writer keys; /* (u16 size, key)* of rows to fire */
    uint32_t count;
    uint64_t now_ms;
    uint64_t again_ms;         /* rows of agents that cannot be read are passed over until then; UINT64_MAX: none */
    uint64_t next_ms;          /* due time of the first row that is not among them */
    struct stead_row_key next; /* that row's key, or where the slot's rows end */
    bool starting;             /* a look at all rows, as after a start: agents with mail are among them */
    bool mail;                 /* mail was seen that its agent's head does not tell of */
};

/* Is it of an agent that cannot be read? Then it is passed over for now. */
static bool passes_over(struct due_scan *scan, struct stead_slice address)
{
    uint64_t hash = scan->shard->unreadable == NULL ? 0 : stead_hash(address.data, address.size);
    const struct stead_unreadable *it = scan->shard->unreadable == NULL ? NULL : unreadable_at(scan->shard, hash);

    if (it == NULL || it->hash != hash || it->until_ms <= scan->now_ms ||
        STEAD_FAULT(&scan->shard->host->settings, unreadable_keeps_others))
        return false;
    if (it->until_ms < scan->again_ms)
        scan->again_ms = it->until_ms;
    return true;
}

static const struct stead_kind *kind_of(const struct stead_shard *shard, struct stead_slice address)
{
    const uint8_t *slash = memchr(address.data, '/', address.size);
    return slash == NULL
               ? NULL
               : stead_registry_find(shard->host->registry, (const char *)address.data, (size_t)(slash - address.data));
}

static int visit_due(void *context, struct stead_slice key, struct stead_slice value)
{
    struct due_scan *scan = context;
    struct stead_row_parsed due;
    uint16_t size = (uint16_t)key.size;

    (void)value;
    if (stead_row_parse(key, &due) != 0 || kind_of(scan->shard, due.address) == NULL)
        return 0; /* of a kind that is not loaded here: it waits for a start with that kind */
    bool has_mail = due.part == STEAD_PART_MAIL && due.sub.size == 0;
    scan->mail = scan->mail || (due.part == STEAD_PART_MAIL && !has_mail);
    if (has_mail && !scan->starting)
        return 0;
    if (!has_mail && (due.due_ms > scan->now_ms || scan->count == ROWS_PER_SLOT)) {
        scan->next_ms = due.due_ms;
        scan->next.size = 0;
        stead_row_add(&scan->next, key);
        return 1;
    }
    if (passes_over(scan, due.address))
        return 0;
    stead_write_raw(&scan->keys, &size, sizeof(size));
    stead_write_raw(&scan->keys, key.data, key.size);
    scan->count += !has_mail;
    return 0;
}

/* Before the rows of a slot are visited. Returns where they begin and, in `scan->next`, end. */
static struct stead_row_key begin_slot(struct due_scan *scan, stead_slot slot)
{
    struct stead_row_key first;

    stead_writer_reset(&scan->keys);
    scan->count = 0;
    scan->next_ms = UINT64_MAX;
    stead_row_begin(&first, slot, STEAD_ROW_TIMER_DUE);
    scan->next = first;
    STEAD_ASSERT(stead_row_after_prefix(&scan->next)); /* of a class there is always a next one */
    return first;
}

/* The slot's rows from `from` on; empty: all of them. STEAD_EIO, STEAD_ECORRUPT: not all were seen. */
static int scan_slot(struct due_scan *scan, stead_slot slot, struct stead_slice from)
{
    stead_writer_init(&scan->keys);
    struct stead_row_key first = begin_slot(scan, slot), to = scan->next;
    int code = stead_overlay_scan_merged(scan->shard->overlay, &scan->shard->host->doors,
                                         from.size > 0 ? from : stead_row_slice(&first), stead_row_slice(&to), false,
                                         visit_due, scan);
    return code < 0 ? code : 0;
}

/* Fires one due row, if its agent is in memory; else sets its load going. False: look again when it is there. An agent
 * that cannot be read is passed over. */
static bool fire_row(struct due_scan *scan, struct stead_slice key)
{
    struct stead_shard *shard = scan->shard;
    struct stead_row_parsed due;

    if (stead_row_parse(key, &due) != 0)
        return true;
    if (passes_over(scan, due.address)) /* a row before has found out */
        return true;
    const struct stead_kind *kind = kind_of(shard, due.address);
    uint64_t hash = stead_hash(due.address.data, due.address.size);
    struct stead_agent *agent = stead_agent_find(shard, due.address, hash);
    if (agent == NULL)
        agent = stead_agent_activate(shard, kind, due.address, hash, due.slot);
    if (agent == NULL && !STEAD_FAULT(&shard->host->settings, unreadable_keeps_others))
        (void)passes_over(scan, due.address);
    else if (agent == NULL || agent->phase != STEAD_AGENT_READY)
        return false;
    else
        fire(agent, &due);
    return true;
}

static void run_slot(struct stead_shard *shard, uint32_t at)
{
    struct stead_slot_due *due = &shard->slot_due[at];
    struct due_scan scan = {.shard = shard, .now_ms = shard->host->now_ms, .again_ms = UINT64_MAX};

    scan.starting = due->first_ms == LOOK_AT_START || due->again_ms <= scan.now_ms;
    if (scan_slot(&scan, shard->slots[at], scan.starting ? (struct stead_slice){0} : stead_written(&due->from)) != 0) {
        due->first_ms = scan.now_ms + AGAIN_MS; /* none is missed: what this look was to see, the next one is */
        if (scan.starting)
            due->again_ms = due->first_ms;
        stead_writer_deinit(&scan.keys);
        return;
    }
    if (scan.starting)
        due->again_ms = UINT64_MAX;
    due->first_ms = scan.next_ms; /* firing may set earlier ones: they lower it again, and `from` too */
    look_from(due, stead_row_slice(&scan.next));
    due->waits = false;
    for (size_t i = 0; i < scan.keys.size;) {
        uint16_t size = stead_load16(scan.keys.data + i);
        struct stead_slice key = {scan.keys.data + i + 2, size};
        if (!fire_row(&scan, key)) {
            look_at_row(due, key);
            due->waits = true;
        }
        i += 2u + size;
    }
    if (scan.again_ms < due->again_ms)
        due->again_ms = scan.again_ms;
    if (due->again_ms < due->first_ms)
        due->first_ms = due->again_ms;
    if (scan.starting && !scan.mail)
        due->mail = false;
    if (scan.starting && due->first_ms == LOOK_AT_START)
        due->again_ms = scan.now_ms; /* not all that a start looks at was seen: whatever looks next goes on with that */
    if (due->waits && (due->first_ms <= scan.now_ms || due->first_ms > scan.now_ms + AGAIN_MS))
        due->first_ms = scan.now_ms + AGAIN_MS; /* the end of a load looks sooner */
    stead_writer_deinit(&scan.keys);
}

bool stead_timers_run(struct stead_shard *shard, uint64_t *ret_next_ms)
{
    uint64_t now_ms = shard->host->now_ms, least = UINT64_MAX;

    stead_vtimers_run(shard, now_ms);
    if (shard->due_ms <= now_ms) {
        shard->due_ms = UINT64_MAX;
        for (uint32_t i = 0; i < shard->slot_count; i++) {
            if (shard->slot_due[i].first_ms <= now_ms)
                run_slot(shard, i);
            if (shard->slot_due[i].first_ms < least)
                least = shard->slot_due[i].first_ms;
        }
        if (least < shard->due_ms)
            shard->due_ms = least;
    }
    *ret_next_ms = shard->due_ms;
    if (shard->vtimer_count > 0 && shard->vtimers[0]->due_ms < *ret_next_ms)
        *ret_next_ms = shard->vtimers[0]->due_ms;
    return *ret_next_ms <= now_ms;
}

/* The first look: one walk over all slots, since most have nothing due. (A walk for each of them would read, each time
 * anew, what lies behind its empty range, and that may be a large value.) */
struct recovery {
    struct due_scan scan; /* first: visit_due() gets this struct */
    uint32_t begun;       /* slots that the walk has come to */
    uint32_t noted;       /* of them: what was seen of them is noted */
    struct stead_row_key from, to;
};

static void note_slot(struct stead_shard *shard, uint32_t at, uint64_t due_ms, bool mail)
{
    struct stead_slot_due *due = &shard->slot_due[at];

    if (STEAD_FAULT(&shard->host->settings, lose_timer) && due_ms <= shard->host->now_ms)
        due_ms = UINT64_MAX;
    due->first_ms = due_ms;
    due->mail = mail;
    if (due_ms < shard->due_ms)
        shard->due_ms = due_ms;
}

static bool next_slot(void *context, struct stead_slice *ret_from, struct stead_slice *ret_to)
{
    struct recovery *it = context;
    struct stead_shard *shard = it->scan.shard;

    if (it->begun > it->noted)
        note_slot(shard, it->noted++, it->scan.keys.size > 0 ? LOOK_AT_START : it->scan.next_ms, it->scan.mail);
    if (it->begun == shard->slot_count)
        return false;
    it->from = begin_slot(&it->scan, shard->slots[it->begun++]);
    it->to = it->scan.next;
    it->scan.mail = false;
    *ret_from = stead_row_slice(&it->from);
    *ret_to = stead_row_slice(&it->to);
    return true;
}

void stead_timers_recover(struct stead_shard *shard)
{
    struct recovery it = {.scan = {.shard = shard, .now_ms = 0, .starting = true}};

    stead_writer_init(&it.scan.keys);
    (void)stead_overlay_scan_ranges(shard->overlay, &shard->host->doors, next_slot, visit_due, &it);
    while (it.noted < shard->slot_count) /* the walk did not come so far: the first round looks */
        note_slot(shard, it.noted++, LOOK_AT_START, true);
    stead_writer_deinit(&it.scan.keys);
}
