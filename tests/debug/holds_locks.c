// SPDX-License-Identifier: MIT
// holds_locks - coroutines that wait with and without pthread locks; see check_locks.sh.
#include <coir/go.h>

#include <pthread.h>
#include <unistd.h>

#include "tests/lib/test.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t innocent = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_spinlock_t spin;
static coir_waitgroup all;
static int ends[2];

static void careful(void)
{
    for (int i = 0; i < 100; i++) {
        pthread_mutex_lock(&innocent);
        pthread_mutex_unlock(&innocent);
        coir_yield();
        pthread_mutex_lock(&innocent);
        expect_eq(coir_waitgroup_add(&all, 0), 0); // a call that does not wait
        pthread_mutex_unlock(&innocent);
    }
    coir_waitgroup_done(&all);
}

// One worker, so the holder comes back to the thread that locked.
static void sleeps_with_a_mutex(void)
{
    for (volatile int i = 0; i < 3; i++) { // one place, not three
        pthread_mutex_lock(&mutex);
        expect_eq(coir_sleep(COIR_MS), 0);
        pthread_mutex_unlock(&mutex);
    }
    coir_waitgroup_done(&all);
}

static void reads_with_a_rwlock(void)
{
    char c;

    pthread_rwlock_rdlock(&rwlock);
    expect_eq(coir_read(ends[0], &c, 1, COIR_FOREVER), 1);
    pthread_rwlock_unlock(&rwlock);
    coir_waitgroup_done(&all);
}

static void yields_with_a_spinlock(void)
{
    pthread_spin_lock(&spin);
    coir_yield();
    pthread_spin_unlock(&spin);
    expect_eq(write(ends[1], "x", 1), 1);
    coir_waitgroup_done(&all);
}

static int run(void *arg)
{
    (void)arg;
    expect_eq(pipe(ends), 0);
    pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE);
    expect_eq(coir_waitgroup_add(&all, 4), 0);
    expect_eq(coir_go_with(coir_opts(.name = "careful"), careful), 0);
    expect_eq(coir_go_with(coir_opts(.name = "sleeper"), sleeps_with_a_mutex), 0);
    expect_eq(coir_go_with(coir_opts(.name = "reader"), reads_with_a_rwlock), 0);
    expect_eq(coir_go_with(coir_opts(.name = "yielder"), yields_with_a_spinlock), 0);
    return coir_waitgroup_wait(&all, coir_after(10 * COIR_SEC));
}

int main(void)
{
    coir_config config = COIR_CONFIG_INIT;

    config.workers = 1;
    return coir_run(&config, run, NULL) == 0 ? 0 : 1;
}
