// SPDX-License-Identifier: MIT
// Goal:   coir_blocking: many at once, in order, bounded, re-used, gone after the stop; no cancel
//         and no deadline interrupts it; what a descriptor cannot say is done by a helper.
// Method: calls that sleep; threads are counted in /proc.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/io/everywhere.h"

static int threads(void)
{
    return count_in("/proc/self/task");
}

static coir_waitgroup group;
static atomic_int running, most;

static void sleeps(void *arg)
{
    int now = atomic_fetch_add(&running, 1) + 1;

    for (int was = most; was < now && !atomic_compare_exchange_weak(&most, &was, now);)
        continue;
    usleep(*(useconds_t *)arg);
    atomic_fetch_sub(&running, 1);
}

static void calls(useconds_t us)
{
    expect_eq(coir_blocking(sleeps, &us), 0);
    coir_waitgroup_done(&group);
}

static void call_many(int n, useconds_t us)
{
    most = 0;
    coir_waitgroup_add(&group, n);
    for (int i = 0; i < n; i++) expect_eq(go(calls, us), 0);
    expect_eq(coir_waitgroup_wait(&group, COIR_FOREVER), 0);
}

// Leaves when as many are here as 'goal' says: with fewer threads nobody would.
static int goal;

static void meets(void *arg)
{
    (void)arg;
    atomic_fetch_add(&running, 1);
    while (running < goal) usleep(500);
}

static void calls_meets(void)
{
    expect_eq(coir_blocking(meets, NULL), 0);
    coir_waitgroup_done(&group);
}

static void meet(int n)
{
    goal = n;
    running = 0;
    coir_waitgroup_add(&group, n);
    for (int i = 0; i < n; i++) expect_eq(go(calls_meets), 0);
    expect_eq(coir_waitgroup_wait(&group, COIR_FOREVER), 0);
    running = 0;
}

static int at_once(void *arg)
{
    (void)arg;
    meet(100);
    return 0;
}

static int bounded(void *arg)
{
    (void)arg;
    call_many(20, 3000);
    expect_eq(most, 3);
    return 0;
}

static void deep(void *arg)
{
    volatile char large[1 << 20]; // no coroutine has such a stack

    for (size_t i = 0; i < sizeof(large); i += 4096) large[i] = 1;
    *(bool *)arg = true;
}

static void masks(void *arg)
{
    sigset_t now;

    pthread_sigmask(SIG_SETMASK, NULL, &now);
    *(bool *)arg = sigismember(&now, SIGTERM) && sigismember(&now, SIGCHLD);
}

// On a helper, coir's calls work as on a thread.
static void calls_coir(void *arg)
{
    int *fds = arg;
    char byte;

    expect_eq(coir_id(), 0);
    expect_eq(coir_read(fds[0], &byte, 1, coir_after(5 * COIR_SEC)), 1);
    expect_eq(coir_sleep(COIR_MS), 0);
}

static int works(void *arg)
{
    bool done = false;
    int fds[2];

    (void)arg;
    expect_eq(coir_blocking(deep, &done), 0);
    expect(done);
    done = false;
    if (coir_current()) {
        expect_eq(coir_blocking(masks, &done), 0);
        expect(done);
    }
    expect_eq(coir_blocking(NULL, NULL), -EINVAL);
    expect_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    expect_eq(coir_write(fds[1], "x", 1, COIR_FOREVER), 1);
    expect_eq(coir_blocking(calls_coir, fds), 0);
    for (int i = 0; i < 2; i++) expect_eq(coir_close(fds[i]), 0);
    return 0;
}

// Those that are used again are the last ones; who has slept for a second ends.
static int shrinks(void *arg)
{
    (void)arg;
    int before = threads();
    meet(30);
    expect(threads() >= before + 30);
    while (threads() > before + 4) { // workers may have come too
        call_many(1, 1000);          // one helper is kept busy
        expect_eq(coir_sleep(50 * COIR_MS), 0);
    }
    return 0;
}

static int refuses(void *arg)
{
    bool done = false;

    (void)arg;
    expect_eq(coir_blocking(deep, &done), -EAGAIN);
    expect(!done);
    return 0;
}

// ---- Cancel -----------------------------------------------------------------------------------

