/* SPDX-License-Identifier: Apache-2.0 */
/*
 * orchestrator_run: the engine in memory, and its episodes.
 *
 * An input comes as a turn. When the engine is resident and stands where the stored history ends, the turn is one
 * episode: begin, input, run, rows, decisions carried out. Nothing is read. Otherwise the history is replayed first, at
 * most REPLAY_EVENTS or REPLAY_BYTES a turn. What comes before that is done is stored as it comes, in an episode that
 * stays open (`open_ms`); when the replay has come to its end, it has those inputs too, and the code runs with them. So
 * inputs are never lost and never wait in a mailbox.
 *
 * A turn that fails throws the state away, the engine with it (on_unload). Should the engine ever stand elsewhere than
 * the stored history ends, it is not trusted, and replayed.
 *
 * A read of the store that fails fails no turn that nobody would repeat: the input is stored as one that has to wait,
 * and the instance looks again in a while (the timer `again`). What is read is read before anything is decided, or can
 * be left to a later turn.
 *
 * O5 what is in the stored history has been decided by the code, and is all that has been. O6 the engine is used only
 * where the stored history ends. O7 whatever waits for a further turn has a `go_on` on its way, which is durable.
 */
#include "agents/orchestrator.h"

#define REPLAY_EVENTS 8192u           /* a turn: a few milliseconds, so that its reactor's other agents hardly notice */
#define REPLAY_BYTES (4u << 20)       /* the same for large ones */
#define LOST_MAX 3u                   /* times that the fiber may be taken away in one turn */
#ifndef EPISODE_BYTES_MAX             /* a test makes it smaller */
#define EPISODE_BYTES_MAX (20u << 20) /* of an episode's events: its decisions have to fit into a turn */
#endif
#define CALL_BYTES 64u      /* of a call's id that is kept, with what the allocator adds */
#define READ_AGAIN_MS 1000u /* after a read that failed */
#define LATER 1             /* the code cannot run in this turn */
#define TOO_LARGE 2         /* an episode decided more than a turn may store */

#define UNREADABLE_SENTENCE "the stored history cannot be read"
#define TOO_LARGE_SENTENCE "what the code decided between two awaits is larger than a turn may store"

static const struct stead_slice nothing = {NULL, 0};

/* ---- Resident ------------------------------------------------------------------------------- */

void stead_orchestration_unload(struct stead_orchestration_state *it)
{
    struct stead_resident *resident = it->resident;

    it->resident = NULL;
    if (resident == NULL)
        return;
    stead_engine_destroy(&resident->engine);
    for (uint32_t i = 0; i < resident->calls.capacity; i++)
        if (resident->calls.keys[i] != 0)
            free(resident->calls.values[i]);
    stead_engine_map_deinit(&resident->calls);
    stead_resident_drop_beats(resident);
    free(resident->carried);
    free(resident);
}

static void say(void *context, const char *line)
{
    struct stead_resident *resident = context;
    stead_log(resident->turn, "%s", line); /* which names the agent */
}

static void create_resident(struct stead_turn *turn, struct stead_orchestration_state *it,
                            const struct stead_orchestrator *orchestrator)
{
    struct stead_resident *resident = stead_engine_alloc(sizeof(*resident));
    const struct stead_engine_options options = {.orchestrator = orchestrator,
                                                 .instance = stead_self_key(turn),
                                                 .execution = it->execution,
                                                 .fibers = stead_turn_fibers(turn),
                                                 .say = say,
                                                 .context = resident};
    struct stead_slice rewinds = stead_buffer_get(&it->rewinds);

    resident->engine = stead_engine_create(&options);
    it->resident = resident;
    for (size_t at = 0; at + 16 <= rewinds.size; at += 16) {
        uint64_t pair[2];
        memcpy(pair, rewinds.data + at, sizeof(pair));
        stead_engine_expect_rewind(resident->engine, pair[0], pair[1]);
    }
}

