/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config: the settings of a node, as one plain struct.
 *
 * The program fills it from its options (cmd/node.c), tests fill it by hand; nothing else is read from the outside, so
 * what a node does can be told from this struct alone. stead_config_default() first, then changes, then
 * stead_config_check(), which also replaces every 0 that means "choose for me". Texts and lists are borrowed for the
 * node's life. Any thread.
 */
#ifndef STEAD_NODE_CONFIG_H
#define STEAD_NODE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/host.h"

#define STEAD_CONFIG_REACTORS_DEFAULT_MAX 8u          /* chosen from the cores; more must be asked for */
#define STEAD_CONFIG_SHARDS_PER_REACTOR_MAX 64u       /* more logs than that only make smaller batches */
#define STEAD_CONFIG_JOB_THREADS_MAX 1024u            /* threads */
#define STEAD_CONFIG_MEMORY_MIN (64u << 20)           /* bytes */
#define STEAD_CONFIG_ENDPOINT_MAX 127u                /* bytes of an endpoint */
#define STEAD_CONFIG_WHY_SIZE 256u                    /* bytes of a sentence of stead_config_check() */
#define STEAD_CONFIG_COORDINATOR_FOLDER "coordinator" /* inside the data folder: of the coordinator of its own */
#define STEAD_CONFIG_STORE_FOLDER "store" /* inside the data folder; what `stead check` opens and `restore` makes */
#define STEAD_CONFIG_LISTEN "tcp://127.0.0.1:7400"

struct stead_node_config {
    const char *folder; /* data folder, made when missing; required */
    const char *name;   /* [A-Za-z0-9_.-]{1,63}, unique in the cluster */
    const char *listen; /* tcp://HOST:PORT of reactor 0; reactor i listens on PORT + i; PORT 0: any free ones */
    bool insecure_listen_anywhere;      /* allows a HOST beyond loopback, without keys or encryption */
    uint32_t reactors;                  /* threads that run turns; 0: from the cores */
    uint32_t shards_per_reactor;        /* asked for when the cluster is first formed */
    uint32_t job_threads;               /* threads for stateless kinds; they may block */
    uint32_t load_threads;              /* threads that read what is not in memory */
    uint64_t memory_bytes;              /* budget of all that grows with the load; config.c says who gets what of it */
    uint64_t disk_bytes_max;            /* quota of the data folder; 0: none but a reserve of the disk */
    uint64_t disk_reserve_bytes;        /* clients' durable work is refused when the disk has less than this left */
    uint64_t journal_entries;           /* log entries kept for the journal behind each shard's checkpoint */
    const char *coordinator;            /* endpoint; NULL: find or start one on the data folder */
    uint32_t nodes_expected;            /* a coordinator started by this node forms the cluster with so many nodes */
    uint32_t label_count, module_count; /* entries of the two lists below */
    const char *const *labels;          /* what this machine has, as "gpu" */
    const char *const *modules;         /* shared objects with kinds */
    bool bench_kinds;                   /* the kinds that `stead bench` measures with are served too */
    enum stead_trace_level log_level;   /* lines above it are left out */
    uint32_t stop_ms_max;               /* a clean stop takes no longer than this */
    struct stead_settings settings;     /* of the hosts; memory_bytes_max is computed from memory_bytes */
    uint64_t cache_bytes;               /* of the store; computed, as the next three */
    uint64_t memtable_bytes;            /* of the store's rows; all memtables together have twice as much */
    uint64_t writer_bytes_max;          /* queued at the log writer: above it the sockets wait */
    uint64_t queue_bytes_max;           /* waiting for one peer or client; computed from memory_bytes too */

    int stop_fd; /* an eventfd that asks for a clean stop when readable; -1: signals only */
    /* Called once, when the node serves; `endpoint` is that of reactor 0. NULL: not told. */
    void (*ready)(void *context, const char *name, const char *endpoint);
    void *ready_context; /* first argument of `ready` */
};

/* What a node without options is given; fields at 0 are chosen by the check. */
void stead_config_default(struct stead_node_config *ret_config);

/* Checks every setting and chooses what was left at 0. 0 or STEAD_EARGUMENT with a sentence in `ret_why`
 * (STEAD_CONFIG_WHY_SIZE bytes). */
int stead_config_check(struct stead_node_config *config, char *ret_why) STEAD_MUST_USE;

/* The endpoint that reactor `index` has to listen on, into STEAD_CONFIG_ENDPOINT_MAX + 1 bytes; the config was
 * checked. */
void stead_config_endpoint(const struct stead_node_config *config, uint32_t index, char *ret_endpoint);

/* True for 127.0.0.0/8, ::1 and localhost. */
bool stead_config_is_loopback(const char *endpoint);

#endif
