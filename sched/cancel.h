// SPDX-License-Identifier: MIT
// cancel - may the caller go on waiting? What coroutines and ordinary threads have alike.
//
//     asked:   [ timed : 1 | scope : 1 | stop : 1 ]      0: only a call's own deadline ends it
//
//     stop     the runtime stops                  set by the stop, never taken back
//     scope    a scope around it was cancelled    set by who cancels; the caller itself takes it
//                                                 back when it has left that scope
//     timed    a scope around it has a deadline   the caller's own note: ask the clock too
//
// K1  A cancel sets the bit and then looks at the wait; who opens a wait commits it and then looks
//     at the bit (g.h, [G-COMMIT]; for a thread the lock of its thread_cancel orders the two).
// K2  A scope's deadline has no timer and no messenger: each wait inside it lasts at most until
//     then (park.c), on the timer that waits have anyway, and each call asks the clock at its
//     entry. Who is refused for it notes so in the scope, which is how the scope knows.
// K3  A shielded caller is deaf to all three.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/lock.h"
#include "base/waiter.h"

enum { CANCEL_STOP = 1, CANCEL_SCOPE = 2, CANCEL_TIMED = 4 };
#define CANCEL_ASKED (CANCEL_STOP | CANCEL_SCOPE)

// What this floor must know of a scope (runtime/scope.c); first in it.
struct bound {
    int64_t until;      // constant: the earliest deadline of it and of those around it
    atomic_i64 refused; // when a call was last refused because of it (K2); 0: never
};

struct cancel {
    atomic_u32 asked;
    uint32_t shields;    // the caller's own; > 0: deaf (K3)
    struct bound *bound; // the caller's own: the innermost scope around it, or NULL
};

// An ordinary thread's, in its own area (os_area). Zero-filled is a thread without scopes.
struct thread_cancel {
    struct cancel cancel;
    struct lock lock;
    struct task *waits; // guarded by lock: what a cancel has to end, or NULL
    int break_fd; // guarded by lock, where 'polls': it sleeps in poll(2) and listens here
    bool polls;
    struct m *
        hosted; // its own: of the runtimes whose turns it takes (hosted.h), linked; or NULL
};

struct thread_cancel *thread_cancel(void);

// The caller's.
struct cancel *cancel_self(void);

// True if the caller may not wait any more. Its own.
bool cancel_asked(struct cancel *c);

// True if the deadline of the scopes around has passed; notes it there. 'bound' is timed.
bool cancel_late(struct bound *bound);

// Sets the bit 'why' for an ordinary thread and ends its wait. Any thread, while the other one
// has the scope open that is cancelled.
void cancel_thread(struct thread_cancel *tc, uint32_t why);
