// SPDX-License-Identifier: MIT
// parker - puts one thread to sleep; a token wakes it.
//
//        unpark              park
//   .------------- EMPTY -----------> ASLEEP
//   |              ^   ^               |   |
//   |   park takes |   '-- deadline ---'   | unpark, wake
//   '--> TOKEN ----'                       |
//          ^   (unpark again: no change)   |
//          '-------------------------------'
//
// A token that comes before the sleep is kept, so no wake is lost. Two tokens count as one, so
// whoever returns from park looks at its reason again.
//
// A parker may live in the frame of the call that waits: the swap in unpark is the last access to
// its memory. The wake that follows names an address only; at worst it wakes a stranger there
// spuriously, which every futex waiter expects.
#pragma once

#include <stdint.h>

#include "base/atomic.h"

struct parker {
    atomic_u32 state; // EMPTY, TOKEN or ASLEEP; zero is EMPTY
};

// Sleeps until a token comes, and takes it. Owner thread only. 0 | -ETIMEDOUT
int parker_park(struct parker *p, int64_t deadline);

// Gives the token. Any thread, never blocks.
void parker_unpark(struct parker *p);
