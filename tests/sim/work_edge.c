/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large states, large answers, failures and dead letters.
 *
 * A blob is a register whose value is a buffer of up to 20 KiB made from a tag: its image has a row of its own, its
 * answers are too large for the session's row, and a turn that fails after it changed the buffer must be rebuilt from
 * what is stored. Whoever reads a blob whose bytes do not belong to its tag has found a mixture of two states.
 *
 * A letterbox refuses every third letter: such a signal ends in its dead letters, once, and nothing of its turn stays.
 * A client may also send signals that wait with the receiver, or have a key. In the end every letter is retried: what
 * is refused is a letter again. Requests for kinds and ops that do not exist are refused by name.
 */
#include "tests/sim/work.h"

#define AGENTS 3u
#define BLOB_BYTES_MAX 20000u

enum { BLOB_WRITE = STEAD_LIN_REGISTER_WRITE, BLOB_READ = STEAD_LIN_REGISTER_READ, BLOB_SPOIL };

/* ---- Blob ------------------------------------------------------------------------------------------------- */

struct blob {
    int64_t tag;
    struct stead_buffer bytes;
};

/* The size and the bytes that belong to a tag. */
static size_t size_of(int64_t tag)
{
    return (size_t)((uint64_t)tag * 2654435761u % BLOB_BYTES_MAX);
}

static void fill(struct stead_turn *turn, struct blob *blob, int64_t tag)
{
    size_t size = size_of(tag);
    uint8_t *bytes = stead_turn_alloc(turn, size + 1);

    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)((uint64_t)tag * (i + 7));
    stead_buffer_set(&blob->bytes, stead_bytes(bytes, size));
    blob->tag = tag;
}

static void check_blob(const struct stead_turn *turn, const struct blob *blob)
{
    struct stead_slice bytes = stead_buffer_get(&blob->bytes);
    size_t size = size_of(blob->tag);

    if (bytes.size != size)
        stead_sim_broken("%s has %zu bytes, its tag %lld wants %zu", stead_self(turn), bytes.size, (long long)blob->tag,
                         size);
    for (size_t i = 0; i < size; i++)
        if (bytes.data[i] != (uint8_t)((uint64_t)blob->tag * (i + 7)))
            stead_sim_broken("byte %zu of %s does not belong to its tag %lld", i, stead_self(turn),
                             (long long)blob->tag);
}

static struct stead_slice describe(struct stead_turn *turn, int64_t tag, const struct blob *blob)
{
    return stead_packed(turn, "{s:l,s:B}", "tag", tag, "bytes", stead_buffer_get(&blob->bytes));
}

static int write_blob(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct blob *blob = state;
    int64_t before = blob->tag, tag = 0;

    check_blob(turn, blob);
    if (stead_get_i64(args, NULL, &tag) != 0)
        return stead_fail(turn, "bad_args", "the tag is needed");
    fill(turn, blob, tag);
    return stead_reply(turn, describe(turn, before, blob));
}

static int read_blob(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    check_blob(turn, state);
    return stead_reply(turn, describe(turn, ((struct blob *)state)->tag, state));
}

static int spoil_blob(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    check_blob(turn, state);
    fill(turn, state, 987654321);
    return stead_fail(turn, "spoilt", "this op always fails");
}

static const struct stead_field blob_fields[] = {STEAD_FIELD(I64, struct blob, tag),
                                                 STEAD_FIELD(BUFFER, struct blob, bytes), STEAD_FIELDS_END};
static const struct stead_op blob_ops[] = {{.name = "write", .run = write_blob},
                                           {.name = "read", .run = read_blob, .flags = STEAD_OP_READ_ONLY},
                                           {.name = "spoil", .run = spoil_blob},
                                           {0}};
static const struct stead_kind blob_kind = {.abi = STEAD_ABI,
                                            .struct_size = sizeof(struct stead_kind),
                                            .name = "blob",
                                            .state_size = sizeof(struct blob),
                                            .fields = blob_fields,
                                            .ops = blob_ops};

static void issue_blob(struct stead_sim *sim, struct stead_sim_client *client)
{
    static const char *const names[] = {"write", "read", "spoil"};
    uint64_t luck = stead_world_below(&sim->world, 10);
    int verb = luck < 5 ? BLOB_WRITE : luck < 8 ? BLOB_READ : BLOB_SPOIL;
    struct stead_sim_op *op =
        stead_sim_op_new(sim, client, &stead_work_blob, verb, (uint32_t)stead_world_below(&sim->world, AGENTS));
    char address[48];

    if (op == NULL)
        return;
    op->in[0] = 1 + (int64_t)stead_world_below(&sim->world, 1u << 20);
    stead_format(address, sizeof address, "blob/b%u", op->agent);
    stead_sim_op_pack(sim, op, STEAD_CALL, address, names[verb], "l", op->in[0]);
}

