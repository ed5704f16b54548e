/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_flow: orchestrations that wait, for the benches `suspended_1m`, `idle` and `replay`.
 *
 *     bench.sleeper  any       waits for the event `wake`; its value
 *     bench.ticks    {count}   waits for so many events `tick`, one after the other; how many came
 */
#ifndef STEAD_AGENTS_BENCH_FLOW_H
#define STEAD_AGENTS_BENCH_FLOW_H

#include "stead/orchestration.h"

extern const struct stead_orchestrator stead_bench_sleeper, stead_bench_ticks;

#endif
