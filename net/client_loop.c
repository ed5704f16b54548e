/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_loop: what moves while a function of the client runs.
 *
 * The core says which connections it wants; this file opens a link for each, greets, and tells the core when it is up
 * or down. A search runs beside it whenever nobody is connected and something is wanted: it tries the endpoints the
 * user gave, then those of the table's nodes, one at a time; the first WELCOME ends it. When it has been through all of
 * them and all have refused, no node can be reached: the core then ends what was never sent, so the user hears of it in
 * milliseconds, and what was sent stays until its deadline while searches go on, less and less often. Who says nothing
 * may be stopped, or busy: what was never sent stays until its deadline too.
 *
 * One turn: flush, receive, retry, flush; then wait. A socket is asked for frames until it has none before every wait
 * (client_link.c says why), so poll(2) on the descriptors is enough and a round trip costs one send, one poll and one
 * receive.
 */
#define _GNU_SOURCE /* ppoll */
#include "net/client_inside.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <zmq.h>

#include "runtime/base.h"

#define SEARCH_LINK_NS 1000000000ull /* an endpoint that says nothing for so long is given up in this search */
#define OPENING_NS 5000000000ull     /* the same for a link that is wanted anyway */
#define SEARCH_NS_MIN 10000000ull
#define SEARCH_DOUBLINGS_MAX 6u
#define WATCH_NS 1000000ull      /* monitors are looked at so often while there is no wait */
#define FRAMES_PER_TURN_MAX 256u /* of one link, so that a flood of answers does not starve the others */

/* ---- Time ----------------------------------------------------------------------------------- */

uint64_t stead_client_now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

void stead_client_set_now(struct stead_client *client)
{
    struct timespec wall;

    (void)clock_gettime(CLOCK_REALTIME, &wall);
    stead_client_core_set_now(client->core, stead_client_now_ns(),
                              (uint64_t)wall.tv_sec * 1000u + (uint64_t)wall.tv_nsec / 1000000u);
}

/* ---- Links ---------------------------------------------------------------------------------- */

static uint64_t table_version(const struct stead_client *client)
{
    const struct stead_table *table = stead_client_core_table(client->core);

    return table == NULL ? 0 : table->version;
}

static struct stead_link *link_to(const struct stead_client *client, uint32_t node, uint16_t reactor)
{
    struct stead_link *link = client->links;

    while (link != NULL && (link->node != node || link->reactor != reactor))
        link = link->next;
    return link;
}

static struct stead_link *link_at(const struct stead_client *client, const char *endpoint)
{
    struct stead_link *link = client->links;

    while (link != NULL && strcmp(link->endpoint, endpoint) != 0)
        link = link->next;
    return link;
}

static struct stead_link *add_link(struct stead_client *client, const char *endpoint, uint32_t node, uint16_t reactor)
{
    struct stead_link *link = stead_link_create(endpoint, node, reactor);

    link->next = client->links;
    client->links = link;
    client->link_count++;
    return link;
}

/* Takes a link out of use; the next turn frees it, because somebody may be walking the list. */
static void drop_link(struct stead_client *client, struct stead_link *link)
{
    stead_link_close(link);
    link->dropped = true;
    link->node = 0;
    link->endpoint[0] = '\0';
    if (client->search.link == link)
        client->search.link = NULL;
}

static void sweep_links(struct stead_client *client, bool all)
{
    struct stead_link **at = &client->links;

    while (*at != NULL) {
        struct stead_link *link = *at;

        if (!all && !link->dropped) {
            at = &link->next;
            continue;
        }
        *at = link->next;
        client->link_count--;
        stead_link_destroy(&link);
    }
}

bool stead_client_is_connected(const struct stead_client *client)
{
    const struct stead_link *link = client->links;

    while (link != NULL && link->state != STEAD_LINK_UP)
        link = link->next;
    return link != NULL;
}

void stead_client_loop_deinit(struct stead_client *client)
{
    sweep_links(client, true);
    free(client->polls);
}

/* Where the table says a reactor listens; NULL: it does not know. */
static const char *endpoint_of(const struct stead_client *client, uint32_t node, uint16_t reactor)
{
    const struct stead_table *table = stead_client_core_table(client->core);
    const struct stead_table_node *found = table == NULL ? NULL : stead_table_node_find(table, node);

    return found == NULL || reactor >= found->reactor_count ? NULL : found->endpoints[reactor];
}

/* A link whose connection failed or broke. */
static void link_failed(struct stead_client *client, struct stead_link *link)
{
    bool searched = client->search.link == link;

    stead_link_fail(link, stead_client_now_ns());
    if (searched)
        client->search.link = NULL;
    if (link->node != 0)
        stead_client_core_peer_down(client->core, link->node, link->reactor);
}

