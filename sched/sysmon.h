// SPDX-License-Identifier: MIT
// sysmon - one thread that looks after the workers from outside, and sleeps when they all do.
//
//     every SYSMON_LOOK_NS while a P is not idle: a P that ran nothing since the last look but
//     has a coroutine in 'next' or in its ring, while another P is idle: wake a thief (W4).
//     After SYSMON_CALM looks with all Ps idle: ASLEEP, until somebody takes a P, or until
//     there is memory to give back.
//     every second: idle Ps' stacks go to the depot, and from there to the kernel, a batch a look
//     (base/stack_decay.c).
//
// Only a runtime with more than one P has one.
#pragma once

#include "base/atomic.h"
#include "base/platform.h"

struct sched;

struct sysmon {
    struct os_thread thread;
    bool runs;
    uint32_t *ticks;  // of each P at the last look; its own thread only
    int64_t drain_at; // idle Ps give their stacks up; its own thread only

    // Atomic.
    atomic_u32 asleep;
    atomic_u32 stop;
};

// 0 | -EAGAIN | -ENOMEM
int sysmon_start(struct sched *s);
void sysmon_stop(struct sched *s);

// A P was taken from IDLE. Any thread.
void sysmon_wake(struct sched *s);
