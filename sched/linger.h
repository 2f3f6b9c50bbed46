// SPDX-License-Identifier: MIT
// linger - the only worker of a runtime that is fed from outside looks a while before it sleeps.
//
//     woken for work from outside, twice within FED_NS --> fed
//     fed, and nothing to run: looks for LINGER_NS     --> more came: fed still, and no sleep
//                                                      --> nothing: sleeps, and so do the next
//                                                          1, 3, 7 ... 127 times without a look
//
// To be woken costs the thread that hands something over a system call, and both of them the
// kernel's way to a processor that sleeps. To all others a worker that looks has not gone to sleep
// yet: it announced nothing, so nothing of W1 to W3 (idle.h) changes. Where there are more workers,
// those that look at the others' queues are awake for as long (docs/adr/0083).
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct m;

// m, which has a P and found nothing, is about to sleep. True: look again first.
bool linger(struct m *m);

// A sleep of m, which has its P again, is over, about 'since' after its last one was.
void linger_note(struct m *m, int64_t since);
