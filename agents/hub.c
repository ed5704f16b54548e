/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub: a task hub's settings, and the leases of its partitions.
 *
 * A partition belongs to the worker that holds its lease: it renews every RENEW_MS, and who does not for LEASE_MS has
 * lost it. Each partition has a worker that it would rather belong to (its number modulo the workers): everybody else
 * gets it only while that one is gone, and gives it back when it is seen again: both are told to renew at once, so that
 * a partition is not without a poller until the next renewal. A new hub's workers count as seen: the one that comes
 * first does not take what belongs to the others. A lease says who polls, no more: a worker that has lost one without
 * knowing may still write, and is then refused by the table's etags.
 *
 * The keeper is a durable timer: it tells the volatile workers to wake, so that after a restart of their node they are
 * there again, a setting of the hub later at most.
 */
#include "agents/agents.h"

#include <string.h>

#include "agents/hub_settings.h"

#define RENEW_MS 10000
#define LEASE_MS 30000

struct lease {
    uint32_t holder; /* worker + 1; 0: nobody */
    int64_t until_ms;
};

struct seen {
    int64_t at_ms; /* a worker's newest renewal */
};

struct hub {
    bool created;
    uint32_t lease_count, seen_count;
    struct lease leases[STEAD_HUB_PARTITIONS_MAX];
    struct seen seen[STEAD_HUB_WORKERS_MAX];
};

static const struct stead_field lease_fields[] = {STEAD_FIELD(U32, struct lease, holder),
                                                  STEAD_FIELD(I64, struct lease, until_ms), STEAD_FIELDS_END};
static const struct stead_field seen_fields[] = {STEAD_FIELD(I64, struct seen, at_ms), STEAD_FIELDS_END};
static const struct stead_field fields[] = {
    STEAD_FIELD(BOOL, struct hub, created), STEAD_FIELD_ARRAY(struct hub, leases, lease_count, lease_fields),
    STEAD_FIELD_ARRAY(struct hub, seen, seen_count, seen_fields), STEAD_FIELDS_END};

static int load_settings(struct stead_turn *turn, const struct hub *hub, struct stead_hub_settings *ret_settings)
{
    struct stead_slice map;

    if (!hub->created)
        return STEAD_ENOTFOUND;
    stead_hub_settings_default(ret_settings, stead_self_key(turn));
    int code = stead_kv_get(turn, stead_str("settings"), &map);
    return code != 0 ? code : stead_hub_settings_read(ret_settings, map);
}

static int reply_settings(struct stead_turn *turn, const struct stead_hub_settings *settings)
{
    struct stead_writer writer;

    stead_writer_init(&writer);
    stead_hub_settings_write(settings, &writer);
    int code = stead_reply(turn, stead_written(&writer));
    stead_writer_deinit(&writer);
    return code;
}

#define EVERYBODY UINT64_MAX

/* `whom`: a bit for each worker. */
static int tell_workers(struct stead_turn *turn, const struct stead_hub_settings *settings, uint64_t whom,
                        const char *op)
{
    int code = 0;

    for (uint32_t at = 0; at < settings->workers && code == 0; at++) {
        struct stead_hub_part worker = stead_hub_worker(settings, at);
        if ((whom >> at & 1) != 0)
            code = stead_tell(turn, worker.text, op, (struct stead_slice){0});
    }
    return code;
}

static int create(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct hub *hub = state;
    struct stead_hub_settings settings;
    struct stead_writer writer;

    if (!stead_hub_name_check(stead_str(stead_self_key(turn))))
        return stead_fail(turn, "bad_name", "a hub's name has 1 to %u bytes: small letters, digits, _ . and -",
                          STEAD_HUB_NAME_MAX);
    if (hub->created) { /* it stays as it is */
        int code = load_settings(turn, hub, &settings);
        return code != 0 ? code : reply_settings(turn, &settings);
    }
    stead_hub_settings_default(&settings, stead_self_key(turn));
    if (stead_hub_settings_read(&settings, args) != 0)
        return stead_fail(turn, "bad_settings", "a setting is out of its range");
    hub->created = true;
    hub->lease_count = settings.partitions;
    hub->seen_count = settings.workers;
    for (uint32_t at = 0; at < settings.workers; at++)
        hub->seen[at].at_ms = stead_now_ms(turn);
    stead_writer_init(&writer);
    stead_hub_settings_write(&settings, &writer);
    int code = stead_kv_put(turn, stead_str("settings"), stead_written(&writer));
    stead_writer_deinit(&writer);
    if (code == 0)
        code = stead_timer_every(turn, "keep", settings.keep_ms, "keep", (struct stead_slice){0});
    if (code == 0)
        code = tell_workers(turn, &settings, EVERYBODY, "wake");
    return code != 0 ? code : reply_settings(turn, &settings);
}

static int settings_of(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_hub_settings settings;
    int code = load_settings(turn, state, &settings);

    (void)args;
    return code != 0 ? code : reply_settings(turn, &settings);
}

static int keep(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_hub_settings settings;

    (void)args;
    if (load_settings(turn, state, &settings) != 0)
        return stead_timer_cancel(turn, "keep");
    return tell_workers(turn, &settings, EVERYBODY, "wake");
}

