// SPDX-License-Identifier: MIT
#include "base/bias.h"

#include "base/clock.h"
#include "base/panic.h"
#include "base/platform.h"

#define NAP_NS 20000 // its thread was stopped by the kernel inside a section

void bias_take_away(struct bias *b)
{
    store_relaxed(&b->taken, 1); // relaxed: the fence follows
    // [BIAS-TAKE] heavy, pairs with [BIAS-IN]: taken is stored, now look at inside (B1).
    must(os_fence_heavy());

    // [BIAS-GONE] acquire, pairs with [BIAS-OUT]: what was done inside is seen here.
    while (load_acquire(&b->inside)) os_sleep_until(clock_after(NAP_NS));
}
