/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead backup: asks every node for a consistent copy of its store. The nodes write, on their machines; the folder's name is made
 * absolute here, because a node may have been started anywhere.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/connect.h"
#include "cmd/print.h"

static const char doc[] = "Backs up every node of the cluster while it runs: DIRECTORY/NODE for each.\n"
                          "\n"
                          "The folders are made by the nodes, on the machines they run on, and must not exist yet. "
                          "Each is consistent in itself: "
                          "everything that was acknowledged before the backup is in it.\v"
                          "Examples:\n"
                          "  stead backup /var/backups/stead/2026-11-23\n"
                          "  stead restore /var/backups/stead/2026-11-23/n1 ./stead-data";

/* `path` behind the working directory unless it begins with a slash. False: too long. */
static bool make_absolute(const char *path, char *ret_path, size_t size)
{
    char here[PATH_MAX] = "";
    int length;

    if (path[0] == '/')
        length = snprintf(ret_path, size, "%s", path);
    else if (!getcwd(here, sizeof here))
        return false;
    else
        length = snprintf(ret_path, size, "%s/%s", here, path);
    return length >= 0 && (size_t)length < size;
}

static void print_nodes(const json_t *nodes)
{
    static const char *const titles[] = {"NODE", ">SIZE", ">FILES", ">TOOK", "FOLDER", NULL};
    struct stead_columns *columns = stead_columns_create(titles);
    size_t index;
    json_t *node;

    json_array_foreach(nodes, index, node)
    {
        char text[STEAD_PRINT_SIZE];
        stead_columns_add(columns, "%s", stead_json_member_text(node, "name"));
        stead_columns_add(columns, "%s", stead_print_size((uint64_t)stead_json_member_int(node, "bytes"), text));
        stead_columns_add(columns, "%lld", (long long)stead_json_member_int(node, "files"));
        stead_columns_add(columns, "%s",
                          stead_print_duration((uint64_t)stead_json_member_int(node, "duration_ms") * 1000000u, text));
        stead_columns_add(columns, "%s", stead_json_member_text(node, "directory"));
    }
    stead_columns_print(columns, stdout, stead_print_is_fancy(stdout));
    stead_columns_destroy(&columns);
}

int stead_cmd_backup(int argc, char **argv)
{
    struct stead_connect connect = {0};
    const char *directory = NULL;
    struct stead_client *client = NULL;
    json_t *answer = NULL;
    char absolute[PATH_MAX];

    if (!stead_connect_parse_one(argc, argv, "DIRECTORY", "where to? Write a DIRECTORY", doc, &connect, &directory))
        return STEAD_EXIT_USAGE;
    if (!make_absolute(directory, absolute, sizeof absolute)) {
        stead_complain("%s: not a usable path: %m", directory);
        return STEAD_EXIT_USAGE;
    }
    int status = stead_connect_open(&connect, &client);
    if (status == STEAD_EXIT_DONE)
        status = stead_connect_query(&connect, client, "backup", &answer, "{s:s}", "directory", absolute);
    if (status == STEAD_EXIT_DONE && connect.json)
        stead_json_print(answer, 0);
    else if (status == STEAD_EXIT_DONE)
        print_nodes(json_object_get(answer, "nodes"));
    if (status == STEAD_EXIT_DONE && json_array_size(json_object_get(answer, "missing")) > 0) {
        stead_complain("this backup is not whole");
        status = STEAD_EXIT_FAILED;
    }
    json_decref(answer);
    stead_client_close(&client);
    return status;
}
