// SPDX-License-Identifier: MIT
// bias - a lock that one thread takes without a locked instruction, until another one comes.
//
//     its thread                               another thread
//     ------------------------------------     ------------------------------------
//                                              takes the lock under it
//     inside = 1                 [BIAS-IN]     taken = 1
//     light fence                              heavy fence                [BIAS-TAKE]
//     taken? then back out, take the lock      inside? nap until it is not
//     section
//     inside = 0                [BIAS-OUT]     section; from now on the lock alone counts
//
// The two are a pair of store and load on either side, as everywhere; only that the fence is not
// shared fairly: its thread pays nothing but the compiler's order, and who comes once pays for
// both, because a heavy fence makes every thread of the process pass a full one (membarrier(2)).
//
// B1  Either the thread sees 'taken', or the other one sees it inside.
// B2  'taken' is for good: a lock that two threads use is an ordinary one from then on.
// B3  A thread is named by a pointer that no other living thread has: its M. Who has none, or
//     lives where a heavy fence cannot be had, is NULL and owns no lock.
//
// Who owns it is a matter of the thread, not of P or coroutine: no section lasts over a switch
// (I8), so it holds under hand-off and for ordinary threads alike. Channels that a coroutine makes
// in a runtime of one worker are worth it; with more workers a channel is soon shared.
//
// Source: biased locking (Kawachiya, Koseki, Onodera, OOPSLA 2002), revoked by an asymmetric
// fence (Dice, Moir, Scherer, "Quickly reacquirable locks", 2002).
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"

struct bias {
    struct lock lock;
    const void *thread; // constant after init; its own address: nobody's

    // Atomic.
    atomic_u32 inside; // only 'thread' writes it
    atomic_u32 taken;  // only who holds the lock writes it
};

// 'thread' may be NULL (B3). The rank is that of the lock under it.
static inline void bias_init(struct bias *b, enum lock_rank rank, const void *thread)
{
    *b = (struct bias){.thread = thread ? thread : b};
    lock_init(&b->lock, rank);
}

// The caller holds the lock under it: makes it an ordinary one (B2).
void bias_take_away(struct bias *b);

// Waits; any thread. 'me' is the calling thread (B3).
static inline void bias_acquire(struct bias *b, const void *me)
{
    if (b->thread == me) {
        store_relaxed(&b->inside, 1); // relaxed: the fence follows
        // [BIAS-IN] light, pairs with [BIAS-TAKE]: inside is stored, now look at taken (B1).
        fence_light();
        if (!load_relaxed(&b->taken)) { // relaxed: ordered by the fence
            lock_note_acquire(&b->lock);
            return;
        }
        // [BIAS-OUT] release, pairs with [BIAS-GONE].
        store_release(&b->inside, 0);
    }
    lock_acquire(&b->lock);
    // relaxed: written under the lock
    if (b->thread != b && !load_relaxed(&b->taken)) bias_take_away(b);
}

// Holder only, on the thread that acquired; its last access.
static inline void bias_release(struct bias *b, const void *me)
{
    if (b->thread == me && load_own(&b->inside)) {
        lock_note_release(&b->lock);
        // [BIAS-OUT] release, pairs with [BIAS-GONE]: what was done inside is done.
        store_release(&b->inside, 0);
    } else {
        lock_release(&b->lock);
    }
}
