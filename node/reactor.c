/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reactor: the loop that joins one host of the core to sockets, disk and threads.
 *
 *     look at the clock
 *     take: network, inbox (completions, orders), rings (other reactors), loads answered from memory
 *     run the host: turns, then its effects through the doors          (doors.c)
 *     give: what crossed to other reactors, one bell each; the network's frames
 *     nothing left anywhere: arm the bell, look once more, sleep in epoll
 *
 * Everything is taken in batches, and one round looks at everything once: under load a round costs a few system calls
 * however many messages are in it, and a sleeping reactor costs none at all. It sleeps without a time limit unless the
 * host armed one, there are connections to look after, or a stop is under way. A host that has more to do (its rounds
 * are bounded) is run again after a look at the sockets, so a long queue cannot keep new messages out.
 *
 * When the log writer falls behind by more than writer_bytes_max, the sockets are not read until it has caught up:
 * memory is bounded by making the senders wait, which is what their own queues are for.
 *
 * Invariants: L1 the host is touched by this thread only, between start and join. L2 the reactor never sleeps with an
 * event in its inbox, a message in a ring, an answered load or a due deadline: the bell is armed before the last look.
 * L3 no door delivers into the host that called it.
 */
#define _GNU_SOURCE /* pthread_setname_np, pthread_clockjoin_np */
#include "node/reactor_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "node/culprit.h"
#include "node/log.h"
#include "node/signals.h"
#include "runtime/base.h"

#define EPOLL_EVENTS 64
#define RING_BATCH 256u                  /* messages taken from one ring in a round */
#define CROSSING_BYTES_MAX (64ull << 20) /* waiting for one reactor beside the ring */
#define THROTTLE_NS 2000000ull           /* and are looked at again after this */
#define TICK_NS 1000000000ull            /* between looks at connections */

/* ---- Life ----------------------------------------------------------------------------------- */

static int watch_fd(struct stead_reactor *reactor, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    return epoll_ctl(reactor->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : STEAD_EIO;
}

static int open_fds(struct stead_reactor *reactor, char *ret_why)
{
    reactor->epoll = epoll_create1(EPOLL_CLOEXEC);
    reactor->timer = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    int code = stead_inbox_init(&reactor->inbox);
    if (code == 0 && reactor->epoll >= 0 && reactor->timer >= 0) {
        code = watch_fd(reactor, reactor->timer);
        if (code == 0)
            code = watch_fd(reactor, reactor->inbox.bell.fd);
        if (code == 0)
            return 0;
    }
    snprintf(ret_why, STEAD_SHELL_WHY_SIZE, "reactor %u: no file descriptors: %s", reactor->index, strerror(errno));
    return STEAD_EIO;
}

static int open_transport(struct stead_reactor *reactor, char *ret_why)
{
    const struct stead_node_config *config = reactor->shell->config;
    char endpoint[STEAD_CONFIG_ENDPOINT_MAX + 1];
    char why[256] = "";

    stead_config_endpoint(config, reactor->index, endpoint);
    struct stead_transport_options options = {
        .context = reactor->shell->zmq,
        .endpoint = endpoint,
        .insecure_listen_anywhere = config->insecure_listen_anywhere,
        .node_name = config->name,
        .reactor = reactor->index,
        .payload_bytes_max = config->settings.payload_bytes_max,
        .queue_bytes_max = config->queue_bytes_max,
        .events = stead_reactor_network(reactor),
    };
    int code = stead_transport_create(&options, &reactor->transport, why);
    if (code != 0)
        snprintf(ret_why, STEAD_SHELL_WHY_SIZE, "%s", why[0] ? why : stead_error_sentence(code));
    return code;
}

static void open_crossings(struct stead_reactor *reactor)
{
    struct stead_shell *shell = reactor->shell;

    reactor->crossings = stead_alloc_zero(shell->reactor_count * sizeof reactor->crossings[0]);
    for (uint32_t to = 0; to < shell->reactor_count; to++) {
        reactor->crossings[to] = (struct stead_crossing){
            .ring = shell->rings[reactor->index * shell->reactor_count + to], .bytes_max = CROSSING_BYTES_MAX};
    }
}

int stead_reactor_create(struct stead_shell *shell, uint16_t index, struct stead_reactor **ret_reactor, char *ret_why)
{
    struct stead_reactor *reactor = stead_alloc_zero(sizeof *reactor);

    reactor->shell = shell;
    reactor->index = index;
    reactor->epoll = reactor->timer = reactor->inbox.bell.fd = -1;
    reactor->armed_ns = reactor->timer_ns = reactor->tick_ns = UINT64_MAX;
    open_crossings(reactor);
    int code = open_fds(reactor, ret_why);
    if (code == 0)
        code = open_transport(reactor, ret_why);
    if (code != 0) {
        stead_reactor_destroy(&reactor);
        return code;
    }
    *ret_reactor = reactor;
    return 0;
}

const char *stead_reactor_endpoint(const struct stead_reactor *reactor)
{
    return stead_transport_endpoint(reactor->transport);
}

void stead_reactor_post(struct stead_reactor *reactor, const struct stead_event *event)
{
    stead_inbox_post(&reactor->inbox, event);
}

struct stead_inbox *stead_reactor_inbox(struct stead_reactor *reactor)
{
    return &reactor->inbox;
}

static uint64_t host_seed(const struct stead_reactor *reactor)
{
    struct stead_rng rng;

    stead_rng_seed(&rng, stead_shell_mono_ns() ^ ((uint64_t)getpid() << 32) ^ reactor->index);
    return stead_rng_next(&rng) ^ stead_shell_wall_ms();
}

static void open_host(struct stead_reactor *reactor)
{
    struct stead_shell *shell = reactor->shell;
    struct stead_doors doors = stead_reactor_doors(reactor);
    struct stead_host_options options = {
        .node = shell->node,
        .node_incarnation = shell->incarnation,
        .node_name = shell->config->name,
        .reactor = reactor->index,
        .seed = host_seed(reactor),
        .registry = shell->registry,
        .settings = &shell->config->settings,
        .doors = &doors,
    };
    struct stead_turnmark_suspect suspect;

    reactor->host = stead_host_create(&options);
    for (uint32_t to = 0; to < shell->reactor_count; to++)
        reactor->crossings[to].pool = stead_host_message_pool(reactor->host);
    stead_host_set_now(reactor->host, stead_shell_mono_ns(), stead_shell_wall_ms());
    for (uint32_t i = 0; stead_turnmarks_suspect(shell->marks, i, &suspect); i++)
        stead_host_suspect(reactor->host, suspect.id, suspect.kills);
}

static void *run_thread(void *context);

int stead_reactor_start(struct stead_reactor *reactor)
{
    sigset_t before, all = stead_signals_of_others();

    open_host(reactor);
    stead_transport_identify(reactor->transport, reactor->shell->node, reactor->shell->incarnation);
    atomic_fetch_add(&reactor->shell->running, 1);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&reactor->thread, NULL, run_thread, reactor);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code != 0) {
        atomic_fetch_sub(&reactor->shell->running, 1);
        return STEAD_ENOMEM;
    }
    reactor->thread_started = true;
    return 0;
}