int stead_orchestration_go_on(struct stead_turn *turn, struct stead_orchestration_state *it)
{
    if (it->going)
        return 0;
    it->going = true;
    return stead_signal(turn, stead_self(turn), "go_on", nothing);
}

bool stead_orchestration_is_unread(int code)
{
    return code == STEAD_EIO || code == STEAD_ECORRUPT;
}

int stead_orchestration_read_again(struct stead_turn *turn)
{
    stead_log(turn, "the store cannot be read: it looks again in %u ms", READ_AGAIN_MS);
    return stead_timer_after(turn, "again", READ_AGAIN_MS, "look", nothing);
}

/* The history cannot be read now: what is in memory of it is not trusted. 0, LATER or the failure of the turn. */
static int wait_for_read(struct stead_turn *turn, struct stead_orchestration_state *it)
{
    int code = stead_orchestration_read_again(turn);

    stead_orchestration_unload(it);
    return code != 0 ? code : LATER;
}

/* ---- Replay --------------------------------------------------------------------------------- */

struct replaying {
    struct stead_resident *resident;
    uint32_t left; /* events of this turn */
    size_t bytes;  /* of their rows */
    int code;
};

/* The ids of calls are in the requests. */
static void follow_calls(struct stead_resident *resident, const struct stead_history_event *event)
{
    struct stead_slice id;
    struct stead_call_id call;

    switch (event->type) {
    case STEAD_HISTORY_TASK_SCHEDULED:
        if (event->extra.size == 0 || stead_get_bin(event->extra, "call", &id) != 0 || id.size != sizeof(call))
            return;
        memcpy(&call, id.data, sizeof(call));
        stead_resident_keep_call(resident, event->id, &call);
        return;
    case STEAD_HISTORY_TASK_COMPLETED:
    case STEAD_HISTORY_TASK_FAILED:
    case STEAD_HISTORY_TASK_CANCELED:
        stead_resident_drop_call(resident, event->ref);
        return;
    default:
        return;
    }
}

static int replay_row(void *context, uint64_t first, struct stead_slice row)
{
    struct replaying *replaying = context;
    struct stead_history_row reader;
    struct stead_history_event event;

    (void)first;
    replaying->code = stead_history_row_begin(row, &reader);
    while (replaying->code == 0) {
        int code = stead_history_row_next(&reader, &event);
        if (code == STEAD_ENOTFOUND)
            break;
        follow_calls(replaying->resident, &event);
        replaying->code = code != 0 ? code : stead_engine_replay(replaying->resident->engine, &event);
        replaying->left -= replaying->left > 0;
    }
    replaying->bytes -= row.size < replaying->bytes ? row.size : replaying->bytes;
    if (replaying->bytes == 0)
        replaying->left = 0;
    return replaying->code != 0 || replaying->left == 0;
}

/* A carried event; `number` is its row's. */
static int replay_carried(void *context, uint64_t number, struct stead_slice row)
{
    struct replaying *replaying = context;
    int ended = replay_row(context, number, row);

    if (replaying->code == 0)
        stead_carry_note(replaying->resident, number);
    return ended;
}

/* Events that were carried into the execution, and then its history, as much of them as a turn may. */
static int replay_page(struct stead_turn *turn, struct stead_orchestration_state *it, struct replaying *replaying)
{
    const struct stead_engine *engine = replaying->resident->engine;
    int code = 0;

    if (stead_engine_last(engine) == 0)
        code = stead_carry_visit(turn, it, replay_carried, replaying);
    if (code != 0 || replaying->code != 0 || replaying->left == 0)
        return code;
    return stead_rows_visit(turn, it->execution, stead_engine_last(engine) + 1, replay_row, replaying);
}

static void copy_text(char *to, size_t size, struct stead_slice text)
{
    size_t used = text.size < size ? text.size : size - 1;

    if (used > 0)
        memcpy(to, text.data, used);
    to[used] = '\0';
}

