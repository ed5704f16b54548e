/* SPDX-License-Identifier: Apache-2.0 */
/*
 * election: drives the bully algorithm of the built-in kind `election.member` over the nodes of a running cluster, and
 * measures it.
 *
 *     election --node tcp://127.0.0.1:7400 --agents 3,10,50,200 --rounds 5
 *     election --node tcp://127.0.0.1:7400 --agents 9 --kill n1=4711,n2=4712,n3=4713
 *
 * Each round: members 1..N agree on N; then the leader is told to fall silent, or the process of its node is killed;
 * the next highest that lives takes over. Apart are
 *
 *     detection   from the kill to the first ELECTION: patience, a setting
 *     timeouts    that the winner waited for answers that could not come: a setting
 *     rest        everything else until the last member knows its leader: what the messages cost
 *     floor       two one-way delays between members, measured in the same run by calls from the winner to the others: ELECTION to the
 *                 winner, COORDINATOR to the others
 *
 * The times are of the machine's monotonic clock, so all nodes must be on this machine. Beside it: the same algorithm
 * through polled storage took 16.7 s a round (Hellerstein et al., CIDR 2019).
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "stead/agent.h"
#include "stead/client.h"

#define AGENTS_MAX 1000u
#define SIZES_MAX 16
#define NODES_MAX 32
#define NAME_SIZE 64
#define ECHOES 2000    /* of one measurement of the floor */
#define AGREE_MS 30000 /* an election takes no longer */
#define PAUSE_MS 20    /* between two looks at the members */
#define PAPER_S 16.7

struct node {
    char name[NAME_SIZE];
    pid_t pid; /* 0 once killed */
};

struct settings {
    const char *endpoints; /* of the cluster; NULL: $STEAD_NODE */
    uint32_t sizes[SIZES_MAX];
    uint32_t size_count;
    uint32_t rounds;
    struct node nodes[NODES_MAX]; /* whose processes may be killed */
    uint32_t node_count;
    int64_t ping_ms, silence_ms, answer_ms; /* of the members */
    bool json;
};

/* What one member says of itself. */
struct status {
    char node[NAME_SIZE];
    uint64_t leader, first_election_ns, waited_ns, leader_ns, silent_ns;
    uint64_t elections, answers, coordinators, pings;
    bool alive; /* it answered, and is not silent */
};

/* One round; times in ns. */
struct round {
    uint64_t killed_ns; /* when */
    uint64_t detection_ns, timeouts_ns, rest_ns, floor_ns;
    uint64_t elections, answers, coordinators; /* messages */
    uint32_t winner;
};

struct run {
    const struct settings *settings;
    struct stead_client *client;
    char group[32];
    uint32_t members;
    struct status status[AGENTS_MAX + 1]; /* by rank */
    uint32_t failed;                      /* requests that did, since it was set to 0 */
};

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static const char *address_of(const struct run *run, uint32_t rank, char *buffer, size_t size)
{
    snprintf(buffer, size, "election.member/%s/%" PRIu32, run->group, rank);
    return buffer;
}

static int complain(const char *what, int code, const struct stead_answer *answer)
{
    fprintf(stderr, "election: %s: %s: %s\n", what, stead_error_name(code),
            code == STEAD_EFAILED && answer->error_sentence ? answer->error_sentence : stead_error_sentence(code));
    return code;
}

/* ---- Asking all members --------------------------------------------------------------------- */

struct asked {
    struct run *run;
    uint32_t rank;
    const char *op;
};

static void started(void *context, const struct stead_answer *answer)
{
    struct asked *asked = context;

    if (answer->code != 0 && asked->run->failed++ == 0) {
        char what[64];
        snprintf(what, sizeof what, "member %" PRIu32 " %s", asked->rank, asked->op);
        complain(what, answer->code, answer);
    }
}

