/* SPDX-License-Identifier: Apache-2.0 */
/*
 * work: what the workloads share. Each workload is one file: its kinds (written against the public headers, as a user
 * would), the requests it draws, and what must be true of its agents at the end.
 */
#ifndef STEAD_SIM_WORK_H
#define STEAD_SIM_WORK_H

#include "stead/stead.h"
#include "tests/sim/linearizability.h"
#include "tests/sim/sim.h"

extern const struct stead_workload stead_work_counter, stead_work_register, stead_work_account, stead_work_queue,
    stead_work_ledger, stead_work_stock, stead_work_bank, stead_work_signal, stead_work_timer, stead_work_call,
    stead_work_job, stead_work_life, stead_work_tell, stead_work_keyed, stead_work_lock, stead_work_hold,
    stead_work_volatile, stead_work_blob, stead_work_letter, stead_work_poison, stead_work_queues, stead_work_flow,
    stead_work_break, stead_work_upgrade, stead_work_hub, stead_work_errand, stead_work_consensus, stead_work_order,
    stead_work_cron;

/* An op of a workload kind saw what must never be, committed or not: ends the process as stead_world_fail() does. */
_Noreturn void stead_sim_broken(const char *format, ...) STEAD_PRINTF(1, 2);
/* The run in progress; kinds have no other way to it. */
struct stead_sim *stead_sim_current(void);
void stead_sim_set_current(struct stead_sim *sim);

/* Its bit in plan.workloads. */
uint32_t stead_sim_workload_bit(const struct stead_workload *workload);

/* Those of whose agents nothing is known but what they and the answers say. */
uint32_t stead_sim_restorable_workloads(void);
/* Submits with arguments by format; the writer's life is the call's. */
void stead_sim_op_pack(struct stead_sim *sim, struct stead_sim_op *op, enum stead_message_type type,
                       const char *address, const char *op_name, const char *format, ...);
/* As an op whose outcome is unknown from the start. */
void stead_sim_op_tell(struct stead_sim *sim, struct stead_sim_op *op, const char *address, const char *op_name,
                       const char *format, ...);
/* Asks without arguments, for one integer. */
int64_t stead_sim_ask_i64(struct stead_sim *sim, const char *address, const char *op_name);
/* Asks for one integer and adds the answer to the history of `agent`. */
void stead_sim_ask_history(struct stead_sim *sim, const struct stead_workload *workload, int verb, uint32_t agent,
                           const char *address, const char *op_name);

/* How often each number is in an agent: read from a dump, an array of [number, count]. */
struct stead_tally {
    uint32_t count;
    struct {
        uint64_t number;
        int64_t count;
    } items[4096];
};
/* `value`: the array. Sorted by number as the agent's keyed state is. */
void stead_tally_read(struct stead_sim *sim, struct stead_slice value, struct stead_tally *ret_tally);
/* The dead letters of an agent by the number in their argument, its `field` or with NULL itself; read page by page. All
 * must be of `op`; NULL: any. With neither, by the letters' own numbers. */
void stead_tally_letters(struct stead_sim *sim, const char *address, const char *op, const char *field,
                         struct stead_tally *ret_tally);
int64_t stead_tally_of(const struct stead_tally *tally, uint64_t number);
/* An acknowledged effect is there exactly once, an unknown one at most once, a refused one never. */
void stead_sim_check_once(struct stead_sim *sim, const struct stead_sim_op *op, int64_t seen, const char *what);

/* work_signal.c: sources send numbered signals to sinks, and sinks expect each number once, in order. The first two
 * verbs of a workload that sends so; `to` and the sink are in its ops. */
enum { STEAD_SIM_EMIT, STEAD_SIM_LATER };
#define STEAD_SIM_SINKS 3u
struct stead_sim_sources {
    const struct stead_workload *workload;
    const char *sinks; /* their kind: its agents are KIND/{L0} and so on, the sources source/L0 and so on */
    char letter;       /* L */
};
/* A request to a source: so many signals in one turn, or none at once and one after a while. */
void stead_sim_send(struct stead_sim *sim, struct stead_sim_client *client, const struct stead_sim_sources *sources,
                    uint64_t times, int64_t delay_ms);
/* Each acknowledged request is in its sink, and sinks have taken as many as were sent. */
void stead_sim_check_sinks(struct stead_sim *sim, const struct stead_sim_sources *sources);
/* The ops of a sink: `put` and `late`, and what it has taken: `taken`, `last`. */
int stead_sink_put(struct stead_turn *turn, void *state, struct stead_slice args);
int stead_sink_late(struct stead_turn *turn, void *state, struct stead_slice args);
int stead_sink_taken(struct stead_turn *turn, void *state, struct stead_slice args);
int stead_sink_last(struct stead_turn *turn, void *state, struct stead_slice args);
/* work_timer.c: the op of a timer with {id, due}: counts under 'r' how often it has rung, and that it is not early. */
int stead_alarm_ring(struct stead_turn *turn, void *state, struct stead_slice args);

/* work_order.c: sessions last long enough in this run for order to be judged: it ends with them. */
bool stead_sim_keeps_order(const struct stead_sim *sim);

/* Keyed state as a map from numbers to counts, inside turns. The key: `prefix` and 16 hexadecimal digits. */
int64_t stead_kv_number(struct stead_turn *turn, char prefix, uint64_t number);
void stead_kv_set_number(struct stead_turn *turn, char prefix, uint64_t number, int64_t value);
/* All of one prefix, as an array of [number, value]. */
struct stead_slice stead_kv_dump(struct stead_turn *turn, char prefix);

#endif
