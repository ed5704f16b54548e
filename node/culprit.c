/* SPDX-License-Identifier: Apache-2.0 */
/*
 * culprit: a handler that writes one word into a mapped file and lets the process die of what it would have died of.
 *
 * Signals of faults come to the thread that made them, abort() raises on the thread that calls it, and functions of
 * atexit() run on the thread that calls exit(): so what a thread knows of itself is enough. The job may have used up
 * its stack: the handler has one of its own. What an instruction did it does again under the handler that was there
 * before, so a core, or a sanitizer, shows where.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS, sigaltstack */
#include "node/culprit.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "node/signals.h"

#define STACK_SIZE (64u << 10) /* bytes; a context with all vector registers takes some kilobytes */

static struct sigaction before[STEAD_FAULT_SIGNALS]; /* what stood there when ours was installed; written once */
static pthread_once_t installed = PTHREAD_ONCE_INIT;
static pthread_key_t stack_key; /* frees a thread's stack at its end */

static _Thread_local struct {
    struct stead_turnmarks *marks; /* NULL: no job, nor a reactor */
    uint32_t slot;                 /* or the reactor's number */
    bool turns;                    /* a reactor */
} mine;
static _Thread_local bool has_stack;

static void blame(void)
{
    if (mine.marks && mine.turns)
        stead_turnmarks_turn_blame(mine.marks, mine.slot);
    else if (mine.marks)
        stead_turnmarks_job_blame(mine.marks, mine.slot);
}

/* Returning from this one repeats the instruction. */
static bool is_repeated(int number, const siginfo_t *info)
{
    return info->si_code > 0 && (number == SIGSEGV || number == SIGBUS || number == SIGFPE || number == SIGILL);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    (void)context;
    blame();
    for (size_t i = 0; i < STEAD_FAULT_SIGNALS; i++) {
        if (stead_fault_signals[i] == number)
            sigaction(number, &before[i], NULL);
    }
    if (!is_repeated(number, info))
        raise(number); /* blocked until this returns; then whoever was there before has it */
}

static void free_stack(void *stack)
{
    stack_t none = {.ss_flags = SS_DISABLE};

    sigaltstack(&none, NULL);
    munmap(stack, STACK_SIZE);
}

static void install(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_ONSTACK | SA_SIGINFO};

    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < STEAD_FAULT_SIGNALS; i++)
        sigaction(stead_fault_signals[i], &action, &before[i]);
    atexit(blame);
    pthread_key_create(&stack_key, free_stack);
}

/* A thread that has a stack for signals, of a sanitizer, keeps it. */
static void need_stack(void)
{
    stack_t stack;

    has_stack = true;
    if (sigaltstack(NULL, &stack) != 0 || !(stack.ss_flags & SS_DISABLE))
        return;
    void *memory = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return;
    stack = (stack_t){.ss_sp = memory, .ss_size = STACK_SIZE};
    if (sigaltstack(&stack, NULL) != 0 || pthread_setspecific(stack_key, memory) != 0)
        munmap(memory, STACK_SIZE);
}

void stead_culprit_begin(struct stead_turnmarks *marks, uint32_t slot, struct stead_id id)
{
    pthread_once(&installed, install);
    if (!has_stack)
        need_stack();
    stead_turnmarks_job_begin(marks, slot, id);
    mine.slot = slot;
    mine.marks = marks;
}

void stead_culprit_reactor(struct stead_turnmarks *marks, uint32_t reactor)
{
    pthread_once(&installed, install);
    if (!has_stack)
        need_stack();
    mine.slot = reactor;
    mine.turns = true;
    mine.marks = marks;
}

void stead_culprit_end(void)
{
    stead_turnmarks_job_end(mine.marks, mine.slot);
    mine.marks = NULL;
}

void stead_culprit_reactor_end(void)
{
    mine.turns = false;
    mine.marks = NULL;
}
