// SPDX-License-Identifier: MIT
// fault - makes the n-th call over the seam fail, so that every error path is walked once.
//
//     fault_set(FAULT_ALLOC, 3, false)     the third allocation from now on fails, once
//     fault_set(FAULT_ALLOC, 3, true)      and all that follow it
//     fault_set(FAULT_ALLOC, 0, false)     none does
//
// In debug builds only: elsewhere fault_here is false at compile time. A test links the library's
// internals and sets what shall fail; nothing else does.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum fault_kind {
    FAULT_ALLOC,  // os_alloc
    FAULT_MAP,    // os_map
    FAULT_GUARD,  // a guard that is made, of either kind
    FAULT_LIGHT,  // the kernel has no light guards
    FAULT_THREAD, // os_thread_start
    FAULT_RING,   // os_ring_open
    FAULT_FD,     // eventfd, epoll, socket, accept: a descriptor
    FAULT_COUNT
};

#if defined(COIR_DEBUG) && !defined(COIR_MODEL)
// True if this call is to fail. Any thread.
bool fault_here(enum fault_kind what);
// Any thread, while no call of that kind is under way.
void fault_set(enum fault_kind what, uint32_t n, bool and_after);
// How many calls failed since.
uint32_t fault_fired(enum fault_kind what);
#else
static inline bool fault_here(enum fault_kind what)
{
    (void)what;
    return false;
}
#endif