bool stead_reactor_join(struct stead_reactor *reactor, const struct timespec *until)
{
    if (reactor->thread_started && pthread_clockjoin_np(reactor->thread, NULL, CLOCK_MONOTONIC, until) != 0)
        return false;
    reactor->thread_started = false;
    return true;
}

/* Frees what an event that nobody took any more points to. */
static void discard_event(struct stead_event *event)
{
    struct stead_load *load = event->pointer;
    struct stead_job *job = event->pointer;
    struct stead_table *table = event->pointer;
    struct stead_message *message = event->pointer;

    if (event->type == STEAD_EVENT_LOADED)
        stead_load_destroy(&load);
    else if (event->type == STEAD_EVENT_JOB_DONE)
        stead_job_destroy(&job);
    else if (event->type == STEAD_EVENT_TABLE)
        stead_table_release(&table);
    else if (event->type == STEAD_EVENT_QUERY || event->type == STEAD_EVENT_ANSWER ||
             event->type == STEAD_EVENT_HEARTBEAT)
        stead_message_destroy(&message);
    free(event);
}

static void discard_waiting(struct stead_reactor *reactor)
{
    struct stead_event *event = stead_inbox_take(&reactor->inbox);

    while (event) {
        struct stead_event *next = event->next;
        discard_event(event);
        event = next;
    }
    while (reactor->loaded) {
        struct stead_load *load = reactor->loaded;
        reactor->loaded = load->next;
        stead_load_destroy(&load);
    }
    for (uint32_t to = 0; to < reactor->shell->reactor_count; to++)
        stead_crossing_deinit(&reactor->crossings[to]);
}

