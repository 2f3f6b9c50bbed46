// SPDX-License-Identifier: MIT
// clock - deadlines: nanoseconds of CLOCK_MONOTONIC, with two values that are not times.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/platform.h"

#define CLOCK_NEVER INT64_MAX   // COIR_FOREVER
#define CLOCK_PAST ((int64_t)0) // COIR_NOW: a deadline that has always passed

// A system call and a clock read: not on the switch path (29 ns).
static inline int64_t clock_now(void)
{
    return os_now();
}

// A count that grows some times in a nanosecond: for deciding whether something took long, not
// for how long (12 ns).
static inline int64_t clock_cycles(void)
{
#if defined(__x86_64__) && !defined(COIR_MODEL)
    return (int64_t)__builtin_ia32_rdtsc();
#else
    return clock_now() * 3;
#endif
}

// now + ns, held between CLOCK_PAST and CLOCK_NEVER.
static inline int64_t clock_after(int64_t ns)
{
    int64_t when;

    if (ns <= 0) return CLOCK_PAST;
    return __builtin_add_overflow(clock_now(), ns, &when) ? CLOCK_NEVER : when;
}
