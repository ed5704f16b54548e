/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_core: what a client has asked and not been told yet.
 *
 * A request is a cell of an array, named by its index (an item). Four structures know it: the session finds it by its
 * number when an answer comes, the due queue by time when none does, the peers' lists by connection when one opens or
 * breaks, and the free list when it is over. Each costs a few loads, so nothing ever walks over all requests but a new
 * table or a client that gives up.
 *
 * What may be said to the user rests on one count: `unanswered`, the sends of a request that no refusal has come back
 * for. A refusal (busy, not_owner, unavailable, session_expired) promises that this send did nothing. So at the
 * deadline a request with unanswered == 0 was not executed and completes with what it was refused with, or unavailable;
 * one with unanswered > 0 may have been, and completes with timeout. For the same reason a request goes over to a new
 * session only when its sole send was refused by the old one.
 *
 * Requests to one agent are taken in their order (client_order.h). What was refused for the time being waits, and with
 * it all that was submitted behind it to the same agent: when the time of one of them has come, they go together.
 *
 * Invariants: C1 an item in use is in one peer's list, in the due queue and in flight in its session. C2 a number is
 * sent only while it is above its session's mark. C3 an item is out of all of these before its completion runs, so the
 * completion may submit.
 */
#include "runtime/client_core.h"

#include <stdlib.h>

#include "runtime/base.h"
#include "runtime/client_order.h"
#include "runtime/client_peer.h"
#include "runtime/client_request.h"
#include "runtime/client_route.h"
#include "runtime/client_session.h"
#include "runtime/due_queue.h"

#define MS_NS 1000000ull
#define TIMEOUT_MS_DEFAULT 30000u
#define RETRY_MS_DEFAULT 1000u
#define RETRY_DOUBLINGS_MAX 3u
#define IN_FLIGHT_DEFAULT 8192u /* fewer than a mailbox holds: see docs/CLIENT.md, "Order" */
#define ENDED_ABOVE_DEFAULT 256u
#define TELLS_WAITING_MAX 16384u
#define REFRESH_NS (50 * MS_NS)

struct request {
    struct stead_message *message;        /* owned; NULL: the cell is free */
    struct stead_client_session *session; /* whose number it has */
    void *context;                        /* the caller's */
    uint64_t serial;                      /* of its submission, from 1 */
    uint64_t deadline_ns;                 /* monotonic, as the next */
    uint64_t resend_ns;                   /* when it goes again */
    uint32_t unanswered;                  /* sends without a refusal */
    uint32_t node;                        /* queries to a node: which; 0: any */
    uint32_t free_next;                   /* free cells: the next one + 1 */
    int32_t refused;    /* the code of the refusal that it waits after, or one before it to its agent; 0: it does not */
    int32_t refusal;    /* the code of its last refusal; 0: none */
    uint16_t kind_size; /* bytes of the kind's name in the address */
    uint8_t sends;      /* saturating, as the next */
    uint8_t refusals;   /* in a row */
    bool moved;         /* it has changed its session once */
    bool anywhere;      /* other nodes may serve it as well */
    bool fail_fast;     /* as asked for */
};

struct stead_client_core {
    struct stead_client_core_options options; /* without zeroes */
    struct stead_rng rng;
    uint64_t now_ns, wall_ms;           /* of this round */
    uint64_t refreshed_ns;              /* when the table was last asked for; 0: never */
    uint64_t serial;                    /* of the last submission */
    bool closing;                       /* takes no more */
    struct stead_client_routes *routes; /* by `table`; NULL before the first */
    struct stead_table *table;          /* held */
    uint32_t *place_peer;               /* by place: index of the peer */
    struct stead_client_peers peers;
    struct stead_client_order order; /* of signals and calls, by item */
    struct stead_client_sessions sessions;
    struct request *requests;   /* by item */
    uint32_t request_count;     /* cells ever used */
    uint32_t request_capacity;  /* cells allocated */
    uint32_t request_free;      /* first free cell + 1; 0: none */
    uint32_t in_flight;         /* cells in use */
    struct stead_due_queue due; /* by item: the earlier of resend and deadline */
    struct stead_client_counters counters;
};

