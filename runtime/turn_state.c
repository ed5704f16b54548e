/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turn_state: what a turn does to its own agent: events, keyed state, timers, its life and its lock; and what it finds
 * on its reactor.
 *
 * Keyed writes go into a small overlay of the turn, over the shard's overlay, over the image: so a turn reads its own
 * writes, and a failed turn drops them in one go. The rest is collected in lists and committed by turn.c.
 */
#include "runtime/address.h"
#include "runtime/shard.h"
#include "stead/fiber.h"
#include "stead/orchestration.h"

/* ---- Events ------------------------------------------------------------------------------------------ */

int stead_emit(struct stead_turn *turn, const char *event, struct stead_slice value)
{
    const struct stead_kind *kind = turn->agent->kind;
    size_t name_size = strlen(event);

    if (kind->apply == NULL || turn->agent->state == NULL)
        return stead_turn_break(turn, STEAD_ESTATE);
    if (name_size == 0 || name_size > STEAD_OP_NAME_MAX || stead_value_check(value) != 0)
        return stead_turn_break(turn, STEAD_EARGUMENT);
    int code = stead_turn_count(turn, value.size + name_size);
    if (code != 0)
        return code;
    struct stead_turn_event *it = stead_turn_alloc(turn, sizeof(*it));
    char *name = stead_turn_alloc(turn, name_size + 1);
    memcpy(name, event, name_size + 1);
    uint8_t *bytes = stead_turn_alloc(turn, value.size + 1);
    if (value.size > 0)
        memcpy(bytes, value.data, value.size);
    it->name = name;
    it->value = stead_bytes(bytes, value.size);
    if (turn->events_tail != NULL)
        turn->events_tail->next = it;
    else
        turn->events = it;
    turn->events_tail = it;
    turn->event_count++;
    code = kind->apply(turn->agent->state, it->name, it->value);
    return code == 0 ? 0 : stead_turn_break(turn, code < 0 ? code : STEAD_EFAILED);
}

/* ---- Keyed state ---------------------------------------------------------------------------------------- */

static void keyed_row(const struct stead_turn *turn, struct stead_row_key *row, struct stead_slice key)
{
    const struct stead_agent *agent = turn->agent;
    stead_row_part(row, agent->slot, stead_agent_address(agent), agent->incarnation, STEAD_PART_KV, key);
}

static int keyed_check(const struct stead_turn *turn, struct stead_slice key)
{
    if (!stead_agent_durable(turn->agent))
        return STEAD_ESTATE; /* a volatile kind keeps its state in its struct */
    if (key.size == 0)
        return STEAD_EARGUMENT;
    return key.size > turn->shard->host->settings.kv_key_bytes_max ? STEAD_ETOOLARGE : 0;
}

static struct stead_overlay *need_keyed(struct stead_turn *turn)
{
    if (turn->kv == NULL)
        turn->kv = stead_overlay_create();
    return turn->kv;
}

static int put_keyed(struct stead_turn *turn, struct stead_slice key, struct stead_slice value, bool fresh)
{
    struct stead_row_key row;
    int code = keyed_check(turn, key);

    if (code == 0 && value.size > turn->shard->host->settings.kv_value_bytes_max)
        code = STEAD_ETOOLARGE;
    if (code == 0)
        code = stead_turn_count(turn, key.size + value.size);
    if (code != 0)
        return code;
    keyed_row(turn, &row, key);
    stead_overlay_put(need_keyed(turn), 1, stead_row_slice(&row), value, fresh);
    return 0;
}

int stead_kv_put(struct stead_turn *turn, struct stead_slice key, struct stead_slice value)
{
    return put_keyed(turn, key, value, false);
}

int stead_kv_put_once(struct stead_turn *turn, struct stead_slice key, struct stead_slice value)
{
    return put_keyed(turn, key, value, true);
}

/* A read has failed. */
static int fail_read(struct stead_turn *turn, int code)
{
    return (turn->agent->kind->flags & STEAD_KIND_TAKES_UNREAD) != 0 ? code : stead_turn_break(turn, code);
}

