// SPDX-License-Identifier: MIT
#include "sched/timer.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/panic.h"
#include "netpoll/netpoll.h"
#include "sched/g.h"

#define FIRST_ROOM 64
// Before the first entry, so that every four children fill one cache line.
#define LEAD (TIMER_ARITY - 1)
#define BATCH 32 // descriptors that are fetched side by side
// What an expiry touches, and what its coroutine does when it goes on.
#define G_LINES ((offsetof(struct g, timer) + sizeof(struct timer)) / CACHE_LINE + 1)
#define STACK_LINES 6

static_assert(TIMER_ARITY * sizeof(struct timer_entry) == CACHE_LINE,
              "four children, one line");

void timers_init(struct timers *ts, const struct memory *mem)
{
    *ts = (struct timers){.memory = mem};
    lock_init(&ts->lock, LOCK_RANK_TIMERS);
    store_relaxed(&ts->earliest, CLOCK_NEVER); // relaxed: before any thread
}

static void free_tables(struct timers *ts)
{
    if (ts->heap)
        memory_put(ts->memory, ts->heap - LEAD, (ts->room + LEAD) * sizeof(*ts->heap),
                   CACHE_LINE);
    MEMORY_PUT(ts->memory, ts->places, uint32_t, ts->room);
    MEMORY_PUT(ts->memory, ts->owners, struct g *, ts->room);
}

void timers_fini(struct timers *ts)
{
    must(ts->n == 0); // T4: every coroutine took its own out
    free_tables(ts);
}

// ---- The heap: the smallest key first, each id knows where its entry stands ---------------------

static void put_locked(struct timers *ts, uint32_t i, struct timer_entry e)
{
    ts->heap[i] = e;
    ts->places[e.id] = i;
}

static void sift_up_locked(struct timers *ts, uint32_t i, struct timer_entry e)
{
    while (i > 0) {
        uint32_t parent = (i - 1) / TIMER_ARITY;

        if (ts->heap[parent].key <= e.key) break;
        put_locked(ts, i, ts->heap[parent]);
        i = parent;
    }
    put_locked(ts, i, e);
}

// Fetches the children of those four that begin with 'first'.
static void fetch_grandchildren(struct timers *ts, uint32_t first)
{
    size_t next = (size_t)first * TIMER_ARITY + 1;

    if (next + (size_t)TIMER_ARITY * TIMER_ARITY > ts->n) return;
    for (uint32_t i = 0; i < TIMER_ARITY; i++)
        __builtin_prefetch(&ts->heap[next + (size_t)i * TIMER_ARITY]);
}

static uint32_t least_child_locked(struct timers *ts, uint32_t first)
{
    uint32_t least = first;

    for (uint32_t c = first + 1; c < first + TIMER_ARITY && c < ts->n; c++)
        if (ts->heap[c].key < ts->heap[least].key) least = c;
    return least;
}

static void sift_down_locked(struct timers *ts, uint32_t i, struct timer_entry e)
{
    for (uint32_t first; (first = i * TIMER_ARITY + 1) < ts->n;) {
        fetch_grandchildren(ts, first);
        uint32_t least = least_child_locked(ts, first);
        if (ts->heap[least].key >= e.key) break;
        put_locked(ts, i, ts->heap[least]);
        i = least;
    }
    put_locked(ts, i, e);
}

static void note_earliest_locked(struct timers *ts)
{
    // relaxed: a sleeper reads it behind [IDLE-FENCE], a runner only to look
    store_relaxed(&ts->earliest, ts->n ? ts->heap[0].key : CLOCK_NEVER);
}

// ---- The tables --------------------------------------------------------------------------------

static int grow_locked(struct timers *ts)
{
    uint32_t room = ts->room ? ts->room * 2 : FIRST_ROOM;
    struct timers more = {.memory = ts->memory, .room = room};
    struct timer_entry *heap =
        memory_get(ts->memory, (room + LEAD) * sizeof(*heap), CACHE_LINE);

    if (heap) more.heap = heap + LEAD;
    more.places = MEMORY_GET(ts->memory, uint32_t, room);
    more.owners = MEMORY_GET(ts->memory, struct g *, room);
    if (!more.heap || !more.places || !more.owners) {
        free_tables(&more);
        return -ENOMEM;
    }
    if (ts->room) { // all ids are in use
        memcpy(more.heap, ts->heap, ts->room * sizeof(*ts->heap));
        memcpy(more.places, ts->places, ts->room * sizeof(*ts->places));
        memcpy(more.owners, ts->owners, ts->room * sizeof(struct g *));
    }
    for (uint32_t id = ts->room; id < room; id++) more.places[id] = id + 1;
    free_tables(ts);
    ts->heap = more.heap;
    ts->places = more.places;
    ts->owners = more.owners;
    ts->free_id = ts->room;
    ts->room = room;
    return 0;
}

