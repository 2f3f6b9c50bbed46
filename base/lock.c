// SPDX-License-Identifier: MIT
#include "base/lock.h"

#include "base/panic.h"
#include "base/platform.h"

#define SPINS 30 // about a microsecond: what a holder's short section lasts

void lock_acquire_slow(struct lock *l)
{
    for (int i = 0; i < SPINS; i++) {
        uint32_t was = LOCK_FREE;

        // [LOCK-TAKE] acquire, pairs with [LOCK-GIVE].
        if (load_relaxed(&l->state) == LOCK_FREE && // relaxed: the CAS decides
            cas_acquire(&l->state, &was, LOCK_HELD))
            return;
        os_pause();
    }
    // [LOCK-TAKE] acquire, pairs with [LOCK-GIVE]. It stays CONTENDED when taken here: others may
    // sleep, and a wake too many costs less than one too few.
    while (swap_acquire(&l->state, LOCK_CONTENDED) != LOCK_FREE)
        os_futex_wait(&l->state, LOCK_CONTENDED, INT64_MAX);
}

void lock_release_slow(struct lock *l)
{
    os_futex_wake(&l->state, 1);
}

#if defined(COIR_DEBUG) || defined(COIR_MODEL)
// A count of four bits a rank: a select holds several OBJECTs.
static uint64_t rank_unit(uint32_t rank)
{
    return UINT64_C(1) << (rank * 4);
}

void lock_note_acquire(const struct lock *l)
{
    uint64_t *ranks = os_lock_ranks();
    uint64_t above = *ranks >> (l->rank * 4);

    if (l->rank == LOCK_RANK_OBJECT)
        must(above >> 4 == 0); // a lower rank under a higher one
    else
        must(above == 0);
    *ranks += rank_unit(l->rank);
}

void lock_note_release(const struct lock *l)
{
    uint64_t *ranks = os_lock_ranks();

    must(*ranks >> (l->rank * 4) & 15); // released by who does not hold it
    *ranks -= rank_unit(l->rank);
}
#endif
