// SPDX-License-Identifier: MIT
// handoff - takes a P from a thread that is stuck in foreign code, and what that thread does then.
//
//      sysmon                             the stuck thread, M a          a spare, M b
//      a is in USER for 8 ms,             computes
//      and has something to give
//      asks for it: a is outside   [P-ASK]
//      lock a's poller
//      ASKED -> IDLE, epoch + 1  [P-STEAL]
//      lend a's poller, unlock
//      give P to b, wake it                                              runs what stands there
//      serves a's poller, pumps it        next call: entry fails,
//                                         it holds no P
//                                           cannot wait: as a thread of the host's
//                                           waits, yields: takes an idle P, or gives the
//                                           coroutine up: global queue, a becomes a spare
//
// H1  A P is taken only while its M's note says USER or its word BLOCK (p.h): so its thread is
//     provably outside, and whatever foreign lock it holds, nobody stops it.
// H2  A P that has nothing to give is not taken.
// H3  The stuck M's poller is lent in the same locked step in which its P is taken, and the M
//     reclaims it before it touches it: poller and coroutine have one master at any time.
// H4  There is a spare before a P is taken: a taken P never stands without a thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"

struct g;
struct m;
struct p;
struct sched;

struct handoff {
    // Constant after sched_start.
    uint32_t computing_most, blocked_most;
    int pump_signal; // 0: none

    // Atomic: Ms that lost their P and did not come back, by what they do; all that ever did.
    atomic_u32 n_computing, n_blocked;
    atomic_u64 n_taken;
    atomic_u64 n_stalls; // of them, from coroutines that computed
    atomic_u64
        n_refused; // looks that found no thread to take a P with: a cap, or none to be had
};

// Takes p, whose word was seen as 'seen' (HELD or BLOCK), and gives it to a spare. sysmon only.
// True: done. False: there is no spare, a cap is reached, or its thread came back.
bool handoff_take(struct sched *s, struct p *p, uint64_t seen, bool blocks);
// m, which has no P, takes one in BLOCK that has something to give. False: there is none.
bool handoff_take_blocked(struct m *m);
// True if p, which M 'm' holds, has what another M could do. Any thread; a look.
bool handoff_worth(struct sched *s, struct p *p, struct m *m);

// Serves every lent poller and makes the coroutines ready whose operations finished. sysmon only.
// True: operations are in flight on one of them, look again soon.
bool handoff_serve(struct sched *s);

// A failed entry: from now on m has no P.
void handoff_lost(struct m *m);
// m, without a P, is about to wait or yield: takes an idle P if there is one, and is back then.
void handoff_regain(struct m *m);
// m touches its own poller next, or leaves its coroutine: it takes the poller back.
void handoff_back(struct m *m);
