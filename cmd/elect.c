/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead elect: the bully election on either fabric, and what it costs there.
 *
 * Each round: members 1..N follow N; N falls silent; N-1 takes over. Apart are
 *
 *     detection   from the silence to the first ELECTION: patience, a setting that must fit the fabric
 *     timeouts    that the winner waited for answers that could not come: a setting, too
 *     rest        everything else until the last member knows its leader: what the messages cost
 *     floor       two messages one after the other: direct, two one-way delays between members; hub, two times enqueue and dequeue, without any wait for a poll; with a long
 *                 poll two times enqueue, because the waiting dequeue shares its sync
 *
 * Beside it: the same algorithm through polled storage took 16.7 s a round at 4 polls a second (Hellerstein et al.,
 * "Serverless Computing: One Step Forward, Two Steps Back", CIDR 2019), and $450 an hour at 1,000 nodes. Times are of
 * the machine's monotonic clock, so all nodes must be on this machine.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/group.h"
#include "cmd/parse.h"
#include "cmd/print.h"
#include "runtime/base.h"

#define KIND "election.member"
#define SIZES_MAX 16u
#define ROUNDS_MAX 1000u
#define AGREE_NS 120000000000u /* an election takes no longer */
#define PAUSE_US 20000         /* between two looks at the members */
#define ECHOES 1000
#define PAPER_S 16.7

/* What one member says of itself. */
struct status {
    uint64_t leader, first_ns, waited_ns, leader_ns;
    uint64_t elections, answers, coordinators;
    bool alive;
};

struct round {
    uint64_t silent_ns, detection_ns, timeouts_ns, rest_ns;
    uint64_t messages; /* of the election, without signs of life */
    struct stead_group_counters carried;
};

struct elect {
    struct stead_group group;
    uint32_t sizes[SIZES_MAX];
    uint32_t size_count, rounds;
    bool sweep;
    struct stead_columns *columns;
    struct status status[STEAD_GROUP_MEMBERS_MAX + 1];
    struct stead_group_counters carried; /* of the present look */
    uint64_t floor_ns, operation_ns;     /* of the present size */
};

static void take_status(void *context, uint32_t rank, struct stead_slice value)
{
    struct elect *elect = context;
    struct status *status = &elect->status[rank];
    char phase[16] = "";

    *status = (struct status){.alive = false};
    if ((stead_get_text(value, "phase", phase, sizeof phase) | stead_get_u64(value, "leader", &status->leader) |
         stead_get_u64(value, "first_election_ns", &status->first_ns) |
         stead_get_u64(value, "waited_ns", &status->waited_ns) | stead_get_u64(value, "leader_ns", &status->leader_ns) |
         stead_get_u64(value, "elections", &status->elections) | stead_get_u64(value, "answers", &status->answers) |
         stead_get_u64(value, "coordinators", &status->coordinators)) != 0)
        return;
    status->alive = strcmp(phase, "silent") != 0 && strcmp(phase, "idle") != 0;
    stead_group_add_counters(&elect->carried, value);
}

/* Waits until every living member follows `winner`. */
static int await_leader(struct elect *elect, uint32_t winner)
{
    uint64_t begun_ns = stead_bench_now_ns();

    while (stead_bench_now_ns() - begun_ns < AGREE_NS) {
        uint32_t agreed = 0, living = 0;
        elect->carried = (struct stead_group_counters){0};
        int code = stead_group_ask_all(&elect->group, "status", (struct stead_slice){NULL, 0}, take_status, elect);
        if (code != 0)
            return code;
        for (uint32_t rank = 1; rank <= elect->group.members; rank++) {
            living += elect->status[rank].alive;
            agreed += elect->status[rank].alive && elect->status[rank].leader == winner;
        }
        if (living > 0 && agreed == living)
            return 0;
        usleep(PAUSE_US);
    }
    return stead_bench_fail(&elect->group.bench, "the members do not agree on %" PRIu32, winner);
}

static int start_members(struct elect *elect)
{
    struct stead_group *group = &elect->group;
    struct stead_group_times times = stead_group_times(group);
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:u,s:u,s:u,s:u,s:s,s:u,s:b}", "members", (uint64_t)group->members, "ping_ms",
               (uint64_t)times.ping_ms, "silence_ms", (uint64_t)times.silence_ms, "answer_ms",
               (uint64_t)times.answer_ms, "fabric", group->hub ? "hub" : "direct", "poll_ms", (uint64_t)group->poll_ms,
               "backoff", (int)group->backoff);
    int code = stead_group_ask_all(group, "start", stead_written(&args), NULL, NULL);
    stead_writer_deinit(&args);
    return code == 0 ? await_leader(elect, group->members) : code;
}

