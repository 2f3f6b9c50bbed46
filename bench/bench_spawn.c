// SPDX-License-Identifier: MIT
// Asks:  what does a coroutine cost that does nothing?
// Shows: ns to spawn one and see it end, in batches of 1,000 over a waitgroup; threads in batches
//        of 100, created and joined.
#include "bench/bench.h"

enum { BATCH = 1000, THREADS = 100 };

static void nothing(coir_waitgroup *done)
{
    coir_waitgroup_done(done);
}

int bench_coir(void *arg)
{
    struct bench *b = arg;
    coir_waitgroup done = {0};

    bench_start(b);
    for (long i = 0; i < b->n; i += BATCH) {
        coir_waitgroup_add(&done, BATCH);
        for (int j = 0; j < BATCH; j++) bench_must(go(nothing, &done) == 0, "go");
        bench_must(coir_waitgroup_wait(&done, COIR_FOREVER) == 0, "wait");
    }
    bench_stop(b);
    return 0;
}

static void *nothing_at_all(void *arg)
{
    return arg;
}

void bench_pthreads(struct bench *b)
{
    pthread_t threads[THREADS];

    bench_start(b);
    for (long i = 0; i < b->n; i += THREADS) {
        for (int j = 0; j < THREADS; j++) threads[j] = bench_thread(nothing_at_all, NULL);
        for (int j = 0; j < THREADS; j++) pthread_join(threads[j], NULL);
    }
    bench_stop(b);
}

int main(int argc, char **argv)
{
    return bench_main(argc, argv, 1, "ns");
}
