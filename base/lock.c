// SPDX-License-Identifier: MIT
#include "base/lock.h"

#include "base/clock.h"
#include "base/panic.h"
#include "base/platform.h"

#define BREATHS_MOST                                                                     \
    64u // between two looks; doubled from 1 on: three microseconds in all
#define NAP_NS 20000
#define NAP_NS_MOST 1000000

static bool take(struct lock *l)
{
    uint32_t was = LOCK_FREE;

    // [LOCK-TAKE] acquire, pairs with [LOCK-GIVE].
    return load_relaxed(&l->state) == LOCK_FREE && // relaxed: the CAS decides
           cas_acquire(&l->state, &was, LOCK_HELD);
}

// Looks less and less often: every look takes the line from the holder.
static bool spin(struct lock *l)
{
    for (uint32_t breaths = 1; breaths <= BREATHS_MOST; breaths *= 2) {
        if (take(l)) return true;
        for (uint32_t i = 0; i < breaths; i++) os_pause();
    }
    return take(l);
}

void lock_acquire_slow(struct lock *l)
{
    for (int64_t nap = NAP_NS; !spin(l); nap = nap < NAP_NS_MOST ? nap * 2 : nap)
        os_sleep_until(clock_after(nap)); // the kernel has taken the holder's processor
}

#if defined(COIR_DEBUG) || defined(COIR_MODEL)
// A count of four bits a rank: a select holds several OBJECTs, a closing scope its outer one.
static uint64_t rank_unit(uint32_t rank)
{
    return UINT64_C(1) << (rank * 4);
}

void lock_note_acquire(const struct lock *l)
{
    uint64_t *ranks = os_lock_ranks();
    uint64_t above = *ranks >> (l->rank * 4);

    if (l->rank == LOCK_RANK_OBJECT || l->rank == LOCK_RANK_SCOPE)
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
