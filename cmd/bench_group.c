/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_group: protocols between agents of three nodes, measured by their own programs: `stead elect` and `stead
 * consensus`, run on nodes of this bench, whose lines become figures.
 *
 *   election    rest_N: from a leader's silence to the last of N members that knows the next, less patience and answer timeouts, which are settings; floor: two one-way delays
 *               between members
 *   consensus   decision_N: a proposal of a client of the leader until it is answered, one at a time, in a group of N: p50; floor: two raw round trips and one synced write.
 *               rate_N: decisions a second with sixteen at once, which has no floor: a sync is shared by all that wait for it
 *
 * Both programs take their floors themselves, in the same run and in the same folder.
 */
#include "cmd/bench.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NODES 3
#define PAPER_US 16.7e6 /* an election through polled storage: Hellerstein et al., CIDR 2019 */
#define COMMAND_SIZE (STEAD_BENCH_PATH_SIZE + 1024u)
#define LINE_SIZE 16384u
#define IN_FLIGHT 16

static double number(const json_t *line, const char *name)
{
    return json_number_value(json_object_get(line, name));
}

/* One line of a program: a figure or two. */
typedef void report_fn(struct stead_bench *bench, const json_t *line);

/* Runs this program's `words` on the nodes; each line of JSON is reported. */
static int run_program(struct stead_bench *bench, const struct stead_bench_node *node, const char *words,
                       report_fn *report)
{
    char command[COMMAND_SIZE], text[LINE_SIZE];
    uint32_t lines = 0;

    snprintf(command, sizeof command, "TMPDIR='%s' /proc/%d/exe %s --json --node %s", bench->folder, (int)getpid(),
             words, node->endpoint);
    FILE *output = popen(command, "re");
    if (!output)
        return stead_bench_fail(bench, "%s: %s", words, strerror(errno));
    while (fgets(text, sizeof text, output)) {
        json_t *line = json_loads(text, 0, NULL);
        if (line) {
            report(bench, line);
            lines++;
        }
        json_decref(line);
    }
    if (pclose(output) != 0 || lines == 0)
        return stead_bench_fail(bench, "stead %s failed", words);
    return 0;
}

struct nodes {
    struct stead_bench_node coordinator, nodes[NODES];
};

static int start_nodes(struct stead_bench *bench, struct nodes *nodes)
{
    static const char *const names[NODES] = {"n1", "n2", "n3"};

    *nodes = (struct nodes){.coordinator = {.pid = 0}};
    int code = stead_bench_coordinator_start(bench, NODES, &nodes->coordinator);
    for (int i = 0; code == 0 && i < NODES; i++) {
        const struct stead_bench_node_options options = {
            .name = names[i], .reactors = 1, .coordinator = nodes->coordinator.endpoint};
        code = stead_bench_node_launch(bench, &options, &nodes->nodes[i]);
    }
    for (int i = 0; code == 0 && i < NODES; i++)
        code = stead_bench_node_await(bench, &nodes->nodes[i]);
    return code;
}

static void stop_nodes(struct nodes *nodes)
{
    for (int i = 0; i < NODES; i++)
        stead_bench_node_stop(&nodes->nodes[i], false);
    stead_bench_node_stop(&nodes->coordinator, false);
}

/* ---- election ------------------------------------------------------------------------------- */

static void report_election(struct stead_bench *bench, const json_t *line)
{
    char metric[64];

    snprintf(metric, sizeof metric, "rest_%d", (int)number(line, "agents"));
    const struct stead_bench_figure figure = {
        .metric = metric,
        .value = number(line, "rest_ms") * 1000,
        .unit = "us",
        .floor = number(line, "floor_ms") * 1000,
        .settings = json_pack("{s:i,s:i,s:f,s:f,s:O,s:f}", "nodes", NODES, "rounds", (int)number(line, "rounds"),
                              "detection_ms", number(line, "detection_ms"), "timeouts_ms", number(line, "timeouts_ms"),
                              "messages", json_object_get(line, "messages"), "peer", PAPER_US)};
    stead_bench_report(bench, &figure);
}

int stead_bench_election(struct stead_bench *bench)
{
    struct nodes nodes;
    int code = start_nodes(bench, &nodes);

    if (code == 0)
        code = run_program(bench, &nodes.nodes[0],
                           bench->quick ? "elect --agents 3,10 --rounds 2" : "elect --agents 3,10,50,200 --rounds 5",
                           report_election);
    stop_nodes(&nodes);
    return code;
}

/* ---- consensus ------------------------------------------------------------------------------ */

static json_t *consensus_settings(const json_t *line)
{
    return json_pack("{s:i,s:O,s:O,s:O,s:O,s:f,s:f,s:f}", "nodes", NODES, "decisions",
                     json_object_get(line, "decisions"), "in_flight", json_object_get(line, "in_flight"), "messages",
                     json_object_get(line, "messages"), "slots", json_object_get(line, "slots"), "round_trip_us",
                     number(line, "round_trip_us"), "sync_us", number(line, "sync_us"), "gap_ms",
                     number(line, "gap_ms"));
}

static void report_decision(struct stead_bench *bench, const json_t *line)
{
    char metric[64];

    snprintf(metric, sizeof metric, "decision_%d", (int)number(line, "agents"));
    const struct stead_bench_figure figure = {.metric = metric,
                                              .value = number(line, "p50_us"),
                                              .unit = "us",
                                              .floor = number(line, "floor_us"),
                                              .settings = consensus_settings(line)};
    stead_bench_report(bench, &figure);
}

static void report_rate(struct stead_bench *bench, const json_t *line)
{
    char metric[64];

    snprintf(metric, sizeof metric, "rate_%d", (int)number(line, "agents"));
    const struct stead_bench_figure figure = {
        .metric = metric, .value = number(line, "rate"), .unit = "1/s", .settings = consensus_settings(line)};
    stead_bench_report(bench, &figure);
}

int stead_bench_consensus(struct stead_bench *bench)
{
    static const int sizes[] = {3, 5};
    struct nodes nodes;
    char words[128];
    int code = start_nodes(bench, &nodes);

    for (size_t i = 0; code == 0 && i < sizeof sizes / sizeof sizes[0]; i++) {
        snprintf(words, sizeof words, "consensus --agents %d --nodes %d --decisions %d", sizes[i], NODES,
                 bench->quick ? 200 : 2000);
        code = run_program(bench, &nodes.nodes[0], words, report_decision);
        snprintf(words, sizeof words, "consensus --agents %d --nodes %d --decisions %d --in-flight %d", sizes[i], NODES,
                 bench->quick ? 1000 : 20000, IN_FLIGHT);
        if (code == 0)
            code = run_program(bench, &nodes.nodes[0], words, report_rate);
    }
    stop_nodes(&nodes);
    return code;
}
