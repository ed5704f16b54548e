/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_keep: an episode of an instance on a task hub whose code cannot run. An engine without the code follows the
 * history and says what is open.
 *
 * Code that does not match its history: what came is stored behind the history, in an episode that stays open, as on
 * the direct fabric. Nothing is lost with it, and nothing is asked for twice: a rewind with mended code runs that
 * episode. Meanwhile the instance can be terminated, which ends all that it has open; so is it for one whose code is
 * not loaded, and one of which an episode is too large.
 *
 * Code that is not loaded: what comes is kept in the same way, and the instance is Pending, or Suspended if it was, or
 * is now. A message to itself (`wake`) comes again and again and looks for the code; the number of the last event that
 * was kept says which one is the newest, others are dropped. It is sent after the write, and again by whoever finds
 * that its instance is Pending and has nothing to write: so it is there, whoever has died (Q8).
 *
 * Code that ends the process: a turn that runs code is marked with its instance and with the message of it that was
 * taken most often (Q4); the node counts the marks that it dies under, and when three deaths bear this one the code is
 * not run, but kept from what came as code that does not match is. Its messages come back after each death, with those
 * of others that were taken with them: the mark says whose they are, wherever they lie in a batch, and costs nothing.
 * What joins it in other tries is taken less often, so the one message that kills is the mark sooner or later. A
 * partition that moves to another node takes no count along: there the code has three tries of its own.
 */
#include <string.h>

#include "agents/fault.h"
#include "agents/hub_episode.h"

#define TOO_LARGE_SENTENCE "what the code decided between two awaits is larger than a turn may store"

static void copy_field(const struct stead_hub_session *session, const char *field, char *to, size_t size)
{
    if (stead_get_text(stead_written(&session->row), field, to, size) != 0)
        to[0] = '\0';
}

/* The engine without the code, behind the stored history and what came now. */
static int keep_inputs(struct stead_hub_episode *episode)
{
    struct stead_hub_session *session = episode->session;
    const struct stead_engine_options options = {
        .instance = session->id, .execution = session->execution, .fibers = stead_turn_fibers(episode->turn)};
    struct stead_history_event started = {.type = STEAD_HISTORY_ORCHESTRATOR_STARTED, .time_ms = session->now_ms};

    stead_engine_destroy(&session->engine);
    session->engine = stead_engine_create(&options);
    int code = episode->clear ? 0 : stead_hub_replay(session, session->engine, 0);
    if (code != 0)
        return code;
    episode->keeping = true;
    stead_hub_note_taken(episode);
    if (stead_engine_is_open(session->engine)) {
        episode->time_ms = session->last_ms;
    } else {
        started.id = stead_engine_last(session->engine) + 1;
        code = stead_engine_replay(session->engine, &started);
        stead_hub_store_event(episode, &started);
    }
    if (code == 0 && !STEAD_AGENT_FAULT(inputs_not_kept))
        stead_hub_give_all(episode);
    return code;
}

/* No episode is opened for nothing. */
static void open_none(struct stead_hub_episode *episode)
{
    stead_writer_reset(&episode->events);
    episode->event_count = 0;
    episode->last = 0;
}

/* As it is after what steers it in this batch. */
static bool is_suspended(const struct stead_hub_session *session)
{
    bool suspended = stead_hub_status_of(session) == STEAD_INSTANCE_SUSPENDED;

    for (const struct stead_hub_message *it = session->messages; it != NULL; it = it->next) {
        int64_t kind = stead_hub_number(it->body, "k");
        if (it->dropped || !stead_slice_equal(stead_hub_text(it->body, "t"), stead_str("steer")))
            continue;
        if (kind == STEAD_HISTORY_EXECUTION_SUSPENDED || kind == STEAD_HISTORY_EXECUTION_RESUMED)
            suspended = kind == STEAD_HISTORY_EXECUTION_SUSPENDED;
    }
    return suspended;
}

