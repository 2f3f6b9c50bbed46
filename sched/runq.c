// SPDX-License-Identifier: MIT
#include "sched/runq.h"

#include "base/panic.h"
#include "sched/g.h"

unsigned runq_push(struct runq *q, struct g *g, struct queue *overflow)
{
    uint32_t tail = load_own(&q->tail);

    for (;;) {
        // [RUNQ-ROOM] acquire, pairs with [RUNQ-TAKE]: a thief has read the slot that it gave up.
        uint32_t head = load_acquire(&q->head);

        check(tail - head <= RUNQ_SIZE); // Q2
        if (tail - head < RUNQ_SIZE) {
            // relaxed: [RUNQ-PUBLISH] shows it
            store_relaxed(&q->slots[tail % RUNQ_SIZE], g);
            // [RUNQ-PUBLISH] release, pairs with [RUNQ-LOOK]: the slot is written before tail
            // shows it (Q3).
            store_release(&q->tail, tail + 1);
            return 0;
        }

        // Full: take the older half out, as a thief would, and hand it over with g behind it.
        // [RUNQ-TAKE] acq_rel, pairs with [RUNQ-ROOM] and itself.
        if (!cas_acq_rel(&q->head, &head, head + RUNQ_SIZE / 2)) continue;
        for (uint32_t i = 0; i < RUNQ_SIZE / 2; i++) {
            // relaxed: own stores, and nobody else writes there
            struct g *old = load_relaxed(&q->slots[(head + i) % RUNQ_SIZE]);
            queue_push(overflow, &old->node);
        }
        queue_push(overflow, &g->node);
        return RUNQ_SIZE / 2 + 1;
    }
}

struct g *runq_put_next(struct runq *q, struct g *g)
{
    if (q->alone) {
        struct g *was = load_own(&q->next);

        store_relaxed(&q->next, g); // relaxed: Q5
        return was;
    }
    if (runq_fill_next(q, g)) return NULL;
    // [RUNQ-NEXT] acq_rel, pairs with itself: who takes g sees it whole (Q4).
    return swap_acq_rel(&q->next, g);
}

// The one after will run soon: its first lines come while this one runs.
static void fetch_soon(struct runq *q, uint32_t i, uint32_t tail)
{
    if (i == tail) return;
    struct g *g = load_relaxed(&q->slots[i % RUNQ_SIZE]); // relaxed: an address to fetch
    __builtin_prefetch(&g->node, 1);
    __builtin_prefetch(&g->context, 1);
}

// Gives the slot at 'head' up; false: a thief was quicker, and *head is where it went.
static bool take_head(struct runq *q, uint32_t *head)
{
    if (q->alone) {
        store_relaxed(&q->head, *head + 1); // relaxed: Q5
        return true;
    }
    // [RUNQ-TAKE] acq_rel, pairs with [RUNQ-ROOM] and itself: who moves head has it.
    return cas_acq_rel(&q->head, head, *head + 1);
}

struct g *runq_pop(struct runq *q)
{
    // [RUNQ-ROOM] acquire, pairs with [RUNQ-TAKE].
    uint32_t head = load_acquire(&q->head);
    uint32_t tail = load_own(&q->tail);

    while (head != tail) {
        struct g *g = load_relaxed(&q->slots[head % RUNQ_SIZE]); // relaxed: own store

        if (take_head(q, &head)) {
            fetch_soon(q, head + 1, tail);
            return g;
        }
    }
    return NULL;
}

struct g *runq_steal(struct runq *to, struct runq *from, bool take_next)
{
    uint32_t to_tail = load_own(&to->tail);

    // relaxed: an empty ring has no thieves to race
    check(load_relaxed(&to->head) == to_tail);
    for (;;) {
        // [RUNQ-ROOM] acquire, pairs with [RUNQ-TAKE]: head is read before tail, so that
        // tail - head is never more than the ring held.
        uint32_t head = load_acquire(&from->head);
        // [RUNQ-LOOK] acquire, pairs with [RUNQ-PUBLISH]: the slots below tail are written.
        uint32_t tail = load_acquire(&from->tail);
        uint32_t n = tail - head;

        n -= n / 2;
        if (n == 0) {
            // relaxed: a look; [RUNQ-NEXT] acq_rel, pairs with itself, in the swap.
            if (!take_next || !load_relaxed(&from->next)) return NULL;
            return swap_acq_rel(&from->next, NULL);
        }
        if (n > RUNQ_SIZE / 2) continue; // head and tail are of two moments: look again

        for (uint32_t i = 0; i < n; i++) {
            // relaxed, both: [RUNQ-LOOK] ordered the read, [RUNQ-PUBLISH] will show the write
            struct g *g = load_relaxed(&from->slots[(head + i) % RUNQ_SIZE]);
            store_relaxed(&to->slots[(to_tail + i) % RUNQ_SIZE], g);
        }
        // [RUNQ-TAKE] acq_rel, pairs with [RUNQ-ROOM] and itself: only now are they ours.
        if (!cas_acq_rel(&from->head, &head, head + n)) continue;

        // The last one is run at once, the others become visible to thieves of our own.
        struct g *g =
            load_relaxed(&to->slots[(to_tail + n - 1) % RUNQ_SIZE]); // relaxed: own
        // [RUNQ-PUBLISH] release, pairs with [RUNQ-LOOK].
        if (n > 1) store_release(&to->tail, to_tail + n - 1);
        return g;
    }
}
