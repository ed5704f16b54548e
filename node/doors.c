/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doors: what the core asks of the world (struct stead_doors), done by the node; and what the network tells its
 * reactor.
 *
 * Everything that takes time goes elsewhere and comes back through the inbox: appends and rows to the log writer, loads
 * to the loader, jobs to the job threads. A record goes one of three ways: to a client of this reactor, to another
 * reactor of this node (a ring, never a socket), or to another node. Nothing is delivered from inside a door: the host
 * is in the middle of its effects then (L3 in reactor.c).
 *
 * Records that the core never sees: heartbeats (they carry the load of a node, which every reactor of ours is told) and
 * queries about the whole node (queries.c).
 */
#include "node/reactor_parts.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/codec.h"
#include "node/log.h"
#include "runtime/address.h"
#include "runtime/base.h"

#define ZONE_FOLDER "/usr/share/zoneinfo"
#define ZONE_BYTES_MAX (1u << 20)

/* ---- Persist -------------------------------------------------------------------------------- */

static void append(void *self, uint32_t shard, uint64_t index, struct stead_writer *entry)
{
    struct stead_reactor *reactor = self;

    stead_log_writer_append(reactor->shell->writer, reactor->index, shard, index, entry);
}

static void write_rows(void *self, uint32_t shard, uint64_t applied, struct stead_writer *mutations)
{
    struct stead_reactor *reactor = self;

    stead_log_writer_write_rows(reactor->shell->writer, reactor->index, shard, applied, mutations);
}

/* The journal is read from the log, so entries stay for a while after the image has them: as long as there is room. */
static void trim_log(void *self, uint32_t shard, uint64_t index)
{
    struct stead_reactor *reactor = self;
    uint64_t kept = atomic_load(&reactor->shell->journal_kept);

    if (index > kept)
        stead_log_writer_trim(reactor->shell->writer, shard, index - kept);
}

static void load(void *self, struct stead_load *it)
{
    struct stead_reactor *reactor = self;

    if (!stead_loader_load(reactor->shell->loader, &reactor->inbox, &it))
        return;
    it->next = NULL;
    if (reactor->loaded)
        reactor->loaded_newest->next = it;
    else
        reactor->loaded = it;
    reactor->loaded_newest = it;
}

static int get(void *self, struct stead_slice key, struct stead_writer *ret_value)
{
    struct stead_reactor *reactor = self;

    return stead_store_get(reactor->shell->store, key, STEAD_STORE_ANY, ret_value);
}

static int scan(void *self, struct stead_slice from, struct stead_slice to, bool reverse, stead_row_visit_fn *visit,
                void *context)
{
    struct stead_reactor *reactor = self;

    return stead_store_scan(reactor->shell->store, from, to, reverse, STEAD_STORE_ANY, visit, context);
}

static int scan_ranges(void *self, stead_row_range_fn *next, stead_row_visit_fn *visit, void *context)
{
    struct stead_reactor *reactor = self;

    return stead_store_scan_ranges(reactor->shell->store, next, visit, context);
}

static int read_entry(void *self, uint32_t shard, uint64_t index, struct stead_writer *ret_entry)
{
    struct stead_reactor *reactor = self;

    return stead_store_log_get(reactor->shell->store, shard, index, ret_entry);
}

/* ---- Speak ---------------------------------------------------------------------------------- */

void stead_reactor_cross(struct stead_reactor *reactor, uint16_t to, struct stead_message **message)
{
    if (to >= reactor->shell->reactor_count) {
        stead_message_destroy(message); /* a table of before a restart with fewer reactors */
        return;
    }
    stead_crossing_send(&reactor->crossings[to], message);
}

static void send(void *self, uint32_t node, uint16_t to, struct stead_message **message)
{
    struct stead_reactor *reactor = self;

    if (node == reactor->shell->node)
        stead_reactor_cross(reactor, to, message);
    else
        stead_transport_send(reactor->transport, node, to, message);
}

static void answer(void *self, struct stead_message **message)
{
    struct stead_reactor *reactor = self;

    if (!stead_reactor_query_gather(reactor, message))
        stead_transport_answer(reactor->transport, message);
}

/* ---- Jobs and the rest ---------------------------------------------------------------------- */

static void run_job(void *self, const struct stead_kind *kind, const struct stead_op *op,
                    struct stead_message **request)
{
    struct stead_reactor *reactor = self;

    stead_jobs_run(reactor->shell->jobs, &reactor->inbox, kind, op, request, &reactor->jobs);
}

static void cancel_job(void *self, struct stead_id id)
{
    struct stead_reactor *reactor = self;

    stead_jobs_cancel_one(reactor->shell->jobs, id);
}

/* The earliest wish since the last one fell due: a later one never takes an earlier one back. */
static void arm(void *self, uint64_t deadline_ns)
{
    struct stead_reactor *reactor = self;

    if (deadline_ns < reactor->armed_ns)
        reactor->armed_ns = deadline_ns;
}

static void turn_mark(void *self, const struct stead_turn_mark *mark)
{
    struct stead_reactor *reactor = self;

    stead_turnmarks_set(reactor->shell->marks, reactor->index, mark);
}

