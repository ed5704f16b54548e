/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame: coalescing. A ZeroMQ message costs about 200 ns whatever is in it, and with CURVE ten times that, so what goes
 * the same way in one turn of the loop shares one. 64 records or 64 KiB: beyond that a frame gains nothing and only
 * makes the first record wait for the last.
 *
 * Records are encoded straight into the frame, so a queue of frames is bytes that can be counted, and a message is
 * freed on the turn that sent it.
 *
 * Invariants: F1 a builder holds either nothing or a whole frame that stead_frame_open() accepts. F2 a frame of more
 * than one record is at most STEAD_FRAME_BYTES_MAX long. F3 after stead_frame_open() the lengths cover the frame
 * exactly.
 */
#include "net/frame.h"

#include <stdlib.h>

#include "runtime/base.h"

#define FIRST_CAPACITY 512u /* bytes: most frames hold one small record */

static void reserve(struct stead_frame_builder *frame, size_t size)
{
    if (size <= frame->capacity)
        return;
    size_t capacity = frame->capacity > 0 ? frame->capacity * 2 : FIRST_CAPACITY;
    if (capacity < size)
        capacity = size;
    frame->data = stead_realloc(frame->data, capacity);
    frame->capacity = capacity;
}

bool stead_frame_add(struct stead_frame_builder *frame, const struct stead_message *message)
{
    size_t record = stead_codec_size(message);
    size_t start = frame->size > 0 ? frame->size : STEAD_FRAME_HEADER_SIZE;
    size_t size = start + sizeof(uint32_t) + record;
    if (frame->count > 0 && (frame->count == STEAD_FRAME_RECORDS_MAX || size > STEAD_FRAME_BYTES_MAX))
        return false;

    reserve(frame, size);
    stead_store32(frame->data + start, (uint32_t)record);
    size_t written = stead_codec_encode(message, frame->data + start + sizeof(uint32_t));
    STEAD_ASSERT(written == record);
    frame->size = size;
    frame->count++;
    frame->data[0] = STEAD_FRAME_VERSION;
    frame->data[1] = 0;
    stead_store16(frame->data + 2, (uint16_t)frame->count);
    return true;
}

struct stead_slice stead_frame_bytes(const struct stead_frame_builder *frame)
{
    return (struct stead_slice){frame->data, frame->size};
}

void stead_frame_reset(struct stead_frame_builder *frame)
{
    if (frame->capacity > 2 * STEAD_FRAME_BYTES_MAX) {
        stead_frame_deinit(frame);
        return;
    }
    frame->size = 0;
    frame->count = 0;
}

void stead_frame_deinit(struct stead_frame_builder *frame)
{
    free(frame->data);
    *frame = (struct stead_frame_builder){.data = NULL};
}

int stead_frame_open(struct stead_slice bytes, struct stead_frame *ret_frame)
{
    if (bytes.size < STEAD_FRAME_HEADER_SIZE)
        return STEAD_EPROTOCOL;
    if (bytes.data[0] != STEAD_FRAME_VERSION || bytes.data[1] != 0)
        return STEAD_EVERSION;
    uint32_t count = stead_load16(bytes.data + 2);
    if (count > STEAD_FRAME_RECORDS_MAX || (count > 1 && bytes.size > STEAD_FRAME_BYTES_MAX))
        return STEAD_EPROTOCOL;

    const uint8_t *first = bytes.data + STEAD_FRAME_HEADER_SIZE, *end = bytes.data + bytes.size;
    const uint8_t *at = first;
    for (uint32_t i = 0; i < count; i++) {
        if (end - at < (ptrdiff_t)sizeof(uint32_t))
            return STEAD_EPROTOCOL;
        uint32_t size = stead_load32(at);
        at += sizeof(uint32_t);
        if (size > (size_t)(end - at))
            return STEAD_EPROTOCOL;
        at += size;
    }
    if (at != end)
        return STEAD_EPROTOCOL;
    *ret_frame = (struct stead_frame){.at = first, .end = end, .count = count};
    return 0;
}

bool stead_frame_next(struct stead_frame *frame, struct stead_slice *ret_record)
{
    if (frame->count == 0)
        return false;
    size_t size = stead_load32(frame->at);
    *ret_record = (struct stead_slice){frame->at + sizeof(uint32_t), size};
    frame->at += sizeof(uint32_t) + size;
    frame->count--;
    return true;
}
