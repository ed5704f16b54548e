/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated doors of one host, and what drives it: rounds, clocks and loads.
 *
 * A host is run a little after something was handed to it, so that events gather as they do on a busy reactor. A
 * background load reads the image either when it is asked for or when it is answered, as a loader thread may: the core
 * must be right both ways. Jobs have a file of their own (sim_jobs.c).
 */
#include <stdarg.h>
#include <stdlib.h>

#include "net/codec.h"
#include "runtime/rows.h"
#include "tests/sim/sim.h"

#define IDLE_ROUNDS_MAX 5000u

/* ---- Clocks and rounds ------------------------------------------------------------------------- */

uint64_t stead_sim_host_wall_ms(const struct stead_sim_host *host)
{
    const struct stead_sim *sim = host->node->sim;

    return STEAD_SIM_WALL_MS + sim->world.now_ns / STEAD_MS + sim->leapt_ms + (uint64_t)host->node->jump_ms;
}

void stead_sim_host_enter(struct stead_sim_host *host)
{
    stead_host_set_now(host->host, host->node->sim->world.now_ns + STEAD_SIM_MONO_NS, stead_sim_host_wall_ms(host));
}

/* A host that asks for round after round must get somewhere. */
static void check_progress(struct stead_sim_host *host, bool more)
{
    struct stead_world *world = &host->node->sim->world;

    host->idle_rounds = more && host->noted == world->hash ? host->idle_rounds + 1 : 0;
    host->noted = world->hash;
    if (host->idle_rounds > IDLE_ROUNDS_MAX)
        stead_world_fail(world, "node %s, reactor %u turns round and round and does nothing", host->node->name,
                         (unsigned)host->index);
}

static void run_round(void *self, uint64_t life, void *data)
{
    struct stead_sim_host *host = self;

    (void)data;
    if (life != host->node->life || host->host == NULL)
        return;
    host->run_planned = false;
    stead_sim_host_enter(host);
    bool more = stead_host_run(host->host);
    const char *why;
    if (stead_host_failed(host->host, &why) != 0) {
        stead_world_note_text(&host->node->sim->world, "failed", host->node->index, why);
        host->doomed = true;
    }
    if (host->doomed) {
        stead_sim_node_crash(host->node, false);
        stead_sim_plan_start(host->node);
        return;
    }
    stead_host_check(host->host);
    check_progress(host, more);
    if (more)
        stead_sim_host_poke(host);
}

void stead_sim_host_poke(struct stead_sim_host *host)
{
    struct stead_world *world = &host->node->sim->world;

    if (host->run_planned)
        return;
    host->run_planned = true;
    stead_world_after(world, stead_world_delay(world, host->node->sim->plan.lag_ns), run_round, host, host->node->life,
                      NULL);
}

static void wake(void *self, uint64_t life, void *data)
{
    struct stead_sim_host *host = self;

    (void)data;
    if (life != host->node->life || host->host == NULL || host->armed_ns > host->node->sim->world.now_ns)
        return;
    host->armed_ns = UINT64_MAX;
    stead_sim_host_poke(host);
}

static void door_arm(void *self, uint64_t deadline_ns)
{
    struct stead_sim_host *host = self;
    struct stead_world *world = &host->node->sim->world;
    uint64_t at = deadline_ns <= STEAD_SIM_MONO_NS + world->now_ns ? world->now_ns : deadline_ns - STEAD_SIM_MONO_NS;

    if (at >= host->armed_ns)
        return;
    host->armed_ns = at;
    stead_world_after(world, at - world->now_ns, wake, host, host->node->life, NULL);
}

/* ---- Persist -------------------------------------------------------------------------------------- */

static void door_append(void *self, uint32_t shard, uint64_t index, struct stead_writer *entry)
{
    stead_sim_disk_append(self, shard, index, entry);
}

static void door_write_rows(void *self, uint32_t shard, uint64_t applied, struct stead_writer *mutations)
{
    stead_sim_disk_rows(self, shard, applied, mutations);
}

static void door_trim_log(void *self, uint32_t shard, uint64_t index)
{
    stead_sim_disk_trim(((struct stead_sim_host *)self)->node, shard, index);
}

/* Waits for the disk with its answer already read, or still to be read. */
struct pending_load {
    struct stead_load *load;
    bool was_read;
};

static void read_load(struct stead_sim_host *host, struct stead_load *load)
{
    if (stead_store_load(host->node->store, STEAD_STORE_ANY, load) != 0)
        stead_world_fail(&host->node->sim->world, "the store refuses a load");
}

