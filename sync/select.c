// SPDX-License-Identifier: MIT
// select - waits on several channels at once; exactly one case happens.
//
//     try       the cases one by one, in random order, each under its channel's lock
//     look      lock all channels, in the order of their addresses; try again: now nothing moves
//     wait      a waiter in every queue, all with one ticket; unlock all; park
//               (who claims the ticket has that case, all others find the wait closed)
//     leave     take the other waiters out of their queues
//
// L1  "Nothing was ready" is true of one instant: all locks were held at it. A case that was ready
//     all the time is never missed.
// L2  The claim decides between cases as it does between a value and the deadline (base/waiter.h):
//     who meets one of the waiters hands over on the strength of it, and tells which one it was by
//     the waiter's tag. What lost is untouched: no value is taken from it, none given to it.
// L3  A select never meets itself: while it tries, none of its waiters is linked. Two selects that
//     meet cannot wait for each other: locks are taken in one order, and who tries holds the locks
//     under which the other one linked itself.
// L4  No waiter of it is linked when it returns.
//
// Source: Go's runtime/select.go (poll order and lock order); changed: a first round without all
// the locks, and the claim instead of a flag in the goroutine.
#include <errno.h>

#include "base/bias.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/panic.h"
#include "base/waiter.h"
#include "coir/chan.h"
#include "sched/park.h"
#include "sync/chan.h"

enum { FEW = 8, MANY = 64, MOST = 1 << 16 }; // on the stack: up to MANY; more are refused

struct select {
    coir_case *cases;
    int64_t deadline;
    struct task *task;
    struct caller me; // who asks, on this thread
    uint32_t n;       // cases that have a channel
    uint32_t *order;  // their indexes, in a random order that goes on from call to call
    uint32_t *locks;  // the same by the addresses of their channels
    struct waiter *waiters; // by index
};

static coir_chan *chan_of(const struct select *s, uint32_t i)
{
    return s->cases[i].chan;
}

// ---- Chance ------------------------------------------------------------------------------------

// 0 .. n-1, from the task's own generator (xorshift, Marsaglia 2003): the same every time that the
// same coroutine asks the same way, so that a seeded run is repeated.
static uint32_t draw(struct task *t, uint32_t n)
{
    static atomic_u32 threads;

    // relaxed: only differs. A thread's task is new in every call.
    if (!t->chance) t->chance = add_relaxed(&threads, 1) * 2654435761u | 1;
    t->chance ^= t->chance << 13;
    t->chance ^= t->chance >> 17;
    t->chance ^= t->chance << 5;
    return (uint32_t)(((uint64_t)t->chance * n) >> 32);
}

// ---- Locks -------------------------------------------------------------------------------------

static void sort_locks(struct select *s)
{
    for (uint32_t i = 0; i < s->n; i++) s->locks[i] = s->order[i];
    for (uint32_t gap = s->n / 2; gap > 0; gap /= 2) // Shell's sort
        for (uint32_t i = gap; i < s->n; i++) {
            uint32_t at = i, moved = s->locks[i];
            uintptr_t key = (uintptr_t)chan_of(s, moved);

            for (; at >= gap && (uintptr_t)chan_of(s, s->locks[at - gap]) > key;
                 at -= gap)
                s->locks[at] = s->locks[at - gap];
            s->locks[at] = moved;
        }
}

// A channel may stand in several cases: its lock is taken for the first of them.
static bool is_first(const struct select *s, uint32_t k)
{
    return k == 0 || chan_of(s, s->locks[k]) != chan_of(s, s->locks[k - 1]);
}

static void lock_all(struct select *s)
{
    for (uint32_t k = 0; k < s->n; k++)
        if (is_first(s, k)) bias_acquire(chan_lock(chan_of(s, s->locks[k])), s->me.alone);
}

static void unlock_all(struct select *s)
{
    for (uint32_t k = s->n; k-- > 0;)
        if (is_first(s, k)) bias_release(chan_lock(chan_of(s, s->locks[k])), s->me.alone);
}

// ---- Trying ------------------------------------------------------------------------------------

// The next case in random order, of 'left' that were not drawn yet.
static uint32_t draw_case(struct select *s, uint32_t left)
{
    uint32_t at = left > 1 ? draw(s->task, left) : 0;
    uint32_t i = s->order[at];

    s->order[at] = s->order[left - 1];
    s->order[left - 1] = i;
    return i;
}

static bool happened(coir_case *one, int result)
{
    if (result == -ETIMEDOUT) return false;
    one->result = result;
    return true;
}

static bool try_one(coir_case *one, const struct caller *me)
{
    return happened(one, chan_try(one->chan, one->dir, one->value, me));
}

// Each under its own lock: what can happen at once, does. The index, or -ETIMEDOUT.
static int try_each(struct select *s)
{
    for (uint32_t left = s->n; left > 0; left--) {
        uint32_t i = draw_case(s, left);

        if (try_one(&s->cases[i], &s->me)) return (int)i;
    }
    return -ETIMEDOUT;
}

// The same for the most common select: two channels, and a coroutine.
static int try_two(coir_case *cases, const struct caller *me)
{
    uint32_t i = draw(me->task, 2);

    if (try_one(&cases[i], me)) return (int)i;
    return try_one(&cases[1 - i], me) ? (int)(1 - i) : -ETIMEDOUT;
}

