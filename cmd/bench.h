/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench: the parts of `stead bench`, for cmd/bench*.c alone.
 *
 *   bench.c          the words of the command line, the list of benches, the output
 *   bench_numbers.c  the clock, quantiles
 *   bench_worker.c   the processes: a worker that measures, and who cleans up behind it
 *   bench_node.c     nodes and coordinators as processes of their own, what they say about themselves
 *   bench_floor.c    what the same bytes cost without stead: ZeroMQ, queues of memory
 *   bench_disk.c     the same for RocksDB
 *   bench_client.c   a client and a node: volatile_call, durable_call, durable_signals_*
 *   bench_tell.c     agents and agents: tell_*, call_cross_node
 *   bench_flow.c     workflows: hello3, hello5, hub_hello5, hello5_sustained, fanout1000
 *   bench_replay.c   replay: events of a history a second
 *   bench_replay_node.c  the same in a node after a kill
 *   bench_suspended.c  suspended_1m: instances that wait for an event
 *   bench_task.c     hub_task: queues, the hub's and Redis' (bench_redis.c)
 *   bench_group.c    election and consensus over three nodes, by stead elect and stead consensus
 *   bench_life.c     resident_agent, unload_reload, restart_1m, idle
 *   bench_list.c     list_1m: a list of agents beside calls
 *
 * A bench measures its floor in the same run, in turns with itself where the machine's noise matters, and takes the
 * median of its runs. Everything happens in one process and one thread but for the client threads of bench_client.c.
 */
#ifndef STEAD_CMD_BENCH_H
#define STEAD_CMD_BENCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "stead/client.h"

#define STEAD_BENCH_PATH_SIZE 1024u
#define STEAD_BENCH_ENDPOINT_SIZE 256u
#define STEAD_BENCH_RUNS_MAX 15u
#define STEAD_BENCH_ARGS_MAX 32u

/* One run of the command. */
struct stead_bench {
    const char *folder; /* scratch, made by this run; borrowed */
    const char *name;   /* of the bench that runs now */
    bool json;          /* one line of JSON a figure */
    bool quick;         /* shorter, and smaller where the figure's name names no size */
    uint32_t clients;   /* client threads of durable_signals_*; 0: chosen */
    uint32_t reactors;  /* of each node where the bench does not need a certain number; 0: the node's choice */
    struct stead_columns *columns;        /* rows of the table, printed at the end; NULL with --json */
    char echo[STEAD_BENCH_ENDPOINT_SIZE]; /* of the process at the other end of raw ZeroMQ */
    uint32_t nodes_started;               /* gives each its folder */
};

/* One figure. */
struct stead_bench_figure {
    const char *metric;
    double value;
    const char *unit;
    double floor;       /* in the same unit; 0: there is none */
    const char *target; /* "ratio <= 1.5"; NULL: none */
    json_t *settings;   /* consumed; NULL: none */
};

/* ---- bench.c -------------------------------------------------------------------------------- */

/* Prints it, or keeps it for the table. */
void stead_bench_report(struct stead_bench *bench, const struct stead_bench_figure *figure);
/* Complains in the name of the present bench; returns STEAD_EFAILED, so that a bench can end with it. */
int stead_bench_fail(const struct stead_bench *bench, const char *format, ...) STEAD_PRINTF(2, 3);
/* What goes on, on stderr; only on a terminal. */
void stead_bench_progress(const struct stead_bench *bench, const char *format, ...) STEAD_PRINTF(2, 3);

/* ---- bench_numbers.c ------------------------------------------------------------------------ */

/* The monotonic clock, ns. */
uint64_t stead_bench_now_ns(void);
/* Sorts `samples`; the one at `permille` of 1000. 0 when there is none. */
uint64_t stead_bench_quantile(uint64_t *samples, size_t count, unsigned permille);
/* Sorts `values`; 0 when there is none. */
double stead_bench_median(double *values, size_t count);

/* ---- bench_worker.c ------------------------------------------------------------------------- */

/* Measures, in a process of its own; the exit code. */
typedef int stead_bench_work_fn(struct stead_bench *bench, void *context);
/* Runs `work` with `bench->folder` and `bench->echo` set; when it returns, nothing of what was started is left.
 * `parent` (NULL: $TMPDIR, else /tmp) is where the scratch folder is made. The exit code, after complaining. Before the
 * first thread of this process. */
int stead_bench_work(struct stead_bench *bench, const char *parent, stead_bench_work_fn *work, void *context);

