// SPDX-License-Identifier: MIT
// find - which coroutine runs next.
//
//     here, at each switch    'next', up to FIND_NEXT_RUNS times in a row; then new ones and those
//                             of the ring in turns
//     every FIND_FAIR_TICKS   what the kernel and the clock have, and one of those whom others
//                             overtake: the oldest new one, or one of the global queue
//     nothing here            kernel and clock, the global queue, the other Ps, sleep (idle.h)
#pragma once

#include "sched/p.h"

struct m;

#define FIND_FAIR_TICKS 61u // prime, as in Go: no pattern of spawns keeps step with it
#define FIND_NEXT_RUNS 3u   // times in a row that 'next' goes before the ring

// Where 'next' is empty or had its runs.
struct g *find_behind_next(struct p *p, uint32_t tick);

// What runs next on this M without looking further; NULL: nothing, or it is time to look
// everywhere (every FIND_FAIR_TICKS).
static inline struct g *find_here(struct p *p)
{
    uint32_t tick = load_own(&p->tick) + 1;
    struct g *g;

    store_relaxed(&p->tick, tick); // relaxed: a statistic for thieves and sysmon
    if (__builtin_expect(tick % FIND_FAIR_TICKS == 0, 0)) return NULL;
    if (__builtin_expect(p->next_runs < FIND_NEXT_RUNS && (g = runq_take_next(&p->runq)),
                         1)) {
        p->next_runs++;
        return g;
    }
    return find_behind_next(p, tick);
}

// The next coroutine for this M, from anywhere; NULL: the runtime ends, or this M.
struct g *find_work(struct m *m);

// A hosted M in its turn: takes what kernel and clock have, and submits what was queued ...
void find_look(struct m *m);
// ... whether something can run ...
bool find_has_queued(struct m *m);
// ... and which one is next of what stands in the queues; NULL: nothing does.
struct g *find_queued(struct m *m);
