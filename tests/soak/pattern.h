// SPDX-License-Identifier: MIT
// pattern - byte k of connection c, so that either side knows every byte without being told.
//
// splitmix64 of c and k / 8; a byte that belongs to another connection, another place or another
// time does not fit (1 in 256 does, a run of them does not).
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t pattern_word(uint64_t c, uint64_t word)
{
    uint64_t x = c * 0x9e3779b97f4a7c15u + word + 1;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static inline uint8_t pattern_byte(uint64_t c, uint64_t k)
{
    return (uint8_t)(pattern_word(c, k / 8) >> (k % 8 * 8));
}

static inline void pattern_fill(uint64_t c, uint64_t k, uint8_t *ret_bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) ret_bytes[i] = pattern_byte(c, k + i);
}

// The first place in bytes[0 .. n) that is not byte k, k + 1 ... of c; n if all are right.
static inline size_t pattern_check(uint64_t c, uint64_t k, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != pattern_byte(c, k + i)) return i;
    return n;
}
