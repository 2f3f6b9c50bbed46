// SPDX-License-Identifier: MIT
// big_stack - runs one deep call on a large stack and comes back.
//
//     caller's stack   ... coir_on_big_stack | arch_on_stack
//                                               '--> large stack:  fn(arg), and what it calls
//
// It is a call, not a coroutine: the caller goes on when fn returned, id and locals and
// cancellation are the caller's, unwinders walk through. What parks inside parks the caller, whose
// registers are saved on whichever stack it stands. The stack is mapped for the call and goes with
// it: some microseconds and a fault for each page that is touched, so a small call is not worth it.
#include <errno.h>

#include "arch/context.h"
#include "base/platform.h"
#include "coir/runtime.h"
#include "runtime/runtime.h"
#include "sched/g.h"

#define BIG_LEAST ((size_t)16 << 10)
#define BIG_MOST ((size_t)1 << 30)

// A coroutine: from its runtime's depot, so that guards and budget are the same.
static int call_in(struct g *g, size_t bytes, void (*fn)(void *), void *arg)
{
    struct stack_depot *d = &g->sched->depot;
    struct stack *s = stack_get_sized(d, bytes + d->head_bytes);
    struct stack *outer = g->big;

    if (!s) return -ENOMEM;
    g->big = s;
    context_on_stack(s->low, s, fn, arg);
    g->big = outer;
    scope_memory_ends(s->low, s);
    stack_put_sized(d, s);
    return 0;
}

// An ordinary thread: a mapping of its own, guarded the way that works here.
static int call_alone(size_t bytes, void (*fn)(void *), void *arg)
{
    size_t page = os_page_bytes();
    size_t guard = (GUARD_DEFAULT + page - 1) / page * page;
    size_t usable = (bytes + page - 1) / page * page;
    char *base = os_map(guard + usable);
    int err = base ? os_guard_light(base, guard, guard, 1) : -ENOMEM;

    if (err == -EINVAL) err = os_guard_protect(base, guard);
    if (err == 0) {
        os_stack_note(base + guard, base + guard + usable);
        context_on_stack(base + guard, base + guard + usable, fn, arg);
        scope_memory_ends(base + guard, base + guard + usable);
    }
    if (base) os_unmap(base, guard + usable);
    return err < 0 ? -ENOMEM : 0;
}

int coir_on_big_stack(size_t bytes, void (*fn)(void *), void *arg)
{
    struct g *g = g_self();

    if (!fn || bytes < BIG_LEAST || bytes > BIG_MOST) return -EINVAL;
    return g ? call_in(g, bytes, fn, arg) : call_alone(bytes, fn, arg);
}