/* ---- Life ----------------------------------------------------------------------------------- */

struct stead_client_core *stead_client_core_create(const struct stead_client_core_options *options)
{
    struct stead_client_core *core = stead_alloc_zero(sizeof(*core));
    struct stead_client_core_options *mine = &core->options;

    *mine = *options;
    mine->timeout_ms = mine->timeout_ms == 0 ? TIMEOUT_MS_DEFAULT : mine->timeout_ms;
    mine->retry_ms = mine->retry_ms == 0 ? RETRY_MS_DEFAULT : mine->retry_ms;
    mine->in_flight_max = mine->in_flight_max == 0 ? IN_FLIGHT_DEFAULT : mine->in_flight_max;
    mine->session_ms_max = mine->session_ms_max == 0 ? STEAD_CLIENT_SESSION_MS_MAX : mine->session_ms_max;
    mine->ended_above_max = mine->ended_above_max == 0 ? ENDED_ABOVE_DEFAULT : mine->ended_above_max;
    stead_rng_seed(&core->rng, options->seed);
    stead_client_peers_init(&core->peers);
    return core;
}

void stead_client_core_destroy(struct stead_client_core **core)
{
    struct stead_client_core *it = *core;

    *core = NULL;
    if (it == NULL)
        return;
    for (uint32_t i = 0; i < it->request_count; i++)
        if (it->requests[i].message != NULL)
            stead_message_destroy(&it->requests[i].message);
    stead_client_sessions_deinit(&it->sessions);
    stead_client_peers_deinit(&it->peers);
    stead_client_order_deinit(&it->order);
    stead_due_queue_deinit(&it->due);
    stead_client_routes_destroy(&it->routes);
    stead_table_release(&it->table);
    free(it->place_peer);
    free(it->requests);
    free(it);
}

void stead_client_core_set_now(struct stead_client_core *core, uint64_t mono_ns, uint64_t wall_ms)
{
    core->now_ns = mono_ns;
    core->wall_ms = wall_ms;
}

/* ---- Sessions ------------------------------------------------------------------------------- */

static void leave_session(struct stead_client_core *core, uint32_t item)
{
    struct request *request = &core->requests[item];
    struct stead_client_session *session = request->session;

    stead_client_order_remove(&core->order, item);
    stead_client_session_end(session, request->message->session.number);
    request->session = NULL;
    if (session->in_flight == 0)
        stead_client_sessions_drop_drained(&core->sessions);
}

static void join_session(struct stead_client_core *core, uint32_t item)
{
    struct request *request = &core->requests[item];
    const struct stead_client_session *newest = core->sessions.newest;
    struct stead_client_session *session =
        stead_client_sessions_for_new(&core->sessions, &core->rng, core->now_ns, core->wall_ms,
                                      core->options.session_ms_max / 2 * MS_NS, core->options.ended_above_max);

    core->counters.sessions += session != newest;
    request->session = session;
    request->message->groups |= STEAD_GROUP_SESSION;
    request->message->session.id = session->id;
    request->message->session.start_ms = session->start_ms;
    request->message->session.number = stead_client_session_take(session, item);
    request->message->session.mark = session->mark;
    if (request->message->type != STEAD_QUERY)
        stead_client_order_put(&core->order, item, request->message);
}

/* ---- Routing -------------------------------------------------------------------------------- */

static void ask_for_table(struct stead_client_core *core)
{
    if (core->refreshed_ns != 0 && core->now_ns - core->refreshed_ns < REFRESH_NS)
        return;
    core->refreshed_ns = core->now_ns;
    core->options.effects.refresh(core->options.effects.self);
}

