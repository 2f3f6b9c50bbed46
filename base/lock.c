// SPDX-License-Identifier: MIT
#include "base/lock.h"

#include <assert.h>

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
// A count of four bits a rank, but all the rest for OBJECT: a select holds many. A closing
// scope holds its outer one's.
#define OBJECT_SHIFT 48u

static_assert((LOCK_RANK_COUNT - 1) * 4 <= OBJECT_SHIFT, "every rank has its count");

static uint32_t rank_shift(uint32_t rank)
{
    return rank == LOCK_RANK_OBJECT ? OBJECT_SHIFT : (rank - 1) * 4;
}

void lock_note_acquire(const struct lock *l)
{
    uint64_t *ranks = os_lock_ranks();
    uint64_t others = *ranks & ((UINT64_C(1) << OBJECT_SHIFT) - 1);
    uint32_t from = l->rank == LOCK_RANK_OBJECT ? 0 : rank_shift(l->rank);

    // An outer scope's lock before an inner one's.
    if (l->rank == LOCK_RANK_SCOPE) from += 4;
    // Else a lower rank is taken under a higher one, or one beside its like.
    must(others >> from == 0);
    *ranks += UINT64_C(1) << rank_shift(l->rank);
}

void lock_note_release(const struct lock *l)
{
    uint64_t *ranks = os_lock_ranks();
    uint64_t mask = l->rank == LOCK_RANK_OBJECT ? UINT64_MAX : 15;

    must(*ranks >> rank_shift(l->rank) & mask); // released by who does not hold it
    *ranks -= UINT64_C(1) << rank_shift(l->rank);
}
#endif
