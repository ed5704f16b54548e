/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_frame: a frame from a socket: opened whole, then each record in it decoded. */
#include "fuzz/fuzz.h"
#include "net/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stead_slice bytes = fuzz_copy(data, size), record;
    struct stead_frame frame;
    uint32_t records = 0;

    if (stead_frame_open(bytes, &frame) == 0) {
        while (stead_frame_next(&frame, &record)) {
            STEAD_ASSERT(record.data >= bytes.data && record.data + record.size <= bytes.data + bytes.size);
            STEAD_ASSERT(++records <= STEAD_FRAME_RECORDS_MAX);
            struct stead_slice alone = fuzz_copy(record.data, record.size);
            fuzz_record(alone);
            fuzz_free(alone);
        }
    }
    fuzz_free(bytes);
    return 0;
}