static void takes_long(void *arg)
{
    usleep(50000);
    *(bool *)arg = true;
}

static void is_not_interrupted(void)
{
    bool done = false;

    expect_eq(coir_blocking(takes_long, &done), 0);
    expect(done);
    expect_eq(coir_yield(), -ECANCELED);
    coir_waitgroup_done(&group);
}

static int leaves_one_blocked(void *arg)
{
    (void)arg;
    coir_waitgroup_add(&group, 1);
    expect_eq(go(is_not_interrupted), 0);
    return coir_sleep(5 * COIR_MS);
}

static void calls_once(atomic_int *done)
{
    useconds_t us = 1000;

    expect_eq(coir_blocking(sleeps, &us), 0);
    *done = 1;
}

// A helper that only sleeps is no survivor.
static void stop_now_waits_for_idle_helpers(void)
{
    coir_config config = COIR_CONFIG_INIT;
    static atomic_int done;
    coir_runtime *rt;

    expect_eq(coir_start(&config, &rt), 0);
    expect_eq(coir_go_on(rt, calls_once, &done), 0);
    while (!done) usleep(1000);
    usleep(20000); // the coroutine ends, the helper sleeps
    expect_eq(coir_stop(rt, COIR_NOW), 0);
}

// ---- A terminal -----------------------------------------------------------------------------

static void types(int master)
{
    coir_sleep(3 * COIR_MS);
    expect_eq(coir_write(master, "ok\n", 3, COIR_FOREVER), 3);
    coir_waitgroup_done(&group);
}

static void reads_until_closed(int fd)
{
    char byte;

    expect_eq(coir_read(fd, &byte, 1, COIR_FOREVER), -EBADF);
    coir_waitgroup_done(&group);
}

// A terminal knows no RWF_NOWAIT and is in blocking mode: nothing of that may be felt.
static int terminals(void *arg)
{
    char line[16];
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

    (void)arg;
    expect(master >= 0);
    expect_eq(grantpt(master), 0);
    expect_eq(unlockpt(master), 0);
    int tty = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    expect(tty >= 0);
    expect_eq(coir_read(tty, line, sizeof(line), COIR_NOW), -ETIMEDOUT);
    int64_t when = coir_after(3 * COIR_MS);
    expect_eq(coir_read(tty, line, sizeof(line), when), -ETIMEDOUT);
    expect(coir_now() >= when);
    coir_waitgroup_add(&group, 1);
    expect_eq(go(types, master), 0);
    expect_eq(coir_read(tty, line, sizeof(line), coir_after(5 * COIR_SEC)), 3);
    expect_eq(memcmp(line, "ok\n", 3), 0);
    expect_eq(coir_waitgroup_wait(&group, COIR_FOREVER), 0);
    expect_eq(coir_write(tty, "out\n", 4, COIR_FOREVER), 4);
    expect(!(fcntl(tty, F_GETFL) & O_NONBLOCK));
    coir_waitgroup_add(&group, 1);
    expect_eq(go(reads_until_closed, tty), 0);
    expect_eq(coir_sleep(3 * COIR_MS), 0);
    expect_eq(coir_close(tty), 0);
    expect_eq(coir_waitgroup_wait(&group, COIR_FOREVER), 0);
    expect_eq(coir_close(master), 0);
    return 0;
}

int main(void)
{
    coir_config config = COIR_CONFIG_INIT;

    expect_eq(coir_run(&config, works, NULL), 0);
    int before = threads(); // a sanitizer's own has started with the first
    on_coroutines("at once", at_once);
    expect_soon(threads() <= before);
    everywhere("works", works);
    config.helpers = 3;
    expect_eq(coir_run(&config, bounded, NULL), 0);
    config.helpers = -1;
    expect_eq(coir_run(&config, refuses, NULL), 0);
    config.helpers = 0;
    expect_soon(threads() <= before);
    expect_eq(coir_run(&config, shrinks, NULL), 0);
    expect_eq(coir_run(&config, leaves_one_blocked, NULL), 0);
    expect_eq(coir_waitgroup_wait(&group, COIR_NOW), 0);
    stop_now_waits_for_idle_helpers();
    on_coroutines("terminals", terminals);
    expect_soon(threads() <= before);
    return 0;
}
