// SPDX-License-Identifier: MIT
// p - the right to run coroutines, and what goes with it: run queue, timers, stacks, counters.
//
// Who may touch a P stands in one word, {epoch : 32 | M : 16 | state : 16}:
//
//              take (idle.c)                 leave: about to run user code
//     IDLE ------------------> RT(m) <-------------------------------------> USER(m)
//      ^ ^                     ^  ^      enter: a call into the runtime         |
//      | '---------------------'  |                                             |
//      |    give (idle.c)         '------------------------> BLOCK(m)           |
//      |                            leave and enter around      |               |
//      |                            code that says it blocks    |               |
//      '--------------------------------------------------------'---------------'
//           steal (handoff.c): its thread is stuck; epoch + 1
//
// I1  Only the M named in the word in state RT touches the plain fields.
// P1  IDLE -> RT is a compare-and-swap by whoever takes it and moves the epoch: an M that comes
//     back with an old word fails.
// P2  USER -> RT is a compare-and-swap by its M; RT -> USER a store by its M, the last thing
//     before control returns to user code, after the predecessor's parking was finished. So a
//     P in USER is provably not being touched, and may be taken from a thread that is stuck.
// P3  The thread that it was stolen from learns so at its next entry, whose compare-and-swap finds
//     another epoch, and from then on holds no P (m->p is NULL) until it takes an idle one.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arrow.h"
#include "base/atomic.h"
#include "base/list.h"
#include "base/panic.h"
#include "base/rand.h"
#include "base/stack.h"
#include "sched/runq.h"
#include "sched/timer.h"

struct m;
struct sched;

enum { P_IDLE, P_RT, P_USER, P_BLOCK };

// What a P counts. The owner adds, anybody reads: relaxed, each exact, together a snapshot only.
struct p_counts {
    atomic_u64 made;   // coroutines started on it
    atomic_u64 ended;  // coroutines ended on it
    atomic_u64 steals; // batches taken from others
};

struct p {
    // Constant after p_init.
    struct sched *sched;
    uint32_t id;

    // Owner M only.
    uint32_t next_runs;   // times in a row that 'next' was run
    uint32_t pushes;      // into the ring
    int64_t queued_since; // cycles: since when somebody waits, or they were last offered
    int64_t oldest_at;    // when the oldest new one had its turn
    bool was_empty;       // nobody waited, since queued_since was set
    uint64_t id_first,
        id_last; // coroutine ids taken from the process's counter, not yet used
    struct rand rand;
    struct stack_cache stacks;
    struct p_counts counts;

    // Guarded by the idle lock (idle.h).
    struct list_node idle_node;
    struct m *m;  // who had it last; NULL: no thread was started for it yet
    bool expects; // idle, and its M sleeps until the end of an operation

    // Own locks and orders: runq.h, timer.h.
    alignas(CACHE_LINE) struct timers timers;
    struct runq runq;

    // Atomic: the ownership word, and the tick as sysmon reads it.
    alignas(CACHE_LINE) atomic_u64 word;
    atomic_u32
        tick; // coroutines run; the owner adds, every SCHED_FAIR_TICKS it looks elsewhere
};

static inline uint64_t p_word(uint64_t epoch, uint32_t m, uint32_t state)
{
    return epoch << 32 | (uint64_t)m << 16 | state;
}

static inline uint32_t p_word_state(uint64_t word)
{
    return (uint32_t)(word & 0xffff);
}

static inline uint32_t p_word_m(uint64_t word)
{
    return (uint32_t)(word >> 16 & 0xffff);
}

void p_init(struct p *p, struct sched *s, uint32_t id, struct stack_depot *depot);
void p_fini(struct p *p);

// IDLE -> RT for M 'm'. Whoever took p off the idle list.
static inline void p_take(struct p *p, uint32_t m)
{
    uint64_t was = load_relaxed(&p->word); // relaxed: the CAS checks it

    must(p_word_state(was) == P_IDLE);
    arrow("p", P_IDLE, P_RT);
    // [P-TAKE] acq_rel, pairs with [P-GIVE]: sees all that the last owner wrote (I1).
    must(cas_acq_rel(&p->word, &was, p_word((was >> 32) + 1, m, P_RT)));
}

// RT -> IDLE. Its M, before it puts p on the idle list.
static inline void p_give(struct p *p)
{
    uint64_t was = load_relaxed(&p->word); // relaxed: own

    must(p_word_state(was) == P_RT);
    arrow("p", P_RT, P_IDLE);
    // [P-GIVE] release, pairs with [P-TAKE].
    store_release(&p->word, p_word(was >> 32, 0, P_IDLE));
}

// BLOCK -> RT where USER -> RT failed. False: p was stolen.
bool p_enter_slow(struct p *p, uint64_t mine);

// USER -> RT. Its M, entering the runtime. False: p was stolen (P3).
static inline bool p_enter(struct p *p, uint64_t mine)
{
    uint64_t was = mine | P_USER;

    // [P-ENTER] acquire, pairs with [P-STEAL]: one of the two has it.
    if (__builtin_expect(!cas_acquire(&p->word, &was, mine | P_RT), 0))
        return p_enter_slow(p, mine);
    arrow("p", P_USER, P_RT);
    return true;
}

// USER or BLOCK -> IDLE, if the word still is 'seen'. Who holds the lock of its M's poller
// (handoff.c). True: the thread that ran there holds it no more.
static inline bool p_steal(struct p *p, uint64_t seen)
{
    uint64_t was = seen;

    // [P-STEAL] acq_rel, pairs with [P-ENTER], [P-LEAVE]: sees all that its M did inside.
    if (!cas_acq_rel(&p->word, &was, p_word((seen >> 32) + 1, 0, P_IDLE))) return false;
    arrow("p", p_word_state(seen), P_IDLE);
    return true;
}

// RT -> USER. Its M, about to run user code (P2).
static inline void p_leave(struct p *p, uint64_t mine)
{
    check(load_relaxed(&p->word) == (mine | P_RT)); // relaxed: own
    arrow("p", P_RT, P_USER);
    // [P-LEAVE] release, pairs with [P-STEAL]: what was done in the runtime is done.
    store_release(&p->word, mine | P_USER);
}

// RT -> USER -> BLOCK in one step: what follows may block. Its M.
static inline void p_leave_blocking(struct p *p, uint64_t mine)
{
    check(load_relaxed(&p->word) == (mine | P_RT)); // relaxed: own
    arrow("p", P_RT, P_BLOCK);
    // [P-LEAVE] release, pairs with [P-STEAL].
    store_release(&p->word, mine | P_BLOCK);
}
