// SPDX-License-Identifier: MIT
// peek - reads words that others may be writing; who calls it finds out whether they were.
//
// A look from outside at what is nobody's shared word: a descriptor, a stack that does not run. The
// sanitizers are kept out of it: to them any such read is a race, and a stack's frames have marks.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __clang__
#define UNINSTRUMENTED __attribute__((noinline, disable_sanitizer_instrumentation))
#else
#define UNINSTRUMENTED __attribute__((noinline, no_sanitize("address", "thread")))
#endif

// Copies whole words; both addresses are aligned.
__attribute__((unused)) UNINSTRUMENTED static void peek(void *to, const void *from,
                                                        size_t bytes)
{
    uint64_t *t = to;
    const volatile uint64_t *f = from;

    for (size_t i = 0; i < bytes / sizeof(*t); i++) t[i] = f[i];
}
