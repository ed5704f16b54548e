/* SPDX-License-Identifier: Apache-2.0 */
/* What the workloads share (work.h), and the list of them. */
#include "tests/sim/work.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "agents/fault.h"
#include "tests/sim/program.h"
#include "tests/sim/work_flow.h"

/* One a line, so that adding one touches no other. */
/* clang-format off */
const struct stead_workload *const stead_workloads[] = {
    &stead_work_counter,
    &stead_work_register,
    &stead_work_account,
    &stead_work_queue,
    &stead_work_ledger,
    &stead_work_stock,
    &stead_work_bank,
    &stead_work_signal,
    &stead_work_timer,
    &stead_work_call,
    &stead_work_job,
    &stead_work_life,
    &stead_work_tell,
    &stead_work_keyed,
    &stead_work_lock,
    &stead_work_volatile,
    &stead_work_blob,
    &stead_work_letter,
    &stead_work_poison,
    &stead_work_queues,
    &stead_work_errand,
    &stead_work_consensus,
    &stead_work_hold,
    &stead_work_upgrade,
    &stead_work_flow,
    &stead_work_break,
    &stead_work_hub,
    &stead_work_order,
    &stead_work_cron, /* the last: drawn only by name (plan.c) */
    NULL,
};
/* clang-format on */

const struct stead_orchestrator *const stead_workload_orchestrators[] = {&stead_program_orchestrator,
                                                                         &stead_locker_orchestrator, NULL};

uint32_t stead_sim_workload_bit(const struct stead_workload *workload)
{
    uint32_t at = 0;

    while (stead_workloads[at] != workload)
        at++;
    return 1u << at;
}

uint32_t stead_sim_restorable_workloads(void)
{
    static const struct stead_workload *const list[] = {
        &stead_work_counter, &stead_work_register, &stead_work_account, &stead_work_ledger, &stead_work_stock,
        &stead_work_bank,    &stead_work_signal,   &stead_work_call,    &stead_work_keyed,  &stead_work_upgrade};
    uint32_t set = 0;

    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        set |= stead_sim_workload_bit(list[i]);
    return set;
}

static struct stead_sim *current; /* one run at a time, one thread */

struct stead_sim *stead_sim_current(void)
{
    return current;
}

void stead_sim_set_current(struct stead_sim *sim)
{
    current = sim;
}

uint32_t stead_agent_faults(void)
{
    return current->agent_faults;
}

void stead_sim_broken(const char *format, ...)
{
    char why[512];
    va_list args;

    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    stead_world_fail(&current->world, "%s", why);
}

/* ---- Requests -------------------------------------------------------------------------------------- */

void stead_sim_op_pack(struct stead_sim *sim, struct stead_sim_op *op, enum stead_message_type type,
                       const char *address, const char *op_name, const char *format, ...)
{
    struct stead_writer writer;
    va_list args;

    stead_writer_init(&writer);
    va_start(args, format);
    stead_pack_v(&writer, format, args);
    va_end(args);
    const struct stead_sim_request request = {
        .type = type, .address = address, .op = op_name, .args = stead_written(&writer)};
    stead_sim_op_submit(sim, op, &request);
    stead_writer_deinit(&writer);
}

void stead_sim_op_tell(struct stead_sim *sim, struct stead_sim_op *op, const char *address, const char *op_name,
                       const char *format, ...)
{
    struct stead_writer writer;
    va_list args;

    STEAD_ASSERT(op->number == sim->op_count);
    sim->op_count++;
    op->code = STEAD_ETIMEOUT;
    stead_writer_init(&writer);
    va_start(args, format);
    stead_pack_v(&writer, format, args);
    va_end(args);
    stead_sim_tell(sim, &sim->clients[op->client], address, op_name, stead_written(&writer));
    stead_writer_deinit(&writer);
}

int64_t stead_sim_ask_i64(struct stead_sim *sim, const char *address, const char *op_name)
{
    struct stead_slice value = stead_sim_ask(sim, address, op_name, (struct stead_slice){0});
    int64_t it = 0;

    if (stead_get_i64(value, NULL, &it) != 0)
        stead_world_fail(&sim->world, "%s of %s does not answer with a number", op_name, address);
    return it;
}

