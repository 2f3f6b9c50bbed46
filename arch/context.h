// SPDX-License-Identifier: MIT
// context - a stack and the point where it goes on; the switch between two of them.
//
//      context_make                     first switch to it             fn returns
//      [ entry frame on the stack ] --> enter(word), fn(arguments) --> leave(value), never returns
//
// A switch saves the six registers that a callee must keep and the stack pointer, nothing else:
// MXCSR and the x87 control word belong to the thread, errno to the scheduler (decision 12). The
// word that the switcher passes is what the other side's switch returns, so that a scheduler
// learns on which thread it woke without reading a thread-local.
//
// The sanitizers are told of every switch: ASan which stack is live, TSan which fiber runs. The
// code between the announcement and the switch is not instrumented and calls nothing else.
#pragma once

#include <assert.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define CONTEXT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CONTEXT_ASAN 1
#endif
#endif

#if defined(__SANITIZE_THREAD__)
#define CONTEXT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CONTEXT_TSAN 1
#endif
#endif

// What a call's arguments are in registers and on the stack: the spawn stub fills one, the entry
// frame plays it back. Offsets are known to spawn.S and context.S.
#if defined(__aarch64__)
#define ARCH_INTS 8
#else
#define ARCH_INTS 6
#endif

struct arch_call {
    alignas(16) uint64_t ints[ARCH_INTS];
    unsigned char vectors[8][16];
    unsigned char stack[128];
};

static_assert(offsetof(struct arch_call, vectors) == 8 * ARCH_INTS, "known to spawn.S");
static_assert(offsetof(struct arch_call, stack) == 8 * ARCH_INTS + 128,
              "known to spawn.S");

#if defined(__x86_64__)
#include "arch/x86_64/frame.h"
#elif defined(__aarch64__)
#include "arch/aarch64/frame.h"
#else
#error "no switch for this architecture: see arch/"
#endif

struct context {
    void *sp; // where it goes on; meaningless while it runs
#if defined(CONTEXT_ASAN) || defined(CONTEXT_TSAN)
    void (*enter)(void *word); // of its first activation
#endif
#ifdef CONTEXT_ASAN
    const void *low; // its stack
    size_t bytes;
    void *fake; // ASan's fake frames while it does not run
#endif
#ifdef CONTEXT_TSAN
    void *fiber;
    bool borrowed; // the thread's own: never destroyed here
#endif
};

// The assembler's entries of context_make, with all that fn may take and with integers only.
void arch_entry(void);
void arch_entry_ints(void);
#if defined(CONTEXT_ASAN) || defined(CONTEXT_TSAN)
// What context_make does for sanitizers.
void context_make_fiber(struct context *c, void *low, void *top,
                        void (*enter)(void *word));
void context_first_arrival(void *word);
#endif

// Prepares a context on the empty stack from low to top: its first activation calls enter(word)
// with the switcher's word, then fn with the captured arguments, then leave(value), which must not
// return; 'value' is what fn left in the register of integer results. 'only_ints': fn takes
// nothing but what stands in call->ints; the frame is a third then, and fewer cache lines are most
// of what a short life saves.
//
// leave runs on the stack below *ret_low_mark, which is set to where fn's frame begins: leave would
// overwrite that frame, as any call would. What must outlive fn there (an open scope) is kept by
// moving the mark down to it, to an address divisible by 16, before fn returns.
static inline void context_make(struct context *c, void *low, void *top,
                                const struct arch_call *call, bool only_ints,
                                void (*fn)(void), void (*enter)(void *word),
                                void (*leave)(uintptr_t value), void **ret_low_mark)
{
    size_t bytes = only_ints ? FRAME_BYTES_INTS : FRAME_BYTES;
    uintptr_t base = ((uintptr_t)top & ~(uintptr_t)15) - bytes;
    struct entry_frame *frame = (struct entry_frame *)base;

#if defined(CONTEXT_ASAN) || defined(CONTEXT_TSAN)
    context_make_fiber(c, low, top, enter);
    enter = context_first_arrival;
#else
    (void)low;
#endif
    // The registers that nobody reads are zero, the frame pointer above all: walks end there.
    memset(frame, 0, offsetof(struct entry_frame, call));
    frame->low_mark = (uintptr_t)ret_low_mark;
    *ret_low_mark = (void *)(base + bytes);
    frame->leave = (uintptr_t)leave;
    frame->enter = (uintptr_t)enter;
    frame->base = base;
    frame->fn = (uintptr_t)fn;
    c->sp = frame;
    // Two copies of constant size: one of a size that is looked at becomes a string instruction,
    // which takes longer to begin than all that is copied here.
    if (only_ints) {
        frame->entry = (uintptr_t)arch_entry_ints;
        memcpy(frame->call.ints, call->ints, sizeof(call->ints));
    } else {
        frame->entry = (uintptr_t)arch_entry;
        memcpy(&frame->call, call, sizeof(*call));
    }
}

// Makes *c the context of the calling thread's own stack.
void context_adopt(struct context *c);

// Calls fn(arg) on the empty stack from low to top and comes back: a call, not a context. Where a
// coroutine parks inside, its registers are saved on that stack.
void context_on_stack(void *low, void *top, void (*fn)(void *), void *arg);

// The assembler's half of that.
void arch_on_stack(void (*fn)(void *), void *arg, void *top);
// The assembler's half: saves, stores the stack pointer, loads the other one, restores.
void *arch_switch(void **ret_sp, void *to_sp, void *word);

#if defined(CONTEXT_ASAN) || defined(CONTEXT_TSAN)
// Ends a context that will never run again and does not run now. An adopted one too.
void context_fini(struct context *c);
// Leaves 'from', goes on in 'to' and returns, later, the word of whoever comes back. 'from_ends':
// nobody will.
void *context_switch(struct context *from, struct context *to, void *word,
                     bool from_ends);
#else
static inline void context_fini(struct context *c)
{
    (void)c;
}

static inline void *context_switch(struct context *from, struct context *to, void *word,
                                   bool from_ends)
{
    (void)from_ends;
    return arch_switch(&from->sp, to->sp, word);
}
#endif