enum stead_hub_verdict stead_hub_keep_unknown(struct stead_hub_episode *episode, struct stead_writer *args)
{
    struct stead_hub_session *session = episode->session;
    const struct stead_hub_message *wake = stead_hub_find_wake(session);
    bool suspended = is_suspended(session);
    int code = keep_inputs(episode);

    stead_engine_destroy(&session->engine);
    if (code != 0)
        return STEAD_HUB_ABANDON;
    if (episode->inputs == 0 && !episode->resumed) {
        if (wake != NULL || stead_hub_pends(session) > 0)
            stead_hub_send_wake(session, wake);
        return STEAD_HUB_SEND;
    }
    if (episode->inputs == 0)
        open_none(episode);
    stead_hub_write_episode(episode, suspended ? STEAD_INSTANCE_SUSPENDED : STEAD_INSTANCE_PENDING, args);
    if (!suspended) /* where no event is added, the id of a wake that is in this batch is taken */
        stead_hub_send_wake(session, episode->inputs == 0 ? wake : NULL);
    return STEAD_HUB_WRITE;
}

enum stead_hub_verdict stead_hub_keep(struct stead_hub_episode *episode, struct stead_writer *args)
{
    struct stead_hub_session *session = episode->session;
    bool failed_now = episode->error_name[0] != '\0';

    if (!episode->fresh)
        session->version = (uint32_t)stead_hub_number(stead_written(&session->row), "version");
    int code = keep_inputs(episode);
    stead_engine_destroy(&session->engine);
    if (code != 0)
        return STEAD_HUB_ABANDON;
    if (episode->inputs == 0 && !failed_now)
        return STEAD_HUB_SEND;
    if (episode->inputs == 0)
        open_none(episode);
    if (!failed_now) {
        copy_field(session, "error_name", episode->error_name, sizeof(episode->error_name));
        copy_field(session, "error_sentence", episode->error_sentence, sizeof(episode->error_sentence));
    }
    episode->differs = true;
    stead_hub_write_episode(episode, STEAD_INSTANCE_FAILED, args);
    return STEAD_HUB_WRITE;
}

enum stead_hub_verdict stead_hub_give_back(struct stead_hub_episode *episode)
{
    struct stead_hub_session *session = episode->session;

    stead_engine_destroy(&session->engine);
    for (const struct stead_hub_message *it = session->messages; it != NULL; it = it->next)
        if (!it->dropped)
            stead_hub_give(episode, it);
    return STEAD_HUB_SEND;
}

enum stead_hub_verdict stead_hub_stay_failed(struct stead_hub_episode *episode, struct stead_writer *args)
{
    (void)stead_hub_give_back(episode);
    stead_hub_note_taken(episode);
    stead_hub_write_episode(episode, STEAD_INSTANCE_FAILED, args);
    return STEAD_HUB_WRITE;
}

/* The output of one that has completed, to the request that asks now. */
static void tell_output(struct stead_hub_episode *episode)
{
    struct stead_hub_session *session = episode->session;
    struct stead_hub_walk walk = {.at = 0};
    struct stead_history_row row;
    struct stead_history_event event;

    while (stead_hub_next_row(session, &walk)) {
        if (walk.events.size == 0 || stead_history_row_begin(walk.events, &row) != 0)
            continue;
        while (stead_history_row_next(&row, &event) == 0)
            if (event.type == STEAD_HISTORY_EXECUTION_COMPLETED)
                stead_hub_send_end(session, &event);
    }
}

enum stead_hub_verdict stead_hub_tell_again(struct stead_hub_episode *episode, struct stead_writer *args)
{
    struct stead_hub_session *session = episode->session;
    struct stead_slice row = stead_written(&session->row), name = stead_hub_text(row, "name");

