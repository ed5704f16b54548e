/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare: the parts of `stead compare`, for cmd/compare*.c alone. What is measured, and how it is kept fair, is in
 * docs/COMPARE.md.
 *
 *   compare.c         the words of the command line, the plan, progress
 *   compare_fabric.c  the fabrics: nodes, hubs, what they count, what they cost when idle
 *   compare_work.c    the workloads: what a run is given, what it must answer
 *   compare_echo.c    1 KB there and back, without orchestrations
 *   compare_elect.c   the election, by poll interval and members
 *   compare_hub.c     what is asked of hubs
 *   compare_run.c     lanes: runs back to back, at random moments, or many at once; one cell
 *   compare_stats.c   samples to figures
 *   compare_price.c   the price sheet, figures to money
 *   compare_report.c  the report as JSON and as a table
 *   compare_page.c    the report as a page; its text, style and script are compare.html, .css and .js, and D3
 *
 * A cell is one workload on one fabric in one way of starting. Everything happens in one process and one thread, in
 * turns.
 */
#ifndef STEAD_CMD_COMPARE_H
#define STEAD_CMD_COMPARE_H

#include <stdio.h>

#include "cmd/bench.h"

/* ---- compare_stats.c ------------------------------------------------------------------------ */

#define STEAD_COMPARE_QUANTILES 101u /* of a distribution, at most */
#define STEAD_COMPARE_P99_MIN 100u   /* samples below which there is no p99 */

struct stead_distribution {
    size_t count;                              /* samples; 0: nothing else means anything */
    double mean, min, max, p50;                /* in the unit that was asked for */
    double p99;                                /* below 0: too few samples */
    double quantiles[STEAD_COMPARE_QUANTILES]; /* evenly spaced from the smallest to the largest */
    uint32_t quantile_count;                   /* the samples, when they are fewer */
};
/* Sorts `samples` (ns) and describes them, each divided by `unit_ns`. */
void stead_distribution_of(uint64_t *samples, size_t count, double unit_ns, struct stead_distribution *ret_it);

/* ---- compare_price.c ------------------------------------------------------------------------ */

/* Operations of a storage service. What a hub counts, and what activities fetch. */
struct stead_storage {
    double enqueues, dequeues, deletes, renews; /* of queues; dequeues that brought something */
    double empty;                               /* dequeues that brought nothing */
    double reads, writes;                       /* of tables and objects */
    double bytes;                               /* of messages, rows and objects, both ways */
    double own_enqueues, own_dequeues; /* of them, the orchestrators': work items; batches of a control queue */
    double own_reads, own_writes;      /* and episodes: neither clients' nor activities' */
};

struct stead_prices {
    char currency[8];
    double queue_operation; /* a million */
    double read, write;     /* a million */
    double gigabyte;        /* moved to or from the storage service */
    double stored_gigabyte; /* of log entries, kept for a month */
    double cpu_hour;
    char source[512]; /* where they are from */
};
/* List prices, dated; see docs/COMPARE.md. */
void stead_prices_default(struct stead_prices *ret_prices);
/* Reads a sheet: the members that it has replace the defaults. STEAD_EIO, STEAD_EARGUMENT after complaining. */
int stead_prices_read(const char *path, struct stead_prices *ret_prices) STEAD_MUST_USE;
/* What one run costs that does this. */
double stead_price_of(const struct stead_prices *prices, const struct stead_storage *storage, double stored_bytes,
                      double cpu_seconds);

/* ---- The comparison ------------------------------------------------------------------------- */

#define STEAD_COMPARE_HUB_SIZE 48u
#define STEAD_COMPARE_LANES_MAX 64u /* of one workload, measured hot */
#define STEAD_COMPARE_HUBS_MAX 256u
#define STEAD_COMPARE_CELLS_MAX 512u

enum stead_compare_start { STEAD_COMPARE_HOT, STEAD_COMPARE_COLD };

/* How messages travel. */
struct stead_compare_fabric {
    const char *name;  /* --fabrics */
    const char *title; /* for people */
    bool hub;
    int64_t interval_ms; /* of polling: 0: notify, -1: the default back-off */
    int64_t settle_ms;   /* from the last message until the pollers have reached their longest interval */
    int64_t longest_ms;  /* that interval: a cold start falls anywhere into it */
    uint32_t lanes;      /* runs that are measured side by side; 1 where the machine is busy */
    uint32_t hot_s;      /* that the whole hot workloads take, where it is measured once; of the estimate */
    uint32_t fixed_s;    /* that looking on while it is idle, and its cold starts take */
    bool shared;         /* hot, by one hub, whose pollers stay awake; else each lane is alone with a hub of its own */
};
/* Ended by a NULL name. */
extern const struct stead_compare_fabric stead_compare_fabrics[];

struct stead_compare_work;

