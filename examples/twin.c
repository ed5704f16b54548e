/* SPDX-License-Identifier: Apache-2.0 */
/*
 * twin: the digital twin of a device: what it should be (desired), what it last said it is (reported), and timers that
 * outlive any crash: reminders once, every so often, or by the calendar of a time zone; and a watchdog that is set
 * again at each report and marks the device as offline.
 */
#include "stead/agent.h"

#define VALUE_MAX 65536 /* bytes of a desired or reported value */
#define ZONE_SIZE 64
#define SCHEDULE_SIZE 128

struct twin {
    struct stead_buffer desired;  /* any value */
    struct stead_buffer reported; /* any value */
    int64_t reported_ms;          /* when; 0: never */
    bool offline;                 /* silent for longer than watch_ms */
    int64_t watch_ms;             /* 0: not watched */
    uint64_t reminders;           /* fired */
    int64_t reminded_ms;          /* when the last one fired */
    struct stead_buffer reminder; /* text of the last one */
};

static const struct stead_field fields[] = {STEAD_FIELD(BUFFER, struct twin, desired),
                                            STEAD_FIELD(BUFFER, struct twin, reported),
                                            STEAD_FIELD(I64, struct twin, reported_ms),
                                            STEAD_FIELD(BOOL, struct twin, offline),
                                            STEAD_FIELD(I64, struct twin, watch_ms),
                                            STEAD_FIELD(U64, struct twin, reminders),
                                            STEAD_FIELD(I64, struct twin, reminded_ms),
                                            STEAD_FIELD(BUFFER, struct twin, reminder),
                                            STEAD_FIELDS_END};

static int desire(struct stead_turn *turn, void *state, struct stead_slice args)
{
    if (args.size > VALUE_MAX)
        return stead_fail(turn, "too_large", "a value has at most %d bytes", VALUE_MAX);
    stead_buffer_set(&((struct twin *)state)->desired, args);
    return 0;
}

static int arm_watch(struct stead_turn *turn, const struct twin *twin)
{
    return twin->watch_ms == 0
               ? 0
               : stead_timer_after(turn, "watch", twin->watch_ms, "silence", (struct stead_slice){NULL, 0});
}

static int report(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct twin *twin = state;

    if (args.size > VALUE_MAX)
        return stead_fail(turn, "too_large", "a value has at most %d bytes", VALUE_MAX);
    stead_buffer_set(&twin->reported, args);
    twin->reported_ms = stead_now_ms(turn);
    twin->offline = false;
    return arm_watch(turn, twin);
}

static int watch(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct twin *twin = state;
    int64_t ms;

    if (stead_get_i64(args, NULL, &ms) != 0 || ms < 0)
        return stead_fail(turn, "bad_ms", "watch takes milliseconds of silence; 0: no longer");
    twin->watch_ms = ms;
    if (ms == 0)
        (void)stead_timer_cancel(turn, "watch"); /* none set is as good */
    return arm_watch(turn, twin);
}

static int silence(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)turn, (void)args;
    ((struct twin *)state)->offline = true;
    return 0;
}

