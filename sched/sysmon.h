// SPDX-License-Identifier: MIT
// sysmon - one thread that looks after the workers from outside, and sleeps when they all do.
//
//     every SYSMON_LOOK_NS while a P is not idle, or a lent poller has operations in flight:
//       a P that ran nothing since the last look, but has a coroutine queued or a timer due, while
//         another P is idle: wake a thief (W4)
//       a P that was in foreign code on one coroutine for SYSMON_HOLD_NS, or at two looks while its
//         thread slept, or in a region that may block: take it, if it has something to give
//       lent pollers are served (handoff.h)
//       stalls are told to the log (stall.h)
//     After SYSMON_CALM looks with all Ps idle: ASLEEP, until somebody takes a P, or until
//     there is memory to give back.
//     every second: idle Ps' stacks go to the depot, and from there to the kernel, a batch a look
//     (base/stack_decay.c).
#pragma once

#include "base/atomic.h"
#include "base/platform.h"
#include "sched/stall.h"

struct sched;
struct watch;

struct sysmon {
    struct os_thread thread;
    bool runs;

    // Its own thread only.
    struct watch *watches; // of each P, what the last looks saw
    uint32_t n_taken;      // in this look
    struct stall stall;
    int64_t drain_at; // when idle Ps give their stacks up

    // Atomic.
    atomic_u32 asleep;
    atomic_u32 stop;
};

// 0 | -EAGAIN | -ENOMEM
int sysmon_start(struct sched *s);
void sysmon_stop(struct sched *s);

// A second's worth of memory back to the kernel, if it is time: what it does where it does not run
// (hosted.h).
void sysmon_give_back(struct sched *s);

// A P was taken from IDLE. Any thread.
void sysmon_wake(struct sched *s);
