// SPDX-License-Identifier: MIT
#include "sched/spawn.h"

#include <errno.h>
#include <string.h>

#include "arch/context.h"
#include "base/clock.h"
#include "sched/g.h"
#include "sched/pin.h"
#include "sched/push.h"
#include "sched/sched.h"

#define ID_BATCH 1024

static uint64_t next_id(struct p *p)
{
    static atomic_u64 ids; // of the process: never re-used, 0 is nobody

    if (!p) return add_relaxed(&ids, 1) + 1; // relaxed: a counter
    if (p->id_first == p->id_last) {
        p->id_first = add_relaxed(&ids, ID_BATCH) + 1; // relaxed: a counter
        p->id_last = p->id_first + ID_BATCH;
    }
    return p->id_first++;
}

static struct stack *get_stack(struct sched *s, struct p *p, const struct spawn *how)
{
    if (how->stack_bytes) return stack_get_sized(&s->depot, how->stack_bytes);
    if (p) return stack_get(&p->stacks);
    return stack_get_direct(&s->depot);
}

static void put_stack(struct sched *s, struct p *p, struct g *g)
{
    if (g->sized)
        stack_put_sized(&s->depot, &g->stack);
    else if (p)
        stack_put(&p->stacks, &g->stack);
    else
        stack_put_direct(&s->depot, &g->stack);
}

static void copy_name(struct g *g, const char *name)
{
    g->name[0] = 0;
    strncat(g->name, name, G_NAME_BYTES - 1);
}

// A stack's first life in this runtime: whoever walks all coroutines finds it. False: no memory.
__attribute__((cold, noinline)) static bool enter_table(struct sched *s, struct p *p,
                                                        struct g *g, bool sized)
{
    g->sched = s;
    g->sized = sized;
    if (gtable_set(&s->gtable, g->stack.index, g) == 0) return true;
    g->sched = NULL;
    put_stack(s, p, g);
    return false;
}

// The descriptor of a new life. How it is made is known where this is called: what is plain costs
// only the stores.
__attribute__((always_inline)) static inline void fill(struct g *g, struct p *p,
                                                       const struct spawn *how)
{
    g->id = next_id(p);
    // A wait's number outlives its coroutine (I3a). On a page that the kernel took back and
    // returned as zeros it starts at the clock: every older life began at its own time and took
    // more than a nanosecond for a wait, so no number of then comes again.
    // relaxed, all: nobody knows g yet
    if (__builtin_expect(load_own(&g->task.wait) == 0, 0))
        store_relaxed(&g->task.wait, (uint64_t)clock_now() << 3);
    store_relaxed(&g->cancel.asked, 0);
    store_relaxed(&g->timer.home, NULL);
    check(!g->task.is_thread);
    g->saved_errno = 0; // these five are one store where they are known
    g->budget = G_TICKS;
    g->sized = how->stack_bytes != 0;
    g->named = how->name != NULL;
    g->has_locals = false;
    g->blocking = 0;
    // One thread is all there is there.
    g->pins = how->pinned && !g->sched->seeded && !g->sched->hosted;
    if (how->pinned) g->home = NULL;
    g->cancel.shields = 0;
    g->cancel.bound = NULL;
    g->site = how->site;
    if (how->name) copy_name(g, how->name);
    context_make(&g->context, g->stack.low, g, how->call, how->only_ints, how->fn,
                 sched_enter_g, sched_leave_g, &g->low_mark);
}

// A coroutine on a stack of its own, DEAD still.
static struct g *make(struct sched *s, struct p *p, const struct spawn *how)
{
    struct stack *stack = get_stack(s, p, how);
    if (!stack) return NULL;
    struct g *g = container_of(stack, struct g, stack);

    if ((g->sched != s || how->stack_bytes) &&
        !enter_table(s, p, g, how->stack_bytes != 0))
        return NULL;
    fill(g, p, how);
    return g;
}

static bool over_limit(struct sched *s)
{
    return s->coroutines_max && sched_live(s) >= s->coroutines_max;
}

static void count_made(struct p *p)
{
    // relaxed: see sched_live
    store_relaxed(&p->counts.made, load_own(&p->counts.made) + 1);
}

