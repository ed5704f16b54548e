/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead restore: makes a data folder out of a backup. Offline: no node is asked.
 *
 * One node of several taken back alone forgets what it has told the others. The store's restore refuses that; the option that
 * allows it is named after what it does, so that nobody types it without having read it.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
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

#define KEY_FORGET 1000 /* argp key of an option without a letter */
#define KEY_VERIFY 1001

struct restore_options {
    const char *backup, *folder; /* what from, what to */
    bool one_of_several;         /* the loss is wanted, or all nodes are being restored */
    bool verify_only;            /* check the backup, write nothing */
    bool json;                   /* for programs */
};

static const char doc[] = "Makes a data folder out of a backup of one node. No node need run.\n"
                          "\n"
                          "BACKUP is the folder of one node as `stead backup` made it; every file is checked against "
                          "its manifest first. FOLDER is the "
                          "node's new data folder: it must be new or empty.\n"
                          "\n"
                          "A backup of one node of several is refused: this node would forget what it acknowledged "
                          "after the backup, while the others "
                          "remember it. Restore all nodes of the cluster from backups taken together, and say so.\v"
                          "Examples:\n"
                          "  stead restore --verify /var/backups/stead/2026-11-23/n1\n"
                          "  stead restore /var/backups/stead/2026-11-23/n1 ./stead-data";

static const struct argp_option options[] = {
    {"verify", KEY_VERIFY, NULL, 0, "Only check the backup; write nothing", 10},
    {"this-node-may-forget-what-others-remember", KEY_FORGET, NULL, 0,
     "Restore a backup of one node of several: all nodes are being restored, or the loss is wanted. Channels between "
     "this node and the "
     "others will report \"history lost\" where they disagree",
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
    if (!o->verify_only)
        printf("start it with: stead node --folder %s --name %s\n", o->folder, info->node_name);
}

/* What the coordinator knew stands in the backup under a mark: makes the coordinator of the data folder out of it, so that a node that
 * starts there finds its cluster again. */
static int restore_coordinator(const struct restore_options *o, const char *store_folder, char *ret_sentence)
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
    if (code == 0) {
        snprintf(folder, sizeof folder, "%.3000s/" STEAD_CONFIG_COORDINATOR_FOLDER, o->folder);
        code = mkdir(folder, 0700) == 0 ? 0 : STEAD_EIO;
        snprintf(folder, sizeof folder, "%.3000s/" STEAD_CONFIG_COORDINATOR_FOLDER "/store", o->folder);
    }
    if (code == 0)
        code = stead_store_rocksdb_open(folder, &making, &coordinator, ret_sentence);
    if (code == 0) {
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

/* Makes the data folder and restores the store into its place there. */
static int restore(const struct restore_options *o, struct stead_backup_info *ret_info, char *ret_sentence)
{
    char store[PATH_MAX];
    int length = snprintf(store, sizeof store, "%s/%s", o->folder, STEAD_CONFIG_STORE_FOLDER);

    if (length < 0 || (size_t)length >= sizeof store || (mkdir(o->folder, 0755) != 0 && errno != EEXIST)) {
        snprintf(ret_sentence, STEAD_STORE_SENTENCE_MAX, "the folder %.300s cannot be made: %m", o->folder);
        return STEAD_EIO;
    }
    int code = stead_backup_restore(o->backup, store, o->one_of_several, ret_info, ret_sentence);
    if (code != 0)
        rmdir(o->folder); /* only when it is empty, that is, when it was made here */
    return code != 0 ? code : restore_coordinator(o, store, ret_sentence);
}

int stead_cmd_restore(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "BACKUP FOLDER", doc, NULL, NULL, NULL};
    struct restore_options o = {0};
    struct stead_backup_info info = {0};
    char sentence[STEAD_STORE_SENTENCE_MAX] = "";

    if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
        return STEAD_EXIT_USAGE;
    int code = o.verify_only ? stead_backup_verify(o.backup, &info, sentence) : restore(&o, &info, sentence);
    if (code == 0) {
        print_info(&o, &info);
        return STEAD_EXIT_DONE;
    }
    stead_complain("%s", sentence[0] ? sentence : stead_error_sentence(code));
    if (code == STEAD_ECONFLICT)
        fprintf(stderr, "    read `stead restore --help`: the option is --this-node-may-forget-what-others-remember\n");
    return STEAD_EXIT_FAILED;
}
