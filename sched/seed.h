// SPDX-License-Identifier: MIT
// seed - a run that can be repeated: one worker, and all that chance decides comes from a number.
//
//     find_seeded (find.c)
//       timers that are due       by a clock of the run's own
//       every queue is emptied into the pool
//       one of the pool, drawn    runs; the clock moves by SEED_RUN_NS
//       none                      the clock jumps to the earliest timer
//       no timer                  sleeps: only a thread of the host's can go on
//
// R1  What is drawn: who runs next among all that can; after how many calls that may wait the one
//     that runs lets others come first (its budget, which elsewhere is G_TICKS); where a select
//     begins to look. So timers that are due at one time end in any order too.
//     Calls that may not wait are not charged, as a pthread lock may be held over one; but who
//     makes SEED_TRIES of them in vain in one turn polls, and lets others come first.
// R2  Nothing else decides: no thread beside the worker (no sysmon, no helpers, no spares), no
//     operation of the kernel's (-ENOTSUP), no real clock on the worker.
// R3  The hash covers every draw, the time at which it was made, and what the one drawn had waited
//     for. Two runs with one hash have scheduled alike; addresses and ids are not in it.
//
// What the hash does not cover is what the program does between two waits, and what it does with
// threads of its own: those come when they like.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/rand.h"

struct g;
struct memory;

#define SEED_START_NS INT64_C(1000000000) // what the clock says at the start
#define SEED_RUN_NS 1000                  // what a turn takes
#define SEED_LOOK_NS 100                  // what a look at the clock takes
#define SEED_CALLS 6u  // at most so many calls that may wait before others come first
#define SEED_TRIES 16u // so many calls in vain that may not wait, and others come first

struct seeded {
    // The worker's.
    struct rand rand;
    int64_t clock;
    struct g **pool; // runnable, in no queue
    uint32_t n, room;
    uint32_t tries; // in vain, of who runs, in this turn

    // Constant.
    const struct memory *memory;

    // Atomic: the worker's, read by anybody.
    atomic_u64 events, hash;
};

struct sched;

// 0 | -ENOMEM
int seed_open(const struct memory *memory, uint64_t seed, struct seeded **ret_run);
void seed_close(struct seeded *run); // NULL is allowed

// Makes room for one more. False: there is none, draw first.
bool seed_has_room(struct seeded *run);
void seed_add(struct seeded *run, struct g *g);
// One of the pool, with its budget and the chance of its selects, or NULL.
struct g *seed_draw(struct seeded *run);
// Nothing can run before 'when'.
void seed_jump(struct seeded *run, int64_t when);

// How many seeded runs there are in the process: calls that may wait look at it.
extern atomic_u32 seed_runs;
// The running coroutine of a seeded run lets others come first when its calls are used up.
void seed_call(void);
// It asked in vain, and may not wait.
void seed_try(void);
// It looks at the clock.
void seed_look(void);
