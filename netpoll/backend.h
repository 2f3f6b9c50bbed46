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
//     mode      its name for users
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arrow.h"
#include "base/atomic.h"
#include "base/list.h"
#include "base/lock.h"
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
    const char *(*mode)(const struct poller *np);
};

extern const struct backend backend_uring, backend_epoll;

// A place in the table of operations in flight. Its generation moves when the op ends, so that
// an old key finds nothing (N3).
struct op_slot {
    struct op *op; // NULL: free
    uint32_t gen;  // never 0
    uint32_t next_free;
};

struct cancel {
    uint64_t key;
    int why;
};

enum { POLLER_RUNS, POLLER_SLEEPS, POLLER_NOTIFIED };

struct poller {
    // Constant after open.
    const struct backend *backend;
    int break_fd;
    void *impl; // the backend's own

    // Owner only.
    struct op_slot *slots;
    uint32_t n_slots, first_free;
    struct queue done;      // finished, not yet returned
    struct cancel *unasked; // cancels that found no room in the kernel's queue
    uint32_t n_unasked, unasked_room;

    // Guarded by lock: cancels from other threads, copied values only.
    alignas(CACHE_LINE) struct lock lock;
    struct cancel *box;
    uint32_t n_box, box_room;

    // Atomic: counts; what the box holds, as a hint; the sleep word.
    atomic_u32 in_flight; // the owner writes it, statistics read it
    atomic_u64 submitted; // as above: since the open
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
