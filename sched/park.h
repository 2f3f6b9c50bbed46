// SPDX-License-Identifier: MIT
// park - the one way to sleep and the one way to wake.
//
//      the waiting side                            the waking side
//      lock the object                             lock the object
//      ready already? take it, unlock, return      pop a waiter
//      wait_open, link a waiter                    waiter_claim: lost? pop the next one
//      unlock                                      hand the value over, set task->outcome
//      park(deadline)                              unlock
//      returns the outcome                         ready(task)
//      lost to deadline or cancel: lock, unlink if still linked, unlock
//
// The same lines serve coroutines and ordinary threads: task_self() says who is waiting. Who does
// this for every value has the short ways without a call (park_inline.h).
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/list.h"
#include "base/waiter.h"
#include "sched/seed.h"

struct bias_owner;
struct op;
struct g;
struct m;
struct coir_runtime;

// The caller's task: the running coroutine's, or 'here' made ready for an ordinary thread. 'here'
// must live in the caller's frame until its wait is over.
struct task *task_self(struct task *here);

// A number that names the caller among all coroutines and threads of the process, never 0 and
// never re-used while it lives: who owns a lock.
uint64_t task_id_self(void);

// Opens a wait and returns its ticket. Between this and park() the task must not call anything
// that may park. Every opened wait is ended by park(). 'on' says in a word or two of static text
// what is waited for ("chan recv"), 'at' at which object: for dumps, where only a coroutine shows.
uint64_t wait_open(struct task *t, const char *on, const void *at);
// The same, deaf to cancel.
uint64_t wait_open_shielded(struct task *t, const char *on, const void *at);

// Sleeps until the wait is claimed and readied; the outcome of who won it: what the waker wrote
// (0 by habit), -ETIMEDOUT from the deadline, -ECANCELED from a cancel. May return on another
// thread. With CLOCK_PAST the deadline claims at once if nobody did. -ENOMEM where a deadline
// finds no memory (a timer heap that cannot grow).
int park(struct task *t, int64_t deadline);

// The same for a wait that is deaf and without a deadline, and that only the run of a coroutine
// ends: a thread that takes the turns of hosted runtimes takes them meanwhile, as it may be one of
// theirs.
void park_turning(struct task *t);

// Makes a claimed task run. Any thread; never blocks; takes no lock of sync/ or io/. The task may
// be gone when this returns.
void ready(struct task *t);

// Who makes a call on an object, looked up once at its beginning.
struct caller {
    struct task *task;        // the running coroutine's; NULL: an ordinary thread
    struct bias_owner *alone; // this thread's, for base/bias.h; stale after a park
    struct m *m;              // the same thread's, for park_inline.h; stale after a park
    bool timed;               // a scope around it has a deadline
};

struct caller park_caller(void);
// Of it, no more than 'alone'.
struct bias_owner *park_alone(void);
// Who owns the locks that the caller makes: the only worker of its runtime, or bias_stranger.
struct bias_owner *park_lone_worker(void);
// The same as park_caller for a call that is a cancellation point and may succeed without parking:
// charges it (see park_charge) unless it may not wait. 0 | -ECANCELED
int park_begin(struct caller *ret_caller, int64_t deadline);

// -ECANCELED if the caller is cancelled, or a scope around it is past its deadline, and it is not
// shielded; else 0. Calls that are cancellation points at entry ask this first.
int park_canceled(void);
// The earlier of 'deadline' and that of the scopes around the caller: for an ordinary thread that
// waits elsewhere than in park. Who then waited in vain asks park_canceled.
int64_t park_until(int64_t deadline);
// An ordinary thread is about to sleep in poll(2): from now to the end a cancel writes to
// break_fd, an eventfd that it polls too. 0 | -ECANCELED: it must not sleep
int park_break_begin(int break_fd);
void park_break_end(void);

// Charges one inline success to the coroutine's budget and yields when it is used up, so that
// whoever always finds its channel or socket ready still lets others run. Calls that can succeed
// without parking end with it.
void park_charge(void);

// Submits op on this thread's poller and parks until it finished. Coroutines only (an ordinary
// thread waits in poll(2), see io/). 'armed' is called, if not NULL, with the key and the poller
// once both are known, before the coroutine leaves: io/fd.c notes there what close has to cancel.
// op->result: >= 0, -errno, -ETIMEDOUT (deadline), -ECANCELED (cancel), or what poller_cancel said.
struct poller;
int32_t park_io(struct op *op, int64_t deadline,
                void (*armed)(void *arg, struct poller *np, uint64_t key), void *arg);
// True when other coroutines are runnable on this worker: then an operation is worth queueing
// (it is submitted with theirs); alone, a direct call is cheaper (decision 6).
bool park_has_company(void);

// True on a coroutine whose runtime has rings.
bool park_uses_ring(void);
// True on a coroutine whose poller performs operations of this code itself, and not only waits for
// readiness before them.
bool park_performs(const struct op *op);

// The helper threads of the running coroutine's runtime; NULL on an ordinary thread (io/offload.h).
struct offload;
struct offload *park_helpers(void);

// The memory of the running coroutine's runtime, for what its call needs; NULL, which is libc's, on
// an ordinary thread. Good as long as the coroutine lives.
struct memory;
const struct memory *park_memory(void);

// -ENOTSUP on a coroutine of a seeded run (seed.h), for which the kernel does nothing; else 0.
int park_real_io(void);
// On a coroutine of a seeded run, which has no helpers: fn(arg) runs here and now, on a large
// stack. 1: it did | -ENOMEM | 0: this is no such coroutine
int park_in_place(void (*fn)(void *), void *arg);
// A call of a lock that may wait begins. In a seeded run others may come first.
static inline void park_lock_begins(int64_t deadline)
{
    // relaxed: who is in such a run knows of it
    if (__builtin_expect(load_relaxed(&seed_runs) != 0, 0) && deadline > 0) seed_call();
}
// A call that may not wait ends without what it asked for: -ETIMEDOUT. No lock is held. In a
// seeded run, where nothing else takes the worker from who polls, others may come first.
static inline int park_in_vain(void)
{
    // relaxed: who is in such a run knows of it
    if (__builtin_expect(load_relaxed(&seed_runs) != 0, 0)) seed_try();
    return -ETIMEDOUT;
}

// One line, a warning, to the log of the running coroutine's runtime; elsewhere nothing.
void park_say(const char *line);

// True on a coroutine, false on an ordinary thread.
bool on_coroutine(void);

// Who is told of every coroutine that is about to wait or to yield, on that coroutine, outside the
// runtime; it must not call back. For tools (tools/check); NULL: nobody.
struct coir_site;
typedef void park_watch_fn(uint64_t id, const char *name, const char *waits_on,
                           const struct coir_site *site);
extern atomic_ptr(park_watch_fn) park_watcher;
void park_watch_tell(const char *what);

// The running coroutine is about to leave for 'what', static text; NULL: for the wait it opened.
static inline void park_watch_leave(const char *what)
{
    // relaxed: whoever misses it is not watched yet
    if (__builtin_expect(load_relaxed(&park_watcher) != NULL, 0)) park_watch_tell(what);
}
