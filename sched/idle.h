// SPDX-License-Identifier: MIT
// idle - who sleeps and who is woken.
//
//     pusher                                  M that finds nothing
//     publish work (runq tail, globq)         announce: poller SLEEP, P on the idle list
//     full fence        [WAKE-FENCE]          full fence                 [IDLE-FENCE]
//     look for an idle P, none spinning       look for work everywhere
//     take it, break its M's sleep            sleep in its own poller
//
// W1  One of the two looks sees the other's write: either the pusher finds the idle P or the M
//     finds the work. Take either fence away and both can look too early (docs/wakeup.md; the
//     Spin model and two mutants of the simulator show it).
// W2  A spinning M is a promise to look again: pushers do not wake while one spins, so whoever
//     stops spinning without work looks once more after taking itself off the count. A pusher
//     that counted the one it meant to wake, and found nobody, is such a one too.
// W3  Who finds work while spinning wakes another: the work may be the first of many. Who finds
//     it in the last look counts as spinning again.
// W4  A lone coroutine in a 'next' slot wakes nobody (a hand-over on the same core costs nothing,
//     a wake 25 to 45 us); if its P does not come to it, sysmon wakes a thief (sysmon.h).
// W5  A worker wakes another for its own ring and new ones only when these have not been empty for
//     a few times the price of a wake: short work is done sooner where its memory is warm. It is
//     nobody's last chance: the worker runs them itself, and while it is stuck sysmon looks.
//     What comes from outside, into the global queue, wakes at once.
// W6  An idle P has a home: the M that held it last, which sleeps until that P's earliest
//     timer. Who takes an idle P without that M being woken for it makes that M a spare.
// W7  A spare has no P and looks for none: while all Ps are held, work is theirs; when one is idle,
//     its home is woken. It is given a P that was stolen (handoff.h), and it serves its own ring:
//     what becomes ready there takes an idle P along, or goes to the global queue.
// W8  A sleep that a timer ends costs about 16 us of processor time where setting the kernel's
//     timer leaves a virtual machine. Where timers stand so close that such a sleep brings
//     several, the next one is made longer: by 4 us for each but the first, 200 us at most. Who
//     comes in a crowd, or right behind one on the same P, waits for the crowd (docs/adr/0034).
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/list.h"
#include "base/lock.h"
#include "netpoll/netpoll.h"

struct g;
struct m;
struct p;
struct sched;

struct idle {
    struct lock lock;
    struct list ps;     // idle Ps, last one first; guarded by lock
    struct list spares; // Ms that sleep without a P, last one first; guarded by lock
    uint32_t
        n_expecting; // of the idle Ps, those that expect the end of an operation; the same

    // Atomic: written under the lock, read by anybody.
    atomic_u32 n;
    atomic_u32 n_retired; // Ps whose thread could not be had
    atomic_u32 n_spares;
    atomic_u32 n_coming; // threads started as spares that did not get there yet
    // Atomic: Ms that look for work. Shared by all.
    alignas(CACHE_LINE) atomic_u32 n_spinning;
};

void idle_init(struct idle *idle);

// Work was published: wakes one idle worker unless one is looking already. Any thread.
void idle_wake(struct sched *s);
// The same without asking whether one is looking (sysmon, stop).
void idle_wake_any(struct sched *s);

// Makes p idle before its first M. sched_start only.
void idle_add(struct sched *s, struct p *p);
// Takes a P for m's first run. sched_start only.
void idle_take_first(struct sched *s, struct m *m);

// The thread of a worker that was started by a wake: takes the P that was given to it.
void idle_take_given(struct m *m);
// The same thread could not get a poller: its P serves nobody any more; the work stays queued
// for the others.
void idle_retire(struct m *m);

// m found nothing: gives its P up, if it has one, sleeps, and comes back with a P, or
// without one (W7), or to end. Operations that finished meanwhile are returned for the caller to
// ready.
struct queue idle_sleep(struct m *m);

// A hosted M's sleep is its host's (hosted.h): it gives its P up and announces. True: there is
// something to do already, or a break came.
bool idle_rest(struct m *m);
// It comes back: with its P, whoever had taken that for it.
void idle_rise(struct m *m);

// True if every worker sleeps, none expects a timer or the end of an operation, and nothing stands
// in a queue. *ret_epoch moves whenever a P is taken: equal before and after a look, no worker ran
// meanwhile. Any thread.
bool idle_is_quiet(struct sched *s, uint64_t *ret_epoch);

// Gives the stacks that idle Ps keep to the depot. Any thread.
void idle_drain_stacks(struct sched *s);
// m, which has no P, takes an idle one. False: there is none.
bool idle_take_any(struct m *m);
// Sets the deadline of g, which runs on m without a P, on a P that was m's and that somebody holds
// or sleeps at. 0 | -ENOMEM
int idle_arm(struct m *m, struct g *g, int64_t when);

// Starts so many threads as spares, less what is coming already. Any thread that may block. False:
// one could not be had.
bool idle_want_spares(struct sched *s, uint32_t n);
// Wakes a spare to look for a P in a region that may block, or starts one.
void idle_wake_spare(struct sched *s);
// A spare, for the caller to give a P to before it releases the idle lock; NULL: none. Holder.
struct m *idle_spare_locked(struct sched *s);
// The same spare back, unused.
void idle_put_spare_locked(struct sched *s, struct m *spare);
// Gives it p, which is IDLE and on no list; then, without the lock, the caller breaks its sleep.
void idle_give_locked(struct sched *s, struct m *spare, struct p *p);
// True if a P's word names m: it holds that one, or was given it. Holder: no P changes hands.
bool idle_has_p_locked(struct sched *s, const struct m *m);
// The idle P that m, which is reserved, sleeps at, off the list; NULL: it has none. Holder.
struct p *idle_home_locked(struct sched *s, struct m *m);
// p becomes m's because the caller took it. m itself.
void idle_hold(struct m *m, struct p *p);
// The end of the runtime: every spare is woken.
void idle_wake_spares(struct sched *s);

// m starts to look for work at others', if not too many do already. False: it must not.
bool idle_spin_begin(struct m *m);
// m found work, or gives up before it sleeps. True: it was the last one that looked.
bool idle_spin_end(struct m *m);
