/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load: a client that keeps a pipeline full until its standard input is closed, and says what became of every request.
 *
 *     load ENDPOINTS PREFIX AGENTS IN-FLIGHT REQUESTS-MAX
 *
 * Request n, from 0, adds n to `record/PREFIX-(n mod AGENTS)` (kinds.c), even ones as calls, odd ones as signals. On
 * stdout one character a request, in their order: `a` acknowledged, so its effect is there exactly once; `u` unknown,
 * so at most once; `n` refused, so not at all. Then the end of a line. Exit code 0 unless some request ended in a way
 * that no kill explains.
 */
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "stead/client.h"

#define DRAIN_MS 60000 /* for what is in flight at the end */

/* One request; its completion knows nothing else. */
struct request {
    char outcome; /* 0: under way */
};

static void take_outcome(void *context, const struct stead_answer *answer)
{
    struct request *request = context;

    if (answer->code == 0)
        request->outcome = 'a';
    else if (answer->code == STEAD_ETIMEOUT || answer->code == STEAD_ESESSION)
        request->outcome = 'u';
    else if (answer->code == STEAD_EUNAVAILABLE || answer->code == STEAD_EBUSY || answer->code == STEAD_EEXPIRED)
        request->outcome = 'n';
    else {
        request->outcome = '!';
        fprintf(stderr, "load: %s %s: %s\n", answer->error_agent, answer->error_name, answer->error_sentence);
    }
}

static int start_request(struct stead_client *client, struct request *requests, uint64_t at, const char *prefix,
                         uint64_t agents)
{
    uint8_t memory[16];
    char address[80];
    struct stead_writer args;

    stead_writer_init_fixed(&args, memory, sizeof memory);
    stead_write_u64(&args, at);
    snprintf(address, sizeof address, "record/%.40s-%llu", prefix, (unsigned long long)(at % agents));
    return (at % 2 == 0 ? stead_client_call_async : stead_client_signal_async)(
        client, address, "add", stead_written(&args), NULL, take_outcome, &requests[at]);
}

static bool input_is_open(void)
{
    struct pollfd input = {.fd = 0, .events = POLLIN};

    return poll(&input, 1, 0) == 0;
}

int main(int argc, char **argv)
{
    if (argc != 6)
        return fprintf(stderr, "usage: load ENDPOINTS PREFIX AGENTS IN-FLIGHT REQUESTS-MAX\n"), 2;
    const uint64_t agents = strtoull(argv[3], NULL, 10), most = strtoull(argv[5], NULL, 10);
    const uint32_t in_flight_max = (uint32_t)strtoul(argv[4], NULL, 10);
    const struct stead_client_options options = {.endpoints = argv[1], .timeout_ms = 30000, .retry_ms = 250};
    struct stead_client *client;
    uint64_t count = 0;
    bool sound = true;
    struct request *requests = calloc(most + 1, sizeof *requests);

    if (agents == 0 || requests == NULL || stead_client_open(&options, &client) != 0)
        return fprintf(stderr, "load: cannot start\n"), 2;
    while (sound && input_is_open()) {
        while (sound && count < most && stead_client_in_flight(client) < in_flight_max)
            sound = start_request(client, requests, count++, argv[2], agents) == 0;
        sound = sound && stead_client_poll(client, 20) >= 0;
    }
    sound = stead_client_drain(client, DRAIN_MS) == 0 && sound;
    stead_client_close(&client);
    for (uint64_t i = 0; i < count; i++) {
        putchar(requests[i].outcome != 0 ? requests[i].outcome : '!');
        sound = sound && requests[i].outcome != 0 && requests[i].outcome != '!';
    }
    putchar('\n');
    free(requests);
    return sound && fflush(stdout) == 0 ? 0 : 1;
}
