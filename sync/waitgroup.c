// SPDX-License-Identifier: MIT
// waitgroup - a count, and those who wait for it to become zero.
//
//     word:   [ count : 32 | waking : 1 | somebody waits : 1 ]
//
//     n|0 --done--> n-1|0 ... --> 0              nobody waits: one compare-and-swap
//     n|1 --done--> n-1|1 ... --> WAKING --> 0   the last one, under the lock: takes the waiters
//
// G1  The step to zero is one compare-and-swap; it decides who is woken: those on the queue then.
// G2  WAKING lasts while the last done takes the waiters off; nobody sees a zero before that is
//     over, so the store of zero is the last access: who waits may free the memory at once.
#include <assert.h>
#include <errno.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/panic.h"
#include "base/waiter.h"
#include "coir/sync.h"
#include "sched/park.h"

struct waitgroup {
    atomic_u64 word;
    struct lock lock;
    struct list waiters; // guarded by lock; zero-filled is empty
};

static_assert(sizeof(struct waitgroup) == sizeof(coir_waitgroup),
              "lives in the user's words");

#define WAITED UINT64_C(1)
#define WAKING UINT64_C(2)
#define ONE UINT64_C(4)

static struct waitgroup *group_of(coir_waitgroup *w)
{
    return (struct waitgroup *)(void *)w;
}

static struct list *queue_locked(struct waitgroup *g)
{
    if (!g->waiters.head.next) list_init(&g->waiters);
    return &g->waiters;
}

// Waits until the last done has taken the waiters off.
static void wait_for_waking(struct waitgroup *g)
{
    lock_acquire(&g->lock);
    lock_release(&g->lock);
}

// The count goes from 'was' to zero although somebody waits. False: the word changed meanwhile.
static bool become_zero(struct waitgroup *g, uint64_t was)
{
    struct list woken;

    list_init(&woken);
    lock_acquire(&g->lock);
    // [GROUP-ZERO] acq_rel, pairs with [GROUP-SEEN]: whoever was waited for has done its work.
    if (!cas_acq_rel(&g->word, &was, WAKING)) {
        lock_release(&g->lock);
        return false;
    }
    for (struct list_node *n; (n = list_pop_front(queue_locked(g)));) {
        struct waiter *w = container_of(n, struct waiter, node);

        if (!waiter_claim(w)) continue;
        w->task->outcome = 0;
        list_push_back(&woken, &w->node);
    }
    lock_release(&g->lock);
    // [GROUP-ZERO] release, pairs with [GROUP-SEEN]: the last access (G2).
    store_release(&g->word, 0);
    for (struct list_node *n; (n = list_pop_front(&woken));)
        ready(container_of(n, struct waiter, node)->task);
    return true;
}

int coir_waitgroup_add(coir_waitgroup *user, int n)
{
    struct waitgroup *g = group_of(user);

    if (!g) return -EINVAL;
    uint64_t was = load_relaxed(&g->word); // relaxed: the CAS decides
    for (;;) {
        int64_t count = (int64_t)(was / ONE) + n;

        if (was & WAKING) {
            wait_for_waking(g);
            was = load_relaxed(&g->word); // relaxed: the CAS decides
            continue;
        }
        if (count < 0 || count > INT32_MAX) return -EINVAL;
        if (count == 0 && was & WAITED) {
            if (become_zero(g, was)) return 0;
            was = load_relaxed(&g->word); // relaxed: the CAS decides
            continue;
        }
        // [GROUP-ZERO] acq_rel, pairs with [GROUP-SEEN].
        if (cas_acq_rel(&g->word, &was, (uint64_t)count * ONE | (was & WAITED))) return 0;
    }
}

int coir_waitgroup_done(coir_waitgroup *w)
{
    if (w) { // not the last one, as most are
        struct waitgroup *g = group_of(w);
        uint64_t was = load_relaxed(&g->word); // relaxed: the CAS decides

        // [GROUP-ZERO] acq_rel, pairs with [GROUP-SEEN].
        if (was >= 2 * ONE && !(was & WAKING) && cas_acq_rel(&g->word, &was, was - ONE))
            return 0;
    }
    return coir_waitgroup_add(w, -1);
}

// Announces a waiter, under the lock. False: the count is zero, or just becoming it.
static bool mark_locked(struct waitgroup *g)
{
    // [GROUP-SEEN] acquire, pairs with [GROUP-ZERO].
    uint64_t was = load_acquire(&g->word);

    while (was >= ONE) {
        // [GROUP-SEEN] acquire, pairs with [GROUP-ZERO].
        if (was & WAITED || cas_acquire(&g->word, &was, was | WAITED)) return true;
    }
    return false;
}

enum { LOOK_AGAIN = 1 };

// 0 | LOOK_AGAIN | -ETIMEDOUT | -ECANCELED | -ENOMEM
static int wait_turn(struct waitgroup *g, int64_t deadline)
{
    struct task here;
    struct waiter w = {.task = task_self(&here)};

    lock_acquire(&g->lock);
    if (!mark_locked(g)) {
        lock_release(&g->lock);
        return LOOK_AGAIN;
    }
    w.ticket = wait_open(w.task, "waitgroup", g);
    list_push_back(queue_locked(g), &w.node);
    lock_release(&g->lock);
    int outcome = park(w.task, deadline);
    if (outcome == 0) return 0; // the group may be gone

    lock_acquire(&g->lock);
    if (list_linked(&w.node)) list_remove(&w.node);
    lock_release(&g->lock);
    return outcome;
}

int coir_waitgroup_wait(coir_waitgroup *user, int64_t deadline)
{
    struct waitgroup *g = group_of(user);

    if (!g) return -EINVAL;
    park_lock_begins(deadline);
    for (;;) {
        // [GROUP-SEEN] acquire, pairs with [GROUP-ZERO].
        uint64_t word = load_acquire(&g->word);

        if (word == 0) return 0;
        if (word & WAKING) {
            wait_for_waking(g);
            continue;
        }
        if (deadline <= CLOCK_PAST) return park_in_vain();
        int outcome = wait_turn(g, deadline);
        if (outcome != LOOK_AGAIN) return outcome;
    }
}
