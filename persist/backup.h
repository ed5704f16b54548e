/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup: a consistent copy of one node's store, and back.
 *
 *   BACKUP/MANIFEST   text, one `name value` a line: what this is a copy of (below), its files with size and CRC-32C; written and synced last
 *   BACKUP/data/      the copy: a RocksDB checkpoint
 *
 * The manifest makes the backup: without one, or with one that does not match the files, a folder is not restored.
 *
 * A backup of one node of several is a copy of *that node's* past. Restoring it alone takes back what the other nodes
 * have seen of it: messages it acknowledged are forgotten, and so is what it sent. The channels notice, say "history
 * lost" and go on; what is lost they cannot mend. So restore refuses such a backup unless the caller says that all
 * nodes are restored, to one cut, or that the loss is wanted.
 */
#ifndef STEAD_PERSIST_BACKUP_H
#define STEAD_PERSIST_BACKUP_H

#include "persist/store.h"
#include "runtime/ids.h"

#define STEAD_BACKUP_MANIFEST "MANIFEST"
#define STEAD_BACKUP_DATA "data"

struct stead_backup_info {
    struct stead_id cluster;
    uint32_t node;  /* id */
    uint32_t nodes; /* nodes of the cluster when it was taken */
    char node_name[64];
    uint64_t taken_ms; /* wall clock */
    struct stead_id
        cut;        /* names the moment: copies of several nodes with the same are of one; all 0: of this node's own */
    uint64_t bytes; /* of the files */
    uint32_t file_count;
};

/* How a backup is taken. */
struct stead_backup_way {
    /* a folder beside the store's, on its file system, where the copy is links; what is left there of an earlier one is
     * removed */
    const char *staging;
    int (*made)(
        void *context,
        char *ret_sentence); /* the copy is made, the rest takes its time; not 0: it is of no use. May be NULL */
    void *context;
};

/* Takes a backup of `store`, which may be written meanwhile, into `folder`: new, or empty. In `info` cluster, node,
 * nodes, node_name, taken_ms and cut are given, bytes and file_count come back. STEAD_EINUSE when the folder holds
 * anything; STEAD_EIO; the code of `made`. The sentence (STEAD_STORE_SENTENCE_MAX bytes) says why. Blocks: call it on a
 * job thread. */
int stead_backup_take(struct stead_store *store, const struct stead_backup_way *way, const char *folder,
                      struct stead_backup_info *info, char *ret_sentence) STEAD_MUST_USE;
/* Removes the folder `staging` with its files, if it is there: at a start, what a backup that was interrupted has
 * left. */
void stead_backup_sweep(const char *staging);

/* Reads a backup's manifest and checks every file against it. STEAD_ENOTFOUND, STEAD_ECORRUPT, STEAD_EVERSION,
 * STEAD_EIO. */
int stead_backup_verify(const char *folder, struct stead_backup_info *ret_info, char *ret_sentence) STEAD_MUST_USE;

/* What its manifest says, without a look at the files. Codes as above. */
int stead_backup_look(const char *folder, struct stead_backup_info *ret_info, char *ret_sentence) STEAD_MUST_USE;

/* Restores into `folder`: new, or empty (else STEAD_EINUSE). STEAD_ECONFLICT for a backup of one node of several when
 * not `one_of_several`. */
int stead_backup_restore(const char *backup, const char *folder, bool one_of_several,
                         struct stead_backup_info *ret_info, char *ret_sentence) STEAD_MUST_USE;

#endif
