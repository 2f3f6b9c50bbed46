// SPDX-License-Identifier: MIT
// panic - three words for a claim: must (always), check (debug builds), panic (the end).
//
// A failed must or a panic means that the runtime itself is corrupt. It writes one line to
// descriptor 2, calls the dump hook if one is set, and aborts. Nothing else in the library
// prints or aborts. Bad values from outside are never asserted: they return -EINVAL.
#pragma once

#include <stdbool.h>

// Writes "coir: file:line: what" and aborts. Any thread; takes no lock and allocates nothing.
_Noreturn void panic_at(const char *file, int line, const char *what);

// Sets what is called before the abort (a floor above base prints coroutines there). The hook
// must not lock or allocate. NULL takes it away.
void panic_set_dump(void (*dump)(void));

#define panic(what) panic_at(__FILE__, __LINE__, what)
#define must(claim)                                                                      \
    do {                                                                                 \
        if (__builtin_expect(!(claim), 0)) panic_at(__FILE__, __LINE__, #claim);         \
    } while (0)

#if defined(COIR_DEBUG) || defined(COIR_MODEL)
#define check(claim) must(claim)
#else
#define check(claim)                                                                     \
    do {                                                                                 \
        if (0) (void)(claim);                                                            \
    } while (0)
#endif
