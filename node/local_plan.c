/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_plan: the plan's file and the cluster's names.
 *
 * The plan is a few lines of text, `word value`, written as a whole under another name and renamed: `stead down` and a
 * later `stead up` find in it what the cluster consists of. An argument of the nodes stands on a line of its own, so it
 * cannot hold a newline: `arg WORD` is for every node, `on N WORD` for nN alone.
 */
#define _GNU_SOURCE
#include "node/local_plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base.h"

#define LINE_SIZE 4096

void stead_local_plan_path(const char *folder, const char *name, const char *suffix, char *ret_path)
{
    int size = snprintf(ret_path, STEAD_LOCAL_PATH_SIZE, "%s/%s%s", folder, name, suffix);
    STEAD_ASSERT(size > 0 && (unsigned)size < STEAD_LOCAL_PATH_SIZE); /* the folder's name was checked */
}

void stead_local_plan_name(uint32_t node, char *ret_name)
{
    snprintf(ret_name, STEAD_NODE_NAME_MAX + 1, "n%" PRIu32, node + 1);
}

int stead_local_plan_find(const char *folder, const char *name, struct stead_process *ret_process)
{
    char path[STEAD_LOCAL_PATH_SIZE];
    stead_local_plan_path(folder, name, ".pid", path);
    return stead_process_read(path, ret_process);
}

/* ---- The file ------------------------------------------------------------------------------- */

/* Takes one line, without its newline. */
static bool take_line(struct stead_local_plan *plan, const char *line)
{
    unsigned number;
    char word[16];
    int size = 0;
    if (plan->arg_count < STEAD_LOCAL_CLUSTER_ARGS_MAX && strncmp(line, "arg ", 4) == 0) {
        stead_local_plan_add(plan, 0, line + 4);
        return true;
    }
    if (plan->arg_count < STEAD_LOCAL_CLUSTER_ARGS_MAX && sscanf(line, "on %u%n", &number, &size) == 1 && number >= 1 &&
        number <= STEAD_LOCAL_CLUSTER_NODES_MAX && line[size] == ' ') {
        stead_local_plan_add(plan, number, line + size + 1);
        return true;
    }
    if (sscanf(line, "%15s %u", word, &number) != 2)
        return false;
    if (strcmp(word, "nodes") == 0 && number >= 1 && number <= STEAD_LOCAL_CLUSTER_NODES_MAX)
        plan->nodes = number;
    else if (strcmp(word, "port") == 0 && number <= UINT16_MAX)
        plan->port = (uint16_t)number;
    else if (strcmp(word, "restart") == 0)
        plan->restart = number != 0;
    else
        return false;
    return true;
}

int stead_local_plan_read(const char *folder, struct stead_local_plan *ret_plan)
{
    char path[STEAD_LOCAL_PATH_SIZE], line[LINE_SIZE];
    if (strlen(folder) > STEAD_LOCAL_FOLDER_MAX)
        return STEAD_ENOTFOUND;
    stead_local_plan_path(folder, "cluster", "", path);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return STEAD_ENOTFOUND;
    struct stead_local_plan plan = {0};
    strcpy(plan.folder, folder);
    bool whole = true;
    while (whole && fgets(line, sizeof line, file)) {
        size_t size = strcspn(line, "\n");
        whole = line[size] == '\n';
        line[size] = 0;
        whole = whole && take_line(&plan, line);
    }
    fclose(file);
    if (!whole || plan.nodes == 0) {
        stead_local_plan_deinit(&plan);
        return STEAD_ECORRUPT;
    }
    *ret_plan = plan;
    return 0;
}

