// SPDX-License-Identifier: MIT
// What is walked, and what must hold there:
//
//     idle list    as long as its count; each P on it in state IDLE, and there is no other P
//     queues       empty: rings, 'next' slots, the global queue
//     gtable       each entry knows its own index and runtime; each coroutine is PARKED in an open
//                  wait, with a stack pointer in its own stack; their number is sched_live's
//     timers       a heap by key; every entry knows its slot and its heap (T1); key <= when (T2);
//                  no dead coroutine (T4); 'earliest' is the first one's key
//     pollers      as many operations in flight as coroutines in a wait for I/O
//     stacks       free ones counted right, and no fewer stacks than coroutines
#include "runtime/check.h"

#include "base/clock.h"
#include "base/panic.h"
#include "base/peek.h"
#include "runtime/runtime.h"
#include "sched/g.h"
#include "sched/sched.h"

struct world {
    struct sched *sched;
    uint64_t live, in_io, timers;
};

bool check_is_quiet(coir_runtime *rt)
{
    struct sched *s = &rt->sched;

    // relaxed, both: looks; the caller knows that nobody makes work
    if (load_relaxed(&s->idle.n) + load_relaxed(&s->idle.n_retired) != s->n_p)
        return false;
    for (uint32_t i = 0; i < s->n_p; i++)
        if (!runq_empty(&s->ps[i].runq)) return false;
    return globq_len(&s->globq) == 0;
}

static void check_idle(struct sched *s)
{
    uint32_t n = 0;

    lock_acquire(&s->idle.lock);
    for (struct list_node *i = s->idle.ps.head.next; i != &s->idle.ps.head; i = i->next) {
        struct p *p = container_of(i, struct p, idle_node);

        must(i->next->prev == i && i->prev->next == i);
        must(p->sched == s);
        // relaxed: it is idle, and stays so under the lock
        must(p_word_state(load_relaxed(&p->word)) == P_IDLE);
        n++;
    }
    must(n == load_own(&s->idle.n));
    must(n + load_own(&s->idle.n_retired) == s->n_p);
    lock_release(&s->idle.lock);
}

static void check_queues(struct sched *s)
{
    for (uint32_t i = 0; i < s->n_p; i++) must(runq_empty(&s->ps[i].runq));
    lock_acquire(&s->globq.take);
    lock_acquire(&s->globq.lock);
    must(queue_empty(&s->globq.front) && queue_empty(&s->globq.queue));
    must(globq_len(&s->globq) == 0);
    lock_release(&s->globq.lock);
    lock_release(&s->globq.take);
}

// Plain reads of what is a coroutine's own: it is parked, and will go on one day.
UNINSTRUMENTED static void check_coroutine(struct world *w, struct g *g)
{
    // relaxed, both: nobody runs
    uint64_t wait = load_relaxed(&g->task.wait);

    must(load_relaxed(&g->task.state) == G_PARKED);
    must(g->sched == w->sched);
    must(wait == g->task.ticket);
    must((wait & WAIT_KIND) == WAIT_OPEN || (wait & WAIT_KIND) == WAIT_OPEN_IO);
    must((char *)g->context.sp >= g->stack.low && (char *)g->context.sp < (char *)g);
    must(load_own(&g->waits_on) != NULL);
    w->live++;
    w->in_io += (wait & WAIT_KIND) == WAIT_OPEN_IO;
}

static void check_gtable(struct world *w)
{
    struct gtable *t = &w->sched->gtable;

    lock_acquire(&t->lock);
    for (uint32_t i = 0; i < GTABLE_CHUNKS * GTABLE_CHUNK; i++) {
        struct g **chunk = t->chunks[i / GTABLE_CHUNK];
        struct g *g = chunk ? chunk[i % GTABLE_CHUNK] : NULL;

        if (!chunk) i |= GTABLE_CHUNK - 1; // to its end
        if (!g) continue;
        must(g->stack.index == i); // S2
        // relaxed: nobody runs
        if (load_relaxed(&g->task.state) != G_DEAD) check_coroutine(w, g);
    }
    lock_release(&t->lock);
    must(w->live == sched_live(w->sched));
}

static void check_timers(struct world *w, struct timers *ts)
{
    lock_acquire(&ts->lock);
    for (uint32_t i = 0; i < ts->n; i++) {
        const struct timer_entry *e = &ts->heap[i];
        struct g *g = ts->owners[e->id];
        struct timer *t = &g->timer;

        must(t->id == e->id && ts->places[e->id] == i && load_own(&t->home) == ts); // T1
        must(t->key == e->key && t->key <= load_own(&t->when));                     // T2
        must(load_own(&g->task.state) != G_DEAD);                                   // T4
        must(i == 0 || ts->heap[(i - 1) / TIMER_ARITY].key <= e->key);
    }
    must(load_own(&ts->earliest) == (ts->n ? ts->heap[0].key : CLOCK_NEVER));
    w->timers += ts->n;
    lock_release(&ts->lock);
}

static void check_pollers(struct world *w)
{
    uint64_t in_flight = 0;

    uint32_t n = load_relaxed(&w->sched->n_ms); // relaxed: all stands still

    for (uint32_t i = 0; i < n; i++) {
        struct m *m = w->sched->ms[i];

        // [DEBUG-POLLER] acquire, pairs with [M-STARTED]: its poller is there.
        if (load_acquire(&m->started) == M_STARTED)
            in_flight += poller_in_flight(m->poller);
    }
    must(in_flight == w->in_io);
}

static void check_stacks(struct world *w)
{
    struct stack_depot *d = &w->sched->depot;
    uint32_t n = 0;

    lock_acquire(&d->lock);
    for (struct stack *s = d->free; s; s = s->next, n++)
        must(s->index < d->n_indices && s->low < (char *)s);
    must(n == d->n_free);
    must(d->n_indices - d->n_spare >= w->live + d->n_free);
    lock_release(&d->lock);
}

void check_world(coir_runtime *rt)
{
    struct world w = {.sched = &rt->sched};

    check_idle(w.sched);
    check_queues(w.sched);
    check_gtable(&w);
    for (uint32_t i = 0; i < w.sched->n_p; i++) check_timers(&w, &w.sched->ps[i].timers);
    check_pollers(&w);
    check_stacks(&w);
}