static void told(void *context, const struct stead_answer *answer)
{
    struct asked *asked = context;
    struct status *status = &asked->run->status[asked->rank];
    char phase[16] = "";

    *status = (struct status){.alive = false};
    if (answer->code != 0) {
        asked->run->failed++;
        return;
    }
    int code = stead_get_text(answer->value, "phase", phase, sizeof phase);
    code |= stead_get_text(answer->value, "node", status->node, sizeof status->node);
    code |= stead_get_u64(answer->value, "leader", &status->leader);
    code |= stead_get_u64(answer->value, "first_election_ns", &status->first_election_ns);
    code |= stead_get_u64(answer->value, "waited_ns", &status->waited_ns);
    code |= stead_get_u64(answer->value, "leader_ns", &status->leader_ns);
    code |= stead_get_u64(answer->value, "silent_ns", &status->silent_ns);
    code |= stead_get_u64(answer->value, "elections", &status->elections);
    code |= stead_get_u64(answer->value, "answers", &status->answers);
    code |= stead_get_u64(answer->value, "coordinators", &status->coordinators);
    code |= stead_get_u64(answer->value, "pings", &status->pings);
    status->alive = code == 0 && strcmp(phase, "silent") != 0 && strcmp(phase, "idle") != 0;
}

/* True: this rank's node was killed. */
static bool is_dead(const struct run *run, const char *node)
{
    for (uint32_t index = 0; index < run->settings->node_count; index++)
        if (run->settings->nodes[index].pid == 0 && strcmp(run->settings->nodes[index].name, node) == 0)
            return true;
    return false;
}

/* Calls `op` of all members at once, but those on nodes that were killed. STEAD_ETIMEOUT when they do not answer. */
static int ask_all(struct run *run, const char *op, struct stead_slice args, stead_completion_fn *completion)
{
    static struct asked asked[AGENTS_MAX + 1];
    const struct stead_request_options options = {.timeout_ms = 5000};
    char address[STEAD_ADDRESS_MAX + 1];

    run->failed = 0;
    for (uint32_t rank = run->members; rank >= 1; rank--) {
        if (is_dead(run, run->status[rank].node))
            continue;
        asked[rank] = (struct asked){run, rank, op};
        int code = stead_client_call_async(run->client, address_of(run, rank, address, sizeof address), op, args,
                                           &options, completion, &asked[rank]);
        if (code != 0)
            return complain(address, code, &(struct stead_answer){0});
    }
    int code = stead_client_drain(run->client, AGREE_MS);
    return code != 0 ? code : run->failed > 0 ? STEAD_EUNAVAILABLE : 0;
}

/* Waits until every living member follows `winner`. */
static int await_leader(struct run *run, uint32_t winner)
{
    uint64_t deadline = now_ns() + (uint64_t)AGREE_MS * 1000000u;

    while (now_ns() < deadline) {
        uint32_t agreed = 0, living = 0;
        int code = ask_all(run, "status", (struct stead_slice){NULL, 0}, told);
        if (code != 0)
            return complain("asking for the leader", code, &(struct stead_answer){0});
        for (uint32_t rank = 1; rank <= run->members; rank++) {
            living += run->status[rank].alive;
            agreed += run->status[rank].alive && run->status[rank].leader == winner;
        }
        if (living > 0 && agreed == living)
            return 0;
        pause_ms(PAUSE_MS);
    }
    return complain("waiting for all to agree", STEAD_ETIMEOUT, &(struct stead_answer){0});
}

/* ---- One round ------------------------------------------------------------------------------ */

static int start_members(struct run *run)
{
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:u,s:l,s:l,s:l}", "members", (uint64_t)run->members, "ping_ms", run->settings->ping_ms,
               "silence_ms", run->settings->silence_ms, "answer_ms", run->settings->answer_ms);
    int code = ask_all(run, "start", stead_written(&args), started);
    stead_writer_deinit(&args);
    return code == 0 ? await_leader(run, run->members) : code;
}

