// SPDX-License-Identifier: MIT
// coir/sync.h - locks that park a coroutine and not its thread.
//
// Zero-filled is ready to use, there is nothing to destroy, and no lock belongs to a runtime.
// Every call may be made by coroutines and by ordinary threads on the same object. A free lock is
// granted even to a cancelled coroutine; only waiting is a cancellation point.
//
// Once a call returned, the partner that made it return touches the object no more: after the last
// unlock, a waitgroup's wait or an acquire the memory may be freed at once.
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

// A lock for many readers or one writer. The words are the library's.
typedef struct coir_rwmutex {
    uint64_t words_[6];
} coir_rwmutex;

// Those who wait until something that a mutex guards has changed. The words are the library's.
typedef struct coir_cond {
    uint64_t words_[3];
} coir_cond;

// A number of units, taken and given back n at a time. Zero-filled there are none. The words are
// the library's.
typedef struct coir_sema {
    uint64_t words_[4];
} coir_sema;

// A call that is made once. The words are the library's.
typedef struct coir_once {
    uint64_t words_[4];
} coir_once;

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

// Takes the lock for reading, beside other readers; waits while a writer holds it or waits for it.
// A reader who takes it twice may wait for a writer who waits for the reader: do not.
// 0 | -ETIMEDOUT | -ECANCELED | -EDEADLK (the caller holds it for writing) | -EINVAL (NULL)
COIR_API COIR_MUST_USE int coir_rwmutex_rlock(coir_rwmutex *m, int64_t deadline);

// Gives a reader's lock back. Who the readers are is not noted, only how many. Never waits.
// 0 | -EPERM (nobody reads) | -EINVAL (NULL)
COIR_API int coir_rwmutex_runlock(coir_rwmutex *m);

// Takes the lock for writing, alone; waits while others read or write. From when it waits no new
// reader comes in; readers who waited meanwhile come in before the next writer.
// 0 | -ETIMEDOUT | -ECANCELED | -EDEADLK (the caller holds it for writing) | -EINVAL (NULL)
COIR_API COIR_MUST_USE int coir_rwmutex_lock(coir_rwmutex *m, int64_t deadline);

// Gives the writer's lock back. Never waits.
// 0 | -EPERM (not the owner, or not locked for writing) | -EINVAL (NULL)
COIR_API int coir_rwmutex_unlock(coir_rwmutex *m);

// Gives m back, waits for a signal, takes m again: whatever it returns, the caller holds m. Look
// at what you wait for again afterwards: others may have had m in between. The deadline and a
// cancel end the wait for the signal, not that for m.
// 0 (a signal was meant for this call) | -ETIMEDOUT (with COIR_NOW at once, m was not given back)
// | -ECANCELED | -EPERM (the caller does not hold m) | -EINVAL (NULL)
COIR_API COIR_MUST_USE int coir_cond_wait(coir_cond *c, coir_mutex *m, int64_t deadline);

// Wakes the one who has waited longest, or everyone; nobody waits: nothing happens. m need not be
// held. Never waits. 0 | -EINVAL (NULL)
COIR_API int coir_cond_signal(coir_cond *c);
COIR_API int coir_cond_broadcast(coir_cond *c);

// Begins with so many units; nobody may use s. Never waits. 0 | -EINVAL (NULL, above INT32_MAX)
COIR_API int coir_sema_init(coir_sema *s, uint32_t count);

// Takes n units at once; waits while there are fewer. First come, first served: who wants few
// waits behind who wants many. n of 0 only waits for its turn.
// 0 | -ETIMEDOUT | -ECANCELED | -EINVAL (NULL, n above INT32_MAX); then nothing is taken
COIR_API COIR_MUST_USE int coir_sema_acquire(coir_sema *s, uint32_t n, int64_t deadline);

// Gives n units, taken before or new. Anybody may. Never waits.
// 0 | -EINVAL (NULL, or the units would pass INT32_MAX; they are unchanged)
COIR_API int coir_sema_release(coir_sema *s, uint32_t n);

// Calls fn(arg) unless somebody did before on the same o; returns when that one call has returned,
// with what it wrote in sight. Waits for as long as fn takes, deaf to cancel.
// 0 | -EDEADLK (called by fn itself) | -EINVAL (NULL)
COIR_API int coir_once_do(coir_once *o, void (*fn)(void *), void *arg);

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