static void trace(void *self, int level, const char *line)
{
    struct stead_reactor *reactor = self;

    stead_log_event((enum stead_trace_level)level, "core", line, "reactor=%u", reactor->index);
}

/* Names of zones come from agents: letters and the four signs that IANA uses, no dots, so no way out of the folder. */
static bool zone_name_is_good(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-/";
    size_t size = strlen(name);

    return size > 0 && size < sizeof((struct stead_reactor_zone *)0)->name && name[0] != '/' &&
           strspn(name, letters) == size;
}

static void read_zone(const char *name, struct stead_writer *ret_bytes)
{
    char path[sizeof ZONE_FOLDER + sizeof((struct stead_reactor_zone *)0)->name + 1];
    uint8_t block[4096];
    struct stat status;
    ssize_t got;

    snprintf(path, sizeof path, ZONE_FOLDER "/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= ZONE_BYTES_MAX) {
        while ((got = read(fd, block, sizeof block)) > 0)
            stead_write_raw(ret_bytes, block, (size_t)got);
    }
    close(fd);
}

/* Zones are read once: a file read within a turn is rare, and the list of zones is short. In a full cache the entry
 * that the name's hash points at is given up. */
static struct stead_reactor_zone *zone_entry(struct stead_reactor *reactor, const char *name)
{
    uint64_t place = stead_hash(name, strlen(name)) % STEAD_REACTOR_ZONES_MAX;

    for (uint32_t i = 0; i < STEAD_REACTOR_ZONES_MAX; i++) {
        if (strcmp(reactor->zones[i].name, name) == 0)
            return &reactor->zones[i];
        if (!reactor->zones[i].name[0]) {
            stead_writer_init(&reactor->zones[i].bytes);
            place = i;
            break;
        }
    }
    struct stead_reactor_zone *entry = &reactor->zones[place];
    stead_writer_reset(&entry->bytes);
    snprintf(entry->name, sizeof entry->name, "%s", name);
    read_zone(name, &entry->bytes);
    return entry;
}

static int zone(void *self, const char *name, struct stead_writer *ret_tzif)
{
    struct stead_reactor *reactor = self;

    if (!zone_name_is_good(name))
        return STEAD_ENOTFOUND;
    const struct stead_reactor_zone *entry = zone_entry(reactor, name);
    if (entry->bytes.size == 0)
        return STEAD_ENOTFOUND;
    stead_write_raw(ret_tzif, entry->bytes.data, entry->bytes.size);
    return 0;
}

void stead_reactor_zones_deinit(struct stead_reactor *reactor)
{
    for (uint32_t i = 0; i < STEAD_REACTOR_ZONES_MAX; i++) {
        if (reactor->zones[i].name[0])
            stead_writer_deinit(&reactor->zones[i].bytes);
    }
}

/* ---- Records -------------------------------------------------------------------------------- */

static void encode(const struct stead_message *message, struct stead_writer *writer)
{
    uint8_t small[1024];
    size_t size = stead_codec_size(message);
    uint8_t *bytes = size <= sizeof small ? small : stead_alloc(size);

    stead_write_raw(writer, bytes, stead_codec_encode(message, bytes));
    if (bytes != small)
        free(bytes);
}

/* A stored record was within the limits when it was taken: a setting lowered since must not make it unreadable. */
static int decode(struct stead_slice record, struct stead_message **ret_message)
{
    const struct stead_codec_limits limits = {.payload_bytes_max = STEAD_WIRE_PAYLOAD_MAX};

    return stead_codec_decode(record, &limits, ret_message, NULL);
}

static uint64_t read_clock(void *self)
{
    (void)self;
    return stead_shell_mono_ns();
}

struct stead_doors stead_reactor_doors(struct stead_reactor *reactor)
{
    return (struct stead_doors){
        .self = reactor,
        .append = append,
        .write_rows = write_rows,
        .trim_log = trim_log,
        .load = load,
        .get = get,
        .scan = scan,
        .scan_ranges = scan_ranges,
        .read_entry = read_entry,
        .send = send,
        .answer = answer,
        .run_job = run_job,
        .cancel_job = cancel_job,
        .encode = encode,
        .decode = decode,
        .clock = read_clock,
        .arm = arm,
        .turn_mark = turn_mark,
        .zone = zone,
        .trace = trace,
    };
}

/* ---- What the network says ------------------------------------------------------------------ */

/* A peer's load, for every reactor of this node. */
static void take_heartbeat(struct stead_reactor *reactor, const struct stead_message *message)
{
    struct stead_slice payload = stead_message_payload(message);
    struct stead_event event = {.type = STEAD_EVENT_PEER_LOAD};
    uint64_t node = 0;

    if (stead_get_u64(payload, "node", &node) != 0 || stead_get_u64(payload, "load", &event.number) != 0 ||
        node > UINT32_MAX || event.number > UINT32_MAX)
        return; /* a heartbeat of a later version that says other things */
    event.shard = (uint32_t)node;
    for (uint32_t i = 0; i < reactor->shell->reactor_count; i++)
        stead_reactor_post(reactor->shell->reactors[i], &event);
}

