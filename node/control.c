/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control: what a node does beside its turns.
 *
 * Taking over shards, the only part with rules (R1 and R9 in docs/INVARIANTS.md):
 *   - a shard is claimed by compare-and-swap from (its epoch in the newest table) to (this incarnation, epoch + 1), also when it
 *     was this node's before: a start is a new incarnation, and whoever has it from an earlier one must be fenced off;
 *   - it is handed to a reactor only when a table came back that shows it as this incarnation's, under the epoch to serve it with;
 *   - after a claim without an answer nothing is assumed: the same claim is made again.
 * The table goes to every reactor before the orders that rest on it, through the same inbox, so a reactor always knows
 * the slots of a shard that it is told to serve.
 *
 * The thread sleeps in one place. Everything it reacts to is looked at between arming the shell's bell and sleeping, so
 * nothing that rings is missed.
 */
#include "node/control.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "node/log.h"
#include "node/process.h"
#include "runtime/base.h"
#include "runtime/registry.h"

#define TICK_MS 1000
#define CLAIM_TIMEOUT_MS 5000
#define CLOCK_OFF_MS_MAX 1000

/* ---- Descriptors ---------------------------------------------------------------------------- */

static int watch(struct stead_control *control, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    return epoll_ctl(control->wake, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : STEAD_EIO;
}

int stead_control_init(struct stead_control *control, struct stead_shell *shell)
{
    sigset_t set;

    *control = (struct stead_control){.shell = shell};
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    control->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    control->wake = epoll_create1(EPOLL_CLOEXEC);
    if (control->signals < 0 || control->wake < 0)
        return STEAD_EIO;
    int code = watch(control, control->signals);
    if (code == 0)
        code = watch(control, shell->bell.fd);
    if (code == 0 && shell->config->stop_fd >= 0)
        code = watch(control, shell->config->stop_fd);
    return code;
}

void stead_control_deinit(struct stead_control *control)
{
    stead_table_release(&control->table);
    free(control->enrolment);
    if (control->signals >= 0)
        close(control->signals);
    if (control->wake >= 0)
        close(control->wake);
}

static void look_for_stop(struct stead_control *control)
{
    struct signalfd_siginfo signal;
    struct pollfd stop = {.fd = control->shell->config->stop_fd, .events = POLLIN};

    while (read(control->signals, &signal, sizeof signal) == (ssize_t)sizeof signal) {
        stead_log_event(STEAD_TRACE_INFO, "stop_asked", NULL, "signal=%u sender=%u", signal.ssi_signo, signal.ssi_pid);
        control->stop_wanted = true;
        stead_process_say_stopping();
    }
    if (stop.fd >= 0 && poll(&stop, 1, 0) > 0)
        control->stop_wanted = true;
}

/* ---- Enrolling ------------------------------------------------------------------------------ */

/* What the node says of itself; its lists live as long as the door. */
struct stead_enrolment {
    struct stead_node_registration registration;
    const char *endpoints[STEAD_REACTORS_MAX];
    struct stead_kind_registration kinds[];
};

static struct stead_enrolment *make_enrolment(const struct stead_control *control)
{
    const struct stead_shell *shell = control->shell;
    uint32_t kind_count = stead_registry_count(shell->registry);
    struct stead_enrolment *it = stead_alloc_zero(sizeof *it + kind_count * sizeof it->kinds[0]);

    for (uint32_t i = 0; i < shell->reactor_count; i++)
        it->endpoints[i] = stead_reactor_endpoint(shell->reactors[i]);
    for (uint32_t i = 0; i < kind_count; i++) {
        const struct stead_kind *kind = stead_registry_at(shell->registry, i);
        it->kinds[i] = (struct stead_kind_registration){
            .name = kind->name, .needs = kind->needs, .durability = (uint8_t)kind->durability};
    }
    it->registration = (struct stead_node_registration){
        .name = shell->config->name,
        .identity = control->identity->token,
        .start = stead_identity_random(),
        .endpoint_count = shell->reactor_count,
        .label_count = shell->config->label_count,
        .kind_count = kind_count,
        .shards_per_reactor = shell->config->shards_per_reactor,
        .endpoints = it->endpoints,
        .labels = shell->config->labels,
        .kinds = it->kinds,
    };
    return it;
}

static int ask_until_answered(struct stead_control *control, char *ret_why)
{
    struct stead_shell *shell = control->shell;
    bool silent = false;
    int code;

    for (;;) {
        code = control->door->enrol(control->door->self, &control->enrolment->registration, TICK_MS, &shell->node,
                                    &shell->incarnation, ret_why);
        if (code != STEAD_ETIMEOUT)
            return code;
        if (!silent)
            stead_log_event(STEAD_TRACE_WARN, "coordinator_silent", shell->coordinator, NULL);
        silent = true;
        look_for_stop(control);
        if (control->stop_wanted)
            return STEAD_ECANCELLED;
    }
}

static int save_identity(struct stead_control *control, char *ret_why)
{
    int code = stead_identity_save(control->shell->store, control->identity);

    if (code != 0) {
        char why[STEAD_STORE_SENTENCE_MAX];
        stead_store_explain(control->shell->store, why, sizeof why);
        snprintf(ret_why, STEAD_SHELL_WHY_SIZE, "the folder cannot be written: %.512s", why);
    }
    return code;
}

int stead_control_enrol(struct stead_control *control, char *ret_why)
{
    char why[STEAD_COORDINATOR_WHY_SIZE] = "";

    control->enrolment = make_enrolment(control);
    int code = ask_until_answered(control, why);
    if (code != 0) {
        snprintf(ret_why, STEAD_SHELL_WHY_SIZE, "the coordinator refused: %s",
                 why[0] ? why : stead_error_sentence(code));
        return code;
    }
    control->identity->node = control->shell->node;
    control->identity->incarnation = control->shell->incarnation;
    return save_identity(control, ret_why);
}

/* ---- Shards --------------------------------------------------------------------------------- */

static bool is_ours(const struct stead_control *control, const struct stead_table_shard *shard)
{
    return shard->node == control->shell->node && shard->incarnation == control->shell->incarnation;
}

static bool is_adopted(const struct stead_control *control, uint32_t shard)
{
    for (uint32_t i = 0; i < control->adopted_count; i++) {
        if (control->adopted[i] == shard)
            return true;
    }
    return false;
}

/* Claims what the table gives to an earlier start of this node, or to this node for the first time. */
static int claim_shards(struct stead_control *control, char *ret_why)
{
    const struct stead_table *table = control->table;
    struct stead_shard_claim *claims = stead_alloc(STEAD_SHARDS_MAX * sizeof claims[0]);
    char why[STEAD_COORDINATOR_WHY_SIZE] = "";
    uint32_t count = 0;
    int code = 0;

    for (uint32_t i = 0; i < table->shard_count; i++) {
        const struct stead_table_shard *shard = &table->shards[i];
        if (shard->node == control->shell->node && shard->incarnation != control->shell->incarnation)
            claims[count++] =
                (struct stead_shard_claim){.shard = shard->id,
                                           .expected_epoch = shard->epoch,
                                           .reactor = (uint16_t)(shard->reactor % control->shell->reactor_count)};
    }
    if (count > 0)
        code = control->door->claim(control->door->self, claims, count, CLAIM_TIMEOUT_MS, why);
    free(claims);
    control->owed_claim = code == STEAD_ETIMEOUT;
    if (code == 0 || code == STEAD_ETIMEOUT || code == STEAD_ECONFLICT)
        return 0; /* a newer table, or the next look, says how it went */
    snprintf(ret_why, STEAD_SHELL_WHY_SIZE, "the coordinator refused %u shards: %s", count,
             why[0] ? why : stead_error_sentence(code));
    return code;
}

/* Hands what the table shows as ours to its reactors. */
static void adopt_shards(struct stead_control *control)
{
    struct stead_shell *shell = control->shell;

    for (uint32_t i = 0; i < control->table->shard_count; i++) {
        const struct stead_table_shard *shard = &control->table->shards[i];
        if (!is_ours(control, shard) || is_adopted(control, shard->id))
            continue;
        struct stead_event event = {.type = STEAD_EVENT_ADOPT, .shard = shard->id, .number = shard->epoch};
        control->adopted[control->adopted_count++] = shard->id;
        atomic_fetch_add(&shell->adopting, 1);
        stead_reactor_post(shell->reactors[shard->reactor % shell->reactor_count], &event);
    }
}

static bool owns_unadopted(const struct stead_control *control)
{
    for (uint32_t i = 0; i < control->table->shard_count; i++) {
        const struct stead_table_shard *shard = &control->table->shards[i];
        if (shard->node == control->shell->node && !is_adopted(control, shard->id))
            return true;
    }
    return false;
}

/* The folder belongs to one cluster for ever. */
static int check_cluster(struct stead_control *control, char *ret_why)
{
    struct stead_id *known = &control->identity->cluster;

    if (stead_id_equal(*known, control->table->cluster))
        return 0;
    if (!stead_id_is_zero(*known)) {
        snprintf(ret_why, STEAD_SHELL_WHY_SIZE, "the coordinator %s is another cluster's than this folder's",
                 control->shell->coordinator);
        return STEAD_ECONFLICT;
    }
    *known = control->table->cluster;
    return save_identity(control, ret_why);
}

/* `table` is consumed. */
static int take_table(struct stead_control *control, struct stead_table *table, char *ret_why)
{
    struct stead_shell *shell = control->shell;

    stead_table_release(&control->table);
    control->table = table;
    int code = check_cluster(control, ret_why);
    if (code != 0)
        return code;
    for (uint32_t i = 0; i < shell->reactor_count; i++) {
        struct stead_event event = {.type = STEAD_EVENT_TABLE, .pointer = stead_table_hold(table)};
        stead_reactor_post(shell->reactors[i], &event);
    }
    stead_log_event(STEAD_TRACE_DEBUG, "table", NULL, "version=%llu nodes=%u shards=%u formed=%d",
                    (unsigned long long)table->version, table->node_count, table->shard_count, table->formed);
    adopt_shards(control);
    return claim_shards(control, ret_why);
}

static void look_for_ready(struct stead_control *control)
{
    const struct stead_shell *shell = control->shell;
    const char *endpoint = stead_reactor_endpoint(shell->reactors[0]);

    if (control->ready || !control->table || !control->table->formed || owns_unadopted(control) ||
        atomic_load(&shell->adopting) != 0)
        return;
    control->ready = true;
    stead_log_event(STEAD_TRACE_INFO, "ready", endpoint, "node=%s id=%u incarnation=%llu reactors=%u shards=%u ms=%llu",
                    shell->config->name, shell->node, (unsigned long long)shell->incarnation, shell->reactor_count,
                    control->adopted_count,
                    (unsigned long long)((stead_shell_mono_ns() - shell->started_ns) / 1000000));
    if (shell->config->ready)
        shell->config->ready(shell->config->ready_context, shell->config->name, endpoint);
}

/* ---- Once a second -------------------------------------------------------------------------- */

/* A turn that was running at the last look and still is: a second at least. */
static void look_at_turns(struct stead_control *control)
{
    char text[STEAD_TURNMARK_TEXT_SIZE];

    for (uint32_t i = 0; i < control->shell->reactor_count; i++) {
        uint64_t number = stead_turnmarks_look(control->shell->marks, i, text);
        if (number && number == control->turns[i] && number != control->turns_warned[i]) {
            control->turns_warned[i] = number;
            stead_log_event(STEAD_TRACE_WARN, "turn_slow", text, "reactor=%u still_running=1 ms_min=%d", i, TICK_MS);
        }
        control->turns[i] = number;
    }
}

static void look_at_clock(struct stead_control *control)
{
    int64_t offset_ms = control->door->clock_offset_ms(control->door->self);
    bool off = offset_ms > CLOCK_OFF_MS_MAX || offset_ms < -CLOCK_OFF_MS_MAX;

    if (off && !control->clock_off)
        stead_log_event(STEAD_TRACE_WARN, "clock_off", "this node's clock differs from the coordinator's", "ms=%lld",
                        (long long)offset_ms);
    control->clock_off = off;
}

static void tick(struct stead_control *control)
{
    uint64_t now_ns = stead_shell_mono_ns();

    if (now_ns < control->tick_ns)
        return;
    control->tick_ns = now_ns + (uint64_t)TICK_MS * 1000000 * 9 / 10;
    stead_disk_look(&control->disk, control->shell);
    look_at_turns(control);
    look_at_clock(control);
}

/* ---- The loop ------------------------------------------------------------------------------- */

/* One sleep and what it brought. */
static int wait_once(struct stead_control *control, char *ret_why)
{
    struct stead_table *table = NULL;

    int code = control->door->wait(control->door->self, control->wake, TICK_MS, &table);
    stead_bell_wake(&control->shell->bell, true);
    if (code == 0)
        return take_table(control, table, ret_why);
    if (code == STEAD_ETIMEOUT || code == STEAD_ECANCELLED)
        return control->owed_claim && control->table ? claim_shards(control, ret_why) : 0;
    snprintf(ret_why, STEAD_SHELL_WHY_SIZE, "%s",
             code == STEAD_ESTATE ? "another process has started as this node: this one stops"
                                  : stead_error_sentence(code));
    return code;
}

int stead_control_run(struct stead_control *control, char *ret_why)
{
    struct stead_shell *shell = control->shell;

    for (;;) {
        stead_bell_arm(&shell->bell);
        look_for_stop(control);
        int failed = atomic_load(&shell->failed);
        if (failed != 0) {
            snprintf(ret_why, STEAD_SHELL_WHY_SIZE, "%s", shell->why);
            return failed;
        }
        if (control->stop_wanted)
            return 0;
        look_for_ready(control);
        tick(control);
        int code = wait_once(control, ret_why);
        if (code != 0)
            return code;
    }
}
