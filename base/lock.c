// SPDX-License-Identifier: MIT
#include "base/lock.h"

#include <assert.h>

#include "base/clock.h"
#include "base/panic.h"
#include "base/platform.h"

#define SPINS 7u // of 1, 2, 4 .. 64 breaths: three microseconds in all
#define NAP_NS 20000
#define NAP_NS_MOST 1000000
#define NAPS_GROW 6u

static bool take(struct lock *l)
{
    uint32_t was = LOCK_FREE;

    // [LOCK-TAKE] acquire, pairs with [LOCK-GIVE].
    return load_relaxed(&l->state) == LOCK_FREE && // relaxed: the CAS decides
           cas_acquire(&l->state, &was, LOCK_HELD);
}

// Looks less and less often: every look takes the line from the holder.
void lock_breathe(uint32_t looks)
{
    uint32_t i = looks % (SPINS + 1), naps = looks / (SPINS + 1);

    if (i < SPINS) {
        for (uint32_t n = 1u << i; n > 0; n--) os_pause();
        return;
    }
    int64_t nap = naps < NAPS_GROW ? (int64_t)NAP_NS << naps : NAP_NS_MOST;
    os_sleep_until(clock_after(nap)); // the kernel has taken the holder's processor
}

void lock_acquire_slow(struct lock *l)
{
    for (uint32_t looks = 0; !take(l); looks++) lock_breathe(looks);
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
