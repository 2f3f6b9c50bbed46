// SPDX-License-Identifier: MIT
// p - the right to run coroutines, and what goes with it: run queue, timers, stacks, counters.
//
// Who may touch a P stands in one word, {epoch : 32 | M : 16 | state : 16}, and, where that names
// an M, in that M's own note, 'at', which says whether it is in the runtime or in user code:
//
//              take (idle.c)                ask (sysmon)
//     IDLE ------------------> HELD(m) -------------------> ASKED(m)
//      ^ ^                     ^ ^  ^ <-----------------------'  |
//      | '---------------------' |  |   m is inside, or comes    |
//      |    give (idle.c)        |  |                            |
//      |                         |  '--------> BLOCK(m)          |
//      |                         '- m is in     | code that says |
//      |                        at: RT or USER  | it blocks      |
//      '----------------------------------------'----------------'
//           steal (handoff.c): its thread is stuck; epoch + 1
//
//     its M, entering                          sysmon
//     ------------------------------------     ------------------------------------
//     at = RT                    [P-ENTER]     HELD -> ASKED                  [P-ASK]
//     light fence                              heavy fence                  [P-FENCE]
//     the word says HELD? inside               at is RT? withdraw it          [P-OUT]
//     ASKED -> HELD? inside       [P-BACK]     ASKED -> IDLE, epoch + 1     [P-STEAL]
//     else it was taken
//
// I1  Only the M named in the word touches the plain fields, and only while its note says RT.
// P1  IDLE -> HELD is a compare-and-swap by whoever takes it and moves the epoch: an M that comes
//     back with an old word fails.
// P2  Outside its note says USER; that is the last store before control returns to user code, after
//     the predecessor's parking was finished. Everywhere else it says RT, without a P too, but for
//     the user code of a coroutine whose M lost its P in a hook of the host's.
// P3  The thread that it was stolen from learns so at its next entry, which finds another epoch,
//     and from then on holds no P (m->p is NULL) until it takes an idle one.
// P4  A call costs its M two stores and two looks, and no locked instruction: who asks, once in
//     milliseconds at most, pays for both sides with a fence that every thread of the process
//     passes (membarrier(2); where that is not to be had, each side has a full fence of its own).
//     Either the M sees that it was asked, or who asked sees it inside; if both do, the one
//     compare-and-swap of ASKED decides. One thread asks, sysmon. Where the fence is refused later
//     it is had of that M's thread alone (base/fence.h), or the P stays for now.
// P5  What stands in BLOCK is taken without asking: its M goes there and back by locked
//     instructions.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arrow.h"
#include "base/atomic.h"
#include "base/fence.h"
#include "base/list.h"
#include "base/panic.h"
#include "base/rand.h"
#include "base/stack.h"
#include "sched/runq.h"
#include "sched/timer.h"

struct m;
struct sched;

enum { P_IDLE, P_HELD, P_ASKED, P_BLOCK }; // of the word
enum { P_RT, P_USER };                     // of an M's note

// An M's side of the P that it holds.
struct hold {
    bool light; // constant: a heavy fence is to be had (P4)

    // Its own.
    uint64_t mine; // p's ownership word but for the state
    uint64_t
        held; // the whole of it while p is simply HELD; no word at all where not 'light'

    // Atomic: the M's note; it alone writes it.
    atomic_u32 at;
    struct fence_note note;
};

// What a P counts. The owner adds, anybody reads: relaxed, each exact, together a snapshot only.
struct p_counts {
    atomic_u64 made;   // coroutines started on it
    atomic_u64 ended;  // coroutines ended on it
    atomic_u64 steals; // batches taken from others
    atomic_u64 spared; // sleeps, as work came while it lingered
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
    int64_t alarm;        // when its timers last ended a sleep ...
    uint64_t expired_before; // ... and how many had expired by then
    bool was_empty;          // nobody waited, since queued_since was set
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
        tick; // coroutines run; the owner adds, every FIND_FAIR_TICKS it looks elsewhere
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

// IDLE -> HELD for M 'm', whose note says RT. Whoever took p off the idle list.
static inline void p_take(struct p *p, uint32_t m)
{
    uint64_t was = load_relaxed(&p->word); // relaxed: the CAS checks it

    must(p_word_state(was) == P_IDLE);
    arrow("p", P_IDLE, P_HELD);
    // [P-TAKE] acq_rel, pairs with [P-GIVE], [P-STEAL]: sees all that the last owner wrote (I1).
    must(cas_acq_rel(&p->word, &was, p_word((was >> 32) + 1, m, P_HELD)));
}

// HELD -> IDLE. Its M, before it puts p on the idle list.
void p_give(struct p *p);

// Its M, having taken p, whose word is 'word'.
static inline void hold_set(struct hold *h, uint64_t word)
{
    h->mine = word & ~(uint64_t)0xffff;
    h->held = h->light ? h->mine | P_HELD : UINT64_MAX;
}

// Its M, entering the runtime, its note stored, where p is not simply HELD or no heavy fence is to
// be had. False: p was stolen (P3).
bool p_enter_slow(struct p *p, const struct hold *h);

// Its M, entering the runtime. False: p was stolen (P3).
static inline bool p_enter(struct p *p, struct hold *h)
{
    store_relaxed(&h->at, P_RT); // relaxed: the fence follows
    // [P-ENTER] light, pairs with [P-FENCE]: 'at' is stored, now look at the word (P4).
    fence_light();
    // relaxed: ordered by the fence, and what is ours nobody else wrote
    if (__builtin_expect(load_relaxed(&p->word) != h->held, 0)) return p_enter_slow(p, h);
    return true;
}

// Its M, about to run user code (P2).
static inline void p_leave(struct hold *h)
{
    check(load_own(&h->at) == P_RT);
    // [P-LEAVE] release, pairs with [P-OUT]: what was done in the runtime is done.
    store_release(&h->at, P_USER);
}

// HELD -> BLOCK: what follows may block. Its M (P5).
void p_leave_blocking(struct p *p, struct hold *h);

// HELD -> ASKED. sysmon only, which saw p's word as 'seen', and 'h' is that M's. True: the M is
// outside, p may be stolen. False: it is inside, or came meanwhile, or p is another's.
bool p_ask(struct p *p, uint64_t seen, const struct hold *h);
// ASKED -> HELD, if its M did not come meanwhile. sysmon only.
void p_withdraw(struct p *p, uint64_t seen);

// ASKED (seen as HELD, and asked for) or BLOCK (seen so) -> IDLE. Who holds the lock of its M's
// poller (handoff.c). True: the thread that ran there holds it no more.
bool p_steal(struct p *p, uint64_t seen);

// True if M 'h' is in user code: a look, which orders what it did before. Any thread.
static inline bool p_is_out(const struct hold *h)
{
    // [P-OUT] acquire, pairs with [P-LEAVE].
    return load_acquire(&h->at) == P_USER;
}
