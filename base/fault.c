// SPDX-License-Identifier: MIT
#include "base/fault.h"

#if defined(COIR_DEBUG) && !defined(COIR_MODEL)

#include "base/atomic.h"

static atomic_u32
    until[FAULT_COUNT]; // calls until one fails, that one counted; 0: none does
static atomic_u32 lasting[FAULT_COUNT];
static atomic_u32 fired[FAULT_COUNT];

void fault_set(enum fault_kind what, uint32_t n, bool and_after)
{
    // relaxed, both: a test's, between calls
    store_relaxed(&lasting[what], and_after);
    store_relaxed(&fired[what], 0); // relaxed: as above
    store_relaxed(&until[what], n);
}

bool fault_here(enum fault_kind what)
{
    uint32_t n =
        load_relaxed(&until[what]); // relaxed, all: a count, nothing is read by it

    while (n > 0) {
        uint32_t next = n == 1 && load_relaxed(&lasting[what]) ? 1 : n - 1;
        if (!cas_relaxed(&until[what], &n, next)) continue;
        if (n == 1) add_relaxed(&fired[what], 1);
        return n == 1;
    }
    return false;
}

uint32_t fault_fired(enum fault_kind what)
{
    return load_relaxed(&fired[what]); // relaxed: a count
}

#endif