static void open_link(struct stead_client *client, struct stead_link *link)
{
    if (stead_link_open(link, client->context, stead_client_now_ns(), client->queue_max, table_version(client)) != 0 &&
        client->search.link == link)
        client->search.link = NULL;
}

/* Nothing is sent on the link until the WELCOME comes; then everything unanswered is. */
static void greet_again(struct stead_client *client, struct stead_link *link)
{
    link->state = STEAD_LINK_OPENING;
    link->opened_ns = stead_client_now_ns();
    stead_link_greet(link, table_version(client));
}

/* ---- Effects of the core -------------------------------------------------------------------- */

static void effect_connect(void *self, uint32_t node, uint16_t reactor)
{
    struct stead_client *client = self;
    struct stead_link *link = link_to(client, node, reactor);
    const char *endpoint = endpoint_of(client, node, reactor);

    if (link == NULL && endpoint != NULL)
        link = add_link(client, endpoint, node, reactor);
    if (link != NULL && link->state == STEAD_LINK_CLOSED && stead_client_now_ns() >= link->retry_ns)
        open_link(client, link);
    /* A link that may not be tried yet is opened by retry_links() in its time. */
}

static void effect_send(void *self, uint32_t node, uint16_t reactor, const struct stead_message *message)
{
    struct stead_link *link = link_to(self, node, reactor);

    if (link != NULL && link->state == STEAD_LINK_UP)
        stead_link_send(link, message);
}

/* HELLO again to the connection that has least to do: it makes the connection a new one, so what is unanswered there
 * goes again. */
static void effect_refresh(void *self)
{
    struct stead_client *client = self;
    struct stead_link *best = NULL;
    uint32_t best_pending = UINT32_MAX;

    for (struct stead_link *link = client->links; link != NULL; link = link->next) {
        uint32_t pending = stead_client_core_peer_pending(client->core, link->node, link->reactor);

        if (link->state != STEAD_LINK_UP || pending >= best_pending)
            continue;
        best = link;
        best_pending = pending;
    }
    if (best != NULL)
        greet_again(client, best);
    client->refresh_wanted = best == NULL;
}

struct stead_client_effects stead_client_loop_effects(struct stead_client *client)
{
    return (struct stead_client_effects){
        .self = client, .connect = effect_connect, .send = effect_send, .refresh = effect_refresh};
}

/* ---- Searching ------------------------------------------------------------------------------ */

/* The n-th endpoint to try; NULL behind the last. */
static const char *candidate(const struct stead_client *client, uint32_t at)
{
    const struct stead_table *table = stead_client_core_table(client->core);

    if (at < client->endpoint_count)
        return client->endpoints[at];
    at -= client->endpoint_count;
    if (table == NULL || at >= table->node_count)
        return NULL;
    return table->nodes[at].reactor_count == 0 ? "" : table->nodes[at].endpoints[0];
}

void stead_client_want_node(struct stead_client *client)
{
    if (client->search.on || stead_client_is_connected(client) || stead_client_now_ns() < client->search.next_ns)
        return;
    client->search.on = true;
    client->search.tried = 0;
    client->search.link = NULL;
    client->search.silent = false;
}

static void end_search(struct stead_client *client, bool found)
{
    struct stead_client_search *search = &client->search;
    uint32_t doublings = search->failures < SEARCH_DOUBLINGS_MAX ? search->failures : SEARCH_DOUBLINGS_MAX;

    search->on = false;
    search->link = NULL;
    if (found) {
        search->failures = 0;
        search->next_ns = 0;
        return;
    }
    search->failures++;
    search->next_ns = stead_client_now_ns() + (SEARCH_NS_MIN << doublings);
    if (search->silent)
        return;
    client->lost++;
    client->news++;
    stead_client_core_unreachable(client->core);
}

/* Moves the search on, as far as it goes without waiting. */
static void step_search(struct stead_client *client)
{
    struct stead_client_search *search = &client->search;
    const char *endpoint;

    if (search->on && search->link != NULL && stead_client_now_ns() - search->link->opened_ns >= SEARCH_LINK_NS) {
        search->silent = true;
        link_failed(client, search->link);
    }
    while (search->on && search->link == NULL) {
        struct stead_link *link;

        endpoint = candidate(client, search->tried++);
        if (endpoint == NULL) {
            end_search(client, false);
            return;
        }
        if (endpoint[0] == '\0')
            continue;
        link = link_at(client, endpoint);
        if (link == NULL)
            link = add_link(client, endpoint, 0, 0);
        search->link = link;
        if (link->state == STEAD_LINK_CLOSED)
            open_link(client, link);
    }
}

