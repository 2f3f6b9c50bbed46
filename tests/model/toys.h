// SPDX-License-Identifier: MIT
// toys - small protocols with known answers: they prove the simulator before it proves anything.
#pragma once

void toy_dekker(void);          // store, full fence, look: one of the two sees the other
void toy_dekker_unfenced(void); // the same without fences: must be found
void toy_parker(void);          // base/parker.c: no token is lost
void toy_torn_wait(void);       // a sleeper that looks before it announces: must be found
void toy_lock(void);            // base/lock.c: never two inside
void toy_bias(void);            // base/bias.c: the same, one of them being its thread
void toy_hold(void);  // sched/p.c: inside a P is one, though another takes it from him
void toy_runq(void);  // sched/runq.c: an owner and two thieves
void toy_fresh(void); // sched/fresh.c: the same, the owner at the other end
void toy_clock(void); // deadlines are never early, and pass in their order
