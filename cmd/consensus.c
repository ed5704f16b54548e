/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead consensus: multi-Paxos between agents (agents/consensus.h) on either fabric: decisions a second, latency,
 * messages and storage operations a decision, and what the loss of a leader costs.
 *
 *     join -> a leader -> D decisions through it, K in flight -> as many through another member, and in the middle the leader falls silent -> it speaks again, all catch up
 *          -> every log is read: agreement (all members hold the same), validity (all of it was proposed here, and what was answered is where it was said to be)
 *
 * The floor of a decision with a stable leader, measured in the same run: the client's round trip (raw ZeroMQ), the
 * round trip between leader and members (the same, when there are several nodes), one synced write (a bare RocksDB). On
 * the hub: two messages one after the other, 2 x (enqueue + dequeue), and no wait for a poll. A broken promise ends
 * with 1.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agents/consensus.h"
#include "cmd/group.h"
#include "cmd/parse.h"
#include "cmd/print.h"

#define MEMBER STEAD_CONSENSUS_MEMBER_KIND
#define PROPOSER STEAD_CONSENSUS_PROPOSER_KIND
#define DECISIONS_MAX 1000000u
#define AGREE_NS 120000000000u
#define PAUSE_US 20000
#define SAMPLES 500u
#define ADDRESS_SIZE 256u

/* One proposal of this program: number n is id "cN" with value "vN". */
struct proposal {
    uint64_t begun_ns, took_ns;
    uint64_t slot; /* it was told; 0: no answer */
};

/* A number of proposals through one member. */
struct phase {
    uint32_t first, count; /* numbers */
    uint32_t begun, ended, failed;
    uint64_t begun_ns, ended_ns; /* of all */
    uint64_t last_ns, gap_ns;    /* newest answer, longest time between two */
};

struct consensus {
    struct stead_group group;
    uint32_t decisions, in_flight;
    struct proposal *proposals;
    uint32_t proposal_count;
    struct phase phase;
    /* of the last look at the proposers, or members */
    uint32_t leader;
    uint64_t least, most, sent;
    struct stead_group_counters carried;
    uint64_t trip_ns, sync_ns, operation_ns, floor_ns;
    uint64_t *chosen; /* by slot: 1 + the number, of the first member that was read; UINT64_MAX: a no-op */
    uint64_t slots;   /* of it */
};

/* ---- Looking -------------------------------------------------------------------------------- */

static void take_proposer(void *context, uint32_t rank, struct stead_slice value)
{
    struct consensus *consensus = context;
    char phase[16] = "";

    if (stead_get_text(value, "phase", phase, sizeof phase) != 0)
        return;
    if (strcmp(phase, "leading") == 0)
        consensus->leader = rank;
    stead_group_add_counters(&consensus->carried, value);
}

static void take_member(void *context, uint32_t rank, struct stead_slice value)
{
    struct consensus *consensus = context;
    uint64_t chosen = 0, sent = 0;

    (void)rank;
    if ((stead_get_u64(value, "chosen", &chosen) | stead_get_u64(value, "sent", &sent)) != 0)
        return;
    consensus->least = chosen < consensus->least ? chosen : consensus->least;
    consensus->most = chosen > consensus->most ? chosen : consensus->most;
    consensus->sent += sent;
}

static int look(struct consensus *consensus)
{
    struct stead_group *group = &consensus->group;
    const struct stead_slice none = {NULL, 0};

    consensus->leader = 0;
    consensus->least = UINT64_MAX;
    consensus->most = consensus->sent = 0;
    consensus->carried = (struct stead_group_counters){0};
    group->kind = PROPOSER;
    int code = stead_group_ask_all(group, "status", none, take_proposer, consensus);
    group->kind = MEMBER;
    return code == 0 ? stead_group_ask_all(group, "status", none, take_member, consensus) : code;
}

/* Waits for a leader, and when `all` until every member has the same prefix, `slots` long at least. */
static int await(struct consensus *consensus, bool all, uint64_t slots)
{
    uint64_t begun_ns = stead_bench_now_ns();

    while (stead_bench_now_ns() - begun_ns < AGREE_NS) {
        int code = look(consensus);
        if (code != 0)
            return code;
        if (consensus->leader != 0 && (!all || (consensus->least == consensus->most && consensus->least >= slots)))
            return 0;
        usleep(PAUSE_US);
    }
    return stead_bench_fail(&consensus->group.bench, "the group does not come to agree");
}

