/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_request: checks and makes the records of a client.
 *
 * The rules are those of the wire (docs/FORMATS.md): what passes here is never refused by a decoder, save for a payload
 * above the limit that a node was given, which only that node knows.
 */
#include "runtime/client_request.h"

#include "runtime/address.h"

#define KEY_SIZE_MAX 128u /* bytes of an idempotency key */
#define BACKOFF_MS_MIN 10u
#define BACKOFF_MS_MAX 10000u
#define BACKOFF_DOUBLINGS_MAX 6u

static int check_address(struct stead_slice address, bool may_be_empty, uint16_t *ret_kind_size)
{
    size_t kind_size = 0;

    if (address.size > 0 || !may_be_empty) {
        if (stead_address_check(address, &kind_size) != 0)
            return STEAD_EADDRESS;
    }
    *ret_kind_size = (uint16_t)kind_size;
    return 0;
}

static int check_op(struct stead_slice op, struct stead_slice args)
{
    if (args.size > STEAD_CLIENT_ARGS_MAX)
        return STEAD_ETOOLARGE;
    return stead_op_name_check(op) && stead_value_check(args) == 0 ? 0 : STEAD_EARGUMENT;
}

int stead_client_request_check(const struct stead_client_request *request, uint16_t *ret_kind_size)
{
    int code = check_op(request->op, request->args);

    if (code != 0)
        return code;
    if (request->type != STEAD_SIGNAL && request->type != STEAD_CALL && request->type != STEAD_QUERY)
        return STEAD_EARGUMENT;
    if ((request->key.size > 0 && request->type == STEAD_QUERY) || request->key.size > KEY_SIZE_MAX ||
        (request->delay_ms > 0 && request->type != STEAD_SIGNAL) || (unsigned)request->durability > STEAD_CLASS_DURABLE)
        return STEAD_EARGUMENT;
    return check_address(request->address, request->type == STEAD_QUERY, ret_kind_size);
}

int stead_client_tell_check(struct stead_slice address, struct stead_slice op, struct stead_slice args,
                            uint16_t *ret_kind_size)
{
    int code = check_op(op, args);

    return code != 0 ? code : check_address(address, false, ret_kind_size);
}

static struct stead_message *make(enum stead_message_type type, const struct stead_message_parts *parts,
                                  struct stead_rng *rng)
{
    struct stead_message *message = stead_message_create(type, parts);

    stead_store64(message->id.v, stead_rng_next(rng));
    stead_store64(message->id.v + 8, stead_rng_next(rng));
    message->source_slot.v = STEAD_SLOT_SESSION;
    return message;
}

struct stead_message *stead_client_request_message(const struct stead_client_request *request, struct stead_rng *rng,
                                                   uint64_t deadline_ms)
{
    const struct stead_message_parts parts = {
        .address = request->address, .op = request->op, .key = request->key, .payload = request->args};
    struct stead_message *message = make(request->type, &parts, rng);

    message->durability = (uint8_t)request->durability;
    message->deadline_ms = deadline_ms;
    if (request->key.size > 0)
        message->groups |= STEAD_GROUP_KEY;
    if (request->delay_ms > 0) {
        message->groups |= STEAD_GROUP_DELAY;
        message->delay_ms = request->delay_ms;
    }
    if (request->fence != 0) {
        message->groups |= STEAD_GROUP_FENCE;
        message->fence = request->fence;
    }
    return message;
}

struct stead_message *stead_client_tell_message(struct stead_slice address, struct stead_slice op,
                                                struct stead_slice args, struct stead_rng *rng)
{
    const struct stead_message_parts parts = {.address = address, .op = op, .payload = args};

    return make(STEAD_TELL, &parts, rng);
}

struct stead_message *stead_client_cancel_message(const struct stead_message *call)
{
    const struct stead_message_parts parts = {.address = stead_bytes(call->address, call->address_size)};
    struct stead_message *message = stead_message_create(STEAD_CANCEL, &parts);

    message->id = call->id;
    message->slot = call->slot;
    message->source_slot = call->source_slot;
    message->groups = STEAD_GROUP_SESSION;
    message->session = call->session;
    message->table_version = call->table_version;
    return message;
}

uint16_t stead_client_kind_size(const struct stead_message *message)
{
    const char *slash = memchr(message->address, '/', message->address_size);

    STEAD_ASSERT(slash != NULL);
    return (uint16_t)(slash - message->address);
}

uint64_t stead_client_backoff_ms(const struct stead_message *refusal, uint32_t refusals, struct stead_rng *rng)
{
    uint32_t doublings = refusals < BACKOFF_DOUBLINGS_MAX ? refusals : BACKOFF_DOUBLINGS_MAX;
    struct stead_slice error = stead_message_payload(refusal);
    uint64_t ms;

    if (error.size == 0 || stead_get_u64(error, "retry_after_ms", &ms) != 0)
        ms = BACKOFF_MS_MIN << doublings;
    if (ms < 1)
        ms = 1;
    if (ms > BACKOFF_MS_MAX)
        ms = BACKOFF_MS_MAX;
    return ms + stead_rng_below(rng, ms / 4 + 1);
}
