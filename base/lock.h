// SPDX-License-Identifier: MIT
// lock - spin a little, then sleep; with a rank that says in which order locks may nest.
//
//     FREE --acquire--> HELD --somebody waits--> CONTENDED --release--> FREE, wake one
//
// Uncontended: one compare-and-swap to take, one swap to give back. No lock is held over a switch
// (I8), so a holder is delayed only by the kernel.
//
// Ranks: a thread that holds a lock takes only locks of a higher rank. Objects that users wait
// for stand lowest, because under them tasks are readied; what the scheduler needs to make a task
// run stands above them. Zero-filled is a free lock of the rank OBJECT.
//
// Source: Drepper, "Futexes are tricky", 2011, the mutex of three states.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"

enum lock_rank {
    LOCK_RANK_OBJECT, // channels, mutexes, waitgroups: one at a time, but for a select's
    LOCK_RANK_FD,     // a descriptor's turns
    LOCK_RANK_GTABLE, // walks ready coroutines
    LOCK_RANK_TIMERS, // an expiry asks pollers to cancel
    LOCK_RANK_IDLE,
    LOCK_RANK_GLOBQ,
    LOCK_RANK_STACKS,
    LOCK_RANK_POLLER, // the box of cancels
    LOCK_RANK_COUNT
};

struct lock {
    atomic_u32 state;
    uint32_t rank;
};

enum { LOCK_FREE, LOCK_HELD, LOCK_CONTENDED };

void lock_acquire_slow(struct lock *l);
void lock_release_slow(struct lock *l);

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

// Holder only. Touches the lock no more once another could have taken it, but for a wake that
// names its address.
static inline void lock_release(struct lock *l)
{
    lock_note_release(l);
    // [LOCK-GIVE] release, pairs with [LOCK-TAKE].
    if (swap_release(&l->state, LOCK_FREE) == LOCK_CONTENDED) lock_release_slow(l);
}