/* Two messages one after the other. */
static int measure_floor(struct elect *elect)
{
    struct stead_group *group = &elect->group;
    struct stead_answer answer;
    struct stead_writer args;
    uint64_t one_way_ns = 0;

    if (group->hub)
        return stead_group_measure_hub(group, &elect->operation_ns, &elect->floor_ns);
    stead_writer_init(&args);
    stead_pack(&args, "{s:d}", "count", ECHOES);
    int code = stead_group_call(group, KIND, group->members, "measure", stead_written(&args), &answer);
    stead_writer_deinit(&args);
    if (code == 0)
        code = stead_get_u64(answer.value, "one_way_ns", &one_way_ns);
    elect->floor_ns = 2 * one_way_ns;
    return code;
}

/* What the members measured. */
static void add_up(const struct elect *elect, struct round *round)
{
    const struct stead_group *group = &elect->group;
    uint64_t first = UINT64_MAX, last = 0, waited = elect->status[group->members - 1].waited_ns;

    for (uint32_t rank = 1; rank <= group->members; rank++) {
        const struct status *status = &elect->status[rank];
        round->messages += status->elections + status->answers + status->coordinators;
        if (status->alive && status->first_ns != 0 && status->first_ns < first)
            first = status->first_ns;
        if (status->alive && status->leader_ns > last)
            last = status->leader_ns;
    }
    round->detection_ns = first > round->silent_ns ? first - round->silent_ns : 0;
    round->timeouts_ns = waited;
    round->rest_ns = last > first + waited ? last - first - waited : 0;
    round->carried = elect->carried;
}

static int run_round(struct elect *elect, struct round *round)
{
    struct stead_group *group = &elect->group;
    const struct stead_slice none = {NULL, 0};
    struct stead_answer answer;

    *round = (struct round){0};
    int code = stead_group_ask_all(group, "reset", none, NULL, NULL);
    if (code == 0)
        code = stead_group_call(group, KIND, group->members, "fall_silent", none, &answer);
    if (code == 0)
        code = stead_get_u64(answer.value, NULL, &round->silent_ns);
    if (code == 0)
        code = await_leader(elect, group->members - 1);
    if (code != 0)
        return code;
    add_up(elect, round);
    code = stead_group_call(group, KIND, group->members, "speak", none, NULL);
    return code == 0 ? await_leader(elect, group->members) : code;
}

/* ---- Telling -------------------------------------------------------------------------------- */

static uint64_t whole(const struct round *round)
{
    return round->detection_ns + round->timeouts_ns + round->rest_ns;
}

/* What polls cost: of a fixed interval by the formula, of a back-off those that were made in the round. */
static double cost_of(const struct stead_group *group, const struct round *round)
{
    if (!group->hub || group->poll_ms == 0)
        return 0;
    if (!group->backoff)
        return stead_group_cost(group->members, group->poll_ms);
    return whole(round) == 0
               ? 0
               : stead_group_cost(1, 1000) * (double)round->carried.dequeues / ((double)whole(round) / 1e9);
}

static int by_whole(const void *a, const void *b)
{
    uint64_t x = whole(a), y = whole(b);

    return x < y ? -1 : x > y;
}

/* `rounds`: all of them, by length. */
static void tell_json(const struct elect *elect, const struct round *round, const struct round *rounds)
{
    const struct stead_group *group = &elect->group;
    struct stead_group_times times = stead_group_times(group);
    uint64_t protocol = group->members > 1 ? round->messages : 0;
    json_t *line = json_pack(
        "{s:i,s:s,s:i,s:i,s:I,s:I,s:I,s:I,s:I,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:i,s:i,s:i}", "agents",
        (int)group->members, "fabric", group->hub ? "hub" : "direct", "poll_ms", group->hub ? (int)group->poll_ms : 0,
        "rounds", (int)elect->rounds, "messages", (json_int_t)protocol, "operations",
        (json_int_t)stead_group_operations(&round->carried), "enqueues", (json_int_t)round->carried.enqueues,
        "dequeues", (json_int_t)round->carried.dequeues, "empty", (json_int_t)round->carried.empty, "detection_ms",
        (double)round->detection_ns / 1e6, "timeouts_ms", (double)round->timeouts_ns / 1e6, "rest_ms",
        (double)round->rest_ns / 1e6, "round_ms", (double)whole(round) / 1e6, "floor_ms", (double)elect->floor_ns / 1e6,
        "operation_ms", (double)elect->operation_ns / 1e6, "cost_hour", cost_of(group, round), "paper_s", PAPER_S,
        "ping_ms", (int)times.ping_ms, "silence_ms", (int)times.silence_ms, "answer_ms", (int)times.answer_ms);

    json_t *all = json_array();
    for (uint32_t i = 0; i < elect->rounds; i++)
        json_array_append_new(all, json_real((double)whole(&rounds[i]) / 1e6));
    json_object_set_new(line, "all_rounds_ms", all);
    json_object_set_new(line, "backoff", json_boolean(group->hub && group->backoff));
    stead_json_print(line, 0);
    json_decref(line);
    fflush(stdout);
}

