// SPDX-License-Identifier: MIT
// pin - a coroutine that keeps a thread to itself.
//
//     M of the pinned coroutine (its home)          another M, that takes it from a queue
//     it parks or yields: over M's own stack
//     other work at hand: gives P to a spare,
//       and the work with it
//     none: sleeps, at home P as any M does
//                                                   lock idle
//                                                     home.own = g
//                                                     home holds a P?      that is all
//                                                     sleeps at an idle P? it is given that
//                                                     has none?            it is given ours
//                                                   unlock, break home's sleep
//     comes out, with own and a P: runs it
//
// B1  A reserved M (m_is_reserved) runs nobody but its own coroutine. It may hold a P and look for
//     work with it as any other; what it finds it passes on, and the P too: the work is not kept
//     from those who may do it.
// B2  Who brings a coroutine home puts it into 'own', and sees to a P, in one step under the idle
//     lock, under which an M also lies down: it finds 'own' before, or is broken out of its sleep.
// B3  There is an M for every P besides those that are reserved: a pin is refused beyond that
//     (threads_max), and asks for a spare. Where the thread cannot be had just then the
//     reserved M keeps the P and asks again: thieves may take the work, it runs none of it.
// B4  A coroutine that ends with pins takes its thread along: what it did to it (a namespace, a
//     locale, a library's thread-locals) nobody else shall find. The M serves its ring until
//     nothing is in flight there (I6), and ends.
//
// After Go's LockOSThread (stoplockedm, startlockedm in proc.go); changed: an M that has nothing to
// pass on keeps its P as a home, so that a pinned coroutine that waits for time or for a peer is
// woken without a second thread.
#pragma once

#include <stdbool.h>

#include "sched/g.h"
#include "sched/m.h"

// Counts one more coroutine with pins. False: too many (B3).
bool pin_reserve(struct sched *s);
void pin_unreserve(struct sched *s);
// m's coroutine ended with pins (B4). m itself, before it leaves the coroutine.
void pin_spoil(struct m *m);

// True if m may run g, which it took from a queue; a coroutine that was spawned with a pin is then
// at home here.
bool pin_fits_slow(struct m *m, struct g *g);
static inline bool pin_fits(struct m *m, struct g *g)
{
    return !g->pins && !m->detours ? true : pin_fits_slow(m, g);
}
// m took g and may not run it: it goes home, or with m's P to a spare.
void pin_pass_on(struct m *m, struct g *g);
// m, which is spoiled, gives its P to a spare; it may have to wait for one (B3).
void pin_leave_p(struct m *m);
// Who was brought to m, or NULL. m itself, which holds a P.
struct g *pin_take_own(struct m *m);