/* The code cannot go on: Failed, and nothing of it is stored but that. What is open stays open, and inputs are kept: a
 * rewind goes on from there. */
static int stop_code(struct stead_turn *turn, struct stead_orchestration_state *it, int code, const char *name,
                     const char *why)
{
    it->differs = true;
    it->error_code = code;
    copy_text(it->error_name, sizeof(it->error_name), stead_str(name));
    copy_text(it->error_sentence, sizeof(it->error_sentence), stead_str(why));
    stead_log(turn, "failed: %s", it->error_sentence);
    stead_orchestration_unload(it);
    stead_orchestration_set_status(turn, it, STEAD_INSTANCE_FAILED);
    return stead_orchestration_end(turn, it);
}

/* The code does not match its history, or that cannot be read. */
static int stop_differing(struct stead_turn *turn, struct stead_orchestration_state *it, int code)
{
    uint64_t event = 0;
    const char *why = stead_engine_difference(it->resident->engine, &event);

    return code == STEAD_ECONFLICT ? stop_code(turn, it, STEAD_EFAILED, "nondeterminism", why)
                                   : stop_code(turn, it, STEAD_EFAILED, stead_error_name(code), UNREADABLE_SENTENCE);
}

/* In this same turn the process has died too often: it is had without the code. */
static int stop_deadly(struct stead_turn *turn, struct stead_orchestration_state *it)
{
    return stop_code(turn, it, STEAD_EPOISON, stead_error_name(STEAD_EPOISON),
                     stead_printed(turn,
                                   "its code ended the process %u times after event %llu, with the same input: mend "
                                   "the code (%s, version %u) and rewind",
                                   stead_poison_kills(turn), (unsigned long long)it->events, it->name, it->version));
}

/* It may have waited for its module. */
static int become_ready(struct stead_turn *turn, struct stead_orchestration_state *it)
{
    if (stead_orchestration_status(it) == STEAD_INSTANCE_PENDING) {
        (void)stead_timer_cancel(turn, "look");
        it->looks = 0;
        stead_orchestration_set_status(turn, it, stead_engine_status(it->resident->engine));
    }
    return 0;
}

/* Nothing runs before all that was left untaken is carried. */
static int move_carried(struct stead_turn *turn, struct stead_orchestration_state *it)
{
    int code = stead_carry_move(turn, it);

    if (code == STEAD_EIO)
        return wait_for_read(turn, it);
    if (code == STEAD_ECORRUPT || code == STEAD_EVERSION)
        return stop_code(turn, it, STEAD_EFAILED, stead_error_name(code), UNREADABLE_SENTENCE) == 0 ? LATER
                                                                                                    : STEAD_EINTERNAL;
    if (code == 0)
        code = stead_orchestration_go_on(turn, it);
    stead_pause(turn);
    return code != 0 ? code : LATER;
}