int stead_kv_get(struct stead_turn *turn, struct stead_slice key, struct stead_slice *ret_value)
{
    struct stead_row_key row;
    struct stead_slice found;
    struct stead_writer value;
    int code = keyed_check(turn, key);

    if (code != 0)
        return code;
    keyed_row(turn, &row, key);
    enum stead_overlay_found own =
        turn->kv == NULL ? STEAD_OVERLAY_ABSENT : stead_overlay_get(turn->kv, stead_row_slice(&row), &found, NULL);
    if (own == STEAD_OVERLAY_DELETED)
        return STEAD_ENOTFOUND;
    stead_writer_init(&value);
    if (own == STEAD_OVERLAY_ROW)
        stead_write_raw(&value, found.data, found.size);
    else
        code = stead_overlay_get_merged(turn->shard->overlay, stead_agent_image(turn->agent), stead_row_slice(&row),
                                        &value);
    if (code == 0) {
        uint8_t *copy = stead_turn_alloc(turn, value.size + 1);
        if (value.size > 0)
            memcpy(copy, value.data, value.size);
        *ret_value = stead_bytes(copy, value.size);
    }
    stead_writer_deinit(&value);
    return code == 0 || code == STEAD_ENOTFOUND ? code : fail_read(turn, code);
}

int stead_kv_delete(struct stead_turn *turn, struct stead_slice key)
{
    struct stead_row_key row;
    int code = keyed_check(turn, key);

    if (code == 0)
        code = stead_turn_count(turn, key.size);
    if (code != 0)
        return code;
    keyed_row(turn, &row, key);
    stead_overlay_delete(need_keyed(turn), 1, stead_row_slice(&row));
    return 0;
}

/* A scan over three layers: the turn's own writes, the shard's overlay, the image. The lower two are merged by
 * stead_overlay_scan_merged(); this merges the turn's writes over those, row by row: before each row from below, the
 * turn's rows up to it. */
struct keyed_scan {
    struct stead_turn *turn;
    struct stead_row_key next; /* where the turn's own rows go on */
    struct stead_slice to;
    size_t prefix_size; /* bytes of the row key before the agent's key */
    uint32_t left;      /* of the limit */
    stead_kv_visit_fn *visit;
    void *context;
    struct stead_slice below; /* while flushing: the row from below, or empty at the end */
    bool covered;             /* the turn has a row (or a tombstone) of the key from below */
    bool stopped;
};

static int show_row(struct keyed_scan *scan, struct stead_slice key, struct stead_slice value)
{
    struct stead_slice user = {key.data + scan->prefix_size, key.size - scan->prefix_size};

    if (scan->left == 0 || scan->visit(scan->context, user, value) != 0) {
        scan->stopped = true;
        return 1;
    }
    scan->left--;
    return 0;
}

static int own_row(void *context, struct stead_slice key, struct stead_slice value, bool deleted)
{
    struct keyed_scan *scan = context;

    if (scan->below.size > 0 && stead_slice_equal(key, scan->below))
        scan->covered = true;
    return deleted ? 0 : show_row(scan, key, value);
}

/* Shows the turn's own rows from `next` up to and including `below`, or up to the end. */
static void flush_own(struct keyed_scan *scan, struct stead_slice below)
{
    struct stead_row_key end;
    struct stead_slice until = scan->to;

    scan->below = below;
    scan->covered = false;
    if (scan->turn->kv == NULL)
        return;
    if (below.size > 0) {
        end.size = (uint16_t)below.size;
        memcpy(end.data, below.data, below.size);
        stead_row_add_u8(&end, 0); /* the least key after it */
        until = stead_row_slice(&end);
    }
    stead_overlay_scan(scan->turn->kv, stead_row_slice(&scan->next), until, false, own_row, scan);
    if (below.size > 0)
        scan->next = end;
}

static int row_below(void *context, struct stead_slice key, struct stead_slice value)
{
    struct keyed_scan *scan = context;

    flush_own(scan, key);
    if (scan->stopped)
        return 1;
    return scan->covered ? 0 : show_row(scan, key, value);
}

