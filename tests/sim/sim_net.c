/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The net of the simulator: what net/transport.c promises, and no more.
 *
 * Between two reactors of different nodes there is one connection a direction, opened on demand; a client has one
 * connection to each reactor it talks to. A connection delivers in order and at most once. When it breaks, a prefix of
 * what was under way still arrives, perhaps after the first records of the next connection; a record may also be
 * dropped alone, as a full queue would. Reactors of one node hand messages over in order, without loss, as pointers.
 *
 *     closed --wanted--> opening --(the other side is up and not apart: a delay)--> open --(break, crash, partition)--> closed
 *
 * Every record that leaves a process is encoded and decoded, so the codec takes part in every run.
 */
#include <stdlib.h>

#include "net/codec.h"
#include "runtime/address.h"
#include "tests/sim/sim.h"

#define WAITING_MAX 64u /* records that wait for a connection */
#define RETRY_NS (30 * STEAD_MS)

/* One record on its way. */
struct flight {
    struct stead_sim_pipe *pipe;
    size_t size;
    uint8_t bytes[];
};

/* ---- Pipes ------------------------------------------------------------------------------------ */

static void open_pipe(struct stead_sim_pipe *pipe)
{
    STEAD_ASSERT(!pipe->open);
    pipe->open = true;
    pipe->generation++;
    pipe->last_ns = pipe->sim->world.now_ns;
}

/* `tail`: what arrives within the next moments was already on the other side. */
static void cut_pipe(struct stead_sim_pipe *pipe, bool tail)
{
    struct stead_world *world = &pipe->sim->world;

    if (!pipe->open)
        return;
    pipe->open = false;
    pipe->generation++;
    pipe->cut_ns = world->now_ns;
    if (tail)
        pipe->cut_ns += stead_world_below(world, 4 * pipe->sim->plan.link_ns);
}

/* Does what left under `generation` still get through? */
static bool gets_through(const struct stead_sim_pipe *pipe, uint64_t generation)
{
    if (generation == pipe->generation)
        return pipe->open;
    return generation + (pipe->open ? 2 : 1) == pipe->generation && pipe->sim->world.now_ns <= pipe->cut_ns;
}

static void arrive(void *self, uint64_t generation, void *data)
{
    struct flight *flight = data;
    struct stead_sim_pipe *pipe = flight->pipe;
    struct stead_sim *sim = self;
    const struct stead_codec_limits limits = {.payload_bytes_max = sim->plan.settings.payload_bytes_max};
    struct stead_message *message;

    if (!sim->ending && gets_through(pipe, generation)) {
        int code = stead_codec_decode(stead_bytes(flight->bytes, flight->size), &limits, &message, NULL);
        if (code != 0)
            stead_world_fail(&sim->world, "a record that the cluster made is refused by its own decoder: %s",
                             stead_error_name(code));
        stead_world_note(&sim->world, "arrive", message->type, message->slot.v,
                         stead_hash(flight->bytes, flight->size));
        stead_world_note_text(&sim->world, "  record",
                              (message->groups & STEAD_GROUP_CHANNEL) != 0 ? message->channel.number.counter : 0,
                              message->address_size > 0 ? message->address : "-");
        pipe->arrive(pipe->self, &message);
    }
    free(flight);
}

static void send_through(struct stead_sim_pipe *pipe, const struct stead_message *message)
{
    struct stead_sim *sim = pipe->sim;
    struct stead_world *world = &sim->world;
    size_t size = stead_codec_size(message);
    struct flight *flight;

    if (!pipe->open || (!sim->calm && stead_world_chance(world, sim->plan.drop_permille))) {
        stead_world_note(world, "drop", message->type, message->slot.v, pipe->open);
        return;
    }
    flight = stead_alloc(sizeof *flight + size);
    flight->pipe = pipe;
    flight->size = stead_codec_encode(message, flight->bytes);
    STEAD_ASSERT(flight->size == size);
    uint64_t at = world->now_ns + stead_world_delay(world, sim->plan.link_ns);
    if (at < pipe->last_ns)
        at = pipe->last_ns;
    pipe->last_ns = at;
    stead_world_after(world, at - world->now_ns, arrive, sim, pipe->generation, flight);
}