static void finish_load(void *self, uint64_t life, void *data)
{
    struct stead_sim_host *host = self;
    struct pending_load *pending = data;

    if (life != host->node->life || host->host == NULL) {
        stead_load_destroy(&pending->load);
    } else {
        host->loads--;
        if (!pending->was_read)
            read_load(host, pending->load);
        if (!host->node->sim->calm &&
            stead_world_chance(&host->node->sim->world, host->node->sim->plan.bad_load_permille))
            pending->load->ret_code = STEAD_EIO;
        stead_sim_host_enter(host);
        stead_host_loaded(host->host, &pending->load);
        stead_sim_host_poke(host);
    }
    free(pending);
}

static void door_load(void *self, struct stead_load *load)
{
    struct stead_sim_host *host = self;
    struct stead_world *world = &host->node->sim->world;
    struct pending_load *pending = stead_alloc(sizeof *pending);
    bool cold = stead_world_chance(world, host->node->sim->plan.cold_permille);

    pending->load = load;
    pending->was_read = stead_world_chance(world, 500);
    if (pending->was_read)
        read_load(host, load);
    host->loads++;
    stead_world_after(world, stead_world_delay(world, cold ? host->node->sim->plan.disk_ns : STEAD_US), finish_load,
                      host, host->node->life, pending);
}

/* A read of the runtime's own rows that fails. What a turn reads of its keyed state fails that turn alone, and a
 * message that was lost so is a dead letter, not an error: those are for the unit tests. */
static bool is_bad_read(struct stead_sim_host *host, struct stead_slice key)
{
    struct stead_row_parsed row;
    struct stead_sim *sim = host->node->sim;

    if (host->node->bad_read_permille == 0 || sim->calm)
        return false;
    if (stead_row_parse(key, &row) == 0 && row.row_class == STEAD_ROW_PART && row.part == STEAD_PART_KV)
        return false;
    return stead_world_chance(&sim->world, host->node->bad_read_permille);
}

/* A scan that fails behind some of its rows. */
struct bad_scan {
    stead_row_visit_fn *visit;
    void *context;
    uint64_t left; /* rows that are shown before it fails */
    bool failed;
};

static int visit_before(void *context, struct stead_slice key, struct stead_slice value)
{
    struct bad_scan *scan = context;

    scan->failed = scan->left == 0;
    if (scan->failed)
        return 1;
    scan->left--;
    return scan->visit(scan->context, key, value);
}

static int door_get(void *self, struct stead_slice key, struct stead_writer *ret_value)
{
    if (is_bad_read(self, key))
        return STEAD_EIO;
    return stead_store_get(((struct stead_sim_host *)self)->node->store, key, STEAD_STORE_ANY, ret_value);
}

static int door_scan(void *self, struct stead_slice from, struct stead_slice to, bool reverse,
                     stead_row_visit_fn *visit, void *context)
{
    struct stead_sim_host *host = self;

    if (!is_bad_read(host, from))
        return stead_store_scan(host->node->store, from, to, reverse, STEAD_STORE_ANY, visit, context);
    struct bad_scan scan = {.visit = visit, .context = context, .left = stead_world_below(&host->node->sim->world, 3)};
    int code = stead_store_scan(host->node->store, from, to, reverse, STEAD_STORE_ANY, visit_before, &scan);
    return code == 0 || scan.failed ? STEAD_EIO : code;
}

/* A scan of many ranges that fails before one of them. */
struct bad_ranges {
    stead_row_range_fn *next;
    stead_row_visit_fn *visit;
    void *context;
    uint64_t left; /* ranges that are looked through before it fails */
    bool failed;
};

static bool next_before(void *context, struct stead_slice *ret_from, struct stead_slice *ret_to)
{
    struct bad_ranges *scan = context;

    if (!scan->next(scan->context, ret_from, ret_to))
        return false;
    scan->failed = scan->left == 0;
    scan->left--;
    return !scan->failed;
}

static int visit_of_range(void *context, struct stead_slice key, struct stead_slice value)
{
    struct bad_ranges *scan = context;

    return scan->visit(scan->context, key, value);
}

static int door_scan_ranges(void *self, stead_row_range_fn *next, stead_row_visit_fn *visit, void *context)
{
    struct stead_sim_host *host = self;

    if (!is_bad_read(host, (struct stead_slice){0}))
        return stead_store_scan_ranges(host->node->store, next, visit, context);
    struct bad_ranges scan = {
        .next = next, .visit = visit, .context = context, .left = stead_world_below(&host->node->sim->world, 2048)};
    int code = stead_store_scan_ranges(host->node->store, next_before, visit_of_range, &scan);
    return code == 0 && scan.failed ? STEAD_EIO : code;
}

static int door_read_entry(void *self, uint32_t shard, uint64_t index, struct stead_writer *ret_entry)
{
    return stead_store_log_get(((struct stead_sim_host *)self)->node->store, shard, index, ret_entry);
}

/* ---- Speak ---------------------------------------------------------------------------------------- */