/* ---- What arrives --------------------------------------------------------------------------- */

static void take_table(struct stead_client *client, struct stead_slice bytes)
{
    struct stead_table *table = NULL;

    if (bytes.size == 0 || stead_table_decode(bytes, &table) != 0)
        return;
    stead_client_core_set_table(client->core, table);
    stead_table_release(&table);
}

/* Somebody answered who is not whom the link was meant for: the address has changed hands. */
static bool is_stranger(const struct stead_link *link, const struct stead_welcome *welcome)
{
    return link->node != 0 && (link->node != welcome->node || link->reactor != welcome->reactor);
}

static void take_welcome(struct stead_client *client, struct stead_link *link, const struct stead_message *message)
{
    struct stead_welcome welcome;
    struct stead_link *twin;

    if (stead_welcome_read(message, &welcome) != 0 || welcome.node == 0) {
        link_failed(client, link);
        return;
    }
    if (is_stranger(link, &welcome)) {
        take_table(client, welcome.table);
        link_failed(client, link);
        return;
    }
    if (link->node == 0) {
        twin = link_to(client, welcome.node, welcome.reactor);
        if (twin != NULL && twin->state == STEAD_LINK_UP) {
            drop_link(client, link);
            end_search(client, true);
            return;
        }
        if (twin != NULL)
            drop_link(client, twin); /* under another name of the same endpoint, and not there yet */
        link->node = welcome.node;
        link->reactor = welcome.reactor;
    }
    take_table(client, welcome.table); /* the link has its name by now: the core's wish to connect finds it */
    link->failures = 0;
    client->news++;
    link->state = STEAD_LINK_UP;
    end_search(client, true);
    stead_client_core_peer_up(client->core, link->node, link->reactor);
}

/* False when the connection is not there any more. */
static bool take_record(struct stead_client *client, struct stead_link *link, struct stead_message *message)
{
    switch (message->type) {
    case STEAD_WELCOME:
        take_welcome(client, link, message);
        break;
    case STEAD_TABLE:
        take_table(client, stead_message_payload(message));
        break;
    case STEAD_HELLO: /* the node has forgotten this connection */
        greet_again(client, link);
        break;
    case STEAD_ANSWER:
        if (link->state == STEAD_LINK_OPENING && (message->groups & STEAD_GROUP_SESSION) == 0 && message->status < 0) {
            link_failed(client, link); /* HELLO was refused */
            break;
        }
        stead_client_core_deliver(client->core, &message);
        break;
    default:
        break;
    }
    if (message != NULL)
        stead_message_destroy(&message);
    return link->socket != NULL;
}

/* False when the connection is not there any more. */
static bool take_frame(struct stead_client *client, struct stead_link *link, struct stead_slice bytes)
{
    static const struct stead_codec_limits limits = {.payload_bytes_max = STEAD_WIRE_PAYLOAD_MAX};
    struct stead_frame frame;
    struct stead_slice record;

    if (stead_frame_open(bytes, &frame) != 0) {
        link_failed(client, link); /* whatever that is, it does not speak our protocol */
        return false;
    }
    while (stead_frame_next(&frame, &record)) {
        struct stead_message *message;

        if (stead_codec_decode(record, &limits, &message, NULL) == 0 && !take_record(client, link, message))
            return false;
    }
    return true;
}

/* Takes what has arrived on one link. The number of frames. */
static uint32_t receive_link(struct stead_client *client, struct stead_link *link)
{
    uint32_t frames = 0;
    bool there = true;
    zmq_msg_t frame;

    (void)zmq_msg_init(&frame);
    while (there && frames < FRAMES_PER_TURN_MAX && stead_link_receive(link, &frame)) {
        frames++;
        there = take_frame(client, link, stead_bytes(zmq_msg_data(&frame), zmq_msg_size(&frame)));
    }
    (void)zmq_msg_close(&frame);
    return frames;
}

static uint32_t receive_all(struct stead_client *client)
{
    uint32_t frames = 0;

    for (struct stead_link *link = client->links; link != NULL; link = link->next)
        if (link->state != STEAD_LINK_CLOSED)
            frames += receive_link(client, link);
    return frames;
}

/* ---- Turning -------------------------------------------------------------------------------- */

/* True: something was sent. */
static bool flush_all(struct stead_client *client)
{
    bool sent = false;

    for (struct stead_link *link = client->links; link != NULL; link = link->next)
        sent |= stead_link_flush(link);
    return sent;
}

void stead_client_flush(struct stead_client *client)
{
    (void)flush_all(client);
}