/* Two one-way delays from the winner to members below it (with nobody there: to all others). */
static int measure_floor(struct run *run, struct round *round)
{
    char address[STEAD_ADDRESS_MAX + 1];
    struct stead_answer answer = {0};
    struct stead_writer args;
    uint64_t one_way_ns, ranks = round->winner > 2 ? round->winner : run->members;

    stead_writer_init(&args);
    stead_pack(&args, "{s:d,s:u}", "count", ECHOES, "ranks", ranks);
    int code =
        stead_client_call(run->client, address_of(run, round->winner, address, sizeof address), "measure",
                          stead_written(&args), &(struct stead_request_options){.timeout_ms = AGREE_MS}, &answer);
    stead_writer_deinit(&args);
    if (code == 0)
        code = stead_get_u64(answer.value, "one_way_ns", &one_way_ns);
    if (code != 0)
        return complain(address, code, &answer);
    round->floor_ns = 2 * one_way_ns;
    return 0;
}

static int make_silent(struct run *run, struct round *round)
{
    char address[STEAD_ADDRESS_MAX + 1];
    struct stead_answer answer = {0};

    int code = stead_client_call(run->client, address_of(run, run->members, address, sizeof address), "fall_silent",
                                 (struct stead_slice){NULL, 0}, NULL, &answer);
    if (code != 0)
        return complain(address, code, &answer);
    round->winner = run->members - 1;
    return stead_get_u64(answer.value, NULL, &round->killed_ns);
}

/* Measures the floor from the one that will win, while all are there, and kills the process of the leader's node. */
static int kill_leader(struct run *run, struct settings *settings, struct round *round)
{
    const char *name = run->status[run->members].node;
    struct node *node = NULL;

    for (uint32_t index = 0; index < settings->node_count; index++)
        if (settings->nodes[index].pid != 0 && strcmp(settings->nodes[index].name, name) == 0)
            node = &settings->nodes[index];
    if (node == NULL) {
        fprintf(stderr, "election: the leader lives on %s; give its process with --kill %s=PID\n", name, name);
        return STEAD_EARGUMENT;
    }
    for (round->winner = run->members; round->winner > 0; round->winner--)
        if (strcmp(run->status[round->winner].node, name) != 0)
            break;
    if (round->winner == 0) {
        fprintf(stderr, "election: all members live on %s: nobody is left to take over\n", name);
        return STEAD_EFAILED;
    }
    int code = measure_floor(run, round);
    if (code != 0)
        return code;
    round->killed_ns = now_ns();
    if (kill(node->pid, SIGKILL) != 0) {
        perror("election: kill");
        return STEAD_EFAILED;
    }
    node->pid = 0;
    for (uint32_t rank = 1; rank <= run->members; rank++) /* what the dead said last is of the time before */
        if (strcmp(run->status[rank].node, node->name) == 0)
            memset(&run->status[rank].leader, 0, sizeof run->status[rank] - offsetof(struct status, leader));
    return 0;
}

/* What the members measured. */
static void add_up(const struct run *run, struct round *round)
{
    uint64_t first = UINT64_MAX, last = 0;

    for (uint32_t rank = 1; rank <= run->members; rank++) {
        const struct status *status = &run->status[rank];
        round->elections += status->elections;
        round->answers += status->answers;
        round->coordinators += status->coordinators;
        if (!status->alive)
            continue;
        if (status->first_election_ns != 0 && status->first_election_ns < first)
            first = status->first_election_ns;
        if (status->leader_ns > last)
            last = status->leader_ns;
    }
    uint64_t waited = run->status[round->winner].waited_ns;
    round->detection_ns = first > round->killed_ns ? first - round->killed_ns : 0;
    round->timeouts_ns = waited;
    round->rest_ns = last > first + waited ? last - first - waited : 0;
}

/* The silent leader speaks again, and leads again. */
static int wake_leader(struct run *run)
{
    char address[STEAD_ADDRESS_MAX + 1];
    struct stead_answer answer = {0};

    int code = stead_client_call(run->client, address_of(run, run->members, address, sizeof address), "speak",
                                 (struct stead_slice){NULL, 0}, NULL, &answer);
    return code == 0 ? await_leader(run, run->members) : complain(address, code, &answer);
}

