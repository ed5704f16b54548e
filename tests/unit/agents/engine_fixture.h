/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine_fixture: an engine with its history in memory. Episodes are run by en_step() with the inputs that were added
 * by en_input(); their events are kept as the bytes of stead_history_write(), so that every replay goes through them.
 * en_reload() throws the engine away and replays.
 */
#ifndef STEAD_TESTS_ENGINE_FIXTURE_H
#define STEAD_TESTS_ENGINE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agents/engine.h"

#define EN_INPUTS_MAX 64u

struct en_stored {
    uint8_t *bytes; /* owned */
    size_t size;
    int64_t time_ms;
};

struct en {
    struct stead_fibers *fibers;
    const struct stead_orchestrator *orchestrator;
    struct stead_engine *engine;
    struct en_stored *stored; /* stored[i] is event i + 1; owned */
    uint32_t count, capacity;
    int64_t now_ms;
    struct stead_history_event inputs[EN_INPUTS_MAX]; /* of the next episode; slices are the test's */
    uint32_t input_count;
    bool reload_always; /* before every episode */
    uint64_t rewinds[8][2];
    uint32_t rewind_count;
    uint32_t says; /* lines said */
    char said[256];
};

static inline void en_say(void *context, const char *line)
{
    struct en *en = context;
    en->says++;
    (void)snprintf(en->said, sizeof(en->said), "%s", line);
}

static inline void en_create(struct en *en)
{
    const struct stead_engine_options options = {.orchestrator = en->orchestrator,
                                                 .instance = "it",
                                                 .execution = 1,
                                                 .fibers = en->fibers,
                                                 .say = en_say,
                                                 .context = en};
    en->engine = stead_engine_create(&options);
    for (uint32_t i = 0; i < en->rewind_count; i++)
        stead_engine_expect_rewind(en->engine, en->rewinds[i][0], en->rewinds[i][1]);
}

static inline void en_init(struct en *en, const struct stead_orchestrator *orchestrator)
{
    *en = (struct en){.orchestrator = orchestrator, .now_ms = 1000000};
    en->fibers = stead_fibers_create(0);
    en_create(en);
}

static inline void en_deinit(struct en *en)
{
    stead_engine_destroy(&en->engine);
    stead_fibers_destroy(&en->fibers);
    for (uint32_t i = 0; i < en->count; i++)
        free(en->stored[i].bytes);
    free(en->stored);
}

/* Event `id` as it is stored; borrowed from the fixture. */
static inline struct stead_history_event en_event(const struct en *en, uint64_t id)
{
    struct stead_history_event event = {.type = 0};
    assert_true(id >= 1 && id <= en->count);
    struct stead_reader reader = stead_reader(stead_bytes(en->stored[id - 1].bytes, en->stored[id - 1].size));
    assert_int_equal(stead_history_read(&reader, &event), 0);
    assert_ptr_equal(reader.at, reader.end);
    event.id = id;
    event.time_ms = en->stored[id - 1].time_ms;
    return event;
}

static inline void en_store(void *context, const struct stead_history_event *event)
{
    struct en *en = context;
    struct stead_writer writer;

    assert_int_equal(event->id, en->count + 1);
    if (en->count == en->capacity) {
        en->capacity = en->capacity == 0 ? 64 : en->capacity * 2;
        en->stored = realloc(en->stored, en->capacity * sizeof(*en->stored));
    }
    stead_writer_init(&writer);
    stead_history_write(&writer, event);
    en->stored[en->count++] = (struct en_stored){writer.data, writer.size, event->time_ms};
}

/* Replays the first `count` events into a new engine. */
static inline int en_replay(struct en *en, uint32_t count)
{
    int code = 0;
    stead_engine_destroy(&en->engine);
    en_create(en);
    for (uint32_t i = 1; code == 0 && i <= count; i++) {
        struct stead_history_event event = en_event(en, i);
        code = stead_engine_replay(en->engine, &event);
    }
    return code;
}

static inline void en_reload(struct en *en)
{
    assert_int_equal(en_replay(en, en->count), 0);
    assert_int_equal(stead_engine_last(en->engine), en->count);
}