/* The better of two peers drawn by chance: one that does not fail, then the one with less to do for us. */
static uint32_t draw_peer(struct stead_client_core *core, uint32_t pool)
{
    uint32_t best = STEAD_CLIENT_NOWHERE;

    for (int i = 0; i < 2; i++) {
        uint32_t place = stead_client_pool_draw(core->routes, pool, &core->rng), peer;
        const struct stead_client_peer *a, *b;

        if (place == STEAD_PLACE_NONE)
            return STEAD_CLIENT_NOWHERE;
        peer = core->place_peer[place];
        a = core->peers.peers[best];
        b = core->peers.peers[peer];
        if (best == STEAD_CLIENT_NOWHERE || (a->failing && !b->failing) ||
            (a->failing == b->failing && b->count < a->count))
            best = peer;
    }
    return best;
}

/* A request that any node of a pool may serve stays where it is while that makes sense. */
static uint32_t choose_peer(struct stead_client_core *core, uint32_t pool, uint32_t current)
{
    const struct stead_client_peer *peer = core->peers.peers[current];
    uint32_t place;

    if (current != STEAD_CLIENT_NOWHERE && !peer->failing) {
        place = stead_client_place_find(core->routes, peer->node, peer->reactor);
        if (place != STEAD_PLACE_NONE && stead_client_pool_has(core->routes, pool, place))
            return current;
    }
    return draw_peer(core, pool);
}

static uint32_t route_query(struct stead_client_core *core, struct request *request, uint32_t current)
{
    uint32_t place;

    request->anywhere = request->node == 0;
    request->message->slot.v = STEAD_SLOT_NODE;
    if (core->routes == NULL || stead_client_place_count(core->routes) == 0)
        return stead_client_peers_find_up(&core->peers, request->node);
    if (request->node == 0)
        return choose_peer(core, stead_client_pool_all(core->routes), current);
    place = stead_client_place_find(core->routes, request->node, 0);
    return place == STEAD_PLACE_NONE ? STEAD_CLIENT_NOWHERE : core->place_peer[place];
}

/* Where an address is served; `current`: where the request is now. */
static uint32_t route_address(struct stead_client_core *core, struct stead_message *message, size_t kind_size,
                              uint32_t current, bool *ret_anywhere)
{
    struct stead_slice address = stead_bytes(message->address, message->address_size);
    struct stead_client_route route;

    if (core->routes == NULL)
        return STEAD_CLIENT_NOWHERE;
    route = stead_client_route_find(core->routes, address, kind_size);
    message->slot = route.slot;
    *ret_anywhere = route.pool != STEAD_PLACE_NONE;
    if (route.pool != STEAD_PLACE_NONE)
        return choose_peer(core, route.pool, current);
    return route.place == STEAD_PLACE_NONE ? STEAD_CLIENT_NOWHERE : core->place_peer[route.place];
}

static uint32_t route_request(struct stead_client_core *core, uint32_t item, uint32_t current)
{
    struct request *request = &core->requests[item];

    if (request->message->address_size == 0)
        return route_query(core, request, current);
    return route_address(core, request->message, request->kind_size, current, &request->anywhere);
}

/* ---- Sending -------------------------------------------------------------------------------- */

static uint64_t version_of(const struct stead_client_core *core)
{
    return core->table == NULL ? 0 : core->table->version;
}

static void schedule(struct stead_client_core *core, uint32_t item, uint64_t resend_ns)
{
    struct request *request = &core->requests[item];

    request->resend_ns = resend_ns;
    stead_due_queue_set(&core->due, item, resend_ns < request->deadline_ns ? resend_ns : request->deadline_ns);
}

/* A slot's receiver need not be told of a request that went to another. */
static bool is_elsewhere(const void *self, uint32_t item, stead_slot slot)
{
    const struct request *request = &((const struct stead_client_core *)self)->requests[item];

    return request->sends > 0 && request->message->slot.v != slot.v;
}

/* The number that its agent takes before it; 0: it need not wait for any. A job is run anywhere. */
static uint64_t number_before(const struct stead_client_core *core, uint32_t item)
{
    uint32_t before = stead_client_order_before(&core->order, item);
    const struct request *request = &core->requests[item];

    if (before == STEAD_CLIENT_ORDER_NONE || request->anywhere || core->requests[before].session != request->session)
        return 0;
    return core->requests[before].message->session.number;
}

