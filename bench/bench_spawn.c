// SPDX-License-Identifier: MIT
// Asks:  what does a coroutine cost that does nothing?
// Shows: ns to spawn one and see it end, in batches of 1,000 over a waitgroup; threads in batches
//        of 100, created and joined.
#include "bench/bench.h"

enum { BATCH = 1000 };

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

void bench_pthreads(struct bench *b)
{
    bench_spawn_threads(b);
}

int main(int argc, char **argv)
{
    return bench_main(argc, argv, 1, "ns");
}
