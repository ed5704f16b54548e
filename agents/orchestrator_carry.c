/* SPDX-License-Identifier: Apache-2.0 */
/*
 * orchestrator_carry: events that nobody has taken outlive an execution that begins anew.
 *
 * Carried events have numbers, from 1, never given twice in the life of an instance, and a row each ('e'). A new
 * execution's engine has them before its history: so a replay takes the same ones. They stay where they are for as many
 * executions as leave them untaken; what an execution has taken is deleted when it has ended, for its replay needs it
 * (O8). So a continue-as-new costs what its execution has taken, and what came in it and was left.
 *
 *     carried_swept        carried_first                       carried_last
 *     ----+----------------------+-----------------------------------+
 *         | not wanted: swept    | untaken, or taken by this         | the next one
 *         |                      | execution; holes: taken before    |
 *
 * What is few is done by the turn that ends the execution. What is many is listed in rows of that execution ('u', first
 * id 1: its own events that go on; 2: numbers that were taken), and done by further turns, a page each; the new
 * execution's code waits for them (`moving`), and its inputs are kept. A list is msgpack integers: the first, and
 * differences.
 */
#include "agents/orchestrator.h"

#ifdef STEAD_AGENT_FAULTS /* the simulator: its programs have few events */
#define FEW_EVENTS 1u
#define PAGE_EVENTS 2u
#else
#define FEW_EVENTS 256u   /* carried, or deleted, by the turn that ends the execution */
#define PAGE_EVENTS 1000u /* carried, or deleted, by a further one */
#endif
#define FEW_BYTES (1u << 20)    /* carried by the turn that ends the execution */
#define PAGE_BYTES (4u << 20)   /* carried by a further one */
#define PAGE_EVENTS_READ 16384u /* of the history, by a further one */
#define PARTS_MAX 8u            /* of one event's row */

enum list {
    LIST_OWN = 1,
    LIST_TAKEN = 2,
};

/* ---- Numbers -------------------------------------------------------------------------------- */

struct numbers {
    uint64_t *all; /* owned */
    uint32_t count, capacity;
};

static void add_number(struct numbers *numbers, uint64_t number)
{
    if (numbers->count == numbers->capacity) {
        numbers->capacity = numbers->capacity == 0 ? 64 : numbers->capacity * 2;
        numbers->all = realloc(numbers->all, numbers->capacity * sizeof(*numbers->all));
        STEAD_ENGINE_ASSERT(numbers->all != NULL);
    }
    numbers->all[numbers->count++] = number;
}

static int compare(const void *a, const void *b)
{
    uint64_t x, y;

    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return x < y ? -1 : x > y;
}

static void sort(struct numbers *numbers)
{
    if (numbers->count > 1)
        qsort(numbers->all, numbers->count, sizeof(*numbers->all), compare);
}

static int put_list(struct stead_turn *turn, uint32_t execution, enum list which, const struct numbers *numbers)
{
    struct stead_writer list;
    uint64_t before = 0;

    stead_writer_init(&list);
    for (uint32_t i = 0; i < numbers->count; i++) {
        stead_write_u64(&list, numbers->all[i] - before);
        before = numbers->all[i];
    }
    int code = stead_row_put(turn, 'u', execution, which, stead_written(&list));
    stead_writer_deinit(&list);
    return code;
}

struct listing {
    enum list which;
    struct numbers numbers; /* those behind `after` */
    uint64_t after;
    int code;
};

static int visit_list(void *context, uint64_t first, struct stead_slice row)
{
    struct listing *listing = context;
    struct stead_reader reader = stead_reader(row);
    uint64_t number = 0, difference = 0;

    if (first != listing->which)
        return 1;
    while (listing->code == 0 && reader.at < reader.end) {
        listing->code = stead_read_u64(&reader, &difference);
        number += difference;
        if (listing->code == 0 && number > listing->after)
            add_number(&listing->numbers, number);
    }
    return 1;
}

/* The numbers of a list behind `after`; none when there is no such list. */
static int get_list(struct stead_turn *turn, uint32_t execution, enum list which, uint64_t after,
                    struct numbers *ret_numbers)
{
    struct listing listing = {.which = which, .after = after};

    int code = stead_rows_visit_class(turn, 'u', execution, which, visit_list, &listing);
    if (code == 0 && listing.code != 0)
        code = STEAD_ECORRUPT;
    if (code == 0)
        *ret_numbers = listing.numbers;
    else
        free(listing.numbers.all);
    return code;
}

/* ---- The turn that ends an execution -------------------------------------------------------- */