static void read_answer(struct stead_sim *sim, struct stead_sim_op *op, struct stead_slice value)
{
    int64_t made_of = op->verb == BLOB_WRITE ? op->in[0] : 0;
    struct stead_slice bytes;

    if (stead_get_i64(value, "tag", &op->out) != 0 || stead_get_bin(value, "bytes", &bytes) != 0)
        stead_world_fail(&sim->world, "the answer to request %u is not a blob", op->number);
    if (op->verb == BLOB_READ)
        made_of = op->out;
    if (bytes.size != size_of(made_of))
        stead_world_fail(&sim->world, "the answer to request %u has %zu bytes", op->number, bytes.size);
}

static bool make_blob_op(const struct stead_sim_op *op, uint32_t agent, struct stead_lin_op *ret_op)
{
    (void)ret_op;
    return op->agent == agent && op->verb != BLOB_SPOIL;
}

static void verify_blob(struct stead_sim *sim)
{
    char address[48];

    for (uint32_t agent = 0; agent < AGENTS; agent++) {
        struct stead_sim_op *op =
            stead_sim_op_new(sim, &sim->clients[STEAD_SIM_CLIENTS_MAX - 1], &stead_work_blob, BLOB_READ, agent);
        stead_format(address, sizeof address, "blob/b%u", agent);
        read_answer(sim, op, stead_sim_ask(sim, address, "read", (struct stead_slice){0}));
        op->returned_ns = sim->world.now_ns;
        sim->op_count++;
    }
    stead_sim_check_histories(sim, &stead_work_blob, &stead_lin_register, AGENTS, make_blob_op);
}

static const struct stead_kind *const blob_kinds[] = {&blob_kind, NULL};
const struct stead_workload stead_work_blob = {
    .name = "blob", .kinds = blob_kinds, .issue = issue_blob, .read = read_answer, .verify = verify_blob};

/* ---- Letters ------------------------------------------------------------------------------------------------- */

enum { LETTER_POST, LETTER_DELAYED, LETTER_KEYED, LETTER_NO_KIND, LETTER_NO_OP };

/* By an agent: a signal that may be refused. */
static int post(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t to = 0;

    (void)state;
    if (stead_get_u64(args, "to", &to) != 0)
        return stead_fail(turn, "bad_args", "to is needed");
    int code = stead_signal(turn, stead_printed(turn, "letterbox/l%llu", (unsigned long long)to), "take", args);
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "l", (int64_t)0));
}

static const struct stead_op writer_ops[] = {{.name = "post", .run = post}, {0}};
static const struct stead_kind writer_kind = {
    .abi = STEAD_ABI, .struct_size = sizeof(struct stead_kind), .name = "writer", .ops = writer_ops};

static int take(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t id = 0;

    (void)state;
    if (stead_get_u64(args, "id", &id) != 0)
        return stead_fail(turn, "bad_args", "id is needed");
    stead_kv_set_number(turn, 'i', id, stead_kv_number(turn, 'i', id) + 1);
    if (id % 3 == 0)
        return stead_fail(turn, "refused", "no letters that three divides");
    return 0;
}

static int dump(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_reply(turn, stead_kv_dump(turn, 'i'));
}

static const struct stead_op letterbox_ops[] = {
    {.name = "take", .run = take}, {.name = "dump", .run = dump, .flags = STEAD_OP_READ_ONLY}, {0}};
static const struct stead_kind letterbox_kind = {
    .abi = STEAD_ABI, .struct_size = sizeof(struct stead_kind), .name = "letterbox", .ops = letterbox_ops};

