/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_inside: what the files of the client (client.c, client_loop.c, client_query.c) share, and nobody else sees.
 *
 *     client.c        the public functions, completions and their answers
 *     client_loop.c   links, bootstrap, one turn: send, receive, retry, wait
 *     client_query.c  queries to one node or all
 *
 * Threads: a client belongs to one thread at a time; no function but stead_client_turn() blocks.
 */
#ifndef STEAD_NET_CLIENT_INSIDE_H
#define STEAD_NET_CLIENT_INSIDE_H

#include <poll.h>

#include "net/client_link.h"
#include "runtime/client_core.h"

#define STEAD_CLIENT_ENDPOINTS_MAX 64u /* in the options */
#define STEAD_CLIENT_SENTENCE_MAX 511u /* bytes; longer ones are cut */

/* Texts of a failed answer, ended by zeroes. */
struct stead_client_texts {
    char name[64];
    char sentence[STEAD_CLIENT_SENTENCE_MAX + 1];
    char agent[STEAD_ADDRESS_MAX + 1];
    char op[STEAD_OP_NAME_MAX + 1];
};

/* Who waits for a completion: `ended` runs once. */
struct stead_client_waiter {
    void (*ended)(struct stead_client *client, struct stead_client_waiter *waiter, int code,
                  struct stead_message **answer);
    struct stead_client_waiter *next; /* in the list of free ones */
    stead_completion_fn *completion;  /* asynchronous requests: the user's, with the next */
    void *context;
    struct stead_message *answer; /* synchronous requests: taken from the core, owned, or NULL */
    int code;                     /* of the same */
    bool done;                    /* of the same */
};

/* Looking for any node that answers. */
struct stead_client_search {
    bool on;                 /* one is under way */
    uint32_t tried;          /* candidates tried in this search */
    struct stead_link *link; /* the one being tried; NULL: take the next */
    uint64_t next_ns;        /* no new search before */
    uint32_t failures;       /* searches in a row that found nobody */
    bool silent;             /* somebody was neither there nor refused: who waits may wait on */
};

struct stead_client {
    void *extra;                                 /* what a library over the client keeps with it */
    void (*destroy_extra)(void *extra);          /* NULL: nothing to free */
    void *context;                               /* ZeroMQ's */
    struct stead_client_core *core;              /* requests, sessions, routes */
    char *endpoints[STEAD_CLIENT_ENDPOINTS_MAX]; /* owned: where to begin */
    uint32_t endpoint_count;                     /* at least 1 */
    uint32_t timeout_ms;                         /* default deadline of a request */
    int queue_max;                               /* frames that may wait in a link */
    struct stead_link *links;                    /* owned */
    uint32_t link_count;                         /* of them */
    struct stead_client_search search;           /* for a first connection */
    uint64_t watched_ns;                         /* when the monitors were looked at last */
    uint64_t news;        /* counts what a waiting function may have waited for: completions, WELCOMEs, searches lost */
    uint64_t lost;        /* searches that found nobody */
    uint32_t completed;   /* completions run, ever; wraps */
    bool completing;      /* a completion is running: only submissions are allowed */
    bool refresh_wanted;  /* a table is wanted and nobody was there to be asked */
    struct pollfd *polls; /* two for each link that is not closed */
    uint32_t polls_capacity;                  /* of them allocated */
    struct stead_client_waiter *free_waiters; /* of asynchronous requests */
    struct stead_client_texts texts;          /* of the last synchronous answer */
    struct stead_message *answer;             /* whose value the last synchronous answer points to; owned */
    struct stead_writer merged;               /* or this */
};

/* Monotonic time. */
uint64_t stead_client_now_ns(void);
/* Tells the core what time it is. */
void stead_client_set_now(struct stead_client *client);
/* The effects of the core, over this client's links. */
struct stead_client_effects stead_client_loop_effects(struct stead_client *client);
/* One turn: sends what is queued, takes what has arrived, runs what is due; when there was no news, waits for some
 * until `until_ns` (monotonic; 0: does not wait). */
void stead_client_turn(struct stead_client *client, uint64_t until_ns);
/* Begins to look for a node, if none is connected and no search is under way. */
void stead_client_want_node(struct stead_client *client);
/* Is any link up? */
bool stead_client_is_connected(const struct stead_client *client);
/* Sends what is queued. */
void stead_client_flush(struct stead_client *client);
/* Frees the links. */
void stead_client_loop_deinit(struct stead_client *client);

/* Begins a synchronous function: forgets the last answer and takes in what happened since. STEAD_ESTATE inside a
 * completion. */
int stead_client_begin(struct stead_client *client) STEAD_MUST_USE;
/* A synchronous request: submits and turns until it has ended. The code; the waiter has the answer. */
int stead_client_ask(struct stead_client *client, struct stead_client_request *request,
                     struct stead_client_waiter *ret_waiter) STEAD_MUST_USE;
/* A waiter for a synchronous request. */
void stead_client_waiter_init(struct stead_client_waiter *waiter);
/* Makes `code` and `answer` (borrowed, may be NULL) what the user sees; `texts` holds the texts. */
void stead_client_fill_answer(int code, const struct stead_message *answer, struct stead_client_texts *texts,
                              struct stead_answer *ret_answer);

#endif
