/* SPDX-License-Identifier: Apache-2.0 */
/*
 * order: up to which of its numbers each agent of a slot has taken a session's requests.
 *
 * A request that was refused for the time being comes again, behind later ones that were on their way already. So a
 * request names the one before it to the same agent (`after`), and is refused too as long as that has neither been
 * taken nor ended:
 *
 *     1   taken: place 1          2 after 1   taken: place 2
 *     3 after 2   no room: busy   4 after 3   place 2 is before 3: busy      3, 4 come again, in this order
 *
 * What was passed so is closed: a request that comes again although it was refused for good, or that its client has
 * given up, is too late for its place.
 *
 * After a restart every request comes again, so that what was taken need not be stored; what is closed by an effect
 * that is stored is stored with it. A place is left when its number has ended, which whoever asks for it sees from the
 * session.
 *
 * Requests with a fence have a place of their own: they pass those which wait for the end of the hold that it is of; a
 * release has none at all. So have those of each agent, where several share a session.
 *
 * Owned by session.c. One thread.
 */
#ifndef STEAD_RUNTIME_ORDER_H
#define STEAD_RUNTIME_ORDER_H

#include "runtime/message.h"

struct stead_order_place {
    uint64_t who;    /* stead_order_who(); 0: free */
    uint64_t number; /* of the newest request taken */
    uint64_t closed; /* every one up to this had been taken, or had ended, when a later one was taken */
    uint64_t stored; /* the same, where the later one's effect is in the log */
};

/* Zero it. */
struct stead_order {
    struct stead_order_place *places; /* owned; open addressing */
    uint32_t count, capacity;         /* used; in all: 0 or a power of two */
};

/* Whom a request is for: its agent, as its sender, under its fence. */
uint64_t stead_order_who(const struct stead_message *request);
/* What is known of `who`; zeroes: nothing. */
struct stead_order_place stead_order_get(const struct stead_order *order, uint64_t who);
/* `who` takes `number`, which names `after`, or 0. Where room is needed the places go of which is_over(self, number)
 * says that nobody asks for them. */
void stead_order_take(struct stead_order *order, uint64_t who, uint64_t number, uint64_t after,
                      bool (*is_over)(const void *self, uint64_t number), const void *self);
/* Places but for those of which is_over() says that nobody asks for them. Looks at all. */
uint32_t stead_order_live(const struct stead_order *order, bool (*is_over)(const void *self, uint64_t number),
                          const void *self);
/* Lets the others go. Looks at all. */
void stead_order_trim(struct stead_order *order, bool (*is_over)(const void *self, uint64_t number), const void *self);
/* The effect of one that names `after` is in the log, or was found there. */
void stead_order_store(struct stead_order *order, uint64_t who, uint64_t after);
/* `who` has not taken `number` after all. */
void stead_order_turn_back(struct stead_order *order, uint64_t who, uint64_t number);
/* Forgets every place. */
void stead_order_deinit(struct stead_order *order);

#endif
