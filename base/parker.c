// SPDX-License-Identifier: MIT
#include "base/parker.h"

#include <errno.h>

#include "base/panic.h"
#include "base/platform.h"

enum { EMPTY, TOKEN, ASLEEP };

int parker_park(struct parker *p, int64_t deadline)
{
    uint32_t was = EMPTY;

    // relaxed: nothing is read on its strength
    if (cas_relaxed(&p->state, &was, ASLEEP)) {
        int err = 0;
        while (err != -ETIMEDOUT && load_relaxed(&p->state) == ASLEEP) // relaxed: a hint
            err = os_futex_wait(&p->state, ASLEEP, deadline);
    } else {
        must(was == TOKEN); // ASLEEP would be a second sleeper
    }

    // [PARK-TAKE] acquire, pairs with [PARK-GIVE]: we see what the waker wrote. A swap and not a
    // store: a second token that lands just now must be read too.
    return swap_acquire(&p->state, EMPTY) == TOKEN ? 0 : -ETIMEDOUT;
}

void parker_unpark(struct parker *p)
{
    // [PARK-GIVE] release, pairs with [PARK-TAKE].
    if (swap_release(&p->state, TOKEN) == ASLEEP) os_futex_wake(&p->state, 1);
}
