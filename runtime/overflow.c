// SPDX-License-Identifier: MIT
#include "runtime/overflow.h"

#include <string.h>

#include "base/platform.h"
#include "coir/spawn.h"
#include "sched/g.h"
#include "sched/sched.h"

// A text that grows; what does not fit is cut. Nothing here is more than a signal handler may do.
struct text {
    size_t n;
    char bytes[1024];
};

static void add(struct text *t, const char *s)
{
    while (*s && t->n < sizeof(t->bytes)) t->bytes[t->n++] = *s++;
}

static void add_number(struct text *t, uint64_t value)
{
    char digits[21];
    size_t i = sizeof(digits) - 1;

    digits[i] = 0;
    do digits[--i] = (char)('0' + value % 10);
    while (value /= 10);
    add(t, &digits[i]);
}

// The stack that g runs on and its size, descriptor and all.
static const struct stack *stack_of(const struct g *g)
{
    return g->big ? g->big : &g->stack;
}

static void add_who(struct text *t, const struct g *g)
{
    add(t, "coir: stack overflow: coroutine ");
    add_number(t, g->id);
    if (g->named) {
        add(t, " (");
        add(t, g->name);
        add(t, ")");
    }
    if (g->site) {
        add(t, ", spawned at ");
        add(t, g->site->file);
        add(t, ":");
        add_number(t, (uint64_t)g->site->line);
        add(t, " in ");
        add(t, g->site->function);
    }
    add(t, "\n");
}

void overflow_look(uintptr_t address)
{
    struct m *m = m_self();
    const struct g *g = m ? m->g : NULL;
    struct text t = {0};

    if (!g) return;
    const struct stack *s = stack_of(g);
    uintptr_t low = (uintptr_t)s->low;
    if (address >= low || address < low - g->sched->depot.guard_bytes) return;

    add_who(&t, g);
    add(&t, "coir: it has ");
    add_number(&t, s->bytes);
    add(&t, " bytes of stack, and ran into the guard below them at ");
    add_number(&t, low - address);
    add(&t, " bytes under its end; most ever used: ");
    add_number(&t, stack_used(s));
    add(&t, "\ncoir: give it more (coir_opts(.stack_bytes = ");
    add_number(&t, 2 * ((uint64_t)s->bytes / 16384 + 1) * 16384);
    add(&t, "), config.stack_bytes), or run what is deep by coir_on_big_stack\n");
    os_write(2, t.bytes, t.n);
}