static int run_round(struct run *run, struct settings *settings, struct round *round)
{
    int code = ask_all(run, "reset", (struct stead_slice){NULL, 0}, started);

    if (code == 0)
        code = settings->node_count > 0 ? kill_leader(run, settings, round) : make_silent(run, round);
    if (code == 0)
        code = await_leader(run, round->winner);
    if (code != 0)
        return code;
    add_up(run, round);
    return settings->node_count > 0 ? 0 : measure_floor(run, round);
}

/* ---- Telling -------------------------------------------------------------------------------- */

static int by_rest(const void *a, const void *b)
{
    const struct round *x = a, *y = b;

    return x->rest_ns < y->rest_ns ? -1 : x->rest_ns > y->rest_ns;
}

static double ratio_of(const struct round *round)
{
    return round->floor_ns == 0 ? 0 : (double)round->rest_ns / (double)round->floor_ns;
}

static void tell_json(const struct run *run, const struct round *round, uint32_t rounds)
{
    printf("{\"agents\":%" PRIu32 ",\"rounds\":%" PRIu32 ",\"winner\":%" PRIu32 ",\"messages\":{\"election\":%" PRIu64
           ",\"answer\":%" PRIu64 ",\"coordinator\":%" PRIu64 "},\"detection_ms\":%.3f,\"timeouts_ms\":%.3f,"
           "\"rest_us\":%.1f,\"floor_us\":%.1f,\"ratio\":%.2f,\"paper_s\":%.1f}\n",
           run->members, rounds, round->winner, round->elections, round->answers, round->coordinators,
           (double)round->detection_ns / 1e6, (double)round->timeouts_ns / 1e6, (double)round->rest_ns / 1e3,
           (double)round->floor_ns / 1e3, ratio_of(round), PAPER_S);
}

static void tell(const struct run *run, const struct round *round, uint32_t rounds)
{
    if (run->settings->json) {
        tell_json(run, round, rounds);
    } else {
        printf("%6" PRIu32 " %6" PRIu32 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %9.1f ms %8.1f ms %8.0f us %8.0f us",
               run->members, round->winner, round->elections, round->answers, round->coordinators,
               (double)round->detection_ns / 1e6, (double)round->timeouts_ns / 1e6, (double)round->rest_ns / 1e3,
               (double)round->floor_ns / 1e3);
        printf(round->floor_ns > 0 ? " %8.2f\n" : "        -\n", ratio_of(round));
    }
    fflush(stdout);
}

/* All rounds with so many members; tells the one with the median rest. */
static int run_size(struct run *run, struct settings *settings, struct round *rounds)
{
    uint32_t count = settings->node_count > 0 ? 1 : settings->rounds;

    memset(run->status, 0, sizeof run->status);
    snprintf(run->group, sizeof run->group, "%" PRIx32 "-%" PRIu32, (uint32_t)now_ns() ^ (uint32_t)getpid(),
             run->members);
    int code = start_members(run);
    for (uint32_t index = 0; code == 0 && index < count; index++) {
        rounds[index] = (struct round){0};
        code = run_round(run, settings, &rounds[index]);
        if (code == 0 && settings->node_count == 0)
            code = wake_leader(run);
    }
    if (code != 0)
        return code;
    if (code == 0)
        code = ask_all(run, "leave", (struct stead_slice){NULL, 0}, started);
    qsort(rounds, count, sizeof rounds[0], by_rest);
    tell(run, &rounds[count / 2], count);
    return code;
}

/* ---- The command line ----------------------------------------------------------------------- */

static const char usage[] =
    "usage: election [--node ENDPOINT] [--agents N[,N...]] [--rounds N] [--kill NAME=PID[,NAME=PID...]]\n"
    "                [--ping MS] [--silence MS] [--answer MS] [--json]\n"
    "Lets groups of N agents elect a leader, makes the leader fall silent (or kills the process of its node, one of\n"
    "those given with --kill), and tells how the next one took over: the round with the median rest.\n";

