// SPDX-License-Identifier: MIT
// Asks:  what does it cost to let another one run and come back?
// Shows: ns per yield, two coroutines (threads: sched_yield on one processor) taking turns.
#include "bench/bench.h"

#include <sched.h>

static void take_turns(long n, coir_waitgroup *done)
{
    for (long i = 0; i < n; i++) coir_yield();
    coir_waitgroup_done(done);
}

int bench_coir(void *arg)
{
    struct bench *b = arg;
    coir_waitgroup done = {0};

    coir_waitgroup_add(&done, 2);
    bench_start(b);
    for (int i = 0; i < 2; i++) bench_must(go(take_turns, b->n / 2, &done) == 0, "go");
    bench_must(coir_waitgroup_wait(&done, COIR_FOREVER) == 0, "wait");
    bench_stop(b);
    return 0;
}

static void *yields(void *n)
{
    for (long i = 0; i < *(long *)n; i++) sched_yield();
    return NULL;
}

void bench_pthreads(struct bench *b)
{
    pthread_t threads[2];
    long half = b->n / 2;
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET(0, &one);
    sched_setaffinity(0, sizeof(one), &one);
    bench_start(b);
    for (int i = 0; i < 2; i++) threads[i] = bench_thread(yields, &half);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    bench_stop(b);
}

int main(int argc, char **argv)
{
    return bench_main(argc, argv, 1, "ns");
}
