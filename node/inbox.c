/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inbox: a stack that is taken whole and turned round.
 *
 * Producers push onto a linked stack with one compare-and-swap; the consumer takes all of it with one exchange and
 * reverses it. There is no pop of single elements, so there is no ABA question, and nobody ever waits: the order of
 * each producer is kept, which is all that is promised (the completions of a shard come from one thread, the log
 * writer).
 *
 * An event is a small heap block: completions are per sync and per load, not per message, so an allocation here is
 * not on the path of a turn.
 */
#include "node/inbox.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/base.h"

int stead_bell_init(struct stead_bell *bell)
{
    atomic_init(&bell->sleeping, 0);
    bell->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return bell->fd < 0 ? STEAD_EIO : 0;
}

void stead_bell_deinit(struct stead_bell *bell)
{
    if (bell->fd >= 0)
        close(bell->fd);
    bell->fd = -1;
}

void stead_bell_ring(struct stead_bell *bell)
{
    uint64_t one = 1;

    if (atomic_exchange_explicit(&bell->sleeping, 0, memory_order_acq_rel) == 0)
        return;
    /* It can only fail when 2^64 - 1 rings were not answered: then it is readable anyway. */
    ssize_t written = write(bell->fd, &one, sizeof one);
    (void)written;
}

void stead_bell_arm(struct stead_bell *bell)
{
    atomic_exchange_explicit(&bell->sleeping, 1, memory_order_acq_rel);
}

void stead_bell_wake(struct stead_bell *bell, bool readable)
{
    uint64_t rings;

    /* An exchange too: it takes in what a producer pushed that found the flag already 0. */
    atomic_exchange_explicit(&bell->sleeping, 0, memory_order_acq_rel);
    if (readable) {
        ssize_t got = read(bell->fd, &rings, sizeof rings);
        (void)got;
    }
}

int stead_inbox_init(struct stead_inbox *inbox)
{
    atomic_init(&inbox->newest, NULL);
    return stead_bell_init(&inbox->bell);
}

void stead_inbox_deinit(struct stead_inbox *inbox)
{
    struct stead_event *event = stead_inbox_take(inbox);

    while (event) {
        struct stead_event *next = event->next;
        free(event);
        event = next;
    }
    stead_bell_deinit(&inbox->bell);
}

void stead_inbox_post(struct stead_inbox *inbox, const struct stead_event *event)
{
    struct stead_event *copy = stead_alloc(sizeof *copy);

    *copy = *event;
    copy->next = atomic_load_explicit(&inbox->newest, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&inbox->newest, &copy->next, copy, memory_order_release,
                                                  memory_order_relaxed)) {
    }
    stead_bell_ring(&inbox->bell);
}

struct stead_event *stead_inbox_take(struct stead_inbox *inbox)
{
    struct stead_event *oldest = NULL;

    if (stead_inbox_empty(inbox))
        return NULL;
    struct stead_event *event = atomic_exchange_explicit(&inbox->newest, NULL, memory_order_acquire);
    while (event) {
        struct stead_event *next = event->next;
        event->next = oldest;
        oldest = event;
        event = next;
    }
    return oldest;
}

bool stead_inbox_empty(struct stead_inbox *inbox)
{
    return atomic_load_explicit(&inbox->newest, memory_order_relaxed) == NULL;
}
