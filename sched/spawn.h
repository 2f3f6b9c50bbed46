// SPDX-License-Identifier: MIT
// spawn - makes a coroutine, and takes it apart when it has ended.
//
//     a stack (the P's own, the depot's) --> its descriptor filled --> born, RUNNABLE, queued
//     the stack goes back <-- DEAD, out of the timers <-- its successor
//
// On a worker all of this touches only what is the P's and the new coroutine's; from elsewhere the
// depot and the global queue, which have locks.
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct arch_call;
struct coir_site;
struct g;
struct m;
struct sched;

// How a coroutine is made.
struct spawn {
    const struct arch_call *call;
    bool only_ints; // nothing of call but the integer registers counts
    void (*fn)(void);
    const struct coir_site *site;
    const char *name;   // NULL: none; copied
    size_t stack_bytes; // 0: the default
    bool pinned;        // starts with a pin (pin.h)
    // Called, if not NULL, with the new coroutine before anybody can see it.
    void (*born)(void *arg, struct g *g);
    void *born_arg;
    const char *why; // written, and read where it is -EAGAIN: which limit, in words
};

#define SPAWN_TOO_MANY "as many coroutines live as coroutines_max allows"

// Makes a coroutine and queues it. Any thread; m: the M it is, or NULL.
// 0 | -ENOMEM | -EAGAIN | -ECANCELED (stopping)
int sched_spawn(struct sched *s, struct m *m, struct spawn *how);

// The same on a coroutine of m's, for m's runtime, with the call that m captured, and nothing else
// asked for: what most spawns are, in half the instructions.
int spawn_plain(struct m *m, void (*fn)(void), bool only_ints,
                const struct coir_site *site, void (*born)(void *arg, struct g *g),
                void *born_arg);

// g ended and left its stack for good. Its successor, on m.
void spawn_release(struct m *m, struct g *g);