/* Sends to the peer that has it, which is up. */
static void transmit(struct stead_client_core *core, uint32_t item)
{
    struct request *request = &core->requests[item];
    const struct stead_client_peer *peer = core->peers.peers[stead_client_peers_of(&core->peers, item)];
    uint32_t doublings = request->sends < RETRY_DOUBLINGS_MAX ? request->sends : RETRY_DOUBLINGS_MAX;

    if (request->sends > 0) {
        request->message->flags |= STEAD_FLAG_RETRY;
        core->counters.resent++;
    }
    request->message->session.mark = request->session->mark;
    request->message->after = number_before(core, item);
    request->message->table_version = version_of(core);
    request->sends = (uint8_t)(request->sends + (request->sends < UINT8_MAX));
    request->unanswered++;
    request->refused = 0;
    core->counters.sent++;
    schedule(core, item, core->now_ns + ((uint64_t)core->options.retry_ms << doublings) * MS_NS);
    struct stead_message *telling = request->anywhere ? NULL
                                                      : stead_client_session_tell(request->session, request->message,
                                                                                  &core->rng, is_elsewhere, core);
    core->options.effects.send(core->options.effects.self, peer->node, peer->reactor,
                               telling != NULL ? telling : request->message);
    stead_message_destroy(&telling);
}

static void move_to_peer(struct stead_client_core *core, uint32_t item, uint32_t peer)
{
    stead_client_peers_remove(&core->peers, item);
    stead_client_peers_put(&core->peers, peer, item);
}

static void want_connection(struct stead_client_core *core, uint32_t peer)
{
    const struct stead_client_peer *it = core->peers.peers[peer];

    core->options.effects.connect(core->options.effects.self, it->node, it->reactor);
}

/* Waits after a refusal, or behind one that does. */
static void let_wait(struct stead_client_core *core, uint32_t item, int32_t refused, uint64_t until_ns)
{
    core->requests[item].refused = core->requests[item].refusal = refused;
    move_to_peer(core, item, STEAD_CLIENT_NOWHERE);
    schedule(core, item, until_ns);
}

static bool is_waiting(const struct stead_client_core *core, uint32_t item)
{
    return item != STEAD_CLIENT_ORDER_NONE && core->requests[item].refused != 0;
}

/* Routes a request that is in some list, and sends it if it can be sent now. */
static void dispatch_one(struct stead_client_core *core, uint32_t item)
{
    uint32_t current = stead_client_peers_of(&core->peers, item), peer = route_request(core, item, current);
    uint32_t before = stead_client_order_before(&core->order, item);

    if (is_waiting(core, before) && !core->requests[item].anywhere) {
        let_wait(core, item, core->requests[before].refused, core->requests[before].resend_ns);
        return;
    }
    if (peer != current)
        move_to_peer(core, item, peer);
    if (core->peers.peers[peer]->up) {
        transmit(core, item);
        return;
    }
    core->requests[item].refused = 0;
    schedule(core, item, core->now_ns + (uint64_t)core->options.retry_ms * MS_NS);
    if (peer == STEAD_CLIENT_NOWHERE)
        ask_for_table(core);
    else
        want_connection(core, peer);
}

/* The same, and where it waited, of all that wait before and behind it. */
static void dispatch(struct stead_client_core *core, uint32_t item)
{
    uint32_t first = item;

    if (!is_waiting(core, item) || core->requests[item].anywhere) {
        dispatch_one(core, item);
        return;
    }
    while (is_waiting(core, stead_client_order_before(&core->order, first)))
        first = stead_client_order_before(&core->order, first);
    for (uint32_t at = first; is_waiting(core, at); at = stead_client_order_after(&core->order, at))
        dispatch_one(core, at);
}

/* ---- Ending --------------------------------------------------------------------------------- */