/* ---- Between nodes ------------------------------------------------------------------------------ */

static void try_link(void *self, uint64_t life, void *data)
{
    struct stead_sim_link *link = self;
    struct stead_sim_node *from = link->from->node, *to = link->to->node;
    struct stead_sim *sim = from->sim;
    struct stead_message *message;

    (void)data;
    if (sim->ending || life != from->life)
        return;
    if (to->phase != STEAD_SIM_UP || sim->apart[from->index][to->index] || sim->apart[to->index][from->index]) {
        stead_world_after(&sim->world, RETRY_NS, try_link, link, life, NULL);
        return;
    }
    link->opening = false;
    open_pipe(&link->pipe);
    stead_world_note(&sim->world, "link up", from->index, to->index, link->pipe.generation);
    stead_sim_host_enter(link->from);
    stead_host_peer_up(link->from->host, to->id, to->incarnation);
    stead_sim_host_poke(link->from);
    while ((message = stead_queue_pop(&link->waiting)) != NULL) {
        send_through(&link->pipe, message);
        stead_message_destroy(&message);
    }
}

static void want_link(struct stead_sim_link *link)
{
    struct stead_world *world = &link->pipe.sim->world;

    link->wanted = true;
    if (link->pipe.open || link->opening)
        return;
    link->opening = true;
    stead_world_after(world, stead_world_delay(world, 2 * link->pipe.sim->plan.link_ns), try_link, link,
                      link->from->node->life, NULL);
}

/* `outside`: not from another reactor of its node. */
static void arrive_at_host(struct stead_sim_host *host, bool outside, struct stead_message **message)
{
    (*message)->received_ns = host->node->sim->world.now_ns + STEAD_SIM_MONO_NS;
    stead_sim_host_enter(host);
    if (outside)
        stead_host_admit(host->host, message);
    else
        stead_host_deliver(host->host, message);
    stead_sim_host_poke(host);
}

static void arrive_by_link(void *self, struct stead_message **message)
{
    struct stead_sim_link *link = self;

    if (link->to->host == NULL)
        stead_message_destroy(message);
    else
        arrive_at_host(link->to, true, message);
}

static void arrive_by_ring(void *self, uint64_t life, void *data)
{
    struct stead_sim_host *host = self;
    struct stead_message *message = data;

    if (host->node->sim->ending || life != host->node->life)
        stead_message_destroy(&message);
    else
        arrive_at_host(host, false, &message);
}

static void send_by_ring(struct stead_sim_host *from, uint16_t reactor, struct stead_message **message)
{
    struct stead_world *world = &from->node->sim->world;
    uint64_t at = world->now_ns + stead_world_delay(world, STEAD_US);

    if (at < from->ring_ns[reactor])
        at = from->ring_ns[reactor];
    from->ring_ns[reactor] = at;
    stead_world_after(world, at - world->now_ns, arrive_by_ring, &from->node->hosts[reactor], from->node->life,
                      *message);
    *message = NULL;
}

void stead_sim_net_send(struct stead_sim_host *from, uint32_t node, uint16_t reactor, struct stead_message **message)
{
    struct stead_sim *sim = from->node->sim;
    struct stead_sim_node *to = stead_sim_node_of(sim, node);

    if (to == NULL || reactor >= sim->plan.reactors)
        stead_world_fail(&sim->world, "a record is sent to reactor %u of node %u, which there is not", reactor, node);
    if (to == from->node) {
        STEAD_ASSERT(reactor != from->index);
        send_by_ring(from, reactor, message);
        return;
    }
    struct stead_sim_link *link = &from->links[to->index][reactor];
    want_link(link);
    if (link->pipe.open)
        send_through(&link->pipe, *message);
    else if (link->waiting.count < WAITING_MAX) {
        stead_queue_push(&link->waiting, *message);
        *message = NULL;
    }
    if (*message != NULL)
        stead_message_destroy(message);
}

void stead_sim_net_break_link(struct stead_sim_link *link)
{
    struct stead_sim *sim = link->pipe.sim;

    if (!link->pipe.open)
        return;
    cut_pipe(&link->pipe, true);
    stead_world_note(&sim->world, "link down", link->from->node->index, link->to->node->index, 0);
    if (link->from->node->phase != STEAD_SIM_DOWN && !sim->ending)
        want_link(link);
}

