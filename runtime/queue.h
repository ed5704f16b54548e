/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue: a first-in first-out list of messages that it owns, linked through message->next. Pure memory, one thread.
 */
#ifndef STEAD_RUNTIME_QUEUE_H
#define STEAD_RUNTIME_QUEUE_H

#include "runtime/base.h"
#include "runtime/message.h"

struct stead_queue {
    struct stead_message *head; /* next to leave; NULL: empty */
    struct stead_message *tail; /* last that came */
    uint32_t count;
    uint64_t bytes; /* of their blocks */
};

static inline void stead_queue_push(struct stead_queue *queue, struct stead_message *message)
{
    message->next = NULL;
    if (queue->tail != NULL)
        queue->tail->next = message;
    else
        queue->head = message;
    queue->tail = message;
    queue->count++;
    queue->bytes += message->block_size;
}

static inline void stead_queue_push_front(struct stead_queue *queue, struct stead_message *message)
{
    message->next = queue->head;
    queue->head = message;
    if (queue->tail == NULL)
        queue->tail = message;
    queue->count++;
    queue->bytes += message->block_size;
}

/* NULL when empty. The message is the caller's. */
static inline struct stead_message *stead_queue_pop(struct stead_queue *queue)
{
    struct stead_message *message = queue->head;
    if (message == NULL)
        return NULL;
    queue->head = message->next;
    if (queue->head == NULL)
        queue->tail = NULL;
    queue->count--;
    queue->bytes -= message->block_size;
    message->next = NULL;
    return message;
}

/* Moves everything of `from` before what `queue` holds. */
static inline void stead_queue_prepend(struct stead_queue *queue, struct stead_queue *from)
{
    if (from->head == NULL)
        return;
    from->tail->next = queue->head;
    if (queue->tail == NULL)
        queue->tail = from->tail;
    queue->head = from->head;
    queue->count += from->count;
    queue->bytes += from->bytes;
    *from = (struct stead_queue){0};
}

static inline void stead_queue_clear(struct stead_queue *queue)
{
    struct stead_message *message;
    while ((message = stead_queue_pop(queue)) != NULL)
        stead_message_destroy(&message);
}

#endif
