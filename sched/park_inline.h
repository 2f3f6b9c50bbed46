// SPDX-License-Identifier: MIT
// park_inline - the calls of park.h for who makes one for every value: the same, but not called.
//
//     park_begin_inline    who calls; charged, and not cancelled
//     wait_open_inline     opens its wait
//     park_inline          sleeps until that is over; only the switch is a call
//     ready_inline         makes another one run
//
// What a channel does for a value is over in some 60 instructions. Four functions on the way, each
// of which saves registers and asks again what its caller knew, took twice as many, and they, not
// the locked instructions among them, were what a round trip consisted of (docs/adr/0014).
//
// S1  Each of these is the short way only: a coroutine, on a P of its own runtime, that is neither
//     cancelled nor in a hurry. Whatever else there is goes to the function of park.c, which does
//     all of it.
// S2  A caller that park_begin_inline knew has a task, is outside the runtime, and is on its M:
//     that is not asked again before it parks.
#pragma once

#include "base/bias.h"
#include "base/clock.h"
#include "sched/g.h"
#include "sched/park.h"
#include "sched/push.h"
#include "sched/sched.h"

// ---- Who calls ---------------------------------------------------------------------------------

static inline struct caller caller_on(struct m *m)
{
    if (!m) return (struct caller){.alone = &bias_stranger};
    if (!m->g) return (struct caller){.alone = m->alone, .m = m};
    // relaxed: the bit is the caller's own note
    bool timed = load_relaxed(&m->g->cancel.asked) & CANCEL_TIMED;
    return (struct caller){&m->g->task, m->alone, m, timed};
}

// False: this is none for the short way, and nothing happened; ask park_begin.
static inline bool park_begin_inline(struct caller *ret_caller, int64_t deadline)
{
    struct m *m = m_self();
    struct g *g = m ? m->g : NULL;

    // relaxed: whoever misses a cancel meets it in its wait
    if (__builtin_expect(!g || g->budget == 1 || load_relaxed(&g->cancel.asked), 0))
        return false;
    if (deadline > CLOCK_PAST) g->budget--;
    *ret_caller = (struct caller){&g->task, m->alone, m, false};
    return true;
}

// ---- Sleeping ----------------------------------------------------------------------------------

// The ticket of t's next wait; 'shields' are t's own.
static inline uint64_t wait_next_ticket(struct task *t, uint64_t kind, uint32_t shields)
{
    uint64_t ticket = ((load_own(&t->wait) | WAIT_LOW) + 1) | kind;

    return t->ticket = shields > 0 ? ticket | WAIT_DEAF : ticket;
}

static inline uint64_t wait_open_of(struct g *g, uint64_t kind, const char *on,
                                    const void *at)
{
    uint64_t ticket = wait_next_ticket(&g->task, kind, g->cancel.shields);

    // relaxed, all: for dumps, which read them of a coroutine that is PARKED
    store_relaxed(&g->waits_on, on);
    store_relaxed(&g->waits_at, at);
    store_relaxed(&g->since, load_relaxed(&g->sched->coarse));
    g_open(g);
    // [WAIT-OPEN] release, pairs with [WAIT-CLAIM]: who claims the wait sees it opened whole.
    store_release(&g->task.wait, ticket);
    return ticket;
}

// 't' is the caller's task, or where that is a thread, its 'here'; for both of these.
static inline uint64_t wait_open_inline(const struct caller *me, struct task *t,
                                        const char *on, const void *at)
{
    return me->task ? wait_open_of(g_of_task(t), WAIT_OPEN, on, at)
                    : wait_open(t, on, at);
}

// The last step of a park, inside the runtime: g leaves, unless a ready came already.
static inline void park_leave(struct m *m, struct g *g)
{
    if (__builtin_expect(!g_reopen(g), 1))
        sched_park(m, g);
    else if (m->p)
        sched_leave(m);
}

int park_slow(struct m *m, struct task *t, int64_t deadline);

static inline int park_inline(const struct caller *me, struct task *t, int64_t deadline)
{
    struct m *m = me->m;
    struct g *g = g_of_task(t);

    if (__builtin_expect(!me->task || deadline != CLOCK_NEVER || me->timed, 0))
        return park_slow(m, t, deadline);
    park_watch_leave(NULL);
    sched_enter_to_wait(m);
    g->budget = G_TICKS;
    park_leave(m, g);
    return t->outcome;
}

// ---- Waking ------------------------------------------------------------------------------------

void ready_slow(struct m *m, struct task *t);
// Of ready_inline, where the M finds that its P was stolen.
void ready_lost(struct m *m, struct g *g);

static inline void ready_inline(const struct caller *me, struct task *t)
{
    struct m *m = me->m;
    struct g *g = g_of_task(t);
    struct p *p;

    if (__builtin_expect(t->is_thread || !me->task || !(p = m->p) || m->sched != g->sched,
                         0)) {
        ready_slow(m, t);
        return;
    }
    check(load_own(&m->hold.at) == P_USER); // S2
    if (__builtin_expect(!g_ready(g), 0))
        return; // still leaving: its successor queues it
    if (__builtin_expect(!p_enter(p, &m->hold), 0)) {
        ready_lost(m, g);
        return;
    }
    if (__builtin_expect(!runq_fill_next(&p->runq, g), 0)) push_next(m, g);
    sched_leave(m);
}
