// SPDX-License-Identifier: MIT
// sim - virtual workers on one thread, and the one door through which chance comes in.
//
//      library source                      simulator
//      load, store, rmw, fence  ------->   a point: maybe another worker runs now
//      os_futex_wait, os_ring_enter ---->  this worker blocks, another runs
//      nobody can run           ------->   the kernel works on; else time goes on; else: dead
//
// Every decision is one byte, from the policy of the seed or from a string that is replayed:
// 0 always means the dull choice (go on, nothing happens, the first). So cutting a string short
// or setting bytes to 0 gives a duller run, which is how a failing one is made small.
//
// D1  Nothing steers a decision but the seed, the string, and what happened before: no address, no
//     real clock, no order of a hash.
// D2  A run leaves nothing behind: the library's data is put back, the arena is emptied.
// D3  At every point exactly one worker runs; where it stands (thread's stack or coroutine's) is
//     its own affair.
#pragma once

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch/context.h"
#include "base/atomic.h"
#include "base/rand.h"

#define SIM_THREADS 24u // of one run, at once
#define SIM_BUFFER 8u   // stores that a worker may have under way
#define SIM_CHOICES_MAX (1u << 20)
#define SIM_POINTS_MAX 400000u // a run that takes more hangs
#define SIM_START_NS INT64_C(1000000000000)

// What a worker waits for; the numbers are only names.
enum sim_wait {
    SIM_FREE, // no worker here
    SIM_RUNS,
    SIM_FUTEX,
    SIM_SLEEP,
    SIM_JOIN,
    SIM_KERNEL, // until something changed in the kernel
    SIM_RING,   // for a completion
    SIM_HOG,    // computes; outside the runtime
    SIM_NAP,    // blocks; outside the runtime
    SIM_ENDED   // not yet joined
};

struct sim_store {
    void *word;
    uint64_t value;
    uint32_t bytes;
    uint32_t born; // the point at which it was made
};

struct sim_thread {
    struct context context;
    void *low_mark; // of the context
    enum sim_wait wait;
    const void *word; // of the futex
    int64_t deadline; // INT64_MAX: none
    bool timed_out;
    bool detached;
    uint32_t priority; // PCT
    void (*fn)(void *);
    void *arg;
    char name[16];
    // What os_self, os_errno, os_lock_ranks, os_scratch and os_area give.
    void *self;
    const int64_t *clock; // of os_clock_set
    int err;
    uint64_t ranks;
    alignas(16) unsigned char scratch[320];
    alignas(16) unsigned char area[64];
    // Its stores that memory does not show yet, the oldest first.
    uint32_t n_stores;
    struct sim_store stores[SIM_BUFFER];
};

enum sim_policy { POLICY_UNIFORM, POLICY_PCT, POLICY_STARVE, POLICY_ROUND, POLICY_COUNT };

struct sim {
    // Of the run.
    uint64_t seed;
    enum sim_policy policy;
    bool replays;
    bool buffered;         // stores are delayed
    bool spurious;         // futexes wake for nothing
    bool jumps;            // the clock leaps past a deadline now and then
    bool reuses;           // freed memory is handed out again at once
    uint32_t allocs_fail;  // 0: never; else one allocation of so many fails
    uint32_t threads_fail; // the same for thread starts
    uint32_t ring_mode;    // 0: DEFER_TASKRUN, 1: COOP_TASKRUN, 2: neither
    uint32_t kept_blocks;  // allocations that are the process's and may stay
    bool fresh_numbers;    // a descriptor's number is not used twice
    bool whole_transfers;  // no transfer is cut short
    bool keeps_fences;     // no filter comes that takes heavy fences back ...
    bool refuses_fences;   // ... one has come
    uint32_t often;        // mask: a switch at one point of so many
    uint32_t drain;        // of 64: how readily a buffered store becomes visible
    uint32_t maybes;       // which sites of maybe() are armed
    struct rand chance;    // the policy's
    int64_t now;
    uint64_t hash;
    uint32_t points, switches;
    uint32_t discards;   // pieces of mappings that went back to the kernel
    uint32_t run_length; // points since the last switch
    uint32_t starved, starved_until;

    // Workers.
    uint32_t current;
    uint32_t runnable, pending; // bits: may run; has stores under way
    uint32_t n_alive;
    bool active;       // false: verbs are plain accesses
    bool kernel_works; // the kernel may have something to finish
    uint32_t next_priority;
    struct sim_thread threads[SIM_THREADS];

    // The decisions: of this run, or to be replayed.
    uint8_t *choices;
    uint32_t n_choices, n_given;
    const uint8_t *given;

    // How it ended.
    bool failed;
    bool traces; // kept from run to run
    char failure[512];
};

extern struct sim sim;

// One run from a seed; 'given' replays. False: it failed, see sim.failure.
bool sim_run(uint64_t seed, const uint8_t *given, uint32_t n_given, void (*fn)(void));

// Ends the run: what it shows is a bug.
_Noreturn void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define sim_expect(claim)                                                                \
    ((claim) ? (void)0 : sim_fail("%s:%d: %s", __FILE__, __LINE__, #claim))
#define sim_expect_eq(is, wanted)                                                        \
    do {                                                                                 \
        long long is_ = (long long)(is), wanted_ = (long long)(wanted);                  \
        if (is_ != wanted_)                                                              \
            sim_fail("%s:%d: %s is %lld, wanted %lld", __FILE__, __LINE__, #is, is_,     \
                     wanted_);                                                           \
    } while (0)

// 0 .. n-1, 0 most of the time: what may go wrong does so once in 'rare' times. n <= 256.
uint32_t sim_choose(uint32_t n, uint32_t rare);
// Something happened that the hash should know.
void sim_note(uint32_t what);

// A scheduling point of kind 'what'.
void sim_step(uint32_t what);

struct sim_thread *sim_self(void);
// Starts a worker. Its number | -EAGAIN
int sim_thread_start(void (*fn)(void *), void *arg, const char *name);
// The current worker blocks until sim_wake or the deadline. True: woken, false: deadline.
bool sim_block(enum sim_wait why, const void *word, int64_t deadline);
void sim_wake(uint32_t thread);
// The deadline passed, and it was one: what -ETIMEDOUT claims.
#define sim_expect_late(deadline)                                                        \
    sim_expect((deadline) != INT64_MAX && os_now() >= (deadline))
// The current worker computes for so long, without a point.
void sim_hog(int64_t ns);
// The current worker sleeps in foreign code for so long.
void sim_nap(int64_t ns);
// Makes the current worker's stores visible; all workers'.
void sim_drain(void);
void sim_drain_all(void);
void sim_drain_thread(uint32_t thread);

// ---- The other files ------------------------------------------------------------------

void memory_reset(void);
// Drops stores under way into memory that goes away.
void sim_forget_stores(const void *p, size_t bytes);
// What is left over, in words; NULL: nothing.
const char *memory_leftover(void);
const char *kernel_leftover(void);
void kernel_reset(void);
// Finishes one thing that the kernel has under way. False: there is nothing.
bool kernel_step(void);

// What must hold when no worker can run (tests/model/oracle.c).
void oracle_idle(void);
