// SPDX-License-Identifier: MIT
// stall - finds out for the log which coroutine held a worker for long: its name, where it was
// spawned, and where it stood if its thread can be asked.
//
// A floor above writes the line (sched.tell_stall). One at a time, a line a second at most;
// what was not told is counted in the next line. The
// answer of the pump's handler is waited for over a few looks of sysmon, whose affair all this is.
//
// T1  A question and its answer count while the thread's poller is lent, and are touched under its
//     reap lock: a thread that comes back withdraws the question (poller_reclaim), so what its
//     handler copies later is never taken for the answer to it, whatever runs there by then.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/platform.h"

struct coir_site;
struct m;
struct sched;

struct stall {
    bool pending;
    uint64_t id;
    char name[24];
    const struct coir_site *site;
    int64_t held, noted, told; // ns; when noted, when the last one was told
    struct m *asked;           // whose thread will answer; NULL: nobody's
    uint32_t n_frames;         // 0: not known where it stood
    uintptr_t frames[OS_PUMP_FRAMES + 1];
    uint64_t n_untold;
};

// m's coroutine held its P for so long, and the P was taken just now.
void stall_note(struct sched *s, struct m *m, int64_t held);
// Tells what is to be told by now.
void stall_tell(struct sched *s, int64_t now);
bool stall_pending(struct sched *s);
