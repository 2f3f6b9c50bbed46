// SPDX-License-Identifier: MIT
// push - where a runnable coroutine is queued, and who is woken for it.
//
//     readied by one that runs here      'next' of this P; who was there goes behind
//     yielded, or its operation ended    behind all that wait here: the ring, then the global queue
//     new                                its own queue (fresh.h); the first of a batch is 'next'
//     from a thread without a P          the global queue, and a worker is woken (W1)
//
// A push onto the own P wakes nobody until work has stood there for a while (W5): most of it is
// done here before another worker would be awake.
#pragma once

#include "sched/g.h"
#include "sched/sched.h"

#define PUSH_OFFER_EVERY 16u // pushes or runs between two looks at the clock

// Inside the runtime: queues a runnable coroutine on this M's P, into 'next', or behind the others.
// Where the M has no P: into the global queue.
void push_next(struct m *m, struct g *g);
void push_behind(struct m *m, struct g *g);

// Behind the others in p's ring; this M holds p.
void push_tail(struct p *p, struct g *g);

// A list of n, or one, behind all that wait: behind the ring, and where that has overflowed behind
// the overflow too. Else who comes back again and again keeps the ring full, and what stands in the
// global queue gets one run in FIND_FAIR_TICKS.
void push_all_behind(struct m *m, struct queue *batch, uint32_t n);
static inline void push_one_behind(struct m *m, struct g *g)
{
    if (__builtin_expect(m->p && globq_len(&m->sched->globq) == 0, 1)) {
        push_tail(m->p, g);
    } else {
        struct queue one = {0};

        queue_push(&one, &g->node);
        push_all_behind(m, &one, 1);
    }
}

// Somebody waits in p's ring, or is new: wakes another worker if that is worth its price (W5).
void push_offer(struct p *p);

// Queues a new coroutine on p, which this M holds: the first of a batch is next.
void push_new_overflow(struct p *p, struct g *g);
static inline void push_new(struct p *p, struct g *g)
{
    if (runq_fill_next(&p->runq, g)) {
        if (runq_len(&p->runq) == 0) p->was_empty = true;
        return;
    }
    if (__builtin_expect(!fresh_push(&p->runq.fresh, g), 0)) push_new_overflow(p, g);
    if (++p->pushes % PUSH_OFFER_EVERY == 0) push_offer(p);
}

// From a thread that holds no P of g's runtime. What it touches must not be freed under it although
// g may end the runtime at once: it comes in before it makes g runnable, and goes out afterwards
// (sched_come_in, sched_go_out); the end of the runtime waits for it.
void push_outside(struct g *g);
