// SPDX-License-Identifier: MIT
// g - a coroutine, and the only door to its state word.
//
//   DEAD --start--> RUNNABLE --run--> RUNNING --end--> DEAD
//                    ^    ^            |   ^
//              ready |    |       open |   | a ready came before the switch: go on
//                    |    |            v   |
//                 PARKED  '--------- PARKING
//                    ^     the mark    |
//                    '-----------------'   commit, by whoever runs next on this M
//
// PARKING exists because a coroutine cannot leave its stack and publish that it left in one
// step. Whoever readies a PARKING g only leaves a mark (RUNNABLE); the one who runs after it on
// that M sees the mark and queues it. So no stack ever has two threads (I4).
//
// The descriptor lives at the top of its own stack (base/stack.h), so a parked coroutine costs
// one page. The memory is type-stable while the runtime lives: a late reader sees an ended or a
// later coroutine there, never something else, and tells them apart by the wait ticket (I3a).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/context.h"
#include "base/arrow.h"
#include "base/atomic.h"
#include "base/list.h"
#include "base/panic.h"
#include "base/platform.h"
#include "base/stack.h"
#include "base/waiter.h"
#include "sched/cancel.h"
#include "sched/timer.h"

struct poller;
struct sched;

enum { G_DEAD, G_RUNNABLE, G_RUNNING, G_PARKING, G_PARKED };

#define G_NAME_BYTES 24
#define G_TICKS 100 // inline successes before a coroutine yields (park_charge)

// Where a coroutine was spawned; the public macro makes it (coir/spawn.h).
struct coir_site;

// Three cache lines are touched in a life without deadline or name, and no other in a wait: most of
// what these cost is fetching them, so what is written at a spawn and at a wait stands together.
struct g {
    struct stack stack; // first: the depot knows a stack by its descriptor

    struct queue_node node; // of the queue it is in (I3)

    // Constant from start to end.
    struct sched *sched;

    // Its own while it runs; its resumer's before.
    struct task task; // the state word is task.state
    struct context context;
    int saved_errno;
    uint8_t budget;  // inline successes left before it yields
    bool sized;      // its stack has a mapping of its own
    bool named;      // 'name' is set
    bool has_locals; // 'locals' is set
    struct cancel cancel;

    // Constant from start to end.
    uint64_t id;
    const struct coir_site *site;

    // Its own: regions that may block which it is in; what lies above low_mark outlives the return
    // of its function (arch/context.h).
    uint16_t blocking;
    uint16_t pins; // > 0: runs on the thread of 'home' only (pin.h)
    void *low_mark;

    // Atomic, for who looks from outside: what its last wait was for, a word or two of static text
    // ("chan recv"), and the object's address or the descriptor's number. It stays there when the
    // wait is over: it says something of a coroutine that is PARKED.
    atomic_ptr(const char) waits_on;
    atomic_ptr(const void) waits_at;
    atomic_i64 since; // when that wait was opened, by the coarse clock

    // Guarded by the lock of the scope whose child it is (runtime/scope.c).
    struct list_node child_node;

    // Guarded by the lock of the timers it is in (sched/timer.h).
    struct timer timer;

    // Its own, while it does not run and there is C++ in the process; empty when it is DEAD.
    struct os_exceptions exceptions;
    void *
        host_slot; // what the host keeps of it, where it is told of switches; NULL when DEAD

    // Atomic: what a cancel has to reach while the wait is OPEN_IO (park.c).
    atomic_ptr(struct poller) io_poller;
    atomic_u64 io_key;

    // Its own.
    struct locals *locals; // coir_local_set (runtime/local.c)
    struct stack *big;     // that it runs a call on (runtime/big_stack.c), or NULL
    struct m *home;        // where it has pins: the M; NULL: not yet run there
    char name[G_NAME_BYTES];
};

static inline struct g *g_of_task(struct task *t)
{
    return container_of(t, struct g, task);
}

static inline struct g *g_of_node(struct queue_node *n)
{
    return container_of(n, struct g, node);
}