/* {name, text} and one of after_ms, every_ms, or cron with a zone. */
static int remind(struct stead_turn *turn, void *state, struct stead_slice args)
{
    char name[STEAD_TIMER_NAME_MAX + 1] = "", schedule[SCHEDULE_SIZE] = "", zone[ZONE_SIZE] = "";
    struct stead_slice text = stead_str("");
    int64_t after_ms = -1, every_ms = -1;

    (void)state;
    int cron_code = stead_get_text(args, "cron", schedule, sizeof schedule);
    int zone_code = stead_get_text(args, "zone", zone, sizeof zone);
    if (stead_get_text(args, "name", name, sizeof name) != 0 || __builtin_strcmp(name, "watch") == 0 ||
        stead_get_str(args, "text", &text) == STEAD_EARGUMENT || text.size > VALUE_MAX ||
        stead_get_i64(args, "after_ms", &after_ms) == STEAD_EARGUMENT ||
        stead_get_i64(args, "every_ms", &every_ms) == STEAD_EARGUMENT ||
        (cron_code != 0 && cron_code != STEAD_ENOTFOUND) || (zone_code != 0 && zone_code != STEAD_ENOTFOUND) ||
        (after_ms >= 0) + (every_ms > 0) + (cron_code == 0) != 1)
        return stead_fail(turn, "bad_argument",
                          "remind takes {name, text} and one of after_ms, every_ms or cron (with zone)");
    struct stead_slice value = stead_packed(turn, "S", text);
    if (after_ms >= 0)
        return stead_timer_after(turn, name, after_ms, "ring", value);
    if (every_ms > 0)
        return stead_timer_every(turn, name, every_ms, "ring", value);
    struct stead_cron cron = {schedule, zone_code == 0 ? zone : NULL, STEAD_CATCH_UP_ONE};
    if (stead_timer_cron(turn, name, &cron, "ring", value) != 0)
        return stead_fail(turn, "bad_schedule", "no such schedule or zone: \"%s\" \"%s\"", schedule, zone);
    return 0;
}

static int ring(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct twin *twin = state;
    struct stead_slice text = stead_str("");

    if (stead_get_str(args, NULL, &text) == STEAD_EARGUMENT)
        return stead_fail(turn, "bad_text", "ring takes a text");
    twin->reminders++;
    twin->reminded_ms = stead_now_ms(turn);
    stead_buffer_set(&twin->reminder, text);
    return 0;
}

static int cancel(struct stead_turn *turn, void *state, struct stead_slice args)
{
    char name[STEAD_TIMER_NAME_MAX + 1];

    (void)state;
    if (stead_get_text(args, NULL, name, sizeof name) != 0)
        return stead_fail(turn, "bad_name", "cancel takes the name of a reminder");
    if (stead_timer_cancel(turn, name) == STEAD_ENOTFOUND)
        return stead_fail(turn, "no_such_reminder", "there is no reminder %s", name);
    return 0;
}

/* The device is gone: so is its twin, with all its timers. */
static int retire(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_destroy(turn);
}

static int get(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct twin *twin = state;
    struct stead_slice desired = stead_buffer_get(&twin->desired), reported = stead_buffer_get(&twin->reported);

    (void)args;
    return stead_reply(turn,
                       stead_packed(turn, "{s:v,s:v,s:b,s:b,s:l,s:u,s:l,s:S}", "desired", desired, "reported", reported,
                                    "in_step", stead_slice_equal(desired, reported), "offline", twin->offline,
                                    "reported_ms", twin->reported_ms, "reminders", twin->reminders, "reminded_ms",
                                    twin->reminded_ms, "reminder", stead_buffer_get(&twin->reminder)));
}

static const struct stead_op ops[] = {
    {"desire", desire, NULL, 0, "VALUE: what the device should be"},
    {"report", report, NULL, 0, "VALUE: what the device says it is"},
    {"watch", watch, NULL, 0, "MS: silence after which the device counts as offline; 0: not watched"},
    {"remind", remind, NULL, 0, "{name, text, after_ms | every_ms | cron, zone}: sets a reminder"},
    {"cancel", cancel, NULL, 0, "NAME: takes a reminder back"},
    {"retire", retire, NULL, STEAD_OP_FREES, "ends the twin with all its timers"},
    {"get", get, NULL, STEAD_OP_READ_ONLY, "desired, reported, whether they agree, reminders"},
    {"ring", ring, NULL, 0, "timer: a reminder"},
    {"silence", silence, NULL, 0, "timer: no report for too long"},
    {NULL, NULL, NULL, 0, NULL}};

static const struct stead_kind twin_kind = {.abi = STEAD_ABI,
                                            .struct_size = sizeof(struct stead_kind),
                                            .name = "twin",
                                            .help = "a device's twin, with reminders",
                                            .state_size = sizeof(struct twin),
                                            .fields = fields,
                                            .ops = ops};
STEAD_MODULE(&twin_kind);
