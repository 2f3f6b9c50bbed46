// SPDX-License-Identifier: MIT
#include "sched/fresh.h"

#include "base/clock.h"
#include "base/fence.h"
#include "base/maybe.h"
#include "base/panic.h"
#include "sched/g.h"

void fresh_init(struct fresh *f, bool light)
{
    store_relaxed(&f->light, light); // relaxed: nobody knows it yet
    lock_init(&f->lock, LOCK_RANK_FRESH);
}

void fresh_go_full(struct fresh *f)
{
    // [FRESH-FULL] release, pairs with [FRESH-HOW]: each pop with a light fence is seen (F5).
    store_release(&f->light, 0);
}

// ---- The owner ------------------------------------------------------------------------------

// Takes the slots from head to 'to' away; the holder, on behalf of who reads them.
static void take_locked(struct fresh *f, uint32_t to)
{
    // [FRESH-TAKEN] release, pairs with [FRESH-ROOM]: the slots below were read.
    store_release(&f->head, to);
    // relaxed: whom an old one lets pass or stops was ordered by the fence or asks the lock
    store_relaxed(&f->claim, to);
}

unsigned fresh_make_room(struct fresh *f, struct queue *overflow)
{
    unsigned n = 0;

    lock_acquire(&f->lock);
    uint32_t head = load_relaxed(&f->head); // relaxed: under the lock
    if (load_own(&f->tail) - head == FRESH_SIZE) {
        for (; n < FRESH_SIZE / 2; n++) {
            // relaxed: own store
            struct g *g = load_relaxed(&f->slots[(head + n) % FRESH_SIZE]);

            queue_push(overflow, &g->node);
        }
        take_locked(f, head + n);
    }
    lock_release(&f->lock);
    return n;
}

// A thief's claim passed what the owner is about to take, or had passed it and was taken back.
// While the thief is at it nobody waits for it: it takes longer than what it leaves is worth.
struct g *fresh_pop_contended(struct fresh *f)
{
    uint32_t tail = load_own(&f->tail); // lowered already
    struct g *g = NULL;
    bool mine = lock_try(&f->lock);

    // relaxed: under the lock
    if (mine && (int32_t)(tail - load_relaxed(&f->head)) >= 0)
        g = load_relaxed(&f->slots[tail % FRESH_SIZE]); // relaxed: own store
    else
        // [FRESH-RETREAT] release, pairs with [FRESH-LOOK]: as it was, for who looks now.
        store_release(&f->tail, tail + 1);
    if (mine) lock_release(&f->lock);
    return g;
}

struct g *fresh_pop_oldest(struct fresh *f)
{
    struct g *g = NULL;

    if (fresh_len(f) == 0) return NULL;
    lock_acquire(&f->lock);
    uint32_t head = load_relaxed(&f->head); // relaxed: under the lock
    if (load_own(&f->tail) != head) {
        g = load_relaxed(&f->slots[head % FRESH_SIZE]); // relaxed: own store
        take_locked(f, head + 1);
    }
    lock_release(&f->lock);
    return g;
}

// ---- A thief --------------------------------------------------------------------------------

bool fresh_too_soon(struct fresh *f)
{
    // relaxed, and below: a hint
    if (!load_relaxed(&f->light) || fresh_len(f) == 0 || maybe("a thief comes soon"))
        return false;
    // relaxed: a hint. Unsigned: where the processors' counts differ it comes.
    return (uint64_t)(clock_cycles() - load_relaxed(&f->paid_at)) < FRESH_PAUSE;
}

// False: it is refused, and the owner has not gone over to full ones (F5).
static bool fence_for_both(struct fresh *f)
{
    // [FRESH-HOW] acquire, pairs with [FRESH-FULL].
    if (load_acquire(&f->light)) {
        store_relaxed(&f->paid_at, clock_cycles()); // relaxed: a hint
        // [FRESH-STEAL] heavy, pairs with [FRESH-POP]: claim is stored, now look at tail (F1).
        return fence_heavy();
    }
    // [FRESH-STEAL] seq_cst, pairs with [FRESH-POP]: the same.
    fence_seq_cst();
    return true;
}

// Makes a claim to the older half, rounded up. How many of that the owner has left.
static uint32_t claim_locked(struct fresh *f, uint32_t head)
{
    uint32_t n = (fresh_len(f) + 1) / 2;

    if (n == 0) return 0;
    store_relaxed(&f->claim, head + n); // relaxed: the fence follows
    if (!fence_for_both(f)) n = 0;      // a claim alone takes nothing
    // [FRESH-LOOK] acquire, pairs with [FRESH-PUBLISH], [FRESH-RETREAT]: the slots below tail are
    // written.
    int32_t left = (int32_t)(load_acquire(&f->tail) - head);
    if (left < (int32_t)n) n = left > 0 ? (uint32_t)left : 0;
    return n;
}

struct g *fresh_steal(struct fresh *to, struct fresh *from)
{
    struct g *g = NULL;

    if (fresh_len(from) == 0 || !lock_try(&from->lock)) return NULL;
    uint32_t head = load_relaxed(&from->head); // relaxed: under the lock
    uint32_t n = claim_locked(from, head);
    for (uint32_t i = 0; i < n; i++) {
        if (g) must(fresh_push(to, g)); // it was empty, and is as large
        // relaxed: [FRESH-LOOK] ordered the read
        g = load_relaxed(&from->slots[(head + i) % FRESH_SIZE]);
    }
    take_locked(from, head + n);
    lock_release(&from->lock);
    return g;
}
