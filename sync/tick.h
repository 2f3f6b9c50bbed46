// SPDX-License-Identifier: MIT
// tick - a due time that becomes a value when somebody looks: a timer without a thread of control.
//
//     due:     |---------------|---------------|---------------|      every 'period'
//     look:         no              yes: value is the first one not taken,
//                                   and the next one is the first still to come
//
// K1  What is due and not taken is one value, as in a channel of capacity one whose writer drops
//     what does not fit.
// K2  Changing {due, period} takes back what was due: there is no old value anywhere.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

struct tick {
    int64_t due;    // CLOCK_NEVER: not armed
    int64_t period; // 0: once
};

// The first time on t's grid that is later than 'now'; saturates.
static inline int64_t tick_next(const struct tick *t, int64_t now)
{
    int64_t missed, next;

    if (t->period == 0) return CLOCK_NEVER;
    missed = (now - t->due) / t->period;
    if (__builtin_mul_overflow(missed + 1, t->period, &next) ||
        __builtin_add_overflow(t->due, next, &next))
        return CLOCK_NEVER;
    return next;
}

// Takes the value that is due. False: there is none yet. Reads the clock if t is armed.
static inline bool tick_take(struct tick *t, int64_t *ret_due)
{
    int64_t now;

    if (t->due == CLOCK_NEVER || t->due > (now = clock_now())) return false;
    *ret_due = t->due;
    t->due = tick_next(t, now);
    return true;
}

static inline bool tick_is_due(const struct tick *t)
{
    return t->due != CLOCK_NEVER && t->due <= clock_now();
}