int stead_kv_scan(struct stead_turn *turn, struct stead_slice from, struct stead_slice to, uint32_t limit,
                  stead_kv_visit_fn *visit, void *context)
{
    struct keyed_scan scan = {.turn = turn, .left = limit, .visit = visit, .context = context};
    struct stead_row_key end, prefix;
    size_t key_max = turn->shard->host->settings.kv_key_bytes_max;

    if (!stead_agent_durable(turn->agent))
        return STEAD_ESTATE;
    if (from.size > key_max || to.size > key_max)
        return STEAD_ETOOLARGE;
    keyed_row(turn, &prefix, (struct stead_slice){0});
    scan.prefix_size = prefix.size;
    keyed_row(turn, &scan.next, from);
    keyed_row(turn, &end, to);
    if (to.size == 0 && !stead_row_after_prefix(&end))
        return STEAD_EINTERNAL;
    scan.to = stead_row_slice(&end);
    struct stead_row_key start = scan.next;
    int code = stead_overlay_scan_merged(turn->shard->overlay, stead_agent_image(turn->agent), stead_row_slice(&start),
                                         scan.to, false, row_below, &scan);
    if (code < 0)
        return fail_read(turn, code);
    if (!scan.stopped)
        flush_own(&scan, (struct stead_slice){0});
    return 0;
}

struct collected_keys {
    struct stead_turn *turn;
    struct stead_writer keys; /* (u16 size, key)* */
    uint32_t count;
};

static int collect_key(void *context, struct stead_slice key, struct stead_slice value)
{
    struct collected_keys *it = context;
    uint16_t size = (uint16_t)key.size;

    (void)value;
    stead_write_raw(&it->keys, &size, sizeof(size));
    stead_write_raw(&it->keys, key.data, key.size);
    it->count++;
    return 0;
}

int stead_kv_delete_range(struct stead_turn *turn, struct stead_slice from, struct stead_slice to, uint32_t limit,
                          uint32_t *ret_count)
{
    struct collected_keys it = {.turn = turn};

    stead_writer_init(&it.keys);
    int code = stead_kv_scan(turn, from, to, limit, collect_key, &it);
    for (size_t at = 0; code == 0 && at < it.keys.size;) {
        uint16_t size = stead_load16(it.keys.data + at);
        code = stead_kv_delete(turn, stead_bytes(it.keys.data + at + 2, size));
        at += 2u + size;
    }
    stead_writer_deinit(&it.keys);
    if (code == 0 && ret_count != NULL)
        *ret_count = it.count;
    return code;
}

/* ---- Timers --------------------------------------------------------------------------------------------- */

static int add_timer(struct stead_turn *turn, const struct stead_timer_request *request)
{
    struct stead_slice name = stead_str(request->name);

    if (name.size == 0 || name.size > STEAD_TIMER_NAME_MAX)
        return STEAD_EARGUMENT;
    if (request->op != NULL &&
        stead_registry_op(turn->shard->host->registry, turn->agent->kind, request->op, strlen(request->op)) == NULL)
        return STEAD_EOP;
    if (request->args.size > turn->shard->host->settings.payload_bytes_max)
        return STEAD_ETOOLARGE;
    if (stead_value_check(request->args) != 0)
        return STEAD_EARGUMENT;
    int code = turn->quiet ? stead_turn_count_volatile(turn, request->args.size + name.size)
                           : stead_turn_count(turn, request->args.size + name.size);
    if (code != 0)
        return code;
    struct stead_timer_request *it = stead_turn_alloc(turn, sizeof(*it));
    *it = *request;
    it->next = NULL;
    it->name = stead_printed(turn, "%s", request->name);
    it->op = request->op == NULL ? NULL : stead_printed(turn, "%s", request->op);
    it->cron = request->cron == NULL ? NULL : stead_printed(turn, "%s", request->cron);
    it->zone = request->zone == NULL ? NULL : stead_printed(turn, "%s", request->zone);
    uint8_t *args = stead_turn_alloc(turn, request->args.size + 1);
    if (request->args.size > 0)
        memcpy(args, request->args.data, request->args.size);
    it->args = stead_bytes(args, request->args.size);
    if (turn->timers_tail != NULL)
        turn->timers_tail->next = it;
    else
        turn->timers = it;
    turn->timers_tail = it;
    return 0;
}

/* The moment after a delay that is not negative; the end of all time when it lies behind that. */
static uint64_t due_after(const struct stead_turn *turn, int64_t delay_ms)
{
    uint64_t now_ms = turn->shard->host->now_ms, delay = (uint64_t)delay_ms;

    return delay < INT64_MAX - now_ms ? now_ms + delay : INT64_MAX;
}

int stead_timer_after(struct stead_turn *turn, const char *name, int64_t delay_ms, const char *op,
                      struct stead_slice args)
{
    if (delay_ms < 0 || op == NULL)
        return STEAD_EARGUMENT;
    struct stead_timer_request request = {.name = name, .op = op, .args = args, .due_ms = due_after(turn, delay_ms)};
    return add_timer(turn, &request);
}