void stead_reactor_destroy(struct stead_reactor **reactor)
{
    struct stead_reactor *it = *reactor;

    if (!it)
        return;
    STEAD_ASSERT(!it->thread_started);
    if (it->host) { /* agents that are in memory leave it: code of their kinds runs once more */
        stead_culprit_reactor(it->shell->marks, it->index);
        stead_host_destroy(&it->host);
        stead_culprit_reactor_end();
    }
    discard_waiting(it);
    stead_reactor_queries_deinit(it);
    stead_reactor_zones_deinit(it);
    if (it->transport)
        stead_transport_destroy(&it->transport);
    stead_table_release(&it->table);
    stead_inbox_deinit(&it->inbox);
    if (it->timer >= 0)
        close(it->timer);
    if (it->epoll >= 0)
        close(it->epoll);
    free(it->crossings);
    free(it);
    *reactor = NULL;
}

/* ---- Taking --------------------------------------------------------------------------------- */

static void take_job(struct stead_reactor *reactor, struct stead_job *job)
{
    struct stead_message *request = stead_job_take_request(job);
    struct stead_job_result result = stead_job_result(job);

    if (result.refused)
        stead_host_job_refused(reactor->host, &request, result.status);
    else
        stead_host_job_done(reactor->host, &request, result.status, result.name, result.sentence, result.value);
    stead_job_destroy(&job);
}

/* Only kinds that listen are told; of a kind that is not loaded here nobody knows. */
static void take_heartbeat(struct stead_reactor *reactor, struct stead_message **message)
{
    const struct stead_message *it = *message;
    const struct stead_registry *registry = reactor->shell->registry;
    const struct stead_kind *kind =
        stead_registry_find(registry, it->address, (size_t)(strchr(it->address, '/') - it->address));

    if (kind && !stead_registry_op(registry, kind, it->op, it->op_size))
        stead_message_destroy(message);
    else
        stead_host_deliver(reactor->host, message);
}

static void begin_stop(struct stead_reactor *reactor, bool at_once)
{
    if (at_once) {
        reactor->ended = true;
        return;
    }
    if (reactor->stopping)
        return;
    reactor->stopping = true;
    reactor->stop_ns = reactor->now_ns + (uint64_t)reactor->shell->config->stop_ms_max * 1000000;
    stead_host_stop(reactor->host);
}

static void take_event(struct stead_reactor *reactor, const struct stead_event *event)
{
    struct stead_load *load = event->pointer;
    struct stead_table *table = event->pointer;
    struct stead_message *message = event->pointer;

    switch (event->type) {
    case STEAD_EVENT_SYNCED:
        stead_host_synced(reactor->host, event->shard, event->number);
        break;
    case STEAD_EVENT_ROWS_WRITTEN:
        stead_host_rows_written(reactor->host, event->shard);
        break;
    case STEAD_EVENT_LOADED:
        stead_host_loaded(reactor->host, &load);
        break;
    case STEAD_EVENT_JOB_DONE:
        take_job(reactor, event->pointer);
        break;
    case STEAD_EVENT_TABLE:
        stead_reactor_take_table(reactor, &table);
        break;
    case STEAD_EVENT_ADOPT:
        stead_reactor_adopt(reactor, event->shard, event->number);
        break;
    case STEAD_EVENT_QUERY:
        stead_reactor_query_part(reactor, &message);
        break;
    case STEAD_EVENT_ANSWER:
        stead_transport_answer(reactor->transport, &message);
        break;
    case STEAD_EVENT_HEARTBEAT:
        take_heartbeat(reactor, &message);
        break;
    case STEAD_EVENT_PEER_LOAD:
        stead_host_peer_load(reactor->host, event->shard, (uint32_t)event->number);
        break;
    case STEAD_EVENT_DISK_FULL:
        stead_host_set_disk_full(reactor->host, event->number != 0);
        break;
    case STEAD_EVENT_TRIM:
        stead_host_trim(reactor->host);
        break;
    case STEAD_EVENT_LET_GO:
        /* Posted when one cut was over; the next may have begun, and asked this reactor already. */
        if (!stead_cut_stands(&reactor->shell->cut, stead_shell_mono_ns()))
            stead_host_let_go(reactor->host);
        break;
    case STEAD_EVENT_STOP:
        begin_stop(reactor, event->number != 0);
        break;
    case STEAD_EVENT_TYPES:
        stead_assert_failed("an event of no type", __FILE__, __LINE__);
    }
}

static void take_inbox(struct stead_reactor *reactor)
{
    struct stead_event *event = stead_inbox_take(&reactor->inbox);

    while (event) {
        struct stead_event *next = event->next;
        take_event(reactor, event);
        free(event);
        event = next;
    }
}