static void enter_locked(struct timers *ts, struct g *g, int64_t key)
{
    g->timer.key = key;
    sift_up_locked(ts, ts->n++, (struct timer_entry){key, g->timer.id});
}

static int insert_locked(struct timers *ts, struct g *g, int64_t key)
{
    if (ts->n == ts->room) {
        int err = grow_locked(ts);

        if (err < 0) return err;
    }
    uint32_t id = ts->free_id;
    ts->free_id = ts->places[id];
    ts->owners[id] = g;
    g->timer.id = id;
    store_relaxed(&g->timer.home, ts); // relaxed: under the lock, or a look
    enter_locked(ts, g, key);
    return 0;
}

// The first entry's coroutine; the entry comes out, the id stays in use.
static struct g *take_first_locked(struct timers *ts)
{
    struct g *g = ts->owners[ts->heap[0].id];
    struct timer_entry last = ts->heap[--ts->n];

    if (ts->n > 0) sift_down_locked(ts, 0, last);
    return g;
}

// Its entry is out of the heap already.
static void drop_locked(struct timers *ts, struct g *g)
{
    uint32_t id = g->timer.id;

    ts->owners[id] = NULL;
    ts->places[id] = ts->free_id;
    ts->free_id = id;
    // [TIMER-OUT] release, pairs with [TIMER-HOME]: from here on g may arm it elsewhere.
    store_release(&g->timer.home, NULL);
}

static void remove_locked(struct timers *ts, struct g *g)
{
    uint32_t i = ts->places[g->timer.id];
    struct timer_entry last = ts->heap[--ts->n];

    check(last.id == g->timer.id || ts->heap[i].id == g->timer.id);
    if (last.id != g->timer.id) {
        if (last.key < g->timer.key)
            sift_up_locked(ts, i, last);
        else
            sift_down_locked(ts, i, last);
    }
    drop_locked(ts, g);
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
        err = insert_locked(ts, g, when);
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

// One whose entry has come up and out: put back, dropped, asked to end, or claimed (true).
static bool expire_locked(struct timers *ts, struct g *g, int64_t now)
{
    struct timer *t = &g->timer;
    int64_t when =
        load_relaxed(&t->when); // relaxed: a disarm may be missed, the ticket decides

    if (when != CLOCK_NEVER && when > now) { // pushed later meanwhile (T2)
        enter_locked(ts, g, when);
        return false;
    }
    uint64_t ticket = t->ticket; // once it is dropped, g may write it
    bool is_io = (ticket & WAIT_KIND) == WAIT_OPEN_IO;

    // The deadline of an operation only asks.
    if (when != CLOCK_NEVER && is_io) poller_cancel_any(t->np, t->op_key, -ETIMEDOUT);
    drop_locked(ts, g);
    if (when == CLOCK_NEVER || is_io || !wait_claim(&g->task, ticket)) return false;
    g->task.outcome = -ETIMEDOUT;
    return true;
}

static void fetch(void *at, size_t lines)
{
    for (size_t i = 0; i < lines; i++) __builtin_prefetch((char *)at + i * CACHE_LINE, 1);
}

// Up to BATCH of those whose keys have come up.
static void run_batch_locked(struct timers *ts, int64_t now, struct queue *due)
{
    struct g *batch[BATCH];
    uint32_t n = 0;

    while (n < BATCH && ts->n > 0 && ts->heap[0].key <= now) {
        batch[n] = take_first_locked(ts);
        fetch(batch[n++], G_LINES);
    }
    for (uint32_t i = 0; i < n; i++) {
        struct g *g = batch[i];

        if (!expire_locked(ts, g, now)) continue;
        store_relaxed(&ts->expired, load_own(&ts->expired) + 1); // relaxed: a count
        fetch(g->context.sp, STACK_LINES); // one that has not left yet needs no fetching
        queue_push(due, &g->node);
    }
}

struct queue timers_run(struct timers *ts, int64_t now)
{
    struct queue due = {0};

    if (load_relaxed(&ts->earliest) > now) return due; // relaxed: a look
    lock_acquire(&ts->lock);
    while (ts->n && ts->heap[0].key <= now) run_batch_locked(ts, now, &due);
    note_earliest_locked(ts);
    lock_release(&ts->lock);
    return due;
}

void timers_settle(struct timers *ts)
{
    if (load_relaxed(&ts->earliest) == CLOCK_NEVER) return; // relaxed: own
    lock_acquire(&ts->lock);
    while (ts->n) {
        struct g *g = ts->owners[ts->heap[0].id];
        int64_t when = load_relaxed(&g->timer.when); // relaxed: this thread wrote it

        if (when == g->timer.key) break;
        take_first_locked(ts);
        if (when == CLOCK_NEVER)
            drop_locked(ts, g);
        else
            enter_locked(ts, g, when); // later (T2)
    }
    note_earliest_locked(ts);
    lock_release(&ts->lock);
}
