/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead cluster status: who is there and who owns what.
 *
 * Two sources: for a cluster of `stead up`, the pid files and the coordinator's table, which are there when no node is;
 * for any other, the nodes themselves. --node, or $STEAD_NODE, or a missing folder chooses the second.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/connect.h"
#include "cmd/near.h"
#include "cmd/print.h"
#include "node/local_cluster.h"

struct cluster_options {
    struct stead_connect connect;
    const char *folder; /* of a cluster of `stead up` */
    bool folder_given;  /* then the nodes are not asked */
    bool shards;        /* list them too */
};

static const char doc[] =
    "Shows the nodes of a cluster, their endpoints and shards, and the processes that `stead up` started.\v"
    "Examples:\n"
    "  stead cluster status\n"
    "  stead cluster status --shards\n"
    "  stead cluster status --node tcp://127.0.0.1:7400 --json\n"
    "\n"
    "With --folder, or where ./stead-cluster is, the coordinator and the pid files are asked; with --node or "
    "$STEAD_NODE the nodes "
    "themselves.";

static const struct argp_option options[] = {
    {"folder", 'd', "DIR", 0, "Folder of a cluster of `stead up`. Default: ./stead-cluster", 10},
    {"shards", 's', NULL, 0, "List every shard", 10},
    {0}};

static void take_word(const char *word, struct argp_state *state)
{
    static const char *const words[] = {"status", NULL};

    if (state->arg_num == 0 && strcmp(word, "status") == 0)
        return;
    if (state->arg_num == 0 && stead_near_find(word, words))
        argp_error(state, "\"%s\": did you mean \"status\"?", word);
    argp_error(state, "unexpected word \"%s\"", word);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct cluster_options *o = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->connect;
        return 0;
    case 'd':
        o->folder = arg;
        o->folder_given = true;
        return 0;
    case 's':
        o->shards = true;
        return 0;
    case ARGP_KEY_ARG:
        take_word(arg, state);
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "write `stead cluster status`");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- One form for both sources: {processes, version, formed, nodes, shards} ------------------- */

static json_t *texts(const char *const *list, uint32_t count)
{
    json_t *array = json_array();

    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(array, json_string(list[i]));
    return array;
}

static json_t *tree_of_processes(const struct stead_local_cluster_status *status)
{
    json_t *processes = json_array();

    for (uint32_t i = 0; i < status->process_count; i++) {
        const struct stead_local_cluster_process *process = &status->processes[i];
        json_array_append_new(processes, json_pack("{s:s,s:i,s:I}", "name", process->name, "pid", (int)process->pid,
                                                   "running_ms", (json_int_t)process->running_ms));
    }
    return processes;
}

static void add_table(json_t *document, const struct stead_table *table)
{
    json_t *nodes = json_array(), *shards = json_array();

    for (uint32_t i = 0; i < table->node_count; i++) {
        const struct stead_table_node *node = &table->nodes[i];
        json_t *tree = json_pack("{s:s,s:i,s:I,s:b}", "name", node->name, "id", (int)node->id, "incarnation",
                                 (json_int_t)node->incarnation, "alive", node->alive);
        json_object_set_new(tree, "labels", texts(node->labels, node->label_count));
        json_object_set_new(tree, "endpoints", texts(node->endpoints, node->reactor_count));
        json_array_append_new(nodes, tree);
    }
    for (uint32_t i = 0; i < table->shard_count; i++) {
        const struct stead_table_shard *shard = &table->shards[i];
        json_array_append_new(shards, json_pack("{s:i,s:I,s:i,s:i,s:i}", "id", (int)shard->id, "epoch",
                                                (json_int_t)shard->epoch, "node", (int)shard->node, "reactor",
                                                (int)shard->reactor, "group", (int)shard->group));
    }
    json_object_set_new(document, "version", json_integer((json_int_t)table->version));
    json_object_set_new(document, "formed", json_boolean(table->formed));
    json_object_set_new(document, "nodes", nodes);
    json_object_set_new(document, "shards", shards);
}

static int ask_folder(const struct cluster_options *o, json_t **ret_document)
{
    static struct stead_local_cluster_status status;
    char why[STEAD_LOCAL_CLUSTER_WHY_SIZE] = "";
    uint32_t timeout_ms = o->connect.timeout_ms ? o->connect.timeout_ms : 2000;
    int code = stead_local_cluster_status(o->folder, (int)(timeout_ms & INT32_MAX), &status, why);

    if (code != 0) {
        stead_complain("%s", why[0] ? why : stead_error_sentence(code));
        return stead_exit_of(code);
    }
    json_t *document = json_pack("{s:o}", "processes", tree_of_processes(&status));
    if (status.table)
        add_table(document, status.table);
    stead_local_cluster_status_deinit(&status);
    *ret_document = document;
    return STEAD_EXIT_DONE;
}

/* Brings the nodes' own answers into the same form: the shards of each become one list. */
static int ask_nodes(const struct cluster_options *o, json_t **ret_document)
{
    struct stead_client *client = NULL;
    json_t *answer = NULL, *shards = json_array(), *node, *shard;
    size_t n, s;
    int64_t version = 0;

    int status = stead_connect_open(&o->connect, &client);
    if (status == STEAD_EXIT_DONE)
        status = stead_connect_query(&o->connect, client, "status", &answer, "{}");
    stead_client_close(&client);
    if (status != STEAD_EXIT_DONE) {
        json_decref(shards);
        return status;
    }
    json_array_foreach(json_object_get(answer, "nodes"), n, node)
    {
        int64_t seen = stead_json_member_int(node, "table_version");
        version = seen > version ? seen : version;
        json_object_set_new(node, "alive", json_true());
        json_array_foreach(json_object_get(node, "shards"), s, shard)
        {
            json_object_set_new(shard, "node", json_integer(stead_json_member_int(node, "id")));
            json_array_append(shards, shard);
        }
    }
    json_object_set_new(answer, "version", json_integer(version));
    json_object_set_new(answer, "formed", json_boolean(json_array_size(shards) > 0));
    json_object_set_new(answer, "shards", shards);
    *ret_document = answer;
    return STEAD_EXIT_DONE;
}