    session->version = (uint32_t)stead_hub_number(row, "version");
    episode->orchestrator = stead_orchestrator_find(
        episode->turn, stead_printed(episode->turn, "%.*s", (int)name.size, (const char *)name.data), session->version);
    (void)stead_hub_give_back(episode);
    tell_output(episode);
    stead_hub_write_episode(episode, STEAD_INSTANCE_COMPLETED, args);
    return STEAD_HUB_WRITE;
}

/* Q4. */
uint32_t stead_hub_accuse(struct stead_hub_episode *episode)
{
    struct stead_hub_session *session = episode->session;
    const struct stead_hub_message *most = NULL;

    for (const struct stead_hub_message *it = session->messages; it != NULL; it = it->next)
        if (!it->dropped &&
            (most == NULL || it->count > most->count || (it->count == most->count && it->seq < most->seq)))
            most = it;
    if (most == NULL)
        return 0;
    struct stead_slice subject = stead_str(stead_printed(episode->turn, "%s: message %llu of %s, %.*s", session->id,
                                                         (unsigned long long)most->seq, most->queue, (int)most->id.size,
                                                         (const char *)most->id.data));
    uint32_t kills = most->count > 1 ? stead_blamed(episode->turn, subject) : 0;
    if (kills > 0)
        return kills;
    stead_blame(episode->turn, subject);
    episode->accused = true;
    return 0;
}

enum stead_hub_verdict stead_hub_condemn(struct stead_hub_episode *episode, uint32_t kills, struct stead_writer *args)
{
    struct stead_hub_session *session = episode->session;
    struct stead_slice row = stead_written(&session->row), name = stead_hub_text(row, "name");
    bool over = !episode->fresh && stead_hub_status_of(session) == STEAD_INSTANCE_FAILED && !stead_hub_differs(session);
    uint64_t last = episode->clear ? 0 : (uint64_t)stead_hub_number(row, "events");

    if (!episode->fresh)
        session->version = (uint32_t)stead_hub_number(row, "version");
    const struct stead_history_event end = {
        .type = STEAD_HISTORY_EXECUTION_FAILED,
        .code = STEAD_EPOISON,
        .error_name = stead_str(stead_error_name(STEAD_EPOISON)),
        .error_sentence = stead_str(stead_printed(episode->turn,
                                                  "its code ended the process %u times after event %llu, with the same "
                                                  "input: mend the code (%.*s, version %u) and rewind",
                                                  kills, (unsigned long long)last, (int)name.size,
                                                  (const char *)name.data, session->version))};
    stead_hub_note_failure(episode, &end);
    return over ? stead_hub_stay_failed(episode, args) : stead_hub_keep(episode, args);
}

enum stead_hub_verdict stead_hub_end_bare(struct stead_hub_episode *episode, enum stead_instance_status status,
                                          struct stead_writer *args)
{
    struct stead_hub_session *session = episode->session;
    const struct stead_hub_message *asks = stead_hub_find_steer(session, STEAD_HISTORY_EXECUTION_TERMINATED);
    const struct stead_history_event end = {.type = STEAD_HISTORY_EXECUTION_TERMINATED,
                                            .error_sentence =
                                                asks == NULL ? stead_str("") : stead_hub_text(asks->body, "es")};

    if (!episode->fresh)
        session->version = (uint32_t)stead_hub_number(stead_written(&session->row), "version");
    int code = keep_inputs(episode);
    episode->keeping = false;
    if (code == 0 && status == STEAD_INSTANCE_FAILED)
        stead_engine_condemn(session->engine, STEAD_ELIMIT, TOO_LARGE_SENTENCE);
    else if (code == 0)
        (void)stead_engine_input(session->engine, &end);
    episode->sized = true;
    if (code == 0)
        code = stead_engine_run(session->engine, stead_hub_take_event, episode);
    stead_engine_destroy(&session->engine);
    if (code != 0)
        return STEAD_HUB_ABANDON;
    episode->final = true;
    stead_hub_write_episode(episode, status, args);
    return STEAD_HUB_WRITE;
}
