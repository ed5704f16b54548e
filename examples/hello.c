/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hello: the smallest orchestration: greets one after the other. Each greeting is an activity; kill the node between
 * two of them, and it goes on.
 *
 *     stead run hello '["Tokyo", "Seattle", "London"]' --wait        ["hello, Tokyo", "hello, Seattle", "hello, London"]
 */
#include <stdio.h>

#include "stead/orchestration.h"

static int greet(struct stead_job *job, struct stead_slice args)
{
    char name[100], text[120];

    if (stead_get_text(args, NULL, name, sizeof name) != 0)
        return stead_job_fail(job, "bad_name", "hello.greet takes a text of less than 100 bytes");
    snprintf(text, sizeof text, "hello, %s", name);
    return stead_job_reply(job, stead_job_packed(job, "s", text));
}

static int hello(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_reader names = stead_reader(input);
    struct stead_slice name, greeting;
    struct stead_writer greetings;
    uint8_t memory[4096];
    uint32_t count;

    if (stead_read_array(&names, &count) != 0 || count > 32)
        return stead_fail_with(o, "bad_names", "hello takes a list of at most 32 names");
    stead_writer_init_fixed(&greetings, memory,
                            sizeof memory); /* 32 greetings of 120 bytes fit: it needs nothing of the heap */
    stead_write_array(&greetings, count);
    for (uint32_t i = 0; i < count; i++) {
        int code = stead_read_value(&names, &name);
        if (code == 0)
            code = stead_await_activity(o, "hello.greet", name, &greeting);
        if (code != 0)
            return code;
        stead_write_value(&greetings, greeting);
    }
    return stead_complete(o, stead_written(&greetings));
}

STEAD_ACTIVITY(greet_activity, "hello.greet", greet,
               STEAD_KIND_IDEMPOTENT); /* greeting twice harms nobody: it may start before the commit */
STEAD_MODULE(&greet_activity);

static const struct stead_orchestrator hello_orchestrator = {.abi = STEAD_ORCHESTRATION_ABI,
                                                             .struct_size = sizeof(struct stead_orchestrator),
                                                             .name = "hello",
                                                             .help = "greets each of a list of names",
                                                             .version = 1,
                                                             .run = hello};
STEAD_ORCHESTRATORS(&hello_orchestrator);
