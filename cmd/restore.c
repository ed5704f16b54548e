/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead restore: makes a data folder out of a backup. Offline: no node is asked.
 *
 * A whole cluster is taken back when all its nodes' backups are there and of one moment. One node of several taken back
 * alone forgets what it has told the others. The store's restore refuses that; the option that allows it is named after
 * what it does, so that nobody types it without having read it.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <argp.h>
#include <jansson.h>

#include "cmd/cmd.h"
#include "cmd/connect.h"
#include "cmd/print.h"
#include "node/config.h"
#include "persist/backup.h"
#include "persist/format.h"
#include "persist/store_rocksdb.h"
#include "runtime/base.h"
#include "runtime/table.h"

#define KEY_FORGET 1000 /* argp key of an option without a letter */
#define KEY_VERIFY 1001
#define KEY_CLUSTER 1002

struct restore_options {
    const char *backup, *folder; /* what from, what to */
    bool one_of_several;         /* the loss is wanted, or all nodes are being restored */
    bool cluster;                /* all nodes of a backup, for `stead up` */
    bool verify_only;            /* check the backup, write nothing */
    bool json;                   /* for programs */
};

static const char doc[] = "Makes a data folder out of a backup of one node, or the folders of a whole cluster. No node "
                          "need run.\n"
                          "\n"
                          "BACKUP is the folder of one node as `stead backup` made it; every file is checked against "
                          "its manifest first. FOLDER is the "
                          "node's new data folder: it must be new or empty.\n"
                          "\n"
                          "With --cluster, BACKUP is all that `stead backup` made: every node is restored into "
                          "FOLDER/NAME, and the coordinator, for `stead up`. All must be there, and of one moment.\n"
                          "\n"
                          "A backup of one node of several is refused: this node would forget what it acknowledged "
                          "after the backup, while the others remember it.\v"
                          "Examples:\n"
                          "  stead restore --verify /var/backups/stead/2026-11-23/n1\n"
                          "  stead restore /var/backups/stead/2026-11-23/n1 ./stead-data\n"
                          "  stead restore --cluster /var/backups/stead/2026-11-23 ./stead-cluster";

