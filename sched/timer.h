// SPDX-License-Identifier: MIT
// timer - the deadlines of parked coroutines: a 4-ary heap per P, lazily cancelled.
//
//     arm(when)    in this P's heap and not later than its key: one store
//                  else: into this P's heap, under its lock
//     disarm       one store; the entry stays until its key comes up
//     run(now)     takes entries with key <= now, a batch at a time; those pushed later go back
//                  with a new key, those disarmed are dropped, the rest claim their waits
//
//     heap     {key, id} {key, id} ...      four children are one cache line
//                 |  ^
//     places   .--'  '-- [id]: where in the heap its entry stands
//     owners   '-------> [id]: the coroutine; its timer has the id
//
// A coroutine's descriptor lies on a page of its own, and with a million of them each is two misses
// away. So the heap moves entries about without touching one: order is kept in dense arrays, and a
// descriptor is fetched when its entry has come out, those of a batch side by side
// (docs/adr/0034).
//
// T1  A timer is in at most one heap, and 'home' names it, guarded by that heap's lock; only the
//     coroutine itself changes home to another heap.
// T2  key <= when always: a deadline is never missed by laziness, only looked at once too often.
// T3  The ticket is written with 'when' under the lock and read under the lock: a deadline
//     meets the wait that it was set for or none.
// T4  A coroutine that ends takes its timer out (timer_forget): no heap names a dead coroutine.
//
// Lazy cancel follows Go's timers: most deadlines never fire, so what counts is arm and disarm.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/memory.h"

struct g;

struct timer {
    atomic_ptr(struct timers) home; // NULL: in no heap; written under its lock (T1)
    int64_t key;                    // of its entry there; guarded by home's lock
    uint32_t id;                    // of its entry there; guarded by home's lock
    uint64_t ticket;                // the wait it ends; guarded by home's lock
    struct poller *np; // the operation it asks to end, where the wait is OPEN_IO;
    uint64_t op_key;   // guarded by home's lock
    atomic_i64 when;   // CLOCK_NEVER: disarmed
};

struct timer_entry {
    int64_t key;
    uint32_t id;
};

// One per P.
struct timers {
    const struct memory *memory; // constant
    struct lock lock;

    // Guarded by lock.
    struct timer_entry *heap;
    uint32_t *places;  // [id], of one in use; of the others: the next that is free
    struct g **owners; // [id]
    uint32_t n;        // in the heap
    uint32_t room;
    uint32_t free_id; // the first of a list

    // Atomic: written under the lock, read by anybody.
    atomic_i64 earliest; // CLOCK_NEVER when empty
    atomic_u64 expired;  // waits that it has claimed
};

#define TIMER_ARITY 4 // of the heap: the children of i are 4i + 1 to 4i + 4

void timers_init(struct timers *ts, const struct memory *mem);
void timers_fini(struct timers *ts);

// Sets g's deadline for the wait that it opened last. g itself, on the M that holds ts.
// 0 | -ENOMEM (the heap cannot grow)
int timer_arm(struct timers *ts, struct g *g, int64_t when);
// The wait is over. g itself. Never blocks.
static inline void timer_disarm(struct timer *t)
{
    // relaxed: a run that still sees the old time claims with an old ticket and fails
    store_relaxed(&t->when, INT64_MAX);
}
// Takes g's entry out of the heap it is in, if any. g itself, or who takes it apart.
void timer_forget(struct g *g);
// False: it is in no heap, and only its coroutine puts it into one.
static inline bool timer_is_in_heap(struct timer *t)
{
    // [TIMER-HOME] acquire, pairs with [TIMER-OUT]: a run that dropped it is done with it.
    return load_acquire(&t->home) != NULL;
}

// Makes 'earliest' exact: drops disarmed entries that stand first, and looks at pushed ones now. On
// the thread of every coroutine that is in ts (hosted.h).
void timers_settle(struct timers *ts);

// Coroutines whose deadline has passed and whose waits this call claimed, as a queue of their
// nodes, for the caller to make runnable: outcome is -ETIMEDOUT. Waits for I/O are not claimed;
// their operations are asked to end. Any thread.
struct queue timers_run(struct timers *ts, int64_t now);
