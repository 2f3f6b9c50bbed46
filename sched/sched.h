// SPDX-License-Identifier: MIT
// sched - switches to what runs next (find.h). What a runtime's workers share.
//
//      coroutine a                 coroutine b                       M's own stack
//      park, yield, end
//      pick: b, from this P  --->  finish a's leaving, go on
//                                  pick: nothing here           -->  finish b's leaving
//                                                                    look everywhere, sleep
//                            <---------------------------------------  found a
//
// The switch goes straight from coroutine to coroutine; the successor finishes what the
// predecessor began (commit its park, queue it again, release its stack), because only then are
// its registers saved and its stack left (I4). Decision 12, after Linux's finish_task_switch.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/parker.h"
#include "base/stack.h"
#include "netpoll/netpoll.h"
#include "sched/globq.h"
#include "sched/gtable.h"
#include "sched/handoff.h"
#include "sched/idle.h"
#include "sched/m.h"
#include "sched/p.h"
#include "sched/sysmon.h"

struct offload;
struct seeded;

struct sched {
    // Constant after sched_start.
    const struct memory *memory; // of the runtime, which outlives it
    uint32_t n_p;
    struct p *ps;
    struct m **ms; // by their index; room for m_most
    uint32_t m_most;
    enum poller_kind poller_kind;
    void (*thread_start)(void *), (*thread_stop)(void *);
    void *thread_arg;
    // The host's, told of each stretch that a coroutine runs (tell_in, tell_out in sched.c); both
    // NULL: it is not.
    void (*switch_in)(void *arg, uint64_t id, void **slot);
    void (*switch_out)(void *arg, uint64_t id, void **slot, int ends);
    void *switch_arg;
    // The runtime's, called on a coroutine that keeps a scope or locals, when its function has
    // returned 'value'.
    void (*ending)(struct g *g, uintptr_t value);
    void (*log)(void *arg, int level, const char *line); // NULL: silent
    void *log_arg;
    uint32_t coroutines_max; // 0: none
    struct offload *helpers; // the runtime's; only handed on (park_helpers)
    bool light;              // heavy fences are to be had (p.h, P4)
    bool altstacks;          // workers have one: SIGSEGV is watched
    struct m *hosted;        // its only M, which no thread of ours is (hosted.h); or NULL
    void (*tell_stall)(struct sched *s, const struct stall *st); // NULL: nobody listens
    struct seeded *seeded; // a run that can be repeated (seed.h); NULL: it is none
    // The runtime's: runs fn(arg) on a stack of so many bytes (park_in_place).
    int (*on_big_stack)(size_t bytes, void (*fn)(void *), void *arg);

    // Own locks: each type's header.
    struct stack_depot depot;
    struct globq globq;
    struct gtable gtable;
    struct idle idle;
    struct sysmon sysmon;
    struct handoff handoff;
    atomic_u32 n_ms; // written under the idle lock

    // Atomic.
    atomic_u64 made_outside; // coroutines started by threads without a P of ours
    atomic_u64 ended_away;   // coroutines that ended on an M without a P
    atomic_u32 stopping; // no more spawns; who goes idle looks whether the last one ended
    atomic_u32 outsiders; // threads without a P of ours that are in a spawn or a ready
    atomic_u32 exiting;   // no coroutine is left: every M ends
    atomic_u32 n_pinned;  // coroutines that have pins
    // The time, roughly: as old as the last of a worker's sleep, FIND_FAIR_TICKS of its runs,
    // and sysmon's look. For stamps (decision 12).
    atomic_i64 coarse;
    struct parker stopper; // readied when no coroutine is left after 'stopping'
    atomic_u64 threads;    // sched_note_thread
    atomic_u32 watched;    // somebody wants to know when all is quiet (idle_is_quiet) ...
    struct parker watcher; // ... and is told once, here
};

struct sched_config {
    uint32_t workers;
    size_t stack_bytes, guard_bytes;
    enum poller_kind poller_kind;
    uint32_t threads_max; // 0: the caps alone
    int pump_signal;      // 0: a free one, -1: none
    const struct memory *memory;
    uint64_t seed; // other than 0: a run that can be repeated, of one worker
    bool hosted;   // no threads: of these fields 'stack_bytes' to 'poller_kind' count
};

// Fills *s (zero-filled, hooks set) and starts its first worker, unless it is hosted; returns when
// that one has its poller. 0 | -ENOMEM | -EAGAIN (no thread) | what poller_open says.
int sched_start(struct sched *s, const struct sched_config *config);

