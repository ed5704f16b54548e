/* SPDX-License-Identifier: Apache-2.0 */
/* Groups of agents (group.h). */
#include "cmd/group.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agents/hub.h"
#include "cmd/parse.h"
#include "runtime/base.h"

#define DRAIN_MS 60000
#define CALL_MS 10000
#define SAMPLES 200u /* of one measurement of the hub */
#define READ_UNITS 125.0
#define DOLLARS_A_MILLION 0.25
#define POLL_MS_DEFAULT 250u
#define POLL_MS_MIN 10u
#define BACKOFF_MS_MAX 30000u

enum { KEY_FABRIC = 2000, KEY_POLL, KEY_NODES };

static const struct argp_option options[] = {
    {"fabric", KEY_FABRIC, "NAME", 0, "How members talk: direct, or hub (through polled queues). Default: direct", 20},
    {"poll", KEY_POLL, "TIME", 0,
     "Hub: between two polls of a member, notify (long poll), or backoff (50 ms, doubled to 30 s while nothing comes). "
     "Default: 250ms",
     20},
    {"nodes", KEY_NODES, "COUNT", 0, "Own nodes, started for the run, when no --node is given. Default: 1", 20},
    {0}};

static void take_poll(struct stead_group *group, const char *arg, struct argp_state *state)
{
    uint64_t ms = 0;

    group->poll_given = true;
    group->backoff = strcmp(arg, "backoff") == 0;
    if (group->backoff)
        group->poll_ms = BACKOFF_MS_MAX;
    else if (strcmp(arg, "notify") == 0)
        group->poll_ms = 0;
    else if (stead_parse_duration(arg, 60000, &ms) && ms >= POLL_MS_MIN)
        group->poll_ms = (uint32_t)ms;
    else
        argp_error(state, "--poll %s: a time from %ums to 60s, notify or backoff", arg, POLL_MS_MIN);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct stead_group *group = state->input;
    uint64_t number = 0;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &group->connect;
        group->poll_ms = POLL_MS_DEFAULT;
        group->nodes = 1;
        return 0;
    case KEY_FABRIC:
        group->hub = strcmp(arg, "hub") == 0;
        if (!group->hub && strcmp(arg, "direct") != 0)
            argp_error(state, "--fabric %s: direct or hub", arg);
        return 0;
    case KEY_POLL:
        take_poll(group, arg, state);
        return 0;
    case KEY_NODES:
        if (!stead_parse_number(arg, 1, STEAD_GROUP_NODES_MAX, &number))
            argp_error(state, "--nodes %s: a number from 1 to %u", arg, STEAD_GROUP_NODES_MAX);
        group->nodes = (uint32_t)number;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected word \"%s\"", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&stead_connect_argp, 0, NULL, 0}, {0}};
const struct argp stead_group_argp = {options, parse, NULL, NULL, children, NULL, NULL};

/* ---- Nodes ---------------------------------------------------------------------------------- */

struct work {
    struct stead_group *group;
    stead_group_work_fn *run;
    void *context;
};

static int start_nodes(struct stead_group *group, struct stead_bench_node *coordinator, struct stead_bench_node *nodes)
{
    static const char *const names[STEAD_GROUP_NODES_MAX] = {"n1", "n2", "n3", "n4", "n5"};
    int code = group->nodes > 1 ? stead_bench_coordinator_start(&group->bench, group->nodes, coordinator) : 0;

    for (uint32_t i = 0; code == 0 && i < group->nodes; i++) {
        const struct stead_bench_node_options node = {.name = names[i],
                                                      .coordinator = group->nodes > 1 ? coordinator->endpoint : NULL};
        code = stead_bench_node_launch(&group->bench, &node, &nodes[i]);
    }
    for (uint32_t i = 0; code == 0 && i < group->nodes; i++)
        code = stead_bench_node_await(&group->bench, &nodes[i]);
    return code;
}

static int run_work(struct stead_bench *bench, void *context)
{
    struct stead_bench_node coordinator = {.pid = 0}, nodes[STEAD_GROUP_NODES_MAX] = {{.pid = 0}};
    struct work *work = context;
    struct stead_group *group = work->group;
    bool given = group->connect.endpoints != NULL || getenv("STEAD_NODE") != NULL;

    STEAD_ASSERT(bench == &group->bench);
    int status = STEAD_EXIT_FAILED;
    if (!given && start_nodes(group, &coordinator, nodes) == 0)
        status =
            stead_bench_connect(&group->bench, &nodes[0], 0, &group->client) == 0 ? STEAD_EXIT_DONE : STEAD_EXIT_FAILED;
    else if (given)
        status = stead_connect_open(&group->connect, &group->client);
    if (status == STEAD_EXIT_DONE)
        status = work->run(group, work->context);
    stead_client_close(&group->client);
    for (uint32_t i = 0; i < STEAD_GROUP_NODES_MAX; i++)
        stead_bench_node_stop(&nodes[i], false);
    stead_bench_node_stop(&coordinator, false);
    return status;
}

