// SPDX-License-Identifier: MIT
// lock - spin a little, then nap; with a rank that says in which order locks may nest.
//
//     FREE --acquire, one compare-and-swap--> HELD --release, one store--> FREE
//
// No lock is held over a switch (I8), a park or a sleep, so a holder is delayed only by the kernel
// and by what it asks the kernel for. Who meets one spins for some microseconds, then sleeps in
// naps that grow. Nobody has to be woken, so the release is one plain store: it looks for no
// sleepers, it is the last access, and a locked instruction less in every call that takes a lock.
// docs/adr/0010 has the alternatives.
//
// Ranks: a thread that holds a lock takes only locks of a higher rank. Objects that users wait
// for stand lowest, because under them tasks are readied; what the scheduler needs to make a task
// run stands above them. Zero-filled is a free lock of the rank OBJECT.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"

enum lock_rank {
    LOCK_RANK_OBJECT,  // channels, mutexes, waitgroups: one at a time, but for a select's
    LOCK_RANK_FD,      // a descriptor's turns
    LOCK_RANK_OFFLOAD, // the queue of jobs for helpers
    LOCK_RANK_SCOPE,   // cancels ready coroutines; an outer one before an inner one
    LOCK_RANK_GTABLE,  // walks ready coroutines
    LOCK_RANK_SELF,    // what a thread waits for, within reach of a cancel
    LOCK_RANK_TIMERS,  // an expiry asks pollers to cancel
    LOCK_RANK_IDLE,
    LOCK_RANK_FRESH,
    LOCK_RANK_TAKE =
        LOCK_RANK_FRESH, // of the global queue; never beside one of the other kind
    LOCK_RANK_GLOBQ,
    LOCK_RANK_STACKS,
    LOCK_RANK_REAP,   // a lent poller
    LOCK_RANK_POLLER, // the box of cancels
    LOCK_RANK_COUNT
};

struct lock {
    atomic_u32 state;
    uint32_t rank;
};

enum { LOCK_FREE, LOCK_HELD };

void lock_acquire_slow(struct lock *l);

// Between two looks at something that is soon over, without a word to us: breaths, more and more of
// them, then a nap, that grows. 'looks': how often it was looked at.
void lock_breathe(uint32_t looks);

#if defined(COIR_DEBUG) || defined(COIR_MODEL)
void lock_note_acquire(const struct lock *l);
void lock_note_release(const struct lock *l);
#else
static inline void lock_note_acquire(const struct lock *l)
{
    (void)l;
}
static inline void lock_note_release(const struct lock *l)
{
    (void)l;
}
#endif

static inline void lock_init(struct lock *l, enum lock_rank rank)
{
    *l = (struct lock){.rank = rank};
}

// Waits; any thread. Not recursive.
static inline void lock_acquire(struct lock *l)
{
    uint32_t was = LOCK_FREE;

    lock_note_acquire(l);
    // [LOCK-TAKE] acquire, pairs with [LOCK-GIVE].
    if (!cas_acquire(&l->state, &was, LOCK_HELD)) lock_acquire_slow(l);
}

// Never waits. True: taken.
static inline bool lock_try(struct lock *l)
{
    uint32_t was = LOCK_FREE;

    // [LOCK-TAKE] acquire, pairs with [LOCK-GIVE].
    if (!cas_acquire(&l->state, &was, LOCK_HELD)) return false;
    lock_note_acquire(l);
    return true;
}

// Holder only; its last access.
static inline void lock_release(struct lock *l)
{
    lock_note_release(l);
    // [LOCK-GIVE] release, pairs with [LOCK-TAKE].
    store_release(&l->state, LOCK_FREE);
}
