/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim: one whole cluster in one thread: nodes, disks, links, the coordinator, clients, a workload and what goes wrong.
 *
 *   plan.c         draws the configuration of a seed
 *   sim_net.c      links between reactors and connections of clients: delay, loss, breaks, partitions; every record is encoded and decoded
 *   sim_disk.c     a node's log writer over persist/store_memory.h: rounds of write and sync, crash in between
 *   sim_node.c     a node's life: register, claim, recover, serve, stop, die
 *   sim_doors.c    the doors (runtime/doors.h) of each of its hosts
 *   sim_jobs.c     jobs of stateless kinds in virtual time
 *   sim_client.c   clients: runtime/client_core.h over the net
 *   shadow.c       what the rows must be, from the log alone
 *   sim_cut.c      a backup of the whole cluster at work, and its restore
 *   nemesis.c      crashes, partitions, jumps of clocks, failing disks
 *   work*.c        the workloads: kinds, requests, what must be true at the end
 *   sim.c          a run from start to verdict
 *
 * Everything hangs off struct stead_sim; a run leaves nothing behind.
 */
#ifndef STEAD_SIM_SIM_H
#define STEAD_SIM_SIM_H

#include "persist/store_memory.h"
#include "runtime/client_core.h"
#include "runtime/coordinator.h"
#include "runtime/host.h"
#include "runtime/queue.h"
#include "tests/sim/world.h"

#define STEAD_SIM_NODES_MAX 3u
#define STEAD_SIM_REACTORS_MAX 2u
#define STEAD_SIM_CLIENTS_MAX 5u /* the last one is the auditor */
#define STEAD_SIM_SHARDS_MAX 64u
#define STEAD_SIM_WALL_MS 1700000000000ull /* wall clock at virtual time 0: 14 November 2023, 22:13:20 UTC */
#define STEAD_SIM_ZONE "Sim/Change"        /* summer time, an hour, for the 24 hours from 15 November, 2:00 UTC */
#define STEAD_SIM_MONO_NS 5000000000ull    /* monotonic clock at virtual time 0 */

struct stead_sim;
struct stead_sim_node;
struct stead_sim_client;

/* ---- The plan of a seed ---------------------------------------------------------------------- */

struct stead_sim_plan {
    uint32_t nodes, reactors, shards_per_reactor, clients;
    struct stead_settings settings; /* small limits, so that the edges are hit */
    uint32_t workloads;             /* bit set over stead_workloads */
    uint32_t ops;                   /* requests in all */
    uint64_t op_gap_ns;             /* between two of a client */
    uint32_t window;                /* requests of a client in flight */
    uint32_t timeout_ms, retry_ms;  /* of clients */
    uint64_t lag_ns;                /* usual delay from an event to the host's round */
    uint64_t link_ns;               /* usual delay of a record */
    uint32_t drop_permille;         /* records lost on an open link */
    uint64_t disk_ns;               /* usual time of a write, and of a sync */
    uint32_t cold_permille;         /* loads that take a disk's time */
    uint64_t crash_gap_ns;          /* mean time between deaths of nodes; 0: never. As the next */
    uint64_t stop_gap_ns;           /* clean stops */
    uint64_t break_gap_ns;          /* broken connections */
    uint64_t partition_gap_ns;      /* nodes that do not hear each other for a while */
    uint64_t jump_gap_ns;           /* jumps of wall clocks */
    uint64_t leap_gap_ns;           /* everybody's time goes on by up to hours at once */
    uint64_t disk_gap_ns;           /* disks that fail or stall */
    uint64_t vanish_gap_ns;         /* clients that die */
    uint64_t full_gap_ns;           /* disks that reach their quota for a while */
    uint32_t bad_load_permille;     /* background loads that fail */
    uint64_t restart_gap_ns;        /* restarts of the coordinator */
    bool again;                     /* restart everything at the end and look once more */
    bool restore;                   /* a backup is taken, and everything put back to it */
    bool alone;                     /* ... no, one node */
};
void stead_sim_plan_draw(struct stead_sim_plan *plan, struct stead_world *world);
/* A store that has room for what its workers ask it at once, and sessions that outlast a visibility timeout. */
void stead_sim_plan_hub(struct stead_sim_plan *plan);
/* Time that leaps, for cron timers alone. */
void stead_sim_plan_cron(struct stead_sim_plan *plan, struct stead_world *world);
/* More than one node, and workloads whose agents alone know what should be: what is known outside of them is not put
 * back. */