int stead_group_work(struct stead_group *group, stead_group_work_fn *run, void *context)
{
    struct work work = {group, run, context};

    return stead_bench_work(&group->bench, NULL, run_work, &work);
}

/* ---- Fabrics -------------------------------------------------------------------------------- */

static uint32_t at_least(uint32_t least, uint32_t ms)
{
    return ms < least ? least : ms;
}

/* On the polled hub a message takes up to one interval: an answer two, so it is given three; and silence is four. With
 * a back-off, who heard nothing for some time polls next within about that time: while a leader lives its signs of life
 * keep the interval short; when patience (up to two silences) is over a way takes up to as long again, and an answer up
 * to three times, both ways with their 20 %. */
struct stead_group_times stead_group_times(const struct stead_group *group)
{
    uint32_t poll_ms = group->hub ? group->poll_ms : 0;

    if (group->hub && group->backoff)
        return (struct stead_group_times){.ping_ms = 250, .silence_ms = 1000, .answer_ms = 6000};
    return (struct stead_group_times){.ping_ms = at_least(50, poll_ms),
                                      .silence_ms = at_least(250, 4 * poll_ms),
                                      .answer_ms = at_least(150, 3 * poll_ms)};
}

const char *stead_group_fabric(const struct stead_group *group)
{
    static char text[32];

    if (!group->hub || group->poll_ms == 0)
        return group->hub ? "hub notify" : "direct";
    if (group->backoff)
        return "hub backoff";
    snprintf(text, sizeof text, "hub %" PRIu32 "ms", group->poll_ms);
    return text;
}

void stead_group_rename(struct stead_group *group, uint32_t members)
{
    group->members = members;
    snprintf(group->name, sizeof group->name, "%" PRIx32 "-%" PRIu32,
             (uint32_t)stead_bench_now_ns() ^ (uint32_t)getpid(), members);
}

/* ---- Requests ------------------------------------------------------------------------------- */

static void write_address(const struct stead_group *group, const char *kind, uint32_t rank, char *ret_address)
{
    snprintf(ret_address, STEAD_BENCH_ENDPOINT_SIZE, "%s/%s/%" PRIu32, kind, group->name, rank);
}

static int complain(const struct stead_group *group, const char *what, int code, const struct stead_answer *answer)
{
    stead_bench_fail(&group->bench, "%s: %s: %s", what, stead_error_name(code),
                     code == STEAD_EFAILED && answer && answer->error_sentence ? answer->error_sentence
                                                                               : stead_error_sentence(code));
    return code;
}

int stead_group_call(struct stead_group *group, const char *kind, uint32_t rank, const char *op,
                     struct stead_slice args, struct stead_answer *ret_answer)
{
    const struct stead_request_options request = {.timeout_ms = CALL_MS};
    struct stead_answer answer = stead_connect_no_answer();
    char address[STEAD_BENCH_ENDPOINT_SIZE];

    write_address(group, kind, rank, address);
    int code = stead_client_call(group->client, address, op, args, &request, &answer);
    if (ret_answer != NULL)
        *ret_answer = answer;
    return code == 0 ? 0 : complain(group, address, code, &answer);
}

struct asked {
    struct stead_group *group;
    uint32_t rank;
    stead_group_take_fn *take;
    void *context;
};

static void taken(void *context, const struct stead_answer *answer)
{
    const struct asked *asked = context;

    if (answer->code != 0 && asked->group->failed++ == 0)
        complain(asked->group, "a member", answer->code, answer);
    else if (answer->code == 0 && asked->take)
        asked->take(asked->context, asked->rank, answer->value);
}