/* ---- bench_node.c --------------------------------------------------------------------------- */

/* A process of this program: a node or a coordinator. */
struct stead_bench_node {
    pid_t pid;                                /* 0: not running */
    char folder[STEAD_BENCH_PATH_SIZE];       /* its data */
    char endpoint[STEAD_BENCH_ENDPOINT_SIZE]; /* where it serves */
    uint64_t start_ns;                        /* when it was launched */
    uint64_t ready_ns;                        /* from there to its ready line */
    int out;                                  /* its stdout, until that line has come */
};

struct stead_bench_node_options {
    const char *name;        /* NULL: n1 */
    const char *folder;      /* of an earlier node; NULL: a new one */
    const char *coordinator; /* endpoint; NULL: one of its own */
    const char *label;       /* what it has; NULL: all that the bench's kinds need */
    uint32_t reactors;       /* 0: bench->reactors */
    uint64_t memory_bytes;   /* budget; 0: 4 GiB */
    uint32_t cores;          /* it may use so many of this process' and no more; 0: all */
    uint32_t sync_delay_us;  /* added to each sync by the faulty disk; 0: none */
};

/* Starts a node and waits until it serves. STEAD_EFAILED after complaining, with its last words. */
int stead_bench_node_start(struct stead_bench *bench, const struct stead_bench_node_options *options,
                           struct stead_bench_node *ret_node) STEAD_MUST_USE;
/* The same in two steps, for nodes that wait for each other. */
int stead_bench_node_launch(struct stead_bench *bench, const struct stead_bench_node_options *options,
                            struct stead_bench_node *ret_node) STEAD_MUST_USE;
int stead_bench_node_await(const struct stead_bench *bench, struct stead_bench_node *node) STEAD_MUST_USE;
/* A coordinator that forms a cluster of `nodes`. */
int stead_bench_coordinator_start(struct stead_bench *bench, uint32_t nodes,
                                  struct stead_bench_node *ret_node) STEAD_MUST_USE;
/* SIGTERM, or SIGKILL when `kill_it`, then waits. Safe on one that does not run. */
void stead_bench_node_stop(struct stead_bench_node *node, bool kill_it);
/* The library that delays syncs, next to the program or in its build folder; false when it is not there. */
bool stead_bench_find_faulty_disk(char *ret_path, size_t size);

/* Opens a client of it; complains. Returned: close it. */
int stead_bench_connect(const struct stead_bench *bench, const struct stead_bench_node *node, uint32_t in_flight_max,
                        struct stead_client **ret_client) STEAD_MUST_USE;

/* What the node counts, summed over its reactors. */
struct stead_bench_stats {
    uint64_t turns, entry_bytes, entries;            /* reactors */
    uint64_t agents_resident, memory_bytes, unloads; /* reactors */
    uint64_t fibers;                                 /* reactors */
    uint64_t syncs, synced_entries, row_bytes;       /* log writer */
    uint64_t sync_ns;                                /* log writer: all syncs together */
    uint64_t messages;                               /* delivered to agents and jobs, from anywhere */
};
int stead_bench_stats(const struct stead_bench *bench, struct stead_client *client,
                      struct stead_bench_stats *ret_stats) STEAD_MUST_USE;
/* What was counted between two looks; gauges are those of `now`. */
struct stead_bench_stats stead_bench_stats_since(const struct stead_bench_stats *now,
                                                 const struct stead_bench_stats *before);

/* Where an agent lives. */
struct stead_bench_place {
    char node[64];
    int64_t reactor, shard;
};
int stead_bench_place(const struct stead_bench *bench, struct stead_client *client, const char *address,
                      struct stead_bench_place *ret_place) STEAD_MUST_USE;

/* What the kernel says of a process, its threads summed. */
struct stead_bench_usage {
    uint64_t rss_bytes;
    uint64_t cpu_ns;
    uint64_t own_switches; /* voluntary context switches of threads named stead-* and of the first one */
    uint64_t write_bytes;  /* given to the disk */
};
void stead_bench_usage(pid_t pid, struct stead_bench_usage *ret_usage);

/* ---- bench_floor.c -------------------------------------------------------------------------- */

/* Starts the process at the other end of raw ZeroMQ; before the first thread of this process. */
int stead_bench_echo_start(char *ret_endpoint) STEAD_MUST_USE;

