/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead backup: asks every node for a copy of its store, all of one moment: first every node holds, then every node
 * copies (node/backup.c). The nodes write, on their machines; the folder's name is made absolute here, because a node
 * may have been started anywhere.
 *
 * Whatever ends this program between the two, the nodes let go by themselves.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "cmd/connect.h"
#include "cmd/print.h"
#include "runtime/base.h"

#define COPY_MS 86400000u /* without --timeout the copies are waited for so long */
#define HOLD_MS 10000u    /* the nodes let go so long after they began to hold */
#define TOKEN_BYTES 16

static const char doc[] = "Backs up every node of the cluster while it runs: DIRECTORY/NODE for each.\n"
                          "\n"
                          "The folders are made by the nodes, on the machines they run on, and must not exist yet. "
                          "All are of one moment: everything that was acknowledged before the backup is in it, and "
                          "nothing that follows from what is not. "
                          "For that moment (milliseconds, at most 10 seconds) requests wait.\v"
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

/* Tells which nodes say no, of a list of {name, why}; how many. */
static size_t complain_of_nodes(const json_t *nodes, const char *what)
{
    size_t index, count = 0;
    json_t *node;

    json_array_foreach(nodes, index, node)
    {
        char *why = stead_print_safe(stead_str(stead_json_member_text(node, "why")));
        if (!stead_json_member_bool(node, "held")) {
            stead_complain("node %s %s: %s", stead_json_member_text(node, "name"), what, why);
            count++;
        }
        free(why);
    }
    return count;
}

static void let_go(const struct stead_connect *connect, struct stead_client *client, const char *token)
{
    json_t *answer = NULL;

    if (stead_connect_query(connect, client, "hold", &answer, "{s:s,s:u}", "token", token, "ms", (uint64_t)0) == 0)
        json_decref(answer);
}

/* The names of a list of {name}, as an array. */
static void write_names(const json_t *nodes, struct stead_writer *ret_names)
{
    size_t index;
    json_t *node;

    stead_write_array(ret_names, (uint32_t)json_array_size(nodes));
    json_array_foreach(nodes, index, node) stead_write_str(ret_names, stead_json_member_text(node, "name"));
}

/* Every node takes nothing more from outside. Adds the names of those that have said so. */
static int hold(const struct stead_connect *connect, struct stead_client *client, const char *token,
                struct stead_writer *ret_names)
{
    json_t *answer = NULL;
    int status =
        stead_connect_query(connect, client, "hold", &answer, "{s:s,s:u}", "token", token, "ms", (uint64_t)HOLD_MS);

    if (status == STEAD_EXIT_DONE && complain_of_nodes(json_object_get(answer, "nodes"), "cannot begin") > 0)
        status = STEAD_EXIT_FAILED;
    write_names(json_object_get(answer, "nodes"), ret_names);
    json_decref(answer);
    return status;
}

/* The copies themselves: by a client of its own, since they may take long. */
static int copy(const struct stead_connect *connect, const char *token, const char *directory, struct stead_slice names,
                json_t **ret_answer)
{
    struct stead_connect patient = *connect;
    struct stead_client *client = NULL;

    if (patient.timeout_ms == 0)
        patient.timeout_ms = COPY_MS;
    int status = stead_connect_open(&patient, &client);
    if (status == STEAD_EXIT_DONE)
        status = stead_connect_query(&patient, client, "backup", ret_answer, "{s:s,s:s,s:v}", "directory", directory,
                                     "token", token, "nodes", names);
    stead_client_close(&client);
    return status;
}

static int back_up(const struct stead_connect *connect, struct stead_client *client, const char *directory)
{
    uint8_t random[TOKEN_BYTES];
    char token[2 * TOKEN_BYTES + 1];
    struct stead_writer names;
    json_t *answer = NULL;

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        stead_complain("no random numbers: %m");
        return STEAD_EXIT_FAILED;
    }
    stead_hex(token, random, sizeof random);
    stead_writer_init(&names);
    int status = hold(connect, client, token, &names);
    if (status == STEAD_EXIT_DONE)
        status = copy(connect, token, directory, stead_written(&names), &answer);
    stead_writer_deinit(&names);
    if (status != STEAD_EXIT_DONE) {
        let_go(connect, client, token);
        return status;
    }
    if (connect->json)
        stead_json_print(answer, 0);
    else if (json_array_size(json_object_get(answer, "nodes")) > 0)
        print_nodes(json_object_get(answer, "nodes"));
    size_t failed = complain_of_nodes(json_object_get(answer, "failed"), "has no copy");
    if (failed > 0 || json_array_size(json_object_get(answer, "missing")) > 0) {
        stead_complain("this backup is not whole");
        status = STEAD_EXIT_FAILED;
    }
    json_decref(answer);
    return status;
}

int stead_cmd_backup(int argc, char **argv)
{
    struct stead_connect connect = {0};
    const char *directory = NULL;
    struct stead_client *client = NULL;
    char absolute[PATH_MAX];

    if (!stead_connect_parse_one(argc, argv, "DIRECTORY", "where to? Write a DIRECTORY", doc, &connect, &directory))
        return STEAD_EXIT_USAGE;
    if (!make_absolute(directory, absolute, sizeof absolute)) {
        stead_complain("%s: not a usable path: %m", directory);
        return STEAD_EXIT_USAGE;
    }
    int status = stead_connect_open(&connect, &client);
    if (status == STEAD_EXIT_DONE)
        status = back_up(&connect, client, absolute);
    stead_client_close(&client);
    return status;
}