/* ---- Clients ------------------------------------------------------------------------------------- */

static void push_table(void *self, uint64_t life, void *data)
{
    struct stead_sim_client *client = self;
    struct stead_table *table = data;

    if (!client->sim->ending && life == client->life) {
        stead_sim_client_enter(client);
        stead_client_core_set_table(client->core, table);
        stead_sim_client_settle(client);
    }
    stead_table_release(&table);
}

static void try_connection(void *self, uint64_t life, void *data)
{
    struct stead_sim_connection *connection = self;
    struct stead_sim_client *client = connection->client;
    struct stead_sim_node *node = connection->host->node;
    struct stead_sim *sim = client->sim;

    (void)data;
    if (sim->ending || life != client->life)
        return;
    if (node->phase != STEAD_SIM_UP) {
        stead_world_after(&sim->world, RETRY_NS, try_connection, connection, life, NULL);
        return;
    }
    connection->opening = false;
    open_pipe(&connection->up);
    open_pipe(&connection->down);
    connection->number = ++connection->host->connections;
    connection->table_version = node->table->version;
    stead_world_note(&sim->world, "client up", client->index, node->index, connection->number);
    stead_sim_client_enter(client);
    stead_client_core_set_table(client->core, node->table);
    stead_client_core_peer_up(client->core, node->id, connection->host->index);
    stead_sim_client_settle(client);
}

void stead_sim_net_connect(struct stead_sim_connection *connection)
{
    struct stead_sim *sim = connection->client->sim;

    connection->wanted = true;
    if (connection->up.open || connection->opening)
        return;
    connection->opening = true;
    stead_world_after(&sim->world, stead_world_delay(&sim->world, 2 * sim->plan.link_ns), try_connection, connection,
                      connection->client->life, NULL);
}

void stead_sim_net_request(struct stead_sim_connection *connection, const struct stead_message *message)
{
    if (stead_codec_client_check(message) != 0)
        stead_world_fail(&connection->client->sim->world, "a client sends what clients may not");
    send_through(&connection->up, message);
}

static void arrive_from_client(void *self, struct stead_message **message)
{
    struct stead_sim_connection *connection = self;
    struct stead_sim_host *host = connection->host;
    struct stead_sim *sim = host->node->sim;

    if (host->host == NULL) {
        stead_message_destroy(message);
        return;
    }
    (*message)->groups |= STEAD_GROUP_ROUTE;
    (*message)->route = (struct stead_route){host->node->id, host->index, connection->number};
    if ((*message)->table_version < host->node->table->version &&
        connection->table_version < host->node->table->version) {
        connection->table_version = host->node->table->version;
        stead_world_after(&sim->world, stead_world_delay(&sim->world, sim->plan.link_ns), push_table,
                          connection->client, connection->client->life, stead_table_hold(host->node->table));
    }
    arrive_at_host(host, true, message);
}

static void arrive_at_client(void *self, struct stead_message **message)
{
    struct stead_sim_connection *connection = self;

    stead_sim_client_enter(connection->client);
    stead_client_core_deliver(connection->client->core, message);
    stead_sim_client_settle(connection->client);
}

void stead_sim_net_answer(struct stead_sim_host *from, struct stead_message **message)
{
    struct stead_sim *sim = from->node->sim;
    const struct stead_route *route = &(*message)->route;

    if (((*message)->groups & STEAD_GROUP_ROUTE) == 0 || route->node != from->node->id || route->reactor != from->index)
        stead_world_fail(&sim->world, "an answer leaves at another reactor than its connection's");
    for (uint32_t i = 0; i < STEAD_SIM_CLIENTS_MAX; i++) {
        struct stead_sim_connection *connection = &sim->clients[i].connections[from->node->index][from->index];
        if (sim->clients[i].core != NULL && connection->down.open && connection->number == route->connection)
            send_through(&connection->down, *message);
    }
    stead_message_destroy(message);
}

static void lose_connection(void *self, uint64_t life, void *data)
{
    struct stead_sim_connection *connection = self;
    struct stead_sim_client *client = connection->client;

    (void)data;
    if (client->sim->ending || life != client->life || connection->up.open)
        return;
    stead_sim_client_enter(client);
    stead_client_core_peer_down(client->core, connection->host->node->id, connection->host->index);
    stead_sim_client_settle(client);
}