/* What was counted during some runs, or is counted so far. */
struct stead_compare_counts {
    double messages; /* between agents, clients and activities, as the nodes deliver them */
    double entries, entry_bytes, row_bytes, syncs;
    double sync_ns; /* all syncs together */
    double cpu_ns;  /* of the nodes */
    double wakes;   /* of the nodes' own threads */
    struct stead_storage storage;
};

/* One cell. */
struct stead_compare_cell {
    const struct stead_compare_work *work;
    const struct stead_compare_fabric *fabric;
    enum stead_compare_start start;
    bool apart;                         /* the hub on a node of its own */
    uint32_t size;                      /* the work's, or that of this cell (members of an election) */
    struct stead_distribution latency;  /* us */
    double rate;                        /* runs a second with `in_flight` on their way; 0: not measured */
    uint32_t in_flight;                 /* of the rate */
    double rate_syncs;                  /* of one run while so many were on their way */
    uint32_t lanes;                     /* of the latency */
    struct stead_compare_counts counts; /* of one run */
    double trip, put;                   /* us: the floors' p50, taken before and after the runs */
    double floor;                       /* us: as many of them as must follow each other */
    double patience;   /* us of the latency that are settings of the workload's own and fit the fabric; 0: none */
    bool partly;       /* of the counts only messages and storage operations are known */
    double disk, wire; /* us of the mean: syncs; the client's round trip */
    double poll;       /* us of the mean beyond the same with notify; below 0: not known */
    double money;      /* of one run */
    double failed;     /* runs that did not answer what they must */
};

/* What a fabric costs that has nothing to do. */
struct stead_compare_idle {
    const struct stead_compare_fabric *fabric;
    bool apart;
    double seconds;                     /* that were looked at */
    uint32_t hubs;                      /* the counts are of all of them */
    struct stead_compare_counts counts; /* of one second */
    double money;                       /* of one hour, one hub */
};

struct stead_compare {
    struct stead_bench bench; /* scratch, floors, nodes */
    bool quick;
    bool near, apart; /* where the hub is measured */
    bool fancy;       /* progress in place: stderr is a terminal */
    const struct stead_compare_work *works[64];
    uint32_t work_count;
    const struct stead_compare_fabric *fabrics[8];
    uint32_t fabric_count;
    struct stead_prices prices;
    struct stead_distribution trip, put; /* floors, us */
    struct stead_compare_cell cells[STEAD_COMPARE_CELLS_MAX];
    uint32_t cell_count;
    struct stead_compare_idle idles[16];
    uint32_t idle_count;
    struct stead_bench_raw raw;       /* floor: round trips */
    struct stead_bench_disk *disk;    /* floor: synced puts */
    float *model;                     /* serving: to check with; made when it is needed */
    double loss;                      /* training: what must come out; 0: not known yet */
    uint64_t started_ns, seconds;     /* of this run; how long it took */
    uint32_t steps_done, steps_total; /* of the progress */
};

/* A slice of the floors: `count` round trips and synced puts, added to `trips` and `puts`. */
int stead_compare_floors(struct stead_compare *compare, uint32_t count, uint64_t *ret_trips,
                         uint64_t *ret_puts) STEAD_MUST_USE;
/* Says what goes on, on stderr: over the last line on a terminal, else on a line of its own. */
void stead_compare_say(struct stead_compare *compare, const char *format, ...) STEAD_PRINTF(2, 3);

/* ---- compare_fabric.c ----------------------------------------------------------------------- */

/* A fabric while it is measured. */
struct stead_compare_session {
    struct stead_compare *compare;
    const struct stead_compare_fabric *fabric;
    bool apart;
    struct stead_bench_node coordinator, worker, hub; /* the hub's only when apart */
    struct stead_client *client;
    uint32_t hubs;                            /* made: h0 .. */
    uint64_t made_ns;                         /* when the newest was */
    uint64_t numbers[STEAD_COMPARE_HUBS_MAX]; /* runs that each lane has begun, of the present workload */
};
/* Starts its nodes; no hub is there yet. Complains. */
int stead_compare_session_open(struct stead_compare *compare, const struct stead_compare_fabric *fabric, bool apart,
                               struct stead_compare_session *ret_session) STEAD_MUST_USE;
/* Makes so many hubs; on the direct fabric none. Complains. */
int stead_compare_session_hubs(struct stead_compare_session *session, uint32_t hubs) STEAD_MUST_USE;
void stead_compare_session_close(struct stead_compare_session *session);
/* The name of hub `index`, or NULL on the direct fabric. `ret_name`: STEAD_COMPARE_HUB_SIZE. */
const char *stead_compare_hub_name(const struct stead_compare_session *session, uint32_t index, char *ret_name);
/* A look before or after what is counted: the messages that ask the hubs are outside of the two. */
enum stead_compare_look { STEAD_COMPARE_BEFORE, STEAD_COMPARE_AFTER };
/* Everything that is counted, up to now. */
int stead_compare_count(struct stead_compare_session *session, enum stead_compare_look look,
                        struct stead_compare_counts *ret_counts) STEAD_MUST_USE;
