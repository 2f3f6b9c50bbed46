// SPDX-License-Identifier: MIT
// fence - a full fence that one side of a pair pays for both, and what is left when it is refused.
//
//     who goes without (its own thread)        who pays
//     ------------------------------------     ------------------------------------
//     store; fence_light(); look               store; fence_heavy() or fence_heavy_one(); look
//
// A heavy fence makes every thread of the process pass a full one (membarrier(2)). Whether it is
// to be had is found at the start; a seccomp filter that comes later may take it back, while others
// go on without fences. What they owe can still be had, of one thread at a time:
//
//     it sleeps: its CPU clock stands still, and the kernel says so (/proc); who goes to sleep, or
//         wakes, passes a full fence there
//     the pump's handler ran on it, sent after our store: it says so by a release store, behind all
//         that the thread stored before; and all that it looks at afterwards comes later
//     the note's thread has changed: the one that was meant has ended, or is inside of nothing
//
// E1  Once refused is refused for good, for the process: who may choose goes by full fences.
//
// Rejected: mprotect(2), whose interrupts are a fence too: aarch64 and newer AMD invalidate without
// any. A fence on each thread's way through the scheduler: a thread that computes never comes by.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"

struct os_pump;

// How a thread that goes without fences can be reached. Written by that thread.
struct fence_note {
    atomic_ptr(struct os_pump) pump; // NULL: it takes no signal of ours
    atomic_u64 thread;               // its number; 0: none
    atomic_u32 changes;              // of the two
};

// 1: a heavy fence was refused (E1).
extern atomic_u32 fence_refused;

// Asks for heavy fences, before the first. False: there are none.
bool fence_heavy_get(void);
// False: refused; nothing was fenced.
bool fence_heavy(void);
// The same for one thread, if need be by other means; naps between its looks. False: it could not
// be had until then.
bool fence_heavy_one(const struct fence_note *note, int64_t until);

// From now on the note is the calling thread's, with this pump or NULL ...
void fence_note_begin(struct fence_note *note, struct os_pump *pump);
// ... and nobody's: the thread will go without fences no more.
void fence_note_end(struct fence_note *note);
