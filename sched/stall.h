// SPDX-License-Identifier: MIT
// stall - finds out for the log which coroutine held a worker for long: its name, where it was
// spawned, and where it stood if its thread can be asked.
//
// A floor above writes the line (sched.tell_stall). One at a time, a line a second at most;
// what was not told is counted in the next line. The
// answer of the pump's handler is waited for over a few looks of sysmon, whose affair all this is.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct coir_site;
struct m;
struct os_pump;
struct sched;

struct stall {
    bool pending;
    uint64_t id;
    char name[24];
    const struct coir_site *site;
    int64_t held, noted, told; // ns; when noted, when the last one was told
    struct os_pump *pump;      // NULL: cannot be asked
    uint64_t n_untold;
};

// m's coroutine held its P for so long, and the P was taken just now.
void stall_note(struct sched *s, struct m *m, int64_t held);
// Tells what is to be told by now.
void stall_tell(struct sched *s, int64_t now);
bool stall_pending(struct sched *s);
