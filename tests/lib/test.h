// SPDX-License-Identifier: MIT
// test - what every test binary needs: a claim that ends the process, a seed, a watchdog.
//
//     expect(x)       works on any stack: on a coroutine, where Criterion's asserts may not run
//     test_seed()     printed at first use; COIR_SEED=... replays
//     the watchdog    is started before main in every binary that links this library: a test that
//                     hangs ends with a sentence, not with a silent time-out of its caller
//
// Plain programs exit with 0 (passed), 1 or a signal (failed), 77 (skipped, with the reason).
#pragma once

#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

// Prints "file:line: what" and aborts. Any stack, any thread.
__attribute__((noreturn)) void test_fail_at(const char *file, int line, const char *what);
__attribute__((noreturn)) void test_fail_eq_at(const char *file, int line,
                                               const char *what, intmax_t is,
                                               intmax_t wanted);

#define expect(claim) ((claim) ? (void)0 : test_fail_at(__FILE__, __LINE__, #claim))

// Compares two integers and prints both.
#define expect_eq(is, wanted)                                                            \
    do {                                                                                 \
        intmax_t test_is_ = (intmax_t)(is), test_wanted_ = (intmax_t)(wanted);           \
        if (test_is_ != test_wanted_)                                                    \
            test_fail_eq_at(__FILE__, __LINE__, #is " == " #wanted, test_is_,            \
                            test_wanted_);                                               \
    } while (0)

// Waits for a claim about the process that comes true by itself: the kernel lists a thread a moment
// longer than whoever joined it waits. That it never does is a hang, which the watchdog ends; after
// ten seconds the claim is printed. Ordinary threads.
#define expect_soon(claim)                                                               \
    do {                                                                                 \
        for (unsigned test_naps_ = 0; !(claim);)                                         \
            test_nap_at(__FILE__, __LINE__, #claim, ++test_naps_);                       \
    } while (0)
void test_nap_at(const char *file, int line, const char *what, unsigned naps);

// Says why and exits with 77: the place this runs in lacks something.
__attribute__((noreturn)) void test_skip(const char *why);

// COIR_SEED, or a fresh number; printed once.
uint64_t test_seed(void);

// Gives the process so many seconds from now (COIR_TEST_SECONDS at the start, else 60); 0 ends
// the watch. Under a sanitizer the time is taken five times.
void test_watchdog(unsigned seconds);

// 1, or what a sanitizer or valgrind makes of it: how much longer things may take here.
unsigned test_slowness(void);

#ifdef __cplusplus
}
#endif
