/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane: the common case is one small frame a turn of the loop: it is encoded in the builder, copied into a ZeroMQ
 * message of its exact size and sent, and the builder's memory is used again. Copying 64 KiB costs less than the
 * allocation it saves; only a record that is larger than a frame gives its memory away instead.
 *
 * Invariants: L1 frames leave in the order in which their records were added. L2 sealed_bytes is the sum over the
 * sealed frames. L3 nothing here waits: every send is made with ZMQ_DONTWAIT.
 */
#include "net/lane.h"

#include <errno.h>
#include <stdlib.h>
#include <zmq.h>

#include "runtime/base.h"

struct stead_lane_frame {
    struct stead_lane_frame *next;
    zmq_msg_t message; /* owned */
    size_t size;       /* bytes in it */
};

static void free_data(void *data, void *hint)
{
    (void)hint;
    free(data);
}

/* Moves the open frame into a ZeroMQ message and empties the builder. */
static void seal(struct stead_frame_builder *open, zmq_msg_t *ret_message)
{
    struct stead_slice bytes = stead_frame_bytes(open);
    if (bytes.size > STEAD_FRAME_BYTES_MAX) {
        int failed = zmq_msg_init_data(ret_message, open->data, bytes.size, free_data, NULL);
        STEAD_ASSERT(!failed);
        *open = (struct stead_frame_builder){.data = NULL};
        return;
    }
    int failed = zmq_msg_init_size(ret_message, bytes.size);
    STEAD_ASSERT(!failed);
    memcpy(zmq_msg_data(ret_message), bytes.data, bytes.size);
    stead_frame_reset(open);
}

/* Puts a message that is not sent yet behind the others. Takes it over. */
static void append(struct stead_lane *lane, zmq_msg_t *message)
{
    struct stead_lane_frame *frame = stead_alloc(sizeof *frame);
    frame->next = NULL;
    frame->size = zmq_msg_size(message);
    zmq_msg_init(&frame->message);
    int failed = zmq_msg_move(&frame->message, message);
    STEAD_ASSERT(!failed);
    zmq_msg_close(message);
    lane->sealed_bytes += frame->size;
    if (lane->first == NULL)
        lane->first = frame;
    else
        lane->last->next = frame;
    lane->last = frame;
}

static void drop_first(struct stead_lane *lane)
{
    struct stead_lane_frame *frame = lane->first;
    lane->first = frame->next;
    lane->sealed_bytes -= frame->size;
    zmq_msg_close(&frame->message);
    free(frame);
}

uint64_t stead_lane_bytes(const struct stead_lane *lane)
{
    return lane->sealed_bytes + lane->open.size;
}

bool stead_lane_add(struct stead_lane *lane, const struct stead_message *message, uint64_t bytes_max)
{
    size_t size = STEAD_FRAME_HEADER_SIZE + sizeof(uint32_t) + stead_codec_size(message);
    if (stead_lane_bytes(lane) > 0 && stead_lane_bytes(lane) + size > bytes_max)
        return false;
    if (!stead_frame_add(&lane->open, message)) {
        zmq_msg_t full;
        seal(&lane->open, &full);
        append(lane, &full);
        bool added = stead_frame_add(&lane->open, message);
        STEAD_ASSERT(added);
    }
    return true;
}

/* Sends one frame; on failure the message stays the caller's. */
static int send_frame(void *socket, struct stead_slice routing_id, zmq_msg_t *message)
{
    int sent = 0;
    if (routing_id.size > 0)
        sent = zmq_send(socket, routing_id.data, routing_id.size, ZMQ_DONTWAIT | ZMQ_SNDMORE);
    if (sent >= 0)
        sent = zmq_msg_send(message, socket, ZMQ_DONTWAIT);
    if (sent >= 0)
        return 0;
    /* ROUTER_MANDATORY: EHOSTUNREACH is a connection that is gone. */
    return errno == EHOSTUNREACH ? STEAD_ENOTFOUND : STEAD_EBUSY;
}

int stead_lane_flush(struct stead_lane *lane, void *socket, struct stead_slice routing_id,
                     struct stead_lane_count *count)
{
    while (lane->first != NULL) {
        size_t size = lane->first->size;
        int code = send_frame(socket, routing_id, &lane->first->message);
        if (code != 0)
            return code;
        count->frames++;
        count->bytes += size;
        drop_first(lane);
    }
    if (lane->open.count == 0)
        return 0;

    zmq_msg_t message;
    size_t size = lane->open.size;
    seal(&lane->open, &message);
    int code = send_frame(socket, routing_id, &message);
    if (code != 0) {
        append(lane, &message);
        return code;
    }
    count->frames++;
    count->bytes += size;
    return 0;
}

void stead_lane_clear(struct stead_lane *lane)
{
    while (lane->first != NULL)
        drop_first(lane);
    stead_frame_deinit(&lane->open);
}
