/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config: defaults, checks and choices.
 *
 * Everything a user can set wrongly is refused here, before a thread is started or a file is touched, with a sentence
 * that says what was given and what would be right. After stead_config_check() no 0 means "choose" any more, and no
 * other file of the node looks at a setting with doubt.
 *
 * Reactors: half of the cores, at least two where there are two, at most eight by default. A reactor never waits alone:
 * the log writer and ZeroMQ's I/O threads run beside it, so a reactor a core only makes them fight for it.
 */
#include "node/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base.h"

#define WRITER_BYTES_MAX (128ull << 20)
#define QUEUE_BYTES_MAX (64ull << 20)

void stead_config_default(struct stead_node_config *ret_config)
{
    *ret_config = (struct stead_node_config){
        .name = "n1",
        .listen = STEAD_CONFIG_LISTEN,
        .shards_per_reactor = 4,
        .job_threads = 16,
        .load_threads = 4,
        .memory_bytes = 768ull << 20,
        .disk_reserve_bytes = 64ull << 20,
        .journal_entries = 1u << 16,
        .nodes_expected = 1,
        .log_level = STEAD_TRACE_INFO,
        .stop_ms_max = 10000,
        .stop_fd = -1,
    };
    stead_settings_default(&ret_config->settings);
}

#define REFUSE(...) return (snprintf(ret_why, STEAD_CONFIG_WHY_SIZE, __VA_ARGS__), STEAD_EARGUMENT)

/* tcp://HOST:PORT: where the host begins, its bytes, the port. */
struct endpoint {
    const char *host;
    size_t host_size;
    uint32_t port;
};

static bool parse_endpoint(const char *text, struct endpoint *ret_endpoint)
{
    static const char scheme[] = "tcp://";
    char *end;

    if (strncmp(text, scheme, sizeof scheme - 1) != 0)
        return false;
    const char *host = text + sizeof scheme - 1;
    const char *colon = strrchr(host, ':');
    if (!colon || colon == host || colon[1] < '0' || colon[1] > '9')
        return false;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (*end || port > 65535)
        return false;
    *ret_endpoint = (struct endpoint){host, (size_t)(colon - host), (uint32_t)port};
    return true;
}

bool stead_config_is_loopback(const char *endpoint)
{
    struct endpoint parsed;

    if (!parse_endpoint(endpoint, &parsed))
        return false;
    if (parsed.host_size == 5 && memcmp(parsed.host, "[::1]", 5) == 0)
        return true;
    if (parsed.host_size == 9 && memcmp(parsed.host, "localhost", 9) == 0)
        return true;
    return parsed.host_size > 4 && memcmp(parsed.host, "127.", 4) == 0 &&
           strspn(parsed.host, "0123456789.") >= parsed.host_size;
}

void stead_config_endpoint(const struct stead_node_config *config, uint32_t index, char *ret_endpoint)
{
    struct endpoint parsed;

    STEAD_ASSERT(parse_endpoint(config->listen, &parsed));
    uint32_t port = parsed.port ? parsed.port + index : 0;
    snprintf(ret_endpoint, STEAD_CONFIG_ENDPOINT_MAX + 1, "tcp://%.*s:%u", (int)parsed.host_size, parsed.host, port);
}

static bool name_is_good(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t size = name ? strlen(name) : 0;

    return size > 0 && size <= STEAD_NODE_NAME_MAX && strspn(name, letters) == size;
}

static int check_names(const struct stead_node_config *config, char *ret_why)
{
    if (!config->folder || !*config->folder)
        REFUSE("a data folder is needed");
    if (!name_is_good(config->name))
        REFUSE("the node's name must be 1 to %u letters, digits or _.- characters", STEAD_NODE_NAME_MAX);
    if (config->label_count > STEAD_LABELS_MAX)
        REFUSE("%u labels were given, at most %u are possible", config->label_count, STEAD_LABELS_MAX);
    for (uint32_t i = 0; i < config->label_count; i++) {
        if (!name_is_good(config->labels[i]))
            REFUSE("label %u must be 1 to %u letters, digits or _.- characters", i + 1, STEAD_NODE_NAME_MAX);
    }
    return 0;
}