static void issue_letter(struct stead_sim *sim, struct stead_sim_client *client)
{
    uint64_t luck = stead_world_below(&sim->world, 12);
    int verb = luck < 5    ? LETTER_POST
               : luck < 8  ? LETTER_DELAYED
               : luck < 10 ? LETTER_KEYED
               : luck < 11 ? LETTER_NO_KIND
                           : LETTER_NO_OP;
    struct stead_sim_op *op =
        stead_sim_op_new(sim, client, &stead_work_letter, verb, (uint32_t)stead_world_below(&sim->world, AGENTS));
    struct stead_writer args;
    char address[48], key[24];

    if (op == NULL)
        return;
    op->in[0] = (int64_t)stead_world_below(&sim->world, AGENTS);
    stead_format(key, sizeof key, "letter-%u", op->number);
    stead_format(address, sizeof address,
                 verb == LETTER_POST      ? "writer/w%u"
                 : verb == LETTER_NO_KIND ? "nokind/n%u"
                                          : "letterbox/l%u",
                 verb == LETTER_DELAYED || verb == LETTER_KEYED ? (unsigned)op->in[0] : op->agent);
    stead_writer_init(&args);
    stead_pack(&args, "{s:l,s:l}", "to", op->in[0], "id", (int64_t)op->number);
    struct stead_sim_request request = {.type =
                                            verb == LETTER_DELAYED || verb == LETTER_KEYED ? STEAD_SIGNAL : STEAD_CALL,
                                        .address = address,
                                        .args = stead_written(&args),
                                        .key = verb == LETTER_KEYED ? key : NULL};
    request.op = verb == LETTER_POST ? "post" : verb == LETTER_NO_OP ? "noop" : "take";
    if (verb == LETTER_DELAYED)
        request.delay_ms = 1 + stead_world_below(&sim->world, 100);
    stead_sim_op_submit(sim, op, &request);
    stead_writer_deinit(&args);
}

/* Each is refused again, once its box is there: how many there are. */
static uint32_t retry_letters(struct stead_sim *sim, const char *address)
{
    static struct stead_tally ids; /* one run at a time */
    struct stead_writer args;

    stead_tally_letters(sim, address, NULL, NULL, &ids);
    stead_writer_init(&args);
    for (uint32_t i = 0; i < ids.count; i++) {
        stead_writer_reset(&args);
        stead_pack(&args, "{s:s,s:u}", "action", "retry", "id", ids.items[i].number);
        int code = stead_sim_try_query(sim, address, "deadletters", stead_written(&args));
        if (code != 0 && code != STEAD_ENOTFOUND) /* retried already: the answer was lost */
            stead_world_fail(&sim->world, "the retry of a letter fails with %s", stead_error_name(code));
    }
    stead_writer_deinit(&args);
    return ids.count;
}

static void verify_box(struct stead_sim *sim, uint32_t box)
{
    static struct stead_tally tally, letters; /* one run at a time */
    const struct stead_sim_op *op;
    char address[48];

    stead_format(address, sizeof address, "letterbox/l%u", box);
    uint32_t retried = retry_letters(sim, address);
    stead_tally_read(sim, stead_sim_ask(sim, address, "dump", (struct stead_slice){0}), &tally);
    stead_tally_letters(sim, address, NULL, NULL, &letters);
    if (letters.count != retried)
        stead_world_fail(&sim->world, "of %u retried letters of %s, which are refused, %u are letters again", retried,
                         address, letters.count);
    stead_tally_letters(sim, address, NULL, "id", &letters);
    for (uint32_t at = 0; (op = stead_sim_op_next(sim, &stead_work_letter, &at)) != NULL;) {
        if (op->verb > LETTER_KEYED || op->in[0] != (int64_t)box)
            continue;
        bool refused = op->number % 3 == 0;
        if (refused && stead_tally_of(&tally, op->number) != 0)
            stead_world_fail(&sim->world, "the refused letter %u has left its mark", op->number);
        if (refused && op->verb == LETTER_KEYED) { /* its client is told of the failure, which leaves the letter */
            int64_t found = stead_tally_of(&letters, op->number);
            if (found > 1 || (found == 0 && op->code == STEAD_EFAILED))
                stead_world_fail(&sim->world, "%lld letters of the keyed signal %u", (long long)found, op->number);
            continue;
        }
        stead_sim_check_once(sim, op, stead_tally_of(refused ? &letters : &tally, op->number),
                             refused ? "dead letter" : "letter");
    }
}

static void verify_letter(struct stead_sim *sim)
{
    const struct stead_sim_op *op;

    for (uint32_t at = 0; (op = stead_sim_op_next(sim, &stead_work_letter, &at)) != NULL;) {
        bool wrong =
            (op->verb == LETTER_NO_KIND || op->verb == LETTER_NO_OP) && stead_sim_op_outcome(op) == STEAD_SIM_DONE;
        if (wrong)
            stead_world_fail(&sim->world, "request %u for what does not exist was answered", op->number);
    }
    for (uint32_t box = 0; box < AGENTS; box++)
        verify_box(sim, box);
}

static const struct stead_kind *const letter_kinds[] = {&writer_kind, &letterbox_kind, NULL};
const struct stead_workload stead_work_letter = {
    .name = "letter", .kinds = letter_kinds, .issue = issue_letter, .verify = verify_letter};