/* Completes a request. `*answer` is consumed. */
static void finish(struct stead_client_core *core, uint32_t item, int code, struct stead_message **answer)
{
    struct request *request = &core->requests[item];
    void *context = request->context;

    stead_due_queue_remove(&core->due, item);
    stead_client_peers_remove(&core->peers, item);
    leave_session(core, item);
    stead_message_destroy(&request->message);
    request->free_next = core->request_free;
    core->request_free = item + 1;
    core->in_flight--;
    core->counters.completed++;
    core->options.effects.complete(core->options.effects.self, context, code, answer);
    if (*answer != NULL)
        stead_message_destroy(answer);
}

static void finish_here(struct stead_client_core *core, uint32_t item, int code)
{
    struct stead_message *none = NULL;

    finish(core, item, code, &none);
}

/* Nobody waits for its answer any more: a job is told, best effort, where it was sent last. A call to an agent is left
 * alone: its turn is over before it could be told. */
static void give_up(struct stead_client_core *core, uint32_t item, int code)
{
    const struct request *request = &core->requests[item];
    const struct stead_client_peer *peer = core->peers.peers[stead_client_peers_of(&core->peers, item)];

    if (request->message->type == STEAD_CALL && request->anywhere && request->unanswered > 0 && peer->up) {
        struct stead_message *cancel = stead_client_cancel_message(request->message);
        cancel->session.mark = request->session->mark;
        core->counters.cancels++;
        core->options.effects.send(core->options.effects.self, peer->node, peer->reactor, cancel);
        stead_message_destroy(&cancel);
    }
    finish_here(core, item, code);
}

static void finish_at_deadline(struct stead_client_core *core, uint32_t item)
{
    const struct request *request = &core->requests[item];
    int code = STEAD_ETIMEOUT;

    if (request->unanswered == 0)
        code = request->refusal == STEAD_EBUSY ? STEAD_EBUSY : STEAD_EUNAVAILABLE;
    give_up(core, item, code);
}

/* ---- Submitting ----------------------------------------------------------------------------- */

static uint32_t take_cell(struct stead_client_core *core)
{
    uint32_t item = core->request_free;

    if (item != 0) {
        core->request_free = core->requests[item - 1].free_next;
        return item - 1;
    }
    if (core->request_count == core->request_capacity) {
        core->request_capacity = core->request_capacity == 0 ? 64 : core->request_capacity * 2;
        core->requests = stead_realloc(core->requests, core->request_capacity * sizeof(*core->requests));
    }
    return core->request_count++;
}

int stead_client_core_submit(struct stead_client_core *core, const struct stead_client_request *request)
{
    uint32_t timeout_ms = request->timeout_ms == 0 ? core->options.timeout_ms : request->timeout_ms, item;
    uint16_t kind_size;
    int code = core->closing ? STEAD_ESTATE : stead_client_request_check(request, &kind_size);

    if (code != 0)
        return code;
    if (core->in_flight >= core->options.in_flight_max ||
        (core->sessions.open && stead_client_session_span(core->sessions.newest) >= STEAD_CLIENT_SPAN_MAX))
        return STEAD_EBUSY;
    item = take_cell(core);
    core->requests[item] = (struct request){
        .message = stead_client_request_message(request, &core->rng, core->wall_ms + timeout_ms),
        .context = request->context,
        .serial = ++core->serial,
        .deadline_ns = core->now_ns + timeout_ms * MS_NS,
        .node = request->node,
        .kind_size = kind_size,
        .fail_fast = request->fail_fast,
    };
    core->in_flight++;
    core->counters.submitted++;
    join_session(core, item);
    stead_client_peers_put(&core->peers, STEAD_CLIENT_NOWHERE, item);
    dispatch_one(core, item);
    return 0;
}

