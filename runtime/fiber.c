/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fiber: stackful coroutines, so that an orchestrator's straight-line C can wait.
 *
 * A switch saves what the ABI says a callee keeps, and the control words of floating point, on the stack that is left,
 * stores the stack pointer, and takes the other one: no system call, no signal mask. x86-64 and AArch64 have it in
 * assembler; elsewhere ucontext does it, which is slower by a system call.
 *
 * A stack is one mapping, a guard below and the stack above it, taken from the system on demand (MAP_NORESERVE) and
 * never zeroed by us. Free stacks are kept: up to WARM_BYTES_MAX of them with their pages, the others without
 * (madvise), so a burst of fibers leaves address space behind and no memory. The guard is 16 pages because a frame may
 * be larger than one.
 *
 * Invariants: a fiber has a stack from its creation until it ends, and no longer; a fiber that has not begun, or has
 * stopped, is in the list of the stopped, in the order of stopping, the one that runs is in none, one that has ended is
 * in the list of the ended; free stacks and those in use are together at most stacks_max.
 *
 * Each tool is told in its own words: AddressSanitizer of every change of stack (a fiber that is thrown away is entered
 * once more, only to say that its fake stack will never be needed again), ThreadSanitizer of fibers, valgrind of
 * stacks.
 *
 * This is the one file of the core that asks the system for something: memory with a hole below it. Nobody else can
 * observe that, so it is no effect.
 */
#include "stead/fiber.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "runtime/base.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#ifndef __has_include
#define __has_include(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define ASAN 1
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
#define ASAN 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define TSAN 1
#include <sanitizer/tsan_interface.h>
#else
#define TSAN 0
#endif
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(start, end) 0u
#define VALGRIND_STACK_DEREGISTER(id) (void)(id)
#endif
#if !defined(__x86_64__) && !defined(__aarch64__)
#define UCONTEXT 1
#include <ucontext.h>
#else
#define UCONTEXT 0
#endif

#define PAGE (64u << 10) /* bytes; a multiple of every page size in use */
#define GUARD PAGE
#define STACK_BYTES_DEFAULT (64u << 10)
#define STACK_BYTES_MAX (1u << 30)
#define STACKS_MAX_DEFAULT 4096u
#define WARM_BYTES_MAX (4u << 20) /* of free stacks that keep their pages */
#define SIZES_MAX 8u /* sizes of stack that are kept; stacks of further sizes go back to the system at once */
/* Instrumented frames are several times larger, and only address space is spent. */
#define SANITIZED_FACTOR (ASAN || TSAN ? 4u : 1u)

/* A mapping: GUARD bytes that may not be touched, then `bytes` of stack. */
struct stack {
    struct stack *next; /* in a list of free ones */
    uint8_t *bottom;    /* the lowest byte of the stack, above the guard */
    size_t bytes;       /* without the guard */
    unsigned valgrind;  /* valgrind's number for it */
};

/* The free stacks of one size. */
struct size_class {
    size_t bytes; /* 0: not in use yet */
    struct stack *warm;
    struct stack *cold; /* without pages */
};

enum state { NEW, RUNNING, STOPPED, ENDED };

struct stead_fiber {
    struct stead_fibers *pool;
    struct stead_fiber *before, *after; /* in the pool's list of the stopped or of the ended */
    struct stack *stack;                /* NULL once it has ended */
    stead_fiber_fn *run, *evicted;
    void *context; /* of both */
    enum state state;
    bool thrown_away; /* entered for the last time, to say goodbye */
#if UCONTEXT
    ucontext_t here, resumer;
#else
    void *here;    /* its stack pointer while it does not run */
    void *resumer; /* the stack pointer of who resumed it, while it runs */
#endif
#if ASAN
    void *fake_stack;
    const void *resumer_bottom;
    size_t resumer_bytes;
#endif
#if TSAN
    void *tsan, *tsan_resumer;
#endif
};

struct list {
    struct stead_fiber *first, *last;
};

struct stead_fibers {
    struct list stopped;         /* and not begun; the longest-stopped first */
    struct list ended;           /* and not destroyed */
    struct stead_fiber *running; /* NULL: none */
    uint32_t stacks_max;
    uint32_t in_use;     /* stacks of fibers */
    uint32_t in_use_max; /* the most there were */
    uint32_t mapped;     /* in use and free */
    size_t warm_bytes;   /* of free stacks that keep their pages */
    struct size_class sizes[SIZES_MAX];
};

/* ---- The switch ----------------------------------------------------------------------------- */

