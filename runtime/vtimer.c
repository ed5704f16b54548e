/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vtimer: timers of volatile agents and deadlines of their calls: a binary heap by (due time, order of setting), in
 * memory only. Each timer knows its place in the heap, so that it can be taken out, and its agent, which lists its own.
 */
#include "runtime/shard.h"

static bool before(const struct stead_vtimer *a, const struct stead_vtimer *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->order < b->order;
}

static void place(struct stead_shard *shard, uint32_t at, struct stead_vtimer *timer)
{
    shard->vtimers[at] = timer;
    timer->heap_at = at;
}

static void sift_up(struct stead_shard *shard, uint32_t at)
{
    struct stead_vtimer *timer = shard->vtimers[at];

    while (at > 0 && before(timer, shard->vtimers[(at - 1) / 2])) {
        place(shard, at, shard->vtimers[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(shard, at, timer);
}

static void sift_down(struct stead_shard *shard, uint32_t at)
{
    struct stead_vtimer *timer = shard->vtimers[at];

    for (;;) {
        uint32_t child = at * 2 + 1;
        if (child >= shard->vtimer_count)
            break;
        if (child + 1 < shard->vtimer_count && before(shard->vtimers[child + 1], shard->vtimers[child]))
            child++;
        if (!before(shard->vtimers[child], timer))
            break;
        place(shard, at, shard->vtimers[child]);
        at = child;
    }
    place(shard, at, timer);
}

static void heap_add(struct stead_shard *shard, struct stead_vtimer *timer)
{
    if (shard->vtimer_count == shard->vtimer_capacity) {
        shard->vtimer_capacity = shard->vtimer_capacity == 0 ? 16 : shard->vtimer_capacity * 2;
        shard->vtimers = stead_realloc(shard->vtimers, shard->vtimer_capacity * sizeof(struct stead_vtimer *));
    }
    timer->order = ++shard->vtimer_order;
    place(shard, shard->vtimer_count++, timer);
    sift_up(shard, timer->heap_at);
}

static void heap_remove(struct stead_shard *shard, struct stead_vtimer *timer)
{
    uint32_t at = timer->heap_at;
    struct stead_vtimer *last = shard->vtimers[--shard->vtimer_count];

    if (last == timer)
        return;
    place(shard, at, last);
    sift_up(shard, at);
    sift_down(shard, last->heap_at);
}

/* Out of the heap and its agent's list, and freed. */
static void drop(struct stead_agent *agent, struct stead_vtimer *timer)
{
    struct stead_vtimer **link = &agent->wait->timers;

    while (*link != timer)
        link = &(*link)->agent_next;
    *link = timer->agent_next;
    heap_remove(agent->shard, timer);
    free(timer->name);
    free(timer->op);
    free(timer->zone);
    free(timer->args);
    free(timer);
}

static struct stead_vtimer *find(const struct stead_agent *agent, const char *name)
{
    for (struct stead_vtimer *timer = agent->wait == NULL ? NULL : agent->wait->timers; timer != NULL;
         timer = timer->agent_next)
        if (timer->name != NULL && strcmp(timer->name, name) == 0)
            return timer;
    return NULL;
}

static struct stead_vtimer *add(struct stead_agent *agent, uint64_t due_ms)
{
    struct stead_agent_wait *wait = stead_agent_need_wait(agent);
    struct stead_vtimer *timer = stead_alloc_zero(sizeof(*timer));

    timer->agent = agent;
    timer->due_ms = due_ms;
    timer->agent_next = wait->timers;
    wait->timers = timer;
    heap_add(agent->shard, timer);
    return timer;
}

void stead_vtimer_set(struct stead_agent *agent, const struct stead_timer_request *request)
{
    struct stead_vtimer *timer = find(agent, request->name);

    if (timer != NULL)
        drop(agent, timer);
    if (request->op == NULL) {
        stead_agent_tidy_wait(agent);
        return;
    }
    timer = add(agent, request->due_ms);
    timer->period_ms = request->period_ms;
    timer->name = stead_text_copy(request->name);
    timer->op = stead_text_copy(request->op);
    timer->zone = request->zone == NULL ? NULL : stead_text_copy(request->zone);
    timer->has_cron = request->cron != NULL && stead_cron_parse(request->cron, &timer->cron) == 0;
    timer->args_size = (uint32_t)request->args.size;
    timer->args = stead_alloc(request->args.size + 1);
    if (request->args.size > 0)
        memcpy(timer->args, request->args.data, request->args.size);
}

void stead_vtimer_deadline(struct stead_agent *agent, struct stead_id call, uint64_t due_ms)
{
    add(agent, due_ms)->call = call;
}

void stead_vtimer_cancel_call(struct stead_agent *agent, struct stead_id call)
{
    struct stead_vtimer *timer = agent->wait == NULL ? NULL : agent->wait->timers;

    while (timer != NULL && !(timer->name == NULL && stead_id_equal(timer->call, call)))
        timer = timer->agent_next;
    if (timer == NULL)
        return;
    drop(agent, timer);
    stead_agent_tidy_wait(agent);
}

void stead_vtimers_drop(struct stead_agent *agent)
{
    while (agent->wait != NULL && agent->wait->timers != NULL) {
        struct stead_vtimer *timer = agent->wait->timers;
        struct stead_id call = timer->call;
        bool deadline = timer->name == NULL;
        drop(agent, timer);
        if (deadline)
            stead_calls_forget_volatile(agent->shard, call);
    }
}

/* When a periodic timer is due again; 0: it is not periodic. */
static uint64_t next_due(struct stead_shard *shard, const struct stead_vtimer *timer, uint64_t now_ms)
{
    const struct stead_doors *doors = &shard->host->doors;
    struct stead_writer tzif;
    int64_t next_ms = 0;

    if (timer->period_ms > 0) {
        uint64_t period = (uint64_t)timer->period_ms;
        return timer->due_ms + ((now_ms - timer->due_ms) / period + 1) * period;
    }
    if (!timer->has_cron)
        return 0;
    stead_writer_init(&tzif);
    int code = timer->zone == NULL ? 0 : doors->zone(doors->self, timer->zone, &tzif);
    if (code != 0 || stead_cron_next(&timer->cron, stead_written(&tzif), (int64_t)now_ms, &next_ms) != 0)
        next_ms = 0;
    stead_writer_deinit(&tzif);
    return (uint64_t)next_ms;
}

/* Its run waits in the mailbox: further ones become one with it. The block of one that has run may be another message's
 * by now, but not that of another run of this timer: of that it would know. */
static bool run_waits(const struct stead_agent *agent, struct stead_id id, const struct stead_vtimer *timer)
{
    const struct stead_message *message = agent->wait->mailbox.head;

    while (message != NULL && message != timer->run)
        message = message->next;
    return message != NULL && stead_message_of_timer(message) && stead_id_equal(message->id, id);
}

/* It has ended the process too often: its op is not run any more. */
static bool is_silenced(struct stead_agent *agent, struct stead_id id, const struct stead_message *message)
{
    struct stead_host *host = agent->shard->host;

    if (!stead_host_sets_aside(host, agent->kind, id))
        return false;
    if (stead_host_tells(host, id))
        stead_host_trace(host, STEAD_TRACE_WARN,
                         "the timer of %s that runs %s rings no more: it has ended the process %u times",
                         agent->address, message->op, (unsigned)stead_host_kills(host, id));
    return true;
}

/* Runs the op, or lets it wait. `id`: the timer's; `timer`: it rings again; NULL: it does not. */
static void run(struct stead_agent *agent, struct stead_id id, struct stead_vtimer *timer,
                struct stead_message *message)
{
    struct stead_turn_input input = {
        .cause = STEAD_CAUSE_TIMER, .args = stead_message_payload(message), .known_as = &id};
    bool waits =
        !is_silenced(agent, id, message) && ((agent->flags & (STEAD_AGENT_HELD | STEAD_AGENT_UNPARKING)) != 0 ||
                                             stead_turn_run(agent, message, &input) == STEAD_TURN_DEFERRED);

    if (waits && (timer == NULL || !run_waits(agent, id, timer))) {
        if (timer != NULL)
            timer->run = message;
        message->id = id; /* by which it is known, as when it rings */
        stead_timer_run_stamp(agent, message);
        stead_shard_let_wait(agent, message, false);
        return;
    }
    stead_message_destroy(&message);
    stead_agent_tidy_wait(agent);
}

static void fire(struct stead_shard *shard, struct stead_vtimer *timer, uint64_t now_ms)
{
    struct stead_agent *agent = timer->agent;
    struct stead_message_parts parts = {.address = stead_agent_address(agent),
                                        .op = stead_str(timer->op),
                                        .payload = stead_bytes(timer->args, timer->args_size)};
    struct stead_message *message = stead_message_create(STEAD_SIGNAL, &parts);
    uint64_t next_ms = next_due(shard, timer, now_ms);
    struct stead_id id = stead_timer_id(agent, stead_str(timer->name));

    message->id = stead_host_new_id(shard->host);
    message->slot = message->source_slot = agent->slot;
    if (next_ms != 0) { /* before the op, which may set or cancel it */
        heap_remove(shard, timer);
        timer->due_ms = next_ms;
        heap_add(shard, timer);
    } else {
        drop(agent, timer);
    }
    shard->host->stats.timers_fired++;
    run(agent, id, next_ms != 0 ? timer : NULL, message);
}

void stead_vtimers_run(struct stead_shard *shard, uint64_t now_ms)
{
    uint32_t budget = shard->vtimer_count; /* one that is due again at once waits for the next round */

    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was freed has left the heap, whose order it does not know */
    while (budget-- > 0 && shard->vtimer_count > 0 && shard->vtimers[0]->due_ms <= now_ms) {
        struct stead_vtimer *timer = shard->vtimers[0];
        if (timer->name == NULL) {
            struct stead_agent *agent = timer->agent;
            struct stead_id call = timer->call;
            drop(agent, timer);
            stead_calls_due_volatile(shard, agent, call);
        } else {
            fire(shard, timer, now_ms);
        }
    }
}
