// SPDX-License-Identifier: MIT
#include "arch/context.h"

#ifdef CONTEXT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef CONTEXT_TSAN
#include <sanitizer/tsan_interface.h>
#endif

static_assert(offsetof(struct entry_frame, call) == FRAME_CALL, "known to the assembler");
static_assert(sizeof(struct entry_frame) == FRAME_BYTES, "known to the assembler");

#if defined(CONTEXT_ASAN) || defined(CONTEXT_TSAN)

#ifdef __clang__
#define UNINSTRUMENTED __attribute__((noinline, disable_sanitizer_instrumentation))
#else
#define UNINSTRUMENTED __attribute__((noinline, no_sanitize("address", "thread")))
#endif

// In a sanitizer's build the word of a switch travels with what the other side must announce.
struct passage {
    struct context *from, *to;
    void *word;
};

UNINSTRUMENTED static void *arrive(struct passage *passage)
{
    void *word = passage->word;

#ifdef CONTEXT_ASAN
    // ASan knows the bounds of the stack that was left: so an adopted one's become known.
    __sanitizer_finish_switch_fiber(passage->to->fake, &passage->from->low,
                                    &passage->from->bytes);
#endif
    return word;
}

UNINSTRUMENTED void *context_switch(struct context *from, struct context *to, void *word,
                                    bool from_ends)
{
    struct passage passage = {from, to, word};

    (void)from_ends;
#ifdef CONTEXT_ASAN
    __sanitizer_start_switch_fiber(from_ends ? NULL : &from->fake, to->low, to->bytes);
#endif
#ifdef CONTEXT_TSAN
    __tsan_switch_to_fiber(to->fiber, 0);
#endif
    return arrive(arch_switch(&from->sp, to->sp, &passage));
}

UNINSTRUMENTED void context_first_arrival(void *word)
{
    struct passage *passage = word;
    struct context *self = passage->to;

    self->enter(arrive(passage));
}

void context_make_fiber(struct context *c, void *low, void *top,
                        void (*enter)(void *word))
{
    c->enter = enter;
#ifdef CONTEXT_ASAN
    c->low = low;
    c->bytes = (size_t)((char *)top - (char *)low);
    c->fake = NULL;
    __asan_unpoison_memory_region(low,
                                  c->bytes); // what the last coroutine there left behind
#else
    (void)low;
    (void)top;
#endif
#ifdef CONTEXT_TSAN
    c->fiber = __tsan_create_fiber(0);
#endif
}

void context_adopt(struct context *c)
{
    *c = (struct context){0};
#ifdef CONTEXT_TSAN
    c->fiber = __tsan_get_current_fiber();
    c->borrowed = true;
#endif
}

void context_fini(struct context *c)
{
#ifdef CONTEXT_TSAN
    if (c->fiber && !c->borrowed) __tsan_destroy_fiber(c->fiber);
    c->fiber = NULL;
#else
    (void)c;
#endif
}

#else

void context_adopt(struct context *c)
{
    *c = (struct context){0};
}

#endif

// ---- A call on another stack -------------------------------------------------------------------

#ifdef CONTEXT_ASAN

struct visit {
    void (*fn)(void *);
    void *arg;
    const void *home; // the stack that was left
    size_t home_bytes;
};

UNINSTRUMENTED static void visit(void *arg)
{
    struct visit *v = arg;

    __sanitizer_finish_switch_fiber(NULL, &v->home, &v->home_bytes);
    v->fn(v->arg);
    __sanitizer_start_switch_fiber(NULL, v->home, v->home_bytes);
}

UNINSTRUMENTED void context_on_stack(void *low, void *top, void (*fn)(void *), void *arg)
{
    struct visit v = {.fn = fn, .arg = arg};
    void *fake = NULL;

    __asan_unpoison_memory_region(low, (size_t)((char *)top - (char *)low));
    __sanitizer_start_switch_fiber(&fake, low, (size_t)((char *)top - (char *)low));
    arch_on_stack(visit, &v, (void *)((uintptr_t)top & ~(uintptr_t)15));
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
}

#else

void context_on_stack(void *low, void *top, void (*fn)(void *), void *arg)
{
    (void)low;
    arch_on_stack(fn, arg, (void *)((uintptr_t)top & ~(uintptr_t)15));
}

#endif
