/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify: for each name in the modules, each live instance: its history is fetched, and a batch of histories is replayed in children (verify_replay.c), so that the new code can crash without taking
 * the report with it.
 *
 * An instance lives on while it is looked at. What is fetched page after page is one history all the same as long as its execution stays: events are only added. So one that seems to break is
 * believed only when it is in the same execution afterwards and still live; else it has moved on and is left out, as is one that was purged.
 *
 * A sample is drawn from the whole list by reservoir: each instance of a name is as likely to be in it as any other.
 */
#include "cmd/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agents/instance.h"
#include "cmd/instance_pages.h"
#include "cmd/near.h"
#include "cmd/print.h"
#include "cmd/verify_replay.h"
#include "node/modules.h"
#include "runtime/base.h"

#define BATCH_BYTES (16u << 20) /* of histories; one that is larger is a batch alone */
#define CASE_SECONDS 30u        /* for one history */
#define HINT_NAMES_MAX 512u

/* An instance of the batch. */
struct member {
    char id[STEAD_INSTANCE_ID_MAX + 1];
    const struct stead_orchestrator *orchestrator; /* borrowed from its module */
    uint32_t execution;
    size_t at, size; /* of its events in the batch's buffer */
};

/* A run of the command. */
struct run {
    const struct stead_verify *verify;
    struct stead_client *client;
    struct stead_registry *registry; /* of the new code; owned */
    struct stead_columns *columns;   /* who would break; owned */
    struct member *members;          /* of the batch; owned */
    struct stead_writer events;      /* of the batch; owned */
    uint32_t count;                  /* members */
    uint64_t replayed, broken;       /* instances so far */
    uint64_t event_count;            /* events replayed so far */
    bool talks;                      /* progress on a terminal */
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
    char replayed[STEAD_PRINT_SIZE], events[STEAD_PRINT_SIZE], broken[STEAD_PRINT_SIZE];

    if (run->talks)
        fputs("\r\033[K", stderr);
    if (run->verify->fabric->connect.json) {
        printf("{\"replayed\": %llu, \"broken\": %llu, \"events\": %llu}\n", (unsigned long long)run->replayed,
               (unsigned long long)run->broken, (unsigned long long)run->event_count);
        return;
    }
    if (run->broken > 0)
        stead_columns_print(run->columns, stdout, stead_print_is_fancy(stdout));
    printf("%s instances with %s events replayed: %s would break\n", stead_print_count(run->replayed, replayed),
           stead_print_count(run->event_count, events), run->broken ? stead_print_count(run->broken, broken) : "none");
}

/* ---- One batch ------------------------------------------------------------------------------ */

/* Is it live, and in the execution that was replayed? */
static int is_still_there(const struct run *run, const struct member *member, bool *ret_there)
{
    const struct stead_instance_options where = {.hub = run->verify->fabric->hub};
    struct stead_answer answer = stead_connect_no_answer();
    struct stead_instance instance;

    *ret_there = false;
    int code = stead_instance_status_of(run->client, member->id, &where, &instance, &answer);
    if (code == 0)
        *ret_there = instance.execution == member->execution && !stead_instance_is_over(instance.status);
    return code == 0 || code == STEAD_ENOTFOUND ? STEAD_EXIT_DONE
                                                : stead_connect_failed(&run->verify->fabric->connect, code, &answer);
}

static int replay_batch(struct run *run)
{
    struct stead_verify_case *cases = stead_alloc_zero((run->count + 1) * sizeof(*cases));
    struct stead_verify_outcome *outcomes = stead_alloc_zero((run->count + 1) * sizeof(*outcomes));
    int status = STEAD_EXIT_DONE;

    for (uint32_t i = 0; i < run->count; i++)
        cases[i] = (struct stead_verify_case){
            .orchestrator = run->members[i].orchestrator,
            .instance = run->members[i].id,
            .execution = run->members[i].execution,
            .rows = !run->verify->fabric->hub,
            .events = stead_bytes(run->events.data + run->members[i].at, run->members[i].size)};
    if (stead_verify_replay(cases, run->count, CASE_SECONDS, outcomes) != 0) {
        stead_complain("no process to replay in: %m");
        status = STEAD_EXIT_FAILED;
    }
    for (uint32_t i = 0; status == STEAD_EXIT_DONE && i < run->count; i++) {
        const struct member *member = &run->members[i];
        bool there = true;
        run->replayed++;
        run->event_count += outcomes[i].events;
        if (outcomes[i].code != 0)
            status = is_still_there(run, member, &there);
        if (status == STEAD_EXIT_DONE && outcomes[i].code != 0 && there)
            tell_broken(run, member->id, member->orchestrator->name, member->orchestrator->version, &outcomes[i]);
    }
    free(cases);
    free(outcomes);
    run->count = 0;
    stead_writer_reset(&run->events);
    tell_progress(run);
    return status;
}

static int keep_event(void *context, const struct stead_instance_event *event)
{
    stead_write_value(context, event->map);
    return 0;
}