static void break_connection(struct stead_sim_connection *connection, bool host_died)
{
    struct stead_sim *sim = connection->client->sim;

    if (!connection->up.open)
        return;
    cut_pipe(&connection->up, !host_died);
    cut_pipe(&connection->down, true);
    stead_world_note(&sim->world, "client down", connection->client->index, connection->host->node->index, 0);
    stead_world_after(&sim->world, stead_world_delay(&sim->world, 100 * STEAD_US), lose_connection, connection,
                      connection->client->life, NULL);
}

void stead_sim_net_break_connection(struct stead_sim_connection *connection)
{
    break_connection(connection, false);
}

/* ---- All ------------------------------------------------------------------------------------------- */

void stead_sim_net_break_node(struct stead_sim_node *node)
{
    struct stead_sim *sim = node->sim;

    for (uint32_t n = 0; n < sim->plan.nodes; n++) {
        for (uint32_t r = 0; r < sim->plan.reactors * sim->plan.reactors; r++) {
            struct stead_sim_host *own = &node->hosts[r / sim->plan.reactors];
            struct stead_sim_host *other = &sim->nodes[n].hosts[r % sim->plan.reactors];
            struct stead_sim_link *out = &own->links[n][other->index];
            struct stead_sim_link *in = &other->links[node->index][own->index];
            cut_pipe(&out->pipe, true);
            stead_queue_clear(&out->waiting);
            out->opening = out->wanted = false;
            if (in->pipe.open) {
                cut_pipe(&in->pipe, false);
                if (sim->nodes[n].phase != STEAD_SIM_DOWN)
                    want_link(in);
            }
        }
    }
    for (uint32_t c = 0; c < STEAD_SIM_CLIENTS_MAX; c++)
        for (uint32_t r = 0; r < sim->plan.reactors && sim->clients[c].core != NULL; r++)
            break_connection(&sim->clients[c].connections[node->index][r], true);
}

static void init_link(struct stead_sim *sim, struct stead_sim_host *from, struct stead_sim_host *to)
{
    struct stead_sim_link *link = &from->links[to->node->index][to->index];

    *link = (struct stead_sim_link){.from = from, .to = to};
    link->pipe = (struct stead_sim_pipe){.sim = sim, .self = link, .arrive = arrive_by_link};
}

static void init_connection(struct stead_sim *sim, struct stead_sim_client *client, struct stead_sim_host *host)
{
    struct stead_sim_connection *connection = &client->connections[host->node->index][host->index];

    *connection = (struct stead_sim_connection){.client = client, .host = host};
    connection->up = (struct stead_sim_pipe){.sim = sim, .self = connection, .arrive = arrive_from_client};
    connection->down = (struct stead_sim_pipe){.sim = sim, .self = connection, .arrive = arrive_at_client};
}

void stead_sim_net_init(struct stead_sim *sim)
{
    uint32_t hosts = sim->plan.nodes * sim->plan.reactors;

    for (uint32_t to = 0; to < hosts; to++) {
        struct stead_sim_host *host = &sim->nodes[to / sim->plan.reactors].hosts[to % sim->plan.reactors];
        for (uint32_t from = 0; from < hosts; from++)
            init_link(sim, &sim->nodes[from / sim->plan.reactors].hosts[from % sim->plan.reactors], host);
        for (uint32_t client = 0; client < STEAD_SIM_CLIENTS_MAX; client++)
            init_connection(sim, &sim->clients[client], host);
    }
}

void stead_sim_net_deinit(struct stead_sim *sim)
{
    for (uint32_t n = 0; n < sim->plan.nodes; n++)
        for (uint32_t r = 0; r < sim->plan.reactors; r++)
            for (uint32_t to = 0; to < STEAD_SIM_NODES_MAX * STEAD_SIM_REACTORS_MAX; to++)
                stead_queue_clear(
                    &sim->nodes[n].hosts[r].links[to / STEAD_SIM_REACTORS_MAX][to % STEAD_SIM_REACTORS_MAX].waiting);
}
