/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query_slow: a query to the node that takes longer than a turn may: it gets a slice of each round until it is over, so
 * that turns go on between.
 *
 * Owned by the host; one thread.
 */
#ifndef STEAD_RUNTIME_QUERY_SLOW_H
#define STEAD_RUNTIME_QUERY_SLOW_H

#include "runtime/message.h"

#define STEAD_QUERY_MORE 1     /* a step's result: there is more to do */
#define STEAD_QUERY_WORK 1024u /* of a slice: a row looked at counts 1; about 2 ms */
#define STEAD_QUERY_SEEK 6u    /* what it counts to find a place in the store */

/* Bytes of a page: it ends before the element that would be more, and has one at any rate. Of a host with little memory
 * less (stead_host_page_bytes()). */
#define STEAD_QUERY_PAGE_BYTES (4u << 20)
/* A larger value is left out, and its size told. As large as an image may be, and far below what an answer may. */
#define STEAD_QUERY_VALUE_MAX (16u << 20)

struct stead_host;

/* Embedded first in what a query keeps. */
struct stead_query_slow {
    struct stead_query_slow *next;
    struct stead_message *query; /* owned; freed behind `write`, before `destroy` */
    /* One slice. STEAD_QUERY_MORE, 0: it is over, or the code that it fails with. */
    int (*step)(struct stead_query_slow *it);
    void (*write)(struct stead_query_slow *it, struct stead_writer *out); /* the answer's value, once it is over */
    void (*destroy)(struct stead_query_slow *it);
};

/* Puts it behind the others. Consumed: it is answered and destroyed when it is over. */
void stead_query_slow_begin(struct stead_host *host, struct stead_query_slow *it);
/* One slice of the first one. True: some are not over. */
bool stead_queries_run(struct stead_host *host);
/* Answers all with STEAD_EUNAVAILABLE: the host stops. */
void stead_queries_refuse(struct stead_host *host);
/* Frees them unanswered. */
void stead_queries_deinit(struct stead_host *host);

#endif
