// SPDX-License-Identifier: MIT
// waiter - THE wait node, and the word that decides who ended a wait.
//
// A task is whoever can wait: a coroutine (struct g begins with one) or an ordinary thread (one
// in the frame of the call that waits). Its wait word is a ticket: a count of waits and, in the
// low bits, whether the wait is still open.
//
//     ticket:   [ number of the wait : 61 | deaf : 1 | OPEN, OPEN_IO or CLOSED : 2 ]
//
//     wait_open        CLOSED -> OPEN, number + 1       by the task itself
//     wait_claim       OPEN   -> CLOSED                 by exactly one of: a waker, the deadline,
//                                                       a cancel, the task itself
//
// I3  The one compare-and-swap of wait_claim decides wake against timeout against cancel against
//     close. Who wins writes task->outcome and whatever the wait was for, then calls ready();
//     who loses must not touch the task again: it may be gone.
// I3a Because the number moves with every wait, a late claim with an old ticket fails. So a
//     deadline may keep {task, ticket}, as long as the task's memory is type-stable.
//
// A wait of kind OPEN_IO is never claimed: an operation in flight has its buffer and its record
// on the task's stack, so only its own last completion ends it (decision 7). Deadlines and
// cancels that meet one ask the netpoller instead. A deaf wait is left alone by cancels.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/list.h"
#include "base/parker.h"

enum {
    WAIT_CLOSED = 0,
    WAIT_OPEN = 1,
    WAIT_OPEN_IO = 2,
    WAIT_KIND = 3, // the mask of these three
    WAIT_DEAF = 4,
    WAIT_LOW = 7 // all but the number
};

struct task {
    atomic_u64 wait; // the ticket
    union {
        atomic_u32 state;     // a coroutine's (sched/g.h)
        struct parker parker; // a thread's
    };
    uint32_t chance; // a select's choices go on from it; its own
    uint64_t ticket; // of the wait that it opened last; its own
    int32_t outcome; // written by the winner of the claim, read after the wait
    bool is_thread;
};

// One task waiting for one thing; lives in the frame of the call that waits and is unlinked
// before that call returns. A select has one per case, all with the same ticket.
struct waiter {
    struct list_node node; // guarded by the lock of what is waited for
    struct task *task;
    uint64_t ticket;
    void *value;  // what it gives or wants; meaning is the object's
    uint32_t tag; // which of several waiters of the task this is
};

// Ends the wait that 'ticket' names, if it is still open. Any thread. True: the caller won, must
// write the outcome and call ready().
static inline bool wait_claim(struct task *t, uint64_t ticket)
{
    uint64_t was = ticket;

    // [WAIT-CLAIM] acq_rel, pairs with [WAIT-OPEN] and itself: the winner sees what the task
    // wrote before it opened the wait, the loser what nobody else will write again.
    return __builtin_expect(cas_acq_rel(&t->wait, &was, ticket & ~(uint64_t)WAIT_LOW), 1);
}

static inline bool waiter_claim(struct waiter *w)
{
    return wait_claim(w->task, w->ticket);
}