// DEAD -> RUNNABLE. Its maker, before anybody can see it.
static inline void g_start(struct g *g)
{
    check(load_own(&g->task.state) == G_DEAD);
    arrow("g", G_DEAD, G_RUNNABLE);
    store_relaxed(&g->task.state, G_RUNNABLE); // relaxed: the queue publishes it
}

// RUNNABLE -> RUNNING. Who took it from a queue.
static inline void g_run(struct g *g)
{
    must(load_own(&g->task.state) == G_RUNNABLE); // I3: taken from one place, once
    arrow("g", G_RUNNABLE, G_RUNNING);
    // relaxed: only its own M looks until it parks
    store_relaxed(&g->task.state, G_RUNNING);
}

// RUNNING -> RUNNABLE. The coroutine itself, about to yield; the successor queues it.
static inline void g_yield(struct g *g)
{
    check(load_own(&g->task.state) == G_RUNNING);
    arrow("g", G_RUNNING, G_RUNNABLE);
    store_relaxed(&g->task.state, G_RUNNABLE); // relaxed: the queue publishes it
}

// RUNNING -> PARKING. The coroutine itself; from now on it may be readied.
static inline void g_open(struct g *g)
{
    check(load_own(&g->task.state) == G_RUNNING);
    arrow("g", G_RUNNING, G_PARKING);
    store_relaxed(&g->task.state, G_PARKING); // relaxed: [WAIT-OPEN] publishes it
}

// PARKING -> RUNNING when a ready came before the switch. The coroutine itself. True: go on,
// what the waker wrote is visible; false: it must leave.
static inline bool g_reopen(struct g *g)
{
    // [G-MARK-SEEN] acquire, pairs with [G-READY].
    if (__builtin_expect(load_acquire(&g->task.state) != G_RUNNABLE, 1)) return false;
    arrow("g", G_RUNNABLE, G_RUNNING);
    store_relaxed(&g->task.state, G_RUNNING); // relaxed: nobody else looks now
    return true;
}

// PARKING -> PARKED, by the successor, after the registers are saved and the stack is left.
// False: a mark was left meanwhile, the coroutine is RUNNABLE and the caller queues it.
static inline bool g_commit(struct g *g)
{
    uint32_t was = G_PARKING;

    // [G-COMMIT] seq_cst, pairs with [G-READY] and [G-READY-PARKED]: whoever readies it
    // afterwards runs it on a stack that is left. And with [CANCEL-SET]: the caller looks at the
    // cancel flag next, a canceller sets the flag and looks at the wait next; one of them sees
    // the other.
    if (__builtin_expect(cas_seq_cst(&g->task.state, &was, G_PARKED), 1)) {
        arrow("g", G_PARKING, G_PARKED);
        return true;
    }
    must(was == G_RUNNABLE);
    return false;
}

// PARKED or PARKING -> RUNNABLE. Who won the wait. True: the caller queues it; false: its M does.
static inline bool g_ready(struct g *g)
{
    // [G-READY-PARKED] acquire, pairs with [G-COMMIT]: its stack is left, and only the winner of
    // the wait changes PARKED. The queue publishes what the winner wrote.
    if (__builtin_expect(load_acquire(&g->task.state) == G_PARKED, 1)) {
        arrow("g", G_PARKED, G_RUNNABLE);
        store_relaxed(&g->task.state, G_RUNNABLE); // relaxed: as above
        return true;
    }
    // It was PARKING a moment ago, and may be PARKED by now.
    // [G-READY] acq_rel, pairs with [G-COMMIT], [G-MARK-SEEN]: outcome and values that the
    // winner wrote are seen by the coroutine, the left stack by whoever runs it.
    uint32_t was = swap_acq_rel(&g->task.state, G_RUNNABLE);

    must(was == G_PARKED || was == G_PARKING); // else readied twice for one wait
    arrow("g", was, G_RUNNABLE);
    return was == G_PARKED;
}

// RUNNING -> DEAD. The coroutine's successor, after it left its stack for good.
static inline void g_end(struct g *g)
{
    check(load_own(&g->task.state) == G_RUNNING);
    arrow("g", G_RUNNING, G_DEAD);
    // [G-END] release, pairs with [G-WALK]: who finds it gone finds whom it woke (deadlock.c, D1).
    store_release(&g->task.state, G_DEAD);
}
