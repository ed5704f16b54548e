/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The task hub's queues (agents/hub_queue.c): clients put messages in, some of them twice under one id, take them,
 * delete them, hide them on, or forget them.
 *
 *     enqueue --> in the queue --dequeue--> hidden, with a receipt --delete (newest receipt)--> gone
 *                     ^------------- its time is over -----|
 *
 * What must hold: a message that was put in is there until somebody deleted it with its newest receipt, and never again
 * after that; an id is put in once; what was taken is seen by nobody else until its time is over (where no clock
 * jumps); a receipt that is not the newest deletes nothing.
 */
#include <stdlib.h>

#include "agents/hub.h"
#include "tests/sim/work.h"

#define QUEUES 2u
#define LETTERS 300u /* of each queue */

enum { MAIL_PUT, MAIL_TAKE, MAIL_DELETE, MAIL_RENEW };

/* What clients know of a message, by its id. */
struct letter {
    uint64_t seq;        /* 0: not known */
    uint32_t put;        /* answers that say that it was put in */
    uint32_t tried;      /* enqueues */
    uint32_t deleted;    /* answers that say that it was deleted */
    uint32_t unknown;    /* deletes that were sent */
    uint64_t receipt;    /* the newest that was handed out */
    uint64_t known_ns;   /* ... at */
    uint64_t hidden_ns;  /* nobody else can have it before */
    uint64_t deleted_ns; /* when a delete was answered; 0: none */
};

struct mail {
    struct letter letters[QUEUES][LETTERS];
    struct {
        uint32_t letter;
        uint64_t receipt;
    } deletes[4096]; /* by op, as far as there is room */
};

static struct mail *find_mail(struct stead_sim *sim)
{
    if (sim->mail == NULL)
        sim->mail = stead_alloc_zero(sizeof(struct mail));
    return sim->mail;
}

static void submit(struct stead_sim *sim, struct stead_sim_client *client, int verb, uint32_t queue, uint32_t letter,
                   uint64_t receipt)
{
    struct stead_sim_op *op = stead_sim_op_new(sim, client, &stead_work_queues, verb, queue);
    struct mail *mail = find_mail(sim);
    struct letter *it = &mail->letters[queue][letter];
    char address[48], id[16];

    if (op == NULL || op->number >= sizeof mail->deletes / sizeof mail->deletes[0])
        return;
    mail->deletes[op->number].letter = letter;
    mail->deletes[op->number].receipt = receipt;
    op->in[0] = letter;
    stead_format(address, sizeof address, "%s/h/q%u", STEAD_HUB_QUEUE_KIND, queue);
    stead_format(id, sizeof id, "m%u", letter);
    if (verb == MAIL_PUT) {
        it->tried++;
        stead_sim_op_pack(sim, op, STEAD_CALL, address, "enqueue", "{s:s,s:u,s:l}", "id", id, "body", (uint64_t)letter,
                          "delay", (int64_t)stead_world_below(&sim->world, 4) * 5);
    } else if (verb == MAIL_TAKE) {
        op->in[1] = 5 + (int64_t)stead_world_below(&sim->world, 100);
        stead_sim_op_pack(sim, op, STEAD_CALL, address, "dequeue", "{s:u,s:l,s:l}", "max",
                          1 + stead_world_below(&sim->world, 8), "hide", op->in[1], "wait",
                          (int64_t)stead_world_below(&sim->world, 3) * 20);
    } else if (verb == MAIL_DELETE) {
        it->unknown++;
        stead_sim_op_pack(sim, op, STEAD_CALL, address, stead_world_chance(&sim->world, 500) ? "delete" : "retire",
                          "[[u,u]]", it->seq, receipt);
    } else {
        stead_sim_op_pack(sim, op, STEAD_CALL, address, "renew", "{s:u,s:u,s:l}", "seq", it->seq, "receipt", receipt,
                          "hide", (int64_t)50);
    }
}