/* A DEALER that talks to it. */
struct stead_bench_raw {
    void *context, *dealer;
};
int stead_bench_raw_open(const struct stead_bench *bench, struct stead_bench_raw *ret_raw) STEAD_MUST_USE;
void stead_bench_raw_close(struct stead_bench_raw *raw);
/* `count` round trips of `size` bytes, one at a time, each timed. */
int stead_bench_raw_trips(struct stead_bench_raw *raw, size_t size, uint64_t *ret_ns, size_t count) STEAD_MUST_USE;
/* Messages of `size` bytes sent one way as fast as it goes: per second. */
int stead_bench_raw_rate(struct stead_bench_raw *raw, size_t size, uint64_t count, double *ret_rate) STEAD_MUST_USE;
/* Messages a second through a list in memory, made and freed one by one: one thread. */
double stead_bench_list_rate(uint64_t count);
/* Messages a second through a ring between two threads. */
double stead_bench_ring_rate(uint64_t count);

/* ---- bench_disk.c --------------------------------------------------------------------------- */

struct stead_bench_disk;

/* A bare RocksDB in a new folder, with the options that stead opens its own with. */
int stead_bench_disk_open(struct stead_bench *bench, struct stead_bench_disk **ret_disk) STEAD_MUST_USE;
void stead_bench_disk_close(struct stead_bench_disk **disk);
/* `count` synced puts of `size` bytes, one at a time, each timed. */
int stead_bench_disk_puts(struct stead_bench_disk *disk, size_t size, uint64_t *ret_ns, size_t count) STEAD_MUST_USE;
/* Records a second, each `size` bytes, `batch` of them in one synced batch; with `images` > 0 also one unsynced put
 * of as many bytes for each, under one of so many scattered keys. */
int stead_bench_disk_rate(struct stead_bench_disk *disk, size_t size, uint32_t batch, uint32_t images, double seconds,
                          double *ret_rate) STEAD_MUST_USE;

/* ---- The benches: 0 or a negative code, after complaining ----------------------------------- */

/* One a name of `stead bench`, in the order in which they run; docs/BENCH.md says what each measures. Every one starts
 * and stops its own nodes. */
int stead_bench_volatile_call(struct stead_bench *bench);
int stead_bench_durable_call(struct stead_bench *bench);
int stead_bench_durable_signals_1k(struct stead_bench *bench);
int stead_bench_durable_signals_1m(struct stead_bench *bench);
int stead_bench_tell_same_reactor(struct stead_bench *bench);
int stead_bench_tell_cross_reactor(struct stead_bench *bench);
int stead_bench_call_cross_node(struct stead_bench *bench);
int stead_bench_tell_cross_node(struct stead_bench *bench);
int stead_bench_hello3(struct stead_bench *bench);
int stead_bench_hello5(struct stead_bench *bench);
int stead_bench_hub_hello5(struct stead_bench *bench);
int stead_bench_hello5_sustained(struct stead_bench *bench);
int stead_bench_fanout1000(struct stead_bench *bench);
int stead_bench_replay(struct stead_bench *bench);
/* The second half of replay. */
int stead_bench_replay_node(struct stead_bench *bench);
int stead_bench_suspended_1m(struct stead_bench *bench);
int stead_bench_hub_task(struct stead_bench *bench);
int stead_bench_election(struct stead_bench *bench);
int stead_bench_consensus(struct stead_bench *bench);
int stead_bench_resident_agent(struct stead_bench *bench);
int stead_bench_unload_reload(struct stead_bench *bench);
int stead_bench_restart_1m(struct stead_bench *bench);
int stead_bench_list_1m(struct stead_bench *bench);
int stead_bench_idle(struct stead_bench *bench);

/* bench_client.c: `count` signals of `size` bytes of payload, pipelined, over agents bench.counter/PREFIX0.. of
 * `agents`; returns the rate. Each client thread takes its part. */
struct stead_bench_load {
    const char *prefix;    /* of the keys */
    uint64_t agents;       /* keys */
    uint64_t first, count; /* signals: the i-th goes to key i % agents */
    uint32_t clients;      /* threads */
    uint32_t in_flight;    /* of each */
    uint32_t size;         /* bytes of the payload */
    const char *kind;      /* NULL: bench.counter */
    const char *op;        /* NULL: note */
    bool calls;            /* calls instead of signals */
};
int stead_bench_load(const struct stead_bench *bench, const struct stead_bench_node *node,
                     const struct stead_bench_load *load, double *ret_rate) STEAD_MUST_USE;

#endif