void stead_sim_plan_restore(struct stead_sim_plan *plan, uint64_t seed, bool alone);
/* Takes everything out that goes wrong by itself, and most of the requests. */
void stead_sim_plan_calm(struct stead_sim_plan *plan);

/* ---- The net --------------------------------------------------------------------------------- */

/* One direction of one connection: in order, and when it is cut, a prefix of what was on the way still arrives. */
struct stead_sim_pipe {
    struct stead_sim *sim;
    bool open;
    uint64_t generation; /* +1 at each opening and each cut */
    uint64_t cut_ns;     /* of the last generation: what would arrive later is lost */
    uint64_t last_ns;    /* arrival of the newest record */
    void *self;          /* first argument of the next; a record that came through and was decoded; consumed */
    void (*arrive)(void *self, struct stead_message **message);
};

/* A reactor's DEALER to another node's reactor. */
struct stead_sim_link {
    struct stead_sim_pipe pipe;
    struct stead_sim_host *from, *to;
    bool wanted, opening;
    struct stead_queue waiting; /* for the connection */
};

/* A client's DEALER to a reactor: both directions. */
struct stead_sim_connection {
    struct stead_sim_pipe up, down;
    struct stead_sim_client *client;
    struct stead_sim_host *host;
    bool wanted, opening;
    uint64_t number;        /* given by the reactor at each opening */
    uint64_t table_version; /* newest table pushed to it */
};

/* ---- Nodes ------------------------------------------------------------------------------------ */

struct stead_sim_host {
    struct stead_sim_node *node;
    uint16_t index;
    struct stead_host *host;                  /* NULL while the node is down */
    bool run_planned;                         /* a round is coming */
    uint64_t armed_ns;                        /* world time of the planned wake; UINT64_MAX: none */
    uint64_t connections;                     /* numbers given to client connections in this life */
    uint64_t noted;                           /* the world's hash after the last round that did something */
    uint32_t idle_rounds;                     /* rounds since then that asked for another */
    uint32_t loads, jobs;                     /* out there */
    struct stead_job *live_jobs;              /* those that are not answered, newest first */
    uint64_t ring_ns[STEAD_SIM_REACTORS_MAX]; /* arrival of the newest message to each reactor of this node */
    struct stead_sim_link links[STEAD_SIM_NODES_MAX][STEAD_SIM_REACTORS_MAX];
    char marked[STEAD_ADDRESS_MAX + 1]; /* the turn in progress, as the mapped file would say: its agent */
    struct stead_id marked_id;          /* and its message */
    bool doomed;                        /* that turn has killed the process: it dies when the round is over */
};

enum stead_sim_phase {
    STEAD_SIM_DOWN,
    STEAD_SIM_STARTING, /* registering, claiming, recovering */
    STEAD_SIM_UP,
    STEAD_SIM_STOPPING /* a clean stop is under way */
};

struct stead_sim_disk_item;

/* A node's log writer and its store. */
struct stead_sim_disk {
    struct stead_sim_disk_item *head, *tail;   /* submitted, not yet in a round */
    struct stead_sim_disk_item *round;         /* being written */
    bool planned;                              /* a round is coming or under way */
    uint32_t stall;                            /* times slower than planned; 1: not */
    uint64_t mark[STEAD_SIM_SHARDS_MAX];       /* applied: rows written, mark not; 0: none. By shard id, as the next */
    uint64_t mark_ready[STEAD_SIM_SHARDS_MAX]; /* rows synced: to be written with the next round */
    uint64_t mark_done[STEAD_SIM_SHARDS_MAX];  /* mark written and synced */
    uint64_t trim[STEAD_SIM_SHARDS_MAX];       /* asked for, waits for the mark */
};