static const struct argp_option options[] = {
    {"cluster", KEY_CLUSTER, NULL, 0, "Restore all nodes of a backup", 10},
    {"verify", KEY_VERIFY, NULL, 0, "Only check the backup; write nothing", 10},
    {"this-node-may-forget-what-others-remember", KEY_FORGET, NULL, 0,
     "Restore a backup of one node of several: all nodes are being restored, or the loss is wanted. Channels between "
     "this node and the others report \"history lost\" once where they disagree, and go on",
     10},
    {"json", 'j', NULL, 0, "Print JSON, for programs", 90},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct restore_options *o = state->input;

    switch (key) {
    case KEY_FORGET:
        o->one_of_several = true;
        return 0;
    case KEY_CLUSTER:
        o->cluster = true;
        return 0;
    case KEY_VERIFY:
        o->verify_only = true;
        return 0;
    case 'j':
        o->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num == 0)
            o->backup = arg;
        else if (state->arg_num == 1)
            o->folder = arg;
        else
            argp_error(state, "too many words");
        return 0;
    case ARGP_KEY_END:
        if (!o->backup)
            argp_error(state, "which BACKUP?");
        if (!o->folder && !o->verify_only)
            argp_error(state, "into which FOLDER?");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void print_info(const struct restore_options *o, const struct stead_backup_info *info)
{
    char time[STEAD_PRINT_SIZE], size[STEAD_PRINT_SIZE];

    if (o->json) {
        json_t *document = json_pack("{s:s,s:i,s:i,s:I,s:I,s:i}", "node_name", info->node_name, "node", (int)info->node,
                                     "nodes", (int)info->nodes, "taken_ms", (json_int_t)info->taken_ms, "bytes",
                                     (json_int_t)info->bytes, "files", (int)info->file_count);
        stead_json_print(document, 0);
        json_decref(document);
        return;
    }
    printf("%s: node %s (%u of %u nodes), taken %s, %u files, %s\n", o->verify_only ? "whole" : "restored",
           info->node_name, info->node, info->nodes, stead_print_time(info->taken_ms, time), info->file_count,
           stead_print_size(info->bytes, size));
}

/* ---- One node ------------------------------------------------------------------------------- */

/* What the coordinator knew stands in the backup under a mark, which goes. With `coordinator` (a folder to be made) a
 * coordinator is made of it, so that a node that starts there finds its cluster again. */
static int restore_coordinator(const char *store_folder, const char *coordinator_folder, char *ret_sentence)
{
    const struct stead_store_rocksdb_options making = {.create = true};
    char folder[PATH_MAX];
    struct stead_store *store = NULL, *coordinator = NULL;
    struct stead_writer rows;

    stead_writer_init(&rows);
    int code = stead_store_rocksdb_open(store_folder, NULL, &store, ret_sentence);
    if (code == 0)
        code = stead_store_meta_get(store, STEAD_META_COORDINATOR, &rows);
    if (code == 0)
        code = stead_store_meta_put(store, STEAD_META_COORDINATOR, (struct stead_slice){0});
    if (code == 0 && coordinator_folder != NULL) {
        int length = snprintf(folder, sizeof folder, "%s/store", coordinator_folder);
        bool made = length >= 0 && (size_t)length < sizeof folder && mkdir(coordinator_folder, 0700) == 0;
        code = made ? stead_store_rocksdb_open(folder, &making, &coordinator, ret_sentence) : STEAD_EIO;
    }
    if (code == 0 && coordinator != NULL) {
        const struct stead_store_op op = {.type = STEAD_STORE_ROWS, .bytes = stead_written(&rows)};
        code = stead_store_write(coordinator, &op, 1, true);
    }
    if (code != 0 && ret_sentence[0] == 0)
        snprintf(ret_sentence, STEAD_STORE_SENTENCE_MAX, "what the coordinator knew cannot be restored: %s",
                 stead_error_sentence(code));
    stead_store_close(&coordinator);
    stead_store_close(&store);
    stead_writer_deinit(&rows);
    return code;
}

/* Two names as a path; false after a sentence: too long. */
static bool join(char *ret_path, const char *folder, const char *name, char *ret_sentence)
{
    int length = snprintf(ret_path, PATH_MAX, "%s/%s", folder, name);

    if (length >= 0 && length < PATH_MAX)
        return true;
    snprintf(ret_sentence, STEAD_STORE_SENTENCE_MAX, "the path of the folder is too long");
    return false;
}

/* Makes the data folder and restores the store into its place there. `coordinator`: where that goes; NULL: nowhere. */
static int restore_node(const char *backup, const char *folder, bool one_of_several, const char *coordinator,
                        struct stead_backup_info *ret_info, char *ret_sentence)
{
    char store[PATH_MAX];

    if (!join(store, folder, STEAD_CONFIG_STORE_FOLDER, ret_sentence))
        return STEAD_EARGUMENT;
    if (mkdir(folder, 0755) != 0 && errno != EEXIST) {
        snprintf(ret_sentence, STEAD_STORE_SENTENCE_MAX, "the folder %.300s cannot be made: %m", folder);
        return STEAD_EIO;
    }
    int code = stead_backup_restore(backup, store, one_of_several, ret_info, ret_sentence);
    if (code != 0)
        rmdir(folder); /* only when it is empty, that is, when it was made here */
    return code != 0 ? code : restore_coordinator(store, coordinator, ret_sentence);
}

static int run_one(const struct restore_options *o, char *ret_sentence)
{
    struct stead_backup_info info = {0};
    char coordinator[PATH_MAX];
    int code;

    if (o->verify_only)
        code = stead_backup_verify(o->backup, &info, ret_sentence);
    else if (!join(coordinator, o->folder, STEAD_CONFIG_COORDINATOR_FOLDER, ret_sentence))
        code = STEAD_EARGUMENT;
    else
        code = restore_node(o->backup, o->folder, o->one_of_several, coordinator, &info, ret_sentence);
    if (code == 0)
        print_info(o, &info);
    if (code == 0 && !o->verify_only && !o->json && info.nodes > 1)
        printf("it is one of %u: start it as it was started, with its cluster's --coordinator, or by `stead up`; what "
               "the coordinator knew then is in %s, for a cluster that has lost its own\n",
               info.nodes, coordinator);
    else if (code == 0 && !o->verify_only && !o->json)
        printf("start it with: stead node --folder %s --name %s\n", o->folder, info.node_name);
    return code;
}

/* ---- A cluster ------------------------------------------------------------------------------ */

struct whole {
    struct stead_backup_info nodes[STEAD_NODES_MAX];
    uint32_t count;
};

/* Reads the manifests of all folders in the backup. */
static int look_at_all(const char *backup, struct whole *whole, char *ret_sentence)
{
    DIR *directory = opendir(backup);
    int code = 0;

    if (directory == NULL) {
        snprintf(ret_sentence, STEAD_STORE_SENTENCE_MAX, "%.300s cannot be read: %m", backup);
        return STEAD_EIO;
    }
    for (struct dirent *it = readdir(directory); it != NULL && code == 0; it = readdir(directory)) {
        char path[PATH_MAX];
        struct stead_backup_info *info = &whole->nodes[whole->count];
        if (it->d_name[0] == '.')
            continue;
        if (whole->count == STEAD_NODES_MAX || !join(path, backup, it->d_name, ret_sentence))
            code = STEAD_ETOOLARGE;
        if (code == 0)
            code = stead_backup_look(path, info, ret_sentence);
        if (code == 0 && strcmp(info->node_name, it->d_name) != 0) {
            snprintf(ret_sentence, STEAD_STORE_SENTENCE_MAX, "%.300s is the backup of node %s: it was renamed", path,
                     info->node_name);
            code = STEAD_ECORRUPT;
        }
        whole->count += code == 0;
    }
    closedir(directory);
    return code;
}

/* All nodes of one cluster, of one moment. */
static int check_whole(const char *backup, const struct whole *whole, char *ret_sentence)
{
    const struct stead_backup_info *first = &whole->nodes[0];
    const char *what = NULL;

    if (whole->count == 0 || first->nodes != whole->count)
        what = "is not the backup of a whole cluster: folders of nodes are missing, or too many";
    for (uint32_t i = 0; i < whole->count && what == NULL; i++) {
        const struct stead_backup_info *it = &whole->nodes[i];
        if (!stead_id_equal(it->cluster, first->cluster) || it->nodes != first->nodes)
            what = "holds backups of different clusters";
        else if (!stead_id_equal(it->cut, first->cut) || stead_id_equal(it->cut, (struct stead_id){0}))
            what = "holds backups of different moments";
    }
    if (what == NULL)
        return 0;
    snprintf(ret_sentence, STEAD_STORE_SENTENCE_MAX, "%.300s %s", backup, what);
    return STEAD_ESTATE;
}

/* Looks at every node's backup whole, or restores it. */
static int go_through(const struct restore_options *o, struct whole *whole, bool verify, char *ret_sentence)
{
    char backup[PATH_MAX], folder[PATH_MAX], coordinator[PATH_MAX];
    int code = 0;

    for (uint32_t i = 0; i < whole->count && code == 0; i++) {
        struct stead_backup_info *info = &whole->nodes[i];
        if (!join(backup, o->backup, info->node_name, ret_sentence) ||
            (!verify && (!join(folder, o->folder, info->node_name, ret_sentence) ||
                         !join(coordinator, o->folder, STEAD_CONFIG_COORDINATOR_FOLDER, ret_sentence))))
            code = STEAD_EARGUMENT;
        else if (verify)
            code = stead_backup_verify(backup, info, ret_sentence);
        else
            code = restore_node(backup, folder, true, i == 0 ? coordinator : NULL, info, ret_sentence);
        if (code == 0 && verify == o->verify_only)
            print_info(o, info);
    }
    return code;
}

/* All are looked at before the first is restored: half a cluster would only be in the way. */
static int run_whole(const struct restore_options *o, char *ret_sentence)
{
    struct whole *whole = stead_alloc_zero(sizeof *whole);
    int code = look_at_all(o->backup, whole, ret_sentence);

    if (code == 0)
        code = check_whole(o->backup, whole, ret_sentence);
    if (code == 0)
        code = go_through(o, whole, true, ret_sentence);
    if (code == 0 && !o->verify_only && mkdir(o->folder, 0755) != 0 && errno != EEXIST) {
        snprintf(ret_sentence, STEAD_STORE_SENTENCE_MAX, "the folder %.300s cannot be made: %m", o->folder);
        code = STEAD_EIO;
    }
    if (code == 0 && !o->verify_only)
        code = go_through(o, whole, false, ret_sentence);
    if (code == 0 && !o->verify_only && !o->json)
        printf("start it with: stead up %u --folder %s\n", whole->count, o->folder);
    free(whole);
    return code;
}

int stead_cmd_restore(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "BACKUP FOLDER", doc, NULL, NULL, NULL};
    struct restore_options o = {0};
    char sentence[STEAD_STORE_SENTENCE_MAX] = "";

    if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
        return STEAD_EXIT_USAGE;
    int code = o.cluster ? run_whole(&o, sentence) : run_one(&o, sentence);
    if (code == 0)
        return STEAD_EXIT_DONE;
    stead_complain("%s", sentence[0] ? sentence : stead_error_sentence(code));
    if (code == STEAD_ECONFLICT)
        fprintf(stderr, "    to restore all nodes use --cluster; for one alone read `stead restore --help`: the option "
                        "is --this-node-may-forget-what-others-remember\n");
    return STEAD_EXIT_FAILED;
}
