/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify_replay: the new code runs in children. Shared memory holds the outcomes, and how far the child has come: it is
 * written before each event is handed to the code, so that of a child that was killed the case and the event are known.
 * A child that dies costs one fork; a batch that goes well costs one in all.
 *
 * The children are forks of a process with threads of other libraries, so they call nothing but the engine, the code,
 * and _exit().
 */
#include "cmd/verify_replay.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agents/engine.h"
#include "cmd/print.h"
#include "runtime/base.h"

/* What parent and child share. */
struct shared {
    uint32_t done; /* cases with an outcome */
    struct stead_verify_outcome outcomes[STEAD_VERIFY_CASES_MAX];
};

/* ---- In the child --------------------------------------------------------------------------- */

static void tell(struct stead_verify_outcome *outcome, int code, uint64_t event, const char *sentence)
{
    outcome->code = code;
    outcome->event = event;
    snprintf(outcome->sentence, sizeof(outcome->sentence), "%s", sentence);
}

/* Goes through the events of a case. */
struct cursor {
    struct stead_reader reader; /* at the next row */
    bool in_row;
    struct stead_history_row row; /* when `in_row` */
};

static struct cursor cursor_of(const struct stead_verify_case *it)
{
    return (struct cursor){.reader = stead_reader(it->rows)};
}

/* STEAD_ENOTFOUND behind the last. */
static int next_event(struct cursor *cursor, struct stead_history_event *ret_event)
{
    struct stead_slice value;

    for (;;) {
        int code = cursor->in_row ? stead_history_row_next(&cursor->row, ret_event) : STEAD_ENOTFOUND;
        if (code != STEAD_ENOTFOUND)
            return code;
        if (cursor->reader.at == cursor->reader.end)
            return STEAD_ENOTFOUND;
        if (stead_read_value(&cursor->reader, &value) != 0)
            return STEAD_ECORRUPT;
        code = stead_history_row_begin(value, &cursor->row);
        if (code != 0)
            return code;
        cursor->in_row = true;
    }
}

/* Rewinds are to be known before the replay begins. STEAD_ECORRUPT, STEAD_EVERSION: the history cannot be read. */
static int expect_rewinds(struct stead_engine *engine, const struct stead_verify_case *it)
{
    struct cursor cursor = cursor_of(it);
    struct stead_history_event event;
    int code;

    while ((code = next_event(&cursor, &event)) == 0) {
        if (event.type == STEAD_HISTORY_EXECUTION_REWOUND)
            stead_engine_expect_rewind(engine, event.ref, event.id);
    }
    return code == STEAD_ENOTFOUND ? 0 : code;
}

static void replay_events(struct stead_engine *engine, const struct stead_verify_case *it,
                          struct stead_verify_outcome *outcome)
{
    struct cursor cursor = cursor_of(it);
    struct stead_history_event event;
    int code = 0;

    while (code == 0 && (code = next_event(&cursor, &event)) == 0) {
        outcome->event = event.id; /* in case it does not come back */
        code = stead_engine_replay(engine, &event);
        outcome->events += code == 0;
    }
    if (code == STEAD_ECONFLICT) {
        uint64_t at = 0;
        const char *sentence = stead_engine_difference(engine, &at);
        tell(outcome, code, at, sentence);
    } else if (code != STEAD_ENOTFOUND) {
        tell(outcome, code, outcome->event, stead_error_sentence(code));
    }
}

static void replay_case(const struct stead_verify_case *it, struct stead_fibers *fibers,
                        struct stead_verify_outcome *outcome)
{
    const struct stead_engine_options options = {
        .orchestrator = it->orchestrator, .instance = it->instance, .execution = it->execution, .fibers = fibers};
    struct stead_engine *engine = stead_engine_create(&options);

    int code = expect_rewinds(engine, it);
    if (code != 0)
        tell(outcome, code, outcome->event, stead_error_sentence(code));
    else
        replay_events(engine, it, outcome);
    stead_engine_destroy(&engine);
}

static void replay_cases(const struct stead_verify_case *cases, uint32_t count, uint32_t seconds, struct shared *shared)
{
    const struct rlimit none = {0, 0};
    struct stead_fibers *fibers = stead_fibers_create(2);

    (void)setrlimit(RLIMIT_CORE, &none);
    (void)dup2(STDERR_FILENO, STDOUT_FILENO); /* the code's own prints are no part of the report */
    while (shared->done < count) {
        alarm(seconds);
        replay_case(&cases[shared->done], fibers, &shared->outcomes[shared->done]);
        shared->done++;
    }
    _exit(0);
}

/* ---- In the parent -------------------------------------------------------------------------- */

/* The child died in a case: that is its outcome. */
static void tell_death(int status, uint32_t seconds, struct stead_verify_outcome *outcome)
{
    char sentence[STEAD_VERIFY_SENTENCE_SIZE];

    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        snprintf(sentence, sizeof(sentence), "the code did not come back within %u s", seconds);
    else if (WIFSIGNALED(status))
        snprintf(sentence, sizeof(sentence), "the code crashed: %s", strsignal(WTERMSIG(status)));
    else
        snprintf(sentence, sizeof(sentence), "the code ended its process with exit status %d", WEXITSTATUS(status));
    tell(outcome, STEAD_EINTERNAL, outcome->event, sentence);
}

int stead_verify_replay(const struct stead_verify_case *cases, uint32_t count, uint32_t seconds,
                        struct stead_verify_outcome *ret_outcomes)
{
    int code = 0, status = 0;

    STEAD_ASSERT(count <= STEAD_VERIFY_CASES_MAX);
    struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return STEAD_EIO;
    fflush(stdout);
    fflush(stderr);
    while (code == 0 && shared->done < count) {
        pid_t pid = fork();
        if (pid == 0)
            replay_cases(cases, count, seconds, shared);
        while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
            continue;
        if (pid < 0)
            code = STEAD_EIO;
        else if (shared->done < count)
            tell_death(status, seconds, &shared->outcomes[shared->done++]);
    }
    if (code == 0)
        memcpy(ret_outcomes, shared->outcomes, count * sizeof(*ret_outcomes));
    munmap(shared, sizeof(*shared));
    return code;
}
