// SPDX-License-Identifier: MIT
// hosted - a scheduler without threads: its one M is whatever thread takes the turns.
//
//     host's thread                         M and its P
//     polls the descriptor          P idle, M asleep: others push into the global queue, take P
//     readable, or the deadline     for M and break its sleep, as they do with any worker
//     hosted_turn             ----> come back with P; look at kernel and clock; run what is queued;
//                                   submit; look once more, a few rounds
//                             <---- lie down, full fence, look for work: some is left? say so
//
// So a turn is what lies between two sleeps of a worker, and the host's poll is the sleep: every
// rule of idle.h holds as it stands, and nobody who pushes, wakes or cancels knows a difference.
//
// N1  Only the thread of the turns touches M and P, and between turns os_self() is the host's own.
// N2  What runs in a turn begins on M's own stack, so that a budget can be counted: no switch goes
//     from coroutine to coroutine (m.h, detours).
// N3  The kernel is looked at a few times in a turn, however much it has: a host's own timers wait
//     for a batch, never for the end of a load.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct m;
struct sched;

// The M, its poller, and its first sleep. sched_start only. 0 | -ENOMEM | what poller_open says
int hosted_start(struct sched *s);
// The calling thread takes the turns from now on. 0 | -errno: it does not
int hosted_adopt(struct sched *s);

// Runs at most 'most' coroutines, 0: all, which a bound ends that only who yields for ever meets.
// Its thread, on no coroutine of s. True: there is more to do.
bool hosted_turn(struct sched *s, uint32_t most);
// When the next turn is due. Its thread.
int64_t hosted_deadline(struct sched *s);
// Readable when a turn is due earlier. Any thread.
int hosted_fd(struct sched *s);
// Takes turns of all that are this thread's until 'parker' has its token, and takes that.
struct parker;
void hosted_turn_until(struct parker *parker);
// In the child of a fork this thread takes no turns any more.
void hosted_forked(void);
// The end of the runtime, on its thread.
void hosted_fini(struct sched *s);

// Turns until no coroutine is left, or the deadline; one turn at least. 0 | -ETIMEDOUT
int hosted_drain(struct sched *s, int64_t deadline);
