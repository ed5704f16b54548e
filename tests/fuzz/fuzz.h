/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz: what the targets share. A target is given bytes that nobody vouches for, calls a decoder on an exact heap copy
 * of them (so that the sanitizer sees a read of even one byte too many), and checks more than "it came back": what was
 * taken must encode again, and that must be taken and encode to the same bytes.
 */
#ifndef STEAD_FUZZ_H
#define STEAD_FUZZ_H

#include <stdlib.h>

#include "net/codec.h"
#include "runtime/base.h"
#include "stead/value.h"

/* The entry point that libFuzzer calls. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Bytes in memory of exactly their size. Returned: fuzz_free(). */
static inline struct stead_slice fuzz_copy(const void *data, size_t size)
{
    uint8_t *copy = stead_alloc(size);
    if (size > 0)
        memcpy(copy, data, size);
    return stead_bytes(copy, size);
}

/* Frees a copy. */
static inline void fuzz_free(struct stead_slice copy)
{
    free((void *)(uintptr_t)copy.data);
}

/* The record of a message. Returned: fuzz_free(). */
static inline struct stead_slice fuzz_encode(const struct stead_message *message)
{
    size_t size = stead_codec_size(message);
    uint8_t *bytes = stead_alloc(size);
    STEAD_ASSERT(stead_codec_encode(message, bytes) == size);
    return stead_bytes(bytes, size);
}

/* Decodes a record; what is taken must survive a round trip, what is refused may still be answered. */
static inline void fuzz_record(struct stead_slice record)
{
    static const struct stead_codec_limits limits = {.payload_bytes_max = 1 << 20};
    struct stead_message *message = NULL, *again = NULL;
    struct stead_codec_refusal refusal;
    int code = stead_codec_decode(record, &limits, &message, &refusal);

    if (code != 0) {
        STEAD_ASSERT(message == NULL);
        message = stead_codec_refusal_answer(&refusal, code);
        if (message != NULL)
            fuzz_free(fuzz_encode(message));
        stead_message_destroy(&message);
        return;
    }
    if (stead_codec_client_check(message) == 0)
        STEAD_ASSERT(message->source_size == 0);
    struct stead_slice first = fuzz_encode(message);
    STEAD_ASSERT(stead_codec_decode(first, &limits, &again, NULL) == 0);
    struct stead_slice second = fuzz_encode(again);
    STEAD_ASSERT(stead_slice_equal(first, second));
    fuzz_free(first);
    fuzz_free(second);
    stead_message_destroy(&message);
    stead_message_destroy(&again);
}

#endif