static void tell(struct elect *elect, const struct round *rounds)
{
    const struct round *round = &rounds[(elect->rounds - 1) / 2]; /* the median */
    const struct stead_group *group = &elect->group;
    char text[STEAD_PRINT_SIZE];
    const uint64_t times[] = {round->detection_ns, round->timeouts_ns, round->rest_ns, elect->floor_ns};

    if (group->connect.json) {
        tell_json(elect, round, rounds);
        return;
    }
    stead_columns_add(elect->columns, "%s", stead_group_fabric(group));
    stead_columns_add(elect->columns, "%" PRIu32, group->members);
    stead_columns_add(elect->columns, "%" PRIu32, elect->rounds);
    stead_columns_add(elect->columns, "%" PRIu64, round->messages);
    stead_columns_add(elect->columns, "%" PRIu64, stead_group_operations(&round->carried));
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        stead_columns_add(elect->columns, "%s", stead_print_duration(times[i], text));
    stead_columns_add(elect->columns, elect->floor_ns ? "%.1f" : "-", (double)round->rest_ns / (double)elect->floor_ns);
    stead_columns_add(elect->columns, "%s", stead_print_duration(whole(round), text));
    stead_columns_add(elect->columns, group->hub && group->poll_ms ? "%.2f" : "-", cost_of(group, round));
}

static int run_size(struct elect *elect, uint32_t members)
{
    struct round *rounds = stead_alloc_zero(elect->rounds * sizeof *rounds);

    stead_group_rename(&elect->group, members);
    stead_bench_progress(&elect->group.bench, "%s, %" PRIu32 " members", stead_group_fabric(&elect->group), members);
    int code = start_members(elect);
    if (code == 0)
        code = measure_floor(elect);
    for (uint32_t i = 0; code == 0 && i < elect->rounds; i++)
        code = run_round(elect, &rounds[i]);
    if (code == 0)
        code = stead_group_ask_all(&elect->group, "leave", (struct stead_slice){NULL, 0}, NULL, NULL);
    if (code == 0) {
        qsort(rounds, elect->rounds, sizeof *rounds, by_whole);
        tell(elect, rounds);
    }
    free(rounds);
    return code;
}

static int run_sizes(struct elect *elect)
{
    int code = 0;

    for (uint32_t i = 0; code == 0 && i < elect->size_count; i++)
        code = run_size(elect, elect->sizes[i]);
    return code;
}

/* Direct, the hub with notify, at several intervals, and with a back-off. */
static int run_sweep(struct elect *elect)
{
    static const uint32_t polls[] = {0, 100, 250, 1000};
    const uint32_t longest_ms = 30000;

    elect->group.hub = elect->group.backoff = false;
    int code = run_sizes(elect);
    elect->group.hub = true;
    for (size_t i = 0; code == 0 && i < sizeof polls / sizeof polls[0]; i++) {
        elect->group.poll_ms = polls[i];
        code = run_sizes(elect);
    }
    elect->group.backoff = true;
    elect->group.poll_ms = longest_ms;
    return code == 0 ? run_sizes(elect) : code;
}

static void tell_paper(const struct elect *elect)
{
    struct stead_group_times times = stead_group_times(&elect->group);

    printf("\nThe round with the median length of each. Detectors: a sign of life every %" PRIu32
           " ms, patience %" PRIu32 " to %" PRIu32 " ms, answers within %" PRIu32 " ms%s.\n",
           times.ping_ms, times.silence_ms, 2 * times.silence_ms, times.answer_ms,
           elect->sweep ? " (of the last row)" : "");
    printf("The paper's: %.1f s a round at 4 polls a second (CIDR 2019). $/h: n x polls/s x 125 read units x $0.25 a "
           "million; 1,000 x 4 x 125: $%.0f an hour.\n",
           PAPER_S, stead_group_cost(1000, 250));
}

