/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seeds: writes the seed corpus, DIRECTORY/TARGET/NAME, from the encoders themselves: seeds that are made cannot fall
 * behind the formats as stored ones do. Called when the fuzz targets are built.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "fuzz/flow.h"
#include "fuzz/fuzz.h"
#include "fuzz/state.h"
#include "net/frame.h"
#include "net/hello.h"
#include "node/coordinator_protocol.h"
#include "runtime/address.h"
#include "runtime/cron.h"
#include "runtime/entry.h"
#include "runtime/rows.h"
#include "runtime/table_builder.h"

#define PATH_SIZE 4096

/* Where seeds go. */
struct corpus {
    const char *directory;
};

static void make_directory(const char *path)
{
    if (mkdir(path, 0777) != 0 && errno != EEXIST) {
        perror(path);
        exit(1);
    }
}

static void write_seed(const struct corpus *corpus, const char *target, const char *name, struct stead_slice bytes)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof path, "%s/%s", corpus->directory, target);
    make_directory(path);
    snprintf(path, sizeof path, "%s/%s/%s", corpus->directory, target, name);
    FILE *stream = fopen(path, "wb");
    if (stream == NULL || fwrite(bytes.data, 1, bytes.size, stream) != bytes.size || fclose(stream) != 0) {
        perror(path);
        exit(1);
    }
}

static void seed_values(const struct corpus *corpus)
{
    struct stead_writer writer;

    stead_writer_init(&writer);
    stead_pack(&writer, "{s:l,s:[d,d,{s:n,s:b}],s:u,s:f,s:B,s:s}", "by", INT64_C(-70000), "a", 1, 300, "x", "y", 1, "u",
               UINT64_MAX, "f", 0.5, "b", stead_bytes("\0\1\2", 3), "name", "alice");
    write_seed(corpus, "value", "map", stead_written(&writer));
    write_seed(corpus, "value", "bomb", stead_bytes("\xdd\x10\x00\x00\x00\x01", 6));
    write_seed(corpus, "value", "ext", stead_bytes("\x92\xd6\xff\x00\x00\x00\x01\xc7\x01\x05\x09", 11));
    stead_writer_deinit(&writer);
}

/* ---- The wire ------------------------------------------------------------------------------- */

static struct stead_message *message_of(enum stead_message_type type, uint32_t groups)
{
    struct stead_message_parts parts = {
        .address = stead_str("cart/{alice}:1"),
        .source = (groups & STEAD_GROUP_CHANNEL) ? stead_str("counter/bob") : (struct stead_slice){0},
        .op = stead_str("add"),
        .key = (groups & STEAD_GROUP_KEY) ? stead_str("order-17") : (struct stead_slice){0},
        .payload = stead_bytes("\x81\xa2\x62\x79\x05", 5), /* {"by": 5} */
    };
    struct stead_message *m = stead_message_create(type, &parts);

    m->id.v[0] = 1;
    m->slot = stead_address_slot(parts.address, 0);
    m->source_slot =
        (groups & STEAD_GROUP_CHANNEL) ? stead_address_slot(parts.source, 0) : (stead_slot){STEAD_SLOT_SESSION};
    m->deadline_ms = 1700000000000;
    m->table_version = 3;
    memset(&m->channel, 0, sizeof *m - offsetof(struct stead_message, channel)); /* every group is defined */
    m->groups = groups;
    m->channel.previous = (struct stead_seq){1, 4};
    m->channel.number = (struct stead_seq){1, 5};
    m->session.id.v[5] = 9;
    m->session.start_ms = 1690000000000;
    m->session.number = 7;
    m->session.mark = 6;
    m->clock = UINT64_C(1700000000000) << 16;
    m->cause.root.v[0] = m->cause.parent.v[0] = 2;
    m->trace.trace.v[0] = 3;
    m->trace.span = 4;
    m->principal.v[0] = 5;
    m->fence = 6;
    m->incarnation = 1;
    m->route = (struct stead_route){1, 0, 1};
    m->delay_ms = 1000;
    m->limits.start_ms = m->limits.heartbeat_ms = 1000;
    return m;
}

