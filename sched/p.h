// SPDX-License-Identifier: MIT
// p - the right to run coroutines, and what goes with it: run queue, timers, stacks, counters.
//
// Who may touch a P stands in one word, {epoch : 32 | M : 16 | state : 16}:
//
//              take (idle.c)                 leave: about to run user code
//     IDLE ------------------> RT(m) --------------------------------------> USER(m)
//       ^                      ^   |                                           |
//       '----------------------'   '-------------------------------------------'
//          give (idle.c)                enter: a call into the runtime
//
// I1  Only the M named in the word in state RT touches the plain fields.
// P1  IDLE -> RT is a compare-and-swap by whoever takes it and moves the epoch: an M that comes
//     back with an old word fails.
// P2  USER -> RT is a compare-and-swap by its M; RT -> USER a store by its M, the last thing
//     before control returns to user code, after the predecessor's parking was finished. So a
//     P in USER is provably not being touched, and may be taken from a thread that is stuck.
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

enum { P_IDLE, P_RT, P_USER };

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
    int64_t queued_since; // cycles: since when the ring is not empty, or was last offered
    bool was_empty;       // the ring, since queued_since was set
    uint64_t id_first,
        id_last; // coroutine ids taken from the process's counter, not yet used
    struct rand rand;
    struct stack_cache stacks;
    struct p_counts counts;

    // Guarded by the idle lock (idle.h).
    struct list_node idle_node;
    struct m *m;  // who had it last; NULL: no thread was started for it yet
    bool expects; // idle, and its M sleeps until a timer or the end of an operation

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

// USER -> RT. Its M, entering the runtime.
static inline void p_enter(struct p *p, uint64_t mine)
{
    uint64_t was = mine | P_USER;

    // [P-ENTER] acquire, pairs with [P-GIVE] of who might have taken it: nobody takes a P in
    // USER yet, so a failure is corruption.
    arrow("p", P_USER, P_RT);
    must(cas_acquire(&p->word, &was, mine | P_RT));
}

// RT -> USER. Its M, about to run user code (P2).
static inline void p_leave(struct p *p, uint64_t mine)
{
    check(load_relaxed(&p->word) == (mine | P_RT)); // relaxed: own
    arrow("p", P_RT, P_USER);
    // [P-LEAVE] release, pairs with [P-TAKE]: what was done in the runtime is done.
    store_release(&p->word, mine | P_USER);
}