#if defined(__x86_64__)
/* Saves rbx, rbp, r12 to r15, MXCSR and the x87 control word; 64 bytes below the return address. Loading a control word
 * waits for the pipeline, so that is only done when it differs. */
__asm__(".text\n"
        ".p2align 4\n"
        ".hidden stead_fiber_switch\n"
        ".globl stead_fiber_switch\n"
        ".type stead_fiber_switch, @function\n"
        "stead_fiber_switch:\n"
        ".cfi_startproc\n"
        "    leaq -56(%rsp), %rsp\n"
        "    .cfi_def_cfa_offset 64\n"
        "    movq %rbx, 8(%rsp)\n"
        "    movq %rbp, 16(%rsp)\n"
        "    movq %r12, 24(%rsp)\n"
        "    movq %r13, 32(%rsp)\n"
        "    movq %r14, 40(%rsp)\n"
        "    movq %r15, 48(%rsp)\n"
        "    stmxcsr (%rsp)\n"
        "    fnstcw 4(%rsp)\n"
        "    movl (%rsp), %eax\n"
        "    movzwl 4(%rsp), %ecx\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    cmpl (%rsp), %eax\n"
        "    jne 3f\n"
        "1:  cmpw 4(%rsp), %cx\n"
        "    jne 4f\n"
        "2:  movq 8(%rsp), %rbx\n"
        "    movq 16(%rsp), %rbp\n"
        "    movq 24(%rsp), %r12\n"
        "    movq 32(%rsp), %r13\n"
        "    movq 40(%rsp), %r14\n"
        "    movq 48(%rsp), %r15\n"
        "    leaq 56(%rsp), %rsp\n"
        "    .cfi_def_cfa_offset 8\n"
        "    popq %rcx\n"
        "    .cfi_def_cfa_offset 0\n"
        "    .cfi_register rip, rcx\n"
        "    jmpq *%rcx\n" /* not ret: the processor would predict the return of whoever called us */
        "    .cfi_def_cfa_offset 64\n"
        "    .cfi_restore rip\n"
        "3:  ldmxcsr (%rsp)\n"
        "    jmp 1b\n"
        "4:  fldcw 4(%rsp)\n"
        "    jmp 2b\n"
        ".cfi_endproc\n"
        ".size stead_fiber_switch, .-stead_fiber_switch\n"
        ".p2align 4\n"
        ".hidden stead_fiber_first\n"
        ".globl stead_fiber_first\n"
        ".type stead_fiber_first, @function\n"
        "stead_fiber_first:\n"
        ".cfi_startproc\n"
        ".cfi_undefined rip\n"
        "    movq %r12, %rdi\n"
        "    call *%r13\n"
        "    ud2\n"
        ".cfi_endproc\n"
        ".size stead_fiber_first, .-stead_fiber_first\n");
#elif defined(__aarch64__)
/* Saves x19 to x30, d8 to d15 and FPCR: 176 bytes. */
__asm__(".text\n"
        ".p2align 4\n"
        ".hidden stead_fiber_switch\n"
        ".globl stead_fiber_switch\n"
        ".type stead_fiber_switch, %function\n"
        "stead_fiber_switch:\n"
        ".cfi_startproc\n"
        "    sub sp, sp, #176\n"
        "    .cfi_def_cfa_offset 176\n"
        "    stp x19, x20, [sp, #0]\n"
        "    stp x21, x22, [sp, #16]\n"
        "    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n"
        "    stp x27, x28, [sp, #64]\n"
        "    stp x29, x30, [sp, #80]\n"
        "    .cfi_offset x29, -96\n"
        "    .cfi_offset x30, -88\n"
        "    stp d8, d9, [sp, #96]\n"
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mrs x3, fpcr\n"
        "    str x3, [sp, #160]\n"
        "    mov x2, sp\n"
        "    str x2, [x0]\n"
        "    mov sp, x1\n"
        "    ldr x2, [sp, #160]\n"
        "    cmp x2, x3\n"
        "    b.eq 1f\n"
        "    msr fpcr, x2\n"
        "1:  ldp x19, x20, [sp, #0]\n"
        "    ldp x21, x22, [sp, #16]\n"
        "    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n"
        "    ldp x27, x28, [sp, #64]\n"
        "    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #176\n"
        "    .cfi_def_cfa_offset 0\n"
        "    ret\n"
        ".cfi_endproc\n"
        ".size stead_fiber_switch, .-stead_fiber_switch\n"
        ".p2align 4\n"
        ".hidden stead_fiber_first\n"
        ".globl stead_fiber_first\n"
        ".type stead_fiber_first, %function\n"
        "stead_fiber_first:\n"
        ".cfi_startproc\n"
        ".cfi_undefined x30\n"
        "    mov x0, x19\n"
        "    blr x20\n"
        "    brk #1\n"
        ".cfi_endproc\n"
        ".size stead_fiber_first, .-stead_fiber_first\n");
