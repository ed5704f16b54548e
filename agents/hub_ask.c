/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_ask: how a worker asks for operations of the store.
 *
 * What is long, or behind CALLS_MAX operations or WINDOW_BYTES that were not answered yet, waits in a list, and with it
 * all that is asked for behind it: the order stays, no turn goes over its limits, however much it decides, and a part
 * of the store has no more than that of a worker in its mailbox. What is longer than a payload goes as a parcel
 * (hub_large.h): in pieces, each of which is answered, then the operation. If one of them was refused, so is the
 * operation; but for want of room they are sent again, one by one.
 */
#include <stdlib.h>
#include <string.h>

#include "agents/hub_large.h"
#include "agents/hub_worker.h"

#define CALL_MS 30000           /* for an answer of the store */
#define LONG_BYTES (64u << 10)  /* it waits in the list */
#define CALLS_MAX 4096u         /* that were not answered yet: a turn makes fewer, and may have 10,000 effects */
#define WINDOW_BYTES (2u << 20) /* in them: a turn may have 32 MiB */

struct stead_hub_ask {
    struct stead_hub_ask *next;
    char address[STEAD_HUB_PART_SIZE];
    const char *op, *reply_op; /* static */
    const void *object;
    struct stead_hub_key parcel; /* its name */
    uint64_t pieces;             /* sent */
    uint64_t answered;           /* of them */
    size_t at;                   /* behind the last piece */
    bool refused;                /* one of them: there was no room for it */
    bool one_by_one;             /* they are sent again, each behind the answer to the one before */
    size_t size;                 /* of the args behind it */
};

/* ---- Calls --------------------------------------------------------------------------------------- */

/* Its answer takes off what it counts: stead_hub_asked(). */
static void call(struct stead_turn *turn, struct stead_hub_worker_state *worker, const char *address, const char *op,
                 struct stead_slice args, const char *reply_op, const void *object)
{
    const struct stead_call_options options = {
        .reply_op = reply_op,
        .context = stead_packed(turn, "[u,u]", (uint64_t)(uintptr_t)object, (uint64_t)args.size),
        .timeout_ms = CALL_MS};

    if (stead_call(turn, address, op, args, &options) != 0) {
        stead_log(turn, "%s of %s could not be asked for", op, address);
        return;
    }
    worker->asked++;
    worker->asked_bytes += args.size;
}

static bool has_room(const struct stead_hub_worker_state *worker)
{
    return worker->asked < CALLS_MAX && worker->asked_bytes < WINDOW_BYTES;
}

void *stead_hub_object(const struct stead_turn *turn)
{
    struct stead_reader reader = stead_reader(stead_call_context(turn));
    uint32_t two = 0;
    uint64_t it = 0;

    if (stead_get_u64(stead_call_context(turn), NULL, &it) != 0 &&
        (stead_read_array(&reader, &two) != 0 || stead_read_u64(&reader, &it) != 0))
        it = 0;
    return (void *)(uintptr_t)it; /* it was made of this pointer, and its object waits for the answer */
}

/* ---- The list -------------------------------------------------------------------------------------- */

/* One piece more of the first in the list. */
static void send_piece(struct stead_turn *turn, struct stead_hub_worker_state *worker, struct stead_hub_ask *ask)
{
    const uint8_t *args = (const uint8_t *)(ask + 1);
    size_t size = ask->size - ask->at < STEAD_HUB_PIECE ? ask->size - ask->at : STEAD_HUB_PIECE;

    if (ask->parcel.size == 0) {
        stead_hub_key_u64(&ask->parcel, stead_random(turn));
        stead_hub_key_u64(&ask->parcel, stead_random(turn));
    }
    call(turn, worker, ask->address, "piece",
         stead_packed(turn, "{s:B,s:u,s:B}", "parcel", stead_hub_key(&ask->parcel), "at", ask->pieces, "bytes",
                      stead_bytes(args + ask->at, size)),
         "pieced", NULL);
    ask->pieces++;
    ask->at += size;
}

/* The part of the store had no room for one of them: they come under the same name, slower. */
static void send_again(struct stead_hub_ask *ask)
{
    ask->at = 0;
    ask->pieces = ask->answered = 0;
    ask->refused = false;
    ask->one_by_one = true;
}

/* Asks for what there is room for. */
static void go_on(struct stead_turn *turn, struct stead_hub_worker_state *worker)
{
    while (worker->asks != NULL && has_room(worker)) {
        struct stead_hub_ask *ask = worker->asks;
        struct stead_slice args = stead_bytes((const uint8_t *)(ask + 1), ask->size);
        if (ask->size > STEAD_HUB_ARGS_MAX) {
            if (ask->one_by_one && ask->answered < ask->pieces)
                return;
            if (ask->at < ask->size) {
                send_piece(turn, worker, ask);
                continue;
            }
            if (ask->answered < ask->pieces)
                return;
            if (ask->refused) {
                send_again(ask);
                continue;
            }
            args = stead_packed(turn, "{s:B,s:u}", "parcel", stead_hub_key(&ask->parcel), "pieces", ask->pieces);
        }
        worker->asks = ask->next;
        call(turn, worker, ask->address, ask->op, args, ask->reply_op, ask->object);
        free(ask);
    }
}

void stead_hub_asked(struct stead_turn *turn, struct stead_hub_worker_state *worker)
{
    struct stead_reader reader = stead_reader(stead_call_context(turn));
    uint32_t two = 0;
    uint64_t object, bytes = 0;

    if (stead_read_array(&reader, &two) == 0 && stead_read_u64(&reader, &object) == 0 &&
        stead_read_u64(&reader, &bytes) == 0) {
        worker->asked--;
        worker->asked_bytes -= (size_t)bytes;
    }
    go_on(turn, worker);
}

/* Reply: a piece of the first in the list is there, or was refused: for want of room, it is sent again; else the
 * operation finds that it is missing. */
int stead_hub_pieced(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_hub_worker_state *worker = *(struct stead_hub_worker_state **)state;

    (void)args;
    if (worker == NULL)
        return 0;
    if (worker->asks != NULL) {
        worker->asks->answered++;
        worker->asks->refused = worker->asks->refused || stead_reply_code(turn) == STEAD_EBUSY;
    }
    stead_hub_asked(turn, worker);
    return 0;
}

void stead_hub_call(struct stead_turn *turn, struct stead_hub_worker_state *worker, const char *address, const char *op,
                    struct stead_slice args, const char *reply_op, const void *object)
{
    if (args.size <= LONG_BYTES && worker->asks == NULL && has_room(worker)) {
        call(turn, worker, address, op, args, reply_op, object);
        return;
    }
    struct stead_hub_ask *ask = stead_hub_alloc(sizeof(*ask) + args.size + 1);
    memcpy(ask->address, address, strlen(address) + 1);
    ask->op = op;
    ask->reply_op = reply_op;
    ask->object = object;
    ask->size = args.size;
    if (args.size > 0)
        memcpy(ask + 1, args.data, args.size);
    if (worker->asks == NULL)
        worker->asks = ask;
    else
        worker->asks_last->next = ask;
    worker->asks_last = ask;
    go_on(turn, worker);
}

void stead_hub_asks_destroy(struct stead_hub_worker_state *worker)
{
    while (worker->asks != NULL) {
        struct stead_hub_ask *ask = worker->asks;
        worker->asks = ask->next;
        free(ask);
    }
}