/* 0: the engine is ready; LATER; or the failure of the turn. */
static int make_ready(struct stead_turn *turn, struct stead_orchestration_state *it)
{
    const struct stead_orchestrator *orchestrator = stead_orchestration_find(turn, it);
    struct replaying replaying = {.left = REPLAY_EVENTS, .bytes = REPLAY_BYTES};

    if (it->differs)
        return LATER;
    if (orchestrator == NULL || stead_now_ms(turn) < it->not_before) { /* suspended: who resumes it looks again */
        bool suspended = stead_orchestration_status(it) == STEAD_INSTANCE_SUSPENDED;
        int code = suspended ? 0 : stead_orchestration_pend(turn, it);
        return code != 0 ? code : LATER;
    }
    it->version = orchestrator->version; /* for life, also when it was loaded only after the start */
    if (stead_poison_kills(turn) > 0)
        return stop_deadly(turn, it) == 0 ? LATER : STEAD_EINTERNAL;
    if (it->moving != 0)
        return move_carried(turn, it);
    for (uint32_t lost = 0; lost < LOST_MAX; lost++) {
        struct stead_resident *resident = it->resident;
        if (resident != NULL && (stead_engine_is_lost(resident->engine) || /* O6 */
                                 stead_engine_last(resident->engine) > it->events ||
                                 (resident->ready && stead_engine_last(resident->engine) != it->events)))
            stead_orchestration_unload(it);
        if (it->resident == NULL)
            create_resident(turn, it, orchestrator);
        replaying.resident = resident = it->resident;
        resident->turn = turn;
        resident->ready = stead_engine_last(resident->engine) == it->events;
        if (resident->ready)
            return become_ready(turn, it);
        int code = replay_page(turn, it, &replaying);
        if (code == STEAD_EIO)
            return wait_for_read(turn, it);
        if (code != 0 && code != STEAD_ECORRUPT)
            return code;
        replaying.code = code != 0 ? code : replaying.code;
        if (replaying.code == STEAD_EBUSY)
            continue;
        if (replaying.code == 0 && replaying.left > 0 && stead_engine_last(resident->engine) != it->events)
            replaying.code = STEAD_ECORRUPT;
        if (replaying.code != 0)
            return stop_differing(turn, it, replaying.code) == 0 ? LATER : STEAD_EINTERNAL;
        resident->ready = stead_engine_last(resident->engine) == it->events;
        if (resident->ready)
            return become_ready(turn, it);
        break;
    }
    int code = stead_orchestration_go_on(turn, it);
    stead_pause(turn);
    return code != 0 ? code : LATER;
}

/* ---- Inputs that have to wait --------------------------------------------------------------- */

/* The next episode's time: an instance's clock never goes back, not even where its node's does after a restart. */
static int64_t move_clock(struct stead_turn *turn, struct stead_orchestration_state *it)
{
    if (stead_now_ms(turn) > it->clock_ms)
        it->clock_ms = stead_now_ms(turn);
    return it->clock_ms;
}

/* Stores it at the end of the open episode, which is opened when there is none. */
int stead_orchestration_keep(struct stead_turn *turn, struct stead_orchestration_state *it,
                             const struct stead_history_event *event)
{
    const struct stead_history_event started = {.type = STEAD_HISTORY_ORCHESTRATOR_STARTED};
    struct stead_history_event given = *event;
    struct stead_row_writer rows = {.turn = turn, .execution = it->execution};
    bool done = stead_decisions_done(it);

    stead_writer_init(&rows.events);
    stead_writer_init(&rows.rows);
    if (it->open_ms == 0) {
        struct stead_history_event first = started;
        it->open_ms = move_clock(turn, it);
        first.id = ++it->events;
        first.time_ms = it->open_ms;
        stead_row_writer_add(&rows, &first);
    }
    given.id = ++it->events;
    given.time_ms = it->open_ms;
    stead_row_writer_add(&rows, &given);
    if (done) { /* no decision is among them */
        it->sent = it->events;
        it->send_row = it->events + 1;
    }
    int code = stead_row_writer_end(&rows);
    stead_row_writer_deinit(&rows);
    return code;
}

/* ---- Episodes ------------------------------------------------------------------------------- */

struct episode {
    struct stead_turn *turn;
    struct stead_orchestration_state *it;
    struct stead_row_writer rows;
    bool sending;   /* decisions are carried out right away */
    uint32_t sends; /* of them */
    size_t bytes;
    uint64_t last;            /* the newest event */
    uint64_t output_row;      /* first id of the row with the output */
    struct stead_slice again; /* CONTINUE_AS_NEW's input; in the turn's memory */
    bool brief;               /* its cancels are stored shortened */
    /* more than a turn may store: its inputs are kept, for nothing of them may be lost, and no decision is seen */
    bool too_large;
    int code;
};