static int work(struct stead_group *group, void *context)
{
    static const char *const titles[] = {"FABRIC",     ">N",        ">ROUNDS", ">MESSAGES", ">STORAGE OPS",
                                         ">DETECTION", ">TIMEOUTS", ">REST",   ">FLOOR",    ">RATIO",
                                         ">ROUND",     ">$/H",      NULL};
    struct elect *elect = context;

    elect->group.kind = KIND;
    if (!group->connect.json)
        elect->columns = stead_columns_create(titles);
    int code = elect->sweep ? run_sweep(elect) : run_sizes(elect);
    if (elect->columns && stead_columns_rows(elect->columns) > 0) {
        stead_columns_print(elect->columns, stdout, stead_print_is_fancy(stdout));
        tell_paper(elect);
    }
    stead_columns_destroy(&elect->columns);
    return code == 0 ? STEAD_EXIT_DONE : STEAD_EXIT_FAILED;
}

/* ---- The command line ----------------------------------------------------------------------- */

static const char doc[] =
    "Lets groups of agents elect a leader by the bully algorithm, makes the leader fall silent, and tells how the next "
    "one took over: messages, "
    "storage operations, and the time apart into detection, answer timeouts, and the rest beside its floor.\v"
    "Examples:\n"
    "  stead elect --agents 10\n"
    "  stead elect --agents 3,10,50 --fabric hub --poll 250ms\n"
    "  stead elect --sweep --rounds 3\n"
    "\n"
    "Without --node it starts nodes of its own in a scratch folder, which it removes. On the polled hub patience and "
    "answer timeouts are multiples of "
    "the interval: a message waits for a poll.";

enum { KEY_AGENTS = 3000, KEY_ROUNDS, KEY_SWEEP };

static const struct argp_option options[] = {
    {"agents", KEY_AGENTS, "N[,N...]", 0, "Members of a group, 2 to 1000. Default: 5; with --sweep 3,10,50", 10},
    {"rounds", KEY_ROUNDS, "COUNT", 0, "Elections of each group. Default: 3", 10},
    {"sweep", KEY_SWEEP, NULL, 0, "Every fabric: direct, notify, polls of 100 ms, 250 ms and 1 s, back-off", 10},
    {0}};

static void take_sizes(struct elect *elect, char *arg, struct argp_state *state)
{
    uint64_t number = 0;

    elect->size_count = 0;
    for (char *rest = NULL, *word = strtok_r(arg, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        if (elect->size_count == SIZES_MAX || !stead_parse_number(word, 2, STEAD_GROUP_MEMBERS_MAX, &number))
            argp_error(state, "--agents: numbers from 2 to %u, %u at most", STEAD_GROUP_MEMBERS_MAX, SIZES_MAX);
        else
            elect->sizes[elect->size_count++] = (uint32_t)number;
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct elect *elect = state->input;
    uint64_t number = 0;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &elect->group;
        return 0;
    case KEY_AGENTS:
        take_sizes(elect, arg, state);
        return 0;
    case KEY_ROUNDS:
        if (!stead_parse_number(arg, 1, ROUNDS_MAX, &number))
            argp_error(state, "--rounds %s: a number from 1 to %u", arg, ROUNDS_MAX);
        elect->rounds = (uint32_t)number;
        return 0;
    case KEY_SWEEP:
        elect->sweep = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int stead_cmd_elect(int argc, char **argv)
{
    static const struct argp_child children[] = {{&stead_group_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {options, parse, NULL, doc, children, NULL, NULL};
    static struct elect elect = {.rounds = 3};
    static const uint32_t swept[] = {3, 10, 50};

    if (argp_parse(&argp, argc, argv, 0, NULL, &elect) != 0)
        return STEAD_EXIT_USAGE;
    elect.group.bench.name = "elect";
    if (elect.group.poll_given && !elect.group.hub && !elect.sweep) {
        stead_complain("--poll is of the hub: add --fabric hub");
        return STEAD_EXIT_USAGE;
    }
    if (elect.size_count == 0 && elect.sweep) {
        memcpy(elect.sizes, swept, sizeof swept);
        elect.size_count = sizeof swept / sizeof swept[0];
    } else if (elect.size_count == 0) {
        elect.sizes[elect.size_count++] = 5;
    }
    return stead_group_work(&elect.group, work, &elect);
}