#endif

static _Noreturn void fiber_main(struct stead_fiber *fiber);

#if UCONTEXT
static void enter_context(unsigned high, unsigned low)
{
    fiber_main((struct stead_fiber *)(uintptr_t)((uint64_t)high << 32 | low));
}

static void prepare(struct stead_fiber *fiber)
{
    uint64_t self = (uint64_t)(uintptr_t)fiber;

    STEAD_ASSERT(getcontext(&fiber->here) == 0);
    fiber->here.uc_stack.ss_sp = fiber->stack->bottom;
    fiber->here.uc_stack.ss_size = fiber->stack->bytes;
    fiber->here.uc_link = NULL;
    makecontext(&fiber->here, (void (*)(void))enter_context, 2, (unsigned)(self >> 32), (unsigned)self);
}
#define SWITCH(from, to) swapcontext(from, to)
#define PLACE(context) (&(context))
#else
/* Leaves this stack, whose pointer goes to `*ret_here`, for the one at `there`. */
void stead_fiber_switch(void **ret_here, void *there);
/* Where a fiber begins: takes what prepare() left in its registers. */
void stead_fiber_first(void);

/* Lays out what the first switch to the fiber takes from its stack. It begins with the control words of its creator. */
static void prepare(struct stead_fiber *fiber)
{
    uint64_t *top = (uint64_t *)(void *)(fiber->stack->bottom + fiber->stack->bytes);
    uint64_t self = (uint64_t)(uintptr_t)fiber, begin = (uint64_t)(uintptr_t)fiber_main;

#if defined(__x86_64__)
    uint64_t *frame =
        top - 10; /* 56 bytes, the return address, and 16 so that the stack is aligned where ABI wants it */
    uint32_t mxcsr;
    uint16_t control;

    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(control));
    memset(frame, 0, 80);
    frame[0] = mxcsr | (uint64_t)control << 32;
    frame[3] = self;  /* r12 */
    frame[4] = begin; /* r13 */
    frame[7] = (uint64_t)(uintptr_t)stead_fiber_first;
#else
    uint64_t *frame = top - 24, control; /* 176 bytes and 16 */

    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    memset(frame, 0, 192);
    frame[0] = self;  /* x19 */
    frame[1] = begin; /* x20 */
    frame[11] = (uint64_t)(uintptr_t)stead_fiber_first;
    frame[20] = control;
#endif
    fiber->here = frame;
}
#define SWITCH(from, to) stead_fiber_switch(from, *(to))
#define PLACE(context) (&(context))
#endif

/* From whoever resumes to the fiber, and back again. */
static void switch_in(struct stead_fiber *fiber)
{
#if ASAN
    void *fake_stack;
    __sanitizer_start_switch_fiber(&fake_stack, fiber->stack->bottom, fiber->stack->bytes);
#endif
#if TSAN
    fiber->tsan_resumer = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(fiber->tsan, 0);
#endif
    (void)SWITCH(PLACE(fiber->resumer), PLACE(fiber->here));
#if ASAN
    __sanitizer_finish_switch_fiber(fake_stack, NULL, NULL);
#endif
}

/* From the fiber to whoever resumed it, and, unless it is for good, back again. */
static void switch_out(struct stead_fiber *fiber, bool for_good)
{
#if ASAN
    __sanitizer_start_switch_fiber(for_good ? NULL : &fiber->fake_stack, fiber->resumer_bottom, fiber->resumer_bytes);
#endif
#if TSAN
    __tsan_switch_to_fiber(fiber->tsan_resumer, 0);
#endif
    (void)for_good;
    (void)SWITCH(PLACE(fiber->here), PLACE(fiber->resumer));
#if ASAN
    __sanitizer_finish_switch_fiber(fiber->fake_stack, &fiber->resumer_bottom, &fiber->resumer_bytes);
#endif
}

static _Noreturn void fiber_main(struct stead_fiber *fiber)
{
#if ASAN
    __sanitizer_finish_switch_fiber(NULL, &fiber->resumer_bottom, &fiber->resumer_bytes);
#endif
    fiber->run(fiber->context);
    fiber->state = ENDED;
    switch_out(fiber, true);
    stead_assert_failed("a fiber that has ended is never resumed", __FILE__, __LINE__);
}