/* What was counted between two looks, divided by `by`. */
struct stead_compare_counts stead_compare_counts_since(const struct stead_compare_counts *now,
                                                       const struct stead_compare_counts *before, double by);
/* Looks on while nothing happens. */
int stead_compare_idle(struct stead_compare_session *session) STEAD_MUST_USE;

/* ---- compare_work.c ------------------------------------------------------------------------- */

struct stead_compare_work {
    const char *name;  /* --workloads */
    const char *title; /* for people: what one sample is */
    const char *orchestrator;
    uint32_t size;             /* steps, tasks: what grows with the name's number; 0: nothing */
    uint32_t activities;       /* of a run, for the known counts of other systems; 0: it is not about them */
    uint32_t trips, puts;      /* of the floor: client's round trips and synced writes that follow each other */
    uint32_t runs, runs_quick; /* samples on a fabric that answers at once */
    uint32_t in_flight;        /* of the rate; 0: it is not measured */
    bool cold;                 /* it is measured cold too */
    uint32_t lanes_max;        /* side by side, where the machine has no room for more; 0: as most */
    bool one_lane;             /* it keeps a core busy: never several side by side */
    /* Once before the runs of a session: data, first balances. NULL: nothing. */
    int (*prepare)(struct stead_compare_session *session);
    /* The input of a run. */
    void (*input)(const struct stead_compare_session *session, const struct stead_compare_work *work, uint32_t lane,
                  uint64_t number, struct stead_writer *writer);
    /* Is that the output of the lane's run of this number (from 0)? */
    bool (*check)(const struct stead_compare_session *session, const struct stead_compare_work *work, uint32_t lane,
                  uint64_t number, struct stead_slice output);
    /* Steps that one run makes: latencies and counts are of one of them. */
    uint32_t (*steps)(const struct stead_compare_session *session);
    /* What one step fetches from the storage service besides what the hub counts. NULL: nothing. */
    void (*fetches)(const struct stead_compare_session *session, struct stead_storage *storage);
    /* A workload that is no orchestration: measures the whole cell. NULL: it is one. */
    int (*measure)(struct stead_compare_session *session, struct stead_compare_cell *cell);
};
/* Ended by a NULL name. */
extern const struct stead_compare_work stead_compare_works[];

/* ---- compare_echo.c: workloads that are no orchestrations ------------------------------------ */

/* A message of 1 KB through the fabric, and back. Hot, or, by the cell's start, cold. */
int stead_compare_echo(struct stead_compare_session *session, struct stead_compare_cell *cell) STEAD_MUST_USE;
/* Measures what is no orchestration cold, and appends its cell. Complains. */
int stead_compare_cold(struct stead_compare_session *session, const struct stead_compare_work *work) STEAD_MUST_USE;
/* Intervals of polling at which only elections are measured, besides the fabrics'. Ended by a NULL name. */
extern const struct stead_compare_fabric stead_compare_intervals[];
/* Elections; appends a cell for each size of the group, and for these intervals. */
int stead_compare_election(struct stead_compare_session *session, struct stead_compare_cell *cell) STEAD_MUST_USE;

/* ---- compare_run.c -------------------------------------------------------------------------- */

/* Fills in what follows from a cell's samples and counts: floor, shares of the mean, money. */
void stead_compare_derive(const struct stead_compare_session *session, struct stead_compare_cell *cell);
/* Can it be measured there? Not the election on the back-off, nor with the hub apart: compare_elect.c says why. */
bool stead_compare_is_possible(const struct stead_compare_session *session, const struct stead_compare_work *work);
/* Appends a failed cell for each workload that has none there: a session that broke off leaves no gaps in the
 * report. */
void stead_compare_miss(struct stead_compare_session *session, enum stead_compare_start start);
/* Measures one workload hot, and appends its cell. A run that fails makes it STEAD_EFAILED after complaining. */
int stead_compare_hot(struct stead_compare_session *session, const struct stead_compare_work *work) STEAD_MUST_USE;
/* Measures all the plan's orchestrations at once, each on hubs of its own, and appends their cells: cold those that are
 * measured cold; hot, for polled fabrics when quick. Makes the hubs. Complains. */
int stead_compare_together(struct stead_compare_session *session, enum stead_compare_start start) STEAD_MUST_USE;
/* How many hubs that needs. */
uint32_t stead_compare_together_hubs(const struct stead_compare *compare, enum stead_compare_start start);

/* ---- compare_report.c, compare_page.c ------------------------------------------------------- */

/* The whole report. Returned: json_decref(). */
json_t *stead_compare_json(const struct stead_compare *compare);
/* Prints it for a person, with bold titles when `bold`. */
void stead_compare_print(const struct stead_compare *compare, FILE *file, bool bold);
/* Writes the page. STEAD_EIO after complaining. */
int stead_compare_page(const json_t *report, const char *path) STEAD_MUST_USE;

#endif
