/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint: moving what is synced from the overlay into the store image, so that replay after a crash stays short.
 *
 * The log is the redo, the image is write-back. A checkpoint is of one moment: the rows as they were after entry T. It
 * begins right after a batch was closed, waits until T is synced (the image never holds what a crash can take back),
 * then goes out in chunks, a few at a time, while turns go on; the last chunk says that the image holds everything up
 * to T. Replay starts at T + 1.
 *
 *   (none) --log_bytes over the limit--> begun at T --T synced--> chunk, chunk, ... last chunk --written--> forget --> (none)
 *
 * The overlay forgets what was written only when no load is in flight: a load that began before might have read the
 * image as it was, and must find the newer rows still in the overlay when it comes back.
 *
 * Turns that write faster than the image takes it are stopped, when the rows have half of the memory budget (at a
 * quarter of it checkpoints begin, whatever the log's length): stead_host_row_bytes_max().
 */
#include "runtime/shard.h"

#define CHUNK_BYTES (256u << 10) /* a turn's neighbours wait while one is written down */
#define CHUNKS_AT_ONCE 8u        /* of a shard: the store takes as many in one write as were appended beside them */

static bool checkpoint_wanted(const struct stead_shard *shard, bool now)
{
    bool stopping = shard->phase == STEAD_SHARD_STOPPING;

    if (stead_overlay_rows(shard->overlay) == 0 && shard->next_index - 1 == shard->applied)
        return false;
    return now || stopping || shard->log_bytes >= shard->host->settings.checkpoint_bytes;
}

/* A shard has one with the store, and more when all of its host's are a little of the memory budget. */
static bool chunk_fits(const struct stead_shard *shard)
{
    const struct stead_host *host = shard->host;

    return shard->checkpoint_chunks == 0 ||
           (shard->checkpoint_chunks < CHUNKS_AT_ONCE &&
            (uint64_t)host->checkpoint_chunks * CHUNK_BYTES < host->settings.memory_bytes_max / 16);
}

static void next_chunk(struct stead_shard *shard)
{
    struct stead_writer mutations;

    if (shard->checkpoint_index == 0 || shard->checkpoint_last || !chunk_fits(shard) ||
        shard->synced < shard->checkpoint_index)
        return;
    stead_writer_init(&mutations);
    bool more = stead_overlay_checkpoint(shard->overlay, CHUNK_BYTES, &mutations);
    shard->checkpoint_chunks++;
    shard->host->checkpoint_chunks++;
    shard->checkpoint_last = !more;
    STEAD_EFFECT_ADD(&shard->host->effects.rows,
                     (struct stead_effect_rows){shard->id, more ? 0 : shard->checkpoint_index, mutations});
}

static void forget_written(struct stead_shard *shard)
{
    if (!shard->forget_due || shard->loads > 0)
        return;
    stead_overlay_forget(shard->overlay);
    shard->forget_due = false;
}

void stead_shard_checkpoint(struct stead_shard *shard, bool now)
{
    forget_written(shard);
    if (shard->checkpoint_index == 0 && !shard->forget_due && checkpoint_wanted(shard, now)) {
        stead_shard_batch_close(shard, true);
        STEAD_ASSERT(stead_overlay_batch_rows(shard->overlay) == 0);
        shard->checkpoint_index = shard->next_index - 1;
        shard->log_bytes = 0;
        stead_overlay_checkpoint_begin(shard->overlay, shard->checkpoint_index);
    }
    next_chunk(shard);
}

void stead_shard_rows_written(struct stead_shard *shard)
{
    STEAD_ASSERT(shard->checkpoint_chunks > 0);
    shard->checkpoint_chunks--;
    shard->host->checkpoint_chunks--;
    if (!shard->checkpoint_last || shard->checkpoint_chunks > 0) {
        next_chunk(shard);
        return;
    }
    shard->checkpoint_last = false;
    shard->applied = shard->checkpoint_index;
    shard->checkpoint_index = 0;
    shard->host->stats.checkpoints++;
    shard->forget_due = true;
    forget_written(shard);
    STEAD_EFFECT_ADD(&shard->host->effects.trims, (struct stead_effect_trim){shard->id, shard->applied});
}