static int check_listen(const struct stead_node_config *config, char *ret_why)
{
    struct endpoint parsed;

    if (!config->listen || strlen(config->listen) > STEAD_CONFIG_ENDPOINT_MAX - 6 ||
        !parse_endpoint(config->listen, &parsed))
        REFUSE("the endpoint to listen on must look like tcp://127.0.0.1:7400");
    if (parsed.port && parsed.port + config->reactors - 1 > 65535)
        REFUSE("port %u and the %u reactors need ports beyond 65535", parsed.port, config->reactors);
    if (!config->insecure_listen_anywhere && !stead_config_is_loopback(config->listen))
        REFUSE("%.*s is not a loopback address, and links are neither encrypted nor authenticated yet: "
               "--insecure-listen-anywhere allows it all the same",
               (int)parsed.host_size, parsed.host);
    if (config->coordinator) {
        if (strlen(config->coordinator) > STEAD_CONFIG_ENDPOINT_MAX || !parse_endpoint(config->coordinator, &parsed))
            REFUSE("the coordinator's endpoint must look like tcp://127.0.0.1:7390");
    }
    return 0;
}

static int check_range(const char *what, uint64_t value, uint64_t min, uint64_t max, char *ret_why)
{
    if (value < min || value > max)
        REFUSE("%s must be %llu to %llu, not %llu", what, (unsigned long long)min, (unsigned long long)max,
               (unsigned long long)value);
    return 0;
}

static int check_numbers(const struct stead_node_config *config, char *ret_why)
{
    const struct {
        const char *what;
        uint64_t value, min, max;
    } ranges[] = {
        {"reactors", config->reactors, 1, STEAD_REACTORS_MAX},
        {"shards per reactor", config->shards_per_reactor, 1, STEAD_CONFIG_SHARDS_PER_REACTOR_MAX},
        {"job threads", config->job_threads, 1, STEAD_CONFIG_JOB_THREADS_MAX},
        {"load threads", config->load_threads, 1, STEAD_CONFIG_JOB_THREADS_MAX},
        {"memory in bytes", config->memory_bytes, STEAD_CONFIG_MEMORY_MIN, UINT64_MAX},
        {"nodes expected", config->nodes_expected, 1, STEAD_NODES_MAX},
        {"the time to stop in ms", config->stop_ms_max, 100, 3600000},
    };
    int code = 0;

    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0] && code == 0; i++)
        code = check_range(ranges[i].what, ranges[i].value, ranges[i].min, ranges[i].max, ret_why);
    return code;
}

static uint32_t choose_reactors(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (cores <= 1)
        return 1;
    if (cores <= 4)
        return 2;
    long half = cores / 2;
    return half < (long)STEAD_CONFIG_REACTORS_DEFAULT_MAX ? (uint32_t)half : STEAD_CONFIG_REACTORS_DEFAULT_MAX;
}

/* Sixteenths of the budget: ten for agents and what waits for them, two for the store's cache, two for its memtables,
 * one for what waits for the disk; the last is what malloc loses. What waits for one peer or client that does not read
 * comes on top, at most an eighth for each: few do so at once, and not for long. The rest of a process, some 40 MiB of
 * program, libraries, stacks and sockets, does not grow with the load. */
static void share_memory(struct stead_node_config *config)
{
    uint64_t part = config->memory_bytes / 16;

    config->settings.memory_bytes_max = 10 * part / config->reactors;
    config->cache_bytes = 2 * part;
    config->memtable_bytes = part;
    config->writer_bytes_max = part < WRITER_BYTES_MAX ? part : WRITER_BYTES_MAX;
    config->queue_bytes_max = 2 * part < QUEUE_BYTES_MAX ? 2 * part : QUEUE_BYTES_MAX;
}

int stead_config_check(struct stead_node_config *config, char *ret_why)
{
    if (config->reactors == 0)
        config->reactors = choose_reactors();
    int code = check_names(config, ret_why);
    if (code == 0)
        code = check_numbers(config, ret_why);
    if (code == 0)
        code = check_listen(config, ret_why);
    if (code == 0)
        share_memory(config);
    return code;
}
