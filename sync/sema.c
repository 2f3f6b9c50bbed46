// SPDX-License-Identifier: MIT
// sema - a number of units, taken and given back n at a time; who must wait does so in a line.
//
//     word:   [ units : 32 | a line may stand : 1 ]
//
//     c|0 --acquire n, one CAS--> c-n|0 --release n, one CAS--> c|0
//      | too few: sets the bit, under the lock, and stands in line
//      v
//     c|1 --release n, under the lock--> c+n|1, then the front of the line takes what it wants
//         --acquire, under the lock, nobody in line--> c-n|0
//
// S1  First come, first served: nobody takes units while another stands in line, and the front of
//     the line waits until all that it wants is there.
// S2  With the bit set the word changes under the lock only. A release leaves the bit: so who gets
//     its units has to take the lock, or to be readied, after the release is through with it. The
//     next one who acquires with nobody in line clears it.
// S3  So the release's last access is its compare-and-swap or the release of the lock: who
//     acquired may free the memory at once.
#include <assert.h>
#include <errno.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/waiter.h"
#include "coir/sync.h"
#include "sched/park.h"

struct sema {
    atomic_u64 word;
    struct lock lock;
    struct list
        line; // guarded by lock; zero-filled is empty; a waiter's tag: how many it wants
};

static_assert(sizeof(struct sema) == sizeof(coir_sema), "lives in the user's words");

#define LINED UINT64_C(1)
#define UNIT UINT64_C(2)
#define UNITS_MOST ((uint32_t)INT32_MAX)

static struct sema *sema_of(coir_sema *s)
{
    return (struct sema *)(void *)s;
}

static struct list *line_locked(struct sema *s)
{
    if (!s->line.head.next) list_init(&s->line);
    return &s->line;
}

int coir_sema_init(coir_sema *user, uint32_t count)
{
    struct sema *s = sema_of(user);

    if (!s || count > UNITS_MOST) return -EINVAL;
    *s = (struct sema){0};
    store_relaxed(&s->word, count * UNIT); // relaxed: nobody else knows it
    return 0;
}

// ---- The line --------------------------------------------------------------------------------

// Gives the front of the line what it wants, while there is enough. The bit is set.
static void serve_locked(struct sema *s, struct list *woken)
{
    uint64_t units = load_own(&s->word) / UNIT;

    for (struct list_node *n; (n = list_first(line_locked(s)));) {
        struct waiter *w = container_of(n, struct waiter, node);

        if (w->tag > units) break; // S1
        list_remove(n);
        if (!waiter_claim(w)) continue;
        units -= w->tag;
        w->task->outcome = 0;
        list_push_back(woken, n);
    }
    store_relaxed(&s->word, units * UNIT | LINED); // relaxed: under the lock (S2)
}

static void release_and_ready(struct sema *s, struct list *woken)
{
    lock_release(&s->lock); // S3
    for (struct list_node *n; (n = list_pop_front(woken));)
        ready(container_of(n, struct waiter, node)->task);
}

// Takes n if nobody is in line and there is enough; else sets the bit, where the caller waits.
// True: taken.
static bool take_or_mark_locked(struct sema *s, uint32_t n, bool waits)
{
    uint64_t was = load_relaxed(&s->word); // relaxed: the CAS decides
    bool alone = list_empty(line_locked(s));

    for (;;) {
        bool enough = alone && was / UNIT >= n;
        uint64_t next = enough ? (was / UNIT - n) * UNIT : was | LINED;

        if (!enough && !waits) return false;
        // [SEMA-TAKE] acquire, pairs with [SEMA-GIVE].
        if (cas_acquire(&s->word, &was, next)) return enough;
    }
}

// ---- Acquire -----------------------------------------------------------------------------------

static int wait_turn(struct sema *s, uint32_t n, int64_t deadline)
{
    struct task here;
    struct waiter w = {.task = task_self(&here), .tag = n};
    struct list woken;

    lock_acquire(&s->lock);
    bool taken = take_or_mark_locked(s, n, deadline > CLOCK_PAST);
    if (taken || deadline <= CLOCK_PAST) {
        lock_release(&s->lock);
        return taken ? 0 : park_in_vain();
    }
    w.ticket = wait_open(w.task, "semaphore", s);
    list_push_back(line_locked(s), &w.node);
    lock_release(&s->lock);
    int outcome = park(w.task, deadline);
    if (outcome == 0) return 0; // the semaphore may be gone

    list_init(&woken);
    lock_acquire(&s->lock);
    if (list_linked(&w.node)) { // and so the bit is set still
        list_remove(&w.node);
        serve_locked(s, &woken); // it may have stood before one who wants less
    }
    release_and_ready(s, &woken);
    return outcome;
}

// Takes n from a semaphore without a line. False: there is one, or there is not enough.
static bool try_take(struct sema *s, uint32_t n)
{
    uint64_t was = load_relaxed(&s->word); // relaxed: the CAS decides

    while (!(was & LINED) && was / UNIT >= n) {
        // [SEMA-TAKE] acquire, pairs with [SEMA-GIVE].
        if (cas_acquire(&s->word, &was, was - n * UNIT)) return true;
    }
    return false;
}

int coir_sema_acquire(coir_sema *user, uint32_t n, int64_t deadline)
{
    struct sema *s = sema_of(user);

    if (!s || n > UNITS_MOST) return -EINVAL;
    park_lock_begins(deadline);
    return try_take(s, n) ? 0 : wait_turn(s, n, deadline);
}

// ---- Release -----------------------------------------------------------------------------------

enum { RELEASED, LOOK_AGAIN, TOO_MANY };

static int give(struct sema *s, uint32_t n)
{
    uint64_t was = load_relaxed(&s->word); // relaxed: the CAS decides

    while (!(was & LINED)) {
        if (was / UNIT + n > UNITS_MOST) return TOO_MANY;
        // [SEMA-GIVE] release, pairs with [SEMA-TAKE].
        if (cas_release(&s->word, &was, was + n * UNIT)) return RELEASED;
    }
    return LOOK_AGAIN;
}

static int give_to_line(struct sema *s, uint32_t n)
{
    struct list woken;

    list_init(&woken);
    lock_acquire(&s->lock);
    uint64_t was = load_own(&s->word);
    if (!(was & LINED) || was / UNIT + n > UNITS_MOST) {
        lock_release(&s->lock);
        return was & LINED ? TOO_MANY : LOOK_AGAIN;
    }
    store_relaxed(&s->word, was + n * UNIT); // relaxed: under the lock (S2)
    serve_locked(s, &woken);
    release_and_ready(s, &woken);
    return RELEASED;
}

int coir_sema_release(coir_sema *user, uint32_t n)
{
    struct sema *s = sema_of(user);
    int how = LOOK_AGAIN;

    if (!s || n > UNITS_MOST) return -EINVAL;
    while (how == LOOK_AGAIN)
        if ((how = give(s, n)) == LOOK_AGAIN) how = give_to_line(s, n);
    return how == RELEASED ? 0 : -EINVAL;
}
