/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify: for each name in the modules, each live instance: its history is fetched, and a batch of histories is
 * replayed in children (verify_replay.c), so that the new code can crash without taking the report with it.
 *
 * An instance lives on while it is looked at. What is fetched page after page is one history all the same as long as
 * its execution stays: events are only added. So one that seems to break is believed only when it is in the same
 * execution afterwards and still live; else it has moved on and is left out, as is one that was purged. How many
 * those are is told at the end.
 *
 * A sample is drawn from the whole list by reservoir: each instance of a name is as likely to be in it as any other.
 */
#include "cmd/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/instance_pages.h"
#include "cmd/near.h"
#include "cmd/print.h"
#include "cmd/verify_fetch.h"
#include "cmd/verify_replay.h"
#include "node/modules.h"
#include "runtime/base.h"

#define BATCH_MAX 128u          /* instances fetched at once */
#define BATCH_BYTES (32u << 20) /* of histories replayed at once; one that is larger is alone */
#define CASE_SECONDS 30u        /* for one history */
#define HINT_NAMES_MAX 512u

/* A run of the command. */
struct run {
    const struct stead_verify *verify;
    struct stead_client *client;
    struct stead_registry *registry; /* of the new code; owned */
    struct stead_columns *columns;   /* who would break; owned */
    struct stead_verify_fetch batch[BATCH_MAX];
    uint32_t count;            /* instances in the batch */
    uint64_t replayed, broken; /* instances so far */
    uint64_t left_out;         /* of those listed: over, purged or begun anew before they were judged */
    uint64_t event_count;      /* events replayed so far */
    bool talks;                /* progress on a terminal */
};

/* ---- Telling -------------------------------------------------------------------------------- */

static void tell_progress(const struct run *run)
{
    char replayed[STEAD_PRINT_SIZE];

    if (run->talks)
        fprintf(stderr, "\r%s replayed", stead_print_count(run->replayed, replayed));
}

static void tell_broken(struct run *run, const char *id, const char *name, uint32_t version,
                        const struct stead_verify_outcome *outcome)
{
    run->broken++;
    if (run->verify->fabric->connect.json) {
        json_t *json = json_pack("{s:s,s:s,s:I,s:I,s:s}", "id", id, "name", name, "version", (json_int_t)version,
                                 "event", (json_int_t)outcome->event, "sentence", outcome->sentence);
        stead_json_print(json, 0);
        json_decref(json);
        return;
    }
    stead_columns_add(run->columns, "%s", id);
    stead_columns_add(run->columns, "%s", name);
    stead_columns_add(run->columns, "%u", version);
    stead_columns_add(run->columns, "%llu", (unsigned long long)outcome->event);
    stead_columns_add(run->columns, "%s", outcome->sentence);
}

static void tell_end(const struct run *run)
{
    char replayed[STEAD_PRINT_SIZE], events[STEAD_PRINT_SIZE], broken[STEAD_PRINT_SIZE], left[STEAD_PRINT_SIZE];

    if (run->talks)
        fputs("\r\033[K", stderr);
    if (run->verify->fabric->connect.json) {
        printf("{\"replayed\": %llu, \"broken\": %llu, \"left_out\": %llu, \"events\": %llu}\n",
               (unsigned long long)run->replayed, (unsigned long long)run->broken, (unsigned long long)run->left_out,
               (unsigned long long)run->event_count);
        return;
    }
    if (run->broken > 0)
        stead_columns_print(run->columns, stdout, stead_print_is_fancy(stdout));
    printf("%s instance%s with %s events replayed: %s would break\n", stead_print_count(run->replayed, replayed),
           run->replayed == 1 ? "" : "s", stead_print_count(run->event_count, events),
           run->broken ? stead_print_count(run->broken, broken) : "none");
    if (run->left_out > 0)
        printf("%s left out: over, purged or begun anew meanwhile\n", stead_print_count(run->left_out, left));
}

/* ---- One batch ------------------------------------------------------------------------------ */

/* Is it live, and in the execution that was replayed? */
static int is_still_there(const struct run *run, const struct stead_verify_fetch *fetch, bool *ret_there)
{
    const struct stead_instance_options where = {.hub = run->verify->fabric->hub};
    struct stead_answer answer = stead_connect_no_answer();
    struct stead_instance instance;

    *ret_there = false;
    int code = stead_instance_status_of(run->client, fetch->id, &where, &instance, &answer);
    if (code == 0)
        *ret_there = instance.execution == fetch->execution && !stead_instance_is_over(instance.status);
    return code == 0 || code == STEAD_ENOTFOUND ? STEAD_EXIT_DONE
                                                : stead_connect_failed(&run->verify->fabric->connect, code, &answer);
}