int stead_local_plan_write(const struct stead_local_plan *plan)
{
    char path[STEAD_LOCAL_PATH_SIZE], temporary[STEAD_LOCAL_PATH_SIZE];
    stead_local_plan_path(plan->folder, "cluster", "", path);
    stead_local_plan_path(plan->folder, "cluster", ".new", temporary);
    FILE *file = fopen(temporary, "we");
    if (file == NULL)
        return STEAD_EIO;
    fprintf(file, "nodes %" PRIu32 "\nport %u\nrestart %d\n", plan->nodes, (unsigned)plan->port, plan->restart);
    for (uint32_t i = 0; i < plan->arg_count; i++)
        if (plan->args[i].node == 0)
            fprintf(file, "arg %s\n", plan->args[i].word);
        else
            fprintf(file, "on %" PRIu32 " %s\n", plan->args[i].node, plan->args[i].word);
    bool failed = ferror(file) != 0;
    failed |= fclose(file) != 0;
    if (failed || rename(temporary, path) != 0) {
        unlink(temporary);
        return STEAD_EIO;
    }
    return 0;
}

void stead_local_plan_deinit(struct stead_local_plan *plan)
{
    for (uint32_t i = 0; i < plan->arg_count; i++)
        free(plan->args[i].word);
    plan->arg_count = 0;
}

/* ---- The nodes' words ----------------------------------------------------------------------- */

void stead_local_plan_add(struct stead_local_plan *plan, uint32_t node, const char *word)
{
    STEAD_ASSERT(plan->arg_count < STEAD_LOCAL_CLUSTER_ARGS_MAX);
    plan->args[plan->arg_count].node = node;
    plan->args[plan->arg_count++].word = stead_text_copy(word);
}

bool stead_local_plan_has(const struct stead_local_plan *plan, const struct stead_local_cluster_arg *args,
                          uint32_t count)
{
    bool same = count == plan->arg_count;
    for (uint32_t i = 0; same && i < count; i++)
        same = args[i].node == plan->args[i].node && strcmp(args[i].word, plan->args[i].word) == 0;
    return same;
}

uint32_t stead_local_plan_args(const struct stead_local_plan *plan, uint32_t node, const char **ret_args)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < plan->arg_count; i++)
        if (plan->args[i].node == 0)
            ret_args[count++] = plan->args[i].word;
    for (uint32_t i = 0; i < plan->arg_count; i++)
        if (plan->args[i].node == node + 1)
            ret_args[count++] = plan->args[i].word;
    return count;
}

/* ---- Does it serve? ------------------------------------------------------------------------- */

static const struct stead_table_node *find_named(const struct stead_table *table, const char *name)
{
    for (uint32_t i = 0; i < table->node_count; i++)
        if (strcmp(table->nodes[i].name, name) == 0)
            return &table->nodes[i];
    return NULL;
}

void stead_local_baseline_take(const struct stead_local_plan *plan, const struct stead_table *table,
                               struct stead_local_baseline *ret_baseline)
{
    for (uint32_t i = 0; i < plan->nodes; i++) {
        char name[STEAD_NODE_NAME_MAX + 1];
        stead_local_plan_name(i, name);
        const struct stead_table_node *node = find_named(table, name);
        ret_baseline->incarnations[i] = node ? node->incarnation : 0;
    }
}

const char *stead_local_plan_endpoint(const struct stead_table *table)
{
    char name[STEAD_NODE_NAME_MAX + 1];
    stead_local_plan_name(0, name);
    const struct stead_table_node *node = find_named(table, name);
    return node && node->reactor_count > 0 ? node->endpoints[0] : "";
}

bool stead_local_baseline_passed(const struct stead_local_plan *plan, const struct stead_local_baseline *baseline,
                                 const struct stead_table *table)
{
    if (!table->formed)
        return false;
    for (uint32_t i = 0; i < plan->nodes; i++) {
        char name[STEAD_NODE_NAME_MAX + 1];
        stead_local_plan_name(i, name);
        const struct stead_table_node *node = find_named(table, name);
        if (node == NULL || !node->alive || node->incarnation <= baseline->incarnations[i])
            return false;
    }
    for (uint32_t i = 0; i < table->shard_count; i++) {
        const struct stead_table_node *node = stead_table_node_find(table, table->shards[i].node);
        if (node == NULL || table->shards[i].incarnation != node->incarnation)
            return false;
    }
    return true;
}