/* ---- For people ----------------------------------------------------------------------------- */

static void print_nodes(const json_t *document, bool bold)
{
    static const char *const titles[] = {"NODE", ">ID", "STATE", ">STARTS", ">SHARDS", "LABELS", "ENDPOINTS", NULL};
    struct stead_columns *columns = stead_columns_create(titles);
    size_t n, s, i;
    json_t *node, *shard, *item;

    json_array_foreach(json_object_get(document, "nodes"), n, node)
    {
        size_t owned = 0;
        char list[2][512] = {"", ""};
        const char *const names[2] = {"labels", "endpoints"};

        json_array_foreach(json_object_get(document, "shards"), s, shard)
        {
            owned += stead_json_member_int(shard, "node") == stead_json_member_int(node, "id");
        }
        for (size_t which = 0; which < 2; which++) {
            json_array_foreach(json_object_get(node, names[which]), i, item)
            {
                size_t used = strlen(list[which]);
                snprintf(list[which] + used, sizeof list[which] - used, "%s%s", i ? "," : "", json_string_value(item));
            }
        }
        stead_columns_add(columns, "%s", stead_json_member_text(node, "name"));
        stead_columns_add(columns, "%lld", (long long)stead_json_member_int(node, "id"));
        stead_columns_add(columns, "%s", stead_json_member_bool(node, "alive") ? "alive" : "silent");
        stead_columns_add(columns, "%lld", (long long)stead_json_member_int(node, "incarnation"));
        stead_columns_add(columns, "%zu", owned);
        stead_columns_add(columns, "%s", list[0][0] ? list[0] : "-");
        stead_columns_add(columns, "%s", list[1]);
    }
    stead_columns_print(columns, stdout, bold);
    stead_columns_destroy(&columns);
}

static void print_shards(const json_t *document, bool bold)
{
    static const char *const titles[] = {">SHARD", ">EPOCH", ">NODE", ">REACTOR", ">GROUP", NULL};
    struct stead_columns *columns = stead_columns_create(titles);
    size_t s;
    json_t *shard;

    json_array_foreach(json_object_get(document, "shards"), s, shard)
    {
        stead_columns_add(columns, "%lld", (long long)stead_json_member_int(shard, "id"));
        stead_columns_add(columns, "%lld", (long long)stead_json_member_int(shard, "epoch"));
        stead_columns_add(columns, "%lld", (long long)stead_json_member_int(shard, "node"));
        stead_columns_add(columns, "%lld", (long long)stead_json_member_int(shard, "reactor"));
        stead_columns_add(columns, "%lld", (long long)stead_json_member_int(shard, "group"));
    }
    stead_columns_print(columns, stdout, bold);
    stead_columns_destroy(&columns);
}

static void print_processes(const json_t *processes, bool bold)
{
    static const char *const titles[] = {"PROCESS", ">PID", ">RUNNING FOR", NULL};
    struct stead_columns *columns = stead_columns_create(titles);
    size_t index;
    json_t *process;

    json_array_foreach(processes, index, process)
    {
        char text[STEAD_PRINT_SIZE];
        int64_t pid = stead_json_member_int(process, "pid");
        uint64_t running_ms = (uint64_t)stead_json_member_int(process, "running_ms");

        stead_columns_add(columns, "%s", stead_json_member_text(process, "name"));
        if (pid)
            stead_columns_add(columns, "%lld", (long long)pid);
        else
            stead_columns_add(columns, "-");
        stead_columns_add(columns, "%s", pid ? stead_print_duration(running_ms * 1000000u, text) : "down");
    }
    stead_columns_print(columns, stdout, bold);
    stead_columns_destroy(&columns);
}

static void print_document(const struct cluster_options *o, const json_t *document)
{
    bool bold = stead_print_is_fancy(stdout);
    const json_t *processes = json_object_get(document, "processes");

    if (processes) {
        print_processes(processes, bold);
        putchar('\n');
    }
    if (!json_object_get(document, "nodes")) {
        stead_complain("the coordinator does not answer");
        return;
    }
    print_nodes(document, bold);
    if (!stead_json_member_bool(document, "formed"))
        printf("not formed yet: it waits for more nodes\n");
    if (o->shards) {
        putchar('\n');
        print_shards(document, bold);
    }
}

int stead_cmd_cluster(int argc, char **argv)
{
    static const struct argp_child children[] = {{&stead_connect_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {options, parse, "status", doc, children, NULL, NULL};
    struct cluster_options o = {.folder = "./stead-cluster"};
    json_t *document = NULL;

    if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
        return STEAD_EXIT_USAGE;
    const char *environment = getenv("STEAD_NODE");
    bool nodes = !o.folder_given && (o.connect.endpoints || (environment && *environment) || access(o.folder, F_OK));
    int status = nodes ? ask_nodes(&o, &document) : ask_folder(&o, &document);
    if (status != STEAD_EXIT_DONE)
        return status;
    if (o.connect.json)
        stead_json_print(document, 0);
    else
        print_document(&o, document);
    if (!json_object_get(document, "nodes"))
        status = STEAD_EXIT_UNREACHABLE;
    json_decref(document);
    return status;
}