struct stead_sim_node {
    struct stead_sim *sim;
    uint32_t index;
    char name[8];
    enum stead_sim_phase phase;
    uint64_t life; /* +1 whenever the phase turns to or from DOWN: marks events that are over */
    uint32_t id;   /* given by the coordinator; 0: none yet */
    uint64_t incarnation;
    uint64_t starts;                 /* ever */
    struct stead_registry *registry; /* the kinds of this life; NULL while it is down */
    struct stead_store *store;
    struct stead_sim_disk disk;
    struct stead_table *table;             /* the newest it has heard of; NULL: none */
    int64_t jump_ms;                       /* wall clock minus the true one */
    uint32_t bad_read_permille;            /* of the reads that its hosts make at once fail */
    uint64_t epochs[STEAD_SIM_SHARDS_MAX]; /* under which it serves, by shard id */
    struct stead_sim_host hosts[STEAD_SIM_REACTORS_MAX];
};

void stead_sim_node_init(struct stead_sim *sim, uint32_t index);
void stead_sim_node_deinit(struct stead_sim_node *node);
void stead_sim_node_start(struct stead_sim_node *node);
/* `power`: the machine loses power, so unsynced writes go; else only the process dies. */
void stead_sim_node_crash(struct stead_sim_node *node, bool power);
void stead_sim_node_stop(struct stead_sim_node *node);
/* A newer table from the coordinator. Held, not consumed. */
void stead_sim_node_hear(struct stead_sim_node *node, struct stead_table *table);

/* sim_doors.c: the table of a host; what wakes it. */
void stead_sim_host_doors(struct stead_sim_host *host, struct stead_doors *ret_doors);
/* Gives the host its clocks: before each call of it. */
void stead_sim_host_enter(struct stead_sim_host *host);
/* Something was handed to the host: a round is due. */
void stead_sim_host_poke(struct stead_sim_host *host);
uint64_t stead_sim_host_wall_ms(const struct stead_sim_host *host);

/* sim_jobs.c: two of the doors. */
void stead_sim_jobs_run(void *self, const struct stead_kind *kind, const struct stead_op *op,
                        struct stead_message **request);
void stead_sim_jobs_cancel(void *self, struct stead_id id);

/* sim_disk.c. Consumed: `bytes`. */
void stead_sim_disk_append(struct stead_sim_host *host, uint32_t shard, uint64_t index, struct stead_writer *bytes);
void stead_sim_disk_rows(struct stead_sim_host *host, uint32_t shard, uint64_t applied, struct stead_writer *bytes);
void stead_sim_disk_trim(struct stead_sim_node *node, uint32_t shard, uint64_t index);
/* The node is dead: forgets what was submitted. */
void stead_sim_disk_drop(struct stead_sim_node *node);
bool stead_sim_disk_idle(const struct stead_sim_node *node);

/* sim_net.c */
void stead_sim_net_init(struct stead_sim *sim);
/* To a reactor of a node by its id; `from` is the sending host. Consumed. */
void stead_sim_net_send(struct stead_sim_host *from, uint32_t node, uint16_t reactor, struct stead_message **message);
/* To the client connection of message->route. Consumed. */
void stead_sim_net_answer(struct stead_sim_host *from, struct stead_message **message);
void stead_sim_net_connect(struct stead_sim_connection *connection);
void stead_sim_net_request(struct stead_sim_connection *connection, const struct stead_message *message);
/* Cuts; whoever wants it opens it again. */
void stead_sim_net_break_link(struct stead_sim_link *link);
void stead_sim_net_break_connection(struct stead_sim_connection *connection);
void stead_sim_net_break_node(struct stead_sim_node *node);
/* Drops what waits for connections. */
void stead_sim_net_deinit(struct stead_sim *sim);

/* ---- Clients ----------------------------------------------------------------------------------- */

struct stead_sim_client {
    struct stead_sim *sim;
    uint32_t index;
    struct stead_client_core *core;
    uint64_t life;     /* +1 whenever it dies */
    uint64_t woken_ns; /* world time of the planned wake; UINT64_MAX: none */
    struct stead_sim_connection connections[STEAD_SIM_NODES_MAX][STEAD_SIM_REACTORS_MAX];
};