static int join(struct consensus *consensus)
{
    struct stead_group *group = &consensus->group;
    struct stead_group_times times = stead_group_times(group);
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:u,s:u,s:u,s:u,s:s,s:u,s:b}", "members", (uint64_t)group->members, "ping_ms",
               (uint64_t)times.ping_ms, "silence_ms", (uint64_t)times.silence_ms, "answer_ms",
               (uint64_t)times.answer_ms, "fabric", group->hub ? "hub" : "direct", "poll_ms", (uint64_t)group->poll_ms,
               "backoff", (int)group->backoff);
    group->kind = MEMBER;
    int code = stead_group_ask_all(group, "join", stead_written(&args), NULL, NULL);
    stead_writer_deinit(&args);
    return code == 0 ? await(consensus, false, 0) : code;
}

/* ---- Proposing ------------------------------------------------------------------------------ */

struct sent {
    struct consensus *consensus;
    uint32_t number;
};

static void decided(void *context, const struct stead_answer *answer)
{
    struct sent *sent = context;
    struct phase *phase = &sent->consensus->phase;
    struct proposal *proposal = &sent->consensus->proposals[sent->number];
    uint64_t now = stead_bench_now_ns();

    phase->ended++;
    proposal->took_ns = now - proposal->begun_ns;
    if (answer->code != 0 || stead_get_u64(answer->value, "slot", &proposal->slot) != 0)
        phase->failed++;
    if (now - phase->last_ns > phase->gap_ns)
        phase->gap_ns = now - phase->last_ns;
    phase->last_ns = phase->ended_ns = now;
    free(sent);
}

static int propose(struct consensus *consensus, uint32_t rank)
{
    struct phase *phase = &consensus->phase;
    struct sent *sent = malloc(sizeof *sent);
    char address[ADDRESS_SIZE], id[24], value[24];
    struct stead_writer args;

    if (sent == NULL)
        return STEAD_EFAILED;
    *sent = (struct sent){consensus, phase->first + phase->begun};
    snprintf(address, sizeof address, "%s/%s/%" PRIu32, PROPOSER, consensus->group.name, rank);
    snprintf(id, sizeof id, "c%" PRIu32, sent->number);
    snprintf(value, sizeof value, "v%" PRIu32, sent->number);
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:s}", "id", id, "value", value);
    consensus->proposals[sent->number] = (struct proposal){.begun_ns = stead_bench_now_ns()};
    int code =
        stead_client_call_async(consensus->group.client, address, "propose", stead_written(&args), NULL, decided, sent);
    stead_writer_deinit(&args);
    if (code != 0)
        free(sent);
    phase->begun += code == 0;
    return code;
}

/* `count` proposals through `rank`; after half of them `silent` (0: nobody) falls silent. */
static int run_phase(struct consensus *consensus, uint32_t rank, uint32_t count, uint32_t silent)
{
    struct stead_group *group = &consensus->group;
    struct phase *phase = &consensus->phase;
    uint64_t now = stead_bench_now_ns();
    int code = 0;

    *phase = (struct phase){.first = consensus->proposal_count, .count = count, .begun_ns = now, .last_ns = now};
    consensus->proposal_count += count;
    while (code >= 0 && phase->ended < count) {
        if (silent != 0 && phase->ended >= count / 2) {
            code = stead_group_call(group, PROPOSER, silent, "fall_silent", (struct stead_slice){NULL, 0}, NULL);
            silent = 0;
        }
        while (code >= 0 && phase->begun < count && phase->begun - phase->ended < consensus->in_flight)
            code = propose(consensus, rank);
        if (code >= 0)
            code = stead_client_poll(group->client, 1000);
    }
    if (phase->failed > 0)
        return stead_bench_fail(&group->bench, "%" PRIu32 " proposals were not decided in time", phase->failed);
    return code < 0 ? code : 0;
}

/* ---- The floor ------------------------------------------------------------------------------ */

static int measure_floor(struct consensus *consensus)
{
    static uint64_t samples[SAMPLES];
    struct stead_group *group = &consensus->group;
    struct stead_bench_disk *disk = NULL;
    struct stead_bench_raw raw;

    int code = stead_bench_raw_open(&group->bench, &raw);
    if (code != 0)
        return code;
    code = stead_bench_raw_trips(&raw, 128, samples, SAMPLES);
    stead_bench_raw_close(&raw);
    consensus->trip_ns = stead_bench_quantile(samples, SAMPLES, 500);
    if (code == 0)
        code = stead_bench_disk_open(&group->bench, &disk);
    if (code == 0)
        code = stead_bench_disk_puts(disk, 256, samples, SAMPLES);
    stead_bench_disk_close(&disk);
    consensus->sync_ns = stead_bench_quantile(samples, SAMPLES, 500);
    consensus->floor_ns = consensus->trip_ns * (group->nodes > 1 ? 2 : 1) + consensus->sync_ns;
    if (code == 0 && group->hub) {
        uint64_t hub_ns = 0;
        code = stead_group_measure_hub(group, &consensus->operation_ns, &hub_ns);
        consensus->floor_ns += hub_ns;
    }
    return code;
}