/* The event with its call's id in `extra`. */
static struct stead_slice add_call_id(struct stead_turn *turn, struct stead_slice extra,
                                      const struct stead_call_id *call)
{
    struct stead_reader reader = stead_reader(extra);
    struct stead_slice id = stead_bytes(call, sizeof(*call));
    uint32_t members = 0;
    uint8_t memory[256];
    struct stead_writer writer;

    if (extra.size == 0 || stead_read_map(&reader, &members) != 0)
        return stead_packed(turn, "{s:B}", "call", id);
    stead_writer_init_fixed(&writer, memory, sizeof(memory));
    stead_write_map(&writer, members + 1);
    stead_write_raw(&writer, reader.at, (size_t)(reader.end - reader.at));
    stead_write_str(&writer, "call");
    stead_write_bin(&writer, id);
    struct stead_slice copy = stead_packed(turn, "v", stead_written(&writer));
    stead_writer_deinit(&writer);
    return copy;
}

/* What of an event is in the state too. */
static void note_event(struct episode *episode, const struct stead_history_event *event)
{
    struct stead_orchestration_state *it = episode->it;

    switch (event->type) {
    case STEAD_HISTORY_STATUS_SET:
        stead_buffer_set(&it->custom, event->value);
        return;
    case STEAD_HISTORY_CONTINUE_AS_NEW:
        episode->again = stead_packed(episode->turn, "v", event->value);
        return;
    case STEAD_HISTORY_EXECUTION_FAILED:
    case STEAD_HISTORY_EXECUTION_TERMINATED:
        it->error_code = event->type == STEAD_HISTORY_EXECUTION_FAILED ? event->code : STEAD_ECANCELLED;
        copy_text(it->error_name, sizeof(it->error_name),
                  event->error_name.size > 0 ? event->error_name : stead_str("terminated"));
        copy_text(it->error_sentence, sizeof(it->error_sentence), event->error_sentence);
        return;
    default:
        return;
    }
}

static void send_now(struct episode *episode, struct stead_history_event *event)
{
    struct stead_call_id call;
    bool called = false;

    if (episode->sends >= STEAD_SEND_MAX || episode->bytes >= STEAD_SEND_BYTES_MAX) {
        episode->sending = false;
        return;
    }
    episode->code = stead_decision_send(episode->turn, episode->it, episode->it->execution, event, &call, &called);
    if (stead_orchestration_is_unread(episode->code)) { /* a later turn does it */
        episode->sending = false;
        episode->code = 0;
        return;
    }
    episode->sends++;
    episode->bytes += event->value.size;
    episode->it->sent = event->id;
    if (episode->code != 0 || !called)
        return;
    event->extra = add_call_id(episode->turn, event->extra, &call);
    stead_resident_keep_call(episode->it->resident, event->id, &call);
}

/* A later turn carries this cancel out, when the engine may be gone. */
static void prepare_cancel(struct episode *episode, struct stead_history_event *cancel)
{
    struct stead_resident *resident = episode->it->resident;
    const struct stead_call_id *call = stead_engine_map_get(&resident->calls, cancel->ref);

    if (call == NULL)
        return;
    cancel->extra = add_call_id(episode->turn, cancel->extra, call);
    stead_resident_drop_call(resident, cancel->ref);
}

/* Is it more than a turn may store? One that only ends the execution never is: 100,000 shortened cancels, of children
 * with the longest ids, have room in a turn. */
static void weigh_episode(struct episode *episode)
{
    const struct stead_engine *engine = episode->it->resident->engine;
    bool ends = engine->orchestrator == NULL || stead_engine_status(engine) == STEAD_INSTANCE_TERMINATED;
    size_t bytes = stead_engine_episode_bytes(engine);

    episode->brief = bytes > EPISODE_BYTES_MAX;
    for (uint32_t i = 0; episode->brief && i < engine->event_count; i++) {
        struct stead_history_event event = engine->events[i];
        if (event.type != STEAD_HISTORY_TASK_CANCELED)
            continue;
        stead_cancel_shorten(&event);
        bytes -= engine->events[i].name.size - event.name.size + engine->events[i].target.size - event.target.size;
    }
    episode->too_large = !ends && bytes > EPISODE_BYTES_MAX;
}

