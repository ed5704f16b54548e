/* SPDX-License-Identifier: Apache-2.0 */
/*
 * format: what lies on the disk, as byte tables. Version STEAD_FORMAT_VERSION; another version is refused, never
 * guessed at.
 *
 * A data folder is one RocksDB database with three column families beside its unused default one:
 *
 *   family  key                                   value
 *   ------  ------------------------------------  ------------------------------------------------------------------
 *   rows    slot BE16 | class u8 | ...            the store image: runtime/rows.h names the keys
 *   log     shard BE32 | index BE64               one log entry: runtime/entry.h, checksum included
 *   meta    a name, below                         below
 *
 * Keys are big-endian so that their byte order is their order; values are little-endian.
 *
 *   meta key               value                                                          written
 *   ---------------------  -------------------------------------------------------------  -----------------------------
 *   format                 u32 version                                                    once, synced, at creation
 *   node                   struct stead_node_identity, as msgpack map {cluster: bin 16,   by the node, synced
 *                          id: u32, incarnation: u64, name: str}
 *   applied/ shard BE32    u64 index: the image holds everything up to it                 a sync after its last chunk
 *   stopped                u64 wall-clock ms of the clean stop; deleted at the next start  synced
 *
 * The log of a shard is gapless from its first kept index. All entries after `applied` are kept; those before it as
 * long as the journal's retention says. Three things that follow one another at a checkpoint, (1) chunks of rows, (2)
 * the applied mark, (3) the deletion of log entries, are each separated by a sync: whatever a power loss does to the
 * order of unsynced pages, no later one is there without the earlier (log_writer.c).
 */
#ifndef STEAD_PERSIST_FORMAT_H
#define STEAD_PERSIST_FORMAT_H

#include <endian.h>

#include "runtime/base.h"
#include "runtime/ids.h"
#include "stead/value.h"

#define STEAD_FORMAT_VERSION 1u

#define STEAD_FORMAT_FAMILY_ROWS "rows"
#define STEAD_FORMAT_FAMILY_LOG "log"
#define STEAD_FORMAT_FAMILY_META "meta"

#define STEAD_META_FORMAT "format"
#define STEAD_META_NODE "node"
#define STEAD_META_STOPPED "stopped"
#define STEAD_META_COORDINATOR "coordinator"
#define STEAD_META_APPLIED "applied/"

#define STEAD_LOG_KEY_SIZE 12u
#define STEAD_APPLIED_KEY_SIZE (sizeof STEAD_META_APPLIED - 1 + 4)

struct stead_log_key {
    uint8_t data[STEAD_LOG_KEY_SIZE];
};

static inline struct stead_log_key stead_log_key(uint32_t shard, uint64_t index)
{
    struct stead_log_key key;
    stead_store32(key.data, htobe32(shard));
    stead_store64(key.data + 4, htobe64(index));
    return key;
}

static inline uint32_t stead_log_key_shard(const uint8_t *key)
{
    return be32toh(stead_load32(key));
}

static inline uint64_t stead_log_key_index(const uint8_t *key)
{
    return be64toh(stead_load64(key + 4));
}

struct stead_applied_key {
    uint8_t data[STEAD_APPLIED_KEY_SIZE];
};

static inline struct stead_applied_key stead_applied_key(uint32_t shard)
{
    struct stead_applied_key key;
    memcpy(key.data, STEAD_META_APPLIED, sizeof STEAD_META_APPLIED - 1);
    stead_store32(key.data + sizeof STEAD_META_APPLIED - 1, htobe32(shard));
    return key;
}

#endif
