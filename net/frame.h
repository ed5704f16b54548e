/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame: several records in one ZeroMQ message: what a reactor has for one peer in one turn of its loop leaves
 * together.
 *
 *     u8 version | u8 flags (0) | u16 count | count x (u32 length, record)
 *
 * A frame holds at most STEAD_FRAME_RECORDS_MAX records and STEAD_FRAME_BYTES_MAX bytes; a larger record goes alone. A
 * frame of 0 records is a keep-alive and means nothing.
 *
 *     builder:  stead_frame_add()... until it says no -> send stead_frame_bytes() -> stead_frame_reset() -> add again
 *     iterator: stead_frame_open() checks everything -> stead_frame_next() cannot fail any more
 *
 * Pure; one builder or iterator, one thread.
 */
#ifndef STEAD_NET_FRAME_H
#define STEAD_NET_FRAME_H

#include "net/codec.h"

#define STEAD_FRAME_VERSION 1u
#define STEAD_FRAME_HEADER_SIZE 4u          /* bytes */
#define STEAD_FRAME_RECORDS_MAX 64u         /* records in one frame */
#define STEAD_FRAME_BYTES_MAX (64u * 1024u) /* bytes of a frame of more than one record */
/* The largest frame a peer may send: one record of the largest payload, with room for its header and texts. */
#define STEAD_FRAME_SIZE_MAX (STEAD_WIRE_PAYLOAD_MAX + 16384u)

/* A frame being filled. Zeroed memory is an empty builder. */
struct stead_frame_builder {
    uint8_t *data;   /* owned; NULL until the first record */
    size_t size;     /* bytes used, header included; 0: empty */
    size_t capacity; /* bytes at data */
    uint32_t count;  /* records inside */
};

/* Encodes `message` behind the others. False, and nothing changed, when the frame is full: send it first. An empty
 * builder takes any record. `message` is borrowed. */
bool stead_frame_add(struct stead_frame_builder *frame, const struct stead_message *message);

/* The whole frame, borrowed until the builder changes; size 0 when it is empty. */
struct stead_slice stead_frame_bytes(const struct stead_frame_builder *frame);

/* Empties it; keeps its memory unless one large record made it grow past STEAD_FRAME_BYTES_MAX. */
void stead_frame_reset(struct stead_frame_builder *frame);

/* Frees its memory. */
void stead_frame_deinit(struct stead_frame_builder *frame);

/* The records of a frame that was received. */
struct stead_frame {
    const uint8_t *at;  /* next record's length; borrowed from the frame */
    const uint8_t *end; /* one past the last byte */
    uint32_t count;     /* records not yet taken */
};

/* 0; STEAD_EVERSION: another version, or flags that are not known here; STEAD_EPROTOCOL: count and lengths do not add
 * up to exactly `bytes`, which stay borrowed. */
int stead_frame_open(struct stead_slice bytes, struct stead_frame *ret_frame) STEAD_MUST_USE;

/* Takes the next record, borrowed from the frame; false at the end. */
bool stead_frame_next(struct stead_frame *frame, struct stead_slice *ret_record);

#endif