/* ---- Agreement and validity ------------------------------------------------------------------ */

/* What one entry of a log holds, as in chosen[]; 0: nobody proposed it. */
static uint64_t number_of(const struct consensus *consensus, struct stead_slice id, struct stead_slice value)
{
    char text[24] = "", again[24] = "", *end;

    if (id.size == 0)
        return UINT64_MAX;
    if (id.size >= sizeof text || value.size >= sizeof again)
        return 0;
    memcpy(text, id.data, id.size);
    memcpy(again, value.data, value.size);
    uint64_t number = strtoull(text + 1, &end, 10);
    return text[0] == 'c' && again[0] == 'v' && *end == '\0' && strcmp(text + 1, again + 1) == 0 &&
                   number < consensus->proposal_count
               ? number + 1
               : 0;
}

/* One page of the log of `rank` behind `*after`, compared with the first member's. */
static int check_page(struct consensus *consensus, uint32_t rank, uint64_t *after)
{
    struct stead_group *group = &consensus->group;
    struct stead_slice entries, id, value;
    struct stead_answer answer;
    struct stead_writer args;
    uint64_t slot, ballot;
    uint32_t count = 0, parts;

    stead_writer_init(&args);
    stead_pack(&args, "{s:u}", "after", *after);
    int code = stead_group_call(group, MEMBER, rank, "read", stead_written(&args), &answer);
    stead_writer_deinit(&args);
    if (code != 0)
        return code;
    if (stead_get_value(answer.value, "entries", &entries) != 0)
        return stead_bench_fail(&group->bench, "BROKEN: member %" PRIu32 " has no slot %" PRIu64, rank, *after + 1);
    struct stead_reader reader = stead_reader(entries);
    if (stead_read_array(&reader, &count) != 0 || count == 0)
        return stead_bench_fail(&group->bench, "BROKEN: member %" PRIu32 " has no slot %" PRIu64, rank, *after + 1);
    for (; count > 0; count--) {
        if ((stead_read_array(&reader, &parts) | stead_read_u64(&reader, &slot) | stead_read_u64(&reader, &ballot) |
             stead_read_str(&reader, &id) | stead_read_bin(&reader, &value)) != 0 ||
            slot != *after + 1 || slot > consensus->slots)
            return stead_bench_fail(&group->bench, "BROKEN: member %" PRIu32 " tells what is no log", rank);
        uint64_t number = number_of(consensus, id, value);
        if (number == 0)
            return stead_bench_fail(&group->bench,
                                    "BROKEN validity: slot %" PRIu64 " of member %" PRIu32 " was never proposed", slot,
                                    rank);
        if (rank == 1)
            consensus->chosen[slot] = number;
        if (consensus->chosen[slot] != number)
            return stead_bench_fail(&group->bench, "BROKEN agreement: slot %" PRIu64 " of member %" PRIu32 " differs",
                                    slot, rank);
        *after = slot;
    }
    return 0;
}

static int check_logs(struct consensus *consensus)
{
    struct stead_group *group = &consensus->group;
    int code = 0;

    consensus->slots = consensus->most;
    consensus->chosen = calloc(consensus->slots + 1, sizeof *consensus->chosen);
    if (consensus->chosen == NULL)
        return STEAD_EFAILED;
    for (uint32_t rank = 1; code == 0 && rank <= group->members; rank++)
        for (uint64_t after = 0; code == 0 && after < consensus->slots;)
            code = check_page(consensus, rank, &after);
    for (uint32_t n = 0; code == 0 && n < consensus->proposal_count; n++) {
        uint64_t slot = consensus->proposals[n].slot;
        if (slot == 0 || slot > consensus->slots || consensus->chosen[slot] != n + 1u)
            code = stead_bench_fail(&group->bench,
                                    "BROKEN: proposal %" PRIu32 " is not in slot %" PRIu64 ", where it was said to be",
                                    n, slot);
    }
    return code;
}

/* ---- Telling -------------------------------------------------------------------------------- */