/* ---- Lists ---------------------------------------------------------------------------------- */

static void list_append(struct list *list, struct stead_fiber *fiber)
{
    fiber->before = list->last;
    fiber->after = NULL;
    if (list->last == NULL)
        list->first = fiber;
    else
        list->last->after = fiber;
    list->last = fiber;
}

static void list_remove(struct list *list, struct stead_fiber *fiber)
{
    if (fiber->before == NULL)
        list->first = fiber->after;
    else
        fiber->before->after = fiber->after;
    if (fiber->after == NULL)
        list->last = fiber->before;
    else
        fiber->after->before = fiber->before;
}

/* ---- Stacks --------------------------------------------------------------------------------- */

/* NULL when the system gives none. */
static struct stack *map_stack(size_t bytes)
{
    uint8_t *base = mmap(NULL, GUARD + bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

    if (base == MAP_FAILED)
        return NULL;
    if (mprotect(base, GUARD, PROT_NONE) != 0) { /* too many mappings */
        STEAD_ASSERT(munmap(base, GUARD + bytes) == 0);
        return NULL;
    }
    struct stack *stack = stead_alloc_zero(sizeof *stack);
    stack->bottom = base + GUARD;
    stack->bytes = bytes;
    stack->valgrind = VALGRIND_STACK_REGISTER(stack->bottom, stack->bottom + bytes);
    return stack;
}

static void unmap_stack(struct stead_fibers *pool, struct stack *stack)
{
    VALGRIND_STACK_DEREGISTER(stack->valgrind);
    STEAD_ASSERT(munmap(stack->bottom - GUARD, GUARD + stack->bytes) == 0);
    free(stack);
    pool->mapped--;
}

/* The free stacks of this size, NULL when such stacks are not kept. */
static struct size_class *class_of(struct stead_fibers *pool, size_t bytes)
{
    for (uint32_t i = 0; i < SIZES_MAX; i++) {
        struct size_class *size = &pool->sizes[i];
        if (size->bytes == 0)
            size->bytes = bytes;
        if (size->bytes == bytes)
            return size;
    }
    return NULL;
}

static struct stack *pop_stack(struct stead_fibers *pool, struct size_class *size)
{
    struct stack *stack = size->warm;

    if (stack != NULL) {
        size->warm = stack->next;
        pool->warm_bytes -= stack->bytes;
        return stack;
    }
    stack = size->cold;
    if (stack != NULL)
        size->cold = stack->next;
    return stack;
}

static void give_stack(struct stead_fibers *pool, struct stack *stack)
{
    struct size_class *size = class_of(pool, stack->bytes);

#if ASAN /* frames that never returned have left their red zones */
    __asan_unpoison_memory_region(stack->bottom, stack->bytes);
#endif
    pool->in_use--;
    if (size == NULL) {
        unmap_stack(pool, stack);
    } else if (pool->warm_bytes + stack->bytes <= WARM_BYTES_MAX) {
        pool->warm_bytes += stack->bytes;
        stack->next = size->warm;
        size->warm = stack;
    } else {
        (void)madvise(stack->bottom, stack->bytes, MADV_DONTNEED); /* refused: it stays warm, which is no harm */
        stack->next = size->cold;
        size->cold = stack;
    }
}

/* Gives one free stack back to the system. False: there is none. */
static bool unmap_free(struct stead_fibers *pool)
{
    for (uint32_t i = 0; i < SIZES_MAX; i++) {
        struct stack *stack = pop_stack(pool, &pool->sizes[i]);
        if (stack != NULL) {
            unmap_stack(pool, stack);
            return true;
        }
    }
    return false;
}

static bool evict_oldest(struct stead_fibers *pool);

/* A stack of this size; takes it from the oldest fiber when there must be no more, or the system gives none. */
static struct stack *take_stack(struct stead_fibers *pool, size_t bytes)
{
    struct stack *stack;

    if (pool->in_use == pool->stacks_max && !evict_oldest(pool))
        return NULL;
    for (;;) {
        struct size_class *size = class_of(pool, bytes);
        stack = size == NULL ? NULL : pop_stack(pool, size);
        if (stack != NULL)
            break;
        if (pool->mapped == pool->stacks_max)
            STEAD_ASSERT(unmap_free(pool)); /* of another size: fewer than stacks_max are in use */
        stack = map_stack(bytes);
        if (stack != NULL) {
            pool->mapped++;
            break;
        }
        if (!unmap_free(pool) && !evict_oldest(pool))
            return NULL;
    }
    pool->in_use++;
    if (pool->in_use > pool->in_use_max)
        pool->in_use_max = pool->in_use;
    return stack;
}

/* ---- Pools ---------------------------------------------------------------------------------- */

struct stead_fibers *stead_fibers_create(uint32_t stacks_max)
{
    struct stead_fibers *pool = stead_alloc_zero(sizeof *pool);