/* Opens again what is wanted and may be tried; closes what says nothing. */
static void retry_links(struct stead_client *client, uint64_t now_ns)
{
    for (struct stead_link *link = client->links; link != NULL; link = link->next) {
        const char *endpoint = endpoint_of(client, link->node, link->reactor);

        if (link->state == STEAD_LINK_OPENING && now_ns - link->opened_ns >= OPENING_NS) {
            link_failed(client, link);
        } else if (link->state == STEAD_LINK_CLOSED && link->node != 0 && now_ns >= link->retry_ns &&
                   stead_client_core_peer_pending(client->core, link->node, link->reactor) > 0) {
            if (endpoint != NULL && strlen(endpoint) <= STEAD_LINK_ENDPOINT_MAX)
                memcpy(link->endpoint, endpoint, strlen(endpoint) + 1); /* it may have come back elsewhere */
            open_link(client, link);
        }
    }
}

/* The next time at which the loop has something to do by itself. */
static uint64_t due_ns(const struct stead_client *client)
{
    uint64_t due = stead_client_core_due(client->core);

    for (const struct stead_link *link = client->links; link != NULL; link = link->next) {
        uint64_t at = STEAD_CLIENT_NEVER;

        if (link == client->search.link)
            at = link->opened_ns + SEARCH_LINK_NS;
        else if (link->state == STEAD_LINK_OPENING)
            at = link->opened_ns + OPENING_NS;
        else if (link->state == STEAD_LINK_CLOSED && link->node != 0 &&
                 stead_client_core_peer_pending(client->core, link->node, link->reactor) > 0)
            at = link->retry_ns;
        due = at < due ? at : due;
    }
    if (!client->search.on && client->search.next_ns < due && !stead_client_is_connected(client) &&
        (client->refresh_wanted || stead_client_core_in_flight(client->core) > 0))
        due = client->search.next_ns;
    return due;
}

/* Fills the set to wait for; returns its size. */
static uint32_t fill_polls(struct stead_client *client)
{
    uint32_t count = 0;

    if (client->polls_capacity < client->link_count * 2) {
        client->polls_capacity = client->link_count * 4;
        client->polls = stead_realloc(client->polls, client->polls_capacity * sizeof(*client->polls));
    }
    for (const struct stead_link *link = client->links; link != NULL; link = link->next) {
        if (link->state == STEAD_LINK_CLOSED)
            continue;
        client->polls[count++] = (struct pollfd){.fd = link->socket_fd, .events = POLLIN};
        client->polls[count++] = (struct pollfd){.fd = link->monitor_fd, .events = POLLIN};
    }
    return count;
}

/* Waits, and fails the links whose monitors say so. */
static void wait_for_links(struct stead_client *client, uint64_t wait_ns)
{
    uint32_t count = fill_polls(client), at = 0;
    struct timespec timeout = {.tv_sec = (time_t)(wait_ns / 1000000000ull), .tv_nsec = (long)(wait_ns % 1000000000ull)};

    if (ppoll(client->polls, count, &timeout, NULL) <= 0)
        return;
    for (struct stead_link *link = client->links; link != NULL && at + 1 < count; link = link->next) {
        if (link->state == STEAD_LINK_CLOSED || client->polls[at].fd != link->socket_fd)
            continue;
        at += 2;
        if (client->polls[at - 1].revents != 0 && stead_link_is_broken(link))
            link_failed(client, link);
    }
}

static void step_loop(struct stead_client *client)
{
    stead_client_core_step(client->core);
    if (stead_client_core_in_flight(client->core) > 0 && !client->search.on)
        stead_client_want_node(client);
    if (client->refresh_wanted) {
        client->refresh_wanted = stead_client_core_table(client->core) == NULL;
        stead_client_want_node(client);
    }
    step_search(client);
    retry_links(client, stead_client_now_ns());
}

void stead_client_turn(struct stead_client *client, uint64_t until_ns)
{
    uint64_t news = client->news, now_ns, due;
    bool idle;

    sweep_links(client, false);
    stead_client_set_now(client);
    (void)flush_all(client);
    idle = receive_all(client) == 0;
    step_loop(client);
    /* After a send a frame may lie in the socket without its descriptor saying so: no wait before it was asked
     * again. */
    if (flush_all(client) && idle)
        idle = receive_all(client) == 0;
    now_ns = stead_client_now_ns();
    due = due_ns(client);
    due = until_ns < due ? until_ns : due;
    if (idle && news == client->news && due > now_ns) {
        wait_for_links(client, due - now_ns);
        client->watched_ns = now_ns;
    } else if (now_ns - client->watched_ns >= WATCH_NS) {
        wait_for_links(client, 0); /* a busy client must hear of broken connections too */
        client->watched_ns = now_ns;
    }
}