struct figures {
    uint32_t decisions;
    double rate, messages, operations;
    uint64_t p50_ns, p99_ns;
    uint64_t gap_ns; /* of the second half */
};

static void tell_json(const struct consensus *consensus, const struct figures *it)
{
    const struct stead_group *group = &consensus->group;
    json_t *line = json_pack(
        "{s:i,s:s,s:i,s:i,s:i,s:i,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:I,s:b}", "agents", (int)group->members,
        "fabric", group->hub ? "hub" : "direct", "poll_ms", group->hub ? (int)group->poll_ms : 0, "nodes",
        (int)group->nodes, "decisions", (int)it->decisions, "in_flight", (int)consensus->in_flight, "rate", it->rate,
        "p50_us", (double)it->p50_ns / 1e3, "p99_us", (double)it->p99_ns / 1e3, "floor_us",
        (double)consensus->floor_ns / 1e3, "round_trip_us", (double)consensus->trip_ns / 1e3, "sync_us",
        (double)consensus->sync_ns / 1e3, "messages", it->messages, "operations", it->operations, "gap_ms",
        (double)it->gap_ns / 1e6, "slots", (json_int_t)consensus->slots, "agreed", 1);

    if (it->decisions < 100)
        json_object_del(line, "p99_us"); /* no p99 of so few */
    stead_json_print(line, 0);
    json_decref(line);
}

static void tell(const struct consensus *consensus, const struct figures *it)
{
    const struct stead_group *group = &consensus->group;
    char a[STEAD_PRINT_SIZE], b[STEAD_PRINT_SIZE], c[STEAD_PRINT_SIZE], d[STEAD_PRINT_SIZE];

    if (group->connect.json) {
        tell_json(consensus, it);
        return;
    }
    printf("%s, %" PRIu32 " members, %" PRIu32 " decisions, %" PRIu32 " in flight\n", stead_group_fabric(group),
           group->members, it->decisions, consensus->in_flight);
    printf("  decisions/s         %.0f\n", it->rate);
    printf("  latency p50, p99    %s, %s\n", stead_print_duration(it->p50_ns, a),
           it->decisions >= 100 ? stead_print_duration(it->p99_ns, b) : "- (n < 100)");
    printf("  floor               %s: round trip %s%s, synced write %s%s%s\n",
           stead_print_duration(consensus->floor_ns, a), stead_print_duration(consensus->trip_ns, b),
           group->nodes > 1 ? " twice" : "", stead_print_duration(consensus->sync_ns, c),
           !group->hub           ? ""
           : group->poll_ms == 0 ? ", two enqueues of "
                                 : ", four storage operations of ",
           group->hub ? stead_print_duration(consensus->operation_ns, d) : "");
    printf("  p50 / floor         %.2f\n", (double)it->p50_ns / (double)consensus->floor_ns);
    printf("  messages a decision %.1f between members\n", it->messages);
    if (group->hub)
        printf("  storage operations  %.1f a decision\n", it->operations);
    printf("  the leader silent   %s until the next decision, %" PRIu32 " more decided since\n",
           stead_print_duration(it->gap_ns, a), consensus->phase.count - consensus->phase.count / 2);
    printf("  checked             %" PRIu64 " slots of %" PRIu32 " members: agreement and validity hold\n",
           consensus->slots, group->members);
}

/* The first half, through the leader: what it measures. */
static int measure(struct consensus *consensus, struct figures *ret_figures)
{
    uint64_t *took = calloc(consensus->decisions, sizeof *took);
    struct stead_group_counters before = consensus->carried;
    uint64_t sent = consensus->sent;
    int code = took == NULL ? STEAD_EFAILED : run_phase(consensus, consensus->leader, consensus->decisions, 0);

    if (code == 0)
        code = look(consensus);
    for (uint32_t n = 0; code == 0 && n < consensus->decisions; n++)
        took[n] = consensus->proposals[n].took_ns;
    double count = consensus->decisions,
           seconds = (double)(consensus->phase.ended_ns - consensus->phase.begun_ns) / 1e9;
    /* On the hub a member's answers are carried by its proposer, which counts them. */
    uint64_t messages =
        consensus->carried.messages - before.messages + (consensus->group.hub ? 0 : consensus->sent - sent);
    *ret_figures = (struct figures){
        .decisions = consensus->decisions,
        .rate = count / seconds,
        .messages = (double)messages / count,
        .operations = (double)(stead_group_operations(&consensus->carried) - stead_group_operations(&before)) / count,
        .p50_ns = stead_bench_quantile(took, consensus->decisions, 500),
        .p99_ns = stead_bench_quantile(took, consensus->decisions, 990)};
    free(took);
    return code;
}

