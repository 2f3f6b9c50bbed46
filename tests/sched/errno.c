// SPDX-License-Identifier: MIT
// errno is a coroutine's own over switches and migrations, also where a compiler sees everything.
// Method: coroutines on four workers set errno to their number, wait in every way that may move
// them, and look. The library's sources may be part of the same link (errno.sh, -O3 -flto).
#include <coir/go.h>
#include <errno.h>
#include <pthread.h>

#include "tests/lib/test.h"

enum { COROUTINES = 64, TURNS = 400 };

static coir_mutex mutex;
static coir_chan *chan;
static long moves;

// errno's address must be asked for anew after a wait: see docs/locals.md.
__attribute__((noinline)) static void set(int value)
{
    errno = value;
    __asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) static int get(void)
{
    __asm__ volatile("" ::: "memory");
    return errno;
}

__attribute__((noinline)) static pthread_t thread(void)
{
    __asm__ volatile("" ::: "memory");
    return pthread_self();
}

static void wait_somehow(int how)
{
    int v = how;

    switch (how % 4) {
    case 0: coir_yield(); break;
    case 1: coir_sleep(COIR_US); break;
    case 2:
        if (coir_mutex_lock(&mutex, COIR_FOREVER) == 0) {
            coir_yield();
            coir_mutex_unlock(&mutex);
        }
        break;
    case 3:
        expect_eq(coir_chan_send(chan, &v, COIR_FOREVER), 0);
        expect_eq(coir_chan_recv(chan, &v, COIR_FOREVER), 0);
        break;
    }
}

static void keeps(int number)
{
    for (int i = 0; i < TURNS; i++) {
        pthread_t before = thread();

        set(number);
        wait_somehow(number + i);
        expect_eq(get(), number);
        if (!pthread_equal(before, thread()))
            __atomic_add_fetch(&moves, 1, __ATOMIC_RELAXED);
    }
}

static int all_keep(void *arg)
{
    coir_scope s;

    (void)arg;
    expect_eq(coir_chan_make(sizeof(int), COROUTINES, &chan), 0);
    expect_eq(coir_scope_open(&s, COIR_FOREVER), 0);
    for (int i = 1; i <= COROUTINES; i++) expect_eq(coir_scope_go(&s, keeps, i), 0);
    int err = coir_scope_wait(&s);
    coir_chan_unref(chan);
    return err;
}

int main(void)
{
    coir_config config = COIR_CONFIG_INIT;

    config.workers = 4;
    expect_eq(coir_run(&config, all_keep, NULL), 0);
    printf("errno: %ld times on another thread\n", moves);
    return 0;
}
