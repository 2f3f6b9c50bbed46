// SPDX-License-Identifier: MIT
// bias - a lock that one thread takes without a locked instruction, until another one comes.
//
//     its thread                               another thread
//     ------------------------------------     ------------------------------------
//                                              takes the lock under it
//     inside = the lock          [BIAS-IN]     thread = nobody
//     light fence                              heavy fence                [BIAS-TAKE]
//     thread still me? else back out,          its inside is this? nap until it is not
//     and take the lock under it                                          [BIAS-GONE]
//     section
//     inside = none             [BIAS-OUT]     section
//
// The two are a pair of store and load on either side, as everywhere; only that the fence is not
// shared fairly: its thread pays nothing but the compiler's order, and who comes once pays for
// both, because a heavy fence makes every thread of the process pass a full one (membarrier(2)).
//
// B1  Either the thread sees that it is the owner no more, or the other one sees it inside.
// B2  Only the holder of the lock under it writes whose it is: away from another, or to itself.
// B3  Where a thread is inside stands in a note of the thread's own, one lock at most; a second one
//     it takes by the lock under it (a select over several channels). One note for all who ever own
//     the lock would not do: a thread that comes late would wipe out what the next owner noted.
// B4  A note outlives its thread and its runtime: whoever takes a lock away from a thread that has
//     ended looks at it. A thread that gets the note later gets the locks too: the other one is
//     inside of nothing any more. Who has none, because there are no more or a heavy fence cannot
//     be had, is bias_stranger and owns no lock.
// B5  Nobody's lock becomes its thread's who took it so many times and nobody else in between, and
//     each time that it was taken away it takes four times as many: so what the fences cost is a
//     small part of what the lock has cost until then. Where a heavy fence was refused no lock
//     becomes anybody's, and one that is goes by the longer way (base/fence.h), once.
//
// Who owns it is a matter of the thread, not of P or coroutine: no section lasts over a switch
// (I8), so it holds under hand-off and for ordinary threads alike. Channels that a coroutine makes
// in a runtime of one worker are its thread's at once; with more workers a channel is soon shared,
// or stays where it is for long, and has to show which.
//
// Source: biased locking (Kawachiya, Koseki, Onodera, OOPSLA 2002), revoked by an asymmetric
// fence (Dice, Moir, Scherer, "Quickly reacquirable locks", 2002); the note is a hazard pointer
// (Michael, 2004).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fence.h"
#include "base/lock.h"

struct bias;

// A thread's note (B3).
struct bias_owner {
    alignas(CACHE_LINE)
        atomic_ptr(const struct bias) inside; // the thread alone writes it
    atomic_u32 taken;
    struct fence_note note;
};

extern struct bias_owner bias_stranger, bias_nobody;

// A note for a thread, to be given back; bias_stranger: there are no more. Any thread, where heavy
// fences are to be had.
struct bias_owner *bias_owner_get(void);
void bias_owner_put(struct bias_owner *owner);
// In the child of a fork, whose only thread is inside of nothing: the notes of the other threads
// are there to be had again. Who was inside of a lock is so for ever, and nobody gets it (B4).
void bias_forked(void);

#ifdef COIR_MODEL
#define BIAS_AFTER 3u
#define BIAS_AFTER_MOST 3u
#else
#define BIAS_AFTER 1000u // some 20 us of taking it
#define BIAS_AFTER_MOST (1u << 24)
#endif

struct bias {
    struct lock lock;

    // Guarded by the lock under it.
    struct bias_owner *last; // who took it the last time ...
    uint32_t n_last;         // ... and how often in a row before
    uint32_t n_needed;       // so often makes it its own (B5)

    // Atomic: written under the lock, read by anybody. &bias_nobody: nobody's.
    atomic_ptr(struct bias_owner) thread;
};

// 'thread' is bias_stranger: nobody's yet. The rank is that of the lock under it.
static inline void bias_init(struct bias *b, enum lock_rank rank,
                             struct bias_owner *thread)
{
    *b = (struct bias){.n_needed = BIAS_AFTER};
    lock_init(&b->lock, rank);
    // relaxed: nobody knows it yet
    store_relaxed(&b->thread, thread == &bias_stranger || load_relaxed(&fence_refused)
                                  ? &bias_nobody
                                  : thread);
}

// The caller holds the lock under it, which is 'owner's: makes it nobody's.
void bias_take_away(struct bias *b, struct bias_owner *owner);

// Holder of the lock under it, the thread 'me': takes it away from another, or counts (B5).
static inline void bias_note_locked(struct bias *b, struct bias_owner *me)
{
    struct bias_owner *owner =
        load_relaxed(&b->thread); // relaxed: written under the lock

    if (owner == me) return; // inside of another one (B3)
    if (owner != &bias_nobody) bias_take_away(b, owner);
    if (b->last != me) {
        b->last = me;
        b->n_last = 0;
    } else if (++b->n_last == b->n_needed && me != &bias_stranger &&
               !load_relaxed(&fence_refused)) { // relaxed: it only saves the longer way
        store_relaxed(&b->thread, me);          // relaxed: the lock orders it (B2)
    }
}

// Its thread, as far as it has seen. False: not that way.
static inline bool bias_enter(struct bias *b, struct bias_owner *me)
{
    if (__builtin_expect(load_own(&me->inside) != NULL, 0)) return false; // B3
    // [BIAS-OUT] release, pairs with [BIAS-GONE]: whoever sees this sees that the last section of
    // another lock is over.
    store_release(&me->inside, b);
    // [BIAS-IN] light, pairs with [BIAS-TAKE]: inside is stored, now look whose it is (B1).
    fence_light();
    if (__builtin_expect(load_relaxed(&b->thread) == me, 1)) { // relaxed: by the fence
        lock_note_acquire(&b->lock);
        return true;
    }
    // [BIAS-OUT] release, pairs with [BIAS-GONE].
    store_release(&me->inside, NULL);
    return false;
}

// Waits; any thread. 'me' is the calling thread's.
static inline void bias_acquire(struct bias *b, struct bias_owner *me)
{
    // relaxed: if it is 'me', this thread wrote so, or the maker
    if (__builtin_expect(load_relaxed(&b->thread) == me, 1) && bias_enter(b, me)) return;
    lock_acquire(&b->lock);
    bias_note_locked(b, me);
}

// Holder only, on the thread that acquired; its last access.
static inline void bias_release(struct bias *b, struct bias_owner *me)
{
    if (__builtin_expect(load_own(&me->inside) == b, 1)) {
        lock_note_release(&b->lock);
        // [BIAS-OUT] release, pairs with [BIAS-GONE]: what was done inside is done.
        store_release(&me->inside, NULL);
    } else {
        lock_release(&b->lock);
    }
}