/* Delivers loads that were answered from memory; those that are asked for meanwhile are next round's. */
static void take_loaded(struct stead_reactor *reactor)
{
    struct stead_load *load = reactor->loaded;

    reactor->loaded = reactor->loaded_newest = NULL;
    while (load) {
        struct stead_load *next = load->next;
        load->next = NULL;
        stead_host_loaded(reactor->host, &load);
        load = next;
    }
}

static struct stead_ring *ring_from(const struct stead_reactor *reactor, uint32_t from)
{
    return reactor->shell->rings[from * reactor->shell->reactor_count + reactor->index];
}

/* True: there may be more. */
static bool take_rings(struct stead_reactor *reactor)
{
    struct stead_message *messages[RING_BATCH];
    bool more = false;

    for (uint32_t from = 0; from < reactor->shell->reactor_count; from++) {
        struct stead_ring *ring = ring_from(reactor, from);
        uint32_t count = stead_ring_take(ring, stead_host_message_pool(reactor->host), messages, RING_BATCH);
        if (count == 0)
            continue;
        for (uint32_t i = 0; i < count; i++)
            stead_reactor_arrive(reactor, &messages[i]);
        more = more || count == RING_BATCH;
        if (stead_ring_take_request(ring))
            stead_bell_ring(&stead_reactor_inbox(reactor->shell->reactors[from])->bell);
    }
    return more;
}

/* ---- Giving --------------------------------------------------------------------------------- */

static void give_crossings(struct stead_reactor *reactor)
{
    uint64_t dropped = 0;

    for (uint32_t to = 0; to < reactor->shell->reactor_count; to++) {
        struct stead_crossing *crossing = &reactor->crossings[to];
        if (crossing->oldest)
            stead_crossing_flush(crossing);
        if (crossing->touched) {
            crossing->touched = false;
            if (to != reactor->index)
                stead_bell_ring(&stead_reactor_inbox(reactor->shell->reactors[to])->bell);
        }
        dropped += crossing->dropped;
    }
    if (dropped > reactor->trace_dropped) {
        stead_log_event(STEAD_TRACE_WARN, "crossing_full", NULL, "reactor=%u dropped=%llu", reactor->index,
                        (unsigned long long)(dropped - reactor->trace_dropped));
        reactor->trace_dropped = dropped;
    }
}

/* Once a second, while there is somebody to look after. */
static void tick(struct stead_reactor *reactor)
{
    const struct stead_transport_stats *stats = stead_transport_stats(reactor->transport);
    bool peers = reactor->table && reactor->table->node_count > 1;

    if (reactor->now_ns >= reactor->tick_ns) {
        reactor->tick_ns = UINT64_MAX;
        stead_transport_tick(reactor->transport, reactor->now_ns);
        if (peers && reactor->index == 0 && !reactor->stopping)
            stead_reactor_beat(reactor);
    }
    if (reactor->tick_ns == UINT64_MAX && (peers || stats->connections > 0 || stats->peers_up > 0))
        reactor->tick_ns = reactor->now_ns + TICK_NS;
}

/* ---- Sleeping ------------------------------------------------------------------------------- */

static bool has_work(struct stead_reactor *reactor)
{
    if (reactor->loaded || !stead_inbox_empty(&reactor->inbox))
        return true;
    for (uint32_t from = 0; from < reactor->shell->reactor_count; from++) {
        if (!stead_ring_empty(ring_from(reactor, from)))
            return true;
    }
    return false;
}

/* Sets the timer, unless it is set to something that comes early enough: firing early costs one look, setting it again
 * each time a system call. */
static void set_timer(struct stead_reactor *reactor, uint64_t deadline_ns)
{
    if (deadline_ns >= reactor->timer_ns)
        return;
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(deadline_ns / 1000000000), .tv_nsec = (long)(deadline_ns % 1000000000)}};
    int code = timerfd_settime(reactor->timer, TFD_TIMER_ABSTIME, &when, NULL);
    STEAD_ASSERT(code == 0);
    reactor->timer_ns = deadline_ns;
}

static void take_ready(struct stead_reactor *reactor, const struct epoll_event *events, int count)
{
    bool rung = false;

    for (int i = 0; i < count; i++) {
        int fd = events[i].data.fd;
        uint64_t expirations;
        if (fd == reactor->inbox.bell.fd) {
            rung = true;
        } else if (fd == reactor->timer) {
            ssize_t got = read(fd, &expirations, sizeof expirations);
            (void)got;
            reactor->timer_ns = UINT64_MAX;
        } else {
            stead_transport_ready(reactor->transport, fd);
        }
    }
    stead_bell_wake(&reactor->inbox.bell, rung);
}

