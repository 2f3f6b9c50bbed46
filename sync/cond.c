// SPDX-License-Identifier: MIT
// cond - a queue of those who wait until something that a mutex guards has changed.
//
//     wait                                     signal
//     link a waiter, under the queue's lock    claim the oldest waiter, off the queue
//     unlock the mutex                         ready it
//     park
//     lock the mutex, deaf to cancel
//
// N1  The waiter is linked before the mutex is given back: whoever changes the thing with the
//     mutex held, and signals, finds it.
// N2  A signal is given to a wait that was still open (I3): a waiter whose deadline or cancel won
//     has not eaten it.
// N3  The queue's lock is released before the woken one is readied: it may free the condition.
#include <assert.h>
#include <errno.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/waiter.h"
#include "coir/sync.h"
#include "sched/park.h"
#include "sync/mutex.h"

struct cond {
    struct lock lock;
    struct list waiters; // guarded by lock; zero-filled is empty
};

static_assert(sizeof(struct cond) == sizeof(coir_cond), "lives in the user's words");

static struct cond *cond_of(coir_cond *c)
{
    return (struct cond *)(void *)c;
}

static struct list *queue_locked(struct cond *c)
{
    if (!c->waiters.head.next) list_init(&c->waiters);
    return &c->waiters;
}

int coir_cond_wait(coir_cond *user, coir_mutex *m, int64_t deadline)
{
    struct cond *c = cond_of(user);
    struct task here;
    struct waiter w = {0};

    if (!c || !m) return -EINVAL;
    if (!mutex_is_mine(m)) return -EPERM;
    if (deadline <= CLOCK_PAST) return park_in_vain(); // nothing to try
    park_lock_begins(deadline);

    w.task = task_self(&here);
    lock_acquire(&c->lock);
    w.ticket = wait_open(w.task, "condition", c);
    list_push_back(queue_locked(c), &w.node); // N1
    lock_release(&c->lock);
    coir_mutex_unlock(m);
    int outcome = park(w.task, deadline);
    if (outcome < 0) {
        lock_acquire(&c->lock);
        if (list_linked(&w.node)) list_remove(&w.node);
        lock_release(&c->lock);
    }
    mutex_lock_deaf(m);
    return outcome;
}

// Claims up to 'most' waiters, the oldest first, and readies them.
static int wake(struct cond *c, unsigned most)
{
    struct list woken;
    struct list_node *n;

    if (!c) return -EINVAL;
    list_init(&woken);
    lock_acquire(&c->lock);
    while (most > 0 && (n = list_pop_front(queue_locked(c)))) {
        struct waiter *w = container_of(n, struct waiter, node);

        if (!waiter_claim(w)) continue; // N2
        w->task->outcome = 0;
        list_push_back(&woken, n);
        most--;
    }
    lock_release(&c->lock); // N3
    while ((n = list_pop_front(&woken)))
        ready(container_of(n, struct waiter, node)->task);
    return 0;
}

int coir_cond_signal(coir_cond *c)
{
    return wake(cond_of(c), 1);
}

int coir_cond_broadcast(coir_cond *c)
{
    return wake(cond_of(c), ~0u);
}
