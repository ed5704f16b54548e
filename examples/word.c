/* SPDX-License-Identifier: Apache-2.0 */
/*
 * word: a stateless kind: no agent, no state. Each call is a job on a job thread of some node, and may block.
 * `word.gpu` is the same with a need: it runs only on nodes that were started with --label gpu, the less busy of two.
 */
#include <time.h>

#include "stead/agent.h"

#define NAP_MS 5 /* between two looks at a cancellation */

static int count(struct stead_job *job, struct stead_slice args)
{
    struct stead_slice text;
    uint64_t words = 0, lines = 0;
    bool inside = false;

    if (stead_get_str(args, NULL, &text) != 0)
        return stead_job_fail(job, "bad_text", "count takes a text");
    for (size_t at = 0; at < text.size; at++) {
        bool blank = text.data[at] == ' ' || (text.data[at] >= '\t' && text.data[at] <= '\r');
        words += !blank && !inside;
        inside = !blank;
        lines += text.data[at] == '\n';
    }
    return stead_job_reply(job, stead_job_packed(job, "{s:u,s:u,s:u,s:s}", "words", words, "lines", lines, "bytes",
                                                 (uint64_t)text.size, "node", stead_job_node_name(job)));
}

/* Work that takes a while: sleeps, and stops early when nobody waits for it any more. */
static int nap(struct stead_job *job, struct stead_slice args)
{
    const struct timespec pause = {.tv_nsec = NAP_MS * 1000000};
    int64_t ms;

    if (stead_get_i64(args, NULL, &ms) != 0 || ms < 0 || ms > 60000)
        return stead_job_fail(job, "bad_ms", "nap takes a number of milliseconds, at most 60000");
    for (; ms > 0; ms -= NAP_MS) {
        if (stead_job_cancelled(job))
            return STEAD_ECANCELLED;
        nanosleep(&pause, NULL);
    }
    return stead_job_reply(job, stead_job_packed(job, "s", stead_job_node_name(job)));
}

static const struct stead_op ops[] = {{"count", NULL, count, 0, "TEXT: its words, lines and bytes"},
                                      {"nap", NULL, nap, 0, "MS: takes so long, answers the node's name"},
                                      {NULL, NULL, NULL, 0, NULL}};

static const struct stead_kind word_kind = {.abi = STEAD_ABI,
                                            .struct_size = sizeof(struct stead_kind),
                                            .name = "word",
                                            .help = "counts words, on any node",
                                            .durability = STEAD_STATELESS,
                                            .ops = ops};
static const struct stead_kind word_gpu_kind = {.abi = STEAD_ABI,
                                                .struct_size = sizeof(struct stead_kind),
                                                .name = "word.gpu",
                                                .help = "counts words, on nodes with the label gpu",
                                                .durability = STEAD_STATELESS,
                                                .ops = ops,
                                                .needs = "gpu"};
STEAD_MODULE(&word_kind, &word_gpu_kind);