struct carrying {
    struct stead_turn *turn;
    struct stead_orchestration_state *it;
    struct numbers own, untaken, taken; /* ids of its own events; numbers of carried ones */
    size_t own_bytes;
    struct stead_row_writer rows;
};

static void divide(void *context, const struct stead_history_event *event)
{
    struct carrying *carrying = context;

    if (event->ref != 0) {
        add_number(&carrying->untaken, event->ref);
        return;
    }
    add_number(&carrying->own, event->id);
    carrying->own_bytes += event->name.size + event->value.size;
}

/* Those that went into the engine and are not left; those below all that are left are swept, and not among them. */
static void find_taken(struct carrying *carrying, const struct stead_resident *ended)
{
    const struct numbers *untaken = &carrying->untaken;

    for (uint32_t i = 0, at = 0; untaken->count > 0 && i < ended->carried_count; i++) {
        while (at < untaken->count && untaken->all[at] < ended->carried[i])
            at++;
        bool left = at < untaken->count && untaken->all[at] == ended->carried[i];
        if (!left && ended->carried[i] > untaken->all[0])
            add_number(&carrying->taken, ended->carried[i]);
    }
}

static int clear(struct stead_turn *turn, uint64_t number)
{
    uint8_t low[STEAD_ROW_KEY_MAX], high[STEAD_ROW_KEY_MAX];

    return stead_kv_delete_range(turn, stead_row_key_of(low, 'e', 0, number),
                                 stead_row_key_of(high, 'e', 0, number + 1), PARTS_MAX, NULL);
}

static int clear_taken(struct carrying *carrying)
{
    const struct numbers *taken = &carrying->taken;
    int code = 0;

    for (uint32_t i = 0; code == 0 && i < taken->count && taken->count <= FEW_EVENTS; i++)
        code = clear(carrying->turn, taken->all[i]);
    if (taken->count <= FEW_EVENTS && !stead_orchestration_is_unread(code))
        return code;
    carrying->it->moving = carrying->it->execution - 1;
    return put_list(carrying->turn, carrying->it->moving, LIST_TAKEN, taken);
}

/* Its number follows from its place among all that go on. */
static void carry(void *context, const struct stead_history_event *event)
{
    struct carrying *carrying = context;
    const struct numbers *own = &carrying->own;
    struct stead_history_event carried = *event;
    uint32_t low = 0, high = own->count;

    if (event->ref != 0)
        return;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (own->all[middle] < event->id)
            low = middle + 1;
        else
            high = middle;
    }
    carried.id = carrying->it->carried_last + 1 + low;
    carried.time_ms = carrying->it->open_ms;
    stead_row_writer_add(&carrying->rows, &carried);
}

static int carry_own(struct carrying *carrying, const struct stead_engine *engine)
{
    struct stead_orchestration_state *it = carrying->it;

    if (carrying->own.count > FEW_EVENTS || carrying->own_bytes > FEW_BYTES) {
        it->moving = it->execution - 1;
        return put_list(carrying->turn, it->moving, LIST_OWN, &carrying->own);
    }
    carrying->rows = (struct stead_row_writer){.turn = carrying->turn, .carried = true};
    stead_writer_init(&carrying->rows.events);
    stead_writer_init(&carrying->rows.rows);
    stead_engine_untaken(engine, carry, carrying);
    it->carried_last += carrying->own.count;
    int code = stead_row_writer_end(&carrying->rows);
    stead_row_writer_deinit(&carrying->rows);
    return code;
}

int stead_carry_begin(struct stead_turn *turn, struct stead_orchestration_state *it, const struct stead_resident *ended)
{
    struct carrying carrying = {.turn = turn, .it = it};

    stead_engine_untaken(ended->engine, divide, &carrying);
    sort(&carrying.own);
    sort(&carrying.untaken);
    find_taken(&carrying, ended);
    it->carried_first = carrying.untaken.count > 0 ? carrying.untaken.all[0] : it->carried_last + 1;
    it->moved = it->cleared = 0;
    int code = clear_taken(&carrying);
    if (code == 0)
        code = carry_own(&carrying, ended->engine);
    free(carrying.own.all);
    free(carrying.untaken.all);
    free(carrying.taken.all);
    return code;
}

/* ---- Further turns -------------------------------------------------------------------------- */

/* `ret_done`: the list is at its end. */
static int clear_page(struct stead_turn *turn, struct stead_orchestration_state *it, bool *ret_done)
{
    struct numbers taken = {.count = 0};
    uint32_t i = 0;

    int code = get_list(turn, it->moving, LIST_TAKEN, it->cleared, &taken);
    for (; code == 0 && i < taken.count && i < PAGE_EVENTS; i++) {
        code = clear(turn, taken.all[i]);
        it->cleared = code == 0 ? taken.all[i] : it->cleared;
    }
    *ret_done = code == 0 && i == taken.count && i < PAGE_EVENTS;
    free(taken.all);
    return code;
}