/* Sends a tell to its peer, or lets it wait there. Consumed. */
static void dispatch_tell(struct stead_client_core *core, struct stead_message **tell, size_t kind_size)
{
    bool anywhere;
    uint32_t at = route_address(core, *tell, kind_size, STEAD_CLIENT_NOWHERE, &anywhere);
    const struct stead_client_peer *peer = core->peers.peers[at];

    if (peer->up) {
        (*tell)->table_version = version_of(core);
        core->options.effects.send(core->options.effects.self, peer->node, peer->reactor, *tell);
        stead_message_destroy(tell);
        return;
    }
    stead_client_peers_put_tell(&core->peers, at, tell);
    if (at == STEAD_CLIENT_NOWHERE)
        ask_for_table(core);
    else
        want_connection(core, at);
}

int stead_client_core_tell(struct stead_client_core *core, struct stead_slice address, struct stead_slice op,
                           struct stead_slice args)
{
    struct stead_message *tell;
    uint16_t kind_size;
    int code = core->closing ? STEAD_ESTATE : stead_client_tell_check(address, op, args, &kind_size);

    if (code != 0)
        return code;
    if (core->peers.tell_count >= TELLS_WAITING_MAX)
        return STEAD_EBUSY;
    tell = stead_client_tell_message(address, op, args, &core->rng);
    core->counters.tells++;
    dispatch_tell(core, &tell, kind_size);
    return 0;
}

/* ---- Answers -------------------------------------------------------------------------------- */

static uint32_t request_of_answer(const struct stead_client_core *core, const struct stead_message *answer)
{
    const struct stead_client_session *session;
    uint32_t item;

    if (answer->type != STEAD_ANSWER || (answer->groups & STEAD_GROUP_SESSION) == 0)
        return STEAD_CLIENT_ITEM_NONE;
    session = stead_client_sessions_find(&core->sessions, answer->session.id);
    if (session == NULL)
        return STEAD_CLIENT_ITEM_NONE;
    item = stead_client_session_find(session, answer->session.number);
    if (item != STEAD_CLIENT_ITEM_NONE && !stead_id_equal(core->requests[item].message->id, answer->id))
        return STEAD_CLIENT_ITEM_NONE;
    return item;
}

/* The receiver did nothing and said so: the request goes again, under the same number. `*answer` is consumed. */
static void take_refusal(struct stead_client_core *core, uint32_t item, struct stead_message **answer)
{
    struct request *request = &core->requests[item];
    uint64_t wait_ns = stead_client_backoff_ms(*answer, request->refusals, &core->rng) * MS_NS;

    core->counters.refusals++;
    request->refusal = (*answer)->status;
    request->refusals = (uint8_t)(request->refusals + (request->refusals < UINT8_MAX));
    if (request->unanswered > 0)
        request->unanswered--;
    if (core->now_ns + wait_ns >= request->deadline_ns && request->unanswered == 0 &&
        (*answer)->status != STEAD_ENOTOWNER) {
        finish(core, item, (*answer)->status, answer);
        return;
    }
    let_wait(core, item, (*answer)->status, core->now_ns + wait_ns);
    if ((*answer)->status != STEAD_EBUSY)
        ask_for_table(core);
    stead_message_destroy(answer);
}

/* The receiver has ended the session. Nothing more is asked in it; what was surely not executed is asked in the
 * next. */
static void take_session_end(struct stead_client_core *core, uint32_t item, struct stead_message **answer)
{
    struct request *request = &core->requests[item];

    if (request->session == core->sessions.newest)
        core->sessions.open = false;
    if (request->moved || request->unanswered != 1) {
        finish(core, item, STEAD_ESESSION, answer);
        return;
    }
    stead_message_destroy(answer);
    request->moved = true;
    request->unanswered = 0;
    leave_session(core, item);
    join_session(core, item);
    dispatch_one(core, item);
}

void stead_client_core_deliver(struct stead_client_core *core, struct stead_message **message)
{
    uint32_t item = request_of_answer(core, *message);

    if (item == STEAD_CLIENT_ITEM_NONE) {
        core->counters.answers_dropped += (*message)->type == STEAD_ANSWER;
        stead_message_destroy(message);
        return;
    }
    switch ((*message)->status) {
    case STEAD_EBUSY:
    case STEAD_ENOTOWNER:
    case STEAD_EUNAVAILABLE:
        take_refusal(core, item, message);
        return;
    case STEAD_ESESSION:
        take_session_end(core, item, message);
        return;
    default:
        finish(core, item, (*message)->status, message);
    }
}

