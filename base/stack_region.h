// SPDX-License-Identifier: MIT
// stack_region - a mapping of many slots, and which of them the kernel has the pages of.
//
//     slots   [ used, on a list or a coroutine's | used, gone | used | ... | new .......... ]
//                                                   bit set           n_used          n_slots
//
// Shared by stack.c (slots on their way out) and stack_decay.c (pages on their way back).
#pragma once

#include <stdint.h>

#include "base/panic.h"

struct stack_region {
    // Constant.
    struct stack_region *older;
    char *base;
    size_t bytes;
    size_t own_bytes; // of this struct
    uint32_t n_slots;
    uint32_t first_index; // of slot 0

    // Guarded by the depot's lock.
    uint32_t n_used; // slots from 0 on that have or had a guard
    uint32_t n_gone; // bits set in 'gone'
    uint64_t gone[]; // a bit a slot
};

// A gone slot, which is gone no more. There is one.
static inline uint32_t region_take_gone(struct stack_region *r)
{
    uint32_t i = 0;

    check(r->n_gone > 0);
    while (!r->gone[i]) i++;
    uint32_t bit = (uint32_t)__builtin_ctzll(r->gone[i]);
    r->gone[i] &= r->gone[i] - 1;
    r->n_gone--;
    return i * 64 + bit;
}

static inline void region_put_gone(struct stack_region *r, uint32_t slot)
{
    check(!(r->gone[slot / 64] >> (slot % 64) & 1));
    r->gone[slot / 64] |= UINT64_C(1) << (slot % 64);
    r->n_gone++;
}
