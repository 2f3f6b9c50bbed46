// SPDX-License-Identifier: MIT
// Asks:  what does it cost to let another one run and come back?
// Shows: ns per yield, PARTIES coroutines (threads: sched_yield on one processor) taking turns; how
//        many shows what caches and their sets cost. Threads are 5,000 at most.
#include "bench/bench.h"

#include <errno.h>
#include <sched.h>

#ifndef PARTIES
#define PARTIES 2
#endif
#define THREADS (PARTIES < 5000 ? PARTIES : 5000)

static void take_turns(coir_chan *gate, long n, coir_waitgroup *there,
                       coir_waitgroup *done)
{
    coir_waitgroup_done(there);
    bench_must(coir_chan_recv(gate, NULL, COIR_FOREVER) == -EPIPE, "recv");
    for (long i = 0; i < n; i++) coir_yield();
    coir_waitgroup_done(done);
}

int bench_coir(void *arg)
{
    struct bench *b = arg;
    coir_waitgroup there = {0}, done = {0};
    coir_chan *gate;

    bench_must(coir_chan_make(0, 0, &gate) == 0, "make");
    coir_waitgroup_add(&there, PARTIES);
    coir_waitgroup_add(&done, PARTIES);
    for (int i = 0; i < PARTIES; i++)
        bench_must(go(take_turns, gate, b->n / PARTIES, &there, &done) == 0, "go");
    bench_must(coir_waitgroup_wait(&there, COIR_FOREVER) == 0, "wait");
    bench_start(b);
    coir_chan_close(gate);
    bench_must(coir_waitgroup_wait(&done, COIR_FOREVER) == 0, "wait");
    bench_stop(b);
    coir_chan_unref(gate);
    return 0;
}

static void *yields(void *n)
{
    for (long i = 0; i < *(long *)n; i++) sched_yield();
    return NULL;
}

void bench_pthreads(struct bench *b)
{
    static pthread_t threads[THREADS];
    long part = b->n / THREADS;
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET(0, &one);
    sched_setaffinity(0, sizeof(one), &one);
    bench_start(b);
    for (int i = 0; i < THREADS; i++) threads[i] = bench_thread(yields, &part);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    bench_stop(b);
}

int main(int argc, char **argv)
{
    return bench_main(argc, argv, 1, "ns");
}