/* ---- Connections and tables ----------------------------------------------------------------- */

void stead_client_core_peer_up(struct stead_client_core *core, uint32_t node, uint16_t reactor)
{
    uint32_t at = stead_client_peers_get(&core->peers, node, reactor);
    struct stead_client_peer *peer = core->peers.peers[at];
    struct stead_message *tell;

    peer->up = true;
    peer->failing = false;
    while ((tell = stead_client_peers_take_tell(&core->peers, at)) != NULL) {
        tell->table_version = version_of(core);
        core->options.effects.send(core->options.effects.self, node, reactor, tell);
        stead_message_destroy(&tell);
    }
    for (uint32_t i = peer->first; i != 0; i = stead_client_peers_next(&core->peers, i - 1))
        transmit(core, i - 1);
}

void stead_client_core_peer_down(struct stead_client_core *core, uint32_t node, uint16_t reactor)
{
    uint32_t at = stead_client_peers_get(&core->peers, node, reactor);
    struct stead_client_peer *peer = core->peers.peers[at];

    peer->up = false;
    peer->failing = true;
    core->counters.tells_dropped += stead_client_peers_drop_tells(&core->peers, at);
    for (uint32_t i = peer->first, next; i != 0; i = next) {
        next = stead_client_peers_next(&core->peers, i - 1);
        if (core->requests[i - 1].anywhere)
            dispatch(core, i - 1);
        else if (core->requests[i - 1].fail_fast && core->requests[i - 1].sends == 0)
            finish_here(core, i - 1, STEAD_EUNAVAILABLE); /* its completion can only add behind `next` */
    }
    if (peer->count == 0)
        return;
    want_connection(core, at);
    ask_for_table(core); /* its agents may have been given to somebody else */
}

static void map_places(struct stead_client_core *core)
{
    uint32_t count = stead_client_place_count(core->routes);

    free(core->place_peer);
    core->place_peer = stead_alloc((count + 1) * sizeof(*core->place_peer));
    for (uint32_t place = 0; place < count; place++) {
        uint32_t node;
        uint16_t reactor;

        stead_client_place_name(core->routes, place, &node, &reactor);
        core->place_peer[place] = stead_client_peers_get(&core->peers, node, reactor);
    }
}

/* Looks at one peer's requests in the light of a new table. Busy ones wait for their time. */
static void reroute_peer(struct stead_client_core *core, uint32_t at)
{
    uint32_t count = core->peers.peers[at]->count, left = 0, *items = stead_alloc((count + 1) * sizeof(*items));

    for (uint32_t i = core->peers.peers[at]->first; i != 0; i = stead_client_peers_next(&core->peers, i - 1))
        items[left++] = i - 1;
    for (uint32_t i = 0; i < count; i++) {
        if (core->requests[items[i]].refused == STEAD_EBUSY || stead_client_peers_of(&core->peers, items[i]) != at)
            continue; /* or it has gone with one before it */
        if (at == STEAD_CLIENT_NOWHERE || route_request(core, items[i], at) != at)
            dispatch(core, items[i]);
    }
    free(items);
}

static void reroute_tells(struct stead_client_core *core)
{
    /* Those that find no place again are put behind these, so their number bounds the loop. */
    for (uint32_t left = core->peers.peers[STEAD_CLIENT_NOWHERE]->tell_count; left > 0; left--) {
        struct stead_message *tell = stead_client_peers_take_tell(&core->peers, STEAD_CLIENT_NOWHERE);

        dispatch_tell(core, &tell, stead_client_kind_size(tell));
    }
}