void stead_sim_client_init(struct stead_sim *sim, uint32_t index);
void stead_sim_client_deinit(struct stead_sim_client *client);
/* It dies with everything in flight (the outcomes are unknown) and is born again under a new session. */
void stead_sim_client_vanish(struct stead_sim_client *client);
/* After each call of its core: does what is due and plans the next wake. */
void stead_sim_client_settle(struct stead_sim_client *client);
/* Gives the core its clocks: before each call of it. */
void stead_sim_client_enter(struct stead_sim_client *client);

/* ---- Requests and workloads --------------------------------------------------------------------- */

struct stead_workload;

/* One request of a client, and what became of it. */
struct stead_sim_op {
    const struct stead_workload *workload;
    uint32_t number; /* index in sim->ops: unique, also the id of its effect */
    uint32_t agent;  /* the workload's own, as the next two */
    int verb;
    int64_t in[2];
    uint32_t client;
    uint64_t invoked_ns;
    uint64_t returned_ns; /* UINT64_MAX: still in flight */
    int code;             /* of the answer */
    int64_t out;          /* read from the answer by the workload */
    int64_t out2;
};

/* The op took effect once, for sure; nothing is known; it took no effect, for sure. */
enum stead_sim_outcome { STEAD_SIM_DONE, STEAD_SIM_UNKNOWN, STEAD_SIM_REFUSED };
enum stead_sim_outcome stead_sim_op_outcome(const struct stead_sim_op *op);

struct stead_workload {
    const char *name;
    const struct stead_kind *const *kinds; /* ended by NULL */
    /* Draws a request and submits it. */
    void (*issue)(struct stead_sim *sim, struct stead_sim_client *client);
    /* Reads the value of an answer with code 0 into the op; may be NULL. */
    void (*read)(struct stead_sim *sim, struct stead_sim_op *op, struct stead_slice value);
    /* Faults are over: asks for what still holds work back; may be NULL. */
    void (*relieve)(struct stead_sim *sim);
    /* Everything has drained: asks the agents (stead_sim_ask) and compares with the requests. */
    void (*verify)(struct stead_sim *sim);
    /* Faults are over: names what has not come to its end; NULL: nothing. May be NULL. */
    const char *(*pending)(struct stead_sim *sim);
    /* Draws what a node has loaded instead of `kinds` in the life that begins; NULL: `kinds`. */
    const struct stead_kind *const *(*load)(struct stead_sim_node *node);
};
extern const struct stead_workload *const stead_workloads[]; /* ended by NULL */
/* What the workloads orchestrate with; ended by NULL. */
extern const struct stead_orchestrator *const stead_workload_orchestrators[];
#define STEAD_HUB_PREFIX "hub" /* of the kinds of task hubs */
#define STEAD_WORKLOADS_MAX 32u

struct stead_sim_request {
    enum stead_message_type type;
    const char *address, *op;
    struct stead_slice args; /* borrowed */
    const char *key;         /* idempotency key; NULL: none */
    uint64_t delay_ms, fence;
};
/* A new op of the client, to be filled in and then submitted; NULL when its window is full or it may not. */
struct stead_sim_op *stead_sim_op_new(struct stead_sim *sim, struct stead_sim_client *client,
                                      const struct stead_workload *workload, int verb, uint32_t agent);
void stead_sim_op_submit(struct stead_sim *sim, struct stead_sim_op *op, const struct stead_sim_request *request);
/* A tell of a client; nothing is remembered of it. */
void stead_sim_tell(struct stead_sim *sim, struct stead_sim_client *client, const char *address, const char *op,
                    struct stead_slice args);
/* The auditor calls and the world goes on until it has its answer, which must be 0; the answer is valid until the next
 * ask. */
struct stead_slice stead_sim_ask(struct stead_sim *sim, const char *address, const char *op, struct stead_slice args);
/* As an ask, but a failure is an answer too: its code. */
int stead_sim_try(struct stead_sim *sim, const char *address, const char *op, struct stead_slice args,
                  struct stead_slice *ret_value);
/* As an ask, of a query (docs/OPERATIONS.md). */
struct stead_slice stead_sim_query(struct stead_sim *sim, const char *address, const char *query,
                                   struct stead_slice args);