static void take_event(void *context, const struct stead_history_event *event)
{
    struct episode *episode = context;
    struct stead_history_event stored = *event;

    if (episode->last == 0)
        weigh_episode(episode);
    episode->last = event->id;
    if (episode->code != 0)
        return;
    if (episode->too_large) {
        if (stead_history_is_input(event->type))
            episode->code = stead_orchestration_keep(episode->turn, episode->it, event);
        return;
    }
    note_event(episode, event);
    if (event->type == STEAD_HISTORY_TASK_COMPLETED || event->type == STEAD_HISTORY_TASK_FAILED)
        stead_resident_drop_call(episode->it->resident, event->ref);
    if (episode->sending && !stead_history_is_input(event->type))
        send_now(episode, &stored);
    if (event->type == STEAD_HISTORY_TASK_CANCELED && !episode->sending)
        prepare_cancel(episode, &stored);
    if (event->type == STEAD_HISTORY_TASK_CANCELED && episode->brief)
        stead_cancel_shorten(&stored);
    stead_row_writer_add(&episode->rows, &stored);
    if (event->type == STEAD_HISTORY_EXECUTION_COMPLETED)
        episode->output_row = episode->rows.count > 0 ? episode->rows.first : episode->rows.last_row;
}

/* What the engine's status means for the instance. */
static int follow_status(struct stead_turn *turn, struct stead_orchestration_state *it, struct stead_slice again)
{
    const struct stead_engine *engine = it->resident->engine;
    enum stead_instance_status status = stead_engine_status(engine);

    if (status == STEAD_INSTANCE_CONTINUED_AS_NEW) {
        int code = stead_orchestration_again(turn, it, again, it->resident);
        stead_orchestration_unload(it);
        return code != 0 ? code : stead_orchestration_go_on(turn, it);
    }
    if (status == STEAD_INSTANCE_FAILED)
        it->rewind_from = stead_engine_rewind_point(engine);
    stead_orchestration_set_status(turn, it, status);
    if (!stead_instance_is_over(status))
        return 0;
    stead_orchestration_unload(it);
    return stead_orchestration_end(turn, it);
}

/* Runs the open episode of a ready engine. LATER: its fiber is gone, nothing has happened. TOO_LARGE: its inputs are
 * stored, and the engine is gone. */
static int try_episode(struct stead_turn *turn, struct stead_orchestration_state *it)
{
    struct episode episode = {.turn = turn, .it = it, .rows = {.turn = turn, .execution = it->execution}};
    uint64_t first = it->events + 1;

    /* Nothing is carried out ahead of what was left over. */
    episode.sending = stead_decisions_done(it);
    it->begun |= stead_engine_status(it->resident->engine) != STEAD_INSTANCE_SUSPENDED;
    stead_writer_init(&episode.rows.events);
    stead_writer_init(&episode.rows.rows);
    int code = stead_engine_run(it->resident->engine, take_event, &episode);
    if (code != 0) {
        stead_row_writer_deinit(&episode.rows);
        if (code != STEAD_EBUSY)
            return stop_differing(turn, it, code);
        stead_orchestration_unload(it);
        return LATER;
    }
    code = episode.code;
    if (code == 0 && !episode.too_large)
        code = stead_row_writer_end(&episode.rows);
    stead_row_writer_deinit(&episode.rows);
    if (code != 0)
        return code;
    if (episode.too_large) {
        stead_orchestration_unload(it);
        return TOO_LARGE;
    }
    it->end_row = episode.output_row;
    it->events = episode.last;
    it->open_ms = 0;
    if (episode.sending) {
        it->sent = it->events;
        it->send_row = it->events + 1;
    } else if (it->send_row > first) {
        it->send_row = first;
    }
    code = follow_status(turn, it, episode.again);
    if (code == 0 && !stead_decisions_done(it))
        code = stead_orchestration_go_on(turn, it);
    return code;
}