int stead_timer_every(struct stead_turn *turn, const char *name, int64_t period_ms, const char *op,
                      struct stead_slice args)
{
    if (period_ms < 1 || op == NULL)
        return STEAD_EARGUMENT;
    struct stead_timer_request request = {
        .name = name, .op = op, .args = args, .due_ms = due_after(turn, period_ms), .period_ms = period_ms};
    return add_timer(turn, &request);
}

int stead_timer_cron(struct stead_turn *turn, const char *name, const struct stead_cron *cron, const char *op,
                     struct stead_slice args)
{
    struct stead_timer_request request = {
        .name = name, .op = op, .args = args, .cron = cron->schedule, .zone = cron->zone, .catch_up = cron->catch_up};

    if (op == NULL || cron->schedule == NULL || strlen(cron->schedule) > STEAD_CRON_SIZE_MAX ||
        (cron->zone != NULL && strlen(cron->zone) > STEAD_ZONE_SIZE_MAX))
        return STEAD_EARGUMENT;
    int code =
        stead_timers_cron_next(turn->shard, cron->schedule, cron->zone, turn->shard->host->now_ms, &request.due_ms);
    return code != 0 ? code : add_timer(turn, &request);
}

int stead_timer_cancel(struct stead_turn *turn, const char *name)
{
    struct stead_timer_request request = {.name = name};
    int code = stead_timers_exists(turn->agent, name, turn->quiet || !stead_agent_durable(turn->agent));

    for (const struct stead_timer_request *it = turn->timers; it != NULL; it = it->next)
        if (strcmp(it->name, name) == 0)
            code = it->op != NULL ? 0 : STEAD_ENOTFOUND;
    if (code != 0)
        return code == STEAD_ENOTFOUND ? code : stead_turn_break(turn, code);
    return add_timer(turn, &request);
}

/* ---- Lifecycle and locks ---------------------------------------------------------------------------------- */

int stead_destroy(struct stead_turn *turn)
{
    int code = stead_turn_count(turn, 0);

    if (code == 0)
        turn->destroyed = true;
    return code;
}

int stead_hold(struct stead_turn *turn, const char *holder, uint64_t *ret_fence)
{
    struct stead_agent *agent = turn->agent;
    size_t kind_size;

    if (stead_address_check(stead_str(holder), &kind_size) != 0)
        return STEAD_EADDRESS;
    bool held = (agent->flags & STEAD_AGENT_HELD) && !turn->release;
    if (turn->hold || (held && strcmp(agent->wait->holder, holder) != 0))
        return STEAD_ELOCKED;
    int code = stead_turn_count(turn, strlen(holder));
    if (code != 0)
        return code;
    turn->hold = true;
    turn->holder = stead_printed(turn, "%s", holder);
    turn->new_fence = agent->fence + 1;
    *ret_fence = turn->new_fence;
    return 0;
}

int stead_release(struct stead_turn *turn, uint64_t fence)
{
    struct stead_agent *agent = turn->agent;

    if (!(agent->flags & STEAD_AGENT_HELD) || fence != agent->fence || turn->release)
        return STEAD_ESTATE;
    int code = stead_turn_count(turn, 0);
    if (code == 0)
        turn->release = true;
    return code;
}

int stead_defer(struct stead_turn *turn)
{
    if (turn->message->type != STEAD_SIGNAL && turn->message->type != STEAD_CALL && turn->message->type != STEAD_TELL)
        return stead_turn_break(turn, STEAD_ESTATE);
    turn->deferred = true;
    return 0;
}

void stead_pause(struct stead_turn *turn)
{
    turn->shard->paused = true;
    turn->goes_on = true;
}

void stead_carry(struct stead_turn *turn, size_t bytes)
{
    stead_agent_carry(turn->agent, bytes);
}

/* ---- What runs orchestrations ------------------------------------------------------------------------ */

struct stead_fibers *stead_turn_fibers(struct stead_turn *turn)
{
    struct stead_host *host = turn->shard->host;

    if (host->fibers == NULL)
        host->fibers = stead_fibers_create(host->settings.fiber_stacks_max);
    return host->fibers;
}

const struct stead_orchestrator *stead_orchestrator_find(const struct stead_turn *turn, const char *name,
                                                         uint32_t version)
{
    return stead_registry_orchestrator(turn->shard->host->registry, name, strlen(name), version);
}
