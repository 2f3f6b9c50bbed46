// SPDX-License-Identifier: MIT
// runtime - what a coir_runtime is inside.
#pragma once

#include <signal.h>

#include "base/atomic.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/memory.h"
#include "base/parker.h"
#include "coir/runtime.h"
#include "coir/spawn.h"
#include "sched/sched.h"

#define GUARD_DEFAULT ((size_t)16 << 10)

enum { RUNTIME_RUNS, RUNTIME_STOPS };

// Which call starts it: coir_run reads the environment, a hosted one makes no threads.
enum start_kind { START_RUN, START_THREADS, START_HOSTED };

// coir_run's caller, asleep but for what only its own thread can do (runtime/process.c). Whoever
// changes something here readies the scheduler's 'watcher', where it sleeps.
struct host {
    // Guarded by lock.
    struct lock lock;
    bool there;         // somebody can be asked
    bool over;          // the first coroutine returned
    sigset_t to_block;  // what it is asked to block
    struct list askers; // who waits until that is done
};

// The first coroutine of coir_run.
struct first {
    int (*fn)(void *);
    void *arg;
    int result;
};

struct coir_runtime {
    struct sched sched; // first: a coroutine's sched is its runtime

    // Guarded by the lock of the list of runtimes (debug.c); a debugger reads it.
    struct coir_runtime *next;

    // Constant after the start.
    uint32_t
        forks; // os_forks then: another number now means that its threads are not here
    coir_config config;   // with every default filled in
    struct memory memory; // config.allocator's, or libc's; the runtime itself lies in it
    struct offload *helpers;
    sigset_t starter_mask; // of the thread that started it: what programs inherit

    struct host host; // its own lock
    char driver_why[128];
    struct first first; // coir_run's

    // Atomic.
    atomic_u32 state;          // one coir_stop at a time
    atomic_u64 turner;         // hosted: the thread that takes the turns; 0: none yet
    atomic_u64 spawn_failures; // all of them
    atomic_i64 spawn_logged;   // when one was last logged
};

// The runtime of the running coroutine, or NULL.
coir_runtime *runtime_self(void);
// rt, or the running coroutine's where rt is NULL, or NULL.
coir_runtime *runtime_or_self(coir_runtime *rt);

// 0 | -EPERM: this is a child of fork, the runtime is its parent's.
int runtime_here(const coir_runtime *rt);

// Into the process's list of runtimes, which debuggers walk, and out of it.
void runtime_enlist(coir_runtime *rt);
void runtime_delist(coir_runtime *rt);
// In the child of a fork: the list is empty.
void runtime_forked(void);

// Writes one line to the log callback, if there is one. Any thread; the line is cut at 511.
void runtime_log(coir_runtime *rt, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// 'opts' fills what 'how' leaves open; what fails is counted and logged. What coir_go returns.
struct spawn;
// m: the M that this thread is, or NULL.
int runtime_spawn(struct m *m, coir_runtime *rt, const coir_options *opts,
                  struct spawn *how);
// The same with the call that this thread's spawn stub has captured; 'born' as in sched/spawn.h.
struct g;
int runtime_spawn_captured(coir_runtime *rt, const coir_options *opts, void (*fn)(void),
                           const coir_site *site, void (*born)(void *arg, struct g *g),
                           void *born_arg);

// The memory from low to high goes: the caller's scopes that stand there open are cancelled and
// waited for (scope.c).
void scope_memory_ends(const void *low, const void *high);
// A coroutine that keeps scopes, is a child or has locals returned 'value' (scope.c).
void scope_coroutine_ends(struct g *g, uintptr_t value);
// Destroys and forgets g's values; g itself, which has some (local.c).
void locals_end(struct g *g);

// Whether anything can ever run again (deadlock.c).
enum deadlock { DEADLOCK_NO, DEADLOCK_MAYBE, DEADLOCK_YES };
// MAYBE: nothing can, unless a thread that is not the runtime's nor the caller does it, or what a
// helper works on.
enum deadlock deadlock_look(coir_runtime *rt);
// Looks; unless it is YES, sleeps until the watcher is readied or it is time to look again. *nap is
// how long that is, 0 at first.
enum deadlock deadlock_look_or_sleep(coir_runtime *rt, int64_t *nap);
// Tells the log who waits on what.
void deadlock_report(coir_runtime *rt);

// Starts one; what the public calls return.
int runtime_start(const coir_config *config, enum start_kind kind, coir_runtime **ret_rt);
// The caller takes the turns of rt, which is hosted, from now on if nobody did before (hosted.c).
// 0 | -EPERM (another thread does, or a child of fork) | -EDEADLK (inside a turn of it) | -errno
// of what that needs
int runtime_take_turns(coir_runtime *rt);

// Checks 'config' (NULL: all default) and fills *ret with every default.
// 0 | -EINVAL, with a line through the config's log | -ENOTSUP
int config_fill(const coir_config *config, enum start_kind kind, coir_config *ret);

// coir_run's thread sleeps here until host_wake, and does what it is asked to meanwhile. Its
// mask is afterwards what it was. False: nothing can run any more.
bool host_sleep(coir_runtime *rt);
// The first coroutine returned.
void host_wake(coir_runtime *rt);
