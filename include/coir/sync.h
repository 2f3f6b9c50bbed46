// SPDX-License-Identifier: MIT
// coir/sync.h - locks that park a coroutine and not its thread.
//
// Zero-filled is ready to use, there is nothing to destroy, and no lock belongs to a runtime.
// Every call may be made by coroutines and by ordinary threads on the same object. A free lock is
// granted even to a cancelled coroutine; only waiting is a cancellation point.
//
// Once a call returned, the partner that made it return touches the object no more: after the last
// unlock or a waitgroup's wait the memory may be freed at once.
#ifndef COIR_SYNC_H
#define COIR_SYNC_H

#include <stdint.h>

#include <coir/base.h>

#ifdef __cplusplus
extern "C" {
#endif

// A lock with an owner. The words are the library's: neither read nor copy them.
typedef struct coir_mutex {
    uint64_t words_[4];
} coir_mutex;

// A count that others wait for to become zero. The words are the library's.
typedef struct coir_waitgroup {
    uint64_t words_[4];
} coir_waitgroup;

// Takes the lock; waits while another holds it. Not strictly first come, first served (a running
// coroutine may overtake), but nobody is passed over for long.
// 0 | -ETIMEDOUT | -ECANCELED | -EDEADLK (the caller holds it already) | -EINVAL (NULL)
COIR_API COIR_MUST_USE int coir_mutex_lock(coir_mutex *m, int64_t deadline);

// Gives the lock back. Never waits. 0 | -EPERM (not the owner, or not locked) | -EINVAL (NULL)
COIR_API int coir_mutex_unlock(coir_mutex *m);

// Adds n, which may be negative; at zero everyone who waits is woken. Never waits.
// 0 | -EINVAL (NULL, or the count would leave 0 .. INT32_MAX; it is unchanged)
COIR_API int coir_waitgroup_add(coir_waitgroup *w, int n);

// Takes one away: add of -1. Never waits. 0 | -EINVAL (NULL, or the count is zero)
COIR_API int coir_waitgroup_done(coir_waitgroup *w);

// Waits until the count is zero. Add before starting those who say done.
// 0 | -ETIMEDOUT | -ECANCELED | -EINVAL (NULL)
COIR_API COIR_MUST_USE int coir_waitgroup_wait(coir_waitgroup *w, int64_t deadline);

#ifdef __cplusplus
}
#endif

#endif