static uint64_t next_deadline(const struct stead_reactor *reactor)
{
    uint64_t deadline = reactor->armed_ns < reactor->tick_ns ? reactor->armed_ns : reactor->tick_ns;

    if (reactor->stopping && reactor->stop_ns < deadline)
        deadline = reactor->stop_ns;
    return deadline;
}

/* Sleeps until there is something to do, or finds that there is and does not. */
static void wait_for_work(struct stead_reactor *reactor)
{
    struct epoll_event events[EPOLL_EVENTS];
    uint64_t deadline = next_deadline(reactor);

    if (deadline <= reactor->now_ns)
        return;
    stead_bell_arm(&reactor->inbox.bell);
    if (has_work(reactor)) {
        stead_bell_wake(&reactor->inbox.bell, false);
        return;
    }
    if (deadline != UINT64_MAX)
        set_timer(reactor, deadline);
    int count = epoll_wait(reactor->epoll, events, EPOLL_EVENTS, stead_transport_sleep_ms(reactor->transport));
    take_ready(reactor, events, count > 0 ? count : 0);
}

/* The log writer is behind: completions are taken, the sockets are not. */
static void wait_for_writer(void)
{
    struct timespec pause = {.tv_nsec = (long)THROTTLE_NS};

    nanosleep(&pause, NULL);
}

/* ---- The loop ------------------------------------------------------------------------------- */

static void look_at_clock(struct stead_reactor *reactor)
{
    reactor->now_ns = stead_shell_mono_ns();
    if (reactor->now_ns >= reactor->armed_ns)
        reactor->armed_ns = UINT64_MAX;
    stead_host_set_now(reactor->host, reactor->now_ns, stead_shell_wall_ms());
}

static void tell_own_load(struct stead_reactor *reactor)
{
    uint32_t jobs = stead_jobs_count(reactor->shell->jobs);

    if (jobs == reactor->jobs_told)
        return;
    reactor->jobs_told = jobs;
    stead_host_peer_load(reactor->host, reactor->shell->node, jobs);
}

static bool should_end(struct stead_reactor *reactor)
{
    if (reactor->ended)
        return true;
    if (!reactor->stopping)
        return false;
    if (stead_host_idle(reactor->host) && !reactor->loaded)
        return true;
    if (reactor->now_ns < reactor->stop_ns)
        return false;
    stead_log_event(STEAD_TRACE_WARN, "stop_late", "work was still waiting: it is done again at the next start",
                    "reactor=%u", reactor->index);
    return true;
}

/* Nothing has left the host since it failed, and nothing may (L6 of docs/INVARIANTS.md). */
static void end_if_failed(const struct stead_reactor *reactor)
{
    const char *why;
    char detail[STEAD_STORE_SENTENCE_MAX] = "", sentence[STEAD_SHELL_WHY_SIZE];
    int code = stead_host_failed(reactor->host, &why);

    if (code == 0)
        return;
    stead_store_explain(reactor->shell->store, detail, sizeof detail);
    snprintf(sentence, sizeof sentence, "%s%s%s", why, detail[0] ? ": " : "", detail);
    stead_shell_disk_failed(reactor->shell, code, sentence);
}

/* One round; true: there is more to do at once. */
static bool run_round(struct stead_reactor *reactor, bool throttled)
{
    bool more = false;

    look_at_clock(reactor);
    take_inbox(reactor);
    if (reactor->ended)
        return false;
    if (!throttled)
        more = stead_transport_poll(reactor->transport, reactor->now_ns);
    more = take_rings(reactor) || more;
    take_loaded(reactor);
    tell_own_load(reactor);
    more = stead_host_run(reactor->host) || more;
    end_if_failed(reactor);
    stead_jobs_flush(reactor->shell->jobs, &reactor->jobs);
    tick(reactor);
    give_crossings(reactor);
    more = stead_transport_flush(reactor->transport) || more;
    return more;
}

static void *run_thread(void *context)
{
    struct stead_reactor *reactor = context;
    const struct stead_node_config *config = reactor->shell->config;
    char name[16];

    snprintf(name, sizeof name, "stead-react-%u", reactor->index % 1000);
    pthread_setname_np(pthread_self(), name);
    stead_culprit_reactor(reactor->shell->marks, reactor->index);
    for (;;) {
        bool throttled = stead_log_writer_queued_bytes(reactor->shell->writer) > config->writer_bytes_max;
        bool more = run_round(reactor, throttled);
        if (should_end(reactor))
            break;
        if (throttled)
            wait_for_writer();
        else if (!more)
            wait_for_work(reactor);
    }
    atomic_fetch_sub(&reactor->shell->running, 1);
    stead_bell_ring(&reactor->shell->bell);
    return NULL;
}