void stead_sim_ask_history(struct stead_sim *sim, const struct stead_workload *workload, int verb, uint32_t agent,
                           const char *address, const char *op_name)
{
    struct stead_sim_op *op = stead_sim_op_new(sim, &sim->clients[STEAD_SIM_CLIENTS_MAX - 1], workload, verb, agent);

    STEAD_ASSERT(op != NULL);
    op->out = stead_sim_ask_i64(sim, address, op_name);
    op->returned_ns = sim->world.now_ns;
    sim->op_count++;
}

/* ---- Tallies ----------------------------------------------------------------------------------------- */

void stead_tally_read(struct stead_sim *sim, struct stead_slice value, struct stead_tally *ret_tally)
{
    struct stead_reader reader = stead_reader(value);
    uint32_t count = 0, pair = 0;

    ret_tally->count = 0;
    if (stead_read_array(&reader, &count) != 0 || count > sizeof ret_tally->items / sizeof ret_tally->items[0])
        stead_world_fail(&sim->world, "a dump is no array, or too long");
    for (uint32_t i = 0; i < count; i++) {
        if (stead_read_array(&reader, &pair) != 0 || pair != 2 ||
            stead_read_u64(&reader, &ret_tally->items[i].number) != 0 ||
            stead_read_i64(&reader, &ret_tally->items[i].count) != 0)
            stead_world_fail(&sim->world, "an item of a dump is no pair of numbers");
        if (i > 0 && ret_tally->items[i].number <= ret_tally->items[i - 1].number)
            stead_world_fail(&sim->world, "a scan of keyed state is out of order");
    }
    ret_tally->count = count;
}

static void tally_letter(struct stead_sim *sim, struct stead_slice letter, const char *op, const char *field,
                         struct stead_tally *tally)
{
    struct stead_slice args, is;
    uint64_t number;
    uint32_t at = 0;
    bool own = op == NULL && field == NULL;

    if (stead_get_value(letter, "args", &args) != 0 || stead_get_str(letter, "op", &is) != 0 ||
        (own ? stead_get_u64(letter, "id", &number) : stead_get_u64(args, field, &number)) != 0)
        stead_world_fail(&sim->world, "a dead letter does not carry what was sent");
    if (op != NULL && !stead_slice_equal(is, stead_str(op)))
        stead_world_fail(&sim->world, "a dead letter is not of the op %s", op);
    while (at < tally->count && tally->items[at].number != number)
        at++;
    if (at == sizeof tally->items / sizeof tally->items[0])
        stead_world_fail(&sim->world, "there are too many dead letters");
    if (at == tally->count) {
        tally->items[tally->count].number = number;
        tally->items[tally->count++].count = 0;
    }
    tally->items[at].count++;
}

void stead_tally_letters(struct stead_sim *sim, const char *address, const char *op, const char *field,
                         struct stead_tally *ret_tally)
{
    uint64_t after = 0, next = 0;
    bool more = true;

    for (ret_tally->count = 0; more; after = next) {
        struct stead_slice letters, letter;
        struct stead_writer args;
        uint32_t count = 0;
        stead_writer_init(&args);
        stead_pack(&args, "{s:u,s:u}", "limit", (uint64_t)10000, "after", after);
        struct stead_slice page = stead_sim_query(sim, address, "deadletters", stead_written(&args));
        stead_writer_deinit(&args);
        if (stead_get_value(page, "letters", &letters) != 0)
            stead_world_fail(&sim->world, "a list of dead letters has no letters");
        struct stead_reader reader = stead_reader(letters);
        if (stead_read_array(&reader, &count) != 0)
            stead_world_fail(&sim->world, "the dead letters are no array");
        for (; count > 0 && stead_read_value(&reader, &letter) == 0; count--)
            tally_letter(sim, letter, op, field, ret_tally);
        more = stead_get_u64(page, "next", &next) == 0;
        if (more && next <= after)
            stead_world_fail(&sim->world, "a list of dead letters does not get on");
    }
}

