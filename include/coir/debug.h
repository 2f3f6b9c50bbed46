// SPDX-License-Identifier: MIT
// coir/debug.h - look inside a running runtime: counts, every coroutine, backtraces.
//
// All of it may be asked at any time and from any thread, while coroutines run, start and end: it
// stops nobody. Counts are each exact and together a snapshot only. A coroutine that lives from
// the beginning of a walk to its end is shown exactly once, no coroutine is shown twice.
//
//     coir_dump(rt, 2);                                   everything, as text
//
// For a process that hangs, and for a core, there is gdb's side of it: docs/debugging.md.
#ifndef COIR_DEBUG_H
#define COIR_DEBUG_H

#include <stddef.h>
#include <stdint.h>

#include <coir/base.h>

#ifdef __cplusplus
extern "C" {
#endif

// What a runtime has done and has. COIR_STATS_INIT fills .size.
typedef struct coir_stats {
    size_t size;
    uint64_t coroutines; // that live now
    uint64_t made;       // since the start
    uint64_t
        parked; // of those that live: waiting, in_io among them; exact when nothing moves,
                // else off by as many as are on their way
    uint64_t in_io; // waiting for an operation in flight
    uint64_t spawn_failures;
    uint64_t steals;   // batches of coroutines that a worker took from another
    uint64_t handoffs; // workers' rights taken from a thread that was stuck
    uint64_t threads;  // that the runtime has made and that live, helpers among them
    uint64_t ops;      // operations submitted to the kernel since the start
    uint64_t timers;   // deadlines that are armed, or were and are not yet forgotten
    uint64_t stacks; // mapped: each took address space, and memory as far as it was used
    uint64_t stacks_free; // of those: cached, for the next coroutines
    uint64_t stalls;      // coroutines that held a worker for too long
    // Times that a worker's rights stayed with a stuck thread for want of another: threads_max, or
    // the caps on those that compute or block. A look a millisecond while it is so.
    uint64_t handoffs_refused;
    uint64_t events;     // of a seeded run (docs/seed.md): turns; else 0
    uint64_t event_hash; // of all of them: the same where two runs went alike; else 0
    // Of an only worker that other threads feed: it looked for a moment before it slept, and work
    // came.
    uint64_t sleeps_spared;
} coir_stats;

typedef enum coir_state {
    COIR_RUNNABLE, // in a queue
    COIR_RUNNING,  // on a thread
    COIR_PARKED    // waits
} coir_state;

#define COIR_FRAMES_MAX 32

// One coroutine, as coir_each shows it; gone when the callback returns.
typedef struct coir_coroutine_info {
    size_t size; // of this struct as the library knows it
    uint64_t id;
    const char *name; // "" where it has none
    coir_state state;
    const char *waits_on; // PARKED: in words, as "chan recv"; else ""
    const void *object;   // PARKED: what it waits for (a channel, a lock), or NULL
    int fd;               // PARKED: the descriptor that its operation is on; else -1
    int64_t since; // PARKED: since when, on coir_now's clock and a millisecond or a few
                   // dozen turns too early; else 0
    const char *file;     // of its spawn; NULL where coir_spawn made it
    const char *function; // that spawned it; NULL as above
    int line;
    size_t stack_bytes; // usable
    size_t stack_used;  // PARKED: what is in use now; else 0
    int n_frames;       // PARKED: of its backtrace, COIR_FRAMES_MAX at most; else 0
    void *frames[COIR_FRAMES_MAX]; // return addresses, innermost first
    size_t
        stack_most; // high-water mark: the most that was ever in use of this stack, by this
                    // coroutine or by one before it, since its pages were last new
    int pins;       // that it has (coir_pin); with any it keeps its thread
} coir_coroutine_info;

// Takes one coroutine; what it returns other than 0 ends the walk. Runs without any lock of the
// runtime: it may make coir calls.
typedef int coir_each_fn(void *arg, const coir_coroutine_info *info);

#ifdef __cplusplus
static inline coir_stats coir_stats_init_(void)
{
    coir_stats stats = coir_stats();
    stats.size = sizeof(stats);
    return stats;
}
#define COIR_STATS_INIT coir_stats_init_()
#else
#define COIR_STATS_INIT                                                                  \
    {                                                                                    \
        .size = sizeof(struct coir_stats)                                                \
    }
#endif

// Reads the counts. rt may be NULL inside a coroutine. Never waits, any thread.
// 0 | -EINVAL (NULL, .size is 0) | -EPERM (after fork, in the child)
COIR_API int coir_stats_read(coir_runtime *rt, coir_stats *ret_stats);

// Shows every coroutine to fn, in no order. rt may be NULL inside a coroutine. Never parks, any
// thread.
// 0 | what fn returned | -EINVAL (NULL) | -ENOMEM | -EPERM (after fork, in the child)
COIR_API int coir_each(coir_runtime *rt, coir_each_fn *fn, void *arg);

// Writes a line about the runtime and a paragraph for every coroutine to fd: number, name, state,
// what it waits on and since when, where it was spawned, its stack (in use, and the high-water
// mark of it), whether it is pinned, and its backtrace. Functions
// are named as dladdr(3) can name them; where it cannot, module and offset stand for addr2line(1).
// Written by plain write(2): a full pipe blocks the thread. rt may be NULL inside a coroutine; any
// thread.
// 0 | -EINVAL (NULL) | -ENOMEM | -EPERM (after fork, in the child) | what write(2) says
COIR_API int coir_dump(coir_runtime *rt, int fd);

// For libcoir_check.so alone: fn is called on every coroutine that is about to wait.
struct coir_site;
COIR_API void coir_watch_parks_(void (*fn)(uint64_t id, const char *name,
                                           const char *waits_on,
                                           const struct coir_site *site));

#ifdef __cplusplus
}
#endif

#endif