    pool->stacks_max = stacks_max == 0 ? STACKS_MAX_DEFAULT : stacks_max;
    return pool;
}

/* Takes the stack of a fiber that does not run, which is in a list. */
static void bury(struct stead_fiber *fiber)
{
    struct stead_fibers *pool = fiber->pool;

    list_remove(fiber->state == ENDED ? &pool->ended : &pool->stopped, fiber);
#if ASAN
    if (fiber->state == STOPPED) {
        fiber->thrown_away = true;
        switch_in(fiber);
    }
#endif
    if (fiber->stack != NULL)
        give_stack(pool, fiber->stack);
#if TSAN
    __tsan_destroy_fiber(fiber->tsan);
#endif
}

static void destroy_all(struct stead_fiber *first)
{
    for (struct stead_fiber *fiber = first, *next; fiber != NULL; fiber = next) {
        next = fiber->after;
        bury(fiber);
        free(fiber);
    }
}

void stead_fibers_destroy(struct stead_fibers **consumed)
{
    struct stead_fibers *pool = *consumed;

    *consumed = NULL;
    if (pool == NULL)
        return;
    STEAD_ASSERT(pool->running == NULL);
    destroy_all(pool->stopped.first);
    destroy_all(pool->ended.first);
    while (unmap_free(pool))
        ;
    STEAD_ASSERT(pool->mapped == 0);
    free(pool);
}

uint32_t stead_fibers_count(const struct stead_fibers *fibers)
{
    return fibers->in_use;
}

uint32_t stead_fibers_count_max(const struct stead_fibers *fibers)
{
    return fibers->in_use_max;
}

/* False: no fiber has a stack that could be taken. */
static bool evict_oldest(struct stead_fibers *pool)
{
    struct stead_fiber *fiber = pool->stopped.first;

    if (fiber == NULL)
        return false;
    bury(fiber);
    if (fiber->evicted != NULL)
        fiber->evicted(fiber->context);
    free(fiber);
    return true;
}

/* ---- Fibers --------------------------------------------------------------------------------- */

struct stead_fiber *stead_fiber_create(struct stead_fibers *fibers, size_t stack_bytes, stead_fiber_fn *run,
                                       stead_fiber_fn *evicted, void *context)
{
    size_t bytes = stack_bytes == 0 ? STACK_BYTES_DEFAULT : stack_bytes;

    if (bytes > STACK_BYTES_MAX)
        return NULL;
    bytes = (bytes * SANITIZED_FACTOR + PAGE - 1) / PAGE * PAGE;
    struct stack *stack = take_stack(fibers, bytes);
    if (stack == NULL)
        return NULL;
    struct stead_fiber *fiber = stead_alloc_zero(sizeof *fiber);
    fiber->pool = fibers;
    fiber->stack = stack;
    fiber->run = run;
    fiber->evicted = evicted;
    fiber->context = context;
    prepare(fiber);
#if TSAN
    fiber->tsan = __tsan_create_fiber(0);
#endif
    list_append(&fibers->stopped, fiber);
    return fiber;
}

bool stead_fiber_resume(struct stead_fiber *fiber)
{
    struct stead_fibers *pool = fiber->pool;

    STEAD_ASSERT(pool->running == NULL && (fiber->state == NEW || fiber->state == STOPPED));
    list_remove(&pool->stopped, fiber);
    fiber->state = RUNNING;
    pool->running = fiber;
    switch_in(fiber);
    pool->running = NULL;
    if (fiber->state == STOPPED) {
        list_append(&pool->stopped, fiber);
        return true;
    }
    list_append(&pool->ended, fiber);
    give_stack(pool, fiber->stack);
    fiber->stack = NULL;
    return false;
}

void stead_fiber_stop(struct stead_fiber *fiber)
{
    STEAD_ASSERT(fiber->pool->running == fiber && fiber->state == RUNNING);
    fiber->state = STOPPED;
    switch_out(fiber, false);
    if (fiber->thrown_away)
        switch_out(fiber, true);
}

void stead_fiber_destroy(struct stead_fiber **consumed)
{
    struct stead_fiber *fiber = *consumed;

    *consumed = NULL;
    if (fiber == NULL)
        return;
    STEAD_ASSERT(fiber->state != RUNNING);
    bury(fiber);
    free(fiber);
}
