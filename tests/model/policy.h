// SPDX-License-Identifier: MIT
// policy - how a seed chooses, when no string says what to do.
//
//     uniform   at one point of so many, anybody
//     PCT       the runnable worker of the highest priority; a few changes at random points
//               (Burckhardt, Kothari, Musuvathi, Nagarakatte, "A randomized scheduler with
//               probabilistic guarantees of finding bugs", ASPLOS 2010)
//     starve    some workers get nothing for a while, as rr's chaos mode does
//     round     everybody in turn, so many points each
//
// Chance is asked for in a fixed order, so the seed alone decides.
#pragma once

#include <stdint.h>

// What could happen at a point beside going on.
struct options {
    uint32_t others, stores, kernel, sleepers; // how many of each
};

void policy_init(uint64_t seed);
// 0 or 1 + the index of an option; 'others' are the bits of the workers that may run.
uint32_t policy_choose(const struct options *o, uint32_t others);
// Who of n runs when the current worker cannot.
uint32_t policy_successor(uint32_t n);