/* May this worker have the partition? */
static bool may_have(const struct hub *hub, uint32_t partition, uint32_t worker, uint32_t workers, int64_t now_ms)
{
    const struct lease *lease = &hub->leases[partition];
    uint32_t home = partition % workers;

    if (home != worker && hub->seen[home].at_ms + LEASE_MS > now_ms) /* it lives */
        return false;
    return lease->holder == worker + 1 || lease->holder == 0 || lease->until_ms <= now_ms;
}

/* Gives a worker what it may have and takes from it what it may not; how many it holds then. `ret_concerned`: workers
 * that are to renew too, a bit for each: who gets one back, and who holds one that is to be given back. */
static uint32_t renew(struct hub *hub, const struct stead_hub_settings *settings, uint32_t worker, int64_t now_ms,
                      uint64_t *ret_concerned)
{
    uint32_t held = 0;

    *ret_concerned = 0;
    for (uint32_t at = 0; at < settings->partitions; at++) {
        struct lease *it = &hub->leases[at];
        uint32_t home = at % settings->workers;
        if (may_have(hub, at, worker, settings->workers, now_ms)) {
            *it = (struct lease){worker + 1, now_ms + LEASE_MS};
            held++;
        } else if (it->holder == worker + 1) {
            *it = (struct lease){0, 0};
            *ret_concerned |= UINT64_C(1) << home;
        } else if (home == worker) {
            *ret_concerned |= UINT64_C(1) << (it->holder - 1);
        }
    }
    return held;
}

static int lease(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct hub *hub = state;
    struct stead_hub_settings settings;
    struct stead_writer writer;
    int64_t worker = -1;
    uint64_t concerned;
    int code = load_settings(turn, hub, &settings);

    if (code != 0)
        return code;
    if (stead_get_i64(args, "worker", &worker) != 0 || worker < 0 || worker >= settings.workers)
        return stead_fail(turn, "bad_argument", "worker is the number of one of the hub's workers");
    hub->seen[worker].at_ms = stead_now_ms(turn);
    uint32_t held = renew(hub, &settings, (uint32_t)worker, stead_now_ms(turn), &concerned);
    code = tell_workers(turn, &settings, concerned, "lease");
    if (code != 0)
        return code;
    stead_writer_init(&writer);
    stead_write_map(&writer, 3);
    stead_pack(&writer, "s", "renew_ms");
    stead_write_i64(&writer, RENEW_MS);
    stead_pack(&writer, "s", "lease_ms");
    stead_write_i64(&writer, LEASE_MS);
    stead_pack(&writer, "s", "partitions");
    stead_write_array(&writer, held);
    for (uint32_t at = 0; at < settings.partitions; at++)
        if (hub->leases[at].holder == (uint32_t)worker + 1)
            stead_write_u64(&writer, at);
    code = stead_reply(turn, stead_written(&writer));
    stead_writer_deinit(&writer);
    return code;
}

static int status(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct hub *hub = state;
    struct stead_hub_settings settings;
    struct stead_writer writer;
    int code = load_settings(turn, hub, &settings);

    (void)args;
    if (code != 0)
        return code;
    stead_writer_init(&writer);
    stead_write_map(&writer, 3);
    stead_write_str(&writer, "settings");
    stead_hub_settings_write(&settings, &writer);
    stead_write_str(&writer, "leases");
    stead_write_array(&writer, settings.partitions);
    for (uint32_t at = 0; at < settings.partitions; at++)
        stead_pack(&writer, "{s:u,s:l,s:l}", "partition", (uint64_t)at, "worker", (int64_t)hub->leases[at].holder - 1,
                   "until", hub->leases[at].until_ms);
    stead_write_str(&writer, "workers");
    stead_write_array(&writer, settings.workers);
    for (uint32_t at = 0; at < settings.workers; at++)
        stead_pack(&writer, "{s:u,s:l,s:s}", "worker", (uint64_t)at, "seen", hub->seen[at].at_ms, "address",
                   stead_hub_worker(&settings, at).text);
    code = stead_reply(turn, stead_written(&writer));
    stead_writer_deinit(&writer);
    return code;
}

static int drop_hub(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_hub_settings settings;
    int code = load_settings(turn, state, &settings);

    (void)args;
    if (code == 0)
        code = tell_workers(turn, &settings, EVERYBODY, "stop");
    return code != 0 ? code : stead_destroy(turn);
}

static const struct stead_op ops[] = {
    {"create", create, NULL, 0, "{settings}: a hub of this name, unless there is one; answers its settings"},
    {"settings", settings_of, NULL, STEAD_OP_READ_ONLY, "what it is made of"},
    {"lease", lease, NULL, 0, "{worker}: renews; answers the partitions that the worker holds"},
    {"status", status, NULL, STEAD_OP_READ_ONLY, "settings, leases and workers"},
    {"drop", drop_hub, NULL, STEAD_OP_FREES, "stops its workers and forgets it"},
    {"keep", keep, NULL, 0, "timer: wakes the workers"},
    {NULL, NULL, NULL, 0, NULL}};

const struct stead_kind stead_hub_kind = {.abi = STEAD_ABI,
                                          .struct_size = sizeof(struct stead_kind),
                                          .name = STEAD_HUB_KIND,
                                          .help = "a task hub: its settings, leases and keeper",
                                          .durability = STEAD_DURABLE,
                                          .state_size = sizeof(struct hub),
                                          .fields = fields,
                                          .ops = ops};
