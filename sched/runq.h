// SPDX-License-Identifier: MIT
// runq - the run queue of one P: a bounded ring, one owner, many thieves, and a 'next' slot.
//
//                 head                    tail
//                  v                       v
//      [ . . . . ] g g g g g g g g g g g g [ . . . ]      next: [g]
//                  '-- thieves and owner   '-- owner
//                      take here (CAS)         pushes here (store)
//
// Q1  Only the owner stores tail; everybody moves head by compare-and-swap.
// Q2  tail - head <= RUNQ_SIZE: a slot is overwritten only after head passed it.
// Q3  A slot is written before tail shows it, and read before head gives it up.
// Q4  next is filled by the owner alone, so it fills an empty one by a store; owner and thieves
//     empty it by swap.
//
// Q5  A queue that is 'alone' has no thieves (a runtime of one worker): its owner moves head and
//     empties next by plain stores. A locked instruction is a fifth of a switch.
//
// New coroutines do not stand in the ring but in 'fresh', the last one first (fresh.h).
//
// Source: the shape of Go's runq (runqput, runqgrab), which is the bounded case of Chase and
// Lev, "Dynamic circular work-stealing deque", SPAA 2005, with FIFO order at the owner's end
// too; orders after Le, Pop, Cohen, Zappa Nardelli, PPoPP 2013. Changed: counters, not indices,
// of 32 bits, free-running; no growth (overflow goes to the global queue), so no reclamation.
// Progress: push is wait-free; pop and steal are lock-free (a failed CAS means another took).
// Linearisation: push at [RUNQ-PUBLISH], pop and steal at their CAS of head.
// ABA: head only grows; 2^32 pops would have to pass between a thief's load and its CAS.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/list.h"
#include "sched/fresh.h"

struct g;

#ifdef COIR_MODEL
#define RUNQ_SIZE 4u // small, so that seeds meet full and wrap
#else
#define RUNQ_SIZE                                                                        \
    1024u // a batch of spawns stays here and does not go through the global queue
#endif

struct runq {
    // Constant after p_init.
    bool alone; // Q5

    // Atomic. Owner stores tail, everybody moves head.
    alignas(CACHE_LINE) atomic_u32 head;
    alignas(CACHE_LINE) atomic_u32 tail;
    atomic_ptr(struct g) next;
    atomic_ptr(struct g) slots[RUNQ_SIZE];

    struct fresh fresh; // its own orders
};

// Owner. Appends g. When the ring is full, half of it and g go into *overflow in order, for the
// caller to hand to the global queue; returns their number, else 0.
unsigned runq_push(struct runq *q, struct g *g, struct queue *overflow);

// Owner. Puts g into the next slot if that is empty.
static inline bool runq_fill_next(struct runq *q, struct g *g)
{
    // relaxed: only the owner fills it (Q4)
    if (__builtin_expect(load_relaxed(&q->next) != NULL, 0)) return false;
    // [RUNQ-NEXT] release, pairs with itself: who takes g sees it whole.
    store_release(&q->next, g);
    return true;
}

// Owner. Puts g into the next slot; returns who was there, or NULL.
struct g *runq_put_next(struct runq *q, struct g *g);

// Owner. The next slot, or NULL.
static inline struct g *runq_take_next(struct runq *q)
{
    // relaxed: only the owner fills it, so NULL is NULL; else the swap decides
    struct g *g = load_relaxed(&q->next);

    if (!g) return NULL;
    if (q->alone) {
        store_relaxed(&q->next, NULL); // relaxed: Q5
        return g;
    }
    // [RUNQ-NEXT] acq_rel, pairs with itself: a thief may be quicker.
    return swap_acq_rel(&q->next, NULL);
}

// Owner. The oldest of the ring (not of next), or NULL.
struct g *runq_pop(struct runq *q);

// The owner of 'to', whose ring is empty, takes half of 'from', rounded up; with 'take_next'
// from's next slot when its ring is empty. One of them is returned to be run, the others stand
// in 'to'. NULL: nothing there.
struct g *runq_steal(struct runq *to, struct runq *from, bool take_next);

// Anybody: what might be there. A hint unless a fence orders it (decision 10).
static inline bool runq_empty(struct runq *q)
{
    // relaxed: the caller's fence orders it against its own announcement
    return load_relaxed(&q->head) == load_relaxed(&q->tail) && !load_relaxed(&q->next) &&
           fresh_len(&q->fresh) == 0;
}

// Of them, those in the ring: the others are new.
static inline uint32_t runq_ring_len(struct runq *q)
{
    // relaxed: a hint
    return load_relaxed(&q->tail) - load_relaxed(&q->head);
}

static inline uint32_t runq_len(struct runq *q)
{
    return runq_ring_len(q) + fresh_len(&q->fresh);
}
