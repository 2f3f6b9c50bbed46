// SPDX-License-Identifier: MIT
// backend - what a backend must promise, in words; and what both share.
//
// A backend gets an op once (submit), keeps it until it ended, and gives it back once through
// poller_finish. It may finish an op inside submit. All its functions are called by the owner.
//
//     open      0 or -errno; nothing is left behind on failure
//     close     nothing is in flight but its own break
//     submit    takes the op; an error becomes its result
//     cancel    asks an op in flight to end; its 'why' is set already. False: there was no room
//               to ask, ask again at the next flush
//     flush     what was queued goes to the kernel
//     wait      flushes, lets the kernel finish what it can, and with a deadline in the future
//               sleeps until something finished, the break descriptor was written, or the deadline
//     pending   true if flush or wait(CLOCK_PAST) would find something to do; no system call
//     performs  true for codes that submit takes
//     lend      another thread will serve; under the reap lock. reclaim: its end, by the owner
//     serve     what wait(CLOCK_PAST) does, by another thread under the reap lock
//     mode      its name for users
//     fd        what a host polls; rest: see poller_rest, but for what all have in common
//     adopt     poller_adopt; NULL: any thread may be the owner
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arrow.h"
#include "base/atomic.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/memory.h"
#include "netpoll/netpoll.h"
#include "netpoll/ops.h"

struct backend {
    int (*open)(struct poller *np, unsigned entries);
    void (*close)(struct poller *np);
    void (*submit)(struct poller *np, struct op *op);
    bool (*cancel)(struct poller *np, struct op *op);
    void (*flush)(struct poller *np);
    void (*wait)(struct poller *np, int64_t deadline);
    bool (*pending)(const struct poller *np);
    bool (*performs)(const struct poller *np, enum op_code code);
    void (*lend)(struct poller *np);
    void (*reclaim)(struct poller *np);
    void (*serve)(struct poller *np);
    const char *(*mode)(const struct poller *np);
    int (*fd)(const struct poller *np);
    bool (*rest)(struct poller *np);
    int (*adopt)(struct poller *np);
};

extern const struct backend backend_uring, backend_epoll;

// A place in the table of operations in flight. Its generation moves when the op ends, so that
// an old key finds nothing (N3).
struct op_slot {
    struct op *op; // NULL: free
    uint32_t gen;  // never 0
    uint32_t next_free;
};

// A cancel on its way to the owner: its memory is there since the slot is, so that nobody who
// closes, or whose time is up, has to find any. Guarded by the poller's lock.
struct ask {
    uint32_t gen; // of the submission that is to end
    int why;      // 0: nothing is asked of this slot
    uint32_t next;
};

enum { POLLER_RUNS, POLLER_SLEEPS, POLLER_NOTIFIED };

struct poller {
    // Constant after open.
    const struct backend *backend;
    void *impl;           // the backend's own; NULL: shut
    struct os_pump *pump; // NULL: none
    const struct memory *memory;

    // Owner only; while lent, who holds reap.
    struct op_slot *slots;
    uint32_t n_slots, first_free;
    uint32_t gen_first; // of a slot that was never used
    struct queue done;  // finished, not yet returned
    uint32_t n_done;    // so many; they count as in flight

    // Guarded by lock: cancels from other threads, and those that found no room in the kernel's
    // queue; copied values only, one a slot, the oldest first. The descriptor of a break while
    // somebody writes to it (the owner reads the number without).
    alignas(CACHE_LINE) struct lock lock;
    int break_fd; // -1: shut
    // Constant after open: its owner sleeps in a host's loop.
    bool is_hosted;
    struct ask *asks; // by slot
    uint32_t n_asks;  // as many as slots
    uint32_t box_first, box_last, n_box;

    // Lending: written under the lock, by the taker and the owner.
    struct lock reap;
    atomic_u32 lent;

    // Atomic: written as the plain fields above, read by anybody.
    atomic_u32 in_flight;
    atomic_u64 submitted; // since the open
    // Atomic: what the box holds, as a hint; the sleep word.
    atomic_u32 box_filled;
    atomic_u32 state;
};

// The op ended with 'result': maps a cancel's reason (N2), frees its slot, queues it to be
// returned.
void poller_finish(struct poller *np, struct op *op, int32_t result);

// The op in flight that this key names, or NULL.
struct op *poller_find(struct poller *np, uint64_t key);

// True for operations that wait for readability; the others wait for room to write.
static inline bool op_reads(const struct op *op)
{
    return op_rows[op->code].waits == OP_WAITS_TO_READ;
}