static void on_message(void *self, struct stead_message **message)
{
    struct stead_reactor *reactor = self;

    if ((*message)->type == STEAD_HEARTBEAT) {
        take_heartbeat(reactor, *message);
        stead_message_destroy(message);
    } else if ((*message)->type == STEAD_QUERY && (*message)->address_size == 0) {
        stead_reactor_query(reactor, message);
    } else {
        stead_host_admit(reactor->host, message);
    }
}

void stead_reactor_arrive(struct stead_reactor *reactor, struct stead_message **message)
{
    if (!stead_reactor_query_gather(reactor, message))
        stead_host_deliver(reactor->host, message);
}

static void on_peer_up(void *self, uint32_t node, uint64_t incarnation, uint16_t peer_reactor)
{
    struct stead_reactor *reactor = self;

    stead_log_event(STEAD_TRACE_DEBUG, "peer_up", NULL, "reactor=%u node=%u peer_reactor=%u incarnation=%llu",
                    reactor->index, node, peer_reactor, (unsigned long long)incarnation);
    stead_host_peer_up(reactor->host, node, incarnation);
}

static void on_peer_down(void *self, uint32_t node, uint16_t peer_reactor)
{
    struct stead_reactor *reactor = self;

    stead_log_event(STEAD_TRACE_DEBUG, "peer_down", NULL, "reactor=%u node=%u peer_reactor=%u", reactor->index, node,
                    peer_reactor);
}

void stead_reactor_take_table(struct stead_reactor *reactor, struct stead_table **table)
{
    struct stead_writer bytes;

    if (reactor->table && reactor->table->version >= (*table)->version) {
        stead_table_release(table);
        return;
    }
    stead_table_release(&reactor->table);
    reactor->table = *table;
    *table = NULL;
    stead_host_set_table(reactor->host, reactor->table);
    stead_writer_init(&bytes);
    stead_table_encode(reactor->table, &bytes);
    stead_transport_set_table(reactor->transport, reactor->table->version, reactor->table->cluster,
                              stead_written(&bytes));
    stead_writer_deinit(&bytes);
}

/* A peer may know a newer table than the coordinator has told us; while the coordinator is down it is the only one who
 * can. */
static void on_table(void *self, struct stead_slice bytes)
{
    struct stead_reactor *reactor = self;
    struct stead_table *table;

    if (stead_table_decode(bytes, &table) != 0)
        return;
    if (!reactor->table || !stead_id_equal(table->cluster, reactor->table->cluster) ||
        table->version <= reactor->table->version) {
        stead_table_release(&table);
        return;
    }
    for (uint32_t i = 0; i < reactor->shell->reactor_count; i++) {
        struct stead_event event = {.type = STEAD_EVENT_TABLE, .pointer = stead_table_hold(table)};
        stead_reactor_post(reactor->shell->reactors[i], &event);
    }
    stead_table_release(&table);
}

static const char *endpoint_of(void *self, uint32_t node, uint16_t peer_reactor)
{
    const struct stead_reactor *reactor = self;
    const struct stead_table_node *it = reactor->table ? stead_table_node_find(reactor->table, node) : NULL;

    return it && peer_reactor < it->reactor_count ? it->endpoints[peer_reactor] : NULL;
}

static void watch(void *self, int fd, bool add)
{
    const struct stead_reactor *reactor = self;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    if (epoll_ctl(reactor->epoll, add ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, fd, &event) != 0 && add)
        stead_log_event(STEAD_TRACE_ERROR, "watch_failed", "a socket cannot be watched", "reactor=%u fd=%d",
                        reactor->index, fd);
}

struct stead_transport_events stead_reactor_network(struct stead_reactor *reactor)
{
    return (struct stead_transport_events){
        .self = reactor,
        .message = on_message,
        .peer_up = on_peer_up,
        .peer_down = on_peer_down,
        .table = on_table,
        .endpoint = endpoint_of,
        .watch = watch,
        .trace = trace,
    };
}

void stead_reactor_beat(struct stead_reactor *reactor)
{
    struct stead_shell *shell = reactor->shell;
    const struct stead_table *table = reactor->table;
    struct stead_writer payload;

    stead_writer_init(&payload);
    stead_pack(&payload, "{s:u,s:u,s:u}", "node", (uint64_t)shell->node, "load",
               (uint64_t)stead_jobs_count(shell->jobs), "table", table->version);
    for (uint32_t i = 0; i < table->node_count; i++) {
        if (table->nodes[i].id == shell->node || !table->nodes[i].alive)
            continue;
        struct stead_message_parts parts = {.payload = stead_written(&payload)};
        struct stead_message *message = stead_message_create(STEAD_HEARTBEAT, &parts);
        message->slot = (stead_slot){STEAD_SLOT_NODE};
        message->source_slot = (stead_slot){STEAD_SLOT_NODE};
        message->table_version = table->version;
        stead_transport_send(reactor->transport, table->nodes[i].id, 0, &message);
    }
    stead_writer_deinit(&payload);
}