static int spawn_outside(struct sched *s, const struct spawn *how)
{
    int err = -ECANCELED;

    sched_come_in(s);
    if (!load_relaxed(&s->stopping)) { // relaxed: ordered by [OUTSIDE-IN]
        struct g *g = make(s, NULL, how);

        err = g ? 0 : -ENOMEM;
        if (g) {
            if (how->born) how->born(how->born_arg, g);
            g_start(g);
            add_relaxed(&s->made_outside, 1); // relaxed: see sched_live
            push_outside(g);
        }
    }
    sched_go_out(s);
    return err;
}

// On a coroutine of this runtime.
static int spawn_inside(struct m *m, struct sched *s, const struct spawn *how)
{
    sched_enter_as(m);
    if (__builtin_expect(!m->p, 0)) return spawn_outside(s, how);
    struct g *g = make(s, m->p, how);

    if (g) {
        if (how->born) how->born(how->born_arg, g);
        g_start(g);
        count_made(m->p);
        push_new(m->p, g);
    }
    sched_leave(m);
    return g ? 0 : -ENOMEM;
}

static int refused(struct sched *s)
{
    // relaxed: the spawner itself is live, or [OUTSIDE-IN] orders a second look
    if (load_relaxed(&s->stopping)) return -ECANCELED;
    return over_limit(s) ? -EAGAIN : 0;
}

int sched_spawn(struct sched *s, struct m *m, struct spawn *how)
{
    int err = refused(s);

    how->why = SPAWN_TOO_MANY; // if it is -EAGAIN
    if (err < 0) return err;
    bool pinned = how->pinned && !s->seeded && !s->hosted;
    if (pinned && !pin_reserve(s)) {
        how->why = "threads_max leaves no thread for one more that is pinned";
        return -EAGAIN;
    }
    err = m && m->g && m->sched == s ? spawn_inside(m, s, how) : spawn_outside(s, how);
    if (err < 0 && pinned) pin_unreserve(s);
    return err;
}

// Its P was taken from m.
__attribute__((cold, noinline)) static int spawn_away(
    struct m *m, void (*fn)(void), bool only_ints, const struct coir_site *site,
    void (*born)(void *arg, struct g *g), void *born_arg)
{
    const struct spawn how = {.call = &m->capture,
                              .only_ints = only_ints,
                              .fn = fn,
                              .site = site,
                              .born = born,
                              .born_arg = born_arg};

    return spawn_outside(m->sched, &how);
}

int spawn_plain(struct m *m, void (*fn)(void), bool only_ints,
                const struct coir_site *site, void (*born)(void *arg, struct g *g),
                void *born_arg)
{
    struct sched *s = m->sched;
    int err = refused(s);

    if (__builtin_expect(err < 0, 0)) return err;
    sched_enter_as(m);
    struct p *p = m->p;
    if (__builtin_expect(!p, 0))
        return spawn_away(m, fn, only_ints, site, born, born_arg);
    struct stack *stack = stack_get(&p->stacks);
    struct g *g = container_of(stack, struct g, stack);
    if (__builtin_expect(!stack, 0) ||
        (__builtin_expect(g->sched != s, 0) && !enter_table(s, p, g, false))) {
        sched_leave(m);
        return -ENOMEM;
    }
    fill(g, p,
         &(struct spawn){
             .call = &m->capture, .only_ints = only_ints, .fn = fn, .site = site});
    if (born) born(born_arg, g);
    g_start(g);
    count_made(p);
    push_new(p, g);
    sched_leave(m);
    return 0;
}

// ---- The end ----------------------------------------------------------------------------------

void spawn_release(struct m *m, struct g *g)
{
    struct p *p = m->p;
    struct sched *s = g->sched;
    struct stack *stack = &g->stack;

    if (timer_is_in_heap(&g->timer)) timer_forget(g);
    g_end(g);
    context_fini(&g->context);
    if (g->sized) {
        gtable_clear(&s->gtable, g->stack.index);
        stack_put_sized(&s->depot, &g->stack);
    } else if (p) {
        stack_put(&p->stacks, stack);
    } else {
        stack_put_direct(&s->depot, stack);
    }
    // [G-ENDED] release, both, pairs with [LIVE-SUM]: what it did is done.
    if (p)
        store_release(&p->counts.ended, load_own(&p->counts.ended) + 1);
    else
        add_release(&s->ended_away, 1);
}