/* What came of one replay. */
static int take_outcome(struct run *run, const struct stead_verify_fetch *fetch,
                        const struct stead_verify_outcome *outcome)
{
    int status = STEAD_EXIT_DONE;
    bool there = true;

    if (outcome->code != 0)
        status = is_still_there(run, fetch, &there);
    if (!there) {
        run->left_out += status == STEAD_EXIT_DONE;
        return status;
    }
    run->replayed++;
    run->event_count += outcome->events;
    if (outcome->code != 0)
        tell_broken(run, fetch->id, fetch->orchestrator->name, fetch->orchestrator->version, outcome);
    return status;
}

/* Replays `count` histories from `first` on that are whole, and frees them. */
static int replay_some(struct run *run, uint32_t first, uint32_t count)
{
    struct stead_verify_outcome *outcomes = stead_alloc_zero(((size_t)count + 1) * sizeof(*outcomes));
    struct stead_verify_fetch *fetches[BATCH_MAX];
    struct stead_verify_case cases[BATCH_MAX];
    uint32_t case_count = 0;
    int status = STEAD_EXIT_DONE;

    for (uint32_t i = first; i < first + count; i++) {
        struct stead_verify_fetch *it = &run->batch[i];
        if (it->gone) {
            run->left_out++;
            continue;
        }
        fetches[case_count] = it;
        cases[case_count++] = (struct stead_verify_case){.orchestrator = it->orchestrator,
                                                         .instance = it->id,
                                                         .execution = it->execution,
                                                         .rows = stead_written(&it->rows)};
    }
    if (stead_verify_replay(cases, case_count, CASE_SECONDS, outcomes) != 0) {
        stead_complain("no process to replay in: %m");
        status = STEAD_EXIT_FAILED;
    }
    for (uint32_t i = 0; status == STEAD_EXIT_DONE && i < case_count; i++)
        status = take_outcome(run, fetches[i], &outcomes[i]);
    for (uint32_t i = first; i < first + count; i++)
        stead_writer_deinit(&run->batch[i].rows);
    free(outcomes);
    tell_progress(run);
    return status;
}

/* Fetches the batch and replays it, in parts when it is large. */
static int replay_batch(struct run *run)
{
    const struct stead_fabric *fabric = run->verify->fabric;
    uint32_t first = 0;
    size_t bytes = 0;

    int status = stead_verify_fetch_begin(fabric, run->client, run->batch, run->count);
    for (uint32_t i = 0; status == STEAD_EXIT_DONE && i < run->count; i++) {
        status = stead_verify_fetch_rest(fabric, run->client, &run->batch[i]);
        bytes += run->batch[i].rows.size;
        if (status == STEAD_EXIT_DONE && (bytes >= BATCH_BYTES || i + 1 == run->count)) {
            status = replay_some(run, first, i + 1 - first);
            first = i + 1;
            bytes = 0;
        }
    }
    for (; first < run->count; first++)
        stead_writer_deinit(&run->batch[first].rows);
    run->count = 0;
    return status;
}

/* Puts an instance into the batch, which is replayed when it is full. */
static int add_instance(struct run *run, const struct stead_paged_instance *instance)
{
    struct stead_verify_fetch *fetch = &run->batch[run->count];

    /* One that waits for code has no version yet, 0: it would get the highest. */
    fetch->orchestrator =
        stead_registry_orchestrator(run->registry, instance->name, strlen(instance->name), instance->version);
    if (!fetch->orchestrator) {
        struct stead_verify_outcome none = {.event = 0};
        snprintf(none.sentence, sizeof(none.sentence), "the modules have no version %u of it", instance->version);
        run->replayed++;
        tell_broken(run, instance->id, instance->name, instance->version, &none);
        return STEAD_EXIT_DONE;
    }
    memcpy(fetch->id, instance->id, sizeof(fetch->id));
    return ++run->count == BATCH_MAX ? replay_batch(run) : STEAD_EXIT_DONE;
}

/* ---- All of a name -------------------------------------------------------------------------- */

/* A sample that is being drawn. */
struct sample {
    struct stead_paged_instance *items; /* owned */
    uint64_t size, seen;                /* of the sample; instances so far */
    uint64_t chance;                    /* the generator's state */
};

static void sample_add(struct sample *sample, const struct stead_paged_instance *instance)
{
    sample->chance = sample->chance * 6364136223846793005u + 1442695040888963407u;
    uint64_t place = sample->seen < sample->size ? sample->seen : (sample->chance >> 16) % (sample->seen + 1);

    sample->seen++;
    if (place < sample->size)
        sample->items[place] = *instance;
}