static void issue_mail(struct stead_sim *sim, struct stead_sim_client *client)
{
    uint32_t queue = (uint32_t)stead_world_below(&sim->world, QUEUES);

    submit(sim, client, stead_world_chance(&sim->world, 500) ? MAIL_PUT : MAIL_TAKE, queue,
           (uint32_t)stead_world_below(&sim->world, LETTERS), 0);
}

/* Whoever took a message does something with it a little later: `number` is the request that took it, `data` the
 * letter. */
static void go_on(void *self, uint64_t number, void *data)
{
    struct stead_sim *sim = self;
    const struct stead_sim_op *op = &sim->ops[number];
    uint32_t letter = (uint32_t)(uintptr_t)data;
    struct letter *it;

    if (sim->ending || sim->calm)
        return;
    it = &find_mail(sim)->letters[op->agent][letter];
    /* Often with what was the newest receipt when it was planned, which may be an old one by now. */
    submit(sim, &sim->clients[op->client], stead_world_chance(&sim->world, 800) ? MAIL_DELETE : MAIL_RENEW, op->agent,
           letter, stead_world_chance(&sim->world, 700) ? it->receipt : (uint64_t)op->out2);
}

static void read_letter(struct stead_sim *sim, struct stead_sim_op *op, struct stead_reader *reader)
{
    struct stead_slice id = {0};
    uint64_t seq = 0, receipt = 0, count = 0, body = 0;
    uint32_t five = 0;

    if (stead_read_array(reader, &five) != 0 || five != 5 || stead_read_u64(reader, &seq) != 0 ||
        stead_read_u64(reader, &receipt) != 0 || stead_read_u64(reader, &count) != 0 ||
        stead_read_str(reader, &id) != 0 || stead_read_u64(reader, &body) != 0 || body >= LETTERS)
        stead_world_fail(&sim->world, "a message that was taken cannot be read");
    struct letter *it = &find_mail(sim)->letters[op->agent][body];
    stead_world_note(&sim->world, "letter", body, seq, receipt);
    if (it->seq != 0 && it->seq != seq)
        stead_world_fail(&sim->world, "message m%llu is in queue %u twice, as %llu and %llu", (unsigned long long)body,
                         op->agent, (unsigned long long)it->seq, (unsigned long long)seq);
    if (it->tried == 0)
        stead_world_fail(&sim->world, "message m%llu was never put into queue %u", (unsigned long long)body, op->agent);
    if (it->deleted_ns != 0 && it->deleted_ns < op->invoked_ns)
        stead_world_fail(&sim->world, "message m%llu of queue %u comes back after it was deleted",
                         (unsigned long long)body, op->agent);
    /* An answer that was long under way tells of the past. */
    if (sim->plan.jump_gap_ns == 0 && receipt > it->receipt && sim->world.now_ns < it->hidden_ns)
        stead_world_fail(&sim->world, "message m%llu of queue %u is taken while it is hidden", (unsigned long long)body,
                         op->agent);
    it->seq = seq;
    uint64_t hidden_ns = op->invoked_ns / STEAD_MS * STEAD_MS + (uint64_t)op->in[1] * STEAD_MS; /* turns know ms */
    it->hidden_ns = hidden_ns > it->hidden_ns ? hidden_ns : it->hidden_ns;
    if (receipt > it->receipt) {
        it->receipt = receipt;
        it->known_ns = sim->world.now_ns;
    }
    op->out2 = (int64_t)receipt;
    if (!stead_world_chance(&sim->world, 200))
        stead_world_after(&sim->world, stead_world_delay(&sim->world, 5 * STEAD_MS), go_on, sim, op->number,
                          (void *)(uintptr_t)body);
}

