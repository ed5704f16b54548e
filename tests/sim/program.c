/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The random programs (program.h): how a tree grows from its seed, and the numbers that both sides compute.
 *
 * A tree has a budget of composites; once that is spent only leaves grow, so its size is bounded. Where a node may
 * stand depends on what is around it:
 *
 *     inside a critical section   no child, no second section, calls of what is locked only
 *     in a child                  no event of a client's: it does not know the child's id
 *     in an all-of or any-of      tasks only
 */
#include "tests/sim/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 5u
#define BUDGET 12

/* ---- Numbers ------------------------------------------------------------------------------------- */

static uint64_t scramble(uint64_t x)
{
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

uint64_t stead_program_mix(uint64_t a, uint64_t b)
{
    return scramble(scramble(a) ^ (b * 0x2545f4914f6cdd1dull)) >> 11;
}

uint64_t stead_program_id(const struct stead_program_input *input, uint32_t node)
{
    return stead_program_mix(stead_program_mix(input->path, input->round), node);
}

uint64_t stead_program_child_path(const struct stead_program_input *input, uint32_t node)
{
    return stead_program_mix(stead_program_id(input, node), 0xc41dull);
}

uint64_t stead_program_result(uint64_t id, uint64_t x)
{
    return stead_program_mix(id ^ 0x5e5u, x);
}

uint64_t stead_program_event_value(uint64_t id)
{
    return stead_program_mix(id, 0xe7e27ull);
}

uint64_t stead_program_share(uint64_t id)
{
    return 1 + stead_program_mix(id, 0x5a7eull) % 1000;
}

const char *stead_program_error(uint32_t node)
{
    static const char *const names[] = {"broken_arm",  "broken_leg", "broken_glass", "broken_heart",
                                        "broken_word", "broken_ice", "broken_bow"};

    return names[node % (sizeof names / sizeof names[0])];
}

uint64_t stead_program_error_value(const char *name)
{
    uint64_t value = 0;

    for (; *name != 0; name++)
        value = stead_program_mix(value, (uint64_t)(unsigned char)*name);
    return value;
}

void stead_program_event_name(char ret_name[STEAD_PROGRAM_TEXT_SIZE], char letter, uint64_t id)
{
    snprintf(ret_name, STEAD_PROGRAM_TEXT_SIZE, "%c%llx", letter, (unsigned long long)id);
}

/* ---- Growing --------------------------------------------------------------------------------------- */

struct place {
    uint32_t depth;
    bool in_child, in_lock;
};

struct gardener {
    struct stead_program *program;
    uint64_t state;
    int budget;
};

static uint32_t below(struct gardener *gardener, uint32_t bound)
{
    gardener->state += 0x9e3779b97f4a7c15ull;
    return (uint32_t)(scramble(gardener->state) % bound);
}

static uint16_t add_node(struct gardener *gardener, enum stead_program_type type, uint32_t a, uint32_t b)
{
    struct stead_program *program = gardener->program;

    if (program->count == STEAD_PROGRAM_NODES_MAX)
        abort(); /* the budget is wrong */
    program->nodes[program->count] = (struct stead_program_node){.type = (uint8_t)type, .a = a, .b = b};
    return (uint16_t)program->count++;
}

/* Hangs `node` below `parent` as its last. */
static void hang(struct stead_program *program, uint16_t parent, uint16_t node)
{
    uint16_t *at = &program->nodes[parent].first;

    while (*at != 0)
        at = &program->nodes[*at].next;
    *at = node;
}

static uint16_t grow_statement(struct gardener *gardener, struct place place);

static uint16_t grow_sequence(struct gardener *gardener, struct place place, uint32_t most)
{
    uint16_t node = add_node(gardener, STEAD_PROGRAM_SEQUENCE, 0, 0);
    uint32_t count = 1 + below(gardener, most);

    place.depth++;
    for (uint32_t i = 0; i < count; i++)
        hang(gardener->program, node, grow_statement(gardener, place));
    return node;
}

static uint16_t grow_child(struct gardener *gardener, struct place place, enum stead_program_type type)
{
    uint16_t node = add_node(gardener, type, 1 + (below(gardener, 4) == 0), below(gardener, 2));

    place.in_child = true;
    place.depth++;
    hang(gardener->program, node, grow_sequence(gardener, place, 2));
    return node;
}

/* `sure`: one that succeeds whatever happens. */
static uint16_t grow_task(struct gardener *gardener, struct place place, bool sure)
{
    bool composite = gardener->budget > 0 && place.depth < DEPTH_MAX && !place.in_lock;

    switch (below(gardener, 12)) {
    case 0:
        return add_node(gardener, STEAD_PROGRAM_RETRY, 2 + below(gardener, 3), 0);
    case 1:
        if (!sure)
            return add_node(gardener, STEAD_PROGRAM_BREAK, 1 + below(gardener, 3), 0);
        break;
    case 2:
    case 3:
        return add_node(gardener, STEAD_PROGRAM_SLEEP, 1 + below(gardener, 40), 0);
    case 4:
        if (!place.in_child)
            return add_node(gardener, STEAD_PROGRAM_EVENT, 0, 0);
        break;
    case 5:
    case 6:
        if (!composite || sure)
            break;
        gardener->budget--;
        return grow_child(gardener, place, STEAD_PROGRAM_CHILD);
    case 7:
    case 8:
        if (!place.in_lock)
            return add_node(gardener, STEAD_PROGRAM_CALL, below(gardener, STEAD_PROGRAM_TALLIES), 0);
        break;
    case 9:
        if (!place.in_lock && !sure)
            return add_node(gardener, STEAD_PROGRAM_REFUSE, below(gardener, STEAD_PROGRAM_TALLIES), 0);
        break;
    default:
        break;
    }
    return add_node(gardener, STEAD_PROGRAM_DO, below(gardener, 2), 0);
}

static uint16_t grow_forever(struct gardener *gardener, struct place place)
{
    return add_node(gardener, STEAD_PROGRAM_FOREVER, below(gardener, place.in_lock ? 2 : 3), 0);
}

static uint16_t grow_group(struct gardener *gardener, struct place place)
{
    static const enum stead_program_type types[] = {STEAD_PROGRAM_ALL, STEAD_PROGRAM_ALL, STEAD_PROGRAM_SURE,
                                                    STEAD_PROGRAM_RACE};
    enum stead_program_type type = types[below(gardener, 4)];
    uint16_t node = add_node(gardener, type, 0, 0);
    uint32_t count = 1 + below(gardener, STEAD_PROGRAM_FAN_MAX);

    place.depth++;
    for (uint32_t i = 0; i < count; i++)
        hang(gardener->program, node,
             type == STEAD_PROGRAM_SURE && i > 0 ? grow_forever(gardener, place)
                                                 : grow_task(gardener, place, type == STEAD_PROGRAM_SURE));
    return node;
}

static uint16_t grow_lock(struct gardener *gardener, struct place place)
{
    uint16_t node = add_node(gardener, STEAD_PROGRAM_LOCK, 1 + below(gardener, (1u << STEAD_PROGRAM_VAULTS) - 1u), 0);

    place.in_lock = true;
    place.depth++;
    if (below(gardener, 3) != 0)
        hang(gardener->program, node, grow_sequence(gardener, place, 2));
    return node;
}

static uint16_t grow_leaf(struct gardener *gardener, struct place place)
{
    uint32_t tally = below(gardener, STEAD_PROGRAM_TALLIES), ms = 1 + below(gardener, 40);
    uint16_t node;

    switch (below(gardener, 14)) {
    case 0:
        return add_node(gardener, STEAD_PROGRAM_SIGNAL, tally, 0);
    case 1:
        return add_node(gardener, STEAD_PROGRAM_LATE, ms, 0);
    case 2:
        if (!place.in_child)
            return add_node(gardener, STEAD_PROGRAM_MAYBE, ms, 0);
        break;
    case 3:
        if (!place.in_lock)
            return add_node(gardener, STEAD_PROGRAM_THROW, tally, 0);
        break;
    case 4:
        if (!place.in_lock)
            return add_node(gardener, STEAD_PROGRAM_EFFECT, tally, 0);
        break;
    case 5:
        if (!place.in_lock)
            return add_node(gardener, STEAD_PROGRAM_CHANCE, tally, 0);
        break;
    case 6:
        return add_node(gardener, STEAD_PROGRAM_CLOCK, ms, 0);
    case 7:
        return add_node(gardener, STEAD_PROGRAM_STATUS, 0, 0);
    case 8:
        return add_node(gardener, STEAD_PROGRAM_SELF, ms, below(gardener, 2));
    case 9:
        if (below(gardener, 3) == 0)
            return add_node(gardener, STEAD_PROGRAM_FAIL, 0, 0);
        break;
    case 10: /* no child, which would outlive it by right */
        if (below(gardener, 2) == 0)
            break;
        node = add_node(gardener, STEAD_PROGRAM_FORGET, 0, 0);
        hang(gardener->program, node,
             below(gardener, 3) == 0 ? grow_task(gardener, place, true)
                                     : add_node(gardener, STEAD_PROGRAM_FOREVER, below(gardener, 2), 0));
        return node;
    default:
        break;
    }
    return grow_task(gardener, place, false);
}

static uint16_t grow_statement(struct gardener *gardener, struct place place)
{
    uint16_t node;

    if (gardener->budget <= 0 || place.depth >= DEPTH_MAX)
        return grow_leaf(gardener, place);
    switch (below(gardener, 10)) {
    case 0:
    case 1:
        gardener->budget--;
        return grow_group(gardener, place);
    case 2:
        if (place.in_lock)
            break;
        gardener->budget--;
        return grow_lock(gardener, place);
    case 3:
        gardener->budget--;
        node = add_node(gardener, STEAD_PROGRAM_CATCH, 0, 0);
        place.depth++;
        hang(gardener->program, node, grow_sequence(gardener, place, 3));
        return node;
    case 4:
        if (place.in_lock)
            break;
        gardener->budget--;
        return grow_child(gardener, place, STEAD_PROGRAM_TALK);
    default:
        break;
    }
    return grow_leaf(gardener, place);
}

void stead_program_generate(struct stead_program *program, uint64_t seed)
{
    struct gardener gardener = {.program = program, .state = scramble(seed)};
    struct place place = {0};

    memset(program, 0, sizeof *program);
    gardener.budget = (int)below(&gardener, BUDGET);
    program->rounds = below(&gardener, 4) == 0 ? 2 + below(&gardener, 2) : 1;
    grow_sequence(&gardener, place, 5);
}

/* ---- Inputs ------------------------------------------------------------------------------------------ */

void stead_program_input_write(struct stead_writer *writer, const struct stead_program_input *input)
{
    stead_pack(writer, "{s:u,s:u,s:u,s:u,s:u,s:u,s:u}", "seed", input->seed, "path", input->path, "total", input->total,
               "root", (uint64_t)input->root, "round", (uint64_t)input->round, "rounds", (uint64_t)input->rounds,
               "talks", input->talks);
}

int stead_program_input_read(struct stead_slice value, struct stead_program_input *ret_input)
{
    uint64_t root = 0, round = 0, rounds = 0;

    if (stead_get_u64(value, "seed", &ret_input->seed) != 0 || stead_get_u64(value, "path", &ret_input->path) != 0 ||
        stead_get_u64(value, "total", &ret_input->total) != 0 || stead_get_u64(value, "root", &root) != 0 ||
        stead_get_u64(value, "round", &round) != 0 || stead_get_u64(value, "rounds", &rounds) != 0 ||
        stead_get_u64(value, "talks", &ret_input->talks) != 0)
        return STEAD_EARGUMENT;
    ret_input->root = (uint32_t)root;
    ret_input->round = (uint32_t)round;
    ret_input->rounds = (uint32_t)rounds;
    return 0;
}

struct stead_program_input stead_program_start(const struct stead_program *program, uint64_t seed, uint64_t instance)
{
    return (struct stead_program_input){
        .seed = seed, .path = stead_program_mix(seed, instance), .total = 1, .rounds = program->rounds};
}

/* ---- For people ---------------------------------------------------------------------------------------- */

static void print_node(const struct stead_program *program, uint32_t node, uint32_t depth,
                       void (*line)(void *context, const char *text), void *context)
{
    static const char *const names[STEAD_PROGRAM_TYPES] = {
        "do",       "retry", "break",  "sleep",  "event", "child",  "call",   "refuse", "forever",
        "sequence", "all",   "sure",   "race",   "catch", "lock",   "forget", "signal", "late",
        "maybe",    "throw", "effect", "chance", "clock", "status", "self",   "talk",   "fail"};
    const struct stead_program_node *it = &program->nodes[node];
    char text[96];

    snprintf(text, sizeof text, "%*s%u %s %u %u", (int)(2 * depth), "", node, names[it->type], it->a, it->b);
    line(context, text);
    for (uint16_t below_it = it->first; below_it != 0; below_it = program->nodes[below_it].next)
        print_node(program, below_it, depth + 1, line, context);
}

void stead_program_print(const struct stead_program *program, void (*line)(void *context, const char *text),
                         void *context)
{
    print_node(program, 0, 0, line, context);
}