// Waits until no coroutine is left or the deadline, after sched_stopping. 0 | -ETIMEDOUT
int sched_drain(struct sched *s, int64_t deadline);
// From now on spawns are refused and the last coroutine's end is announced.
void sched_stopping(struct sched *s);
// Ends the workers and frees everything; no coroutine is left.
void sched_fini(struct sched *s);

// Coroutines that started and did not end. Any thread; exact when nobody spawns.
uint64_t sched_live(struct sched *s);

// Sets the bit 'why' (cancel.h) for g and ends its wait. Any thread, while g cannot end.
void sched_cancel(struct g *g, uint32_t why);
// Cancels every coroutine: from now on their waits end with -ECANCELED. Any thread.
void sched_cancel_all(struct sched *s);
// Ends g's wait 'ticket' because g is cancelled, or asks its operation to end; nothing if that
// wait is over. Any thread (park.c).
void sched_cancel_wait(struct g *g, uint64_t ticket);

// A worker went idle, behind a full fence: tells the stopper if no coroutine is left, and the
// watcher if nothing is under way.
void sched_went_idle(struct sched *s);

// The running coroutine lets others run.
void sched_step_aside(struct m *m);
// The running coroutine leaves until somebody readies it; called with the wait opened.
void sched_park(struct m *m, struct g *g);

// Enter and leave the runtime on a coroutine (p.h, P2). Between them this M's P may be
// touched. Where
// the P was stolen m->p is NULL after entering: a call that need not wait then does as a thread of
// the host's, and returns without leaving.
static inline void sched_enter_as(struct m *m)
{
    if (__builtin_expect(!m->p || !p_enter(m->p, &m->hold), 0)) handoff_lost(m);
}

// The same for a call that is going to wait, or to yield: where there is an idle P it has that one.
static inline void sched_enter_to_wait(struct m *m)
{
    if (__builtin_expect(m->p && p_enter(m->p, &m->hold), 1)) return;
    handoff_lost(m);
    handoff_regain(m);
}

static inline void sched_leave(struct m *m)
{
    p_leave(&m->hold);
}

// Around a push from a thread that holds no P of this runtime (push_outside): the runtime's end
// waits for it.
static inline void sched_come_in(struct sched *s)
{
    // [OUTSIDE-IN] seq_cst, pairs with [STOP-SET] and [OUTSIDE-NONE].
    add_seq_cst(&s->outsiders, 1);
}
static inline void sched_go_out(struct sched *s)
{
    // [OUTSIDE-OUT] release, pairs with [OUTSIDE-NONE]: the last access.
    add_release(&s->outsiders, (uint32_t)-1);
}

// A host is told of switches: each of them goes over the M's own stack, from where it is.
static inline bool sched_tells(const struct sched *s)
{
    return s->switch_in || s->switch_out;
}

// Writes the coarse clock; a clock read. What it says.
static inline int64_t sched_note_time(struct sched *s)
{
    int64_t now = clock_now();

    store_relaxed(&s->coarse, now); // relaxed: says no more than itself
    return now;
}

// A thread of the runtime's (worker, spare, sysmon) is there now, or is about to end: never more
// are counted than there are. The word is {changes : 32 | threads : 32}.
static inline void sched_note_thread(struct sched *s, int n)
{
    // relaxed: see deadlock.c
    add_relaxed(&s->threads, (UINT64_C(1) << 32) + (uint64_t)(int64_t)n);
}

// An M for a new thread, LAUNCHING: one whose thread is gone, a fresh one, or, where there may be
// no more, one whose thread is ending. Holder of the idle lock. NULL: too many, or no memory.
struct m *sched_new_m(struct sched *s);

// Around code on a coroutine that may block; they nest. Elsewhere nothing.
void sched_blocking_begin(void);
void sched_blocking_end(void);

// A coroutine's first instructions and its last ones, around its function (context.h).
void sched_enter_g(void *word);
void sched_leave_g(uintptr_t value);

// The running coroutine keeps this thread, which runs nobody else (pin.h); they nest.
// 0 | -EPERM (no coroutine) | -EAGAIN (no thread beside it; too often)
int sched_pin(void);
// 0 | -EPERM (no coroutine) | -EINVAL (it has no pin)
int sched_unpin(void);

// A hosted M in its turn: runs at most so many, without a look at kernel and clock. The number that
// ran.
uint32_t sched_run_queued(struct m *m, uint32_t most);

// The main function of an M's thread.
void sched_m_main(void *m);