void stead_client_core_set_table(struct stead_client_core *core, struct stead_table *table)
{
    uint32_t peer_count;

    /* Another cluster at the same endpoint: its versions have nothing to do with those before. */
    if (core->table != NULL && stead_id_equal(core->table->cluster, table->cluster) &&
        table->version <= core->table->version)
        return;
    stead_client_routes_destroy(&core->routes);
    stead_table_release(&core->table);
    core->table = stead_table_hold(table);
    core->routes = stead_client_routes_create(table);
    core->refreshed_ns = 0; /* that question is answered; the next may be asked at once */
    map_places(core);
    peer_count = core->peers.count;
    for (uint32_t at = 0; at < peer_count; at++)
        reroute_peer(core, at);
    reroute_tells(core);
}

struct stead_table *stead_client_core_table(const struct stead_client_core *core)
{
    return core->table;
}

/* Completes what satisfies: all, or only what was never sent. Submissions made by completions are left alone. */
static void finish_all(struct stead_client_core *core, int code, bool unsent_only)
{
    uint64_t serial = core->serial;
    uint32_t count = core->request_count;

    for (uint32_t i = 0; i < count; i++) {
        const struct request *request = &core->requests[i];

        if (request->message != NULL && request->serial <= serial && (!unsent_only || request->sends == 0))
            give_up(core, i, code);
    }
}

void stead_client_core_unreachable(struct stead_client_core *core)
{
    for (uint32_t i = 0; i < core->peers.count; i++)
        core->counters.tells_dropped += stead_client_peers_drop_tells(&core->peers, i);
    finish_all(core, STEAD_EUNAVAILABLE, true);
}

void stead_client_core_cancel_all(struct stead_client_core *core)
{
    core->closing = true;
    finish_all(core, STEAD_ECANCELLED, false);
}

/* ---- Time ----------------------------------------------------------------------------------- */

void stead_client_core_step(struct stead_client_core *core)
{
    struct stead_due_cell cell;

    while (stead_due_queue_first(&core->due, &cell) && cell.due <= core->now_ns) {
        if (core->requests[cell.item].deadline_ns <= core->now_ns)
            finish_at_deadline(core, cell.item);
        else
            dispatch(core, cell.item);
    }
}

uint64_t stead_client_core_due(const struct stead_client_core *core)
{
    struct stead_due_cell cell;

    return stead_due_queue_first(&core->due, &cell) ? cell.due : STEAD_CLIENT_NEVER;
}

uint32_t stead_client_core_in_flight(const struct stead_client_core *core)
{
    return core->in_flight;
}

uint32_t stead_client_core_tells_waiting(const struct stead_client_core *core)
{
    return core->peers.tell_count;
}

uint32_t stead_client_core_peer_pending(const struct stead_client_core *core, uint32_t node, uint16_t reactor)
{
    const struct stead_client_peer *peer = core->peers.peers[stead_client_peers_find(&core->peers, node, reactor)];

    return peer->node == 0 ? 0 : peer->count + peer->tell_count;
}

const struct stead_client_counters *stead_client_core_counters(const struct stead_client_core *core)
{
    return &core->counters;
}

void stead_client_core_check(const struct stead_client_core *core)
{
    uint32_t used = 0, in_sessions = 0, ordered = stead_client_order_check(&core->order);

    stead_client_peers_check(&core->peers);
    stead_due_queue_check(&core->due);
    for (const struct stead_client_session *it = core->sessions.newest; it != NULL; it = it->next) {
        stead_client_session_check(it);
        in_sessions += it->in_flight;
    }
    for (uint32_t i = 0; i < core->request_count; i++) {
        const struct request *request = &core->requests[i];

        if (request->message == NULL)
            continue;
        used++;
        ordered -= request->message->type != STEAD_QUERY;
        (void)stead_client_peers_of(&core->peers, i);
        STEAD_ASSERT(core->due.positions[i] != 0);
        STEAD_ASSERT(stead_client_session_find(request->session, request->message->session.number) == i);
        STEAD_ASSERT(request->sends >= request->unanswered || request->sends == UINT8_MAX);
    }
    STEAD_ASSERT(ordered == 0 && used == core->in_flight && in_sessions == core->in_flight && core->due.count == used);
}