int64_t stead_tally_of(const struct stead_tally *tally, uint64_t number)
{
    for (uint32_t i = 0; i < tally->count; i++)
        if (tally->items[i].number == number)
            return tally->items[i].count;
    return 0;
}

void stead_sim_check_once(struct stead_sim *sim, const struct stead_sim_op *op, int64_t seen, const char *what)
{
    enum stead_sim_outcome outcome = stead_sim_op_outcome(op);

    if (seen < 0 || seen > 1)
        stead_world_fail(&sim->world, "%s: the effect of request %u (agent %u) is there %lld times", what, op->number,
                         op->agent, (long long)seen);
    if (outcome == STEAD_SIM_DONE && seen != 1)
        stead_world_fail(&sim->world, "%s: the acknowledged effect of request %u (agent %u) is lost", what, op->number,
                         op->agent);
    if (outcome == STEAD_SIM_REFUSED && seen != 0)
        stead_world_fail(&sim->world, "%s: request %u (agent %u) was refused and took effect", what, op->number,
                         op->agent);
}

/* ---- Keyed state as a map of numbers -------------------------------------------------------------------- */

struct number_key {
    char text[20];
};

static struct number_key make_key(char prefix, uint64_t number)
{
    struct number_key key;

    stead_format(key.text, sizeof key.text, "%c%016llx", prefix, (unsigned long long)number);
    return key;
}

int64_t stead_kv_number(struct stead_turn *turn, char prefix, uint64_t number)
{
    struct number_key key = make_key(prefix, number);
    struct stead_slice value;
    int64_t it = 0;
    int code = stead_kv_get(turn, stead_str(key.text), &value);

    if (code == STEAD_ENOTFOUND)
        return 0;
    if (code != 0 || stead_get_i64(value, NULL, &it) != 0)
        stead_sim_broken("keyed state of %s cannot be read: %s", stead_self(turn), stead_error_name(code));
    return it;
}

void stead_kv_set_number(struct stead_turn *turn, char prefix, uint64_t number, int64_t value)
{
    struct number_key key = make_key(prefix, number);
    int code = stead_kv_put(turn, stead_str(key.text), stead_packed(turn, "l", value));

    if (code != 0)
        stead_sim_broken("keyed state of %s cannot be written: %s", stead_self(turn), stead_error_name(code));
}

struct dump {
    struct stead_writer items;
    uint32_t count;
};

static int dump_item(void *context, struct stead_slice key, struct stead_slice value)
{
    struct dump *dump = context;
    char digits[17] = {0};

    if (key.size != 17)
        stead_sim_broken("a scan visits a key that nobody wrote");
    memcpy(digits, key.data + 1, 16);
    stead_write_array(&dump->items, 2);
    stead_write_u64(&dump->items, strtoull(digits, NULL, 16));
    stead_write_value(&dump->items, value);
    dump->count++;
    return 0;
}

struct stead_slice stead_kv_dump(struct stead_turn *turn, char prefix)
{
    const char from[2] = {prefix, 0}, to[2] = {(char)(prefix + 1), 0};
    struct dump dump = {.count = 0};
    struct stead_writer whole;

    stead_writer_init(&dump.items);
    stead_writer_init(&whole);
    int code = stead_kv_scan(turn, stead_str(from), stead_str(to), UINT32_MAX, dump_item, &dump);
    if (code != 0)
        stead_sim_broken("keyed state of %s cannot be scanned: %s", stead_self(turn), stead_error_name(code));
    stead_write_array(&whole, dump.count);
    stead_write_raw(&whole, dump.items.data, dump.items.size);
    void *copy = stead_turn_alloc(turn, whole.size);
    memcpy(copy, whole.data, whole.size);
    struct stead_slice result = {copy, whole.size};
    stead_writer_deinit(&dump.items);
    stead_writer_deinit(&whole);
    return result;
}