struct moving {
    struct stead_orchestration_state *it;
    const struct numbers *own;
    uint32_t at;   /* the next one of them */
    uint32_t read; /* events */
    size_t bytes;
    struct stead_row_writer rows;
    int code;
};

static int move_row(void *context, uint64_t first, struct stead_slice row)
{
    struct moving *moving = context;
    struct stead_history_row reader;
    struct stead_history_event event;

    (void)first;
    moving->code = stead_history_row_begin(row, &reader);
    while (moving->code == 0 && moving->at < moving->own->count) {
        moving->code = stead_history_row_next(&reader, &event);
        if (moving->code != 0)
            break;
        moving->read++;
        if (event.id != moving->own->all[moving->at])
            continue;
        moving->bytes += event.name.size + event.value.size;
        moving->it->moved = event.id;
        event.id = ++moving->it->carried_last;
        stead_row_writer_add(&moving->rows, &event);
        moving->at++;
        if (moving->at >= PAGE_EVENTS || moving->bytes >= PAGE_BYTES)
            return 1;
    }
    moving->code = moving->code == STEAD_ENOTFOUND ? 0 : moving->code;
    return moving->code != 0 || moving->at == moving->own->count || moving->read >= PAGE_EVENTS_READ;
}

static int move_page(struct stead_turn *turn, struct stead_orchestration_state *it, bool *ret_done)
{
    struct numbers own = {.count = 0};
    struct moving moving = {.it = it, .own = &own, .rows = {.turn = turn, .carried = true}};
    uint64_t first = 0, moved = it->moved, last = it->carried_last;

    stead_writer_init(&moving.rows.events);
    stead_writer_init(&moving.rows.rows);
    int code = get_list(turn, it->moving, LIST_OWN, it->moved, &own);
    if (code == 0 && own.count > 0) {
        code = stead_rows_find(turn, it->moving, own.all[0], &first);
        if (code == 0)
            code = stead_rows_visit(turn, it->moving, first, move_row, &moving);
        code = code != 0 ? code : moving.code;
        if (code == 0 && moving.at == 0)
            code = STEAD_ECORRUPT; /* what is listed is not there */
    }
    if (code == 0)
        code = stead_row_writer_end(&moving.rows);
    *ret_done = code == 0 && moving.at == own.count;
    if (code != 0) { /* none is written */
        it->moved = moved;
        it->carried_last = last;
    }
    stead_row_writer_deinit(&moving.rows);
    free(own.all);
    return code;
}

int stead_carry_move(struct stead_turn *turn, struct stead_orchestration_state *it)
{
    bool done = false;

    int code = clear_page(turn, it, &done);
    if (code == 0 && done)
        code = move_page(turn, it, &done);
    if (code == 0 && done)
        it->moving = 0;
    return code;
}

/* ---- Reading, and the end ------------------------------------------------------------------- */

int stead_carry_visit(struct stead_turn *turn, const struct stead_orchestration_state *it, stead_rows_visit_fn *visit,
                      void *context)
{
    const struct stead_resident *resident = it->resident;
    uint64_t from = it->carried_first;

    if (resident->carried_count > 0)
        from = resident->carried[resident->carried_count - 1] + 1;
    return from > it->carried_last ? 0 : stead_rows_visit_class(turn, 'e', 0, from, visit, context);
}

void stead_carry_note(struct stead_resident *resident, uint64_t number)
{
    struct numbers numbers = {
        .all = resident->carried, .count = resident->carried_count, .capacity = resident->carried_capacity};

    add_number(&numbers, number);
    resident->carried = numbers.all;
    resident->carried_count = numbers.count;
    resident->carried_capacity = numbers.capacity;
}

int stead_carry_sweep(struct stead_turn *turn, struct stead_orchestration_state *it, bool *ret_more)
{
    uint8_t low[STEAD_ROW_KEY_MAX], high[STEAD_ROW_KEY_MAX];
    uint32_t count = 0;

    if (it->carried_swept >= it->carried_first)
        return 0;
    int code = stead_kv_delete_range(turn, stead_row_key_of(low, 'e', 0, it->carried_swept),
                                     stead_row_key_of(high, 'e', 0, it->carried_first), PAGE_EVENTS, &count);
    *ret_more = count == PAGE_EVENTS;
    if (!*ret_more)
        it->carried_swept = it->carried_first;
    return code;
}
