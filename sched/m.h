// SPDX-License-Identifier: MIT
// m - an OS thread that runs coroutines: its poller, its own stack, the P that it holds.
//
//     unborn --launch--> runs: with a P  <----------------.
//                          |      |                       |  given by a waker or by sysmon,
//            nothing to do |      | stuck: stolen         |  or an idle one taken
//                          v      v                       |
//                sleeps at home  away, in foreign code    |
//                 |        |      | comes back            |
//                 |        v      v                       |
//                 |       spare: sleeps without a P ------'
//                 '---------^--------'      '--> ends, when nobody wanted it for a second, another
//                   its P was taken              is spare, and its poller has nothing in
// flight (I6)
//
// A struct m is type-stable: late breaks and cancels may name the poller of one that ended.
//
// The thread's own stack is the M's context: there it looks for work, sleeps and ends. It is the
// successor of a coroutine when no other coroutine is.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "arch/context.h"
#include "base/list.h"
#include "base/platform.h"
#include "netpoll/netpoll.h"
#include "sched/p.h"

struct bias_owner;
struct g;
struct p;
struct sched;

// What the successor has to do for the coroutine that left (sched.c).
enum leave { LEAVE_NOTHING, LEAVE_PARK, LEAVE_YIELD, LEAVE_END };

struct m {
    // Constant after its start.
    struct sched *sched;
    uint32_t index;
    struct os_thread thread;
    struct bias_owner *alone; // its own; bias_stranger: no heavy fence is to be had
    int *errno_here;          // where this thread's errno lives
    struct os_exceptions
        *exceptions;      // and what C++ keeps of exceptions; NULL: no C++ here
    struct os_pump *pump; // NULL: none
    bool hosted;          // its thread is a host's, in turns (hosted.h)
    bool in_turn;         // of those, in one just now

    // Its own thread only. Others may read g while the poller is lent, under its reap lock.
    struct p *p;    // NULL: idle, or stolen from it
    struct p *lost; // the P that was stolen last
    struct hold hold;
    struct g *g;    // NULL: on its own stack
    struct g *left; // who was left by the last switch
    enum leave left_how;
    bool spinning; // counted in sched's n_spinning
    bool away;     // lost its P, and has not yet reclaimed its poller
    bool coming;   // counted in idle's n_coming
    bool ends;     // has nothing to do and was not wanted for a while
    bool fed;      // work from outside ended its last sleep soon (linger.h)
    uint8_t vain_most, vain_left; // sleeps without a look before, as those were in vain
    bool
        detours; // each switch goes over its own stack: somebody is pinned here (pin.h), it is
                 // hosted, or a host is told of switches
    bool spoiled;          // who was pinned here has ended: it runs nobody any more
    struct g *pinned;      // who is pinned here, or NULL
    struct g *picked;      // taken from the queue by who left last, for the main loop
    bool has_more;         // hosted: the last turn left something to do
    struct m *next_hosted; // of the same thread
    struct m *outer;       // hosted, in a turn: the M whose coroutine takes it, or NULL
    struct context context;
    struct arch_call
        capture; // of the spawn stub, from its call to the commit that follows

    // Constant while the thread runs; outlives it (poller_shut).
    struct poller *poller;

    // Guarded by the idle lock.
    struct p *given; // a P that a waker took for it, with a count in n_spinning
    struct list_node spare_node;
    bool counted_blocked; // how it is counted while away (handoff.h)
    // Written under that lock, but emptied by the M itself.
    atomic_ptr(struct g) own; // who is pinned here, brought from a queue (pin.h), or NULL

    // Atomic: 0, then M_STARTED or the error of the poller, negated. Its thread writes it.
    atomic_u32 started;
    // Atomic: how far its launch is; guarded against a stop that comes meanwhile.
    atomic_u32 launch;
    // Atomic: its thread is through, and the M may be used again when it is joined. The thread says
    // so, who joins it says M_GONE under the idle lock.
    atomic_u32 ended;
    // Atomic: the number of its thread. Who finds an M by a P's word may come late and read that
    // of the M's next thread: no more than a hint, and the word has moved on.
    atomic_u64 thread_id;
};

#define M_STARTED (1u << 16)
enum { M_UNBORN, M_LAUNCHING, M_LAUNCHED, M_FAILED };
enum { M_LIVES, M_ENDS, M_GONE }; // of 'ended'

// Starts m's thread with the main function 'entry': again, after one that ended, for which it waits
// unless that is gone. 0 | -EAGAIN | -ENOMEM
int m_launch(struct m *m, void (*entry)(void *m));
// True if m has a thread to join. Waits while one is being launched.
bool m_launched(struct m *m);

// Its own thread: it can be reached by who needs a fence of it (base/fence.h) ...
void m_goes_light(struct m *m);
// ... and is through with what needs one.
void m_goes_light_no_more(struct m *m);

// True if it runs one coroutine only, or none any more. Its own thread, or who holds the idle lock
// and knows it asleep.
static inline bool m_is_reserved(const struct m *m)
{
    return m->pinned || m->spoiled;
}

// The M of this thread, or NULL. Fetch it anew after every park.
static inline struct m *m_self(void)
{
    return os_self();
}

// The coroutine that runs here, or NULL on an ordinary thread and on an M's own stack.
static inline struct g *g_self(void)
{
    struct m *m = m_self();

    return m ? m->g : NULL;
}
