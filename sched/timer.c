// SPDX-License-Identifier: MIT
#include "sched/timer.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/panic.h"
#include "netpoll/netpoll.h"
#include "sched/g.h"

#define ARITY 4
#define FIRST_ROOM 64

void timers_init(struct timers *ts, const struct memory *mem)
{
    *ts = (struct timers){.memory = mem};
    lock_init(&ts->lock, LOCK_RANK_TIMERS);
    store_relaxed(&ts->earliest, CLOCK_NEVER); // relaxed: before any thread
}

void timers_fini(struct timers *ts)
{
    must(ts->n == 0); // T4: every coroutine took its own out
    MEMORY_PUT(ts->memory, ts->heap, struct g *, ts->room);
}

// ---- The heap: the smallest key first, each entry knows its slot -------------------------------

static void put_locked(struct timers *ts, uint32_t i, struct g *g)
{
    ts->heap[i] = g;
    g->timer.slot = i;
}

static void sift_up_locked(struct timers *ts, uint32_t i, struct g *g)
{
    while (i > 0) {
        uint32_t parent = (i - 1) / ARITY;

        if (ts->heap[parent]->timer.key <= g->timer.key) break;
        put_locked(ts, i, ts->heap[parent]);
        i = parent;
    }
    put_locked(ts, i, g);
}

static void sift_down_locked(struct timers *ts, uint32_t i, struct g *g)
{
    for (;;) {
        uint32_t first = i * ARITY + 1;
        uint32_t least = first;

        if (first >= ts->n) break;
        for (uint32_t c = first + 1; c < first + ARITY && c < ts->n; c++)
            if (ts->heap[c]->timer.key < ts->heap[least]->timer.key) least = c;
        if (ts->heap[least]->timer.key >= g->timer.key) break;
        put_locked(ts, i, ts->heap[least]);
        i = least;
    }
    put_locked(ts, i, g);
}

static void note_earliest_locked(struct timers *ts)
{
    // relaxed: a sleeper reads it behind [IDLE-FENCE], a runner only to look
    store_relaxed(&ts->earliest, ts->n ? ts->heap[0]->timer.key : CLOCK_NEVER);
}

static int grow_locked(struct timers *ts)
{
    uint32_t room = ts->room ? ts->room * 2 : FIRST_ROOM;
    struct g **heap = MEMORY_GET(ts->memory, struct g *, room);

    if (!heap) return -ENOMEM;
    if (ts->n) memcpy(heap, ts->heap, ts->n * sizeof(struct g *));
    MEMORY_PUT(ts->memory, ts->heap, struct g *, ts->room);
    ts->heap = heap;
    ts->room = room;
    return 0;
}

static int insert_locked(struct timers *ts, struct g *g)
{
    if (ts->n == ts->room) {
        int err = grow_locked(ts);

        if (err < 0) return err;
    }
    store_relaxed(&g->timer.home, ts); // relaxed: under the lock, or a look
    sift_up_locked(ts, ts->n++, g);
    return 0;
}

static void remove_locked(struct timers *ts, struct g *g)
{
    uint32_t i = g->timer.slot;
    struct g *last = ts->heap[--ts->n];

    check(ts->heap[i] == g || last == g);
    if (last != g) {
        if (last->timer.key < g->timer.key)
            sift_up_locked(ts, i, last);
        else
            sift_down_locked(ts, i, last);
    }
    // [TIMER-OUT] release, pairs with [TIMER-HOME]: from here on g may arm it elsewhere.
    store_release(&g->timer.home, NULL);
}

// ---- What coroutines call ----------------------------------------------------------------------

// Writes what the lock guards. True: the entry that stands in the heap already serves.
static bool set_locked(struct timers *ts, struct g *g, int64_t when)
{
    struct timer *t = &g->timer;

    store_relaxed(&t->when, when); // relaxed: read under the lock, or only as a look
    t->ticket = g->task.ticket;    // T3
    t->np = load_own(&g->io_poller);
    t->op_key = load_own(&g->io_key);
    if (load_own(&t->home) != ts) return false;
    return t->key <= when; // T2: later than its key is looked at when the key comes up
}

int timer_arm(struct timers *ts, struct g *g, int64_t when)
{
    struct timer *t = &g->timer;
    int err = 0;

    // Only g itself moves its timer to another heap, so home can only become NULL under us.
    // [TIMER-HOME] acquire, pairs with [TIMER-OUT]: a run that dropped it is done with it.
    struct timers *old = load_acquire(&t->home);
    if (old && old != ts) timer_forget(g);

    lock_acquire(&ts->lock);
    if (!set_locked(ts, g, when)) {
        if (load_own(&t->home) == ts) remove_locked(ts, g);
        t->key = when;
        err = insert_locked(ts, g);
        note_earliest_locked(ts);
    }
    lock_release(&ts->lock);
    return err;
}

void timer_forget(struct g *g)
{
    // [TIMER-HOME] acquire, pairs with [TIMER-OUT]. g writes home itself but for a run that drops
    // it, so a stale look costs a lock, no more.
    struct timers *ts = load_acquire(&g->timer.home);

    if (!ts) return;
    lock_acquire(&ts->lock);
    if (load_relaxed(&g->timer.home) == ts) { // relaxed: under the lock
        remove_locked(ts, g);
        note_earliest_locked(ts);
    }
    lock_release(&ts->lock);
}

// ---- Expiry ------------------------------------------------------------------------------------

// One entry whose key has come up: put back, dropped, asked to end, or claimed (true).
static bool expire_locked(struct timers *ts, struct g *g, int64_t now)
{
    struct timer *t = &g->timer;
    int64_t when =
        load_relaxed(&t->when); // relaxed: a disarm may be missed, the ticket decides

    if (when != CLOCK_NEVER && when > now) { // pushed later meanwhile (T2)
        t->key = when;
        sift_down_locked(ts, t->slot, g);
        return false;
    }
    uint64_t ticket = t->ticket; // once it is out of the heap, g may write it
    bool is_io = (ticket & WAIT_KIND) == WAIT_OPEN_IO;

    // The deadline of an operation only asks.
    if (when != CLOCK_NEVER && is_io) poller_cancel_any(t->np, t->op_key, -ETIMEDOUT);
    remove_locked(ts, g);
    if (when == CLOCK_NEVER || is_io || !wait_claim(&g->task, ticket)) return false;
    g->task.outcome = -ETIMEDOUT;
    return true;
}

struct queue timers_run(struct timers *ts, int64_t now)
{
    struct queue due = {0};

    if (load_relaxed(&ts->earliest) > now) return due; // relaxed: a look
    lock_acquire(&ts->lock);
    while (ts->n && ts->heap[0]->timer.key <= now) {
        struct g *g = ts->heap[0];

        if (expire_locked(ts, g, now)) queue_push(&due, &g->node);
    }
    note_earliest_locked(ts);
    lock_release(&ts->lock);
    return due;
}

void timers_settle(struct timers *ts)
{
    if (load_relaxed(&ts->earliest) == CLOCK_NEVER) return; // relaxed: own
    lock_acquire(&ts->lock);
    while (ts->n) {
        struct g *g = ts->heap[0];
        int64_t when = load_relaxed(&g->timer.when); // relaxed: this thread wrote it

        if (when == g->timer.key) break;
        if (when == CLOCK_NEVER) {
            remove_locked(ts, g);
        } else {
            g->timer.key = when; // later (T2)
            sift_down_locked(ts, 0, g);
        }
    }
    note_earliest_locked(ts);
    lock_release(&ts->lock);
}