/* Lists the live instances of a name in one status; replays them, or adds them to the sample. */
static int look_through(struct run *run, const char *name, enum stead_instance_status live, struct sample *sample)
{
    struct stead_instance_filter filter = *run->verify->filter;
    const struct stead_paged_instance *instance;
    struct stead_instance_pages pages;
    int status = STEAD_EXIT_DONE;

    filter.name = name;
    filter.status = stead_instance_status_name(live);
    stead_instance_pages_init(&pages, run->verify->fabric, &filter);
    while (status == STEAD_EXIT_DONE && (instance = stead_instance_pages_next(&pages, run->client, &status)) != NULL) {
        if (sample->size > 0)
            sample_add(sample, instance);
        else
            status = add_instance(run, instance);
    }
    stead_instance_pages_deinit(&pages);
    return status;
}

static int verify_name(struct run *run, const char *name)
{
    static const enum stead_instance_status live[] = {STEAD_INSTANCE_RUNNING, STEAD_INSTANCE_PENDING,
                                                      STEAD_INSTANCE_SUSPENDED};
    const char *wanted = run->verify->filter->status;
    struct sample sample = {.size = run->verify->sample, .chance = (uint64_t)getpid()};
    int status = STEAD_EXIT_DONE;

    sample.items = stead_alloc((sample.size + 1) * sizeof(*sample.items));
    for (size_t i = 0; status == STEAD_EXIT_DONE && i < sizeof(live) / sizeof(*live); i++) {
        if (!wanted || strcmp(wanted, stead_instance_status_name(live[i])) == 0)
            status = look_through(run, name, live[i], &sample);
    }
    for (uint64_t i = 0; status == STEAD_EXIT_DONE && i < sample.size && i < sample.seen; i++)
        status = add_instance(run, &sample.items[i]);
    free(sample.items);
    return status;
}

/* ---- The command ---------------------------------------------------------------------------- */

/* Each name once: they are in order. */
static int verify_names(struct run *run)
{
    const char *last = "", *only = run->verify->filter->name;
    int status = STEAD_EXIT_DONE;

    for (uint32_t i = 0; status == STEAD_EXIT_DONE && i < stead_registry_orchestrator_count(run->registry); i++) {
        const char *name = stead_registry_orchestrator_at(run->registry, i)->name;
        if (strcmp(name, last) != 0 && (!only || strcmp(only, name) == 0))
            status = verify_name(run, name);
        last = name;
    }
    return status == STEAD_EXIT_DONE && run->count > 0 ? replay_batch(run) : status;
}

/* Loads the new code; refuses modules without orchestrators, and a name that is in none of them. */
static int load_modules(struct run *run)
{
    const struct stead_verify *verify = run->verify;
    const char *names[HINT_NAMES_MAX + 1], *only = verify->filter->name;
    char why[STEAD_MODULES_WHY_SIZE];
    uint32_t count = 0;

    for (uint32_t i = 0; i < verify->module_count; i++) {
        if (stead_modules_load(run->registry, verify->modules[i], why) != 0) {
            stead_complain("%s", why);
            return STEAD_EXIT_USAGE;
        }
    }
    for (; count < stead_registry_orchestrator_count(run->registry) && count < HINT_NAMES_MAX; count++)
        names[count] = stead_registry_orchestrator_at(run->registry, count)->name;
    names[count] = NULL;
    if (count == 0) {
        stead_complain("the modules have no orchestrators");
        return STEAD_EXIT_USAGE;
    }
    if (only && !stead_registry_orchestrator(run->registry, only, strlen(only), 0)) {
        const char *near = stead_near_find(only, names);
        stead_complain("the modules have no orchestrator \"%s\"%s%s%s", only, near ? "; did you mean \"" : "",
                       near ? near : "", near ? "\"?" : "");
        return STEAD_EXIT_USAGE;
    }
    return STEAD_EXIT_DONE;
}

int stead_verify(const struct stead_verify *verify, struct stead_client *client)
{
    static const char *const titles[] = {"ID", "NAME", ">VERSION", ">EVENT", "WOULD BREAK BECAUSE", NULL};
    struct run *run = stead_alloc_zero(sizeof(*run));

    run->verify = verify;
    run->client = client;
    run->registry = stead_registry_create();
    run->columns = stead_columns_create(titles);
    run->talks = isatty(STDERR_FILENO) && !verify->fabric->connect.json;
    int status = load_modules(run);
    if (status == STEAD_EXIT_DONE) {
        status = verify_names(run);
        if (status == STEAD_EXIT_DONE || run->replayed > 0 || run->left_out > 0)
            tell_end(run);
    }
    if (status == STEAD_EXIT_DONE && run->broken > 0)
        status = STEAD_EXIT_FAILED;
    stead_columns_destroy(&run->columns);
    stead_registry_destroy(&run->registry);
    free(run);
    return status;
}