/* ---- Ends without the code ------------------------------------------------------------------ */

/* The whole history at once: without the code it goes by quickly. */
static int replay_bare(struct stead_turn *turn, struct stead_orchestration_state *it)
{
    struct replaying replaying = {.left = UINT32_MAX, .bytes = SIZE_MAX};

    stead_orchestration_unload(it);
    create_resident(turn, it, NULL);
    replaying.resident = it->resident;
    int code = stead_rows_visit(turn, it->execution, 1, replay_row, &replaying);
    if (code == 0)
        code = replaying.code;
    if (code == 0 && stead_engine_last(it->resident->engine) != it->events)
        code = STEAD_ECORRUPT;
    return code;
}

/* Terminated for this reason, or Failed because an episode was too large, with all that is open: by the engine, which
 * `replayed` says is there. */
static int end_now(struct stead_turn *turn, struct stead_orchestration_state *it, int replayed,
                   enum stead_instance_status status, struct stead_slice reason)
{
    const struct stead_history_event event = {.type = STEAD_HISTORY_EXECUTION_TERMINATED, .error_sentence = reason};
    bool failed = status == STEAD_INSTANCE_FAILED;

    if (replayed == STEAD_ECORRUPT || replayed == STEAD_EVERSION) { /* nothing is known of what is open */
        it->error_code = failed ? STEAD_ELIMIT : STEAD_ECANCELLED;
        copy_text(it->error_name, sizeof(it->error_name),
                  stead_str(failed ? stead_error_name(STEAD_ELIMIT) : "terminated"));
        copy_text(it->error_sentence, sizeof(it->error_sentence), reason);
        stead_orchestration_unload(it);
        stead_orchestration_set_status(turn, it, status);
        return stead_orchestration_end(turn, it);
    }
    if (replayed != 0)
        return replayed;
    struct stead_engine *engine = it->resident->engine;
    it->resident->turn = turn;
    if (!stead_engine_is_open(engine))
        stead_engine_begin(engine, move_clock(turn, it));
    if (failed)
        stead_engine_condemn(engine, STEAD_ELIMIT, TOO_LARGE_SENTENCE);
    else
        (void)stead_engine_input(engine, &event);
    int code = try_episode(turn, it);
    return code > 0 ? STEAD_EINTERNAL : code; /* no code has to run, and what ends all is never too large */
}

/* Runs the open episode of a ready engine. LATER: its fiber is gone, nothing has happened. */
static int run_episode(struct stead_turn *turn, struct stead_orchestration_state *it)
{
    int code = try_episode(turn, it);

    if (code != TOO_LARGE)
        return code;
    code = replay_bare(turn, it);
    if (code == STEAD_EIO) /* its inputs are stored: the same comes again */
        return wait_for_read(turn, it) == LATER ? 0 : STEAD_EINTERNAL;
    return end_now(turn, it, code, STEAD_INSTANCE_FAILED, stead_str(TOO_LARGE_SENTENCE));
}

/* ---- What turns do -------------------------------------------------------------------------- */

/* Memory that the node must know of, at the end of a turn. */
static int weigh(struct stead_turn *turn, const struct stead_orchestration_state *it, int code)
{
    const struct stead_resident *resident = it->resident;
    size_t bytes = 0;

    if (resident != NULL)
        bytes = sizeof(*resident) + stead_engine_bytes(resident->engine) + (size_t)resident->calls.capacity * 16 +
                (size_t)resident->calls.count * CALL_BYTES + resident->beat_bytes +
                (size_t)resident->carried_capacity * sizeof(*resident->carried);
    stead_carry(turn, bytes);
    return code;
}

/* An input that the code cannot have in this turn. A suspension and its end are seen at once all the same: they need no
 * code, and may wait for it for long. */