static int work(struct stead_group *group, void *context)
{
    struct consensus *consensus = context;
    const struct stead_slice none = {NULL, 0};
    struct figures figures = {0};

    stead_group_rename(group, group->members);
    consensus->proposals = calloc(2u * consensus->decisions, sizeof *consensus->proposals);
    int code = consensus->proposals == NULL ? STEAD_EFAILED : measure_floor(consensus);
    if (code == 0)
        code = join(consensus);
    if (code == 0)
        code = measure(consensus, &figures);
    if (code == 0)
        code = await(consensus, false, 0);
    uint32_t silent = consensus->leader;
    if (code == 0)
        code = run_phase(consensus, silent == 1 ? 2 : 1, consensus->decisions, silent);
    figures.gap_ns = consensus->phase.gap_ns;
    if (code == 0)
        code = stead_group_call(group, PROPOSER, silent, "speak", none, NULL);
    if (code == 0)
        code = await(consensus, true, consensus->proposal_count);
    if (code == 0)
        code = check_logs(consensus);
    if (code == 0)
        tell(consensus, &figures);
    group->kind = MEMBER;
    if (code == 0)
        code = stead_group_ask_all(group, "rest", none, NULL, NULL);
    free(consensus->proposals);
    free(consensus->chosen);
    return code == 0 ? STEAD_EXIT_DONE : STEAD_EXIT_FAILED;
}

/* ---- The command line ----------------------------------------------------------------------- */

static const char doc[] = "Lets a group of agents agree on a log by multi-Paxos: decisions a second, latency beside "
                          "its floor, messages a decision, and the gap when the leader falls silent; then reads "
                          "every member's log and checks agreement and validity.\v"
                          "Examples:\n"
                          "  stead consensus --agents 3\n"
                          "  stead consensus --agents 5 --nodes 3 --decisions 10000 --in-flight 16\n"
                          "  stead consensus --agents 3 --fabric hub --poll notify --decisions 200\n"
                          "\n"
                          "Without --node it starts nodes of its own in a scratch folder, which it removes. A second "
                          "round of as many decisions goes through another member than the leader, which falls "
                          "silent in its middle. Exit status 1 also when a log is broken.";

enum { KEY_AGENTS = 3000, KEY_DECISIONS, KEY_IN_FLIGHT };

static const struct argp_option options[] = {
    {"agents", KEY_AGENTS, "N", 0, "Members of the group, 3 to 63. Default: 3", 10},
    {"decisions", KEY_DECISIONS, "COUNT", 0, "Decisions of each half. Default: 1000; on a polled hub 20", 10},
    {"in-flight", KEY_IN_FLIGHT, "COUNT", 0, "Proposals at once, 1 to 32. Default: 1", 10},
    {0}};

static uint32_t take_number(const char *name, const char *arg, uint64_t min, uint64_t max, struct argp_state *state)
{
    uint64_t number = 0;

    if (!stead_parse_number(arg, min, max, &number))
        argp_error(state, "--%s %s: a number from %u to %u", name, arg, (unsigned)min, (unsigned)max);
    return (uint32_t)number;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct consensus *consensus = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &consensus->group;
        return 0;
    case KEY_AGENTS:
        consensus->group.members = take_number("agents", arg, 3, STEAD_CONSENSUS_MEMBERS_MAX, state);
        return 0;
    case KEY_DECISIONS:
        consensus->decisions = take_number("decisions", arg, 2, DECISIONS_MAX, state);
        return 0;
    case KEY_IN_FLIGHT:
        consensus->in_flight = take_number("in-flight", arg, 1, STEAD_CONSENSUS_WINDOW, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int stead_cmd_consensus(int argc, char **argv)
{
    static const struct argp_child children[] = {{&stead_group_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {options, parse, NULL, doc, children, NULL, NULL};
    static struct consensus consensus = {.in_flight = 1};

    consensus.group.members = 3;
    if (argp_parse(&argp, argc, argv, 0, NULL, &consensus) != 0)
        return STEAD_EXIT_USAGE;
    consensus.group.bench.name = "consensus";
    if (consensus.group.poll_given && !consensus.group.hub) {
        stead_complain("--poll is of the hub: add --fabric hub");
        return STEAD_EXIT_USAGE;
    }
    if (consensus.decisions == 0)
        consensus.decisions = consensus.group.hub && consensus.group.poll_ms > 0 ? 20 : 1000;
    return stead_group_work(&consensus.group, work, &consensus);
}
