/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead check: verifies the data folder of a stopped node, read-only. Findings go to stdout as they are found; the exit
 * code is 1 when there is any.
 */
#include <argp.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cmd/cmd.h"
#include "cmd/connect.h"
#include "cmd/parse.h"
#include "cmd/print.h"
#include "node/config.h"
#include "persist/backup.h"
#include "persist/check.h"
#include "persist/store_rocksdb.h"

struct check_options {
    const char *folder;    /* a data folder, or a store by itself */
    uint64_t findings_max; /* printed */
    bool json;             /* for programs */
};

static const char doc[] = "Verifies the data folder of a stopped node: log, image and indexes. Nothing is changed.\n"
                          "\n"
                          "Every log entry is decoded, every row parsed, and what belongs together is compared, as it "
                          "would be after recovery.\v"
                          "Examples:\n"
                          "  stead check ./stead-data\n"
                          "  stead check --json ./stead-data\n"
                          "\n"
                          "Exit status 0: nothing found; 1: something does not add up, or the folder cannot be read.";

static const struct argp_option options[] = {
    {"findings", 'f', "COUNT", 0, "Print at most so many findings. Default: 20", 10},
    {"json", 'j', NULL, 0, "Print JSON, for programs: a line a finding, then the counts", 90},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct check_options *o = state->input;

    switch (key) {
    case 'f':
        if (!stead_parse_number(arg, 0, UINT32_MAX, &o->findings_max))
            argp_error(state, "--findings %s: not a number", arg);
        return 0;
    case 'j':
        o->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0)
            argp_error(state, "one FOLDER only");
        o->folder = arg;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which FOLDER?");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void print_finding(void *context, const char *where, const char *what)
{
    const struct check_options *o = context;

    if (o->json) {
        json_t *document = json_pack("{s:s,s:s}", "where", where, "what", what);
        if (document)
            stead_json_print(document, 0);
        json_decref(document);
        return;
    }
    char *safe_where = stead_print_safe(stead_str(where)), *safe_what = stead_print_safe(stead_str(what));
    printf("%s: %s\n", safe_where, safe_what);
    free(safe_where);
    free(safe_what);
}

static void print_counts(const struct check_options *o, const struct stead_check_counts *counts)
{
    const struct {
        const char *name;
        uint64_t count;
    } lines[] = {{"shards", counts->shards},       {"entries", counts->entries},   {"entry_bytes", counts->entry_bytes},
                 {"turns", counts->turns},         {"replayed", counts->replayed}, {"rows", counts->rows},
                 {"row_bytes", counts->row_bytes}, {"agents", counts->agents},     {"timers", counts->timers},
                 {"outbox", counts->outbox},       {"findings", counts->findings}};
    json_t *document = json_object();
    char text[STEAD_PRINT_SIZE];

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (o->json)
            json_object_set_new(document, lines[i].name, json_integer((json_int_t)lines[i].count));
        else
            printf("%-12s %16s\n", lines[i].name, stead_print_count(lines[i].count, text));
    }
    if (o->json)
        stead_json_print(document, 0);
    json_decref(document);
}

/* Opens the store inside a data folder, or the folder itself when it is a store. */
static int open_store(const char *folder, struct stead_store **ret_store, char *ret_sentence)
{
    const struct stead_store_rocksdb_options store_options = {.read_only = true};
    char path[PATH_MAX];
    struct stat info;
    int length = snprintf(path, sizeof path, "%s/%s", folder, STEAD_CONFIG_STORE_FOLDER);

    if (length > 0 && (size_t)length < sizeof path && stat(path, &info) == 0)
        folder = path;
    return stead_store_rocksdb_open(folder, &store_options, ret_store, ret_sentence);
}

/* Perhaps it is a backup: another command looks at those. */
static void hint_at_backup(const char *folder)
{
    char path[PATH_MAX];
    struct stat info;
    int length = snprintf(path, sizeof path, "%s/%s", folder, STEAD_BACKUP_MANIFEST);

    if (length > 0 && (size_t)length < sizeof path && stat(path, &info) == 0)
        fprintf(stderr, "    it is a backup: `stead restore --verify %s` checks it\n", folder);
}

int stead_cmd_check(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "FOLDER", doc, NULL, NULL, NULL};
    struct check_options o = {.findings_max = 20};
    struct stead_check_counts counts = {0};
    struct stead_store *store = NULL;
    char sentence[STEAD_STORE_SENTENCE_MAX] = "";

    if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
        return STEAD_EXIT_USAGE;
    int code = open_store(o.folder, &store, sentence);
    if (code == 0) {
        code = stead_check_run(store, (uint32_t)o.findings_max, print_finding, &o, &counts);
        if (code != 0)
            stead_store_explain(store, sentence, sizeof sentence);
    }
    stead_store_close(&store);
    if (code != 0) {
        stead_complain("%s", sentence[0] ? sentence : stead_error_sentence(code));
        if (code == STEAD_ENOTFOUND)
            hint_at_backup(o.folder);
        return STEAD_EXIT_FAILED;
    }
    print_counts(&o, &counts);
    if (counts.findings > 0) {
        stead_complain("%" PRIu64 " findings: this folder is damaged; keep it, and restore a backup", counts.findings);
        return STEAD_EXIT_FAILED;
    }
    return STEAD_EXIT_DONE;
}