/* The same for its code alone, whatever that is. What it changes may be changed when it is said to be over already: a
 * query whose answer is lost is asked again. */
int stead_sim_try_query(struct stead_sim *sim, const char *address, const char *query, struct stead_slice args);
/* Next op of this workload from `*at` on; NULL at the end. For verify: for (at = 0; (op = ...(sim, w, &at)) !=
 * NULL;). */
const struct stead_sim_op *stead_sim_op_next(const struct stead_sim *sim, const struct stead_workload *workload,
                                             uint32_t *at);
/* Checks the histories of each agent of a workload. `make` turns an op into the model's (false: it is no part of the
 * history of `agent`). */
struct stead_lin_model;
struct stead_lin_op;
void stead_sim_check_histories(struct stead_sim *sim, const struct stead_workload *workload,
                               const struct stead_lin_model *model, uint32_t agents,
                               bool (*make)(const struct stead_sim_op *op, uint32_t agent,
                                            struct stead_lin_op *ret_op));

/* ---- The shadow --------------------------------------------------------------------------------- */

struct stead_shadow; /* of one shard */
void stead_shadow_init(struct stead_sim *sim);
void stead_shadow_deinit(struct stead_sim *sim);
/* An entry is handed to the disk: decodes it and checks shard, index, epoch, clock and the slots of its rows. */
void stead_shadow_append(struct stead_sim_host *host, uint32_t shard, uint64_t index, struct stead_slice entry);
/* It is synced, or was found at recovery: from now on it must never be lost. */
void stead_shadow_commit(struct stead_sim *sim, uint32_t shard, uint64_t index, struct stead_slice entry);
uint64_t stead_shadow_committed(const struct stead_sim *sim, uint32_t shard);
/* A shard recovers: the next entry appended follows `last`. */
void stead_shadow_recovered(struct stead_sim *sim, uint32_t shard, uint64_t last);
void stead_shadow_rows(struct stead_sim_host *host, uint32_t shard, uint64_t applied, struct stead_slice mutations);
/* Returned. */
struct stead_shadow *stead_shadow_copy(const struct stead_sim *sim, uint32_t shadow);
/* The shadow is what it was when it was copied. Consumed. */
void stead_shadow_put_back(struct stead_sim *sim, uint32_t shadow, struct stead_shadow **copy);
/* Nulls `*shadow`; NULL is fine. */
void stead_shadow_destroy(struct stead_shadow **shadow);
#define STEAD_SHADOW_TEXT_SIZE 800u
/* A row that must go before everything has come to its end, described in `text`; NULL: there is none. */
const char *stead_shadow_find_leftover(const struct stead_sim *sim, char *text, size_t size);
/* After a clean stop: the image must be what the log says, and hold no leftovers when `drained`. */
void stead_shadow_compare(struct stead_sim *sim, uint32_t shard, struct stead_store *store, bool drained);

/* Rows that are no shard's, kept the same way: the coordinator's. */
#define STEAD_SHADOW_COORDINATOR 0u /* no shard has this id */
void stead_shadow_apply(struct stead_sim *sim, uint32_t shadow, struct stead_slice mutations);
uint32_t stead_shadow_row_count(const struct stead_sim *sim, uint32_t shadow);
void stead_shadow_row(const struct stead_sim *sim, uint32_t shadow, uint32_t at, struct stead_slice *ret_key,
                      struct stead_slice *ret_value);

/* A message whose turn has killed the process, as the mapped files remember it. */
struct stead_sim_kill {
    struct stead_id message;
    uint32_t count;
};
#define STEAD_SIM_KILLS_MAX 512u
/* The turn of this agent kills its process; how often its message has done so before. */
uint32_t stead_sim_doom(struct stead_sim *sim, const char *address);
/* nemesis.c: a node that is down comes back after a while. */
void stead_sim_plan_start(struct stead_sim_node *node);
/* A node that is up stops cleanly, and comes back a while later. */
void stead_sim_plan_restart(struct stead_sim_node *node);

/* ---- A run ---------------------------------------------------------------------------------------- */

