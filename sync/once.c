// SPDX-License-Identifier: MIT
// once - one word that says who calls, or that the call has returned.
//
//     word:   [ caller : 63 | somebody waits : 1 ], or DONE
//
//     0 --the first--> caller|0 --returned--> DONE
//                        | another comes: sets the bit, under the lock
//                        v
//                      caller|1 --returned: takes the waiters off, under the lock--> caller|0
//
// E1  DONE is stored by a compare-and-swap from caller|0, after the lock was released: whoever
//     came meanwhile has set the bit, and is taken off first.
// E2  That is the caller's last access: who waited may free the memory at once.
#include <assert.h>
#include <errno.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/panic.h"
#include "base/waiter.h"
#include "coir/sync.h"
#include "sched/park.h"

struct once {
    atomic_u64 word;
    struct lock lock;
    struct list waiters; // guarded by lock; zero-filled is empty
};

static_assert(sizeof(struct once) == sizeof(coir_once), "lives in the user's words");

#define WAITED UINT64_C(1)
#define DONE UINT64_C(1) // a caller's number is never 0, so this is none

static struct list *queue_locked(struct once *o)
{
    if (!o->waiters.head.next) list_init(&o->waiters);
    return &o->waiters;
}

// Claims all that wait and clears the bit.
static void take_waiters(struct once *o, uint64_t mine, struct list *woken)
{
    lock_acquire(&o->lock);
    for (struct list_node *n; (n = list_pop_front(queue_locked(o)));) {
        struct waiter *w = container_of(n, struct waiter, node);

        must(waiter_claim(w)); // no deadline, deaf to cancel
        w->task->outcome = 0;
        list_push_back(woken, n);
    }
    store_relaxed(&o->word, mine); // relaxed: marks come under the lock
    lock_release(&o->lock);
}

static void finish(struct once *o, uint64_t mine)
{
    struct list woken;
    uint64_t was = mine;

    list_init(&woken);
    // [ONCE-DONE] release, pairs with [ONCE-SEEN]: what the function did is done. The last access.
    while (!cas_release(&o->word, &was, DONE)) {
        take_waiters(o, mine, &woken); // E1
        was = mine;
    }
    for (struct list_node *n; (n = list_pop_front(&woken));)
        ready(container_of(n, struct waiter, node)->task);
}

// Sets the bit that sends the caller's end to the queue. False: it is done.
static bool mark_locked(struct once *o)
{
    // [ONCE-SEEN] acquire, pairs with [ONCE-DONE].
    uint64_t was = load_acquire(&o->word);

    while (was != DONE) {
        // [ONCE-SEEN] acquire, pairs with [ONCE-DONE]: the end's compare-and-swap fails from here.
        if (was & WAITED || cas_acquire(&o->word, &was, was | WAITED)) return true;
    }
    return false;
}

static void wait_for_end(struct once *o)
{
    struct task here;
    struct waiter w = {.task = task_self(&here)};

    lock_acquire(&o->lock);
    if (!mark_locked(o)) {
        lock_release(&o->lock);
        return;
    }
    w.ticket = wait_open_shielded(w.task, "once", o);
    list_push_back(queue_locked(o), &w.node);
    lock_release(&o->lock);
    must(park(w.task, CLOCK_NEVER) == 0);
}

int coir_once_do(coir_once *user, void (*fn)(void *), void *arg)
{
    struct once *o = (struct once *)(void *)user;

    if (!o || !fn) return -EINVAL;
    // [ONCE-SEEN] acquire, pairs with [ONCE-DONE].
    uint64_t was = load_acquire(&o->word);
    if (was == DONE) return 0;

    uint64_t id = task_id_self();
    if (was >> 1 == id) return -EDEADLK;
    // [ONCE-SEEN] acquire, pairs with [ONCE-DONE]: another may have done it meanwhile.
    if (was == 0 && cas_acquire(&o->word, &was, id << 1)) {
        fn(arg);
        finish(o, id << 1);
    } else if (was != DONE) {
        wait_for_end(o);
    }
    return 0;
}