static bool parse_sizes(struct settings *settings, char *text)
{
    for (char *rest = NULL, *word = strtok_r(text, ",", &rest); word != NULL; word = strtok_r(NULL, ",", &rest)) {
        char *end;
        unsigned long size = strtoul(word, &end, 10);
        if (*end != '\0' || size < 2 || size > AGENTS_MAX || settings->size_count == SIZES_MAX)
            return false;
        settings->sizes[settings->size_count++] = (uint32_t)size;
    }
    return settings->size_count > 0;
}

static bool parse_nodes(struct settings *settings, char *text)
{
    for (char *rest = NULL, *word = strtok_r(text, ",", &rest); word != NULL; word = strtok_r(NULL, ",", &rest)) {
        char *equals = strchr(word, '='), *end;
        if (equals == NULL || equals - word >= NAME_SIZE || settings->node_count == NODES_MAX)
            return false;
        struct node *node = &settings->nodes[settings->node_count++];
        memcpy(node->name, word, (size_t)(equals - word));
        node->pid = (pid_t)strtol(equals + 1, &end, 10);
        if (*end != '\0' || node->pid <= 1)
            return false;
    }
    return settings->node_count > 0;
}

static bool parse_count(const char *text, long max, long *ret_number)
{
    char *end;

    *ret_number = strtol(text, &end, 10);
    return *end == '\0' && *ret_number >= 1 && *ret_number <= max;
}

static bool parse(int argc, char **argv, struct settings *settings)
{
    static const struct option options[] = {{"node", required_argument, NULL, 'n'},
                                            {"agents", required_argument, NULL, 'a'},
                                            {"rounds", required_argument, NULL, 'r'},
                                            {"kill", required_argument, NULL, 'k'},
                                            {"ping", required_argument, NULL, 'p'},
                                            {"silence", required_argument, NULL, 's'},
                                            {"answer", required_argument, NULL, 'w'},
                                            {"json", no_argument, NULL, 'j'},
                                            {NULL, 0, NULL, 0}};
    bool right = true;
    long number = 1;

    for (int key; right && (key = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (key == 'n')
            settings->endpoints = optarg;
        else if (key == 'a')
            right = parse_sizes(settings, optarg);
        else if (key == 'k')
            right = parse_nodes(settings, optarg);
        else if (key == 'j')
            settings->json = true;
        else
            right = key != '?' && parse_count(optarg, 60000, &number);
        settings->rounds = key == 'r' ? (uint32_t)number : settings->rounds;
        settings->ping_ms = key == 'p' ? number : settings->ping_ms;
        settings->silence_ms = key == 's' ? number : settings->silence_ms;
        settings->answer_ms = key == 'w' ? number : settings->answer_ms;
    }
    return right && optind == argc;
}

int main(int argc, char **argv)
{
    static struct run run;
    struct settings settings = {.rounds = 5, .ping_ms = 50, .silence_ms = 250, .answer_ms = 150};

    if (!parse(argc, argv, &settings) || settings.rounds > 1000) {
        fputs(usage, stderr);
        return 2;
    }
    if (settings.size_count == 0)
        settings.sizes[settings.size_count++] = 5;
    struct round *rounds = calloc(settings.rounds, sizeof *rounds);
    run.settings = &settings;
    int code = stead_client_open(&(struct stead_client_options){.endpoints = settings.endpoints}, &run.client);
    if (code != 0 || rounds == NULL) {
        free(rounds);
        return complain("opening a client", code, &(struct stead_answer){0}), 1;
    }
    if (!settings.json)
        puts("agents winner ELECTION   ANSWER COORDIN.    detection    timeouts        rest       floor rest/floor");
    for (uint32_t index = 0; code == 0 && index < settings.size_count; index++) {
        run.members = settings.sizes[index];
        code = run_size(&run, &settings, rounds);
    }
    if (code == 0 && !settings.json)
        printf("floor: two one-way delays between members. Through polled storage a round took %.1f s (CIDR 2019).\n",
               PAPER_S);
    stead_client_close(&run.client);
    free(rounds);
    return code == 0 ? 0 : 1;
}
