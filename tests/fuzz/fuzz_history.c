/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_history: the rows of a history, one behind the other, read event by event and replayed against code. What is
 * read encodes, and comes back the same; a replay ends with a difference, with damage, or in step, and an engine that
 * is in step can go on with an episode of its own.
 */
#include "fuzz/flow.h"
#include "fuzz/fuzz.h"

static void encode_again(const struct stead_history_event *event)
{
    struct stead_history_event back;
    struct stead_writer first, second;

    stead_writer_init(&first);
    stead_writer_init(&second);
    stead_history_write(&first, event);
    struct stead_reader reader = stead_reader(stead_written(&first));
    STEAD_ASSERT(stead_history_read(&reader, &back) == 0);
    stead_history_write(&second, &back);
    STEAD_ASSERT(stead_slice_equal(stead_written(&first), stead_written(&second)));
    stead_writer_reset(&first);
    stead_history_write_map(&first, event);
    STEAD_ASSERT(stead_value_check(stead_written(&first)) == 0);
    stead_writer_deinit(&first);
    stead_writer_deinit(&second);
}

/* True: all of it was in step. */
static bool replay_row(struct stead_engine *engine, struct stead_slice bytes)
{
    struct stead_history_event event;
    struct stead_history_row row;

    if (stead_value_check(bytes) != 0 || stead_history_row_begin(bytes, &row) != 0)
        return false;
    while (stead_history_row_next(&row, &event) == 0) {
        encode_again(&event);
        if (stead_engine_replay(engine, &event) != 0)
            return false;
    }
    return true;
}

static void ignore(void *context, const struct stead_history_event *event)
{
    (void)context, (void)event;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stead_slice bytes = fuzz_copy(data, size), row;
    struct stead_reader reader = stead_reader(bytes);
    struct stead_fibers *fibers = stead_fibers_create(2);
    struct stead_engine *engine = fuzz_engine(fibers);
    bool in_step = true;

    while (in_step && stead_read_value(&reader, &row) == 0)
        in_step = replay_row(engine, row);
    if (in_step && stead_engine_last(engine) > 0 && stead_engine_status(engine) == STEAD_INSTANCE_RUNNING &&
        !stead_engine_is_lost(engine)) {
        if (!stead_engine_is_open(engine))
            stead_engine_begin(engine, 0);
        int code = stead_engine_run(engine, ignore, NULL);
        STEAD_ASSERT(code == 0 || code == STEAD_ECORRUPT); /* cut among decisions */
        if (code == 0) {
            stead_engine_open(engine, ignore, NULL);
            stead_engine_untaken(engine, ignore, NULL);
        }
    }
    stead_engine_destroy(&engine);
    stead_fibers_destroy(&fibers);
    fuzz_free(bytes);
    return 0;
}