// All under all locks. The index, with the locks released, or -ETIMEDOUT, with them held (L1).
static int try_all_locked(struct select *s)
{
    for (uint32_t left = s->n; left > 0; left--) {
        uint32_t i = draw_case(s, left);
        struct task *woken;

        coir_case *one = &s->cases[i];
        if (!happened(one, chan_try_locked(one->chan, one->dir, one->value, &woken)))
            continue;
        unlock_all(s);
        if (woken) ready(woken);
        return (int)i;
    }
    return -ETIMEDOUT;
}

// ---- Waiting -----------------------------------------------------------------------------------

// Links a waiter in every queue. When the select has to look again at the latest.
static int64_t link_all_locked(struct select *s)
{
    int64_t until = s->deadline;
    uint64_t ticket = wait_open(s->task, "select", s->cases);

    for (uint32_t k = 0; k < s->n; k++) {
        uint32_t i = s->locks[k];
        int64_t due = chan_due_locked(chan_of(s, i));

        s->waiters[i] = (struct waiter){.task = s->task,
                                        .ticket = ticket,
                                        .value = s->cases[i].value,
                                        .tag = i};
        chan_link_locked(chan_of(s, i), s->cases[i].dir, &s->waiters[i]);
        if (s->cases[i].dir == COIR_RECV && due < until) until = due;
    }
    return until;
}

enum { AGAIN = -EAGAIN };

// Called with all locks held, returns without. The index of what happened | AGAIN: a timer is due,
// or moved | -ETIMEDOUT | -ECANCELED | -ENOMEM
static int wait_locked(struct select *s)
{
    int64_t until = link_all_locked(s);

    unlock_all(s);
    int outcome = park(s->task, until);
    s->me = park_caller(); // maybe on another thread
    int index = outcome < 0 ? -1 : outcome & (CHAN_TAGS - 1);
    for (uint32_t k = 0; k < s->n; k++) {
        uint32_t i = s->locks[k];

        if ((int)i != index)
            chan_unlink(chan_of(s, i), s->me.alone, &s->waiters[i]); // L4
    }
    if (outcome == -ETIMEDOUT && until < s->deadline) return AGAIN;
    if (outcome < 0) return outcome;
    if (outcome & CHAN_AGAIN) return AGAIN;
    s->cases[index].result = outcome & CHAN_SHUT ? -EPIPE : 0;
    return index;
}

static int run(struct select *s)
{
    int outcome = try_each(s);

    if (outcome >= 0) return outcome;
    sort_locks(s);
    do {
        lock_all(s);
        outcome = try_all_locked(s);
        if (outcome >= 0) return outcome;
        if (s->deadline <= CLOCK_PAST) {
            unlock_all(s);
            return park_in_vain();
        }
        outcome = wait_locked(s);
    } while (outcome == AGAIN);
    return outcome;
}

// ---- Room --------------------------------------------------------------------------------------

// Notes the cases that have a channel, and runs.
static int run_with(struct select *s, int n)
{
    struct task here;

    if (!s->task) s->task = task_self(&here);
    for (int i = 0; i < n; i++)
        if (s->cases[i].chan) s->order[s->n++] = (uint32_t)i;
    return run(s);
}

// Frames of their own: a select over two channels does not take the room of one over 64.
static __attribute__((noinline)) int run_few(const struct select *how, int n)
{
    uint32_t order[FEW], locks[FEW];
    struct waiter waiters[FEW];
    struct select s = *how;

    s.order = order;
    s.locks = locks;
    s.waiters = waiters;
    return run_with(&s, n);
}

static __attribute__((noinline)) int run_many(const struct select *how, int n)
{
    uint32_t order[MANY], locks[MANY];
    struct waiter waiters[MANY];
    struct select s = *how;

    s.order = order;
    s.locks = locks;
    s.waiters = waiters;
    return run_with(&s, n);
}

static int run_more(const struct select *how, int n)
{
    size_t one = sizeof(struct waiter) + 2 * sizeof(uint32_t);
    const struct memory *mem = park_memory();
    struct select s = *how;

    s.waiters = memory_get(mem, (size_t)n * one, alignof(struct waiter));
    if (!s.waiters) return -ENOMEM;
    s.order = (uint32_t *)(void *)(s.waiters + n);
    s.locks = s.order + n;
    int outcome = run_with(&s, n);
    memory_put(mem, s.waiters, (size_t)n * one, alignof(struct waiter));
    return outcome;
}

int coir_select(coir_case *cases, int n, int64_t deadline)
{
    struct caller me;
    int err;

    if (n < 0 || n > MOST || (n > 0 && !cases)) return -EINVAL;
    for (int i = 0; i < n; i++)
        if (cases[i].chan && cases[i].dir != COIR_RECV &&
            chan_check(cases[i].chan, cases[i].dir, cases[i].value) < 0)
            return -EINVAL;
    if ((err = park_begin(&me, deadline)) < 0) return err;
    if (n == 2 && me.task && cases[0].chan && cases[1].chan &&
        (err = try_two(cases, &me)) >= 0)
        return err;
    struct select s = {.cases = cases, .deadline = deadline, .task = me.task, .me = me};
    if (n <= FEW) return run_few(&s, n);
    return n <= MANY ? run_many(&s, n) : run_more(&s, n);
}