static void seed_record(const struct corpus *corpus, const char *name, struct stead_message *message)
{
    static const struct stead_codec_limits limits = {.payload_bytes_max = 1 << 20};
    struct stead_slice record = fuzz_encode(message);
    struct stead_frame_builder frame = {0};
    struct stead_message *back;

    STEAD_ASSERT(stead_codec_decode(record, &limits, &back, NULL) == 0); /* a seed that is refused teaches nothing */
    stead_message_destroy(&back);
    write_seed(corpus, "header", name, record);
    STEAD_ASSERT(stead_frame_add(&frame, message) && stead_frame_add(&frame, message));
    write_seed(corpus, "frame", name, stead_frame_bytes(&frame));
    stead_frame_deinit(&frame);
    fuzz_free(record);
    stead_message_destroy(&message);
}

static void seed_records(const struct corpus *corpus)
{
    struct stead_hello hello = {.is_node = true, .name = "one", .node = 1, .incarnation = 2, .table_version = 3};
    struct stead_message *request = message_of(STEAD_CALL, STEAD_GROUP_SESSION);

    seed_record(corpus, "tell", message_of(STEAD_TELL, 0));
    seed_record(corpus, "signal_session",
                message_of(STEAD_SIGNAL, STEAD_GROUP_SESSION | STEAD_GROUP_KEY | STEAD_GROUP_DELAY));
    seed_record(corpus, "signal_channel",
                message_of(STEAD_SIGNAL, STEAD_GROUP_CHANNEL | STEAD_GROUP_CLOCK | STEAD_GROUP_CAUSE |
                                             STEAD_GROUP_PRINCIPAL | STEAD_GROUP_FENCE | STEAD_GROUP_INCARNATION |
                                             STEAD_GROUP_TRACE));
    seed_record(corpus, "call", message_of(STEAD_CALL, STEAD_GROUP_SESSION | STEAD_GROUP_ROUTE | STEAD_GROUP_CAUSE));
    seed_record(corpus, "job", message_of(STEAD_CALL, STEAD_GROUP_SESSION | STEAD_GROUP_LIMITS));
    seed_record(corpus, "answer", stead_message_answer(request, 0, NULL, stead_bytes("\x07", 1)));
    seed_record(corpus, "error", stead_message_answer(request, STEAD_EBUSY, NULL, (struct stead_slice){0}));
    seed_record(corpus, "hello", stead_hello_make(&hello));
    stead_message_destroy(&request);
}

static void seed_payloads(const struct corpus *corpus)
{
    static const char *const endpoints[] = {"tcp://127.0.0.1:7400"}, *const labels[] = {"gpu"};
    struct stead_table_node node = {.id = 1,
                                    .incarnation = 1,
                                    .name = "one",
                                    .alive = true,
                                    .label_count = 1,
                                    .labels = labels,
                                    .reactor_count = 1,
                                    .endpoints = endpoints};
    struct stead_table_shard shard = {.id = 1, .epoch = 1, .node = 1, .incarnation = 1};
    struct stead_table_kind kind = {.name = "counter"};
    struct stead_table_builder *builder = stead_table_builder_create(NULL);
    struct stead_writer writer;

    STEAD_ASSERT(stead_table_builder_put_node(builder, &node) == 0);
    STEAD_ASSERT(stead_table_builder_put_shard(builder, &shard) == 0);
    STEAD_ASSERT(stead_table_builder_put_kind(builder, &kind) == 0);
    STEAD_ASSERT(stead_table_builder_put_slots(builder, (stead_slot){0}, STEAD_SLOTS_PER_GROUP, 1) == 0);
    stead_table_builder_set_formed(builder, true, 1);
    struct stead_table *table = stead_table_builder_build(builder, 3);
    stead_writer_init(&writer);
    stead_table_encode(table, &writer);
    write_seed(corpus, "payload", "table", stead_written(&writer));

    struct stead_hello hello = {.is_node = true, .name = "one", .node = 1, .incarnation = 2, .table_version = 3};
    struct stead_welcome welcome = {.name = "one", .node = 1, .incarnation = 1, .table = stead_written(&writer)};
    struct stead_message *message = stead_hello_make(&hello);
    write_seed(corpus, "payload", "hello", stead_message_payload(message));
    stead_message_destroy(&message);
    message = stead_welcome_make(&welcome);
    write_seed(corpus, "payload", "welcome", stead_message_payload(message));
    stead_message_destroy(&message);
    stead_writer_deinit(&writer);
    stead_table_release(&table);
    stead_table_builder_destroy(&builder);
}

