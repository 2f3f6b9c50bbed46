// SPDX-License-Identifier: MIT
// mutex - one word with the owner's number; a queue behind it for those who must wait.
//
//     word:   [ owner : 63 | somebody may wait : 1 ]
//
//     0 --lock, one CAS--> me|0 --unlock, one CAS--> 0
//                            | a waiter sets its bit, under the queue's lock
//                            v
//                          me|1 --unlock--> 0|1 and one waiter woken, which competes again
//                                           or waiter|1: handed over (X2)
//
// X1  Barging: a running coroutine may take a free mutex before the woken one does; a hand-over at
//     every unlock would make each lock cost a switch.
// X2  Bounded: a waiter that was woken and came too late once stands in front of the queue and is
//     handed the mutex by the next unlock.
// X3  The release of the word is the unlocker's last access: who gets the mutex next may free it.
//     The queue's lock is released before.
#include "sync/mutex.h"

#include <assert.h>
#include <errno.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/panic.h"
#include "base/platform.h"
#include "base/waiter.h"
#include "sched/park.h"

#define SPINS 40 // about a microsecond: a short section on another worker ends within it

struct mutex {
    atomic_u64 word;
    struct lock lock;
    struct list waiters; // guarded by lock; zero-filled is empty
};

static_assert(sizeof(struct mutex) == sizeof(coir_mutex), "lives in the user's words");

enum { FREE = 0, WAITED = 1 };
enum { WOKEN = 0, HANDED = 1 };     // outcomes
enum { COMPETES = 0, INSISTS = 1 }; // a waiter's tag (X2)

static struct mutex *mutex_of(coir_mutex *m)
{
    return (struct mutex *)(void *)m;
}

static struct list *queue_locked(struct mutex *m)
{
    if (!m->waiters.head.next) list_init(&m->waiters);
    return &m->waiters;
}

// Takes a free mutex, keeping the bit.
static bool try_take(struct mutex *m, uint64_t id)
{
    uint64_t was = load_relaxed(&m->word); // relaxed: the CAS decides

    // [MUTEX-LOCK] acquire, pairs with [MUTEX-UNLOCK].
    return was <= WAITED && cas_acquire(&m->word, &was, id << 1 | was);
}

static bool spin(struct mutex *m, uint64_t id)
{
    for (int i = 0; i < SPINS; i++) {
        if (try_take(m, id)) return true;
        os_pause();
    }
    return false;
}

// Sets the bit that sends the owner's unlock to the queue; false: it is free meanwhile.
static bool mark_locked(struct mutex *m)
{
    uint64_t was = load_relaxed(&m->word); // relaxed: the CAS decides

    while (was > WAITED) {
        // [MUTEX-MARK] acq_rel, pairs with [MUTEX-UNLOCK]: the owner's fast unlock fails from here.
        if (was & WAITED || cas_acq_rel(&m->word, &was, was | WAITED)) return true;
    }
    return false;
}

// One turn of waiting. WOKEN: compete again | HANDED | -ETIMEDOUT | -ECANCELED | -ENOMEM
static int wait_turn(struct mutex *m, uint64_t id, uint32_t tag, int64_t deadline,
                     bool deaf)
{
    struct task here;
    struct waiter w = {.task = task_self(&here),
                       .value = (void *)(uintptr_t)id,
                       .tag = tag};

    lock_acquire(&m->lock);
    if (!mark_locked(m)) {
        lock_release(&m->lock);
        return WOKEN;
    }
    w.ticket =
        deaf ? wait_open_shielded(w.task, "mutex", m) : wait_open(w.task, "mutex", m);
    if (tag == INSISTS)
        list_push_front(queue_locked(m), &w.node);
    else
        list_push_back(queue_locked(m), &w.node);
    lock_release(&m->lock);
    int outcome = park(w.task, deadline);
    if (outcome >= 0) return outcome;

    lock_acquire(&m->lock);
    if (list_linked(&w.node)) list_remove(&w.node);
    lock_release(&m->lock);
    return outcome;
}

static int lock_slow(struct mutex *m, uint64_t id, int64_t deadline, bool deaf)
{
    uint32_t tag = COMPETES;

    // relaxed: only we write our own number
    if (load_relaxed(&m->word) >> 1 == id) return -EDEADLK;
    if (spin(m, id)) return 0;
    while (!try_take(m, id)) {
        if (deadline <= CLOCK_PAST) return park_in_vain();
        int outcome = wait_turn(m, id, tag, deadline, deaf);
        if (outcome == HANDED) return 0;
        if (outcome < 0) return outcome;
        tag = INSISTS;
    }
    return 0;
}

int coir_mutex_lock(coir_mutex *user, int64_t deadline)
{
    struct mutex *m = mutex_of(user);
    uint64_t was = FREE;

    if (!m) return -EINVAL;
    park_lock_begins(deadline);
    uint64_t id = task_id_self();
    // [MUTEX-LOCK] acquire, pairs with [MUTEX-UNLOCK].
    if (cas_acquire(&m->word, &was, id << 1)) return 0;
    return lock_slow(m, id, deadline, false);
}

void mutex_lock_deaf(coir_mutex *user)
{
    struct mutex *m = mutex_of(user);
    uint64_t id = task_id_self();

    if (!try_take(m, id)) must(lock_slow(m, id, CLOCK_NEVER, true) == 0);
}

bool mutex_is_mine(const coir_mutex *user)
{
    // relaxed: only we write our own number
    return load_relaxed(&((const struct mutex *)(const void *)user)->word) >> 1 ==
           task_id_self();
}

// The oldest waiter that still waits, claimed; NULL: none, and then the bit is gone.
static struct waiter *claim_locked(struct mutex *m, uint64_t id)
{
    for (struct list_node *n; (n = list_pop_front(queue_locked(m)));) {
        struct waiter *w = container_of(n, struct waiter, node);

        if (waiter_claim(w)) return w;
    }
    // relaxed: still ours, and marks come under the lock
    store_relaxed(&m->word, id << 1);
    return NULL;
}

static void unlock_slow(struct mutex *m, uint64_t id)
{
    uint64_t was = id << 1;

    lock_acquire(&m->lock);
    struct waiter *w = claim_locked(m, id);
    bool handed = w && w->tag == INSISTS;
    struct task *t = w ? w->task : NULL;
    uint64_t next = handed ? (uint64_t)(uintptr_t)w->value << 1 | WAITED : WAITED;
    if (t) t->outcome = handed ? HANDED : WOKEN;
    lock_release(&m->lock);

    if (t) {
        // [MUTEX-UNLOCK] release, pairs with [MUTEX-LOCK]: the last access (X3).
        store_release(&m->word, next);
        ready(t);
        return;
    }
    // [MUTEX-UNLOCK] release, pairs with [MUTEX-LOCK]: a waiter may have come meanwhile.
    if (!cas_release(&m->word, &was, FREE)) unlock_slow(m, id);
}

int coir_mutex_unlock(coir_mutex *user)
{
    struct mutex *m = mutex_of(user);

    if (!m) return -EINVAL;
    uint64_t id = task_id_self();
    uint64_t was = id << 1;
    // [MUTEX-UNLOCK] release, pairs with [MUTEX-LOCK].
    if (cas_release(&m->word, &was, FREE)) return 0;
    if (was >> 1 != id) return -EPERM;
    unlock_slow(m, id);
    return 0;
}