static int keep_for_later(struct stead_turn *turn, struct stead_orchestration_state *it,
                          const struct stead_history_event *event)
{
    int code = stead_orchestration_keep(turn, it, event);

    if (code != 0 || it->differs)
        return code;
    if (event->type == STEAD_HISTORY_EXECUTION_SUSPENDED)
        stead_orchestration_set_status(turn, it, STEAD_INSTANCE_SUSPENDED);
    if (event->type != STEAD_HISTORY_EXECUTION_RESUMED)
        return 0;
    stead_orchestration_set_status(turn, it, STEAD_INSTANCE_RUNNING);
    return stead_orchestration_go_on(turn, it); /* that makes it Pending when there is no code */
}

static int give(struct stead_turn *turn, struct stead_orchestration_state *it, const struct stead_history_event *event)
{
    it->updated = stead_now_ms(turn);
    if (!stead_orchestration_is_active(it) && !it->differs) {
        it->dropped++;
        return 0;
    }
    int code = make_ready(turn, it);
    if (code < 0)
        return code;
    if (code == LATER)
        return keep_for_later(turn, it, event);
    struct stead_engine *engine = it->resident->engine;
    if (!stead_engine_takes(engine, event)) {
        it->dropped++;
        return 0;
    }
    if (!stead_engine_is_open(engine))
        stead_engine_begin(engine, move_clock(turn, it));
    (void)stead_engine_input(engine, event);
    code = run_episode(turn, it);
    if (code != LATER)
        return code;
    code = keep_for_later(turn, it, event);
    return code != 0 ? code : stead_orchestration_go_on(turn, it);
}

int stead_orchestration_give(struct stead_turn *turn, struct stead_orchestration_state *it,
                             const struct stead_history_event *event)
{
    return weigh(turn, it, give(turn, it, event));
}

int stead_orchestration_close(struct stead_turn *turn, struct stead_orchestration_state *it, struct stead_slice reason)
{
    bool ready = it->resident != NULL && it->resident->ready && !stead_engine_is_lost(it->resident->engine) && /* O6 */
                 stead_engine_last(it->resident->engine) == it->events;
    int code = ready ? 0 : replay_bare(turn, it);

    if (code == STEAD_EIO) {
        stead_orchestration_unload(it);
        return weigh(turn, it, code);
    }
    return weigh(turn, it, end_now(turn, it, code, STEAD_INSTANCE_TERMINATED, reason));
}

/* The code, as far as it can run in this turn. */
static int work_code(struct stead_turn *turn, struct stead_orchestration_state *it)
{
    if (!stead_orchestration_is_active(it))
        return 0;
    int code = make_ready(turn, it);
    if (code == 0 && stead_engine_is_open(it->resident->engine))
        code = run_episode(turn, it);
    else if (code == LATER)
        return 0;
    return code == LATER ? stead_orchestration_go_on(turn, it) : code;
}

/* A page of what earlier executions have left. */
static int sweep(struct stead_turn *turn, struct stead_orchestration_state *it, bool *ret_more)
{
    int code = stead_rows_sweep(turn, it->swept, it->send_execution, ret_more);

    if (code == 0)
        it->swept = *ret_more ? it->swept : it->send_execution;
    if (code == 0 && !*ret_more)
        code = stead_carry_sweep(turn, it, ret_more);
    if (stead_orchestration_is_unread(code)) {
        *ret_more = false;
        return stead_orchestration_read_again(turn);
    }
    it->sweep = *ret_more;
    return code;
}

int stead_orchestration_work(struct stead_turn *turn, struct stead_orchestration_state *it)
{
    bool more = false, rows = false;
    int code = work_code(turn, it);

    if (code == 0)
        code = stead_decisions_send(turn, it, &more);
    if (code == 0)
        code = stead_orchestration_answer(turn, it);
    if (code == 0 && it->sweep && it->moving == 0)
        code = sweep(turn, it, &rows);
    if (code == 0 && (more || rows))
        code = stead_orchestration_go_on(turn, it);
    return weigh(turn, it, code);
}
