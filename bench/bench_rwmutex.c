// SPDX-License-Identifier: MIT
// Asks:  what does a lock cost that eight read and now and then write?
// Shows: ns per lock and unlock together; one in sixteen is for writing.
#include "bench/bench.h"

#include <sched.h>

enum { PARTIES = 8 };

static coir_rwmutex mutex;
static pthread_rwlock_t thread_mutex = PTHREAD_RWLOCK_INITIALIZER;
static long written;

static void locks(long n, coir_waitgroup *done)
{
    for (long i = 0; i < n; i++) {
        if (i % 16) {
            bench_must(coir_rwmutex_rlock(&mutex, COIR_FOREVER) == 0, "rlock");
            coir_rwmutex_runlock(&mutex);
        } else {
            bench_must(coir_rwmutex_lock(&mutex, COIR_FOREVER) == 0, "lock");
            written++;
            coir_rwmutex_unlock(&mutex);
        }
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
    bench_must(written == (b->n / PARTIES + 15) / 16 * PARTIES, "the count");
    return 0;
}

static void *locks_on_a_thread(void *n)
{
    for (long i = 0; i < *(long *)n; i++) {
        if (i % 16)
            pthread_rwlock_rdlock(&thread_mutex);
        else
            pthread_rwlock_wrlock(&thread_mutex);
        if (i % 16 == 0) written++;
        pthread_rwlock_unlock(&thread_mutex);
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
