// SPDX-License-Identifier: MIT
// Asks:  what does one lock cost that eight want? (bench_lock_1, bench_lock_2: one, two.)
// Shows: ns per lock and unlock together, so many coroutines or threads on one mutex.
#include "bench/bench.h"

#include <sched.h>

#ifndef PARTIES
#define PARTIES 8
#endif

static coir_mutex mutex;
static pthread_mutex_t thread_mutex = PTHREAD_MUTEX_INITIALIZER;
static long counter;

static void locks(long n, coir_waitgroup *done)
{
    for (long i = 0; i < n; i++) {
        bench_must(coir_mutex_lock(&mutex, COIR_FOREVER) == 0, "lock");
        counter++;
        coir_mutex_unlock(&mutex);
    }
    coir_waitgroup_done(done);
}

int bench_coir(void *arg)
{
    struct bench *b = arg;
    coir_waitgroup done = {0};

    coir_waitgroup_add(&done, PARTIES);
    bench_start(b);
    for (int i = 0; i < PARTIES; i++)
        bench_must(go(locks, b->n / PARTIES, &done) == 0, "go");
    bench_must(coir_waitgroup_wait(&done, COIR_FOREVER) == 0, "wait");
    bench_stop(b);
    bench_must(counter == b->n / PARTIES * PARTIES, "the count");
    return 0;
}

static void *locks_on_a_thread(void *n)
{
    for (long i = 0; i < *(long *)n; i++) {
        pthread_mutex_lock(&thread_mutex);
        counter++;
        pthread_mutex_unlock(&thread_mutex);
    }
    return NULL;
}

void bench_pthreads(struct bench *b)
{
    pthread_t threads[PARTIES];
    long n = b->n / PARTIES;
    cpu_set_t set;

    CPU_ZERO(&set);
    for (unsigned i = 0; i < b->workers; i++) CPU_SET(i, &set);
    sched_setaffinity(0, sizeof(set), &set);
    bench_start(b);
    for (int i = 0; i < PARTIES; i++) threads[i] = bench_thread(locks_on_a_thread, &n);
    for (int i = 0; i < PARTIES; i++) pthread_join(threads[i], NULL);
    bench_stop(b);
}

int main(int argc, char **argv)
{
    return bench_main(argc, argv, 1, "ns");
}
