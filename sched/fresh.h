// SPDX-License-Identifier: MIT
// fresh - the new coroutines of one P: it takes the newest, thieves take the oldest.
//
//         head       claim                 tail
//          v           v                    v
//      [ . g g g g g g g g g g g g g g g g g . . . ]
//          '-- a thief --'                  '-- the owner pushes and pops here
//              takes these
//
//     the owner pops                           a thief, who holds the lock
//     tail = tail - 1                          claim = head + n
//     light fence           [FRESH-POP]        heavy fence         [FRESH-STEAL]
//     claim passed it?                         tail passed it? then take fewer
//     then ask again under the lock            head = claim = what was taken
//
// The last one first: a tree of spawns is walked depth first and needs as many stacks as it is
// deep, not as it is wide, and the stack of the one that ended is warm for the next. The oldest are
// the largest parts of such a tree, worth a thief's way. The owner's fence costs nothing, because
// a thief, who comes seldom, pays for both (base/bias.h has the same pair).
//
// F1  Of an owner that lowers tail and a thief that raises claim, one at least sees the other.
// F2  Only the owner stores tail. head and claim are stored under the lock, and are equal while
//     nobody holds it.
// F3  tail - head <= FRESH_SIZE: a slot is overwritten only after head passed it. (claim may be
//     taken back, so room is not counted from there.)
// F4  A thief pays with a system call, its victim with an interrupt: 10 us between them. So thieves
//     come once in FRESH_PAUSE; what is spawned faster than that overflows, which costs no fence.
//     One that came for every two or three beside one who spawns without end kept it from spawning.
// F5  Where a thief's fence is refused it takes nothing until the owner, told by fence_refused, has
//     gone over to full ones; so the thief sees all that the owner did with light ones.
//
// Source: the THE protocol of Cilk-5 (Frigo, Leiserson, Randall, "The implementation of the Cilk-5
// multithreaded language", PLDI 1998). Changed: a thief takes half at once, so it has a claim of
// its own beside head; the fences are unequal; bounded, with overflow. Counters of 32 bits,
// free-running, compared by difference.
// Progress: push and pop are wait-free; while a thief takes the last ones pop says that there are
// none. Linearisation: push at [FRESH-PUBLISH], pop at its store of tail, steal at [FRESH-TAKEN].
// ABA: thieves exclude each other, and the owner's tail is compared after the fence.
// Behind it: toy_fresh with three mutants, and tests/unit/test_fresh.c.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/list.h"
#include "base/lock.h"

struct g;

#ifdef COIR_MODEL
#define FRESH_SIZE 4u    // small, so that seeds meet full and wrap
#define FRESH_PAUSE 1500 // a few looks of a thief
#else
#define FRESH_SIZE 1024u   // a batch of spawns stays here
#define FRESH_PAUSE 300000 // cycles, some 100 us: between two thieves' fences
#endif

struct fresh {
    // Atomic. Owner stores tail and light, the holder of the lock head and claim.
    atomic_u32 light; // 1: thieves pay for both fences, or there are none
    alignas(CACHE_LINE) atomic_u32 tail;
    alignas(CACHE_LINE) atomic_u32 head;
    atomic_u32 claim;
    atomic_i64 paid_at; // cycles: when a thief last paid
    struct lock lock;
    alignas(CACHE_LINE) atomic_ptr(struct g) slots[FRESH_SIZE];
};

void fresh_init(struct fresh *f, bool light);
// Owner, not within another call: a heavy fence was refused (base/fence.h), from now on its own are
// full ones.
void fresh_go_full(struct fresh *f);

// Owner. Full: the older half goes into *overflow in order, for the caller to hand to the global
// queue; the number of those, else 0.
unsigned fresh_make_room(struct fresh *f, struct queue *overflow);

// Owner. Puts g on top. False: there is no room, and nothing happened.
static inline bool fresh_push(struct fresh *f, struct g *g)
{
    uint32_t tail = load_own(&f->tail);

    // [FRESH-ROOM] acquire, pairs with [FRESH-TAKEN]: a thief has read the slots it gave up (F3).
    if (tail - load_acquire(&f->head) >= FRESH_SIZE) return false;
    store_relaxed(&f->slots[tail % FRESH_SIZE], g); // relaxed: [FRESH-PUBLISH] shows it
    // [FRESH-PUBLISH] release, pairs with [FRESH-LOOK]: the slot is written before tail shows it.
    store_release(&f->tail, tail + 1);
    return true;
}

struct g *fresh_pop_contended(struct fresh *f);

// Owner. The newest, or NULL: there is none, or a thief is at the last ones just now.
static inline struct g *fresh_pop(struct fresh *f)
{
    uint32_t tail = load_own(&f->tail);

    // relaxed: head only grows, so none is none
    if (tail == load_relaxed(&f->head)) return NULL;
    tail--;
    // [FRESH-RETREAT] release, pairs with [FRESH-LOOK]: no more than the slots that are written.
    store_release(&f->tail, tail);
    // [FRESH-POP] light, pairs with [FRESH-STEAL]: tail is stored, now look at claim (F1).
    fence_light();
    // [FRESH-POP] seq_cst, pairs with [FRESH-STEAL]: the same where there is no heavy one.
    if (__builtin_expect(!load_own(&f->light), 0)) fence_seq_cst();
    // relaxed: ordered by the fence
    if (__builtin_expect((int32_t)(tail - load_relaxed(&f->claim)) < 0, 0))
        return fresh_pop_contended(f);
    return load_relaxed(&f->slots[tail % FRESH_SIZE]); // relaxed: own store
}

// Owner. The oldest, or NULL.
struct g *fresh_pop_oldest(struct fresh *f);

// The owner of 'to', which is empty, takes the older half of 'from', rounded up. The newest of
// these is returned to be run, the others stand in 'to'. NULL: nothing there, or another thief is.
struct g *fresh_steal(struct fresh *to, struct fresh *from);

// A thief. True: something stands there, but another one came a moment ago (F4).
bool fresh_too_soon(struct fresh *f);

// Anybody: how many might be there. A hint unless a fence orders it (decision 10).
static inline uint32_t fresh_len(struct fresh *f)
{
    // relaxed, both: a hint, or ordered by the caller's fence
    int32_t n = (int32_t)(load_relaxed(&f->tail) - load_relaxed(&f->head));

    return n > 0 ? (uint32_t)n : 0;
}