struct stead_sim {
    struct stead_world world;
    struct stead_sim_plan plan;
    struct stead_coordinator *coordinator;
    struct stead_sim_node nodes[STEAD_SIM_NODES_MAX];
    struct stead_sim_client clients[STEAD_SIM_CLIENTS_MAX];
    struct stead_shadow *shadows[STEAD_SIM_SHARDS_MAX];   /* by shard id */
    bool apart[STEAD_SIM_NODES_MAX][STEAD_SIM_NODES_MAX]; /* from one to the other nothing gets through */
    bool calm;                                            /* faults are over */
    bool drained;                                         /* everything has come to its end */
    bool ending;                                          /* nothing new: events only clean up */
    struct stead_sim_op *ops;                             /* plan.ops of them and those of relieve() */
    uint32_t op_count, op_capacity, ops_open;
    struct stead_writer asked; /* the answer of the last ask */
    int asked_code;
    bool asked_done;
    uint64_t deaths, stops; /* of nodes, so far */
    uint64_t far_ms; /* how far a clock was off at most: what was set by it is that late when it is right again */
    struct stead_sim_kill kills[STEAD_SIM_KILLS_MAX];
    uint32_t kill_count;
    uint64_t leapt_ms;     /* by how much everybody's wall clock is ahead of world.now_ns */
    void *oracle;          /* work_life.c */
    void *mail;            /* work_queue.c */
    void *flow;            /* work_flow.h */
    bool hub_lives;        /* a task hub is at work: its own timers are not leftovers */
    uint32_t agent_faults; /* of the options, as the next */
    uint64_t death_at;
    void *consensus;           /* work_consensus.c */
    void *upgrade;             /* work_upgrade.c */
    struct stead_sim_cut *cut; /* sim_cut.c; NULL: no backup is taken */
    uint64_t restores;         /* so far: what was on its way before is of another world */
};

struct stead_sim_options {
    uint64_t seed;
    uint32_t faults;       /* settings.hooks */
    uint32_t agent_faults; /* agents/fault.h */
    uint32_t workloads;    /* bit set over stead_workloads; 0: drawn */
    bool traced;
    const char *rerun;    /* the line that runs this seed again; borrowed */
    bool restore;         /* a backup is taken in the middle, and everything put back to it a while later */
    bool alone;           /* the same, but only one node is put back, beside others that are not */
    bool peaceful;        /* nothing goes wrong, and there is little to do ... */
    uint64_t death_at;    /* ... but a node dies at this event of the world; 0: none */
    uint64_t *ret_events; /* events until it turned calm; may be NULL */
};
/* Runs one seed to its end and returns its trace hash; a broken promise ends the process. */
uint64_t stead_sim_run(const struct stead_sim_options *options);

/* Nodes that are up. */
uint32_t stead_sim_nodes_up(const struct stead_sim *sim);
struct stead_sim_node *stead_sim_node_of(struct stead_sim *sim, uint32_t node_id);
/* sim_cut.c: plans a backup, and the restore of it. */
void stead_sim_cut_start(struct stead_sim *sim);
/* There is a backup that was not restored yet. */
bool stead_sim_cut_is_whole(const struct stead_sim *sim);
/* All nodes (plan.alone: one of them) die and start from their copies. */
void stead_sim_cut_restore(struct stead_sim *sim);
void stead_sim_cut_deinit(struct stead_sim *sim);
/* Starts and plans everything that goes wrong. */
void stead_sim_nemesis_start(struct stead_sim *sim);
/* Ends what it would only end later: full disks have room again. */
void stead_sim_nemesis_end(struct stead_sim *sim);
/* The coordinator takes a command of a node; the reply, and a new table, arrive after a delay. */
void stead_sim_coordinator_create(struct stead_sim *sim);
/* Its process dies and comes back with what it had on disk. */
void stead_sim_coordinator_restart(struct stead_sim *sim);
/* Its rows were put back; it starts from them. */
void stead_sim_coordinator_put_back(struct stead_sim *sim);
void stead_sim_coordinator_step(struct stead_sim *sim, const struct stead_coordinator_command *command,
                                struct stead_coordinator_effects *effects);

#endif