/* Takes the pieces of rows of one page; the next page begins at `ret_next`, 0 for none. */
static int take_rows(struct stead_slice page, struct stead_writer *events, uint64_t ret_next[2])
{
    struct stead_slice rows, next, piece;
    struct stead_reader reader;
    uint32_t count = 0, fields = 0;

    ret_next[0] = ret_next[1] = 0;
    if (stead_get_value(page, "rows", &rows) != 0)
        return STEAD_ECORRUPT;
    reader = stead_reader(rows);
    if (stead_read_array(&reader, &count) != 0)
        return STEAD_ECORRUPT;
    for (uint32_t i = 0; i < count; i++) {
        if (stead_read_array(&reader, &fields) != 0 || fields != 3 || stead_read_skip(&reader) != 0 ||
            stead_read_skip(&reader) != 0 || stead_read_bin(&reader, &piece) != 0)
            return STEAD_ECORRUPT;
        stead_write_raw(events, piece.data, piece.size); /* parts of a row follow each other */
    }
    if (stead_get_value(page, "next", &next) != 0 || next.size <= 1)
        return 0;
    reader = stead_reader(next);
    return stead_read_array(&reader, &fields) == 0 && fields == 2 && stead_read_u64(&reader, &ret_next[0]) == 0 &&
                   stead_read_u64(&reader, &ret_next[1]) == 0
               ? 0
               : STEAD_ECORRUPT;
}

/* The history of the direct fabric as it is stored: nothing is left out of it, as large values are for people. STEAD_ENOTFOUND also when it has begun anew meanwhile. */
static int fetch_rows(struct run *run, const struct member *member, struct stead_answer *answer)
{
    char address[sizeof(STEAD_ORCHESTRATION_KIND) + 1 + STEAD_INSTANCE_ID_MAX];
    uint64_t next[2] = {0, 0}, last[2], execution = 0;
    struct stead_writer args;
    int code;

    snprintf(address, sizeof(address), STEAD_ORCHESTRATION_KIND "/%s", member->id);
    stead_writer_init(&args);
    do {
        memcpy(last, next, sizeof(last));
        stead_writer_reset(&args);
        stead_pack(&args, "{s:u,s:u}", "first", next[0], "part", next[1]);
        code = stead_client_call(run->client, address, "raw_history", stead_written(&args), NULL, answer);
        if (code == 0 && (stead_get_u64(answer->value, "execution", &execution) != 0 || execution != member->execution))
            code = STEAD_ENOTFOUND;
        if (code == 0)
            code = take_rows(answer->value, &run->events, next);
        if (code == 0 && next[0] != 0 && (next[0] < last[0] || (next[0] == last[0] && next[1] <= last[1])))
            code = STEAD_ECORRUPT; /* it would never end */
    } while (code == 0 && next[0] != 0);
    stead_writer_deinit(&args);
    return code;
}

static int fetch(struct run *run, const struct member *member, struct stead_answer *answer)
{
    const struct stead_instance_options where = {.hub = run->verify->fabric->hub};

    if (!where.hub)
        return fetch_rows(run, member, answer);
    return stead_instance_history(run->client, member->id, 0, &where, keep_event, &run->events, NULL, answer);
}

/* Fetches an instance's history into the batch, which is replayed when it is full. */
static int add_instance(struct run *run, const char *id, const char *name, uint32_t version)
{
    const struct stead_instance_options where = {.hub = run->verify->fabric->hub};
    struct stead_answer answer = stead_connect_no_answer();
    struct member *member = &run->members[run->count];
    struct stead_instance instance;

    member->orchestrator = stead_registry_orchestrator(run->registry, name, strlen(name), version);
    if (!member->orchestrator) {
        struct stead_verify_outcome none = {.event = 0};
        snprintf(none.sentence, sizeof(none.sentence), "the modules have no version %u of it", version);
        run->replayed++;
        tell_broken(run, id, name, version, &none);
        return STEAD_EXIT_DONE;
    }
    int code = stead_instance_status_of(run->client, id, &where, &instance, &answer);
    snprintf(member->id, sizeof(member->id), "%s", id);
    member->at = run->events.size;
    member->execution = code == 0 ? instance.execution : 0;
    if (code == 0 && stead_instance_is_over(instance.status))
        return STEAD_EXIT_DONE;
    if (code == 0)
        code = fetch(run, member, &answer);
    if (code == STEAD_ENOTFOUND) { /* purged or begun anew meanwhile */
        run->events.size = member->at;
        return STEAD_EXIT_DONE;
    }
    if (code != 0)
        return stead_connect_failed(&run->verify->fabric->connect, code, &answer);
    member->size = run->events.size - member->at;
    run->count++;
    return run->count == STEAD_VERIFY_CASES_MAX || run->events.size > BATCH_BYTES ? replay_batch(run) : STEAD_EXIT_DONE;
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
            status = add_instance(run, instance->id, instance->name, instance->version);
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
        status = add_instance(run, sample.items[i].id, sample.items[i].name, sample.items[i].version);
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
    struct run run = {.verify = verify, .client = client};

    run.registry = stead_registry_create();
    run.columns = stead_columns_create(titles);
    run.members = stead_alloc(STEAD_VERIFY_CASES_MAX * sizeof(*run.members));
    run.talks = isatty(STDERR_FILENO) && !verify->fabric->connect.json;
    stead_writer_init(&run.events);
    int status = load_modules(&run);
    if (status == STEAD_EXIT_DONE) {
        status = verify_names(&run);
        if (status == STEAD_EXIT_DONE || run.replayed > 0)
            tell_end(&run);
    }
    stead_writer_deinit(&run.events);
    free(run.members);
    stead_columns_destroy(&run.columns);
    stead_registry_destroy(&run.registry);
    return status == STEAD_EXIT_DONE && run.broken > 0 ? STEAD_EXIT_FAILED : status;
}
