// SPDX-License-Identifier: MIT
// rand - a small generator per owner, for scheduling choices only (never for secrets).
//
// xorshift64* (Vigna 2016, "An experimental exploration of Marsaglia's xorshift generators,
// scrambled"). One owner each: no order, no sharing.
#pragma once

#include <stdint.h>

struct rand {
    uint64_t state;
};

static inline void rand_init(struct rand *r, uint64_t seed)
{
    r->state = seed ? seed : 0x9e3779b97f4a7c15u; // a zero state would stay zero
}

static inline uint32_t rand_next(struct rand *r)
{
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return (uint32_t)((r->state * 0x2545f4914f6cdd1du) >> 32);
}

// 0 <= result < n (Lemire's multiply; the bias below 2^32 does not matter here). n > 0.
static inline uint32_t rand_below(struct rand *r, uint32_t n)
{
    return (uint32_t)(((uint64_t)rand_next(r) * n) >> 32);
}
