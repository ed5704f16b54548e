/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_election: the bully election between agents of three nodes, measured by its own driver (examples/election.c).
 *
 * The driver takes the times apart (detection and answer timeouts are settings of the algorithm, the rest is what messages cost) and measures the
 * floor of the rest in the same run: two one-way delays between members. Here it is only given nodes, and its lines become figures.
 */
#include "cmd/bench.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NODES 3
#define PAPER_US 16.7e6 /* the same through polled storage: Hellerstein et al., CIDR 2019 */

/* The driver beside the program, or among the examples of its build. */
static bool find_driver(char *ret_path, size_t size)
{
    static const char *const places[] = {"/examples/election", "/election"};
    char program[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);

    if (length <= 0)
        return false;
    program[length] = '\0';
    const char *folder = dirname(program);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        snprintf(ret_path, size, "%s%s", folder, places[i]);
        if (access(ret_path, X_OK) == 0)
            return true;
    }
    return false;
}

static double number(const json_t *line, const char *name)
{
    return json_number_value(json_object_get(line, name));
}

/* One line of the driver: one size of the group. */
static void report_line(struct stead_bench *bench, const char *text)
{
    json_t *line = json_loads(text, 0, NULL);
    char metric[64];

    if (!line)
        return;
    json_t *settings =
        json_pack("{s:i,s:i,s:f,s:f,s:O,s:f}", "nodes", NODES, "rounds", (int)number(line, "rounds"), "detection_ms",
                  number(line, "detection_ms"), "timeouts_ms", number(line, "timeouts_ms"), "messages",
                  json_object_get(line, "messages"), "peer", PAPER_US);
    snprintf(metric, sizeof metric, "rest_%d", (int)number(line, "agents"));
    struct stead_bench_figure figure = {.metric = metric,
                                        .value = number(line, "rest_us"),
                                        .unit = "us",
                                        .floor = number(line, "floor_us"),
                                        .settings = settings};
    stead_bench_report(bench, &figure);
    json_decref(line);
}

static int run_driver(struct stead_bench *bench, const char *driver, const struct stead_bench_node *node)
{
    char command[PATH_MAX + 512], line[4096];
    uint32_t lines = 0;

    snprintf(command, sizeof command, "'%s' --json --node %s --agents %s --rounds %d", driver, node->endpoint,
             bench->quick ? "3,10" : "3,10,50,200", bench->quick ? 2 : 5);
    FILE *output = popen(command, "re");
    if (!output)
        return stead_bench_fail(bench, "%s: %s", driver, strerror(errno));
    while (fgets(line, sizeof line, output)) {
        report_line(bench, line);
        lines++;
    }
    if (pclose(output) != 0 || lines == 0)
        return stead_bench_fail(bench, "the driver of the election failed");
    return 0;
}

int stead_bench_election(struct stead_bench *bench)
{
    static const char *const names[NODES] = {"n1", "n2", "n3"};
    struct stead_bench_node coordinator, nodes[NODES] = {{.pid = 0}};
    char driver[PATH_MAX + 32];

    if (!find_driver(driver, sizeof driver))
        return stead_bench_fail(bench, "its driver is not there: build the examples");
    int code = stead_bench_coordinator_start(bench, NODES, &coordinator);
    for (int i = 0; code == 0 && i < NODES; i++) {
        struct stead_bench_node_options options = {
            .name = names[i], .reactors = 1, .coordinator = coordinator.endpoint};
        code = stead_bench_node_launch(bench, &options, &nodes[i]);
    }
    for (int i = 0; code == 0 && i < NODES; i++)
        code = stead_bench_node_await(bench, &nodes[i]);
    if (code == 0)
        code = run_driver(bench, driver, &nodes[0]);
    for (int i = 0; i < NODES; i++)
        stead_bench_node_stop(&nodes[i], false);
    stead_bench_node_stop(&coordinator, false);
    return code;
}
