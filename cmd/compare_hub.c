/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare_hub: hubs for the comparison, and what they count.
 *
 * Tags are chosen so that a hub's queues and tables lie where no worker of its runs: on other shards of the one node
 * (even ones; the workers on odd ones), or on a node of its own.
 */
#include "cmd/compare_hub.h"

#include <stdio.h>
#include <string.h>

#include "agents/hub_settings.h"

#define TAGS_MAX 10000u /* that are tried until one lies where it must */
#define HUB_NODE "hub"

/* A tag that lies on the storage's side, or on the workers'. `next`: where the search goes on. */
static int find_tag(struct stead_compare_session *session, bool storage, const char *hub, uint32_t *next, char *ret_tag)
{
    for (uint32_t i = 0; i < TAGS_MAX; i++) {
        struct stead_location location;
        char tag[STEAD_HUB_TAG_MAX + 1], address[STEAD_HUB_PART_SIZE];
        snprintf(tag, sizeof tag, "%.40s-%u", hub, (*next)++);
        snprintf(address, sizeof address, "%s/{%s}%s/x", STEAD_HUB_QUEUE_KIND, tag, hub);
        int code = stead_client_locate(session->client, address, &location);
        if (code != 0)
            return code;
        bool there = session->apart ? strcmp(location.node, HUB_NODE) == 0 : location.shard % 2 == 0;
        if (there == storage) {
            memcpy(ret_tag, tag, sizeof tag);
            return 0;
        }
    }
    return STEAD_ENOTFOUND;
}

static int place_parts(struct stead_compare_session *session, struct stead_hub_settings *settings)
{
    uint32_t next = 0;
    int code = find_tag(session, true, settings->name, &next, settings->work);

    for (uint32_t i = 0; code == 0 && i < settings->partitions; i++)
        code = find_tag(session, true, settings->name, &next, settings->tags[i]);
    for (uint32_t i = 0; code == 0 && i < settings->workers; i++)
        code = find_tag(session, false, settings->name, &next, settings->worker_tags[i]);
    return code;
}

int stead_compare_hub_make(struct stead_compare_session *session, uint32_t index)
{
    const struct stead_compare_fabric *fabric = session->fabric;
    struct stead_answer answer = {.error_sentence = "no tag lies where it must"};
    char name[STEAD_COMPARE_HUB_SIZE];
    struct stead_hub_settings settings;
    struct stead_writer args;

    stead_hub_settings_default(&settings, stead_compare_hub_name(session, index, name));
    settings.mode = fabric->interval_ms == 0  ? STEAD_HUB_NOTIFY
                    : fabric->interval_ms < 0 ? STEAD_HUB_BACKOFF
                                              : STEAD_HUB_FIXED;
    if (fabric->interval_ms > 0)
        settings.interval_ms = fabric->interval_ms;
    int code = place_parts(session, &settings);
    if (code == 0) {
        stead_writer_init(&args);
        stead_hub_settings_write(&settings, &args);
        code = stead_client_call(session->client, stead_hub_itself(name).text, "create", stead_written(&args), NULL,
                                 &answer);
        stead_writer_deinit(&args);
    }
    return code == 0 ? 0 : stead_bench_fail(&session->compare->bench, "no hub %s: %s", name, answer.error_sentence);
}

/* ---- What it counts ------------------------------------------------------------------------- */

/* Asks a part of the hub; its answer is borrowed until the next question. */
static int ask_part(struct stead_compare_session *session, const char *address, const char *op,
                    struct stead_slice *ret_map)
{
    struct stead_answer answer = {.error_sentence = ""};

    int code = stead_client_call(session->client, address, op, (struct stead_slice){NULL, 0}, NULL, &answer);
    if (code != 0)
        return stead_bench_fail(&session->compare->bench, "%s %s: %s", address, op, answer.error_sentence);
    *ret_map = answer.value;
    return 0;
}

static double number(struct stead_slice map, const char *field)
{
    uint64_t it = 0;

    return stead_get_u64(map, field, &it) == 0 ? (double)it : 0;
}

static int count_queue(struct stead_compare_session *session, const char *address, bool control,
                       struct stead_storage *storage)
{
    struct stead_slice map = {NULL, 0};
    int code = ask_part(session, address, "status", &map);

    if (code != 0)
        return code;
    storage->enqueues += number(map, "enqueued") + number(map, "duplicates");
    storage->dequeues += number(map, "dequeues");
    storage->empty += number(map, "empty");
    storage->deletes += number(map, "deletes");
    storage->renews += number(map, "renewed");
    storage->own_dequeues += control ? number(map, "dequeues") : 0;
    storage->own_enqueues += control ? 0 : number(map, "enqueued");
    return 0;
}

static int count_table(struct stead_compare_session *session, const char *address, struct stead_storage *storage)
{
    struct stead_slice map = {NULL, 0};
    int code = ask_part(session, address, "counts", &map);

    if (code != 0)
        return code;
    storage->writes += number(map, "creates") + number(map, "writes") + number(map, "purges");
    storage->reads += number(map, "reads") + number(map, "polls");
    storage->own_reads += number(map, "reads");
    storage->own_writes += number(map, "writes");
    return 0;
}

int stead_compare_hub_count(struct stead_compare_session *session, uint32_t index, struct stead_storage *storage)
{
    char name[STEAD_COMPARE_HUB_SIZE];
    struct stead_hub_settings settings;
    struct stead_slice map = {NULL, 0};

    stead_hub_settings_default(&settings, stead_compare_hub_name(session, index, name));
    int code = ask_part(session, stead_hub_itself(name).text, "settings", &map);
    if (code == 0)
        code = stead_hub_settings_read(&settings, map);
    for (uint32_t i = 0; code == 0 && i < settings.partitions; i++) {
        code = count_queue(session, stead_hub_control(&settings, i).text, true, storage);
        if (code == 0)
            code = count_table(session, stead_hub_table(&settings, i).text, storage);
    }
    return code == 0 ? count_queue(session, stead_hub_part_queue(&settings, "work").text, false, storage) : code;
}