static void door_send(void *self, uint32_t node, uint16_t reactor, struct stead_message **message)
{
    stead_sim_net_send(self, node, reactor, message);
}

static void door_answer(void *self, struct stead_message **message)
{
    stead_sim_net_answer(self, message);
}

/* ---- Records --------------------------------------------------------------------------------------- */

static void door_encode(const struct stead_message *message, struct stead_writer *writer)
{
    size_t size = stead_codec_size(message);
    uint8_t *bytes = stead_alloc(size);

    STEAD_ASSERT(stead_codec_encode(message, bytes) == size);
    stead_write_raw(writer, bytes, size);
    free(bytes);
}

static int door_decode(struct stead_slice record, struct stead_message **ret_message)
{
    const struct stead_codec_limits limits = {.payload_bytes_max = STEAD_WIRE_PAYLOAD_MAX};

    return stead_codec_decode(record, &limits, ret_message, NULL);
}

/* ---- The rest --------------------------------------------------------------------------------------- */

/* Virtual time stands still within an event: nothing may depend on it. */
static uint64_t door_clock(void *self)
{
    return ((struct stead_sim_host *)self)->node->sim->world.now_ns + STEAD_SIM_MONO_NS;
}

uint32_t stead_sim_doom(struct stead_sim *sim, const char *address)
{
    struct stead_sim_host *host = NULL;
    uint32_t at = 0;

    for (uint32_t i = 0; i < sim->plan.nodes * sim->plan.reactors; i++)
        if (strcmp(sim->nodes[i / sim->plan.reactors].hosts[i % sim->plan.reactors].marked, address) == 0)
            host = &sim->nodes[i / sim->plan.reactors].hosts[i % sim->plan.reactors];
    if (host == NULL)
        stead_world_fail(&sim->world, "the turn of %s is not marked", address);
    host->doomed = true;
    while (at < sim->kill_count && !stead_id_equal(sim->kills[at].message, host->marked_id))
        at++;
    STEAD_ASSERT(at < STEAD_SIM_KILLS_MAX);
    if (at == sim->kill_count)
        sim->kills[sim->kill_count++] = (struct stead_sim_kill){host->marked_id, 0};
    stead_world_note(&sim->world, "doomed", host->node->index, at, sim->kills[at].count);
    return sim->kills[at].count++;
}

static void door_turn_mark(void *self, const struct stead_turn_mark *mark)
{
    struct stead_sim_host *host = self;

    stead_format(host->marked, sizeof host->marked, "%.*s", mark == NULL ? 0 : (int)mark->address.size,
                 mark == NULL ? "" : (const char *)mark->address.data);
    if (mark != NULL)
        host->marked_id = mark->id;
}

static int door_zone(void *self, const char *name, struct stead_writer *ret_tzif)
{
    static const char rule[] = "\nSIM0SUM-1,J319/2,J320/3\n"; /* the 319th and 320th day of a year of 365 */
    uint8_t head[44 + 44 + 6 + 1] = {0};                      /* two headers, one type of 6 bytes with a name of one */

    (void)self;
    if (strcmp(name, STEAD_SIM_ZONE) != 0)
        return STEAD_ENOTFOUND;
    memcpy(head, "TZif2", 5);
    memcpy(head + 44, "TZif2", 5);
    head[44 + 39] = 1; /* types */
    head[44 + 43] = 1; /* bytes of names */
    stead_write_raw(ret_tzif, head, sizeof head);
    stead_write_raw(ret_tzif, rule, sizeof rule - 1);
    return 0;
}

static void door_trace(void *self, int level, const char *line)
{
    struct stead_sim_host *host = self;

    if (level == STEAD_TRACE_ERROR && !host->node->sim->plan.alone && strncmp(line, "history lost", 12) == 0)
        stead_world_fail(&host->node->sim->world, "node %u: %s", host->node->index + 1, line);
    stead_world_note_text(&host->node->sim->world, level == STEAD_TRACE_ERROR ? "ERROR" : "log", host->node->index,
                          line);
}

void stead_sim_host_doors(struct stead_sim_host *host, struct stead_doors *ret_doors)
{
    *ret_doors = (struct stead_doors){
        .self = host,
        .append = door_append,
        .write_rows = door_write_rows,
        .trim_log = door_trim_log,
        .load = door_load,
        .get = door_get,
        .scan = door_scan,
        .scan_ranges = door_scan_ranges,
        .read_entry = door_read_entry,
        .send = door_send,
        .answer = door_answer,
        .run_job = stead_sim_jobs_run,
        .cancel_job = stead_sim_jobs_cancel,
        .encode = door_encode,
        .decode = door_decode,
        .clock = door_clock,
        .arm = door_arm,
        .turn_mark = door_turn_mark,
        .zone = door_zone,
        .trace = door_trace,
    };
}