/* ---- The disk ------------------------------------------------------------------------------- */

static void seed_entries(const struct corpus *corpus)
{
    struct stead_entry_header header = {.shard = 1, .epoch = 1, .index = 7, .clock = UINT64_C(1700000000000) << 16};
    struct stead_turn_record turn = {
        .address = stead_str("counter/alice"),
        .incarnation = 1,
        .op = stead_str("add"),
        .cause_type = STEAD_SIGNAL,
        .cause = stead_str("counter/bob"),
        .now_ms = 1700000000000,
        .events = stead_bytes("\x91\x92\xa1\x61\x01", 5), /* [["a", 1]] */
    };
    struct stead_row_key key, after;
    struct stead_writer entry;

    stead_writer_init(&entry);
    stead_row_agent(&key, (stead_slot){0}, stead_str("counter/alice"));
    after = key;
    STEAD_ASSERT(stead_row_after_prefix(&after));
    stead_entry_begin(&entry, &header);
    stead_entry_put(&entry, stead_row_slice(&key), stead_str("image"));
    stead_entry_delete(&entry, stead_row_slice(&key));
    stead_entry_delete_range(&entry, stead_row_slice(&key), stead_row_slice(&after));
    stead_entry_turns_begin(&entry, 3);
    stead_entry_turn(&entry, &turn);
    stead_entry_end(&entry, 1);
    write_seed(corpus, "entry", "turn", stead_written(&entry));
    stead_writer_reset(&entry);
    stead_entry_put(&entry, stead_row_slice(&key), stead_str("image"));
    write_seed(corpus, "entry", "mutations", stead_written(&entry));
    stead_writer_deinit(&entry);
}

static void seed_snapshots(const struct corpus *corpus)
{
    struct fuzz_state state;
    struct stead_writer writer;

    memset(&state, 0, sizeof state);
    state.total = -5;
    state.ratio = 0.25;
    state.item_count = 2;
    memcpy(state.items[0].name, "tea", 4);
    stead_buffer_set(&state.items[1].note, stead_str("black"));
    stead_buffer_set(&state.blob, stead_str("blob"));
    stead_writer_init(&writer);
    stead_fields_encode(fuzz_state_fields, &state, &writer);
    write_seed(corpus, "snapshot", "full", stead_written(&writer));
    stead_writer_reset(&writer);
    stead_pack(&writer, "{s:d,s:s,s:[{}]}", "sum", 300, "gone", "x", "items");
    write_seed(corpus, "snapshot", "older", stead_written(&writer));
    stead_writer_deinit(&writer);
    stead_fields_deinit(fuzz_state_fields, &state);
}

/* A file of version 2: no times in the first block, two in the second, then a rule. */
static void seed_zones(const struct corpus *corpus)
{
    static const char rule[] = "\nCET-1CEST,M3.5.0,M10.5.0/3\n";
    uint8_t bytes[256] = {0};
    uint8_t *at = bytes;

    memcpy(at, "TZif2", 5);
    at[39] = at[43] = 1; /* types, bytes of names */
    at += 44 + 6 + 1;
    memcpy(at, "TZif2", 5);
    at[35] = at[39] = 2; /* times, types */
    at[43] = 1;
    at += 44;
    at[4] = 1;     /* 2^24 s */
    at[8 + 3] = 1; /* 2^32 s */
    at += 16 + 2;
    at[-1] = 1;
    at[2] = at[6 + 2] = 14; /* 3,584 s */
    at += 12 + 1;
    memcpy(at, rule, sizeof rule - 1);
    at += sizeof rule - 1;
    STEAD_ASSERT(stead_zone_check(stead_bytes(bytes, (size_t)(at - bytes))) == 0);
    write_seed(corpus, "zone", "summer", stead_bytes(bytes, (size_t)(at - bytes)));
}

/* ---- The coordinator ------------------------------------------------------------------------ */