static inline void en_input(struct en *en, struct stead_history_event event)
{
    assert_true(en->input_count < EN_INPUTS_MAX);
    en->inputs[en->input_count++] = event;
}

/* One episode with what en_input() has collected. Returns how many inputs were taken. */
static inline uint32_t en_step(struct en *en)
{
    uint32_t taken = 0;

    if (en->reload_always && en->count > 0)
        en_reload(en);
    for (;;) {
        taken = 0;
        stead_engine_begin(en->engine, en->now_ms);
        for (uint32_t i = 0; i < en->input_count; i++)
            taken += stead_engine_input(en->engine, &en->inputs[i]) != 0;
        int code = stead_engine_run(en->engine, en_store, en);
        if (code == 0)
            break;
        assert_int_equal(code, STEAD_EBUSY);
        en_reload(en);
    }
    en->input_count = 0;
    return taken;
}

static inline void en_start(struct en *en, struct stead_slice input)
{
    en_input(en, (struct stead_history_event){.type = STEAD_HISTORY_EXECUTION_STARTED,
                                              .name = stead_str(en->orchestrator->name),
                                              .value = input});
    assert_int_equal(en_step(en), 1);
}

/* The id of the newest event of this type with this name (NULL: any); 0: none. */
static inline uint64_t en_newest(const struct en *en, uint8_t type, const char *name)
{
    for (uint64_t id = en->count; id > 0; id--) {
        struct stead_history_event event = en_event(en, id);
        if (event.type == type && (name == NULL || stead_slice_equal(event.name, stead_str(name))))
            return id;
    }
    return 0;
}

static inline uint32_t en_tally(const struct en *en, uint8_t type)
{
    uint32_t tally = 0;
    for (uint64_t id = en->count; id > 0; id--)
        tally += en_event(en, id).type == type;
    return tally;
}

/* One input in an episode of its own. True: it was taken. */
static inline bool en_give(struct en *en, struct stead_history_event event)
{
    en_input(en, event);
    return en_step(en) == 1;
}

static inline bool en_complete(struct en *en, uint64_t ref, struct stead_slice value)
{
    return en_give(en, (struct stead_history_event){.type = STEAD_HISTORY_TASK_COMPLETED, .ref = ref, .value = value});
}

static inline bool en_fail(struct en *en, uint64_t ref, int code)
{
    return en_give(en, (struct stead_history_event){.type = STEAD_HISTORY_TASK_FAILED,
                                                    .ref = ref,
                                                    .code = code,
                                                    .error_name = stead_str("bad_luck"),
                                                    .error_sentence = stead_str("it did not work")});
}

static inline bool en_fire(struct en *en, uint64_t ref)
{
    return en_give(en, (struct stead_history_event){.type = STEAD_HISTORY_TIMER_FIRED, .ref = ref});
}

static inline bool en_raise(struct en *en, const char *name, struct stead_slice value)
{
    return en_give(
        en, (struct stead_history_event){.type = STEAD_HISTORY_EVENT_RAISED, .name = stead_str(name), .value = value});
}

static inline bool en_say_type(struct en *en, uint8_t type)
{
    return en_give(en, (struct stead_history_event){.type = type});
}

/* Every prefix of whole episodes replays, and then decides what was decided. */
static inline void en_check_prefixes(struct en *en)
{
    for (uint32_t i = 1; i <= en->count; i++)
        assert_int_equal(en_replay(en, i), 0);
    en_reload(en);
}

static inline struct stead_slice en_number(uint8_t *memory, uint8_t number)
{
    memory[0] = number; /* a fixint */
    return stead_bytes(memory, 1);
}

#define EN_ORCHESTRATOR(identifier, function)                                                                          \
    static const struct stead_orchestrator identifier = {.abi = STEAD_ORCHESTRATION_ABI,                               \
                                                         .struct_size = sizeof(struct stead_orchestrator),             \
                                                         .name = #identifier,                                          \
                                                         .version = 1,                                                 \
                                                         .run = function}

#endif