int stead_group_ask_all(struct stead_group *group, const char *op, struct stead_slice args, stead_group_take_fn *take,
                        void *context)
{
    static struct asked asked[STEAD_GROUP_MEMBERS_MAX + 1]; /* one at a time */
    const struct stead_request_options request = {.timeout_ms = CALL_MS};
    char address[STEAD_BENCH_ENDPOINT_SIZE];

    group->failed = 0;
    for (uint32_t rank = group->members; rank >= 1; rank--) {
        asked[rank] = (struct asked){group, rank, take, context};
        write_address(group, group->kind, rank, address);
        int code = stead_client_call_async(group->client, address, op, args, &request, taken, &asked[rank]);
        if (code != 0)
            return complain(group, address, code, NULL);
    }
    int code = stead_client_drain(group->client, DRAIN_MS);
    return code != 0 ? complain(group, op, code, NULL) : group->failed > 0 ? STEAD_EUNAVAILABLE : 0;
}

/* ---- Counting ------------------------------------------------------------------------------- */

void stead_group_add_counters(struct stead_group_counters *counters, struct stead_slice status)
{
    struct stead_slice carrier;
    uint64_t messages = 0, enqueues = 0, dequeues = 0, deletes = 0, empty = 0;

    if (stead_get_value(status, "fabric", &carrier) != 0 ||
        (stead_get_u64(carrier, "messages", &messages) | stead_get_u64(carrier, "enqueues", &enqueues) |
         stead_get_u64(carrier, "dequeues", &dequeues) | stead_get_u64(carrier, "deletes", &deletes) |
         stead_get_u64(carrier, "empty", &empty)) != 0)
        return;
    counters->messages += messages;
    counters->enqueues += enqueues;
    counters->dequeues += dequeues;
    counters->deletes += deletes;
    counters->empty += empty;
}

uint64_t stead_group_operations(const struct stead_group_counters *counters)
{
    return counters->enqueues + counters->dequeues + counters->deletes;
}

double stead_group_cost(uint32_t members, uint32_t poll_ms)
{
    return poll_ms == 0 ? 0 : members * (1000.0 / poll_ms) * READ_UNITS * DOLLARS_A_MILLION / 1e6 * 3600;
}

/* One enqueue or dequeue, timed. */
static int time_operation(struct stead_group *group, const char *op, struct stead_slice args, uint64_t *ret_ns)
{
    uint64_t begun_ns = stead_bench_now_ns();
    int code = stead_group_call(group, STEAD_HUB_QUEUE_KIND, 0, op, args, NULL);

    *ret_ns = stead_bench_now_ns() - begun_ns;
    return code;
}

static uint64_t without(uint64_t whole_ns, uint64_t part_ns)
{
    return whole_ns > part_ns ? whole_ns - part_ns : 0;
}

int stead_group_measure_hub(struct stead_group *group, uint64_t *ret_operation_ns, uint64_t *ret_floor_ns)
{
    static uint64_t puts[SAMPLES], takes[SAMPLES], trips[SAMPLES];
    struct stead_writer put, take;
    struct stead_bench_raw raw;

    int code = stead_bench_raw_open(&group->bench, &raw);
    if (code != 0)
        return code;
    code = stead_bench_raw_trips(&raw, 128, trips, SAMPLES);
    stead_bench_raw_close(&raw);

    stead_writer_init(&put);
    stead_writer_init(&take);
    stead_pack(&put, "{s:s,s:s,s:d}", "id", "", "body", "floor", "delay", 0);
    stead_pack(&take, "{s:d,s:d,s:d}", "max", 1, "hide", 300000, "wait", 0);
    for (uint32_t i = 0; code == 0 && i < SAMPLES; i++) {
        code = time_operation(group, "enqueue", stead_written(&put), &puts[i]);
        if (code == 0)
            code = time_operation(group, "dequeue", stead_written(&take), &takes[i]);
    }
    if (code == 0)
        code = stead_group_call(group, STEAD_HUB_QUEUE_KIND, 0, "drop", (struct stead_slice){NULL, 0}, NULL);
    stead_writer_deinit(&put);
    stead_writer_deinit(&take);
    if (code != 0)
        return code;
    /* Members are on the nodes, this program is not. */
    uint64_t trip_ns = stead_bench_quantile(trips, SAMPLES, 500);
    uint64_t put_ns = without(stead_bench_quantile(puts, SAMPLES, 500), trip_ns);
    uint64_t take_ns = without(stead_bench_quantile(takes, SAMPLES, 500), trip_ns);
    *ret_operation_ns = group->poll_ms == 0 ? put_ns : (put_ns + take_ns) / 2;
    *ret_floor_ns = 2 * (group->poll_ms == 0 ? put_ns : put_ns + take_ns); /* a long poll is served with the enqueue */
    return 0;
}