static void seed_coordinator(const struct corpus *corpus)
{
    static const struct stead_shard_claim claims[] = {{.shard = 3, .expected_epoch = 7, .reactor = 1}};
    struct stead_coordinator_request request = {.id = 9,
                                                .op = STEAD_COORDINATOR_CLAIM,
                                                .table_version = 4,
                                                .watch = true,
                                                .node = 1,
                                                .incarnation = 5,
                                                .claim_count = 1,
                                                .claims = claims};
    struct stead_coordinator_answer answer = {.id = 9, .version = 4, .now_ms = 1700000000000, .node = 1};
    struct stead_writer writer;

    stead_writer_init(&writer);
    stead_coordinator_request_encode(&request, &writer);
    write_seed(corpus, "coordinator", "claim", stead_written(&writer));
    stead_writer_reset(&writer);
    stead_coordinator_answer_encode(&answer, &writer);
    write_seed(corpus, "coordinator", "answer", stead_written(&writer));
    stead_writer_deinit(&writer);
}

/* ---- Histories ------------------------------------------------------------------------------ */

/* One execution whose requests are answered one an episode, the first one first. */
struct execution {
    struct stead_writer rows, events; /* all rows; the events of the present one */
    uint64_t first, open;             /* id of the row's first event; the first request without a result, 0: none */
    uint8_t open_type;
    int64_t time_ms;
    uint32_t count;
};

static void keep_event(void *context, const struct stead_history_event *event)
{
    struct execution *it = context;

    if (it->count++ == 0)
        it->first = event->id;
    it->time_ms = event->time_ms;
    stead_history_write(&it->events, event);
}

static void keep_first_open(void *context, const struct stead_history_event *event)
{
    struct execution *it = context;

    if (it->open == 0) {
        it->open = event->id;
        it->open_type = event->type;
    }
}

static void run_episode(struct execution *it, struct stead_engine *engine, const struct stead_history_event *input)
{
    it->count = 0;
    stead_writer_reset(&it->events);
    stead_engine_begin(engine, it->time_ms + 1000);
    (void)stead_engine_input(engine, input);
    STEAD_ASSERT(stead_engine_run(engine, keep_event, it) == 0);
    stead_history_row_write(&it->rows, it->first, it->time_ms, it->count, stead_written(&it->events));
}

static void seed_histories(const struct corpus *corpus)
{
    static const uint8_t results[STEAD_HISTORY_TYPES] = {[STEAD_HISTORY_TASK_SCHEDULED] = STEAD_HISTORY_TASK_COMPLETED,
                                                         [STEAD_HISTORY_CHILD_CREATED] = STEAD_HISTORY_CHILD_COMPLETED,
                                                         [STEAD_HISTORY_TIMER_CREATED] = STEAD_HISTORY_TIMER_FIRED};
    struct stead_history_event event = {.type = STEAD_HISTORY_EXECUTION_STARTED, .name = stead_str("flow")};
    struct stead_fibers *fibers = stead_fibers_create(2);
    struct stead_engine *engine = fuzz_engine(fibers);
    struct execution it = {.time_ms = 1700000000000};
    char name[32];

    stead_writer_init(&it.rows);
    stead_writer_init(&it.events);
    for (uint32_t i = 0; i < 20; i++) {
        run_episode(&it, engine, &event);
        snprintf(name, sizeof name, "episodes-%u", i + 1);
        write_seed(corpus, "history", name, stead_written(&it.rows));
        if (stead_engine_status(engine) != STEAD_INSTANCE_RUNNING)
            break;
        it.open = 0;
        stead_engine_open(engine, keep_first_open, &it);
        event = (struct stead_history_event){
            .type = results[it.open_type], .ref = it.open, .value = stead_bytes("\x01", 1)};
        if (it.open == 0)
            event = (struct stead_history_event){.type = STEAD_HISTORY_EVENT_RAISED, .name = stead_str("go")};
    }
    STEAD_ASSERT(stead_engine_status(engine) != STEAD_INSTANCE_FAILED);
    stead_engine_destroy(&engine);
    stead_fibers_destroy(&fibers);
    stead_writer_deinit(&it.rows);
    stead_writer_deinit(&it.events);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: fuzz_seeds DIRECTORY\n");
        return 2;
    }
    struct corpus corpus = {argv[1]};
    make_directory(corpus.directory);
    seed_values(&corpus);
    seed_records(&corpus);
    seed_payloads(&corpus);
    seed_entries(&corpus);
    seed_snapshots(&corpus);
    seed_zones(&corpus);
    seed_coordinator(&corpus);
    seed_histories(&corpus);
    return 0;
}
