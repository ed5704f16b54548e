/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_flow: a million of the one, a long history of the other.
 */
#include "agents/bench_flow.h"

static int sleeper(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice value;
    int code = stead_await_event(o, "wake", -1, &value);

    (void)input;
    return code != 0 ? code : stead_complete(o, value);
}

static int ticks(struct stead_orchestration *o, struct stead_slice input)
{
    int64_t count = 0, taken = 0;
    int code = stead_get_i64(input, "count", &count);

    for (; code == 0 && taken < count; taken++)
        code = stead_await_event(o, "tick", -1, NULL);
    return code != 0 ? code : stead_complete(o, stead_packed_for(o, "l", taken));
}

const struct stead_orchestrator stead_bench_sleeper = {.abi = STEAD_ORCHESTRATION_ABI,
                                                       .struct_size = sizeof(struct stead_orchestrator),
                                                       .name = "bench.sleeper",
                                                       .version = 1,
                                                       .run = sleeper};
const struct stead_orchestrator stead_bench_ticks = {.abi = STEAD_ORCHESTRATION_ABI,
                                                     .struct_size = sizeof(struct stead_orchestrator),
                                                     .name = "bench.ticks",
                                                     .version = 1,
                                                     .run = ticks};
