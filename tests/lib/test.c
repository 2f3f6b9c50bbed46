// SPDX-License-Identifier: MIT
// test - see test.h.
//
// The watchdog is a POSIX timer that sends a signal, not a thread: tests count threads, and a
// runtime that looks for "nothing can ever run again" must not find one of ours. Its signal is
// SIGALRM with a handler that writes one sentence. ThreadSanitizer holds handlers back until the
// next library call, which a hung program never makes, so there the kernel's default action ends
// the process and the harness only sees the signal's name.
#include "tests/lib/test.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static timer_t watchdog;
static unsigned watchdog_seconds;

void test_fail_at(const char *file, int line, const char *what)
{
    fflush(stdout);
    fprintf(stderr, "%s:%d: expected: %s\n", file, line, what);
    abort();
}

void test_fail_eq_at(const char *file, int line, const char *what, intmax_t is,
                     intmax_t wanted)
{
    fflush(stdout);
    fprintf(stderr, "%s:%d: expected: %s: it is %jd, not %jd\n", file, line, what, is,
            wanted);
    abort();
}

void test_nap_at(const char *file, int line, const char *what, unsigned naps)
{
    usleep(10000);
    if (naps == 1000) fprintf(stderr, "%s:%d: waits for: %s\n", file, line, what);
}

void test_skip(const char *why)
{
    printf("skipped: %s\n", why);
    fflush(stdout);
    _exit(77);
}

uint64_t test_seed(void)
{
    static uint64_t seed;
    const char *given = getenv("COIR_SEED");
    struct timespec now;

    if (seed) return seed;
    clock_gettime(CLOCK_REALTIME, &now);
    seed = given ? strtoull(given, NULL, 0)
                 : (uint64_t)now.tv_nsec * 2654435761u + (uint64_t)getpid();
    if (!seed) seed = 1;
    printf("COIR_SEED=%llu\n", (unsigned long long)seed);
    fflush(stdout);
    return seed;
}

unsigned test_slowness(void)
{
#if defined(COIR_ASAN) || defined(COIR_TSAN)
    return 5;
#else
    return getenv("COIR_TEST_SLOWNESS") ? (unsigned)atoi(getenv("COIR_TEST_SLOWNESS"))
                                        : 1;
#endif
}

#ifndef COIR_TSAN
static void say(const char *s)
{
    ssize_t ignored = write(2, s, strlen(s));
    (void)ignored;
}

static void hung(int sig)
{
    char digits[12];
    int i = sizeof(digits);
    unsigned n = watchdog_seconds;

    (void)sig;
    digits[--i] = '\0';
    do digits[--i] = (char)('0' + n % 10);
    while (n /= 10);
    say("watchdog: this test hangs, it did not end within ");
    say(digits + i);
    say(" s\n");
    abort();
}
#endif

// Again in a child of fork: timers are not inherited.
void test_watchdog(unsigned seconds)
{
    static pid_t owner;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};

    if (owner != getpid() && timer_create(CLOCK_MONOTONIC, &event, &watchdog)) {
        perror("watchdog: timer_create");
        abort();
    }
    owner = getpid();
    watchdog_seconds = seconds * test_slowness();
    timer_settime(watchdog, 0,
                  &(struct itimerspec){.it_value.tv_sec = (time_t)watchdog_seconds},
                  NULL);
}

__attribute__((constructor)) static void start_watchdog(void)
{
    const char *given = getenv("COIR_TEST_SECONDS");

#ifndef COIR_TSAN
    struct sigaction act = {.sa_handler = hung};
    sigaction(SIGALRM, &act, NULL);
#endif
    test_watchdog(given ? (unsigned)atoi(given) : 60);
}