static void read_mail(struct stead_sim *sim, struct stead_sim_op *op, struct stead_slice answer)
{
    struct mail *mail = find_mail(sim);
    struct letter *it = &mail->letters[op->agent][op->in[0]];
    struct stead_reader reader = stead_reader(answer);
    uint32_t count = 0;
    uint64_t number = 0;
    bool is_new = false;

    if (op->verb == MAIL_PUT) {
        if (stead_get_bool(answer, "new", &is_new) != 0 || stead_get_u64(answer, "seq", &number) != 0)
            stead_world_fail(&sim->world, "an enqueue is answered with something else");
        it->put += is_new;
        if (it->put > 1)
            stead_world_fail(&sim->world, "the id m%lld is put into queue %u twice", (long long)op->in[0], op->agent);
    } else if (op->verb == MAIL_TAKE) {
        if (stead_read_array(&reader, &count) != 0 || count > STEAD_HUB_BATCH_MAX)
            stead_world_fail(&sim->world, "a dequeue is answered with no list");
        while (count-- > 0)
            read_letter(sim, op, &reader);
    } else if (op->verb == MAIL_DELETE) {
        if (stead_get_u64(answer, NULL, &number) != 0 || number > 1)
            stead_world_fail(&sim->world, "a delete is answered with no count");
        if (number == 0)
            return;
        if (mail->deletes[op->number].receipt < it->receipt && it->known_ns < op->invoked_ns)
            stead_world_fail(&sim->world, "an old receipt deletes m%lld of queue %u", (long long)op->in[0], op->agent);
        it->deleted_ns = sim->world.now_ns;
        if (++it->deleted > 1)
            stead_world_fail(&sim->world, "m%lld of queue %u is deleted twice", (long long)op->in[0], op->agent);
    } else if (stead_get_u64(answer, NULL, &number) == 0 && number > it->receipt) {
        it->receipt = number;
        it->known_ns = sim->world.now_ns;
    }
}

static void verify_queue(struct stead_sim *sim, uint32_t queue)
{
    static bool there[LETTERS]; /* one run at a time */
    const struct mail *mail = find_mail(sim);
    struct stead_writer args;
    uint32_t count = 0, six = 0;
    char address[48];
    int64_t depth = 0;

    memset(there, 0, sizeof there);
    stead_format(address, sizeof address, "%s/h/q%u", STEAD_HUB_QUEUE_KIND, queue);
    stead_writer_init(&args);
    stead_pack(&args, "{s:u}", "max", (uint64_t)1000);
    struct stead_slice list = stead_sim_ask(sim, address, "peek", stead_written(&args));
    stead_writer_deinit(&args);
    struct stead_reader reader = stead_reader(list);
    if (stead_read_array(&reader, &count) != 0)
        stead_world_fail(&sim->world, "queue %u cannot be looked into", queue);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t body = 0;
        if (stead_read_array(&reader, &six) != 0 || six != 6)
            stead_world_fail(&sim->world, "queue %u cannot be looked into", queue);
        for (uint32_t skipped = 0; skipped < 5; skipped++)
            if (stead_read_skip(&reader) != 0)
                stead_world_fail(&sim->world, "queue %u cannot be looked into", queue);
        if (stead_read_u64(&reader, &body) != 0 || body >= LETTERS || there[body])
            stead_world_fail(&sim->world, "queue %u has m%llu twice", queue, (unsigned long long)body);
        there[body] = true;
    }
    for (uint32_t i = 0; i < LETTERS; i++) {
        const struct letter *it = &mail->letters[queue][i];
        if (there[i] && (it->deleted != 0 || it->tried == 0))
            stead_world_fail(&sim->world, "m%u is in queue %u and should not be", i, queue);
        if (!there[i] && it->put != 0 && it->unknown == 0)
            stead_world_fail(&sim->world, "m%u is not in queue %u any more, and nobody has deleted it", i, queue);
    }
    if (stead_get_i64(stead_sim_ask(sim, address, "status", (struct stead_slice){0}), "depth", &depth) != 0 ||
        depth != count)
        stead_world_fail(&sim->world, "queue %u has %u messages and says %lld", queue, count, (long long)depth);
}

static void verify_mail(struct stead_sim *sim)
{
    for (uint32_t queue = 0; queue < QUEUES; queue++)
        verify_queue(sim, queue);
}

static const struct stead_kind *const no_kinds[] = {NULL};
const struct stead_workload stead_work_queues = {
    .name = "queues", .kinds = no_kinds, .issue = issue_mail, .read = read_mail, .verify = verify_mail};
